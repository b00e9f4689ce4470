//! The splitter against a slow and obvious one, and the limits by themselves.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::domain::{MAX_FIELD_CHARS, MAX_RECORD_CHARS};

const COMMA: Dialect = Dialect { delimiter: b',', quote: b'"', line_ending: LineEnding::Lf };

/// A record by its place in the whole text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Placed {
    row: u64,
    start: usize,
    end: usize,
    next: usize,
    has_quotes: bool,
    has_line_break: bool,
    has_stray_quote: bool,
    fault: Option<RowFault>,
}

/// How a text ends.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ending {
    Well,
    Unclosed { row: u64, offset: u64 },
    Nul { row: u64, offset: u64 },
}

/// One byte at a time, one state at a time.
fn obvious(text: &[u8], columns: u32) -> (Vec<Placed>, Ending) {
    #[derive(PartialEq)]
    enum In {
        CellStart,
        Plain,
        Quoted,
        Closed,
    }
    let mut records: Vec<Placed> = Vec::new();
    let mut start = 0;
    let row = |records: &Vec<Placed>| records.len() as u64 + 1;
    let mut state = In::CellStart;
    let (mut cells, mut stray, mut after_quote) = (1u32, false, None);
    let mut at = 0;
    loop {
        let byte = text.get(at).copied();
        let ends_line = match byte {
            None => true,
            Some(b'\n') => state != In::Quoted,
            Some(_) => false,
        };
        if ends_line {
            if state == In::Quoted {
                if let Some(nul) = text[start..].iter().position(|&b| b == 0) {
                    let offset = (start + nul) as u64;
                    return (records.clone(), Ending::Nul { row: row(&records), offset });
                }
                let offset = start as u64;
                return (records.clone(), Ending::Unclosed { row: row(&records), offset });
            }
            let mut end = at;
            let mut next = if byte.is_some() { at + 1 } else { at };
            if end > start && text[end - 1] == b'\r' {
                end -= 1;
                if byte.is_none() {
                    // Not a line end, but not a part of the record either.
                    next = end;
                }
            }
            if end > start {
                let record = &text[start..end];
                if let Some(nul) = record.iter().position(|&b| b == 0) {
                    let offset = (start + nul) as u64;
                    return (records.clone(), Ending::Nul { row: row(&records), offset });
                }
                let fault = match std::str::from_utf8(record) {
                    Err(error) => {
                        let at = error.valid_up_to();
                        Some(RowFault::Utf8 { column: column(record, at), at: at as u32 })
                    }
                    Ok(_) if after_quote.is_some() => after_quote,
                    Ok(_) if cells != columns => {
                        Some(RowFault::Ragged { expected: columns, found: cells })
                    }
                    Ok(_) => None,
                };
                records.push(Placed {
                    row: row(&records),
                    start,
                    end,
                    next,
                    has_quotes: record.contains(&b'"'),
                    has_line_break: record.contains(&b'\n') || record.contains(&b'\r'),
                    has_stray_quote: stray,
                    fault,
                });
            }
            if byte.is_none() {
                return (records, Ending::Well);
            }
            start = at + 1;
            (state, cells, stray, after_quote) = (In::CellStart, 1, false, None);
            at += 1;
            continue;
        }
        let byte = byte.unwrap();
        match state {
            In::Quoted => {
                if byte == b'"' {
                    if text.get(at + 1) == Some(&b'"') {
                        at += 1;
                    } else {
                        state = In::Closed;
                    }
                }
            }
            _ if byte == b',' => {
                cells += 1;
                state = In::CellStart;
            }
            In::CellStart if byte == b'"' => state = In::Quoted,
            In::CellStart => state = In::Plain,
            In::Closed => {
                let line_ends = byte == b'\r' && matches!(text.get(at + 1), None | Some(b'\n'));
                if !line_ends {
                    after_quote = after_quote.or(Some(RowFault::AfterQuote { column: cells }));
                    state = In::Plain;
                    // Quotes behind a closing quote are part of that fault.
                    while at + 1 < text.len() && !matches!(text[at + 1], b',' | b'\n') {
                        at += 1;
                    }
                }
            }
            In::Plain => stray |= byte == b'"',
        }
        at += 1;
    }
}

/// Delimiters outside quotes before a byte, plus one.
fn column(record: &[u8], at: usize) -> u32 {
    let mut column = 1;
    let (mut cell_start, mut quoted, mut index) = (true, false, 0);
    while index < at {
        let byte = record[index];
        if quoted {
            if byte == b'"' {
                if record.get(index + 1) == Some(&b'"') {
                    index += 1;
                } else {
                    quoted = false;
                }
            }
        } else if byte == b',' {
            column += 1;
            cell_start = true;
            index += 1;
            continue;
        } else if byte == b'"' && cell_start {
            quoted = true;
        }
        cell_start = false;
        index += 1;
    }
    column
}

/// Reads a few bytes at a time, as a socket would.
struct Dribble<'a> {
    rest: &'a [u8],
    step: usize,
}

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.step.min(buffer.len()).min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest = &self.rest[count..];
        Ok(count)
    }
}

const BASE: u64 = 1000;

fn split(text: &[u8], columns: u32, block: usize, step: usize) -> (Vec<Placed>, Ending) {
    let read = Dribble { rest: text, step };
    let mut splitter =
        RecordSplitter::new(read, COMMA, Some(columns), RowNumber(1), BASE, Path::new("a.csv"))
            .block_bytes(block);
    let mut records = Vec::new();
    let ending = loop {
        match splitter.next_batch() {
            Ok(None) => {
                assert_eq!(splitter.offset(), BASE + text.len() as u64);
                break Ending::Well;
            }
            Ok(Some(batch)) => {
                assert!(!batch.records.is_empty());
                let base = (batch.offset - BASE) as usize;
                assert_eq!(&text[base..base + batch.bytes.len()], &batch.bytes[..]);
                for (index, record) in batch.records.iter().enumerate() {
                    records.push(Placed {
                        row: batch.first_row.plus(index as u64).0,
                        start: base + record.start as usize,
                        end: base + record.end as usize,
                        next: base + record.next as usize,
                        has_quotes: record.has_quotes,
                        has_line_break: record.has_line_break,
                        has_stray_quote: record.has_stray_quote,
                        fault: record.fault,
                    });
                }
            }
            Err(SourceError::UnclosedQuote { row, offset, .. }) => {
                break Ending::Unclosed { row, offset: offset - BASE };
            }
            Err(SourceError::NulByte { row, offset, .. }) => {
                break Ending::Nul { row, offset: offset - BASE };
            }
            Err(other) => panic!("{other}"),
        }
    };
    (records, ending)
}

/// Text in which borders are hard to find.
fn nasty() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => Just(b"a".to_vec()),
        4 => Just(b",".to_vec()),
        4 => Just(b"\"".to_vec()),
        2 => Just(b"\"\"".to_vec()),
        2 => Just(b",\"".to_vec()),
        2 => Just(b"\",".to_vec()),
        4 => Just(b"\n".to_vec()),
        2 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just("ä".as_bytes().to_vec()),
        1 => Just("日".as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// Mostly well-formed rows of the right width.
fn tidy(columns: usize) -> impl Strategy<Value = Vec<u8>> {
    let cell = prop_oneof![
        4 => "[a-z0-9 ]{0,8}",
        1 => "[a,\"\n]{0,5}".prop_map(|v| format!("\"{}\"", v.replace('"', "\"\""))),
        1 => "\"a\r\nä\"",
    ];
    let line = (
        prop::collection::vec(cell, columns),
        prop::sample::select(vec!["\n", "\r\n", "\n\n", "\r\n\r\n", ""]),
    )
        .prop_map(|(cells, end)| {
            let end = if end.is_empty() { "\n" } else { end };
            cells.join(",") + end
        });
    prop::collection::vec(line, 0..20).prop_map(|lines| lines.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nasty_text_is_split_as_the_obvious_way_splits_it(
        text in nasty(),
        columns in 1u32..4,
        block in 1usize..80,
        step in 1usize..20,
    ) {
        prop_assert_eq!(split(&text, columns, block, step), obvious(&text, columns));
    }

    #[test]
    fn broken_bytes_are_found_where_they_are(
        mut text in nasty(),
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(vec![0u8, 0xC3, 0xFF, 0x80]),
        block in 1usize..80,
    ) {
        text.insert(at.index(text.len() + 1), byte);
        let (found, ending) = split(&text, 2, block, 7);
        let (expected, expected_ending) = obvious(&text, 2);
        prop_assert_eq!(&ending, &expected_ending);
        if matches!(ending, Ending::Nul { .. }) {
            // A NUL byte ends the reading at once, so rows before it may be missing.
            prop_assert_eq!(&found[..], &expected[..found.len()]);
        } else {
            prop_assert_eq!(found, expected);
        }
    }
}

proptest! {
    #[test]
    fn tidy_rows_have_no_fault_and_keep_their_bytes(
        (columns, text) in (2usize..5).prop_flat_map(|columns| (Just(columns), tidy(columns))),
        block in 1usize..200,
    ) {
        let (records, ending) = split(&text, columns as u32, block, 13);
        prop_assert_eq!(ending, Ending::Well);
        prop_assert_eq!(records.iter().filter(|record| record.fault.is_some()).count(), 0);
        let expected = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(&text[..])
            .into_byte_records()
            .map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect::<Vec<_>>())
            .collect::<Vec<_>>();
        let cells = records
            .iter()
            .map(|record| {
                Cells::new(&text[record.start..record.end], b',', b'"')
                    .map(|cell| cell.value().into_owned())
                    .collect::<Vec<_>>()
            })
            .collect::<Vec<_>>();
        prop_assert_eq!(cells, expected);
    }
}

fn faults(text: &[u8], columns: u32) -> Vec<Option<RowFault>> {
    split(text, columns, 1 << 20, 1 << 20).0.into_iter().map(|record| record.fault).collect()
}

#[test]
fn each_fault_names_its_column() {
    assert_eq!(
        faults(b"a,b\na\na,b,c\n\"a\"x,b\n", 2),
        [
            None,
            Some(RowFault::Ragged { expected: 2, found: 1 }),
            Some(RowFault::Ragged { expected: 2, found: 3 }),
            Some(RowFault::AfterQuote { column: 1 }),
        ]
    );
    assert_eq!(
        faults(b"a,\xFF\n\"x,y\",ok\xC3\n\"\xFF\",b\n", 2),
        [
            Some(RowFault::Utf8 { column: 2, at: 2 }),
            Some(RowFault::Utf8 { column: 2, at: 8 }),
            Some(RowFault::Utf8 { column: 1, at: 1 }),
        ]
    );
}

#[test]
fn lengths_are_counted_in_characters_of_the_value() {
    let field = |text: String| faults(format!("{text},b\n").as_bytes(), 2)[0];
    assert_eq!(field("é".repeat(MAX_FIELD_CHARS)), None);
    assert_eq!(
        field("é".repeat(MAX_FIELD_CHARS + 1)),
        Some(RowFault::FieldTooLong { column: 1, chars: MAX_FIELD_CHARS as u64 + 1 })
    );
    // Quotes around and doubled ones are not part of the value.
    assert_eq!(field(format!("\"{}\"", "\"\"".repeat(MAX_FIELD_CHARS))), None);

    let cell = "x".repeat(100_000);
    let row = |last: usize| {
        let text = format!("{cell},{cell},{cell},{}\n", "x".repeat(last));
        faults(text.as_bytes(), 4)[0]
    };
    // The delimiters count as well.
    assert_eq!(row(MAX_RECORD_CHARS - 300_003), None);
    assert_eq!(row(99_998), Some(RowFault::RecordTooLong { chars: 400_001 }));

    let long = format!("{},b\n", "x".repeat(MAX_FIELD_CHARS + 1));
    let mut unlimited =
        RecordSplitter::new(long.as_bytes(), COMMA, Some(2), RowNumber(1), 0, Path::new("a.csv"))
            .without_limits();
    assert_eq!(unlimited.next_batch().unwrap().unwrap().records[0].fault, None);
}

#[test]
fn a_record_beyond_all_bounds_ends_the_reading() {
    let text = b"a,b\n\"never closed, and on it goes, and on, and on";
    for block in [1, 3, 16, 1000] {
        let mut splitter =
            RecordSplitter::new(&text[..], COMMA, Some(2), RowNumber(1), 0, Path::new("a.csv"))
                .block_bytes(block)
                .max_record_bytes(20);
        let error = loop {
            match splitter.next_batch() {
                Ok(Some(batch)) => assert_eq!(batch.records.len(), 1),
                Ok(None) => panic!("no error"),
                Err(error) => break error,
            }
        };
        match error {
            SourceError::RecordTooLarge { row: 2, offset: 4, limit: 20, .. } => {}
            // With the whole text at hand the truth can be told.
            SourceError::UnclosedQuote { row: 2, offset: 4, .. } if block == 1000 => {}
            other => panic!("{other:?} with blocks of {block}"),
        }
    }
}

#[test]
fn the_header_sets_how_many_cells_a_row_has() {
    let text = b"\r\n\"Na\"\"me\",b \r\n\r\n1,2\r\n1\r\n";
    let mut splitter =
        RecordSplitter::new(Cursor::new(text), COMMA, None, RowNumber(1), 0, Path::new("a.csv"));
    let header = splitter.read_header().unwrap().unwrap();
    assert_eq!(header.cells, ["Na\"me", "b "]);
    assert_eq!(header.line_ending, Some(LineEnding::Crlf));
    assert_eq!(splitter.offset(), 15);
    let batch = splitter.next_batch().unwrap().unwrap();
    assert_eq!(batch.first_row, RowNumber(1));
    assert_eq!(
        batch.records.iter().map(|record| record.fault).collect::<Vec<_>>(),
        [None, Some(RowFault::Ragged { expected: 2, found: 1 })]
    );
    assert!(splitter.next_batch().unwrap().is_none());
}

#[test]
fn a_text_without_rows_has_none() {
    for text in ["", "\n", "\r\n\n\r\n", "\r", "\n\n\r"] {
        let (records, ending) = split(text.as_bytes(), 1, 1, 1);
        assert_eq!((records, ending), (Vec::new(), Ending::Well), "{text:?}");
    }
}
