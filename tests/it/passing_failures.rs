//! Rows and jobs that fail for a reason that passes: sent again inside the
//! same run where that is safe, and never where a record could be made twice.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::{Place, Server, json, row_numbers};

/// Accounts with a key of their own in `Legacy_Id__c`.
fn keyed(place: &Place, rows: u64) -> String {
    let mut text = String::from("Legacy_Id__c,Name\n");
    for row in 1..=rows {
        text += &format!("K{row:06},Company {row}\n");
    }
    place.file("keyed.csv", text).to_str().unwrap().to_owned()
}

/// Accounts that nothing protects from being inserted twice.
fn plain(place: &Place, rows: u64) -> String {
    let mut text = String::from("Name,Site\n");
    for row in 1..=rows {
        text += &format!("Company {row},Hall {}\n", row % 7);
    }
    place.file("plain.csv", text).to_str().unwrap().to_owned()
}

fn load<'a>(source: &'a str, operation: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["load", source, "--object", "Account", "--operation", operation];
    if operation == "upsert" {
        args.extend(["--external-id", "Legacy_Id__c"]);
    }
    args.extend(["--json", "--progress", "none", "--yes"]);
    args.extend(more);
    args
}

/// How often rows were carried, by the result file.
fn attempts(rows: &[BTreeMap<String, String>]) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row["bulkhaul__Attempts"].parse().unwrap()).or_default() += 1;
    }
    counts
}

/// Jobs that carried rows again after locks, by the org's own list: each of at
/// most a batch, created after all others had ended.
fn one_at_a_time(infos: &[Value], first: usize) {
    let time = |job: &Value, name: &str| job[name].as_str().unwrap().to_owned();
    for (at, job) in infos.iter().enumerate().skip(first) {
        assert!(job["numberRecordsProcessed"].as_u64().unwrap() <= 10_000, "{job}");
        for before in &infos[..at] {
            let (ended, created) = (time(before, "systemModstamp"), time(job, "createdDate"));
            assert!(ended <= created, "{before} was at work when {job} was made");
        }
    }
}

#[test]
fn rows_that_met_a_lock_go_last_in_small_jobs_one_at_a_time() {
    let server = Server::in_memory(&["--faults", "seed=3,row-lock=10%"]);
    let place = Place::new();
    let source = plain(&place, 3_000);
    let more = ["--chunk-rows", "1000", "--parallel", "3", "--row-attempts", "12"];
    let said = place.run_on(&server, &load(&source, "insert", &more));
    assert_eq!(said.code, 0, "{said:?}");
    let saved = place.result("success.csv");
    assert_eq!(row_numbers(&saved), (1..=3_000).collect::<BTreeSet<u64>>());
    let attempts = attempts(&saved);
    assert!(attempts[&1] > 2_500 && attempts[&2] > 100, "{attempts:?}");
    assert_eq!(server.count("Account"), 3_000);
    let infos = server.job_infos();
    // Three chunks, and for each what is left of it until nothing is.
    assert!(infos.len() >= 6, "{infos:?}");
    one_at_a_time(&infos, 3);
}

#[test]
fn children_of_one_parent_in_parallel_jobs_are_all_saved_in_the_end() {
    let faults = "seed=5,parent-locks=60%,rows-per-second=4000";
    let server = Server::in_memory(&["--faults", faults]);
    let place = Place::new();
    let parents = keyed(&place, 5);
    assert_eq!(place.run_on(&server, &load(&parents, "upsert", &[])).code, 0);
    let mut text = String::from("LastName,Account.Legacy_Id__c\n");
    for row in 1..=1_200 {
        text += &format!("Person {row},K{:06}\n", row % 5 + 1);
    }
    let source = place.file("people.csv", text);
    let args = ["load", source.to_str().unwrap(), "--object", "Contact", "--operation", "insert"];
    let more = ["--chunk-rows", "300", "--parallel", "4", "--json", "--yes", "--progress", "none"];
    let said = place.run_on(&server, &[&args[..], &more].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let saved = place.result("success.csv");
    assert_eq!(row_numbers(&saved), (1..=1_200).collect::<BTreeSet<u64>>());
    assert_eq!(server.count("Contact"), 1_200);
    let again = saved.iter().filter(|row| row["bulkhaul__Attempts"] != "1").count();
    let locked = server.stop().get("parent-locks").copied().unwrap_or(0);
    assert_eq!(again > 0, locked > 0, "{again} rows went again, {locked} met a lock");
}

#[test]
fn what_passes_by_itself_is_sent_again_only_where_nothing_can_double() {
    let faults = ["--faults", "seed=4,row-error=8%"];
    let server = Server::in_memory(&faults);
    let place = Place::new();
    let source = keyed(&place, 1_000);
    let more = ["--row-attempts", "9"];
    let said = place.run_on(&server, &load(&source, "upsert", &more));
    assert_eq!(said.code, 0, "{said:?}");
    let carried = attempts(&place.result("success.csv"));
    assert!(carried[&1] > 850 && carried[&2] > 20, "{carried:?}");
    assert_eq!(json(&said)["rows"]["created"], 1_000);

    // Nothing keeps these from being saved twice: told as failed, sent once.
    let server = Server::in_memory(&faults);
    let place = Place::new();
    let source = plain(&place, 1_000);
    let said = place.run_on(&server, &load(&source, "insert", &more));
    assert_eq!(said.code, 3, "{said:?}");
    let failed = place.result("failed.csv");
    assert!(failed.len() > 20);
    for row in &failed {
        assert_eq!(row["bulkhaul__Attempts"], "1");
        assert!(row["sf__Error"].starts_with("UNKNOWN_EXCEPTION:"), "{row:?}");
    }
    assert_eq!(server.jobs().len(), 1);
    assert_eq!(server.count("Account") + failed.len() as u64, 1_000);
}

#[test]
fn rows_that_were_saved_and_denied_are_never_doubled() {
    let faults = ["--faults", "seed=6,row-error-saved=6%"];
    let server = Server::in_memory(&faults);
    let place = Place::new();
    let source = plain(&place, 1_000);
    let said = place.run_on(&server, &load(&source, "insert", &[]));
    assert_eq!(said.code, 3, "{said:?}");
    assert!(place.result("failed.csv").len() > 10);
    assert_eq!(server.count("Account"), 1_000, "saved, whatever was told");

    // With a field that the org keeps unique the rows go again, meet their own
    // records, and the org is asked for these.
    let server = Server::in_memory(&faults);
    let place = Place::new();
    let source = keyed(&place, 1_000);
    let said = place.run_on(&server, &load(&source, "insert", &["--row-attempts", "6"]));
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(server.count("Account"), 1_000);
    let page = server.see("/services/data/v66.0/query?q=SELECT+Id,Legacy_Id__c+FROM+Account");
    let records: BTreeMap<&str, &str> = page["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| (record["Legacy_Id__c"].as_str().unwrap(), record["Id"].as_str().unwrap()))
        .collect();
    let saved = place.result("success.csv");
    assert_eq!(saved.len(), 1_000);
    assert!(saved.iter().all(|row| records[row["Legacy_Id__c"].as_str()] == row["sf__Id"]));
    assert!(saved.iter().filter(|row| row["bulkhaul__Attempts"] != "1").count() > 10);
}

#[test]
fn rows_that_a_failed_job_did_not_reach_are_sent_again() {
    let load_on = |faults: &str| {
        let server = Server::in_memory(&["--faults", faults]);
        let place = Place::new();
        let source = plain(&place, 1_200);
        let more = ["--chunk-rows", "400", "--parallel", "2"];
        let said = place.run_on(&server, &load(&source, "insert", &more));
        assert_eq!(said.code, 0, "{said:?}");
        let saved = place.result("success.csv");
        assert_eq!(row_numbers(&saved), (1..=1_200).collect::<BTreeSet<u64>>());
        assert_eq!(server.count("Account"), 1_200);
        let again: Vec<u64> = saved
            .iter()
            .filter(|row| row["bulkhaul__Attempts"] == "2")
            .map(|row| row["bulkhaul__Row"].parse().unwrap())
            .collect();
        assert!(!again.is_empty() && again.len() < 400, "{} rows", again.len());
        server
    };
    std::thread::scope(|scope| {
        let fails = scope.spawn(|| load_on("seed=2,job-fails=#2"));
        let times_out = scope.spawn(|| load_on("seed=2,job-times-out=#1"));
        let locks = scope.spawn(|| load_on("seed=2,job-locks=#1"));
        for server in [fails.join().unwrap(), times_out.join().unwrap()] {
            assert_eq!(server.jobs().values().filter(|state| *state == "Failed").count(), 1);
        }
        // TooManyLockFailure: what is left waits until all others have ended.
        let infos = locks.join().unwrap().job_infos();
        assert_eq!(infos.len(), 4, "{infos:?}");
        one_at_a_time(&infos, 3);
    });
}

#[test]
fn a_job_that_is_refused_as_a_whole_is_not_sent_again_nor_is_any_other() {
    let server = Server::in_memory(&["--faults", "job-invalid=#1"]);
    let place = Place::new();
    let source = plain(&place, 1_000);
    let more = ["--chunk-rows", "200", "--parallel", "1"];
    let said = place.run_on(&server, &load(&source, "insert", &more));
    assert_eq!(said.code, 1, "{said:?}");
    let summary = json(&said);
    let told = summary["error"]["message"].as_str().unwrap();
    assert!(told.contains("InvalidBatch"), "{told}");
    assert_eq!(server.jobs().len(), 1, "every further job would fail the same way");
    assert_eq!(server.count("Account"), 0);
    assert_eq!(summary["rows"]["unprocessed"], 200);
    // Once it is mended, the others are sent; those of that job stay told.
    let said = place.run_on(&server, &["resume", "--json", "--progress", "none"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert_eq!(server.count("Account"), 800);
    assert_eq!(row_numbers(&place.result("unprocessed.csv")), (1..=200).collect());
}
