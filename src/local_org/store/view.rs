//! Reading many records quickly: rows as they lie in the database, values
//! borrowed, from one moment of the store where that is wanted.

use std::cell::RefCell;
use std::ops::ControlFlow;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use super::{Record, Store, StoreError, Table, get_from, lock, own_counter};
use crate::local_org::catalogue::ObjectDef;
use crate::local_org::ids::RecordKey;
use crate::local_org::value::Value;

/// Records read at a time: few enough to be quick, enough to make the cost of
/// asking small.
const PAGE: usize = 4_000;

/// A record whose texts are borrowed.
#[derive(Debug)]
pub(crate) struct Row<'r, 'p> {
    /// Its id.
    pub key: RecordKey,
    /// In the recycle bin.
    pub deleted: bool,
    /// By field; `Id` and `IsDeleted` among them.
    pub values: &'r mut [Value<&'p str>],
}

/// Which records a scan visits, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    /// Counter of the first.
    pub first: u64,
    /// Counter of the last.
    pub last: u64,
    /// Those in the recycle bin, too.
    pub deleted_too: bool,
    /// From the last to the first.
    pub descending: bool,
}

/// The store, as it is or as it was at one moment.
pub(crate) struct View<'s> {
    store: &'s Store,
    /// Within a read transaction: shows the store as it was when that began.
    fixed: Option<RefCell<Connection>>,
}

impl Store {
    /// The store as it is at each reading.
    pub(crate) fn view(&self) -> View<'_> {
        View { store: self, fixed: None }
    }

    /// The store as it is now, whatever is written later. Only on disk: in
    /// memory writers and readers share one connection, so there it is
    /// [`Store::view`].
    ///
    /// # Errors
    /// When the database can't be opened once more.
    pub(crate) fn snapshot(&self) -> Result<View<'_>, StoreError> {
        let Some(readers) = &self.readers else { return Ok(self.view()) };
        let connection = readers.take()?;
        connection.execute_batch("BEGIN")?;
        // A transaction begins with its first reading.
        connection.query_row("SELECT COUNT(*) FROM slots", [], |row| row.get::<_, i64>(0))?;
        Ok(View { store: self, fixed: Some(RefCell::new(connection)) })
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        if let (Some(fixed), Some(readers)) = (self.fixed.take(), &self.store.readers) {
            let connection = fixed.into_inner();
            if connection.execute_batch("ROLLBACK").is_ok() {
                readers.give_back(connection);
            }
        }
    }
}

/// Records of a page as they lie in the database.
#[derive(Default)]
struct Page {
    bytes: Vec<u8>,
    /// Counter, deleted, where its values end in the bytes.
    rows: Vec<(u64, bool, usize)>,
}

impl View<'_> {
    /// The store behind it.
    pub(crate) fn store(&self) -> &Store {
        self.store
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        match &self.fixed {
            Some(connection) => Ok(work(&connection.borrow())?),
            None => self.store.read(work),
        }
    }

    /// The record of an id of 15 or 18 characters, deleted or not.
    pub(crate) fn get(&self, object: &ObjectDef, id: &str) -> Result<Option<Record>, StoreError> {
        let Some(counter) = own_counter(object, id) else { return Ok(None) };
        let table = self.store.table(object)?;
        self.read(|connection| get_from(connection, table, counter))
    }

    /// Visits records until the visitor has enough. Nothing is held while it
    /// is at work, so that it may ask the store again; without a snapshot
    /// records written meanwhile may or may not be seen.
    pub(crate) fn scan(
        &self,
        object: &ObjectDef,
        range: Range,
        visit: &mut dyn FnMut(Row<'_, '_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let table = self.store.table(object)?;
        let only = if range.deleted_too { "" } else { "AND deleted = 0" };
        let direction = if range.descending { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT n, deleted, v FROM {} WHERE n BETWEEN ?1 AND ?2 {only}
             ORDER BY n {direction} LIMIT {PAGE}",
            table.name
        );
        // SQLite's integers have a sign.
        let signed = |counter: u64| i64::try_from(counter).unwrap_or(i64::MAX);
        let (mut first, mut last) = (signed(range.first), signed(range.last));
        let mut page = Page::default();
        while first <= last {
            page.bytes.clear();
            page.rows.clear();
            self.read(|connection| fill(connection, &sql, [first, last], &mut page))?;
            if visit_page(table, &page, visit).is_break() || page.rows.len() < PAGE {
                return Ok(());
            }
            let Some((end, ..)) = page.rows.last() else { return Ok(()) };
            if range.descending {
                last = signed(*end) - 1;
            } else {
                first = signed(*end) + 1;
            }
        }
        Ok(())
    }
}

fn fill(
    connection: &Connection,
    sql: &str,
    between: [i64; 2],
    page: &mut Page,
) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![between[0], between[1]])?;
    while let Some(row) = rows.next()? {
        let counter = row.get::<_, i64>(0)? as u64;
        let deleted = row.get(1)?;
        if let ValueRef::Blob(blob) = row.get_ref(2)? {
            page.bytes.extend_from_slice(blob);
        }
        page.rows.push((counter, deleted, page.bytes.len()));
    }
    Ok(())
}

fn visit_page(
    table: &Table,
    page: &Page,
    visit: &mut dyn FnMut(Row<'_, '_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut start = 0;
    let mut places = vec![Value::Null; table.object.fields.len()];
    for (counter, deleted, end) in &page.rows {
        let blob = page.bytes.get(start..*end).unwrap_or_default();
        start = *end;
        let key = RecordKey::new(&table.object.key_prefix, *counter);
        table.decode_into(blob, key, *deleted, &mut places);
        visit(Row { key, deleted: *deleted, values: &mut places })?;
    }
    ControlFlow::Continue(())
}

impl super::Readers {
    /// A connection nobody else uses.
    pub(super) fn take(&self) -> Result<Connection, rusqlite::Error> {
        let idle = lock(&self.idle).pop();
        match idle {
            Some(connection) => Ok(connection),
            None => self.open(),
        }
    }

    /// Keeps a connection for the next reader.
    pub(super) fn give_back(&self, connection: Connection) {
        let mut idle = lock(&self.idle);
        // More than a few are only needed in a rush.
        if idle.len() < 8 {
            idle.push(connection);
        }
    }
}
