//! The journal: what every job did to which record, row by row, append-only.
//!
//! It outlives the jobs and is the judge of "exactly once": a test asks it how
//! often a row of an upload took effect, without believing any result set.

use std::ops::ControlFlow;

use rusqlite::{Connection, params};

use super::StoreError;

/// What happened to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was made.
    Created,
    /// It was changed.
    Updated,
    /// It was deleted, or erased for good.
    Deleted,
}

impl Change {
    /// `created`, `updated` or `deleted`.
    pub fn word(self) -> &'static str {
        match self {
            Change::Created => "created",
            Change::Updated => "updated",
            Change::Deleted => "deleted",
        }
    }
}

/// One row's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effect {
    /// Counter of the job's id.
    pub job: u64,
    /// Data row of the upload, from 0.
    pub row: u32,
    /// Counter of the record's id.
    pub record: u64,
    /// What happened.
    pub change: Change,
}

/// Bytes of an effect in a blob: row (4), change (1), counter (8).
const WIDTH: usize = 13;

/// Appends one effect to the blob of a unit of work.
pub(crate) fn put(out: &mut Vec<u8>, row: u32, change: Change, record: u64) {
    out.extend_from_slice(&row.to_le_bytes());
    out.push(match change {
        Change::Created => 0,
        Change::Updated => 1,
        Change::Deleted => 2,
    });
    out.extend_from_slice(&record.to_le_bytes());
}

pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS journal (
        seq INTEGER PRIMARY KEY, job INTEGER NOT NULL, unit INTEGER NOT NULL,
        object TEXT NOT NULL, effects BLOB NOT NULL);
    CREATE INDEX IF NOT EXISTS journal_job ON journal (job);";

pub(super) fn append(
    connection: &Connection,
    job: u64,
    unit: u32,
    object: &str,
    effects: &[u8],
) -> Result<(), StoreError> {
    if effects.is_empty() {
        return Ok(());
    }
    connection
        .prepare_cached("INSERT INTO journal (job, unit, object, effects) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![job as i64, unit, object, effects])?;
    Ok(())
}

pub(super) fn visit(
    connection: &Connection,
    object: &str,
    visit: &mut dyn FnMut(Effect) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let mut read = connection
        .prepare_cached("SELECT job, effects FROM journal WHERE object = ?1 ORDER BY seq")?;
    let mut rows = read.query([object])?;
    while let Some(row) = rows.next()? {
        let job = row.get::<_, i64>(0)? as u64;
        let blob = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let mut effects = blob.chunks_exact(WIDTH).filter_map(|bytes| {
            let (row, rest) = bytes.split_at(4);
            let (change, record) = rest.split_at(1);
            Some(Effect {
                job,
                row: u32::from_le_bytes(row.try_into().ok()?),
                record: u64::from_le_bytes(record.try_into().ok()?),
                change: match change {
                    [0] => Change::Created,
                    [1] => Change::Updated,
                    _ => Change::Deleted,
                },
            })
        });
        if effects.try_for_each(&mut *visit).is_break() {
            break;
        }
    }
    Ok(())
}
