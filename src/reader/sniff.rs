//! The dialect of a text that nobody has named it for.

use std::path::Path;

use super::csv::CsvOptions;
use crate::domain::{LineEnding, RowNumber};
use crate::rows::{Dialect, RecordSplitter, RowStream};

/// What a job may be delimited by, likeliest first.
pub(super) const CANDIDATES: [u8; 6] = [b',', b';', b'\t', b'|', b'^', b'`'];

/// Rows that are looked at behind the header; more would tell nothing new.
const ROWS: usize = 200;

/// How a text is written, as far as nobody has said. Its line end is that of
/// the header, which is not looked at here.
///
/// `sample` is the begin of the text; `whole` says whether it is all of it, or
/// else its last line may be cut.
pub(super) fn dialect(sample: &[u8], whole: bool, options: &CsvOptions) -> Dialect {
    let sample = if whole {
        sample
    } else {
        memchr::memrchr(b'\n', sample).map_or(sample, |feed| &sample[..=feed])
    };
    let quote = options.quote.unwrap_or_else(|| quote(sample, options.delimiter));
    let delimiter = options.delimiter.unwrap_or_else(|| delimiter(sample, quote));
    Dialect { delimiter, quote, line_ending: LineEnding::Lf }
}

/// A single quote if it stands around every cell of the header, or around a
/// cell of it that holds a delimiter; else the double quote, which all the
/// world uses.
fn quote(sample: &[u8], delimiter: Option<u8>) -> u8 {
    let line_end = memchr::memchr2(b'\n', b'\r', sample).unwrap_or(sample.len());
    let header = &sample[..line_end];
    let is_single = header.len() > 2
        && header.starts_with(b"'")
        && header.ends_with(b"'")
        && memchr::memchr(b'"', header).is_none();
    if !is_single {
        return b'"';
    }
    let is_delimiter = |byte: u8| match delimiter {
        Some(delimiter) => byte == delimiter,
        None => CANDIDATES.contains(&byte),
    };
    // Every single quote within the line stands beside a delimiter.
    let inside = &header[1..header.len() - 1];
    let beside = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| inside.get(before));
        let after = inside.get(at + 1);
        before.is_some_and(|&byte| is_delimiter(byte) || byte == b'\'')
            || after.is_some_and(|&byte| is_delimiter(byte) || byte == b'\'')
    };
    if memchr::memchr_iter(b'\'', inside).all(beside) { b'\'' } else { b'"' }
}

/// The delimiter by which the header has at least two cells and most of the
/// first rows have as many; among equals the one that makes more cells, then
/// the likelier one. A comma if there is only one column.
fn delimiter(sample: &[u8], quote: u8) -> u8 {
    let mut best = (0u64, 1usize, b',');
    for candidate in CANDIDATES {
        let Some((cells, fitting, rows)) = fit(sample, candidate, quote) else { continue };
        // Per mille, so that a few ragged rows decide nothing.
        let share = (fitting + 1) * 1000 / (rows + 1);
        if cells > 1 && (share, cells) > (best.0, best.1) {
            best = (share, cells, candidate);
        }
    }
    best.2
}

/// Cells of the header, and how many of how many rows have as many.
fn fit(sample: &[u8], delimiter: u8, quote: u8) -> Option<(usize, u64, u64)> {
    let dialect = Dialect { delimiter, quote, line_ending: LineEnding::Lf };
    let mut splitter =
        RecordSplitter::new(sample, dialect, None, RowNumber(1), 0, Path::new("")).without_limits();
    let cells = splitter.read_header().ok()??.cells.len();
    let (mut fitting, mut rows) = (0, 0);
    // A quote that stays open ends the rows that can be looked at.
    while let Ok(Some(batch)) = splitter.next_batch() {
        for record in batch.records.iter().take(ROWS) {
            rows += 1;
            fitting += u64::from(record.fault.is_none());
        }
        if rows >= ROWS as u64 {
            break;
        }
    }
    Some((cells, fitting, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn sniffed(text: &str, expected: u8) {
        let found = dialect(text.as_bytes(), true, &CsvOptions::default());
        assert_eq!(found.delimiter as char, expected as char, "{text:?}");
    }

    #[test]
    fn each_of_the_usual_delimiters_is_found() {
        for candidate in CANDIDATES {
            let text = "Name,Phone,City\nAcme,1,Ulm\nBolt,2,Graz\n"
                .replace(',', &String::from(candidate as char));
            sniffed(&text, candidate);
        }
    }

    #[test]
    fn other_delimiters_in_the_data_do_not_mislead() {
        sniffed("Name;Amount\nAcme, Inc.;1,5\nBolt, Ltd.;2,5\n", b';');
        sniffed("\"Street, No.\";City\nMain St, 5;Ulm\n", b';');
        sniffed("Street, No.;City;Zip\nMain St;Ulm;1\nLow St;Graz;2\n", b';');
        sniffed("Name,Segments\nAcme,A;B;C\nBolt,A;B\n", b',');
        sniffed("A|B,C,D\n1,2,3\n4,5,6\n", b',');
        sniffed("Name\tNote\nAcme\ta,b,c\n", b'\t');
        sniffed("Name,Note\n\"a;b\nc;d\",x\n\"e;f\",y\n", b',');
    }

    #[test]
    fn a_single_column_is_taken_for_comma_separated() {
        sniffed("Id\n0017Q00000AbCdeQAF\n", b',');
        sniffed("Name\nAcme; Bolt\n", b',');
        sniffed("", b',');
    }

    #[test]
    fn a_line_cut_at_the_end_of_the_sample_does_not_count() {
        let found = dialect(b"a;b;c\n1;2;3\n4;5", false, &CsvOptions::default());
        assert_eq!(found.delimiter, b';');
    }

    #[test]
    fn a_single_quote_is_one_only_around_cells() {
        let quote = |text: &str| dialect(text.as_bytes(), true, &CsvOptions::default()).quote;
        assert_eq!(quote("'Name','Phone'\n'O''Hara','1'\n"), b'\'');
        assert_eq!(quote("'Na,me';'Phone'\r\n"), b'\'');
        assert_eq!(quote("'Name'\n'x'\n"), b'\'');
        for text in ["Name,Phone\n'a','b'\n", "\"Name\",\"Phone\"\n", "", "'"] {
            assert_eq!(quote(text), b'"', "{text:?}");
        }
    }
}
