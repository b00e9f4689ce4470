//! Errors as the REST API tells them: an HTTP status and a JSON array
//! `[{"errorCode","message","fields"}]` (REST API guide, "Status Codes and
//! Error Responses").

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The media type of every JSON body the service sends.
pub(crate) const JSON_TYPE: HeaderValue =
    HeaderValue::from_static("application/json;charset=UTF-8");

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable word for programs (`NOT_FOUND`, `INVALIDJOBSTATE`).
    pub code: Cow<'static, str>,
    /// Text for people.
    pub message: String,
    /// Fields the message is about; left out of the body when empty.
    pub fields: Vec<String>,
}

impl ApiError {
    /// An error of any status.
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> ApiError {
        ApiError { status, code: code.into(), message: message.into(), fields: Vec::new() }
    }

    /// 400: the request can't be served as it is.
    pub(crate) fn bad_request(
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 404 of an unknown path, record or job (protocol notes, section 2.6).
    pub(crate) fn not_found() -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", "The requested resource does not exist")
    }

    /// 401 of an unknown, expired or revoked token (protocol notes, section 1.3).
    pub(crate) fn invalid_session() -> ApiError {
        ApiError::new(StatusCode::UNAUTHORIZED, "INVALID_SESSION_ID", "Session expired or invalid")
    }

    /// 401 of an `Authorization` header that holds no token (section 1.3).
    pub(crate) fn invalid_auth_header() -> ApiError {
        ApiError::new(StatusCode::UNAUTHORIZED, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")
    }

    /// 500: something in here broke. The cause goes to the log, not to the client.
    pub(crate) fn internal(cause: &dyn std::error::Error) -> ApiError {
        tracing::error!(cause = %cause, "the local org failed to serve a request");
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "UNKNOWN_EXCEPTION",
            "An unexpected error occurred in the local org",
        )
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ApiError {}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({"message": self.message, "errorCode": self.code});
        if !self.fields.is_empty()
            && let Some(object) = body.as_object_mut()
        {
            object.insert("fields".to_owned(), json!(self.fields));
        }
        let text = json!([body]).to_string();
        (self.status, [(header::CONTENT_TYPE, JSON_TYPE)], text).into_response()
    }
}

/// A JSON body with the service's own media type.
pub(crate) fn json_reply(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, JSON_TYPE)], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_body_is_an_array_and_leaves_empty_fields_out() {
        let reply = ApiError::not_found().into_response();
        assert_eq!(reply.status(), StatusCode::NOT_FOUND);
        let bytes = axum::body::to_bytes(reply.into_body(), 1000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            body,
            json!([{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}])
        );
    }
}
