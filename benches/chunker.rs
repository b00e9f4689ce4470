//! How fast row batches are transformed and cut into chunks, digests and all.
//!
//! One core, batches from memory; where a spool is needed it is written and
//! synced to the temporary folder, as a load does. benches/README.md says how
//! to read the figures.

#![expect(clippy::panic, reason = "a bench that can't begin must not measure nothing")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhaul::chunker::{
    ChunkSink, ChunkSizing, Chunker, ChunkerOptions, Duplicates, PlannedChunk,
};
use bulkhaul::domain::{MAX_JOB_BYTES, ObjectDescription, Operation, RowOutcome};
use bulkhaul::generator::{Recipe, SampleObject};
use bulkhaul::reader::{CsvOptions, CsvSource, open_csv};
use bulkhaul::rows::{RawBatch, SourceRows};
use bulkhaul::transformer::{EmptyMeans, LoadSpec, Plan, compile};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

fn main() {
    divan::main();
}

/// About 60 MB: more than any cache holds.
const ROWS: u64 = 300_000;

#[derive(Debug, Clone, Copy)]
enum Load {
    /// Nothing to look at: an insert with `--key` and no boolean column.
    Identity,
    /// An insert without a key: text columns are watched for being unique.
    WatchedTexts,
    /// A boolean column whose words all are `true` or `false`.
    Booleans,
    /// A boolean column whose words all are `1` or `0`: every row is rewritten.
    BooleanWords,
    /// An upsert: the key of every row is hashed and kept.
    Upsert,
    /// A column is left out: every row is rewritten.
    Dropped,
}

const LOADS: [Load; 6] = [
    Load::Identity,
    Load::WatchedTexts,
    Load::Booleans,
    Load::BooleanWords,
    Load::Upsert,
    Load::Dropped,
];

struct Prepared {
    _dir: tempfile::TempDir,
    spools: PathBuf,
    source: Arc<CsvSource>,
    batches: Vec<RawBatch>,
    bytes: u64,
    plan: Plan,
}

fn or_panic<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

fn write_source(path: &Path, load: Load) {
    let mut text = Vec::new();
    or_panic(Recipe::new(SampleObject::Account, ROWS).write(&mut text, &mut |_| {}));
    if matches!(load, Load::BooleanWords) {
        let text_in = or_panic(String::from_utf8(text));
        text = text_in.replace(",true,", ",1,").replace(",false,", ",0,").into_bytes();
    }
    or_panic(std::fs::write(path, text));
}

/// A describe in which every column of the source is a text field, the boolean
/// one apart where that is measured.
fn describe(header: &[String], load: Load) -> ObjectDescription {
    let has_booleans = matches!(load, Load::Booleans | Load::BooleanWords);
    let fields: Vec<_> = header
        .iter()
        .map(|name| {
            let is_boolean = has_booleans && name == "Active__c";
            serde_json::json!({
                "name": name, "type": if is_boolean { "boolean" } else { "string" },
                "nillable": true, "createable": true, "updateable": true,
                "externalId": name == "Legacy_Id__c",
            })
        })
        .collect();
    or_panic(serde_json::from_value(serde_json::json!({
        "name": "Account", "createable": true, "updateable": true, "fields": fields,
    })))
}

fn prepare(load: Load) -> Prepared {
    let dir = or_panic(tempfile::tempdir());
    let path = dir.path().join("accounts.csv");
    write_source(&path, load);
    let source = or_panic(open_csv(&path, &CsvOptions::default()));
    let object = describe(source.header(), load);
    let is_upsert = matches!(load, Load::Upsert);
    let drops = [("Website".to_owned(), String::new())];
    let keys = ["Legacy_Id__c".to_owned()];
    let spec = LoadSpec {
        operation: if is_upsert { Operation::Upsert } else { Operation::Insert },
        object: &object,
        external_id: is_upsert.then_some("Legacy_Id__c"),
        user_keys: if matches!(load, Load::WatchedTexts) { &[] } else { &keys },
        currency: None,
        renames: if matches!(load, Load::Dropped) { &drops } else { &[] },
        empty: EmptyMeans::Skip,
        mapping: None,
    };
    let plan = compile(&spec, source.header(), source.dialect(), &mut |_| None)
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut batches = Vec::new();
    let mut rows = or_panic(source.rows(None));
    while let Some(batch) = or_panic(rows.next_batch()) {
        batches.push(batch);
    }
    let bytes = batches.iter().map(|batch| batch.bytes.len() as u64).sum();
    let spools = dir.path().join("spool");
    or_panic(std::fs::create_dir(&spools));
    Prepared { _dir: dir, spools, source: Arc::new(source), batches, bytes, plan }
}

#[derive(Default)]
struct Count {
    rows: u64,
}

impl ChunkSink for Count {
    fn rejected(&mut self, _: u64, _: RowOutcome) -> io::Result<()> {
        Ok(())
    }

    fn planned(&mut self, chunk: PlannedChunk) -> io::Result<()> {
        self.rows += chunk.rows.len();
        Ok(())
    }
}

#[divan::bench(args = LOADS, sample_count = 10)]
fn transform(bencher: Bencher, load: Load) {
    let it = prepare(load);
    bencher.counter(BytesCount::new(it.bytes)).counter(ItemsCount::new(ROWS)).bench_local(|| {
        let rows: usize = it.batches.iter().map(|batch| it.plan.apply(batch).rows.len()).sum();
        assert!(rows as u64 >= ROWS);
    });
}

#[divan::bench(args = LOADS, sample_count = 10)]
fn transform_and_chunk(bencher: Bencher, load: Load) {
    let it = prepare(load);
    bencher.counter(BytesCount::new(it.bytes)).counter(ItemsCount::new(ROWS)).bench_local(|| {
        let options = ChunkerOptions {
            header_line: it.plan.header_line(),
            line_ending: it.plan.line_ending,
            sizing: ChunkSizing::for_source(Some(ROWS), it.bytes, 4, 250_000, MAX_JOB_BYTES),
            duplicates: Duplicates::Reject,
            key_column: it.plan.key_place(),
            text_columns: it.plan.text_candidates.clone(),
            columns: it.plan.column_names(),
            first_number: 1,
            first_rows: None,
        };
        let mut count = Count::default();
        let mut chunker = Chunker::new(options, it.source.clone(), it.spools.clone());
        for batch in &it.batches {
            or_panic(chunker.push(batch, &it.plan.apply(batch), &mut count));
        }
        or_panic(chunker.finish(&mut count));
        assert_eq!(count.rows, ROWS);
    });
}
