//! All that speaks to an org.
//!
//! [`Org`] is a connected org: cheap to clone, shared by every lane. Its
//! calls are grouped by file; each returns a value of [`crate::domain`] or a
//! small type of its own, or one [`CallError`].
//!
//! | file | what it holds |
//! |---|---|
//! | `transport` | one request, one reply; the only file that names the HTTP library |
//! | `connection` | a call: session, renewal on 401, retry |
//! | `retry` | when a call is repeated, and how long to wait |
//! | `refusal`, `hints` | what an error body says, whatever its shape; what to do about it |
//! | `login` | the kinds of login; where a rotating refresh token is kept |
//! | `auth`, `token` | sessions and their renewal; the token endpoint |
//! | `assertion`, `private_key` | the JWT login: what is signed, and with what |
//! | `web_login` | the login by browser (PKCE); ending a refresh token |
//! | `cli_login` | the Salesforce CLI as a source of tokens |
//! | `org`, `identity`, `version` | connecting: which org, which user, which API version |
//! | `same_org` | whether a renewed login still leads to that org |
//! | `ingest`, `upload`, `download` | ingest jobs, their bodies and result sets |
//! | `describe`, `limits`, `query`, `record` | the neighbouring REST resources |
//! | `picklists` | what record types have of picklists, by the UI API |
//! | `lookup` | records found by their keys, many at a time |
//!
//! Two rules hold everywhere. A failure says whether the call certainly did
//! not happen or may have happened ([`Happened`]), and only what is safe to
//! repeat is repeated (I4): never a create, never a body. And no token, and
//! no text of a reply beyond the org's own error code and message, gets into
//! an error, an event or a log line (I8).

mod assertion;
mod auth;
mod cli_login;
mod connection;
mod describe;
mod download;
mod error;
mod hints;
mod identity;
mod ingest;
mod limits;
mod login;
mod lookup;
mod org;
mod picklists;
mod private_key;
mod query;
mod query_jobs;
mod record;
mod refusal;
mod retry;
mod same_org;
mod token;
mod transport;
mod upload;
mod usage;
mod version;
mod web_login;

#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;

pub use describe::ObjectSummary;
pub use download::{Downloaded, OpenTarget};
pub use error::{CallError, CallFacts, Happened, Kind};
pub use identity::OrgIdentity;
pub use ingest::JobPage;
pub use limits::{Limit, Limits};
pub use login::{KeeperError, Login, RenewalTurn, TokenKeeper};
pub use lookup::{FoundRecord, Lookup, lookup_calls};
pub use org::{ConnectOptions, Org};
pub use private_key::{JwtKey, JwtKeyError, KeyProblem};
pub use query::{QueryPage, QueryPages, QueryScope};
pub use query_jobs::{PageLinks, QueryJob, ResultPage};
pub use record::{FieldValue, Record};
pub use retry::{RetryPolicy, jitter};
pub use transport::CaBundle;
pub use upload::{BytesSent, OpenBody, UploadBody};
pub use usage::Usage;
pub use version::ApiVersion;
pub use web_login::{WebLogin, WebLoginRequest};

/// Percent-encodes everything but RFC 3986's unreserved characters; right for
/// a path segment, a query value and a form value alike.
fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
