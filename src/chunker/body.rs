//! A planned chunk, and its body opened again.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::domain::{LineEnding, RowNumber, RowRanges};
use crate::ledger::{BodyKind, ChunkRecord};
use crate::rows::{Changes, SourceRows, Stretch};

/// Where the CSV text of a chunk is found again; without a header line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// Nowhere: the chunk sends no row, or the chunker ran dry and this would be
    /// a spool.
    None,
    /// The bytes of the source from `start` to `end`, which are those of the
    /// chunk's stretch.
    Span {
        /// First byte.
        start: u64,
        /// Byte behind the last.
        end: u64,
    },
    /// A file in the run's spool folder.
    Spool {
        /// Its name in that folder.
        file: String,
    },
}

/// A chunk as it was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChunk {
    /// Number, counted on from the first one the chunker was given.
    pub number: u64,
    /// Where its rows lie in the source.
    pub stretch: Stretch,
    /// Number of its last row.
    pub last_row: RowNumber,
    /// Rows read: those sent and those rejected.
    pub read_rows: u64,
    /// The rows that are sent, in order.
    pub rows: RowRanges,
    /// How many rows are rejected.
    pub rejected: u64,
    /// Where its text is.
    pub body: Body,
    /// Bytes of the body, without the header line and an added line end.
    pub bytes: u64,
    /// xxh3-128 of those bytes, 32 hex digits; empty where a dry run would have
    /// written a spool.
    pub digest: String,
    /// The line end to add behind the body: that of the last row of a span, if
    /// the source ends without one.
    pub add_line_end: Option<LineEnding>,
    /// A sent column (by its index) in which no value is empty or occurs
    /// twice, where one was looked for.
    pub unique_text: Option<usize>,
    /// Rows whose key an earlier row of the chunk has, sent or not.
    pub duplicates: u64,
    /// The first such row, and the row it repeats.
    pub duplicate_example: Option<(RowNumber, RowNumber)>,
    /// What was changed in its cells. Rows that left the chunk again for their
    /// key are counted too.
    pub changes: Changes,
}

impl PlannedChunk {
    /// A chunk as the ledger has it. What was only of interest while it was
    /// cut (duplicates, changes) is empty.
    pub fn from_record(record: &ChunkRecord) -> Self {
        let body = &record.body;
        PlannedChunk {
            number: record.number,
            stretch: Stretch { start: record.start, end: record.end, first_row: record.first_row },
            last_row: record.last_row,
            read_rows: record.read,
            rows: record.rows.clone(),
            rejected: record.rejected,
            body: match &body.kind {
                BodyKind::None => Body::None,
                BodyKind::Span => Body::Span { start: record.start, end: record.end },
                BodyKind::Spool { file } => Body::Spool { file: file.clone() },
            },
            bytes: body.bytes,
            digest: body.digest.clone(),
            add_line_end: body.needs_final_newline.then_some(body.line_ending),
            unique_text: record.unique_text.map(|column| column as usize),
            duplicates: 0,
            duplicate_example: None,
            changes: Changes::default(),
        }
    }
}

/// Opens the rows of a chunk: its CSV text without a header line, each row
/// with its line end.
///
/// # Errors
/// What the system says, or the source's own error inside an [`io::Error`]
/// when it is not what it was.
pub fn open_rows(
    body: &Body,
    add_line_end: Option<LineEnding>,
    source: &dyn SourceRows,
    spool_dir: &Path,
) -> io::Result<Box<dyn Read + Send>> {
    let rows: Box<dyn Read + Send> = match body {
        Body::None => Box::new(io::empty()),
        Body::Span { start, end } => source.bytes(*start, *end).map_err(io::Error::other)?,
        Body::Spool { file } => Box::new(File::open(spool_dir.join(file))?),
    };
    Ok(match add_line_end {
        Some(line_end) => Box::new(rows.chain(line_end.bytes())),
        None => rows,
    })
}

/// Opens a chunk as it is uploaded: the header line, then its rows.
///
/// # Errors
/// As [`open_rows`].
pub fn open_body(
    header_line: &[u8],
    body: &Body,
    add_line_end: Option<LineEnding>,
    source: &dyn SourceRows,
    spool_dir: &Path,
) -> io::Result<Box<dyn Read + Send>> {
    let rows = open_rows(body, add_line_end, source, spool_dir)?;
    Ok(Box::new(Cursor::new(header_line.to_vec()).chain(rows)))
}
