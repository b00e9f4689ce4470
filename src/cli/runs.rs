//! The `runs` command: which runs there are, and how each stands.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use comfy_table::CellAlignment;
use serde_json::{Value, json};

use super::{CliError, Context, Exit, table};
use crate::domain::error_chain;
use crate::ledger::LedgerError;
use crate::pipeline::{RunEntry, RunState, Runs, original_path};
use crate::report::RowCounts;
use crate::report::format::{count, thousands};

mod prune;

/// The `runs` command.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  bulkhaul runs
  bulkhaul runs --json | jq -r '.runs[] | select(.resumable) | .id'
  bulkhaul runs prune --older-than 30d --dry-run

A run is running, died (its process ended without a word), interrupted, failed
(something had to be repaired), stopped (at a limit you set) or completed.
`bulkhaul resume` goes on with the second to the fifth kind."
)]
pub struct RunsArgs {
    /// Show this many runs at most, the newest; a table ends at 20 without it
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// What to do besides listing
    #[command(subcommand)]
    action: Option<RunsAction>,
}

#[derive(Debug, Subcommand)]
enum RunsAction {
    /// Delete the folders of runs that completed long ago
    Prune(prune::PruneArgs),
}

/// Runs a table shows without `--limit`.
const TABLE_RUNS: usize = 20;

pub(super) fn run(args: RunsArgs, context: &Context) -> Result<Exit, CliError> {
    if let Some(RunsAction::Prune(prune)) = args.action {
        return prune::run(prune, context);
    }
    let found = list(context)?;
    let most = match args.limit {
        Some(limit) => limit,
        None if context.global.json => usize::MAX,
        None => TABLE_RUNS,
    };
    if context.global.json {
        context.print_json(&as_json(&found, most))?;
    } else {
        context.print(&as_text(&found, most, context))?;
    }
    // A list in which nothing can be read is no answer.
    let nothing = found.runs.is_empty() && !found.unreadable.is_empty();
    Ok(if nothing { Exit::Repair } else { Exit::Success })
}

/// The runs of `--runs-dir`.
fn list(context: &Context) -> Result<Runs, CliError> {
    let dir = &context.global.runs_dir;
    Runs::list(dir).map_err(|error| {
        CliError::repair("local", format!("{} can't be listed", dir.display()))
            .caused_by(&error)
            .hint("Check --runs-dir, and the rights of that folder.")
    })
}

/// What is told of a run that can't be read.
fn reason(error: &LedgerError) -> String {
    error_chain(error)
}

fn as_json(found: &Runs, most: usize) -> Value {
    let unreadable = found.unreadable.iter().map(|(folder, error)| {
        json!({
            "id": folder.file_name().unwrap_or_default().to_string_lossy(),
            "folder": folder,
            "state": "unreadable",
            "resumable": false,
            "reason": reason(error),
            "hint": error.advice(),
        })
    });
    let runs: Vec<Value> =
        found.runs.iter().take(most).map(entry_as_json).chain(unreadable).collect();
    json!({
        "command": "runs",
        "runs": runs,
        "left_out": found.runs.len().saturating_sub(most),
    })
}

fn entry_as_json(entry: &RunEntry) -> Value {
    let run = &entry.run.run;
    // How many rows were sent takes the attempts; `report` tells.
    let mut rows = json!(RowCounts::new(&entry.tally, 0));
    if let Some(rows) = rows.as_object_mut() {
        rows.remove("sent");
    }
    json!({
        "id": run.id,
        "folder": entry.folder,
        "state": entry.state.as_str(),
        "resumable": entry.state.is_resumable(),
        "exit_code": entry.run.end.map(|end| end.exit_code),
        "command": run.command,
        "object": run.object,
        "operation": run.operation,
        "external_id": run.external_id,
        "org": { "id": run.org.id, "name": run.org.name, "production": run.org.production },
        "started_at": format!("{:.3}", run.started_at),
        "finished_at": entry.run.end.map(|end| format!("{:.3}", end.at)),
        "parent_run": run.parent_run,
        "sources": entry.sources.iter().map(|source| json!({
            "path": original_path(source), "bytes": source.bytes, "rows": source.rows,
        })).collect::<Vec<_>>(),
        "rows": rows,
    })
}

fn as_text(found: &Runs, most: usize, context: &Context) -> String {
    if found.runs.is_empty() && found.unreadable.is_empty() {
        return format!("no runs in {}\n", context.global.runs_dir.display());
    }
    let shown = &found.runs[..found.runs.len().min(most)];
    let mut text = String::new();
    if !shown.is_empty() {
        text = format!("{}\n", listed(shown, context.stdout_is_terminal()).trim_fmt());
    }
    let hidden = found.runs.len() - shown.len();
    if hidden > 0 {
        let hidden = count(hidden as u64, "run");
        let _ = writeln!(text, "{hidden} more with --limit {}", found.runs.len());
    }
    for (folder, error) in &found.unreadable {
        let told = format!("unreadable: {}: {}", folder.display(), reason(error));
        let _ = writeln!(text, "{}", table::harmless(&told).replace('\n', " "));
    }
    text
}

/// Columns that have a place in the table only when a run has such rows.
type Rare = (&'static str, fn(&RunEntry) -> u64);
const RARE: [Rare; 4] = [
    ("Rejected", |run| run.tally.rejected),
    ("Unprocessed", |run| run.tally.unprocessed),
    ("Disputed", |run| run.tally.disputed),
    ("Pending", |run| run.tally.pending()),
];

fn listed(runs: &[RunEntry], fitted: bool) -> comfy_table::Table {
    let rare: Vec<Rare> =
        RARE.into_iter().filter(|(_, count)| runs.iter().any(|run| count(run) > 0)).collect();
    let words = ["Run", "State", "Started (UTC)", "What", "Org", "Source"];
    let mut header = words.to_vec();
    header.extend(["Read", "Succeeded", "Failed"]);
    header.extend(rare.iter().map(|(name, _)| *name));
    let mut table = table::new(&header, fitted);
    for run in runs {
        let record = &run.run.run;
        let sources: Vec<String> = run
            .sources
            .iter()
            .map(|source| {
                let path = original_path(source);
                path.file_name().unwrap_or_default().to_string_lossy().into_owned()
            })
            .collect();
        let org = if record.org.production { " (production)" } else { "" };
        let mut cells = vec![
            record.id.clone(),
            run.state.as_str().to_owned(),
            record.started_at.strftime("%Y-%m-%d %H:%M").to_string(),
            record.what(),
            format!("{}{org}", record.org.name),
            sources.join(", "),
        ];
        let counts = [run.tally.read, run.tally.succeeded(), run.tally.failed];
        cells.extend(counts.map(thousands));
        cells.extend(rare.iter().map(|(_, count)| thousands(count(run))));
        table.add_row(cells.iter().map(|cell| table::harmless(cell)));
    }
    for column in words.len()..header.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Whether a state is one that nobody has to look at again.
const fn is_done(state: RunState) -> bool {
    matches!(state, RunState::Completed)
}
