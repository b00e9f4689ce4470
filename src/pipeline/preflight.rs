//! All that is asked and checked before anything is sent.
//!
//! Every problem found is collected, so that a person mends them in one go
//! (exit 2). Nothing here changes the org, and no run folder exists yet.

use std::path::PathBuf;
use std::sync::Arc;

use super::LoadRequest;
use super::compiling::compile_plan;
use super::grouping::{self, Grouped, Grouping, GroupingError};
use super::original::Names;
use super::planner::{chunker_options, in_order};
use super::retry::PreparedRetry;
use super::standard_input::SpooledInput;
use super::window::Window;
use crate::chunker::{ChunkError, ChunkSizing, Chunker, Duplicates, Rehearsal, rehearse_with};
use crate::domain::{
    Event, ObjectDescription, ROWS_PER_BATCH, ROWS_PER_SAVE, RecordId, SharedSink, error_chain,
};
use crate::ledger::{self, EarlierRun, LedgerError, SourceIdentity};
use crate::mapping::MappingError;
use crate::reader::Source;
use crate::rows::{RowNames as _, SourceError, SourceRows as _, private_file};
use crate::salesforce::{CallError, Limits, Org};
use crate::transformer::{Plan, Problem};

/// Sources up to this size are split through before the start, so that what
/// destroys record borders is found before anything is sent.
pub const SCAN_UP_TO: u64 = 1_000_000_000;

/// Rows from which on a load into production sends some ahead.
const CANARY_FROM: u64 = 50_000;

/// How many these are: one save of the service.
const CANARY_ROWS: u64 = ROWS_PER_SAVE;

/// What a load will take, before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// Rows to send.
    pub rows: u64,
    /// Whether `rows` was counted rather than estimated from the file's size.
    pub counted: bool,
    /// Jobs.
    pub jobs: u64,
    /// Batches of the daily allowance.
    pub batches: u64,
    /// API calls, about.
    pub api_calls: u64,
    /// Seconds, about: what the wire and a usual org take.
    pub seconds: u64,
}

/// What a load takes of one of the org's allowances (I9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// What is counted.
    pub of: &'static str,
    /// What the load takes, about.
    pub needed: u64,
    /// What the org still grants, less what `--reserve` leaves to others.
    pub remaining: u64,
}

/// What `--reserve` leaves to others of an allowance.
pub(super) const fn reserved(max: u64, percent: u8) -> u64 {
    max / 100 * percent as u64 + max % 100 * percent as u64 / 100
}

/// The allowances a load draws on, as far as the org tells.
pub(super) fn allowances(
    estimate: &Estimate,
    limits: Option<&Limits>,
    org: &Org,
    reserve: u8,
) -> Vec<Allowance> {
    let left = |remaining: u64, max: u64| remaining.saturating_sub(reserved(max, reserve));
    let batches =
        limits.and_then(Limits::daily_bulk_batches).map(|limit| left(limit.remaining, limit.max));
    // Every reply tells of calls, also to users who may not read the limits.
    let calls = limits
        .and_then(Limits::daily_api_requests)
        .map(|limit| left(limit.remaining, limit.max))
        .or_else(|| org.usage().daily_calls.map(|(used, max)| left(max.saturating_sub(used), max)));
    [("batches", estimate.batches, batches), ("API calls", estimate.api_calls, calls)]
        .into_iter()
        .filter_map(|(of, needed, remaining)| Some(Allowance { of, needed, remaining: remaining? }))
        .collect()
}

/// A load that may start.
pub struct Prepared {
    /// What was asked for.
    pub request: LoadRequest,
    /// The org.
    pub org: Org,
    /// The object as this user sees it.
    pub object: ObjectDescription,
    /// The source, openable again.
    pub source: Source,
    /// The standard input as a file, if that is the source.
    pub(super) spooled: Option<SpooledInput>,
    /// What is sent of each row.
    pub plan: Arc<Plan>,
    /// The source in groups, where rows of one parent stay together.
    pub(super) grouped: Option<Grouped>,
    /// The run whose rows are retried, and these rows.
    pub(super) retry: Option<PreparedRetry>,
    /// What splitting the source through found, if it was.
    pub survey: Option<Rehearsal>,
    /// How chunks are sized.
    pub sizing: ChunkSizing,
    /// What it will take.
    pub estimate: Estimate,
    /// What the org grants, where this user may know.
    pub limits: Option<Limits>,
    /// What a person should know before saying yes.
    pub notes: Vec<String>,
}

/// Why a load must not start. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// The source can't be loaded.
    #[error("the source can't be loaded")]
    Source(#[from] SourceError),
    /// The org refused or can't be reached.
    #[error("the org can't be asked")]
    Call(#[from] CallError),
    /// The org has no such object, or this user may not see it.
    #[error("the org has no object {name} that this user may see")]
    UnknownObject {
        /// The name asked for.
        name: String,
        /// The nearest name there is.
        nearest: Option<String>,
    },
    /// Header, object and operation don't fit.
    #[error("{source_name} can't be loaded as it is")]
    Problems {
        /// The source.
        source_name: String,
        /// All of them.
        problems: Vec<Problem>,
        /// Whether a mapping says what is sent.
        mapped: bool,
    },
    /// The mapping file can't be used.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// Rows share a key and nobody said what to do with them.
    #[error(
        "rows that repeat the {key} of an earlier row of their chunk: {rows}, the first of them \
         {row} that of {twin}"
    )]
    DuplicateKeys {
        /// Rows that repeat a key.
        rows: u64,
        /// The key column.
        key: String,
        /// The first such row, in words.
        row: String,
        /// The row it repeats, in words.
        twin: String,
    },
    /// The day's allowance does not suffice.
    #[error(
        "the load takes about {} {}, the org grants {} more in these 24 hours",
        allowance.needed,
        allowance.of,
        allowance.remaining
    )]
    Allowance {
        /// Which, and how much.
        allowance: Allowance,
    },
    /// The same was loaded before, or is being loaded.
    #[error(
        "run {} {}",
        run.run.run.id,
        if run.is_unfinished() {
            "of the same source is not finished"
        } else {
            "already inserted the same source"
        }
    )]
    Earlier {
        /// The earlier run.
        run: Box<EarlierRun>,
    },
    /// Rows can't be put in groups.
    #[error("the rows can't be put in groups")]
    Grouping(#[from] GroupingError),
    /// The earlier runs can't be looked through.
    #[error("the runs folder can't be read")]
    Ledger(#[from] LedgerError),
    /// The rows of a retry can't be put into the run's folder.
    #[error("{} can't be put in its place", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The survey's thread broke off.
    #[error("the check of the source broke off")]
    Interrupted,
}

/// Asks and checks everything.
///
/// # Errors
/// [`PreflightError`]; nothing was sent.
pub async fn prepare(
    request: LoadRequest,
    spooled: Option<SpooledInput>,
    org: Org,
    events: SharedSink,
) -> Result<Prepared, PreflightError> {
    let (sources, options) = (request.sources.clone(), request.options.clone());
    let (source, spooled) = blocking(move || match spooled {
        Some(spooled) => {
            let source = spooled.open(&options);
            (source, Some(spooled))
        }
        None => (Source::open(&sources, &options), None),
    })
    .await?;
    let source = source?;
    let names = Names::of(&source, None);
    let prepared = prepare_source(request, source, names, org, events).await?;
    Ok(Prepared { spooled, ..prepared })
}

/// As [`prepare`], for a source that is open already, whose rows people know by
/// these names.
///
/// # Errors
/// [`PreflightError`]; nothing was sent.
pub(super) async fn prepare_source(
    mut request: LoadRequest,
    source: Source,
    names: Names,
    org: Org,
    events: SharedSink,
) -> Result<Prepared, PreflightError> {
    let object = describe(&org, &request.object).await?;
    check_assignment_rule(&request, &object)?;
    let unreadable = {
        let (request, source) = (request.clone(), source.clone());
        let (org_id, object) = (org.identity().org_id.clone(), object.name.clone());
        blocking(move || refuse_accidental_repeat(&request, &org_id, &source, &object)).await??
    };
    let plan = Arc::new(compile_plan(&request, &org, &source, &object).await?);

    let bytes = source.identity().bytes;
    let sizing = sizing(&request, &source);
    let grouped = group(&request, &plan, &object, &source, sizing, &events).await?;
    let cut = Cut { source: &source, names, plan: &plan, sizing, grouped: grouped.as_ref() };
    let survey = if request.scan || bytes <= SCAN_UP_TO {
        let survey = run_survey(&request, &cut, Arc::clone(&events)).await?;
        let rows = survey.sent;
        if settle_canary(&mut request, &org, rows) {
            // The rehearsal has the borders of the run, so once more.
            Some(run_survey(&request, &cut, events).await?)
        } else {
            Some(survey)
        }
    } else {
        settle_canary(&mut request, &org, u64::MAX);
        None
    };
    let refuses_doubles = request.duplicates.is_none() && !request.checks_only;
    if let Some(survey) = survey.as_ref().filter(|_| refuses_doubles)
        && let Some((row, twin)) = survey.duplicate_example
    {
        let named = |row| {
            // The example has the numbers of the original already.
            let names = Names::of(&source, None);
            names.name_of(row).unwrap_or_else(|_| format!("row {row}"))
        };
        return Err(PreflightError::DuplicateKeys {
            rows: survey.duplicates,
            key: key_name(&plan),
            row: named(row),
            twin: named(twin),
        });
    }

    let limits = match org.limits().await {
        Ok(limits) => Some(limits),
        // Without "View Setup and Configuration".
        Err(error) if error.status == Some(403) && !error.is_allowance() => None,
        Err(error) => return Err(error.into()),
    };
    let estimate = estimate(&request, survey.as_ref(), source.text_bytes(), &sizing);
    for allowance in allowances(&estimate, limits.as_ref(), &org, request.reserve) {
        let is_short = estimate.counted && allowance.remaining < allowance.needed;
        if is_short && !request.checks_only {
            return Err(PreflightError::Allowance { allowance });
        }
    }
    let mut notes = notes(
        &plan,
        survey.as_ref(),
        request.duplicates,
        limits.is_some(),
        &allowances(&estimate, limits.as_ref(), &org, request.reserve),
    );
    notes.extend(source.notes().iter().cloned());
    notes.extend(grouped.as_ref().map(Grouped::forecast));
    notes.extend(unreadable);
    Ok(Prepared {
        request,
        org,
        object,
        source,
        spooled: None,
        plan,
        grouped,
        retry: None,
        survey,
        sizing,
        estimate,
        limits,
        notes,
    })
}

/// How chunks are sized: by what is known without reading the source even when
/// its rows are counted before the start, so that the rehearsal has the very
/// borders of the run, and a resume those of its first process.
pub(super) fn sizing(request: &LoadRequest, source: &Source) -> ChunkSizing {
    let bytes = source.text_bytes();
    let rows = match (source.known_rows(), request.limit) {
        (Some(rows), limit) => Some(limit.map_or(rows, |limit| limit.min(rows))),
        (None, limit) => limit.map(|limit| limit.min(bytes)),
    };
    let (lanes, most) = (request.lanes, request.chunk_rows);
    ChunkSizing::for_source(rows, bytes, lanes, most, request.chunk_bytes)
}

/// Decides how many rows are sent ahead where the user did not; whether that
/// are any.
fn settle_canary(request: &mut LoadRequest, org: &Org, rows: u64) -> bool {
    if request.canary.is_some() {
        return false;
    }
    let wanted = org.identity().production && rows >= CANARY_FROM;
    request.canary = Some(if wanted { CANARY_ROWS } else { 0 });
    wanted
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PreflightError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| PreflightError::Interrupted)
}

async fn describe(org: &Org, name: &str) -> Result<ObjectDescription, PreflightError> {
    match org.describe(name).await {
        Ok(object) => Ok(object),
        Err(error) if error.is_not_found() => {
            let objects = org.objects().await?;
            let names = objects.iter().map(|object| object.name.as_str());
            Err(PreflightError::UnknownObject {
                name: name.to_owned(),
                nearest: crate::domain::nearest(name, names).map(str::to_owned),
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// Looks once more, with the runs folder locked, and makes the ledger before
/// the lock goes: of two loads that start at once, one sees the other.
///
/// # Errors
/// [`PreflightError`] when an earlier run is in the way, or the ledger can't
/// be made.
pub(super) fn alone<T>(
    prepared: &Prepared,
    make_ledger: impl FnOnce() -> Result<T, LedgerError>,
) -> Result<T, PreflightError> {
    let path = prepared.request.runs_dir.join(".lock");
    let io = |source| LedgerError::Io { path: path.clone(), source };
    let lock = private_file(&path).map_err(io)?;
    lock.lock().map_err(io)?;
    let org_id = &prepared.org.identity().org_id;
    refuse_accidental_repeat(&prepared.request, org_id, &prepared.source, &prepared.object.name)?;
    Ok(make_ledger()?)
}

/// Refuses what was loaded before; gives a note for each ledger that could not
/// be read, for nothing is known of its run.
fn refuse_accidental_repeat(
    request: &LoadRequest,
    org_id: &str,
    source: &Source,
    object: &str,
) -> Result<Vec<String>, PreflightError> {
    if request.again || request.checks_only {
        return Ok(Vec::new());
    }
    let known = |identity: &crate::reader::SourceIdentity| SourceIdentity {
        bytes: identity.bytes,
        edge_digest: identity.digest.clone(),
    };
    // Each file by itself as well: it may have been loaded with others.
    let mut sources = vec![known(source.identity())];
    sources.extend(source.files().iter().map(|file| known(&file.identity)));
    let earlier =
        ledger::find_earlier(&request.runs_dir, &sources, org_id, object, request.operation)?;
    // A finished upsert or update may run every night; a finished insert would
    // double its rows, and an unfinished run may still be at work.
    if let Some(run) = earlier.runs.into_iter().find(EarlierRun::forbids_another) {
        return Err(PreflightError::Earlier { run: Box::new(run) });
    }
    Ok(earlier
        .unreadable
        .into_iter()
        .map(|(folder, error)| {
            format!(
                "the ledger in {} can't be read ({}), so what that run loaded is not known",
                folder.display(),
                error_chain(&error)
            )
        })
        .collect())
}

/// An assignment rule goes with Case and Lead ("Create a Job", Bulk API 2.0
/// guide) and is named by its id.
fn check_assignment_rule(
    request: &LoadRequest,
    object: &ObjectDescription,
) -> Result<(), PreflightError> {
    let Some(rule) = &request.assignment_rule else { return Ok(()) };
    let message = if !["Case", "Lead"].contains(&object.name.as_str()) {
        format!("--assignment-rule goes with Case and Lead, not with {}", object.name)
    } else if !RecordId::parse(rule.as_bytes()).is_ok_and(|id| id.key_prefix() == "01Q") {
        "--assignment-rule takes the id of an assignment rule, which begins with 01Q".to_owned()
    } else {
        return Ok(());
    };
    Err(PreflightError::Problems {
        source_name: request.source_name(),
        problems: vec![Problem { message, hint: None }],
        mapped: false,
    })
}

fn key_name(plan: &Plan) -> String {
    plan.key
        .and_then(|key| plan.columns.get(key))
        .map_or_else(|| "key".to_owned(), |column| column.header.clone())
}

impl Prepared {
    /// The run whose rows are retried, if it is a retry.
    pub fn parent_run(&self) -> Option<&str> {
        self.retry.as_ref().map(|retry| retry.parent.as_str())
    }

    /// Whether it takes more than half of what the org still grants.
    pub fn takes_much(&self) -> bool {
        allowances(&self.estimate, self.limits.as_ref(), &self.org, self.request.reserve)
            .iter()
            .any(|allowance| allowance.needed.saturating_mul(2) > allowance.remaining)
    }
}

/// Puts rows of one parent together, where that was asked for or is wise.
async fn group(
    request: &LoadRequest,
    plan: &Arc<Plan>,
    object: &ObjectDescription,
    source: &Source,
    sizing: ChunkSizing,
    events: &SharedSink,
) -> Result<Option<Grouped>, PreflightError> {
    let column = grouping::column(request, plan, object, source.header()).map_err(|problem| {
        PreflightError::Problems {
            source_name: request.source_name(),
            problems: vec![problem],
            mapped: false,
        }
    })?;
    let Some(column) = column else { return Ok(None) };
    let (request, plan) = (request.clone(), Arc::clone(plan));
    let (source, events) = (source.clone(), Arc::clone(events));
    let grouped = blocking(move || {
        let grouping =
            Grouping { request: &request, plan: &plan, source: &source, sizing, events: &events };
        grouping.run(&column)
    });
    Ok(grouped.await??)
}

/// What chunks are cut from.
struct Cut<'a> {
    source: &'a Source,
    /// How people know its rows.
    names: Names,
    plan: &'a Arc<Plan>,
    sizing: ChunkSizing,
    grouped: Option<&'a Grouped>,
}

async fn run_survey(
    request: &LoadRequest,
    cut: &Cut<'_>,
    events: SharedSink,
) -> Result<Rehearsal, PreflightError> {
    let &Cut { source, ref names, plan, sizing, grouped } = cut;
    let other_order = match grouped {
        Some(grouped) => grouped.open(source.dialect())?,
        None => None,
    };
    // A derived source holds the rows of the window alone.
    let mut rows = match &other_order {
        Some(derived) => Window::new(derived.rows(None)?, 0, None),
        None => Window::new(source.rows(None)?, request.skip, request.limit),
    };
    // Without a word on duplicates they are only counted, and refused.
    let duplicates = request.duplicates.unwrap_or(Duplicates::Keep);
    let options = chunker_options(plan, sizing, duplicates, 1, request.canary_rows());
    let plan = Arc::clone(plan);
    let total = source.identity().bytes;
    let index = grouped.map(|grouped| grouped.index.clone());
    let in_groups = grouped.and_then(|grouped| Some(Arc::clone(&grouped.derived.as_ref()?.map)));
    let names = match in_groups {
        Some(map) => Names::of(source, Some(map)),
        None => names.clone(),
    };
    let found = blocking(move || {
        let chunker = in_order(Chunker::dry(options), index, &names);
        rehearse_with(chunker, &mut rows, &mut |batch| {
            let bytes = batch.read_bytes;
            events.announce(Event::ScanProgress { bytes, total });
            plan.apply(batch)
        })
    })
    .await?;
    found.map_err(|error| match error {
        ChunkError::Source(error) => PreflightError::Source(error),
        // A dry chunker writes nothing and has no taker that fails.
        ChunkError::Spool { .. } | ChunkError::Sink(_) | ChunkError::Misplaced { .. } => {
            PreflightError::Interrupted
        }
    })
}

fn estimate(
    request: &LoadRequest,
    survey: Option<&Rehearsal>,
    bytes: u64,
    sizing: &ChunkSizing,
) -> Estimate {
    let (rows, jobs, batches) = match survey {
        Some(survey) => (survey.sent, survey.jobs, survey.batches),
        None => {
            // 200 bytes a row is what rows of common objects come to.
            let rows = request.limit.map_or(bytes / 200, |limit| limit.min(bytes / 200));
            let jobs = rows.div_ceil(sizing.rows).max(bytes.div_ceil(sizing.max_bytes.max(1)));
            (rows, jobs, jobs * rows.div_ceil(jobs.max(1)).div_ceil(ROWS_PER_BATCH))
        }
    };
    Estimate {
        rows,
        counted: survey.is_some(),
        jobs,
        batches,
        // Create, upload, close, three result sets, and some ten questions.
        api_calls: jobs * 16 + 6,
        // A usual org takes 5,000 to 20,000 rows a second of a plain object.
        seconds: rows / 10_000 + jobs,
    }
}

fn notes(
    plan: &Plan,
    survey: Option<&Rehearsal>,
    duplicates: Option<Duplicates>,
    has_limits: bool,
    allowances: &[Allowance],
) -> Vec<String> {
    let mut notes: Vec<String> = plan.notes.clone();
    if let Some(survey) = survey {
        notes.extend(found(survey));
    } else {
        notes.push(
            "the source is over 1 GB and was not split through first; --scan does that".to_owned(),
        );
    }
    if !has_limits {
        notes.push(
            "this user may not read the org's limits; they are watched on the way".to_owned(),
        );
    }
    for allowance in allowances {
        if allowance.needed.saturating_mul(2) > allowance.remaining {
            notes.push(format!(
                "takes about {} of the {} {} the org still grants in these 24 hours",
                allowance.needed, allowance.remaining, allowance.of
            ));
        }
    }
    if survey.is_none() && plan.key.is_some() && duplicates.is_none() {
        notes.push(
            "rows of a chunk that share their key will be rejected (--duplicates reject)"
                .to_owned(),
        );
    }
    notes
}

/// What the rehearsal found that a person should know (I7, I11).
fn found(survey: &Rehearsal) -> Vec<String> {
    let mut notes = Vec::new();
    let changes = &survey.changes;
    let mut tell = |count: u64, one: &str, many: &str| match count {
        0 => {}
        1 => notes.push(format!("1 {one}")),
        count => notes.push(format!("{count} {many}")),
    };
    tell(
        survey.rejected,
        "row will not be sent; rejected.csv will say why",
        "rows will not be sent; rejected.csv will say why",
    );
    tell(
        changes.line_ends,
        "cell has a line end that becomes that of the file",
        "cells have line ends that become those of the file",
    );
    tell(
        changes.booleans,
        "word in a boolean field is sent as true or false",
        "words in boolean fields are sent as true or false",
    );
    tell(
        changes.requoted,
        "cell with a quote inside is sent in quotes",
        "cells with a quote inside are sent in quotes",
    );
    tell(
        changes.na_cells,
        "cell is #N/A and clears its field",
        "cells are #N/A and clear their fields",
    );
    tell(
        changes.truncated,
        "value is cut to the length that the mapping says",
        "values are cut to the length that the mapping says",
    );
    tell(changes.cleared, "empty cell clears its field", "empty cells clear their fields");
    notes
}
