//! Wires the stages for a load.
//!
//! ```text
//!  planner thread ──chunks──▶ lanes (one job each) ──▶ reconciling (two at a time) ──▶ results thread
//!  reader▶transformer▶chunker   uploader▶poller ◀─rows─   matcher▶outcome file            merged CSV files
//!                                              due again
//! ```
//!
//! [`prepare`] asks and checks everything without sending anything; [`load`]
//! runs it in a [`RunFolder`] and ends with a [`LoadEnd`]: one tally, and why
//! it ended. [`OpenRun`] is a run of an earlier process, which [`resume`] takes
//! up by a [`RecoveryPlan`]. A [`Stop`] makes every stage wind down.
//!
//! [`prepare_retry`] makes a load of the rows of a run that did not succeed.
//!
//! [`Runs`] tells which runs there are, [`resolve`] which one a name means,
//! and [`Account`] what is known of one, from its ledger and outcome files.

mod account;
mod answering;
mod books;
mod carried;
mod check;
mod compiling;
mod corrections;
mod derived;
mod doubles;
mod duplicates;
mod error;
mod estimate;
mod export;
mod folder;
mod grouping;
mod judge;
mod lane;
mod load;
mod original;
mod overrides;
mod pacing;
mod planner;
mod preflight;
mod reading;
mod recovery;
mod request;
mod results;
mod resume;
mod resume_settle;
mod retried;
mod retry;
mod retry_rows;
mod run;
mod run_name;
mod runs;
mod settle;
mod standard_input;
mod stop;
mod table_reader;
mod twins;
mod window;
mod work;

pub use account::{Account, AccountError};
pub use books::{JobReport, LoadEnd};
pub use check::{
    Automation, AutomationKind, CheckEnd, CheckError, CheckOptions, FIRST_ROWS, FoundRow,
    RuleCount, StorageNeed, Untold, check,
};
pub use corrections::CorrectionError;
pub use derived::{DerivedError, Origin, origin_of, original_path};
pub use duplicates::DuplicatesError;
pub use error::LoadError;
pub use estimate::{Allowance, Estimate};
pub use export::{
    CountVerdict, ExportEnd, ExportRefusal, ExportRequest, ExportRunError, ExportTarget,
    MOST_PARTS, NoInstant, ObjectEnd, OpenExport, PreparedExport, PreparedObject, Since, Split,
    UNFIT_FILE, export, look_at_export, prepare_export, resume_export,
};
pub use folder::RunFolder;
pub use grouping::GroupingError;
pub use load::load;
pub use original::{FilePart, file_parts};
pub use overrides::{Overrides, RowsRead};
pub use pacing::{LaneGate, LanePermit, LaneStart, PaceChange, PushBack};
pub use preflight::{PreflightError, Prepared, SCAN_UP_TO, prepare};
pub use recovery::{AttemptFacts, ChunkFacts, Next, OrgSays, RecoveryPlan, next};
pub use request::LoadRequest;
pub use resume::{MaybeOurs, OpenRun, Resumable, ResumeError, close, resume};
pub use resume_settle::resume_and_settle;
pub use retry::{Left, RetryError, Wish as RetryWish, prepare_retry};
pub use run_name::{RunNameError, newest_unfinished, resolve};
pub use runs::{RunEntry, RunState, Runs};
pub use settle::SettleError;
pub use standard_input::SpooledInput;
pub use stop::{Stop, StopReason};
pub use table_reader::TableReader;
