//! The end of an export: summary.json, the story, and the exit code.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::super::context::peak_memory_bytes;
use super::super::error::MEND_AND_RESUME;
use super::super::org::{Phase, call_error};
use super::super::progress::Progress;
use super::super::{CliError, Context, Exit, run_name};
use super::bulk_hint;
use crate::domain::{Event, Status, Tally};
use crate::ledger::RunStatus;
use crate::pipeline::{self, ExportEnd, ExportRunError, ObjectEnd, StopReason};
use crate::report::{
    ErrorSummary, ExportSummary, ExportedObject, OrgSummary, SUMMARY_FILE, rows_per_second,
};
use crate::salesforce::Org;

/// What the summary says whatever the end.
pub(super) struct Facts {
    pub(super) clock: Instant,
    pub(super) run_id: String,
    pub(super) folder: PathBuf,
    pub(super) archive: PathBuf,
    pub(super) api_version: String,
    pub(super) org: OrgSummary,
    /// Records that an earlier process exported.
    pub(super) rows_before: u64,
}

impl Facts {
    pub(super) fn told(self, end: ExportEnd, org: &Org) -> Ended {
        let error = told_error(&end);
        let usage = org.usage();
        let seconds = self.clock.elapsed().as_secs_f64();
        let rows: u64 = end.objects.iter().map(|object| object.rows).sum();
        let objects: Vec<ExportedObject> = end.objects.into_iter().map(told_object).collect();
        Ended(ExportSummary {
            run_id: self.run_id,
            command: "export".to_owned(),
            status: end.verdict.status,
            exit_code: end.verdict.exit_code,
            org: self.org,
            api_version: self.api_version,
            started_at: end.started,
            finished_at: end.finished,
            seconds,
            archive: self.archive,
            rows_exported: rows,
            unfit_values: objects.iter().map(|object| object.unfit_values).sum(),
            objects,
            api_calls: usage.calls,
            bytes_downloaded: usage.bytes_down,
            peak_memory_bytes: peak_memory_bytes(),
            rows_per_second: rows_per_second(rows.saturating_sub(self.rows_before), seconds),
            folder: self.folder,
            error,
        })
    }
}

/// Why an export ended early, as docs/errors.md lists it.
fn told_error(end: &ExportEnd) -> Option<ErrorSummary> {
    let reason = end.stopped.as_ref()?;
    let summary = |code: &str, hint: &str| ErrorSummary {
        code: code.to_owned(),
        message: reason.describe(),
        hint: Some(hint.to_owned()),
        resumable: true,
        problems: Vec::new(),
    };
    Some(match (&end.error, reason) {
        (Some(ExportRunError::Call(error)), _) => {
            bulk_hint(error, call_error(error, Phase::Running)).summary()
        }
        (Some(ExportRunError::JobEnded { .. }), _) => summary(
            "job-ended",
            "If somebody aborted it, begin a new export. If the org gave up, export less at a \
             time: fewer fields, or a part of the records with --where.",
        ),
        (Some(ExportRunError::Page { .. } | ExportRunError::Count { .. }), _) => summary(
            "incomplete",
            "`bulkhaul resume` fetches what is missing; if it stays so, begin a new export.",
        ),
        (Some(_), _) => summary("run", MEND_AND_RESUME),
        (None, StopReason::MaxWait) => {
            summary("max-wait", "`bulkhaul resume` goes on where it stopped.")
        }
        (None, _) => summary("interrupted", "`bulkhaul resume` goes on where it stopped."),
    })
}

/// An export that ended, ready to be told.
pub(super) struct Ended(ExportSummary);

impl Ended {
    pub(super) fn tell(
        mut self,
        context: &Context,
        progress: &Progress,
        verify: bool,
    ) -> Result<Exit, CliError> {
        let summary = &mut self.0;
        let complete = summary.error.is_none();
        let findings = if verify && complete {
            let verified = crate::exporter::verify::verify(&summary.archive).map_err(|error| {
                CliError::repair("archive", "the archive can't be read back").caused_by(&error)
            })?;
            verified.findings
        } else {
            Vec::new()
        };
        let written = summary.write(&summary.folder);
        progress.sink().announce(Event::RunEnded {
            status: summary.status.as_str().to_owned(),
            exit_code: summary.exit_code,
            tally: Tally {
                read: summary.rows_exported,
                created: summary.rows_exported,
                ..Tally::default()
            },
        });
        progress.finish();
        if context.global.json {
            context.print_json(summary)?;
        } else if !(context.global.quiet && summary.exit_code == 0) {
            context.print(&summary.render())?;
        }
        if let Some(error) = &summary.error
            && !context.global.json
        {
            context.report_on_stderr(&CliError {
                exit: Exit::from_code(summary.exit_code),
                code: "run",
                message: error.message.clone(),
                problems: error.problems.clone(),
                hint: error.hint.clone(),
                resumable: error.resumable,
            });
        }
        if !findings.is_empty() {
            return Err(super::super::verify::broken(&summary.archive, &findings));
        }
        written.map_err(|error| {
            CliError::repair("summary", "the summary can't be kept").caused_by(&error)
        })?;
        Ok(Exit::from_code(summary.exit_code))
    }
}

/// Shows the run of an export: as its summary has it, or, of one that did not
/// end, as its ledger does.
pub(in crate::cli) fn report(folder: &Path, context: &Context) -> Result<Exit, CliError> {
    let (stored, request, objects) =
        pipeline::look_at_export(folder).map_err(|error| run_name::ledger_error(&error, folder))?;
    let kept = std::fs::read(folder.join(SUMMARY_FILE))
        .ok()
        .and_then(|text| serde_json::from_slice::<ExportSummary>(&text).ok())
        .filter(|kept| {
            kept.run_id == stored.run.id
                && stored.end.is_some_and(|end| end.exit_code == kept.exit_code)
        });
    let summary = kept.unwrap_or_else(|| {
        let (status, exit_code, finished_at) = match stored.end {
            Some(end) => (status_of(end.status), end.exit_code, end.at),
            None => (Status::Interrupted, Exit::Interrupted as u8, stored.run.started_at),
        };
        let rows = objects.iter().map(|object| object.rows).sum();
        ExportSummary {
            run_id: stored.run.id.clone(),
            command: "export".to_owned(),
            status,
            exit_code,
            org: OrgSummary {
                id: stored.run.org.id.clone(),
                name: stored.run.org.name.clone(),
                url: stored.run.org.url.clone(),
                user: stored.run.org.username.clone(),
                production: stored.run.org.production,
            },
            api_version: stored.run.api_version.clone(),
            started_at: stored.run.started_at,
            finished_at,
            seconds: (finished_at - stored.run.started_at).as_secs_f64(),
            archive: request.map(|request| request.out).unwrap_or_default(),
            rows_exported: rows,
            unfit_values: objects.iter().map(|object| object.unfit_values).sum(),
            objects: objects.into_iter().map(told_object).collect(),
            api_calls: 0,
            bytes_downloaded: 0,
            peak_memory_bytes: None,
            rows_per_second: 0.0,
            folder: folder.to_owned(),
            error: None,
        }
    });
    if context.global.json {
        context.print_json(&summary)?;
    } else {
        context.print(&summary.render())?;
    }
    Ok(Exit::Success)
}

const fn status_of(status: RunStatus) -> Status {
    match status {
        RunStatus::Completed => Status::Completed,
        RunStatus::Interrupted => Status::Interrupted,
        RunStatus::Failed => Status::Failed,
        RunStatus::Stopped => Status::Stopped,
    }
}

fn told_object(object: ObjectEnd) -> ExportedObject {
    ExportedObject {
        object: object.object,
        done: object.done,
        rows: object.rows,
        files: object.files,
        bytes: object.bytes,
        unfit_values: object.unfit_values,
        counted: object.counted.map(|counted| (counted.before, counted.after)),
        count_verdict: object.count_verdict.map(|verdict| verdict.as_str().to_owned()),
        evolved: object.evolved,
        jobs: object.jobs,
    }
}
