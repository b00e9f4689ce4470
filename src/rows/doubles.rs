//! The rows of a source that are not sent because another row has their key, as
//! a file: found once before the start, and heeded by every process of the run.
//!
//! ```text
//! header   "BHDR", version u16, 0 u16, 0 u64
//! body     in ascending order: the row u64, the row that has its key u64
//! trailer  rows u64, xxh3-64 of all before u64
//! ```
//!
//! Numbers are little-endian, rows are counted as the stages do. The file is
//! private and appears whole under its name or not at all.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::checked_file::{CheckedWriter, HEADER_BYTES, damaged, number_at, open_checked};
use crate::domain::RowNumber;

const LETTERS: [u8; 4] = *b"BHDR";
const PAIR_BYTES: u64 = 16;
const TRAILER_BYTES: u64 = 8;

/// Writes such a file, row by row.
pub struct DoublesWriter {
    out: CheckedWriter,
    rows: u64,
}

impl DoublesWriter {
    /// Begins the file; it appears under `path` when finished.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(DoublesWriter { out: CheckedWriter::create(path, LETTERS, 0)?, rows: 0 })
    }

    /// Notes a row and the one that has its key; rows come in ascending order.
    ///
    /// # Errors
    /// What the system says.
    pub fn push(&mut self, row: RowNumber, twin: RowNumber) -> io::Result<()> {
        self.rows += 1;
        self.out.write(&row.0.to_le_bytes())?;
        self.out.write(&twin.0.to_le_bytes())
    }

    /// Ends the file: written, synced, named. Returns how many rows it has.
    ///
    /// # Errors
    /// What the system says; nothing appears under the name then.
    pub fn finish(mut self) -> io::Result<u64> {
        self.out.write(&self.rows.to_le_bytes())?;
        self.out.finish()?;
        Ok(self.rows)
    }
}

/// The rows of such a file, from one of them on.
#[derive(Debug)]
pub struct Doubles {
    file: BufReader<File>,
    left: u64,
    head: Option<(RowNumber, RowNumber)>,
}

impl Doubles {
    /// Opens a file, reads it once to see that it is whole, and goes to the
    /// first row that is not before this one.
    ///
    /// # Errors
    /// What the system says, or `InvalidData` naming the file and what is
    /// wrong with it.
    pub fn open(path: &Path, from: RowNumber) -> io::Result<Self> {
        let mut checked = open_checked(path, LETTERS, TRAILER_BYTES)?;
        let rows = number_at(&checked.trailer, 0);
        if Some(checked.body_end - HEADER_BYTES) != rows.checked_mul(PAIR_BYTES) {
            return Err(damaged(path, "its length is not that of its rows"));
        }
        let (mut low, mut high) = (0, rows);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut row = [0u8; 8];
            checked.file.seek(SeekFrom::Start(HEADER_BYTES + middle * PAIR_BYTES))?;
            checked.file.read_exact(&mut row)?;
            if u64::from_le_bytes(row) < from.0 {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        checked.file.seek(SeekFrom::Start(HEADER_BYTES + low * PAIR_BYTES))?;
        let mut doubles =
            Doubles { file: BufReader::new(checked.file), left: rows - low, head: None };
        doubles.advance()?;
        Ok(doubles)
    }

    fn advance(&mut self) -> io::Result<()> {
        self.head = None;
        if self.left > 0 {
            self.left -= 1;
            let mut pair = [0u8; PAIR_BYTES as usize];
            self.file.read_exact(&mut pair)?;
            self.head = Some((RowNumber(number_at(&pair, 0)), RowNumber(number_at(&pair, 8))));
        }
        Ok(())
    }

    /// The next row up to this one, and the row that has its key.
    ///
    /// # Errors
    /// What the system says.
    pub fn next_up_to(&mut self, row: RowNumber) -> io::Result<Option<(RowNumber, RowNumber)>> {
        let next = self.head.filter(|(head, _)| *head <= row);
        if next.is_some() {
            self.advance()?;
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_from_any_of_them_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doubles");
        let mut writer = DoublesWriter::create(&path).unwrap();
        for row in 1..=100u64 {
            writer.push(RowNumber(row * 3), RowNumber(row)).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), 100);
        for from in [0, 1, 3, 4, 150, 300, 301, 1_000] {
            let mut doubles = Doubles::open(&path, RowNumber(from)).unwrap();
            let mut rows = Vec::new();
            // As batches of seven rows would ask.
            for end in (7..=350).step_by(7) {
                while let Some((row, twin)) = doubles.next_up_to(RowNumber(end)).unwrap() {
                    assert!(row.0 <= end && row.0 == twin.0 * 3);
                    rows.push(row.0);
                }
            }
            let expected: Vec<u64> =
                (1..=100).map(|row| row * 3).filter(|row| *row >= from).collect();
            assert_eq!(rows, expected, "from {from}");
        }
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[40] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let error = Doubles::open(&path, RowNumber(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
