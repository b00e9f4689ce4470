//! `sobjects`, `sobjects/X` and `sobjects/X/describe` (protocol notes, section
//! 8; REST API guide, "Describe Global" and "sObject Describe").

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value as Json, json};

use super::catalogue::{FieldDef, FieldKind, ObjectDef};
use super::errors::{ApiError, json_reply};
use super::server::ApiVersion;
use super::state::OrgState;

/// The object of this name.
///
/// # Errors
/// 404 `NOT_FOUND`, as the service words it.
pub(crate) fn object<'a>(state: &'a OrgState, name: &str) -> Result<&'a Arc<ObjectDef>, ApiError> {
    state.catalogue.object(name).ok_or_else(ApiError::not_found)
}

/// `GET /sobjects`.
pub(crate) async fn list(
    State(state): State<Arc<OrgState>>,
    Extension(version): Extension<ApiVersion>,
) -> Response {
    let objects: Vec<Json> =
        state.catalogue.objects().map(|object| Json::Object(summary(object, &version.0))).collect();
    json_reply(
        StatusCode::OK,
        &json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects}),
    )
}

/// `GET /sobjects/X`.
pub(crate) async fn basic(
    State(state): State<Arc<OrgState>>,
    Extension(version): Extension<ApiVersion>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let object = object(&state, &name)?;
    let body = json!({"objectDescribe": summary(object, &version.0), "recentItems": []});
    Ok(json_reply(StatusCode::OK, &body))
}

/// `GET /sobjects/X/describe`. Definitions change only between two starts, so
/// `If-Modified-Since` a time after the start gets 304.
pub(crate) async fn describe(
    State(state): State<Arc<OrgState>>,
    Extension(version): Extension<ApiVersion>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let object = object(&state, &name)?;
    let changed = HeaderValue::from_str(&http_date(state.started_at))
        .map_err(|error| ApiError::internal(&error))?;
    let since = headers
        .get(header::IF_MODIFIED_SINCE)
        .and_then(|value| value.to_str().ok())
        .and_then(seconds_of_http_date);
    if since.is_some_and(|since| since >= state.started_at.div_euclid(1000)) {
        let headers = [(header::LAST_MODIFIED, changed)];
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let mut reply = json_reply(StatusCode::OK, &full(object, &version.0));
    reply.headers_mut().insert(header::LAST_MODIFIED, changed);
    Ok(reply)
}

/// Everything about an object.
fn full(object: &ObjectDef, version: &str) -> Json {
    let mut body = summary(object, version);
    let fields: Vec<Json> =
        object.visible_fields().map(|(_, field)| field_json(object, field)).collect();
    let children: Vec<Json> = object
        .children
        .iter()
        .map(|child| {
            json!({
                "cascadeDelete": child.cascade_delete,
                "childSObject": child.child,
                "deprecatedAndHidden": false,
                "field": child.field,
                "junctionIdListNames": [],
                "junctionReferenceTo": [],
                "relationshipName": child.relationship_name,
                "restrictedDelete": child.restricted_delete,
            })
        })
        .collect();
    let record_types: Vec<Json> = object
        .record_types
        .iter()
        .map(|kind| {
            json!({
                "active": kind.active,
                "available": kind.available,
                "defaultRecordTypeMapping": kind.default,
                "developerName": kind.developer_name,
                "master": kind.master,
                "name": kind.name,
                "recordTypeId": kind.id,
                "urls": {"layout": format!("/services/data/v{version}/sobjects/{}/describe/layouts/{}", object.name, kind.id)},
            })
        })
        .collect();
    body.insert("actionOverrides".to_owned(), json!([]));
    body.insert("compactLayoutable".to_owned(), json!(true));
    body.insert("childRelationships".to_owned(), Json::Array(children));
    body.insert("fields".to_owned(), Json::Array(fields));
    body.insert("namedLayoutInfos".to_owned(), json!([]));
    body.insert("networkScopeFieldName".to_owned(), Json::Null);
    body.insert("recordTypeInfos".to_owned(), Json::Array(record_types));
    body.insert("searchLayoutable".to_owned(), json!(true));
    body.insert(
        "supportedScopes".to_owned(),
        json!([{"label": format!("All {}", object.label_plural), "name": "everything"}]),
    );
    Json::Object(body)
}

fn summary(object: &ObjectDef, version: &str) -> Map<String, Json> {
    let base = format!("/services/data/v{version}/sobjects/{}", object.name);
    let body = json!({
        "activateable": false,
        "associateEntityType": null,
        "associateParentEntity": null,
        "createable": object.createable,
        "custom": object.custom,
        "customSetting": object.custom_setting,
        "deepCloneable": false,
        "deletable": object.deletable,
        "deprecatedAndHidden": false,
        "feedEnabled": false,
        "hasSubtypes": false,
        "isInterface": false,
        "isSubtype": false,
        "keyPrefix": object.key_prefix,
        "label": object.label,
        "labelPlural": object.label_plural,
        "layoutable": true,
        "mergeable": matches!(object.name.as_str(), "Account" | "Contact" | "Lead" | "Case"),
        "mruEnabled": true,
        "name": object.name,
        "queryable": object.queryable,
        "replicateable": true,
        "retrieveable": true,
        "searchable": true,
        "triggerable": true,
        "undeletable": object.undeletable,
        "updateable": object.updateable,
        "urls": {
            "describe": format!("{base}/describe"),
            "rowTemplate": format!("{base}/{{ID}}"),
            "sobject": base,
        },
    });
    match body {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}

/// A field with the attributes worth keeping (protocol notes, section 8).
fn field_json(object: &ObjectDef, field: &FieldDef) -> Json {
    let picklist: Vec<Json> = field
        .picklist_values
        .iter()
        .map(|value| {
            json!({
                "active": value.active,
                "defaultValue": value.default_value,
                "label": value.label,
                "validFor": null,
                "value": value.value,
            })
        })
        .collect();
    let person = object.is_person_name(field);
    let long_text = field.kind == FieldKind::TextArea && field.length > 255;
    // A text's bytes: up to three for a character (UTF-8 of the service).
    let bytes = if field.kind.is_text() { field.length.saturating_mul(3) } else { field.length };
    let mut body = json!({
        "aggregatable": !field.kind.is_compound() && field.kind != FieldKind::Boolean && !long_text,
        "aiPredictionField": false,
        "autoNumber": field.auto_number,
        "byteLength": bytes,
        "calculated": field.calculated,
        "calculatedFormula": field.calculated_formula,
        "cascadeDelete": field.cascade_delete,
        "caseSensitive": field.case_sensitive,
        "compoundFieldName": field.compound_field_name,
        "controllerName": field.controller_name,
        "createable": field.createable,
        "custom": field.custom,
        "defaultValue": field.default_value,
        "defaultValueFormula": null,
        "defaultedOnCreate": field.defaulted_on_create,
        "dependentPicklist": field.dependent_picklist,
        "deprecatedAndHidden": false,
        "digits": field.digits,
        "displayLocationInDecimal": false,
        "encrypted": field.kind == FieldKind::EncryptedString,
        "externalId": field.external_id,
        "extraTypeInfo": if long_text { json!("plaintextarea") } else if person { json!("personname") } else { Json::Null },
        "filterable": field.filterable(),
        "filteredLookupInfo": null,
        "formulaTreatNullNumberAsZero": false,
        "groupable": field.filterable() && field.kind != FieldKind::DateTime && field.kind != FieldKind::MultiPicklist,
        "highScaleNumber": false,
        "htmlFormatted": false,
        "idLookup": field.id_lookup,
        "inlineHelpText": null,
        "label": field.label,
        "length": field.length,
    });
    let rest = json!({
        "mask": null,
        "maskType": null,
        "name": field.name,
        "nameField": field.name_field,
        "namePointing": field.polymorphic(),
        "nillable": field.nillable,
        "permissionable": field.createable && field.nillable,
        "picklistValues": picklist,
        "polymorphicForeignKey": field.polymorphic(),
        "precision": field.precision,
        "queryByDistance": false,
        "referenceTargetField": null,
        "referenceTo": field.reference_to,
        "relationshipName": field.relationship_name,
        "relationshipOrder": field.relationship_order,
        "restrictedDelete": field.restricted_delete,
        "restrictedPicklist": field.restricted_picklist,
        "scale": field.scale,
        "searchPrefilterable": field.kind == FieldKind::Reference,
        "soapType": field.kind.soap_type(),
        "sortable": field.filterable() && field.kind != FieldKind::MultiPicklist,
        "type": field.kind.word(),
        "unique": field.unique,
        "updateable": field.updateable,
        "writeRequiresMasterRead": field.write_requires_master_read,
    });
    if let (Some(body), Json::Object(rest)) = (body.as_object_mut(), rest) {
        body.extend(rest);
    }
    body
}

/// `Thu, 01 Jan 2026 00:00:00 GMT` of milliseconds since 1970.
fn http_date(millis: i64) -> String {
    let instant = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let civil = jiff::tz::Offset::UTC.to_datetime(instant);
    civil.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Seconds since 1970 of an HTTP date.
fn seconds_of_http_date(text: &str) -> Option<i64> {
    let civil = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", text.trim()).ok()?;
    jiff::tz::Offset::UTC.to_timestamp(civil).ok().map(jiff::Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::Catalogue;
    use super::*;

    #[test]
    fn every_attribute_worth_keeping_is_there() {
        let catalogue = Catalogue::open(None).unwrap();
        let account = full(catalogue.object("Account").unwrap(), "66.0");
        let field = |name: &str| {
            let fields = account["fields"].as_array().unwrap();
            fields.iter().find(|field| field["name"] == name).unwrap().clone()
        };
        let legacy = field("Legacy_Id__c");
        for attribute in [
            "name",
            "label",
            "type",
            "soapType",
            "length",
            "byteLength",
            "precision",
            "scale",
            "digits",
            "nillable",
            "createable",
            "updateable",
            "defaultedOnCreate",
            "defaultValue",
            "defaultValueFormula",
            "calculated",
            "calculatedFormula",
            "autoNumber",
            "externalId",
            "idLookup",
            "unique",
            "caseSensitive",
            "nameField",
            "custom",
            "referenceTo",
            "relationshipName",
            "relationshipOrder",
            "cascadeDelete",
            "restrictedDelete",
            "writeRequiresMasterRead",
            "polymorphicForeignKey",
            "compoundFieldName",
            "picklistValues",
            "restrictedPicklist",
            "dependentPicklist",
            "controllerName",
            "encrypted",
            "filterable",
            "sortable",
            "groupable",
            "htmlFormatted",
            "highScaleNumber",
            "permissionable",
            "deprecatedAndHidden",
            "extraTypeInfo",
        ] {
            assert!(legacy.get(attribute).is_some(), "{attribute}");
        }
        assert_eq!((&legacy["externalId"], &legacy["length"]), (&json!(true), &json!(64)));
        assert_eq!(field("OwnerId")["referenceTo"], json!(["User"]));
        assert_eq!(field("AnnualRevenue")["soapType"], "xsd:double");
        assert_eq!(field("Name")["nillable"], false);
        assert_eq!(account["recordTypeInfos"].as_array().unwrap().len(), 4);
        let children = account["childRelationships"].as_array().unwrap();
        assert!(children.iter().any(|c| c["relationshipName"] == "Contacts"));
        assert_eq!(account["urls"]["rowTemplate"], "/services/data/v66.0/sobjects/Account/{ID}");
    }

    #[test]
    fn http_dates_go_both_ways() {
        assert_eq!(http_date(1_767_225_600_123), "Thu, 01 Jan 2026 00:00:00 GMT");
        assert_eq!(seconds_of_http_date("Thu, 01 Jan 2026 00:00:00 GMT"), Some(1_767_225_600));
        assert_eq!(seconds_of_http_date("yesterday"), None);
    }
}
