//! Plain lines for where nothing can be redrawn: a line every few seconds and
//! at milestones.

use std::fmt::Write as _;
use std::io::Write;
use std::time::{Duration, Instant};

use super::View;
use super::tracker::{Rate, Stage, Tracker};
use crate::domain::Event;
use crate::report::format::{bytes, clock, count, percent, printable, thousands};

/// Between two lines about how far things are.
const STEP: Duration = Duration::from_secs(5);

/// Between two remarks about repeated calls: an org that pushes back makes
/// many.
const RETRY_STEP: Duration = Duration::from_secs(5);

/// What is said in words whatever the view: above the bars, or between lines.
#[derive(Default)]
pub(super) struct Speech {
    retry_said: Option<Instant>,
}

impl Speech {
    /// The line an event is worth by itself, if any.
    pub(super) fn remark(&mut self, event: &Event, now: Instant) -> Option<String> {
        match event {
            Event::Note { text } => Some(format!("note: {}", printable(text))),
            Event::JobFailed { chunk, job, message } => Some(format!(
                "job {} (chunk {chunk}) failed as a whole: {}",
                printable(job),
                printable(message)
            )),
            Event::Stopping { reason } => Some(format!("stopping: {}", printable(reason))),
            Event::Retrying { call, attempt, wait_seconds, reason } => {
                let silent = self
                    .retry_said
                    .is_some_and(|said| now.saturating_duration_since(said) < RETRY_STEP);
                if silent {
                    return None;
                }
                self.retry_said = Some(now);
                Some(format!(
                    "{}: {}; attempt {attempt} in {wait_seconds:.1} s",
                    printable(call),
                    printable(reason)
                ))
            }
            _ => None,
        }
    }
}

/// The view on anything that is not a terminal.
pub(super) struct PlainLines {
    out: Box<dyn Write + Send>,
    started: Instant,
    said: Instant,
    tracker: Tracker,
    speech: Speech,
    rate: Rate,
}

impl PlainLines {
    pub(super) fn new(out: Box<dyn Write + Send>, now: Instant) -> Self {
        PlainLines {
            out,
            started: now,
            said: now,
            tracker: Tracker::default(),
            speech: Speech::default(),
            rate: Rate::default(),
        }
    }

    /// Writes a line with the time since the start. That nobody reads stderr
    /// is no reason to stop a load.
    fn say(&mut self, text: &str, now: Instant) {
        let passed = clock(now.saturating_duration_since(self.started).as_secs_f64());
        let _ = writeln!(self.out, "[{passed:>7}] {text}");
    }

    /// How far everything is.
    fn state(&self) -> String {
        if let Some((seen, all)) = self.tracker.scan {
            return format!("checked {} of the source ({})", percent(seen, all), bytes(all));
        }
        let read = self.tracker.position(Stage::Reading);
        let share = match read.total {
            Some(total) if total > read.done => format!(" ({})", percent(read.done, total)),
            _ => String::new(),
        };
        let done = |stage| thousands(self.tracker.position(stage).done);
        let mut text = format!(
            "read {}{share}, uploaded {}, processed {}, reconciled {}",
            count(read.done, "row"),
            done(Stage::Uploading),
            done(Stage::Processing),
            done(Stage::Reconciling)
        );
        for (what, rows) in [
            ("failed", self.tracker.failed()),
            ("rejected", self.tracker.rejected()),
            ("written", self.tracker.written),
        ] {
            if rows > 0 {
                let _ = write!(text, ", {} {what}", thousands(rows));
            }
        }
        // The last stage is what the end waits for; before it has begun, the
        // org's work is.
        let stage = if self.tracker.position(Stage::Reconciling).done > 0 {
            Stage::Reconciling
        } else {
            Stage::Processing
        };
        if let Some(rate) = self.rate.describe(self.tracker.position(stage)) {
            text.push_str("; ");
            text.push_str(&rate);
        }
        text
    }
}

impl View for PlainLines {
    fn take(&mut self, event: Event, now: Instant) {
        self.tracker.apply(&event);
        self.rate.measure(self.tracker.position(Stage::Processing).done, now);
        match &event {
            Event::RunStarted { run_id, folder, .. } => {
                self.say(&format!("run {run_id} in {}", printable(folder)), now);
            }
            Event::SourceExhausted { rows, to_send, chunks } => {
                let text = format!(
                    "read all {}: {} to send in {}",
                    count(*rows, "row"),
                    thousands(*to_send),
                    count(*chunks, "chunk")
                );
                self.say(&text, now);
            }
            Event::RunEnded { status, exit_code, .. } => {
                self.say(&format!("{status}, exit code {exit_code}"), now);
            }
            event => {
                if let Some(line) = self.speech.remark(event, now) {
                    self.say(&line, now);
                }
            }
        }
        if now.saturating_duration_since(self.said) >= STEP {
            self.said = now;
            let state = self.state();
            self.say(&state, now);
        }
    }

    fn pause(&mut self, _now: Instant) {
        let _ = self.out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::tests::Captured;
    use super::*;
    use crate::domain::{JobState, Tally};

    #[test]
    fn a_load_tells_its_milestones_and_now_and_then_how_far_it_is() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let out = Captured::default();
        let mut view = PlainLines::new(Box::new(out.clone()), start);
        let job = "750000000000001AAA".to_owned();
        view.take(
            Event::RunStarted {
                run_id: "r1".to_owned(),
                folder: "runs/r1".to_owned(),
                source_bytes: Some(2_000_000),
                rows: None,
                lanes: 4,
            },
            at(0),
        );
        for second in 0..6 {
            for tenth in 0..10 {
                let rows = second * 1_000 + tenth * 100;
                let now = at(second) + Duration::from_millis(tenth * 100);
                view.take(Event::ReadProgress { bytes: rows * 100, rows }, now);
            }
        }
        view.take(Event::SourceExhausted { rows: 20_000, to_send: 19_990, chunks: 2 }, at(7));
        view.take(Event::Uploaded { chunk: 1, job: job.clone(), rows: 10_000 }, at(8));
        view.take(
            Event::JobProgress {
                chunk: 1,
                job: job.clone(),
                state: JobState::InProgress,
                processed: 5_000,
                failed: 12,
            },
            at(13),
        );
        view.take(
            Event::JobFailed { chunk: 1, job, message: "InvalidBatch : no\nfield".to_owned() },
            at(14),
        );
        for attempt in 2..9 {
            view.take(
                Event::Retrying {
                    call: "GET jobs/ingest".to_owned(),
                    attempt,
                    wait_seconds: 1.5,
                    reason: "503 from the org".to_owned(),
                },
                at(14),
            );
        }
        view.take(
            Event::RunEnded {
                status: "completed".to_owned(),
                exit_code: 3,
                tally: Tally::default(),
            },
            at(15),
        );
        view.pause(at(15));
        insta::assert_snapshot!(out.text(), @r"
        [   0:00] run r1 in runs/r1
        [   0:05] read 5,000 rows (25.0 %), uploaded 0, processed 0, reconciled 0
        [   0:07] read all 20,000 rows: 19,990 to send in 2 chunks
        [   0:13] read 20,000 rows, uploaded 10,000, processed 5,000, reconciled 0, 12 failed; 1,000 rows/s, 0:15 left
        [   0:14] job 750000000000001AAA (chunk 1) failed as a whole: InvalidBatch : no field
        [   0:14] GET jobs/ingest: 503 from the org; attempt 2 in 1.5 s
        [   0:15] completed, exit code 3
        ");
    }
}
