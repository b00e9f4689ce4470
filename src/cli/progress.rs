//! Draws events: bars, plain lines or JSON lines.
