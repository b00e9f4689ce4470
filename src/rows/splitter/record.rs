//! One record: its borders and what is to be said of it.

use memchr::{memchr, memchr_iter, memchr2, memchr3};

use super::super::{Cells, RawRecord, RowFault};
use super::Format;
use crate::domain::{MAX_FIELD_CHARS, MAX_RECORD_CHARS};

/// A record that holds no quote: `start..end`, with `next` behind its line end.
pub(super) fn without_quotes(
    text: &[u8],
    start: usize,
    end: usize,
    next: usize,
    has_line_break: bool,
    format: Format,
) -> RawRecord {
    let record = &text[start..end];
    let cells = 1 + memchr_iter(format.delimiter, record).count();
    RawRecord {
        start: start as u32,
        end: end as u32,
        next: next as u32,
        has_quotes: false,
        has_line_break,
        has_stray_quote: false,
        fault: ragged(cells as u32, format).or_else(|| too_long(record, format)),
    }
}

/// The record at `start`, quotes and all. `None` if its end is not in `text`,
/// which for the last text means that a quote is never closed.
pub(super) fn with_quotes(
    text: &[u8],
    start: usize,
    format: Format,
    is_last: bool,
) -> Option<RawRecord> {
    let Format { delimiter, quote, .. } = format;
    let mut at = start;
    let mut cells = 0;
    let mut after_quote = None;
    let mut has_stray_quote = false;
    // Where the cell at `at` ends: the byte there is a delimiter, a line feed
    // or the end of the text.
    loop {
        cells += 1;
        let end = if text.get(at) == Some(&quote) {
            let close = closing_quote(text, at + 1, quote, is_last)?;
            match text.get(close + 1) {
                None => close + 1,
                Some(&next) if next == delimiter || next == b'\n' => close + 1,
                Some(b'\r') if text.get(close + 2).is_none() && !is_last => return None,
                Some(b'\r') if text.get(close + 2) == Some(&b'\n') => close + 2,
                Some(_) => {
                    after_quote = after_quote.or(Some(RowFault::AfterQuote { column: cells }));
                    end_of_cell(text, close + 1, delimiter, is_last)?
                }
            }
        } else {
            match memchr3(delimiter, b'\n', quote, &text[at..]).map(|found| at + found) {
                Some(found) if text[found] == quote => {
                    has_stray_quote = true;
                    end_of_cell(text, found, delimiter, is_last)?
                }
                Some(found) => found,
                None if is_last => text.len(),
                None => return None,
            }
        };
        if text.get(end) == Some(&delimiter) {
            at = end + 1;
            continue;
        }
        let (end, next) = match text.get(end) {
            Some(_) if end > start && text[end - 1] == b'\r' => (end - 1, end + 1),
            Some(_) => (end, end + 1),
            None => (end, end),
        };
        let record = &text[start..end];
        return Some(RawRecord {
            start: start as u32,
            end: end as u32,
            next: next as u32,
            has_quotes: true,
            has_line_break: memchr2(b'\n', b'\r', record).is_some(),
            has_stray_quote,
            fault: after_quote
                .or_else(|| ragged(cells, format))
                .or_else(|| too_long(record, format)),
        });
    }
}

/// The quote that ends a cell whose text begins at `from`. `None` if it is not
/// there, or if only more text could tell whether it is doubled.
fn closing_quote(text: &[u8], from: usize, quote: u8, is_last: bool) -> Option<usize> {
    let mut at = from;
    loop {
        let found = at + memchr(quote, text.get(at..)?)?;
        match text.get(found + 1) {
            Some(&next) if next == quote => at = found + 2,
            None if !is_last => return None,
            _ => return Some(found),
        }
    }
}

/// The end of a cell in which quotes mean nothing (any more).
fn end_of_cell(text: &[u8], from: usize, delimiter: u8, is_last: bool) -> Option<usize> {
    match memchr2(delimiter, b'\n', &text[from..]) {
        Some(found) => Some(from + found),
        None => is_last.then_some(text.len()),
    }
}

fn ragged(found: u32, format: Format) -> Option<RowFault> {
    let expected = format.columns?;
    (found != expected).then_some(RowFault::Ragged { expected, found })
}

fn too_long(record: &[u8], format: Format) -> Option<RowFault> {
    if format.limits { length_fault(record, format.delimiter, format.quote) } else { None }
}

/// Whether a record (without its line end) or a cell in it has more characters
/// than the service takes; they are counted only where the bytes leave it
/// open. Of a record all characters count, delimiters and quotes among them:
/// the documentation doesn't say, and one that is too long fails its whole job.
pub fn length_fault(record: &[u8], delimiter: u8, quote: u8) -> Option<RowFault> {
    if record.len() <= MAX_FIELD_CHARS {
        return None;
    }
    for (index, cell) in Cells::new(record, delimiter, quote).enumerate() {
        let doubled = if cell.has_doubled { memchr_iter(quote, cell.raw).count() / 2 } else { 0 };
        let chars = (characters(cell.raw) - doubled) as u64;
        if chars > MAX_FIELD_CHARS as u64 {
            return Some(RowFault::FieldTooLong { column: index as u32 + 1, chars });
        }
    }
    if record.len() <= MAX_RECORD_CHARS {
        return None;
    }
    let chars = characters(record) as u64;
    (chars > MAX_RECORD_CHARS as u64).then_some(RowFault::RecordTooLong { chars })
}

/// Characters of UTF-8 text: bytes that do not continue one.
fn characters(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte & 0xC0 != 0x80).count()
}

/// The number (from 1) of the column that holds byte `at` of a record.
pub(super) fn column_at(record: &[u8], at: usize, format: Format) -> u32 {
    let mut cells = Cells::new(record, format.delimiter, format.quote);
    let mut column = 0;
    while cells.next().is_some() {
        column += 1;
        // What is not walked yet begins behind the delimiter of this cell.
        if cells.unread().is_none_or(|unread| at < record.len() - unread) {
            break;
        }
    }
    column
}
