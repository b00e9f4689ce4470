//! Source rows into the form Salesforce takes.
//!
//! ```text
//! header + describe + what the user asked for ──► compile ──► Plan (or every Problem at once)
//! RawBatch ──► Plan::apply ──► EncodedBatch: same | rewritten | rejected, record by record
//! ```
//!
//! - [`compile`] checks before anything is sent; the [`Plan`] it gives is
//!   written into the ledger, so that a resume needs no describe.
//! - [`Plan::apply`] is plain synchronous code without state: batches may be
//!   worked in parallel and in any order. A plan that changes nothing looks at
//!   no cell; a record that needs no change is not copied.
//! - What is not mapped goes through unchanged (I7). The exceptions are
//!   counted: line ends inside cells become the job's, words in boolean fields
//!   become `true` or `false`, a cell with a stray quote is put in quotes.
//!
//! **Mapping files** compile to the same [`Plan`]: its columns have recipes
//! ([`crate::mapping`]) where their values are made. A mapping that only
//! renames and leaves out makes the plan that `--map` would. Nothing behind
//! `apply` knows the difference.

mod compile;
mod encode;
mod plan;
mod problem;
mod relationship;

use crate::domain::{ObjectDescription, Operation};
use crate::mapping::Mapping;

pub use compile::{compile, needed_parents};
pub use plan::{DropReason, DroppedColumn, Plan, PlannedColumn, Treatment};
pub use problem::Problem;

/// What a load is to do with its source, as the user asked for it.
#[derive(Debug, Clone, Copy)]
pub struct LoadSpec<'a> {
    /// What the jobs do.
    pub operation: Operation,
    /// The object, as described to this user.
    pub object: &'a ObjectDescription,
    /// `--external-id`: the field an upsert matches by.
    pub external_id: Option<&'a str>,
    /// `--key`: columns or fields that tell rows apart.
    pub user_keys: &'a [String],
    /// `--map 'Column=Field'`, in order; an empty field leaves the column out.
    pub renames: &'a [(String, String)],
    /// `--empty`: what an empty cell says.
    pub empty: EmptyMeans,
    /// `--currency`: the currency of every row.
    pub currency: Option<&'a str>,
    /// `--mapping`; goes without `renames`.
    pub mapping: Option<&'a Mapping>,
}

/// What an empty cell says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmptyMeans {
    /// The field is left as it is; the service's own reading.
    #[default]
    Skip,
    /// The field is cleared: `#N/A` is sent. Keys, ids and boolean fields,
    /// which can't be cleared, stay empty.
    Clear,
}
