//! What is written, counted and digested on its way.

use std::io::{self, Write};

use ring::digest::{Context, SHA256};

use crate::rows::hex;

/// Writes through, and knows the SHA-256 of all that went by.
pub(super) struct Hashing<W> {
    inner: W,
    context: Context,
    bytes: u64,
}

impl<W: Write> Hashing<W> {
    pub(super) fn new(inner: W) -> Self {
        Hashing { inner, context: Context::new(&SHA256), bytes: 0 }
    }

    /// Bytes written so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it wrote to, the bytes, and their digest in hex.
    pub(super) fn finish(self) -> (W, u64, String) {
        (self.inner, self.bytes, hex(self.context.finish().as_ref()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(text)?;
        self.context.update(&text[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
