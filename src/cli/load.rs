//! The `load` command: arguments, banner, questions, and the end of the story.

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use secrecy::SecretString;

use super::check::{self, ChecksArgs};
use super::context::ProgressView;
use super::error::MEND_AND_RESUME;
use super::progress::{self, Progress};
use super::source_args;
use super::{CliError, Context, Exit, org};
use crate::domain::{Event, Operation};
use crate::mapping::Secrets;
use crate::pipeline::{self, LoadError, Prepared, RunFolder, SpooledInput, Stop};
use crate::salesforce::{ConnectOptions, Org};

pub(super) mod asked;
pub(super) mod banner;
pub(super) mod mapping_refusal;
pub(super) mod refusal;
pub(super) mod signals;
pub(super) mod summary;

pub(super) use asked::{DuplicateRows, parse_duration, parse_percent};

/// Load a file into an org and account for every row
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  bulkhaul load accounts.csv --object Account --operation upsert \\
      --external-id Legacy_Id__c --org sf:my-sandbox

  Every row ends in one of the result files in its run folder: success.csv,
  failed.csv (with the org's reason), unprocessed.csv, rejected.csv or
  disputed.csv, by its row number. --dry-run shows what would be sent, and
  which rows would fail.

Exit codes: 0 every row succeeded; 2 refused before anything was sent; 3 some
rows did not succeed; 4 interrupted; 5 stopped at a limit; 1 needs a repair.")]
pub struct LoadArgs {
    #[command(flatten)]
    asked: asked::AskedArgs,
    /// Check every row, show the chunks that would be made, and send nothing
    #[arg(long, conflicts_with = "check")]
    dry_run: bool,
    /// Check every row first, and send nothing when more rows than
    /// --max-failures would fail
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    checks: ChecksArgs,
}

/// Where mappings find their secret.
pub(super) fn secrets() -> Secrets {
    Secrets::new(|name| std::env::var(name).ok().map(SecretString::from))
}

/// What a resume has to know of the command line beside the load's own
/// settings: where the org is found again. No flag holds a secret.
pub(super) fn kept(context: &Context) -> serde_json::Value {
    let dir = &context.global.local_org_dir;
    serde_json::json!({
        "org": context.global.org,
        "local_org_dir": std::path::absolute(dir).unwrap_or_else(|_| dir.clone()),
    })
}

/// Refuses what no load can be asked for.
pub(super) fn check_usage(asked: &asked::AskedArgs) -> Result<(), CliError> {
    if asked.operation == Operation::Upsert && asked.external_id.is_none() {
        return Err(CliError::refused("usage", "an upsert needs the field it matches records by")
            .hint("Name it with --external-id, such as --external-id Legacy_Id__c."));
    }
    if asked.operation != Operation::Upsert && asked.external_id.is_some() {
        return Err(CliError::refused(
            "usage",
            format!("--external-id goes with upsert only, not with {}", asked.operation),
        ));
    }
    Ok(())
}

pub(super) fn run(args: LoadArgs, context: &Context) -> Result<Exit, CliError> {
    check_usage(&args.asked)?;
    if args.dry_run {
        return check::dry_run(&args.asked, &args.checks, context);
    }
    args.checks.refuse_without(args.check)?;
    let spooled = source_args::standard_input(&args.asked.sources, &context.global.runs_dir)?;
    let runtime = context.runtime()?;
    runtime.block_on(async {
        let progress = progress::start(context);
        let options = ConnectOptions {
            lanes: usize::from(args.asked.parallel),
            events: progress.sink(),
            // A slow line is slow both ways.
            compressed_replies: args.asked.compress_upload.then_some(true),
            ..ConnectOptions::default()
        };
        let connected = org::connect(context, options).await?;
        let ended = Box::pin(go(&args, context, &connected.org, &progress, spooled)).await;
        connected.close().await;
        ended?.close(progress, context)
    })
}

/// Prepares, asks, loads. Whatever happens, the embedded org is closed after.
async fn go(
    args: &LoadArgs,
    context: &Context,
    org: &Org,
    progress: &Progress,
    spooled: Option<SpooledInput>,
) -> Result<summary::Ended, CliError> {
    let events = progress.sink();
    if let Some(expected) = &args.asked.expect_org {
        org::check_expected(org.identity(), expected)?;
    }
    let request = args.asked.request(&context.global.runs_dir);
    let prepared = pipeline::prepare(request, spooled, org.clone(), Arc::clone(&events))
        .await
        .map_err(|error| refusal::of(&error))?;
    progress.clear();
    let banner = banner::text(&prepared);
    context.say(&banner);
    if context.progress_view() == ProgressView::Json {
        events.announce(Event::Note { text: banner });
    }
    if args.check {
        check::before_load(&args.asked, &args.checks, context, &prepared, progress).await?;
    }
    ask(args.asked.expect_org.as_deref(), context, &prepared)?;

    let folder = RunFolder::create(&context.global.runs_dir).map_err(|(path, error)| {
        CliError::refused("run-folder", format!("{} can't be made: {error}", path.display()))
            .hint("Name another place with --runs-dir.")
    })?;
    let stop = Stop::default();
    signals::watch(&stop);
    let facts = summary::Facts::of(&prepared, &folder);
    let ended = pipeline::load(prepared, folder, kept(context), Arc::clone(&events), stop).await;
    let end = ended.map_err(|error| not_run(&error, &facts.folder))?;
    Ok(summary::build(&facts, end, org))
}

/// Why a load came to no end.
pub(super) fn not_run(error: &LoadError, folder: &Path) -> CliError {
    match error {
        LoadError::Refused(refused) => refusal::of(refused),
        LoadError::FirstJob(call) => {
            let refused = org::call_error(call, org::Phase::Preflight);
            CliError { message: format!("{}; nothing was sent", refused.message), ..refused }
        }
        _ => broke_off(error, folder),
    }
}

/// A run whose own files failed so that it has no proper end.
pub(super) fn broke_off(error: &LoadError, folder: &Path) -> CliError {
    CliError::repair("run", "the run broke off")
        .caused_by(error)
        .hint(format!("{MEND_AND_RESUME} Its folder is {}.", folder.display()))
}

/// The questions of the contract (docs/cli.md): every write to production,
/// every delete, and what takes more than half of an allowance.
pub(super) fn ask(
    expect_org: Option<&str>,
    context: &Context,
    prepared: &Prepared,
) -> Result<(), CliError> {
    let identity = prepared.org.identity();
    let operation = prepared.request.operation;
    if operation.deletes() && identity.production && context.global.yes && !context.has_terminal() {
        let named = expect_org.is_some_and(|expected| {
            expected.len() >= 15 && identity.org_id.starts_with(&expected[..15])
        });
        if !named {
            return Err(CliError::refused(
                "confirmation",
                format!("a {operation} in production without a terminal needs the org's id"),
            )
            .hint("Add --expect-org with the id of the org you mean, besides --yes."));
        }
    }
    let mut reasons = Vec::new();
    if identity.production {
        reasons.push("this is a production org".to_owned());
    }
    if operation.deletes() {
        reasons.push(format!("the records are removed ({operation})"));
    }
    if prepared.takes_much() {
        reasons.push("it takes more than half of what the org still grants".to_owned());
    }
    if reasons.is_empty() || prepared.estimate.rows == 0 {
        return Ok(());
    }
    let question = format!(
        "{} {} rows of {} in {}: {}. Go on?",
        match operation {
            Operation::Insert => "Insert",
            Operation::Update => "Update",
            Operation::Upsert => "Upsert",
            Operation::Delete | Operation::HardDelete => "Delete",
        },
        prepared.estimate.rows,
        prepared.object.name,
        identity.name,
        reasons.join(", "),
    );
    if context.confirm(&question)? {
        Ok(())
    } else {
        Err(CliError::refused("confirmation", "not confirmed, nothing was sent"))
    }
}
