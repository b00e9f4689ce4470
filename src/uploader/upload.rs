//! The steps of one attempt, and fresh attempts for those that never closed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::trouble::Trouble;
use crate::domain::{AttemptEvent, AttemptState, Event, JobState, NewJob, SharedSink};
use crate::ledger::{AttemptRecord, JobError, LedgerError, SharedLedger, StepDetail};
use crate::salesforce::{BytesSent, CallError, Kind, Org, UploadBody};

/// How long the abort of a given-up job may take. Whether it succeeds changes
/// nothing (a job that was never closed processes nothing and dies within 24
/// hours), so the fresh attempt doesn't wait for long.
const ABORT_PATIENCE: Duration = Duration::from_secs(30);

/// What the org answers when a job is no longer Open.
const NOT_OPEN: &str = "INVALIDJOBSTATE";

/// A chunk as the uploader needs it.
pub struct ChunkBody {
    /// Chunk number, from 1.
    pub chunk: u64,
    /// The first of its rows.
    pub first_row: u64,
    /// Rows in the body.
    pub rows: u64,
    /// Bytes of the body, without the header line.
    pub bytes: u64,
    /// What the ledger keeps of the attempt: all the chunk sends, or a part.
    pub part: AttemptRecord,
    /// The job to create for it.
    pub job: NewJob,
    /// The body, header line included; may be opened again and again.
    pub body: UploadBody,
}

/// A job that was closed: from here on the org works on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Attempt number within the chunk, from 1.
    pub attempt: u32,
    /// Job id.
    pub job: String,
}

/// What became of a job that was to be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandoned {
    /// It processes nothing; the chunk may have a fresh attempt.
    Unclosed,
    /// Somebody else closed it, so its rows may be processed: watch it.
    ClosedByOthers,
}

/// Why a chunk was not brought to a closed job.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The org refused or can't be reached; nothing of the chunk was processed.
    #[error("chunk {chunk} could not be sent")]
    Call {
        /// Chunk number.
        chunk: u64,
        /// The last call's error.
        source: CallError,
    },
    /// A close was attempted and the org doesn't tell what became of it.
    #[error("chunk {chunk}: job {job} may be closed, the org doesn't say")]
    CloseUnknown {
        /// Chunk number.
        chunk: u64,
        /// Job id.
        job: String,
        /// The last call's error.
        source: CallError,
    },
    /// Somebody else ended the job in the org before it was closed; nothing of
    /// the chunk was processed.
    #[error("chunk {chunk}: job {job} was ended by somebody else in the org before it was closed")]
    EndedByOthers {
        /// Chunk number.
        chunk: u64,
        /// Job id.
        job: String,
    },
    /// The ledger can't be written.
    #[error("the ledger can't be written")]
    Ledger(#[from] LedgerError),
}

impl UploadError {
    /// The call behind it, if it was one.
    pub const fn call(&self) -> Option<&CallError> {
        match self {
            UploadError::Call { source, .. } | UploadError::CloseUnknown { source, .. } => {
                Some(source)
            }
            UploadError::EndedByOthers { .. } | UploadError::Ledger(_) => None,
        }
    }
}

/// A step of an attempt that the ledger has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptStep {
    /// Chunk number.
    pub chunk: u64,
    /// Attempt number within the chunk, from 1.
    pub attempt: u32,
    /// Id of its job, once the org gave one.
    pub job: Option<String>,
    /// Where the attempt stands now. From [`AttemptState::Closing`] on its rows
    /// may be processed and count as sent.
    pub state: AttemptState,
    /// The first of its rows.
    pub first_row: u64,
    /// Rows it carries.
    pub rows: u64,
    /// Bytes it carries, without the header line.
    pub bytes: u64,
}

/// Told of each step after the ledger has it, in order within a chunk. Called
/// from the lanes' tasks; must return at once.
pub type StepObserver = Arc<dyn Fn(&AttemptStep) + Send + Sync>;

/// Brings chunks to closed jobs.
#[derive(Clone)]
pub struct Uploader {
    org: Org,
    ledger: SharedLedger,
    events: SharedSink,
    observer: StepObserver,
}

/// How one attempt ended without being closed.
enum Unclosed {
    /// A fresh attempt may be made.
    TryAgain {
        /// The attempt's number.
        attempt: u32,
        /// The call that failed.
        error: CallError,
        /// Whether its job may exist without our knowing its id.
        lost: bool,
    },
    /// No attempt will do better.
    Final(UploadError),
}

impl From<LedgerError> for Unclosed {
    fn from(error: LedgerError) -> Self {
        Unclosed::Final(UploadError::Ledger(error))
    }
}

impl Uploader {
    /// An uploader that works for one run.
    pub fn new(org: Org, ledger: SharedLedger, events: SharedSink) -> Self {
        Uploader { org, ledger, events, observer: Arc::new(|_| {}) }
    }

    /// Tells an observer of every step of every attempt, also of those that
    /// are given up.
    #[must_use]
    pub fn observed_by(mut self, observer: StepObserver) -> Self {
        self.observer = observer;
        self
    }

    /// Makes a job for the chunk, uploads its body and closes it, with fresh
    /// attempts for those that certainly processed nothing, until ten minutes
    /// passed without success.
    ///
    /// # Errors
    /// [`UploadError`]; what the ledger says then tells how far it came.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the attempt as the ledger has it; recovery
    /// decides from there.
    pub async fn upload(&self, chunk: &ChunkBody) -> Result<Closed, UploadError> {
        let mut trouble = Trouble::default();
        let mut told_of_lost = false;
        loop {
            let (attempt, error, lost) = match self.attempt(chunk).await {
                Ok(closed) => return Ok(closed),
                Err(Unclosed::Final(error)) => return Err(error),
                Err(Unclosed::TryAgain { attempt, error, lost }) => (attempt, error, lost),
            };
            if lost && !told_of_lost {
                told_of_lost = true;
                let text = format!(
                    "chunk {}: the org did not answer the creation of a job; if it made one, \
                     that stays Open without data and ends by itself within 24 hours",
                    chunk.chunk
                );
                self.events.announce(Event::Note { text });
            }
            let Some(pause) = trouble.pause(&error) else {
                return Err(UploadError::Call { chunk: chunk.chunk, source: error });
            };
            self.events.announce(Event::Retrying {
                call: format!("send chunk {}", chunk.chunk),
                attempt: attempt.saturating_add(1),
                wait_seconds: pause.as_secs_f64(),
                reason: error.brief(),
            });
            tokio::time::sleep(pause).await;
        }
    }

    /// Settles an attempt of an earlier process whose create call was never
    /// answered: a job that may exist stays Open without data and is left
    /// alone (I4).
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn lost(&self, chunk: &ChunkBody, attempt: u32) -> Result<(), LedgerError> {
        Attempt::taken_up(self, chunk, attempt, None)
            .step(AttemptEvent::CreateUnanswered, StepDetail::default())
            .await
    }

    /// Gives up an attempt of an earlier process that stands before its close.
    /// Its job is asked after first: one that somebody else closed must not be
    /// sent again (I2).
    ///
    /// # Errors
    /// [`UploadError`] when the org doesn't tell or the ledger can't be
    /// written.
    pub async fn abandon(
        &self,
        chunk: &ChunkBody,
        attempt: u32,
        job: &str,
        state: AttemptState,
    ) -> Result<Abandoned, UploadError> {
        let attempt = Attempt::taken_up(self, chunk, attempt, Some(job));
        match self.org.job(job).await {
            Ok(info) => match info.state {
                JobState::Open => {}
                JobState::UploadComplete | JobState::InProgress | JobState::JobComplete => {
                    attempt.step(AttemptEvent::CloseSeen, StepDetail::default()).await?;
                    return Ok(Abandoned::ClosedByOthers);
                }
                // An abort of ours whose answer was lost, the end of its day, or
                // somebody who aborted what he had closed.
                JobState::Aborted | JobState::Failed if info.records_processed > Some(0) => {
                    attempt.step(AttemptEvent::CloseSeen, StepDetail::default()).await?;
                    return Ok(Abandoned::ClosedByOthers);
                }
                JobState::Aborted | JobState::Failed => {
                    let event = match state {
                        AttemptState::Aborting => AttemptEvent::AbortSeen,
                        _ => AttemptEvent::Ended(info.state),
                    };
                    attempt.step(event, StepDetail::default()).await?;
                    return Ok(Abandoned::Unclosed);
                }
            },
            Err(error) if error.says_no_such_job() => {}
            Err(source) => return Err(UploadError::Call { chunk: chunk.chunk, source }),
        }
        if state == AttemptState::Aborting {
            Ok(attempt.abort(job).await?)
        } else {
            Ok(attempt.give_up(job, StepDetail::default()).await?)
        }
    }

    /// Brings an attempt of an earlier process, which may have closed its job,
    /// to a closed job: asks first, and closes only what is still Open.
    ///
    /// # Errors
    /// As [`Uploader::upload`].
    pub async fn close_again(
        &self,
        chunk: &ChunkBody,
        attempt: u32,
        job: &str,
    ) -> Result<Closed, UploadError> {
        let attempt = Attempt::taken_up(self, chunk, attempt, Some(job));
        match attempt.finish_close(job, true).await {
            Ok(()) => Ok(Closed { attempt: attempt.number, job: job.to_owned() }),
            Err(Unclosed::Final(error)) => Err(error),
            Err(Unclosed::TryAgain { error, .. }) => {
                Err(UploadError::Call { chunk: chunk.chunk, source: error })
            }
        }
    }

    async fn attempt(&self, chunk: &ChunkBody) -> Result<Closed, Unclosed> {
        let mut attempt = Attempt::begin(self, chunk).await?;
        let job = attempt.create().await?;
        match attempt.send_body(&job).await? {
            Sent::Taken => attempt.close(&job).await?,
            Sent::ClosedByOthers => attempt.tell_closed(&job),
        }
        Ok(Closed { attempt: attempt.number, job })
    }
}

/// What became of an upload.
enum Sent {
    /// The org took the body.
    Taken,
    /// It was refused or its fate is unknown, and the job turned out to be
    /// closed by somebody else.
    ClosedByOthers,
}

/// One attempt on its way.
struct Attempt<'a> {
    uploader: &'a Uploader,
    chunk: &'a ChunkBody,
    number: u32,
    job: Option<String>,
}

impl<'a> Attempt<'a> {
    async fn begin(uploader: &'a Uploader, chunk: &'a ChunkBody) -> Result<Self, LedgerError> {
        let (number, part) = (chunk.chunk, chunk.part.clone());
        let number = uploader
            .ledger
            .run(move |ledger| ledger.begin_attempt(number, &part, Timestamp::now()))
            .await?;
        let attempt = Attempt::taken_up(uploader, chunk, number, None);
        attempt.observe(AttemptState::Creating);
        Ok(attempt)
    }

    /// An attempt that the ledger has already.
    fn taken_up(
        uploader: &'a Uploader,
        chunk: &'a ChunkBody,
        number: u32,
        job: Option<&str>,
    ) -> Self {
        Attempt { uploader, chunk, number, job: job.map(str::to_owned) }
    }

    async fn create(&mut self) -> Result<String, Unclosed> {
        let error = match self.uploader.org.create_job(&self.chunk.job).await {
            Ok(info) => {
                self.job = Some(info.id.clone());
                let facts = StepDetail { job_id: Some(info.id.clone()), ..StepDetail::default() };
                self.step(AttemptEvent::JobCreated, facts).await?;
                self.uploader.events.announce(Event::JobCreated {
                    chunk: self.chunk.chunk,
                    attempt: self.number,
                    job: info.id.clone(),
                });
                return Ok(info.id);
            }
            Err(error) => error,
        };
        if error.certainly_did_not_happen() {
            // What passes by itself was waited out by the call.
            self.step(AttemptEvent::CreateRefused, detail_of(&error)).await?;
            return Err(self.over(error));
        }
        self.step(AttemptEvent::CreateUnanswered, detail_of(&error)).await?;
        Err(Unclosed::TryAgain { attempt: self.number, error, lost: true })
    }

    async fn send_body(&self, job: &str) -> Result<Sent, Unclosed> {
        self.step(AttemptEvent::UploadStarted, StepDetail::default()).await?;
        let events = Arc::clone(&self.uploader.events);
        let chunk = self.chunk.chunk;
        let sent: BytesSent =
            Arc::new(move |bytes| events.announce(Event::UploadProgress { chunk, bytes }));
        let Err(error) = self.uploader.org.upload(job, &self.chunk.body, &sent).await else {
            self.step(AttemptEvent::BodyTaken, StepDetail::default()).await?;
            return Ok(Sent::Taken);
        };
        // Whether or not data arrived, an Open job processes nothing; but it
        // takes one upload only, so this job is of no more use.
        match self.give_up(job, detail_of(&error)).await? {
            Abandoned::ClosedByOthers => return Ok(Sent::ClosedByOthers),
            Abandoned::Unclosed => {}
        }
        if error.code.as_deref() == Some(NOT_OPEN) {
            let (chunk, job) = (self.chunk.chunk, job.to_owned());
            return Err(Unclosed::Final(UploadError::EndedByOthers { chunk, job }));
        }
        // A body that can't be read here won't be readable for another job.
        let local = error.kind == Kind::Local;
        // A job that is gone before its close processed nothing.
        let may_go_again =
            error.is_transient() || !error.certainly_did_not_happen() || error.says_no_such_job();
        if !local && may_go_again {
            return Err(Unclosed::TryAgain { attempt: self.number, error, lost: false });
        }
        Err(self.over(error))
    }

    /// Aborts a job whose close was never attempted. When that fails, the
    /// ledger keeps `aborting`, and recovery tries once more.
    async fn give_up(&self, job: &str, why: StepDetail) -> Result<Abandoned, LedgerError> {
        self.step(AttemptEvent::GiveUp, why).await?;
        self.abort(job).await
    }

    async fn abort(&self, job: &str) -> Result<Abandoned, LedgerError> {
        let org = &self.uploader.org;
        let ended = tokio::time::timeout(ABORT_PATIENCE, async {
            match org.abort(job).await {
                Ok(_) => Some(JobState::Aborted),
                Err(error) if error.says_no_such_job() => Some(JobState::Aborted),
                // It ended without us; what was closed by somebody else may have
                // processed the rows, so they must not go again (I2).
                Err(error) if error.code.as_deref() == Some(NOT_OPEN) => {
                    org.job(job).await.ok().map(|info| match info.records_processed {
                        Some(1..) => JobState::JobComplete,
                        _ => info.state,
                    })
                }
                Err(_) => None,
            }
        });
        match ended.await {
            Ok(Some(JobState::Aborted | JobState::Failed)) => {
                self.step(AttemptEvent::AbortSeen, StepDetail::default()).await?;
            }
            Ok(Some(JobState::UploadComplete | JobState::InProgress | JobState::JobComplete)) => {
                self.step(AttemptEvent::CloseSeen, StepDetail::default()).await?;
                return Ok(Abandoned::ClosedByOthers);
            }
            Ok(Some(JobState::Open) | None) | Err(_) => {}
        }
        Ok(Abandoned::Unclosed)
    }

    async fn close(&self, job: &str) -> Result<(), Unclosed> {
        self.step(AttemptEvent::CloseStarted, StepDetail::default()).await?;
        self.finish_close(job, false).await
    }

    /// Closes the job, asking first when an earlier close may have happened.
    async fn finish_close(&self, job: &str, ask_first: bool) -> Result<(), Unclosed> {
        let mut trouble = Trouble::default();
        let mut ask = ask_first;
        loop {
            let error = if std::mem::take(&mut ask) {
                None
            } else {
                match self.uploader.org.close(job).await {
                    Ok(_) => break,
                    Err(error) => Some(error),
                }
            };
            // Whatever the error says, only the job's state tells. Any state
            // after Open is the poller's: also an end that others made.
            let error = match self.uploader.org.job(job).await {
                Ok(info) if info.state == JobState::Open => match error {
                    Some(error) => error,
                    None => continue,
                },
                Ok(_) => break,
                // It may have been closed and deleted since: the poller makes
                // sure, and its rows are disputed.
                Err(asking) if asking.says_no_such_job() => return Ok(()),
                Err(asking) => asking,
            };
            let pause = if may_pass(&error) { trouble.pause(&error) } else { None };
            let Some(pause) = pause else {
                return Err(Unclosed::Final(UploadError::CloseUnknown {
                    chunk: self.chunk.chunk,
                    job: job.to_owned(),
                    source: error,
                }));
            };
            tokio::time::sleep(pause).await;
        }
        self.step(AttemptEvent::CloseSeen, StepDetail::default()).await?;
        self.tell_closed(job);
        Ok(())
    }

    fn tell_closed(&self, job: &str) {
        self.uploader.events.announce(Event::Uploaded {
            chunk: self.chunk.chunk,
            job: job.to_owned(),
            rows: self.chunk.rows,
        });
    }

    fn over(&self, source: CallError) -> Unclosed {
        Unclosed::Final(UploadError::Call { chunk: self.chunk.chunk, source })
    }

    /// Writes a step to the ledger, then tells the observer.
    async fn step(&self, event: AttemptEvent, detail: StepDetail) -> Result<(), LedgerError> {
        let (chunk, number) = (self.chunk.chunk, self.number);
        let state = self
            .uploader
            .ledger
            .run(move |ledger| ledger.attempt_step(chunk, number, event, &detail, Timestamp::now()))
            .await?;
        self.observe(state);
        Ok(())
    }

    fn observe(&self, state: AttemptState) {
        (self.uploader.observer)(&AttemptStep {
            chunk: self.chunk.chunk,
            attempt: self.number,
            job: self.job.clone(),
            state,
            first_row: self.chunk.first_row,
            rows: self.chunk.rows,
            bytes: self.chunk.bytes,
        });
    }
}

/// Whether asking on after a failed close can help.
fn may_pass(error: &CallError) -> bool {
    error.is_transient()
        || !error.certainly_did_not_happen()
        || (error.is_not_found() && !error.says_no_such_job())
}

/// What the ledger keeps of a call's error: code and text of the org, which
/// at this level never hold row values.
fn detail_of(error: &CallError) -> StepDetail {
    StepDetail {
        error: Some(JobError {
            code: error.code.clone().unwrap_or_else(|| "CALL".to_owned()),
            message: error.to_string(),
        }),
        ..StepDetail::default()
    }
}
