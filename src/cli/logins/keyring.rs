//! The keyring of the system: Secret Service on Linux (GNOME, KDE, `KeePassXC`),
//! the keychain on macOS, the credential manager on Windows.

use std::sync::mpsc;
use std::time::Duration;

use secrecy::zeroize::Zeroizing;

/// Time the keyring may take; it may ask a person for its own password.
const PATIENCE: Duration = Duration::from_mins(2);

/// Why the keyring could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyringError {
    /// There is none, or nobody answers for it.
    #[error("this system has no keyring ({0})")]
    Absent(String),
    /// There is one, and it did not do what it was asked.
    #[error("the keyring of this system refuses ({0})")]
    Refused(String),
}

/// A request to the keyring.
enum Request {
    Get,
    Set(Zeroizing<Vec<u8>>),
    Delete,
}

type Answer = Result<Option<Zeroizing<Vec<u8>>>, KeyringError>;

/// The secret of a login; none when there is none of this name.
pub(super) fn get(name: &str) -> Answer {
    ask(name, Request::Get)
}

/// Keeps the secret of a login, in place of an earlier one.
pub(super) fn set(name: &str, secret: Zeroizing<Vec<u8>>) -> Result<(), KeyringError> {
    ask(name, Request::Set(secret)).map(drop)
}

/// Forgets the secret of a login.
pub(super) fn delete(name: &str) -> Result<(), KeyringError> {
    ask(name, Request::Delete).map(drop)
}

/// Asks on a thread of its own: the libraries below bring a runtime, or block
/// on a dialog.
fn ask(name: &str, request: Request) -> Answer {
    let (sender, receiver) = mpsc::channel();
    let name = name.to_owned();
    std::thread::Builder::new()
        .name("keyring".to_owned())
        .spawn(move || sender.send(system::answer(&name, request)))
        .map_err(|error| KeyringError::Refused(error.to_string()))?;
    receiver
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|_| Err(KeyringError::Refused("it does not answer".to_owned())))
}

#[cfg(target_os = "linux")]
mod system {
    use std::collections::HashMap;

    use secrecy::zeroize::Zeroizing;
    use secret_service::{EncryptionType, Error, SecretService};

    use super::{Answer, KeyringError, Request};

    pub(super) fn answer(name: &str, request: Request) -> Answer {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| KeyringError::Refused(error.to_string()))?;
        runtime.block_on(asked(name, request))
    }

    async fn asked(name: &str, request: Request) -> Answer {
        let refused = |error: Error| KeyringError::Refused(error.to_string());
        // The secret is encrypted on its way over the bus, too.
        let service = SecretService::connect(EncryptionType::Dh)
            .await
            .map_err(|error| KeyringError::Absent(error.to_string()))?;
        let attributes = HashMap::from([("application", "bulkhaul"), ("login", name)]);
        if let Request::Set(secret) = request {
            let collection = service
                .get_default_collection()
                .await
                .map_err(|error| KeyringError::Absent(error.to_string()))?;
            if collection.is_locked().await.map_err(refused)? {
                collection.unlock().await.map_err(refused)?;
            }
            let label = format!("bulkhaul login {name}");
            collection
                .create_item(&label, attributes, &secret, true, "application/json")
                .await
                .map_err(refused)?;
            return Ok(None);
        }
        let found = service.search_items(attributes).await.map_err(refused)?;
        let Some(item) = found.unlocked.first().or(found.locked.first()) else { return Ok(None) };
        if item.is_locked().await.map_err(refused)? {
            item.unlock().await.map_err(refused)?;
        }
        match request {
            Request::Delete => item.delete().await.map(|()| None).map_err(refused),
            _ => item.get_secret().await.map(|bytes| Some(Zeroizing::new(bytes))).map_err(refused),
        }
    }
}

#[cfg(any(target_os = "macos", windows))]
mod system {
    use keyring::v1::{Entry, Error};
    use secrecy::zeroize::Zeroizing;

    use super::{Answer, KeyringError, Request};

    pub(super) fn answer(name: &str, request: Request) -> Answer {
        let entry = Entry::new("bulkhaul", name)
            .map_err(|error| KeyringError::Absent(error.to_string()))?;
        let answer = match request {
            Request::Get => entry.get_secret().map(|bytes| Some(Zeroizing::new(bytes))),
            Request::Set(secret) => entry.set_secret(&secret).map(|()| None),
            Request::Delete => entry.delete_credential().map(|()| None),
        };
        match answer {
            Err(Error::NoEntry) => Ok(None),
            answer => answer.map_err(|error| KeyringError::Refused(error.to_string())),
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
mod system {
    use super::{Answer, KeyringError, Request};

    pub(super) fn answer(_: &str, _: Request) -> Answer {
        Err(KeyringError::Absent("none is known for it".to_owned()))
    }
}
