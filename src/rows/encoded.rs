//! What the transformer makes of a row batch, and the chunker cuts up.
//!
//! Most rows go as they stand, so nothing is copied for them: an
//! [`EncodedBatch`] says per record *same*, *rewritten* (with its new text in
//! a side buffer) or *rejected*.

use super::RowFault;

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
}

impl Changes {
    /// Adds other changes to these.
    pub fn add(&mut self, other: &Changes) {
        self.line_ends += other.line_ends;
        self.booleans += other.booleans;
        self.requoted += other.requoted;
        self.cleared += other.cleared;
        self.na_cells += other.na_cells;
    }

    /// Whether nothing was changed or noticed.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

/// Why a row is never sent. Columns are those of the source, from 0.
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
}

impl Rejection {
    /// The reason as a person reads it, beside the row. `header` names the
    /// source's columns and `offset` is the byte of the file at which the row
    /// begins, where there is such a byte. No value is told (I8).
    pub fn reason(&self, header: &[String], offset: Option<u64>) -> String {
        let words = self.reason_without_place(header);
        match (self, offset) {
            (Rejection::Fault(_), Some(offset)) => {
                format!("{words} (the row begins at byte {offset})")
            }
            _ => words,
        }
    }

    /// Why a row is left out for the key of another one, which is called
    /// `twin`.
    pub fn duplicate_reason(header: &[String], column: u32, twin: &str) -> String {
        let words = Rejection::DuplicateKey { column, row: 0 }.reason_without_place(header);
        words.replace("row 0 ", &format!("{twin} "))
    }

    /// The same without the place in the file.
    pub fn reason_without_place(&self, header: &[String]) -> String {
        let named = |column: u32, text: std::fmt::Arguments<'_>| match header.get(column as usize) {
            Some(name) => format!("`{name}`, column {}: {text}", column + 1),
            None => format!("column {}: {text}", column + 1),
        };
        match *self {
            Rejection::Fault(fault) => {
                let name = match fault {
                    RowFault::Utf8 { column, .. }
                    | RowFault::Encoding { column }
                    | RowFault::AfterQuote { column }
                    | RowFault::FieldTooLong { column, .. }
                    | RowFault::NoForm { column, .. } => {
                        column.checked_sub(1).and_then(|at| header.get(at as usize))
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_the_column_and_never_the_value() {
        let header = ["Name".to_owned(), "Active__c".to_owned()];
        let reason = |rejection: Rejection| rejection.reason(&header, Some(120));
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
