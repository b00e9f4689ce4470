//! Which folder a record's file lies in, by one of its values, as Hive names
//! such folders (`CreatedDate_month=2026-01`).
//!
//! The name before `=` is never that of a column of the files, so that readers
//! which make a column of it meet no second one of the same name.

use std::fmt::Write as _;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::column::{Column, ColumnKind};
use super::value;

/// What Hive calls the folder of records without a value.
const NONE: &str = "__HIVE_DEFAULT_PARTITION__";

/// Bytes of a folder's name that are taken of a value; most file systems take
/// 255 in all.
const LONGEST: usize = 160;

/// How records are spread over folders: by the value of a field, or by the
/// year, month or day of a date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Partition {
    /// The column, as it is queried.
    pub field: String,
    /// How much of a value tells folders apart.
    pub by: PartitionBy,
}

/// How much of a value tells folders apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionBy {
    /// All of it.
    Value,
    /// The year of a date, in UTC.
    Year,
    /// Its month.
    Month,
    /// Its day.
    Day,
}

impl PartitionBy {
    const fn word(self) -> Option<&'static str> {
        match self {
            PartitionBy::Value => None,
            PartitionBy::Year => Some("year"),
            PartitionBy::Month => Some("month"),
            PartitionBy::Day => Some("day"),
        }
    }
}

/// A text that names no partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither FIELD nor FIELD:year, FIELD:month or FIELD:day")]
pub struct NoPartition(String);

impl FromStr for Partition {
    type Err = NoPartition;

    fn from_str(text: &str) -> Result<Self, NoPartition> {
        let (field, by) = match text.split_once(':') {
            None => (text, PartitionBy::Value),
            Some((field, word)) => {
                let by = [PartitionBy::Year, PartitionBy::Month, PartitionBy::Day]
                    .into_iter()
                    .find(|by| by.word().is_some_and(|known| known.eq_ignore_ascii_case(word)));
                (field, by.ok_or_else(|| NoPartition(text.to_owned()))?)
            }
        };
        if field.trim().is_empty() {
            return Err(NoPartition(text.to_owned()));
        }
        Ok(Partition { field: field.trim().to_owned(), by })
    }
}

impl TryFrom<String> for Partition {
    type Error = NoPartition;

    fn try_from(text: String) -> Result<Self, NoPartition> {
        text.parse()
    }
}

impl From<Partition> for String {
    fn from(partition: Partition) -> String {
        partition.to_string()
    }
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.field)?;
        self.by.word().map_or(Ok(()), |word| write!(f, ":{word}"))
    }
}

impl Partition {
    /// Where its column stands; `None` where there is none of that name, or
    /// where it is no date but a part of one is asked for.
    pub fn place(&self, columns: &[Column]) -> Option<usize> {
        let at = columns.iter().position(|column| column.name.eq_ignore_ascii_case(&self.field))?;
        let dated = matches!(columns[at].kind, ColumnKind::Date | ColumnKind::DateTime);
        // Where all is kept as text, a date has its form all the same.
        let fits = self.by == PartitionBy::Value || dated || columns[at].kind == ColumnKind::Text;
        fits.then_some(at)
    }

    /// The part of a value that tells folders apart; empty for those without.
    pub fn key<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let bytes = match self.by {
            PartitionBy::Value => return text,
            PartitionBy::Year => 4,
            PartitionBy::Month => 7,
            PartitionBy::Day => 10,
        };
        // A query job tells instants in UTC, whatever the user's zone.
        match text.get(..10) {
            Some(day) if value::date(day).is_ok() => &text[..bytes],
            _ => &[],
        }
    }

    /// The folder of a key.
    pub fn folder(&self, key: &[u8]) -> String {
        let field = self.field.replace('.', "_");
        let mut name = match self.by.word() {
            None => format!("by_{field}="),
            Some(word) => format!("{field}_{word}="),
        };
        if key.is_empty() {
            name.push_str(NONE);
            return name;
        }
        let text = String::from_utf8_lossy(key);
        let begin = name.len();
        for sign in text.chars() {
            // Readers take `%` and two digits for a byte; what is not ASCII
            // they take as it stands.
            let plain = sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_' | '.');
            if plain || (!sign.is_ascii() && !sign.is_control()) {
                name.push(sign);
            } else {
                let mut bytes = [0; 4];
                for byte in sign.encode_utf8(&mut bytes).bytes() {
                    // Writing into memory can't fail.
                    let _ = write!(name, "%{byte:02X}");
                }
            }
            if name.len() - begin > LONGEST {
                // Values that begin alike stay apart.
                let _ = write!(name, "~{:016x}", xxhash_rust::xxh3::xxh3_64(key));
                break;
            }
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(partition: &str, value: &str) -> String {
        let partition: Partition = partition.parse().unwrap();
        partition.folder(partition.key(value.as_bytes()))
    }

    #[test]
    fn folders_are_named_by_value_or_by_a_part_of_a_date() {
        let at = "2026-04-16T19:00:00.000Z";
        assert_eq!(folder("CreatedDate:year", at), "CreatedDate_year=2026");
        assert_eq!(folder("CreatedDate:month", at), "CreatedDate_month=2026-04");
        assert_eq!(folder("CreatedDate:DAY", at), "CreatedDate_day=2026-04-16");
        assert_eq!(folder("Industry", "Food & Drink"), "by_Industry=Food%20%26%20Drink");
        assert_eq!(folder("Owner.Name", "Jürgen/東京"), "by_Owner_Name=Jürgen%2F東京");
        for (partition, value) in [("Industry", ""), ("CreatedDate:day", "soon"), ("A:year", "")] {
            assert!(folder(partition, value).ends_with("=__HIVE_DEFAULT_PARTITION__"), "{value}");
        }
    }

    #[test]
    fn long_values_stay_apart() {
        let (a, b) = ("x".repeat(300), "x".repeat(299));
        assert_ne!(folder("Industry", &a), folder("Industry", &b));
        assert!(folder("Industry", &a).len() < 255);
        assert!(folder("Industry", &"\u{1F600}".repeat(300)).len() < 255);
    }

    #[test]
    fn what_is_no_partition_is_told() {
        for text in ["", ":month", "CreatedDate:hour", "CreatedDate:"] {
            let error = text.parse::<Partition>().unwrap_err();
            assert!(error.to_string().contains("FIELD:month"), "{error}");
        }
        let partition: Partition = "CreatedDate:MONTH".parse().unwrap();
        assert_eq!(partition.to_string(), "CreatedDate:month");
        let json = serde_json::to_string(&partition).unwrap();
        assert_eq!(json, "\"CreatedDate:month\"");
        assert_eq!(serde_json::from_str::<Partition>(&json).unwrap(), partition);
    }
}
