//! A row of files of one kind, rolled by size.
//!
//! A file is written under a name that ends in `.incomplete`, synced, and gets
//! its own name when it is whole: what has its own name can be relied on.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use arrow_schema::SchemaRef;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::column::{self, Column};
use super::marks::Marks;
use super::parquet_file::ParquetFile;
use super::text_file::{self, Text, TextFile};
use super::{ExportError, ValueFault, batch};
use crate::rows::{Cells, RawBatch, private_file, sync_folder};

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

/// The files of one object, or of a part of it.
pub struct Output {
    /// The archive's folder.
    root: PathBuf,
    /// Folder of the files, relative to `root`.
    folder: String,
    /// What their names begin with.
    stem: String,
    columns: Vec<Column>,
    schema: SchemaRef,
    options: OutputOptions,
    next: u32,
    open: Option<(Open, FileFacts)>,
}

impl Output {
    /// Files `<root>/<folder>/<stem>-00001.<extension>` and so on, beginning
    /// with number `next`. `about` is written into each Parquet file.
    pub fn new(
        root: &Path,
        folder: &str,
        stem: &str,
        columns: Vec<Column>,
        about: HashMap<String, String>,
        options: OutputOptions,
        next: u32,
    ) -> Self {
        let schema = column::schema(&columns, about);
        Output {
            root: root.to_owned(),
            folder: folder.to_owned(),
            stem: stem.to_owned(),
            columns,
            schema,
            options,
            next,
            open: None,
        }
    }

    /// The columns of its files.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Whether the file that is open has its size.
    pub fn is_full(&self) -> bool {
        self.open.as_ref().is_some_and(|(open, _)| {
            let bytes = match open {
                Open::Parquet(file) => file.bytes(),
                Open::Text(file) => file.bytes(),
            };
            bytes >= self.options.file_bytes
        })
    }

    /// Writes blocks of records in their order, and tells what had no place.
    /// All of them are worked at once: they bound the memory it takes.
    ///
    /// # Errors
    /// [`ExportError`]; the file that is open is of no use then.
    pub fn write(&mut self, blocks: &[RawBatch]) -> Result<Vec<Unfit>, ExportError> {
        self.begin()?;
        let Some((open, facts)) = &mut self.open else { return Ok(Vec::new()) };
        let mut unfit = Vec::new();
        let (columns, schema) = (&self.columns, &self.schema);
        match open {
            Open::Parquet(file) => {
                let read: Vec<batch::Columns> = blocks
                    .par_iter()
                    .map(|block| batch::columns(block, columns, schema))
                    .collect::<Result<_, _>>()?;
                let mut batches = Vec::with_capacity(read.len());
                for (block, read) in blocks.iter().zip(read) {
                    facts.marks.join(&read.marks);
                    unfit.extend(named(block, columns, read.faults));
                    batches.push(read.batch);
                }
                file.write(&batches)?;
            }
            Open::Text(file) => {
                let text: fn(&RawBatch, &[Column]) -> Text = match self.options.format {
                    Format::Jsonl => text_file::json_lines,
                    _ => text_file::csv,
                };
                let texts: Vec<Text> =
                    blocks.par_iter().map(|block| text(block, columns)).collect();
                for (block, text) in blocks.iter().zip(texts) {
                    facts.marks.join(&text.marks);
                    unfit.extend(named(block, columns, text.faults));
                    file.write(&text.bytes)?;
                }
            }
        }
        facts.rows += blocks.iter().map(|block| block.records.len() as u64).sum::<u64>();
        Ok(unfit)
    }

    /// Opens a file if none is: for no records, too.
    ///
    /// # Errors
    /// [`ExportError`] when the file can't be made.
    pub fn begin(&mut self) -> Result<(), ExportError> {
        if self.open.is_some() {
            return Ok(());
        }
        let extension = self.options.format.extension(self.options.packing);
        let path = format!("{}/{}-{:05}.{extension}", self.folder, self.stem, self.next);
        let on_the_way = self.incomplete(&path);
        let file = private_file(&on_the_way).map_err(ExportError::io(&on_the_way, "written"))?;
        let options = self.options;
        let open = match options.format {
            Format::Parquet => {
                let options = ParquetOptions {
                    packing: options.packing,
                    zstd_level: options.zstd_level,
                    group_rows: options.group_rows,
                    group_bytes: options.group_bytes,
                    bloom_on_id: options.bloom_on_id,
                };
                let made =
                    ParquetFile::create(&on_the_way, file, &self.columns, &self.schema, options)?;
                Open::Parquet(Box::new(made))
            }
            format => {
                let mut made =
                    TextFile::create(&on_the_way, file, options.packing, options.zstd_level)?;
                if format == Format::Csv {
                    made.write(&text_file::csv_header(&self.columns))?;
                }
                Open::Text(Box::new(made))
            }
        };
        let facts =
            FileFacts { path, rows: 0, bytes: 0, sha256: String::new(), marks: Marks::default() };
        self.open = Some((open, facts));
        Ok(())
    }

    /// Ends the file that is open, if one is: synced, and under its own name.
    ///
    /// # Errors
    /// [`ExportError`] when it can't be written to its end.
    pub fn finish_file(&mut self) -> Result<Option<FileFacts>, ExportError> {
        let Some((open, mut facts)) = self.open.take() else { return Ok(None) };
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
        self.next += 1;
        facts.bytes = bytes;
        facts.sha256 = sha256;
        Ok(Some(facts))
    }

    fn incomplete(&self, path: &str) -> PathBuf {
        self.root.join(format!("{path}.incomplete"))
    }
}

/// The faults of a block, by the ids of their records.
fn named(block: &RawBatch, columns: &[Column], faults: Vec<ValueFault>) -> Vec<Unfit> {
    let id_at = columns.iter().position(Column::is_id);
    faults
        .into_iter()
        .map(|fault| {
            let id = id_at.zip(block.records.get(fault.record)).and_then(|(at, record)| {
                let dialect = super::page::DIALECT;
                Cells::new(block.record(record), dialect.delimiter, dialect.quote).nth(at)
            });
            Unfit {
                id: id
                    .map(|cell| String::from_utf8_lossy(&cell.value()).into_owned())
                    .unwrap_or_default(),
                column: columns.get(fault.column).map(|c| c.name.clone()).unwrap_or_default(),
                fault,
            }
        })
        .collect()
}
