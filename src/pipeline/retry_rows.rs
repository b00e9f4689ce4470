//! Which rows of an earlier run a retry takes up, and the derived source that
//! is made of them.
//!
//! Plain blocking code: one reading of the source along the outcome files of
//! the run (I6).

use std::collections::HashMap;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::RunFolder;
use super::corrections::{Corrected, CorrectionError, Corrections};
use super::derived::Derived;
use super::original::Names;
use super::resume::OpenRun;
use super::retried::RetriedRows;
use super::retry::{Left, RETRY_CSV, RETRY_ROWS, RetryError, Wish};
use super::window::Window;
use crate::domain::{Fate, RowNumber, RowOutcome, Tally};
use crate::ledger::{ChunkState, StoredAttempt, StoredChunk};
use crate::reader::Source;
use crate::reconciler::{MergedOutcomes, OutcomeError, SourceOrder};
use crate::rows::{
    Cells, Dialect, RawBatch, RawRecord, RowMapWriter, RowStream as _, SourceRows as _, Stretch,
    private_file, write_record,
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
    pub(super) source: &'a Source,
    /// How the parent's own source was made.
    pub(super) derived: Option<&'a Derived>,
    /// How people know the rows.
    pub(super) names: &'a Names,
    pub(super) plan: &'a Plan,
    pub(super) wish: &'a Wish,
}

impl Choosing<'_> {
    /// Chooses the rows and writes them into a folder: the text with its
    /// header, and the row map.
    pub(super) fn write(&self, folder: &Path) -> Result<Chosen, RetryError> {
        let corrections = match &self.wish.with {
            Some(path) => {
                Some(Corrections::open(path, self.source.header(), self.plan, self.names)?)
            }
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
        let mut of_chunk: HashMap<u64, Vec<StoredAttempt>> = HashMap::new();
        for attempt in ledger.attempts()? {
            of_chunk.entry(attempt.chunk).or_default().push(attempt);
        }
        let chunks: Vec<(StoredChunk, Vec<StoredAttempt>)> = ledger
            .chunks()?
            .into_iter()
            .map(|chunk| {
                let attempts = of_chunk.remove(&chunk.chunk.number).unwrap_or_default();
                (chunk, attempts)
            })
            .collect();
        match self.derived.and_then(|derived| Some((derived, derived.original.as_ref()?))) {
            Some((derived, original)) => {
                self.walk_original(derived, original, &chunks, folder, &mut choice, &mut out)?;
            }
            None => self.walk(&chunks, &mut choice, &mut out)?,
        }
        if let Some(corrections) = &choice.corrections {
            corrections.finish()?;
        }
        out.finish()?;
        Ok(choice.chosen)
    }

    /// Rows in the order of the run's own source, which is that of the
    /// original.
    fn walk(
        &self,
        chunks: &[(StoredChunk, Vec<StoredAttempt>)],
        choice: &mut Choice<'_>,
        out: &mut Output,
    ) -> Result<(), RetryError> {
        for (chunk, attempts) in chunks {
            let mut known = ChunkRows::open(self.parent.folder(), chunk, attempts)?;
            let chunk = &chunk.chunk;
            let stretch =
                Stretch { start: chunk.start, end: chunk.end, first_row: chunk.first_row };
            let mut rows = self.source.rows(Some(stretch))?;
            while let Some(batch) = rows.next_batch()? {
                for (index, record) in batch.records.iter().enumerate() {
                    let position = batch.first_row.plus(index as u64);
                    let Some(outcome) = known.next().transpose()? else { continue };
                    let row = self.told(position)?;
                    choice.row(row, Known::of(&outcome), &batch, record, out)?;
                }
            }
        }
        if !self.is_read_to_its_end()? {
            let mut rows = self.unread(chunks.last().map(|(chunk, _)| chunk), chunks)?;
            while let Some(batch) = rows.next_batch()? {
                for (index, record) in batch.records.iter().enumerate() {
                    let row = self.told(batch.first_row.plus(index as u64))?;
                    choice.row(row, Known::Unread, &batch, record, out)?;
                }
            }
        }
        Ok(())
    }

    /// Rows in the order of the original, where the run's own source has them
    /// in another one: their outcomes are sorted first.
    fn walk_original(
        &self,
        derived: &Derived,
        original: &Source,
        chunks: &[(StoredChunk, Vec<StoredAttempt>)],
        folder: &Path,
        choice: &mut Choice<'_>,
        out: &mut Output,
    ) -> Result<(), RetryError> {
        let mut order = SourceOrder::create(Arc::clone(&derived.map), &folder.join("sorting"))?;
        for (chunk, attempts) in chunks {
            order.push(&mut ChunkRows::open(self.parent.folder(), chunk, attempts)?)?;
        }
        if !self.is_read_to_its_end()? {
            let next = chunks.last().map_or(1, |(chunk, _)| chunk.chunk.last_row.0 + 1);
            let unread = (next..=derived.map.len()).map(|at| Ok(stand_in(RowNumber(at), UNREAD)));
            order.push(&mut { unread })?;
        }
        let mut known = order.finish()?.peekable();
        let mut rows = original.rows(None)?;
        while let Some(batch) = rows.next_batch()? {
            for (index, record) in batch.records.iter().enumerate() {
                let row = batch.first_row.plus(index as u64);
                // Others are outside the window of --skip and --limit.
                let is_here = |next: &Result<RowOutcome, OutcomeError>| {
                    next.as_ref().map_or(true, |outcome| outcome.row == row)
                };
                if let Some(outcome) = known.next_if(is_here) {
                    choice.row(row, Known::of(&outcome?), &batch, record, out)?;
                }
            }
        }
        Ok(())
    }

    /// The number of the original of a row of the run's own source.
    fn told(&self, position: RowNumber) -> Result<RowNumber, RetryError> {
        let Some(derived) = self.derived else { return Ok(position) };
        let path = || derived.map.path().to_owned();
        derived.map.row_of(position).map_err(|source| RetryError::Io { path: path(), source })
    }

    fn is_read_to_its_end(&self) -> Result<bool, RetryError> {
        Ok(self.parent.ledger().sources()?.iter().all(|source| source.rows.is_some()))
    }

    /// Rows that a closed run never came to read.
    fn unread(
        &self,
        last: Option<&StoredChunk>,
        chunks: &[(StoredChunk, Vec<StoredAttempt>)],
    ) -> Result<Window, RetryError> {
        let request = self.parent.request();
        let from = last.map(|last| Stretch {
            start: last.chunk.end,
            end: self.source.end(),
            first_row: last.chunk.last_row.plus(1),
        });
        let read: u64 = chunks.iter().map(|(chunk, _)| chunk.chunk.read).sum();
        // A derived source holds the rows of the window alone.
        let is_derived = self.derived.is_some();
        let skip = if from.is_some() || is_derived { 0 } else { request.skip };
        let limit = request.limit.filter(|_| !is_derived);
        let limit = limit.map(|limit| limit.saturating_sub(read));
        Ok(Window::new(self.source.rows(from)?, skip, limit))
    }
}

/// What is known of the rows of a chunk, each once, in order; a stand-in for
/// those that nothing is known of.
struct ChunkRows {
    outcomes: MergedOutcomes,
    next: Option<RowOutcome>,
    position: RowNumber,
    last: RowNumber,
    stand_in: Fate,
}

/// The fates of stand-ins, told from outcomes by their zero attempts.
const PENDING: Fate = Fate::Unprocessed;
const UNREAD: Fate = Fate::Created;

fn stand_in(row: RowNumber, fate: Fate) -> RowOutcome {
    RowOutcome { row, fate, tier: None, attempts: 0, id: None, error: None }
}

impl ChunkRows {
    fn open(
        folder: &RunFolder,
        chunk: &StoredChunk,
        attempts: &[StoredAttempt],
    ) -> Result<Self, RetryError> {
        let mut outcomes = MergedOutcomes::open(outcome_files(folder, chunk, attempts))?;
        let next = outcomes.next().transpose()?;
        // A job that may have worked rows without being accounted for.
        let is_open = chunk.state == ChunkState::Recorded
            && attempts
                .iter()
                .any(|attempt| attempt.outcomes.is_none() && attempt.state.may_have_processed());
        Ok(ChunkRows {
            outcomes,
            next,
            position: chunk.chunk.first_row,
            last: chunk.chunk.last_row,
            stand_in: if is_open { Fate::Disputed } else { PENDING },
        })
    }
}

impl Iterator for ChunkRows {
    type Item = Result<RowOutcome, OutcomeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.position > self.last {
            return None;
        }
        let position = self.position;
        self.position = position.plus(1);
        match self.next.take_if(|outcome| outcome.row == position) {
            Some(outcome) => match self.outcomes.next().transpose() {
                Ok(next) => {
                    self.next = next;
                    Some(Ok(outcome))
                }
                Err(error) => Some(Err(error)),
            },
            None => Some(Ok(stand_in(position, self.stand_in))),
        }
    }
}

impl Known {
    fn of(outcome: &RowOutcome) -> Self {
        match (outcome.fate, outcome.attempts) {
            (PENDING, 0) => Known::Pending,
            (UNREAD, 0) => Known::Unread,
            (fate, attempts) => Known::Fate(fate, attempts),
        }
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
        row: RowNumber,
        known: Known,
        batch: &RawBatch,
        record: &RawRecord,
        out: &mut Output,
    ) -> Result<(), RetryError> {
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
    fn create(folder: &Path, source: &Source) -> Result<Self, RetryError> {
        let (path, map_path) = (folder.join(RETRY_CSV), folder.join(RETRY_ROWS));
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| RetryError::Io { path, source }
        };
        let mut text = BufWriter::with_capacity(BUFFER, private_file(&path).map_err(io(&path))?);
        let header = source.header_text()?;
        text.write_all(&header).map_err(io(&path))?;
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
