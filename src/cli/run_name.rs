//! What a person is told when a run that is named can't be had.

use std::path::Path;

use super::CliError;
use crate::domain::error_chain;
use crate::ledger::LedgerError;
use crate::pipeline::RunNameError;

/// The error a person sees.
pub(super) fn refusal(error: &RunNameError) -> CliError {
    let told = error_chain(error);
    match error {
        RunNameError::NoRuns { .. } => CliError::refused("no-run", told)
            .hint("Name the folder of the runs with --runs-dir, or the run's own folder."),
        RunNameError::NoSuchRun { nearest, .. } => {
            CliError::refused("no-run", told).hint(match nearest.as_slice() {
                [] => "`bulkhaul runs` lists them.".to_owned(),
                [one] => format!("Did you mean {one}? `bulkhaul runs` lists them all."),
                several => format!("There are {}; `bulkhaul runs` lists all.", several.join(", ")),
            })
        }
        RunNameError::NothingUnfinished { .. } => CliError::refused("no-run", told)
            .hint("There is nothing to go on with; `bulkhaul runs` lists the runs."),
        RunNameError::AtWork { .. } => CliError::refused("run-at-work", told)
            .hint("`bulkhaul runs` and `bulkhaul report` show how far it is."),
        RunNameError::NoLedger { folder } => {
            let missing = LedgerError::Missing { path: folder.join(crate::ledger::FILE_NAME) };
            let told = format!("{} can't be read: {missing}", folder.display());
            advised(CliError::repair("ledger", told), &missing)
        }
        RunNameError::Unreadable { source, .. } => {
            advised(CliError::repair("ledger", told), source)
        }
        RunNameError::NewestUnreadable { .. } => CliError::repair("ledger", told)
            .hint("Name the run that you mean; `bulkhaul runs` lists them."),
        RunNameError::Io { .. } => {
            CliError::repair("local", told).hint("Check --runs-dir, and the rights of that folder.")
        }
    }
}

/// The error a person sees when the ledger of a run can't be opened or read.
pub(super) fn ledger_error(error: &LedgerError, folder: &Path) -> CliError {
    let told = format!("the run in {} can't be opened: {}", folder.display(), error_chain(error));
    let refusal = match error {
        LedgerError::Locked { .. } => CliError::refused("run-at-work", told),
        LedgerError::TooNew { .. } => CliError::refused("ledger", told),
        _ => CliError::repair("ledger", told),
    };
    advised(refusal, error)
}

fn advised(refusal: CliError, error: &LedgerError) -> CliError {
    match error.advice() {
        Some(advice) => refusal.hint(advice),
        None => refusal,
    }
}
