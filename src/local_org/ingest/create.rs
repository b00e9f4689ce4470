//! The create request (protocol notes, section 2.2): which bodies make a job and
//! what the others are told.

use serde_json::{Map, Value as Json};

use super::job::{Delimiter, JobSpec, LineEnding, Operation};
use crate::local_org::catalogue::{Catalogue, FieldKind, ObjectDef};
use crate::local_org::errors::ApiError;
use crate::local_org::ids::RecordKey;
use crate::local_org::settings::Settings;

/// Who creates a job, when, and under which API version.
#[derive(Debug, Clone)]
pub(crate) struct Creator {
    /// 18-character id.
    pub user: String,
    /// Such as `66.0`.
    pub version: String,
    /// Org time.
    pub now_ms: i64,
}

/// Reads the body of a create request.
///
/// # Errors
/// 400 with the code that fits: `JSON_PARSER_ERROR`, `INVALIDJOB`,
/// `INVALIDENTITY`, `FEATURENOTENABLED`.
pub(crate) fn read(
    body: &[u8],
    creator: Creator,
    catalogue: &Catalogue,
    settings: &Settings,
) -> Result<JobSpec, ApiError> {
    const KNOWN: [&str; 7] = [
        "object",
        "operation",
        "externalIdFieldName",
        "contentType",
        "columnDelimiter",
        "lineEnding",
        "assignmentRuleId",
    ];
    let body = object_of(body, &KNOWN)?;
    let (delimiter, line_ending) = dialect(&body)?;
    let operation: Operation =
        word(&body, "operation")?.ok_or_else(|| invalid_job("No operation specified"))?;
    if operation == Operation::HardDelete && !settings.hard_delete_permission {
        return Err(ApiError::bad_request(
            "FEATURENOTENABLED",
            "hardDelete operation requires special user profile permission, \
             please contact your system administrator",
        ));
    }
    let name = text(&body, "object")?.ok_or_else(|| invalid_job("No object specified"))?;
    let object = catalogue.object(name).ok_or_else(|| {
        ApiError::bad_request(
            "INVALIDENTITY",
            format!("Entity '{name}' is not supported by the Bulk API."),
        )
    })?;
    let external_id = external_id(&body, operation, object)?;
    let assignment_rule_id = match text(&body, "assignmentRuleId")? {
        Some(rule) if RecordKey::parse(rule).is_none() => {
            return Err(invalid_job(format!("Invalid assignment rule id: {rule}")));
        }
        Some(_) if !["Case", "Lead"].contains(&object.name.as_str()) => {
            return Err(invalid_job("Assignment rules are for Case and Lead"));
        }
        rule => rule.map(str::to_owned),
    };
    Ok(JobSpec {
        object: object.name.clone(),
        operation,
        external_id,
        assignment_rule_id,
        delimiter,
        line_ending,
        created_by: creator.user,
        created_ms: creator.now_ms,
        version: creator.version,
        multipart: false,
    })
}

/// The body's fields, all of them among those known.
pub(crate) fn object_of(body: &[u8], known: &[&str]) -> Result<Map<String, Json>, ApiError> {
    let body: Json = serde_json::from_slice(body)
        .map_err(|error| parser_error(format!("The request body is not JSON: {error}")))?;
    let Json::Object(body) = body else {
        return Err(parser_error("The request body is not a JSON object"));
    };
    match body.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(parser_error(format!("Unrecognized field \"{unknown}\""))),
        None => Ok(body),
    }
}

/// `contentType`, `columnDelimiter` and `lineEnding`.
pub(crate) fn dialect(body: &Map<String, Json>) -> Result<(Delimiter, LineEnding), ApiError> {
    if let Some(content) = text(body, "contentType")?
        && content != "CSV"
    {
        return Err(invalid_job(format!("Unsupported content type: {content}")));
    }
    let delimiter = word(body, "columnDelimiter")?.unwrap_or_default();
    Ok((delimiter, word(body, "lineEnding")?.unwrap_or_default()))
}

fn parser_error(message: impl Into<String>) -> ApiError {
    ApiError::bad_request("JSON_PARSER_ERROR", message)
}

pub(crate) fn invalid_job(message: impl std::fmt::Display) -> ApiError {
    ApiError::bad_request("INVALIDJOB", format!("InvalidJob : {message}"))
}

/// A text of the body; null and empty are none.
pub(crate) fn text<'a>(
    body: &'a Map<String, Json>,
    name: &str,
) -> Result<Option<&'a str>, ApiError> {
    match body.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) if text.is_empty() => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(parser_error(format!("\"{name}\" is not a string"))),
    }
}

/// One of a set of words, in their exact letter case.
pub(crate) fn word<T: serde::de::DeserializeOwned>(
    body: &Map<String, Json>,
    name: &str,
) -> Result<Option<T>, ApiError> {
    let Some(text) = text(body, name)? else { return Ok(None) };
    serde_json::from_value(Json::from(text)).map(Some).map_err(|_| {
        parser_error(format!("Cannot deserialize \"{name}\": {text} is not one of its values"))
    })
}

/// The key of an upsert: an external id, an idLookup field, or `Id`.
fn external_id(
    body: &Map<String, Json>,
    operation: Operation,
    object: &ObjectDef,
) -> Result<Option<String>, ApiError> {
    if operation != Operation::Upsert {
        return Ok(None);
    }
    let Some(name) = text(body, "externalIdFieldName")? else {
        return Err(invalid_job(format!(
            "External ID was blank for {}. An External ID must be specified for upsert.",
            object.name
        )));
    };
    match object.field(name) {
        Some((_, field)) if field.kind == FieldKind::Id || field.external_id || field.id_lookup => {
            Ok(Some(field.name.clone()))
        }
        _ => Err(invalid_job(format!(
            "Field name provided, {name} does not match an External ID, Salesforce Id, \
             or indexed field for {}",
            object.name
        ))),
    }
}
