//! The `retry` command: a new run of the rows that did not succeed.

use std::path::{Path, PathBuf};

use clap::Args;

use super::context::ProgressView;
use super::load::{DuplicateRows, ask, banner, kept, not_run, refusal, secrets, signals, summary};
use super::override_args::OverrideArgs;
use super::progress::{self, Progress};
use super::resume::{as_the_run_began, refusal as run_refusal};
use super::{CliError, Context, Exit, export, org, run_name};
use crate::chunker::Duplicates;
use crate::domain::{Event, error_chain};
use crate::pipeline::{self, CorrectionError, OpenRun, RetryError, RetryWish, RunFolder, Stop};
use crate::report::format::count;
use crate::salesforce::{ConnectOptions, Org};

/// Make a new run of the rows of a run that did not succeed
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bulkhaul retry 20261123-221809-57f5
  bulkhaul retry latest --with bulkhaul-runs/20261123-221809-57f5/failed.csv

  Takes up the rows that failed, were not processed or are disputed, and of an
  aborted run those that were never sent. Object, operation and columns are
  those of the run. --with names a file with corrected values, an edited
  failed.csv or rejected.csv mostly; then only the rows in it go.

Exit codes: those of load.")]
pub struct RetryArgs {
    /// Run id, run folder or `latest`
    #[arg(value_name = "RUN")]
    run: String,
    /// A CSV file with corrected values, joined by its column `bulkhaul__Row`
    #[arg(long, value_name = "FILE")]
    with: Option<PathBuf>,
    /// Send disputed rows of an insert again, too; they may be doubled
    #[arg(long)]
    include_disputed: bool,
    /// Retry rows that an earlier retry has saved
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    overrides: OverrideArgs,
    /// What happens with rows that share a key inside one chunk
    #[arg(long, value_enum, value_name = "WHAT")]
    duplicates: Option<DuplicateRows>,
    /// Refuse any other org: its id, `production` or `sandbox`
    #[arg(long, value_name = "ID|production|sandbox")]
    expect_org: Option<String>,
}

impl RetryArgs {
    fn wish(&self, runs_dir: &Path) -> RetryWish {
        RetryWish {
            with: self.with.clone(),
            include_disputed: self.include_disputed,
            again: self.again,
            runs_dir: runs_dir.to_owned(),
            lanes: self.overrides.parallel.map(usize::from),
            max_wait: self.overrides.max_wait,
            row_attempts: self.overrides.row_attempts,
            max_failures: self.overrides.max_failures,
            reserve: self.overrides.reserve,
            duplicates: self.duplicates.map(Duplicates::from),
            secrets: secrets(),
        }
    }
}

pub(super) fn run(args: &RetryArgs, context: &Context) -> Result<Exit, CliError> {
    let folder = pipeline::resolve(&context.global.runs_dir, Some(&args.run))
        .map_err(|error| run_name::refusal(&error))?;
    if export::is_export(&folder) {
        return Err(export::for_loads_only("retry", &folder));
    }
    let parent = OpenRun::open(&folder).map_err(|error| run_refusal(&error, &folder))?;
    // Made by the opening, and not wanted here.
    parent.folder().tidy();
    let context = &as_the_run_began(context, &parent);
    let runtime = context.runtime()?;
    runtime.block_on(async {
        let progress = progress::start(context);
        let options = ConnectOptions {
            lanes: args.overrides.parallel.map_or(parent.request().lanes, usize::from),
            events: progress.sink(),
            compressed_replies: parent.request().compress_upload.then_some(true),
            ..ConnectOptions::default()
        };
        let connected = org::connect(context, options).await?;
        let ended = Box::pin(go(args, parent, context, &connected.org, &progress)).await;
        connected.close().await;
        ended?.close(progress, context)
    })
}

async fn go(
    args: &RetryArgs,
    parent: OpenRun,
    context: &Context,
    org: &Org,
    progress: &Progress,
) -> Result<summary::Ended, CliError> {
    if let Some(expected) = &args.expect_org {
        org::check_expected(org.identity(), expected)?;
    }
    let parent_folder = parent.folder().path().to_owned();
    let wish = args.wish(&context.global.runs_dir);
    let prepared = pipeline::prepare_retry(parent, wish, org.clone(), progress.sink())
        .await
        .map_err(|error| refused(&error, &parent_folder))?;
    progress.clear();
    let banner = banner::text(&prepared);
    context.say(&banner);
    if context.progress_view() == ProgressView::Json {
        progress.sink().announce(Event::Note { text: banner });
    }
    ask(args.expect_org.as_deref(), context, &prepared)?;
    let folder = RunFolder::create(&context.global.runs_dir).map_err(|(path, error)| {
        CliError::refused("run-folder", format!("{} can't be made: {error}", path.display()))
            .hint("Name another place with --runs-dir.")
    })?;
    let stop = Stop::default();
    signals::watch(&stop);
    let facts = summary::Facts::of(&prepared, &folder);
    let ended = pipeline::load(prepared, folder, kept(context), progress.sink(), stop).await;
    let end = ended.map_err(|error| not_run(&error, &facts.folder))?;
    Ok(summary::build(&facts, end, org))
}

/// Why a run can't be retried, as a person reads it. Nothing was sent.
fn refused(error: &RetryError, folder: &Path) -> CliError {
    let refused = |code| CliError::refused(code, error_chain(error));
    match error {
        RetryError::Run(error) => run_refusal(error, folder),
        RetryError::Preflight(error) => refusal::of(error),
        RetryError::NotEnded { id } => refused("not-ended").hint(format!(
            "`bulkhaul resume {id}` brings it there; `bulkhaul abort {id}` closes it as it is."
        )),
        RetryError::Nothing { left, .. } => refused("nothing-to-retry").hint(nothing(*left)),
        RetryError::Unfinished { id } => refused("already-retried").hint(format!(
            "`bulkhaul resume {id}` goes on with it. --again retries the rows all the same."
        )),
        RetryError::SavedSince { .. } => refused("already-retried").hint(
            "`bulkhaul runs` lists the retries (parent_run in --json). --again sends the rows a \
             second time; an insert then doubles them.",
        ),
        RetryError::Corrections(error) => refused("corrections").hint(match error {
            CorrectionError::UnknownColumns { .. } => {
                "Columns are those of the source; those that begin with sf__ or bulkhaul__ are \
                 passed over. Remove what doesn't belong there."
            }
            CorrectionError::NotToRetry { .. } => {
                "Leave in the file only rows that failed, were not processed, rejected or are \
                 disputed."
            }
            CorrectionError::TooMany { .. } => "Sort it, or split it into several files.",
            _ => "Take an edited failed.csv or rejected.csv of the run, with its bulkhaul__Row.",
        }),
        RetryError::Ledger(error) => run_name::ledger_error(error, folder),
        RetryError::Account(_) | RetryError::Outcomes(_) => refused("outcomes").hint(
            "An outcome file is damaged or missing. Put it back from a backup; success.csv and its \
             siblings tell the fate of the rows, too.",
        ),
        RetryError::Source(_) => refused("source"),
        RetryError::Io { .. } => {
            refused("run-folder").hint("Check the room on the disk and the rights of --runs-dir.")
        }
        RetryError::Interrupted => refused("run"),
    }
}

/// What is left of a run without rows to retry.
fn nothing(left: pipeline::Left) -> String {
    let mut told = Vec::new();
    if left.rejected > 0 {
        told.push(format!(
            "{} can be sent once corrected: mend rejected.csv and name it with --with.",
            count(left.rejected, "rejected row")
        ));
    }
    if left.disputed > 0 {
        told.push(format!(
            "{} may have been inserted: `bulkhaul resume --settle --key COLUMN,...` asks the org, \
             --include-disputed sends them again.",
            count(left.disputed, "disputed row")
        ));
    }
    if told.is_empty() {
        told.push("Every row succeeded, or stands in no file that was named.".to_owned());
    }
    told.join(" ")
}
