//! A job: what it was created with, how far it is, and how both are told
//! (protocol notes, sections 2.2, 2.4 and 2.6).
//!
//! ```text
//!             upload           close
//!  (create) -> Open ----------------> UploadComplete -> InProgress -> JobComplete
//!                \--abort--> Aborted <---abort---/---------/   \----> Failed
//! ```
//! A multipart create enters at `UploadComplete`.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
#[cfg(test)]
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::local_org::ids::RecordKey;
use crate::local_org::jobs::{Delimiter, LineEnding, State};
use crate::local_org::value::temporal::json_instant;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Operation {
    /// Makes records.
    Insert,
    /// Changes records by id.
    Update,
    /// Makes or changes records by external id.
    Upsert,
    /// Puts records into the recycle bin.
    Delete,
    /// Removes records for good.
    HardDelete,
}

impl Operation {
    /// The word, in exactly this letter case.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Operation::Insert => "insert",
            Operation::Update => "update",
            Operation::Upsert => "upsert",
            Operation::Delete => "delete",
            Operation::HardDelete => "hardDelete",
        }
    }

    /// Takes records away.
    pub(crate) fn deletes(self) -> bool {
        matches!(self, Operation::Delete | Operation::HardDelete)
    }
}

/// What a job was created with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobSpec {
    /// API name of the object.
    pub object: String,
    /// What to do.
    pub operation: Operation,
    /// `externalIdFieldName` of an upsert.
    pub external_id: Option<String>,
    /// `assignmentRuleId`; told back, without effect here.
    pub assignment_rule_id: Option<String>,
    /// Between the cells.
    pub delimiter: Delimiter,
    /// Between the rows.
    pub line_ending: LineEnding,
    /// Id of the user.
    pub created_by: String,
    /// Org time.
    pub created_ms: i64,
    /// Such as `66.0`.
    pub version: String,
    /// Created together with its data.
    pub multipart: bool,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Where it stands.
    pub state: State,
    /// `errorMessage` of a failed job.
    pub error: Option<String>,
    /// Org time of the last change.
    pub modified_ms: i64,
    /// Org time of the end.
    pub ended_ms: Option<i64>,
    /// Uploads that arrived whole.
    pub uploads: u32,
    /// An upload is arriving.
    #[serde(skip)]
    pub uploading: bool,
    /// Rows processed, failures included.
    #[serde(skip)]
    pub processed: u64,
    /// Rows failed.
    #[serde(skip)]
    pub failed: u64,
    /// Milliseconds of work.
    #[serde(skip)]
    pub work_ms: u64,
    /// Rows to a unit of work, fixed when the work began.
    pub unit_rows: Option<u32>,
    /// Highest counter of the object when the work began: what is above it may
    /// be of this job.
    pub newest_before: Option<u64>,
    /// Header of result sets behind the `sf__` columns, once it is known.
    pub result_header: Option<String>,
    /// Rows beyond the daily batches are told nowhere.
    pub hides_unprocessed: bool,
}

/// A job.
#[derive(Debug)]
pub(crate) struct Job {
    /// Counter of its id.
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
    /// Reply to close and abort.
    Patched,
    /// Reply to GET.
    Info,
    /// One of a list.
    Listed,
}

impl Job {
    /// A job as it was created or read back.
    pub(crate) fn new(number: u64, spec: JobSpec, progress: Progress) -> Job {
        Job { number, spec, progress: Mutex::new(progress), changed: Condvar::new() }
    }

    /// Its id.
    pub(crate) fn key(&self) -> RecordKey {
        RecordKey::new("750", self.number)
    }

    /// How far it is, locked.
    pub(crate) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those in [`Job::wait_until`] to look.
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

    /// The JSON body, fields as in section 2.4.
    pub(crate) fn json(&self, shape: Shape) -> Json {
        let (spec, progress) = (&self.spec, self.progress().clone());
        let id = self.key().to_string();
        let version: f64 = spec.version.parse().unwrap_or_default();
        let mut body = Map::new();
        let mut put = |name: &str, value: Json| {
            body.insert(name.to_owned(), value);
        };
        put("id", json!(id));
        put("operation", json!(spec.operation.word()));
        put("object", json!(spec.object));
        put("createdById", json!(spec.created_by));
        put("createdDate", json!(json_instant(spec.created_ms)));
        put("systemModstamp", json!(json_instant(progress.modified_ms)));
        put("state", json!(progress.state.word()));
        if let Some(field) = &spec.external_id {
            put("externalIdFieldName", json!(field));
        }
        if let Some(rule) = &spec.assignment_rule_id {
            put("assignmentRuleId", json!(rule));
        }
        put("concurrencyMode", json!("Parallel"));
        put("contentType", json!("CSV"));
        put("apiVersion", json!(version));
        let open = progress.state == State::Open;
        if open && !spec.multipart && shape != Shape::Patched {
            let version = &spec.version;
            // Relative, without a slash in front.
            put("contentUrl", json!(format!("services/data/v{version}/jobs/ingest/{id}/batches")));
        }
        if shape != Shape::Patched {
            put("lineEnding", json!(spec.line_ending.word()));
            put("columnDelimiter", json!(spec.delimiter));
        }
        if matches!(shape, Shape::Info | Shape::Listed) {
            put("jobType", json!("V2Ingest"));
        }
        if shape == Shape::Info {
            if !open {
                put("numberRecordsProcessed", json!(progress.processed));
                put("numberRecordsFailed", json!(progress.failed));
            }
            put("retries", json!(0));
            put("totalProcessingTime", json!(progress.work_ms));
            put("apiActiveProcessingTime", json!(progress.work_ms));
            put("apexProcessingTime", json!(0));
            if let (State::Failed, Some(error)) = (progress.state, &progress.error) {
                put("errorMessage", json!(error));
            }
        }
        Json::Object(body)
    }
}

impl Progress {
    /// Of a fresh job.
    pub(crate) fn new(now_ms: i64) -> Progress {
        Progress {
            state: State::Open,
            error: None,
            modified_ms: now_ms,
            ended_ms: None,
            uploads: 0,
            uploading: false,
            processed: 0,
            failed: 0,
            work_ms: 0,
            unit_rows: None,
            newest_before: None,
            result_header: None,
            hides_unprocessed: false,
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
