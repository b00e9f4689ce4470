//! A table that is too large for memory: an SQLite file of keys and values in a
//! temporary folder, read by any number of threads.
//!
//! It is made from a file that is still there, so nothing in it has to survive.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::Found;
use crate::rows::{TemporaryFolder, private_file};

/// KiB of pages that the writer keeps, so that keys in order are entered at the
/// speed of the disk.
const WRITE_CACHE_KIB: i64 = 64 << 10;

/// KiB of pages that each reader keeps; what is left out the system has.
const READ_CACHE_KIB: i64 = 4 << 10;

/// Enters a value; a key with another one than before has none.
const ENTER: &str = "INSERT INTO entries (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE \
                     SET value = NULL WHERE value IS NOT excluded.value";

/// Why a table can't be written: most often the disk is full.
#[derive(Debug, thiserror::Error)]
#[error("{} can't be written, where a lookup lies that is too large for memory", path.display())]
pub(super) struct DiskError {
    path: PathBuf,
    source: Box<dyn std::error::Error>,
}

impl DiskError {
    fn at<E: std::error::Error + 'static>(path: &Path) -> impl Fn(E) -> DiskError + use<E> {
        let path = path.to_owned();
        move |source| DiskError { path: path.clone(), source: source.into() }
    }
}

/// Writes a table.
pub(super) struct DiskWriter {
    connection: Connection,
    path: PathBuf,
    folder: TemporaryFolder,
}

impl DiskWriter {
    /// Begins one in a folder of its own below this one.
    pub(super) fn begin(scratch: &Path) -> Result<Self, DiskError> {
        let folder =
            TemporaryFolder::of_process(scratch, "lookup").map_err(DiskError::at(scratch))?;
        let path = folder.path().join("table.sqlite");
        private_file(&path).map_err(DiskError::at(&path))?;
        let begin = || -> rusqlite::Result<_> {
            let connection = Connection::open(&path)?;
            connection.pragma_update(None, "journal_mode", "OFF")?;
            connection.pragma_update(None, "synchronous", "OFF")?;
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            connection.pragma_update(None, "cache_size", -WRITE_CACHE_KIB)?;
            connection.execute_batch(
                "CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
            )?;
            Ok(connection)
        };
        let connection = begin().map_err(DiskError::at(&path))?;
        Ok(DiskWriter { connection, path, folder })
    }

    /// Enters values, `None` for a key that has several.
    pub(super) fn write<'e>(
        &mut self,
        entries: impl Iterator<Item = (&'e str, Option<&'e str>)>,
    ) -> Result<(), DiskError> {
        let connection = &mut self.connection;
        let write = || {
            let whole = connection.transaction()?;
            {
                let mut enter = whole.prepare_cached(ENTER)?;
                for entry in entries {
                    enter.execute(entry)?;
                }
            }
            whole.commit()
        };
        write().map_err(DiskError::at(&self.path))
    }

    pub(super) fn finish(self) -> Result<DiskTable, DiskError> {
        let DiskWriter { connection, path, folder } = self;
        let failed = DiskError::at(&path);
        let keys = connection
            .query_row("SELECT count(*) FROM entries", [], |row| row.get::<_, i64>(0))
            .map_err(&failed)?;
        connection.close().map_err(|(_, source)| failed(source))?;
        let keys = keys.cast_unsigned();
        Ok(DiskTable { idle: Mutex::default(), path, keys, _folder: folder })
    }
}

/// A table on disk.
#[derive(Debug)]
pub(super) struct DiskTable {
    /// Connections that no thread uses at the moment: as many as there were
    /// threads at a time.
    idle: Mutex<Vec<Connection>>,
    path: PathBuf,
    keys: u64,
    /// Goes when the table does.
    _folder: TemporaryFolder,
}

impl DiskTable {
    /// Keys in it.
    pub(super) const fn keys(&self) -> u64 {
        self.keys
    }

    /// Looks up a key; the value is written into `room`.
    pub(super) fn find(&self, key: &str, room: &mut String) -> Found<'static> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let find = || {
            let connection = match taken {
                Some(connection) => connection,
                None => self.connect()?,
            };
            let found = connection
                .prepare_cached("SELECT value FROM entries WHERE key = ?1")?
                .query_row([key], |row| {
                    let value = row.get_ref(0)?.as_str_or_null()?;
                    Ok(value.map_or(Found::Several, |value| {
                        room.clear();
                        room.push_str(value);
                        Found::InRoom
                    }))
                })
                .optional()?;
            idle().push(connection);
            Ok::<_, rusqlite::Error>(found.unwrap_or(Found::Nothing))
        };
        find().unwrap_or(Found::Unreadable)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        // The lock is taken once: nobody writes any longer.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.pragma_update(None, "cache_size", -READ_CACHE_KIB)?;
        Ok(connection)
    }
}

#[cfg(test)]
impl DiskTable {
    /// A table of a file that is there already.
    pub(super) fn unopened(path: &Path) -> Self {
        let gone = path.with_file_name("gone");
        let folder = TemporaryFolder::create(&gone).unwrap_or_else(|error| panic!("{error}"));
        DiskTable { idle: Mutex::default(), path: path.to_owned(), keys: 0, _folder: folder }
    }
}
