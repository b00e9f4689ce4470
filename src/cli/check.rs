//! The `check` command, and `--check` and `--dry-run` of `load`: every row
//! against what the org takes, nothing sent.

use std::path::{Path, PathBuf};

use clap::Args;

use super::load::asked::AskedArgs;
use super::load::{banner, check_usage, refusal};
use super::progress::{self, Progress};
use super::source_args;
use super::{CliError, Context, Exit, org};
use crate::chunker::Duplicates;
use crate::domain::error_chain;
use crate::pipeline::{self, CheckEnd, CheckError, CheckOptions, Prepared, StorageNeed};
use crate::salesforce::ConnectOptions;

mod told;

/// Check every row of a source against an object; nothing is sent
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  bulkhaul check accounts.csv --object Account --operation upsert \\
      --external-id Legacy_Id__c --org sf:my-sandbox --check-parents

  Takes the arguments of `bulkhaul load`. Tells by rule which rows would fail
  and which look damaged, and writes them to a file with the reasons.

Exit codes: 0 no row would fail, as far as is known; 3 some would; 2 the load
would be refused as a whole.")]
pub struct CheckArgs {
    #[command(flatten)]
    asked: AskedArgs,
    #[command(flatten)]
    checks: ChecksArgs,
    /// Count rows that only look damaged as wrong
    #[arg(long)]
    strict: bool,
}

/// How far a check goes.
#[derive(Debug, Clone, Args)]
pub(super) struct ChecksArgs {
    /// Ask the org whether the parents and records that rows name are there,
    /// and whether values that must be unique are not
    #[arg(long)]
    check_parents: bool,
    /// Where the offending rows go; default: check-SOURCE.csv in the folder of
    /// the runs
    #[arg(long, value_name = "FILE.csv")]
    rows: Option<PathBuf>,
}

impl ChecksArgs {
    /// Refuses the flags of a check where there is none.
    pub(super) fn refuse_without(&self, check: bool) -> Result<(), CliError> {
        let flag = match self {
            _ if check => return Ok(()),
            ChecksArgs { check_parents: true, .. } => "--check-parents",
            ChecksArgs { rows: Some(_), .. } => "--rows",
            _ => return Ok(()),
        };
        Err(CliError::refused("usage", format!("{flag} goes with --check or --dry-run")))
    }

    fn options(&self, asked: &AskedArgs, runs_dir: &Path) -> CheckOptions {
        let rows_file = self.rows.clone().unwrap_or_else(|| {
            let stem = asked.sources.first().and_then(|source| source.file_stem());
            let stem = stem.map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
            // Of a pattern or the standard input only what is a name.
            let is_name = |letter: &char| letter.is_alphanumeric() || "-_.".contains(*letter);
            let name: String = stem.chars().filter(is_name).collect();
            let name = if name.is_empty() || name == "-" { "source" } else { name.as_str() };
            runs_dir.join(format!("check-{name}.csv"))
        });
        CheckOptions {
            check_parents: self.check_parents,
            duplicates: asked.duplicates.map(Duplicates::from),
            rows_file,
        }
    }
}

pub(super) fn run(args: &CheckArgs, context: &Context) -> Result<Exit, CliError> {
    check_usage(&args.asked)?;
    rehearse(&args.asked, &args.checks, context, How { chunks: false, strict: args.strict })
}

/// `load --dry-run`: the check, and the chunks that would be made.
pub(super) fn dry_run(
    asked: &AskedArgs,
    checks: &ChecksArgs,
    context: &Context,
) -> Result<Exit, CliError> {
    rehearse(asked, checks, context, How { chunks: true, strict: false })
}

/// What is told, and what counts.
#[derive(Debug, Clone, Copy)]
struct How {
    chunks: bool,
    strict: bool,
}

fn rehearse(
    asked: &AskedArgs,
    checks: &ChecksArgs,
    context: &Context,
    how: How,
) -> Result<Exit, CliError> {
    let spooled = source_args::standard_input(&asked.sources, &context.global.runs_dir)?;
    let clock = std::time::Instant::now();
    context.runtime()?.block_on(async {
        let progress = progress::start(context);
        let options = ConnectOptions { events: progress.sink(), ..ConnectOptions::default() };
        let connected = org::connect(context, options).await?;
        let checked = Box::pin(async {
            let org = &connected.org;
            if let Some(expected) = &asked.expect_org {
                org::check_expected(org.identity(), expected)?;
            }
            let mut request = asked.request(&context.global.runs_dir);
            request.checks_only = true;
            request.scan = true;
            if !how.chunks {
                // The order of rows changes nothing about them, and costs much.
                request.group_by = Some("none".to_owned());
            }
            let prepared = pipeline::prepare(request, spooled, org.clone(), progress.sink())
                .await
                .map_err(|error| refusal::of(&error))?;
            let options = checks.options(asked, &context.global.runs_dir);
            let end = pipeline::check(&prepared, options, progress.sink())
                .await
                .map_err(|error| told_error(&error))?;
            Ok((prepared, end))
        })
        .await;
        connected.close().await;
        progress.finish();
        let (prepared, end) = checked?;
        let is_fine = end.is_clean() && !(how.strict && end.doubtful > 0);
        let exit = if is_fine { Exit::Success } else { Exit::RowsLeft };
        let command = if how.chunks { "load --dry-run" } else { "check" };
        if context.global.json {
            let seconds = clock.elapsed().as_secs_f64();
            let chunks = how.chunks;
            context.print_json(&told::json(command, &prepared, &end, exit, chunks, seconds))?;
        } else if !(context.global.quiet && exit == Exit::Success) {
            let head = banner::text(&prepared);
            context.print(&format!("{head}{}", told::text(&prepared, &end, how.chunks)))?;
        }
        Ok(exit)
    })
}

/// `load --check`: refuses the load when more rows would fail than may.
pub(super) async fn before_load(
    asked: &AskedArgs,
    checks: &ChecksArgs,
    context: &Context,
    prepared: &Prepared,
    progress: &Progress,
) -> Result<(), CliError> {
    let options = checks.options(asked, &context.global.runs_dir);
    let end = pipeline::check(prepared, options, progress.sink())
        .await
        .map_err(|error| told_error(&error))?;
    progress.clear();
    context.say(&told::text(prepared, &end, false));
    let is_over = match asked.max_failures {
        None => end.wrong > 0,
        Some(limit) => limit.is_exceeded(end.read, end.wrong),
    };
    if !is_over && end.storage.is_none_or(StorageNeed::fits) {
        return Ok(());
    }
    Err(refused(&end, asked))
}

fn refused(end: &CheckEnd, asked: &AskedArgs) -> CliError {
    if end.wrong == 0 {
        return CliError::refused(
            "check",
            "the org has not enough data storage left for the new records; nothing was sent",
        )
        .hint(
            "`bulkhaul limits` shows what is left. Without --check the load begins all the same.",
        );
    }
    let most = asked
        .max_failures
        .map_or_else(|| "none may".to_owned(), |limit| format!("--max-failures lets {limit} pass"));
    let would = if end.wrong == 1 {
        "1 row would fail".to_owned()
    } else {
        format!("{} rows would fail", end.wrong)
    };
    CliError::refused("check", format!("{would}, {most}; nothing was sent"))
        .problems(told::problems(end))
        .hint(format!(
            "{} has the rows with their reasons. Mend them, or let some fail with --max-failures.",
            end.rows_file.display()
        ))
}

fn told_error(error: &CheckError) -> CliError {
    match error {
        CheckError::Preflight(error) => refusal::of(error),
        CheckError::RowsFileIsSource { .. } => {
            CliError::refused("usage", error.to_string()).hint("Name another file with --rows.")
        }
        CheckError::Temporary(_) => CliError::refused("check", error_chain(error)).hint(
            "Keys are sorted on the disk of --runs-dir when there are many; free space there or \
             name another place.",
        ),
        CheckError::RowsFile { .. } => CliError::refused("check", error_chain(error))
            .hint("Name another place for the offending rows with --rows."),
    }
}
