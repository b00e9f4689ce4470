//! Writing an outcome file.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3Default;

use crate::domain::{RowNumber, RowOutcome, Tally};
use crate::rows::{private_file, sync_folder};

use super::{
    BUFFER, END, HAS_ERROR, HAS_ID, MAGIC, MAX_TEXT_BYTES, MAX_TEXTS, OutcomeError, OutcomeSummary,
    VERSION, fate_code, tier_code, varint,
};

/// Writes an outcome file. Dropped without [`OutcomeWriter::finish`] it leaves
/// nothing.
pub struct OutcomeWriter {
    /// `None` once finished.
    file: Option<File>,
    path: PathBuf,
    temporary: PathBuf,
    chunk: u64,
    hash: Box<Xxh3Default>,
    bytes: u64,
    last: u64,
    tally: Tally,
    texts: std::collections::HashMap<Box<str>, u64>,
    /// What was not written yet.
    pending: Vec<u8>,
}

impl OutcomeWriter {
    /// Begins a file for a chunk; it appears under `path` when finished, in
    /// the place of one that may be there.
    ///
    /// # Errors
    /// [`OutcomeError::Io`].
    pub fn create(path: &Path, chunk: u64) -> Result<Self, OutcomeError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let temporary = PathBuf::from(name);
        let file = private_file(&temporary).map_err(|source| OutcomeError::Io {
            path: temporary.clone(),
            action: "made",
            source,
        })?;
        let mut writer = OutcomeWriter {
            file: Some(file),
            path: path.to_owned(),
            temporary,
            chunk,
            hash: Box::default(),
            bytes: 0,
            last: 0,
            tally: Tally::default(),
            texts: std::collections::HashMap::new(),
            pending: Vec::with_capacity(BUFFER + 256),
        };
        writer.pending.extend_from_slice(MAGIC);
        writer.pending.extend_from_slice(&VERSION.to_le_bytes());
        writer.pending.extend_from_slice(&[0, 0]);
        writer.pending.extend_from_slice(&chunk.to_le_bytes());
        Ok(writer)
    }

    /// Appends an outcome; rows come in ascending order.
    ///
    /// # Errors
    /// [`OutcomeError::OutOfOrder`] or [`OutcomeError::Io`].
    pub fn push(&mut self, outcome: &RowOutcome) -> Result<(), OutcomeError> {
        if outcome.row.0 <= self.last && (self.tally.read > 0 || outcome.row.0 == 0) {
            return Err(OutcomeError::OutOfOrder {
                row: outcome.row,
                before: RowNumber(self.last),
            });
        }
        let mut tag = fate_code(outcome.fate) | tier_code(outcome.tier) << 3;
        tag |= if outcome.id.is_some() { HAS_ID } else { 0 };
        tag |= if outcome.error.is_some() { HAS_ERROR } else { 0 };
        self.pending.push(tag);
        varint(&mut self.pending, outcome.row.0 - self.last);
        self.pending.push(outcome.attempts);
        if let Some(id) = &outcome.id {
            self.pending.extend_from_slice(&id.as_bytes()[..15]);
        }
        if let Some(error) = &outcome.error {
            if let Some(&known) = self.texts.get(error.as_str()) {
                varint(&mut self.pending, known);
            } else {
                self.pending.push(0);
                varint(&mut self.pending, error.len() as u64);
                self.pending.extend_from_slice(error.as_bytes());
                if self.texts.len() < MAX_TEXTS && error.len() <= MAX_TEXT_BYTES {
                    let number = self.texts.len() as u64 + 1;
                    self.texts.insert(error.as_str().into(), number);
                }
            }
        }
        self.last = outcome.row.0;
        self.tally.read += 1;
        self.tally.count(outcome.fate);
        if self.pending.len() < BUFFER { Ok(()) } else { self.put() }
    }

    /// Ends the file: written, synced, renamed, its folder synced. When this
    /// returns, the outcomes survive a power cut (I3).
    ///
    /// # Errors
    /// [`OutcomeError::Io`]; nothing appears under the final name then.
    pub fn finish(self) -> Result<OutcomeSummary, OutcomeError> {
        self.end(true)
    }

    /// As [`Self::finish`], for a file that is gone before the run ends:
    /// nothing is synced.
    ///
    /// # Errors
    /// [`OutcomeError::Io`].
    pub(in crate::reconciler) fn finish_temporary(self) -> Result<OutcomeSummary, OutcomeError> {
        self.end(false)
    }

    fn end(mut self, lasting: bool) -> Result<OutcomeSummary, OutcomeError> {
        self.pending.push(END);
        self.pending.extend_from_slice(&self.tally.read.to_le_bytes());
        self.put()?;
        let digest = self.hash.digest();
        let bytes = self.bytes + 8;
        let done = (|| {
            if let Some(file) = &mut self.file {
                file.write_all(&digest.to_le_bytes())?;
                if lasting {
                    file.sync_all()?;
                }
            }
            std::fs::rename(&self.temporary, &self.path)?;
            if lasting { sync_folder(&self.path) } else { Ok(()) }
        })();
        done.map_err(|source| self.failed(source))?;
        self.file = None;
        Ok(OutcomeSummary {
            chunk: self.chunk,
            rows: self.tally.read,
            tally: self.tally,
            bytes,
            digest: format!("{digest:016x}"),
        })
    }

    fn put(&mut self) -> Result<(), OutcomeError> {
        self.hash.update(&self.pending);
        self.bytes += self.pending.len() as u64;
        let written = self.file.as_mut().map_or(Ok(()), |file| file.write_all(&self.pending));
        self.pending.clear();
        written.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> OutcomeError {
        OutcomeError::Io { path: self.path.clone(), action: "written", source }
    }
}

impl Drop for OutcomeWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Nothing depends on it; a leftover is overwritten next time.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}
