//! The `verify` command: an archive against its manifest.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{CliError, Context, Exit};
use crate::exporter::verify::{Finding, verify};
use crate::report::format::{bytes, count};

/// Check the files of an archive against its manifest
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  bulkhaul verify archive

  Reads every file: its bytes by their SHA-256, its records by their number.
  Needs no org.

Exit codes: 0 all is as it was written; 3 something is not; 2 there is no
archive.")]
pub struct VerifyArgs {
    /// Folder of the archive
    #[arg(value_name = "ARCHIVE")]
    archive: PathBuf,
}

pub(super) fn run(args: &VerifyArgs, context: &Context) -> Result<Exit, CliError> {
    let verified = verify(&args.archive).map_err(|error| {
        CliError::refused("archive", format!("{} is no whole archive", args.archive.display()))
            .caused_by(&error)
            .hint(
                "An export writes manifest.json when it is done; `bulkhaul resume` goes on with \
                 one that isn't.",
            )
    })?;
    if context.global.json {
        let findings: Vec<_> = verified
            .findings
            .iter()
            .map(|finding| json!({ "file": finding.file, "what": finding.what }))
            .collect();
        context.print_json(&json!({
            "command": "verify",
            "archive": args.archive,
            "exit_code": if findings.is_empty() { 0 } else { 3 },
            "files": verified.files,
            "bytes": verified.bytes,
            "rows": verified.rows,
            "findings": findings,
        }))?;
        return Ok(if findings.is_empty() { Exit::Success } else { Exit::RowsLeft });
    }
    if !verified.findings.is_empty() {
        return Err(broken(&args.archive, &verified.findings));
    }
    context.print(&format!(
        "{} is whole: {}, {}, {}\n",
        args.archive.display(),
        count(verified.files, "file"),
        count(verified.rows, "record"),
        bytes(verified.bytes)
    ))?;
    Ok(Exit::Success)
}

/// What is said of an archive that isn't what its manifest says.
pub(super) fn broken(archive: &Path, findings: &[Finding]) -> CliError {
    let problems =
        findings.iter().map(|finding| format!("{}: {}", finding.file, finding.what)).collect();
    CliError {
        exit: Exit::RowsLeft,
        ..CliError::refused("archive", format!("{} is not what was exported", archive.display()))
    }
    .problems(problems)
    .hint("Take the files from a copy, or export again.")
}
