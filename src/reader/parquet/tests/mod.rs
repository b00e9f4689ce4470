//! Files made by others and by chance, read and judged.

mod any_bytes;
mod fixtures;
mod made;
mod made_columns;
mod reading;
mod refusals;
mod stored;

use std::path::{Path, PathBuf};

use super::*;
use crate::domain::{LineEnding, RowNumber};
use crate::rows::{Cells, Dialect, NoForm, RawRecord, RecordSplitter, RowFault, RowStream};

/// A row as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    cells: Vec<String>,
    fault: Option<RowFault>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/parquet").join(name)
}

fn open_fixture(name: &str) -> ParquetFile {
    ParquetFile::open(&fixture(name), &ParquetOptions::default()).unwrap()
}

/// What a person is told of a file that is refused.
fn refusal(path: &Path) -> String {
    let error = ParquetFile::open(path, &ParquetOptions::default()).unwrap_err();
    error.to_string().replace(&format!("{}", path.display()), "FILE")
}

/// All columns in order.
fn all(file: &ParquetFile) -> Vec<Place> {
    (0..file.header().len()).map(Place::Column).collect()
}

/// The rows from one on.
fn rows_of(rows: &mut ParquetRows) -> Result<Vec<Row>, SourceError> {
    let mut found = Vec::new();
    while let Some(block) = rows.next_block()? {
        assert!(!block.records.is_empty(), "an empty block");
        judge_block(&block);
        for record in &block.records {
            let text = &block.bytes[record.start as usize..record.end as usize];
            let cells = Cells::new(text, b',', b'"')
                .map(|cell| String::from_utf8_lossy(&cell.value()).into_owned())
                .collect();
            found.push(Row { cells, fault: record.fault });
        }
    }
    assert!(rows.next_block()?.is_none(), "rows behind the last");
    Ok(found)
}

/// A block tells of its records what the splitter finds in its text.
fn judge_block(block: &RenderedBlock) {
    let dialect = Dialect { delimiter: b',', quote: b'"', line_ending: LineEnding::Lf };
    let mut splitter = RecordSplitter::new(
        block.bytes.as_slice(),
        dialect,
        None,
        RowNumber(1),
        0,
        Path::new("block"),
    )
    .max_record_bytes(64 << 20)
    .block_bytes(64 << 20);
    let mut found: Vec<RawRecord> = Vec::new();
    while let Some(batch) = splitter.next_batch().unwrap() {
        found.extend(&batch.records);
    }
    assert_eq!(found.len(), block.records.len());
    for (mut expected, told) in found.into_iter().zip(&block.records) {
        if matches!(told.fault, Some(RowFault::NoForm { .. })) {
            expected.fault = told.fault;
        }
        assert_eq!(*told, expected);
    }
}

/// All rows of a file, none of them faulty.
fn cells(file: &ParquetFile) -> Vec<Vec<String>> {
    let rows = rows_of(&mut file.read(0, &all(file), 1 << 20).unwrap()).unwrap();
    assert_eq!(rows.len() as u64, file.rows());
    for row in &rows {
        assert_eq!(row.fault, None, "{row:?}");
    }
    rows.into_iter().map(|row| row.cells).collect()
}
