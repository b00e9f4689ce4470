//! Bulk API 2.0 query jobs, as protocol notes, section 5 tells them: jobs, the
//! worker that reads records, and the pages of their results.
//!
//! ```text
//!  http ── create, info, list, abort, delete, results, resultPages
//!    │
//!  BulkQuery ── registry (jobs, quota)   results (rows as CSV, where each ends)
//!    │
//!  worker ── each_match ── projection ── results
//! ```
//! The worker writes the rows of a job once, as they will be sent, and beside
//! them where each row ends. So a page is a stretch of bytes, whatever its
//! first row and its length, and the same however often it is asked for,
//! whatever becomes of the records. A job is worked as a whole: one that a
//! stop or kill cut off begins anew.

mod create;
pub(crate) mod http;
mod job;
mod pages;
mod project;
mod registry;
mod results;
mod worker;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value as Json;

use super::catalogue::Catalogue;
use super::clock::Clock;
use super::errors::ApiError;
use super::faults::Faults;
use super::ids::RecordKey;
use super::ingest::{Ingest, IngestError};
use super::jobs::request::{Creator, bad_parameter};
use super::jobs::{State, illegal_state, visible_to};
use super::queue::Queue;
use super::settings::{QueryListPath, Settings};
use super::store::Store;
pub(crate) use http::routes;
use job::{Progress, QueryJob, Shape};
use registry::Registry;
use results::Results;
pub(crate) use worker::archived_before;

/// The first API version that has query jobs.
const SINCE: u32 = 47;

/// The first that has `resultPages`.
const PAGES_SINCE: u32 = 58;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// All query jobs of the org and their workers. Copies are the same org.
#[derive(Clone)]
pub(crate) struct BulkQuery {
    inner: Arc<Inner>,
    /// Lists show all jobs there are.
    ingest: Ingest,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// What handlers and workers share.
struct Inner {
    settings: Settings,
    clock: Clock,
    catalogue: Arc<Catalogue>,
    store: Arc<Store>,
    registry: Registry,
    results: Results,
    queue: Queue<Arc<QueryJob>>,
    faults: Arc<Faults>,
    downloads: http::Pace,
}

impl Inner {
    /// Changes a job's state and keeps it.
    fn enter(&self, job: &QueryJob, progress: &mut Progress, state: State) {
        progress.enter(state, self.clock.now_ms());
        if let Err(error) = self.registry.keep(job, progress) {
            tracing::error!(job = %job.key(), cause = %error, "a job's state could not be kept");
        }
        job.notify();
    }

    /// Jobs and their results go some days after the end (section 6); those
    /// that never ended go, too.
    fn expire(&self) {
        let now = self.clock.now_ms();
        let kept_ms = i64::from(self.settings.job_days) * DAY_MS;
        for job in self.registry.all() {
            let mut progress = job.progress();
            if now - progress.ended_ms.unwrap_or(job.spec.created_ms) < kept_ms {
                continue;
            }
            if !progress.state.is_terminal() {
                // Its worker gives it up.
                progress.enter(State::Aborted, now);
            }
            drop(progress);
            if let Err(error) = self.remove(&job) {
                tracing::error!(job = %job.key(), cause = %error, "a job could not be removed");
            }
        }
    }

    fn remove(&self, job: &QueryJob) -> Result<(), IngestError> {
        self.registry.remove(job.number)?;
        self.results.remove(job.number)?;
        Ok(())
    }
}

impl std::fmt::Debug for BulkQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BulkQuery")
            .field("jobs", &self.inner.registry.all().len())
            .finish_non_exhaustive()
    }
}

/// Whether calls of this API version may do what came with version `since`.
fn known_since(version: &str, since: u32) -> Result<(), ApiError> {
    let number = version.split('.').next().and_then(|digits| digits.parse::<u32>().ok());
    if number.is_some_and(|number| number >= since) { Ok(()) } else { Err(ApiError::not_found()) }
}

impl BulkQuery {
    /// Opens the jobs in `dir` (or in memory) and starts the workers; jobs
    /// that had not ended begin anew.
    ///
    /// # Errors
    /// When the jobs can't be read or a thread can't be made.
    pub(crate) fn start(
        dir: Option<&Path>,
        settings: &Settings,
        clock: &Clock,
        catalogue: &Arc<Catalogue>,
        store: &Arc<Store>,
        ingest: &Ingest,
    ) -> Result<BulkQuery, IngestError> {
        let registry = Registry::open(dir)?;
        let complete = |job: &Arc<QueryJob>| job.state() == State::JobComplete;
        let kept: Vec<u64> =
            registry.all().iter().filter(|job| complete(job)).map(|job| job.number).collect();
        let inner = Arc::new(Inner {
            settings: settings.clone(),
            clock: clock.clone(),
            catalogue: Arc::clone(catalogue),
            store: Arc::clone(store),
            registry,
            results: Results::open(dir, &kept)?,
            queue: Queue::default(),
            faults: Arc::clone(ingest.faults()),
            downloads: http::Pace::new(settings.download_bytes_per_second),
        });
        for job in inner.registry.all() {
            if !job.state().is_terminal() {
                job.progress().processed = 0;
                inner.queue.add(job, Duration::ZERO);
            }
        }
        let weak = Arc::downgrade(&inner);
        ingest.tell_also(Box::new(move |number| {
            let inner = weak.upgrade()?;
            let job = inner.registry.get(number.checked_sub(job::FIRST)?)?;
            Some(job.json(Shape::Listed, false))
        }));
        let threads = (0..settings.workers.clamp(1, 64))
            .map(|number| {
                let inner = Arc::clone(&inner);
                std::thread::Builder::new()
                    .name(format!("local-org-query-{number}"))
                    .spawn(move || worker::work(&inner))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(BulkQuery { inner, ingest: ingest.clone(), threads: Arc::new(Mutex::new(threads)) })
    }

    /// Stops the workers and waits for them. What had not ended begins anew
    /// at the next start.
    pub(crate) fn stop(&self) {
        self.inner.queue.stop();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a query worker of the local org had panicked");
            }
        }
    }

    /// Waits until a job has ended, `most` at most.
    ///
    /// # Errors
    /// 404 when there is no such job.
    #[cfg(test)]
    pub(crate) fn wait(&self, id: &str, most: Duration) -> Result<bool, ApiError> {
        let job = self.known(id)?;
        Ok(job.wait_until(most, |progress| progress.state.is_terminal()))
    }

    /// Query jobs of the last 24 hours and megabytes of their results.
    pub(crate) fn used(&self) -> (u64, u64) {
        let (jobs, bytes) = self.inner.registry.used(self.inner.clock.now_ms());
        (jobs, bytes.div_ceil(1 << 20))
    }

    /// Creates a job; gives it with the reply's body.
    ///
    /// # Errors
    /// 400 when the body makes no job or Bulk refuses its query, or when a
    /// quota is used up; 404 under an API version without query jobs.
    pub(crate) fn create(
        &self,
        body: &[u8],
        user: &str,
        version: &str,
    ) -> Result<(Arc<QueryJob>, Json), ApiError> {
        known_since(version, SINCE)?;
        let inner = &self.inner;
        inner.expire();
        let now_ms = inner.clock.now_ms();
        let creator = Creator { user: user.to_owned(), version: version.to_owned(), now_ms };
        let spec = create::read(body, creator, &inner.catalogue, &inner.settings)?;
        let (jobs, megabytes) = self.used();
        let most = inner.settings.daily_query_jobs;
        if jobs >= most {
            return Err(ApiError::bad_request(
                "LIMIT_EXCEEDED",
                format!("Max bulk v2 query jobs ({most}) per 24 hrs has been reached ({jobs})"),
            ));
        }
        let most = inner.settings.daily_query_megabytes;
        if megabytes >= most {
            return Err(ApiError::bad_request(
                "LIMIT_EXCEEDED",
                format!(
                    "Max bulk v2 query result size stored ({}) kb per 24 hrs has been exceeded",
                    most.saturating_mul(1024)
                ),
            ));
        }
        let job = inner
            .registry
            .add(spec, Progress::new(now_ms))
            .map_err(|error| ApiError::internal(&error))?;
        let reply = job.json(Shape::Created, false);
        let delay = Duration::from_millis(inner.settings.query_start_delay_ms);
        inner.queue.add(Arc::clone(&job), delay);
        Ok((job, reply))
    }

    /// The job of an id, for a user.
    ///
    /// # Errors
    /// 404 of unknown, deleted and expired jobs and those of ingest; of other
    /// users' jobs what `others_jobs` says.
    pub(crate) fn job(
        &self,
        id: &str,
        user: &str,
        version: &str,
    ) -> Result<Arc<QueryJob>, ApiError> {
        known_since(version, SINCE)?;
        self.inner.expire();
        let job = self.known(id)?;
        visible_to(user, &job.spec.created_by, &self.inner.settings)?;
        Ok(job)
    }

    fn known(&self, id: &str) -> Result<Arc<QueryJob>, ApiError> {
        RecordKey::parse(id)
            .filter(|key| key.prefix() == "750")
            .and_then(|key| key.counter()?.checked_sub(job::FIRST))
            .and_then(|number| self.inner.registry.get(number))
            .ok_or_else(ApiError::not_found)
    }

    /// The body of a reply to GET.
    pub(crate) fn info(&self, job: &QueryJob) -> Json {
        job.json(Shape::Info, self.inner.settings.query_error_message)
    }

    /// Aborts a job and gives the reply's body.
    ///
    /// # Errors
    /// 400 `INVALIDJOBSTATE` when it has ended.
    pub(crate) fn abort(&self, job: &Arc<QueryJob>) -> Result<Json, ApiError> {
        {
            let mut progress = job.progress();
            if progress.state.is_terminal() {
                return Err(illegal_state("Aborting already Completed Job not allowed"));
            }
            self.inner.enter(job, &mut progress, State::Aborted);
        }
        self.inner.queue.look_again();
        Ok(job.json(Shape::Patched, false))
    }

    /// Removes a job and its results.
    ///
    /// # Errors
    /// 400 `API_ERROR` before it has ended.
    pub(crate) fn delete(&self, job: &Arc<QueryJob>) -> Result<(), ApiError> {
        if !job.state().is_terminal() {
            return Err(ApiError::bad_request(
                "API_ERROR",
                "Error encountered when deleting the job because the job is not terminated",
            ));
        }
        self.inner.remove(job).map_err(|error| ApiError::internal(&error))
    }

    /// A page of the list: all bulk jobs there are, unless filters say
    /// otherwise. `query` is that of the URL.
    ///
    /// # Errors
    /// 400 for a filter or locator that means nothing.
    pub(crate) fn list(&self, query: &[(String, String)], version: &str) -> Result<Json, ApiError> {
        known_since(version, SINCE)?;
        self.inner.expire();
        let (mut queries, mut ingests) = (true, true);
        let mut locator = None;
        for (name, value) in query {
            let lower = value.to_ascii_lowercase();
            match (name.as_str(), lower.as_str()) {
                ("jobType", "v2query") => ingests = false,
                ("jobType", "v2ingest") => queries = false,
                ("jobType", "classic" | "bigobjectingest")
                // Only Bulk API 1.0 jobs have it, and can be serial.
                | ("isPkChunkingEnabled", "true")
                | ("concurrencyMode", "serial") => (queries, ingests) = (false, false),
                ("isPkChunkingEnabled", "false") | ("concurrencyMode", "parallel") => {}
                ("jobType" | "isPkChunkingEnabled" | "concurrencyMode", _) => {
                    return Err(bad_parameter(name, value));
                }
                ("queryLocator", _) => locator = Some(value.as_str()),
                _ => {}
            }
        }
        let mut jobs = if ingests { self.ingest.numbers() } else { Vec::new() };
        if queries {
            jobs.extend(self.inner.registry.all().iter().map(|job| job::FIRST + job.number));
        }
        let settings = &self.inner.settings;
        let kind = match settings.query_list_path {
            QueryListPath::Ingest => "ingest",
            QueryListPath::Query => "query",
        };
        let path = format!("/services/data/v{version}/jobs/{kind}");
        self.ingest.page(jobs, locator, settings.list_page.max(1), &path)
    }
}

#[cfg(test)]
mod tests;
