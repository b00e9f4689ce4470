//! How a source is known again.

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::rows::SourceError;

/// Bytes hashed at each end of a file.
const END_BYTES: u64 = 1 << 20;

/// What tells whether a file is the one it was: for a resume all of it, for
/// the refusal of an accidental second load size and digest, which a copy or a
/// `touch` leaves as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceIdentity {
    /// Size in bytes.
    pub bytes: u64,
    /// When it was last changed, in nanoseconds since 1970, where the file
    /// system tells.
    pub modified_ns: Option<u64>,
    /// Inode number, where there are such.
    pub inode: Option<u64>,
    /// Digest (xxh3, 128 bits, hexadecimal) of the first and last megabyte.
    pub digest: String,
}

impl SourceIdentity {
    /// Reads the identity of an open file; leaves its position anywhere.
    pub(super) fn read(file: &mut File) -> std::io::Result<Self> {
        let metadata = file.metadata()?;
        let bytes = metadata.len();
        let mut hash = Xxh3::new();
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.take(END_BYTES).read_to_end(&mut text)?;
        hash.update(&text);
        if bytes > END_BYTES {
            // The two ends never overlap, so that each byte counts once.
            file.seek(SeekFrom::Start(END_BYTES.max(bytes - END_BYTES)))?;
            text.clear();
            file.take(END_BYTES).read_to_end(&mut text)?;
            hash.update(&text);
        }
        Ok(SourceIdentity {
            bytes,
            modified_ns: modified_ns(&metadata),
            inode: inode(&metadata),
            digest: format!("{:032x}", hash.digest128()),
        })
    }

    /// Whether two files hold the same data, as far as can be told without
    /// reading them whole: same size, same ends.
    pub fn is_same_data(&self, other: &SourceIdentity) -> bool {
        self.bytes == other.bytes && self.digest == other.digest
    }

    /// The identity of a file.
    ///
    /// # Errors
    /// [`SourceError::Io`].
    pub fn of(path: &Path) -> Result<Self, SourceError> {
        let failed = |source| SourceError::Io { path: path.to_owned(), source };
        SourceIdentity::read(&mut File::open(path).map_err(failed)?).map_err(failed)
    }

    /// What several files are known by together.
    pub(super) fn of_all<'a>(all: impl Iterator<Item = &'a SourceIdentity>) -> Self {
        let mut hash = Xxh3::new();
        let mut bytes = 0;
        for identity in all {
            bytes += identity.bytes;
            hash.update(identity.digest.as_bytes());
            hash.update(&identity.bytes.to_le_bytes());
        }
        let digest = format!("{:032x}", hash.digest128());
        SourceIdentity { bytes, modified_ns: None, inode: None, digest }
    }

    /// Opens the file again, if it is still the same.
    ///
    /// # Errors
    /// [`SourceError::Changed`] if not, `Io` when it is gone.
    pub(super) fn reopen(&self, path: &Path) -> Result<File, SourceError> {
        let failed = |source| SourceError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        if self.fits(&file.metadata().map_err(failed)?) {
            Ok(file)
        } else {
            Err(SourceError::Changed { path: path.to_owned() })
        }
    }

    /// Whether a file still looks as it did, without reading it.
    pub(super) fn fits(&self, metadata: &Metadata) -> bool {
        self.bytes == metadata.len()
            && self.modified_ns == modified_ns(metadata)
            && self.inode == inode(metadata)
    }
}

fn modified_ns(metadata: &Metadata) -> Option<u64> {
    let since = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have none")]
fn inode(metadata: &Metadata) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    Some(metadata.ino())
}

#[cfg(not(unix))]
fn inode(_metadata: &Metadata) -> Option<u64> {
    None
}
