//! The commands that look at runs, through the binary: which runs there are,
//! what became of one, also of one whose process was killed or whose files are
//! damaged; and what a full disk leaves.

use std::path::{Path, PathBuf};

use bulkhaul::ledger::Ledger;
use bulkhaul::pipeline::{Account, RunFolder};
use serde_json::{Value, json};

use crate::support::{Place, Said, Server, Watched, fixture};

const ACCOUNT: [&str; 2] = ["--object", "Account"];
const UPSERT: [&str; 4] = ["--operation", "upsert", "--external-id", "Legacy_Id__c"];

fn upsert<'a>(source: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["load", source][..], &ACCOUNT, &UPSERT, more].concat()
}

fn json_of(said: &Said) -> Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// `bulkhaul runs --json`.
fn runs(place: &Place) -> Vec<Value> {
    let said = place.run(&["runs", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    json_of(&said)["runs"].as_array().unwrap().clone()
}

fn report(place: &Place, run: &str) -> Value {
    let said = place.run(&["report", run, "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    json_of(&said)
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap().to_str().unwrap().to_owned()
}

/// A small load that leaves failed and rejected rows in several chunks.
fn with_failures(place: &Place) -> PathBuf {
    let said = place.run(&upsert(
        &fixture("accounts_refused.csv"),
        &["--duplicates", "keep", "--chunk-rows", "10"],
    ));
    assert_eq!(said.code, 3, "{}", said.stderr);
    place.run_folder()
}

/// A load whose process was killed while its two jobs were at work.
fn killed(place: &Place, server: &Server) -> PathBuf {
    let source = fixture("accounts.csv");
    let more = ["--chunk-rows", "5000", "--parallel", "2", "--progress", "json"];
    let mut running = Watched::start(place.command_on(server, &upsert(&source, &more)));
    running.wait_for("uploaded");
    running.wait_for("uploaded");
    let folder = place.run_folder();
    let told = &runs(place)[0];
    assert_eq!(told["state"], "running");
    assert_eq!(told["resumable"], false);
    let said = place.run(&["report", "--json"]);
    assert_eq!(json_of(&said)["state"], "running");
    running.signal("KILL");
    let said = running.end();
    assert_eq!(said.code, -1, "{said:?}");
    folder
}

#[test]
fn the_account_of_a_run_is_what_its_summary_told() {
    let place = Place::new();
    let folder = RunFolder::open(&with_failures(&place)).unwrap();
    let summary = place.summary();
    let ledger = Ledger::open(&folder.ledger()).unwrap();
    let account = Account::read(&ledger, &folder).unwrap();
    assert!(account.chunks >= 3);
    assert_eq!(json!(account.failures.groups()), summary["failure_groups"]);
    assert_eq!(json!(account.sent), summary["rows"]["sent"]);
    assert_eq!(json!(account.tally.failed), summary["rows"]["failed"]);
    assert_eq!(json!(account.source_rows), summary["rows"]["read"]);
    assert_eq!(account.tally.pending(), 0);
    drop(ledger);

    // The report of a run that lost its summary is the same but for what the
    // ledger doesn't know.
    let kept = report(&place, "latest");
    for damage in [None, Some("{\"run_id\": \"cut"), Some("[]")] {
        let path = folder.path().join("summary.json");
        std::fs::remove_file(&path).ok();
        if let Some(text) = damage {
            std::fs::write(&path, text).unwrap();
        }
        let made = report(&place, &folder.id);
        assert_eq!(made["from_ledger"], true);
        assert_eq!(made["api_calls"], Value::Null, "not known is not zero");
        for same in [
            "run_id",
            "status",
            "exit_code",
            "state",
            "interim",
            "org",
            "object",
            "operation",
            "started_at",
            "sources",
            "rows",
            "failures_by_code",
            "failure_groups",
            "jobs",
            "result_files",
        ] {
            assert_eq!(made[same], kept[same], "{same}");
        }
    }
}

#[test]
fn a_report_is_read_by_people_too() {
    let place = Place::new();
    let folder = with_failures(&place);
    let said = place.run(&["report"]);
    assert_eq!(said.code, 0, "the report's code, not the run's: {said:?}");
    assert!(said.stdout.contains("succeeded") && !said.stdout.contains("Attempt"), "{said:?}");
    let said = place.run(&["report", folder.to_str().unwrap(), "--failures", "--jobs"]);
    assert!(!said.stdout.contains("more kinds"), "{}", said.stdout);
    assert!(said.stdout.contains("From row"), "{}", said.stdout);
    let summary = place.summary();
    for group in summary["failure_groups"].as_array().unwrap() {
        let code = group["code"].as_str().unwrap();
        assert!(said.stdout.contains(code), "{code}: {}", said.stdout);
    }
    for job in summary["jobs"].as_array().unwrap() {
        assert!(said.stdout.contains(job["id"].as_str().unwrap()), "{}", said.stdout);
    }
}

#[test]
fn runs_are_listed_newest_first_and_folders_that_are_none_left_out() {
    let place = Place::new();
    let said = place.run(&["runs"]);
    assert_eq!((said.code, said.stdout.as_str()), (0, "no runs in bulkhaul-runs\n"));
    let source = place.file("few.csv", "Name,Legacy_Id__c\nAlpha,1\nBeta,2\n");
    let source = source.to_str().unwrap();
    let mut ids = Vec::new();
    for _ in 0..3 {
        assert_eq!(place.run(&upsert(source, &[])).code, 0);
        ids.insert(0, name(&place.run_folder()));
    }
    std::fs::create_dir_all(place.path().join("bulkhaul-runs/notes")).unwrap();
    std::fs::write(place.path().join("bulkhaul-runs/read.me"), "text").unwrap();
    let told = runs(&place);
    let told_ids: Vec<&str> = told.iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!(told_ids, ids);
    assert_eq!(told[0]["state"], "completed");
    assert_eq!((&told[0]["rows"]["read"], &told[0]["rows"]["updated"]), (&json!(2), &json!(2)));
    assert_eq!(told[2]["rows"]["created"], 2);
    assert_eq!(told[0]["sources"][0]["path"], source);
    let said = place.run(&["runs", "--limit", "1"]);
    assert!(said.stdout.contains(&ids[0]) && !said.stdout.contains(&ids[1]), "{}", said.stdout);
    assert!(said.stdout.contains("2 runs more with --limit 3"), "{}", said.stdout);
    assert!(!said.stdout.contains("Disputed"), "no column without rows: {}", said.stdout);
}

#[test]
fn a_run_is_named_by_id_folder_or_latest() {
    let place = Place::new();
    let error = |said: &Said, code: &str| {
        assert_eq!(said.code, 2, "{said:?}");
        let error = json_of(said)["error"].clone();
        assert_eq!(error["code"], code, "{error}");
        error.to_string()
    };
    error(&place.run(&["report", "--json"]), "no-run");
    let source = place.file("few.csv", "Name,Legacy_Id__c\nAlpha,1\n");
    assert_eq!(place.run(&upsert(source.to_str().unwrap(), &[])).code, 0);
    let folder = place.run_folder();
    let id = name(&folder);
    for named in [id.as_str(), folder.to_str().unwrap(), "latest"] {
        assert_eq!(report(&place, named)["run_id"], id, "{named}");
    }
    let mut wrong = id.clone();
    wrong.replace_range(0..1, "3");
    for near in [wrong.as_str(), &id[..8]] {
        let told = error(&place.run(&["report", near, "--json"]), "no-run");
        assert!(told.contains(&id), "the nearest is named: {told}");
    }
    let told = error(&place.run(&["report", "", "--json"]), "no-run");
    assert!(told.contains(&id), "{told}");
    std::fs::create_dir(place.path().join("empty")).unwrap();
    let said = place.run(&["report", "empty", "--json"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stdout.contains("the ledger is missing"), "{said:?}");
}

#[test]
fn a_killed_run_is_told_as_it_stood() {
    let server = Server::in_memory(&["--speed", "100"]);
    let place = Place::new();
    let folder = killed(&place, &server);
    let id = name(&folder);
    let told = &runs(&place)[0];
    assert_eq!((&told["state"], &told["resumable"]), (&json!("died"), &json!(true)));
    let told = report(&place, "latest");
    assert_eq!((&told["state"], &told["interim"]), (&json!("died"), &json!(true)));
    let rows = &told["rows"];
    assert_eq!(rows["sent"], 10_000);
    assert_eq!(rows["read"], rows["pending"], "no job has ended: {rows}");
    assert!(rows["read"].as_u64().unwrap() >= 10_000);
    let jobs = told["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 2);
    let theirs = server.jobs();
    for job in jobs {
        assert!(theirs.contains_key(job["id"].as_str().unwrap()), "{job} {theirs:?}");
        assert!(["Open", "UploadComplete"].contains(&job["state"].as_str().unwrap()), "{job}");
    }
    let error = &told["error"];
    assert_eq!(error["resumable"], true);
    assert!(error["hint"].as_str().unwrap().contains(&format!("bulkhaul resume {id}")), "{error}");
    let said = place.run(&["report"]);
    assert!(said.stdout.contains("ended without a word"), "{}", said.stdout);
    assert!(said.stdout.contains(jobs[0]["id"].as_str().unwrap()), "{}", said.stdout);
    assert!(said.stdout.contains("bulkhaul resume"), "{}", said.stdout);
}

/// What is told of a run whose ledger was damaged: listed with the reason, and
/// an error with advice.
fn told_as_unreadable(place: &Place, folder: &Path, reason: &str) {
    let id = name(folder);
    let told = runs(place);
    let run = told.iter().find(|run| run["id"] == id.as_str()).unwrap();
    assert_eq!(run["state"], "unreadable", "{reason}");
    assert!(run["reason"].as_str().unwrap().contains(reason), "{reason}: {run}");
    let said = place.run(&["report", &id, "--json"]);
    assert_eq!(said.code, 1, "{said:?}");
    let error = &json_of(&said)["error"];
    assert_eq!(error["code"], "ledger", "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(reason) && message.contains(&id), "{reason}: {error}");
    assert!(error["hint"].as_str().unwrap().contains("success.csv"), "{error}");
    // Nobody acts on another run than the one that is meant.
    let said = place.run(&["report", "--json"]);
    if reason != "holds no run" {
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.stdout.contains(&id), "{said:?}");
    }
}

#[test]
fn a_ledger_that_is_damaged_is_told_and_other_runs_are_not_in_its_way() {
    let server = Server::in_memory(&["--speed", "100"]);
    let place = Place::new();
    let other = with_failures(&place);
    let folder = killed(&place, &server);
    let ledger = folder.join("ledger.sqlite");
    let log = folder.join("ledger.sqlite-wal");
    let (whole, whole_log) = (std::fs::read(&ledger).unwrap(), std::fs::read(&log).unwrap());
    let damages: [(&str, &dyn Fn()); 5] = [
        ("is no ledger", &|| {
            // The log alone would make it whole again.
            std::fs::write(&ledger, b"nonsense ".repeat(4_000)).unwrap();
            std::fs::remove_file(&log).unwrap();
            std::fs::write(folder.join("ledger.sqlite.lock"), "closed\n").unwrap();
        }),
        ("has lost its log", &|| std::fs::remove_file(&log).unwrap()),
        ("the ledger is missing", &|| std::fs::remove_file(&ledger).unwrap()),
        ("is damaged", &|| {
            // A closed ledger cut in the middle.
            std::fs::copy(other.join("ledger.sqlite"), &ledger).unwrap();
            std::fs::remove_file(&log).unwrap();
            std::fs::write(folder.join("ledger.sqlite.lock"), "closed\n").unwrap();
            let content = std::fs::read(&ledger).unwrap();
            std::fs::write(&ledger, &content[..content.len() / 2]).unwrap();
        }),
        ("holds no run", &|| {
            std::fs::remove_file(&log).ok();
            std::fs::write(folder.join("ledger.sqlite.lock"), "closed\n").unwrap();
            std::fs::write(&ledger, "").unwrap();
        }),
    ];
    for (reason, damage) in damages {
        std::fs::write(&ledger, &whole).unwrap();
        std::fs::write(&log, &whole_log).unwrap();
        std::fs::write(folder.join("ledger.sqlite.lock"), "open\n").unwrap();
        std::fs::remove_file(folder.join("ledger.sqlite-shm")).ok();
        damage();
        told_as_unreadable(&place, &folder, reason);
        assert_eq!(report(&place, &name(&other))["state"], "completed");
    }

    // A summary outlives its ledger.
    std::fs::remove_file(other.join("ledger.sqlite")).unwrap();
    let told = report(&place, &name(&other));
    assert_eq!((&told["state"], &told["exit_code"]), (&json!("unreadable"), &json!(3)));
    assert!(told["notes"].to_string().contains("the ledger is missing"), "{told}");
    let said = place.run(&["runs"]);
    assert_eq!(said.code, 1, "nothing could be read: {said:?}");
    assert_eq!(said.stdout.matches("unreadable: ").count(), 2, "{}", said.stdout);
}

#[test]
fn a_place_that_cannot_be_used_is_told() {
    let place = Place::new();
    let file = place.file("in-the-way", "text");
    let file = file.to_str().unwrap();
    let said = place.run(&["runs", "--runs-dir", file]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains(file) && said.stderr.contains("hint"), "{said:?}");
    let source = place.file("few.csv", "Name,Legacy_Id__c\nAlpha,1\n");
    let source = source.to_str().unwrap();
    let said = place.run(&upsert(source, &["--runs-dir", file]));
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains(file), "{said:?}");

    // Rights don't bind the superuser; the folder can be looked at by both.
    assert_eq!(place.run(&upsert(source, &[])).code, 0);
    let folder = place.run_folder();
    std::fs::remove_file(folder.join("summary.json")).unwrap();
    set_writable(&folder, false);
    let told = std::panic::catch_unwind(|| {
        assert_eq!(runs(&place)[0]["state"], "completed");
        assert_eq!(report(&place, "latest")["rows"]["succeeded"], 1);
    });
    set_writable(&folder, true);
    told.unwrap();
}

fn set_writable(folder: &Path, writable: bool) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = if writable { 0o700 } else { 0o500 };
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    #[cfg(not(unix))]
    let _ = (folder, writable);
}

#[test]
fn only_what_completed_long_ago_is_pruned() {
    let server = Server::in_memory(&["--speed", "100"]);
    let place = Place::new();
    let source = place.file("few.csv", "Name\nAlpha\nBeta\n");
    let insert = ["load", source.to_str().unwrap(), "--object", "Account", "--operation", "insert"];
    assert_eq!(place.run(&insert).code, 0);
    let old = place.run_folder();
    let failed = with_failures(&place);
    let dead = killed(&place, &server);
    let lost = place.path().join("bulkhaul-runs/20200101-000000-0000");
    std::fs::create_dir(&lost).unwrap();
    std::fs::write(lost.join("ledger.sqlite"), "nonsense ".repeat(99)).unwrap();
    let left = |expected: &[&PathBuf]| {
        let all = [&old, &failed, &dead, &lost];
        let there: Vec<_> = all.into_iter().filter(|folder| folder.exists()).collect();
        assert_eq!(there, expected);
    };

    let said = place.run(&["runs", "prune", "--older-than", "30d", "--yes", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(json_of(&said)["left"]["recent"], 2);
    let said = place.run(&["runs", "prune", "--older-than", "0s", "--dry-run"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("2 runs would be deleted"), "{}", said.stdout);
    assert!(said.stdout.contains("nothing refuses to insert its source again"), "{}", said.stdout);
    let said = place.run(&["runs", "prune", "--older-than", "0s", "--json"]);
    assert_eq!(said.code, 2, "without a terminal it needs --yes: {said:?}");
    assert_eq!(json_of(&said)["error"]["code"], "confirmation");
    left(&[&old, &failed, &dead, &lost]);

    let said = place.run(&["runs", "prune", "--older-than", "0s", "--yes", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let told = json_of(&said);
    let mut pruned: Vec<&str> =
        told["pruned"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    pruned.sort_unstable();
    // Runs begun within one second have names in no order of time.
    let mut complete = [name(&old), name(&failed)];
    complete.sort_unstable();
    assert_eq!(pruned, complete);
    let expected = json!({"recent": 0, "unfinished": 1, "needed": 0, "linked": 0, "unreadable": 1});
    assert_eq!(told["left"], expected);
    left(&[&dead, &lost]);
    let entries = std::fs::read_dir(place.path().join("bulkhaul-runs")).unwrap();
    let hidden = entries.filter(|entry| {
        entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".pruned")
    });
    assert_eq!(hidden.count(), 0);
    // As it was told, nothing is in the way of a second insert now.
    assert_eq!(place.run(&insert).code, 0);
}

/// The binary with a limit on the size of the files it writes, as a stand-in
/// for a full disk: a write beyond it fails instead of ending the process.
#[cfg(unix)]
pub(crate) fn limited(place: &Place, server: &Server, kilobytes: u64, args: &[&str]) -> Said {
    let inner = place.command_on(server, args);
    let mut outer = std::process::Command::new("sh");
    // `ulimit -f` counts blocks of 512 bytes.
    let script = "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"";
    outer.args(["-c", script, "sh", &(kilobytes * 2).to_string()]);
    outer.arg(inner.get_program()).args(inner.get_args()).env_clear();
    outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outer.current_dir(place.path()).stdin(std::process::Stdio::null());
    Said::from(outer.output().unwrap())
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_named_with_the_file_and_nothing_known_is_lost() {
    // What is too large, the limit that only it exceeds, and where it is told.
    for (file, kilobytes, more) in [
        ("spool/chunk-000001.csv", 400, &["--chunk-rows", "5000", "--map", "Phone="][..]),
        ("results/chunk-0000", 400, &["--chunk-rows", "5000"]),
        ("success.csv", 1_500, &["--chunk-rows", "2000"]),
        ("ledger.sqlite", 512, &["--chunk-rows", "100"]),
    ] {
        let (place, server) = (Place::new(), Server::in_memory(&[]));
        let source = fixture("accounts.csv");
        let more = [more, &["--limit", "20000", "--json", "--progress", "none"]].concat();
        let said = limited(&place, &server, kilobytes, &upsert(&source, &more));
        assert_eq!(said.code, 1, "{file}: {said:?}");
        let told = json_of(&said);
        let error = &told["error"];
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(file), "{file} is not named: {error}");
        let hint = error["hint"].as_str().unwrap();
        for word in ["free space", "bulkhaul resume"] {
            assert!(hint.contains(word), "{file}: {error}");
        }

        // The ledger knows every job, and each is one the org has.
        let folder = RunFolder::open(&place.run_folder()).unwrap();
        let run = &runs(&place)[0];
        assert_eq!(run["resumable"], true, "{file}: {run}");
        let reported = report(&place, "latest");
        let rows = &reported["rows"];
        let count = |name: &str| rows[name].as_u64().unwrap();
        let fates = ["rejected", "succeeded", "failed", "unprocessed", "disputed", "pending"];
        assert_eq!(count("read"), fates.map(count).iter().sum::<u64>(), "{file}: {rows}");
        let ours: std::collections::BTreeSet<&str> = reported["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|job| job["id"].as_str().unwrap())
            .collect();
        let theirs = server.jobs();
        assert!(theirs.keys().all(|id| ours.contains(id.as_str())), "{file}: {ours:?} {theirs:?}");
        // Whole, and ready to be written again; what it tells adds up.
        let ledger = Ledger::open(&folder.ledger()).unwrap();
        let account = Account::read(&ledger, &folder).unwrap();
        assert_eq!(account.tally.settled(), count("read") - count("pending"), "{file}");
        assert!(account.sent >= account.tally.succeeded(), "{file}");
    }
}
