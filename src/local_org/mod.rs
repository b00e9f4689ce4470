//! The embedded org: its own reading of the protocol, sharing nothing with
//! the client (I10).
//!
//! [`LocalOrg::start`] opens a folder (or nothing but memory), listens on the
//! loopback interface and serves real HTTP until it is stopped.
//! docs/local-org.md lists what is emulated, with sources, and what is not.
//!
//! | part | what it is |
//! |---|---|
//! | `catalogue` | objects and fields, from describe JSON |
//! | [`settings`] | every switch |
//! | [`clock`] | the org's time, which tests can move |
//! | `ids`, `value` | record ids; field values, read and shown |
//! | `store` | records in SQLite |
//! | `ingest` | Bulk API 2.0 ingest jobs: HTTP, worker, results |
//! | `bulk_query` | Bulk API 2.0 query jobs: HTTP, worker, result pages |
//! | `jobs` | what ingest and query jobs have in common |
//! | `queue` | what waits for the threads that work jobs |
//! | `auth` | token endpoint, tokens, JWT keys |
//! | `soql`, `query` | SOQL over REST, paged |
//! | `automation`, `field_definitions`, `picklists` | what the org tells of its setup |
//! | `describe`, `limits`, `records`, `versions` | the neighbouring resources |
//! | `server`, `state`, `errors`, `gzip`, `form` | HTTP: routes and what all share |
//! | `faults` | failures on purpose: language, decisions, broken connections |
//! | `journal` | what jobs did, read from the folder of an org that isn't running |
//! | `adopt` | definitions and keys of another org, brought into a folder |
//! | `seed` | the records every org has |

mod adopt;
mod auth;
mod automation;
pub(crate) mod bulk_query;
pub(crate) mod catalogue;
pub mod clock;
mod describe;
pub(crate) mod errors;
mod faults;
mod field_definitions;
mod form;
mod gzip;
pub(crate) mod ids;
pub(crate) mod ingest;
pub(crate) mod jobs;
mod journal;
mod limits;
mod org;
mod picklists;
mod query;
mod queue;
mod records;
mod seed;
pub(crate) mod server;
pub mod settings;
pub(crate) mod soql;
pub(crate) mod state;
pub(crate) mod store;
pub(crate) mod value;
mod versions;

#[cfg(test)]
mod tests;

pub use adopt::{adopt_objects, built_in_objects, is_an_org};
pub use auth::{AuthError, KeyError};
pub use automation::{Automation, Flow, Rule, Trigger, TriggerEvent, ValidationRule};
pub use catalogue::CatalogueError;
pub use clock::Clock;
pub use faults::{FaultError, FaultSpec};
pub use ingest::{Change, IngestError, JournalEntry};
pub use journal::read_journal;
pub use org::{LocalOrg, LocalOrgError, LocalOrgOptions, read_settings};
pub use settings::Settings;
pub use store::StoreError;
