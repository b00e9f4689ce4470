//! Lookups of a mapping in the org: asked once before the start, kept with the
//! run, and told apart from what can't be asked.

use serde_json::Value;

use crate::support::{Place, Server, Watched, json};

/// An upsert of accounts with a mapping.
fn load<'a>(source: &'a str, mapping: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["--object", "Account", "--operation", "upsert", "--external-id", "Legacy_Id__c"];
    let mapping = ["--mapping", mapping, "--json", "--progress", "none"];
    [&["load", source][..], &fixed, &mapping, more].concat()
}

/// Accounts to be found.
const PARENTS: &str = "Legacy_Id__c,Name,AccountNumber,Site,BillingCountry\n\
                       P1,Alpha,A-1,North,DE\nP2,Beta,B-2,South,DE\nP3,Twin,T-3,South,AT\n\
                       P4,Twin,T-3,North,AT\nP5,Hidden,H-5,,\n";

fn parents(place: &Place) {
    let file = place.file("parents.csv", PARENTS);
    let said = place.run(&[
        "load",
        file.to_str().unwrap(),
        "--object",
        "Account",
        "--operation",
        "insert",
        "--progress",
        "none",
    ]);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn records_are_found_by_one_key_by_several_and_in_the_short_form() {
    let place = Place::new();
    parents(&place);
    let source = place.file(
        "a.csv",
        "Nr,Firma,Konzern,Land,Ort,Betreuer,Art\n\
         1,One,a-1 ,DE,South,ADMIN,customer\n\
         2,Two,T-3,AT,South,nobody,Partner\n\
         3,Three,H-5,AT,North,ADMIN,Unheard\n\
         4,Four,,,,,\n",
    );
    let mapping = place.file(
        "a.toml",
        r#"
[fields]
Legacy_Id__c = "Nr"
Name = "Firma"
ParentId = { column = "Konzern", lookup = "parents", missing = "null", ambiguous = "null" }
Site = { columns = ["Land", "Ort"], lookup = "sites" }
OwnerId = { column = "Betreuer", lookup = "User by Alias", missing = "null" }
RecordTypeId = { column = "Art", lookup = "RecordType by DeveloperName", missing = "null" }
[lookups.parents]
object = "account"
by = "accountnumber"
where = "Name != 'Hidden'"
[lookups.sites]
object = "Account"
by = ["BillingCountry", "Site"]
value = "Name"
[lookups.idle]
object = "Nothing"
by = "Nothing"
"#,
    );
    let said = place.run(&load(source.to_str().unwrap(), mapping.to_str().unwrap(), &[]));
    assert_eq!(said.code, 0, "{said:?}");
    for told in [
        "a.toml:9: lookups.parents: 3 keys from 4 records of Account, looked up in the org once \
         (1 API call)",
        "a.toml:7: User by Alias: 1 key from 1 record of User",
        "no field of a.toml uses lookups.idle",
    ] {
        assert!(said.stderr.contains(told), "{told}: {said:?}");
    }
    let records = place.query(
        "SELECT Name, Parent.Legacy_Id__c, Site, Owner.Alias, RecordType.DeveloperName FROM \
         Account WHERE Legacy_Id__c IN ('1', '2', '3', '4') ORDER BY Legacy_Id__c",
    );
    let values: Vec<_> = records
        .iter()
        .map(|record| {
            let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
            [
                text(&record["Parent"]["Legacy_Id__c"]),
                text(&record["Site"]),
                text(&record["RecordType"]["DeveloperName"]),
            ]
        })
        .collect();
    assert_eq!(
        values,
        // A row that names no record type gets the default one.
        [
            ["P1", "Beta", "Customer"],
            ["-", "Twin", "Partner"],
            ["-", "Twin", "Customer"],
            ["-", "-", "Customer"]
        ]
        .map(|row| row.map(str::to_owned))
    );
    // What was found is private, like the ledger.
    let kept = place.run_folder().join("lookup-1.csv");
    let text = std::fs::read_to_string(&kept).unwrap();
    assert!(text.starts_with("AccountNumber,Id,bulkhaul__Several\na-1,001"), "{text}");
    assert!(text.ends_with("t-3,,true\n"), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn what_can_not_be_asked_is_told_with_the_rest_that_is_wrong() {
    let place = Place::new();
    let source = place.file("a.csv", "Nr,Firma\n1,Alpha\n");
    let source = source.to_str().unwrap();
    let mapping = place.file(
        "a.toml",
        r#"
[fields]
Legacy_Id__c = "Nummer"
Name = "Firma"
OwnerId = { column = "Nr", lookup = "Usr by Emial" }
ParentId = { column = "Nr", lookup = "parents" }
Site = { column = "Nr", lookup = "rich" }
[lookups.parents]
object = "Account"
by = ["AcountNumber"]
value = "Idd"
[lookups.rich]
object = "Account"
by = "AnnualRevenue"
"#,
    );
    let mapping = mapping.to_str().unwrap();
    let said = place.run(&load(source, mapping, &[]));
    assert_eq!(said.code, 2, "{said:?}");
    assert_eq!(json(&said)["error"]["code"], "preflight", "{said:?}");
    for told in [
        "a.toml:3: fields.Legacy_Id__c: the source has no column `Nummer`",
        "a.toml:5: Usr by Emial: the org has no object `Usr` that this user may see",
        "did you mean `User`?",
        "a.toml:8: lookups.parents: Account has no field `AcountNumber` that this user may see",
        "did you mean `AccountNumber`?",
        "a.toml:8: lookups.parents: Account has no field `Idd` that this user may see",
        "a.toml:12: lookups.rich: records can't be found by Account.AnnualRevenue: its values are",
    ] {
        assert!(said.stderr.contains(told), "{told}: {said:?}");
    }
    assert!(!place.path().join("bulkhaul-runs").exists(), "no run folder is left");

    // What only the org can tell.
    place.file(
        "a.toml",
        "[fields]\nLegacy_Id__c = \"Nr\"\nName = \"Firma\"\n\
         Site = { column = \"Nr\", lookup = \"x\" }\n\
         [lookups.x]\nobject = \"Account\"\nby = \"Name\"\nwhere = \"Nmae = 'SECRET'\"\n",
    );
    let said = place.run(&load(source, mapping, &[]));
    assert_eq!(said.code, 2, "{said:?}");
    let told = "a.toml:5: lookups.x: the org refuses `SELECT Name, Id FROM Account WHERE (Nmae = \
                'SECRET')`: ";
    assert!(said.stderr.contains(told), "{said:?}");
}

/// Rows of the source of a run that is killed.
const ROWS: u64 = 3_000;

#[test]
fn a_run_goes_on_with_what_was_found_and_a_retry_asks_anew() {
    let server = Server::in_memory(&["--speed", "2000"]);
    let place = Place::new();
    let parents = place.file("parents.csv", "Legacy_Id__c,Name\nP1,Alpha\n");
    let insert = ["--object", "Account", "--operation", "insert", "--progress", "none"];
    let one = [&["load", parents.to_str().unwrap()][..], &insert].concat();
    assert_eq!(place.run_on(&server, &one).code, 0);

    let mut text = String::from("Nr,Name,Parent\n");
    for row in 1..=ROWS {
        text += &format!("{row},Person {row},{}\n", if row == ROWS { "Later" } else { "Alpha" });
    }
    let source = place.file("people.csv", text);
    let mapping = place.file(
        "people.toml",
        "[fields]\nLegacy_Id__c = \"Nr\"\nName = \"Name\"\n\
         ParentId = { column = \"Parent\", lookup = \"Account by Name\" }\n",
    );
    let args: Vec<&str> = load(source.to_str().unwrap(), mapping.to_str().unwrap(), &[])
        .into_iter()
        .map(|arg| if arg == "none" { "json" } else { arg })
        .chain(["--chunk-rows", "100", "--parallel", "2"])
        .collect();
    let mut running = Watched::start(place.command_on(&server, &args));
    running.wait_for("uploaded");
    running.kill();
    let run = place.run_folder();

    // The record that is missing comes too late for this run.
    let later = place.file("later.csv", "Legacy_Id__c,Name\nP2,Later\n");
    let other = [&["load", later.to_str().unwrap(), "--runs-dir", "other"][..], &insert].concat();
    assert_eq!(place.run_on(&server, &other).code, 0);

    let kept = run.join("lookup-1.csv");
    let found = std::fs::read_to_string(&kept).unwrap();
    let resume = ["resume", "--json", "--progress", "none"];
    std::fs::write(&kept, found.replace("alpha", "alfa")).unwrap();
    let said = place.run_on(&server, &resume);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("lookup-1.csv was changed since the run began"), "{said:?}");
    std::fs::write(&kept, found).unwrap();

    let said = place.run_on(&server, &resume);
    assert_eq!(said.code, 3, "{said:?}");
    let rows = &json(&said)["rows"];
    assert_eq!([&rows["created"], &rows["rejected"]], [ROWS - 1, 1], "{said:?}");
    let said = place.run_on(&server, &["retry", "latest", "--with", "rejected.csv", "--json"]);
    assert_eq!(said.code, 2, "there is no such file here: {said:?}");
    let file = run.join("rejected.csv");
    let said =
        place.run_on(&server, &["retry", "latest", "--with", file.to_str().unwrap(), "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(json(&said)["rows"]["created"], 1, "{said:?}");
}

/// Accounts with a number each.
fn numbered(place: &Place, server: Option<&Server>, count: u64) {
    let mut text = String::from("Name,AccountNumber\n");
    for row in 1..=count {
        text += &format!("A{row},N-{row}\n");
    }
    let file = place.file("numbered.csv", text);
    let insert = ["--object", "Account", "--operation", "insert", "--progress", "none"];
    let insert = [&["load", file.to_str().unwrap()][..], &insert].concat();
    let said = match server {
        Some(server) => place.run_on(server, &insert),
        None => place.run(&insert),
    };
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn all_pages_of_a_lookup_are_taken_if_the_calls_of_the_day_suffice() {
    let place = Place::new();
    place.org_settings(&serde_json::json!({ "daily-api-requests": 1_000 }));
    numbered(&place, None, 4_100);
    let source = place.file("a.csv", "Nr,Name,Parent\n1,One,n-1\n2,Two,N-4100\n3,Three,N-2001\n");
    let mapping = place.file(
        "a.toml",
        "[fields]\nLegacy_Id__c = \"Nr\"\nName = \"Name\"\n\
         ParentId = { column = \"Parent\", lookup = \"Account by AccountNumber\" }\n",
    );
    let load = |more: &[&str]| {
        let args = load(source.to_str().unwrap(), mapping.to_str().unwrap(), more);
        place.run(&args)
    };
    let runs = || std::fs::read_dir(place.path().join("bulkhaul-runs")).unwrap().count();
    let before = runs();
    let refused = load(&["--reserve", "99%"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert_eq!(json(&refused)["error"]["code"], "allowance", "{refused:?}");
    assert!(refused.stderr.contains("2 API calls"), "{refused:?}");
    assert_eq!(runs(), before, "no run folder is left");

    let said = load(&[]);
    assert_eq!(said.code, 0, "{said:?}");
    let told = "4,100 keys from 4,100 records of Account, looked up in the org once (3 API calls)";
    assert!(said.stderr.contains(told), "{said:?}");
    let soql = "SELECT Name, Parent.Name FROM Account WHERE Legacy_Id__c != null ORDER BY Name";
    let found = place.run(&["query", soql, "--format", "csv"]);
    assert_eq!(found.stdout, "Name,Parent.Name\nOne,A1\nThree,A2001\nTwo,A4100\n");
}

#[test]
fn a_lookup_of_more_records_than_it_may_have_is_refused() {
    let server = Server::in_memory(&[]);
    let place = Place::new();
    numbered(&place, Some(&server), 500_001);
    let source = place.file("a.csv", "Nr,Parent\n1,N-1\n");
    let mapping = place.file(
        "a.toml",
        "[fields]\nName = \"Nr\"\nLegacy_Id__c = \"Nr\"\n\
         ParentId = { column = \"Parent\", lookup = \"Account by AccountNumber\" }\n",
    );
    let args = load(source.to_str().unwrap(), mapping.to_str().unwrap(), &[]);
    let said = place.run_on(&server, &args);
    assert_eq!(said.code, 2, "{said:?}");
    let told = "a.toml:4: Account by AccountNumber: `SELECT AccountNumber, Id FROM Account` finds \
                500001 records, more than 500000";
    assert!(said.stderr.contains(told), "{said:?}");
    assert!(said.stderr.contains("narrow it with `where`"), "{said:?}");
}

#[test]
fn ids_are_found_by_15_characters_and_by_18() {
    let place = Place::new();
    parents(&place);
    let ids =
        place.query("SELECT Id FROM Account WHERE Legacy_Id__c IN ('P1', 'P2') ORDER BY Name");
    let id = |at: usize| ids[at]["Id"].as_str().unwrap().to_owned();
    let (alpha, beta) = (id(0), id(1));
    let source = place.file("a.csv", format!("Nr,Of\n1,{}\n2,{beta}\n", &alpha[..15]));
    let mapping = place.file(
        "a.toml",
        "[fields]\nLegacy_Id__c = \"Nr\"\nName = { column = \"Of\", lookup = \"names\" }\n\
         [lookups.names]\nobject = \"Account\"\nby = \"Id\"\nvalue = \"Name\"\n",
    );
    let said = place.run(&load(source.to_str().unwrap(), mapping.to_str().unwrap(), &[]));
    assert_eq!(said.code, 0, "{said:?}");
    let found = place.query("SELECT Name FROM Account WHERE Legacy_Id__c IN ('1', '2')");
    let mut names: Vec<_> = found.iter().map(|record| record["Name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Alpha", "Beta"]);
}

#[test]
fn users_that_are_not_active_are_left_out_unless_they_are_asked_for() {
    let place = Place::new();
    let users = place.file(
        "users.csv",
        "Username,LastName,Email,Alias,TimeZoneSidKey,LocaleSidKey,EmailEncodingKey,\
         LanguageLocaleKey,ProfileId,IsActive\n\
         gone@example.com,Gone,gone@example.com,gone,Europe/Berlin,de_DE,UTF-8,de,PROFILE,false\n",
    );
    let profile = place.query("SELECT Id FROM Profile LIMIT 1")[0]["Id"].clone();
    let text = std::fs::read_to_string(&users).unwrap();
    std::fs::write(&users, text.replace("PROFILE", profile.as_str().unwrap())).unwrap();
    let insert = ["--object", "User", "--operation", "insert", "--progress", "none"];
    let said = place.run(&[&["load", users.to_str().unwrap()][..], &insert].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let source = place.file("a.csv", "Nr,Who\n1,gone@example.com\n");
    let name = |lookup: &str, more: &str| {
        place.file(
            "a.toml",
            format!(
                "[fields]\nLegacy_Id__c = \"Nr\"\nName = {{ column = \"Who\", lookup = \
                 \"{lookup}\", missing = {{ value = \"nobody\" }} }}\n{more}"
            ),
        )
    };
    let load = |mapping: std::path::PathBuf| {
        let args = load(source.to_str().unwrap(), mapping.to_str().unwrap(), &["--again"]);
        let said = place.run(&args);
        assert_eq!(said.code, 0, "{said:?}");
        place.query("SELECT Name FROM Account WHERE Legacy_Id__c = '1'")[0]["Name"].clone()
    };
    assert_eq!(load(name("User by Email", "")), "nobody");
    let all = "[lookups.all]\nobject = \"User\"\nby = \"Email\"\nvalue = \"LastName\"\nwhere = \
               \"Email != null\"\n";
    assert_eq!(load(name("all", all)), "Gone");
}
