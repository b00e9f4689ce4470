//! An export that is gone on with, or closed for good.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::progress::{self, Progress};
use super::super::{CliError, Context, Exit, org};
use super::told::{Ended, Facts};
use super::{broke_off, stop};
use crate::ledger::RunStatus;
use crate::pipeline::{self, OpenExport};
use crate::report::OrgSummary;
use crate::report::format::count;
use crate::salesforce::{ConnectOptions, Org};

/// Goes on with an export.
pub(in crate::cli) fn resume(
    folder: &Path,
    parallel: Option<u16>,
    max_wait: Option<Duration>,
    context: &Context,
) -> Result<Exit, CliError> {
    let open = OpenExport::open(folder).map_err(|error| broke_off(&error, folder))?;
    if let Some(done) = finished(&open, context)? {
        return Ok(done);
    }
    let context = &as_it_began(context, &open);
    let runtime = context.cpu_runtime()?;
    runtime.block_on(async {
        let progress = progress::start(context);
        let options = ConnectOptions {
            lanes: parallel.map_or(open.request().lanes, usize::from),
            events: progress.sink(),
            ..ConnectOptions::default()
        };
        let connected = org::connect(context, options).await?;
        let verify = open.request().count;
        let ended = Box::pin(go_on(open, max_wait, context, &connected.org, &progress)).await;
        connected.close().await;
        ended?.tell(context, &progress, verify)
    })
}

async fn go_on(
    open: OpenExport,
    max_wait: Option<Duration>,
    context: &Context,
    org: &Org,
    progress: &Progress,
) -> Result<Ended, CliError> {
    let run = open.stored().run.clone();
    let identity = org.identity();
    if identity.org_id != run.org.id {
        return Err(CliError::refused(
            "wrong-org",
            format!("run {} belongs to org {}, this is {}", run.id, run.org.id, identity.org_id),
        )
        .hint("Name the org of the run with --org."));
    }
    let objects = open.objects().map_err(|error| broke_off(&error.into(), open.folder().path()))?;
    let rows_before = objects.iter().map(|object| object.rows).sum();
    let done = objects.iter().filter(|object| object.done).count();
    progress.clear();
    context.say(&format!(
        "resume {}: {} from {} ({})\n  {} of {} done, {} in whole files\n",
        run.id,
        run.what(),
        run.org.name,
        run.org.id,
        done,
        count(objects.len() as u64, "object"),
        count(rows_before, "record"),
    ));
    let facts = Facts {
        clock: Instant::now(),
        run_id: run.id.clone(),
        folder: open.folder().path().to_owned(),
        archive: open.request().out.clone(),
        api_version: run.api_version.clone(),
        org: OrgSummary {
            id: run.org.id,
            name: run.org.name,
            url: run.org.url,
            user: run.org.username,
            production: run.org.production,
        },
        rows_before,
    };
    let stop = stop(max_wait);
    let ended = pipeline::resume_export(open, org.clone(), progress.sink(), stop).await;
    let end = ended.map_err(|error| broke_off(&error, &facts.folder))?;
    Ok(facts.told(end, org))
}

/// Closes an export for good.
pub(in crate::cli) fn abort(folder: &Path, context: &Context) -> Result<Exit, CliError> {
    let open = OpenExport::open(folder).map_err(|error| broke_off(&error, folder))?;
    if let Some(done) = finished(&open, context)? {
        return Ok(done);
    }
    let context = &as_it_began(context, &open);
    let question = format!(
        "Abort run {} ({} from {})? It can't be resumed after that; files that are whole stay. \
         Go on?",
        open.stored().run.id,
        open.stored().run.what(),
        open.stored().run.org.name
    );
    // Without a terminal the command itself is the word.
    if context.has_terminal() && !context.confirm(&question)? {
        return Err(CliError::refused("confirmation", "not confirmed, nothing was done"));
    }
    let runtime = context.runtime()?;
    runtime.block_on(async {
        let progress = progress::start(context);
        let options = ConnectOptions { events: progress.sink(), ..ConnectOptions::default() };
        let connected = org::connect(context, options).await?;
        let (id, path) = (open.stored().run.id.clone(), open.folder().path().to_owned());
        let ended = open.abort(&connected.org).await;
        connected.close().await;
        progress.finish();
        ended.map_err(|error| broke_off(&error, &path))?;
        context.say(&format!("Run {id} is closed; its query jobs are deleted."));
        Ok(Exit::Success)
    })
}

/// Says so when there is nothing to go on with.
fn finished(open: &OpenExport, context: &Context) -> Result<Option<Exit>, CliError> {
    let stored = open.stored();
    if stored.aborted_at.is_some() {
        let message = format!("run {} was closed by `bulkhaul abort`", stored.run.id);
        return Err(CliError::refused("run", message).hint("Begin a new export."));
    }
    match stored.end {
        Some(end) if end.status == RunStatus::Completed => {
            let id = &stored.run.id;
            context.say(&format!("Run {id} is complete; there is nothing to go on with."));
            Ok(Some(Exit::from_code(end.exit_code)))
        }
        _ => Ok(None),
    }
}

/// Where the org of a run is found again, where no flag says otherwise.
fn as_it_began(context: &Context, open: &OpenExport) -> Context {
    let command = open.command();
    let kept = |name: &str| command.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let mut global = context.global.clone();
    if global.org.is_none() {
        global.org = kept("org");
        if let Some(dir) = kept("local_org_dir") {
            global.local_org_dir = PathBuf::from(dir);
        }
    }
    global.api_version = Some(open.stored().run.api_version.clone());
    context.with(global)
}
