//! What summary.json holds of an export, and how a person is told.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::format::{bytes, count, printable, thousands};
use super::summary::{ErrorSummary, OrgSummary, SummaryError, milliseconds, write_summary};
use crate::domain::Status;

/// An export, told at its end. Carries no secret, and no value of a record
/// (I8). Fields are added, never renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportSummary {
    /// Run id; also the name of the run folder.
    pub run_id: String,
    /// `export`.
    pub command: String,
    /// How the run ended.
    pub status: Status,
    /// What the process ends with.
    pub exit_code: u8,
    /// The org it came from.
    pub org: OrgSummary,
    /// API version spoken.
    pub api_version: String,
    /// When the run began.
    #[serde(serialize_with = "milliseconds")]
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(serialize_with = "milliseconds")]
    pub finished_at: Timestamp,
    /// Seconds of this process by a clock that never jumps.
    pub seconds: f64,
    /// Folder of the archive.
    pub archive: PathBuf,
    /// The objects, in order.
    pub objects: Vec<ExportedObject>,
    /// Records in whole files.
    pub rows_exported: u64,
    /// Values that had no place in their column.
    pub unfit_values: u64,
    /// API calls of this process.
    pub api_calls: u64,
    /// Bytes fetched by this process, as they came over the wire.
    pub bytes_downloaded: u64,
    /// Peak memory of this process.
    pub peak_memory_bytes: Option<u64>,
    /// Records a second of this process.
    pub rows_per_second: f64,
    /// The run's folder.
    pub folder: PathBuf,
    /// Why it ended early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorSummary>,
}

/// An object of an export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportedObject {
    /// API name.
    pub object: String,
    /// Whether it is done.
    pub done: bool,
    /// Records in whole files.
    pub rows: u64,
    /// Whole files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Values that had no place in their column.
    pub unfit_values: u64,
    /// What the org counted before and after, if it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<(u64, u64)>,
    /// `equal`, `explained` or `different`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count_verdict: Option<String>,
    /// How its columns differ from those it had in the archive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evolved: Vec<String>,
    /// Its query jobs.
    pub jobs: Vec<String>,
}

impl ExportSummary {
    /// Writes it into the run's folder.
    ///
    /// # Errors
    /// [`SummaryError`] when the file system refuses.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, SummaryError> {
        write_summary(self, folder)
    }

    /// The story for people.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let what = match self.status {
            Status::Completed => "Exported",
            Status::Interrupted => "Interrupted: exported so far",
            Status::Failed => "Failed: exported so far",
            Status::Stopped => "Stopped: exported so far",
        };
        let _ = writeln!(
            text,
            "{what} {} from {} ({})",
            count(self.rows_exported, "record"),
            printable(&self.org.name),
            self.org.id
        );
        let _ = writeln!(text);
        let width = self.objects.iter().map(|object| object.object.len()).max().unwrap_or(0);
        for object in &self.objects {
            let open = if object.done { "" } else { "  not done yet" };
            let _ = writeln!(
                text,
                "  {:<width$} {:>13} records  {:>9} in {}{open}",
                printable(&object.object),
                thousands(object.rows),
                bytes(object.bytes),
                count(object.files, "file"),
            );
            if let (Some((before, after)), Some(verdict)) =
                (object.counted, object.count_verdict.as_deref())
            {
                let word = match verdict {
                    "equal" => "the same",
                    "explained" => "explained by records that changed meanwhile",
                    _ => "DIFFERENT, and nothing explains it",
                };
                let _ = writeln!(
                    text,
                    "  {:<width$}   counted by the org: {} before, {} after: {word}",
                    "",
                    thousands(before),
                    thousands(after),
                );
            }
            for what in &object.evolved {
                let _ = writeln!(text, "  {:<width$}   {}", "", printable(what));
            }
            if object.unfit_values > 0 {
                let _ = writeln!(
                    text,
                    "  {:<width$}   {} had no place in their column: null in the file, listed in \
                     unfit.csv of the run's folder",
                    "",
                    count(object.unfit_values, "value"),
                );
            }
        }
        let _ = writeln!(text);
        let _ = writeln!(text, "Archive in {}", self.archive.display());
        let _ = writeln!(text, "Run folder {}", self.folder.display());
        let _ = writeln!(
            text,
            "{:.1} s, {} records/s, {}, {} fetched{}",
            self.seconds,
            thousands(self.rows_per_second as u64),
            count(self.api_calls, "API call"),
            bytes(self.bytes_downloaded),
            self.peak_memory_bytes
                .map(|memory| format!(", {} of memory", bytes(memory)))
                .unwrap_or_default(),
        );
        text
    }
}
