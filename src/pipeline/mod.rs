//! Wires the stages for a load.
