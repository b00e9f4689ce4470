//! Result sets back to source rows, and the proof that none is missing.
