//! The outcome file: the fate of each row of an attempt, or of the rejected
//! rows of a chunk, in about 25 bytes a row.
//!
//! ```text
//! header   "BHOC", version u16, 0 u16, chunk u64                     16 bytes
//! record   tag u8: fate in bits 0-2, tier in 3-5, has id 6, has error 7
//!          row: distance from the row before (from 0 for the first), varint
//!          attempts u8
//!          id: its first 15 characters                    if the tag says so
//!          error: varint n                                if the tag says so
//!                 n = 0: a new text, its length (varint) and its bytes
//!                 n > 0: the n-th text that was new
//! trailer  0xFF, records u64, xxh3-64 of all before it u64
//! ```
//!
//! Numbers are little-endian. A file is written under a temporary name, synced
//! and renamed, so that under its own name it is whole; it is read only after
//! its checksum was found right. Private to the user (0600): error texts can
//! hold row values. Both sides keep the first 1,024 short texts in memory, no
//! more.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3Default;

use crate::domain::{Fate, MatchTier, RecordId, RowNumber, RowOutcome, Tally};

const MAGIC: &[u8; 4] = b"BHOC";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 16;
/// Count and checksum, behind the mark that opens the trailer.
const TRAILER_BYTES: u64 = 17;
/// No record's tag: its fate would be 7.
const END: u8 = 0xFF;
const HAS_ID: u8 = 1 << 6;
const HAS_ERROR: u8 = 1 << 7;

/// Texts that later records may refer to: 4 MiB in memory at most.
const MAX_TEXTS: usize = 1024;
/// A longer text is written each time.
const MAX_TEXT_BYTES: usize = 4096;
/// No error text is longer; one that says so is damage.
const MAX_ERROR_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes moved at a time.
const BUFFER: usize = 64 * 1024;

/// Why an outcome file can't be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutcomeError {
    /// The operating system refused.
    #[error("the outcome file {} can't be {action}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done, as a participle.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not whole, or not what was written.
    #[error("the outcome file {} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// Rows must come in ascending order.
    #[error("row {row} came behind row {before}")]
    OutOfOrder {
        /// The row.
        row: RowNumber,
        /// The row before it.
        before: RowNumber,
    },
}

/// What an outcome file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeSummary {
    /// Chunk number.
    pub chunk: u64,
    /// Rows.
    pub rows: u64,
    /// Rows by fate; `read` is their number.
    pub tally: Tally,
    /// Bytes of the file.
    pub bytes: u64,
    /// Its checksum in hex, for the ledger.
    pub digest: String,
}

/// Writes an outcome file. Dropped without [`OutcomeWriter::finish`] it leaves
/// nothing.
pub struct OutcomeWriter {
    /// `None` once finished.
    file: Option<BufWriter<File>>,
    path: PathBuf,
    temporary: PathBuf,
    chunk: u64,
    hash: Box<Xxh3Default>,
    bytes: u64,
    last: u64,
    tally: Tally,
    texts: std::collections::HashMap<Box<str>, u64>,
    record: Vec<u8>,
}

impl OutcomeWriter {
    /// Begins a file for a chunk; it appears under `path` when finished, in
    /// the place of one that may be there.
    ///
    /// # Errors
    /// [`OutcomeError::Io`].
    pub fn create(path: &Path, chunk: u64) -> Result<Self, OutcomeError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let temporary = PathBuf::from(name);
        let file = private(&temporary).map_err(|source| OutcomeError::Io {
            path: temporary.clone(),
            action: "made",
            source,
        })?;
        let mut writer = OutcomeWriter {
            file: Some(BufWriter::with_capacity(BUFFER, file)),
            path: path.to_owned(),
            temporary,
            chunk,
            hash: Box::default(),
            bytes: 0,
            last: 0,
            tally: Tally::default(),
            texts: std::collections::HashMap::new(),
            record: Vec::with_capacity(256),
        };
        writer.record.extend_from_slice(MAGIC);
        writer.record.extend_from_slice(&VERSION.to_le_bytes());
        writer.record.extend_from_slice(&[0, 0]);
        writer.record.extend_from_slice(&chunk.to_le_bytes());
        writer.put()?;
        Ok(writer)
    }

    /// Appends an outcome; rows come in ascending order.
    ///
    /// # Errors
    /// [`OutcomeError::OutOfOrder`] or [`OutcomeError::Io`].
    pub fn push(&mut self, outcome: &RowOutcome) -> Result<(), OutcomeError> {
        if outcome.row.0 <= self.last && (self.tally.read > 0 || outcome.row.0 == 0) {
            return Err(OutcomeError::OutOfOrder {
                row: outcome.row,
                before: RowNumber(self.last),
            });
        }
        let mut tag = fate_code(outcome.fate) | tier_code(outcome.tier) << 3;
        tag |= if outcome.id.is_some() { HAS_ID } else { 0 };
        tag |= if outcome.error.is_some() { HAS_ERROR } else { 0 };
        self.record.clear();
        self.record.push(tag);
        varint(&mut self.record, outcome.row.0 - self.last);
        self.record.push(outcome.attempts);
        if let Some(id) = outcome.id {
            self.record.extend(id.as_bytes().iter().take(15));
        }
        if let Some(error) = &outcome.error {
            if let Some(&known) = self.texts.get(error.as_str()) {
                varint(&mut self.record, known);
            } else {
                self.record.push(0);
                varint(&mut self.record, error.len() as u64);
                self.record.extend_from_slice(error.as_bytes());
                if self.texts.len() < MAX_TEXTS && error.len() <= MAX_TEXT_BYTES {
                    let number = self.texts.len() as u64 + 1;
                    self.texts.insert(error.as_str().into(), number);
                }
            }
        }
        self.last = outcome.row.0;
        self.tally.read += 1;
        self.tally.count(outcome.fate);
        self.put()
    }

    /// Ends the file: written, synced, renamed, its folder synced. When this
    /// returns, the outcomes survive a power cut (I3).
    ///
    /// # Errors
    /// [`OutcomeError::Io`]; nothing appears under the final name then.
    pub fn finish(mut self) -> Result<OutcomeSummary, OutcomeError> {
        self.record.clear();
        self.record.push(END);
        self.record.extend_from_slice(&self.tally.read.to_le_bytes());
        self.put()?;
        let digest = self.hash.digest();
        let bytes = self.bytes + 8;
        let done = (|| {
            if let Some(file) = &mut self.file {
                file.write_all(&digest.to_le_bytes())?;
                file.flush()?;
                file.get_ref().sync_all()?;
            }
            std::fs::rename(&self.temporary, &self.path)?;
            sync_folder(&self.path)
        })();
        done.map_err(|source| self.failed(source))?;
        self.file = None;
        Ok(OutcomeSummary {
            chunk: self.chunk,
            rows: self.tally.read,
            tally: self.tally,
            bytes,
            digest: format!("{digest:016x}"),
        })
    }

    fn put(&mut self) -> Result<(), OutcomeError> {
        self.hash.update(&self.record);
        self.bytes += self.record.len() as u64;
        let written = self.file.as_mut().map_or(Ok(()), |file| file.write_all(&self.record));
        written.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> OutcomeError {
        OutcomeError::Io { path: self.path.clone(), action: "written", source }
    }
}

impl Drop for OutcomeWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Nothing depends on it; a leftover is overwritten next time.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Reads an outcome file, row by row.
#[derive(Debug)]
pub struct OutcomeReader {
    file: BufReader<io::Take<File>>,
    path: PathBuf,
    chunk: u64,
    rows: u64,
    digest: u64,
    read: u64,
    last: u64,
    texts: Vec<Box<str>>,
}

impl OutcomeReader {
    /// Opens a file and checks that it is whole, by one quick reading.
    ///
    /// # Errors
    /// [`OutcomeError::Damaged`] when it is cut, changed or something else,
    /// [`OutcomeError::Io`] when it can't be read.
    pub fn open(path: &Path) -> Result<Self, OutcomeError> {
        let failed = |source| OutcomeError::Io { path: path.to_owned(), action: "read", source };
        let damaged = |what| OutcomeError::Damaged { path: path.to_owned(), what };
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let Some(records_end) =
            length.checked_sub(TRAILER_BYTES).filter(|end| *end >= HEADER_BYTES as u64)
        else {
            return Err(damaged("it is too short"));
        };
        let mut hash = Xxh3Default::new();
        let mut block = vec![0u8; BUFFER];
        let mut left = length - 8;
        let mut head = Vec::with_capacity(HEADER_BYTES);
        while left > 0 {
            let want = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = match file.read(block.get_mut(..want).unwrap_or_default()) {
                Ok(0) => return Err(damaged("it ends early")),
                Ok(got) => block.get(..got).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            let missing = HEADER_BYTES - head.len();
            head.extend(got.iter().take(missing));
            hash.update(got);
            left -= got.len() as u64;
        }
        let mut checksum = [0u8; 8];
        file.read_exact(&mut checksum).map_err(failed)?;
        let digest = hash.digest();
        if digest != u64::from_le_bytes(checksum) {
            return Err(damaged("its checksum is wrong"));
        }
        if head.get(..4) != Some(MAGIC.as_slice()) {
            return Err(damaged("it is something else"));
        }
        if head.get(4..6) != Some(VERSION.to_le_bytes().as_slice()) {
            return Err(damaged("its version is not known"));
        }
        let chunk = number(head.get(8..16));
        file.seek(SeekFrom::Start(records_end)).map_err(failed)?;
        let mut trailer = [0u8; 9];
        file.read_exact(&mut trailer).map_err(failed)?;
        if trailer[0] != END {
            return Err(damaged("it has no trailer"));
        }
        let rows = number(trailer.get(1..));
        file.seek(SeekFrom::Start(HEADER_BYTES as u64)).map_err(failed)?;
        let records = file.take(records_end - HEADER_BYTES as u64);
        Ok(OutcomeReader {
            file: BufReader::with_capacity(BUFFER, records),
            path: path.to_owned(),
            chunk,
            rows,
            digest,
            read: 0,
            last: 0,
            texts: Vec::new(),
        })
    }

    /// Chunk number.
    pub const fn chunk(&self) -> u64 {
        self.chunk
    }

    /// How many rows the file holds.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Its checksum in hex, as [`OutcomeSummary::digest`].
    pub fn digest(&self) -> String {
        format!("{:016x}", self.digest)
    }

    fn read_record(&mut self) -> Result<RowOutcome, OutcomeError> {
        let tag = self.byte()?;
        let distance = self.varint()?;
        let attempts = self.byte()?;
        let fate = fate_of(tag & 7).ok_or_else(|| self.damaged("an unknown fate"))?;
        let tier = tier_of(tag >> 3 & 7).ok_or_else(|| self.damaged("an unknown tier"))?;
        let row = self
            .last
            .checked_add(distance)
            .filter(|_| distance > 0)
            .ok_or_else(|| self.damaged("rows out of order"))?;
        self.last = row;
        let id = if tag & HAS_ID != 0 {
            let mut id = [0u8; 15];
            self.file.read_exact(&mut id).map_err(|source| self.failed(source))?;
            Some(RecordId::parse(&id).map_err(|_| self.damaged("an id that is none"))?)
        } else {
            None
        };
        let error = if tag & HAS_ERROR != 0 { Some(self.text()?) } else { None };
        Ok(RowOutcome { row: RowNumber(row), fate, tier, attempts, id, error })
    }

    fn text(&mut self) -> Result<String, OutcomeError> {
        let number = self.varint()?;
        if let Some(known) = number.checked_sub(1) {
            return self
                .texts
                .get(usize::try_from(known).unwrap_or(usize::MAX))
                .map(|text| String::from(text.as_ref()))
                .ok_or_else(|| self.damaged("a text that never came"));
        }
        let length = self.varint()?;
        if length > MAX_ERROR_BYTES {
            return Err(self.damaged("a text without end"));
        }
        let mut bytes = vec![0u8; length as usize];
        self.file.read_exact(&mut bytes).map_err(|source| self.failed(source))?;
        let text = String::from_utf8(bytes).map_err(|_| self.damaged("a text not in UTF-8"))?;
        if self.texts.len() < MAX_TEXTS && text.len() <= MAX_TEXT_BYTES {
            self.texts.push(text.as_str().into());
        }
        Ok(text)
    }

    fn byte(&mut self) -> Result<u8, OutcomeError> {
        let mut byte = [0u8];
        self.file.read_exact(&mut byte).map_err(|source| self.failed(source))?;
        Ok(byte[0])
    }

    fn varint(&mut self) -> Result<u64, OutcomeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.damaged("a number without end"))
    }

    fn damaged(&self, what: &'static str) -> OutcomeError {
        OutcomeError::Damaged { path: self.path.clone(), what }
    }

    fn failed(&self, source: io::Error) -> OutcomeError {
        if source.kind() == io::ErrorKind::UnexpectedEof {
            return self.damaged("a record breaks off");
        }
        OutcomeError::Io { path: self.path.clone(), action: "read", source }
    }
}

impl Iterator for OutcomeReader {
    type Item = Result<RowOutcome, OutcomeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read == self.rows {
            return None;
        }
        self.read += 1;
        let record = self.read_record();
        if record.is_err() {
            self.read = self.rows;
        }
        Some(record)
    }
}

fn number(bytes: Option<&[u8]>) -> u64 {
    bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

const FATES: [Fate; 7] = [
    Fate::Created,
    Fate::Updated,
    Fate::Deleted,
    Fate::Failed,
    Fate::Unprocessed,
    Fate::Disputed,
    Fate::Rejected,
];

const TIERS: [Option<MatchTier>; 7] = [
    None,
    Some(MatchTier::Key),
    Some(MatchTier::UserKey),
    Some(MatchTier::UniqueColumn),
    Some(MatchTier::Digest),
    Some(MatchTier::Interchangeable),
    Some(MatchTier::Elimination),
];

fn fate_code(fate: Fate) -> u8 {
    match fate {
        Fate::Created => 0,
        Fate::Updated => 1,
        Fate::Deleted => 2,
        Fate::Failed => 3,
        Fate::Unprocessed => 4,
        Fate::Disputed => 5,
        Fate::Rejected => 6,
    }
}

fn fate_of(code: u8) -> Option<Fate> {
    FATES.get(usize::from(code)).copied()
}

fn tier_code(tier: Option<MatchTier>) -> u8 {
    match tier {
        None => 0,
        Some(MatchTier::Key) => 1,
        Some(MatchTier::UserKey) => 2,
        Some(MatchTier::UniqueColumn) => 3,
        Some(MatchTier::Digest) => 4,
        Some(MatchTier::Interchangeable) => 5,
        Some(MatchTier::Elimination) => 6,
    }
}

fn tier_of(code: u8) -> Option<Option<MatchTier>> {
    TIERS.get(usize::from(code)).copied()
}

/// Makes a file that only its owner may read; one that is there is emptied.
pub(super) fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

/// Makes the names in a file's folder survive a power cut.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    fn outcome(row: u64, fate: Fate) -> RowOutcome {
        RowOutcome {
            row: RowNumber(row),
            fate,
            tier: Some(MatchTier::Key),
            attempts: 1,
            id: Some("0017Q00000AbCdeQAF".parse().unwrap()),
            error: None,
        }
    }

    fn write(path: &Path, outcomes: &[RowOutcome]) -> OutcomeSummary {
        let mut writer = OutcomeWriter::create(path, 7).unwrap();
        for outcome in outcomes {
            writer.push(outcome).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(path: &Path) -> Result<Vec<RowOutcome>, OutcomeError> {
        OutcomeReader::open(path)?.collect()
    }

    #[test]
    fn a_row_takes_eighteen_bytes_and_a_repeated_error_two_more() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("1.outcomes");
        let many: Vec<_> = (1..=1000).map(|row| outcome(row, Fate::Created)).collect();
        let summary = write(&path, &many);
        assert_eq!(summary.bytes, 16 + 17 + 18 * 1000);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), summary.bytes);
        assert_eq!((summary.rows, summary.tally.created), (1000, 1000));
        let failed: Vec<_> = (1..=1000)
            .map(|row| RowOutcome {
                id: None,
                error: Some(
                    "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --".into(),
                ),
                ..outcome(row, Fate::Failed)
            })
            .collect();
        assert!(write(&path, &failed).bytes < 5 * 1000);
        assert_eq!(read(&path).unwrap(), failed);
    }

    #[test]
    fn rows_out_of_order_are_refused_and_leave_no_file() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("1.outcomes");
        let mut writer = OutcomeWriter::create(&path, 1).unwrap();
        assert!(writer.push(&outcome(0, Fate::Failed)).is_err(), "rows count from 1");
        writer.push(&outcome(5, Fate::Created)).unwrap();
        assert!(matches!(
            writer.push(&outcome(5, Fate::Created)),
            Err(OutcomeError::OutOfOrder { .. })
        ));
        drop(writer);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("1.outcomes");
        write(&path, &[outcome(1, Fate::Created)]);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    fn any_outcome() -> impl Strategy<Value = RowOutcome> {
        (
            1u64..5000,
            prop::sample::select(FATES.to_vec()),
            prop::sample::select(TIERS.to_vec()),
            0u8..5,
            prop::option::of("[0-9A-Za-z]{15}"),
            prop::option::of("[a-zä:]{0,3}|x{4090,4100}"),
        )
            .prop_map(|(row, fate, tier, attempts, id, error)| RowOutcome {
                row: RowNumber(row),
                fate,
                tier,
                attempts,
                id: id.map(|id| id.parse().unwrap()),
                error,
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_written_is_read_and_damage_is_noticed(
            mut outcomes in prop::collection::vec(any_outcome(), 0..40),
            at in any::<prop::sample::Index>(),
            flip in 1u8..=255,
        ) {
            let mut row = 0;
            for outcome in &mut outcomes {
                row += outcome.row.0;
                outcome.row = RowNumber(row);
            }
            let folder = TempDir::new().unwrap();
            let path = folder.path().join("1.outcomes");
            let summary = write(&path, &outcomes);
            prop_assert_eq!(read(&path).unwrap(), outcomes);
            let reader = OutcomeReader::open(&path).unwrap();
            prop_assert_eq!((reader.chunk(), reader.digest()), (7, summary.digest));

            let whole = std::fs::read(&path).unwrap();
            let at = at.index(whole.len());
            std::fs::write(&path, &whole[..at]).unwrap();
            prop_assert!(read(&path).is_err(), "cut at {}", at);
            let mut changed = whole.clone();
            changed[at] ^= flip;
            std::fs::write(&path, &changed).unwrap();
            prop_assert!(read(&path).is_err(), "changed at {}", at);
            let mut longer = whole;
            longer.push(flip);
            std::fs::write(&path, &longer).unwrap();
            prop_assert!(read(&path).is_err(), "one byte more");
        }
    }
}
