//! The steps of one attempt, and fresh attempts for those that never closed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::{AttemptEvent, Event, JobState, NewJob, SharedSink};
use crate::ledger::{AttemptRecord, JobError, LedgerError, SharedLedger, StepDetail};
use crate::salesforce::{BytesSent, CallError, Org, UploadBody};

/// How many attempts a chunk gets before its upload is given up for now. An
/// attempt already repeats what may be repeated within its own time budget;
/// this bounds how often a broken connection makes us send a chunk anew.
const ATTEMPTS_PER_CHUNK: u32 = 6;

/// How long an unanswered close is asked after, before the run detaches and
/// leaves the job to `resume` (I5).
const CLOSE_PATIENCE: Duration = Duration::from_mins(5);

/// A chunk as the uploader needs it.
pub struct ChunkBody {
    /// Chunk number, from 1.
    pub chunk: u64,
    /// Rows in the body.
    pub rows: u64,
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
    /// The job ended in a state it can't have reached by itself.
    #[error("chunk {chunk}: job {job} was {state} by somebody else before it was closed")]
    EndedByOthers {
        /// Chunk number.
        chunk: u64,
        /// Job id.
        job: String,
        /// The state it was found in.
        state: JobState,
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

/// Brings chunks to closed jobs.
#[derive(Clone)]
pub struct Uploader {
    org: Org,
    ledger: SharedLedger,
    events: SharedSink,
}

/// How one attempt ended without being closed.
enum Unclosed {
    /// A fresh attempt may be made.
    TryAgain(UploadError),
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
        Uploader { org, ledger, events }
    }

    /// Makes a job for the chunk, uploads its body and closes it, with fresh
    /// attempts for those that certainly processed nothing.
    ///
    /// # Errors
    /// [`UploadError`]; what the ledger says then tells how far it came.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the attempt as the ledger has it; recovery
    /// decides from there.
    pub async fn upload(&self, chunk: &ChunkBody) -> Result<Closed, UploadError> {
        let mut made = 0;
        loop {
            made += 1;
            match self.attempt(chunk).await {
                Ok(closed) => return Ok(closed),
                Err(Unclosed::Final(error)) => return Err(error),
                Err(Unclosed::TryAgain(error)) if made >= ATTEMPTS_PER_CHUNK => return Err(error),
                Err(Unclosed::TryAgain(error)) => {
                    let text = format!(
                        "chunk {}: attempt {made} came to nothing, a fresh one is made ({error})",
                        chunk.chunk
                    );
                    self.events.announce(Event::Note { text });
                    tokio::time::sleep(pause_before(made)).await;
                }
            }
        }
    }

    async fn attempt(&self, chunk: &ChunkBody) -> Result<Closed, Unclosed> {
        let number = chunk.chunk;
        let attempt = self
            .ledger
            .run(move |ledger| {
                ledger.begin_attempt(number, &AttemptRecord::default(), Timestamp::now())
            })
            .await?;
        let job = self.create(chunk, attempt).await?;
        self.send_body(chunk, attempt, &job).await?;
        self.close(chunk, attempt, job).await
    }

    async fn create(&self, chunk: &ChunkBody, attempt: u32) -> Result<String, Unclosed> {
        match self.org.create_job(&chunk.job).await {
            Ok(info) => {
                let facts = StepDetail { job_id: Some(info.id.clone()), ..StepDetail::default() };
                self.note(chunk, attempt, AttemptEvent::JobCreated, facts).await?;
                self.events.announce(Event::JobCreated {
                    chunk: chunk.chunk,
                    attempt,
                    job: info.id.clone(),
                });
                Ok(info.id)
            }
            Err(error) => {
                let unanswered = !error.certainly_did_not_happen();
                let event = if unanswered {
                    AttemptEvent::CreateUnanswered
                } else {
                    AttemptEvent::CreateRefused
                };
                self.note(chunk, attempt, event, detail_of(&error)).await?;
                if unanswered {
                    self.events.announce(Event::Note {
                        text: format!(
                            "chunk {}: the org did not answer the creation of a job; if it made \
                             one, that stays Open without data and ends by itself within 24 hours",
                            chunk.chunk
                        ),
                    });
                }
                let error = UploadError::Call { chunk: chunk.chunk, source: error };
                Err(if unanswered { Unclosed::TryAgain(error) } else { Unclosed::Final(error) })
            }
        }
    }

    async fn send_body(&self, chunk: &ChunkBody, attempt: u32, job: &str) -> Result<(), Unclosed> {
        self.note(chunk, attempt, AttemptEvent::UploadStarted, StepDetail::default()).await?;
        let events = Arc::clone(&self.events);
        let number = chunk.chunk;
        let sent: BytesSent =
            Arc::new(move |bytes| events.announce(Event::UploadProgress { chunk: number, bytes }));
        match self.org.upload(job, &chunk.body, &sent).await {
            Ok(()) => {
                self.note(chunk, attempt, AttemptEvent::BodyTaken, StepDetail::default()).await?;
                Ok(())
            }
            Err(error) => {
                // Whether or not data arrived, an Open job processes nothing;
                // but it takes one upload only, so this job is of no more use.
                let again = !error.certainly_did_not_happen() || error.is_transient();
                self.give_up(chunk, attempt, job, &error).await?;
                let error = UploadError::Call { chunk: chunk.chunk, source: error };
                Err(if again { Unclosed::TryAgain(error) } else { Unclosed::Final(error) })
            }
        }
    }

    /// Aborts a job whose close was never attempted.
    async fn give_up(
        &self,
        chunk: &ChunkBody,
        attempt: u32,
        job: &str,
        why: &CallError,
    ) -> Result<(), LedgerError> {
        self.note(chunk, attempt, AttemptEvent::GiveUp, detail_of(why)).await?;
        // An abort that fails changes nothing: the job was never closed, so it
        // processes nothing and dies within 24 hours. The ledger keeps
        // `aborting`, and recovery tries once more.
        if self.org.abort(job).await.is_ok() {
            self.note(chunk, attempt, AttemptEvent::AbortSeen, StepDetail::default()).await?;
        }
        Ok(())
    }

    async fn close(
        &self,
        chunk: &ChunkBody,
        attempt: u32,
        job: String,
    ) -> Result<Closed, Unclosed> {
        self.note(chunk, attempt, AttemptEvent::CloseStarted, StepDetail::default()).await?;
        let asked_since = tokio::time::Instant::now();
        let mut turn = 0;
        loop {
            let Err(error) = self.org.close(&job).await else { break };
            // Whatever the error says, only the job's state tells.
            let error = match self.org.job(&job).await {
                Ok(info) if info.state == JobState::Open => error,
                Ok(info) if matches!(info.state, JobState::Aborted) => {
                    let event = AttemptEvent::Ended(info.state);
                    self.note(chunk, attempt, event, detail_of(&error)).await?;
                    return Err(Unclosed::Final(UploadError::EndedByOthers {
                        chunk: chunk.chunk,
                        job,
                        state: info.state,
                    }));
                }
                Ok(_) => break,
                Err(asking) => asking,
            };
            let is_final = error.certainly_did_not_happen() && !error.is_transient();
            if is_final || asked_since.elapsed() > CLOSE_PATIENCE {
                return Err(Unclosed::Final(UploadError::CloseUnknown {
                    chunk: chunk.chunk,
                    job,
                    source: error,
                }));
            }
            turn += 1;
            tokio::time::sleep(pause_before(turn)).await;
        }
        self.note(chunk, attempt, AttemptEvent::CloseSeen, StepDetail::default()).await?;
        self.events.announce(Event::Uploaded {
            chunk: chunk.chunk,
            job: job.clone(),
            rows: chunk.rows,
        });
        Ok(Closed { attempt, job })
    }

    async fn note(
        &self,
        chunk: &ChunkBody,
        attempt: u32,
        event: AttemptEvent,
        detail: StepDetail,
    ) -> Result<(), LedgerError> {
        let number = chunk.chunk;
        self.ledger
            .run(move |ledger| {
                ledger.attempt_step(number, attempt, event, &detail, Timestamp::now()).map(drop)
            })
            .await
    }
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

/// A short growing pause; the calls themselves already back off with jitter.
fn pause_before(turn: u32) -> Duration {
    Duration::from_millis(250) * 2u32.saturating_pow(turn.min(6).saturating_sub(1))
}
