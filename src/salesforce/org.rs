//! A connected org.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Deserialize;

use super::auth::{Credentials, LoginInUse};
use super::connection::{Call, Connection};
use super::error::{CallError, Happened, Kind};
use super::identity::{self, OrgIdentity};
use super::login::Login;
use super::retry::{Repeatable, Retry, RetryPolicy, SharedSinkDebug};
use super::transport::{BaseUrl, CaBundle, Fault, TlsOptions, Transport};
use super::usage::{Counters, Usage};
use super::version::{self, ApiVersion};
use crate::domain::{NoEvents, SharedSink};

/// How to connect.
#[derive(Clone)]
pub struct ConnectOptions {
    /// API version to use (`66.0`); `None` for the newest both sides know.
    pub api_version: Option<String>,
    /// Lanes that will call at the same time; sizes the connection pool.
    pub lanes: usize,
    /// Where retries and renewals are announced.
    pub events: SharedSink,
    /// How patient calls are.
    pub retry: RetryPolicy,
    /// Accept TLS 1.2, for networks that break up connections.
    pub allow_tls12: bool,
    /// Whether replies are asked for in gzip; `None` for all orgs but one on
    /// this machine, where it would cost both sides and win nothing.
    pub compressed_replies: Option<bool>,
    /// Authorities that are trusted besides those of the machine.
    pub more_authorities: CaBundle,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            api_version: None,
            lanes: 4,
            events: Arc::new(NoEvents),
            retry: RetryPolicy::default(),
            allow_tls12: false,
            compressed_replies: None,
            more_authorities: CaBundle::default(),
        }
    }
}

impl ConnectOptions {
    /// The HTTP client for an address.
    pub(super) fn transport(
        &self,
        base: &BaseUrl,
        counters: Arc<Counters>,
    ) -> Result<Transport, CallError> {
        let tls = TlsOptions {
            allow_tls12: self.allow_tls12,
            more_authorities: self.more_authorities.clone(),
        };
        let gzip = self.compressed_replies.unwrap_or(!base.is_plain());
        Transport::new(base, self.lanes, &tls, gzip, counters).map_err(|fault: Fault| {
            CallError::new("set up TLS", fault.kind, fault.happened).of_fault(fault)
        })
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("api_version", &self.api_version)
            .field("lanes", &self.lanes)
            .field("retry", &self.retry)
            .field("allow_tls12", &self.allow_tls12)
            .field("compressed_replies", &self.compressed_replies)
            .finish_non_exhaustive()
    }
}

/// A connected org: cheap to clone, used by all lanes at once.
#[derive(Debug, Clone)]
pub struct Org(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connection: Connection,
    version: ApiVersion,
    identity: OrgIdentity,
}

/// An entry of the list of versions. Everything is text here, even numbers.
#[derive(Deserialize)]
struct VersionReply {
    version: String,
}

impl Org {
    /// Logs in, agrees on an API version and learns which org and which user
    /// it is. Some five calls, of which three count.
    ///
    /// # Errors
    /// [`Kind::Address`], [`Kind::Tls`], [`Kind::Connect`] when the org can't
    /// be reached as it should be, [`Kind::Login`] when it refuses the login,
    /// [`Kind::Version`], [`Kind::Identity`]. Nothing was changed in the org.
    pub async fn connect(login: Login, options: ConnectOptions) -> Result<Org, CallError> {
        let counters = Arc::new(Counters::default());
        let events = Arc::new(SharedSinkDebug(Arc::clone(&options.events)));
        let patient = options.retry.for_connecting();
        let mut login = LoginInUse::new(login);
        // The CLI's login tells the address only with the token.
        let (base, early) = if let Some(base) = login.first_address()? {
            (base, None)
        } else {
            let session = login.obtain(None, &events, 1).await?;
            (session.base.clone(), Some(session))
        };
        let transport = options.transport(&base, Arc::clone(&counters))?;
        let session = if let Some(session) = early {
            session
        } else {
            let mut retry = Retry::start(&patient, &events);
            loop {
                match login.obtain(Some(&transport), &events, 1).await {
                    Ok(session) => break session,
                    Err(error) => retry.again(error, Repeatable::Yes).await?,
                }
            }
        };
        if session.base.is_plain() != base.is_plain() {
            return Err(CallError::new("log in", Kind::Address, Happened::No).message(
                "the login answered with an instance URL of another kind (https against plain \
                 http)",
            ));
        }
        let mut connection = Connection {
            transport,
            credentials: Credentials::new(login, session, Arc::clone(&events)),
            policy: patient,
            events,
            counters,
            refuses_gzip: AtomicBool::new(false),
        };
        let version = agree(&connection, options.api_version.as_deref()).await?;
        let identity = identity::read(&connection, version).await?;
        connection.credentials.bind(&identity.org_id, version);
        connection.policy = options.retry;
        tracing::info!(org = %identity.org_id, %version, "connected");
        Ok(Org(Arc::new(Inner { connection, version, identity })))
    }

    /// Which org and which user this is.
    pub fn identity(&self) -> &OrgIdentity {
        &self.0.identity
    }

    /// The API version of every call.
    pub fn api_version(&self) -> ApiVersion {
        self.0.version
    }

    /// What was used so far.
    pub fn usage(&self) -> Usage {
        self.0.connection.counters.read()
    }

    /// Daily API calls left by the org's last word (`Sforce-Limit-Info`, which
    /// comes with every reply of its REST resources); `None` before the first.
    /// Other clients of the org use the same allowance.
    pub fn daily_calls_left(&self) -> Option<u64> {
        self.usage().daily_calls.map(|(used, granted)| granted.saturating_sub(used))
    }

    /// Whether the org gave another refresh token than the login began with:
    /// whoever kept the first must know that it is spent.
    pub fn refresh_token_rotated(&self) -> bool {
        self.0.connection.credentials.rotated()
    }

    /// Waits for a renewal of the login that is under way, so that a refresh
    /// token which came with it is kept before the process ends.
    pub async fn settle_login(&self) {
        self.0.connection.credentials.settle().await;
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// The path of a REST resource.
    pub(super) fn path(&self, tail: &str) -> String {
        resource(self.0.version, tail)
    }
}

/// The path of a REST resource under a version.
pub(super) fn resource(version: ApiVersion, tail: &str) -> String {
    format!("/services/data/v{version}/{tail}")
}

async fn agree(connection: &Connection, wish: Option<&str>) -> Result<ApiVersion, CallError> {
    let call = Call { anonymous: true, ..Call::get("ask for the API versions", "/services/data/") };
    let offered: Vec<VersionReply> = connection.fetch(&call).await?;
    let offered: Vec<ApiVersion> =
        offered.iter().filter_map(|entry| entry.version.parse().ok()).collect();
    version::choose(wish, &offered).map_err(|why| {
        CallError::new("agree on an API version", Kind::Version, Happened::Refused).message(why)
    })
}
