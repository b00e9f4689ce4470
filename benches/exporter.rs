//! How fast pages of a query job become columns and Parquet files, on one core.
//!
//! The page lies in memory, all cells in quotes, as the service sends them; the
//! bytes counted are those of the page. Files go to the temporary folder, which
//! should be in memory.

#![expect(clippy::panic, reason = "a bench that can't begin must not measure nothing")]

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;

use bulkhaul::domain::Field;
use bulkhaul::exporter::column::{Column, TypeOptions};
use bulkhaul::exporter::output::{Format, Output, OutputOptions, Packing};
use bulkhaul::exporter::page::{Page, count_lines};
use bulkhaul::exporter::parse::Parser;
use bulkhaul::generator::{Recipe, SampleObject};
use bulkhaul::rows::{Cells, RawBatch, write_quoted};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use serde_json::json;

fn main() {
    // Figures of a single core.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(1).build_global();
    divan::main();
}

const ROWS: u64 = 200_000;

/// What the org says of some columns; the others are text.
const TYPED: [(&str, &str); 6] = [
    ("Industry", "picklist"),
    ("AnnualRevenue", "currency"),
    ("NumberOfEmployees", "int"),
    ("Active__c", "boolean"),
    ("Last_Audit__c", "datetime"),
    ("Segments__c", "multipicklist"),
];

/// Sample accounts as a page of results, and their columns.
fn page() -> (Vec<u8>, Vec<Column>) {
    let recipe = Recipe::new(SampleObject::Account, ROWS);
    let mut text = Vec::new();
    recipe.write(&mut text, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    let mut page = Vec::with_capacity(text.len() * 5 / 4);
    let (mut columns, mut width) = (Vec::new(), 0);
    // Sample accounts have line breaks in cells of odd rows; those are left
    // out, for a bench needs no splitter.
    for line in text.split(|&byte| byte == b'\n') {
        let cells: Vec<_> = Cells::new(line, b',', b'"').collect();
        if columns.is_empty() {
            width = cells.len();
            columns = cells.iter().map(|cell| column(&cell.value())).collect();
        } else if cells.len() != width {
            continue;
        }
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                page.push(b',');
            }
            write_quoted(&mut page, &cell.value());
        }
        page.push(b'\n');
    }
    (page, columns)
}

fn column(name: &[u8]) -> Column {
    let name = String::from_utf8_lossy(name).into_owned();
    let typed = TYPED.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
    let described = json!({"name": name, "type": typed.unwrap_or("string")});
    let field: Field = serde_json::from_value(described).unwrap_or_else(|error| panic!("{error}"));
    Column::new(name, Some(field), TypeOptions::default())
}

fn blocks(page: &[u8]) -> Vec<RawBatch> {
    let mut page = Page::of(Cursor::new(page.to_vec()), Path::new("page"))
        .unwrap_or_else(|error| panic!("{error}"));
    std::iter::from_fn(|| page.next_block().unwrap_or_else(|error| panic!("{error}"))).collect()
}

/// Counts records by their line ends, as every page is that arrives.
#[divan::bench]
fn count(bencher: Bencher) {
    let (page, _) = page();
    let records = blocks(&page).iter().map(|block| block.records.len()).sum::<usize>();
    bencher
        .counter(BytesCount::new(page.len()))
        .counter(ItemsCount::new(records))
        .bench(|| count_lines(page.as_slice()).unwrap_or_else(|error| panic!("{error}")));
}

/// Splits a page into records and proves each well formed.
#[divan::bench]
fn split(bencher: Bencher) {
    let (page, _) = page();
    let records = blocks(&page).iter().map(|block| block.records.len()).sum::<usize>();
    bencher
        .counter(BytesCount::new(page.len()))
        .counter(ItemsCount::new(records))
        .with_inputs(|| page.clone())
        .bench_values(|page| {
            let mut page = Page::of(Cursor::new(page), Path::new("page"))
                .unwrap_or_else(|error| panic!("{error}"));
            let mut blocks = 0;
            while page.next_block().unwrap_or_else(|error| panic!("{error}")).is_some() {
                blocks += 1;
            }
            blocks
        });
}

/// Blocks to what is written of them: typed columns, or text.
#[divan::bench(args = [Format::Parquet, Format::Csv, Format::Jsonl])]
fn parse(bencher: Bencher, format: Format) {
    let (page, columns) = page();
    let blocks = blocks(&page);
    let parser = parser(columns, format);
    bencher
        .counter(BytesCount::new(page.len()))
        .counter(ItemsCount::new(blocks.iter().map(|block| block.records.len()).sum::<usize>()))
        .bench(|| {
            for block in &blocks {
                let parsed = parser.parse(std::slice::from_ref(block));
                divan::black_box(parsed.unwrap_or_else(|error| panic!("{error}")));
            }
        });
}

/// From blocks to whole files.
#[divan::bench(args = [Format::Parquet, Format::Csv, Format::Jsonl])]
fn write(bencher: Bencher, format: Format) {
    let (page, columns) = page();
    let blocks = blocks(&page);
    let folder = std::env::temp_dir().join(format!("bulkhaul-bench-{}", std::process::id()));
    let made = std::fs::create_dir_all(folder.join("Account"));
    made.unwrap_or_else(|error| panic!("{error}"));
    let parser = parser(columns, format);
    bencher
        .counter(BytesCount::new(page.len()))
        .counter(ItemsCount::new(blocks.iter().map(|block| block.records.len()).sum::<usize>()))
        .bench(|| whole(&folder, &parser, &blocks));
    let _ = std::fs::remove_dir_all(folder);
}

fn parser(columns: Vec<Column>, format: Format) -> Parser {
    Parser::new(columns, HashMap::new(), format, None).unwrap_or_else(|error| panic!("{error}"))
}

fn whole(folder: &Path, parser: &Parser, blocks: &[RawBatch]) -> u64 {
    let packing = if parser.format() == Format::Parquet { Packing::Zstd } else { Packing::None };
    let options = OutputOptions { format: parser.format(), packing, ..OutputOptions::default() };
    let mut output = Output::new(folder, "Account", "part", parser.clone(), options, 1);
    for block in blocks {
        let parsed = parser.parse(std::slice::from_ref(block));
        let parsed = parsed.unwrap_or_else(|error| panic!("{error}"));
        output.write(parsed).unwrap_or_else(|error| panic!("{error}"));
    }
    let files = output.finish_files().unwrap_or_else(|error| panic!("{error}"));
    files.iter().map(|file| file.rows).sum()
}
