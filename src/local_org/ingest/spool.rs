//! What jobs leave on disk (or in memory): the upload and the two sets of
//! result rows, each a file that only grows.
//!
//! Result files are appended to inside the transaction that commits a unit of
//! work and names the new lengths; a tail beyond the committed length is of a
//! unit that never was, and is cut off before the next append.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::local_org::ids::RecordKey;

/// Which of a job's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Spool {
    /// The CSV as it was uploaded.
    Upload,
    /// Rows of `successfulResults`, without a header.
    Successes,
    /// Rows of `failedResults`, without a header.
    Failures,
}

type Memory = Arc<Mutex<Vec<u8>>>;

/// All jobs' files.
#[derive(Debug)]
pub(crate) struct Spools {
    dir: Option<PathBuf>,
    memory: Mutex<HashMap<(u64, Spool), Memory>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that isn't there is an empty one.
fn if_there<T: Default>(result: io::Result<T>) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        other => other,
    }
}

impl Spools {
    /// In `dir/jobs`, or in memory.
    pub(crate) fn open(dir: Option<&Path>) -> io::Result<Spools> {
        let dir = dir.map(|dir| dir.join("jobs"));
        if let Some(dir) = &dir {
            fs::create_dir_all(dir)?;
            // Of uploads that were arriving when the org was killed.
            for entry in fs::read_dir(dir)? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "part") {
                    fs::remove_file(path)?;
                }
            }
        }
        Ok(Spools { dir, memory: Mutex::new(HashMap::new()) })
    }

    fn path(&self, job: u64, spool: Spool) -> Option<PathBuf> {
        let kind = match spool {
            Spool::Upload => "upload",
            Spool::Successes => "successes",
            Spool::Failures => "failures",
        };
        // 18 characters differ even where a file system ignores letter case.
        self.dir.as_ref().map(|dir| dir.join(format!("{}.{kind}.csv", RecordKey::new("750", job))))
    }

    fn in_memory(&self, job: u64, spool: Spool) -> Memory {
        Arc::clone(lock(&self.memory).entry((job, spool)).or_default())
    }

    /// Starts an upload; nothing of it counts before [`Upload::finish`].
    pub(crate) fn upload(&self, job: u64, limit: u64) -> io::Result<Upload> {
        let target = match self.path(job, Spool::Upload) {
            Some(path) => {
                let part = path.with_extension("part");
                UploadTarget::File { file: File::create(&part)?, part, path }
            }
            None => UploadTarget::Memory {
                bytes: Vec::new(),
                place: self.in_memory(job, Spool::Upload),
            },
        };
        Ok(Upload { target, written: 0, limit })
    }

    /// Bytes of a file.
    pub(crate) fn len(&self, job: u64, spool: Spool) -> io::Result<u64> {
        match self.path(job, spool) {
            Some(path) => if_there(fs::metadata(path).map(|data| data.len())),
            None => Ok(lock(&self.in_memory(job, spool)).len() as u64),
        }
    }

    /// Reads a file from the start, no further than `end`.
    pub(crate) fn read(&self, job: u64, spool: Spool, end: u64) -> io::Result<SpoolReader> {
        self.read_from(job, spool, 0, end)
    }

    /// Reads the bytes from `start` to `end`.
    pub(crate) fn read_from(
        &self,
        job: u64,
        spool: Spool,
        start: u64,
        end: u64,
    ) -> io::Result<SpoolReader> {
        let source = match self.path(job, spool) {
            Some(path) => match File::open(path) {
                Ok(mut file) => {
                    file.seek(SeekFrom::Start(start))?;
                    Source::File(file)
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => Source::Nothing,
                Err(error) => return Err(error),
            },
            None => Source::Memory(self.in_memory(job, spool)),
        };
        Ok(SpoolReader { source, at: start, end })
    }

    /// Puts `bytes` behind the first `start` bytes; what stood there is dropped.
    pub(crate) fn append(
        &self,
        job: u64,
        spool: Spool,
        start: u64,
        bytes: &[u8],
    ) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if let Some(path) = self.path(job, spool) {
            let mut file =
                OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            file.set_len(start)?;
            file.seek(SeekFrom::Start(start))?;
            return file.write_all(bytes);
        }
        let memory = self.in_memory(job, spool);
        let mut memory = lock(&memory);
        memory.truncate(usize::try_from(start).unwrap_or(usize::MAX));
        memory.extend_from_slice(bytes);
        Ok(())
    }

    /// Removes all of a job's files.
    pub(crate) fn remove(&self, job: u64) -> io::Result<()> {
        for spool in [Spool::Upload, Spool::Successes, Spool::Failures] {
            match self.path(job, spool) {
                Some(path) => if_there(fs::remove_file(path))?,
                None => {
                    lock(&self.memory).remove(&(job, spool));
                }
            }
        }
        Ok(())
    }
}

enum UploadTarget {
    File { file: File, part: PathBuf, path: PathBuf },
    Memory { bytes: Vec<u8>, place: Memory },
}

/// An upload that is arriving. Dropped unfinished, it leaves nothing.
pub(crate) struct Upload {
    target: UploadTarget,
    written: u64,
    limit: u64,
}

impl Upload {
    /// More bytes came than are allowed; they weren't kept.
    pub(crate) fn is_too_large(&self) -> bool {
        self.written > self.limit
    }

    /// Makes it the job's upload.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        match &mut self.target {
            UploadTarget::File { part, path, .. } => fs::rename(part, path),
            UploadTarget::Memory { bytes, place } => {
                *lock(place) = std::mem::take(bytes);
                Ok(())
            }
        }
    }
}

impl Write for Upload {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.written += data.len() as u64;
        // What is too large is read to its end, so that the client hears of it.
        if self.written <= self.limit {
            match &mut self.target {
                UploadTarget::File { file, .. } => file.write_all(data)?,
                UploadTarget::Memory { bytes, .. } => bytes.extend_from_slice(data),
            }
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let UploadTarget::File { part, .. } = &self.target {
            // Gone already when it was finished.
            let _ = fs::remove_file(part);
        }
    }
}

enum Source {
    Nothing,
    File(File),
    Memory(Memory),
}

/// Reads a part of a file.
pub(crate) struct SpoolReader {
    source: Source,
    at: u64,
    end: u64,
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let count = match &mut self.source {
            Source::Nothing => 0,
            Source::File(file) => file.read(&mut buffer[..most])?,
            Source::Memory(memory) => {
                let memory = lock(memory);
                let start = usize::try_from(self.at).unwrap_or(usize::MAX);
                let rest = memory.get(start..).unwrap_or_default();
                let count = most.min(rest.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                count
            }
        };
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(test: impl Fn(Spools)) {
        let dir = tempfile::tempdir().unwrap();
        test(Spools::open(Some(dir.path())).unwrap());
        test(Spools::open(None).unwrap());
    }

    fn text(spools: &Spools, spool: Spool, start: u64, end: u64) -> String {
        let mut text = String::new();
        spools.read_from(1, spool, start, end).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn only_finished_uploads_count() {
        both(|spools| {
            let mut upload = spools.upload(1, 100).unwrap();
            upload.write_all(b"half").unwrap();
            drop(upload);
            assert_eq!(spools.len(1, Spool::Upload).unwrap(), 0);
            let mut upload = spools.upload(1, 100).unwrap();
            upload.write_all(b"whole").unwrap();
            upload.finish().unwrap();
            assert_eq!(text(&spools, Spool::Upload, 1, 4), "hol");
        });
    }

    #[test]
    fn what_was_arriving_when_the_org_was_killed_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let spools = Spools::open(Some(dir.path())).unwrap();
        let mut upload = spools.upload(1, 100).unwrap();
        upload.write_all(b"half").unwrap();
        std::mem::forget(upload);
        let files = || fs::read_dir(dir.path().join("jobs")).unwrap().count();
        assert_eq!(files(), 1);
        Spools::open(Some(dir.path())).unwrap();
        assert_eq!(files(), 0);
    }

    #[test]
    fn too_large_uploads_are_told() {
        both(|spools| {
            let mut upload = spools.upload(1, 4).unwrap();
            upload.write_all(b"four").unwrap();
            assert!(!upload.is_too_large());
            upload.write_all(b"!").unwrap();
            assert!(upload.is_too_large());
        });
    }

    #[test]
    fn uncommitted_tails_are_dropped() {
        both(|spools| {
            spools.append(1, Spool::Successes, 0, b"one\n").unwrap();
            spools.append(1, Spool::Successes, 4, b"lost\n").unwrap();
            spools.append(1, Spool::Successes, 4, b"two\n").unwrap();
            assert_eq!(text(&spools, Spool::Successes, 0, 100), "one\ntwo\n");
            spools.remove(1).unwrap();
            assert_eq!(text(&spools, Spool::Successes, 0, 100), "");
        });
    }
}
