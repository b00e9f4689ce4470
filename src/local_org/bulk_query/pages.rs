//! Result pages: which rows stand on one, and the locators that lead from one
//! to the next (protocol notes, section 5.2).
//!
//! A locator is the number of a row, made unreadable by the job and what it
//! is for, with a checksum: it means the same as long as the job is there,
//! and nothing for any other.

use std::io;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::job::QueryJob;
use super::results::{Pieces, Stored};
use super::{BulkQuery, PAGES_SINCE, known_since, project};
use crate::local_org::auth::base64;
use crate::local_org::errors::ApiError;
use crate::local_org::jobs::request::bad_parameter;
use crate::local_org::jobs::{State, illegal_state, same_version};
use crate::local_org::settings::{ResultPagesKey, ResultPagesPath};

/// What a locator is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A page of rows.
    Results = 1,
    /// A page of links to such pages.
    Links = 2,
}

/// Bits of a row's number.
const ROW_BITS: u32 = 48;

fn mixed(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn mask(job: u64, purpose: Purpose) -> u64 {
    mixed(job.wrapping_mul(8) + purpose as u64)
}

/// 48 bits of the row and the mask, to tell a locator of this job from any
/// other text.
fn checksum(row: u64, mask: u64) -> u64 {
    mixed(mixed(row) ^ mask) >> (64 - ROW_BITS)
}

/// The locator of a row.
fn locator(job: u64, purpose: Purpose, row: u64) -> String {
    let mask = mask(job, purpose);
    let check = checksum(row, mask);
    let hidden = (row ^ mask ^ check) & ((1 << ROW_BITS) - 1);
    let mut bytes = [0; 12];
    bytes[..6].copy_from_slice(&check.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&hidden.to_be_bytes()[2..]);
    base64::encode_url(&bytes)
}

/// The row of a locator of this job and purpose.
fn located(job: u64, purpose: Purpose, text: &str) -> Option<u64> {
    let bytes: [u8; 12] = base64::decode(text.as_bytes())?.try_into().ok()?;
    let number = |part: &[u8]| part.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let (check, hidden) = (number(&bytes[..6]), number(&bytes[6..]));
    let row = (hidden ^ mask(job, purpose) ^ check) & ((1 << ROW_BITS) - 1);
    (locator(job, purpose, row) == text).then_some(row)
}

/// What is asked of `results`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Where to go on.
    pub locator: Option<String>,
    /// Rows at most.
    pub max_records: Option<String>,
}

/// A page of results.
pub(crate) struct Page {
    /// Rows on it.
    pub rows: u64,
    /// Where to go on, unless it is the last.
    pub next: Option<String>,
    /// Its first line.
    pub header: Vec<u8>,
    /// Its rows.
    pub body: Pieces,
}

fn bad_locator() -> ApiError {
    ApiError::bad_request("INVALID_QUERY_LOCATOR", "invalid query locator")
}

impl BulkQuery {
    /// A page of a job's results.
    ///
    /// # Errors
    /// 400 before the job is complete and for a parameter that means nothing,
    /// 409 under another API version than the job's.
    pub(crate) fn page(
        &self,
        job: &Arc<QueryJob>,
        asked: &Asked,
        version: &str,
    ) -> Result<Page, ApiError> {
        let total = self.complete(job, version)?;
        let settings = &self.inner.settings;
        let most = match &asked.max_records {
            None => settings.query_page_rows.max(1),
            Some(text) => text
                .parse()
                .ok()
                .filter(|most| *most > 0)
                .ok_or_else(|| bad_parameter("maxRecords", text))?,
        };
        let first = self.first(job, Purpose::Results, asked.locator.as_deref(), total)?;
        let internal = |error: io::Error| ApiError::internal(&error);
        let stored = self.stored(job)?;
        let end = end_of_page(&stored, first, total, most, settings.query_page_bytes)
            .map_err(internal)?;
        let (from, to) =
            (stored.start_of(first).map_err(internal)?, stored.start_of(end).map_err(internal)?);
        Ok(Page {
            rows: end - first,
            next: (end < total).then(|| locator(job.number, Purpose::Results, end)),
            header: project::header(&job.spec),
            body: stored.bytes(from, to).map_err(internal)?,
        })
    }

    /// Links to pages, some at a time.
    ///
    /// # Errors
    /// 404 under an API version without such links; as [`BulkQuery::page`].
    pub(crate) fn links(
        &self,
        job: &Arc<QueryJob>,
        from: Option<&str>,
        version: &str,
    ) -> Result<Json, ApiError> {
        known_since(version, PAGES_SINCE)?;
        let total = self.complete(job, version)?;
        let settings = &self.inner.settings;
        let mut row = self.first(job, Purpose::Links, from, total)?;
        let stored = self.stored(job)?;
        let path = format!("/services/data/v{version}/jobs/query/{}", job.key());
        let mut links = Vec::new();
        while links.len() < settings.result_pages_links.max(1) && (row < total || row == 0) {
            let at = locator(job.number, Purpose::Results, row);
            links.push(json!({"resultUrl": format!("{path}/results?locator={at}")}));
            let most = settings.query_page_rows.max(1);
            let end = end_of_page(&stored, row, total, most, settings.query_page_bytes)
                .map_err(|error| ApiError::internal(&error))?;
            // A page without rows is the only one.
            row = end.max(row + 1);
        }
        let mut body = Map::new();
        body.insert("resultPages".to_owned(), Json::Array(links));
        let done = row >= total;
        if !done {
            let key = match settings.result_pages_key {
                ResultPagesKey::NextRecordsUrl => "nextRecordsUrl",
                ResultPagesKey::NextRecordUrl => "nextRecordUrl",
            };
            let word = match settings.result_pages_path {
                ResultPagesPath::LowerCase => "resultpages",
                ResultPagesPath::CamelCase => "resultPages",
            };
            let at = locator(job.number, Purpose::Links, row);
            body.insert(key.to_owned(), json!(format!("{path}/{word}?locator={at}")));
        }
        body.insert("done".to_owned(), json!(done));
        Ok(Json::Object(body))
    }

    /// The number of rows of a job that is complete.
    fn complete(&self, job: &QueryJob, version: &str) -> Result<u64, ApiError> {
        same_version(&self.inner.settings, &job.spec.version, version)?;
        let progress = job.progress();
        if progress.state == State::JobComplete {
            return Ok(progress.processed);
        }
        Err(illegal_state(format!(
            "Results are available once the job is complete; it is {}",
            progress.state.word()
        )))
    }

    fn stored(&self, job: &QueryJob) -> Result<Stored, ApiError> {
        self.inner.results.of(job.number).map_err(|error| {
            // It was removed between two looks.
            if error.kind() == io::ErrorKind::NotFound {
                ApiError::not_found()
            } else {
                ApiError::internal(&error)
            }
        })
    }

    fn first(
        &self,
        job: &QueryJob,
        purpose: Purpose,
        text: Option<&str>,
        total: u64,
    ) -> Result<u64, ApiError> {
        let Some(text) = text else { return Ok(0) };
        let row = located(job.number, purpose, text).ok_or_else(bad_locator)?;
        if row == 0 || row < total { Ok(row) } else { Err(bad_locator()) }
    }
}

/// The row behind the page that begins with `first`: at most so many rows and
/// bytes, but one row at least where there is one.
fn end_of_page(stored: &Stored, first: u64, total: u64, most: u64, bytes: u64) -> io::Result<u64> {
    let start = stored.start_of(first)?;
    let mut end = first.saturating_add(most).min(total);
    if end <= first + 1 || stored.start_of(end)? - start <= bytes {
        return Ok(end);
    }
    // The last border that fits lies before `end`.
    let mut fits = first + 1;
    while end - fits > 1 {
        let middle = fits + (end - fits) / 2;
        if stored.start_of(middle)? - start <= bytes {
            fits = middle;
        } else {
            end = middle;
        }
    }
    Ok(fits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn locators_come_back_and_mean_nothing_elsewhere(
            job in 0..u64::MAX, row in 0..1_u64 << ROW_BITS, other in ".{0,18}",
        ) {
            let text = locator(job, Purpose::Results, row);
            prop_assert_eq!(located(job, Purpose::Results, &text), Some(row));
            prop_assert_eq!(located(job, Purpose::Links, &text), None);
            prop_assert_eq!(located(job ^ 1, Purpose::Results, &text), None);
            prop_assert_ne!(located(job, Purpose::Results, &other), Some(row));
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        }
    }
}
