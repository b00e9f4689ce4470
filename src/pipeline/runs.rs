//! The runs of a runs folder, and how each of them stands.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::Tally;
use crate::ledger::{
    FILE_NAME, Ledger, LedgerError, RunStatus, SourceRecord, StoredRun, is_worked_on,
};

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// A living process works on it.
    Running,
    /// Its process ended without a word: killed, or the machine went down.
    Died,
    /// It was interrupted or detached; nothing has to be repaired.
    Interrupted,
    /// Something had to be repaired before it could go on.
    Failed,
    /// It was stopped at a limit the user set.
    Stopped,
    /// Every row has its outcome.
    Completed,
}

impl RunState {
    /// The word shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Died => "died",
            RunState::Interrupted => "interrupted",
            RunState::Failed => "failed",
            RunState::Stopped => "stopped",
            RunState::Completed => "completed",
        }
    }

    /// Whether `resume` has something to go on with.
    pub const fn is_resumable(self) -> bool {
        !matches!(self, RunState::Running | RunState::Completed)
    }
}

/// A run as its ledger tells of it.
#[derive(Debug, Clone)]
pub struct RunEntry {
    /// Its folder.
    pub folder: PathBuf,
    /// The run and its end.
    pub run: StoredRun,
    /// How it stands.
    pub state: RunState,
    /// Its sources.
    pub sources: Vec<SourceRecord>,
    /// Its rows by fate; of a running one, as they are at this moment.
    pub tally: Tally,
}

impl RunEntry {
    /// Looks at the run in a folder. Changes nothing.
    ///
    /// # Errors
    /// [`LedgerError`] when its ledger is missing or can't be read.
    pub fn look(folder: &Path) -> Result<RunEntry, LedgerError> {
        let path = folder.join(FILE_NAME);
        let mut worked_on = is_worked_on(&path);
        let ledger = Ledger::open_read_only(&path)?;
        let run = ledger.run()?;
        if run.end.is_none() && !worked_on {
            // It may have begun between the two looks.
            worked_on = is_worked_on(&path);
        }
        let state = match run.end.map(|end| end.status) {
            Some(RunStatus::Completed) => RunState::Completed,
            _ if worked_on => RunState::Running,
            None => RunState::Died,
            Some(RunStatus::Interrupted) => RunState::Interrupted,
            Some(RunStatus::Failed) => RunState::Failed,
            Some(RunStatus::Stopped) => RunState::Stopped,
        };
        let (sources, tally) = (ledger.sources()?, ledger.tally()?);
        Ok(RunEntry { folder: folder.to_owned(), run, state, sources, tally })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.run.run.id
    }
}

/// What a runs folder holds.
#[derive(Debug, Default)]
pub struct Runs {
    /// Runs, the newest first.
    pub runs: Vec<RunEntry>,
    /// Folders of runs whose ledger is missing or can't be read, by name.
    pub unreadable: Vec<(PathBuf, LedgerError)>,
}

impl Runs {
    /// Lists the runs of a folder; what is no run is left out, and a folder
    /// that isn't there holds none.
    ///
    /// # Errors
    /// What the system said when the folder can't be listed.
    pub fn list(runs_dir: &Path) -> io::Result<Runs> {
        let entries = match std::fs::read_dir(runs_dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Runs::default()),
            Err(error) => return Err(error),
        };
        let mut found = Runs::default();
        for entry in entries {
            let folder = entry?.path();
            if !is_run(&folder) {
                continue;
            }
            match RunEntry::look(&folder) {
                Ok(entry) => found.runs.push(entry),
                // Pruned, or refused and discarded, a moment ago.
                Err(_) if !folder.exists() => {}
                Err(error) => found.unreadable.push((folder, error)),
            }
        }
        found.runs.sort_by(|a, b| {
            let (a, b) = (&a.run.run, &b.run.run);
            b.started_at.cmp(&a.started_at).then_with(|| b.id.cmp(&a.id))
        });
        found.unreadable.sort_by(|a, b| b.0.cmp(&a.0));
        Ok(found)
    }
}

/// Whether a folder is that of a run: it has a ledger, or what a run that lost
/// its ledger leaves. Hidden ones are not looked at.
pub(super) fn is_run(folder: &Path) -> bool {
    let hidden = folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden
        && folder.is_dir()
        && [FILE_NAME, "outcomes", "summary.json"].iter().any(|name| folder.join(name).exists())
}
