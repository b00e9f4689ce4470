//! What records prove of a disputed row, case by case.

use serde_json::json;

use super::super::matcher::SentColumn;
use super::*;
use crate::domain::Field;

const TEXT: ValueKind = ValueKind::Text { case_sensitive: false };
const CASED: ValueKind = ValueKind::Text { case_sensitive: true };
const ID: &str = "0017Q00000AbCdeQAF";
const OTHER: &str = "0017Q00000AbCdfQAF";
const USER: &str = "0057Q000002xYzQQAU";
const SOMEBODY: &str = "0057Q000002xYzRQAU";
const SINCE: &str = "2026-01-15T08:30:12.900Z";
const BEFORE: &str = "2026-01-15T08:30:11.000+0000";
const AFTER: &str = "2026-01-15T08:30:12.000+0000";

fn object() -> ObjectDescription {
    let field = |name: &str, kind: &str| json!({"name": name, "type": kind, "scale": 2});
    serde_json::from_value(json!({
        "name": "Account",
        "fields": [
            field("Id", "id"), field("CreatedDate", "datetime"), field("CreatedById", "reference"),
            field("IsDeleted", "boolean"), field("Amount__c", "double"),
        ],
    }))
    .unwrap()
}

fn id(text: &str) -> RecordId {
    text.parse().unwrap()
}

/// Judges rows of one operation and set of columns.
struct Case {
    settling: Settling,
}

impl Case {
    fn new(operation: Operation, columns: &[(&str, ValueKind)], keys: &[usize]) -> Case {
        let columns = columns
            .iter()
            .map(|&(header, kind)| SentColumn { header: header.to_owned(), kind })
            .collect();
        let is_insert = operation == Operation::Insert;
        let rule = MatchRule {
            key: keys.first().copied().filter(|_| !is_insert),
            user_keys: if is_insert { keys.to_vec() } else { Vec::new() },
            unique_text: None,
            operation,
        };
        let sent = SentColumns { columns, delimiter: b',' };
        let since = SINCE.parse().unwrap();
        let settling = Settling::new(&sent, &rule, &object(), since, Some(id(USER)));
        Case { settling }
    }

    fn judge(&self, cells: &[&str], records: &[FoundRecord]) -> Settled {
        let cells: Vec<&[u8]> = cells.iter().map(|cell| cell.as_bytes()).collect();
        self.settling.judge(&cells, &records.iter().collect::<Vec<_>>(), false)
    }
}

/// A live record of this user, with values of the sent columns.
fn record(own: &str, created: &str, cells: &[&str]) -> FoundRecord {
    let system = [created, USER, "false"];
    FoundRecord {
        id: id(own),
        key: cells.first().copied().unwrap_or_default().to_owned(),
        cells: cells.iter().copied().chain(system).map(str::to_owned).collect(),
    }
}

fn deleted(mut record: FoundRecord) -> FoundRecord {
    *record.cells.last_mut().unwrap() = "true".to_owned();
    record
}

fn saved(fate: Fate) -> Settled {
    Settled::Saved { fate, id: Some(id(ID)) }
}

const UPSERTED: &[(&str, ValueKind)] = &[
    ("Legacy_Id__c", TEXT),
    ("Amount__c", ValueKind::Number),
    ("Active__c", ValueKind::Boolean),
    ("Audit__c", ValueKind::DateTime),
    ("User:Owner.Username", TEXT),
    ("Segments__c", ValueKind::MultiPicklist),
];

#[test]
fn what_is_asked_for_is_what_was_sent_and_who_made_the_record() {
    let upsert = Case::new(Operation::Upsert, UPSERTED, &[0]).settling;
    assert_eq!(
        upsert.fields(),
        [
            "Legacy_Id__c",
            "Amount__c",
            "Active__c",
            "Audit__c",
            "Owner.Username",
            "Segments__c",
            "CreatedDate",
            "CreatedById",
            "IsDeleted",
        ]
    );
    assert_eq!((upsert.lookup(), upsert.lookup_column()), (Some(("Legacy_Id__c", TEXT)), Some(0)));
    // A text finds records better than a set of words.
    let insert = Case::new(Operation::Insert, UPSERTED, &[5, 4]).settling;
    assert_eq!(insert.lookup(), Some(("Owner.Username", TEXT)));
    let keyless = Case::new(Operation::Insert, UPSERTED, &[]);
    assert_eq!(keyless.settling.lookup(), None);
    assert_eq!(keyless.judge(&["A", "", "", "", "", ""], &[]), Settled::Disputed);
}

#[test]
fn an_upsert_that_is_in_the_record_was_applied() {
    let case = Case::new(Operation::Upsert, UPSERTED, &[0]);
    let sent =
        ["a-1 ", "45800000", "1", "2026-04-16T19:00:00.700+01:00", "Admin@acme.example", "b;a"];
    let there =
        ["A-1", "4.58E7", "true", "2026-04-16T18:00:00.000+0000", "admin@acme.example", "a;b"];
    assert_eq!(case.judge(&sent, &[record(ID, BEFORE, &there)]), saved(Fate::Updated));
    // The org keeps seconds, so the second in which the run began counts.
    assert_eq!(case.judge(&sent, &[record(ID, AFTER, &there)]), saved(Fate::Created));
    assert_eq!(case.judge(&sent, &[]), Settled::Unprocessed);
    assert_eq!(case.judge(&sent, &[deleted(record(ID, AFTER, &there))]), Settled::Unprocessed);
    let two = [record(ID, AFTER, &there), record(OTHER, AFTER, &there)];
    assert_eq!(case.judge(&sent, &two), Settled::Disputed);
    let one_deleted = [deleted(record(OTHER, BEFORE, &there)), record(ID, AFTER, &there)];
    assert_eq!(case.judge(&sent, &one_deleted), saved(Fate::Created));
}

#[test]
fn any_value_that_differs_shows_that_it_was_not_applied() {
    let case = Case::new(Operation::Upsert, UPSERTED, &[0]);
    let there =
        ["A-1", "4.58E7", "true", "2026-04-16T18:00:00.000+0000", "admin@acme.example", "a"];
    let same = ["A-1", "45800000", "true", "2026-04-16T18:00:00Z", "admin@acme.example", "a"];
    assert_eq!(case.judge(&same, &[record(ID, BEFORE, &there)]), saved(Fate::Updated));
    for (at, other) in
        [(1, "45800001"), (2, "false"), (3, "2026-04-16T18:00:01Z"), (4, "x@y.example"), (5, "a;b")]
    {
        for value in [other, "#N/A"] {
            let mut sent = same;
            sent[at] = value;
            let judged = case.judge(&sent, &[record(ID, BEFORE, &there)]);
            assert_eq!(judged, Settled::Unprocessed, "{at} {value}");
        }
    }
}

#[test]
fn an_empty_cell_was_not_sent_and_na_means_empty() {
    let case = Case::new(Operation::Update, &[("Id", ValueKind::Id), ("Phone", TEXT)], &[0]);
    for (sent, there, expected) in [
        ("", "123", saved(Fate::Updated)),
        (" ", "123", saved(Fate::Updated)),
        ("#N/A", "", saved(Fate::Updated)),
        ("#N/A", "123", Settled::Unprocessed),
        ("123", "", Settled::Unprocessed),
        ("abc", "ABC", Settled::Unprocessed),
        (" a\r\nb ", "a\nb", saved(Fate::Updated)),
    ] {
        // Made since the run began, an update is still an update.
        let judged = case.judge(&[&ID[..15], sent], &[record(ID, AFTER, &[ID, there])]);
        assert_eq!(judged, expected, "{sent:?} against {there:?}");
    }
    assert_eq!(case.judge(&["", "x"], &[]), Settled::Disputed, "no key, no proof");
    assert_eq!(case.judge(&["#N/A", "x"], &[]), Settled::Disputed);
}

#[test]
fn a_number_is_kept_with_the_digits_of_its_field() {
    let columns = &[("Id", ValueKind::Id), ("Amount__c", ValueKind::Number)];
    let case = Case::new(Operation::Update, columns, &[0]);
    for (sent, there, expected) in [
        ("1.239", "1.24", saved(Fate::Updated)),
        ("1.235", "1.24", saved(Fate::Updated)),
        ("1.235", "1.23", saved(Fate::Updated)),
        ("-0.001", "0", saved(Fate::Updated)),
        ("1.229", "1.24", Settled::Unprocessed),
        ("1.24", "1.25", Settled::Unprocessed),
        ("1", "", Settled::Unprocessed),
    ] {
        let judged = case.judge(&[ID, sent], &[record(ID, BEFORE, &[ID, there])]);
        assert_eq!(judged, expected, "{sent} against {there}");
    }
}

#[test]
fn a_record_that_is_gone_was_deleted() {
    for operation in [Operation::Delete, Operation::HardDelete] {
        let case = Case::new(operation, &[("Id", ValueKind::Id)], &[0]);
        assert_eq!(case.judge(&[ID], &[]), saved(Fate::Deleted));
        let there = record(ID, BEFORE, &[ID]);
        assert_eq!(case.judge(&[ID], &[deleted(there.clone())]), saved(Fate::Deleted));
        assert_eq!(case.judge(&[&ID[..15]], &[there]), Settled::Unprocessed);
    }
}

#[test]
fn an_insert_is_proven_by_one_record_of_ours_with_its_keys() {
    let columns = &[("Legacy_Id__c", TEXT), ("Name", TEXT), ("Key__c", CASED)];
    let case = Case::new(Operation::Insert, columns, &[0, 2]);
    let sent = ["a-1", "Acme", "x"];
    // Whatever is not a key may be another value by now.
    let own = record(ID, AFTER, &["A-1", "Renamed", "x"]);
    assert_eq!(case.judge(&sent, std::slice::from_ref(&own)), saved(Fate::Created));
    assert_eq!(case.judge(&sent, &[deleted(own.clone())]), saved(Fate::Created));
    assert_eq!(case.judge(&sent, &[]), Settled::Unprocessed);
    // Made before the run, made by somebody else, of another key.
    let mut foreign = own.clone();
    foreign.cells[4] = SOMEBODY.to_owned();
    let others = [
        record(OTHER, BEFORE, &["A-1", "", "x"]),
        foreign,
        record(OTHER, AFTER, &["A-1", "", "X"]),
    ];
    assert_eq!(case.judge(&sent, &others), Settled::Unprocessed);
    let with_own: Vec<_> = others.iter().cloned().chain([own.clone()]).collect();
    assert_eq!(case.judge(&sent, &with_own), saved(Fate::Created));
    let twice = [own.clone(), record(OTHER, AFTER, &["A-1", "", "x"])];
    assert_eq!(case.judge(&sent, &twice), Settled::Disputed);
    // One record can't prove two rows, nor one of whom nobody knows who made it.
    let cells: Vec<&[u8]> = sent.iter().map(|cell| cell.as_bytes()).collect();
    assert_eq!(case.settling.judge(&cells, &[&own], true), Settled::Disputed);
    let mut nobodys = own.clone();
    nobodys.cells[4].clear();
    assert_eq!(case.judge(&sent, &[nobodys]), Settled::Disputed);
    for empty in [["", "Acme", "x"], ["a-1", "Acme", "#N/A"]] {
        assert_eq!(case.judge(&empty, std::slice::from_ref(&own)), Settled::Disputed);
    }
}

#[test]
fn a_key_that_may_have_been_rounded_is_not_missed() {
    let case = Case::new(Operation::Insert, &[("No__c", ValueKind::Number)], &[0]);
    assert_eq!(case.judge(&["17"], &[]), Settled::Unprocessed);
    assert_eq!(case.judge(&["17.005"], &[]), Settled::Disputed);
    assert_eq!(case.judge(&["17.5"], &[record(ID, AFTER, &["17.5"])]), saved(Fate::Created));
}

#[test]
fn an_object_without_creation_dates_proves_no_insert() {
    let sent = SentColumns {
        columns: vec![SentColumn { header: "K".into(), kind: TEXT }],
        delimiter: b',',
    };
    let mut object = object();
    object.fields.retain(|field: &Field| field.name == "Id");
    let judge = |operation| {
        let insert = operation == Operation::Insert;
        let rule = MatchRule {
            key: (!insert).then_some(0),
            user_keys: if insert { vec![0] } else { Vec::new() },
            unique_text: None,
            operation,
        };
        let settling = Settling::new(&sent, &rule, &object, SINCE.parse().unwrap(), Some(id(USER)));
        assert_eq!(settling.fields(), ["K"]);
        let found = FoundRecord { id: id(ID), key: "a".into(), cells: vec!["a".into()] };
        settling.judge(&[b"a"], &[&found], false)
    };
    assert_eq!(judge(Operation::Insert), Settled::Disputed);
    assert_eq!(judge(Operation::Upsert), saved(Fate::Updated));
}

#[test]
fn records_of_another_shape_prove_nothing() {
    let case = Case::new(Operation::Update, &[("Id", ValueKind::Id), ("Phone", TEXT)], &[0]);
    let short = FoundRecord { id: id(ID), key: ID.to_owned(), cells: vec![ID.to_owned()] };
    assert_eq!(case.judge(&[ID, "1"], &[short]), Settled::Disputed);
    assert_eq!(case.judge(&[ID], &[]), Settled::Disputed);
}

#[test]
fn records_are_found_by_keys_as_the_org_compares_them() {
    let keyed = |key: &str| FoundRecord { id: id(ID), key: key.to_owned(), cells: Vec::new() };
    for (kind, records, key, expected) in [
        (TEXT, &["A-1", "a-1", "A-2"][..], " a-1", 2),
        (TEXT, &["É"], "é", 1),
        (CASED, &["A", "a"], " a ", 1),
        (ValueKind::Number, &["4.58E7", "1"], "45800000", 1),
        (ValueKind::Id, &[ID, OTHER], &ID[..15], 1),
        (ValueKind::MultiPicklist, &["a;b", "a;b;c"], "b;a", 1),
        (TEXT, &[], "a", 0),
    ] {
        let found = FoundRecords::new(kind, records.iter().map(|key| keyed(key)).collect());
        assert_eq!(found.of(key.as_bytes()).len(), expected, "{kind:?} {key}");
    }
}
