//! One Parquet file, written as its records come.
//!
//! The columns of a row group are encoded side by side on rayon's threads, so
//! that what is kept of a row group is its encoded and packed pages only.

use std::collections::HashSet;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMillisecondType,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves,
};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use rayon::prelude::*;

use super::ExportError;
use super::column::Column;
use super::hashing::Hashing;
use super::output::{Packing, ParquetOptions};

/// Where the bytes go.
type Sink = Hashing<BufWriter<File>>;

/// A Parquet file under way.
pub(super) struct ParquetFile {
    path: PathBuf,
    writer: SerializedFileWriter<Sink>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    options: ParquetOptions,
    /// Writers of the row group that is open, and its records.
    group: Option<(Vec<ArrowColumnWriter>, usize)>,
    groups: usize,
}

impl ParquetFile {
    pub(super) fn create(
        path: &Path,
        file: File,
        columns: &[Column],
        schema: &SchemaRef,
        sample: Option<&RecordBatch>,
        options: ParquetOptions,
    ) -> Result<Self, ExportError> {
        let failed = failed(path);
        let properties = properties(columns, schema, sample, options).map_err(&failed)?;
        let sink = Hashing::new(BufWriter::with_capacity(options.buffer, file));
        let writer = ArrowWriter::try_new_with_options(
            sink,
            SchemaRef::clone(schema),
            ArrowWriterOptions::new().with_properties(properties),
        )
        .map_err(&failed)?;
        let (writer, factory) = writer.into_serialized_writer().map_err(&failed)?;
        Ok(ParquetFile {
            path: path.to_owned(),
            writer,
            factory,
            schema: SchemaRef::clone(schema),
            options,
            group: None,
            groups: 0,
        })
    }

    /// Bytes written, and about those of the row group that is open.
    pub(super) fn bytes(&self) -> u64 {
        self.writer.bytes_written() as u64 + self.held()
    }

    /// Bytes of the row group that is open, about.
    pub(super) fn held(&self) -> u64 {
        self.group.as_ref().map_or(0, |(writers, _)| encoded(writers)) as u64
    }

    /// Takes records.
    pub(super) fn write(&mut self, batches: &[RecordBatch]) -> Result<(), ExportError> {
        let failed = failed(&self.path);
        let (mut writers, mut records) = match self.group.take() {
            Some(group) => group,
            None => (self.factory.create_column_writers(self.groups).map_err(&failed)?, 0),
        };
        // Each top-level column has one leaf: there are no structs.
        writers
            .par_iter_mut()
            .enumerate()
            .try_for_each(|(index, writer)| {
                let field = self.schema.field(index);
                for batch in batches {
                    for leaf in compute_leaves(field, batch.column(index))? {
                        writer.write(&leaf)?;
                    }
                }
                Ok(())
            })
            .map_err(&failed)?;
        records += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        let full =
            records >= self.options.group_rows || encoded(&writers) >= self.options.group_bytes;
        self.group = Some((writers, records));
        if full { self.end_group() } else { Ok(()) }
    }

    /// Ends the row group that is open, if one is.
    pub(super) fn end_group(&mut self) -> Result<(), ExportError> {
        let Some((writers, _)) = self.group.take() else { return Ok(()) };
        let failed = failed(&self.path);
        let chunks: Result<Vec<_>, _> =
            writers.into_par_iter().map(ArrowColumnWriter::close).collect();
        let mut group = self.writer.next_row_group().map_err(&failed)?;
        for chunk in chunks.map_err(&failed)? {
            chunk.append_to_row_group(&mut group).map_err(&failed)?;
        }
        group.close().map_err(&failed)?;
        self.groups += 1;
        Ok(())
    }

    /// Ends the file: the file itself, its bytes, and their SHA-256.
    pub(super) fn finish(mut self) -> Result<(File, u64, String), ExportError> {
        self.end_group()?;
        let path = self.path;
        let sink = self.writer.into_inner().map_err(failed(&path))?;
        let (buffer, bytes, digest) = sink.finish();
        let file = buffer
            .into_inner()
            .map_err(|error| ExportError::io(&path, "written")(error.into_error()))?;
        Ok((file, bytes, digest))
    }
}

/// Bytes that the pages of an open row group take so far.
fn encoded(writers: &[ArrowColumnWriter]) -> usize {
    writers.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum()
}

fn failed(path: &Path) -> impl Fn(ParquetError) -> ExportError + use<> {
    let path = path.to_owned();
    move |source| match source {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(source) => {
                ExportError::Io { path: path.clone(), action: "written", source: *source }
            }
            Err(inner) => ExportError::Parquet {
                path: path.clone(),
                action: "written",
                source: ParquetError::External(inner),
            },
        },
        source => ExportError::Parquet { path: path.clone(), action: "written", source },
    }
}

fn properties(
    columns: &[Column],
    schema: &SchemaRef,
    sample: Option<&RecordBatch>,
    options: ParquetOptions,
) -> Result<WriterProperties, ParquetError> {
    let compression = match options.packing {
        Packing::None => Compression::UNCOMPRESSED,
        Packing::Gzip => Compression::GZIP(parquet::basic::GzipLevel::default()),
        Packing::Zstd => Compression::ZSTD(ZstdLevel::try_new(options.zstd_level)?),
    };
    let mut about: Vec<KeyValue> = schema
        .metadata()
        .iter()
        .map(|(key, value)| KeyValue::new(key.clone(), value.clone()))
        .collect();
    about.sort_by(|a, b| a.key.cmp(&b.key));
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("bulkhaul ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(compression)
        // For readers that know nothing of Arrow's schema.
        .set_key_value_metadata(Some(about))
        .set_max_row_group_row_count(None);
    for (place, column) in columns.iter().enumerate() {
        let path = ColumnPath::new(vec![column.name.clone()]);
        // A dictionary of values that hardly repeat costs more than all else.
        let repeats = column.repeats()
            || sample.is_some_and(|batch| repeats(batch.column(place), options.group_rows));
        properties = properties.set_column_dictionary_enabled(path.clone(), repeats);
        if options.bloom_on_id && column.is_id() {
            properties = properties.set_column_bloom_filter_enabled(path, true);
        }
    }
    Ok(properties.build())
}

/// Whether a column's values repeat often enough for a dictionary, by how often
/// the first ones do: of `n` values out of `d` distinct ones, about `n² / 2d`
/// have come before.
fn repeats(values: &dyn Array, group_rows: usize) -> bool {
    /// So few are no sample.
    const FEWEST: usize = 500;
    /// Distinct numbers, which take little room without a dictionary.
    const NUMBERS: usize = 4_000;
    /// Bytes of distinct texts: about what a dictionary's page takes.
    const TEXTS: usize = 640 << 10;
    let there = values.len() - values.null_count();
    if there < FEWEST {
        return false;
    }
    let (distinct, most) = match values.data_type() {
        DataType::Utf8 => {
            let texts = values.as_string::<i32>();
            let each = (texts.value_data().len() / there).max(1);
            (distinct(texts.iter()), (TEXTS / each).min(group_rows / 8))
        }
        DataType::Int32 => (distinct(values.as_primitive::<Int32Type>().iter()), NUMBERS),
        DataType::Int64 => (distinct(values.as_primitive::<Int64Type>().iter()), NUMBERS),
        DataType::Date32 => (distinct(values.as_primitive::<Date32Type>().iter()), NUMBERS),
        DataType::Float64 => {
            let bits = values.as_primitive::<Float64Type>().iter().map(|v| v.map(f64::to_bits));
            (distinct(bits), NUMBERS)
        }
        DataType::Decimal128(..) => {
            (distinct(values.as_primitive::<Decimal128Type>().iter()), NUMBERS)
        }
        DataType::Timestamp(..) => {
            (distinct(values.as_primitive::<TimestampMillisecondType>().iter()), NUMBERS)
        }
        _ => return false,
    };
    let again = there - distinct;
    again > 0 && there.saturating_mul(there) / (2 * again) <= most
}

fn distinct<T: std::hash::Hash + Eq>(values: impl Iterator<Item = Option<T>>) -> usize {
    values.flatten().collect::<HashSet<T>>().len()
}
