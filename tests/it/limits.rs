//! Where a run stops: the org's allowances and room, limits of the user, jobs
//! that somebody else ended, and a run that is closed for good. What it says,
//! what the org has then, and how it goes on.

use std::collections::BTreeSet;

use crate::support::{Place, Said, Server, Watched, json, row_numbers};

fn source(place: &Place, name: &str, rows: u64) -> String {
    let mut text = String::from("Name,Site\n");
    for row in 1..=rows {
        text += &format!("{name} {row},Hall {}\n", row % 7);
    }
    place.file(name, text).to_str().unwrap().to_owned()
}

fn insert<'a>(source: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["--object", "Account", "--operation", "insert", "--json", "--yes"];
    [&["load", source][..], &fixed, &["--progress", "json"], more].concat()
}

fn resume<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["resume", "--json", "--yes", "--progress", "json"], more].concat()
}

/// Every row is saved once.
fn all_saved(place: &Place, server: &Server, said: &Said, rows: u64) {
    assert_eq!(said.code, 0, "{said:?}");
    let saved = place.result("success.csv");
    assert_eq!(row_numbers(&saved), (1..=rows).collect::<BTreeSet<u64>>());
    let ids: BTreeSet<&str> = saved.iter().map(|row| row["sf__Id"].as_str()).collect();
    assert_eq!(ids.len() as u64, rows);
    assert_eq!(server.count("Account"), rows);
}

#[test]
fn a_run_out_of_batches_goes_on_the_next_day() {
    let place = Place::new();
    let dir = place.path().join("org");
    let dir = dir.to_str().unwrap();
    let on_disk = ["--port", "0", "--dir", dir, "--faults"];
    let faults = "daily-batches=6,rows-per-second=700";
    let server = Server::start(&[&on_disk[..], &[faults]].concat());
    let long = source(&place, "long.csv", 1_500);
    let more = ["--chunk-rows", "300", "--parallel", "1"];
    let mut running = Watched::start(place.command_on(&server, &insert(&long, &more)));
    running.wait_for("uploaded");
    // Somebody else uses what would have been enough for both.
    let other = Place::new();
    let short = source(&other, "short.csv", 20);
    let said = other.run_on(&server, &insert(&short, &["--chunk-rows", "10"]));
    assert_eq!(said.code, 0, "{said:?}");
    let said = running.end();
    assert_eq!(said.code, 4, "{said:?}");
    let summary = json(&said);
    assert_eq!(summary["status"], "interrupted");
    assert_eq!(summary["error"]["resumable"], true);
    assert_eq!(server.count("Account"), 1_200 + 20);
    let _ = server.stop();

    let tomorrow = "daily-batches=6,clock:+25h=#1";
    let server = Server::start(&[&on_disk[..], &[tomorrow]].concat());
    let said = place.run_on(&server, &resume(&[]));
    assert_eq!(said.code, 0, "{said:?}");
    let saved = place.result("success.csv");
    assert_eq!(row_numbers(&saved), (1..=1_500).collect::<BTreeSet<u64>>());
    assert_eq!(server.count("Account"), 1_500 + 20);
}

#[test]
fn an_org_without_room_stops_the_run() {
    let server = Server::in_memory(&["--faults", "storage=250"]);
    let place = Place::new();
    let source = source(&place, "rows.csv", 1_000);
    let more = ["--chunk-rows", "200", "--parallel", "1"];
    let said = place.run_on(&server, &insert(&source, &more));
    assert_eq!(said.code, 1, "{said:?}");
    let summary = json(&said);
    let told = summary["error"]["message"].as_str().unwrap();
    assert!(told.contains("STORAGE_LIMIT_EXCEEDED"), "{told}");
    assert_eq!(server.count("Account"), 250);
    // The third may be made while the results of the second are read.
    assert!(server.jobs().len() <= 3, "no job is made that can only fail");
    assert_eq!(summary["rows"]["succeeded"], 250);
}

#[test]
fn more_failures_than_allowed_end_the_run_until_more_are_allowed() {
    let faults = "seed=3,row-refused=30%,rows-per-second=1500";
    let server = Server::in_memory(&["--faults", faults]);
    let place = Place::new();
    let source = source(&place, "rows.csv", 3_000);
    let more = ["--chunk-rows", "500", "--parallel", "2", "--max-failures", "60"];
    let said = place.run_on(&server, &insert(&source, &more));
    assert_eq!(said.code, 5, "{said:?}");
    let summary = json(&said);
    assert_eq!(
        (&summary["status"], &summary["error"]["resumable"]),
        (&"stopped".into(), &true.into())
    );
    let states = server.jobs();
    assert!(states.len() < 6, "{states:?}");
    let over = ["JobComplete", "Aborted"];
    assert!(states.values().all(|state| over.contains(&state.as_str())), "{states:?}");
    assert!(states.values().any(|state| state == "Aborted"), "watched while they run: {states:?}");

    // The same limit stops it again, with nothing sent that need not be.
    let said = place.run_on(&server, &resume(&[]));
    assert_eq!(said.code, 5, "{said:?}");
    let said = place.run_on(&server, &resume(&["--max-failures", "3000"]));
    assert_eq!(said.code, 3, "{said:?}");
    let (saved, failed) = (place.result("success.csv"), place.result("failed.csv"));
    let mut all = row_numbers(&saved);
    all.extend(row_numbers(&failed));
    assert_eq!(all, (1..=3_000).collect::<BTreeSet<u64>>());
    assert_eq!(server.count("Account"), saved.len() as u64);
    assert!(failed.iter().all(|row| row["sf__Error"].starts_with("FIELD_CUSTOM_VALIDATION")));
}

#[test]
fn a_share_of_failures_counts_from_ten_thousand_rows_on() {
    let server = Server::in_memory(&["--faults", "seed=3,row-refused=20%"]);
    let place = Place::new();
    let few = source(&place, "few.csv", 2_000);
    let said = place.run_on(&server, &insert(&few, &["--max-failures", "5%"]));
    assert_eq!(said.code, 3, "{said:?}");
    let place = Place::new();
    let many = source(&place, "many.csv", 30_000);
    let more = ["--max-failures", "5%", "--parallel", "1", "--chunk-rows", "5000"];
    let said = place.run_on(&server, &insert(&many, &more));
    assert_eq!(said.code, 5, "{said:?}");
    assert!(json(&said)["rows"]["pending"].as_u64().unwrap() >= 10_000);
}

#[test]
fn a_canary_that_fails_keeps_the_others_home() {
    let server = Server::in_memory(&["--faults", "row-refused=100%"]);
    let place = Place::new();
    let source = source(&place, "rows.csv", 1_000);
    let more = ["--canary", "50", "--chunk-rows", "200"];
    let said = place.run_on(&server, &insert(&source, &more));
    assert_eq!(said.code, 5, "{said:?}");
    let infos = server.job_infos();
    assert_eq!(infos.len(), 1, "{infos:?}");
    assert_eq!(infos[0]["numberRecordsProcessed"], 50);
    assert_eq!(row_numbers(&place.result("failed.csv")), (1..=50).collect());

    let server = Server::in_memory(&[]);
    let place = Place::new();
    let source = self::source(&place, "rows.csv", 1_000);
    let said = place.run_on(&server, &insert(&source, &more));
    all_saved(&place, &server, &said, 1_000);
    assert_eq!(server.job_infos()[0]["numberRecordsProcessed"], 50);
}

#[test]
fn what_is_reserved_for_others_is_left_to_them() {
    let server = Server::in_memory(&["--faults", "daily-batches=10"]);
    let place = Place::new();
    let source = source(&place, "rows.csv", 600);
    let more = ["--chunk-rows", "100", "--reserve", "50%"];
    let said = place.run_on(&server, &insert(&source, &more));
    assert_eq!(said.code, 2, "{said:?}");
    assert!(server.jobs().is_empty(), "six jobs are more than half of ten");
    let more = ["--chunk-rows", "100", "--reserve", "40%"];
    let said = place.run_on(&server, &insert(&source, &more));
    all_saved(&place, &server, &said, 600);
}

#[test]
fn jobs_that_somebody_else_ends_interrupt_the_run_and_resume_ends_it() {
    for fault in ["job-aborted=#2", "job-aborted-open=#2"] {
        let server = Server::in_memory(&["--faults", &format!("seed=1,{fault}")]);
        let place = Place::new();
        let source = source(&place, "rows.csv", 1_000);
        let more = ["--chunk-rows", "250", "--parallel", "1"];
        let said = place.run_on(&server, &insert(&source, &more));
        assert_eq!(said.code, 4, "{fault}: {said:?}");
        let told = json(&said)["error"]["message"].as_str().unwrap().to_owned();
        assert!(told.contains("somebody else"), "{fault}: {told}");
        assert!(server.jobs().len() <= 2, "{fault}: whoever did it had a reason");
        let said = place.run_on(&server, &resume(&[]));
        all_saved(&place, &server, &said, 1_000);
    }
}

#[test]
fn an_aborted_run_is_closed_for_good() {
    let server = Server::in_memory(&["--speed", "400"]);
    let place = Place::new();
    let source = source(&place, "rows.csv", 2_000);
    let args = insert(&source, &["--chunk-rows", "500", "--parallel", "2"]);
    let mut running = Watched::start(place.command_on(&server, &args));
    running.wait_for("uploaded");
    running.wait_for("job_progress");
    running.kill();
    let said = place.run_on(&server, &["abort", "latest", "--json", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    let summary = json(&said);
    assert_eq!(summary["status"], "stopped");
    let states = server.jobs();
    let over = ["Aborted", "JobComplete"];
    assert!(states.values().all(|state| over.contains(&state.as_str())), "{states:?}");
    assert!(states.values().any(|state| state == "Aborted"), "{states:?}");
    // What they had done stands in the account, row by row.
    let saved = place.result("success.csv");
    assert_eq!(saved.len() as u64, server.count("Account"));
    assert_eq!(summary["rows"]["succeeded"], saved.len());

    let said = place.run_on(&server, &resume(&["latest"]));
    assert_eq!(said.code, 2, "{said:?}");
    assert_eq!(json(&said)["error"]["code"], "aborted");
    let said = place.run_on(&server, &args);
    assert_eq!(said.code, 2, "never by accident again: {said:?}");
    assert_eq!(json(&said)["error"]["code"], "earlier-run");
    assert_eq!(server.jobs(), states);
}

#[test]
fn rows_of_a_job_that_the_org_forgot_are_disputed_and_not_sent_again() {
    let place = Place::new();
    let dir = place.path().join("org");
    let on_disk = ["--port", "0", "--dir", dir.to_str().unwrap(), "--faults"];
    let server = Server::start(&[&on_disk[..], &["rows-per-second=2000"]].concat());
    let source = source(&place, "rows.csv", 900);
    let args = insert(&source, &["--chunk-rows", "300", "--parallel", "1"]);
    let mut running = Watched::start(place.command_on(&server, &args));
    running.wait_for("uploaded");
    running.kill();
    while server.jobs().values().any(|state| state != "JobComplete") {}
    let _ = server.stop();
    let server = Server::start(&[&on_disk[..], &["clock:+8d=#1"]].concat());
    let said = place.run_on(&server, &resume(&[]));
    assert_eq!(said.code, 3, "{said:?}");
    assert_eq!(row_numbers(&place.result("disputed.csv")), (1..=300).collect());
    assert_eq!(row_numbers(&place.result("success.csv")), (301..=900).collect());
    assert_eq!(server.count("Account"), 900, "saved by the job that is gone");
    let summary = json(&said);
    assert_eq!(summary["rows"]["disputed"], 300);
    let notes = summary["notes"].to_string();
    assert!(notes.contains("no longer knows job"), "{notes}");
}

#[test]
fn a_job_that_may_be_ours_is_told_and_left_alone() {
    let faults = "create:done-reset=#1,rows-per-second=800";
    let server = Server::in_memory(&["--faults", faults]);
    let place = Place::new();
    let source = source(&place, "rows.csv", 900);
    let args = insert(&source, &["--chunk-rows", "300", "--parallel", "1"]);
    let mut running = Watched::start(place.command_on(&server, &args));
    running.wait_for("uploaded");
    running.kill();
    let lost: Vec<String> =
        server.jobs().into_iter().filter(|(_, state)| state == "Open").map(|(id, _)| id).collect();
    assert_eq!(lost.len(), 1, "made by the call that was not answered");
    let said = place.run_on(&server, &resume(&[]));
    all_saved(&place, &server, &said, 900);
    let notes = json(&said)["notes"].to_string();
    assert!(notes.contains(&lost[0]), "{notes}");
    assert_eq!(server.jobs()[&lost[0]], "Open", "another tool may be using it");
}
