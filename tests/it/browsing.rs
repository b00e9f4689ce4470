//! `query`, `describe` and `limits` through the binary: looking at what is in
//! an org.

use insta::assert_snapshot;

use crate::support::{Place, Said, read_csv};

/// A place whose org holds three accounts, one of them with everything that
/// makes trouble when it is shown.
fn with_accounts() -> Place {
    let place = Place::new();
    let source = place.file(
        "few.csv",
        "Legacy_Id__c,Name,AnnualRevenue,Active__c,BillingStreet\n\
         K1,Alpha,1250000.5,true,\"1 First Street\"\n\
         K2,\"Beta, \"\"Söhne\"\" & Co\",12000000000,false,\"Building 2\n2 Second Street\"\n\
         K3,Gamma,,true,\n",
    );
    let mut args = vec!["load", source.to_str().unwrap(), "--object", "Account", "-q"];
    args.extend(["--operation", "upsert", "--external-id", "Legacy_Id__c"]);
    assert_eq!(place.run(&args).code, 0);
    place
}

const SOQL: &str = "SELECT Legacy_Id__c, Name, AnnualRevenue, Active__c, BillingStreet, \
                    Parent.Name, Owner.Name FROM Account ORDER BY Legacy_Id__c";

fn shown(said: Said) -> String {
    assert_eq!(said.code, 0, "{}", said.stderr);
    said.stdout
}

#[test]
fn records_as_a_table() {
    let place = with_accounts();
    assert_snapshot!(shown(place.run(&["query", SOQL])), @r#"
    Legacy_Id__c   Name                 AnnualRevenue   Active__c   BillingStreet     Parent.Name   Owner.Name
    ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    K1             Alpha                    1250000.5   true        1 First Street                  System Administrator
    K2             Beta, "Söhne" & Co     12000000000   false       Building 2                      System Administrator
                                                                    2 Second Street
    K3             Gamma                                true                                        System Administrator
    3 records
    "#);
    let few = place.run(&["query", "SELECT Name FROM Account ORDER BY Name", "--limit", "2"]);
    assert_snapshot!(shown(few), @r#"
    Name
    ───────────────────
    Alpha
    Beta, "Söhne" & Co
    2 of 3 records
    "#);
    let none = place.run(&["query", "SELECT Name, Phone FROM Account WHERE Name = 'Zeta'"]);
    assert_snapshot!(shown(none), @"0 records");
    assert_snapshot!(shown(place.run(&["query", "SELECT COUNT() FROM Account"])), @"
    count
    ──────
        3
    1 record
    ");
}

#[test]
fn records_as_csv_json_and_lines() {
    let place = with_accounts();
    let as_format = |format: &str| shown(place.run(&["query", SOQL, "--format", format]));
    assert_snapshot!(as_format("csv"), @r#"
    Legacy_Id__c,Name,AnnualRevenue,Active__c,BillingStreet,Parent.Name,Owner.Name
    K1,Alpha,1250000.5,true,1 First Street,,System Administrator
    K2,"Beta, ""Söhne"" & Co",12000000000,false,"Building 2
    2 Second Street",,System Administrator
    K3,Gamma,,true,,,System Administrator
    "#);
    assert_snapshot!(as_format("jsonl"), @r#"
    {"Legacy_Id__c":"K1","Name":"Alpha","AnnualRevenue":1250000.5,"Active__c":true,"BillingStreet":"1 First Street","Parent":null,"Owner":{"Name":"System Administrator"}}
    {"Legacy_Id__c":"K2","Name":"Beta, \"Söhne\" & Co","AnnualRevenue":12000000000,"Active__c":false,"BillingStreet":"Building 2\n2 Second Street","Parent":null,"Owner":{"Name":"System Administrator"}}
    {"Legacy_Id__c":"K3","Name":"Gamma","AnnualRevenue":null,"Active__c":true,"BillingStreet":null,"Parent":null,"Owner":{"Name":"System Administrator"}}
    "#);
    let array: Vec<serde_json::Value> = serde_json::from_str(&as_format("json")).unwrap();
    let lines: Vec<serde_json::Value> =
        as_format("jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((array.len(), &array), (3, &lines));
}

#[test]
fn records_go_to_a_file_that_only_its_owner_reads() {
    let place = with_accounts();
    let said = place.run(&["query", SOQL, "--out", "accounts.csv"]);
    assert_snapshot!(shown(said), @"3 records written to accounts.csv");
    let path = place.path().join("accounts.csv");
    let rows = read_csv(&path);
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[1]["Name"], "Beta, \"Söhne\" & Co");
    assert_eq!(rows[1]["BillingStreet"], "Building 2\n2 Second Street");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let said = place.run(&["query", "SELECT Nmae FROM Account", "--out", "other.csv"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(!place.path().join("other.csv").exists(), "a refused query makes no file");
}

#[test]
fn a_query_that_the_org_refuses_says_where_it_is_wrong() {
    let place = Place::new();
    let said = place.run(&["query", "SELECT Id, Nmae FROM Account"]);
    assert_eq!(said.code, 2);
    assert_snapshot!(said.stderr, @"
    error: could not run the query: the org answered 400 INVALID_FIELD, SELECT Id, Nmae FROM Account            ^ ERROR at Row:1:Column:12 No such column 'Nmae' on entity 'Account'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names. (GET /services/data/v66.0/query/)
    hint: `bulkhaul describe OBJECT` lists the fields this user may see, in exact spelling.
    ");
    assert_eq!(said.stdout, "");
}

#[test]
fn the_fields_of_an_object() {
    let place = Place::new();
    let said = place.run(&["describe", "Account", "--fields", "external-ids"]);
    assert_snapshot!(shown(said), @"
    Account (Account, 001): 4 of 69 fields; allowed: insert, update, delete, query
    Field            Type           Required   Key                                   Insert   Update   References
    ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
    Id               id                        lookup
    Legacy_Id__c     string(64)                external id, unique                   yes      yes
    External_No__c   double(18,0)              external id, unique                   yes      yes
    Case_Key__c      string(64)                external id, unique, case sensitive   yes      yes
    ");
    let said = place.run(&["describe", "CampaignMember", "--fields", "required"]);
    assert_snapshot!(shown(said), @"
    CampaignMember (Campaign Member, 00v): 1 of 13 fields; allowed: insert, update, delete, query
    Field        Type        Required   Key   Insert   Update   References
    ─────────────────────────────────────────────────────────────────────────────────
    CampaignId   reference   yes              yes               Campaign as Campaign
    ");
    let object: serde_json::Value =
        serde_json::from_str(&shown(place.run(&["describe", "Account", "--json"]))).unwrap();
    assert_eq!(object["name"], "Account");
    let fields = object["fields"].as_array().unwrap();
    assert!(fields.iter().any(|field| field["name"] == "Legacy_Id__c"), "{fields:?}");
}

#[test]
fn an_object_that_is_not_there_is_told_with_its_nearest() {
    let place = Place::new();
    let said = place.run(&["describe", "Acount"]);
    assert_eq!(said.code, 2);
    assert_snapshot!(said.stderr, @"
    error: there is no object `Acount` that this user may see
    hint: Did you mean Account?
    ");
}

#[test]
fn what_the_org_still_grants() {
    let place = with_accounts();
    insta::with_settings!({filters => vec![
        // Calls of this test and of the load before it.
        (r"99,\d{3}", "[left]"),
    ]}, {
        assert_snapshot!(shown(place.run(&["limits"])), @"
        Limit                               Max   Remaining    Used   Counts
        ────────────────────────────────────────────────────────────────────────────────────────────────
        DailyBulkApiBatches              15,000      14,999   0.0 %   ingest batches (10,000 rows each)
        DailyApiRequests                100,000      [left]   0.0 %   API calls
        DataStorageMB                   102,400     102,400   0.0 %   MB of records
        DailyBulkV2QueryJobs             10,000      10,000   0.0 %   export jobs
        DailyBulkV2QueryFileStorageMB   976,562     976,562   0.0 %   MB of export results
        DailyAsyncApexExecutions        250,000     250,000   0.0 %   asynchronous Apex runs
        FileStorageMB                     1,024       1,024   0.0 %   MB of files
        13 more with --all
        ");
    });
    let told: serde_json::Value =
        serde_json::from_str(&shown(place.run(&["limits", "--json"]))).unwrap();
    assert_eq!(told["command"], "limits");
    assert!(told["limits"]["DailyBulkApiBatches"]["max"] == 15_000, "{told}");
}
