//! Why a call to an org failed, and whether it may have happened all the same.
//!
//! Rules for these errors: `Display` says its own part only and never a host's
//! secret, a token, a request body or the text of a reply beyond the org's own
//! code and message; the query part of a path is left out, since SOQL can hold
//! values (I8).

use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The address is not one a token may be sent to.
    Address,
    /// No connection came about: refused, no such host, no route.
    Connect,
    /// No secure connection came about.
    Tls,
    /// Nothing moved for the time a call may stall.
    Stalled,
    /// The connection broke after the request had begun to leave.
    Broken,
    /// The org answered with an error.
    Refused,
    /// The org's answer can't be understood.
    Reply,
    /// The login was refused, ran out or can't be renewed.
    Login,
    /// No API version suits both sides.
    Version,
    /// The org does not tell who it is, or is another one than it was (I11).
    Identity,
    /// A local file could not be read or written.
    Local,
}

/// Whether a failed call had an effect on the org.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Happened {
    /// The request never got through to the org.
    No,
    /// The org got the request and declined it: nothing was changed.
    Refused,
    /// Nobody knows; ask the org before doing anything else (I4).
    Maybe,
}

/// The facts of a failed call; [`CallError`] gives access to them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CallFacts {
    /// What was being done, as a verb phrase: `create the job`.
    pub call: &'static str,
    /// HTTP method; empty where no request was involved.
    pub method: &'static str,
    /// Scheme, host and port that were called; empty where none was.
    pub origin: String,
    /// Path without its query.
    pub path: String,
    /// What kind of failure it was.
    pub kind: Kind,
    /// HTTP status, where the org answered.
    pub status: Option<u16>,
    /// The org's error code (`INVALID_SESSION_ID`), where it gave one.
    pub code: Option<String>,
    /// The org's text or ours, on one line and bounded.
    pub message: Option<String>,
    /// How often the call was tried.
    pub attempts: u32,
    /// How long all tries took together.
    pub elapsed: Duration,
    /// Whether the call had an effect.
    pub happened: Happened,
    /// How long the org asked us to wait.
    pub retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// A call to an org failed. Small to move, cheap to clone (several lanes may
/// wait for one login).
#[derive(Debug, Clone)]
pub struct CallError(Box<CallFacts>);

impl Deref for CallError {
    type Target = CallFacts;

    fn deref(&self) -> &CallFacts {
        &self.0
    }
}

/// What the renewal of a login is called in errors; its hint depends on it.
pub(super) const RENEW: &str = "renew the login";

/// Statuses that pass by themselves ("Transport behaviour": what jsforce and
/// Data Loader repeat).
const TRANSIENT: [u16; 6] = [420, 429, 500, 502, 503, 504];

/// The org's words for an allowance that is used up. `REQUEST_LIMIT_EXCEEDED`
/// also stands for too many calls at once, which passes.
const ALLOWANCE: [&str; 4] =
    ["REQUEST_LIMIT_EXCEEDED", "EXCEEDEDQUOTA", "EXCEEDED_QUOTA", "LIMIT_EXCEEDED"];

impl CallError {
    pub(super) fn new(call: &'static str, kind: Kind, happened: Happened) -> Self {
        CallError(Box::new(CallFacts {
            call,
            method: "",
            origin: String::new(),
            path: String::new(),
            kind,
            status: None,
            code: None,
            message: None,
            attempts: 1,
            elapsed: Duration::ZERO,
            happened,
            retry_after: None,
            source: None,
        }))
    }

    pub(super) fn message(mut self, text: impl Into<String>) -> Self {
        self.0.message = Some(text.into());
        self
    }

    pub(super) fn code(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    pub(super) fn status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    pub(super) fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    pub(super) fn kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    pub(super) fn at(mut self, method: &'static str, path: &str) -> Self {
        self.0.method = method;
        path.split('?').next().unwrap_or_default().clone_into(&mut self.0.path);
        self
    }

    pub(super) fn happened(mut self, happened: Happened) -> Self {
        self.0.happened = happened;
        self
    }

    pub(super) fn origin(mut self, origin: &str) -> Self {
        origin.clone_into(&mut self.0.origin);
        self
    }

    pub(super) fn because(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    pub(super) fn after(mut self, attempts: u32, elapsed: Duration) -> Self {
        self.0.attempts = attempts;
        self.0.elapsed = elapsed;
        self
    }

    /// Whether the same call may well succeed later without anybody repairing
    /// anything.
    pub fn is_transient(&self) -> bool {
        match self.kind {
            Kind::Connect | Kind::Stalled | Kind::Broken => true,
            Kind::Refused | Kind::Reply => {
                if self.is_allowance() {
                    return false;
                }
                self.status.is_some_and(|status| TRANSIENT.contains(&status))
                    || self.is_too_many_at_once()
            }
            _ => false,
        }
    }

    /// Whether the login is the matter: refused, expired, not renewable.
    pub fn is_login(&self) -> bool {
        self.kind == Kind::Login || self.status == Some(401)
    }

    /// Whether the org's allowance is used up (I9).
    pub fn is_allowance(&self) -> bool {
        self.code.as_deref().is_some_and(|code| {
            ALLOWANCE.iter().any(|known| code.eq_ignore_ascii_case(known))
                || code.eq_ignore_ascii_case("ExceededQuota")
        }) && !self.is_too_many_at_once()
    }

    /// Whether the org asks for a slower pace: too many requests (429), a busy
    /// service that says when to come back (503 with `Retry-After`), too many
    /// calls at once. Trouble without such a word says nothing about the pace.
    pub fn is_push_back(&self) -> bool {
        match self.status {
            Some(429) => true,
            Some(503) => self.retry_after.is_some(),
            _ => self.is_too_many_at_once(),
        }
    }

    /// Whether the call certainly had no effect.
    pub fn certainly_did_not_happen(&self) -> bool {
        self.happened != Happened::Maybe
    }

    /// Whether the org has no such thing (any more).
    pub fn is_not_found(&self) -> bool {
        self.status == Some(404)
    }

    /// Whether the org itself says, in its own words, that it has no such job
    /// ("Error Codes", Bulk API guide). A 404 without its code is somebody
    /// else's (a gateway's page) and says nothing about the job.
    pub fn says_no_such_job(&self) -> bool {
        let code = self.code.as_deref().unwrap_or_default();
        self.is_not_found() && matches!(code, "NOT_FOUND" | "INVALIDJOB")
    }

    /// Whether the org could not be reached, or broke off.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.kind, Kind::Connect | Kind::Stalled | Kind::Broken)
            || self.status.is_some_and(|status| TRANSIENT.contains(&status))
    }

    fn is_too_many_at_once(&self) -> bool {
        self.code.as_deref() == Some("REQUEST_LIMIT_EXCEEDED")
            && self.message.as_deref().is_some_and(|text| text.contains("Concurrent"))
    }

    /// The failure in a few words, for an event: no path, no causes.
    pub fn brief(&self) -> String {
        match (self.status, self.code.as_deref()) {
            (Some(status), Some(code)) => format!("{status} {code}"),
            (Some(status), None) => format!("status {status}"),
            _ => self.what().to_owned(),
        }
    }

    fn what(&self) -> &'static str {
        match self.kind {
            Kind::Address => "the address is refused",
            Kind::Connect => "no connection",
            Kind::Tls => "no secure connection",
            Kind::Stalled => "nothing moved for too long",
            Kind::Broken => "the connection broke off",
            Kind::Refused => "the org refused",
            Kind::Reply => "the answer can't be understood",
            Kind::Login => "the login failed",
            Kind::Version => "no API version suits both sides",
            Kind::Identity => "the org's identity is not certain",
            Kind::Local => "a local file is in the way",
        }
    }

    /// What a person can do about it, as a full sentence.
    pub fn hint(&self) -> Option<String> {
        let code = self.code.as_deref().unwrap_or_default();
        let text = match (self.kind, code) {
            (_, "INVALID_SESSION_ID" | "INVALID_AUTH_HEADER" | "InvalidSessionId") => {
                "The access token is not valid (any more). Get a new one, or use a login that \
                 bulkhaul can renew by itself: client credentials, a refresh token or sf:ALIAS."
            }
            (_, "invalid_grant" | "inactive_user" | "inactive_org") => {
                "The org knows the app but not this grant: check that the refresh token was not \
                 revoked or, for client credentials, that the app has a Run As user and the login \
                 URL is the org's My Domain."
            }
            (_, "invalid_client_id" | "invalid_client" | "invalid_client_credentials") => {
                "Check the client id and the client secret of the app."
            }
            (_, "unsupported_grant_type" | "invalid_request") => {
                "Use the org's My Domain as the login URL \
                 (https://NAME.my.salesforce.com) and check which flows the app allows."
            }
            (_, "API_DISABLED_FOR_ORG") => "This org or this user's profile has no API access.",
            (_, "FEATURENOTENABLED") => {
                "The user lacks a permission; hardDelete needs `Bulk API Hard Delete`, which is \
                 off by default."
            }
            (_, "INVALIDENTITY") => "This object can't be loaded with Bulk API 2.0.",
            (_, "MALFORMED_QUERY" | "INVALID_FIELD" | "INVALID_TYPE") => {
                "`bulkhaul describe OBJECT` lists the fields this user may see, in exact spelling."
            }
            _ if self.is_too_many_at_once() => {
                "Too many long-running calls at once; use fewer lanes (--parallel)."
            }
            _ if self.is_allowance() => {
                "The org's allowance for the last 24 hours is used up. `bulkhaul limits` shows \
                 what is left; it comes back as the window moves on."
            }
            (Kind::Address, _) => {
                "Use the https address of the org (its My Domain); plain http is for a local org \
                 on this machine alone."
            }
            (Kind::Connect, _) => {
                "Check the address and the network (a proxy goes into HTTPS_PROXY)."
            }
            (Kind::Tls, _) => {
                "Check the address, this machine's clock and its CA certificates; behind a \
                 firewall that breaks up connections, its certificate must be installed."
            }
            (Kind::Stalled | Kind::Broken, _) => "Check the network; the org may be busy.",
            (Kind::Version, _) => "Leave out --api-version, or name one that both sides know.",
            (Kind::Login, _) => "Check the login; docs/errors.md lists what each kind needs.",
            (Kind::Identity, _) if self.call == RENEW => {
                "A run belongs to one org, and nothing is sent to another. Let the login lead to \
                 the org it began with again, then `bulkhaul resume`. A sandbox that was \
                 refreshed is a new org."
            }
            (Kind::Identity, _) => {
                "Let the user read the Organization object, or let the app have the `id` scope."
            }
            (Kind::Refused, _) => match self.status {
                Some(401) => "The login was refused. Log in again.",
                Some(403) => "The user lacks a permission for this.",
                Some(404) => "Check the name; things the user may not see look absent.",
                Some(410) => "The API version is retired. Use a newer one.",
                Some(414 | 431) => "The query is too long for a URL.",
                Some(300..=399) => {
                    "The org has another address now. Use its My Domain as it is today."
                }
                Some(420) => "The org seems to be expired, locked or deleted.",
                Some(500..=599) => {
                    "Salesforce has trouble; status.salesforce.com tells more. Try again later."
                }
                _ => return None,
            },
            (Kind::Reply, _) => {
                "Something between here and the org answers in its place: a proxy, a login page, \
                 a wrong address?"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: ", self.call)?;
        match (self.kind, self.status) {
            (Kind::Refused, Some(status)) => write!(f, "the org answered {status}")?,
            (_, Some(status)) => write!(f, "{} (status {status})", self.what())?,
            _ => f.write_str(self.what())?,
        }
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(message) = &self.message {
            write!(f, ", {message}")?;
        }
        if !self.method.is_empty() {
            // Where to matters when nobody answered.
            let silent =
                matches!(self.kind, Kind::Connect | Kind::Tls | Kind::Stalled | Kind::Broken);
            let origin = if silent { self.origin.as_str() } else { "" };
            write!(f, " ({} {origin}{}", self.method, self.path)?;
            if self.attempts > 1 {
                let seconds = self.elapsed.as_secs_f64();
                write!(f, ", {} tries in {seconds:.1} s", self.attempts)?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl StdError for CallError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str, message: &str) -> CallError {
        CallError::new("read limits", Kind::Refused, Happened::Refused)
            .status(status)
            .code(code)
            .message(message)
            .at("GET", "/services/data/v66.0/query?q=SELECT+secret")
    }

    #[test]
    fn an_error_tells_how_hard_we_tried_and_leaves_the_query_out() {
        let error =
            refused(503, "SERVER_UNAVAILABLE", "busy").after(3, Duration::from_millis(4200));
        assert_eq!(
            error.to_string(),
            "could not read limits: the org answered 503 SERVER_UNAVAILABLE, busy \
             (GET /services/data/v66.0/query, 3 tries in 4.2 s)"
        );
    }

    #[test]
    fn a_used_up_allowance_is_not_transient_but_a_crowd_is() {
        let daily = refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.");
        assert!(daily.is_allowance() && !daily.is_transient());
        let crowd = refused(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests Limit exceeded.");
        assert!(!crowd.is_allowance() && crowd.is_transient());
        assert!(refused(400, "EXCEEDEDQUOTA", "ApiBatchItems Limit exceeded").is_allowance());
        assert!(refused(400, "LIMIT_EXCEEDED", "").is_allowance());
    }
}
