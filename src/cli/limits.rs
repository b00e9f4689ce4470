//! The `limits` command: what the org still grants (I9).

use clap::Args;
use serde_json::json;

use super::org::{self, Phase, call_error};
use super::table;
use super::{CliError, Context, Exit};
use crate::salesforce::{Limit, Limits, Org};

/// The `limits` command.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bulkhaul limits --org local
  bulkhaul limits --org sf:prod --all

Most are for the last 24 hours. The org's figures lag behind by minutes.")]
pub struct LimitsArgs {
    /// Every limit the org tells of, not just those that loads and exports use
    #[arg(long)]
    pub all: bool,
}

/// What loads and exports use, the scarcest first, with what it counts.
const OURS: [(&str, &str); 7] = [
    ("DailyBulkApiBatches", "ingest batches (10,000 rows each)"),
    ("DailyApiRequests", "API calls"),
    ("DataStorageMB", "MB of records"),
    ("DailyBulkV2QueryJobs", "export jobs"),
    ("DailyBulkV2QueryFileStorageMB", "MB of export results"),
    ("DailyAsyncApexExecutions", "asynchronous Apex runs"),
    ("FileStorageMB", "MB of files"),
];

pub(super) fn run(args: LimitsArgs, context: &Context) -> Result<Exit, CliError> {
    context.runtime()?.block_on(async {
        let connected = org::connect(context, org::reading(context)).await?;
        let text = answer(&connected.org, args.all, context).await;
        connected.close().await;
        context.print(&text?)?;
        Ok(Exit::Success)
    })
}

async fn answer(org: &Org, all: bool, context: &Context) -> Result<String, CliError> {
    let limits = match org.limits().await {
        Ok(limits) => limits,
        // Without "View Setup and Configuration", replies still tell of calls.
        Err(error) if error.status == Some(403) && !error.is_allowance() => {
            let Some((used, max)) = org.usage().daily_calls else {
                let error = call_error(&error, Phase::Preflight);
                return Err(
                    error.hint("The user needs the permission \"View Setup and Configuration\".")
                );
            };
            let mut limits = Limits::default();
            let calls = Limit { max, remaining: max.saturating_sub(used) };
            limits.0.insert("DailyApiRequests".into(), calls);
            limits
        }
        Err(error) => return Err(call_error(&error, Phase::Preflight)),
    };
    if context.global.json {
        let identity = org.identity();
        let object = json!({"command": "limits", "org": identity, "limits": limits});
        return Ok(format!("{object}\n"));
    }
    Ok(render(&limits, all, context.stdout_is_terminal()))
}

fn render(limits: &Limits, all: bool, fitted: bool) -> String {
    let mut table = table::new(&["Limit", "Max", "Remaining", "Used", "Counts"], fitted);
    let mut add = |name: &str, limit: Limit, counts: &str| {
        table.add_row([
            table::harmless(name),
            grouped(limit.max),
            grouped(limit.remaining),
            format!("{:.1} %", limit.used_percent()),
            counts.to_owned(),
        ]);
    };
    let mut shown = 0;
    for (name, counts) in OURS {
        if let Some(limit) = limits.get(name) {
            add(name, limit, counts);
            shown += 1;
        }
    }
    let others = || limits.0.iter().filter(|(name, _)| !OURS.iter().any(|(own, _)| own == name));
    if all {
        for (name, limit) in others() {
            add(name, *limit, "");
        }
    }
    for column in 1..=3 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    let hidden = if all { 0 } else { others().count() };
    match (shown, hidden) {
        (_, 0) => format!("{}\n", table.trim_fmt()),
        (_, hidden) => format!("{}\n{hidden} more with --all\n", table.trim_fmt()),
    }
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_comes_first_and_the_rest_on_demand() {
        let limits = Limits(
            [
                ("ActiveScratchOrgs", 3, 3),
                ("DailyApiRequests", 115_000, 114_321),
                ("DailyBulkApiBatches", 15_000, 7_500),
            ]
            .into_iter()
            .map(|(name, max, remaining)| (name.to_owned(), Limit { max, remaining }))
            .collect(),
        );
        let text = render(&limits, false, false);
        let lines: Vec<&str> = text.lines().collect();
        let at = |word: &str| lines.iter().position(|line| line.contains(word));
        assert!(at("DailyBulkApiBatches") < at("DailyApiRequests"));
        assert!(text.contains("15,000") && text.contains("50.0 %") && text.contains("114,321"));
        assert_eq!(at("ActiveScratchOrgs"), None);
        assert!(text.ends_with("1 more with --all\n"));
        assert!(render(&limits, true, false).contains("ActiveScratchOrgs"));
    }

    #[test]
    fn thousands_are_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
