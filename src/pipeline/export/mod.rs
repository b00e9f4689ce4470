//! An export: query jobs, their pages, files of records, and a manifest.
//!
//! ```text
//! SOQL ─▶ query job ─▶ pages, `lanes` at a time ─▶ files, in order ─▶ manifest
//!           │                 │                        │
//!           └──── ledger ◀────┴────────────────────────┘
//! ```
//!
//! What is durable is a file: when it is whole, the ledger knows it, and how
//! far the part is with it. A page is fetched into a file of its own in the
//! run's folder, counted against what the org says of it, and goes when its
//! records are written; a run that died fetches again what no whole file
//! holds, by the same locators, which stay good as long as the job exists.
//!
//! Disk: twice `lanes` pages are under way or wait, and two are being written.
//! Memory: a few blocks of 1 MiB a core and the encoded row group of one file;
//! with a partition, 128 MiB of row groups (I6).

mod account;
mod columns;
mod counts;
mod error;
mod manifest;
mod open;
mod pages;
mod part;
mod prepare;
mod rest;
mod run;
mod since;
mod soql;
mod split;
mod transfer;
mod visibility;
mod write;

pub use account::{ExportEnd, ObjectEnd, look_at_export};
pub use counts::CountVerdict;
pub use error::ExportRunError;
pub use open::{OpenExport, resume_export};
pub use prepare::{
    ExportRefusal, ExportRequest, ExportTarget, PreparedExport, PreparedObject, prepare_export,
};
pub use run::export;
pub use since::{NoInstant, Since};
pub use split::{MOST_PARTS, Split};

/// Folder of the pages that are under way, in the run's folder.
const PAGE_FOLDER: &str = "pages";

/// File of the values that had no place in their columns, in the run's folder.
pub const UNFIT_FILE: &str = "unfit.csv";
