//! JSON lines: one object an event, for programs that watch a run.
//! docs/events.md describes every event and field.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

use super::super::error::CliError;
use super::View;
use crate::domain::Event;

/// Between two lines of one kind of frequent event.
const STEP: Duration = Duration::from_millis(500);

/// The wall clock as it stands in the lines.
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

/// One line.
#[derive(Serialize)]
struct Line<'a, T: Serialize> {
    timestamp: String,
    #[serde(flatten)]
    content: &'a T,
}

fn line(content: &impl Serialize, time: Timestamp) -> String {
    let timestamp = format!("{time:.3}");
    // Every key is a string, so this can't fail; a line that could not be
    // written would be left out.
    serde_json::to_string(&Line { timestamp, content }).map(|text| text + "\n").unwrap_or_default()
}

/// The line that tells an error, where stderr carries JSON lines.
pub(in super::super) fn error_line(error: &CliError) -> String {
    #[derive(Serialize)]
    struct ErrorEvent {
        event: &'static str,
        exit_code: u8,
        #[serde(flatten)]
        error: crate::report::ErrorSummary,
    }
    line(&ErrorEvent { event: "error", exit_code: error.exit as u8, error: error.summary() }, now())
}

/// What is held back of the frequent events until their time comes.
#[derive(Default)]
struct Held {
    scan: Option<Event>,
    read: Option<Event>,
    written: Option<Event>,
    /// Bytes by chunk: these add up. As many chunks as there are lanes.
    uploads: BTreeMap<u64, u64>,
}

/// The view that writes lines.
pub(super) struct JsonLines {
    out: Box<dyn Write + Send>,
    clock: fn() -> Timestamp,
    held: Held,
    released: Option<Instant>,
}

impl JsonLines {
    pub(super) fn new(out: Box<dyn Write + Send>, clock: fn() -> Timestamp) -> Self {
        JsonLines { out, clock, held: Held::default(), released: None }
    }

    /// Writes a line at once and whole, so that lines of other writers to
    /// stderr can't fall into it.
    fn write(&mut self, event: &Event) {
        let _ = self.out.write_all(line(event, (self.clock)()).as_bytes());
    }

    /// Holds a frequent event back; the newest of its kind stands for all.
    /// Gives back what is not frequent.
    fn hold(&mut self, event: Event) -> Option<Event> {
        match event {
            Event::ScanProgress { .. } => self.held.scan = Some(event),
            Event::ReadProgress { .. } => self.held.read = Some(event),
            Event::ResultsWritten { .. } => self.held.written = Some(event),
            Event::UploadProgress { chunk, bytes } => {
                *self.held.uploads.entry(chunk).or_default() += bytes;
            }
            event => return Some(event),
        }
        None
    }

    fn release(&mut self) {
        let held = std::mem::take(&mut self.held);
        for event in [held.scan, held.read].into_iter().flatten() {
            self.write(&event);
        }
        for (chunk, bytes) in held.uploads {
            self.write(&Event::UploadProgress { chunk, bytes });
        }
        if let Some(event) = held.written {
            self.write(&event);
        }
    }
}

impl View for JsonLines {
    fn take(&mut self, event: Event, now: Instant) {
        match self.hold(event) {
            Some(event) => {
                // What was held happened before it.
                self.release();
                self.write(&event);
            }
            None if self
                .released
                .is_none_or(|released| now.saturating_duration_since(released) >= STEP) =>
            {
                self.released = Some(now);
                self.release();
            }
            None => {}
        }
    }

    fn pause(&mut self, _now: Instant) {
        self.release();
        let _ = self.out.flush();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;

    use super::*;
    use crate::domain::{JobState, Tally};

    /// A writer whose content can be read back.
    #[derive(Clone, Default)]
    pub(in super::super) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(in super::super) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn noon() -> Timestamp {
        "2026-03-01T12:00:00.123456Z".parse().unwrap()
    }

    /// One of each event. The match makes the compiler ask for an example when
    /// an event is added.
    fn one_of_each() -> Vec<Event> {
        let job = || "750000000000001AAA".to_owned();
        let text = || "text".to_owned();
        let tally = Tally::default();
        let events = vec![
            Event::RunStarted {
                run_id: text(),
                folder: text(),
                source_bytes: Some(1),
                rows: None,
                lanes: 4,
            },
            Event::ScanProgress { bytes: 1, total: 2 },
            Event::ReadProgress { bytes: 1, rows: 2 },
            Event::ChunkPlanned { chunk: 1, first_row: 1, rows: 2, rejected: 0, bytes: 9 },
            Event::SourceExhausted { rows: 2, to_send: 2, chunks: 1 },
            Event::JobCreated { chunk: 1, attempt: 1, job: job() },
            Event::UploadProgress { chunk: 1, bytes: 9 },
            Event::Uploaded { chunk: 1, job: job(), rows: 2 },
            Event::JobProgress {
                chunk: 1,
                job: job(),
                state: JobState::InProgress,
                processed: 1,
                failed: 0,
            },
            Event::JobFailed { chunk: 1, job: job(), message: text() },
            Event::ChunkReconciled { chunk: 1, tally },
            Event::ResultsWritten { rows: 2 },
            Event::Retrying { call: text(), attempt: 2, wait_seconds: 0.5, reason: text() },
            Event::Note { text: text() },
            Event::Stopping { reason: text() },
            Event::RunEnded { status: text(), exit_code: 0, tally },
        ];
        let mut kinds: Vec<usize> = events
            .iter()
            .map(|event| match event {
                Event::RunStarted { .. } => 0,
                Event::ScanProgress { .. } => 1,
                Event::ReadProgress { .. } => 2,
                Event::ChunkPlanned { .. } => 3,
                Event::SourceExhausted { .. } => 4,
                Event::JobCreated { .. } => 5,
                Event::UploadProgress { .. } => 6,
                Event::Uploaded { .. } => 7,
                Event::JobProgress { .. } => 8,
                Event::JobFailed { .. } => 9,
                Event::ChunkReconciled { .. } => 10,
                Event::ResultsWritten { .. } => 11,
                Event::Retrying { .. } => 12,
                Event::Note { .. } => 13,
                Event::Stopping { .. } => 14,
                Event::RunEnded { .. } => 15,
            })
            .collect();
        kinds.sort_unstable();
        assert_eq!(kinds, (0..16).collect::<Vec<_>>(), "an event has no example");
        events
    }

    #[test]
    fn the_documentation_names_every_event_and_field() {
        let text = include_str!("../../../docs/events.md");
        for event in one_of_each() {
            let json = serde_json::to_value(&event).unwrap();
            let name = json["event"].as_str().unwrap().to_owned();
            let heading = format!("### {name}\n");
            let section = text
                .split_once(&heading)
                .unwrap_or_else(|| panic!("docs/events.md has no section for {name}"))
                .1;
            let section = section.split("\n#").next().unwrap();
            for field in json.as_object().unwrap().keys().filter(|field| *field != "event") {
                let mention = format!("`{field}`");
                assert!(section.contains(&mention), "{name}.{field} is not described");
            }
        }
    }

    #[test]
    fn each_line_is_an_object_with_time_and_name() {
        let out = Captured::default();
        let mut view = JsonLines::new(Box::new(out.clone()), noon);
        let now = Instant::now();
        let events = one_of_each();
        for event in &events {
            view.take(event.clone(), now);
        }
        view.pause(now);
        let text = out.text();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), events.len());
        for line in &lines {
            assert_eq!(line["timestamp"], "2026-03-01T12:00:00.123Z");
        }
        // Nothing overtakes what happened before it.
        let names = |events: &[Value]| -> Vec<String> {
            events.iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
        };
        let told: Vec<Value> =
            events.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
        assert_eq!(names(&lines), names(&told));
    }

    #[test]
    fn frequent_events_are_thinned_out_and_lose_no_byte() {
        let out = Captured::default();
        let mut view = JsonLines::new(Box::new(out.clone()), noon);
        let start = Instant::now();
        for millisecond in 0..10_000u64 {
            let now = start + Duration::from_millis(millisecond);
            view.take(Event::UploadProgress { chunk: millisecond % 3, bytes: 10 }, now);
            view.take(Event::ReadProgress { bytes: millisecond * 100, rows: millisecond }, now);
        }
        view.pause(start + Duration::from_secs(10));
        let lines: Vec<Value> =
            out.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.len() < 100, "{} lines in ten seconds", lines.len());
        let bytes: u64 = lines
            .iter()
            .filter(|line| line["event"] == "upload_progress")
            .filter_map(|line| line["bytes"].as_u64())
            .sum();
        assert_eq!(bytes, 100_000);
        let last = lines.iter().rfind(|line| line["event"] == "read_progress").unwrap();
        assert_eq!(last["rows"], 9_999);
    }

    #[test]
    fn an_error_is_a_line_like_any_other() {
        let error = CliError::refused("preflight", "no such\nfield").hint("Look.");
        let text = error_line(&error);
        assert_eq!(text.lines().count(), 1);
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["event"], "error");
        assert_eq!(json["code"], "preflight");
        assert_eq!(json["exit_code"], 2);
        let docs = include_str!("../../../docs/events.md");
        let section = docs.split_once("### error\n").unwrap().1.split("\n#").next().unwrap();
        for field in json.as_object().unwrap().keys() {
            if field != "event" && field != "timestamp" {
                assert!(section.contains(&format!("`{field}`")), "error.{field}");
            }
        }
    }
}
