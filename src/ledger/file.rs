//! The ledger's file: made, opened, locked.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::schema;
use super::{LedgerError, RunRecord};

/// A run's ledger. Calls come from many threads and are taken one after the
/// other; each blocks until its transaction is on disk.
#[derive(Debug)]
pub struct Ledger {
    connection: Mutex<Connection>,
    path: PathBuf,
    /// Held as long as the ledger is open for writing.
    _lock: Option<File>,
}

impl Ledger {
    /// Makes the ledger of a new run. Its file is private to the user (0600).
    ///
    /// # Errors
    /// [`LedgerError`] when there is one already, when the file can't be made,
    /// or when SQLite fails.
    pub fn create(path: &Path, run: &RunRecord) -> Result<Self, LedgerError> {
        let lock = lock(path)?;
        // SQLite gives the WAL the mode of the database file, so that one has
        // to be private before SQLite sees it.
        private(OpenOptions::new().write(true).create_new(true)).open(path).map_err(|source| {
            match source.kind() {
                io::ErrorKind::AlreadyExists => LedgerError::Exists { path: path.to_owned() },
                _ => LedgerError::Io { path: path.to_owned(), source },
            }
        })?;
        let ledger = Ledger::connect(path, lock)?;
        ledger.insert_run(run)?;
        sync_folder(path)?;
        Ok(ledger)
    }

    /// Opens the ledger of a run to go on with it.
    ///
    /// # Errors
    /// [`LedgerError`] when there is none, when another process works on the
    /// run, when a later release wrote it, or when it is damaged.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        if !path.is_file() {
            return Err(LedgerError::Missing { path: path.to_owned() });
        }
        let lock = lock(path)?;
        let ledger = Ledger::connect(path, lock)?;
        // A crash between the file's making and its first row leaves no run.
        ledger.run()?;
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
        let connection = match read_only(path) {
            Ok(connection) => connection,
            // In a folder without write permission SQLite can't make the
            // shared memory of a WAL; without a WAL none is needed.
            Err(_) if !with_suffix(path, "-wal").exists() => immutable(path)?,
            Err(error) => return Err(error),
        };
        check_kind(&connection, path)?;
        schema::refuse_newer(&connection)?;
        Ok(Ledger { connection: Mutex::new(connection), path: path.to_owned(), _lock: None })
    }

    /// Where the ledger is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn connect(path: &Path, lock: File) -> Result<Self, LedgerError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection =
            Connection::open_with_flags(path, flags).map_err(LedgerError::sql("be opened"))?;
        check_kind(&connection, path)?;
        connection
            .busy_timeout(BUSY_TIMEOUT)
            .and_then(|()| connection.pragma_update(None, "journal_mode", "WAL"))
            .and_then(|()| connection.pragma_update(None, "synchronous", "FULL"))
            .and_then(|()| connection.pragma_update(None, "foreign_keys", true))
            .map_err(LedgerError::sql("be opened"))?;
        schema::migrate(&mut connection)?;
        Ok(Ledger { connection: Mutex::new(connection), path: path.to_owned(), _lock: Some(lock) })
    }

    /// The connection. A panic elsewhere rolled its transaction back, so a
    /// poisoned lock guards nothing broken.
    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a write waits for a reader that holds up a checkpoint.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Refuses a file that is something else. A file that is still empty passes:
/// its process died before the first migration.
fn check_kind(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let not_ours = || LedgerError::NotALedger { path: path.to_owned() };
    match schema::application_id(connection) {
        Ok(schema::APPLICATION_ID) => Ok(()),
        Ok(0) if schema::version(connection)? == 0 => {
            let tables: i64 = connection
                .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
                .map_err(LedgerError::sql("be read"))?;
            if tables == 0 { Ok(()) } else { Err(not_ours()) }
        }
        Ok(_) => Err(not_ours()),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            Err(not_ours())
        }
        Err(error) => Err(LedgerError::sql("be read")(error)),
    }
}

fn read_only(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = || LedgerError::sql("be opened for reading");
    let connection = Connection::open_with_flags(path, flags).map_err(failed())?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed())?;
    schema::version(&connection)?;
    Ok(connection)
}

fn immutable(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    // Only these characters mean something in a file URI's path.
    let escaped =
        path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)
        .map_err(LedgerError::sql("be opened for reading"))
}

/// Takes the run's lock. The system frees it when the process ends, however
/// it ends.
fn lock(path: &Path) -> Result<File, LedgerError> {
    let path = with_suffix(path, ".lock");
    let io = |source| LedgerError::Io { path: path.clone(), source };
    let file = private(OpenOptions::new().write(true).create(true).truncate(false))
        .open(&path)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LedgerError::Locked { path }),
        Err(TryLockError::Error(source)) => Err(LedgerError::Io { path, source }),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
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
