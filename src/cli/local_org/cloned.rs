//! The describe of an org's object made into a definition of the local org.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value, json};

/// Attributes of a field that the local org knows.
const FIELD: [&str; 31] = [
    "name",
    "type",
    "label",
    "length",
    "precision",
    "scale",
    "digits",
    "nillable",
    "createable",
    "updateable",
    "defaultedOnCreate",
    "externalId",
    "idLookup",
    "unique",
    "caseSensitive",
    "nameField",
    "custom",
    "calculated",
    "autoNumber",
    "referenceTo",
    "relationshipName",
    "relationshipOrder",
    "cascadeDelete",
    "restrictedDelete",
    "writeRequiresMasterRead",
    "picklistValues",
    "restrictedPicklist",
    "dependentPicklist",
    "controllerName",
    "defaultValue",
    "compoundFieldName",
];

/// Attributes of an object that the local org knows.
const OBJECT: [&str; 11] = [
    "name",
    "label",
    "labelPlural",
    "keyPrefix",
    "custom",
    "customSetting",
    "createable",
    "updateable",
    "deletable",
    "undeletable",
    "queryable",
];

/// Types of field that the local org has rules for.
const TYPES: [&str; 23] = [
    "id",
    "reference",
    "string",
    "textarea",
    "phone",
    "url",
    "email",
    "encryptedstring",
    "combobox",
    "picklist",
    "multipicklist",
    "boolean",
    "int",
    "long",
    "double",
    "currency",
    "percent",
    "date",
    "datetime",
    "time",
    "address",
    "location",
    "anytype",
];

/// Fields that every object of the local org has, unless it hides them.
const SYSTEM: [&str; 7] = [
    "IsDeleted",
    "OwnerId",
    "CreatedDate",
    "CreatedById",
    "LastModifiedDate",
    "LastModifiedById",
    "SystemModstamp",
];

/// How much of an object is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// All of it.
    Whole,
    /// What a lookup at it needs: id, name and keys.
    Thin,
}

/// A definition, and what became of the object on the way.
#[derive(Debug)]
pub(super) struct Cloned {
    /// API name, as the org spells it.
    pub name: String,
    /// How much of it was copied.
    pub depth: Depth,
    /// For the local org.
    pub definition: Map<String, Value>,
    /// Fields it has.
    pub fields: usize,
    /// Record types but the master.
    pub record_types: usize,
    /// Picklists it has.
    pub picklists: usize,
    /// Picklists that a record type narrows, over all record types.
    pub narrowed: usize,
    /// Fields by which a record can be found or that are unique.
    pub keys: Vec<String>,
    /// Fields left out, with why.
    pub left_out: Vec<(String, String)>,
    /// Fields that the local org never fills: formulas and roll-ups.
    pub computed: usize,
    /// Fields whose default is a formula, which it doesn't know.
    pub formula_defaults: usize,
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn truth(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn picked(value: &Value, keys: &[&str]) -> Map<String, Value> {
    keys.iter().filter_map(|key| Some(((*key).to_owned(), value.get(*key)?.clone()))).collect()
}

impl Cloned {
    /// What the local org is told of an object; nothing when the reply
    /// describes none.
    pub(super) fn of(described: &Value, depth: Depth) -> Option<Cloned> {
        let name = text(described, "name").to_owned();
        if name.is_empty() {
            return None;
        }
        let mut definition = picked(described, &OBJECT);
        let mut cloned = Cloned {
            name,
            depth,
            definition: Map::new(),
            fields: 0,
            record_types: 0,
            picklists: 0,
            narrowed: 0,
            keys: Vec::new(),
            left_out: Vec::new(),
            computed: 0,
            formula_defaults: 0,
        };
        let mut fields = Vec::new();
        let mut names = BTreeSet::new();
        for field in list(described, "fields") {
            let Some(own) = cloned.field(field) else { continue };
            names.insert(text(field, "name").to_owned());
            fields.push(own);
        }
        let hidden: Vec<&str> =
            SYSTEM.into_iter().filter(|system| !names.contains(*system)).collect();
        definition.insert("hidden".to_owned(), json!(hidden));
        cloned.fields = fields.len();
        definition.insert("fields".to_owned(), Value::Array(fields));
        if depth == Depth::Whole {
            let types: Vec<Value> = list(described, "recordTypeInfos")
                .iter()
                .filter(|kind| !text(kind, "recordTypeId").is_empty())
                .map(|kind| {
                    let keys = [
                        "recordTypeId",
                        "name",
                        "developerName",
                        "active",
                        "available",
                        "master",
                        "defaultRecordTypeMapping",
                    ];
                    Value::Object(picked(kind, &keys))
                })
                .collect();
            cloned.record_types = types.iter().filter(|kind| !truth(kind, "master")).count();
            definition.insert("recordTypeInfos".to_owned(), Value::Array(types));
        }
        cloned.definition = definition;
        Some(cloned)
    }

    /// A field as the local org takes it, unless it is left out.
    fn field(&mut self, field: &Value) -> Option<Value> {
        let (name, kind) = (text(field, "name"), text(field, "type"));
        if name.is_empty() {
            return None;
        }
        let key = truth(field, "externalId") || truth(field, "unique");
        let found_by = key || truth(field, "idLookup");
        let needed = found_by || truth(field, "nameField") || SYSTEM.contains(&name);
        if self.depth == Depth::Thin && !needed {
            return None;
        }
        if !TYPES.contains(&kind.to_lowercase().as_str()) {
            self.left_out.push((name.to_owned(), format!("type {kind}")));
            return None;
        }
        if key && name != "Id" {
            self.keys.push(name.to_owned());
        }
        if truth(field, "calculated") {
            self.computed += 1;
        }
        if !text(field, "defaultValueFormula").is_empty() && field.get("defaultValue").is_none() {
            self.formula_defaults += 1;
        }
        let mut own = picked(field, &FIELD);
        if matches!(kind, "picklist" | "multipicklist") {
            self.picklists += 1;
        }
        let values: Vec<Value> = list(field, "picklistValues")
            .iter()
            .filter(|value| value.get("value").is_some_and(Value::is_string))
            .map(|value| {
                Value::Object(picked(value, &["value", "label", "active", "defaultValue"]))
            })
            .collect();
        if values.is_empty() {
            own.remove("picklistValues");
        } else {
            own.insert("picklistValues".to_owned(), Value::Array(values));
        }
        Some(Value::Object(own))
    }

    /// Objects at which lookups that a load may set point.
    pub(super) fn parents(&self) -> BTreeSet<String> {
        let fields = self.definition.get("fields").and_then(Value::as_array);
        fields
            .into_iter()
            .flatten()
            .filter(|field| truth(field, "createable") || truth(field, "updateable"))
            .flat_map(|field| list(field, "referenceTo"))
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }

    /// Record types that a load may use: id and place among all.
    pub(super) fn usable_record_types(&self) -> Vec<(usize, String)> {
        let types = self.definition.get("recordTypeInfos").and_then(Value::as_array);
        types
            .into_iter()
            .flatten()
            .enumerate()
            .filter(|(_, kind)| !truth(kind, "master") && kind.get("active") != Some(&json!(false)))
            .map(|(place, kind)| (place, text(kind, "recordTypeId").to_owned()))
            .collect()
    }

    /// Narrows the picklists of a record type to the values it has.
    pub(super) fn narrow(
        &mut self,
        record_type: usize,
        offered: &HashMap<String, HashSet<String>>,
    ) {
        let mut narrowed = BTreeMap::new();
        let fields = self.definition.get("fields").and_then(Value::as_array);
        for field in fields.into_iter().flatten() {
            let Some(offered) = offered.get(text(field, "name")) else { continue };
            let active = list(field, "picklistValues")
                .iter()
                .filter(|value| value.get("active") != Some(&json!(false)))
                .map(|value| text(value, "value"));
            let (has, lacks): (Vec<&str>, Vec<&str>) =
                active.partition(|value| offered.contains(*value));
            if !lacks.is_empty() {
                narrowed.insert(text(field, "name").to_owned(), json!(has));
            }
        }
        self.narrowed += narrowed.len();
        let types = self.definition.get_mut("recordTypeInfos").and_then(Value::as_array_mut);
        if let Some(kind) = types.and_then(|types| types.get_mut(record_type))
            && !narrowed.is_empty()
        {
            kind["picklists"] = json!(narrowed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described() -> Value {
        json!({
            "name": "Thing__c", "label": "Thing", "keyPrefix": "a07", "custom": true,
            "urls": {"describe": "x"},
            "recordTypeInfos": [
                {"recordTypeId": "0125g000000AbCdAAK", "name": "Big", "developerName": "Big", "active": true},
                {"recordTypeId": "012000000000000AAA", "name": "Master", "master": true, "active": true}
            ],
            "fields": [
                {"name": "Id", "type": "id", "idLookup": true},
                {"name": "Name", "type": "string", "nameField": true, "createable": true},
                {"name": "Key__c", "type": "string", "externalId": true, "unique": true, "createable": true},
                {"name": "Kind__c", "type": "picklist", "picklistValues": [
                    {"value": "A", "active": true, "validFor": "gAAA"}, {"value": "B", "active": true},
                    {"value": "Old", "active": false}]},
                {"name": "Up__c", "type": "reference", "referenceTo": ["Other__c"], "createable": true},
                {"name": "Body__c", "type": "base64"},
                {"name": "Sum__c", "type": "double", "calculated": true},
                {"name": "Day__c", "type": "date", "defaultValueFormula": "TODAY()", "defaultedOnCreate": true}
            ]
        })
    }

    #[test]
    fn what_the_local_org_knows_is_kept_and_the_rest_is_told() {
        let whole = Cloned::of(&described(), Depth::Whole).unwrap();
        assert_eq!((whole.fields, whole.record_types, whole.picklists), (7, 1, 1));
        assert_eq!((whole.computed, whole.formula_defaults), (1, 1));
        assert_eq!(whole.left_out, [("Body__c".to_owned(), "type base64".to_owned())]);
        assert_eq!(whole.keys, ["Key__c"]);
        assert_eq!(whole.parents(), BTreeSet::from(["Other__c".to_owned()]));
        assert!(whole.definition.get("urls").is_none());
        assert!(list(&json!(whole.definition), "hidden").contains(&json!("OwnerId")));
    }

    #[test]
    fn a_parent_is_copied_as_far_as_a_lookup_needs_it() {
        let thin = Cloned::of(&described(), Depth::Thin).unwrap();
        assert_eq!((thin.fields, thin.record_types), (3, 0));
        assert!(thin.parents().is_empty());
    }

    #[test]
    fn a_record_type_is_narrowed_where_it_has_fewer_values() {
        let mut whole = Cloned::of(&described(), Depth::Whole).unwrap();
        assert_eq!(whole.usable_record_types(), [(0, "0125g000000AbCdAAK".to_owned())]);
        let set = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        whole.narrow(0, &HashMap::from([("Kind__c".to_owned(), set(&["A", "B"]))]));
        assert_eq!(whole.narrowed, 0);
        whole.narrow(0, &HashMap::from([("Kind__c".to_owned(), set(&["A"]))]));
        assert_eq!(whole.definition["recordTypeInfos"][0]["picklists"], json!({"Kind__c": ["A"]}));
    }
}
