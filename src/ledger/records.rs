//! What the ledger holds, typed.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{AttemptState, LineEnding, Operation, RowNumber, RowRanges, Tally};

/// The org a run is bound to (I11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgRecord {
    /// Organization id; the run belongs to this, not to the URL.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Instance URL at the start.
    pub url: String,
    /// Id of the user.
    pub user: String,
    /// Login name of the user.
    pub username: String,
    /// Whether it is a production org.
    pub production: bool,
}

/// What a run is, known at its start.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// Run id.
    pub id: String,
    /// The command that began it (`load`).
    pub command: String,
    /// Its resolved settings, without secrets.
    pub settings: Value,
    /// Where it goes.
    pub org: OrgRecord,
    /// API version, `66.0`; a run keeps its own.
    pub api_version: String,
    /// API name of the object.
    pub object: String,
    /// What the jobs do; `None` for an export, whose jobs change nothing.
    pub operation: Option<Operation>,
    /// External id field of an upsert.
    pub external_id: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// The run whose rows this one retries.
    pub parent_run: Option<String>,
}

impl RunRecord {
    /// What the run does, in two words: `insert Account`, `export Account`.
    pub fn what(&self) -> String {
        let verb = self.operation.map_or("export", Operation::as_str);
        format!("{verb} {}", self.object)
    }
}

/// How a run ended; the words of summary.json.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Every row has its outcome.
    Completed,
    /// Interrupted or detached; `resume` goes on.
    Interrupted,
    /// Something has to be repaired before `resume` can go on.
    Failed,
    /// Stopped at a limit the user set.
    Stopped,
}

impl RunStatus {
    /// The word stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            RunStatus::Completed => "completed",
            RunStatus::Interrupted => "interrupted",
            RunStatus::Failed => "failed",
            RunStatus::Stopped => "stopped",
        }
    }

    /// The status stored as this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [RunStatus::Completed, RunStatus::Interrupted, RunStatus::Failed, RunStatus::Stopped]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

/// How and when a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunEnd {
    /// Its status.
    pub status: RunStatus,
    /// Exit code of the process.
    pub exit_code: u8,
    /// When.
    pub at: Timestamp,
}

/// A run as the ledger has it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRun {
    /// What it is.
    pub run: RunRecord,
    /// Its end; `None` while it runs, and after its process died.
    pub end: Option<RunEnd>,
    /// When `abort` closed it for good; nothing goes on with it after that.
    pub aborted_at: Option<Timestamp>,
}

/// A source file of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceRecord {
    /// Its place among the sources, from 0.
    pub ordinal: u32,
    /// Path as the user gave it.
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: u64,
    /// When it was last changed, where the system tells.
    pub modified: Option<Timestamp>,
    /// Inode, where there is such a thing.
    pub inode: Option<u64>,
    /// Digest of its first and last megabyte, in hex.
    pub edge_digest: String,
    /// Column names as they stand in its header.
    pub header: Vec<String>,
    /// How its text is written, as the reader put it.
    pub dialect: Value,
    /// What became of the columns: names and kinds as sent, the match rule.
    /// A resume reconciles by this even when describe has changed since.
    pub plan: Value,
    /// Rows in it; `None` until it was read to its end.
    pub rows: Option<u64>,
    /// How the file was made from another one, if it was: a source in another
    /// order, or the rows of an earlier run. `None` for a file of the user's.
    pub derivation: Option<Value>,
    /// The user's own files behind it, in order.
    pub files: Vec<FileRecord>,
}

/// A file of the user's, which is a source or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct FileRecord {
    /// Where it is; relative to the run's folder if it lies there.
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: u64,
    /// Digest of its first and last megabyte, in hex.
    pub edge_digest: String,
    /// All the reader knows of it.
    pub about: Value,
    /// Its rows; `None` until it was read to its end.
    pub rows: Option<u64>,
}

/// Where the body of a chunk or of an attempt is found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyKind {
    /// There is none: every row was rejected.
    None,
    /// A byte range of the source: from the chunk's start to its end.
    Span,
    /// A file in the run's folder (name relative to it); deleted when the
    /// chunk is reconciled.
    Spool {
        /// Its name.
        file: String,
    },
}

/// A chunk's body: CSV text without header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Where it is.
    pub kind: BodyKind,
    /// Bytes, without the header and an added last line end.
    pub bytes: u64,
    /// xxh3-128 of these bytes, in hex.
    pub digest: String,
    /// Delimiter.
    pub delimiter: u8,
    /// Line end of every record.
    pub line_ending: LineEnding,
    /// Whether the last record lacks its line end, which the upload adds.
    pub needs_final_newline: bool,
}

/// A chunk as it was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkRecord {
    /// Number, from 1, over all sources.
    pub number: u64,
    /// Ordinal of its source.
    pub source: u32,
    /// Where its rows begin in the source.
    pub start: u64,
    /// Byte behind them; the next chunk begins here.
    pub end: u64,
    /// Its first row.
    pub first_row: RowNumber,
    /// Its last row.
    pub last_row: RowNumber,
    /// Rows read, the rejected ones among them.
    pub read: u64,
    /// Rows that are sent.
    pub rows: RowRanges,
    /// Rows rejected.
    pub rejected: u64,
    /// Outcome file of the rejected rows, relative to the run's folder.
    pub rejected_file: Option<String>,
    /// What is sent.
    pub body: Body,
    /// Index of a sent text column in which no value occurs twice.
    pub unique_text: Option<u32>,
}

/// Whether a chunk is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChunkState {
    /// Cut and recorded; its attempts tell how far it is.
    Recorded,
    /// Every row has its final outcome on disk.
    Reconciled,
}

/// A chunk as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredChunk {
    /// As it was cut.
    pub chunk: ChunkRecord,
    /// Whether it is done.
    pub state: ChunkState,
    /// Its outcomes; while it is `Recorded` only `read` and `rejected` are set.
    pub tally: Tally,
    /// Outcome file of rows that were settled by asking for their records,
    /// relative to the run's folder. It comes behind those of the attempts.
    pub settled_file: Option<String>,
}

/// What an attempt carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttemptRecord {
    /// The rows it carries, if not all the chunk sends.
    pub rows: Option<RowRanges>,
    /// Spool file with the rows of a part, relative to the run's folder.
    pub body_file: Option<String>,
    /// Bytes of that file.
    pub body_bytes: Option<u64>,
    /// xxh3-128 of that file, in hex.
    pub body_digest: Option<String>,
}

/// A job's failure as a whole. The org's text names fields and settings, never
/// the values of a row; texts about single rows must not come here (I8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobError {
    /// The part before the colon (`InvalidBatch`).
    pub code: String,
    /// The rest.
    pub message: String,
}

/// What is learned along with an event of an attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepDetail {
    /// The job's id, when the event is its creation.
    pub job_id: Option<String>,
    /// Rows the org says it worked.
    pub processed: Option<u64>,
    /// Rows the org says failed.
    pub failed: Option<u64>,
    /// Why the job failed as a whole.
    pub error: Option<JobError>,
}

/// When an attempt entered each of its states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepTimes {
    /// Create call about to go out.
    pub creating: Timestamp,
    /// Job id known.
    pub created: Option<Timestamp>,
    /// Upload about to go out.
    pub uploading: Option<Timestamp>,
    /// Body taken.
    pub uploaded: Option<Timestamp>,
    /// Close about to go out.
    pub closing: Option<Timestamp>,
    /// Close confirmed.
    pub closed: Option<Timestamp>,
    /// Abort about to go out.
    pub aborting: Option<Timestamp>,
    /// Final state reached.
    pub ended: Option<Timestamp>,
}

/// Where an attempt's outcomes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptOutcomes {
    /// Outcome file, relative to the run's folder.
    pub file: String,
    /// Its digest, in hex.
    pub digest: String,
    /// When it was synced.
    pub at: Timestamp,
    /// Whether the three result sets added up: each row found once, no result
    /// left over. Only then may unprocessed rows go again (I2).
    pub whole: bool,
}

/// An attempt as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAttempt {
    /// Chunk number.
    pub chunk: u64,
    /// Attempt number, from 1.
    pub number: u32,
    /// Where it stands.
    pub state: AttemptState,
    /// Its job, once known.
    pub job_id: Option<String>,
    /// What it carries.
    pub attempt: AttemptRecord,
    /// When each step was.
    pub times: StepTimes,
    /// Rows the org said it worked.
    pub processed: Option<u64>,
    /// Rows the org said failed.
    pub failed: Option<u64>,
    /// Why the job failed as a whole.
    pub error: Option<JobError>,
    /// Its outcomes, once they are on disk.
    pub outcomes: Option<AttemptOutcomes>,
}

/// Something worth remembering that is no state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteRecord {
    /// When.
    pub at: Timestamp,
    /// Chunk it is about.
    pub chunk: Option<u64>,
    /// Attempt it is about.
    pub attempt: Option<u32>,
    /// One sentence, without row values and secrets.
    pub text: String,
}
