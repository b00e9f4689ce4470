//! The user's own files of a run: as the ledger keeps them, opened again, and
//! the names by which people find rows in them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::RunFolder;
use super::grouping::absolute;
use crate::domain::{RowNumber, RowPlace};
use crate::ledger::{FileRecord, SourceRecord};
use crate::reader::{KnownFile, Source, SourceIdentity, SourceOptions};
use crate::rows::{RowMap, RowNames, SourceError};

/// Why the files can't be opened again as they were.
#[derive(Debug)]
pub(super) enum Reopening {
    /// One can't be read.
    Source(SourceError),
    /// One is not what it was.
    Changed { path: PathBuf, what: &'static str },
    /// The ledger's word on it can't be understood.
    Unknown(serde_json::Error),
}

/// What the ledger keeps of the files. Those in the run's folder are named
/// from there, for the folder may be moved.
pub(super) fn records(source: &Source, folder: &RunFolder) -> Vec<FileRecord> {
    known_records(&source.files(), folder)
}

/// The same of files that are not open.
pub(super) fn known_records(files: &[KnownFile], folder: &RunFolder) -> Vec<FileRecord> {
    files
        .iter()
        .cloned()
        .map(|mut known| {
            // A resume may be started from another folder.
            known.named.path = absolute(&known.named.path);
            let inside = known.named.path.strip_prefix(absolute(folder.path()));
            FileRecord {
                path: inside.map_or_else(|_| known.named.path.clone(), Path::to_owned),
                bytes: known.identity.bytes,
                edge_digest: known.identity.digest.clone(),
                rows: known.rows,
                about: serde_json::to_value(&known).unwrap_or_default(),
            }
        })
        .collect()
}

/// The files as the ledger has them.
pub(super) fn known(
    record: &SourceRecord,
    folder: &RunFolder,
) -> Result<Vec<KnownFile>, serde_json::Error> {
    record
        .files
        .iter()
        .map(|file| {
            let mut known: KnownFile = serde_json::from_value(file.about.clone())?;
            known.named.path = folder.path().join(&file.path);
            known.rows = file.rows;
            Ok(known)
        })
        .collect()
}

/// Opens the files again and refuses what was changed.
pub(super) fn reopen(
    record: &SourceRecord,
    folder: &RunFolder,
    options: &SourceOptions,
) -> Result<Source, Reopening> {
    let known = known(record, folder).map_err(Reopening::Unknown)?;
    for (known, file) in known.iter().zip(&record.files) {
        let path = &known.named.path;
        let now = SourceIdentity::of(path).map_err(Reopening::Source)?;
        let before = &known.identity;
        let what = if now.bytes != before.bytes {
            "its size"
        } else if now.digest != before.digest {
            "its content"
        } else if file.path.is_relative() {
            // Ours, in a run folder that may have been moved or copied.
            continue;
        } else if now.modified_ns != before.modified_ns {
            "its time of change"
        } else if now.inode != before.inode {
            "it is another file of the same content"
        } else {
            continue;
        };
        return Err(Reopening::Changed { path: path.clone(), what });
    }
    Source::reopen(&known, options).map_err(Reopening::Source)
}

/// The names by which people find the rows that the stages count.
#[derive(Debug, Clone)]
pub(super) struct Names {
    map: Option<Arc<RowMap>>,
    files: Files,
}

#[derive(Debug, Clone)]
enum Files {
    /// The source itself knows, as far as it was read.
    Source(Source),
    /// As an earlier process found them: names, and rows up to the end of each.
    Known { names: Vec<String>, ends: Vec<u64> },
}

impl Names {
    /// Of the user's own files, read directly or through a row map.
    pub(super) fn of(source: &Source, map: Option<Arc<RowMap>>) -> Self {
        Names { map, files: Files::Source(source.clone()) }
    }

    /// Of files that are not read.
    pub(super) fn known(files: &[KnownFile], map: Option<Arc<RowMap>>) -> Self {
        let mut ends = Vec::new();
        for file in files {
            let Some(rows) = file.rows else { break };
            ends.push(ends.last().copied().unwrap_or(0) + rows);
        }
        let names = files.iter().map(|file| file.named.shown.clone()).collect();
        Names { map, files: Files::Known { names, ends } }
    }

    /// What the files are called.
    pub(super) fn files(&self) -> Vec<String> {
        match &self.files {
            Files::Source(source) => source.names(),
            Files::Known { names, .. } => names.clone(),
        }
    }

    /// In which file people find a row of the original.
    pub(super) fn place_in_original(&self, row: RowNumber) -> RowPlace {
        match &self.files {
            Files::Source(source) => source.place_of(row),
            Files::Known { names, ends } => {
                let file = ends.partition_point(|&end| end < row.0);
                let file = file.min(names.len().saturating_sub(1));
                let before = file.checked_sub(1).and_then(|at| ends.get(at)).copied();
                RowPlace { file, row: RowNumber(row.0.saturating_sub(before.unwrap_or(0))) }
            }
        }
    }

    /// The same for a row as the stages count it.
    pub(super) fn place_of(&self, row: RowNumber) -> RowPlace {
        // A map that can't be read is found out where its rows are written.
        self.place_in_original(self.number_of(row).unwrap_or(row))
    }

    /// The number in the original of a row of one of the files.
    pub(super) fn row_at(&self, shown: &str, row: u64) -> Option<RowNumber> {
        match &self.files {
            Files::Source(source) => source.row_at(shown, row),
            Files::Known { names, ends } => {
                let file = names.iter().position(|name| name == shown)?;
                let before = match file.checked_sub(1) {
                    None => 0,
                    Some(at) => *ends.get(at)?,
                };
                Some(RowNumber(before + row))
            }
        }
    }

    /// Whether rows are called otherwise than by the number the stages count.
    pub(super) fn differ(&self) -> bool {
        self.map.is_some() || self.files().len() > 1
    }

    /// For a chunker, if it has to be told.
    pub(super) fn shared(&self) -> Option<Arc<dyn RowNames>> {
        self.differ().then(|| Arc::new(self.clone()) as Arc<dyn RowNames>)
    }
}

impl RowNames for Names {
    fn number_of(&self, row: RowNumber) -> io::Result<RowNumber> {
        self.map.as_ref().map_or(Ok(row), |map| map.row_of(row))
    }

    fn name_of(&self, row: RowNumber) -> io::Result<String> {
        let row = self.number_of(row)?;
        let names = self.files();
        if names.len() < 2 {
            return Ok(format!("row {row}"));
        }
        let place = self.place_in_original(row);
        let name = names.get(place.file).map_or("", String::as_str);
        Ok(format!("row {} of {name}", place.row))
    }
}

/// One of several files of a source, for a summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePart {
    /// Where it is.
    pub path: PathBuf,
    /// What it is called in `bulkhaul__Source`.
    pub shown: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The number of its last row, counted over all files; `None` if that was
    /// not found out.
    pub end: Option<u64>,
}

/// The files of a source that has several; nothing for one of a single file.
pub fn file_parts(record: &SourceRecord) -> Vec<FilePart> {
    if record.files.len() < 2 {
        return Vec::new();
    }
    let mut end = Some(0);
    record
        .files
        .iter()
        .map(|file| {
            end = end.and_then(|end| Some(end + file.rows?));
            let shown = file.about.pointer("/named/shown").and_then(serde_json::Value::as_str);
            FilePart {
                path: file.path.clone(),
                shown: shown.unwrap_or_default().to_owned(),
                bytes: file.bytes,
                end,
            }
        })
        .collect()
}
