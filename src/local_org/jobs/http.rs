//! Requests with small bodies over HTTP, and work that may wait.

use std::io::Read as _;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};

use crate::local_org::errors::ApiError;

/// JSON bodies may have this many bytes; none that makes sense has a
/// hundredth of it.
pub(crate) const JSON_LIMIT: usize = 64 * 1024;

/// Runs what may wait for SQLite or a file off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ApiError::internal(&error)),
    }
}

pub(crate) fn unsupported(headers: &HeaderMap) -> ApiError {
    let given = content_type(headers);
    ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "UNSUPPORTED_MEDIA_TYPE",
        format!("Content type '{given}' is not supported"),
    )
}

pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

pub(crate) fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    content_type(headers).split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case(wanted))
}

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Plain,
    Gzip,
    Deflate,
}

/// The coding that a request names; `None` for one that is not known.
pub(crate) fn coding(headers: &HeaderMap) -> Option<Coding> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Some(Coding::Plain) };
    match value.to_str().ok()?.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Some(Coding::Plain),
        "gzip" | "x-gzip" => Some(Coding::Gzip),
        "deflate" => Some(Coding::Deflate),
        _ => None,
    }
}

/// Reads a small body whole, uncompressed.
pub(crate) async fn small_body(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Vec<u8>, ApiError> {
    let too_large = || {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "REQUEST_ENTITY_TOO_LARGE",
            "The request body is too large",
        )
    };
    let bytes = axum::body::to_bytes(body, limit).await.map_err(|_| too_large())?;
    let broken = |_| ApiError::bad_request("CLIENTINPUTERROR", "The request body can't be decoded");
    let most = limit as u64 + 1;
    let mut text = Vec::new();
    match coding(headers).ok_or_else(|| unsupported(headers))? {
        Coding::Plain => text.extend_from_slice(&bytes),
        Coding::Gzip => {
            let mut read = flate2::read::MultiGzDecoder::new(&bytes[..]).take(most);
            read.read_to_end(&mut text).map_err(broken)?;
        }
        Coding::Deflate => {
            let mut read = flate2::read::ZlibDecoder::new(&bytes[..]).take(most);
            read.read_to_end(&mut text).map_err(broken)?;
        }
    }
    if text.len() > limit { Err(too_large()) } else { Ok(text) }
}

/// The filters of the list need no decoding: none has a value with an escape.
pub(crate) fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
