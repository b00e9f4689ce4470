//! What the org still grants ("Limits", REST API guide). The figures lag
//! behind reality by minutes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::connection::Call;
use super::error::CallError;
use super::org::Org;

/// One allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Granted, mostly per rolling 24 hours.
    pub max: u64,
    /// Left of it; orgs that may overrun show 0.
    pub remaining: u64,
}

impl Limit {
    /// Used of it.
    pub const fn used(&self) -> u64 {
        self.max.saturating_sub(self.remaining)
    }

    /// Used share in percent; nothing granted counts as all used.
    pub fn used_percent(&self) -> f64 {
        if self.max == 0 { 100.0 } else { self.used() as f64 * 100.0 / self.max as f64 }
    }
}

/// All allowances the org tells of, by its names for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Limits(pub BTreeMap<String, Limit>);

impl Limits {
    /// The allowance of this name.
    pub fn get(&self, name: &str) -> Option<Limit> {
        self.0.get(name).copied()
    }

    /// API calls, all users together.
    pub fn daily_api_requests(&self) -> Option<Limit> {
        self.get("DailyApiRequests")
    }

    /// Ingest batches, shared with Bulk API 1.0; each started 10,000 rows of
    /// a job is one.
    pub fn daily_bulk_batches(&self) -> Option<Limit> {
        self.get("DailyBulkApiBatches")
    }

    /// Data storage in MB.
    pub fn data_storage_mb(&self) -> Option<Limit> {
        self.get("DataStorageMB")
    }
}

impl Org {
    /// Reads the allowances.
    ///
    /// # Errors
    /// 403 when the user lacks "View Setup and Configuration"; then only
    /// [`super::Usage::daily_calls`] tells something (I9).
    pub async fn limits(&self) -> Result<Limits, CallError> {
        let reply: BTreeMap<String, Value> =
            self.connection().fetch(&Call::get("read the limits", self.path("limits"))).await?;
        Ok(from_reply(&reply))
    }
}

/// Takes `{"Max": n, "Remaining": n}`; further members (per-app figures) and
/// entries of another shape are left out.
fn from_reply(reply: &BTreeMap<String, Value>) -> Limits {
    let number = |entry: &Value, name| {
        let value = entry.get(name)?;
        // Overrun allowances have been seen below zero.
        value.as_u64().or_else(|| value.as_i64().map(|_| 0))
    };
    Limits(
        reply
            .iter()
            .filter_map(|(name, entry)| {
                let max = number(entry, "Max")?;
                Some((name.clone(), Limit { max, remaining: number(entry, "Remaining")? }))
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_and_odd_entries_are_passed_over() {
        let reply = serde_json::from_str(
            r#"{"DailyApiRequests":{"Max":100,"Remaining":75,"Some App":{"Max":0,"Remaining":0}},
                "DailyBulkApiBatches":{"Max":15000,"Remaining":-3},"Odd":7,"Half":{"Max":1}}"#,
        )
        .unwrap();
        let limits = from_reply(&reply);
        assert_eq!(limits.0.len(), 2);
        let calls = limits.daily_api_requests().unwrap();
        assert_eq!((calls.used(), calls.used_percent()), (25, 25.0));
        assert_eq!(limits.daily_bulk_batches().unwrap().remaining, 0);
    }
}
