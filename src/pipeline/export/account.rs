//! What an export is known by: its objects as far as they came.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::counts::CountVerdict;
use super::{ExportRequest, ExportRunError};
use crate::domain::{ObjectDescription, Verdict};
use crate::exporter::manifest::{Counted, LeftOut};
use crate::exporter::output::FileFacts;
use crate::ledger::{ExportFile, FILE_NAME, Ledger, LedgerError, StoredRun};
use crate::pipeline::StopReason;

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectEnd {
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
    /// What the org counted, if it was asked.
    pub counted: Option<Counted>,
    /// How that compares.
    pub count_verdict: Option<CountVerdict>,
    /// How its columns differ from those it had in the archive.
    pub evolved: Vec<String>,
    /// Its query jobs.
    pub jobs: Vec<String>,
}

/// How an export ended.
#[derive(Debug)]
pub struct ExportEnd {
    /// Status and exit code.
    pub verdict: Verdict,
    /// Why it wound down before its end.
    pub stopped: Option<StopReason>,
    /// What can't be gone on with, if that is why.
    pub error: Option<ExportRunError>,
    /// The objects, as far as they came.
    pub objects: Vec<ObjectEnd>,
    /// When the run began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
}

/// What is known of an object besides its query.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) description: ObjectDescription,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) counted_before: Option<u64>,
    #[serde(default)]
    pub(super) whole: bool,
    #[serde(default)]
    pub(super) filter: Option<String>,
    #[serde(default)]
    pub(super) since: Option<String>,
}

/// What is found at the end of an object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AtEnd {
    pub(super) counted: Option<Counted>,
    pub(super) count_verdict: Option<CountVerdict>,
    #[serde(default)]
    pub(super) evolved: Vec<String>,
    #[serde(default)]
    pub(super) hidden_fields: Option<Vec<String>>,
}

pub(super) fn facts_of(file: &ExportFile) -> Result<FileFacts, ExportRunError> {
    serde_json::from_value(file.facts.clone())
        .map_err(|source| ExportRunError::Settings { what: "file", source })
}

pub(super) fn rows_of(file: &ExportFile) -> u64 {
    file.facts.get("rows").and_then(Value::as_u64).unwrap_or(0)
}

/// The run of an export and its objects, by its ledger; also while a process
/// works on it.
///
/// # Errors
/// [`LedgerError`] when its ledger can't be read.
pub fn look_at_export(
    folder: &Path,
) -> Result<(StoredRun, Option<ExportRequest>, Vec<ObjectEnd>), LedgerError> {
    let ledger = Ledger::open_read_only(&folder.join(FILE_NAME))?;
    let stored = ledger.run()?;
    let request = stored.run.settings.get("request").cloned().unwrap_or_default();
    Ok((stored, serde_json::from_value(request).ok(), objects_of(&ledger)?))
}

/// The objects of a run as its ledger has them.
pub(super) fn objects_of(ledger: &Ledger) -> Result<Vec<ObjectEnd>, LedgerError> {
    let (parts, files) = (ledger.export_parts()?, ledger.export_files()?);
    let ends = ledger.export_objects()?.into_iter().map(|object| {
        let mine = || files.iter().filter(|file| file.object == object.number);
        let bytes = |file: &ExportFile| file.facts.get("bytes").and_then(Value::as_u64);
        let end: Option<AtEnd> =
            object.end.as_ref().and_then(|end| serde_json::from_value(end.clone()).ok());
        ObjectEnd {
            done: object.end.is_some(),
            rows: mine().map(rows_of).sum(),
            files: mine().count() as u64,
            bytes: mine().filter_map(bytes).sum(),
            unfit_values: mine().map(|file| file.unfit).sum(),
            counted: end.as_ref().and_then(|end| end.counted),
            count_verdict: end.as_ref().and_then(|end| end.count_verdict),
            evolved: end.as_ref().map(|end| end.evolved.clone()).unwrap_or_default(),
            jobs: parts
                .iter()
                .filter(|part| part.object == object.number)
                .filter_map(|part| part.job_id.clone())
                .collect(),
            object: object.object,
        }
    });
    Ok(ends.collect())
}
