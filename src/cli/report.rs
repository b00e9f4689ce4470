//! The `report` command: the summary of a run, of one that did not end made
//! from its ledger.

use std::path::Path;

use clap::Args;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{CliError, Context, Exit, export, run_name};
use crate::domain::error_chain;
use crate::ledger::{FILE_NAME, Ledger, LedgerError};
use crate::pipeline::{
    Account, AccountError, RunEntry, RunFolder, RunNameError, RunState, resolve,
};
use crate::report::{SUMMARY_FILE, Summary, Telling, render_as};

mod jobs;
mod rebuilt;

/// The `report` command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bulkhaul report
  bulkhaul report 20260301-101500-3f2a --failures
  bulkhaul report latest --json | jq .rows

Exit code 0 means that the report was shown, whatever the run came to; that is
in the report itself (exit_code).")]
pub struct ReportArgs {
    /// A run id, a run folder, or `latest`
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// List every kind of failure, not just the most frequent
    #[arg(long)]
    failures: bool,
    /// List the jobs
    #[arg(long)]
    jobs: bool,
}

/// Shows a run that is complete, and sees to its summary.json: the process may
/// have died between the run's end and that file.
pub(super) fn again(folder: &Path, context: &Context) -> Result<(), CliError> {
    let name = folder.to_string_lossy();
    let told = find(Some(&name), context)?;
    if !folder.join(SUMMARY_FILE).is_file() {
        told.summary.write(folder).map_err(|error| {
            CliError::repair("summary", "the summary can't be kept").caused_by(&error)
        })?;
    }
    let args = ReportArgs { run: Some(name.into_owned()), failures: false, jobs: false };
    run(args, context).map(drop)
}

/// What is told of a run.
struct Told {
    summary: Summary,
    /// The summary as a machine reads it.
    json: Value,
    /// How the run stands; `None` when its ledger can't be read.
    state: Option<RunState>,
    from_ledger: bool,
}

pub(super) fn run(args: ReportArgs, context: &Context) -> Result<Exit, CliError> {
    if let Ok(folder) = resolve(&context.global.runs_dir, args.run.as_deref())
        && export::is_export(&folder)
    {
        return export::report(&folder, context);
    }
    let told = find(args.run.as_deref(), context)?;
    if context.global.json {
        context.print_json(&told.json)?;
        return Ok(Exit::Success);
    }
    let telling = Telling {
        sentence: told.state.and_then(|state| rebuilt::sentence(state, &told.summary)),
        all_failures: args.failures,
        from_ledger: told.from_ledger,
    };
    let mut text = render_as(&told.summary, &telling, context.colour_on_stdout());
    let fitted = context.stdout_is_terminal();
    if args.jobs {
        text += &jobs::all(&told.summary.jobs, fitted);
    } else if told.state.is_some_and(|state| state != RunState::Completed) {
        text += &jobs::open(&told.summary.jobs, fitted);
    }
    context.print(&text)?;
    Ok(Exit::Success)
}

/// Finds the run and what is known of it.
fn find(name: Option<&str>, context: &Context) -> Result<Told, CliError> {
    let folder = match resolve(&context.global.runs_dir, name) {
        Ok(folder) => folder,
        Err(error) => {
            let lost = match &error {
                RunNameError::NoLedger { folder } => {
                    let path = folder.join(FILE_NAME);
                    Some((folder, error_chain(&LedgerError::Missing { path })))
                }
                RunNameError::Unreadable { folder, source } => Some((folder, error_chain(source))),
                _ => None,
            };
            // The summary of a run that ended outlives its ledger.
            if let Some((folder, why)) = lost
                && let Some(stored) = Stored::read(folder)
            {
                return Ok(stored.without_ledger(&why));
            }
            return Err(run_name::refusal(&error));
        }
    };
    let unreadable = |error: LedgerError| run_name::ledger_error(&error, &folder);
    let entry = RunEntry::look(&folder).map_err(unreadable)?;
    if let Some(stored) = Stored::read(&folder).filter(|stored| stored.is_of(&entry)) {
        return Ok(stored.of(&entry));
    }
    let run_folder = RunFolder::open(&folder).map_err(|(path, error)| {
        CliError::repair("local", format!("{} can't be read", path.display())).caused_by(&error)
    })?;
    let ledger = Ledger::open_read_only(&run_folder.ledger()).map_err(unreadable)?;
    let account = Account::read(&ledger, &run_folder).map_err(|error| match error {
        AccountError::Ledger(error) => run_name::ledger_error(&error, &folder),
        error => {
            CliError::repair("outcomes", "the run has no whole account").caused_by(&error).hint(
                "While the org keeps the results of that job, 7 days from its end, they can be \
             fetched again; success.csv, failed.csv and their siblings may have these rows, too.",
            )
        }
    })?;
    let chunks = ledger.chunks().map_err(unreadable)?;
    let attempts = ledger.attempts().map_err(unreadable)?;
    let summary = rebuilt::summary(&entry, account, &chunks, &attempts);
    let mut json = json!(summary);
    // What nobody knows is not zero.
    for unknown in ["api_calls", "bytes_downloaded"] {
        json[unknown] = Value::Null;
    }
    annotate(&mut json, Some(entry.state), true);
    Ok(Told { summary, json, state: Some(entry.state), from_ledger: true })
}

/// Adds what a report has beyond a summary.
fn annotate(json: &mut Value, state: Option<RunState>, from_ledger: bool) {
    let interim = matches!(state, Some(RunState::Running | RunState::Died));
    json["state"] = json!(state.map_or("unreadable", RunState::as_str));
    json["interim"] = json!(interim);
    json["from_ledger"] = json!(from_ledger);
}

/// summary.json as it is found.
struct Stored {
    summary: Summary,
    json: Value,
}

impl Stored {
    /// `None` when there is none, or none that is whole.
    fn read(folder: &Path) -> Option<Stored> {
        let text = std::fs::read(folder.join(SUMMARY_FILE)).ok()?;
        let json: Value = serde_json::from_slice(&text).ok().filter(Value::is_object)?;
        let summary = Summary::deserialize(&json).ok()?;
        Some(Stored { summary, json })
    }

    /// Whether it tells of the last end of the run: one that was taken up again
    /// has a later one, or none yet.
    fn is_of(&self, entry: &RunEntry) -> bool {
        let summary = &self.summary;
        entry.state != RunState::Running
            && entry.run.end.is_some_and(|end| {
                summary.run_id == entry.id()
                    && summary.exit_code == end.exit_code
                    && summary.status.as_str() == end.status.as_str()
                    // Its times are cut to milliseconds.
                    && summary.finished_at.as_second() >= end.at.as_second() - 1
            })
    }

    fn of(mut self, entry: &RunEntry) -> Told {
        annotate(&mut self.json, Some(entry.state), false);
        Told {
            summary: self.summary,
            json: self.json,
            state: Some(entry.state),
            from_ledger: false,
        }
    }

    fn without_ledger(mut self, why: &str) -> Told {
        let note = format!("this is the summary as it was written; {why}");
        if let Some(notes) = self.json.get_mut("notes").and_then(Value::as_array_mut) {
            notes.push(json!(note));
        }
        self.summary.notes.push(note);
        annotate(&mut self.json, None, false);
        Told { summary: self.summary, json: self.json, state: None, from_ledger: false }
    }
}
