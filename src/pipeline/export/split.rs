//! A huge object in several query jobs: where the borders between them are.
//!
//! Borders are ids: they never change, every record has one, and the org finds
//! ranges of them by its primary key. Where the records lie between the least
//! and the greatest is found by counting: the fullest range is halved until no
//! range has more than a part of a part. What one id is made of doesn't matter,
//! only that ids compare as numbers of base 62 do, which is what PK chunking
//! relies on ("PK Chunking Header", Bulk API guide).

use super::soql;
use crate::salesforce::{CallError, FieldValue, Org, QueryScope};

/// Records of a part, about, if nobody says how many parts.
const AUTO_ROWS: u64 = 5_000_000;

/// Parts of an object at most: each is a job of the 10,000 a day.
pub const MOST_PARTS: u32 = 64;

/// Counts asked for a border at most.
const COUNTS: usize = 8;

/// Characters of an id that tell records apart; the others are a checksum.
const ID: usize = 15;

/// Into how many query jobs an object is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// As many as it takes for parts of about 5 million records.
    Auto,
    /// So many.
    Into(u32),
}

/// Records whose ids are at least `from` and less than `to`, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    from: u128,
    to: u128,
    records: u64,
}

/// The queries of the parts of an object; the query itself if it stays whole.
///
/// # Errors
/// Any [`CallError`] of a count.
pub(super) async fn parts(
    org: &Org,
    query: &str,
    all_records: bool,
    split: Split,
) -> Result<Vec<String>, CallError> {
    let whole = || vec![query.to_owned()];
    let Some(counting) = soql::counting(query) else { return Ok(whole()) };
    let scope = if all_records { QueryScope::All } else { QueryScope::Live };
    let ids = Ids { org, counting: &counting, scope };
    let records = ids.count(None).await?;
    let parts = match split {
        Split::Auto => records.div_ceil(AUTO_ROWS).min(16) as u32,
        Split::Into(parts) => parts.min(MOST_PARTS),
    };
    if parts < 2 || records < u64::from(parts) {
        return Ok(whole());
    }
    let (Some(least), Some(greatest)) = (ids.end("ASC").await?, ids.end("DESC").await?) else {
        return Ok(whole());
    };
    let mut ranges = vec![Range { from: least, to: greatest + 1, records }];
    let fine = (records / u64::from(parts) / 4).max(1);
    for _ in 0..COUNTS * parts as usize {
        let Some(at) = fullest(&ranges, fine) else { break };
        let range = ranges[at];
        let middle = range.from + (range.to - range.from) / 2;
        let lower = ids.count(Some((range.from, middle))).await?.min(range.records);
        ranges[at] = Range { to: middle, records: lower, ..range };
        let upper = Range { from: middle, records: range.records - lower, ..range };
        ranges.insert(at + 1, upper);
    }
    Ok(conditions(&borders(&ranges, parts))
        .map(|condition| soql::restricted(query, &condition))
        .collect())
}

/// The range to be halved next.
fn fullest(ranges: &[Range], fine: u64) -> Option<usize> {
    ranges
        .iter()
        .enumerate()
        .filter(|(_, range)| range.records > fine && range.to - range.from > 1)
        .max_by_key(|(_, range)| range.records)
        .map(|(at, _)| at)
}

/// Borders between so many parts of about equal size, those that fall together
/// once.
fn borders(ranges: &[Range], parts: u32) -> Vec<u128> {
    let records: u64 = ranges.iter().map(|range| range.records).sum();
    let mut borders = Vec::new();
    let mut before = 0;
    for range in ranges {
        let wanted = (records * (borders.len() as u64 + 1)) / u64::from(parts);
        if before >= wanted.max(1) && borders.len() + 1 < parts as usize {
            borders.push(range.from);
        }
        before += range.records;
    }
    borders
}

/// The condition of each part; the first and the last have no end, so that no
/// record is between two parts, nor before or behind all of them.
fn conditions(borders: &[u128]) -> impl Iterator<Item = String> {
    let ids: Vec<String> = borders.iter().map(|border| encode(*border)).collect();
    (0..=ids.len()).map(move |part| {
        let from = part.checked_sub(1).and_then(|at| ids.get(at));
        match (from, ids.get(part)) {
            (Some(from), Some(to)) => format!("Id >= '{from}' AND Id < '{to}'"),
            (Some(from), None) => format!("Id >= '{from}'"),
            (None, Some(to)) => format!("Id < '{to}'"),
            (None, None) => "Id != null".to_owned(),
        }
    })
}

/// What the org is asked.
struct Ids<'a> {
    org: &'a Org,
    counting: &'a str,
    scope: QueryScope,
}

impl Ids<'_> {
    async fn count(&self, range: Option<(u128, u128)>) -> Result<u64, CallError> {
        let query = match range {
            None => self.counting.to_owned(),
            Some((from, to)) => soql::restricted(
                self.counting,
                &format!("Id >= '{}' AND Id < '{}'", encode(from), encode(to)),
            ),
        };
        let page = self.org.query(&query, self.scope).next_page().await?;
        Ok(page.map_or(0, |page| page.total))
    }

    /// The least or the greatest id.
    async fn end(&self, order: &str) -> Result<Option<u128>, CallError> {
        let query = self.counting.replacen("COUNT()", "Id", 1);
        let query = format!("{query} ORDER BY Id {order} LIMIT 1");
        let page = self.org.query(&query, self.scope).next_page().await?;
        let id = page.and_then(|page| page.records.first()?.at("Id").map(FieldValue::cell));
        Ok(id.as_deref().and_then(decode))
    }
}

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn decode(id: &str) -> Option<u128> {
    let digits = id.as_bytes().get(..ID)?;
    digits.iter().try_fold(0_u128, |number, byte| {
        let digit = DIGITS.iter().position(|digit| digit == byte)?;
        Some(number * 62 + digit as u128)
    })
}

fn encode(mut number: u128) -> String {
    let mut id = [b'0'; ID];
    for place in id.iter_mut().rev() {
        *place = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    id.iter().map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_are_numbers_and_compare_like_them(a in "[0-9A-Za-z]{15}", b in "[0-9A-Za-z]{15}") {
            prop_assert_eq!(encode(decode(&a).unwrap()), a.clone());
            prop_assert_eq!(decode(&a).unwrap().cmp(&decode(&b).unwrap()), a.cmp(&b));
        }

        /// Whatever the ranges hold: the parts are in order, none is empty of
        /// ids, and no more than wanted.
        #[test]
        fn parts_are_of_about_one_size(
            counts in prop::collection::vec(0_u64..1_000, 1..200), parts in 2_u32..20,
        ) {
            let ranges: Vec<Range> = counts
                .iter()
                .enumerate()
                .map(|(at, &records)| {
                    let from = 1_000 * at as u128;
                    Range { from, to: from + 1_000, records }
                })
                .collect();
            let found = borders(&ranges, parts);
            prop_assert!(found.len() < parts as usize);
            prop_assert!(found.is_sorted_by(|a, b| a < b));
            let total: u64 = counts.iter().sum();
            let largest = counts.iter().max().unwrap();
            let mut edges = vec![0];
            edges.extend(found);
            edges.push(u128::MAX);
            for pair in edges.windows(2) {
                let inside: u64 = ranges
                    .iter()
                    .filter(|range| range.from >= pair[0] && range.from < pair[1])
                    .map(|range| range.records)
                    .sum();
                // A range is not cut: that much a part may be off.
                prop_assert!(inside <= total / u64::from(parts) + 2 * largest + 1, "{inside}");
            }
        }
    }

    #[test]
    fn no_record_is_between_two_parts() {
        let borders = [decode("001000000000001").unwrap(), decode("00100000000000z").unwrap()];
        let conditions: Vec<String> = conditions(&borders).collect();
        assert_eq!(
            conditions,
            [
                "Id < '001000000000001'",
                "Id >= '001000000000001' AND Id < '00100000000000z'",
                "Id >= '00100000000000z'"
            ]
        );
        assert_eq!(super::conditions(&[]).collect::<Vec<_>>(), ["Id != null"]);
    }
}
