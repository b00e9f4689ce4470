//! The key of a row: what tells whose child it is.

use crate::domain::ValueKind;
use crate::rows::{
    Dialect, EMPTY_HASH, EncodedBatch, EncodedRow, KeyExactness, RawBatch, key_hash, nth_cell,
};

/// What grouping has to know of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowKey {
    /// Hash of its parent; `None` for a row without one, which locks nothing.
    pub key: Option<u64>,
    /// Whether it is not going to be sent.
    pub rejected: bool,
}

/// The column by which rows are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyColumn {
    /// Its place in the source, from 0.
    pub column: usize,
    /// What its values are: two renderings of one value are one parent.
    pub kind: ValueKind,
    /// How the source is written.
    pub dialect: Dialect,
}

impl KeyColumn {
    /// The key of a record given without its line end.
    pub fn key_of(&self, record: &[u8]) -> Option<u64> {
        let Dialect { delimiter, quote, .. } = self.dialect;
        let cell = nth_cell(record, delimiter, quote, self.column)?;
        let hash = key_hash(self.kind, KeyExactness::Folded, &cell.value());
        (hash != EMPTY_HASH).then_some(hash)
    }

    /// The keys of a row batch; `encoded` is what the transformer makes of it,
    /// if rejected rows are to be set apart.
    pub fn keys(&self, batch: &RawBatch, encoded: Option<&EncodedBatch>) -> Vec<RowKey> {
        let encoded = encoded.map(|encoded| encoded.rows.as_slice()).unwrap_or_default();
        let rejected = |at: usize| matches!(encoded.get(at), Some(EncodedRow::Rejected(_)));
        batch
            .records
            .iter()
            .enumerate()
            .map(|(at, record)| RowKey {
                key: self.key_of(batch.record(record)),
                rejected: rejected(at),
            })
            .collect()
    }
}
