//! Records in SQLite, in the org's folder or in memory.
//!
//! One connection writes, under a lock that a unit of a job's work holds for
//! some tens of milliseconds. On disk readers have connections of their own
//! (WAL) and wait for nobody; in memory they share the writer's. Scans read a
//! page at a time and hold nothing between pages, so a visitor may ask the
//! store again.
//!
//! WAL with `synchronous=NORMAL`: a killed process loses nothing that was
//! committed; after a power cut the last commits may be missing, but the rest
//! is whole. That is enough for an org that stands in for a remote one.

pub(crate) mod blob;
pub(crate) mod journal;
mod table;
mod view;
mod write;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::catalogue::{Catalogue, ObjectDef};
use super::ids::RecordKey;
use super::value::Value;
pub use journal::Change;
pub(crate) use journal::Effect;
pub(crate) use table::{Key, Table};
pub(crate) use view::{Range, Row, View};
pub(crate) use write::{Lookups, TableWriter};

/// Records read at a time by a scan: few enough to be quick, enough to make
/// the cost of asking small.
const SCAN_PAGE: usize = 2_000;

/// Objects of the setup, whose records use up no data storage.
const SETUP: [&str; 8] = [
    "CaseStatus",
    "Group",
    "Organization",
    "PermissionSet",
    "PermissionSetAssignment",
    "Profile",
    "RecordType",
    "User",
];

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS slots (
        object TEXT NOT NULL, field TEXT NOT NULL, slot INTEGER NOT NULL,
        PRIMARY KEY (object, field)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS counters (
        object TEXT PRIMARY KEY, next INTEGER NOT NULL, live INTEGER NOT NULL,
        deleted INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS units (
        job INTEGER NOT NULL, unit INTEGER NOT NULL, processed INTEGER NOT NULL,
        failed INTEGER NOT NULL, successes_end INTEGER NOT NULL, failures_end INTEGER NOT NULL,
        ms INTEGER NOT NULL, PRIMARY KEY (job, unit)) WITHOUT ROWID;";

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite failed.
    #[error("the local org's database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// An object that isn't in the catalogue the store was opened with.
    #[error("the local org has no object {0}")]
    NoObject(String),
    /// A job's state can't be written or read back.
    #[error("the local org's list of jobs is damaged")]
    Job(#[source] serde_json::Error),
    /// A record can't have the id it was given.
    #[error("{0} is no id of this object, or taken")]
    BadId(String),
}

/// A record as it is read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    /// 18 characters.
    pub id: String,
    /// In the recycle bin.
    pub deleted: bool,
    /// By field; `Id` and `IsDeleted` among them.
    pub values: Vec<Value>,
}

/// A unit of a job's work that is done: committed together with its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnitDone {
    /// Number within the job, in upload order.
    pub unit: u32,
    /// Rows processed, failures included.
    pub processed: u64,
    /// Rows failed.
    pub failed: u64,
    /// Length of the job's file of successes with this unit in it.
    pub successes_end: u64,
    /// The same of its failures.
    pub failures_end: u64,
    /// Milliseconds the work took.
    pub ms: u64,
}

/// The org's records.
#[derive(Debug)]
pub(crate) struct Store {
    tables: HashMap<String, Arc<Table>>,
    writer: Mutex<Connection>,
    readers: Option<Readers>,
}

#[derive(Debug)]
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn open(&self) -> Result<Connection, rusqlite::Error> {
        // Not read-only: the last connection of a WAL database has to tidy up.
        let connection = Connection::open_with_flags(
            &self.path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(std::time::Duration::from_secs(30))?;
        connection.execute_batch("PRAGMA query_only = ON")?;
        Ok(connection)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves a rolled-back transaction, nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Opens `dir/records.sqlite`, or a store in memory.
    ///
    /// # Errors
    /// When the file can't be opened or isn't what this module wrote.
    pub(crate) fn open(dir: Option<&Path>, catalogue: &Catalogue) -> Result<Store, StoreError> {
        let path = dir.map(|dir| dir.join("records.sqlite"));
        let connection = match &path {
            Some(path) => Connection::open(path)?,
            None => Connection::open_in_memory()?,
        };
        // One table of statements per object and verb.
        connection.set_prepared_statement_cache_capacity(256);
        connection.execute_batch(
            "PRAGMA page_size = 8192;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = NORMAL;
             PRAGMA wal_autocheckpoint = 8000;
             PRAGMA journal_size_limit = 134217728;
             PRAGMA cache_size = -131072;
             PRAGMA temp_store = MEMORY;",
        )?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        connection.execute_batch(SCHEMA)?;
        connection.execute_batch(journal::SCHEMA)?;
        let mut tables = HashMap::new();
        for object in catalogue.objects() {
            let table = Table::open(&connection, object)?;
            tables.insert(object.name.clone(), Arc::new(table));
        }
        connection.execute_batch("COMMIT")?;
        let readers = path.map(|path| Readers { path, idle: Mutex::new(Vec::new()) });
        Ok(Store { tables, writer: Mutex::new(connection), readers })
    }

    /// The table of an object.
    pub(crate) fn table(&self, object: &ObjectDef) -> Result<&Arc<Table>, StoreError> {
        self.tables.get(&object.name).ok_or_else(|| StoreError::NoObject(object.name.clone()))
    }

    /// The table of the object with exactly this API name.
    pub(crate) fn table_named(&self, object: &str) -> Option<&Arc<Table>> {
        self.tables.get(object)
    }

    /// Records of an object, deleted ones only when asked for. Costs nothing:
    /// it is kept, not counted.
    pub(crate) fn count(&self, object: &ObjectDef, deleted_too: bool) -> Result<u64, StoreError> {
        use std::sync::atomic::Ordering;
        let table = self.table(object)?;
        let live = table.live.load(Ordering::Acquire);
        Ok(if deleted_too { live + table.deleted.load(Ordering::Acquire) } else { live })
    }

    /// Visits records in the order of their ids until the visitor has enough.
    /// Records written meanwhile may or may not be seen.
    pub(crate) fn scan(
        &self,
        object: &ObjectDef,
        deleted_too: bool,
        visit: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let table = self.table(object)?;
        let only = if deleted_too { "" } else { "AND deleted = 0" };
        let sql = format!(
            "SELECT n, deleted, v FROM {} WHERE n > ?1 {only} ORDER BY n LIMIT {SCAN_PAGE}",
            table.name
        );
        let mut after = 0_i64;
        loop {
            let page = self.read(|connection| {
                let mut statement = connection.prepare_cached(&sql)?;
                let mut rows = statement.query([after])?;
                let mut page = Vec::new();
                while let Some(row) = rows.next()? {
                    after = row.get(0)?;
                    page.push(record(table, row)?);
                }
                Ok(page)
            })?;
            let last = page.len() < SCAN_PAGE;
            for record in page {
                if visit(record).is_break() {
                    return Ok(());
                }
            }
            if last {
                return Ok(());
            }
        }
    }

    /// The record of an id of 15 or 18 characters, deleted or not.
    pub(crate) fn get(&self, object: &ObjectDef, id: &str) -> Result<Option<Record>, StoreError> {
        let Some(counter) = own_counter(object, id) else { return Ok(None) };
        let table = self.table(object)?;
        self.read(|connection| get_from(connection, table, counter))
    }

    /// Live records whose indexed field has this value, given as the text of a
    /// cell; none when the field isn't indexed or can't have such a value.
    pub(crate) fn find_by(
        &self,
        object: &ObjectDef,
        field: usize,
        text: &str,
    ) -> Result<Vec<Record>, StoreError> {
        let table = self.table(object)?;
        let (Some((_, column)), Some(definition)) =
            (table.key_column(field), object.fields.get(field))
        else {
            return Ok(Vec::new());
        };
        let Ok(value) = Value::parse(definition, text) else { return Ok(Vec::new()) };
        let Some(key) = column.key(value.view()) else { return Ok(Vec::new()) };
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT n, deleted, v FROM {} WHERE x{} = ?1 ORDER BY n",
                table.name,
                table.slot(field)
            ))?;
            statement.query_map([key], |row| record(table, row))?.collect()
        })
    }

    /// Adds a record under the next id, for tests. Nothing is checked or filled in:
    /// values are stored as they are, one per field.
    #[cfg(test)]
    pub(crate) fn insert(
        &self,
        object: &ObjectDef,
        values: &[Value],
    ) -> Result<String, StoreError> {
        self.put(object, None, values)
    }

    /// The same under an id of the caller's (15 or 18 characters).
    ///
    /// # Errors
    /// [`StoreError::BadId`] when the id isn't this object's or is taken.
    pub(crate) fn insert_with_id(
        &self,
        object: &ObjectDef,
        id: &str,
        values: &[Value],
    ) -> Result<String, StoreError> {
        let counter = own_counter(object, id).ok_or_else(|| StoreError::BadId(id.to_owned()))?;
        if self.get(object, id)?.is_some() {
            return Err(StoreError::BadId(id.to_owned()));
        }
        self.put(object, Some(counter), values)
    }

    fn put(
        &self,
        object: &ObjectDef,
        counter: Option<u64>,
        values: &[Value],
    ) -> Result<String, StoreError> {
        let table = self.table(object)?;
        let blob = table.encode(values);
        let keys: Vec<Option<Key<'_>>> = table
            .keys
            .iter()
            .map(|key| values.get(key.field).and_then(|value| key.key(value.view())))
            .collect();
        let counter = self.transaction(table, |transaction| match counter {
            Some(counter) => transaction.writer.insert_at(counter, &blob, &keys).map(|()| counter),
            None => transaction.writer.insert(&blob, &keys),
        })?;
        Ok(RecordKey::new(&object.key_prefix, counter).to_string())
    }

    /// Does everything `work` does to one object in one transaction, or
    /// nothing of it.
    pub(crate) fn transaction<T, E: From<StoreError>>(
        &self,
        table: &Arc<Table>,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = lock(&self.writer);
        connection.execute_batch("BEGIN IMMEDIATE").map_err(StoreError::from)?;
        let mut transaction = Transaction {
            writer: TableWriter::new(&connection, table)?,
            lookups: Lookups::new(&connection),
            units: UnitWriter { connection: &connection },
        };
        let result = work(&mut transaction).and_then(|result| {
            transaction.writer.finish()?;
            connection.execute_batch("COMMIT").map_err(StoreError::from)?;
            Ok(result)
        });
        if result.is_err() {
            transaction.writer.undo();
            // Fails only when SQLite has rolled back by itself.
            let _ = connection.execute_batch("ROLLBACK");
        }
        result
    }

    /// The units of a job that are done, in the order of their numbers.
    pub(crate) fn units(&self, job: u64) -> Result<Vec<UnitDone>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT unit, processed, failed, successes_end, failures_end, ms
                 FROM units WHERE job = ?1 ORDER BY unit",
            )?;
            statement
                .query_map([job as i64], |row| {
                    Ok(UnitDone {
                        unit: row.get(0)?,
                        processed: row.get::<_, i64>(1)? as u64,
                        failed: row.get::<_, i64>(2)? as u64,
                        successes_end: row.get::<_, i64>(3)? as u64,
                        failures_end: row.get::<_, i64>(4)? as u64,
                        ms: row.get::<_, i64>(5)? as u64,
                    })
                })?
                .collect()
        })
    }

    /// Forgets the units of a job that is being removed; the journal stays.
    pub(crate) fn forget_units(&self, job: u64) -> Result<(), StoreError> {
        lock(&self.writer).execute("DELETE FROM units WHERE job = ?1", [job as i64])?;
        Ok(())
    }

    /// Every effect a job ever had on records of an object, oldest first.
    pub(crate) fn journal(&self, object: &ObjectDef) -> Result<Vec<Effect>, StoreError> {
        let connection = lock(&self.writer);
        let mut effects = Vec::new();
        journal::visit(&connection, &object.name, &mut |effect| {
            effects.push(effect);
            ControlFlow::Continue(())
        })?;
        Ok(effects)
    }

    /// The same, from `dir/records.sqlite` of a store that isn't open, effect
    /// by effect until the visitor has enough.
    pub(crate) fn visit_journal(
        dir: &Path,
        object: &ObjectDef,
        visit: &mut dyn FnMut(Effect) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let path = dir.join("records.sqlite");
        // Not read-only: a killed process may have left a log to take in.
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        journal::visit(&connection, &object.name, visit)
    }

    /// Records that use up data storage: all but those of the setup, with
    /// those in the recycle bin.
    pub(crate) fn data_records(&self) -> u64 {
        use std::sync::atomic::Ordering;
        let data = self.tables.iter().filter(|(name, _)| !SETUP.contains(&name.as_str()));
        let held = |table: &Table| {
            table.live.load(Ordering::Acquire) + table.deleted.load(Ordering::Acquire)
        };
        data.map(|(_, table)| held(table)).sum()
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let Some(readers) = &self.readers else {
            return Ok(work(&lock(&self.writer))?);
        };
        let connection = readers.take()?;
        let result = work(&connection)?;
        readers.give_back(connection);
        Ok(result)
    }
}

/// What a transaction may do.
pub(crate) struct Transaction<'c> {
    /// Changes records of its object.
    pub writer: TableWriter<'c>,
    /// Looks records of any object up.
    pub lookups: Lookups<'c>,
    /// Marks a unit of work done.
    pub units: UnitWriter<'c>,
}

/// Marks a unit of work done, in the transaction that did it.
pub(crate) struct UnitWriter<'c> {
    connection: &'c Connection,
}

impl UnitWriter<'_> {
    /// Records the unit and its effects.
    pub(crate) fn done(
        &self,
        job: u64,
        object: &ObjectDef,
        unit: UnitDone,
        effects: &[u8],
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO units (job, unit, processed, failed, successes_end, failures_end, ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                job as i64,
                unit.unit,
                unit.processed as i64,
                unit.failed as i64,
                unit.successes_end as i64,
                unit.failures_end as i64,
                unit.ms as i64,
            ])?;
        journal::append(self.connection, job, unit.unit, &object.name, effects)
    }
}

/// The counter of an id of this org and object.
fn own_counter(object: &ObjectDef, id: &str) -> Option<u64> {
    RecordKey::parse(id).filter(|key| key.prefix() == object.key_prefix)?.counter()
}

/// A record by its counter.
fn get_from(
    connection: &Connection,
    table: &Table,
    counter: u64,
) -> Result<Option<Record>, rusqlite::Error> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT n, deleted, v FROM {} WHERE n = ?1", table.name))?;
    statement.query_row([counter as i64], |row| record(table, row)).optional()
}

fn record(table: &Table, row: &rusqlite::Row<'_>) -> rusqlite::Result<Record> {
    let counter = row.get::<_, i64>(0)? as u64;
    let deleted: bool = row.get(1)?;
    let mut values = match row.get_ref(2)? {
        ValueRef::Blob(blob) => table.decode(blob),
        _ => Vec::new(),
    };
    let key = RecordKey::new(&table.object.key_prefix, counter);
    let system = &table.object.system;
    if let Some(place) = values.get_mut(system.id) {
        *place = Value::Id(key);
    }
    if let Some(place) = values.get_mut(system.is_deleted) {
        *place = Value::Bool(deleted);
    }
    Ok(Record { id: key.to_string(), deleted, values })
}

#[cfg(test)]
mod tests;
