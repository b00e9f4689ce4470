//! `--duplicates` over the whole source: rows of one key in different chunks,
//! in groups, and in a run that was killed.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use crate::support::{Place, Said, Server, Watched};

const LOAD: [&str; 12] = [
    "load",
    "rows.csv",
    "--object",
    "Account",
    "--operation",
    "upsert",
    "--external-id",
    "Legacy_Id__c",
    "--json",
    "--chunk-rows",
    "10",
    "--duplicates",
];

fn told(said: &Said) -> Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// 60 rows; each third repeats the key of a row that stands 30 rows before it.
fn rows() -> String {
    let mut text = String::from("Legacy_Id__c,Name\n");
    for at in 1..=60u32 {
        let key = if at > 30 && at % 3 == 0 { at - 30 } else { at };
        let case = if at > 30 { "k" } else { "K" };
        let _ = writeln!(text, "{case}{key},Name {at}");
    }
    text
}

/// The names that stand in the org.
fn names(place: &Place) -> BTreeSet<String> {
    let records = place.query("SELECT Name FROM Account");
    records.iter().map(|record| record["Name"].as_str().unwrap().to_owned()).collect()
}

fn expected(left_out: impl Fn(u32) -> bool) -> BTreeSet<String> {
    (1..=60).filter(|at| !left_out(*at)).map(|at| format!("Name {at}")).collect()
}

#[test]
fn one_row_of_a_key_is_sent_whatever_the_chunks() {
    for (policy, left_out) in [
        ("first", Box::new(|at: u32| at > 30 && at.is_multiple_of(3)) as Box<dyn Fn(u32) -> bool>),
        ("last", Box::new(|at: u32| at <= 30 && at.is_multiple_of(3))),
        ("reject", Box::new(|at: u32| at.is_multiple_of(3))),
    ] {
        let place = Place::new();
        place.file("rows.csv", rows());
        let said = place.run(&[&LOAD[..], &[policy]].concat());
        assert_eq!(said.code, 3, "{policy}: {said:?}");
        let counts = &told(&said)["rows"];
        let rejected = (1..=60).filter(|at| left_out(*at)).count();
        assert_eq!(counts["rejected"], rejected, "{policy}");
        assert_eq!(counts["created"], 60 - rejected, "{policy}");
        assert_eq!(counts["updated"], 0, "{policy}");
        assert_eq!(names(&place), expected(&left_out), "{policy}");
        let told = place.result("rejected.csv");
        assert_eq!(told.len(), rejected);
        for row in told {
            let number: u32 = row["bulkhaul__Row"].parse().unwrap();
            assert!(left_out(number), "{policy}: {row:?}");
            let twin = if number > 30 { number - 30 } else { number + 30 };
            let reason = format!("`Legacy_Id__c`, column 1: row {twin} has the same key");
            assert_eq!(row["bulkhaul__Error"], reason, "{policy}");
        }
    }
}

#[test]
fn rows_of_one_key_that_are_kept_are_for_the_org() {
    let place = Place::new();
    place.file("rows.csv", rows());
    let said = place.run(&[&LOAD[..], &["keep", "--parallel", "1"]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(told(&said)["rows"]["updated"], 10);
}

#[test]
fn the_first_row_is_that_of_the_source_when_rows_go_in_groups() {
    let place = Place::new();
    let mut text = String::from("Legacy_Id__c,Name,Site\n");
    // The groups come in another order than the rows: by their size.
    for at in 1..=40u32 {
        let key = if at > 20 { at - 20 } else { at };
        let group = if at % 7 == 0 {
            "rare"
        } else if at % 2 == 0 {
            "even"
        } else {
            "odd"
        };
        let _ = writeln!(text, "K{key},Name {at},{group}");
    }
    place.file("rows.csv", text);
    let load = [&LOAD[..], &["first", "--group-by", "Site"]].concat();
    let said = place.run(&load);
    assert_eq!(told(&said)["rows"]["rejected"], 20, "{said:?}");
    let expected: BTreeSet<String> = (1..=20).map(|at| format!("Name {at}")).collect();
    assert_eq!(names(&place), expected);
    let rejected: BTreeSet<u32> = place
        .result("rejected.csv")
        .iter()
        .map(|row| row["bulkhaul__Row"].parse().unwrap())
        .collect();
    assert_eq!(rejected, (21..=40).collect());
}

#[test]
fn a_run_that_was_killed_leaves_out_the_very_same_rows() {
    let place = Place::new();
    let mut text = String::from("Legacy_Id__c,Name\n");
    for at in 1..=4_000u32 {
        let key = if at > 2_000 && at % 2 == 0 { at - 2_000 } else { at };
        let _ = writeln!(text, "K{key},Name {at}");
    }
    place.file("rows.csv", text);
    let server = Server::in_memory(&["--speed", "4000"]);
    let load = [
        "load",
        "rows.csv",
        "--object",
        "Account",
        "--operation",
        "upsert",
        "--external-id",
        "Legacy_Id__c",
        "--chunk-rows",
        "500",
        "--parallel",
        "1",
        "--duplicates",
        "first",
        "--progress",
        "json",
    ];
    let mut watched = Watched::start(place.command_on(&server, &load));
    watched.wait_for("uploaded");
    watched.kill();
    let said = place.run_on(&server, &["resume", "--json"]);
    let summary = told(&said);
    assert_eq!(said.code, 3, "{said:?}");
    let rows = &summary["rows"];
    assert_eq!([&rows["read"], &rows["created"], &rows["rejected"]], [4_000, 3_000, 1_000]);
    assert_eq!(rows["updated"], 0);
    let expected: BTreeSet<String> = (1..=4_000)
        .filter(|at| *at <= 2_000 || at % 2 == 1)
        .map(|at| format!("Name {at}"))
        .collect();
    let said = place.run_on(&server, &["query", "SELECT Name FROM Account", "--format", "csv"]);
    let found: BTreeSet<String> = said.stdout.lines().skip(1).map(str::to_owned).collect();
    assert_eq!(found, expected);
}
