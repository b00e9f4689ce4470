//! What is counted while a run goes on, and how it ended.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use super::account::Account;
use super::{FilePart, Origin, StopReason};
use crate::chunker::PlannedChunk;
use crate::domain::{AttemptState, FailureGroups, JobInfo, JobState, Tally, Verdict};
use crate::reconciler::WrittenFile;
use crate::report::JobSummary;
use crate::uploader::AttemptStep;

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

impl From<JobReport> for JobSummary {
    fn from(job: JobReport) -> Self {
        JobSummary {
            id: job.id,
            chunk: job.chunk,
            attempt: job.attempt,
            state: job.state.to_string(),
            first_row: job.first_row,
            rows: job.rows,
            bytes: job.bytes,
            processed: job.processed,
            failed: job.failed,
            error: job.error,
        }
    }
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
    /// Of a retry, the counts of the load it belongs to.
    pub origin: Option<Origin>,
    /// Why it ended early, if it did.
    pub stopped: Option<StopReason>,
    /// Jobs in the order of their chunks.
    pub jobs: Vec<JobReport>,
    /// Failed rows by code and masked message.
    pub failures: FailureGroups,
    /// Rows of the source, once it was read to its end.
    pub source_rows: Option<u64>,
    /// The files of the source, if it has several.
    pub files: Vec<FilePart>,
    /// Result files that were written.
    pub result_files: Vec<WrittenFile>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
}

/// What is counted on the way.
#[derive(Default)]
pub(super) struct Books {
    pub(super) tally: Tally,
    pub(super) to_send: u64,
    /// Chunks cut so far.
    pub(super) chunks: u64,
    /// Rows of chunks whose close was attempted, each once.
    pub(super) sent: u64,
    /// Open chunks whose rows count as sent, with their number of rows.
    sent_chunks: HashSet<u64>,
    /// Rows each open chunk sends.
    open: HashMap<u64, u64>,
    /// What is known of open chunks.
    open_counts: HashMap<u64, OpenCounts>,
    /// Rows of the first chunk that failed or are disputed, once that is known.
    pub(super) first_failed: Option<u64>,
    pub(super) jobs: BTreeMap<(u64, u32), JobReport>,
    pub(super) failures: FailureGroups,
    pub(super) notes: Vec<String>,
}

impl Books {
    /// The books of an earlier process, as far as they can be known.
    pub(super) fn taken_up(account: Account, to_send: u64) -> Self {
        Books {
            tally: account.tally,
            to_send,
            chunks: account.chunks,
            sent: account.sent,
            jobs: account.jobs,
            failures: account.failures,
            notes: account.notes,
            ..Books::default()
        }
    }

    /// Takes a step of an attempt: every job is listed, also one that was given
    /// up, and rows count as sent once the close of their job was attempted.
    pub(super) fn step(&mut self, step: &AttemptStep) {
        if step.state == AttemptState::Closing && self.sent_chunks.insert(step.chunk) {
            self.sent += self.open.get(&step.chunk).copied().unwrap_or(step.rows);
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
            first_row: step.first_row,
            rows: step.rows,
            bytes: step.bytes,
            processed: 0,
            failed: 0,
            error: None,
        });
        report.state = state;
    }

    pub(super) fn chunk_planned(&mut self, chunk: &PlannedChunk, reasons: FailureGroups) {
        self.tally.read += chunk.read_rows;
        self.tally.rejected += chunk.rejected;
        self.to_send += chunk.rows.len();
        self.chunks = chunk.number;
        self.open.insert(chunk.number, chunk.rows.len());
        self.failures.merge(reasons);
    }

    /// Takes an open chunk of an earlier process up again; its rows are in the
    /// counts already.
    pub(super) fn chunk_taken_up(&mut self, chunk: u64, rows: u64, was_sent: bool) {
        self.open.insert(chunk, rows);
        if was_sent {
            self.sent_chunks.insert(chunk);
        }
    }

    pub(super) fn job_ended(&mut self, chunk: u64, attempt: u32, info: &JobInfo) {
        if let Some(report) = self.jobs.get_mut(&(chunk, attempt)) {
            report.state = info.state;
            report.processed = info.records_processed.unwrap_or(0);
            report.failed = info.records_failed.unwrap_or(0);
            report.error.clone_from(&info.error_message);
        }
    }

    pub(super) fn reconciled(&mut self, chunk: u64, tally: &Tally, failures: FailureGroups) {
        self.tally.add(tally);
        self.failures.merge(failures);
        self.open.remove(&chunk);
        self.sent_chunks.remove(&chunk);
        self.open_counts.remove(&chunk);
        if chunk == 1 {
            self.first_failed = Some(tally.failed + tally.disputed);
        }
    }

    /// Takes the fates of an open chunk's rows that are for good; its other rows
    /// go again.
    pub(super) fn judged(&mut self, chunk: u64, tally: &Tally) {
        let failed = tally.failed + tally.disputed;
        if chunk == 1 {
            self.first_failed = Some(failed);
        }
        if self.open.contains_key(&chunk) {
            let known = tally.settled();
            let counts = OpenCounts { known, failed, at_work: (0, 0) };
            self.open_counts.insert(chunk, counts);
        }
    }

    /// Takes what a job at work says of its rows.
    pub(super) fn at_work(&mut self, chunk: u64, processed: u64, failed: u64) {
        if self.open.contains_key(&chunk) {
            self.open_counts.entry(chunk).or_default().at_work = (processed, failed);
        }
    }

    /// Rows whose fate is known by now, and those of them that count against a
    /// limit on failures: rejected (but for those that a filter left out),
    /// failed and disputed. Of jobs at work their
    /// own counts are taken.
    pub(super) fn known(&self) -> (u64, u64) {
        let tally = &self.tally;
        let mut known = tally.settled();
        let rejected = tally.rejected.saturating_sub(self.failures.left_out());
        let mut failed = rejected + tally.failed + tally.disputed;
        for counts in self.open_counts.values() {
            known += counts.known + counts.at_work.0;
            failed += counts.failed + counts.at_work.1;
        }
        (known, failed)
    }
}

/// What is known of an open chunk's rows.
#[derive(Debug, Clone, Copy, Default)]
struct OpenCounts {
    /// Rows with their last outcome.
    known: u64,
    /// Those of them that failed or are disputed.
    failed: u64,
    /// Rows worked and failed, by the word of the job at work.
    at_work: (u64, u64),
}
