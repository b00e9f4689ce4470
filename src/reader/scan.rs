//! Splitting a whole source beforehand, so that a broken one is refused before
//! anything is sent.

use crate::domain::RowNumber;
use crate::rows::{RawBatch, RowFault, RowStream, SourceError};

/// The kinds of [`RowFault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultKind {
    /// Fewer or more cells than the header.
    Ragged,
    /// Bytes that are not UTF-8.
    Utf8,
    /// Bytes that mean nothing in the source's encoding.
    Encoding,
    /// Text behind a closing quote.
    AfterQuote,
    /// A cell beyond the service's limit.
    FieldTooLong,
    /// A row beyond the service's limit.
    RecordTooLong,
    /// A typed value that has no form the service would take.
    NoForm,
}

impl From<&RowFault> for FaultKind {
    fn from(fault: &RowFault) -> Self {
        match fault {
            RowFault::Ragged { .. } => FaultKind::Ragged,
            RowFault::Utf8 { .. } => FaultKind::Utf8,
            RowFault::Encoding { .. } => FaultKind::Encoding,
            RowFault::AfterQuote { .. } => FaultKind::AfterQuote,
            RowFault::FieldTooLong { .. } => FaultKind::FieldTooLong,
            RowFault::RecordTooLong { .. } => FaultKind::RecordTooLong,
            RowFault::NoForm { .. } => FaultKind::NoForm,
        }
    }
}

/// How often a kind of fault was met, and the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultCount {
    /// Which kind.
    pub kind: FaultKind,
    /// Rows that have it.
    pub rows: u64,
    /// The first such row.
    pub first_row: RowNumber,
    /// Where that row begins in the source.
    pub offset: u64,
    /// Its fault in full.
    pub fault: RowFault,
}

/// What a whole source holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// Its data rows, the faulty ones among them.
    pub rows: u64,
    /// Faults by kind, in the order they were first met.
    pub faults: Vec<FaultCount>,
    /// Rows with a line feed or carriage return inside a cell.
    pub rows_with_line_breaks: u64,
    /// Rows with a quote inside an unquoted cell.
    pub rows_with_stray_quotes: u64,
    /// Rows that end with LF.
    pub lf_rows: u64,
    /// Rows that end with CRLF.
    pub crlf_rows: u64,
    /// Bytes of the longest row, its line end not counted.
    pub longest_row: u64,
}

/// How far a scan has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanProgress {
    /// Bytes of the source read so far.
    pub bytes: u64,
    /// Rows found so far.
    pub rows: u64,
}

impl Scan {
    /// Rows that can't be sent for a fault of their own.
    pub fn faulty_rows(&self) -> u64 {
        self.faults.iter().map(|count| count.rows).sum()
    }

    /// Splits all that a stream yields, telling `progress` after each batch.
    pub(super) fn of(
        rows: &mut dyn RowStream,
        progress: &mut dyn FnMut(ScanProgress),
    ) -> Result<Scan, SourceError> {
        let mut scan = Scan::default();
        while let Some(batch) = rows.next_batch()? {
            scan.add(&batch);
            let bytes = batch.read_bytes;
            progress(ScanProgress { bytes, rows: scan.rows });
        }
        Ok(scan)
    }

    fn add(&mut self, batch: &RawBatch) {
        for (index, record) in batch.records.iter().enumerate() {
            self.rows_with_line_breaks += u64::from(record.has_line_break);
            self.rows_with_stray_quotes += u64::from(record.has_stray_quote);
            match record.next - record.end {
                0 => {}
                1 => self.lf_rows += 1,
                _ => self.crlf_rows += 1,
            }
            self.longest_row = self.longest_row.max(u64::from(record.end - record.start));
            if let Some(fault) = record.fault {
                let row = batch.first_row.plus(index as u64);
                self.add_fault(fault, row, batch.span_of(index).0);
            }
        }
        self.rows += batch.records.len() as u64;
    }

    fn add_fault(&mut self, fault: RowFault, row: RowNumber, offset: u64) {
        let kind = FaultKind::from(&fault);
        match self.faults.iter_mut().find(|count| count.kind == kind) {
            Some(count) => count.rows += 1,
            None => self.faults.push(FaultCount { kind, rows: 1, first_row: row, offset, fault }),
        }
    }
}
