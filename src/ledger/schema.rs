//! The schema, as numbered migrations that are only ever appended.
//!
//! `PRAGMA user_version` counts the migrations a file has had. A released
//! migration is never edited: old ledgers have had it already.

use std::path::PathBuf;

use rusqlite::{Connection, TransactionBehavior};

use super::{FILE_NAME, LedgerError};

/// Marks the file as a ledger ("bhl1"), see `PRAGMA application_id`.
pub(super) const APPLICATION_ID: i64 = 0x6268_6c31;

const MIGRATIONS: &[&str] = &[
    // 1: the whole of a load, with room for several sources, attempts of a
    // part of a chunk, and linked runs.
    "
    CREATE TABLE run (
        one             INTEGER PRIMARY KEY CHECK (one = 1),
        id              TEXT NOT NULL,
        command         TEXT NOT NULL,
        settings        TEXT NOT NULL,
        org_id          TEXT NOT NULL,
        org_name        TEXT NOT NULL,
        org_url         TEXT NOT NULL,
        org_user        TEXT NOT NULL,
        org_username    TEXT NOT NULL,
        org_production  INTEGER NOT NULL,
        api_version     TEXT NOT NULL,
        object          TEXT NOT NULL,
        operation       TEXT NOT NULL,
        external_id     TEXT,
        parent_run      TEXT,
        started_at      TEXT NOT NULL,
        state           TEXT NOT NULL CHECK (state IN ('running', 'ended')),
        status          TEXT CHECK (status IN ('completed', 'interrupted', 'failed', 'stopped')),
        exit_code       INTEGER,
        finished_at     TEXT
    ) STRICT;

    CREATE TABLE source (
        ordinal         INTEGER PRIMARY KEY,
        path            TEXT NOT NULL,
        bytes           INTEGER NOT NULL,
        modified        TEXT,
        inode           INTEGER,
        edge_digest     TEXT NOT NULL,
        header          TEXT NOT NULL,
        dialect         TEXT NOT NULL,
        plan            TEXT NOT NULL,
        rows            INTEGER
    ) STRICT;

    CREATE TABLE chunk (
        number          INTEGER PRIMARY KEY,
        source          INTEGER NOT NULL REFERENCES source (ordinal),
        start           INTEGER NOT NULL,
        end             INTEGER NOT NULL,
        first_row       INTEGER NOT NULL,
        last_row        INTEGER NOT NULL,
        read_rows       INTEGER NOT NULL,
        rows            TEXT NOT NULL,
        rejected        INTEGER NOT NULL,
        rejected_file   TEXT,
        body_kind       TEXT NOT NULL CHECK (body_kind IN ('none', 'span', 'spool')),
        body_file       TEXT,
        body_bytes      INTEGER NOT NULL,
        body_digest     TEXT NOT NULL,
        delimiter       INTEGER NOT NULL,
        line_ending     TEXT NOT NULL CHECK (line_ending IN ('lf', 'crlf')),
        final_newline   INTEGER NOT NULL,
        unique_text     INTEGER,
        state           TEXT NOT NULL CHECK (state IN ('recorded', 'reconciled')),
        created         INTEGER NOT NULL DEFAULT 0,
        updated         INTEGER NOT NULL DEFAULT 0,
        deleted         INTEGER NOT NULL DEFAULT 0,
        failed          INTEGER NOT NULL DEFAULT 0,
        unprocessed     INTEGER NOT NULL DEFAULT 0,
        disputed        INTEGER NOT NULL DEFAULT 0
    ) STRICT;

    CREATE TABLE attempt (
        chunk           INTEGER NOT NULL REFERENCES chunk (number),
        number          INTEGER NOT NULL,
        state           TEXT NOT NULL,
        job_id          TEXT,
        rows            TEXT,
        body_file       TEXT,
        body_bytes      INTEGER,
        body_digest     TEXT,
        creating_at     TEXT NOT NULL,
        created_at      TEXT,
        uploading_at    TEXT,
        uploaded_at     TEXT,
        closing_at      TEXT,
        closed_at       TEXT,
        aborting_at     TEXT,
        ended_at        TEXT,
        processed       INTEGER,
        failed          INTEGER,
        error_code      TEXT,
        error_message   TEXT,
        outcome_file    TEXT,
        outcome_digest  TEXT,
        reconciled_at   TEXT,
        PRIMARY KEY (chunk, number)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX attempt_by_job ON attempt (job_id) WHERE job_id IS NOT NULL;

    CREATE TABLE note (
        id              INTEGER PRIMARY KEY,
        at              TEXT NOT NULL,
        chunk           INTEGER,
        attempt         INTEGER,
        text            TEXT NOT NULL
    ) STRICT;
    ",
    // 2: what resubmitting, settling, derived sources and `abort` need.
    "
    ALTER TABLE attempt ADD COLUMN whole INTEGER;
    ALTER TABLE chunk ADD COLUMN settled_file TEXT;
    ALTER TABLE source ADD COLUMN derivation TEXT;
    ALTER TABLE run ADD COLUMN aborted_at TEXT;
    ",
    // 3: sources of several files.
    "
    CREATE TABLE source_file (
        source          INTEGER NOT NULL REFERENCES source (ordinal),
        number          INTEGER NOT NULL,
        path            TEXT NOT NULL,
        bytes           INTEGER NOT NULL,
        edge_digest     TEXT NOT NULL,
        about           TEXT NOT NULL,
        rows            INTEGER,
        PRIMARY KEY (source, number)
    ) STRICT, WITHOUT ROWID;
    ",
    // 4: exports.
    "
    CREATE TABLE export_object (
        number          INTEGER PRIMARY KEY,
        object          TEXT NOT NULL,
        folder          TEXT NOT NULL,
        soql            TEXT NOT NULL,
        all_records     INTEGER NOT NULL,
        about           TEXT NOT NULL,
        columns         TEXT,
        end             TEXT
    ) STRICT;

    CREATE TABLE export_part (
        object          INTEGER NOT NULL REFERENCES export_object (number),
        part            INTEGER NOT NULL,
        soql            TEXT NOT NULL,
        job_id          TEXT,
        state           TEXT NOT NULL
            CHECK (state IN ('planned', 'creating', 'created', 'complete', 'written')),
        records         INTEGER,
        PRIMARY KEY (object, part)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE export_page (
        object          INTEGER NOT NULL,
        part            INTEGER NOT NULL,
        page            INTEGER NOT NULL,
        locator         TEXT,
        PRIMARY KEY (object, part, page)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE export_file (
        object          INTEGER NOT NULL,
        part            INTEGER NOT NULL,
        number          INTEGER NOT NULL,
        facts           TEXT NOT NULL,
        page            INTEGER NOT NULL,
        record          INTEGER NOT NULL,
        unfit           INTEGER NOT NULL,
        PRIMARY KEY (object, part, number)
    ) STRICT, WITHOUT ROWID;
    ",
    // 5: the org's clock, for the next increment.
    "ALTER TABLE export_part ADD COLUMN created TEXT;",
];

/// Brings a file to the newest version, in one exclusive transaction: a crash
/// in the middle leaves the old version.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), LedgerError> {
    let known = MIGRATIONS.len() as i64;
    let path = path_of(connection);
    let failed = || LedgerError::sql(&path, "be brought to this release's version");
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(failed())?;
    let found = version(&transaction)?;
    if found > known {
        return Err(LedgerError::TooNew { found, known });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(migration).map_err(failed())?;
    }
    if found < known {
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed())?;
        transaction.pragma_update(None, "user_version", known).map_err(failed())?;
    }
    transaction.commit().map_err(failed())
}

/// How many migrations a file has had.
pub(super) fn version(connection: &Connection) -> Result<i64, LedgerError> {
    connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(LedgerError::sql(&path_of(connection), "tell its version"))
}

fn path_of(connection: &Connection) -> PathBuf {
    connection.path().unwrap_or(FILE_NAME).into()
}

/// What kind of SQLite file it says it is.
pub(super) fn application_id(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.query_row("PRAGMA application_id", [], |row| row.get(0))
}

/// Refuses a version of which nothing is known.
pub(super) fn refuse_newer(connection: &Connection) -> Result<(), LedgerError> {
    let (found, known) = (version(connection)?, MIGRATIONS.len() as i64);
    if found > known { Err(LedgerError::TooNew { found, known }) } else { Ok(()) }
}
