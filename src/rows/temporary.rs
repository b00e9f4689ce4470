//! A folder of temporary files, for what is too large for memory.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::files::{new_private_folder, private_file, private_folder};

/// The file in a folder of a process that is locked as long as it lives.
const LOCK: &str = "lock";

/// Folders of this process so far, so that each has a name of its own.
static FOLDERS: AtomicU64 = AtomicU64::new(0);

/// A private folder (0700), gone with all in it when dropped.
#[derive(Debug)]
pub struct TemporaryFolder {
    path: PathBuf,
    lock: Option<File>,
}

impl TemporaryFolder {
    /// Makes the folder anew; what a process that died left in it goes.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        new_private_folder(path)?;
        Ok(TemporaryFolder { path: path.to_owned(), lock: None })
    }

    /// Makes a folder of this process below another one, which is made if it
    /// isn't there. Those of the same purpose that processes left behind which
    /// were killed go.
    ///
    /// # Errors
    /// What the system says.
    pub fn of_process(parent: &Path, purpose: &str) -> io::Result<Self> {
        private_folder(parent)?;
        let begin = format!(".{purpose}-");
        sweep(parent, &begin);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("{begin}{}-{number}", std::process::id());
        let mut folder = TemporaryFolder::create(&parent.join(name))?;
        // Nobody sees it before it is locked.
        let unseen = folder.path.join("lock.new");
        let lock = private_file(&unseen)?;
        // Where nothing can be locked, nothing is swept either.
        if lock.try_lock().is_ok() {
            std::fs::rename(&unseen, folder.path.join(LOCK))?;
            folder.lock = Some(lock);
        }
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // Some systems remove no file that is open.
        drop(self.lock.take());
        // Nothing depends on it; who makes it anew begins by removing it.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Removes folders whose process is gone: whoever lives holds the lock.
fn sweep(parent: &Path, begin: &str) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(begin) {
            continue;
        }
        // One without the file is about to be made, or of an older release.
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            drop(lock);
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_over_goes_and_so_does_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sort");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("old"), "old").unwrap();
        let temporary = TemporaryFolder::create(&path).unwrap();
        assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        }
        std::fs::write(path.join("new"), "new").unwrap();
        drop(temporary);
        assert!(!path.exists());
    }

    #[test]
    fn folders_of_dead_processes_go_and_those_of_the_living_stay() {
        let parent = tempfile::tempdir().unwrap();
        let dead = parent.path().join(".sort-1-0");
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join(LOCK), "").unwrap();
        std::fs::write(dead.join("left"), "over").unwrap();
        let other = parent.path().join(".other-1-0");
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join(LOCK), "").unwrap();
        let first = TemporaryFolder::of_process(parent.path(), "sort").unwrap();
        let second = TemporaryFolder::of_process(parent.path(), "sort").unwrap();
        assert!(!dead.exists() && other.exists());
        assert!(first.path().exists() && first.path() != second.path());
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists() && second.path().exists());
    }
}
