//! Exports from an org that fails on purpose, killed again and again: every
//! record is in the archive once in the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::json;

use crate::export::{Stage, value, verified_once};
use crate::support::{Place, Server, Watched};
use crate::torture::Draw;

/// Seeds that `cargo test` plays; `BULKHAUL_TORTURE_SEEDS` says otherwise.
const SEEDS: u64 = 6;

const RECORDS: u64 = 2_000;

/// Kills of one seed at most, of bulkhaul and of the org.
const KILLS: u64 = 5;

fn serve(dir: &str, settings: &str, faults: &str) -> Server {
    Server::start(&["--dir", dir, "--port", "0", "--settings", settings, "--faults", faults])
}

fn play(seed: u64) -> BTreeMap<&'static str, u64> {
    let mut draw = Draw::new(seed);
    let place = Place::new();
    let dir = place.path().join("org");
    let dir = dir.to_str().unwrap();
    let settings = place.file("org.json", json!({"query-page-rows": 150}).to_string());
    let settings = settings.to_str().unwrap();
    let mut text = String::from("Name,Legacy_Id__c,Industry\n");
    for row in 1..=RECORDS {
        let industry = ["Banking", "Energy", ""][row as usize % 3];
        let _ = writeln!(text, "\"Company {row}, north\",L-{row},{industry}");
    }
    let source = place.file("accounts.csv", text);
    let server = serve(dir, settings, "seed=1");
    let load = ["load", source.to_str().unwrap(), "--object", "Account", "--operation", "insert"];
    let said = place.run_on(&server, &load);
    assert_eq!(said.code, 0, "{said:?}");
    server.stop();
    std::fs::remove_dir_all(place.path().join("bulkhaul-runs")).unwrap();

    let faults = format!(
        "seed={seed},query-results:cut=10%,query-results:cut-wire=5%,query-results:503=5%,\
         query-results:reset-in-reply=5%,query-create:done-reset=20%,query-create:503=10%,\
         query-info:429=5%,query-pages:hangup=5%,query-delete:500=20%,describe:502-html=5%,\
         *:expired=2%,download-bytes-per-second=400000"
    );
    let mut server = serve(dir, settings, &faults);
    let layout = [
        &[][..],
        &["--split", "3"],
        &["--partition-by", "Industry"],
        &["--page-records", "99"],
        &["--format", "csv", "--zip", "gzip"],
    ];
    let layout = layout[draw.between(0, layout.len() as u64 - 1) as usize];
    let fixed = ["export", "--out", "archive", "--object", "Account", "--file-size", "20000"];
    let plain = ["--progress", "json", "--json", "--parallel", draw.of(&["1", "2", "4"])];
    let export: Vec<&str> = [&fixed[..], layout, &plain].concat();
    let mut command = export.clone();
    let resume = ["resume", "latest", "--progress", "json", "--json"];
    let mut counts = BTreeMap::from([("kills", 0), ("kills of the org", 0), ("resumes", 0)]);
    for _ in 0..KILLS {
        let mut running = Watched::start(place.command_on(&server, &command));
        if running.pass_lines(draw.between(0, 29) as usize) {
            if draw.percent(33) {
                *counts.get_mut("kills of the org").unwrap() += 1;
                server.kill();
                running.kill();
                server = serve(dir, settings, &faults);
            } else {
                *counts.get_mut("kills").unwrap() += 1;
                running.kill();
            }
        } else {
            running.kill();
        }
        // A run that died before its first step left none behind.
        let begun = std::fs::read_dir(place.path().join("bulkhaul-runs"))
            .is_ok_and(|mut runs| runs.next().is_some());
        if begun {
            command = resume.to_vec();
        }
    }
    let mut last = None;
    for _ in 0..20 {
        *counts.get_mut("resumes").unwrap() += 1;
        let said = place.run_on(&server, &command);
        let code = said.code;
        match code {
            0 => {}
            // Faults that went on for longer than patience: it goes on.
            1 | 4 => command = resume.to_vec(),
            // It died before its ledger was there.
            2 if value(&said)["error"]["code"] == "no-run" => command.clone_from(&export),
            _ => panic!("{said:?}"),
        }
        last = Some(said);
        if code == 0 {
            break;
        }
    }
    let is_there = place.path().join("archive/manifest.json").exists();
    assert!(last.as_ref().is_some_and(|said| said.code == 0) && is_there, "{last:?}");
    let keys: Vec<String> = (1..=RECORDS).map(|row| format!("L-{row}")).collect();
    verified_once(&place, &keys);
    server.stop();
    counts
}

#[test]
fn torture_of_exports_leaves_every_record_in_the_archive_once() {
    let number = |name: &str| -> Option<u64> {
        std::env::var(name).ok().map(|value| value.parse().unwrap())
    };
    let one = number("BULKHAUL_TORTURE_SEED");
    let last = one.or_else(|| number("BULKHAUL_TORTURE_SEEDS")).unwrap_or(SEEDS);
    let first = one.unwrap_or(1);
    let results: Vec<_> = std::thread::scope(|scope| {
        let players: Vec<_> = (0..3)
            .map(|lane| {
                scope.spawn(move || {
                    let seeds = (first..=last).filter(|seed| seed % 3 == lane);
                    seeds
                        .map(|seed| (seed, catch_unwind(AssertUnwindSafe(|| play(seed))).ok()))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        players.into_iter().flat_map(|player| player.join().unwrap()).collect()
    });
    let failed: Vec<u64> =
        results.iter().filter(|(_, counts)| counts.is_none()).map(|(seed, _)| *seed).collect();
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    for (what, count) in results.into_iter().filter_map(|(_, counts)| counts).flatten() {
        *all.entry(what).or_default() += count;
    }
    assert!(
        failed.is_empty(),
        "seeds {failed:?} failed; play one by BULKHAUL_TORTURE_SEED=N cargo test --test it \
         torture_of_exports ({all:?})"
    );
    assert!(one.is_some() || (all["kills"] > 0 && all["resumes"] > last - first), "{all:?}");
}

#[test]
fn a_session_that_ends_in_the_middle_is_renewed() {
    let faults = "query-results:expired=#3,query-info:expired=#1,describe:expired=#1";
    let stage = Stage::new(RECORDS, &["--faults", faults]);
    let said = stage.export(&["--object", "Account", "--verify"]);
    assert_eq!(said.code, 0, "{said:?}");
    stage.every_record_once(RECORDS);
    let faults = stage.server.stop();
    assert_eq!(faults.values().sum::<u64>(), 3, "{faults:?}");
}

#[test]
fn a_login_that_is_refused_in_the_middle_is_told_and_gone_on_with() {
    let faults = "query-results:expired=#5,token:refused=#3";
    let stage = Stage::new(RECORDS, &["--faults", faults]);
    let args = ["--object", "Account", "--file-size", "20000", "--parallel", "1"];
    let said = stage.export(&args);
    assert_eq!(said.code, 1, "{said:?}");
    let error = &value(&said)["error"];
    assert_eq!((&error["code"], &error["resumable"]), (&json!("login"), &json!(true)), "{error}");
    let said = stage.place.run_on(&stage.server, &["resume", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    stage.every_record_once(RECORDS);
}

#[test]
#[cfg(unix)]
fn a_full_disk_is_told_and_the_export_goes_on_when_there_is_room() {
    let stage = Stage::new(RECORDS, &[]);
    let args = ["export", "--out", "archive", "--object", "Account", "--json", "--format", "csv"];
    // A page fits, the archive's file doesn't.
    let said = crate::runs::limited(&stage.place, &stage.server, 300, &args);
    assert_eq!(said.code, 1, "{said:?}");
    let error = &value(&said)["error"];
    assert_eq!(error["resumable"], true, "{error}");
    assert!(error["message"].as_str().unwrap().contains("part-00001.csv"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("free space"), "{error}");
    assert!(!stage.archive().join("manifest.json").exists());
    let said = stage.place.run_on(&stage.server, &["resume", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let said = stage.place.run(&["verify", "archive", "--json"]);
    assert_eq!((said.code, &value(&said)["rows"]), (0, &json!(RECORDS)), "{said:?}");
}
