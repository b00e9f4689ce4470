//! The cells of a record: walking them, reading one, writing one.
//!
//! The reading of quotes is that of the splitter and of RFC 4180: a quote
//! opens a cell only as its first byte, a doubled one stands for itself, and
//! all else inside is data. What breaks these rules is taken as it stands, so
//! that a record has the same number of cells here and in the splitter.

use std::borrow::Cow;

use memchr::{memchr, memchr3};

/// One cell of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell<'a> {
    /// The text as it stands, without the quotes around it.
    pub raw: &'a [u8],
    /// Whether quotes stood around it.
    pub quoted: bool,
    /// Whether a doubled quote stands in it, so that [`Cell::value`] differs
    /// from `raw`.
    pub has_doubled: bool,
    /// The quote byte, which [`Cell::value`] undoubles.
    quote: u8,
}

impl<'a> Cell<'a> {
    /// The text the cell stands for; allocates only when quotes are doubled.
    #[inline]
    pub fn value(&self) -> Cow<'a, [u8]> {
        if !self.has_doubled {
            return Cow::Borrowed(self.raw);
        }
        let mut value = Vec::with_capacity(self.raw.len());
        self.value_into(&mut value);
        Cow::Owned(value)
    }

    /// The text the cell stands for, in `scratch` if quotes are doubled.
    #[inline]
    pub fn value_in<'s>(&self, scratch: &'s mut Vec<u8>) -> &'s [u8]
    where
        'a: 's,
    {
        if !self.has_doubled {
            return self.raw;
        }
        scratch.clear();
        self.value_into(scratch);
        scratch
    }

    fn value_into(&self, out: &mut Vec<u8>) {
        let mut rest = self.raw;
        while let Some(at) = memchr(self.quote, rest) {
            out.extend_from_slice(&rest[..=at]);
            // Inside quotes they come in pairs; the second one is dropped.
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
    }
}

/// The cells of one record, in order.
#[derive(Debug, Clone)]
pub struct Cells<'a> {
    rest: Option<&'a [u8]>,
    delimiter: u8,
    quote: u8,
}

impl<'a> Cells<'a> {
    /// Walks a record given without its line end. An empty record has one
    /// empty cell.
    pub const fn new(record: &'a [u8], delimiter: u8, quote: u8) -> Self {
        Cells { rest: Some(record), delimiter, quote }
    }

    /// Bytes of the record not walked yet; `None` behind the last cell.
    pub(super) const fn unread(&self) -> Option<usize> {
        match self.rest {
            Some(rest) => Some(rest.len()),
            None => None,
        }
    }

    /// Takes the first `len` bytes of `rest` as the text of a cell, and what
    /// is behind the delimiter at `len` as the rest.
    #[inline]
    fn take(&mut self, rest: &'a [u8], len: usize) -> &'a [u8] {
        self.rest = rest.get(len + 1..);
        &rest[..len]
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    // Into the loops that walk cells: a cell handed over in memory, its flags
    // written as bytes and read as a word, waits longer than it was looked for.
    #[inline]
    fn next(&mut self) -> Option<Cell<'a>> {
        let rest = self.rest?;
        let plain = |raw| Cell { raw, quoted: false, has_doubled: false, quote: self.quote };
        if rest.first() != Some(&self.quote) {
            let len = memchr(self.delimiter, rest).unwrap_or(rest.len());
            let cell = plain(&rest[..len]);
            self.take(rest, len);
            return Some(cell);
        }
        let mut has_doubled = false;
        let mut at = 1;
        loop {
            let Some(found) = memchr(self.quote, &rest[at..]) else {
                // Never closed; the splitter lets no such record through.
                self.rest = None;
                return Some(plain(rest));
            };
            let close = at + found;
            match rest.get(close + 1) {
                Some(&next) if next == self.quote => {
                    has_doubled = true;
                    at = close + 2;
                }
                Some(&next) if next != self.delimiter => {
                    // Text behind the closing quote: the cell as it stands.
                    let len = memchr(self.delimiter, &rest[close..])
                        .map_or(rest.len(), |behind| close + behind);
                    let cell = plain(&rest[..len]);
                    self.take(rest, len);
                    return Some(cell);
                }
                _ => {
                    let quoted = self.take(rest, close + 1);
                    let raw = &quoted[1..close];
                    return Some(Cell { raw, quoted: true, has_doubled, quote: self.quote });
                }
            }
        }
    }
}

impl std::iter::FusedIterator for Cells<'_> {}

/// The high bit of every byte of a word that is zero, and of no other.
const fn zeros(word: u64) -> u64 {
    const LOW: u64 = u64::from_ne_bytes([0x7F; 8]);
    !(((word & LOW) + LOW) | word | LOW)
}

/// Appends the first `most` cells of a record in which no quote stands. Cells
/// are short: eight bytes at a time find their ends faster than a search for
/// each of them.
pub fn plain_cells<'a>(
    record: &'a [u8],
    delimiter: u8,
    quote: u8,
    most: usize,
    cells: &mut Vec<Cell<'a>>,
) {
    let plain = |raw| Cell { raw, quoted: false, has_doubled: false, quote };
    let full = cells.len() + most;
    let pattern = u64::from_ne_bytes([delimiter; 8]);
    let mut begin = 0;
    let (words, rest) = record.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let mut found = zeros(u64::from_le_bytes(*word) ^ pattern);
        while found != 0 {
            let end = at * 8 + (found.trailing_zeros() / 8) as usize;
            cells.push(plain(&record[begin..end]));
            begin = end + 1;
            found &= found - 1;
        }
        if cells.len() >= full {
            cells.truncate(full);
            return;
        }
    }
    let behind = record.len() - rest.len();
    for (at, _) in rest.iter().enumerate().filter(|(_, byte)| **byte == delimiter) {
        cells.push(plain(&record[begin..behind + at]));
        begin = behind + at + 1;
    }
    cells.push(plain(&record[begin..]));
    cells.truncate(full);
}

/// The cell at position `n` (from 0), if the record has so many; looks no
/// further than that cell.
pub fn nth_cell(record: &[u8], delimiter: u8, quote: u8, n: usize) -> Option<Cell<'_>> {
    Cells::new(record, delimiter, quote).nth(n)
}

/// Whether a value must stand in quotes: it holds the delimiter, a quote or a
/// line break. Blanks at its ends need none, for values are not trimmed ("CSV
/// files", Bulk API 2.0 guide).
pub fn needs_quotes(value: &[u8], delimiter: u8) -> bool {
    const LONG: usize = 48;
    if value.len() > LONG {
        return memchr3(delimiter, b'"', b'\n', value).is_some() || memchr(b'\r', value).is_some();
    }
    // Most cells are shorter than it takes to begin a search.
    let is_one = |byte: u8| byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r');
    let (words, rest) = value.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| {
        let word = u64::from_ne_bytes(*word);
        [delimiter, b'"', b'\n', b'\r']
            .into_iter()
            .fold(found, |found, byte| found | zeros(word ^ u64::from_ne_bytes([byte; 8])))
    });
    found != 0 || rest.iter().any(|&byte| is_one(byte))
}

/// Appends a value as one cell, in quotes where it needs them.
///
/// The only cell of a record, if empty, must be written by
/// [`write_record`]: its line would be blank, and blank lines are no rows.
pub fn write_cell(out: &mut Vec<u8>, value: &[u8], delimiter: u8) {
    if needs_quotes(value, delimiter) {
        write_quoted(out, value);
    } else {
        out.extend_from_slice(value);
    }
}

/// Appends a value as one cell in quotes.
pub fn write_quoted(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    let mut rest = value;
    while let Some(at) = memchr(b'"', rest) {
        out.extend_from_slice(&rest[..=at]);
        out.push(b'"');
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends a whole record without its line end. It is never blank: a lone
/// empty cell is written as `""`.
pub fn write_record<'v>(
    out: &mut Vec<u8>,
    values: impl IntoIterator<Item = &'v [u8]>,
    delimiter: u8,
) {
    let begin = out.len();
    let mut cells = 0usize;
    for value in values {
        if cells > 0 {
            out.push(delimiter);
        }
        write_cell(out, value, delimiter);
        cells += 1;
    }
    if cells == 1 && out.len() == begin {
        out.extend_from_slice(b"\"\"");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(record: &str) -> Vec<String> {
        Cells::new(record.as_bytes(), b',', b'"')
            .map(|cell| String::from_utf8(cell.value().into_owned()).unwrap())
            .collect()
    }

    #[test]
    fn plain_quoted_and_doubled_cells_are_read() {
        assert_eq!(values(r#"a,"b,c","d ""e""",,"#), ["a", "b,c", r#"d "e""#, "", ""]);
        assert_eq!(values(""), [""]);
        assert_eq!(values("\"\""), [""]);
        assert_eq!(values("\"\"\"\""), ["\""]);
        assert_eq!(values("\"a\nb\",c"), ["a\nb", "c"]);
    }

    #[test]
    fn broken_quotes_are_taken_as_they_stand() {
        assert_eq!(values(r#"5" pipe,b"#), [r#"5" pipe"#, "b"]);
        assert_eq!(values(r#""a"b,c"#), [r#""a"b"#, "c"]);
        assert_eq!(values(r#""a"b"c,d"e,f"#), [r#""a"b"c"#, r#"d"e"#, "f"]);
        assert_eq!(values(r#"a,"b"#), ["a", r#""b"#]);
    }

    #[test]
    fn a_cell_tells_whether_quotes_stood_around_it() {
        let cells: Vec<_> = Cells::new(br#"a,"b","c""d""#, b',', b'"').collect();
        assert_eq!(
            cells.iter().map(|c| (c.quoted, c.has_doubled)).collect::<Vec<_>>(),
            [(false, false), (true, false), (true, true)]
        );
        let mut scratch = Vec::new();
        assert_eq!(cells[2].value_in(&mut scratch), b"c\"d");
        assert_eq!(cells[1].value_in(&mut scratch), b"b");
    }

    #[test]
    fn the_nth_cell_is_found_and_there_is_none_behind_the_last() {
        let record = br#"a;"b;b";c"#;
        assert_eq!(nth_cell(record, b';', b'"', 1).unwrap().raw, b"b;b");
        assert_eq!(nth_cell(record, b';', b'"', 2).unwrap().raw, b"c");
        assert!(nth_cell(record, b';', b'"', 3).is_none());
    }

    #[test]
    fn quotes_are_written_only_where_needed() {
        let mut out = Vec::new();
        for value in ["plain", " blank ", "a,b", "say \"hi\"", "x\ny", "x\ry", ""] {
            write_cell(&mut out, value.as_bytes(), b',');
            out.push(b'|');
        }
        let expected = "plain| blank |\"a,b\"|\"say \"\"hi\"\"\"|\"x\ny\"|\"x\ry\"||";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_lone_empty_cell_does_not_make_a_blank_line() {
        let mut out = Vec::new();
        write_record(&mut out, [b"".as_slice()], b',');
        assert_eq!(out, b"\"\"");
        out.clear();
        write_record(&mut out, [b"".as_slice(), b""], b',');
        assert_eq!(out, b",");
    }

    proptest! {
        #[test]
        fn cells_without_quotes_are_the_same_eight_bytes_at_a_time(
            record in "[a-c;äö\u{1}:\u{BB}]{0,40}",
            most in 0_usize..12,
        ) {
            let mut cells = Vec::new();
            plain_cells(record.as_bytes(), b';', b'"', most, &mut cells);
            let expected: Vec<_> = Cells::new(record.as_bytes(), b';', b'"').take(most).collect();
            prop_assert_eq!(cells, expected);
        }

        #[test]
        fn quotes_are_needed_for_what_ends_a_cell(
            value in "[ -~ä\u{C}\u{8B}]{0,60}[;\"\r\n]?[a-z]{0,9}",
            delimiter in prop::sample::select(vec![b',', b';', b'\t']),
        ) {
            let expected =
                value.bytes().any(|byte| byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r'));
            prop_assert_eq!(needs_quotes(value.as_bytes(), delimiter), expected);
        }

        #[test]
        fn what_is_written_reads_back(
            record in prop::collection::vec("[ab,;\"\r\n ä]{0,6}", 1..6),
            delimiter in prop::sample::select(vec![b',', b';', b'\t']),
        ) {
            let mut out = Vec::new();
            write_record(&mut out, record.iter().map(String::as_bytes), delimiter);
            let read: Vec<_> =
                Cells::new(&out, delimiter, b'"').map(|c| c.value().into_owned()).collect();
            let expected: Vec<_> = record.iter().map(|v| v.as_bytes().to_vec()).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
