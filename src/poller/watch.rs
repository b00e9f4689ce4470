//! One task asks after every watched job, each at intervals that grow.
//!
//! The first question comes after a time that fits the job's size, the next
//! after a third of the time waited so far (within bounds), with jitter, so
//! that a small job is seen to end at once and a long one costs few calls: each
//! question is an API call of the org's allowance. A job that by its own counter
//! ends before that is asked for at about its end, a few times at most: a lane
//! that waits sends nothing. Patience has no end (I5):
//! a call that fails for a passing reason is asked again at the next turn. Nor
//! does one 404 end it: only the org's own word, and only when it repeats it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::domain::{Event, JobInfo, SharedSink};
use crate::salesforce::{CallError, Org, jitter};

/// Shortest pause between two questions about one job.
const SHORTEST: Duration = Duration::from_millis(150);
/// Longest pause between two questions about one job.
const LONGEST: Duration = Duration::from_secs(20);
/// Rows a second an org is taken to work at when the first question is timed;
/// about what a large org does with a plain object.
const ROWS_PER_SECOND: u64 = 50_000;

/// Questions about one job that come early because it should be at its end.
const HURRIES: u8 = 6;

/// How often in a row the org must say that it has no such job.
const MISSING_TIMES: u32 = 3;
/// Time between the first and the last of these answers: longer than a
/// failover, in which a node may not know the job yet.
const MISSING_FOR: Duration = Duration::from_secs(30);
/// Pause after such an answer.
const MISSING_PAUSE: Duration = Duration::from_secs(15);

/// A job that reached its terminal state.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// What the org said last.
    pub info: JobInfo,
}

/// Why watching a job ended without its terminal state.
#[derive(Debug, thiserror::Error)]
pub enum PollerError {
    /// The org no longer knows the job, and said so again and again.
    #[error("the org no longer knows job {job}")]
    Gone {
        /// Job id.
        job: String,
    },
    /// The org refuses to tell, for a reason that does not pass.
    #[error("job {job} can't be asked after")]
    Call {
        /// Job id.
        job: String,
        /// The call's error.
        source: CallError,
    },
    /// The poller was stopped.
    #[error("watching was stopped")]
    Stopped,
}

/// Answers in a row by which the org has no such job.
#[derive(Debug, Default)]
struct Missing {
    times: u32,
    since: Option<Instant>,
}

impl Missing {
    /// Takes one more such answer; whether the job is gone for sure.
    fn again(&mut self) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.times = self.times.saturating_add(1);
        self.times >= MISSING_TIMES && since.elapsed() >= MISSING_FOR
    }
}

struct Watch {
    chunk: u64,
    job: String,
    rows: u64,
    /// Questions that may still come early.
    hurries: u8,
    /// Rows done by the last answer, and when that came.
    done: (u64, Instant),
    since: Instant,
    due: Instant,
    missing: Missing,
    answer: oneshot::Sender<Result<Watched, PollerError>>,
}

impl PartialEq for Watch {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}
impl Eq for Watch {}
impl PartialOrd for Watch {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Watch {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

/// Hands jobs to the one task that watches them.
#[derive(Clone)]
pub struct Poller {
    watches: mpsc::Sender<Watch>,
}

impl Poller {
    /// Starts the watching task; it ends when every handle is dropped.
    pub fn start(org: Org, events: SharedSink) -> Self {
        // As many as lanes can hand over at once; a full channel only makes a
        // lane wait for the next turn of the loop.
        let (watches, new) = mpsc::channel(16);
        tokio::spawn(watch_all(org, events, new));
        Poller { watches }
    }

    /// Waits until the job is in a terminal state.
    ///
    /// # Errors
    /// [`PollerError`] when the org no longer knows the job or refuses to tell.
    ///
    /// # Cancel safety
    /// Dropping the future ends the watch; the job goes on.
    pub async fn terminal(&self, chunk: u64, job: &str, rows: u64) -> Result<Watched, PollerError> {
        let (answer, wait) = oneshot::channel();
        let since = Instant::now();
        let first = Duration::from_millis(rows.saturating_mul(1_000) / ROWS_PER_SECOND / 3);
        let due = since + first.clamp(SHORTEST, LONGEST);
        let (job, missing) = (job.to_owned(), Missing::default());
        let (hurries, done) = (HURRIES, (0, since));
        let watch = Watch { chunk, job, rows, hurries, done, since, due, missing, answer };
        if self.watches.send(watch).await.is_err() {
            return Err(PollerError::Stopped);
        }
        wait.await.unwrap_or(Err(PollerError::Stopped))
    }
}

async fn watch_all(org: Org, events: SharedSink, mut new: mpsc::Receiver<Watch>) {
    // One entry a lane, so both are bounded by the number of lanes.
    let mut waiting: BinaryHeap<Reverse<Watch>> = BinaryHeap::new();
    let mut asked = FuturesUnordered::new();
    let mut open = true;
    while open || !waiting.is_empty() || !asked.is_empty() {
        let due = waiting.peek().map(|Reverse(watch)| watch.due);
        tokio::select! {
            watch = new.recv(), if open => match watch {
                Some(watch) => waiting.push(Reverse(watch)),
                None => open = false,
            },
            Some(still_at_work) = asked.next(), if !asked.is_empty() => {
                let still_at_work: Option<Watch> = still_at_work;
                waiting.extend(still_at_work.map(Reverse));
            }
            () = until(due), if due.is_some() => {
                if let Some(Reverse(watch)) = waiting.pop() {
                    asked.push(ask(&org, &events, watch));
                }
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due).await;
    }
}

/// Asks once; gives the watch back when the job is still at work.
async fn ask(org: &Org, events: &SharedSink, mut watch: Watch) -> Option<Watch> {
    if watch.answer.is_closed() {
        return None;
    }
    let answer = org.job(&watch.job).await;
    let mut shortest = Duration::ZERO;
    let mut end = None;
    match answer {
        Err(error) if error.says_no_such_job() => {
            if watch.missing.again() {
                let _ = watch.answer.send(Err(PollerError::Gone { job: watch.job }));
                return None;
            }
            shortest = MISSING_PAUSE;
            events.announce(Event::Note {
                text: format!("job {}: the org says it has no such job, asking again", watch.job),
            });
        }
        Ok(info) => {
            watch.missing = Missing::default();
            events.announce(Event::JobProgress {
                chunk: watch.chunk,
                job: watch.job.clone(),
                state: info.state,
                processed: info.records_processed.unwrap_or(0),
                failed: info.records_failed.unwrap_or(0),
            });
            if info.state.is_terminal() {
                let _ = watch.answer.send(Ok(Watched { info }));
                return None;
            }
            let (now, before) = (Instant::now(), watch.done);
            let done = info.records_processed.unwrap_or(0);
            watch.done = (done, now);
            // By what it did lately, too: jobs beside it may have ended.
            let lately = done.saturating_sub(before.0);
            let left = watch.rows.saturating_sub(done);
            let at_that_pace =
                [time_left(left, lately, now - before.1), time_left(left, done, now - watch.since)];
            end = at_that_pace.into_iter().flatten().min();
        }
        // A 404 without the org's code is a gateway's.
        Err(error)
            if error.is_transient()
                || error.is_not_found()
                || error.status.is_some_and(|status| status >= 500) =>
        {
            watch.missing = Missing::default();
            events.announce(Event::Note {
                text: format!("job {}: the org doesn't answer, asking again", watch.job),
            });
        }
        Err(source) => {
            let _ = watch.answer.send(Err(PollerError::Call { job: watch.job, source }));
            return None;
        }
    }
    let mut pause = pause(watch.since.elapsed()).max(shortest);
    if let Some(end) = end.filter(|end| *end < pause && watch.hurries > 0) {
        watch.hurries -= 1;
        pause = end;
    }
    watch.due = Instant::now() + pause;
    Some(watch)
}

/// When the rows that are left should be done, by those that were done in a
/// time. A little late rather than early, for that costs one question more.
fn time_left(left: u64, done: u64, took: Duration) -> Option<Duration> {
    // A counter that says too little may put the end at any time.
    let times = if done == 0 { return None } else { (left as f64 / done as f64).min(1_000.0) };
    Some(took.mul_f64(times * 1.05).clamp(SHORTEST, LONGEST))
}

/// A third of the time waited so far, within bounds, give or take a fifth.
fn pause(waited: Duration) -> Duration {
    let pause = (waited / 3).clamp(SHORTEST, LONGEST);
    pause.mul_f64(0.8) + jitter(pause.mul_f64(0.4))
}

#[cfg(test)]
mod tests;
