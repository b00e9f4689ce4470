//! What stands in the result files.

use std::path::Path;

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::domain::{LineEnding, MatchTier};
use crate::rows::PositionUnit;
use crate::rows::RowStream;

/// A source in memory, its records given one by one.
struct Source {
    dialect: Dialect,
    header: Vec<String>,
    records: Vec<(Vec<u8>, Option<RowFault>)>,
}

struct Stream(Option<RawBatch>);

impl RowStream for Stream {
    fn next_batch(&mut self) -> Result<Option<RawBatch>, SourceError> {
        Ok(self.0.take())
    }
}

impl SourceRows for Source {
    fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn header(&self) -> &[String] {
        &self.header
    }

    fn rows(&self, stretch: Option<Stretch>) -> Result<Box<dyn RowStream>, SourceError> {
        let mut bytes = Vec::new();
        let mut records = Vec::new();
        for (record, fault) in &self.records {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(record);
            let end = bytes.len() as u32;
            bytes.push(b'\n');
            let quotes = record.contains(&b'"');
            records.push(RawRecord {
                start,
                end,
                next: end + 1,
                has_quotes: quotes,
                has_line_break: record.contains(&b'\n') || record.contains(&b'\r'),
                has_stray_quote: quotes
                    && !record.starts_with(b"\"")
                    && !record.windows(2).any(|two| two == b",\""),
                fault: *fault,
            });
        }
        let first_row = stretch.map_or(RowNumber(1), |stretch| stretch.first_row);
        Ok(Box::new(Stream(Some(RawBatch {
            bytes: Bytes::from(bytes),
            offset: 0,
            unit: PositionUnit::Bytes,
            read_bytes: 0,
            first_row,
            records,
        }))))
    }

    fn bytes(&self, _: u64, _: u64) -> Result<Box<dyn io::Read + Send>, SourceError> {
        Ok(Box::new(io::empty()))
    }
}

fn source(delimiter: u8, header: &[&str], records: &[&str]) -> Source {
    Source {
        dialect: Dialect { delimiter, quote: b'"', line_ending: LineEnding::Lf },
        header: header.iter().map(|&name| name.to_owned()).collect(),
        records: records.iter().map(|record| (record.as_bytes().to_vec(), None)).collect(),
    }
}

fn stretch() -> Stretch {
    Stretch { start: 0, end: 0, first_row: RowNumber(1) }
}

fn outcome(row: u64, fate: Fate) -> RowOutcome {
    let sent = fate != Fate::Rejected;
    RowOutcome {
        row: RowNumber(row),
        fate,
        tier: (sent && fate != Fate::Disputed).then_some(MatchTier::Key),
        attempts: u8::from(sent),
        id: fate.succeeded().then(|| "0017Q00000AbCdeQAF".parse().unwrap()),
        error: match fate {
            Fate::Failed => Some("CODE:say \"hi\", you:Name --".to_owned()),
            Fate::Rejected => Some("3 cells where the header has 2".to_owned()),
            Fate::Disputed => Some("no result fits this row".to_owned()),
            _ => None,
        },
    }
}

fn write(folder: &Path, source: &Source, outcomes: &[RowOutcome]) -> Appended {
    let mut files = ResultFiles::create(folder, &source.header, &|_| None).unwrap();
    let mut outcomes = outcomes.iter().cloned().map(Ok);
    let appended = files
        .append(&["a,b.csv".to_owned()], source, stretch(), &mut outcomes, &RowPlace::of_one_file)
        .unwrap();
    files.finish().unwrap();
    appended
}

fn text(folder: &TempDir, kind: ResultKind) -> String {
    std::fs::read_to_string(folder.path().join(kind.file_name())).unwrap()
}

#[test]
fn every_fate_has_its_file_and_columns() {
    let folder = TempDir::new().unwrap();
    let source = source(b',', &["Name", "N"], &["a,1", "b,02", "\"c, d\",3", "e,4", "f,5", "g,6"]);
    let fates = [
        Fate::Created,
        Fate::Failed,
        Fate::Updated,
        Fate::Unprocessed,
        Fate::Rejected,
        Fate::Disputed,
    ];
    let outcomes: Vec<_> = (1..).zip(fates).map(|(row, fate)| outcome(row, fate)).collect();
    let appended = write(folder.path(), &source, &outcomes);
    assert_eq!((appended.missing, appended.tally.settled(), appended.tally.read), (0, 6, 6));
    assert_eq!(
        text(&folder, ResultKind::Success),
        "bulkhaul__Source,bulkhaul__Row,bulkhaul__Attempts,bulkhaul__Match,sf__Id,sf__Created,Name,N\n\
         \"a,b.csv\",1,1,key,0017Q00000AbCdeQAF,true,a,1\n\
         \"a,b.csv\",3,1,key,0017Q00000AbCdeQAF,false,\"c, d\",3\n"
    );
    assert_eq!(
        text(&folder, ResultKind::Failed),
        "bulkhaul__Source,bulkhaul__Row,bulkhaul__Attempts,bulkhaul__Match,sf__Id,sf__Error,Name,N\n\
         \"a,b.csv\",2,1,key,,\"CODE:say \"\"hi\"\", you:Name --\",b,02\n"
    );
    assert_eq!(
        text(&folder, ResultKind::Unprocessed),
        "bulkhaul__Source,bulkhaul__Row,bulkhaul__Attempts,bulkhaul__Match,Name,N\n\
         \"a,b.csv\",4,1,key,e,4\n"
    );
    assert_eq!(
        text(&folder, ResultKind::Rejected),
        "bulkhaul__Source,bulkhaul__Row,bulkhaul__Attempts,bulkhaul__Error,Name,N\n\
         \"a,b.csv\",5,0,3 cells where the header has 2,f,5\n"
    );
    assert!(text(&folder, ResultKind::Disputed).ends_with("6,1,no result fits this row,g,6\n"));
}

#[test]
fn files_without_rows_are_not_there_and_stale_ones_go() {
    let folder = TempDir::new().unwrap();
    let source = source(b',', &["Name"], &["a"]);
    write(folder.path(), &source, &[outcome(1, Fate::Disputed)]);
    assert!(folder.path().join("disputed.csv").exists());
    write(folder.path(), &source, &[outcome(1, Fate::Created)]);
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["failed.csv", "success.csv"]);
    assert_eq!(text(&folder, ResultKind::Failed).lines().count(), 1);
}

#[cfg(unix)]
#[test]
fn the_files_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    let source = source(b',', &["Name"], &["a", "b"]);
    write(folder.path(), &source, &[outcome(1, Fate::Created), outcome(2, Fate::Rejected)]);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn other_delimiters_stray_quotes_and_old_result_columns_are_written_anew() {
    let folder = TempDir::new().unwrap();
    let header = ["sf__Id", "Name", "BULKHAUL__Row", "Size"];
    let semicolons = source(b';', &header, &["001;a,b;7;5\" pipe"]);
    write(folder.path(), &semicolons, &[outcome(1, Fate::Created)]);
    let success = text(&folder, ResultKind::Success);
    assert!(success.lines().next().unwrap().ends_with("sf__Id,sf__Created,Name,Size"));
    assert!(success.ends_with(",true,\"a,b\",\"5\"\" pipe\"\n"), "{success}");
}

#[test]
fn faulty_rows_keep_their_columns() {
    let folder = TempDir::new().unwrap();
    let mut faulty = source(b';', &["A", "B", "C"], &["1;2", "1;2;3;\"4;5\";6"]);
    let ragged = |found| Some(RowFault::Ragged { expected: 3, found });
    faulty.records[0].1 = ragged(2);
    faulty.records[1].1 = ragged(5);
    faulty.records.push((b"x;\xFF\xFEy;z".to_vec(), Some(RowFault::Utf8 { column: 2, at: 2 })));
    faulty.records.push((b"\"a\"b;c;d".to_vec(), Some(RowFault::AfterQuote { column: 1 })));
    let outcomes: Vec<_> = (1..=4).map(|row| outcome(row, Fate::Rejected)).collect();
    write(folder.path(), &faulty, &outcomes);
    let rejected = text(&folder, ResultKind::Rejected);
    let cells: Vec<Vec<String>> = csv::ReaderBuilder::new()
        .from_reader(rejected.as_bytes())
        .into_records()
        .map(|record| record.unwrap().iter().skip(4).map(str::to_owned).collect())
        .collect();
    assert_eq!(
        cells,
        [
            ["1", "2", ""],
            ["1", "2", "3;4;5;6"],
            ["x", "\u{FFFD}\u{FFFD}y", "z"],
            ["\"a\"b", "c", "d"],
        ]
    );
}

#[test]
fn rows_without_outcome_are_counted_and_foreign_ones_refused() {
    let folder = TempDir::new().unwrap();
    let source = source(b',', &["Name"], &["a", "b", "c"]);
    let appended = write(folder.path(), &source, &[outcome(2, Fate::Created)]);
    assert_eq!((appended.missing, appended.tally.created, appended.tally.read), (2, 1, 3));
    let mut files = ResultFiles::create(folder.path(), &source.header, &|_| None).unwrap();
    let mut outcomes = [Ok(outcome(9, Fate::Created))].into_iter();
    assert!(matches!(
        files.append(&["x".to_owned()], &source, stretch(), &mut outcomes, &RowPlace::of_one_file),
        Err(ResultError::NoSuchRow { row: RowNumber(9) })
    ));
}
