//! Mapping files, through the binary: a legacy export loads clean, what can't
//! be expressed is told by row and rule, and a run that broke off goes on.

use std::path::{Path, PathBuf};

use bulkhaul::domain::{ObjectDescription, Operation};
use bulkhaul::mapping::{Mapping, Secrets};
use bulkhaul::pipeline::TableReader;
use bulkhaul::reader::{Source, SourceOptions};
use bulkhaul::rows::{EncodedRow, SourceRows as _};
use bulkhaul::transformer::{EmptyMeans, LoadSpec, compile};
use serde_json::Value;

use crate::support::{Place, Said, Server, Watched, fixture, json};

/// A load of a file with a mapping, as an upsert of accounts.
fn load<'a>(source: &'a str, mapping: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["--object", "Account", "--operation", "upsert", "--external-id", "Legacy_Id__c"];
    let mapping = ["--mapping", mapping, "--json", "--progress", "none"];
    [&["load", source][..], &fixed, &mapping, more].concat()
}

/// What is wrong, each with what follows it on lines of its own.
fn told(said: &Said, code: &str) -> String {
    assert_eq!(said.code, 2, "{said:?}");
    assert_eq!(json(said)["error"]["code"], code, "{said:?}");
    said.stderr.clone()
}

#[test]
fn a_legacy_export_loads_clean_with_its_mapping() {
    let place = Place::new();
    let (source, mapping) =
        (fixture("legacy/legacy_accounts.csv"), fixture("legacy/legacy_accounts.toml"));
    let said = place.run(&load(&source, &mapping, &["--encoding", "windows-1252"]));
    // What the filter leaves out is no fault.
    assert_eq!(said.code, 0, "{said:?}");
    let summary = json(&said);
    let rows = &summary["rows"];
    assert_eq!([&rows["read"], &rows["created"], &rows["rejected"]], [24, 22, 2]);
    assert_eq!(summary["failures_by_code"]["LEFT_OUT"], 2);
    let records = place.query(
        "SELECT Legacy_Id__c, Name, BillingStreet, BillingPostalCode, BillingCity, \
         BillingCountry, Phone, Email__c, Industry, AnnualRevenue, NumberOfEmployees, \
         Discount__c, Contract_Start__c, Last_Audit__c, Active__c, Segments__c, OwnerId, \
         Description, Type FROM Account ORDER BY Legacy_Id__c LIMIT 6",
    );
    insta::assert_json_snapshot!(records);
    // Result files show the source as it stood.
    let saved = place.result("success.csv");
    assert_eq!(saved.len(), 22);
    assert_eq!(saved[0]["Firma"], " Müller & Söhne");
    assert_eq!(saved[0]["Umsatz"], "1.234.567,50 €");
    let left_out = place.result("rejected.csv");
    assert_eq!(left_out.len(), 2);
    assert_eq!(left_out[0]["bulkhaul__Row"], "23");
    assert_eq!(left_out[0]["bulkhaul__Error"], "left out by the mapping's filter");
    // The same once more changes records and makes none.
    let said = place.run(&load(&source, &mapping, &["--encoding", "windows-1252"]));
    assert_eq!(json(&said)["rows"]["updated"], 22, "{said:?}");
}

#[test]
fn japanese_customers_load_clean_with_theirs() {
    let place = Place::new();
    let (source, mapping) =
        (fixture("legacy/legacy_accounts_ja.csv"), fixture("legacy/legacy_accounts_ja.toml"));
    let said = place.run(&load(&source, &mapping, &["--encoding", "shift_jis"]));
    assert_eq!(said.code, 0, "{said:?}");
    let records = place.query(
        "SELECT Legacy_Id__c, Name, BillingPostalCode, BillingState, Phone, Industry, \
         AnnualRevenue, Contract_Start__c, Last_Audit__c, Active__c FROM Account \
         ORDER BY Legacy_Id__c",
    );
    insta::assert_json_snapshot!(records);
}

/// The rows of a fixture as they are sent.
fn encoded(source: &str, encoding: &str, mapping: &str) -> String {
    let server = Server::in_memory(&[]);
    let described = server.see("/services/data/v66.0/sobjects/Account/describe");
    let object: ObjectDescription = serde_json::from_value(described).unwrap();
    let options = SourceOptions { encoding: Some(encoding.to_owned()), ..SourceOptions::default() };
    let source = Source::open(&[PathBuf::from(fixture(source))], &options).unwrap();
    let mapping = Mapping::read(
        Path::new(&fixture(mapping)),
        &Secrets::default(),
        &TableReader::new(Path::new("")),
    )
    .unwrap();
    let spec = LoadSpec {
        operation: Operation::Upsert,
        object: &object,
        external_id: Some("Legacy_Id__c"),
        user_keys: &[],
        currency: None,
        renames: &[],
        empty: EmptyMeans::Skip,
        mapping: Some(&mapping),
    };
    let plan = compile(&spec, source.header(), source.dialect(), &mut |_| None).unwrap();
    let mut text = String::from_utf8(plan.header_line()).unwrap();
    let mut rows = source.rows(None).unwrap();
    while let Some(batch) = rows.next_batch().unwrap() {
        let encoded = plan.apply(&batch);
        for row in &encoded.rows {
            match *row {
                EncodedRow::Rewritten { start, end } => {
                    let row = &encoded.side[start as usize..end as usize];
                    text += std::str::from_utf8(row).unwrap();
                }
                EncodedRow::Rejected(at) => {
                    let names = plan.column_names();
                    let rejection = &encoded.rejections[at as usize];
                    text += &format!("! {}\n", rejection.reason(&names, None));
                }
                EncodedRow::Same => panic!("every row of this mapping is written anew"),
            }
        }
    }
    text
}

#[test]
fn the_rows_of_the_fixtures_are_encoded_as_they_always_were() {
    insta::assert_snapshot!(encoded(
        "legacy/legacy_accounts.csv",
        "windows-1252",
        "legacy/legacy_accounts.toml"
    ));
    insta::assert_snapshot!(encoded(
        "legacy/legacy_accounts_ja.csv",
        "shift_jis",
        "legacy/legacy_accounts_ja.toml"
    ));
}

#[test]
fn what_a_value_map_lacks_is_rejected_and_retried_once_the_map_is_mended() {
    let place = Place::new();
    let source =
        place.file("a.csv", "Nr,Firma,Branche\n1,Alpha,MB\n2,Beta,SECRETCODE\n3,Gamma,BK\n");
    let source = source.to_str().unwrap();
    let text = "[fields]\nLegacy_Id__c = \"Nr\"\nName = \"Firma\"\n\
                Industry = { column = \"Branche\", map = { MB = \"Machinery\", BK = \"Banking\" } }\n";
    let mapping = place.file("a.toml", text);
    let mapping = mapping.to_str().unwrap();
    let said = place.run(&load(source, mapping, &[]));
    assert_eq!(said.code, 3, "{said:?}");
    assert_eq!(json(&said)["rows"]["rejected"], 1);
    let rejected = place.result("rejected.csv");
    assert_eq!(rejected[0]["bulkhaul__Row"], "2");
    assert_eq!(
        rejected[0]["bulkhaul__Error"],
        "`Branche`, column 3, for Industry: a value of 10 characters (letters) is not in the value \
         map"
    );
    assert_eq!(rejected[0]["Branche"], "SECRETCODE", "the file shows the row as it stood");
    let ledger = std::fs::read(place.run_folder().join("ledger.sqlite")).unwrap();
    let is_there = |bytes: &[u8]| bytes.windows(10).any(|part| part == b"SECRETCODE");
    assert!(!said.stderr.contains("SECRETCODE") && !is_there(&ledger), "a value was told (I8)");

    place.file("a.toml", text.replace("BK =", "SECRETCODE = \"Retail\", BK ="));
    let file = place.run_folder().join("rejected.csv");
    let said = place.run(&["retry", "latest", "--with", file.to_str().unwrap(), "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let records = place.query("SELECT Name, Industry FROM Account ORDER BY Name");
    let industries: Vec<_> = records.iter().map(|record| record["Industry"].clone()).collect();
    assert_eq!(industries, ["Machinery", "Retail", "Banking"]);
}

#[test]
fn a_mapping_that_is_wrong_is_refused_with_file_line_field_and_what_is_allowed() {
    let place = Place::new();
    let source = place.file("a.csv", "Nr,Firma\n1,Alpha\n");
    let source = source.to_str().unwrap();
    let mapping = place.file(
        "a.toml",
        "[fields]\nLegacy_Id__c = \"Nr\"\nName = { column = \"Firma\", cse = \"upper\" }\n\
         Contract_Start__c = { column = \"Nr\", date = \"TT.MM.JJJJ\" }\n",
    );
    let mapping = mapping.to_str().unwrap();
    let said = place.run(&load(source, mapping, &[]));
    let text = told(&said, "mapping");
    for part in [
        "a.toml:3: fields.Name: `cse` is no key here; allowed are `column`",
        "did you mean `case`?",
        "a.toml:4: fields.Contract_Start__c.date: format `TT.MM.JJJJ`: `TT` stands for nothing",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!place.path().join("bulkhaul-runs").exists(), "no run folder is left");

    // What only header and describe can tell.
    place.file("a.toml", "[fields]\nLegacy_Id__c = \"Nummer\"\nNmae = \"Firma\"\n");
    let text = told(&place.run(&load(source, mapping, &[])), "preflight");
    for part in [
        "a.toml:2: fields.Legacy_Id__c: the source has no column `Nummer`",
        "a.toml:3: fields.Nmae: Account has no field `Nmae`",
        "did you mean `Name`?",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let said = place.run(&load(source, "none.toml", &[]));
    assert!(told(&said, "mapping").contains("none.toml: can't be read"), "{said:?}");
    let said = place.run(&load(source, mapping, &["--map", "Nr=Legacy_Id__c"]));
    assert_eq!(said.code, 2, "{said:?}");
}

#[test]
fn rows_are_grouped_by_a_column_behind_a_field_and_by_no_made_one() {
    let place = Place::new();
    let source = place.file("a.csv", "Nr,A,B\n1,x,y\n2,x,z\n3,y,y\n");
    let source = source.to_str().unwrap();
    let mapping = place.file(
        "a.toml",
        "[fields]\nLegacy_Id__c = \"Nr\"\nName = { template = \"{A} {B}\" }\n\
         Site = { column = \"A\", case = \"upper\" }\n",
    );
    let mapping = mapping.to_str().unwrap();
    let text = told(&place.run(&load(source, mapping, &["--group-by", "Name"])), "preflight");
    assert!(text.contains("the mapping makes Name of several columns or of none"), "{text}");
    let said = place.run(&load(source, mapping, &["--group-by", "site"]));
    assert_eq!(said.code, 0, "{said:?}");
    let records = place.query("SELECT Name, Site FROM Account ORDER BY Legacy_Id__c");
    let names: Vec<_> = records.iter().map(|record| record["Name"].clone()).collect();
    assert_eq!(names, ["x y", "x z", "y y"]);
    assert_eq!(records[2]["Site"], "Y");
}

/// Rows of the source of a run that is killed.
const ROWS: u64 = 5_000;

#[test]
fn a_run_that_was_killed_goes_on_with_its_mapping_whatever_became_of_the_file() {
    let server = Server::in_memory(&["--speed", "2000"]);
    let place = Place::new();
    let mut text = String::from("Nr;Name;Betreuer\n");
    for row in 1..=ROWS {
        text += &format!("{row};Person {row};{}\n", if row % 2 == 0 { "a" } else { "b" });
    }
    let source = place.file("people.csv", text);
    let sites = "Code,Site\na,North\nb,South\n";
    place.file("sites.csv", sites);
    let mapping = place.file(
        "people.toml",
        "secret_env = \"MASK_KEY\"\n[fields]\n\
         Legacy_Id__c = { column = \"Nr\", replace = [{ pattern = \"^\", with = \"P\" }] }\n\
         Name = { column = \"Name\", mask = \"name\" }\n\
         Site = { column = \"Betreuer\", lookup = \"sites\" }\n\
         [lookups.sites]\nfile = \"sites.csv\"\nkey = \"Code\"\nvalue = \"Site\"\n",
    );
    let args = load(source.to_str().unwrap(), mapping.to_str().unwrap(), &[]);
    let with_key = |args: &[&str]| {
        let mut command = place.command_on(&server, args);
        command.env("MASK_KEY", "correct horse battery staple");
        command
    };
    let said = Said::from(place.command_on(&server, &args).output().unwrap());
    assert!(told(&said, "mapping").contains("`MASK_KEY` is not set"), "{said:?}");

    let args: Vec<&str> = args
        .iter()
        .map(|&arg| if arg == "none" { "json" } else { arg })
        // More chunks than are planned ahead, so that rows are left to read.
        .chain(["--chunk-rows", "100", "--parallel", "2"])
        .collect();
    let mut running = Watched::start(with_key(&args));
    running.wait_for("uploaded");
    running.kill();
    // The mapping file may go, what it named may not.
    std::fs::remove_file(&mapping).unwrap();
    let resume = ["resume", "--json", "--progress", "none"];
    let said = place.run_on(&server, &resume);
    assert!(told(&said, "mapping").contains("`MASK_KEY` is not set"), "{said:?}");
    place.file("sites.csv", "Code,Site\na,West\nb,South\n");
    let said = Said::from(with_key(&resume).output().unwrap());
    assert!(told(&said, "mapping").contains("was changed since the run began"), "{said:?}");
    place.file("sites.csv", sites);

    let said = Said::from(with_key(&resume).output().unwrap());
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(json(&said)["rows"]["created"], ROWS);
    assert_eq!(server.count("Account"), ROWS);
    // Rows of both processes were made by one and the same rule.
    let page = "/services/data/v66.0/query?q=SELECT+Name,Site+FROM+Account+WHERE+Legacy_Id__c+IN+('P1','P2','P4999','P5000')+ORDER+BY+Legacy_Id__c";
    let records = server.see(page)["records"].as_array().unwrap().clone();
    let sites: Vec<_> = records.iter().map(|record| record["Site"].clone()).collect();
    assert_eq!(sites, ["South", "North", "South", "North"]);
    for record in &records {
        let name = record["Name"].as_str().unwrap();
        assert!(!name.contains("Person") && name.contains(' '), "{name}");
    }
    let ledger = std::fs::read(place.run_folder().join("ledger.sqlite")).unwrap();
    assert!(!ledger.windows(13).any(|part| part == b"correct horse"), "the secret was kept");
}

#[test]
fn one_currency_goes_with_every_row_in_an_org_that_has_several() {
    let place = Place::new();
    let dir = place.path().join(".bulkhaul/local-org/objects");
    std::fs::create_dir_all(&dir).unwrap();
    let text = std::fs::read_to_string(fixture("objects/Invoice__c.json")).unwrap();
    let mut invoice: Value = serde_json::from_str(&text).unwrap();
    invoice["fields"].as_array_mut().unwrap().push(serde_json::json!({
        "name": "CurrencyIsoCode", "type": "picklist", "label": "Currency ISO Code",
        "restrictedPicklist": true, "picklistValues": ["EUR", "USD"], "defaultedOnCreate": true,
    }));
    std::fs::write(dir.join("Invoice__c.json"), invoice.to_string()).unwrap();
    let source = place.file("a.csv", "Number,Day,Sum\nI-1,01.02.2026,\"1,5\"\nI-2,02.02.2026,2\n");
    let mapping = place.file(
        "a.toml",
        "[fields]\nLegacy_Id__c = \"Number\"\nIssued_On__c = { column = \"Day\", date = \
         \"dd.MM.yyyy\" }\nAmount__c = { column = \"Sum\", number = { decimal = \",\" } }\n",
    );
    let load = |object: &str, currency: &str| {
        place.run(&[
            "load",
            source.to_str().unwrap(),
            "--object",
            object,
            "--operation",
            "upsert",
            "--external-id",
            "Legacy_Id__c",
            "--mapping",
            mapping.to_str().unwrap(),
            "--currency",
            currency,
            "--progress",
            "none",
        ])
    };
    let said = load("Invoice__c", "YEN");
    assert_eq!(said.code, 2, "{said:?}");
    let told = "--currency: the org has no active currency `YEN`";
    assert!(said.stderr.contains(told) && said.stderr.contains("it has EUR, USD"), "{said:?}");
    let said = load("Invoice__c", "usd");
    assert_eq!(said.code, 0, "{said:?}");
    let soql = "SELECT Amount__c, CurrencyIsoCode FROM Invoice__c ORDER BY Amount__c";
    let found = place.query(soql);
    let found: Vec<_> = found
        .iter()
        .map(|record| (record["Amount__c"].as_f64(), record["CurrencyIsoCode"].as_str()))
        .collect();
    assert_eq!(found, [(Some(1.5), Some("USD")), (Some(2.0), Some("USD"))]);

    // Without a mapping, too; and an org with one currency says so.
    let plain = place.file("b.csv", "Legacy_Id__c,Issued_On__c\nI-3,2026-02-03\n");
    let upsert = ["--operation", "upsert", "--external-id", "Legacy_Id__c", "--progress", "none"];
    let plain = ["load", plain.to_str().unwrap(), "--object", "Invoice__c", "--currency", "EUR"];
    let said = place.run(&[&plain[..], &upsert].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let soql = "SELECT CurrencyIsoCode FROM Invoice__c WHERE Legacy_Id__c = 'I-3'";
    assert_eq!(place.query(soql)[0]["CurrencyIsoCode"], "EUR");
    let one = place.file("c.csv", "Legacy_Id__c,Name\nA-1,Alpha\n");
    let one = ["load", one.to_str().unwrap(), "--object", "Account", "--currency", "EUR"];
    let said = place.run(&[&one[..], &upsert].concat());
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("--currency: Account has no field CurrencyIsoCode"), "{said:?}");
}
