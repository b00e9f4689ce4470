//! CSV text from any [`Read`], cut into records.
//!
//! ```text
//! read ──► block (about 1 MiB) ──► records + where they lie ──► RawBatch
//!            ▲                                │
//!            └── the unfinished last record ◄─┘
//! ```
//!
//! What counts:
//! - A quote opens a cell only as its first byte; inside, it is doubled, and
//!   line breaks are data. So a record's border is never guessed, and a block
//!   is always split from the start of a record: nothing is carried over but
//!   the bytes of the one that was cut.
//! - Most text has no quotes nearby. There a record is what lies between two
//!   line feeds, and its cells are its delimiters plus one: three passes of
//!   `memchr` over the bytes and no look at any single one.
//! - LF and CRLF both end a record, in one file too. Blank lines are no rows.
//! - A row's own faults are noted beside it ([`RowFault`]); what loses the
//!   borders of all that follows is a [`SourceError`].
//!
//! Memory is bounded by one block plus the longest record allowed.

mod record;

pub use record::length_fault;

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use memchr::memchr;

use super::{Cells, Dialect, PositionUnit, RawBatch, RawRecord, RowFault, RowStream, SourceError};
use crate::domain::{LineEnding, RowNumber};

/// Bytes of a block: large enough that the cost of a batch (an allocation, a
/// hand-over between threads) vanishes beside its 5,000 rows or so, small
/// enough to lie in a core's cache while it is worked.
pub const BLOCK_BYTES: usize = 1 << 20;

/// Bytes of the first read: many texts are short, a single row among them, and
/// are not worth a whole block.
const FIRST_READ: usize = 64 << 10;

/// Bytes a record may have. The service takes 400,000 characters, four bytes
/// each at most, quotes doubled: 3.2 MB. What is longer is no record, most
/// often a quote that was never closed.
pub const MAX_RECORD_BYTES: usize = 8 << 20;

/// The header of a CSV text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its cells, unescaped, trimmed of nothing.
    pub cells: Vec<String>,
    /// How its line ends; `None` at the end of a text without line end.
    pub line_ending: Option<LineEnding>,
}

/// Cuts CSV text into batches of whole records.
#[derive(Debug)]
pub struct RecordSplitter<R> {
    read: R,
    path: PathBuf,
    format: Format,
    next_row: RowNumber,
    /// Where `unsplit` begins in the source.
    offset: u64,
    /// Read, but not handed out yet.
    unsplit: Vec<u8>,
    /// Whether `read` has nothing more.
    ended: bool,
    /// Whether anything was read yet.
    began: bool,
    /// Whether the text was decoded from another encoding, with bytes in it
    /// that no UTF-8 has where there was nothing to decode.
    decoded: bool,
    block: usize,
    max_record: usize,
}

/// What a record is judged by.
#[derive(Debug, Clone, Copy)]
struct Format {
    delimiter: u8,
    quote: u8,
    /// Cells a record must have, if that is known.
    columns: Option<u32>,
    /// Whether the service's limits on lengths apply.
    limits: bool,
    /// Whether a NUL byte is a character like any other.
    nul_bytes: bool,
}

/// What was cut from a piece of text.
struct Cut {
    records: Vec<RawRecord>,
    /// Bytes up to the end of the last whole record or blank line.
    consumed: usize,
}

impl<R: Read> RecordSplitter<R> {
    /// Splits what `read` yields. It begins at a record; `offset` says where
    /// that is in the source, `first_row` what number it has, and `columns`
    /// how many cells each record must have (unless [`Self::read_header`]
    /// finds that out). `path` is named in errors.
    pub fn new(
        read: R,
        dialect: Dialect,
        columns: Option<u32>,
        first_row: RowNumber,
        offset: u64,
        path: &Path,
    ) -> Self {
        RecordSplitter {
            read,
            path: path.to_owned(),
            format: Format {
                delimiter: dialect.delimiter,
                quote: dialect.quote,
                columns,
                limits: true,
                nul_bytes: false,
            },
            next_row: first_row,
            offset,
            unsplit: Vec::new(),
            ended: false,
            began: false,
            decoded: false,
            block: BLOCK_BYTES,
            max_record: MAX_RECORD_BYTES,
        }
    }

    /// Lets records be longer than the service takes: a result set has columns
    /// more than what was sent.
    #[must_use]
    pub fn without_limits(mut self) -> Self {
        self.format.limits = false;
        self
    }

    /// Takes NUL bytes for characters: an org's own values may hold them.
    #[must_use]
    pub fn with_nul_bytes(mut self) -> Self {
        self.format.nul_bytes = true;
        self
    }

    /// Says that the text was decoded from another encoding than UTF-8, so
    /// that what is not valid in it is told as what it is.
    #[must_use]
    pub fn decoded(mut self) -> Self {
        self.decoded = true;
        self
    }

    /// Sets the bytes of a block (at least 1).
    #[must_use]
    pub fn block_bytes(mut self, block: usize) -> Self {
        self.block = block.max(1);
        self
    }

    /// Sets the bytes a record may have.
    #[must_use]
    pub fn max_record_bytes(mut self, max: usize) -> Self {
        self.max_record = max;
        self
    }

    /// Where the next record (or a blank line before it) begins in the source.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The number of the next record.
    pub const fn next_row(&self) -> RowNumber {
        self.next_row
    }

    /// Takes the next record as the header: it has no row number (errors call
    /// it row 0), and every record behind it must have as many cells. `None`
    /// when there is nothing but blank lines.
    ///
    /// # Errors
    /// [`SourceError`] as for [`RowStream::next_batch`], and
    /// [`SourceError::Header`] when the header itself is not well formed.
    pub fn read_header(&mut self) -> Result<Option<Header>, SourceError> {
        let first_row = std::mem::replace(&mut self.next_row, RowNumber(0));
        let taken = self.take_batch(true);
        self.next_row = first_row;
        let Some(batch) = taken? else { return Ok(None) };
        let Some(record) = batch.records.first() else { return Ok(None) };
        let refused = |reason: String| SourceError::Header { path: self.path.clone(), reason };
        if let Some(fault) = record.fault {
            return Err(refused(format!("the header is broken: {fault}")));
        }
        let cells: Vec<String> =
            Cells::new(batch.record(record), self.format.delimiter, self.format.quote)
                .map(|cell| String::from_utf8_lossy(&cell.value()).into_owned())
                .collect();
        self.format.columns = Some(u32::try_from(cells.len()).unwrap_or(u32::MAX));
        let line_ending = match record.next - record.end {
            0 => None,
            1 => Some(LineEnding::Lf),
            _ => Some(LineEnding::Crlf),
        };
        Ok(Some(Header { cells, line_ending }))
    }

    /// The next batch; of a single record if `one`.
    fn take_batch(&mut self, one: bool) -> Result<Option<RawBatch>, SourceError> {
        let mut goal = self.block;
        loop {
            self.fill(goal)?;
            let cut = self.cut(one)?;
            if cut.consumed == 0 {
                if self.ended {
                    return if self.unsplit.is_empty() { Ok(None) } else { Err(self.unclosed()) };
                }
                // Doubled, so that a long record is looked at a few times only.
                goal = self.unsplit.len().max(self.block).saturating_mul(2);
                continue;
            }
            let rest = self.unsplit.split_off(cut.consumed);
            let mut bytes = std::mem::replace(&mut self.unsplit, rest);
            let offset = self.offset;
            self.offset += cut.consumed as u64;
            if cut.records.is_empty() {
                // Blank lines only.
                goal = self.block;
                continue;
            }
            let first_row = self.next_row;
            self.next_row = first_row.plus(cut.records.len() as u64);
            if one {
                bytes.shrink_to_fit();
            }
            return Ok(Some(RawBatch {
                read_bytes: offset + bytes.len() as u64,
                bytes: Bytes::from(bytes),
                offset,
                unit: PositionUnit::Bytes,
                first_row,
                records: cut.records,
            }));
        }
    }

    /// Reads until `goal` bytes are there or nothing more comes.
    fn fill(&mut self, goal: usize) -> Result<(), SourceError> {
        let wanted = goal.saturating_sub(self.unsplit.len());
        if self.ended || wanted == 0 {
            return Ok(());
        }
        // By hand, for `read_to_end` begins with small reads in each block anew.
        let begin = self.unsplit.len();
        let mut end = begin;
        let mut failed = None;
        // Of a text that is no longer than that no more is taken.
        let first = if self.began { wanted } else { wanted.min(FIRST_READ) };
        self.began = true;
        self.unsplit.resize(begin + first, 0);
        while end < begin + wanted && failed.is_none() {
            if end == self.unsplit.len() {
                self.unsplit.reserve_exact(begin + wanted - end);
                self.unsplit.resize(begin + wanted, 0);
            }
            match self.read.read(&mut self.unsplit[end..]) {
                Ok(0) => break,
                Ok(got) => end += got,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => failed = Some(error),
            }
        }
        self.unsplit.truncate(end);
        self.ended = failed.is_none() && end - begin < wanted;
        match failed {
            Some(source) => Err(SourceError::Io { path: self.path.clone(), source }),
            None => Ok(()),
        }
    }

    /// Cuts what is there into records; only the first one if `one`.
    fn cut(&self, one: bool) -> Result<Cut, SourceError> {
        let data = self.unsplit.as_slice();
        // A carriage return at the very end is half of a last line end.
        let text = match data.split_last() {
            Some((b'\r', text)) if self.ended => text,
            _ => data,
        };
        // About what a record of this kind takes; a guess too low costs a copy.
        let mut records = Vec::with_capacity(if one { 1 } else { text.len() / 128 });
        let mut at = 0;
        let mut quote_at = find(self.format.quote, text, 0);
        let mut return_at = find(b'\r', text, 0);
        while at < text.len() && (!one || records.is_empty()) {
            let feed = memchr(b'\n', &text[at..]).map(|found| at + found);
            let line_end = feed.unwrap_or(text.len());
            if quote_at < at {
                quote_at = find(self.format.quote, text, at);
            }
            let record = if quote_at < line_end {
                record::with_quotes(text, at, self.format, self.ended)
            } else if feed.is_some() || self.ended {
                if return_at < at {
                    return_at = find(b'\r', text, at);
                }
                let mut end = line_end;
                if feed.is_some() && return_at < line_end && text[line_end - 1] == b'\r' {
                    end -= 1;
                }
                let next = feed.map_or(line_end, |feed| feed + 1);
                if end == at {
                    // A blank line.
                    at = next;
                    continue;
                }
                Some(record::without_quotes(text, at, end, next, return_at < end, self.format))
            } else {
                None
            };
            let Some(record) = record else { break };
            self.check_size(record.end as usize - at, at, records.len())?;
            at = record.next as usize;
            records.push(record);
        }
        if !self.ended {
            // The service's limit and a line end of two bytes.
            self.check_size((text.len() - at).saturating_sub(2), at, records.len())?;
        }
        let consumed = if at == text.len() { data.len() } else { at };
        self.check_text(&data[..consumed], &mut records)?;
        Ok(Cut { records, consumed })
    }

    /// Refuses a record that is longer than any can be.
    fn check_size(&self, size: usize, at: usize, index: usize) -> Result<(), SourceError> {
        if size <= self.max_record {
            return Ok(());
        }
        let row = self.next_row.plus(index as u64).0;
        if let Some(nul) = self.nul_in(&self.unsplit[at..at + size]) {
            return Err(self.nul_byte(row, at + nul));
        }
        Err(SourceError::RecordTooLarge {
            path: self.path.clone(),
            row,
            offset: self.offset + at as u64,
            limit: self.max_record as u64,
        })
    }

    /// Looks for NUL bytes and for what is not UTF-8 in whole records.
    fn check_text(&self, data: &[u8], records: &mut [RawRecord]) -> Result<(), SourceError> {
        if let Some(nul) = self.nul_in(data) {
            let index = records.partition_point(|record| record.next as usize <= nul);
            return Err(self.nul_byte(self.next_row.plus(index as u64).0, nul));
        }
        let mut from = 0;
        while let Err(error) = std::str::from_utf8(&data[from..]) {
            let wrong = from + error.valid_up_to();
            let index = records.partition_point(|record| record.next as usize <= wrong);
            // Blank lines are ASCII, so a byte that is not lies in a record.
            let Some(record) = records.get_mut(index) else { break };
            let start = record.start as usize;
            let at = wrong.saturating_sub(start);
            let text = &data[start..record.end as usize];
            let column = record::column_at(text, at, self.format);
            record.fault = Some(if self.decoded {
                RowFault::Encoding { column }
            } else {
                RowFault::Utf8 { column, at: at as u32 }
            });
            from = record.next as usize;
        }
        Ok(())
    }

    /// The first NUL byte that says the text is none.
    fn nul_in(&self, data: &[u8]) -> Option<usize> {
        if self.format.nul_bytes { None } else { memchr(0, data) }
    }

    fn nul_byte(&self, row: u64, at: usize) -> SourceError {
        SourceError::NulByte { path: self.path.clone(), row, offset: self.offset + at as u64 }
    }

    /// Says why the text ends within a record: a quote is open.
    fn unclosed(&self) -> SourceError {
        if let Some(nul) = self.nul_in(&self.unsplit) {
            return self.nul_byte(self.next_row.0, nul);
        }
        SourceError::UnclosedQuote {
            path: self.path.clone(),
            row: self.next_row.0,
            offset: self.offset,
        }
    }
}

impl<R: Read + Send> RowStream for RecordSplitter<R> {
    fn next_batch(&mut self) -> Result<Option<RawBatch>, SourceError> {
        self.take_batch(false)
    }
}

/// The first place of a byte at or behind `from`; beyond all text if there is
/// none.
fn find(byte: u8, text: &[u8], from: usize) -> usize {
    memchr(byte, &text[from..]).map_or(usize::MAX, |found| from + found)
}

#[cfg(test)]
mod tests;
