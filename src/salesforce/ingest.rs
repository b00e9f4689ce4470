//! Ingest jobs: create, upload, close, abort, ask, list, delete, results
//! ("Bulk API 2.0 Ingest", Bulk API guide).
//!
//! Which of these may be repeated blindly: asking, listing, results, delete
//! and abort. Create, upload and close go out once; when one of them fails
//! with [`super::Happened::Maybe`] the caller settles it by asking (I4).

use std::sync::atomic::Ordering::Relaxed;

use serde::{Deserialize, Serialize};

use super::connection::{Call, Payload, UPLOAD_PATIENCE};
use super::download::{Downloaded, OpenTarget};
use super::error::{CallError, Happened, Kind};
use super::org::Org;
use super::retry::{Repeatable, Retry};
use super::transport::Method;
use super::upload::{BytesSent, UploadBody};
use super::{encode, refusal};
use crate::domain::{ColumnDelimiter, Event, JobInfo, JobState, LineEnding, NewJob, ResultSet};

/// One page of the org's list of jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct JobPage {
    /// Bulk API 2.0 ingest jobs, of all users; jobs of other kinds are left
    /// out.
    pub jobs: Vec<JobInfo>,
    /// What to ask for the next page with; `None` at the end.
    pub next: Option<String>,
}

/// Body of a create call.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateBody<'a> {
    object: &'a str,
    operation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id_field_name: Option<&'a str>,
    content_type: &'static str,
    column_delimiter: ColumnDelimiter,
    line_ending: LineEnding,
    #[serde(skip_serializing_if = "Option::is_none")]
    assignment_rule_id: Option<&'a str>,
}

/// A job in any of the replies; each leaves out other fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobReply {
    id: String,
    state: String,
    object: Option<String>,
    operation: Option<String>,
    number_records_processed: Option<u64>,
    number_records_failed: Option<u64>,
    error_message: Option<String>,
    retries: Option<u64>,
    total_processing_time: Option<u64>,
    created_by_id: Option<String>,
    created_date: Option<String>,
    external_id_field_name: Option<String>,
    job_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListReply {
    #[serde(default)]
    records: Vec<JobReply>,
    next_records_url: Option<String>,
}

impl JobReply {
    /// The job in our words; `None` for a state no 2.0 job can have.
    fn into_info(self) -> Option<JobInfo> {
        let state = [
            JobState::Open,
            JobState::UploadComplete,
            JobState::InProgress,
            JobState::JobComplete,
            JobState::Failed,
            JobState::Aborted,
        ]
        .into_iter()
        .find(|state| state.as_str() == self.state)?;
        Some(JobInfo {
            id: self.id,
            state,
            object: self.object.unwrap_or_default(),
            operation: self.operation.unwrap_or_default(),
            records_processed: self.number_records_processed,
            records_failed: self.number_records_failed,
            error_message: self
                .error_message
                .filter(|text| !text.is_empty())
                .map(|text| refusal::one_line(&text, 1_000)),
            retries: self.retries,
            processing_ms: self.total_processing_time,
            created_by: self.created_by_id,
            created: self.created_date,
            external_id: self.external_id_field_name,
        })
    }
}

impl Org {
    fn job_path(&self, id: &str, tail: &str) -> String {
        self.path(&format!("jobs/ingest/{}{tail}", encode(id)))
    }

    async fn fetch_job(&self, call: &Call<'_>) -> Result<JobInfo, CallError> {
        let reply: JobReply = self.connection().fetch(call).await?;
        reply.into_info().ok_or_else(|| {
            call.error(Kind::Reply, Happened::Maybe).message("the job is in an unknown state")
        })
    }

    /// Creates a job, Open and without data.
    ///
    /// # Errors
    /// With [`Happened::Maybe`] a job may exist all the same; it processes
    /// nothing and dies within 24 hours. Leave it alone: jobs carry no
    /// client's name (I4).
    pub async fn create_job(&self, job: &NewJob) -> Result<JobInfo, CallError> {
        let body = CreateBody {
            object: &job.object,
            operation: job.operation.as_str(),
            external_id_field_name: job.external_id.as_deref(),
            content_type: "CSV",
            column_delimiter: job.delimiter,
            line_ending: job.line_ending,
            assignment_rule_id: job.assignment_rule.as_deref(),
        };
        let path = self.path("jobs/ingest");
        // Serializing these plain fields can't fail; an empty body would be
        // refused by the org.
        let json = serde_json::to_vec(&body).unwrap_or_default();
        self.fetch_job(&Call::json("create the job", Method::Post, path, json)).await
    }

    /// Sends the body of a job, header line included, and tells `sent` of
    /// each piece. Once per job ("Upload Job Data": only one PUT counts).
    ///
    /// # Errors
    /// With [`Happened::Maybe`] nobody knows whether the org has the body:
    /// abort the attempt and start a fresh one (I4). [`Kind::Local`] when the
    /// body could not be read.
    ///
    /// # Cancel safety
    /// Dropping it breaks the connection in the middle of the body; treat it
    /// as `Maybe`.
    pub async fn upload(
        &self,
        job_id: &str,
        body: &UploadBody,
        sent: &BytesSent,
    ) -> Result<(), CallError> {
        let connection = self.connection();
        let mut body = body.clone();
        body.gzip &= !connection.refuses_gzip.load(Relaxed);
        let mut retry = Retry::start(&connection.policy, &connection.events);
        loop {
            let call = Call {
                name: "upload the rows",
                method: Method::Put,
                path: self.job_path(job_id, "/batches").into(),
                payload: Payload::Csv(&body, sent),
                accept: "application/json",
                header: body.gzip.then_some(("content-encoding", "gzip")),
                repeatable: Repeatable::OnlyIfNotHappened,
                patience: UPLOAD_PATIENCE,
                anonymous: false,
            };
            match connection.attempt(&call).await {
                // 201 says it all; its body is empty and needs no reading but
                // for the connection's sake.
                Ok(incoming) => {
                    let _ = incoming.beginning().await;
                    return Ok(());
                }
                // Declined as a whole, so it may be sent again.
                Err(error) if body.gzip && error.status == Some(415) => {
                    body.gzip = false;
                    if !connection.refuses_gzip.swap(true, Relaxed) {
                        let text = "the org takes no uploads in gzip; they go as they are";
                        connection.events.0.announce(Event::Note { text: text.to_owned() });
                    }
                }
                Err(error) => retry.again(error, call.repeatable).await?,
            }
        }
    }

    /// Closes a job: from here on the org processes its rows.
    ///
    /// # Errors
    /// With [`Happened::Maybe`], or `INVALIDJOBSTATE`, ask with [`Org::job`]
    /// until the state is known (I4).
    pub async fn close(&self, job_id: &str) -> Result<JobInfo, CallError> {
        self.fetch_job(&self.state_call("close the job", job_id, JobState::UploadComplete)).await
    }

    /// Aborts a job. Rows that were saved stay saved.
    ///
    /// # Errors
    /// `INVALIDJOBSTATE` when it had ended before; any failure with
    /// [`Happened::Maybe`] after the retries.
    pub async fn abort(&self, job_id: &str) -> Result<JobInfo, CallError> {
        let call = Call {
            repeatable: Repeatable::Yes,
            ..self.state_call("abort the job", job_id, JobState::Aborted)
        };
        match self.fetch_job(&call).await {
            // A try whose answer was lost has ended the job.
            Err(error)
                if error.attempts > 1 && error.code.as_deref() == Some("INVALIDJOBSTATE") =>
            {
                self.job(job_id).await
            }
            answer => answer,
        }
    }

    fn state_call(&self, name: &'static str, job_id: &str, state: JobState) -> Call<'static> {
        let json = format!("{{\"state\":\"{}\"}}", state.as_str()).into_bytes();
        Call::json(name, Method::Patch, self.job_path(job_id, ""), json)
    }

    /// Asks where a job stands.
    ///
    /// # Errors
    /// 404 once the org has deleted it (7 days after its end).
    pub async fn job(&self, job_id: &str) -> Result<JobInfo, CallError> {
        self.fetch_job(&Call::get("ask for the job", self.job_path(job_id, ""))).await
    }

    /// Lists the org's ingest jobs, page by page. The list is the whole
    /// org's: a job in it is not ours for being there.
    ///
    /// # Errors
    /// Any [`CallError`]; repeating is harmless.
    pub async fn list_jobs(&self, locator: Option<&str>) -> Result<JobPage, CallError> {
        let mut path = self.path("jobs/ingest?jobType=V2Ingest");
        if let Some(locator) = locator {
            path.push_str("&queryLocator=");
            path.push_str(&encode(locator));
        }
        let call = Call::get("list the jobs", path);
        let reply: ListReply = self.connection().fetch(&call).await?;
        let next = reply.next_records_url.as_deref().and_then(locator_of);
        let ours = |job: &JobReply| job.job_type.as_deref().is_none_or(|kind| kind == "V2Ingest");
        let jobs = reply.records.into_iter().filter(ours).filter_map(JobReply::into_info).collect();
        Ok(JobPage { jobs, next })
    }

    /// Deletes a job with its data and results. It must have ended, or wait.
    ///
    /// # Errors
    /// Any [`CallError`]. A job that is gone already counts as deleted when an
    /// earlier try may have done it.
    pub async fn delete_job(&self, job_id: &str) -> Result<(), CallError> {
        let call = Call {
            method: Method::Delete,
            ..Call::get("delete the job", self.job_path(job_id, ""))
        };
        match self.connection().bytes(&call).await {
            Err(error) if error.attempts > 1 && error.is_not_found() => Ok(()),
            answer => answer.map(|_| ()),
        }
    }

    /// Fetches a result set into the place that `open` makes.
    ///
    /// # Errors
    /// Any [`CallError`]; [`Kind::Local`] when writing fails. What was written
    /// until then is no result set.
    pub async fn results(
        &self,
        job_id: &str,
        set: ResultSet,
        open: &OpenTarget,
    ) -> Result<Downloaded, CallError> {
        let path = self.job_path(job_id, &format!("/{}", set.path()));
        let call = Call { accept: "text/csv", ..Call::get("fetch the results", path) };
        self.connection().download(&call, open).await
    }
}

/// The `queryLocator` of a continuation URL. Only this is taken from it: the
/// documented samples name paths that don't exist. `null` ends a list.
fn locator_of(url: &str) -> Option<String> {
    let value = url
        .split_once('?')?
        .1
        .split('&')
        .find_map(|pair| pair.strip_prefix("queryLocator="))
        .filter(|value| !value.is_empty() && *value != "null")?;
    Some(decode(value))
}

/// Undoes percent-encoding; what is no such encoding stays as it is.
pub(super) fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = (byte == b'%').then(|| tail.get(..2)).flatten();
        let value = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let Some(value) = value {
            out.push(value);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn info(json: &str) -> Option<JobInfo> {
        serde_json::from_str::<JobReply>(json).unwrap().into_info()
    }

    #[test]
    fn a_job_is_read_from_the_least_and_from_the_most() {
        let least = info(r#"{"id":"7507Q00000AbCdeQAF","state":"Open"}"#).unwrap();
        assert_eq!((least.state, least.records_processed), (JobState::Open, None));
        let most = info(
            r#"{"id":"7507Q00000AbCdeQAF","operation":"upsert","object":"Invoice__c",
            "createdById":"0057Q000002xYzQQAU","createdDate":"2026-01-15T08:30:12.000+0000",
            "systemModstamp":"2026-01-15T08:30:12.000+0000","state":"Failed",
            "externalIdFieldName":"Legacy_Id__c","concurrencyMode":"Parallel","contentType":"CSV",
            "apiVersion":"66.0","lineEnding":"LF","columnDelimiter":"COMMA","jobType":"V2Ingest",
            "numberRecordsProcessed":12,"numberRecordsFailed":3,"retries":1,
            "totalProcessingTime":886,"errorMessage":"InvalidBatch : Field name not found : X"}"#,
        )
        .unwrap();
        assert_eq!(most.records_failed, Some(3));
        assert_eq!(most.processing_ms, Some(886));
        assert_eq!(most.external_id.as_deref(), Some("Legacy_Id__c"));
        assert_eq!(most.error_message.as_deref(), Some("InvalidBatch : Field name not found : X"));
    }

    #[test]
    fn a_state_of_the_old_api_is_no_state_of_ours() {
        assert_eq!(info(r#"{"id":"750","state":"Closed","apiVersion":66.0}"#), None);
    }

    #[test]
    fn only_the_locator_is_taken_from_a_continuation() {
        let url = "/services/data/v66.0/jobs/query?isPk=true&queryLocator=01g%2FX-1000&x=1";
        assert_eq!(locator_of(url).as_deref(), Some("01g/X-1000"));
        assert_eq!(locator_of("/jobs/ingest?queryLocator=null"), None);
        assert_eq!(locator_of("/jobs/ingest"), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in "\\PC{0,40}") {
            prop_assert_eq!(decode(&encode(&text)), text);
        }

        #[test]
        fn anything_can_be_decoded(text in "[%0-9a-fxé]{0,20}") {
            let _ = decode(&text);
        }
    }
}
