//! `map`: a first mapping loads what it was made for, and a map of Data Loader
//! does what it did there.

use serde_json::{Value, json};

use crate::support::{Place, Said, fixture};

fn told(said: &Said) -> Value {
    assert_eq!(said.code, 0, "{said:?}");
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

fn upsert(place: &Place, source: &str, mapping: &str) -> Said {
    let load = ["load", source, "--object", "Account", "--operation", "upsert"];
    let rest =
        ["--external-id", "Legacy_Id__c", "--mapping", mapping, "--json", "--progress", "none"];
    place.run(&[&load[..], &rest].concat())
}

#[test]
fn a_first_mapping_loads_a_renamed_export() {
    let place = Place::new();
    let rows = "ACC-1;Lakeside GmbH;387.557,25;492;Ulm;ja;24.06.2024;Gold;x\n\
                ACC-2;Falcon B.V.;1.000,00;23;Linz;nein;15.07.2011;silver;y\n";
    let header = "Legacy ID;Firma;Umsatz;Employees;Billing-City;Active;Contract Start;Tier;Shoe\n";
    place.file("old.csv", format!("{header}{rows}"));
    let init = ["map", "--init", "old.csv", "--object", "Account", "--out", "first.toml"];
    let key = ["--external-id", "Legacy_Id__c", "--json"];
    let made = told(&place.run(&[&init[..], &key].concat()));
    assert_eq!(made["operation"], "upsert");
    assert_eq!(made["missing"], json!([]));
    assert_eq!(made["unmatched"][0]["column"], "Shoe");
    assert_eq!(made["fields"].as_array().unwrap().len(), 8, "{made}");

    let said = upsert(&place, "old.csv", "first.toml");
    assert_eq!(told(&said)["rows"]["created"], 2);
    let records = place.query(
        "SELECT Name, AnnualRevenue, NumberOfEmployees, BillingCity, Active__c, \
         Contract_Start__c, Tier__c FROM Account ORDER BY Legacy_Id__c",
    );
    let expected = json!({
        "Name": "Lakeside GmbH", "AnnualRevenue": 387_557.25, "NumberOfEmployees": 492,
        "BillingCity": "Ulm", "Active__c": true, "Contract_Start__c": "2024-06-24", "Tier__c": "Gold"
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&records[0][field], value, "{field}");
    }
    assert_eq!(records[1]["Tier__c"], "Silver");
}

#[test]
fn a_first_mapping_of_the_legacy_export_compiles_and_loads() {
    let place = Place::new();
    let source = fixture("legacy/legacy_accounts.csv");
    let init = ["map", "--init", &source, "--object", "Account", "--encoding", "windows-1252"];
    let more = ["--external-id", "Legacy_Id__c", "--out", "first.toml"];
    let said = place.run(&[&init[..], &more].concat());
    assert_eq!(said.code, 0, "{said:?}");
    // Which column is the key, a person must say.
    let text = std::fs::read_to_string(place.path().join("first.toml")).unwrap();
    assert!(text.contains("# Legacy_Id__c = \"\""), "{text}");
    assert!(text.contains("\nName = { column = \"Firma\", trim = true }\n"), "{text}");
    let text = text.replace("[fields]\n", "[fields]\nLegacy_Id__c = \"Kundennr\"\n");
    place.file("mine.toml", &text);
    let load = ["load", &source, "--object", "Account", "--operation", "upsert"];
    let how = ["--external-id", "Legacy_Id__c", "--encoding", "windows-1252"];
    let rest = ["--mapping", "mine.toml", "--json", "--progress", "none"];
    let said = place.run(&[&load[..], &how, &rest].concat());
    let summary: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(summary["rows"]["created"], 24, "{said:?}\n{text}");
}

#[test]
fn lookups_are_drafted_by_the_keys_of_parents() {
    let place = Place::new();
    let parents = place.file("accounts.csv", "Name,Legacy_Id__c\nAcme,A-1\n");
    let insert = ["--object", "Account", "--operation", "insert", "--progress", "none"];
    let said = place.run(&[&["load", parents.to_str().unwrap()][..], &insert].concat());
    assert_eq!(said.code, 0, "{said:?}");
    place.file("people.csv", "Vorname,Nachname,Account Legacy Id,Betreuer\nAnna,Berg,A-1,ab\n");
    let init = ["map", "--init", "people.csv", "--object", "Contact", "--out", "first.toml"];
    let said = place.run(&init);
    assert_eq!(said.code, 0, "{said:?}");
    let text = std::fs::read_to_string(place.path().join("first.toml")).unwrap();
    assert!(text.contains("\n\"Account.Legacy_Id__c\" = \"Account Legacy Id\"\n"), "{text}");
    let load = ["load", "people.csv", "--object", "Contact", "--operation", "insert"];
    let said = place.run(&[&load[..], &["--mapping", "first.toml", "--progress", "none"]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let found = place.query("SELECT LastName, Account.Name FROM Contact");
    assert_eq!(found[0]["Account"]["Name"], "Acme");
}

#[test]
fn a_file_that_is_there_is_left_alone() {
    let place = Place::new();
    place.file("old.csv", "Name\nAcme\n");
    place.file("mine.toml", "mine");
    let init = ["map", "--init", "old.csv", "--object", "Account", "--out", "mine.toml"];
    let said = place.run(&init);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("--force"), "{said:?}");
    assert_eq!(std::fs::read_to_string(place.path().join("mine.toml")).unwrap(), "mine");
    let said = place.run(&[&init[..], &["--force"]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    // Without a file it is the standard output.
    let said = place.run(&["map", "--init", "old.csv", "--object", "Account"]);
    assert!(said.stdout.contains("\nName = \"Name\"\n"), "{said:?}");
    assert!(said.stdout.contains("such as \"Acme\""), "{said:?}");
    let said = place.run(&["map", "--init", "old.csv", "--object", "Account", "--no-samples"]);
    assert!(!said.stdout.contains("Acme"), "{said:?}");
}

#[test]
fn a_map_of_data_loader_loads_what_it_loaded_there() {
    let place = Place::new();
    place.file("group.csv", "Legacy_Id__c,Name\nS-1,Acme Group\n");
    let load = ["load", "group.csv", "--object", "Account", "--operation", "insert"];
    assert_eq!(place.run(&[&load[..], &["--progress", "none"]].concat()).code, 0);
    let sdl = fixture("sdl/accounts.sdl");
    let said = place.run(&["map", "--from", &sdl, "--object", "Account", "--out", "sdl.toml"]);
    assert_eq!(said.code, 0, "{said:?}");
    for word in ["Booleans", "Dates", "Blanks", "#N/A", "10 fields"] {
        assert!(said.stderr.contains(word), "{word}: {said:?}");
    }
    let said = upsert(&place, &fixture("sdl/accounts.csv"), "sdl.toml");
    assert_eq!(told(&said)["rows"]["created"], 2);
    let records = place.query(
        "SELECT Name, BillingStreet, BillingCity, ShippingCity, Phone, Type, AnnualRevenue, \
         Parent.Name, Owner.Username FROM Account WHERE Legacy_Id__c = 'S-2'",
    );
    let record = &records[0];
    assert_eq!(record["Name"], "Acme West");
    assert_eq!(record["BillingStreet"], "Hauptstraße 1");
    assert_eq!((&record["BillingCity"], &record["ShippingCity"]), (&json!("Ulm"), &json!("Ulm")));
    assert_eq!((&record["Phone"], &record["Type"]), (&json!("030 1"), &json!("Customer - Direct")));
    assert_eq!(record["AnnualRevenue"], 1500.5);
    let text = record.to_string();
    assert!(text.contains("Acme Group") && text.contains("admin@local.org"), "{text}");
}
