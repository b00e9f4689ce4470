//! Row numbers, and compact sets of them.

use serde::{Deserialize, Serialize};

/// The number of a data row in its source file: from 1, blank lines and the
/// header not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowNumber(pub u64);

impl RowNumber {
    /// The row `count` further on.
    #[must_use]
    pub const fn plus(self, count: u64) -> RowNumber {
        RowNumber(self.0 + count)
    }
}

impl std::fmt::Display for RowNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where a person finds a row: a source may have several files, each with rows
/// of its own from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowPlace {
    /// Which file of the source, from 0.
    pub file: usize,
    /// The number in that file.
    pub row: RowNumber,
}

impl RowPlace {
    /// A row of a source that is one file.
    pub const fn of_one_file(row: RowNumber) -> Self {
        RowPlace { file: 0, row }
    }
}

/// An ascending set of row numbers, kept as ranges.
///
/// A chunk's rows are nearly always one range; every row left out of it costs
/// one more. Rows that failed here and there are many ranges of one row, so a
/// range is kept as its distance from the one before: one or two bytes where
/// rows lie close together, and three characters in the ledger
/// ([`RowRanges::to_distances`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RowRanges {
    /// All ranges but the last, each a varint of twice the distance of its
    /// first row from the last one of the range before, plus one if it has more
    /// rows; then the number of these follows.
    packed: Vec<u8>,
    /// Where the last packed range ends, 0 without one.
    packed_end: u64,
    /// The last range.
    open: Option<(u64, u64)>,
    count: u64,
}

/// A text that is neither of the form `1-9,12-40` nor `1+8,3+28`, ascending.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no ascending list of row ranges")]
pub struct InvalidRanges(String);

impl RowRanges {
    /// The empty set.
    pub const fn new() -> Self {
        RowRanges { packed: Vec::new(), packed_end: 0, open: None, count: 0 }
    }

    /// Adds a row beyond all those in the set; a row at or below the last one
    /// is passed over.
    pub fn push(&mut self, row: RowNumber) {
        match &mut self.open {
            Some((_, last)) if row.0 <= *last => return,
            Some((_, last)) if *last + 1 == row.0 => *last = row.0,
            open => {
                let before = open.replace((row.0, row.0));
                self.pack(before);
            }
        }
        self.count += 1;
    }

    /// Adds a range beyond all rows in the set; `None` for one that isn't.
    fn push_range(&mut self, first: u64, last: u64) -> Option<()> {
        self.count = self.count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
        match &mut self.open {
            Some((_, before)) if first <= *before => return None,
            Some((_, before)) if *before + 1 == first => *before = last,
            open => {
                let before = open.replace((first, last));
                self.pack(before);
            }
        }
        Some(())
    }

    /// Puts a range behind the packed ones.
    fn pack(&mut self, range: Option<(u64, u64)>) {
        let Some((first, last)) = range else { return };
        let more = last - first;
        varint(&mut self.packed, u128::from(first - self.packed_end) << 1 | u128::from(more > 0));
        if more > 0 {
            varint(&mut self.packed, u128::from(more));
        }
        self.packed_end = last;
    }

    /// How many rows the set holds.
    pub const fn len(&self) -> u64 {
        self.count
    }

    /// Whether the set holds no row.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first row.
    pub fn first(&self) -> Option<RowNumber> {
        self.ranges().next().map(|(first, _)| RowNumber(first))
    }

    /// The last row.
    pub fn last(&self) -> Option<RowNumber> {
        self.open.map(|(_, last)| RowNumber(last))
    }

    /// The rows in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = RowNumber> + '_ {
        self.ranges().flat_map(|(first, last)| (first..=last).map(RowNumber))
    }

    /// The ranges in ascending order, both ends included.
    fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut packed = self.packed.iter().copied();
        let mut before = 0;
        let unpacked = std::iter::from_fn(move || {
            let distance = read_varint(&mut packed)?;
            let more = if distance & 1 == 1 { read_varint(&mut packed)? as u64 } else { 0 };
            let first = before + (distance >> 1) as u64;
            before = first + more;
            Some((first, before))
        });
        unpacked.chain(self.open)
    }

    /// The set as the ledger keeps it: for each range the distance of its first
    /// row from the last one of the range before, and behind a `+` how many rows
    /// follow the first. `1+8,3+28,7` is what `1-9,12-40,47-47` is, too; reading
    /// understands both.
    #[must_use]
    pub fn to_distances(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let mut before = 0;
        for (first, last) in self.ranges() {
            let comma = if text.is_empty() { "" } else { "," };
            let _ = write!(text, "{comma}{}", first - before);
            if last > first {
                let _ = write!(text, "+{}", last - first);
            }
            before = last;
        }
        text
    }
}

fn varint(out: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_varint(bytes: &mut impl Iterator<Item = u8>) -> Option<u128> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes.next()?;
        value |= u128::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
        shift += 7;
    }
}

impl FromIterator<RowNumber> for RowRanges {
    fn from_iter<I: IntoIterator<Item = RowNumber>>(rows: I) -> Self {
        let mut set = RowRanges::new();
        for row in rows {
            set.push(row);
        }
        set
    }
}

impl From<RowRanges> for String {
    fn from(set: RowRanges) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for (first, last) in set.ranges() {
            let comma = if text.is_empty() { "" } else { "," };
            let _ = write!(text, "{comma}{first}-{last}");
        }
        text
    }
}

impl TryFrom<String> for RowRanges {
    type Error = InvalidRanges;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut set = RowRanges::new();
        for range in text.split(',').filter(|range| !range.is_empty()) {
            let before = set.last().map_or(0, |last| last.0);
            let added = ends(range, before).and_then(|(first, last)| set.push_range(first, last));
            if added.is_none() {
                return Err(InvalidRanges(text));
            }
        }
        Ok(set)
    }
}

/// Both ends of a range in either form.
fn ends(range: &str, before: u64) -> Option<(u64, u64)> {
    if let Some((first, last)) = range.split_once('-') {
        return Some((first.parse().ok()?, last.parse().ok()?));
    }
    let (distance, more) = match range.split_once('+') {
        Some((distance, more)) => (distance, more.parse().ok()?),
        None => (range, 0),
    };
    let first = before.checked_add(distance.parse().ok()?)?;
    Some((first, first.checked_add(more)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_survive_being_written_down() {
        let set: RowRanges = [1, 2, 3, 7, 9, 10].into_iter().map(RowNumber).collect();
        let text = String::from(set.clone());
        assert_eq!(text, "1-3,7-7,9-10");
        assert_eq!(RowRanges::try_from(text).unwrap(), set);
        assert_eq!(set.len(), 6);
        assert_eq!(set.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 2, 3, 7, 9, 10]);
        assert!(RowRanges::try_from("5-9,7-8".to_owned()).is_err());
        assert_eq!(set.to_distances(), "1+2,4,2+1");
        assert_eq!(RowRanges::try_from("1+2,4,2+1".to_owned()).unwrap(), set);
        for wrong in ["5,0", "5+", "x", "-3", "9-5", "1,18446744073709551615"] {
            assert!(RowRanges::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rows_here_and_there_are_small() {
        let set: RowRanges = (1..=12_500).map(|row| RowNumber(8_000_000 + row * 20)).collect();
        assert!(set.packed.len() < 13_000, "{} bytes in memory", set.packed.len());
        assert!(set.to_distances().len() < 38_000, "{} in the ledger", set.to_distances().len());
    }

    proptest::proptest! {
        #[test]
        fn any_set_is_what_was_put_in(rows in proptest::collection::btree_set(0..500_u64, 0..200),
            offset in proptest::sample::select(vec![0, 1, 1 << 40, u64::MAX - 500]))
        {
            let rows: Vec<RowNumber> = rows.iter().map(|row| RowNumber(row + offset)).collect();
            let set: RowRanges = rows.iter().copied().collect();
            proptest::prop_assert_eq!(set.iter().collect::<Vec<_>>(), rows.clone());
            proptest::prop_assert_eq!(set.len(), rows.len() as u64);
            proptest::prop_assert_eq!(set.first(), rows.first().copied());
            proptest::prop_assert_eq!(set.last(), rows.last().copied());
            let (far, near) = (String::from(set.clone()), set.to_distances());
            proptest::prop_assert_eq!(RowRanges::try_from(far).unwrap(), set.clone());
            proptest::prop_assert_eq!(RowRanges::try_from(near).unwrap(), set);
        }
    }
}
