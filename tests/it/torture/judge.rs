//! Judges a seed by the org's journal, its records and its jobs, and by the
//! result files; what bulkhaul says of itself has to agree with these.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use bulkhaul::domain::AttemptState;
use bulkhaul::ledger::{Ledger, RunStatus};
use serde_json::Value;

use super::play::{Played, Row};
use super::scenario::{Kind, Scenario};
use crate::support::{Server, read_csv};

/// A record of the org.
struct Record {
    id: String,
    name: String,
    deleted: bool,
}

/// What the run told of a row.
struct Told {
    file: &'static str,
    row: Row,
}

const FILES: [&str; 5] =
    ["success.csv", "failed.csv", "unprocessed.csv", "rejected.csv", "disputed.csv"];

/// Fails unless every law holds.
pub(super) fn judge(scenario: &Scenario, played: &Played) {
    let summary: Value = serde_json::from_str(&played.said.stdout).unwrap();
    let told = result_files(scenario, played, &summary);
    let server = Server::start(&["--port", "0", "--dir", played.org_dir.to_str().unwrap()]);
    let records = records(scenario, &server);
    let open = open_jobs(&server);
    let _ = server.stop();
    let changes = journal(played);
    for (number, told) in &told {
        judge_row(scenario, played, *number, told, &records, &changes);
    }
    let sent_keys: BTreeSet<&str> =
        played.rows.iter().map(|row| row[scenario.tag_column()].as_str()).collect();
    for key in records.keys() {
        let known = sent_keys.contains(key.as_str()) || played.before.contains_key(key);
        assert!(known, "a record of no row: {key}");
    }
    ledger(played, &summary, &changes, &open);
}

/// Each row of the source stands in exactly one file, as it was (I1, I7).
fn result_files(scenario: &Scenario, played: &Played, summary: &Value) -> BTreeMap<u64, Told> {
    let folder = played.place.path().join(summary["folder"].as_str().unwrap());
    let mut told = BTreeMap::new();
    for file in FILES {
        let path = folder.join(file);
        if !path.exists() {
            continue;
        }
        let mut last = 0;
        for row in read_csv(&path) {
            let number: u64 = row["bulkhaul__Row"].parse().unwrap();
            assert!(number > last, "{file}: row {number} comes after {last}");
            last = number;
            if file != "rejected.csv" {
                let source = &played.rows[usize::try_from(number - 1).unwrap()];
                for (field, value) in source {
                    let (column, value) =
                        (scenario.source_column(field), scenario.source_value(field, value));
                    assert_eq!(row[column], value, "{file}: row {number}, {column}");
                }
            }
            let twice = told.insert(number, Told { file, row });
            assert!(twice.is_none(), "row {number} stands in two files");
        }
    }
    let all: Vec<u64> = told.keys().copied().collect();
    assert_eq!(all, (1..=scenario.rows).collect::<Vec<u64>>(), "rows of the source are missing");
    let count = |file: &str| told.values().filter(|told| told.file == file).count() as u64;
    let rows = &summary["rows"];
    for (name, file) in [
        ("succeeded", FILES[0]),
        ("failed", FILES[1]),
        ("unprocessed", FILES[2]),
        ("rejected", FILES[3]),
        ("disputed", FILES[4]),
    ] {
        assert_eq!(rows[name], count(file), "{name}: {rows}");
    }
    assert_eq!((&rows["read"], &rows["pending"]), (&scenario.rows.into(), &0.into()));
    // Rows that were to be left out are no fault.
    let left_out = (1..=scenario.rows)
        .filter(|&row| scenario.is_left_out(row) && !scenario.is_ragged(row))
        .count() as u64;
    let fine = count(FILES[0]) + left_out == scenario.rows;
    assert_eq!(played.said.code, if fine { 0 } else { 3 });
    told
}

/// The org's records by the key that tells the rows apart.
fn records(scenario: &Scenario, server: &Server) -> BTreeMap<String, Vec<Record>> {
    let tag = scenario.tag_column();
    let columns = if tag == "Id" { "Id".to_owned() } else { format!("Id,{tag}") };
    let mut path =
        format!("/services/data/v66.0/queryAll?q=SELECT+{columns},Name,IsDeleted+FROM+Account");
    let mut found: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    loop {
        let page = server.see(&path);
        for record in page["records"].as_array().unwrap() {
            let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            found.entry(text(tag)).or_default().push(Record {
                id: text("Id"),
                name: text("Name"),
                deleted: record["IsDeleted"] == true,
            });
        }
        match page["nextRecordsUrl"].as_str() {
            Some(next) => next.clone_into(&mut path),
            None => return found,
        }
    }
}

fn open_jobs(server: &Server) -> Vec<String> {
    server.jobs().into_iter().filter(|(_, state)| state == "Open").map(|(id, _)| id).collect()
}

/// What the run's jobs did, from the org's journal: changes by record.
struct Changes {
    of_record: BTreeMap<String, Vec<String>>,
    jobs: BTreeSet<String>,
}

fn journal(played: &Played) -> Changes {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhaul"));
    command.args(["local-org", "journal", "--object", "Account", "--json", "--dir"]);
    let output = command.arg(&played.org_dir).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut changes = Changes { of_record: BTreeMap::new(), jobs: BTreeSet::new() };
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| entry[name].as_str().unwrap().to_owned();
        if !played.setup_jobs.contains(&text("job")) {
            changes.of_record.entry(text("record")).or_default().push(text("change"));
            changes.jobs.insert(text("job"));
        }
    }
    changes
}

/// One row: what is told of it is what the org has, and it took effect once.
fn judge_row(
    scenario: &Scenario,
    played: &Played,
    number: u64,
    told: &Told,
    records: &BTreeMap<String, Vec<Record>>,
    changes: &Changes,
) {
    let row = &played.rows[usize::try_from(number - 1).unwrap()];
    let key = &row[scenario.tag_column()];
    let none = Vec::new();
    let records = records.get(key).unwrap_or(&none);
    let at = format!("row {number} ({key}) in {}", told.file);
    let error = told.row.get("sf__Error").map_or("", String::as_str);
    let code = error.split(':').next().unwrap();
    assert!(records.len() <= 1, "{at}: {} records", records.len());
    let record = records.first();
    let effects: &[String] =
        record.and_then(|record| changes.of_record.get(&record.id)).map_or(&[], Vec::as_slice);

    // Only what the org saves and denies may take effect more than once.
    let denied = scenario.has("row-error-saved");
    let most = match (scenario.kind, denied) {
        (Kind::Upsert | Kind::Update, true) => usize::try_from(scenario.row_attempts).unwrap(),
        _ => 1,
    };
    assert!(effects.len() <= most, "{at}: {effects:?}");
    let took_effect = !effects.is_empty();
    let is_held_back =
        scenario.is_ragged(number) || scenario.is_left_out(number) || scenario.is_unknown(number);
    assert_eq!(is_held_back, told.file == "rejected.csv", "{at}");
    match told.file {
        "success.csv" => {
            assert!(took_effect, "{at}: nothing in the journal");
            assert_eq!(told.row["sf__Id"], record.unwrap().id, "{at}");
        }
        "rejected.csv" => assert!(is_held_back && !took_effect, "{at}"),
        "unprocessed.csv" => {
            assert!(!took_effect, "{at}: {effects:?}");
            let of_a_job =
                ["job-fails", "job-times-out", "job-locks", "job-aborted", "job-invalid"];
            assert!(of_a_job.iter().any(|word| scenario.has(word)), "{at}");
        }
        "failed.csv" => {
            let explained = match code {
                "UNABLE_TO_LOCK_ROW" => scenario.has("row-lock"),
                "UNKNOWN_EXCEPTION" => scenario.has("row-error") || denied,
                "FIELD_CUSTOM_VALIDATION_EXCEPTION" => scenario.has("row-refused"),
                // Deleted by the job that denied it.
                "ENTITY_IS_DELETED" => denied && scenario.kind == Kind::Delete,
                _ => false,
            };
            assert!(explained, "{at}: {error}");
            assert!(denied || !took_effect, "{at}: {effects:?}");
        }
        _ => assert!(scenario.purge, "{at}: {:?}", told.row.get("bulkhaul__Error")),
    }
    if let Some(record) = record {
        match scenario.kind {
            Kind::Delete => assert_eq!(record.deleted, took_effect, "{at}"),
            Kind::Upsert | Kind::Update => {
                assert_eq!(record.name == row["Name"], took_effect, "{at}: {}", record.name);
            }
            Kind::Insert | Kind::ProtectedInsert => assert_eq!(record.name, row["Name"], "{at}"),
        }
    }
    let attempts: u64 = told.row["bulkhaul__Attempts"].parse().unwrap();
    let interrupted =
        ["job-aborted", "job-aborted-open", "clock:+25h"].iter().any(|word| scenario.has(word));
    assert!(
        interrupted || attempts <= scenario.row_attempts,
        "{at}: {attempts} attempts, {} allowed",
        scenario.row_attempts
    );
}

/// The ledger says `completed`, the same figures, and knows every job that did
/// something; no job is left Open with data but one whose abort is open.
fn ledger(played: &Played, summary: &Value, changes: &Changes, open: &[String]) {
    let folder = played.place.path().join(summary["folder"].as_str().unwrap());
    let ledger = Ledger::open_read_only(&folder.join("ledger.sqlite")).unwrap();
    let end = ledger.run().unwrap().end.unwrap();
    assert_eq!(end.status, RunStatus::Completed);
    assert_eq!(i32::from(end.exit_code), played.said.code);
    let tally = ledger.tally().unwrap();
    let rows = &summary["rows"];
    assert_eq!(rows["created"], tally.created);
    assert_eq!(rows["updated"], tally.updated);
    assert_eq!(rows["deleted"], tally.deleted);
    assert_eq!(rows["failed"], tally.failed);
    assert_eq!(rows["read"], tally.read);
    let attempts = ledger.attempts().unwrap();
    let job_of = |id: &str| attempts.iter().find(|a| a.job_id.as_deref() == Some(id));
    for attempt in &attempts {
        let fine = attempt.state.is_final()
            || attempt.state == AttemptState::Aborting
            || (attempt.outcomes.is_some() && played.told.contains("no longer knows job"));
        assert!(fine, "{attempt:?}");
    }
    for job in &changes.jobs {
        let attempt = job_of(job).unwrap_or_else(|| panic!("job {job} is not in the ledger"));
        assert!(attempt.state.may_have_processed(), "job {job} did something: {attempt:?}");
    }
    let lost = attempts.iter().filter(|attempt| attempt.state == AttemptState::Lost).count();
    let mut unknown = 0;
    for job in open {
        match job_of(job) {
            Some(attempt) => assert_eq!(attempt.state, AttemptState::Aborting, "{job} is Open"),
            None => {
                let data = played.org_dir.join("jobs").join(format!("{job}.upload.csv"));
                assert!(!data.exists(), "job {job} has data and is nobody's");
                unknown += 1;
            }
        }
    }
    assert!(unknown <= lost, "{unknown} jobs of nobody, {lost} creations without an answer");
    for dir in ["spool", "results"] {
        let left: Vec<_> = folder
            .join(dir)
            .read_dir()
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert!(left.is_empty(), "{dir} still holds {left:?}");
    }
}
