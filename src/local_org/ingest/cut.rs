//! Cutting an upload into units of work, and the checks of the file as a whole
//! (protocol notes, sections 3, "Failed jobs", 4.1 and 4.3).

use std::io::Read;

use memchr::memchr;

use super::apply::CHUNK;
use super::csv::{CsvError, ReadError, Records, content};
use super::header::JobError;
use super::job::JobSpec;
use crate::local_org::jobs::LineEnding;
use crate::local_org::settings::Settings;

/// Rows of an internal batch (section 6).
pub(crate) const BATCH: u32 = 10_000;

/// A part of an upload that is worked on at once; never of two batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Number within the job, in upload order.
    pub number: u32,
    /// Batch it is part of.
    pub batch: u32,
    /// Data row it begins with, from 0.
    pub first_row: u32,
    /// Rows in it.
    pub rows: u32,
    /// Where it begins in the upload.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
}

/// An upload, cut.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    /// The header line with its line end; empty when the upload is.
    pub header: Vec<u8>,
    /// In upload order.
    pub units: Vec<Unit>,
}

/// Bytes a record may have: four to a character, and its line end.
pub(crate) fn longest_record(settings: &Settings) -> usize {
    settings.record_chars.saturating_mul(4).saturating_add(2)
}

/// Rows to a unit: a batch, or about a quarter of a second's work where the
/// org is slowed down, so that counters move.
pub(crate) fn unit_rows(settings: &Settings) -> u32 {
    let Some(speed) = settings.rows_per_second else { return BATCH };
    let chunk = CHUNK as u64;
    let rows = (speed / 4).clamp(chunk, u64::from(BATCH)) / chunk * chunk;
    rows as u32
}

/// Reads an upload through once.
///
/// # Errors
/// The `errorMessage` of the job when the file can't be worked on, or the
/// reader's failure.
pub(crate) fn cut(
    upload: impl Read,
    spec: &JobSpec,
    settings: &Settings,
    unit_rows: u32,
) -> Result<Result<Cut, JobError>, std::io::Error> {
    let mut records = Records::new(upload, spec.delimiter.byte(), longest_record(settings));
    let mut cut = Cut::default();
    let mut rows = 0_u32;
    loop {
        let (offset, record) = match records.next() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Ok(cut)),
            Err(ReadError::Io(error)) => return Err(error),
            Err(ReadError::Csv(error)) => return Ok(Err(refusal(error))),
            Err(ReadError::TooLong(_)) => return Ok(Err(too_long(settings))),
        };
        if let Err(error) = check_line_end(record, spec.line_ending, settings.line_ends_in_quotes) {
            return Ok(Err(error));
        }
        let text = content(record);
        if text.len() > settings.record_chars
            && String::from_utf8_lossy(text).chars().count() > settings.record_chars
        {
            return Ok(Err(too_long(settings)));
        }
        let end = offset + record.len() as u64;
        if offset == 0 {
            cut.header = record.to_vec();
            continue;
        }
        // A line with nothing in it is no row.
        if text.is_empty() {
            if let Some(unit) = cut.units.last_mut() {
                unit.end = end;
            }
            continue;
        }
        match cut.units.last_mut() {
            Some(unit) if unit.rows < unit_rows && !rows.is_multiple_of(BATCH) => {
                unit.rows += 1;
                unit.end = end;
            }
            _ => cut.units.push(Unit {
                number: cut.units.len() as u32,
                batch: rows / BATCH,
                first_row: rows,
                rows: 1,
                start: offset,
                end,
            }),
        }
        rows += 1;
    }
}

fn refusal(error: CsvError) -> JobError {
    JobError::invalid_batch(error)
}

fn too_long(settings: &Settings) -> JobError {
    JobError::invalid_batch(format_args!(
        "A record has more than {} characters",
        settings.record_chars
    ))
}

/// The line end of a record is the job's; with `inside`, those in its quotes,
/// too.
fn check_line_end(record: &[u8], setting: LineEnding, inside: bool) -> Result<(), JobError> {
    let ends_line = record.last() == Some(&b'\n');
    let ends_crlf = record.ends_with(b"\r\n");
    let good = match (setting, inside) {
        (LineEnding::Lf, true) => memchr(b'\r', record).is_none(),
        (LineEnding::Lf, false) => !ends_crlf,
        (LineEnding::Crlf, true) => only_pairs(record),
        (LineEnding::Crlf, false) => !ends_line || ends_crlf,
    };
    if good {
        return Ok(());
    }
    Err(JobError(format!(
        "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {}",
        setting.word()
    )))
}

/// Carriage returns and line feeds stand in pairs only.
fn only_pairs(record: &[u8]) -> bool {
    let mut before = 0_u8;
    for byte in record {
        if (before == b'\r') != (*byte == b'\n') {
            return false;
        }
        before = *byte;
    }
    before != b'\r'
}

#[cfg(test)]
mod tests {
    use super::super::job::Operation;
    use super::*;
    use crate::local_org::jobs::Delimiter;

    fn spec(line_ending: LineEnding) -> JobSpec {
        JobSpec {
            object: "Account".to_owned(),
            operation: Operation::Insert,
            external_id: None,
            assignment_rule_id: None,
            delimiter: Delimiter::Comma,
            line_ending,
            created_by: String::new(),
            created_ms: 0,
            version: "66.0".to_owned(),
            multipart: false,
        }
    }

    fn refused(text: &str, line_ending: LineEnding, settings: &Settings) -> Option<String> {
        let cut = cut(text.as_bytes(), &spec(line_ending), settings, BATCH).unwrap();
        cut.err().map(|error| error.0)
    }

    #[test]
    fn units_cover_all_rows_and_no_unit_is_of_two_batches() {
        let mut text = "Name\n".to_owned();
        for row in 0..25_001 {
            text.push_str(if row % 1_000 == 7 { "\"a\nb\"\n\n" } else { "x\n" });
        }
        let cut = cut(text.as_bytes(), &spec(LineEnding::Lf), &Settings::default(), 4_000)
            .unwrap()
            .unwrap();
        assert_eq!(cut.header, b"Name\n");
        let sizes: Vec<(u32, u32)> = cut.units.iter().map(|unit| (unit.batch, unit.rows)).collect();
        assert_eq!(
            sizes,
            [
                (0, 4_000),
                (0, 4_000),
                (0, 2_000),
                (1, 4_000),
                (1, 4_000),
                (1, 2_000),
                (2, 4_000),
                (2, 1_001)
            ]
        );
        let mut at = 5;
        for unit in &cut.units {
            assert_eq!(unit.start, at);
            at = unit.end;
        }
        assert_eq!(at, text.len() as u64);
    }

    #[test]
    fn line_ends_have_to_be_the_jobs() {
        let strict = Settings::default();
        let lenient = Settings { line_ends_in_quotes: false, ..Settings::default() };
        let lf = "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF";
        let crlf = "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is CRLF";
        assert_eq!(refused("Name\r\na\r\n", LineEnding::Lf, &strict).as_deref(), Some(lf));
        assert_eq!(refused("Name\na\n", LineEnding::Crlf, &strict).as_deref(), Some(crlf));
        assert_eq!(refused("Name\n\"a\r\nb\"\n", LineEnding::Lf, &strict).as_deref(), Some(lf));
        assert_eq!(refused("Name\n\"a\rb\"\n", LineEnding::Lf, &strict).as_deref(), Some(lf));
        assert_eq!(
            refused("Name\r\n\"a\nb\"\r\n", LineEnding::Crlf, &strict).as_deref(),
            Some(crlf)
        );
        assert_eq!(refused("Name\r\n\"a\nb\"\r\n", LineEnding::Crlf, &lenient), None);
        assert_eq!(refused("Name\n\"a\r\nb\"\n", LineEnding::Lf, &lenient), None);
        assert_eq!(refused("Name\r\na\n", LineEnding::Crlf, &lenient).as_deref(), Some(crlf));
        assert_eq!(refused("Name\r\n\"a\r\nb\"\r\nlast", LineEnding::Crlf, &strict), None);
    }

    #[test]
    fn broken_quotes_and_long_records_are_refused() {
        let settings = Settings { record_chars: 10, ..Settings::default() };
        let told = refused("Name\na\"b\n", LineEnding::Lf, &settings).unwrap();
        assert!(
            told.starts_with("InvalidBatch : Failed to parse CSV. Found unescaped quote"),
            "{told}"
        );
        let told = refused("Name\n0123456789a\n", LineEnding::Lf, &settings).unwrap();
        assert_eq!(told, "InvalidBatch : A record has more than 10 characters");
        assert_eq!(refused("Name\nääääääääää\n", LineEnding::Lf, &settings), None);
    }
}
