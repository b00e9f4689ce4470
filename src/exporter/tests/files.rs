//! A page to files of each kind, read back.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float64Type, Int32Type, Time32MillisecondType,
    TimestampMillisecondType,
};
use arrow_array::{Array as _, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use tempfile::TempDir;

use super::field;
use crate::domain::FieldType;
use crate::exporter::column::{Column, Numbers, TypeOptions};
use crate::exporter::manifest::{Manifest, ManifestObject, ManifestOrg};
use crate::exporter::output::{FileFacts, Format, Output, OutputOptions, Packing, Unfit};
use crate::exporter::page::{Page, count_lines};
use crate::exporter::parse::Parser;
use crate::exporter::{ExportError, Wrong, verify};
use crate::rows::RawBatch;

/// Ids, and a text with all that is awkward in it.
const PAGE: &str = "\"Id\",\"Name\",\"Active\",\"Count\",\"Amount\",\"Born\",\"At\",\"Opens\",\"Tags\"\n\
    \"0017Q000001AbCdQAK\",\"a, \"\"b\"\"\nline \u{1F600}\u{0}\",\"true\",\"42\",\"1.0E7\",\"1899-12-31\",\"2300-01-01T00:00:00.001Z\",\"09:30:00.000Z\",\"x;y\"\n\
    \"0017Q000001AbCeQAK\",\"\",\"false\",\"\",\"\",\"\",\"\",\"\",\"\"\n\
    \"0017Q000001AbCfQAK\",\"plain\",\"false\",\"-1\",\"12.345\",\"2024-02-29\",\"1969-12-31T23:59:59.999Z\",\"00:00:00.000Z\",\"z\"\n";

fn columns(options: TypeOptions) -> Vec<Column> {
    [
        ("Id", FieldType::Id, 0, 0),
        ("Name", FieldType::String, 0, 0),
        ("Active", FieldType::Boolean, 0, 0),
        ("Count", FieldType::Int, 0, 0),
        ("Amount", FieldType::Currency, 10, 2),
        ("Born", FieldType::Date, 0, 0),
        ("At", FieldType::DateTime, 0, 0),
        ("Opens", FieldType::Time, 0, 0),
        ("Tags", FieldType::MultiPicklist, 0, 0),
    ]
    .into_iter()
    .map(|(name, kind, precision, scale)| {
        Column::new(name, Some(field(name, kind, precision, scale)), options)
    })
    .collect()
}

fn blocks(folder: &Path, text: &str) -> Vec<RawBatch> {
    let path = folder.join("page.csv");
    std::fs::write(&path, text).unwrap();
    let mut page = Page::open(&path).unwrap();
    std::iter::from_fn(|| page.next_block().unwrap()).collect()
}

/// Writes the page as a file in `<folder>/Account`.
fn write(folder: &Path, types: TypeOptions, options: OutputOptions) -> (FileFacts, Vec<Unfit>) {
    let archive = folder.join("archive");
    std::fs::create_dir_all(archive.join("Account")).unwrap();
    let about = HashMap::from([("soql".to_owned(), "SELECT Id FROM Account".to_owned())]);
    let parser = Parser::new(columns(types), about, options.format, None).unwrap();
    let mut output = Output::new(&archive, "Account", "part", parser, options, 1);
    let mut parsed = output.parser().parse(&blocks(folder, PAGE)).unwrap();
    let unfit = std::mem::take(&mut parsed.unfit);
    output.write(parsed).unwrap();
    let facts = output.finish_files().unwrap().pop().unwrap();
    assert!(!archive.join(format!("{}.incomplete", facts.path)).exists());
    (facts, unfit)
}

fn read(folder: &TempDir, facts: &FileFacts) -> RecordBatch {
    let file = File::open(folder.path().join("archive").join(&facts.path)).unwrap();
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batch = reader.next().unwrap().unwrap();
    assert!(reader.next().is_none());
    batch
}

#[test]
fn a_page_becomes_typed_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let types = TypeOptions { lists: true, ..TypeOptions::default() };
    let options = OutputOptions { bloom_on_id: true, ..OutputOptions::default() };
    let (facts, unfit) = write(folder.path(), types, options);
    assert_eq!((facts.path.as_str(), facts.rows), ("Account/part-00001.parquet", 3));
    assert!(unfit.is_empty());
    let (least, greatest) = facts.marks.ids.clone().unwrap();
    assert_eq!((least.as_str(), greatest.as_str()), ("0017Q000001AbCdQAK", "0017Q000001AbCfQAK"));

    let batch = read(&folder, &facts);
    let names = batch.column(1).as_string::<i32>();
    assert_eq!(names.value(0), "a, \"b\"\nline \u{1F600}\u{0}");
    assert!(names.is_null(1), "an empty cell is null");
    assert_eq!(
        batch.column(2).as_boolean().iter().flatten().collect::<Vec<_>>(),
        [true, false, false]
    );
    let counts: Vec<_> = batch.column(3).as_primitive::<Int32Type>().iter().collect();
    assert_eq!(counts, [Some(42), None, Some(-1)]);
    let amounts: Vec<_> = batch.column(4).as_primitive::<Float64Type>().iter().collect();
    assert_eq!(amounts, [Some(1.0e7), None, Some(12.345)]);
    let born: Vec<_> = batch.column(5).as_primitive::<Date32Type>().iter().collect();
    assert_eq!(born, [Some(-25_568), None, Some(19_782)]);
    let at = batch.column(6).as_primitive::<TimestampMillisecondType>();
    assert_eq!(at.iter().collect::<Vec<_>>(), [Some(10_413_792_000_001), None, Some(-1)]);
    assert_eq!(at.timezone(), Some("UTC"));
    let opens: Vec<_> = batch.column(7).as_primitive::<Time32MillisecondType>().iter().collect();
    assert_eq!(opens, [Some(34_200_000), None, Some(0)]);
    let tags = batch.column(8).as_list::<i32>();
    assert_eq!(tags.value(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["x", "y"]);
    assert!(tags.is_null(1));

    let schema = batch.schema();
    let about = schema.field(4).metadata();
    assert_eq!(about["salesforce.type"], "currency");
    assert_eq!(about["salesforce.label"], "Amount label");

    let file = File::open(folder.path().join("archive").join(&facts.path)).unwrap();
    let metadata = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().metadata().clone();
    let said = metadata.file_metadata().key_value_metadata().unwrap();
    let soql = said.iter().find(|said| said.key == "soql").unwrap();
    assert_eq!(soql.value.as_deref(), Some("SELECT Id FROM Account"));
    let group = metadata.row_group(0);
    assert!(
        group.column(0).bloom_filter_offset().is_some()
            && group.column(1).bloom_filter_offset().is_none()
    );
    assert!(
        group.column(0).statistics().is_some() && group.column(0).column_index_offset().is_some()
    );
}

#[test]
fn what_does_not_fit_a_decimal_is_null_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let types = TypeOptions { numbers: Numbers::Decimal, ..TypeOptions::default() };
    let (facts, unfit) = write(folder.path(), types, OutputOptions::default());
    let batch = read(&folder, &facts);
    let amounts = batch.column(4).as_primitive::<Decimal128Type>();
    assert_eq!(amounts.iter().collect::<Vec<_>>(), [Some(1_000_000_000), None, None]);
    let [unfit] = unfit.as_slice() else { panic!("{unfit:?}") };
    assert_eq!((unfit.id.as_str(), unfit.column.as_str()), ("0017Q000001AbCfQAK", "Amount"));
    assert_eq!((unfit.fault.wrong, unfit.fault.text.as_str()), (Wrong::Fit, "12.345"));
}

#[test]
fn everything_can_stay_text() {
    let folder = tempfile::tempdir().unwrap();
    let types = TypeOptions { as_text: true, ..TypeOptions::default() };
    let (facts, _) = write(folder.path(), types, OutputOptions::default());
    assert_eq!(read(&folder, &facts).column(4).as_string::<i32>().value(0), "1.0E7");
}

#[test]
fn text_files_hold_the_same_values() {
    for (packing, extension) in
        [(Packing::None, ""), (Packing::Gzip, ".gz"), (Packing::Zstd, ".zst")]
    {
        let folder = tempfile::tempdir().unwrap();
        let types = TypeOptions { lists: true, ..TypeOptions::default() };
        let text = |facts: &FileFacts| {
            let file = File::open(folder.path().join("archive").join(&facts.path)).unwrap();
            let mut text = String::new();
            let mut read: Box<dyn std::io::Read> = match packing {
                Packing::None => Box::new(file),
                Packing::Gzip => Box::new(flate2::read::GzDecoder::new(file)),
                Packing::Zstd => Box::new(zstd::Decoder::new(file).unwrap()),
            };
            read.read_to_string(&mut text).unwrap();
            text
        };
        let options = OutputOptions { format: Format::Csv, packing, ..OutputOptions::default() };
        let (facts, _) = write(folder.path(), types, options);
        assert_eq!(facts.path, format!("Account/part-00001.csv{extension}"));
        let csv = text(&facts);
        assert!(csv.starts_with("Id,Name,Active,"), "{csv}");
        assert!(csv.contains("\"a, \"\"b\"\"\nline \u{1F600}\u{0}\",true,42,1.0E7,"), "{csv}");

        let options = OutputOptions { format: Format::Jsonl, packing, ..OutputOptions::default() };
        let (facts, _) = write(folder.path(), types, options);
        let lines: Vec<serde_json::Value> =
            text(&facts).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["Amount"], serde_json::json!(10_000_000));
        assert_eq!(lines[0]["Tags"], serde_json::json!(["x", "y"]));
        assert_eq!(lines[0]["Active"], serde_json::json!(true));
        assert_eq!(lines[1]["Name"], serde_json::Value::Null);
        assert_eq!(lines[2]["Amount"], serde_json::json!(12.345));
    }
}

#[test]
fn row_groups_and_files_are_of_a_size() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    std::fs::create_dir_all(archive.join("Account")).unwrap();
    let mut text = "\"Id\",\"Name\"\n".to_owned();
    for number in 0..50_000 {
        let name = xxhash_rust::xxh3::xxh3_128(&u32::to_le_bytes(number));
        writeln!(text, "\"{number:018}\",\"{name:x}\"").unwrap();
    }
    let columns: Vec<Column> = ["Id", "Name"]
        .map(|name| {
            Column::new(name, Some(field(name, FieldType::String, 0, 0)), TypeOptions::default())
        })
        .into();
    let options =
        OutputOptions { group_rows: 10_000, file_bytes: 300 << 10, ..OutputOptions::default() };
    let parser = Parser::new(columns, HashMap::new(), options.format, None).unwrap();
    let mut output = Output::new(&archive, "Account", "part", parser, options, 7);
    let mut files = Vec::new();
    for block in blocks(folder.path(), &text) {
        output.write(output.parser().parse(&[block]).unwrap()).unwrap();
        if output.is_full() {
            files.extend(output.finish_files().unwrap());
        }
    }
    files.extend(output.finish_files().unwrap());
    assert!(files.len() > 1, "{}", files.len());
    assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 50_000);
    assert_eq!(files[0].path, "Account/part-00007.parquet");
    let first = File::open(archive.join(&files[0].path)).unwrap();
    let metadata = ParquetRecordBatchReaderBuilder::try_new(first).unwrap().metadata().clone();
    assert!(metadata.num_row_groups() >= 1);
}

#[test]
fn a_damaged_page_is_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let open = |text: &[u8]| {
        let path = folder.path().join("page.csv");
        std::fs::write(&path, text).unwrap();
        let mut page = Page::open(&path)?;
        while page.next_block()?.is_some() {}
        Ok::<(), ExportError>(())
    };
    assert!(matches!(
        open(b"\"Id\",\"Name\"\n\"1\"\n"),
        Err(ExportError::Record { record: 1, .. })
    ));
    assert!(matches!(open(b"\"Id\"\n\"\xff\"\n"), Err(ExportError::Record { .. })));
    assert!(matches!(open(b"\"Id\"\n\"cut sho"), Err(ExportError::Page { .. })));
    open(b"").unwrap();
    open(b"\"Id\"\n").unwrap();
}

#[test]
fn an_archive_is_what_its_manifest_says() {
    for format in [Format::Parquet, Format::Csv, Format::Jsonl] {
        let folder = tempfile::tempdir().unwrap();
        let packing = if format == Format::Csv { Packing::Gzip } else { Packing::Zstd };
        let options = OutputOptions { format, packing, ..OutputOptions::default() };
        let (facts, _) = write(folder.path(), TypeOptions::default(), options);
        let archive = folder.path().join("archive");
        let path = archive.join(&facts.path);
        let mut manifest = manifest(facts, options);
        manifest.write(&archive).unwrap();
        let good = verify::verify(&archive).unwrap();
        assert_eq!((good.files, good.rows, good.findings.len()), (1, 3, 0), "{good:?}");

        let says = |what: &str| {
            let found = verify::verify(&archive).unwrap().findings;
            assert!(found.iter().any(|finding| finding.what.contains(what)), "{what}: {found:?}");
        };
        let bytes = std::fs::read(&path).unwrap();
        let mut other = bytes.clone();
        other[bytes.len() / 2] ^= 1;
        std::fs::write(&path, &other).unwrap();
        says("SHA-256");
        std::fs::write(&path, &bytes[1..]).unwrap();
        says("bytes, not");
        std::fs::remove_file(&path).unwrap();
        says("missing");
        std::fs::write(&path, &bytes).unwrap();
        std::fs::copy(&path, path.with_file_name(format!("more.{}", format.extension(packing))))
            .unwrap();
        says("doesn't know");
        manifest.objects[0].files[0].rows = 4;
        manifest.write(&archive).unwrap();
        says("3 records, not 4");
    }
}

fn manifest(facts: FileFacts, options: OutputOptions) -> Manifest {
    Manifest {
        manifest_version: 1,
        written_by: "bulkhaul".to_owned(),
        run_id: "r1".to_owned(),
        org: ManifestOrg {
            id: "00D7Q000001AbCdUAK".to_owned(),
            name: "Acme".to_owned(),
            url: "http://127.0.0.1".to_owned(),
            username: "admin@acme.example".to_owned(),
            production: false,
        },
        api_version: "66.0".to_owned(),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        finished_at: "2026-01-01T00:00:01Z".to_owned(),
        format: options.format,
        options,
        partition_by: None,
        leftovers: Vec::new(),
        runs: Vec::new(),
        objects: vec![ManifestObject {
            run_id: None,
            hidden_fields: None,
            whole: true,
            filter: None,
            since: None,
            evolved: Vec::new(),
            compacted: Vec::new(),
            object: "Account".to_owned(),
            folder: "Account".to_owned(),
            soql: "SELECT Id FROM Account".to_owned(),
            deleted: false,
            jobs: vec![],
            by_rest: false,
            watermark: None,
            columns: columns(TypeOptions::default()).iter().map(Into::into).collect(),
            left_out: vec![],
            rows: 3,
            rows_by_jobs: 3,
            counted: None,
            unfit_values: 0,
            files: vec![facts],
            description: None,
        }],
        not_exported: vec![],
    }
}

/// Accounts over three years, and some without a date, of two industries.
fn scattered(records: usize) -> String {
    let mut page = String::from("\"Id\",\"Born\",\"Name\"\n");
    for record in 0..records {
        let born = match record % 4 {
            3 => String::new(),
            year => format!("202{year}-0{}-11", record % 9 + 1),
        };
        let name = ["Food & Drink", "Energy"][record % 2];
        let _ = writeln!(page, "\"0017Q{record:010}QAK\",\"{born}\",\"{name}\"");
    }
    page
}

#[test]
fn records_are_spread_over_folders_and_all_files_end_together() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    std::fs::create_dir_all(archive.join("Account")).unwrap();
    let kinds = [("Id", FieldType::Id), ("Born", FieldType::Date), ("Name", FieldType::String)];
    let columns: Vec<Column> = kinds
        .into_iter()
        .map(|(name, kind)| {
            Column::new(name, Some(field(name, kind, 0, 0)), TypeOptions::default())
        })
        .collect();
    for (format, partition, folders) in [
        (Format::Parquet, "born:year", 4),
        (Format::Csv, "Name", 2),
        (Format::Jsonl, "Born:month", 28),
    ] {
        let partition = Some(partition.parse().unwrap());
        let parser = Parser::new(columns.clone(), HashMap::new(), format, partition).unwrap();
        let options = OutputOptions { format, packing: Packing::None, ..OutputOptions::default() };
        let mut output = Output::new(&archive, "Account", "part", parser, options, 1);
        for block in blocks(folder.path(), &scattered(1_000)) {
            output.write(output.parser().parse(&[block]).unwrap()).unwrap();
        }
        let files = output.finish_files().unwrap();
        assert_eq!(files.len(), folders, "{format:?}");
        assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 1_000);
        let mut names: Vec<&str> =
            files.iter().map(|file| file.path.rsplit('/').next().unwrap()).collect();
        let in_order = names.clone();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names, in_order, "numbered through, in order");
    }
    // What is in a folder is what its name says.
    let path = archive.join("Account/Born_year=2021/part-00002.parquet");
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let days = batch.column(1).as_primitive::<Date32Type>();
        assert!(days.values().iter().all(|day| (18_628..18_993).contains(day)), "{days:?}");
    }
    let csv = archive.join("Account/by_Name=Food%20%26%20Drink/part-00002.csv");
    let text = std::fs::read_to_string(csv).unwrap();
    assert!(text.starts_with("Id,Born,Name\n") && !text.contains("Energy"), "{text:.80}");
    let nothing = Parser::new(columns, HashMap::new(), Format::Csv, "Nope".parse().ok());
    assert!(nothing.unwrap_err().to_string().contains("Nope"));
}

proptest! {
    /// The fast count is that of the reading, or says that it can't tell.
    #[test]
    fn records_are_counted_by_their_line_ends(
        cells in prop::collection::vec("[a\"\n\r, ]{0,6}", 0..40),
        blank in 0..3_usize,
        cut in 0..3_usize,
    ) {
        let mut text = String::from("\"A\",\"B\"\n");
        for (at, pair) in cells.chunks_exact(2).enumerate() {
            let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
            let _ = writeln!(text, "{},{}", quoted(&pair[0]), quoted(&pair[1]));
            if at == 1 {
                text.push_str(&"\n".repeat(blank));
            }
        }
        let text = &text.as_bytes()[..text.len() - cut];
        let fast = count_lines(text).unwrap();
        let slow = Page::count_in(text, Path::new("page"));
        if cut == 0 {
            prop_assert_eq!(fast, Some(slow.unwrap()));
        } else if let Some(fast) = fast {
            // Behind blank lines there is one line end to spare.
            prop_assert!(blank > 0);
            prop_assert_eq!(fast, slow.unwrap());
        }
    }
}
