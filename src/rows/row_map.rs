//! The row map of a derived source: which row of the original each of its
//! rows is.
//!
//! A derived source holds rows of another one, in another order or fewer of
//! them. Ledger, chunker and reconciler count its rows by *position*; people
//! are told the number in the file they know.
//!
//! ```text
//! header   "BHRM", version u16, 0 u16, 0 u64
//! body     per position, from 1, the number of its row u64
//! trailer  whether they ascend u64, positions u64, xxh3-64 of all before u64
//! ```
//!
//! Numbers are little-endian. The file is private and appears whole under its
//! name or not at all.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::checked_file::{CheckedWriter, HEADER_BYTES, damaged, number_at, open_checked};
use crate::domain::RowNumber;

const LETTERS: [u8; 4] = *b"BHRM";
const ROW_BYTES: u64 = 8;
const TRAILER_BYTES: u64 = 16;
/// Positions read at a time: 64 KiB.
const BLOCK_ROWS: u64 = 8192;

/// Writes a row map, position by position.
pub struct RowMapWriter {
    out: CheckedWriter,
    rows: u64,
    last: u64,
    ascends: bool,
}

impl RowMapWriter {
    /// Begins a map; it appears under `path` when finished, in the place of
    /// one that may be there.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        let out = CheckedWriter::create(path, LETTERS, 0)?;
        Ok(RowMapWriter { out, rows: 0, last: 0, ascends: true })
    }

    /// Notes which row stands at the next position.
    ///
    /// # Errors
    /// What the system says.
    pub fn push(&mut self, row: RowNumber) -> io::Result<()> {
        self.ascends &= self.rows == 0 || row.0 > self.last;
        self.last = row.0;
        self.rows += 1;
        self.out.write(&row.0.to_le_bytes())
    }

    /// How many positions there are so far.
    pub const fn len(&self) -> u64 {
        self.rows
    }

    /// Whether there is no position yet.
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Ends the map: written, synced, named. Returns how many positions it has.
    ///
    /// # Errors
    /// What the system says; nothing appears under the name then.
    pub fn finish(mut self) -> io::Result<u64> {
        self.out.write(&u64::from(self.ascends).to_le_bytes())?;
        self.out.write(&self.rows.to_le_bytes())?;
        self.out.finish()?;
        Ok(self.rows)
    }
}

/// A row map on disk. Looking up is cheap where positions ascend: 64 KiB are
/// kept in memory.
#[derive(Debug)]
pub struct RowMap {
    path: PathBuf,
    rows: u64,
    ascends: bool,
    window: Mutex<Window>,
}

/// The part of the file that is in memory.
#[derive(Debug)]
struct Window {
    file: File,
    /// Positions before the first one in `rows`.
    skipped: u64,
    rows: Vec<u8>,
}

impl Window {
    /// The row at an index from 0, which must be in the file.
    fn row_at(&mut self, index: u64, rows: u64) -> io::Result<u64> {
        let held = self.rows.len() as u64 / ROW_BYTES;
        if index < self.skipped || index >= self.skipped + held {
            let begin = index - index % BLOCK_ROWS;
            let count = BLOCK_ROWS.min(rows - begin);
            self.rows.clear();
            self.file.seek(SeekFrom::Start(HEADER_BYTES + begin * ROW_BYTES))?;
            let wanted = count * ROW_BYTES;
            let got = self.file.by_ref().take(wanted).read_to_end(&mut self.rows)?;
            if got as u64 != wanted {
                self.rows.clear();
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.skipped = begin;
        }
        Ok(number_at(&self.rows, ((index - self.skipped) * ROW_BYTES) as usize))
    }
}

impl RowMap {
    /// Opens a map and reads it once to see that it is whole.
    ///
    /// # Errors
    /// What the system says, or `InvalidData` naming the file and what is
    /// wrong with it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let checked = open_checked(path, LETTERS, TRAILER_BYTES)?;
        let rows = number_at(&checked.trailer, 8);
        if Some(checked.body_end - HEADER_BYTES) != rows.checked_mul(ROW_BYTES) {
            return Err(damaged(path, "its length is not that of its rows"));
        }
        Ok(RowMap {
            path: path.to_owned(),
            rows,
            ascends: number_at(&checked.trailer, 0) == 1,
            window: Mutex::new(Window { file: checked.file, skipped: 0, rows: Vec::new() }),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many positions it has.
    pub const fn len(&self) -> u64 {
        self.rows
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the rows ascend with their positions: the derived source lacks
    /// rows at most, it doesn't reorder them.
    pub const fn is_ascending(&self) -> bool {
        self.ascends
    }

    /// The row at a position.
    ///
    /// # Errors
    /// `InvalidInput` for a position that there is not, else what the system
    /// says.
    pub fn row_of(&self, position: RowNumber) -> io::Result<RowNumber> {
        let index = position.0.checked_sub(1).filter(|index| *index < self.rows);
        let Some(index) = index else {
            let path = self.path.display();
            let text = format!("{path} has no position {position}, it ends with {}", self.rows);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        // A thread that panicked left at worst a window that is read anew.
        let mut window = self.window.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        window.row_at(index, self.rows).map(RowNumber)
    }

    /// The rows of `count` positions from `first` on, as many as there are,
    /// by a reading of its own.
    ///
    /// # Errors
    /// What the system says.
    pub fn rows(&self, first: RowNumber, count: u64) -> io::Result<MappedRows> {
        let index = first.0.saturating_sub(1).min(self.rows);
        let file = File::open(&self.path)?;
        Ok(MappedRows {
            window: Window { file, skipped: 0, rows: Vec::new() },
            rows: self.rows,
            next: index,
            end: index.saturating_add(count).min(self.rows),
        })
    }
}

/// Rows of a map in the order of their positions.
#[derive(Debug)]
pub struct MappedRows {
    window: Window,
    rows: u64,
    next: u64,
    end: u64,
}

impl Iterator for MappedRows {
    type Item = io::Result<RowNumber>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let row = self.window.row_at(self.next, self.rows).map(RowNumber);
        self.next = if row.is_ok() { self.next + 1 } else { self.end };
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, rows: &[u64]) {
        let mut writer = RowMapWriter::create(path).unwrap();
        for &row in rows {
            writer.push(RowNumber(row)).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), rows.len() as u64);
    }

    #[test]
    fn rows_are_found_by_position_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grouped.rows");
        let rows: Vec<u64> = (0..20_000).map(|at| (at * 7919) % 20_000 + 1).collect();
        write(&path, &rows);
        let map = RowMap::open(&path).unwrap();
        assert_eq!((map.len(), map.is_ascending(), map.is_empty()), (20_000, false, false));
        for position in [1u64, 8192, 8193, 2, 20_000, 16_385, 16_384, 1] {
            let row = map.row_of(RowNumber(position)).unwrap();
            assert_eq!(row.0, rows[position as usize - 1], "position {position}");
        }
        let part: Vec<u64> =
            map.rows(RowNumber(8000), 9000).unwrap().map(|row| row.unwrap().0).collect();
        assert_eq!(part, rows[7999..16_999]);
        assert_eq!(map.rows(RowNumber(19_999), 9000).unwrap().count(), 2);
        let error = map.row_of(RowNumber(20_001)).unwrap_err();
        assert!(error.to_string().ends_with("has no position 20001, it ends with 20000"));
        assert!(map.row_of(RowNumber(0)).is_err());
    }

    #[test]
    fn a_map_knows_whether_it_ascends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.rows");
        for (rows, ascends) in
            [(vec![], true), (vec![5], true), (vec![2, 3, 9], true), (vec![2, 9, 3], false)]
        {
            write(&path, &rows);
            assert_eq!(RowMap::open(&path).unwrap().is_ascending(), ascends, "{rows:?}");
        }
        write(&path, &[4, 4]);
        assert!(!RowMap::open(&path).unwrap().is_ascending());
    }

    #[test]
    fn damage_is_noticed_and_an_unfinished_map_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.rows");
        write(&path, &[3, 1, 2]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(RowMap::open(&path).is_err(), "cut at {at}");
            let mut changed = whole.clone();
            changed[at] ^= 4;
            std::fs::write(&path, &changed).unwrap();
            assert!(RowMap::open(&path).is_err(), "changed at {at}");
        }
        std::fs::remove_file(&path).unwrap();
        let mut writer = RowMapWriter::create(&path).unwrap();
        writer.push(RowNumber(1)).unwrap();
        drop(writer);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
