//! The store: what is written is found, across restarts and changed definitions.

use super::*;

fn catalogue(fields: &str) -> Catalogue {
    let text = format!(
        r#"{{"name":"Thing__c","label":"Thing","keyPrefix":"a99","fields":[{{"name":"Name","type":"string","nameField":true}},{fields}]}}"#
    );
    Catalogue::from_texts(&[("test".to_owned(), text)]).unwrap()
}

const FIELDS: &str = r#"
    {"name":"Ext__c","type":"string","externalId":true},
    {"name":"Exact__c","type":"string","externalId":true,"unique":true,"caseSensitive":true},
    {"name":"Num__c","type":"double","externalId":true},
    {"name":"Note__c","type":"string"}"#;

fn values(object: &ObjectDef, given: &[(&str, Value)]) -> Vec<Value> {
    let mut values = vec![Value::Null; object.fields.len()];
    for (name, value) in given {
        values[object.field(name).unwrap().0] = value.clone();
    }
    values
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn found(store: &Store, object: &ObjectDef, field: &str, cell: &str) -> Vec<String> {
    let field = object.field(field).unwrap().0;
    store.find_by(object, field, cell).unwrap().into_iter().map(|record| record.id).collect()
}

#[test]
fn keys_are_found_by_their_normal_form() {
    let catalogue = catalogue(FIELDS);
    let object = catalogue.object("Thing__c").unwrap();
    let store = Store::open(None, &catalogue).unwrap();
    let given =
        [("Ext__c", text("Äb-1")), ("Exact__c", text("Case")), ("Num__c", Value::Number(1e7))];
    let id = store.insert(object, &values(object, &given)).unwrap();
    assert_eq!(id, "a99Lo0000000001AAA".replace("AAA", &id[15..]));
    assert_eq!(found(&store, object, "Ext__c", "äB-1"), [id.clone()], "folded");
    assert_eq!(found(&store, object, "Exact__c", "Case"), [id.clone()]);
    assert_eq!(found(&store, object, "Exact__c", "case"), [] as [String; 0], "case sensitive");
    for same in ["10000000", "1.0E7", "1e7", "10000000.00"] {
        assert_eq!(found(&store, object, "Num__c", same), [id.clone()], "{same}");
    }
    assert_eq!(found(&store, object, "Note__c", "x"), [] as [String; 0], "not indexed");
    let record = store.get(object, &id[..15]).unwrap().unwrap();
    assert_eq!(record.values[0].bulk_text(), id);
    assert_eq!(record.values[object.system.is_deleted], Value::Bool(false));
    assert_eq!(store.get(object, "0017Q00000AbCde").unwrap(), None, "another object's id");
}

#[test]
fn records_survive_a_restart_and_counters_never_return() {
    let dir = tempfile::tempdir().unwrap();
    let catalogue = catalogue(FIELDS);
    let object = catalogue.object("Thing__c").unwrap();
    let ids: Vec<String> = {
        let store = Store::open(Some(dir.path()), &catalogue).unwrap();
        let ids: Vec<String> = (0..3)
            .map(|at| {
                let given = [("Ext__c", text(&format!("K{at}"))), ("Note__c", text("hello"))];
                store.insert(object, &values(object, &given)).unwrap()
            })
            .collect();
        let table = store.table(object).unwrap();
        store
            .transaction(table, |transaction| {
                let writer = &mut transaction.writer;
                let mut blob = Vec::new();
                assert_eq!(writer.read(2, &mut blob)?, Some(false));
                writer.delete(2, &blob)?;
                writer.erase(3)
            })
            .unwrap();
        ids
    };
    let store = Store::open(Some(dir.path()), &catalogue).unwrap();
    assert_eq!(store.count(object, false).unwrap(), 1);
    assert_eq!(store.count(object, true).unwrap(), 2);
    assert_eq!(found(&store, object, "Ext__c", "k1"), [] as [String; 0], "deleted");
    assert!(store.get(object, &ids[1]).unwrap().unwrap().deleted);
    assert_eq!(store.get(object, &ids[2]).unwrap(), None);
    let fresh = store.insert(object, &values(object, &[])).unwrap();
    assert!(!ids.contains(&fresh), "an erased id is never given again");
    let mut seen = Vec::new();
    store
        .scan(object, true, &mut |record| {
            seen.push(record.id);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seen, [ids[0].clone(), ids[1].clone(), fresh]);
}

#[test]
fn a_changed_definition_keeps_values_with_their_names() {
    let dir = tempfile::tempdir().unwrap();
    {
        let catalogue = catalogue(FIELDS);
        let object = catalogue.object("Thing__c").unwrap();
        let store = Store::open(Some(dir.path()), &catalogue).unwrap();
        let given = [("Ext__c", text("K")), ("Note__c", text("findable"))];
        store.insert(object, &values(object, &given)).unwrap();
    }
    // A field in front, one gone, another become an external id.
    let catalogue = catalogue(
        r#"{"name":"New__c","type":"string"},
           {"name":"Note__c","type":"string","externalId":true},
           {"name":"Ext__c","type":"string"}"#,
    );
    let object = catalogue.object("Thing__c").unwrap();
    let store = Store::open(Some(dir.path()), &catalogue).unwrap();
    assert_eq!(found(&store, object, "Note__c", "FINDABLE").len(), 1);
    let note = object.field("Note__c").unwrap().0;
    let record = &store.find_by(object, note, "findable").unwrap()[0];
    assert_eq!(record.values[object.field("Ext__c").unwrap().0], text("K"));
    assert_eq!(record.values[object.field("New__c").unwrap().0], Value::Null);
}

#[test]
fn a_failed_transaction_leaves_nothing_behind() {
    let catalogue = catalogue(FIELDS);
    let object = catalogue.object("Thing__c").unwrap();
    let store = Store::open(None, &catalogue).unwrap();
    let table = store.table(object).unwrap();
    let keys = vec![None; table.keys.len()];
    let result: Result<(), StoreError> = store.transaction(table, |transaction| {
        transaction.writer.insert(b"", &keys)?;
        let done =
            UnitDone { unit: 0, processed: 1, failed: 0, successes_end: 1, failures_end: 0, ms: 0 };
        transaction.units.done(7, object, done, b"")?;
        Err(StoreError::BadId("stop".to_owned()))
    });
    assert!(result.is_err());
    assert_eq!(store.count(object, true).unwrap(), 0);
    assert_eq!(store.units(7).unwrap(), []);
    assert_eq!(table.next_counter(), 1);
}

#[test]
fn ids_may_be_given_once() {
    let catalogue = catalogue(FIELDS);
    let object = catalogue.object("Thing__c").unwrap();
    let store = Store::open(None, &catalogue).unwrap();
    let given = RecordKey::new("a99", 40).to_string();
    assert_eq!(store.insert_with_id(object, &given, &values(object, &[])).unwrap(), given);
    assert!(store.insert_with_id(object, &given, &values(object, &[])).is_err());
    assert!(store.insert_with_id(object, "001Lo0000000001", &values(object, &[])).is_err());
    let next = store.insert(object, &values(object, &[])).unwrap();
    assert_eq!(next, RecordKey::new("a99", 41).to_string());
}

#[test]
fn a_visitor_may_ask_the_store_and_stop() {
    let catalogue = catalogue(FIELDS);
    let object = catalogue.object("Thing__c").unwrap();
    let store = Store::open(None, &catalogue).unwrap();
    for _ in 0..5 {
        store.insert(object, &values(object, &[])).unwrap();
    }
    let mut seen = 0;
    store
        .scan(object, false, &mut |record| {
            assert!(store.get(object, &record.id).unwrap().is_some());
            seen += 1;
            if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!(seen, 3);
}
