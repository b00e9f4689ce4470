//! Source files to row batches.
//!
//! [`open_csv`] looks at the first bytes of a file (what is it, which
//! delimiter, which header) and gives a [`CsvSource`], from which rows can be
//! read as often as needed, whole or by stretches, and [scanned](Scan)
//! beforehand. The cutting into records is [`RecordSplitter`]'s.
//!
//! [`RecordSplitter`]: crate::rows::RecordSplitter
//!
//! [`Source`] is what a load reads: one file or several, found by name, folder
//! or pattern, each of whatever format it is:
//!
//! ```text
//! plain UTF-8 CSV ───────────────────────────────► RawBatch, positions are bytes
//! other CSV ──► unpack ──► decode ──► line ends ──► RawBatch, positions are rows
//! Parquet ────► decode pages ──► render cells ────► RawBatch, positions are rows
//! ```
//!
//! Where positions are rows, nothing can be opened at a byte: chunks of such a
//! source are spooled, and reading from the middle goes on from a place that
//! was left open, or decodes from the begin of the file (Parquet: of the row
//! group).

mod blocks;
mod csv;
mod decoding;
mod discover;
mod file;
mod glance;
mod identity;
mod layout;
mod line_ends;
mod options;
mod packing;
mod parquet;
mod recognise;
mod scan;
mod sniff;
mod source;
mod text;

pub use csv::{CsvOptions, CsvSource, open_csv};
pub use discover::NamedFile;
pub use file::{FileFormat, LineEnd};
pub use glance::{ColumnGlance, Glance, glance};
pub use identity::SourceIdentity;
pub use options::SourceOptions;
pub use packing::Packing;
pub use parquet::{
    Layout, Nulls, ParquetFile, ParquetOptions, ParquetRows, Place, RenderedBlock, partitions_of,
};
pub use scan::{FaultCount, FaultKind, Scan, ScanProgress};
pub use source::{KnownFile, Source};

/// Reads CSV text from any `Read` in row batches.
pub type CsvBatches<R> = crate::rows::RecordSplitter<R>;
