//! The `generate` command.

use clap::Args;

use super::{CliError, Context, Exit};

/// The `generate` command.
#[derive(Debug, Args)]
pub struct GenerateArgs {}

pub(super) fn run(_args: GenerateArgs, _context: &Context) -> Result<Exit, CliError> {
    Ok(Exit::Success)
}
