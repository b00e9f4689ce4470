//! The end of a load: summary.json, the table, and the exit code.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::context::peak_memory_bytes;
use super::super::org::{Phase, call_error};
use super::super::progress::Progress;
use super::super::{CliError, Context, Exit, source_files};
use crate::domain::{Event, FailureGroups, Operation, REJECTED, Tally};
use crate::pipeline::{LoadEnd, LoadRequest, Origin, Prepared, Resumable, RunFolder, StopReason};
use crate::report::{
    ErrorSummary, JobSummary, OrgSummary, OriginSummary, ResultFile, RowCounts, SourceSummary,
    Summary, rows_per_second,
};
use crate::salesforce::Org;

/// What the summary says of a run whatever its end.
pub(in crate::cli) struct Facts {
    pub(in crate::cli) folder: PathBuf,
    command: String,
    parent_run: Option<String>,
    run_id: String,
    org: OrgSummary,
    object: String,
    operation: Operation,
    external_id: Option<String>,
    api_version: String,
    source: PathBuf,
    source_bytes: u64,
    skip: u64,
    plan_notes: Vec<String>,
    clock: std::time::Instant,
}

impl Facts {
    pub(in crate::cli) fn of(prepared: &Prepared, folder: &RunFolder) -> Self {
        let identity = prepared.org.identity();
        Facts {
            folder: folder.path().to_owned(),
            command: if prepared.parent_run().is_some() { "retry" } else { "load" }.to_owned(),
            parent_run: prepared.parent_run().map(str::to_owned),
            run_id: folder.id.clone(),
            org: OrgSummary {
                id: identity.org_id.clone(),
                name: identity.name.clone(),
                url: identity.url.clone(),
                user: identity.username.clone(),
                production: identity.production,
            },
            object: prepared.object.name.clone(),
            operation: prepared.request.operation,
            external_id: prepared.plan.external_id.clone(),
            api_version: prepared.org.api_version().to_string(),
            source: first_source(&prepared.request),
            source_bytes: prepared.source.identity().bytes,
            skip: prepared.request.skip,
            plan_notes: prepared.notes.clone(),
            clock: std::time::Instant::now(),
        }
    }
}

impl Facts {
    /// Those of a run that is taken up again. The command is the one it began
    /// with.
    pub(in crate::cli) fn taken_up(resumable: &Resumable) -> Self {
        let run = &resumable.stored().run;
        Facts {
            folder: resumable.folder().path().to_owned(),
            command: run.command.clone(),
            parent_run: run.parent_run.clone(),
            run_id: run.id.clone(),
            org: OrgSummary {
                id: run.org.id.clone(),
                name: run.org.name.clone(),
                url: run.org.url.clone(),
                user: run.org.username.clone(),
                production: run.org.production,
            },
            object: run.object.clone(),
            operation: resumable.request.operation,
            external_id: run.external_id.clone(),
            api_version: run.api_version.clone(),
            source: first_source(&resumable.request),
            source_bytes: resumable.source.identity().bytes,
            skip: resumable.request.skip,
            plan_notes: resumable.plan.notes.clone(),
            clock: std::time::Instant::now(),
        }
    }
}

fn first_source(request: &LoadRequest) -> PathBuf {
    request.sources.first().cloned().unwrap_or_default()
}

/// Builds the summary of an ended run.
pub(in crate::cli) fn build(facts: &Facts, end: LoadEnd, org: &Org) -> Ended {
    let tally = end.tally;
    let seconds = facts.clock.elapsed().as_secs_f64();
    let usage = org.usage();
    let error = end.stopped.as_ref().map(told);
    let summary = Summary {
        run_id: facts.run_id.clone(),
        command: facts.command.clone(),
        parent_run: facts.parent_run.clone(),
        status: end.verdict.status,
        exit_code: end.verdict.exit_code,
        org: facts.org.clone(),
        object: facts.object.clone(),
        operation: facts.operation,
        external_id: facts.external_id.clone(),
        api_version: facts.api_version.clone(),
        started_at: end.started,
        finished_at: end.finished,
        seconds,
        sources: if end.files.is_empty() || facts.parent_run.is_some() {
            let (path, bytes) = (facts.source.clone(), facts.source_bytes);
            vec![SourceSummary { path, bytes, rows: end.tally.read }]
        } else {
            source_files::summaries(&end.files, facts.skip, end.tally.read)
        },
        rows: RowCounts::new(&end.tally, end.sent),
        origin: end.origin.map(origin),
        failures_by_code: failures_by_code(&end.failures),
        jobs: end.jobs.into_iter().map(JobSummary::from).collect(),
        api_calls: usage.calls,
        bytes_uploaded: usage.bytes_up,
        bytes_downloaded: usage.bytes_down,
        peak_memory_bytes: peak_memory_bytes(),
        rows_per_second: rows_per_second(end.tally.settled(), seconds),
        folder: facts.folder.clone(),
        result_files: end
            .result_files
            .into_iter()
            .map(|file| ResultFile { name: file.kind.file_name().to_owned(), rows: file.rows })
            .collect(),
        failure_groups: {
            let mut groups = end.failures.groups();
            source_files::place_examples(&mut groups, &end.files);
            groups
        },
        plan_notes: facts.plan_notes.clone(),
        notes: end.notes,
        error,
    };
    Ended { summary, tally }
}

/// The load that a retry belongs to.
pub(in crate::cli) fn origin(origin: Origin) -> OriginSummary {
    let rows = RowCounts::new(&origin.tally, origin.sent);
    OriginSummary { run_id: origin.run_id, rows }
}

/// Rows the org refused, by its code; rows it never saw are in the groups
/// only.
fn failures_by_code(failures: &FailureGroups) -> BTreeMap<String, u64> {
    let mut codes = failures.by_code();
    codes.remove(REJECTED);
    codes
}

/// Why a run ended early, as docs/errors.md lists it.
fn told(reason: &StopReason) -> ErrorSummary {
    let (code, hint) = match reason {
        StopReason::Signal => ("interrupted", JOBS_GO_ON),
        StopReason::MaxWait => ("max-wait", JOBS_GO_ON),
        StopReason::Unreachable(_) => (
            "unreachable",
            "Check the network and the org's status page; jobs that were closed go on.",
        ),
        StopReason::Allowance(_) => {
            ("allowance", "Wait until the 24 hours have moved on; `bulkhaul limits` tells.")
        }
        StopReason::UserLimit(_) => (
            "limit",
            "Look at failed.csv. `bulkhaul resume` goes on with the rows that were not sent; name \
             a wider limit with it if the failures are as expected.",
        ),
        StopReason::EndedByOthers(_) => (
            "ended-by-others",
            "Ask who aborted it, and why. `bulkhaul resume` sends the rows it had not reached.",
        ),
        StopReason::Repair { call: Some(call), .. } => {
            return call_error(call, Phase::Running).summary();
        }
        StopReason::Repair { call: None, .. } => ("run", super::super::error::MEND_AND_RESUME),
    };
    ErrorSummary {
        code: code.to_owned(),
        message: reason.describe(),
        hint: Some(hint.to_owned()),
        resumable: !matches!(reason, StopReason::Repair { .. }),
        problems: Vec::new(),
    }
}

const JOBS_GO_ON: &str = "Jobs that were closed go on in the org (in the embedded one at its next start); the ledger \
     in the run folder knows them.";

/// A run that ended, ready to be told.
pub(in crate::cli) struct Ended {
    summary: Summary,
    tally: Tally,
}

impl Ended {
    /// The last event of the run.
    fn event(&self) -> Event {
        Event::RunEnded {
            status: self.summary.status.as_str().to_owned(),
            exit_code: self.summary.exit_code,
            tally: self.tally,
        }
    }

    /// Writes the summary, ends the progress, and shows what became of the run;
    /// a summary that can't be written is told after it was shown.
    pub(in crate::cli) fn close(
        &self,
        progress: Progress,
        context: &Context,
    ) -> Result<Exit, CliError> {
        let written = self.write();
        progress.sink().announce(self.event());
        progress.finish();
        let exit = self.show(context)?;
        written?;
        Ok(exit)
    }

    /// Writes `summary.json`.
    fn write(&self) -> Result<(), CliError> {
        let written = self.summary.write(&self.summary.folder);
        written.map(drop).map_err(|error| {
            CliError::repair("summary", "the summary can't be kept").caused_by(&error).hint(
                "The result files beside it are complete; free space on the disk, or mend its \
                     rights. `bulkhaul report` makes the summary again from the ledger.",
            )
        })
    }

    /// Shows the summary and gives the exit code.
    fn show(&self, context: &Context) -> Result<Exit, CliError> {
        context.show_summary(&self.summary)?;
        Ok(Exit::from_code(self.summary.exit_code))
    }
}
