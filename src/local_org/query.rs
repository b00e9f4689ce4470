//! `query`, `queryAll` and the pages that follow (protocol notes, section 8;
//! REST API guide, "Query" and "Query Options Header").
//!
//! A cursor keeps the ids of its records for two days of the org's clock. At
//! most [`MAX_CURSORS`] are kept; a new one takes the place of the oldest.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::errors::{ApiError, JSON_TYPE};
use super::server::{ApiVersion, CurrentUser};
use super::soql::SoqlError;
use super::soql::plan::{self, Plan, Shape};
use super::soql::read::{ReadError, Reader};
use super::soql::run::{self, Id15};
use super::state::OrgState;
use super::{automation, field_definitions};

/// Records of a page unless the client asks otherwise.
const PAGE: usize = 2000;

/// Cursors kept at once. The documented number of a user is 10; more are
/// kept so that tests may share an org.
const MAX_CURSORS: usize = 100;

/// How long a cursor lives, in milliseconds of the org's clock.
const CURSOR_LIFE: i64 = 2 * 86_400_000;

/// Open cursors, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Cursors(Mutex<VecDeque<Arc<Cursor>>>);

#[derive(Debug)]
struct Cursor {
    id: String,
    user: String,
    plan: Plan,
    deleted_too: bool,
    ids: Vec<Id15>,
    page: usize,
    expires_at: i64,
}

impl Cursors {
    fn keep(&self, cursor: Arc<Cursor>, now: i64) {
        let mut cursors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cursors.retain(|cursor| cursor.expires_at > now);
        while cursors.len() >= MAX_CURSORS {
            cursors.pop_front();
        }
        cursors.push_back(cursor);
    }

    fn find(&self, id: &str, user: &str, now: i64) -> Option<Arc<Cursor>> {
        let cursors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cursors
            .iter()
            .find(|c| c.id.get(..15) == id.get(..15) && c.user == user && c.expires_at > now)
            .cloned()
    }
}

/// `GET /query?q=...`.
pub(crate) async fn query(
    State(state): State<Arc<OrgState>>,
    Extension(user): Extension<CurrentUser>,
    Extension(version): Extension<ApiVersion>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    start(state, user, version, query, &headers, false).await
}

/// `GET /queryAll?q=...`: records in the recycle bin too.
pub(crate) async fn query_all(
    State(state): State<Arc<OrgState>>,
    Extension(user): Extension<CurrentUser>,
    Extension(version): Extension<ApiVersion>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    start(state, user, version, query, &headers, true).await
}

/// `GET /query/01g...-2000`: the page that begins with the 2,000th record.
pub(crate) async fn more(
    State(state): State<Arc<OrgState>>,
    Extension(user): Extension<CurrentUser>,
    Extension(version): Extension<ApiVersion>,
    Path(locator): Path<String>,
) -> Result<Response, ApiError> {
    let invalid = || ApiError::bad_request("INVALID_QUERY_LOCATOR", "invalid query locator");
    let (id, from) = locator.rsplit_once('-').ok_or_else(invalid)?;
    let from: usize = from.parse().map_err(|_| invalid())?;
    let cursor = state.cursors.find(id, &user.id, state.now()).ok_or_else(invalid)?;
    if from >= cursor.ids.len() {
        return Err(invalid());
    }
    blocking(move || page(&state, &cursor, from, &version.0)).await
}

async fn start(
    state: Arc<OrgState>,
    user: CurrentUser,
    version: ApiVersion,
    raw: Option<String>,
    headers: &HeaderMap,
    deleted_too: bool,
) -> Result<Response, ApiError> {
    let text = super::form::Form::parse(raw.unwrap_or_default().as_bytes())
        .get("q")
        .map(str::to_owned)
        .ok_or_else(|| {
            ApiError::bad_request("MALFORMED_QUERY", "A query string has to be specified")
        })?;
    let page_size = batch_size(headers);
    blocking(move || {
        let parsed = super::soql::parse(&text)?;
        if field_definitions::are_asked_for(&parsed) {
            return Ok(reply(field_definitions::answer(&parsed, &state.catalogue, &version.0)?));
        }
        if let Some(answer) = automation::answer(&parsed, &text, &state, &version.0) {
            return Ok(reply(answer?));
        }
        let today = run::today(state.now());
        let plan = plan::bind(&parsed, &text, &state.catalogue, today)?;
        first_page(&state, user.id, plan, deleted_too, page_size, &version.0)
    })
    .await
}

/// Runs a query off the threads that serve connections.
async fn blocking(
    work: impl FnOnce() -> Result<Response, QueryError> + Send + 'static,
) -> Result<Response, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(ApiError::from),
        Err(error) => Err(ApiError::internal(&error)),
    }
}

enum QueryError {
    Soql(SoqlError),
    Read(ReadError),
}

impl From<SoqlError> for QueryError {
    fn from(error: SoqlError) -> QueryError {
        QueryError::Soql(error)
    }
}

impl From<ReadError> for QueryError {
    fn from(error: ReadError) -> QueryError {
        QueryError::Read(error)
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> ApiError {
        match error {
            QueryError::Soql(error) => ApiError::bad_request(error.code, error.message),
            QueryError::Read(error) => ApiError::internal(&error),
        }
    }
}

/// Page size out of `Sforce-Query-Options: batchSize=200`; 200 to 2000.
fn batch_size(headers: &HeaderMap) -> usize {
    headers
        .get("sforce-query-options")
        .and_then(|value| value.to_str().ok())
        .into_iter()
        .flat_map(|value| value.split(','))
        .filter_map(|option| option.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("batchSize"))
        .and_then(|(_, size)| size.trim().parse::<usize>().ok())
        .map_or(PAGE, |size| size.clamp(200, PAGE))
}

fn first_page(
    state: &OrgState,
    user: String,
    plan: Plan,
    deleted_too: bool,
    page_size: usize,
    version: &str,
) -> Result<Response, QueryError> {
    let reader = Reader::new(&state.store).archiving(state.archived_before());
    match &plan.shape {
        Shape::Count => {
            let found = run::count(&plan, &reader, deleted_too)?;
            Ok(reply(format!(r#"{{"totalSize":{found},"done":true,"records":[]}}"#)))
        }
        Shape::Groups(grouping) => {
            let rows = grouping.run(&plan, &reader, deleted_too)??;
            Ok(reply(format!(
                r#"{{"totalSize":{},"done":true,"records":[{}]}}"#,
                rows.len(),
                rows.join(",")
            )))
        }
        Shape::Records(_) => {
            let ids = run::ids(&plan, &reader, deleted_too)?;
            let now = state.now();
            let cursor = Arc::new(Cursor {
                id: state.next_cursor_id(),
                user,
                deleted_too: deleted_too || plan.all_rows,
                plan,
                ids,
                page: page_size,
                expires_at: now.saturating_add(CURSOR_LIFE),
            });
            if cursor.ids.len() > page_size {
                state.cursors.keep(Arc::clone(&cursor), now);
            }
            page(state, &cursor, 0, version)
        }
    }
}

fn page(
    state: &OrgState,
    cursor: &Cursor,
    from: usize,
    version: &str,
) -> Result<Response, QueryError> {
    let until = from.saturating_add(cursor.page).min(cursor.ids.len());
    let ids = cursor.ids.get(from..until).unwrap_or_default();
    let done = until == cursor.ids.len();
    let mut body = format!(r#"{{"totalSize":{},"done":{done},"#, cursor.ids.len());
    if !done {
        let _ = write!(
            body,
            r#""nextRecordsUrl":"/services/data/v{version}/query/{}-{until}","#,
            cursor.id
        );
    }
    body.push_str(r#""records":"#);
    let reader = Reader::new(&state.store).archiving(state.archived_before());
    run::write_page(
        &mut body,
        &cursor.plan.object,
        run::columns(&cursor.plan),
        ids,
        cursor.deleted_too,
        version,
        &reader,
    )?;
    body.push('}');
    Ok(reply(body))
}

fn reply(body: String) -> Response {
    (StatusCode::OK, [(header::CONTENT_TYPE, JSON_TYPE)], body).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_page_size_is_a_hint_within_bounds() {
        let size = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("sforce-query-options", HeaderValue::from_static(value));
            batch_size(&headers)
        };
        assert_eq!(size("batchSize=500"), 500);
        assert_eq!(size("batchsize = 1"), 200);
        assert_eq!(size("batchSize=9999"), 2000);
        assert_eq!(size("batchSize=x"), 2000);
        assert_eq!(batch_size(&HeaderMap::new()), 2000);
    }
}
