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

/// An ascending set of row numbers as ranges, both ends included.
///
/// A chunk's rows are nearly always one range; every row left out of it costs
/// one more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RowRanges {
    ranges: Vec<(u64, u64)>,
    count: u64,
}

/// A text that is not of the form `1-9,12-40`, ascending.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no ascending list of row ranges")]
pub struct InvalidRanges(String);

impl RowRanges {
    /// The empty set.
    pub const fn new() -> Self {
        RowRanges { ranges: Vec::new(), count: 0 }
    }

    /// Adds a row beyond all those in the set; a row at or below the last one
    /// is passed over.
    pub fn push(&mut self, row: RowNumber) {
        match self.ranges.last_mut() {
            Some((_, last)) if row.0 <= *last => return,
            Some((_, last)) if *last + 1 == row.0 => *last = row.0,
            _ => self.ranges.push((row.0, row.0)),
        }
        self.count += 1;
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
        self.ranges.first().map(|&(first, _)| RowNumber(first))
    }

    /// The last row.
    pub fn last(&self) -> Option<RowNumber> {
        self.ranges.last().map(|&(_, last)| RowNumber(last))
    }

    /// The rows in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = RowNumber> + '_ {
        self.ranges.iter().flat_map(|&(first, last)| (first..=last).map(RowNumber))
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
        for (first, last) in set.ranges {
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
        let mut before = None;
        for range in text.split(',').filter(|range| !range.is_empty()) {
            let ends = range
                .split_once('-')
                .and_then(|(first, last)| {
                    Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?))
                })
                .filter(|&(first, last)| {
                    first <= last && before.is_none_or(|before| before < first)
                });
            let Some((first, last)) = ends else {
                return Err(InvalidRanges(text));
            };
            set.ranges.push((first, last));
            set.count += last - first + 1;
            before = Some(last);
        }
        Ok(set)
    }
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
    }
}
