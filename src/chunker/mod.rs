//! Rows to chunks under the byte and row limits, cut at record borders.
//!
//! ```text
//! RawBatch + EncodedBatch ──► Chunker ──► rejected rows, in row order ──┐
//!        (in source order)        └─────► PlannedChunk ─────────────────┴──► ChunkSink
//! ```
//!
//! - A chunk covers a contiguous stretch of rows; every row read lies in
//!   exactly one chunk, where it is sent or rejected (I1).
//! - Its body can be opened again: as a *span* of the source while every byte
//!   of the stretch goes as it stands, else as a *spool* file. A chunk begins
//!   as a span; the first row that breaks it opens the spool, into which the
//!   span so far is copied. So nothing is written for a source that needs no
//!   change, and no chunk is ever held in memory.
//! - Rows that share their key within a chunk are counted and, as `--duplicates`
//!   says, left out: the service fails all rows of one save (200) that share an
//!   upsert key, and batches run in no certain order.
//! - Rows of a chunk that are sent again become a spool of their own, taken from
//!   the body as it was sent ([`write_parts`]).
//! - Rows of one parent stay in one chunk, and in one batch of its job where
//!   they fit, if the chunker is given a group index ([`Chunker::in_groups`]).
//! - Memory per chunk: a few bytes for each of its rows where keys or unique
//!   columns are watched, plus at most [`MAX_REJECTED`] reasons (I6).
//!
//! This is plain synchronous code. It runs dry too ([`rehearse`]): the same
//! borders and counts without writing a byte.

mod body;
mod cutter;
mod groups;
mod keys;
mod open;
mod part;
mod rehearsal;
mod sizing;
mod spool;

pub use body::{Body, PlannedChunk, open_body, open_rows};
pub use cutter::{ChunkError, ChunkSink, Chunker, ChunkerOptions, MAX_REJECTED};
pub use keys::Duplicates;
pub use part::{Part, PartError, PartSpec, digest_of, write_parts};
pub use rehearsal::{ChunkOutline, Encode, Rehearsal, rehearse, rehearse_with};
pub use sizing::ChunkSizing;

#[cfg(test)]
mod tests;
