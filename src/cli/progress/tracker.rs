//! What the events so far amount to, without a clock or a terminal.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::domain::{Event, Tally};
use crate::report::format::{clock, thousands};

/// The four things a load does with rows, in order. All go on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Reading,
    Uploading,
    Processing,
    Reconciling,
}

impl Stage {
    pub(super) const ALL: [Stage; 4] =
        [Stage::Reading, Stage::Uploading, Stage::Processing, Stage::Reconciling];

    /// The word before its bar. "Org works" is the org's processing.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Stage::Reading => "Reading",
            Stage::Uploading => "Uploading",
            Stage::Processing => "Processing",
            Stage::Reconciling => "Reconciling",
        }
    }
}

/// How far a stage is: `done` of `total` rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) done: u64,
    /// Known, or estimated from the part of the source that was read.
    pub(super) total: Option<u64>,
}

/// A job as its events show it.
#[derive(Debug, Default)]
struct Job {
    chunk: u64,
    rows: u64,
    worked: u64,
    failed: u64,
}

/// A chunk whose body is on its way.
#[derive(Debug, Default)]
struct Upload {
    rows: u64,
    bytes: u64,
    sent: u64,
}

impl Upload {
    /// Rows that left for the org, by the bytes that did. One less than all
    /// until the org took the body.
    fn rows_sent(&self) -> u64 {
        let share = self.sent.min(self.bytes) as f64 / self.bytes.max(1) as f64;
        ((self.rows as f64 * share) as u64).min(self.rows.saturating_sub(1))
    }
}

/// The sum of all events.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    source_bytes: Option<u64>,
    rows_to_send: Option<u64>,
    pub(super) scan: Option<(u64, u64)>,
    read_bytes: u64,
    read_rows: u64,
    rejected: u64,
    exhausted: bool,
    rows_in_source: u64,
    uploaded_rows: u64,
    /// Chunks planned and not yet uploaded: lanes and the few that wait.
    uploads: HashMap<u64, Upload>,
    worked_rows: u64,
    failed_rows: u64,
    /// Jobs whose chunk is not reconciled: as many as there are lanes, about.
    jobs: HashMap<String, Job>,
    settled: Tally,
    pub(super) written: u64,
}

impl Tracker {
    /// Takes one event into account.
    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::RunStarted { source_bytes, rows, .. } => {
                self.source_bytes = *source_bytes;
                self.rows_to_send = *rows;
            }
            Event::ScanProgress { bytes, total } => self.scan = Some((*bytes, *total)),
            Event::ReadProgress { bytes, rows } => {
                self.scan = None;
                // Told by several threads, so an older figure may come later.
                self.read_bytes = self.read_bytes.max(*bytes);
                self.read_rows = self.read_rows.max(*rows);
            }
            Event::ChunkPlanned { chunk, rows, rejected, bytes, .. } => {
                self.rejected += rejected;
                if *rows > 0 {
                    let upload = Upload { rows: *rows, bytes: *bytes, sent: 0 };
                    self.uploads.insert(*chunk, upload);
                }
            }
            Event::UploadProgress { chunk, bytes } => {
                if let Some(upload) = self.uploads.get_mut(chunk) {
                    upload.sent += bytes;
                }
            }
            Event::SourceExhausted { rows, to_send, .. } => {
                self.exhausted = true;
                self.read_rows = *rows;
                self.rows_in_source = *rows;
                self.rows_to_send = Some(*to_send);
            }
            Event::JobCreated { chunk, job, .. } => {
                // A fresh attempt sends the body from its beginning.
                if let Some(upload) = self.uploads.get_mut(chunk) {
                    upload.sent = 0;
                }
                self.jobs.entry(job.clone()).or_default().chunk = *chunk;
            }
            Event::Uploaded { chunk, job, rows } => {
                self.uploaded_rows += rows;
                self.uploads.remove(chunk);
                let job = self.jobs.entry(job.clone()).or_default();
                job.chunk = *chunk;
                job.rows = *rows;
            }
            Event::JobProgress { chunk, job, state, processed, failed } => {
                let job = self.jobs.entry(job.clone()).or_default();
                job.chunk = *chunk;
                // What a job that ended has not worked, it never will.
                let worked =
                    if state.is_terminal() { job.rows.max(*processed) } else { *processed };
                self.worked_rows += worked.saturating_sub(job.worked);
                job.worked = job.worked.max(worked);
                self.failed_rows += failed.saturating_sub(job.failed);
                job.failed = job.failed.max(*failed);
            }
            Event::ChunkReconciled { chunk, tally } => {
                self.jobs.retain(|_, job| job.chunk != *chunk);
                self.settled.add(tally);
            }
            Event::ResultsWritten { rows } => self.written = *rows,
            _ => {}
        }
    }

    /// Rows in the whole source: told, or estimated from the bytes read.
    fn rows_in_all(&self) -> Option<u64> {
        if self.exhausted {
            return Some(self.rows_in_source);
        }
        let bytes = self.source_bytes?;
        // Below 64 kB the mean length of a row says little.
        (self.read_bytes >= 65_536)
            .then(|| (self.read_rows as f64 * bytes as f64 / self.read_bytes as f64) as u64)
            .map(|rows| rows.max(self.read_rows))
    }

    /// Rows that will be sent in all, as far as that can be said.
    fn to_send(&self) -> Option<u64> {
        self.rows_to_send.or_else(|| self.rows_in_all().map(|rows| rows - rows.min(self.rejected)))
    }

    /// How far a stage is.
    pub(super) fn position(&self, stage: Stage) -> Position {
        let (done, total) = match stage {
            Stage::Reading => (self.read_rows, self.rows_in_all()),
            // A second attempt sends rows again: more than the source has.
            Stage::Uploading => {
                let on_the_way: u64 = self.uploads.values().map(Upload::rows_sent).sum();
                (self.uploaded_rows + on_the_way, self.to_send())
            }
            Stage::Processing => (self.worked_rows, self.to_send()),
            Stage::Reconciling => (self.settled.settled() - self.settled.rejected, self.to_send()),
        };
        Position { done, total: total.map(|total| total.max(done)) }
    }

    /// Rows known to have failed so far, by the jobs' own counters.
    pub(super) fn failed(&self) -> u64 {
        self.failed_rows
    }

    /// Rows rejected so far.
    pub(super) fn rejected(&self) -> u64 {
        self.rejected
    }
}

/// How fast a stage goes: the mean over about the last ten seconds. Rows and
/// seconds fade alike, so that a stage that moves in steps (a job at a time)
/// is told right from its second step on.
#[derive(Debug, Default)]
pub(super) struct Rate {
    since: Option<(Instant, u64)>,
    rows: f64,
    seconds: f64,
}

impl Rate {
    /// Two measures closer than this say nothing.
    const STEP: Duration = Duration::from_millis(500);
    /// Seconds after which an old speed counts for a third.
    const MEMORY: f64 = 10.0;

    /// Takes note of the rows done at an instant.
    pub(super) fn measure(&mut self, done: u64, now: Instant) {
        // The wait before the first row is no part of the speed.
        let Some((then, before)) = self.since.filter(|_| done > 0) else {
            self.since = Some((now, done));
            return;
        };
        let passed = now.saturating_duration_since(then);
        if passed < Self::STEP {
            return;
        }
        let seconds = passed.as_secs_f64();
        let kept = (-seconds / Self::MEMORY).exp();
        self.rows = self.rows * kept + done.saturating_sub(before) as f64;
        self.seconds = self.seconds * kept + seconds;
        self.since = Some((now, done));
    }

    /// Rows a second, once known.
    pub(super) fn rows(&self) -> Option<f64> {
        (self.rows > 0.0).then(|| self.rows / self.seconds).filter(|rate| *rate >= 0.5)
    }

    /// Seconds left for a stage, once they can be said.
    pub(super) fn seconds_left(&self, position: Position) -> Option<f64> {
        let left = position.total?.saturating_sub(position.done);
        (left > 0).then(|| self.rows().map(|rate| left as f64 / rate)).flatten()
    }

    /// `91,234 rows/s, 0:12 left`, as far as it can be said.
    pub(super) fn describe(&self, position: Position) -> Option<String> {
        let rate = format!("{} rows/s", thousands(self.rows()?.round() as u64));
        Some(match self.seconds_left(position) {
            Some(seconds) => format!("{rate}, {} left", clock(seconds)),
            None => rate,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::JobState;

    fn tracked(events: &[Event]) -> Tracker {
        let mut tracker = Tracker::default();
        for event in events {
            tracker.apply(event);
        }
        tracker
    }

    fn started(source_bytes: Option<u64>, rows: Option<u64>) -> Event {
        Event::RunStarted {
            run_id: "r".to_owned(),
            folder: "runs/r".to_owned(),
            source_bytes,
            rows,
            lanes: 4,
        }
    }

    fn progress(job: &str, state: JobState, processed: u64, failed: u64) -> Event {
        Event::JobProgress { chunk: 1, job: job.to_owned(), state, processed, failed }
    }

    fn uploaded(job: &str, rows: u64) -> Event {
        Event::Uploaded { chunk: 1, job: job.to_owned(), rows }
    }

    #[test]
    fn the_total_is_estimated_until_the_source_is_exhausted() {
        let mut tracker = tracked(&[
            started(Some(1_000_000), None),
            Event::ReadProgress { bytes: 100_000, rows: 1_000 },
        ]);
        let position = tracker.position(Stage::Reading);
        assert_eq!(position, Position { done: 1_000, total: Some(10_000) });
        tracker.apply(&Event::SourceExhausted { rows: 9_876, to_send: 9_870, chunks: 1 });
        assert_eq!(tracker.position(Stage::Reading).total, Some(9_876));
        assert_eq!(tracker.position(Stage::Uploading).total, Some(9_870));
    }

    #[test]
    fn a_source_of_unknown_size_has_no_total() {
        let tracker =
            tracked(&[started(None, None), Event::ReadProgress { bytes: 100_000, rows: 1_000 }]);
        assert_eq!(tracker.position(Stage::Reading), Position { done: 1_000, total: None });
    }

    #[test]
    fn figures_of_a_job_are_counted_once_however_often_they_are_told() {
        let tracker = tracked(&[
            started(None, Some(100)),
            uploaded("a", 60),
            uploaded("b", 40),
            progress("a", JobState::InProgress, 20, 1),
            progress("a", JobState::InProgress, 30, 2),
            progress("a", JobState::InProgress, 30, 2),
            progress("b", JobState::JobComplete, 40, 5),
            progress("b", JobState::JobComplete, 40, 5),
        ]);
        let position = tracker.position(Stage::Processing);
        assert_eq!(position, Position { done: 70, total: Some(100) });
        assert_eq!(tracker.failed(), 7);
    }

    #[test]
    fn a_job_that_failed_as_a_whole_holds_up_no_bar() {
        let tracker = tracked(&[
            started(None, Some(60)),
            uploaded("a", 60),
            progress("a", JobState::Failed, 0, 0),
        ]);
        assert_eq!(tracker.position(Stage::Processing).done, 60);
    }

    #[test]
    fn rows_sent_again_never_pass_the_end_of_the_bar() {
        let tracker = tracked(&[started(None, Some(60)), uploaded("a", 60), uploaded("b", 5)]);
        let position = tracker.position(Stage::Uploading);
        assert_eq!(position, Position { done: 65, total: Some(65) });
    }

    #[test]
    fn reconciled_chunks_leave_no_jobs_behind() {
        let tally = Tally { read: 61, created: 60, rejected: 1, ..Tally::default() };
        let tracker = tracked(&[
            started(None, Some(60)),
            uploaded("a", 60),
            Event::ChunkReconciled { chunk: 1, tally },
        ]);
        assert!(tracker.jobs.is_empty());
        let position = tracker.position(Stage::Reconciling);
        assert_eq!(position, Position { done: 60, total: Some(60) });
    }

    #[test]
    fn a_rate_follows_the_last_seconds() {
        let start = Instant::now();
        let mut rate = Rate::default();
        assert_eq!(rate.rows(), None);
        for second in 0..=10u32 {
            rate.measure(u64::from(second) * 1_000, start + Duration::from_secs(second.into()));
        }
        assert!((rate.rows().unwrap() - 1_000.0).abs() < 1.0);
        let position = Position { done: 10_000, total: Some(22_000) };
        assert_eq!(rate.describe(position).unwrap(), "1,000 rows/s, 0:12 left");
        // It slows down to a tenth: the old speed fades.
        for second in 11..=40u32 {
            let done = 10_000 + u64::from(second - 10) * 100;
            rate.measure(done, start + Duration::from_secs(second.into()));
        }
        assert!(rate.rows().unwrap() < 160.0);
    }
}
