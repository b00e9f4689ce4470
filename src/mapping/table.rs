//! Value maps and lookups: what stands for what, held in memory.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::asked::AskedTable;
use super::text::trimmed_text;
use crate::rows::hex;

/// Bytes a file may have. In memory it takes some three times as much.
pub const MOST_TABLE_BYTES: u64 = 64 << 20;

/// Between the parts of a composite key; no text holds it by accident.
const BETWEEN: char = '\u{1F}';

/// A value map or a lookup, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSource {
    /// What it is called in messages, such as `maps.ratings`.
    pub name: String,
    /// Whether letter case doesn't count.
    pub ignore_case: bool,
    /// Whether a key may have several values, of which none is taken.
    pub may_be_ambiguous: bool,
    /// Where its entries are.
    pub entries: Entries,
}

/// Where the entries of a table are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entries {
    /// In the mapping file.
    Listed(Vec<(String, String)>),
    /// In a CSV file.
    File(TableFile),
    /// Records of the org.
    Asked(AskedTable),
}

/// A CSV file that is a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFile {
    /// Where it lies.
    pub path: PathBuf,
    /// SHA-256 of its content, in hexadecimal; empty before it was read.
    pub sha256: String,
    /// Its key columns.
    pub keys: Vec<String>,
    /// Its column of values.
    pub value: String,
    /// Its delimiter.
    pub delimiter: u8,
    /// The encoding of its text.
    pub encoding: String,
}

impl TableSource {
    /// How many parts its key has.
    pub(super) fn parts(&self) -> usize {
        match &self.entries {
            Entries::Listed(_) => 1,
            Entries::File(file) => file.keys.len(),
            Entries::Asked(asked) => asked.keys.len(),
        }
    }
}

/// The column of a kept table that says `true` for a key of several values.
const SEVERAL: &str = "bulkhaul__Several";

/// A table in memory.
#[derive(Debug)]
pub(super) struct Table {
    /// `None` for a key of several values.
    entries: HashMap<Box<str>, Option<Box<str>>, BuildHasherDefault<KeyHasher>>,
    ignore_case: bool,
}

/// XXH3 for keys. Who could choose keys that collide is who wrote the table.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= xxh3_64(bytes);
    }

    fn write_u8(&mut self, end: u8) {
        self.0 = self.0.wrapping_add(u64::from(end));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What a table says of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'t> {
    Value(&'t str),
    Nothing,
    Several,
}

impl Table {
    pub(super) fn empty(ignore_case: bool) -> Self {
        Table { entries: HashMap::default(), ignore_case }
    }

    /// Reads a table. A file must be the one that is known, if one is. `folder`
    /// is where a run keeps what the org answered; a table that was not asked
    /// for yet is empty.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub(super) fn load(source: &mut TableSource, folder: Option<&Path>) -> Result<Self, String> {
        let mut table = Table::empty(source.ignore_case);
        let may_be_ambiguous = source.may_be_ambiguous;
        match &mut source.entries {
            Entries::Listed(entries) => {
                for (key, value) in entries {
                    if !table.add(&[key.as_str()], value) {
                        return Err(format!("`{key}` is in it twice, with different values"));
                    }
                }
            }
            Entries::File(file) => table.read(file, may_be_ambiguous)?,
            Entries::Asked(asked) if asked.sha256.is_empty() => {}
            Entries::Asked(asked) => table.read_kept(asked, folder.unwrap_or(Path::new("")))?,
        }
        Ok(table)
    }

    fn read(&mut self, file: &mut TableFile, may_be_ambiguous: bool) -> Result<(), String> {
        let shown = file.path.display().to_string();
        let bytes = contents(&file.path)?;
        let sha256 = hex(digest(&SHA256, &bytes).as_ref());
        if file.sha256.is_empty() {
            file.sha256 = sha256;
        } else if file.sha256 != sha256 {
            return Err(format!("{shown} was changed since the run began"));
        }
        let encoding = encoding_rs::Encoding::for_label(file.encoding.as_bytes())
            .ok_or_else(|| format!("`{}` is no encoding", file.encoding))?;
        let (text, _, has_errors) = encoding.decode(&bytes);
        if has_errors {
            return Err(format!(
                "{shown} is not in {}; `encoding` names another one",
                encoding.name()
            ));
        }
        let mut reader =
            csv::ReaderBuilder::new().delimiter(file.delimiter).from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| format!("{shown}: {error}"))?.clone();
        let find = |name: &str| {
            let at = header.iter().position(|column| column.trim() == name.trim());
            at.ok_or_else(|| {
                let names: Vec<_> = header.iter().map(|name| format!("`{name}`")).collect();
                format!("{shown} has no column `{name}`; it has {}", names.join(", "))
            })
        };
        let keys = file.keys.iter().map(|key| find(key)).collect::<Result<Vec<_>, _>>()?;
        let value = find(&file.value)?;
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(|error| unreadable(&shown, &error))? {
            let parts: Vec<&str> =
                keys.iter().map(|&key| record.get(key).unwrap_or_default().trim()).collect();
            if parts.iter().any(|part| part.is_empty()) {
                continue;
            }
            let value = record.get(value).unwrap_or_default().trim();
            if !self.add(&parts, value) && !may_be_ambiguous {
                let line = record.position().map_or(0, csv::Position::line);
                return Err(format!(
                    "{shown}, line {line}: the value stands there again, with another new value"
                ));
            }
        }
        Ok(())
    }

    /// The table as a run keeps it: CSV, in the order of the keys.
    pub(super) fn kept(&self, asked: &AskedTable) -> Vec<u8> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_unstable();
        let mut out = csv::Writer::from_writer(Vec::new());
        let names = asked.keys.iter().map(String::as_str);
        // Memory takes whatever is written to it.
        let _ = out.write_record(names.chain([asked.value.as_str(), SEVERAL]));
        for (key, value) in entries {
            let several = if value.is_none() { "true" } else { "" };
            let cells = [value.as_deref().unwrap_or_default(), several];
            let _ = out.write_record(key.split(BETWEEN).chain(cells));
        }
        out.into_inner().unwrap_or_default()
    }

    /// The SHA-256 of [`Table::kept`].
    pub(super) fn kept_sha256(&self, asked: &AskedTable) -> String {
        hex(digest(&SHA256, &self.kept(asked)).as_ref())
    }

    fn read_kept(&mut self, asked: &AskedTable, folder: &Path) -> Result<(), String> {
        let path = folder.join(&asked.file);
        let shown = path.display();
        let bytes =
            std::fs::read(&path).map_err(|error| format!("{shown} can't be read: {error}"))?;
        if hex(digest(&SHA256, &bytes).as_ref()) != asked.sha256 {
            return Err(format!("{shown} was changed since the run began"));
        }
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let mut record = csv::StringRecord::new();
        let parts = asked.keys.len();
        while reader
            .read_record(&mut record)
            .map_err(|error| unreadable(&shown.to_string(), &error))?
        {
            let keys: Vec<&str> = record.iter().take(parts).collect();
            let mut key = String::new();
            self.write_key(&keys, &mut key);
            let several = record.get(parts + 1) == Some("true");
            let value = record.get(parts).filter(|_| !several).map(Box::from);
            self.entries.insert(key.into_boxed_str(), value);
        }
        Ok(())
    }

    /// Keys in it.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) const fn ignores_case(&self) -> bool {
        self.ignore_case
    }

    /// Adds an entry; whether it says nothing else than those before.
    pub(super) fn add(&mut self, parts: &[&str], value: &str) -> bool {
        let mut key = String::new();
        self.write_key(parts, &mut key);
        let known = self.entries.entry(key.into_boxed_str());
        let entry = known.or_insert_with(|| Some(value.into()));
        let agrees = entry.as_deref() == Some(value);
        if !agrees {
            *entry = None;
        }
        agrees
    }

    fn write_key(&self, parts: &[&str], key: &mut String) {
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                key.push(BETWEEN);
            }
            self.write_part(part, key);
        }
    }

    /// Appends a part of a key in the form in which it is compared.
    pub(super) fn write_part(&self, part: &str, key: &mut String) {
        let part = part.trim();
        if self.ignore_case {
            key.extend(part.chars().flat_map(char::to_lowercase));
        } else {
            key.push_str(part);
        }
    }

    /// Appends what stands between the parts of a key.
    pub(super) fn next_part(key: &mut String) {
        key.push(BETWEEN);
    }

    /// Looks up a value; `room` is used where it has to be written first.
    pub(super) fn find(&self, value: &str, room: &mut String) -> Found<'_> {
        if !self.ignore_case {
            return self.find_key(trimmed_text(value));
        }
        room.clear();
        self.write_part(value, room);
        self.find_key(room)
    }

    /// Looks up a key that was written by this table.
    pub(super) fn find_key(&self, key: &str) -> Found<'_> {
        match self.entries.get(key) {
            Some(Some(value)) => Found::Value(value),
            Some(None) => Found::Several,
            None => Found::Nothing,
        }
    }
}

/// What is wrong with a line of a table; the reader's own words may hold
/// values of it.
fn unreadable(shown: &str, error: &csv::Error) -> String {
    let line = error.position().map_or(String::new(), |at| format!(", line {}", at.line()));
    let what = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} cells where the header has {expected_len}")
        }
        _ => "it can't be read as CSV".to_owned(),
    };
    format!("{shown}{line}: {what}")
}

fn contents(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let failed = |error| format!("{shown} can't be read: {error}");
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MOST_TABLE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST_TABLE_BYTES {
        return Err(format!(
            "{shown} has more than {} MiB, which is what is held in memory at most",
            MOST_TABLE_BYTES >> 20
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

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
                delimiter: b';',
                encoding: "windows-1252".to_owned(),
            }),
        }
    }

    #[test]
    fn keys_are_compared_without_outer_blanks_and_case_only_where_told() {
        let mut room = String::new();
        let table = Table::load(&mut listed(&[("Ä", "1"), ("b", "2")], false), None).unwrap();
        assert_eq!(table.find(" Ä ", &mut room), Found::Value("1"));
        assert_eq!(table.find("ä", &mut room), Found::Nothing);
        let table = Table::load(&mut listed(&[("Ä", "1"), ("b", "2")], true), None).unwrap();
        assert_eq!(table.find("ä", &mut room), Found::Value("1"));
        let twice = Table::load(&mut listed(&[("a", "1"), ("A", "2")], true), None).unwrap_err();
        assert_eq!(twice, "`A` is in it twice, with different values");
    }

    #[test]
    fn a_file_is_known_again_and_ambiguous_keys_have_no_value() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("owners.csv");
        std::fs::write(&path, b"K\xFCrzel;Land;Id\nM;DE;1\nM;AT;2\nM;DE;3\n;DE;4\nN;DE; 5 \n")
            .unwrap();
        let mut source = file(&path, &["Kürzel", "Land"], "Id");
        let table = Table::load(&mut source, None).unwrap();
        let find = |one: &str, other: &str| {
            let mut key = String::new();
            table.write_part(one, &mut key);
            Table::next_part(&mut key);
            table.write_part(other, &mut key);
            table.find_key(&key)
        };
        assert_eq!(find("M", "AT"), Found::Value("2"));
        assert_eq!(find("M", "DE"), Found::Several);
        assert_eq!(find(" N", "DE"), Found::Value("5"));
        assert_eq!(find("", "DE"), Found::Nothing);
        assert!(Table::load(&mut source, None).is_ok(), "the same content");
        std::fs::write(&path, b"K\xFCrzel;Land;Id\nM;DE;1\n").unwrap();
        let told = Table::load(&mut source, None).unwrap_err();
        assert!(told.ends_with("owners.csv was changed since the run began"), "{told}");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_without_its_values() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        let told = |source: &mut TableSource| Table::load(source, None).unwrap_err();
        assert!(told(&mut file(&path, &["A"], "B")).contains("can't be read: "));
        std::fs::write(&path, "A;B\nsecret;2;3\n").unwrap();
        let said = told(&mut file(&path, &["A"], "B"));
        assert!(said.ends_with("t.csv, line 2: 3 cells where the header has 2"), "{said}");
        let said = told(&mut file(&path, &["A"], "C"));
        assert!(said.ends_with("t.csv has no column `C`; it has `A`, `B`"), "{said}");
        let mut unique = file(&path, &["A"], "B");
        unique.may_be_ambiguous = false;
        std::fs::write(&path, "A;B\nx;1\nx;1\nx;2\n").unwrap();
        let said = told(&mut unique);
        assert!(said.ends_with("line 4: the value stands there again, with another new value"));
    }
}
