//! How to get into an org: the kinds of login, and where a refresh token that
//! rotates is kept.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

use super::private_key::JwtKey;

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
    /// OAuth JWT bearer: each session begins with an assertion signed anew.
    Jwt {
        /// Login host or My Domain.
        login_url: String,
        /// Consumer key.
        id: String,
        /// Login name of the user, who is approved for the app.
        username: String,
        /// The private key whose certificate the app has.
        key: JwtKey,
        /// Whom the assertion is for, where the login URL doesn't tell
        /// (`https://login.salesforce.com`).
        audience: Option<String>,
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
        /// Where the org's next refresh tokens are kept; `None` keeps them in
        /// memory alone.
        keeper: Option<Arc<dyn TokenKeeper>>,
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
            Login::Jwt { .. } => "JWT",
            Login::Refresh { .. } => "refresh token",
            Login::SalesforceCli { .. } => "Salesforce CLI",
        }
    }

    /// Whether bulkhaul can renew it in the middle of a run.
    pub const fn can_renew(&self) -> bool {
        !matches!(self, Login::Token { .. })
    }
}

/// Why a refresh token could not be read or kept; its text holds no secret.
pub type KeeperError = Box<dyn std::error::Error + Send + Sync>;

/// Where a refresh token lives between processes. An org may give a new one
/// with every renewal and end the old one ("refresh token rotation"), so two
/// processes must not renew at once, and a new token is kept before the
/// session that came with it is used.
pub trait TokenKeeper: Send + Sync {
    /// Waits until no other process renews, and gives the right to do so.
    /// Blocks for as long as the other one takes, which is a minute at most.
    ///
    /// # Errors
    /// When the place can't be used.
    fn turn(&self) -> Result<Box<dyn RenewalTurn>, KeeperError>;
}

/// The right to renew; ends when it is dropped.
pub trait RenewalTurn: Send {
    /// The token as it is kept now; another process may have changed it.
    fn current(&self) -> SecretString;

    /// Keeps a token in place of the one before. Durable when it returns.
    ///
    /// # Errors
    /// When it could not be written; the old one is still there.
    fn keep(&mut self, fresh: &SecretString) -> Result<(), KeeperError>;
}
