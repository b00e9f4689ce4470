//! The `load` command: arguments, banner, questions, and the end of the story.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;

use super::context::ProgressView;
use super::error::MEND_AND_RESUME;
use super::progress::{self, Progress};
use super::source_args::{self, SourceArgs};
use super::{CliError, Context, Exit, org};
use crate::chunker::Duplicates;
use crate::domain::{
    DEFAULT_CHUNK_ROWS, Event, FailureLimit, MAX_JOB_BYTES, Operation, ROWS_PER_BATCH,
};
use crate::mapping::Secrets;
use crate::pipeline::{self, LoadError, LoadRequest, Prepared, RunFolder, SpooledInput, Stop};
use crate::salesforce::{ConnectOptions, Org};
use crate::transformer::EmptyMeans;

pub(super) mod banner;
pub(super) mod mapping_refusal;
pub(super) mod refusal;
pub(super) mod signals;
pub(super) mod summary;

/// Load a file into an org and account for every row
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  bulkhaul load accounts.csv --object Account --operation upsert \\
      --external-id Legacy_Id__c --org sf:my-sandbox

  Every row ends in one of the result files in its run folder: success.csv,
  failed.csv (with the org's reason), unprocessed.csv, rejected.csv or
  disputed.csv, by its row number.

Exit codes: 0 every row succeeded; 2 refused before anything was sent; 3 some
rows did not succeed; 4 interrupted; 5 stopped at a limit; 1 needs a repair.")]
pub struct LoadArgs {
    /// CSV or Parquet files, folders of them, patterns such as 'in/*.csv', or
    /// `-` for the standard input
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<PathBuf>,
    /// The object to load into, by API name
    #[arg(long, value_name = "OBJECT")]
    object: String,
    /// insert, update, upsert, delete or hardDelete
    #[arg(long, value_name = "OPERATION")]
    operation: Operation,
    /// The external id field an upsert matches by
    #[arg(long, value_name = "FIELD")]
    external_id: Option<String>,
    /// Columns that tell rows apart, for finding results of an insert
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    key: Vec<String>,
    /// Send a column as this field; an empty field leaves the column out
    #[arg(long, value_name = "COLUMN=FIELD", value_parser = parse_rename)]
    map: Vec<(String, String)>,
    /// A mapping file (docs/mapping.md): which field gets its values from where,
    /// and in what form
    #[arg(long, value_name = "FILE.toml", conflicts_with = "map")]
    mapping: Option<PathBuf>,
    /// What an empty cell means: leave the field alone, or clear it
    #[arg(long, value_enum, default_value = "skip", value_name = "WHAT")]
    empty: Empty,
    /// Jobs at the same time
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    parallel: u16,
    /// Bytes of a chunk at most
    #[arg(long, default_value_t = MAX_JOB_BYTES, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1_000..=MAX_JOB_BYTES))]
    chunk_bytes: u64,
    /// Rows of a chunk at most
    #[arg(long, default_value_t = DEFAULT_CHUNK_ROWS, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    chunk_rows: u64,
    /// Rows to load at most
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Rows to leave out at the start
    #[arg(long, default_value_t = 0, value_name = "N")]
    skip: u64,
    /// What happens with rows that share a key inside one chunk
    #[arg(long, value_enum, value_name = "WHAT")]
    duplicates: Option<DuplicateRows>,
    /// Assignment rule for Case and Lead, by id
    #[arg(long, value_name = "ID")]
    assignment_rule: Option<String>,
    #[command(flatten)]
    reading: SourceArgs,
    /// Split a source of over 1 GB through before the start, too
    #[arg(long)]
    scan: bool,
    /// Load again what was loaded before
    #[arg(long)]
    again: bool,
    /// Detach after this long (`90s`, `30m`, `8h`); the jobs go on
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_wait: Option<Duration>,
    /// Stop when more rows than this were rejected, failed or are disputed: a
    /// number, or a percentage (counted from 10,000 rows on)
    #[arg(long, value_name = "N|P%")]
    max_failures: Option<FailureLimit>,
    /// Rows to send first, as one job; stop when more than half of them fail.
    /// Default: 200 in production from 50,000 rows on, else 0
    #[arg(long, value_name = "N")]
    canary: Option<u64>,
    /// Keep rows with the same value in this column together, so that parallel
    /// batches don't lock the same parent; `none` never does. Default: by itself
    /// for a lookup that locks its parent
    #[arg(long, value_name = "COLUMN")]
    group_by: Option<String>,
    /// Percent of the org's daily allowances to leave to others
    #[arg(long, default_value_t = 0, value_name = "P%", value_parser = parse_percent)]
    reserve: u8,
    /// Jobs that carry a row at most, while it fails for passing reasons
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=20))]
    row_attempts: u8,
    /// One job of at most 10,000 rows at a time, against locks
    #[arg(long)]
    serial: bool,
    /// Compress what is sent, for a slow line; takes processor time instead
    #[arg(long)]
    compress_upload: bool,
    /// Refuse any other org: its id, `production` or `sandbox`
    #[arg(long, value_name = "ID|production|sandbox")]
    expect_org: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Empty {
    /// The field keeps what it has
    Skip,
    /// The field is cleared
    Clear,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum DuplicateRows {
    /// None of them is sent
    Reject,
    /// The first is sent, the others are rejected
    First,
    /// The last is sent, the others are rejected
    Last,
    /// All are sent; the org decides
    Keep,
}

impl From<DuplicateRows> for Duplicates {
    fn from(what: DuplicateRows) -> Self {
        match what {
            DuplicateRows::Reject => Duplicates::Reject,
            DuplicateRows::First => Duplicates::First,
            DuplicateRows::Last => Duplicates::Last,
            DuplicateRows::Keep => Duplicates::Keep,
        }
    }
}

fn parse_rename(text: &str) -> Result<(String, String), String> {
    // A column name may hold `=`, a field name can't.
    text.rsplit_once('=')
        .filter(|(column, _)| !column.is_empty())
        .map(|(column, field)| (column.to_owned(), field.trim().to_owned()))
        .ok_or_else(|| "write it as COLUMN=FIELD, or COLUMN= to leave the column out".to_owned())
}

/// A whole percentage below 100, with or without its sign.
pub(super) fn parse_percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse::<u8>();
    number
        .ok()
        .filter(|percent| *percent < 100)
        .ok_or_else(|| "write a percentage from 0% to 99%".to_owned())
}

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "s" | "" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("write a number and s, m, h or d, such as 30m".to_owned()),
    };
    let count: u64 =
        digits.parse().map_err(|_| "write a number and s, m, h or d, such as 30m".to_owned())?;
    Ok(Duration::from_secs(count.saturating_mul(seconds)))
}

impl LoadArgs {
    fn request(&self, runs_dir: &Path) -> LoadRequest {
        LoadRequest {
            sources: self.sources.clone(),
            options: self.reading.options(),
            object: self.object.clone(),
            operation: self.operation,
            external_id: self.external_id.clone(),
            keys: self.key.clone(),
            renames: self.map.clone(),
            // A resume or a retry may be started from another folder.
            mapping: self
                .mapping
                .as_ref()
                .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone())),
            secrets: secrets(),
            empty: match self.empty {
                Empty::Skip => EmptyMeans::Skip,
                Empty::Clear => EmptyMeans::Clear,
            },
            lanes: if self.serial { 1 } else { usize::from(self.parallel) },
            chunk_bytes: self.chunk_bytes,
            chunk_rows: if self.serial {
                self.chunk_rows.min(ROWS_PER_BATCH)
            } else {
                self.chunk_rows
            },
            skip: self.skip,
            limit: self.limit,
            assignment_rule: self.assignment_rule.clone(),
            duplicates: self.duplicates.map(Duplicates::from),
            scan: self.scan,
            again: self.again,
            runs_dir: runs_dir.to_owned(),
            max_wait: self.max_wait,
            row_attempts: self.row_attempts,
            serial: self.serial,
            max_failures: self.max_failures,
            canary: self.canary,
            reserve: self.reserve,
            group_by: self.group_by.clone(),
            compress_upload: self.compress_upload,
        }
    }
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

pub(super) fn run(args: LoadArgs, context: &Context) -> Result<Exit, CliError> {
    if args.operation == Operation::Upsert && args.external_id.is_none() {
        return Err(CliError::refused("usage", "an upsert needs the field it matches records by")
            .hint("Name it with --external-id, such as --external-id Legacy_Id__c."));
    }
    if args.operation != Operation::Upsert && args.external_id.is_some() {
        return Err(CliError::refused(
            "usage",
            format!("--external-id goes with upsert only, not with {}", args.operation),
        ));
    }
    let spooled = source_args::standard_input(&args.sources, &context.global.runs_dir)?;
    let runtime = context.runtime()?;
    runtime.block_on(async {
        let progress = progress::start(context);
        let options = ConnectOptions {
            lanes: usize::from(args.parallel),
            events: progress.sink(),
            // A slow line is slow both ways.
            compressed_replies: args.compress_upload.then_some(true),
            ..ConnectOptions::default()
        };
        let connected = org::connect(context, options).await?;
        let ended = Box::pin(go(&args, context, &connected.org, &progress, spooled)).await;
        connected.close().await;
        let ended = ended?;
        let written = ended.write();
        progress.sink().announce(ended.event());
        progress.finish();
        let exit = ended.show(context)?;
        written?;
        Ok(exit)
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
    if let Some(expected) = &args.expect_org {
        org::check_expected(org.identity(), expected)?;
    }
    let request = args.request(&context.global.runs_dir);
    let prepared = pipeline::prepare(request, spooled, org.clone(), Arc::clone(&events))
        .await
        .map_err(|error| refusal::of(&error))?;
    progress.clear();
    let banner = banner::text(&prepared);
    context.say(&banner);
    if context.progress_view() == ProgressView::Json {
        events.announce(Event::Note { text: banner });
    }
    ask(args.expect_org.as_deref(), context, &prepared)?;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renames_split_at_the_last_equals_sign() {
        assert_eq!(parse_rename("a=b=Name"), Ok(("a=b".to_owned(), "Name".to_owned())));
        assert_eq!(parse_rename("Notes="), Ok(("Notes".to_owned(), String::new())));
        assert!(parse_rename("=Name").is_err());
        assert!(parse_rename("Name").is_err());
    }

    #[test]
    fn durations_are_a_number_and_a_unit() {
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("8h"), Ok(Duration::from_hours(8)));
        assert!(parse_duration("soon").is_err());
    }
}
