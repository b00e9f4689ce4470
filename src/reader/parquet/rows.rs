//! The rows of a file, decoded and written in parallel, handed out in order.
//!
//! ```text
//!            one column of a row group each            some rows each
//! file ──► decode ─┬─ column 1 ─┬─► batches ──► write ─┬─ block 1 ─┬─► queue ──► caller
//!                  └─ column n ─┘                      └─ block k ─┘
//! ```
//!
//! Work is done in rounds, one of which runs ahead of the caller on rayon's
//! threads. In a round each column of a row group is decoded by a task of its
//! own, so that even a file of one huge row group keeps all cores at work and
//! no row is decoded twice; row groups smaller than a round are decoded side
//! by side. Then batches are written by a task each.
//!
//! **Memory** (I6) is bounded whatever the size of file and row groups: for
//! each column one page and one dictionary (their sizes are the writer's
//! choice, 1 MiB as a rule), [`parallel`] batches of at most [`BATCH_ROWS`]
//! rows and about a block of stored bytes each, and two rounds of as many
//! blocks of text, one with the caller and one ahead. A batch that makes more
//! text than a block, as short stored words for long texts do, is written a
//! block at a time.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use arrow_array::ArrayRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use rayon::prelude::*;

use super::chunks::Chunks;
use super::render::{Batch, RenderedBlock, Renderer};
use super::{ParquetFile, damage_of};
use crate::rows::SourceError;

/// Rows of a batch at most: enough that the cost of one vanishes.
const BATCH_ROWS: u64 = 8_192;

/// Rows of a batch at least, however wide they seem.
const FEWEST_ROWS: u64 = 16;

/// Batches that are worked on at once: one a core, and no more than memory
/// should be spent on.
fn parallel() -> usize {
    rayon::current_num_threads().clamp(2, 16)
}

/// Rows of a Parquet file as CSV text, block by block. Plain blocking reading;
/// dropping it ends the work that runs ahead.
#[derive(Debug)]
pub struct ParquetRows {
    /// What decodes and writes, when it is not in flight.
    engine: Option<Box<Engine>>,
    flight: Option<Receiver<Landed>>,
    ready: VecDeque<RenderedBlock>,
    ended: bool,
    cancelled: Arc<AtomicBool>,
    file: ParquetFile,
}

/// What comes back from a round.
type Landed = (Box<Engine>, Result<Option<Vec<RenderedBlock>>, SourceError>);

impl ParquetRows {
    pub(super) fn new(
        file: ParquetFile,
        chunks: Chunks,
        from_row: u64,
        wanted: Vec<usize>,
        renderer: Renderer,
        block_bytes: usize,
    ) -> Self {
        let cancelled = Arc::new(AtomicBool::new(false));
        let engine = Engine {
            file: file.clone(),
            chunks,
            wanted,
            renderer,
            block_bytes: block_bytes.max(1),
            next_group: 0,
            to_skip: from_row,
            groups: VecDeque::new(),
            queue: VecDeque::new(),
            cancelled: Arc::clone(&cancelled),
        };
        ParquetRows {
            engine: Some(Box::new(engine)),
            flight: None,
            ready: VecDeque::new(),
            ended: false,
            cancelled,
            file,
        }
    }

    /// The next rows, or `None` behind the last.
    ///
    /// # Errors
    /// [`SourceError`]: `Changed` when the file is not what it was when it was
    /// opened, `Damaged` when its data breaks the rules of the format, `Io`
    /// when the system refuses. Blocks already handed out stay right.
    pub fn next_block(&mut self) -> Result<Option<RenderedBlock>, SourceError> {
        loop {
            if let Some(block) = self.ready.pop_front() {
                self.launch();
                return Ok(Some(block));
            }
            if self.ended {
                return Ok(None);
            }
            self.launch();
            let (engine, result) = self.land()?;
            match result? {
                Some(blocks) => {
                    self.ready.extend(blocks);
                    self.engine = Some(engine);
                }
                None => self.ended = true,
            }
        }
    }

    /// Begins the next round, if none is under way.
    fn launch(&mut self) {
        let Some(mut engine) = self.engine.take() else { return };
        let (sender, receiver): (SyncSender<Landed>, _) = sync_channel(1);
        self.flight = Some(receiver);
        rayon::spawn(move || {
            // The crates that decode may panic at data that is damaged in an
            // unforeseen way; the engine is not used again then.
            let result = catch_unwind(AssertUnwindSafe(|| engine.advance()))
                .unwrap_or_else(|_| Err(engine.file.damaged(UNFORESEEN.to_owned())));
            // Nobody waits any more: the reading was given up.
            let _ = sender.send((engine, result));
        });
    }

    /// Waits for the round that is under way. Without one there is no more to
    /// come, which can only be after an error.
    fn land(&mut self) -> Result<Landed, SourceError> {
        let gone = || self.file.damaged("reading it has failed before".to_owned());
        let flight = self.flight.take().ok_or_else(gone)?;
        if rayon::current_thread_index().is_none() {
            return flight.recv().map_err(|_| gone());
        }
        // One of the threads that is to do the work: it must not just wait.
        loop {
            match flight.try_recv() {
                Ok(landed) => return Ok(landed),
                Err(TryRecvError::Disconnected) => return Err(gone()),
                Err(TryRecvError::Empty) => {}
            }
            if rayon::yield_now() == Some(rayon::Yield::Executed) {
                continue;
            }
            match flight.recv_timeout(Duration::from_millis(1)) {
                Ok(landed) => return Ok(landed),
                Err(RecvTimeoutError::Disconnected) => return Err(gone()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Drop for ParquetRows {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// What is said of damage that made a crate panic.
pub(super) const UNFORESEEN: &str = "its data can't be decoded";

/// Decodes and writes, a round at a time.
#[derive(Debug)]
struct Engine {
    file: ParquetFile,
    chunks: Chunks,
    /// Columns that are decoded, each once.
    wanted: Vec<usize>,
    renderer: Renderer,
    block_bytes: usize,
    /// The first row group that is not begun.
    next_group: usize,
    /// Rows to pass over before the first that is wanted.
    to_skip: u64,
    /// Row groups that are begun, the first of them perhaps in the middle.
    groups: VecDeque<Group>,
    queue: VecDeque<Item>,
    cancelled: Arc<AtomicBool>,
}

/// A row group that is being decoded.
#[derive(Debug)]
struct Group {
    index: usize,
    /// Rows to pass over before the first.
    skip: u64,
    /// Rows that are not decoded yet.
    left: u64,
    batch_rows: u64,
    lanes: Vec<Lane>,
}

/// One column of a row group.
struct Lane {
    column: usize,
    reader: Option<ParquetRecordBatchReader>,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "column {}", self.column)
    }
}

/// What is decoded, and what is written of it already, in order.
#[derive(Debug)]
enum Item {
    Written(RenderedBlock),
    Decoded(Part),
}

/// Rows that are decoded and not written yet.
#[derive(Debug, Clone)]
struct Part {
    batch: Arc<Batch>,
    from: usize,
    to: usize,
    /// Rows that made a block, if some of the batch are written.
    rows_of_block: Option<usize>,
}

impl Engine {
    /// The next blocks in order; `None` at the end.
    fn advance(&mut self) -> Result<Option<Vec<RenderedBlock>>, SourceError> {
        if self.queue.is_empty() {
            self.decode()?;
        }
        if self.queue.is_empty() {
            return Ok(None);
        }
        self.write()?;
        let mut blocks = Vec::new();
        while let Some(item) = self.queue.pop_front() {
            match item {
                Item::Written(block) => blocks.push(block),
                decoded @ Item::Decoded(_) => {
                    self.queue.push_front(decoded);
                    break;
                }
            }
        }
        Ok(Some(blocks))
    }

    /// Decodes a round of batches; none at the end of the file.
    fn decode(&mut self) -> Result<(), SourceError> {
        let mut quotas: Vec<u64> = Vec::new();
        let mut planned = 0;
        while planned < parallel() as u64 {
            if quotas.len() == self.groups.len() && !self.begin_group() {
                break;
            }
            let Some(group) = self.groups.get(quotas.len()) else { break };
            let quota = group.left.div_ceil(group.batch_rows).min(parallel() as u64 - planned);
            planned += quota;
            quotas.push(quota);
        }
        let (file, chunks, cancelled) = (&self.file, &self.chunks, &self.cancelled);
        let tasks: Vec<_> = self
            .groups
            .iter_mut()
            .zip(&quotas)
            .flat_map(|(group, &quota)| {
                let (index, skip, batch_rows) = (group.index, group.skip, group.batch_rows);
                let mut sizes = Vec::new();
                let mut left = group.left;
                for _ in 0..quota {
                    sizes.push(left.min(batch_rows) as usize);
                    left -= left.min(batch_rows);
                }
                group
                    .lanes
                    .iter_mut()
                    .map(move |lane| (index, skip, batch_rows, sizes.clone(), lane))
            })
            .collect();
        let decoded: Result<Vec<Vec<ArrayRef>>, String> = tasks
            .into_par_iter()
            .map(|(index, skip, batch_rows, sizes, lane)| {
                lane.decode(file, chunks, index, skip, batch_rows, &sizes, cancelled)
            })
            .collect();
        // Told first: what was changed meanwhile looks like damage, or worse,
        // does not.
        self.file.check(self.chunks.file())?;
        let mut decoded =
            decoded.map_err(|reason| self.file.damaged(reason))?.into_iter().map(Vec::into_iter);
        for (group, quota) in self.groups.iter_mut().zip(quotas) {
            let mut lanes: Vec<_> = decoded.by_ref().take(group.lanes.len()).collect();
            for _ in 0..quota {
                let rows = group.left.min(group.batch_rows);
                group.left -= rows;
                let columns = lanes.iter_mut().filter_map(Iterator::next).collect();
                self.queue.push_back(Item::Decoded(Part {
                    batch: Arc::new(Batch { columns }),
                    from: 0,
                    to: rows as usize,
                    rows_of_block: None,
                }));
            }
            group.skip = 0;
        }
        self.groups.retain(|group| group.left > 0);
        Ok(())
    }

    /// Begins the next row group that has rows; says whether there is one.
    fn begin_group(&mut self) -> bool {
        while let Some((rows, width)) = self.file.group(self.next_group, &self.wanted) {
            let index = self.next_group;
            self.next_group += 1;
            let skip = self.to_skip.min(rows);
            self.to_skip -= skip;
            if skip == rows {
                continue;
            }
            let batch_rows =
                (self.block_bytes as u64 / width.max(1)).clamp(FEWEST_ROWS, BATCH_ROWS);
            let lanes = self.wanted.iter().map(|&column| Lane { column, reader: None }).collect();
            self.groups.push_back(Group { index, skip, left: rows - skip, batch_rows, lanes });
            return true;
        }
        false
    }

    /// Writes the first parts that are not written yet, a block each.
    fn write(&mut self) -> Result<(), SourceError> {
        let mut parts: Vec<Part> = Vec::new();
        // `None` stands for the next of the parts.
        let mut order: Vec<Option<Item>> = Vec::new();
        for item in self.queue.drain(..) {
            let Item::Decoded(mut part) = item else {
                order.push(Some(item));
                continue;
            };
            while parts.len() < parallel()
                && let Some(rows) = part.rows_of_block
                && part.to - part.from > rows
            {
                let to = part.from + rows;
                parts.push(Part { to, ..part.clone() });
                part.from = to;
                order.push(None);
            }
            if parts.len() < parallel() {
                parts.push(part);
                order.push(None);
            } else {
                order.push(Some(Item::Decoded(part)));
            }
        }
        let (renderer, limit) = (&self.renderer, self.block_bytes);
        let written: Option<Vec<(RenderedBlock, usize)>> = parts
            .par_iter()
            .map(|part| renderer.render(&part.batch, part.from, part.to, limit))
            .collect();
        let Some(written) = written else {
            return Err(self.file.damaged(UNFORESEEN.to_owned()));
        };
        let mut written = parts.into_iter().zip(written);
        for item in order {
            if let Some(item) = item {
                self.queue.push_back(item);
            } else if let Some((part, (block, stopped))) = written.next() {
                let rows_of_block = Some((stopped - part.from).max(1));
                self.queue.push_back(Item::Written(block));
                if stopped < part.to {
                    self.queue.push_back(Item::Decoded(Part {
                        from: stopped,
                        rows_of_block,
                        ..part
                    }));
                }
            }
        }
        Ok(())
    }
}

impl Lane {
    /// Decodes batches of these sizes; what is wrong with the data if so.
    #[expect(clippy::too_many_arguments, reason = "a task of a round, named in one place")]
    fn decode(
        &mut self,
        file: &ParquetFile,
        chunks: &Chunks,
        group: usize,
        skip: u64,
        batch_rows: u64,
        sizes: &[usize],
        cancelled: &AtomicBool,
    ) -> Result<Vec<ArrayRef>, String> {
        let place = |what: &str| {
            format!("column `{}` in row group {}: {what}", file.name_of(self.column), group + 1)
        };
        let reader = match &mut self.reader {
            Some(reader) => reader,
            empty => {
                let metadata = file.metadata().clone();
                let mask = ProjectionMask::roots(metadata.parquet_schema(), [self.column]);
                let built =
                    ParquetRecordBatchReaderBuilder::new_with_metadata(chunks.clone(), metadata)
                        .with_row_groups(vec![group])
                        .with_projection(mask)
                        .with_offset(skip as usize)
                        .with_batch_size(batch_rows as usize)
                        .build()
                        .map_err(|error| place(&damage_of(&error)))?;
                empty.insert(built)
            }
        };
        let mut arrays = Vec::with_capacity(sizes.len());
        for &rows in sizes {
            if cancelled.load(Ordering::Relaxed) {
                return Err("given up".to_owned());
            }
            let batch = match reader.next() {
                Some(Ok(batch)) => batch,
                Some(Err(error)) => return Err(place(&error.to_string())),
                None => return Err(place("it has fewer rows than the file tells")),
            };
            if batch.num_rows() != rows {
                return Err(place("it has fewer rows than the file tells"));
            }
            arrays.extend(batch.columns().first().map(Arc::clone));
        }
        Ok(arrays)
    }
}
