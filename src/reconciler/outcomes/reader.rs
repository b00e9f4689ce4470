//! Reading an outcome file.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3Default;

use crate::domain::{RecordId, RowNumber, RowOutcome};

use super::{
    BUFFER, END, HAS_ERROR, HAS_ID, HEADER_BYTES, MAGIC, MAX_ERROR_BYTES, MAX_TEXT_BYTES,
    MAX_TEXTS, OutcomeError, TRAILER_BYTES, VERSION, fate_of, number, tier_of,
};

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

    /// Its checksum in hex, as [`super::OutcomeSummary::digest`].
    pub fn digest(&self) -> String {
        format!("{:016x}", self.digest)
    }

    fn read_record(&mut self) -> Result<RowOutcome, OutcomeError> {
        // From the buffer, where that holds all of it: a call of the reader for
        // each byte takes longer than all else here.
        let buffered = self.file.buffer();
        let head = if buffered.len() >= Head::MOST_BYTES {
            let mut rest = buffered;
            let head = Head::read(&mut rest);
            let used = buffered.len() - rest.len();
            self.file.consume(used);
            head
        } else {
            Head::read(&mut self.file)
        };
        let Head { tag, distance, attempts, id } = match head {
            Ok(Some(head)) => head,
            Ok(None) => return Err(self.damaged("a number without end")),
            Err(source) => return Err(self.failed(source)),
        };
        let fate = fate_of(tag & 7).ok_or_else(|| self.damaged("an unknown fate"))?;
        let tier = tier_of(tag >> 3 & 7).map_err(|()| self.damaged("an unknown tier"))?;
        let row = self
            .last
            .checked_add(distance)
            .filter(|_| distance > 0)
            .ok_or_else(|| self.damaged("rows out of order"))?;
        self.last = row;
        let id = match id {
            Some(id) => Some(RecordId::parse(&id).map_err(|_| self.damaged("an id that is none"))?),
            None => None,
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

    fn varint(&mut self) -> Result<u64, OutcomeError> {
        match varint(&mut self.file) {
            Ok(value) => value.ok_or_else(|| self.damaged("a number without end")),
            Err(source) => Err(self.failed(source)),
        }
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

/// What every record begins with.
struct Head {
    tag: u8,
    distance: u64,
    attempts: u8,
    id: Option<[u8; 15]>,
}

impl Head {
    const MOST_BYTES: usize = 1 + 10 + 1 + 15;

    /// `None` when a number in it has no end.
    fn read(read: &mut impl Read) -> io::Result<Option<Head>> {
        let tag = byte(read)?;
        let Some(distance) = varint(read)? else { return Ok(None) };
        let attempts = byte(read)?;
        let id = if tag & HAS_ID != 0 {
            let mut id = [0u8; 15];
            read.read_exact(&mut id)?;
            Some(id)
        } else {
            None
        };
        Ok(Some(Head { tag, distance, attempts, id }))
    }
}

fn byte(read: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0u8];
    read.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// `None` for a number without end.
fn varint(read: &mut impl Read) -> io::Result<Option<u64>> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = byte(read)?;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok(Some(value));
        }
    }
    Ok(None)
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
