//! The definitions say what the real objects say.

use std::collections::HashSet;

use super::*;

fn standard() -> Catalogue {
    Catalogue::open(None).unwrap()
}

#[test]
fn standard_objects_have_their_system_fields_first() {
    let catalogue = standard();
    assert_eq!(catalogue.objects().count(), STANDARD.len());
    for object in catalogue.objects() {
        assert_eq!(object.fields[0].name, "Id");
        assert_eq!(object.fields[1].name, "IsDeleted");
        if let Some(name) = object.system.name {
            assert_eq!(name, 2, "{}", object.name);
            assert!(object.fields[2].name_field);
        }
        for (at, name) in [
            (object.system.created_date, "CreatedDate"),
            (object.system.created_by_id, "CreatedById"),
            (object.system.last_modified_date, "LastModifiedDate"),
            (object.system.last_modified_by_id, "LastModifiedById"),
            (object.system.system_modstamp, "SystemModstamp"),
        ] {
            assert_eq!(object.fields[at].name, name);
            assert!(!object.fields[at].createable);
        }
    }
}

#[test]
fn references_point_at_objects_that_are_there() {
    let catalogue = standard();
    for object in catalogue.objects() {
        for field in &object.fields {
            assert_eq!(field.kind == FieldKind::Reference, !field.reference_to.is_empty());
            for target in &field.reference_to {
                assert!(catalogue.object(target).is_some(), "{}.{}", object.name, field.name);
            }
        }
    }
}

#[test]
fn required_fields_are_those_of_the_real_objects() {
    let catalogue = standard();
    let required = |name: &str| -> Vec<&str> {
        let object = catalogue.object(name).unwrap();
        object.fields.iter().filter(|f| f.required_on_create()).map(|f| f.name.as_str()).collect()
    };
    assert_eq!(required("account"), ["Name"]);
    assert_eq!(required("Contact"), ["LastName"]);
    assert_eq!(required("Lead"), ["LastName", "Company"]);
    assert_eq!(required("Opportunity"), ["Name", "StageName", "CloseDate"]);
    assert!(required("Case").is_empty());
    assert!(required("Task").is_empty());
    assert_eq!(required("CampaignMember"), ["CampaignId"]);
}

#[test]
fn account_has_a_field_of_every_loadable_type() {
    let catalogue = standard();
    let account = catalogue.object("ACCOUNT").unwrap();
    let kinds: HashSet<&str> = account.fields.iter().map(|f| f.kind.word()).collect();
    for kind in [
        "string",
        "textarea",
        "phone",
        "url",
        "email",
        "picklist",
        "multipicklist",
        "boolean",
        "int",
        "double",
        "currency",
        "percent",
        "date",
        "datetime",
        "time",
        "reference",
        "address",
    ] {
        assert!(kinds.contains(kind), "{kind}");
    }
    let (_, legacy) = account.field("legacy_id__C").unwrap();
    assert!(legacy.external_id && legacy.unique && legacy.id_lookup && !legacy.case_sensitive);
    assert_eq!(legacy.length, 64);
    assert!(account.field("Case_Key__c").unwrap().1.case_sensitive);
    let (_, number) = account.field("External_No__c").unwrap();
    assert_eq!((number.kind, number.precision, number.scale), (FieldKind::Double, 18, 0));
    assert_eq!(account.record_types.iter().filter(|t| !t.master).count(), 3);
}

#[test]
fn lookups_are_polymorphic_by_their_number_of_targets() {
    let catalogue = standard();
    let polymorphic = |object: &str, relationship: &str| {
        catalogue.object(object).unwrap().relationship(relationship).unwrap().1.polymorphic()
    };
    assert!(polymorphic("Task", "who"));
    assert!(polymorphic("Case", "Owner"));
    assert!(!polymorphic("Account", "Owner"));
    assert!(!polymorphic("Account", "Parent"));
}

#[test]
fn users_have_no_visible_deletion_mark() {
    let catalogue = standard();
    assert!(catalogue.object("User").unwrap().field("IsDeleted").is_none());
    assert!(catalogue.object("Account").unwrap().field("IsDeleted").is_some());
}

#[test]
fn a_sparse_definition_is_filled_in() {
    let text = r#"{"name":"Tiny__c","fields":[
        {"name":"Name"},{"name":"Parent__c","type":"reference","referenceTo":["Account"]},
        {"name":"Kind__c","type":"picklist","picklistValues":["A",{"value":"B","defaultValue":true}]},
        {"name":"Flag__c","type":"boolean"},{"name":"Mail__c","type":"email"}]}"#;
    let texts: Vec<(String, String)> = STANDARD
        .iter()
        .map(|(n, t)| ((*n).to_owned(), (*t).to_owned()))
        .chain([("tiny".to_owned(), text.to_owned())])
        .collect();
    let catalogue = Catalogue::from_texts(&texts).unwrap();
    let tiny = catalogue.object("tiny__c").unwrap();
    assert!(tiny.custom && tiny.system.owner_id == Some(3) && tiny.system.name == Some(2));
    assert!(tiny.key_prefix.starts_with('a') && tiny.key_prefix.len() == 3);
    assert_eq!(catalogue.by_prefix(&tiny.key_prefix).unwrap().name, "Tiny__c");
    assert_eq!(tiny.relationship("Parent__r").unwrap().1.name, "Parent__c");
    assert_eq!(tiny.field("Kind__c").unwrap().1.default_value, Some("B".into()));
    assert_eq!(tiny.field("Mail__c").unwrap().1.length, 80);
    assert!(!tiny.field("Flag__c").unwrap().1.nillable);
    let account = catalogue.object("Account").unwrap();
    assert!(account.children.iter().any(|c| c.child == "Tiny__c" && c.field == "Parent__c"));
}

#[test]
fn a_detail_has_no_owner_and_the_fixtures_load() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let catalogue = Catalogue::open(Some(&folder)).unwrap();
    let shipment = catalogue.object("Shipment__c").unwrap();
    assert_eq!(shipment.system.owner_id, None);
    assert!(shipment.field("OwnerId").is_none());
    let (_, master) = shipment.field("Account__c").unwrap();
    assert!(master.cascade_delete && master.required_on_create() && !master.updateable);
    assert!(catalogue.object("Invoice__c").unwrap().system.owner_id.is_some());
}

#[test]
fn definitions_that_cannot_be_are_refused_with_their_origin() {
    let text = |body: &str| vec![("objects/x.json".to_owned(), body.to_owned())];
    let refused = |body: &str| Catalogue::from_texts(&text(body)).unwrap_err().to_string();
    assert!(refused("[1]").starts_with("objects/x.json is not"));
    assert!(refused(r#"{"name":"a b"}"#).contains("`a b`"));
    assert!(refused(r#"{"name":"A","keyPrefix":"toolong"}"#).contains("key prefix"));
    assert!(
        refused(r#"{"name":"A","fields":[{"name":"B"},{"name":"b"}]}"#).contains("there twice")
    );
}
