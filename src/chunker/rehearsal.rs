//! The chunker run dry: what a load would make of its rows.

use std::io;

use super::body::PlannedChunk;
use super::cutter::{ChunkError, ChunkSink, Chunker, ChunkerOptions};
use crate::domain::{ROWS_PER_BATCH, RowNumber, RowOutcome};
use crate::rows::{Changes, EncodedBatch, RawBatch, RowStream};

/// What a dry run found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rehearsal {
    /// Chunks, those without a row to send left aside: jobs there will be.
    pub jobs: u64,
    /// Daily batches they cost: each started 10,000 rows of a job is one.
    pub batches: u64,
    /// Rows read.
    pub read: u64,
    /// Rows that would be sent.
    pub sent: u64,
    /// Rows that would be rejected, duplicates among them.
    pub rejected: u64,
    /// Bytes of all bodies, header lines not counted.
    pub bytes: u64,
    /// Rows whose key an earlier row of their chunk has.
    pub duplicates: u64,
    /// The first such row, and the row it repeats.
    pub duplicate_example: Option<(RowNumber, RowNumber)>,
    /// What would be changed in cells.
    pub changes: Changes,
}

impl ChunkSink for Rehearsal {
    fn rejected(&mut self, _chunk: u64, _outcome: RowOutcome) -> io::Result<()> {
        Ok(())
    }

    fn planned(&mut self, chunk: PlannedChunk) -> io::Result<()> {
        self.jobs += u64::from(!chunk.rows.is_empty());
        self.batches += chunk.rows.len().div_ceil(ROWS_PER_BATCH);
        self.read += chunk.read_rows;
        self.sent += chunk.rows.len();
        self.rejected += chunk.rejected;
        self.bytes += chunk.bytes;
        self.duplicates += chunk.duplicates;
        self.duplicate_example = self.duplicate_example.or(chunk.duplicate_example);
        self.changes.add(&chunk.changes);
        Ok(())
    }
}

/// Runs rows through a dry chunker: what a load with these options would make
/// of them. Nothing is written.
///
/// # Errors
/// [`ChunkError::Source`] when the rows can't be read.
pub fn rehearse(
    rows: &mut dyn RowStream,
    encode: &mut dyn FnMut(&RawBatch) -> EncodedBatch,
    options: ChunkerOptions,
) -> Result<Rehearsal, ChunkError> {
    rehearse_with(Chunker::dry(options), rows, encode)
}

/// As [`rehearse`], with a dry chunker that was told of groups.
///
/// # Errors
/// As [`rehearse`].
pub fn rehearse_with(
    mut chunker: Chunker,
    rows: &mut dyn RowStream,
    encode: &mut dyn FnMut(&RawBatch) -> EncodedBatch,
) -> Result<Rehearsal, ChunkError> {
    let mut found = Rehearsal::default();
    while let Some(batch) = rows.next_batch()? {
        chunker.push(&batch, &encode(&batch), &mut found)?;
    }
    chunker.finish(&mut found)?;
    Ok(found)
}
