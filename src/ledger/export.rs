//! What the ledger holds of an export: its objects, the parts each is fetched
//! in, the pages of a part, and the files that are whole.

use rusqlite::{Row, TransactionBehavior, params};
use serde_json::Value;

use super::read::{get, json, number, optional_number, word};
use super::write::stored;
use super::{Ledger, LedgerError};

/// An object of an export.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportObject {
    /// Its place among the objects, from 1.
    pub number: u32,
    /// API name.
    pub object: String,
    /// Folder of its files, relative to the archive.
    pub folder: String,
    /// The query as a whole.
    pub soql: String,
    /// Whether deleted and archived records are asked for.
    pub all_records: bool,
    /// What else is known at the start.
    pub about: Value,
    /// The columns of its files, once the first page told them.
    pub columns: Option<Value>,
    /// What was found at its end; `None` until it is done.
    pub end: Option<Value>,
}

/// How far a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartState {
    /// Nothing was sent yet.
    Planned,
    /// The create call is about to go out, or was never answered.
    Creating,
    /// Its query job is known.
    Created,
    /// The job is complete: its results can be fetched.
    Complete,
    /// All its records are in files.
    Written,
}

impl PartState {
    const ALL: [PartState; 5] = [
        PartState::Planned,
        PartState::Creating,
        PartState::Created,
        PartState::Complete,
        PartState::Written,
    ];

    /// The word stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            PartState::Planned => "planned",
            PartState::Creating => "creating",
            PartState::Created => "created",
            PartState::Complete => "complete",
            PartState::Written => "written",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        PartState::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A part of an object: one query job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportPart {
    /// Number of its object.
    pub object: u32,
    /// Its place among the parts of the object, from 1.
    pub part: u32,
    /// Its query.
    pub soql: String,
    /// Its query job, once known.
    pub job_id: Option<String>,
    /// How far it is.
    pub state: PartState,
    /// Records by the job's own count, once it is complete.
    pub records: Option<u64>,
    /// When its query job was created, by the org's clock.
    pub created: Option<String>,
}

/// A file that is whole.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportFile {
    /// Number of its object.
    pub object: u32,
    /// Number of its part.
    pub part: u32,
    /// Its place among the files of the part, from 1.
    pub number: u32,
    /// All that is known of it.
    pub facts: Value,
    /// With it, all records before this page of the part are in files…
    pub page: u32,
    /// …and so many of the page itself.
    pub record: u64,
    /// Values of it that had no place in their column.
    pub unfit: u64,
}

impl Ledger {
    /// Records the objects of an export and their parts, before anything is
    /// sent.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails.
    pub fn record_export(
        &self,
        objects: &[ExportObject],
        parts: &[ExportPart],
    ) -> Result<(), LedgerError> {
        let failed = || self.sql("take the objects of an export");
        let mut connection = self.connection();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed())?;
        for object in objects {
            transaction
                .execute(
                    "INSERT INTO export_object (number, object, folder, soql, all_records, about)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![
                        object.number,
                        object.object,
                        object.folder,
                        object.soql,
                        object.all_records,
                        object.about.to_string(),
                    ],
                )
                .map_err(failed())?;
        }
        for part in parts {
            transaction
                .execute(
                    "INSERT INTO export_part (object, part, soql, state)
                     VALUES (?1, ?2, ?3, ?4)",
                    params![part.object, part.part, part.soql, PartState::Planned.as_str()],
                )
                .map_err(failed())?;
        }
        transaction.commit().map_err(failed())
    }

    /// Records the columns of an object's files.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails.
    pub fn export_columns(&self, object: u32, columns: &Value) -> Result<(), LedgerError> {
        self.change(
            "UPDATE export_object SET columns = ?2 WHERE number = ?1",
            params![object, columns.to_string()],
        )
    }

    /// Records what was found at the end of an object.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails.
    pub fn export_object_done(&self, object: u32, end: &Value) -> Result<(), LedgerError> {
        self.change(
            "UPDATE export_object SET end = ?2 WHERE number = ?1",
            params![object, end.to_string()],
        )
    }

    /// Records a step of a part (I3): the intent before the create call, the
    /// job when it is known, its count when it is complete. A part that begins
    /// anew loses its pages and files.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails.
    pub fn export_step(&self, part: &ExportPart) -> Result<(), LedgerError> {
        let failed = || self.sql("take a step of an export");
        let mut connection = self.connection();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed())?;
        if part.state == PartState::Creating {
            for table in ["export_page", "export_file"] {
                transaction
                    .execute(
                        &format!("DELETE FROM {table} WHERE object = ?1 AND part = ?2"),
                        params![part.object, part.part],
                    )
                    .map_err(failed())?;
            }
        }
        transaction
            .execute(
                "UPDATE export_part SET job_id = ?3, state = ?4, records = ?5, created = ?6
                 WHERE object = ?1 AND part = ?2",
                params![
                    part.object,
                    part.part,
                    part.job_id,
                    part.state.as_str(),
                    part.records.map(stored),
                    part.created,
                ],
            )
            .map_err(failed())?;
        transaction.commit().map_err(failed())
    }

    /// Records where a page of a part is found.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails.
    pub fn export_page(
        &self,
        object: u32,
        part: u32,
        page: u32,
        locator: Option<&str>,
    ) -> Result<(), LedgerError> {
        self.change(
            "INSERT OR REPLACE INTO export_page (object, part, page, locator)
             VALUES (?1, ?2, ?3, ?4)",
            params![object, part, page, locator],
        )
    }

    /// Records files that got whole together, and with them how far the part
    /// is.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails.
    pub fn record_export_files(&self, files: &[ExportFile]) -> Result<(), LedgerError> {
        let failed = || self.sql("take the files of an export");
        let mut connection = self.connection();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed())?;
        for file in files {
            transaction
                .execute(
                    "INSERT INTO export_file (object, part, number, facts, page, record, unfit)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        file.object,
                        file.part,
                        file.number,
                        file.facts.to_string(),
                        file.page,
                        stored(file.record),
                        stored(file.unfit),
                    ],
                )
                .map_err(failed())?;
        }
        transaction.commit().map_err(failed())
    }

    /// The objects of the export, in order; none in a load.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails or a value makes no sense.
    pub fn export_objects(&self) -> Result<Vec<ExportObject>, LedgerError> {
        self.of_export("SELECT * FROM export_object ORDER BY number", [], |row| {
            let optional = |column: &'static str| -> Result<Option<Value>, LedgerError> {
                let text: Option<String> = get(row, column)?;
                text.map(|text| word(column, &text, |text| serde_json::from_str(text).ok()))
                    .transpose()
            };
            Ok(ExportObject {
                number: get(row, "number")?,
                object: get(row, "object")?,
                folder: get(row, "folder")?,
                soql: get(row, "soql")?,
                all_records: get(row, "all_records")?,
                about: json("export_object.about", row, "about")?,
                columns: optional("columns")?,
                end: optional("end")?,
            })
        })
    }

    /// The parts of all objects, in order.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails or a value makes no sense.
    pub fn export_parts(&self) -> Result<Vec<ExportPart>, LedgerError> {
        self.of_export("SELECT * FROM export_part ORDER BY object, part", [], |row| {
            let state: String = get(row, "state")?;
            Ok(ExportPart {
                object: get(row, "object")?,
                part: get(row, "part")?,
                soql: get(row, "soql")?,
                job_id: get(row, "job_id")?,
                state: word("export_part.state", &state, PartState::from_word)?,
                records: optional_number(row, "records")?,
                // Not in a ledger of before there were increments that is only
                // looked at.
                created: match row.as_ref().column_index("created") {
                    Ok(_) => get(row, "created")?,
                    Err(_) => None,
                },
            })
        })
    }

    /// The locators of the pages of a part that are known, from the first on.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails.
    pub fn export_pages(&self, object: u32, part: u32) -> Result<Vec<Option<String>>, LedgerError> {
        self.of_export(
            "SELECT locator FROM export_page WHERE object = ?1 AND part = ?2 ORDER BY page",
            params![object, part],
            |row| get(row, "locator"),
        )
    }

    /// The files that are whole, in order.
    ///
    /// # Errors
    /// [`LedgerError`] when SQLite fails or a value makes no sense.
    pub fn export_files(&self) -> Result<Vec<ExportFile>, LedgerError> {
        self.of_export("SELECT * FROM export_file ORDER BY object, part, number", [], |row| {
            Ok(ExportFile {
                object: get(row, "object")?,
                part: get(row, "part")?,
                number: get(row, "number")?,
                facts: json("export_file.facts", row, "facts")?,
                page: get(row, "page")?,
                record: number(row, "record")?,
                unfit: number(row, "unfit")?,
            })
        })
    }

    fn change(&self, sql: &str, values: impl rusqlite::Params) -> Result<(), LedgerError> {
        self.connection()
            .execute(sql, values)
            .map(drop)
            .map_err(self.sql("take a step of an export"))
    }

    /// Reads rows of an export. A ledger of before there were exports, opened
    /// to be looked at, has none.
    fn of_export<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl Fn(&Row<'_>) -> Result<T, LedgerError>,
    ) -> Result<Vec<T>, LedgerError> {
        let failed = || self.sql("tell of an export");
        let connection = self.connection();
        let known: bool = connection
            .query_row(
                "SELECT COUNT(*) > 0 FROM sqlite_schema WHERE name = 'export_object'",
                [],
                |row| row.get(0),
            )
            .map_err(failed())?;
        if !known {
            return Ok(Vec::new());
        }
        let mut statement = connection.prepare(sql).map_err(failed())?;
        let mut rows = statement.query(values).map_err(failed())?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(failed())? {
            all.push(read(row)?);
        }
        Ok(all)
    }
}
