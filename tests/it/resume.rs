//! Runs that were killed, and what `resume` makes of them: every row once in
//! the org, every row once in the result files, whatever the moment was.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::support::{Place, Said, Server, Watched, json, row_numbers};

/// Rows of the sources here: five chunks.
const ROWS: u64 = 5_000;

fn source(place: &Place) -> String {
    let mut text = String::from("Name,Site\n");
    for row in 1..=ROWS {
        let _ = writeln!(text, "Company {row},\"Hall {}, north\"", row % 97);
    }
    place.file("companies.csv", text).to_str().unwrap().to_owned()
}

fn insert(source: &str) -> Vec<&str> {
    let fixed = ["--object", "Account", "--operation", "insert", "--chunk-rows", "1000"];
    [&["load", source][..], &fixed, &["--parallel", "2", "--progress", "json", "--json"]].concat()
}

/// Every row of the source is one record of the org and one row of
/// success.csv.
fn every_row_once(place: &Place, server: &Server, said: &Said) {
    assert_eq!(said.code, 0, "{said:?}");
    let summary = json(said);
    assert_eq!(summary["status"], "completed");
    let rows = &summary["rows"];
    for (name, count) in [("read", ROWS), ("created", ROWS), ("sent", ROWS), ("pending", 0)] {
        assert_eq!(rows[name], count, "{name}: {rows}");
    }
    let saved = place.result("success.csv");
    assert_eq!(row_numbers(&saved), (1..=ROWS).collect::<BTreeSet<u64>>());
    assert!(saved.iter().zip(1..).all(|(row, number)| row["Name"] == format!("Company {number}")));
    assert_eq!(place.result("failed.csv").len(), 0);
    let ids: BTreeSet<&str> = saved.iter().map(|row| row["sf__Id"].as_str()).collect();
    assert_eq!(ids.len() as u64, ROWS, "two rows share a record");
    let count = "/services/data/v66.0/query?q=SELECT+COUNT()+FROM+Account";
    assert_eq!(server.see(count)["totalSize"], ROWS, "rows were lost or doubled");
}

#[test]
fn a_run_killed_at_any_of_its_moments_is_brought_to_its_end() {
    // Each event is a moment between two writes of the ledger.
    let moments = [
        ("run_started", 1),
        ("chunk_planned", 2),
        ("job_created", 1),
        ("upload_progress", 1),
        ("uploaded", 1),
        ("job_progress", 1),
        ("chunk_reconciled", 1),
        ("results_written", 2),
        ("source_exhausted", 1),
        ("chunk_reconciled", 5),
    ];
    for (event, times) in moments {
        let server = Server::in_memory(&["--speed", "20000"]);
        let place = Place::new();
        let source = source(&place);
        let mut running = Watched::start(place.command_on(&server, &insert(&source)));
        for _ in 0..times {
            running.wait_for(event);
        }
        running.kill();
        let said = place.run_on(&server, &["resume", "--json", "--progress", "json"]);
        every_row_once(&place, &server, &said);
    }
}

#[test]
fn a_run_may_be_killed_again_and_again() {
    let server = Server::in_memory(&["--speed", "10000"]);
    let place = Place::new();
    let source = source(&place);
    let mut running = Watched::start(place.command_on(&server, &insert(&source)));
    running.wait_for("uploaded");
    running.kill();
    for event in ["job_progress", "chunk_reconciled", "uploaded", "job_created"] {
        let args = ["resume", "latest", "--json", "--progress", "json"];
        let mut running = Watched::start(place.command_on(&server, &args));
        if running.wait_or_end(event).is_none() {
            break;
        }
        running.kill();
    }
    let said = place.run_on(&server, &["resume", "--json", "--progress", "json"]);
    every_row_once(&place, &server, &said);
    // Asked once too often, nothing is wrong and nothing is done.
    let again = place.run_on(&server, &["resume", "--json"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(json(&again)["rows"]["created"], ROWS);
    let count = "/services/data/v66.0/query?q=SELECT+COUNT()+FROM+Account";
    assert_eq!(server.see(count)["totalSize"], ROWS);
}

#[test]
fn an_interrupted_run_goes_on_where_it_stopped() {
    let server = Server::in_memory(&["--speed", "2000"]);
    let place = Place::new();
    let source = source(&place);
    let mut running = Watched::start(place.command_on(&server, &insert(&source)));
    running.wait_for("uploaded");
    running.signal("TERM");
    assert_eq!(running.end().code, 4);
    let said = place.run_on(&server, &["resume", "--json", "--progress", "json"]);
    every_row_once(&place, &server, &said);
}

/// What a refused resume says: exit 2, and nothing was sent.
fn refused(place: &Place, server: &Server, code: &str) -> String {
    let jobs = server.jobs().len();
    let said = place.run_on(server, &["resume", "latest", "--json"]);
    assert_eq!(said.code, 2, "{said:?}");
    let error = &json(&said)["error"];
    assert_eq!(error["code"], code, "{error}");
    assert_eq!(server.jobs().len(), jobs, "something was sent");
    error["message"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_not_the_same_any_more_is_refused() {
    let server = Server::in_memory(&["--speed", "500"]);
    let place = Place::new();
    let source = source(&place);
    let mut running = Watched::start(place.command_on(&server, &insert(&source)));
    running.wait_for("uploaded");
    running.kill();

    // Another org.
    let other = Server::in_memory(&[]);
    let message = refused(&place, &other, "wrong-org");
    assert!(message.contains(&server.text("org_id")), "{message}");

    // A source that was changed, then put back with its old time.
    let text = std::fs::read_to_string(&source).unwrap();
    let changed = std::fs::metadata(&source).unwrap().modified().unwrap();
    std::fs::write(&source, text.replace("Company 4", "Company 5")).unwrap();
    let message = refused(&place, &server, "source-changed");
    assert!(message.contains("companies.csv"), "{message}");
    std::fs::write(&source, &text).unwrap();
    let message = refused(&place, &server, "source-changed");
    assert!(message.contains("time of change"), "{message}");
    let file = std::fs::OpenOptions::new().write(true).open(&source).unwrap();
    file.set_modified(changed).unwrap();
    drop(file);

    // Two processes on one run.
    let args = ["resume", "latest", "--json", "--progress", "json"];
    let mut first = Watched::start(place.command_on(&server, &args));
    first.wait_for("run_started");
    let second = place.run_on(&server, &["resume", "latest", "--json"]);
    assert_eq!(second.code, 2, "{second:?}");
    assert!(second.stdout.contains("another process"), "{second:?}");
    let said = first.end();
    every_row_once(&place, &server, &said);
}
