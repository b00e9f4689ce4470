//! Secrets under a passphrase: Argon2id (RFC 9106) makes a key of it, and
//! `ChaCha20-Poly1305` (RFC 8439) seals with that.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

/// KiB of memory a guess takes. With two passes the lower of the settings that
/// the OWASP cheat sheet calls equal; a run must stay in its memory.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// The most that a file may ask for, so that a bent one can't tie up a machine.
const MOST_MEMORY: u32 = 1 << 20;
const MOST_PASSES: u32 = 32;
const SALT: usize = 16;

/// Sealed secrets, as a file has them: what is needed to make the key again,
/// and what was sealed, in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sealed {
    kdf: String,
    memory_kib: u32,
    passes: u32,
    salt: String,
    nonce: String,
    data: String,
}

/// Why secrets could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum SealError {
    /// The passphrase is another one, or the file was changed.
    #[error("the passphrase does not open it, or it was changed")]
    Closed,
    /// The file asks for something that this release does not know.
    #[error("it is sealed in a way that this release does not know")]
    Unknown,
    /// No random numbers or no memory.
    #[error("the system gives no random numbers or too little memory")]
    System,
}

const KDF: &str = "argon2id";

/// A key made of a passphrase, with the salt it was made with: making it takes
/// a moment, so it is used again.
pub(super) struct PassKey {
    salt: Vec<u8>,
    memory_kib: u32,
    passes: u32,
    key: Zeroizing<[u8; 32]>,
}

impl PassKey {
    /// Makes a key with a fresh salt.
    pub(super) fn fresh(passphrase: &SecretString) -> Result<PassKey, SealError> {
        let mut salt = vec![0; SALT];
        SystemRandom::new().fill(&mut salt).map_err(|_| SealError::System)?;
        PassKey::derive(passphrase, salt, MEMORY, PASSES)
    }

    /// Makes the key that something was sealed with.
    pub(super) fn of(passphrase: &SecretString, sealed: &Sealed) -> Result<PassKey, SealError> {
        let known = sealed.kdf == KDF
            && sealed.memory_kib <= MOST_MEMORY
            && (1..=MOST_PASSES).contains(&sealed.passes);
        if !known {
            return Err(SealError::Unknown);
        }
        let salt = STANDARD.decode(&sealed.salt).map_err(|_| SealError::Unknown)?;
        PassKey::derive(passphrase, salt, sealed.memory_kib, sealed.passes)
    }

    fn derive(
        passphrase: &SecretString,
        salt: Vec<u8>,
        memory_kib: u32,
        passes: u32,
    ) -> Result<PassKey, SealError> {
        let params =
            Params::new(memory_kib, passes, 1, Some(32)).map_err(|_| SealError::Unknown)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.expose_secret().as_bytes(), &salt, key.as_mut_slice())
            .map_err(|_| SealError::System)?;
        Ok(PassKey { salt, memory_kib, passes, key })
    }

    /// Whether something was sealed with this key's salt.
    pub(super) fn fits(&self, sealed: &Sealed) -> bool {
        STANDARD.encode(&self.salt) == sealed.salt
            && (self.memory_kib, self.passes) == (sealed.memory_kib, sealed.passes)
    }

    fn cipher(&self) -> Result<LessSafeKey, SealError> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, self.key.as_slice());
        key.map(LessSafeKey::new).map_err(|_| SealError::System)
    }

    /// Seals secrets for the login of a name.
    pub(super) fn seal(&self, name: &str, secrets: &[u8]) -> Result<Sealed, SealError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealError::System)?;
        let mut data = secrets.to_vec();
        self.cipher()?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name.as_bytes()),
                &mut data,
            )
            .map_err(|_| SealError::System)?;
        Ok(Sealed {
            kdf: KDF.to_owned(),
            memory_kib: self.memory_kib,
            passes: self.passes,
            salt: STANDARD.encode(&self.salt),
            nonce: STANDARD.encode(nonce),
            data: STANDARD.encode(data),
        })
    }

    /// Opens what was sealed for the login of a name.
    pub(super) fn open(
        &self,
        name: &str,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let read = |text: &str| STANDARD.decode(text).map_err(|_| SealError::Unknown);
        let nonce: [u8; NONCE_LEN] =
            read(&sealed.nonce)?.try_into().map_err(|_| SealError::Unknown)?;
        let mut data = Zeroizing::new(read(&sealed.data)?);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self
            .cipher()?
            .open_in_place(nonce, Aad::from(name.as_bytes()), &mut data)
            .map_err(|_| SealError::Closed)?
            .len();
        data.truncate(opened);
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_passphrase_and_the_name_open_what_was_sealed() {
        let right = SecretString::from("correct horse");
        let key = PassKey::fresh(&right).unwrap();
        let sealed = key.seal("prod", b"the secrets").unwrap();
        assert!(!format!("{sealed:?}").contains("the secrets"));
        let again = PassKey::of(&right, &sealed).unwrap();
        assert!(again.fits(&sealed));
        assert_eq!(again.open("prod", &sealed).unwrap().as_slice(), b"the secrets");
        assert_eq!(again.open("other", &sealed).unwrap_err(), SealError::Closed);
        let wrong = PassKey::of(&SecretString::from("wrong"), &sealed).unwrap();
        assert_eq!(wrong.open("prod", &sealed).unwrap_err(), SealError::Closed);
        let mut bent = sealed.clone();
        bent.data.replace_range(0..1, if sealed.data.starts_with('A') { "B" } else { "A" });
        assert_eq!(again.open("prod", &bent).unwrap_err(), SealError::Closed);
        // The same key seals anew under another nonce.
        assert_ne!(key.seal("prod", b"the secrets").unwrap().nonce, sealed.nonce);
    }

    #[test]
    fn a_file_can_not_ask_for_a_machine_full_of_memory() {
        let passphrase = SecretString::from("x");
        let sealed = PassKey::fresh(&passphrase).unwrap().seal("a", b"b").unwrap();
        for bent in [
            Sealed { memory_kib: u32::MAX, ..sealed.clone() },
            Sealed { passes: 0, ..sealed.clone() },
            Sealed { passes: 1_000, ..sealed.clone() },
            Sealed { kdf: "none".into(), ..sealed },
        ] {
            assert!(matches!(PassKey::of(&passphrase, &bent), Err(SealError::Unknown)));
        }
    }
}
