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

use super::transport::Fault;

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The address is not one a token may be sent to.
    Address,
    /// No connection came about: refused, no route.
    Connect,
    /// No address is known for the host's name.
    HostName,
    /// The proxy can't be reached, or would not connect to the host.
    Proxy,
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

impl Kind {
    /// Whether nothing was heard of the other side.
    const fn is_silence(self) -> bool {
        matches!(self, Kind::Connect | Kind::HostName | Kind::Proxy | Kind::Stalled | Kind::Broken)
    }
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
    /// What to do about this very cause, where it is known better than by kind.
    pub(super) advice: Option<&'static str>,
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

/// What logging in is called in errors, where its flow isn't the matter.
pub(super) const LOG_IN: &str = "log in";

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
            advice: None,
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

    pub(super) fn advice(mut self, text: &'static str) -> Self {
        self.0.advice = Some(text);
        self
    }

    /// Adds what is known of a transport fault besides its kind.
    pub(super) fn of_fault(mut self, fault: Fault) -> Self {
        self.0.advice = fault.advice;
        match fault.cause {
            Some(cause) => self.because(cause),
            None => self,
        }
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
            Kind::Connect | Kind::HostName | Kind::Proxy | Kind::Stalled | Kind::Broken => true,
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

    /// Whether the org answered that it won't tell: this user may not ask, or
    /// it doesn't know what was asked for.
    pub fn is_untold(&self) -> bool {
        self.status.is_some_and(|status| (400..500).contains(&status) && status != 401)
            && !self.is_allowance()
            && !self.is_push_back()
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
        self.kind.is_silence() || self.status.is_some_and(|status| TRANSIENT.contains(&status))
    }

    pub(super) fn is_too_many_at_once(&self) -> bool {
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
            Kind::HostName => "no address is known for this host",
            Kind::Proxy => "the proxy gives no connection",
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
            let silent = self.kind.is_silence() || matches!(self.kind, Kind::Tls | Kind::Reply);
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
