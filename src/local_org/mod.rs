//! The embedded org: its own reading of the protocol, sharing nothing with the client (I10).

pub(crate) mod catalogue;
pub(crate) mod errors;
pub(crate) mod soql;

pub use catalogue::CatalogueError;
