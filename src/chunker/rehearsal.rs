//! The chunker run dry: what a load would make of its rows.

use std::io;
use std::sync::mpsc;

use super::body::{Body, PlannedChunk};
use super::cutter::{ChunkError, ChunkSink, Chunker, ChunkerOptions};
use crate::domain::{ROWS_PER_BATCH, RowNumber, RowOutcome};
use crate::rows::{Changes, EncodedBatch, RawBatch, RowStream, SourceError};

/// Chunks a rehearsal keeps at most, some 300 bytes each: more than any source
/// makes that is rehearsed without being asked for, and a bound for the others
/// (I6).
const MOST_READY: usize = 10_000;

/// Row batches that wait for the chunker, about a megabyte each.
const ENCODED_AHEAD: usize = 2;

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
    /// The chunks from the first one on, up to one that needs more than its
    /// bytes of the source (a row is rejected or written anew): a chunker with
    /// the same options makes them again to the last byte.
    pub ready: Vec<PlannedChunk>,
    /// Whether a chunk was met that is not among them.
    cut_off: bool,
    /// The chunks that would be sent, 10,000 of them at most.
    pub outlines: Vec<ChunkOutline>,
}

/// A chunk that would be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkOutline {
    /// Number of its first row.
    pub first_row: RowNumber,
    /// Number of its last row.
    pub last_row: RowNumber,
    /// Rows that would be sent.
    pub rows: u64,
    /// Bytes of the body, without the header line.
    pub bytes: u64,
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
        if !chunk.rows.is_empty() && self.outlines.len() < MOST_READY {
            self.outlines.push(ChunkOutline {
                first_row: chunk.stretch.first_row,
                last_row: chunk.last_row,
                rows: chunk.rows.len(),
                bytes: chunk.bytes,
            });
        }
        let is_plain =
            matches!(chunk.body, Body::Span { .. }) && chunk.rejected == 0 && chunk.duplicates == 0;
        self.cut_off |= !is_plain || self.ready.len() == MOST_READY;
        if !self.cut_off {
            self.ready.push(chunk);
        }
        Ok(())
    }
}

/// What encodes a row batch; it is called on a thread of its own.
pub type Encode<'a> = &'a mut (dyn FnMut(&RawBatch) -> Result<EncodedBatch, SourceError> + Send);

/// Runs rows through a dry chunker: what a load with these options would make
/// of them. Nothing is written.
///
/// # Errors
/// [`ChunkError::Source`] when the rows can't be read.
pub fn rehearse(
    rows: &mut dyn RowStream,
    encode: Encode<'_>,
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
    encode: Encode<'_>,
) -> Result<Rehearsal, ChunkError> {
    let mut found = Rehearsal::default();
    // Somebody waits for this, and nothing else is at work yet: rows are read
    // and encoded on one core, cut on another.
    let (encoded, batches) = mpsc::sync_channel(ENCODED_AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                let next = rows.next_batch().transpose();
                let next = next.map(|batch| batch.and_then(|batch| Ok((encode(&batch)?, batch))));
                let goes_on = matches!(next, Some(Ok(_)));
                // The chunker is gone when it failed.
                let taken = next.is_none_or(|next| encoded.send(next).is_ok());
                if !(goes_on && taken) {
                    return;
                }
            }
        });
        for next in batches {
            let (encoded, batch) = next?;
            chunker.push(&batch, &encoded, &mut found)?;
        }
        chunker.finish(&mut found)
    })?;
    Ok(found)
}
