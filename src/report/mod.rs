//! The summary of a run, for people and for machines.
//!
//! | file | what it is |
//! |---|---|
//! | `summary` | what summary.json holds, and how it is written |
//! | `export` | both of an export |
//! | `human` | the summary as a person reads it, within 80 columns |
//! | `format` | counts, bytes, durations and foreign text, ready to print |
//!
//! Nothing here prints, asks a clock or knows the other parts of the house:
//! the figures come in from outside, and texts go out.

mod export;
pub mod format;
mod human;
mod summary;

pub use export::{ExportSummary, ExportedObject};
pub use human::{Telling, WIDTH, render, render_as};
pub use summary::{
    ErrorSummary, JobSummary, OrgSummary, OriginSummary, ResultFile, RowCounts, SUMMARY_FILE,
    SourceSummary, Summary, SummaryError, rows_per_second,
};
