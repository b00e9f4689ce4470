//! The `local-org` command.

use clap::Args;

use super::{CliError, Context, Exit};

/// The `local-org` command.
#[derive(Debug, Args)]
pub struct LocalOrgArgs {}

pub(super) fn run(_args: LocalOrgArgs, _context: &Context) -> Result<Exit, CliError> {
    Ok(Exit::Success)
}
