//! `--max-failures N|P%`: how many rows may go wrong before a run stops.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Known rows from which on a percentage means anything: three bad rows among
/// the first ten say little about a million.
pub const PERCENTAGE_FROM: u64 = 10_000;

/// Parts per million in a percent; the finest share that can be asked for is
/// 0.0001 %.
const PPM_PER_PERCENT: u32 = 10_000;

/// How many rows may be rejected, failed or disputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct FailureLimit(Limit);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Limit {
    Rows(u64),
    /// Parts per million of the rows whose outcome is known.
    Share(u32),
}

/// A text that is neither a number of rows nor a percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither a number of rows (500) nor a percentage between 0 and 100 with four \
     decimals at most (2.5%)"
)]
pub struct InvalidFailureLimit(String);

impl FailureLimit {
    /// At most so many rows.
    pub const fn rows(count: u64) -> Self {
        FailureLimit(Limit::Rows(count))
    }

    /// Whether more rows went wrong than may: `failures` of the `known_rows`
    /// whose outcome is known by now. A percentage applies from
    /// [`PERCENTAGE_FROM`] known rows on.
    pub fn is_exceeded(self, known_rows: u64, failures: u64) -> bool {
        match self.0 {
            Limit::Rows(most) => failures > most,
            Limit::Share(ppm) => {
                known_rows >= PERCENTAGE_FROM
                    && u128::from(failures) * 1_000_000 > u128::from(known_rows) * u128::from(ppm)
            }
        }
    }
}

impl FromStr for FailureLimit {
    type Err = InvalidFailureLimit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let limit = match text.trim().strip_suffix('%') {
            None => digits(text.trim()).map(Limit::Rows),
            Some(percent) => share(percent.trim()).map(Limit::Share),
        };
        limit.map(FailureLimit).ok_or_else(|| InvalidFailureLimit(text.to_owned()))
    }
}

/// A whole number of digits alone: `parse` would take a sign as well.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A percentage in parts per million.
fn share(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if decimals.is_empty() || decimals.len() > 4 {
        return None;
    }
    let whole = u32::try_from(digits(whole)?).ok()?;
    let decimals = digits(&format!("{decimals:0<4}"))?;
    let ppm = whole.checked_mul(PPM_PER_PERCENT)?.checked_add(u32::try_from(decimals).ok()?)?;
    (ppm <= 100 * PPM_PER_PERCENT).then_some(ppm)
}

impl fmt::Display for FailureLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Limit::Rows(count) => write!(f, "{count}"),
            Limit::Share(ppm) => {
                write!(f, "{}", ppm / PPM_PER_PERCENT)?;
                let decimals = format!("{:04}", ppm % PPM_PER_PERCENT);
                let decimals = decimals.trim_end_matches('0');
                if !decimals.is_empty() {
                    write!(f, ".{decimals}")?;
                }
                f.write_str("%")
            }
        }
    }
}

impl From<FailureLimit> for String {
    fn from(limit: FailureLimit) -> String {
        limit.to_string()
    }
}

impl TryFrom<String> for FailureLimit {
    type Error = InvalidFailureLimit;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(text: &str) -> FailureLimit {
        text.parse().unwrap()
    }

    #[test]
    fn rows_and_percentages_are_read_and_shown() {
        for (text, shown) in [
            ("0", "0"),
            ("500", "500"),
            (" 007 ", "7"),
            ("2%", "2%"),
            ("2.50 %", "2.5%"),
            ("0.0001%", "0.0001%"),
            ("0%", "0%"),
            ("100%", "100%"),
            ("00.5%", "0.5%"),
        ] {
            assert_eq!(limit(text).to_string(), shown);
        }
        for text in [
            "",
            "%",
            "-1",
            "+1",
            "1e3",
            "1,000",
            "5 rows",
            "100.0001%",
            "101%",
            "2.%",
            ".5%",
            "0.00001%",
            "-2%",
            "2%%",
            "99999999999999999999",
            "99999999999%",
        ] {
            let refused = text.parse::<FailureLimit>().unwrap_err();
            assert!(refused.to_string().contains(&format!("`{text}`")));
        }
    }

    #[test]
    fn a_number_counts_from_the_first_row_and_a_percentage_from_ten_thousand() {
        for (text, known, failures, exceeded) in [
            ("0", 1, 0, false),
            ("0", 1, 1, true),
            ("10", 11, 10, false),
            ("10", 11, 11, true),
            ("2%", 9_999, 9_999, false),
            ("2%", 10_000, 200, false),
            ("2%", 10_000, 201, true),
            ("0%", 10_000, 0, false),
            ("0%", 10_000, 1, true),
            ("0.01%", 50_000, 5, false),
            ("0.01%", 50_000, 6, true),
            ("100%", u64::MAX, u64::MAX, false),
        ] {
            assert_eq!(limit(text).is_exceeded(known, failures), exceeded, "{text} {failures}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_means_the_same(ppm in 0u32..=1_000_000, rows: u64) {
            for limit in [FailureLimit(Limit::Share(ppm)), FailureLimit::rows(rows)] {
                prop_assert_eq!(limit.to_string().parse::<FailureLimit>().unwrap(), limit);
                let stored = serde_json::to_string(&limit).unwrap();
                prop_assert_eq!(serde_json::from_str::<FailureLimit>(&stored).unwrap(), limit);
            }
        }
    }
}
