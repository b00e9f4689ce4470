//! The durable memory of a run, in SQLite.
