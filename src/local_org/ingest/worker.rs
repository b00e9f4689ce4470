//! The threads that work jobs: queue, pacing, units in an order of their own,
//! and what becomes of a job when its units are done.
//!
//! A closed job is a [`Task::Begin`]: its file is read through, cut into
//! units, its header understood. Then it is a [`Task::Work`], which goes round
//! the queue giving one unit at a time, so that jobs advance side by side.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Inner;
use super::apply::Apply;
use super::cut::{BATCH, Unit, cut, unit_rows};
use super::faulty::{Doom, RowFaults, doomed_unit_rows};
use super::header::{self, JobError};
use super::job::Job;
use super::plan::Plan;
use super::prepare::prepare;
use super::shuffle::shuffle;
use super::spool::Spool;
use crate::local_org::faults::JobFault;
use crate::local_org::jobs::State;
use crate::local_org::settings::{ResultOrder, RowsBeyondAllowance};
use crate::local_org::store::{StoreError, UnitDone};

/// What waits for a worker.
pub(super) enum Task {
    /// A closed job.
    Begin(Arc<Job>),
    /// One that has begun.
    Work(Arc<Run>),
}

/// The work of one job that has begun.
pub(super) struct Run {
    job: Arc<Job>,
    plan: Plan,
    units: Mutex<VecDeque<Unit>>,
    /// Units not done yet, taken ones among them.
    left: AtomicUsize,
    /// Units taken or done.
    taken: AtomicUsize,
    /// What is to befall the job on purpose.
    doom: Option<Doom>,
    /// Lengths of the files of successes and failures; changed only inside
    /// the writer's transaction.
    ends: Mutex<(u64, u64)>,
}

/// Why a unit could not be worked.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the job's files can't be read or written")]
    Io(#[from] std::io::Error),
    #[error("the file was refused: {}", .0.0)]
    Refused(JobError),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The life of a worker thread.
pub(crate) fn work(inner: &Inner) {
    while let Some(task) = inner.queue.next() {
        match task {
            Task::Begin(job) => match begin(inner, &job) {
                Ok(Some(run)) => {
                    inner.queue.add(Task::Work(run), Duration::ZERO);
                }
                Ok(None) => {}
                Err(error) => give_up(inner, &job, &error),
            },
            Task::Work(run) => {
                let (unit, more) = {
                    let mut units = lock(&run.units);
                    (units.pop_front(), !units.is_empty())
                };
                if more {
                    inner.queue.add(Task::Work(Arc::clone(&run)), Duration::ZERO);
                }
                let Some(unit) = unit else { continue };
                if let Err(error) = work_unit(inner, &run, &unit) {
                    give_up(inner, &run.job, &error);
                    lock(&run.units).clear();
                }
            }
        }
    }
}

/// Fails a job as a whole. What was committed stays.
fn give_up(inner: &Inner, job: &Job, error: &WorkError) {
    let message = match error {
        WorkError::Refused(JobError(message)) => message.clone(),
        other => {
            tracing::error!(job = %job.key(), cause = %other, "the local org failed a job");
            "InternalServerError : An unexpected error occurred in the local org".to_owned()
        }
    };
    let mut progress = job.progress();
    if progress.state == State::InProgress {
        progress.error = Some(message);
        inner.enter(job, &mut progress, State::Failed);
    }
}

/// Takes a closed job (or one that a stopped org had begun) into work.
/// `None`: nothing is left to do.
fn begin(inner: &Inner, job: &Arc<Job>) -> Result<Option<Arc<Run>>, WorkError> {
    let no_object = || StoreError::NoObject(job.spec.object.clone());
    let fate = inner.fate(job.number);
    let fresh_unit_rows = match fate {
        Some(_) => rows_of_doomed(inner, job),
        None => unit_rows(&inner.settings),
    };
    let (rows, newest_before) = {
        let mut progress = job.progress();
        if !matches!(progress.state, State::UploadComplete | State::InProgress) {
            return Ok(None);
        }
        let rows = *progress.unit_rows.get_or_insert(fresh_unit_rows);
        let next =
            inner.store.table_named(&job.spec.object).map_or(1, |table| table.next_counter());
        let newest = *progress.newest_before.get_or_insert(next.saturating_sub(1));
        if progress.state == State::UploadComplete {
            inner.enter(job, &mut progress, State::InProgress);
        }
        (rows, newest)
    };
    if inner.settings.fail_jobs.contains(&job.number) {
        let message = "InternalServerError : Unable to process the job, as fail-jobs says";
        return Err(WorkError::Refused(JobError(message.to_owned())));
    }
    if fate == Some(JobFault::Invalid) {
        let doom = inner.doom(job.number, JobFault::Invalid, 0);
        inner.meet(job, doom).map_err(WorkError::Refused)?;
    }
    let length = inner.spools.len(job.number, Spool::Upload)?;
    let upload = inner.spools.read(job.number, Spool::Upload, length)?;
    let cut = cut(upload, &job.spec, &inner.settings, rows)?.map_err(WorkError::Refused)?;
    let table = inner.store.table_named(&job.spec.object).ok_or_else(no_object)?;
    if cut.header.is_empty() {
        inner.finish(job);
        return Ok(None);
    }
    let header = header::read(&cut.header, &job.spec, &table.object, &inner.store, &inner.settings)
        .map_err(WorkError::Refused)?;
    let plan = Plan::new(
        job.number,
        &job.spec,
        header,
        table,
        newest_before,
        &inner.store,
        &inner.settings,
    );
    let done = inner.store.units(job.number)?;
    {
        let mut progress = job.progress();
        let header = String::from_utf8_lossy(&plan.result_header()).into_owned();
        progress.result_header = Some(header);
        inner.keep(job, &progress);
    }
    let doom = fate
        .filter(|fate| *fate != JobFault::Invalid)
        .map(|fate| inner.doom(job.number, fate, cut.units.len()));
    let mut units: Vec<Unit> = cut
        .units
        .into_iter()
        .filter(|unit| !done.iter().any(|done| done.unit == unit.number))
        .collect();
    if inner.settings.result_order == ResultOrder::Shuffled {
        shuffle(&mut units, inner.settings.seed ^ job.number);
    }
    if units.is_empty() {
        inner.finish(job);
        return Ok(None);
    }
    let ends = (
        done.iter().map(|done| done.successes_end).max().unwrap_or(0),
        done.iter().map(|done| done.failures_end).max().unwrap_or(0),
    );
    Ok(Some(Arc::new(Run {
        job: Arc::clone(job),
        plan,
        left: AtomicUsize::new(units.len()),
        taken: AtomicUsize::new(done.len()),
        doom,
        units: Mutex::new(units.into()),
        ends: Mutex::new(ends),
    })))
}

/// Rows to a unit of a job that something is to befall.
fn rows_of_doomed(inner: &Inner, job: &Job) -> u32 {
    let most = unit_rows(&inner.settings);
    let rows = || {
        let length = inner.spools.len(job.number, Spool::Upload)?;
        let upload = inner.spools.read(job.number, Spool::Upload, length)?;
        let cut = cut(upload, &job.spec, &inner.settings, BATCH)?;
        Ok::<u32, std::io::Error>(cut.map_or(0, |cut| cut.units.iter().map(|u| u.rows).sum()))
    };
    // What is wrong with the file is told when the work begins.
    doomed_unit_rows(rows().unwrap_or(0), most)
}

fn work_unit(inner: &Inner, run: &Run, unit: &Unit) -> Result<(), WorkError> {
    let job = &run.job;
    let taken = run.taken.fetch_add(1, Ordering::AcqRel);
    if let Some(doom) = run.doom.filter(|doom| doom.after == taken)
        && job.state() == State::InProgress
    {
        inner.meet(job, doom).map_err(WorkError::Refused)?;
    }
    if job.state() != State::InProgress {
        lock(&run.units).clear();
        return Ok(());
    }
    let now = inner.clock.now_ms();
    let limit = inner.settings.daily_batches;
    if !inner.registry.charge_batch(job.number, unit.batch, now, limit)? {
        job.progress().hides_unprocessed =
            inner.settings.rows_beyond_allowance == RowsBeyondAllowance::Nowhere;
        let message = "ExceededQuota : ApiBatchItems Limit exceeded".to_owned();
        return Err(WorkError::Refused(JobError(message)));
    }
    let started = Instant::now();
    let mut data = Vec::with_capacity(usize::try_from(unit.end - unit.start).unwrap_or(0));
    inner
        .spools
        .read_from(job.number, Spool::Upload, unit.start, unit.end)?
        .read_to_end(&mut data)?;
    let prepared = prepare(&run.plan, &data, unit.first_row).map_err(WorkError::Refused)?;
    let prepared_in = started.elapsed();
    let goes_on = || job.state() == State::InProgress;
    if !inner.queue.pace(unit.rows, inner.settings.rows_per_second, goes_on) {
        if !inner.queue.is_stopping() {
            lock(&run.units).clear();
        }
        return Ok(());
    }
    let done = inner.store.transaction(&run.plan.table, |transaction| {
        let started = Instant::now();
        // From here on nothing else is committed, so the lengths are ours.
        let mut ends = lock(&run.ends);
        let faults = RowFaults::new(inner, job.number, unit.batch);
        let apply =
            Apply::new(&run.plan, &data, &prepared, unit.first_row, now, transaction, faults);
        let outcome = apply.run()?;
        inner.spools.append(job.number, Spool::Successes, ends.0, &outcome.successes)?;
        inner.spools.append(job.number, Spool::Failures, ends.1, &outcome.failures)?;
        let done = UnitDone {
            unit: unit.number,
            processed: prepared.rows.len() as u64,
            failed: outcome.failed,
            successes_end: ends.0 + outcome.successes.len() as u64,
            failures_end: ends.1 + outcome.failures.len() as u64,
            ms: (prepared_in + started.elapsed()).as_millis() as u64,
        };
        transaction.units.done(job.number, &run.plan.table.object, done, &outcome.effects)?;
        // Before the commit, and harmless if it fails: that fails the job.
        *ends = (done.successes_end, done.failures_end);
        Ok::<UnitDone, WorkError>(done)
    })?;
    {
        let mut progress = job.progress();
        progress.processed += done.processed;
        progress.failed += done.failed;
        progress.work_ms += done.ms;
        progress.modified_ms = inner.clock.now_ms();
        if progress.state.is_terminal() {
            // It ended meanwhile, and what this unit held is free, too.
            inner.faults.release(job.number);
        }
        job.notify();
    }
    if run.left.fetch_sub(1, Ordering::AcqRel) == 1 {
        inner.finish(job);
    }
    Ok(())
}
