//! What a load takes as its source, through the binary: however the rows are
//! written, every one arrives once, is told by its file and its row, and a run
//! that was killed goes on with them.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Place, Server, Watched, fixture, json};

fn upsert<'a>(sources: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["--object", "Account", "--operation", "upsert", "--external-id", "Legacy_Id__c"];
    [&["load"], sources, &fixed, &["--json", "--progress", "json"], more].concat()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn utf16(text: &str) -> Vec<u8> {
    b"\xFF\xFE".iter().copied().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
}

/// Rows `from..to` as CSV between these delimiters and line ends.
fn rows(from: u64, to: u64, delimiter: char, line_end: &str) -> String {
    let mut text = format!("Legacy_Id__c{delimiter}Name{delimiter}Site{line_end}");
    for row in from..to {
        text +=
            &format!("K{row}{delimiter}Müller & Söhne {row}{delimiter}Hall {}{line_end}", row % 7);
    }
    text
}

/// (file, row) of every row of a result file.
fn places(place: &Place, name: &str) -> Vec<(String, u64)> {
    let place_of = |row: &std::collections::BTreeMap<String, String>| {
        (row["bulkhaul__Source"].clone(), row["bulkhaul__Row"].parse().unwrap())
    };
    place.result(name).iter().map(place_of).collect()
}

/// Files `a` to `f`, each written in another way, of 40 rows each; and where
/// people find their 240 rows.
fn files_of_all_kinds(place: &Place) -> (Vec<String>, Vec<(String, u64)>) {
    let latin: Vec<u8> =
        rows(200, 240, ',', "\n").chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let files = [
        ("a.csv", rows(0, 40, ',', "\n").into_bytes()),
        ("b.csv.gz", gzip(rows(40, 80, ',', "\r\n").as_bytes())),
        ("c.csv", utf16(&rows(80, 120, ';', "\r\n"))),
        ("d.csv", rows(120, 160, '\t', "\r").into_bytes()),
        ("e.csv.zst", zstd::encode_all(rows(160, 200, ',', "\n").as_bytes(), 3).unwrap()),
        ("f.csv", [b"\xEF\xBB\xBF", rows(200, 240, '|', "\n").trim_end().as_bytes()].concat()),
    ];
    drop(latin);
    let mut paths = Vec::new();
    let mut expected = Vec::new();
    for (name, bytes) in files {
        paths.push(place.file(name, bytes).to_str().unwrap().to_owned());
        expected.extend((1..=40).map(|row| (name.to_owned(), row)));
    }
    (paths, expected)
}

#[test]
fn files_of_all_kinds_are_one_source() {
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    let (paths, expected) = files_of_all_kinds(&place);
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let said = place.run_on(&server, &upsert(&paths, &["--chunk-rows", "55"]));
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(places(&place, "success.csv"), expected);
    let summary = json(&said);
    assert_eq!(summary["rows"]["read"], 240);
    let read: Vec<u64> = summary["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| source["rows"].as_u64().unwrap())
        .collect();
    assert_eq!(read, [40; 6]);
    assert_eq!(server.count("Account"), 240);
    // Every value arrived as it was meant, whatever it was encoded as.
    let said = place
        .run_on(&server, &["query", "SELECT Legacy_Id__c, Name FROM Account", "--format", "jsonl"]);
    for line in said.stdout.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let row = record["Legacy_Id__c"].as_str().unwrap().trim_start_matches('K').to_owned();
        assert_eq!(record["Name"], format!("Müller & Söhne {row}"));
    }
    // The same files once more, in another order: nothing is doubled.
    let turned: Vec<&str> = paths.iter().rev().copied().collect();
    let said = place.run_on(&server, &upsert(&turned, &[]));
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(server.count("Account"), 240);
}

#[test]
fn a_file_in_another_encoding_is_read_by_its_name() {
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    let text: Vec<u8> =
        rows(0, 5, ';', "\r\n").chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let path = place.file("latin.csv", text);
    let path = path.to_str().unwrap();
    let said = place.run_on(&server, &upsert(&[path], &[]));
    assert_eq!(said.code, 3, "its rows are not UTF-8: {said:?}");
    assert_eq!(json(&said)["rows"]["rejected"], 5);
    assert!(said.stderr.contains("--encoding names another"), "{}", said.stderr);
    assert_eq!(server.count("Account"), 0);
    let said = place.run_on(&server, &upsert(&[path], &["--encoding", "windows-1252", "--again"]));
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(place.result("success.csv")[4]["Name"], "Müller & Söhne 4");
}

#[test]
fn rows_are_told_by_their_file_whatever_becomes_of_them() {
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    let one = place.file("one.csv", "Name,Legacy_Id__c,Active__c\nA,1,yes\nB,2,perhaps\nC,3,no\n");
    let other =
        place.file("other.csv", "Active__c,Legacy_Id__c,Name\nyes,4,D\nno,5\nno,6,\nno,1,E\n");
    let sources = [one.to_str().unwrap(), other.to_str().unwrap()];
    let said = place.run_on(&server, &upsert(&sources, &["--duplicates", "first"]));
    assert_eq!(said.code, 3, "{said:?}");
    let row = |file: &str, row| (format!("{file}.csv"), row);
    assert_eq!(places(&place, "success.csv"), [row("one", 1), row("one", 3), row("other", 1)]);
    assert_eq!(places(&place, "failed.csv"), [row("other", 3)]);
    assert_eq!(places(&place, "rejected.csv"), [row("one", 2), row("other", 2), row("other", 4)]);
    let rejected = place.result("rejected.csv");
    assert!(rejected[2]["bulkhaul__Error"].contains("row 1 of one.csv has the same key"));
    assert_eq!((rejected[2]["Name"].as_str(), rejected[2]["Active__c"].as_str()), ("E", "no"));
    let groups = json(&said)["failure_groups"].clone();
    let example = groups
        .as_array()
        .unwrap()
        .iter()
        .find(|group| group["code"] == "REQUIRED_FIELD_MISSING")
        .unwrap();
    assert_eq!(
        (&example["example_source"], &example["example_row"]),
        (&"other.csv".into(), &3.into())
    );

    // A retry corrects rows by file and number.
    let with = place.file(
        "mended.csv",
        "bulkhaul__Source,bulkhaul__Row,Name,Active__c\nother.csv,3,Mended,no\none.csv,2,B,yes\n",
    );
    let args = ["retry", "latest", "--with", with.to_str().unwrap(), "--json"];
    let said = place.run_on(&server, &args);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(places(&place, "success.csv"), [row("one", 2), row("other", 3)]);
    assert_eq!(json(&said)["origin"]["rows"]["succeeded"], 5);
    assert_eq!(server.count("Account"), 5);
}

#[test]
fn the_standard_input_is_kept_and_can_be_resumed() {
    let place = Place::new();
    let server = Server::in_memory(&["--faults", "rows-per-second=400"]);
    let text = gzip(rows(0, 600, ',', "\n").as_bytes());
    let mut command =
        place.command_on(&server, &upsert(&["-"], &["--chunk-rows", "100", "--parallel", "1"]));
    let input = place.file("input", &text);
    command.stdin(Stdio::from(std::fs::File::open(&input).unwrap()));
    let mut running = Watched::start(command);
    running.wait_for("uploaded");
    running.kill();
    std::fs::remove_file(input).unwrap();
    let said = place.run_on(&server, &["resume", "--json", "--progress", "none"]);
    assert_eq!(said.code, 0, "{said:?}");
    let expected: Vec<_> = (1..=600).map(|row| ("stdin".to_owned(), row)).collect();
    assert_eq!(places(&place, "success.csv"), expected);
    assert_eq!(server.count("Account"), 600);
    let left: Vec<_> = std::fs::read_dir(place.path().join("bulkhaul-runs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".stdin"))
        .collect();
    assert_eq!(left, [""; 0], "nothing but the run has the rows");
}

#[test]
fn a_killed_run_of_many_files_goes_on_where_it_was() {
    let place = Place::new();
    let server = Server::in_memory(&["--faults", "rows-per-second=150"]);
    let (paths, expected) = files_of_all_kinds(&place);
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let more = ["--chunk-rows", "30", "--parallel", "1"];
    let mut running = Watched::start(place.command_on(&server, &upsert(&paths, &more)));
    for _ in 0..3 {
        running.wait_for("uploaded");
    }
    running.kill();
    let said = place.run_on(&server, &["resume", "--json", "--progress", "none"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(places(&place, "success.csv"), expected);
    assert_eq!(server.count("Account"), 240);
    // One of several files that was changed is named.
    let said = place.run_on(&server, &upsert(&paths, &more));
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn a_file_of_several_that_was_changed_is_named_at_the_resume() {
    let place = Place::new();
    let server = Server::in_memory(&["--faults", "rows-per-second=100"]);
    let (paths, _) = files_of_all_kinds(&place);
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let more = ["--chunk-rows", "30", "--parallel", "1"];
    let mut running = Watched::start(place.command_on(&server, &upsert(&paths, &more)));
    running.wait_for("uploaded");
    running.kill();
    place.file("e.csv.zst", zstd::encode_all(rows(160, 199, ',', "\n").as_bytes(), 3).unwrap());
    let said = place.run_on(&server, &["resume", "--json", "--progress", "none"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("e.csv.zst"), "{}", said.stderr);
}

#[test]
fn rows_of_several_files_are_grouped_and_told_by_their_files() {
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    let one = place.file("one.csv.gz", gzip(b"Legacy_Id__c,Name,Site\n1,A,x\n2,B,y\n3,C,x\n"));
    let other = place.file("other.csv", "Legacy_Id__c,Name,Site\n4,D,y\n5,E,x\n6,F,z\n");
    let sources = [one.to_str().unwrap(), other.to_str().unwrap()];
    let said = place.run_on(&server, &upsert(&sources, &["--group-by", "Site"]));
    assert_eq!(said.code, 0, "{said:?}");
    let row = |file: &str, row| (file.to_owned(), row);
    assert_eq!(
        places(&place, "success.csv"),
        [
            row("one.csv.gz", 1),
            row("one.csv.gz", 2),
            row("one.csv.gz", 3),
            row("other.csv", 1),
            row("other.csv", 2),
            row("other.csv", 3)
        ]
    );
    assert_eq!(place.result("success.csv")[4]["Name"], "E");
}

#[test]
fn one_file_of_an_earlier_insert_is_not_inserted_again_by_accident() {
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    let one = place.file("one.csv", "Name\nA\n");
    let other = place.file("other.csv", "Name\nB\n");
    let sources = [one.to_str().unwrap(), other.to_str().unwrap()];
    let insert = |sources: &[&str]| {
        let fixed = ["--object", "Account", "--operation", "insert", "--json"];
        place.run_on(&server, &[&["load"], sources, &fixed].concat())
    };
    assert_eq!(insert(&sources).code, 0);
    for again in [&sources[..], &sources[..1], &sources[1..]] {
        let said = insert(again);
        assert_eq!(said.code, 2, "{said:?}");
        assert_eq!(json(&said)["error"]["code"], "earlier-run");
    }
    assert_eq!(server.count("Account"), 2);
}

#[test]
fn what_head_shows() {
    let place = Place::new();
    place.file("accounts.csv", std::fs::read(fixture("accounts.csv")).unwrap());
    place.file("more.csv", utf16(&rows(0, 2, ';', "\r\n")));
    let said = place.run(&["head", "accounts.csv", "--rows", "1"]);
    assert_eq!(said.code, 0, "{said:?}");
    insta::assert_snapshot!("head_accounts", said.stdout);
    let said = place.run(&["head", "more.csv", "--json"]);
    let told = json(&said);
    assert_eq!(told["files"][0]["encoding"], "UTF-16LE");
    assert_eq!(told["files"][0]["delimiter"], ";");
    assert_eq!(told["first_rows"][1]["cells"][1], "Müller & Söhne 1");
    assert!(!place.path().join("bulkhaul-runs").exists(), "a look leaves nothing behind");
}

#[test]
fn parquet_rows_arrive_in_the_form_of_the_org() {
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    let source = fixture("parquet/accounts.parquet");
    let said = place.run_on(&server, &upsert(&[&source], &["--chunk-rows", "100"]));
    assert_eq!(said.code, 0, "{said:?}");
    let keys: BTreeSet<String> =
        place.result("success.csv").into_iter().map(|row| row["Legacy_Id__c"].clone()).collect();
    assert_eq!(keys.len(), 500);
    assert_eq!(server.count("Account"), 500);
    let query = "SELECT Legacy_Id__c, AnnualRevenue, NumberOfEmployees, Active__c, \
                 Last_Audit__c, Segments__c FROM Account WHERE Legacy_Id__c = 'P-7'";
    let said = place.run_on(&server, &["query", query, "--format", "jsonl"]);
    let record: Value = serde_json::from_str(said.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(record["AnnualRevenue"].as_f64(), Some(7007.25));
    assert_eq!(record["NumberOfEmployees"], 7);
    assert_eq!(record["Active__c"], true);
    assert_eq!(record["Last_Audit__c"], "2024-01-08T05:30:15.000+0000");
    // In the order of the org's value set.
    assert_eq!(record["Segments__c"], "SMB;Partner");
}
