//! What travels between the stages: row batches, their cells, and the
//! canonical forms by which two renderings of one value are recognised.
//!
//! A [`RawBatch`] is bytes as they stood in the source plus where each record
//! lies in them; nothing is unescaped before something needs it.
//!
//! A *derived source* holds rows of another one in another order, or fewer of
//! them; its [`RowMap`] says which, and its [`GroupIndex`] which of them belong
//! together.

mod batch;
mod canonical;
mod cells;
mod checked_file;
mod digest;
mod doubles;
mod encoded;
mod files;
mod group_index;
mod refusal;
mod row_map;
mod row_names;
pub(crate) mod sorter;
pub(crate) mod spill;
mod splitter;
mod temporary;

pub use batch::{
    Dialect, NoForm, PositionUnit, RawBatch, RawRecord, RowFault, RowStream, SourceError,
    SourceRows, Stretch,
};
pub use canonical::{CLEAR, KeyExactness, canonical_form, canonical_hash, key_form, key_hash};
pub use cells::{
    Cell, Cells, needs_quotes, nth_cell, plain_cells, write_cell, write_quoted, write_record,
};
pub use digest::hex;
pub(crate) use digest::sha256;
pub use doubles::{Doubles, DoublesWriter};
pub use encoded::{
    Changes, ColumnNames, EMPTY_HASH, EncodedBatch, EncodedRow, LEFT_OUT, MadeColumn,
    RecordChanges, Rejection,
};
pub use files::{new_private_file, new_private_folder, private_file, private_folder, sync_folder};
pub use group_index::{GroupIndex, GroupIndexWriter, GroupRun, Parcel, Parcels};
pub use refusal::{Refusal, Rule, TextKind, ValueClass};
pub use row_map::{MappedRows, RowMap, RowMapWriter};
pub use row_names::RowNames;
pub use splitter::{BLOCK_BYTES, Header, MAX_RECORD_BYTES, RecordSplitter, length_fault};
pub use temporary::TemporaryFolder;
