//! The chunker itself: rows in, chunks out.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::body::{Body, PlannedChunk};
use super::groups::{Filled, Groups};
use super::keys::{Duplicates, Keys};
use super::open::{OpenBody, OpenChunk, Output, Rejected};
use super::sizing::ChunkSizing;
use crate::domain::{Fate, LineEnding, RowNumber, RowOutcome};
use crate::rows::{
    ColumnNames, EncodedBatch, EncodedRow, GroupIndex, PositionUnit, RawBatch, Rejection, RowNames,
    SourceError, SourceRows, Stretch,
};

/// Rows a chunk rejects at most before it is cut: their reasons wait in memory
/// (40 bytes each) for the chunk's end, so that they come out in row order.
pub const MAX_REJECTED: usize = 100_000;

/// What a chunker has to know besides the rows.
#[derive(Debug, Clone)]
pub struct ChunkerOptions {
    /// The header line of every job, with its line end.
    pub header_line: Vec<u8>,
    /// Line end of the jobs.
    pub line_ending: LineEnding,
    /// Where chunks end.
    pub sizing: ChunkSizing,
    /// What becomes of rows that share their key.
    pub duplicates: Duplicates,
    /// The column that holds the key, if rows have one, as `columns` counts.
    pub key_column: Option<usize>,
    /// The sent columns (by index) whose hashes the batches carry.
    pub text_columns: Vec<usize>,
    /// How reasons call the columns.
    pub columns: ColumnNames,
    /// Number of the first chunk.
    pub first_number: u64,
    /// Rows of the first chunk at most, if fewer than of the others.
    pub first_rows: Option<u64>,
}

/// Takes what comes out of the chunker.
pub trait ChunkSink {
    /// Takes a rejected row. All those of a chunk come in row order, before
    /// the chunk itself.
    ///
    /// # Errors
    /// Whatever stops the chunker.
    fn rejected(&mut self, chunk: u64, outcome: RowOutcome) -> io::Result<()>;

    /// Takes a chunk. One without rows to send is final with its rejected rows.
    ///
    /// # Errors
    /// Whatever stops the chunker.
    fn planned(&mut self, chunk: PlannedChunk) -> io::Result<()>;
}

/// Why the chunker can't go on. Chunks handed out before stay right; the one
/// in the making is lost, with its spool file.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// A spool file can't be written or read.
    #[error("the spool file {} can't be written", path.display())]
    Spool {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The source, or what was derived with it (its group index, its row map),
    /// can't be read (again).
    #[error("the source can't be read")]
    Source(#[from] SourceError),
    /// A row batch comes out of order, or with the encoding of another batch:
    /// rows would be lost or sent twice (I1, I2).
    #[error("the row batch that begins with row {row} is not the next one")]
    Misplaced {
        /// Its first row.
        row: RowNumber,
    },
    /// The taker of chunks failed.
    #[error("a planned chunk can't be recorded")]
    Sink(#[source] io::Error),
}

/// Cuts encoded row batches, given in order, into chunks.
pub struct Chunker {
    options: ChunkerOptions,
    /// `None` when running dry.
    output: Option<Output>,
    number: u64,
    open: Option<OpenChunk>,
    /// The last row taken, of whatever chunk.
    last_row: Option<RowNumber>,
    /// Where rows belong together, if that is to be heeded.
    groups: Option<Groups>,
    /// How rows are called where people see them, if not by their number here.
    names: Option<Arc<dyn RowNames>>,
}

impl Chunker {
    /// A chunker of rows of `source`, which writes spools into `spool_dir`.
    pub fn new(options: ChunkerOptions, source: Arc<dyn SourceRows>, spool_dir: PathBuf) -> Self {
        let number = options.first_number;
        Chunker {
            options,
            output: Some(Output { source, spool_dir }),
            number,
            open: None,
            last_row: None,
            groups: None,
            names: None,
        }
    }

    /// A chunker that finds the same borders, rejections and duplicates, and
    /// writes nothing. Chunks whose body is a span are the very same.
    pub fn dry(options: ChunkerOptions) -> Self {
        let number = options.first_number;
        Chunker {
            options,
            output: None,
            number,
            open: None,
            last_row: None,
            groups: None,
            names: None,
        }
    }

    /// Has chunks end where groups do, so that no group is parted that fits
    /// into a chunk, nor lies in two batches of the org if it fits into one.
    /// The index must be that of the rows given.
    ///
    /// Rows that leave a chunk again for their key (`--duplicates`) move those
    /// behind them up; where their twin stands in a later batch of the chunk,
    /// a group between the two may come to lie in two batches.
    #[must_use]
    pub fn in_groups(mut self, index: GroupIndex) -> Self {
        self.groups = Some(Groups::new(index));
        self
    }

    /// Has people told rows by these names: in the reasons of rejections and,
    /// by the number in the original, in the example of a duplicate. All else
    /// stays in positions.
    #[must_use]
    pub fn told_by(mut self, names: Arc<dyn RowNames>) -> Self {
        self.names = Some(names);
        self
    }

    /// Takes the next row batch and what it was encoded to.
    ///
    /// # Errors
    /// [`ChunkError`]; the chunker can't be used any more then.
    pub fn push(
        &mut self,
        batch: &RawBatch,
        encoded: &EncodedBatch,
        sink: &mut dyn ChunkSink,
    ) -> Result<(), ChunkError> {
        let follows = self.last_row.is_none_or(|last| last < batch.first_row);
        if !follows || encoded.rows.len() != batch.records.len() {
            return Err(ChunkError::Misplaced { row: batch.first_row });
        }
        if let Some(last) = batch.records.len().checked_sub(1) {
            self.last_row = Some(batch.first_row.plus(last as u64));
        }
        let header = self.options.header_line.len() as u64;
        let sizing = self.options.sizing;
        let (first_number, first_rows) = (self.options.first_number, self.options.first_rows);
        let most_rows = |chunk: u64| match first_rows {
            Some(rows) if chunk == first_number => rows.min(sizing.rows),
            _ => sizing.rows,
        };
        // Rows that go as they stand, taken together until something breaks
        // the run: a part of the batch's bytes.
        let mut run: Range<usize> = 0..0;
        let spannable = batch.unit == PositionUnit::Bytes;
        let mut changes = encoded.changes.iter().peekable();
        for (index, (record, row)) in batch.records.iter().zip(&encoded.rows).enumerate() {
            let number = batch.first_row.plus(index as u64);
            let (start, end) = batch.span_of(index);
            let place = Stretch { start, end, first_row: number };
            let changed = changes.next_if(|changed| changed.record as usize == index);
            let same = record.start as usize..record.next as usize;
            let lacks_line_end = *row == EncodedRow::Same && record.next == record.end;
            let (text, rejection) = match *row {
                EncodedRow::Same => (batch.bytes.get(same.clone()), None),
                EncodedRow::Rewritten { start, end } => {
                    (encoded.side.get(start as usize..end as usize), None)
                }
                EncodedRow::Rejected(at) => (None, encoded.rejections.get(at as usize).copied()),
            };
            let text = text.unwrap_or_default();
            let added = if lacks_line_end { self.options.line_ending.bytes() } else { b"" };
            let length = text.len() + added.len();
            let alone = header + length as u64;
            let rejection = rejection.or_else(|| {
                (alone > sizing.max_bytes)
                    .then_some(Rejection::LargerThanChunk { bytes: alone, limit: sizing.max_bytes })
            });
            let parts = self.parts(number)?;
            if let Some(open) = &self.open {
                let is_full = parts
                    || open.rejected.len() >= MAX_REJECTED
                    || (rejection.is_none()
                        && (open.rows.len() >= most_rows(open.number)
                            || open.bytes + alone > sizing.max_bytes));
                if is_full {
                    self.flush(batch, &mut run)?;
                    self.seal(sink)?;
                }
            }
            let open = self.open_at(place);
            let twin = match (rejection, &mut open.keys, encoded.keys.get(index)) {
                (None, Some(keys), Some(&key)) => keys.meet(key, number, open.rows.len()),
                _ => None,
            };
            let rejection = rejection.or_else(|| {
                twin.map(|twin| Rejection::DuplicateKey {
                    column: self.options.key_column.unwrap_or_default() as u32,
                    row: twin.0,
                })
            });
            // `open_at` borrowed the whole chunker.
            let Some(open) = &mut self.open else { continue };
            open.take(place);
            if let Some(rejection) = rejection {
                let offset = spannable.then_some(place.start);
                open.rejected.push(Rejected { row: number, offset, rejection });
                continue;
            }
            if let Some(changed) = changed {
                open.changes.add(&changed.changes);
            }
            let width = encoded.text_columns;
            open.texts.meet(encoded.texts.get(index * width..(index + 1) * width).unwrap_or(&[]));
            if let Some(keys) = &mut open.keys {
                keys.sent(length);
            }
            open.rows.push(number);
            if let Some(groups) = &mut self.groups {
                groups.sent((record.next - record.start) as usize + added.len(), length);
            }
            if *row == EncodedRow::Same
                && open.continues_span(place, spannable, self.output.is_none())
            {
                open.bytes += text.len() as u64;
                open.add_line_end = lacks_line_end.then_some(self.options.line_ending);
                if run.end != same.start || run.is_empty() {
                    self.flush(batch, &mut run)?;
                    run = same;
                } else {
                    run.end = same.end;
                }
                continue;
            }
            open.bytes += length as u64;
            let joins = *row == EncodedRow::Same
                && added.is_empty()
                && matches!(open.body, OpenBody::Spool(_))
                && run.end == same.start
                && !run.is_empty();
            if joins {
                run.end = same.end;
                continue;
            }
            self.flush(batch, &mut run)?;
            self.make_spool()?;
            if *row == EncodedRow::Same && added.is_empty() {
                run = same;
            } else {
                self.write(text)?;
                self.write(added)?;
            }
        }
        self.flush(batch, &mut run)
    }

    /// Whether the chunk in the making must end before a row for the sake of
    /// what begins with it.
    fn parts(&mut self, row: RowNumber) -> Result<bool, ChunkError> {
        let Some(groups) = &mut self.groups else { return Ok(false) };
        let Some(begins) = groups.meet(row)? else {
            return Ok(false);
        };
        Ok(self.open.as_ref().is_some_and(|open| {
            let leaving = open.keys.as_ref().map_or(0, Keys::leaving);
            let rows = open.rows.len().saturating_sub(leaving);
            let bytes = open.bytes + self.options.header_line.len() as u64;
            groups.part(begins, Filled { rows, bytes }, self.options.sizing)
        }))
    }

    /// The number of a row where people see it.
    fn told(&self, row: RowNumber) -> Result<RowNumber, ChunkError> {
        self.names.as_ref().map_or(Ok(row), |names| names.number_of(row)).map_err(unnamed)
    }

    /// Why a row is rejected, in words. An offset in a derived source would
    /// tell nobody anything.
    fn reason(&self, rejection: Rejection, offset: Option<u64>) -> Result<String, ChunkError> {
        let columns = &self.options.columns;
        Ok(match (&self.names, rejection) {
            (None, _) => rejection.reason(columns, offset),
            (Some(names), Rejection::DuplicateKey { column, row }) => {
                let twin = names.name_of(RowNumber(row)).map_err(unnamed)?;
                Rejection::duplicate_reason(columns, column, &twin)
            }
            _ => rejection.reason_without_place(columns),
        })
    }

    /// Hands out the last chunk.
    ///
    /// # Errors
    /// [`ChunkError`].
    pub fn finish(mut self, sink: &mut dyn ChunkSink) -> Result<(), ChunkError> {
        self.seal(sink)
    }

    /// The chunk in the making, begun at this row if there is none.
    fn open_at(&mut self, place: Stretch) -> &mut OpenChunk {
        let Chunker { options, number, open, .. } = self;
        open.get_or_insert_with(|| {
            let keys = options
                .key_column
                .map(|_| Keys::new(options.duplicates, place.first_row, options.sizing.rows));
            let chunk = OpenChunk::new(*number, place, keys, options.text_columns.len());
            *number += 1;
            chunk
        })
    }

    /// Takes the gathered run into the body.
    fn flush(&mut self, batch: &RawBatch, run: &mut Range<usize>) -> Result<(), ChunkError> {
        let taken = std::mem::replace(run, 0..0);
        self.write(batch.bytes.get(taken).unwrap_or_default())
    }

    /// Digests text of the body, and writes it if the body is a spool.
    fn write(&mut self, text: &[u8]) -> Result<(), ChunkError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if matches!(open.body, OpenBody::Dry) {
            return Ok(());
        }
        open.digest.update(text);
        if let (OpenBody::Spool(spool), Some(output)) = (&mut open.body, &self.output) {
            spool.write(text).map_err(|source| output.spool_error(open.number, source))?;
        }
        Ok(())
    }

    /// Makes the body a spool, if it isn't one, with the text so far in it.
    /// What was gathered must have been flushed.
    fn make_spool(&mut self) -> Result<(), ChunkError> {
        match (&mut self.open, &self.output) {
            (Some(open), Some(output)) => output.make_spool(open),
            (Some(open), None) => {
                open.body = OpenBody::Dry;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Ends the chunk in the making and hands it out.
    fn seal(&mut self, sink: &mut dyn ChunkSink) -> Result<(), ChunkError> {
        let reaches_end = match &self.open {
            None => return Ok(()),
            Some(open) => match open.body {
                // Rejected rows at the end: what is sent is not the stretch.
                OpenBody::Span { end, .. } => end == open.stretch.end,
                _ => true,
            },
        };
        if !reaches_end {
            self.make_spool()?;
        }
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let leavers = open.keys.as_mut().map(Keys::take_leavers).unwrap_or_default();
        let (body, digest) = match (&self.output, &open.body) {
            (Some(output), _) => output.close(&mut open, &leavers)?,
            (None, &OpenBody::Span { start, end }) if leavers.is_empty() => {
                (Body::Span { start, end }, format!("{:032x}", open.digest.digest128()))
            }
            (None, _) => {
                open.leave(&leavers);
                (Body::None, String::new())
            }
        };
        let column = self.options.key_column.unwrap_or_default() as u32;
        open.rejected.extend(leavers.iter().map(|leaver| Rejected {
            row: leaver.row,
            offset: None,
            rejection: Rejection::DuplicateKey { column, row: leaver.twin.0 },
        }));
        if !leavers.is_empty() {
            open.rejected.sort_unstable_by_key(|rejected| rejected.row);
        }
        for Rejected { row, offset, rejection } in &open.rejected {
            let outcome = RowOutcome {
                row: *row,
                fate: Fate::Rejected,
                tier: None,
                attempts: 0,
                id: None,
                error: Some(self.reason(*rejection, *offset)?),
            };
            sink.rejected(open.number, outcome).map_err(ChunkError::Sink)?;
        }
        let unique = if open.rows.is_empty() { None } else { open.texts.first_unique() };
        let keys = open.keys.as_ref();
        let duplicate_example = match keys.and_then(|keys| keys.example) {
            Some((row, twin)) => Some((self.told(row)?, self.told(twin)?)),
            None => None,
        };
        sink.planned(PlannedChunk {
            number: open.number,
            stretch: open.stretch,
            last_row: open.last_row,
            read_rows: open.read_rows,
            rejected: open.rejected.len() as u64,
            body,
            bytes: open.bytes,
            digest,
            add_line_end: open.add_line_end,
            unique_text: unique.and_then(|at| self.options.text_columns.get(at).copied()),
            duplicates: keys.map_or(0, |keys| keys.duplicates),
            duplicate_example,
            changes: open.changes,
            rows: open.rows,
        })
        .map_err(ChunkError::Sink)
    }
}

/// A row whose name can't be read.
fn unnamed(source: io::Error) -> ChunkError {
    ChunkError::Source(SourceError::Io { path: PathBuf::from("the row map"), source })
}
