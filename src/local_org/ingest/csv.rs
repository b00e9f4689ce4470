//! CSV as the service reads it (protocol notes, section 4.1): quotes may stand
//! around a whole cell and nowhere else, doubled inside; nothing is trimmed.

use std::borrow::Cow;
use std::io;

use memchr::{memchr, memchr2};

const QUOTE: u8 = b'"';

/// Why a text is not CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CsvError {
    /// A quote inside a cell without quotes, or text behind a closing quote.
    #[error(
        "Failed to parse CSV. Found unescaped quote. A value with quote should be within a quote"
    )]
    UnescapedQuote,
    /// The end came inside quotes.
    #[error("Failed to parse CSV. EOF reached before closing an opened quote")]
    UnclosedQuote,
}

/// Finds where the record at the start of `data` ends, its line end included.
/// `None`: more bytes are needed (never at the end of the file, except for no
/// bytes at all).
pub(crate) fn record_end(
    data: &[u8],
    delimiter: u8,
    at_end: bool,
) -> Result<Option<usize>, CsvError> {
    let mut at = 0;
    loop {
        let Some(hit) = memchr2(QUOTE, b'\n', data.get(at..).unwrap_or_default()) else {
            return Ok((at_end && !data.is_empty()).then_some(data.len()));
        };
        let hit = at + hit;
        if data[hit] == b'\n' {
            return Ok(Some(hit + 1));
        }
        if hit > 0 && data[hit - 1] != delimiter {
            return Err(CsvError::UnescapedQuote);
        }
        let mut from = hit + 1;
        at = loop {
            let Some(close) = memchr(QUOTE, data.get(from..).unwrap_or_default()) else {
                return if at_end { Err(CsvError::UnclosedQuote) } else { Ok(None) };
            };
            let close = from + close;
            match data.get(close + 1) {
                Some(&QUOTE) => from = close + 2,
                Some(&next) if next == delimiter || next == b'\n' => break close + 1,
                Some(b'\r') => match data.get(close + 2) {
                    None if !at_end => return Ok(None),
                    Some(b'\n') | None => break close + 1,
                    Some(_) => return Err(CsvError::UnescapedQuote),
                },
                Some(_) => return Err(CsvError::UnescapedQuote),
                None if at_end => return Ok(Some(data.len())),
                None => return Ok(None),
            }
        };
    }
}

/// A record without its line end.
pub(crate) fn content(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

/// One cell of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell<'a> {
    /// What stands between the quotes, or between the delimiters.
    raw: &'a [u8],
    /// It had quotes.
    pub quoted: bool,
    doubled: bool,
}

impl<'a> Cell<'a> {
    /// Nothing between delimiters or quotes.
    pub(crate) fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The value as text; bytes that aren't UTF-8 become U+FFFD, as in Java.
    pub(crate) fn text(&self) -> Cow<'a, str> {
        let text = String::from_utf8_lossy(self.raw);
        if self.doubled { Cow::Owned(text.replace("\"\"", "\"")) } else { text }
    }
}

/// The cells of a record that [`record_end`] found good, without its line end.
pub(crate) struct Cells<'a> {
    rest: Option<&'a [u8]>,
    delimiter: u8,
}

impl<'a> Cells<'a> {
    /// Over one record.
    pub(crate) fn new(record: &'a [u8], delimiter: u8) -> Cells<'a> {
        Cells { rest: Some(record), delimiter }
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    fn next(&mut self) -> Option<Cell<'a>> {
        let rest = self.rest?;
        if rest.first() != Some(&QUOTE) {
            let (raw, rest) = match memchr(self.delimiter, rest) {
                Some(end) => (&rest[..end], Some(&rest[end + 1..])),
                None => (rest, None),
            };
            self.rest = rest;
            return Some(Cell { raw, quoted: false, doubled: false });
        }
        let inner = &rest[1..];
        let mut doubled = false;
        let mut from = 0;
        let close = loop {
            let Some(hit) = memchr(QUOTE, &inner[from..]) else { break inner.len() };
            if inner.get(from + hit + 1) == Some(&QUOTE) {
                doubled = true;
                from += hit + 2;
            } else {
                break from + hit;
            }
        };
        // Behind the closing quote stand a delimiter and the next cell, or nothing.
        self.rest = inner.get(close + 2..).filter(|_| inner.len() > close + 1);
        Some(Cell { raw: inner.get(..close).unwrap_or(inner), quoted: true, doubled })
    }
}

/// Appends a cell in quotes, quotes doubled: the form of all result cells.
pub(crate) fn write_quoted(out: &mut Vec<u8>, value: &[u8]) {
    out.push(QUOTE);
    let mut rest = value;
    while let Some(hit) = memchr(QUOTE, rest) {
        out.extend_from_slice(&rest[..=hit]);
        out.push(QUOTE);
        rest = &rest[hit + 1..];
    }
    out.extend_from_slice(rest);
    out.push(QUOTE);
}

/// Why records can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The file can't be read.
    #[error("cannot read the upload")]
    Io(#[from] io::Error),
    /// It isn't CSV.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// A record is longer than any may be.
    #[error("a record has more than {0} bytes")]
    TooLong(usize),
}

/// Cuts a text into records, holding little more than one at a time.
pub(crate) struct Records<R> {
    read: R,
    delimiter: u8,
    longest: usize,
    buffer: Vec<u8>,
    start: usize,
    at_end: bool,
    offset: u64,
}

/// Bytes asked for at a time: large enough that refilling costs nothing beside
/// the scan, small enough to forget about.
const WINDOW: usize = 256 * 1024;

impl<R: io::Read> Records<R> {
    /// Reads from the start of a text; records may have `longest` bytes.
    pub(crate) fn new(read: R, delimiter: u8, longest: usize) -> Records<R> {
        Records { read, delimiter, longest, buffer: Vec::new(), start: 0, at_end: false, offset: 0 }
    }

    /// The next record with its line end, and its offset in the text.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &[u8])>, ReadError> {
        let end = loop {
            let data = self.buffer.get(self.start..).unwrap_or_default();
            if let Some(end) = record_end(data, self.delimiter, self.at_end)? {
                break end;
            }
            if self.at_end {
                return Ok(None);
            }
            if data.len() > self.longest {
                return Err(ReadError::TooLong(self.longest));
            }
            self.fill()?;
        };
        if end > self.longest {
            return Err(ReadError::TooLong(self.longest));
        }
        let record = self.start..self.start + end;
        let offset = self.offset;
        self.start += end;
        self.offset += end as u64;
        Ok(Some((offset, &self.buffer[record])))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let filled = self.buffer.len();
        self.buffer.resize(filled + WINDOW, 0);
        let read = loop {
            match self.read.read(&mut self.buffer[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let count = read.as_ref().copied().unwrap_or(0);
        self.buffer.truncate(filled + count);
        self.at_end = read? == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cells(record: &str) -> Vec<String> {
        Cells::new(record.as_bytes(), b',').map(|cell| cell.text().into_owned()).collect()
    }

    /// All records of a text, read through a reader that gives `step` bytes at a time.
    fn records(text: &[u8], step: usize) -> Result<Vec<Vec<u8>>, CsvError> {
        struct Slow<'a>(&'a [u8], usize);
        impl io::Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let count = self.1.min(self.0.len()).min(buffer.len());
                buffer[..count].copy_from_slice(&self.0[..count]);
                self.0 = &self.0[count..];
                Ok(count)
            }
        }
        let mut records = Records::new(Slow(text, step), b',', 10_000);
        let mut all = Vec::new();
        loop {
            match records.next() {
                Ok(Some((_, record))) => all.push(record.to_vec()),
                Ok(None) => return Ok(all),
                Err(ReadError::Csv(error)) => return Err(error),
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn cells_are_cut_and_unescaped() {
        assert_eq!(cells(r#"a,"b,""c""",,"" "#.trim_end()), ["a", "b,\"c\"", "", ""]);
        assert_eq!(cells(""), [""]);
        assert_eq!(cells(","), ["", ""]);
        assert_eq!(cells("\"a\","), ["a", ""]);
        assert_eq!(cells(" a , b"), [" a ", " b"], "blanks are data");
        assert!(Cells::new(b"\"\"", b',').next().unwrap().quoted);
    }

    #[test]
    fn quotes_in_wrong_places_are_refused() {
        for text in ["a\"b\n", "\"a\", \"b\"\n", "\"a\"b,c\n", "\u{feff}\"Name\"\n", "\"a\"\r,b\n"]
        {
            assert_eq!(records(text.as_bytes(), 100), Err(CsvError::UnescapedQuote), "{text:?}");
        }
        assert_eq!(records(b"a,\"b\nc", 100), Err(CsvError::UnclosedQuote));
        assert_eq!(records(b"\"a\"\r\n\"b\"", 100).unwrap().len(), 2);
    }

    #[test]
    fn long_records_end_the_reading() {
        let text = vec![b'x'; 40_000];
        let mut records = Records::new(&text[..], b',', 10_000);
        assert!(matches!(records.next(), Err(ReadError::TooLong(10_000))));
    }

    proptest! {
        #[test]
        fn any_rows_come_back(
            rows in prop::collection::vec(prop::collection::vec("[a-c,\"\r\n é]{0,6}", 1..5), 0..8),
            crlf in any::<bool>(),
            step in 1_usize..40,
        ) {
            let mut text = Vec::new();
            for row in &rows {
                for (at, cell) in row.iter().enumerate() {
                    if at > 0 {
                        text.push(b',');
                    }
                    write_quoted(&mut text, cell.as_bytes());
                }
                text.extend_from_slice(if crlf { b"\r\n" } else { b"\n" });
            }
            let read: Vec<Vec<String>> = records(&text, step)
                .unwrap()
                .iter()
                .map(|record| {
                    Cells::new(content(record), b',').map(|cell| cell.text().into_owned()).collect()
                })
                .collect();
            prop_assert_eq!(read, rows);
        }

        /// However the bytes arrive, the records (or the refusal) are the same.
        #[test]
        fn cutting_does_not_depend_on_the_windows(text in "[ab,\"\r\n]{0,60}", step in 1_usize..7) {
            let whole = records(text.as_bytes(), 1_000);
            prop_assert_eq!(records(text.as_bytes(), step), whole.clone());
            if let Ok(records) = whole {
                prop_assert_eq!(records.concat(), text.as_bytes());
            }
        }
    }
}
