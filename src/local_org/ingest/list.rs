//! The list of jobs (protocol notes, section 2.7): up to 1,000 on a page, in no
//! particular order, the rest by a locator.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value as Json, json};

use super::Ingest;
use super::job::{Job, Shape};
use super::shuffle::shuffle;
use crate::local_org::errors::ApiError;
use crate::local_org::ids::RecordKey;

/// Lists with more than a page, kept until too many are.
#[derive(Default)]
pub(crate) struct Cursors {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    given: u64,
    lists: VecDeque<(u64, Arc<Vec<u64>>)>,
}

/// Lists kept for paging: clients hold one at a time.
const KEPT: usize = 32;

impl Cursors {
    fn keep(&self, jobs: Arc<Vec<u64>>) -> u64 {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.given += 1;
        let cursor = open.given;
        open.lists.push_back((cursor, jobs));
        if open.lists.len() > KEPT {
            open.lists.pop_front();
        }
        cursor
    }

    fn get(&self, cursor: u64) -> Option<Arc<Vec<u64>>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.lists.iter().find(|(known, _)| *known == cursor).map(|(_, jobs)| Arc::clone(jobs))
    }
}

impl Ingest {
    /// A page of the list. `query` is that of the URL.
    ///
    /// # Errors
    /// 400 for a filter or locator that means nothing.
    pub(crate) fn list(&self, query: &[(String, String)], version: &str) -> Result<Json, ApiError> {
        self.inner.expire();
        let mut wanted = true;
        let mut locator = None;
        for (name, value) in query {
            match name.as_str() {
                "jobType" => match value.as_str() {
                    "V2Ingest" => {}
                    "Classic" | "BigObjectIngest" => wanted = false,
                    _ => return Err(bad_parameter(name, value)),
                },
                "isPkChunkingEnabled" => match value.to_ascii_lowercase().as_str() {
                    "false" => {}
                    // Only Bulk API 1.0 jobs have it.
                    "true" => wanted = false,
                    _ => return Err(bad_parameter(name, value)),
                },
                "queryLocator" => locator = Some(value.as_str()),
                _ => {}
            }
        }
        let page = self.inner.settings.list_page.max(1);
        let (cursor, jobs, from) = match locator {
            Some(locator) => {
                let (cursor, jobs, from) =
                    self.located(locator).ok_or_else(|| bad_parameter("queryLocator", locator))?;
                (Some(cursor), jobs, from)
            }
            None if wanted => {
                let mut jobs: Vec<u64> =
                    self.inner.registry.all().iter().map(|job| job.number).collect();
                shuffle(&mut jobs, self.inner.settings.seed);
                (None, Arc::new(jobs), 0)
            }
            None => (None, Arc::default(), 0),
        };
        let to = (from + page).min(jobs.len());
        let records: Vec<Json> = jobs
            .get(from..to)
            .unwrap_or_default()
            .iter()
            // Those removed since the first page are left out.
            .filter_map(|number| self.inner.registry.get(*number))
            .map(|job: Arc<Job>| job.json(Shape::Listed))
            .collect();
        let next = if to < jobs.len() {
            let cursor = cursor.unwrap_or_else(|| self.inner.cursors.keep(jobs));
            let cursor = RecordKey::new("01g", cursor);
            json!(format!("/services/data/v{version}/jobs/ingest?queryLocator={cursor}-{to}"))
        } else {
            Json::Null
        };
        Ok(json!({"done": next.is_null(), "records": records, "nextRecordsUrl": next}))
    }

    fn located(&self, locator: &str) -> Option<(u64, Arc<Vec<u64>>, usize)> {
        let (cursor, from) = locator.rsplit_once('-')?;
        let cursor = RecordKey::parse(cursor).filter(|key| key.prefix() == "01g")?.counter()?;
        Some((cursor, self.inner.cursors.get(cursor)?, from.parse().ok()?))
    }
}

fn bad_parameter(name: &str, value: &str) -> ApiError {
    ApiError::bad_request("INVALID_QUERY_FILTER", format!("Invalid value for {name}: {value}"))
}
