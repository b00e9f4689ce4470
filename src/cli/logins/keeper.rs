//! Refresh tokens that rotate, kept up with.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::SecretString;

use super::entry::{Entry, Secrets};
use super::store::Store;
use crate::salesforce::{KeeperError, RenewalTurn, TokenKeeper};

/// The refresh token of a stored login, where it is stored.
pub(in crate::cli) struct StoredKeeper {
    store: Arc<Store>,
    name: String,
}

impl StoredKeeper {
    pub(super) fn new(store: Arc<Store>, name: &str) -> StoredKeeper {
        StoredKeeper { store, name: name.to_owned() }
    }
}

struct Turn {
    store: Arc<Store>,
    entry: Entry,
    secrets: Secrets,
    token: SecretString,
    /// Held until the renewal is done.
    _lock: File,
}

impl TokenKeeper for StoredKeeper {
    fn turn(&self) -> Result<Box<dyn RenewalTurn>, KeeperError> {
        let lock = self.store.lock(&self.name)?;
        let told = |error: crate::cli::CliError| KeeperError::from(error.message);
        let entry = self.store.read(&self.name).map_err(told)?;
        let entry = entry.ok_or_else(|| KeeperError::from("it was removed meanwhile"))?;
        let secrets = self.store.open(&entry).map_err(told)?;
        let token = secrets.refresh_token.clone();
        let token = token.ok_or_else(|| KeeperError::from("it holds no refresh token any more"))?;
        let store = Arc::clone(&self.store);
        Ok(Box::new(Turn { store, entry, secrets, token, _lock: lock }))
    }
}

impl RenewalTurn for Turn {
    fn current(&self) -> SecretString {
        self.token.clone()
    }

    fn keep(&mut self, fresh: &SecretString) -> Result<(), KeeperError> {
        self.secrets.refresh_token = Some(fresh.clone());
        self.store
            .write(&mut self.entry, &self.secrets)
            .map_err(|error| KeeperError::from(error.message))
    }
}

/// The refresh token of a login that is not stored yet: trying it out may
/// already replace it.
#[derive(Clone)]
pub(in crate::cli) struct Slot(Arc<Mutex<SecretString>>);

impl Slot {
    pub(in crate::cli) fn new(token: SecretString) -> Slot {
        Slot(Arc::new(Mutex::new(token)))
    }

    /// The token that is good now.
    pub(in crate::cli) fn token(&self) -> SecretString {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl TokenKeeper for Slot {
    fn turn(&self) -> Result<Box<dyn RenewalTurn>, KeeperError> {
        Ok(Box::new(self.clone()))
    }
}

impl RenewalTurn for Slot {
    fn current(&self) -> SecretString {
        self.token()
    }

    fn keep(&mut self, fresh: &SecretString) -> Result<(), KeeperError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fresh.clone();
        Ok(())
    }
}
