//! A closed job to its terminal state: all jobs on one timer.

mod watch;

pub use watch::{Poller, PollerError, Watched};
