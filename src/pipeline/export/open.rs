//! An export that is gone on with, or closed.

use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

use super::account::objects_of;
use super::run::Work;
use super::transfer::remove_files_but;
use super::{ExportEnd, ExportRequest, ExportRunError, ObjectEnd};
use crate::domain::{Event, SharedSink};
use crate::ledger::{Ledger, LedgerError, RunEnd, RunStatus, SharedLedger, StoredRun};
use crate::pipeline::{RunFolder, Stop};
use crate::salesforce::Org;

/// A run that may be gone on with.
pub struct OpenExport {
    folder: RunFolder,
    ledger: Ledger,
    stored: StoredRun,
    request: ExportRequest,
}

impl OpenExport {
    /// Opens the run of an export.
    ///
    /// # Errors
    /// [`ExportRunError`] when its folder or its ledger can't be used.
    pub fn open(path: &Path) -> Result<Self, ExportRunError> {
        let folder =
            RunFolder::open(path).map_err(|(path, source)| ExportRunError::Io { path, source })?;
        let ledger = Ledger::open(&folder.ledger())?;
        let stored = ledger.run()?;
        let request = stored.run.settings.get("request").cloned().unwrap_or_default();
        let request = serde_json::from_value(request)
            .map_err(|source| ExportRunError::Settings { what: "settings", source })?;
        Ok(OpenExport { folder, ledger, stored, request })
    }

    /// What the ledger says of the run.
    pub fn stored(&self) -> &StoredRun {
        &self.stored
    }

    /// Its settings.
    pub fn request(&self) -> &ExportRequest {
        &self.request
    }

    /// Its folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// What the cli kept at the start.
    pub fn command(&self) -> Value {
        self.stored.run.settings.get("command").cloned().unwrap_or_default()
    }

    /// The objects as far as they came.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn objects(&self) -> Result<Vec<ObjectEnd>, LedgerError> {
        objects_of(&self.ledger)
    }

    /// Closes the run for good: its query jobs are deleted.
    ///
    /// # Errors
    /// [`ExportRunError`].
    pub async fn abort(self, org: &Org) -> Result<(), ExportRunError> {
        for part in self.ledger.export_parts()? {
            let Some(job) = part.job_id else { continue };
            // What has ended can't be aborted, and what is gone not deleted.
            let _ = org.abort_query_job(&job).await;
            let _ = org.delete_query_job(&job).await;
        }
        if self.request.append {
            // What it added to an archive that is whole without it.
            for object in self.ledger.export_objects()? {
                let stem = format!("{}-", self.stored.run.id);
                remove_files_but(&self.request.out, &object.folder, &stem, &[])
                    .map_err(|(path, source)| ExportRunError::Io { path, source })?;
            }
        }
        self.ledger.abort_run(Timestamp::now())?;
        let end = RunEnd { status: RunStatus::Completed, exit_code: 3, at: Timestamp::now() };
        self.ledger.finish_run(&end)?;
        Ok(())
    }
}

/// Goes on with an export.
///
/// # Errors
/// [`ExportRunError`] when not even its ledger can be written.
pub async fn resume_export(
    open: OpenExport,
    org: Org,
    events: SharedSink,
    stop: Stop,
) -> Result<ExportEnd, ExportRunError> {
    let OpenExport { folder, ledger, stored, request } = open;
    ledger.reopen_run()?;
    let work = Work {
        request,
        org,
        folder,
        ledger: SharedLedger::new(ledger),
        events,
        stop,
        run: stored.run,
    };
    work.events.announce(Event::RunStarted {
        run_id: work.run.id.clone(),
        folder: work.folder.path().to_string_lossy().into_owned(),
        source_bytes: None,
        rows: None,
        lanes: work.request.lanes,
    });
    let trouble = work.all().await.err();
    work.end(trouble).await
}
