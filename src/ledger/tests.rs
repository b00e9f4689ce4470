//! What the ledger keeps, refuses and survives.

use std::path::Path;

use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::domain::{
    AttemptEvent as E, AttemptState as S, JobState, LineEnding, Operation, RowNumber, RowRanges,
    Tally,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_768_000_000 + second).unwrap()
}

fn run(id: &str, operation: Operation) -> RunRecord {
    RunRecord {
        id: id.to_owned(),
        command: "load".to_owned(),
        settings: json!({"parallel": 4}),
        org: OrgRecord {
            id: "00D000000000001EAA".to_owned(),
            name: "Example".to_owned(),
            url: "https://example.my.salesforce.com".to_owned(),
            user: "005000000000001AAA".to_owned(),
            username: "ann@example.com".to_owned(),
            production: true,
        },
        api_version: "66.0".to_owned(),
        object: "Account".to_owned(),
        operation: Some(operation),
        external_id: Some("Legacy_Id__c".to_owned()),
        started_at: at(0),
        parent_run: None,
    }
}

fn source() -> SourceRecord {
    SourceRecord {
        ordinal: 0,
        path: "accounts.csv".into(),
        bytes: 1_000,
        modified: Some(at(-100)),
        inode: Some(7),
        edge_digest: "ab".repeat(16),
        header: vec!["Name".to_owned(), "Legacy_Id__c".to_owned()],
        dialect: json!({"delimiter": 44}),
        plan: json!([{"header": "Name"}]),
        rows: None,
        derivation: None,
        files: Vec::new(),
    }
}

fn chunk(number: u64) -> ChunkRecord {
    ChunkRecord {
        number,
        source: 0,
        start: 20,
        end: 1_000,
        first_row: RowNumber(1),
        last_row: RowNumber(10),
        read: 10,
        rows: (1..=10).filter(|&row| row != 4).map(RowNumber).collect(),
        rejected: 1,
        rejected_file: Some("outcomes/1.rejected".to_owned()),
        body: Body {
            kind: BodyKind::Spool { file: "spool/1.csv".to_owned() },
            bytes: 900,
            digest: "cd".repeat(16),
            delimiter: b',',
            line_ending: LineEnding::Lf,
            needs_final_newline: true,
        },
        unique_text: Some(1),
    }
}

fn ledger(folder: &TempDir) -> Ledger {
    let ledger = Ledger::create(&folder.path().join(FILE_NAME), &run("r1", Operation::Upsert));
    let ledger = ledger.unwrap();
    ledger.record_source(&source()).unwrap();
    ledger.record_chunk(&chunk(1)).unwrap();
    ledger
}

fn walk(ledger: &Ledger, attempt: u32, events: &[E]) -> S {
    let mut state = S::Creating;
    for &event in events {
        let detail = StepDetail {
            job_id: (event == E::JobCreated).then(|| format!("750{attempt}")),
            ..StepDetail::default()
        };
        state = ledger.attempt_step(1, attempt, event, &detail, at(9)).unwrap();
    }
    state
}

const TO_CLOSED: [E; 5] =
    [E::JobCreated, E::UploadStarted, E::BodyTaken, E::CloseStarted, E::CloseSeen];

#[test]
fn everything_is_read_back_by_the_next_process() {
    let folder = TempDir::new().unwrap();
    let first = ledger(&folder);
    first.source_exhausted(0, 10).unwrap();
    let number = first.begin_attempt(1, &AttemptRecord::default(), at(1)).unwrap();
    walk(&first, number, &TO_CLOSED);
    let detail = StepDetail {
        processed: Some(9),
        failed: Some(2),
        error: Some(JobError { code: "InvalidBatch".to_owned(), message: "why".to_owned() }),
        ..StepDetail::default()
    };
    let end = first.attempt_step(1, number, E::Ended(JobState::Failed), &detail, at(20)).unwrap();
    assert_eq!(end, S::Failed);
    let outcomes = AttemptOutcomes {
        file: "outcomes/1.1".to_owned(),
        digest: "ef".to_owned(),
        at: at(21),
        whole: true,
    };
    first.attempt_reconciled(1, number, &outcomes).unwrap();
    let note = NoteRecord { at: at(3), chunk: Some(1), attempt: Some(1), text: "slow".to_owned() };
    first.note(&note).unwrap();
    let tally = Tally { read: 10, rejected: 1, updated: 7, failed: 2, ..Tally::default() };
    first.chunk_reconciled(1, &tally).unwrap();
    first.finish_run(&RunEnd { status: RunStatus::Completed, exit_code: 3, at: at(30) }).unwrap();
    drop(first);

    let next = Ledger::open(&folder.path().join(FILE_NAME)).unwrap();
    let stored = next.run().unwrap();
    assert_eq!(stored.run, run("r1", Operation::Upsert));
    assert_eq!(stored.end.unwrap().exit_code, 3);
    assert_eq!(next.sources().unwrap(), [SourceRecord { rows: Some(10), ..source() }]);
    let chunks = next.chunks().unwrap();
    assert_eq!(chunks.len(), 1);
    assert_eq!(chunks[0].chunk, chunk(1));
    assert_eq!(chunks[0].state, ChunkState::Reconciled);
    assert_eq!(chunks[0].tally, tally);
    assert_eq!(next.tally().unwrap(), tally);
    let attempts = next.attempts_of(1).unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].state, S::Failed);
    assert_eq!(attempts[0].job_id.as_deref(), Some("7501"));
    assert_eq!((attempts[0].processed, attempts[0].failed), (Some(9), Some(2)));
    assert_eq!(attempts[0].error, detail.error);
    assert_eq!(attempts[0].times.creating, at(1));
    assert_eq!(attempts[0].times.closed, Some(at(9)));
    assert_eq!(attempts[0].times.ended, Some(at(20)));
    assert_eq!(attempts[0].outcomes, Some(outcomes));
    assert_eq!(next.attempt_of_job("7501").unwrap().unwrap().number, 1);
    assert_eq!(next.attempt_of_job("other").unwrap(), None);
    assert_eq!(next.notes().unwrap(), [note]);
    next.reopen_run().unwrap();
    assert_eq!(next.run().unwrap().end, None);
}

#[test]
fn a_second_process_is_refused_and_a_reader_is_not() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE_NAME);
    let first = ledger(&folder);
    assert!(matches!(Ledger::open(&path), Err(LedgerError::Locked { .. })));
    let reader = Ledger::open_read_only(&path).unwrap();
    assert_eq!(reader.run().unwrap().run.id, "r1");
    assert!(reader.source_exhausted(0, 1).is_err());
    drop(first);
    assert_eq!(Ledger::open(&path).unwrap().chunks().unwrap().len(), 1);
}

#[test]
fn nothing_that_may_have_been_processed_is_sent_whole_again() {
    let folder = TempDir::new().unwrap();
    let ledger = ledger(&folder);
    let whole = AttemptRecord::default();
    assert_eq!(ledger.begin_attempt(1, &whole, at(1)).unwrap(), 1);
    // Still creating: its fate is open.
    assert!(matches!(ledger.begin_attempt(1, &whole, at(2)), Err(LedgerError::NotAgain { .. })));
    assert_eq!(walk(&ledger, 1, &[E::JobCreated, E::UploadStarted, E::GiveUp]), S::Aborting);
    // Given up before its close: certainly nothing happened, whether or not
    // the abort was answered.
    assert_eq!(ledger.begin_attempt(1, &whole, at(2)).unwrap(), 2);
    assert_eq!(walk(&ledger, 1, &[E::AbortSeen]), S::GivenUp);
    assert_eq!(walk(&ledger, 2, &[E::CreateUnanswered]), S::Lost);
    assert_eq!(ledger.begin_attempt(1, &whole, at(3)).unwrap(), 3);
    walk(&ledger, 3, &TO_CLOSED);
    assert!(matches!(ledger.begin_attempt(1, &whole, at(3)), Err(LedgerError::NotAgain { .. })));
    assert_eq!(walk(&ledger, 3, &[E::Ended(JobState::JobComplete)]), S::Complete);
    let part = AttemptRecord {
        rows: Some(RowRanges::try_from("2-3".to_owned()).unwrap()),
        body_file: Some("spool/1.4.csv".to_owned()),
        body_bytes: Some(50),
        body_digest: Some("aa".to_owned()),
    };
    // Not accounted for yet.
    assert!(matches!(ledger.begin_attempt(1, &part, at(4)), Err(LedgerError::NotAgain { .. })));
    let outcomes =
        AttemptOutcomes { file: "o".to_owned(), digest: "d".to_owned(), at: at(5), whole: true };
    ledger.attempt_reconciled(1, 3, &outcomes).unwrap();
    assert!(matches!(
        ledger.begin_attempt(1, &whole, at(5)),
        Err(LedgerError::NotAgain { attempt: 3, state: S::Complete, .. })
    ));
    assert_eq!(ledger.begin_attempt(1, &part, at(6)).unwrap(), 4);
    assert_eq!(ledger.attempts_of(1).unwrap()[3].attempt, part);
}

#[test]
fn a_step_that_cannot_happen_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let ledger = ledger(&folder);
    ledger.begin_attempt(1, &AttemptRecord::default(), at(1)).unwrap();
    let none = StepDetail::default();
    assert!(matches!(
        ledger.attempt_step(1, 1, E::CloseStarted, &none, at(2)),
        Err(LedgerError::Step { .. })
    ));
    assert!(matches!(
        ledger.attempt_step(1, 1, E::JobCreated, &none, at(2)),
        Err(LedgerError::NoJobId { .. })
    ));
    assert!(matches!(
        ledger.attempt_step(
            1,
            2,
            E::JobCreated,
            &StepDetail { job_id: Some("750".to_owned()), ..none.clone() },
            at(2)
        ),
        Err(LedgerError::NoAttempt { .. })
    ));
    assert!(matches!(
        ledger.begin_attempt(9, &AttemptRecord::default(), at(2)),
        Err(LedgerError::NoChunk { chunk: 9 })
    ));
    let attempts = ledger.attempts().unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].state, &attempts[0].job_id), (S::Creating, &None));
}

#[test]
fn a_tally_that_loses_rows_is_refused() {
    let folder = TempDir::new().unwrap();
    let ledger = ledger(&folder);
    let short = Tally { read: 10, rejected: 1, updated: 8, ..Tally::default() };
    assert!(matches!(
        ledger.chunk_reconciled(1, &short),
        Err(LedgerError::NotConserved { rows: 10, settled: 9, .. })
    ));
    let elsewhere = Tally { read: 10, rejected: 0, updated: 10, ..Tally::default() };
    assert!(ledger.chunk_reconciled(1, &elsewhere).is_err());
    assert_eq!(ledger.chunk(1).unwrap().state, ChunkState::Recorded);
    assert_eq!(ledger.tally().unwrap().pending(), 9);
}

#[test]
fn other_files_and_later_versions_are_refused_in_words() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE_NAME);
    assert!(matches!(Ledger::open(&path), Err(LedgerError::Missing { .. })));
    std::fs::write(&path, "Name,Phone\nthis is a CSV file and no database at all\n".repeat(40))
        .unwrap();
    assert!(matches!(Ledger::open(&path), Err(LedgerError::NotALedger { .. })));
    assert!(matches!(Ledger::open_read_only(&path), Err(LedgerError::NotALedger { .. })));
    assert!(matches!(
        Ledger::create(&path, &run("r", Operation::Insert)),
        Err(LedgerError::Exists { .. })
    ));

    let other = folder.path().join("other.sqlite");
    let connection = rusqlite::Connection::open(&other).unwrap();
    connection.execute_batch("CREATE TABLE t (a)").unwrap();
    drop(connection);
    assert!(matches!(Ledger::open(&other), Err(LedgerError::NotALedger { .. })));

    std::fs::remove_file(&path).unwrap();
    drop(ledger(&folder));
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(matches!(Ledger::open(&path), Err(LedgerError::TooNew { found: 99, .. })));
    assert!(matches!(Ledger::open_read_only(&path), Err(LedgerError::TooNew { found: 99, .. })));
}

#[cfg(unix)]
#[test]
fn its_files_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    let _ledger = ledger(&folder);
    let mut seen = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
        seen += 1;
    }
    assert!(seen >= 3, "the ledger, its lock and its WAL");
}

#[test]
fn earlier_runs_of_the_same_source_are_found() {
    let runs = TempDir::new().unwrap();
    let identity = [SourceIdentity { bytes: 1_000, edge_digest: "ab".repeat(16) }];
    let org = "00D000000000001";
    let find = |object: &str, operation| {
        find_earlier(runs.path(), &identity, org, object, operation).unwrap()
    };
    let nowhere = runs.path().join("none");
    let none = find_earlier(&nowhere, &identity, org, "Account", Operation::Insert).unwrap();
    assert!(none.runs.is_empty() && none.unreadable.is_empty());

    let make = |id: &str, operation| {
        let folder = runs.path().join(id);
        std::fs::create_dir(&folder).unwrap();
        let ledger = Ledger::create(&folder.join(FILE_NAME), &run(id, operation)).unwrap();
        ledger.record_source(&source()).unwrap();
        ledger.record_chunk(&chunk(1)).unwrap();
        ledger
    };
    let done = RunEnd { status: RunStatus::Completed, exit_code: 0, at: at(50) };
    make("upserted", Operation::Upsert).finish_run(&done).unwrap();
    make("inserted", Operation::Insert).finish_run(&done).unwrap();
    let open = make("running", Operation::Upsert);
    std::fs::create_dir(runs.path().join("broken")).unwrap();
    std::fs::write(runs.path().join("broken").join(FILE_NAME), "no ledger".repeat(99)).unwrap();

    let found = find("account", Operation::Upsert);
    let mut ids: Vec<_> = found
        .runs
        .iter()
        .map(|run| (run.run.run.id.as_str(), run.is_unfinished(), run.forbids_another()))
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [("running", true, true), ("upserted", false, false)]);
    assert_eq!(found.unreadable.len(), 1);
    let inserted = find("Account", Operation::Insert);
    assert_eq!(inserted.runs.len(), 1);
    assert!(!inserted.runs[0].is_unfinished() && inserted.runs[0].forbids_another());
    assert!(find("Contact", Operation::Insert).runs.is_empty());
    let other = [SourceIdentity { bytes: 1_001, edge_digest: "ab".repeat(16) }];
    let other = find_earlier(runs.path(), &other, org, "Account", Operation::Upsert).unwrap();
    assert!(other.runs.is_empty());
    drop(open);
}

#[test]
fn a_read_only_folder_can_be_looked_at() {
    let folder = TempDir::new().unwrap();
    drop(ledger(&folder));
    let path: &Path = &folder.path().join(FILE_NAME);
    assert!(!folder.path().join("ledger.sqlite-wal").exists(), "closed cleanly");
    let mut permissions = std::fs::metadata(folder.path()).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(folder.path(), permissions.clone()).unwrap();
    let seen = Ledger::open_read_only(path).and_then(|ledger| ledger.run());
    #[cfg(unix)]
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o700);
    std::fs::set_permissions(folder.path(), permissions).unwrap();
    assert_eq!(seen.unwrap().run.id, "r1");
}

/// What a process that was killed leaves: a copy of the files of an open
/// ledger, in a folder of their own.
fn killed() -> TempDir {
    let (folder, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let open = ledger(&folder);
    open.begin_attempt(1, &AttemptRecord::default(), at(1)).unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        // The shared memory is made anew by whoever comes next.
        if !entry.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}

/// Both ways to open it refuse it for the same reason, which is told with the
/// path and with advice.
fn refused(path: &Path, is_expected: impl Fn(&LedgerError) -> bool) {
    for error in [Ledger::open(path).unwrap_err(), Ledger::open_read_only(path).unwrap_err()] {
        assert!(is_expected(&error), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert!(error.advice().is_some(), "{error}");
    }
}

#[test]
fn a_killed_process_leaves_what_it_wrote() {
    let folder = killed();
    let path = folder.path().join(FILE_NAME);
    assert_eq!(Ledger::open_read_only(&path).unwrap().attempts().unwrap().len(), 1);
    let next = Ledger::open(&path).unwrap();
    assert_eq!(next.attempts().unwrap().len(), 1);
    drop(next);
    assert!(!folder.path().join("ledger.sqlite-wal").exists(), "closed in order");
    assert_eq!(Ledger::open(&path).unwrap().attempts().unwrap().len(), 1);
}

#[test]
fn a_lost_log_is_seen_and_not_taken_for_an_earlier_state() {
    let folder = killed();
    let path = folder.path().join(FILE_NAME);
    let log = folder.path().join("ledger.sqlite-wal");
    let kept = std::fs::read(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    refused(&path, |error| matches!(error, LedgerError::LogMissing { .. }));
    std::fs::write(&log, kept).unwrap();
    assert_eq!(Ledger::open(&path).unwrap().attempts().unwrap().len(), 1);

    // As the advice says, when another program took the log in.
    let folder = killed();
    let path = folder.path().join(FILE_NAME);
    rusqlite::Connection::open(&path)
        .and_then(|other| {
            other.query_row("SELECT count(*) FROM run", [], |row| row.get::<_, i64>(0))
        })
        .unwrap();
    refused(&path, |error| matches!(error, LedgerError::LogMissing { .. }));
    std::fs::remove_file(folder.path().join("ledger.sqlite.lock")).unwrap();
    assert_eq!(Ledger::open(&path).unwrap().attempts().unwrap().len(), 1);
}

#[test]
fn a_ledger_that_is_refused_is_left_as_it_is() {
    let (folder, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let full = ledger(&folder);
    for number in 2..400 {
        full.record_chunk(&chunk(number)).unwrap();
    }
    drop(full);
    let open = Ledger::open(&folder.path().join(FILE_NAME)).unwrap();
    open.begin_attempt(1, &AttemptRecord::default(), at(1)).unwrap();
    let names = [FILE_NAME, "ledger.sqlite-wal", "ledger.sqlite.lock"];
    for name in names {
        std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let path = copy.path().join(FILE_NAME);
    let whole = std::fs::read(&path).unwrap();
    let mut scribbled = whole.clone();
    let middle = whole.len() / 2 / 4_096 * 4_096;
    scribbled[middle..middle + 4_096].fill(0xA5);
    std::fs::write(&path, &scribbled).unwrap();
    let error = Ledger::open(&path).unwrap_err();
    assert!(matches!(error, LedgerError::Damaged { .. }), "{error:?}");
    assert_eq!(std::fs::read(&path).unwrap(), scribbled);
    // With the page back, nothing of it is missing.
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(Ledger::open(&path).unwrap().attempts().unwrap().len(), 1);
}

#[test]
fn a_log_that_a_reader_holds_up_stays_and_is_not_missed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE_NAME);
    let first = ledger(&folder);
    let reader = rusqlite::Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM run;").unwrap();
    first.source_exhausted(0, 10).unwrap();
    drop(first);
    reader.execute_batch("COMMIT").unwrap();
    let next = Ledger::open(&path).unwrap();
    assert_eq!(next.sources().unwrap()[0].rows, Some(10));
    drop((reader, next));
}

#[test]
fn damage_is_told_with_the_path_and_what_is_still_known() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE_NAME);
    let full = ledger(&folder);
    for number in 2..400 {
        full.record_chunk(&chunk(number)).unwrap();
    }
    drop(full);
    let whole = std::fs::read(&path).unwrap();
    let write = |content: &[u8]| std::fs::write(&path, content).unwrap();

    write(&whole[..whole.len() / 2]);
    refused(&path, |error| matches!(error, LedgerError::Damaged { .. }));
    write(&[]);
    refused(&path, |error| matches!(error, LedgerError::Empty { .. }));
    write(&b"no ledger at all ".repeat(1_000));
    refused(&path, |error| matches!(error, LedgerError::NotALedger { .. }));
    // A page of chunks that something else wrote over: they came last.
    let mut scribbled = whole.clone();
    let last = whole.len() - 4_096;
    scribbled[last..].fill(0xA5);
    write(&scribbled);
    assert!(matches!(Ledger::open(&path), Err(LedgerError::Damaged { .. })));
    let seen = Ledger::open_read_only(&path).and_then(|ledger| ledger.chunks());
    assert!(matches!(seen, Err(LedgerError::Damaged { .. })), "{seen:?}");

    // Refusing it changed nothing: with the file back all is as it was.
    write(&whole);
    assert_eq!(Ledger::open(&path).unwrap().chunks().unwrap().len(), 399);
    std::fs::remove_file(&path).unwrap();
    refused(&path, |error| matches!(error, LedgerError::Missing { .. }));
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let path = file.join(FILE_NAME);
    let error = Ledger::create(&path, &run("r", Operation::Insert)).unwrap_err();
    assert!(matches!(error, LedgerError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert!(error.advice().is_some());
}

#[test]
fn somebody_who_looks_whether_a_run_is_worked_on_does_not_disturb() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE_NAME);
    assert!(!is_worked_on(&path));
    let open = ledger(&folder);
    assert!(is_worked_on(&path));
    drop(open);
    assert!(!is_worked_on(&path));
    let looking = std::fs::File::open(folder.path().join("ledger.sqlite.lock")).unwrap();
    looking.lock_shared().unwrap();
    let waiting = std::thread::spawn({
        let path = path.clone();
        move || RunLock::take(&path).map(drop)
    });
    drop(looking);
    waiting.join().unwrap().unwrap();
}
