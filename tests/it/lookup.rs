//! Records looked up by their keys in the embedded org: what was sent is found
//! again, whatever stands in a key.

use std::collections::BTreeSet;

use bulkhaul::domain::{Operation, ValueKind};
use bulkhaul::salesforce::{FoundRecord, Lookup, Org, QueryScope, lookup_calls};

use crate::client::{accounts, load, start};

const TEXT: ValueKind = ValueKind::Text { case_sensitive: false };

const BY_LEGACY_ID: Lookup<'_> = Lookup {
    object: "Account",
    fields: &["Name", "AnnualRevenue", "Active__c", "Parent.Legacy_Id__c", "IsDeleted"],
    key_field: "Legacy_Id__c",
    kind: TEXT,
    scope: QueryScope::Live,
};

/// What a person would put into a key, and what would break a query or an URL.
const KEYS: [&str; 13] = [
    "plain",
    "O'Neil",
    "back\\slash",
    "\\' OR Name != null --",
    "100 %",
    "a_b%c",
    "%27%20",
    "a&b=c?d#e",
    "a+b",
    "Zoë ünïcode",
    "日本語 😀",
    "\"quoted\", with comma",
    "(a,'b')",
];

fn cell(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

async fn insert(org: &Org, text: &str) {
    let job = load(org, &accounts(Operation::Upsert), text).await;
    assert_eq!(job.records_failed, Some(0), "{:?}", job.error_message);
}

fn keys_of(found: &[FoundRecord]) -> BTreeSet<&str> {
    found.iter().map(|record| record.key.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_finds_its_own_record_and_no_other() {
    let (local, org) = start().await;
    let rows: String = KEYS
        .iter()
        .map(|key| format!("{},{}\n", cell(key), cell(key)))
        .collect::<Vec<_>>()
        .concat();
    insert(&org, &format!("Name,Legacy_Id__c\n{rows}")).await;
    for key in KEYS {
        let found = org.find_records(&BY_LEGACY_ID, &[key]).await.unwrap();
        assert_eq!(keys_of(&found), BTreeSet::from([key]));
        assert_eq!(found[0].cells[0], key);
    }
    let missing = ["", " ", "#N/A", "plai", "plain%", "pl_in", "'", "\\"];
    assert!(org.find_records(&BY_LEGACY_ID, &missing).await.unwrap().is_empty());
    let all: Vec<&str> = KEYS.into_iter().chain(missing).chain(KEYS).collect();
    assert_eq!(lookup_calls(&BY_LEGACY_ID, &all), 1);
    let found = org.find_records(&BY_LEGACY_ID, &all).await.unwrap();
    assert_eq!((found.len(), keys_of(&found)), (KEYS.len(), BTreeSet::from(KEYS)));
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_keys_take_the_calls_that_were_estimated() {
    let (local, org) = start().await;
    let rows: Vec<String> =
        (0..3_000).map(|at| format!("Firm {at},KEY {at:05}/ü,{at}.5\n")).collect();
    insert(&org, &format!("Name,Legacy_Id__c,AnnualRevenue\n{}", rows.concat())).await;
    // Twice as many as there are, every other one missing.
    let keys: Vec<String> = (0..6_000)
        .map(|at| if at % 2 == 0 { format!("key {:05}/Ü", at / 2) } else { format!("none {at}") })
        .collect();
    let before = org.usage().calls;
    let found = org.find_records(&BY_LEGACY_ID, &keys).await.unwrap();
    assert_eq!(org.usage().calls - before, lookup_calls(&BY_LEGACY_ID, &keys));
    assert_eq!((found.len(), keys_of(&found).len()), (3_000, 3_000));
    for record in &found {
        let number = record.key[4..9].parse::<u32>().unwrap();
        assert_eq!(record.cells[0], format!("Firm {number}"));
        assert_eq!(record.cells[1], format!("{number}.5"));
    }
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_every_kind_find_their_record() {
    let (local, org) = start().await;
    insert(
        &org,
        "Name,Legacy_Id__c,External_No__c,Last_Audit__c,Contract_Start__c,Opening_Time__c,\
         Active__c,Segments__c,Case_Key__c\n\
         Mother,M,1,,,,false,,\n\
         Child,C,45800000000,2026-04-16T19:00:00+01:00,2026-02-28,13:30:00Z,true,a;b;c,Kk\n",
    )
    .await;
    insert(&org, "Name,Legacy_Id__c,Parent.Legacy_Id__c\nChild,C,M\n").await;
    let by = |key_field, kind| Lookup { key_field, kind, ..BY_LEGACY_ID };
    let child = org.find_records(&BY_LEGACY_ID, &["C"]).await.unwrap();
    let id = child[0].id.to_string();
    assert_eq!(child[0].cells, ["Child", "", "true", "M", "false"]);
    let cases = [
        ("Id", ValueKind::Id, &id[..15], 1),
        ("External_No__c", ValueKind::Number, "4.58E10", 1),
        ("External_No__c", ValueKind::Number, "45800000001", 0),
        ("Last_Audit__c", ValueKind::DateTime, "2026-04-16T18:00:00.000+0000", 1),
        ("Contract_Start__c", ValueKind::Date, "2026-02-28", 1),
        ("Opening_Time__c", ValueKind::Time, "13:30:00.000Z", 1),
        ("Active__c", ValueKind::Boolean, "TRUE", 1),
        ("Segments__c", ValueKind::MultiPicklist, "c;a", 1),
        ("Segments__c", ValueKind::MultiPicklist, "c;d", 0),
        ("Case_Key__c", ValueKind::Text { case_sensitive: true }, "Kk", 1),
        ("Case_Key__c", ValueKind::Text { case_sensitive: true }, "kK", 0),
        ("Parent.Legacy_Id__c", TEXT, "M", 1),
    ];
    for (field, kind, key, expected) in cases {
        let found = org.find_records(&by(field, kind), &[key]).await.unwrap();
        assert_eq!(found.len(), expected, "{field} {key}");
        assert!(found.iter().all(|record| record.cells[0] == "Child"), "{field} {key}");
    }
    let refused = org.find_records(&by("Nope__c", TEXT), &["x"]).await.unwrap_err();
    assert_eq!(refused.code.as_deref(), Some("INVALID_FIELD"));

    let job = load(&org, &accounts(Operation::Delete), &format!("Id\n{id}\n")).await;
    assert_eq!(job.records_failed, Some(0));
    assert!(org.find_records(&BY_LEGACY_ID, &["C"]).await.unwrap().is_empty());
    let all = Lookup { scope: QueryScope::All, ..BY_LEGACY_ID };
    let gone = org.find_records(&all, &["C"]).await.unwrap();
    assert_eq!((gone[0].id.to_string(), gone[0].cells[4].as_str()), (id, "true"));
    local.stop().await;
}
