//! Which run a person means: by its id, its folder, or as `latest`.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::runs::{RunEntry, RunState, Runs, is_run};
use crate::domain::nearest;
use crate::ledger::{FILE_NAME, LedgerError};

/// The word for the run that began last.
const LATEST: &str = "latest";

/// Ids that are named when none fits.
const NAMED: usize = 3;

/// Why no run is meant.
#[derive(Debug, thiserror::Error)]
pub enum RunNameError {
    /// There are no runs at all.
    #[error("there are no runs in {}", runs_dir.display())]
    NoRuns {
        /// The runs folder.
        runs_dir: PathBuf,
    },
    /// No run has this name.
    #[error("there is no run {name} in {}", runs_dir.display())]
    NoSuchRun {
        /// What was named.
        name: String,
        /// The runs folder.
        runs_dir: PathBuf,
        /// Ids that were probably meant, else the newest ones.
        nearest: Vec<String>,
    },
    /// The folder is that of no run.
    #[error("{} is no run folder: the ledger is missing", folder.display())]
    NoLedger {
        /// The folder.
        folder: PathBuf,
    },
    /// The ledger of the run can't be read.
    #[error("the run in {} can't be read", folder.display())]
    Unreadable {
        /// Its folder.
        folder: PathBuf,
        /// Why.
        source: Box<LedgerError>,
    },
    /// No run is named, and which is the newest isn't certain.
    #[error("the newest run may be the one in {}, which can't be read", folder.display())]
    NewestUnreadable {
        /// Its folder.
        folder: PathBuf,
        /// Why.
        source: Box<LedgerError>,
    },
    /// Every run has completed.
    #[error("no run in {} is unfinished", runs_dir.display())]
    NothingUnfinished {
        /// The runs folder.
        runs_dir: PathBuf,
    },
    /// The only unfinished run is at work.
    #[error("run {id} is the only one unfinished, and a process works on it")]
    AtWork {
        /// Its id.
        id: String,
    },
    /// The runs folder can't be listed.
    #[error("{} can't be listed", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The folder of the run that a name means: an id in the runs folder, a path,
/// or `latest`, which also no name means. Its ledger was readable just now.
///
/// # Errors
/// [`RunNameError`] when there is no such run or its ledger can't be read.
pub fn resolve(runs_dir: &Path, name: Option<&str>) -> Result<PathBuf, RunNameError> {
    let name = match name {
        None | Some(LATEST) => return latest(runs_dir),
        Some(name) => name,
    };
    let folders = [runs_dir.join(name), PathBuf::from(name)];
    let Some(folder) = folders.iter().find(|folder| !name.is_empty() && folder.is_dir()) else {
        return Err(no_such_run(runs_dir, name));
    };
    if !folder.join(FILE_NAME).is_file() {
        return Err(RunNameError::NoLedger { folder: folder.clone() });
    }
    match RunEntry::look(folder) {
        Ok(_) => Ok(folder.clone()),
        Err(source) => {
            Err(RunNameError::Unreadable { folder: folder.clone(), source: source.into() })
        }
    }
}

/// The folder of the newest run that did not complete and that no process
/// works on.
///
/// # Errors
/// [`RunNameError`] when there is none, or when one that can't be read may be
/// newer.
pub fn newest_unfinished(runs_dir: &Path) -> Result<PathBuf, RunNameError> {
    let found = list(runs_dir)?;
    let at_work = found.runs.iter().find(|run| run.state == RunState::Running);
    let none = match at_work {
        Some(run) => RunNameError::AtWork { id: run.id().to_owned() },
        None => RunNameError::NothingUnfinished { runs_dir: runs_dir.to_owned() },
    };
    newest(found.runs, found.unreadable, |run| run.state.is_resumable()).unwrap_or(Err(none))
}

fn latest(runs_dir: &Path) -> Result<PathBuf, RunNameError> {
    let found = list(runs_dir)?;
    newest(found.runs, found.unreadable, |_| true)
        .unwrap_or_else(|| Err(RunNameError::NoRuns { runs_dir: runs_dir.to_owned() }))
}

/// The newest run that is wanted. One that can't be read and has a later id
/// than that is in the way: acting on another than the one meant is worse than
/// asking. `None` when there is neither.
fn newest(
    runs: Vec<RunEntry>,
    unreadable: Vec<(PathBuf, LedgerError)>,
    wanted: impl Fn(&RunEntry) -> bool,
) -> Option<Result<PathBuf, RunNameError>> {
    let run = runs.into_iter().find(wanted);
    // Without a run in it nothing was sent.
    let mut lost =
        unreadable.into_iter().filter(|(_, error)| !matches!(error, LedgerError::Empty { .. }));
    let later = |folder: &Path| {
        run.as_ref().is_none_or(|run| begun(folder.file_name()) >= begun(run.folder.file_name()))
    };
    if let Some((folder, source)) = lost.find(|(folder, _)| later(folder)) {
        return Some(Err(RunNameError::NewestUnreadable { folder, source: source.into() }));
    }
    run.map(|run| Ok(run.folder))
}

/// The second at which a run began, by its id (`20260301-101500-3f2a`).
fn begun(name: Option<&OsStr>) -> &[u8] {
    let name = name.unwrap_or_default().as_encoded_bytes();
    name.get(..15).unwrap_or(name)
}

fn list(runs_dir: &Path) -> Result<Runs, RunNameError> {
    let found = Runs::list(runs_dir)
        .map_err(|source| RunNameError::Io { path: runs_dir.to_owned(), source })?;
    if found.runs.is_empty() && found.unreadable.is_empty() {
        return Err(RunNameError::NoRuns { runs_dir: runs_dir.to_owned() });
    }
    Ok(found)
}

fn no_such_run(runs_dir: &Path, name: &str) -> RunNameError {
    let mut ids: Vec<String> = std::fs::read_dir(runs_dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|folder| is_run(folder))
        .filter_map(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()))
        .collect();
    if ids.is_empty() {
        return RunNameError::NoRuns { runs_dir: runs_dir.to_owned() };
    }
    ids.sort_unstable_by(|a, b| b.cmp(a));
    let part: Vec<String> =
        ids.iter().filter(|id| !name.is_empty() && id.contains(name)).cloned().collect();
    let near = if part.is_empty() {
        nearest(name, ids.iter().map(String::as_str)).map(str::to_owned).into_iter().collect()
    } else {
        part
    };
    let mut nearest = if near.is_empty() { ids } else { near };
    nearest.truncate(NAMED);
    RunNameError::NoSuchRun { name: name.to_owned(), runs_dir: runs_dir.to_owned(), nearest }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::domain::Operation;
    use crate::ledger::{Ledger, OrgRecord, RunEnd, RunRecord, RunStatus};
    use crate::pipeline::RunFolder;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_768_000_000 + second).unwrap()
    }

    /// A run that began at a second and ended so, if it did.
    fn run(runs: &TempDir, second: i64, status: Option<RunStatus>) -> (PathBuf, Ledger) {
        let id = format!("{}-00ff", at(second).strftime("%Y%m%d-%H%M%S"));
        let folder = runs.path().join(&id);
        std::fs::create_dir(&folder).unwrap();
        let record = RunRecord {
            id,
            command: "load".to_owned(),
            settings: json!({}),
            org: OrgRecord {
                id: String::new(),
                name: String::new(),
                url: String::new(),
                user: String::new(),
                username: String::new(),
                production: false,
            },
            api_version: String::new(),
            object: "Account".to_owned(),
            operation: Some(Operation::Insert),
            external_id: None,
            started_at: at(second),
            parent_run: None,
        };
        let ledger = Ledger::create(&folder.join(FILE_NAME), &record).unwrap();
        if let Some(status) = status {
            ledger.finish_run(&RunEnd { status, exit_code: 0, at: at(second + 1) }).unwrap();
        }
        (folder, ledger)
    }

    fn unfinished(runs: &TempDir) -> Result<PathBuf, RunNameError> {
        newest_unfinished(runs.path())
    }

    #[test]
    fn the_newest_unfinished_run_is_one_that_nobody_works_on() {
        let runs = TempDir::new().unwrap();
        assert!(matches!(unfinished(&runs), Err(RunNameError::NoRuns { .. })));
        let (_, done) = run(&runs, 10, Some(RunStatus::Completed));
        drop(done);
        assert!(matches!(unfinished(&runs), Err(RunNameError::NothingUnfinished { .. })));
        let (newest, at_work) = run(&runs, 30, None);
        assert!(matches!(unfinished(&runs), Err(RunNameError::AtWork { .. })));
        for (second, status) in
            [(15, None), (20, Some(RunStatus::Failed)), (25, Some(RunStatus::Interrupted))]
        {
            let (folder, ledger) = run(&runs, second, status);
            drop(ledger);
            assert_eq!(unfinished(&runs).unwrap(), folder);
        }
        assert_eq!(resolve(runs.path(), None).unwrap(), newest, "`latest` is any run");
        drop(at_work);
        assert_eq!(unfinished(&runs).unwrap(), newest, "its process died");
    }

    #[test]
    fn a_newer_run_that_cannot_be_read_is_in_the_way_and_an_older_one_is_not() {
        let runs = TempDir::new().unwrap();
        let (old, ledger) = run(&runs, 10, None);
        drop(ledger);
        let (folder, ledger) = run(&runs, 20, None);
        drop(ledger);
        std::fs::write(old.join(FILE_NAME), "nonsense").unwrap();
        assert_eq!(unfinished(&runs).unwrap(), folder);
        let (new, ledger) = run(&runs, 30, None);
        drop(ledger);
        std::fs::write(new.join(FILE_NAME), "nonsense").unwrap();
        for found in [unfinished(&runs), resolve(runs.path(), Some("latest"))] {
            match found {
                Err(RunNameError::NewestUnreadable { folder, .. }) => assert_eq!(folder, new),
                other => panic!("{other:?}"),
            }
        }
        // A run that never began holds nobody up.
        std::fs::write(new.join(FILE_NAME), "").unwrap();
        assert_eq!(unfinished(&runs).unwrap(), folder);
        RunFolder::create(runs.path()).unwrap();
        assert_eq!(unfinished(&runs).unwrap(), folder);
        assert_eq!(resolve(runs.path(), Some("latest")).unwrap(), folder);
    }
}
