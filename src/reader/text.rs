//! One CSV file: what it is, and its text as UTF-8 whatever it was packed and
//! encoded as.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use encoding_rs::{Encoding, UTF_8};

use super::blocks::{Block, Blocks};
use super::csv::{CsvOptions, CsvSource, open_csv, unusable};
use super::decoding::{self, Decoded};
use super::identity::SourceIdentity;
use super::layout::Rewrite;
use super::line_ends::{FedLines, ends_with_returns};
use super::options::SourceOptions;
use super::packing::Packing;
use super::{recognise, sniff};
use crate::domain::{LineEnding, RowNumber};
use crate::rows::{
    BLOCK_BYTES, Dialect, RecordSplitter, RowStream as _, SourceError, SourceRows as _,
};

/// Bytes at the head of a text by which it is judged.
const SAMPLE_BYTES: u64 = 256 << 10;

/// A CSV file that was looked at.
pub(super) enum CsvFile {
    /// UTF-8, not packed, lines as usual: its bytes go as they stand.
    Plain(CsvSource),
    /// Anything else.
    Made(TextFile),
}

/// A CSV file whose text is made while it is read.
#[derive(Debug, Clone)]
pub(super) struct TextFile {
    path: PathBuf,
    pub(super) identity: SourceIdentity,
    pub(super) packing: Packing,
    pub(super) encoding: &'static Encoding,
    /// Whether it begins with a byte order mark.
    pub(super) has_mark: bool,
    /// Whether its lines end with a lone carriage return.
    pub(super) returns: bool,
    pub(super) dialect: Dialect,
    pub(super) header: Vec<String>,
}

/// Looks at a CSV file. With it comes what a person should know of it.
pub(super) fn open(
    path: &Path,
    options: &SourceOptions,
) -> Result<(CsvFile, Option<String>), SourceError> {
    let refused = |reason: String| SourceError::Header { path: path.to_owned(), reason };
    let failed = |source| SourceError::Io { path: path.to_owned(), source };
    let mut file = open_regular(path)?;
    let identity = SourceIdentity::read(&mut file).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut head = Vec::new();
    (&file).take(16).read_to_end(&mut head).map_err(failed)?;
    let packing = Packing::of(&head);
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut sample = Vec::new();
    let whole = read_sample(packing, file, path, &mut sample)?;

    let asked = match &options.encoding {
        None => None,
        Some(label) => Some(decoding::by_label(label).ok_or_else(|| {
            refused(format!("`{label}` is no encoding; windows-1252, utf-16le, shift_jis are some"))
        })?),
    };
    let mark = decoding::of_mark(&sample);
    let encoding = match (mark, asked) {
        (Some((marked, _)), Some(asked)) if marked != asked => {
            return Err(refused(format!(
                "the file begins with the byte order mark of {}, and --encoding says {}",
                marked.name(),
                asked.name()
            )));
        }
        (Some((marked, _)), _) => marked,
        (None, Some(asked)) => asked,
        (None, None) => UTF_8,
    };
    if let Some(reason) = recognise::refusal(&sample, mark.is_some() || asked.is_some()) {
        return Err(refused(reason.to_owned()));
    }
    let text = if encoding == UTF_8 {
        sample.split_off(mark.map_or(0, |(_, length)| length))
    } else {
        let mut text = Vec::new();
        // A character cut at the end of the sample lies behind its last line.
        let _ = Decoded::new(sample.as_slice(), encoding).read_to_end(&mut text);
        text
    };
    let csv =
        CsvOptions { delimiter: options.delimiter, quote: options.quote, block_bytes: BLOCK_BYTES };
    let quote = options.quote.unwrap_or(b'"');
    let returns = ends_with_returns(&text, options.delimiter, quote);
    let mut dialect = if returns {
        let fed: Vec<u8> =
            text.iter().map(|&byte| if byte == b'\r' { b'\n' } else { byte }).collect();
        sniff::dialect(&fed, whole, &csv)
    } else {
        sniff::dialect(&text, whole, &csv)
    };
    if packing == Packing::None && encoding == UTF_8 && !returns {
        let csv =
            CsvOptions { delimiter: Some(dialect.delimiter), quote: Some(dialect.quote), ..csv };
        let note = no_text(&text).map(|row| {
            format!(
                "{} is not UTF-8 in row {row} or near it; --encoding names another, such as \
                 windows-1252",
                path.display()
            )
        });
        return Ok((CsvFile::Plain(open_csv(path, &csv)?), note));
    }
    let mut file = TextFile {
        path: path.to_owned(),
        identity,
        packing,
        encoding,
        has_mark: mark.is_some(),
        returns,
        dialect,
        header: Vec::new(),
    };
    let mut splitter = file.splitter(Arc::default())?;
    let header = file.explained(splitter.read_header())?;
    let Some(header) = header else {
        return Err(SourceError::Empty { path: path.to_owned() });
    };
    dialect.line_ending = header.line_ending.unwrap_or(LineEnding::Lf);
    if let Some(reason) = unusable(&header.cells) {
        return Err(refused(reason));
    }
    file.dialect = dialect;
    file.header = header.cells;
    Ok((CsvFile::Made(file), None))
}

/// About which row of the sample is not UTF-8, if any; by lines, so line breaks
/// in cells count too.
fn no_text(sample: &[u8]) -> Option<usize> {
    let error = std::str::from_utf8(sample).err()?;
    // A character cut at the end of the sample is none.
    error.error_len()?;
    Some(memchr::memchr_iter(b'\n', &sample[..error.valid_up_to()]).count())
}

/// Opens a file whose bytes can be read more than once.
pub(super) fn open_regular(path: &Path) -> Result<File, SourceError> {
    let failed = |source| SourceError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(ErrorKind::IsADirectory.into()));
    }
    if !metadata.is_file() {
        return Err(SourceError::Header {
            path: path.to_owned(),
            reason: "this is no regular file; rows must be readable more than once".to_owned(),
        });
    }
    Ok(file)
}

/// Reads the begin of the unpacked bytes; tells whether that is all of them.
fn read_sample(
    packing: Packing,
    file: File,
    path: &Path,
    sample: &mut Vec<u8>,
) -> Result<bool, SourceError> {
    let failed = |source: std::io::Error| match packing.damage(&source) {
        Some(reason) => SourceError::Damaged { path: path.to_owned(), reason },
        None => SourceError::Io { path: path.to_owned(), source },
    };
    let mut text = packing.unpack(file).map_err(failed)?;
    (&mut *text).take(SAMPLE_BYTES).read_to_end(sample).map_err(failed)?;
    Ok((sample.len() as u64) < SAMPLE_BYTES)
}

impl TextFile {
    /// A file of plain text that is to be written anew all the same.
    pub(super) fn of_plain(plain: &CsvSource) -> Self {
        TextFile {
            path: plain.path().to_owned(),
            identity: plain.identity().clone(),
            packing: Packing::None,
            encoding: UTF_8,
            has_mark: plain.has_bom(),
            returns: false,
            dialect: plain.dialect(),
            header: plain.header().to_vec(),
        }
    }

    /// The rows from the first one on.
    pub(super) fn blocks(
        &self,
        rewrite: Option<Arc<Rewrite>>,
        block_bytes: usize,
    ) -> Result<Box<dyn Blocks>, SourceError> {
        let read = Arc::new(AtomicU64::new(0));
        let mut splitter = self.splitter(Arc::clone(&read))?.block_bytes(block_bytes);
        self.explained(splitter.read_header())?;
        Ok(Box::new(TextBlocks { file: self.clone(), splitter, read, rewrite }))
    }

    fn splitter(
        &self,
        read: Arc<AtomicU64>,
    ) -> Result<RecordSplitter<Box<dyn Read + Send>>, SourceError> {
        let file = self.identity.reopen(&self.path)?;
        let text = self.packing.unpack(Counted { file, read });
        let mut text = text.map_err(|source| self.failed(source))?;
        if self.encoding == UTF_8 {
            text = without_mark(text).map_err(|source| self.failed(source))?;
        } else {
            text = Box::new(Decoded::new(text, self.encoding));
        }
        if self.returns {
            text = Box::new(FedLines::new(text, self.dialect.delimiter, self.dialect.quote));
        }
        let splitter = RecordSplitter::new(text, self.dialect, None, RowNumber(1), 0, &self.path);
        Ok(if self.encoding == UTF_8 { splitter } else { splitter.decoded() })
    }

    /// Says what an error means for a packed file.
    fn explained<T>(&self, result: Result<T, SourceError>) -> Result<T, SourceError> {
        result.map_err(|error| match error {
            SourceError::Io { source, .. } => self.failed(source),
            other => other,
        })
    }

    fn failed(&self, source: std::io::Error) -> SourceError {
        let path = self.path.clone();
        match self.packing.damage(&source) {
            Some(reason) => SourceError::Damaged { path, reason },
            None => SourceError::Io { path, source },
        }
    }
}

/// Drops the byte order mark of UTF-8, if there is one.
fn without_mark(mut text: Box<dyn Read + Send>) -> std::io::Result<Box<dyn Read + Send>> {
    let mut head = Vec::with_capacity(3);
    (&mut *text).take(3).read_to_end(&mut head)?;
    if head == recognise::BOM {
        head.clear();
    }
    Ok(Box::new(std::io::Cursor::new(head).chain(text)))
}

/// Counts the bytes that are read of a file.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.file.read(buffer)?;
        self.read.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}

struct TextBlocks {
    file: TextFile,
    splitter: RecordSplitter<Box<dyn Read + Send>>,
    read: Arc<AtomicU64>,
    rewrite: Option<Arc<Rewrite>>,
}

impl Blocks for TextBlocks {
    fn next_block(&mut self) -> Result<Option<Block>, SourceError> {
        let Some(batch) = self.file.explained(self.splitter.next_batch())? else {
            return Ok(None);
        };
        let block = Block { bytes: batch.bytes, records: batch.records };
        Ok(Some(match &self.rewrite {
            Some(rewrite) => rewrite.apply(&block),
            None => block,
        }))
    }

    fn read_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}
