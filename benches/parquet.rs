//! How fast Parquet files become CSV text, on one core and on all.
//!
//! Files lie in the system's cache; the bytes counted are those of the text.

#![expect(clippy::panic, reason = "a bench that can't begin must not measure nothing")]

use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use bulkhaul::generator::{Recipe, SampleObject};
use bulkhaul::reader::{ParquetFile, ParquetOptions, Place};
use bulkhaul::rows::{BLOCK_BYTES, Cells};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

fn main() {
    divan::main();
}

const ROWS: u64 = 300_000;

#[derive(Debug, Clone, Copy)]
enum Columns {
    /// Sample accounts, every column as text.
    Texts,
    /// Numbers, decimals, dates, timestamps and booleans.
    Typed,
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    columns: Columns,
    compression: Compression,
}

const fn shapes() -> [Shape; 4] {
    let snappy = Compression::SNAPPY;
    [
        Shape { columns: Columns::Texts, compression: snappy },
        Shape { columns: Columns::Typed, compression: snappy },
        Shape { columns: Columns::Texts, compression: Compression::UNCOMPRESSED },
        Shape { columns: Columns::Typed, compression: Compression::UNCOMPRESSED },
    ]
}

fn batch(columns: Columns) -> RecordBatch {
    let columns: Vec<(String, ArrayRef)> = match columns {
        Columns::Texts => texts(),
        Columns::Typed => typed(),
    };
    RecordBatch::try_from_iter(columns).unwrap_or_else(|error| panic!("{error}"))
}

fn texts() -> Vec<(String, ArrayRef)> {
    let recipe = Recipe::new(SampleObject::Account, ROWS);
    let mut text = Vec::new();
    recipe.write(&mut text, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    // Sample accounts have line breaks in cells of odd rows; those are left
    // out, for a bench needs no splitter.
    let mut lines = text.split(|&byte| byte == b'\n');
    let header: Vec<String> = Cells::new(lines.next().unwrap_or_default(), b',', b'"')
        .map(|cell| String::from_utf8_lossy(&cell.value()).into_owned())
        .collect();
    let mut cells = vec![Vec::new(); header.len()];
    for line in lines {
        let row: Vec<_> = Cells::new(line, b',', b'"').collect();
        if row.len() == header.len() {
            for (column, cell) in cells.iter_mut().zip(row) {
                column.push(String::from_utf8_lossy(&cell.value()).into_owned());
            }
        }
    }
    let array = |cells: Vec<String>| Arc::new(StringArray::from(cells)) as ArrayRef;
    header.into_iter().zip(cells.into_iter().map(array)).collect()
}

fn typed() -> Vec<(String, ArrayRef)> {
    let rows = ROWS as i64;
    let spread = |row: i64| row.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 20;
    let decimals = Decimal128Array::from_iter_values((0..rows).map(|row| i128::from(spread(row))))
        .with_precision_and_scale(18, 2)
        .unwrap_or_else(|error| panic!("{error}"));
    let moments = (0..rows).map(|row| 1_700_000_000_000_000 + spread(row));
    let floats = (0..rows).map(|row| (spread(row) % 10_000_000) as f64 / 100.0);
    let columns: [(&str, ArrayRef); 7] = [
        ("Id", Arc::new(Int64Array::from_iter_values(0..rows))),
        ("Count", Arc::new(Int64Array::from_iter_values((0..rows).map(spread)))),
        ("Amount", Arc::new(decimals)),
        ("Score", Arc::new(Float64Array::from_iter_values(floats))),
        ("Day", Arc::new(Date32Array::from_iter_values((0..rows).map(|row| row as i32 % 30_000)))),
        ("At", Arc::new(TimestampMicrosecondArray::from_iter_values(moments).with_timezone("UTC"))),
        ("Active", Arc::new((0..rows).map(|row| Some(row % 3 == 0)).collect::<BooleanArray>())),
    ];
    columns.into_iter().map(|(name, array)| (name.to_owned(), array)).collect()
}

fn write(path: &Path, shape: Shape) {
    let batch = batch(shape.columns);
    let properties = WriterProperties::builder().set_compression(shape.compression).build();
    let written =
        std::fs::File::create(path).map_err(parquet::errors::ParquetError::from).and_then(|file| {
            let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties))?;
            writer.write(&batch)?;
            writer.close()
        });
    written.unwrap_or_else(|error| panic!("{error}"));
}

/// Bytes of text and rows of a file, read to its end.
fn read(file: &ParquetFile) -> (u64, u64) {
    let layout: Vec<Place> = (0..file.header().len()).map(Place::Column).collect();
    let mut rows = file.read(0, &layout, BLOCK_BYTES).unwrap_or_else(|error| panic!("{error}"));
    let mut sum = (0, 0);
    while let Some(block) = rows.next_block().unwrap_or_else(|error| panic!("{error}")) {
        sum.0 += block.bytes.len() as u64;
        sum.1 += block.records.len() as u64;
    }
    sum
}

fn bench(bencher: Bencher, shape: Shape, threads: usize) {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let path = folder.path().join("bench.parquet");
    write(&path, shape);
    let file = ParquetFile::open(&path, &ParquetOptions::default())
        .unwrap_or_else(|error| panic!("{error}"));
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap_or_else(|error| panic!("{error}"));
    let (bytes, rows) = pool.install(|| read(&file));
    bencher
        .counter(BytesCount::new(bytes))
        .counter(ItemsCount::new(rows))
        .bench_local(|| pool.install(|| read(&file)));
}

#[divan::bench(args = shapes(), sample_count = 10)]
fn one_core(bencher: Bencher, shape: Shape) {
    bench(bencher, shape, 1);
}

#[divan::bench(args = shapes(), sample_count = 10)]
fn all_cores(bencher: Bencher, shape: Shape) {
    bench(bencher, shape, 0);
}
