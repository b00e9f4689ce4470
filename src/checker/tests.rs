//! Rows that are the same in something, against the obvious way to find them;
//! and one thread or many, the same findings.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::{LineEnding, ObjectDescription, Operation, RowNumber, ValueKind};
use crate::rows::{
    Dialect, EncodedBatch, EncodedRow, PositionUnit, RawBatch, RawRecord, TemporaryFolder,
};

fn temporary(folder: &tempfile::TempDir) -> TemporaryFolder {
    TemporaryFolder::create(&folder.path().join("sort")).unwrap()
}

fn object() -> ObjectDescription {
    serde_json::from_value(json!({
        "name": "Thing__c",
        "fields": [
            {"name": "Key__c", "type": "string", "length": 5, "externalId": true, "unique": true,
             "nillable": true, "createable": true, "updateable": true},
            {"name": "Word__c", "type": "string", "length": 3, "nillable": true,
             "createable": true, "updateable": true},
            {"name": "Name", "type": "string", "length": 80, "nillable": false, "createable": true,
             "updateable": true},
        ],
    }))
    .unwrap()
}

fn spec(operation: Operation, fields: &[&str]) -> CheckSpec {
    let object = object();
    let columns = fields
        .iter()
        .enumerate()
        .map(|(at, name)| CheckedColumn {
            label: format!("`{name}`, column {}", at + 1),
            header: (*name).to_owned(),
            source: Some(at),
            field: object.field(name).unwrap().clone(),
            parent_key: None,
        })
        .collect();
    CheckSpec {
        operation,
        columns,
        key: (operation == Operation::Upsert).then_some(0),
        source: Dialect { delimiter: b',', quote: b'"', line_ending: LineEnding::Lf },
        delimiter: b',',
        prefixes: BTreeMap::new(),
        picklists: RecordTypePicklists::default(),
        asked: Vec::new(),
        tells_duplicate_keys: true,
        object,
    }
}

/// Batches of so many rows, which go as they stand.
fn batches(rows: &[Vec<String>], each: usize) -> Vec<(RawBatch, EncodedBatch)> {
    let mut first = 1;
    rows.chunks(each.max(1))
        .map(|rows| {
            let mut text = String::new();
            let mut records = Vec::new();
            for row in rows {
                let start = text.len() as u32;
                let _ = writeln!(text, "{}", row.join(","));
                let next = text.len() as u32;
                records.push(RawRecord {
                    start,
                    end: next - 1,
                    next,
                    has_quotes: false,
                    has_line_break: false,
                    has_stray_quote: false,
                    fault: None,
                });
            }
            let encoded = EncodedBatch {
                rows: vec![EncodedRow::Same; records.len()],
                ..EncodedBatch::default()
            };
            let batch = RawBatch {
                bytes: Bytes::from(text),
                offset: 0,
                unit: PositionUnit::Rows,
                read_bytes: 0,
                first_row: RowNumber(first),
                records,
            };
            first += rows.len() as u64;
            (batch, encoded)
        })
        .collect()
}

/// All findings of a check, by row.
fn check(spec: CheckSpec, rows: &[Vec<String>], each: usize) -> Vec<(u64, CheckRule, u64)> {
    let folder = tempfile::tempdir().unwrap();
    let mut checker = Checker::new(spec);
    let mut gatherer = Gatherer::new(&checker, temporary(&folder)).unwrap();
    let batches = batches(rows, each);
    for (batch, encoded) in &batches {
        gatherer.take(checker.look(batch, encoded, true)).unwrap();
    }
    let gathered = gatherer.finish(&mut checker).unwrap();
    assert_eq!(gathered.rows, rows.len() as u64);
    let mut answers = Answers::new();
    let mut crossing = gathered.compare(&checker, &mut answers).unwrap();
    let mut found = Vec::new();
    for (batch, encoded) in &batches {
        found.extend(checker.look(batch, encoded, false).findings);
        let last = batch.first_row.plus(batch.records.len() as u64 - 1);
        crossing.up_to(last, &mut found).unwrap();
    }
    let mut found: Vec<_> = found
        .into_iter()
        .map(|finding| {
            let twin = match finding.detail {
                Detail::Twin(twin) => twin.0,
                _ => 0,
            };
            (finding.row.0, finding.rule, twin)
        })
        .collect();
    found.sort_unstable();
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn rows_that_are_the_same_are_found_whatever_the_batches(
        rows in prop::collection::vec(("[abAB]{0,2}", "[xy]{0,4}", "[n]{0,1}"), 0..60),
        each in 1usize..20,
    ) {
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|(key, word, name)| vec![key, word, name]).collect();
        let mut expected = Vec::new();
        let mut seen: HashMap<String, u64> = HashMap::new();
        for (at, row) in rows.iter().enumerate() {
            let number = at as u64 + 1;
            let key = row[0].to_lowercase();
            if key.is_empty() {
                expected.push((number, CheckRule::MissingKey, 0));
            } else if let Some(&twin) = seen.get(&key) {
                expected.push((number, CheckRule::DuplicateKey, twin));
                if !expected.iter().any(|&(row, rule, _)| {
                    row == twin && rule == CheckRule::DuplicateKey
                }) {
                    expected.push((twin, CheckRule::DuplicateKey, number));
                }
            } else {
                seen.insert(key, number);
            }
            if row[1].chars().count() > 3 {
                expected.push((number, CheckRule::TooLong, 0));
            }
            if row[2].is_empty() {
                expected.push((number, CheckRule::RequiredIfNew, 0));
            }
        }
        expected.sort_unstable();
        let found = check(spec(Operation::Upsert, &["Key__c", "Word__c", "Name"]), &rows, each);
        prop_assert_eq!(&found, &expected);

        // Without a key, rows that are the same in all are told.
        let mut seen: HashMap<Vec<String>, u64> = HashMap::new();
        let mut expected = Vec::new();
        let pairs: Vec<Vec<String>> =
            rows.iter().map(|row| vec![row[1].clone(), row[2].clone()]).collect();
        for (at, row) in pairs.iter().enumerate() {
            let number = at as u64 + 1;
            if row[0].chars().count() > 3 {
                expected.push((number, CheckRule::TooLong, 0));
            }
            if row[1].is_empty() {
                expected.push((number, CheckRule::Required, 0));
            }
            match seen.get(row) {
                Some(twin) => expected.push((number, CheckRule::IdenticalRow, *twin)),
                None => {
                    seen.insert(row.clone(), number);
                }
            }
        }
        expected.sort_unstable();
        let found = check(spec(Operation::Insert, &["Word__c", "Name"]), &pairs, each);
        prop_assert_eq!(&found, &expected);
    }
}

#[test]
fn many_rows_on_many_threads_are_found_as_few_on_one() {
    let row = |at: usize| vec![format!("{}", at % 4_000), "abcd".into(), "n".into()];
    let rows: Vec<Vec<String>> = (0..5_000).map(row).collect();
    let spec = || spec(Operation::Upsert, &["Key__c", "Word__c", "Name"]);
    let together = check(spec(), &rows, 5_000);
    assert_eq!(together, check(spec(), &rows, 17));
    let of = |rule| together.iter().filter(|(_, found, _)| *found == rule).count();
    assert_eq!((of(CheckRule::TooLong), of(CheckRule::DuplicateKey)), (5_000, 2_000));
}

#[test]
fn a_parent_that_the_org_lacks_may_be_a_row_of_the_source() {
    let mut spec = spec(Operation::Upsert, &["Key__c", "Name"]);
    let kind = ValueKind::Text { case_sensitive: false };
    // The second column is taken for a lookup by the key of this very object.
    spec.asked.push(Asked { column: 1, purpose: Purpose::Parent, kind, may_be_in_source: true });
    let rows: Vec<Vec<String>> = [["a", "B"], ["b", "nobody"], ["c", "there"]]
        .iter()
        .map(|row| row.iter().map(|cell| (*cell).to_owned()).collect())
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let mut checker = Checker::new(spec);
    let mut gatherer = Gatherer::new(&checker, temporary(&folder)).unwrap();
    let batches = batches(&rows, 10);
    let (batch, encoded) = &batches[0];
    gatherer.take(checker.look(batch, encoded, true)).unwrap();
    let mut gathered = gatherer.finish(&mut checker).unwrap();
    let asked = gathered.take_asked(0).next(10).unwrap();
    let mut values: Vec<&str> = asked.iter().map(|key| key.value.as_str()).collect();
    values.sort_unstable();
    assert_eq!(values, ["B", "nobody", "there"]);
    let mut answers: Answers = asked
        .iter()
        .filter(|key| key.value != "there")
        .map(|key| ((0, key.hash), CheckRule::MissingParent))
        .collect();
    gathered.compare(&checker, &mut answers).unwrap();
    checker.answered(answers);
    let found: Vec<_> = checker
        .look(batch, encoded, false)
        .findings
        .iter()
        .map(|finding| (finding.row.0, finding.rule))
        .collect();
    assert_eq!(found, [(1, CheckRule::ParentInSource), (2, CheckRule::MissingParent)]);
}
