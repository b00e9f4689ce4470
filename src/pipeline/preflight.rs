//! All that is asked and checked before anything is sent.
//!
//! Every problem found is collected, so that a person mends them in one go
//! (exit 2). Nothing here changes the org, and no run folder exists yet.

use std::path::PathBuf;
use std::sync::Arc;

use super::LoadRequest;
use super::compiling::compile_plan;
use super::duplicates::{self, DuplicateRows, DuplicatesError, Encoder};
use super::estimate::{Allowance, Estimate, allowances, estimate, notes};
use super::grouping::{self, Grouped, Grouping, GroupingError};
use super::original::Names;
use super::planner::{chunker_options, in_order};
use super::retry::PreparedRetry;
use super::standard_input::SpooledInput;
use super::window::Window;
use crate::chunker::{ChunkError, ChunkSizing, Chunker, Duplicates, Rehearsal, rehearse_with};
use crate::domain::{Event, ObjectDescription, ROWS_PER_SAVE, RecordId, SharedSink, error_chain};
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
    /// The rows that are not sent because another row has their key.
    pub(super) doubles: Option<DuplicateRows>,
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
    /// Rows that share a key can't be found.
    #[error(transparent)]
    Duplicates(#[from] DuplicatesError),
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
    let mut cut = Cut {
        source: &source,
        names,
        plan: &plan,
        sizing,
        grouped: grouped.as_ref(),
        doubles: None,
    };
    let doubles = find_doubles(&request, &cut, &events).await?;
    request.doubles_found = doubles.is_some();
    cut.doubles = doubles.as_ref();
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
    if let Some(rows) = doubles.as_ref().map(|doubles| doubles.rows).filter(|rows| *rows > 0) {
        notes.push(format!(
            "{rows} of them share their {} with another row, which --duplicates settles",
            key_name(&plan)
        ));
    }
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
        doubles,
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
    doubles: Option<&'a DuplicateRows>,
}

impl Cut<'_> {
    /// The rows in the order in which they are cut.
    fn rows(&self, request: &LoadRequest) -> Result<Window, PreflightError> {
        let other_order = match self.grouped {
            Some(grouped) => grouped.open(self.source.dialect())?,
            None => None,
        };
        // A derived source holds the rows of the window alone.
        Ok(match &other_order {
            Some(derived) => Window::new(derived.rows(None)?, 0, None),
            None => Window::new(self.source.rows(None)?, request.skip, request.limit),
        })
    }

    /// How people know the rows that are cut.
    fn names(&self) -> Names {
        let map = self.grouped.and_then(|grouped| Some(Arc::clone(&grouped.derived.as_ref()?.map)));
        match map {
            Some(map) => Names::of(self.source, Some(map)),
            None => self.names.clone(),
        }
    }
}

/// Finds rows that share a key over the whole source, where it was said what is
/// to be done with them.
async fn find_doubles(
    request: &LoadRequest,
    cut: &Cut<'_>,
    events: &SharedSink,
) -> Result<Option<DuplicateRows>, PreflightError> {
    let Some(policy) = duplicates::policy(request, cut.plan) else { return Ok(None) };
    let mut rows = cut.rows(request)?;
    let (plan, events) = (Arc::clone(cut.plan), Arc::clone(events));
    let (runs_dir, total) = (request.runs_dir.clone(), cut.source.identity().bytes);
    // In another order than the original's, the first row is still the first.
    let names = cut.grouped.and_then(|grouped| grouped.derived.as_ref()).map(|_| cut.names());
    let found = blocking(move || {
        duplicates::find(policy, &plan, &mut rows, names.as_ref(), &runs_dir, &events, total)
    });
    Ok(Some(found.await??))
}

async fn run_survey(
    request: &LoadRequest,
    cut: &Cut<'_>,
    events: SharedSink,
) -> Result<Rehearsal, PreflightError> {
    let &Cut { source, plan, sizing, grouped, .. } = cut;
    let mut rows = cut.rows(request)?;
    // Without a word on duplicates they are only counted, and refused.
    let policy = request.duplicates.unwrap_or(Duplicates::Keep);
    let options = chunker_options(plan, sizing, policy, 1, request.canary_rows());
    let doubles = cut.doubles.map(DuplicateRows::open).transpose()?;
    let mut encoder = Encoder::new(Arc::clone(plan), doubles);
    let total = source.identity().bytes;
    let index = grouped.map(|grouped| grouped.index.clone());
    let names = cut.names();
    let found = blocking(move || {
        let chunker = in_order(Chunker::dry(options), index, &names);
        rehearse_with(chunker, &mut rows, &mut |batch| {
            let bytes = batch.read_bytes;
            events.announce(Event::ScanProgress { bytes, total });
            encoder.apply(batch)
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
