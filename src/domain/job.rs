//! Ingest jobs as the service shows them.

use serde::{Deserialize, Serialize};

use super::Operation;

/// Where a job stands ("Job States", Bulk API 2.0 guide).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JobState {
    /// Created and taking data, for 24 hours at most.
    Open,
    /// Closed by us, queued by the org.
    UploadComplete,
    /// Being split into batches and worked.
    InProgress,
    /// Every batch was worked; rows may have failed all the same.
    JobComplete,
    /// Failed as a whole; rows saved before that stay saved.
    Failed,
    /// Cancelled; rows saved before that stay saved.
    Aborted,
}

impl JobState {
    /// Whether the job will never change again (batches of an aborted job may
    /// still finish for a moment).
    pub const fn is_terminal(self) -> bool {
        matches!(self, JobState::JobComplete | JobState::Failed | JobState::Aborted)
    }

    /// The service's own name of the state.
    pub const fn as_str(self) -> &'static str {
        match self {
            JobState::Open => "Open",
            JobState::UploadComplete => "UploadComplete",
            JobState::InProgress => "InProgress",
            JobState::JobComplete => "JobComplete",
            JobState::Failed => "Failed",
            JobState::Aborted => "Aborted",
        }
    }
}

impl std::fmt::Display for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The delimiter of a job's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ColumnDelimiter {
    /// `,`
    Comma,
    /// `` ` ``
    Backquote,
    /// `^`
    Caret,
    /// `|`
    Pipe,
    /// `;`
    Semicolon,
    /// The tab character.
    Tab,
}

impl ColumnDelimiter {
    /// The delimiter that is this byte, if a job may have it.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            b',' => ColumnDelimiter::Comma,
            b'`' => ColumnDelimiter::Backquote,
            b'^' => ColumnDelimiter::Caret,
            b'|' => ColumnDelimiter::Pipe,
            b';' => ColumnDelimiter::Semicolon,
            b'\t' => ColumnDelimiter::Tab,
            _ => return None,
        })
    }

    /// The byte itself.
    pub const fn byte(self) -> u8 {
        match self {
            ColumnDelimiter::Comma => b',',
            ColumnDelimiter::Backquote => b'`',
            ColumnDelimiter::Caret => b'^',
            ColumnDelimiter::Pipe => b'|',
            ColumnDelimiter::Semicolon => b';',
            ColumnDelimiter::Tab => b'\t',
        }
    }
}

/// The line end of a job's data; the service refuses a mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LineEnding {
    /// `\n`
    Lf,
    /// `\r\n`
    Crlf,
}

impl LineEnding {
    /// The bytes that end a line.
    pub const fn bytes(self) -> &'static [u8] {
        match self {
            LineEnding::Lf => b"\n",
            LineEnding::Crlf => b"\r\n",
        }
    }
}

/// What a create call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// API name of the object.
    pub object: String,
    /// What happens with the rows.
    pub operation: Operation,
    /// The field an upsert matches by; none otherwise.
    pub external_id: Option<String>,
    /// Delimiter of the body.
    pub delimiter: ColumnDelimiter,
    /// Line end of the body.
    pub line_ending: LineEnding,
    /// Assignment rule for Case and Lead.
    pub assignment_rule: Option<String>,
}

/// What the org tells of a job. Fields the org leaves out are `None`: all but
/// the first four are optional in one reply or another.
#[derive(Debug, Clone, PartialEq)]
pub struct JobInfo {
    /// 18-character job id.
    pub id: String,
    /// Where it stands.
    pub state: JobState,
    /// API name of the object.
    pub object: String,
    /// The operation's name as the org gave it.
    pub operation: String,
    /// Rows worked so far, the failed ones among them.
    pub records_processed: Option<u64>,
    /// Rows that failed so far.
    pub records_failed: Option<u64>,
    /// Why the job failed as a whole: `Code : text`.
    pub error_message: Option<String>,
    /// Attempts of the org to save rows again.
    pub retries: Option<u64>,
    /// Milliseconds the org spent on the job.
    pub processing_ms: Option<u64>,
    /// Created by this user (id).
    pub created_by: Option<String>,
    /// When it was created, as the org wrote it.
    pub created: Option<String>,
    /// External id field of an upsert.
    pub external_id: Option<String>,
}

/// One of the three result sets of an ingest job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ResultSet {
    /// Rows that were saved.
    Successful,
    /// Rows that were refused, with the reason.
    Failed,
    /// Rows never attempted.
    Unprocessed,
}

impl ResultSet {
    /// All three.
    pub const ALL: [ResultSet; 3] =
        [ResultSet::Successful, ResultSet::Failed, ResultSet::Unprocessed];

    /// The last part of its URL.
    pub const fn path(self) -> &'static str {
        match self {
            ResultSet::Successful => "successfulResults",
            ResultSet::Failed => "failedResults",
            ResultSet::Unprocessed => "unprocessedrecords",
        }
    }
}
