//! Flags of commands that go on from a run: what may be otherwise than it began.

use std::time::Duration;

use clap::Args;

use super::load::{parse_duration, parse_percent};
use crate::domain::FailureLimit;

/// How fast and how far; what isn't given is as the run began.
#[derive(Debug, Args)]
pub(super) struct OverrideArgs {
    /// Jobs at the same time; default: as the run began
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) parallel: Option<u16>,
    /// Detach after this long (`90s`, `30m`, `8h`); the jobs go on
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) max_wait: Option<Duration>,
    /// Jobs that carry a row at most, while it fails for passing reasons
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=20))]
    pub(super) row_attempts: Option<u8>,
    /// Stop when more rows than this went wrong; default: as the run began
    #[arg(long, value_name = "N|P%")]
    pub(super) max_failures: Option<FailureLimit>,
    /// Percent of the org's daily allowances to leave to others
    #[arg(long, value_name = "P%", value_parser = parse_percent)]
    pub(super) reserve: Option<u8>,
}
