//! Tables of files: what is found in them, in memory and on disk, and what is
//! told of a file that is none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::domain::{LineEnding, RowNumber};
use crate::rows::{Dialect, RecordSplitter, RowStream, Stretch};

/// Opens UTF-8 files, with a comma if nothing else is said.
pub(crate) struct CsvTables {
    scratch: PathBuf,
    memory: u64,
}

impl Default for CsvTables {
    fn default() -> Self {
        CsvTables { scratch: PathBuf::from("/nowhere"), memory: MOST_TABLE_BYTES }
    }
}

struct CsvFile {
    path: PathBuf,
    dialect: Dialect,
    header: Vec<String>,
    begin: u64,
}

struct CsvRows(RecordSplitter<BufReader<File>>);

impl RowStream for CsvRows {
    fn next_batch(&mut self) -> Result<Option<crate::rows::RawBatch>, SourceError> {
        self.0.next_batch()
    }
}

impl TableFiles for CsvTables {
    fn open(&self, file: &TableFile) -> Result<Box<dyn SourceRows>, SourceError> {
        let path = file.path.clone();
        let failed = |source| SourceError::Io { path: path.clone(), source };
        let delimiter = file.delimiter.unwrap_or(b',');
        let dialect = Dialect { delimiter, quote: b'"', line_ending: LineEnding::Lf };
        let open = File::open(&path).map_err(failed)?;
        let mut rows = RecordSplitter::new(open, dialect, None, RowNumber(1), 0, &path);
        let header = rows.read_header()?.ok_or(SourceError::Empty { path: path.clone() })?;
        let begin = rows.offset();
        Ok(Box::new(CsvFile { path, dialect, header: header.cells, begin }))
    }

    fn scratch(&self) -> &Path {
        &self.scratch
    }

    fn memory(&self) -> u64 {
        self.memory
    }
}

impl SourceRows for CsvFile {
    fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn header(&self) -> &[String] {
        &self.header
    }

    fn rows(&self, _: Option<Stretch>) -> Result<Box<dyn RowStream>, SourceError> {
        let failed = |source| SourceError::Io { path: self.path.clone(), source };
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(self.begin)).map_err(failed)?;
        let columns = Some(self.header.len() as u32);
        let (file, row) = (BufReader::new(file), RowNumber(1));
        let rows = RecordSplitter::new(file, self.dialect, columns, row, self.begin, &self.path);
        Ok(Box::new(CsvRows(rows)))
    }

    fn bytes(&self, _: u64, _: u64) -> Result<Box<dyn Read + Send>, SourceError> {
        Err(SourceError::Changed { path: self.path.clone() })
    }
}

fn files() -> CsvTables {
    CsvTables::default()
}

fn listed(entries: &[(&str, &str)], ignore_case: bool) -> TableSource {
    let entries = entries.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
    TableSource {
        name: "maps.x".to_owned(),
        ignore_case,
        may_be_ambiguous: false,
        entries: Entries::Listed(entries.collect()),
    }
}

fn file(path: &Path, keys: &[&str], value: &str) -> TableSource {
    TableSource {
        name: "lookups.x".to_owned(),
        ignore_case: false,
        may_be_ambiguous: true,
        entries: Entries::File(TableFile {
            path: path.to_owned(),
            sha256: String::new(),
            keys: keys.iter().map(|&key| key.to_owned()).collect(),
            value: value.to_owned(),
            delimiter: Some(b';'),
            encoding: None,
        }),
    }
}

#[test]
fn keys_are_compared_without_outer_blanks_and_case_only_where_told() {
    let mut room = String::new();
    let load = |source: &mut TableSource| Table::load(source, None, &files());
    let table = load(&mut listed(&[("Ä", "1"), ("b", "2")], false)).unwrap();
    assert_eq!(table.find(" Ä ", &mut room), Found::Value("1"));
    assert_eq!(table.find("ä", &mut room), Found::Nothing);
    let table = load(&mut listed(&[("Ä", "1"), ("b", "2")], true)).unwrap();
    assert_eq!(table.find("ä", &mut room), Found::Value("1"));
    let twice = load(&mut listed(&[("a", "1"), ("A", "2")], true)).unwrap_err();
    assert_eq!(twice, "`A` is in it twice, with different values");
}

#[test]
fn ids_of_15_and_of_18_characters_are_the_same() {
    let form = KeyForm { ignore_case: false, ids: vec![0] };
    let mut table = Table::empty(form);
    table.add(&["001D000000IqhSL"], "x");
    let mut room = String::new();
    assert_eq!(table.find(" 001D000000IqhSLIAZ", &mut room), Found::Value("x"));
    assert_eq!(table.find("001D000000IqhSL", &mut room), Found::Value("x"));
    assert_eq!(table.find("001D000000IqhSl", &mut room), Found::Nothing);
    assert_eq!(table.find("no id", &mut room), Found::Nothing);
}

/// Finds a composite key of two parts.
fn find_two<'t>(table: &'t Table, one: &str, other: &str, room: &mut String) -> Found<'t> {
    let mut key = String::new();
    table.write_part(0, one, &mut key);
    Table::next_part(&mut key);
    table.write_part(1, other, &mut key);
    table.find_key(&key, room)
}

#[test]
fn a_file_is_known_again_and_ambiguous_keys_have_no_value() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("owners.csv");
    let text = "Kürzel;Land;Id\nM;DE;1\nM;AT;2\nM;DE;3\n;DE;4\nN;DE; 5 \nO;\"D\"\"E\";\"6\"\n";
    std::fs::write(&path, text).unwrap();
    let mut source = file(&path, &["Kürzel", "Land"], "Id");
    let table = Table::load(&mut source, None, &files()).unwrap();
    let mut room = String::new();
    assert_eq!(find_two(&table, "M", "AT", &mut room), Found::Value("2"));
    assert_eq!(find_two(&table, "M", "DE", &mut room), Found::Several);
    assert_eq!(find_two(&table, " N", "DE", &mut room), Found::Value("5"));
    assert_eq!(find_two(&table, "O", "D\"E", &mut room), Found::Value("6"));
    assert_eq!(find_two(&table, "", "DE", &mut room), Found::Nothing);
    assert!(Table::load(&mut source, None, &files()).is_ok(), "the same content");
    std::fs::write(&path, "Kürzel;Land;Id\nM;DE;1\n").unwrap();
    let told = Table::load(&mut source, None, &files()).unwrap_err();
    assert!(told.ends_with("owners.csv was changed since the run began"), "{told}");
}

#[test]
fn what_is_wrong_with_a_file_is_told_without_its_values() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    let told = |source: &mut TableSource| Table::load(source, None, &files()).unwrap_err();
    assert!(told(&mut file(&path, &["A"], "B")).contains("t.csv can't be read: "));
    std::fs::write(&path, "A;B\nfine;1\nsecret;2;3\n").unwrap();
    let said = told(&mut file(&path, &["A"], "B"));
    assert!(said.ends_with("t.csv, row 2: 3 cells where the header has 2"), "{said}");
    let said = told(&mut file(&path, &["A"], "C"));
    assert!(said.ends_with("t.csv has no column `C`; it has `A`, `B`"), "{said}");
    std::fs::write(&path, "A;B;A\n1;2;3\n").unwrap();
    let said = told(&mut file(&path, &["A"], "B"));
    assert!(said.ends_with("t.csv has the column `A` twice"), "{said}");
    let mut unique = file(&path, &["A"], "B");
    unique.may_be_ambiguous = false;
    std::fs::write(&path, "A;B\nx;1\nx;1\nx;2\n").unwrap();
    let said = told(&mut unique);
    assert!(said.ends_with("row 3: the value stands there again, with another new value"));
}

#[test]
fn a_value_map_stays_in_memory_and_a_lookup_says_where_it_can_not_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    std::fs::write(&path, "A;B\nx;1\ny;2\nz;3\n").unwrap();
    let small = CsvTables { scratch: path.join("no-folder"), memory: 100 };
    let mut map = file(&path, &["A"], "B");
    map.may_be_ambiguous = false;
    let said = Table::load(&mut map, None, &small).unwrap_err();
    assert!(said.contains("t.csv has more than 64 MiB of entries"), "{said}");
    let said = Table::load(&mut file(&path, &["A"], "B"), None, &small).unwrap_err();
    let end = "can't be written, where a lookup lies that is too large for memory: ";
    assert!(said.contains("no-folder") && said.contains(end), "{said}");
}

#[cfg(unix)]
#[test]
fn a_table_on_disk_is_private_and_gone_in_the_end() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    std::fs::write(&path, "A;B\nx;1\ny;2\nz;3\n").unwrap();
    let scratch = dir.path().join("runs");
    let small = CsvTables { scratch: scratch.clone(), memory: 100 };
    let table = Table::load(&mut file(&path, &["A"], "B"), None, &small).unwrap();
    let folder = std::fs::read_dir(&scratch).unwrap().next().unwrap().unwrap().path();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&folder.join("table.sqlite"))), (0o700, 0o600));
    let mut room = String::new();
    assert_eq!(table.find("y", &mut room), Found::InRoom);
    assert_eq!(room, "2");
    // A file that is damaged rejects rows, and never says that a key is missing.
    std::fs::write(folder.join("table.sqlite"), vec![7; 8192]).unwrap();
    let again = DiskTable::unopened(&folder.join("table.sqlite"));
    assert_eq!(again.find("y", &mut room), Found::Unreadable);
    drop((table, again));
    assert!(!folder.exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever fits into memory: found is what the file says of a key.
    #[test]
    fn on_disk_as_in_memory(
        rows in prop::collection::vec(("[a-cA-C]{0,2}", "[xyÄ\"; ]{0,2}"), 0..60),
        memory in 1u64..3000,
        ignore_case in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        let mut text = b"Key;Value\n".to_vec();
        let mut expected: BTreeMap<String, Option<String>> = BTreeMap::new();
        for (key, value) in &rows {
            crate::rows::write_record(&mut text, [key.as_bytes(), value.as_bytes()], b';');
            text.push(b'\n');
            if key.is_empty() {
                continue;
            }
            let key = if ignore_case { key.to_lowercase() } else { key.clone() };
            let value = value.trim().to_owned();
            let known = expected.entry(key).or_insert_with(|| Some(value.clone()));
            if known.as_ref() != Some(&value) {
                *known = None;
            }
        }
        std::fs::write(&path, text).unwrap();
        let mut source = file(&path, &["Key"], "Value");
        source.ignore_case = ignore_case;
        let files = CsvTables { scratch: dir.path().to_owned(), memory };
        let table = Table::load(&mut source, None, &files).unwrap();
        let mut room = String::new();
        for key in ["a", "B", "cc", "Ab", "bA", "AA", "c", "nothing"] {
            let found = table.find(key, &mut room);
            let found = match found {
                Found::Value(value) => Some(Some(value.to_owned())),
                Found::InRoom => Some(Some(room.clone())),
                Found::Several => Some(None),
                Found::Nothing => None,
                Found::Unreadable => panic!("unreadable"),
            };
            let key = if ignore_case { key.to_lowercase() } else { key.to_owned() };
            prop_assert_eq!(found, expected.get(&key).cloned(), "{}", key);
        }
    }
}
