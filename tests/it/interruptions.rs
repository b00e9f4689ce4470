//! Runs that don't come to their end undisturbed, and logins that fail or run
//! out: what the exit code says, what the ledger and the org know afterwards.

use std::collections::BTreeSet;
use std::net::TcpListener;

use bulkhaul::domain::AttemptState;
use bulkhaul::generator::{Recipe, SampleObject};
use bulkhaul::ledger::{Ledger, RunStatus};
use serde_json::Value;

use crate::support::{Place, Said, Server, Watched, fixture, row_numbers};

const UPSERT: [&str; 7] =
    ["--object", "Account", "--operation", "upsert", "--external-id", "Legacy_Id__c", "--json"];

/// A load of accounts whose progress comes as JSON lines and whose summary
/// stands on stdout.
fn load<'a>(source: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["load", source][..], &UPSERT, &["--progress", "json"], more].concat()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The object on stdout.
fn summary(said: &Said) -> Value {
    json(&said.stdout)
}

/// What must hold of a run that was cut off while jobs were at work: it is
/// told as interrupted, ledger and org name the same jobs, all of them closed
/// and none aborted, and the same load is not begun again by accident.
fn left_in_order(place: &Place, server: &Server, said: &Said, load: &[&str], jobs: usize) {
    assert_eq!(said.code, 4, "{}", said.stderr);
    let summary = summary(said);
    assert_eq!(summary, place.summary(), "stdout and summary.json");
    assert_eq!(summary["status"], "interrupted");
    assert_eq!(summary["exit_code"], 4);
    assert_eq!(summary["error"]["resumable"], true);
    let rows = &summary["rows"];
    let count = |name: &str| rows[name].as_u64().unwrap();
    assert!(count("pending") > 0, "{rows}");
    let known = ["rejected", "succeeded", "failed", "unprocessed", "disputed"].map(count);
    assert_eq!(count("read"), known.iter().sum::<u64>() + count("pending"), "I1: {rows}");
    assert_eq!(place.result("success.csv").len() as u64, count("succeeded"));
    assert!(place.run_folder().join("failed.csv").exists());

    let ledger = Ledger::open_read_only(&place.run_folder().join("ledger.sqlite")).unwrap();
    let end = ledger.run().unwrap().end.unwrap();
    assert_eq!((end.status, end.exit_code), (RunStatus::Interrupted, 4));
    let attempts = ledger.attempts().unwrap();
    let closed = [AttemptState::Closed, AttemptState::Complete];
    assert!(attempts.iter().all(|attempt| closed.contains(&attempt.state)), "{attempts:?}");
    let ours: BTreeSet<String> =
        attempts.into_iter().map(|attempt| attempt.job_id.unwrap()).collect();
    let theirs = server.jobs();
    assert_eq!(theirs.keys().cloned().collect::<BTreeSet<_>>(), ours);
    assert_eq!(theirs.len(), jobs, "no chunk was begun after the word: {theirs:?}");
    let going_on = ["UploadComplete", "InProgress", "JobComplete"];
    assert!(theirs.values().all(|state| going_on.contains(&state.as_str())), "{theirs:?}");

    let again = place.run_on(server, load);
    assert_eq!(again.code, 2, "{}", again.stderr);
    let error = &json(&again.stdout)["error"];
    assert_eq!(error["code"], "earlier-run");
    let run = summary["run_id"].as_str().unwrap();
    assert!(error.to_string().contains(run), "{run} is not named: {error}");
    assert_eq!(server.jobs().len(), jobs, "the refused load sent something");
}

#[test]
fn one_signal_winds_a_run_down_and_leaves_its_jobs_alone() {
    // At this speed the two jobs take minutes.
    for signal in ["INT", "TERM"] {
        let server = Server::in_memory(&["--speed", "100"]);
        let place = Place::new();
        let source = fixture("accounts.csv");
        let args = load(&source, &["--chunk-rows", "5000", "--parallel", "2"]);
        let mut running = Watched::start(place.command_on(&server, &args));
        running.wait_for("uploaded");
        running.wait_for("uploaded");
        running.signal(signal);
        let stopping = running.wait_for("run_ended");
        assert_eq!(stopping["status"], "interrupted");
        let said = running.end();
        assert_eq!(summary(&said)["error"]["code"], "interrupted");
        left_in_order(&place, &server, &said, &args, 2);
    }
}

#[test]
fn a_run_detaches_when_its_time_is_over() {
    let server = Server::in_memory(&["--speed", "100"]);
    let place = Place::new();
    let source = fixture("accounts.csv");
    let args = load(&source, &["--limit", "10000", "--max-wait", "1s"]);
    let said = place.run_on(&server, &args);
    assert_eq!(summary(&said)["error"]["code"], "max-wait");
    left_in_order(&place, &server, &said, &args, 1);
}

#[test]
fn a_token_that_runs_out_in_the_middle_is_renewed_and_no_row_is_lost() {
    const ROWS: u64 = 30_000;
    let server = Server::in_memory(&["--speed", "10000", "--token-lifetime", "1"]);
    let place = Place::new();
    let recipe = Recipe::new(SampleObject::Account, ROWS);
    let mut text = Vec::new();
    recipe.write(&mut text, &mut |_| {}).unwrap();
    let source = place.file("accounts.csv", text);
    let source = source.to_str().unwrap();
    let said = place.run_on(&server, &load(source, &["--chunk-rows", "10000"]));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let renewals = said.stderr.matches("logged in again").count();
    assert!(renewals >= 2, "{renewals} renewals: {}", said.stderr);
    let rows = place.result("success.csv");
    assert_eq!(row_numbers(&rows), (1..=ROWS).collect::<BTreeSet<u64>>());
    let key = |row: u64| format!("ACC-{row:08}");
    assert!(rows.iter().zip(1..).all(|(row, number)| row["Legacy_Id__c"] == key(number)));
    let ids: BTreeSet<&str> = rows.iter().map(|row| row["sf__Id"].as_str()).collect();
    assert_eq!(ids.len() as u64, ROWS, "two rows share a record");
    let count = "/services/data/v66.0/query?q=SELECT+COUNT()+FROM+Account";
    assert_eq!(server.see(count)["totalSize"], ROWS);
    let states: BTreeSet<String> = server.jobs().into_values().collect();
    assert_eq!(states, BTreeSet::from(["JobComplete".to_owned()]));
    assert_eq!(server.jobs().len(), 3, "a job more means that something was sent twice");
}

/// What a load says that could not log in: exit 2, a sentence, no run folder.
fn refused(place: &Place, said: &Said, code: &str) -> String {
    assert_eq!(said.code, 2, "{said:?}");
    let error = json(&said.stdout)["error"].clone();
    assert_eq!(error["code"], code, "{error}");
    assert!(!place.path().join("bulkhaul-runs").exists(), "a refusal leaves no run folder");
    assert!(!error["hint"].as_str().unwrap_or_default().is_empty(), "what to do: {error}");
    error["message"].as_str().unwrap().to_owned()
}

#[test]
fn with_a_wrong_secret_nothing_is_sent() {
    let server = Server::in_memory(&[]);
    let place = Place::new();
    let source = fixture("accounts.csv");
    let mut command = place.command_on(&server, &load(&source, &["--limit", "10"]));
    let wrong = "not-the-secret-of-this-app";
    let said = Said::from(command.env("BULKHAUL_CLIENT_SECRET", wrong).output().unwrap());
    let message = refused(&place, &said, "login");
    assert!(message.contains("invalid_client"), "the org's own word: {message}");
    assert!(!format!("{said:?}").contains(wrong), "{said:?}");
    assert!(server.jobs().is_empty());
}

#[test]
fn an_org_that_is_not_there_is_told_in_a_sentence() {
    // A port that was free a moment ago; nobody else is given it so soon.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let place = Place::new();
    let source = fixture("accounts.csv");
    let mut command = place.command(&load(&source, &["--limit", "10"]));
    command
        .env("BULKHAUL_ORG", "env")
        .env("BULKHAUL_INSTANCE_URL", format!("http://{address}"))
        .env("BULKHAUL_ACCESS_TOKEN", "00D000000000000!nothing");
    let said = Said::from(command.output().unwrap());
    let message = refused(&place, &said, "unreachable");
    assert!(message.contains(&address.to_string()), "where: {message}");
    assert!(message.contains("refused"), "why: {message}");
}

/// A scheduler that starts a job twice must not insert its rows twice (I2).
#[test]
fn of_loads_of_one_source_that_start_at_once_one_goes_on() {
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    let names: Vec<String> = (1..=500).map(|row| format!("Company {row}")).collect();
    let source = place.file("names.csv", format!("Name\n{}\n", names.join("\n")));
    let source = source.to_str().unwrap();
    let args = ["load", source, "--object", "Account", "--operation", "insert", "--json"];
    let started: Vec<_> = (0..3)
        .map(|_| {
            let mut command = place.command_on(&server, &args);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let mut codes: Vec<i32> = started
        .into_iter()
        .map(|child| Said::from(child.wait_with_output().unwrap()).code)
        .collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 2, 2]);
    let said = place.run_on(&server, &["query", "SELECT Id FROM Account", "--format", "jsonl"]);
    assert_eq!(said.stdout.lines().count(), 500, "{}", said.stderr);
}
