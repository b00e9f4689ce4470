//! The lock of a run, and in the same file a mark that tells whether the
//! ledger was closed in order.
//!
//! The mark is there because a ledger that lost its log (`ledger.sqlite-wal`)
//! still opens, only older than it was, and would have rows sent twice (I2).
//! While a process works on a run, and after it died, the mark says `open`:
//! then the log has to be there. A ledger closed in order has none.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::LedgerError;
use super::file::{private, with_suffix};

/// How often the lock is tried, and the pause between: somebody who only asks
/// whether a run is worked on holds it for a moment.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

const OPEN: &[u8] = b"open\n";
const CLOSED: &[u8] = b"closed\n";

/// The lock of a run. While it is held no other process works on the run; the
/// system frees it when the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    file: File,
    path: PathBuf,
}

impl RunLock {
    /// Takes the lock of the run whose ledger this is.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] when another process holds it,
    /// [`LedgerError::Io`] when its file can't be made.
    pub fn take(ledger: &Path) -> Result<Self, LedgerError> {
        let path = lock_path(ledger);
        let file = private(OpenOptions::new().read(true).write(true).create(true).truncate(false))
            .open(&path)
            .map_err(|source| LedgerError::Io { path: path.clone(), source })?;
        for left in (0..TRIES).rev() {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if left > 0 => std::thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => return Err(LedgerError::Locked { path }),
                Err(TryLockError::Error(source)) => return Err(LedgerError::Io { path, source }),
            }
        }
        Ok(RunLock { file, path })
    }

    /// Marks the ledger as open: from here on its log has to be there.
    pub(super) fn mark_open(&self) -> Result<(), LedgerError> {
        self.mark(OPEN)
    }

    /// Marks the ledger as closed: its log is empty, so it may go.
    pub(super) fn mark_closed(&self) -> Result<(), LedgerError> {
        self.mark(CLOSED)
    }

    fn mark(&self, word: &[u8]) -> Result<(), LedgerError> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(word))
            .and_then(|()| file.set_len(word.len() as u64))
            .and_then(|()| file.sync_all())
            .map_err(|source| LedgerError::Io { path: self.path.clone(), source })
    }
}

/// Whether a living process works on the run whose ledger this is.
pub fn is_worked_on(ledger: &Path) -> bool {
    let Ok(file) = File::open(lock_path(ledger)) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Whether a ledger that was not closed in order has lost its log. One without
/// a mark is taken as it is.
pub(super) fn log_is_missing(ledger: &Path) -> bool {
    // Twice, because a process may be closing it: it marks first.
    marked_open(ledger) && !with_suffix(ledger, "-wal").exists() && marked_open(ledger)
}

fn marked_open(ledger: &Path) -> bool {
    let mut word = Vec::new();
    let read = File::open(lock_path(ledger))
        .and_then(|file| file.take(CLOSED.len() as u64).read_to_end(&mut word));
    read.is_ok() && word.starts_with(OPEN)
}

fn lock_path(ledger: &Path) -> PathBuf {
    with_suffix(ledger, ".lock")
}
