//! Runs a prepared load to its end.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::lane::Lane;
use super::planner::{PlanTotals, plan_chunks};
use super::preflight::alone;
use super::results::{Settled, write_results};
use super::{PreflightError, Prepared, RunFolder, Stop, StopReason};
use crate::chunker::PlannedChunk;
use crate::domain::{
    AttemptState, Event, FailureGroups, JobInfo, JobState, Reason, SharedSink, Status, Tally,
    Verdict, error_chain, verdict,
};
use crate::ledger::{
    Ledger, LedgerError, OrgRecord, RunEnd, RunRecord, RunStatus, SharedLedger, SourceRecord,
};
use crate::poller::Poller;
use crate::reconciler::{OutcomeError, ResultError, WrittenFile};
use crate::rows::{SourceError, SourceRows as _};
use crate::salesforce::CallError;
use crate::uploader::{AttemptStep, Uploader};

/// Planned chunks that may wait for a lane. Two, so that a lane that gets free
/// finds one ready while the next is being cut; each may hold a spool of up to
/// `--chunk-bytes` on disk.
const PLANNED_AHEAD: usize = 2;

/// Chunks reconciled at the same time. Each holds the keys and outcomes of its
/// rows in memory; two keep both cores of a small machine busy.
pub(super) const RECONCILING: usize = 2;

/// Ordinal of the one source of a load.
pub(super) const SOURCE: u32 = 1;

/// Notes a summary keeps.
const MOST_NOTES: usize = 200;

/// A job of a run, for the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobReport {
    /// Job id.
    pub id: String,
    /// Chunk number.
    pub chunk: u64,
    /// Attempt number.
    pub attempt: u32,
    /// State the org showed last.
    pub state: JobState,
    /// First source row in it.
    pub first_row: u64,
    /// Rows in it.
    pub rows: u64,
    /// Bytes of its body.
    pub bytes: u64,
    /// Rows the org says it worked.
    pub processed: u64,
    /// Rows the org says failed.
    pub failed: u64,
    /// Why it failed as a whole.
    pub error: Option<String>,
}

/// How a run ended.
#[derive(Debug)]
pub struct LoadEnd {
    /// Status and exit code.
    pub verdict: Verdict,
    /// Every row by its fate; `pending` is 0 when the run completed.
    pub tally: Tally,
    /// Rows that went out to the org.
    pub sent: u64,
    /// Why it ended early, if it did.
    pub stopped: Option<StopReason>,
    /// Jobs in the order of their chunks.
    pub jobs: Vec<JobReport>,
    /// Failed rows by code and masked message.
    pub failures: FailureGroups,
    /// Rows of the source, once it was read to its end.
    pub source_rows: Option<u64>,
    /// Result files that were written.
    pub result_files: Vec<WrittenFile>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// When it began.
    pub started: jiff::Timestamp,
    /// When it ended.
    pub finished: jiff::Timestamp,
}

/// Why a run could not even wind down in order.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The ledger can't be made or written.
    #[error("the ledger can't be written")]
    Ledger(#[from] LedgerError),
    /// Refused at the last moment; nothing was sent and there is no run folder.
    #[error("refused")]
    Refused(#[source] PreflightError),
    /// The org refused the very first job; nothing was sent and there is no
    /// run folder.
    #[error("the org refuses such a job")]
    FirstJob(#[source] CallError),
    /// A result file can't be written.
    #[error("the result files can't be written")]
    Results(#[from] ResultError),
    /// An outcome file can't be read or written.
    #[error("the outcomes can't be kept")]
    Outcomes(#[from] OutcomeError),
    /// The source can't be read (any more).
    #[error("the source can't be read")]
    Source(#[from] SourceError),
    /// A stage broke off; this is a bug in bulkhaul.
    #[error("a stage broke off: {0}")]
    Stage(String),
}

/// What every stage of one run shares.
pub(super) struct Run {
    pub(super) prepared: Prepared,
    pub(super) folder: RunFolder,
    pub(super) ledger: SharedLedger,
    pub(super) events: SharedSink,
    pub(super) stop: Stop,
    pub(super) uploader: Uploader,
    pub(super) poller: Poller,
    pub(super) reconciling: Semaphore,
    books: Arc<Mutex<Books>>,
}

/// What is counted on the way.
#[derive(Default)]
struct Books {
    tally: Tally,
    to_send: u64,
    chunks: u64,
    /// First row, rows and bytes of each chunk whose fate is open.
    planned: HashMap<u64, (u64, u64, u64)>,
    sent: u64,
    jobs: BTreeMap<(u64, u32), JobReport>,
    failures: FailureGroups,
    notes: Vec<String>,
}

/// A panic elsewhere leaves counts, not broken structures, behind.
fn locked(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Books {
    /// Takes a step of an attempt: every job is listed, also one that was given
    /// up, and rows count as sent once the close of their job was attempted.
    fn step(&mut self, step: &AttemptStep) {
        let Some(&(first_row, rows, bytes)) = self.planned.get(&step.chunk) else { return };
        if step.state == AttemptState::Closing {
            self.sent += rows;
        }
        let Some(job) = &step.job else { return };
        let state = match step.state {
            AttemptState::Closed => JobState::UploadComplete,
            AttemptState::Aborting | AttemptState::GivenUp => JobState::Aborted,
            _ => JobState::Open,
        };
        let report = self.jobs.entry((step.chunk, step.attempt)).or_insert_with(|| JobReport {
            id: job.clone(),
            chunk: step.chunk,
            attempt: step.attempt,
            state,
            first_row,
            rows,
            bytes,
            processed: 0,
            failed: 0,
            error: None,
        });
        report.state = state;
    }
}

impl Run {
    fn with_books<T>(&self, change: impl FnOnce(&mut Books) -> T) -> T {
        change(&mut locked(&self.books))
    }

    /// Counts the rows of a chunk as read, and those that were rejected.
    pub(super) fn chunk_planned(&self, chunk: &PlannedChunk, reasons: FailureGroups) {
        self.with_books(|books| {
            books.tally.read += chunk.read_rows;
            books.tally.rejected += chunk.rejected;
            books.to_send += chunk.rows.len();
            books.chunks = chunk.number;
            let first_row = chunk.rows.first().map_or(0, |row| row.0);
            books.planned.insert(chunk.number, (first_row, chunk.rows.len(), chunk.bytes));
            books.failures.merge(reasons);
        });
    }

    /// Rows to send and chunks planned so far.
    pub(super) fn planned(&self) -> (u64, u64) {
        self.with_books(|books| (books.to_send, books.chunks))
    }

    /// Notes how a job ended.
    pub(super) fn job_ended(&self, chunk: u64, attempt: u32, info: &JobInfo) {
        self.with_books(|books| {
            if let Some(report) = books.jobs.get_mut(&(chunk, attempt)) {
                report.state = info.state;
                report.processed = info.records_processed.unwrap_or(0);
                report.failed = info.records_failed.unwrap_or(0);
                report.error.clone_from(&info.error_message);
            }
        });
    }

    /// Counts the final outcomes of a chunk.
    pub(super) fn reconciled(&self, chunk: u64, tally: &Tally, failures: FailureGroups) {
        self.with_books(|books| {
            books.tally.add(tally);
            books.failures.merge(failures);
            books.planned.remove(&chunk);
        });
        self.events.announce(Event::ChunkReconciled { chunk, tally: *tally });
    }

    /// A chunk whose outcomes are on disk, with the attempt that carried it.
    pub(super) fn settled(&self, chunk: &PlannedChunk, attempt: Option<u32>) -> Settled {
        let number = chunk.number;
        let rejected = (chunk.rejected > 0).then(|| self.folder.rejected(number));
        let sent = attempt.map(|attempt| self.folder.outcomes(number, attempt));
        Settled {
            number,
            stretch: chunk.stretch,
            outcomes: rejected.into_iter().chain(sent).collect(),
        }
    }

    /// Something of ours broke; the run winds down.
    fn broke(&self, error: &LoadError) {
        let text = error_chain(error);
        self.note(text.clone());
        self.stop.ask(StopReason::repair(text));
    }

    /// Tells a person something, now and in the summary.
    pub(super) fn note(&self, text: String) {
        self.events.announce(Event::Note { text: text.clone() });
        self.with_books(|books| {
            // A summary is for reading; the events have them all (I6).
            if books.notes.len() < MOST_NOTES {
                books.notes.push(text);
            }
        });
    }
}

/// Runs a prepared load in its folder until every row has its fate, or until
/// it is asked to stop.
///
/// # Errors
/// [`LoadError`] when the run's own files fail; anything the org or the
/// network does ends in a [`LoadEnd`].
pub async fn load(
    prepared: Prepared,
    folder: RunFolder,
    command: serde_json::Value,
    events: SharedSink,
    stop: Stop,
) -> Result<LoadEnd, LoadError> {
    let started = jiff::Timestamp::now();
    let made = tokio::task::spawn_blocking(move || {
        let made = alone(&prepared, || open_ledger(&prepared, &folder, command, started));
        (made, prepared, folder)
    });
    let (made, prepared, folder) =
        made.await.map_err(|error| LoadError::Stage(format!("ledger: {error}")))?;
    let ledger = match made {
        Ok(ledger) => ledger,
        Err(error) => {
            // Nothing was sent, so nothing is left behind.
            folder.discard();
            return Err(LoadError::Refused(error));
        }
    };
    let lanes = prepared.request.lanes.max(1);
    events.announce(Event::RunStarted {
        run_id: folder.id.clone(),
        folder: folder.path().display().to_string(),
        source_bytes: Some(prepared.source.identity().bytes),
        rows: prepared.survey.as_ref().map(|survey| survey.sent),
        lanes,
    });
    let books = Arc::new(Mutex::new(Books::default()));
    let observer = {
        let books = Arc::clone(&books);
        Arc::new(move |step: &AttemptStep| locked(&books).step(step))
    };
    let run = Arc::new(Run {
        uploader: Uploader::new(prepared.org.clone(), ledger.clone(), Arc::clone(&events))
            .observed_by(observer),
        poller: Poller::start(prepared.org.clone(), Arc::clone(&events)),
        reconciling: Semaphore::new(RECONCILING),
        books,
        prepared,
        folder,
        ledger,
        events,
        stop,
    });
    let timer = max_wait(&run);
    let herald = herald(&run);

    let (planned, chunks) = mpsc::channel(PLANNED_AHEAD);
    // Only numbers travel here; the bound is far above what can be waiting.
    let (settled, settling) = mpsc::channel(64);
    let planner = {
        let run = Arc::clone(&run);
        let settled = settled.clone();
        tokio::task::spawn_blocking(move || plan_chunks(&run, planned, settled))
    };
    let writer = {
        let run = Arc::clone(&run);
        tokio::task::spawn_blocking(move || write_results(&run, settling))
    };
    work_off(&run, chunks, &settled, lanes).await;
    drop(settled);

    // Whatever broke, the run still ends with its account: outcomes are on
    // disk, and the result files can be made again from them.
    let totals = planner.await.unwrap_or_else(|error| {
        run.broke(&LoadError::Stage(format!("planner: {error}")));
        PlanTotals::default()
    });
    let written = writer
        .await
        .unwrap_or_else(|error| Err(LoadError::Stage(format!("results: {error}"))))
        .unwrap_or_else(|error| {
            run.broke(&error);
            Vec::new()
        });
    for helper in timer.into_iter().chain([herald]) {
        helper.abort();
    }
    end(&run, totals, written, started).await
}

fn open_ledger(
    prepared: &Prepared,
    folder: &RunFolder,
    command: serde_json::Value,
    started: jiff::Timestamp,
) -> Result<SharedLedger, LedgerError> {
    let identity = prepared.org.identity();
    let ledger = Ledger::create(
        &folder.ledger(),
        &RunRecord {
            id: folder.id.clone(),
            command: "load".to_owned(),
            settings: command,
            org: OrgRecord {
                id: identity.org_id.clone(),
                name: identity.name.clone(),
                url: identity.url.clone(),
                user: identity.user_id.clone(),
                username: identity.username.clone(),
                production: identity.production,
            },
            api_version: prepared.org.api_version().to_string(),
            object: prepared.object.name.clone(),
            operation: prepared.request.operation,
            external_id: prepared.plan.external_id.clone(),
            started_at: started,
            parent_run: None,
        },
    )?;
    let source = &prepared.source;
    let file = source.identity();
    ledger.record_source(&SourceRecord {
        ordinal: SOURCE,
        path: source.path().to_owned(),
        bytes: file.bytes,
        modified: file
            .modified_ns
            .and_then(|ns| jiff::Timestamp::from_nanosecond(i128::from(ns)).ok()),
        inode: file.inode,
        edge_digest: file.digest.clone(),
        header: source.header().to_vec(),
        dialect: serde_json::to_value(source.dialect()).unwrap_or_default(),
        plan: serde_json::to_value(&*prepared.plan).unwrap_or_default(),
        rows: None,
    })?;
    Ok(SharedLedger::new(ledger))
}

/// Tells at once that the run winds down: uploads in flight may take a while.
fn herald(run: &Arc<Run>) -> tokio::task::JoinHandle<()> {
    let (stop, events) = (run.stop.clone(), Arc::clone(&run.events));
    tokio::spawn(async move {
        stop.asked().await;
        if let Some(reason) = stop.reason() {
            let what = match reason {
                StopReason::Signal => "uploads in flight end first, a second signal leaves at once",
                _ => "no new jobs are made",
            };
            events.announce(Event::Stopping { reason: format!("{}; {what}", reason.describe()) });
        }
    })
}

fn max_wait(run: &Arc<Run>) -> Option<tokio::task::JoinHandle<()>> {
    let wait = run.prepared.request.max_wait?;
    let run = Arc::clone(run);
    Some(tokio::spawn(async move {
        tokio::time::sleep(wait).await;
        run.stop.ask(StopReason::MaxWait);
    }))
}

/// Gives each chunk a lane until there are no more.
async fn work_off(
    run: &Arc<Run>,
    mut chunks: mpsc::Receiver<PlannedChunk>,
    settled: &mpsc::Sender<Settled>,
    lanes: usize,
) {
    let free = Arc::new(Semaphore::new(lanes));
    let mut busy = JoinSet::new();
    while let Some(chunk) = chunks.recv().await {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { break };
        watch_allowance(run);
        // Chunks planned before the word came stay in the ledger, unsent.
        if run.stop.is_asked() {
            break;
        }
        let (run, settled) = (Arc::clone(run), settled.clone());
        busy.spawn(async move {
            let number = chunk.number;
            match Lane::new(&run).work(chunk, permit).await {
                Ok(Some(done)) => {
                    // Closed only after the results thread failed, which stops the run.
                    let _ = settled.send(done).await;
                }
                Ok(None) => {}
                Err(error) => {
                    let (reason, text) = error.into_stop(number);
                    run.note(text);
                    run.stop.ask(reason);
                }
            }
        });
        while busy.try_join_next().is_some() {}
    }
    // The planner must not wait for a place that never gets free.
    chunks.close();
    while chunks.recv().await.is_some() {}
    while let Some(lane) = busy.join_next().await {
        if let Err(error) = lane {
            run.stop.ask(StopReason::repair(format!("a lane broke off: {error}")));
        }
    }
}

/// Stops making jobs while there are still calls to end those at work (I9).
fn watch_allowance(run: &Run) {
    // What a lane's job may take until its results are in.
    const CALLS_OF_A_JOB: u64 = 16;
    if let Some((used, granted)) = run.prepared.org.usage().daily_calls {
        let lanes = run.prepared.request.lanes as u64;
        if used.saturating_add(CALLS_OF_A_JOB * (lanes + 1)) > granted {
            run.stop.ask(StopReason::Allowance(format!("{used} of {granted} daily API calls")));
        }
    }
}

async fn end(
    run: &Arc<Run>,
    totals: PlanTotals,
    result_files: Vec<WrittenFile>,
    started: jiff::Timestamp,
) -> Result<LoadEnd, LoadError> {
    if totals.exhausted && totals.read == 0 {
        run.note("the source has no rows".to_owned());
    }
    let (read, pending) = run.with_books(|books| (books.tally.read, books.tally.pending()));
    if let Some(survey) = run.prepared.survey.as_ref().filter(|survey| survey.read > read) {
        run.note(format!("{} more rows of the source were not read", survey.read - read));
    }
    if pending > 0 {
        run.note(
            "the result files hold the rows up to the first chunk whose outcome is not known yet"
                .to_owned(),
        );
    }
    let finished = jiff::Timestamp::now();
    let stopped = run.stop.reason();
    if let Some(StopReason::Repair { call: Some(call), .. }) = &stopped
        && call.certainly_did_not_happen()
        && run.with_books(|books| books.jobs.is_empty() && books.sent == 0)
    {
        let call = call.clone();
        run.folder.clone().discard();
        return Err(LoadError::FirstJob(call));
    }
    let (mut tally, sent, jobs, failures, notes) = run.with_books(|books| {
        (
            books.tally,
            books.sent,
            std::mem::take(&mut books.jobs),
            std::mem::take(&mut books.failures),
            std::mem::take(&mut books.notes),
        )
    });
    tally.read = tally.read.max(totals.read);
    let mut reason = stopped.as_ref().map_or(Reason::Finished, StopReason::reason);
    let mut stopped = stopped;
    if reason == Reason::Interrupted && totals.exhausted && tally.pending() == 0 {
        // The word came when there was nothing left to stop.
        (reason, stopped) = (Reason::Finished, None);
    }
    let verdict = verdict([reason], &tally);
    let record = RunEnd {
        status: match verdict.status {
            Status::Completed => RunStatus::Completed,
            Status::Interrupted => RunStatus::Interrupted,
            Status::Failed => RunStatus::Failed,
            Status::Stopped => RunStatus::Stopped,
        },
        exit_code: verdict.exit_code,
        at: finished,
    };
    run.ledger.run(move |ledger| ledger.finish_run(&record)).await?;
    run.folder.tidy();
    Ok(LoadEnd {
        verdict,
        tally,
        sent,
        stopped,
        jobs: jobs.into_values().collect(),
        failures,
        source_rows: totals.exhausted.then_some(totals.read),
        result_files,
        notes,
        started,
        finished,
    })
}
