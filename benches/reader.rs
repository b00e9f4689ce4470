//! How fast CSV text is cut into records (cells counted, UTF-8 checked), how
//! fast its cells are walked, and how fast sample data is made.
//!
//! One core, from memory; benches/README.md says how to read the figures.

#![expect(clippy::panic, reason = "a bench that can't begin must not measure nothing")]

use std::path::Path;

use bulkhaul::domain::{LineEnding, RowNumber};
use bulkhaul::generator::{Recipe, SampleObject};
use bulkhaul::reader::{CsvOptions, open_csv};
use bulkhaul::rows::{Cells, Dialect, RecordSplitter, RowStream, write_quoted};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

fn main() {
    divan::main();
}

/// About 60 MB: more than any cache holds.
const ROWS: u64 = 300_000;

const DIALECT: Dialect = Dialect { delimiter: b',', quote: b'"', line_ending: LineEnding::Lf };

#[derive(Debug, Clone, Copy)]
enum Text {
    /// No quote anywhere.
    Unquoted,
    /// Sample accounts: 2 % of the rows have quotes or letters beyond ASCII.
    Accounts,
    /// The same with CRLF.
    Crlf,
    /// Every cell in quotes, as in a result set.
    AllQuoted,
}

const TEXTS: [Text; 4] = [Text::Unquoted, Text::Accounts, Text::Crlf, Text::AllQuoted];

fn text(kind: Text) -> Vec<u8> {
    let mut recipe = Recipe::new(SampleObject::Account, ROWS);
    if matches!(kind, Text::Unquoted) {
        let columns = [
            "Legacy_Id__c",
            "AccountNumber",
            "Type",
            "Industry",
            "AnnualRevenue",
            "NumberOfEmployees",
            "Phone",
            "Website",
            "Email__c",
            "Active__c",
            "Last_Audit__c",
            "Segments__c",
        ];
        recipe = recipe.columns(&columns).unwrap_or_else(|error| panic!("{error}"));
    }
    if matches!(kind, Text::Crlf) {
        recipe.format.line_ending = LineEnding::Crlf;
    }
    let mut text = Vec::new();
    recipe.write(&mut text, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    if matches!(kind, Text::AllQuoted) {
        let mut quoted = Vec::with_capacity(text.len() * 3 / 2);
        let mut split = splitter(&text);
        while let Ok(Some(batch)) = split.next_batch() {
            for record in &batch.records {
                for (at, cell) in Cells::new(batch.record(record), b',', b'"').enumerate() {
                    if at > 0 {
                        quoted.push(b',');
                    }
                    write_quoted(&mut quoted, &cell.value());
                }
                quoted.push(b'\n');
            }
        }
        return quoted;
    }
    text
}

fn splitter(text: &[u8]) -> RecordSplitter<&[u8]> {
    RecordSplitter::new(text, DIALECT, Some(12), RowNumber(1), 0, Path::new("bench"))
}

#[divan::bench(args = TEXTS, sample_count = 10)]
fn split(bencher: Bencher, kind: Text) {
    let text = text(kind);
    bencher.counter(BytesCount::of_slice(&text)).counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut split = splitter(&text);
        let mut rows = 0;
        let mut faults = 0;
        while let Ok(Some(batch)) = split.next_batch() {
            rows += batch.records.len() as u64;
            faults += batch.records.iter().filter(|record| record.fault.is_some()).count();
        }
        assert!(rows >= ROWS && faults == 0);
    });
}

#[divan::bench(args = TEXTS, sample_count = 10)]
fn split_and_walk_cells(bencher: Bencher, kind: Text) {
    let text = text(kind);
    bencher.counter(BytesCount::of_slice(&text)).counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut split = splitter(&text);
        let mut length = 0;
        while let Ok(Some(batch)) = split.next_batch() {
            for record in &batch.records {
                for cell in Cells::new(batch.record(record), b',', b'"') {
                    length += cell.raw.len();
                }
            }
        }
        length
    });
}

/// From a file that the system has in its cache, as `load` scans it first.
#[divan::bench(sample_count = 10)]
fn scan_a_file(bencher: Bencher) {
    let text = text(Text::Accounts);
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let path = folder.path().join("accounts.csv");
    std::fs::write(&path, &text).unwrap_or_else(|error| panic!("{error}"));
    let source = open_csv(&path, &CsvOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    bencher.counter(BytesCount::of_slice(&text)).counter(ItemsCount::new(ROWS)).bench_local(|| {
        let scan = source.scan(&mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(scan.rows, ROWS);
    });
}

#[divan::bench(sample_count = 10)]
fn generate_on_all_cores(bencher: Bencher) {
    let recipe = Recipe::new(SampleObject::Account, ROWS);
    let bytes = text(Text::Accounts).len();
    bencher.counter(BytesCount::new(bytes)).counter(ItemsCount::new(ROWS)).bench_local(|| {
        recipe.write(&mut std::io::sink(), &mut |_| {}).map_err(|error| error.to_string())
    });
}
