//! Lookups by id and by the parent's key.

use super::*;
use crate::local_org::settings::RelationshipColumns;

#[test]
fn parents_are_found_by_their_keys() {
    let org = Org::new();
    let account = org.one("Account", "Name,Legacy_Id__c\nAcme,A-1\n");
    let contact = org.one("Contact", "LastName,Email\nDoe,doe@example.com\n");
    let id = org.one(
        "Thing__c",
        "Name,Account__r.Legacy_Id__c,Contact:Who__r.Email\nn,a-1,Doe@example.com\n",
    );
    assert_eq!(org.field("Thing__c", &id, "Account__c"), account);
    assert_eq!(org.field("Thing__c", &id, "Who__c"), contact);
    // An empty cell sets nothing, #N/A clears.
    let update = |cell: &str| {
        let csv = format!("Id,Account__r.Legacy_Id__c\n{id},{cell}\n");
        assert_eq!(org.update("Thing__c", &csv).successful.rows.len(), 1);
        org.field("Thing__c", &id, "Account__c")
    };
    assert_eq!(update(""), account);
    assert_eq!(update("#N/A"), "");
    // By the parent's id, either way.
    assert_eq!(
        org.update("Thing__c", &format!("Id,Account__r.Id\n{id},{account}\n"))
            .successful
            .rows
            .len(),
        1
    );
    assert_eq!(org.field("Thing__c", &id, "Account__c"), account);
}

#[test]
fn missing_and_ambiguous_parents_fail_the_whole_row() {
    let org = Org::new();
    let error = org.insert("Thing__c", "Name,Account__r.Legacy_Id__c\nn,123\n").only_error();
    assert_eq!(
        error,
        "INVALID_FIELD:Foreign key external ID: 123 not found for field Legacy_Id__c in entity Account:--"
    );
    org.insert("Contact", "LastName,Email\nA,same@example.com\nB,same@example.com\n");
    let error =
        org.insert("Thing__c", "Name,Contact:Who__r.Email\nn,same@example.com\n").only_error();
    assert!(error.starts_with("INVALID_FIELD:More than one record found"), "{error}");
    assert_eq!(org.count("Thing__c"), 0);
    let account = org.one("Account", "Name\nn\n");
    org.run(json!({"object":"Account","operation":"delete"}), &format!("Id\n{account}\n"));
    let error = org.insert("Thing__c", &format!("Name,Account__c\nn,{account}\n")).only_error();
    assert_eq!(error, "ENTITY_IS_DELETED:entity is deleted:--");
}

#[test]
fn rows_of_one_file_do_not_see_each_other() {
    let org = Org::new();
    let mut csv = String::from("Ext__c,Name,Self__r.Ext__c\nroot,r,\n");
    for row in 0..300 {
        csv += &format!("child{row},c,root\n");
    }
    let done = org.upsert("Thing__c", "Ext__c", &csv);
    assert_eq!((done.successful.rows.len(), done.failed.rows.len()), (1, 300));
    // The second pass finds what the first one made.
    assert_eq!(org.upsert("Thing__c", "Ext__c", &csv).failed.rows.len(), 0);
    let org = Org::with(Settings { same_file_references: true, ..Settings::default() });
    assert_eq!(
        org.upsert("Thing__c", "Ext__c", "Ext__c,Name,Self__r.Ext__c\nroot,r,\nchild,c,root\n")
            .failed
            .rows
            .len(),
        0
    );
}

#[test]
fn prefixes_are_needed_exactly_for_several_targets() {
    let org = Org::new();
    for (header, error) in [
        (
            "Account:Account__r.Legacy_Id__c",
            "type is not needed for non polymorphic foreign key references: Account__r",
        ),
        ("Who__r.Email", "type is needed for polymorphic foreign key references: Who__r"),
        ("Who__r:Contact.Email", "Unable to find relationship: Contact"),
        ("Nothing__r.Email", "Unable to find relationship: Nothing__r"),
        ("Account:Who__r.Name", "Field name not found : Account:Who__r.Name"),
        ("Account__r.Nothing", "Field name not found : Account__r.Nothing"),
        (
            "Account__r.Industry",
            "Field Industry of Account is neither an external ID nor an indexed field",
        ),
        ("Account__r", "Field name not found : Account__r"),
    ] {
        let done = org.insert("Thing__c", &format!("Name,{header}\nn,x\n"));
        assert_eq!(done.error(), format!("InvalidBatch : {error}"));
        assert_eq!(done.state(), State::Failed);
    }
}

#[test]
fn record_types_are_the_objects_own() {
    let org = Org::new();
    let object = org.catalogue.object("Account").unwrap();
    let kind = object.record_types.iter().find(|kind| !kind.master).unwrap().clone();
    let id =
        org.one("Account", &format!("Name,RecordType.DeveloperName\nn,{}\n", kind.developer_name));
    assert_eq!(org.field("Account", &id, "RecordTypeId"), kind.id);
    let error = org.insert("Account", "Name,RecordType.DeveloperName\nn,Nope\n").only_error();
    assert_eq!(
        error,
        "INVALID_FIELD:Foreign key external ID: Nope not found for field DeveloperName in entity RecordType:--"
    );
    let error = org.insert("Account", "Name,RecordTypeId\nn,012Lo0000000999\n").only_error();
    assert!(error.starts_with("INVALID_CROSS_REFERENCE_KEY:"), "{error}");
}

#[test]
fn relationship_columns_may_stand_last_in_results() {
    let settings =
        Settings { relationship_columns: RelationshipColumns::Last, ..Settings::default() };
    let org = Org::with(settings);
    org.one("Account", "Name,Legacy_Id__c\nAcme,A-1\n");
    let done = org.insert("Thing__c", "Account__r.Legacy_Id__c,Name\nA-1,n\n");
    assert_eq!(
        done.successful.header,
        ["sf__Id", "sf__Created", "Name", "Account__r.Legacy_Id__c"]
    );
    assert_eq!(done.successful.rows[0]["Name"], "n");
    assert_eq!(done.successful.rows[0]["Account__r.Legacy_Id__c"], "A-1");
}
