//! Files of any columns in any layout, judged by a slow and obvious reading.

use std::fs::File;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{BrotliLevel, Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use proptest::prelude::*;

use super::made_columns::{Draw, Expected, KINDS, ZONE, column};
use super::*;

fn properties(draw: &mut Draw) -> WriterProperties {
    let compression = *draw.one(&[
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4_RAW,
        Compression::BROTLI(BrotliLevel::default()),
    ]);
    WriterProperties::builder()
        .set_compression(compression)
        .set_writer_version(*draw.one(&[WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0]))
        .set_dictionary_enabled(draw.below(2) == 0)
        .set_dictionary_page_size_limit(*draw.one(&[64, 1 << 20]))
        .set_data_page_row_count_limit(*draw.one(&[7, 100, 20_000]))
        .set_write_batch_size(*draw.one(&[5, 64, 1_024]))
        .set_max_row_group_row_count(Some(*draw.one(&[1, 13, 100, 100_000])))
        .set_coerce_types(draw.below(2) == 0)
        .build()
}

/// Encodings that a writer may choose for a type.
fn encodings(kind: u64) -> &'static [Encoding] {
    match kind {
        1..=8 => &[Encoding::PLAIN, Encoding::DELTA_BINARY_PACKED, Encoding::BYTE_STREAM_SPLIT],
        9 | 10 | 39 => &[Encoding::PLAIN, Encoding::BYTE_STREAM_SPLIT],
        31..=33 | 35 => {
            &[Encoding::PLAIN, Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY]
        }
        _ => &[Encoding::PLAIN],
    }
}

/// Writes a made-up file, reads it in a made-up way and judges every row.
fn judge(seed: u64) {
    let mut draw = Draw(seed);
    let rows = *draw.one(&[0, 1, 17, 200, 1_000]) as usize;
    let kinds: Vec<u64> = (0..=draw.below(6)).map(|_| draw.below(KINDS)).collect();
    let made: Vec<_> = kinds.iter().map(|&kind| column(kind, &mut draw, rows)).collect();
    let fields: Vec<Field> = made
        .iter()
        .enumerate()
        .map(|(at, (array, _))| Field::new(format!("c{at}"), array.data_type().clone(), true))
        .collect();
    let arrays = made.iter().map(|(array, _)| Arc::clone(array)).collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.parquet");
    let mut properties = properties(&mut draw).into_builder();
    for (at, &kind) in kinds.iter().enumerate() {
        let encoding = *draw.one(encodings(kind));
        properties = properties.set_column_encoding(format!("c{at}").into(), encoding);
    }
    let options = ArrowWriterOptions::new().with_properties(properties.build());
    let file = File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new_with_options(file, schema, options).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();

    let nulls = *draw.one(&[Nulls::Empty, Nulls::Clear]);
    let options =
        ParquetOptions { nulls, time_zone: Some(ZONE.to_owned()), ..ParquetOptions::default() };
    let file = ParquetFile::open(&path, &options).unwrap();
    assert_eq!(file.rows(), rows as u64);
    let layout: Vec<usize> =
        (0..=draw.below(6)).map(|_| draw.below(kinds.len() as u64) as usize).collect();
    let places: Vec<Place> = layout.iter().map(|&column| Place::Column(column)).collect();
    let from = if draw.below(2) == 0 { 0 } else { draw.below(rows as u64 + 2) };
    let block = *draw.one(&[1, 300, 10_000, 1 << 20]);
    let found = rows_of(&mut file.read(from, &places, block).unwrap()).unwrap();
    assert_eq!(found.len(), rows.saturating_sub(from as usize));

    let null = match nulls {
        Nulls::Empty => "",
        Nulls::Clear => "#N/A",
    };
    for (row, found) in (from as usize..).zip(found) {
        let mut fault = None;
        for (at, &column) in layout.iter().enumerate() {
            let expected: &Option<Expected> = &made[column].1[row];
            let shown = || format!("row {row}, {:?}", made[column].0.data_type());
            match expected {
                None => assert_eq!(found.cells[at], null, "{}", shown()),
                Some(Ok(text)) => assert_eq!(&found.cells[at], text, "{}", shown()),
                Some(Err(what)) => {
                    fault = fault.or(Some(RowFault::NoForm { column: at as u32 + 1, what: *what }));
                }
            }
        }
        assert_eq!(found.fault, fault, "row {row}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_file_is_read_as_the_obvious_reading_has_it(seed: u64) {
        judge(seed);
    }
}

/// Every kind of column is in some of the files.
#[test]
fn each_kind_of_column_can_be_made() {
    let mut draw = Draw(1);
    for kind in 0..KINDS {
        let (array, expected) = column(kind, &mut draw, 50);
        assert_eq!(array.len(), expected.len(), "{kind}");
    }
}
