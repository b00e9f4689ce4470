//! `retry --with`: corrected values of rows, joined by `bulkhaul__Row`.
//!
//! A file whose rows ascend, as those of every result file do, is read along;
//! of another one the places of its rows are kept in memory, up to a limit
//! that is told (I6).

use std::path::{Path, PathBuf};

use super::original::Names;
use crate::reader::{Source, SourceOptions};
use crate::rows::{Cells, RawBatch, RowStream, SourceError, SourceRows as _, Stretch};
use crate::transformer::{Plan, PlannedColumn};

/// The column that says which row is meant.
pub(super) const ROW: &str = "bulkhaul__Row";

/// The column that says which file it is in, where there are several.
const SOURCE: &str = "bulkhaul__Source";

/// Rows of a file that isn't in order: 32 bytes each.
const MOST_ROWS: usize = 2_000_000;

/// What is wrong with a file of corrections. No text holds a row value (I8),
/// numbers of rows aside.
#[derive(Debug, thiserror::Error)]
pub enum CorrectionError {
    /// It can't be read.
    #[error("the corrected rows can't be read")]
    Source(#[from] SourceError),
    /// It doesn't say which rows it means.
    #[error("{} has no column {column}, which says which row is meant", path.display())]
    NoRowColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
    },
    /// Columns that the source doesn't have.
    #[error("{} has columns that the source doesn't have: {}", path.display(), columns.join(", "))]
    UnknownColumns {
        /// The file.
        path: PathBuf,
        /// Their names.
        columns: Vec<String>,
    },
    /// A row of it can't be read as the header says.
    #[error("{}, row {record}: {what}", path.display())]
    Faulty {
        /// The file.
        path: PathBuf,
        /// Which row of that file, from 1.
        record: u64,
        /// What is wrong.
        what: String,
    },
    /// It has a row twice.
    #[error("{} has row {row} twice", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The row of the original source.
        row: u64,
    },
    /// It has a row that is not to be retried.
    #[error("{} has row {row}, which is not to be retried: {why}", path.display())]
    NotToRetry {
        /// The file.
        path: PathBuf,
        /// The row of the original source.
        row: u64,
        /// Why.
        why: &'static str,
    },
    /// It is not in order and too long to be put in order.
    #[error("{} is not in the order of {ROW} and has more than {limit} rows", path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
        /// Rows that can be put in order.
        limit: usize,
    },
}

/// New values of one row: the column of the source, and what it is now.
pub(super) type Corrected = Vec<(usize, Vec<u8>)>;

/// A file of corrections.
pub(super) struct Corrections {
    source: Source,
    row_column: usize,
    /// The column that names the file, where there are several, and what leads
    /// from there to a row of the source.
    files: Option<(usize, Names)>,
    /// Columns here, and the column of the source each belongs to.
    columns: Vec<(usize, usize)>,
    places: Places,
}

enum Places {
    /// In order: read along.
    Along(Reading),
    /// By row: where it stands, and whether it was asked for.
    Index(Vec<Place>),
}

struct Place {
    row: u64,
    start: u64,
    end: u64,
    is_used: bool,
}

/// A reading of the file, row by row.
struct Reading {
    rows: Box<dyn RowStream>,
    batch: Option<RawBatch>,
    at: usize,
    /// The row at hand, with its text.
    next: Option<(u64, Vec<u8>)>,
}

impl Corrections {
    /// Opens a file and reads it through once. Rows are then asked for in
    /// ascending order.
    pub(super) fn open(
        path: &Path,
        header: &[String],
        plan: &Plan,
        names: &Names,
    ) -> Result<Self, CorrectionError> {
        let source = Source::open(&[path.to_owned()], &SourceOptions::default())?;
        let is_row = |name: &String| name.trim().eq_ignore_ascii_case(ROW);
        let Some(row_column) = source.header().iter().position(is_row) else {
            return Err(CorrectionError::NoRowColumn { path: path.to_owned(), column: ROW });
        };
        let files = if names.files().len() > 1 {
            let is_file = |name: &String| name.trim().eq_ignore_ascii_case(SOURCE);
            let Some(column) = source.header().iter().position(is_file) else {
                let path = path.to_owned();
                return Err(CorrectionError::NoRowColumn { path, column: SOURCE });
            };
            Some((column, names.clone()))
        } else {
            None
        };
        let mut columns = Vec::new();
        let mut unknown = Vec::new();
        for (at, name) in source.header().iter().enumerate() {
            let is_ours = ["sf__", "bulkhaul__"].iter().any(|prefix| {
                name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
            });
            if is_ours {
                continue;
            }
            // A result file shows a column of an earlier result file under the
            // field it was sent as.
            // What a mapping makes can't be led back to a cell.
            let is_it = |column: &&PlannedColumn| column.header == *name && column.recipe.is_none();
            let sent_as = || plan.columns.iter().find(is_it);
            let of_source = header.iter().position(|column| column == name);
            match of_source.or_else(|| sent_as().and_then(|column| column.source)) {
                Some(column) => columns.push((at, column)),
                None => unknown.push(format!("`{name}`")),
            }
        }
        if !unknown.is_empty() {
            let path = path.to_owned();
            return Err(CorrectionError::UnknownColumns { path, columns: unknown });
        }
        let places = Places::Index(Vec::new());
        let mut corrections = Corrections { source, row_column, files, columns, places };
        corrections.places = corrections.survey()?;
        Ok(corrections)
    }

    fn path(&self) -> PathBuf {
        self.source.path().to_owned()
    }

    fn survey(&self) -> Result<Places, CorrectionError> {
        let mut places: Vec<Place> = Vec::new();
        let mut overflows = false;
        let (mut ascends, mut last) = (true, 0);
        let mut rows = self.source.rows(None)?;
        while let Some(batch) = rows.next_batch()? {
            for (index, record) in batch.records.iter().enumerate() {
                let number = batch.first_row.0 + index as u64;
                if let Some(fault) = record.fault {
                    return Err(self.faulty(number, fault.to_string()));
                }
                let row = self.row_of(batch.record(record), number)?;
                if row == last {
                    return Err(CorrectionError::Twice { path: self.path(), row });
                }
                ascends &= row > last;
                last = row;
                if places.len() < MOST_ROWS {
                    let (start, end) = batch.span_of(index);
                    places.push(Place { row, start, end, is_used: false });
                } else {
                    overflows = true;
                }
            }
        }
        if ascends {
            let mut reading =
                Reading { rows: self.source.rows(None)?, batch: None, at: 0, next: None };
            self.step(&mut reading)?;
            return Ok(Places::Along(reading));
        }
        if overflows {
            return Err(CorrectionError::TooMany { path: self.path(), limit: MOST_ROWS });
        }
        places.sort_unstable_by_key(|place| place.row);
        let twice = places.windows(2).find(|pair| pair[0].row == pair[1].row);
        match twice {
            Some(pair) => Err(CorrectionError::Twice { path: self.path(), row: pair[0].row }),
            None => Ok(Places::Index(places)),
        }
    }

    fn faulty(&self, record: u64, what: String) -> CorrectionError {
        CorrectionError::Faulty { path: self.path(), record, what }
    }

    fn cells<'a>(&self, text: &'a [u8]) -> Cells<'a> {
        let dialect = self.source.dialect();
        Cells::new(text, dialect.delimiter, dialect.quote)
    }

    /// The row that a record is about.
    fn row_of(&self, text: &[u8], record: u64) -> Result<u64, CorrectionError> {
        let cell = self.cells(text).nth(self.row_column).map(|cell| cell.value());
        let row = cell.as_deref().and_then(|cell| std::str::from_utf8(cell).ok());
        let row = row.and_then(|text| text.trim().parse().ok()).filter(|row| *row > 0);
        let row = row.ok_or_else(|| self.faulty(record, format!("{ROW} is no row number")))?;
        let Some((column, names)) = &self.files else { return Ok(row) };
        let file = self.cells(text).nth(*column).map(|cell| cell.value());
        let file = file.as_deref().and_then(|cell| std::str::from_utf8(cell).ok());
        let row = file.and_then(|file| names.row_at(file, row));
        row.map(|row| row.0)
            .ok_or_else(|| self.faulty(record, format!("{SOURCE} names no file of the source")))
    }

    /// Goes to the next row of a reading.
    fn step(&self, reading: &mut Reading) -> Result<(), CorrectionError> {
        reading.next = None;
        loop {
            if let Some(batch) = &reading.batch
                && let Some(record) = batch.records.get(reading.at)
            {
                let text = batch.record(record).to_vec();
                let number = batch.first_row.0 + reading.at as u64;
                reading.at += 1;
                reading.next = Some((self.row_of(&text, number)?, text));
                return Ok(());
            }
            reading.at = 0;
            reading.batch = reading.rows.next_batch()?;
            if reading.batch.is_none() {
                return Ok(());
            }
        }
    }

    fn values(&self, text: &[u8]) -> Corrected {
        let cells: Vec<_> = self.cells(text).map(|cell| cell.value()).collect();
        self.columns
            .iter()
            .filter_map(|&(here, there)| Some((there, cells.get(here)?.to_vec())))
            .collect()
    }

    /// What a row is corrected to; `None` when it isn't in the file.
    pub(super) fn of(&mut self, row: u64) -> Result<Option<Corrected>, CorrectionError> {
        let places = std::mem::replace(&mut self.places, Places::Index(Vec::new()));
        let (found, places) = match places {
            Places::Along(mut reading) => {
                let found = match &reading.next {
                    Some((next, text)) if *next == row => Some(self.values(text)),
                    Some((next, _)) if *next < row => return Err(self.not_there(*next)),
                    _ => None,
                };
                if found.is_some() {
                    self.step(&mut reading)?;
                }
                (found, Places::Along(reading))
            }
            Places::Index(mut places) => {
                let at = places.binary_search_by_key(&row, |place| place.row).ok();
                let found = match at.and_then(|at| places.get_mut(at)) {
                    Some(place) => {
                        place.is_used = true;
                        Some(self.values(&self.read(place)?))
                    }
                    None => None,
                };
                (found, Places::Index(places))
            }
        };
        self.places = places;
        Ok(found)
    }

    fn read(&self, place: &Place) -> Result<Vec<u8>, CorrectionError> {
        let stretch =
            Stretch { start: place.start, end: place.end, first_row: crate::domain::RowNumber(1) };
        let batch = self.source.rows(Some(stretch))?.next_batch()?;
        let record = batch.as_ref().and_then(|batch| Some(batch.record(batch.records.first()?)));
        Ok(record.unwrap_or_default().to_vec())
    }

    fn not_there(&self, row: u64) -> CorrectionError {
        self.refuse(row, "the run has no such row")
    }

    /// The refusal of a row that is in the file.
    pub(super) fn refuse(&self, row: u64, why: &'static str) -> CorrectionError {
        CorrectionError::NotToRetry { path: self.path(), row, why }
    }

    /// Checks that every row of the file was asked for.
    pub(super) fn finish(&self) -> Result<(), CorrectionError> {
        let left = match &self.places {
            Places::Along(reading) => reading.next.as_ref().map(|(row, _)| *row),
            Places::Index(places) => {
                places.iter().find(|place| !place.is_used).map(|place| place.row)
            }
        };
        left.map_or(Ok(()), |row| Err(self.not_there(row)))
    }
}
