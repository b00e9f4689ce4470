//! The threads that work query jobs: each takes one and reads its records, at
//! the org's speed, until it has all or the job has ended otherwise.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::Inner;
use super::create::plan_of;
use super::job::{Operation, QueryJob};
use super::project::Projection;
use super::results::Writer;
use crate::local_org::errors::ApiError;
use crate::local_org::faults::JobFault;
use crate::local_org::jobs::State;
use crate::local_org::soql::plan::Plan;
use crate::local_org::soql::read::{ReadError, Reader};
use crate::local_org::soql::run;
use crate::local_org::store::StoreError;
use crate::local_org::value::Value;

/// Records between two looks at what else there is to do.
const STEP: u64 = 1_000;

/// Why a job could not be worked to its end.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the job's results can't be written")]
    Io(#[from] std::io::Error),
    /// The objects changed since it was created.
    #[error("the query can't be run any more: {0}")]
    Refused(ApiError),
    /// It fails on purpose.
    #[error("{0}")]
    Doomed(&'static str),
    /// It was aborted or removed, or the org stops.
    #[error("it need not go on")]
    Stopped,
}

/// The life of a worker thread.
pub(crate) fn work(inner: &Inner) {
    while let Some(job) = inner.queue.next() {
        {
            let mut progress = job.progress();
            match progress.state {
                State::UploadComplete => inner.enter(&job, &mut progress, State::InProgress),
                // A stopped org had begun it.
                State::InProgress => {}
                _ => continue,
            }
        }
        let outcome = run(inner, &job);
        let complete = match outcome {
            Ok(complete) => complete,
            Err(error) => {
                give_up(inner, &job, &error);
                false
            }
        };
        if !complete
            && !inner.queue.is_stopping()
            && let Err(error) = inner.results.remove(job.number)
        {
            tracing::error!(job = %job.key(), cause = %error, "results could not be removed");
        }
    }
}

fn give_up(inner: &Inner, job: &QueryJob, error: &WorkError) {
    let message = match error {
        WorkError::Stopped => return,
        WorkError::Doomed(message) => (*message).to_owned(),
        WorkError::Refused(refusal) => format!("InvalidBatch : {refusal}"),
        other => {
            tracing::error!(job = %job.key(), cause = %other, "the local org failed a query job");
            "InternalServerError : An unexpected error occurred in the local org".to_owned()
        }
    };
    let mut progress = job.progress();
    if progress.state == State::InProgress {
        progress.error = Some(message);
        inner.enter(job, &mut progress, State::Failed);
    }
}

/// Reads a job's records; gives whether it is complete now.
fn run(inner: &Inner, job: &Arc<QueryJob>) -> Result<bool, WorkError> {
    let started = Instant::now();
    let spec = &job.spec;
    let plan =
        plan_of(&spec.query, spec.created_ms, &inner.catalogue).map_err(WorkError::Refused)?;
    let archived = archived_before(inner.settings.archive_after_days, inner.clock.now_ms());
    let reader = Reader::of(inner.store.snapshot()?).archiving(archived);
    let mut reading = Reading {
        inner,
        job,
        projection: Projection::new(&plan, spec),
        reader: &reader,
        writer: inner.results.begin(job.number)?,
        doom: Doom::of(inner, job.number, &plan)?,
        step: step(inner.settings.query_records_per_second),
    };
    let deleted_too = spec.operation == Operation::QueryAll;
    if run::natural_order(&plan).is_some() {
        let most = plan.limit.unwrap_or(u64::MAX);
        let mut failure = None;
        run::each_match(&plan, &reader, deleted_too, &mut |row| {
            if reading.writer.rows() >= most {
                return Ok(ControlFlow::Break(()));
            }
            Ok(match reading.take(row.values) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            })
        })?;
        if let Some(failure) = failure {
            return Err(failure);
        }
    } else {
        for id in run::ids(&plan, &reader, deleted_too)? {
            let id = String::from_utf8_lossy(&id);
            // In memory it may have gone meanwhile.
            let Some(record) = reader.get(&plan.object, &id)? else { continue };
            if deleted_too || !record.deleted {
                reading.take(&record.values)?;
            }
        }
    }
    reading.end()?;
    let (rows, bytes) = reading.writer.finish()?;
    inner.registry.charge(job.number, bytes)?;
    let mut progress = job.progress();
    if progress.state != State::InProgress {
        return Ok(false);
    }
    progress.processed = rows;
    progress.work_ms = started.elapsed().as_millis() as u64;
    inner.enter(job, &mut progress, State::JobComplete);
    Ok(true)
}

/// The day before which activities are archived by now.
pub(crate) fn archived_before(after_days: Option<u32>, now_ms: i64) -> Option<i32> {
    let days = i32::try_from(after_days?).unwrap_or(i32::MAX);
    Some(run::today(now_ms).saturating_sub(days))
}

/// Records between two looks: about a tenth of a second's.
fn step(speed: Option<u64>) -> u64 {
    speed.map_or(STEP, |speed| (speed / 10).clamp(1, STEP))
}

/// A job whose records are being read.
struct Reading<'a> {
    inner: &'a Inner,
    job: &'a QueryJob,
    projection: Projection<'a>,
    reader: &'a Reader<'a>,
    writer: Writer<'a>,
    doom: Option<Doom>,
    step: u64,
}

impl Reading<'_> {
    /// Takes a record into the results.
    fn take<S: AsRef<str>>(&mut self, values: &[Value<S>]) -> Result<(), WorkError> {
        let rows = self.writer.rows();
        if self.doom.as_ref().is_some_and(|doom| doom.after == rows) {
            self.meet_doom()?;
        }
        if rows.is_multiple_of(self.step) {
            self.look(rows)?;
        }
        self.projection.write(self.writer.row(), values, self.reader)?;
        Ok(self.writer.end_row()?)
    }

    /// There are no more records.
    fn end(&mut self) -> Result<(), WorkError> {
        if self.doom.as_ref().is_some_and(|doom| doom.after >= self.writer.rows()) {
            self.meet_doom()?;
        }
        self.look(self.writer.rows())
    }

    /// Tells how far it is, looks whether it may go on, and waits as the
    /// org's speed asks.
    fn look(&self, rows: u64) -> Result<(), WorkError> {
        {
            let mut progress = self.job.progress();
            if progress.state != State::InProgress {
                return Err(WorkError::Stopped);
            }
            progress.processed = rows;
            progress.modified_ms = self.inner.clock.now_ms();
            self.job.notify();
        }
        let goes_on = || self.job.state() == State::InProgress;
        let speed = self.inner.settings.query_records_per_second;
        let step = u32::try_from(self.step).unwrap_or(u32::MAX);
        if self.inner.queue.is_stopping() || !self.inner.queue.pace(step, speed, goes_on) {
            return Err(WorkError::Stopped);
        }
        Ok(())
    }

    fn meet_doom(&mut self) -> Result<(), WorkError> {
        let Some(doom) = self.doom.take() else { return Ok(()) };
        if doom.drawn && !self.inner.faults.take(doom.fault.word()) {
            return Ok(());
        }
        match doom.fault {
            JobFault::QueryAborted => {
                let mut progress = self.job.progress();
                if !progress.state.is_terminal() {
                    progress.processed = self.writer.rows();
                    self.inner.enter(self.job, &mut progress, State::Aborted);
                }
                Err(WorkError::Stopped)
            }
            JobFault::QueryTimesOut => {
                Err(WorkError::Doomed("Timeout : The query could not be run in the time allowed"))
            }
            _ => Err(WorkError::Doomed("InternalServerError : An unexpected error occurred")),
        }
    }
}

/// What is to befall a job on purpose, after so many records.
struct Doom {
    fault: JobFault,
    after: u64,
    /// It is one of the faults, which are counted, and not a switch.
    drawn: bool,
}

impl Doom {
    fn of(inner: &Inner, job: u64, plan: &Plan) -> Result<Option<Doom>, StoreError> {
        let settings = &inner.settings;
        let (fault, part, drawn) = if settings.fail_query_jobs.contains(&job) {
            (JobFault::QueryFails, 0.5, false)
        } else if settings.abort_query_jobs.contains(&job) {
            (JobFault::QueryAborted, 0.5, false)
        } else if let Some((fault, part)) = inner.faults.query_job(job) {
            (fault, part, true)
        } else {
            return Ok(None);
        };
        let records = inner.store.count(&plan.object, true)?;
        Ok(Some(Doom { fault, after: (records as f64 * part) as u64, drawn }))
    }
}
