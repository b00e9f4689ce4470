//! What can go wrong between a page and a file.

use std::io;
use std::path::PathBuf;

use crate::rows::SourceError;

/// Why records can't be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file of the archive, or one on the way to it, can't be read or
    /// written.
    #[error("{} can't be {action}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was to be done: `written`, `read`.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The Parquet library refused.
    #[error("{} can't be {action} as Parquet", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What was to be done: `written`, `read`.
        action: &'static str,
        /// What it said.
        source: parquet::errors::ParquetError,
    },
    /// A page is no well-formed result.
    #[error("a page of the results is damaged")]
    Page {
        /// What is wrong with it.
        source: SourceError,
    },
    /// A page has other columns than the first one.
    #[error("{}: the page has {found} columns, the first one had {expected}", path.display())]
    Columns {
        /// The page's file.
        path: PathBuf,
        /// Columns of the first page.
        expected: usize,
        /// Columns of this one.
        found: usize,
    },
    /// A record of a page has another number of cells, or is no text.
    #[error("{}: record {record} of the page is damaged: {why}", path.display())]
    Record {
        /// The page's file.
        path: PathBuf,
        /// Its number in the page, from 1.
        record: u64,
        /// What is wrong with it; names columns, never values.
        why: String,
    },
    /// A file of the archive is not what it was.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The increments can't be folded.
    #[error("{0}")]
    NotFoldable(String),
    /// Another process writes into the archive.
    #[error("another process writes into {}", archive.display())]
    Locked {
        /// The archive's folder.
        archive: PathBuf,
    },
    /// What was described can't be a column.
    #[error("{0}")]
    Schema(String),
    /// The manifest is none.
    #[error("{} is no manifest of an archive", path.display())]
    Manifest {
        /// Where it should be.
        path: PathBuf,
        /// What was met.
        source: serde_json::Error,
    },
}

impl ExportError {
    pub(super) fn io(
        path: &std::path::Path,
        action: &'static str,
    ) -> impl FnOnce(io::Error) -> ExportError {
        let path = path.to_owned();
        move |source| ExportError::Io { path, action, source }
    }

    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, ExportError::Io { source, .. }
            if source.kind() == io::ErrorKind::StorageFull)
    }
}

/// Why a value has no place in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Wrong {
    /// It is no number.
    #[error("not a number")]
    Number,
    /// It has more digits than the column can hold without rounding.
    #[error("a number that does not fit the precision and scale of its field")]
    Fit,
    /// It is no whole number of 32 or 64 bits.
    #[error("not a whole number of this size")]
    Whole,
    /// It is neither true nor false.
    #[error("neither true nor false")]
    Boolean,
    /// It is no date.
    #[error("not a date")]
    Date,
    /// It is no instant.
    #[error("not a date and time")]
    DateTime,
    /// It is no time of day.
    #[error("not a time of day")]
    Time,
}

/// A value that has no place in its column; the file has a null there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueFault {
    /// The record's place in its block, from 0.
    pub record: usize,
    /// Index of the column.
    pub column: usize,
    /// Why.
    pub wrong: Wrong,
    /// The value as the org sent it. For the private file of such values only,
    /// never for a log (I8).
    pub text: String,
}
