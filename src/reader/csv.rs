//! A CSV file as a source whose rows can be read again.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::domain::{LineEnding, MAX_HEADER_CHARS, MAX_RECORD_FIELDS, RowNumber};
use crate::rows::{
    BLOCK_BYTES, Dialect, RawBatch, RecordSplitter, RowStream, SourceError, SourceRows, Stretch,
};

use super::identity::SourceIdentity;
use super::recognise::{self, BOM};
use super::scan::{Scan, ScanProgress};
use super::sniff;
use super::text::open_regular;

/// Bytes at the head of a file from which its delimiter is guessed.
const SAMPLE_BYTES: u64 = 256 << 10;

/// How a CSV file is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvOptions {
    /// The byte between two cells; guessed if not given.
    pub delimiter: Option<u8>,
    /// The byte around a quoted cell, 0 for none; guessed if not given.
    pub quote: Option<u8>,
    /// Bytes of a row batch, about.
    pub block_bytes: usize,
}

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions { delimiter: None, quote: None, block_bytes: BLOCK_BYTES }
    }
}

/// A CSV file in UTF-8. All offsets are those of the file, its byte order
/// mark counted.
#[derive(Debug, Clone)]
pub struct CsvSource {
    path: PathBuf,
    dialect: Dialect,
    header: Vec<String>,
    identity: SourceIdentity,
    data_start: u64,
    has_bom: bool,
    block: usize,
}

/// Opens a CSV file and reads its header.
///
/// # Errors
/// [`SourceError`]: `Io` when the system refuses, `Empty` when there is no
/// header, `Header` when the file is of another kind or its header can't be
/// used, and what breaks the reading of the header line itself.
pub fn open_csv(path: &Path, options: &CsvOptions) -> Result<CsvSource, SourceError> {
    let refused = |reason: String| Err(SourceError::Header { path: path.to_owned(), reason });
    let failed = |source| SourceError::Io { path: path.to_owned(), source };
    let mut file = open_regular(path)?;
    let identity = SourceIdentity::read(&mut file).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut sample = Vec::new();
    (&file).take(SAMPLE_BYTES).read_to_end(&mut sample).map_err(failed)?;
    if let Some(reason) = recognise::refusal(&sample, false) {
        return refused(reason.to_owned());
    }
    let has_bom = sample.starts_with(BOM);
    let text_start = if has_bom { BOM.len() as u64 } else { 0 };
    let text = sample.get(text_start as usize..).unwrap_or_default();
    let whole = sample.len() as u64 == identity.bytes;
    let mut dialect = sniff::dialect(text, whole, options);

    file.seek(SeekFrom::Start(text_start)).map_err(failed)?;
    let mut splitter = RecordSplitter::new(&file, dialect, None, RowNumber(1), text_start, path);
    let Some(header) = splitter.read_header()? else {
        return Err(SourceError::Empty { path: path.to_owned() });
    };
    dialect.line_ending = header.line_ending.unwrap_or(LineEnding::Lf);
    let data_start = splitter.offset();
    if let Some(reason) = unusable(&header.cells) {
        return refused(reason);
    }
    Ok(CsvSource {
        path: path.to_owned(),
        dialect,
        header: header.cells,
        identity,
        data_start,
        has_bom,
        block: options.block_bytes,
    })
}

/// Why a header can't be used, whatever its columns are called. Names that are
/// missing or occur twice are the transformer's to tell, with all else that is
/// wrong with them.
pub(super) fn unusable(header: &[String]) -> Option<String> {
    if header.len() > MAX_RECORD_FIELDS {
        return Some(format!(
            "the header has {} columns, a record holds {MAX_RECORD_FIELDS} at most",
            header.len()
        ));
    }
    let characters: usize = header.iter().map(|name| name.chars().count() + 1).sum();
    if characters > MAX_HEADER_CHARS + 1 {
        return Some(format!(
            "the header has {} characters, the service takes {MAX_HEADER_CHARS}",
            characters - 1
        ));
    }
    if header.iter().any(|name| name.contains('\r')) {
        return Some(
            "the header holds a carriage return without a line feed; save the file with LF or \
             CRLF line ends"
                .to_owned(),
        );
    }
    None
}

impl CsvSource {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file is known by.
    pub const fn identity(&self) -> &SourceIdentity {
        &self.identity
    }

    /// Where the first row (or a blank line before it) begins.
    pub const fn data_start(&self) -> u64 {
        self.data_start
    }

    /// Whether the file begins with a byte order mark, which is not sent.
    pub const fn has_bom(&self) -> bool {
        self.has_bom
    }

    /// Splits the whole file, telling how far it has come after each batch.
    ///
    /// # Errors
    /// [`SourceError`] when the file can't be read or loses its record borders.
    pub fn scan(&self, progress: &mut dyn FnMut(ScanProgress)) -> Result<Scan, SourceError> {
        Scan::of(&mut *self.rows(None)?, progress)
    }

    /// Whether size, time of change and inode are still those of the opening.
    ///
    /// # Errors
    /// [`SourceError::Changed`] if not, `Io` when the file is gone.
    pub fn check_unchanged(&self) -> Result<(), SourceError> {
        self.reopen().map(|_| ())
    }

    /// Opens the file again, if it is still the same.
    fn reopen(&self) -> Result<File, SourceError> {
        self.identity.reopen(&self.path)
    }

    /// Opens the bytes `start..end`, which must lie in the file.
    fn open_bytes(&self, start: u64, end: u64) -> Result<Exactly, SourceError> {
        let mut file = self.reopen()?;
        if start > end || end > self.identity.bytes {
            return Err(SourceError::Changed { path: self.path.clone() });
        }
        file.seek(SeekFrom::Start(start)).map_err(|error| self.failed(error))?;
        Ok(Exactly { file, left: end - start })
    }

    fn failed(&self, source: std::io::Error) -> SourceError {
        SourceError::Io { path: self.path.clone(), source }
    }
}

impl SourceRows for CsvSource {
    fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn header(&self) -> &[String] {
        &self.header
    }

    fn rows(&self, stretch: Option<Stretch>) -> Result<Box<dyn RowStream>, SourceError> {
        let stretch = stretch.unwrap_or(Stretch {
            start: self.data_start,
            end: self.identity.bytes,
            first_row: RowNumber(1),
        });
        let read = self.open_bytes(stretch.start, stretch.end)?;
        let columns = u32::try_from(self.header.len()).ok();
        let splitter = RecordSplitter::new(
            read,
            self.dialect,
            columns,
            stretch.first_row,
            stretch.start,
            &self.path,
        )
        .block_bytes(self.block);
        Ok(Box::new(CsvRows { splitter }))
    }

    fn bytes(&self, start: u64, end: u64) -> Result<Box<dyn Read + Send>, SourceError> {
        Ok(Box::new(self.open_bytes(start, end)?))
    }
}

/// The rows of a file.
struct CsvRows {
    splitter: RecordSplitter<Exactly>,
}

impl RowStream for CsvRows {
    fn next_batch(&mut self) -> Result<Option<RawBatch>, SourceError> {
        match self.splitter.next_batch() {
            Err(SourceError::Io { path, source }) if source.kind() == ErrorKind::UnexpectedEof => {
                Err(SourceError::Changed { path })
            }
            other => other,
        }
    }
}

/// So many bytes of a file, no less: one that was cut short meanwhile must not
/// pass for one that ended.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let got = self.file.read(&mut buffer[..most])?;
        if got == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left -= got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests;
