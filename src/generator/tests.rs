//! The generator keeps its word, and the fixtures are its own.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::*;
use crate::domain::{LineEnding, RowNumber};
use crate::rows::{Cells, Dialect, RecordSplitter, RowFault, RowStream};

fn text(recipe: &Recipe) -> Vec<u8> {
    let mut text = Vec::new();
    let bytes = recipe.write(&mut text, &mut |_| {}).unwrap();
    assert_eq!(bytes, text.len() as u64);
    text
}

/// Header and rows as the splitter reads them; a faulty row has no cells.
fn read(recipe: &Recipe) -> (Vec<String>, Vec<Result<Vec<String>, RowFault>>) {
    let text = text(recipe);
    let dialect = Dialect {
        delimiter: recipe.format.delimiter,
        quote: b'"',
        line_ending: recipe.format.line_ending,
    };
    let mut splitter =
        RecordSplitter::new(&text[..], dialect, None, RowNumber(1), 0, Path::new("sample"));
    let header = splitter.read_header().unwrap().unwrap();
    assert_eq!(header.line_ending, Some(dialect.line_ending));
    let mut rows = Vec::new();
    while let Some(batch) = splitter.next_batch().unwrap() {
        for record in &batch.records {
            assert_eq!(
                &batch.bytes[record.end as usize..record.next as usize],
                dialect.line_ending.bytes()
            );
            rows.push(match record.fault {
                Some(fault) => Err(fault),
                None => Ok(Cells::new(batch.record(record), dialect.delimiter, b'"')
                    .map(|cell| String::from_utf8(cell.value().into_owned()).unwrap())
                    .collect()),
            });
        }
    }
    (header.cells, rows)
}

#[track_caller]
fn every_cell_is_as_foretold(recipe: &Recipe) {
    let (header, rows) = read(recipe);
    assert_eq!(header, recipe.header());
    assert_eq!(rows.len() as u64, recipe.rows());
    for (row, cells) in (1..).zip(rows) {
        for (column, cell) in cells.unwrap().iter().enumerate() {
            assert_eq!(Some(cell), recipe.value(row, column).as_ref(), "row {row}");
        }
    }
}

#[test]
fn what_is_written_is_what_was_foretold() {
    for object in SampleObject::ALL {
        for set in [ColumnSet::Default, ColumnSet::Common, ColumnSet::All] {
            // More rows than one block holds.
            let recipe = Recipe::new(object, 9_000).columns(&set.names(object)).unwrap();
            every_cell_is_as_foretold(&recipe);
        }
    }
    let mut excel = Recipe::new(SampleObject::Account, 2_000).seed(7);
    excel.format.line_ending = LineEnding::Crlf;
    excel.format.delimiter = b';';
    every_cell_is_as_foretold(&excel);
    for shape in
        [Shape::Plain, Shape::Duplicates, Shape::Numeric, Shape::NumericKey, Shape::CaseKeys]
    {
        let recipe =
            Recipe::new(SampleObject::Account, 500).shape(shape, ColumnSet::Common).unwrap();
        every_cell_is_as_foretold(&recipe);
    }
}

#[test]
fn a_value_depends_on_seed_row_and_column_alone() {
    let name = column(SampleObject::Account, "name").unwrap();
    let phone = column(SampleObject::Account, "Phone").unwrap();
    let recipe = Recipe::new(SampleObject::Account, 10).columns(&["Phone", "Name"]).unwrap();
    assert_eq!(recipe.value(5, 1), Some(cell(DEFAULT_SEED, 5, name)));
    assert_eq!(recipe.value(5, 0), Some(cell(DEFAULT_SEED, 5, phone)));
    assert_eq!(recipe.clone().seed(1).value(5, 1), Some(cell(1, 5, name)));
    let names = |seed| (1..50).map(|row| cell(seed, row, name)).collect::<Vec<_>>();
    assert_ne!(names(1), names(2));
}

#[test]
fn these_values_never_change() {
    // Other repositories and people's notes rely on them; a change here is a
    // change of every fixture.
    let row = |columns: &[&str], row| {
        let recipe = Recipe::new(SampleObject::Account, 1).columns(columns).unwrap();
        (0..columns.len()).map(|at| recipe.value(row, at).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(row(&["Legacy_Id__c", "External_No__c"], 12), ["ACC-00000012", "10000012"]);
    assert_eq!(row(&["Case_Key__c"], 12), ["key-gaaaaa0"]);
    assert_eq!(row(&["Case_Key__c"], 13), ["KEY-GAAAAA0"]);
}

#[test]
fn keys_are_unique_and_case_keys_only_by_their_case() {
    let keys = |name: &str| {
        let column = column(SampleObject::Account, name).unwrap();
        (1..=50_000).map(|row| cell(3, row, column)).collect::<HashSet<_>>()
    };
    assert_eq!(keys("Legacy_Id__c").len(), 50_000);
    assert_eq!(keys("External_No__c").len(), 50_000);
    let cased = keys("Case_Key__c");
    assert_eq!(cased.len(), 50_000);
    let folded: HashSet<String> = cased.iter().map(|key| key.to_lowercase()).collect();
    assert_eq!(folded.len(), 25_001);
}

#[test]
fn values_are_such_as_the_fields_take() {
    let names = ColumnSet::All.names(SampleObject::Account);
    let recipe = Recipe::new(SampleObject::Account, 5_000).columns(&names).unwrap();
    let at = |name: &str| names.iter().position(|&each| each == name).unwrap();
    let mut decimals = 0;
    let mut beyond_ten_million = 0;
    for row in 1..=recipe.rows() {
        let value = |name: &str| recipe.value(row, at(name)).unwrap();
        assert!(!value("Name").is_empty() && value("Name").chars().count() <= 80);
        let revenue: f64 = value("AnnualRevenue").parse().unwrap();
        assert!((1e4..1e12).contains(&revenue));
        decimals += u64::from(value("AnnualRevenue").contains('.'));
        beyond_ten_million += u64::from(revenue >= 1e7);
        assert!(value("NumberOfEmployees").parse::<u32>().unwrap() < 1_000_000);
        assert!((-100.0..1000.0).contains(&value("Score__c").parse::<f64>().unwrap()));
        value("Contract_Start__c").parse::<jiff::civil::Date>().unwrap();
        value("Last_Audit__c").parse::<jiff::Timestamp>().unwrap();
        assert!(["true", "false"].contains(&value("Active__c").as_str()));
        assert!(value("BillingCity").chars().count() <= 40);
        assert!(value("Phone").len() <= 40 && value("Website").len() <= 255);
        let segments = value("Segments__c");
        let words: HashSet<&str> = segments.split(';').collect();
        assert_eq!(words.len(), segments.split(';').count(), "{segments}");
    }
    assert!(decimals > 1_000 && beyond_ten_million > 2_000, "{decimals} {beyond_ten_million}");
}

#[test]
fn a_default_row_has_about_200_bytes() {
    let text = text(&Recipe::new(SampleObject::Account, 10_000));
    assert!((190..=230).contains(&(text.len() / 10_000)), "{}", text.len() / 10_000);
}

#[test]
fn odd_rows_hold_what_they_are_odd_for() {
    let recipe = Recipe::new(SampleObject::Account, 1)
        .columns(&["Name", "BillingStreet", "Description"])
        .unwrap();
    for row in 1..=20_000 {
        let value = |at| recipe.value(row, at).unwrap();
        let (name, street) = (value(0), value(1));
        match oddity(DEFAULT_SEED, row) {
            None => {
                assert!(name.is_ascii() && !name.contains([',', '"', '\n']), "{name}");
                assert!(!street.contains([',', '\n']));
            }
            Some(Oddity::Comma) => assert!(name.contains(',') && street.contains(',')),
            Some(Oddity::Quotes) => assert!(name.contains('"')),
            Some(Oddity::LineBreak) => assert!(street.contains('\n')),
            Some(Oddity::Umlaut | Oddity::Japanese | Oddity::Emoji) => assert!(!name.is_ascii()),
        }
    }
}

#[test]
fn a_third_of_the_rows_of_that_shape_are_duplicates() {
    let recipe = Recipe::new(SampleObject::Account, 3_000)
        .shape(Shape::Duplicates, ColumnSet::Default)
        .unwrap();
    assert!(!recipe.header().contains(&"Legacy_Id__c"));
    let copies = (1..=3_000).filter(|&row| recipe.origin(row) != row).count();
    assert!((800..=1_200).contains(&copies), "{copies}");
    let mut seen = HashSet::new();
    let (_, rows) = read(&recipe);
    let distinct = rows.into_iter().filter(|row| seen.insert(row.clone().unwrap())).count();
    // A copied row may copy a copy, so not every copy has a twin.
    assert!(distinct < 3_000 - copies / 2, "{distinct}");
}

#[test]
fn in_the_numeric_shape_every_cell_is_a_number() {
    let recipe =
        Recipe::new(SampleObject::Account, 1_000).shape(Shape::Numeric, ColumnSet::All).unwrap();
    for row in read(&recipe).1 {
        for cell in row.unwrap() {
            cell.parse::<f64>().unwrap();
        }
    }
}

#[test]
fn traps_come_in_every_nth_row_and_the_others_are_as_without() {
    let plain = Recipe::new(SampleObject::Account, 100);
    let bad = plain.clone().bad_every(10).unwrap();
    let mut kinds = HashSet::new();
    for row in 1..=100 {
        let Some(trap) = bad.trap(row) else {
            assert_ne!(row % 10, 0);
            assert_eq!(bad.value(row, 1), plain.value(row, 1));
            continue;
        };
        assert_eq!(row % 10, 0);
        assert!(matches!(trap.refusal, Refusal::Org(_)));
        kinds.insert(trap.name);
        let at = bad.header().iter().position(|&name| name == trap.column).unwrap();
        assert_ne!(bad.value(row, at), plain.value(row, at), "{}", trap.name);
    }
    assert!(kinds.len() >= 5, "{kinds:?}");
    assert_eq!(
        plain.columns(&["Rating"]).unwrap().bad_every(2).unwrap_err(),
        RecipeError::NoTrapFits
    );
}

#[test]
fn the_rows_we_refuse_ourselves_have_their_fault() {
    let recipe = Recipe::of_traps();
    let (_, rows) = read(&recipe);
    for (row, read) in (1..).zip(rows) {
        let trap = recipe.trap(row);
        assert_eq!(trap.is_some(), row % 2 == 0);
        match trap.map(|trap| trap.kind) {
            Some(TrapKind::CellMissing) => {
                assert_eq!(read, Err(RowFault::Ragged { expected: 12, found: 11 }));
            }
            Some(TrapKind::CellTooMany) => {
                assert_eq!(read, Err(RowFault::Ragged { expected: 12, found: 13 }));
            }
            Some(TrapKind::BrokenUtf8) => {
                assert!(matches!(read, Err(RowFault::Utf8 { column: 2, .. })));
            }
            Some(TrapKind::AfterQuote) => {
                assert_eq!(read, Err(RowFault::AfterQuote { column: 2 }));
            }
            Some(TrapKind::SameAsBefore) => {
                assert_eq!(read.unwrap()[0], recipe.value(row - 1, 0).unwrap());
            }
            Some(TrapKind::Text(_) | TrapKind::Letters(_)) | None => {
                read.unwrap();
            }
        }
    }
}

#[test]
fn columns_that_do_not_exist_are_refused() {
    let recipe = || Recipe::new(SampleObject::Contact, 1);
    assert_eq!(
        recipe().columns(&["Nmae"]).unwrap_err().to_string(),
        "Contact has no sample column `Nmae`"
    );
    assert_eq!(
        recipe().columns(&["Email", "email"]).unwrap_err(),
        RecipeError::RepeatedColumn("Email")
    );
    assert_eq!(recipe().columns::<&str>(&[]).unwrap_err(), RecipeError::NoColumns);
    assert!(recipe().bad_every(3).is_err());
    assert!(recipe().shape(Shape::Numeric, ColumnSet::Default).is_err());
}

#[test]
fn contacts_belong_to_accounts_that_exist() {
    let parent = column(SampleObject::Contact, "Account.Legacy_Id__c").unwrap();
    for row in 1..=1_000u64 {
        let key = cell(DEFAULT_SEED, row, parent);
        let account: u64 = key.strip_prefix("ACC-").unwrap().parse().unwrap();
        assert!((1..=row / 4 + 1).contains(&account));
    }
}

fn fixture(name: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "fixtures", name].iter().collect();
    std::fs::read(path).unwrap()
}

#[test]
fn the_account_fixture_is_what_the_generator_makes() {
    let object = SampleObject::Account;
    let recipe = Recipe::new(object, 20_000).columns(&ColumnSet::Common.names(object)).unwrap();
    assert!(
        fixture("accounts.csv") == text(&recipe),
        "fixtures/accounts.csv differs; fixtures/README.md says how it is made"
    );
}

#[test]
fn the_fixture_of_traps_is_what_the_generator_makes() {
    assert!(
        fixture("accounts_refused.csv") == text(&Recipe::of_traps()),
        "fixtures/accounts_refused.csv differs; fixtures/README.md says how it is made"
    );
}
