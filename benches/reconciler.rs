//! How fast results find their rows: one chunk of default size, 12 columns,
//! results shuffled and rendered again, 2 % of the rows failed.
//!
//! Timed are the reading of sets and body from memory and the matching; the
//! data are made before. `cargo bench --bench reconciler`; docs/benchmarks.md
//! has the figures.

#![expect(clippy::unwrap_used, reason = "a bench that fails should say so and stop")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use bulkhaul::domain::{
    LineEnding, MatchTier, Operation, ResultSet, RowNumber, RowOutcome, RowRanges, ValueKind,
};
use bulkhaul::reconciler::{
    MatchRule, OutcomeReader, OutcomeWriter, ResultFiles, ResultSets, SentColumn, SentColumns,
    SentRows, reconcile,
};
use bulkhaul::rows::{Dialect, RawBatch, RawRecord, RowStream, SourceError, SourceRows, Stretch};
use bytes::Bytes;
use divan::counter::ItemsCount;

fn main() {
    divan::main();
}

/// Rows of a chunk by default.
const ROWS: u64 = 250_000;

struct Sets(Arc<[Vec<u8>; 3]>);

struct Shared(Arc<[Vec<u8>; 3]>, usize, usize);

impl Read for Shared {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let mut rest: &[u8] = &self.0[self.1][self.2..];
        let count = rest.read(space)?;
        self.2 += count;
        Ok(count)
    }
}

impl ResultSets for Sets {
    fn open(&self, set: ResultSet) -> io::Result<Box<dyn Read + Send>> {
        let at = ResultSet::ALL.iter().position(|&known| known == set).unwrap();
        Ok(Box::new(Shared(self.0.clone(), at, 0)))
    }
}

struct Chunk {
    sent: SentColumns,
    body: Arc<Vec<u8>>,
    sets: Sets,
    rows: RowRanges,
}

fn chunk() -> Chunk {
    let text = ValueKind::Text { case_sensitive: false };
    let columns = [
        ("Name", text),
        ("Legacy_Id__c", text),
        ("AnnualRevenue", ValueKind::Number),
        ("NumberOfEmployees", ValueKind::Number),
        ("Phone", text),
        ("Website", text),
        ("BillingStreet", text),
        ("BillingCity", text),
        ("BillingCountry", text),
        ("Active__c", ValueKind::Boolean),
        ("Founded__c", ValueKind::Date),
        ("Number__c", ValueKind::Number),
    ];
    let sent = SentColumns {
        columns: columns
            .iter()
            .map(|&(header, kind)| SentColumn { header: header.to_owned(), kind })
            .collect(),
        delimiter: b',',
    };
    let cells = |row: u64, returned: bool| -> Vec<String> {
        let money = row * 1000 + 45_000_000;
        vec![
            format!("Company {row} of {}", row % 977),
            format!("L-{row:08}"),
            if returned { format!("{money:E}") } else { money.to_string() },
            (row % 5000).to_string(),
            format!("+49 30 {:07}", row * 7 % 10_000_000),
            format!("https://www.example-{row}.com"),
            format!("Street {} No. {}", row % 311, row % 90),
            format!("City {}", row % 701),
            "Germany".to_owned(),
            if row.is_multiple_of(2) { "true" } else { "false" }.to_owned(),
            format!("19{:02}-0{}-1{}", row % 90 + 10, row % 9 + 1, row % 10),
            if returned {
                format!("{:E}", row + 10_000_000)
            } else {
                (row + 10_000_000).to_string()
            },
        ]
    };
    let header: Vec<_> = columns.iter().map(|column| column.0).collect();
    let header = header.join(",");
    let mut body = String::new();
    let mut sets = [
        format!("\"sf__Id\",\"sf__Created\",{header}\n"),
        format!("\"sf__Id\",\"sf__Error\",{header}\n"),
        format!("{header}\n"),
    ];
    for row in 0..ROWS {
        body.push_str(&cells(row, false).join(","));
        body.push('\n');
    }
    for at in 0..ROWS {
        // Batches of 200 come back in another order.
        let row = at / 200 * 7 % (ROWS / 200) * 200 + at % 200;
        let cells = cells(row, true).join("\",\"");
        if row.is_multiple_of(50) {
            let error = "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --";
            let _ = writeln!(sets[1], "\"\",\"{error}\",\"{cells}\"");
        } else {
            let _ = writeln!(sets[0], "\"001{row:012}AAA\",\"true\",\"{cells}\"");
        }
    }
    Chunk {
        sent,
        body: Arc::new(body.into_bytes()),
        sets: Sets(Arc::new(sets.map(String::into_bytes))),
        rows: (1..=ROWS).map(RowNumber).collect(),
    }
}

fn run(bencher: divan::Bencher, rule: MatchRule, tier: MatchTier) {
    let chunk = chunk();
    let open = || -> io::Result<Box<dyn Read + Send>> {
        let body = chunk.body.clone();
        Ok(Box::new(Cursor::new(Whole(body))))
    };
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let rows = SentRows { rows: &chunk.rows, open: &open };
        let mut by_tier = 0u64;
        let proof = reconcile(&chunk.sent, &rule, rows, &chunk.sets, 1, &mut |outcome| {
            by_tier += u64::from(outcome.tier == Some(tier));
            black_box(outcome);
            Ok(())
        })
        .unwrap();
        assert!(proof.is_whole() && by_tier == ROWS);
    });
}

struct Whole(Arc<Vec<u8>>);

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn rule(operation: Operation) -> MatchRule {
    MatchRule { key: None, user_keys: Vec::new(), unique_text: None, operation }
}

#[divan::bench(sample_count = 10)]
fn upsert_by_text_key(bencher: divan::Bencher) {
    run(bencher, MatchRule { key: Some(1), ..rule(Operation::Upsert) }, MatchTier::Key);
}

#[divan::bench(sample_count = 10)]
fn upsert_by_numeric_key(bencher: divan::Bencher) {
    run(bencher, MatchRule { key: Some(11), ..rule(Operation::Upsert) }, MatchTier::Key);
}

#[divan::bench(sample_count = 10)]
fn insert_by_unique_text(bencher: divan::Bencher) {
    let rule = MatchRule { unique_text: Some(0), ..rule(Operation::Insert) };
    run(bencher, rule, MatchTier::UniqueColumn);
}

#[divan::bench(sample_count = 10)]
fn insert_by_digest(bencher: divan::Bencher) {
    run(bencher, rule(Operation::Insert), MatchTier::Digest);
}

fn outcomes() -> Vec<RowOutcome> {
    let chunk = chunk();
    let open = || -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor::new(Whole(chunk.body.clone()))))
    };
    let rule = MatchRule { key: Some(1), ..rule(Operation::Upsert) };
    let mut outcomes = Vec::new();
    let rows = SentRows { rows: &chunk.rows, open: &open };
    reconcile(&chunk.sent, &rule, rows, &chunk.sets, 1, &mut |outcome| {
        outcomes.push(outcome);
        Ok(())
    })
    .unwrap();
    outcomes
}

#[divan::bench(sample_count = 10)]
fn write_outcome_file(bencher: divan::Bencher) {
    let outcomes = outcomes();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.outcomes");
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut writer = OutcomeWriter::create(&path, 1).unwrap();
        for outcome in &outcomes {
            writer.push(outcome).unwrap();
        }
        writer.finish().unwrap()
    });
}

#[divan::bench(sample_count = 10)]
fn read_outcome_file(bencher: divan::Bencher) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.outcomes");
    let mut writer = OutcomeWriter::create(&path, 1).unwrap();
    for outcome in outcomes() {
        writer.push(&outcome).unwrap();
    }
    writer.finish().unwrap();
    bencher
        .counter(ItemsCount::new(ROWS))
        .bench_local(|| OutcomeReader::open(&path).unwrap().map(Result::unwrap).count());
}

/// The chunk's body as a source in memory, split before the clock starts.
struct Source {
    header: Vec<String>,
    batch: RawBatch,
}

struct Once(Option<RawBatch>);

impl RowStream for Once {
    fn next_batch(&mut self) -> Result<Option<RawBatch>, SourceError> {
        Ok(self.0.take())
    }
}

impl SourceRows for Source {
    fn dialect(&self) -> Dialect {
        Dialect { delimiter: b',', quote: b'"', line_ending: LineEnding::Lf }
    }

    fn header(&self) -> &[String] {
        &self.header
    }

    fn rows(&self, _: Option<Stretch>) -> Result<Box<dyn RowStream>, SourceError> {
        Ok(Box::new(Once(Some(self.batch.clone()))))
    }

    fn bytes(&self, _: u64, _: u64) -> Result<Box<dyn Read + Send>, SourceError> {
        Ok(Box::new(io::empty()))
    }
}

#[divan::bench(sample_count = 10)]
fn write_result_files(bencher: divan::Bencher) {
    let chunk = chunk();
    let mut records = Vec::new();
    let mut start = 0u32;
    for line in chunk.body.split_inclusive(|&byte| byte == b'\n') {
        let next = start + line.len() as u32;
        records.push(RawRecord {
            start,
            end: next - 1,
            next,
            has_quotes: false,
            has_line_break: false,
            has_stray_quote: false,
            fault: None,
        });
        start = next;
    }
    let bytes = Bytes::from(chunk.body.as_ref().clone());
    let header = chunk.sent.columns.iter().map(|column| column.header.clone()).collect();
    let batch = RawBatch { bytes, offset: 0, first_row: RowNumber(1), records };
    let source = Source { header, batch };
    let outcomes = outcomes();
    let folder = tempfile::tempdir().unwrap();
    let stretch = Stretch { start: 0, end: 0, first_row: RowNumber(1) };
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut files = ResultFiles::create(folder.path(), &source.header, &|_| None).unwrap();
        let mut outcomes = outcomes.iter().cloned().map(Ok);
        files.append("accounts.csv", &source, stretch, &mut outcomes, &|row| row).unwrap();
        files.finish().unwrap()
    });
}
