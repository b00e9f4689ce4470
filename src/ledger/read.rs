//! Reading everything back.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row};

use super::file::Ledger;
use super::write::stored;
use super::{
    AttemptOutcomes, AttemptRecord, Body, BodyKind, ChunkRecord, ChunkState, FileRecord, JobError,
    LedgerError, NoteRecord, OrgRecord, QUERY, RunEnd, RunRecord, RunStatus, SourceRecord,
    StepTimes, StoredAttempt, StoredChunk, StoredRun,
};
use crate::domain::{AttemptState, LineEnding, RowNumber, RowRanges, Tally};

impl Ledger {
    /// The run.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails or the ledger is damaged.
    pub fn run(&self) -> Result<StoredRun, LedgerError> {
        let run = self
            .connection()
            .query_row("SELECT * FROM run", [], |row| Ok(stored_run(row)))
            .optional()
            .map_err(self.sql("be read"))?;
        run.unwrap_or_else(|| Err(LedgerError::Empty { path: self.path().to_owned() }))
    }

    /// The sources, in order.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails or the ledger is damaged.
    pub fn sources(&self) -> Result<Vec<SourceRecord>, LedgerError> {
        let mut sources = self.all("SELECT * FROM source ORDER BY ordinal", [], source)?;
        // A ledger of an earlier release that is only looked at has none.
        let knows_files = "SELECT 1 FROM sqlite_schema WHERE name = 'source_file'";
        if self.all(knows_files, [], |_| Ok(()))?.is_empty() {
            return Ok(sources);
        }
        for source in &mut sources {
            let of_source = "SELECT * FROM source_file WHERE source = ?1 ORDER BY number";
            source.files = self.all(of_source, [source.ordinal], file)?;
        }
        Ok(sources)
    }

    /// All chunks, in order.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails or the ledger is damaged.
    pub fn chunks(&self) -> Result<Vec<StoredChunk>, LedgerError> {
        self.all("SELECT * FROM chunk ORDER BY number", [], chunk)
    }

    /// One chunk.
    ///
    /// # Errors
    /// [`LedgerError::NoChunk`], or when SQLite fails or the ledger is damaged.
    pub fn chunk(&self, number: u64) -> Result<StoredChunk, LedgerError> {
        self.all("SELECT * FROM chunk WHERE number = ?1", [stored(number)], chunk)?
            .pop()
            .ok_or(LedgerError::NoChunk { chunk: number })
    }

    /// All attempts, by chunk and number.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails or the ledger is damaged.
    pub fn attempts(&self) -> Result<Vec<StoredAttempt>, LedgerError> {
        self.all("SELECT * FROM attempt ORDER BY chunk, number", [], attempt)
    }

    /// The attempts of a chunk, in order.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails or the ledger is damaged.
    pub fn attempts_of(&self, chunk: u64) -> Result<Vec<StoredAttempt>, LedgerError> {
        let query = "SELECT * FROM attempt WHERE chunk = ?1 ORDER BY number";
        self.all(query, [stored(chunk)], attempt)
    }

    /// The attempt that a job belongs to, if it is one of this run.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails or the ledger is damaged.
    pub fn attempt_of_job(&self, job_id: &str) -> Result<Option<StoredAttempt>, LedgerError> {
        Ok(self.all("SELECT * FROM attempt WHERE job_id = ?1", [job_id], attempt)?.pop())
    }

    /// The notes, oldest first.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails or the ledger is damaged.
    pub fn notes(&self) -> Result<Vec<NoteRecord>, LedgerError> {
        self.all("SELECT * FROM note ORDER BY id", [], |row| {
            Ok(NoteRecord {
                at: time("note.at", row, "at")?,
                chunk: optional_number(row, "chunk")?,
                attempt: get(row, "attempt")?,
                text: get(row, "text")?,
            })
        })
    }

    /// The tally over all chunks: what is final, and what is pending.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails.
    pub fn tally(&self) -> Result<Tally, LedgerError> {
        let failed = || self.sql("be read");
        self.connection()
            .query_row(
                "SELECT sum(read_rows), sum(rejected), sum(created), sum(updated), sum(deleted),
                    sum(failed), sum(unprocessed), sum(disputed) FROM chunk",
                [],
                |row| {
                    let part = |at: usize| {
                        Ok::<u64, rusqlite::Error>(
                            row.get::<_, Option<i64>>(at)?.unwrap_or(0).try_into().unwrap_or(0),
                        )
                    };
                    Ok(Tally {
                        read: part(0)?,
                        rejected: part(1)?,
                        created: part(2)?,
                        updated: part(3)?,
                        deleted: part(4)?,
                        failed: part(5)?,
                        unprocessed: part(6)?,
                        disputed: part(7)?,
                    })
                },
            )
            .map_err(failed())
    }

    fn all<T>(
        &self,
        query: &str,
        parameters: impl rusqlite::Params,
        read: impl Fn(&Row<'_>) -> Result<T, LedgerError>,
    ) -> Result<Vec<T>, LedgerError> {
        let failed = || self.sql("be read");
        let connection = self.connection();
        let mut statement = connection.prepare_cached(query).map_err(failed())?;
        let mut rows = statement.query(parameters).map_err(failed())?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(failed())? {
            all.push(read(row)?);
        }
        Ok(all)
    }
}

fn stored_run(row: &Row<'_>) -> Result<StoredRun, LedgerError> {
    let status: Option<String> = get(row, "status")?;
    let end = match status {
        None => None,
        Some(status) => Some(RunEnd {
            status: word("run.status", &status, RunStatus::from_word)?,
            exit_code: get(row, "exit_code")?,
            at: time("run.finished_at", row, "finished_at")?,
        }),
    };
    let operation: String = get(row, "operation")?;
    let run = RunRecord {
        id: get(row, "id")?,
        command: get(row, "command")?,
        settings: json("run.settings", row, "settings")?,
        org: OrgRecord {
            id: get(row, "org_id")?,
            name: get(row, "org_name")?,
            url: get(row, "org_url")?,
            user: get(row, "org_user")?,
            username: get(row, "org_username")?,
            production: get(row, "org_production")?,
        },
        api_version: get(row, "api_version")?,
        object: get(row, "object")?,
        operation: match operation.as_str() {
            QUERY => None,
            word_of => Some(word("run.operation", word_of, |text| text.parse().ok())?),
        },
        external_id: get(row, "external_id")?,
        started_at: time("run.started_at", row, "started_at")?,
        parent_run: get(row, "parent_run")?,
    };
    let aborted_at = later::<String>(row, "aborted_at")?
        .map(|text| word("run.aborted_at", &text, |text| text.parse().ok()))
        .transpose()?;
    Ok(StoredRun { run, end, aborted_at })
}

fn source(row: &Row<'_>) -> Result<SourceRecord, LedgerError> {
    let path: String = get(row, "path")?;
    Ok(SourceRecord {
        ordinal: get(row, "ordinal")?,
        path: path.into(),
        bytes: number(row, "bytes")?,
        modified: optional_time("source.modified", row, "modified")?,
        inode: optional_number(row, "inode")?,
        edge_digest: get(row, "edge_digest")?,
        header: json("source.header", row, "header")?,
        dialect: json("source.dialect", row, "dialect")?,
        plan: json("source.plan", row, "plan")?,
        rows: optional_number(row, "rows")?,
        derivation: later::<String>(row, "derivation")?
            .map(|text| word("source.derivation", &text, |text| serde_json::from_str(text).ok()))
            .transpose()?,
        files: Vec::new(),
    })
}

fn file(row: &Row<'_>) -> Result<FileRecord, LedgerError> {
    let path: String = get(row, "path")?;
    Ok(FileRecord {
        path: path.into(),
        bytes: number(row, "bytes")?,
        edge_digest: get(row, "edge_digest")?,
        about: json("source_file.about", row, "about")?,
        rows: optional_number(row, "rows")?,
    })
}

fn chunk(row: &Row<'_>) -> Result<StoredChunk, LedgerError> {
    let kind: String = get(row, "body_kind")?;
    let file: Option<String> = get(row, "body_file")?;
    let kind = match (kind.as_str(), file) {
        ("none", _) => BodyKind::None,
        ("span", _) => BodyKind::Span,
        ("spool", Some(file)) => BodyKind::Spool { file },
        _ => return Err(LedgerError::Corrupt { what: "chunk.body_kind", value: kind }),
    };
    let line_ending: String = get(row, "line_ending")?;
    let state: String = get(row, "state")?;
    let chunk = ChunkRecord {
        number: number(row, "number")?,
        source: get(row, "source")?,
        start: number(row, "start")?,
        end: number(row, "end")?,
        first_row: RowNumber(number(row, "first_row")?),
        last_row: RowNumber(number(row, "last_row")?),
        read: number(row, "read_rows")?,
        rows: ranges("chunk.rows", get(row, "rows")?)?,
        rejected: number(row, "rejected")?,
        rejected_file: get(row, "rejected_file")?,
        body: Body {
            kind,
            bytes: number(row, "body_bytes")?,
            digest: get(row, "body_digest")?,
            delimiter: get(row, "delimiter")?,
            line_ending: word("chunk.line_ending", &line_ending, |text| match text {
                "lf" => Some(LineEnding::Lf),
                "crlf" => Some(LineEnding::Crlf),
                _ => None,
            })?,
            needs_final_newline: get(row, "final_newline")?,
        },
        unique_text: get(row, "unique_text")?,
    };
    let tally = Tally {
        read: chunk.read,
        rejected: chunk.rejected,
        created: number(row, "created")?,
        updated: number(row, "updated")?,
        deleted: number(row, "deleted")?,
        failed: number(row, "failed")?,
        unprocessed: number(row, "unprocessed")?,
        disputed: number(row, "disputed")?,
    };
    let state = word("chunk.state", &state, |text| match text {
        "recorded" => Some(ChunkState::Recorded),
        "reconciled" => Some(ChunkState::Reconciled),
        _ => None,
    })?;
    let settled_file = later(row, "settled_file")?;
    Ok(StoredChunk { chunk, state, tally, settled_file })
}

fn attempt(row: &Row<'_>) -> Result<StoredAttempt, LedgerError> {
    let state: String = get(row, "state")?;
    let rows: Option<String> = get(row, "rows")?;
    let code: Option<String> = get(row, "error_code")?;
    let message: Option<String> = get(row, "error_message")?;
    let file: Option<String> = get(row, "outcome_file")?;
    let digest: Option<String> = get(row, "outcome_digest")?;
    let at = |column| optional_time("a time of an attempt", row, column);
    Ok(StoredAttempt {
        chunk: number(row, "chunk")?,
        number: get(row, "number")?,
        state: word("attempt.state", &state, AttemptState::from_word)?,
        job_id: get(row, "job_id")?,
        attempt: AttemptRecord {
            rows: rows.map(|text| ranges("attempt.rows", text)).transpose()?,
            body_file: get(row, "body_file")?,
            body_bytes: optional_number(row, "body_bytes")?,
            body_digest: get(row, "body_digest")?,
        },
        times: StepTimes {
            creating: time("attempt.creating_at", row, "creating_at")?,
            created: at("created_at")?,
            uploading: at("uploading_at")?,
            uploaded: at("uploaded_at")?,
            closing: at("closing_at")?,
            closed: at("closed_at")?,
            aborting: at("aborting_at")?,
            ended: at("ended_at")?,
        },
        processed: optional_number(row, "processed")?,
        failed: optional_number(row, "failed")?,
        error: code.zip(message).map(|(code, message)| JobError { code, message }),
        outcomes: match (file, digest, at("reconciled_at")?) {
            (Some(file), Some(digest), Some(at)) => {
                // A ledger of the first version doesn't say; then it is no.
                let whole = later(row, "whole")?.unwrap_or(false);
                Some(AttemptOutcomes { file, digest, at, whole })
            }
            _ => None,
        },
    })
}

/// Reads a word by the function that knows the words.
pub(super) fn word<T>(
    what: &'static str,
    text: &str,
    known: impl FnOnce(&str) -> Option<T>,
) -> Result<T, LedgerError> {
    known(text).ok_or_else(|| LedgerError::Corrupt { what, value: text.to_owned() })
}

pub(super) fn get<T: rusqlite::types::FromSql>(
    row: &Row<'_>,
    column: &'static str,
) -> Result<T, LedgerError> {
    // The row is in memory already: only a value of another type fails.
    row.get(column).map_err(|error| LedgerError::Corrupt { what: column, value: error.to_string() })
}

/// A column that a later migration brought: a ledger that is only looked at
/// may not have had it yet.
fn later<T: rusqlite::types::FromSql>(
    row: &Row<'_>,
    column: &'static str,
) -> Result<Option<T>, LedgerError> {
    match row.get(column) {
        Err(rusqlite::Error::InvalidColumnName(_)) => Ok(None),
        value => {
            value.map_err(|error| LedgerError::Corrupt { what: column, value: error.to_string() })
        }
    }
}

pub(super) fn number(row: &Row<'_>, column: &'static str) -> Result<u64, LedgerError> {
    let value: i64 = get(row, column)?;
    u64::try_from(value)
        .map_err(|_| LedgerError::Corrupt { what: column, value: value.to_string() })
}

pub(super) fn optional_number(
    row: &Row<'_>,
    column: &'static str,
) -> Result<Option<u64>, LedgerError> {
    let value: Option<i64> = get(row, column)?;
    match value {
        None => Ok(None),
        Some(_) => number(row, column).map(Some),
    }
}

fn time(what: &'static str, row: &Row<'_>, column: &'static str) -> Result<Timestamp, LedgerError> {
    let text: String = get(row, column)?;
    word(what, &text, |text| text.parse().ok())
}

fn optional_time(
    what: &'static str,
    row: &Row<'_>,
    column: &'static str,
) -> Result<Option<Timestamp>, LedgerError> {
    let text: Option<String> = get(row, column)?;
    text.map(|text| word(what, &text, |text| text.parse().ok())).transpose()
}

pub(super) fn json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    row: &Row<'_>,
    column: &'static str,
) -> Result<T, LedgerError> {
    let text: String = get(row, column)?;
    word(what, &text, |text| serde_json::from_str(text).ok())
}

fn ranges(what: &'static str, text: String) -> Result<RowRanges, LedgerError> {
    RowRanges::try_from(text.clone()).map_err(|_| LedgerError::Corrupt { what, value: text })
}
