//! What the calls of this connection used: calls, bytes, and what the org
//! says is used of its daily calls (I9); and how often it pushed back.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// A reading of the counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Requests sent to the org that count against its daily API calls. Token
    /// requests and the list of versions don't count.
    pub calls: u64,
    /// Body bytes sent.
    pub bytes_up: u64,
    /// Body bytes received, after decompression.
    pub bytes_down: u64,
    /// Replies by which the org asked for a slower pace
    /// ([`CallError::is_push_back`](super::CallError::is_push_back)).
    pub push_backs: u64,
    /// Used and granted daily API calls by the last `Sforce-Limit-Info`.
    pub daily_calls: Option<(u64, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    calls: AtomicU64,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
    push_backs: AtomicU64,
    daily_calls: Mutex<Option<(u64, u64)>>,
}

impl Counters {
    pub(super) fn call(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    pub(super) fn up(&self, bytes: u64) {
        self.bytes_up.fetch_add(bytes, Relaxed);
    }

    pub(super) fn down(&self, bytes: u64) {
        self.bytes_down.fetch_add(bytes, Relaxed);
    }

    pub(super) fn push_back(&self) {
        self.push_backs.fetch_add(1, Relaxed);
    }

    pub(super) fn limit_info(&self, header: &str) {
        if let Some(usage) = parse_limit_info(header) {
            *self.daily_calls.lock().unwrap_or_else(PoisonError::into_inner) = Some(usage);
        }
    }

    pub(super) fn read(&self) -> Usage {
        Usage {
            calls: self.calls.load(Relaxed),
            bytes_up: self.bytes_up.load(Relaxed),
            bytes_down: self.bytes_down.load(Relaxed),
            push_backs: self.push_backs.load(Relaxed),
            daily_calls: *self.daily_calls.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// Reads `api-usage=18/5000`, which per-app figures may follow.
fn parse_limit_info(header: &str) -> Option<(u64, u64)> {
    let value = header.split([';', ',']).find_map(|part| part.trim().strip_prefix("api-usage="))?;
    let (used, max) = value.split_once('/')?;
    Some((used.trim().parse().ok()?, max.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_info_is_read_with_and_without_per_app_figures() {
        let table = [
            ("api-usage=18/5000", Some((18, 5000))),
            ("api-usage=25/5000; per-app-api-usage=17/250(appName=sample)", Some((25, 5000))),
            ("per-app-api-usage=17/250(appName=sample), api-usage=1/2", Some((1, 2))),
            ("api-usage=x/5000", None),
            ("", None),
        ];
        for (header, expected) in table {
            assert_eq!(parse_limit_info(header), expected, "{header}");
        }
    }
}
