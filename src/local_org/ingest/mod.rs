//! Bulk API 2.0 ingest, as protocol notes, sections 2 to 4 tell it: jobs, their
//! files, the worker that reads and saves rows, and the calls over HTTP.
//!
//! ```text
//!  http ── create, upload, close, abort, info, list, delete, results
//!    │
//!  Ingest ── registry (jobs, batches used)   spool (uploads, result rows)
//!    │
//!  worker ── cut ── header ── plan ── prepare (no lock) ── apply (one transaction)
//! ```
//! A unit of work (10,000 rows, fewer when slowed down) is committed as a
//! whole: records, which rows succeeded and failed, and the journal. A killed
//! org goes on with the units that are left.

mod apply;
pub(super) mod create;
pub(super) mod csv;
mod cut;
mod faulty;
mod header;
pub(crate) mod http;
pub(super) mod job;
pub(super) mod list;
mod multipart;
mod owner;
mod picked;
mod plan;
mod prepare;
mod registry;
pub(super) mod results;
pub(super) mod shuffle;
mod spool;
mod tell;
mod worker;

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value as Json;

use super::catalogue::{Catalogue, ObjectDef};
use super::clock::Clock;
use super::errors::ApiError;
use super::faults::Faults;
use super::ids::RecordKey;
use super::jobs::request::Creator;
use super::jobs::{State, illegal_state, visible_to};
use super::queue::Queue;
use super::settings::{BatchesUsedUp, OpenJobExpiry, SecondUpload, Settings, UploadAfterClose};
pub use super::store::Change;
use super::store::{Effect, Store, StoreError};
pub(crate) use http::routes;
use job::{Job, Progress, Shape};
pub(crate) use list::Teller;
use registry::Registry;
use spool::{Spools, Upload};

/// Why ingest could not be started.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The jobs' database failed.
    #[error("cannot open the local org's jobs")]
    Jobs(#[from] StoreError),
    /// The jobs' files or a worker thread could not be made.
    #[error("cannot prepare the local org's jobs")]
    Io(#[from] std::io::Error),
}

/// What one row of a job did to a record, for those who judge whether every
/// row took effect exactly once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// 18-character id of the job.
    pub job: String,
    /// Data row of its upload, from 0; lines without content don't count.
    pub row: u32,
    /// 18-character id of the record.
    pub record: String,
    /// What happened to it.
    pub change: Change,
}

impl JournalEntry {
    /// An effect as it is told.
    pub(crate) fn of(object: &ObjectDef, effect: Effect) -> JournalEntry {
        JournalEntry {
            job: RecordKey::new("750", effect.job).to_string(),
            row: effect.row,
            record: RecordKey::new(&object.key_prefix, effect.record).to_string(),
            change: effect.change,
        }
    }
}

/// All ingest jobs of the org and their workers. Copies are the same org.
#[derive(Clone)]
pub(crate) struct Ingest {
    inner: Arc<Inner>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// What handlers and workers share.
struct Inner {
    settings: Settings,
    clock: Clock,
    catalogue: Arc<Catalogue>,
    store: Arc<Store>,
    registry: Registry,
    spools: Spools,
    queue: Queue<worker::Task>,
    cursors: list::Cursors,
    /// Tells jobs that are in a list but not of ingest.
    others: OnceLock<Teller>,
    faults: Arc<Faults>,
}

impl Inner {
    /// Changes a job's state and keeps it.
    fn enter(&self, job: &Job, progress: &mut Progress, state: State) {
        progress.enter(state, self.clock.now_ms());
        self.keep(job, progress);
        if state.is_terminal() {
            self.faults.release(job.number);
        }
        job.notify();
    }

    fn keep(&self, job: &Job, progress: &Progress) {
        if let Err(error) = self.registry.keep(job, progress) {
            tracing::error!(job = %job.key(), cause = %error, "a job's state could not be kept");
        }
    }

    /// Completes a job whose units are all done.
    fn finish(&self, job: &Job) {
        let mut progress = job.progress();
        if progress.state == State::InProgress {
            self.enter(job, &mut progress, State::JobComplete);
        }
    }

    /// Does what time does to jobs (section 6): open ones end after a day,
    /// ended ones go after a week.
    fn expire(&self) {
        let now = self.clock.now_ms();
        let open_ms = i64::from(self.settings.open_job_hours) * 3_600_000;
        let kept_ms = i64::from(self.settings.job_days) * 86_400_000;
        for job in self.registry.all() {
            let mut progress = job.progress();
            let too_long_open =
                progress.state == State::Open && now - job.spec.created_ms >= open_ms;
            if too_long_open && self.settings.open_job_expiry == OpenJobExpiry::Aborted {
                self.enter(&job, &mut progress, State::Aborted);
                // It ended when its time was over, whenever this is seen.
                progress.ended_ms = Some(job.spec.created_ms + open_ms);
                self.keep(&job, &progress);
            }
            let gone = progress.ended_ms.is_some_and(|ended| now - ended >= kept_ms)
                || (too_long_open && progress.state == State::Open);
            drop(progress);
            if gone && let Err(error) = self.remove(&job) {
                tracing::error!(job = %job.key(), cause = %error, "a job could not be removed");
            }
        }
    }

    fn remove(&self, job: &Job) -> Result<(), IngestError> {
        self.registry.remove(job.number)?;
        self.store.forget_units(job.number)?;
        self.spools.remove(job.number)?;
        Ok(())
    }
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingest")
            .field("jobs", &self.inner.registry.all().len())
            .finish_non_exhaustive()
    }
}

impl Ingest {
    /// Opens the jobs in `dir` (or in memory) and starts the workers; jobs
    /// that were being worked on go on.
    ///
    /// # Errors
    /// When the jobs can't be read or a thread can't be made.
    pub(crate) fn start(
        dir: Option<&Path>,
        settings: &Settings,
        clock: &Clock,
        catalogue: &Arc<Catalogue>,
        store: &Arc<Store>,
    ) -> Result<Ingest, IngestError> {
        let inner = Arc::new(Inner {
            settings: settings.clone(),
            clock: clock.clone(),
            catalogue: Arc::clone(catalogue),
            store: Arc::clone(store),
            registry: Registry::open(dir)?,
            spools: Spools::open(dir)?,
            queue: Queue::default(),
            cursors: list::Cursors::default(),
            others: OnceLock::new(),
            faults: Arc::new(Faults::new(&settings.faults)),
        });
        for job in inner.registry.all() {
            let mut progress = job.progress();
            for unit in inner.store.units(job.number)? {
                progress.processed += unit.processed;
                progress.failed += unit.failed;
                progress.work_ms += unit.ms;
            }
            if matches!(progress.state, State::UploadComplete | State::InProgress) {
                drop(progress);
                inner.queue.add(worker::Task::Begin(job), Duration::ZERO);
            }
        }
        let threads = (0..settings.workers.clamp(1, 64))
            .map(|number| {
                let inner = Arc::clone(&inner);
                std::thread::Builder::new()
                    .name(format!("local-org-{number}"))
                    .spawn(move || worker::work(&inner))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Ingest { inner, threads: Arc::new(Mutex::new(threads)) })
    }

    /// Lets the workers finish the unit they are at and waits for them. What
    /// is left goes on at the next start.
    pub(crate) fn stop(&self) {
        self.inner.queue.stop();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a worker of the local org had panicked");
            }
        }
    }

    /// Every effect that jobs had on records of an object, oldest first; jobs
    /// that are gone are in it, too.
    pub(crate) fn journal(&self, object: &str) -> Result<Vec<JournalEntry>, StoreError> {
        let definition = self
            .inner
            .catalogue
            .object(object)
            .ok_or_else(|| StoreError::NoObject(object.to_owned()))?;
        let entry = |effect| JournalEntry::of(definition, effect);
        Ok(self.inner.store.journal(definition)?.into_iter().map(entry).collect())
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

    /// Batches of 10,000 rows started in the last 24 hours.
    pub(crate) fn batches_used(&self) -> u64 {
        self.inner.registry.batches_used(self.inner.clock.now_ms())
    }

    /// Creates a job (section 2.2); gives it with the reply's body.
    ///
    /// # Errors
    /// 400 when the body makes no job, or at an allowance that says so.
    pub(crate) fn create(
        &self,
        body: &[u8],
        user: &str,
        version: &str,
    ) -> Result<(Arc<Job>, Json), ApiError> {
        self.create_job(body, user, version, None)
    }

    /// Creates a job together with its data (section 2.3).
    ///
    /// # Errors
    /// As [`Ingest::create`].
    pub(crate) fn create_with(
        &self,
        body: &[u8],
        csv: &[u8],
        user: &str,
        version: &str,
    ) -> Result<(Arc<Job>, Json), ApiError> {
        self.create_job(body, user, version, Some(csv))
    }

    fn create_job(
        &self,
        body: &[u8],
        user: &str,
        version: &str,
        csv: Option<&[u8]>,
    ) -> Result<(Arc<Job>, Json), ApiError> {
        let inner = &self.inner;
        inner.expire();
        let now_ms = inner.clock.now_ms();
        let creator = Creator { user: user.to_owned(), version: version.to_owned(), now_ms };
        let mut spec = create::read(body, creator, &inner.catalogue, &inner.settings)?;
        spec.multipart = csv.is_some();
        if inner.settings.batches_used_up == BatchesUsedUp::RefuseCreate
            && self.batches_used() >= inner.settings.daily_batches
        {
            return Err(ApiError::bad_request(
                "EXCEEDEDQUOTA",
                "ExceededQuota : ApiBatchItems Limit exceeded",
            ));
        }
        if let Some(limit) = inner.settings.concurrent_jobs {
            let busy = inner.registry.all().iter().filter(|job| !job.state().is_terminal()).count();
            if busy as u64 >= limit {
                return Err(ApiError::bad_request(
                    "EXCEEDEDQUOTA",
                    format!("ExceededQuota : at most {limit} jobs may be active at a time"),
                ));
            }
        }
        let mut progress = Progress::new(now_ms);
        let job = inner.registry.add(spec, progress.clone()).map_err(|e| ApiError::internal(&e))?;
        if let Some(csv) = csv {
            let written = inner.spools.upload(job.number, u64::MAX).and_then(|mut upload| {
                std::io::Write::write_all(&mut upload, csv)?;
                upload.finish()
            });
            written.map_err(|error| ApiError::internal(&error))?;
            progress.uploads = 1;
            inner.enter(&job, &mut progress, State::UploadComplete);
            *job.progress() = progress;
        }
        let reply = job.json(Shape::Created);
        if csv.is_some() {
            self.enqueue(&job);
        }
        Ok((job, reply))
    }

    fn enqueue(&self, job: &Arc<Job>) {
        let delay = Duration::from_millis(self.inner.settings.start_delay_ms);
        self.inner.queue.add(worker::Task::Begin(Arc::clone(job)), delay);
    }

    /// The job of an id, for a user.
    ///
    /// # Errors
    /// 404 of unknown, deleted and expired jobs; of other users' jobs what
    /// `others_jobs` says.
    pub(crate) fn job(&self, id: &str, user: &str) -> Result<Arc<Job>, ApiError> {
        self.inner.expire();
        let job = self.known(id)?;
        visible_to(user, &job.spec.created_by, &self.inner.settings)?;
        Ok(job)
    }

    fn known(&self, id: &str) -> Result<Arc<Job>, ApiError> {
        RecordKey::parse(id)
            .filter(|key| key.prefix() == "750")
            .and_then(|key| key.counter())
            .and_then(|number| self.inner.registry.get(number))
            .ok_or_else(ApiError::not_found)
    }

    /// Starts an upload (section 2.5). `None`: it is to be read and dropped.
    ///
    /// # Errors
    /// 400 `INVALIDJOBSTATE` when the job isn't open, `INVALIDJOB` for a
    /// second upload; both are switches.
    pub(crate) fn start_upload(&self, job: &Arc<Job>) -> Result<Option<Arriving>, ApiError> {
        let settings = &self.inner.settings;
        self.meddle(job, false);
        {
            let mut progress = job.progress();
            if progress.state != State::Open {
                return match settings.upload_after_close {
                    UploadAfterClose::Ignore => Ok(None),
                    UploadAfterClose::Refuse => Err(illegal_state(format!(
                        "Uploading data to a job in state {} not allowed",
                        progress.state.word()
                    ))),
                };
            }
            if progress.uploading || progress.uploads > 0 {
                if settings.second_upload == SecondUpload::RefuseUpload {
                    return Err(second_upload(job));
                }
                progress.uploads += 1;
                self.inner.keep(job, &progress);
                return Ok(None);
            }
            progress.uploading = true;
        }
        let mut arriving = Arriving { ingest: self.clone(), job: Arc::clone(job), upload: None };
        // Base64 makes four bytes of three.
        let limit = settings.upload_base64_bytes / 4 * 3;
        let upload = self.inner.spools.upload(job.number, limit);
        arriving.upload = Some(upload.map_err(|error| ApiError::internal(&error))?);
        Ok(Some(arriving))
    }

    /// Closes a job; gives the reply's body, which a worker that is quick to
    /// begin doesn't change.
    ///
    /// # Errors
    /// 400 `INVALIDJOBSTATE` when it isn't open, `INVALIDJOB` after a second
    /// upload, `CLIENTINPUTERROR` without any (a switch).
    pub(crate) fn close(&self, job: &Arc<Job>) -> Result<Json, ApiError> {
        self.meddle(job, true);
        {
            let mut progress = job.progress();
            if progress.state != State::Open {
                return Err(illegal_state("Closing already Completed Job not allowed"));
            }
            if progress.uploads > 1 {
                return Err(second_upload(job));
            }
            if progress.uploads == 0 && !self.inner.settings.close_without_upload {
                return Err(ApiError::bad_request(
                    "CLIENTINPUTERROR",
                    "ClientInputError : No data was uploaded for the job",
                ));
            }
            self.inner.enter(job, &mut progress, State::UploadComplete);
        }
        let reply = job.json(Shape::Patched);
        self.enqueue(job);
        Ok(reply)
    }

    /// Aborts a job and gives the reply's body; what is committed stays, and so does the unit being
    /// worked on.
    ///
    /// # Errors
    /// 400 `INVALIDJOBSTATE` when it has ended.
    pub(crate) fn abort(&self, job: &Arc<Job>) -> Result<Json, ApiError> {
        {
            let mut progress = job.progress();
            if progress.state.is_terminal() {
                return Err(illegal_state("Aborting already Completed Job not allowed"));
            }
            self.inner.enter(job, &mut progress, State::Aborted);
        }
        self.inner.queue.look_again();
        Ok(job.json(Shape::Patched))
    }

    /// Removes a job, its data and results.
    ///
    /// # Errors
    /// 400 while it is open (a switch) or in progress.
    pub(crate) fn delete(&self, job: &Arc<Job>) -> Result<(), ApiError> {
        {
            let mut progress = job.progress();
            match progress.state {
                State::Open if !self.inner.settings.delete_open_jobs => {
                    return Err(illegal_state("Deleting an open Job not allowed"));
                }
                State::InProgress => {
                    return Err(ApiError::bad_request(
                        "API_ERROR",
                        "Error encountered when deleting the job because the job is not terminated",
                    ));
                }
                // No worker begins it any more.
                State::Open | State::UploadComplete => progress.state = State::Aborted,
                State::JobComplete | State::Failed | State::Aborted => {}
            }
        }
        self.inner.remove(job).map_err(|error| ApiError::internal(&error))
    }
}

fn second_upload(job: &Job) -> ApiError {
    ApiError::bad_request(
        "INVALIDJOB",
        // The misspelling is the service's.
        format!(
            "Found multipe contents for job: <{}>, please 'Close' / 'Abort' / 'Delete' the \
             current Job then create a new Job and make sure you only do 'PUT' once on a given Job.",
            job.key()
        ),
    )
}

/// An upload that is arriving. Dropped before [`Arriving::finish`], the job is
/// as if it had never begun.
pub(crate) struct Arriving {
    ingest: Ingest,
    job: Arc<Job>,
    upload: Option<Upload>,
}

impl Arriving {
    /// Where the bytes go.
    pub(crate) fn writer(&mut self) -> Option<&mut Upload> {
        self.upload.as_mut()
    }

    /// All bytes have come.
    ///
    /// # Errors
    /// 400 when they are too many, or the job was aborted meanwhile.
    pub(crate) fn finish(mut self) -> Result<(), ApiError> {
        let Some(upload) = self.upload.take() else { return Ok(()) };
        if upload.is_too_large() {
            return Err(ApiError::bad_request(
                "CLIENTINPUTERROR",
                format!(
                    "ClientInputError : The uploaded data exceeds the limit of {} bytes after \
                     base64 conversion",
                    self.ingest.inner.settings.upload_base64_bytes
                ),
            ));
        }
        let mut progress = self.job.progress();
        if progress.state != State::Open {
            return Err(illegal_state(format!(
                "Uploading data to a job in state {} not allowed",
                progress.state.word()
            )));
        }
        upload.finish().map_err(|error| ApiError::internal(&error))?;
        progress.uploads += 1;
        progress.modified_ms = self.ingest.inner.clock.now_ms();
        self.ingest.inner.keep(&self.job, &progress);
        Ok(())
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.job.progress().uploading = false;
    }
}

#[cfg(test)]
mod tests;
