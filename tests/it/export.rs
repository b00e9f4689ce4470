//! Exports through the binary: what the org holds is in the files, once, typed,
//! whatever happens on the way.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, TimestampMillisecondType};
use arrow_array::{Array as _, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::support::{Place, Said, Server, Watched};

/// Records of the org here: many small pages, several files.
pub(crate) const RECORDS: u64 = 4_000;

/// An org with accounts in it, whose pages are small.
pub(crate) struct Stage {
    pub(crate) place: Place,
    pub(crate) server: Server,
}

impl Stage {
    pub(crate) fn new(records: u64, more: &[&str]) -> Stage {
        let place = Place::new();
        let settings = place.file("org.json", json!({"query-page-rows": 250}).to_string());
        let settings = settings.to_str().unwrap();
        let fixed = ["--settings", settings];
        let server = Server::in_memory(&[&fixed[..], more].concat());
        let mut text =
            String::from("Name,Legacy_Id__c,AnnualRevenue,Score__c,Active__c,Industry\n");
        for row in 1..=records {
            let industry = ["Banking", "Energy", ""][row as usize % 3];
            let _ = writeln!(
                text,
                "\"Company {row}, north\",L-{row},{row}0000000,{row}.25,true,{industry}"
            );
        }
        let source = place.file("accounts.csv", text);
        if records > 0 {
            let load =
                ["load", source.to_str().unwrap(), "--object", "Account", "--operation", "insert"];
            let said = place.run_on(&server, &load);
            assert_eq!(said.code, 0, "{said:?}");
        }
        // What was loaded is no business of the export's runs.
        std::fs::remove_dir_all(place.path().join("bulkhaul-runs")).ok();
        Stage { place, server }
    }

    pub(crate) fn export(&self, more: &[&str]) -> Said {
        let fixed = ["export", "--out", "archive", "--json"];
        self.place.run_on(&self.server, &[&fixed[..], more].concat())
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.place.path().join("archive")
    }

    /// The records of the archive's Parquet files, by the manifest.
    pub(crate) fn batches(&self) -> Vec<RecordBatch> {
        let manifest = manifest(&self.archive());
        let mut batches = Vec::new();
        for file in manifest["objects"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|object| object["files"].as_array().unwrap().clone())
        {
            let path = self.archive().join(file["path"].as_str().unwrap());
            let reader =
                ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
            batches.extend(reader.build().unwrap().map(Result::unwrap));
        }
        batches
    }

    pub(crate) fn texts(&self, column: &str) -> Vec<String> {
        let of = |batch: &RecordBatch| -> Vec<String> {
            let column = batch.column_by_name(column).unwrap().as_string::<i32>().clone();
            column.iter().map(|text| text.unwrap_or_default().to_owned()).collect()
        };
        self.batches().iter().flat_map(of).collect()
    }

    /// Every account is in the archive once.
    pub(crate) fn every_record_once(&self, records: u64) {
        let keys: Vec<String> = (1..=records).map(|row| format!("L-{row}")).collect();
        verified_once(&self.place, &keys);
    }
}

/// The accounts with these keys are in the archive, each once, and all its
/// files are whole.
pub(crate) fn verified_once(place: &Place, keys: &[String]) {
    let archive = place.path().join("archive");
    let mut found = keys_of(&archive);
    found.sort_unstable();
    let mut expected = keys.to_vec();
    expected.sort_unstable();
    assert_eq!(found.len(), expected.len(), "records are missing or doubled");
    assert_eq!(found, expected);
    let said = place.run(&["verify", "archive", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(value(&said)["rows"], keys.len());
    let left: Vec<_> = walk(&archive)
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with(".incomplete"))
        .collect();
    assert_eq!(left, Vec::<PathBuf>::new());
}

/// The keys of all records of an archive of Parquet or packed CSV files.
fn keys_of(archive: &Path) -> Vec<String> {
    let manifest = manifest(archive);
    let files = manifest["objects"].as_array().unwrap().iter();
    let files = files.flat_map(|object| object["files"].as_array().unwrap().clone());
    let mut keys = Vec::new();
    for file in files {
        let path = archive.join(file["path"].as_str().unwrap());
        if path.extension().is_some_and(|extension| extension == "gz") {
            let text = flate2::read::GzDecoder::new(File::open(path).unwrap());
            let mut reader = csv::Reader::from_reader(text);
            let at = reader.headers().unwrap().iter().position(|name| name == "Legacy_Id__c");
            keys.extend(reader.records().map(|record| record.unwrap()[at.unwrap()].to_owned()));
            continue;
        }
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let column = batch.column_by_name("Legacy_Id__c").unwrap().as_string::<i32>();
            keys.extend(column.iter().map(|key| key.unwrap().to_owned()));
        }
    }
    keys
}

pub(crate) fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(walk(&path)) } else { all.push(path) }
    }
    all
}

pub(crate) use crate::support::json as value;

pub(crate) fn manifest(archive: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(archive.join("manifest.json")).unwrap()).unwrap()
}

#[test]
fn a_whole_object_is_exported_typed_and_proven() {
    let stage = Stage::new(RECORDS, &[]);
    let said = stage.export(&["--object", "account", "--verify", "--file-size", "60000"]);
    assert_eq!(said.code, 0, "{said:?}");
    let summary = value(&said);
    assert_eq!(summary["rows_exported"], RECORDS);
    assert_eq!(summary["objects"][0]["counted"], json!([RECORDS, RECORDS]));
    assert_eq!(summary["objects"][0]["count_verdict"], "equal");
    assert!(summary["objects"][0]["files"].as_u64().unwrap() > 1, "{summary}");
    stage.every_record_once(RECORDS);

    let batch = &stage.batches()[0];
    let revenue = batch.column_by_name("AnnualRevenue").unwrap().as_primitive::<Float64Type>();
    let names = batch.column_by_name("Name").unwrap().as_string::<i32>().clone();
    let number: f64 =
        names.value(0).trim_start_matches("Company ").trim_end_matches(", north").parse().unwrap();
    assert_eq!(revenue.value(0).to_bits(), (number * 1e7).to_bits());
    let created = batch.column_by_name("CreatedDate").unwrap();
    assert_eq!(created.as_primitive::<TimestampMillisecondType>().null_count(), 0);
    assert!(batch.column_by_name("Active__c").unwrap().as_boolean().value(0));
    assert!(batch.column_by_name("BillingAddress").is_none(), "a compound field");

    let manifest = manifest(&stage.archive());
    let object = &manifest["objects"][0];
    assert_eq!((&object["rows"], &object["rows_by_jobs"]), (&json!(RECORDS), &json!(RECORDS)));
    assert!(object["left_out"].to_string().contains("BillingAddress"));
    assert!(object["files"][0]["ids"].is_array() && object["files"][0]["changed"].is_array());
    let described = stage.archive().join(object["description"].as_str().unwrap());
    assert!(std::fs::read_to_string(described).unwrap().contains("\"Tier__c\""));
    // Its jobs are gone from the org.
    let jobs = stage.server.see("/services/data/v66.0/jobs/query?jobType=V2Query");
    assert_eq!(jobs["records"], json!([]));
}

#[test]
fn text_formats_hold_the_same_records() {
    let stage = Stage::new(700, &[]);
    let wanted = ["--object", "Account", "--fields", "Id,Legacy_Id__c,AnnualRevenue"];
    for (format, zip) in [("csv", "none"), ("jsonl", "none"), ("csv", "zstd"), ("jsonl", "gzip")] {
        let how = ["--format", format, "--zip", zip, "--overwrite"];
        let said = stage.export(&[&wanted[..], &how].concat());
        assert_eq!(said.code, 0, "{said:?}");
        let said = stage.place.run(&["verify", "archive"]);
        assert_eq!(said.code, 0, "{said:?}");
        assert_eq!(manifest(&stage.archive())["objects"][0]["rows"], 700);
        if zip != "none" {
            continue;
        }
        let path = stage.archive().join(format!("Account/part-00001.{format}"));
        let text = std::fs::read_to_string(path).unwrap();
        if format == "csv" {
            assert!(text.starts_with("Id,Legacy_Id__c,AnnualRevenue\n001"), "{text:.99}");
            assert_eq!(text.lines().count(), 701);
        } else {
            let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
            assert!(first["AnnualRevenue"].is_number(), "{first}");
        }
    }
}

#[test]
fn queries_go_through_lookups_and_conditions() {
    let stage = Stage::new(300, &[]);
    let soql = "SELECT Id, Name, CreatedBy.Username, CreatedBy.CreatedDate FROM Account \
                WHERE Legacy_Id__c IN ('L-7', 'L-8') ORDER BY Legacy_Id__c";
    let said = stage.export(&["--soql", soql]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(stage.texts("Name"), ["Company 7, north", "Company 8, north"]);
    assert_eq!(stage.texts("CreatedBy.Username"), ["admin@local.org"; 2]);
    let column = stage.batches()[0].column_by_name("CreatedBy.CreatedDate").unwrap().clone();
    assert!(column.as_primitive::<TimestampMillisecondType>().is_valid(0), "typed by its parent");

    let filter = ["--object", "Account", "--where", "Legacy_Id__c = 'L-9'", "--overwrite"];
    let said = stage.export(&filter);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(stage.texts("Legacy_Id__c"), ["L-9"]);
}

#[test]
fn no_records_make_a_file_with_the_schema() {
    for results in ["header-only", "empty-body", "no-content"] {
        let place = Place::new();
        let settings = place.file("org.json", json!({"empty-query-results": results}).to_string());
        let server = Server::in_memory(&["--settings", settings.to_str().unwrap()]);
        let stage = Stage { place, server };
        let said = stage.export(&["--object", "Contact", "--verify"]);
        assert_eq!(said.code, 0, "{results}: {said:?}");
        let path = stage.archive().join("Contact/part-00001.parquet");
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        assert!(reader.schema().field_with_name("Email").is_ok(), "{results}");
        assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
    }
}

#[test]
fn deleted_records_come_when_asked_for() {
    let stage = Stage::new(20, &[]);
    let said = stage.export(&["--soql", "SELECT Id FROM Account WHERE Legacy_Id__c = 'L-3'"]);
    assert_eq!(said.code, 0, "{said:?}");
    let id = stage.texts("Id").remove(0);
    let source = stage.place.file("gone.csv", format!("Id\n{id}\n"));
    let source = source.to_str().unwrap();
    let delete = ["load", source, "--object", "Account", "--operation", "delete", "--yes"];
    let said = stage.place.run_on(&stage.server, &delete);
    assert_eq!(said.code, 0, "{said:?}");
    let said = stage.export(&["--object", "Account", "--overwrite"]);
    assert_eq!((said.code, stage.texts("Id").len()), (0, 19));
    let said = stage.export(&["--object", "Account", "--overwrite", "--deleted", "--verify"]);
    assert_eq!((said.code, stage.texts("Id").len()), (0, 20));
}

#[test]
fn what_does_not_fit_a_decimal_is_3_and_listed() {
    let stage = Stage::new(0, &[]);
    // Of scale 4 by its definition; the org keeps the double it was sent.
    let source = stage.place.file("a.csv", "Name,Score__c\nfits,1.25\nodd,1.123456\n");
    let load = ["load", source.to_str().unwrap(), "--object", "Account", "--operation", "insert"];
    assert_eq!(stage.place.run_on(&stage.server, &load).code, 0);
    let wanted = ["--object", "Account", "--fields", "Id,Name,Score__c"];
    let said = stage.export(&[&wanted[..], &["--numbers", "decimal"]].concat());
    let summary = value(&said);
    assert_eq!((said.code, &summary["unfit_values"]), (3, &json!(1)), "{said:?}");
    let folder = PathBuf::from(summary["folder"].as_str().unwrap());
    let listed =
        std::fs::read_to_string(stage.place.path().join(folder).join("unfit.csv")).unwrap();
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines[0], "Id,Field,Reason,Value");
    assert!(lines[1].starts_with("001") && lines[1].ends_with(",1.123456"), "{listed}");
    assert!(!said.stderr.contains("1.123456"), "a value in the log");
}

/// Kills an export of these flags at several moments, and goes on with it.
pub(crate) fn killed_at_any_moment(more: &[&str]) {
    let moments = [
        ("run_started", 1),
        ("job_created", 1),
        ("job_progress", 1),
        ("read_progress", 1),
        ("read_progress", 2),
        ("read_progress", 3),
    ];
    for (event, times) in moments {
        let stage = Stage::new(RECORDS, &["--faults", "download-bytes-per-second=120000"]);
        let args = [
            "export",
            "--out",
            "archive",
            "--object",
            "Account",
            "--fields",
            "Id,Name,Legacy_Id__c,Industry,SystemModstamp",
            "--file-size",
            "30000",
            "--progress",
            "json",
            "--json",
        ];
        let args = [&args[..], more].concat();
        let mut running = Watched::start(stage.place.command_on(&stage.server, &args));
        for _ in 0..times {
            running.wait_for(event);
        }
        running.kill();
        let said = stage.place.run_on(&stage.server, &["resume", "--json"]);
        assert_eq!(said.code, 0, "{event} {times}: {said:?}");
        assert_eq!(value(&said)["rows_exported"], RECORDS);
        stage.every_record_once(RECORDS);
        let said = stage.place.run_on(&stage.server, &["resume"]);
        assert_eq!(said.code, 0, "there is nothing to go on with: {said:?}");
    }
}

#[test]
fn an_export_killed_at_any_moment_goes_on_to_its_end() {
    killed_at_any_moment(&[]);
}

#[test]
fn a_signal_ends_it_in_order() {
    let stage = Stage::new(RECORDS, &["--faults", "download-bytes-per-second=400000"]);
    let args =
        ["export", "--out", "archive", "--object", "Account", "--progress", "json", "--json"];
    let mut running = Watched::start(stage.place.command_on(&stage.server, &args));
    running.wait_for("read_progress");
    running.signal("TERM");
    let said = running.end();
    assert_eq!(said.code, 4, "{said:?}");
    let summary = value(&said);
    assert_eq!(summary["status"], "interrupted");
    let so_far = summary["rows_exported"].as_u64().unwrap();
    assert!(so_far > 0 && so_far < RECORDS, "{summary}");
    assert!(!stage.archive().join("manifest.json").exists());
    let listed = stage.place.run(&["runs", "--json"]);
    assert_eq!(value(&listed)["runs"][0]["resumable"], true, "{listed:?}");
    let told = stage.place.run(&["report", "--json"]);
    assert_eq!(value(&told)["rows_exported"], so_far, "{told:?}");
    let said = stage.place.run_on(&stage.server, &["resume", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    stage.every_record_once(RECORDS);
}

#[test]
fn pages_that_break_or_lack_records_are_fetched_again() {
    let spec = "seed=11,query-results:cut=20%,query-results:cut-wire=10%,query-results:503=10%,\
                query-create:done-reset=30%,query-info:429=10%";
    let stage = Stage::new(RECORDS, &["--faults", spec]);
    let said = stage.export(&["--object", "Account", "--file-size", "60000"]);
    assert_eq!(said.code, 0, "{said:?}");
    stage.every_record_once(RECORDS);
}

#[test]
fn pages_of_a_size_are_told_by_the_one_before() {
    let stage = Stage::new(RECORDS, &[]);
    let said = stage.export(&["--object", "Account", "--page-records", "99"]);
    assert_eq!(said.code, 0, "{said:?}");
    stage.every_record_once(RECORDS);
}

#[test]
fn a_job_that_others_end_is_told() {
    for (fault, word) in [("query-job-fails=#1", "Failed"), ("query-job-aborted=#1", "Aborted")] {
        let stage = Stage::new(50, &["--faults", fault]);
        let said = stage.export(&["--object", "Account"]);
        assert_eq!(said.code, 1, "{said:?}");
        let error = &value(&said)["error"];
        assert_eq!(error["code"], "job-ended", "{error}");
        assert!(error["message"].as_str().unwrap().contains(word), "{error}");
    }
}

#[test]
fn what_can_not_work_is_refused_and_nothing_is_made() {
    let stage = Stage::new(3, &[]);
    let refused = |more: &[&str], said_of_it: &str| {
        let said = stage.export(more);
        assert_eq!(said.code, 2, "{more:?}: {said:?}");
        let error = value(&said)["error"].to_string();
        assert!(error.contains(said_of_it), "{more:?}: {error}");
        assert!(!stage.archive().exists(), "{more:?}");
        let runs = stage.place.path().join("bulkhaul-runs");
        let folders = std::fs::read_dir(runs).map_or(0, Iterator::count);
        assert_eq!(folders, 0, "{more:?} left a run");
    };
    refused(&[], "nothing to export is named");
    refused(&["--object", "Acount"], "Account?");
    refused(&["--object", "Account", "--fields", "Id,Naem"], "Name?");
    refused(&["--object", "Account", "--fields", "Id,BillingAddress"], "address");
    refused(&["--object", "Account", "--fields", "Id,Parnet.Name"], "relationship");
    refused(&["--object", "Account", "--where", "Nonsense = 1"], "Nonsense");
    refused(&["--object", "Account", "--where", "Nonsense = 1", "--verify"], "Nonsense");
    refused(&["--soql", "SELECT Id"], "FROM");
    refused(&["--soql", "SELECT Id FROM Account GROUP BY Id"], "`bulkhaul query` runs such");
    refused(&["--soql", "SELECT Id FROM Account LIMIT 5 OFFSET 5"], "`bulkhaul query` runs such");
    refused(&["--soql", "SELECT Id, (SELECT Id FROM Contacts) FROM Account"], "by themselves");
    refused(&["--soql", "SELECT BillingAddress FROM Account"], "BillingStreet");
    refused(&["--object", "Account", "--object", "Contact", "--fields", "Id"], "single");

    // What is in the way stays as it is.
    std::fs::create_dir(stage.archive()).unwrap();
    std::fs::write(stage.archive().join("mine.txt"), "mine").unwrap();
    let said = stage.export(&["--object", "Account", "--overwrite"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert_eq!(value(&said)["error"]["code"], "output-exists");
    assert_eq!(walk(&stage.archive()).len(), 1);
}

#[test]
fn an_archive_is_replaced_only_when_told_to() {
    let stage = Stage::new(30, &[]);
    assert_eq!(stage.export(&["--object", "Account"]).code, 0);
    let before = manifest(&stage.archive());
    let said = stage.export(&["--object", "Account"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(value(&said)["error"]["hint"].as_str().unwrap().contains("--overwrite"));
    assert_eq!(manifest(&stage.archive()), before);
    // A query that the org refuses leaves the old one where it is.
    let wrong = ["--overwrite", "--object", "Account", "--where", "Nonsense = 1"];
    assert_eq!(stage.export(&wrong).code, 2);
    assert_eq!(manifest(&stage.archive()), before);
    let said = stage.export(&["--object", "Contact", "--overwrite"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!stage.archive().join("Account").exists(), "the old one's files are gone");
}

#[test]
fn many_objects_go_into_one_archive() {
    let stage = Stage::new(40, &[]);
    let list = stage.place.file("objects.txt", "# mine\nContact\n\nAccount\n");
    let said = stage.export(&["--objects-from", list.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{said:?}");
    let all = ["--all-objects", "--exclude", "*__c", "--exclude", "organization", "--overwrite"];
    let said = stage.export(&all);
    assert_eq!(said.code, 0, "{said:?}");
    let summary = value(&said);
    let rows: BTreeMap<&str, u64> = summary["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| (object["object"].as_str().unwrap(), object["rows"].as_u64().unwrap()))
        .collect();
    assert_eq!((rows["Account"], rows["User"] > 0), (40, true), "{rows:?}");
    assert!(!rows.contains_key("Organization"));
    // Query jobs refuse this one.
    assert_eq!(rows["CaseStatus"], 4);
    let manifest = manifest(&stage.archive());
    let of = |name: &str| {
        let objects = manifest["objects"].as_array().unwrap();
        objects.iter().find(|object| object["object"] == name).unwrap()["by_rest"].clone()
    };
    assert_eq!((of("CaseStatus"), of("Account")), (json!(true), json!(false)));
    assert!(said.stderr.contains("CaseStatus"), "{said:?}");
    assert_eq!(stage.place.run(&["verify", "archive"]).code, 0);
}

#[test]
fn a_damaged_archive_is_found_out() {
    let stage = Stage::new(30, &[]);
    assert_eq!(stage.export(&["--object", "Account"]).code, 0);
    let path = stage.archive().join("Account/part-00001.parquet");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let said = stage.place.run(&["verify", "archive"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.stderr.contains("SHA-256"), "{said:?}");
    let said = stage.place.run(&["verify", "nowhere"]);
    assert_eq!(said.code, 2, "{said:?}");
}

#[test]
fn commands_of_loads_say_that_it_is_an_export() {
    let stage = Stage::new(10, &[]);
    assert_eq!(stage.export(&["--object", "Account"]).code, 0);
    let said = stage.place.run_on(&stage.server, &["retry", "latest"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("is an export"), "{said:?}");
    let listed = stage.place.run(&["runs"]);
    assert!(listed.stdout.contains("export Account"), "{listed:?}");
}
