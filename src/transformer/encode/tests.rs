//! Row by row: what goes as it stands, what is rewritten, what is rejected.

use std::path::Path;

use super::*;
use crate::domain::{ColumnDelimiter, Operation, RowNumber};
use crate::rows::{Dialect, RecordSplitter, RowStream as _};
use crate::transformer::{DropReason, DroppedColumn, PlannedColumn};

const TEXT: ValueKind = ValueKind::Text { case_sensitive: false };

/// A plan that sends the given columns; one named `-` is dropped.
fn plan(columns: &[(&str, Treatment)], line_ending: LineEnding, delimiter: u8) -> Plan {
    let mut plan = Plan {
        object: "Account".to_owned(),
        operation: Operation::Insert,
        external_id: None,
        columns: Vec::new(),
        key: None,
        user_keys: Vec::new(),
        text_candidates: Vec::new(),
        protecting_keys: Vec::new(),
        dropped: Vec::new(),
        header: columns.iter().map(|(name, _)| (*name).to_owned()).collect(),
        source: Dialect { delimiter, quote: b'"', line_ending },
        delimiter: ColumnDelimiter::from_byte(delimiter).unwrap_or(ColumnDelimiter::Comma),
        line_ending,
        empty: EmptyMeans::Skip,
        notes: Vec::new(),
        mapping: None,
        machine: crate::transformer::plan::Ready::default(),
    };
    for (source, &(name, treatment)) in columns.iter().enumerate() {
        let name = name.to_owned();
        if name == "-" {
            plan.dropped.push(DroppedColumn { source, name, reason: DropReason::Asked });
        } else {
            let kind = match treatment {
                Treatment::Boolean => ValueKind::Boolean,
                Treatment::NumericKey => ValueKind::Number,
                Treatment::Pass => TEXT,
            };
            let (header, field) = (name.clone(), name.clone());
            let (source, recipe) = (Some(source), None);
            plan.columns.push(PlannedColumn {
                source,
                name,
                header,
                field,
                kind,
                treatment,
                recipe,
            });
        }
    }
    plan
}

fn texts(count: usize) -> Plan {
    plan(
        &[("A", Treatment::Pass), ("B", Treatment::Pass), ("C", Treatment::Pass)][..count],
        LineEnding::Lf,
        b',',
    )
}

/// Encodes a text; each row as `=`, as its new text, or as `!` and the reason.
fn encode(plan: &Plan, text: &str) -> (Vec<String>, Changes) {
    let columns = plan.header.len() as u32;
    let mut splitter = RecordSplitter::new(
        text.as_bytes(),
        plan.source,
        Some(columns),
        RowNumber(1),
        0,
        Path::new("a.csv"),
    );
    let batch = splitter.next_batch().unwrap().unwrap();
    let encoded = plan.apply(&batch);
    assert_eq!(encoded.rows.len(), batch.records.len());
    let mut changes = Changes::default();
    encoded.changes.iter().for_each(|record| changes.add(&record.changes));
    let rows = encoded
        .rows
        .iter()
        .map(|row| match *row {
            EncodedRow::Same => "=".to_owned(),
            EncodedRow::Rewritten { start, end } => {
                String::from_utf8(encoded.side[start as usize..end as usize].to_vec()).unwrap()
            }
            EncodedRow::Rejected(at) => {
                format!(
                    "! {}",
                    encoded.rejections[at as usize].reason(&plan.column_names(), Some(0))
                )
            }
        })
        .collect();
    (rows, changes)
}

#[test]
fn a_plain_plan_copies_nothing() {
    let (rows, changes) = encode(&texts(2), "a,b\n\"a,\"\"b\",\"c\nd\"\n, \nlast,one");
    assert_eq!(rows, ["=", "=", "=", "="]);
    assert!(changes.is_empty());
}

#[test]
fn line_ends_become_those_of_the_job() {
    let (rows, changes) = encode(&texts(2), "a,\"b\r\nc\"\nx,y\r\nd\re,f\n\"g\n\",\"h\"\n");
    assert_eq!(rows, ["a,\"b\nc\"\n", "x,y\n", "\"d\ne\",f\n", "="]);
    assert_eq!(changes, Changes { line_ends: 2, ..Changes::default() });

    let excel = plan(&[("A", Treatment::Pass), ("B", Treatment::Pass)], LineEnding::Crlf, b',');
    let (rows, changes) =
        encode(&excel, "a,\"b\nc\"\r\n\"d\r\ne\",f\r\nx,y\n\"g\r\r\nh\",\"i\n\"\r\n");
    assert_eq!(rows, ["a,\"b\r\nc\"\r\n", "=", "x,y\r\n", "\"g\r\n\r\nh\",\"i\r\n\"\r\n"]);
    assert_eq!(changes, Changes { line_ends: 3, ..Changes::default() });
}

#[test]
fn stray_quotes_are_put_in_quotes_and_faults_reject_their_row() {
    let (rows, changes) = encode(&texts(2), "5\" pipe,\"ok\"\na, \"b\"\n\"a\"x,b\none\n");
    assert_eq!(
        rows,
        [
            "\"5\"\" pipe\",\"ok\"\n",
            "a,\" \"\"b\"\"\"\n",
            "! `A`, column 1: text behind the closing quote (the row begins at byte 0)",
            "! 1 cells where the header has 2 (the row begins at byte 0)",
        ]
    );
    assert_eq!(changes, Changes { requoted: 2, ..Changes::default() });
}

#[test]
fn boolean_words_become_true_and_false_and_other_words_reject() {
    let plan = plan(&[("N", Treatment::Pass), ("B", Treatment::Boolean)], LineEnding::Lf, b',');
    for same in ["true", "FALSE", "", "\"True\"", "\"\""] {
        assert_eq!(encode(&plan, &format!("n,{same}\n")).0, ["="], "{same}");
    }
    for (word, meaning) in [
        ("yes", "true"),
        ("Y", "true"),
        ("ON", "true"),
        ("1", "true"),
        ("\" true\"", "true"),
        ("No", "false"),
        ("n", "false"),
        ("off", "false"),
        ("\"0\"", "false"),
    ] {
        let (rows, changes) = encode(&plan, &format!("\"n\",{word}\n"));
        assert_eq!(rows, [format!("\"n\",{meaning}\n")], "{word}");
        assert_eq!(changes.booleans, 1);
    }
    for wrong in ["ja", "2", " ", "t", "#N/A"] {
        let (rows, changes) = encode(&plan, &format!("n,{wrong}\n"));
        assert!(rows[0].starts_with("! `B`, column 2: "), "{wrong}: {rows:?}");
        assert!(!rows[0].contains("ja"), "the value must not be told");
        assert!(changes.is_empty());
    }
}

#[test]
fn dropped_columns_are_gone_and_a_lone_empty_cell_is_no_blank_line() {
    let drop = plan(
        &[("-", Treatment::Pass), ("B", Treatment::Pass), ("-", Treatment::Pass)],
        LineEnding::Lf,
        b',',
    );
    let (rows, _) = encode(&drop, "a,b,c\n\"a\",\"b,\"\"x\"\"\",c\r\na,,c\n,b,");
    assert_eq!(rows, ["b\n", "\"b,\"\"x\"\"\"\n", "\"\"\n", "b\n"]);
}

#[test]
fn a_delimiter_no_job_takes_becomes_a_comma() {
    let bang = plan(&[("A", Treatment::Pass), ("B", Treatment::Pass)], LineEnding::Lf, b'!');
    assert!(!bang.is_identity());
    let (rows, changes) = encode(&bang, "a,b!c\n\"d!\"!\"e\"\n");
    assert_eq!(rows, ["\"a,b\",c\n", "\"d!\",\"e\"\n"]);
    assert!(changes.is_empty());
    let semicolon = plan(&[("A", Treatment::Pass), ("B", Treatment::Pass)], LineEnding::Lf, b';');
    assert_eq!(encode(&semicolon, "a,b;c\n").0, ["="]);
}

#[test]
fn numeric_keys_beyond_fifteen_digits_are_rejected() {
    let mut keyed =
        plan(&[("K", Treatment::NumericKey), ("B", Treatment::Pass)], LineEnding::Lf, b',');
    keyed.key = Some(0);
    for (number, known) in [
        ("123456789012345", 15),
        ("1234567890123456", 16),
        ("-000123456789012345.000", 15),
        ("0.1234567890123456", 16),
        ("1.5E300", 2),
        ("1000000000000000000", 19),
        ("", 0),
        ("12a4567890123456", 0),
        ("0000000000000000000", 0),
    ] {
        assert_eq!(digits(number.as_bytes()), known, "{number}");
        let (rows, _) = encode(&keyed, &format!("{number},b\n"));
        if known > 15 {
            let expected = format!(
                "! `K`, column 1: a numeric key of {known} digits; the service keeps 15, so its \
                 result could not be told from others"
            );
            assert_eq!(rows, [expected]);
        } else {
            assert_eq!(rows, ["="]);
        }
    }
}

#[test]
fn empty_cells_clear_on_request_but_never_keys_and_booleans() {
    let mut keyed = plan(
        &[("K", Treatment::Pass), ("B", Treatment::Boolean), ("C", Treatment::Pass)],
        LineEnding::Lf,
        b',',
    );
    keyed.key = Some(0);
    keyed.empty = EmptyMeans::Clear;
    let (rows, changes) = encode(&keyed, ",,\n,,\"\"\nk,yes,c\nk,,#N/A\n");
    assert_eq!(rows, [",,#N/A\n", ",,#N/A\n", "k,true,c\n", "="]);
    assert_eq!(changes, Changes { cleared: 2, na_cells: 1, booleans: 1, ..Changes::default() });
    keyed.empty = EmptyMeans::Skip;
    assert_eq!(encode(&keyed, ",,\n").0, ["="]);
}

#[test]
fn clearing_cells_are_counted_in_sent_columns_only() {
    let mut three = texts(3);
    let text = "#N/A,b,\"#N/A\"\nx#N/A,b,c\n";
    assert_eq!(encode(&three, text).1.na_cells, 2);
    three.columns.pop();
    three.dropped.push(DroppedColumn {
        source: 2,
        name: "C".to_owned(),
        reason: DropReason::Asked,
    });
    assert_eq!(encode(&three, text).1.na_cells, 1);
}

#[test]
fn a_cell_that_outgrows_the_limit_by_its_line_ends_is_rejected() {
    let excel = plan(&[("A", Treatment::Pass), ("B", Treatment::Pass)], LineEnding::Crlf, b',');
    let row = |lines: usize, rest: usize| {
        let text = format!("\"{}{}\",b\r\n", "\n".repeat(lines), "é".repeat(rest));
        encode(&excel, &text).0.remove(0)
    };
    assert!(row(10, MAX_FIELD_CHARS - 20).ends_with("é\",b\r\n"));
    assert_eq!(
        row(11, MAX_FIELD_CHARS - 20),
        "! `A`, column 1: 131074 characters, the service takes 131,072 in a cell (the row begins \
         at byte 0)"
    );
}

#[test]
fn keys_and_watched_texts_are_hashed_by_meaning() {
    let mut keyed = texts(3);
    keyed.key = Some(1);
    keyed.text_candidates = vec![2, 0];
    let mut splitter = RecordSplitter::new(
        "a, \"K\"\"1\" ,c\n\"a \",\"k\"\"1\",\"c\"\n,,\nfaulty\n".as_bytes(),
        keyed.source,
        Some(3),
        RowNumber(1),
        0,
        Path::new("a.csv"),
    );
    let encoded = keyed.apply(&splitter.next_batch().unwrap().unwrap());
    assert_eq!(encoded.keys.len(), 4);
    assert_ne!(encoded.keys[0], encoded.keys[1], "blanks before a quote make it data");
    assert_eq!(encoded.keys[1], key_hash(TEXT, KeyExactness::Folded, b"K\"1"));
    assert_eq!(encoded.keys[2..], [EMPTY_HASH; 2]);
    assert_eq!(encoded.texts[..2], encoded.texts[2..4]);
    assert_eq!(encoded.texts[0], canonical_hash(TEXT, b"c"));
    assert_eq!(encoded.texts[4..], [EMPTY_HASH; 4]);
}
