//! The files of a derived source.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3Default;

use super::parcels::{JobCount, JobCounter, Room};
use crate::domain::RowNumber;
use crate::rows::{GroupIndexWriter, Parcel, RowMapWriter, private_file, sync_folder};

/// The rows in their new order. It is named last: where it is, the other two
/// are whole.
pub const GROUPED_CSV: &str = "grouped.csv";
/// Which row is which ([`crate::rows::RowMap`]).
pub const GROUPED_ROWS: &str = "grouped.rows";
/// Where groups lie ([`crate::rows::GroupIndex`]).
pub const GROUPED_GROUPS: &str = "grouped.groups";

/// Bytes gathered before they are written.
const BUFFER: usize = 256 << 10;

/// The text on its way to the disk. Dropped before it has its name, it leaves
/// nothing.
struct Text {
    path: PathBuf,
    temporary: PathBuf,
    /// `None` once it has its name.
    out: Option<BufWriter<File>>,
    hash: Box<Xxh3Default>,
    bytes: u64,
}

impl Text {
    fn create(path: PathBuf) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let temporary = PathBuf::from(name);
        let out = BufWriter::with_capacity(BUFFER, private_file(&temporary)?);
        Ok(Text { path, temporary, out: Some(out), hash: Box::default(), bytes: 0 })
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.hash.update(text);
        self.bytes += text.len() as u64;
        self.out.as_mut().map_or(Ok(()), |out| out.write_all(text))
    }

    fn sync(&mut self) -> io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        out.flush()?;
        out.get_ref().sync_all()
    }

    fn name(&mut self) -> io::Result<()> {
        std::fs::rename(&self.temporary, &self.path)?;
        self.out = None;
        Ok(())
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if self.out.take().is_some() {
            // Nothing depends on it; a leftover is overwritten next time.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Writes a derived source: text, row map and group index.
pub(super) struct Output {
    folder: PathBuf,
    text: Text,
    rows: RowMapWriter,
    groups: GroupIndexWriter,
    jobs: JobCounter,
}

/// What was written.
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) digest: String,
    pub(super) jobs: JobCount,
}

impl Output {
    /// Begins the files. Any that are there are of a run that died: the text
    /// goes at once, so that it never stands beside what isn't its own.
    pub(super) fn create(folder: &Path, header: &[u8], room: Room) -> io::Result<Self> {
        match std::fs::remove_file(folder.join(GROUPED_CSV)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => sync_folder(&folder.join(GROUPED_CSV))?,
        }
        let groups = folder.join(GROUPED_GROUPS);
        let mut output = Output {
            folder: folder.to_owned(),
            text: Text::create(folder.join(GROUPED_CSV))?,
            rows: RowMapWriter::create(&folder.join(GROUPED_ROWS))?,
            groups: GroupIndexWriter::create(&groups, RowNumber(1), room.batch_rows())?,
            jobs: JobCounter::new(room),
        };
        output.text.write(header)?;
        Ok(output)
    }

    /// Writes rows whose records stand one behind the other.
    pub(super) fn put(&mut self, rows: &[u64], records: &[u8]) -> io::Result<()> {
        for &row in rows {
            self.rows.push(RowNumber(row))?;
        }
        self.text.write(records)
    }

    /// Notes that the rows put since the last parcel are one.
    pub(super) fn parcel(&mut self, parcel: &Parcel) -> io::Result<()> {
        self.jobs.push(parcel);
        self.groups.push(parcel)
    }

    /// How many rows were put.
    pub(super) fn rows(&self) -> u64 {
        self.rows.len()
    }

    /// Ends the files: written, synced, and then named, the text last.
    pub(super) fn finish(self) -> io::Result<Written> {
        let Output { folder, mut text, rows, groups, jobs } = self;
        text.sync()?;
        rows.finish()?;
        groups.finish()?;
        text.name()?;
        sync_folder(&folder.join(GROUPED_CSV))?;
        let digest = format!("{:032x}", text.hash.digest128());
        Ok(Written { bytes: text.bytes, digest, jobs: jobs.finish() })
    }
}
