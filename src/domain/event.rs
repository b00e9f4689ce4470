//! What the library announces while it works.
//!
//! The cli draws events as bars or prints them as JSON lines (docs/events.md);
//! tests collect them. No event carries a row value or a secret (I8).

use std::sync::Arc;

use serde::Serialize;

use super::{JobState, Tally};

/// Something a run announces.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The run has its folder and its plan.
    RunStarted {
        /// Run id.
        run_id: String,
        /// Its folder.
        folder: String,
        /// Bytes of all sources, where known.
        source_bytes: Option<u64>,
        /// Rows to send, where the source was split through first.
        rows: Option<u64>,
        /// Lanes at most.
        lanes: usize,
    },
    /// The check of the whole source before the start moved on.
    ScanProgress {
        /// Bytes seen.
        bytes: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The reader moved on.
    ReadProgress {
        /// Source bytes read so far.
        bytes: u64,
        /// Rows read so far.
        rows: u64,
    },
    /// A chunk was cut and recorded.
    ChunkPlanned {
        /// Chunk number, from 1.
        chunk: u64,
        /// First source row.
        first_row: u64,
        /// Rows that will be sent.
        rows: u64,
        /// Rows rejected inside it.
        rejected: u64,
        /// Bytes of its body.
        bytes: u64,
    },
    /// Every chunk has been cut; totals are known from here on.
    SourceExhausted {
        /// Rows read.
        rows: u64,
        /// Rows that will be or were sent.
        to_send: u64,
        /// Chunks.
        chunks: u64,
    },
    /// The org created a job.
    JobCreated {
        /// Chunk number.
        chunk: u64,
        /// Attempt number, from 1.
        attempt: u32,
        /// Job id.
        job: String,
    },
    /// Body bytes left for the org.
    UploadProgress {
        /// Chunk number.
        chunk: u64,
        /// Bytes more since the last such event.
        bytes: u64,
    },
    /// The org took the whole body.
    Uploaded {
        /// Chunk number.
        chunk: u64,
        /// Job id.
        job: String,
        /// Rows in it.
        rows: u64,
    },
    /// The org told where a job stands.
    JobProgress {
        /// Chunk number.
        chunk: u64,
        /// Job id.
        job: String,
        /// State.
        state: JobState,
        /// Rows worked so far.
        processed: u64,
        /// Rows failed so far.
        failed: u64,
    },
    /// A job failed as a whole.
    JobFailed {
        /// Chunk number.
        chunk: u64,
        /// Job id.
        job: String,
        /// The org's code and text; it names fields, never row values.
        message: String,
    },
    /// A chunk's rows all have their outcome.
    ChunkReconciled {
        /// Chunk number.
        chunk: u64,
        /// Its tally.
        tally: Tally,
    },
    /// Rows were written to the result files.
    ResultsWritten {
        /// Rows so far.
        rows: u64,
    },
    /// A call is repeated or slowed down.
    Retrying {
        /// What was called.
        call: String,
        /// Which attempt comes next.
        attempt: u32,
        /// Seconds until then.
        wait_seconds: f64,
        /// Why, without secrets.
        reason: String,
    },
    /// Something a person should know.
    Note {
        /// One sentence.
        text: String,
    },
    /// The run winds down before its end.
    Stopping {
        /// Why.
        reason: String,
    },
    /// The run ended.
    RunEnded {
        /// `completed`, `interrupted`, `failed` or `stopped`.
        status: String,
        /// Exit code.
        exit_code: u8,
        /// The final tally.
        tally: Tally,
    },
}

/// Takes events. Called from many threads; must return at once.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn announce(&self, event: Event);
}

/// A sink that may be handed to every stage.
pub type SharedSink = Arc<dyn EventSink>;

/// Drops every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl EventSink for NoEvents {
    fn announce(&self, _event: Event) {}
}
