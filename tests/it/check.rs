//! `check`, `load --check` and `load --dry-run`, through the binary: what is
//! found is what the org would refuse, and nothing is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::{Place, Said, fixture, read_csv};

const QUIET: [&str; 3] = ["--json", "--progress", "none"];

fn told(said: &Said) -> Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// A place whose org has the objects of fixtures/objects as well.
fn place() -> Place {
    let place = Place::new();
    let objects = place.path().join(".bulkhaul/local-org/objects");
    std::fs::create_dir_all(&objects).unwrap();
    for name in ["Invoice__c.json", "Shipment__c.json"] {
        std::fs::copy(fixture(&format!("objects/{name}")), objects.join(name)).unwrap();
    }
    place
}

fn cell(value: &str) -> String {
    if value.contains(['"', ',', '\n']) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value.to_owned()
    }
}

fn csv(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = header.join(",") + "\n";
    for row in rows {
        let cells: Vec<String> = row.iter().map(|value| cell(value)).collect();
        let _ = writeln!(text, "{}", cells.join(","));
    }
    text
}

/// Rows that differ from a good one in one cell each.
fn variants(header: &[&str], good: &[(&str, &str)], changes: &[(&str, &str)]) -> Vec<Vec<String>> {
    let row = |(at, (field, value)): (usize, &(&str, &str))| {
        header
            .iter()
            .map(|name| {
                if name == field {
                    return (*value).to_owned();
                }
                let usual = good.iter().find(|(own, _)| own == name);
                usual.map_or_else(String::new, |(_, usual)| usual.replace('@', &at.to_string()))
            })
            .collect()
    };
    changes.iter().enumerate().map(row).collect()
}

/// Lets the check and the org judge the same rows: both find the same rows
/// wrong, for the same reasons. The number of wrong rows.
fn judged_alike(place: &Place, source: &str, load: &[&str]) -> usize {
    let (refused, codes) = judged(place, source, load);
    assert_eq!(codes.0, codes.1);
    refused
}

/// As [`judged_alike`], for rows that are wrong in several ways, of which the org
/// tells the first.
fn judged(place: &Place, source: &str, load: &[&str]) -> (usize, (Value, Value)) {
    let check = [&["check", source, "--check-parents"][..], load, &QUIET].concat();
    let said = place.run(&check);
    let found = told(&said);
    assert!(found.get("findings").is_some(), "{said:?}");
    let file = place.path().join(found["rows_file"].as_str().unwrap());
    let reasons: BTreeMap<String, String> = read_csv(&file)
        .into_iter()
        .filter(|row| !row["bulkhaul__Error"].is_empty())
        .map(|row| (row["bulkhaul__Row"].clone(), row["bulkhaul__Error"].clone()))
        .collect();
    let mut codes: BTreeMap<String, u64> = BTreeMap::new();
    for finding in found["findings"].as_array().unwrap() {
        if let Some(code) = finding["org_code"].as_str() {
            *codes.entry(code.to_owned()).or_default() += finding["rows"].as_u64().unwrap();
        }
    }
    let load = [&["load", source, "--duplicates", "keep", "--yes"][..], load, &QUIET].concat();
    let said = place.run(&load);
    let summary = told(&said);
    let refused: BTreeMap<String, String> = ["failed.csv", "rejected.csv"]
        .into_iter()
        .flat_map(|name| place.result(name))
        .map(|row| {
            let why = row.get("sf__Error").or_else(|| row.get("bulkhaul__Error")).cloned();
            (row["bulkhaul__Row"].clone(), why.unwrap())
        })
        .collect();
    let rows = |of: &BTreeMap<String, String>| of.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(rows(&reasons), rows(&refused), "check: {reasons:#?}\norg: {refused:#?}");
    assert_eq!(said.code, if refused.is_empty() { 0 } else { 3 });
    assert_eq!(found["exit_code"], said.code);
    assert_eq!(found["rows"]["would_fail"], refused.len());
    (refused.len(), (json!(codes), summary["failures_by_code"].clone()))
}

#[test]
fn the_org_refuses_new_records_for_what_the_check_finds() {
    let header = [
        "Legacy_Id__c",
        "Name",
        "Industry",
        "Tier__c",
        "AnnualRevenue",
        "NumberOfEmployees",
        "Score__c",
        "Discount__c",
        "Email__c",
        "Contract_Start__c",
        "Last_Audit__c",
        "Opening_Time__c",
        "DunsNumber",
        "ParentId",
        "OwnerId",
        "RecordTypeId",
        "Case_Key__c",
        "External_No__c",
        "Segments__c",
        "Active__c",
    ];
    let (long, wide, longer) = ("x".repeat(255), "ü".repeat(255), "x".repeat(256));
    let mail = format!("{}@b.co", "x".repeat(76));
    let changes = [
        ("Name", "good"),
        ("Name", ""),
        ("Name", &long),
        ("Name", &wide),
        ("Name", &longer),
        ("Name", "#N/A"),
        ("Industry", "not on offer"),
        ("Tier__c", "Gold"),
        ("Tier__c", "gold"),
        ("Tier__c", "Diamond"),
        ("AnnualRevenue", "12"),
        ("AnnualRevenue", "12.5"),
        ("AnnualRevenue", "1,5"),
        ("AnnualRevenue", "1.5E7"),
        ("AnnualRevenue", "1E18"),
        ("AnnualRevenue", "999999999999999999"),
        ("AnnualRevenue", "-1"),
        ("AnnualRevenue", "abc"),
        ("AnnualRevenue", "$5"),
        ("AnnualRevenue", " 5"),
        ("NumberOfEmployees", "12"),
        ("NumberOfEmployees", "12.0"),
        ("NumberOfEmployees", "99999999"),
        ("NumberOfEmployees", "100000000"),
        ("NumberOfEmployees", "+5"),
        ("NumberOfEmployees", "1e3"),
        ("Score__c", "123456789012.1234"),
        ("Score__c", "1234567890123"),
        ("Score__c", ".5"),
        ("Score__c", "5."),
        ("Score__c", "NaN"),
        ("Score__c", "Infinity"),
        ("Discount__c", "999.99"),
        ("Discount__c", "1000"),
        ("Discount__c", "5%"),
        ("Email__c", "a@b.co"),
        ("Email__c", "a@b"),
        ("Email__c", "a b@c.de"),
        ("Email__c", "@b.co"),
        ("Email__c", "ü@b.co"),
        ("Email__c", "a@b.co "),
        ("Email__c", &mail),
        ("Contract_Start__c", "2024-02-29"),
        ("Contract_Start__c", "2023-02-29"),
        ("Contract_Start__c", "01.02.2024"),
        ("Contract_Start__c", "2024-01-01Z"),
        ("Contract_Start__c", "2024-01-01T00:00:00Z"),
        ("Contract_Start__c", "1699-12-31"),
        ("Contract_Start__c", "4000-12-31"),
        ("Contract_Start__c", "4001-01-01"),
        ("Contract_Start__c", "2024-1-1"),
        ("Last_Audit__c", "2024-01-01T10:00:00Z"),
        ("Last_Audit__c", "2024-01-01T10:00:00.123+01:00"),
        ("Last_Audit__c", "2024-01-01 10:00:00"),
        ("Last_Audit__c", "2024-01-01T10:00:00"),
        ("Last_Audit__c", "2024-01-01T25:00:00Z"),
        ("Last_Audit__c", "2024-01-01"),
        ("Last_Audit__c", "2024-01-01T10:00:00+0100"),
        ("Last_Audit__c", "2024-01-01T10:00:00+15:00"),
        ("Last_Audit__c", "2024-01-01T10:00:00.12Z"),
        ("Opening_Time__c", "10:00:00.000Z"),
        ("Opening_Time__c", "10:00:00"),
        ("Opening_Time__c", "10:00"),
        ("Opening_Time__c", "24:00:00Z"),
        ("DunsNumber", "123456789"),
        ("DunsNumber", "1234567890"),
        ("ParentId", "001"),
        ("ParentId", "003000000000001AAA"),
        ("ParentId", "001000000000001AAA"),
        ("ParentId", "001000000000001AAB"),
        ("OwnerId", "005000000000999AAA"),
        ("OwnerId", "001000000000001AAA"),
        ("OwnerId", "#N/A"),
        ("RecordTypeId", "012Lo0000000002IAA"),
        ("RecordTypeId", "012000000000000AAA"),
        ("RecordTypeId", "012Lo0000000099IAA"),
        ("RecordTypeId", "xyz"),
        ("RecordTypeId", "001000000000001AAA"),
        ("Case_Key__c", "k1"),
        ("Case_Key__c", "K1"),
        ("Case_Key__c", "k1"),
        ("External_No__c", "5"),
        ("External_No__c", "5.0"),
        ("External_No__c", "x"),
        ("External_No__c", "1234567890123456789"),
        ("Legacy_Id__c", "same"),
        ("Legacy_Id__c", "SAME"),
        ("Segments__c", "SMB;Startup"),
        ("Segments__c", "Nope"),
        ("Active__c", "yes"),
        ("Active__c", "perhaps"),
        ("Active__c", "#N/A"),
        ("Active__c", ""),
    ];
    let rows = variants(&header, &[("Legacy_Id__c", "L@"), ("Name", "N@")], &changes);
    let place = place();
    place.file("rows.csv", csv(&header, &rows));
    let load = ["--object", "Account", "--operation", "insert"];
    assert_eq!(judged_alike(&place, "rows.csv", &load), 57);
    // Once more: all that must be unique is in the org now.
    let again = [&load[..], &["--again"]].concat();
    assert!(judged(&place, "rows.csv", &again).0 > 85);
}

#[test]
fn the_org_refuses_custom_objects_and_parents_for_what_the_check_finds() {
    let header = [
        "Name",
        "Account__r.Legacy_Id__c",
        "OwnerId",
        "Legacy_Id__c",
        "Status__c",
        "Issued_On__c",
        "Tags__c",
        "Amount__c",
        "Lines__c",
    ];
    let changes = [
        ("Name", "good"),
        ("Status__c", "Open"),
        ("Status__c", "Nope"),
        ("Status__c", "#N/A"),
        ("Issued_On__c", ""),
        ("Issued_On__c", "#N/A"),
        ("Tags__c", "Export;Manual"),
        ("Tags__c", "Export;Nope"),
        ("Tags__c", "Nope"),
        ("Tags__c", ";Export;"),
        ("Account__r.Legacy_Id__c", "nobody"),
        ("Account__r.Legacy_Id__c", "known"),
        ("Lines__c", "999999"),
        ("Lines__c", "1000000"),
        ("Amount__c", "1.239"),
        ("Legacy_Id__c", ""),
        ("OwnerId", "00G000000000001AAA"),
    ];
    let good = [("Legacy_Id__c", "L@"), ("Name", "N@"), ("Issued_On__c", "2024-01-01")];
    let place = place();
    place.file("parents.csv", "Legacy_Id__c,Name\nknown,Known\n");
    let said = place.run(&["load", "parents.csv", "--object", "Account", "--operation", "insert"]);
    assert_eq!(said.code, 0, "{said:?}");
    place.file("rows.csv", csv(&header, &variants(&header, &good, &changes)));
    let load = ["--object", "Invoice__c", "--operation", "insert"];
    assert_eq!(judged_alike(&place, "rows.csv", &load), 8);
}

#[test]
fn the_org_refuses_upserts_for_what_the_check_finds() {
    let place = place();
    place.file("there.csv", "Legacy_Id__c,Name\nthere,There\n");
    let load = ["--object", "Account", "--operation", "upsert", "--external-id", "Legacy_Id__c"];
    let said = place.run(&[&["load", "there.csv"][..], &load].concat());
    assert_eq!(said.code, 0, "{said:?}");
    place.file(
        "rows.csv",
        "Legacy_Id__c,Name,Tier__c,Parent.Legacy_Id__c\na,A,Gold,\n,B,,\n#N/A,B,,\nnew,,,\n\
         THERE,,Gold,\nd,D,Nope,\ne,E,,nobody\nf,F,,a\ng,G,,there\nh,H,,\ni,I,,\nH,J,,\n",
    );
    assert_eq!(judged_alike(&place, "rows.csv", &load), 8);
}

#[test]
fn the_org_refuses_changes_and_deletions_for_what_the_check_finds() {
    let place = place();
    place.file("some.csv", "Name\nA\nB\nC\nD\nE\n");
    let said = place.run(&["load", "some.csv", "--object", "Account", "--operation", "insert"]);
    assert_eq!(said.code, 0, "{said:?}");
    let ids: Vec<String> = place
        .query("SELECT Id FROM Account ORDER BY Name")
        .iter()
        .map(|record| record["Id"].as_str().unwrap().to_owned())
        .collect();
    let rows = format!(
        "Id,Name,Tier__c\n{},x,\n{},#N/A,\n{},,\n,y,\n001000000000001AAA,z,\nabc,z,\n\
         003000000000001AAA,z,\n{},a,Nope\n{4},b,\n{4},c,\n",
        ids[0], ids[1], ids[2], ids[3], ids[4]
    );
    place.file("changes.csv", rows);
    let update = ["--object", "Account", "--operation", "update"];
    assert_eq!(judged_alike(&place, "changes.csv", &update), 8);
    let rows = format!("Id\n{}\n001000000000001AAA\nabc\n003000000000001AAA\n", ids[4]);
    place.file("gone.csv", rows);
    let delete = ["--object", "Account", "--operation", "delete"];
    assert_eq!(judged_alike(&place, "gone.csv", &delete), 3);
}

const BAD: &str = "\
Legacy_Id__c,Name,Tier__c,NumberOfEmployees,BillingPostalCode
A1,Good,Gold,1,01067
A2,,Gold,1,
A3,Bad,Diamond,many,
A1,Twin,,,
1.23457E+11,Sheet,,,
A6,MÃ¼ller,,,#REF!
";

#[test]
fn a_person_reads_what_would_fail_and_why() {
    let place = place();
    place.file("bad.csv", BAD);
    let load = ["bad.csv", "--object", "Account", "--operation", "insert"];
    let said = place.run(&[&["check"][..], &load].concat());
    assert_eq!(said.code, 3, "{said:?}");
    let org = place.query("SELECT Id FROM Organization");
    let id = org[0]["Id"].as_str().unwrap();
    insta::assert_snapshot!("check_report", said.stdout.replace(id, "[org]"));
    let offending = place.path().join("bulkhaul-runs/check-bad.csv");
    insta::assert_snapshot!("check_rows", std::fs::read_to_string(&offending).unwrap());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(offending.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    // Nothing was sent, and no run is left behind.
    assert!(place.query("SELECT Id FROM Account").is_empty());
    let said = place.run(&["runs", "--json"]);
    assert_eq!(told(&said)["runs"], json!([]));

    // The file is a source itself, once it is mended.
    let text = std::fs::read_to_string(&offending).unwrap();
    let mended = text.replace("A2,,", "A2,Named,").replace("Diamond,many", "Gold,5");
    place.file("mended.csv", mended.replace("A1,Twin", "A4,Twin"));
    let load = ["mended.csv", "--object", "Account", "--operation", "insert", "--json"];
    let said = place.run(&[&["load"][..], &load].concat());
    assert_eq!(told(&said)["rows"]["created"], 5, "{said:?}");
}

#[test]
fn warnings_end_well_unless_they_count() {
    let place = place();
    place.file("odd.csv", "Name,Sic\nA,1.23457E+11\nB,#N/A\n");
    let check = ["check", "odd.csv", "--object", "Account", "--operation", "insert"];
    let found = place.run(&[&check[..], &QUIET].concat());
    assert_eq!(found.code, 0, "{found:?}");
    assert_eq!(
        told(&found)["rows"],
        json!({
            "read": 2, "clean": 0, "would_fail": 0, "doubtful": 2, "left_out": 0,
        })
    );
    let strict = place.run(&[&check[..], &QUIET, &["--strict"]].concat());
    assert_eq!((strict.code, &told(&strict)["exit_code"]), (3, &json!(3)));
    let quiet = place.run(&[&check[..], &["--quiet"]].concat());
    assert_eq!((quiet.code, quiet.stdout.as_str()), (0, ""));
}

#[test]
fn a_load_that_checks_first_sends_nothing_when_too_many_would_fail() {
    let place = place();
    place.file("bad.csv", BAD);
    let load = [
        &["load", "bad.csv", "--object", "Account", "--operation", "insert", "--check"][..],
        &QUIET,
    ]
    .concat();
    let said = place.run(&load);
    assert_eq!(said.code, 2, "{said:?}");
    let error = &told(&said)["error"];
    assert_eq!(error["code"], "check");
    assert_eq!(error["message"], "3 rows would fail, none may; nothing was sent");
    assert_eq!(error["problems"].as_array().unwrap().len(), 4, "{error}");
    assert!(place.query("SELECT Id FROM Account").is_empty());
    let folders = std::fs::read_dir(place.path().join("bulkhaul-runs")).unwrap();
    let names: Vec<_> = folders.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().starts_with("20")), "{names:?}");

    let said = place.run(&[&load[..], &["--max-failures", "3"]].concat());
    assert_eq!(said.code, 3, "{said:?}");
    assert_eq!(told(&said)["rows"]["failed"], 3);
    assert_eq!(told(&said)["rows"]["created"], 3);
}

#[test]
fn a_dry_run_shows_the_chunks_that_the_load_makes() {
    let place = place();
    let said = place.run(&["generate", "--object", "Account", "--rows", "25000", "--out", "a.csv"]);
    assert_eq!(said.code, 0, "{said:?}");
    let load = [
        &["load", "a.csv", "--object", "Account", "--operation", "insert", "--chunk-rows", "7000"]
            [..],
        &QUIET,
    ]
    .concat();
    let dry = place.run(&[&load[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, 0, "{dry:?}");
    let dry = told(&dry);
    assert_eq!(dry["command"], "load --dry-run");
    assert!(place.query("SELECT Id FROM Account LIMIT 1").is_empty());
    let said = place.run(&load);
    assert_eq!(said.code, 0, "{said:?}");
    let jobs = told(&said)["jobs"].clone();
    let made: Vec<_> =
        jobs.as_array().unwrap().iter().map(|job| (&job["first_row"], &job["rows"])).collect();
    let shown = dry["chunks"].as_array().unwrap();
    let shown: Vec<_> = shown.iter().map(|chunk| (&chunk["first_row"], &chunk["rows"])).collect();
    assert_eq!(shown.len(), 4);
    assert_eq!(shown, made);
    assert_eq!(dry["estimate"]["jobs"], 4);
}

#[test]
fn a_mapping_is_checked_by_what_it_makes() {
    let place = place();
    let (source, mapping) =
        (fixture("legacy/legacy_accounts.csv"), fixture("legacy/legacy_accounts.toml"));
    let check = [
        &[
            "check",
            &source,
            "--object",
            "Account",
            "--operation",
            "upsert",
            "--external-id",
            "Legacy_Id__c",
            "--mapping",
            &mapping,
            "--encoding",
            "windows-1252",
        ][..],
        &QUIET,
    ]
    .concat();
    let said = place.run(&check);
    let found = told(&said);
    assert_eq!(said.code, 0, "{found:#}");
    assert_eq!(found["rows"]["left_out"], 2);
    assert_eq!(found["rows"]["read"], 24);

    place.file(
        "m.toml",
        "[fields]\nName = { column = \"N\", empty = \"reject\" }\n\
        Contract_Start__c = { column = \"D\", date = \"dd.MM.yyyy\" }\n\
        Tier__c = { column = \"T\", case = \"title\" }\n",
    );
    place.file("m.csv", "N,D,T\nA,24.12.2025,gold\n,24.12.2025,gold\nC,2025-12-24,gold\nD,,tin\n");
    let check =
        ["check", "m.csv", "--object", "Account", "--operation", "insert", "--mapping", "m.toml"];
    let said = place.run(&[&check[..], &QUIET].concat());
    assert_eq!(said.code, 3, "{said:?}");
    let found = told(&said);
    let rules: Vec<_> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (finding["rule"].as_str().unwrap(), finding["column"].as_str().unwrap()))
        .collect();
    assert_eq!(
        rules,
        [
            ("unsendable", "`D`, column 2, for Contract_Start__c"),
            ("unsendable", "`N`, column 1, for Name"),
            ("picklist-value", "`T`, column 3, for Tier__c"),
        ],
        "{found:#}"
    );
}

#[test]
fn damage_by_spreadsheets_is_found_where_it_hurts() {
    let place = place();
    let mut text = String::from("Legacy_Id__c,Name,BillingPostalCode,Sic\n");
    for at in 0..200u32 {
        // Eastern Germany lost its zero.
        let code = 1_000 + at * 487;
        let _ = writeln!(text, "{},N{at},{code},{}", at + 1, at % 7);
    }
    place.file("codes.csv", &text);
    let check =
        [&["check", "codes.csv", "--object", "Account", "--operation", "insert"][..], &QUIET]
            .concat();
    let found = told(&place.run(&check));
    let findings = found["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{found:#}");
    assert_eq!(findings[0]["rule"], "lost-zeros");
    assert_eq!(findings[0]["field"], "BillingPostalCode");
    assert_eq!(findings[0]["rows"], 19);

    // Ids that differ in letter case alone are two records.
    place.file("ids.csv", "Id,Name\n0015g00000AbCdE,A\n0015g00000ABCdE,B\n0015g00000AbCdE,C\n");
    let check = [&["check", "ids.csv", "--object", "Account", "--operation", "update"][..], &QUIET]
        .concat();
    let found = told(&place.run(&check));
    let rules: Vec<_> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            (finding["rule"].as_str().unwrap(), finding["first_rows"][0]["row"].as_u64())
        })
        .collect();
    assert_eq!(rules, [("duplicate-key", Some(1)), ("case-twins", Some(2))], "{found:#}");
}

#[test]
fn rows_are_called_by_their_file_and_own_columns_are_left_out() {
    let place = place();
    std::fs::create_dir(place.path().join("in")).unwrap();
    place.file("in/a.csv", "Name,sf__Id\nA,1\n,2\n");
    place.file("in/b.csv", "sf__Id,Name\n3,B\n4,\n");
    let check = [
        &["check", "in/*.csv", "--object", "Account", "--operation", "insert", "--rows", "bad.csv"]
            [..],
        &QUIET,
    ]
    .concat();
    let found = told(&place.run(&check));
    assert_eq!(found["rows"]["would_fail"], 2);
    assert_eq!(
        found["findings"][0]["first_rows"],
        json!([{ "source": "a.csv", "row": 2 }, { "source": "b.csv", "row": 2 }])
    );
    let rows = read_csv(&place.path().join("bad.csv"));
    assert_eq!(rows.len(), 2);
    assert!(!rows[0].contains_key("sf__Id"));

    // The source itself is never written over.
    let said = place.run(&[
        "check",
        "in/a.csv",
        "--object",
        "Account",
        "--operation",
        "insert",
        "--rows",
        "in/a.csv",
    ]);
    assert_eq!(said.code, 2, "{said:?}");
    assert_eq!(
        std::fs::read_to_string(place.path().join("in/a.csv")).unwrap(),
        "Name,sf__Id\nA,1\n,2\n"
    );
}

#[test]
fn what_the_load_refuses_as_a_whole_the_check_does_too() {
    let place = place();
    place.file("no.csv", "Nmae\nA\n");
    let said =
        place.run(&["check", "no.csv", "--object", "Account", "--operation", "insert", "--json"]);
    assert_eq!((said.code, &told(&said)["error"]["code"]), (2, &json!("preflight")));
    place.file("ok.csv", "Name\nA\n");
    let said = place.run(&[
        "load",
        "ok.csv",
        "--object",
        "Account",
        "--operation",
        "insert",
        "--check-parents",
    ]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("--check-parents goes with --check or --dry-run"), "{said:?}");
    // What was loaded before may be checked again.
    let load = ["load", "ok.csv", "--object", "Account", "--operation", "insert"];
    assert_eq!(place.run(&load).code, 0);
    let said = place.run(&["check", "ok.csv", "--object", "Account", "--operation", "insert"]);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn what_runs_in_the_org_is_listed_as_far_as_it_acts_on_the_load() {
    let place = place();
    place.org_settings(&json!({"automation": {
        "triggers": [
            {"name": "OnInsert", "object": "Account", "events": ["before insert"]},
            {"name": "OnDelete", "object": "Account", "events": ["after delete"]},
            {"name": "Asleep", "object": "Account", "active": false, "events": ["before insert"]},
            {"name": "Elsewhere", "object": "Contact", "events": ["before insert"]},
        ],
        "flows": [
            {"name": "Made", "object": "Account", "on": "Create"},
            {"name": "Changed", "object": "Account", "on": "Update"},
        ],
        "validation-rules": [{"name": "Has_City", "object": "Account"}],
        "duplicate-rules": [{"name": "Same_Name", "object": "Account"}],
        "workflow-rules": [
            {"name": "Mail", "object": "Account"},
            {"name": "Print", "object": "Invoice__c"},
        ],
    }}));
    place.file("a.csv", "Name\nA\n");
    let check = ["check", "a.csv", "--object", "Account", "--operation", "insert"];
    let found = told(&place.run(&[&check[..], &QUIET].concat()));
    assert_eq!(
        found["automation"],
        json!({
            "triggers": ["OnInsert"], "flows": ["Made"], "validation_rules": ["Has_City"],
            "duplicate_rules": ["Same_Name"], "workflow_rules": ["Mail"], "untold": [],
        })
    );
    let said = place.run(&check);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("1 trigger: OnInsert"), "{}", said.stdout);
    // A custom object goes by its id there.
    place.file("i.csv", "Name,Issued_On__c\nA,2026-01-01\n");
    let check = ["check", "i.csv", "--object", "Invoice__c", "--operation", "insert"];
    let found = told(&place.run(&[&check[..], &QUIET].concat()));
    assert_eq!(found["automation"], json!({ "workflow_rules": ["Print"], "untold": [] }));
}

#[test]
fn what_the_org_does_not_tell_is_named() {
    let place = place();
    place.org_settings(&json!({ "tooling-api": false }));
    place.file("a.csv", "Name\nA\n");
    let check = ["check", "a.csv", "--object", "Account", "--operation", "insert"];
    let found = told(&place.run(&[&check[..], &QUIET].concat()));
    let untold = found["automation"]["untold"].as_array().unwrap();
    let kinds: Vec<_> = untold.iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["triggers", "validation_rules", "workflow_rules"]);
    assert_eq!(untold[0]["code"], "INSUFFICIENT_ACCESS");
}

#[test]
fn record_types_and_owners_are_judged_as_the_org_does() {
    let place = place();
    let profile = place.query("SELECT ProfileId FROM User")[0]["ProfileId"].clone();
    let users = format!(
        "Username,LastName,Alias,Email,TimeZoneSidKey,LocaleSidKey,EmailEncodingKey,\
         LanguageLocaleKey,ProfileId,IsActive\n\
         gone@local.org,Gone,gone,g@b.co,Europe/Berlin,en_US,UTF-8,en_US,{0},false\n\
         here@local.org,Here,here,h@b.co,Europe/Berlin,en_US,UTF-8,en_US,{0},true\n",
        profile.as_str().unwrap()
    );
    place.file("users.csv", users);
    let said = place.run(&["load", "users.csv", "--object", "User", "--operation", "insert"]);
    assert_eq!(said.code, 0, "{said:?}");
    let gone = place.query("SELECT Id FROM User WHERE IsActive = false")[0]["Id"].clone();
    let rows = format!("Name,OwnerId\nA,{}\nB,\n", gone.as_str().unwrap());
    place.file("by_id.csv", rows);
    let insert = ["--object", "Account", "--operation", "insert"];
    assert_eq!(judged_alike(&place, "by_id.csv", &insert), 1);
    place.file("by_name.csv", "Name,Owner.Username\nA,gone@local.org\nB,here@local.org\nC,no\n");
    assert_eq!(judged_alike(&place, "by_name.csv", &insert), 2);

    // Express shipments go by road or air.
    place.file("accounts.csv", "Name,Legacy_Id__c\nA,A\n");
    let said = place.run(&["load", "accounts.csv", "--object", "Account", "--operation", "insert"]);
    assert_eq!(said.code, 0, "{said:?}");
    place.file(
        "shipments.csv",
        "Tracking_Code__c,Account__r.Legacy_Id__c,Mode__c,RecordType.DeveloperName\n\
         1,A,Road,Express\n2,A,Sea,Express\n3,A,Sea,\n4,A,Rail,Master\n5,A,Rail,Nope\n\
         6,A,Boat,Express\n",
    );
    let insert = ["--object", "Shipment__c", "--operation", "insert"];
    assert_eq!(judged_alike(&place, "shipments.csv", &insert), 4);
}
