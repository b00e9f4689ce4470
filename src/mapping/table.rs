//! Value maps and lookups: what stands for what.
//!
//! A table is in memory as long as it is small, and on disk beyond. It is read
//! once, then shared by all threads.

mod disk;
mod kept;
mod read;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use self::disk::DiskTable;
use super::asked::AskedTable;
use super::text::trimmed_text;
use crate::domain::RecordId;
use crate::rows::{SourceError, SourceRows};

/// Bytes of entries that a table holds in memory at most, 48 for each with
/// them; so much is little beside the chunks of a load, and holds
/// every value map and most lookups.
pub const MOST_TABLE_BYTES: u64 = 64 << 20;

/// Bytes an entry takes besides its text, about.
pub(super) const ENTRY_BYTES: u64 = 48;

/// Between the parts of a composite key; no text holds it by accident.
const BETWEEN: char = '\u{1F}';

/// How files of value maps and lookups are opened. A mapping knows no reader;
/// whoever does gives this.
pub trait TableFiles {
    /// Opens a file as it says, the rest found out from it.
    ///
    /// # Errors
    /// [`SourceError`] when it can't be read.
    fn open(&self, file: &TableFile) -> Result<Box<dyn SourceRows>, SourceError>;

    /// A folder below which tables lie that are too large for memory, until
    /// they are dropped.
    fn scratch(&self) -> &Path;

    /// Bytes of a table that are held in memory.
    fn memory(&self) -> u64 {
        MOST_TABLE_BYTES
    }
}

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
    /// In a CSV or Parquet file.
    File(TableFile),
    /// Records of the org.
    Asked(AskedTable),
}

/// A file that is a table.
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
    /// Its delimiter, where the mapping names one.
    pub delimiter: Option<u8>,
    /// The encoding of its text, where the mapping names one.
    pub encoding: Option<String>,
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

/// A table that can be asked.
#[derive(Debug)]
pub(super) struct Table {
    store: Store,
    form: KeyForm,
}

#[derive(Debug)]
enum Store {
    Memory(Entered),
    Disk(DiskTable),
}

/// Values by keys, `None` for a key of several values.
type Entered = HashMap<Box<str>, Option<Box<str>>, BuildHasherDefault<KeyHasher>>;

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

/// The form in which keys are compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KeyForm {
    pub(super) ignore_case: bool,
    /// The parts that are record ids, by their place: those of 15 characters
    /// are completed.
    pub(super) ids: Vec<usize>,
}

impl KeyForm {
    fn write_key(&self, parts: &[&str], key: &mut String) {
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                key.push(BETWEEN);
            }
            self.write_part(at, part, key);
        }
    }

    /// Appends a part of a key.
    fn write_part(&self, at: usize, part: &str, key: &mut String) {
        let part = part.trim();
        if self.ids.contains(&at)
            && let Ok(id) = RecordId::parse(part.as_bytes())
        {
            key.push_str(id.as_str());
        } else if self.ignore_case {
            key.extend(part.chars().flat_map(char::to_lowercase));
        } else {
            key.push_str(part);
        }
    }
}

/// What a table says of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'t> {
    Value(&'t str),
    /// A value, in the room that was given.
    InRoom,
    Nothing,
    Several,
    /// The table lies on disk and can't be read any longer.
    Unreadable,
}

impl Table {
    pub(super) fn empty(form: KeyForm) -> Self {
        Table { store: Store::Memory(Entered::default()), form }
    }

    /// Reads a table. A file must be the one that is known, if one is. `folder`
    /// is where a run keeps what the org answered; a table that was not asked
    /// for yet is empty.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub(super) fn load(
        source: &mut TableSource,
        folder: Option<&Path>,
        files: &dyn TableFiles,
    ) -> Result<Self, String> {
        let form = KeyForm { ignore_case: source.ignore_case, ids: Vec::new() };
        let may_be_ambiguous = source.may_be_ambiguous;
        match &mut source.entries {
            Entries::Listed(entries) => {
                let mut table = Table::empty(form);
                for (key, value) in entries {
                    if !table.add(&[key.as_str()], value) {
                        return Err(format!("`{key}` is in it twice, with different values"));
                    }
                }
                Ok(table)
            }
            Entries::File(file) => read::read(file, form, may_be_ambiguous, files),
            Entries::Asked(asked) if asked.sha256.is_empty() => Ok(Table::empty(form)),
            Entries::Asked(asked) => {
                let form = KeyForm { ids: asked.id_keys.clone(), ..form };
                kept::read(asked, form, folder.unwrap_or(Path::new("")))
            }
        }
    }

    /// Keys in it.
    pub(super) fn keys(&self) -> u64 {
        match &self.store {
            Store::Memory(entries) => entries.len() as u64,
            Store::Disk(disk) => disk.keys(),
        }
    }

    pub(super) const fn is_on_disk(&self) -> bool {
        matches!(self.store, Store::Disk(_))
    }

    pub(super) const fn ignores_case(&self) -> bool {
        self.form.ignore_case
    }

    /// Adds an entry to one in memory; whether it says nothing else than those
    /// before.
    pub(super) fn add(&mut self, parts: &[&str], value: &str) -> bool {
        let mut key = String::new();
        self.form.write_key(parts, &mut key);
        match &mut self.store {
            Store::Memory(entries) => enter(entries, key, value),
            Store::Disk(_) => false,
        }
    }

    /// Appends a part of a key in the form in which it is compared.
    pub(super) fn write_part(&self, at: usize, part: &str, key: &mut String) {
        self.form.write_part(at, part, key);
    }

    /// Appends what stands between the parts of a key.
    pub(super) fn next_part(key: &mut String) {
        key.push(BETWEEN);
    }

    /// Looks up a value; `room` is used where it, or what is found, has to be
    /// written first.
    pub(super) fn find(&self, value: &str, room: &mut String) -> Found<'_> {
        if !self.form.ignore_case && self.form.ids.is_empty() {
            return self.find_key(trimmed_text(value), room);
        }
        let mut key = std::mem::take(room);
        key.clear();
        self.form.write_part(0, value, &mut key);
        let found = self.find_key(&key, room);
        if found != Found::InRoom {
            // So that the next one finds room.
            *room = key;
        }
        found
    }

    /// Looks up a key that was written by this table.
    pub(super) fn find_key(&self, key: &str, room: &mut String) -> Found<'_> {
        match &self.store {
            Store::Memory(entries) => match entries.get(key) {
                Some(Some(value)) => Found::Value(value),
                Some(None) => Found::Several,
                None => Found::Nothing,
            },
            Store::Disk(disk) => disk.find(key, room),
        }
    }
}

/// Enters a value; whether it is none other than those before.
fn enter(entries: &mut Entered, key: String, value: &str) -> bool {
    let known = entries.entry(key.into_boxed_str());
    let entry = known.or_insert_with(|| Some(value.into()));
    let agrees = entry.as_deref() == Some(value);
    if !agrees {
        *entry = None;
    }
    agrees
}

/// What is wrong with a file that was known.
fn was_changed(shown: &str) -> String {
    format!("{shown} was changed since the run began")
}
