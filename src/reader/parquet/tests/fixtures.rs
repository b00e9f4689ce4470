//! Files that other programs wrote (fixtures/parquet), each with what it is to
//! be read as.

use super::*;

#[derive(Debug, serde::Deserialize)]
struct Judge {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

fn judge(name: &str) -> Judge {
    let text = std::fs::read_to_string(fixture(&format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[track_caller]
fn reads(name: &str) {
    let file = open_fixture(&format!("{name}.parquet"));
    let judge = judge(name);
    assert_eq!(file.header(), judge.header, "{name}");
    let found = cells(&file);
    assert_eq!(found.len(), judge.rows.len(), "{name}");
    for (found, expected) in found.iter().zip(&judge.rows) {
        for ((found, expected), column) in found.iter().zip(expected).zip(file.header()) {
            assert_eq!(found, expected, "{name}: {column}");
        }
    }
}

#[test]
fn int96_of_any_year_is_read() {
    reads("int96-pyarrow");
    reads("int96-years");
    reads("fastparquet-int96");
}

#[test]
fn timestamps_of_all_units_and_format_versions_are_read() {
    for version in ["1.0", "2.4", "2.6"] {
        reads(&format!("timestamps-{version}"));
        let file = open_fixture(&format!("timestamps-{version}.parquet"));
        let local: Vec<&str> = file.local_timestamps().collect();
        assert_eq!(local, ["s_local", "ms_local", "us_local"], "{version}");
    }
}

#[test]
fn decimals_of_all_widths_are_exact() {
    reads("decimals-fixed");
    reads("decimals-integer");
    assert_eq!(
        open_fixture("decimals-fixed.parquet").types(),
        ["decimal(7, 2)", "decimal(18, 2)", "decimal(38, 10)", "decimal(76, 6)", "decimal(9, 0)"]
    );
}

#[test]
fn lists_of_text_are_joined() {
    reads("lists");
    reads("lists-item");
    assert_eq!(open_fixture("lists.parquet").types(), ["list of text", "list of text"]);
}

#[test]
fn a_list_that_can_not_be_joined_is_the_fault_of_its_row() {
    let file = open_fixture("lists-faulty.parquet");
    let rows = rows_of(&mut file.read(0, &all(&file), 1 << 20).unwrap()).unwrap();
    let faults: Vec<_> = rows.iter().filter_map(|row| row.fault).collect();
    assert_eq!(
        faults,
        [NoForm::SemicolonInList, NoForm::NullInList]
            .map(|what| RowFault::NoForm { column: 1, what })
    );
    assert_eq!(faults[0].to_string(), "column 1: a list value that holds a semicolon");
}

#[test]
fn all_kinds_of_column_are_read_and_named() {
    reads("kinds");
    assert_eq!(
        open_fixture("kinds.parquet").types(),
        [
            "dictionary of text",
            "text",
            "UUID",
            "text (JSON)",
            "float of 16 bits",
            "bytes",
            "bytes (4 each)",
            "nothing but nulls",
            "date",
            "time of day (microseconds)",
            "unsigned integer of 64 bits",
            "unsigned integer of 32 bits",
            "unsigned integer of 8 bits",
            "integer of 8 bits",
            "boolean",
            "float of 64 bits",
        ]
    );
}

#[test]
fn what_duckdb_pandas_and_fastparquet_write_is_read() {
    reads("duckdb");
    reads("pandas");
    reads("fastparquet");
}

#[test]
fn a_file_without_rows_has_its_columns() {
    for name in ["no-rows.parquet", "no-row-groups.parquet"] {
        let file = open_fixture(name);
        assert_eq!(file.header(), ["Name", "N"]);
        assert_eq!(file.types(), ["text", "integer of 32 bits"]);
        assert_eq!(file.rows(), 0);
        assert_eq!(cells(&file), Vec::<Vec<String>>::new());
    }
}
