//! What the org counts, beside what was exported.

use serde::{Deserialize, Serialize};

use super::soql;
use crate::exporter::manifest::Counted;
use crate::salesforce::{CallError, Org, QueryScope};

/// How the records of an object compare with the org's own counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountVerdict {
    /// The counts are those of the records.
    Equal,
    /// They differ, and records were created, changed or deleted meanwhile.
    Explained,
    /// They differ, and nothing explains it.
    Different,
}

impl CountVerdict {
    /// The word shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            CountVerdict::Equal => "equal",
            CountVerdict::Explained => "explained",
            CountVerdict::Different => "different",
        }
    }
}

/// Counts what a query finds; `None` where it can't be counted.
pub(super) async fn count(
    org: &Org,
    query: &str,
    all_records: bool,
) -> Result<Option<u64>, CallError> {
    let Some(counting) = soql::counting(query) else { return Ok(None) };
    count_by(org, &counting, all_records).await.map(Some)
}

async fn count_by(org: &Org, counting: &str, all_records: bool) -> Result<u64, CallError> {
    let scope = if all_records { QueryScope::All } else { QueryScope::Live };
    let page = org.query(counting, scope).next_page().await?;
    Ok(page.map_or(0, |page| page.total))
}

/// Compares. Records that changed since the beginning are asked for only when
/// the counts differ.
pub(super) async fn compare(
    org: &Org,
    query: &str,
    counted: Counted,
    rows: u64,
    changed_by: Option<&str>,
    since: jiff::Timestamp,
) -> Result<CountVerdict, CallError> {
    if counted.before == rows && counted.after == rows {
        return Ok(CountVerdict::Equal);
    }
    let Some(counting) = soql::counting(query) else { return Ok(CountVerdict::Different) };
    let Some(field) = changed_by else { return Ok(CountVerdict::Different) };
    // Deleting a record changes it, too. Clocks may differ by a little.
    let since = since - jiff::SignedDuration::from_mins(2);
    let changed = soql::restricted(&counting, &format!("{field} >= {since:.0}"));
    let changed = count_by(org, &changed, true).await?;
    Ok(if changed > 0 { CountVerdict::Explained } else { CountVerdict::Different })
}
