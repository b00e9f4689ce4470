//! Query jobs over HTTP: thin handlers around [`BulkQuery`]. Paths are in the
//! form the server brings them into.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{FromRef, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use futures_util::stream;
use serde_json::Value as Json;

use super::BulkQuery;
use super::pages::{Asked, Page};
use super::results::Pieces;
use crate::local_org::errors::{ApiError, json_reply};
use crate::local_org::form::Form;
use crate::local_org::gzip::Uncompressed;
use crate::local_org::jobs::http::{JSON_LIMIT, blocking, is_type, pairs, small_body, unsupported};
use crate::local_org::jobs::illegal_state;
use crate::local_org::server::{ApiVersion, CurrentUser};
use crate::local_org::settings::EmptyResults;
use crate::local_org::state::OrgState;

/// JSON bodies with a query of 100,000 characters have to fit.
const CREATE_LIMIT: usize = 16 * JSON_LIMIT;

/// Bytes passed on at a time.
const PIECE: usize = 256 * 1024;

/// The calls of section 5.1, relative to the version's path.
pub(crate) fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    BulkQuery: FromRef<S>,
{
    Router::new()
        .route("/jobs/query", get(list).post(create))
        .route("/jobs/query/{id}", get(info).patch(patch).delete(delete))
        .route("/jobs/query/{id}/results", get(results))
        .route("/jobs/query/{id}/resultpages", get(links))
}

impl FromRef<Arc<OrgState>> for BulkQuery {
    fn from_ref(state: &Arc<OrgState>) -> BulkQuery {
        state.bulk_query.clone()
    }
}

async fn create(
    State(bulk): State<BulkQuery>,
    Extension(user): Extension<CurrentUser>,
    Extension(version): Extension<ApiVersion>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    if !is_type(&headers, "application/json") {
        return Err(unsupported(&headers));
    }
    let body = small_body(&headers, body, CREATE_LIMIT).await?;
    let (_, reply) = blocking(move || bulk.create(&body, &user.id, &version.0)).await?;
    Ok(json_reply(StatusCode::OK, &reply))
}

async fn list(
    State(bulk): State<BulkQuery>,
    Extension(version): Extension<ApiVersion>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = pairs(query.as_deref().unwrap_or_default());
    let body = blocking(move || bulk.list(&query, &version.0)).await?;
    Ok(json_reply(StatusCode::OK, &body))
}

async fn info(
    State(bulk): State<BulkQuery>,
    Extension(user): Extension<CurrentUser>,
    Extension(version): Extension<ApiVersion>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let body = blocking(move || {
        let job = bulk.job(&id, &user.id, &version.0)?;
        Ok(bulk.info(&job))
    })
    .await?;
    Ok(json_reply(StatusCode::OK, &body))
}

async fn patch(
    State(bulk): State<BulkQuery>,
    Extension(user): Extension<CurrentUser>,
    Extension(version): Extension<ApiVersion>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    if !is_type(&headers, "application/json") {
        return Err(unsupported(&headers));
    }
    let body = small_body(&headers, body, JSON_LIMIT).await?;
    let reply = blocking(move || {
        let job = bulk.job(&id, &user.id, &version.0)?;
        let body: Json = serde_json::from_slice(&body)
            .map_err(|error| ApiError::bad_request("JSON_PARSER_ERROR", error.to_string()))?;
        match body.get("state").and_then(Json::as_str) {
            Some("Aborted") => bulk.abort(&job),
            Some(other) => Err(illegal_state(format!("A query job can't be set to state {other}"))),
            None => Err(ApiError::bad_request("INVALIDJOB", "InvalidJob : No state specified")),
        }
    })
    .await?;
    Ok(json_reply(StatusCode::OK, &reply))
}

async fn delete(
    State(bulk): State<BulkQuery>,
    Extension(user): Extension<CurrentUser>,
    Extension(version): Extension<ApiVersion>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    blocking(move || {
        let job = bulk.job(&id, &user.id, &version.0)?;
        bulk.delete(&job)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn links(
    State(bulk): State<BulkQuery>,
    Extension(user): Extension<CurrentUser>,
    Extension(version): Extension<ApiVersion>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let body = blocking(move || {
        let job = bulk.job(&id, &user.id, &version.0)?;
        let form = Form::parse(query.unwrap_or_default().as_bytes());
        bulk.links(&job, form.get("locator"), &version.0)
    })
    .await?;
    Ok(json_reply(StatusCode::OK, &body))
}

async fn results(
    State(bulk): State<BulkQuery>,
    Extension(user): Extension<CurrentUser>,
    Extension(version): Extension<ApiVersion>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let form = Form::parse(query.unwrap_or_default().as_bytes());
    let text = |name: &str| form.get(name).map(str::to_owned);
    let asked = Asked { locator: text("locator"), max_records: text("maxRecords") };
    let asking = bulk.clone();
    let page = blocking(move || {
        let job = asking.job(&id, &user.id, &version.0)?;
        asking.page(&job, &asked, &version.0)
    })
    .await?;
    Ok(reply(&bulk, page))
}

fn reply(bulk: &BulkQuery, page: Page) -> Response {
    let settings = &bulk.inner.settings;
    let rows = page.rows;
    let next = page.next.as_deref().unwrap_or("null").to_owned();
    let mut reply = match settings.empty_query_results {
        EmptyResults::NoContent if rows == 0 => StatusCode::NO_CONTENT.into_response(),
        EmptyResults::EmptyBody if rows == 0 => Response::new(Body::empty()),
        _ => Response::new(stream_of(page, bulk.inner.downloads.clone())),
    };
    let headers = reply.headers_mut();
    if rows > 0 || settings.empty_query_results != EmptyResults::NoContent {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv"));
    }
    headers.insert("sforce-numberofrecords", HeaderValue::from(rows));
    if let Ok(next) = HeaderValue::from_str(&next) {
        headers.insert("sforce-locator", next);
    }
    if !settings.compressed_query_results {
        reply.extensions_mut().insert(Uncompressed);
    }
    reply
}

/// The speed that all downloads share.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// Bytes a second.
    speed: Option<u64>,
    /// When what was let through before is through.
    next_free: Arc<Mutex<Option<Instant>>>,
}

impl Pace {
    /// So many bytes a second; none: no limit.
    pub(crate) fn new(speed: Option<u64>) -> Pace {
        Pace { speed: speed.filter(|speed| *speed > 0), next_free: Arc::default() }
    }

    /// Bytes to pass on at a time: about a hundredth of a second's.
    fn piece(&self) -> usize {
        let fitting = self.speed.and_then(|speed| usize::try_from(speed / 100).ok());
        fitting.map_or(PIECE, |bytes| bytes.clamp(1_024, PIECE))
    }

    /// Waits until so many more bytes are through.
    async fn wait(&self, bytes: usize) {
        let Some(speed) = self.speed else { return };
        let due = {
            let mut next = self.next_free.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let start = next.map_or(now, |next| next.max(now));
            let due = start + Duration::from_secs_f64(bytes as f64 / speed as f64);
            *next = Some(due);
            due
        };
        tokio::time::sleep_until(due.into()).await;
    }
}

struct Sending {
    header: Option<Vec<u8>>,
    rows: Pieces,
    pace: Pace,
}

/// A page as a body, read off the async threads as the client takes it.
fn stream_of(page: Page, pace: Pace) -> Body {
    let sending = Sending { header: Some(page.header), rows: page.body, pace };
    Body::from_stream(stream::unfold(Some(sending), async |state| {
        let mut sending = state?;
        if let Some(header) = sending.header.take() {
            sending.pace.wait(header.len()).await;
            return Some((Ok(Bytes::from(header)), Some(sending)));
        }
        let most = sending.pace.piece();
        let (piece, sending) = if sending.rows.in_memory() {
            (sending.rows.next(most), sending)
        } else {
            let read = tokio::task::spawn_blocking(move || (sending.rows.next(most), sending));
            match read.await {
                Ok(read) => read,
                Err(panicked) => return Some((Err(io::Error::other(panicked)), None)),
            }
        };
        match piece {
            Ok(piece) if piece.is_empty() => None,
            Ok(piece) => {
                sending.pace.wait(piece.len()).await;
                Some((Ok(piece), Some(sending)))
            }
            Err(error) => Some((Err(error), None)),
        }
    }))
}
