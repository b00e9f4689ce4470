//! Rows of one parent together: a source put in an order in which a load locks
//! against itself as little as can be (`--group-by`).
//!
//! Saving a record locks its parent. The org works the batches of a job, and
//! jobs, side by side, so rows of one parent in two batches wait for each
//! other and fail with `UNABLE_TO_LOCK_ROW`. Within one batch they don't.
//!
//! ```text
//!                  ┌─► survey ────► GroupSurvey: rows per parent, lock forecast
//! rows + their keys├─► index_in_place ──► grouped.groups   (source is in order)
//!                  └─► regroup ─► sorter ─► packer ─► grouped.groups
//!                                  │  ▲                grouped.rows
//!                                  ▼  │                grouped.csv
//!                               sorted runs on disk
//! ```
//!
//! - [`regroup`] makes a **derived source**: a private CSV file with the
//!   header line and every record of the source byte for byte, in another
//!   order, and a row map that says which row is which. All stages behind work
//!   on it as on any source, by *position*; people are told rows of the
//!   original.
//! - Rows come sorted by key from an external merge sort (`rows::sorter`) and are packed into
//!   *parcels* of what one batch takes. A group that doesn't fit into what a
//!   batch has left is put off until the next, up to a bound; rows without a
//!   parent, which lock nothing, fill up what stays open. The chunker cuts
//!   jobs between parcels (`crate::rows::GroupIndex`).
//! - Rows that are going to be rejected stand at the end, where they shift no
//!   batch.
//! - A key is known by its 64-bit hash. Two that share one become one group,
//!   which costs nothing but a little room.
//! - Memory is bounded by [`GroupOptions::memory`] (I6); the disk must hold
//!   the source twice more for the time being, once when done.
//!
//! | file | what it is |
//! |---|---|
//! | `keys` | the key of a row |
//! | `survey`, `counts` | rows per parent, counted in one pass and bounded memory |
//! | `runs` | rows of one key that are adjacent already |
//! | `parcels` | what one batch takes; what jobs this comes to |
//! | `packer`, `output` | groups to parcels; the files |
//!
//! Plain synchronous code.

mod counts;
mod keys;
mod output;
mod packer;
mod parcels;
mod regroup;
mod runs;
mod survey;

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::ROWS_PER_BATCH;
use crate::rows::SourceError;

pub use counts::GroupSize;
pub use keys::{KeyColumn, RowKey};
pub use output::{GROUPED_CSV, GROUPED_GROUPS, GROUPED_ROWS};
pub use parcels::JobCount;
pub use regroup::{Derived, Indexed, Keyed, index_in_place, regroup};
pub use survey::{GroupSurvey, survey};

/// Bytes of memory that grouping takes if nobody says otherwise: a sorted run
/// of 160 MiB, so that 10 GB of rows make some 60 of them.
pub const DEFAULT_MEMORY: usize = 256 << 20;

/// Sorted runs merged at a time: far below what a process may have open, and
/// enough for 10 GB in one pass.
pub const DEFAULT_FAN_IN: usize = 64;

/// What grouping has to know besides the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupOptions {
    /// Rows a chunk sends at most.
    pub chunk_rows: u64,
    /// Bytes a job's body has at most, header line included.
    pub chunk_bytes: u64,
    /// Bytes of the header line of a job.
    pub header_bytes: u64,
    /// Rows of a batch of the org.
    pub batch_rows: u64,
    /// Bytes of memory, about.
    pub memory: usize,
    /// Sorted runs merged at a time, 2 at least.
    pub fan_in: usize,
}

impl GroupOptions {
    /// The usual memory, for chunks of this size.
    pub const fn new(chunk_rows: u64, chunk_bytes: u64, header_bytes: u64) -> Self {
        GroupOptions {
            chunk_rows,
            chunk_bytes,
            header_bytes,
            batch_rows: ROWS_PER_BATCH,
            memory: DEFAULT_MEMORY,
            fan_in: DEFAULT_FAN_IN,
        }
    }

    /// Bytes of rows sorted in memory.
    const fn run_bytes(&self) -> usize {
        self.memory / 8 * 5
    }

    /// Bytes of a group held until its size is known; a larger one is passed
    /// through. The groups put off have as many.
    const fn held_bytes(&self) -> usize {
        self.memory / 8
    }

    /// Bytes read at a time from a sorted run.
    fn read_bytes(&self) -> usize {
        (self.memory / 4 / self.fan_in.max(2)).clamp(4 << 10, 1 << 20)
    }

    /// Keys counted one by one: some 50 bytes each at worst.
    const fn max_keys(&self) -> usize {
        self.memory / 64
    }
}

/// How far grouping has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupStep {
    /// Rows read so far, and the byte of the source they reach to.
    Read {
        /// Rows.
        rows: u64,
        /// Bytes.
        bytes: u64,
    },
    /// Rows written in their new order so far.
    Written {
        /// Rows.
        rows: u64,
    },
}

/// Why rows can't be grouped. No file of the grouping is left under its name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// The source can't be read.
    #[error("the rows can't be read")]
    Source(#[from] SourceError),
    /// A file of the grouping can't be written or read again: the disk is full
    /// or refuses.
    #[error("the rows put in groups can't be written below {}", folder.display())]
    Io {
        /// The folder it is in.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The caller said stop.
    #[error("putting the rows in groups was stopped")]
    Stopped,
}

impl GroupError {
    fn io(folder: &Path) -> impl Fn(io::Error) -> GroupError + '_ {
        |source| GroupError::Io { folder: folder.to_owned(), source }
    }
}

#[cfg(test)]
mod tests;
