//! What a load takes of the org, told before it starts (I9), and what a person
//! should know of it.

use super::LoadRequest;
use crate::chunker::{ChunkSizing, Duplicates, Rehearsal};
use crate::domain::ROWS_PER_BATCH;
use crate::salesforce::{Limits, Org};
use crate::transformer::Plan;

/// What a load will take, before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// Rows to send.
    pub rows: u64,
    /// Whether `rows` was counted rather than estimated from the file's size.
    pub counted: bool,
    /// Jobs.
    pub jobs: u64,
    /// Batches of the daily allowance.
    pub batches: u64,
    /// API calls, about.
    pub api_calls: u64,
    /// Seconds, about: what the wire and a usual org take.
    pub seconds: u64,
}

/// What a load takes of one of the org's allowances (I9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// What is counted.
    pub of: &'static str,
    /// What the load takes, about.
    pub needed: u64,
    /// What the org still grants, less what `--reserve` leaves to others.
    pub remaining: u64,
}

/// What `--reserve` leaves to others of an allowance.
pub(super) const fn reserved(max: u64, percent: u8) -> u64 {
    max / 100 * percent as u64 + max % 100 * percent as u64 / 100
}

/// The allowances a load draws on, as far as the org tells.
pub(super) fn allowances(
    estimate: &Estimate,
    limits: Option<&Limits>,
    org: &Org,
    reserve: u8,
) -> Vec<Allowance> {
    let left = |remaining: u64, max: u64| remaining.saturating_sub(reserved(max, reserve));
    let batches =
        limits.and_then(Limits::daily_bulk_batches).map(|limit| left(limit.remaining, limit.max));
    // Every reply tells of calls, also to users who may not read the limits.
    let calls = limits
        .and_then(Limits::daily_api_requests)
        .map(|limit| left(limit.remaining, limit.max))
        .or_else(|| org.usage().daily_calls.map(|(used, max)| left(max.saturating_sub(used), max)));
    [("batches", estimate.batches, batches), ("API calls", estimate.api_calls, calls)]
        .into_iter()
        .filter_map(|(of, needed, remaining)| Some(Allowance { of, needed, remaining: remaining? }))
        .collect()
}

/// Reckons what a load takes.
pub(super) fn estimate(
    request: &LoadRequest,
    survey: Option<&Rehearsal>,
    bytes: u64,
    sizing: &ChunkSizing,
) -> Estimate {
    let (rows, jobs, batches) = match survey {
        Some(survey) => (survey.sent, survey.jobs, survey.batches),
        None => {
            // 200 bytes a row is what rows of common objects come to.
            let rows = request.limit.map_or(bytes / 200, |limit| limit.min(bytes / 200));
            let jobs = rows.div_ceil(sizing.rows).max(bytes.div_ceil(sizing.max_bytes.max(1)));
            (rows, jobs, jobs * rows.div_ceil(jobs.max(1)).div_ceil(ROWS_PER_BATCH))
        }
    };
    Estimate {
        rows,
        counted: survey.is_some(),
        jobs,
        batches,
        // Create, upload, close, three result sets, and some ten questions.
        api_calls: jobs * 16 + 6,
        // A usual org takes 5,000 to 20,000 rows a second of a plain object.
        seconds: rows / 10_000 + jobs,
    }
}

/// What a person should know before saying yes.
pub(super) fn notes(
    plan: &Plan,
    survey: Option<&Rehearsal>,
    duplicates: Option<Duplicates>,
    has_limits: bool,
    allowances: &[Allowance],
) -> Vec<String> {
    let mut notes: Vec<String> = plan.notes.clone();
    if let Some(survey) = survey {
        notes.extend(found(survey));
    } else {
        notes.push(
            "the source is over 1 GB and was not split through first; --scan does that".to_owned(),
        );
    }
    if !has_limits {
        notes.push(
            "this user may not read the org's limits; they are watched on the way".to_owned(),
        );
    }
    for allowance in allowances {
        if allowance.needed.saturating_mul(2) > allowance.remaining {
            notes.push(format!(
                "takes about {} of the {} {} the org still grants in these 24 hours",
                allowance.needed, allowance.remaining, allowance.of
            ));
        }
    }
    if survey.is_none() && plan.key.is_some() && duplicates.is_none() {
        notes.push(
            "rows of a chunk that share their key will be rejected (--duplicates reject)"
                .to_owned(),
        );
    }
    notes
}

/// What the rehearsal found that a person should know (I7, I11).
fn found(survey: &Rehearsal) -> Vec<String> {
    let mut notes = Vec::new();
    let changes = &survey.changes;
    let mut tell = |count: u64, one: &str, many: &str| match count {
        0 => {}
        1 => notes.push(format!("1 {one}")),
        count => notes.push(format!("{count} {many}")),
    };
    tell(
        survey.rejected,
        "row will not be sent; rejected.csv will say why",
        "rows will not be sent; rejected.csv will say why",
    );
    tell(
        changes.line_ends,
        "cell has a line end that becomes that of the file",
        "cells have line ends that become those of the file",
    );
    tell(
        changes.booleans,
        "word in a boolean field is sent as true or false",
        "words in boolean fields are sent as true or false",
    );
    tell(
        changes.requoted,
        "cell with a quote inside is sent in quotes",
        "cells with a quote inside are sent in quotes",
    );
    tell(
        changes.na_cells,
        "cell is #N/A and clears its field",
        "cells are #N/A and clear their fields",
    );
    tell(
        changes.truncated,
        "value is cut to the length that the mapping says",
        "values are cut to the length that the mapping says",
    );
    tell(changes.cleared, "empty cell clears its field", "empty cells clear their fields");
    notes
}
