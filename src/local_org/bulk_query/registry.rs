//! All query jobs of the org and what they used of its quotas: in memory, and
//! written through to `query-jobs.sqlite`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::DAY_MS;
use super::job::{JobSpec, Progress, QueryJob};
use crate::local_org::store::StoreError;

/// What is kept of a job.
#[derive(Serialize, Deserialize)]
struct Kept {
    spec: JobSpec,
    progress: Progress,
}

/// All query jobs.
#[derive(Debug)]
pub(crate) struct Registry {
    jobs: Mutex<BTreeMap<u64, Arc<QueryJob>>>,
    database: Mutex<Connection>,
    /// By job, of the last day: when it was created, bytes of its results.
    used: Mutex<BTreeMap<u64, (i64, u64)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    /// Opens `dir/query-jobs.sqlite`, or a registry in memory.
    pub(crate) fn open(dir: Option<&Path>) -> Result<Registry, StoreError> {
        let database = match dir {
            Some(dir) => Connection::open(dir.join("query-jobs.sqlite"))?,
            None => Connection::open_in_memory()?,
        };
        database.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = NORMAL;
             CREATE TABLE IF NOT EXISTS jobs (
                 number INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
             CREATE TABLE IF NOT EXISTS used (
                 job INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, bytes INTEGER NOT NULL);",
        )?;
        let mut jobs = BTreeMap::new();
        let mut used = BTreeMap::new();
        {
            let mut read = database.prepare("SELECT number, body FROM jobs")?;
            let mut rows = read.query([])?;
            while let Some(row) = rows.next()? {
                let number = row.get::<_, i64>(0)? as u64;
                let body: String = row.get(1)?;
                let kept: Kept = serde_json::from_str(&body).map_err(StoreError::Job)?;
                jobs.insert(number, Arc::new(QueryJob::new(number, kept.spec, kept.progress)));
            }
            let mut read = database.prepare("SELECT job, at_ms, bytes FROM used")?;
            let mut rows = read.query([])?;
            while let Some(row) = rows.next()? {
                let bytes = row.get::<_, i64>(2)? as u64;
                used.insert(row.get::<_, i64>(0)? as u64, (row.get(1)?, bytes));
            }
        }
        Ok(Registry {
            jobs: Mutex::new(jobs),
            database: Mutex::new(database),
            used: Mutex::new(used),
        })
    }

    /// Adds a job under a number that no job ever had, and counts it.
    pub(crate) fn add(
        &self,
        spec: JobSpec,
        progress: Progress,
    ) -> Result<Arc<QueryJob>, StoreError> {
        let at_ms = spec.created_ms;
        let body = text(&spec, &progress)?;
        let number = {
            let database = lock(&self.database);
            database.prepare_cached("INSERT INTO jobs (body) VALUES (?1)")?.execute([body])?;
            let number = database.last_insert_rowid();
            // Those that don't count any more need not be kept.
            database.execute("DELETE FROM used WHERE at_ms <= ?1", [at_ms - DAY_MS])?;
            database.execute(
                "INSERT INTO used (job, at_ms, bytes) VALUES (?1, ?2, 0)",
                [number, at_ms],
            )?;
            number as u64
        };
        let job = Arc::new(QueryJob::new(number, spec, progress));
        lock(&self.used).insert(number, (at_ms, 0));
        lock(&self.jobs).insert(number, Arc::clone(&job));
        Ok(job)
    }

    /// Writes a job's progress through. The caller holds its lock, so that
    /// two changes are kept in the order in which they were made. Of a job
    /// that was removed nothing is kept.
    pub(crate) fn keep(&self, job: &QueryJob, progress: &Progress) -> Result<(), StoreError> {
        let body = text(&job.spec, progress)?;
        lock(&self.database)
            .prepare_cached("UPDATE jobs SET body = ?2 WHERE number = ?1")?
            .execute(params![job.number as i64, body])?;
        Ok(())
    }

    /// Counts the bytes of a job's results.
    pub(crate) fn charge(&self, job: u64, bytes: u64) -> Result<(), StoreError> {
        if let Some((_, used)) = lock(&self.used).get_mut(&job) {
            *used = bytes;
        }
        lock(&self.database)
            .prepare_cached("UPDATE used SET bytes = ?2 WHERE job = ?1")?
            .execute(params![job as i64, bytes as i64])?;
        Ok(())
    }

    /// Jobs created in the 24 hours before `now_ms`, and bytes of their results.
    pub(crate) fn used(&self, now_ms: i64) -> (u64, u64) {
        let mut used = lock(&self.used);
        used.retain(|_, (at, _)| *at > now_ms - DAY_MS);
        (used.len() as u64, used.values().map(|(_, bytes)| bytes).sum())
    }

    /// Forgets a job; it stays counted.
    pub(crate) fn remove(&self, number: u64) -> Result<(), StoreError> {
        lock(&self.jobs).remove(&number);
        lock(&self.database).execute("DELETE FROM jobs WHERE number = ?1", [number as i64])?;
        Ok(())
    }

    /// A job by its number.
    pub(crate) fn get(&self, number: u64) -> Option<Arc<QueryJob>> {
        lock(&self.jobs).get(&number).cloned()
    }

    /// All jobs, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<QueryJob>> {
        lock(&self.jobs).values().cloned().collect()
    }
}

fn text(spec: &JobSpec, progress: &Progress) -> Result<String, StoreError> {
    let kept = Kept { spec: spec.clone(), progress: progress.clone() };
    serde_json::to_string(&kept).map_err(StoreError::Job)
}
