//! Rows to chunks under the byte and row limits, cut at record borders.
