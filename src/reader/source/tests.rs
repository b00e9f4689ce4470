//! Tests of sources: forms, places, refusals.

use std::io::Write as _;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::decoding::{by_label, encoded};
use super::*;
use crate::rows::{Cells, RowFault};

/// How a test writes one of its files.
#[derive(Debug, Clone, Copy)]
enum Form {
    Plain,
    Crlf,
    NoLastLineEnd,
    Returns,
    Gzip,
    Zstd,
    Utf16,
    Windows1252,
    Semicolons,
    SingleQuotes,
    OtherOrder,
}

const FORMS: [Form; 11] = [
    Form::Plain,
    Form::Crlf,
    Form::NoLastLineEnd,
    Form::Returns,
    Form::Gzip,
    Form::Zstd,
    Form::Utf16,
    Form::Windows1252,
    Form::Semicolons,
    Form::SingleQuotes,
    Form::OtherOrder,
];

const HEADER: [&str; 3] = ["Name", "Phone", "Note"];

fn text(rows: &[[String; 3]], form: Form) -> Vec<u8> {
    let (delimiter, quote) = match form {
        Form::Semicolons => (';', '"'),
        Form::SingleQuotes => (',', '\''),
        _ => (',', '"'),
    };
    let line_end = match form {
        Form::Crlf => "\r\n",
        Form::Returns => "\r",
        _ => "\n",
    };
    let order = if matches!(form, Form::OtherOrder) { [2, 0, 1] } else { [0, 1, 2] };
    let mut text = String::new();
    let header = HEADER.map(str::to_owned);
    for row in std::iter::once(&header).chain(rows) {
        let cells = order.map(|at| {
            let doubled = row[at].replace(quote, &format!("{quote}{quote}"));
            // All in quotes, so that every cell is what it is.
            format!("{quote}{doubled}{quote}")
        });
        text.push_str(&cells.join(&delimiter.to_string()));
        text.push_str(line_end);
    }
    if matches!(form, Form::NoLastLineEnd) {
        text.truncate(text.trim_end_matches('\n').len());
    }
    match form {
        Form::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        }
        Form::Zstd => zstd::encode_all(text.as_bytes(), 1).unwrap(),
        Form::Utf16 => {
            [b"\xFF\xFE".to_vec(), encoded(&text, by_label("utf-16le").unwrap()).unwrap()].concat()
        }
        Form::Windows1252 => encoded(&text, by_label("windows-1252").unwrap()).unwrap(),
        _ => text.into_bytes(),
    }
}

/// All rows of a stretch: number, cells, and where each begins and ends.
type Read = Vec<(u64, Vec<String>, (u64, u64))>;

fn read(source: &Source, stretch: Option<Stretch>) -> Read {
    let dialect = source.dialect();
    let mut rows = source.rows(stretch).unwrap();
    let mut all = Vec::new();
    while let Some(batch) = rows.next_batch().unwrap() {
        for (index, record) in batch.records.iter().enumerate() {
            assert_eq!(record.fault, None);
            let cells = Cells::new(batch.record(record), dialect.delimiter, dialect.quote);
            let cells = cells.map(|cell| String::from_utf8(cell.value().into_owned()).unwrap());
            let row = batch.first_row.plus(index as u64).0;
            all.push((row, cells.collect(), batch.span_of(index)));
        }
    }
    all
}

fn cells(rows: &Read) -> Vec<Vec<String>> {
    rows.iter().map(|(_, cells, _)| cells.clone()).collect()
}

fn windows(form: Form) -> bool {
    matches!(form, Form::Windows1252)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// However each file is written: the rows are those that were meant, and
    /// from any place on they are the same once more.
    #[test]
    fn rows_are_the_same_in_whatever_form_and_from_wherever(
        files in prop::collection::vec(
            (
                prop::collection::vec(prop::array::uniform3("[a-z0-9,;'\" äé€]{0,6}"), 0..8),
                prop::sample::select(FORMS.to_vec()),
            ),
            1..4,
        ),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        // One encoding is asked for, for all of them.
        let encoding = files.iter().any(|(_, form)| windows(*form));
        let files: Vec<_> = files
            .into_iter()
            .map(|(rows, form)| match form {
                Form::Utf16 if encoding => (rows, Form::Windows1252),
                form if encoding && !windows(form) => {
                    let ascii = |row: [String; 3]| row.map(|cell| cell.replace(['ä', 'é', '€'], "x"));
                    (rows.into_iter().map(ascii).collect(), form)
                }
                form => (rows, form),
            })
            .collect();
        let folder = TempDir::new().unwrap();
        let mut paths = Vec::new();
        for (at, (rows, form)) in files.iter().enumerate() {
            let path = folder.path().join(format!("{at}.csv"));
            std::fs::write(&path, text(rows, *form)).unwrap();
            paths.push(path);
        }
        let options = SourceOptions {
            encoding: encoding.then(|| "windows-1252".to_owned()),
            ..SourceOptions::default()
        };
        let source = Source::open(&paths, &options).unwrap();
        let order: Vec<usize> = source
            .header()
            .iter()
            .map(|name| HEADER.iter().position(|known| known == name).unwrap())
            .collect();
        let expected: Vec<Vec<String>> = files
            .iter()
            .flat_map(|(rows, _)| rows)
            .map(|row| order.iter().map(|&at| row[at].clone()).collect())
            .collect();
        let whole = read(&source, None);
        prop_assert_eq!(&cells(&whole), &expected);
        prop_assert!(whole.windows(2).all(|pair| pair[0].2.1 <= pair[1].2.0), "positions ascend");

        // By what was found, as a resume does.
        let again = Source::reopen(&source.files(), &options).unwrap();
        prop_assert_eq!(&read(&again, None), &whole);
        if !whole.is_empty() {
            let (from, to) = (from.index(whole.len()), to.index(whole.len()));
            let (from, to) = (from.min(to), from.max(to));
            let stretch = Stretch {
                start: whole[from].2.0,
                end: whole[to].2.1,
                first_row: RowNumber(whole[from].0),
            };
            for source in [&again, &source] {
                prop_assert_eq!(&read(source, Some(stretch))[..], &whole[from..=to]);
                // What was left open goes on where it was left.
                let rest =
                    Stretch { start: stretch.end, end: source.end(), first_row: RowNumber(whole[to].0 + 1) };
                prop_assert_eq!(&read(source, Some(rest))[..], &whole[to + 1..]);
            }
        }
        // Every row is told by its file.
        let mut row = 0;
        for (file, (rows, _)) in files.iter().enumerate() {
            for own in 1..=rows.len() as u64 {
                row += 1;
                let place = RowPlace { file, row: RowNumber(own) };
                prop_assert_eq!(source.place_of(RowNumber(row)), place);
                prop_assert_eq!(source.row_at(&format!("{file}.csv"), own), Some(RowNumber(row)));
            }
        }
    }
}

fn file(folder: &TempDir, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn refusal(paths: &[PathBuf], options: &SourceOptions) -> String {
    let folder = paths[0].parent().unwrap().display().to_string();
    Source::open(paths, options).unwrap_err().to_string().replace(&folder, "")
}

#[test]
fn files_with_other_columns_are_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let one = file(&folder, "one.csv", "Name,Phone\nA,1\n");
    let other = file(&folder, "other.csv", "Phone,Email\n1,x\n");
    insta::assert_snapshot!(
        refusal(&[one, other], &SourceOptions::default()),
        @"/other.csv: the header is not that of the first file: it lacks the columns `Name`, and has columns more: `Email`"
    );
}

#[test]
fn what_is_packed_and_cut_short_is_told_while_it_is_read() {
    let folder = TempDir::new().unwrap();
    let rows: Vec<[String; 3]> = (0..200_000)
        .map(|n| [format!("A{}", n * 7919 % 9973), n.to_string(), "x".into()])
        .collect();
    let whole = text(&rows, Form::Gzip);
    let path = file(&folder, "cut.csv.gz", &whole[..whole.len() - 100]);
    let source = Source::open(&[path], &SourceOptions::default()).unwrap();
    let mut stream = source.rows(None).unwrap();
    let error = loop {
        match stream.next_batch() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a cut file passes for a whole one"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.ends_with("the gzip data break off; the file was cut short"), "{error}");
}

#[test]
fn bytes_that_mean_nothing_in_an_encoding_reject_their_row() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "j.csv", b"Name,Phone\n\x93\xFA,1\n\x81,2\nA,3\n");
    let options =
        SourceOptions { encoding: Some("shift_jis".to_owned()), ..SourceOptions::default() };
    let source = Source::open(&[path], &options).unwrap();
    let batch = source.rows(None).unwrap().next_batch().unwrap().unwrap();
    let faults: Vec<_> = batch.records.iter().map(|record| record.fault).collect();
    assert_eq!(faults, [None, Some(RowFault::Encoding { column: 1 }), None]);
    assert_eq!(batch.record(&batch.records[0]), "日,1".as_bytes());
}

#[test]
fn encodings_that_are_none_or_contradict_a_mark_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "a.csv", b"\xEF\xBB\xBFName\nA\n");
    let with = |label: &str| {
        let encoding = Some(label.to_owned());
        refusal(std::slice::from_ref(&path), &SourceOptions { encoding, ..Default::default() })
    };
    insta::assert_snapshot!(
        with("klingon"),
        @"/a.csv: `klingon` is no encoding; windows-1252, utf-16le, shift_jis are some"
    );
    insta::assert_snapshot!(
        with("latin1"),
        @"/a.csv: the file begins with the byte order mark of UTF-8, and --encoding says windows-1252"
    );
}

#[test]
fn a_file_that_is_not_utf_8_is_noted_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "l.csv", b"Name\nA\nM\xFCller\n");
    let source = Source::open(&[path], &SourceOptions::default()).unwrap();
    assert!(source.notes()[0].contains("not UTF-8 in row 2"), "{:?}", source.notes());
    assert!(source.notes()[0].contains("--encoding"), "{:?}", source.notes());
}

#[test]
fn a_packed_file_that_was_changed_is_refused_when_it_is_read_again() {
    let folder = TempDir::new().unwrap();
    let rows = [["A".to_owned(), "1".to_owned(), String::new()]];
    let path = file(&folder, "a.csv.gz", text(&rows, Form::Gzip));
    let source = Source::open(std::slice::from_ref(&path), &SourceOptions::default()).unwrap();
    let more = [rows[0].clone(), rows[0].clone()];
    std::fs::write(&path, text(&more, Form::Gzip)).unwrap();
    assert!(matches!(source.rows(None), Err(SourceError::Changed { .. })));
}
