//! Keys that occur twice within a chunk, and text columns in which none does.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use serde::{Deserialize, Serialize};

use crate::domain::{DEFAULT_CHUNK_ROWS, RowNumber};
use crate::rows::EMPTY_HASH;

/// `--duplicates`: what becomes of rows of a chunk that share their key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Duplicates {
    /// All of them are rejected: nobody said which one is right.
    #[default]
    Reject,
    /// The first is sent, the others are rejected.
    First,
    /// The last is sent, the others are rejected.
    Last,
    /// All are sent; the service decides.
    Keep,
}

/// Passes a hash through: keys are hashes already.
#[derive(Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only `write_u64` is ever called; kept right for any other caller.
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type ByHash = BuildHasherDefault<AsItIs>;

/// A row of the chunk that has a key.
#[derive(Debug, Clone, Copy)]
struct Holder {
    /// Its place among the rows that are sent.
    position: u32,
    /// Its number, counted from the chunk's first row.
    row: u32,
    /// Whether it was taken out already.
    is_out: bool,
}

/// A row that was taken into the chunk and has to leave it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaver {
    /// Its place among the rows that are sent.
    pub(super) position: u32,
    /// Its number.
    pub(super) row: RowNumber,
    /// The row that has the same key.
    pub(super) twin: RowNumber,
}

/// The keys of the chunk so far. Two keys are taken for one when their 64-bit
/// hashes agree: in a chunk of 250,000 rows that is wrong once in half a
/// billion chunks.
#[derive(Debug)]
pub(super) struct Keys {
    policy: Duplicates,
    first_row: RowNumber,
    holders: HashMap<u64, Holder, ByHash>,
    /// Bytes of each row that is sent, where rows may have to leave again.
    lengths: Vec<u32>,
    leavers: Vec<Leaver>,
    /// Rows whose key an earlier row of the chunk has.
    pub(super) duplicates: u64,
    /// The first such row and the row it repeats.
    pub(super) example: Option<(RowNumber, RowNumber)>,
}

impl Keys {
    /// For a chunk of so many rows at most.
    pub(super) fn new(policy: Duplicates, first_row: RowNumber, rows: u64) -> Self {
        let room = rows.min(DEFAULT_CHUNK_ROWS) as usize;
        Keys {
            policy,
            first_row,
            holders: HashMap::with_capacity_and_hasher(room, ByHash::default()),
            lengths: Vec::new(),
            leavers: Vec::new(),
            duplicates: 0,
            example: None,
        }
    }

    /// Meets the key of a row that would be sent at `position`. The row that
    /// has the key already, if therefore this one is not to be sent.
    pub(super) fn meet(&mut self, key: u64, row: RowNumber, position: u64) -> Option<RowNumber> {
        if key == EMPTY_HASH {
            return None;
        }
        let offset = row.0.saturating_sub(self.first_row.0) as u32;
        let own = Holder { position: position as u32, row: offset, is_out: false };
        let mut entry = match self.holders.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(own);
                return None;
            }
            Entry::Occupied(entry) => entry,
        };
        let holder = entry.get_mut();
        let twin = self.first_row.plus(u64::from(holder.row));
        self.duplicates += 1;
        self.example.get_or_insert((row, twin));
        let leaver = Leaver { position: holder.position, row: twin, twin: row };
        match self.policy {
            Duplicates::Keep => None,
            Duplicates::First => Some(twin),
            Duplicates::Last => {
                self.leavers.push(leaver);
                *holder = own;
                None
            }
            Duplicates::Reject => {
                if !holder.is_out {
                    holder.is_out = true;
                    self.leavers.push(leaver);
                }
                Some(twin)
            }
        }
    }

    /// Notes that a row is sent, at the next position.
    pub(super) fn sent(&mut self, length: usize) {
        if matches!(self.policy, Duplicates::Reject | Duplicates::Last) {
            self.lengths.push(u32::try_from(length).unwrap_or(u32::MAX));
        }
    }

    /// Bytes of each row that is sent, line end included.
    pub(super) fn lengths(&self) -> &[u32] {
        &self.lengths
    }

    /// How many rows must leave, as far as is known.
    pub(super) fn leaving(&self) -> u64 {
        self.leavers.len() as u64
    }

    /// The rows that must leave, in order.
    pub(super) fn take_leavers(&mut self) -> Vec<Leaver> {
        let mut leavers = std::mem::take(&mut self.leavers);
        leavers.sort_unstable_by_key(|leaver| leaver.position);
        leavers
    }
}

/// Text columns, each until a value occurs twice or is empty.
#[derive(Debug)]
pub(super) struct UniqueTexts {
    columns: Vec<Option<HashSet<u64, ByHash>>>,
}

impl UniqueTexts {
    pub(super) fn new(columns: usize) -> Self {
        UniqueTexts { columns: (0..columns).map(|_| Some(HashSet::default())).collect() }
    }

    /// Meets the hashes of one row that is sent.
    pub(super) fn meet(&mut self, hashes: &[u64]) {
        for (column, &hash) in self.columns.iter_mut().zip(hashes) {
            if let Some(seen) = column
                && (hash == EMPTY_HASH || !seen.insert(hash))
            {
                *column = None;
            }
        }
    }

    /// The first column in which no value was empty or occurred twice.
    pub(super) fn first_unique(&self) -> Option<usize> {
        self.columns.iter().position(Option::is_some)
    }
}
