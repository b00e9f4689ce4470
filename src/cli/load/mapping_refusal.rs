//! A mapping file that can't be used, as a person reads it.

use super::super::CliError;
use crate::mapping::MappingError;

/// All that is wrong with it, a line each with file and line.
pub(in crate::cli) fn of(error: &MappingError) -> CliError {
    let file = error.file_name();
    let lines = error.problems.iter().map(|problem| match &problem.hint {
        Some(hint) => format!("{}\n{hint}", problem.told(&file)),
        None => problem.told(&file),
    });
    CliError::refused("mapping", error.to_string()).problems(lines.collect())
}
