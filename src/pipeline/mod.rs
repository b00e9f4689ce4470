//! Wires the stages for a load.
//!
//! ```text
//!  planner thread ──chunks──▶ lanes (one job each) ──▶ reconciling (two at a time) ──▶ results thread
//!  reader▶transformer▶chunker   uploader▶poller          matcher▶outcome file            merged CSV files
//! ```
//!
//! [`prepare`] asks and checks everything without sending anything; [`load`]
//! runs it in a [`RunFolder`] and ends with a [`LoadEnd`]: one tally, and why
//! it ended. A [`Stop`] makes every stage wind down.
//!
//! [`Runs`] tells which runs there are, [`resolve`] which one a name means,
//! and [`Account`] what is known of one, from its ledger and outcome files.

mod account;
mod folder;
mod lane;
mod load;
mod planner;
mod preflight;
mod results;
mod run_name;
mod runs;
mod stop;
mod window;

pub use account::{Account, AccountError};
pub use folder::RunFolder;
pub use load::{JobReport, LoadEnd, LoadError, load};
pub use preflight::{Estimate, LoadRequest, PreflightError, Prepared, SCAN_UP_TO, prepare};
pub use run_name::{RunNameError, newest_unfinished, resolve};
pub use runs::{RunEntry, RunState, Runs};
pub use stop::{Stop, StopReason};
