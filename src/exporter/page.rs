//! The records of a page, block by block ("Get Results for a Query Job", Bulk
//! API guide): CSV with a header line, every cell in quotes, empty for null.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use memchr::memchr_iter;

use super::ExportError;
use crate::domain::{LineEnding, RowNumber};
use crate::rows::{Dialect, RawBatch, RecordSplitter, RowStream as _};

/// How query jobs of ours write their results.
pub const DIALECT: Dialect = Dialect { delimiter: b',', quote: b'"', line_ending: LineEnding::Lf };

/// Bytes of a block.
const BLOCK: usize = 1 << 20;

/// Bytes a record may have: many long texts, of four bytes a character.
const MAX_RECORD: usize = 64 << 20;

/// A page, read from its file.
#[derive(Debug)]
pub struct Page<R = File> {
    path: PathBuf,
    splitter: RecordSplitter<R>,
    header: Vec<String>,
}

impl Page {
    /// Opens a page and reads its header. A page without a byte, as an org may
    /// send it for no records, has no columns and no records.
    ///
    /// # Errors
    /// [`ExportError::Io`], [`ExportError::Page`].
    pub fn open(path: &Path) -> Result<Self, ExportError> {
        Page::of(File::open(path).map_err(ExportError::io(path, "read"))?, path)
    }
}

impl<R: Read + Send> Page<R> {
    /// A page of a text; `path` is named in errors.
    ///
    /// # Errors
    /// [`ExportError::Page`].
    pub fn of(text: R, path: &Path) -> Result<Self, ExportError> {
        let mut splitter = RecordSplitter::new(text, DIALECT, None, RowNumber(1), 0, path)
            .without_limits()
            .with_nul_bytes()
            .max_record_bytes(MAX_RECORD)
            .block_bytes(BLOCK);
        let header = splitter.read_header().map_err(|source| ExportError::Page { source })?;
        let header = header.map(|header| header.cells).unwrap_or_default();
        Ok(Page { path: path.to_owned(), splitter, header })
    }

    /// Its columns, as the org calls them.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The next block of records; `None` behind the last.
    ///
    /// # Errors
    /// [`ExportError::Page`] when record borders are lost,
    /// [`ExportError::Record`] for a record with another number of cells or
    /// with bytes that are no text.
    pub fn next_block(&mut self) -> Result<Option<RawBatch>, ExportError> {
        let block = self.splitter.next_batch().map_err(|source| ExportError::Page { source })?;
        if let Some(block) = &block
            && let Some((index, record)) =
                block.records.iter().enumerate().find(|(_, record)| record.fault.is_some())
        {
            return Err(ExportError::Record {
                path: self.path.clone(),
                record: block.first_row.plus(index as u64).0,
                why: record.fault.map(|fault| fault.to_string()).unwrap_or_default(),
            });
        }
        Ok(block)
    }

    /// Counts the records of a text, and proves it well formed to its end.
    ///
    /// # Errors
    /// As [`Page::of`] and [`Page::next_block`].
    pub fn count_in(text: R, path: &Path) -> Result<u64, ExportError> {
        let mut page = Page::of(text, path)?;
        let mut records = 0;
        while let Some(block) = page.next_block()? {
            records += block.records.len() as u64;
        }
        Ok(records)
    }
}

/// Counts the records of a page by its line ends that stand outside of quotes,
/// which costs a fraction of reading it. `None` where its end is no line end or
/// stands in quotes, so that it takes a reading to tell.
///
/// # Errors
/// What the system says.
pub fn count_lines(mut text: impl Read) -> io::Result<Option<u64>> {
    let mut buffer = vec![0; 256 << 10];
    let (mut lines, mut in_quotes, mut empty) = (0_u64, false, true);
    loop {
        let got = match text.read(&mut buffer) {
            Ok(0) => break,
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut from = 0;
        let see = |piece: &[u8], in_quotes: &mut bool, empty: &mut bool| {
            *in_quotes ^= memchr_iter(DIALECT.quote, piece).count() % 2 == 1;
            *empty &= piece.iter().all(|&byte| byte == b'\r');
        };
        for end in memchr_iter(b'\n', &buffer[..got]) {
            see(&buffer[from..end], &mut in_quotes, &mut empty);
            from = end + 1;
            if !in_quotes {
                lines += u64::from(!empty);
                empty = true;
            }
        }
        see(&buffer[from..got], &mut in_quotes, &mut empty);
    }
    let whole = empty && !in_quotes;
    // The first one is the header.
    Ok(whole.then(|| lines.saturating_sub(1)))
}
