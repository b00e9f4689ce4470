//! Conservation (I1) on large, awkward sources: each row read ends in exactly
//! one result file, with the fate and the record it really has in the org.
//!
//! The judge is the generator, never the pipeline: a cell of a result file and
//! a field of a record must be what seed, row number and column say, and the
//! rows that are refused those that a trap was put in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use bulkhaul::generator::{ColumnSet, Recipe, Refusal, SampleObject, Shape};
use serde_json::{Value, json};

use crate::support::Place;

const FILES: [&str; 5] =
    ["success.csv", "failed.csv", "unprocessed.csv", "rejected.csv", "disputed.csv"];

/// Accounts of a shape.
fn accounts(rows: u64, shape: Shape) -> Recipe {
    Recipe::new(SampleObject::Account, rows).shape(shape, ColumnSet::Default).unwrap()
}

/// Has the binary write the source that a recipe tells of.
fn generate(place: &Place, recipe: &Recipe, more: &[&str]) -> String {
    let (rows, out) = (recipe.rows().to_string(), place.path().join("source.csv"));
    let out = out.to_str().unwrap().to_owned();
    let mut args = vec!["generate", "--object", "Account", "--rows", &rows, "--out", &out];
    args.extend(more);
    let said = place.run(&args);
    assert_eq!(said.code, 0, "{}", said.stderr);
    out
}

fn upsert<'a>(source: &'a str, key: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["load", source, "--object", "Account", "--operation", "upsert"];
    args.extend(["--external-id", key]);
    args.extend(more);
    args
}

fn insert(source: &str) -> [&str; 6] {
    ["load", source, "--object", "Account", "--operation", "insert"]
}

/// What a result file says of a row beside the row's own cells.
#[derive(Debug, Default)]
struct Told {
    id: String,
    created: String,
    error: String,
    matched: String,
}

/// The rows of each result file.
type Told5 = BTreeMap<&'static str, BTreeMap<u64, Told>>;

/// Reads all result files. Each row of the source must stand in exactly one of
/// them, once, with every cell as the generator made it, in source order; the
/// summary must count the same.
fn judged_files(place: &Place, recipe: &Recipe) -> Told5 {
    let mut files = Told5::new();
    let mut seen = BTreeSet::new();
    for name in FILES {
        let rows = judged_file(place, recipe, name);
        for &row in rows.keys() {
            assert!(seen.insert(row), "row {row} is in two files");
        }
        files.insert(name, rows);
    }
    assert!(seen.iter().copied().eq(1..=recipe.rows()), "a row is missing, or there is one more");
    let counts = &place.summary()["rows"];
    let count = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!((count("read"), count("pending")), (recipe.rows(), 0));
    for (counted, file) in [
        ("succeeded", "success.csv"),
        ("failed", "failed.csv"),
        ("unprocessed", "unprocessed.csv"),
        ("rejected", "rejected.csv"),
        ("disputed", "disputed.csv"),
    ] {
        assert_eq!(count(counted), files[file].len() as u64, "{counted}");
    }
    files
}

fn judged_file(place: &Place, recipe: &Recipe, name: &str) -> BTreeMap<u64, Told> {
    let path = place.run_folder().join(name);
    let mut rows = BTreeMap::new();
    if !path.exists() {
        assert!(!matches!(name, "success.csv" | "failed.csv"), "{name} is always there");
        return rows;
    }
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let own = header.iter().take_while(|name| name.contains("__") && is_ours(name)).count();
    assert_eq!(header.iter().skip(own).collect::<Vec<_>>(), recipe.header(), "{name}");
    let at = |wanted: &str| header.iter().take(own).position(|name| name == wanted);
    let (row_at, match_at) = (at("bulkhaul__Row").unwrap(), at("bulkhaul__Match"));
    let (id_at, created_at, error_at) = (at("sf__Id"), at("sf__Created"), at("sf__Error"));
    let mut record = csv::StringRecord::new();
    let mut last = 0;
    while reader.read_record(&mut record).unwrap() {
        let row: u64 = record[row_at].parse().unwrap();
        assert!(row > last, "{name}: row {row} comes behind row {last}");
        last = row;
        for column in 0..recipe.header().len() {
            let made = recipe.value(row, column).unwrap();
            let field = &header[own + column];
            assert_eq!(record[own + column], made, "{name}, row {row}, {field}");
        }
        let told = |at: Option<usize>| at.map_or(String::new(), |at| record[at].to_owned());
        let told = Told {
            id: told(id_at),
            created: told(created_at),
            error: told(error_at),
            matched: told(match_at),
        };
        rows.insert(row, told);
    }
    rows
}

fn is_ours(column: &str) -> bool {
    column.starts_with("bulkhaul__") || column.starts_with("sf__")
}

/// Which rows an org refuses that is sent all of them, with the code.
fn to_be_refused(recipe: &Recipe) -> BTreeMap<u64, &'static str> {
    let mut refused = BTreeMap::new();
    for row in 1..=recipe.rows() {
        match recipe.trap(row).map(|trap| trap.refusal) {
            Some(Refusal::Org(code)) => {
                refused.insert(row, code);
            }
            Some(Refusal::Duplicate(code)) => {
                // Twins are both refused when both are sent.
                refused.extend([(row - 1, code), (row, code)]);
            }
            Some(Refusal::BeforeSending) => panic!("row {row} would not be sent"),
            None => {}
        }
    }
    refused
}

/// Asserts that exactly the rows with traps were refused, each with its code,
/// and that the summary counts the codes so.
fn refused_rows_are_those_with_traps(place: &Place, recipe: &Recipe, files: &Told5) {
    let refused = to_be_refused(recipe);
    let told: BTreeMap<u64, &str> = files["failed.csv"]
        .iter()
        .map(|(&row, told)| (row, told.error.split(':').next().unwrap()))
        .collect();
    assert_eq!(told, refused);
    let mut by_code = BTreeMap::new();
    for code in refused.values() {
        *by_code.entry(*code).or_insert(0u64) += 1;
    }
    assert_eq!(place.summary()["failures_by_code"], json!(by_code));
}

/// Asserts that the org holds one record for each success and no other, and
/// that the record which a row is said to have become holds that row's values.
fn records_are_the_rows(place: &Place, recipe: &Recipe, success: &BTreeMap<u64, Told>) {
    let mut row_of = HashMap::with_capacity(success.len());
    for (&row, told) in success {
        let earlier = row_of.insert(told.id.as_str(), row);
        assert_eq!(earlier, None, "row {row} claims the record {} of another", told.id);
    }
    let fields = recipe.header();
    let soql = format!("SELECT Id, {} FROM Account", fields.join(", "));
    // As they come: 200,000 records at once would fill the memory of a CI machine.
    let mut command = place.command(&["query", &soql, "--format", "jsonl", "-q"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let record: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let id = record["Id"].as_str().unwrap();
        let row = row_of.remove(id).unwrap_or_else(|| panic!("no row has become record {id}"));
        for (column, &field) in fields.iter().enumerate() {
            let made = recipe.value(row, column).unwrap();
            let held = &record[field];
            assert!(holds(held, &made), "row {row}: {field} is {held}, was `{made}`");
        }
    }
    assert!(child.wait().unwrap().success());
    assert!(row_of.is_empty(), "{} records are not in the org: {row_of:?}", row_of.len());
}

/// Whether a field of a record, in whatever way the org renders it, holds what
/// a cell said.
fn holds(held: &Value, made: &str) -> bool {
    match held {
        Value::Null => made.is_empty(),
        Value::Bool(held) => held.to_string() == made,
        Value::Number(held) => made.parse::<f64>().is_ok_and(|made| held.as_f64() == Some(made)),
        Value::String(held) if held == made => !made.is_empty(),
        Value::String(held) => {
            // Instants get an offset, sets an order of their own, line ends
            // those of the job.
            let set = |text: &str| text.split(';').map(str::to_owned).collect::<BTreeSet<_>>();
            let is_set = made.contains(';') && held.len() == made.len();
            held.strip_suffix("+0000").is_some_and(|held| made.strip_suffix('Z') == Some(held))
                || held.replace("\r\n", "\n") == made
                || is_set && set(held) == set(made)
        }
        Value::Array(_) | Value::Object(_) => false,
    }
}

#[test]
fn a_field_that_holds_something_else_is_noticed() {
    for (held, made) in [
        (json!(1.5e11), "150000000000"),
        (json!(null), ""),
        (json!(true), "true"),
        (json!("2020-01-02T03:04:05.000+0000"), "2020-01-02T03:04:05.000Z"),
        (json!("B;A"), "A;B"),
        (json!("a\r\nb"), "a\nb"),
    ] {
        assert!(holds(&held, made), "{held} {made}");
    }
    for (held, made) in [
        (json!(1.5e11), "150000000001"),
        (json!(null), "x"),
        (json!(""), ""),
        (json!("007"), "7"),
        (json!(false), "true"),
        (json!("2020-01-02T03:04:06.000+0000"), "2020-01-02T03:04:05.000Z"),
        (json!("A;C"), "A;B"),
        (json!("x "), "x"),
    ] {
        assert!(!holds(&held, made), "{held} {made}");
    }
}

#[test]
fn the_judge_notices_another_row_a_missing_row_and_a_wrong_record() {
    let place = Place::new();
    let recipe = accounts(100, Shape::Plain);
    let source = generate(&place, &recipe, &[]);
    let said = place.run(&upsert(&source, "Legacy_Id__c", &[]));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let complains =
        |judge: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(judge)).is_err();
    assert!(complains(&|| drop(judged_files(&place, &recipe.clone().seed(43)))), "other values");
    assert!(complains(&|| drop(judged_files(&place, &accounts(101, Shape::Plain)))), "a row more");
    let mut files = judged_files(&place, &recipe);
    let trapped = recipe.clone().bad_every(10).unwrap();
    let judge = || refused_rows_are_those_with_traps(&place, &trapped, &files);
    assert!(complains(&judge), "rows with traps went through");

    let success = files.get_mut("success.csv").unwrap();
    records_are_the_rows(&place, &recipe, success);
    let (seventh, eighth) = (success.remove(&7).unwrap(), success.remove(&8).unwrap());
    assert!(complains(&|| records_are_the_rows(&place, &recipe, success)), "records too many");
    success.extend([(7, eighth), (8, seventh)]);
    assert!(complains(&|| records_are_the_rows(&place, &recipe, success)), "records exchanged");
}

/// The ways in which results were matched, each with its rows.
fn by_match(success: &BTreeMap<u64, Told>) -> BTreeMap<&str, BTreeSet<u64>> {
    let mut ways = BTreeMap::<&str, BTreeSet<u64>>::new();
    for (&row, told) in success {
        ways.entry(&told.matched).or_default().insert(row);
    }
    ways
}

fn all_matched_by_key(success: &BTreeMap<u64, Told>) {
    assert_eq!(by_match(success).into_keys().collect::<Vec<_>>(), ["key"]);
}

fn all_created(success: &BTreeMap<u64, Told>, created: bool) {
    let created = created.to_string();
    assert!(success.values().all(|told| told.created == created), "sf__Created {created}");
}

#[test]
fn two_hundred_thousand_rows_of_which_some_are_refused() {
    let place = Place::new();
    let recipe = accounts(200_000, Shape::Plain).bad_every(1000).unwrap();
    let source = generate(&place, &recipe, &["--bad-every", "1000"]);
    let said = place.run(&upsert(&source, "Legacy_Id__c", &["--duplicates", "keep"]));
    assert_eq!(said.code, 3, "{}", said.stderr);
    let files = judged_files(&place, &recipe);
    assert_eq!(files["failed.csv"].len(), 200);
    refused_rows_are_those_with_traps(&place, &recipe, &files);
    assert_eq!(files["success.csv"].len(), 199_800);
    all_matched_by_key(&files["success.csv"]);
    records_are_the_rows(&place, &recipe, &files["success.csv"]);
}

#[test]
fn rows_equal_in_every_column_are_told_apart_only_as_far_as_they_can_be() {
    let place = Place::new();
    let recipe = accounts(30_000, Shape::Duplicates);
    let source = generate(&place, &recipe, &["--shape", "duplicates"]);
    let args = [&insert(&source)[..], &["--chunk-rows", "10000"]].concat();
    let said = place.run(&args);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let files = judged_files(&place, &recipe);
    records_are_the_rows(&place, &recipe, &files["success.csv"]);

    // Twins in other jobs are no matter: their results come apart.
    let mut twins = BTreeMap::<(u64, u64), BTreeSet<u64>>::new();
    for row in 1..=recipe.rows() {
        twins.entry(((row - 1) / 10_000, recipe.origin(row))).or_default().insert(row);
    }
    let (alone, alike): (Vec<_>, Vec<_>) = twins.into_values().partition(|rows| rows.len() == 1);
    let (alone, alike): (BTreeSet<u64>, BTreeSet<u64>) =
        (alone.into_iter().flatten().collect(), alike.into_iter().flatten().collect());
    assert!(alone.len() > 5_000 && alike.len() > 5_000, "{} {}", alone.len(), alike.len());
    let ways = by_match(&files["success.csv"]);
    assert_eq!(ways.keys().copied().collect::<Vec<_>>(), ["digest", "interchangeable"]);
    let differ = |told: &BTreeSet<u64>, are: &BTreeSet<u64>| -> Vec<u64> {
        told.symmetric_difference(are).copied().collect()
    };
    let wrong = differ(&ways["interchangeable"], &alike);
    assert!(wrong.is_empty(), "{} rows, {wrong:.8?}", wrong.len());
    assert_eq!(differ(&ways["digest"], &alone), Vec::<u64>::new());
}

#[test]
fn rows_of_nothing_but_numbers_find_their_results() {
    let place = Place::new();
    let recipe = accounts(30_000, Shape::Numeric);
    let source = generate(&place, &recipe, &["--shape", "numeric"]);
    let said = place.run(&insert(&source));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let files = judged_files(&place, &recipe);
    records_are_the_rows(&place, &recipe, &files["success.csv"]);
}

#[test]
fn a_numeric_external_id_is_found_again_in_e_notation() {
    let place = Place::new();
    let recipe = accounts(30_000, Shape::NumericKey);
    let source = generate(&place, &recipe, &["--shape", "numeric-key"]);
    let args = upsert(&source, "External_No__c", &[]);
    let said = place.run(&args);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let first = judged_files(&place, &recipe).remove("success.csv").unwrap();
    all_matched_by_key(&first);
    all_created(&first, true);

    let said = place.run(&args);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(place.summary()["rows"]["updated"], 30_000);
    let second = judged_files(&place, &recipe).remove("success.csv").unwrap();
    all_created(&second, false);
    assert!(first.iter().all(|(row, told)| second[row].id == told.id), "another record");
    records_are_the_rows(&place, &recipe, &second);
}

#[test]
fn external_ids_that_differ_in_case_alone_are_different_rows() {
    let place = Place::new();
    let recipe = accounts(30_000, Shape::CaseKeys);
    let source = generate(&place, &recipe, &["--shape", "case-keys"]);
    let said = place.run(&upsert(&source, "Case_Key__c", &[]));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let files = judged_files(&place, &recipe);
    all_matched_by_key(&files["success.csv"]);
    all_created(&files["success.csv"], true);
    records_are_the_rows(&place, &recipe, &files["success.csv"]);
}

#[test]
fn the_line_ends_of_a_spreadsheet_do_not_fail_a_job() {
    let place = Place::new();
    let recipe = accounts(30_000, Shape::Plain);
    let source = generate(&place, &recipe, &["--line-ending", "crlf", "--bom"]);
    let street = recipe.header().iter().position(|&name| name == "BillingStreet").unwrap();
    let broken = |row: &u64| recipe.value(*row, street).unwrap().contains('\n');
    assert!((1..=30_000).filter(broken).count() > 50, "no cells with line breaks");
    let said = place.run(&upsert(&source, "Legacy_Id__c", &[]));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("line ends"), "the change is told: {}", said.stderr);
    let files = judged_files(&place, &recipe);
    assert_eq!(files["success.csv"].len(), 30_000);
    records_are_the_rows(&place, &recipe, &files["success.csv"]);
}

#[test]
fn one_job_of_four_that_fails_as_a_whole_leaves_its_rows_unprocessed() {
    let place = Place::new();
    let recipe = accounts(40_000, Shape::Plain);
    let source = generate(&place, &recipe, &[]);
    place.org_settings(&json!({ "fail-jobs": [2] }));
    let once = ["--chunk-rows", "10000", "--row-attempts", "1"];
    let said = place.run(&upsert(&source, "Legacy_Id__c", &once));
    assert_eq!(said.code, 3, "{}", said.stderr);
    let files = judged_files(&place, &recipe);
    let unprocessed: Vec<u64> = files["unprocessed.csv"].keys().copied().collect();
    let first = unprocessed[0];
    assert_eq!(first % 10_000, 1, "a chunk begins there");
    assert!(unprocessed.iter().copied().eq(first..first + 10_000), "one stretch of the source");
    assert_eq!(files["success.csv"].len(), 30_000);
    records_are_the_rows(&place, &recipe, &files["success.csv"]);

    let summary = place.summary();
    let jobs = summary["jobs"].as_array().unwrap();
    let failed: Vec<_> = jobs.iter().filter(|job| job["state"] == "Failed").collect();
    assert_eq!((jobs.len(), failed.len()), (4, 1));
    assert_eq!((&failed[0]["first_row"], &failed[0]["rows"]), (&json!(first), &json!(10_000)));
    assert!(failed[0]["error"].as_str().unwrap().starts_with("InternalServerError : "));
    assert_eq!(said.stdout.matches("InternalServerError").count(), 1, "{}", said.stdout);
}

#[test]
fn the_rows_of_a_job_that_fails_for_a_passing_reason_go_again() {
    let place = Place::new();
    let recipe = accounts(40_000, Shape::Plain);
    let source = generate(&place, &recipe, &[]);
    place.org_settings(&json!({ "fail-jobs": [2, 5] }));
    let said = place.run(&upsert(&source, "Legacy_Id__c", &["--chunk-rows", "10000"]));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let files = judged_files(&place, &recipe);
    let saved = &files["success.csv"];
    assert_eq!(saved.len(), 40_000);
    all_created(saved, true);
    records_are_the_rows(&place, &recipe, saved);
    // Jobs 2 and 5 carried the same chunk; its rows went three times.
    let rows = place.result("success.csv");
    let thrice = rows.iter().filter(|row| row["bulkhaul__Attempts"] == "3").count();
    let once = rows.iter().filter(|row| row["bulkhaul__Attempts"] == "1").count();
    assert_eq!((thrice, once), (10_000, 30_000));
}
