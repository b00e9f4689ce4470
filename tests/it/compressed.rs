//! Uploads in gzip (`--compress-upload`): the org holds what it would hold
//! without, and what is torn on the way is settled in the same way.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Place, Server, Watched, fixture, row_numbers};

const ROWS: u64 = 12_000;

/// A chunk of over a megabyte, which is streamed, and a small one, which is not.
fn load<'a>(source: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["--object", "Account", "--operation", "upsert", "--external-id", "Legacy_Id__c"];
    let size = ["--limit", "12000", "--chunk-rows", "10000", "--progress", "json"];
    [&["load", source][..], &fixed, &size, more].concat()
}

/// What an org holds of the columns that tell most.
fn held(place: &Place) -> BTreeSet<String> {
    let soql = "SELECT Legacy_Id__c, Name, AnnualRevenue, BillingStreet, Segments__c FROM Account";
    let records = place.query(soql);
    assert_eq!(records.len() as u64, ROWS);
    records.iter().map(Value::to_string).collect()
}

fn every_row_once(place: &Place) {
    let rows = row_numbers(&place.result("success.csv"));
    assert_eq!(rows, (1..=ROWS).collect::<BTreeSet<u64>>());
}

#[test]
fn a_packed_upload_arrives_as_it_was() {
    let source = fixture("accounts.csv");
    let [plain, packed] = [&[][..], &["--compress-upload"]].map(|more| {
        let place = Place::new();
        let said = place.run(&load(&source, more));
        assert_eq!(said.code, 0, "{said:?}");
        every_row_once(&place);
        place
    });
    let sent = |place: &Place| place.summary()["bytes_uploaded"].as_u64().unwrap();
    assert!(sent(&packed) * 2 < sent(&plain), "{} and {}", sent(&packed), sent(&plain));
    assert_eq!(held(&packed), held(&plain));
}

#[test]
fn a_torn_transfer_is_settled_as_without_compression() {
    let source = fixture("accounts.csv");
    // Each upload breaks once on the way, the third when it was done already;
    // result sets end within their gzip stream, or their record.
    let faults = "seed=3,upload:reset-in-request=#1+2,upload:done-reset=#3,\
                  successful:cut-wire=#1,successful:reset-in-reply=#2,failed:cut-wire=#2";
    let [plain, packed] = [&[][..], &["--compress-upload"]].map(|more| {
        let server = Server::in_memory(&["--faults", faults]);
        let place = Place::new();
        let said = place.run_on(&server, &load(&source, more));
        assert_eq!(said.code, 0, "{said:?}");
        every_row_once(&place);
        assert_eq!(server.count("Account"), ROWS);
        let mut states: Vec<String> = server.jobs().into_values().collect();
        states.sort();
        assert_eq!(server.stop()["upload:reset-in-request"], 2);
        states
    });
    assert_eq!(packed, plain);
    assert_eq!(packed, ["Aborted", "Aborted", "Aborted", "JobComplete", "JobComplete"]);
}

#[test]
fn an_org_that_takes_no_gzip_is_sent_the_rows_as_they_are() {
    let place = Place::new();
    place.org_settings(&serde_json::json!({"compressed-uploads": false}));
    let said = place.run(&load(&fixture("accounts.csv"), &["--compress-upload"]));
    assert_eq!(said.code, 0, "{said:?}");
    every_row_once(&place);
    let summary = place.summary();
    assert_eq!(summary["jobs"].as_array().unwrap().len(), 2, "no attempt was lost: {summary}");
    let notes = said.stderr.matches("takes no uploads in gzip").count();
    assert_eq!(notes, 1, "{}", said.stderr);
}

#[test]
fn a_resume_goes_on_with_it() {
    let server = Server::in_memory(&["--speed", "8000"]);
    let place = Place::new();
    let source = fixture("accounts.csv");
    let load = load(&source, &["--compress-upload", "--parallel", "1"]);
    let mut running = Watched::start(place.command_on(&server, &load));
    running.wait_for("uploaded");
    running.kill();
    let said = place.run_on(&server, &["resume"]);
    assert_eq!(said.code, 0, "{said:?}");
    every_row_once(&place);
    let summary = place.summary();
    let jobs = summary["jobs"].as_array().unwrap();
    let last = jobs.last().unwrap()["bytes"].as_u64().unwrap();
    // The second chunk at least was sent by the resume.
    let sent = summary["bytes_uploaded"].as_u64().unwrap();
    assert!(sent > 0 && sent * 2 < last, "{sent} of {last}");
}
