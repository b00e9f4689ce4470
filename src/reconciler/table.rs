//! The hash table of one tier: results go in, rows look them up.
//!
//! Open addressing with linear probing over 16-byte slots, filled to three
//! quarters at most; the capacity is known before the first entry. Keys are
//! 64-bit hashes and stand for themselves: should two values of one chunk
//! share a hash (once in some 600,000,000 chunks of 250,000 rows), their rows
//! and results fall into one group and are told apart by later tiers.

/// No result, row or slot.
pub(super) const NONE: u32 = u32::MAX;

/// More results than one.
const MANY: u32 = u32::MAX - 1;

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u64,
    /// The one result, [`MANY`], or [`NONE`] where the slot is free.
    result: u32,
    /// How many rows looked it up.
    rows: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Slot>,
}

impl Table {
    /// A table for at most `entries` results.
    pub(super) fn new(entries: usize) -> Self {
        let slots = entries + entries / 3 + 8;
        Table { slots: vec![Slot { hash: 0, result: NONE, rows: 0 }; slots] }
    }

    /// How many slots there are; slot numbers are below it.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Where the hash is, or where it would go.
    fn find(&self, hash: u64) -> usize {
        let count = self.slots.len();
        // Multiply-shift spreads over any count without a division.
        let mut at = ((u128::from(hash) * count as u128) >> 64) as usize;
        while let Some(slot) = self.slots.get(at) {
            if slot.result == NONE || slot.hash == hash {
                return at;
            }
            at = if at + 1 == count { 0 } else { at + 1 };
        }
        at
    }

    /// Puts a result in and returns its slot.
    pub(super) fn insert(&mut self, hash: u64, result: u32) -> u32 {
        let at = self.find(hash);
        if let Some(slot) = self.slots.get_mut(at) {
            slot.hash = hash;
            slot.result = if slot.result == NONE { result } else { MANY };
        }
        at as u32
    }

    /// Looks a row up and returns the slot, or [`NONE`] if no result has the
    /// hash.
    pub(super) fn look_up(&mut self, hash: u64) -> u32 {
        let at = self.find(hash);
        match self.slots.get_mut(at) {
            Some(slot) if slot.result != NONE => {
                slot.rows = slot.rows.saturating_add(1);
                at as u32
            }
            _ => NONE,
        }
    }

    /// The result of a slot, if it is the only one and one row looked it up.
    pub(super) fn pair(&self, slot: u32) -> Option<u32> {
        let slot = self.slots.get(slot as usize)?;
        (slot.rows == 1 && slot.result < MANY).then_some(slot.result)
    }

    /// How many rows looked a slot up.
    pub(super) fn rows(&self, slot: u32) -> u32 {
        self.slots.get(slot as usize).map_or(0, |slot| slot.rows)
    }
}

/// Entries on their way to the table.
///
/// Each access to a large table waits for memory. One after the other, with a
/// record parsed in between, these waits add up; in a short loop of nothing
/// else the processor has many of them under way at once.
#[derive(Debug)]
pub(super) struct Waiting {
    entries: Vec<(u64, u32)>,
}

impl Waiting {
    /// Enough for the processor, little enough for the nearest cache: 8 KiB.
    const MANY: usize = 512;

    pub(super) fn new() -> Self {
        Waiting { entries: Vec::with_capacity(Self::MANY) }
    }

    /// Adds a result or row by its number; tells whether it is time to go on
    /// to the table.
    pub(super) fn push(&mut self, hash: u64, number: u32) -> bool {
        self.entries.push((hash, number));
        self.entries.len() == Self::MANY
    }

    /// Puts results into the table and their slots where they belong.
    pub(super) fn insert(&mut self, table: &mut Table, slots: &mut [u32]) {
        for (hash, number) in self.entries.drain(..) {
            let slot = table.insert(hash, number);
            if let Some(place) = slots.get_mut(number as usize) {
                *place = slot;
            }
        }
    }

    /// Looks rows up and puts their slots where they belong.
    pub(super) fn look_up(&mut self, table: &mut Table, slots: &mut [u32]) {
        for (hash, number) in self.entries.drain(..) {
            let slot = table.look_up(hash);
            if let Some(place) = slots.get_mut(number as usize) {
                *place = slot;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_one_result_and_one_row() {
        let mut table = Table::new(4);
        // Neighbours by their high bits, so that probing is exercised.
        let [one, two, three] = [u64::MAX, u64::MAX - 1, u64::MAX - 2];
        let first = table.insert(one, 10);
        let second = table.insert(two, 11);
        table.insert(three, 12);
        let again = table.insert(three, 13);
        assert_eq!(table.look_up(7), NONE);
        assert_eq!(table.look_up(one), first);
        assert_eq!(table.pair(first), Some(10));
        assert_eq!(table.pair(second), None, "no row yet");
        assert_eq!(table.look_up(two), second);
        assert_eq!(table.look_up(two), second);
        assert_eq!(table.pair(second), None, "two rows");
        assert_eq!(table.rows(second), 2);
        assert_eq!(table.look_up(three), again);
        assert_eq!(table.pair(again), None, "two results");
    }
}
