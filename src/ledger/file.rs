//! The ledger's file: made, opened, locked.

#[cfg(unix)]
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::lock::log_is_missing;
use super::schema;
use super::{LedgerError, RunLock, RunRecord};

/// A run's ledger. Calls come from many threads and are taken one after the
/// other; each blocks until its transaction is on disk.
#[derive(Debug)]
pub struct Ledger {
    connection: Mutex<Connection>,
    path: PathBuf,
    /// Held as long as the ledger is open for writing.
    lock: Option<RunLock>,
}

impl Ledger {
    /// Makes the ledger of a new run. Its file is private to the user (0600).
    ///
    /// # Errors
    /// [`LedgerError`] when there is one already, when the file can't be made,
    /// or when SQLite fails.
    pub fn create(path: &Path, run: &RunRecord) -> Result<Self, LedgerError> {
        let lock = RunLock::take(path)?;
        // SQLite gives the WAL the mode of the database file, so that one has
        // to be private before SQLite sees it.
        private(OpenOptions::new().write(true).create_new(true)).open(path).map_err(|source| {
            match source.kind() {
                io::ErrorKind::AlreadyExists => LedgerError::Exists { path: path.to_owned() },
                _ => LedgerError::Io { path: path.to_owned(), source },
            }
        })?;
        let mut connection = connect(path)?;
        prepare(&mut connection, path)?;
        let ledger = Ledger::new(connection, path, Some(lock));
        ledger.insert_run(run)?;
        ledger.mark_open()?;
        Ok(ledger)
    }

    /// Opens the ledger of a run to go on with it, after a look at its whole
    /// structure (some 15 ms for 10,000 chunks).
    ///
    /// # Errors
    /// [`LedgerError`] when there is none, when another process works on the
    /// run, when a later release wrote it, or when it is damaged.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        if !path.is_file() {
            return Err(LedgerError::Missing { path: path.to_owned() });
        }
        let lock = RunLock::take(path)?;
        refuse_lost_log(path)?;
        let mut connection = connect(path)?;
        refuse_empty(&connection, path)?;
        // Before anything is written into it.
        quick_check(&connection, path)?;
        prepare(&mut connection, path)?;
        let ledger = Ledger::new(connection, path, Some(lock));
        // A crash between the file's making and its first row leaves no run.
        ledger.run()?;
        ledger.mark_open()?;
        Ok(ledger)
    }

    /// Opens a ledger to look at it, also while another process writes.
    /// Writing through it fails.
    ///
    /// # Errors
    /// [`LedgerError`] when there is none or it can't be read.
    pub fn open_read_only(path: &Path) -> Result<Self, LedgerError> {
        if !path.is_file() {
            return Err(LedgerError::Missing { path: path.to_owned() });
        }
        refuse_lost_log(path)?;
        let connection = match read_only(path) {
            Ok(connection) => connection,
            // In a folder without write permission SQLite can't make the
            // shared memory of a WAL; without a WAL none is needed.
            Err(LedgerError::Sql { .. }) if !with_suffix(path, "-wal").exists() => immutable(path)?,
            Err(error) => return Err(error),
        };
        schema::refuse_newer(&connection)?;
        refuse_empty(&connection, path)?;
        Ok(Ledger::new(connection, path, None))
    }

    /// Where the ledger is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn new(connection: Connection, path: &Path, lock: Option<RunLock>) -> Self {
        Ledger { connection: Mutex::new(connection), path: path.to_owned(), lock }
    }

    /// Says durably that the log, which is there by now, belongs to it.
    fn mark_open(&self) -> Result<(), LedgerError> {
        sync_folder(&self.path)?;
        self.lock.as_ref().map_or(Ok(()), RunLock::mark_open)
    }

    /// Wraps an error of SQLite with the file and what was being done.
    pub(super) fn sql(&self, action: &'static str) -> impl FnOnce(rusqlite::Error) -> LedgerError {
        LedgerError::sql(&self.path, action)
    }

    /// The connection. A panic elsewhere rolled its transaction back, so a
    /// poisoned lock guards nothing broken.
    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ledger {
    /// Takes the log in and marks the ledger closed, in this order: whenever
    /// the process dies, a ledger marked open has its log beside it.
    fn drop(&mut self) {
        let Some(lock) = &self.lock else { return };
        let connection = self.connection.get_mut().unwrap_or_else(PoisonError::into_inner);
        let taken_in = connection.busy_timeout(LAST_WAIT).is_ok()
            && connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
                .is_ok_and(|busy| busy == 0);
        // Otherwise, on a full disk or with a reader at this moment, it stays.
        if taken_in && lock.mark_closed().is_ok() {
            let _ = keep_log(connection, false);
        }
    }
}

/// Whether SQLite leaves the log where it is when the connection ends. It is
/// to go only with a ledger that was closed in order, never with one that was
/// refused.
fn keep_log(connection: &Connection, keep: bool) -> Result<bool, rusqlite::Error> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep)
}

fn connect(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(LedgerError::sql(path, "be opened"))?;
    keep_log(&connection, true)
        .and_then(|_| connection.busy_timeout(BUSY_TIMEOUT))
        .map_err(LedgerError::sql(path, "be opened"))?;
    check_kind(&connection, path)?;
    Ok(connection)
}

/// Makes a connection one to write with, and the file one of this version.
fn prepare(connection: &mut Connection, path: &Path) -> Result<(), LedgerError> {
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .and_then(|()| connection.pragma_update(None, "synchronous", "FULL"))
        .and_then(|()| connection.pragma_update(None, "foreign_keys", true))
        .map_err(LedgerError::sql(path, "be opened"))?;
    schema::migrate(connection)
}

fn refuse_lost_log(path: &Path) -> Result<(), LedgerError> {
    if log_is_missing(path) {
        Err(LedgerError::LogMissing { path: path.to_owned() })
    } else {
        Ok(())
    }
}

/// Refuses a file without a table: cut to nothing, or never begun.
fn refuse_empty(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    if tables(connection, path)? == 0 {
        return Err(LedgerError::Empty { path: path.to_owned() });
    }
    Ok(())
}

fn tables(connection: &Connection, path: &Path) -> Result<i64, LedgerError> {
    connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(LedgerError::sql(path, "be read"))
}

/// Has SQLite look at every page. Rows of the ledger are what decides whether
/// something is sent again, so none of a damaged one is believed.
fn quick_check(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(LedgerError::sql(path, "be checked"))?;
    if found == "ok" {
        return Ok(());
    }
    let what = found.split_whitespace().collect::<Vec<_>>().join(" ");
    Err(LedgerError::Damaged { path: path.to_owned(), what })
}

/// How long the end waits for a reader; the log can stay as well.
const LAST_WAIT: Duration = Duration::from_millis(250);

/// How long a write waits for a reader that holds up a checkpoint.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Refuses a file that is something else. A file that is still empty passes:
/// its process died before the first migration.
fn check_kind(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let not_ours = || LedgerError::NotALedger { path: path.to_owned() };
    match schema::application_id(connection) {
        Ok(schema::APPLICATION_ID) => Ok(()),
        Ok(0) if schema::version(connection)? == 0 => {
            if tables(connection, path)? == 0 {
                Ok(())
            } else {
                Err(not_ours())
            }
        }
        Ok(_) => Err(not_ours()),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            Err(not_ours())
        }
        Err(error) => Err(LedgerError::sql(path, "be read")(error)),
    }
}

fn read_only(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = || LedgerError::sql(path, "be opened for reading");
    let connection = Connection::open_with_flags(path, flags).map_err(failed())?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed())?;
    check_kind(&connection, path)?;
    Ok(connection)
}

fn immutable(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    // Only these characters mean something in a file URI's path.
    let escaped =
        path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let connection = Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)
        .map_err(LedgerError::sql(path, "be opened for reading"))?;
    check_kind(&connection, path)?;
    Ok(connection)
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

/// Makes the new name itself survive a power cut.
fn sync_folder(path: &Path) -> Result<(), LedgerError> {
    #[cfg(unix)]
    {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| LedgerError::Io { path: folder.to_owned(), source })?;
    }
    Ok(())
}
