//! The embedded org: its own reading of the protocol, sharing nothing with the client (I10).

pub(crate) mod catalogue;
pub mod clock;
pub(crate) mod errors;
pub(crate) mod ids;
pub mod settings;
pub(crate) mod soql;
pub(crate) mod store;
pub(crate) mod value;

pub use catalogue::CatalogueError;
pub use clock::Clock;
pub use settings::Settings;
pub use store::StoreError;
pub(crate) mod ingest;
