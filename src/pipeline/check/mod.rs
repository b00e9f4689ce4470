//! `check`: every row against what the org takes, nothing sent.
//!
//! Two readings of the source. In the first the checker looks at each row as it
//! would be sent and gathers keys; then the org is asked about owners, and about
//! parents and records if that was wanted. In the second, findings are counted
//! and the offending rows written to a file.

mod ask;
mod automation;
mod columns;
mod read;
mod storage;
mod write;

use std::path::PathBuf;

use super::Prepared;
use super::estimate::allowances;
use super::preflight::{PreflightError, blocking};
use crate::checker::{Answers, CheckIoError, CheckRule, Checker, Severity};
use crate::chunker::Duplicates;
use crate::domain::SharedSink;
use crate::salesforce::CallError;

pub use automation::{Automation, AutomationKind, Untold};
pub use storage::StorageNeed;

/// Rows told by name for each rule and column.
pub const FIRST_ROWS: usize = 5;

/// What is checked besides the rows themselves.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// Ask the org for parents, for records to change, and for values that must
    /// be unique.
    pub check_parents: bool,
    /// What the user said of rows that share a key.
    pub duplicates: Option<Duplicates>,
    /// Where the offending rows are written; replaced if it is there.
    pub rows_file: PathBuf,
}

/// Why a check came to no end.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The source or the org.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// Temporary files.
    #[error(transparent)]
    Temporary(#[from] CheckIoError),
    /// The file of offending rows is one of the source.
    #[error("{} is a file of the source; the offending rows would replace it", path.display())]
    RowsFileIsSource {
        /// The file.
        path: PathBuf,
    },
    /// The file of offending rows can't be written.
    #[error("{} can't be written", path.display())]
    RowsFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<CallError> for CheckError {
    fn from(error: CallError) -> Self {
        CheckError::Preflight(error.into())
    }
}

/// Where people find a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRow {
    /// What the file is called.
    pub source: String,
    /// Its number there.
    pub row: u64,
}

/// Rows that break a rule in a column.
#[derive(Debug, Clone)]
pub struct RuleCount {
    /// The rule.
    pub rule: CheckRule,
    /// How reasons call the column, where one is meant.
    pub column: Option<String>,
    /// The field, by its header as sent.
    pub field: Option<String>,
    /// What the field takes, where that helps.
    pub takes: Option<String>,
    /// The reason of the first row.
    pub example: String,
    /// Rows.
    pub rows: u64,
    /// The first of them, [`FIRST_ROWS`] at most.
    pub first_rows: Vec<FoundRow>,
}

/// What a check found.
#[derive(Debug)]
pub struct CheckEnd {
    /// Rows looked at.
    pub read: u64,
    /// Rows that the mapping's filter leaves out.
    pub left_out: u64,
    /// Rows that break a rule of severity [`Severity::Error`].
    pub wrong: u64,
    /// Rows that break others only.
    pub doubtful: u64,
    /// By rule and column, errors first.
    pub counts: Vec<RuleCount>,
    /// The file of the offending rows.
    pub rows_file: PathBuf,
    /// What runs in the org when records of the object are saved.
    pub automation: Automation,
    /// What the new records take of the org's storage.
    pub storage: Option<StorageNeed>,
    /// Allowances that don't suffice, in words.
    pub short: Vec<String>,
    /// What could not be checked, and what else a person should know.
    pub notes: Vec<String>,
}

impl CheckEnd {
    /// Whether a load would go without a row that fails, as far as is known.
    pub fn is_clean(&self) -> bool {
        self.wrong == 0 && self.short.is_empty() && self.storage.is_none_or(StorageNeed::fits)
    }

    /// Counts of a severity.
    pub fn counts_of(&self, severity: Severity) -> impl Iterator<Item = &RuleCount> {
        self.counts.iter().filter(move |count| count.rule.severity() == severity)
    }
}

/// Checks the rows of a prepared load.
///
/// # Errors
/// [`CheckError`]; nothing was sent.
pub async fn check(
    prepared: &Prepared,
    options: CheckOptions,
    events: SharedSink,
) -> Result<CheckEnd, CheckError> {
    write::refuse_source(&options.rows_file, &prepared.source)?;
    let mut notes = Vec::new();
    let (spec, questions) = columns::spec(prepared, &options, &mut notes).await?;
    let mut checker = Checker::new(spec);
    let runs_dir = prepared.request.runs_dir.clone();
    let reading = read::Reading::of(prepared, events);
    let first = {
        let reading = reading.clone();
        blocking(move || {
            read::gather(&reading, &mut checker, &runs_dir).map(|gathered| (gathered, checker))
        })
    };
    let (mut gathered, mut checker) = first.await??;
    let mut answers = Answers::new();
    ask::all(prepared, &questions, &mut gathered, &mut answers, &mut notes).await?;
    let second = {
        let path = options.rows_file.clone();
        blocking(move || write::write(&reading, gathered, &mut checker, answers, &path))
    };
    let told = second.await??;
    let automation = automation::of(prepared).await?;
    let short = allowances(
        &prepared.estimate,
        prepared.limits.as_ref(),
        &prepared.org,
        prepared.request.reserve,
    )
    .into_iter()
    .filter(|allowance| allowance.remaining < allowance.needed)
    .map(|allowance| {
        format!(
            "the load takes about {} {}, the org grants {} more in these 24 hours",
            allowance.needed, allowance.of, allowance.remaining
        )
    })
    .collect();
    Ok(CheckEnd {
        read: told.read,
        left_out: told.left_out,
        wrong: told.wrong,
        doubtful: told.doubtful,
        counts: told.counts,
        rows_file: options.rows_file,
        automation,
        storage: storage::need(prepared),
        short,
        notes,
    })
}
