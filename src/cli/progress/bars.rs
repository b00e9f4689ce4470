//! Four bars, redrawn in place: reading, uploading, the org's processing,
//! reconciling. They appear when their stage begins and are cleared at the end.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::View;
use super::plain::Speech;
use super::tracker::{Position, Rate, Stage, Tracker};
use crate::report::format::{bytes, clock, percent, thousands};

/// Between two updates of the texts; the eye can't follow more.
const STEP: Duration = Duration::from_millis(100);

/// The view on a terminal.
pub(super) struct Bars {
    multi: MultiProgress,
    stages: [Option<ProgressBar>; 4],
    rates: [Rate; 4],
    tracker: Tracker,
    speech: Speech,
    known: ProgressStyle,
    unknown: ProgressStyle,
    drawn: Option<Instant>,
}

impl Bars {
    pub(super) fn new(multi: MultiProgress, colour: bool) -> Self {
        let (label, bar) = if colour { (".bold", ".cyan/dim") } else { ("", "") };
        Bars {
            multi,
            stages: Default::default(),
            rates: Default::default(),
            tracker: Tracker::default(),
            speech: Speech::default(),
            known: style(&format!("{{prefix:<11{label}}} {{bar:18{bar}}} {{msg}}")),
            unknown: style(&format!("{{prefix:<11{label}}} {{spinner}} {{msg}}")),
            drawn: None,
        }
    }

    fn draw(&mut self, now: Instant) {
        for (index, stage) in Stage::ALL.into_iter().enumerate() {
            let position = self.tracker.position(stage);
            let scan = self.tracker.scan.filter(|_| stage == Stage::Reading);
            if position.done == 0 && scan.is_none() {
                continue;
            }
            let (Some(slot), Some(rate)) = (self.stages.get_mut(index), self.rates.get_mut(index))
            else {
                continue;
            };
            rate.measure(position.done, now);
            let bar = slot.get_or_insert_with(|| {
                // Below the bars of the stages before it, and only those.
                let bar = ProgressBar::no_length()
                    .with_style(self.unknown.clone())
                    .with_prefix(stage.label());
                let bar = self.multi.add(bar);
                // Keeps turning while the org says nothing new.
                bar.enable_steady_tick(Duration::from_millis(250));
                bar
            });
            let (done, total, text) = match scan {
                Some((seen, all)) => {
                    let share = percent(seen, all);
                    (seen, Some(all), format!("{share:>7}  checking {}", bytes(all)))
                }
                None => (position.done, position.total, message(position, rate)),
            };
            if let Some(total) = total {
                bar.set_style(self.known.clone());
                bar.set_length(total);
            } else {
                bar.set_style(self.unknown.clone());
            }
            bar.set_position(done);
            bar.set_message(text);
        }
    }
}

/// ` 54.0 %     812,000 rows    91,234/s   0:12 left`, 47 columns at most for
/// counts below a hundred million, so that a line fits in 80.
fn message(position: Position, rate: &Rate) -> String {
    let share = position.total.map_or_else(String::new, |total| percent(position.done, total));
    let mut text = format!("{share:>7} {:>11} rows", thousands(position.done));
    if let Some(rows) = rate.rows().filter(|_| position.total != Some(position.done)) {
        let _ = write!(text, " {:>9}/s", thousands(rows.round() as u64));
        if let Some(seconds) = rate.seconds_left(position) {
            let _ = write!(text, " {:>5} left", clock(seconds));
        }
    }
    text
}

/// The templates are ours; one that could not be read would show in the test.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("█▉▊▋▌▍▎▏ ")
}

impl View for Bars {
    fn take(&mut self, event: crate::domain::Event, now: Instant) {
        self.tracker.apply(&event);
        if let Some(line) = self.speech.remark(&event, now) {
            let _ = self.multi.println(line);
        }
        if self.drawn.is_none_or(|drawn| now.saturating_duration_since(drawn) >= STEP) {
            self.drawn = Some(now);
            self.draw(now);
        }
    }

    fn pause(&mut self, _now: Instant) {
        for bar in self.stages.iter_mut().filter_map(Option::take) {
            bar.finish_and_clear();
            self.multi.remove(&bar);
        }
        let _ = self.multi.clear();
        self.tracker.scan = None;
        self.drawn = None;
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::{ProgressDrawTarget, TermLike};

    use super::*;
    use crate::domain::{Event, JobState};
    use crate::report::format::width;

    /// A terminal of 80 columns that remembers what was written to it.
    #[derive(Debug, Clone, Default)]
    struct Terminal(Arc<Mutex<String>>);

    impl Terminal {
        fn text(&self) -> String {
            self.0.lock().unwrap().clone()
        }
    }

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            80
        }
        fn height(&self) -> u16 {
            24
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, line: &str) -> io::Result<()> {
            self.write_str(&format!("{line}\n"))
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            // A line is filled up with blanks to the width, which ends it.
            let end = text.trim_matches(' ').is_empty();
            self.0.lock().unwrap().push_str(if end { "\n" } else { text });
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            self.write_str("\n")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn bars(terminal: &Terminal) -> Bars {
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        Bars::new(MultiProgress::with_draw_target(target), false)
    }

    #[test]
    fn bars_show_share_rows_speed_and_time_left() {
        let terminal = Terminal::default();
        let start = Instant::now();
        let mut bars = bars(&terminal);
        bars.take(
            Event::RunStarted {
                run_id: "r".to_owned(),
                folder: "runs/r".to_owned(),
                source_bytes: Some(1_000_000),
                rows: Some(10_000),
                lanes: 4,
            },
            start,
        );
        for second in 1..=5u64 {
            let now = start + Duration::from_secs(second);
            bars.take(Event::ReadProgress { bytes: second * 100_000, rows: second * 1_000 }, now);
        }
        let job = "750000000000001AAA".to_owned();
        let now = start + Duration::from_secs(6);
        bars.take(Event::Uploaded { chunk: 1, job: job.clone(), rows: 5_000 }, now);
        let state = JobState::InProgress;
        let now = start + Duration::from_secs(7);
        bars.take(Event::JobProgress { chunk: 1, job, state, processed: 2_500, failed: 0 }, now);
        bars.take(
            Event::Note { text: "no OwnerId column: all rows go to you".to_owned() },
            start + Duration::from_secs(8),
        );
        for bar in bars.stages.iter().flatten() {
            bar.force_draw();
        }
        let text = terminal.text();
        for expected in ["Reading", "Uploading", "Processing", "50.0 %", "5,000 rows", "/s", "left"]
        {
            assert!(text.contains(expected), "{expected} is missing in {text}");
        }
        assert!(text.contains("note: no OwnerId column"), "{text}");
        assert!(!text.contains("Reconciling"), "a stage that has not begun has no bar");
        for line in text.lines() {
            assert!(width(line) <= 80, "{line}");
        }
        bars.pause(start + Duration::from_secs(9));
        assert!(bars.stages.iter().all(Option::is_none));
        // The next event brings them back.
        let now = start + Duration::from_secs(10);
        bars.take(Event::ReadProgress { bytes: 600_000, rows: 6_000 }, now);
        assert!(bars.stages.iter().any(Option::is_some));
    }

    #[test]
    fn a_line_fits_in_80_columns_for_a_hundred_million_rows() {
        let start = Instant::now();
        let mut rate = Rate::default();
        rate.measure(0, start);
        rate.measure(1_000_000, start + Duration::from_secs(1));
        let position = Position { done: 12_345_678, total: Some(99_999_999) };
        // Label, blank, bar, blank come before it.
        assert!(11 + 1 + 18 + 1 + message(position, &rate).len() <= 80);
    }

    #[test]
    fn a_million_events_are_taken_quickly() {
        let terminal = Terminal::default();
        let start = Instant::now();
        let mut bars = bars(&terminal);
        for rows in 0..1_000_000u64 {
            bars.take(Event::ReadProgress { bytes: rows * 100, rows }, start);
        }
        // All at one instant: drawn once, at the first.
        assert!(terminal.text().matches("Reading").count() <= 1);
        assert_eq!(bars.tracker.position(Stage::Reading).done, 999_999);
    }
}
