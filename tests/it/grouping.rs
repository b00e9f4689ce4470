//! Rows of one parent together: for any source, any limits and any memory, a
//! derived source has every record once, byte for byte, and the jobs cut from
//! it have the rows of a parent side by side, in one batch where they fit.
//!
//! The judge knows every row's parent because it wrote it; it looks at the
//! chunks, not at the group index.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bulkhaul::chunker::{
    Body, ChunkSink, ChunkSizing, Chunker, ChunkerOptions, Duplicates, PlannedChunk, open_rows,
    rehearse_with,
};
use bulkhaul::domain::{
    Fate, LineEnding, ObjectDescription, Operation, RowNumber, RowOutcome, RowPlace, ValueKind,
};
use bulkhaul::grouper::{
    Derived, GroupOptions, GroupSurvey, JobCount, KeyColumn, Keyed, RowKey, index_in_place,
    regroup, survey,
};
use bulkhaul::reader::{CsvOptions, CsvSource, open_csv};
use bulkhaul::reconciler::{OutcomeWriter, ResultFiles, SourceOrder};
use bulkhaul::rows::{GroupIndex, RawBatch, SourceRows, Stretch};
use bulkhaul::transformer::{EmptyMeans, LoadSpec, Plan, compile};
use proptest::prelude::*;

const HEADER: [&str; 4] = ["Name", "Parent__c", "Active__c", "Note__c"];

fn object() -> ObjectDescription {
    let field = |name: &str, kind: &str| {
        serde_json::json!({
            "name": name, "type": kind, "nillable": true, "createable": true, "updateable": true,
        })
    };
    serde_json::from_value(serde_json::json!({
        "name": "Thing__c", "createable": true, "updateable": true, "deletable": true,
        "fields": [
            field("Name", "string"),
            field("Parent__c", "string"),
            field("Active__c", "boolean"),
            field("Note__c", "textarea"),
        ],
    }))
    .unwrap()
}

fn plan(source: &dyn SourceRows) -> Plan {
    let object = object();
    let spec = LoadSpec {
        operation: Operation::Insert,
        object: &object,
        external_id: None,
        user_keys: &["Name".to_owned()],
        currency: None,
        renames: &[],
        empty: EmptyMeans::Skip,
        mapping: None,
    };
    compile(&spec, source.header(), source.dialect(), &mut |_| None).unwrap()
}

/// A row as it stands, and what the judge knows of it.
#[derive(Debug, Clone)]
struct Row {
    cells: Vec<String>,
    parent: Option<String>,
    rejected: bool,
}

fn row() -> impl Strategy<Value = Row> {
    let parent = prop::sample::select(vec![
        "", "#N/A", "a", "A", " a ", "\"a\"", "b", "b", "b", "b", "c", "d", "e", "ÄÖ", "äö", "f",
    ]);
    let active = prop::sample::select(vec![
        "true", "true", "true", "true", "false", "false", "", "yes", "perhaps",
    ]);
    let note = prop_oneof![
        4 => "[a-zé;/ ]{0,8}",
        1 => "[a-z,;\"\r\n]{0,8}"
            .prop_map(|text| format!("\"{}\"", text.replace('"', "\"\""))),
        1 => Just("5\" pipe".to_owned()),
    ];
    ("[a-z]{1,3}", parent, active, note, 0usize..12).prop_map(
        |(name, parent, active, note, broken)| {
            let folded = parent.replace('"', "").trim().to_lowercase();
            let mut row = Row {
                cells: vec![name, parent.to_owned(), active.to_owned(), note],
                parent: Some(folded).filter(|parent| !parent.is_empty() && parent != "#n/a"),
                rejected: active == "perhaps",
            };
            if broken == 0 {
                row.cells.pop();
                row.rejected = true;
            }
            row
        },
    )
}

#[derive(Debug, Clone)]
struct Case {
    rows: Vec<(Row, bool, usize)>,
    has_last_line_end: bool,
    line_ending: LineEnding,
    delimiter: u8,
    batch_rows: u64,
    chunk_rows: u64,
    chunk_bytes: u64,
    memory: usize,
    fan_in: usize,
    block: usize,
}

/// So large that no limit of bytes is ever felt.
const NO_LIMIT: u64 = 1_000_000;

fn case() -> impl Strategy<Value = Case> {
    let rows = prop::collection::vec((row(), prop::bool::weighted(0.05), 0usize..30), 0..60);
    let line_ending = prop::sample::select(vec![LineEnding::Lf, LineEnding::Crlf]);
    let bytes = prop_oneof![2 => Just(NO_LIMIT), 1 => 80u64..600];
    // From memory for everything down to a run a batch.
    let memory = prop::sample::select(vec![1usize, 600, 2000, 8000, 1 << 20]);
    let sizes = (1u64..9, 1u64..40, bytes, 1usize..200);
    (rows, any::<[bool; 4]>(), line_ending, sizes, memory, 2usize..5).prop_map(
        |(mut rows, flags, line_ending, sizes, memory, fan_in)| {
            let [has_last_line_end, comma, sorted, loose] = flags;
            if sorted {
                rows.sort_by(|one, other| one.0.parent.cmp(&other.0.parent));
            }
            if !loose {
                // Few rows to fill up with.
                rows.retain(|(row, _, other)| row.parent.is_some() || *other < 5);
            }
            Case {
                rows,
                has_last_line_end,
                line_ending,
                delimiter: if comma { b',' } else { b';' },
                batch_rows: sizes.0,
                chunk_rows: sizes.1,
                chunk_bytes: sizes.2,
                memory,
                fan_in,
                block: sizes.3,
            }
        },
    )
}

/// A source written down, and the text of each of its records.
struct Source {
    dir: tempfile::TempDir,
    csv: Arc<CsvSource>,
    header: Vec<u8>,
    records: Vec<Vec<u8>>,
    plan: Plan,
}

impl Case {
    fn write(&self) -> Source {
        let delimiter = char::from(self.delimiter).to_string();
        let own = self.line_ending.bytes();
        let other = match self.line_ending {
            LineEnding::Lf => LineEnding::Crlf.bytes(),
            LineEnding::Crlf => LineEnding::Lf.bytes(),
        };
        let mut header = HEADER.join(&delimiter).into_bytes();
        header.extend_from_slice(own);
        let mut text = header.clone();
        let mut records = Vec::new();
        for (at, (row, ends_otherwise, blank)) in self.rows.iter().enumerate() {
            let is_last = at + 1 == self.rows.len();
            let mut record = Vec::new();
            for (column, cell) in row.cells.iter().enumerate() {
                if column > 0 {
                    record.push(self.delimiter);
                }
                if cell.contains(char::from(self.delimiter)) && !cell.starts_with('"') {
                    record.extend(format!("\"{}\"", cell.replace('"', "\"\"")).into_bytes());
                } else {
                    record.extend_from_slice(cell.as_bytes());
                }
            }
            let line_end = if *ends_otherwise { other } else { own };
            if is_last && !self.has_last_line_end {
                text.extend_from_slice(&record);
                record.extend_from_slice(own);
            } else {
                record.extend_from_slice(line_end);
                text.extend_from_slice(&record);
            }
            records.push(record);
            if *blank == 0 && !is_last {
                text.extend_from_slice(own);
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("source.csv");
        std::fs::write(&path, text).unwrap();
        let csv = Arc::new(open_csv(&path, &self.csv_options()).unwrap());
        let plan = plan(&*csv);
        Source { dir, csv, header, records, plan }
    }

    fn csv_options(&self) -> CsvOptions {
        CsvOptions {
            delimiter: Some(self.delimiter),
            block_bytes: self.block,
            ..CsvOptions::default()
        }
    }

    fn group_options(&self, header: &[u8]) -> GroupOptions {
        GroupOptions {
            batch_rows: self.batch_rows,
            memory: self.memory,
            fan_in: self.fan_in,
            ..GroupOptions::new(self.chunk_rows, self.chunk_bytes, header.len() as u64)
        }
    }
}

fn go_on<T>(_: T) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

impl Source {
    fn keys(&self) -> impl FnMut(&RawBatch) -> Vec<RowKey> + '_ {
        let column = KeyColumn {
            column: 1,
            kind: ValueKind::Text { case_sensitive: false },
            dialect: self.csv.dialect(),
        };
        move |batch| column.keys(batch, Some(&self.plan.apply(batch)))
    }

    fn survey(&self, options: &GroupOptions) -> GroupSurvey {
        let mut rows = self.csv.rows(None).unwrap();
        survey(Keyed { rows: &mut *rows, keys: &mut self.keys() }, options, &mut go_on).unwrap()
    }

    fn regroup(&self, options: &GroupOptions) -> Derived {
        let mut header = Vec::new();
        self.csv.bytes(0, self.csv.data_start()).unwrap().read_to_end(&mut header).unwrap();
        let mut rows = self.csv.rows(None).unwrap();
        let from = Keyed { rows: &mut *rows, keys: &mut self.keys() };
        let line_ending = self.csv.dialect().line_ending;
        regroup(&header, line_ending, from, options, self.dir.path(), &mut go_on).unwrap()
    }
}

#[derive(Default)]
struct Taken {
    chunks: Vec<PlannedChunk>,
    rejected: BTreeMap<u64, RowOutcome>,
}

impl ChunkSink for Taken {
    fn rejected(&mut self, _chunk: u64, outcome: RowOutcome) -> io::Result<()> {
        assert!(self.rejected.insert(outcome.row.0, outcome).is_none(), "rejected twice");
        Ok(())
    }

    fn planned(&mut self, chunk: PlannedChunk) -> io::Result<()> {
        self.chunks.push(chunk);
        Ok(())
    }
}

impl Taken {
    fn jobs(&self, batch_rows: u64) -> JobCount {
        let rows = self.chunks.iter().map(|chunk| chunk.rows.len()).filter(|rows| *rows > 0);
        rows.fold(JobCount::default(), |count, rows| JobCount {
            jobs: count.jobs + 1,
            batches: count.batches + rows.div_ceil(batch_rows),
        })
    }
}

fn chunker_options(plan: &Plan, case: &Case) -> ChunkerOptions {
    ChunkerOptions {
        header_line: plan.header_line(),
        line_ending: plan.line_ending,
        sizing: ChunkSizing { rows: case.chunk_rows, max_bytes: case.chunk_bytes },
        duplicates: Duplicates::Keep,
        key_column: None,
        text_columns: Vec::new(),
        columns: plan.column_names(),
        first_number: 1,
        first_rows: None,
    }
}

fn chunked(
    source: &Arc<CsvSource>,
    plan: &Plan,
    case: &Case,
    index: &GroupIndex,
    from: Option<Stretch>,
    spools: &Path,
) -> Taken {
    let options = chunker_options(plan, case);
    let mut taken = Taken::default();
    let mut chunker =
        Chunker::new(options, source.clone(), spools.to_owned()).in_groups(index.clone());
    let mut rows = source.rows(from).unwrap();
    while let Some(batch) = rows.next_batch().unwrap() {
        chunker.push(&batch, &plan.apply(&batch), &mut taken).unwrap();
    }
    chunker.finish(&mut taken).unwrap();
    taken
}

/// A place in the load: chunk, and row in its job.
type Place = (usize, u64);

/// Judges the jobs made of `source`, whose row `n` is row `row_of(n)` of the
/// case.
fn judge(
    case: &Case,
    source: &Source,
    rows: &Arc<CsvSource>,
    index: &GroupIndex,
    jobs: JobCount,
    row_of: &dyn Fn(u64) -> u64,
) {
    let spools = source.dir.path().join("spool");
    let _ = std::fs::create_dir(&spools);
    let taken = chunked(rows, &source.plan, case, index, None, &spools);
    let mut sent = Vec::new();
    let mut places: BTreeMap<u64, Place> = BTreeMap::new();
    for (at, chunk) in taken.chunks.iter().enumerate() {
        for (place, position) in chunk.rows.iter().enumerate() {
            places.insert(row_of(position.0), (at, place as u64));
            sent.push(row_of(position.0));
        }
        assert!(chunk.rows.len() <= case.chunk_rows);
    }
    let known: BTreeSet<u64> = taken
        .rejected
        .keys()
        .map(|position| row_of(*position))
        .chain(sent.iter().copied())
        .collect();
    let all = 1..=case.rows.len() as u64;
    assert_eq!(known, all.collect::<BTreeSet<u64>>(), "every row is sent or rejected");

    // Rows that the encoding made longer or shorter shift what fits.
    let raw: usize = sent.iter().map(|row| source.records[*row as usize - 1].len()).sum();
    let encoded: u64 = taken
        .chunks
        .iter()
        .map(|chunk| {
            let mut text = Vec::new();
            open_rows(&chunk.body, chunk.add_line_end, &**rows, &spools)
                .unwrap()
                .read_to_end(&mut text)
                .unwrap();
            text.len() as u64
        })
        .sum();
    let is_exact = case.chunk_bytes == NO_LIMIT || raw as u64 == encoded;

    let mut groups: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (at, (row, ..)) in case.rows.iter().enumerate() {
        if let (Some(parent), false) = (&row.parent, row.rejected) {
            groups.entry(parent).or_default().push(at as u64 + 1);
        }
    }
    let header = source.plan.header_line().len();
    for (parent, members) in groups {
        let bytes: usize = members.iter().map(|row| source.records[*row as usize - 1].len()).sum();
        let rows = members.len() as u64;
        let spots: Vec<Place> = members.iter().filter_map(|row| places.get(row)).copied().collect();
        let (Some(first), Some(last)) = (spots.first(), spots.last()) else { continue };
        assert!(spots.is_sorted(), "{parent}: rows of a parent keep their order");
        for pair in spots.windows(2) {
            let adjacent = pair[0].0 == pair[1].0 && pair[0].1 + 1 == pair[1].1
                || pair[0].0 + 1 == pair[1].0 && pair[1].1 == 0;
            assert!(adjacent, "{parent}: {spots:?}");
        }
        if !is_exact || rows > case.chunk_rows || (bytes + header) as u64 > case.chunk_bytes {
            continue;
        }
        assert_eq!(first.0, last.0, "{parent}: in two chunks");
        if rows <= case.batch_rows {
            let batch = |place: &Place| place.1 / case.batch_rows;
            assert_eq!(batch(first), batch(last), "{parent}: in two batches, {spots:?}");
        } else {
            assert_eq!(first.1 % case.batch_rows, 0, "{parent}: not from a batch's start");
        }
    }

    // The forecasts: of the grouper, and of a dry run.
    let found = taken.jobs(case.batch_rows);
    if case.chunk_bytes == NO_LIMIT {
        assert_eq!(found, jobs);
    }
    let options = chunker_options(&source.plan, case);
    let rehearsal = rehearse_with(
        Chunker::dry(options).in_groups(index.clone()),
        &mut *rows.rows(None).unwrap(),
        &mut |batch| Ok(source.plan.apply(batch)),
    )
    .unwrap();
    assert_eq!((rehearsal.jobs, rehearsal.sent), (found.jobs, sent.len() as u64));

    // A run that goes on in the middle cuts as it would have.
    if let Some(chunk) = taken.chunks.get(taken.chunks.len() / 2).filter(|_| is_exact) {
        let rest = Stretch { end: rows.identity().bytes, ..chunk.stretch };
        let resumed = chunked(rows, &source.plan, case, index, Some(rest), &spools);
        let stretches = |chunks: &[PlannedChunk]| -> Vec<Stretch> {
            chunks.iter().map(|chunk| chunk.stretch).collect()
        };
        let whole = stretches(&taken.chunks);
        assert_eq!(stretches(&resumed.chunks), whole[taken.chunks.len() / 2..]);
    }
}

fn check(case: &Case) {
    let source = case.write();
    let header = source.plan.header_line();
    let options = case.group_options(&header);
    let surveyed = source.survey(&options);
    let derived = source.regroup(&options);

    // Every record once, byte for byte.
    let text = std::fs::read(&derived.path).unwrap();
    let mut expected = source.header.clone();
    let count = case.rows.len() as u64;
    assert_eq!((derived.map.len(), derived.index.rows()), (count, count));
    let map: Vec<u64> =
        derived.map.rows(RowNumber(1), count).unwrap().map(|row| row.unwrap().0).collect();
    for row in &map {
        expected.extend_from_slice(&source.records[*row as usize - 1]);
    }
    assert_eq!(text, expected);
    assert_eq!(map.iter().collect::<BTreeSet<_>>().len(), map.len());
    assert_eq!(derived.map.is_ascending(), map.is_sorted());
    let rejected = |row: &u64| case.rows[*row as usize - 1].0.rejected;
    assert!(map.iter().map(rejected).is_sorted(), "rejected rows stand at the end");
    assert!(!source.dir.path().join("grouping").exists());

    let grouped = Arc::new(open_csv(&derived.path, &case.csv_options()).unwrap());
    assert_eq!(grouped.dialect(), source.csv.dialect());
    judge(case, &source, &grouped, &derived.index, derived.jobs, &|at| map[at as usize - 1]);

    // What was counted.
    let mut sizes: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for (at, (row, ..)) in case.rows.iter().enumerate().filter(|(_, (row, ..))| !row.rejected) {
        let parent = row.parent.as_deref();
        if let Some(parent) = parent {
            sizes.entry(parent).or_insert((0, at as u64 + 1)).0 += 1;
        }
        order.push(parent.unwrap_or_default());
    }
    order.dedup();
    order.retain(|parent| !parent.is_empty());
    let mut largest: Vec<(u64, u64)> = sizes.values().copied().collect();
    largest.sort_by_key(|&(rows, first)| (std::cmp::Reverse(rows), first));
    // As many as are told.
    let told = 10;
    let oversized = largest.iter().filter(|(rows, _)| *rows > case.batch_rows).count() as u64;
    largest.truncate(told);
    let found: Vec<(u64, u64)> =
        derived.largest.iter().map(|size| (size.rows, size.first_row.0)).collect();
    assert_eq!((derived.distinct, derived.oversized), (sizes.len() as u64, oversized));
    assert_eq!(found, largest);
    assert_eq!(surveyed.rows, count);
    if surveyed.is_exact {
        let found: Vec<(u64, u64)> =
            surveyed.largest.iter().map(|size| (size.rows, size.first_row.0)).collect();
        assert_eq!(found, largest);
        assert_eq!(surveyed.ordered, order.len() == sizes.len());
        assert_eq!(surveyed.distinct, sizes.len() as u64);
    }

    // In place, where the source allows it.
    if surveyed.ordered {
        let mut rows = source.csv.rows(None).unwrap();
        let from = Keyed { rows: &mut *rows, keys: &mut source.keys() };
        let dir = source.dir.path();
        let indexed = index_in_place(from, &options, dir, &mut go_on).unwrap();
        assert_eq!(Some(indexed.jobs), surveyed.in_place);
        assert_eq!(indexed.index.rows(), count);
        judge(case, &source, &source.csv, &indexed.index, indexed.jobs, &|at| at);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rows_of_a_parent_stay_together_and_none_is_lost(case in case()) {
        check(&case);
    }
}

/// A source of rows `parent,rows`, one after the other or dealt out in turn.
fn plain(groups: &[(&str, u64)], dealt: bool) -> Vec<(Row, bool, usize)> {
    let mut rows = Vec::new();
    for &(parent, count) in groups {
        for at in 0..count {
            let row = Row {
                cells: vec![format!("n{at}"), parent.to_owned(), "true".to_owned(), String::new()],
                parent: (!parent.is_empty()).then(|| parent.to_owned()),
                rejected: false,
            };
            rows.push((at, row));
        }
    }
    if dealt {
        rows.sort_by_key(|(at, _)| *at);
    }
    rows.into_iter().map(|(_, row)| (row, false, 1)).collect()
}

fn plain_case(groups: &[(&str, u64)], batch_rows: u64, chunk_rows: u64) -> Case {
    Case {
        rows: plain(groups, true),
        has_last_line_end: false,
        line_ending: LineEnding::Lf,
        delimiter: b',',
        batch_rows,
        chunk_rows,
        chunk_bytes: NO_LIMIT,
        memory: 1 << 20,
        fan_in: 4,
        block: 100,
    }
}

#[test]
fn sources_at_the_edge_are_grouped_too() {
    for groups in [
        [].as_slice(),
        &[("a", 1)],
        &[("", 1)],
        &[("", 50)],
        &[("a", 50)],
        &[("a", 50), ("", 7), ("b", 3)],
        &[("a", 3), ("b", 3), ("c", 3), ("d", 3), ("e", 2), ("", 1)],
    ] {
        for memory in [1, 1 << 20] {
            check(&Case { memory, ..plain_case(groups, 4, 20) });
        }
    }
}

#[test]
fn what_a_batch_has_left_is_filled_with_what_fits() {
    // 40 rows in groups of 3, 2 and 1 and without parent: ten batches of 4
    // take them, none of them left half empty.
    let groups: Vec<(String, u64)> =
        (0..12).map(|at| (format!("p{at}"), at % 3 + 1)).chain([(String::new(), 16)]).collect();
    let groups: Vec<(&str, u64)> =
        groups.iter().map(|(name, rows)| (name.as_str(), *rows)).collect();
    let case = plain_case(&groups, 4, 40);
    check(&case);
    let source = case.write();
    let derived = source.regroup(&case.group_options(b""));
    assert_eq!(derived.jobs, JobCount { jobs: 1, batches: 10 });
}

#[test]
fn a_last_row_that_ends_in_a_carriage_return_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("source.csv");
    std::fs::write(&path, "Name,Parent__c,Active__c,Note__c\nx,b,true,1\ny,a,true,2\r\r").unwrap();
    let csv = Arc::new(open_csv(&path, &CsvOptions::default()).unwrap());
    let plan = plan(&*csv);
    let source = Source { dir, csv, header: Vec::new(), records: Vec::new(), plan };
    let derived = source.regroup(&GroupOptions::new(10, 1000, 0));
    let text = std::fs::read_to_string(derived.path).unwrap();
    assert!(text.contains("y,a,true,2\r\r\n"), "{text:?}");
}

/// The result files of a load in groups: in the order of the source, whatever
/// the order of the rows in the jobs.
#[test]
fn result_files_stay_in_source_order() {
    let mut case = plain_case(&[("a", 70), ("b", 9), ("c", 1), ("", 20), ("d", 31)], 10, 50);
    for (row, ..) in case.rows.iter_mut().skip(3).step_by(17) {
        row.rejected = true;
        row.cells.pop();
    }
    let source = case.write();
    let derived = source.regroup(&case.group_options(&source.plan.header_line()));
    let grouped = Arc::new(open_csv(&derived.path, &case.csv_options()).unwrap());
    let folder = source.dir.path();
    let map = Arc::new(derived.map);
    let taken = chunked(&grouped, &source.plan, &case, &derived.index, None, folder);
    assert!(taken.chunks.len() > 3);
    // The rejected rows make no job, and spoil no span.
    let last = taken.chunks.last().unwrap();
    assert_eq!((&last.body, last.rejected), (&Body::None, 8));
    assert!(taken.chunks.iter().all(|chunk| !matches!(chunk.body, Body::Spool { .. })));

    let mut order =
        SourceOrder::create(Arc::clone(&map), &folder.join("order")).unwrap().within(2000, 2);
    for chunk in taken.chunks.iter().rev() {
        let path = folder.join(format!("{}.outcomes", chunk.number));
        let mut writer = OutcomeWriter::create(&path, chunk.number).unwrap();
        for position in chunk.stretch.first_row.0..=chunk.last_row.0 {
            let outcome = taken.rejected.get(&position).cloned().unwrap_or(RowOutcome {
                row: RowNumber(position),
                fate: Fate::Created,
                tier: None,
                attempts: 1,
                id: Some("0017Q00000AbCdeQAF".parse().unwrap()),
                error: None,
            });
            writer.push(&outcome).unwrap();
        }
        writer.finish().unwrap();
        let mut outcomes = bulkhaul::reconciler::MergedOutcomes::open([path]).unwrap();
        order.push(&mut outcomes).unwrap();
    }
    let mut files = ResultFiles::create(folder, source.csv.header(), &|_| None).unwrap();
    let whole = Stretch {
        start: source.csv.data_start(),
        end: source.csv.identity().bytes,
        first_row: RowNumber(1),
    };
    let appended = files
        .append(
            &["source.csv".to_owned()],
            &*source.csv,
            whole,
            &mut order.finish().unwrap(),
            &RowPlace::of_one_file,
        )
        .unwrap();
    assert_eq!((appended.missing, appended.tally.read), (0, 131));
    files.finish().unwrap();

    let mut seen = BTreeSet::new();
    for (name, rejected) in [("success.csv", false), ("rejected.csv", true)] {
        let mut reader = csv::Reader::from_path(folder.join(name)).unwrap();
        let columns = reader.headers().unwrap().clone();
        let at = |name: &str| columns.iter().position(|column| column == name).unwrap();
        let (number, name, parent) = (at("bulkhaul__Row"), at("Name"), at("Parent__c"));
        let mut last = 0;
        for record in reader.records() {
            let record = record.unwrap();
            let row: u64 = record[number].parse().unwrap();
            assert!(row > last, "in source order");
            last = row;
            let (written, ..) = &case.rows[row as usize - 1];
            assert_eq!((&record[name], &record[parent]), (&*written.cells[0], &*written.cells[1]));
            assert_eq!(written.rejected, rejected);
            seen.insert(row);
        }
    }
    assert_eq!(seen.len(), 131);
}
