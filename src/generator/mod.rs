//! Deterministic sample data: every value a function of seed and row number.
