//! Versions, describe, limits, single records, and the rules of all replies.

use std::time::Duration;

use serde_json::json;

use super::super::settings::Settings;
use super::Rig;

const BASE: &str = "/services/data/v66.0";

#[tokio::test]
async fn versions_need_no_token_and_old_ones_are_gone() {
    let mut rig = Rig::new().await;
    let retired = rig.client.get("/services/data/v29.0/limits").await;
    assert_eq!(retired.status, 410);
    assert_eq!(rig.client.get("/services/data/v99.0/limits").await.refusal().0, 404);
    rig.client.token = None;
    let versions = rig.client.get("/services/data/").await.json();
    let newest = versions.as_array().unwrap().last().unwrap().clone();
    assert_eq!(newest, json!({"label":"Spring '26","url":"/services/data/v66.0","version":"66.0"}));
}

#[tokio::test]
async fn paths_go_in_any_case_and_with_a_slash() {
    let rig = Rig::new().await;
    for path in ["/limits/", "/Limits", "/sobjects/account/DESCRIBE/", "/limits/RecordCount", "/"] {
        assert_eq!(rig.client.get(&format!("{BASE}{path}")).await.status, 200, "{path}");
    }
    let missing = (404, "NOT_FOUND".to_owned());
    assert_eq!(rig.client.get(&format!("{BASE}/nonsense")).await.refusal(), missing);
    assert_eq!(rig.client.get("/nonsense").await.refusal(), missing);
    assert_eq!(
        rig.client.get(&format!("{BASE}/sobjects/Nonsense/describe")).await.refusal(),
        missing
    );
    let reply = rig.client.send("DELETE", &format!("{BASE}/limits"), &[], "").await;
    assert_eq!(reply.refusal(), (405, "METHOD_NOT_ALLOWED".to_owned()));
    let long = rig.client.get(&format!("{BASE}/{}", "x".repeat(17_000))).await;
    assert_eq!(long.status, 414);
}

#[tokio::test]
async fn every_call_counts_until_the_allowance_is_used_up() {
    let settings = Settings { daily_api_requests: 3, ..Settings::default() };
    let mut rig = Rig::with(Settings { token_lifetime_seconds: 1_000_000, ..settings }).await;
    let path = format!("{BASE}/sobjects");
    for used in 1..=3 {
        let reply = rig.client.get(&path).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("sforce-limit-info"), Some(format!("api-usage={used}/3").as_str()));
    }
    let refused = rig.client.get(&path).await;
    assert_eq!(refused.refusal(), (403, "REQUEST_LIMIT_EXCEEDED".to_owned()));
    assert_eq!(refused.json()[0]["message"], "TotalRequests Limit exceeded.");
    rig.org.clock().advance(Duration::from_mins(24 * 60 + 10));
    assert_eq!(rig.client.get(&path).await.status, 200);
    rig.client.token = None;
}

#[tokio::test]
async fn limits_tell_what_is_left() {
    let rig = Rig::new().await;
    rig.client.get(&format!("{BASE}/sobjects")).await;
    let limits = rig.client.get(&format!("{BASE}/limits")).await.json();
    assert_eq!(limits["DailyApiRequests"], json!({"Max": 100_000, "Remaining": 99_998}));
    assert_eq!(limits["DailyBulkApiBatches"]["Max"], 15_000);
    for key in [
        "DailyBulkV2QueryJobs",
        "DailyBulkV2QueryFileStorageMB",
        "DataStorageMB",
        "FileStorageMB",
        "DailyAsyncApexExecutions",
    ] {
        assert!(limits[key]["Remaining"].is_u64(), "{key}");
    }
}

#[tokio::test]
async fn record_counts_leave_unknown_names_out() {
    let rig = Rig::new().await;
    rig.put("Account", &[("Name", "A")]);
    rig.put("Account", &[("Name", "B")]);
    let path = format!("{BASE}/limits/recordCount?sObjects=Account,Nonsense,User");
    let counts = rig.client.get(&path).await.json();
    assert_eq!(
        counts,
        json!({"sObjects":[{"count":2,"name":"Account"},{"count":1,"name":"User"}]})
    );
    let all = rig.client.get(&format!("{BASE}/limits/recordCount")).await.json();
    assert!(all["sObjects"].as_array().unwrap().len() > 10);
}

#[tokio::test]
async fn describe_tells_whether_it_changed() {
    let rig = Rig::new().await;
    let path = format!("{BASE}/sobjects/Account/describe");
    let first = rig.client.get(&path).await;
    assert_eq!(first.json()["keyPrefix"], "001");
    let changed = first.header("last-modified").unwrap().to_owned();
    let since = [("if-modified-since", changed.as_str())];
    let second = rig.client.send("GET", &path, &since, "").await;
    assert_eq!((second.status, second.body.len()), (304, 0));
    let old = [("if-modified-since", "Thu, 01 Jan 2015 00:00:00 GMT")];
    assert_eq!(rig.client.send("GET", &path, &old, "").await.status, 200);
    let list = rig.client.get(&format!("{BASE}/sobjects")).await.json();
    assert_eq!(list["maxBatchSize"], 200);
    let names: Vec<&str> =
        list["sobjects"].as_array().unwrap().iter().map(|o| o["name"].as_str().unwrap()).collect();
    for name in [
        "Account",
        "Contact",
        "Lead",
        "Opportunity",
        "Case",
        "Task",
        "User",
        "RecordType",
        "Campaign",
        "CampaignMember",
    ] {
        assert!(names.contains(&name), "{name}");
    }
}

#[tokio::test]
async fn replies_are_compressed_when_asked_for() {
    let rig = Rig::new().await;
    let path = format!("{BASE}/sobjects/Account/describe");
    let plain = rig.client.get(&path).await;
    assert_eq!(plain.header("content-encoding"), None);
    let gzip = rig.client.send("GET", &path, &[("accept-encoding", "gzip")], "").await;
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    assert_eq!(gzip.json(), plain.json());
}

#[tokio::test]
async fn single_records_by_id_and_by_key() {
    let rig = Rig::new().await;
    let id =
        rig.put("Account", &[("Name", "Acme"), ("Legacy_Id__c", "Batches/1"), ("Score__c", "1.5")]);
    let record = rig
        .client
        .get(&format!("{BASE}/sobjects/account/{}?fields=Name,Score__c", &id[..15]))
        .await
        .json();
    assert_eq!(record["attributes"]["url"], format!("{BASE}/sobjects/Account/{id}"));
    assert_eq!((&record["Name"], &record["Score__c"]), (&json!("Acme"), &json!(1.5)));
    assert!(record.get("Id").is_none());
    let by_key =
        rig.client.get(&format!("{BASE}/sobjects/Account/Legacy_Id__c/Batches%2F1")).await.json();
    assert_eq!(by_key["Id"], id.as_str());
    assert_eq!(by_key["Active__c"], false);
    let none = rig.client.get(&format!("{BASE}/sobjects/Account/001Lo0000000099AAA")).await;
    assert_eq!(none.status, 404);
}
