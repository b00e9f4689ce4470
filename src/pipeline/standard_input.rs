//! The standard input as a source: kept in a file, because a run must be able
//! to read its rows again.

use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use super::RunFolder;
use crate::reader::{Source, SourceOptions};
use crate::rows::{SourceError, TemporaryFolder, private_file};

/// What it is called in `bulkhaul__Source`.
const STANDARD_INPUT: &str = "stdin";

/// Its file in a run's folder.
const FILE: &str = "stdin.data";

/// Bytes copied at a time.
const BLOCK: usize = 256 << 10;

/// The standard input in a temporary folder, until the run has one.
#[derive(Debug)]
pub struct SpooledInput {
    _folder: TemporaryFolder,
    path: PathBuf,
}

impl SpooledInput {
    /// Keeps all that `read` yields beside the runs, private to the user.
    ///
    /// # Errors
    /// What the system says, with the file it says it of.
    pub fn keep(read: &mut dyn Read, runs_dir: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| (path, error)
        };
        let folder = TemporaryFolder::of_process(runs_dir, "stdin").map_err(at(runs_dir))?;
        let path = folder.path().join(FILE);
        let mut file = private_file(&path).map_err(at(&path))?;
        let mut block = vec![0; BLOCK];
        loop {
            match read.read(&mut block) {
                Ok(0) => break,
                Ok(got) => {
                    file.write_all(block.get(..got).unwrap_or_default()).map_err(at(&path))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((PathBuf::from("the standard input"), error)),
            }
        }
        file.sync_all().map_err(at(&path))?;
        Ok(SpooledInput { _folder: folder, path })
    }

    /// Opens it as a source.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn open(&self, options: &SourceOptions) -> Result<Source, SourceError> {
        Source::open_as(&self.path, STANDARD_INPUT, options)
    }

    /// Moves the file into the run's folder; tells where it is then.
    pub(super) fn move_into(self, folder: &RunFolder) -> Result<PathBuf, (PathBuf, io::Error)> {
        let path = folder.path().join(FILE);
        std::fs::rename(&self.path, &path).map_err(|error| (path.clone(), error))?;
        Ok(path)
    }
}
