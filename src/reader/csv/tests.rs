//! Opening, reading again, and refusing.

use std::io::Write as _;

use tempfile::NamedTempFile;

use super::*;
use crate::reader::{FaultKind, ScanProgress};
use crate::rows::{Cells, RowFault};

fn file(text: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    file.flush().unwrap();
    file
}

fn open(text: &[u8]) -> Result<CsvSource, SourceError> {
    open_csv(file(text).path(), &CsvOptions::default())
}

#[track_caller]
fn refusal(text: &[u8]) -> String {
    match open(text) {
        Err(error) => error.to_string().split_once(": ").unwrap().1.to_owned(),
        Ok(source) => panic!("opened with header {:?}", source.header()),
    }
}

/// All rows as (number, offset, cells).
fn rows(source: &CsvSource, stretch: Option<Stretch>) -> Vec<(u64, u64, Vec<String>)> {
    let mut stream = source.rows(stretch).unwrap();
    let mut all = Vec::new();
    while let Some(batch) = stream.next_batch().unwrap() {
        for (index, record) in batch.records.iter().enumerate() {
            let cells = Cells::new(batch.record(record), source.dialect().delimiter, b'"')
                .map(|cell| String::from_utf8_lossy(&cell.value()).into_owned())
                .collect();
            all.push((batch.first_row.plus(index as u64).0, batch.span_of(index).0, cells));
        }
    }
    all
}

#[test]
fn header_dialect_and_rows_are_read() {
    let file = file(b"\"Na\"\"me\"; City\r\nAcme;Ulm\r\n\r\n\"a;\nb\";Graz");
    let source = open_csv(file.path(), &CsvOptions::default()).unwrap();
    assert_eq!(source.header(), ["Na\"me", " City"]);
    assert_eq!(
        source.dialect(),
        Dialect { delimiter: b';', quote: b'"', line_ending: LineEnding::Crlf }
    );
    assert_eq!(
        rows(&source, None),
        [
            (1, 16, vec!["Acme".to_owned(), "Ulm".to_owned()]),
            (2, 28, vec!["a;\nb".to_owned(), "Graz".to_owned()]),
        ]
    );
}

#[test]
fn a_byte_order_mark_is_dropped_but_counted_in_offsets() {
    let file = file(b"\xEF\xBB\xBF\"Id\",B\n1,2\n");
    let source = open_csv(file.path(), &CsvOptions::default()).unwrap();
    assert!(source.has_bom());
    assert_eq!(source.header(), ["Id", "B"]);
    assert_eq!(source.data_start(), 10);
    assert_eq!(rows(&source, None)[0].1, 10);
    let mut text = String::new();
    source.bytes(10, 14).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "1,2\n");
}

#[test]
fn a_given_delimiter_is_not_questioned() {
    let file = file(b"a,b;c\n1,2;3\n");
    let options = CsvOptions { delimiter: Some(b';'), ..CsvOptions::default() };
    assert_eq!(open_csv(file.path(), &options).unwrap().header(), ["a,b", "c"]);
}

#[test]
fn a_header_without_rows_is_no_error() {
    for text in ["a,b\n", "a,b", "a,b\r\n\r\n"] {
        let file = file(text.as_bytes());
        let source = open_csv(file.path(), &CsvOptions::default()).unwrap();
        assert_eq!(rows(&source, None), [], "{text:?}");
        assert_eq!(source.scan(&mut |_| {}).unwrap(), Scan::default());
    }
}

#[test]
fn a_stretch_is_read_with_its_own_numbers_and_no_further() {
    let rows_text: Vec<String> = (1..=500).map(|row| format!("{row},\"x\n{row}\"\n")).collect();
    let text = format!("a,b\n{}", rows_text.concat());
    let file = file(text.as_bytes());
    let options = CsvOptions { block_bytes: 64, ..CsvOptions::default() };
    let source = open_csv(file.path(), &options).unwrap();
    let all = rows(&source, None);
    assert_eq!(all.len(), 500);
    for (from, to) in [(0, 499), (17, 18), (100, 321), (499, 499)] {
        let stretch = Stretch {
            start: all[from].1,
            end: all.get(to).map_or(text.len() as u64, |row| row.1),
            first_row: RowNumber(all[from].0),
        };
        assert_eq!(rows(&source, Some(stretch)), all[from..to]);
    }
}

#[test]
fn headers_that_cannot_be_used_are_refused() {
    assert_eq!(
        refusal(b"a,\xFF\n1,2\n"),
        "the header is broken: column 2: not valid UTF-8 at byte 2 of the row"
    );
    assert_eq!(
        refusal(b"a,\"b\"c\n1,2\n"),
        "the header is broken: column 2: text behind the closing quote"
    );
    assert!(refusal(b"a,b\r1,2\r3,4\r").contains("carriage return"));
    let names: Vec<String> = (0..5001).map(|n| format!("c{n}")).collect();
    assert!(refusal(names.join(",").as_bytes()).contains("5001 columns"));
    let long = format!("{},b\n", "n".repeat(32_000));
    assert!(refusal(long.as_bytes()).contains("32002 characters"));
}

#[test]
fn other_kinds_of_file_are_refused_by_name() {
    assert!(refusal(b"\x1F\x8B\x08\0\0").contains("gzip"));
    assert!(refusal(b"PAR1....").contains("Parquet"));
    assert!(refusal(b"I\0d\0").contains("UTF-16"));
    assert!(matches!(
        open_csv(Path::new("."), &CsvOptions::default()),
        Err(SourceError::Io { .. })
    ));
    for text in ["", "\n\r\n", "\u{feff}"] {
        assert!(matches!(open(text.as_bytes()), Err(SourceError::Empty { .. })), "{text:?}");
    }
}

#[test]
fn an_open_quote_in_the_header_is_refused_as_row_0() {
    assert!(matches!(
        open(b"a,\"b\n1,2\n"),
        Err(SourceError::UnclosedQuote { row: 0, offset: 0, .. })
    ));
}

#[test]
fn a_scan_counts_faults_by_kind_and_shows_the_first() {
    let file = file(b"a,b\n1,2\n1\n1,2,3\r\n\xFF,2\n\"x\ny\",5\" pipe\n\"a\"b,2\n");
    let options = CsvOptions { block_bytes: 8, ..CsvOptions::default() };
    let source = open_csv(file.path(), &options).unwrap();
    let mut seen = Vec::new();
    let scan = source.scan(&mut |progress| seen.push(progress)).unwrap();
    assert_eq!(scan.rows, 6);
    assert_eq!(scan.faulty_rows(), 4);
    assert_eq!(
        scan.faults.iter().map(|count| (count.kind, count.rows)).collect::<Vec<_>>(),
        [(FaultKind::Ragged, 2), (FaultKind::Utf8, 1), (FaultKind::AfterQuote, 1)]
    );
    assert_eq!(scan.faults[0].first_row, RowNumber(2));
    assert_eq!(scan.faults[0].offset, 8);
    assert_eq!(scan.faults[0].fault, RowFault::Ragged { expected: 2, found: 1 });
    assert_eq!((scan.rows_with_line_breaks, scan.rows_with_stray_quotes), (1, 1));
    assert_eq!((scan.lf_rows, scan.crlf_rows), (5, 1));
    assert_eq!(scan.longest_row, 13);
    let end = file.as_file().metadata().unwrap().len();
    assert_eq!(seen.last(), Some(&ScanProgress { bytes: end, rows: 6 }));
}

#[test]
fn a_scan_of_a_source_without_borders_ends_with_the_reason() {
    let file = file(b"a,b\n1,2\n\"3,4\n5,6\n");
    let source = open_csv(file.path(), &CsvOptions::default()).unwrap();
    assert!(matches!(
        source.scan(&mut |_| {}),
        Err(SourceError::UnclosedQuote { row: 2, offset: 8, .. })
    ));
}

#[test]
fn a_file_that_changes_is_noticed() {
    let mut file = file(b"a,b\n1,2\n3,4\n");
    let source = open_csv(file.path(), &CsvOptions::default()).unwrap();
    source.check_unchanged().unwrap();
    let mut open_rows = source.rows(None).unwrap();
    file.as_file().set_len(8).unwrap();
    assert!(matches!(open_rows.next_batch(), Err(SourceError::Changed { .. })));
    assert!(matches!(source.rows(None), Err(SourceError::Changed { .. })));
    assert!(matches!(source.bytes(4, 8), Err(SourceError::Changed { .. })));
    file.write_all(b"5,6\n").unwrap();
    assert!(matches!(source.check_unchanged(), Err(SourceError::Changed { .. })));
}

#[test]
fn an_identity_tells_data_from_data_and_survives_the_ledger() {
    let big = |middle: u8, end: u8| {
        let mut text = b"a,b\n".to_vec();
        text.resize(1_500_000, b'1');
        text.resize(3_000_000, middle);
        text.push(end);
        text
    };
    let identity = |text: &[u8]| open(text).unwrap().identity().clone();
    let one = identity(&big(b'2', b'\n'));
    assert_eq!(one.bytes, 3_000_001);
    let copy = identity(&big(b'2', b'\n'));
    assert!(one.is_same_data(&copy));
    assert_ne!(one, copy, "another inode");
    assert!(!one.is_same_data(&identity(&big(b'2', b'3'))));
    assert!(!one.is_same_data(&identity(b"a,b\n")));
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<SourceIdentity>(&text).unwrap(), one);
}
