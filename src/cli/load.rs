//! The `load` command.

use clap::Args;

use super::{CliError, Context, Exit};

/// The `load` command.
#[derive(Debug, Args)]
pub struct LoadArgs {}

pub(super) fn run(_args: LoadArgs, _context: &Context) -> Result<Exit, CliError> {
    Ok(Exit::Success)
}
