//! What the org tells of its setup: triggers, flows, rules, picklists by
//! record type.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::super::org::{LocalOrg, LocalOrgOptions};
use super::super::settings::Settings;
use super::{Client, Rig, query_path};

const BASE: &str = "/services/data/v66.0";

/// An org that tells of automation.
async fn rig() -> Rig {
    let settings: Settings = serde_json::from_value(json!({"automation": {
        "triggers": [
            {"name": "AccountTrigger", "object": "account",
             "events": ["before insert", "after update"]},
            {"name": "OldTrigger", "object": "Account", "active": false, "events": ["after delete"]},
            {"name": "ContactTrigger", "object": "Contact", "events": ["before insert"]},
        ],
        "flows": [{"name": "Account_Sync", "object": "Account", "on": "Create"}],
        "validation_rules": [{"name": "Has_City", "object": "Account", "message": "City?"}],
        "duplicate-rules": [{"name": "Standard_Account", "object": "Account", "active": false}],
        "workflow-rules": [{"name": "Mail", "object": "Account"}],
    }}))
    .unwrap();
    Rig::with(settings).await
}

async fn tooling(rig: &Rig, soql: &str) -> Json {
    let reply = rig.client.get(&query_path("tooling/query", soql)).await;
    assert_eq!(reply.status, 200, "{soql}: {}", reply.text());
    reply.json()
}

fn names(reply: &Json, field: &str) -> Vec<String> {
    let records = reply["records"].as_array().unwrap();
    records.iter().map(|record| record[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_tooling_api_tells_of_triggers_and_rules() {
    let rig = rig().await;
    let reply = tooling(
        &rig,
        "SELECT Name, UsageBeforeInsert, UsageAfterInsert, UsageAfterUpdate FROM ApexTrigger \
         WHERE TableEnumOrId = 'Account' AND Status = 'Active'",
    )
    .await;
    assert_eq!(
        (&reply["size"], &reply["totalSize"], &reply["done"]),
        (&json!(1), &json!(1), &json!(true))
    );
    assert_eq!(reply["entityTypeName"], "ApexTrigger");
    let trigger = &reply["records"][0];
    assert_eq!(trigger["attributes"]["type"], "ApexTrigger");
    assert_eq!(
        [&trigger["UsageBeforeInsert"], &trigger["UsageAfterInsert"], &trigger["UsageAfterUpdate"]],
        [true, false, true]
    );
    let rules = "SELECT ValidationName, EntityDefinition.QualifiedApiName FROM ValidationRule \
                 WHERE EntityDefinition.QualifiedApiName = 'Account' AND Active = true";
    let reply = tooling(&rig, rules).await;
    assert_eq!(names(&reply, "ValidationName"), ["Has_City"]);
    assert_eq!(reply["records"][0]["EntityDefinition"]["QualifiedApiName"], "Account");
    let reply =
        tooling(&rig, "SELECT Name FROM WorkflowRule WHERE TableEnumOrId = 'Account'").await;
    assert_eq!(names(&reply, "Name"), ["Mail"]);
}

#[tokio::test]
async fn plain_queries_tell_of_flows_and_duplicate_rules() {
    let rig = rig().await;
    let flows = rig
        .query(
            "SELECT ApiName, RecordTriggerType FROM FlowDefinitionView WHERE \
             TriggerObjectOrEvent.QualifiedApiName = 'Account' AND IsActive = true",
        )
        .await;
    assert_eq!(names(&flows, "ApiName"), ["Account_Sync"]);
    assert_eq!(flows["records"][0]["RecordTriggerType"], "Create");
    let active =
        "SELECT DeveloperName FROM DuplicateRule WHERE SobjectType = 'Account' AND IsActive = ";
    assert!(names(&rig.query(&format!("{active}true")).await, "DeveloperName").is_empty());
    let inactive = rig.query(&format!("{active}false")).await;
    assert_eq!(names(&inactive, "DeveloperName"), ["Standard_Account"]);
    let (code, _) = rig.refused("SELECT ValidationName FROM ValidationRule").await;
    assert_eq!(code, "INVALID_TYPE");
}

#[tokio::test]
async fn a_fresh_org_has_no_automation_and_wrong_names_are_refused_all_the_same() {
    let rig = Rig::new().await;
    assert_eq!(tooling(&rig, "SELECT Name FROM ApexTrigger").await["size"], 0);
    let refused = |soql: &str| {
        let path = query_path("tooling/query", soql);
        let client = &rig.client;
        async move { client.get(&path).await.refusal() }
    };
    let field = (400, "INVALID_FIELD".to_owned());
    assert_eq!(refused("SELECT Active FROM WorkflowRule").await, field);
    assert_eq!(refused("SELECT Name FROM ApexTrigger WHERE Is = true").await, field);
    assert_eq!(refused("SELECT Id FROM Account").await, (400, "INVALID_TYPE".to_owned()));
}

#[tokio::test]
async fn the_tooling_api_can_be_closed_to_the_user() {
    let settings = Settings { tooling_api: false, ..Settings::default() };
    let rig = Rig::with(settings).await;
    let path = query_path("tooling/query", "SELECT Name FROM ApexTrigger");
    assert_eq!(rig.client.get(&path).await.refusal(), (403, "INSUFFICIENT_ACCESS".to_owned()));
}

#[tokio::test]
async fn picklists_are_told_by_record_type() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("objects")).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/objects/Shipment__c.json");
    std::fs::copy(fixture, dir.path().join("objects/Shipment__c.json")).unwrap();
    let options =
        LocalOrgOptions { dir: Some(dir.path().to_owned()), ..LocalOrgOptions::default() };
    let org = LocalOrg::start(options).await.unwrap();
    let mut client = Client::new(org.url());
    client.token = Some(org.access_token().unwrap());
    let path = |id: &str| format!("{BASE}/ui-api/object-info/Shipment__c/picklist-values/{id}");
    let modes = |reply: &Json| -> Vec<String> {
        let values = reply["picklistFieldValues"]["Mode__c"]["values"].as_array().unwrap();
        values.iter().map(|value| value["value"].as_str().unwrap().to_owned()).collect()
    };
    let master = client.get(&path("012000000000000AAA")).await.json();
    assert_eq!(modes(&master), ["Road", "Rail", "Sea", "Air"]);
    let express = client.get(&path("012Lo0000009101IAA")).await.json();
    assert_eq!(modes(&express), ["Road", "Air"]);
    assert_eq!(
        express["picklistFieldValues"]["Mode__c"]["values"][0],
        json!({"attributes": null, "label": "Road", "validFor": [], "value": "Road"})
    );
    assert_eq!(express["picklistFieldValues"]["Mode__c"]["controllerValues"], json!({}));
    assert_eq!(express["eTag"].as_str().unwrap().len(), 32);
    assert_ne!(express["eTag"], master["eTag"]);
    assert_eq!(client.get(&path("012Lo0000000001IAA")).await.status, 404);
}
