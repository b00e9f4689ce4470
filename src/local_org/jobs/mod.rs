//! What ingest jobs and query jobs have in common (protocol notes, sections 2
//! and 5): create requests, states, dialects, who may see a job, and the HTTP of
//! small bodies.

pub(crate) mod http;
pub(crate) mod request;

use serde::{Deserialize, Serialize};

use super::errors::ApiError;
use super::settings::{OthersJobs, Settings};

/// `columnDelimiter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Delimiter {
    /// `,`
    #[default]
    Comma,
    /// `` ` ``
    Backquote,
    /// `^`
    Caret,
    /// `|`
    Pipe,
    /// `;`
    Semicolon,
    /// Tabulator.
    Tab,
}

impl Delimiter {
    /// The character.
    pub(crate) fn byte(self) -> u8 {
        match self {
            Delimiter::Comma => b',',
            Delimiter::Backquote => b'`',
            Delimiter::Caret => b'^',
            Delimiter::Pipe => b'|',
            Delimiter::Semicolon => b';',
            Delimiter::Tab => b'\t',
        }
    }
}

/// `lineEnding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum LineEnding {
    /// Line feed.
    #[default]
    Lf,
    /// Carriage return and line feed.
    Crlf,
}

impl LineEnding {
    /// The bytes.
    pub(crate) fn bytes(self) -> &'static [u8] {
        match self {
            LineEnding::Lf => b"\n",
            LineEnding::Crlf => b"\r\n",
        }
    }

    /// The word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            LineEnding::Lf => "LF",
            LineEnding::Crlf => "CRLF",
        }
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// Takes its upload.
    Open,
    /// Waits for a worker.
    UploadComplete,
    /// Is worked on.
    InProgress,
    /// All rows were tried.
    JobComplete,
    /// Given up as a whole.
    Failed,
    /// Given up by its user.
    Aborted,
}

impl State {
    /// Nothing more will happen.
    pub(crate) fn is_terminal(self) -> bool {
        matches!(self, State::JobComplete | State::Failed | State::Aborted)
    }

    /// The word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Open => "Open",
            State::UploadComplete => "UploadComplete",
            State::InProgress => "InProgress",
            State::JobComplete => "JobComplete",
            State::Failed => "Failed",
            State::Aborted => "Aborted",
        }
    }
}

/// 400 of an action that the job's state doesn't allow.
pub(crate) fn illegal_state(message: impl Into<String>) -> ApiError {
    ApiError::bad_request("INVALIDJOBSTATE", message)
}

/// Whether a user may see a job of this one.
///
/// # Errors
/// Of other users' jobs what `others_jobs` says.
pub(crate) fn visible_to(
    user: &str,
    created_by: &str,
    settings: &Settings,
) -> Result<(), ApiError> {
    if created_by == user {
        return Ok(());
    }
    match settings.others_jobs {
        OthersJobs::Visible => Ok(()),
        OthersJobs::NotFound => Err(ApiError::not_found()),
        OthersJobs::InvalidUser => Err(ApiError::bad_request(
            "INVALIDUSER",
            "InvalidUser : The job belongs to another user",
        )),
    }
}

/// Whether results may be asked for under this API version.
///
/// # Errors
/// 409 under another one than the job's, unless that is switched off.
pub(crate) fn same_version(settings: &Settings, job: &str, asked: &str) -> Result<(), ApiError> {
    if !settings.same_version_for_results || asked == job {
        return Ok(());
    }
    Err(ApiError::new(
        axum::http::StatusCode::CONFLICT,
        "API_VERSION_MISMATCH",
        format!("The job was created with API version {job}"),
    ))
}
