//! From source text to chunk bodies: for any source and any limits, what is
//! sent are exactly the rows that can be, with their values, each once.
//!
//! The judge knows each row's values because it wrote them; the bodies are
//! read back by the csv crate.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use bulkhaul::chunker::{
    Body, ChunkSink, ChunkSizing, Chunker, ChunkerOptions, Duplicates, PlannedChunk, open_body,
    open_rows, rehearse,
};
use bulkhaul::domain::{Fate, LineEnding, ObjectDescription, Operation, RowOutcome};
use bulkhaul::reader::{CsvOptions, open_csv};
use bulkhaul::rows::{SourceRows, Stretch};
use bulkhaul::transformer::{EmptyMeans, LoadSpec, Plan, compile};
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_128;

const HEADER: [&str; 4] = ["Key__c", "Name", "Active__c", "Note__c"];

fn object() -> ObjectDescription {
    let field = |name: &str, kind: &str, external_id: bool| {
        serde_json::json!({
            "name": name, "type": kind, "nillable": true, "createable": true, "updateable": true,
            "externalId": external_id, "unique": external_id,
        })
    };
    serde_json::from_value(serde_json::json!({
        "name": "Thing__c", "createable": true, "updateable": true, "deletable": true,
        "fields": [
            field("Key__c", "string", true),
            field("Name", "string", false),
            field("Active__c", "boolean", false),
            field("Note__c", "textarea", false),
        ],
    }))
    .unwrap()
}

/// A cell as it stands in the source, and what it says.
#[derive(Debug, Clone)]
struct Written {
    text: String,
    value: String,
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('"', "\"\""))
}

/// Any value, in quotes or, where that can be read, without.
fn cell() -> impl Strategy<Value = Written> {
    let any = ("[a-zé,;\"\r\n #/]{0,8}", any::<bool>()).prop_map(|(value, quotes)| {
        let needs = value.starts_with('"') || value.contains([',', ';', '\n', '\r']);
        let text = if quotes || needs { quoted(&value) } else { value.clone() };
        Written { text, value }
    });
    let plain = |value: &'static str| Written { text: value.to_owned(), value: value.to_owned() };
    prop_oneof![
        6 => any,
        1 => Just(plain("#N/A")),
        1 => Just(plain("5\" pipe")),
        1 => Just(plain("return\rinside")),
        1 => Just(plain(" \"blank\"")),
    ]
}

fn key() -> impl Strategy<Value = Written> {
    prop::sample::select(vec!["", "a", "A", "b", "bb", "c", " c", "\"d\"", "#N/A", "e", "f", "ÄÖ"])
        .prop_map(|text| Written { text: text.to_owned(), value: text.replace('"', "") })
}

/// A word and what becomes of it; `None` where it rejects the row.
fn boolean() -> impl Strategy<Value = (String, Option<String>)> {
    prop::sample::select(vec![
        ("true", Some("true")),
        ("FALSE", Some("FALSE")),
        ("", Some("")),
        ("\"\"", Some("")),
        ("yes", Some("true")),
        ("\"Off\"", Some("false")),
        ("1", Some("true")),
        ("perhaps", None),
        ("#N/A", None),
    ])
    .prop_map(|(text, becomes)| (text.to_owned(), becomes.map(str::to_owned)))
}

#[derive(Debug, Clone)]
enum Row {
    Good { key: Written, name: Written, active: (String, Option<String>), note: Written },
    Broken(Vec<u8>),
}

fn row() -> impl Strategy<Value = Row> {
    prop_oneof![
        12 => (key(), cell(), boolean(), cell())
            .prop_map(|(key, name, active, note)| Row::Good { key, name, active, note }),
        1 => prop::sample::select(vec![
            b"a,b".to_vec(),
            b"a,b,true,d,e".to_vec(),
            b"\"a\"x,b,true,d".to_vec(),
            b"a,\xFF,true,d".to_vec(),
        ])
        .prop_map(Row::Broken),
    ]
}

#[derive(Debug, Clone)]
struct Case {
    rows: Vec<(Row, bool, usize)>,
    has_last_line_end: bool,
    line_ending: LineEnding,
    delimiter: u8,
    max_rows: u64,
    max_bytes: u64,
    block: usize,
    duplicates: Duplicates,
    upsert: bool,
    drops_note: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let rows = prop::collection::vec((row(), prop::bool::weighted(0.1), 0usize..40), 0..40);
    let line_ending = prop::sample::select(vec![LineEnding::Lf, LineEnding::Crlf]);
    let duplicates = prop::sample::select(vec![
        Duplicates::Keep,
        Duplicates::First,
        Duplicates::Last,
        Duplicates::Reject,
    ]);
    let limits = (1u64..12, 40u64..300, 1usize..200);
    (rows, any::<bool>(), line_ending, any::<bool>(), limits, duplicates, any::<[bool; 2]>())
        .prop_map(|(rows, has_last_line_end, line_ending, comma, limits, duplicates, flags)| Case {
            rows,
            has_last_line_end,
            line_ending,
            delimiter: if comma { b',' } else { b';' },
            max_rows: limits.0,
            max_bytes: limits.1,
            block: limits.2,
            duplicates,
            upsert: flags[0],
            drops_note: flags[1],
        })
}

impl Case {
    fn source(&self) -> Vec<u8> {
        let delimiter = char::from(self.delimiter).to_string();
        let own = self.line_ending.bytes();
        let other = match self.line_ending {
            LineEnding::Lf => LineEnding::Crlf.bytes(),
            LineEnding::Crlf => LineEnding::Lf.bytes(),
        };
        let mut text = HEADER.join(&delimiter).into_bytes();
        text.extend_from_slice(own);
        for (at, (row, ends_otherwise, blank)) in self.rows.iter().enumerate() {
            match row {
                Row::Good { key, name, active, note } => {
                    let cells = [&key.text, &name.text, &active.0, &note.text];
                    text.extend(cells.map(String::as_str).join(&delimiter).into_bytes());
                }
                Row::Broken(bytes) => {
                    let swap = |&byte: &u8| if byte == b',' { self.delimiter } else { byte };
                    text.extend(bytes.iter().map(swap));
                }
            }
            if at + 1 < self.rows.len() || self.has_last_line_end {
                text.extend_from_slice(if *ends_otherwise { other } else { own });
            }
            if *blank == 0 && at + 1 < self.rows.len() {
                text.extend_from_slice(own);
            }
        }
        text
    }

    /// A value with the job's line ends.
    fn value(&self, written: &Written) -> String {
        let job = std::str::from_utf8(self.line_ending.bytes()).unwrap();
        written.value.replace("\r\n", "\n").replace('\r', "\n").replace('\n', job)
    }

    /// What a row is to be sent as, if it can be.
    fn sent(&self, row: &Row) -> Option<Vec<String>> {
        let Row::Good { key, name, active, note } = row else { return None };
        let mut values = vec![self.value(key), self.value(name), active.1.clone()?];
        if !self.drops_note {
            values.push(self.value(note));
        }
        Some(values)
    }

    fn plan(&self, source: &dyn SourceRows) -> Plan {
        let object = object();
        let dropped = [("Note__c".to_owned(), String::new())];
        let spec = LoadSpec {
            operation: if self.upsert { Operation::Upsert } else { Operation::Insert },
            object: &object,
            external_id: self.upsert.then_some("Key__c"),
            user_keys: &[],
            currency: None,
            renames: if self.drops_note { &dropped } else { &[] },
            empty: EmptyMeans::Skip,
            mapping: None,
        };
        compile(&spec, source.header(), source.dialect(), &mut |_| None).unwrap()
    }
}

#[derive(Default)]
struct Taken {
    chunks: Vec<PlannedChunk>,
    rejected: BTreeMap<u64, u64>,
    order: Vec<u64>,
}

impl ChunkSink for Taken {
    fn rejected(&mut self, chunk: u64, outcome: RowOutcome) -> io::Result<()> {
        assert_eq!(outcome.fate, Fate::Rejected);
        assert!(outcome.error.is_some());
        assert!(self.rejected.insert(outcome.row.0, chunk).is_none(), "rejected twice");
        self.order.push(outcome.row.0);
        Ok(())
    }

    fn planned(&mut self, chunk: PlannedChunk) -> io::Result<()> {
        self.chunks.push(chunk);
        Ok(())
    }
}

/// The key of a row as the service compares it; `None` for an empty one.
fn folded(values: &[String]) -> Option<String> {
    let key = values[0].trim().to_lowercase();
    (!key.is_empty() && key != "#n/a").then_some(key)
}

/// The rows of a chunk that must not be sent for their key, by the book.
fn twins(policy: Duplicates, rows: &[(u64, &Vec<String>)]) -> Vec<u64> {
    let mut groups: HashMap<String, Vec<u64>> = HashMap::new();
    for (row, values) in rows {
        if let Some(key) = folded(values) {
            groups.entry(key).or_default().push(*row);
        }
    }
    let mut out: Vec<u64> = groups
        .into_values()
        .filter(|group| group.len() > 1)
        .flat_map(|group| match policy {
            Duplicates::Keep => Vec::new(),
            Duplicates::First => group[1..].to_vec(),
            Duplicates::Last => group[..group.len() - 1].to_vec(),
            Duplicates::Reject => group,
        })
        .collect();
    out.sort_unstable();
    out
}

fn read(mut from: Box<dyn io::Read + Send>) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    bytes
}

fn check(case: &Case) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("source.csv");
    std::fs::write(&path, case.source()).unwrap();
    let csv = CsvOptions {
        delimiter: Some(case.delimiter),
        block_bytes: case.block,
        ..CsvOptions::default()
    };
    let source = Arc::new(open_csv(&path, &csv).unwrap());
    let plan = case.plan(&*source);
    let spools = dir.path().join("spool");
    std::fs::create_dir(&spools).unwrap();
    let options = ChunkerOptions {
        header_line: plan.header_line(),
        line_ending: plan.line_ending,
        sizing: ChunkSizing { rows: case.max_rows, max_bytes: case.max_bytes },
        duplicates: case.duplicates,
        key_column: plan.key_place(),
        text_columns: plan.text_candidates.clone(),
        columns: plan.column_names(),
        first_number: 5,
        first_rows: None,
    };
    let mut taken = Taken::default();
    let mut chunker = Chunker::new(options.clone(), source.clone(), spools.clone());
    let mut rows = source.rows(None).unwrap();
    while let Some(batch) = rows.next_batch().unwrap() {
        chunker.push(&batch, &plan.apply(&batch), &mut taken).unwrap();
    }
    chunker.finish(&mut taken).unwrap();

    judge(case, &taken, &*source, &spools, &options.header_line);

    let mut rows = source.rows(None).unwrap();
    let found = rehearse(&mut *rows, &mut |batch| Ok(plan.apply(batch)), options).unwrap();
    assert_eq!(found.read, case.rows.len() as u64);
    assert_eq!(found.rejected, taken.rejected.len() as u64);
    assert_eq!(found.duplicates, taken.chunks.iter().map(|chunk| chunk.duplicates).sum::<u64>());
    assert_eq!(found.sent + found.rejected, found.read);
    assert_eq!(found.ready, taken.chunks[..found.ready.len()]);
}

fn judge(case: &Case, taken: &Taken, source: &dyn SourceRows, spools: &Path, header: &[u8]) {
    assert!(taken.order.is_sorted());
    let mut next_row = 1;
    let mut last_end = 0;
    for (at, chunk) in taken.chunks.iter().enumerate() {
        assert_eq!(chunk.number, 5 + at as u64);
        // Every row in exactly one chunk, sent or rejected.
        let Stretch { start, end, first_row } = chunk.stretch;
        assert_eq!(first_row.0, next_row);
        assert_eq!(chunk.last_row.0 + 1, next_row + chunk.read_rows);
        next_row += chunk.read_rows;
        assert!(start >= last_end && end > start);
        last_end = end;
        let sent: Vec<u64> = chunk.rows.iter().map(|row| row.0).collect();
        for row in first_row.0..next_row {
            let is_rejected = taken.rejected.get(&row) == Some(&chunk.number);
            assert_ne!(is_rejected, sent.contains(&row), "row {row}");
        }
        assert_eq!(chunk.rejected + sent.len() as u64, chunk.read_rows);

        // The limits.
        let body = read(open_rows(&chunk.body, None, source, spools).unwrap());
        let whole =
            read(open_body(header, &chunk.body, chunk.add_line_end, source, spools).unwrap());
        assert!(whole.len() as u64 <= case.max_bytes || sent.is_empty());
        assert!(sent.len() as u64 <= case.max_rows);

        // The body.
        assert_eq!(body.len() as u64, chunk.bytes);
        assert_eq!(chunk.digest, format!("{:032x}", xxh3_128(&body)));
        match &chunk.body {
            Body::Span { start: from, end: to } => assert_eq!((*from, *to), (start, end)),
            Body::None => assert!(sent.is_empty()),
            Body::Spool { .. } => {}
        }
        assert!(whole.ends_with(case.line_ending.bytes()));
        let without = String::from_utf8(whole.clone()).unwrap();
        let without = match case.line_ending {
            LineEnding::Lf => without,
            LineEnding::Crlf => without.replace("\r\n", ""),
        };
        assert!(!without.contains('\r'), "one kind of line end");
        assert!(case.line_ending == LineEnding::Lf || !without.contains('\n'));

        // Its values.
        let can_go: Vec<(u64, Vec<String>)> = (first_row.0..next_row)
            .filter_map(|row| Some((row, case.sent(&case.rows[row as usize - 1].0)?)))
            .filter(|(row, values)| fits(case, header, *row, values))
            .collect();
        let can_go: Vec<(u64, &Vec<String>)> =
            can_go.iter().map(|(row, values)| (*row, values)).collect();
        let out = if case.upsert { twins(case.duplicates, &can_go) } else { Vec::new() };
        let expected: Vec<(u64, &Vec<String>)> =
            can_go.into_iter().filter(|(row, _)| !out.contains(row)).collect();
        assert_eq!(sent, expected.iter().map(|(row, _)| *row).collect::<Vec<_>>());
        let mut reader =
            csv::ReaderBuilder::new().delimiter(case.delimiter).from_reader(&whole[..]);
        let read: Vec<Vec<String>> = reader
            .records()
            .map(|record| record.unwrap().iter().map(str::to_owned).collect())
            .collect();
        assert_eq!(read, expected.iter().map(|(_, values)| (*values).clone()).collect::<Vec<_>>());
        if let Some(unique) = chunk.unique_text {
            let mut values: Vec<&str> = read.iter().map(|row| row[unique].trim()).collect();
            values.sort_unstable();
            assert!(values.iter().all(|value| !value.is_empty()));
            assert!(values.windows(2).all(|pair| pair[0] != pair[1]), "{values:?}");
        }
    }
    assert_eq!(next_row, case.rows.len() as u64 + 1);
}

/// Whether a row alone stays under the byte limit. A cell keeps the quotes it
/// has, and gets some where it needs them.
fn fits(case: &Case, header: &[u8], row: u64, values: &[String]) -> bool {
    let Row::Good { key, name, active, note } = &case.rows[row as usize - 1].0 else {
        return false;
    };
    let texts = [&key.text, &name.text, &active.0, &note.text];
    let delimiter = char::from(case.delimiter);
    let cells: usize = values
        .iter()
        .zip(texts)
        .enumerate()
        .map(|(column, (value, text))| {
            // A boolean word that is replaced loses the quotes it had.
            let is_replaced = column == 2 && text.trim_matches('"') != value;
            let has_quotes = text.starts_with('"') && !is_replaced;
            if has_quotes || value.contains([delimiter, '"', '\n', '\r']) {
                quoted(value).len()
            } else {
                value.len()
            }
        })
        .sum();
    let length = cells + values.len() - 1 + case.line_ending.bytes().len();
    (header.len() + length) as u64 <= case.max_bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_row_is_sent_as_it_was_or_rejected_and_chunks_keep_their_limits(case in case()) {
        check(&case);
    }
}
