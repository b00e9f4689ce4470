//! Faults of HTTP calls: what happens around their handlers.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use serde_json::json;

use super::Struck;
use super::body::{Happens, Where, cut, disturbed};
use super::spec::{Act, Call, CallFault, Cut, Point};
use super::wire::{End, Handle};
use crate::local_org::errors::{ApiError, json_reply};
use crate::local_org::server::bearer;
use crate::local_org::state::OrgState;

/// Bytes of a body that is read to tell a close from an abort.
const SMALL_BODY: usize = 64 * 1024;

/// What happens to a reply once it is compressed; in its extensions until then.
#[derive(Debug, Clone)]
struct Late {
    happens: Happens,
    place: Where,
    handle: Handle,
}

/// Serves a call, or does to it what is due. Its path is in the form that
/// routes are written in.
pub(crate) async fn around(state: &Arc<OrgState>, request: Request, next: Next) -> Response {
    let (call, request) = kind(request).await;
    let faults = &state.ingest.faults();
    let (jump, struck) = faults.on_call(call);
    if jump != 0 {
        state.clock.shift(jump);
    }
    match struck {
        Some(struck @ Struck { fault: CallFault::Cut(how), .. }) => {
            let reply = next.run(request).await;
            shortened(state, reply, struck, how)
        }
        Some(struck) if faults.take(&struck.name()) => strike(state, struck, request, next).await,
        _ => next.run(request).await,
    }
}

/// Does to a compressed reply what is still due.
pub(crate) fn late(mut reply: Response) -> Response {
    let Some(late) = reply.extensions_mut().remove::<Late>() else { return reply };
    let (mut parts, body) = reply.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = disturbed(body, late.happens, late.place, late.handle, true);
    Response::from_parts(parts, body)
}

/// What kind of call this is. A close differs from an abort by its body only.
async fn kind(request: Request) -> (Call, Request) {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let segments: Vec<&str> = path.split('/').collect();
    let method = request.method();
    let call = match segments.as_slice() {
        ["services", "oauth2", "token"] => Call::Token,
        ["data", "jobs", "ingest"] if method == Method::POST => Call::Create,
        ["data", "jobs", "ingest"] => Call::List,
        ["data", "jobs", "ingest", _] if method == Method::GET => Call::Info,
        ["data", "jobs", "ingest", _] if method == Method::DELETE => Call::Delete,
        ["data", "jobs", "ingest", _] if method == Method::PATCH => return patch(request).await,
        ["data", "jobs", "ingest", _, "batches"] => Call::Upload,
        ["data", "jobs", "ingest", _, "successfulresults"] => Call::Successful,
        ["data", "jobs", "ingest", _, "failedresults"] => Call::Failed,
        ["data", "jobs", "ingest", _, "unprocessedrecords"] => Call::Unprocessed,
        ["data", "jobs", "query"] if method == Method::POST => Call::QueryCreate,
        ["data", "jobs", "query"] => Call::QueryList,
        ["data", "jobs", "query", _] if method == Method::GET => Call::QueryInfo,
        ["data", "jobs", "query", _] if method == Method::DELETE => Call::QueryDelete,
        ["data", "jobs", "query", _] if method == Method::PATCH => Call::QueryAbort,
        ["data", "jobs", "query", _, "results"] => Call::QueryResults,
        ["data", "jobs", "query", _, "resultpages"] => Call::QueryPages,
        ["data", "query" | "queryall", ..] | ["data", "tooling", "query"] => Call::Query,
        ["data", "sobjects"]
        | ["data", "sobjects", _]
        | ["data", "sobjects", _, "describe"]
        | ["data", "ui-api", ..] => Call::Describe,
        ["data", "limits", ..] => Call::Limits,
        _ => Call::Other,
    };
    (call, request)
}

async fn patch(request: Request) -> (Call, Request) {
    let (parts, body) = request.into_parts();
    // One that is too large or breaks off is refused by the handler as empty.
    let bytes = axum::body::to_bytes(body, SMALL_BODY).await.unwrap_or_default();
    let aborts = serde_json::from_slice::<serde_json::Value>(&bytes)
        .is_ok_and(|body| body.get("state").is_some_and(|state| state == "Aborted"));
    let call = if aborts { Call::Abort } else { Call::Close };
    (call, Request::from_parts(parts, Body::from(bytes)))
}

async fn strike(state: &OrgState, struck: Struck, request: Request, next: Next) -> Response {
    let handle = request.extensions().get::<ConnectInfo<Handle>>();
    let handle = handle.map(|info| info.0.clone()).unwrap_or_default();
    match struck.fault {
        CallFault::Status { code, html, done, retry_after } => {
            if done {
                // Carried out; what it came to is not told.
                drop(next.run(request).await);
            } else {
                drain(request).await;
            }
            status(code, html, retry_after)
        }
        CallFault::Busy => {
            drain(request).await;
            let message = "ConcurrentRequests (Concurrent API Requests) Limit exceeded.";
            ApiError::new(StatusCode::FORBIDDEN, "REQUEST_LIMIT_EXCEEDED", message).into_response()
        }
        CallFault::Expired => {
            if let Ok(token) = bearer(request.headers())
                && let Err(error) = state.auth.end(token)
            {
                return ApiError::internal(&error).into_response();
            }
            drain(request).await;
            ApiError::invalid_session().into_response()
        }
        CallFault::Refused => {
            drain(request).await;
            let body =
                json!({"error": "invalid_grant", "error_description": "authentication failure"});
            json_reply(StatusCode::BAD_REQUEST, &body)
        }
        CallFault::Connection(act, Point::Before) => match happen(act, &handle).await {
            Some(unsent) => unsent,
            None => next.run(request).await,
        },
        CallFault::Connection(act, Point::InRequest) => {
            let place = Where::Within(struck.place);
            next.run(disturbed_request(request, act, place, handle)).await
        }
        CallFault::Connection(act, Point::AfterRequest) => {
            next.run(disturbed_request(request, act, Where::Behind, handle)).await
        }
        CallFault::Connection(act, point) => {
            let mut reply = next.run(request).await;
            // A reply that can't have a body is struck before its head.
            if point == Point::Done || reply.status() == StatusCode::NO_CONTENT {
                return happen(act, &handle).await.unwrap_or(reply);
            }
            let place =
                if point == Point::InReply { Where::Within(struck.place) } else { Where::Behind };
            reply.extensions_mut().insert(Late { happens: Happens::Act(act), place, handle });
            reply
        }
        // Struck where its reply is.
        CallFault::Cut(_) => next.run(request).await,
    }
}

fn disturbed_request(request: Request, act: Act, place: Where, handle: Handle) -> Request {
    let (parts, body) = request.into_parts();
    let body = disturbed(body, Happens::Act(act), place, handle, false);
    Request::from_parts(parts, body)
}

/// Cuts a result set short.
fn shortened(state: &Arc<OrgState>, mut reply: Response, struck: Struck, how: Cut) -> Response {
    let faults = Arc::clone(state.ingest.faults());
    if reply.status() != StatusCode::OK {
        return reply;
    }
    if how == Cut::OnWire {
        if faults.take(&struck.name()) {
            let (happens, place) = (Happens::Ends, Where::Within(struck.place));
            reply.extensions_mut().insert(Late { happens, place, handle: Handle::default() });
        }
        return reply;
    }
    let (parts, body) = reply.into_parts();
    let strikes = move || faults.take(&struck.name());
    let body = cut(body, how == Cut::InRecord, struck.place, strikes);
    Response::from_parts(parts, body)
}

/// Lets something happen to the connection; gives a reply that can't be sent
/// any more when that is its end.
async fn happen(act: Act, handle: &Handle) -> Option<Response> {
    match act {
        Act::Stall(ms) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            return None;
        }
        Act::StallReset(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Act::Reset | Act::Hangup => {}
    }
    handle.end(if act == Act::Hangup { End::Close } else { End::Reset });
    Some(StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// Reads a request to its end, or its client would hear of a broken
/// connection instead of the reply.
async fn drain(request: Request) {
    let mut body = request.into_body().into_data_stream();
    while let Some(Ok(_)) = body.next().await {}
}

/// An answer of the servers in front of the org, or of an org in trouble.
fn status(code: u16, html: bool, retry_after: Option<u64>) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let reason = status.canonical_reason().unwrap_or_default();
    let mut reply = if html {
        let page = format!(
            "<html>\n<head><title>{code} {reason}</title></head>\n<body>\n<h1>{reason}</h1>\n\
             <p>We are down for maintenance.</p>\n</body>\n</html>\n"
        );
        (status, [(header::CONTENT_TYPE, "text/html; charset=UTF-8")], page).into_response()
    } else {
        let (error, message) = match code {
            500 => (
                "UNKNOWN_EXCEPTION",
                "An unexpected error occurred. Please include this ErrorId if you contact \
                 support: 1234567890-12345 (1234567890)",
            ),
            429 => ("TOO_MANY_REQUESTS", "Too many requests"),
            409 => ("CONFLICT", "The request conflicts with the state of the resource"),
            _ => ("SERVER_UNAVAILABLE", "The server is currently unavailable"),
        };
        ApiError::new(status, error, message).into_response()
    };
    if let Some(ms) = retry_after {
        let seconds = ms.div_ceil(1_000);
        reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    reply
}
