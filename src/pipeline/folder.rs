//! The folder of a run, which stands by itself.

use std::io;
use std::path::{Path, PathBuf};

/// Names inside a run folder.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// The run's id, also the folder's name.
    pub id: String,
    path: PathBuf,
}

impl RunFolder {
    /// Makes a new folder under `runs_dir`, private to the user.
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
            match private_dir(&path) {
                Ok(()) => {
                    let folder = RunFolder { id, path };
                    for dir in [folder.spool_dir(), folder.outcome_dir(), folder.result_dir()] {
                        private_dir(&dir).map_err(|error| (dir, error))?;
                    }
                    return Ok(folder);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err((path, error)),
            }
        }
        Err((runs_dir.to_owned(), io::ErrorKind::AlreadyExists.into()))
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

    /// Name of the file with the outcomes of an attempt.
    pub fn outcome_name(&self, chunk: u64, attempt: u32) -> String {
        format!("chunk-{chunk:06}-{attempt}.outcomes")
    }

    /// Outcomes of an attempt.
    pub fn outcomes(&self, chunk: u64, attempt: u32) -> PathBuf {
        self.outcome_dir().join(self.outcome_name(chunk, attempt))
    }

    /// Name of the file with the outcomes of a chunk's rows that were not sent.
    pub fn rejected_name(&self, chunk: u64) -> String {
        format!("chunk-{chunk:06}.rejected")
    }

    /// Outcomes of a chunk's rows that were not sent.
    pub fn rejected(&self, chunk: u64) -> PathBuf {
        self.outcome_dir().join(self.rejected_name(chunk))
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

/// Makes a file anew that only the user may read (I8).
pub(super) fn private_file(path: &Path) -> io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn private_dir(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
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
        assert!(one.spool_dir().is_dir());
        one.tidy();
        assert!(!one.spool_dir().exists());
        let gone = one.path().to_owned();
        one.discard();
        assert!(!gone.exists());
    }
}
