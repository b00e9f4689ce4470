//! Draws events: bars, plain lines or JSON lines, all on stderr.
//!
//! | file | what it is |
//! |---|---|
//! | `tracker` | what the events so far amount to; pure |
//! | `bars` | four bars redrawn in place |
//! | `plain` | a line every few seconds and at milestones |
//! | `json` | one JSON object a line (docs/events.md) |
//!
//! Taking an event is cheap (a lock, a few additions, a look at the clock), so
//! stages may announce as often as they like; what is drawn is throttled here.
//! No time is asked for below the sink: tests pass the instants they want.

mod bars;
mod json;
mod plain;
mod tracker;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use indicatif::{MultiProgress, ProgressDrawTarget};

use self::bars::Bars;
use self::json::JsonLines;
pub(super) use self::json::error_line;
use self::plain::PlainLines;
use super::context::{Context, ProgressView};
use crate::domain::{Event, EventSink, NoEvents, SharedSink};

/// Something that shows events.
trait View: Send {
    /// Takes one event that was announced at `now`.
    fn take(&mut self, event: Event, now: Instant);

    /// Shows what was held back, and leaves the terminal clean. More events may
    /// follow.
    fn pause(&mut self, now: Instant);
}

/// The sink in front of a view.
struct Screen {
    view: Mutex<Box<dyn View>>,
}

impl EventSink for Screen {
    fn announce(&self, event: Event) {
        locked(&self.view).take(event, Instant::now());
    }
}

/// Writes events to the log on their way to the view, so that a log file tells
/// a run whatever is shown of it: milestones at `info`, states of jobs at
/// `debug`, each step of progress at `trace`.
struct Logged {
    shown: SharedSink,
}

impl EventSink for Logged {
    fn announce(&self, event: Event) {
        match &event {
            Event::ScanProgress { .. }
            | Event::ReadProgress { .. }
            | Event::UploadProgress { .. } => tracing::trace!(event = %as_json(&event)),
            Event::JobProgress { .. } | Event::ResultsWritten { .. } => {
                tracing::debug!(event = %as_json(&event));
            }
            // The client logs its own retries.
            Event::Retrying { .. } => {}
            _ => tracing::info!(event = %as_json(&event)),
        }
        self.shown.announce(event);
    }
}

/// An event as JSON, made only if the log wants it.
fn as_json(event: &Event) -> impl std::fmt::Display + '_ {
    struct Json<'a>(&'a Event);

    impl std::fmt::Display for Json<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&serde_json::to_string(self.0).unwrap_or_default())
        }
    }

    Json(event)
}

/// A panic while drawing is no reason to stop drawing.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The drawing of a command's events. Dropping it ends the drawing.
pub(super) struct Progress {
    screen: Option<Arc<Screen>>,
}

impl Progress {
    /// What the stages announce to.
    pub(super) fn sink(&self) -> SharedSink {
        let shown: SharedSink = match &self.screen {
            Some(screen) => Arc::clone(screen) as SharedSink,
            None => Arc::new(NoEvents),
        };
        Arc::new(Logged { shown })
    }

    /// Takes the bars off the screen and writes lines held back, so that
    /// something else can be shown or asked. The next event brings bars back.
    pub(super) fn clear(&self) {
        if let Some(screen) = &self.screen {
            locked(&screen.view).pause(Instant::now());
        }
    }

    /// Ends the drawing; call it before the summary is printed.
    pub(super) fn finish(&self) {
        self.clear();
        *locked(&ON_SCREEN) = None;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Begins to draw a command's events as its flags want them drawn.
pub(super) fn start(context: &Context) -> Progress {
    let now = Instant::now();
    let view: Box<dyn View> = match context.progress_view() {
        ProgressView::None => return Progress { screen: None },
        ProgressView::Plain => Box::new(PlainLines::new(Box::new(io::stderr()), now)),
        ProgressView::Json => Box::new(JsonLines::new(Box::new(io::stderr()), json::now)),
        ProgressView::Bars => {
            // Ten times a second looks smooth and costs nothing.
            let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            *locked(&ON_SCREEN) = Some(multi.clone());
            Box::new(Bars::new(multi, context.colour_on_stderr()))
        }
    };
    Progress { screen: Some(Arc::new(Screen { view: Mutex::new(view) })) }
}

/// The bars on the screen, if any, so that a log line can go above them. One
/// process has one terminal.
static ON_SCREEN: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// Writes to the terminal with the bars out of the way.
pub(super) fn above_bars<R>(write: impl FnOnce() -> R) -> R {
    let bars = locked(&ON_SCREEN).clone();
    match bars {
        Some(bars) => bars.suspend(write),
        None => write(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(Arc<Mutex<(u64, bool)>>);

    impl View for Counting {
        fn take(&mut self, _event: Event, _now: Instant) {
            locked(&self.0).0 += 1;
        }

        fn pause(&mut self, _now: Instant) {
            locked(&self.0).1 = true;
        }
    }

    #[test]
    fn every_event_arrives_and_dropping_ends_the_drawing() {
        let seen = Arc::new(Mutex::new((0, false)));
        let view: Box<dyn View> = Box::new(Counting(Arc::clone(&seen)));
        let screen = Arc::new(Screen { view: Mutex::new(view) });
        let progress = Progress { screen: Some(screen) };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let sink = progress.sink();
                scope.spawn(move || {
                    for rows in 0..1000 {
                        sink.announce(Event::ResultsWritten { rows });
                    }
                });
            }
        });
        assert_eq!(*locked(&seen), (4000, false));
        drop(progress);
        assert!(locked(&seen).1);
    }
}
