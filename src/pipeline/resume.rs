//! Takes a run of an earlier process up again.
//!
//! [`OpenRun`] is the run with its lock held; [`OpenRun::prepare`] looks at
//! source and org and draws the plan, which changes nothing; [`resume`] does
//! what the plan says.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::account::{Account, AccountError};
use super::books::Books;
use super::derived::{Derivation, Derived, DerivedError};
use super::load::drive;
use super::original::{Names, Reopening, known, reopen};
use super::overrides::{Overrides, RowsRead};
use super::preflight::sizing;
use super::recovery::{AttemptFacts, ChunkFacts, Next, OrgSays, RecoveryPlan, next};
use super::run::{Run, Setup};
use super::table_reader::TableReader;
use super::{LoadEnd, LoadError, LoadRequest, RunFolder, Stop};
use crate::chunker::PlannedChunk;
use crate::domain::{AttemptState, Event, JobState, RowNumber, SharedSink};
use crate::ledger::{
    ChunkState, Ledger, LedgerError, SharedLedger, SourceRecord, StoredAttempt, StoredChunk,
    StoredRun,
};
use crate::mapping::{MappingError, Secrets};
use crate::reader::{Source, SourceOptions};
use crate::rows::{GroupIndex, SourceError, Stretch};
use crate::salesforce::{CallError, Org};
use crate::transformer::Plan;

/// Pages of the org's list of jobs that are looked through for one of ours: a
/// thousand jobs each.
const PAGES_OF_JOBS: usize = 20;

/// How far the clocks of the org and of this machine may be apart when a job is
/// taken for one that may be ours.
pub(super) const CLOCKS_APART: Duration = Duration::from_mins(10);

/// What an earlier process left to do.
#[derive(Debug, Clone, Default)]
pub(super) struct Backlog {
    /// Its chunks in order, and what is next for each.
    pub(super) chunks: Vec<(u64, Next)>,
    /// Rows read so far.
    pub(super) read: u64,
    /// Where reading goes on; `None` for the source's first row.
    pub(super) from: Option<Stretch>,
    /// Whether the source was read to its end.
    pub(super) exhausted: bool,
    /// Of a run that begins: chunks that were cut before the start already, from
    /// the first one on.
    pub(super) ready: Vec<PlannedChunk>,
}

/// Why a run can't be taken up again. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The ledger can't be opened.
    #[error("the ledger can't be opened")]
    Ledger(#[from] LedgerError),
    /// The run folder can't be used.
    #[error("{} can't be used", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Every row has its outcome.
    #[error("run {id} is complete: every row has its outcome")]
    Complete {
        /// Run id.
        id: String,
        /// What it ended with.
        exit_code: u8,
    },
    /// The user closed it for good.
    #[error("run {id} was aborted; nothing more is sent of it")]
    Aborted {
        /// Run id.
        id: String,
    },
    /// The run died before its source was recorded, so nothing was sent.
    #[error("run {id} ended before anything of it was sent")]
    NothingBegun {
        /// Run id.
        id: String,
    },
    /// The mapping of the run can't go on as it began.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The settings in the ledger are not those of this release.
    #[error("the ledger's {what} can't be understood")]
    Settings {
        /// Which part.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// The source can't be read.
    #[error("the source can't be read")]
    Source(#[source] SourceError),
    /// The source was made from another file, and what leads back to it is
    /// missing or damaged.
    #[error("the source of the run can't be used")]
    Derived(#[from] DerivedError),
    /// The source is not the file it was.
    #[error(
        "{} was changed since the run began ({what}); rows cut from it now would not be those \
         that the ledger knows",
        path.display()
    )]
    SourceChanged {
        /// The file.
        path: PathBuf,
        /// What is different.
        what: &'static str,
    },
    /// The login leads to another org (I11).
    #[error("run {id} belongs to org {expected}, this is {found}")]
    WrongOrg {
        /// Run id.
        id: String,
        /// The org it began with.
        expected: String,
        /// The org of the login.
        found: String,
    },
    /// The outcomes so far can't be read.
    #[error("what is known of the run can't be read")]
    Account(#[from] AccountError),
    /// The org can't be asked.
    #[error("the org can't be asked")]
    Call(#[from] CallError),
    /// A thread broke off.
    #[error("looking at the run broke off")]
    Interrupted,
}

/// A run of an earlier process, with its lock held: no other process works on
/// it.
#[derive(Debug)]
pub struct OpenRun {
    folder: RunFolder,
    ledger: Ledger,
    stored: StoredRun,
    request: LoadRequest,
    command: serde_json::Value,
}

impl OpenRun {
    /// Opens a run to go on with it, whatever its state.
    ///
    /// # Errors
    /// [`ResumeError`]: no ledger, a damaged one, one of another process, or of
    /// a later release.
    pub fn open(folder: &Path) -> Result<Self, ResumeError> {
        let folder = RunFolder::open(folder)
            .map_err(|(path, source)| ResumeError::Folder { path, source })?;
        let ledger = Ledger::open(&folder.ledger())?;
        folder
            .make_working_folders()
            .map_err(|(path, source)| ResumeError::Folder { path, source })?;
        let stored = ledger.run()?;
        let part = |name: &str| stored.run.settings.get(name).cloned().unwrap_or_default();
        let request = serde_json::from_value(part("request"))
            .map_err(|source| ResumeError::Settings { what: "settings", source })?;
        let command = part("command");
        Ok(OpenRun { folder, ledger, stored, request, command })
    }

    /// What the ledger says of the run.
    pub fn stored(&self) -> &StoredRun {
        &self.stored
    }

    /// Its folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The settings it began with.
    pub fn request(&self) -> &LoadRequest {
        &self.request
    }

    /// What the cli kept at the start.
    pub fn command(&self) -> &serde_json::Value {
        &self.command
    }

    /// Rows whose fate is not proven.
    ///
    /// # Errors
    /// [`ResumeError::Ledger`].
    pub fn disputed(&self) -> Result<u64, ResumeError> {
        Ok(self.ledger.tally()?.disputed)
    }

    /// Refuses a run that there is nothing left to do for.
    ///
    /// # Errors
    /// [`ResumeError::Complete`], [`ResumeError::Aborted`].
    pub fn check_unfinished(&self) -> Result<(), ResumeError> {
        let id = self.stored.run.id.clone();
        if self.stored.aborted_at.is_some() {
            return Err(ResumeError::Aborted { id });
        }
        match self.stored.end {
            Some(end) if end.status == crate::ledger::RunStatus::Completed => {
                Err(ResumeError::Complete { id, exit_code: end.exit_code })
            }
            _ => Ok(()),
        }
    }

    /// Its ledger.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Refuses another org than the one the run began with (I11).
    pub(super) fn check_org(&self, org: &Org) -> Result<(), ResumeError> {
        let expected = &self.stored.run.org.id;
        let found = &org.identity().org_id;
        if same_org(expected, found) {
            return Ok(());
        }
        Err(ResumeError::WrongOrg {
            id: self.stored.run.id.clone(),
            expected: expected.clone(),
            found: found.clone(),
        })
    }

    /// Looks at source and org and draws the plan. Changes nothing.
    ///
    /// # Errors
    /// [`ResumeError`].
    pub async fn prepare(self, org: Org, overrides: Overrides) -> Result<Resumable, ResumeError> {
        self.check_org(&org)?;
        let (secrets, reads) = (overrides.secrets.clone(), overrides.rows);
        let looked = tokio::task::spawn_blocking(move || look(self, &secrets, reads)).await;
        let Looked {
            open,
            source,
            names,
            derived,
            groups,
            plan,
            account,
            chunks,
            attempts,
            sources,
        } = looked.map_err(|_| ResumeError::Interrupted)??;
        let facts = facts(&chunks, &attempts);
        let answers = ask(&org, &facts).await?;
        let says = |job: &str| answers.get(job).copied().unwrap_or(OrgSays::Nothing);
        let exhausted = sources.iter().all(|source| source.rows.is_some());
        let last = chunks.last().map(|last| &last.chunk);
        let backlog = Backlog {
            chunks: facts.iter().map(|chunk| (chunk.number, next(chunk, &says))).collect(),
            read: chunks.iter().map(|chunk| chunk.chunk.read).sum(),
            from: last.map(|last| Stretch {
                start: last.end,
                end: source.end(),
                first_row: last.last_row.plus(1),
            }),
            exhausted,
            ready: Vec::new(),
        };
        let told = |row| match &derived {
            Some(derived) => derived.row_of(row),
            None => row,
        };
        let read_on = backlog.from.map_or(RowNumber(1), |from| from.first_row);
        let read_on = (!exhausted).then(|| told(read_on).0);
        let recovery = RecoveryPlan::of(&facts, &answers, read_on);
        let unanswered: Vec<&StoredAttempt> = attempts
            .iter()
            .filter(|attempt| matches!(attempt.state, AttemptState::Creating | AttemptState::Lost))
            .collect();
        let maybe_ours = if unanswered.is_empty() {
            Vec::new()
        } else {
            // For a person to know; a list that can't be had is no reason to wait.
            jobs_that_may_be_ours(&org, &open.stored, &unanswered, &attempts)
                .await
                .unwrap_or_default()
        };
        let mut request = open.request.clone();
        request.lanes = overrides.lanes.unwrap_or(request.lanes);
        // Time to wait is for one process.
        request.max_wait = overrides.max_wait;
        request.row_attempts = overrides.row_attempts.unwrap_or(request.row_attempts);
        request.max_failures = overrides.max_failures.or(request.max_failures);
        request.reserve = overrides.reserve.unwrap_or(request.reserve);
        Ok(Resumable {
            open,
            org,
            request,
            source,
            names,
            derived,
            groups,
            plan: Arc::new(plan),
            account,
            chunks,
            attempts,
            backlog,
            recovery,
            maybe_ours,
        })
    }
}

/// What was found on this machine.
struct Looked {
    open: OpenRun,
    source: Source,
    names: Names,
    derived: Option<Derived>,
    groups: Option<GroupIndex>,
    plan: Plan,
    account: Account,
    chunks: Vec<StoredChunk>,
    attempts: Vec<StoredAttempt>,
    sources: Vec<SourceRecord>,
}

fn look(open: OpenRun, secrets: &Secrets, reads: RowsRead) -> Result<Looked, ResumeError> {
    let sources = open.ledger.sources()?;
    let Some(record) = sources.first() else {
        return Err(ResumeError::NothingBegun { id: open.stored.run.id.clone() });
    };
    let mut plan: Plan = serde_json::from_value(record.plan.clone())
        .map_err(|source| ResumeError::Settings { what: "plan of columns", source })?;
    let is_read = sources.iter().all(|source| source.rows.is_some());
    match plan.make_ready(secrets, open.folder.path(), &TableReader::new(open.folder.path())) {
        Err(_) if reads == RowsRead::None || (reads == RowsRead::Rest && is_read) => {}
        ready => ready?,
    }
    let derivation = Derivation::of(record)?;
    let options = &open.request.options;
    let source = open_source(record, derivation.as_ref(), &open.folder, &plan, options)?;
    let (derived, groups) = match &derivation {
        Some(derivation) => {
            (derivation.open(&open.folder, record, options)?, derivation.groups(&open.folder)?)
        }
        None => (None, None),
    };
    let names = match &derived {
        None => Names::of(&source, None),
        Some(derived) => {
            let files = known(record, &open.folder).map_err(DerivedError::Unknown)?;
            Names::known(&files, Some(Arc::clone(&derived.map)))
        }
    };
    let account = Account::read(&open.ledger, &open.folder)?;
    let (chunks, attempts) = (open.ledger.chunks()?, open.ledger.attempts()?);
    Ok(Looked { open, source, names, derived, groups, plan, account, chunks, attempts, sources })
}

/// Opens the source again and refuses one that was changed.
pub(super) fn open_source(
    record: &SourceRecord,
    derivation: Option<&Derivation>,
    folder: &RunFolder,
    plan: &Plan,
    options: &SourceOptions,
) -> Result<Source, ResumeError> {
    let is_derived = derivation.is_some_and(|derivation| derivation.map.is_some());
    let Some(derivation) = derivation.filter(|_| is_derived) else {
        return reopen(record, folder, options).map_err(|error| match error {
            Reopening::Source(error) => ResumeError::Source(error),
            Reopening::Changed { path, what } => ResumeError::SourceChanged { path, what },
            Reopening::Unknown(source) => ResumeError::Settings { what: "files", source },
        });
    };
    let path = derivation.path(folder, &record.path);
    let source = Source::open_own(&path, plan.source).map_err(ResumeError::Source)?;
    let now = source.identity();
    // A run folder may be moved, so time and inode tell nothing.
    let what = if now.bytes != record.bytes {
        "its size"
    } else if now.digest != record.edge_digest {
        "its content"
    } else {
        return Ok(source);
    };
    Err(ResumeError::SourceChanged { path, what })
}

fn same_org(one: &str, other: &str) -> bool {
    one.get(..15).is_some_and(|start| other.get(..15) == Some(start))
}

fn facts(chunks: &[StoredChunk], attempts: &[StoredAttempt]) -> Vec<ChunkFacts> {
    let mut of_chunk: HashMap<u64, Vec<AttemptFacts>> = HashMap::new();
    for attempt in attempts {
        of_chunk.entry(attempt.chunk).or_default().push(AttemptFacts {
            number: attempt.number,
            state: attempt.state,
            job: attempt.job_id.clone(),
            accounted: attempt.outcomes.is_some(),
        });
    }
    chunks
        .iter()
        .map(|stored| ChunkFacts {
            number: stored.chunk.number,
            rows: stored.chunk.rows.len(),
            reconciled: stored.state == ChunkState::Reconciled,
            attempts: of_chunk.remove(&stored.chunk.number).unwrap_or_default(),
        })
        .collect()
}

/// Asks after the jobs whose fate decides what is next; one call each.
async fn ask(org: &Org, chunks: &[ChunkFacts]) -> Result<BTreeMap<String, OrgSays>, ResumeError> {
    let mut answers = BTreeMap::new();
    for chunk in chunks.iter().filter(|chunk| !chunk.reconciled) {
        let open = chunk.attempts.last().filter(|attempt| !attempt.accounted);
        let Some(job) = open.and_then(|attempt| attempt.job.clone()) else { continue };
        let says = match org.job(&job).await {
            Ok(info) => OrgSays::State(info.state, info.records_processed.unwrap_or(0)),
            Err(error) if error.says_no_such_job() => OrgSays::NoSuchJob,
            // What passes is the lanes' to wait out.
            Err(error) if error.is_transient() => OrgSays::Nothing,
            Err(error) => return Err(error.into()),
        };
        answers.insert(job, says);
    }
    Ok(answers)
}

/// A job that a lost create call may have made. It is reported, never touched:
/// jobs carry no client's name, and another tool of the same user may be
/// uploading into it (I4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaybeOurs {
    /// Job id.
    pub job: String,
    /// When the org created it.
    pub created: String,
}

async fn jobs_that_may_be_ours(
    org: &Org,
    stored: &StoredRun,
    unanswered: &[&StoredAttempt],
    attempts: &[StoredAttempt],
) -> Result<Vec<MaybeOurs>, ResumeError> {
    let known = |id: &str| {
        attempts.iter().any(|attempt| {
            attempt.job_id.as_deref().is_some_and(|job| job.get(..15) == id.get(..15))
        })
    };
    let near = |created: &str| {
        let Some(created) = instant(created) else { return true };
        unanswered.iter().any(|attempt| {
            let apart = created.duration_since(attempt.times.creating).unsigned_abs();
            apart <= CLOCKS_APART
        })
    };
    let mut found = Vec::new();
    let mut locator = None;
    for _ in 0..PAGES_OF_JOBS {
        let page = org.list_jobs(locator.as_deref()).await?;
        for job in page.jobs {
            let created = job.created.clone().unwrap_or_default();
            let alike = job.state == JobState::Open
                && job.object.eq_ignore_ascii_case(&stored.run.object)
                && stored.run.operation.is_some_and(|own| job.operation == own.as_str())
                && job.created_by.as_deref().is_none_or(|by| by == org.identity().user_id);
            if alike && !known(&job.id) && near(&created) {
                found.push(MaybeOurs { job: job.id, created });
            }
        }
        locator = page.next;
        if locator.is_none() {
            break;
        }
    }
    Ok(found)
}

/// A time as REST writes it: `2026-01-15T08:30:12.000+0000`.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    let utc = text.strip_suffix("+0000").map(|start| format!("{start}Z"));
    utc.as_deref().unwrap_or(text).parse().ok()
}

/// A run that may be taken up, with the plan for a person to see.
pub struct Resumable {
    open: OpenRun,
    /// The org it goes on with.
    pub org: Org,
    /// Its settings, with what was changed.
    pub request: LoadRequest,
    /// Its source, which is what it was.
    pub source: Source,
    names: Names,
    derived: Option<Derived>,
    groups: Option<GroupIndex>,
    /// What is sent of each row.
    pub plan: Arc<Plan>,
    account: Account,
    chunks: Vec<StoredChunk>,
    attempts: Vec<StoredAttempt>,
    backlog: Backlog,
    /// What will be done.
    pub recovery: RecoveryPlan,
    /// Jobs that may be ours and are left alone.
    pub maybe_ours: Vec<MaybeOurs>,
}

impl Resumable {
    /// What the ledger says of the run.
    pub fn stored(&self) -> &StoredRun {
        &self.open.stored
    }

    /// Its folder.
    pub fn folder(&self) -> &RunFolder {
        &self.open.folder
    }

    /// What is known of it so far.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Whether every row had its outcome before.
    pub fn is_complete(&self) -> bool {
        self.backlog.exhausted && self.backlog.chunks.iter().all(|(_, next)| *next == Next::Done)
    }

    /// The sent columns of these names, which find the records of an insert.
    ///
    /// # Errors
    /// The first name that is no sent column.
    pub fn key_columns<'a>(&self, names: &'a [String]) -> Result<Vec<usize>, &'a str> {
        let find = |name: &'a String| {
            let is_it = |column: &crate::transformer::PlannedColumn| {
                column.name == *name || column.header.eq_ignore_ascii_case(name.trim())
            };
            self.plan.columns.iter().position(is_it).ok_or(name.as_str())
        };
        names.iter().map(find).collect()
    }

    /// Rows that are not settled: still to be read, sent or told of.
    pub fn rows_left(&self) -> u64 {
        self.account.tally.pending()
    }
}

/// Does what the plan says, until every row has its fate or the run is asked
/// to stop.
///
/// # Errors
/// As [`super::load()`].
pub async fn resume(
    resumable: Resumable,
    events: SharedSink,
    stop: Stop,
) -> Result<LoadEnd, LoadError> {
    go_on(resumable, events, stop, false).await
}

async fn go_on(
    resumable: Resumable,
    events: SharedSink,
    stop: Stop,
    closing: bool,
) -> Result<LoadEnd, LoadError> {
    let (run, backlog, started) = take_up(resumable, events, stop, closing);
    run.ledger.run(Ledger::reopen_run).await?;
    drive(&run, backlog, started).await
}

/// A run at work again, and what is left to do.
pub(super) fn take_up(
    resumable: Resumable,
    events: SharedSink,
    stop: Stop,
    closing: bool,
) -> (Arc<Run>, Backlog, Timestamp) {
    let Resumable {
        open,
        org,
        request,
        source,
        names,
        derived,
        groups,
        plan,
        account,
        chunks,
        attempts,
        backlog,
        maybe_ours,
        ..
    } = resumable;
    let started = open.stored.run.started_at;
    let books = books(account, &chunks, &attempts);
    let bytes = source.identity().bytes;
    let sizing = sizing(&request, &source);
    events.announce(Event::RunStarted {
        run_id: open.folder.id.clone(),
        folder: open.folder.path().display().to_string(),
        source_bytes: Some(bytes),
        rows: None,
        lanes: request.lanes.max(1),
    });
    let setup = Setup {
        object: plan.object.clone(),
        request,
        org,
        source,
        names,
        plan,
        sizing,
        derived,
        groups,
        counted: None,
        taken_up: true,
        closing,
    };
    let ledger = SharedLedger::new(open.ledger);
    let run = Run::new(setup, open.folder, ledger, events, stop, books);
    for job in maybe_ours {
        run.note(format!(
            "job {} (Open, without data, created {}) may be one whose creation was never \
             answered; it is left alone and ends by itself within 24 hours",
            job.job, job.created
        ));
    }
    (run, backlog, started)
}

/// Closes a run for good: aborts its jobs, takes what they had done, and sends
/// nothing more. Rows that were never sent stay pending. When it could not be
/// done (the org is out of reach, say) the run is as resumable as before, which
/// the verdict tells.
///
/// # Errors
/// As [`super::load()`].
pub async fn close(
    resumable: Resumable,
    events: SharedSink,
    stop: Stop,
) -> Result<LoadEnd, LoadError> {
    go_on(resumable, events, stop, true).await
}

/// The books of the earlier process, as far as they can be known.
pub(super) fn books(account: Account, chunks: &[StoredChunk], attempts: &[StoredAttempt]) -> Books {
    let to_send = chunks.iter().map(|chunk| chunk.chunk.rows.len()).sum();
    let mut books = Books::taken_up(account, to_send);
    for chunk in chunks.iter().filter(|chunk| chunk.state != ChunkState::Reconciled) {
        let number = chunk.chunk.number;
        let was_sent = attempts
            .iter()
            .any(|attempt| attempt.chunk == number && attempt.state.may_have_processed());
        books.chunk_taken_up(number, chunk.chunk.rows.len(), was_sent);
    }
    books
}
