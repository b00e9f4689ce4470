//! Any bytes through the CSV reader.
//!
//! - Records and the blank lines between them are the whole text, in order.
//! - Where a block ends makes no difference.
//! - What is well formed reads as the `csv` crate reads it.
#![no_main]

use std::path::Path;

use bulkhaul::domain::{LineEnding, RowNumber};
use bulkhaul::rows::{Cells, Dialect, RecordSplitter, RowStream as _};
use libfuzzer_sys::fuzz_target;

/// A record: number, text, line end, whether it is faulty.
type Row = (u64, Vec<u8>, Vec<u8>, bool);

fn split(text: &[u8], dialect: Dialect, block: usize) -> (Vec<Row>, Option<String>) {
    let mut splitter =
        RecordSplitter::new(text, dialect, None, RowNumber(1), 0, Path::new("fuzz.csv"))
            .block_bytes(block);
    let header = match splitter.read_header() {
        Ok(Some(_)) => splitter.offset(),
        Ok(None) => return (Vec::new(), None),
        Err(error) => return (Vec::new(), Some(error.to_string())),
    };
    let mut rows = Vec::new();
    let mut at = header;
    loop {
        match splitter.next_batch() {
            Ok(Some(batch)) => {
                assert!(batch.offset >= at);
                for (index, record) in batch.records.iter().enumerate() {
                    let (start, end) = batch.span_of(index);
                    let between = &text[at as usize..start as usize];
                    assert!(between.iter().all(|byte| b"\r\n".contains(byte)), "rows were left out");
                    assert_eq!(batch.record(record), &text[start as usize..][..(record.end - record.start) as usize]);
                    let line_end = &batch.bytes[record.end as usize..record.next as usize];
                    let row = batch.first_row.plus(index as u64).0;
                    let record_text = batch.record(record).to_vec();
                    rows.push((row, record_text, line_end.to_vec(), record.fault.is_some()));
                    at = end;
                }
            }
            Ok(None) => {
                let rest = &text[at as usize..];
                assert!(rest.iter().all(|byte| b"\r\n".contains(byte)), "rows were left out");
                return (rows, None);
            }
            Err(error) => return (rows, Some(error.to_string())),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let [choice, block, text @ ..] = data else { return };
    let delimiter = [b',', b';', b'\t', b'|'][usize::from(choice & 3)];
    let dialect = Dialect { delimiter, quote: b'"', line_ending: LineEnding::Lf };
    let (rows, ending) = split(text, dialect, 1 << 20);
    let numbered = rows.iter().enumerate().all(|(at, (row, ..))| *row == at as u64 + 1);
    assert!(numbered, "rows are numbered from 1 without a gap");
    let (others, other_ending) = split(text, dialect, usize::from(*block) + 1);
    // A broken text may be found out a block earlier, never later.
    let shared = rows.len().min(others.len());
    assert_eq!(rows[..shared], others[..shared]);
    assert_eq!(ending, other_ending);
    if ending.is_none() {
        assert_eq!(rows.len(), others.len());
    }

    // A lone carriage return ends a record there, and is data here.
    let lone = text.iter().enumerate().any(|(at, &byte)| byte == b'\r' && text.get(at + 1) != Some(&b'\n'));
    if ending.is_some() || lone || rows.iter().any(|(.., faulty)| *faulty) {
        return;
    }
    let mut judge = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .has_headers(true)
        .from_reader(text);
    let judged: Vec<Vec<Vec<u8>>> = judge
        .byte_records()
        .map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect())
        .collect();
    let ours: Vec<Vec<Vec<u8>>> = rows
        .iter()
        .map(|(_, record, ..)| {
            Cells::new(record, delimiter, b'"').map(|cell| cell.value().into_owned()).collect()
        })
        .collect();
    assert_eq!(ours, judged);
});
