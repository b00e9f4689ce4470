//! Source files to row batches.
//!
//! [`open_csv`] looks at the first bytes of a file (what is it, which
//! delimiter, which header) and gives a [`CsvSource`], from which rows can be
//! read as often as needed, whole or by stretches, and [scanned](Scan)
//! beforehand. The cutting into records is [`RecordSplitter`]'s.
//!
//! [`RecordSplitter`]: crate::rows::RecordSplitter
//!
//! Text is UTF-8, with or without a byte order mark. **The seam for other
//! encodings and for compressed files** is the `Read` that the splitter is
//! given: a decoder wraps the file there, so that every offset counts bytes of
//! decoded text. Such a source can't be read from the middle of the file, so
//! `SourceRows::rows(Some(_))` would have to decode from the start; its chunks
//! are spooled, which needs no second reading. A Parquet source will yield
//! another kind of row batch beside `RawBatch`. Until then [`open_csv`]
//! recognises what it can't read by its first bytes and says so.

mod csv;
mod identity;
mod parquet;
mod recognise;
mod scan;
mod sniff;

pub use csv::{CsvOptions, CsvSource, open_csv};
pub use identity::SourceIdentity;
pub use parquet::{
    Layout, Nulls, ParquetFile, ParquetOptions, ParquetRows, Place, RenderedBlock, partitions_of,
};
pub use scan::{FaultCount, FaultKind, Scan, ScanProgress};

/// Reads CSV text from any `Read` in row batches.
pub type CsvBatches<R> = crate::rows::RecordSplitter<R>;
