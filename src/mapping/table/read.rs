//! A file becomes a table: in memory, and on disk once it takes too much.

use std::fs::File;
use std::path::Path;

use super::disk::{DiskError, DiskWriter};
use super::{
    ENTRY_BYTES, Entered, KeyForm, MOST_TABLE_BYTES, Store, Table, TableFile, TableFiles, enter,
    was_changed,
};
use crate::domain::error_chain;
use crate::rows::{Cell, Cells, SourceRows, sha256};

/// Reads a file, which must be the one that is known, if one is.
pub(super) fn read(
    file: &mut TableFile,
    form: KeyForm,
    may_be_ambiguous: bool,
    files: &dyn TableFiles,
) -> Result<Table, String> {
    let shown = file.path.display().to_string();
    // The reader sees to it that the file stays the same from here on.
    let rows = files.open(file).map_err(|error| error_chain(&error))?;
    let (_, digest) = File::open(&file.path)
        .and_then(sha256)
        .map_err(|error| format!("{shown} can't be read: {error}"))?;
    if file.sha256.is_empty() {
        file.sha256 = digest;
    } else if file.sha256 != digest {
        return Err(was_changed(&shown));
    }
    let columns = Columns::find(file, rows.header(), &shown)?;
    let mut builder = Builder {
        shown,
        may_be_ambiguous,
        entries: Entered::default(),
        held: 0,
        memory: files.memory(),
        scratch: files.scratch(),
        disk: None,
    };
    columns.each(&*rows, &form, &mut builder)?;
    let store = builder.finish().map_err(|error| error_chain(&error))?;
    Ok(Table { store, form })
}

/// The places of the columns that are read.
struct Columns {
    keys: Vec<usize>,
    value: usize,
    /// Columns from the left that are looked at.
    count: usize,
}

impl Columns {
    fn find(file: &TableFile, header: &[String], shown: &str) -> Result<Self, String> {
        let find = |name: &String| {
            let mut places = (0..).zip(header).filter(|(_, column)| column.trim() == name.trim());
            let Some((at, _)) = places.next() else {
                let names: Vec<_> = header.iter().map(|name| format!("`{name}`")).collect();
                return Err(format!("{shown} has no column `{name}`; it has {}", names.join(", ")));
            };
            if places.next().is_some() {
                return Err(format!("{shown} has the column `{name}` twice"));
            }
            Ok(at)
        };
        let keys = file.keys.iter().map(find).collect::<Result<Vec<usize>, _>>()?;
        let value = find(&file.value)?;
        let count = keys.iter().copied().fold(value, usize::max) + 1;
        Ok(Columns { keys, value, count })
    }

    /// Enters all rows.
    fn each(
        &self,
        source: &dyn SourceRows,
        form: &KeyForm,
        builder: &mut Builder<'_>,
    ) -> Result<(), String> {
        let dialect = source.dialect();
        let mut rows = source.rows(None).map_err(|error| error_chain(&error))?;
        let mut key = String::new();
        let mut room = Vec::new();
        while let Some(batch) = rows.next_batch().map_err(|error| error_chain(&error))? {
            let mut cells: Vec<Cell<'_>> = Vec::with_capacity(self.count);
            for (index, record) in batch.records.iter().enumerate() {
                let row = batch.first_row.plus(index as u64);
                if let Some(fault) = record.fault {
                    return Err(format!("{}, row {row}: {fault}", builder.shown));
                }
                cells.clear();
                let text = batch.record(record);
                cells.extend(Cells::new(text, dialect.delimiter, dialect.quote).take(self.count));
                key.clear();
                let mut is_whole = true;
                for (part, &column) in self.keys.iter().enumerate() {
                    if part > 0 {
                        Table::next_part(&mut key);
                    }
                    let text = text_of(&cells, column, &mut room);
                    is_whole &= !text.is_empty();
                    form.write_part(part, text, &mut key);
                }
                if is_whole {
                    let value = text_of(&cells, self.value, &mut room);
                    builder.add(&key, value).map_err(|what| what.told(&builder.shown, row.0))?;
                }
            }
        }
        Ok(())
    }
}

/// The text of a cell without outer blanks.
fn text_of<'r>(cells: &[Cell<'r>], column: usize, room: &'r mut Vec<u8>) -> &'r str {
    let value = cells.get(column).map_or(b"".as_slice(), |cell| cell.value_in(room));
    // A row that is no UTF-8 has a fault.
    std::str::from_utf8(value).unwrap_or_default().trim()
}

/// Why an entry can't be taken.
enum Refused {
    Twice,
    TooLarge,
    Disk(DiskError),
}

impl Refused {
    fn told(&self, shown: &str, row: u64) -> String {
        match self {
            Refused::Twice => {
                format!("{shown}, row {row}: the value stands there again, with another new value")
            }
            Refused::TooLarge => format!(
                "{shown} has more than {} MiB of entries, the most that a value map may have; a \
                 lookup may have any number",
                MOST_TABLE_BYTES >> 20
            ),
            Refused::Disk(error) => error_chain(error),
        }
    }
}

/// A table in the making.
struct Builder<'f> {
    shown: String,
    may_be_ambiguous: bool,
    entries: Entered,
    held: u64,
    memory: u64,
    scratch: &'f Path,
    disk: Option<DiskWriter>,
}

impl Builder<'_> {
    fn add(&mut self, key: &str, value: &str) -> Result<(), Refused> {
        self.held += (key.len() + value.len()) as u64 + ENTRY_BYTES;
        let agrees = enter(&mut self.entries, key.to_owned(), value);
        if !agrees && !self.may_be_ambiguous {
            return Err(Refused::Twice);
        }
        if self.held <= self.memory {
            return Ok(());
        }
        // One that may not be ambiguous would have to be checked on disk, too.
        if !self.may_be_ambiguous {
            return Err(Refused::TooLarge);
        }
        self.spill().map_err(Refused::Disk)
    }

    /// Brings what is in memory to disk, by key, so that it is written in order.
    fn spill(&mut self) -> Result<(), DiskError> {
        let disk = match &mut self.disk {
            Some(disk) => disk,
            none => none.insert(DiskWriter::begin(self.scratch)?),
        };
        let mut entries: Vec<_> = self.entries.drain().collect();
        entries.sort_unstable();
        disk.write(entries.iter().map(|(key, value)| (&**key, value.as_deref())))?;
        self.held = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<Store, DiskError> {
        if self.disk.is_some() {
            self.spill()?;
        }
        match self.disk {
            Some(disk) => disk.finish().map(Store::Disk),
            None => Ok(Store::Memory(self.entries)),
        }
    }
}
