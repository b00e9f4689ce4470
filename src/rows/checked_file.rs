//! A private file with a checksum that appears whole or not at all: what the
//! row map and the group index have in common.
//!
//! ```text
//! header   4 letters that say what it is, version u16, 0 u16, number u64
//! body
//! trailer  what the kind of file says, xxh3-64 of all before it u64
//! ```

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3Default;

use super::{private_file, sync_folder};

/// Bytes of the header.
pub(super) const HEADER_BYTES: u64 = 16;
/// Bytes of the checksum at the end.
pub(super) const CHECKSUM_BYTES: u64 = 8;

const VERSION: u16 = 1;

/// Bytes moved at a time.
const BUFFER: usize = 128 << 10;

/// Writes such a file under a temporary name. Dropped without
/// [`CheckedWriter::finish`] it leaves nothing.
pub(super) struct CheckedWriter {
    /// `None` once finished.
    out: Option<BufWriter<File>>,
    hash: Box<Xxh3Default>,
    path: PathBuf,
    temporary: PathBuf,
}

impl CheckedWriter {
    /// Begins a file, readable by its owner only; a leftover is overwritten.
    pub(super) fn create(path: &Path, letters: [u8; 4], number: u64) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let temporary = PathBuf::from(name);
        let file = private_file(&temporary)?;
        let mut writer = CheckedWriter {
            out: Some(BufWriter::with_capacity(BUFFER, file)),
            hash: Box::default(),
            path: path.to_owned(),
            temporary,
        };
        let mut header = Vec::with_capacity(HEADER_BYTES as usize);
        header.extend_from_slice(&letters);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&[0, 0]);
        header.extend_from_slice(&number.to_le_bytes());
        writer.write(&header)?;
        Ok(writer)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.out.as_mut().map_or(Ok(()), |out| out.write_all(bytes))
    }

    /// Ends the file: written, synced, renamed, its folder synced.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let checksum = self.hash.digest();
        if let Some(out) = &mut self.out {
            out.write_all(&checksum.to_le_bytes())?;
            out.flush()?;
            out.get_ref().sync_all()?;
        }
        std::fs::rename(&self.temporary, &self.path)?;
        self.out = None;
        sync_folder(&self.path)
    }
}

impl Drop for CheckedWriter {
    fn drop(&mut self) {
        if self.out.take().is_some() {
            // Nothing depends on it; a leftover is overwritten next time.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// A file found whole.
pub(super) struct Checked {
    /// Open, at any place.
    pub(super) file: File,
    /// The number in the header.
    pub(super) number: u64,
    /// The trailer without the checksum.
    pub(super) trailer: Vec<u8>,
    /// Where the trailer begins.
    pub(super) body_end: u64,
}

/// Opens a file and reads it once to see that it is whole.
pub(super) fn open_checked(path: &Path, letters: [u8; 4], trailer: u64) -> io::Result<Checked> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let Some(body_end) =
        length.checked_sub(trailer + CHECKSUM_BYTES).filter(|end| *end >= HEADER_BYTES)
    else {
        return Err(damaged(path, "it is too short"));
    };
    let mut hash = Xxh3Default::new();
    let mut block = vec![0u8; BUFFER];
    let mut left = length - CHECKSUM_BYTES;
    while left > 0 {
        let want = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let part = block.get_mut(..want).unwrap_or_default();
        file.read_exact(part)?;
        hash.update(part);
        left -= want as u64;
    }
    let mut checksum = [0u8; 8];
    file.read_exact(&mut checksum)?;
    if hash.digest() != u64::from_le_bytes(checksum) {
        return Err(damaged(path, "its checksum is wrong"));
    }
    let mut header = [0u8; HEADER_BYTES as usize];
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut header)?;
    if !header.starts_with(&letters) {
        return Err(damaged(path, "it is something else"));
    }
    if header.get(4..6) != Some(VERSION.to_le_bytes().as_slice()) {
        return Err(damaged(path, "its version is not known"));
    }
    let mut end = vec![0u8; trailer as usize];
    file.seek(SeekFrom::Start(body_end))?;
    file.read_exact(&mut end)?;
    Ok(Checked { file, number: number_at(&header, 8), trailer: end, body_end })
}

/// The number that stands at a place; 0 where there is none.
pub(super) fn number_at(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_le_bytes)
}

/// The error for a file that is not what was written.
pub(super) fn damaged(path: &Path, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged: {what}", path.display()))
}
