//! A chunk to a closed job.
