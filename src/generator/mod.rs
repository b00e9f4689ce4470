//! Deterministic sample data: every value a pure function of seed, row number
//! and column.
//!
//! So any test can judge any row without trusting the pipeline, in any order
//! and without reading a file: [`cell`] says what stands in it, and
//! [`Recipe::trap`] whether an org has to refuse it.
//!
//! ```
//! use bulkhaul::generator::{DEFAULT_SEED, Recipe, SampleObject, cell, column};
//!
//! let key = column(SampleObject::Account, "Legacy_Id__c").unwrap();
//! assert_eq!(cell(DEFAULT_SEED, 7, key), "ACC-00000007");
//!
//! let recipe = Recipe::new(SampleObject::Account, 3);
//! let mut text = Vec::new();
//! recipe.write(&mut text, &mut |_| {}).unwrap();
//! assert!(text.starts_with(b"Legacy_Id__c,Name,"));
//! ```
//!
//! The fields are those of the local org (docs/local-org.md). About 2 % of the
//! rows hold what CSV readers stumble on: commas, quotes, line breaks, and
//! letters beyond ASCII ([`oddity`]).

mod account;
mod column;
mod contact;
mod draw;
mod recipe;
mod trap;
mod words;

pub use column::{Column, ColumnSet, SampleObject, cell, column, columns};
pub use draw::{Oddity, oddity};
pub use recipe::{Format, Recipe, RecipeError, Shape};
pub use trap::{Refusal, Trap, TrapKind};

/// The seed of the fixtures, and of the command if none is given.
pub const DEFAULT_SEED: u64 = 42;

#[cfg(test)]
mod tests;
