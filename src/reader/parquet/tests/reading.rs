//! How files are read: from any row, in blocks, while they change.

use std::fs;
use std::io::Write as _;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Int32Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::*;
use crate::domain::MAX_FIELD_CHARS;
use crate::rows::MAX_RECORD_BYTES;

/// Writes columns as a file of row groups of so many rows.
fn write(path: &Path, columns: Vec<(&str, ArrayRef)>, group_rows: usize) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .set_data_page_row_count_limit(1_000)
        .set_write_batch_size(500)
        .build();
    let file = fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn numbers(path: &Path, rows: i32, group_rows: usize) -> ParquetFile {
    let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(0..rows));
    let names: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("Name {row}"))));
    write(path, vec![("N", numbers), ("Name", names)], group_rows);
    ParquetFile::open(path, &ParquetOptions::default()).unwrap()
}

#[test]
fn rows_are_read_from_any_row_on_in_any_layout() {
    let folder = tempfile::tempdir().unwrap();
    let file = numbers(&folder.path().join("n.parquet"), 20_000, 7_000);
    let layout = [
        Place::Constant(Some("a,\"b\"".to_owned())),
        Place::Column(1),
        Place::Constant(None),
        Place::Column(0),
        Place::Column(1),
    ];
    for from in [0, 1, 6_999, 7_000, 7_001, 13_333, 19_999, 20_000, 30_000] {
        for block in [1, 1_000, 100_000, 10 << 20] {
            if block == 1 && from < 19_000 {
                continue;
            }
            let rows = rows_of(&mut file.read(from, &layout, block).unwrap()).unwrap();
            assert_eq!(rows.len() as u64, 20_000u64.saturating_sub(from));
            for (row, number) in rows.iter().zip(from..) {
                let name = format!("Name {number}");
                assert_eq!(row.cells, ["a,\"b\"", &name, "", &number.to_string(), &name]);
            }
        }
    }
}

#[test]
fn a_layout_of_constants_alone_has_the_rows_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = numbers(&folder.path().join("n.parquet"), 10_000, 3_000);
    let rows = rows_of(&mut file.read(10, &[Place::Constant(None)], 4_096).unwrap()).unwrap();
    assert_eq!(rows.len(), 9_990);
    assert!(rows.iter().all(|row| row.cells == [""]));
    assert!(file.read(0, &[Place::Column(2)], 4_096).is_err());
}

#[test]
fn nulls_are_empty_or_clear_the_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n.parquet");
    let texts: ArrayRef = Arc::new(StringArray::from(vec![None, Some(""), Some("#N/A")]));
    write(&path, vec![("T", texts)], 10);
    for (nulls, expected) in
        [(Nulls::Empty, ["", "", "#N/A"]), (Nulls::Clear, ["#N/A", "", "#N/A"])]
    {
        let options = ParquetOptions { nulls, ..ParquetOptions::default() };
        let file = ParquetFile::open(&path, &options).unwrap();
        assert_eq!(cells(&file).concat(), expected);
        let layout = [Place::Column(0), Place::Constant(None)];
        let rows = rows_of(&mut file.read(2, &layout, 100).unwrap()).unwrap();
        assert_eq!(rows[0].cells, ["#N/A", expected[0]]);
    }
}

#[test]
fn bytes_are_base64_or_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n.parquet");
    let bytes: ArrayRef =
        Arc::new(BinaryArray::from_vec(vec![b"M\xC3\xBCller", b"a,\xFF", b"a\0b"]));
    write(&path, vec![("B", bytes)], 10);
    let file = ParquetFile::open(&path, &ParquetOptions::default()).unwrap();
    assert_eq!(cells(&file).concat(), ["TcO8bGxlcg==", "YSz/", "YQBi"]);
    let options = ParquetOptions { bytes_as_text: true, ..ParquetOptions::default() };
    let file = ParquetFile::open(&path, &options).unwrap();
    let rows = rows_of(&mut file.read(0, &all(&file), 100).unwrap()).unwrap();
    assert_eq!(rows[0], Row { cells: vec!["Müller".to_owned()], fault: None });
    assert_eq!(rows[1].fault, Some(RowFault::Utf8 { column: 1, at: 3 }));
    assert_eq!(rows[2].fault, Some(RowFault::NoForm { column: 1, what: NoForm::NulByte }));
}

#[test]
fn what_is_too_long_is_the_fault_of_its_row_and_takes_no_more_memory_than_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.parquet");
    let long = |len: usize| "ü".repeat(len);
    let first =
        [long(MAX_FIELD_CHARS), long(MAX_FIELD_CHARS + 1), long(10 << 20), long(100_000), long(1)];
    // With the delimiters as many characters as a row may have.
    let fourth = ["", "", "", &long(99_999), ""];
    let first: ArrayRef = Arc::new(StringArray::from_iter_values(first));
    let fourth: ArrayRef = Arc::new(StringArray::from_iter_values(fourth));
    write(&path, vec![("A", first), ("B", fourth)], 10);
    let file = ParquetFile::open(&path, &ParquetOptions::default()).unwrap();
    let layout = [0, 1, 1, 1].map(Place::Column);
    let mut rows = file.read(0, &layout, 1 << 20).unwrap();
    let mut faults = Vec::new();
    while let Some(block) = rows.next_block().unwrap() {
        for record in &block.records {
            assert!((record.end - record.start) as usize <= MAX_RECORD_BYTES + 100);
            faults.push(record.fault);
        }
    }
    let chars = |chars: usize| chars as u64;
    assert_eq!(
        faults,
        [
            None,
            Some(RowFault::FieldTooLong { column: 1, chars: chars(MAX_FIELD_CHARS + 1) }),
            Some(RowFault::FieldTooLong { column: 1, chars: chars(10 << 20) }),
            None,
            None
        ]
    );
    let layout = [0, 1, 1, 1, 1].map(Place::Column);
    let rows = rows_of(&mut file.read(3, &layout, 1 << 20).unwrap()).unwrap();
    assert_eq!(rows[0].fault, Some(RowFault::RecordTooLong { chars: 500_000 }));
    assert_eq!(rows[1].fault, None);
}

#[test]
fn a_file_that_changes_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n.parquet");
    let file = numbers(&path, 200_000, 50_000);
    let mut rows = file.read(0, &all(&file), 1_000).unwrap();
    rows.next_block().unwrap().unwrap();
    let open = fs::OpenOptions::new().append(true).open(&path).unwrap();
    (&open).write_all(b"x").unwrap();
    let error = loop {
        match rows.next_block() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the change went unseen"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SourceError::Changed { .. }), "{error}");
    assert!(rows.next_block().is_err(), "an end behind an error");
    assert!(matches!(file.read(0, &all(&file), 1_000), Err(SourceError::Changed { .. })));
    assert!(matches!(file.check_unchanged(), Err(SourceError::Changed { .. })));

    let file = numbers(&path, 200_000, 50_000);
    let mut rows = file.read(0, &all(&file), 1_000).unwrap();
    rows.next_block().unwrap().unwrap();
    open.set_len(1_000).unwrap();
    let found = rows_of(&mut rows);
    assert!(matches!(found, Err(SourceError::Changed { .. })));
}

#[test]
fn reading_can_be_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = numbers(&folder.path().join("n.parquet"), 100_000, 50_000);
    for _ in 0..20 {
        let mut rows = file.read(0, &all(&file), 1_000).unwrap();
        rows.next_block().unwrap().unwrap();
    }
    // The threads are free again, all of them.
    assert_eq!(cells(&file).len(), 100_000);
}

#[test]
fn rows_can_be_read_on_the_threads_that_decode() {
    let folder = tempfile::tempdir().unwrap();
    let file = numbers(&folder.path().join("n.parquet"), 50_000, 10_000);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| assert_eq!(cells(&file).len(), 50_000));
    rayon::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|_| assert_eq!(cells(&file).len(), 50_000));
        }
    });
}

#[test]
fn a_short_word_for_a_long_text_is_written_a_block_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n.parquet");
    let text = "x".repeat(10_000);
    let texts: ArrayRef =
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text.as_str(), 5_000)));
    let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(0..5_000));
    write(&path, vec![("N", numbers), ("T", texts)], 100_000);
    let file = ParquetFile::open(&path, &ParquetOptions::default()).unwrap();
    let mut rows = file.read(0, &all(&file), 50_000).unwrap();
    let mut number = 0;
    while let Some(block) = rows.next_block().unwrap() {
        assert!(block.bytes.len() < 50_000 + 10_010);
        for record in &block.records {
            let line = &block.bytes[record.start as usize..record.end as usize];
            assert_eq!(line, format!("{number},{text}").as_bytes());
            number += 1;
        }
    }
    assert_eq!(number, 5_000);
}
