//! What the org answered, as a run keeps it: CSV, in the order of the keys.

use std::path::Path;

use ring::digest::{SHA256, digest};

use super::{BETWEEN, Entered, KeyForm, Store, Table, was_changed};
use crate::mapping::asked::AskedTable;
use crate::rows::hex;

/// The column that says `true` for a key of several values.
const SEVERAL: &str = "bulkhaul__Several";

impl Table {
    /// The table as a run keeps it.
    pub(in crate::mapping) fn kept(&self, asked: &AskedTable) -> Vec<u8> {
        let mut entries: Vec<_> = match &self.store {
            Store::Memory(entries) => entries.iter().collect(),
            // What was asked is never larger.
            Store::Disk(_) => Vec::new(),
        };
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
    pub(in crate::mapping) fn kept_sha256(&self, asked: &AskedTable) -> String {
        hex(digest(&SHA256, &self.kept(asked)).as_ref())
    }
}

/// Reads such a file again.
pub(super) fn read(asked: &AskedTable, form: KeyForm, folder: &Path) -> Result<Table, String> {
    let path = folder.join(&asked.file);
    let shown = path.display().to_string();
    let bytes = std::fs::read(&path).map_err(|error| format!("{shown} can't be read: {error}"))?;
    if hex(digest(&SHA256, &bytes).as_ref()) != asked.sha256 {
        return Err(was_changed(&shown));
    }
    let mut entries = Entered::default();
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let mut record = csv::StringRecord::new();
    let parts = asked.keys.len();
    // The reader's own words may hold values of it.
    let unreadable = |_| format!("{shown} can't be read as CSV");
    while reader.read_record(&mut record).map_err(unreadable)? {
        let keys: Vec<&str> = record.iter().take(parts).collect();
        let mut key = String::new();
        form.write_key(&keys, &mut key);
        let several = record.get(parts + 1) == Some("true");
        let value = record.get(parts).filter(|_| !several).map(Box::from);
        entries.insert(key.into_boxed_str(), value);
    }
    Ok(Table { store: Store::Memory(entries), form })
}
