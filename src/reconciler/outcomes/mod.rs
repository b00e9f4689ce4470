//! The outcome file: the fate of each row of an attempt, or of the rejected
//! rows of a chunk, in about 25 bytes a row.
//!
//! ```text
//! header   "BHOC", version u16, 0 u16, chunk u64                     16 bytes
//! record   tag u8: fate in bits 0-2, tier in 3-5, has id 6, has error 7
//!          row: distance from the row before (from 0 for the first), varint
//!          attempts u8
//!          id: its first 15 characters                    if the tag says so
//!          error: varint n                                if the tag says so
//!                 n = 0: a new text, its length (varint) and its bytes
//!                 n > 0: the n-th text that was new
//! trailer  0xFF, records u64, xxh3-64 of all before it u64
//! ```
//!
//! Numbers are little-endian. A file is written under a temporary name, synced
//! and renamed, so that under its own name it is whole; it is read only after
//! its checksum was found right. Private to the user (0600): error texts can
//! hold row values. Both sides keep the first 1,024 short texts in memory, no
//! more.

mod reader;
mod writer;

use std::io;
use std::path::PathBuf;

use crate::domain::{Fate, MatchTier, RowNumber, Tally};

pub use reader::OutcomeReader;
pub use writer::OutcomeWriter;

const MAGIC: &[u8; 4] = b"BHOC";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 16;
/// Count and checksum, behind the mark that opens the trailer.
const TRAILER_BYTES: u64 = 17;
/// No record's tag: its fate would be 7.
const END: u8 = 0xFF;
const HAS_ID: u8 = 1 << 6;
const HAS_ERROR: u8 = 1 << 7;

/// Texts that later records may refer to: 4 MiB in memory at most.
const MAX_TEXTS: usize = 1024;
/// A longer text is written each time.
const MAX_TEXT_BYTES: usize = 4096;
/// No error text is longer; one that says so is damage.
const MAX_ERROR_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes moved at a time.
const BUFFER: usize = 64 * 1024;

/// Why an outcome file can't be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutcomeError {
    /// The operating system refused.
    #[error("the outcome file {} can't be {action}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done, as a participle.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not whole, or not what was written.
    #[error("the outcome file {} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// Rows must come in ascending order.
    #[error("row {row} came behind row {before}")]
    OutOfOrder {
        /// The row.
        row: RowNumber,
        /// The row before it.
        before: RowNumber,
    },
}

/// What an outcome file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeSummary {
    /// Chunk number.
    pub chunk: u64,
    /// Rows.
    pub rows: u64,
    /// Rows by fate; `read` is their number.
    pub tally: Tally,
    /// Bytes of the file.
    pub bytes: u64,
    /// Its checksum in hex, for the ledger.
    pub digest: String,
}

fn number(bytes: Option<&[u8]>) -> u64 {
    bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

const FATES: [Fate; 7] = [
    Fate::Created,
    Fate::Updated,
    Fate::Deleted,
    Fate::Failed,
    Fate::Unprocessed,
    Fate::Disputed,
    Fate::Rejected,
];

/// Tiers by their code less one; code 0 is none.
const TIERS: [MatchTier; 6] = [
    MatchTier::Key,
    MatchTier::UserKey,
    MatchTier::UniqueColumn,
    MatchTier::Digest,
    MatchTier::Interchangeable,
    MatchTier::Elimination,
];

fn fate_code(fate: Fate) -> u8 {
    match fate {
        Fate::Created => 0,
        Fate::Updated => 1,
        Fate::Deleted => 2,
        Fate::Failed => 3,
        Fate::Unprocessed => 4,
        Fate::Disputed => 5,
        Fate::Rejected => 6,
    }
}

fn fate_of(code: u8) -> Option<Fate> {
    FATES.get(usize::from(code)).copied()
}

fn tier_code(tier: Option<MatchTier>) -> u8 {
    match tier {
        None => 0,
        Some(MatchTier::Key) => 1,
        Some(MatchTier::UserKey) => 2,
        Some(MatchTier::UniqueColumn) => 3,
        Some(MatchTier::Digest) => 4,
        Some(MatchTier::Interchangeable) => 5,
        Some(MatchTier::Elimination) => 6,
    }
}

/// The tier of a code, or `Err` when there is no such code.
fn tier_of(code: u8) -> Result<Option<MatchTier>, ()> {
    match code.checked_sub(1) {
        None => Ok(None),
        Some(at) => TIERS.get(usize::from(at)).copied().map(Some).ok_or(()),
    }
}

#[cfg(test)]
mod tests;
