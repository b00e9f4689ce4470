//! How an object's records lie in SQLite: one table with the id's counter as
//! its key, a deleted flag, the blob of values, and a column with an index for
//! every field that records are found by.
//!
//! Key columns hold the *normal form* of a value: numbers as numbers, texts
//! folded to lower case unless the field tells case apart. Deleted records
//! have empty key columns, so that nothing finds them and their values are
//! free again.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, params};

use super::{StoreError, blob};
use crate::local_org::catalogue::{FieldDef, ObjectDef};
use crate::local_org::ids::RecordKey;
use crate::local_org::value::Value;

/// A field that records are found by.
#[derive(Debug)]
pub(crate) struct KeyColumn {
    /// Its place among the object's fields.
    pub field: usize,
    /// No two live records may share a value.
    pub unique: bool,
    /// Text is folded.
    folded: bool,
    /// Name of the SQL column.
    column: String,
    /// Finds records by it.
    pub(super) find: String,
}

/// The normal form of a key, as it is compared in SQLite.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Key<'a> {
    /// Text, folded where the field says so.
    Text(Cow<'a, str>),
    /// Any number, by its value.
    Number(f64),
}

impl rusqlite::ToSql for Key<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(match self {
            Key::Text(text) => text.as_ref().into(),
            Key::Number(number) => (*number).into(),
        })
    }
}

impl KeyColumn {
    /// The normal form of a value; `None` for null and for what is no key.
    pub(crate) fn key<'a>(&self, value: Value<&'a str>) -> Option<Key<'a>> {
        match value {
            Value::Text(text) => {
                Some(Key::Text(if self.folded { fold(text) } else { text.into() }))
            }
            Value::Number(number) => Some(Key::Number(number)),
            Value::Int(number) => Some(Key::Number(number as f64)),
            Value::Id(key) => Some(Key::Text(key.to_string().into())),
            _ => None,
        }
    }
}

/// Lower case of all scripts, without a copy when there is nothing to fold.
fn fold(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
        Cow::Owned(text.to_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// An object's table.
#[derive(Debug)]
pub(crate) struct Table {
    /// The object.
    pub object: Arc<ObjectDef>,
    /// Key columns in field order.
    pub keys: Vec<KeyColumn>,
    slots: Vec<u16>,
    /// By slot; slots of fields the object lost lead nowhere.
    fields: Vec<Option<usize>>,
    /// Quoted SQL name.
    pub(super) name: String,
    pub(super) insert: String,
    pub(super) update: String,
    /// Next counter; changed only under the writer's lock.
    pub(super) next: AtomicU64,
    pub(super) live: AtomicU64,
    pub(super) deleted: AtomicU64,
}

impl Table {
    /// The slot of a field.
    pub(crate) fn slot(&self, field: usize) -> u16 {
        self.slots.get(field).copied().unwrap_or(u16::MAX)
    }

    /// The field of a slot; `None` when the object lost it since.
    pub(crate) fn field(&self, slot: u16) -> Option<usize> {
        self.fields.get(usize::from(slot)).copied().flatten()
    }

    /// The key column of a field, with its place among the key columns.
    pub(crate) fn key_column(&self, field: usize) -> Option<(usize, &KeyColumn)> {
        self.keys.iter().enumerate().find(|(_, key)| key.field == field)
    }

    /// The counter the next record will get.
    pub(crate) fn next_counter(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Puts a record's values in the places of its fields. `Id` and
    /// `IsDeleted` are not in the blob.
    pub(crate) fn decode(&self, blob: &[u8]) -> Vec<Value> {
        let mut values = vec![Value::Null; self.object.fields.len()];
        for entry in blob::Entries::new(blob) {
            if let Some(place) = self.field(entry.slot).and_then(|field| values.get_mut(field)) {
                *place = entry.value.into_owned();
            }
        }
        values
    }

    /// Puts a record's values in the places of its fields, borrowed.
    pub(super) fn decode_into<'a>(
        &self,
        blob: &'a [u8],
        key: RecordKey,
        deleted: bool,
        places: &mut [Value<&'a str>],
    ) {
        places.fill(Value::Null);
        for entry in blob::Entries::new(blob) {
            if let Some(place) = self.field(entry.slot).and_then(|field| places.get_mut(field)) {
                *place = entry.value;
            }
        }
        let system = &self.object.system;
        if let Some(place) = places.get_mut(system.id) {
            *place = Value::Id(key);
        }
        if let Some(place) = places.get_mut(system.is_deleted) {
            *place = Value::Bool(deleted);
        }
    }

    /// The blob of values given by field; nulls, `Id` and `IsDeleted` left out.
    pub(crate) fn encode(&self, values: &[Value]) -> Vec<u8> {
        let system = &self.object.system;
        let mut out = Vec::new();
        for (field, value) in values.iter().enumerate() {
            if field != system.id && field != system.is_deleted && !value.is_null() {
                blob::put(&mut out, self.slot(field), value.view());
            }
        }
        out
    }

    /// Makes or completes the table of an object in a database that is being
    /// opened (inside a transaction).
    pub(super) fn open(
        connection: &Connection,
        object: &Arc<ObjectDef>,
    ) -> Result<Table, StoreError> {
        let slots = open_slots(connection, object)?;
        let mut fields = vec![None; slots.iter().max().map_or(0, |slot| usize::from(*slot) + 1)];
        for (field, slot) in slots.iter().enumerate() {
            if let Some(place) = fields.get_mut(usize::from(*slot)) {
                *place = Some(field);
            }
        }
        let name = quoted(&format!("r_{}", object.name));
        connection.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {name}
             (n INTEGER PRIMARY KEY, deleted INTEGER NOT NULL, v BLOB NOT NULL)"
        ))?;
        let mut keys = Vec::new();
        for (place, field) in object.fields.iter().enumerate() {
            if field.indexed() && place != object.system.id {
                let slot = slots.get(place).copied().unwrap_or_default();
                keys.push(key_column(&name, place, field, slot));
            }
        }
        let columns: Vec<&str> = keys.iter().map(|key| key.column.as_str()).collect();
        let insert = format!(
            "INSERT INTO {name} (n, deleted, v{}) VALUES (?1, 0, ?2{})",
            columns.iter().fold(String::new(), |sql, column| sql + ", " + column),
            (0..columns.len()).fold(String::new(), |sql, at| sql + &format!(", ?{}", at + 3)),
        );
        let update = format!(
            "UPDATE {name} SET v = ?2{} WHERE n = ?1",
            columns.iter().enumerate().fold(String::new(), |sql, (at, column)| {
                sql + &format!(", {column} = ?{}", at + 3)
            }),
        );
        let table = Table {
            object: Arc::clone(object),
            keys,
            slots,
            fields,
            name,
            insert,
            update,
            next: AtomicU64::new(1),
            live: AtomicU64::new(0),
            deleted: AtomicU64::new(0),
        };
        table.open_columns(connection)?;
        table.open_counters(connection)?;
        Ok(table)
    }

    /// Adds key columns the table lacks, fills them from the blobs, and drops
    /// those of fields that aren't keys any more.
    fn open_columns(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut present = connection.prepare(&format!("PRAGMA table_info({})", self.name))?;
        let present: Vec<String> =
            present.query_map([], |row| row.get(1))?.collect::<Result<_, _>>()?;
        for stale in present.iter().filter(|column| {
            column.starts_with('x') && !self.keys.iter().any(|key| key.column == **column)
        }) {
            connection.execute_batch(&format!(
                "DROP INDEX IF EXISTS {index}; ALTER TABLE {name} DROP COLUMN {stale}",
                index = quoted(&format!("i_{}_{stale}", self.object.name)),
                name = self.name,
            ))?;
        }
        let mut fresh = false;
        for key in self.keys.iter().filter(|key| !present.contains(&key.column)) {
            fresh = true;
            // No type: values are compared as what they are.
            connection.execute_batch(&format!(
                "ALTER TABLE {name} ADD COLUMN {column};
                 CREATE INDEX {index} ON {name} ({column}) WHERE {column} IS NOT NULL",
                name = self.name,
                column = key.column,
                index = quoted(&format!("i_{}_{}", self.object.name, key.column)),
            ))?;
        }
        if fresh {
            self.fill_columns(connection)?;
        }
        Ok(())
    }

    fn fill_columns(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut read = connection
            .prepare(&format!("SELECT n, v FROM {} WHERE deleted = 0 ORDER BY n", self.name))?;
        let mut write = connection.prepare(&self.update)?;
        let mut rows = read.query([])?;
        while let Some(row) = rows.next()? {
            let values_blob = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            let values = self.decode(values_blob);
            write.raw_bind_parameter(1, row.get::<_, i64>(0)?)?;
            write.raw_bind_parameter(2, values_blob)?;
            for (at, key) in self.keys.iter().enumerate() {
                let value = values.get(key.field).map_or(Value::Null, Value::view);
                write.raw_bind_parameter(at + 3, key.key(value))?;
            }
            write.raw_execute()?;
        }
        Ok(())
    }

    fn open_counters(&self, connection: &Connection) -> Result<(), StoreError> {
        connection.execute(
            "INSERT OR IGNORE INTO counters (object, next, live, deleted) VALUES (?1, 1, 0, 0)",
            [&self.object.name],
        )?;
        let (next, live, deleted): (i64, i64, i64) = connection.query_row(
            "SELECT next, live, deleted FROM counters WHERE object = ?1",
            [&self.object.name],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        self.next.store(next as u64, Ordering::Release);
        self.live.store(live as u64, Ordering::Release);
        self.deleted.store(deleted as u64, Ordering::Release);
        Ok(())
    }
}

fn key_column(table: &str, place: usize, field: &FieldDef, slot: u16) -> KeyColumn {
    let column = format!("x{slot}");
    // Three tell "none", "one" and "several", and name two in a message.
    let find = format!("SELECT n FROM {table} WHERE {column} = ?1 LIMIT 3");
    KeyColumn { field: place, unique: field.unique, folded: !field.case_sensitive, column, find }
}

/// The slots of an object's fields, new ones given to fields not seen before.
fn open_slots(connection: &Connection, object: &ObjectDef) -> Result<Vec<u16>, StoreError> {
    let mut known: HashMap<String, u16> = HashMap::new();
    {
        let mut read = connection.prepare("SELECT field, slot FROM slots WHERE object = ?1")?;
        let mut rows = read.query([&object.name])?;
        while let Some(row) = rows.next()? {
            known.insert(row.get(0)?, row.get(1)?);
        }
    }
    let mut next = known.values().max().map_or(0, |slot| slot + 1);
    let mut slots = Vec::with_capacity(object.fields.len());
    for field in &object.fields {
        if let Some(slot) = known.get(&field.name) {
            slots.push(*slot);
            continue;
        }
        connection.execute(
            "INSERT INTO slots (object, field, slot) VALUES (?1, ?2, ?3)",
            params![object.name, field.name, next],
        )?;
        slots.push(next);
        next += 1;
    }
    Ok(slots)
}

/// A name as SQL takes it, whatever it holds.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
