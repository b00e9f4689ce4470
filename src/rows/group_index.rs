//! The group index of a source whose rows of one parent are adjacent: where
//! groups lie, and which of them make up a batch together.
//!
//! A *parcel* is what is to stand in one batch of a job: whole groups, at most
//! as many rows as a batch has; or one group that is larger than a batch,
//! together with what fills its last batch. Jobs are cut between parcels, so
//! that the batches of the org begin where parcels begin.
//!
//! ```text
//! header   "BHGI", version u16, 0 u16, number of the first row u64
//! parcel   how many groups varint, then per group:
//!          rows * 4 + 2 if loose + 1 if not all are sent, varint
//!          rows that are sent                                varint, if so
//!          bytes that are sent                               varint
//! trailer  0u8, rows of a batch u64, rows u64, xxh3-64 of all before u64
//! ```
//!
//! It is written by the grouper and read by the chunker, which don't know each
//! other. There is no key and no value in it (I8).

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::checked_file::{CheckedWriter, HEADER_BYTES, damaged, number_at, open_checked};
use crate::domain::RowNumber;

const LETTERS: [u8; 4] = *b"BHGI";
const TRAILER_BYTES: u64 = 17;
/// Groups a parcel holds at most; one that says more is damaged. A batch has
/// 10,000 rows, and every group has one at least.
const MAX_GROUPS: u64 = 1 << 20;
const BUFFER: usize = 64 << 10;

/// Adjacent rows that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupRun {
    /// How many rows of the source, those included that are not sent.
    pub rows: u64,
    /// How many of them are sent.
    pub sent: u64,
    /// Bytes of those that are sent, as they stand in the source.
    pub bytes: u64,
    /// Whether the rows have no parent, so that they may be parted anywhere.
    pub loose: bool,
}

/// Groups that are to stand in one batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parcel {
    /// Its groups, in order.
    pub groups: Vec<GroupRun>,
    /// Rows of all of them that are sent.
    pub sent: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Parcel {
    /// Takes a group; loose rows join those before them.
    pub fn push(&mut self, group: GroupRun) {
        self.sent += group.sent;
        self.bytes += group.bytes;
        match self.groups.last_mut() {
            Some(last) if last.loose && group.loose => {
                last.rows += group.rows;
                last.sent += group.sent;
                last.bytes += group.bytes;
            }
            _ => self.groups.push(group),
        }
    }
}

/// Writes a group index, parcel by parcel.
pub struct GroupIndexWriter {
    out: CheckedWriter,
    batch_rows: u64,
    rows: u64,
    record: Vec<u8>,
}

impl GroupIndexWriter {
    /// Begins an index; it appears under `path` when finished, in the place of
    /// one that may be there. `first_row` is the number of the first row it
    /// tells of, `batch_rows` how many rows a batch of the org has.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(path: &Path, first_row: RowNumber, batch_rows: u64) -> io::Result<Self> {
        let out = CheckedWriter::create(path, LETTERS, first_row.0)?;
        Ok(GroupIndexWriter { out, batch_rows, rows: 0, record: Vec::new() })
    }

    /// Appends a parcel; one without groups is passed over.
    ///
    /// # Errors
    /// What the system says.
    pub fn push(&mut self, parcel: &Parcel) -> io::Result<()> {
        if parcel.groups.is_empty() {
            return Ok(());
        }
        self.record.clear();
        varint(&mut self.record, parcel.groups.len() as u64);
        for group in &parcel.groups {
            let all = group.sent == group.rows;
            let flags = u64::from(group.loose) << 1 | u64::from(!all);
            varint(&mut self.record, group.rows << 2 | flags);
            if !all {
                varint(&mut self.record, group.sent);
            }
            varint(&mut self.record, group.bytes);
            self.rows += group.rows;
        }
        self.out.write(&self.record)
    }

    /// Ends the index: written, synced, named. Returns how many rows it tells
    /// of.
    ///
    /// # Errors
    /// What the system says; nothing appears under the name then.
    pub fn finish(mut self) -> io::Result<u64> {
        self.out.write(&[0])?;
        self.out.write(&self.batch_rows.to_le_bytes())?;
        self.out.write(&self.rows.to_le_bytes())?;
        self.out.finish()?;
        Ok(self.rows)
    }
}

/// A group index on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupIndex {
    path: PathBuf,
    first_row: RowNumber,
    batch_rows: u64,
    rows: u64,
    body_end: u64,
}

impl GroupIndex {
    /// Opens an index and reads it once to see that it is whole.
    ///
    /// # Errors
    /// What the system says, or `InvalidData` naming the file and what is
    /// wrong with it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let checked = open_checked(path, LETTERS, TRAILER_BYTES)?;
        let batch_rows = number_at(&checked.trailer, 1);
        if batch_rows == 0 {
            return Err(damaged(path, "its batches have no rows"));
        }
        Ok(GroupIndex {
            path: path.to_owned(),
            first_row: RowNumber(checked.number),
            batch_rows,
            rows: number_at(&checked.trailer, 9),
            body_end: checked.body_end,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of the first row it tells of.
    pub const fn first_row(&self) -> RowNumber {
        self.first_row
    }

    /// Rows of a batch of the org.
    pub const fn batch_rows(&self) -> u64 {
        self.batch_rows
    }

    /// How many rows it tells of.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Its parcels, in order.
    ///
    /// # Errors
    /// What the system says.
    pub fn parcels(&self) -> io::Result<Parcels> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(HEADER_BYTES))?;
        let body = file.take(self.body_end - HEADER_BYTES);
        Ok(Parcels { path: self.path.clone(), file: BufReader::with_capacity(BUFFER, body) })
    }
}

/// The parcels of an index, in order.
#[derive(Debug)]
pub struct Parcels {
    path: PathBuf,
    file: BufReader<io::Take<File>>,
}

impl Parcels {
    fn take_next(&mut self) -> io::Result<Option<Parcel>> {
        if self.file.buffer().is_empty() && self.file.get_ref().limit() == 0 {
            return Ok(None);
        }
        let count = self.varint()?;
        if count == 0 || count > MAX_GROUPS {
            return Err(damaged(&self.path, "a parcel has too many groups"));
        }
        let mut parcel = Parcel::default();
        parcel.groups.reserve_exact(count as usize);
        for _ in 0..count {
            let word = self.varint()?;
            let rows = word >> 2;
            let sent = if word & 1 == 1 { self.varint()? } else { rows };
            let bytes = self.varint()?;
            parcel.groups.push(GroupRun { rows, sent, bytes, loose: word & 2 == 2 });
            parcel.sent = parcel.sent.saturating_add(sent);
            parcel.bytes = parcel.bytes.saturating_add(bytes);
        }
        Ok(Some(parcel))
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0u8];
            self.file.read_exact(&mut byte)?;
            value |= u64::from(byte[0] & 0x7F) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(damaged(&self.path, "a number without end"))
    }
}

impl Iterator for Parcels {
    type Item = io::Result<Parcel>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take_next().transpose()
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel(groups: &[(u64, u64, u64, bool)]) -> Parcel {
        let mut parcel = Parcel::default();
        for &(rows, sent, bytes, loose) in groups {
            parcel.push(GroupRun { rows, sent, bytes, loose });
        }
        parcel
    }

    #[test]
    fn parcels_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grouped.groups");
        let parcels = [
            parcel(&[(1, 1, 80, false), (9_999, 9_990, 1 << 40, false)]),
            parcel(&[(25_000, 25_000, 7, false), (3, 3, 9, true), (0, 0, 0, false)]),
            parcel(&[(2, 0, 0, true)]),
        ];
        let mut writer = GroupIndexWriter::create(&path, RowNumber(11), 10_000).unwrap();
        for parcel in &parcels {
            writer.push(parcel).unwrap();
            writer.push(&Parcel::default()).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), 35_005);
        let index = GroupIndex::open(&path).unwrap();
        assert_eq!(
            (index.first_row(), index.batch_rows(), index.rows()),
            (RowNumber(11), 10_000, 35_005)
        );
        let read: Vec<Parcel> = index.parcels().unwrap().map(Result::unwrap).collect();
        assert_eq!(read, parcels);

        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(GroupIndex::open(&path).is_err(), "cut at {at}");
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            assert!(GroupIndex::open(&path).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn loose_rows_join() {
        let joined = parcel(&[(1, 1, 5, true), (2, 1, 6, true), (1, 1, 5, false)]);
        assert_eq!(
            joined.groups,
            [
                GroupRun { rows: 3, sent: 2, bytes: 11, loose: true },
                GroupRun { rows: 1, sent: 1, bytes: 5, loose: false }
            ]
        );
        assert_eq!((joined.sent, joined.bytes), (3, 16));
    }
}
