//! What cells that were seen before came to. Columns of countries, dates or
//! owners say the same over and over; remembering takes a fraction of making.

use xxhash_rust::xxh3::xxh3_64;

use crate::rows::Cell;

/// Entries a column can have at a time.
const SLOTS: usize = 2_048;

/// Bytes of cells and values, then all begins anew.
const MOST_BYTES: usize = 128 << 10;

/// Bytes of a cell that is remembered; longer ones hardly repeat.
const MOST_CELL: usize = 96;

/// How often it is asked before it is judged, and the part it must know.
const TRIAL: u32 = 256;
const LEAST_KNOWN: u32 = 8;

/// Bytes before cell and value: their lengths and the flags.
const HEAD: usize = 4;

/// What the cells of one column came to. It never says anything of a cell but
/// what was noted for the very same bytes.
#[derive(Default)]
pub(super) struct Memo {
    /// Upper half of the hash, and the place of the entry behind `entries`'
    /// begin, from 1.
    slots: Vec<u64>,
    entries: Vec<u8>,
    asked: u32,
    known: u32,
    is_off: bool,
}

/// What is known of a value besides its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags {
    /// Whether it was cut.
    pub(super) truncated: bool,
    /// Whether a word for true or false was replaced.
    pub(super) boolean: bool,
}

/// A cell that was not known, to be noted once its value is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unknown<'t> {
    raw: &'t [u8],
    hash: u64,
}

/// What the memo says of a cell.
pub(super) enum Recalled<'m, 't> {
    /// Its text as it is written into the row.
    Known(&'m [u8], Flags),
    /// Nothing yet.
    Unknown(Unknown<'t>),
    /// It is not asked of such cells.
    Useless,
}

impl Memo {
    /// What a cell came to.
    pub(super) fn recall<'t>(&mut self, cell: &Cell<'t>) -> Recalled<'_, 't> {
        let raw = cell.raw;
        if self.is_off || cell.has_doubled || raw.is_empty() || raw.len() > MOST_CELL {
            return Recalled::Useless;
        }
        self.asked += 1;
        if self.asked == TRIAL && self.known * LEAST_KNOWN < self.asked {
            // A column of keys: what was noted is not asked for again.
            *self = Memo { is_off: true, ..Memo::default() };
            return Recalled::Useless;
        }
        let hash = xxh3_64(raw);
        match find(&self.slots, &self.entries, raw, hash) {
            Some((value, flags)) => {
                self.known += 1;
                Recalled::Known(value, flags)
            }
            None => Recalled::Unknown(Unknown { raw, hash }),
        }
    }

    /// Notes what a cell came to.
    pub(super) fn note(&mut self, cell: Unknown<'_>, value: &[u8], flags: Flags) {
        let (Ok(cell_len), Ok(len)) = (u8::try_from(cell.raw.len()), u16::try_from(value.len()))
        else {
            return;
        };
        if self.slots.is_empty() || self.entries.len() > MOST_BYTES {
            self.slots.clear();
            self.slots.resize(SLOTS, 0);
            self.entries.clear();
        }
        let place = self.entries.len() as u64 + 1;
        let [low, high] = len.to_le_bytes();
        let bits = u8::from(flags.truncated) | u8::from(flags.boolean) << 1;
        self.entries.extend_from_slice(&[cell_len, low, high, bits]);
        self.entries.extend_from_slice(cell.raw);
        self.entries.extend_from_slice(value);
        if let Some(slot) = self.slots.get_mut(slot_of(cell.hash)) {
            *slot = (cell.hash >> 32 << 32) | place;
        }
    }
}

const fn slot_of(hash: u64) -> usize {
    hash as usize % SLOTS
}

fn find<'m>(slots: &[u64], entries: &'m [u8], raw: &[u8], hash: u64) -> Option<(&'m [u8], Flags)> {
    let slot = *slots.get(slot_of(hash))?;
    let place = (slot as u32 as usize).checked_sub(1)?;
    if slot >> 32 != hash >> 32 {
        return None;
    }
    let (head, rest) = entries.get(place..)?.split_at_checked(HEAD)?;
    let &[cell_len, low, high, bits] = head else { return None };
    let (cell, rest) = rest.split_at_checked(usize::from(cell_len))?;
    if cell != raw {
        return None;
    }
    let value = rest.get(..usize::from(u16::from_le_bytes([low, high])))?;
    Some((value, Flags { truncated: bits & 1 != 0, boolean: bits & 2 != 0 }))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::rows::Cells;

    fn cell(text: &str) -> Cell<'_> {
        Cells::new(text.as_bytes(), b',', b'"').next().unwrap()
    }

    #[test]
    fn a_column_of_keys_is_not_remembered_any_longer() {
        let mut memo = Memo::default();
        for key in 0..TRIAL * 2 {
            let text = format!("K{key}");
            if let Recalled::Unknown(unknown) = memo.recall(&cell(&text)) {
                assert!(key < TRIAL);
                memo.note(unknown, b"value", Flags::default());
            }
        }
        assert!(memo.is_off && memo.entries.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_recalled_is_what_was_noted(
            cells in prop::collection::vec(("[a-e]{0,3}", any::<bool>(), "[x-z]{0,4}"), 1..400),
        ) {
            let mut memo = Memo::default();
            let mut noted: HashMap<String, (String, Flags)> = HashMap::new();
            for (text, truncated, value) in cells {
                match memo.recall(&cell(&text)) {
                    Recalled::Known(value, flags) => {
                        let (expected, expected_flags) = &noted[&text];
                        prop_assert_eq!(value, expected.as_bytes());
                        prop_assert_eq!(flags, *expected_flags);
                    }
                    Recalled::Unknown(unknown) => {
                        let flags = Flags { truncated, boolean: !truncated };
                        memo.note(unknown, value.as_bytes(), flags);
                        noted.insert(text, (value, flags));
                    }
                    Recalled::Useless => {}
                }
            }
        }
    }
}
