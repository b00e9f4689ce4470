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

mod folder;
mod lane;
mod load;
mod pacing;
mod planner;
mod preflight;
mod results;
mod stop;
mod window;

pub use folder::RunFolder;
pub use load::{JobReport, LoadEnd, LoadError, load};
pub use pacing::{LaneGate, LanePermit, LaneStart, PaceChange, PushBack};
pub use preflight::{Estimate, LoadRequest, PreflightError, Prepared, SCAN_UP_TO, prepare};
pub use stop::{Stop, StopReason};
