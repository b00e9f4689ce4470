//! Parcels: what one batch of the org takes, and what jobs come of them.

use super::GroupOptions;
use crate::rows::{GroupRun, Parcel};

/// How much batches and chunks take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    batch_rows: u64,
    chunk_rows: u64,
    /// Bytes of rows in a chunk.
    chunk_bytes: u64,
}

impl Room {
    pub(super) fn new(options: &GroupOptions) -> Self {
        Room {
            batch_rows: options.batch_rows.max(1),
            chunk_rows: options.chunk_rows.max(1),
            chunk_bytes: options.chunk_bytes.saturating_sub(options.header_bytes).max(1),
        }
    }

    pub(super) fn batch_rows(self) -> u64 {
        self.batch_rows
    }

    /// Rows of a parcel of small groups.
    fn parcel_rows(self) -> u64 {
        self.batch_rows.min(self.chunk_rows)
    }

    /// Whether a group can be in one batch.
    pub(super) fn is_small(self, rows: u64, bytes: u64) -> bool {
        rows <= self.parcel_rows() && bytes <= self.chunk_bytes
    }
}

/// The parcel in the making.
#[derive(Debug)]
pub(super) struct OpenParcel {
    room: Room,
    parcel: Parcel,
    /// Rows it takes.
    limit: u64,
}

impl OpenParcel {
    pub(super) fn new(room: Room) -> Self {
        OpenParcel { room, parcel: Parcel::default(), limit: room.parcel_rows() }
    }

    /// Whether it has no row that is sent.
    pub(super) fn is_empty(&self) -> bool {
        self.parcel.sent == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.parcel.sent >= self.limit
    }

    pub(super) fn fits(&self, rows: u64, bytes: u64) -> bool {
        self.parcel.sent + rows <= self.limit && self.parcel.bytes + bytes <= self.room.chunk_bytes
    }

    /// Takes a group that fits, or that is the first.
    pub(super) fn push(&mut self, group: GroupRun) {
        self.parcel.push(group);
    }

    /// Takes a group, as the first, that may be larger than a batch. The rest
    /// of its last batch stays open, unless it is cut by the ends of chunks.
    pub(super) fn push_large(&mut self, group: GroupRun) {
        let Room { batch_rows, chunk_rows, chunk_bytes } = self.room;
        self.parcel.push(group);
        self.limit = if group.sent > chunk_rows || group.bytes > chunk_bytes {
            group.sent
        } else {
            group.sent.next_multiple_of(batch_rows).min(chunk_rows)
        };
    }

    /// Ends the parcel and begins another.
    pub(super) fn take(&mut self) -> Parcel {
        self.limit = self.room.parcel_rows();
        std::mem::take(&mut self.parcel)
    }
}

/// Puts groups into parcels in the order in which they come.
#[derive(Debug)]
pub(super) struct InOrder {
    room: Room,
    open: OpenParcel,
}

impl InOrder {
    pub(super) fn new(room: Room) -> Self {
        InOrder { room, open: OpenParcel::new(room) }
    }

    /// Takes a group and hands on the parcels that it completes.
    pub(super) fn push<E>(
        &mut self,
        group: GroupRun,
        take: &mut dyn FnMut(Parcel) -> Result<(), E>,
    ) -> Result<(), E> {
        let is_small = self.room.is_small(group.sent, group.bytes);
        let joins = is_small && self.open.fits(group.sent, group.bytes);
        if !self.open.is_empty() && !joins {
            take(self.open.take())?;
        }
        if is_small {
            self.open.push(group);
        } else {
            self.open.push_large(group);
        }
        if self.open.is_full() {
            take(self.open.take())?;
        }
        Ok(())
    }

    /// The last parcel.
    pub(super) fn finish(mut self) -> Parcel {
        self.open.take()
    }
}

/// What jobs a load in groups makes, by the rows as they stand in the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobCount {
    /// Jobs.
    pub jobs: u64,
    /// Daily batches they cost (I9).
    pub batches: u64,
}

/// Counts jobs along parcels, as the chunker cuts them.
#[derive(Debug)]
pub(super) struct JobCounter {
    room: Room,
    count: JobCount,
    rows: u64,
    bytes: u64,
}

impl JobCounter {
    pub(super) fn new(room: Room) -> Self {
        JobCounter { room, count: JobCount::default(), rows: 0, bytes: 0 }
    }

    pub(super) fn push(&mut self, parcel: &Parcel) {
        let Room { batch_rows, chunk_rows, chunk_bytes } = self.room;
        if parcel.sent == 0 {
            return;
        }
        let fits =
            self.rows + parcel.sent <= chunk_rows && self.bytes + parcel.bytes <= chunk_bytes;
        if self.rows > 0 && (!self.rows.is_multiple_of(batch_rows) || !fits) {
            self.seal();
        }
        self.rows += parcel.sent;
        self.bytes += parcel.bytes;
        let by_rows = self.rows.div_ceil(chunk_rows);
        let pieces = by_rows.max(self.bytes.div_ceil(chunk_bytes));
        if pieces > 1 {
            // A group larger than a chunk: cut where a chunk is full.
            let piece =
                if by_rows == pieces { chunk_rows } else { self.rows.div_ceil(pieces).max(1) };
            self.count.jobs += pieces - 1;
            self.count.batches += (pieces - 1) * piece.div_ceil(batch_rows);
            self.rows = self.rows.saturating_sub((pieces - 1) * piece);
            self.bytes /= pieces;
        }
    }

    fn seal(&mut self) {
        self.count.jobs += u64::from(self.rows > 0);
        self.count.batches += self.rows.div_ceil(self.room.batch_rows);
        self.rows = 0;
        self.bytes = 0;
    }

    pub(super) fn finish(mut self) -> JobCount {
        self.seal();
        self.count
    }
}

/// Jobs there would be if rows were sent in any order.
pub(super) fn least_jobs(room: Room, rows: u64, bytes: u64) -> u64 {
    rows.div_ceil(room.chunk_rows).max(bytes.div_ceil(room.chunk_bytes))
}
