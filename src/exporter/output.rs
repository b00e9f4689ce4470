//! Files of one kind, rolled by size: one at a time, or one for each folder of
//! a partition.
//!
//! A file is written under a name that ends in `.incomplete`, synced, and gets
//! its own name when it is whole: what has its own name can be relied on. All
//! files that are open end together, so that there is one place in the records
//! up to which everything is in whole files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::marks::Marks;
use super::parquet_file::ParquetFile;
use super::parse::{Content, Parsed, Parser};
use super::text_file::{self, TextFile};
use super::{ExportError, ValueFault};
use crate::rows::{private_file, private_folder, sync_folder};

/// How the name of a file ends that is not whole yet.
pub const INCOMPLETE: &str = ".incomplete";

/// Bytes gathered before they are written.
const BUFFER: usize = 256 << 10;

/// The same, where many files may be open.
const SMALL_BUFFER: usize = 16 << 10;

/// Files open at a time at most: below what a process may have open.
const MOST_OPEN: usize = 400;

/// Bytes of all open files, as a multiple of what one may have, at which they
/// end though none of them is full: what a crash may cost.
const ALL_OPEN: u64 = 4;

/// Encoded bytes of all open row groups at most (I6).
const GROUPS: u64 = 128 << 20;

/// What the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Apache Parquet, typed.
    #[default]
    Parquet,
    /// CSV with the org's own text of every value.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl Format {
    /// How names of such files end, packed like that.
    pub const fn extension(self, packing: Packing) -> &'static str {
        match (self, packing) {
            (Format::Parquet, _) => "parquet",
            (Format::Csv, Packing::None) => "csv",
            (Format::Csv, Packing::Gzip) => "csv.gz",
            (Format::Csv, Packing::Zstd) => "csv.zst",
            (Format::Jsonl, Packing::None) => "jsonl",
            (Format::Jsonl, Packing::Gzip) => "jsonl.gz",
            (Format::Jsonl, Packing::Zstd) => "jsonl.zst",
        }
    }
}

/// How files are packed; in Parquet their pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// How Parquet files are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParquetOptions {
    /// How pages are packed.
    pub packing: Packing,
    /// Level of Zstandard, 1 to 22.
    pub zstd_level: i32,
    /// Records of a row group, at most about.
    pub group_rows: usize,
    /// Encoded bytes of a row group, at most about.
    pub group_bytes: usize,
    /// Whether the ids have a bloom filter.
    pub bloom_on_id: bool,
    /// Bytes gathered before they are written.
    pub buffer: usize,
}

/// How files are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputOptions {
    /// What they are.
    pub format: Format,
    /// How they are packed.
    pub packing: Packing,
    /// Level of Zstandard, 1 to 22.
    pub zstd_level: i32,
    /// Bytes of a file, at most about.
    pub file_bytes: u64,
    /// Records of a row group, at most about.
    pub group_rows: usize,
    /// Encoded bytes of a row group, at most about.
    pub group_bytes: usize,
    /// Whether the ids have a bloom filter.
    pub bloom_on_id: bool,
}

impl Default for OutputOptions {
    fn default() -> Self {
        OutputOptions {
            format: Format::Parquet,
            packing: Packing::Zstd,
            zstd_level: 3,
            file_bytes: 512 << 20,
            group_rows: 250_000,
            group_bytes: 64 << 20,
            bloom_on_id: false,
        }
    }
}

/// A file that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Its name, relative to the archive.
    pub path: String,
    /// Records in it.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// The range its records lie in.
    #[serde(flatten)]
    pub marks: Marks,
}

/// A value that has no place in its column, by its record's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// The record's id; empty where no id was queried.
    pub id: String,
    /// The column.
    pub column: String,
    /// Why it has none, and what it is.
    pub fault: ValueFault,
}

enum Open {
    Parquet(Box<ParquetFile>),
    Text(Box<TextFile>),
}

impl Open {
    /// Bytes so far, about.
    fn bytes(&self) -> u64 {
        match self {
            Open::Parquet(file) => file.bytes(),
            Open::Text(file) => file.bytes(),
        }
    }

    /// Bytes of them that are in memory.
    fn held(&self) -> u64 {
        match self {
            Open::Parquet(file) => file.held(),
            Open::Text(_) => 0,
        }
    }
}

/// The files of one object, or of a part of it.
pub struct Output {
    /// The archive's folder.
    root: PathBuf,
    /// Folder of the files, relative to `root`.
    folder: String,
    /// What their names begin with.
    stem: String,
    parser: Parser,
    options: OutputOptions,
    next: u32,
    /// The files that are open, by their folders.
    open: BTreeMap<String, (Open, FileFacts)>,
}

impl Output {
    /// Files `<root>/<folder>/<stem>-00001.<extension>` and so on, beginning
    /// with number `next`, of what `parser` reads.
    pub fn new(
        root: &Path,
        folder: &str,
        stem: &str,
        parser: Parser,
        options: OutputOptions,
        next: u32,
    ) -> Self {
        Output {
            root: root.to_owned(),
            folder: folder.to_owned(),
            stem: stem.to_owned(),
            parser,
            options,
            next,
            open: BTreeMap::new(),
        }
    }

    /// What reads blocks for it.
    pub fn parser(&self) -> &Parser {
        &self.parser
    }

    /// Whether a file that is open has its size, or all of them together.
    pub fn is_full(&self) -> bool {
        let each = || self.open.values().map(|(open, _)| open.bytes());
        self.open.len() >= MOST_OPEN
            || each().any(|bytes| bytes >= self.options.file_bytes)
            || each().sum::<u64>() >= self.options.file_bytes.saturating_mul(ALL_OPEN)
    }

    /// Writes records in their order.
    ///
    /// # Errors
    /// [`ExportError`]; the files that are open are of no use then.
    pub fn write(&mut self, parsed: Parsed) -> Result<(), ExportError> {
        let mut pieces = parsed.pieces.into_iter().peekable();
        while let Some(first) = pieces.next() {
            self.open(&first.folder, Some(&first.content))?;
            let Some((open, facts)) = self.open.get_mut(&first.folder) else { continue };
            let (mut batches, folder) = (Vec::new(), first.folder.clone());
            // What goes into one file goes at once: its columns are encoded
            // side by side.
            let mut next = Some(first);
            while let Some(piece) = next {
                facts.rows += piece.rows;
                facts.marks.join(&piece.marks);
                match (&mut *open, piece.content) {
                    (Open::Text(file), Content::Text(text)) => file.write(&text)?,
                    (_, Content::Columns(batch)) => batches.push(batch),
                    (Open::Parquet(_), Content::Text(_)) => {}
                }
                next = pieces.next_if(|piece| piece.folder == folder);
            }
            if let Open::Parquet(file) = open {
                file.write(&batches)?;
            }
        }
        self.relieve()
    }

    /// Ends the largest row groups while all of them take too much memory.
    fn relieve(&mut self) -> Result<(), ExportError> {
        if self.open.len() < 2 {
            return Ok(());
        }
        loop {
            let held: u64 = self.open.values().map(|(open, _)| open.held()).sum();
            if held <= GROUPS {
                return Ok(());
            }
            let largest = self.open.values_mut().max_by_key(|(open, _)| open.held());
            if let Some((Open::Parquet(file), _)) = largest {
                file.end_group()?;
            }
        }
    }

    /// Opens a file if none is: for no records, too.
    ///
    /// # Errors
    /// [`ExportError`] when the file can't be made.
    pub fn begin(&mut self) -> Result<(), ExportError> {
        if self.open.is_empty() { self.open("", None) } else { Ok(()) }
    }

    /// Opens the file of a folder if none is. Of what comes first it learns how
    /// it is best written.
    fn open(&mut self, below: &str, first: Option<&Content>) -> Result<(), ExportError> {
        if self.open.contains_key(below) {
            return Ok(());
        }
        let extension = self.parser.format().extension(self.options.packing);
        let mut folder = self.folder.clone();
        if !below.is_empty() {
            folder = format!("{folder}/{below}");
            let made = self.root.join(&folder);
            private_folder(&made)
                .and_then(|()| sync_folder(&made))
                .map_err(ExportError::io(&made, "written"))?;
        }
        let path = format!("{folder}/{}-{:05}.{extension}", self.stem, self.next);
        let on_the_way = self.incomplete(&path);
        let file = private_file(&on_the_way).map_err(ExportError::io(&on_the_way, "written"))?;
        let options = self.options;
        let buffer = if self.parser.has_many_folders() { SMALL_BUFFER } else { BUFFER };
        let open = match self.parser.format() {
            Format::Parquet => {
                let options = ParquetOptions {
                    packing: options.packing,
                    zstd_level: options.zstd_level,
                    group_rows: options.group_rows,
                    group_bytes: options.group_bytes,
                    bloom_on_id: options.bloom_on_id,
                    buffer,
                };
                let (columns, schema) = (self.parser.columns(), self.parser.schema());
                let sample = match first {
                    Some(Content::Columns(batch)) => Some(batch),
                    _ => None,
                };
                let made =
                    ParquetFile::create(&on_the_way, file, columns, schema, sample, options)?;
                Open::Parquet(Box::new(made))
            }
            format => {
                let (packing, level) = (options.packing, options.zstd_level);
                let mut made = TextFile::create(&on_the_way, file, packing, level, buffer)?;
                if format == Format::Csv {
                    made.write(&text_file::csv_header(self.parser.columns()))?;
                }
                Open::Text(Box::new(made))
            }
        };
        let facts =
            FileFacts { path, rows: 0, bytes: 0, sha256: String::new(), marks: Marks::default() };
        self.next += 1;
        self.open.insert(below.to_owned(), (open, facts));
        Ok(())
    }

    /// Ends the files that are open: synced, and under their own names.
    ///
    /// # Errors
    /// [`ExportError`] when one can't be written to its end.
    pub fn finish_files(&mut self) -> Result<Vec<FileFacts>, ExportError> {
        let mut whole = Vec::with_capacity(self.open.len());
        for (open, mut facts) in std::mem::take(&mut self.open).into_values() {
            let on_the_way = self.incomplete(&facts.path);
            let path = self.root.join(&facts.path);
            let (file, bytes, sha256) = match open {
                Open::Parquet(file) => file.finish()?,
                Open::Text(file) => file.finish()?,
            };
            let failed = || ExportError::io(&path, "written");
            file.sync_all().map_err(failed())?;
            std::fs::rename(&on_the_way, &path).map_err(failed())?;
            sync_folder(&path).map_err(failed())?;
            facts.bytes = bytes;
            facts.sha256 = sha256;
            whole.push(facts);
        }
        // In the order they were begun in.
        whole.sort_by(|a, b| name_of(&a.path).cmp(name_of(&b.path)));
        Ok(whole)
    }

    fn incomplete(&self, path: &str) -> PathBuf {
        self.root.join(format!("{path}{INCOMPLETE}"))
    }
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
