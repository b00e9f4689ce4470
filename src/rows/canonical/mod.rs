//! Canonical forms: by them two renderings of one value are recognised.
//!
//! The org renders values again before it returns them (an uploaded `45800000`
//! comes back as `4.58E7`, "Bulk API 2.0: results", sample run), so a row
//! sent and a row returned are compared in the form made here, by the kind of
//! the field:
//!
//! | kind | equal are |
//! |---|---|
//! | number | what is the nearest double alike; `-0` is `0` |
//! | boolean | `true` and `1`, `false` and `0`, in any case |
//! | date and time of day | whatever their zone suffix; `1940-06-07Z` is `1940-06-07` |
//! | datetime | the same whole second in UTC, however the offset is written |
//! | multi-select picklist | the same set of words |
//! | id | the same 15 characters, their case restored from the checksum |
//! | text | apart from outer blanks and from how a line end is written |
//!
//! An empty cell equals `#N/A`, which clears a field. What does not read as
//! its kind is compared as text; it never equals a value that does.
//!
//! These run for every cell of every row: no allocation but in the caller's
//! scratch space, and a hash by xxh3.

mod moment;

use std::cell::RefCell;

use memchr::memchr;
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::{RecordId, ValueKind};

/// The text by which a cell says that the field is to be cleared.
pub const CLEAR: &[u8] = b"#N/A";

/// Opens every form that is not text. No UTF-8 text holds this byte, so a
/// number never equals a text.
const TAG: u8 = 0xFF;

/// How closely keys are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyExactness {
    /// Text as it stands.
    Exact,
    /// Text without regard to letter case and outer blanks, unless the field
    /// tells case apart.
    Folded,
}

/// A form that is short and made of a value.
type Packed = [u8; 10];

fn pack(kind: u8, value: u64) -> Packed {
    let mut packed = [0; 10];
    packed[0] = TAG;
    packed[1] = kind;
    packed[2..].copy_from_slice(&value.to_be_bytes());
    packed
}

/// What a cell comes to under its kind.
enum Form<'a> {
    /// A part of the cell itself.
    Slice(&'a [u8]),
    /// A number, boolean, date or time.
    Packed(Packed),
    /// A record id without its checksum.
    Id([u8; 15]),
    /// Text with carriage returns in it, trimmed.
    LineEnds(&'a [u8]),
    /// Words joined by `;`, trimmed.
    Words(&'a [u8]),
}

fn form(kind: ValueKind, cell: &[u8]) -> Form<'_> {
    let cell = cell.trim_ascii();
    if cell.is_empty() || cell == CLEAR {
        return Form::Slice(b"");
    }
    let packed = match kind {
        ValueKind::Text { .. } => None,
        ValueKind::Id => match RecordId::parse(cell) {
            Ok(id) => {
                let mut short = [0; 15];
                short.copy_from_slice(&id.as_bytes()[..15]);
                return Form::Id(short);
            }
            Err(_) => None,
        },
        ValueKind::MultiPicklist => return Form::Words(cell),
        ValueKind::Number => number(cell).map(|value| pack(b'n', value.to_bits())),
        ValueKind::Boolean => boolean(cell).map(|value| pack(b'b', u64::from(value))),
        ValueKind::Date => moment::date(cell).map(|days| pack(b'd', days.cast_unsigned())),
        ValueKind::DateTime => moment::second(cell).map(|at| pack(b's', at.cast_unsigned())),
        ValueKind::Time => moment::time_of_day(cell).map(|ms| pack(b't', u64::from(ms))),
    };
    match packed {
        Some(packed) => Form::Packed(packed),
        None if memchr(b'\r', cell).is_some() => Form::LineEnds(cell),
        None => Form::Slice(cell),
    }
}

/// The canonical form of an unescaped cell: equal values have equal forms. It
/// lies in the cell itself or in `scratch`.
pub fn canonical_form<'a>(kind: ValueKind, cell: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    scratch.clear();
    match form(kind, cell) {
        Form::Slice(text) => return text,
        Form::Packed(packed) => scratch.extend_from_slice(&packed),
        Form::Id(id) => scratch.extend_from_slice(&id),
        Form::LineEnds(text) => line_ends(text, scratch),
        Form::Words(text) => words(text, scratch),
    }
    scratch
}

/// The 64-bit hash of [`canonical_form`].
pub fn canonical_hash(kind: ValueKind, cell: &[u8]) -> u64 {
    match form(kind, cell) {
        Form::Slice(text) => xxh3_64(text),
        Form::Packed(packed) => xxh3_64(&packed),
        Form::Id(id) => xxh3_64(&id),
        Form::LineEnds(text) => in_scratch(|scratch| line_ends(text, scratch)),
        Form::Words(text) => in_scratch(|scratch| words(text, scratch)),
    }
}

/// The form by which a key is looked up: text as it stands or folded, all
/// other kinds canonical. Empty for an empty cell and for `#N/A`.
pub fn key_form<'a>(
    kind: ValueKind,
    exactness: KeyExactness,
    cell: &'a [u8],
    scratch: &'a mut Vec<u8>,
) -> &'a [u8] {
    let ValueKind::Text { case_sensitive } = kind else {
        return canonical_form(kind, cell, scratch);
    };
    if cell == CLEAR {
        return b"";
    }
    if case_sensitive || exactness == KeyExactness::Exact {
        return cell;
    }
    let cell = cell.trim_ascii();
    if cell == CLEAR {
        return b"";
    }
    if !cell.iter().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
        return cell;
    }
    scratch.clear();
    if cell.is_ascii() {
        scratch.extend(cell.iter().map(u8::to_ascii_lowercase));
    } else {
        fold(cell, scratch);
    }
    scratch
}

/// The 64-bit hash of [`key_form`].
pub fn key_hash(kind: ValueKind, exactness: KeyExactness, cell: &[u8]) -> u64 {
    if !matches!(kind, ValueKind::Text { .. }) {
        return canonical_hash(kind, cell);
    }
    SCRATCH.with_borrow_mut(|scratch| xxh3_64(key_form(kind, exactness, cell, scratch)))
}

thread_local! {
    /// Space for the few forms that have to be written out before they are hashed.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn in_scratch(write: impl FnOnce(&mut Vec<u8>)) -> u64 {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        write(scratch);
        xxh3_64(scratch)
    })
}

/// Writes text with every line end (CRLF, lone CR) as LF.
fn line_ends(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr(b'\r', rest) {
        out.extend_from_slice(&rest[..at]);
        out.push(b'\n');
        let next = if rest.get(at + 1) == Some(&b'\n') { at + 2 } else { at + 1 };
        rest = &rest[next..];
    }
    out.extend_from_slice(rest);
}

/// Words of a multi-select picklist that are sorted without allocating. Few
/// records have more, and clearing more space than needed takes the most time
/// of it all.
const WORDS_ON_STACK: usize = 16;

/// Writes the words of a multi-select picklist as a sorted set.
fn words(text: &[u8], out: &mut Vec<u8>) {
    let each = || text.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let mut on_stack = [b"".as_slice(); WORDS_ON_STACK];
    let mut on_heap;
    let count = each().count();
    let list = if let Some(list) = on_stack.get_mut(..count) {
        list
    } else {
        on_heap = vec![b"".as_slice(); count];
        &mut on_heap[..]
    };
    for (slot, word) in list.iter_mut().zip(each()) {
        *slot = word;
    }
    list.sort_unstable();
    let mut last = b"".as_slice();
    for &word in list.iter() {
        // Empty words sort first and equal the initial `last`.
        if word != last {
            if !last.is_empty() {
                out.push(b';');
            }
            out.extend_from_slice(word);
            last = word;
        }
    }
}

/// Lower case letter by letter, without regard to context or language, so
/// that the same letters fold alike wherever they stand. Bytes that are no
/// UTF-8 are left as they are.
fn fold(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_ascii() {
                out.push(letter.to_ascii_lowercase() as u8);
            } else {
                for lower in letter.to_lowercase() {
                    out.extend_from_slice(lower.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
        out.extend_from_slice(chunk.invalid());
    }
}

/// The nearest double of a decimal number as the service reads it: plain or
/// with an exponent, a dot, no grouping ("Valid CSV record rows", Bulk API 2.0
/// guide). `None` for all else and for what no double holds.
fn number(cell: &[u8]) -> Option<f64> {
    // Whole numbers up to 15 digits, the most common by far, are exact.
    if cell.len() <= 15 && cell.iter().all(u8::is_ascii_digit) {
        let whole = cell.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        return Some(whole as f64);
    }
    // `parse` would take `inf`, `nan` and `infinity` as well.
    if !cell.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')) {
        return None;
    }
    let value: f64 = std::str::from_utf8(cell).ok()?.parse().ok()?;
    // Adding zero makes -0 into 0.
    value.is_finite().then_some(value + 0.0)
}

fn boolean(cell: &[u8]) -> Option<bool> {
    match cell {
        b"1" => Some(true),
        b"0" => Some(false),
        _ if cell.eq_ignore_ascii_case(b"true") => Some(true),
        _ if cell.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
