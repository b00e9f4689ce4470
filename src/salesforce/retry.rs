//! When a call is repeated, and how long to wait before.
//!
//! The waits double and are fully jittered (each is drawn between nothing and
//! its ceiling), so that lanes that failed together don't come back together.
//! A `Retry-After` is a floor, up to a cap. What bounds the tries of a call is
//! one budget of time, not their number: the doubling waits alone would be
//! over within a minute after eight tries. Past the budget the call fails, and
//! whoever called decides (I5).

use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use tokio::time::Instant;

use super::error::{CallError, Happened};
use crate::domain::{Event, SharedSink};

/// How patient calls are. The defaults outlast a Salesforce hiccup of some
/// minutes; a longer outage is for the pollers and `resume`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries of one call, the first among them. By default so many that the
    /// budget is always spent first; fewer where nobody wants to wait.
    pub tries: u32,
    /// Ceiling of the first wait; doubles with each try.
    pub first_wait: Duration,
    /// Highest ceiling of a wait.
    pub longest_wait: Duration,
    /// The longest `Retry-After` that is honoured in full.
    pub retry_after_cap: Duration,
    /// Time all tries and waits of one call may take before no further wait
    /// is begun.
    pub budget: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            tries: 1_000,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
            retry_after_cap: Duration::from_mins(2),
            budget: Duration::from_mins(10),
        }
    }
}

impl RetryPolicy {
    /// The policy for the first calls, when a person is waiting and a wrong
    /// address is likelier than an outage.
    #[must_use]
    pub fn for_connecting(&self) -> RetryPolicy {
        RetryPolicy {
            tries: self.tries.min(4),
            budget: self.budget.min(Duration::from_secs(30)),
            ..self.clone()
        }
    }
}

/// Whether a call may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeatable {
    /// Reading, or doing the same once more, changes nothing.
    Yes,
    /// Only when it is certain that the org did nothing (I4).
    OnlyIfNotHappened,
}

/// Statuses that mean the org turned the request away unworked, so that even
/// a create may be sent again.
const TURNED_AWAY: [u16; 2] = [420, 429];

/// Tries of a call answered with 420, which an expired or deleted org gives
/// for good (jsforce stops there, too).
const TRIES_AT_420: u32 = 3;

/// The tries of one call.
#[derive(Debug)]
pub(super) struct Retry<'a> {
    policy: &'a RetryPolicy,
    events: &'a SharedSinkDebug,
    tries: u32,
    started: Instant,
    /// Time that counts against the budget by itself, if not all of it does.
    waited: Option<Duration>,
}

/// A sink that can stand in a `Debug` struct.
pub(super) struct SharedSinkDebug(pub SharedSink);

impl std::fmt::Debug for SharedSinkDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventSink")
    }
}

impl<'a> Retry<'a> {
    pub(super) fn start(policy: &'a RetryPolicy, events: &'a SharedSinkDebug) -> Self {
        Retry { policy, events, tries: 1, started: Instant::now(), waited: None }
    }

    /// For calls that may well take longer than the budget while all is fine:
    /// only the waits count against it.
    pub(super) fn start_long(policy: &'a RetryPolicy, events: &'a SharedSinkDebug) -> Self {
        Retry { waited: Some(Duration::ZERO), ..Retry::start(policy, events) }
    }

    /// Waits until the call may be tried again, or gives the error back with
    /// the tries and the time filled in.
    ///
    /// # Cancel safety
    /// Dropping it drops the wait; nothing else is held.
    pub(super) async fn again(
        &mut self,
        error: CallError,
        repeatable: Repeatable,
    ) -> Result<(), CallError> {
        let elapsed = self.started.elapsed();
        let error = error.after(self.tries, elapsed);
        if !error.is_transient() || !allowed(repeatable, &error) || self.tries >= self.policy.tries
        {
            return Err(error);
        }
        if error.status == Some(420) && self.tries >= TRIES_AT_420 {
            return Err(error);
        }
        let mut wait = jitter(self.ceiling());
        if let Some(asked) = error.retry_after {
            wait = wait.max(asked.min(self.policy.retry_after_cap));
        }
        if self.waited.unwrap_or(elapsed) + wait > self.policy.budget {
            return Err(error);
        }
        self.waited = self.waited.map(|waited| waited + wait);
        self.tries += 1;
        self.events.0.announce(Event::Retrying {
            call: error.call.to_owned(),
            attempt: self.tries,
            wait_seconds: wait.as_secs_f64(),
            reason: error.brief(),
        });
        tracing::debug!(call = error.call, attempt = self.tries, ?wait, reason = %error.brief(), "retrying");
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn ceiling(&self) -> Duration {
        let doublings = (self.tries - 1).min(20);
        self.policy.first_wait.saturating_mul(1 << doublings).min(self.policy.longest_wait)
    }
}

fn allowed(repeatable: Repeatable, error: &CallError) -> bool {
    match repeatable {
        Repeatable::Yes => true,
        Repeatable::OnlyIfNotHappened => match error.happened {
            Happened::No => true,
            Happened::Refused => {
                error.status.is_some_and(|status| TURNED_AWAY.contains(&status) || status == 403)
            }
            Happened::Maybe => false,
        },
    }
}

/// A time drawn evenly between nothing and a ceiling. The standard library's
/// hasher keys are random enough to spread lanes apart.
pub fn jitter(ceiling: Duration) -> Duration {
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    ceiling.mul_f64((random >> 11) as f64 / (1u64 << 53) as f64)
}

/// Reads a `Retry-After` header: whole seconds or an HTTP date (RFC 9110,
/// 10.2.3); a date that has passed means now.
pub(super) fn parse_retry_after(header: &str, now: jiff::Timestamp) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let then = jiff::fmt::rfc2822::parse(header).ok()?.timestamp();
    let wait = then.as_second().saturating_sub(now.as_second()).max(0);
    Some(Duration::from_secs(wait.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::error::Kind;
    use super::*;
    use crate::domain::EventSink;

    #[derive(Default)]
    struct Heard(Mutex<Vec<f64>>);

    impl EventSink for Heard {
        fn announce(&self, event: Event) {
            if let Event::Retrying { wait_seconds, .. } = event {
                self.0.lock().unwrap().push(wait_seconds);
            }
        }
    }

    fn broken(happened: Happened) -> CallError {
        CallError::new("test", Kind::Broken, happened)
    }

    async fn run(
        policy: &RetryPolicy,
        error: &CallError,
        how: Repeatable,
    ) -> (CallError, Vec<f64>) {
        let heard = Arc::new(Heard::default());
        let sink = SharedSinkDebug(heard.clone());
        let mut retry = Retry::start(policy, &sink);
        let last = loop {
            if let Err(error) = retry.again(error.clone(), how).await {
                break error;
            }
        };
        let waits = heard.0.lock().unwrap().clone();
        (last, waits)
    }

    #[tokio::test(start_paused = true)]
    async fn waits_stay_under_a_doubling_ceiling_and_end_with_the_tries() {
        let policy = RetryPolicy { tries: 5, ..RetryPolicy::default() };
        let (error, waits) = run(&policy, &broken(Happened::Maybe), Repeatable::Yes).await;
        assert_eq!(error.attempts, 5);
        assert_eq!(waits.len(), 4);
        for (wait, ceiling) in waits.iter().zip([0.5, 1.0, 2.0, 4.0]) {
            assert!((0.0..ceiling).contains(wait), "{wait} under {ceiling}");
        }
        // tokio's timer is exact to the millisecond.
        let slept: f64 = waits.iter().sum();
        assert!((error.elapsed.as_secs_f64() - slept).abs() < 0.01);
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_a_floor_up_to_its_cap() {
        let policy = RetryPolicy { tries: 2, ..RetryPolicy::default() };
        let asked = |seconds| {
            CallError::new("test", Kind::Refused, Happened::Refused)
                .status(429)
                .retry_after(Some(Duration::from_secs(seconds)))
        };
        let (_, waits) = run(&policy, &asked(7), Repeatable::OnlyIfNotHappened).await;
        assert_eq!(waits, [7.0]);
        let (_, waits) = run(&policy, &asked(9_999), Repeatable::Yes).await;
        assert_eq!(waits, [120.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_ends_it() {
        let policy =
            RetryPolicy { tries: 1_000, budget: Duration::from_secs(50), ..RetryPolicy::default() };
        let (error, waits) = run(&policy, &broken(Happened::No), Repeatable::Yes).await;
        assert!(error.attempts < 1_000 && error.attempts > 3, "{}", error.attempts);
        assert!(waits.iter().sum::<f64>() <= 50.0);
    }

    #[tokio::test(start_paused = true)]
    async fn by_default_an_outage_of_nine_minutes_is_waited_out() {
        let (error, _) = run(&RetryPolicy::default(), &broken(Happened::No), Repeatable::Yes).await;
        let seconds = error.elapsed.as_secs();
        assert!((9 * 60..=10 * 60).contains(&seconds), "{seconds} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_download_may_begin_anew_after_an_hour() {
        let (policy, sink) = (RetryPolicy::default(), SharedSinkDebug(Arc::new(Heard::default())));
        let mut hurried = Retry::start(&policy, &sink);
        let mut long = Retry::start_long(&policy, &sink);
        tokio::time::advance(Duration::from_hours(1)).await;
        let error = broken(Happened::Maybe);
        assert!(hurried.again(error.clone(), Repeatable::Yes).await.is_err());
        assert!(long.again(error, Repeatable::Yes).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_have_happened_is_not_repeated() {
        let policy = RetryPolicy::default();
        let once = Repeatable::OnlyIfNotHappened;
        assert_eq!(run(&policy, &broken(Happened::Maybe), once).await.0.attempts, 1);
        assert!(run(&policy, &broken(Happened::No), once).await.0.attempts > 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_org_is_asked_three_times_at_most() {
        let error = CallError::new("test", Kind::Refused, Happened::Refused).status(420);
        let (error, _) = run(&RetryPolicy::default(), &error, Repeatable::Yes).await;
        assert_eq!(error.attempts, 3);
    }

    #[test]
    fn retry_after_comes_in_many_shapes() {
        let now: jiff::Timestamp = "1994-11-06T08:49:07Z".parse().unwrap();
        let table = [
            ("30", Some(30)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ];
        for (header, seconds) in table {
            let read = parse_retry_after(header, now);
            assert_eq!(read, seconds.map(Duration::from_secs), "{header}");
        }
    }
}
