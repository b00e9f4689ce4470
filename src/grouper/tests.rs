//! What a survey tells, and what is left when grouping fails. The layout is
//! judged end to end in `tests/it/grouping.rs`.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::*;
use crate::domain::{LineEnding, RowNumber, ValueKind};
use crate::rows::{Dialect, RawBatch, RecordSplitter, RowStream};

const COMMA: Dialect = Dialect { delimiter: b',', quote: b'"', line_ending: LineEnding::Lf };

fn rows(text: &str) -> RecordSplitter<io::Cursor<Vec<u8>>> {
    let text = io::Cursor::new(text.as_bytes().to_vec());
    RecordSplitter::new(text, COMMA, None, RowNumber(1), 0, Path::new("a.csv")).block_bytes(64)
}

/// The first cell is the parent; a row that begins with `!` is rejected.
fn keys(batch: &RawBatch) -> Vec<RowKey> {
    let column =
        KeyColumn { column: 0, kind: ValueKind::Text { case_sensitive: false }, dialect: COMMA };
    let mut keys = column.keys(batch, None);
    for (key, record) in keys.iter_mut().zip(&batch.records) {
        key.rejected = batch.record(record).starts_with(b"!");
    }
    keys
}

/// Rows dealt out to parents in turn.
fn text(rows: u64, parents: u64) -> String {
    (0..rows).fold(String::new(), |text, row| text + &format!("p{},{row}\n", row % parents))
}

fn options(chunk_rows: u64, batch_rows: u64) -> GroupOptions {
    GroupOptions { batch_rows, ..GroupOptions::new(chunk_rows, 1000, 4) }
}

fn surveyed(text: &str, options: GroupOptions) -> GroupSurvey {
    let mut rows = rows(text);
    survey(Keyed { rows: &mut rows, keys: &mut keys }, &options, &mut |_| ControlFlow::Continue(()))
        .unwrap()
}

#[test]
fn parents_are_told_by_size_and_first_row_never_by_value() {
    let text = "acme,1\nzeta,2\nACME,3\n,4\n acme ,5\n!bad\nzeta,7\n#N/A,8\n";
    let survey = surveyed(text, options(10, 2));
    let expected = GroupSurvey {
        rows: 8,
        grouped: 5,
        loose: 2,
        rejected: 1,
        distinct: 2,
        is_exact: true,
        undercount: 0,
        largest: vec![
            GroupSize { rows: 3, first_row: RowNumber(1) },
            GroupSize { rows: 2, first_row: RowNumber(2) },
        ],
        oversized: 1,
        batch_rows: 2,
        ordered: false,
        in_place: None,
        least_jobs: 1,
    };
    assert_eq!(survey, expected);
    assert!(!survey.suits_in_place());
    assert_eq!(
        survey.sentence("AccountId"),
        "groups by AccountId: 2 parents, 2.5 rows each on average, 2 rows without a parent; the \
         largest has 3 rows (first at row 1) and will not fit into one batch of 2; expect locks \
         there"
    );
}

#[test]
fn the_sentence_fits_what_was_found() {
    let survey = surveyed("a,1\nb,2\n", options(10, 10));
    assert_eq!(
        survey.sentence("AccountId"),
        "groups by AccountId: 2 parents, 1.0 rows each on average; the largest has 1 row (first \
         at row 1). Each fits into one batch of 10, so no two batches share a parent"
    );
    let none = surveyed(",1\n", options(10, 10));
    assert_eq!(
        none.sentence("AccountId"),
        "groups by AccountId: no row has a parent there, so none locks one"
    );
    let many = GroupSurvey {
        grouped: 41_000_000,
        distinct: 10_000_000,
        is_exact: false,
        undercount: 12,
        largest: vec![GroupSize { rows: 25_000, first_row: RowNumber(1017) }],
        oversized: 3,
        batch_rows: 10_000,
        ..survey
    };
    assert_eq!(
        many.sentence("AccountId"),
        "groups by AccountId: about 10,000,000 parents, 4.1 rows each on average; the largest has \
         25,000 to 25,012 rows (first at row 1,017). 3 parents will not fit into one batch of \
         10,000; expect locks there"
    );
}

#[test]
fn an_ordered_source_stays_where_it_is_unless_that_makes_many_jobs() {
    // Groups of 2 in batches of 4: every border is one of a group.
    let even = "a,\na,\nb,\nb,\nc,\nc,\nd,\nd,\n";
    let survey = surveyed(even, options(8, 4));
    assert!(survey.ordered && survey.suits_in_place());
    assert_eq!(survey.in_place, Some(JobCount { jobs: 1, batches: 2 }));
    // Groups of 3: each batch of 4 must be a job of its own.
    let odd = "a,\na,\na,\nb,\nb,\nb,\nc,\nc,\nc,\nd,\nd,\nd,\n";
    let survey = surveyed(odd, options(12, 4));
    assert_eq!(survey.in_place, Some(JobCount { jobs: 4, batches: 4 }));
    assert!(survey.ordered && !survey.suits_in_place());
    // A rejected row in a group parts nothing; another parent's does.
    assert!(surveyed("a,\n!x\na,\nb,\n", options(12, 4)).ordered);
    assert!(!surveyed("a,\nb,\na,\n", options(12, 4)).ordered);
}

#[test]
fn too_many_parents_are_estimated_and_taken_for_out_of_order() {
    let text = text(500, 500);
    let survey = surveyed(&text, GroupOptions { memory: 64 * 100, ..options(100, 10) });
    assert!(!survey.is_exact && !survey.ordered);
    assert!((480..=520).contains(&survey.distinct), "{}", survey.distinct);
}

#[test]
fn a_grouping_that_stops_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let text = text(500, 7);
    let options = GroupOptions { memory: 4096, ..options(100, 10) };
    let group = |stop: bool| {
        let mut rows = rows(&text);
        let mut progress = |step| match step {
            GroupStep::Read { rows, .. } if stop && rows > 300 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        let from = Keyed { rows: &mut rows, keys: &mut keys };
        regroup(b"P,N\n", LineEnding::Lf, from, &options, folder.path(), &mut progress)
    };
    let names = || {
        let mut names: Vec<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert!(matches!(group(true), Err(GroupError::Stopped)));
    assert_eq!(names(), [""; 0]);
    let derived = group(false).unwrap();
    assert_eq!(names(), [GROUPED_CSV, GROUPED_GROUPS, GROUPED_ROWS]);
    let text = std::fs::read(&derived.path).unwrap();
    assert_eq!(derived.bytes, text.len() as u64);
    assert_eq!(derived.digest, format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&text)));
    assert_eq!((derived.distinct, derived.oversized), (7, 7));
    assert_eq!(derived.largest[0], GroupSize { rows: 72, first_row: RowNumber(1) });
    // What is begun again takes the old text away first.
    assert!(matches!(group(true), Err(GroupError::Stopped)));
    assert!(!derived.path.exists());
}

#[test]
fn a_source_that_breaks_off_is_told_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = rows("a,1\nb,\"2\n");
    let from = Keyed { rows: &mut rows, keys: &mut keys };
    let options = options(100, 10);
    let error = regroup(b"P,N\n", LineEnding::Lf, from, &options, folder.path(), &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap_err();
    assert!(matches!(error, GroupError::Source(_)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let missing = folder.path().join("gone");
    let mut rows = self::rows("a,1\n");
    let from = Keyed { rows: &mut rows as &mut dyn RowStream, keys: &mut keys };
    let error = regroup(b"P,N\n", LineEnding::Lf, from, &options, &missing, &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the rows put in groups can't be written below {}", missing.display())
    );
}
