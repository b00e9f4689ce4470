//! One chunk's way through the org: upload, wait, reconcile.
//!
//! A lane is held from the creation of a job to its terminal state, so
//! `--parallel` bounds the jobs at work. It is passed on only when a place for
//! reconciling is free: however slow that is, no more than two chunks wait in
//! memory (I6).

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;

use super::StopReason;
use super::folder::private_target;
use super::load::Run;
use super::results::Settled;
use crate::chunker::{Body, PlannedChunk, open_body, open_rows};
use crate::domain::{
    AttemptEvent, Event, FailureGroups, Fate, JobInfo, JobState, NewJob, ResultSet, error_chain,
};
use crate::ledger::{AttemptOutcomes, JobError, LedgerError, StepDetail};
use crate::poller::PollerError;
use crate::reconciler::{
    ChunkProof, OutcomeError, OutcomeSummary, OutcomeWriter, ReconcileError, ResultSets, RowError,
    SentRows, dispute, reconcile,
};
use crate::salesforce::{CallError, OpenTarget, UploadBody};
use crate::uploader::{ChunkBody, UploadError};

/// Pauses between readings of the result sets of a complete job that don't add
/// up, before rows are disputed: the service may show results a moment late.
const LATE_RESULTS: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// Pauses between readings of the sets of a job that failed or was aborted
/// after it had begun: batches that run may still finish, so two readings in a
/// row have to agree.
const RUNNING_OUT: [Duration; 6] = [
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(30),
    Duration::from_mins(1),
    Duration::from_mins(2),
];

/// The pause for one that had not worked a row by its own counters.
const NOTHING_BEGUN: [Duration; 7] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(30),
    Duration::from_mins(1),
    Duration::from_mins(2),
];

/// How many attempts carried a chunk's rows to a closed job: one. Those before
/// it were given up unclosed, and nothing is sent again after a close.
const CARRIED_BY: u8 = 1;

/// Why a lane could not carry its chunk to the end.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaneError {
    /// The chunk didn't come to a closed job.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// The job can't be watched.
    #[error(transparent)]
    Poll(#[from] PollerError),
    /// The results can't be fetched.
    #[error("the results of job {job} can't be fetched")]
    Fetch {
        /// Job id.
        job: String,
        /// The call's error.
        source: CallError,
    },
    /// The results can't be matched.
    #[error("the results of job {job} can't be matched")]
    Reconcile {
        /// Job id.
        job: String,
        /// Why.
        source: ReconcileError,
    },
    /// Two readings of its result sets never agreed.
    #[error("the results of job {job} still change, minutes after it ended")]
    StillChanging {
        /// Job id.
        job: String,
    },
    /// The outcome file can't be written.
    #[error("the outcomes can't be written")]
    Outcomes(#[from] OutcomeError),
    /// The ledger can't be written.
    #[error("the ledger can't be written")]
    Ledger(#[from] LedgerError),
    /// A thread broke off.
    #[error("the reconciling broke off")]
    Interrupted,
}

impl LaneError {
    /// What it means for the run, and a sentence for people.
    pub(super) fn into_stop(self, chunk: u64) -> (StopReason, String) {
        let told = error_chain(&self);
        let own = format!("chunk {chunk}");
        let text = if told.starts_with(&own) { told } else { format!("{own}: {told}") };
        let call = match &self {
            LaneError::Upload(error) => error.call(),
            LaneError::Poll(PollerError::Call { source, .. }) | LaneError::Fetch { source, .. } => {
                Some(source)
            }
            _ => None,
        };
        let reason = match call {
            Some(call) if call.is_allowance() => StopReason::Allowance(call.brief()),
            Some(call) if call.is_transient() => StopReason::Unreachable(call.brief()),
            None if matches!(self, LaneError::StillChanging { .. }) => {
                StopReason::Unreachable("its results still change".to_owned())
            }
            call => StopReason::Repair { text: text.clone(), call: call.cloned() },
        };
        (reason, text)
    }
}

/// What a reading of the result sets came to.
struct Reading {
    proof: ChunkProof,
    outcomes: OutcomeSummary,
    failures: FailureGroups,
}

/// One chunk on its way.
pub(super) struct Lane<'a> {
    run: &'a Arc<Run>,
}

impl<'a> Lane<'a> {
    pub(super) fn new(run: &'a Arc<Run>) -> Self {
        Lane { run }
    }

    /// Carries a chunk to its outcomes. `None` when the run winds down before
    /// that; the ledger knows how far it came.
    pub(super) async fn work(
        &self,
        chunk: PlannedChunk,
        lane: OwnedSemaphorePermit,
    ) -> Result<Option<Settled>, LaneError> {
        let run = self.run;
        let body = self.body(&chunk);
        let closed = run.uploader.upload(&body).await?;
        let ended = tokio::select! {
            ended = run.poller.terminal(chunk.number, &closed.job, chunk.rows.len()) => ended,
            () = run.stop.detached() => return Ok(None),
        };
        let info = match ended {
            Ok(watched) => Some(watched.info),
            Err(PollerError::Gone { .. }) => None,
            Err(PollerError::Stopped) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if let Some(info) = &info {
            self.ended(&chunk, &closed.job, closed.attempt, info).await?;
        }
        let _place = run.reconciling.acquire().await.map_err(|_| LaneError::Interrupted)?;
        drop(lane);
        let reading = match &info {
            Some(info) => self.read_results(&chunk, &closed.job, closed.attempt, info).await?,
            None => self.dispute_all(&chunk, &closed.job, closed.attempt).await?,
        };
        self.settle(&chunk, closed.attempt, reading).await?;
        Ok(Some(run.settled(&chunk, Some(closed.attempt))))
    }

    fn body(&self, chunk: &PlannedChunk) -> ChunkBody {
        let prepared = &self.run.prepared;
        let source = Arc::clone(&prepared.source);
        let header_line = prepared.plan.header_line();
        let line_end = chunk.add_line_end.map_or(0, |end| end.bytes().len());
        let bytes = header_line.len() as u64 + chunk.bytes + line_end as u64;
        let (spool, text, line_end) =
            (self.run.folder.spool_dir(), chunk.body.clone(), chunk.add_line_end);
        ChunkBody {
            chunk: chunk.number,
            rows: chunk.rows.len(),
            job: NewJob {
                object: prepared.object.name.clone(),
                operation: prepared.request.operation,
                external_id: prepared.plan.external_id.clone(),
                delimiter: prepared.plan.delimiter,
                line_ending: prepared.plan.line_ending,
                assignment_rule: prepared.request.assignment_rule.clone(),
            },
            body: UploadBody {
                len: Some(bytes),
                open: Arc::new(move || open_body(&header_line, &text, line_end, &*source, &spool)),
            },
        }
    }

    /// Writes down that a job ended, and tells why it failed as a whole.
    async fn ended(
        &self,
        chunk: &PlannedChunk,
        job: &str,
        attempt: u32,
        info: &JobInfo,
    ) -> Result<(), LaneError> {
        self.run.job_ended(chunk.number, attempt, info);
        let detail = StepDetail {
            processed: info.records_processed,
            failed: info.records_failed,
            error: info.error_message.as_deref().map(job_error),
            ..StepDetail::default()
        };
        let (number, event) = (chunk.number, AttemptEvent::Ended(info.state));
        self.run
            .ledger
            .run(move |ledger| {
                ledger.attempt_step(number, attempt, event, &detail, Timestamp::now()).map(drop)
            })
            .await?;
        if info.state == JobState::Aborted {
            self.run.note(format!(
                "chunk {number}: job {job} was aborted by somebody else in the org; rows it had \
                 not reached are unprocessed"
            ));
        }
        if let Some(message) = &info.error_message {
            // Every further job would fail the same way (I9).
            if message.starts_with("ExceededQuota") {
                self.run.stop.ask(StopReason::Allowance(message.clone()));
            }
            self.run.events.announce(Event::JobFailed {
                chunk: number,
                job: job.to_owned(),
                message: message.clone(),
            });
        }
        Ok(())
    }

    /// Fetches and matches until the sets add up. Those of a job that was
    /// aborted or failed may still grow, so two readings have to agree (I1).
    async fn read_results(
        &self,
        chunk: &PlannedChunk,
        job: &str,
        attempt: u32,
        info: &JobInfo,
    ) -> Result<Reading, LaneError> {
        let may_grow = info.state != JobState::JobComplete;
        let pauses: &[Duration] = match (may_grow, info.records_processed) {
            (false, _) => &LATE_RESULTS,
            (true, Some(0)) => &NOTHING_BEGUN,
            (true, _) => &RUNNING_OUT,
        };
        let mut before: Option<String> = None;
        for pause in pauses.iter().copied().map(Some).chain([None]) {
            match (self.read_once(chunk, job, attempt).await, pause) {
                (Ok(found), pause) => {
                    let digest = &found.outcomes.digest;
                    let settled = if may_grow {
                        before.as_ref() == Some(digest)
                    } else {
                        found.proof.shortfall == 0 || pause.is_none()
                    };
                    if settled {
                        self.check_counters(chunk, job, info, &found.proof);
                        return Ok(found);
                    }
                    before = Some(digest.clone());
                }
                // A set that breaks off is fetched again; it is never final.
                (Err(LaneError::Reconcile { .. }), Some(_)) => {}
                (Err(error), _) => return Err(error),
            }
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
        Err(LaneError::StillChanging { job: job.to_owned() })
    }

    async fn read_once(
        &self,
        chunk: &PlannedChunk,
        job: &str,
        attempt: u32,
    ) -> Result<Reading, LaneError> {
        let files = FetchedSets::new(&self.run.folder.result_dir(), chunk.number, attempt);
        let fetches = ResultSet::ALL.map(|set| {
            let path = files.path(set);
            let open: OpenTarget =
                Arc::new(move || Ok(Box::new(private_target(&path)?) as Box<dyn Write + Send>));
            async move { self.run.prepared.org.results(job, set, &open).await }
        });
        for fetched in futures_util::future::join_all(fetches).await {
            fetched.map_err(|source| LaneError::Fetch { job: job.to_owned(), source })?;
        }
        let run = Arc::clone(self.run);
        let (chunk, job) = (chunk.clone(), job.to_owned());
        on_cpu(move || match_results(&run, &chunk, &job, attempt, &files)).await
    }

    async fn dispute_all(
        &self,
        chunk: &PlannedChunk,
        job: &str,
        attempt: u32,
    ) -> Result<Reading, LaneError> {
        let reason = format!("the org no longer knows job {job}, its results are lost");
        self.run.note(format!("chunk {}: {reason}; its rows are disputed", chunk.number));
        let (run, chunk, job) = (Arc::clone(self.run), chunk.clone(), job.to_owned());
        on_cpu(move || {
            let path = run.folder.outcomes(chunk.number, attempt);
            let mut writer = OutcomeWriter::create(&path, chunk.number)?;
            let proof = dispute(&chunk.rows, CARRIED_BY, &reason, &mut |outcome| {
                writer.push(&outcome).map_err(io::Error::other)
            })
            .map_err(|source| LaneError::Reconcile { job, source })?;
            Ok(Reading { proof, outcomes: writer.finish()?, failures: FailureGroups::default() })
        })
        .await
    }

    /// The counters are a cross-check only; what differs is told.
    fn check_counters(&self, chunk: &PlannedChunk, job: &str, info: &JobInfo, proof: &ChunkProof) {
        let number = chunk.number;
        for problem in &proof.problems {
            self.run.note(format!("chunk {number}, job {job}: {problem}"));
        }
        if info.state != JobState::JobComplete {
            return;
        }
        let counted = proof.tally.succeeded() + proof.tally.failed;
        if let Some(processed) = info.records_processed.filter(|&processed| processed != counted) {
            self.run.note(format!(
                "chunk {number}, job {job}: the job's counter says {processed} rows, its result \
                 sets say {counted}; the sets are taken"
            ));
        }
    }

    async fn settle(
        &self,
        chunk: &PlannedChunk,
        attempt: u32,
        reading: Reading,
    ) -> Result<(), LaneError> {
        let mut tally = reading.proof.tally;
        tally.read = chunk.read_rows;
        tally.rejected = chunk.rejected;
        let number = chunk.number;
        let outcomes = AttemptOutcomes {
            file: self.run.folder.outcome_name(number, attempt),
            digest: reading.outcomes.digest.clone(),
            at: Timestamp::now(),
        };
        self.run
            .ledger
            .run(move |ledger| {
                ledger.attempt_reconciled(number, attempt, &outcomes)?;
                ledger.chunk_reconciled(number, &tally)
            })
            .await?;
        // Read and rejected rows were counted when the chunk was planned.
        let mut sent = reading.proof.tally;
        sent.read = 0;
        self.run.reconciled(number, &sent, reading.failures);
        if let Body::Spool { file } = &chunk.body {
            // One that stays costs disk only; it is private.
            let _ = std::fs::remove_file(self.run.folder.spool_dir().join(file));
        }
        Ok(())
    }
}

/// Result sets in files that go when this is dropped.
struct FetchedSets {
    paths: [PathBuf; 3],
}

impl FetchedSets {
    fn new(dir: &Path, chunk: u64, attempt: u32) -> Self {
        let paths = ResultSet::ALL
            .map(|set| dir.join(format!("chunk-{chunk:06}-{attempt}.{}.csv", set.path())));
        FetchedSets { paths }
    }

    fn path(&self, set: ResultSet) -> PathBuf {
        let [successful, failed, unprocessed] = &self.paths;
        match set {
            ResultSet::Successful => successful,
            ResultSet::Failed => failed,
            ResultSet::Unprocessed => unprocessed,
        }
        .clone()
    }
}

impl ResultSets for FetchedSets {
    fn open(&self, set: ResultSet) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(self.path(set))?))
    }
}

impl Drop for FetchedSets {
    fn drop(&mut self) {
        for path in &self.paths {
            // A file that stays is private and is found again by the next run.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Runs CPU work on rayon's pool and waits for it without blocking tokio.
async fn on_cpu<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LaneError> + Send + 'static,
) -> Result<T, LaneError> {
    let (done, wait) = tokio::sync::oneshot::channel();
    rayon::spawn(move || {
        // Nobody waits any more when the run was dropped.
        if done.is_closed() {
            return;
        }
        // A panic on rayon's pool would end the process and with it the
        // account of every other chunk; here it ends this lane.
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
            Ok(result) => drop(done.send(result)),
            Err(_) => tracing::error!("reconciling a chunk panicked"),
        }
    });
    wait.await.unwrap_or(Err(LaneError::Interrupted))
}

fn match_results(
    run: &Run,
    chunk: &PlannedChunk,
    job: &str,
    attempt: u32,
    files: &FetchedSets,
) -> Result<Reading, LaneError> {
    let prepared = &run.prepared;
    let path = run.folder.outcomes(chunk.number, attempt);
    let mut writer = OutcomeWriter::create(&path, chunk.number)?;
    let mut failures = FailureGroups::default();
    let spool = run.folder.spool_dir();
    let open = || open_rows(&chunk.body, chunk.add_line_end, &*prepared.source, &spool);
    let rows = SentRows { rows: &chunk.rows, open: &open };
    let rule = prepared.match_rule(chunk.unique_text);
    let proof =
        reconcile(&prepared.sent_columns(), &rule, rows, files, CARRIED_BY, &mut |outcome| {
            if outcome.fate == Fate::Failed {
                let text = outcome.error.as_deref().unwrap_or_default();
                let error = RowError::parse(text);
                failures.count(error.code, &error.masked_message(), outcome.row);
            }
            writer.push(&outcome).map_err(io::Error::other)
        })
        .map_err(|source| LaneError::Reconcile { job: job.to_owned(), source })?;
    Ok(Reading { proof, outcomes: writer.finish()?, failures })
}

fn job_error(message: &str) -> JobError {
    let (code, text) = message.split_once(" : ").unwrap_or(("", message));
    JobError { code: code.to_owned(), message: text.to_owned() }
}
