//! One writer an archive at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use super::ExportError;

/// Name of the file that is locked, in the archive's folder.
pub const LOCK_FILE: &str = ".bulkhaul.lock";

/// The lock of an archive. The system frees it when the process ends, however
/// it ends. Its file stays: removed, two could hold a lock each.
#[derive(Debug)]
pub struct ArchiveLock {
    _file: File,
}

impl ArchiveLock {
    /// Takes the lock of the archive in this folder.
    ///
    /// # Errors
    /// [`ExportError::Locked`] when another process writes into it,
    /// [`ExportError::Io`] when its file can't be made.
    pub fn take(archive: &Path) -> Result<Self, ExportError> {
        let path = archive.join(LOCK_FILE);
        let failed =
            |source: io::Error| ExportError::Io { path: path.clone(), action: "written", source };
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(ArchiveLock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(ExportError::Locked { archive: archive.to_owned() })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}
