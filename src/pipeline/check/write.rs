//! The second reading: findings counted by rule and column, the offending rows
//! written to a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use super::read::Reading;
use super::{CheckError, FIRST_ROWS, FoundRow, RuleCount};
use crate::checker::{Answers, CheckRule, Checker, Detail, Finding, Gathered, Severity};
use crate::domain::RowNumber;
use crate::reader::Source;
use crate::rows::{
    Cell, Cells, ColumnNames, RawBatch, Rejection, RowNames as _, SourceRows as _, private_file,
    write_cell,
};
use crate::transformer::DropReason;

/// Columns before those of the source.
const COLUMNS: &str = "bulkhaul__Source,bulkhaul__Row,bulkhaul__Error,bulkhaul__Warning";

/// Bytes gathered before they are written.
const BUFFER: usize = 256 << 10;

/// What the second reading came to.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) read: u64,
    pub(super) left_out: u64,
    pub(super) wrong: u64,
    pub(super) doubtful: u64,
    pub(super) counts: Vec<RuleCount>,
}

/// Refuses to write over what is to be loaded.
pub(super) fn refuse_source(path: &Path, source: &Source) -> Result<(), CheckError> {
    let Ok(own) = path.canonicalize() else { return Ok(()) };
    let is_source =
        source.files().iter().any(|file| file.named.path.canonicalize().is_ok_and(|it| it == own));
    if is_source {
        return Err(CheckError::RowsFileIsSource { path: path.to_owned() });
    }
    Ok(())
}

/// Tells what is wrong, row by row.
pub(super) fn write(
    reading: &Reading,
    gathered: Gathered,
    checker: &mut Checker,
    mut answers: Answers,
    path: &Path,
) -> Result<Told, CheckError> {
    let has_findings = gathered.has_findings;
    let read = gathered.rows;
    let left_out = gathered.left_out;
    let mut crossing = gathered.compare(checker, &mut answers)?;
    let has_findings = has_findings || crossing.any || !answers.is_empty();
    checker.answered(answers);
    let mut writer = Writer::begin(reading, checker, path)?;
    if has_findings {
        reading.each(&mut |batch, encoded| {
            let mut findings = checker.look(batch, encoded, false).findings;
            let last = batch.records.len().saturating_sub(1) as u64;
            crossing.up_to(batch.first_row.plus(last), &mut findings)?;
            // By row; within a row errors first, in the order of the columns.
            findings.sort_by_key(|finding| (finding.row, finding.rule.severity(), finding.column));
            writer.batch(batch, &findings)
        })?;
    }
    let (wrong, doubtful, counts) = writer.end()?;
    Ok(Told { read, left_out, wrong, doubtful, counts })
}

/// What findings are counted by: the rule, and the column or its name.
type Group = (CheckRule, Option<u32>, Option<String>);

struct Writer<'r> {
    reading: &'r Reading,
    checker: &'r Checker,
    path: &'r Path,
    names: ColumnNames,
    files: Vec<String>,
    /// Columns of the source that are not written: bulkhaul's own of an earlier
    /// file.
    ours: Vec<usize>,
    out: BufWriter<File>,
    line: Vec<u8>,
    counts: BTreeMap<Group, RuleCount>,
    wrong: u64,
    doubtful: u64,
}

impl<'r> Writer<'r> {
    fn begin(
        reading: &'r Reading,
        checker: &'r Checker,
        path: &'r Path,
    ) -> Result<Self, CheckError> {
        let io = |source| CheckError::RowsFile { path: path.to_owned(), source };
        if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
            crate::rows::private_folder(above).map_err(io)?;
        }
        let mut out = BufWriter::with_capacity(BUFFER, private_file(path).map_err(io)?);
        let dropped = reading.plan.dropped.iter();
        let ours: Vec<usize> = dropped
            .filter(|dropped| dropped.reason == DropReason::ResultColumn)
            .map(|dropped| dropped.source)
            .collect();
        let mut line = COLUMNS.as_bytes().to_vec();
        for (at, name) in reading.source.header().iter().enumerate() {
            if !ours.contains(&at) {
                line.push(b',');
                write_cell(&mut line, name.as_bytes(), b',');
            }
        }
        line.push(b'\n');
        out.write_all(&line).map_err(io)?;
        Ok(Writer {
            reading,
            checker,
            path,
            names: reading.plan.column_names(),
            files: reading.names.files(),
            ours,
            out,
            line,
            counts: BTreeMap::new(),
            wrong: 0,
            doubtful: 0,
        })
    }

    fn io(&self, source: std::io::Error) -> CheckError {
        CheckError::RowsFile { path: self.path.to_owned(), source }
    }

    fn batch(&mut self, batch: &RawBatch, findings: &[Finding]) -> Result<(), CheckError> {
        for of_row in findings.chunk_by(|one, other| one.row == other.row) {
            let Some(row) = of_row.first().map(|finding| finding.row) else { continue };
            let is_wrong = of_row.iter().any(|finding| finding.rule.severity() == Severity::Error);
            if is_wrong {
                self.wrong += 1;
            } else {
                self.doubtful += 1;
            }
            self.row(batch, row, of_row)?;
        }
        Ok(())
    }

    fn row(
        &mut self,
        batch: &RawBatch,
        row: RowNumber,
        findings: &[Finding],
    ) -> Result<(), CheckError> {
        let place = self.reading.names.place_in_original(row);
        let file = self.files.get(place.file).cloned().unwrap_or_default();
        let reasons: Vec<String> = findings
            .iter()
            .map(|finding| {
                self.checker.reason(finding, &self.names, &|row| {
                    self.reading.names.name_of(row).unwrap_or_else(|_| format!("row {row}"))
                })
            })
            .collect();
        let mut told: Vec<Group> = Vec::new();
        for (finding, reason) in findings.iter().zip(&reasons) {
            let group = self.group(finding);
            // A row counts once for each rule and column.
            if told.contains(&group) {
                continue;
            }
            told.push(group.clone());
            let count = self.counts.entry(group).or_insert_with_key(|(rule, column, name)| {
                let of = column.and_then(|at| self.checker.spec().columns.get(at as usize));
                RuleCount {
                    rule: *rule,
                    column: of.map(|column| column.label.clone()).or_else(|| name.clone()),
                    field: of.map(|column| column.header.clone()),
                    takes: column.and_then(|column| self.checker.takes(column, *rule)),
                    example: reason.clone(),
                    rows: 0,
                    first_rows: Vec::new(),
                }
            });
            count.rows += 1;
            if count.first_rows.len() < FIRST_ROWS {
                count.first_rows.push(FoundRow { source: file.clone(), row: place.row.0 });
            }
        }
        let of = |severity| {
            let texts = findings
                .iter()
                .zip(&reasons)
                .filter(|(finding, _)| finding.rule.severity() == severity)
                .map(|(_, reason)| reason.as_str());
            texts.collect::<Vec<_>>().join("; ")
        };
        self.line.clear();
        write_cell(&mut self.line, file.as_bytes(), b',');
        self.line.extend_from_slice(format!(",{},", place.row).as_bytes());
        write_cell(&mut self.line, of(Severity::Error).as_bytes(), b',');
        self.line.push(b',');
        write_cell(&mut self.line, of(Severity::Warning).as_bytes(), b',');
        self.source_cells(batch, row);
        self.line.push(b'\n');
        let written = self.out.write_all(&self.line);
        written.map_err(|error| self.io(error))
    }

    /// The row as it stands in the source.
    fn source_cells(&mut self, batch: &RawBatch, row: RowNumber) {
        let index = row.0.saturating_sub(batch.first_row.0) as usize;
        let Some(record) = batch.records.get(index) else { return };
        let dialect = self.reading.plan.source;
        let mut cells = Cells::new(batch.record(record), dialect.delimiter, dialect.quote);
        for at in 0..self.reading.source.header().len() {
            let cell: Option<Cell<'_>> = cells.next();
            if self.ours.contains(&at) {
                continue;
            }
            self.line.push(b',');
            if let Some(cell) = cell {
                write_cell(&mut self.line, &cell.value(), b',');
            }
        }
    }

    fn group(&self, finding: &Finding) -> Group {
        let name = match finding.detail {
            Detail::Rejection(rejection) => column_of(&rejection).map(|at| self.names.of(at)),
            Detail::None | Detail::Twin(_) => None,
        };
        (finding.rule, finding.column, name)
    }

    fn end(mut self) -> Result<(u64, u64, Vec<RuleCount>), CheckError> {
        let flushed = self.out.flush();
        flushed.map_err(|error| self.io(error))?;
        let mut counts: Vec<RuleCount> = self.counts.into_values().collect();
        // What concerns most rows comes first.
        counts.sort_by_key(|count| (count.rule.severity(), std::cmp::Reverse(count.rows)));
        Ok((self.wrong, self.doubtful, counts))
    }
}

/// The column for which a row is rejected, where it is one.
fn column_of(rejection: &Rejection) -> Option<u32> {
    match *rejection {
        Rejection::BooleanWord { column }
        | Rejection::BooleanCleared { column }
        | Rejection::KeyDigits { column, .. }
        | Rejection::DuplicateKey { column, .. }
        | Rejection::Refused { column, .. } => Some(column),
        Rejection::Fault(_)
        | Rejection::LargerThanChunk { .. }
        | Rejection::LeftOut
        | Rejection::NotReady => None,
    }
}
