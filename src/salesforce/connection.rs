//! A call to the org: session, renewal on 401, retry.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::auth::Credentials;
use super::error::{CallError, Happened, Kind};
use super::refusal;
use super::retry::{Repeatable, Retry, RetryPolicy, SharedSinkDebug, parse_retry_after};
use super::transport::{Body, Fault, Incoming, Method, Outgoing, Transport};
use super::upload::{self, BytesSent, LocalTrouble, UploadBody};
use super::usage::Counters;
use crate::domain::Event;

/// Time without a byte moving after which an ordinary call is given up.
pub(super) const PATIENCE: Duration = Duration::from_mins(2);
/// The same for an upload: the last pieces may wait in the sockets of a slow
/// line, and giving up costs the whole body.
pub(super) const UPLOAD_PATIENCE: Duration = Duration::from_mins(5);
/// The service itself ends a REST call after ten minutes ("API request
/// limits"); a slow query says nothing until then.
pub(super) const QUERY_PATIENCE: Duration = Duration::from_secs(620);

/// Renewals one call may cause: a second one for the body that took so long to
/// send that the next session ran out, too; more where somebody else ends the
/// sessions of this user.
const RENEWALS: u32 = 4;

/// Texts of a 401 that a new token would not help ("Token refresh", jsforce).
const BEYOND_RENEWAL: [&str; 2] = [
    "This session is not valid for use with the REST API",
    "Connected app is not attached to Agent",
];

/// What a call carries.
pub(super) enum Payload<'a> {
    Nothing,
    Json(Bytes),
    Csv(&'a UploadBody, &'a BytesSent),
}

/// A call: what is sent, and how it may be repeated.
pub(super) struct Call<'a> {
    /// Verb phrase for people: `create the job`.
    pub name: &'static str,
    pub method: Method,
    /// Path and query, beginning with a slash.
    pub path: Cow<'a, str>,
    pub payload: Payload<'a>,
    pub accept: &'static str,
    pub header: Option<(&'static str, &'a str)>,
    pub repeatable: Repeatable,
    pub patience: Duration,
    /// Sent without the token, and not counted by the org.
    pub anonymous: bool,
}

impl<'a> Call<'a> {
    /// A call that reads JSON and may be repeated at will.
    pub(super) fn get(name: &'static str, path: impl Into<Cow<'a, str>>) -> Self {
        Call {
            name,
            method: Method::Get,
            path: path.into(),
            payload: Payload::Nothing,
            accept: "application/json",
            header: None,
            repeatable: Repeatable::Yes,
            patience: PATIENCE,
            anonymous: false,
        }
    }

    /// A call that sends JSON, by default repeated only when it certainly did
    /// not happen.
    pub(super) fn json(
        name: &'static str,
        method: Method,
        path: impl Into<Cow<'a, str>>,
        body: Vec<u8>,
    ) -> Self {
        Call {
            method,
            payload: Payload::Json(Bytes::from(body)),
            repeatable: Repeatable::OnlyIfNotHappened,
            ..Call::get(name, path)
        }
    }

    pub(super) fn error(&self, kind: Kind, happened: Happened) -> CallError {
        CallError::new(self.name, kind, happened).at(self.method.as_str(), &self.path)
    }

    pub(super) fn fault(&self, fault: Fault) -> CallError {
        self.error(fault.kind, fault.happened).of_fault(fault)
    }
}

/// One connection to an org, shared by all its lanes.
#[derive(Debug)]
pub(super) struct Connection {
    pub transport: Transport,
    pub credentials: Credentials,
    pub policy: RetryPolicy,
    pub events: Arc<SharedSinkDebug>,
    pub counters: Arc<Counters>,
    /// Whether the org declined an upload for being in gzip.
    pub refuses_gzip: AtomicBool,
}

impl Connection {
    /// Tries a call until it is answered well, and gives its status and body.
    pub(super) async fn bytes(&self, call: &Call<'_>) -> Result<(u16, Bytes), CallError> {
        let mut retry = Retry::start(&self.policy, &self.events);
        loop {
            let error = match self.attempt(call).await {
                Ok(incoming) => {
                    let status = incoming.status;
                    match incoming.whole().await {
                        Ok(body) => return Ok((status, body)),
                        // The org did it, but its answer is lost.
                        Err(fault) => CallError::status(
                            call.fault(Fault { happened: Happened::Maybe, ..fault }),
                            status,
                        ),
                    }
                }
                Err(error) => error,
            };
            retry.again(error, call.repeatable).await?;
        }
    }

    /// Tries a call until it is answered well, and reads its answer.
    pub(super) async fn fetch<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, CallError> {
        let (status, body) = self.bytes(call).await?;
        parse(call, status, &body)
    }

    /// Tries a call once (twice or more when a session must be renewed) and
    /// gives the reply, whose status is a good one.
    pub(super) async fn attempt(&self, call: &Call<'_>) -> Result<Incoming, CallError> {
        let mut renewals = 0;
        loop {
            let session = self.credentials.session();
            let (body, trouble) = self.body(call).await?;
            let outgoing = Outgoing {
                method: call.method,
                url: format!("{}{}", session.base.as_str(), call.path),
                token: (!call.anonymous).then_some(&session.token),
                accept: call.accept,
                header: call.header,
                body,
                patience: call.patience,
            };
            if !call.anonymous {
                self.counters.call();
            }
            let incoming = match self.transport.send(outgoing).await {
                Ok(incoming) => incoming,
                Err(fault) => {
                    return Err(match trouble.and_then(|trouble| trouble.take()) {
                        Some(error) => call.error(Kind::Local, Happened::Maybe).because(error),
                        None => call.fault(fault).origin(session.base.as_str()),
                    });
                }
            };
            if (200..300).contains(&incoming.status) {
                return Ok(incoming);
            }
            let error = refused(call, incoming).await;
            if error.is_push_back() {
                self.counters.push_back();
            }
            if !renewable(&error) || call.anonymous {
                return Err(error);
            }
            let error = error.kind(Kind::Login);
            if !self.credentials.can_renew() || renewals == RENEWALS {
                return Err(error);
            }
            renewals += 1;
            let renewed = self.credentials.renew(&self.transport, session.generation).await;
            // Whatever became of the login: the call itself was declined.
            if renewed.map_err(|error| error.happened(Happened::No))? {
                tracing::info!("session renewed");
                let text = "the session had run out; logged in again".to_owned();
                self.events.0.announce(Event::Note { text });
            }
        }
    }

    async fn body(&self, call: &Call<'_>) -> Result<(Body, Option<LocalTrouble>), CallError> {
        match &call.payload {
            Payload::Nothing => Ok((Body::Nothing, None)),
            Payload::Json(bytes) => {
                let bytes = bytes.clone();
                Ok((Body::Whole { content_type: "application/json", bytes }, None))
            }
            Payload::Csv(body, sent) => match upload::open(body, sent).await {
                Ok((body, trouble)) => Ok((body, Some(trouble))),
                Err(error) => Err(call.error(Kind::Local, Happened::No).because(error)),
            },
        }
    }
}

/// Reads an answer. The parser's words are reduced to a place in the text,
/// since they could quote a value (I8).
pub(super) fn parse<T: DeserializeOwned>(
    call: &Call<'_>,
    status: u16,
    body: &[u8],
) -> Result<T, CallError> {
    serde_json::from_slice(body).map_err(|error| {
        let what = if body.is_empty() {
            "it is empty".to_owned()
        } else if matches!(body.trim_ascii_start().first(), Some(b'<')) {
            refusal::read(body).message.unwrap_or_else(|| "it is a web page".to_owned())
        } else {
            format!("unexpected JSON at line {}, column {}", error.line(), error.column())
        };
        call.error(Kind::Reply, Happened::Maybe).status(status).message(what)
    })
}

async fn refused(call: &Call<'_>, incoming: Incoming) -> CallError {
    let status = incoming.status;
    let retry_after = incoming
        .header("retry-after")
        .and_then(|header| parse_retry_after(header, jiff::Timestamp::now()));
    let refusal = refusal::read(&incoming.beginning().await);
    // A gateway's 5xx says nothing about what happened behind it.
    let happened = if status >= 500 { Happened::Maybe } else { Happened::Refused };
    let mut error = call.error(Kind::Refused, happened).status(status).retry_after(retry_after);
    if let Some(code) = refusal.code {
        error = error.code(code);
    }
    if let Some(message) = refusal.message {
        error = error.message(message);
    }
    error
}

/// Whether a new session would help: a 401, or the Bulk API's own word for it.
fn renewable(error: &CallError) -> bool {
    let session = match error.status {
        Some(401) => true,
        Some(400) => {
            error.code.as_deref().is_some_and(|code| code.eq_ignore_ascii_case("InvalidSessionId"))
        }
        _ => false,
    };
    let hopeless = error
        .message
        .as_deref()
        .is_some_and(|text| BEYOND_RENEWAL.iter().any(|known| text.contains(known)));
    session && !hopeless
}
