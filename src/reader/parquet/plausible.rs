//! Whether the numbers in a footer or in the head of a page can be true.
//!
//! What decodes them reserves memory for as many elements as they tell, and
//! goes as deep as they nest. In a damaged file that may be more than there
//! is, which ends the process and can't be caught; so the numbers are looked
//! at first. Both are structs in Thrift's compact protocol, in which a field
//! is its type, its number and its value, and every element of a list takes a
//! byte at least.

/// How deep structs may lie in each other, and columns in columns. What a
/// source may hold is one or two deep.
const MOST_DEPTH: usize = 64;

/// Numbers of the fields that are looked at (`parquet.thrift`).
const SCHEMA: i64 = 2;
const CHILDREN: i64 = 5;
const UNCOMPRESSED: i64 = 2;
const DICTIONARY: i64 = 7;
const VALUES: i64 = 1;

/// Whether a footer tells of no more than it holds.
pub(super) fn footer(bytes: &[u8]) -> bool {
    let mut children: Vec<i64> = Vec::new();
    let walked = Walk { rest: bytes }.fields(&mut Vec::new(), &mut |path, met| match (path, met) {
        ([SCHEMA], Met::Struct) => children.push(0),
        ([SCHEMA, CHILDREN], Met::Number(number)) => {
            if let Some(last) = children.last_mut() {
                *last = number;
            }
        }
        _ => {}
    });
    if walked.is_none() {
        return false;
    }
    let mut open: Vec<i64> = Vec::new();
    for &count in &children {
        while open.last() == Some(&0) {
            open.pop();
        }
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        if count < 0 || count > children.len() as i64 {
            return false;
        }
        if count > 0 {
            open.push(count);
        }
        if open.len() > MOST_DEPTH {
            return false;
        }
    }
    true
}

/// Whether the dictionary that a page's head tells of has no more values than
/// bytes. `bytes` may end before the head does, which is then taken to be
/// right, and not begin with one at all.
pub(super) fn page(bytes: &[u8]) -> bool {
    let (mut size, mut values) = (i64::MAX, 0);
    let _ = Walk { rest: bytes }.fields(&mut Vec::new(), &mut |path, met| match (path, met) {
        ([UNCOMPRESSED], Met::Number(number)) => size = number,
        ([DICTIONARY, VALUES], Met::Number(number)) => values = number,
        _ => {}
    });
    (0..=size).contains(&values)
}

/// What a walk meets.
enum Met {
    Number(i64),
    /// A struct begins.
    Struct,
}

/// Told of each thing with the numbers of the fields that lead to it.
type Tell<'t> = dyn FnMut(&[i64], Met) + 't;

struct Walk<'a> {
    rest: &'a [u8],
}

impl Walk<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A number whose lowest bit is its sign.
    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn skip(&mut self, bytes: u64) -> Option<()> {
        self.rest = self.rest.get(usize::try_from(bytes).ok()?..)?;
        Some(())
    }

    /// How many elements a list or map has, if there is a byte for each.
    fn count(&self, count: u64) -> Option<u64> {
        (count <= self.rest.len() as u64).then_some(count)
    }

    /// The fields of a struct up to its end.
    fn fields(&mut self, path: &mut Vec<i64>, tell: &mut Tell<'_>) -> Option<()> {
        if path.len() > MOST_DEPTH {
            return None;
        }
        let mut field = 0;
        loop {
            let head = self.byte()?;
            let kind = head & 0x0F;
            if kind == 0 {
                return Some(());
            }
            field = match i64::from(head >> 4) {
                0 => self.signed()?,
                step => field + step,
            };
            path.push(field);
            // A field that is true or false says so by its type.
            if !matches!(kind, 1 | 2) {
                self.value(kind, path, tell)?;
            }
            path.pop();
        }
    }

    fn value(&mut self, kind: u8, path: &mut Vec<i64>, tell: &mut Tell<'_>) -> Option<()> {
        match kind {
            1..=3 => self.skip(1),
            4..=6 => {
                let number = self.signed()?;
                tell(path, Met::Number(number));
                Some(())
            }
            7 => self.skip(8),
            8 => {
                let length = self.number()?;
                self.skip(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.number()?,
                    count => u64::from(count),
                };
                for _ in 0..self.count(count)? {
                    self.nested(head & 0x0F, path, tell)?;
                }
                Some(())
            }
            11 => {
                let count = self.number()?;
                if count == 0 {
                    return Some(());
                }
                let kinds = self.byte()?;
                for _ in 0..self.count(count)? {
                    self.nested(kinds >> 4, path, tell)?;
                    self.nested(kinds & 0x0F, path, tell)?;
                }
                Some(())
            }
            12 => {
                tell(path, Met::Struct);
                self.fields(path, tell)
            }
            13 => self.skip(16),
            _ => None,
        }
    }

    /// A value in a list; lists in lists count as depth.
    fn nested(&mut self, kind: u8, path: &mut Vec<i64>, tell: &mut Tell<'_>) -> Option<()> {
        if !matches!(kind, 9..=11) {
            return self.value(kind, path, tell);
        }
        if path.len() > MOST_DEPTH {
            return None;
        }
        path.push(0);
        self.value(kind, path, tell)?;
        path.pop();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_longer_than_what_follows_is_not_plausible() {
        // Field 4, a list of structs: none, and two thousand million.
        assert!(footer(&[0x49, 0x0C, 0x00]));
        assert!(!footer(&[0x49, 0xFC, 0xFF, 0xFF, 0xFF, 0xFF, 0x07, 0x00]));
        assert!(!footer(&[]));
        assert!(!footer(&vec![0x1C; 100_000]), "a struct in a struct in a struct");
        assert!(!footer(&vec![0x19; 100_001]), "the same of lists");
    }

    #[test]
    fn columns_that_nest_without_end_are_not_plausible() {
        // Field 2, a list of structs with nothing but field 5: children.
        let schema = |children: &[u8]| {
            let mut bytes = vec![0x29, 0xFC, children.len() as u8];
            for &count in children {
                bytes.extend([0x55, count << 1, 0x00]);
            }
            bytes.push(0);
            bytes
        };
        assert!(footer(&schema(&[2, 0, 0])));
        assert!(footer(&schema(&[3, 1, 0, 1, 0, 0])));
        assert!(!footer(&schema(&[9, 0, 0])));
        assert!(footer(&schema(&[1; 60])));
        assert!(!footer(&schema(&[1; 100])));
    }

    #[test]
    fn a_dictionary_of_more_values_than_bytes_is_not_plausible() {
        // Fields 2 (size) and 7 (dictionary: field 1, its values).
        assert!(page(&[0x25, 40, 0x5C, 0x15, 10, 0x00, 0x00]));
        assert!(!page(&[0x25, 40, 0x5C, 0x15, 200, 1, 0x00, 0x00]));
        assert!(page(&[0x25, 40, 0x5C]));
    }
}
