//! A closed job to its terminal state.
