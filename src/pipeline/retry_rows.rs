//! Which rows of an earlier run a retry takes up, and the derived source that
//! is made of them.
//!
//! Plain blocking code: one reading of the source along the outcome files of
//! the run (I6).

use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::corrections::{Corrected, CorrectionError, Corrections};
use super::derived::{RETRY_CSV, RETRY_ROWS};
use super::folder::private_file;
use super::resume::OpenRun;
use super::retried::RetriedRows;
use super::retry::{Left, RetryError, Wish};
use super::window::Window;
use super::{Derived, RunFolder};
use crate::domain::{Fate, RowNumber, RowOutcome, Tally};
use crate::ledger::{ChunkState, Ledger, StoredAttempt, StoredChunk};
use crate::reader::CsvSource;
use crate::reconciler::MergedOutcomes;
use crate::rows::{
    Cells, Dialect, RawBatch, RawRecord, RowMapWriter, SourceRows as _, Stretch, write_record,
};
use crate::transformer::Plan;

/// Bytes of a row's text gathered before they are written.
const BUFFER: usize = 256 << 10;

/// What was chosen.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// Rows taken up.
    pub(super) rows: u64,
    /// Those that the run had read, by the fate they had.
    pub(super) taken: Tally,
    /// Those that were sent before.
    pub(super) taken_sent: u64,
    /// What is left as it is.
    pub(super) left: Left,
    /// Rows that a retry before saved, and the first of them.
    pub(super) saved_since: Option<(u64, u64)>,
}

/// What a row came to in the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Fate(Fate, u8),
    /// Read, and nothing of it was sent or its outcome isn't known.
    Pending,
    /// Never read.
    Unread,
}

/// What the choosing works with.
pub(super) struct Choosing<'a> {
    pub(super) parent: &'a OpenRun,
    pub(super) source: &'a CsvSource,
    /// How the parent's own source was made.
    pub(super) derived: Option<&'a Derived>,
    pub(super) plan: &'a Plan,
    pub(super) wish: &'a Wish,
}

impl Choosing<'_> {
    /// Chooses the rows and writes them into a folder: the text with its
    /// header, and the row map.
    pub(super) fn write(&self, folder: &Path) -> Result<Chosen, RetryError> {
        let sorted = self.derived.is_none_or(|derived| derived.map.is_ascending());
        let corrections = match &self.wish.with {
            Some(path) => Some(Corrections::open(path, self.source.header(), self.plan, sorted)?),
            None => None,
        };
        let mut out = Output::create(folder, self.source)?;
        let saved = if self.wish.again {
            RetriedRows::none()
        } else {
            let id = &self.parent.stored().run.id;
            RetriedRows::of(&self.wish.runs_dir, id, self.plan.operation)?
        };
        let mut choice = Choice { choosing: self, corrections, saved, chosen: Chosen::default() };
        let ledger = self.parent.ledger();
        let mut of_chunk: std::collections::HashMap<u64, Vec<StoredAttempt>> =
            std::collections::HashMap::new();
        for attempt in ledger.attempts()? {
            of_chunk.entry(attempt.chunk).or_default().push(attempt);
        }
        let chunks = ledger.chunks()?;
        for chunk in &chunks {
            let attempts = of_chunk.remove(&chunk.chunk.number).unwrap_or_default();
            self.walk_chunk(chunk, &attempts, &mut choice, &mut out)?;
        }
        self.walk_unread(ledger, &chunks, &mut choice, &mut out)?;
        if let Some(corrections) = &choice.corrections {
            corrections.finish()?;
        }
        out.finish()?;
        Ok(choice.chosen)
    }

    fn walk_chunk(
        &self,
        chunk: &StoredChunk,
        attempts: &[StoredAttempt],
        choice: &mut Choice<'_>,
        out: &mut Output,
    ) -> Result<(), RetryError> {
        let files = outcome_files(self.parent.folder(), chunk, attempts);
        let mut outcomes = MergedOutcomes::open(&files)?;
        let mut next = outcomes.next().transpose()?;
        // A job that may have worked rows without being accounted for.
        let is_open = chunk.state == ChunkState::Recorded
            && attempts
                .iter()
                .any(|attempt| attempt.outcomes.is_none() && attempt.state.may_have_processed());
        let stretch = Stretch {
            start: chunk.chunk.start,
            end: chunk.chunk.end,
            first_row: chunk.chunk.first_row,
        };
        let mut rows = self.source.rows(Some(stretch))?;
        while let Some(batch) = rows.next_batch()? {
            for (index, record) in batch.records.iter().enumerate() {
                let position = batch.first_row.plus(index as u64);
                let known = match next.take_if(|outcome| outcome.row == position) {
                    Some(RowOutcome { fate, attempts, .. }) => {
                        next = outcomes.next().transpose()?;
                        Known::Fate(fate, attempts)
                    }
                    None if is_open => Known::Fate(Fate::Disputed, 1),
                    None => Known::Pending,
                };
                choice.row(position, known, &batch, record, out)?;
            }
        }
        Ok(())
    }

    /// Rows that a closed run never came to read.
    fn walk_unread(
        &self,
        ledger: &Ledger,
        chunks: &[StoredChunk],
        choice: &mut Choice<'_>,
        out: &mut Output,
    ) -> Result<(), RetryError> {
        if ledger.sources()?.iter().all(|source| source.rows.is_some()) {
            return Ok(());
        }
        let request = self.parent.request();
        let from = chunks.last().map(|last| Stretch {
            start: last.chunk.end,
            end: self.source.identity().bytes,
            first_row: last.chunk.last_row.plus(1),
        });
        let read: u64 = chunks.iter().map(|chunk| chunk.chunk.read).sum();
        let skip = if from.is_some() { 0 } else { request.skip };
        let limit = request.limit.map(|limit| limit.saturating_sub(read));
        let mut rows = Window::new(self.source.rows(from)?, skip, limit);
        while let Some(batch) = crate::rows::RowStream::next_batch(&mut rows)? {
            for (index, record) in batch.records.iter().enumerate() {
                let position = batch.first_row.plus(index as u64);
                choice.row(position, Known::Unread, &batch, record, out)?;
            }
        }
        Ok(())
    }
}

/// Outcome files of a chunk in the order in which the last one counts.
pub(super) fn outcome_files(
    folder: &RunFolder,
    chunk: &StoredChunk,
    attempts: &[StoredAttempt],
) -> Vec<PathBuf> {
    let names = attempts.iter().filter_map(|attempt| Some(&attempt.outcomes.as_ref()?.file));
    let rejected = chunk.chunk.rejected_file.iter();
    let names = rejected.chain(names).chain(&chunk.settled_file);
    names.map(|name| folder.outcome_dir().join(name)).collect()
}

/// Decides row by row.
struct Choice<'a> {
    choosing: &'a Choosing<'a>,
    corrections: Option<Corrections>,
    saved: RetriedRows,
    chosen: Chosen,
}

impl Choice<'_> {
    fn row(
        &mut self,
        position: RowNumber,
        known: Known,
        batch: &RawBatch,
        record: &RawRecord,
        out: &mut Output,
    ) -> Result<(), RetryError> {
        let row = match self.choosing.derived {
            Some(derived) => derived
                .told(position)
                .map_err(|source| RetryError::Io { path: derived.map.path().to_owned(), source })?,
            None => position,
        };
        let corrected = match &mut self.corrections {
            Some(corrections) => corrections.of(row.0)?,
            None => None,
        };
        let refusal = self.refusal(known, corrected.is_some());
        match (&self.corrections, &corrected, refusal) {
            (Some(corrections), Some(_), Some(why)) => {
                return Err(corrections.refuse(row.0, why).into());
            }
            (Some(_), None, _) | (None, _, Some(_)) => {
                self.leave(known);
                return Ok(());
            }
            _ => {}
        }
        if self.saved.has(row)? {
            let (rows, _) = self.chosen.saved_since.get_or_insert((0, row.0));
            *rows += 1;
        }
        self.take(known);
        out.put(row, batch, record, corrected)
    }

    /// Why a row is not to be retried, if so.
    fn refusal(&self, known: Known, is_corrected: bool) -> Option<&'static str> {
        let repeats =
            self.choosing.plan.operation.creates() && self.choosing.plan.external_id.is_none();
        match known {
            Known::Fate(fate, _) if fate.succeeded() => Some("it succeeded"),
            Known::Fate(Fate::Rejected, _) if !is_corrected => Some("it was rejected"),
            Known::Fate(Fate::Disputed, _) if repeats && !self.choosing.wish.include_disputed => {
                Some("it is disputed and may have been inserted; --include-disputed takes it")
            }
            _ => None,
        }
    }

    fn take(&mut self, known: Known) {
        let chosen = &mut self.chosen;
        chosen.rows += 1;
        if known != Known::Unread {
            chosen.taken.read += 1;
        }
        if let Known::Fate(fate, attempts) = known {
            chosen.taken.count(fate);
            chosen.taken_sent += u64::from(attempts > 0);
        }
    }

    fn leave(&mut self, known: Known) {
        let left = &mut self.chosen.left;
        match known {
            Known::Fate(Fate::Rejected, _) => left.rejected += 1,
            Known::Fate(Fate::Disputed, _) => left.disputed += 1,
            Known::Fate(fate, _) if fate.succeeded() => {}
            _ => left.others += 1,
        }
    }
}

/// The derived source on its way to the disk.
struct Output {
    path: PathBuf,
    text: BufWriter<std::fs::File>,
    map: RowMapWriter,
    map_path: PathBuf,
    dialect: Dialect,
    width: usize,
    line: Vec<u8>,
}

impl Output {
    fn create(folder: &Path, source: &CsvSource) -> Result<Self, RetryError> {
        let (path, map_path) = (folder.join(RETRY_CSV), folder.join(RETRY_ROWS));
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| RetryError::Io { path, source }
        };
        let mut text = BufWriter::with_capacity(BUFFER, private_file(&path).map_err(io(&path))?);
        let mut header = Vec::new();
        source
            .bytes(0, source.data_start())?
            .read_to_end(&mut header)
            .and_then(|_| text.write_all(&header))
            .map_err(io(&path))?;
        let map = RowMapWriter::create(&map_path).map_err(io(&map_path))?;
        let (dialect, width) = (source.dialect(), source.header().len());
        Ok(Output { path, text, map, map_path, dialect, width, line: Vec::new() })
    }

    /// Writes a row as it stands, or with new values.
    fn put(
        &mut self,
        row: RowNumber,
        batch: &RawBatch,
        record: &RawRecord,
        corrected: Option<Corrected>,
    ) -> Result<(), RetryError> {
        let line_end = self.dialect.line_ending.bytes();
        let written = match corrected {
            None => {
                let text = record.start as usize..record.next as usize;
                let text = batch.bytes.get(text).unwrap_or_default();
                let added: &[u8] = if record.next == record.end { line_end } else { b"" };
                self.text.write_all(text).and_then(|()| self.text.write_all(added))
            }
            Some(corrected) => {
                self.line.clear();
                correct(&mut self.line, batch.record(record), corrected, self.dialect, self.width);
                self.line.extend_from_slice(line_end);
                self.text.write_all(&self.line)
            }
        };
        written.map_err(|source| RetryError::Io { path: self.path.clone(), source })?;
        let pushed = self.map.push(row);
        pushed.map_err(|source| RetryError::Io { path: self.map_path.clone(), source })
    }

    /// Ends both files: written and synced.
    fn finish(mut self) -> Result<(), RetryError> {
        let map_path = self.map_path;
        self.map.finish().map_err(|source| RetryError::Io { path: map_path, source })?;
        let path = self.path;
        self.text
            .flush()
            .and_then(|()| self.text.get_ref().sync_all())
            .map_err(|source| RetryError::Io { path, source })
    }
}

/// Writes a record with new values. A ragged one is brought to the width of
/// the header as result files show it: empty cells at its end, or those beyond
/// joined into the last.
fn correct(
    line: &mut Vec<u8>,
    record: &[u8],
    corrected: Corrected,
    dialect: Dialect,
    width: usize,
) {
    let cells = Cells::new(record, dialect.delimiter, dialect.quote);
    let mut values: Vec<Vec<u8>> = cells.map(|cell| cell.value().into_owned()).collect();
    if values.len() > width && width > 0 {
        let beyond = values.split_off(width);
        if let Some(last) = values.last_mut() {
            for value in beyond {
                last.push(dialect.delimiter);
                last.extend(value);
            }
        }
    }
    values.resize(width, Vec::new());
    for (column, value) in corrected {
        if let Some(place) = values.get_mut(column) {
            *place = value;
        }
    }
    write_record(line, values.iter().map(Vec::as_slice), dialect.delimiter);
}

impl From<CorrectionError> for RetryError {
    fn from(error: CorrectionError) -> Self {
        RetryError::Corrections(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::LineEnding;

    #[test]
    fn corrected_records_have_the_width_of_the_header() {
        let dialect = Dialect { delimiter: b';', quote: b'"', line_ending: LineEnding::Lf };
        let corrected = |record: &str, new: &[(usize, &str)]| {
            let new = new.iter().map(|&(at, value)| (at, value.as_bytes().to_vec())).collect();
            let mut line = Vec::new();
            correct(&mut line, record.as_bytes(), new, dialect, 3);
            String::from_utf8(line).unwrap()
        };
        assert_eq!(corrected("a;\"b;b\";c", &[(0, "x\"y")]), "\"x\"\"y\";\"b;b\";c");
        assert_eq!(corrected("a", &[(2, "c")]), "a;;c");
        assert_eq!(corrected("a;b;c;d", &[(1, "")]), "a;;\"c;d\"");
    }
}
