//! Reading a file at any place from many threads at once.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use super::plausible;

/// Bytes read at a time for the head of a page, which has some 30 to 100.
const HEAD_BYTES: usize = 512;

/// An open file of a known length. Readers from it share no position, unlike
/// those of the `File` that the crate offers.
#[derive(Debug, Clone)]
pub(super) struct Chunks {
    file: Arc<File>,
    len: u64,
    /// Whether what is read piece by piece are heads of pages.
    pages: bool,
    #[cfg(not(unix))]
    lock: Arc<std::sync::Mutex<()>>,
}

impl Chunks {
    /// For the footer alone.
    pub(super) fn of_footer(file: File, len: u64) -> Self {
        Chunks { pages: false, ..Chunks::new(file, len) }
    }

    /// For the pages.
    pub(super) fn new(file: File, len: u64) -> Self {
        Chunks {
            file: Arc::new(file),
            len,
            pages: true,
            #[cfg(not(unix))]
            lock: Arc::default(),
        }
    }

    /// The open file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    #[cfg(unix)]
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        use std::os::unix::fs::FileExt as _;
        self.file.read_at(buffer, at)
    }

    #[cfg(not(unix))]
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        use std::io::{Seek as _, SeekFrom};
        let _guard = self.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut file = self.file.as_ref();
        file.seek(SeekFrom::Start(at))?;
        file.read(buffer)
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Chunks {
    type T = Head;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let at = At { chunks: self.clone(), at: start };
        Ok(Head { read: BufReader::with_capacity(HEAD_BYTES, at), judged: !self.pages })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // Before anything is reserved: a damaged file may claim any length.
        if start.checked_add(length as u64).is_none_or(|end| end > self.len) {
            return Err(ParquetError::EOF("a part lies beyond the end of the file".to_owned()));
        }
        let mut bytes = vec![0; length];
        At { chunks: self.clone(), at: start }
            .read_exact(&mut bytes)
            .map_err(|error| ParquetError::External(Box::new(error)))?;
        Ok(Bytes::from(bytes))
    }
}

/// A reader that looks at the head of a page before it gives of it. It is asked
/// for at places where no head is, too, but then nothing is read from it.
#[derive(Debug)]
pub(super) struct Head {
    read: BufReader<At>,
    judged: bool,
}

impl Read for Head {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.judged {
            self.judged = true;
            if !plausible::page(self.read.fill_buf()?) {
                let reason = "a page tells of more values than it holds";
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
        }
        self.read.read(buffer)
    }
}

/// A place in the file from which is read on.
#[derive(Debug)]
pub(super) struct At {
    chunks: Chunks,
    at: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.chunks.read_at(buffer, self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}
