//! The folder of a run, which stands by itself.

use std::io;
use std::path::{Path, PathBuf};

use crate::ledger::{Ledger, LedgerError, RunRecord};
use crate::rows::{new_private_folder, private_file};

/// Names inside a run folder.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// The run's id, also the folder's name.
    pub id: String,
    path: PathBuf,
}

impl RunFolder {
    /// Makes a new folder under `runs_dir`, private to the user. It is that of
    /// no run before the ledger is in it: a process that dies until then
    /// leaves nothing that anybody takes for one.
    ///
    /// # Errors
    /// What the system said, with the path it said it about.
    pub fn create(runs_dir: &Path) -> Result<Self, (PathBuf, io::Error)> {
        std::fs::create_dir_all(runs_dir).map_err(|error| (runs_dir.to_owned(), error))?;
        // Sorted by name is sorted by time; the tail tells runs of one second apart.
        let now = jiff::Timestamp::now();
        let stamp = now.strftime("%Y%m%d-%H%M%S");
        let mut salt = u64::from(std::process::id()) ^ now.as_nanosecond() as u64;
        for _ in 0..64 {
            salt = xxhash_rust::xxh3::xxh3_64(&salt.to_le_bytes());
            let id = format!("{stamp}-{:04x}", salt & 0xffff);
            let path = runs_dir.join(&id);
            match new_private_folder(&path) {
                Ok(()) => {
                    return Ok(RunFolder { id, path });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err((path, error)),
            }
        }
        Err((runs_dir.to_owned(), io::ErrorKind::AlreadyExists.into()))
    }

    /// Makes the run's ledger and then the working folders: from here on it is
    /// the folder of a run.
    ///
    /// # Errors
    /// [`LedgerError`] when one of them can't be made.
    pub fn begin(&self, run: &RunRecord) -> Result<Ledger, LedgerError> {
        let ledger = Ledger::create(&self.ledger(), run)?;
        self.make_working_folders().map_err(|(path, source)| LedgerError::Io { path, source })?;
        Ok(ledger)
    }

    /// Takes up the folder of an earlier run; makes and changes nothing in it.
    /// Its id is its name.
    ///
    /// # Errors
    /// What the system said when there is no such folder, with its path.
    pub fn open(path: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let failed = |error| (path.to_owned(), error);
        if !std::fs::metadata(path).map_err(failed)?.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        let name = match path.file_name() {
            Some(name) => name.to_owned(),
            // `.` or `..`, where somebody stands in it.
            None => {
                let whole = path.canonicalize().map_err(failed)?;
                whole.file_name().map(ToOwned::to_owned).unwrap_or_default()
            }
        };
        Ok(RunFolder { id: name.to_string_lossy().into_owned(), path: path.to_owned() })
    }

    /// Makes the working folders, once there is a ledger, and again after
    /// [`RunFolder::tidy`].
    ///
    /// # Errors
    /// What the system said, with the path it said it about.
    pub fn make_working_folders(&self) -> Result<(), (PathBuf, io::Error)> {
        for dir in [self.spool_dir(), self.outcome_dir(), self.result_dir()] {
            match new_private_folder(&dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err((dir, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The ledger.
    pub fn ledger(&self) -> PathBuf {
        self.path.join("ledger.sqlite")
    }

    /// The summary for machines.
    pub fn summary(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// Chunks whose bytes do not stand in the source as they are sent.
    pub fn spool_dir(&self) -> PathBuf {
        self.path.join("spool")
    }

    /// One compact file of outcomes a chunk.
    pub fn outcome_dir(&self) -> PathBuf {
        self.path.join("outcomes")
    }

    /// Result sets, only while they are being reconciled.
    pub fn result_dir(&self) -> PathBuf {
        self.path.join("results")
    }

    /// Name of the spool file with the rows of a part of a chunk.
    pub fn part_name(&self, chunk: u64, attempt: u32) -> String {
        format!("chunk-{chunk:06}-{attempt}.csv")
    }

    /// Name of the file with the outcomes of an attempt.
    pub fn outcome_name(&self, chunk: u64, attempt: u32) -> String {
        format!("chunk-{chunk:06}-{attempt}.outcomes")
    }

    /// Outcomes of an attempt.
    pub fn outcomes(&self, chunk: u64, attempt: u32) -> PathBuf {
        self.outcome_dir().join(self.outcome_name(chunk, attempt))
    }

    /// Name of the file with the outcomes of a chunk's rows that were settled by
    /// asking for their records, in the so-manieth settling. The ledger names
    /// the one that counts, so that one written and not recorded yet is none.
    pub fn settled_name(&self, chunk: u64, settling: u32) -> String {
        format!("chunk-{chunk:06}-{settling}.settled")
    }

    /// Name of the file with the outcomes of a chunk's rows that were not sent.
    pub fn rejected_name(&self, chunk: u64) -> String {
        format!("chunk-{chunk:06}.rejected")
    }

    /// Outcomes of a chunk's rows that were not sent.
    pub fn rejected(&self, chunk: u64) -> PathBuf {
        self.outcome_dir().join(self.rejected_name(chunk))
    }

    /// Removes result sets that a process left behind when it was killed, once
    /// every row has its last outcome.
    pub fn drop_result_sets(&self) {
        // What stays costs disk only; it is private.
        let _ = std::fs::remove_dir_all(self.result_dir());
    }

    /// Removes the working folders that are empty by now.
    pub fn tidy(&self) {
        for dir in [self.spool_dir(), self.result_dir()] {
            // Fails when something is left in it, which then is wanted.
            let _ = std::fs::remove_dir(dir);
        }
    }

    /// Removes the whole folder of a run that sent nothing.
    pub fn discard(self) {
        let _ = std::fs::remove_dir_all(self.path);
    }
}

/// As [`private_file`], for a writer that reports no path of its own: its
/// errors name the file.
pub(super) fn private_target(path: &Path) -> io::Result<impl io::Write + Send + 'static> {
    let named = Named { path: path.to_owned(), file: None };
    let file = private_file(path).map_err(|error| named.explain(error))?;
    Ok(Named { file: Some(file), ..named })
}

/// A file whose errors name it.
struct Named {
    path: PathBuf,
    file: Option<std::fs::File>,
}

impl Named {
    fn explain(&self, error: io::Error) -> io::Error {
        // The download tells interrupted writes from failed ones by the kind.
        io::Error::new(error.kind(), format!("{} can't be written: {error}", self.path.display()))
    }
}

impl io::Write for Named {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.as_mut().map_or(Ok(0), |file| file.write(bytes));
        written.map_err(|error| self.explain(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.file.as_mut().map_or(Ok(()), io::Write::flush);
        flushed.map_err(|error| self.explain(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_gets_a_folder_of_its_own() {
        let runs = tempfile::tempdir().unwrap();
        let one = RunFolder::create(runs.path()).unwrap();
        let two = RunFolder::create(runs.path()).unwrap();
        assert_ne!(one.id, two.id);
        assert!(!one.outcome_dir().exists(), "no run before there is a ledger");
        one.make_working_folders().unwrap();
        one.tidy();
        assert!(!one.spool_dir().exists());
        let again = RunFolder::open(one.path()).unwrap();
        assert_eq!((&again.id, again.path()), (&one.id, one.path()));
        again.make_working_folders().unwrap();
        again.make_working_folders().unwrap();
        assert!(one.spool_dir().is_dir() && one.outcome_dir().is_dir());
        assert!(RunFolder::open(&one.ledger()).is_err(), "there is no such folder");
        let gone = one.path().to_owned();
        one.discard();
        assert!(!gone.exists());
    }
}
