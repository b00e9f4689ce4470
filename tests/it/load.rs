//! Loads through the binary, as a user would run them.

use std::collections::BTreeSet;

use bulkhaul::generator::{self, Recipe, Refusal, SampleObject};

use crate::support::{Place, fixture, row_numbers};

const UPSERT: [&str; 6] =
    ["--object", "Account", "--operation", "upsert", "--external-id", "Legacy_Id__c"];

fn load<'a>(source: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["load", source];
    args.extend(UPSERT);
    args.extend(more);
    args
}

fn operation<'a>(source: &'a str, operation: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["load", source, "--object", "Account", "--operation", operation];
    args.extend(more);
    args
}

#[test]
fn a_file_creates_records_and_loaded_again_updates_them() {
    let place = Place::new();
    let source = fixture("accounts.csv");
    let said = place.run(&load(&source, &["--limit", "12000"]));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let summary = place.summary();
    assert_eq!(summary["rows"]["read"], 12_000);
    assert_eq!(summary["rows"]["created"], 12_000);
    assert_eq!(summary["status"], "completed");
    assert_eq!(summary["jobs"].as_array().unwrap().len(), 2);
    let rows = place.result("success.csv");
    assert_eq!(row_numbers(&rows), (1..=12_000).collect::<BTreeSet<u64>>());
    // In source order, values as in the source and not as the org renders them.
    let revenue = generator::column(SampleObject::Account, "AnnualRevenue").unwrap();
    for (row, number) in rows.iter().zip(1..) {
        assert_eq!(row["bulkhaul__Row"], number.to_string());
        assert_eq!(row["Legacy_Id__c"], format!("ACC-{number:08}"));
        let sent = generator::cell(generator::DEFAULT_SEED, number, revenue);
        assert_eq!(row["AnnualRevenue"], sent);
        assert_eq!((row["sf__Created"].as_str(), row["sf__Id"].len()), ("true", 18));
    }
    assert!(place.result("failed.csv").is_empty());
    assert!(place.run_folder().join("failed.csv").exists());

    let said = place.run(&load(&source, &["--limit", "12000"]));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(place.summary()["rows"]["updated"], 12_000);
    assert_eq!(place.summary()["rows"]["created"], 0);
    let said = place.run(&["query", "SELECT COUNT() FROM Account", "--format", "json"]);
    assert!(said.stdout.contains("12000"), "{said:?}");
}

#[test]
fn each_refused_row_is_told_with_its_reason() {
    let place = Place::new();
    let said = place.run(&load(&fixture("accounts_refused.csv"), &["--duplicates", "keep"]));
    assert_eq!(said.code, 3, "{}", said.stderr);
    let recipe = Recipe::of_traps();
    let (failed, rejected) = (place.result("failed.csv"), place.result("rejected.csv"));
    let success = place.result("success.csv");
    let mut all = row_numbers(&failed);
    all.extend(row_numbers(&rejected));
    all.extend(row_numbers(&success));
    assert_eq!(all, (1..=recipe.rows()).collect::<BTreeSet<u64>>(), "each row in one file");
    for row in 1..=recipe.rows() {
        let number = row.to_string();
        let of = |rows: &[std::collections::BTreeMap<String, String>], column: &str| {
            rows.iter()
                .find(|found| found["bulkhaul__Row"] == number)
                .map(|found| found[column].clone())
        };
        match recipe.trap(row).map(|trap| (trap.name, trap.refusal)) {
            Some((name, Refusal::Org(code))) => {
                let error = of(&failed, "sf__Error").unwrap_or_default();
                assert!(error.starts_with(&format!("{code}:")), "row {row}, {name}: {error}");
            }
            Some((name, Refusal::Duplicate(code))) => {
                let error = of(&failed, "sf__Error").unwrap_or_default();
                assert!(error.starts_with(&format!("{code}:")), "row {row}, {name}: {error}");
            }
            Some((name, Refusal::BeforeSending)) => {
                let error = of(&rejected, "bulkhaul__Error").unwrap_or_default();
                assert!(!error.is_empty(), "row {row}, {name}");
            }
            // The row before a duplicate shares its key, so the org refuses both.
            None if recipe
                .trap(row + 1)
                .is_some_and(|trap| matches!(trap.refusal, Refusal::Duplicate(_))) =>
            {
                assert!(of(&failed, "sf__Error").is_some(), "row {row}");
            }
            None => assert!(of(&success, "sf__Id").is_some(), "row {row} is good"),
        }
    }
    let summary = place.summary();
    let codes = summary["failures_by_code"].as_object().unwrap();
    let told: u64 = codes.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(told, failed.len() as u64);
}

#[test]
fn rows_that_share_a_key_are_refused_or_answered_by_the_flag() {
    let place = Place::new();
    let source = "Legacy_Id__c,Name\nA,one\nB,two\na,three\nC,four\n";
    let path = place.file("twins.csv", source);
    let path = path.to_str().unwrap();
    let said = place.run(&load(path, &[]));
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("row 3 that of row 1"), "{}", said.stderr);
    assert!(said.stderr.contains("--duplicates first"), "{}", said.stderr);
    assert!(!place.path().join("bulkhaul-runs").exists(), "a refusal leaves no run folder");

    for (flag, sent, rejected) in [
        ("reject", vec![2, 4], vec![1, 3]),
        ("first", vec![1, 2, 4], vec![3]),
        ("last", vec![2, 3, 4], vec![1]),
    ] {
        let said = place.run(&load(path, &["--duplicates", flag]));
        assert_eq!(said.code, 3, "{}", said.stderr);
        let rows = place.result("success.csv");
        assert_eq!(row_numbers(&rows), sent.into_iter().collect(), "{flag}");
        let rows = place.result("rejected.csv");
        assert_eq!(row_numbers(&rows), rejected.into_iter().collect(), "{flag}");
        assert!(rows[0]["bulkhaul__Error"].contains("has the same key"), "{rows:?}");
    }
}

#[test]
fn all_problems_of_a_header_are_told_at_once_and_nothing_is_sent() {
    let place = Place::new();
    let path = place.file("accounts.csv", "Nmae,legacy_id__c,CreatedDate,Parent.Naem\nx,1,2,3\n");
    let said = place.run(&load(path.to_str().unwrap(), &[]));
    assert_eq!(said.code, 2);
    let shown = said.stderr.replace(path.to_str().unwrap(), "accounts.csv");
    insta::assert_snapshot!(shown);
    assert!(!place.path().join("bulkhaul-runs").exists());
}

#[test]
fn the_same_insert_is_not_done_twice_by_accident() {
    let place = Place::new();
    let path = place.file("few.csv", "Name\nAlpha\nBeta\n");
    let path = path.to_str().unwrap();
    assert_eq!(place.run(&operation(path, "insert", &[])).code, 0);
    let said = place.run(&operation(path, "insert", &[]));
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("--again"), "{}", said.stderr);
    let said = place.run(&operation(path, "insert", &["--again"]));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(place.query("SELECT Id FROM Account").len(), 4);
}

#[test]
fn result_files_are_the_source_of_an_update_and_of_a_delete() {
    let place = Place::new();
    let path = place.file("few.csv", "Name,Phone\nAlpha,1\n\"Be,ta\",2\nGamma,3\n");
    assert_eq!(place.run(&operation(path.to_str().unwrap(), "insert", &[])).code, 0);
    let success = place.run_folder().join("success.csv");
    let success = success.to_str().unwrap();

    let update = ["--map", "sf__Id=Id", "--map", "Phone=Fax"];
    let said = place.run(&operation(success, "update", &update));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(place.summary()["rows"]["updated"], 3);
    let records = place.query("SELECT Name, Fax FROM Account ORDER BY Name");
    assert_eq!(records[1]["Name"], "Be,ta");
    assert_eq!(records[1]["Fax"], "2");

    let delete = ["--map", "sf__Id=Id", "--map", "Name=", "--map", "Phone="];
    let said = place.run(&operation(success, "delete", &delete));
    assert_eq!(said.code, 2, "a delete without a terminal needs --yes");
    assert!(said.stderr.contains("--yes"), "{}", said.stderr);
    let said = place.run(&operation(success, "delete", &[&delete[..], &["--yes"]].concat()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(place.summary()["rows"]["deleted"], 3);
    assert!(place.query("SELECT Id FROM Account").is_empty());
}

#[test]
fn a_window_of_rows_keeps_their_numbers() {
    let place = Place::new();
    let said = place.run(&load(&fixture("accounts.csv"), &["--skip", "100", "--limit", "50"]));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let rows = place.result("success.csv");
    assert_eq!(row_numbers(&rows), (101..=150).collect::<BTreeSet<u64>>());
    assert_eq!(rows[0]["Legacy_Id__c"], "ACC-00000101");
}

#[test]
fn a_header_without_rows_is_a_success_with_a_note() {
    let place = Place::new();
    let path = place.file("empty.csv", "Name,Legacy_Id__c\n");
    let said = place.run(&load(path.to_str().unwrap(), &["--json"]));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let summary: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(summary["rows"]["read"], 0);
    assert!(summary["notes"].to_string().contains("no rows"), "{summary}");
}

#[test]
fn another_org_than_the_expected_is_refused() {
    let place = Place::new();
    let path = place.file("few.csv", "Name\nAlpha\n");
    let path = path.to_str().unwrap();
    let said = place.run(&operation(path, "insert", &["--expect-org", "production"]));
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(place.query("SELECT Id FROM Account").is_empty());
    let said = place.run(&operation(path, "insert", &["--expect-org", "sandbox"]));
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[test]
fn what_a_person_reads_at_the_end() {
    let place = Place::new();
    let text = "Legacy_Id__c;Name;Email__c\r\n1;One;one@example.com\r\n2;;two@example.com\r\n\
                3;Three;nonsense\r\n4;Four\r\n";
    let path = place.file("semicolons.csv", text);
    let said = place.run(&load(path.to_str().unwrap(), &["--progress", "none"]));
    assert_eq!(said.code, 3, "{}", said.stderr);
    insta::with_settings!({filters => vec![
        (r"\d{8}-\d{6}-[0-9a-f]{4}", "[run]"),
        (r"\d+\.\d s", "[seconds]"),
        (r"[\d,.]+ rows/s", "[speed]"),
        (r"\d+(\.\d)? [kMG]i?B", "[size]"),
        (r"\d+ API calls", "[calls] API calls"),
        (r"00D[0-9A-Za-z]{15}", "[org]"),
        (r"http://127.0.0.1:\d+", "[url]"),
    ]}, {
        insta::assert_snapshot!(said.stdout);
    });
    assert_eq!(said.stderr.lines().count(), 5, "nothing but the banner: {}", said.stderr);
}

#[test]
fn json_lines_tell_the_run_to_a_machine() {
    let place = Place::new();
    let said =
        place.run(&load(&fixture("accounts.csv"), &["--limit", "500", "--progress", "json"]));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let events: Vec<serde_json::Value> =
        said.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!((named("run_started"), named("run_ended")), (1, 1));
    assert_eq!((named("job_created"), named("chunk_reconciled")), (1, 1));
    assert_eq!(events.last().unwrap()["tally"]["created"], 500);
}

#[test]
fn what_the_org_refuses_at_the_first_job_leaves_nothing_behind() {
    let place = Place::new();
    let path = place.file("ids.csv", "Id\n001000000000001AAA\n");
    let args = operation(path.to_str().unwrap(), "hardDelete", &["--yes"]);
    let said = place.run(&args);
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("nothing was sent"), "{}", said.stderr);
    let runs = std::fs::read_dir(place.path().join("bulkhaul-runs")).unwrap();
    let folders = runs.filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(folders.count(), 0, "a load that was refused leaves no run folder");
}

#[test]
fn an_assignment_rule_goes_with_what_has_one() {
    let place = Place::new();
    let path = place.file("few.csv", "Name\nAlpha\n");
    let rule = ["--assignment-rule", "01Q000000000001"];
    let said = place.run(&operation(path.to_str().unwrap(), "insert", &rule));
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("Case and Lead"), "{}", said.stderr);
}

#[test]
fn a_result_column_that_is_sent_stands_under_its_field() {
    let place = Place::new();
    let path = place.file("ids.csv", "sf__Id,sf__Error,Name\n001000000000001AAA,old,Alpha\n");
    let map = ["--map", "sf__Id=Id"];
    let said = place.run(&operation(path.to_str().unwrap(), "update", &map));
    assert_eq!(said.code, 3, "{}", said.stderr);
    let rows = place.result("failed.csv");
    assert_eq!(rows[0]["Id"], "001000000000001AAA");
    assert!(!rows[0]["sf__Error"].contains("old"));
}

#[test]
fn refused_arguments_are_told_as_json_too() {
    let place = Place::new();
    let said =
        place.run(&["load", "x.csv", "--object", "Account", "--operation", "mangle", "--json"]);
    assert_eq!(said.code, 2);
    let told: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(told["error"]["code"], "usage");
    assert!(told["error"]["message"].as_str().unwrap().contains("mangle"), "{told}");
}

#[test]
fn names_that_are_missing_or_occur_twice_are_told_with_the_rest() {
    let place = Place::new();
    let path = place.file("odd.csv", "Name,,Name,Nmae\na,b,c,d\n");
    let said = place.run(&operation(path.to_str().unwrap(), "insert", &[]));
    assert_eq!(said.code, 2);
    for told in ["column 2 of the header has no name", "columns 1 and 3", "`Nmae`"] {
        assert!(said.stderr.contains(told), "{told}: {}", said.stderr);
    }
}

#[test]
fn a_log_file_tells_the_run_whatever_is_shown() {
    let place = Place::new();
    let path = place.file("few.csv", "Name\nAlpha\n");
    let more = ["--progress", "none", "--log-file", "run.log"];
    let said = place.run(&operation(path.to_str().unwrap(), "insert", &more));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let log = std::fs::read_to_string(place.path().join("run.log")).unwrap();
    for milestone in ["run_started", "job_created", "chunk_reconciled", "run_ended"] {
        assert!(log.contains(milestone), "{milestone}: {log}");
    }
    assert!(!log.contains("Alpha"), "a row value in the log: {log}");
}
