//! A source: one file or several, of whatever format, as rows that can be read
//! again from any place.
//!
//! A position in a source has the number of the file in its upper bits and the
//! place in the file in its lower ones: a byte where the bytes of the file go
//! as they stand, a row (from 0) where its text is made while it is read. So
//! positions ascend over the files, those of a single plain file are its
//! bytes, and whatever a run wrote down of one leads back to the same row.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::blocks::Cursor;
use super::discover::{self, NamedFile};
use super::file::{self, Body, FileFormat, SourceFile};
use super::identity::SourceIdentity;
use super::layout;
use super::options::SourceOptions;
use crate::domain::{LineEnding, RowNumber, RowPlace};
use crate::rows::{
    BLOCK_BYTES, Dialect, PositionUnit, RawBatch, RowNames, RowStream, SourceError, SourceRows,
    Stretch, write_record,
};

/// Bits of a position that tell the place in its file: 256 terabytes.
const FILE_SHIFT: u32 = 48;
const IN_FILE: u64 = (1 << FILE_SHIFT) - 1;

/// How text is written that is made here.
pub(super) const RENDERED: Dialect =
    Dialect { delimiter: b',', quote: b'"', line_ending: LineEnding::Lf };

/// Places in files that are kept open for whoever goes on from there: the
/// planner and the writer of result files, each at its own.
const PARKED: usize = 2;

/// A file of a source as a run keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownFile {
    /// Where it is and what it is called.
    pub named: NamedFile,
    /// What it is known by.
    pub identity: SourceIdentity,
    /// What it is.
    pub format: FileFormat,
    /// Its rows, once they were counted.
    pub rows: Option<u64>,
}

/// Rows of one or several files. Cheap to clone.
#[derive(Clone)]
pub struct Source(Arc<Inner>);

struct Inner {
    name: PathBuf,
    files: Vec<SourceFile>,
    header: Vec<String>,
    dialect: Dialect,
    identity: SourceIdentity,
    notes: Vec<String>,
    block_bytes: usize,
    /// Rows up to the end of each file, as far as they were counted.
    ends: Mutex<Vec<u64>>,
    parked: Mutex<Vec<(usize, Cursor)>>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("files", &self.0.files).finish_non_exhaustive()
    }
}

impl Source {
    /// Opens what a person named: files, patterns, folders.
    ///
    /// # Errors
    /// [`SourceError`] when there is nothing to read, a file can't be read, or
    /// the files don't have the same columns.
    pub fn open(arguments: &[PathBuf], options: &SourceOptions) -> Result<Self, SourceError> {
        let named = discover::find(arguments)?;
        let name = match arguments {
            [one] => one.clone(),
            _ => named.first().map(|file| file.path.clone()).unwrap_or_default(),
        };
        let mut files = Vec::with_capacity(named.len());
        let mut notes = Vec::new();
        for named in &named {
            let (file, note) = file::open(named, options)?;
            files.push(file);
            notes.extend(note);
        }
        Self::of(name, files, notes)
    }

    /// Opens a single file under another name than its own.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn open_as(path: &Path, shown: &str, options: &SourceOptions) -> Result<Self, SourceError> {
        let named =
            NamedFile { path: path.to_owned(), shown: shown.to_owned(), partitions: Vec::new() };
        let (file, note) = file::open(&named, options)?;
        Self::of(path.to_owned(), vec![file], note.into_iter().collect())
    }

    /// Opens files as they were found before.
    ///
    /// # Errors
    /// As [`Source::open`]. Whether they are the same is the caller's to see
    /// ([`Source::files`]).
    pub fn reopen(known: &[KnownFile], options: &SourceOptions) -> Result<Self, SourceError> {
        let mut files = Vec::with_capacity(known.len());
        for known in known {
            let (file, _) = file::open(&known.named, &known.format.options(options))?;
            files.push(file);
        }
        let name = files.first().map(|file| file.path().to_owned()).unwrap_or_default();
        let source = Self::of(name, files, Vec::new())?;
        for (at, known) in known.iter().enumerate() {
            match known.rows {
                Some(rows) => source.0.counted(at, rows),
                None => break,
            }
        }
        Ok(source)
    }

    /// A plain CSV file of our own.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn open_own(path: &Path, dialect: Dialect) -> Result<Self, SourceError> {
        let options = SourceOptions {
            delimiter: Some(dialect.delimiter),
            quote: Some(dialect.quote),
            encoding: Some(encoding_rs::UTF_8.name().to_owned()),
            ..SourceOptions::default()
        };
        let shown = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self::open_as(path, &shown, &options)
    }

    fn of(
        name: PathBuf,
        mut files: Vec<SourceFile>,
        notes: Vec<String>,
    ) -> Result<Self, SourceError> {
        let Some(first) = files.first() else {
            let reason = "no file was named".to_owned();
            return Err(SourceError::NoSource { reason, hint: None });
        };
        let is_parquet = |file: &SourceFile| file.format == FileFormat::Parquet;
        if let Some(other) = files.iter().find(|file| is_parquet(file) != is_parquet(first)) {
            return Err(SourceError::OtherColumns {
                path: other.path().to_owned(),
                reason: format!(
                    "it is a {} file, and {} is none; load them apart",
                    if is_parquet(other) { "Parquet" } else { "CSV" },
                    first.path().display()
                ),
            });
        }
        let mut header = first.header().to_vec();
        for (column, _) in &first.named.partitions {
            if !header.contains(column) {
                header.push(column.clone());
            }
        }
        let own = first.dialect();
        let as_it_stands = own.quote == b'"'
            || files.iter().all(|file| {
                let dialect = file.dialect();
                matches!(file.body, Body::Plain(_))
                    && file.header() == header
                    && (dialect.delimiter, dialect.quote) == (own.delimiter, own.quote)
            });
        let dialect = if as_it_stands { own } else { Dialect { quote: b'"', ..own } };
        for file in &mut files {
            let places = layout::places(&header, file.header(), &file.named.partitions).map_err(
                |reason| SourceError::OtherColumns {
                    path: file.path().to_owned(),
                    reason: format!("the header is not that of the first file: {reason}"),
                },
            )?;
            file.laid_out(dialect, places);
        }
        let identity = match files.as_slice() {
            [one] => one.identity.clone(),
            files => SourceIdentity::of_all(files.iter().map(|file| &file.identity)),
        };
        let mut ends = Vec::new();
        for file in &files {
            let Some(rows) = file.known_rows() else { break };
            ends.push(ends.last().copied().unwrap_or(0) + rows);
        }
        Ok(Source(Arc::new(Inner {
            name,
            files,
            header,
            dialect,
            identity,
            notes,
            block_bytes: BLOCK_BYTES,
            ends: Mutex::new(ends),
            parked: Mutex::default(),
        })))
    }

    /// What the user named: the file, or the folder or pattern.
    pub fn path(&self) -> &Path {
        &self.0.name
    }

    /// What it is known by: the file's own identity, or one over all files.
    pub fn identity(&self) -> &SourceIdentity {
        &self.0.identity
    }

    /// Its files, with their rows where these were counted.
    pub fn files(&self) -> Vec<KnownFile> {
        let ends = self.0.ends();
        let known = |(at, file): (usize, &SourceFile)| KnownFile {
            named: file.named.clone(),
            identity: file.identity.clone(),
            format: file.format.clone(),
            rows: ends.get(at).map(|end| end - at.checked_sub(1).map_or(0, |at| ends[at])),
        };
        self.0.files.iter().enumerate().map(known).collect()
    }

    /// What the files are called in `bulkhaul__Source`.
    pub fn names(&self) -> Vec<String> {
        self.0.files.iter().map(|file| file.named.shown.clone()).collect()
    }

    /// What a person should know of the files before they are loaded.
    pub fn notes(&self) -> &[String] {
        &self.0.notes
    }

    /// Types of its columns in words, where the files tell them.
    pub fn column_types(&self) -> Option<Vec<String>> {
        let first = self.0.files.first()?;
        let Body::Parquet { file, .. } = &first.body else { return None };
        let own = file.types();
        let type_of = |name: &String| {
            let at = file.header().iter().position(|column| column == name);
            at.and_then(|at| own.get(at).cloned()).unwrap_or_else(|| "partition".to_owned())
        };
        Some(self.0.header.iter().map(type_of).collect())
    }

    /// Its rows, where they are known without reading it.
    pub fn known_rows(&self) -> Option<u64> {
        self.0.files.iter().map(SourceFile::known_rows).sum()
    }

    /// Bytes of its text, about: packed files are taken for a sixth of it.
    pub fn text_bytes(&self) -> u64 {
        let of_file = |file: &SourceFile| match &file.format {
            FileFormat::Csv { packing: super::Packing::None, .. } => file.identity.bytes,
            _ => file.identity.bytes.saturating_mul(6),
        };
        self.0.files.iter().map(of_file).sum()
    }

    /// A position behind every row.
    pub fn end(&self) -> u64 {
        let last = self.0.files.len().saturating_sub(1);
        let in_file = match self.0.files.last().map(|file| &file.body) {
            Some(Body::Plain(csv)) => csv.identity().bytes,
            _ => IN_FILE,
        };
        ((last as u64) << FILE_SHIFT) | in_file
    }

    /// Bytes of the source before a position, where that is a byte of a file
    /// whose bytes go as they stand.
    pub fn bytes_before(&self, position: u64) -> u64 {
        let file = (position >> FILE_SHIFT) as usize;
        let before: u64 = self.0.files.iter().take(file).map(|file| file.identity.bytes).sum();
        before + (position & IN_FILE)
    }

    /// Its header line as a text of the source's own dialect.
    ///
    /// # Errors
    /// [`SourceError`] when it can't be read again.
    pub fn header_text(&self) -> Result<Vec<u8>, SourceError> {
        let mut text = Vec::new();
        match self.0.files.first().map(|file| &file.body) {
            Some(Body::Plain(csv)) => {
                let path = csv.path().to_owned();
                csv.bytes(0, csv.data_start())?
                    .read_to_end(&mut text)
                    .map_err(|source| SourceError::Io { path, source })?;
            }
            _ => {
                let names = self.0.header.iter().map(String::as_bytes);
                write_record(&mut text, names, self.0.dialect.delimiter);
                text.extend_from_slice(self.0.dialect.line_ending.bytes());
            }
        }
        Ok(text)
    }

    /// Whether every file still is what it was at the opening.
    ///
    /// # Errors
    /// [`SourceError::Changed`] if not, `Io` when one is gone.
    pub fn check_unchanged(&self) -> Result<(), SourceError> {
        self.0.files.iter().try_for_each(|file| file.identity.reopen(file.path()).map(drop))
    }

    /// In which file a row is, and which row of that file. Right for rows that
    /// were read.
    pub fn place_of(&self, row: RowNumber) -> RowPlace {
        if self.0.files.len() < 2 {
            return RowPlace::of_one_file(row);
        }
        let ends = self.0.ends();
        let file = ends.partition_point(|&end| end < row.0).min(self.0.files.len() - 1);
        let before = file.checked_sub(1).and_then(|at| ends.get(at)).copied().unwrap_or(0);
        RowPlace { file, row: RowNumber(row.0.saturating_sub(before)) }
    }

    /// The row of a file, by the name it has in `bulkhaul__Source`; `None` when
    /// there is no such file, or its rows were not counted.
    pub fn row_at(&self, shown: &str, row: u64) -> Option<RowNumber> {
        let file = self.0.files.iter().position(|file| file.named.shown == shown)?;
        let ends = self.0.ends();
        let before = match file.checked_sub(1) {
            None => 0,
            Some(at) => *ends.get(at)?,
        };
        Some(RowNumber(before + row))
    }

    /// How many of its files were read to their ends, one after another.
    pub fn counted_files(&self) -> usize {
        self.0.ends().len()
    }
}

impl RowNames for Source {
    fn number_of(&self, row: RowNumber) -> std::io::Result<RowNumber> {
        Ok(row)
    }

    fn name_of(&self, row: RowNumber) -> std::io::Result<String> {
        let place = self.place_of(row);
        Ok(match self.0.files.get(place.file) {
            Some(file) if self.0.files.len() > 1 => {
                format!("row {} of {}", place.row, file.named.shown)
            }
            _ => format!("row {row}"),
        })
    }
}

impl Inner {
    fn ends(&self) -> MutexGuard<'_, Vec<u64>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parked(&self) -> MutexGuard<'_, Vec<(usize, Cursor)>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how many rows a file has.
    fn counted(&self, file: usize, rows: u64) {
        let mut ends = self.ends();
        if ends.len() == file {
            let before = ends.last().copied().unwrap_or(0);
            ends.push(before + rows);
        }
    }

    /// Notes that a file ends with the row before this one.
    fn ended(&self, file: usize, next_row: RowNumber) {
        let mut ends = self.ends();
        if ends.len() == file {
            ends.push(next_row.0.saturating_sub(1));
        }
    }

    /// A cursor at a row of a file: one that was left there, or a new one.
    fn cursor(&self, at: usize, row: u64) -> Result<Option<Cursor>, SourceError> {
        let Some(file) = self.files.get(at) else { return Ok(None) };
        let left = {
            let mut parked = self.parked();
            let found = parked.iter().position(|(file, left)| *file == at && left.at() == row);
            found.map(|found| parked.remove(found).1)
        };
        match left {
            Some(cursor) => {
                file.identity.reopen(file.path())?;
                Ok(Some(cursor))
            }
            None => file.cursor(row, self.block_bytes).map(Some),
        }
    }

    fn park(&self, file: usize, cursor: Cursor) {
        let mut parked = self.parked();
        if parked.len() >= PARKED {
            parked.remove(0);
        }
        parked.push((file, cursor));
    }
}

impl SourceRows for Source {
    fn dialect(&self) -> Dialect {
        self.0.dialect
    }

    fn header(&self) -> &[String] {
        &self.0.header
    }

    fn rows(&self, stretch: Option<Stretch>) -> Result<Box<dyn RowStream>, SourceError> {
        let stretch =
            stretch.unwrap_or(Stretch { start: 0, end: self.end(), first_row: RowNumber(1) });
        let mut rows = Rows {
            source: Arc::clone(&self.0),
            file: (stretch.start >> FILE_SHIFT) as usize,
            open: None,
            next_row: stretch.first_row,
            read_before: 0,
            end: stretch.end,
        };
        rows.read_before =
            self.0.files.iter().take(rows.file).map(|file| file.identity.bytes).sum();
        rows.open(stretch.start & IN_FILE)?;
        Ok(Box::new(rows))
    }

    fn bytes(&self, start: u64, end: u64) -> Result<Box<dyn Read + Send>, SourceError> {
        let file = (start >> FILE_SHIFT) as usize;
        match self.0.files.get(file).map(|file| &file.body) {
            Some(Body::Plain(csv)) if end >> FILE_SHIFT == start >> FILE_SHIFT => {
                csv.bytes(start & IN_FILE, end & IN_FILE)
            }
            _ => Err(SourceError::Changed { path: self.0.name.clone() }),
        }
    }
}

/// The rows of a stretch, file after file.
struct Rows {
    source: Arc<Inner>,
    file: usize,
    /// Of the file at hand; `None` behind the last.
    open: Option<Open>,
    next_row: RowNumber,
    /// Bytes of the files before this one.
    read_before: u64,
    end: u64,
}

enum Open {
    Plain(Box<dyn RowStream>),
    Made(Cursor),
}

impl Rows {
    /// Where the stretch ends in the file at hand; `None` if not in it.
    fn end_here(&self) -> Option<u64> {
        let in_file = self.end & IN_FILE;
        let is_here = (self.end >> FILE_SHIFT) as usize <= self.file && in_file != IN_FILE;
        is_here.then_some(in_file)
    }

    fn open(&mut self, start: u64) -> Result<(), SourceError> {
        self.open = None;
        if (self.end >> FILE_SHIFT) < self.file as u64 {
            return Ok(());
        }
        let Some(file) = self.source.files.get(self.file) else { return Ok(()) };
        self.open = match &file.body {
            Body::Plain(csv) => {
                let end = self.end_here();
                Some(Open::Plain(SourceFile::plain_rows(csv, start, end, self.next_row)?))
            }
            _ => self.source.cursor(self.file, start)?.map(Open::Made),
        };
        Ok(())
    }

    /// Ends the file at hand and goes on to the next one.
    fn next_file(&mut self) -> Result<(), SourceError> {
        self.source.ended(self.file, self.next_row);
        let bytes = self.source.files.get(self.file).map_or(0, |file| file.identity.bytes);
        self.read_before += bytes;
        self.file += 1;
        self.open(0)
    }

    fn batch(&mut self, mut batch: RawBatch) -> RawBatch {
        batch.offset += (self.file as u64) << FILE_SHIFT;
        batch.read_bytes += self.read_before;
        self.next_row = batch.first_row.plus(batch.records.len() as u64);
        batch
    }
}

impl RowStream for Rows {
    fn next_batch(&mut self) -> Result<Option<RawBatch>, SourceError> {
        loop {
            let end = self.end_here();
            let bytes = self.source.files.get(self.file).map_or(0, |file| file.identity.bytes);
            match &mut self.open {
                None => return Ok(None),
                Some(Open::Plain(rows)) => {
                    if let Some(batch) = rows.next_batch()? {
                        return Ok(Some(self.batch(batch)));
                    }
                    if end.is_some_and(|end| end < bytes) {
                        self.open = None;
                        return Ok(None);
                    }
                    self.next_file()?;
                }
                Some(Open::Made(cursor)) => {
                    let at = cursor.at();
                    let most = end.map_or(u64::MAX, |end| end.saturating_sub(at));
                    if most == 0 {
                        if let Some(Open::Made(cursor)) = self.open.take() {
                            self.source.park(self.file, cursor);
                        }
                        return Ok(None);
                    }
                    if let Some(block) = cursor.take(most)? {
                        let read_bytes = cursor.read_bytes();
                        let first_row = self.next_row;
                        return Ok(Some(self.batch(RawBatch {
                            bytes: block.bytes,
                            offset: at,
                            unit: PositionUnit::Rows,
                            read_bytes,
                            first_row,
                            records: block.records,
                        })));
                    }
                    if end.is_some() {
                        let path = self.source.files.get(self.file).map(SourceFile::path);
                        let path = path.unwrap_or(&self.source.name).to_owned();
                        return Err(SourceError::Changed { path });
                    }
                    self.next_file()?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
