//! Conservation (I1) from result sets to result files: every row of a source
//! is in exactly one result file, with its own outcome and its values as they
//! stood, however the org shuffled and rendered its answers.
//!
//! What a row holds and what becomes of it are functions of its number, so the
//! files are judged without trusting what made them.

use std::collections::{HashMap, HashSet};
use std::io::{self, Cursor, Read};
use std::path::Path;

use bulkhaul::domain::{Operation, ResultSet, RowNumber, RowPlace, RowRanges, ValueKind};
use bulkhaul::reader::{CsvOptions, open_csv};
use bulkhaul::reconciler::{
    MatchRule, MergedOutcomes, OutcomeWriter, ResultFiles, ResultSets, SentColumn, SentColumns,
    SentRows, reconcile,
};
use bulkhaul::rows::{SourceRows, Stretch, write_record};

const TEXT: ValueKind = ValueKind::Text { case_sensitive: false };
const CASED: ValueKind = ValueKind::Text { case_sensitive: true };

/// One way a load can be hard to reconcile.
struct Load {
    rows: u64,
    chunks: u64,
    /// The chunk whose job failed as a whole.
    failed_chunk: Option<u64>,
    columns: &'static [(&'static str, ValueKind)],
    value: fn(row: u64, column: usize) -> String,
    key: Option<usize>,
    unique_text: Option<usize>,
    crlf: bool,
}

/// A few numbers out of a row's number.
fn draw(row: u64, salt: u64) -> u64 {
    let mut mixed = (row ^ salt << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^= mixed >> 29;
    mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 16
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    Created,
    Updated,
    Refused,
    Unreached,
}

impl Load {
    fn truth(&self, row: u64) -> Truth {
        let chunk = (row - 1) / (self.rows / self.chunks) + 1;
        match draw(row, 9) % 100 {
            _ if self.failed_chunk == Some(chunk) => Truth::Unreached,
            0..=1 => Truth::Refused,
            2 => Truth::Unreached,
            3..=40 if self.key.is_some() => Truth::Updated,
            _ => Truth::Created,
        }
    }

    fn cells(&self, row: u64) -> Vec<String> {
        (0..self.columns.len()).map(|column| (self.value)(row, column)).collect()
    }

    /// The cell as the org would return it.
    fn rendered(&self, row: u64, column: usize) -> String {
        let value = (self.value)(row, column);
        match self.columns[column].1 {
            ValueKind::Number if !value.is_empty() => {
                let number: f64 = value.parse().unwrap();
                if number.abs() >= 1e7 { format!("{number:E}") } else { format!("{number:?}") }
            }
            ValueKind::Boolean if !value.is_empty() => {
                (value == "1" || value == "TRUE").to_string()
            }
            _ => self.line_ends(value.trim()),
        }
    }

    fn line_ends(&self, value: &str) -> String {
        if self.crlf { value.replace('\n', "\r\n") } else { value.to_owned() }
    }

    const fn end(&self) -> &'static [u8] {
        if self.crlf { b"\r\n" } else { b"\n" }
    }

    fn rows_of(&self, chunk: u64) -> std::ops::RangeInclusive<u64> {
        let size = self.rows / self.chunks;
        (chunk - 1) * size + 1..=chunk * size
    }

    /// The three sets of a chunk's job, in an order of the org's own.
    fn sets(&self, chunk: u64) -> [Vec<u8>; 3] {
        let names: Vec<&str> = self.columns.iter().map(|column| column.0).collect();
        let mut sets = [Vec::new(), Vec::new(), Vec::new()];
        for (set, own) in
            sets.iter_mut().zip([["sf__Id", "sf__Created"], ["sf__Id", "sf__Error"], ["", ""]])
        {
            let own = own.iter().filter(|name| !name.is_empty());
            write_record(set, own.chain(&names).map(|name| name.as_bytes()), b',');
            set.extend_from_slice(self.end());
        }
        let mut order: Vec<u64> = self.rows_of(chunk).collect();
        order.sort_by_key(|&row| draw(row, 1));
        for row in order {
            let truth = self.truth(row);
            let (set, mut cells) = match truth {
                Truth::Created => (0, vec![id(row), "true".to_owned()]),
                Truth::Updated => (0, vec![id(row), "false".to_owned()]),
                Truth::Refused => (1, vec![String::new(), error(row)]),
                Truth::Unreached => (2, Vec::new()),
            };
            cells.extend((0..self.columns.len()).map(|column| self.rendered(row, column)));
            write_record(&mut sets[set], cells.iter().map(String::as_bytes), b',');
            sets[set].extend_from_slice(self.end());
        }
        sets
    }
}

fn id(row: u64) -> String {
    format!("001{row:012}AAA")
}

fn error(row: u64) -> String {
    format!("FIELD_CUSTOM_VALIDATION_EXCEPTION:row {row}, \"no\":Name --")
}

struct Sets([Vec<u8>; 3]);

impl ResultSets for Sets {
    fn open(&self, set: ResultSet) -> io::Result<Box<dyn Read + Send>> {
        let at = ResultSet::ALL.iter().position(|&known| known == set).unwrap();
        Ok(Box::new(Cursor::new(self.0[at].clone())))
    }
}

/// Loads into a folder and judges the files that come out.
fn judge(load: &Load) {
    let folder = tempfile::tempdir().unwrap();
    let source_path = folder.path().join("source.csv");
    let names: Vec<&str> = load.columns.iter().map(|column| column.0).collect();
    let mut text = Vec::new();
    write_record(&mut text, names.iter().map(|name| name.as_bytes()), b',');
    text.extend_from_slice(load.end());
    let mut borders = vec![text.len() as u64];
    for chunk in 1..=load.chunks {
        for row in load.rows_of(chunk) {
            write_record(&mut text, load.cells(row).iter().map(String::as_bytes), b',');
            text.extend_from_slice(load.end());
        }
        borders.push(text.len() as u64);
    }
    std::fs::write(&source_path, &text).unwrap();
    let source = open_csv(&source_path, &CsvOptions::default()).unwrap();
    let sent = SentColumns {
        columns: load
            .columns
            .iter()
            .map(|&(header, kind)| SentColumn { header: header.to_owned(), kind })
            .collect(),
        delimiter: b',',
    };
    let rule = MatchRule {
        key: load.key,
        user_keys: Vec::new(),
        unique_text: load.unique_text,
        operation: if load.key.is_some() { Operation::Upsert } else { Operation::Insert },
    };

    let mut files = ResultFiles::create(folder.path(), source.header(), &|_| None).unwrap();
    for chunk in 1..=load.chunks {
        let rows: RowRanges = load.rows_of(chunk).map(RowNumber).collect();
        // As the chunker does: line ends inside cells become the job's.
        let mut body = Vec::new();
        for row in load.rows_of(chunk) {
            let cells: Vec<String> =
                load.cells(row).iter().map(|value| load.line_ends(value)).collect();
            write_record(&mut body, cells.iter().map(String::as_bytes), b',');
            body.extend_from_slice(load.end());
        }
        let path = folder.path().join(format!("{chunk}.outcomes"));
        let mut writer = OutcomeWriter::create(&path, chunk).unwrap();
        let proof = reconcile(
            &sent,
            &rule,
            SentRows { rows: &rows, open: &|| Ok(Box::new(Cursor::new(body.clone()))) },
            &Sets(load.sets(chunk)),
            1,
            &mut |outcome| writer.push(&outcome).map_err(io::Error::other),
        )
        .unwrap();
        assert!(proof.is_whole() && proof.problems.is_empty(), "{:?}", proof.problems);
        writer.finish().unwrap();
        let at = usize::try_from(chunk).unwrap();
        let first_row = RowNumber(*load.rows_of(chunk).start());
        let stretch = Stretch { start: borders[at - 1], end: borders[at], first_row };
        let mut outcomes = MergedOutcomes::open([&path]).unwrap();
        let appended = files
            .append(
                &["source.csv".to_owned()],
                &source,
                stretch,
                &mut outcomes,
                &RowPlace::of_one_file,
            )
            .unwrap();
        assert_eq!(appended.missing, 0);
    }
    files.finish().unwrap();

    let mut seen = HashSet::new();
    // Equal rows may have got each other's outcome, each of them once.
    let mut claims: HashMap<Vec<String>, Vec<(Truth, String)>> = HashMap::new();
    for (name, width) in [("success.csv", 6), ("failed.csv", 6), ("unprocessed.csv", 4)] {
        let mut last = 0;
        for record in records(&folder.path().join(name)) {
            let row: u64 = record[1].parse().unwrap();
            assert!(row > last && seen.insert(row), "{name}: row {row} behind {last}");
            last = row;
            let values: Vec<String> = record.iter().skip(width).map(str::to_owned).collect();
            assert_eq!(values, load.cells(row), "the values of row {row} as they stood");
            let truth = match (name, &record[width - 1]) {
                ("success.csv", "true") => Truth::Created,
                ("success.csv", "false") => Truth::Updated,
                ("failed.csv", _) => Truth::Refused,
                ("unprocessed.csv", _) => Truth::Unreached,
                other => panic!("{other:?}"),
            };
            let told = match truth {
                Truth::Created | Truth::Updated => record[4].to_owned(),
                Truth::Refused => record[5].to_owned(),
                Truth::Unreached => String::new(),
            };
            claims.entry(load.class(row)).or_default().push((truth, told));
        }
    }
    assert_eq!(seen.len() as u64, load.rows, "every row in exactly one file");
    assert!(!folder.path().join("disputed.csv").exists());
    for row in 1..=load.rows {
        let told = match load.truth(row) {
            Truth::Created | Truth::Updated => id(row),
            Truth::Refused => error(row),
            Truth::Unreached => String::new(),
        };
        let claims = claims.get_mut(&load.class(row)).unwrap();
        let found = claims.iter().position(|claim| *claim == (load.truth(row), told.clone()));
        claims.remove(found.unwrap_or_else(|| panic!("row {row} lost its outcome")));
    }
}

impl Load {
    /// Equal for rows that are equal in every column, to the org.
    fn class(&self, row: u64) -> Vec<String> {
        let chunk = (row - 1) / (self.rows / self.chunks);
        let mut class: Vec<String> =
            (0..self.columns.len()).map(|column| self.rendered(row, column)).collect();
        class.push(chunk.to_string());
        class
    }
}

fn records(path: &Path) -> impl Iterator<Item = csv::StringRecord> {
    csv::Reader::from_path(path).unwrap().into_records().map(Result::unwrap)
}

fn account(row: u64, column: usize) -> String {
    match column {
        0 => match draw(row, 2) % 50 {
            0 => format!("Müller, \"{row}\" & Co"),
            1 => format!("two\nlines {row}"),
            _ => format!("Company {}", draw(row, 3) % 1000),
        },
        1 => format!("L-{row:08}"),
        2 => (draw(row, 4) % 900 * 100_000).to_string(),
        3 => ["TRUE", "false", "1", ""][(draw(row, 5) % 4) as usize].to_owned(),
        _ => if row.is_multiple_of(7) { "#N/A" } else { "" }.to_owned(),
    }
}

const ACCOUNT: &[(&str, ValueKind)] = &[
    ("Name", TEXT),
    ("Legacy_Id__c", TEXT),
    ("AnnualRevenue", ValueKind::Number),
    ("Active__c", ValueKind::Boolean),
    ("Phone", TEXT),
];

const UPSERT: Load = Load {
    rows: 20_000,
    chunks: 2,
    failed_chunk: None,
    columns: ACCOUNT,
    value: account,
    key: Some(1),
    unique_text: None,
    crlf: false,
};

#[test]
fn two_hundred_thousand_rows_in_four_jobs_of_which_one_failed() {
    judge(&Load { rows: 200_000, chunks: 4, failed_chunk: Some(3), ..UPSERT });
}

#[test]
fn rows_in_the_line_ends_of_a_spreadsheet() {
    judge(&Load { crlf: true, ..UPSERT });
    judge(&Load { crlf: true, key: None, unique_text: Some(1), ..UPSERT });
}

#[test]
fn rows_of_an_insert_that_has_no_key() {
    judge(&Load { key: None, unique_text: Some(1), ..UPSERT });
    judge(&Load { key: None, ..UPSERT });
}

#[test]
fn rows_that_are_equal_in_every_column() {
    let value = |row: u64, column: usize| account(row % 3000 + 1, column);
    judge(&Load { value, key: None, ..UPSERT });
    judge(&Load { value, ..UPSERT });
}

#[test]
fn rows_of_numbers_only() {
    let columns: &[_] =
        &[("A", ValueKind::Number), ("B", ValueKind::Number), ("C", ValueKind::Number)];
    let value = |row: u64, column: usize| match column {
        0 => (draw(row, 1) % 50 * 1_000_000).to_string(),
        1 => format!("{}.{}0", draw(row, 2) % 3000, draw(row, 3) % 10),
        _ => {
            if row.is_multiple_of(3) {
                String::new()
            } else {
                (row % 11).to_string()
            }
        }
    };
    judge(&Load { columns, value, key: None, ..UPSERT });
}

#[test]
fn rows_with_a_numeric_external_id() {
    let columns: &[_] = &[("Number__c", ValueKind::Number), ("Name", TEXT)];
    let value = |row: u64, column: usize| match column {
        0 => (row + 9_990_000).to_string(),
        _ => "same".to_owned(),
    };
    judge(&Load { columns, value, key: Some(0), ..UPSERT });
}

#[test]
fn rows_whose_external_ids_differ_only_in_case() {
    let value = |row: u64, column: usize| match column {
        // Four spellings of each key.
        0 => {
            let key = format!("ab-{:06}-cd", row / 4);
            match row % 4 {
                0 => key,
                1 => key.to_uppercase(),
                2 => key.replace("ab", "Ab"),
                _ => key.replace("cd", "Cd"),
            }
        }
        _ => "same".to_owned(),
    };
    let columns: &[_] = &[("Ext__c", TEXT), ("Name", TEXT)];
    judge(&Load { columns, value, key: Some(0), ..UPSERT });
    let columns: &[_] = &[("Ext__c", CASED), ("Name", TEXT)];
    judge(&Load { columns, value, key: Some(0), ..UPSERT });
}
