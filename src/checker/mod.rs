//! Every row against what the org is known to take, without sending anything.
//!
//! ```text
//! RawBatch + EncodedBatch ──► Checker::look ──► findings, row by row
//!                                   │
//!                                   ▼
//!                               Gatherer: keys of all rows, sorted on disk ──► duplicates, keys to ask for
//!                                                                                    │
//! second reading: Checker::look with what the org answered ◄──── Checker::answered ◄─┘
//! ```
//!
//! A [`Checker`] is plain synchronous code that holds no row: batches may be
//! looked at in parallel. What takes more than one row (duplicates, parents)
//! is gathered in the first reading and told in the second, so that memory is
//! bounded whatever is found (I6).
//!
//! The rules follow the public documentation and are of bulkhaul's own making;
//! the local org has its own (I10). A test lets both judge the same bad rows.

mod cell;
mod form;
mod gather;
mod look;
mod rule;
mod spec;
mod spreadsheet;
#[cfg(test)]
mod tests;

pub use gather::{AskedKey, AskedKeys, CheckIoError, CrossFindings, Gathered, Gatherer};
pub(crate) use look::short;
pub use look::{Answers, Checker, Detail, Finding, Looked};
pub use rule::{CheckRule, Severity};
pub use spec::{Asked, CheckSpec, CheckedColumn, Purpose, RecordTypePicklists};
