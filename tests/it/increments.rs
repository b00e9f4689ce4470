//! Increments of an archive through the binary, and the snapshot they make: what
//! the org holds, no more and no less.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray as _;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::export::{manifest, value, walk};
use crate::support::{Place, Said, Server};

/// An org on disk, so that its clock can be set forward between two starts.
struct Stage {
    place: Place,
    server: Option<Server>,
}

impl Stage {
    fn new() -> Stage {
        let mut stage = Stage { place: Place::new(), server: None };
        stage.restart(None);
        stage
    }

    fn restart(&mut self, clock: Option<&str>) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
        let dir = self.place.path().join("org");
        let faults = clock.map(|jump| format!("clock:{jump}=#1"));
        let mut args = vec!["--dir", dir.to_str().unwrap(), "--port", "0"];
        args.extend(faults.iter().flat_map(|spec| ["--faults", spec]));
        self.server = Some(Server::start(&args));
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn run(&self, args: &[&str]) -> Said {
        self.place.run_on(self.server(), args)
    }

    fn load(&self, operation: &str, text: &str, more: &[&str]) {
        let source = self.place.file("rows.csv", text);
        let load = ["load", source.to_str().unwrap(), "--object", "Account", "--yes"];
        let said = self.run(&[&load[..], &["--operation", operation, "--again"], more].concat());
        assert_eq!(said.code, 0, "{said:?}");
    }

    fn upsert(&self, rows: impl Iterator<Item = (u64, String)>) {
        let mut text = String::from("Legacy_Id__c,Name,AnnualRevenue,Score__c\n");
        for (row, name) in rows {
            let _ = writeln!(text, "L-{row},{name},{row}000000,{row}.5");
        }
        self.load("upsert", &text, &["--external-id", "Legacy_Id__c"]);
    }

    fn delete(&self, filter: &str) {
        let found = self.records(&format!("SELECT Id FROM Account WHERE {filter}"));
        let ids = found.iter().map(|record| record["Id"].as_str().unwrap());
        let text: String = std::iter::once("Id").chain(ids).map(|id| format!("{id}\n")).collect();
        self.load("delete", &text, &[]);
    }

    fn records(&self, soql: &str) -> Vec<Value> {
        let said = self.run(&["query", soql, "--json"]);
        assert_eq!(said.code, 0, "{said:?}");
        value(&said)["records"].as_array().unwrap().clone()
    }

    /// What the org holds: names by the key.
    fn held(&self) -> BTreeMap<String, String> {
        let text = |record: &Value, name: &str| record[name].as_str().unwrap().to_owned();
        self.records("SELECT Legacy_Id__c, Name FROM Account WHERE Legacy_Id__c != null")
            .iter()
            .map(|record| (text(record, "Legacy_Id__c"), text(record, "Name")))
            .collect()
    }

    fn export(&self, more: &[&str]) -> Said {
        let fixed = ["export", "--out", "archive", "--json", "--object", "Account"];
        self.run(&[&fixed[..], more].concat())
    }

    fn archive(&self, name: &str) -> std::path::PathBuf {
        self.place.path().join(name)
    }
}

/// The same of an archive; fails if a key is in it twice.
fn archived(archive: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for path in walk(archive) {
        if path.extension().is_none_or(|extension| extension != "parquet") {
            continue;
        }
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
            let (keys, names) = (text("Legacy_Id__c"), text("Name"));
            for (key, name) in keys.iter().zip(names.iter()) {
                let before = found.insert(key.unwrap().to_owned(), name.unwrap().to_owned());
                assert_eq!(before, None, "{key:?} is there twice");
            }
        }
    }
    found
}

#[test]
fn increments_and_their_snapshot_hold_what_the_org_holds() {
    let mut stage = Stage::new();
    stage.upsert((1..=600).map(|row| (row, format!("first {row}"))));
    // Beyond what an increment reaches back.
    stage.restart(Some("+1h"));
    let said = stage.export(&["--since", "last", "--deleted"]);
    assert_eq!((said.code, value(&said)["rows_exported"].as_u64()), (0, Some(600)), "{said:?}");
    assert!(said.stderr.contains("not in the archive yet"), "{said:?}");

    stage.restart(Some("+2h"));
    stage.upsert((551..=630).map(|row| (row, format!("second {row}"))));
    stage.delete("Name IN ('first 3', 'first 4', 'second 560', 'second 629')");
    stage.restart(Some("+3h"));
    let said = stage.export(&["--since", "last", "--deleted", "--verify"]);
    // 50 changed, 30 new, and two deleted that were neither.
    assert_eq!((said.code, value(&said)["rows_exported"].as_u64()), (0, Some(82)), "{said:?}");
    let told = manifest(&stage.archive("archive"));
    let (full, increment) = (&told["objects"][0], &told["objects"][1]);
    assert_eq!(full["since"], Value::Null);
    assert!(increment["soql"].as_str().unwrap().contains("SystemModstamp >= "), "{increment}");
    let at = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let overlap = at(&full["watermark"]).duration_since(at(&increment["since"]));
    assert_eq!(overlap.as_mins(), 15, "{told}");
    assert_eq!(told["runs"].as_array().unwrap().len(), 2);

    let said = stage.place.run(&["compact", "archive", "--out", "snapshot", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let object = &value(&said)["objects"][0];
    assert_eq!(
        object,
        &json!({"object": "Account", "exports": 2, "before": 682, "superseded": 52, "deleted": 4,
            "records": 626, "files": 1})
    );
    assert_eq!(archived(&stage.archive("snapshot")), stage.held());
    for archive in ["archive", "snapshot"] {
        let said = stage.place.run(&["verify", archive]);
        assert_eq!(said.code, 0, "{said:?}");
    }

    // In place, with the deleted ones; and the next increment goes on from it.
    let said = stage.place.run(&["compact", "archive", "--in-place", "--deleted", "keep"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(manifest(&stage.archive("archive"))["objects"][0]["rows"], 630);
    stage.restart(Some("+4h"));
    stage.upsert([(1, "third".to_owned())].into_iter());
    let said = stage.export(&["--since", "last", "--deleted"]);
    assert_eq!((said.code, value(&said)["rows_exported"].as_u64()), (0, Some(1)), "{said:?}");
    stage.restart(Some("+6h"));
    let said = stage.export(&["--since", "last", "--deleted", "--lookback", "0s"]);
    assert_eq!((said.code, value(&said)["rows_exported"].as_u64()), (0, Some(0)), "{said:?}");
    let said = stage.place.run(&["compact", "archive", "--in-place"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("626 records"), "{said:?}");
    assert_eq!(archived(&stage.archive("archive")), stage.held());
    let said = stage.place.run(&["verify", "archive"]);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn a_full_export_takes_the_place_of_all_before_it() {
    let stage = Stage::new();
    stage.upsert((1..=40).map(|row| (row, format!("first {row}"))));
    assert_eq!(stage.export(&["--append"]).code, 0);
    stage.delete("Name = 'first 7'");
    assert_eq!(stage.export(&["--append"]).code, 0);
    let said = stage.place.run(&["compact", "archive", "--out", "snapshot", "--json"]);
    let object = &value(&said)["objects"][0];
    assert_eq!((&object["records"], &object["superseded"]), (&json!(39), &json!(40)), "{said:?}");
    assert_eq!(archived(&stage.archive("snapshot")), stage.held());
}

#[test]
fn folders_stay_as_they_are() {
    let mut stage = Stage::new();
    stage.upsert((1..=60).map(|row| (row, format!("first {row}"))));
    let partition = ["--partition-by", "CreatedDate:day"];
    let first = [&["--append"], &partition[..]].concat();
    assert_eq!(stage.export(&first).code, 0);
    stage.restart(Some("+30h"));
    stage.upsert((50..=70).map(|row| (row, format!("second {row}"))));
    let next = [&["--since", "last"], &partition[..]].concat();
    assert_eq!(stage.export(&next).code, 0);
    let said = stage.place.run(&["compact", "archive", "--in-place", "--json"]);
    assert_eq!(value(&said)["objects"][0]["files"], 2, "{said:?}");
    assert_eq!(archived(&stage.archive("archive")), stage.held());
    let said = stage.place.run(&["verify", "archive"]);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn fields_that_come_and_go_are_told_and_all_are_kept() {
    let stage = Stage::new();
    stage.upsert((1..=5).map(|row| (row, format!("first {row}"))));
    let fields = |fields: &'static str| ["--append", "--fields", fields];
    let said = stage.export(&fields("Id,Legacy_Id__c,Name,AnnualRevenue,Score__c"));
    assert_eq!(said.code, 0, "{said:?}");
    stage.upsert([(2, "second".to_owned())].into_iter());
    let since = ["--since", "2000-01-01", "--where", "Legacy_Id__c = 'L-2'"];
    let more = fields("Id,Legacy_Id__c,Name,AnnualRevenue,Website");
    let said = stage.export(&[&more[..], &since, &["--numbers", "decimal"]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let evolved =
        ["AnnualRevenue was a number, is a decimal", "Website is new", "Score__c is gone"];
    assert_eq!(value(&said)["objects"][0]["evolved"], json!(evolved));
    assert_eq!(manifest(&stage.archive("archive"))["objects"][1]["evolved"], json!(evolved));
    assert!(said.stderr.contains("Account: Website is new"), "{said:?}");

    let said = stage.place.run(&["compact", "archive", "--out", "snapshot", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(archived(&stage.archive("snapshot")).len(), 5);
    let file = File::open(stage.archive("snapshot/Account/part-00001.parquet")).unwrap();
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batch = reader.next().unwrap().unwrap();
    let revenue = batch.column_by_name("AnnualRevenue").unwrap().as_string::<i32>();
    let mut revenue: Vec<&str> = revenue.iter().map(Option::unwrap).collect();
    revenue.sort_unstable();
    assert_eq!(revenue, ["1000000", "2000000", "3000000", "4000000", "5000000"]);
    let scores = batch.column_by_name("Score__c").unwrap();
    assert_eq!(scores.null_count(), 1, "gone with its version");
}

#[test]
fn an_archive_takes_only_what_fits_it() {
    let stage = Stage::new();
    stage.upsert((1..=5).map(|row| (row, format!("first {row}"))));
    assert_eq!(stage.export(&["--append", "--where", "Name != null"]).code, 0);
    let refused = |more: &[&str], why: &str| {
        let said = stage.export(more);
        assert_eq!(said.code, 2, "{said:?}");
        let told = value(&said)["error"].to_string();
        assert!(told.contains(why), "{told}");
        assert_eq!(manifest(&stage.archive("archive"))["objects"].as_array().unwrap().len(), 1);
    };
    refused(&["--append", "--format", "csv"], ".csv files can't be added to it");
    refused(&["--append", "--partition-by", "Name"], "made without --partition-by");
    refused(&["--since", "last"], "with --where \\\"Name != null\\\"");
    refused(&["--since", "yesterday"], "2026-11-01");
    refused(&["--since", "last", "--limit", "5"], "--limit");
    refused(&[], "--append adds to it");
    let other = Server::in_memory(&[]);
    let args = ["export", "--out", "archive", "--json", "--object", "Account", "--append"];
    let said = stage.place.run_on(&other, &args);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stdout.contains("the archive is of org"), "{said:?}");

    // Somebody else writes into it.
    let lock = File::create(stage.archive("archive/.bulkhaul.lock")).unwrap();
    lock.lock().unwrap();
    let said = stage.place.run(&["compact", "archive", "--in-place"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("another process writes into"), "{said:?}");
    let said = stage.export(&["--append"]);
    assert_eq!(said.code, 1, "{said:?}");
    lock.unlock().unwrap();
    let said = stage.run(&["resume"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(manifest(&stage.archive("archive"))["objects"].as_array().unwrap().len(), 2);
}

#[test]
fn what_can_not_be_folded_is_told_and_stays() {
    let stage = Stage::new();
    stage.upsert((1..=5).map(|row| (row, format!("first {row}"))));
    assert_eq!(stage.export(&["--append", "--fields", "Name,Legacy_Id__c"]).code, 0);
    let before = walk(&stage.archive("archive"));
    let said = stage.place.run(&["compact", "archive", "--in-place"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("exported without Id"), "{said:?}");
    assert_eq!(walk(&stage.archive("archive")), before);
    let said = stage.place.run(&["compact", "archive", "--out", "archive"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("not empty"), "{said:?}");
    let said = stage.place.run(&["compact", "nowhere", "--out", "snapshot"]);
    assert_eq!(said.code, 2, "{said:?}");
}

#[test]
fn what_a_compact_that_died_left_over_goes_with_the_next() {
    let stage = Stage::new();
    stage.upsert((1..=5).map(|row| (row, format!("first {row}"))));
    assert_eq!(stage.export(&["--append"]).code, 0);
    assert_eq!(stage.export(&["--append"]).code, 0);
    let archive = stage.archive("archive");
    let old: Vec<String> = manifest(&archive)["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| object["files"][0]["path"].as_str().unwrap().to_owned())
        .collect();
    let kept = std::fs::read(archive.join(&old[0])).unwrap();
    assert_eq!(stage.place.run(&["compact", "archive", "--in-place"]).code, 0);
    // As if it had died between the manifest and the removal of that file.
    std::fs::write(archive.join(&old[0]), kept).unwrap();
    let mut told = manifest(&archive);
    told["leftovers"] = json!([old[0]]);
    std::fs::write(archive.join("manifest.json"), told.to_string()).unwrap();
    // And as if one before it had died while it wrote its second file.
    let unfinished =
        ["Account/snapshot-1-00001.parquet", "Account/snapshot-1-00002.parquet.incomplete"];
    for name in unfinished {
        std::fs::write(archive.join(name), "half").unwrap();
    }
    let said = stage.place.run(&["verify", "archive"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.stderr.contains("`bulkhaul compact` removes it"), "{said:?}");
    assert_eq!(stage.place.run(&["compact", "archive", "--in-place"]).code, 0);
    let said = stage.place.run(&["verify", "archive"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(archived(&archive), stage.held());
    assert!(unfinished.iter().all(|name| !archive.join(name).exists()));
}

#[test]
fn an_aborted_increment_leaves_the_archive_as_it_was() {
    let stage = Stage::new();
    stage.upsert((1..=5).map(|row| (row, format!("first {row}"))));
    assert_eq!(stage.export(&["--append"]).code, 0);
    let before = walk(&stage.archive("archive"));
    let lock = File::create(stage.archive("archive/.bulkhaul.lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(stage.export(&["--append"]).code, 1);
    lock.unlock().unwrap();
    let said = stage.run(&["abort", "latest", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(walk(&stage.archive("archive")), before);
}

/// Copies an archive.
fn copy(from: &Path, to: &Path) {
    for file in walk(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, &target).unwrap();
    }
}

#[test]
fn a_compact_that_is_killed_loses_nothing() {
    let mut stage = Stage::new();
    stage.upsert((1..=20_000).map(|row| (row, format!("first {row}"))));
    assert_eq!(stage.export(&["--append"]).code, 0);
    stage.restart(Some("+2h"));
    stage.upsert((19_000..=21_000).map(|row| (row, format!("second {row}"))));
    assert_eq!(stage.export(&["--since", "last"]).code, 0);
    let (archive, held) = (stage.archive("archive"), stage.held());
    let pristine = stage.archive("pristine");
    copy(&archive, &pristine);
    let before = manifest(&pristine);

    let has_file = |end: &str| {
        walk(&archive).iter().any(|file| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with("snapshot-") && name.ends_with(end)
        })
    };
    let moments: [(&str, &dyn Fn() -> bool); 3] = [
        ("a file has begun", &|| has_file(".incomplete")),
        ("a file is whole", &|| has_file(".parquet")),
        ("the manifest is new", &|| {
            std::fs::read(archive.join("manifest.json")).is_ok_and(|text| {
                serde_json::from_slice::<Value>(&text).is_ok_and(|now| now != before)
            })
        }),
    ];
    let compact = ["compact", "archive", "--in-place", "--quiet"];
    // Whether the process was there to be killed.
    let killed = |has_come: &dyn Fn() -> bool| {
        std::fs::remove_dir_all(&archive).unwrap();
        copy(&pristine, &archive);
        let mut child = stage.place.command(&compact).spawn().unwrap();
        while !has_come() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap().code().is_none()
    };
    for (moment, has_come) in moments {
        // Behind the manifest there is little left to do, so it may be too late.
        let in_time = (0..20).any(|_| killed(has_come));
        assert!(in_time || moment == "the manifest is new", "never killed when {moment}");
        // The archive is the old one or the new one.
        let now = manifest(&archive);
        if now == before {
            for file in walk(&pristine) {
                let same = archive.join(file.strip_prefix(&pristine).unwrap());
                assert_eq!(std::fs::read(&same).unwrap(), std::fs::read(&file).unwrap());
            }
        } else {
            let files = now["objects"][0]["files"].as_array().unwrap();
            let paths = files.iter().map(|file| file["path"].as_str().unwrap());
            assert!(paths.into_iter().all(|path| archive.join(path).is_file()), "{now}");
            assert_eq!(now["objects"].as_array().unwrap().len(), 1, "{now}");
        }
        let again = stage.place.run(&compact);
        assert_eq!(again.code, 0, "{moment}: {again:?}");
        let said = stage.place.run(&["verify", "archive"]);
        assert_eq!(said.code, 0, "{moment}: {said:?}");
        assert_eq!(archived(&archive), held, "{moment}");
    }
}
