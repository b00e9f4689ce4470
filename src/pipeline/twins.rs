//! Rows of a run that share their key: what the record of that key proves of
//! one of them need not hold for the other.
//!
//! Two readings of all rows in bounded memory (I6): the first marks keys in a
//! table of bits and finds those that may have occurred before, the second
//! looks at these exactly.

use std::collections::HashMap;

/// Most places of the table: 32 MiB for each of its two bits.
const MOST_PLACES: u64 = 1 << 28;

/// Places for each row: one row in sixteen is looked at for nothing.
const PLACES_A_ROW: u64 = 16;

/// Keys looked at exactly: some 50 MB. Of the others it is assumed that they
/// have twins.
const MOST_EXACT: usize = 1 << 20;

/// What is known of a key that more than one row may have.
#[derive(Debug, Clone, Copy)]
struct Shared {
    /// The first row's content.
    content: u64,
    rows: u32,
    /// Whether rows of this key say different things.
    differs: bool,
    /// Whether a row of this key was told to have made its record.
    claimed: bool,
}

/// Keys by how many rows have them.
#[derive(Debug)]
pub(super) struct Twins {
    seen: Vec<u64>,
    again: Vec<u64>,
    mask: u64,
    exact: HashMap<u64, Shared>,
    overflows: bool,
}

impl Twins {
    /// For about so many rows.
    pub(super) fn new(rows: u64) -> Self {
        let places = rows.saturating_mul(PLACES_A_ROW).clamp(1 << 10, MOST_PLACES);
        let places = places.next_power_of_two();
        let words = usize::try_from(places / 64).unwrap_or(1);
        Twins {
            seen: vec![0; words],
            again: vec![0; words],
            mask: places - 1,
            exact: HashMap::new(),
            overflows: false,
        }
    }

    const fn place(&self, key: u64) -> (usize, u64) {
        let place = key & self.mask;
        ((place / 64) as usize, 1 << (place % 64))
    }

    fn is_marked(table: &[u64], (word, bit): (usize, u64)) -> bool {
        table.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Takes a row in the first reading.
    pub(super) fn mark(&mut self, key: u64) {
        let place = self.place(key);
        let table =
            if Self::is_marked(&self.seen, place) { &mut self.again } else { &mut self.seen };
        if let Some(word) = table.get_mut(place.0) {
            *word |= place.1;
        }
    }

    /// Takes a row in the second reading; `claims` is whether it is known to
    /// have made its record.
    pub(super) fn compare(&mut self, key: u64, content: u64, claims: bool) {
        if !Self::is_marked(&self.again, self.place(key)) {
            return;
        }
        if let Some(shared) = self.exact.get_mut(&key) {
            shared.rows = shared.rows.saturating_add(1);
            shared.differs |= shared.content != content;
            shared.claimed |= claims;
        } else if self.exact.len() < MOST_EXACT {
            self.exact.insert(key, Shared { content, rows: 1, differs: false, claimed: claims });
        } else {
            self.overflows = true;
        }
    }

    fn assumed(&self, key: u64) -> bool {
        self.overflows && Self::is_marked(&self.again, self.place(key))
    }

    /// Whether another row has this key.
    pub(super) fn has_twin(&self, key: u64) -> bool {
        self.exact.get(&key).map_or_else(|| self.assumed(key), |shared| shared.rows > 1)
    }

    /// Whether another row has this key and says something else.
    pub(super) fn has_rival(&self, key: u64) -> bool {
        self.exact.get(&key).map_or_else(|| self.assumed(key), |shared| shared.differs)
    }

    /// Whether no row of this key has claimed to have made its record yet; from
    /// now on one has.
    pub(super) fn claim(&mut self, key: u64) -> bool {
        match self.exact.get_mut(&key) {
            Some(shared) => !std::mem::replace(&mut shared.claimed, true),
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_and_rivals_are_told_apart() {
        // Keys 5 and 1029 share a place of the table.
        let rows = [(5, 1), (1029, 1), (7, 1), (7, 1), (9, 1), (9, 2), (11, 1)];
        let mut twins = Twins::new(7);
        for (key, _) in rows {
            twins.mark(key);
        }
        for (key, content) in rows {
            twins.compare(key, content, key == 9);
        }
        for key in [5, 1029, 11, 4] {
            assert!(!twins.has_twin(key) && !twins.has_rival(key), "{key}");
        }
        assert!(twins.has_twin(7) && !twins.has_rival(7));
        assert!(twins.has_twin(9) && twins.has_rival(9));
        assert!(twins.claim(7) && !twins.claim(7));
        assert!(!twins.claim(9), "its first row did");
        assert!(twins.claim(11) && twins.claim(11), "nobody else can");
    }
}
