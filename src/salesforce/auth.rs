//! Logins, sessions and their renewal.
//!
//! Sources: "OAuth 2.0 Refresh Token Flow" and "OAuth 2.0 Client Credentials
//! Flow", Salesforce Help; a token says nothing of its life, so its end is
//! learned from a 401. After a renewal the instance URL is read again: it may
//! have changed; but the org must be the one that was connected to (I11).

use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::error::{CallError, Happened, Kind};
use super::transport::{BaseUrl, Body, Incoming, Method, Outgoing, Transport};
use super::version::ApiVersion;
use super::{cli_login, encode, identity, refusal, same_org};

/// How to get into an org. Secrets can't be printed by accident.
#[derive(Clone)]
#[non_exhaustive]
pub enum Login {
    /// A token from elsewhere; it can't be renewed.
    Token {
        /// The org's address.
        instance_url: String,
        /// Access token or session id.
        token: SecretString,
    },
    /// OAuth client credentials; the app has a Run As user.
    ClientCredentials {
        /// The org's My Domain.
        login_url: String,
        /// Consumer key.
        id: String,
        /// Consumer secret.
        secret: SecretString,
    },
    /// OAuth refresh token.
    Refresh {
        /// Login host or My Domain.
        login_url: String,
        /// Consumer key.
        id: String,
        /// Consumer secret, where the app wants one.
        secret: Option<SecretString>,
        /// Refresh token.
        refresh_token: SecretString,
    },
    /// A login that the Salesforce CLI keeps.
    SalesforceCli {
        /// Alias or user name, as `sf org list` shows it.
        alias: String,
    },
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.kind())
    }
}

impl Login {
    /// What kind of login it is, for people.
    pub const fn kind(&self) -> &'static str {
        match self {
            Login::Token { .. } => "access token",
            Login::ClientCredentials { .. } => "client credentials",
            Login::Refresh { .. } => "refresh token",
            Login::SalesforceCli { .. } => "Salesforce CLI",
        }
    }

    /// Whether bulkhaul can renew it in the middle of a run.
    pub const fn can_renew(&self) -> bool {
        !matches!(self, Login::Token { .. })
    }
}

/// A session as calls use it. Headers are built from it for each request, so
/// a renewal reaches every lane with its next request.
#[derive(Debug)]
pub(super) struct Session {
    pub base: BaseUrl,
    pub token: SecretString,
    /// Counts renewals; tells whether somebody renewed it meanwhile.
    pub generation: u64,
    /// `id` of the token reply: a URL ending `/<org id>/<user id>`.
    pub identity_url: Option<String>,
}

/// The reply of the token endpoint; everything else in it is of no use here.
#[derive(Deserialize)]
struct TokenReply {
    #[serde(deserialize_with = "secret")]
    access_token: SecretString,
    instance_url: String,
    id: Option<String>,
    #[serde(default, deserialize_with = "maybe_secret")]
    refresh_token: Option<SecretString>,
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

/// What only one renewal at a time may touch.
struct Renewal {
    login: Login,
    /// The generation whose renewal was refused, with the reason: lanes that
    /// waited for it get the same answer instead of asking again.
    refused: Option<(u64, CallError)>,
}

/// The login of one connection and its current session.
pub(super) struct Credentials {
    can_renew: bool,
    session: RwLock<Arc<Session>>,
    renewal: Mutex<Renewal>,
    /// The org that every later session must belong to, once it is known.
    bound: OnceLock<same_org::Bound>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("can_renew", &self.can_renew).finish_non_exhaustive()
    }
}

impl Credentials {
    pub(super) fn new(login: Login, session: Session) -> Self {
        Credentials {
            can_renew: login.can_renew(),
            session: RwLock::new(Arc::new(session)),
            renewal: Mutex::new(Renewal { login, refused: None }),
            bound: OnceLock::new(),
        }
    }

    /// Binds all later sessions to an org, once and for all (I11).
    pub(super) fn bind(&self, org_id: &str, version: ApiVersion) {
        let _ = self.bound.set(same_org::Bound { org_id: org_id.to_owned(), version });
    }

    pub(super) const fn can_renew(&self) -> bool {
        self.can_renew
    }

    pub(super) fn session(&self) -> Arc<Session> {
        Arc::clone(&self.session.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Renews a session that was refused. However many lanes ask, one login
    /// is made; the others wait for it and find it done. Whether this call
    /// made it is told.
    ///
    /// # Cancel safety
    /// Dropping it lets the next lane that waits make the login.
    pub(super) async fn renew(
        &self,
        transport: &Transport,
        generation: u64,
    ) -> Result<bool, CallError> {
        let mut renewal = self.renewal.lock().await;
        let current = self.session();
        if current.generation != generation {
            return Ok(false);
        }
        if let Some((refused, error)) = &renewal.refused
            && *refused == generation
        {
            return Err(error.clone());
        }
        match self.successor(&mut renewal.login, transport, &current).await {
            Ok(session) => {
                *self.session.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(session);
                Ok(true)
            }
            Err(error) => {
                if !error.is_transient() {
                    renewal.refused = Some((generation, error.clone()));
                }
                Err(error)
            }
        }
    }

    /// Makes the session that follows one, in the same org.
    async fn successor(
        &self,
        login: &mut Login,
        transport: &Transport,
        current: &Session,
    ) -> Result<Session, CallError> {
        let session = obtain(login, Some(transport), current.generation + 1).await?;
        if session.base.is_plain() != current.base.is_plain() {
            return Err(CallError::new(LOG_IN, Kind::Address, Happened::No)
                .message("the org moved between https and this machine"));
        }
        match self.bound.get() {
            Some(bound) => same_org::check(transport, &session, bound).await?,
            // Still connecting: what the two sessions say of themselves.
            None => {
                let (before, now) =
                    (identity::org_named_by(current), identity::org_named_by(&session));
                if let (Some(before), Some(now)) = (before, now) {
                    same_org::compare(&before, &now)?;
                }
            }
        }
        Ok(session)
    }
}

const LOG_IN: &str = "log in";
const TOKEN_PATH: &str = "/services/oauth2/token";
/// A token request is small and answered at once.
const PATIENCE: Duration = Duration::from_mins(1);

/// The address of a login's first request, where it is known without one.
pub(super) fn first_address(login: &Login) -> Result<Option<BaseUrl>, CallError> {
    match login {
        Login::Token { instance_url: url, .. }
        | Login::ClientCredentials { login_url: url, .. }
        | Login::Refresh { login_url: url, .. } => address(url).map(Some),
        Login::SalesforceCli { .. } => Ok(None),
    }
}

fn address(url: &str) -> Result<BaseUrl, CallError> {
    BaseUrl::parse(url)
        .map_err(|why| CallError::new(LOG_IN, Kind::Address, Happened::No).message(why))
}

/// Logs in. The transport is needed by the OAuth logins alone.
pub(super) async fn obtain(
    login: &mut Login,
    transport: Option<&Transport>,
    generation: u64,
) -> Result<Session, CallError> {
    let (login_url, form) = match login {
        Login::Token { instance_url, token } => {
            return Ok(Session {
                base: address(instance_url)?,
                token: token.clone(),
                generation,
                identity_url: None,
            });
        }
        Login::SalesforceCli { alias } => {
            let kept = cli_login::read(alias).await?;
            return Ok(Session {
                base: address(&kept.instance_url)?,
                token: kept.token,
                generation,
                identity_url: None,
            });
        }
        Login::ClientCredentials { login_url, id, secret } => {
            let form = Form::new("client_credentials")
                .with("client_id", id)
                .with("client_secret", secret.expose_secret());
            (&*login_url, form)
        }
        Login::Refresh { login_url, id, secret, refresh_token } => {
            let mut form = Form::new("refresh_token")
                .with("refresh_token", refresh_token.expose_secret())
                .with("client_id", id);
            if let Some(secret) = secret {
                form = form.with("client_secret", secret.expose_secret());
            }
            (&*login_url, form)
        }
    };
    let Some(transport) = transport else {
        return Err(CallError::new(LOG_IN, Kind::Login, Happened::No));
    };
    let reply = ask_for_token(transport, &address(login_url)?, form).await?;
    if let (Login::Refresh { refresh_token, .. }, Some(fresh)) = (login, reply.refresh_token) {
        // With rotation switched on, the old one is worth nothing from here.
        *refresh_token = fresh;
    }
    Ok(Session {
        base: address(&reply.instance_url)?,
        token: reply.access_token,
        generation,
        identity_url: reply.id,
    })
}

async fn ask_for_token(
    transport: &Transport,
    base: &BaseUrl,
    form: Form,
) -> Result<TokenReply, CallError> {
    let failed = |kind, happened| {
        CallError::new(LOG_IN, kind, happened)
            .at(Method::Post.as_str(), TOKEN_PATH)
            .origin(base.as_str())
    };
    let from_fault = |fault: super::transport::Fault| {
        let error = failed(fault.kind, fault.happened);
        match fault.cause {
            Some(cause) => error.because(cause),
            None => error,
        }
    };
    let incoming: Incoming = transport
        .send(Outgoing {
            method: Method::Post,
            url: format!("{}{TOKEN_PATH}", base.as_str()),
            token: None,
            accept: "application/json",
            header: None,
            body: Body::Whole {
                content_type: "application/x-www-form-urlencoded",
                bytes: Bytes::from(form.0),
            },
            patience: PATIENCE,
        })
        .await
        .map_err(from_fault)?;
    let status = incoming.status;
    if !(200..300).contains(&status) {
        let refusal = refusal::read(&incoming.beginning().await);
        // 4xx is a verdict on the login; the rest is trouble on the way.
        let kind = if (400..500).contains(&status) && !matches!(status, 420 | 429) {
            Kind::Login
        } else {
            Kind::Refused
        };
        let mut error = failed(kind, Happened::Refused).status(status);
        if let Some(code) = refusal.code {
            error = error.code(code);
        }
        if let Some(message) = refusal.message {
            error = error.message(message);
        }
        return Err(error);
    }
    let body = incoming.whole().await.map_err(from_fault)?;
    // The parser's own words could quote the reply, which holds the token.
    serde_json::from_slice(&body).map_err(|_| {
        failed(Kind::Reply, Happened::Refused)
            .status(status)
            .message("it holds no access_token and instance_url")
    })
}

/// A form body under construction; not printable.
struct Form(String);

impl Form {
    fn new(grant: &str) -> Form {
        Form(format!("grant_type={grant}"))
    }

    fn with(mut self, name: &str, value: &str) -> Form {
        self.0.push('&');
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(&encode(value));
        self
    }
}
