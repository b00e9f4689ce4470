//! A chunk to a closed job: create, upload, close.
//!
//! Every remote step is announced to the ledger before it and its answer
//! written after it (I3). A step that may have happened is settled by asking
//! the org, never by repeating it blindly (I4):
//!
//! | unanswered call | what is done |
//! |---|---|
//! | create | left alone: an Open job without data processes nothing and dies within 24 hours; a fresh attempt is made |
//! | upload | the attempt is given up: its job is aborted, a fresh attempt is made |
//! | close | the job is asked for its state until that is known; while it is still Open, it is closed again |
//!
//! Once a close was attempted, nothing here aborts or replaces the job (I5).
//! Ten minutes of trouble in a row are waited out, with jittered pauses; then
//! the chunk is left to `resume`.

mod trouble;
mod upload;

#[cfg(test)]
mod tests;

pub use upload::{Abandoned, AttemptStep, ChunkBody, Closed, StepObserver, UploadError, Uploader};
