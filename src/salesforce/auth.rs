//! Sessions and their renewal.
//!
//! A token says nothing of its life, so its end is learned from a 401. After a
//! renewal the instance URL is read again: it may have changed; but the org
//! must be the one that was connected to (I11).
//!
//! A renewal, once begun, is carried through in a task of its own, whatever
//! becomes of the lane that asked: an org that rotates refresh tokens has
//! ended the old one by then, and the new one must not be lost.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

use super::error::{CallError, Happened, Kind, LOG_IN};
use super::login::{Login, RenewalTurn, TokenKeeper};
use super::retry::SharedSinkDebug;
use super::token::{self, Form};
use super::transport::{BaseUrl, Transport};
use super::version::ApiVersion;
use super::{assertion, cli_login, identity, same_org};
use crate::domain::{Event, error_chain};

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

/// A login in use: with what only one renewal at a time may touch.
pub(super) struct LoginInUse {
    login: Login,
    /// The refresh token in memory could not be kept where it lives; the one
    /// kept there is spent.
    unkept: bool,
    /// The org gave another refresh token than the login began with.
    rotated: Arc<AtomicBool>,
}

impl LoginInUse {
    pub(super) fn new(login: Login) -> LoginInUse {
        LoginInUse { login, unkept: false, rotated: Arc::default() }
    }

    /// The address of the first request, where it is known without one.
    pub(super) fn first_address(&self) -> Result<Option<BaseUrl>, CallError> {
        match &self.login {
            Login::Token { instance_url: url, .. }
            | Login::ClientCredentials { login_url: url, .. }
            | Login::Jwt { login_url: url, .. }
            | Login::Refresh { login_url: url, .. } => address(url).map(Some),
            Login::SalesforceCli { .. } => Ok(None),
        }
    }

    /// Logs in. The transport is needed by the OAuth logins alone.
    pub(super) async fn obtain(
        &mut self,
        transport: Option<&Transport>,
        events: &SharedSinkDebug,
        generation: u64,
    ) -> Result<Session, CallError> {
        let (base, form) = match &self.login {
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
                let form = Form::new("log in with the client secret", "client_credentials")
                    .with("client_id", id)
                    .with("client_secret", secret.expose_secret());
                (address(login_url)?, form)
            }
            Login::Jwt { login_url, id, username, key, audience } => {
                let base = address(login_url)?;
                let audience = audience.clone().unwrap_or_else(|| assertion::audience(&base));
                let now = jiff::Timestamp::now().as_second();
                let signed =
                    assertion::sign(key, id, username, &audience, now).ok_or_else(|| {
                        CallError::new(LOG_IN, Kind::Local, Happened::No)
                            .message("the system gives no random numbers")
                    })?;
                let form = Form::new("log in with the JWT", assertion::GRANT)
                    .with("assertion", signed.expose_secret());
                (base, form)
            }
            Login::Refresh { .. } => return self.refresh(transport, events, generation).await,
        };
        let transport =
            transport.ok_or_else(|| CallError::new(LOG_IN, Kind::Login, Happened::No))?;
        session_of(token::ask(transport, &base, form).await?, generation)
    }

    /// Logs in with the refresh token, and keeps the one that follows it.
    async fn refresh(
        &mut self,
        transport: Option<&Transport>,
        events: &SharedSinkDebug,
        generation: u64,
    ) -> Result<Session, CallError> {
        let Login::Refresh { login_url, id, secret, refresh_token, keeper } = &mut self.login
        else {
            return Err(CallError::new(LOG_IN, Kind::Login, Happened::No));
        };
        let transport =
            transport.ok_or_else(|| CallError::new(LOG_IN, Kind::Login, Happened::No))?;
        let base = address(login_url)?;
        let mut turn = match keeper {
            Some(keeper) => Some(turn_of(Arc::clone(keeper)).await?),
            None => None,
        };
        if let Some(turn) = &turn
            && !self.unkept
        {
            *refresh_token = turn.current();
        }
        let form = Form::new("log in with the refresh token", "refresh_token")
            .with("refresh_token", refresh_token.expose_secret())
            .with("client_id", id)
            .with_maybe("client_secret", secret.as_ref());
        let reply = token::ask(transport, &base, form).await?;
        // With rotation switched on, the old one is worth nothing from here.
        if let Some(fresh) = &reply.refresh_token
            && fresh.expose_secret() != refresh_token.expose_secret()
        {
            *refresh_token = fresh.clone();
            self.rotated.store(true, Ordering::Relaxed);
            self.unkept = turn.is_some();
        }
        if self.unkept
            && let Some(mut turn) = turn.take()
        {
            let fresh = refresh_token.clone();
            let kept = blocking(move || turn.keep(&fresh)).await;
            match kept.unwrap_or_else(|| Err("the task that wrote it was ended".into())) {
                Ok(()) => self.unkept = false,
                Err(error) => {
                    // The session is good all the same; each renewal tries
                    // again.
                    let text = format!(
                        "the org gave a new refresh token, and it could not be stored ({}); the \
                         stored one is spent, so log in anew after this run",
                        error_chain(&*error)
                    );
                    tracing::warn!("{text}");
                    events.0.announce(Event::Note { text });
                }
            }
        }
        session_of(reply, generation)
    }
}

fn session_of(reply: token::TokenReply, generation: u64) -> Result<Session, CallError> {
    Ok(Session {
        base: address(&reply.instance_url)?,
        token: reply.access_token,
        generation,
        identity_url: reply.id,
    })
}

/// Waits for the right to renew, on a thread where that may block.
async fn turn_of(keeper: Arc<dyn TokenKeeper>) -> Result<Box<dyn RenewalTurn>, CallError> {
    let failed = |error: super::login::KeeperError| {
        CallError::new("read the stored login", Kind::Local, Happened::No)
            .message(error_chain(&*error))
    };
    match blocking(move || keeper.turn()).await {
        Some(turn) => turn.map_err(failed),
        None => Err(failed("the task that reads it was ended".into())),
    }
}

/// Runs what blocks on a thread for that; `None` when the runtime ends.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

fn address(url: &str) -> Result<BaseUrl, CallError> {
    BaseUrl::parse(url)
        .map_err(|why| CallError::new(LOG_IN, Kind::Address, Happened::No).message(why))
}

/// What only one renewal at a time may touch.
struct Renewal {
    login: LoginInUse,
    /// The generation whose renewal was refused, with the reason: lanes that
    /// waited for it get the same answer instead of asking again.
    refused: Option<(u64, CallError)>,
}

/// The login of one connection and its current session.
#[derive(Clone)]
pub(super) struct Credentials(Arc<Inner>);

struct Inner {
    can_renew: bool,
    rotated: Arc<AtomicBool>,
    session: RwLock<Arc<Session>>,
    renewal: Mutex<Renewal>,
    events: Arc<SharedSinkDebug>,
    /// The org that every later session must belong to, once it is known.
    bound: OnceLock<same_org::Bound>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("can_renew", &self.0.can_renew).finish_non_exhaustive()
    }
}

impl Credentials {
    pub(super) fn new(login: LoginInUse, session: Session, events: Arc<SharedSinkDebug>) -> Self {
        Credentials(Arc::new(Inner {
            can_renew: login.login.can_renew(),
            rotated: Arc::clone(&login.rotated),
            session: RwLock::new(Arc::new(session)),
            renewal: Mutex::new(Renewal { login, refused: None }),
            events,
            bound: OnceLock::new(),
        }))
    }

    /// Binds all later sessions to an org, once and for all (I11).
    pub(super) fn bind(&self, org_id: &str, version: ApiVersion) {
        let _ = self.0.bound.set(same_org::Bound { org_id: org_id.to_owned(), version });
    }

    pub(super) fn can_renew(&self) -> bool {
        self.0.can_renew
    }

    /// Whether the org gave another refresh token than the login began with.
    pub(super) fn rotated(&self) -> bool {
        self.0.rotated.load(Ordering::Relaxed)
    }

    pub(super) fn session(&self) -> Arc<Session> {
        Arc::clone(&self.0.session.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Renews a session that was refused. However many lanes ask, one login
    /// is made; the others wait for it and find it done. Whether this call
    /// made it is told.
    ///
    /// # Cancel safety
    /// Dropping it leaves the renewal to itself, and it goes on.
    pub(super) async fn renew(
        &self,
        transport: &Transport,
        generation: u64,
    ) -> Result<bool, CallError> {
        let (inner, transport) = (Arc::clone(&self.0), transport.clone());
        match tokio::spawn(async move { inner.renew(&transport, generation).await }).await {
            Ok(answer) => answer,
            // The runtime is coming down.
            Err(_) => {
                Err(CallError::new(LOG_IN, Kind::Login, Happened::No)
                    .message("the process is ending"))
            }
        }
    }

    /// Waits for a renewal that is under way.
    pub(super) async fn settle(&self) {
        drop(self.0.renewal.lock().await);
    }
}

impl Inner {
    async fn renew(&self, transport: &Transport, generation: u64) -> Result<bool, CallError> {
        let mut renewal = self.renewal.lock().await;
        let current = Arc::clone(&self.session.read().unwrap_or_else(PoisonError::into_inner));
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
        login: &mut LoginInUse,
        transport: &Transport,
        current: &Session,
    ) -> Result<Session, CallError> {
        let session = login.obtain(Some(transport), &self.events, current.generation + 1).await?;
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
