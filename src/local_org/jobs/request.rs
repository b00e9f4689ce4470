//! The parts of a request that make or find jobs: the fields of a JSON body, one
//! by one, and what is told of those that are wrong.

use serde_json::{Map, Value as Json};

use super::{Delimiter, LineEnding};
use crate::local_org::errors::ApiError;

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

/// 400 of a parameter whose value means nothing.
pub(crate) fn bad_parameter(name: &str, value: &str) -> ApiError {
    ApiError::bad_request("INVALID_QUERY_FILTER", format!("Invalid value for {name}: {value}"))
}
