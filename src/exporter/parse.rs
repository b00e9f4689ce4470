//! Blocks of records to what is written of them, without any state: several
//! are worked at once, and beside the writing.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use rayon::prelude::*;

use super::column::{self, Column};
use super::output::{Format, Unfit};
use super::partition::Partition;
use super::{ExportError, Marks, ValueFault, batch, text_file};
use crate::rows::{Cells, RawBatch, nth_cell};

/// Reads blocks for files of one kind.
#[derive(Debug, Clone)]
pub struct Parser {
    columns: Arc<[Column]>,
    schema: SchemaRef,
    format: Format,
    /// The partition, and where its column stands.
    partition: Option<(Partition, usize)>,
    /// Whether records may go into many folders.
    many_folders: bool,
}

/// Records, ready to be written.
#[derive(Debug, Default)]
pub struct Parsed {
    /// Pieces in the order of the records, those of one folder together.
    pub(super) pieces: Vec<Piece>,
    /// Values that had no place in their columns.
    pub unfit: Vec<Unfit>,
    /// Records.
    pub rows: u64,
}

/// Records of one folder.
#[derive(Debug)]
pub(super) struct Piece {
    /// The folder below that of the object; empty without a partition.
    pub(super) folder: String,
    pub(super) content: Content,
    pub(super) rows: u64,
    pub(super) marks: Marks,
}

#[derive(Debug)]
pub(super) enum Content {
    Columns(RecordBatch),
    Text(Vec<u8>),
}

impl Parser {
    /// For these columns. `about` is written into each Parquet file.
    ///
    /// # Errors
    /// [`ExportError::Schema`] when the partition's column is none of them, or
    /// no date where a part of one is asked for.
    pub fn new(
        columns: Vec<Column>,
        about: HashMap<String, String>,
        format: Format,
        partition: Option<Partition>,
    ) -> Result<Self, ExportError> {
        let partition = match partition {
            Some(mut partition) => {
                let place = partition.place(&columns).ok_or_else(|| {
                    ExportError::Schema(format!(
                        "there is no column {} to make folders by",
                        partition.field
                    ))
                })?;
                // Folders are named as the org names the field.
                partition.field.clone_from(&columns[place].name);
                Some((partition, place))
            }
            None => None,
        };
        let schema = column::schema(&columns, about);
        let many_folders = partition.is_some();
        Ok(Parser { columns: columns.into(), schema, format, partition, many_folders })
    }

    /// The same for records that lie in many folders already.
    pub(super) fn of_many_folders(self) -> Self {
        Parser { many_folders: true, ..self }
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The schema of Parquet files.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What the files are.
    pub fn format(&self) -> Format {
        self.format
    }

    pub(super) fn has_many_folders(&self) -> bool {
        self.many_folders
    }

    /// Reads blocks side by side; their order is kept.
    ///
    /// # Errors
    /// [`ExportError::Schema`].
    pub fn parse(&self, blocks: &[RawBatch]) -> Result<Parsed, ExportError> {
        let each: Vec<Parsed> =
            blocks.par_iter().map(|block| self.block(block)).collect::<Result<_, _>>()?;
        let mut all = Parsed::default();
        for parsed in each {
            all.rows += parsed.rows;
            all.pieces.extend(parsed.pieces);
            all.unfit.extend(parsed.unfit);
        }
        // A stable sort: the records of a folder stay in their order.
        all.pieces.sort_by(|a, b| a.folder.cmp(&b.folder));
        Ok(all)
    }

    fn block(&self, block: &RawBatch) -> Result<Parsed, ExportError> {
        let mut parsed = Parsed { rows: block.records.len() as u64, ..Parsed::default() };
        let Some((partition, place)) = &self.partition else {
            let piece = self.piece(String::new(), block, &mut parsed.unfit)?;
            parsed.pieces.push(piece);
            return Ok(parsed);
        };
        for (folder, block) in spread(block, partition, *place) {
            let piece = self.piece(folder, &block, &mut parsed.unfit)?;
            parsed.pieces.push(piece);
        }
        Ok(parsed)
    }

    fn piece(
        &self,
        folder: String,
        block: &RawBatch,
        unfit: &mut Vec<Unfit>,
    ) -> Result<Piece, ExportError> {
        let (content, faults, marks) = match self.format {
            Format::Parquet => {
                let read = batch::columns(block, &self.columns, &self.schema)?;
                (Content::Columns(read.batch), read.faults, read.marks)
            }
            Format::Csv => {
                let text = text_file::csv(block, &self.columns);
                (Content::Text(text.bytes), text.faults, text.marks)
            }
            Format::Jsonl => {
                let text = text_file::json_lines(block, &self.columns);
                (Content::Text(text.bytes), text.faults, text.marks)
            }
        };
        unfit.extend(named(block, &self.columns, faults));
        Ok(Piece { folder, content, rows: block.records.len() as u64, marks })
    }
}

/// The records of a block by their folders. The bytes are shared.
fn spread(block: &RawBatch, partition: &Partition, place: usize) -> Vec<(String, RawBatch)> {
    let dialect = super::page::DIALECT;
    let mut at: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut folders: Vec<(String, RawBatch)> = Vec::new();
    let mut scratch = Vec::new();
    for record in &block.records {
        let cell = nth_cell(block.record(record), dialect.delimiter, dialect.quote, place);
        let text = cell.as_ref().map_or(&[][..], |cell| cell.value_in(&mut scratch));
        let key = partition.key(text);
        let folder = match at.get(key) {
            Some(known) => *known,
            None => {
                folders.push((partition.folder(key), without_records(block)));
                at.insert(key.to_vec(), folders.len() - 1);
                folders.len() - 1
            }
        };
        folders[folder].1.records.push(*record);
    }
    folders
}

/// A block without its records.
fn without_records(block: &RawBatch) -> RawBatch {
    RawBatch {
        bytes: block.bytes.clone(),
        offset: block.offset,
        unit: block.unit,
        read_bytes: block.read_bytes,
        first_row: block.first_row,
        records: Vec::new(),
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
