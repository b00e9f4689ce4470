//! The org's clock: real time plus an offset that tests move, so that what
//! takes a day (expiry of open jobs, the rolling allowance) can be seen at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the org's time; copies share their offset.
///
/// Only what the protocol dates goes by it. The worker's pacing is real time.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// A clock that shows real time.
    pub fn new() -> Clock {
        Clock::default()
    }

    /// Milliseconds since 1970 in UTC.
    pub fn now_ms(&self) -> i64 {
        let real = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            // A machine set to before 1970: the epoch will do.
            Err(_) => 0,
        };
        real.saturating_add(self.offset_ms.load(Ordering::Relaxed))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.shift(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    }

    /// Moves the clock by milliseconds, backwards when there are fewer than none.
    pub(crate) fn shift(&self, by_ms: i64) {
        self.offset_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_move_together() {
        let clock = Clock::new();
        let copy = clock.clone();
        let before = copy.now_ms();
        clock.advance(Duration::from_hours(24));
        let moved = copy.now_ms() - before;
        assert!((86_400_000..86_460_000).contains(&moved), "moved by {moved} ms");
    }
}
