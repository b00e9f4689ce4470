//! `retry`: a new run of the rows that did not succeed, and what the load they
//! belong to comes to with it.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Place, Said, Server, Watched, read_csv, row_numbers};

const UPSERT: [&str; 6] =
    ["--object", "Account", "--operation", "upsert", "--external-id", "Legacy_Id__c"];

fn json_of(said: &Said) -> Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

fn counts(rows: &Value, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| rows[name].as_u64().unwrap()).collect()
}

/// Each row in one place (I1).
fn adds_up(rows: &Value) {
    let parts = ["rejected", "succeeded", "failed", "unprocessed", "disputed", "pending"];
    let sum: u64 = counts(rows, &parts).iter().sum();
    assert_eq!(rows["read"], sum, "{rows}");
}

fn folder(place: &Place, run: &Value) -> PathBuf {
    place.path().join("bulkhaul-runs").join(run["run_id"].as_str().unwrap())
}

/// Runs a command that has a summary, and judges it by itself.
fn run(place: &Place, args: &[&str], code: i32) -> Value {
    let said = place.run(&[args, &["--json"]].concat());
    assert_eq!(said.code, code, "{args:?}: {said:?}");
    let summary = json_of(&said);
    adds_up(&summary["rows"]);
    if let Some(origin) = summary.get("origin") {
        adds_up(&origin["rows"]);
    }
    summary
}

/// What a refused retry says: exit 2, nothing was sent, no folder is left.
fn refused(place: &Place, args: &[&str], code: &str) -> String {
    let entries = || std::fs::read_dir(place.path().join("bulkhaul-runs")).unwrap();
    let names = || {
        let hidden = |name: &str| name == ".lock";
        let names = entries().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !hidden(name)).collect();
        names.sort();
        names
    };
    let before = names();
    let said = place.run(&[&["retry"], args, &["--json"]].concat());
    assert_eq!(said.code, 2, "{said:?}");
    let error = json_of(&said)["error"].clone();
    assert_eq!(error["code"], code, "{error}");
    assert_eq!(names(), before, "something was left behind");
    error["message"].as_str().unwrap().to_owned()
}

/// Twenty rows with one fault each in rows 3 (no name), 7 (ragged), 11 (a word
/// in a number) and 15 (a word in a boolean, which is never sent).
fn with_faults(place: &Place) -> Value {
    let mut text = String::from("Legacy_Id__c,Name,AnnualRevenue,Active__c\n");
    for row in 1..=20 {
        text += &match row {
            3 => "K-3,,3.5,true\n".to_owned(),
            7 => "K-7,\"Firm, 7\"\n".to_owned(),
            11 => "K-11,Firm 11,eleven,true\n".to_owned(),
            15 => "K-15,Firm 15,15.5,perhaps\n".to_owned(),
            _ => format!("K-{row},\"Firm, {row}\",{row}.5,true\n"),
        };
    }
    let source = place.file("firms.csv", text);
    let args = [&["load", source.to_str().unwrap()][..], &UPSERT].concat();
    let summary = run(place, &args, 3);
    let rows = &summary["rows"];
    assert_eq!(counts(rows, &["created", "failed", "rejected"]), [16, 2, 2]);
    summary
}

fn id(summary: &Value) -> &str {
    summary["run_id"].as_str().unwrap()
}

#[test]
fn the_failed_rows_go_again_under_their_own_numbers() {
    let place = Place::new();
    let first = with_faults(&place);
    // Nothing was mended, so they fail again, under the same numbers and names.
    let second = run(&place, &["retry", id(&first)], 3);
    assert_eq!((&second["command"], &second["parent_run"]), (&json!("retry"), &first["run_id"]));
    assert_eq!(counts(&second["rows"], &["read", "failed", "rejected"]), [2, 2, 0]);
    assert_eq!(second["origin"]["run_id"], first["run_id"]);
    assert_eq!(second["origin"]["rows"], first["rows"]);
    let failed = read_csv(&folder(&place, &second).join("failed.csv"));
    let numbers: Vec<u64> = row_numbers(&failed).into_iter().collect();
    assert_eq!(numbers, [3, 11]);
    assert!(failed.iter().all(|row| row["bulkhaul__Source"] == "firms.csv"));
    assert!(failed.iter().all(|row| row["bulkhaul__Attempts"] == "1"), "this run's attempts");
    assert_eq!(failed[1]["AnnualRevenue"], "eleven");
    let told = |key: &str| second[key].as_array().unwrap().clone();
    let examples: Vec<&Value> = second["failure_groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["example_row"])
        .collect();
    assert!(examples.iter().all(|row| **row == 3 || **row == 11), "{examples:?}");
    assert_eq!(told("jobs")[0]["first_row"], 3);
    assert!(told("plan_notes")[0].as_str().unwrap().contains("2 failed"), "{second}");
    // The report made from ledger and outcome files says the same.
    std::fs::remove_file(folder(&place, &second).join("summary.json")).unwrap();
    let report = json_of(&place.run(&["report", id(&second), "--json"]));
    for same in ["rows", "origin", "parent_run", "failure_groups", "jobs", "command"] {
        assert_eq!(report[same], second[same], "{same}");
    }
    // That retry saved none of them, so another one is no accident.
    run(&place, &["retry", id(&first)], 3);
    // The cause is mended where the rule lives: then they pass as they are.
    let runs = json_of(&place.run(&["runs", "--json"]));
    assert_eq!(runs["runs"][0]["parent_run"], first["run_id"]);
    assert!(runs["runs"][0]["sources"][0]["path"].as_str().unwrap().ends_with("firms.csv"));
}

#[test]
fn corrected_rows_close_the_tally_over_a_chain_of_retries() {
    let place = Place::new();
    let first = with_faults(&place);
    // Two of four, out of order, with a column that doesn't count.
    let with =
        place.file("mended.csv", "Name,bulkhaul__Row,sf__Error,bulkhaul__Note\nFirm 3,3,gone,x\n");
    let second = run(&place, &["retry", id(&first), "--with", with.to_str().unwrap()], 0);
    assert_eq!(counts(&second["rows"], &["read", "created"]), [1, 1]);
    let origin = &second["origin"]["rows"];
    assert_eq!(counts(origin, &["read", "created", "failed", "rejected"]), [20, 17, 1, 2]);
    let saved = place.result("success.csv");
    assert_eq!((saved[0]["bulkhaul__Row"].as_str(), saved[0]["Name"].as_str()), ("3", "Firm 3"));
    assert_eq!(saved[0]["AnnualRevenue"], "3.5", "what isn't corrected stays");

    // The same row once more is an accident, the others are not.
    let message = refused(&place, &[id(&first)], "already-retried");
    assert!(message.contains("row 3"), "{message}");
    // The edited rejected.csv and failed.csv of the first run, in no order.
    let with = place.file(
        "rest.csv",
        "bulkhaul__Row,Active__c,AnnualRevenue\n15,false,15.5\n7,true,seven\n11,true,11.5\n",
    );
    let third = run(&place, &["retry", id(&first), "--with", with.to_str().unwrap()], 3);
    assert_eq!(counts(&third["rows"], &["read", "created", "failed", "rejected"]), [3, 2, 1, 0]);
    // A retry of the retry: its row 7 is still the seventh of the file.
    let with = place.file("last.csv", "AnnualRevenue,bulkhaul__Row\n7.5,7\n");
    let said = place.run(&["retry", id(&third), "--with", with.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{said:?}");
    let fourth = place.summary();
    assert_eq!(fourth["parent_run"], third["run_id"]);
    assert_eq!(fourth["origin"]["run_id"], first["run_id"]);
    let line = format!("With run {}: ", id(&first));
    assert!(said.stdout.contains(&line), "{}", said.stdout);
    assert_eq!(place.result("success.csv")[0]["bulkhaul__Row"], "7");
    let names = place.query("SELECT Name FROM Account WHERE Legacy_Id__c = 'K-7'");
    assert_eq!(names[0]["Name"], "Firm, 7", "byte for byte");
    assert_eq!(place.query("SELECT Id FROM Account WHERE Legacy_Id__c != null").len(), 20);
}

#[test]
fn a_chain_ends_with_every_row_of_the_first_run() {
    let place = Place::new();
    let first = with_faults(&place);
    let with = place.file(
        "all.csv",
        "bulkhaul__Row,Name,AnnualRevenue,Active__c\n3,Firm 3,3.5,true\n7,\"Firm, 7\",x,true\n\
         11,Firm 11,11.5,true\n15,Firm 15,15.5,true\n",
    );
    let second = run(&place, &["retry", id(&first), "--with", with.to_str().unwrap()], 3);
    assert_eq!(counts(&second["rows"], &["created", "failed"]), [3, 1]);
    let with = place.file("seven.csv", "bulkhaul__Row,AnnualRevenue\n7,7.5\n");
    let said = place.run(&["retry", "latest", "--with", with.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{said:?}");
    let line = format!("With run {}: 20 rows, every one succeeded.", id(&first));
    assert!(said.stdout.contains(&line), "{}", said.stdout);
    let origin = &place.summary()["origin"]["rows"];
    assert_eq!(counts(origin, &["read", "created", "sent"]), [20, 20, 20]);
    refused(&place, &["latest"], "nothing-to-retry");
    // Asked for by name, a row is sent twice; an upsert updates its record.
    let again = run(&place, &["retry", id(&second), "--again"], 3);
    assert_eq!(counts(&again["rows"], &["read", "failed"]), [1, 1], "row 7 as it was sent then");
}

#[test]
fn corrections_that_do_not_fit_are_refused_by_name_and_number() {
    let place = Place::new();
    let first = with_faults(&place);
    let with = |text: &str| {
        let path = place.file("with.csv", text);
        refused(&place, &[id(&first), "--with", path.to_str().unwrap()], "corrections")
    };
    for (text, told) in [
        ("Name\nFirm 3\n", "bulkhaul__Row"),
        ("bulkhaul__Row,Nmae,Site\n3,x,y\n", "`Nmae`, `Site`"),
        ("bulkhaul__Row,Name\n3,x\n4,y\n", "row 4, which is not to be retried: it succeeded"),
        ("bulkhaul__Row,Name\n3,x\n21,y\n", "row 21"),
        ("bulkhaul__Row,Name\n21,y\n3,x\n", "row 21"),
        ("bulkhaul__Row,Name\n3,x\n3,y\n", "row 3 twice"),
        ("bulkhaul__Row,Name\n3,x\n11,z\n3,y\n", "row 3 twice"),
        ("bulkhaul__Row,Name\nthree,x\n", "row 1: bulkhaul__Row is no row number"),
        ("bulkhaul__Row,Name\n3\n", "1 cells where the header has 2"),
    ] {
        let message = with(text);
        assert!(message.contains(told), "{told}: {message}");
    }
}

/// An insert of slow rows that was interrupted; gives the run's id.
fn interrupted(place: &Place, server: &Server) -> String {
    let names: String = (1..=400).map(|row| format!("Company {row}\n")).collect();
    let source = place.file("names.csv", format!("Name\n{names}"));
    let source = source.to_str().unwrap();
    let fixed = ["--object", "Account", "--operation", "insert", "--chunk-rows", "100"];
    let args = [&["load", source][..], &fixed, &["--parallel", "1", "--progress", "json"]].concat();
    let mut running = Watched::start(place.command_on(server, &args));
    running.wait_for("chunk_reconciled");
    running.wait_for("uploaded");
    running.signal("TERM");
    assert_eq!(running.end().code, 4);
    place.run_folder().file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_run_that_can_go_on_is_not_retried_and_a_closed_one_is_with_its_pending_rows() {
    let server = Server::in_memory(&["--speed", "400"]);
    let place = Place::new();
    let id = interrupted(&place, &server);
    let said = place.run_on(&server, &["retry", &id, "--json"]);
    assert_eq!((said.code, &json_of(&said)["error"]["code"]), (2, &json!("not-ended")), "{said:?}");
    let said = place.run_on(&server, &["abort", &id, "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let closed = json_of(&said);
    let saved = closed["rows"]["created"].as_u64().unwrap();
    assert!((100..400).contains(&saved), "{closed}");

    // Killed in the middle, the retry is resumed like any run.
    let args = ["retry", &id, "--progress", "json"];
    let mut running = Watched::start(place.command_on(&server, &args));
    running.wait_for("uploaded");
    running.kill();
    let folders = std::fs::read_dir(place.path().join("bulkhaul-runs")).unwrap();
    let mut folders = folders.map(|entry| entry.unwrap().path());
    let folder = folders.find(|folder| folder.join("retry.csv").is_file()).unwrap();
    let said = place.run_on(&server, &["retry", &id, "--json"]);
    let error = json_of(&said)["error"].clone();
    assert_eq!((said.code, &error["code"]), (2, &json!("already-retried")), "{error}");
    // The file it was made from is not needed any more.
    std::fs::remove_file(place.path().join("names.csv")).unwrap();
    let said = place.run_on(&server, &["resume", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let summary = json_of(&said);
    assert_eq!(counts(&summary["rows"], &["read", "created"]), [400 - saved; 2]);
    let origin = &summary["origin"];
    assert_eq!(origin["run_id"], json!(id));
    assert_eq!(counts(&origin["rows"], &["read", "created", "pending"]), [400, 400, 0]);
    let rows = read_csv(&folder.join("success.csv"));
    assert_eq!(rows.len() as u64, 400 - saved);
    for row in &rows {
        assert_eq!(row["Name"], format!("Company {}", row["bulkhaul__Row"]));
        assert_eq!(row["bulkhaul__Source"], "names.csv");
    }
    let count = "/services/data/v66.0/query?q=SELECT+COUNT()+FROM+Account";
    assert_eq!(server.see(count)["totalSize"], 400, "rows were lost or doubled");
}

/// An insert whose job the org forgot.
fn disputed_insert(place: &Place) -> Value {
    place.org_settings(&json!({"rows-per-second": 10}));
    let names: String = (1..=60).map(|row| format!("Firm {row}\n")).collect();
    let source = place.file("names.csv", format!("Name\n{names}"));
    let args = ["load", source.to_str().unwrap(), "--object", "Account", "--operation", "insert"];
    let args = [&args[..], &["--progress", "json"]].concat();
    let mut running = Watched::start(place.command(&args));
    running.wait_for("uploaded");
    running.signal("TERM");
    assert_eq!(running.end().code, 4);
    place.org_settings(&json!({"job-days": 0}));
    let summary = run(place, &["resume"], 3);
    place.org_settings(&json!({}));
    assert_eq!(counts(&summary["rows"], &["disputed"]), [60]);
    summary
}

#[test]
fn disputed_rows_of_an_insert_go_again_only_when_asked_for() {
    let place = Place::new();
    let first = disputed_insert(&place);
    let message = refused(&place, &[id(&first)], "nothing-to-retry");
    assert!(message.contains("no rows to retry"), "{message}");
    let with = place.file("with.csv", "bulkhaul__Row,Name\n5,x\n");
    let with = with.to_str().unwrap();
    let message = refused(&place, &[id(&first), "--with", with], "corrections");
    assert!(message.contains("--include-disputed"), "{message}");
    let second = run(&place, &["retry", id(&first), "--include-disputed", "--with", with], 0);
    assert_eq!(counts(&second["rows"], &["created"]), [1]);
    let origin = &second["origin"]["rows"];
    assert_eq!(counts(origin, &["created", "disputed"]), [1, 59]);
}

#[test]
fn rows_that_went_in_another_order_come_back_in_that_of_the_source() {
    let place = Place::new();
    let text: String = (1..=60)
        .map(|row| {
            let name = if row % 9 == 4 { String::new() } else { format!("Firm {row}") };
            format!("K-{row},{name},Hall {}\n", row % 7)
        })
        .collect();
    let source = place.file("firms.csv", format!("Legacy_Id__c,Name,Site\n{text}"));
    let how = ["--group-by", "Site", "--chunk-rows", "10", "--limit", "50"];
    let args = [&["load", source.to_str().unwrap()][..], &UPSERT, &how].concat();
    let first = run(&place, &args, 3);
    let folder_of_first = folder(&place, &first);
    assert!(folder_of_first.join("grouped.csv").is_file(), "the rows went as they stood");
    let bad: Vec<u64> = (1..=50).filter(|row| row % 9 == 4).collect();
    assert_eq!(counts(&first["rows"], &["read", "failed"]), [50, bad.len() as u64]);

    let second = run(&place, &["retry", id(&first)], 3);
    let failed = read_csv(&folder(&place, &second).join("failed.csv"));
    let numbers: Vec<u64> =
        failed.iter().map(|row| row["bulkhaul__Row"].parse().unwrap()).collect();
    assert_eq!(numbers, bad, "in the order of the source");
    let sites = failed.iter().map(|row| row["Site"].clone());
    assert!(sites.zip(&bad).all(|(site, row)| site == format!("Hall {}", row % 7)));
    let mended: String = bad.iter().rev().map(|row| format!("Firm {row},{row}\n")).collect();
    let with = place.file("mended.csv", format!("Name,bulkhaul__Row\n{mended}"));
    let third = run(&place, &["retry", id(&second), "--with", with.to_str().unwrap()], 0);
    assert_eq!(counts(&third["origin"]["rows"], &["read", "created"]), [50, 50]);
    for record in place.query("SELECT Name, Legacy_Id__c FROM Account WHERE Site != null") {
        let row = record["Legacy_Id__c"].as_str().unwrap()[2..].to_owned();
        assert_eq!(record["Name"], format!("Firm {row}"));
    }
}
