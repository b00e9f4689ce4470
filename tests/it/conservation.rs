//! Conservation (I1) on large, awkward sources: each row read ends in exactly
//! one result file, with the fate and the record it really has in the org.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::support::{Place, row_numbers};

type Row = BTreeMap<String, String>;

const FILES: [&str; 5] =
    ["success.csv", "failed.csv", "unprocessed.csv", "rejected.csv", "disputed.csv"];

/// Generates a source in a place.
fn generate(place: &Place, rows: u64, more: &[&str]) -> String {
    let (rows, out) = (rows.to_string(), place.path().join("source.csv"));
    let out = out.to_str().unwrap().to_owned();
    let mut args = vec!["generate", "--object", "Account", "--rows", &rows, "--out", &out];
    args.extend(more);
    let said = place.run(&args);
    assert_eq!(said.code, 0, "{}", said.stderr);
    out
}

/// All rows of all result files, after proving that each row read is in
/// exactly one, and that the summary says the same.
fn accounted(place: &Place, rows: u64) -> BTreeMap<&'static str, Vec<Row>> {
    let files: BTreeMap<_, _> = FILES.iter().map(|&name| (name, place.result(name))).collect();
    let mut seen = BTreeSet::new();
    for rows in files.values() {
        for row in row_numbers(rows) {
            assert!(seen.insert(row), "row {row} is in two files");
        }
    }
    assert_eq!(seen, (1..=rows).collect::<BTreeSet<u64>>());
    let counts = &place.summary()["rows"];
    let count = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!(count("read"), rows);
    assert_eq!(count("pending"), 0);
    assert_eq!(count("succeeded"), files["success.csv"].len() as u64);
    assert_eq!(count("failed"), files["failed.csv"].len() as u64);
    assert_eq!(count("unprocessed"), files["unprocessed.csv"].len() as u64);
    assert_eq!(count("rejected"), files["rejected.csv"].len() as u64);
    assert_eq!(count("disputed"), files["disputed.csv"].len() as u64);
    files
}

/// Asserts that the record each success names really holds the row's values.
fn records_hold(place: &Place, success: &[Row], fields: &[&str]) {
    let soql = format!("SELECT Id, {} FROM Account", fields.join(", "));
    let records: HashMap<String, serde_json::Value> = place
        .query(&soql)
        .into_iter()
        .map(|record| (record["Id"].as_str().unwrap().to_owned(), record))
        .collect();
    let mut used = BTreeSet::new();
    for row in success {
        let id = &row["sf__Id"];
        let record = records.get(id).unwrap_or_else(|| panic!("no record {id} in the org"));
        if row["sf__Created"] == "true" {
            assert!(used.insert(id.clone()), "two rows claim record {id}");
        }
        for &field in fields {
            let held = match &record[field] {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let sent = row[field].replace("\r\n", "\n");
            let same = match (held.parse::<f64>(), sent.parse::<f64>()) {
                (Ok(held), Ok(sent)) => held.to_bits() == sent.to_bits() || held == sent,
                _ => held.trim() == sent.trim(),
            };
            assert!(same, "row {}: {field} is `{held}`, was `{sent}`", row["bulkhaul__Row"]);
        }
    }
}

#[test]
fn two_hundred_thousand_rows_of_which_some_are_refused() {
    let place = Place::new();
    let source = generate(&place, 200_000, &["--bad-every", "1000"]);
    let said = place.run(&[
        "load",
        &source,
        "--object",
        "Account",
        "--operation",
        "upsert",
        "--external-id",
        "Legacy_Id__c",
        "--duplicates",
        "keep",
    ]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    let files = accounted(&place, 200_000);
    assert!(files["disputed.csv"].is_empty() && files["unprocessed.csv"].is_empty());
    let lost = files["failed.csv"].len() + files["rejected.csv"].len();
    assert!((150..=250).contains(&lost), "{lost} rows were refused");
    assert!(files["success.csv"].iter().all(|row| row["bulkhaul__Match"] == "key"));
    records_hold(&place, &files["success.csv"], &["Legacy_Id__c", "Name", "AnnualRevenue"]);
}

#[test]
fn rows_equal_in_every_column_are_told_apart_only_as_far_as_they_can_be() {
    let place = Place::new();
    let source = generate(&place, 30_000, &["--shape", "duplicates"]);
    let said = place.run(&["load", &source, "--object", "Account", "--operation", "insert"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let files = accounted(&place, 30_000);
    let tiers: BTreeSet<&str> =
        files["success.csv"].iter().map(|row| row["bulkhaul__Match"].as_str()).collect();
    assert!(tiers.contains("interchangeable") && tiers.contains("digest"), "{tiers:?}");
    records_hold(&place, &files["success.csv"], &["Name", "AnnualRevenue"]);
}

#[test]
fn rows_of_nothing_but_numbers_find_their_results() {
    let place = Place::new();
    let source = generate(&place, 30_000, &["--shape", "numeric"]);
    let said = place.run(&["load", &source, "--object", "Account", "--operation", "insert"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let files = accounted(&place, 30_000);
    records_hold(&place, &files["success.csv"], &["Name", "AnnualRevenue", "Score__c"]);
}

#[test]
fn a_numeric_external_id_is_found_again_in_e_notation() {
    let place = Place::new();
    let source = generate(&place, 30_000, &["--shape", "numeric-key"]);
    let args = [
        "load",
        &source,
        "--object",
        "Account",
        "--operation",
        "upsert",
        "--external-id",
        "External_No__c",
    ];
    let said = place.run(&args);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let files = accounted(&place, 30_000);
    assert!(files["success.csv"].iter().all(|row| row["bulkhaul__Match"] == "key"));
    records_hold(&place, &files["success.csv"], &["External_No__c", "Name"]);
    assert_eq!(place.run(&args).code, 0);
    assert_eq!(place.summary()["rows"]["updated"], 30_000);
}

#[test]
fn external_ids_that_differ_in_case_alone_are_different_rows() {
    let place = Place::new();
    let source = generate(&place, 30_000, &["--shape", "case-keys"]);
    let said = place.run(&[
        "load",
        &source,
        "--object",
        "Account",
        "--operation",
        "upsert",
        "--external-id",
        "Case_Key__c",
    ]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let files = accounted(&place, 30_000);
    assert_eq!(place.summary()["rows"]["created"], 30_000);
    records_hold(&place, &files["success.csv"], &["Case_Key__c", "Name"]);
}

#[test]
fn the_line_ends_of_a_spreadsheet_do_not_fail_a_job() {
    let place = Place::new();
    let source = generate(&place, 30_000, &["--line-ending", "crlf", "--bom"]);
    let said = place.run(&[
        "load",
        &source,
        "--object",
        "Account",
        "--operation",
        "upsert",
        "--external-id",
        "Legacy_Id__c",
    ]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("line ends"), "the change is told: {}", said.stderr);
    let files = accounted(&place, 30_000);
    assert_eq!(files["success.csv"].len(), 30_000);
}

#[test]
fn one_job_of_four_that_fails_as_a_whole_leaves_its_rows_unprocessed() {
    let place = Place::new();
    let source = generate(&place, 40_000, &[]);
    place.org_settings(&serde_json::json!({ "fail-jobs": [2] }));
    let said = place.run(&[
        "load",
        &source,
        "--object",
        "Account",
        "--operation",
        "upsert",
        "--external-id",
        "Legacy_Id__c",
        "--chunk-rows",
        "10000",
    ]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    let files = accounted(&place, 40_000);
    assert_eq!(files["unprocessed.csv"].len(), 10_000);
    assert_eq!(files["success.csv"].len(), 30_000);
    let summary = place.summary();
    let jobs = summary["jobs"].as_array().unwrap();
    let failed: Vec<_> = jobs.iter().filter(|job| job["state"] == "Failed").collect();
    assert_eq!((jobs.len(), failed.len()), (4, 1));
    assert!(failed[0]["error"].as_str().unwrap().starts_with("InternalServerError : "));
    assert_eq!(said.stdout.matches("InternalServerError").count(), 1, "{}", said.stdout);
}
