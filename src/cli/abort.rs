//! The `abort` command: ends a run's jobs and closes it with what was done.

use clap::Args;

use super::load::{broke_off, signals, summary};
use super::progress::{self, Progress};
use super::resume::{as_the_run_began, refusal};
use super::{CliError, Context, Exit, export, org, run_name};
use crate::pipeline::{self, OpenRun, Overrides, RowsRead, Stop};
use crate::report::format::count;
use crate::salesforce::{ConnectOptions, Org};

/// Abort the jobs of a run and close it with what was done
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  bulkhaul abort 20261123-221809-57f5

  Records that were saved stay saved. What the jobs had done is fetched and
  stands in the result files; rows that were never sent are in none of them.
  The run can't be resumed after that; `bulkhaul retry` makes a new run of the
  rows that did not succeed.

Exit codes: 0 the run is closed; 2 refused; 4 the org could not be reached, the
run is as it was.")]
pub struct AbortArgs {
    /// Run id, run folder or `latest`
    #[arg(value_name = "RUN")]
    run: String,
}

pub(super) fn run(args: AbortArgs, context: &Context) -> Result<Exit, CliError> {
    let folder = pipeline::resolve(&context.global.runs_dir, Some(&args.run))
        .map_err(|error| run_name::refusal(&error))?;
    if export::is_export(&folder) {
        return export::abort(&folder, context);
    }
    let open = OpenRun::open(&folder).map_err(|error| refusal(&error, &folder))?;
    open.check_unfinished().map_err(|error| refusal(&error, &folder))?;
    let context = &as_the_run_began(context, &open);
    let runtime = context.runtime()?;
    runtime.block_on(async {
        let progress = progress::start(context);
        let options = ConnectOptions {
            lanes: open.request().lanes,
            events: progress.sink(),
            ..ConnectOptions::default()
        };
        let connected = org::connect(context, options).await?;
        let ended = Box::pin(go(open, context, &connected.org, &progress)).await;
        connected.close().await;
        // A run that is closed did what was asked, whatever its own end.
        Ok(match ended?.close(progress, context)? {
            Exit::Success | Exit::RowsLeft | Exit::Stopped => Exit::Success,
            other => other,
        })
    })
}

async fn go(
    open: OpenRun,
    context: &Context,
    org: &Org,
    progress: &Progress,
) -> Result<summary::Ended, CliError> {
    let folder = open.folder().path().to_owned();
    let overrides = Overrides { rows: RowsRead::None, ..Overrides::default() };
    let prepared = open.prepare(org.clone(), overrides).await;
    let resumable = prepared.map_err(|error| refusal(&error, &folder))?;
    progress.clear();
    let run = &resumable.stored().run;
    let question = format!(
        "Abort run {} ({} in {}): {} of {} have no outcome yet. It can't be resumed after \
         that. Go on?",
        run.id,
        run.what(),
        run.org.name,
        resumable.rows_left(),
        count(resumable.account().tally.read, "row"),
    );
    // Without a terminal the command itself is the word.
    if context.has_terminal() && !context.confirm(&question)? {
        return Err(CliError::refused("confirmation", "not confirmed, nothing was done"));
    }
    let stop = Stop::default();
    signals::watch(&stop);
    let facts = summary::Facts::taken_up(&resumable);
    let end = pipeline::close(resumable, progress.sink(), stop)
        .await
        .map_err(|error| broke_off(&error, &facts.folder))?;
    Ok(summary::build(&facts, end, org))
}
