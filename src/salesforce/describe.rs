//! Describe: what an org tells of its objects and fields ("sObject Describe",
//! REST API guide). Attributes that an org leaves out or sets to null are
//! taken as absent, so that one odd field never hides the others.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::connection::{Call, parse};
use super::encode;
use super::error::{CallError, Happened, Kind};
use super::org::Org;
use crate::domain::ObjectDescription;

/// An object in the org's list of objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectSummary {
    /// API name in exact case.
    pub name: String,
    /// Label people see.
    #[serde(default)]
    pub label: String,
    /// First three characters of its ids.
    #[serde(default)]
    pub key_prefix: Option<String>,
    /// Defined by the org.
    #[serde(default)]
    pub custom: bool,
    /// This user may create records.
    #[serde(default)]
    pub createable: bool,
    /// This user may change records.
    #[serde(default)]
    pub updateable: bool,
    /// This user may delete records.
    #[serde(default)]
    pub deletable: bool,
    /// This user may query records.
    #[serde(default)]
    pub queryable: bool,
}

#[derive(Deserialize)]
struct ObjectsReply {
    sobjects: Vec<Value>,
}

impl Org {
    /// Describes an object. Its name may be in any letter case; the answer
    /// has it in the exact one.
    ///
    /// # Errors
    /// 404 when there is no such object, or this user may not see it.
    pub async fn describe(&self, object: &str) -> Result<ObjectDescription, CallError> {
        let path = self.path(&format!("sobjects/{}/describe", encode(object)));
        let call = Call::get("describe the object", path);
        let (status, body) = self.connection().bytes(&call).await?;
        description(parse(&call, status, &body)?).ok_or_else(|| {
            call.error(Kind::Reply, Happened::Refused).message("it describes no object")
        })
    }

    /// Describes an object with all that the org tells of it, unread; members
    /// that are null are left out.
    ///
    /// # Errors
    /// 404 when there is no such object, or this user may not see it.
    pub async fn describe_whole(&self, object: &str) -> Result<Value, CallError> {
        let path = self.path(&format!("sobjects/{}/describe", encode(object)));
        let call = Call::get("describe the object", path);
        let (status, body) = self.connection().bytes(&call).await?;
        Ok(without_nulls(parse(&call, status, &body)?))
    }

    /// Lists the objects this user may see.
    ///
    /// # Errors
    /// Any [`CallError`].
    pub async fn objects(&self) -> Result<Vec<ObjectSummary>, CallError> {
        let call = Call::get("list the objects", self.path("sobjects"));
        let reply: ObjectsReply = self.connection().fetch(&call).await?;
        let read = |value| serde_json::from_value(without_nulls(value)).ok();
        Ok(reply.sobjects.into_iter().filter_map(read).collect())
    }
}

fn description(value: Value) -> Option<ObjectDescription> {
    let mut value = without_nulls(value);
    let keep = |list: Option<&mut Value>, key: &str| {
        if let Some(Value::Array(items)) = list {
            items.retain(|item| item.get(key).is_some_and(Value::is_string));
        }
    };
    keep(value.get_mut("fields"), "name");
    keep(value.get_mut("recordTypeInfos"), "recordTypeId");
    if let Some(Value::Array(fields)) = value.get_mut("fields") {
        for field in fields {
            keep(field.get_mut("picklistValues"), "value");
        }
    }
    serde_json::from_value(value).ok()
}

/// The value without members that are null.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, member)| !member.is_null())
            .map(|(name, member)| (name, without_nulls(member)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::FieldType;

    #[test]
    fn nulls_and_unknown_things_hide_nothing() {
        let described = description(json!({
            "name": "Thing__c", "label": null, "keyPrefix": null, "urls": {"x": 1},
            "fields": [
                {"name": "Id", "type": "id", "length": 18, "label": null},
                {"name": "Odd__c", "type": "somethingNew", "length": null,
                 "relationshipOrder": null, "externalId": true, "idLookup": true},
                {"label": "nameless"},
                {"name": "Kind__c", "type": "multipicklist", "picklistValues": [
                    {"value": "A", "label": null, "active": true}, {"label": "no value"}]}
            ],
            "recordTypeInfos": [{"recordTypeId": null, "name": "Master"}]
        }))
        .unwrap();
        assert_eq!(described.fields.len(), 3);
        let odd = described.field("Odd__c").unwrap();
        assert_eq!(odd.field_type, FieldType::Other);
        assert!(odd.is_key());
        assert_eq!(described.field("Kind__c").unwrap().picklist_values.len(), 1);
        assert!(description(json!([1, 2])).is_none());
    }
}
