//! bulkhaul moves bulk data into and out of Salesforce and accounts for every
//! row.
//!
//! A load streams a source through `reader → transformer → chunker →
//! uploader` into parallel Bulk API 2.0 jobs, polls them, and reconciles each
//! row with its result. docs/architecture.md has the picture; this is the map:
//!
//! | module | what it is |
//! |---|---|
//! | [`domain`] | the words of the field, pure |
//! | [`rows`] | row batches, cells, canonical forms |
//! | [`salesforce`] | all that speaks to an org |
//! | [`mapping`] | mapping files, and the making of values |
//! | [`reader`] | source files to row batches |
//! | [`transformer`] | rows into the form Salesforce takes |
//! | [`grouper`] | rows of one parent together |
//! | [`chunker`] | rows to chunks, cut at record borders |
//! | [`uploader`] | a chunk to a closed job |
//! | [`poller`] | a closed job to its terminal state |
//! | [`reconciler`] | results back to source rows, with the proof |
//! | [`exporter`] | query results to typed files, manifest, verification |
//! | [`ledger`] | the durable memory of a run |
//! | [`pipeline`] | the stages wired up |
//! | [`report`] | the summary of a run |
//! | [`generator`] | deterministic sample data |
//! | [`cli`] | the only place with a terminal, the environment or exit codes |
//! | `local_org` | the embedded org; shares nothing with the rest (I10) |

pub mod checker;
pub mod chunker;
pub mod cli;
pub mod domain;
pub mod exporter;
pub mod generator;
pub mod grouper;
pub mod ledger;
#[cfg(feature = "local-org")]
pub mod local_org;
pub mod mapping;
pub mod pipeline;
pub mod poller;
pub mod reader;
pub mod reconciler;
pub mod report;
pub mod rows;
pub mod salesforce;
pub mod transformer;
pub mod uploader;
