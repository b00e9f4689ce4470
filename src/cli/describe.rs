//! The `describe` command.

use clap::Args;

use super::{CliError, Context, Exit};

/// The `describe` command.
#[derive(Debug, Args)]
pub struct DescribeArgs {}

pub(super) fn run(_args: DescribeArgs, _context: &Context) -> Result<Exit, CliError> {
    Ok(Exit::Success)
}
