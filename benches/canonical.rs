//! How fast cells are brought into canonical form and hashed, by kind: this
//! runs for every cell of every row, twice (as sent, as returned).

#![expect(clippy::panic, reason = "a bench that can't begin must not measure nothing")]

use bulkhaul::domain::ValueKind;
use bulkhaul::generator::{Recipe, SampleObject};
use bulkhaul::rows::{KeyExactness, canonical_hash, key_hash};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

fn main() {
    divan::main();
}

const CELLS: u64 = 10_000;

#[derive(Debug, Clone, Copy)]
enum Sample {
    Text,
    Number,
    Boolean,
    Date,
    DateTime,
    Words,
}

const SAMPLES: [Sample; 6] =
    [Sample::Text, Sample::Number, Sample::Boolean, Sample::Date, Sample::DateTime, Sample::Words];

fn sample(of: Sample) -> (ValueKind, Vec<String>) {
    let (column, kind) = match of {
        Sample::Text => ("Name", ValueKind::Text { case_sensitive: false }),
        Sample::Number => ("AnnualRevenue", ValueKind::Number),
        Sample::Boolean => ("Active__c", ValueKind::Boolean),
        Sample::Date => ("Contract_Start__c", ValueKind::Date),
        Sample::DateTime => ("Last_Audit__c", ValueKind::DateTime),
        Sample::Words => ("Segments__c", ValueKind::MultiPicklist),
    };
    (kind, cells(column))
}

fn cells(column: &str) -> Vec<String> {
    let recipe = Recipe::new(SampleObject::Account, CELLS)
        .columns(&[column])
        .unwrap_or_else(|error| panic!("{error}"));
    (1..=CELLS).filter_map(|row| recipe.value(row, 0)).collect()
}

fn measure(bencher: Bencher, cells: &[String], hash: impl Fn(&[u8]) -> u64 + Sync) {
    let bytes: usize = cells.iter().map(String::len).sum();
    bencher.counter(ItemsCount::new(cells.len())).counter(BytesCount::new(bytes)).bench_local(
        || cells.iter().fold(0u64, |sum, cell| sum.wrapping_add(hash(cell.as_bytes()))),
    );
}

#[divan::bench(args = SAMPLES)]
fn canonical(bencher: Bencher, of: Sample) {
    let (kind, cells) = sample(of);
    measure(bencher, &cells, |cell| canonical_hash(kind, cell));
}

#[divan::bench]
fn number_as_the_org_returns_it(bencher: Bencher) {
    let returned: Vec<String> = cells("AnnualRevenue")
        .iter()
        .map(|cell| format!("{:E}", cell.parse::<f64>().unwrap_or_default()))
        .collect();
    measure(bencher, &returned, |cell| canonical_hash(ValueKind::Number, cell));
}

#[divan::bench(args = [KeyExactness::Exact, KeyExactness::Folded])]
fn key(bencher: Bencher, exactness: KeyExactness) {
    let kind = ValueKind::Text { case_sensitive: false };
    measure(bencher, &cells("Legacy_Id__c"), |cell| key_hash(kind, exactness, cell));
}

#[divan::bench(args = [ValueKind::Id, ValueKind::Text { case_sensitive: true }])]
fn ids(bencher: Bencher, kind: ValueKind) {
    let ids: Vec<String> = (0..CELLS).map(|n| format!("0017Q{n:010}QAA").to_uppercase()).collect();
    measure(bencher, &ids, |cell| key_hash(kind, KeyExactness::Exact, cell));
}
