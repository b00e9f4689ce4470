//! `limits`, `limits/recordCount`, and the count of API calls behind them
//! (protocol notes, section 6).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value as Json, json};

use super::errors::{ApiError, json_reply};
use super::state::OrgState;

/// Milliseconds a call counts.
const WINDOW: i64 = 86_400_000;

/// Calls are kept by stretches of this many milliseconds: 288 of them.
const STRETCH: i64 = 300_000;

/// API calls within the last 24 hours of the org's clock, to five minutes.
/// Kept in memory: a restart forgets them.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<VecDeque<(i64, u64)>>);

impl Calls {
    /// Counts a call unless `most` were made; gives whether it was counted.
    pub(crate) fn count(&self, now: i64, most: u64) -> bool {
        let mut stretches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forget(&mut stretches, now);
        if stretches.iter().map(|(_, calls)| calls).sum::<u64>() >= most {
            return false;
        }
        let stretch = now.div_euclid(STRETCH);
        match stretches.back_mut() {
            // A clock that was turned back goes on in the newest stretch.
            Some((last, calls)) if *last >= stretch => *calls += 1,
            _ => stretches.push_back((stretch, 1)),
        }
        true
    }

    /// Calls that count now.
    pub(crate) fn used(&self, now: i64) -> u64 {
        let mut stretches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forget(&mut stretches, now);
        stretches.iter().map(|(_, calls)| calls).sum()
    }
}

fn forget(stretches: &mut VecDeque<(i64, u64)>, now: i64) {
    let oldest = (now - WINDOW).div_euclid(STRETCH);
    while stretches.front().is_some_and(|(stretch, _)| *stretch < oldest) {
        stretches.pop_front();
    }
}

/// Limits nothing here draws on, at what a Developer Edition shows.
const UNUSED: [(&str, u64); 15] = [
    ("ActiveScratchOrgs", 3),
    ("ConcurrentAsyncGetReportInstances", 200),
    ("ConcurrentSyncReportRuns", 20),
    ("DailyAsyncApexExecutions", 250_000),
    ("DailyAsyncApexTests", 500),
    ("DailyDurableStreamingApiEvents", 10_000),
    ("DailyGenericStreamingApiEvents", 10_000),
    ("DailyScratchOrgs", 6),
    ("DailyStreamingApiEvents", 10_000),
    ("DailyWorkflowEmails", 390),
    ("FileStorageMB", 1024),
    ("HourlyAsyncReportRuns", 1200),
    ("HourlyTimeBasedWorkflow", 50),
    ("MassEmail", 10),
    ("SingleEmail", 15),
];

/// `GET /limits`.
pub(crate) async fn limits(State(state): State<Arc<OrgState>>) -> Result<Response, ApiError> {
    let mut body = Map::new();
    let mut put = |name: &str, max: u64, used: u64| {
        body.insert(name.to_owned(), json!({"Max": max, "Remaining": max.saturating_sub(used)}));
    };
    let (calls, most_calls) = state.api_calls();
    put("DailyApiRequests", most_calls, calls);
    let (batches, most_batches) = (state.ingest.batches_used(), state.settings.daily_batches);
    put("DailyBulkApiBatches", most_batches, batches);
    let (jobs, result_megabytes) = state.bulk_query.used();
    put("DailyBulkV2QueryFileStorageMB", state.settings.daily_query_megabytes, result_megabytes);
    put("DailyBulkV2QueryJobs", state.settings.daily_query_jobs, jobs);
    let (megabytes, most_megabytes) = state.storage_megabytes()?;
    put("DataStorageMB", most_megabytes, megabytes);
    for (name, max) in UNUSED {
        put(name, max, 0);
    }
    Ok(json_reply(StatusCode::OK, &Json::Object(body)))
}

/// `GET /limits/recordCount?sObjects=A,B`: all objects when none is named;
/// unknown names are left out, deleted records are not counted.
pub(crate) async fn record_count(
    State(state): State<Arc<OrgState>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let form = super::form::Form::parse(query.unwrap_or_default().as_bytes());
    let objects: Vec<_> = match form.get("sObjects") {
        Some(names) => {
            names.split(',').filter_map(|name| state.catalogue.object(name.trim())).collect()
        }
        None => state.catalogue.objects().collect(),
    };
    let mut counts = Vec::with_capacity(objects.len());
    for object in objects {
        let count = state.store.count(object, false).map_err(|error| ApiError::internal(&error))?;
        counts.push(json!({"count": count, "name": object.name}));
    }
    Ok(json_reply(StatusCode::OK, &json!({"sObjects": counts})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_run_down_and_come_back_after_a_day() {
        let calls = Calls::default();
        assert!((0..3).all(|n| calls.count(n * STRETCH, 3)));
        assert!(!calls.count(3 * STRETCH, 3));
        assert_eq!(calls.used(3 * STRETCH), 3);
        assert_eq!(calls.used(WINDOW + STRETCH), 2);
        assert!(calls.count(WINDOW + STRETCH, 3));
        assert_eq!(calls.used(3 * WINDOW), 0);
    }
}
