//! What the transformer makes of a row batch, and the chunker cuts up.
//!
//! Most rows go as they stand, so nothing is copied for them: an
//! [`EncodedBatch`] says per record *same*, *rewritten* (with its new text in
//! a side buffer) or *rejected*.

use super::{Refusal, RowFault};

/// A row batch in the form Salesforce takes, record by record.
#[derive(Debug, Clone, Default)]
pub struct EncodedBatch {
    /// One entry per record of the batch, in order.
    pub rows: Vec<EncodedRow>,
    /// The text of rewritten records, each with the job's line end.
    pub side: Vec<u8>,
    /// Why rows are rejected; [`EncodedRow::Rejected`] is an index into it.
    pub rejections: Vec<Rejection>,
    /// What was changed, for the records in which something was, in order.
    pub changes: Vec<RecordChanges>,
    /// Per record the hash of its key, folded; [`EMPTY_HASH`] for an empty
    /// key. Empty when the rows have no key.
    pub keys: Vec<u64>,
    /// Per record `text_columns` hashes, one for each text column that may
    /// turn out to be unique; [`EMPTY_HASH`] for an empty cell.
    pub texts: Vec<u64>,
    /// How many text columns are watched.
    pub text_columns: usize,
}

/// The reason of a row that the mapping's filter leaves out.
pub const LEFT_OUT: &str = "left out by the mapping's filter";

/// The hash of an empty form ([`super::key_hash`], [`super::canonical_hash`]).
pub const EMPTY_HASH: u64 = 0x2D06_8005_38D3_94C2;

/// What becomes of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodedRow {
    /// Its bytes go as they stand, with the line end they have; the last
    /// record of a source may have none.
    Same,
    /// Its text is this part of the side buffer.
    Rewritten {
        /// Begin in the side buffer.
        start: u32,
        /// End, behind the line end.
        end: u32,
    },
    /// It can't be sent; an index into the batch's rejections.
    Rejected(u32),
}

/// Changes within one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordChanges {
    /// The record's place in the batch.
    pub record: u32,
    /// What was changed in it.
    pub changes: Changes,
}

/// Cells that are not sent byte for byte as they stood (I7), or that a person
/// should know of (I11), counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Changes {
    /// Cells in which line ends became those of the job.
    pub line_ends: u64,
    /// Words in boolean fields written as `true` or `false`.
    pub booleans: u64,
    /// Cells put in quotes because a quote stood inside them.
    pub requoted: u64,
    /// Empty cells sent as `#N/A`, on request.
    pub cleared: u64,
    /// Cells that are `#N/A` in the source and clear their field.
    pub na_cells: u64,
    /// Values that a mapping cut to the length it says. The ledger of an older
    /// release has none.
    #[serde(default)]
    pub truncated: u64,
}

impl Changes {
    /// Adds other changes to these.
    pub fn add(&mut self, other: &Changes) {
        self.line_ends += other.line_ends;
        self.booleans += other.booleans;
        self.requoted += other.requoted;
        self.cleared += other.cleared;
        self.na_cells += other.na_cells;
        self.truncated += other.truncated;
    }

    /// Whether nothing was changed or noticed.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

/// How reasons call the columns of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnNames {
    /// The columns of the source.
    pub source: Vec<String>,
    /// What a mapping makes; counted on behind the last column of the source.
    pub made: Vec<MadeColumn>,
}

/// What a mapping makes, as reasons call it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MadeColumn {
    /// From where and for what: ``` `Beginn`, column 5, for Start__c ```.
    pub name: String,
    /// What the mapping takes there, in words; may be empty.
    pub allowed: String,
}

impl From<&[String]> for ColumnNames {
    fn from(source: &[String]) -> Self {
        ColumnNames { source: source.to_vec(), made: Vec::new() }
    }
}

impl ColumnNames {
    fn made(&self, column: u32) -> Option<&MadeColumn> {
        self.made.get((column as usize).checked_sub(self.source.len())?)
    }

    /// What a column is called in reasons: its name and number.
    pub fn of(&self, column: u32) -> String {
        match (self.source.get(column as usize), self.made(column)) {
            (Some(name), _) => format!("`{name}`, column {}", column + 1),
            (None, Some(made)) => made.name.clone(),
            (None, None) => format!("column {}", column + 1),
        }
    }
}

/// Why a row is never sent. Columns are those of the source, from 0, and
/// behind them what a mapping makes ([`ColumnNames`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// It is not well formed, or longer than the service takes.
    Fault(RowFault),
    /// A word in a boolean field that is neither yes nor no.
    BooleanWord {
        /// The column.
        column: u32,
    },
    /// `#N/A` in a boolean field, which is never empty.
    BooleanCleared {
        /// The column.
        column: u32,
    },
    /// A numeric key of more digits than a double tells apart.
    KeyDigits {
        /// The column.
        column: u32,
        /// Its digits.
        digits: u32,
    },
    /// The row alone is larger than a chunk may be.
    LargerThanChunk {
        /// Bytes of the row and the header line.
        bytes: u64,
        /// Bytes a chunk may have.
        limit: u64,
    },
    /// Another row of the same chunk has its key.
    DuplicateKey {
        /// The key column.
        column: u32,
        /// The number of the other row.
        row: u64,
    },
    /// A rule of the mapping refuses a value.
    Refused {
        /// The column.
        column: u32,
        /// The rule and the kind of value.
        refusal: Refusal,
    },
    /// The mapping's filter leaves the row out.
    LeftOut,
    /// The mapping was not made ready for this process: nothing may be sent.
    NotReady,
}

impl Rejection {
    /// The reason as a person reads it, beside the row. `names` are those of
    /// the columns and `offset` is the byte of the file at which the row
    /// begins, where there is such a byte. No value is told (I8).
    pub fn reason(&self, names: &ColumnNames, offset: Option<u64>) -> String {
        let words = self.reason_without_place(names);
        match (self, offset) {
            (Rejection::Fault(_), Some(offset)) => {
                format!("{words} (the row begins at byte {offset})")
            }
            _ => words,
        }
    }

    /// Why a row is left out for the key of another one, which is called
    /// `twin`.
    pub fn duplicate_reason(names: &ColumnNames, column: u32, twin: &str) -> String {
        let words = Rejection::DuplicateKey { column, row: 0 }.reason_without_place(names);
        words.replace("row 0 ", &format!("{twin} "))
    }

    /// The same without the place in the file.
    pub fn reason_without_place(&self, names: &ColumnNames) -> String {
        let named =
            |column: u32, text: std::fmt::Arguments<'_>| format!("{}: {text}", names.of(column));
        match *self {
            Rejection::Fault(fault) => {
                let name = match fault {
                    RowFault::Utf8 { column, .. }
                    | RowFault::Encoding { column }
                    | RowFault::AfterQuote { column }
                    | RowFault::FieldTooLong { column, .. }
                    | RowFault::NoForm { column, .. } => {
                        column.checked_sub(1).and_then(|at| names.source.get(at as usize))
                    }
                    RowFault::Ragged { .. } | RowFault::RecordTooLong { .. } => None,
                };
                match name {
                    Some(name) => format!("`{name}`, {fault}"),
                    None => fault.to_string(),
                }
            }
            Rejection::BooleanWord { column } => named(
                column,
                format_args!(
                    "a word that is neither true nor false; a boolean field takes true, yes, y, \
                     on, 1 and false, no, n, off, 0"
                ),
            ),
            Rejection::BooleanCleared { column } => {
                named(column, format_args!("`#N/A` can't clear a boolean field"))
            }
            Rejection::KeyDigits { column, digits } => named(
                column,
                format_args!(
                    "a numeric key of {digits} digits; the service keeps 15, so its result could \
                     not be told from others"
                ),
            ),
            Rejection::LargerThanChunk { bytes, limit } => {
                format!("{bytes} bytes with the header, a chunk may have {limit}")
            }
            Rejection::DuplicateKey { column, row } => {
                named(column, format_args!("row {row} has the same key"))
            }
            Rejection::Refused { column, refusal } => {
                let allowed = names.made(column).map_or("", |made| made.allowed.as_str());
                named(column, format_args!("{}", refusal.reason(allowed)))
            }
            Rejection::LeftOut => LEFT_OUT.to_owned(),
            Rejection::NotReady => "the mapping was not made ready".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_the_column_and_never_the_value() {
        let mut names = ColumnNames::from(["Name".to_owned(), "Active__c".to_owned()].as_slice());
        names.made.push(MadeColumn {
            name: "`Name`, column 1, for Site".to_owned(),
            allowed: String::new(),
        });
        let reason = |rejection: Rejection| rejection.reason(&names, Some(120));
        let refusal = Refusal::new(crate::rows::Rule::NotInMap, "x");
        assert_eq!(
            reason(Rejection::Refused { column: 2, refusal }),
            "`Name`, column 1, for Site: a value of 1 character (letters) is not in the value map"
        );
        assert_eq!(
            reason(Rejection::DuplicateKey { column: 2, row: 7 }),
            "`Name`, column 1, for Site: row 7 has the same key"
        );
        assert_eq!(
            reason(Rejection::Fault(RowFault::Ragged { expected: 2, found: 3 })),
            "3 cells where the header has 2 (the row begins at byte 120)"
        );
        assert_eq!(
            reason(Rejection::Fault(RowFault::AfterQuote { column: 2 })),
            "`Active__c`, column 2: text behind the closing quote (the row begins at byte 120)"
        );
        assert_eq!(
            reason(Rejection::DuplicateKey { column: 0, row: 7 }),
            "`Name`, column 1: row 7 has the same key"
        );
        assert_eq!(
            reason(Rejection::BooleanCleared { column: 9 }),
            "column 10: `#N/A` can't clear a boolean field"
        );
    }

    #[test]
    fn the_hash_of_nothing_is_that_of_every_empty_form() {
        use crate::domain::ValueKind;
        use crate::rows::{KeyExactness, canonical_hash, key_hash};
        let text = ValueKind::Text { case_sensitive: false };
        for empty in [b"".as_slice(), b"#N/A", b"  "] {
            assert_eq!(canonical_hash(text, empty), EMPTY_HASH);
            assert_eq!(key_hash(text, KeyExactness::Folded, empty), EMPTY_HASH);
            assert_eq!(key_hash(ValueKind::Id, KeyExactness::Folded, empty), EMPTY_HASH);
        }
    }
}
