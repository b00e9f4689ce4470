//! Digests as people and files show them.

use std::io::{self, Read};

use ring::digest::{Context, SHA256};

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// The SHA-256 of what is read, in hex, and how many bytes it was.
pub(crate) fn sha256(mut read: impl Read) -> io::Result<(u64, String)> {
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0;
    loop {
        match read.read(&mut buffer) {
            Ok(0) => return Ok((bytes, hex(context.finish().as_ref()))),
            Ok(got) => {
                context.update(&buffer[..got]);
                bytes += got as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
