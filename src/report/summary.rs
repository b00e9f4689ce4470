//! What summary.json holds (and `--json` prints), and how it is written.
//!
//! Scripts rely on these names: fields are added, never renamed or removed.
//! docs/cli.md describes each.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::domain::{FailureGroup, Operation, Status, Tally};

/// The name of the file in a run folder.
pub const SUMMARY_FILE: &str = "summary.json";

/// One run, told at its end. Carries no secret, and no row value: messages of
/// the org are masked before they come here (I8).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Run id; also the name of the run folder.
    pub run_id: String,
    /// The command (`load`, `retry`).
    pub command: String,
    /// The run whose rows a retry took up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_run: Option<String>,
    /// How the run ended.
    pub status: Status,
    /// What the process ends with.
    pub exit_code: u8,
    /// The org it went to.
    pub org: OrgSummary,
    /// API name of the object.
    pub object: String,
    /// What was done with the rows.
    pub operation: Operation,
    /// The field an upsert matched by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// API version spoken, such as `66.0`.
    pub api_version: String,
    /// When the run began.
    #[serde(serialize_with = "milliseconds")]
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(serialize_with = "milliseconds")]
    pub finished_at: Timestamp,
    /// Seconds between the two by a clock that never jumps.
    pub seconds: f64,
    /// The files, in the order they were given.
    pub sources: Vec<SourceSummary>,
    /// Rows by outcome.
    pub rows: RowCounts,
    /// Of a retry, the load that its rows come from, with their new fates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<OriginSummary>,
    /// Failed rows by the org's status code.
    pub failures_by_code: BTreeMap<String, u64>,
    /// Every job created, in the order of chunks and attempts.
    pub jobs: Vec<JobSummary>,
    /// Calls made to the org, repeated ones included.
    pub api_calls: u64,
    /// Bytes of job data sent.
    pub bytes_uploaded: u64,
    /// Bytes of result sets fetched, unpacked.
    pub bytes_downloaded: u64,
    /// The most memory the process held; `null` where the system can't tell.
    pub peak_memory_bytes: Option<u64>,
    /// Rows settled a second, over the whole run.
    pub rows_per_second: f64,
    /// The run folder.
    #[serde(default)]
    pub folder: PathBuf,
    /// The result files in it.
    #[serde(default)]
    pub result_files: Vec<ResultFile>,
    /// Failures by code and masked message, the largest group first.
    #[serde(default)]
    pub failure_groups: Vec<FailureGroup>,
    /// What was told before the start (I11), one sentence each.
    #[serde(default)]
    pub plan_notes: Vec<String>,
    /// What a person should know of the run itself, one sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Why the run could not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorSummary>,
}

/// The org of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrgSummary {
    /// 18-character organization id; the run is bound to it (I11).
    pub id: String,
    /// Its name.
    pub name: String,
    /// Instance URL.
    pub url: String,
    /// Name of the user who is logged in.
    pub user: String,
    /// Whether it is a production org.
    pub production: bool,
}

/// One source file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSummary {
    /// As it was given.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Rows read from it.
    pub rows: u64,
}

/// Rows by outcome: `read` is the sum of rejected, succeeded, failed,
/// unprocessed, disputed and pending (I1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Rows read.
    pub read: u64,
    /// Never sent by us.
    pub rejected: u64,
    /// Sent to the org in at least one job that was closed.
    pub sent: u64,
    /// Saved by the org: created, updated and deleted together.
    pub succeeded: u64,
    /// Saved as new records.
    pub created: u64,
    /// Saved over existing records.
    pub updated: u64,
    /// Deleted.
    pub deleted: u64,
    /// Refused by the org.
    pub failed: u64,
    /// Sent, but never reached.
    pub unprocessed: u64,
    /// Sent, and the fate can't be proven.
    pub disputed: u64,
    /// Not sent yet, or the outcome is not known yet.
    pub pending: u64,
}

impl RowCounts {
    /// The counts of a tally, `sent` rows of which went to the org.
    pub const fn new(tally: &Tally, sent: u64) -> Self {
        RowCounts {
            read: tally.read,
            rejected: tally.rejected,
            sent,
            succeeded: tally.succeeded(),
            created: tally.created,
            updated: tally.updated,
            deleted: tally.deleted,
            failed: tally.failed,
            unprocessed: tally.unprocessed,
            disputed: tally.disputed,
            pending: tally.pending(),
        }
    }

    /// The sum of the parts.
    pub const fn sum(&self) -> u64 {
        self.rejected
            + self.succeeded
            + self.failed
            + self.unprocessed
            + self.disputed
            + self.pending
    }

    /// Whether each row read has exactly one fate (I1), and each success is of
    /// one kind.
    pub const fn adds_up(&self) -> bool {
        self.read == self.sum() && self.succeeded == self.created + self.updated + self.deleted
    }
}

/// A load with what its retries made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginSummary {
    /// The run that began it.
    pub run_id: String,
    /// Its rows by outcome, those that were retried by their last one.
    pub rows: RowCounts,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSummary {
    /// 18-character job id.
    pub id: String,
    /// Its chunk.
    pub chunk: u64,
    /// Which attempt of the chunk it was, from 1.
    pub attempt: u32,
    /// The state it was last seen in, by the service's name.
    pub state: String,
    /// First source row of the chunk.
    pub first_row: u64,
    /// Rows sent in it.
    pub rows: u64,
    /// Bytes sent in it.
    pub bytes: u64,
    /// Rows the org says it worked, failed ones included.
    pub processed: u64,
    /// Rows the org says failed.
    pub failed: u64,
    /// Why it failed as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One result file of a run folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultFile {
    /// Name within the run folder (`failed.csv`).
    pub name: String,
    /// Data rows in it.
    pub rows: u64,
}

/// Why a command could not do its work, as `--json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorSummary {
    /// A stable word (docs/errors.md).
    pub code: String,
    /// What happened and where.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Whether the run can go on from its folder with nothing to repair.
    pub resumable: bool,
    /// Several problems found at once.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// The summary could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{} can't be written", path.display())]
pub struct SummaryError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl Summary {
    /// The JSON text of the summary, indented, with a line end.
    ///
    /// # Errors
    /// None in practice: every key is a string and every number finite or
    /// written as `null`.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }

    /// Writes summary.json into a run folder: private (0600), and whole or not
    /// at all, also when the power goes.
    ///
    /// # Errors
    /// [`SummaryError`] when the file system refuses.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, SummaryError> {
        write_summary(self, folder)
    }
}

/// Writes any summary into a run's folder.
pub(super) fn write_summary(
    summary: &impl Serialize,
    folder: &Path,
) -> Result<PathBuf, SummaryError> {
    let path = folder.join(SUMMARY_FILE);
    serde_json::to_string_pretty(summary)
        .map_err(io::Error::other)
        .and_then(|text| write_private(folder, &path, format!("{text}\n").as_bytes()))
        .map_err(|source| SummaryError { path: path.clone(), source })?;
    Ok(path)
}

/// Rows a second with one decimal; 0 for a run too short to measure.
pub fn rows_per_second(rows: u64, seconds: f64) -> f64 {
    if seconds <= 0.0 {
        return 0.0;
    }
    (rows as f64 / seconds * 10.0).round() / 10.0
}

fn write_private(folder: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("json.new");
    // One left by a crash may have been made with other rights.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&fresh, path)?;
    // The new name is durable only once the folder is.
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Times with milliseconds: enough to order steps, short enough to read.
pub(super) fn milliseconds<S: Serializer>(
    time: &Timestamp,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A finished upsert with failures; other tests change what they need.
    pub(in crate::report) fn example() -> Summary {
        let tally = Tally {
            read: 20_000,
            created: 12_000,
            updated: 7_608,
            failed: 392,
            ..Tally::default()
        };
        Summary {
            run_id: "20260301-101500-account".to_owned(),
            command: "load".to_owned(),
            parent_run: None,
            status: Status::Completed,
            exit_code: 3,
            org: OrgSummary {
                id: "00D000000000001EAA".to_owned(),
                name: "Local Org".to_owned(),
                url: "http://127.0.0.1:4711".to_owned(),
                user: "admin@local.test".to_owned(),
                production: false,
            },
            object: "Account".to_owned(),
            operation: Operation::Upsert,
            external_id: Some("Legacy_Id__c".to_owned()),
            api_version: "66.0".to_owned(),
            started_at: "2026-03-01T10:15:00.123456789Z".parse().unwrap(),
            finished_at: "2026-03-01T10:15:12.4Z".parse().unwrap(),
            seconds: 12.3,
            sources: vec![SourceSummary {
                path: PathBuf::from("accounts.csv"),
                bytes: 2_400_000,
                rows: 20_000,
            }],
            rows: RowCounts::new(&tally, 20_000),
            origin: None,
            failures_by_code: BTreeMap::from([
                ("REQUIRED_FIELD_MISSING".to_owned(), 312),
                ("DUPLICATE_VALUE".to_owned(), 80),
            ]),
            jobs: (1..=2)
                .map(|chunk| JobSummary {
                    id: format!("75000000000000{chunk}AAA"),
                    chunk,
                    attempt: 1,
                    state: "JobComplete".to_owned(),
                    first_row: (chunk - 1) * 10_000 + 1,
                    rows: 10_000,
                    bytes: 1_200_000,
                    processed: 10_000,
                    failed: 196,
                    error: None,
                })
                .collect(),
            api_calls: 37,
            bytes_uploaded: 2_400_000,
            bytes_downloaded: 3_100_000,
            peak_memory_bytes: Some(84_000_000),
            rows_per_second: rows_per_second(20_000, 12.3),
            folder: PathBuf::from("bulkhaul-runs/20260301-101500-account"),
            result_files: vec![
                ResultFile { name: "success.csv".to_owned(), rows: 19_608 },
                ResultFile { name: "failed.csv".to_owned(), rows: 392 },
            ],
            failure_groups: vec![
                FailureGroup {
                    code: "REQUIRED_FIELD_MISSING".to_owned(),
                    message: "Required fields are missing: […]".to_owned(),
                    count: 300,
                    example_row: 17,
                    example_source: None,
                },
                FailureGroup {
                    code: "DUPLICATE_VALUE".to_owned(),
                    message: "duplicate value found: … duplicates value on record with id: …"
                        .to_owned(),
                    count: 80,
                    example_row: 4711,
                    example_source: None,
                },
                FailureGroup {
                    code: "REQUIRED_FIELD_MISSING".to_owned(),
                    message: "Required field is missing: …".to_owned(),
                    count: 12,
                    example_row: 19_998,
                    example_source: None,
                },
            ],
            plan_notes: Vec::new(),
            notes: Vec::new(),
            error: None,
        }
    }

    #[test]
    fn the_names_of_the_contract_are_all_there() {
        let json = serde_json::to_value(example()).unwrap();
        for name in [
            "run_id",
            "command",
            "status",
            "exit_code",
            "org",
            "object",
            "operation",
            "api_version",
            "started_at",
            "finished_at",
            "seconds",
            "sources",
            "rows",
            "failures_by_code",
            "jobs",
            "api_calls",
            "bytes_uploaded",
            "bytes_downloaded",
            "peak_memory_bytes",
            "rows_per_second",
        ] {
            assert!(json.get(name).is_some(), "{name} is missing");
        }
        let names = |pointer: &str| -> Vec<String> {
            json.pointer(pointer).unwrap().as_object().unwrap().keys().cloned().collect()
        };
        let sorted = |names: &str| {
            let mut names: Vec<_> = names.split(", ").map(str::to_owned).collect();
            names.sort();
            names
        };
        assert_eq!(names("/org"), sorted("id, name, url, user, production"));
        assert_eq!(names("/sources/0"), sorted("path, bytes, rows"));
        assert_eq!(
            names("/rows"),
            sorted(
                "read, rejected, sent, succeeded, created, updated, deleted, failed, \
                 unprocessed, disputed, pending"
            )
        );
        assert_eq!(
            names("/jobs/0"),
            sorted("id, chunk, attempt, state, first_row, rows, bytes, processed, failed")
        );
        assert_eq!(json["status"], "completed");
        assert_eq!(json["operation"], "upsert");
        assert_eq!(json["started_at"], "2026-03-01T10:15:00.123Z");
    }

    #[test]
    fn it_is_written_privately_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("summary.json.new"), "left by a crash").unwrap();
        let summary = example();
        let path = summary.write(folder.path()).unwrap();
        // A second writing replaces the first.
        summary.write(folder.path()).unwrap();
        let back: Summary = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(back.rows, summary.rows);
        assert_eq!(back.failure_groups, summary.failure_groups);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_with_its_path() {
        let error = example().write(Path::new("/nonexistent/run")).unwrap_err();
        assert_eq!(error.to_string(), "/nonexistent/run/summary.json can't be written");
    }

    #[test]
    fn counts_that_do_not_add_up_are_seen() {
        let mut counts = example().rows;
        assert!(counts.adds_up());
        counts.failed += 1;
        assert!(!counts.adds_up());
    }
}
