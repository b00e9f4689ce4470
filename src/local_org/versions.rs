//! API versions: what is listed, what is served, what is retired.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value as Json, json};

use super::errors::{ApiError, json_reply};
use super::server::ApiVersion;
use super::state::OrgState;

/// The versions listed, with the labels of their releases.
const LISTED: [(u32, &str); 9] = [
    (58, "Summer '23"),
    (59, "Winter '24"),
    (60, "Spring '24"),
    (61, "Summer '24"),
    (62, "Winter '25"),
    (63, "Spring '25"),
    (64, "Summer '25"),
    (65, "Winter '26"),
    (66, "Spring '26"),
];

/// The first version that is served; 21 to 30 were retired in Summer '25
/// (the protocol notes, release map).
const FIRST_SERVED: u32 = 31;

/// The newest version of this org.
pub(crate) const NEWEST: u32 = 66;

/// Whether a version such as `66.0` is served.
///
/// # Errors
/// 410 for a retired one, 404 for one that never was.
pub(crate) fn check(version: &str) -> Result<(), ApiError> {
    let number = version
        .strip_suffix(".0")
        .filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|digits| digits.parse::<u32>().ok())
        .ok_or_else(ApiError::not_found)?;
    if number < FIRST_SERVED {
        return Err(ApiError::new(
            StatusCode::GONE,
            "UNSUPPORTED_API_VERSION",
            format!("API version {version} is retired; use {FIRST_SERVED}.0 or newer"),
        ));
    }
    if number > NEWEST { Err(ApiError::not_found()) } else { Ok(()) }
}

/// `GET /services/data`: no token needed.
pub(crate) async fn list() -> Response {
    let versions: Vec<Json> = LISTED
        .iter()
        .map(|(number, label)| {
            json!({
                "label": label,
                "url": format!("/services/data/v{number}.0"),
                "version": format!("{number}.0"),
            })
        })
        .collect();
    json_reply(StatusCode::OK, &Json::Array(versions))
}

/// `GET /services/data/v66.0`: where things are, and who is asking.
pub(crate) async fn resources(
    State(state): State<Arc<OrgState>>,
    Extension(version): Extension<ApiVersion>,
) -> Response {
    let at = |resource: &str| format!("/services/data/v{}/{resource}", version.0);
    json_reply(
        StatusCode::OK,
        &json!({
            "identity": format!("{}/id/{}", state.url, state.org_id),
            "jobs": at("jobs"),
            "limits": at("limits"),
            "query": at("query"),
            "queryAll": at("queryAll"),
            "sobjects": at("sobjects"),
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retired_and_unknown_versions_are_told_apart() {
        assert!(check("66.0").is_ok() && check("31.0").is_ok());
        assert_eq!(check("30.0").unwrap_err().status, StatusCode::GONE);
        assert_eq!(check("67.0").unwrap_err().status, StatusCode::NOT_FOUND);
        assert_eq!(check("latest").unwrap_err().status, StatusCode::NOT_FOUND);
        assert_eq!(check("66.1").unwrap_err().status, StatusCode::NOT_FOUND);
    }
}
