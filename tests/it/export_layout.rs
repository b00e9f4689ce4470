//! Exports spread over folders and over query jobs: every record is in the
//! archive once all the same, whatever happens on the way.

use std::collections::BTreeMap;

use serde_json::json;

use crate::export::{RECORDS, Stage, killed_at_any_moment, manifest, value};
use crate::support::{Place, Server};

#[test]
fn records_lie_in_the_folders_of_their_values() {
    let stage = Stage::new(RECORDS, &[]);
    let said = stage.export(&["--object", "Account", "--partition-by", "industry", "--verify"]);
    assert_eq!(said.code, 0, "{said:?}");
    stage.every_record_once(RECORDS);
    let manifest = manifest(&stage.archive());
    assert_eq!(manifest["partition_by"], "industry");
    let rows: BTreeMap<String, u64> = manifest["objects"][0]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            let path = file["path"].as_str().unwrap();
            (path.split('/').nth(1).unwrap().to_owned(), file["rows"].as_u64().unwrap())
        })
        .collect();
    let third = RECORDS / 3;
    let expected = [
        ("by_Industry=Banking", third),
        ("by_Industry=Energy", third + 1),
        ("by_Industry=__HIVE_DEFAULT_PARTITION__", third),
    ];
    assert_eq!(rows, expected.map(|(name, rows)| (name.to_owned(), rows)).into());

    // The column is in the files, too.
    assert_eq!(
        stage.texts("Industry").iter().filter(|text| *text == "Energy").count() as u64,
        third + 1
    );
    let said = stage.export(&["--object", "Account", "--overwrite"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!stage.archive().join("Account/by_Industry=Energy").exists(), "the old one went");

    for (partition, why) in [
        ("Nope", "is exported without Nope"),
        ("Industry:month", "Account.Industry is no date"),
        ("CreatedDate:week", "FIELD:month"),
    ] {
        let said =
            stage.export(&["--object", "Account", "--partition-by", partition, "--overwrite"]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.stdout.contains(why) || said.stderr.contains(why), "{said:?}");
    }
}

#[test]
fn a_date_makes_folders_by_its_parts_in_text_formats_too() {
    let stage = Stage::new(90, &[]);
    let wanted = ["--object", "Account", "--format", "csv", "--partition-by", "CreatedDate:month"];
    let said = stage.export(&wanted);
    assert_eq!(said.code, 0, "{said:?}");
    let manifest = manifest(&stage.archive());
    let file = manifest["objects"][0]["files"][0]["path"].as_str().unwrap();
    assert!(file.starts_with("Account/CreatedDate_month=20"), "{file}");
    let said = stage.place.run(&["verify", "archive"]);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn a_partitioned_export_killed_at_any_moment_goes_on_to_its_end() {
    killed_at_any_moment(&["--partition-by", "Industry"]);
}

#[test]
fn an_object_is_split_into_parts_of_about_one_size() {
    let stage = Stage::new(RECORDS, &[]);
    let said = stage.export(&["--object", "Account", "--split", "4", "--verify"]);
    assert_eq!(said.code, 0, "{said:?}");
    stage.every_record_once(RECORDS);
    let manifest = manifest(&stage.archive());
    let object = &manifest["objects"][0];
    assert_eq!(object["jobs"].as_array().unwrap().len(), 4);
    let mut parts: BTreeMap<String, u64> = BTreeMap::new();
    for file in object["files"].as_array().unwrap() {
        let stem = file["path"].as_str().unwrap().rsplit_once('-').unwrap().0.to_owned();
        *parts.entry(stem).or_default() += file["rows"].as_u64().unwrap();
    }
    assert_eq!(parts.len(), 4, "{parts:?}");
    assert!(parts.values().all(|rows| (RECORDS / 8..RECORDS / 2).contains(rows)), "{parts:?}");
    assert_eq!(object["rows_by_jobs"], json!(RECORDS));

    // A condition holds in every part, and what is small stays whole.
    let filter = ["--where", "Industry = 'Energy' OR Industry = 'Banking'", "--overwrite"];
    let said = stage.export(&[&["--object", "Account", "--split", "3"], &filter[..]].concat());
    assert_eq!(value(&said)["rows_exported"], RECORDS / 3 * 2 + 1, "{said:?}");
    let said = stage.export(&["--object", "Account", "--split", "auto", "--overwrite"]);
    assert_eq!(value(&said)["objects"][0]["jobs"].as_array().unwrap().len(), 1, "{said:?}");
}

#[test]
fn a_split_export_killed_at_any_moment_goes_on_to_its_end() {
    killed_at_any_moment(&["--split", "3"]);
}

#[test]
fn what_the_user_can_not_see_is_named() {
    let place = Place::new();
    let dir = place.path().join("org");
    std::fs::create_dir_all(dir.join("objects")).unwrap();
    let secret = json!({"name": "Badge__c", "keyPrefix": "a0B", "noAccess": ["Pin__c"],
        "fields": [{"name": "Name", "nameField": true}, {"name": "Pin__c"}, {"name": "Room__c"}]});
    std::fs::write(dir.join("objects/Badge__c.json"), secret.to_string()).unwrap();
    let server = Server::start(&["--dir", dir.to_str().unwrap(), "--port", "0"]);
    let export = |more: &[&str]| {
        let fixed = ["export", "--object", "Badge__c", "--out", "archive", "--overwrite"];
        let said = place.run_on(&server, &[&fixed[..], more].concat());
        assert_eq!(said.code, 0, "{said:?}");
        (said, manifest(&place.path().join("archive")))
    };
    let (said, told) = export(&[]);
    assert_eq!(told["objects"][0]["hidden_fields"], json!(["Pin__c"]), "{told}");
    let sees = json!({"view_all_data": true, "query_all_files": true});
    assert_eq!(told["runs"][0]["user_sees"], sees);
    assert!(!said.stderr.contains("lacks"), "{said:?}");
    let refused = ["export", "--object", "Badge__c", "--fields", "Id,Pin__c", "--out", "other"];
    let said = place.run_on(&server, &refused);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("no field Pin__c, or this user may not see it"), "{said:?}");

    let sets = place.run_on(&server, &["query", "SELECT Id FROM PermissionSet", "--json"]);
    let id = value(&sets)["records"][0]["Id"].as_str().unwrap().to_owned();
    let source = place.file("set.csv", format!("Id,PermissionsViewAllData\n{id},false\n"));
    let load = ["load", source.to_str().unwrap(), "--object", "PermissionSet"];
    let said = place.run_on(&server, &[&load[..], &["--operation", "update"]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let (said, told) = export(&[]);
    assert_eq!(told["runs"][0]["user_sees"]["view_all_data"], false);
    assert!(said.stderr.contains("this user lacks View All Data"), "{said:?}");
}
