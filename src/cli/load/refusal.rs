//! Refusals before anything was sent, as a person reads them.

use super::super::{CliError, org};
use super::mapping_refusal;
use crate::domain::error_chain;
use crate::pipeline::{DuplicatesError, PreflightError};
use crate::rows::SourceError;
use crate::transformer::Problem;

/// The error a person sees for a refused load.
pub(in crate::cli) fn of(error: &PreflightError) -> CliError {
    match error {
        PreflightError::Source(error) => source(error),
        PreflightError::Call(error) => org::call_error(error, org::Phase::Preflight),
        PreflightError::UnknownObject { nearest, .. } => {
            let refusal = CliError::refused("unknown-object", error.to_string());
            match nearest {
                Some(nearest) => refusal.hint(format!("Did you mean {nearest}?")),
                None => refusal.hint(
                    "Check the API name (custom objects end in __c) and the user's permissions.",
                ),
            }
        }
        PreflightError::Mapping(error) => mapping_refusal::of(error)
            .hint("docs/mapping.md says what each key takes. Nothing was sent."),
        PreflightError::Problems { problems, mapped: true, .. } => {
            let lines = problems.iter().map(told).collect();
            CliError::refused("preflight", format!("{error}; nothing was sent"))
                .problems(lines)
                .hint(
                    "Mend the mapping file, or the header of the source. `bulkhaul describe` shows \
                     the object's fields.",
                )
        }
        PreflightError::Problems { problems, .. } => {
            let lines = problems.iter().map(told).collect();
            CliError::refused("preflight", format!("{error}; nothing was sent"))
                .problems(lines)
                .hint(
                    "Mend the header, rename columns with --map 'Column=Field', or leave one out \
                     with --map 'Column='. `bulkhaul describe` shows the object's fields.",
                )
        }
        PreflightError::DuplicateKeys { .. } => {
            CliError::refused("duplicate-keys", format!("{error}; nothing was sent")).hint(
                "Say what is to happen with them: --duplicates first or last sends one of each, \
                 reject sends none, keep sends all and leaves it to the org, which fails those \
                 that meet in one transaction.",
            )
        }
        PreflightError::Allowance { .. } => CliError::refused("allowance", error.to_string()).hint(
            "Load part of it with --limit now and the rest with --skip when the 24 hours \
                 have moved on; `bulkhaul limits` shows what is left.",
        ),
        PreflightError::Earlier { run } => CliError::refused("earlier-run", error.to_string())
            .hint(if run.is_unfinished() {
                format!(
                    "`bulkhaul resume {}` goes on with it and sends nothing twice. --again loads the \
                     source anew all the same; an insert then doubles the rows that it had saved.",
                    run.folder.display()
                )
            } else {
                format!(
                    "See {} for what it did. --again inserts the rows a second time.",
                    run.folder.display()
                )
            }),
        PreflightError::Grouping(_) => CliError::refused("grouping", error_chain(error)).hint(
            "Putting rows in groups takes the size of the source twice on the disk of --runs-dir; \
             free space there, or load with --group-by none.",
        ),
        PreflightError::Duplicates(DuplicatesError::Source(error)) => source(error),
        PreflightError::Duplicates(DuplicatesError::Io { .. }) => {
            CliError::refused("duplicates", error_chain(error)).hint(
                "Keys are sorted on the disk of --runs-dir when they are many; free space there or \
                 name another place.",
            )
        }
        PreflightError::Rows { .. } => CliError::refused("run-folder", error_chain(error))
            .hint("Check the room on the disk and the rights of --runs-dir."),
        PreflightError::Ledger(_) | PreflightError::Interrupted => {
            CliError::refused("preflight", error_chain(error))
        }
    }
}

fn told(problem: &Problem) -> String {
    match &problem.hint {
        Some(hint) => format!("{}\n{hint}", problem.message),
        None => problem.message.clone(),
    }
}

/// The error a person sees for a source that can't be read.
pub(in crate::cli) fn source(error: &SourceError) -> CliError {
    let refusal = CliError::refused("source", format!("{}; nothing was sent", error_chain(error)));
    match error {
        SourceError::UnclosedQuote { .. } => refusal
            .hint("Close the quote in that row, or double it if it belongs to the text (\"\")."),
        SourceError::NulByte { .. } => {
            refusal.hint("The file is damaged or is no text; export it again as UTF-8 CSV.")
        }
        SourceError::RecordTooLarge { .. } => {
            refusal.hint("Most likely a quote before it was never closed, or the file is no CSV.")
        }
        SourceError::Io { .. } => refusal.hint("Check the path and the rights of the file."),
        SourceError::Empty { .. } => refusal.hint("A source needs a header line at least."),
        SourceError::Damaged { .. } => {
            refusal.hint("Fetch or write the file again; half of one is not loaded.")
        }
        SourceError::OtherColumns { .. } => refusal
            .hint("All files of one load have the same columns, in any order; load others apart."),
        SourceError::NoSource { hint: Some(hint), .. } => refusal.hint(hint.clone()),
        SourceError::NoSource { hint: None, .. }
        | SourceError::Header { .. }
        | SourceError::Changed { .. } => refusal,
    }
}
