//! The integration tests: one binary with a module a theme, so that the
//! dependencies are linked once.
//!
//! A file here that is not declared below would never run; `layering` fails
//! then.

// Sources of tests are small, and read better this way.
#![allow(clippy::format_push_string, clippy::format_collect)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking, like the tests themselves"
)]

mod bad_input;
mod browsing;
mod check;
mod client;
mod clone;
mod compressed;
mod conservation;
mod cutting;
mod documents;
mod duplicates;
mod export;
mod export_faults;
mod export_layout;
mod faults;
mod group_by;
mod grouping;
mod increments;
mod interruptions;
mod layering;
mod limits;
mod load;
mod local_org_serve;
mod login_secrets;
mod logins;
mod lookup;
mod lookup_files;
mod map;
mod mapping;
mod org_lookups;
mod passing_failures;
mod reconciling;
mod resume;
mod retry;
mod runs;
mod secrets;
mod settle;
mod sources;
mod stored_logins;
mod support;
mod tls;
mod tls_rig;
mod torture;
