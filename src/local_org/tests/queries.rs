//! Queries over HTTP: paging, counts, deleted records, errors.

use std::time::Duration;

use serde_json::json;

use super::{Rig, query_path};

#[tokio::test]
async fn long_results_come_in_pages() {
    let rig = Rig::new().await;
    for n in 0..450 {
        rig.put("Account", &[("Name", &format!("A{n:03}"))]);
    }
    let soql = "SELECT Id, Name FROM Account ORDER BY Name DESC";
    let options = [("sforce-query-options", "batchSize=200")];
    let mut reply = rig.client.send("GET", &query_path("query", soql), &options, "").await.json();
    let mut names = Vec::new();
    let mut pages = 0;
    loop {
        pages += 1;
        assert_eq!(reply["totalSize"], 450);
        let records = reply["records"].as_array().unwrap();
        names.extend(records.iter().map(|r| r["Name"].as_str().unwrap().to_owned()));
        if reply["done"] == true {
            assert!(reply.get("nextRecordsUrl").is_none());
            break;
        }
        let next = reply["nextRecordsUrl"].as_str().unwrap().to_owned();
        assert!(next.starts_with("/services/data/v66.0/query/01g"));
        // A page can be asked for again.
        assert_eq!(rig.client.get(&next).await.body, rig.client.get(&next).await.body);
        reply = rig.client.get(&next).await.json();
    }
    assert_eq!(pages, 3);
    let expected: Vec<String> = (0..450).rev().map(|n| format!("A{n:03}")).collect();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn cursors_end_after_two_days_and_belong_to_their_user() {
    let settings = super::Settings { token_lifetime_seconds: 1_000_000, ..Default::default() };
    let rig = Rig::with(settings).await;
    for _ in 0..201 {
        rig.put("Account", &[("Name", "A")]);
    }
    let options = [("sforce-query-options", "batchSize=200")];
    let path = query_path("query", "SELECT Id FROM Account");
    let reply = rig.client.send("GET", &path, &options, "").await.json();
    let next = reply["nextRecordsUrl"].as_str().unwrap().to_owned();
    assert_eq!(rig.client.get(&next).await.json()["records"].as_array().unwrap().len(), 1);
    rig.org.clock().advance(Duration::from_hours(48));
    let invalid = (400, "INVALID_QUERY_LOCATOR".to_owned());
    assert_eq!(rig.client.get(&next).await.refusal(), invalid);
    let nonsense = "/services/data/v66.0/query/nonsense";
    assert_eq!(rig.client.get(nonsense).await.refusal(), invalid);
}

#[tokio::test]
async fn records_come_with_their_attributes_and_parents() {
    let rig = Rig::new().await;
    let parent = rig.put("Account", &[("Name", "Top")]);
    let account = rig.put(
        "Account",
        &[
            ("Name", "Low"),
            ("ParentId", &parent),
            ("AnnualRevenue", "10000000"),
            ("BillingCity", "Bern"),
            ("Last_Audit__c", "2026-01-02T03:04:05Z"),
        ],
    );
    let soql = format!(
        "select name, parent.name, Parent.Parent.Name, Owner.Name, AnnualRevenue, \
         BillingAddress, Last_Audit__c, Active__c from account where Id = '{account}'"
    );
    let path = query_path("query", &soql);
    let text = rig.client.get(&path).await.text();
    let expected = format!(
        r#"{{"totalSize":1,"done":true,"records":[{{"attributes":{{"type":"Account","url":"/services/data/v66.0/sobjects/Account/{account}"}},"Name":"Low","Parent":{{"attributes":{{"type":"Account","url":"/services/data/v66.0/sobjects/Account/{parent}"}},"Name":"Top","Parent":null}},"Owner":null,"AnnualRevenue":10000000,"BillingAddress":{{"city":"Bern","country":null,"geocodeAccuracy":null,"latitude":null,"longitude":null,"postalCode":null,"state":null,"street":null}},"Last_Audit__c":"2026-01-02T03:04:05.000+0000","Active__c":false}}]}}"#
    );
    assert_eq!(text, expected);
}

#[tokio::test]
async fn counting_takes_no_records_along() {
    let rig = Rig::new().await;
    for n in 0..5 {
        rig.put("Account", &[("Name", &format!("A{n}"))]);
    }
    let count = async |soql: &str| rig.query(soql).await;
    assert_eq!(
        count("SELECT COUNT() FROM Account").await,
        json!({"totalSize":5,"done":true,"records":[]})
    );
    assert_eq!(count("SELECT COUNT() FROM Account WHERE Name > 'A2'").await["totalSize"], 2);
    assert_eq!(count("SELECT COUNT() FROM Account LIMIT 3").await["totalSize"], 3);
}

#[tokio::test]
async fn deleted_records_are_seen_by_query_all_alone() {
    let rig = Rig::new().await;
    let kept = rig.put("Account", &[("Name", "Kept"), ("Legacy_Id__c", "K")]);
    let gone = rig.put("Account", &[("Name", "Gone"), ("Legacy_Id__c", "G")]);
    rig.delete("Account", &gone);
    let soql = "SELECT Id, IsDeleted FROM Account ORDER BY Name";
    assert_eq!(rig.column(soql, "Id").await, [kept]);
    let all = rig.client.get(&query_path("queryAll", soql)).await.json();
    let records = all["records"].as_array().unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!((&records[0]["Id"], &records[0]["IsDeleted"]), (&json!(gone), &json!(true)));
    let by_key = "SELECT Id FROM Account WHERE Legacy_Id__c = 'G'";
    assert!(rig.column(by_key, "Id").await.is_empty());
    let by_id = format!("SELECT Id FROM Account WHERE Id = '{gone}'");
    assert!(rig.column(&by_id, "Id").await.is_empty());
    let all = rig.client.get(&query_path("queryAll", &by_id)).await.json();
    assert_eq!(all["totalSize"], 1);
    assert_eq!(rig.column(&format!("{by_id} ALL ROWS"), "Id").await, [gone]);
}

#[tokio::test]
async fn refusals_are_worded_as_the_service_does() {
    let rig = Rig::new().await;
    for (soql, code, part) in [
        ("SELECT", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Nope", "INVALID_TYPE", "sObject type 'Nope' is not supported."),
        (
            "SELECT Nope FROM Account",
            "INVALID_FIELD",
            "ERROR at Row:1:Column:8\nNo such column 'Nope' on entity 'Account'. If you are",
        ),
        ("SELECT Nope.Id FROM Account", "INVALID_FIELD", "Didn't understand relationship 'Nope'"),
        ("SELECT Id, id FROM Account", "INVALID_FIELD", "duplicate field selected: id"),
        (
            "SELECT Id FROM Account WHERE NumberOfEmployees = '5'",
            "INVALID_FIELD",
            "value of filter criterion for field 'NumberOfEmployees' must be of type int and should not be enclosed in quotes",
        ),
        (
            "SELECT Id FROM Account WHERE Name = 5",
            "INVALID_FIELD",
            "must be of type string and should be enclosed",
        ),
        ("SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered"),
        (
            "SELECT Id FROM Account WHERE Id = 'x'",
            "INVALID_QUERY_FILTER_OPERATOR",
            "invalid ID field: x",
        ),
        ("SELECT Id FROM Account ORDER BY Segments__c", "INVALID_FIELD", "can not be sorted"),
        ("SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "2000"),
        ("SELECT IsDeleted FROM User", "INVALID_FIELD", "No such column 'IsDeleted'"),
        (
            "SELECT Name, COUNT(Id) FROM Account",
            "MALFORMED_QUERY",
            "must be grouped or aggregated: Name",
        ),
        (
            "SELECT Id FROM Account WHERE Name INCLUDES ('a')",
            "INVALID_QUERY_FILTER_OPERATOR",
            "multipicklist",
        ),
    ] {
        let (got, message) = rig.refused(soql).await;
        assert_eq!(got, code, "{soql}: {message}");
        assert!(message.contains(part), "{soql}: {message}");
    }
    let bare = rig.client.get("/services/data/v66.0/query").await;
    assert_eq!(bare.refusal(), (400, "MALFORMED_QUERY".to_owned()));
}
