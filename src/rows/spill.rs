//! Records on disk while they are being sorted.
//!
//! Temporary files in a folder of their own, private and never synced: a run
//! that dies begins the sort again.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::{TemporaryFolder, new_private_file};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 256 << 10;

/// Key, row and length before each record.
const HEAD_BYTES: usize = 20;

/// The temporary files.
#[derive(Debug)]
pub(crate) struct Spills {
    folder: TemporaryFolder,
    next: u64,
}

impl Spills {
    /// Makes their folder anew.
    pub(crate) fn create(folder: &Path) -> io::Result<Self> {
        TemporaryFolder::create(folder).map(Spills::within)
    }

    /// Has them lie in a folder that is there.
    pub(crate) const fn within(folder: TemporaryFolder) -> Self {
        Spills { folder, next: 0 }
    }

    /// Begins a file.
    pub(crate) fn begin(&mut self) -> io::Result<SpillWriter> {
        self.next += 1;
        let path = self.folder.path().join(format!("{:06}.run", self.next));
        let out = BufWriter::with_capacity(WRITE_BYTES, new_private_file(&path)?);
        Ok(SpillWriter { out, spill: Spill { path, records: 0 } })
    }
}

/// A record as it stood in the source, with its line end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) key: u64,
    pub(crate) row: u64,
    pub(crate) bytes: &'a [u8],
}

/// Writes records to a temporary file.
pub(crate) struct SpillWriter {
    out: BufWriter<File>,
    spill: Spill,
}

impl SpillWriter {
    pub(crate) fn push(&mut self, record: Record<'_>) -> io::Result<()> {
        let length = u32::try_from(record.bytes.len()).map_err(io::Error::other)?;
        let mut head = [0u8; HEAD_BYTES];
        head[..8].copy_from_slice(&record.key.to_le_bytes());
        head[8..16].copy_from_slice(&record.row.to_le_bytes());
        head[16..].copy_from_slice(&length.to_le_bytes());
        self.out.write_all(&head)?;
        self.out.write_all(record.bytes)?;
        self.spill.records += 1;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<Spill> {
        self.out.flush()?;
        Ok(self.spill)
    }
}

/// A temporary file of records.
#[derive(Debug)]
pub(crate) struct Spill {
    path: PathBuf,
    records: u64,
}

impl Spill {
    /// Reads it from the start, `buffer` bytes at a time; it is removed when
    /// the reader is dropped.
    pub(crate) fn read(self, buffer: usize) -> io::Result<SpillReader> {
        let file = BufReader::with_capacity(buffer, File::open(&self.path)?);
        let mut reader = SpillReader {
            file,
            path: self.path,
            left: self.records,
            key: 0,
            row: 0,
            bytes: Vec::new(),
            has_record: false,
        };
        reader.advance()?;
        Ok(reader)
    }
}

/// Reads records, of which one is at hand.
#[derive(Debug)]
pub(crate) struct SpillReader {
    file: BufReader<File>,
    path: PathBuf,
    left: u64,
    key: u64,
    row: u64,
    bytes: Vec<u8>,
    has_record: bool,
}

impl SpillReader {
    /// The record at hand.
    pub(crate) fn record(&self) -> Option<Record<'_>> {
        let record = Record { key: self.key, row: self.row, bytes: &self.bytes };
        self.has_record.then_some(record)
    }

    /// Goes on to the next record. Whether there is one.
    pub(crate) fn advance(&mut self) -> io::Result<bool> {
        self.has_record = self.left > 0;
        if !self.has_record {
            return Ok(false);
        }
        self.left -= 1;
        let mut head = [0u8; HEAD_BYTES];
        self.file.read_exact(&mut head)?;
        let number = |at: usize| {
            let bytes = head.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u64::from_le_bytes)
        };
        self.key = number(0);
        self.row = number(8);
        let length = u32::from_le_bytes([head[16], head[17], head[18], head[19]]);
        self.bytes.resize(length as usize, 0);
        self.file.read_exact(&mut self.bytes)?;
        Ok(true)
    }
}

impl Drop for SpillReader {
    fn drop(&mut self) {
        // Its folder goes in the end anyway; this frees the room earlier.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Records set aside in the order in which they come; no file without one.
pub(crate) struct SetAside {
    writer: Option<SpillWriter>,
}

impl SetAside {
    pub(crate) const fn new() -> Self {
        SetAside { writer: None }
    }

    pub(crate) fn push(&mut self, spills: &mut Spills, record: Record<'_>) -> io::Result<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(spills.begin()?),
        };
        writer.push(record)
    }

    pub(crate) fn read(self, buffer: usize) -> io::Result<Option<SpillReader>> {
        self.writer.map(|writer| writer.finish()?.read(buffer)).transpose()
    }
}
