//! All jobs of the org and the batches they used: in memory, and written
//! through to `jobs.sqlite`, a database of its own so that a request never
//! waits for a worker's transaction.
//!
//! What a restart needs beyond it (which units of a job are done) is in the
//! records' database, committed with the records themselves.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::job::{Job, JobSpec, Progress};
use crate::local_org::store::StoreError;

/// The rolling window of allowances.
const DAY_MS: i64 = 86_400_000;

/// What is kept of a job.
#[derive(Serialize, Deserialize)]
struct Kept {
    spec: JobSpec,
    progress: Progress,
}

/// All jobs.
#[derive(Debug)]
pub(crate) struct Registry {
    jobs: Mutex<BTreeMap<u64, Arc<Job>>>,
    database: Mutex<Connection>,
    /// When batches were started, oldest first, none older than a day.
    batches: Mutex<VecDeque<i64>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    /// Opens `dir/jobs.sqlite`, or a registry in memory.
    pub(crate) fn open(dir: Option<&Path>) -> Result<Registry, StoreError> {
        let database = match dir {
            Some(dir) => Connection::open(dir.join("jobs.sqlite"))?,
            None => Connection::open_in_memory()?,
        };
        database.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = NORMAL;
             CREATE TABLE IF NOT EXISTS jobs (
                 number INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
             CREATE TABLE IF NOT EXISTS batches (
                 job INTEGER NOT NULL, batch INTEGER NOT NULL, at_ms INTEGER NOT NULL,
                 PRIMARY KEY (job, batch)) WITHOUT ROWID;",
        )?;
        let mut jobs = BTreeMap::new();
        let mut batches = VecDeque::new();
        {
            let mut read = database.prepare("SELECT number, body FROM jobs")?;
            let mut rows = read.query([])?;
            while let Some(row) = rows.next()? {
                let number = row.get::<_, i64>(0)? as u64;
                let kept: Kept = parsed(&row.get::<_, String>(1)?)?;
                jobs.insert(number, Arc::new(Job::new(number, kept.spec, kept.progress)));
            }
            let mut read = database.prepare("SELECT at_ms FROM batches ORDER BY at_ms")?;
            let mut rows = read.query([])?;
            while let Some(row) = rows.next()? {
                batches.push_back(row.get(0)?);
            }
        }
        Ok(Registry {
            jobs: Mutex::new(jobs),
            database: Mutex::new(database),
            batches: Mutex::new(batches),
        })
    }

    /// Adds a job under a number that no job ever had.
    pub(crate) fn add(&self, spec: JobSpec, progress: Progress) -> Result<Arc<Job>, StoreError> {
        let body = text(&Kept { spec: spec.clone(), progress: progress.clone() })?;
        let number = {
            let database = lock(&self.database);
            database.prepare_cached("INSERT INTO jobs (body) VALUES (?1)")?.execute([body])?;
            database.last_insert_rowid() as u64
        };
        let job = Arc::new(Job::new(number, spec, progress));
        lock(&self.jobs).insert(number, Arc::clone(&job));
        Ok(job)
    }

    /// Writes a job's progress through. The caller holds its lock, so that
    /// two changes are kept in the order in which they were made.
    pub(crate) fn keep(&self, job: &Job, progress: &Progress) -> Result<(), StoreError> {
        let body = text(&Kept { spec: job.spec.clone(), progress: progress.clone() })?;
        lock(&self.database)
            .prepare_cached("UPDATE jobs SET body = ?2 WHERE number = ?1")?
            .execute(params![job.number as i64, body])?;
        Ok(())
    }

    /// Forgets a job; its batches stay counted.
    pub(crate) fn remove(&self, number: u64) -> Result<(), StoreError> {
        lock(&self.jobs).remove(&number);
        lock(&self.database).execute("DELETE FROM jobs WHERE number = ?1", [number as i64])?;
        Ok(())
    }

    /// A job by the counter of its id.
    pub(crate) fn get(&self, number: u64) -> Option<Arc<Job>> {
        lock(&self.jobs).get(&number).cloned()
    }

    /// All jobs, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Job>> {
        lock(&self.jobs).values().cloned().collect()
    }

    /// Batches started in the 24 hours before `now_ms`.
    pub(crate) fn batches_used(&self, now_ms: i64) -> u64 {
        let mut batches = lock(&self.batches);
        while batches.front().is_some_and(|at| *at <= now_ms - DAY_MS) {
            batches.pop_front();
        }
        batches.len() as u64
    }

    /// Counts a batch that is about to start, once however often it starts
    /// over; `false` when `limit` is used up.
    pub(crate) fn charge_batch(
        &self,
        job: u64,
        batch: u32,
        now_ms: i64,
        limit: u64,
    ) -> Result<bool, StoreError> {
        let used = self.batches_used(now_ms);
        let database = lock(&self.database);
        let known = database
            .prepare_cached("SELECT 1 FROM batches WHERE job = ?1 AND batch = ?2")?
            .exists(params![job as i64, batch])?;
        if known {
            return Ok(true);
        }
        if used >= limit {
            return Ok(false);
        }
        database
            .prepare_cached("INSERT INTO batches (job, batch, at_ms) VALUES (?1, ?2, ?3)")?
            .execute(params![job as i64, batch, now_ms])?;
        lock(&self.batches).push_back(now_ms);
        Ok(true)
    }
}

fn text(kept: &Kept) -> Result<String, StoreError> {
    serde_json::to_string(kept).map_err(StoreError::Job)
}

fn parsed(body: &str) -> Result<Kept, StoreError> {
    serde_json::from_str(body).map_err(StoreError::Job)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_count_once_and_leave_after_a_day() {
        let registry = Registry::open(None).unwrap();
        assert!(registry.charge_batch(1, 0, 1_000, 2).unwrap());
        assert!(registry.charge_batch(1, 0, 2_000, 2).unwrap(), "started over");
        assert!(registry.charge_batch(1, 1, 3_000, 2).unwrap());
        assert_eq!(registry.batches_used(3_000), 2);
        assert!(!registry.charge_batch(1, 2, 4_000, 2).unwrap());
        assert_eq!(registry.batches_used(1_000 + DAY_MS), 1, "the first is a day old");
        assert!(registry.charge_batch(1, 2, 1_000 + DAY_MS, 2).unwrap());
    }
}
