//! The `map` command: a first mapping file, made of a source and what an org
//! tells of an object, or of a map of Data Loader.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::load::refusal;
use super::org::{Phase, call_error};
use super::source_args::{self, SourceArgs};
use super::{CliError, Context, Exit, describe, org};
use crate::domain::{ObjectDescription, Operation, error_chain};
use crate::mapping::{
    Confidence, Draft, DraftSpec, SampledColumn, draft, import_sdl, wanted_parents,
};
use crate::pipeline::SpooledInput;
use crate::reader::{Source, glance};
use crate::rows::{SourceError, SourceRows as _};

/// Rows that are looked at.
const SAMPLE_ROWS: usize = 1_000;

/// Bytes an `.sdl` file may have; real ones have some kilobytes.
const MOST_SDL_BYTES: u64 = 4 << 20;

/// The `map` command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bulkhaul map --init customers.csv --object Account --org sf:uat --out accounts.toml
  bulkhaul map --init customers.csv --object Account --operation upsert \\
      --external-id Legacy_Id__c --encoding windows-1252 --no-samples
  bulkhaul map --from accounts.sdl --object Account --out accounts.toml

  `--init` writes sample values of the source into comments of the file, unless
  --no-samples is given. Read what was written before you load with it.")]
pub struct MapArgs {
    /// Make a first mapping for this source
    #[arg(
        long,
        value_name = "SOURCE",
        num_args = 1..,
        required_unless_present = "from",
        conflicts_with = "from"
    )]
    init: Vec<PathBuf>,
    /// Make a mapping of this map of Data Loader; no org is asked
    #[arg(long, value_name = "FILE.sdl")]
    from: Option<PathBuf>,
    /// The object, by API name
    #[arg(long, value_name = "OBJECT")]
    object: String,
    /// The file to write; default: standard output
    #[arg(long, value_name = "FILE.toml")]
    out: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long, requires = "out")]
    force: bool,
    /// What the load will do: insert (default), update, upsert, delete or hardDelete
    #[arg(long, value_name = "OPERATION", requires = "init")]
    operation: Option<Operation>,
    /// The external id field an upsert matches by
    #[arg(long, value_name = "FIELD", requires = "init")]
    external_id: Option<String>,
    /// Write no values of the source
    #[arg(long, requires = "init")]
    no_samples: bool,
    #[command(flatten)]
    reading: SourceArgs,
}

pub(super) fn run(args: &MapArgs, context: &Context) -> Result<Exit, CliError> {
    // Before an org is asked for nothing.
    if let Some(out) = args.out.as_deref().filter(|out| !args.force && out.exists()) {
        return Err(exists(out));
    }
    match &args.from {
        Some(from) => import(args, from, context),
        None => init(args, context),
    }
}

fn import(args: &MapArgs, from: &Path, context: &Context) -> Result<Exit, CliError> {
    let shown = from.display();
    let unreadable = |why: String| {
        CliError::refused("source", format!("{shown} can't be read: {why}"))
            .hint("Check the path and the rights of the file.")
    };
    let bytes = std::fs::metadata(from).map_err(|error| unreadable(error.to_string()))?.len();
    if bytes > MOST_SDL_BYTES {
        return Err(unreadable("it is far too large for a map of Data Loader".to_owned()));
    }
    let bytes = std::fs::read(from).map_err(|error| unreadable(error.to_string()))?;
    let name = from.file_name().unwrap_or_default().to_string_lossy();
    let made = import_sdl(&bytes, &name, &args.object);
    if made.fields == 0 {
        return Err(CliError::refused("mapping", format!("{shown} maps no column to a field"))
            .hint("It takes the .sdl file that Data Loader saves: lines such as Column=Field."));
    }
    write(args, &made.text)?;
    if context.global.json {
        let told = json!({"object": args.object, "fields": made.fields, "notes": made.notes});
        return finish(args, context, told, &made.text);
    }
    context.say(&format!("{} fields taken over. What differs from Data Loader:", made.fields));
    for note in &made.notes {
        context.say(&format!("  - {note}"));
    }
    shown_at_last(args, context, &made.text)
}

fn init(args: &MapArgs, context: &Context) -> Result<Exit, CliError> {
    let operation = match (args.operation, &args.external_id) {
        (Some(Operation::Upsert), None) => {
            return Err(CliError::refused("usage", "an upsert needs the field it matches by")
                .hint("Name it with --external-id."));
        }
        (Some(operation), Some(_)) if operation != Operation::Upsert => {
            let message = format!("--external-id goes with upsert only, not with {operation}");
            return Err(CliError::refused("usage", message));
        }
        (Some(operation), _) => operation,
        (None, Some(_)) => Operation::Upsert,
        (None, None) => Operation::Insert,
    };
    let spooled = source_args::standard_input(&args.init, &context.global.runs_dir)?;
    let refused = |error: SourceError| {
        let refused = refusal::source(&error);
        // There is nothing that could have been sent.
        CliError { message: refused.message.replace("; nothing was sent", ""), ..refused }
    };
    let options = args.reading.options();
    let source = match &spooled {
        Some(spooled) => SpooledInput::open(spooled, &options),
        None => Source::open(&args.init, &options),
    };
    let source = source.map_err(refused)?;
    let columns = sampled(&source).map_err(refused)?;
    let name: Vec<String> = args
        .init
        .iter()
        .map(|path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned())
        .collect();
    let name = name.join(", ");
    let (object, parents) = context.runtime()?.block_on(async {
        let connected = org::connect(context, org::reading(context)).await?;
        let org = &connected.org;
        let described = async {
            let object = describe::describe(org, &args.object).await?;
            let mut parents = Vec::new();
            for parent in wanted_parents(&spec(args, operation, &name, &object, &[]), &columns) {
                // One that this user may not see has no keys to offer.
                match org.describe(&parent).await {
                    Ok(parent) => parents.push(parent),
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(call_error(&error, Phase::Preflight)),
                }
            }
            Ok((object, parents))
        }
        .await;
        connected.close().await;
        described
    })?;
    if let Some(key) = &args.external_id
        && object.field_ignoring_case(key).is_none_or(|field| !field.is_key())
    {
        let message = format!("{key} is no external id of {}", object.name);
        let keys: Vec<&str> = object
            .fields
            .iter()
            .filter(|field| field.external_id)
            .map(|field| field.name.as_str())
            .collect();
        return Err(CliError::refused("usage", message)
            .hint(format!("External ids are: {}.", keys.join(", "))));
    }
    let spec = spec(args, operation, &name, &object, &parents);
    let made = draft(&spec, &columns);
    write(args, &made.text)?;
    if context.global.json {
        return finish(args, context, as_json(&spec, &columns, &made), &made.text);
    }
    say(&columns, &made, context);
    shown_at_last(args, context, &made.text)
}

fn spec<'a>(
    args: &'a MapArgs,
    operation: Operation,
    source: &'a str,
    object: &'a ObjectDescription,
    parents: &'a [ObjectDescription],
) -> DraftSpec<'a> {
    DraftSpec {
        object,
        parents,
        operation,
        external_id: args.external_id.as_deref(),
        source,
        samples: !args.no_samples,
    }
}

/// The columns with the values of the first rows.
fn sampled(source: &Source) -> Result<Vec<SampledColumn>, SourceError> {
    let seen = glance(source, SAMPLE_ROWS)?;
    let mut columns: Vec<SampledColumn> = source
        .header()
        .iter()
        .map(|name| SampledColumn { name: name.clone(), values: Vec::new() })
        .collect();
    for (_, cells) in seen.first_rows {
        for (column, cell) in columns.iter_mut().zip(cells) {
            if !cell.trim().is_empty() {
                column.values.push(cell);
            }
        }
    }
    Ok(columns)
}

/// How many columns were matched, and how surely.
fn counted(made: &Draft, confidence: Confidence) -> usize {
    made.proposals.iter().filter(|proposal| proposal.confidence == confidence).count()
}

fn say(columns: &[SampledColumn], made: &Draft, context: &Context) {
    context.say(&format!(
        "{} of {} columns have a field: {} sure, {} likely, {} guesses (commented out).",
        made.proposals.len(),
        columns.len(),
        counted(made, Confidence::Sure),
        counted(made, Confidence::Likely),
        counted(made, Confidence::Guess)
    ));
    let name =
        |(column, _): &(usize, Vec<String>)| columns.get(*column).map(|one| one.name.clone());
    let nowhere: Vec<String> = made.unmatched.iter().filter_map(name).collect();
    if !nowhere.is_empty() {
        context.say(&format!("Without a field: {}", nowhere.join(", ")));
    }
    if !made.missing.is_empty() {
        context.say(&format!("Needed, and without a column: {}", made.missing.join(", ")));
    }
}

fn as_json(spec: &DraftSpec<'_>, columns: &[SampledColumn], made: &Draft) -> Value {
    let name = |column: usize| columns.get(column).map(|one| one.name.as_str());
    let fields: Vec<Value> = made
        .proposals
        .iter()
        .map(|one| {
            json!({
                "field": one.field,
                "column": name(one.column),
                "confidence": one.confidence.word(),
                "why": one.why,
            })
        })
        .collect();
    let unmatched: Vec<Value> = made
        .unmatched
        .iter()
        .map(|(column, near)| json!({"column": name(*column), "candidates": near}))
        .collect();
    json!({
        "object": spec.object.name,
        "operation": spec.operation.as_str(),
        "fields": fields,
        "unmatched": unmatched,
        "missing": made.missing,
    })
}

fn exists(out: &Path) -> CliError {
    CliError::refused("output_exists", format!("{} exists", out.display()))
        .hint("Name another file with --out, or overwrite this one with --force.")
}

/// Writes the file, if one is named. It may hold values, so it is private.
fn write(args: &MapArgs, text: &str) -> Result<(), CliError> {
    let Some(out) = &args.out else { return Ok(()) };
    let mut options = OpenOptions::new();
    options.write(true);
    if args.force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(out).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(out),
        _ => CliError::refused(
            "output",
            format!("{} can't be written: {}", out.display(), error_chain(&error)),
        ),
    })
}

/// The mapping on stdout, unless it went into a file.
fn shown_at_last(args: &MapArgs, context: &Context, text: &str) -> Result<Exit, CliError> {
    match &args.out {
        Some(out) => context.say(&format!("Written: {}", out.display())),
        None => context.print(text)?,
    }
    Ok(Exit::Success)
}

/// The one object of `--json`, with the mapping in it unless it went into a
/// file.
fn finish(
    args: &MapArgs,
    context: &Context,
    mut told: Value,
    text: &str,
) -> Result<Exit, CliError> {
    match &args.out {
        Some(out) => told["out"] = json!(out.display().to_string()),
        None => told["mapping"] = json!(text),
    }
    context.print_json(&told)?;
    Ok(Exit::Success)
}
