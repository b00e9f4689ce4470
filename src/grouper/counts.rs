//! Rows per parent, in bounded memory.
//!
//! As long as there are not too many keys, each is counted. When there are,
//! the rare ones are forgotten: a common amount is taken off all counts, and
//! those that reach nothing go (Misra and Gries, "Finding repeated elements").
//! A count is then too small by at most what was taken off, so skewed parents
//! can't be missed; how many keys there are is estimated (`HyperLogLog`, 16,384
//! registers, off by 0.8 % most of the time).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use crate::domain::RowNumber;

/// Skewed parents that are told.
pub(super) const LARGEST: usize = 10;

/// A parent by its number of rows. It is named by a row that has it, never by
/// its value (I8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupSize {
    /// How many rows have it.
    pub rows: u64,
    /// The first of them.
    pub first_row: RowNumber,
}

/// The largest of all groups seen.
#[derive(Debug, Default)]
pub(super) struct Largest {
    /// Smallest first, by rows; of two alike the later one.
    heap: BinaryHeap<Reverse<(u64, Reverse<u64>)>>,
}

impl Largest {
    pub(super) fn push(&mut self, size: GroupSize) {
        let entry = Reverse((size.rows, Reverse(size.first_row.0)));
        if self.heap.len() < LARGEST {
            self.heap.push(entry);
        } else if let Some(mut least) = self.heap.peek_mut()
            && entry < *least
        {
            *least = entry;
        }
    }

    /// Largest first.
    pub(super) fn finish(self) -> Vec<GroupSize> {
        self.heap
            .into_sorted_vec()
            .into_iter()
            .map(|Reverse((rows, Reverse(row)))| GroupSize { rows, first_row: RowNumber(row) })
            .collect()
    }
}

/// Passes a hash through: keys are hashes already.
#[derive(Debug, Default)]
struct AsItIs(u64);

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

/// Counts rows by key.
pub(super) struct Counts {
    sizes: HashMap<u64, GroupSize, BuildHasherDefault<AsItIs>>,
    max_keys: usize,
    undercount: u64,
    registers: Vec<u8>,
}

/// Registers of the estimate, as a power of two.
const REGISTER_BITS: u32 = 14;

impl Counts {
    pub(super) fn new(max_keys: usize) -> Self {
        Counts {
            sizes: HashMap::default(),
            max_keys: max_keys.max(4),
            undercount: 0,
            registers: vec![0; 1 << REGISTER_BITS],
        }
    }

    /// Counts adjacent rows of a key. Whether it was met before, as far as is
    /// remembered.
    pub(super) fn add(&mut self, key: u64, rows: u64, first_row: RowNumber) -> bool {
        let register = (key >> (u64::BITS - REGISTER_BITS)) as usize;
        let rest = (key << REGISTER_BITS) | (1 << (REGISTER_BITS - 1));
        let zeros = rest.leading_zeros() + 1;
        if let Some(most) = self.registers.get_mut(register) {
            *most = (*most).max(zeros as u8);
        }
        if let Some(size) = self.sizes.get_mut(&key) {
            size.rows += rows;
            return true;
        }
        if self.sizes.len() >= self.max_keys {
            self.forget();
        }
        self.sizes.insert(key, GroupSize { rows, first_row });
        false
    }

    /// Takes so much off all counts that half of them or more go.
    fn forget(&mut self) {
        let mut rows: Vec<u64> = self.sizes.values().map(|size| size.rows).collect();
        let middle = rows.len() / 2;
        let (_, &mut off, _) = rows.select_nth_unstable(middle);
        self.undercount += off;
        self.sizes.retain(|_, size| {
            size.rows = size.rows.saturating_sub(off);
            size.rows > 0
        });
    }

    /// Whether every key is remembered and every count right.
    pub(super) const fn is_exact(&self) -> bool {
        self.undercount == 0
    }

    /// By how much a count may be too small.
    pub(super) const fn undercount(&self) -> u64 {
        self.undercount
    }

    /// How many keys there are; an estimate unless [`Self::is_exact`].
    pub(super) fn distinct(&self) -> u64 {
        if self.is_exact() { self.sizes.len() as u64 } else { self.estimate() }
    }

    fn estimate(&self) -> u64 {
        let registers = self.registers.len() as f64;
        let (mut sum, mut untouched) = (0.0, 0u32);
        for &zeros in &self.registers {
            sum += 0.5f64.powi(i32::from(zeros));
            untouched += u32::from(zeros == 0);
        }
        let raw = 0.7213 / (1.0 + 1.079 / registers) * registers * registers / sum;
        if raw <= 2.5 * registers && untouched > 0 {
            (registers * (registers / f64::from(untouched)).ln()).round() as u64
        } else {
            raw.round() as u64
        }
    }

    /// How many keys are known to have more rows than `rows`.
    pub(super) fn above(&self, rows: u64) -> u64 {
        self.sizes.values().filter(|size| size.rows > rows).count() as u64
    }

    /// The keys with the most rows, by the counts as they are.
    pub(super) fn largest(&self) -> Vec<GroupSize> {
        let mut largest = Largest::default();
        for size in self.sizes.values() {
            largest.push(*size);
        }
        largest.finish()
    }
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    fn key(number: u64) -> u64 {
        xxh3_64(&number.to_le_bytes())
    }

    #[test]
    fn few_keys_are_counted_exactly() {
        let mut counts = Counts::new(100);
        for row in 1..=100u64 {
            let seen = counts.add(key(row % 7), row % 2 + 1, RowNumber(row));
            assert_eq!(seen, row > 7);
        }
        assert!(counts.is_exact());
        assert_eq!(counts.distinct(), 7);
        let rows: u64 = counts.largest().iter().map(|size| size.rows).sum();
        assert_eq!(rows, 150);
        assert_eq!(
            counts.above(21),
            counts.largest().iter().filter(|s| s.rows > 21).count() as u64
        );
    }

    #[test]
    fn of_many_keys_the_skewed_are_found_and_the_error_is_known() {
        let mut counts = Counts::new(1000);
        let mut row = 0;
        for key_number in 0..50_000u64 {
            row += 1;
            counts.add(key(key_number), 1, RowNumber(row));
            if key_number % 5 == 0 {
                row += 1;
                counts.add(key(1_000_000), 1, RowNumber(row));
            }
            if key_number % 25 == 0 {
                row += 1;
                counts.add(key(2_000_000), 1, RowNumber(row));
            }
        }
        assert!(!counts.is_exact());
        let off = counts.undercount();
        assert!(off <= 2 * row / 1000, "{off} of {row}");
        let largest = counts.largest();
        for (found, true_rows) in largest.iter().zip([10_000, 2000]) {
            assert!(found.rows <= true_rows && true_rows <= found.rows + off, "{found:?}");
        }
        let distinct = counts.distinct() as f64;
        assert!((distinct / 50_002.0 - 1.0).abs() < 0.04, "{distinct}");
    }

    #[test]
    fn the_largest_come_first_and_of_equals_the_earlier() {
        let mut largest = Largest::default();
        for (rows, first_row) in (1..=30).map(|row| (row % 4, row)) {
            largest.push(GroupSize { rows, first_row: RowNumber(first_row) });
        }
        let found: Vec<_> =
            largest.finish().iter().map(|size| (size.rows, size.first_row.0)).collect();
        assert_eq!(
            found,
            [(3, 3), (3, 7), (3, 11), (3, 15), (3, 19), (3, 23), (3, 27), (2, 2), (2, 6), (2, 10)]
        );
    }
}
