//! The private key of a JWT login, from a file to something that signs.
//!
//! What people have: `BEGIN PRIVATE KEY` (PKCS #8), `BEGIN RSA PRIVATE KEY`
//! (PKCS #1), `BEGIN ENCRYPTED PRIVATE KEY` (PKCS #8 under a password, PBES2),
//! or the same in DER. Everything else is told by its name, with the command
//! that turns it into one of these. Salesforce takes RS256 alone, so the key
//! is RSA. Nothing of a key gets into an error (I8).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use pkcs8::der::SecretDocument;
use pkcs8::{EncryptedPrivateKeyInfoRef, ObjectIdentifier, PrivateKeyInfoRef};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

/// Bytes a key file has at most; a bundle of keys stays well below.
const LARGEST_FILE: u64 = 1 << 20;

/// `rsaEncryption` (RFC 8017, appendix A).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `id-RSASSA-PSS`: a key bound to another kind of signature.
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
/// `id-ecPublicKey` (RFC 5480).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// Ed25519 (RFC 8410).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Line ends inside base64 are taken out before; padding may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A private RSA key that signs the assertions of a JWT login. It can't be
/// printed.
#[derive(Clone)]
pub struct JwtKey(Arc<RsaKeyPair>);

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwtKey")
    }
}

/// Why a key file can't be used. `Display` names the file and what is wrong
/// with it.
#[derive(Debug, thiserror::Error)]
#[error("the key file {}: {reason}", path.display())]
pub struct JwtKeyError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub reason: KeyProblem,
}

/// What is wrong with a key file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// It can't be read; the system's words.
    #[error("it can't be read ({0})")]
    Unreadable(std::io::ErrorKind),
    /// It is far too large for a key.
    #[error("it is too large for a key")]
    TooLarge,
    /// Neither PEM nor DER.
    #[error("it holds no private key")]
    NoKey,
    /// A certificate: the public half.
    #[error("it holds a certificate, not the private key that belongs to it")]
    Certificate,
    /// A public key.
    #[error("it holds a public key, not the private one that belongs to it")]
    PublicKey,
    /// Traditional PEM under a password (`Proc-Type: 4,ENCRYPTED`).
    #[error("its password protection is of the old kind (`Proc-Type: 4,ENCRYPTED`)")]
    OldProtection,
    /// The OpenSSH form.
    #[error("it is in the form of OpenSSH")]
    OpenSsh,
    /// A PKCS #12 or Java key store.
    #[error("it is a key store (PKCS #12 or Java), not a key")]
    KeyStore,
    /// Protected, and no password was given.
    #[error("it is protected by a password, and none is given")]
    PasswordMissing,
    /// The password does not open it.
    #[error("the password does not open it")]
    WrongPassword,
    /// Protected by a scheme that is not supported (PBES1, triple DES).
    #[error("its password protection is of a kind this release does not read")]
    OtherProtection,
    /// A key of another kind than RSA.
    #[error("it holds {0}, and Salesforce takes RSA keys alone (RS256)")]
    NotRsa(&'static str),
    /// An RSA key of a size that is not supported.
    #[error("its RSA key has not between 2,048 and 4,096 bits")]
    Size,
    /// It looks like a key and isn't one.
    #[error("its key is damaged")]
    Damaged,
}

impl JwtKeyError {
    /// What a person can do about it, as a full sentence.
    pub fn hint(&self) -> String {
        match &self.reason {
            KeyProblem::Unreadable(_) => {
                "BULKHAUL_JWT_KEY_FILE names the private key of the app's certificate, as this \
                 user may read it."
            }
            KeyProblem::Certificate | KeyProblem::PublicKey => {
                "The certificate goes into the app in Salesforce; the private key it was made \
                 with (often server.key) stays here and is what BULKHAUL_JWT_KEY_FILE names."
            }
            KeyProblem::OldProtection | KeyProblem::OtherProtection => {
                "Turn it into PKCS #8 with `openssl pkcs8 -topk8 -v2 aes256 -in OLD.key -out \
                 NEW.key`."
            }
            KeyProblem::OpenSsh => {
                "Turn a copy of it into PKCS #8 with `ssh-keygen -p -m PKCS8 -f COPY`."
            }
            KeyProblem::KeyStore => {
                "Take the key out with `openssl pkcs12 -in STORE.p12 -nocerts -out NEW.key` (a \
                 Java key store: `keytool -importkeystore -deststoretype pkcs12` before)."
            }
            KeyProblem::PasswordMissing | KeyProblem::WrongPassword => {
                "BULKHAUL_JWT_KEY_PASSWORD holds the password of the key file."
            }
            KeyProblem::NotRsa(_) | KeyProblem::Size => {
                "Make a key and its certificate with `openssl req -x509 -newkey rsa:2048 -nodes \
                 -days 730 -keyout server.key -out server.crt`, and upload the certificate to the \
                 app."
            }
            KeyProblem::NoKey | KeyProblem::Damaged | KeyProblem::TooLarge => {
                "A key file begins with -----BEGIN PRIVATE KEY-----, -----BEGIN ENCRYPTED PRIVATE \
                 KEY----- or -----BEGIN RSA PRIVATE KEY-----."
            }
        }
        .to_owned()
    }
}

impl JwtKey {
    /// Reads a key file.
    ///
    /// # Errors
    /// [`JwtKeyError`], in words for the person whose file it is.
    pub fn read(path: &Path, password: Option<&SecretString>) -> Result<JwtKey, JwtKeyError> {
        let failed = |reason| JwtKeyError { path: path.to_owned(), reason };
        let unreadable = |error: std::io::Error| failed(KeyProblem::Unreadable(error.kind()));
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > LARGEST_FILE {
            return Err(failed(KeyProblem::TooLarge));
        }
        let bytes = Zeroizing::new(std::fs::read(path).map_err(unreadable)?);
        JwtKey::parse(&bytes, password).map_err(failed)
    }

    /// Makes a key of what a file holds.
    pub(super) fn parse(
        bytes: &[u8],
        password: Option<&SecretString>,
    ) -> Result<JwtKey, KeyProblem> {
        match std::str::from_utf8(bytes).ok().filter(|text| text.contains("-----BEGIN ")) {
            Some(text) => from_pem(text, password),
            None => from_der(bytes, password),
        }
    }

    /// The RS256 signature of a message; none only when the system has no
    /// random numbers.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
        Some(signature)
    }
}

/// The first private key of a PEM text; certificates may stand before it.
fn from_pem(text: &str, password: Option<&SecretString>) -> Result<JwtKey, KeyProblem> {
    let mut instead = KeyProblem::NoKey;
    for block in text.split("-----BEGIN ").skip(1) {
        let Some((label, rest)) = block.split_once("-----") else { continue };
        let body = rest.split("-----END").next().unwrap_or_default();
        match label.trim() {
            "PRIVATE KEY" => return pkcs8(&decoded(body)?),
            "RSA PRIVATE KEY" if body.contains("ENCRYPTED") => {
                return Err(KeyProblem::OldProtection);
            }
            "RSA PRIVATE KEY" => return pkcs1(&decoded(body)?),
            "ENCRYPTED PRIVATE KEY" => return encrypted(&decoded(body)?, password),
            "EC PRIVATE KEY" => return Err(KeyProblem::NotRsa("an elliptic curve key")),
            "DSA PRIVATE KEY" => return Err(KeyProblem::NotRsa("a DSA key")),
            "OPENSSH PRIVATE KEY" => return Err(KeyProblem::OpenSsh),
            "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => {
                instead = KeyProblem::Certificate;
            }
            "PUBLIC KEY" | "RSA PUBLIC KEY" => instead = KeyProblem::PublicKey,
            _ => {}
        }
    }
    Err(instead)
}

fn decoded(body: &str) -> Result<Zeroizing<Vec<u8>>, KeyProblem> {
    let bare: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|c| !c.is_ascii_whitespace()).collect());
    BASE64.decode(bare.as_bytes()).map(Zeroizing::new).map_err(|_| KeyProblem::Damaged)
}

fn from_der(bytes: &[u8], password: Option<&SecretString>) -> Result<JwtKey, KeyProblem> {
    // The magic number of Java's own key stores.
    if bytes.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) {
        return Err(KeyProblem::KeyStore);
    }
    if PrivateKeyInfoRef::try_from(bytes).is_ok() {
        return pkcs8(bytes);
    }
    if EncryptedPrivateKeyInfoRef::try_from(bytes).is_ok() {
        return encrypted(bytes, password);
    }
    match RsaKeyPair::from_der(bytes) {
        Ok(pair) => Ok(JwtKey(Arc::new(pair))),
        Err(error) if is_about_size(&error) => Err(KeyProblem::Size),
        // PKCS #12: a sequence that begins with version 3.
        Err(_) if bytes.first() == Some(&0x30) && has_version_3(bytes) => Err(KeyProblem::KeyStore),
        Err(_) => Err(KeyProblem::NoKey),
    }
}

fn has_version_3(der: &[u8]) -> bool {
    der.windows(3).take(6).any(|window| window == [0x02, 0x01, 0x03])
}

fn encrypted(der: &[u8], password: Option<&SecretString>) -> Result<JwtKey, KeyProblem> {
    // A scheme that isn't known can't even be parsed.
    let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| match der.first() {
        Some(0x30) => KeyProblem::OtherProtection,
        _ => KeyProblem::Damaged,
    })?;
    let password = password.ok_or(KeyProblem::PasswordMissing)?;
    let opened: SecretDocument = info.decrypt(password.expose_secret()).map_err(|error| {
        use pkcs8::pkcs5::Error as Pkcs5;
        match error {
            pkcs8::Error::EncryptedPrivateKey(
                Pkcs5::UnsupportedAlgorithm { .. }
                | Pkcs5::NoPbes1CryptSupport
                | Pkcs5::AlgorithmParametersInvalid { .. },
            ) => KeyProblem::OtherProtection,
            // A wrong password shows as bad padding, or as nonsense that
            // happens to be padded well.
            _ => KeyProblem::WrongPassword,
        }
    })?;
    match pkcs8(opened.as_bytes()) {
        Err(KeyProblem::Damaged) => Err(KeyProblem::WrongPassword),
        answer => answer,
    }
}

fn pkcs8(der: &[u8]) -> Result<JwtKey, KeyProblem> {
    let info = PrivateKeyInfoRef::try_from(der).map_err(|_| KeyProblem::Damaged)?;
    match info.algorithm.oid {
        RSA => pkcs1(info.private_key.as_bytes()),
        RSA_PSS => Err(KeyProblem::NotRsa("an RSA-PSS key")),
        EC => Err(KeyProblem::NotRsa("an elliptic curve key")),
        ED25519 => Err(KeyProblem::NotRsa("an Ed25519 key")),
        _ => Err(KeyProblem::NotRsa("a key of another kind")),
    }
}

fn pkcs1(der: &[u8]) -> Result<JwtKey, KeyProblem> {
    RsaKeyPair::from_der(der)
        .map(|pair| JwtKey(Arc::new(pair)))
        .map_err(|error| if is_about_size(&error) { KeyProblem::Size } else { KeyProblem::Damaged })
}

fn is_about_size(error: &ring::error::KeyRejected) -> bool {
    matches!(error.to_string().as_str(), "TooSmall" | "TooLarge")
}

#[cfg(test)]
mod tests {
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/logins").join(name)
    }

    fn problem(name: &str, password: Option<&str>) -> String {
        let password = password.map(SecretString::from);
        let error = JwtKey::read(&file(name), password.as_ref()).unwrap_err();
        assert!(error.hint().ends_with('.'), "{}", error.hint());
        assert!(error.to_string().contains(name), "{error}");
        format!("{:?}", error.reason)
    }

    #[test]
    fn every_form_of_one_key_signs_alike() {
        let password = SecretString::from("open sesame");
        let public: String = include_str!("../../fixtures/local-org/jwt-public-pkcs1.pem")
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        let public = BASE64.decode(public).unwrap();
        let forms = [
            "rsa-pkcs8.pem",
            "rsa-pkcs1.pem",
            "rsa-pkcs8-encrypted.pem",
            "rsa-pkcs8-scrypt.pem",
            "rsa-pkcs8.der",
            "rsa-after-certificate-crlf.pem",
        ];
        for name in forms {
            let key = JwtKey::read(&file(name), Some(&password)).unwrap_or_else(|e| panic!("{e}"));
            let signature = key.sign(b"message").unwrap();
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &public)
                .verify(b"message", &signature)
                .unwrap_or_else(|_| panic!("{name}"));
        }
    }

    #[test]
    fn what_is_no_usable_key_is_called_by_its_name() {
        for (name, password, expected) in [
            ("rsa-pkcs8-encrypted.pem", None, "PasswordMissing"),
            ("rsa-pkcs8-encrypted.pem", Some("wrong"), "WrongPassword"),
            ("rsa-pkcs8-scrypt.pem", Some(""), "WrongPassword"),
            ("rsa-pkcs8-des3.pem", Some("open sesame"), "OtherProtection"),
            ("rsa-traditional-encrypted.pem", Some("open sesame"), "OldProtection"),
            ("ec-pkcs8.pem", None, "NotRsa(\"an elliptic curve key\")"),
            ("ec-sec1.pem", None, "NotRsa(\"an elliptic curve key\")"),
            ("ed25519.pem", None, "NotRsa(\"an Ed25519 key\")"),
            ("rsa-1024.pem", None, "Size"),
            ("certificate.pem", None, "Certificate"),
            ("public.pem", None, "PublicKey"),
            ("store.p12", Some("open sesame"), "KeyStore"),
            ("openssh.pem", None, "OpenSsh"),
            ("no-such.pem", None, "Unreadable(NotFound)"),
        ] {
            assert_eq!(problem(name, password), expected, "{name}");
        }
        for (bytes, expected) in [
            (&b""[..], "NoKey"),
            (b"hello", "NoKey"),
            (b"\xfe\xed\xfe\xed\0\0\0\x02", "KeyStore"),
            (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "Damaged"),
            (b"-----BEGIN RSA PRIVATE KEY-----\n***\n-----END RSA PRIVATE KEY-----\n", "Damaged"),
            (b"-----BEGIN NONSENSE-----\n-----END NONSENSE-----\n", "NoKey"),
        ] {
            let found = JwtKey::parse(bytes, None).unwrap_err();
            assert_eq!(format!("{found:?}"), expected);
        }
    }

    #[test]
    fn neither_key_nor_error_tells_the_key() {
        let key = JwtKey::read(&file("rsa-pkcs1.pem"), None).unwrap();
        assert_eq!(format!("{key:?}"), "JwtKey");
        let password = SecretString::from("hunter2");
        let error = JwtKey::read(&file("rsa-pkcs8-encrypted.pem"), Some(&password)).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_reader(bytes: Vec<u8>, label in "[A-Z ]{0,20}") {
            let _ = JwtKey::parse(&bytes, None);
            let body = BASE64.encode(&bytes);
            let pem = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
            let _ = JwtKey::parse(pem.as_bytes(), Some(&SecretString::from("x")));
        }
    }
}
