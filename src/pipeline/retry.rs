//! `retry`: a new run from the rows of an earlier one that did not succeed.
//!
//! The rows go, byte for byte or corrected, into a file in the new run's
//! folder, with a map from their positions to the numbers they have in the
//! original. From there on it is a load like any other; what people see carries
//! the original's numbers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::account::{Account, AccountError};
use super::corrections::CorrectionError;
use super::derived::{Derivation, Derived, DerivedError, Origin, Original, RetryOf};
use super::grouping::{NONE, absolute};
use super::original::{Names, known};
use super::preflight::prepare_source;
use super::resume::{OpenRun, open_source};
use super::retry_rows::{Choosing, Chosen};
use super::{LoadRequest, PreflightError, Prepared, ResumeError, RunFolder};
use crate::chunker::Duplicates;
use crate::domain::{FailureLimit, SharedSink};
use crate::ledger::{LedgerError, RunStatus};
use crate::mapping::Secrets;
use crate::reader::{KnownFile, Source};
use crate::reconciler::OutcomeError;
use crate::rows::{Dialect, RowMap, SourceError, SourceRows as _, TemporaryFolder};
use crate::salesforce::Org;
use crate::transformer::Plan;

/// The rows of a retry, in its run folder.
pub(super) const RETRY_CSV: &str = "retry.csv";
/// Which row of the original each of them is.
pub(super) const RETRY_ROWS: &str = "retry.rows";

/// What is asked of a retry.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// A file with corrected values; then only the rows in it go.
    pub with: Option<PathBuf>,
    /// Whether disputed rows of an insert go, too.
    pub include_disputed: bool,
    /// Whether rows go that an earlier retry has saved.
    pub again: bool,
    /// Where runs lie.
    pub runs_dir: PathBuf,
    /// Jobs at a time; as in the earlier run by default.
    pub lanes: Option<usize>,
    /// Detach after this long.
    pub max_wait: Option<Duration>,
    /// Jobs that carry a row at most.
    pub row_attempts: Option<u8>,
    /// How many rows may go wrong.
    pub max_failures: Option<FailureLimit>,
    /// Percent of the allowances that are left to others.
    pub reserve: Option<u8>,
    /// What happens with rows that share a key.
    pub duplicates: Option<Duplicates>,
    /// Where the mapping finds its secret.
    pub secrets: Secrets,
}

/// Rows that did not succeed and are not taken up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// Rejected ones.
    pub rejected: u64,
    /// Disputed ones.
    pub disputed: u64,
    /// Failed, unprocessed and pending ones.
    pub others: u64,
}

/// Why a run can't be retried. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// The run can't be opened, or its source is not what it was.
    #[error(transparent)]
    Run(#[from] ResumeError),
    /// The run can still go on.
    #[error("run {id} is not at its end; its rows are retried once it is")]
    NotEnded {
        /// Its id.
        id: String,
    },
    /// There is nothing to retry.
    #[error("run {id} has no rows to retry")]
    Nothing {
        /// Its id.
        id: String,
        /// What it left that isn't taken up.
        left: Left,
    },
    /// A retry of it is not at its end.
    #[error("run {id} retries rows of it already and is not at its end")]
    Unfinished {
        /// The retry.
        id: String,
    },
    /// A retry has saved rows of it.
    #[error(
        "{rows} of the rows were saved by a retry since, the first of them row {row}; retry that \
         run instead"
    )]
    SavedSince {
        /// Rows saved.
        rows: u64,
        /// The first.
        row: u64,
    },
    /// The corrections can't be taken.
    #[error("{0}")]
    Corrections(#[source] CorrectionError),
    /// The rows can't be loaded.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// A ledger can't be read.
    #[error("the ledger can't be read")]
    Ledger(#[from] LedgerError),
    /// The outcomes of the run can't be read.
    #[error("what is known of the run can't be read")]
    Account(#[from] AccountError),
    /// An outcome file can't be read.
    #[error("the outcomes can't be read")]
    Outcomes(#[from] OutcomeError),
    /// The source can't be read.
    #[error("the source can't be read")]
    Source(#[from] SourceError),
    /// A file can't be read or written.
    #[error("{} can't be used", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A thread broke off.
    #[error("putting the rows together broke off")]
    Interrupted,
}

/// The rows of a retry before it has a run folder.
pub(super) struct PreparedRetry {
    /// Id of the run whose rows they are.
    pub(super) parent: String,
    lock: OpenRun,
    folder: TemporaryFolder,
    derivation: Derivation,
    retry: RetryOf,
    /// The user's own files.
    files: Vec<KnownFile>,
    dialect: Dialect,
}

/// The rows of a retry in its run folder.
pub(super) struct Taken {
    pub(super) source: Source,
    pub(super) derivation: Derivation,
    pub(super) derived: Derived,
    /// The user's own files.
    pub(super) files: Vec<KnownFile>,
    /// The run whose rows they are, with its lock.
    pub(super) parent: OpenRun,
}

impl PreparedRetry {
    fn open(&self, folder: &Path) -> Result<(Source, Arc<RowMap>), PreflightError> {
        let source = Source::open_own(&folder.join(RETRY_CSV), self.dialect)?;
        let path = folder.join(RETRY_ROWS);
        let map = RowMap::open(&path).map_err(|source| PreflightError::Rows { path, source })?;
        Ok((source, Arc::new(map)))
    }

    /// Puts the files into the run folder.
    pub(super) fn move_into(self, folder: &RunFolder) -> Result<Taken, PreflightError> {
        // The text last: when it is there, both are.
        for name in [RETRY_ROWS, RETRY_CSV] {
            let path = folder.path().join(name);
            std::fs::rename(self.folder.path().join(name), &path)
                .map_err(|source| PreflightError::Rows { path, source })?;
        }
        let (source, map) = self.open(folder.path())?;
        let derived = Derived { map, original: None, retry: Some(self.retry) };
        let PreparedRetry { derivation, files, lock, .. } = self;
        Ok(Taken { source, derivation, derived, files, parent: lock })
    }
}

/// Chooses the rows and asks and checks everything, as [`super::prepare`] does.
///
/// # Errors
/// [`RetryError`]; nothing was sent.
pub async fn prepare_retry(
    parent: OpenRun,
    wish: Wish,
    org: Org,
    events: SharedSink,
) -> Result<Prepared, RetryError> {
    parent.check_org(&org)?;
    let stored = parent.stored();
    let id = stored.run.id.clone();
    let is_over = stored.aborted_at.is_some()
        || stored.end.is_some_and(|end| end.status == RunStatus::Completed);
    if !is_over {
        return Err(RetryError::NotEnded { id });
    }
    let request = request(parent.request(), &wish);
    let chosen = tokio::task::spawn_blocking(move || choose(parent, wish)).await;
    let (retry, chosen) = chosen.map_err(|_| RetryError::Interrupted)??;
    let (source, map) = retry.open(retry.folder.path())?;
    let names = Names::known(&retry.files, Some(map));
    let mut prepared = prepare_source(request, source, names, org, events).await?;
    prepared.notes.insert(0, told(&id, &chosen));
    prepared.retry = Some(retry);
    Ok(prepared)
}

/// The settings of the earlier run, with what was changed.
fn request(earlier: &LoadRequest, wish: &Wish) -> LoadRequest {
    LoadRequest {
        lanes: wish.lanes.unwrap_or(earlier.lanes),
        skip: 0,
        limit: None,
        duplicates: wish.duplicates.or(earlier.duplicates),
        // The rows were loaded before, that is the point.
        again: true,
        runs_dir: wish.runs_dir.clone(),
        max_wait: wish.max_wait,
        row_attempts: wish.row_attempts.unwrap_or(earlier.row_attempts),
        max_failures: wish.max_failures.or(earlier.max_failures),
        canary: None,
        // A few rows out of many; what locks goes through the lock pass.
        group_by: Some(NONE.to_owned()),
        reserve: wish.reserve.unwrap_or(earlier.reserve),
        secrets: wish.secrets.clone(),
        ..earlier.clone()
    }
}

fn choose(parent: OpenRun, wish: Wish) -> Result<(PreparedRetry, Chosen), RetryError> {
    let id = parent.stored().run.id.clone();
    let ledger = parent.ledger();
    let sources = ledger.sources()?;
    let Some(record) = sources.first() else {
        return Err(ResumeError::NothingBegun { id }.into());
    };
    let plan: Plan = serde_json::from_value(record.plan.clone())
        .map_err(|source| ResumeError::Settings { what: "plan of columns", source })?;
    let derivation = Derivation::of(record).map_err(ResumeError::from)?;
    let options = &parent.request().options;
    let source = open_source(record, derivation.as_ref(), parent.folder(), &plan, options)?;
    let derived = match &derivation {
        Some(derivation) => {
            derivation.open(parent.folder(), record, options).map_err(ResumeError::from)?
        }
        None => None,
    };
    let files = known(record, parent.folder()).map_err(DerivedError::Unknown);
    let files = files.map_err(ResumeError::from)?;
    let map = derived.as_ref().map(|derived| Arc::clone(&derived.map));
    let names = Names::known(&files, map);
    // Every outcome file is held against the ledger before one is believed.
    let account = Account::read(ledger, parent.folder())?;
    let path = wish.runs_dir.join(format!(".retry-{id}"));
    let folder = TemporaryFolder::create(&path)
        .map_err(|source| RetryError::Io { path: path.clone(), source })?;
    let choosing = Choosing {
        parent: &parent,
        source: &source,
        derived: derived.as_ref(),
        names: &names,
        plan: &plan,
        wish: &wish,
    };
    let chosen = choosing.write(folder.path())?;
    if let Some((rows, row)) = chosen.saved_since {
        return Err(RetryError::SavedSince { rows, row });
    }
    if chosen.rows == 0 {
        return Err(RetryError::Nothing { id, left: chosen.left });
    }
    // Of a retry's retry it is the first run that the rows belong to.
    let before = derived.as_ref().and_then(|derived| derived.retry.as_ref());
    let retry = RetryOf {
        origin: match before {
            Some(before) => before.origin_with(&account.tally, account.sent),
            None => Origin { run_id: id.clone(), tally: account.tally, sent: account.sent },
        },
        taken: chosen.taken,
        taken_sent: chosen.taken_sent,
        rows: chosen.rows,
    };
    let original = derivation.and_then(|derivation| derivation.original);
    let original = original.unwrap_or_else(|| Original {
        path: absolute(source.path()),
        identity: source.identity().clone(),
    });
    let derivation = Derivation {
        kind: "retry".to_owned(),
        original: Some(original),
        map: Some(RETRY_ROWS.to_owned()),
        index: None,
        group_by: None,
        retry: Some(retry.clone()),
    };
    let dialect = source.dialect();
    let prepared =
        PreparedRetry { parent: id, lock: parent, folder, derivation, retry, files, dialect };
    Ok((prepared, chosen))
}

/// What is taken up, in a sentence.
fn told(id: &str, chosen: &Chosen) -> String {
    let taken = &chosen.taken;
    let pending = chosen.rows - (taken.settled());
    let parts: Vec<String> = [
        ("failed", taken.failed),
        ("unprocessed", taken.unprocessed),
        ("disputed", taken.disputed),
        ("rejected", taken.rejected),
        ("pending", pending),
    ]
    .into_iter()
    .filter(|(_, rows)| *rows > 0)
    .map(|(what, rows)| format!("{rows} {what}"))
    .collect();
    format!("retries rows of run {id}: {}", parts.join(", "))
}
