//! A query job: what it was created with, how far it is, and how both are told
//! (protocol notes, section 5.1).
//!
//! ```text
//!  (create) -> UploadComplete -> InProgress -> JobComplete
//!                     \--abort--/-> Aborted  \-> Failed
//! ```

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
#[cfg(test)]
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::local_org::ids::RecordKey;
use crate::local_org::jobs::{Delimiter, LineEnding, State};
use crate::local_org::value::temporal::json_instant;

/// Counters of the ids of query jobs lie above those of ingest jobs, which
/// have the same prefix: 62^8 is the ninth digit.
pub(crate) const FIRST: u64 = 62_u64.pow(8);

/// Which records a job reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Operation {
    /// Those that are there.
    Query,
    /// Deleted and archived ones, too.
    QueryAll,
}

/// What a job was created with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobSpec {
    /// SOQL.
    pub query: String,
    /// Which records.
    pub operation: Operation,
    /// API name of the object it reads.
    pub object: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Between the cells.
    pub delimiter: Delimiter,
    /// Between the rows.
    pub line_ending: LineEnding,
    /// `isPkChunkingSupported`.
    pub pk_chunking: bool,
    /// Id of the user.
    pub created_by: String,
    /// Org time.
    pub created_ms: i64,
    /// Such as `66.0`.
    pub version: String,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Where it stands.
    pub state: State,
    /// Why it failed.
    pub error: Option<String>,
    /// Org time of the last change.
    pub modified_ms: i64,
    /// Org time of the end.
    pub ended_ms: Option<i64>,
    /// Records read.
    pub processed: u64,
    /// Milliseconds of work.
    pub work_ms: u64,
}

impl Progress {
    /// Of a fresh job.
    pub(crate) fn new(now_ms: i64) -> Progress {
        Progress {
            state: State::UploadComplete,
            error: None,
            modified_ms: now_ms,
            ended_ms: None,
            processed: 0,
            work_ms: 0,
        }
    }

    /// Goes to another state.
    pub(crate) fn enter(&mut self, state: State, now_ms: i64) {
        self.state = state;
        self.modified_ms = now_ms;
        if state.is_terminal() {
            self.ended_ms = Some(now_ms);
        }
    }
}

/// A query job.
#[derive(Debug)]
pub(crate) struct QueryJob {
    /// 1 is the first query job of the org.
    pub number: u64,
    /// What it was created with.
    pub spec: JobSpec,
    progress: Mutex<Progress>,
    changed: Condvar,
}

/// The bodies in which a job is told; each leaves out other fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Reply to create.
    Created,
    /// Reply to abort.
    Patched,
    /// Reply to GET.
    Info,
    /// One of a list.
    Listed,
}

impl QueryJob {
    /// A job as it was created or read back.
    pub(crate) fn new(number: u64, spec: JobSpec, progress: Progress) -> QueryJob {
        QueryJob { number, spec, progress: Mutex::new(progress), changed: Condvar::new() }
    }

    /// Its id.
    pub(crate) fn key(&self) -> RecordKey {
        key(self.number)
    }

    /// How far it is, locked.
    pub(crate) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait for it to look.
    pub(crate) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Waits until its progress is as wished; `false` after `most`.
    #[cfg(test)]
    pub(crate) fn wait_until(&self, most: Duration, wished: impl Fn(&Progress) -> bool) -> bool {
        let result = self.changed.wait_timeout_while(self.progress(), most, |p| !wished(p));
        result.is_ok_and(|(_, timeout)| !timeout.timed_out())
    }

    /// Where it stands.
    pub(crate) fn state(&self) -> State {
        self.progress().state
    }

    /// The JSON body; the query itself is never told. `with_error`: a failed
    /// job says why.
    pub(crate) fn json(&self, shape: Shape, with_error: bool) -> Json {
        let (spec, progress) = (&self.spec, self.progress().clone());
        let version: f64 = spec.version.parse().unwrap_or_default();
        let mut body = Map::new();
        let mut put = |name: &str, value: Json| {
            body.insert(name.to_owned(), value);
        };
        put("id", json!(self.key().to_string()));
        put("operation", json!(spec.operation));
        put("object", json!(spec.object));
        put("createdById", json!(spec.created_by));
        put("createdDate", json!(json_instant(spec.created_ms)));
        put("systemModstamp", json!(json_instant(progress.modified_ms)));
        put("state", json!(progress.state.word()));
        put("concurrencyMode", json!("Parallel"));
        put("contentType", json!("CSV"));
        put("apiVersion", json!(version));
        if shape != Shape::Patched {
            put("lineEnding", json!(spec.line_ending.word()));
            put("columnDelimiter", json!(spec.delimiter));
        }
        if matches!(shape, Shape::Info | Shape::Listed) {
            put("jobType", json!("V2Query"));
        }
        if shape == Shape::Info {
            put("numberRecordsProcessed", json!(progress.processed));
            put("retries", json!(0));
            put("totalProcessingTime", json!(progress.work_ms));
            put("isPkChunkingSupported", json!(spec.pk_chunking));
            if let (true, Some(error)) = (with_error, &progress.error) {
                put("errorMessage", json!(error));
            }
        }
        Json::Object(body)
    }
}

/// The id of the query job of this number.
pub(crate) fn key(number: u64) -> RecordKey {
    RecordKey::new("750", FIRST.saturating_add(number))
}
