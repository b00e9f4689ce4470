//! CSV text, record by record, from any reader.
//!
//! Only for text that is known to be well quoted: result sets, and bodies as
//! they were sent (a source row with a stray quote is written anew before it
//! goes out). There a line feed ends a record exactly when the quotes before
//! it are even in number, which is far cheaper to find out than the state of
//! every cell: one search for the line feed and one vectorised count.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter};

/// Bytes read at a time: enough that system calls don't count, little enough
/// to stay in the cache.
const BLOCK: usize = 256 * 1024;

/// No record is longer: 400,000 characters of four bytes, each a doubled
/// quote, with as much again for columns that the org adds.
const MAX_RECORD: usize = 16 * 1024 * 1024;

/// Why the text can't be read on.
#[derive(Debug)]
pub(super) enum RecordsError {
    /// The reader failed.
    Io(io::Error),
    /// The text ends inside a quoted cell, or a record has no end.
    CutShort,
}

/// One record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// Its bytes, without the line end.
    pub(super) bytes: &'a [u8],
    /// Whether the text ended without a line end behind it.
    pub(super) unterminated: bool,
}

/// Reads records; blank lines are passed over.
pub(super) struct Records<R> {
    read: R,
    buffer: Vec<u8>,
    /// Begin of what was not handed out yet.
    start: usize,
    /// End of what was read.
    end: usize,
    ended: bool,
    /// Bytes read in all.
    total: u64,
}

impl<R: Read> Records<R> {
    pub(super) fn new(read: R) -> Self {
        Records { read, buffer: vec![0; BLOCK], start: 0, end: 0, ended: false, total: 0 }
    }

    /// Bytes taken from the reader so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.total
    }

    /// The next record, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>, RecordsError> {
        loop {
            let Some((start, end, next, unterminated)) = self.find()? else { return Ok(None) };
            self.start = next;
            let bytes = self.buffer.get(start..end).unwrap_or_default();
            let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
            if !bytes.is_empty() {
                // Taken again by index: a borrow returned from a loop would
                // hold the buffer for all its rounds.
                let end = start + bytes.len();
                let bytes = self.buffer.get(start..end).unwrap_or_default();
                return Ok(Some(Record { bytes, unterminated }));
            }
        }
    }

    /// Begin, end and what is behind the line end of the next line.
    fn find(&mut self) -> Result<Option<(usize, usize, usize, bool)>, RecordsError> {
        // Both relative to `start`, for the buffer moves when it is filled.
        let mut searched = 0;
        let mut odd = false;
        loop {
            let text = self.buffer.get(self.start..self.end).unwrap_or_default();
            while let Some(found) = memchr(b'\n', text.get(searched..).unwrap_or_default()) {
                let at = searched + found;
                odd ^= odd_quotes(text.get(searched..at).unwrap_or_default());
                searched = at + 1;
                if !odd {
                    let start = self.start;
                    return Ok(Some((start, start + at, start + searched, false)));
                }
            }
            odd ^= odd_quotes(text.get(searched..).unwrap_or_default());
            searched = text.len();
            if self.ended {
                return match (odd, text.is_empty()) {
                    (true, _) => Err(RecordsError::CutShort),
                    (false, true) => Ok(None),
                    (false, false) => Ok(Some((self.start, self.end, self.end, true))),
                };
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), RecordsError> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            if self.end >= MAX_RECORD {
                return Err(RecordsError::CutShort);
            }
            self.buffer.resize(self.end * 2, 0);
        }
        let space = self.buffer.get_mut(self.end..).unwrap_or_default();
        loop {
            match self.read.read(space) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.end += count;
                    self.total += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(RecordsError::Io(error)),
            }
            return Ok(());
        }
    }
}

/// Whether the quotes in a text are odd in number.
fn odd_quotes(text: &[u8]) -> bool {
    memchr_iter(b'"', text).count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out a text in pieces of one size.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(space.len());
            space[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn all(text: &str, piece: usize) -> Result<Vec<(String, bool)>, RecordsError> {
        let mut records = Records::new(Pieces(text.as_bytes(), piece));
        let mut all = Vec::new();
        while let Some(record) = records.next()? {
            all.push((String::from_utf8(record.bytes.to_vec()).unwrap(), record.unterminated));
        }
        Ok(all)
    }

    #[test]
    fn records_end_outside_quotes_only() {
        let text = "a,b\r\n\"x\ny\",\"say \"\"hi\"\"\n\"\r\n\n\r\nlast,one";
        for piece in [1, 2, 3, 7, 1000] {
            let found = all(text, piece).unwrap();
            let found: Vec<_> = found.iter().map(|(text, cut)| (text.as_str(), *cut)).collect();
            assert_eq!(
                found,
                [("a,b", false), ("\"x\ny\",\"say \"\"hi\"\"\n\"", false), ("last,one", true)]
            );
        }
        assert!(all("", 1).unwrap().is_empty());
        assert_eq!(all("\"\"\n", 1).unwrap(), [("\"\"".to_owned(), false)]);
    }

    #[test]
    fn quotes_are_counted_wherever_they_stand() {
        for length in 0..40 {
            for one in 0..length {
                for other in one..length {
                    let mut text = [b'\xA2', b'!', b'#', 0].repeat(10);
                    text.truncate(length);
                    text[one] = b'"';
                    text[other] = b'"';
                    assert_eq!(odd_quotes(&text), one == other, "{length} {one} {other}");
                }
            }
        }
    }

    #[test]
    fn a_text_that_ends_in_quotes_is_cut_short() {
        assert!(matches!(all("a\n\"b\nc", 2), Err(RecordsError::CutShort)));
    }

    #[test]
    fn a_record_longer_than_the_buffer_is_whole() {
        let cell = "x\n".repeat(BLOCK);
        let found = all(&format!("\"{cell}\"\nnext\n"), 100_000).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].0.len(), cell.len() + 2);
    }
}
