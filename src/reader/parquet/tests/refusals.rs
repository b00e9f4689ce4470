//! What is refused, and in which words.

use std::fs;

use super::*;

#[test]
fn columns_without_a_form_are_all_named_at_once() {
    assert_eq!(
        refusal(&fixture("nested.parquet")),
        "FILE: columns whose values no field takes: `Address` (a struct), `Codes` (a map), \
         `Numbers` (a list of values that are not text), `Blobs` (a list of bytes), `Deep` (a \
         list of nested values), `Wait` (a duration); leave them out of the file or turn them \
         into text"
    );
    assert_eq!(
        refusal(&fixture("interval.parquet")),
        "FILE: columns whose values no field takes: `Pause` (an interval); leave them out of the \
         file or turn them into text"
    );
}

#[test]
fn encrypted_files_are_refused() {
    assert_eq!(
        refusal(&fixture("encrypted-footer.parquet")),
        "FILE: the file is encrypted, which is not read; write it without encryption"
    );
    assert_eq!(
        refusal(&fixture("encrypted-columns.parquet")),
        "FILE: columns are encrypted, which is not read: `Secret`, `Salary`; write the file \
         without encryption"
    );
}

#[test]
fn what_is_no_parquet_file_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let told = |bytes: &[u8]| {
        let path = folder.path().join("x.parquet");
        fs::write(&path, bytes).unwrap();
        refusal(&path)
    };
    assert_eq!(told(b""), "FILE is empty");
    assert_eq!(told(b"Id,Name\n1,Acme\n"), "FILE: this is no Parquet file");
    assert_eq!(told(b"PAR1"), "FILE is damaged: it is shorter than any Parquet file");
    assert_eq!(refusal(&fixture("no-columns.parquet")), "FILE: the file has no columns");
    assert!(refusal(folder.path()).contains("can't be read"));
    assert!(refusal(&folder.path().join("none.parquet")).contains("can't be read"));
    let options =
        ParquetOptions { time_zone: Some("Europe/Ulm".to_owned()), ..ParquetOptions::default() };
    let error = ParquetFile::open(&fixture("kinds.parquet"), &options).unwrap_err().to_string();
    assert!(error.ends_with("there is no time zone called `Europe/Ulm`"), "{error}");
}

#[test]
fn a_file_that_was_cut_is_damaged() {
    let whole = fs::read(fixture("whole-plain.parquet")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.parquet");
    for len in (4..whole.len()).step_by(997) {
        fs::write(&path, &whole[..len]).unwrap();
        assert!(refusal(&path).starts_with("FILE is damaged: "), "{len}");
    }
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(refusal(&path), "FILE is damaged: its end is missing; most likely it was cut short");
    // Out of the middle: the ends look right, but nothing lies where the
    // footer says.
    fs::write(&path, [&whole[..2_000], &whole[6_000..]].concat()).unwrap();
    if let Ok(file) = ParquetFile::open(&path, &ParquetOptions::default()) {
        let result = rows_of(&mut file.read(0, &all(&file), 1 << 20).unwrap());
        assert!(matches!(result, Err(SourceError::Damaged { .. })), "{result:?}");
    }
}

/// Reads a file with one byte altered: `None` if that was noticed.
fn read_altered(path: &Path, whole: &[u8], at: usize) -> Option<Vec<Row>> {
    let mut altered = whole.to_vec();
    altered[at] ^= 0x5A;
    fs::write(path, altered).unwrap();
    let file = match ParquetFile::open(path, &ParquetOptions::default()) {
        Ok(file) => file,
        Err(SourceError::Damaged { .. } | SourceError::Header { .. }) => return None,
        Err(other) => panic!("{other}"),
    };
    let columns = all(&file);
    match rows_of(&mut file.read(0, &columns, 1 << 20).unwrap()) {
        Ok(rows) => Some(rows),
        Err(SourceError::Damaged { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_checksum_finds_any_altered_byte_of_a_page() {
    let name = "whole-checksum.parquet";
    let whole = fs::read(fixture(name)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("altered.parquet");
    let intact = cells(&open_fixture(name));
    // Far from the heads of pages and the footer, which have no checksum.
    let mut noticed = 0;
    for at in (200..whole.len() / 2).step_by(61) {
        match read_altered(&path, &whole, at) {
            None => noticed += 1,
            Some(rows) => {
                let rows: Vec<_> = rows.into_iter().map(|row| row.cells).collect();
                assert_eq!(rows, intact, "byte {at}");
            }
        }
    }
    assert!(noticed > 20, "{noticed}");
}

#[test]
fn an_altered_byte_never_changes_how_many_rows_there_are() {
    let whole = fs::read(fixture("whole-plain.parquet")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("altered.parquet");
    for at in (4..whole.len()).step_by(211).chain(whole.len() - 400..whole.len()) {
        if let Some(rows) = read_altered(&path, &whole, at) {
            assert_eq!(rows.len(), 500, "byte {at}");
        }
    }
}
