//! Why an export can't go on.

use std::io;
use std::path::PathBuf;

use crate::exporter::ExportError;
use crate::ledger::LedgerError;
use crate::salesforce::CallError;

/// Why an export can't go on.
#[derive(Debug, thiserror::Error)]
pub enum ExportRunError {
    /// A call failed for good.
    #[error("the org can't be asked")]
    Call(#[source] CallError),
    /// The ledger can't be written.
    #[error("the ledger can't be written")]
    Ledger(#[from] LedgerError),
    /// A file can't be written, or a page can't be read.
    #[error("the records can't be written")]
    Export(#[from] ExportError),
    /// A page is not what the org says it is.
    #[error("page {page} of query job {job} does not arrive whole: {wrong}")]
    Page {
        /// The job.
        job: String,
        /// The page, from 1.
        page: u32,
        /// What is wrong with it.
        wrong: String,
    },
    /// The org ended a query job without its results.
    #[error("query job {job} of {object} ended as {state}{}", told(message.as_deref()))]
    JobEnded {
        /// The job.
        job: String,
        /// The object.
        object: String,
        /// Its state: `Failed` or `Aborted`.
        state: String,
        /// What the org says.
        message: Option<String>,
    },
    /// Pages and job disagree about the number of records.
    #[error("query job {job} of {object} found {told} records, its pages held {found}")]
    Count {
        /// The job.
        job: String,
        /// The object.
        object: String,
        /// By the job.
        told: u64,
        /// By the pages.
        found: u64,
    },
    /// What the ledger holds can't be understood.
    #[error("the ledger holds no such {what} as this release reads")]
    Settings {
        /// What.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// A folder or file of the run can't be used.
    #[error("{} can't be used", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A stage broke off; this is a bug in bulkhaul.
    #[error("a stage broke off: {0}")]
    Stage(String),
    /// Asked to stop; not an error to tell.
    #[error("asked to stop")]
    Stopped,
}

fn told(message: Option<&str>) -> String {
    message.map(|message| format!(": {message}")).unwrap_or_default()
}
