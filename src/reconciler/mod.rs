//! Result sets back to source rows, and the proof that none is missing.
//!
//! Salesforce promises no order and renders values again, so neither position
//! nor the raw row finds a result's row. [`reconcile`] is a hash join per
//! attempt: the three result sets are the build side, the body as sent is the
//! probe; five tiers of evidence, each for what the one before left in a group
//! (docs/architecture.md). What no tier proves is *disputed*, never guessed
//! (I1).
//!
//! | file | what it is |
//! |---|---|
//! | `records` | CSV text, record by record |
//! | `sets` | a result set's header read, its cells picked |
//! | `table` | the hash table of a tier |
//! | `matcher` | the tiers |
//! | `proof` | what was proven, and what was odd |
//! | `outcomes` | the outcome file: a row's fate in about 25 bytes |
//! | `merge` | several outcome files of a chunk as one |
//! | `source_order` | outcomes of a derived source in the order of the original |
//! | `results` | success.csv, failed.csv and their siblings |
//! | `failures` | `sf__Error` taken apart, its values masked |
//! | `settle` | a disputed row judged by the record the org shows |

mod failures;
mod matcher;
mod merge;
mod outcomes;
mod proof;
mod records;
mod results;
mod sets;
mod settle;
mod source_order;
mod table;

pub use failures::{RowError, duplicate_of, masked};
pub use matcher::{MatchRule, ResultSets, SentColumn, SentColumns, SentRows, dispute, reconcile};
pub use merge::MergedOutcomes;
pub use outcomes::{OutcomeError, OutcomeReader, OutcomeSummary, OutcomeWriter};
pub use proof::{ChunkProof, Problem, ReconcileError, TierCounts};
pub use results::{Appended, ResultError, ResultFiles, ResultKind, WrittenFile};
pub use settle::{FoundRecords, Settled, Settling, lookup_hash, queried_as};
pub use source_order::{OrderedOutcomes, SourceOrder, renumbered};
