//! Borders, spans and spools, duplicates: on batches made by hand.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use super::*;
use crate::domain::{LineEnding, RowNumber, RowOutcome};
use crate::rows::{
    Changes, Dialect, EMPTY_HASH, EncodedBatch, EncodedRow, GroupIndex, GroupIndexWriter, GroupRun,
    Parcel, RawBatch, RecordChanges, RecordSplitter, Rejection, RowFault, RowMap, RowMapWriter,
    RowStream, SourceError, SourceRows, Stretch,
};

const COMMA: Dialect = Dialect { delimiter: b',', quote: b'"', line_ending: LineEnding::Lf };

/// A source in memory that begins at byte 10.
struct Text {
    text: Bytes,
    header: Vec<String>,
}

const BASE: u64 = 10;

impl SourceRows for Text {
    fn dialect(&self) -> Dialect {
        COMMA
    }

    fn header(&self) -> &[String] {
        &self.header
    }

    fn rows(&self, _: Option<Stretch>) -> Result<Box<dyn RowStream>, SourceError> {
        let text = io::Cursor::new(self.text.clone());
        Ok(Box::new(
            RecordSplitter::new(text, COMMA, None, RowNumber(1), BASE, Path::new("a.csv"))
                .block_bytes(16),
        ))
    }

    fn bytes(&self, start: u64, end: u64) -> Result<Box<dyn io::Read + Send>, SourceError> {
        let part = self.text.slice((start - BASE) as usize..(end - BASE) as usize);
        Ok(Box::new(io::Cursor::new(part)))
    }
}

#[derive(Default)]
struct Taken {
    chunks: Vec<PlannedChunk>,
    rejected: BTreeMap<u64, Vec<(u64, String)>>,
}

impl ChunkSink for Taken {
    fn rejected(&mut self, chunk: u64, outcome: RowOutcome) -> io::Result<()> {
        assert!(self.chunks.iter().all(|planned| planned.number != chunk), "it came too late");
        let reason = outcome.error.unwrap();
        self.rejected.entry(chunk).or_default().push((outcome.row.0, reason));
        Ok(())
    }

    fn planned(&mut self, chunk: PlannedChunk) -> io::Result<()> {
        let rejected = self.rejected.get(&chunk.number).map_or(0, Vec::len) as u64;
        assert_eq!(chunk.rejected, rejected);
        assert_eq!(chunk.read_rows, rejected + chunk.rows.len());
        self.chunks.push(chunk);
        Ok(())
    }
}

fn options(rows: u64, max_bytes: u64) -> ChunkerOptions {
    ChunkerOptions {
        header_line: b"A\n".to_vec(),
        line_ending: LineEnding::Lf,
        sizing: ChunkSizing { rows, max_bytes },
        duplicates: Duplicates::Keep,
        key_column: None,
        text_columns: Vec::new(),
        columns: ["A".to_owned()].as_slice().into(),
        first_number: 1,
        first_rows: None,
    }
}

/// Rows of one letter and more: a capital is rewritten to its small letter, a
/// `!` is rejected; the key of a row is its first letter without case.
fn encode(batch: &RawBatch) -> EncodedBatch {
    let mut encoded = EncodedBatch { text_columns: 1, ..EncodedBatch::default() };
    for (index, record) in batch.records.iter().enumerate() {
        let text = batch.record(record);
        let first = text[0].to_ascii_lowercase();
        let key = if first == b'_' { EMPTY_HASH } else { u64::from(first) };
        encoded.keys.push(key);
        encoded.texts.push(key);
        encoded.rows.push(if text[0] == b'!' {
            encoded.rejections.push(Rejection::Fault(RowFault::Ragged { expected: 1, found: 2 }));
            EncodedRow::Rejected(encoded.rejections.len() as u32 - 1)
        } else if text[0].is_ascii_uppercase() {
            let start = encoded.side.len() as u32;
            encoded.side.extend(text.to_ascii_lowercase());
            encoded.side.push(b'\n');
            let changes = Changes { booleans: 1, ..Changes::default() };
            encoded.changes.push(RecordChanges { record: index as u32, changes });
            EncodedRow::Rewritten { start, end: encoded.side.len() as u32 }
        } else {
            EncodedRow::Same
        });
    }
    encoded
}

struct Cut {
    taken: Taken,
    source: Arc<Text>,
    dir: tempfile::TempDir,
}

fn cut(text: &str, options: ChunkerOptions) -> Cut {
    let source =
        Arc::new(Text { text: Bytes::from(text.to_owned()), header: vec!["A".to_owned()] });
    let dir = tempfile::tempdir().unwrap();
    let mut taken = Taken::default();
    let mut chunker = Chunker::new(options.clone(), source.clone(), dir.path().to_owned());
    let mut rows = source.rows(None).unwrap();
    while let Some(batch) = rows.next_batch().unwrap() {
        chunker.push(&batch, &encode(&batch), &mut taken).unwrap();
    }
    chunker.finish(&mut taken).unwrap();

    let found = rehearse(&mut *source.rows(None).unwrap(), &mut |batch| Ok(encode(batch)), options)
        .unwrap();
    let sum = |of: fn(&PlannedChunk) -> u64| taken.chunks.iter().map(of).sum::<u64>();
    assert_eq!(found.sent, sum(|chunk| chunk.rows.len()));
    assert_eq!(found.rejected, sum(|chunk| chunk.rejected));
    assert_eq!(found.duplicates, sum(|chunk| chunk.duplicates));
    assert_eq!(found.jobs, taken.chunks.iter().filter(|c| !c.rows.is_empty()).count() as u64);
    let (ready, others) = taken.chunks.split_at(found.ready.len());
    assert_eq!(found.ready, ready);
    assert!(others.first().is_none_or(|chunk| {
        !matches!(chunk.body, Body::Span { .. }) || chunk.duplicates > 0 || chunk.rejected > 0
    }));
    Cut { taken, source, dir }
}

impl Cut {
    /// The text of each chunk, checked against its digest and byte count.
    fn bodies(&self) -> Vec<String> {
        self.taken
            .chunks
            .iter()
            .map(|chunk| {
                let read = |add| {
                    let mut text = String::new();
                    open_rows(&chunk.body, add, &*self.source, self.dir.path())
                        .unwrap()
                        .read_to_string(&mut text)
                        .unwrap();
                    text
                };
                let bare = read(None);
                assert_eq!(bare.len() as u64, chunk.bytes);
                assert_eq!(format!("{:032x}", xxh3_128(bare.as_bytes())), chunk.digest);
                read(chunk.add_line_end)
            })
            .collect()
    }

    fn spools(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn rows(&self) -> Vec<String> {
        self.taken.chunks.iter().map(|chunk| String::from(chunk.rows.clone())).collect()
    }

    fn rejected(&self) -> Vec<(u64, &str)> {
        self.taken.rejected.values().flatten().map(|(row, why)| (*row, why.as_str())).collect()
    }
}

#[test]
fn an_unchanged_source_is_cut_into_spans_and_nothing_is_written() {
    let cut = cut("a1\nb2\nc3\nd4\ne5", options(2, 1000));
    assert_eq!(cut.bodies(), ["a1\nb2\n", "c3\nd4\n", "e5\n"]);
    assert_eq!(cut.rows(), ["1-2", "3-4", "5-5"]);
    assert_eq!(cut.spools(), [""; 0]);
    let last = &cut.taken.chunks[2];
    assert_eq!(last.body, Body::Span { start: BASE + 12, end: BASE + 14 });
    assert_eq!(last.add_line_end, Some(LineEnding::Lf));
    assert_eq!(last.stretch.first_row, RowNumber(5));
}

#[test]
fn a_changed_row_opens_a_spool_with_the_span_so_far() {
    let cut = cut("a1\nb2\nC3\nd4\ne5\nf6\n", options(4, 1000));
    assert_eq!(cut.bodies(), ["a1\nb2\nc3\nd4\n", "e5\nf6\n"]);
    assert_eq!(cut.spools(), ["chunk-000001.csv"]);
    assert_eq!(cut.taken.chunks[0].changes.booleans, 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = cut.dir.path().join("chunk-000001.csv").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_rejected_row_is_left_out_wherever_it_stands() {
    for (text, sent) in [
        ("!x\na1\nb2\n", "a1\nb2\n"),
        ("a1\n!x\nb2\n", "a1\nb2\n"),
        ("a1\nb2\n!x\n", "a1\nb2\n"),
        ("a1\nb2\n!x", "a1\nb2\n"),
        ("!x\na1\n!x\nb2", "a1\nb2\n"),
        ("a1\n\n\nb2\n", "a1\nb2\n"),
    ] {
        let cut = cut(text, options(10, 1000));
        assert_eq!(cut.bodies(), [sent], "{text:?}");
        assert_eq!(cut.spools(), ["chunk-000001.csv"]);
    }
    let cut = cut("!x\n!y\n", options(10, 1000));
    assert_eq!(cut.taken.chunks[0].body, Body::None);
    assert_eq!(
        cut.rejected(),
        [
            (1, "2 cells where the header has 1 (the row begins at byte 10)"),
            (2, "2 cells where the header has 1 (the row begins at byte 13)"),
        ]
    );
}

#[test]
fn bytes_count_with_header_and_last_line_end_and_what_never_fits_is_rejected() {
    // The header line has 2 bytes: two rows of 3 bytes fit into 8.
    let cut = cut("a1\nb2\nc3\nlong-row\nd4", options(10, 8));
    assert_eq!(cut.bodies(), ["a1\nb2\n", "c3\nd4\n"]);
    assert_eq!(cut.rejected(), [(4, "11 bytes with the header, a chunk may have 8")]);
}

#[test]
fn header_and_rows_are_opened_together() {
    let cut = cut("a1\nb2", options(10, 100));
    let chunk = &cut.taken.chunks[0];
    let mut text = String::new();
    open_body(b"A\n", &chunk.body, chunk.add_line_end, &*cut.source, cut.dir.path())
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "A\na1\nb2\n");
}

fn with_keys(rows: u64, duplicates: Duplicates) -> ChunkerOptions {
    ChunkerOptions { duplicates, key_column: Some(0), ..options(rows, 1000) }
}

#[test]
fn duplicates_leave_as_the_user_says() {
    let text = "a1\nb2\na3\n_4\nA5\n_6\nc7";
    let twin = |row: u64| format!("`A`, column 1: row {row} has the same key");

    let keep = cut(text, with_keys(10, Duplicates::Keep));
    assert_eq!(keep.bodies(), ["a1\nb2\na3\n_4\na5\n_6\nc7\n"]);
    assert_eq!(keep.taken.chunks[0].duplicates, 2);
    assert_eq!(keep.taken.chunks[0].duplicate_example, Some((RowNumber(3), RowNumber(1))));

    let first = cut(text, with_keys(10, Duplicates::First));
    assert_eq!(first.bodies(), ["a1\nb2\n_4\n_6\nc7\n"]);
    assert_eq!(first.rejected(), [(3, twin(1).as_str()), (5, twin(1).as_str())]);

    let last = cut(text, with_keys(10, Duplicates::Last));
    assert_eq!(last.bodies(), ["b2\n_4\na5\n_6\nc7\n"]);
    assert_eq!(last.rows(), ["2-2,4-7"]);
    assert_eq!(last.rejected(), [(1, twin(3).as_str()), (3, twin(5).as_str())]);
    assert_eq!(last.spools(), ["chunk-000001.csv"]);

    let reject = cut(text, with_keys(10, Duplicates::Reject));
    assert_eq!(reject.bodies(), ["b2\n_4\n_6\nc7\n"]);
    assert_eq!(
        reject.rejected(),
        [(1, twin(3).as_str()), (3, twin(1).as_str()), (5, twin(1).as_str())]
    );
}

#[test]
fn a_span_whose_rows_leave_becomes_a_spool() {
    let last = cut("a1\na2\na3", with_keys(10, Duplicates::Last));
    assert_eq!(last.bodies(), ["a3\n"]);
    let reject = cut("a1\na2\na3", with_keys(10, Duplicates::Reject));
    assert_eq!(reject.bodies(), [""]);
    assert_eq!(reject.taken.chunks[0].body, Body::None);
    assert_eq!(reject.spools(), [""; 0]);
}

#[test]
fn keys_are_compared_within_a_chunk_only() {
    let cut = cut("a1\nb2\na3\nb4\n", with_keys(2, Duplicates::Reject));
    assert_eq!(cut.bodies(), ["a1\nb2\n", "a3\nb4\n"]);
    assert_eq!(cut.rejected(), []);
}

#[test]
fn a_text_column_is_unique_until_a_value_is_empty_or_comes_again() {
    let unique = |text: &str| {
        let cut = cut(text, ChunkerOptions { text_columns: vec![7], ..options(3, 1000) });
        cut.taken.chunks.iter().map(|chunk| chunk.unique_text).collect::<Vec<_>>()
    };
    assert_eq!(unique("a\nb\n!\n!\nc\na\nb\nb\na\n_\n"), [Some(7), None, None]);
    assert_eq!(unique("!\n!\n"), [None]);
}

#[test]
fn endless_rejections_are_cut_as_well() {
    let text = "!\n".repeat(MAX_REJECTED + 5) + "a\n";
    let cut = cut(&text, options(10, 1000));
    assert_eq!(cut.taken.chunks.len(), 2);
    assert_eq!(cut.taken.chunks[0].rejected, MAX_REJECTED as u64);
    assert_eq!(cut.bodies(), ["", "a\n"]);
}

#[test]
fn a_spool_left_by_a_dead_run_is_replaced() {
    let source = Arc::new(Text { text: Bytes::from("A\n"), header: vec!["A".to_owned()] });
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("chunk-000001.csv"), "something long and old").unwrap();
    let mut chunker = Chunker::new(options(5, 100), source.clone(), dir.path().to_owned());
    let mut taken = Taken::default();
    let batch = source.rows(None).unwrap().next_batch().unwrap().unwrap();
    chunker.push(&batch, &encode(&batch), &mut taken).unwrap();
    chunker.finish(&mut taken).unwrap();
    assert_eq!(std::fs::read(dir.path().join("chunk-000001.csv")).unwrap(), b"a\n");
}

#[test]
fn a_disk_that_refuses_names_the_file() {
    let source = Arc::new(Text { text: Bytes::from("A\n"), header: vec!["A".to_owned()] });
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("gone");
    let mut chunker = Chunker::new(options(5, 100), source.clone(), missing.clone());
    let batch = source.rows(None).unwrap().next_batch().unwrap().unwrap();
    let error = chunker.push(&batch, &encode(&batch), &mut Taken::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the spool file {} can't be written", missing.join("chunk-000001.csv").display())
    );
}

#[test]
fn a_batch_out_of_order_or_with_another_encoding_is_refused() {
    let source = Arc::new(Text { text: Bytes::from("a\nb\n"), header: vec!["A".to_owned()] });
    let batch = source.rows(None).unwrap().next_batch().unwrap().unwrap();
    let mut taken = Taken::default();
    let mut chunker = Chunker::dry(options(1, 100));
    let error = chunker.push(&batch, &EncodedBatch::default(), &mut taken).unwrap_err();
    assert!(matches!(error, ChunkError::Misplaced { row: RowNumber(1) }));
    let mut chunker = Chunker::dry(options(1, 100));
    chunker.push(&batch, &encode(&batch), &mut taken).unwrap();
    let error = chunker.push(&batch, &encode(&batch), &mut taken).unwrap_err();
    assert_eq!(error.to_string(), "the row batch that begins with row 1 is not the next one");
}

/// A group index of parcels of groups `(rows, bytes)`, for batches of 4 rows.
fn index(dir: &Path, parcels: &[&[(u64, u64)]]) -> GroupIndex {
    let path = dir.join("grouped.groups");
    let mut writer = GroupIndexWriter::create(&path, RowNumber(1), 4).unwrap();
    for groups in parcels {
        let mut parcel = Parcel::default();
        for &(rows, bytes) in *groups {
            parcel.push(GroupRun { rows, sent: rows, bytes, loose: false });
        }
        writer.push(&parcel).unwrap();
    }
    writer.finish().unwrap();
    GroupIndex::open(&path).unwrap()
}

/// The rows of the chunks that a text is cut into.
fn cut_in_groups(text: &str, options: ChunkerOptions, parcels: &[&[(u64, u64)]]) -> Vec<String> {
    let source =
        Arc::new(Text { text: Bytes::from(text.to_owned()), header: vec!["A".to_owned()] });
    let dir = tempfile::tempdir().unwrap();
    let index = index(dir.path(), parcels);
    let mut taken = Taken::default();
    let mut chunker = Chunker::new(options.clone(), source.clone(), dir.path().to_owned())
        .in_groups(index.clone());
    let mut rows = source.rows(None).unwrap();
    while let Some(batch) = rows.next_batch().unwrap() {
        chunker.push(&batch, &encode(&batch), &mut taken).unwrap();
    }
    chunker.finish(&mut taken).unwrap();
    let dry = Chunker::dry(options).in_groups(index);
    let found =
        rehearse_with(dry, &mut *source.rows(None).unwrap(), &mut |batch| Ok(encode(batch)))
            .unwrap();
    assert_eq!(found.jobs, taken.chunks.iter().filter(|c| !c.rows.is_empty()).count() as u64);
    taken.chunks.iter().map(|chunk| String::from(chunk.rows.clone())).collect()
}

#[test]
fn chunks_end_before_a_parcel_that_does_not_fit_or_would_begin_in_a_batch() {
    let text = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
    let cut = |rows, parcels: &[&[(u64, u64)]]| cut_in_groups(text, options(rows, 1000), parcels);
    let full: &[&[(u64, u64)]] = &[&[(3, 6), (1, 2)], &[(2, 4), (2, 4)], &[(2, 4)]];
    assert_eq!(cut(100, full), ["1-10"]);
    assert_eq!(cut(9, full), ["1-8", "9-10"], "the last one does not fit");
    assert_eq!(cut(8, full), ["1-8", "9-10"]);
    assert_eq!(cut(7, full), ["1-4", "5-10"]);
    assert_eq!(cut(5, full), ["1-4", "5-8", "9-10"]);
    let half: &[&[(u64, u64)]] = &[&[(3, 6)], &[(3, 6)], &[(4, 8)]];
    assert_eq!(cut(100, half), ["1-3", "4-6", "7-10"]);
    // A group larger than a chunk is cut where the chunk is full.
    assert_eq!(cut(4, &[&[(10, 20)]]), ["1-4", "5-8", "9-10"]);
    // Rows that the index doesn't know are cut as ever.
    assert_eq!(cut(100, &[&[(3, 6)]]), ["1-10"]);
}

#[test]
fn a_row_that_leaves_a_batch_short_ends_the_chunk_with_the_batch() {
    // The third row is rejected: the next parcel would begin in the batch.
    let text = "a\nb\n!\nd\ne\nf\ng\nh\ni\n";
    let parcels: &[&[(u64, u64)]] = &[&[(4, 8)], &[(4, 8)], &[(1, 2)]];
    assert_eq!(cut_in_groups(text, options(100, 1000), parcels), ["1-2,4-4", "5-9"]);
    // So does a row whose key an earlier one has.
    let text = "a\nb\na\nd\ne\nf\ng\nh\ni\n";
    for (policy, first) in [(Duplicates::First, "1-2,4-4"), (Duplicates::Last, "2-4")] {
        let options = with_keys(100, policy);
        assert_eq!(cut_in_groups(text, options, parcels), [first, "5-9"]);
    }
}

#[test]
fn a_group_that_grew_too_long_goes_to_the_next_chunk_whole() {
    // Capitals are rewritten; the index says a byte less than rows really have.
    let text = "A\nB\nC\nD\n";
    let parcels: &[&[(u64, u64)]] = &[&[(2, 2), (2, 2)]];
    // The header has 2 bytes, each row has 2: three of them fit.
    assert_eq!(cut_in_groups(text, options(100, 8), parcels), ["1-3", "4-4"]);
    let parcels: &[&[(u64, u64)]] = &[&[(2, 3), (2, 3)]];
    assert_eq!(cut_in_groups(text, options(100, 8), parcels), ["1-2", "3-4"]);
}

#[test]
fn rows_of_a_derived_source_are_told_by_their_numbers_in_the_original() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("grouped.rows");
    let mut writer = RowMapWriter::create(&path).unwrap();
    for row in [40, 30, 20, 10] {
        writer.push(RowNumber(row)).unwrap();
    }
    writer.finish().unwrap();
    let map = Arc::new(RowMap::open(&path).unwrap());
    let source = Arc::new(Text { text: Bytes::from("a\nb\na\n!\n"), header: vec![] });
    let mut taken = Taken::default();
    let mut chunker = Chunker::dry(with_keys(10, Duplicates::First)).told_by(map);
    let mut rows = source.rows(None).unwrap();
    while let Some(batch) = rows.next_batch().unwrap() {
        chunker.push(&batch, &encode(&batch), &mut taken).unwrap();
    }
    chunker.finish(&mut taken).unwrap();
    assert_eq!(
        taken.rejected[&1],
        [
            (3, "`A`, column 1: row 40 has the same key".to_owned()),
            (4, "2 cells where the header has 1".to_owned())
        ]
    );
    let example = taken.chunks[0].duplicate_example;
    assert_eq!(example, Some((RowNumber(20), RowNumber(40))));
}
