//! Files of value maps and lookups, opened as sources are.

use std::path::{Path, PathBuf};

use crate::mapping::{TableFile, TableFiles};
use crate::reader::{Source, SourceOptions};
use crate::rows::{SourceError, SourceRows};

/// Opens files of tables with the reader: CSV of any dialect and encoding,
/// packed too, and Parquet.
#[derive(Debug, Clone)]
pub struct TableReader {
    scratch: PathBuf,
}

impl TableReader {
    /// Tables that are too large for memory lie below this folder.
    pub fn new(scratch: &Path) -> Self {
        TableReader { scratch: scratch.to_owned() }
    }
}

impl TableFiles for TableReader {
    fn open(&self, file: &TableFile) -> Result<Box<dyn SourceRows>, SourceError> {
        let options = SourceOptions {
            delimiter: file.delimiter,
            encoding: file.encoding.clone(),
            ..SourceOptions::default()
        };
        let shown = file.path.file_name().unwrap_or_default().to_string_lossy();
        Source::open_as(&file.path, &shown, &options).map(|source| Box::new(source) as _)
    }

    fn scratch(&self) -> &Path {
        &self.scratch
    }
}
