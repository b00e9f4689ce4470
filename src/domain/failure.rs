//! Failures grouped by code and message, in bounded memory.
//!
//! The messages come in with their values masked already (I8): "duplicate
//! value found: … duplicates value on record with id: …". Twenty thousand rows
//! that failed for one reason are then one line.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::RowNumber;

/// Groups kept apart; a message beyond them counts with [`OTHER_MESSAGE`] of
/// its code. An org with more kinds of failure than this is not understood by
/// reading on.
const MAX_GROUPS: usize = 1_000;

/// Codes kept apart; the service documents about 200.
const MAX_CODES: usize = 1_000;

/// Bytes of a message that are kept; those of the service are well below.
const MAX_MESSAGE_BYTES: usize = 500;

/// The message of a group that holds what found no group of its own.
const OTHER_MESSAGE: &str = "(other messages)";

/// The code of the group for codes beyond [`MAX_CODES`].
const OTHER_CODE: &str = "OTHER";

/// The code of groups of rows that were never sent by us.
pub const REJECTED: &str = "REJECTED";

/// The code of the group of rows that the user's own filter left out. They are
/// rejected rows (I1) in which nothing is wrong.
pub const LEFT_OUT: &str = "LEFT_OUT";

/// Rows that failed for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureGroup {
    /// The org's status code (`REQUIRED_FIELD_MISSING`), or our own word for
    /// rows that were rejected or are disputed.
    pub code: String,
    /// What the org said, with values masked.
    pub message: String,
    /// How many rows.
    pub count: u64,
    /// The lowest of their row numbers, to look one up.
    pub example_row: u64,
    /// The file that row is in, where the source has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example_source: Option<String>,
}

/// Collects failures into groups; merged across chunks in any order it gives
/// the same groups, as long as their number stays within the bound (1,000).
#[derive(Debug, Clone, Default)]
pub struct FailureGroups {
    /// Code to message to (count, lowest row).
    codes: HashMap<String, HashMap<String, (u64, u64)>>,
    groups: usize,
}

impl FailureGroups {
    /// Counts one row under a message that has its values masked.
    pub fn count(&mut self, code: &str, masked_message: &str, row: RowNumber) {
        self.add(code, masked_message, 1, row.0);
    }

    /// Adds the groups of another collector.
    pub fn merge(&mut self, other: FailureGroups) {
        for (code, messages) in other.codes {
            for (message, (count, row)) in messages {
                self.add(&code, &message, count, row);
            }
        }
    }

    fn add(&mut self, code: &str, message: &str, count: u64, row: u64) {
        let message = shortened(message);
        // The usual case, without an allocation: the group is there.
        if let Some(group) = self.codes.get_mut(code).and_then(|texts| texts.get_mut(message)) {
            group.0 += count;
            group.1 = group.1.min(row);
            return;
        }
        let code = if self.codes.contains_key(code) || self.codes.len() < MAX_CODES {
            code
        } else {
            OTHER_CODE
        };
        let message = if self.groups < MAX_GROUPS { message } else { OTHER_MESSAGE };
        let messages = self.codes.entry(code.to_owned()).or_default();
        let group = messages.entry(message.to_owned()).or_insert_with(|| {
            self.groups += 1;
            (0, row)
        });
        group.0 += count;
        group.1 = group.1.min(row);
    }

    /// Whether no failure was counted.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Rows that the user's own filter left out.
    pub fn left_out(&self) -> u64 {
        let messages = self.codes.get(LEFT_OUT).into_iter().flat_map(HashMap::values);
        messages.map(|&(count, _)| count).sum()
    }

    /// Rows by code: `failures_by_code` of summary.json.
    pub fn by_code(&self) -> BTreeMap<String, u64> {
        self.codes
            .iter()
            .map(|(code, messages)| {
                (code.clone(), messages.values().map(|&(count, _)| count).sum())
            })
            .collect()
    }

    /// The groups, the largest first, in an order that depends on nothing but
    /// their content.
    pub fn groups(&self) -> Vec<FailureGroup> {
        let mut groups: Vec<FailureGroup> = self
            .codes
            .iter()
            .flat_map(|(code, messages)| {
                messages.iter().map(|(message, &(count, example_row))| FailureGroup {
                    code: code.clone(),
                    message: message.clone(),
                    count,
                    example_row,
                    example_source: None,
                })
            })
            .collect();
        groups.sort_by(|a, b| {
            b.count
                .cmp(&a.count)
                .then_with(|| a.code.cmp(&b.code))
                .then_with(|| a.message.cmp(&b.message))
        });
        groups
    }
}

/// The beginning of a message that is kept, cut between characters.
fn shortened(message: &str) -> &str {
    let mut end = message.len().min(MAX_MESSAGE_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_reasons_are_one_group_with_its_lowest_row() {
        let mut groups = FailureGroups::default();
        groups.count("STRING_TOO_LONG", "data value too large", RowNumber(9));
        groups.count("REQUIRED_FIELD_MISSING", "missing: [Name]", RowNumber(40));
        groups.count("REQUIRED_FIELD_MISSING", "missing: [Name]", RowNumber(7));
        groups.count("REQUIRED_FIELD_MISSING", "missing: [LastName]", RowNumber(8));
        let found = groups.groups();
        assert_eq!(found.len(), 3);
        assert_eq!(
            found[0],
            FailureGroup {
                code: "REQUIRED_FIELD_MISSING".to_owned(),
                message: "missing: [Name]".to_owned(),
                count: 2,
                example_row: 7,
                example_source: None,
            }
        );
        assert_eq!(groups.by_code()["REQUIRED_FIELD_MISSING"], 3);
    }

    #[test]
    fn the_number_of_groups_is_bounded_and_no_row_is_lost() {
        let mut groups = FailureGroups::default();
        for row in 0..50_000u64 {
            groups.count(&format!("CODE_{}", row % 3), &format!("text {row}"), RowNumber(row));
        }
        for row in 0..5_000u64 {
            groups.count(&format!("RARE_{row}"), "text", RowNumber(row));
        }
        // One group more a code at most: the one of its other messages.
        assert!(groups.groups().len() <= MAX_GROUPS + MAX_CODES + 1);
        assert_eq!(groups.groups().iter().map(|group| group.count).sum::<u64>(), 55_000);
        assert_eq!(groups.by_code().values().sum::<u64>(), 55_000);
        assert!(groups.by_code().len() <= MAX_CODES + 1);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let mut groups = FailureGroups::default();
        groups.count("X", &"é".repeat(2_000), RowNumber(1));
        assert_eq!(groups.groups()[0].message, "é".repeat(250));
    }

    proptest! {
        #[test]
        fn merging_gives_what_counting_at_once_gives(
            rows in prop::collection::vec((0u8..4, 0u8..4, 1u64..1000), 0..60),
            cut in 0usize..60,
        ) {
            let count = |rows: &[(u8, u8, u64)]| {
                let mut groups = FailureGroups::default();
                for (code, message, row) in rows {
                    groups.count(&format!("C{code}"), &format!("m{message}"), RowNumber(*row));
                }
                groups
            };
            let cut = cut.min(rows.len());
            let mut merged = count(&rows[cut..]);
            merged.merge(count(&rows[..cut]));
            prop_assert_eq!(merged.groups(), count(&rows).groups());
        }
    }
}
