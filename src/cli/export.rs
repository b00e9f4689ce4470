//! The `export` command: whole objects into an archive of typed files.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::context::ProgressView;
use super::error::MEND_AND_RESUME;
use super::load::{parse_duration, signals};
use super::org::{Phase, call_error};
use super::progress::{self, Progress};
use super::{CliError, Context, Exit, org};
use crate::domain::Event;
use crate::exporter::column::{Numbers, TypeOptions};
use crate::exporter::manifest;
use crate::exporter::output::{Format, OutputOptions, Packing};
use crate::exporter::partition::Partition;
use crate::pipeline::{
    self, ExportRefusal, ExportRequest, ExportRunError, ExportTarget, MOST_PARTS, PreparedExport,
    RunFolder, Since, Split, Stop, StopReason,
};
use crate::report::OrgSummary;
use crate::report::format::count;
use crate::salesforce::{CallError, ConnectOptions, Org};

mod again;
mod told;

pub(super) use again::{abort, resume};
pub(super) use told::report;
use told::{Ended, Facts};

/// Export whole objects to typed Parquet, CSV or JSON Lines
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bulkhaul export --object Account --out archive --org sf:my-sandbox
  bulkhaul export --object Contact --fields Id,Email,Account.Name \\
      --where \"CreatedDate = THIS_YEAR\" --out contacts --org env
  bulkhaul export --soql 'SELECT Id, Name FROM Case' --out cases --format csv --zip gzip
  bulkhaul export --all-objects --exclude '*History' --out everything --verify
  bulkhaul export --object Case --out cases --since last --deleted

  The archive is a folder: a folder of files for each object, and
  manifest.json, by which `bulkhaul verify` proves it years later.
  An export that was interrupted or killed goes on with `bulkhaul resume`.
  Increments (--since last) are added to it; `bulkhaul compact` folds them into
  one snapshot.

Exit codes: 0 all is exported; 2 refused before anything was made; 3 values had
no place in their column, or the org's counts differ; 4 interrupted; 1 needs a
repair.")]
pub struct ExportArgs {
    /// An object to export with all its fields; may be given several times
    #[arg(long, value_name = "OBJECT")]
    object: Vec<String>,
    /// A file with the names of objects to export, one a line
    #[arg(long, value_name = "FILE")]
    objects_from: Option<PathBuf>,
    /// Every object that can be queried
    #[arg(long)]
    all_objects: bool,
    /// Of all objects, only those whose name fits, such as '*__c'
    #[arg(long, value_name = "GLOB", requires = "all_objects")]
    include: Vec<String>,
    /// Of all objects, none whose name fits, such as '*History'
    #[arg(long, value_name = "GLOB", requires = "all_objects")]
    exclude: Vec<String>,
    /// A query to export instead of an object; may be given several times
    #[arg(long, value_name = "QUERY")]
    soql: Vec<String>,
    /// Fields to export, also through lookups (`Account.Name`); default: all
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',')]
    fields: Vec<String>,
    /// A condition, as behind WHERE
    #[arg(long = "where", value_name = "CONDITION")]
    filter: Option<String>,
    /// Records of an object at most
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Deleted and archived records, too
    #[arg(long)]
    deleted: bool,
    /// Formula fields, too
    #[arg(long)]
    formulas: bool,
    /// Folder of the archive
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Take the place of the archive that is in it
    #[arg(long, conflicts_with = "append")]
    overwrite: bool,
    /// Add to the archive that is in it, or begin one
    #[arg(long)]
    append: bool,
    /// Only records changed since then: `last`, for what the archive lacks
    /// (adds to it), a day or an instant
    #[arg(long, value_name = "last|TIME", conflicts_with_all = ["soql", "limit"])]
    since: Option<Since>,
    /// By how much `--since last` reaches back behind the last export, for what
    /// was being saved then
    #[arg(long, default_value = "15m", value_name = "DURATION", value_parser = parse_duration)]
    lookback: Duration,
    /// Spread the files over folders: FIELD, or FIELD:year, :month or :day of a
    /// date
    #[arg(long, value_name = "FIELD[:PART]")]
    partition_by: Option<Partition>,
    /// Split an object into so many query jobs, or `auto`: one for each 5
    /// million records
    #[arg(long, value_name = "N|auto", value_parser = parse_split)]
    split: Option<Split>,
    /// What the files are
    #[arg(long, value_enum, default_value = "parquet", value_name = "FORMAT")]
    format: FormatArg,
    /// How they are compressed; default: zstd in Parquet, else not at all
    #[arg(long, value_enum, value_name = "HOW")]
    zip: Option<ZipArg>,
    /// Level of zstd, 1 (fast) to 22 (small)
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=22))]
    zip_level: i32,
    /// Numbers as doubles, which is what the org keeps, or as exact decimals
    #[arg(long, value_enum, default_value = "double", value_name = "HOW")]
    numbers: NumbersArg,
    /// Keep every value as the text the org sends
    #[arg(long)]
    as_text: bool,
    /// Multi-select picklists as lists
    #[arg(long)]
    lists: bool,
    /// Bytes of a file, at most about
    #[arg(long, default_value_t = OutputOptions::default().file_bytes, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1_000..))]
    file_size: u64,
    /// Records of a Parquet row group, at most about
    #[arg(long, default_value_t = OutputOptions::default().group_rows as u64, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    row_group: u64,
    /// A bloom filter on the ids of Parquet files
    #[arg(long)]
    bloom: bool,
    /// Pages fetched at the same time
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=32))]
    parallel: u16,
    /// Records of a page at most; pages are fetched one after another then.
    /// Default: the org's own pages, several at a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    page_records: Option<u64>,
    /// Let the org count the records before and after, and read the archive
    /// back
    #[arg(long)]
    verify: bool,
    /// Detach after this long (`90s`, `30m`, `8h`)
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_wait: Option<Duration>,
    /// Refuse any other org: its id, `production` or `sandbox`
    #[arg(long, value_name = "ID|production|sandbox")]
    expect_org: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    /// Apache Parquet, typed
    Parquet,
    /// CSV with the org's own text of every value
    Csv,
    /// JSON Lines, one object a record
    Jsonl,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ZipArg {
    /// Not at all
    None,
    /// gzip
    Gzip,
    /// Zstandard
    Zstd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NumbersArg {
    /// As 64-bit floats
    Double,
    /// As decimals of the field's precision and scale
    Decimal,
}

fn parse_split(text: &str) -> Result<Split, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(Split::Auto);
    }
    match text.parse() {
        Ok(parts) if (1..=MOST_PARTS).contains(&parts) => Ok(Split::Into(parts)),
        _ => Err(format!("neither `auto` nor a number from 1 to {MOST_PARTS}")),
    }
}

impl ExportArgs {
    fn targets(&self) -> Result<Vec<ExportTarget>, CliError> {
        let usage = |message: &str| CliError::refused("usage", message);
        let mut names = self.object.clone();
        if let Some(path) = &self.objects_from {
            let text = std::fs::read_to_string(path).map_err(|error| {
                usage(&format!("{} can't be read", path.display())).caused_by(&error)
            })?;
            let listed = text.lines().map(str::trim).filter(|line| !line.is_empty());
            names.extend(listed.filter(|line| !line.starts_with('#')).map(str::to_owned));
        }
        if names.is_empty() && self.soql.is_empty() && !self.all_objects {
            return Err(usage("nothing to export is named").hint(
                "Name an object with --object, a query with --soql, or take --all-objects.",
            ));
        }
        let parts = !self.fields.is_empty() || self.filter.is_some();
        if parts && (self.all_objects || !self.soql.is_empty() || names.len() > 1) {
            return Err(usage("--fields and --where go with a single --object")
                .hint("For other objects beside it write a query each with --soql."));
        }
        let of_objects = names.into_iter().map(|object| ExportTarget {
            object: Some(object),
            soql: None,
            fields: self.fields.clone(),
            filter: self.filter.clone(),
            limit: self.limit,
        });
        let of_queries = self
            .soql
            .iter()
            .map(|soql| ExportTarget { soql: Some(soql.clone()), ..ExportTarget::default() });
        Ok(of_objects.chain(of_queries).collect())
    }

    fn request(&self, context: &Context) -> Result<ExportRequest, CliError> {
        let format = match self.format {
            FormatArg::Parquet => Format::Parquet,
            FormatArg::Csv => Format::Csv,
            FormatArg::Jsonl => Format::Jsonl,
        };
        let packing = match (self.zip, format) {
            (Some(ZipArg::None), _) => Packing::None,
            (Some(ZipArg::Gzip), _) => Packing::Gzip,
            (Some(ZipArg::Zstd), _) | (None, Format::Parquet) => Packing::Zstd,
            (None, _) => Packing::None,
        };
        Ok(ExportRequest {
            targets: self.targets()?,
            all_objects: self.all_objects,
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            // A resume may begin in another folder.
            out: std::path::absolute(&self.out).unwrap_or_else(|_| self.out.clone()),
            overwrite: self.overwrite,
            deleted: self.deleted,
            formulas: self.formulas,
            types: TypeOptions {
                numbers: match self.numbers {
                    NumbersArg::Double => Numbers::Double,
                    NumbersArg::Decimal => Numbers::Decimal,
                },
                as_text: self.as_text,
                lists: self.lists,
            },
            output: OutputOptions {
                format,
                packing,
                zstd_level: self.zip_level,
                file_bytes: self.file_size,
                group_rows: usize::try_from(self.row_group).unwrap_or(usize::MAX),
                bloom_on_id: self.bloom,
                ..OutputOptions::default()
            },
            partition: self.partition_by.clone(),
            append: self.append || self.since == Some(Since::Last),
            since: self.since,
            lookback: self.lookback,
            split: self.split,
            lanes: usize::from(self.parallel),
            page_records: self.page_records,
            count: self.verify,
            max_wait: self.max_wait,
            runs_dir: context.global.runs_dir.clone(),
        })
    }
}

pub(super) fn run(args: ExportArgs, context: &Context) -> Result<Exit, CliError> {
    let request = args.request(context)?;
    let runtime = context.cpu_runtime()?;
    runtime.block_on(async {
        let progress = progress::start(context);
        let options = ConnectOptions {
            lanes: request.lanes,
            events: progress.sink(),
            ..ConnectOptions::default()
        };
        let connected = org::connect(context, options).await?;
        let ended = Box::pin(begin(&args, request, context, &connected.org, &progress)).await;
        connected.close().await;
        ended?.tell(context, &progress, args.verify)
    })
}

async fn begin(
    args: &ExportArgs,
    request: ExportRequest,
    context: &Context,
    org: &Org,
    progress: &Progress,
) -> Result<Ended, CliError> {
    if let Some(expected) = &args.expect_org {
        org::check_expected(org.identity(), expected)?;
    }
    let prepared =
        pipeline::prepare_export(request, org.clone()).await.map_err(|error| refusal(&error))?;
    progress.clear();
    let banner = banner(&prepared);
    context.say(&banner);
    if context.progress_view() == ProgressView::Json {
        progress.sink().announce(Event::Note { text: banner });
    }
    let folder = RunFolder::create(&context.global.runs_dir).map_err(|(path, error)| {
        CliError::refused("run-folder", format!("{} can't be made: {error}", path.display()))
            .hint("Name another place with --runs-dir.")
    })?;
    let identity = org.identity();
    let facts = Facts {
        clock: Instant::now(),
        run_id: folder.id.clone(),
        folder: folder.path().to_owned(),
        archive: prepared.request.out.clone(),
        api_version: org.api_version().to_string(),
        org: OrgSummary {
            id: identity.org_id.clone(),
            name: identity.name.clone(),
            url: identity.url.clone(),
            user: identity.username.clone(),
            production: identity.production,
        },
        rows_before: 0,
    };
    let stop = stop(args.max_wait);
    let events = progress.sink();
    let ended = pipeline::export(prepared, folder, super::load::kept(context), events, stop).await;
    match ended {
        Ok(end) => Ok(facts.told(end, org)),
        Err(ExportRunError::Call(error)) => {
            let refused = call_error(&error, Phase::Preflight);
            let message = format!("{}; nothing was exported", refused.message);
            Err(bulk_hint(&error, CliError { message, ..refused }))
        }
        Err(error) => Err(broke_off(&error, &facts.folder)),
    }
}

fn stop(max_wait: Option<Duration>) -> Stop {
    let stop = Stop::default();
    signals::watch(&stop);
    if let Some(most) = max_wait {
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(most).await;
            stop.ask(StopReason::MaxWait);
        });
    }
    stop
}

fn banner(prepared: &PreparedExport) -> String {
    use std::fmt::Write as _;
    let identity = prepared.org.identity();
    let kind = if identity.production { "production" } else { "sandbox" };
    let mut text = format!(
        "export {} from {} ({}, {kind}) as {}\n",
        match prepared.objects.as_slice() {
            [one] => one.object.clone(),
            many => count(many.len() as u64, "object"),
        },
        identity.name,
        identity.org_id,
        identity.username,
    );
    let _ = writeln!(text, "  into {}", prepared.request.out.display());
    for object in &prepared.objects {
        if !object.left_out.is_empty() {
            let names: Vec<&str> = object.left_out.iter().map(|out| out.field.as_str()).collect();
            let shown = names.iter().take(8).copied().collect::<Vec<_>>().join(", ");
            let more = names.len().saturating_sub(8);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let _ = writeln!(text, "  {} without {shown}{more}", object.object);
        }
    }
    for object in &prepared.objects {
        if let Some(since) = &object.since {
            let _ = writeln!(text, "  {} changed since {since}", object.object);
        }
        if object.parts.len() > 1 {
            let jobs = object.parts.len();
            let _ = writeln!(text, "  {} by {jobs} query jobs", object.object);
        }
    }
    for note in &prepared.notes {
        let _ = writeln!(text, "  {note}");
    }
    for out in &prepared.not_exported {
        let _ = writeln!(text, "  not {}: {}", out.field, out.reason);
    }
    text
}

fn refusal(error: &ExportRefusal) -> CliError {
    match error {
        ExportRefusal::Call(error) => call_error(error, Phase::Preflight),
        ExportRefusal::Problems(problems) => {
            CliError::refused("preflight", "this export can't work").problems(problems.clone())
        }
        ExportRefusal::Exists { path, archive } => {
            let refused =
                CliError::refused("output-exists", format!("{} is not empty", path.display()));
            if *archive {
                refused.hint(
                    "An archive is in it: --overwrite puts the new one in its place, --append adds \
                     to it.",
                )
            } else {
                refused.hint("Name a new or an empty folder with --out.")
            }
        }
        ExportRefusal::Io { .. } => CliError::refused("output", "the archive has no place")
            .caused_by(error)
            .hint("Name another folder with --out."),
    }
}

/// What to do instead of a query that bulk refuses.
fn bulk_hint(error: &CallError, refused: CliError) -> CliError {
    let said = error.message.as_deref().unwrap_or_default();
    let hint = if said.contains("not supported by the Bulk API") {
        "The org lets this object out by its REST API alone; `bulkhaul query` does for small ones."
    } else if said.contains("compound data") {
        "Name the parts of the compound field instead, such as BillingStreet and BillingCity."
    } else if said.contains("Aggregate Relationships") {
        "Export the children by themselves: they carry the ids of their parents."
    } else if said.contains("Binary field") {
        "Leave the field out: query jobs carry no files."
    } else if said.contains("not supported in Bulk Query") {
        "Export the records as they are and group or cut them where they are read; `bulkhaul query` \
         runs such a query by REST."
    } else {
        return refused;
    };
    refused.hint(hint)
}

fn broke_off(error: &ExportRunError, folder: &Path) -> CliError {
    CliError::repair("run", "the export broke off")
        .caused_by(error)
        .hint(format!("{MEND_AND_RESUME} Its folder is {}.", folder.display()))
}

/// Whether a run folder is that of an export.
pub(super) fn is_export(folder: &Path) -> bool {
    pipeline::RunEntry::look(folder).is_ok_and(|entry| entry.run.run.operation.is_none())
}

/// The refusal of a command that is for loads only.
pub(super) fn for_loads_only(command: &str, folder: &Path) -> CliError {
    CliError::refused("usage", format!("the run in {} is an export", folder.display())).hint(
        format!(
            "`bulkhaul {command}` is for loads. What an export made stands in {} of its archive.",
            manifest::FILE_NAME
        ),
    )
}
