//! Stored logins: what `bulkhaul login` keeps and `--org NAME` takes up.
//!
//! | file | what it holds |
//! |---|---|
//! | `entry` | what is kept of a login, open and secret |
//! | `store` | the folder of logins, and where their secrets are |
//! | `keyring` | the keyring of the system |
//! | `sealed` | secrets under a passphrase, where there is no keyring |
//! | `keeper` | a refresh token that rotates, kept up with |
//!
//! Each login is a file of its own in the configuration folder (0600) with
//! what is no secret; the secrets are in the keyring, or sealed in the same
//! file. They are bound to the open part: whoever changes the login URL in the
//! file gets no token sent there.

mod entry;
mod keeper;
mod keyring;
mod sealed;
mod store;

pub(super) use entry::{Entry, Secrets, check_name};
pub(super) use keeper::Slot;
pub(super) use store::Store;
