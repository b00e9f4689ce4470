//! The `limits` command.

use clap::Args;

use super::{CliError, Context, Exit};

/// The `limits` command.
#[derive(Debug, Args)]
pub struct LimitsArgs {}

pub(super) fn run(_args: LimitsArgs, _context: &Context) -> Result<Exit, CliError> {
    Ok(Exit::Success)
}
