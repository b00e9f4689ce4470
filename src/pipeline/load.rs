//! Begins a load, and runs it (or one that was taken up again) to its end.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::books::Books;
use super::derived::{Derivation, Derived};
use super::grouping::absolute;
use super::original::{Names, file_parts, known_records, records};
use super::planner::{PlanTotals, plan_chunks};
use super::preflight::alone;
use super::results::write_results;
use super::resume::Backlog;
use super::run::{Run, SOURCE, Setup};
use super::work::work_off;
use super::{
    LoadEnd, LoadError, LoadRequest, PreflightError, Prepared, RunFolder, Stop, StopReason,
};
use crate::chunker::Rehearsal;
use crate::domain::{Event, Reason, SharedSink, Status, verdict};
use crate::grouper::GROUPED_CSV;
use crate::ledger::{
    FileRecord, Ledger, LedgerError, OrgRecord, RunEnd, RunRecord, RunStatus, SharedLedger,
    SourceRecord,
};
use crate::reader::Source;
use crate::reconciler::WrittenFile;
use crate::rows::SourceRows as _;

/// Planned chunks that may wait for a lane. Two, so that a lane that gets free
/// finds one ready while the next is being cut; each may hold a spool of up to
/// `--chunk-bytes` on disk.
const PLANNED_AHEAD: usize = 2;

/// Runs a prepared load in its folder until every row has its fate, or until
/// it is asked to stop. `command` is what the cli wants to know at a resume.
///
/// # Errors
/// [`LoadError`] when the run's own files fail; anything the org or the
/// network does ends in a [`LoadEnd`].
pub async fn load(
    prepared: Prepared,
    folder: RunFolder,
    command: serde_json::Value,
    events: SharedSink,
    stop: Stop,
) -> Result<LoadEnd, LoadError> {
    let started = jiff::Timestamp::now();
    let made = tokio::task::spawn_blocking(move || {
        let made = begin(prepared, &folder, command, started);
        (made, folder)
    });
    let (made, folder) =
        made.await.map_err(|error| LoadError::Stage(format!("ledger: {error}")))?;
    let (setup, ledger, survey) = match made {
        Ok(made) => made,
        Err(error) => {
            // Nothing was sent, so nothing is left behind.
            folder.discard();
            return Err(LoadError::Refused(error));
        }
    };
    events.announce(Event::RunStarted {
        run_id: folder.id.clone(),
        folder: folder.path().display().to_string(),
        source_bytes: Some(setup.source.identity().bytes),
        rows: survey.as_ref().map(|survey| survey.sent),
        lanes: setup.request.lanes.max(1),
    });
    let run = Run::new(setup, folder, ledger, events, stop, Books::default());
    // Rows in another order are cut from another file.
    let is_same = run.setup.derived.is_none() && run.setup.groups.is_none();
    let ready = survey.filter(|_| is_same).map_or_else(Vec::new, |survey| survey.ready);
    drive(&run, Backlog { ready, ..Backlog::default() }, started).await
}

/// Lets all stages work until every row has its fate, or until the run is
/// asked to stop.
pub(super) async fn drive(
    run: &Arc<Run>,
    backlog: Backlog,
    started: jiff::Timestamp,
) -> Result<LoadEnd, LoadError> {
    let timer = max_wait(run);
    let herald = herald(run);
    let (planned, chunks) = mpsc::channel(PLANNED_AHEAD);
    // Only numbers travel here; the bound is far above what can be waiting.
    let (settled, settling) = mpsc::channel(64);
    let planner = {
        let run = Arc::clone(run);
        let settled = settled.clone();
        tokio::task::spawn_blocking(move || plan_chunks(&run, backlog, planned, settled))
    };
    let writer = {
        let run = Arc::clone(run);
        tokio::task::spawn_blocking(move || write_results(&run, settling))
    };
    work_off(run, chunks, &settled).await;
    drop(settled);

    // Whatever broke, the run still ends with its account: outcomes are on
    // disk, and the result files can be made again from them.
    let totals = planner.await.unwrap_or_else(|error| {
        run.broke(&LoadError::Stage(format!("planner: {error}")));
        PlanTotals::default()
    });
    let written = writer
        .await
        .unwrap_or_else(|error| Err(LoadError::Stage(format!("results: {error}"))))
        .unwrap_or_else(|error| {
            run.broke(&error);
            Vec::new()
        });
    for helper in timer.into_iter().chain([herald]) {
        helper.abort();
    }
    end(run, totals, written, started).await
}

/// Moves what was prepared into the run's folder and makes the ledger.
fn begin(
    mut prepared: Prepared,
    folder: &RunFolder,
    command: serde_json::Value,
    started: jiff::Timestamp,
) -> Result<(Setup, SharedLedger, Option<Rehearsal>), PreflightError> {
    let mut original = prepared.source.clone();
    if let Some(spooled) = prepared.spooled.take() {
        let path = spooled
            .move_into(folder)
            .map_err(|(path, source)| PreflightError::Rows { path, source })?;
        let mut files = original.files();
        for file in &mut files {
            file.named.path.clone_from(&path);
        }
        original = Source::reopen(&files, &prepared.request.options)?;
    }
    let moved = prepared.grouped.take().map(|grouped| grouped.move_into(folder)).transpose()?;
    let (mut derivation, mut groups, mut derived) = (None, None, None);
    let mut source = original.clone();
    if let Some(mut moved) = moved {
        if let Some(made) = &mut moved.derived {
            source = Source::open_own(&folder.path().join(GROUPED_CSV), original.dialect())?;
            made.original = made.original.take().map(|_| original.clone());
        }
        (derivation, groups, derived) = (Some(moved.derivation), Some(moved.index), moved.derived);
    }
    let map = derived.as_ref().map(|derived: &Derived| Arc::clone(&derived.map));
    let mut names = Names::of(&original, map);
    let mut files = records(&original, folder);
    let retry = prepared.retry.take();
    let parent = retry.as_ref().map(|retry| retry.parent.clone());
    // The run whose rows they are stays locked until the ledger tells of this
    // one: of two retries that start at once, one sees the other.
    let mut _parent = None;
    if let Some(retry) = retry {
        let taken = retry.move_into(folder)?;
        names = Names::known(&taken.files, Some(Arc::clone(&taken.derived.map)));
        files = known_records(&taken.files, folder);
        source = taken.source;
        (derivation, derived) = (Some(taken.derivation), Some(taken.derived));
        _parent = Some(taken.parent);
    }
    prepared
        .plan
        .keep_answers(folder.path())
        .map_err(|(path, source)| PreflightError::Rows { path, source })?;
    if let Some(doubles) = prepared.doubles.take() {
        doubles
            .move_into(folder)
            .map_err(|(path, source)| PreflightError::Rows { path, source })?;
    }
    let ledger = alone(&prepared, || {
        let derivation = derivation.as_ref();
        let made = Made { folder, source: &source, files, derivation, parent };
        open_ledger(&prepared, made, command, started)
    })?;
    let setup = Setup {
        counted: prepared.survey.as_ref().map(|survey| survey.read),
        request: prepared.request,
        org: prepared.org,
        object: prepared.object.name,
        source,
        names,
        plan: prepared.plan,
        sizing: prepared.sizing,
        derived,
        groups,
        taken_up: false,
        closing: false,
    };
    Ok((setup, ledger, prepared.survey))
}

/// What the ledger keeps of the settings: those of the pipeline, and what the
/// cli wants to find again.
fn settings(request: &LoadRequest, command: serde_json::Value) -> serde_json::Value {
    serde_json::json!({ "request": request, "command": command })
}

/// What a run begins with in its folder.
struct Made<'a> {
    folder: &'a RunFolder,
    source: &'a Source,
    /// The user's own files.
    files: Vec<FileRecord>,
    derivation: Option<&'a Derivation>,
    /// The run whose rows are retried.
    parent: Option<String>,
}

fn open_ledger(
    prepared: &Prepared,
    made: Made<'_>,
    command: serde_json::Value,
    started: jiff::Timestamp,
) -> Result<SharedLedger, LedgerError> {
    let Made { folder, source, files, derivation, parent } = made;
    let identity = prepared.org.identity();
    let ledger = folder.begin(&RunRecord {
        id: folder.id.clone(),
        command: if parent.is_some() { "retry" } else { "load" }.to_owned(),
        settings: settings(&prepared.request, command),
        org: OrgRecord {
            id: identity.org_id.clone(),
            name: identity.name.clone(),
            url: identity.url.clone(),
            user: identity.user_id.clone(),
            username: identity.username.clone(),
            production: identity.production,
        },
        api_version: prepared.org.api_version().to_string(),
        object: prepared.object.name.clone(),
        operation: Some(prepared.request.operation),
        external_id: prepared.plan.external_id.clone(),
        started_at: started,
        parent_run: parent,
    })?;
    let file = source.identity();
    ledger.record_source(&SourceRecord {
        ordinal: SOURCE,
        // A resume may be started from another folder.
        path: absolute(source.path()),
        bytes: file.bytes,
        modified: file
            .modified_ns
            .and_then(|ns| jiff::Timestamp::from_nanosecond(i128::from(ns)).ok()),
        inode: file.inode,
        edge_digest: file.digest.clone(),
        header: source.header().to_vec(),
        dialect: serde_json::to_value(source.dialect()).unwrap_or_default(),
        plan: serde_json::to_value(&*prepared.plan).unwrap_or_default(),
        rows: None,
        derivation: derivation.map(|it| serde_json::to_value(it).unwrap_or_default()),
        files,
    })?;
    Ok(SharedLedger::new(ledger))
}

/// Tells at once that the run winds down: uploads in flight may take a while.
fn herald(run: &Arc<Run>) -> tokio::task::JoinHandle<()> {
    let (stop, events) = (run.stop.clone(), Arc::clone(&run.events));
    tokio::spawn(async move {
        stop.asked().await;
        if let Some(reason) = stop.reason() {
            let what = match reason {
                StopReason::Signal => "uploads in flight end first, a second signal leaves at once",
                _ => "no new jobs are made",
            };
            events.announce(Event::Stopping { reason: format!("{}; {what}", reason.describe()) });
        }
    })
}

fn max_wait(run: &Arc<Run>) -> Option<tokio::task::JoinHandle<()>> {
    let wait = run.setup.request.max_wait?;
    let run = Arc::clone(run);
    Some(tokio::spawn(async move {
        tokio::time::sleep(wait).await;
        run.stop.ask(StopReason::MaxWait);
    }))
}

async fn end(
    run: &Arc<Run>,
    totals: PlanTotals,
    result_files: Vec<WrittenFile>,
    started: jiff::Timestamp,
) -> Result<LoadEnd, LoadError> {
    if totals.exhausted && totals.read == 0 {
        run.note("the source has no rows".to_owned());
    }
    let (read, pending) = run.with_books(|books| (books.tally.read, books.tally.pending()));
    if let Some(counted) = run.setup.counted.filter(|&counted| counted > read) {
        run.note(format!("{} more rows of the source were not read", counted - read));
    }
    if pending > 0 {
        run.note(
            "the result files hold the rows up to the first chunk whose outcome is not known yet"
                .to_owned(),
        );
    }
    let finished = jiff::Timestamp::now();
    let stopped = run.stop.reason();
    if let Some(StopReason::Repair { call: Some(call), .. }) = &stopped
        && call.certainly_did_not_happen()
        && !run.setup.taken_up
        && run.with_books(|books| books.jobs.is_empty() && books.sent == 0)
    {
        let call = call.clone();
        run.folder.clone().discard();
        return Err(LoadError::FirstJob(call));
    }
    let (mut tally, sent, jobs, failures, notes) = run.with_books(|books| {
        (
            books.tally,
            books.sent,
            std::mem::take(&mut books.jobs),
            std::mem::take(&mut books.failures),
            std::mem::take(&mut books.notes),
        )
    });
    tally.read = tally.read.max(totals.read);
    let mut reason = stopped.as_ref().map_or(Reason::Finished, StopReason::reason);
    let mut stopped = stopped;
    if reason == Reason::Interrupted && totals.exhausted && tally.pending() == 0 {
        // The word came when there was nothing left to stop.
        (reason, stopped) = (Reason::Finished, None);
    }
    if run.setup.closing && reason == Reason::Finished {
        let at = finished;
        run.ledger.run(move |ledger| ledger.abort_run(at)).await?;
        // Complete only if there was nothing left to close.
        if tally.pending() > 0 || !totals.exhausted {
            reason = Reason::UserLimit;
        }
    }
    let verdict = verdict([reason], &tally, failures.left_out());
    let record = RunEnd {
        status: match verdict.status {
            Status::Completed => RunStatus::Completed,
            Status::Interrupted => RunStatus::Interrupted,
            Status::Failed => RunStatus::Failed,
            Status::Stopped => RunStatus::Stopped,
        },
        exit_code: verdict.exit_code,
        at: finished,
    };
    run.ledger.run(move |ledger| ledger.finish_run(&record)).await?;
    if verdict.status == Status::Completed || run.setup.closing {
        run.folder.drop_result_sets();
    }
    run.folder.tidy();
    let retry = run.setup.derived.as_ref().and_then(|derived| derived.retry.as_ref());
    let sources = run.ledger.run(Ledger::sources).await?;
    Ok(LoadEnd {
        files: sources.first().map(file_parts).unwrap_or_default(),
        origin: retry.map(|retry| retry.origin_with(&tally, sent)),
        verdict,
        tally,
        sent,
        stopped,
        jobs: jobs.into_values().collect(),
        failures,
        source_rows: totals.exhausted.then_some(totals.read),
        result_files,
        notes,
        started,
        finished,
    })
}
