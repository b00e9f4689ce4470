//! What is kept of a login, open and secret.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::keeper::StoredKeeper;
use super::sealed::Sealed;
use super::store::Store;
use crate::cli::CliError;
use crate::salesforce::{JwtKey, Login};

/// The form of the files; a later release may write another.
pub(super) const VERSION: u32 = 1;

/// The kinds of login that can be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum StoredKind {
    /// A JWT signed with a key file.
    Jwt,
    /// A refresh token.
    RefreshToken,
    /// A client secret.
    ClientCredentials,
}

impl StoredKind {
    /// Its name for people and in JSON.
    pub(in crate::cli) const fn name(self) -> &'static str {
        match self {
            StoredKind::Jwt => "jwt",
            StoredKind::RefreshToken => "refresh-token",
            StoredKind::ClientCredentials => "client-credentials",
        }
    }
}

/// Where the secrets of a login are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum KeptIn {
    /// In the keyring of the system.
    Keyring,
    /// In its file, sealed under a passphrase.
    File,
    /// It has none: a JWT login whose key has no password.
    Nowhere,
}

impl KeptIn {
    /// Its name for people and in JSON.
    pub(in crate::cli) const fn name(self) -> &'static str {
        match self {
            KeptIn::Keyring => "keyring",
            KeptIn::File => "file",
            KeptIn::Nowhere => "nowhere",
        }
    }
}

/// The open part of a stored login, as its file has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::cli) struct Entry {
    pub(super) version: u32,
    /// What `--org` calls it.
    pub(in crate::cli) name: String,
    /// What kind of login it is.
    pub(in crate::cli) kind: StoredKind,
    /// Login host or My Domain.
    pub(in crate::cli) login_url: String,
    /// Consumer key.
    pub(in crate::cli) client_id: String,
    /// Login name: of a JWT login what it was made for, else what the org told.
    pub(in crate::cli) username: Option<String>,
    /// Key file of a JWT login.
    pub(in crate::cli) key_file: Option<PathBuf>,
    /// Audience of a JWT login, where the login URL does not tell.
    pub(in crate::cli) audience: Option<String>,
    /// The org it led to when it was stored.
    pub(in crate::cli) org_id: Option<String>,
    /// Where its secrets are.
    pub(in crate::cli) kept: KeptIn,
    /// The secrets, if they are in the file.
    pub(super) sealed: Option<Sealed>,
}

/// The secret part of a stored login.
#[derive(Clone, Default)]
pub(in crate::cli) struct Secrets {
    /// Refresh token.
    pub(in crate::cli) refresh_token: Option<SecretString>,
    /// Consumer secret.
    pub(in crate::cli) client_secret: Option<SecretString>,
    /// Password of the key file.
    pub(in crate::cli) key_password: Option<SecretString>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

/// The secrets as they are written, with what they belong to.
#[derive(Serialize)]
struct Written<'a> {
    belongs_to: String,
    refresh_token: Option<&'a str>,
    client_secret: Option<&'a str>,
    key_password: Option<&'a str>,
}

/// The same as it is read.
#[derive(Deserialize)]
struct Read {
    belongs_to: String,
    refresh_token: Option<String>,
    client_secret: Option<String>,
    key_password: Option<String>,
}

impl Secrets {
    /// Whether there is nothing to keep secret.
    pub(in crate::cli) fn is_empty(&self) -> bool {
        self.refresh_token.is_none() && self.client_secret.is_none() && self.key_password.is_none()
    }

    /// The bytes to be kept.
    pub(super) fn to_bytes(&self, entry: &Entry) -> Option<Zeroizing<Vec<u8>>> {
        let body = Written {
            belongs_to: entry.belongs_to(),
            refresh_token: self.refresh_token.as_ref().map(ExposeSecret::expose_secret),
            client_secret: self.client_secret.as_ref().map(ExposeSecret::expose_secret),
            key_password: self.key_password.as_ref().map(ExposeSecret::expose_secret),
        };
        serde_json::to_vec(&body).ok().map(Zeroizing::new)
    }

    /// Reads what was kept. None when it belongs to another login than this
    /// entry describes.
    pub(super) fn from_bytes(bytes: &[u8], entry: &Entry) -> Option<Secrets> {
        let read: Read = serde_json::from_slice(bytes).ok()?;
        (read.belongs_to == entry.belongs_to()).then(|| Secrets {
            refresh_token: read.refresh_token.map(SecretString::from),
            client_secret: read.client_secret.map(SecretString::from),
            key_password: read.key_password.map(SecretString::from),
        })
    }
}

impl Entry {
    /// The open part of a login, and its secrets. None for a login that can't
    /// be stored: an access token ends by itself, and the Salesforce CLI keeps
    /// its own.
    pub(in crate::cli) fn of(
        name: &str,
        login: &Login,
        key_file: Option<&Path>,
        key_password: Option<SecretString>,
    ) -> Option<(Entry, Secrets)> {
        let entry = |kind, login_url: &str, client_id: &str| Entry {
            version: VERSION,
            name: name.to_owned(),
            kind,
            login_url: login_url.to_owned(),
            client_id: client_id.to_owned(),
            username: None,
            key_file: None,
            audience: None,
            org_id: None,
            kept: KeptIn::Nowhere,
            sealed: None,
        };
        match login {
            Login::Jwt { login_url, id, username, audience, .. } => {
                let path = std::path::absolute(key_file?).ok()?;
                let entry = Entry {
                    username: Some(username.clone()),
                    key_file: Some(path),
                    audience: audience.clone(),
                    ..entry(StoredKind::Jwt, login_url, id)
                };
                Some((entry, Secrets { key_password, ..Secrets::default() }))
            }
            Login::Refresh { login_url, id, secret, refresh_token, .. } => {
                let secrets = Secrets {
                    refresh_token: Some(refresh_token.clone()),
                    client_secret: secret.clone(),
                    key_password: None,
                };
                Some((entry(StoredKind::RefreshToken, login_url, id), secrets))
            }
            Login::ClientCredentials { login_url, id, secret } => {
                let secrets = Secrets { client_secret: Some(secret.clone()), ..Secrets::default() };
                Some((entry(StoredKind::ClientCredentials, login_url, id), secrets))
            }
            _ => None,
        }
    }

    /// What the secrets belong to: a change of any of it makes them useless.
    fn belongs_to(&self) -> String {
        let key_file = self.key_file.as_deref().unwrap_or(Path::new("")).display().to_string();
        let username = match self.kind {
            StoredKind::Jwt => self.username.as_deref().unwrap_or_default(),
            // What the org told, for show.
            _ => "",
        };
        let audience = self.audience.as_deref().unwrap_or_default();
        [&self.name, self.kind.name(), &self.login_url, &self.client_id, username, audience]
            .into_iter()
            .chain([key_file.as_str()])
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The login itself.
    ///
    /// # Errors
    /// When the key file can't be used, or a secret is missing.
    pub(in crate::cli) fn login(
        &self,
        secrets: Secrets,
        store: &Arc<Store>,
    ) -> Result<Login, CliError> {
        let incomplete = || super::store::damaged(&self.name);
        let (login_url, id) = (self.login_url.clone(), self.client_id.clone());
        Ok(match self.kind {
            StoredKind::Jwt => {
                let path = self.key_file.as_deref().ok_or_else(incomplete)?;
                Login::Jwt {
                    login_url,
                    id,
                    username: self.username.clone().ok_or_else(incomplete)?,
                    key: JwtKey::read(path, secrets.key_password.as_ref()).map_err(|error| {
                        CliError::refused("jwt-key", error.to_string()).hint(error.hint())
                    })?,
                    audience: self.audience.clone(),
                }
            }
            StoredKind::RefreshToken => Login::Refresh {
                login_url,
                id,
                secret: secrets.client_secret,
                refresh_token: secrets.refresh_token.ok_or_else(incomplete)?,
                keeper: Some(Arc::new(StoredKeeper::new(Arc::clone(store), &self.name))),
            },
            StoredKind::ClientCredentials => Login::ClientCredentials {
                login_url,
                id,
                secret: secrets.client_secret.ok_or_else(incomplete)?,
            },
        })
    }
}

/// Whether a login may have this name: it becomes the name of a file, and must
/// not be taken for one of the others that `--org` knows.
///
/// # Errors
/// Refuses (2) with what a name may be.
pub(in crate::cli) fn check_name(name: &str) -> Result<(), CliError> {
    let characters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let shaped = (1..=64).contains(&name.len()) && !name.starts_with(['.', '-']) && characters;
    let taken = ["local", "env", "sf"].iter().any(|word| name.eq_ignore_ascii_case(word));
    if shaped && !taken {
        return Ok(());
    }
    Err(CliError::refused("usage", format!("`{name}` can't be the name of a login")).hint(
        "A name is up to 64 letters, digits, `-`, `_` and `.`, and none of local, env and sf.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> (Entry, Secrets) {
        let login = Login::Refresh {
            login_url: "https://acme.my.salesforce.com".into(),
            id: "3MVG9".into(),
            secret: Some("hunter2-secret".into()),
            refresh_token: "hunter2-token".into(),
            keeper: None,
        };
        Entry::of("prod", &login, None, None).unwrap()
    }

    #[test]
    fn secrets_are_read_back_for_the_login_they_belong_to_alone() {
        let (entry, secrets) = example();
        let bytes = secrets.to_bytes(&entry).unwrap();
        let read = Secrets::from_bytes(&bytes, &entry).unwrap();
        assert_eq!(read.refresh_token.unwrap().expose_secret(), "hunter2-token");
        assert_eq!(read.client_secret.unwrap().expose_secret(), "hunter2-secret");
        let bent = Entry { login_url: "https://evil.example".into(), ..entry.clone() };
        assert!(Secrets::from_bytes(&bytes, &bent).is_none());
        let other = Entry { name: "other".into(), ..entry.clone() };
        assert!(Secrets::from_bytes(&bytes, &other).is_none());
        // What is only for show may change.
        let shown = Entry { username: Some("u".into()), org_id: Some("00D".into()), ..entry };
        assert!(Secrets::from_bytes(&bytes, &shown).is_some());
    }

    #[test]
    fn the_open_part_and_what_is_printed_hold_no_secret() {
        let (entry, secrets) = example();
        let printed = format!("{entry:?} {secrets:?} {}", serde_json::to_string(&entry).unwrap());
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn a_name_is_a_harmless_file_name() {
        for good in ["prod", "acme-uat_2", "a.b", "X"] {
            check_name(good).unwrap();
        }
        let long = "x".repeat(65);
        for bad in ["", "local", "Env", "sf", "sf:x", "a/b", "..", "-x", "ä", "a b", &long] {
            assert_eq!(check_name(bad).unwrap_err().exit as u8, 2, "{bad}");
        }
    }
}
