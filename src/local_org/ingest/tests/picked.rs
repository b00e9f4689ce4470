//! Picklists that a record type narrows.

use super::*;

const PARCEL: &str = r#"{"name":"Parcel__c","label":"Parcel","keyPrefix":"a98",
  "recordTypeInfos":[
    {"recordTypeId":"012Lo0000009201IAA","name":"Express","developerName":"Express",
     "picklists":{"Mode__c":["Road","Air"],"Loose__c":["x"],"Tags__c":["a","b"]}},
    {"recordTypeId":"012Lo0000009202IAA","name":"Slow","developerName":"Slow",
     "defaultRecordTypeMapping":DEFAULT,"picklists":{"Mode__c":["Sea"]}}],
  "fields":[
    {"name":"Name","type":"string","length":80,"nameField":true},
    {"name":"RecordTypeId","type":"reference","referenceTo":["RecordType"],"relationshipName":"RecordType"},
    {"name":"Key__c","type":"string","externalId":true,"unique":true},
    {"name":"Mode__c","type":"picklist","label":"Mode","restrictedPicklist":true,"picklistValues":["Road","Air","Sea"]},
    {"name":"Loose__c","type":"picklist","label":"Loose","picklistValues":["x","y"]},
    {"name":"Tags__c","type":"multipicklist","label":"Tags","restrictedPicklist":true,"picklistValues":["a","b","c"]}]}"#;

const EXPRESS: &str = "012Lo0000009201IAA";

fn org(default: &str) -> Org {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("objects")).unwrap();
    let text = PARCEL.replace("DEFAULT", default);
    std::fs::write(dir.path().join("objects/Parcel__c.json"), text).unwrap();
    Org::open(Arc::new(dir), Settings::default(), Clock::new())
}

/// Upserts rows; the errors, sorted.
fn errors(org: &Org, csv: &str) -> Vec<String> {
    let done = org.run(
        json!({"object":"Parcel__c","operation":"upsert","externalIdFieldName":"Key__c"}),
        csv,
    );
    done.failed.column("sf__Error")
}

#[test]
fn a_record_type_refuses_values_it_does_not_have() {
    let org = org("false");
    let refused = "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:";
    let csv = format!(
        "Key__c,RecordTypeId,Mode__c,Loose__c,Tags__c\n\
         1,{EXPRESS},Air,y,a;b\n2,{EXPRESS},Sea,x,a\n3,,Sea,x,c\n4,{EXPRESS},Road,x,a;c\n"
    );
    assert_eq!(
        errors(&org, &csv),
        [
            format!("{refused}Mode: bad value for restricted picklist field: Sea:Mode__c --"),
            format!("{refused}Tags: bad value for restricted picklist field: c:Tags__c --"),
        ]
    );
    // The record's own type holds for updates that name none.
    assert_eq!(errors(&org, "Key__c,Mode__c\n1,Sea\n3,Road\n").len(), 1);
    // A change of the type leaves what the record has.
    assert!(errors(&org, &format!("Key__c,RecordTypeId\n3,{EXPRESS}\n")).is_empty());
    // Through the name of the record type, too.
    assert_eq!(
        errors(&org, "Key__c,RecordType.DeveloperName,Mode__c\n5,Express,Sea\n6,Slow,Sea\n").len(),
        1
    );
}

#[test]
fn rows_without_a_record_type_go_by_the_default_one() {
    let org = org("true");
    assert_eq!(errors(&org, "Key__c,Mode__c\n1,Sea\n2,Road\n").len(), 1);
    assert_eq!(errors(&org, "Key__c,RecordTypeId,Mode__c\n3,,Sea\n4,,Road\n").len(), 1);
}
