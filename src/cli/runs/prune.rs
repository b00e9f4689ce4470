//! `runs prune`: deletes the folders of runs that completed long ago.
//!
//! What is unfinished, at work or can't be read is never deleted. A folder is
//! first renamed out of sight, so that a deletion that breaks off leaves no
//! half of a run to be found.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::{CliError, Context, Exit};
use super::{is_done, list};
use crate::domain::Operation;
use crate::ledger::{FILE_NAME, RunLock};
use crate::pipeline::{RunEntry, Runs};
use crate::report::format::{bytes, count, printable};

/// `runs prune`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  bulkhaul runs prune --older-than 30d --dry-run
  bulkhaul runs prune --older-than 30d --yes

A deleted run takes its result files along, and what it remembers: after the
ledger of an insert is gone, nothing refuses to insert the same source again.")]
pub(super) struct PruneArgs {
    /// Only runs that completed at least this long ago (`36h`, `30d`)
    #[arg(long, value_name = "DURATION", value_parser = parse_age)]
    older_than: Duration,
    /// Only tell what would be deleted
    #[arg(long)]
    dry_run: bool,
}

fn parse_age(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match text.get(digits.len()..).unwrap_or_default() {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err("write a number and s, m, h, d or w, such as 30d".to_owned()),
    };
    match digits.parse::<u64>().ok().and_then(|count| count.checked_mul(seconds)) {
        // Further back than any clock goes; nothing is that old.
        Some(seconds) if seconds <= 200 * 366 * 86_400 => Ok(Duration::from_secs(seconds)),
        Some(_) => Err("at most 200 years".to_owned()),
        None => Err("write a number and s, m, h, d or w, such as 30d".to_owned()),
    }
}

/// Beginning of the name of a folder that is being deleted.
const GOING: &str = ".pruned-";

/// What is deleted, and how many runs are left for which reason.
#[derive(Debug, Default)]
struct Choice<'a> {
    go: Vec<&'a RunEntry>,
    recent: u64,
    unfinished: u64,
    needed: u64,
    linked: u64,
    unreadable: u64,
}

impl<'a> Choice<'a> {
    fn of(found: &'a Runs, before: Timestamp) -> Self {
        // The run whose rows an unfinished one retries is part of its account.
        let needed: HashSet<&str> = found
            .runs
            .iter()
            .filter(|run| !is_done(run.state))
            .filter_map(|run| run.run.run.parent_run.as_deref())
            .collect();
        let mut choice = Choice { unreadable: found.unreadable.len() as u64, ..Choice::default() };
        for run in &found.runs {
            if !is_done(run.state) {
                choice.unfinished += 1;
            } else if run.run.end.is_none_or(|end| end.at > before) {
                choice.recent += 1;
            } else if needed.contains(run.id()) {
                choice.needed += 1;
            } else if run.folder.is_symlink() {
                choice.linked += 1;
            } else {
                choice.go.push(run);
            }
        }
        choice
    }

    /// What stays, and why; empty when nothing does.
    fn left(&self) -> String {
        let reasons = [
            (self.recent, "completed later than that"),
            (self.unfinished, "not completed"),
            (self.needed, "retried by an unfinished run"),
            (self.linked, "a link to another place"),
            (self.unreadable, "can't be read"),
        ];
        let parts: Vec<String> = reasons
            .iter()
            .filter(|(runs, _)| *runs > 0)
            .map(|(runs, why)| format!("{} ({why})", count(*runs, "run")))
            .collect();
        if parts.is_empty() { String::new() } else { format!("left: {}\n", parts.join(", ")) }
    }

    /// What is lost with them.
    fn lost(&self) -> Vec<String> {
        let inserts =
            self.go.iter().filter(|run| run.run.run.operation == Some(Operation::Insert)).count()
                as u64;
        let with_rows = self.go.iter().filter(|run| !run.tally.is_clean()).count() as u64;
        let mut lost = Vec::new();
        if inserts > 0 {
            let (are, their) = if inserts == 1 {
                ("is an insert", "its source")
            } else {
                ("are inserts", "their sources")
            };
            lost.push(format!(
                "{inserts} of them {are}: once gone, nothing refuses to insert {their} again"
            ));
        }
        if with_rows > 0 {
            let have = if with_rows == 1 { "has" } else { "have" };
            lost.push(format!(
                "{with_rows} of them {have} rows that did not succeed; their files go, too"
            ));
        }
        lost
    }

    fn as_json(&self, dry_run: bool, pruned: &[String], freed: u64) -> Value {
        json!({
            "command": "runs prune",
            "dry_run": dry_run,
            "pruned": pruned,
            "bytes": freed,
            "lost": self.lost(),
            "left": {
                "recent": self.recent,
                "unfinished": self.unfinished,
                "needed": self.needed,
                "linked": self.linked,
                "unreadable": self.unreadable,
            },
        })
    }
}

pub(super) fn run(args: PruneArgs, context: &Context) -> Result<Exit, CliError> {
    let found = list(context)?;
    let age = i64::try_from(args.older_than.as_secs()).unwrap_or(i64::MAX);
    let before =
        Timestamp::now().checked_sub(jiff::SignedDuration::from_secs(age)).map_err(|error| {
            CliError::refused("usage", "--older-than is too long").caused_by(&error)
        })?;
    let choice = Choice::of(&found, before);
    let sizes: Vec<u64> = choice.go.iter().map(|run| size_of(&run.folder)).collect();
    let total: u64 = sizes.iter().sum();
    let ids: Vec<String> = choice.go.iter().map(|run| run.id().to_owned()).collect();
    if args.dry_run || ids.is_empty() {
        return tell(context, &choice, args.dry_run, &ids, total);
    }
    if !context.global.json {
        context.say(&plan(&choice, &sizes));
    }
    let folders = if ids.len() == 1 { "folder" } else { "folders" };
    let runs = count(ids.len() as u64, "run");
    let question = format!("Delete the {folders} of {runs} ({})?", bytes(total));
    if !context.confirm(&question)? {
        return Err(CliError::refused("confirmation", "nothing was deleted"));
    }
    let (mut gone, mut freed) = (Vec::new(), 0);
    for (run, size) in choice.go.iter().zip(&sizes) {
        delete(&run.folder).map_err(|error| {
            CliError::repair(
                "local",
                format!(
                    "{} can't be deleted ({} of {} were)",
                    run.folder.display(),
                    gone.len(),
                    runs
                ),
            )
            .caused_by(error.as_ref())
            .hint("Mend the rights of the folder, or end the process that uses it.")
        })?;
        gone.push(run.id().to_owned());
        freed += size;
    }
    tell(context, &choice, false, &gone, freed)
}

fn tell(
    context: &Context,
    choice: &Choice<'_>,
    dry_run: bool,
    ids: &[String],
    freed: u64,
) -> Result<Exit, CliError> {
    if context.global.json {
        context.print_json(&choice.as_json(dry_run, ids, freed))?;
        return Ok(Exit::Success);
    }
    let mut text = String::new();
    if dry_run {
        let sizes: Vec<u64> = choice.go.iter().map(|run| size_of(&run.folder)).collect();
        text += &plan(choice, &sizes);
    }
    let verb = if dry_run { "would be deleted" } else { "deleted" };
    let _ = writeln!(text, "{} {verb}, {}", count(ids.len() as u64, "run"), bytes(freed));
    text += &choice.left();
    context.print(&text)?;
    Ok(Exit::Success)
}

/// The runs that go, one a line, and what is lost with them.
fn plan(choice: &Choice<'_>, sizes: &[u64]) -> String {
    let mut text = String::new();
    for (run, size) in choice.go.iter().zip(sizes) {
        let record = &run.run.run;
        let _ = writeln!(
            text,
            "  {}  {} in {}, {}, {}",
            record.id,
            record.what(),
            printable(&record.org.name),
            count(run.tally.read, "row"),
            bytes(*size)
        );
    }
    for line in choice.lost() {
        let _ = writeln!(text, "note: {line}");
    }
    text
}

/// Bytes of the files in a folder; what can't be looked at counts nothing.
fn size_of(folder: &Path) -> u64 {
    let mut folders = vec![folder.to_owned()];
    let mut total = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(data) if data.is_dir() => folders.push(entry.path()),
                Ok(data) => total += data.len(),
                Err(_) => {}
            }
        }
    }
    total
}

/// Deletes a run's folder. Its lock is held meanwhile, so that nobody takes the
/// run up again.
fn delete(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let lock = RunLock::take(&folder.join(FILE_NAME))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let going: PathBuf = folder.with_file_name(format!("{GOING}{name}"));
    std::fs::rename(folder, &going)?;
    drop(lock);
    std::fs::remove_dir_all(&going)
        .map_err(|error| format!("what is left of it is in {}: {error}", going.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_and_nonsense_is_refused() {
        assert_eq!(parse_age("30d"), Ok(Duration::from_hours(24 * 30)));
        assert_eq!(parse_age("2w"), Ok(Duration::from_hours(24 * 14)));
        assert_eq!(parse_age("0s"), Ok(Duration::ZERO));
        for text in ["30", "d", "", "-1d", "99999999999999d", "300000d", "1é", "30 d"] {
            assert!(parse_age(text).is_err(), "{text}");
        }
    }
}
