//! A record's values as one blob: a sequence of entries
//! `slot (varint), tag (1 byte), payload`, in no particular order, a later one
//! of the same slot never following (writers see to that).
//!
//! Slots are numbers that stand for field names for good (table `slots`), so a
//! changed object definition can't mix up what was stored before.

use crate::local_org::ids::RecordKey;
use crate::local_org::value::Value;

const NULL: u8 = 0;
const TEXT: u8 = 1;
const NUMBER: u8 = 2;
const INT: u8 = 3;
const FALSE: u8 = 4;
const TRUE: u8 = 5;
const DATE: u8 = 6;
const DATE_TIME: u8 = 7;
const TIME: u8 = 8;
const ID: u8 = 9;

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_signed(out: &mut Vec<u8>, number: i64) {
    // Zigzag: small numbers of either sign take few bytes.
    put_varint(out, ((number << 1) ^ (number >> 63)) as u64);
}

/// Appends one entry. A null is written too: it says that a field was cleared.
pub(crate) fn put(out: &mut Vec<u8>, slot: u16, value: Value<&str>) {
    put_varint(out, u64::from(slot));
    match value {
        Value::Null => out.push(NULL),
        Value::Text(text) => {
            out.push(TEXT);
            put_varint(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Number(number) => {
            out.push(NUMBER);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::Int(number) => {
            out.push(INT);
            put_signed(out, number);
        }
        Value::Bool(truth) => out.push(if truth { TRUE } else { FALSE }),
        Value::Date(days) => {
            out.push(DATE);
            put_signed(out, i64::from(days));
        }
        Value::DateTime(ms) => {
            out.push(DATE_TIME);
            put_signed(out, ms);
        }
        Value::Time(ms) => {
            out.push(TIME);
            put_signed(out, i64::from(ms));
        }
        Value::Id(key) => {
            out.push(ID);
            out.extend_from_slice(key.as_bytes());
        }
    }
}

/// One entry of a blob.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Entry<'a> {
    /// The field's slot.
    pub slot: u16,
    /// Its value.
    pub value: Value<&'a str>,
    /// The entry's bytes, to copy it as it is.
    pub bytes: &'a [u8],
}

/// The entries of a blob; ends early at bytes that are none.
pub(crate) struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Entries<'a> {
    /// Over a blob that [`put`] wrote.
    pub(crate) fn new(blob: &'a [u8]) -> Entries<'a> {
        Entries { rest: blob }
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.varint()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn value(&mut self) -> Option<Value<&'a str>> {
        Some(match self.byte()? {
            NULL => Value::Null,
            TEXT => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Text(std::str::from_utf8(self.take(length)?).ok()?)
            }
            NUMBER => Value::Number(f64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            INT => Value::Int(self.signed()?),
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            DATE => Value::Date(i32::try_from(self.signed()?).ok()?),
            DATE_TIME => Value::DateTime(self.signed()?),
            TIME => Value::Time(i32::try_from(self.signed()?).ok()?),
            ID => Value::Id(RecordKey::from_bytes(self.take(15)?)?),
            _ => return None,
        })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let start = self.rest;
        let slot = u16::try_from(self.varint()?).ok()?;
        let value = self.value()?;
        let bytes = start.get(..start.len() - self.rest.len())?;
        Some(Entry { slot, value, bytes })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            "\\PC{0,20}".prop_map(Value::Text),
            any::<f64>().prop_filter("comparable", |n| !n.is_nan()).prop_map(Value::Number),
            any::<i64>().prop_map(Value::Int),
            any::<bool>().prop_map(Value::Bool),
            any::<i32>().prop_map(Value::Date),
            any::<i64>().prop_map(Value::DateTime),
            any::<i32>().prop_map(Value::Time),
            (0_u64..1_000_000).prop_map(|n| Value::Id(RecordKey::new("001", n))),
        ]
    }

    proptest! {
        #[test]
        fn what_is_put_comes_back(values in prop::collection::vec((any::<u16>(), any_value()), 0..12)) {
            let mut blob = Vec::new();
            for (slot, value) in &values {
                put(&mut blob, *slot, value.view());
            }
            let entries: Vec<Entry<'_>> = Entries::new(&blob).collect();
            prop_assert_eq!(entries.len(), values.len());
            for (entry, (slot, value)) in entries.iter().zip(&values) {
                prop_assert_eq!(entry.slot, *slot);
                prop_assert_eq!(entry.value, value.view());
            }
            let joined: Vec<u8> = entries.iter().flat_map(|entry| entry.bytes.to_vec()).collect();
            prop_assert_eq!(joined, blob);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let read: usize = Entries::new(&bytes).map(|entry| entry.bytes.len()).sum();
            prop_assert!(read <= bytes.len());
        }
    }
}
