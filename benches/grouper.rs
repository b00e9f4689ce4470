//! How fast rows are put in groups, and outcomes back into source order.
//!
//! Contacts by the account they belong to, from a cached file; what is written
//! goes to the temporary folder and is synced, as a load does.
//! benches/README.md says how to read the figures.

#![expect(clippy::panic, reason = "a bench that can't begin must not measure nothing")]

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use bulkhaul::domain::{Fate, MAX_JOB_BYTES, MatchTier, RowNumber, RowOutcome, ValueKind};
use bulkhaul::generator::{Recipe, SampleObject};
use bulkhaul::grouper::{GroupOptions, KeyColumn, Keyed, RowKey, index_in_place, regroup, survey};
use bulkhaul::reader::{CsvOptions, CsvSource, open_csv};
use bulkhaul::reconciler::SourceOrder;
use bulkhaul::rows::{RawBatch, RowMap, RowMapWriter, SourceRows};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

fn main() {
    divan::main();
}

const ROWS: u64 = 300_000;

/// Memory in MiB: all rows in it, or a dozen sorted runs.
const MEMORY: [usize; 2] = [256, 16];

struct Prepared {
    dir: tempfile::TempDir,
    source: CsvSource,
    column: KeyColumn,
    header: Vec<u8>,
}

fn or_panic<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

fn go_on<T>(_: T) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn open(path: PathBuf, dir: tempfile::TempDir) -> Prepared {
    let source = or_panic(open_csv(&path, &CsvOptions::default()));
    let column = source.header().iter().position(|name| name == "Account.Legacy_Id__c");
    let column = KeyColumn {
        column: column.unwrap_or_default(),
        kind: ValueKind::Text { case_sensitive: false },
        dialect: source.dialect(),
    };
    let mut header = Vec::new();
    let mut text = or_panic(source.bytes(0, source.data_start()));
    or_panic(std::io::Read::read_to_end(&mut text, &mut header));
    Prepared { dir, source, column, header }
}

fn prepare() -> Prepared {
    let dir = or_panic(tempfile::tempdir());
    let path = dir.path().join("contacts.csv");
    let mut text = Vec::new();
    or_panic(Recipe::new(SampleObject::Contact, ROWS).write(&mut text, &mut |_| {}));
    or_panic(std::fs::write(&path, text));
    open(path, dir)
}

impl Prepared {
    fn keys(&self) -> impl FnMut(&RawBatch) -> Vec<RowKey> + use<> {
        let column = self.column;
        move |batch| column.keys(batch, None)
    }

    fn options(&self, mebibytes: usize) -> GroupOptions {
        let header = self.header.len() as u64;
        let options = GroupOptions::new(250_000, MAX_JOB_BYTES, header);
        GroupOptions { memory: mebibytes << 20, ..options }
    }

    fn bytes(&self) -> u64 {
        self.source.identity().bytes
    }
}

#[divan::bench(sample_count = 10)]
fn survey_parents(bencher: Bencher) {
    let it = prepare();
    bencher.counter(BytesCount::new(it.bytes())).counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut rows = or_panic(it.source.rows(None));
        let from = Keyed { rows: &mut *rows, keys: &mut it.keys() };
        let found = or_panic(survey(from, &it.options(256), &mut go_on));
        assert!(found.rows == ROWS && found.distinct > 1000);
    });
}

#[divan::bench(args = MEMORY, sample_count = 10)]
fn sort_and_pack(bencher: Bencher, mebibytes: usize) {
    let it = prepare();
    let line_ending = it.source.dialect().line_ending;
    bencher.counter(BytesCount::new(it.bytes())).counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut rows = or_panic(it.source.rows(None));
        let from = Keyed { rows: &mut *rows, keys: &mut it.keys() };
        let options = it.options(mebibytes);
        let derived = regroup(&it.header, line_ending, from, &options, it.dir.path(), &mut go_on);
        assert_eq!(or_panic(derived).map.len(), ROWS);
    });
}

#[divan::bench(sample_count = 10)]
fn index_of_an_ordered_source(bencher: Bencher) {
    let unordered = prepare();
    let line_ending = unordered.source.dialect().line_ending;
    let mut rows = or_panic(unordered.source.rows(None));
    let from = Keyed { rows: &mut *rows, keys: &mut unordered.keys() };
    let options = unordered.options(256);
    let folder = unordered.dir.path();
    let derived = regroup(&unordered.header, line_ending, from, &options, folder, &mut go_on);
    let path = or_panic(derived).path;
    let it = open(path, unordered.dir);
    bencher.counter(BytesCount::new(it.bytes())).counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut rows = or_panic(it.source.rows(None));
        let from = Keyed { rows: &mut *rows, keys: &mut it.keys() };
        let indexed = or_panic(index_in_place(from, &options, it.dir.path(), &mut go_on));
        assert_eq!(indexed.index.rows(), ROWS);
    });
}

#[divan::bench(args = [64, 4], sample_count = 10)]
fn outcomes_to_source_order(bencher: Bencher, mebibytes: usize) {
    let dir = or_panic(tempfile::tempdir());
    let path = dir.path().join("grouped.rows");
    let mut writer = or_panic(RowMapWriter::create(&path));
    for at in 0..ROWS {
        // Every row once: the factor has no divisor in common with 300,000.
        or_panic(writer.push(RowNumber(at * 7919 % ROWS + 1)));
    }
    or_panic(writer.finish());
    let map = Arc::new(or_panic(RowMap::open(&path)));
    let outcome = |position| RowOutcome {
        row: RowNumber(position),
        fate: Fate::Created,
        tier: Some(MatchTier::Key),
        attempts: 1,
        id: "0017Q00000AbCdeQAF".parse().ok(),
        error: None,
    };
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let order = SourceOrder::create(Arc::clone(&map), &dir.path().join("order"));
        let mut order = or_panic(order).within(mebibytes << 20, 16);
        or_panic(order.push(&mut (1..=ROWS).map(|position| Ok(outcome(position)))));
        assert_eq!(or_panic(order.finish()).map(or_panic).count() as u64, ROWS);
    });
}
