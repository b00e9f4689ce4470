//! What `load` and `check` are asked for: one set of flags, one request.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::secrets;
use crate::chunker::Duplicates;
use crate::cli::source_args::SourceArgs;
use crate::domain::{DEFAULT_CHUNK_ROWS, FailureLimit, MAX_JOB_BYTES, Operation, ROWS_PER_BATCH};
use crate::pipeline::LoadRequest;
use crate::transformer::EmptyMeans;

/// The source, and what is to be done with it.
#[derive(Debug, Args)]
pub(in crate::cli) struct AskedArgs {
    /// CSV or Parquet files, folders of them, patterns such as 'in/*.csv', or
    /// `-` for the standard input
    #[arg(value_name = "SOURCE", required = true)]
    pub(in crate::cli) sources: Vec<PathBuf>,
    /// The object to load into, by API name
    #[arg(long, value_name = "OBJECT")]
    pub(in crate::cli) object: String,
    /// insert, update, upsert, delete or hardDelete
    #[arg(long, value_name = "OPERATION")]
    pub(in crate::cli) operation: Operation,
    /// The external id field an upsert matches by
    #[arg(long, value_name = "FIELD")]
    pub(in crate::cli) external_id: Option<String>,
    /// Columns that tell rows apart, for finding results of an insert
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    key: Vec<String>,
    /// Send a column as this field; an empty field leaves the column out
    #[arg(long, value_name = "COLUMN=FIELD", value_parser = parse_rename)]
    map: Vec<(String, String)>,
    /// A mapping file (docs/mapping.md): which field gets its values from where,
    /// and in what form
    #[arg(long, value_name = "FILE.toml", conflicts_with = "map")]
    mapping: Option<PathBuf>,
    /// The currency of every row, in an org with several, such as EUR
    #[arg(long, value_name = "ISO", value_parser = parse_currency)]
    currency: Option<String>,
    /// What an empty cell means: leave the field alone, or clear it
    #[arg(long, value_enum, default_value = "skip", value_name = "WHAT")]
    empty: Empty,
    /// Jobs at the same time
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(in crate::cli) parallel: u16,
    /// Bytes of a chunk at most
    #[arg(long, default_value_t = MAX_JOB_BYTES, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1_000..=MAX_JOB_BYTES))]
    chunk_bytes: u64,
    /// Rows of a chunk at most
    #[arg(long, default_value_t = DEFAULT_CHUNK_ROWS, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    chunk_rows: u64,
    /// Rows to load at most
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Rows to leave out at the start
    #[arg(long, default_value_t = 0, value_name = "N")]
    skip: u64,
    /// What happens with rows that share a key inside one chunk
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(in crate::cli) duplicates: Option<DuplicateRows>,
    /// Assignment rule for Case and Lead, by id
    #[arg(long, value_name = "ID")]
    assignment_rule: Option<String>,
    #[command(flatten)]
    reading: SourceArgs,
    /// Split a source of over 1 GB through before the start, too
    #[arg(long)]
    scan: bool,
    /// Load again what was loaded before
    #[arg(long)]
    again: bool,
    /// Detach after this long (`90s`, `30m`, `8h`); the jobs go on
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_wait: Option<Duration>,
    /// Stop when more rows than this were rejected, failed or are disputed: a
    /// number, or a percentage (counted from 10,000 rows on)
    #[arg(long, value_name = "N|P%")]
    pub(in crate::cli) max_failures: Option<FailureLimit>,
    /// Rows to send first, as one job; stop when more than half of them fail.
    /// Default: 200 in production from 50,000 rows on, else 0
    #[arg(long, value_name = "N")]
    canary: Option<u64>,
    /// Keep rows with the same value in this column together, so that parallel
    /// batches don't lock the same parent; `none` never does. Default: by itself
    /// for a lookup that locks its parent
    #[arg(long, value_name = "COLUMN")]
    group_by: Option<String>,
    /// Percent of the org's daily allowances to leave to others
    #[arg(long, default_value_t = 0, value_name = "P%", value_parser = parse_percent)]
    reserve: u8,
    /// Jobs that carry a row at most, while it fails for passing reasons
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=20))]
    row_attempts: u8,
    /// One job of at most 10,000 rows at a time, against locks
    #[arg(long)]
    serial: bool,
    /// Compress what is sent, for a slow line; takes processor time instead
    #[arg(long)]
    pub(in crate::cli) compress_upload: bool,
    /// Refuse any other org: its id, `production` or `sandbox`
    #[arg(long, value_name = "ID|production|sandbox")]
    pub(in crate::cli) expect_org: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Empty {
    /// The field keeps what it has
    Skip,
    /// The field is cleared
    Clear,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum DuplicateRows {
    /// None of them is sent
    Reject,
    /// The first is sent, the others are rejected
    First,
    /// The last is sent, the others are rejected
    Last,
    /// All are sent; the org decides
    Keep,
}

impl From<DuplicateRows> for Duplicates {
    fn from(what: DuplicateRows) -> Self {
        match what {
            DuplicateRows::Reject => Duplicates::Reject,
            DuplicateRows::First => Duplicates::First,
            DuplicateRows::Last => Duplicates::Last,
            DuplicateRows::Keep => Duplicates::Keep,
        }
    }
}

fn parse_rename(text: &str) -> Result<(String, String), String> {
    // A column name may hold `=`, a field name can't.
    text.rsplit_once('=')
        .filter(|(column, _)| !column.is_empty())
        .map(|(column, field)| (column.to_owned(), field.trim().to_owned()))
        .ok_or_else(|| "write it as COLUMN=FIELD, or COLUMN= to leave the column out".to_owned())
}

/// Three letters, in capitals.
fn parse_currency(text: &str) -> Result<String, String> {
    let is_code = text.len() == 3 && text.chars().all(|letter| letter.is_ascii_alphabetic());
    is_code
        .then(|| text.to_ascii_uppercase())
        .ok_or_else(|| "write a currency in three letters, such as EUR".to_owned())
}

/// A whole percentage below 100, with or without its sign.
pub(in crate::cli) fn parse_percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse::<u8>();
    number
        .ok()
        .filter(|percent| *percent < 100)
        .ok_or_else(|| "write a percentage from 0% to 99%".to_owned())
}

pub(in crate::cli) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "s" | "" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("write a number and s, m, h or d, such as 30m".to_owned()),
    };
    let count: u64 =
        digits.parse().map_err(|_| "write a number and s, m, h or d, such as 30m".to_owned())?;
    Ok(Duration::from_secs(count.saturating_mul(seconds)))
}

impl AskedArgs {
    pub(in crate::cli) fn request(&self, runs_dir: &Path) -> LoadRequest {
        LoadRequest {
            sources: self.sources.clone(),
            options: self.reading.options(),
            object: self.object.clone(),
            operation: self.operation,
            external_id: self.external_id.clone(),
            keys: self.key.clone(),
            renames: self.map.clone(),
            // A resume or a retry may be started from another folder.
            mapping: self
                .mapping
                .as_ref()
                .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone())),
            currency: self.currency.clone(),
            secrets: secrets(),
            empty: match self.empty {
                Empty::Skip => EmptyMeans::Skip,
                Empty::Clear => EmptyMeans::Clear,
            },
            lanes: if self.serial { 1 } else { usize::from(self.parallel) },
            chunk_bytes: self.chunk_bytes,
            chunk_rows: if self.serial {
                self.chunk_rows.min(ROWS_PER_BATCH)
            } else {
                self.chunk_rows
            },
            skip: self.skip,
            limit: self.limit,
            assignment_rule: self.assignment_rule.clone(),
            duplicates: self.duplicates.map(Duplicates::from),
            scan: self.scan,
            again: self.again,
            runs_dir: runs_dir.to_owned(),
            max_wait: self.max_wait,
            row_attempts: self.row_attempts,
            serial: self.serial,
            max_failures: self.max_failures,
            canary: self.canary,
            checks_only: false,
            doubles_found: false,
            reserve: self.reserve,
            group_by: self.group_by.clone(),
            compress_upload: self.compress_upload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renames_split_at_the_last_equals_sign() {
        assert_eq!(parse_rename("a=b=Name"), Ok(("a=b".to_owned(), "Name".to_owned())));
        assert_eq!(parse_rename("Notes="), Ok(("Notes".to_owned(), String::new())));
        assert!(parse_rename("=Name").is_err());
        assert!(parse_rename("Name").is_err());
    }

    #[test]
    fn currencies_are_three_letters() {
        assert_eq!(parse_currency("eur"), Ok("EUR".to_owned()));
        assert!(parse_currency("€").is_err() && parse_currency("EURO").is_err());
    }

    #[test]
    fn durations_are_a_number_and_a_unit() {
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("8h"), Ok(Duration::from_hours(8)));
        assert!(parse_duration("soon").is_err());
    }
}
