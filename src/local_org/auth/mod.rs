//! Logging in: the token endpoint, the tokens and who they belong to
//! (protocol notes, section 1).
//!
//! Grants: client credentials, JWT bearer (RS256, the key registered in the
//! folder's `jwt-keys/`), refresh token, authorization code with PKCE. Access tokens live in memory and end
//! with the process, so a client has to renew after a restart; client id,
//! secret and refresh tokens are kept in `credentials.json` (mode 0600),
//! generated at the first start.

mod authorize;
pub(crate) mod base64;
mod http;
mod jwt;
mod keys;

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

pub(crate) use authorize::authorize;
pub(crate) use http::{identity, revoke, token, userinfo};
pub use keys::KeyError;
use keys::KeyRing;

/// Access tokens kept at once; the oldest go first. A client that logs in
/// for every call must not grow the process.
const MAX_TOKENS: usize = 10_000;

/// Why the credentials could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The file can't be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("{} is not a credentials file", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
    /// A registered key is none.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A refused token request: an object, unlike the errors of the REST API.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OauthError {
    /// `invalid_grant`, `invalid_client_id` ...
    pub error: &'static str,
    /// Text for people.
    pub description: String,
}

impl OauthError {
    fn new(error: &'static str, description: impl Into<String>) -> OauthError {
        OauthError { error, description: description.into() }
    }
}

/// What the folder remembers.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Credentials {
    client_id: String,
    client_secret: String,
    /// Refresh token to username.
    refresh_tokens: HashMap<String, String>,
}

#[derive(Debug, Clone)]
struct Session {
    user_id: String,
    /// Milliseconds on the org's clock; none lives as long as the process.
    expires_at: Option<i64>,
    /// Counts up, to find the oldest.
    serial: u64,
    /// Calls it was used for, while these are counted.
    calls: u64,
}

/// Credentials, keys and tokens.
#[derive(Debug)]
pub(crate) struct Auth {
    random: SystemRandom,
    file: Option<PathBuf>,
    credentials: Mutex<Credentials>,
    keys: Mutex<KeyRing>,
    sessions: Mutex<(u64, HashMap<String, Session>)>,
    codes: Mutex<authorize::Codes>,
    org_id: String,
}

/// What is behind the lock is consistent after every statement.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Auth {
    /// Reads or makes the credentials; `dir` none keeps them in memory.
    /// `username` is whom the first refresh token belongs to.
    pub(crate) fn open(
        dir: Option<&Path>,
        org_id: &str,
        username: &str,
    ) -> Result<Auth, AuthError> {
        let random = SystemRandom::new();
        let mut keys = KeyRing::default();
        let file = dir.map(|dir| dir.join("credentials.json"));
        if let Some(dir) = dir {
            keys.add_folder(&dir.join("jwt-keys"))?;
        }
        let known = match &file {
            Some(path) => read_credentials(path)?,
            None => None,
        };
        let fresh = known.is_none();
        let credentials = match known {
            Some(credentials) => credentials,
            None => Credentials {
                client_id: format!("3MVG9{}", secret(&random, 36)?),
                client_secret: secret(&random, 32)?,
                refresh_tokens: HashMap::from([(
                    format!("5Aep861{}", secret(&random, 36)?),
                    username.to_owned(),
                )]),
            },
        };
        let auth = Auth {
            random,
            file,
            credentials: Mutex::new(credentials),
            keys: Mutex::new(keys),
            sessions: Mutex::default(),
            codes: Mutex::default(),
            org_id: org_id.to_owned(),
        };
        if fresh {
            auth.save()?;
        }
        Ok(auth)
    }

    /// Writes the credentials beside the old ones and puts them in their place.
    fn save(&self) -> Result<(), AuthError> {
        let Some(path) = &self.file else { return Ok(()) };
        let text = serde_json::to_vec_pretty(&*locked(&self.credentials))
            .map_err(|source| AuthError::Content { path: path.clone(), source })?;
        let failed = |source| AuthError::File { path: path.clone(), source };
        let beside = path.with_extension("json.new");
        // A left-over one may have other rights.
        let _ = std::fs::remove_file(&beside);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside).map_err(failed)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&beside, path).map_err(failed)
    }

    /// Where the credentials are kept.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The consumer key.
    pub(crate) fn client_id(&self) -> String {
        locked(&self.credentials).client_id.clone()
    }

    /// The consumer secret.
    pub(crate) fn client_secret(&self) -> String {
        locked(&self.credentials).client_secret.clone()
    }

    /// A refresh token that is good now, if there is one left.
    pub(crate) fn refresh_token(&self) -> Option<String> {
        locked(&self.credentials).refresh_tokens.keys().min().cloned()
    }

    /// Registers a public key or certificate for JWT logins.
    pub(crate) fn register_key(&self, bytes: &[u8], origin: &str) -> Result<(), KeyError> {
        locked(&self.keys).add(bytes, origin)
    }

    /// A new access token for a user, good until `expires_at` on the org's clock.
    pub(crate) fn issue(
        &self,
        user_id: &str,
        expires_at: Option<i64>,
        now: i64,
    ) -> Result<String, AuthError> {
        let org = self.org_id.get(..15).unwrap_or(&self.org_id);
        let token = format!("{org}!AQ{}", secret(&self.random, 48)?);
        let mut sessions = locked(&self.sessions);
        let (serial, by_token) = &mut *sessions;
        if by_token.len() >= MAX_TOKENS {
            by_token.retain(|_, session| session.expires_at.is_none_or(|at| at > now));
        }
        if by_token.len() >= MAX_TOKENS {
            let oldest =
                by_token.iter().min_by_key(|(_, session)| session.serial).map(|(t, _)| t.clone());
            oldest.and_then(|token| by_token.remove(&token));
        }
        *serial += 1;
        let session =
            Session { user_id: user_id.to_owned(), expires_at, serial: *serial, calls: 0 };
        by_token.insert(token.clone(), session);
        Ok(token)
    }

    /// Whose token this is, if it is good now.
    pub(crate) fn user_of(&self, token: &str, now: i64) -> Option<String> {
        let mut sessions = locked(&self.sessions);
        let session = sessions.1.get(token)?;
        if session.expires_at.is_some_and(|at| at <= now) {
            sessions.1.remove(token);
            return None;
        }
        Some(session.user_id.clone())
    }

    /// Counts a call of a session; gives how many it has had.
    pub(crate) fn use_session(&self, token: &str) -> u64 {
        locked(&self.sessions).1.get_mut(token).map_or(0, |session| {
            session.calls += 1;
            session.calls
        })
    }

    /// Ends an access token or a refresh token; true when it was one.
    pub(crate) fn end(&self, token: &str) -> Result<bool, AuthError> {
        if locked(&self.sessions).1.remove(token).is_some() {
            return Ok(true);
        }
        let known = locked(&self.credentials).refresh_tokens.remove(token).is_some();
        if known {
            self.save()?;
        }
        Ok(known)
    }

    /// Ends all access tokens, as an administrator may do.
    pub(crate) fn end_sessions(&self) {
        locked(&self.sessions).1.clear();
    }

    /// A new refresh token for a user; with `replacing` the old one ends.
    fn new_refresh_token(
        &self,
        username: &str,
        replacing: Option<&str>,
    ) -> Result<String, AuthError> {
        let token = format!("5Aep861{}", secret(&self.random, 36)?);
        {
            let mut credentials = locked(&self.credentials);
            if let Some(old) = replacing {
                credentials.refresh_tokens.remove(old);
            }
            credentials.refresh_tokens.insert(token.clone(), username.to_owned());
        }
        self.save()?;
        Ok(token)
    }

    fn username_of_refresh_token(&self, token: &str) -> Option<String> {
        locked(&self.credentials).refresh_tokens.get(token).cloned()
    }

    /// Client id and, if one is given or asked for, secret.
    fn check_client(&self, id: &str, secret: Option<&str>) -> Result<(), OauthError> {
        let credentials = locked(&self.credentials);
        if id != credentials.client_id {
            return Err(OauthError::new("invalid_client_id", "client identifier invalid"));
        }
        // Compared by digest, so that the time taken tells nothing.
        match secret {
            Some(secret) if !same(secret, &credentials.client_secret) => {
                Err(OauthError::new("invalid_client", "invalid client credentials"))
            }
            _ => Ok(()),
        }
    }

    /// The token response's signature: HMAC-SHA256 over `id` and `issued_at`
    /// keyed by the client secret.
    fn sign(&self, id: &str, issued_at: &str) -> String {
        let secret = self.client_secret();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        base64::encode(hmac::sign(&key, format!("{id}{issued_at}").as_bytes()).as_ref())
    }

    fn check_assertion(
        &self,
        assertion: &str,
        own_url: &str,
        now: i64,
        most: Option<u64>,
    ) -> Result<jwt::Assertion, OauthError> {
        jwt::check(assertion, &locked(&self.keys), own_url, now, most)
    }
}

fn same(left: &str, right: &str) -> bool {
    let digest = |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest(left).as_ref() == digest(right).as_ref()
}

fn secret(random: &SystemRandom, bytes: usize) -> Result<String, AuthError> {
    let mut buffer = vec![0; bytes];
    random.fill(&mut buffer).map_err(|_| AuthError::Random)?;
    // `-` would read as an option on a command line.
    Ok(base64::encode_url(&buffer).replace('-', "_"))
}

fn read_credentials(path: &Path) -> Result<Option<Credentials>, AuthError> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| AuthError::Content { path: path.to_owned(), source }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(AuthError::File { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
pub(super) use jwt::tests as jwt_tests;

/// Base64 of a text, for tests of other modules.
#[cfg(test)]
pub(super) fn base64_of(text: &str) -> String {
    base64::encode(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORG: &str = "00DLo0000000001MAA";

    #[test]
    fn credentials_stay_and_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let first = Auth::open(Some(folder.path()), ORG, "a@b").unwrap();
        let second = Auth::open(Some(folder.path()), ORG, "a@b").unwrap();
        assert_eq!(first.client_id(), second.client_id());
        assert_eq!(first.client_secret(), second.client_secret());
        assert_eq!(first.refresh_token(), second.refresh_token());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(first.file().unwrap()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let other = Auth::open(None, ORG, "a@b").unwrap();
        assert_ne!(first.client_secret(), other.client_secret());
    }

    #[test]
    fn tokens_end_by_time_revocation_and_number() {
        let auth = Auth::open(None, ORG, "a@b").unwrap();
        let timed = auth.issue("005", Some(1000), 0).unwrap();
        assert!(timed.starts_with("00DLo0000000001!"));
        assert_eq!(auth.user_of(&timed, 999).as_deref(), Some("005"));
        assert_eq!(auth.user_of(&timed, 1000), None);
        let lasting = auth.issue("005", None, 0).unwrap();
        assert!(auth.end(&lasting).unwrap() && !auth.end(&lasting).unwrap());
        assert_eq!(auth.user_of(&lasting, 0), None);
        let oldest = auth.issue("005", None, 0).unwrap();
        for _ in 0..MAX_TOKENS {
            auth.issue("005", None, 0).unwrap();
        }
        assert_eq!(auth.user_of(&oldest, 0), None);
        assert_eq!(locked(&auth.sessions).1.len(), MAX_TOKENS);
    }

    #[test]
    fn clients_are_told_what_is_wrong_with_them() {
        let auth = Auth::open(None, ORG, "a@b").unwrap();
        let (id, secret) = (auth.client_id(), auth.client_secret());
        assert!(auth.check_client(&id, Some(&secret)).is_ok());
        assert_eq!(auth.check_client("x", None).unwrap_err().error, "invalid_client_id");
        assert_eq!(auth.check_client(&id, Some("x")).unwrap_err().error, "invalid_client");
    }
}
