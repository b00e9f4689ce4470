//! `ui-api/object-info/X/picklist-values/{recordTypeId}`: what a record type
//! offers of each picklist ("Get Values for All Picklist Fields of a Record
//! Type", User Interface API guide).

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value as Json, json};

use super::catalogue::{FieldKind, MASTER_RECORD_TYPE, PicklistDef};
use super::describe::object;
use super::errors::{ApiError, json_reply};
use super::ids::RecordKey;
use super::server::ApiVersion;
use super::state::OrgState;

/// The values of all picklists for one record type.
pub(crate) async fn of_record_type(
    State(state): State<Arc<OrgState>>,
    Extension(version): Extension<ApiVersion>,
    Path((name, record_type)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let object = object(&state, &name)?;
    let asked = RecordKey::parse(&record_type);
    let is_master = asked.is_some() && asked == RecordKey::parse(MASTER_RECORD_TYPE);
    let kind = object
        .record_types
        .iter()
        .find(|kind| kind.master && is_master || asked == RecordKey::parse(&kind.id))
        .filter(|_| asked.is_some())
        .ok_or_else(ApiError::not_found)?;
    let base = format!(
        "/services/data/v{}/ui-api/object-info/{}/picklist-values/{}",
        version.0, object.name, kind.id
    );
    let mut fields = Map::new();
    for (place, field) in object.visible_fields() {
        if !matches!(field.kind, FieldKind::Picklist | FieldKind::MultiPicklist) {
            continue;
        }
        let offered: Vec<&PicklistDef> = field
            .picklist_values
            .iter()
            .filter(|value| value.active && kind.offers(place, &value.value))
            .collect();
        let default = offered.iter().find(|value| value.default_value).map(|value| shown(value));
        let values: Vec<Json> = offered.into_iter().map(shown).collect();
        fields.insert(
            field.name.clone(),
            json!({
                "controllerValues": {},
                "defaultValue": default,
                "url": format!("{base}/{}", field.name),
                "values": values,
            }),
        );
    }
    let fields = Json::Object(fields);
    let e_tag = e_tag(&fields.to_string());
    Ok(json_reply(StatusCode::OK, &json!({"eTag": e_tag, "picklistFieldValues": fields})))
}

fn shown(value: &PicklistDef) -> Json {
    json!({"attributes": null, "label": value.label, "validFor": [], "value": value.value})
}

/// 32 hexadecimal digits that change with the text.
fn e_tag(text: &str) -> String {
    let hash = text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
    });
    format!("{hash:032x}")
}
