//! `local-org clone`: a load rehearsed against a clone is refused what the
//! org itself refuses.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::support::{Place, Said, Server, fixture};

const QUIET: [&str; 2] = ["--progress", "none"];

/// An org with the objects of fixtures/objects and a few records.
fn original(place: &Place) -> Server {
    let dir = place.path().join("original");
    std::fs::create_dir_all(dir.join("objects")).unwrap();
    for name in ["Invoice__c.json", "Shipment__c.json"] {
        let file = fixture(&format!("objects/{name}"));
        std::fs::copy(file, dir.join("objects").join(name)).unwrap();
    }
    let server = Server::start(&["--dir", dir.to_str().unwrap(), "--port", "0"]);
    let accounts = place.file("accounts.csv", "Name,Legacy_Id__c\nAcme,A-1\n");
    let shipments =
        place.file("there.csv", "Account__r.Legacy_Id__c,Tracking_Code__c,Mode__c\nA-1,T-1,Road\n");
    for (file, object) in [(accounts, "Account"), (shipments, "Shipment__c")] {
        let load = ["load", file.to_str().unwrap(), "--object", object, "--operation", "insert"];
        let said = place.run_on(&server, &[&load[..], &["--yes"], &QUIET].concat());
        assert_eq!(said.code, 0, "{said:?}");
    }
    server
}

fn clone(place: &Place, server: &Server, more: &[&str]) -> Said {
    let clone = ["local-org", "clone", "--from", "env", "--dir", "rehearsal"];
    place.run_on(server, &[&clone[..], more].concat())
}

/// Error codes by tracking code, of the newest run.
fn refusals(place: &Place) -> BTreeMap<String, String> {
    let code = |row: &BTreeMap<String, String>| {
        row["sf__Error"].split(':').next().unwrap_or_default().to_owned()
    };
    let rows = place.result("failed.csv");
    rows.iter().map(|row| (row["Tracking_Code__c"].clone(), code(row))).collect()
}

fn rehearsed(place: &Place, file: &Path) -> Said {
    let load = ["load", file.to_str().unwrap(), "--object", "Shipment__c", "--operation", "insert"];
    let on = ["--org", "local", "--local-org-dir", "rehearsal"];
    place.run(&[&load[..], &on, &["--yes"], &QUIET].concat())
}

#[test]
fn a_clone_refuses_what_the_org_refuses() {
    let place = Place::new();
    let server = original(&place);
    let said = clone(&place, &server, &["--objects", "Shipment__c", "--keys", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let told: Value = serde_json::from_str(&said.stdout).unwrap();
    let object = |name: &str| {
        let objects = told["objects"].as_array().unwrap();
        objects.iter().find(|object| object["name"] == name).unwrap().clone()
    };
    let shipment = object("Shipment__c");
    assert_eq!((&shipment["whole"], &shipment["key_records"]), (&true.into(), &1.into()));
    assert_eq!(shipment["picklists_by_record_type"], 2);
    assert_eq!(shipment["computed_fields"], 1);
    // Parents are there as far as lookups need them.
    assert_eq!(object("Account")["whole"], false);
    assert_eq!(object("Account")["key_records"], 1);
    assert_ne!(told["org_id"], told["from"]["id"]);

    let file = place.file(
        "new.csv",
        "Account__r.Legacy_Id__c,RecordType.DeveloperName,Tracking_Code__c,Mode__c\n\
         A-1,,T-1,Road\n\
         A-1,,T-2,Teleport\n\
         A-1,Express,T-3,Sea\n\
         A-1,,T-4,\n\
         A-9,,T-5,Road\n\
         A-1,Express,T-6,Air\n",
    );
    let rehearsed = rehearsed(&place, &file);
    assert_eq!(rehearsed.code, 3, "{rehearsed:?}");
    let here = refusals(&place);
    let load = ["load", file.to_str().unwrap(), "--object", "Shipment__c", "--operation", "insert"];
    let said = place.run_on(&server, &[&load[..], &["--yes"], &QUIET].concat());
    assert_eq!(said.code, 3, "{said:?}");
    assert_eq!(here, refusals(&place));
    let expected = [
        ("T-1", "DUPLICATE_VALUE"),
        ("T-2", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ("T-3", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ("T-4", "REQUIRED_FIELD_MISSING"),
        ("T-5", "INVALID_FIELD"),
    ];
    let expected = expected.map(|(row, code)| (row.to_owned(), code.to_owned()));
    assert_eq!(here, BTreeMap::from(expected));
}

#[test]
fn a_folder_with_an_org_is_left_alone_unless_its_definitions_are_to_be_replaced() {
    let place = Place::new();
    let server = original(&place);
    let objects = ["--objects", "Shipment__c,Invoice__c"];
    let said = clone(&place, &server, &objects);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("A clone doesn't know: triggers"), "{said:?}");
    assert!(said.stdout.contains("2 narrowed by a record type"), "{said:?}");
    let again = clone(&place, &server, &objects);
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.stderr.contains("--replace"), "{again:?}");

    let load = ["load", "accounts.csv", "--object", "Account", "--operation", "insert"];
    let on = ["--org", "local", "--local-org-dir", "rehearsal"];
    let said = place.run(&[&load[..], &on, &["--yes"], &QUIET].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let replaced = clone(&place, &server, &[&objects[..], &["--replace"]].concat());
    assert_eq!(replaced.code, 0, "{replaced:?}");
    let twice = clone(&place, &server, &[&objects[..], &["--replace", "--keys"]].concat());
    assert_eq!(twice.code, 2, "{twice:?}");
    let query = ["query", "SELECT Name FROM Account", "--format", "jsonl"];
    let said = place.run(&[&query[..], &on].concat());
    assert_eq!(said.stdout.lines().count(), 1, "{said:?}");
}

#[test]
fn what_cannot_be_cloned_is_refused_before_anything_is_written() {
    let place = Place::new();
    let server = original(&place);
    for (objects, says) in [("Nonsense__c", "no object `Nonsense__c`"), ("User", "keeps its own")] {
        let said = clone(&place, &server, &["--objects", objects]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.stderr.contains(says), "{said:?}");
    }
    let said = place.run(&["local-org", "clone", "--from", "local", "--objects", "Account"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(!place.path().join("rehearsal").exists());
}
