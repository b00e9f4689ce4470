//! Query jobs: create, ask, abort, delete, and their results page by page
//! ("Bulk API 2.0 Query", Bulk API guide).
//!
//! All but the creation may be repeated blindly: a page is told by its locator,
//! which stays good as long as the job exists. A creation whose answer is lost
//! may have made a job that nobody reads: it changes nothing in the org but one
//! more of the day's query jobs, and the caller decides.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::connection::{Call, QUERY_PATIENCE};
use super::download::{OpenTarget, Streamed};
use super::encode;
use super::error::{CallError, Happened, Kind};
use super::org::Org;
use super::query::QueryScope;
use super::refusal;
use super::transport::Method;
use crate::domain::JobState;

/// A query job, as far as a reply tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryJob {
    /// Its id.
    pub id: String,
    /// Where it stands; never `Open`.
    pub state: JobState,
    /// The object that is queried, as the org derived it.
    pub object: String,
    /// Records found so far.
    pub records: Option<u64>,
    /// Why it failed, where the org says so.
    pub error_message: Option<String>,
    /// When it was created, by the org's clock.
    pub created: Option<Timestamp>,
}

/// One page of results, as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultPage {
    /// Records the org says are in it; `None` where it doesn't say.
    pub records: Option<u64>,
    /// What to ask for the next page with; `None` behind the last.
    pub next: Option<String>,
    /// Bytes of its text.
    pub bytes: u64,
}

/// Some links to pages of results.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageLinks {
    /// Locators of pages, in order. The very first page may be told without
    /// one.
    pub locators: Vec<Option<String>>,
    /// What to ask for further links with; `None` when these were the last.
    pub next: Option<String>,
}

#[derive(Serialize)]
struct CreateBody<'a> {
    operation: &'static str,
    query: &'a str,
    #[serde(rename = "contentType")]
    content_type: &'static str,
    #[serde(rename = "columnDelimiter")]
    column_delimiter: &'static str,
    #[serde(rename = "lineEnding")]
    line_ending: &'static str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobReply {
    id: String,
    state: String,
    object: Option<String>,
    number_records_processed: Option<u64>,
    error_message: Option<String>,
    created_date: Option<String>,
}

impl JobReply {
    fn into_job(self) -> Option<QueryJob> {
        let state = [
            JobState::UploadComplete,
            JobState::InProgress,
            JobState::JobComplete,
            JobState::Failed,
            JobState::Aborted,
        ]
        .into_iter()
        .find(|state| state.as_str() == self.state)?;
        Some(QueryJob {
            id: self.id,
            state,
            object: self.object.unwrap_or_default(),
            records: self.number_records_processed,
            created: self.created_date.and_then(|text| text.parse().ok()),
            error_message: self
                .error_message
                .filter(|text| !text.is_empty())
                .map(|text| refusal::one_line(&text, 1_000)),
        })
    }
}

/// Both spellings of the guide are read: the table says `nextRecordUrl`, the
/// sample `nextRecordsUrl`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LinksReply {
    #[serde(default)]
    result_pages: Vec<LinkReply>,
    #[serde(alias = "nextRecordUrl")]
    next_records_url: Option<String>,
    #[serde(default)]
    done: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LinkReply {
    #[serde(alias = "resultLink")]
    result_url: String,
}

impl Org {
    fn query_job_path(&self, id: &str, tail: &str) -> String {
        self.path(&format!("jobs/query/{}{tail}", encode(id)))
    }

    async fn fetch_query_job(&self, call: &Call<'_>) -> Result<QueryJob, CallError> {
        let reply: JobReply = self.connection().fetch(call).await?;
        reply.into_job().ok_or_else(|| {
            call.error(Kind::Reply, Happened::Maybe).message("the job is in an unknown state")
        })
    }

    /// Creates a query job; the org begins with it at once.
    ///
    /// # Errors
    /// The org's own for a query it doesn't take. With [`Happened::Maybe`] a
    /// job may run that nobody reads.
    pub async fn create_query_job(
        &self,
        soql: &str,
        scope: QueryScope,
    ) -> Result<QueryJob, CallError> {
        let body = CreateBody {
            operation: match scope {
                QueryScope::Live => "query",
                QueryScope::All => "queryAll",
            },
            query: soql,
            content_type: "CSV",
            column_delimiter: "COMMA",
            line_ending: "LF",
        };
        // Serializing these plain fields can't fail; an empty body would be
        // refused by the org.
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let path = self.path("jobs/query");
        self.fetch_query_job(&Call::json("create the query job", Method::Post, path, json)).await
    }

    /// Asks where a query job stands.
    ///
    /// # Errors
    /// 404 once the org has deleted it (7 days after its end).
    pub async fn query_job(&self, id: &str) -> Result<QueryJob, CallError> {
        let call = Call::get("ask for the query job", self.query_job_path(id, ""));
        self.fetch_query_job(&call).await
    }

    /// Aborts a query job.
    ///
    /// # Errors
    /// `INVALIDJOBSTATE` when it had ended before.
    pub async fn abort_query_job(&self, id: &str) -> Result<QueryJob, CallError> {
        let json = br#"{"state":"Aborted"}"#.to_vec();
        let call = Call {
            repeatable: super::retry::Repeatable::Yes,
            ..Call::json("abort the query job", Method::Patch, self.query_job_path(id, ""), json)
        };
        self.fetch_query_job(&call).await
    }

    /// Deletes a query job with its results.
    ///
    /// # Errors
    /// Any [`CallError`]. A job that is gone already counts as deleted when an
    /// earlier try may have done it.
    pub async fn delete_query_job(&self, id: &str) -> Result<(), CallError> {
        let call = Call {
            method: Method::Delete,
            ..Call::get("delete the query job", self.query_job_path(id, ""))
        };
        match self.connection().bytes(&call).await {
            Err(error) if error.attempts > 1 && error.is_not_found() => Ok(()),
            answer => answer.map(|_| ()),
        }
    }

    /// Fetches a page of results into the place that `open` makes: the first
    /// one, or that of a locator. At most `most` records, fewer if the org
    /// thinks so.
    ///
    /// # Errors
    /// Any [`CallError`]; [`Kind::Local`] when writing fails. What was written
    /// until then is no page.
    pub async fn result_page(
        &self,
        id: &str,
        locator: Option<&str>,
        most: Option<u64>,
        open: &OpenTarget,
    ) -> Result<ResultPage, CallError> {
        let mut tail = "/results".to_owned();
        let mut separator = '?';
        if let Some(most) = most {
            let _ = write!(tail, "?maxRecords={most}");
            separator = '&';
        }
        if let Some(locator) = locator {
            let _ = write!(tail, "{separator}locator={}", encode(locator));
        }
        let path = self.query_job_path(id, &tail);
        let call = Call {
            accept: "text/csv",
            patience: QUERY_PATIENCE,
            ..Call::get("fetch a page of the results", path)
        };
        let Streamed { downloaded, headers: [records, next] } = self
            .connection()
            .download_with(&call, open, ["sforce-numberofrecords", "sforce-locator"])
            .await?;
        let next = next.filter(|next| !next.is_empty() && next != "null");
        if next.is_some() && next.as_deref() == locator {
            return Err(call
                .error(Kind::Reply, Happened::Refused)
                .message("the page names itself as the next one"));
        }
        let records = records.and_then(|text| text.trim().parse().ok());
        Ok(ResultPage { records, next, bytes: downloaded.bytes })
    }

    /// Asks for links to pages of a complete job (API 58.0 and up), five at a
    /// time: the first ones, or those behind a continuation.
    ///
    /// # Errors
    /// Any [`CallError`]; 404 where the org has no such resource.
    pub async fn result_links(
        &self,
        id: &str,
        continuation: Option<&str>,
    ) -> Result<PageLinks, CallError> {
        let mut path = self.query_job_path(id, "/resultPages");
        if let Some(continuation) = continuation {
            path.push_str("?locator=");
            path.push_str(&encode(continuation));
        }
        let call = Call::get("ask for the pages of the results", path);
        let reply: LinksReply = self.connection().fetch(&call).await?;
        let locators = reply.result_pages.iter().map(|link| locator_of(&link.result_url)).collect();
        let next = match reply.next_records_url {
            Some(url) if !reply.done => {
                let next = locator_of(&url).filter(|next| Some(next.as_str()) != continuation);
                if next.is_none() {
                    return Err(call
                        .error(Kind::Reply, Happened::Refused)
                        .message("it names no further pages but says there are some"));
                }
                next
            }
            _ => None,
        };
        Ok(PageLinks { locators, next })
    }
}

/// The locator of a link. Only this is taken from it: the token goes to the
/// instance URL alone, and the documented samples spell paths in two ways.
fn locator_of(url: &str) -> Option<String> {
    let value = url
        .split_once('?')?
        .1
        .split('&')
        .find_map(|pair| pair.strip_prefix("locator="))
        .filter(|value| !value.is_empty() && *value != "null")?;
    Some(super::ingest::decode(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_in_both_spellings() {
        let one: LinksReply = serde_json::from_str(
            r#"{"resultPages":[{"resultUrl":"/services/data/v66.0/jobs/query/750/results?locator=aBc1"}],
                "nextRecordsUrl":"/services/data/v66.0/jobs/query/750/resultpages?locator=g%3D","done":false}"#,
        )
        .unwrap();
        assert_eq!(locator_of(&one.result_pages[0].result_url).as_deref(), Some("aBc1"));
        assert_eq!(one.next_records_url.as_deref().and_then(locator_of).as_deref(), Some("g="));
        let other: LinksReply = serde_json::from_str(
            r#"{"resultPages":[{"resultLink":"https://evil.example/results?maxRecords=5&locator=x"}],
                "nextRecordUrl":null,"done":true}"#,
        )
        .unwrap();
        assert_eq!(locator_of(&other.result_pages[0].result_url).as_deref(), Some("x"));
        assert!(other.done && other.next_records_url.is_none());
        assert_eq!(locator_of("/results?maxRecords=5"), None);
    }

    #[test]
    fn a_query_job_is_never_open() {
        let job = |state: &str| {
            let text = format!(r#"{{"id":"750","state":"{state}","numberRecordsProcessed":7}}"#);
            serde_json::from_str::<JobReply>(&text).unwrap().into_job()
        };
        assert_eq!(job("JobComplete").unwrap().records, Some(7));
        assert_eq!(job("Open"), None);
    }
}
