//! The list of jobs (protocol notes, section 2.7): up to 1,000 on a page, in no
//! particular order, the rest by a locator.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value as Json, json};

use super::Ingest;
use super::job::Shape;
use super::shuffle::shuffle;
use crate::local_org::errors::ApiError;
use crate::local_org::ids::RecordKey;
use crate::local_org::jobs::request::bad_parameter;

/// Tells a job by its number, as one of a list.
pub(crate) type Teller = Box<dyn Fn(u64) -> Option<Json> + Send + Sync>;

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
        let jobs = if wanted { self.numbers() } else { Vec::new() };
        let page = self.inner.settings.list_page.max(1);
        let path = format!("/services/data/v{version}/jobs/ingest");
        self.page(jobs, locator, page, &path)
    }

    /// Numbers of all jobs.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.inner.registry.all().iter().map(|job| job.number).collect()
    }

    /// From now on lists may hold jobs that are told by `teller`.
    pub(crate) fn tell_also(&self, teller: Teller) {
        // There is one kind of other jobs, and one start.
        let _ = self.inner.others.set(teller);
    }

    fn tell(&self, number: u64) -> Option<Json> {
        match self.inner.registry.get(number) {
            Some(job) => Some(job.json(Shape::Listed)),
            None => self.inner.others.get().and_then(|teller| teller(number)),
        }
    }

    /// A page of a list of these jobs, in no particular order, or of that
    /// which a locator continues. `path` is where the rest is to be had.
    ///
    /// # Errors
    /// 400 for a locator that means nothing.
    pub(crate) fn page(
        &self,
        mut jobs: Vec<u64>,
        locator: Option<&str>,
        most: usize,
        path: &str,
    ) -> Result<Json, ApiError> {
        let (cursor, jobs, from) = match locator {
            Some(locator) => {
                let (cursor, jobs, from) =
                    self.located(locator).ok_or_else(|| bad_parameter("queryLocator", locator))?;
                (Some(cursor), jobs, from)
            }
            None => {
                shuffle(&mut jobs, self.inner.settings.seed);
                (None, Arc::new(jobs), 0)
            }
        };
        let to = (from + most).min(jobs.len());
        let records: Vec<Json> = jobs
            .get(from..to)
            .unwrap_or_default()
            .iter()
            // Those removed since the first page are left out.
            .filter_map(|number| self.tell(*number))
            .collect();
        let next = if to < jobs.len() {
            let cursor = cursor.unwrap_or_else(|| self.inner.cursors.keep(jobs));
            let cursor = RecordKey::new("01g", cursor);
            json!(format!("{path}?queryLocator={cursor}-{to}"))
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
