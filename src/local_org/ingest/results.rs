//! The three result sets (protocol notes, section 3), told from what the worker
//! left behind, a piece at a time.

use std::collections::HashSet;
use std::io::{self, Read};

use super::Inner;
use super::csv::{self, Cells, Records, content, write_quoted};
use super::cut::longest_record;
use super::job::Job;
use super::spool::Spool;
use crate::local_org::errors::ApiError;
use crate::local_org::jobs::{State, illegal_state, same_version};
use crate::local_org::settings::{EarlyResults, EmptyResults};

/// Which of the sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResultSet {
    /// Saved rows.
    Successful,
    /// Refused rows.
    Failed,
    /// Rows never tried.
    Unprocessed,
}

impl ResultSet {
    /// By its name in the path, in whatever letter case.
    pub(crate) fn of(name: &str) -> Option<ResultSet> {
        match name.to_ascii_lowercase().as_str() {
            "successfulresults" => Some(ResultSet::Successful),
            "failedresults" => Some(ResultSet::Failed),
            "unprocessedrecords" => Some(ResultSet::Unprocessed),
            _ => None,
        }
    }
}

/// How a result set is answered.
pub(crate) enum Answer {
    /// 204.
    NoContent,
    /// 200 with this body.
    Body(Box<dyn Read + Send>),
}

/// Opens a result set.
///
/// # Errors
/// 400 before the job has ended (a switch), 409 under another API version than
/// the job's (a switch), 500 when its files can't be read.
pub(super) fn open(
    inner: &Inner,
    job: &Job,
    set: ResultSet,
    version: &str,
) -> Result<Answer, ApiError> {
    same_version(&inner.settings, &job.spec.version, version)?;
    let progress = job.progress().clone();
    if !progress.state.is_terminal() && inner.settings.early_results == EarlyResults::Refuse {
        return Err(illegal_state(format!(
            "Results are available once the job has ended; it is {}",
            progress.state.word()
        )));
    }
    let internal = |error: &dyn std::error::Error| ApiError::internal(error);
    let units = inner.store.units(job.number).map_err(|error| internal(&error))?;
    let answer = match set {
        ResultSet::Successful | ResultSet::Failed => {
            let (spool, end) = if set == ResultSet::Successful {
                (Spool::Successes, units.iter().map(|unit| unit.successes_end).max())
            } else {
                (Spool::Failures, units.iter().map(|unit| unit.failures_end).max())
            };
            let end = end.unwrap_or(0);
            if end == 0
                && let Some(answer) = empty(inner.settings.empty_results)
            {
                return Ok(answer);
            }
            let header = header(inner, job, set).map_err(|error| internal(&error))?;
            inner.spools.read(job.number, spool, end).map(|rows| {
                let body: Box<dyn Read + Send> = Box::new(io::Cursor::new(header).chain(rows));
                body
            })
        }
        ResultSet::Unprocessed => {
            let done: HashSet<u32> = units.iter().map(|unit| unit.unit).collect();
            let nothing = progress.state == State::JobComplete || progress.hides_unprocessed;
            unprocessed(inner, job, done, progress.unit_rows, nothing).and_then(|mut body| {
                body.fill()?;
                if body.rows == 0 && empty(inner.settings.empty_results).is_some() {
                    body.piece.clear();
                    body.ended = true;
                }
                let body: Box<dyn Read + Send> = Box::new(body);
                Ok(body)
            })
        }
    };
    answer.map(Answer::Body).map_err(|error| internal(&error))
}

/// The answer to an empty set, unless it is its header.
fn empty(setting: EmptyResults) -> Option<Answer> {
    match setting {
        EmptyResults::HeaderOnly => None,
        EmptyResults::EmptyBody => Some(Answer::Body(Box::new(io::empty()))),
        EmptyResults::NoContent => Some(Answer::NoContent),
    }
}

fn dialect(inner: &Inner, job: &Job) -> (u8, &'static [u8]) {
    if inner.settings.results_in_job_dialect {
        (job.spec.delimiter.byte(), job.spec.line_ending.bytes())
    } else {
        (b',', b"\n")
    }
}

fn header(inner: &Inner, job: &Job, set: ResultSet) -> io::Result<Vec<u8>> {
    let (delimiter, line_end) = dialect(inner, job);
    let mut out = Vec::new();
    let own: [&[u8]; 2] = [
        b"\"sf__Id\"",
        if set == ResultSet::Successful { b"\"sf__Created\"" } else { b"\"sf__Error\"" },
    ];
    if set != ResultSet::Unprocessed {
        out.extend_from_slice(&own.join(&delimiter));
    }
    let uploaded = match job.progress().result_header.clone() {
        Some(header) => header.into_bytes(),
        // Never understood: as it was uploaded.
        None => uploaded_header(inner, job)?,
    };
    if !out.is_empty() && !uploaded.is_empty() {
        out.push(delimiter);
    }
    out.extend_from_slice(&uploaded);
    if !out.is_empty() {
        out.extend_from_slice(line_end);
    }
    Ok(out)
}

fn uploaded_header(inner: &Inner, job: &Job) -> io::Result<Vec<u8>> {
    let length = inner.spools.len(job.number, Spool::Upload)?;
    let upload = inner.spools.read(job.number, Spool::Upload, length)?;
    let longest = longest_record(&inner.settings);
    let mut records = Records::new(upload, job.spec.delimiter.byte(), longest);
    Ok(match records.next() {
        Ok(Some((_, record))) => content(record).to_vec(),
        // What can't be cut into records is told as it is, below.
        Ok(None) | Err(_) => Vec::new(),
    })
}

/// Rows that no unit has done, read out of the upload again.
struct Unprocessed {
    records: Records<Box<dyn Read + Send>>,
    delimiter: u8,
    result_delimiter: u8,
    line_end: &'static [u8],
    done: HashSet<u32>,
    unit_rows: u32,
    /// Rows seen of the current unit, and its number.
    unit: u32,
    in_unit: u32,
    seen: u32,
    rows: u64,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
    /// Not CSV: the upload as it is.
    verbatim: Option<Box<dyn Read + Send>>,
}

fn unprocessed(
    inner: &Inner,
    job: &Job,
    done: HashSet<u32>,
    unit_rows: Option<u32>,
    nothing: bool,
) -> io::Result<Unprocessed> {
    let length = inner.spools.len(job.number, Spool::Upload)?;
    let open = || inner.spools.read(job.number, Spool::Upload, length);
    let delimiter = job.spec.delimiter.byte();
    let longest = longest_record(&inner.settings);
    let mut good = true;
    if done.is_empty() && !nothing && job.progress().result_header.is_none() {
        // The file was refused; perhaps because it can't be cut.
        let mut records = Records::new(open()?, delimiter, longest);
        loop {
            match records.next() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(csv::ReadError::Io(error)) => return Err(error),
                Err(_) => {
                    good = false;
                    break;
                }
            }
        }
    }
    let mut records: Records<Box<dyn Read + Send>> =
        Records::new(Box::new(open()?), delimiter, longest);
    if good {
        // The header is told by its own rules.
        records.next().map_err(io::Error::other)?;
    }
    let (result_delimiter, line_end) = dialect(inner, job);
    Ok(Unprocessed {
        records,
        delimiter,
        result_delimiter,
        line_end,
        done,
        unit_rows: unit_rows.unwrap_or(super::cut::BATCH),
        unit: 0,
        in_unit: 0,
        seen: 0,
        rows: 0,
        piece: if good { header(inner, job, ResultSet::Unprocessed)? } else { Vec::new() },
        at: 0,
        ended: nothing,
        verbatim: if good { None } else { Some(Box::new(open()?)) },
    })
}

impl Unprocessed {
    /// Reads rows until there is a piece to tell, or the end.
    fn fill(&mut self) -> io::Result<()> {
        // A reader's buffer full, and not a row at a time.
        const PIECE: usize = 64 * 1024;
        if self.verbatim.is_some() {
            self.rows = 1;
            return Ok(());
        }
        while !self.ended && self.piece.len() < PIECE {
            let Some((_, record)) = self.records.next().map_err(io::Error::other)? else {
                self.ended = true;
                break;
            };
            let record = content(record);
            if record.is_empty() {
                continue;
            }
            // The borders of units, as they were cut.
            if self.in_unit == self.unit_rows
                || (self.seen > 0 && self.seen.is_multiple_of(super::cut::BATCH))
            {
                self.unit += 1;
                self.in_unit = 0;
            }
            self.in_unit += 1;
            self.seen += 1;
            if self.done.contains(&self.unit) {
                continue;
            }
            self.rows += 1;
            for (at, cell) in Cells::new(record, self.delimiter).enumerate() {
                if at > 0 {
                    self.piece.push(self.result_delimiter);
                }
                write_quoted(&mut self.piece, cell.text().as_bytes());
            }
            self.piece.extend_from_slice(self.line_end);
        }
        Ok(())
    }
}

impl Read for Unprocessed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(verbatim) = &mut self.verbatim {
            return verbatim.read(buffer);
        }
        if self.at == self.piece.len() {
            self.piece.clear();
            self.at = 0;
            self.fill()?;
        }
        let rest = self.piece.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}
