//! The `compact` command: the increments of an archive folded into a snapshot.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{CliError, Context, Exit};
use crate::exporter::ExportError;
use crate::exporter::compact::{CompactedObject, Deleted, compact, is_free};
use crate::report::format::{count, thousands};

/// Fold the increments of an archive into one snapshot
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bulkhaul compact cases --out cases-today
  bulkhaul compact cases --in-place --deleted keep

  Of each record the version that was exported last; what the last full export
  no longer had is gone. The next `export --since last` goes on from it. Needs
  no org.

Exit codes: 0 done; 2 refused, nothing was changed; 1 needs a repair.")]
pub struct CompactArgs {
    /// Folder of the archive
    #[arg(value_name = "ARCHIVE")]
    archive: PathBuf,
    /// Folder of the new archive; the old one stays as it is
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "in_place",
        required_unless_present = "in_place"
    )]
    out: Option<PathBuf>,
    /// Put the snapshot in the place of what it is made of
    #[arg(long)]
    in_place: bool,
    /// What becomes of records that were deleted
    #[arg(long, value_enum, default_value = "drop", value_name = "HOW")]
    deleted: DeletedArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DeletedArg {
    /// They are left out
    Drop,
    /// They stay, marked as deleted
    Keep,
}

pub(super) fn run(args: &CompactArgs, context: &Context) -> Result<Exit, CliError> {
    if let Some(out) = &args.out
        && !is_free(out).map_err(|error| refused(&error))?
    {
        let message = format!("{} is not empty", out.display());
        return Err(CliError::refused("output-exists", message)
            .hint("Name a new or an empty folder with --out."));
    }
    let deleted = match args.deleted {
        DeletedArg::Drop => Deleted::Drop,
        DeletedArg::Keep => Deleted::Keep,
    };
    // For rayon's threads.
    let runtime = context.cpu_runtime()?;
    let objects =
        compact(&args.archive, args.out.as_deref(), deleted).map_err(|error| refused(&error))?;
    drop(runtime);
    let archive = args.out.as_ref().unwrap_or(&args.archive);
    if context.global.json {
        context.print_json(&json!({
            "command": "compact",
            "exit_code": 0,
            "archive": archive,
            "objects": objects,
        }))?;
        return Ok(Exit::Success);
    }
    let mut text = String::new();
    for object in &objects {
        text.push_str(&line(object));
    }
    context.print(&format!("{text}Archive in {}\n", archive.display()))?;
    Ok(Exit::Success)
}

fn line(object: &CompactedObject) -> String {
    let mut text = format!(
        "{}: {} of {}",
        object.object,
        count(object.records, "record"),
        count(object.exports as u64, "export"),
    );
    for (number, what) in [(object.superseded, "older versions"), (object.deleted, "deleted")] {
        if number > 0 {
            // Writing into memory can't fail.
            let _ = write!(text, ", without {} {what}", thousands(number));
        }
    }
    text.push('\n');
    text
}

fn refused(error: &ExportError) -> CliError {
    match error {
        ExportError::NotFoldable(why) => CliError::refused("archive", why.clone())
            .hint("Export it anew: all of it, with its ids, to Parquet."),
        ExportError::Locked { .. } => CliError::refused("archive-locked", error.to_string())
            .hint("Wait until that export or compact has ended."),
        ExportError::Io { action: "written", .. } => {
            CliError::repair("archive", "the snapshot can't be written").caused_by(error)
        }
        _ => CliError::refused("archive", "the archive can't be read").caused_by(error).hint(
            "`bulkhaul verify` tells which files are not what was exported. An export that has \
             not ended goes on with `bulkhaul resume`.",
        ),
    }
}
