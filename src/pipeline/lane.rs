//! One chunk's way through the org: upload, wait, reconcile, and again for the
//! rows that failed for a passing reason.
//!
//! A lane is held from the creation of a job to its terminal state, so
//! `--parallel` bounds the jobs at work. It is passed on only when a place for
//! reconciling is free: however slow that is, no more than two chunks wait in
//! memory (I6).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::StopReason;
use super::carried::{Carried, CarriedError};
use super::judge::{Judged, judge};
use super::pacing::{LanePermit, PushBack};
use super::reading::{Reading, on_cpu};
use super::recovery::Next;
use super::results::Settled;
use super::run::Run;
use super::work::Work;
use crate::chunker::PlannedChunk;
use crate::domain::{
    AttemptEvent, Event, FailureGroups, JobFailureClass, JobInfo, JobState, Tally, error_chain,
};
use crate::ledger::{AttemptOutcomes, JobError, LedgerError, StepDetail};
use crate::poller::PollerError;
use crate::reconciler::{OutcomeError, ReconcileError};
use crate::salesforce::{CallError, jitter};
use crate::uploader::{Abandoned, UploadError};

/// Ceiling of the pause before rows that failed for a passing reason go again;
/// doubles with each attempt of the chunk.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Highest ceiling of that pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why a lane could not carry its chunk to the end.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaneError {
    /// The chunk didn't come to a closed job.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// The job can't be watched.
    #[error(transparent)]
    Poll(#[from] PollerError),
    /// The job can't be aborted.
    #[error("job {job} can't be aborted")]
    Abort {
        /// Job id.
        job: String,
        /// The call's error.
        source: CallError,
    },
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
    /// The rows of an attempt can't be had.
    #[error(transparent)]
    Carried(#[from] CarriedError),
    /// The outcome file can't be written or read.
    #[error("the outcomes can't be kept")]
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
            LaneError::Poll(PollerError::Call { source, .. })
            | LaneError::Fetch { source, .. }
            | LaneError::Abort { source, .. } => Some(source),
            _ => None,
        };
        let reason = match call {
            Some(call) if call.is_allowance() => StopReason::Allowance(call.brief()),
            Some(call) if call.is_transient() => StopReason::Unreachable(call.brief()),
            None if matches!(self, LaneError::Upload(UploadError::EndedByOthers { .. })) => {
                StopReason::EndedByOthers(text.clone())
            }
            None if matches!(self, LaneError::StillChanging { .. }) => {
                StopReason::Unreachable("its results still change".to_owned())
            }
            call => StopReason::Repair { text: text.clone(), call: call.cloned() },
        };
        (reason, text)
    }
}

/// Which rows a lane sends again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// All but those that failed for a lock, which come last.
    Main,
    /// What is left, in jobs of one batch, one at a time: there a job can't
    /// lock against itself, nor against another of this run. One job a turn.
    Locks,
}

/// What became of a chunk in a lane.
pub(super) enum Done {
    /// Every row has its outcome.
    Settled(Settled),
    /// Only rows for the lock pass are left; in that pass, it is another chunk's
    /// turn.
    Deferred,
    /// The run winds down; the ledger knows how far it came.
    Left,
}

/// A job that may be at work.
struct UnderWay {
    attempt: u32,
    job: String,
    /// Whether the ledger has seen its end.
    ended: bool,
    carried: Arc<Carried>,
}

/// One chunk on its way.
pub(super) struct Lane<'a> {
    run: &'a Arc<Run>,
    pass: Pass,
}

impl<'a> Lane<'a> {
    pub(super) fn new(run: &'a Arc<Run>, pass: Pass) -> Self {
        Lane { run, pass }
    }

    /// Carries a chunk to its outcomes. `permit` is the lane it holds; without
    /// one it works outside the lanes.
    pub(super) async fn work(
        &self,
        work: Work,
        mut permit: Option<LanePermit>,
    ) -> Result<Done, LaneError> {
        let in_lane = permit.is_some();
        let Work { chunk, mut next } = work;
        let chunk = Arc::new(chunk);
        loop {
            let step = match next {
                Next::Done => return Ok(Done::Left),
                Next::Begin => Step::Send(Carried::whole(&chunk)),
                Next::Judge => match self.judge(&chunk).await? {
                    Judged::NothingSent => Step::Send(Carried::whole(&chunk)),
                    Judged::Final { tally, failures, attempts } => {
                        return self.settle(&chunk, tally, failures, attempts).await;
                    }
                    Judged::Due { part, since } => Step::SendAgain(part, since),
                    Judged::ForLockPass => return Ok(Done::Deferred),
                },
                Next::Lost { attempt } => {
                    let carried = self.carried_by(&chunk, attempt).await?;
                    self.run.uploader.lost(&carried.body(self.run), attempt).await?;
                    Step::Judge
                }
                Next::GiveUp { attempt, job, state } => {
                    let carried = self.carried_by(&chunk, attempt).await?;
                    let body = carried.body(self.run);
                    match self.run.uploader.abandon(&body, attempt, &job, state).await? {
                        Abandoned::Unclosed => Step::Judge,
                        Abandoned::ClosedByOthers => {
                            self.run.note(format!(
                                "chunk {}: job {job} was closed by somebody else; it is watched \
                                 to its end",
                                chunk.number
                            ));
                            Step::Finish(UnderWay { attempt, job, ended: false, carried })
                        }
                    }
                }
                Next::Close { attempt, job } => {
                    let carried = self.carried_by(&chunk, attempt).await?;
                    let body = carried.body(self.run);
                    self.run.uploader.close_again(&body, attempt, &job).await?;
                    Step::Finish(UnderWay { attempt, job, ended: false, carried })
                }
                Next::Watch { attempt, job, ended } | Next::Gone { attempt, job, ended } => {
                    let carried = self.carried_by(&chunk, attempt).await?;
                    Step::Finish(UnderWay { attempt, job, ended, carried })
                }
            };
            let under_way = match step {
                Step::Judge => {
                    next = Next::Judge;
                    continue;
                }
                Step::Finish(under_way) => under_way,
                Step::Send(carried) | Step::SendAgain(carried, _)
                    if self.run.stop.is_asked() || self.run.setup.closing =>
                {
                    carried.discard(self.run);
                    return Ok(Done::Left);
                }
                Step::Send(carried) => self.send(carried).await?,
                Step::SendAgain(carried, since) => {
                    if in_lane && permit.is_none() {
                        permit = Some(self.lane().await);
                    }
                    if self.pause(carried.attempt, since).await {
                        carried.discard(self.run);
                        return Ok(Done::Left);
                    }
                    self.send(carried).await?
                }
            };
            match self.finish(&chunk, under_way, &mut permit).await? {
                None => return Ok(Done::Left),
                Some(outcome) => match outcome {
                    After::Final { tally, failures, attempt } => {
                        return self.settle(&chunk, tally, failures, vec![attempt]).await;
                    }
                    // Others have their turn while this chunk's pause runs.
                    After::Judge if self.pass == Pass::Locks => return Ok(Done::Deferred),
                    After::Judge => next = Next::Judge,
                },
            }
        }
    }

    /// A lane for rows that go again. Waits behind the chunks before it.
    async fn lane(&self) -> LanePermit {
        self.run.lanes.acquire().await
    }

    /// Waits until some time has passed since the attempt before, as far as it
    /// hasn't; `true` when the run winds down meanwhile.
    async fn pause(&self, attempts: u32, since: Option<Timestamp>) -> bool {
        let doublings = attempts.min(10);
        let pause = jitter(FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE));
        // A clock that was set back makes the pause whole, never longer.
        let passed = since
            .and_then(|since| Duration::try_from(Timestamp::now().duration_since(since)).ok())
            .unwrap_or_default();
        let pause = pause.saturating_sub(passed);
        tokio::select! {
            () = tokio::time::sleep(pause) => false,
            () = self.run.stop.asked() => true,
        }
    }

    async fn send(&self, carried: Arc<Carried>) -> Result<UnderWay, LaneError> {
        if self.run.setup.taken_up {
            let (run, carried) = (Arc::clone(self.run), Arc::clone(&carried));
            on_cpu(move || Ok(carried.check_digest(&run)?)).await?;
        }
        let body = carried.body(self.run);
        let closed = self.run.uploader.upload(&body).await?;
        Ok(UnderWay { attempt: closed.attempt, job: closed.job, ended: false, carried })
    }

    /// What an attempt of the ledger carries.
    async fn carried_by(
        &self,
        chunk: &Arc<PlannedChunk>,
        attempt: u32,
    ) -> Result<Arc<Carried>, LaneError> {
        let number = chunk.number;
        let attempts = self.run.ledger.run(move |ledger| ledger.attempts_of(number)).await?;
        Ok(Carried::of_attempt(self.run, chunk, &attempts, attempt))
    }

    async fn judge(&self, chunk: &Arc<PlannedChunk>) -> Result<Judged, LaneError> {
        let number = chunk.number;
        let attempts = self.run.ledger.run(move |ledger| ledger.attempts_of(number)).await?;
        let (run, chunk, pass) = (Arc::clone(self.run), Arc::clone(chunk), self.pass);
        on_cpu(move || judge(&run, &chunk, &attempts, pass)).await
    }

    /// Waits for the end of a job, fetches its results and has the outcomes on
    /// disk. `None` when the run detaches meanwhile.
    async fn finish(
        &self,
        chunk: &PlannedChunk,
        under_way: UnderWay,
        permit: &mut Option<LanePermit>,
    ) -> Result<Option<After>, LaneError> {
        let run = self.run;
        let UnderWay { attempt, job, ended, carried } = under_way;
        let Some(info) = self.end_of(chunk, &job, carried.rows.len()).await? else {
            return Ok(None);
        };
        if let Some(info) = &info {
            self.ended(chunk, &job, attempt, info, !ended).await?;
        }
        let _place = run.reconciling.acquire().await.map_err(|_| LaneError::Interrupted)?;
        let start = permit.as_ref().map(LanePermit::start);
        // The next job is made while these results are read, unless this one may
        // have failed for a reason that keeps the next one home.
        if info.as_ref().is_some_and(|info| info.state == JobState::JobComplete) {
            drop(permit.take());
        }
        let reading = match &info {
            Some(info) => match self.read_results(chunk, &carried, &job, attempt, info).await {
                // Deleted since its end was seen? The poller makes sure.
                Err(LaneError::Fetch { source, .. }) if source.says_no_such_job() => {
                    match self.end_of(chunk, &job, carried.rows.len()).await? {
                        Some(None) => self.dispute_all(chunk, &carried, &job, attempt).await?,
                        Some(Some(_)) => return Err(LaneError::Fetch { job, source }),
                        None => return Ok(None),
                    }
                }
                read => read?,
            },
            None => self.dispute_all(chunk, &carried, &job, attempt).await?,
        };
        self.account(chunk, attempt, &reading).await?;
        carried.discard(run);
        run.keep_pace(start, push_back(info.as_ref(), &reading));
        if let Some(info) = &info {
            self.draw_consequences(chunk, &job, info, &reading);
        }
        drop(permit.take());
        let sent = reading.proof.tally;
        let may_go_again = sent.failed + sent.unprocessed > 0;
        if carried.is_whole() && !may_go_again {
            return Ok(Some(After::Final { tally: sent, failures: reading.failures, attempt }));
        }
        Ok(Some(After::Judge))
    }

    /// Waits until jobs at work are to be aborted.
    async fn aborting(&self) {
        if !self.run.setup.closing {
            self.run.stop.aborting().await;
        }
    }

    /// Waits for the end of a job; `Some(None)` when the org no longer has it,
    /// `None` when the run detaches. Jobs are aborted when the user's limit
    /// says so, and then still waited for.
    async fn end_of(
        &self,
        chunk: &PlannedChunk,
        job: &str,
        rows: u64,
    ) -> Result<Option<Option<JobInfo>>, LaneError> {
        let run = self.run;
        let watched = run.poller.terminal(chunk.number, job, rows);
        tokio::pin!(watched);
        let mut aborted = false;
        let ended = loop {
            tokio::select! {
                ended = &mut watched => break ended,
                () = run.stop.detached() => return Ok(None),
                () = self.aborting(), if !aborted => {
                    aborted = true;
                    match run.setup.org.abort(job).await {
                        Ok(_) => {}
                        // It had ended before, or is gone: the poller will tell.
                        Err(error) if error.code.as_deref() == Some("INVALIDJOBSTATE")
                            || error.says_no_such_job() => {}
                        Err(source) => {
                            return Err(LaneError::Abort { job: job.to_owned(), source });
                        }
                    }
                }
            }
        };
        match ended {
            Ok(watched) => Ok(Some(Some(watched.info))),
            Err(PollerError::Gone { .. }) => Ok(Some(None)),
            Err(PollerError::Stopped) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down that a job ended, and tells why it failed as a whole.
    async fn ended(
        &self,
        chunk: &PlannedChunk,
        job: &str,
        attempt: u32,
        info: &JobInfo,
        is_news: bool,
    ) -> Result<(), LaneError> {
        self.run.job_ended(chunk.number, attempt, info);
        let detail = StepDetail {
            processed: info.records_processed,
            failed: info.records_failed,
            error: info.error_message.as_deref().map(job_error),
            ..StepDetail::default()
        };
        let (number, event) = (chunk.number, AttemptEvent::Ended(info.state));
        if is_news {
            self.run
                .ledger
                .run(move |ledger| {
                    ledger.attempt_step(number, attempt, event, &detail, Timestamp::now()).map(drop)
                })
                .await?;
        }
        if let Some(message) = &info.error_message {
            self.run.events.announce(Event::JobFailed {
                chunk: number,
                job: job.to_owned(),
                message: message.clone(),
            });
        }
        Ok(())
    }

    /// What the end of a job means for the run as a whole.
    fn draw_consequences(
        &self,
        chunk: &PlannedChunk,
        job: &str,
        info: &JobInfo,
        reading: &Reading,
    ) {
        let stop = &self.run.stop;
        if self.run.setup.closing {
            return;
        }
        if info.state == JobState::Aborted && !stop.is_asked() {
            // Whoever did it had a reason; starting anew at once would undo it.
            stop.ask(StopReason::EndedByOthers(format!(
                "chunk {}: job {job} was aborted by somebody else in the org",
                chunk.number
            )));
        }
        if let Some(code) = &reading.no_room {
            stop.ask(StopReason::repair(format!(
                "chunk {}: rows failed with {code}: the org has no room for more",
                chunk.number
            )));
        }
        let Some(message) = &info.error_message else { return };
        // Every further job would fail the same way (I9).
        if message.starts_with("ExceededQuota") {
            stop.ask(StopReason::Allowance(message.clone()));
        } else if reading.proof.tally.unprocessed == reading.proof.sent
            && super::judge::fails_for_good(message)
        {
            stop.ask(StopReason::repair(format!(
                "chunk {}: the org refused job {job} as a whole and would refuse the others, too \
                 ({message})",
                chunk.number
            )));
        }
    }

    async fn account(
        &self,
        chunk: &PlannedChunk,
        attempt: u32,
        reading: &Reading,
    ) -> Result<(), LaneError> {
        let number = chunk.number;
        let outcomes = AttemptOutcomes {
            file: self.run.folder.outcome_name(number, attempt),
            digest: reading.outcomes.digest.clone(),
            at: Timestamp::now(),
            whole: reading.proof.is_whole(),
        };
        Ok(self
            .run
            .ledger
            .run(move |ledger| ledger.attempt_reconciled(number, attempt, &outcomes))
            .await?)
    }

    /// Ends a chunk: `sent` is the tally of the rows that were sent.
    async fn settle(
        &self,
        chunk: &PlannedChunk,
        mut sent: Tally,
        failures: FailureGroups,
        attempts: Vec<u32>,
    ) -> Result<Done, LaneError> {
        sent.read = chunk.read_rows;
        sent.rejected = chunk.rejected;
        let (number, tally) = (chunk.number, sent);
        self.run.ledger.run(move |ledger| ledger.chunk_reconciled(number, &tally)).await?;
        // Read and rejected rows were counted when the chunk was planned.
        sent.read = 0;
        sent.rejected = 0;
        self.run.reconciled(number, &sent, failures);
        // Within one process each part removes its own.
        let attempts_of = if self.run.setup.taken_up {
            self.run.ledger.run(move |ledger| ledger.attempts_of(number)).await?
        } else {
            Vec::new()
        };
        self.run.remove_spools(chunk, &attempts_of);
        Ok(Done::Settled(self.run.settled(chunk, attempts, None)))
    }

    pub(super) fn run(&self) -> &'a Arc<Run> {
        self.run
    }
}

/// What a lane does next.
enum Step {
    Judge,
    Send(Arc<Carried>),
    /// Rows that an attempt before carried, and when that ended.
    SendAgain(Arc<Carried>, Option<Timestamp>),
    Finish(UnderWay),
}

/// What follows an attempt whose outcomes are on disk.
enum After {
    /// It carried the whole chunk and nothing of it can go again.
    Final { tally: Tally, failures: FailureGroups, attempt: u32 },
    /// Rows may be due again.
    Judge,
}

/// What the end of a job says of the pace.
fn push_back(info: Option<&JobInfo>, reading: &Reading) -> Option<PushBack> {
    let message = info.and_then(|info| info.error_message.as_deref());
    match message.map(JobFailureClass::of) {
        Some(JobFailureClass::Lock) => Some(PushBack::LockedJob),
        _ => PushBack::of_locks(reading.locked, reading.proof.sent),
    }
}

fn job_error(message: &str) -> JobError {
    let (code, text) = message.split_once(" : ").unwrap_or(("", message));
    JobError { code: code.to_owned(), message: text.to_owned() }
}
