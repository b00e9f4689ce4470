//! What one attempt carries: all rows a chunk sends, or a part of them with a
//! spool of its own.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use super::run::Run;
use crate::chunker::{
    Body, Part, PartError, PartSpec, PlannedChunk, digest_of, open_body, open_rows, write_parts,
};
use crate::domain::{LineEnding, NewJob, RowRanges};
use crate::ledger::{AttemptRecord, StoredAttempt};
use crate::salesforce::UploadBody;
use crate::uploader::ChunkBody;

/// Why the rows of an attempt can't be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum CarriedError {
    /// The body can't be read.
    #[error("the rows of chunk {chunk} can't be read again")]
    Read {
        /// Chunk number.
        chunk: u64,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are not those that the ledger recorded.
    #[error(
        "the rows of chunk {chunk} are not what they were when the run began; nothing more is \
         sent of a source that was changed"
    )]
    Changed {
        /// Chunk number.
        chunk: u64,
    },
    /// The part of a chunk that goes again can't be written.
    #[error("the rows of chunk {chunk} that go again can't be put together")]
    Part {
        /// Chunk number.
        chunk: u64,
        /// Why.
        source: PartError,
    },
}

/// The rows of one attempt.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) chunk: Arc<PlannedChunk>,
    /// The rows, in order.
    pub(super) rows: RowRanges,
    pub(super) text: Body,
    pub(super) add_line_end: Option<LineEnding>,
    bytes: u64,
    digest: String,
    part: AttemptRecord,
    /// Attempts of the chunk before it.
    pub(super) attempt: u32,
    /// Outcome files of earlier attempts, oldest first.
    pub(super) earlier: Vec<PathBuf>,
}

impl Carried {
    /// All rows of a chunk, which none carried before.
    pub(super) fn whole(chunk: &Arc<PlannedChunk>) -> Arc<Self> {
        Arc::new(Carried {
            chunk: Arc::clone(chunk),
            rows: chunk.rows.clone(),
            text: chunk.body.clone(),
            add_line_end: chunk.add_line_end,
            bytes: chunk.bytes,
            digest: chunk.digest.clone(),
            part: AttemptRecord::default(),
            attempt: 0,
            earlier: Vec::new(),
        })
    }

    /// A part of a chunk that lies in a spool of its own.
    pub(super) fn part(
        chunk: &Arc<PlannedChunk>,
        part: Part,
        attempt: u32,
        earlier: Vec<PathBuf>,
    ) -> Arc<Self> {
        let Part { file, rows, bytes, digest } = part;
        let part = AttemptRecord {
            rows: Some(rows.clone()),
            body_file: Some(file.clone()),
            body_bytes: Some(bytes),
            body_digest: Some(digest.clone()),
        };
        Arc::new(Carried {
            chunk: Arc::clone(chunk),
            rows,
            text: Body::Spool { file },
            add_line_end: None,
            bytes,
            digest,
            part,
            attempt,
            earlier,
        })
    }

    /// Writes these rows of a chunk into a spool of their own, for the attempt
    /// that follows the one numbered `last`.
    pub(super) fn spooled(
        run: &Run,
        chunk: &Arc<PlannedChunk>,
        rows: RowRanges,
        last: u32,
        earlier: Vec<PathBuf>,
    ) -> Result<Arc<Self>, CarriedError> {
        let whole = Carried::whole(chunk);
        whole.check_digest(run)?;
        let number = chunk.number;
        let text =
            whole.open_rows(run).map_err(|source| CarriedError::Read { chunk: number, source })?;
        let dir = run.folder.spool_dir();
        let spec = PartSpec {
            rows: &chunk.rows,
            wanted: &rows,
            delimiter: run.setup.plan.delimiter.byte(),
            max_rows: u64::MAX,
            spool_dir: &dir,
        };
        let mut name = |_| run.folder.part_name(number, last + 1);
        let parts = write_parts(text, &spec, &mut name)
            .map_err(|source| CarriedError::Part { chunk: number, source })?;
        // One part, for rows that are some.
        let part = parts.into_iter().next().unwrap_or(Part {
            file: run.folder.part_name(number, last + 1),
            rows: RowRanges::new(),
            bytes: 0,
            digest: String::new(),
        });
        Ok(Carried::part(chunk, part, last, earlier))
    }

    /// What an attempt of the ledger carries.
    pub(super) fn of_attempt(
        run: &Run,
        chunk: &Arc<PlannedChunk>,
        attempts: &[StoredAttempt],
        number: u32,
    ) -> Arc<Self> {
        let earlier = earlier_files(run, attempts, number);
        let found = attempts.iter().find(|attempt| attempt.number == number);
        let part = found.map(|found| found.attempt.clone()).unwrap_or_default();
        match part {
            AttemptRecord { rows: Some(rows), body_file: Some(file), body_bytes, body_digest } => {
                let bytes = body_bytes.unwrap_or(0);
                let digest = body_digest.unwrap_or_default();
                let part = Part { file, rows, bytes, digest };
                Carried::part(chunk, part, number.saturating_sub(1), earlier)
            }
            _ => Carried::whole(chunk),
        }
    }

    /// Whether it is all the chunk sends.
    pub(super) fn is_whole(&self) -> bool {
        self.part.rows.is_none()
    }

    /// Opens the rows as they are sent, without the header line.
    pub(super) fn open_rows(&self, run: &Run) -> std::io::Result<Box<dyn Read + Send>> {
        open_rows(&self.text, self.add_line_end, &run.setup.source, &run.folder.spool_dir())
    }

    /// The body for the uploader.
    pub(super) fn body(self: &Arc<Self>, run: &Run) -> ChunkBody {
        let setup = &run.setup;
        let plan = &setup.plan;
        let header_line = plan.header_line();
        let line_end = self.add_line_end.map_or(0, |end| end.bytes().len());
        let length = header_line.len() as u64 + self.bytes + line_end as u64;
        let source = setup.source.clone();
        let (spool, carried) = (run.folder.spool_dir(), Arc::clone(self));
        ChunkBody {
            chunk: self.chunk.number,
            first_row: self.rows.first().map_or(0, |row| run.row_of(row).0),
            rows: self.rows.len(),
            bytes: self.bytes,
            part: self.part.clone(),
            job: NewJob {
                object: setup.object.clone(),
                operation: plan.operation,
                external_id: plan.external_id.clone(),
                delimiter: plan.delimiter,
                line_ending: plan.line_ending,
                assignment_rule: setup.request.assignment_rule.clone(),
            },
            body: UploadBody {
                len: Some(length),
                gzip: setup.request.compress_upload,
                open: Arc::new(move || {
                    open_body(&header_line, &carried.text, carried.add_line_end, &source, &spool)
                }),
            },
        }
    }

    /// Refuses a body that an earlier process recorded and that is not the same
    /// any more. A spool is ours alone and is used as it is.
    pub(super) fn check_digest(&self, run: &Run) -> Result<(), CarriedError> {
        let chunk = self.chunk.number;
        if !matches!(self.text, Body::Span { .. }) {
            return Ok(());
        }
        let failed = |source| CarriedError::Read { chunk, source };
        let source = &run.setup.source;
        let mut text =
            open_rows(&self.text, None, source, &run.folder.spool_dir()).map_err(failed)?;
        let found = digest_of(&mut *text).map_err(failed)?;
        if found == self.digest { Ok(()) } else { Err(CarriedError::Changed { chunk }) }
    }

    /// Removes the spool of a part; the whole chunk's stays until it is
    /// reconciled.
    pub(super) fn discard(&self, run: &Run) {
        if let (false, Body::Spool { file }) = (self.is_whole(), &self.text) {
            // One that stays costs disk only; it is private.
            let _ = std::fs::remove_file(run.folder.spool_dir().join(file));
        }
    }
}

/// Outcome files of the attempts before one, oldest first.
pub(super) fn earlier_files(run: &Run, attempts: &[StoredAttempt], number: u32) -> Vec<PathBuf> {
    attempts
        .iter()
        .filter(|attempt| attempt.number < number && attempt.outcomes.is_some())
        .map(|attempt| run.folder.outcomes(attempt.chunk, attempt.number))
        .collect()
}
