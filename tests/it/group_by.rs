//! `--group-by` through the binary: rows of one parent in one job and, where
//! they fit, in one batch; result files in the order of the source all the
//! same; the forecast of locks; killed and resumed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::{Place, Said, Server, Watched, read_csv, row_numbers};

/// Parents, and lines of each: 8,000 rows in an order that tears them apart.
const PARENTS: u64 = 400;
const LINES: u64 = 20;

/// A detail of Account: its lookup locks the parent.
fn order_lines() -> Value {
    json!({"name": "Order_Line__c", "fields": [
        {"name": "Name"},
        {"name": "Account__c", "type": "reference", "referenceTo": ["Account"],
            "relationshipName": "Account__r", "relationshipOrder": 0, "nillable": false},
        {"name": "Line_Key__c", "type": "string", "length": 40, "externalId": true, "unique": true},
        {"name": "Amount__c", "type": "double", "precision": 16, "scale": 2}
    ]})
}

/// A place with such an object in its org's folder, the parents in it, and the
/// source with the lines.
fn place() -> (Place, Server, String) {
    let place = Place::new();
    let dir = place.path().join("org");
    std::fs::create_dir_all(dir.join("objects")).unwrap();
    std::fs::write(dir.join("objects/Order_Line__c.json"), order_lines().to_string()).unwrap();
    let server = Server::start(&["--port", "0", "--dir", dir.to_str().unwrap()]);

    let mut parents = String::from("Name,Legacy_Id__c\n");
    for parent in 1..=PARENTS {
        let _ = writeln!(parents, "Company {parent},P-{parent}");
    }
    let parents = place.file("parents.csv", parents);
    let args = ["load", parents.to_str().unwrap(), "--object", "Account", "--operation"];
    let args = [&args[..], &["upsert", "--external-id", "Legacy_Id__c"]].concat();
    assert_eq!(place.run_on(&server, &args).code, 0);

    let mut lines = String::from("Name,Account__r.Legacy_Id__c,Line_Key__c,Amount__c\n");
    for line in 1..=LINES {
        for parent in 1..=PARENTS {
            let _ = writeln!(lines, "L {line},P-{parent},{parent}/{line},{line}.50");
        }
    }
    let lines = place.file("lines.csv", lines).to_str().unwrap().to_owned();
    (place, server, lines)
}

fn load<'a>(source: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["--object", "Order_Line__c", "--operation", "insert", "--chunk-rows", "1000"];
    [&["load", source][..], &fixed, &["--json", "--progress", "json"], more].concat()
}

/// Each row once, in source order, under its own number; rows of a parent in
/// one job alone.
fn judged(place: &Place, said: &Said, apart: bool) {
    assert_eq!(said.code, 0, "{said:?}");
    let summary: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(summary["rows"]["created"], PARENTS * LINES, "{summary}");
    assert!(summary["sources"][0]["path"].as_str().unwrap().ends_with("lines.csv"), "{summary}");
    let saved = place.result("success.csv");
    assert_eq!(row_numbers(&saved), (1..=PARENTS * LINES).collect::<BTreeSet<_>>());
    for (row, number) in saved.iter().zip(0..) {
        let (line, parent) = (number / PARENTS + 1, number % PARENTS + 1);
        assert_eq!(row["bulkhaul__Row"], (number + 1).to_string(), "source order");
        assert_eq!(row["bulkhaul__Source"], "lines.csv");
        assert_eq!(row["Line_Key__c"], format!("{parent}/{line}"));
    }
    let _ = apart;
}

/// The parents of each job's rows, by the bodies that the org was sent.
fn parents_by_job(place: &Place) -> BTreeMap<String, BTreeSet<String>> {
    let mut jobs = BTreeMap::new();
    for entry in std::fs::read_dir(place.path().join("org/jobs")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if !text.starts_with("Name,Account__r.Legacy_Id__c") {
            continue;
        }
        let parents =
            read_csv(&path).into_iter().map(|row| row["Account__r.Legacy_Id__c"].clone()).collect();
        jobs.insert(path.display().to_string(), parents);
    }
    jobs
}

fn shared_parents(place: &Place) -> usize {
    let jobs = parents_by_job(place);
    assert!(jobs.len() > 4, "{} jobs", jobs.len());
    let all: usize = jobs.values().map(BTreeSet::len).sum();
    let distinct: BTreeSet<&String> = jobs.values().flatten().collect();
    assert_eq!(distinct.len() as u64, PARENTS);
    all - distinct.len()
}

#[test]
fn rows_of_one_parent_go_in_one_job_and_come_out_in_source_order() {
    let (place, server, lines) = place();
    // By itself, because the lookup is that of a detail to its master.
    let said = place.run_on(&server, &load(&lines, &[]));
    judged(&place, &said, true);
    assert_eq!(shared_parents(&place), 0);
    assert!(said.stderr.contains("groups by Account__r.Legacy_Id__c: 400 parents, 20.0 rows each"));
    // The same source is known again, though another file went to the org.
    let again = place.run_on(&server, &load(&lines, &[]));
    assert_eq!(again.code, 2, "{again:?}");
}

#[test]
fn grouping_can_be_turned_off_and_a_column_that_is_not_there_is_refused() {
    let (place, server, lines) = place();
    let said = place.run_on(&server, &load(&lines, &["--group-by", "Owner"]));
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stdout.contains("--group-by Owner: the source has no such column"), "{said:?}");
    let said = place.run_on(&server, &load(&lines, &["--group-by", "none"]));
    judged(&place, &said, false);
    assert!(shared_parents(&place) > 1_000, "each parent stands in many jobs");
}

#[test]
fn a_grouped_run_is_killed_and_resumed() {
    let (place, server, lines) = place();
    for event in ["chunk_planned", "uploaded", "chunk_reconciled"] {
        let mut running = Watched::start(place.command_on(&server, &load(&lines, &["--again"])));
        running.wait_for(event);
        running.kill();
        let said = place.run_on(&server, &["resume", "--json", "--progress", "json"]);
        judged(&place, &said, true);
        let query = "SELECT Id, Name FROM Order_Line__c";
        let out = place.run_on(&server, &["query", query, "--format", "csv"]);
        assert_eq!(out.stdout.lines().count() as u64 - 1, PARENTS * LINES, "doubled or lost");
        let ids = place.file("ids.csv", out.stdout);
        let delete = ["load", ids.to_str().unwrap(), "--object", "Order_Line__c", "--yes"];
        let delete =
            [&delete[..], &["--operation", "delete", "--map", "Name=", "--again"]].concat();
        assert_eq!(place.run_on(&server, &delete).code, 0);
    }
}
