//! Record ids: 15 characters that tell letter case apart, or 18 with a
//! checksum of the case (protocol notes, section 9).
//!
//! An id of this org is `PPP` (key prefix) + `Lo0` (its pod) + nine base-62
//! digits of the object's counter, so that ids ascend as their counters do and
//! a lookup by id is a lookup by counter.

use std::fmt;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CHECKSUM: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
const POD: &[u8; 3] = b"Lo0";

/// A record's id, kept as its 15 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RecordKey([u8; 15]);

impl RecordKey {
    /// The id of the `counter`th record under a key prefix. Prefixes have
    /// three characters; a shorter one is filled up with `0`.
    pub(crate) fn new(prefix: &str, counter: u64) -> RecordKey {
        let mut key = [b'0'; 15];
        for (to, from) in key.iter_mut().zip(prefix.bytes().take(3)) {
            *to = from;
        }
        key[3..6].copy_from_slice(POD);
        let mut rest = counter;
        for to in key[6..].iter_mut().rev() {
            *to = BASE62[(rest % 62) as usize];
            rest /= 62;
        }
        RecordKey(key)
    }

    /// Reads 15 or 18 characters. Of 18 the checksum restores the letter case,
    /// whatever case they came in. `None`: not an id.
    pub(crate) fn parse(text: &str) -> Option<RecordKey> {
        let bytes = text.as_bytes();
        if !bytes.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        match bytes.len() {
            15 => Some(RecordKey(bytes.try_into().ok()?)),
            18 => {
                let (body, checksum) = bytes.split_at(15);
                let mut key: [u8; 15] = body.try_into().ok()?;
                for (group, sum) in key.chunks_mut(5).zip(checksum) {
                    let sum = sum.to_ascii_uppercase();
                    let bits = CHECKSUM.iter().position(|c| *c == sum)?;
                    for (at, character) in group.iter_mut().enumerate() {
                        if bits >> at & 1 == 1 {
                            character.make_ascii_uppercase();
                            if !character.is_ascii_uppercase() {
                                return None;
                            }
                        } else {
                            character.make_ascii_lowercase();
                        }
                    }
                }
                Some(RecordKey(key))
            }
            _ => None,
        }
    }

    /// From the 15 characters as they were stored.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<RecordKey> {
        std::str::from_utf8(bytes).ok().filter(|text| text.len() == 15).and_then(RecordKey::parse)
    }

    /// The 15 characters.
    pub(crate) fn as_bytes(&self) -> &[u8; 15] {
        &self.0
    }

    /// The key prefix, which tells the object.
    pub(crate) fn prefix(&self) -> &str {
        std::str::from_utf8(&self.0[..3]).unwrap_or_default()
    }

    /// The counter behind it, when this org made it.
    pub(crate) fn counter(&self) -> Option<u64> {
        if &self.0[3..6] != POD {
            return None;
        }
        self.0[6..].iter().try_fold(0_u64, |sum, character| {
            let digit = match character {
                b'0'..=b'9' => character - b'0',
                b'A'..=b'Z' => character - b'A' + 10,
                b'a'..=b'z' => character - b'a' + 36,
                _ => return None,
            };
            Some(sum * 62 + u64::from(digit))
        })
    }

    /// The 18 characters that every answer shows.
    pub(crate) fn to_18(self) -> [u8; 18] {
        let mut id = [0_u8; 18];
        id[..15].copy_from_slice(&self.0);
        for (group, sum) in self.0.chunks(5).zip(15..) {
            let bits = group
                .iter()
                .enumerate()
                .fold(0, |bits, (at, c)| bits | usize::from(c.is_ascii_uppercase()) << at);
            id[sum] = CHECKSUM[bits];
        }
        id
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_18()).unwrap_or_default())
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_ids_have_their_checksum() {
        for (short, long) in [
            ("0017Q00000AbCde", "0017Q00000AbCdeQAF"),
            ("0057Q000002xYzQ", "0057Q000002xYzQQAU"),
            ("012000000000000", "012000000000000AAA"),
        ] {
            let key = RecordKey::parse(short).unwrap();
            assert_eq!(key.to_string(), long);
            assert_eq!(RecordKey::parse(long), Some(key));
            assert_eq!(RecordKey::parse(&long.to_lowercase()), Some(key), "case is restored");
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "123",
            "0017Q00000AbCd",
            "0017Q00000AbCde!",
            "0017Q00000AbCdeZZZ",
            "é17Q00000AbCde",
        ] {
            assert_eq!(RecordKey::parse(text), None, "{text}");
        }
        // A checksum that calls a digit upper case.
        assert_eq!(RecordKey::parse("0017Q00000AbCdeFAF"), None);
    }

    #[test]
    fn foreign_pods_have_no_counter() {
        assert_eq!(RecordKey::parse("0017Q00000AbCde").unwrap().counter(), None);
    }

    proptest! {
        #[test]
        fn counters_come_back_and_ids_ascend(a in 0_u64..62_u64.pow(9), b in 0_u64..62_u64.pow(9)) {
            let (x, y) = (RecordKey::new("001", a), RecordKey::new("001", b));
            prop_assert_eq!(x.counter(), Some(a));
            prop_assert_eq!(x.prefix(), "001");
            prop_assert_eq!(RecordKey::parse(&x.to_string().to_uppercase()), Some(x));
            prop_assert_eq!(a.cmp(&b), x.to_string().cmp(&y.to_string()));
        }
    }
}
