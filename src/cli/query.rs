//! The `query` command.

use clap::Args;

use super::{CliError, Context, Exit};

/// The `query` command.
#[derive(Debug, Args)]
pub struct QueryArgs {}

pub(super) fn run(_args: QueryArgs, _context: &Context) -> Result<Exit, CliError> {
    Ok(Exit::Success)
}
