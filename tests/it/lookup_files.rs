//! Lookup files: Parquet, CSV of any kind, and more than fits into memory.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

use crate::support::{Place, Server, Watched, json};

/// An insert of accounts with a mapping.
fn load<'a>(mapping: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["load", "a.csv", "--object", "Account", "--operation", "upsert"];
    let mapping = ["--external-id", "Legacy_Id__c", "--mapping", mapping.to_str().unwrap()];
    [&fixed[..], &mapping, &["--json", "--progress", "none"], more].concat()
}

fn parquet(place: &Place, name: &str, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = std::fs::File::create(place.path().join(name)).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn a_lookup_lies_in_parquet_or_in_csv_of_any_kind() {
    let place = Place::new();
    place.file("a.csv", "Nr,Name,Group,Town,Code\n1,One,7,M,x\n2,Two,8,K,y\n3,Three,9,M,\n");
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("Seven"), Some("Eight"), None]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7, 8, 9]));
    parquet(&place, "groups.parquet", vec![("Number", numbers), ("Name", names)]);
    // What is not said of a file is found out, as of a source.
    place.file("towns.csv", b"Kurz;Ort\nM;M\xFCnchen\nK;K\xF6ln\n");
    let packed = std::fs::File::create(place.path().join("codes.csv.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::default());
    packed.write_all(b"Code\tRating\nx\tHot\ny\tCold\n").unwrap();
    packed.finish().unwrap();
    let mapping = place.file(
        "a.toml",
        r#"
[fields]
Legacy_Id__c = "Nr"
Name = "Name"
Site = { column = "Group", lookup = "groups" }
BillingCity = { column = "Town", lookup = "towns" }
Rating = { column = "Code", map = "codes" }
[lookups.groups]
file = "groups.parquet"
key = "Number"
value = "Name"
[lookups.towns]
file = "towns.csv"
key = "Kurz"
value = "Ort"
encoding = "windows-1252"
[maps.codes]
file = "codes.csv.gz"
from = "Code"
to = "Rating"
"#,
    );
    let said = place.run(&load(&mapping, &[]));
    assert_eq!(said.code, 0, "{said:?}");
    let records =
        place.query("SELECT Site, BillingCity, Rating FROM Account ORDER BY Legacy_Id__c");
    let values: Vec<_> = records
        .iter()
        .map(|record| ["Site", "BillingCity", "Rating"].map(|name| record[name].as_str()))
        .collect();
    assert_eq!(
        values,
        [
            [Some("Seven"), Some("München"), Some("Hot")],
            [Some("Eight"), Some("Köln"), Some("Cold")],
            [None, Some("München"), None],
        ]
    );

    // What is wrong with one is told with its place in the mapping.
    place.file("towns.csv", "Kurz;Ort\nM;München;1\n");
    let said = place.run(&load(&mapping, &[]));
    assert_eq!(said.code, 2, "{said:?}");
    for told in ["a.toml:12: lookups.towns: ", "towns.csv, row 1: 3 cells where the header has 2"] {
        assert!(said.stderr.contains(told), "{told}: {said:?}");
    }
}

/// Entries of a lookup that takes more than 64 MiB.
const ENTRIES: u64 = 700_000;

/// Rows of a source that looks them up.
const ROWS: u64 = 2_000;

fn large_lookup() -> String {
    let mut text = String::from("Code,Site\n");
    // Not in the order of the keys.
    for at in 0..ENTRIES {
        let key = at * 499_979 % ENTRIES;
        let _ = writeln!(text, "customer number {key:024},Site {key}");
    }
    let _ = writeln!(text, "customer number {:024},elsewhere", 5);
    text
}

/// Lookups of processes, the dead among them, below the folder of the runs.
fn left_over(place: &Place) -> Vec<String> {
    let runs = std::fs::read_dir(place.path().join("bulkhaul-runs")).unwrap();
    let names = runs.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".lookup-")).collect()
}

#[test]
fn a_lookup_too_large_for_memory_lies_on_disk_until_the_run_is_over() {
    let server = Server::in_memory(&["--speed", "2000"]);
    let place = Place::new();
    let mut source = String::from("Nr,Name,Code\n");
    for row in 0..ROWS {
        let key = if row == 7 { ENTRIES } else { row };
        let _ = writeln!(source, "{row},Name {row},customer number {key:024}");
    }
    place.file("a.csv", source);
    place.file("sites.csv", large_lookup());
    let mapping = place.file(
        "a.toml",
        r#"
[fields]
Legacy_Id__c = "Nr"
Name = "Name"
Site = { column = "Code", lookup = "sites" }
[lookups.sites]
file = "sites.csv"
key = "Code"
value = "Site"
"#,
    );
    let args = load(&mapping, &["--chunk-rows", "100", "--parallel", "1"]);
    let watched: Vec<_> =
        args.iter().map(|arg| if *arg == "none" { "json" } else { arg }).collect();
    let mut running = Watched::start(place.command_on(&server, &watched));
    running.wait_for("uploaded");
    assert_eq!(left_over(&place).len(), 1, "{:?}", left_over(&place));
    running.kill();

    let said = place.run_on(&server, &["resume", "--json", "--progress", "none"]);
    assert_eq!(said.code, 3, "{said:?}");
    let rows = &json(&said)["rows"];
    assert_eq!([&rows["created"], &rows["rejected"]], [ROWS - 2, 2], "{said:?}");
    let rejected = place.result("rejected.csv");
    let reasons: Vec<_> = rejected.iter().map(|row| row["bulkhaul__Error"].as_str()).collect();
    assert!(reasons[0].contains("stands in the lookup file with different values"), "{reasons:?}");
    assert!(reasons[1].contains("is not in the lookup file"), "{reasons:?}");
    assert_eq!(server.count("Account"), ROWS - 2);
    let run = std::fs::read_dir(place.run_folder()).unwrap();
    let mut names = run.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    assert!(!names.any(|name| name.starts_with(".lookup-")), "the resume's own is gone");
    // The next one clears away what the dead one left.
    let check = ["check", "a.csv", "--object", "Account", "--operation", "upsert"];
    let mapping = ["--external-id", "Legacy_Id__c", "--mapping", mapping.to_str().unwrap()];
    let said = place.run_on(&server, &[&check[..], &mapping].concat());
    assert_eq!(said.code, 3, "{said:?}");
    let told = "lookups.sites of a.toml has 700000 keys, too many for memory: it lies on disk";
    assert!(said.stdout.contains(told), "{said:?}");
    assert_eq!(left_over(&place), Vec::<String>::new());
}
