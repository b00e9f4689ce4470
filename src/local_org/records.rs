//! Single records over REST: `sobjects/X/{id}` and `sobjects/X/{field}/{value}`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::catalogue::ObjectDef;
use super::describe::object;
use super::errors::{ApiError, JSON_TYPE, json_reply};
use super::form::Form;
use super::server::ApiVersion;
use super::soql::plan;
use super::soql::project::write_record;
use super::soql::read::Reader;
use super::soql::run;
use super::state::OrgState;
use super::store::Record;

/// `GET /sobjects/X/{id}`, with `?fields=A,B` only these.
pub(crate) async fn one(
    State(state): State<Arc<OrgState>>,
    Extension(version): Extension<ApiVersion>,
    Path((name, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let object = object(&state, &name)?;
    let found = state.store.get(object, &id).map_err(|error| ApiError::internal(&error))?;
    let record = found.filter(|record| !record.deleted).ok_or_else(missing)?;
    reply(&state, object, &record, query.as_deref(), &version)
}

/// `GET /sobjects/X/{field}/{value}`: by an external id; 300 with all of
/// them when there are several.
pub(crate) async fn by_key(
    State(state): State<Arc<OrgState>>,
    Extension(version): Extension<ApiVersion>,
    Path((name, field, value)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let object = object(&state, &name)?;
    let (at, _) = object.field(&field).filter(|(_, field)| field.indexed()).ok_or_else(|| {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "NOT_FOUND",
            "Provided external ID field does not exist or is not accessible: ".to_owned() + &field,
        )
    })?;
    let found =
        state.store.find_by(object, at, &value).map_err(|error| ApiError::internal(&error))?;
    match found.as_slice() {
        [] => Err(missing()),
        [record] => reply(&state, object, record, query.as_deref(), &version),
        several => {
            let urls: Vec<String> = several
                .iter()
                .map(|r| format!("/services/data/v{}/sobjects/{}/{}", version.0, object.name, r.id))
                .collect();
            Ok(json_reply(StatusCode::MULTIPLE_CHOICES, &json!(urls)))
        }
    }
}

fn missing() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "NOT_FOUND",
        "Provided external ID field does not exist or is not accessible",
    )
}

fn reply(
    state: &OrgState,
    object: &Arc<ObjectDef>,
    record: &Record,
    query: Option<&str>,
    version: &ApiVersion,
) -> Result<Response, ApiError> {
    let form = Form::parse(query.unwrap_or_default().as_bytes());
    let all = || {
        let names: Vec<&str> =
            object.visible_fields().map(|(_, field)| field.name.as_str()).collect();
        names.join(",")
    };
    let fields = form.get("fields").map_or_else(all, str::to_owned);
    let soql = format!("SELECT {fields} FROM {}", object.name);
    let refused = |error: super::soql::SoqlError| ApiError::bad_request(error.code, error.message);
    let query = super::soql::parse(&soql).map_err(refused)?;
    let plan = plan::bind(&query, &soql, &state.catalogue, 0).map_err(refused)?;
    let mut body = String::new();
    let reader = Reader::new(&state.store);
    write_record(&mut body, object, run::columns(&plan), record, &version.0, &reader)
        .map_err(|error| ApiError::internal(&error))?;
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, JSON_TYPE)], body).into_response())
}
