//! Writing: each call is one transaction, synced when it returns.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, TransactionBehavior, named_params, params};

use super::file::Ledger;
use super::read::word;
use super::{
    AttemptOutcomes, AttemptRecord, BodyKind, ChunkRecord, LedgerError, NoteRecord, QUERY, RunEnd,
    RunRecord, SourceRecord, StepDetail,
};
use crate::domain::{AttemptEvent, AttemptState, LineEnding, Operation, RowRanges, Tally, step};

impl Ledger {
    pub(super) fn insert_run(&self, run: &RunRecord) -> Result<(), LedgerError> {
        self.connection()
            .execute(
                "INSERT INTO run (one, id, command, settings, org_id, org_name, org_url, org_user,
                    org_username, org_production, api_version, object, operation, external_id,
                    parent_run, started_at, state)
                 VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
                    'running')",
                params![
                    run.id,
                    run.command,
                    run.settings.to_string(),
                    run.org.id,
                    run.org.name,
                    run.org.url,
                    run.org.user,
                    run.org.username,
                    run.org.production,
                    run.api_version,
                    run.object,
                    run.operation.map_or(QUERY, Operation::as_str),
                    run.external_id,
                    run.parent_run,
                    run.started_at.to_string(),
                ],
            )
            .map_err(self.sql("take the run"))?;
        Ok(())
    }

    /// Records a source.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails or the ordinal is taken.
    pub fn record_source(&self, source: &SourceRecord) -> Result<(), LedgerError> {
        let mut connection = self.connection();
        let failed = || self.sql("take a source");
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed())?;
        transaction
            .execute(
                "INSERT INTO source (ordinal, path, bytes, modified, inode, edge_digest, header,
                    dialect, plan, rows, derivation)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                params![
                    source.ordinal,
                    source.path.to_string_lossy(),
                    stored(source.bytes),
                    source.modified.map(|at| at.to_string()),
                    source.inode.map(stored),
                    source.edge_digest,
                    json(&source.header)?,
                    source.dialect.to_string(),
                    source.plan.to_string(),
                    source.rows.map(stored),
                    source.derivation.as_ref().map(ToString::to_string),
                ],
            )
            .map_err(failed())?;
        for (number, file) in source.files.iter().enumerate() {
            transaction
                .execute(
                    "INSERT INTO source_file (source, number, path, bytes, edge_digest, about, rows)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        source.ordinal,
                        stored(number as u64),
                        file.path.to_string_lossy(),
                        stored(file.bytes),
                        file.edge_digest,
                        file.about.to_string(),
                        file.rows.map(stored),
                    ],
                )
                .map_err(failed())?;
        }
        transaction.commit().map_err(failed())
    }

    /// Records how many rows a file of a source has, before a chunk is recorded
    /// that holds rows behind it.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails.
    pub fn file_counted(&self, source: u32, number: usize, rows: u64) -> Result<(), LedgerError> {
        self.connection()
            .execute(
                "UPDATE source_file SET rows = ?3 WHERE source = ?1 AND number = ?2",
                params![source, stored(number as u64), stored(rows)],
            )
            .map_err(self.sql("take the end of a file"))?;
        Ok(())
    }

    /// Records that a source was read to its end: every chunk of it is known.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails.
    pub fn source_exhausted(&self, ordinal: u32, rows: u64) -> Result<(), LedgerError> {
        self.connection()
            .execute(
                "UPDATE source SET rows = ?2 WHERE ordinal = ?1",
                params![ordinal, stored(rows)],
            )
            .map_err(self.sql("take the end of a source"))?;
        Ok(())
    }

    /// Records a chunk as it was cut, before anything of it is sent.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails or the number is taken.
    pub fn record_chunk(&self, chunk: &ChunkRecord) -> Result<(), LedgerError> {
        let (kind, file) = match &chunk.body.kind {
            BodyKind::None => ("none", None),
            BodyKind::Span => ("span", None),
            BodyKind::Spool { file } => ("spool", Some(file)),
        };
        self.connection()
            .execute(
                "INSERT INTO chunk (number, source, start, end, first_row, last_row, read_rows,
                    rows, rejected, rejected_file, body_kind, body_file, body_bytes, body_digest,
                    delimiter, line_ending, final_newline, unique_text, state)
                 VALUES (:number, :source, :start, :end, :first_row, :last_row, :read,
                    :rows, :rejected, :rejected_file, :kind, :file, :bytes, :digest,
                    :delimiter, :line_ending, :final_newline, :unique_text, 'recorded')",
                named_params! {
                    ":number": stored(chunk.number),
                    ":source": chunk.source,
                    ":start": stored(chunk.start),
                    ":end": stored(chunk.end),
                    ":first_row": stored(chunk.first_row.0),
                    ":last_row": stored(chunk.last_row.0),
                    ":read": stored(chunk.read),
                    ":rows": chunk.rows.to_distances(),
                    ":rejected": stored(chunk.rejected),
                    ":rejected_file": chunk.rejected_file,
                    ":kind": kind,
                    ":file": file,
                    ":bytes": stored(chunk.body.bytes),
                    ":digest": chunk.body.digest,
                    ":delimiter": chunk.body.delimiter,
                    ":line_ending": line_ending_word(chunk.body.line_ending),
                    ":final_newline": chunk.body.needs_final_newline,
                    ":unique_text": chunk.unique_text,
                },
            )
            .map_err(self.sql("take a chunk"))?;
        Ok(())
    }

    /// Opens an attempt of a chunk, in the state `creating`: the intent to
    /// create its job (I3). Returns its number.
    ///
    /// Refuses what could send a row twice (I2): every earlier attempt of the
    /// chunk must have ended unclosed, or be final and accounted for; then
    /// only a named part of the rows goes again. One whose abort is still
    /// unanswered ended unclosed, too: its job may be Open, but nothing here
    /// ever closes it.
    ///
    /// # Errors
    /// [`LedgerError::NotAgain`] as said; others when SQLite fails.
    pub fn begin_attempt(
        &self,
        chunk: u64,
        attempt: &AttemptRecord,
        at: Timestamp,
    ) -> Result<u32, LedgerError> {
        let failed = || self.sql("take an attempt");
        let mut connection = self.connection();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed())?;
        let known: Option<String> = transaction
            .query_row("SELECT state FROM chunk WHERE number = ?1", [stored(chunk)], |row| {
                row.get(0)
            })
            .optional()
            .map_err(failed())?;
        if known.is_none() {
            return Err(LedgerError::NoChunk { chunk });
        }
        let earlier: Vec<(u32, String, bool)> = transaction
            .prepare_cached(
                "SELECT number, state, reconciled_at IS NOT NULL FROM attempt
                 WHERE chunk = ?1 ORDER BY number",
            )
            .and_then(|mut query| {
                query
                    .query_map([stored(chunk)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                    .collect()
            })
            .map_err(failed())?;
        let mut next = 1;
        for (number, state, accounted) in earlier {
            let state = word("attempt.state", &state, AttemptState::from_word)?;
            let harmless = matches!(
                state,
                AttemptState::Lost | AttemptState::GivenUp | AttemptState::Aborting
            );
            // Of a job that the org no longer had the end was never seen: its
            // rows are disputed, which is an account of them, too.
            let part_of_known = accounted && attempt.rows.is_some();
            if !harmless && !part_of_known {
                return Err(LedgerError::NotAgain { chunk, attempt: number, state });
            }
            next = number + 1;
        }
        transaction
            .execute(
                "INSERT INTO attempt (chunk, number, state, rows, body_file, body_bytes,
                    body_digest, creating_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    stored(chunk),
                    next,
                    AttemptState::Creating.as_str(),
                    attempt.rows.as_ref().map(RowRanges::to_distances),
                    attempt.body_file,
                    attempt.body_bytes.map(stored),
                    attempt.body_digest,
                    at.to_string(),
                ],
            )
            .map_err(failed())?;
        transaction.commit().map_err(failed())?;
        Ok(next)
    }

    /// Moves an attempt by an event and returns its new state, which is on
    /// disk by then. Call it *before* the remote step for the events that
    /// announce one (`UploadStarted`, `CloseStarted`, `GiveUp`).
    ///
    /// # Errors
    /// [`LedgerError::Step`] when the event can't happen in that state,
    /// [`LedgerError::NoJobId`] when a job was created and `detail` doesn't
    /// name it, others when SQLite fails.
    pub fn attempt_step(
        &self,
        chunk: u64,
        attempt: u32,
        event: AttemptEvent,
        detail: &StepDetail,
        at: Timestamp,
    ) -> Result<AttemptState, LedgerError> {
        let failed = || self.sql("take a step of an attempt");
        if event == AttemptEvent::JobCreated && detail.job_id.is_none() {
            return Err(LedgerError::NoJobId { chunk, attempt });
        }
        let mut connection = self.connection();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed())?;
        let state: Option<String> = transaction
            .query_row(
                "SELECT state FROM attempt WHERE chunk = ?1 AND number = ?2",
                params![stored(chunk), attempt],
                |row| row.get(0),
            )
            .optional()
            .map_err(failed())?;
        let state = state.ok_or(LedgerError::NoAttempt { chunk, attempt })?;
        let state = word("attempt.state", &state, AttemptState::from_word)?;
        let next =
            step(state, event).map_err(|source| LedgerError::Step { chunk, attempt, source })?;
        let column = match next {
            AttemptState::Creating => "creating_at",
            AttemptState::Created => "created_at",
            AttemptState::Uploading => "uploading_at",
            AttemptState::Uploaded => "uploaded_at",
            AttemptState::Closing => "closing_at",
            AttemptState::Closed => "closed_at",
            AttemptState::Aborting => "aborting_at",
            AttemptState::Lost
            | AttemptState::GivenUp
            | AttemptState::Complete
            | AttemptState::Failed
            | AttemptState::Aborted => "ended_at",
        };
        transaction
            .prepare_cached(&format!(
                "UPDATE attempt SET state = ?3, {column} = ?4,
                    job_id = coalesce(?5, job_id),
                    processed = coalesce(?6, processed),
                    failed = coalesce(?7, failed),
                    error_code = coalesce(?8, error_code),
                    error_message = coalesce(?9, error_message)
                 WHERE chunk = ?1 AND number = ?2"
            ))
            .and_then(|mut update| {
                update.execute(params![
                    stored(chunk),
                    attempt,
                    next.as_str(),
                    at.to_string(),
                    detail.job_id,
                    detail.processed.map(stored),
                    detail.failed.map(stored),
                    detail.error.as_ref().map(|error| &error.code),
                    detail.error.as_ref().map(|error| &error.message),
                ])
            })
            .map_err(failed())?;
        transaction.commit().map_err(failed())?;
        Ok(next)
    }

    /// Records that the outcomes of an attempt are on disk.
    ///
    /// # Errors
    /// [`LedgerError::NoAttempt`], or when SQLite fails.
    pub fn attempt_reconciled(
        &self,
        chunk: u64,
        attempt: u32,
        outcomes: &AttemptOutcomes,
    ) -> Result<(), LedgerError> {
        let changed = self
            .connection()
            .execute(
                "UPDATE attempt SET outcome_file = ?3, outcome_digest = ?4, reconciled_at = ?5,
                    whole = ?6
                 WHERE chunk = ?1 AND number = ?2",
                params![
                    stored(chunk),
                    attempt,
                    outcomes.file,
                    outcomes.digest,
                    outcomes.at.to_string(),
                    outcomes.whole,
                ],
            )
            .map_err(self.sql("take the outcomes of an attempt"))?;
        if changed == 1 { Ok(()) } else { Err(LedgerError::NoAttempt { chunk, attempt }) }
    }

    /// Records that every row of a chunk has its final outcome on disk, and
    /// the tally of these; `tally.read` and `tally.rejected` are those of the
    /// chunk.
    ///
    /// # Errors
    /// [`LedgerError::NotConserved`] when the tally isn't that of the chunk's
    /// rows (I1), others when SQLite fails.
    pub fn chunk_reconciled(&self, chunk: u64, tally: &Tally) -> Result<(), LedgerError> {
        self.end_chunk(chunk, tally, None)
    }

    fn end_chunk(
        &self,
        chunk: u64,
        tally: &Tally,
        settled_file: Option<&str>,
    ) -> Result<(), LedgerError> {
        let failed = || self.sql("take the end of a chunk");
        let mut connection = self.connection();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed())?;
        let known: Option<(i64, i64)> = transaction
            .query_row(
                "SELECT read_rows, rejected FROM chunk WHERE number = ?1",
                [stored(chunk)],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
            .map_err(failed())?;
        let (rows, rejected) = known.ok_or(LedgerError::NoChunk { chunk })?;
        if stored(tally.settled()) != rows
            || stored(tally.read) != rows
            || stored(tally.rejected) != rejected
        {
            let rows = u64::try_from(rows).unwrap_or(0);
            return Err(LedgerError::NotConserved { chunk, rows, settled: tally.settled() });
        }
        transaction
            .execute(
                "UPDATE chunk SET state = 'reconciled', created = ?2, updated = ?3, deleted = ?4,
                    failed = ?5, unprocessed = ?6, disputed = ?7,
                    settled_file = coalesce(?8, settled_file)
                 WHERE number = ?1",
                params![
                    stored(chunk),
                    stored(tally.created),
                    stored(tally.updated),
                    stored(tally.deleted),
                    stored(tally.failed),
                    stored(tally.unprocessed),
                    stored(tally.disputed),
                    settled_file,
                ],
            )
            .map_err(failed())?;
        transaction.commit().map_err(failed())
    }

    /// Records that rows of a reconciled chunk were settled by asking for their
    /// records: the outcome file that says so, and the chunk's tally with it, in
    /// one step.
    ///
    /// # Errors
    /// As [`Ledger::chunk_reconciled`].
    pub fn chunk_settled(&self, chunk: u64, file: &str, tally: &Tally) -> Result<(), LedgerError> {
        self.end_chunk(chunk, tally, Some(file))
    }

    /// Records a sentence, without row values and secrets.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails.
    pub fn note(&self, note: &NoteRecord) -> Result<(), LedgerError> {
        self.connection()
            .execute(
                "INSERT INTO note (at, chunk, attempt, text) VALUES (?1, ?2, ?3, ?4)",
                params![note.at.to_string(), note.chunk.map(stored), note.attempt, note.text],
            )
            .map_err(self.sql("take a note"))?;
        Ok(())
    }

    /// Records how the run ended.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails.
    pub fn finish_run(&self, end: &RunEnd) -> Result<(), LedgerError> {
        self.connection()
            .execute(
                "UPDATE run SET state = 'ended', status = ?1, exit_code = ?2, finished_at = ?3",
                params![end.status.as_str(), end.exit_code, end.at.to_string()],
            )
            .map_err(self.sql("take the end of the run"))?;
        Ok(())
    }

    /// Records that the user closed the run for good.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails.
    pub fn abort_run(&self, at: Timestamp) -> Result<(), LedgerError> {
        self.connection()
            .execute("UPDATE run SET aborted_at = ?1", [at.to_string()])
            .map_err(self.sql("take the abort of the run"))?;
        Ok(())
    }

    /// Takes the run up again after an end that was not `completed`.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails.
    pub fn reopen_run(&self) -> Result<(), LedgerError> {
        self.connection()
            .execute(
                "UPDATE run SET state = 'running', status = NULL, exit_code = NULL,
                    finished_at = NULL",
                [],
            )
            .map_err(self.sql("take the run up again"))?;
        Ok(())
    }
}

/// SQLite's integers are signed; sizes and row numbers never get near the sign.
pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn line_ending_word(line_ending: LineEnding) -> &'static str {
    match line_ending {
        LineEnding::Lf => "lf",
        LineEnding::Crlf => "crlf",
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, LedgerError> {
    serde_json::to_string(value).map_err(|error| LedgerError::Corrupt {
        what: "something that JSON can hold",
        value: error.to_string(),
    })
}
