//! Parquet files as rows of CSV text in the form Salesforce takes.
//!
//! [`ParquetFile::open`] reads the footer and refuses what can't be loaded,
//! every column of it by name; [`ParquetFile::read`] gives rows from any row
//! on, as text with its records already cut ([`ParquetRows`]). docs/sources.md
//! has the table of types.

mod chunks;
mod form;
mod open;
mod partitions;
mod physical;
mod plausible;
mod render;
mod rows;
mod text;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::errors::ParquetError;
use serde::{Deserialize, Serialize};

use self::chunks::Chunks;
use self::form::{Column, Form};
use self::render::Renderer;
use super::identity::SourceIdentity;
use crate::rows::SourceError;

pub use partitions::partitions_of;
pub use render::RenderedBlock;
pub use rows::ParquetRows;

/// How a null is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nulls {
    /// As an empty cell, which leaves the field as it is.
    #[default]
    Empty,
    /// As `#N/A`, which empties the field.
    Clear,
}

/// How Parquet files are to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ParquetOptions {
    /// How nulls are written.
    pub nulls: Nulls,
    /// The zone (IANA) whose clocks show the local timestamps; UTC if none.
    pub time_zone: Option<String>,
    /// Whether bytes without a type are text; else they are written in base64.
    pub bytes_as_text: bool,
}

/// What stands at a place of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The column of the file with this index (from 0).
    Column(usize),
    /// The same value in every row, as of a partition; `None` for null.
    Constant(Option<String>),
}

/// The cells of a row in the order wanted.
pub type Layout = [Place];

/// A Parquet file whose columns can all be loaded. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ParquetFile {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    identity: SourceIdentity,
    metadata: ArrowReaderMetadata,
    header: Vec<String>,
    columns: Vec<Column>,
    rows: u64,
    nulls: Nulls,
    zone: Option<TimeZone>,
    bytes_as_text: bool,
}

impl ParquetFile {
    /// Opens a file and checks its columns.
    ///
    /// # Errors
    /// [`SourceError`]: `Io` when the system refuses; `Empty` for a file
    /// without a byte; `Header` when it is no Parquet file, is encrypted, has
    /// no columns or some whose values have no form (all of them are named),
    /// or when there is no such time zone; `Damaged` when its footer can't be
    /// read.
    pub fn open(path: &Path, options: &ParquetOptions) -> Result<Self, SourceError> {
        open::open(path, options).map(|inner| ParquetFile { inner: Arc::new(inner) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// What the file is known by.
    pub fn identity(&self) -> &SourceIdentity {
        &self.inner.identity
    }

    /// Its columns in order.
    pub fn header(&self) -> &[String] {
        &self.inner.header
    }

    /// The types of its columns in words for people.
    pub fn types(&self) -> Vec<String> {
        self.inner.columns.iter().map(|column| column.words.clone()).collect()
    }

    /// Columns with timestamps that are told in the time of some place, which
    /// the file does not name.
    pub fn local_timestamps(&self) -> impl Iterator<Item = &str> {
        let named = self.inner.header.iter().zip(&self.inner.columns);
        named
            .filter(|(_, column)| matches!(column.form, Form::Moment { local: true, .. }))
            .map(|(name, _)| name.as_str())
    }

    /// Its rows.
    pub fn rows(&self) -> u64 {
        self.inner.rows
    }

    /// Whether size, time of change and inode are still those of the opening.
    ///
    /// # Errors
    /// [`SourceError::Changed`] if not, `Io` when the file is gone.
    pub fn check_unchanged(&self) -> Result<(), SourceError> {
        self.reopen().map(|_| ())
    }

    /// Reads rows from `from_row` (0 is the first) to the end, as text of
    /// about `block_bytes` a block. There are none from the number of rows on.
    ///
    /// # Errors
    /// [`SourceError`]: `Changed` when the file is not what it was, `Io` when
    /// the system refuses, `Header` when the layout names a column that is not
    /// there.
    pub fn read(
        &self,
        from_row: u64,
        layout: &Layout,
        block_bytes: usize,
    ) -> Result<ParquetRows, SourceError> {
        let file = self.reopen()?;
        let mut wanted = Vec::new();
        for place in layout {
            let Place::Column(column) = place else { continue };
            if *column >= self.inner.columns.len() {
                let reason = format!("there is no column {}", column + 1);
                return Err(SourceError::Header { path: self.inner.path.clone(), reason });
            }
            if !wanted.contains(column) {
                wanted.push(*column);
            }
        }
        let form =
            |column: usize| self.inner.columns.get(column).map_or(Form::Null, |column| column.form);
        let renderer = Renderer::new(
            layout,
            &wanted,
            form,
            self.inner.nulls,
            self.inner.zone.clone(),
            self.inner.bytes_as_text,
        );
        let chunks = Chunks::new(file, self.inner.identity.bytes);
        Ok(ParquetRows::new(self.clone(), chunks, from_row, wanted, renderer, block_bytes))
    }

    /// Opens the file again, if it is still the same.
    fn reopen(&self) -> Result<File, SourceError> {
        let file = File::open(&self.inner.path).map_err(|source| self.failed(source))?;
        self.check(&file)?;
        Ok(file)
    }

    /// Whether an open file is still the same.
    fn check(&self, file: &File) -> Result<(), SourceError> {
        let metadata = file.metadata().map_err(|source| self.failed(source))?;
        if self.inner.identity.fits(&metadata) {
            Ok(())
        } else {
            Err(SourceError::Changed { path: self.inner.path.clone() })
        }
    }

    /// Rows of a row group, and bytes that a row of these columns takes in it
    /// on average.
    fn group(&self, index: usize, columns: &[usize]) -> Option<(u64, u64)> {
        let group = self.inner.metadata.metadata().row_groups().get(index)?;
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let bytes: u64 = columns
            .iter()
            .filter_map(|&column| group.columns().get(column))
            .map(|chunk| u64::try_from(chunk.uncompressed_size()).unwrap_or(0))
            .fold(0, u64::saturating_add);
        // Dates and numbers are shorter in the file than in text.
        let width = bytes.checked_div(rows).unwrap_or(0).saturating_add(6 * columns.len() as u64);
        Some((rows, width))
    }

    fn name_of(&self, column: usize) -> &str {
        self.inner.header.get(column).map_or("", String::as_str)
    }

    fn metadata(&self) -> &ArrowReaderMetadata {
        &self.inner.metadata
    }

    fn failed(&self, source: std::io::Error) -> SourceError {
        SourceError::Io { path: self.inner.path.clone(), source }
    }

    fn damaged(&self, reason: String) -> SourceError {
        SourceError::Damaged { path: self.inner.path.clone(), reason }
    }
}

/// What an error of the decoding crate says, without its kind.
fn damage_of(error: &ParquetError) -> String {
    match error {
        ParquetError::General(text)
        | ParquetError::NYI(text)
        | ParquetError::EOF(text)
        | ParquetError::ArrowError(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
