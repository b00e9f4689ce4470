//! The rows of finished query jobs, as they will be sent, and where each row
//! ends: two files a job, or the same in memory.
//!
//! Nothing of a job's results counts before its worker has written all; what a
//! killed org left behind of others is swept at the start.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;

use super::job::key;

/// Bytes written at a time.
const BUFFER: usize = 1 << 20;

/// Bytes of a row's end in the file.
const WIDTH: u64 = 8;

/// Results in memory.
#[derive(Debug, Default)]
struct Held {
    /// Rows in pieces, each with the place of its first byte.
    pieces: Vec<(u64, Bytes)>,
    ends: Vec<u64>,
}

/// The results of all jobs.
#[derive(Debug)]
pub(crate) struct Results {
    dir: Option<PathBuf>,
    memory: Mutex<HashMap<u64, Arc<Held>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a job's rows and their ends are.
fn paths(dir: &Path, job: u64) -> [PathBuf; 2] {
    // 18 characters differ even where a file system ignores letter case.
    ["csv", "ends"].map(|kind| dir.join(format!("{}.{kind}", key(job))))
}

impl Results {
    /// In `dir/query-results`, or in memory; results of other jobs than those
    /// to be kept are removed.
    pub(crate) fn open(dir: Option<&Path>, kept: &[u64]) -> io::Result<Results> {
        let dir = dir.map(|dir| dir.join("query-results"));
        if let Some(dir) = &dir {
            fs::create_dir_all(dir)?;
            let kept: Vec<PathBuf> = kept.iter().flat_map(|job| paths(dir, *job)).collect();
            for entry in fs::read_dir(dir)? {
                let path = entry?.path();
                if !kept.contains(&path) {
                    fs::remove_file(path)?;
                }
            }
        }
        Ok(Results { dir, memory: Mutex::default() })
    }

    /// Begins a job's results; what there was is dropped.
    pub(crate) fn begin(&self, job: u64) -> io::Result<Writer<'_>> {
        let files = match &self.dir {
            Some(dir) => {
                let [rows, ends] = paths(dir, job);
                Some((File::create(rows)?, File::create(ends)?))
            }
            None => None,
        };
        let buffer = Vec::with_capacity(BUFFER + BUFFER / 8);
        let (ends, held) = (Vec::new(), Held::default());
        Ok(Writer { results: self, job, files, held, buffer, ends, written: 0, rows: 0 })
    }

    /// The results of a job that is complete.
    pub(crate) fn of(&self, job: u64) -> io::Result<Stored> {
        let source = match &self.dir {
            Some(dir) => {
                let [rows, ends] = paths(dir, job);
                Source::Files { rows: File::open(rows)?, ends: File::open(ends)? }
            }
            None => Source::Memory(lock(&self.memory).get(&job).cloned().unwrap_or_default()),
        };
        Ok(Stored { source })
    }

    /// Removes a job's results.
    pub(crate) fn remove(&self, job: u64) -> io::Result<()> {
        lock(&self.memory).remove(&job);
        for path in self.dir.iter().flat_map(|dir| paths(dir, job)) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Results that are being written. Dropped unfinished, they don't count.
pub(crate) struct Writer<'r> {
    results: &'r Results,
    job: u64,
    files: Option<(File, File)>,
    held: Held,
    buffer: Vec<u8>,
    /// Ends of the rows in the buffer.
    ends: Vec<u64>,
    /// Bytes that left the buffer.
    written: u64,
    rows: u64,
}

impl Writer<'_> {
    /// Where the next row goes.
    pub(crate) fn row(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// The row is whole.
    pub(crate) fn end_row(&mut self) -> io::Result<()> {
        self.rows += 1;
        self.ends.push(self.written + self.buffer.len() as u64);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    fn flush(&mut self) -> io::Result<()> {
        let length = self.buffer.len() as u64;
        match &mut self.files {
            Some((rows, ends)) => {
                rows.write_all(&self.buffer)?;
                let bytes: Vec<u8> = self.ends.iter().flat_map(|end| end.to_le_bytes()).collect();
                ends.write_all(&bytes)?;
                self.buffer.clear();
                self.ends.clear();
            }
            None => {
                self.held.pieces.push((self.written, Bytes::copy_from_slice(&self.buffer)));
                self.buffer.clear();
                self.held.ends.append(&mut self.ends);
            }
        }
        self.written += length;
        Ok(())
    }

    /// All rows are there; gives their number and bytes.
    pub(crate) fn finish(mut self) -> io::Result<(u64, u64)> {
        self.flush()?;
        if self.files.is_none() {
            let held = Arc::new(std::mem::take(&mut self.held));
            lock(&self.results.memory).insert(self.job, held);
        }
        Ok((self.rows, self.written))
    }
}

enum Source {
    Files { rows: File, ends: File },
    Memory(Arc<Held>),
}

/// Results that can be read.
pub(crate) struct Stored {
    source: Source,
}

impl Stored {
    /// Where a row begins, which is where the one before it ends.
    pub(crate) fn start_of(&self, row: u64) -> io::Result<u64> {
        let Some(before) = row.checked_sub(1) else { return Ok(0) };
        match &self.source {
            Source::Files { ends, .. } => {
                let mut file = ends;
                file.seek(SeekFrom::Start(before * WIDTH))?;
                let mut bytes = [0; WIDTH as usize];
                file.read_exact(&mut bytes)?;
                Ok(u64::from_le_bytes(bytes))
            }
            Source::Memory(held) => {
                let place = usize::try_from(before).ok();
                let end = place.and_then(|at| held.ends.get(at)).copied();
                end.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
        }
    }

    /// The bytes from one place to another.
    pub(crate) fn bytes(self, from: u64, to: u64) -> io::Result<Pieces> {
        if let Source::Files { rows, .. } = &self.source {
            let mut file = rows;
            file.seek(SeekFrom::Start(from))?;
        }
        Ok(Pieces { source: self.source, at: from, end: to })
    }
}

/// A stretch of bytes, to be taken piece by piece.
pub(crate) struct Pieces {
    source: Source,
    at: u64,
    end: u64,
}

impl Pieces {
    /// Taking a piece never waits for a file.
    pub(crate) fn in_memory(&self) -> bool {
        matches!(self.source, Source::Memory(_))
    }

    /// The next piece of at most so many bytes; empty at the end.
    pub(crate) fn next(&mut self, most: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = most.min(left);
        if most == 0 {
            return Ok(Bytes::new());
        }
        let piece = match &mut self.source {
            Source::Files { rows, .. } => {
                let mut piece = Vec::with_capacity(most);
                (&*rows).take(most as u64).read_to_end(&mut piece)?;
                Bytes::from(piece)
            }
            Source::Memory(held) => {
                let place = held.pieces.partition_point(|(start, _)| *start <= self.at);
                let found = place.checked_sub(1).and_then(|place| held.pieces.get(place));
                let Some((start, bytes)) = found else {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                };
                let from = usize::try_from(self.at - start).unwrap_or(usize::MAX);
                let to = from.saturating_add(most).min(bytes.len());
                if from >= to { Bytes::new() } else { bytes.slice(from..to) }
            }
        };
        if piece.is_empty() {
            // Fewer bytes than the ends told.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += piece.len() as u64;
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(test: impl Fn(&Results)) {
        let dir = tempfile::tempdir().unwrap();
        test(&Results::open(Some(dir.path()), &[]).unwrap());
        test(&Results::open(None, &[]).unwrap());
    }

    fn written(results: &Results, job: u64, rows: u64) -> (u64, u64) {
        let mut writer = results.begin(job).unwrap();
        for row in 0..rows {
            writer.row().extend_from_slice(format!("{row}{}\n", "x".repeat(1_000)).as_bytes());
            writer.end_row().unwrap();
        }
        writer.finish().unwrap()
    }

    fn text(results: &Results, job: u64, first: u64, last: u64) -> String {
        let stored = results.of(job).unwrap();
        let (from, to) = (stored.start_of(first).unwrap(), stored.start_of(last).unwrap());
        let mut pieces = stored.bytes(from, to).unwrap();
        let mut text = Vec::new();
        loop {
            let piece = pieces.next(700_001).unwrap();
            if piece.is_empty() {
                return String::from_utf8(text).unwrap();
            }
            text.extend_from_slice(&piece);
        }
    }

    #[test]
    fn any_stretch_of_rows_can_be_read() {
        both(|results| {
            let (rows, bytes) = written(results, 1, 5_000);
            assert_eq!((rows, bytes), (5_000, text(results, 1, 0, 5_000).len() as u64));
            let middle = text(results, 1, 1_023, 3_500);
            let firsts: Vec<u64> =
                middle.lines().map(|row| row.trim_end_matches('x').parse().unwrap()).collect();
            assert_eq!(firsts, (1_023..3_500).collect::<Vec<_>>());
            assert_eq!(text(results, 1, 5_000, 5_000), "");
            assert!(results.of(1).unwrap().start_of(5_001).is_err());
            results.remove(1).unwrap();
            results.remove(1).unwrap();
        });
    }

    #[test]
    fn only_the_results_to_be_kept_outlive_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let results = Results::open(Some(dir.path()), &[]).unwrap();
        written(&results, 1, 3);
        written(&results, 2, 3);
        let results = Results::open(Some(dir.path()), &[2]).unwrap();
        assert!(results.of(1).is_err());
        assert_eq!(text(&results, 2, 0, 3).lines().count(), 3);
    }
}
