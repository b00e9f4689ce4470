//! The HTTP side: a listener on the loopback interface, what happens to every
//! request before and after its handler, and the table of routes.
//!
//! The service takes paths in any letter case and with a trailing slash
//! (protocol notes, section 2.1). So before routing a path is brought into one
//! form: `/services/data/v66.0/` becomes `/data/`, the fixed words become
//! lower case, the slash at the end goes. Routes are written in that form.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::errors::ApiError;
use super::state::OrgState;
use super::{
    auth, automation, bulk_query, describe, faults, gzip, ingest, limits, picklists, query,
    records, versions,
};

/// URI and headers together may have this many bytes (protocol notes, section 6).
const MAX_HEAD: usize = 16_384;

/// Who makes the request; in the extensions of every request with a good token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CurrentUser {
    /// 18-character id.
    pub id: String,
}

/// The API version of the request's path, such as `66.0`; in its extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiVersion(pub String);

/// All routes, on paths as [`canonical`] makes them.
pub(crate) fn app(state: Arc<OrgState>) -> Router {
    let data = Router::new()
        .route("/", get(versions::resources))
        .route("/sobjects", get(describe::list))
        .route("/sobjects/{object}", get(describe::basic))
        .route("/sobjects/{object}/describe", get(describe::describe))
        .route("/sobjects/{object}/{id}", get(records::one))
        .route("/sobjects/{object}/{field}/{value}", get(records::by_key))
        .route("/query", get(query::query))
        .route("/queryall", get(query::query_all))
        .route("/query/{cursor}", get(query::more))
        .route("/queryall/{cursor}", get(query::more))
        .route("/tooling/query", get(automation::tooling_query))
        .route("/ui-api/object-info/{object}/picklist-values/{id}", get(picklists::of_record_type))
        .route("/limits", get(limits::limits))
        .route("/limits/recordcount", get(limits::record_count))
        .merge(ingest::routes())
        .merge(bulk_query::routes());
    let routes = Router::new()
        .route("/services/data", get(versions::list))
        .route("/services/oauth2/authorize", get(auth::authorize))
        .route("/services/oauth2/token", post(auth::token))
        .route("/services/oauth2/revoke", get(auth::revoke).post(auth::revoke))
        .route("/services/oauth2/userinfo", get(auth::userinfo).post(auth::userinfo))
        .route("/id/{org}/{user}", get(auth::identity))
        .nest("/data", data)
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(not_allowed)
        .with_state(Arc::clone(&state));
    // The layer has to see a request before it is routed, so it lies around
    // an outer router that has no routes of its own.
    Router::new().fallback_service(routes).layer(middleware::from_fn_with_state(state, around))
}

async fn not_allowed(request: Request) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        format!("HTTP Method '{}' not allowed", request.method()),
    )
}

/// What happens to every request and every reply.
async fn around(State(state): State<Arc<OrgState>>, mut request: Request, next: Next) -> Response {
    let wants_gzip = gzip::wanted(request.headers());
    let reply = match prepare(&state, &mut request) {
        Ok(()) if state.ingest.faults().spec().is_empty() => next.run(request).await,
        Ok(()) => faults::around(&state, request, next).await,
        Err(refusal) => refusal.into_response(),
    };
    let reply = if wants_gzip { gzip::compressed(reply) } else { reply };
    let mut reply = faults::late(reply);
    let headers = reply.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&state.usage_header()) {
        headers.insert("sforce-limit-info", value);
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache,must-revalidate,max-age=0,no-store,private"));
    reply
}

/// Brings the path into its one form, checks the token and counts the call.
fn prepare(state: &OrgState, request: &mut Request) -> Result<(), ApiError> {
    check_size(request)?;
    let canonical = canonical(request.uri().path());
    if let Some(version) = &canonical.version {
        versions::check(version)?;
    }
    let open = canonical.path.starts_with("/services/oauth2/")
        && canonical.path != "/services/oauth2/userinfo";
    if !open && canonical.path != "/services/data" {
        let token = bearer(request.headers())?;
        let user = state.auth.user_of(token, state.now()).ok_or_else(ApiError::invalid_session)?;
        let faults = state.ingest.faults();
        if let Some(most) = faults.session_calls()
            && state.auth.use_session(token) > most
            && faults.take("session-calls")
        {
            state.auth.end(token).map_err(|error| ApiError::internal(&error))?;
            return Err(ApiError::invalid_session());
        }
        state.count_call()?;
        request.extensions_mut().insert(CurrentUser { id: user });
    }
    if let Some(version) = canonical.version {
        request.extensions_mut().insert(ApiVersion(version));
    }
    let path_and_query = match request.uri().query() {
        Some(query) => format!("{}?{query}", canonical.path),
        None => canonical.path,
    };
    let path_and_query: PathAndQuery = path_and_query.parse().map_err(|_| ApiError::not_found())?;
    *request.uri_mut() = Uri::from(path_and_query);
    Ok(())
}

fn check_size(request: &Request) -> Result<(), ApiError> {
    let uri = request.uri().path_and_query().map_or(0, |all| all.as_str().len());
    let headers: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if uri > MAX_HEAD {
        return Err(ApiError::new(StatusCode::URI_TOO_LONG, "URI_TOO_LONG", "URI Too Long"));
    }
    if uri + headers > MAX_HEAD {
        return Err(ApiError::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "REQUEST_HEADER_FIELDS_TOO_LARGE",
            "Request Header Fields Too Large",
        ));
    }
    Ok(())
}

/// The token of `Authorization: Bearer ...` (`OAuth` is an old name for it).
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err(ApiError::invalid_session());
    };
    let value = value.to_str().map_err(|_| ApiError::invalid_auth_header())?;
    let (scheme, token) = value.split_once(' ').ok_or_else(ApiError::invalid_auth_header)?;
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("oauth");
    let token = token.trim();
    // Anything not of the form `00D...!...` is no token at all, such as the
    // text the Salesforce CLI puts where it redacts one.
    let shaped = token.starts_with("00D") && token.contains('!') && !token.contains(' ');
    if known && shaped { Ok(token) } else { Err(ApiError::invalid_auth_header()) }
}

/// A path in the form routes are written in.
#[derive(Debug, PartialEq, Eq)]
struct Canonical {
    path: String,
    /// `66.0` of `/services/data/v66.0/...`.
    version: Option<String>,
}

fn canonical(path: &str) -> Canonical {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let is = |at: usize, word: &str| {
        segments.get(at).is_some_and(|segment| segment.eq_ignore_ascii_case(word))
    };
    let version = (is(0, "services") && is(1, "data"))
        .then(|| segments.get(2))
        .flatten()
        .map(|segment| segment.strip_prefix(['v', 'V']).unwrap_or(segment).to_owned());
    let start = if version.is_some() { 3 } else { 0 };
    let mut canonical = String::from(if version.is_some() { "/data" } else { "" });
    for (at, segment) in segments.iter().enumerate().skip(start) {
        canonical.push('/');
        // Values of external ids and ids keep their letter case.
        let kept = match (version.is_some(), at) {
            (true, 3) => false,
            (true, 4 | 6) if is(3, "jobs") || is(3, "ui-api") => false,
            (true, 4) if is(3, "tooling") => false,
            (true, 4) => !is(3, "limits"),
            (true, 5) if is(3, "sobjects") => !is(5, "describe"),
            (true, _) => true,
            (false, _) => !is(0, "services"),
        };
        if kept {
            canonical.push_str(segment);
        } else {
            canonical.push_str(&segment.to_ascii_lowercase());
        }
    }
    if canonical.is_empty() || (canonical == "/data" && version.is_none()) {
        canonical.push('/');
    }
    Canonical { path: canonical, version }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_into_one_form() {
        for (given, path, version) in [
            ("/services/data/", "/services/data", None),
            ("/Services/Data", "/services/data", None),
            ("/services/data/v66.0", "/data", Some("66.0")),
            ("/services/data/V66.0/Jobs/Ingest/", "/data/jobs/ingest", Some("66.0")),
            (
                "/services/data/v62.0/jobs/ingest/750AbC/successfulResults/",
                "/data/jobs/ingest/750AbC/successfulresults",
                Some("62.0"),
            ),
            (
                "/services/data/v62.0/sobjects/Account/Describe",
                "/data/sobjects/Account/describe",
                Some("62.0"),
            ),
            (
                "/services/data/v62.0/sobjects/Account/Key__c/Describe%20Me",
                "/data/sobjects/Account/Key__c/Describe%20Me",
                Some("62.0"),
            ),
            (
                "/services/data/v62.0/UI-API/Object-Info/Account/Picklist-Values/012aB",
                "/data/ui-api/object-info/Account/picklist-values/012aB",
                Some("62.0"),
            ),
            ("/services/data/v62.0/tooling/Query/", "/data/tooling/query", Some("62.0")),
            ("/services/data/v62.0/limits/recordCount", "/data/limits/recordcount", Some("62.0")),
            ("/services/data/v62.0/query/01gAbC-2000", "/data/query/01gAbC-2000", Some("62.0")),
            ("/id/00DAb/005Cd/", "/id/00DAb/005Cd", None),
            ("/", "/", None),
        ] {
            let version = version.map(str::to_owned);
            assert_eq!(canonical(given), Canonical { path: path.to_owned(), version }, "{given}");
        }
    }

    #[test]
    fn what_is_no_token_is_told_from_one_that_ended() {
        let code = |value: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            bearer(&headers).map(str::to_owned).map_err(|error| error.code)
        };
        assert_eq!(code(Some("Bearer 00Dx!abc")).unwrap(), "00Dx!abc");
        assert_eq!(code(Some("OAuth 00Dx!abc")).unwrap(), "00Dx!abc");
        assert_eq!(code(None).unwrap_err(), "INVALID_SESSION_ID");
        let redacted = "Bearer [REDACTED] Use 'sf org auth show-access-token' to view";
        assert_eq!(code(Some(redacted)).unwrap_err(), "INVALID_AUTH_HEADER");
        assert_eq!(code(Some("Basic eDp5")).unwrap_err(), "INVALID_AUTH_HEADER");
    }
}
