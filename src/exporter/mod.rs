//! Query results to files: pages of CSV text, as the org sends them, to typed
//! Parquet, CSV or JSON Lines.
//!
//! ```text
//! page file ─▶ blocks of records ─▶ columns (rayon) ─▶ row groups (rayon) ─▶ file
//! ```
//!
//! | part | what it is |
//! |---|---|
//! | [`column`](mod@column) | what each column of a result is, and its type in the file |
//! | [`value`] | the text of a cell to its value |
//! | [`page`] | the records of a page, block by block |
//! | [`batch`] | a block of records to Arrow columns |
//! | [`parquet_file`], [`text_file`] | one file, written as it comes |
//! | [`parse`] | blocks to what is written of them, spread over folders |
//! | [`partition`] | which folder a record's file lies in |
//! | [`output`] | files of one kind, rolled by size; what each holds |
//! | [`manifest`] | what lies in an archive, for later |
//! | [`lock`] | one writer an archive at a time |
//! | [`verify`] | an archive against its manifest |
//! | [`compact`](mod@compact) | increments folded into one snapshot |
//!
//! Memory: a block is about 1 MiB of text; as many are worked at a time as
//! there are threads, and of a row group only what is encoded is kept.

pub mod batch;
pub mod column;
pub mod compact;
pub mod lock;
pub mod manifest;
pub mod output;
pub mod page;
pub mod parquet_file;
pub mod parse;
pub mod partition;
pub mod text_file;
pub mod value;
pub mod verify;

mod error;
mod hashing;
mod marks;

#[cfg(test)]
mod tests;

pub use error::{ExportError, ValueFault, Wrong};
pub use marks::Marks;
