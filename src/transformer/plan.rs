//! What a load's columns come to: checked once, applied to every row.

use serde::{Deserialize, Serialize};

use super::EmptyMeans;
use crate::domain::{ColumnDelimiter, LineEnding, Operation, ValueKind};
use crate::rows::{Dialect, write_record};

/// A checked plan: which column goes into which field, and how.
///
/// It is complete by itself and can be stored: a resume encodes by the plan
/// the run began with, even when describe says something else by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// API name of the object, in exact case.
    pub object: String,
    /// What the jobs do.
    pub operation: Operation,
    /// The field an upsert matches by, in exact case.
    pub external_id: Option<String>,
    /// The columns that are sent, in the order of the source.
    pub columns: Vec<PlannedColumn>,
    /// Tier 1: which of `columns` holds the `Id` (update, delete) or the
    /// external id (upsert).
    pub key: Option<usize>,
    /// Tier 2: the ones among `columns` that the user named with `--key`.
    pub user_keys: Vec<usize>,
    /// Tier 3: text columns among `columns` that may turn out to be unique;
    /// watched for want of keys, or because they protect an insert, which then
    /// come first. Four at most.
    pub text_candidates: Vec<usize>,
    /// Of an insert, the ones among `text_candidates` whose field the org keeps
    /// unique: a row with a value there can't be saved twice. The ledger of an
    /// older release has none.
    #[serde(default)]
    pub protecting_keys: Vec<usize>,
    /// The columns that are not sent.
    pub dropped: Vec<DroppedColumn>,
    /// Column names of the source.
    pub header: Vec<String>,
    /// How the source is written.
    pub source: Dialect,
    /// Delimiter of the jobs' data.
    pub delimiter: ColumnDelimiter,
    /// Line end of the jobs' data: that of the source's header line.
    pub line_ending: LineEnding,
    /// What empty cells say.
    pub empty: EmptyMeans,
    /// What a person should know before the start: corrections that were
    /// made, and what will happen though nobody asked for it (I11).
    pub notes: Vec<String>,
}

/// A column that is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedColumn {
    /// Its place in the source, from 0.
    pub source: usize,
    /// Its name in the source.
    pub name: String,
    /// Its header as sent: `Name`, `Account.Legacy_Id__c`, `User:Owner.Email`.
    pub header: String,
    /// The field of the object that it sets.
    pub field: String,
    /// How its values are compared; for a relationship column by the field of
    /// the parent.
    pub kind: ValueKind,
    /// What is done with its cells.
    pub treatment: Treatment,
}

/// What is done with the cells of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// They go as they stand.
    Pass,
    /// Words for true and false become those; others reject their row.
    Boolean,
    /// They go as they stand, but more than 15 digits reject their row.
    NumericKey,
}

/// A column that is not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedColumn {
    /// Its place in the source, from 0.
    pub source: usize,
    /// Its name in the source.
    pub name: String,
    /// Why.
    pub reason: DropReason,
}

/// Why a column is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// `--map 'Column='`.
    Asked,
    /// `sf__…` or `bulkhaul__…`: it is from a result file.
    ResultColumn,
}

impl Plan {
    /// Whether the bytes of the source may go as they are, as far as columns
    /// and dialect are concerned. Single rows may still be rewritten.
    pub fn is_identity(&self) -> bool {
        self.dropped.is_empty() && self.keeps_dialect()
    }

    /// Whether cells may be copied with the quotes they have.
    pub(super) fn keeps_dialect(&self) -> bool {
        self.source.quote == b'"' && self.source.delimiter == self.delimiter.byte()
    }

    /// The header line of every job, with its line end.
    pub fn header_line(&self) -> Vec<u8> {
        let mut line = Vec::new();
        let names = self.columns.iter().map(|column| column.header.as_bytes());
        write_record(&mut line, names, self.delimiter.byte());
        line.extend_from_slice(self.line_ending.bytes());
        line
    }

    /// The place of the key column in the source.
    pub fn key_source(&self) -> Option<usize> {
        self.key.and_then(|key| self.columns.get(key)).map(|column| column.source)
    }

    /// Whether no row of a chunk can make a second record when it is sent again
    /// (I2), given the column of the chunk in which no value is empty or occurs
    /// twice (an index into `columns`). An insert needs such a column whose
    /// field the org keeps unique. An upsert finds its record again, except one
    /// by `Id`, which creates a record for every empty cell.
    pub fn protects(&self, unique_text: Option<usize>) -> bool {
        match self.operation {
            Operation::Insert => {
                unique_text.is_some_and(|column| self.protecting_keys.contains(&column))
            }
            Operation::Upsert => self.external_id.as_deref() != Some("Id"),
            Operation::Update | Operation::Delete | Operation::HardDelete => true,
        }
    }

    /// The boolean columns among `columns`.
    pub fn boolean_columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.treatment == Treatment::Boolean)
            .map(|(at, _)| at)
    }
}
