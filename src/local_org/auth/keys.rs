//! Public keys whose owners may log in with a JWT.
//!
//! A file may be PEM or DER, and hold an X.509 certificate (what people
//! upload to a connected app), a `SubjectPublicKeyInfo` (`PUBLIC KEY`) or a
//! bare PKCS #1 key (`RSA PUBLIC KEY`). Only RSA of 2048 to 8192 bits.

use std::path::{Path, PathBuf};

use ring::signature;

use super::base64;

/// Why a key could not be registered.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not an RSA public key or certificate.
    #[error("{origin} holds no RSA public key or certificate in PEM or DER")]
    Format {
        /// Where it came from.
        origin: String,
    },
}

/// The registered keys, as PKCS #1 DER.
#[derive(Debug, Default)]
pub(super) struct KeyRing {
    keys: Vec<Vec<u8>>,
}

impl KeyRing {
    /// Takes all keys of a folder (`*.pem`, `*.crt`, `*.cer`, `*.der`, `*.pub`);
    /// none when it isn't there.
    pub(super) fn add_folder(&mut self, folder: &Path) -> Result<(), KeyError> {
        let failed = |source| KeyError::Read { path: folder.to_owned(), source };
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let known = path.extension().and_then(|ext| ext.to_str()).is_some_and(|ext| {
                ["pem", "crt", "cer", "der", "pub"].iter().any(|e| ext.eq_ignore_ascii_case(e))
            });
            if known {
                let bytes = std::fs::read(&path)
                    .map_err(|source| KeyError::Read { path: path.clone(), source })?;
                self.add(&bytes, &path.display().to_string())?;
            }
        }
        Ok(())
    }

    /// Takes one key.
    pub(super) fn add(&mut self, bytes: &[u8], origin: &str) -> Result<(), KeyError> {
        let key = pkcs1(bytes).ok_or_else(|| KeyError::Format { origin: origin.to_owned() })?;
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
        Ok(())
    }

    /// Whether one of the keys made this RS256 signature.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.keys.iter().any(|key| {
            signature::UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, key)
                .verify(message, signature)
                .is_ok()
        })
    }
}

/// The PKCS #1 `RSAPublicKey` inside of whatever was given.
fn pkcs1(bytes: &[u8]) -> Option<Vec<u8>> {
    let der = match std::str::from_utf8(bytes).ok().filter(|text| text.contains("-----BEGIN")) {
        Some(text) => {
            let body = text.split("-----BEGIN").find(|part| {
                let label = part.lines().next().unwrap_or_default();
                label.contains("PUBLIC KEY") || label.contains("CERTIFICATE")
            })?;
            let body: String =
                body.lines().skip(1).take_while(|line| !line.starts_with("-----")).collect();
            base64::decode(body.as_bytes())?
        }
        None => bytes.to_vec(),
    };
    let (tag, outer, _) = element(&der)?;
    if tag != SEQUENCE {
        return None;
    }
    let (first, inner, rest) = element(outer)?;
    if first == INTEGER {
        // SEQUENCE { modulus, exponent }
        return Some(der);
    }
    if first != SEQUENCE {
        return None;
    }
    if let Some((BIT_STRING, bits, [])) = element(rest) {
        // SEQUENCE { algorithm, key }
        return unwrapped(bits);
    }
    // Certificate { tbs { [0] version?, serial, algorithm, issuer, validity,
    // subject, key ... } ... }
    let mut rest = inner;
    if let Some((0xa0, _, after)) = element(rest) {
        rest = after;
    }
    for _ in 0..5 {
        rest = element(rest)?.2;
    }
    let (_, key_info, _) = element(rest)?;
    let (_, _, after_algorithm) = element(key_info)?;
    match element(after_algorithm)? {
        (BIT_STRING, bits, _) => unwrapped(bits),
        _ => None,
    }
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// A bit string's bytes (its first tells how many bits are unused: none),
/// if they are a key.
fn unwrapped(bits: &[u8]) -> Option<Vec<u8>> {
    let key = bits.strip_prefix(&[0])?;
    let (tag, body, _) = element(key)?;
    (tag == SEQUENCE && element(body)?.0 == INTEGER).then(|| key.to_vec())
}

/// The DER element at the start: tag, content, what comes after.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(count)?;
        (bytes.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_refused_with_its_origin() {
        let mut ring = KeyRing::default();
        for bytes in
            [&b""[..], b"hello", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END", &[0x30, 0x84, 0xff]]
        {
            let error = ring.add(bytes, "server.crt").unwrap_err();
            assert!(error.to_string().starts_with("server.crt holds no RSA"));
        }
    }

    #[test]
    fn the_three_forms_of_one_key_are_one_key() {
        let mut ring = KeyRing::default();
        for file in ["jwt.crt", "jwt-public.pem", "jwt-public-pkcs1.pem"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/local-org").join(file);
            ring.add(&std::fs::read(path).unwrap(), file).unwrap();
        }
        assert_eq!(ring.keys.len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_reader(bytes: Vec<u8>) {
            let _ = pkcs1(&bytes);
        }
    }
}
