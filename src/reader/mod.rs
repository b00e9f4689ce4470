//! Source files to row batches.
