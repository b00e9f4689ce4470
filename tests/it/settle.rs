//! Disputed rows: the org forgot the job, and what became of its rows is found
//! out by asking for the records (`resume --settle`).

use serde_json::{Value, json};

use crate::support::{Place, Said, Watched, row_numbers};

const ROWS: u64 = 60;

fn json_of(said: &Said) -> Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

fn counts(summary: &Value, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| summary["rows"][name].as_u64().unwrap()).collect()
}

/// Runs a load up to these events, detaches it from its jobs, and lets the org
/// work and forget them, so that rows are disputed. Gives what the resume said.
fn forgotten(place: &Place, load: &[&str], events: &[&str]) -> Value {
    place.org_settings(&json!({"rows-per-second": 10}));
    let args = [load, &["--progress", "json"]].concat();
    let mut running = Watched::start(place.command(&args));
    for event in events {
        running.wait_for(event);
    }
    running.signal("TERM");
    let said = running.end();
    assert_eq!(said.code, 4, "{said:?}");
    place.org_settings(&json!({"job-days": 0}));
    let said = place.run(&["resume", "--json"]);
    assert_eq!(said.code, 3, "{said:?}");
    place.org_settings(&json!({}));
    json_of(&said)
}

/// As [`forgotten`], with one job for all rows.
fn disputed(place: &Place, load: &[&str]) -> Value {
    let summary = forgotten(place, load, &["uploaded"]);
    assert_eq!(counts(&summary, &["read", "disputed"]), [ROWS, ROWS], "{summary}");
    assert_eq!(place.result("disputed.csv").len() as u64, ROWS);
    summary
}

/// Settles a run by its records, and gives its new summary.
fn settle(place: &Place, run: &Value, more: &[&str]) -> Value {
    let id = run["run_id"].as_str().unwrap();
    let said = place.run(&[&["resume", id, "--settle", "--json"], more].concat());
    let summary = json_of(&said);
    assert_eq!(summary["exit_code"], said.code, "{said:?}");
    assert_eq!(summary["status"], "completed");
    // Report and account agree with it, from ledger and outcome files alone.
    std::fs::remove_file(place.path().join("bulkhaul-runs").join(id).join("summary.json")).unwrap();
    let report = place.run(&["report", id, "--json"]);
    assert_eq!(report.code, 0, "{report:?}");
    assert_eq!(json_of(&report)["rows"], summary["rows"]);
    summary
}

fn told(summary: &Value) -> String {
    summary["notes"].to_string()
}

fn upsert(place: &Place, name: &str, rows: impl Iterator<Item = (u64, String)>) -> String {
    let text: String = rows.map(|(row, name)| format!("K-{row},{name}\n")).collect();
    let path = place.file(name, format!("Legacy_Id__c,Name\n{text}"));
    path.to_str().unwrap().to_owned()
}

const UPSERT: [&str; 6] =
    ["--object", "Account", "--operation", "upsert", "--external-id", "Legacy_Id__c"];

fn load<'a>(source: &'a str, how: &[&'a str]) -> Vec<&'a str> {
    [&["load", source][..], how].concat()
}

#[test]
fn an_upsert_that_was_applied_is_found_in_the_org() {
    let place = Place::new();
    let source = upsert(&place, "rows.csv", (1..=ROWS).map(|row| (row, format!("Firm {row}"))));
    let run = disputed(&place, &load(&source, &UPSERT));
    let id = run["run_id"].as_str().unwrap();
    // Calls that are left to others are not made, and the run stays as it was.
    place.org_settings(&json!({"daily-api-requests": 60}));
    let said = place.run(&["resume", id, "--settle", "--reserve", "99%", "--json"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert_eq!(json_of(&said)["error"]["code"], "allowance");
    assert_eq!(place.result("disputed.csv").len() as u64, ROWS);
    let summary = settle(&place, &run, &[]);
    assert_eq!(summary["exit_code"], 0, "{summary}");
    assert_eq!(counts(&summary, &["created", "disputed", "pending"]), [ROWS, 0, 0]);
    let saved = place.result("success.csv");
    assert_eq!(row_numbers(&saved), (1..=ROWS).collect());
    assert!(saved.iter().all(|row| row["sf__Id"].len() == 18 && row["bulkhaul__Match"] == "key"));
    assert!(place.result("disputed.csv").is_empty());
    // There is nothing left to settle, which is nothing wrong.
    let said = place.run(&["resume", id, "--settle"]);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn rows_of_an_upsert_that_the_org_does_not_show_are_unprocessed() {
    let place = Place::new();
    let source = upsert(&place, "rows.csv", (1..=ROWS).map(|row| (row, format!("Firm {row}"))));
    let run = disputed(&place, &load(&source, &UPSERT));
    // As if the job had reached the first twenty rows only: ten records show
    // other values, thirty are gone.
    let others = upsert(&place, "others.csv", (21..=30).map(|row| (row, format!("Other {row}"))));
    let said = place.run(&load(&others, &UPSERT));
    assert_eq!(said.code, 0, "{said:?}");
    let query = "SELECT Id, Legacy_Id__c FROM Account WHERE Legacy_Id__c != null";
    let mut gone = String::from("Id\n");
    for record in place.query(query) {
        let key: u64 = record["Legacy_Id__c"].as_str().unwrap()[2..].parse().unwrap();
        if key > 30 {
            gone += &format!("{}\n", record["Id"].as_str().unwrap());
        }
    }
    let gone = place.file("gone.csv", gone);
    let delete = ["--object", "Account", "--operation", "delete", "--yes"];
    let said = place.run(&load(gone.to_str().unwrap(), &delete));
    assert_eq!(said.code, 0, "{said:?}");

    let summary = settle(&place, &run, &[]);
    assert_eq!(summary["exit_code"], 3, "{summary}");
    assert_eq!(counts(&summary, &["created", "unprocessed", "disputed"]), [20, 40, 0]);
    assert!(told(&summary).contains("60 of 60 disputed rows are settled"), "{summary}");
    let path = place.path().join("bulkhaul-runs").join(run["run_id"].as_str().unwrap());
    let left = crate::support::read_csv(&path.join("unprocessed.csv"));
    assert_eq!(row_numbers(&left), (21..=ROWS).collect());
}

#[test]
fn of_rows_that_share_a_key_only_what_agrees_is_settled() {
    let place = Place::new();
    // Rows 1 and 60 share a key and differ, 2 and 59 share one and agree. The
    // first two go ahead, so that no chunk has a key twice.
    let rows = (1..=ROWS).map(|row| match row {
        59 => (2, "Firm 2".to_owned()),
        60 => (1, "Firm 60".to_owned()),
        _ => (row, format!("Firm {row}")),
    });
    let source = upsert(&place, "rows.csv", rows);
    let how = [&UPSERT[..], &["--canary", "2"]].concat();
    let run = forgotten(&place, &load(&source, &how), &["chunk_reconciled", "uploaded"]);
    assert_eq!(counts(&run, &["created", "disputed"]), [2, ROWS - 2], "{run}");
    // Now the record is as row 1 left it: nobody knows whether row 60 came
    // before somebody put it back, or never.
    let others = upsert(&place, "others.csv", std::iter::once((1, "Firm 1".to_owned())));
    assert_eq!(place.run(&load(&others, &UPSERT)).code, 0);
    let summary = settle(&place, &run, &[]);
    assert_eq!(counts(&summary, &["created", "updated", "disputed"]), [ROWS - 2, 1, 1]);
    let path = place.path().join("bulkhaul-runs").join(run["run_id"].as_str().unwrap());
    let left = crate::support::read_csv(&path.join("disputed.csv"));
    assert_eq!(row_numbers(&left).into_iter().collect::<Vec<_>>(), [60]);
}

#[test]
fn deletes_and_updates_are_settled_by_their_ids() {
    let place = Place::new();
    let source = upsert(&place, "rows.csv", (1..=ROWS).map(|row| (row, format!("Firm {row}"))));
    assert_eq!(place.run(&load(&source, &UPSERT)).code, 0);
    let query = "SELECT Id, Legacy_Id__c FROM Account WHERE Legacy_Id__c != null";
    let ids: Vec<String> =
        place.query(query).iter().map(|record| record["Id"].as_str().unwrap().to_owned()).collect();
    let text: String = ids.iter().map(|id| format!("{id},Renamed,7.5\n")).collect();
    let update = place.file("update.csv", format!("Id,Name,AnnualRevenue\n{text}"));
    let how = ["--object", "Account", "--operation", "update"];
    let run = disputed(&place, &load(update.to_str().unwrap(), &how));
    // Three of them were changed by somebody since, or never.
    let text: String = ids.iter().take(3).map(|id| format!("{id},8.5\n")).collect();
    let others = place.file("others.csv", format!("Id,AnnualRevenue\n{text}"));
    assert_eq!(place.run(&load(others.to_str().unwrap(), &how)).code, 0);
    let summary = settle(&place, &run, &[]);
    assert_eq!(counts(&summary, &["updated", "unprocessed", "disputed"]), [ROWS - 3, 3, 0]);

    let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
    let delete = place.file("delete.csv", format!("Id\n{text}"));
    let how = ["--object", "Account", "--operation", "delete", "--yes"];
    let run = disputed(&place, &load(delete.to_str().unwrap(), &how));
    let summary = settle(&place, &run, &[]);
    assert_eq!(summary["exit_code"], 0);
    assert_eq!(counts(&summary, &["deleted", "disputed"]), [ROWS, 0]);
}

#[test]
fn an_insert_is_settled_by_the_columns_that_are_named_only() {
    let place = Place::new();
    let text: String = (1..=ROWS).map(|row| format!("Firm {row},Hall {}\n", row % 7)).collect();
    let source = place.file("rows.csv", format!("Name,Site\n{text}"));
    let insert = ["--object", "Account", "--operation", "insert"];
    let run = disputed(&place, &load(source.to_str().unwrap(), &insert));
    let summary = settle(&place, &run, &[]);
    assert_eq!(counts(&summary, &["created", "disputed"]), [0, ROWS]);
    assert!(told(&summary).contains("--key"), "{summary}");
    let id = run["run_id"].as_str().unwrap();
    let said = place.run(&["resume", id, "--settle", "--key", "Nope", "--json"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stdout.contains("`Nope`"), "{said:?}");
    // Seven halls tell no row.
    let summary = settle(&place, &run, &["--key", "Site"]);
    assert_eq!(counts(&summary, &["created", "disputed"]), [0, ROWS]);
    // It is closed that way, and reserved calls are left alone.
    let said =
        place.run(&["resume", id, "--settle", "--key", "Name", "--reserve", "99%", "--json"]);
    assert_eq!(said.code, 0, "one call is granted: {said:?}");
    let summary = json_of(&said);
    assert_eq!(counts(&summary, &["created", "disputed"]), [ROWS, 0]);
    let names = place.query("SELECT Id FROM Account WHERE Site != null");
    assert_eq!(names.len() as u64, ROWS, "settling sends nothing");
}
