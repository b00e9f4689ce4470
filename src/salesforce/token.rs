//! The token endpoint: what is sent there and what comes back.
//!
//! Sources: "OAuth Authorization Flows" and the pages of each flow, Salesforce
//! Help; RFC 6749. A refusal is an object with `error` and
//! `error_description`; whatever else answers with a 4xx is no org.

use std::time::Duration;

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::error::{CallError, Happened, Kind};
use super::transport::{BaseUrl, Body, Fault, Incoming, Method, Outgoing, Transport};
use super::{encode, refusal};

const TOKEN_PATH: &str = "/services/oauth2/token";
const REVOKE_PATH: &str = "/services/oauth2/revoke";
/// A token request is small and answered at once.
const PATIENCE: Duration = Duration::from_mins(1);

/// The reply of the token endpoint; everything else in it is of no use here.
#[derive(Deserialize)]
pub(super) struct TokenReply {
    #[serde(deserialize_with = "secret")]
    pub access_token: SecretString,
    pub instance_url: String,
    /// A URL that ends `/<org id>/<user id>`.
    pub id: Option<String>,
    #[serde(default, deserialize_with = "maybe_secret")]
    pub refresh_token: Option<SecretString>,
}

/// Reads a text straight into its unprintable form.
fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

/// [`secret`] for a member that may be null or absent.
pub(super) fn maybe_secret<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

/// A form body under construction; not printable.
pub(super) struct Form {
    /// What is being done, for errors.
    call: &'static str,
    text: String,
}

impl Form {
    pub(super) fn new(call: &'static str, grant: &str) -> Form {
        Form { call, text: format!("grant_type={}", encode(grant)) }
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Form {
        if !self.text.is_empty() {
            self.text.push('&');
        }
        self.text.push_str(name);
        self.text.push('=');
        self.text.push_str(&encode(value));
        self
    }

    /// Adds a field that an app may want or not.
    pub(super) fn with_maybe(self, name: &str, value: Option<&SecretString>) -> Form {
        match value {
            Some(value) => self.with(name, value.expose_secret()),
            None => self,
        }
    }
}

/// Asks for an access token.
///
/// # Errors
/// [`Kind::Login`] when the org declines, [`Kind::Reply`] when something that
/// is no org answers, else what was on the way.
pub(super) async fn ask(
    transport: &Transport,
    base: &BaseUrl,
    form: Form,
) -> Result<TokenReply, CallError> {
    let call = form.call;
    let incoming = post(transport, base, TOKEN_PATH, form).await?;
    let status = incoming.status;
    let body = incoming.whole().await.map_err(|fault| failed(call, base, TOKEN_PATH, fault))?;
    // The parser's own words could quote the reply, which holds the token.
    serde_json::from_slice(&body).map_err(|_| {
        let error = error(call, base, TOKEN_PATH, Kind::Reply, Happened::Refused).status(status);
        match refusal::page(&body) {
            Some(page) => error.message(page),
            None => error.message("it holds no access_token and instance_url"),
        }
    })
}

/// Ends a refresh token and all sessions that came of it.
///
/// # Errors
/// As [`ask`]; [`Kind::Login`] also when the token was ended before.
pub(super) async fn revoke(
    transport: &Transport,
    base: &BaseUrl,
    token: &SecretString,
) -> Result<(), CallError> {
    let form = Form { call: "revoke the refresh token", text: String::new() };
    post(transport, base, REVOKE_PATH, form.with("token", token.expose_secret())).await?;
    Ok(())
}

fn error(
    call: &'static str,
    base: &BaseUrl,
    path: &str,
    kind: Kind,
    happened: Happened,
) -> CallError {
    CallError::new(call, kind, happened).at(Method::Post.as_str(), path).origin(base.as_str())
}

fn failed(call: &'static str, base: &BaseUrl, path: &str, fault: Fault) -> CallError {
    error(call, base, path, fault.kind, fault.happened).of_fault(fault)
}

async fn post(
    transport: &Transport,
    base: &BaseUrl,
    path: &str,
    form: Form,
) -> Result<Incoming, CallError> {
    let call = form.call;
    let incoming = transport
        .send(Outgoing {
            method: Method::Post,
            url: format!("{}{path}", base.as_str()),
            token: None,
            accept: "application/json",
            header: None,
            body: Body::Whole {
                content_type: "application/x-www-form-urlencoded",
                bytes: Bytes::from(form.text),
            },
            patience: PATIENCE,
        })
        .await
        .map_err(|fault| failed(call, base, path, fault))?;
    let status = incoming.status;
    if (200..300).contains(&status) {
        return Ok(incoming);
    }
    let refusal = refusal::read(&incoming.beginning().await);
    // 4xx is a verdict on the login, if it is the org's; the rest is trouble
    // on the way.
    let kind = match (status, &refusal.code) {
        (420 | 429, _) => Kind::Refused,
        (400..=499, Some(_)) => Kind::Login,
        (400..=499, None) => Kind::Reply,
        _ => Kind::Refused,
    };
    let mut error = error(call, base, path, kind, Happened::Refused).status(status);
    if let Some(code) = refusal.code {
        error = error.code(code);
    }
    match refusal.message {
        Some(message) => error = error.message(message),
        None if kind == Kind::Reply => {
            error = error.message("no Salesforce login is at this address");
        }
        None => {}
    }
    Err(error)
}
