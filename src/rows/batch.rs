//! Row batches, and the seams by which stages read rows without knowing the
//! reader.

use std::path::PathBuf;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::domain::{LineEnding, RowNumber};

/// How a CSV text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialect {
    /// The byte between two cells.
    pub delimiter: u8,
    /// The byte around a quoted cell.
    pub quote: u8,
    /// The line end of the header, which is taken for that of the file.
    pub line_ending: LineEnding,
}

/// Records as they stood in the source, cut at record borders.
///
/// The bytes are shared, so a batch is cheap to clone and to hand on.
#[derive(Debug, Clone)]
pub struct RawBatch {
    /// Whole records with their line ends, blank lines included.
    pub bytes: Bytes,
    /// Where the batch begins in the source: `bytes` themselves, or the first
    /// record, as `unit` says.
    pub offset: u64,
    /// What positions in the source count.
    pub unit: PositionUnit,
    /// Bytes of the source that were read up to the end of this batch, as they
    /// lie on disk; for progress only.
    pub read_bytes: u64,
    /// Number of the first record.
    pub first_row: RowNumber,
    /// The records, in order; record `i` is row `first_row + i`.
    pub records: Vec<RawRecord>,
}

/// What positions in a source count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PositionUnit {
    /// Bytes of a text that can be opened at any of them, and that goes as it
    /// stands.
    Bytes,
    /// Rows of a file, because its text is made while it is read (unpacked,
    /// decoded, or rendered from columns).
    Rows,
}

impl RawBatch {
    /// The bytes of a record without its line end.
    pub fn record(&self, record: &RawRecord) -> &[u8] {
        &self.bytes[record.start as usize..record.end as usize]
    }

    /// Where a record, by its index, begins in the source, and where it ends
    /// with its line end.
    pub fn span_of(&self, index: usize) -> (u64, u64) {
        match (self.unit, self.records.get(index)) {
            (PositionUnit::Bytes, Some(record)) => {
                (self.offset + u64::from(record.start), self.offset + u64::from(record.next))
            }
            (PositionUnit::Bytes, None) => {
                let end = self.offset + self.bytes.len() as u64;
                (end, end)
            }
            (PositionUnit::Rows, _) => (self.offset + index as u64, self.offset + index as u64 + 1),
        }
    }

    /// Leaves out the first `count` records.
    pub fn skip(&mut self, count: usize) {
        let count = count.min(self.records.len());
        self.records.drain(..count);
        self.first_row = self.first_row.plus(count as u64);
        if self.unit == PositionUnit::Rows {
            self.offset += count as u64;
        }
    }
}

/// Where a record lies in its batch, and what was seen of it on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawRecord {
    /// Begin in the batch.
    pub start: u32,
    /// End in the batch, before the line end.
    pub end: u32,
    /// Begin of what follows: `next - end` is 1 for LF, 2 for CRLF, 0 at the
    /// end of a file without a last line end. Blank lines between this record
    /// and the next are *not* part of it.
    pub next: u32,
    /// Whether the record holds a quote byte anywhere.
    pub has_quotes: bool,
    /// Whether a line feed or carriage return stands inside a cell.
    pub has_line_break: bool,
    /// Whether a quote stands inside an unquoted cell (`5" pipe`). Its value
    /// is plain to see, but the service refuses such text, so the row is
    /// written anew with its cell quoted.
    pub has_stray_quote: bool,
    /// Why the row can't be sent, if so. The record's borders are right all
    /// the same.
    pub fault: Option<RowFault>,
}

/// A fault of one row; its neighbours are not concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RowFault {
    /// Fewer or more cells than the header.
    #[error("{found} cells where the header has {expected}")]
    Ragged {
        /// Cells of the header.
        expected: u32,
        /// Cells of the row.
        found: u32,
    },
    /// Bytes that are not UTF-8.
    #[error("column {column}: not valid UTF-8 at byte {at} of the row")]
    Utf8 {
        /// Column number, from 1.
        column: u32,
        /// Byte within the row, from 0.
        at: u32,
    },
    /// Bytes that mean nothing in the encoding of the source.
    #[error("column {column}: bytes that are no text in the encoding of the source")]
    Encoding {
        /// Column number, from 1.
        column: u32,
    },
    /// Text behind a closing quote.
    #[error("column {column}: text behind the closing quote")]
    AfterQuote {
        /// Column number, from 1.
        column: u32,
    },
    /// A cell beyond the service's limit.
    #[error("column {column}: {chars} characters, the service takes 131,072 in a cell")]
    FieldTooLong {
        /// Column number, from 1.
        column: u32,
        /// Characters of the cell.
        chars: u64,
    },
    /// A row beyond the service's limit.
    #[error("{chars} characters, the service takes 400,000 in a row")]
    RecordTooLong {
        /// Characters of the row.
        chars: u64,
    },
    /// A typed value that has no form the service would take for it.
    #[error("column {column}: {what}")]
    NoForm {
        /// Column number, from 1.
        column: u32,
        /// What the value is.
        what: NoForm,
    },
}

/// Typed values that can't be written so that the service reads the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NoForm {
    /// Infinite, or no number at all.
    #[error("a number that is not finite")]
    NotFinite,
    /// More than 256 bits.
    #[error("a decimal of more than 256 bits")]
    Decimal,
    /// A year that has no four digits.
    #[error("a date outside the years 1 to 9999")]
    Date,
    /// Before midnight or a day and more behind it.
    #[error("a time that is not within a day")]
    Time,
    /// The service takes no text with one.
    #[error("a text that holds a NUL byte")]
    NulByte,
    /// The values of a list are joined with semicolons.
    #[error("a list value that holds a semicolon")]
    SemicolonInList,
    /// A list has no way to say so.
    #[error("a list in which a value is null")]
    NullInList,
}

/// Why a source can't be read (further). These end the reading; faults of
/// single rows are in [`RowFault`].
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The operating system refused.
    #[error("{} can't be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not one byte of content.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A quote that is never closed; the borders of all later records are lost.
    #[error("{}: the quote opened in {} (byte {offset}) is never closed", path.display(), row_name(*row))]
    UnclosedQuote {
        /// The file.
        path: PathBuf,
        /// The row it began in; row 0 is the header.
        row: u64,
        /// Where that row begins.
        offset: u64,
    },
    /// A NUL byte: the file is not text, or is damaged.
    #[error("{}: a NUL byte in {} (byte {offset})", path.display(), row_name(*row))]
    NulByte {
        /// The file.
        path: PathBuf,
        /// The row; row 0 is the header.
        row: u64,
        /// Where it stands.
        offset: u64,
    },
    /// A record longer than any row can be; borders are lost or this is no CSV.
    #[error("{}: row {row} (byte {offset}) is longer than {limit} bytes", path.display())]
    RecordTooLarge {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
        /// Where it begins.
        offset: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The header can't be used.
    #[error("{}: {reason}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Why, as a clause.
        reason: String,
    },
    /// The file breaks the rules of its format, most often because it was cut
    /// short or altered.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was met, as a clause; never a value.
        reason: String,
    },
    /// The file is not what it was.
    #[error("{} was changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// What was named as the source is no source.
    #[error("{reason}")]
    NoSource {
        /// Why, as a sentence without its full stop; it names the path.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Two files of one source have other columns.
    #[error("{}: {reason}", path.display())]
    OtherColumns {
        /// The file whose columns differ from those of the first.
        path: PathBuf,
        /// How they differ, as a clause.
        reason: String,
    },
}

/// The words for a row whose number may be that of the header.
fn row_name(row: u64) -> String {
    if row == 0 { "the header".to_owned() } else { format!("row {row}") }
}

/// A contiguous stretch of a source: bytes, and the number of its first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// First byte.
    pub start: u64,
    /// Byte behind the last.
    pub end: u64,
    /// Number of the first row in it.
    pub first_row: RowNumber,
}

/// Rows in source order, batch by batch. Plain blocking reading.
pub trait RowStream: Send {
    /// The next batch, or `None` at the end.
    ///
    /// # Errors
    /// [`SourceError`] when reading can't go on; batches already handed out
    /// stay right.
    fn next_batch(&mut self) -> Result<Option<RawBatch>, SourceError>;
}

/// A source whose rows can be read again, as often as needed.
pub trait SourceRows: Send + Sync {
    /// How its text is written.
    fn dialect(&self) -> Dialect;

    /// Its column names as they stand in the header, unescaped.
    fn header(&self) -> &[String];

    /// Reads the rows of a stretch, or all of them.
    ///
    /// # Errors
    /// [`SourceError`] when the source can't be opened.
    fn rows(&self, stretch: Option<Stretch>) -> Result<Box<dyn RowStream>, SourceError>;

    /// Opens the bytes `start..end` as they are. Positions must be of batches
    /// that count [`PositionUnit::Bytes`], and of one file.
    ///
    /// # Errors
    /// [`SourceError`] when the source can't be opened.
    fn bytes(&self, start: u64, end: u64) -> Result<Box<dyn std::io::Read + Send>, SourceError>;
}
