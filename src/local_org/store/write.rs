//! Writing records: everything one transaction does to one object, through
//! statements prepared once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};

use super::table::{Key, Table};
use super::{StoreError, blob};

/// Changes the records of one object inside a transaction of the writer.
///
/// Counters move in memory as records are written; [`TableWriter::finish`]
/// makes them durable, [`TableWriter::undo`] takes them back when the
/// transaction is given up.
pub(crate) struct TableWriter<'c> {
    connection: &'c Connection,
    table: Arc<Table>,
    insert: CachedStatement<'c>,
    read: CachedStatement<'c>,
    update_values: CachedStatement<'c>,
    finds: Vec<CachedStatement<'c>>,
    before: (u64, u64, u64),
}

impl<'c> TableWriter<'c> {
    /// Prepares the statements. The caller holds the writer's lock and has
    /// begun a transaction.
    pub(super) fn new(
        connection: &'c Connection,
        table: &Arc<Table>,
    ) -> Result<TableWriter<'c>, StoreError> {
        let name = &table.name;
        Ok(TableWriter {
            connection,
            insert: connection.prepare_cached(&table.insert)?,
            read: connection
                .prepare_cached(&format!("SELECT deleted, v FROM {name} WHERE n = ?1"))?,
            update_values: connection
                .prepare_cached(&format!("UPDATE {name} SET v = ?2 WHERE n = ?1"))?,
            finds: table
                .keys
                .iter()
                .map(|key| connection.prepare_cached(&key.find))
                .collect::<Result<_, _>>()?,
            before: (
                table.next.load(Ordering::Acquire),
                table.live.load(Ordering::Acquire),
                table.deleted.load(Ordering::Acquire),
            ),
            table: Arc::clone(table),
        })
    }

    /// Adds a record; `keys` has one entry per key column. Returns its counter.
    pub(crate) fn insert(
        &mut self,
        values: &[u8],
        keys: &[Option<Key<'_>>],
    ) -> Result<u64, StoreError> {
        let counter = self.table.next.fetch_add(1, Ordering::AcqRel);
        self.insert_at(counter, values, keys)?;
        Ok(counter)
    }

    /// Adds a record under a counter of the caller's.
    pub(crate) fn insert_at(
        &mut self,
        counter: u64,
        values: &[u8],
        keys: &[Option<Key<'_>>],
    ) -> Result<(), StoreError> {
        self.table.next.fetch_max(counter + 1, Ordering::AcqRel);
        self.insert.raw_bind_parameter(1, counter as i64)?;
        self.insert.raw_bind_parameter(2, values)?;
        for (at, key) in keys.iter().enumerate() {
            self.insert.raw_bind_parameter(at + 3, key)?;
        }
        self.insert.raw_execute()?;
        self.table.live.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// The live records with this key, at most three.
    pub(crate) fn find(
        &mut self,
        key_column: usize,
        key: &Key<'_>,
        found: &mut Vec<u64>,
    ) -> Result<(), StoreError> {
        found.clear();
        let Some(find) = self.finds.get_mut(key_column) else { return Ok(()) };
        find.raw_bind_parameter(1, key)?;
        let mut rows = find.raw_query();
        while let Some(row) = rows.next()? {
            found.push(row.get::<_, i64>(0)? as u64);
        }
        Ok(())
    }

    /// Reads a record's blob into `values`; tells whether it is deleted, or
    /// `None` when there is no such record.
    pub(crate) fn read(
        &mut self,
        counter: u64,
        values: &mut Vec<u8>,
    ) -> Result<Option<bool>, StoreError> {
        values.clear();
        self.read.raw_bind_parameter(1, counter as i64)?;
        let mut rows = self.read.raw_query();
        let Some(row) = rows.next()? else { return Ok(None) };
        if let ValueRef::Blob(bytes) = row.get_ref(1)? {
            values.extend_from_slice(bytes);
        }
        Ok(Some(row.get::<_, bool>(0)?))
    }

    /// Replaces a record's blob; its keys are the same as before.
    pub(crate) fn update_values(&mut self, counter: u64, values: &[u8]) -> Result<(), StoreError> {
        self.update_values.raw_bind_parameter(1, counter as i64)?;
        self.update_values.raw_bind_parameter(2, values)?;
        self.update_values.raw_execute()?;
        Ok(())
    }

    /// Replaces a record's blob and keys, the keys read from the blob.
    pub(crate) fn update(&mut self, counter: u64, values: &[u8]) -> Result<(), StoreError> {
        let mut update = self.connection.prepare_cached(&self.table.update)?;
        update.raw_bind_parameter(1, counter as i64)?;
        update.raw_bind_parameter(2, values)?;
        for (at, column) in self.table.keys.iter().enumerate() {
            let slot = self.table.slot(column.field);
            let key = blob::Entries::new(values)
                .find(|entry| entry.slot == slot)
                .and_then(|entry| column.key(entry.value));
            update.raw_bind_parameter(at + 3, key)?;
        }
        update.raw_execute()?;
        Ok(())
    }

    /// Marks a record deleted and forgets its keys.
    pub(crate) fn delete(&mut self, counter: u64, values: &[u8]) -> Result<(), StoreError> {
        let keys = self.table.keys.iter().fold(String::new(), |sql, key| {
            sql + &format!(", x{} = NULL", self.table.slot(key.field))
        });
        let mut delete = self.connection.prepare_cached(&format!(
            "UPDATE {} SET deleted = 1, v = ?2{keys} WHERE n = ?1",
            self.table.name
        ))?;
        delete.execute(params![counter as i64, values])?;
        self.table.live.fetch_sub(1, Ordering::AcqRel);
        self.table.deleted.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Removes a live record for good.
    pub(crate) fn erase(&mut self, counter: u64) -> Result<(), StoreError> {
        let mut erase = self
            .connection
            .prepare_cached(&format!("DELETE FROM {} WHERE n = ?1", self.table.name))?;
        erase.execute([counter as i64])?;
        self.table.live.fetch_sub(1, Ordering::AcqRel);
        Ok(())
    }

    /// Writes the counters; the transaction can commit.
    pub(crate) fn finish(&mut self) -> Result<(), StoreError> {
        let table = &self.table;
        let mut write = self.connection.prepare_cached(
            "UPDATE counters SET next = ?2, live = ?3, deleted = ?4 WHERE object = ?1",
        )?;
        write.execute(params![
            table.object.name,
            table.next.load(Ordering::Acquire) as i64,
            table.live.load(Ordering::Acquire) as i64,
            table.deleted.load(Ordering::Acquire) as i64,
        ])?;
        Ok(())
    }

    /// Takes the counters back to where they were: the transaction won't commit.
    pub(crate) fn undo(&self) {
        self.table.next.store(self.before.0, Ordering::Release);
        self.table.live.store(self.before.1, Ordering::Release);
        self.table.deleted.store(self.before.2, Ordering::Release);
    }
}

/// Looks records of any object up inside the writer's transaction.
pub(crate) struct Lookups<'c> {
    connection: &'c Connection,
    statements: HashMap<(usize, usize), CachedStatement<'c>>,
}

impl<'c> Lookups<'c> {
    pub(super) fn new(connection: &'c Connection) -> Lookups<'c> {
        Lookups { connection, statements: HashMap::new() }
    }

    /// Whether a record is there: `Some(deleted)`, or `None`.
    pub(crate) fn state(
        &mut self,
        table: &Table,
        counter: u64,
    ) -> Result<Option<bool>, StoreError> {
        // Statements are told apart by the table's address, which outlives them.
        let id = (std::ptr::from_ref(table) as usize, usize::MAX);
        let statement = match self.statements.entry(id) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => entry.insert(
                self.connection
                    .prepare_cached(&format!("SELECT deleted FROM {} WHERE n = ?1", table.name))?,
            ),
        };
        Ok(statement.query_row([counter as i64], |row| row.get(0)).optional()?)
    }

    /// Reads a record's blob into `values`; empty when there is no such record.
    pub(crate) fn read(
        &mut self,
        table: &Table,
        counter: u64,
        values: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        values.clear();
        let sql = format!("SELECT v FROM {} WHERE n = ?1", table.name);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([counter as i64])?;
        if let Some(row) = rows.next()?
            && let ValueRef::Blob(bytes) = row.get_ref(0)?
        {
            values.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// The live records with this key, at most three.
    pub(crate) fn find(
        &mut self,
        table: &Table,
        key_column: usize,
        key: &Key<'_>,
        found: &mut Vec<u64>,
    ) -> Result<(), StoreError> {
        found.clear();
        let Some(column) = table.keys.get(key_column) else { return Ok(()) };
        let id = (std::ptr::from_ref(table) as usize, key_column);
        let statement = match self.statements.entry(id) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(self.connection.prepare_cached(&column.find)?)
            }
        };
        let mut rows = statement.query([key])?;
        while let Some(row) = rows.next()? {
            found.push(row.get::<_, i64>(0)? as u64);
        }
        Ok(())
    }
}
