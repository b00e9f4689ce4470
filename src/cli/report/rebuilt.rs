//! A summary made from ledger and outcome files, for a run that did not end or
//! lost its summary.json.

use jiff::Timestamp;

use super::super::load::summary::origin;
use super::super::source_files;
use crate::domain::{Operation, REJECTED, Status, Tally};
use crate::ledger::{ChunkState, RunStatus, StoredAttempt, StoredChunk};
use crate::pipeline::{
    Account, JobReport, RunEntry, RunState, file_parts, origin_of, original_path,
};
use crate::reconciler::ResultKind;
use crate::report::format::{count, thousands};
use crate::report::{
    ErrorSummary, JobSummary, OrgSummary, ResultFile, RowCounts, SourceSummary, Summary,
    rows_per_second,
};

/// The sentence for a run that has not ended, `None` for others.
pub(super) fn sentence(state: RunState, summary: &Summary) -> Option<String> {
    let rows = &summary.rows;
    let pending = format!("{} pending", count(rows.pending, "row"));
    match state {
        RunState::Running => Some(format!(
            "Running: {} of {} read so far have their outcome, {pending}.",
            thousands(rows.read - rows.pending),
            count(rows.read, "row")
        )),
        RunState::Died => Some(format!("Its process ended without a word: {pending}.")),
        _ => None,
    }
}

/// The summary as ledger and outcome files tell it.
pub(super) fn summary(
    entry: &RunEntry,
    account: Account,
    chunks: &[StoredChunk],
    attempts: &[StoredAttempt],
) -> Summary {
    let record = &entry.run.run;
    let end = entry.run.end;
    let finished_at = match (end, entry.state) {
        (Some(end), _) => end.at,
        (None, RunState::Running) => Timestamp::now(),
        (None, _) => last_step(attempts).unwrap_or(record.started_at),
    };
    // The clock may have been set back.
    let seconds = finished_at.duration_since(record.started_at).as_secs_f64().max(0.0);
    let (status, exit_code) = match end {
        Some(end) => (status_of(end.status), end.exit_code),
        None => (Status::Interrupted, 4),
    };
    let mut failures_by_code = account.failures.by_code();
    failures_by_code.remove(REJECTED);
    let mut notes = account.notes;
    notes.push(told_by(entry.state).to_owned());
    let files = entry.sources.first().map(file_parts).unwrap_or_default();
    let skip = record.settings.pointer("/request/skip").and_then(serde_json::Value::as_u64);
    let skip = skip.unwrap_or(0);
    Summary {
        run_id: record.id.clone(),
        command: record.command.clone(),
        parent_run: record.parent_run.clone(),
        status,
        exit_code,
        org: OrgSummary {
            id: record.org.id.clone(),
            name: record.org.name.clone(),
            url: record.org.url.clone(),
            user: record.org.username.clone(),
            production: record.org.production,
        },
        object: record.object.clone(),
        // An export has an account of its own.
        operation: record.operation.unwrap_or(Operation::Insert),
        external_id: record.external_id.clone(),
        api_version: record.api_version.clone(),
        started_at: record.started_at,
        finished_at,
        seconds,
        sources: if files.is_empty() || record.parent_run.is_some() {
            entry
                .sources
                .iter()
                .map(|source| SourceSummary {
                    path: original_path(source),
                    bytes: source.bytes,
                    rows: chunks
                        .iter()
                        .filter(|chunk| chunk.chunk.source == source.ordinal)
                        .map(|chunk| chunk.chunk.read)
                        .sum(),
                })
                .collect()
        } else {
            source_files::summaries(&files, skip, account.tally.read)
        },
        rows: RowCounts::new(&account.tally, account.sent),
        origin: entry
            .sources
            .first()
            .and_then(|source| origin_of(source, &account.tally, account.sent))
            .map(origin),
        failures_by_code,
        api_calls: 0,
        bytes_uploaded: uploaded(&account.jobs, attempts),
        bytes_downloaded: 0,
        peak_memory_bytes: None,
        rows_per_second: rows_per_second(account.tally.settled(), seconds),
        folder: entry.folder.clone(),
        result_files: if end.is_some() { result_files(entry, chunks) } else { Vec::new() },
        failure_groups: {
            let mut groups = account.failures.groups();
            source_files::place_examples(&mut groups, &files);
            groups
        },
        jobs: account.jobs.into_values().map(JobSummary::from).collect(),
        plan_notes: Vec::new(),
        notes,
        error: error(entry),
    }
}

fn status_of(status: RunStatus) -> Status {
    match status {
        RunStatus::Completed => Status::Completed,
        RunStatus::Interrupted => Status::Interrupted,
        RunStatus::Failed => Status::Failed,
        RunStatus::Stopped => Status::Stopped,
    }
}

/// Where the figures come from, and what they lack.
const fn told_by(state: RunState) -> &'static str {
    match state {
        RunState::Running => {
            "the run is at work: these are the figures of its ledger at this moment; its result \
             files are still growing"
        }
        RunState::Died => {
            "these are the figures of the ledger; the result files may lack rows that have their \
             outcome, which `bulkhaul resume` writes"
        }
        _ => {
            "summary.json was missing or damaged: these are the figures of the ledger, which \
             knows nothing of calls, bytes fetched and memory"
        }
    }
}

/// What to do next.
fn error(entry: &RunEntry) -> Option<ErrorSummary> {
    let id = entry.id();
    let (code, message, hint) = match entry.state {
        RunState::Completed | RunState::Running => return None,
        RunState::Died => (
            "died",
            "its process was killed, or the machine went down",
            format!("`bulkhaul resume {id}` goes on; jobs that were closed go on in the org."),
        ),
        RunState::Interrupted => (
            "interrupted",
            "it was interrupted or detached; why is not known any more",
            format!("`bulkhaul resume {id}` goes on; jobs that were closed go on in the org."),
        ),
        RunState::Failed => (
            "run",
            "something was in its way; what is not known any more",
            format!("Try `bulkhaul resume {id}`: it says what has to be mended, if it still has."),
        ),
        RunState::Stopped => (
            "stopped",
            "it was stopped at a limit; which is not known any more",
            format!("`bulkhaul resume {id}` goes on."),
        ),
    };
    Some(ErrorSummary {
        code: code.to_owned(),
        message: message.to_owned(),
        hint: Some(hint),
        resumable: entry.state != RunState::Failed,
        problems: Vec::new(),
    })
}

/// When the last step of an attempt was.
fn last_step(attempts: &[StoredAttempt]) -> Option<Timestamp> {
    attempts
        .iter()
        .flat_map(|attempt| {
            let times = &attempt.times;
            let reconciled = attempt.outcomes.as_ref().map(|outcomes| outcomes.at);
            [
                Some(times.creating),
                times.created,
                times.uploading,
                times.uploaded,
                times.closing,
                times.closed,
                times.aborting,
                times.ended,
                reconciled,
            ]
        })
        .flatten()
        .max()
}

/// Bytes of the bodies that the org took.
fn uploaded(
    jobs: &std::collections::BTreeMap<(u64, u32), JobReport>,
    attempts: &[StoredAttempt],
) -> u64 {
    attempts
        .iter()
        .filter(|attempt| attempt.times.uploaded.is_some())
        .filter_map(|attempt| jobs.get(&(attempt.chunk, attempt.number)))
        .map(|job| job.bytes)
        .sum()
}

/// The result files that are there, with the rows of all chunks up to the first
/// that has no outcome yet: so far they are written.
fn result_files(entry: &RunEntry, chunks: &[StoredChunk]) -> Vec<ResultFile> {
    let mut written = Tally::default();
    for chunk in chunks.iter().take_while(|chunk| chunk.state == ChunkState::Reconciled) {
        written.add(&chunk.tally);
    }
    let rows = |kind: ResultKind| match kind {
        ResultKind::Success => written.succeeded(),
        ResultKind::Failed => written.failed,
        ResultKind::Unprocessed => written.unprocessed,
        ResultKind::Rejected => written.rejected,
        ResultKind::Disputed => written.disputed,
    };
    ResultKind::ALL
        .into_iter()
        .filter(|kind| entry.folder.join(kind.file_name()).is_file())
        .map(|kind| ResultFile { name: kind.file_name().to_owned(), rows: rows(kind) })
        .collect()
}
