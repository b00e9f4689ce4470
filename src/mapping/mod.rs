//! Mapping files: which field gets its values from where, and in what form
//! (docs/mapping.md).
//!
//! ```text
//! FILE.toml ──► Mapping::read ──► Mapping (or every MappingProblem at once)
//! Mapping::questions ──► the org ──► Mapping::answer
//! Mapping + header + describe ──► transformer::compile ──► recipes in the Plan, Supplies
//! Recipe + cells of a row ──► Machine::make ──► value | nothing | cleared | Refusal
//! ```
//!
//! - A [`Mapping`] is the file, read and checked as far as it can be without
//!   header and describe; columns are names there.
//! - A [`Recipe`] says how the values of one field are made, with columns as
//!   places in the source. It is plain data that the ledger keeps; value maps,
//!   lookups and the secret are its [`Supplies`], files by path and SHA-256, the
//!   secret by the name of its variable and a check value.
//! - [`TableFiles`] opens files of value maps and lookups, CSV or Parquet; the
//!   mapping itself knows no reader.
//! - A [`Question`] is a lookup that the org answers. Whoever can ask gives an
//!   [`Answer`] before rows are made; a run keeps it as a file of its own.
//! - A [`Machine`] is recipes made ready: expressions compiled, tables in
//!   memory. It works cell by cell, in [`Room`] that is used again, and is
//!   shared by all threads.
//!
//! Value functions are pure and stand each in the file named after what is in
//! it.

mod asked;
mod cells;
mod conversion;
mod date;
mod draft;
mod field;
mod file;
mod filter;
pub mod keys;
mod maker;
mod mask;
mod number;
mod problem;
mod recipe;
mod replace;
mod sdl;
mod section;
mod table;
#[cfg(test)]
mod tests;
mod text;

pub use asked::{Answer, AnswerTooLarge, AskedTable, MOST_ASKED_RECORDS, Question};
pub use cells::Cells;
pub use date::{DateFormats, Fold};
pub use draft::{Confidence, Draft, DraftSpec, Proposal, SampledColumn, draft, wanted_parents};
pub use field::FieldEntry;
pub use file::{Mapping, Unmapped};
pub use filter::{Condition, Filter, Test};
pub use maker::{Loaded, Machine, Made, Room, Supplies};
pub use mask::{LEAST_SECRET, Mask, SecretName, Secrets};
pub use number::{NumberFormat, Rounding};
pub use problem::{MappingError, MappingProblem};
pub use recipe::{Case, Origin, Otherwise, Piece, Recipe, Step, WhenEmpty};
pub use replace::Replace;
pub use sdl::{ImportedSdl, import_sdl};
#[cfg(test)]
pub(crate) use table::tests::CsvTables;
pub use table::{Entries, MOST_TABLE_BYTES, TableFile, TableFiles, TableSource};
