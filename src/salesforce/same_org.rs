//! Whether a renewed login still leads to the org that was connected to (I11).
//!
//! A login is a way, not an org: an alias can be pointed elsewhere, a sandbox
//! refreshed under the same address. The token names its org before its `!`,
//! the token reply in `id`; where neither does, the org is asked with the new
//! token before anything else is sent with it.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::auth::Session;
use super::error::{CallError, Happened, Kind, RENEW};
use super::org::resource;
use super::transport::{Body, Method, Outgoing, Transport};
use super::version::ApiVersion;
use super::{encode, identity, refusal};

/// What every session of a connection is bound to.
#[derive(Debug)]
pub(super) struct Bound {
    /// 18-character id of the org.
    pub org_id: String,
    /// The API version of its calls.
    pub version: ApiVersion,
}

/// The questions are small and answered at once.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Deserialize)]
struct UserInfo {
    organization_id: Option<String>,
}

#[derive(Deserialize)]
struct Organizations {
    records: Vec<Organization>,
}

#[derive(Deserialize)]
struct Organization {
    #[serde(rename = "Id")]
    id: Option<String>,
}

/// Checks that a new session belongs to the org.
///
/// # Errors
/// [`Kind::Identity`], which does not pass, when it belongs to another or
/// can't be told; the call's own error when the org can't be asked right now.
pub(super) async fn check(
    transport: &Transport,
    session: &Session,
    bound: &Bound,
) -> Result<(), CallError> {
    if let Some(now) = identity::org_named_by(session) {
        return compare(&bound.org_id, &now);
    }
    let info: Option<UserInfo> = ask(transport, session, "/services/oauth2/userinfo").await?;
    let told = info.and_then(|info| identity::org_id(info.organization_id.as_deref()?));
    if let Some(now) = told {
        return compare(&bound.org_id, &now);
    }
    let query = format!("query?q={}", encode("SELECT Id FROM Organization"));
    let reply: Option<Organizations> =
        ask(transport, session, &resource(bound.version, &query)).await?;
    let record = reply.and_then(|reply| reply.records.into_iter().next());
    match record.and_then(|record| identity::org_id(record.id.as_deref()?)) {
        Some(now) => compare(&bound.org_id, &now),
        None => Err(not_the_same("the new token does not tell which org it is for".to_owned())),
    }
}

/// Compares two org ids of 18 characters.
///
/// # Errors
/// [`Kind::Identity`] when they differ.
pub(super) fn compare(before: &str, now: &str) -> Result<(), CallError> {
    if before == now {
        return Ok(());
    }
    Err(not_the_same(format!("the login leads to org {now} now, it led to {before} before")))
}

fn not_the_same(message: String) -> CallError {
    CallError::new(RENEW, Kind::Identity, Happened::No).message(message)
}

/// Asks with a session that isn't in use yet. `None` when the org won't tell.
async fn ask<T: DeserializeOwned>(
    transport: &Transport,
    session: &Session,
    path: &str,
) -> Result<Option<T>, CallError> {
    let base = session.base.as_str();
    let failed = |kind| {
        CallError::new(RENEW, kind, Happened::No).at(Method::Get.as_str(), path).origin(base)
    };
    let broken = |fault: super::transport::Fault| failed(fault.kind).of_fault(fault);
    transport.counters().call();
    let incoming = transport
        .send(Outgoing {
            method: Method::Get,
            url: format!("{base}{path}"),
            token: Some(&session.token),
            accept: "application/json",
            header: None,
            body: Body::Nothing,
            patience: PATIENCE,
        })
        .await
        .map_err(broken)?;
    let status = incoming.status;
    if (200..300).contains(&status) {
        let body = incoming.whole().await.map_err(broken)?;
        return Ok(serde_json::from_slice(&body).ok());
    }
    let refusal = refusal::read(&incoming.beginning().await);
    let mut error = failed(Kind::Refused).status(status);
    if let Some(code) = refusal.code {
        error = error.code(code);
    }
    if let Some(message) = refusal.message {
        error = error.message(message);
    }
    // A missing scope or permission is an answer; trouble is not.
    if error.is_transient() || error.is_allowance() { Err(error) } else { Ok(None) }
}
