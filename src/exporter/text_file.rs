//! One CSV or JSON Lines file, packed or not.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value as Json;

use super::column::{Column, ColumnKind};
use super::hashing::Hashing;
use super::marks::{Marked, Marks};
use super::output::Packing;
use super::page::DIALECT;
use super::{ExportError, ValueFault, Wrong, value};
use crate::rows::{Cells, RawBatch};

/// Where the bytes go.
type Sink = Hashing<BufWriter<File>>;

/// The sink, behind what packs.
enum Packer {
    None(Box<Sink>),
    Gzip(Box<GzEncoder<Sink>>),
    Zstd(Box<zstd::Encoder<'static, Sink>>),
}

/// A text file under way.
pub(super) struct TextFile {
    path: PathBuf,
    packer: Packer,
}

/// A block as text, and what is known of it.
pub(super) struct Text {
    pub(super) bytes: Vec<u8>,
    pub(super) faults: Vec<ValueFault>,
    pub(super) marks: Marks,
}

impl TextFile {
    pub(super) fn create(
        path: &Path,
        file: File,
        packing: Packing,
        zstd_level: i32,
        buffer: usize,
    ) -> Result<Self, ExportError> {
        let sink = Hashing::new(BufWriter::with_capacity(buffer, file));
        let packer = match packing {
            Packing::None => Packer::None(Box::new(sink)),
            Packing::Gzip => Packer::Gzip(Box::new(GzEncoder::new(sink, Compression::default()))),
            Packing::Zstd => Packer::Zstd(Box::new(
                zstd::Encoder::new(sink, zstd_level).map_err(ExportError::io(path, "written"))?,
            )),
        };
        Ok(TextFile { path: path.to_owned(), packer })
    }

    /// Bytes of the file so far, not counting what the packer still holds.
    pub(super) fn bytes(&self) -> u64 {
        match &self.packer {
            Packer::None(sink) => sink.bytes(),
            Packer::Gzip(packer) => packer.get_ref().bytes(),
            Packer::Zstd(packer) => packer.get_ref().bytes(),
        }
    }

    pub(super) fn write(&mut self, text: &[u8]) -> Result<(), ExportError> {
        let written = match &mut self.packer {
            Packer::None(sink) => sink.write_all(text),
            Packer::Gzip(packer) => packer.write_all(text),
            Packer::Zstd(packer) => packer.write_all(text),
        };
        written.map_err(ExportError::io(&self.path, "written"))
    }

    /// Ends the file: the file itself, its bytes, and their SHA-256.
    pub(super) fn finish(self) -> Result<(File, u64, String), ExportError> {
        let path = self.path;
        let end = || -> io::Result<(File, u64, String)> {
            let sink = match self.packer {
                Packer::None(sink) => *sink,
                Packer::Gzip(packer) => packer.finish()?,
                Packer::Zstd(packer) => packer.finish()?,
            };
            let (buffer, bytes, digest) = sink.finish();
            let file = buffer.into_inner().map_err(io::IntoInnerError::into_error)?;
            Ok((file, bytes, digest))
        };
        end().map_err(ExportError::io(&path, "written"))
    }
}

/// The header line of a CSV file.
pub(super) fn csv_header(columns: &[Column]) -> Vec<u8> {
    let mut line = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            line.push(b',');
        }
        crate::rows::write_cell(&mut line, column.name.as_bytes(), b',');
    }
    line.push(b'\n');
    line
}

/// A block as CSV: the org's own text of every value, quoted where needed.
pub(super) fn csv(block: &RawBatch, columns: &[Column]) -> Text {
    let mut out = Text {
        bytes: Vec::with_capacity(block.bytes.len()),
        faults: Vec::new(),
        marks: Marks::default(),
    };
    let marked = Marked::of(columns);
    let mut scratch = Vec::new();
    for record in &block.records {
        let cells = Cells::new(block.record(record), DIALECT.delimiter, DIALECT.quote);
        for (index, cell) in cells.enumerate() {
            out.marks.see(marked, index, &cell);
            if index > 0 {
                out.bytes.push(b',');
            }
            crate::rows::write_cell(&mut out.bytes, cell.value_in(&mut scratch), b',');
        }
        out.bytes.push(b'\n');
    }
    out
}

/// A block as JSON Lines: one object a record, typed like the columns.
pub(super) fn json_lines(block: &RawBatch, columns: &[Column]) -> Text {
    let mut out = Text {
        bytes: Vec::with_capacity(block.bytes.len() * 2),
        faults: Vec::new(),
        marks: Marks::default(),
    };
    let marked = Marked::of(columns);
    // `{"Name":` and `,"Name":`, made once.
    let names: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let opening = if index == 0 { '{' } else { ',' };
            format!("{opening}{}:", Json::String(column.name.clone()))
        })
        .collect();
    let mut scratch = Vec::new();
    for (number, record) in block.records.iter().enumerate() {
        let cells = Cells::new(block.record(record), DIALECT.delimiter, DIALECT.quote);
        for (index, (cell, (column, name))) in cells.zip(columns.iter().zip(&names)).enumerate() {
            out.marks.see(marked, index, &cell);
            out.bytes.extend_from_slice(name.as_bytes());
            let text = cell.value_in(&mut scratch);
            match json_value(text, column.kind) {
                // Writing into memory can't fail.
                Ok(value) => drop(serde_json::to_writer(&mut out.bytes, &value)),
                Err(wrong) => {
                    out.bytes.extend_from_slice(b"null");
                    let text = String::from_utf8_lossy(text).into_owned();
                    out.faults.push(ValueFault { record: number, column: index, wrong, text });
                }
            }
        }
        out.bytes.extend_from_slice(b"}\n");
    }
    out
}

fn json_value(text: &[u8], kind: ColumnKind) -> Result<Json, Wrong> {
    if text.is_empty() {
        return Ok(Json::Null);
    }
    let as_text = || Json::String(String::from_utf8_lossy(text).into_owned());
    Ok(match kind {
        ColumnKind::Text => as_text(),
        ColumnKind::Boolean => Json::Bool(value::boolean(text)?),
        ColumnKind::Int | ColumnKind::Long => Json::from(value::whole(text)?),
        ColumnKind::Double => number(value::double(text)?),
        // As text, because most readers of JSON make a double of a number.
        ColumnKind::Decimal { precision, scale } => {
            let units = value::decimal(text, u32::from(scale))?;
            if units.unsigned_abs() >= 10_u128.pow(u32::from(precision)) {
                return Err(Wrong::Fit);
            }
            Json::String(plain_decimal(units, usize::from(scale)))
        }
        ColumnKind::Date => value::date(text).map(|_| as_text())?,
        ColumnKind::DateTime => value::date_time(text).map(|_| as_text())?,
        ColumnKind::Time => value::time(text).map(|_| as_text())?,
        ColumnKind::List => String::from_utf8_lossy(text).split(';').map(Json::from).collect(),
    })
}

/// A whole number without a point, as long as every reader takes it exactly.
fn number(value: f64) -> Json {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT && (value != 0.0 || value.is_sign_positive()) {
        Json::from(value as i64)
    } else {
        Json::from(value)
    }
}

/// Units of ten to the power of minus `scale`, with all their places.
pub(super) fn plain_decimal(units: i128, scale: usize) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", units.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}
