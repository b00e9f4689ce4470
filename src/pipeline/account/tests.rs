//! The account against a ledger and outcome files made by hand.

use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::domain::{AttemptEvent as E, LineEnding, Operation, REJECTED, RowRanges};
use crate::ledger::{
    AttemptOutcomes, AttemptRecord, Body, BodyKind, ChunkRecord, JobError, NoteRecord, OrgRecord,
    RunRecord, SourceRecord, StepDetail,
};
use crate::reconciler::OutcomeWriter;

fn now() -> Timestamp {
    Timestamp::from_second(1_768_000_000).unwrap()
}

/// A run of one source whose chunks have ten rows each.
struct Run {
    _dir: TempDir,
    folder: RunFolder,
    ledger: Ledger,
}

impl Run {
    fn new() -> Run {
        let dir = TempDir::new().unwrap();
        let folder = RunFolder::create(dir.path()).unwrap();
        folder.make_working_folders().unwrap();
        let record = RunRecord {
            id: folder.id.clone(),
            command: "load".to_owned(),
            settings: json!({}),
            org: OrgRecord {
                id: "00D000000000001EAA".to_owned(),
                name: "Example".to_owned(),
                url: String::new(),
                user: String::new(),
                username: String::new(),
                production: false,
            },
            api_version: "66.0".to_owned(),
            object: "Account".to_owned(),
            operation: Some(Operation::Upsert),
            external_id: None,
            started_at: now(),
            parent_run: None,
        };
        let ledger = Ledger::create(&folder.ledger(), &record).unwrap();
        let source = SourceRecord {
            ordinal: 1,
            path: "accounts.csv".into(),
            bytes: 1_000,
            modified: None,
            inode: None,
            edge_digest: String::new(),
            header: Vec::new(),
            dialect: json!({}),
            plan: json!({}),
            rows: None,
            derivation: None,
            files: Vec::new(),
        };
        ledger.record_source(&source).unwrap();
        Run { _dir: dir, folder, ledger }
    }

    /// A chunk of ten rows whose first is rejected.
    fn chunk(&self, number: u64) -> RowRanges {
        let first = (number - 1) * 10 + 1;
        let rows: RowRanges = (first + 1..first + 10).map(RowNumber).collect();
        let reason = format!("{first} cells where the header has 12 (the row begins at byte 9)");
        self.outcomes(&self.folder.rejected(number), number, &[(first, Fate::Rejected, &reason)]);
        let record = ChunkRecord {
            number,
            source: 1,
            start: 0,
            end: 0,
            first_row: RowNumber(first),
            last_row: RowNumber(first + 9),
            read: 10,
            rows: rows.clone(),
            rejected: 1,
            rejected_file: Some(self.folder.rejected_name(number)),
            body: Body {
                kind: BodyKind::Span,
                bytes: 900,
                digest: String::new(),
                delimiter: b',',
                line_ending: LineEnding::Lf,
                needs_final_newline: false,
            },
            unique_text: None,
        };
        self.ledger.record_chunk(&record).unwrap();
        rows
    }

    fn outcomes(&self, path: &std::path::Path, chunk: u64, rows: &[(u64, Fate, &str)]) -> String {
        let mut writer = OutcomeWriter::create(path, chunk).unwrap();
        for &(row, fate, error) in rows {
            let error = (!error.is_empty()).then(|| error.to_owned());
            let row = RowNumber(row);
            let outcome = RowOutcome { row, fate, tier: None, attempts: 1, id: None, error };
            writer.push(&outcome).unwrap();
        }
        writer.finish().unwrap().digest
    }

    /// An attempt that goes through these events.
    fn attempt(&self, chunk: u64, rows: Option<RowRanges>, events: &[E]) -> u32 {
        let record = AttemptRecord {
            body_bytes: rows.as_ref().map(|_| 90),
            rows,
            ..AttemptRecord::default()
        };
        let number = self.ledger.begin_attempt(chunk, &record, now()).unwrap();
        for &event in events {
            let failed = matches!(event, E::Ended(JobState::Failed));
            let error = JobError { code: "InvalidBatch".to_owned(), message: "why".to_owned() };
            let detail = StepDetail {
                job_id: (event == E::JobCreated).then(|| format!("750-{chunk}-{number}")),
                processed: matches!(event, E::Ended(_)).then_some(9),
                failed: matches!(event, E::Ended(_)).then_some(2),
                error: failed.then_some(error),
            };
            self.ledger.attempt_step(chunk, number, event, &detail, now()).unwrap();
        }
        number
    }

    fn reconciled(&self, chunk: u64, attempt: u32, rows: &[(u64, Fate, &str)]) -> PathBuf {
        let path = self.folder.outcomes(chunk, attempt);
        let digest = self.outcomes(&path, chunk, rows);
        let file = self.folder.outcome_name(chunk, attempt);
        let outcomes = AttemptOutcomes { file, digest, at: now(), whole: true };
        self.ledger.attempt_reconciled(chunk, attempt, &outcomes).unwrap();
        path
    }

    fn account(&self) -> Result<Account, AccountError> {
        Account::read(&self.ledger, &self.folder)
    }
}

const TO_CLOSED: [E; 5] =
    [E::JobCreated, E::UploadStarted, E::BodyTaken, E::CloseStarted, E::CloseSeen];

fn ended(state: JobState) -> Vec<E> {
    [&TO_CLOSED[..], &[E::Ended(state)]].concat()
}

/// Nine rows of the first chunk, of which 5 and 6 failed and 7 was not reached.
fn first_outcomes() -> Vec<(u64, Fate, &'static str)> {
    let lock = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--";
    (2..=10)
        .map(|row| match row {
            5 => (row, Fate::Failed, lock),
            6 => (row, Fate::Failed, "DUPLICATE_VALUE:duplicate value found: Smith:--"),
            7 => (row, Fate::Unprocessed, ""),
            _ => (row, Fate::Created, ""),
        })
        .collect()
}

/// A run with a chunk that went twice, one that is on its way, one that was
/// given up before its close, and one that was only cut.
fn example() -> Run {
    let run = Run::new();
    run.chunk(1);
    assert_eq!(run.attempt(1, None, &[E::JobCreated, E::UploadStarted, E::GiveUp]), 1);
    run.attempt(1, None, &ended(JobState::Failed));
    run.reconciled(1, 2, &first_outcomes());
    let again = [5, 7].map(RowNumber).into_iter().collect::<RowRanges>();
    run.attempt(1, Some(again), &ended(JobState::JobComplete));
    let late = "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --";
    run.reconciled(1, 3, &[(5, Fate::Updated, ""), (7, Fate::Failed, late)]);
    let tally =
        Tally { read: 10, rejected: 1, created: 6, updated: 1, failed: 2, ..Tally::default() };
    run.ledger.chunk_reconciled(1, &tally).unwrap();
    run.chunk(2);
    run.attempt(2, None, &TO_CLOSED);
    run.chunk(3);
    run.attempt(3, None, &[E::JobCreated, E::UploadStarted]);
    run.chunk(4);
    let note =
        |chunk, text: &str| NoteRecord { at: now(), chunk, attempt: None, text: text.to_owned() };
    run.ledger.note(&note(Some(3), "a job may be ours")).unwrap();
    run.ledger.note(&note(None, "slow")).unwrap();
    run
}

#[test]
fn every_row_and_job_is_accounted_for() {
    let run = example();
    let account = run.account().unwrap();
    let tally =
        Tally { read: 40, rejected: 4, created: 6, updated: 1, failed: 2, ..Tally::default() };
    assert_eq!(account.tally, tally);
    assert_eq!(account.tally.pending(), 27);
    assert_eq!((account.chunks, account.source_rows), (4, None));
    assert_eq!(account.sent, 9 + 9, "a row that went twice is one row");
    assert_eq!(account.notes, ["chunk 3: a job may be ours", "slow"]);
    run.ledger.source_exhausted(1, 40).unwrap();
    assert_eq!(run.account().unwrap().source_rows, Some(40));

    let jobs: Vec<_> = account
        .jobs
        .values()
        .map(|job| (job.id.as_str(), job.state, job.first_row, job.rows, job.bytes))
        .collect();
    assert_eq!(
        jobs,
        [
            ("750-1-1", JobState::Aborted, 2, 9, 900),
            ("750-1-2", JobState::Failed, 2, 9, 900),
            ("750-1-3", JobState::JobComplete, 5, 2, 90),
            ("750-2-1", JobState::UploadComplete, 12, 9, 900),
            ("750-3-1", JobState::Open, 22, 9, 900),
        ]
    );
    let failed = &account.jobs[&(1, 2)];
    assert_eq!((failed.processed, failed.failed), (9, 2));
    assert_eq!(failed.error.as_deref(), Some("InvalidBatch : why"));
}

#[test]
fn reasons_are_those_of_the_last_outcome_and_masked() {
    let groups = example().account().unwrap().failures.groups();
    let told: Vec<_> = groups
        .iter()
        .map(|group| (group.code.as_str(), group.message.as_str(), group.count, group.example_row))
        .collect();
    assert_eq!(
        told,
        [
            (REJECTED, "… cells where the header has …", 4, 1),
            ("DUPLICATE_VALUE", "duplicate value found: …", 1, 6),
            ("REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]", 1, 7),
        ]
    );
}

#[test]
fn a_damaged_outcome_file_is_named_with_its_chunk() {
    let named = |error: &AccountError, path: &std::path::Path| {
        let told = crate::domain::error_chain(error);
        assert!(told.contains("chunk 1") && told.contains(path.to_str().unwrap()), "{told}");
    };
    let run = example();
    let path = run.folder.outcomes(1, 3);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    let error = run.account().unwrap_err();
    assert!(matches!(error, AccountError::Outcomes { chunk: 1, .. }), "{error:?}");
    named(&error, &path);
    std::fs::remove_file(&path).unwrap();
    named(&run.account().unwrap_err(), &path);

    // Whole, but not the one that was written.
    run.outcomes(&path, 1, &[(5, Fate::Updated, "")]);
    let error = run.account().unwrap_err();
    assert!(matches!(error, AccountError::Exchanged { chunk: 1, .. }), "{error:?}");
    named(&error, &path);
    std::fs::write(&path, &whole).unwrap();
    assert!(run.account().is_ok());
    // The rejected rows have no digest in the ledger, but a number.
    let path = run.folder.rejected(1);
    std::fs::write(&path, std::fs::read(run.folder.rejected(2)).unwrap()).unwrap();
    named(&run.account().unwrap_err(), &path);
    run.outcomes(&path, 1, &[]);
    let error = run.account().unwrap_err();
    assert!(
        matches!(error, AccountError::Differs { chunk: 1, found: 9, known: 10, .. }),
        "{error:?}"
    );
}
