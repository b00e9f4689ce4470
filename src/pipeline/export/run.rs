//! An export at work: object by object, part by part.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::account::{About, AtEnd, objects_of, rows_of};
use super::counts::{self, CountVerdict};
use super::part::refused_by_bulk;
use super::prepare::{ExportRequest, PreparedExport, clear_place};
use super::since::{changed_field, evolution, last_of};
use super::visibility::hidden_fields;
use super::{ExportEnd, ExportRunError, PAGE_FOLDER};
use crate::domain::{Event, Reason, SharedSink, Tally, verdict};
use crate::exporter::column::Column;
use crate::exporter::lock::ArchiveLock;
use crate::exporter::manifest::{Counted, Manifest, ManifestColumn, write_json};
use crate::ledger::{
    ExportObject, ExportPart, Ledger, OrgRecord, PartState, RunEnd, RunRecord, RunStatus,
    SharedLedger,
};
use crate::pipeline::{RunFolder, Stop, StopReason};
use crate::rows::private_folder;
use crate::salesforce::Org;

/// Query jobs that the org may work on beside the one whose results are fetched:
/// of these it works on several at a time, and results stay for days.
const AHEAD: usize = 4;

/// Begins an export.
///
/// # Errors
/// [`ExportRunError`] when not even its ledger can be written; a refusal of
/// the first query comes as [`ExportRunError::Call`], with nothing left behind.
pub async fn export(
    prepared: PreparedExport,
    folder: RunFolder,
    command: Value,
    events: SharedSink,
    stop: Stop,
) -> Result<ExportEnd, ExportRunError> {
    let PreparedExport { request, org, objects: prepared, not_exported, user_sees, notes } =
        prepared;
    let identity = org.identity();
    let started = Timestamp::now();
    let run = RunRecord {
        id: folder.id.clone(),
        command: "export".to_owned(),
        settings: json!({
            "request": serde_json::to_value(&request).unwrap_or_default(),
            "command": command,
            "not_exported": not_exported,
            "user_sees": user_sees,
            "notes": notes,
        }),
        org: OrgRecord {
            id: identity.org_id.clone(),
            name: identity.name.clone(),
            url: identity.url.clone(),
            user: identity.user_id.clone(),
            username: identity.username.clone(),
            production: identity.production,
        },
        api_version: org.api_version().to_string(),
        object: match prepared.as_slice() {
            [one] => one.object.clone(),
            many => format!("{} objects", many.len()),
        },
        operation: None,
        external_id: None,
        started_at: started,
        parent_run: None,
    };
    let (mut objects, mut parts) = (Vec::new(), Vec::new());
    for (index, object) in prepared.into_iter().enumerate() {
        let number = index as u32 + 1;
        let counted_before = if request.count {
            match counts::count(&org, &object.soql, object.all_records).await {
                Ok(counted) => counted,
                Err(error) => {
                    // Nothing was begun, so nothing stays.
                    folder.discard();
                    return Err(ExportRunError::Call(error));
                }
            }
        } else {
            None
        };
        let about = About {
            description: object.description,
            left_out: object.left_out,
            counted_before,
            whole: object.whole,
            filter: object.filter,
            since: object.since,
        };
        parts.extend(object.parts.into_iter().zip(1..).map(|(soql, part)| ExportPart {
            object: number,
            part,
            soql,
            job_id: None,
            state: PartState::Planned,
            records: None,
            created: None,
        }));
        objects.push(ExportObject {
            number,
            object: object.object,
            folder: object.folder,
            soql: object.soql,
            all_records: object.all_records,
            about: serde_json::to_value(about).unwrap_or_default(),
            columns: None,
            end: None,
        });
    }
    let ledger = folder.begin(&run)?;
    ledger.record_export(&objects, &parts)?;
    let work = Work { request, org, folder, ledger: SharedLedger::new(ledger), events, stop, run };
    work.events.announce(Event::RunStarted {
        run_id: work.run.id.clone(),
        folder: work.folder.path().to_string_lossy().into_owned(),
        source_bytes: None,
        rows: None,
        lanes: work.request.lanes,
    });
    // The first query is where a wrong one shows; then there is no export.
    if let Some(first) = parts.first_mut() {
        match work.create(first).await {
            Ok(()) => {}
            Err(ExportRunError::Call(error)) if refused_by_bulk(&error) => {}
            Err(ExportRunError::Call(error)) if error.certainly_did_not_happen() => {
                let Work { folder, ledger, .. } = work;
                drop(ledger);
                folder.discard();
                return Err(ExportRunError::Call(error));
            }
            Err(error) => return work.end(Some(error)).await,
        }
    }
    if work.request.overwrite {
        let path = work.request.out.clone();
        clear_place(&path).map_err(|source| ExportRunError::Io { path, source })?;
    }
    let trouble = work.all().await.err();
    work.end(trouble).await
}

/// An export at work.
pub(super) struct Work {
    pub(super) request: ExportRequest,
    pub(super) org: Org,
    pub(super) folder: RunFolder,
    pub(super) ledger: SharedLedger,
    pub(super) events: SharedSink,
    pub(super) stop: Stop,
    pub(super) run: RunRecord,
}

impl Work {
    pub(super) async fn all(&self) -> Result<(), ExportRunError> {
        self.make_folder(&self.request.out)?;
        self.make_folder(&self.page_folder())?;
        let _lock = ArchiveLock::take(&self.request.out)?;
        let objects = self.ledger.run(Ledger::export_objects).await?;
        for object in objects.iter().filter(|object| object.end.is_none()) {
            if self.stop.is_asked() {
                return Err(ExportRunError::Stopped);
            }
            self.object(object).await?;
        }
        self.write_manifest().await
    }

    fn make_folder(&self, path: &Path) -> Result<(), ExportRunError> {
        private_folder(path).map_err(|source| ExportRunError::Io { path: path.to_owned(), source })
    }

    pub(super) fn page_folder(&self) -> PathBuf {
        self.folder.path().join(PAGE_FOLDER)
    }

    async fn object(&self, object: &ExportObject) -> Result<(), ExportRunError> {
        self.make_folder(&self.request.out.join(&object.folder))?;
        let about: About = serde_json::from_value(object.about.clone())
            .map_err(|source| ExportRunError::Settings { what: "object", source })?;
        let number = object.number;
        let parts = self.ledger.run(Ledger::export_parts).await?;
        for part in parts.into_iter().filter(|part| part.object == number) {
            self.create_ahead(&part).await?;
            self.part(object, &about, part).await?;
        }
        let files = self.ledger.run(Ledger::export_files).await?;
        let rows: u64 = files.iter().filter(|file| file.object == number).map(rows_of).sum();
        let (counted, count_verdict) = match about.counted_before {
            Some(before) if self.request.count => {
                let after = counts::count(&self.org, &object.soql, object.all_records).await?;
                let counted = Counted { before, after: after.unwrap_or(before) };
                let since = self.run.started_at;
                let changed_by = changed_field(&about.description);
                let verdict =
                    counts::compare(&self.org, &object.soql, counted, rows, changed_by, since)
                        .await?;
                (Some(counted), Some(verdict))
            }
            _ => (None, None),
        };
        let path = self.request.out.join(self.description_path(&object.folder));
        write_json(&path, &serde_json::to_value(&about.description).unwrap_or_default())?;
        let evolved = self.evolution(number, &about).await?;
        let hidden_fields = hidden_fields(&self.org, &about.description).await;
        let end = AtEnd { counted, count_verdict, evolved, hidden_fields };
        let end = serde_json::to_value(end).unwrap_or_default();
        self.ledger.run(move |ledger| ledger.export_object_done(number, &end)).await?;
        Ok(())
    }

    /// Creates the query jobs of the parts that come next, so that the org works
    /// on them while the results of this one are fetched.
    async fn create_ahead(&self, current: &ExportPart) -> Result<(), ExportRunError> {
        let parts = self.ledger.run(Ledger::export_parts).await?;
        let at = |part: &ExportPart| (part.object, part.part);
        let from = parts.iter().position(|part| at(part) == at(current)).unwrap_or(0);
        for mut part in parts.into_iter().skip(from + 1).take(AHEAD) {
            if part.state != PartState::Planned || self.stop.is_asked() {
                continue;
            }
            match self.create(&mut part).await {
                Ok(()) => {}
                // It is told when its turn comes.
                Err(ExportRunError::Call(_)) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The file of an object's description, relative to the archive.
    pub(super) fn description_path(&self, folder: &str) -> String {
        if self.request.append {
            format!("{folder}/describe-{}.json", self.run.id)
        } else {
            format!("{folder}/describe.json")
        }
    }

    /// How an object's columns differ from those it had in the archive.
    async fn evolution(&self, number: u32, about: &About) -> Result<Vec<String>, ExportRunError> {
        if !self.request.append || !about.whole {
            return Ok(Vec::new());
        }
        let Ok(manifest) = Manifest::read(&self.request.out) else { return Ok(Vec::new()) };
        let object = about.description.name.as_str();
        let Some(last) = last_of(&manifest, object) else { return Ok(Vec::new()) };
        let objects = self.ledger.run(Ledger::export_objects).await?;
        let columns = objects.into_iter().find(|known| known.number == number);
        let Some(columns) = columns.and_then(|known| known.columns) else {
            return Ok(Vec::new());
        };
        let columns: Vec<Column> = serde_json::from_value(columns)
            .map_err(|source| ExportRunError::Settings { what: "columns", source })?;
        let columns: Vec<ManifestColumn> = columns.iter().map(Into::into).collect();
        let told = evolution(&last.columns, &columns);
        for what in &told {
            self.events.announce(Event::Note { text: format!("{object}: {what}") });
        }
        Ok(told)
    }

    /// The end of the run, whatever it is.
    pub(super) async fn end(
        self,
        trouble: Option<ExportRunError>,
    ) -> Result<ExportEnd, ExportRunError> {
        let error = match trouble {
            None | Some(ExportRunError::Stopped) => None,
            Some(ExportRunError::Call(error)) if error.is_unreachable() => {
                self.stop.ask(StopReason::Unreachable(error.brief()));
                Some(ExportRunError::Call(error))
            }
            Some(ExportRunError::Call(error)) if error.is_allowance() => {
                self.stop.ask(StopReason::Allowance(error.brief()));
                Some(ExportRunError::Call(error))
            }
            Some(error) => {
                self.stop.ask(StopReason::repair(crate::domain::error_chain(&error)));
                Some(error)
            }
        };
        let objects = self.ledger.run(objects_of).await?;
        let stopped = self
            .stop
            .reason()
            .filter(|_| error.is_some() || objects.iter().any(|object| !object.done));
        let reason = stopped.as_ref().map_or(Reason::Finished, StopReason::reason);
        let rows: u64 = objects.iter().map(|object| object.rows).sum();
        let amiss = objects.iter().any(|object| {
            object.unfit_values > 0 || object.count_verdict == Some(CountVerdict::Different)
        });
        let tally = Tally {
            read: rows + u64::from(amiss),
            created: rows,
            failed: u64::from(amiss),
            ..Tally::default()
        };
        let verdict = verdict([reason], &tally, 0);
        let finished = Timestamp::now();
        let end = RunEnd {
            status: RunStatus::from_word(verdict.status.as_str()).unwrap_or(RunStatus::Failed),
            exit_code: verdict.exit_code,
            at: finished,
        };
        self.ledger.run(move |ledger| ledger.finish_run(&end)).await?;
        self.folder.tidy();
        let started = self.run.started_at;
        Ok(ExportEnd { verdict, stopped, error, objects, started, finished })
    }
}

/// Runs what waits for the disk or computes for long off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ExportRunError> + Send + 'static,
) -> Result<T, ExportRunError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) => Err(ExportRunError::Stage(stopped.to_string())),
    }
}
