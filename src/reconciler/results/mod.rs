//! The result files of a run: every source row with its outcome, in source
//! order, values as they stood in the source.
//!
//! `success.csv` and `failed.csv` always; `unprocessed.csv`, `rejected.csv`
//! and `disputed.csv` when they have rows. UTF-8, comma, LF, quoted where
//! needed, private (0600). They are derived: from the source and the outcome
//! files they can be made again at any time.
//!
//! What can't be written as it stood:
//! - Source columns whose names begin with `sf__` or `bulkhaul__` (any case)
//!   tell of an earlier load and would be mistaken for what this one tells:
//!   one that was sent stands under the field it was sent as (`sf__Id` as
//!   `Id`), the others are left out; the earlier load's own files have them.
//! - A ragged row gets empty cells at its end, or has the cells beyond the
//!   header joined into its last column by the source's delimiter.
//! - Bytes that are not UTF-8 become U+FFFD.
//! - A cell with text behind its closing quote is written as that text, its
//!   quotes included.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::domain::{Fate, RowNumber, RowOutcome, RowPlace, Tally};
use crate::rows::{
    Cells, Dialect, RawBatch, RawRecord, RowFault, SourceError, SourceRows, Stretch, private_file,
    sync_folder, write_cell,
};

use super::outcomes::OutcomeError;

/// One of the result files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResultKind {
    /// Rows that the org saved.
    Success,
    /// Rows that the org refused.
    Failed,
    /// Rows sent but not reached.
    Unprocessed,
    /// Rows never sent.
    Rejected,
    /// Rows whose fate is not proven.
    Disputed,
}

impl ResultKind {
    /// All of them.
    pub const ALL: [ResultKind; 5] = [
        ResultKind::Success,
        ResultKind::Failed,
        ResultKind::Unprocessed,
        ResultKind::Rejected,
        ResultKind::Disputed,
    ];

    /// The file for rows of a fate.
    pub const fn of(fate: Fate) -> Self {
        match fate {
            Fate::Created | Fate::Updated | Fate::Deleted => ResultKind::Success,
            Fate::Failed => ResultKind::Failed,
            Fate::Unprocessed => ResultKind::Unprocessed,
            Fate::Rejected => ResultKind::Rejected,
            Fate::Disputed => ResultKind::Disputed,
        }
    }

    /// Its name in the run's folder.
    pub const fn file_name(self) -> &'static str {
        match self {
            ResultKind::Success => "success.csv",
            ResultKind::Failed => "failed.csv",
            ResultKind::Unprocessed => "unprocessed.csv",
            ResultKind::Rejected => "rejected.csv",
            ResultKind::Disputed => "disputed.csv",
        }
    }

    /// Whether it is there even without rows.
    const fn always(self) -> bool {
        matches!(self, ResultKind::Success | ResultKind::Failed)
    }

    const fn columns(self) -> &'static str {
        match self {
            ResultKind::Success => {
                "bulkhaul__Source,bulkhaul__Row,bulkhaul__Attempts,bulkhaul__Match,sf__Id,\
                 sf__Created"
            }
            ResultKind::Failed => {
                "bulkhaul__Source,bulkhaul__Row,bulkhaul__Attempts,bulkhaul__Match,sf__Id,\
                 sf__Error"
            }
            ResultKind::Unprocessed => {
                "bulkhaul__Source,bulkhaul__Row,bulkhaul__Attempts,bulkhaul__Match"
            }
            ResultKind::Rejected | ResultKind::Disputed => {
                "bulkhaul__Source,bulkhaul__Row,bulkhaul__Attempts,bulkhaul__Error"
            }
        }
    }
}

/// Why the result files can't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultError {
    /// The operating system refused.
    #[error("{} can't be written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The source can't be read again.
    #[error("the rows can't be read again")]
    Source {
        /// Why.
        source: SourceError,
    },
    /// An outcome file can't be read.
    #[error("the outcomes can't be read")]
    Outcomes {
        /// Why.
        source: OutcomeError,
    },
    /// An outcome is of a row that isn't there.
    #[error("there is an outcome of row {row}, which is not in its chunk")]
    NoSuchRow {
        /// The row.
        row: RowNumber,
    },
}

/// What appending a chunk came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    /// Rows written, by fate; `read` is all the rows of the stretch.
    pub tally: Tally,
    /// Rows of the stretch without an outcome, which are in no file.
    pub missing: u64,
}

/// A result file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFile {
    /// Which.
    pub kind: ResultKind,
    /// Where.
    pub path: PathBuf,
    /// Its rows.
    pub rows: u64,
}

/// Bytes each file gathers before they are written: with five files, 1.3 MB.
const BUFFER: usize = 256 * 1024;

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    file: File,
    /// Whole lines that were not written yet.
    pending: Vec<u8>,
    rows: u64,
}

impl OpenFile {
    fn flush(&mut self) -> Result<(), ResultError> {
        let written = self.file.write_all(&self.pending);
        self.pending.clear();
        written.map_err(|source| ResultError::Io { path: self.path.clone(), source })
    }
}

/// Writes the result files of a run, chunk by chunk in source order.
#[derive(Debug)]
pub struct ResultFiles {
    folder: PathBuf,
    /// Source columns that are written.
    columns: Vec<String>,
    /// What each is called in the files.
    shown: Vec<String>,
    files: [Option<OpenFile>; 5],
}

impl ResultFiles {
    /// Begins the files in a run's folder, in the place of any that are there.
    /// `header` has the columns of the source, or of several sources all that
    /// occur; a source without one of them gets empty cells. `sent_as` names
    /// the field that a column was sent as: one whose own name begins with
    /// `sf__` or `bulkhaul__` is written under that, and not at all when it
    /// was not sent.
    ///
    /// # Errors
    /// [`ResultError::Io`].
    pub fn create(
        folder: &Path,
        header: &[String],
        sent_as: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ResultError> {
        let free = |field: &String| !header.contains(field);
        let (columns, shown) = header
            .iter()
            .filter_map(|name| {
                let shown = if is_ours(name) { sent_as(name).filter(free)? } else { name.clone() };
                Some((name.clone(), shown))
            })
            .unzip();
        let mut files =
            ResultFiles { folder: folder.to_owned(), columns, shown, files: [const { None }; 5] };
        for kind in ResultKind::ALL {
            let path = folder.join(kind.file_name());
            if kind.always() {
                files.open(kind)?;
            } else if let Err(source) = std::fs::remove_file(&path)
                && source.kind() != io::ErrorKind::NotFound
            {
                return Err(ResultError::Io { path, source });
            }
        }
        Ok(files)
    }

    fn open(&mut self, kind: ResultKind) -> Result<&mut OpenFile, ResultError> {
        let place = &mut self.files[kind as usize];
        let path = self.folder.join(kind.file_name());
        let io = |source| ResultError::Io { path: path.clone(), source };
        if let Some(file) = place {
            return Ok(file);
        }
        let file = private_file(&path).map_err(io)?;
        let mut pending = Vec::with_capacity(BUFFER + BUFFER / 8);
        pending.extend_from_slice(kind.columns().as_bytes());
        for column in &self.shown {
            pending.push(b',');
            write_cell(&mut pending, column.as_bytes(), b',');
        }
        pending.push(b'\n');
        Ok(place.insert(OpenFile { path, file, pending, rows: 0 }))
    }

    /// Appends the rows of one chunk. `names` are what the files of the source
    /// are called in `bulkhaul__Source`; `outcomes` are those of the chunk in
    /// row order ([`super::MergedOutcomes`]); `place_of` tells where people
    /// find a row: in which of the files, by which number.
    ///
    /// # Errors
    /// [`ResultError`]; what was appended by then is not taken back, so begin
    /// again.
    pub fn append(
        &mut self,
        names: &[String],
        source: &dyn SourceRows,
        stretch: Stretch,
        outcomes: &mut dyn Iterator<Item = Result<RowOutcome, OutcomeError>>,
        place_of: &dyn Fn(RowNumber) -> RowPlace,
    ) -> Result<Appended, ResultError> {
        let layout = Layout::new(&self.columns, source);
        let prefixes: Vec<Vec<u8>> = names
            .iter()
            .map(|name| {
                let mut prefix = Vec::new();
                write_cell(&mut prefix, name.as_bytes(), b',');
                prefix.push(b',');
                prefix
            })
            .collect();
        let mut appended = Appended::default();
        let mut next = next_outcome(outcomes)?;
        let mut rows =
            source.rows(Some(stretch)).map_err(|source| ResultError::Source { source })?;
        while let Some(batch) =
            rows.next_batch().map_err(|source| ResultError::Source { source })?
        {
            let mut row = batch.first_row;
            for record in &batch.records {
                appended.tally.read += 1;
                match next.take() {
                    Some(outcome) if outcome.row == row => {
                        let place = place_of(row);
                        let prefix = prefixes.get(place.file).map_or(&b","[..], Vec::as_slice);
                        self.write(prefix, &layout, &batch, record, &outcome, place.row)?;
                        appended.tally.count(outcome.fate);
                        next = next_outcome(outcomes)?;
                    }
                    Some(outcome) if outcome.row < row => {
                        return Err(ResultError::NoSuchRow { row: outcome.row });
                    }
                    later => {
                        appended.missing += 1;
                        next = later;
                    }
                }
                row = row.plus(1);
            }
        }
        match next {
            Some(outcome) => Err(ResultError::NoSuchRow { row: outcome.row }),
            None => Ok(appended),
        }
    }

    fn write(
        &mut self,
        prefix: &[u8],
        layout: &Layout,
        batch: &RawBatch,
        record: &RawRecord,
        outcome: &RowOutcome,
        number: RowNumber,
    ) -> Result<(), ResultError> {
        let kind = ResultKind::of(outcome.fate);
        let file = self.open(kind)?;
        let line = &mut file.pending;
        line.extend_from_slice(prefix);
        push_number(line, number.0);
        line.push(b',');
        push_number(line, u64::from(outcome.attempts));
        line.push(b',');
        let error = outcome.error.as_deref().unwrap_or_default().as_bytes();
        match kind {
            ResultKind::Rejected | ResultKind::Disputed => write_cell(line, error, b','),
            _ => {
                let tier = outcome.tier.map_or("", |tier| tier.as_str());
                line.extend_from_slice(tier.as_bytes());
            }
        }
        if matches!(kind, ResultKind::Success | ResultKind::Failed) {
            line.push(b',');
            if let Some(id) = &outcome.id {
                line.extend_from_slice(id.as_bytes());
            }
            line.push(b',');
        }
        match kind {
            ResultKind::Success => {
                let created: &[u8] = if outcome.fate == Fate::Created { b"true" } else { b"false" };
                line.extend_from_slice(created);
            }
            ResultKind::Failed => write_cell(line, error, b','),
            _ => {}
        }
        layout.write(line, batch.record(record), record);
        line.push(b'\n');
        file.rows += 1;
        if file.pending.len() < BUFFER { Ok(()) } else { file.flush() }
    }

    /// Ends the files: written and synced. Returns those that are there.
    ///
    /// # Errors
    /// [`ResultError::Io`].
    pub fn finish(mut self) -> Result<Vec<WrittenFile>, ResultError> {
        let mut written = Vec::new();
        for kind in ResultKind::ALL {
            let Some(mut open) = self.files[kind as usize].take() else { continue };
            open.flush()?;
            let OpenFile { path, file, rows, .. } = open;
            file.sync_all()
                .and_then(|()| sync_folder(&path))
                .map_err(|source| ResultError::Io { path: path.clone(), source })?;
            written.push(WrittenFile { kind, path, rows });
        }
        Ok(written)
    }
}

/// How a source's record becomes the columns of the files.
#[derive(Debug)]
struct Layout {
    dialect: Dialect,
    width: usize,
    /// Place in the record of each column written.
    places: Vec<Option<usize>>,
    /// Whether records can be copied as they stand.
    straight: bool,
}

impl Layout {
    fn new(columns: &[String], source: &dyn SourceRows) -> Self {
        let (header, dialect) = (source.header(), source.dialect());
        let places = if columns == header {
            (0..columns.len()).map(Some).collect()
        } else {
            columns.iter().map(|name| header.iter().position(|own| own == name)).collect()
        };
        Layout {
            dialect,
            width: header.len(),
            places,
            straight: columns == header
                && !columns.is_empty()
                && dialect.delimiter == b','
                && dialect.quote == b'"',
        }
    }

    fn write(&self, line: &mut Vec<u8>, bytes: &[u8], record: &RawRecord) {
        let copyable = self.straight && !record.has_stray_quote && !record.has_line_break;
        let long = matches!(
            record.fault,
            None | Some(RowFault::FieldTooLong { .. } | RowFault::RecordTooLong { .. })
        );
        if copyable && long {
            line.push(b',');
            line.extend_from_slice(bytes);
            return;
        }
        let not_utf8 = matches!(record.fault, Some(RowFault::Utf8 { .. }))
            || (record.fault.is_some() && std::str::from_utf8(bytes).is_err());
        let cells = Cells::new(bytes, self.dialect.delimiter, self.dialect.quote);
        let mut values: Vec<Cow<'_, [u8]>> = cells.map(|cell| cell.value()).collect();
        if values.len() > self.width && self.width > 0 {
            let beyond = values.split_off(self.width);
            if let Some(last) = values.last_mut() {
                for cell in beyond {
                    last.to_mut().push(self.dialect.delimiter);
                    last.to_mut().extend_from_slice(&cell);
                }
            }
        }
        for place in &self.places {
            line.push(b',');
            let value = place.and_then(|at| values.get(at)).map_or(b"".as_slice(), AsRef::as_ref);
            if not_utf8 {
                write_cell(line, String::from_utf8_lossy(value).as_bytes(), b',');
            } else {
                write_cell(line, value, b',');
            }
        }
    }
}

/// Whether a column's name is one that only result files have.
fn is_ours(name: &str) -> bool {
    let begins = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    begins("sf__") || begins("bulkhaul__")
}

fn next_outcome(
    outcomes: &mut dyn Iterator<Item = Result<RowOutcome, OutcomeError>>,
) -> Result<Option<RowOutcome>, ResultError> {
    outcomes.next().transpose().map_err(|source| ResultError::Outcomes { source })
}

/// Appends a number in decimal; twice in every row, so by hand.
fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests;
