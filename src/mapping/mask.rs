//! Values replaced by others that lead nowhere without a secret, the same for
//! the same value: HMAC-SHA-256 of the value is where every letter comes from.

use std::fmt;
use std::sync::Arc;

use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::text::Text;
use crate::rows::hex;

/// Characters a secret has at least.
pub const LEAST_SECRET: usize = 16;

/// What takes the place of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    /// So many hexadecimal digits.
    Hash(u8),
    /// Letters for letters, vowels for vowels.
    Name,
    /// Letters for letters, digits for digits.
    Text,
    /// Digits for digits.
    Phone,
    /// An address at which no mail arrives.
    Email,
}

/// Where a mapping finds the secret it names: the environment, which only the
/// command line reads.
#[derive(Clone, Default)]
pub struct Secrets(Option<Arc<Find>>);

/// Finds a secret by the name of its variable.
type Find = dyn Fn(&str) -> Option<SecretString> + Send + Sync;

impl Secrets {
    /// Secrets by the names of their variables.
    pub fn new(find: impl Fn(&str) -> Option<SecretString> + Send + Sync + 'static) -> Self {
        Secrets(Some(Arc::new(find)))
    }

    fn find(&self, name: &str) -> Option<SecretString> {
        self.0.as_ref()?(name)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// The secret of a mapping: which variable holds it, and by what it is known
/// again. Nothing leads from the check value to the secret but trying all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretName {
    /// The environment variable.
    pub variable: String,
    /// What it makes of a fixed text.
    pub check: String,
}

/// A secret, ready to mask with.
#[derive(Clone)]
pub(super) struct MaskKey(hmac::Key);

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey")
    }
}

impl MaskKey {
    /// Reads the secret that a variable holds.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence without the secret.
    pub(super) fn of(variable: &str, secrets: &Secrets) -> Result<Self, String> {
        let Some(secret) = secrets.find(variable) else {
            return Err(format!("the environment variable `{variable}` is not set"));
        };
        let secret = secret.expose_secret();
        if secret.chars().count() < LEAST_SECRET {
            return Err(format!(
                "the environment variable `{variable}` has fewer than {LEAST_SECRET} characters; a \
                 short secret can be found by trying"
            ));
        }
        Ok(MaskKey(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())))
    }

    /// By what it is known again.
    pub(super) fn check(&self) -> String {
        let tag = hmac::sign(&self.0, b"bulkhaul: is this the same secret?");
        hex(&tag.as_ref()[..8])
    }

    pub(super) fn apply(&self, mask: Mask, text: &mut Text<'_>) {
        text.rewrite(|now, next| match mask {
            Mask::Hash(digits) => {
                let tag = hmac::sign(&self.0, &[b"hash\0", now.as_bytes()].concat());
                let all = hex(tag.as_ref());
                next.push_str(&all[..usize::from(digits).min(all.len())]);
            }
            Mask::Name => letters(now, &mut Stream::new(&self.0, "name", now), true, next),
            Mask::Text => letters(now, &mut Stream::new(&self.0, "text", now), false, next),
            Mask::Phone => phone(now, &mut Stream::new(&self.0, "phone", now), next),
            Mask::Email => email(now, &mut Stream::new(&self.0, "email", now), next),
        });
    }
}

/// Bytes without end that depend on key and value.
struct Stream<'a> {
    key: &'a hmac::Key,
    seed: hmac::Tag,
    block: u32,
    bytes: hmac::Tag,
    at: usize,
}

impl<'a> Stream<'a> {
    fn new(key: &'a hmac::Key, kind: &str, value: &str) -> Self {
        let mut context = hmac::Context::with_key(key);
        context.update(kind.as_bytes());
        context.update(b"\0");
        context.update(value.as_bytes());
        let seed = context.sign();
        Stream { key, seed, block: 0, bytes: seed, at: 0 }
    }

    fn next(&mut self) -> u8 {
        if let Some(&byte) = self.bytes.as_ref().get(self.at) {
            self.at += 1;
            return byte;
        }
        self.block += 1;
        let mut context = hmac::Context::with_key(self.key);
        context.update(self.seed.as_ref());
        context.update(&self.block.to_be_bytes());
        self.bytes = context.sign();
        self.at = 1;
        self.bytes.as_ref().first().copied().unwrap_or_default()
    }

    /// One of these, each as likely as the others.
    fn pick<const N: usize>(&mut self, from: &[u8; N]) -> char {
        let limit = const { 256 - 256 % N };
        loop {
            let byte = usize::from(self.next());
            if byte < limit {
                return char::from(from[byte % N]);
            }
        }
    }
}

const VOWELS: &[u8; 5] = b"aeiou";
const CONSONANTS: &[u8; 19] = b"bcdfghjklmnpqrstvwz";
const LETTERS: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";
const DIGITS: &[u8; 10] = b"0123456789";

fn letters(value: &str, stream: &mut Stream<'_>, speaks: bool, out: &mut String) {
    for letter in value.chars() {
        if letter.is_numeric() {
            out.push(stream.pick(DIGITS));
        } else if letter.is_alphabetic() {
            // Letters beyond ASCII become consonants, but for those with accents.
            let is_vowel = "aeiouyäöüáàâãéèêëíìîïóòôõúùûåæøœ"
                .contains(letter.to_lowercase().next().unwrap_or(letter));
            let picked = match (speaks, is_vowel) {
                (true, true) => stream.pick(VOWELS),
                (true, false) => stream.pick(CONSONANTS),
                (false, _) => stream.pick(LETTERS),
            };
            out.push(if letter.is_uppercase() { picked.to_ascii_uppercase() } else { picked });
        } else {
            out.push(letter);
        }
    }
}

fn phone(value: &str, stream: &mut Stream<'_>, out: &mut String) {
    // The country's code, or the zeros before it.
    let mut kept = if value.trim_start().starts_with('+') { 2 } else { 0 };
    let mut leads = true;
    for letter in value.chars() {
        if !letter.is_numeric() {
            out.push(letter);
        } else if kept > 0 {
            kept -= 1;
            leads = false;
            out.push(letter);
        } else if leads && letter == '0' {
            out.push(letter);
        } else {
            leads = false;
            out.push(stream.pick(DIGITS));
        }
    }
}

fn email(value: &str, stream: &mut Stream<'_>, out: &mut String) {
    const LEAST: usize = 8;
    let local = value.rsplit_once('@').map_or(value, |(local, _)| local);
    let begin = out.len();
    for letter in local.chars() {
        match letter {
            // Neither two dots in a row nor one at an end make an address.
            '.' if out.len() == begin || out.ends_with('.') => {}
            '.' | '-' | '_' if out.len() > begin => out.push(letter),
            _ if letter.is_numeric() => out.push(stream.pick(DIGITS)),
            _ => out.push(stream.pick(LETTERS)),
        }
    }
    while out.len() - begin < LEAST || !out.ends_with(|last: char| last.is_ascii_alphanumeric()) {
        out.push(stream.pick(LETTERS));
    }
    out.push_str("@example.invalid");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> MaskKey {
        let secret = secret.to_owned();
        let secrets =
            Secrets::new(move |name| (name == "MASK").then(|| SecretString::from(secret.clone())));
        MaskKey::of("MASK", &secrets).unwrap()
    }

    fn masked(key: &MaskKey, mask: Mask, value: &str) -> String {
        let mut text = Text::default();
        text.set(value);
        key.apply(mask, &mut text);
        text.as_str().to_owned()
    }

    /// A text as its shape alone.
    fn shape(value: &str) -> String {
        let shape = value.chars().map(|letter| match letter {
            _ if letter.is_uppercase() => 'A',
            _ if letter.is_alphabetic() => 'a',
            _ if letter.is_numeric() => '0',
            other => other,
        });
        shape.collect()
    }

    #[test]
    fn the_same_value_is_the_same_and_another_secret_makes_another() {
        let (one, other) = (key("correct horse battery"), key("another secret of mine"));
        for mask in [Mask::Hash(32), Mask::Name, Mask::Text, Mask::Phone, Mask::Email] {
            let value = "Jörg.Müller-Lüdenscheidt 0171 2345678";
            assert_eq!(masked(&one, mask, value), masked(&one, mask, value));
            assert_ne!(masked(&one, mask, value), masked(&other, mask, value), "{mask:?}");
            assert_ne!(masked(&one, mask, value), value);
        }
        assert_ne!(one.check(), other.check());
        assert_eq!(one.check().len(), 16);
    }

    #[test]
    fn shapes_are_kept() {
        let key = key("correct horse battery");
        let name = masked(&key, Mask::Name, "Dr. Änne O'Brien-Groß 3");
        assert_eq!(shape(&name), shape("Dr. Änne O'Brien-Gros 3"));
        assert!(name.is_ascii());
        let phone = masked(&key, Mask::Phone, "+49 (30) 123-456");
        assert!(phone.starts_with("+49 ("), "{phone}");
        assert_eq!(shape(&phone), "+00 (00) 000-000");
        assert!(masked(&key, Mask::Phone, "0049 30 12").starts_with("00"));
        let mail = masked(&key, Mask::Email, "j.doe@corp.example.com");
        assert!(mail.ends_with("@example.invalid") && mail.len() == 8 + 16, "{mail}");
        assert_eq!(&mail[1..2], ".");
        let odd = masked(&key, Mask::Email, ".a..b.@x");
        assert!(!odd.contains("..") && !odd.starts_with('.') && !odd.contains(".@"), "{odd}");
        assert_eq!(masked(&key, Mask::Hash(12), "x").len(), 12);
    }

    #[test]
    fn a_secret_that_is_missing_or_short_is_refused_by_name() {
        let short = Secrets::new(|_| Some(SecretString::from("short".to_owned())));
        assert_eq!(
            MaskKey::of("MASK", &Secrets::default()).unwrap_err(),
            "the environment variable `MASK` is not set"
        );
        let told = MaskKey::of("MASK", &short).unwrap_err();
        assert!(told.contains("fewer than 16 characters") && !told.contains("short\""), "{told}");
    }
}
