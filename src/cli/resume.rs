//! The `resume` command: what was left to do, shown first, then done.

use std::path::{Path, PathBuf};

use clap::Args;

use super::context::ProgressView;
use super::load::{broke_off, mapping_refusal, secrets, signals, summary};
use super::override_args::OverrideArgs;
use super::progress::{self, Progress};
use super::{CliError, Context, Exit, export, org, run_name};
use crate::domain::{Event, error_chain};
use crate::pipeline::{
    self, LoadError, OpenRun, Overrides, RecoveryPlan, Resumable, ResumeError, RowsRead,
    RunNameError, SettleError, Stop,
};
use crate::report::format::count;
use crate::salesforce::{ConnectOptions, Org};

/// Go on with a run that was interrupted, killed or detached
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bulkhaul resume                    the newest run that is not finished
  bulkhaul resume 20261123-221809-57f5
  bulkhaul resume latest --settle    and ask for the records of disputed rows

  The plan is shown before anything is done. Jobs that were closed are watched
  to their end and never sent again; results that were fetched are not fetched
  again; rows that were never sent are.

Exit codes: those of load.")]
pub struct ResumeArgs {
    /// Run id, run folder or `latest`; default: the newest unfinished run
    #[arg(value_name = "RUN")]
    run: Option<String>,
    #[command(flatten)]
    overrides: OverrideArgs,
    /// Ask the org for the records of disputed rows, and settle what they prove
    #[arg(long)]
    settle: bool,
    /// Columns that find the records of an insert's disputed rows
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', requires = "settle")]
    key: Vec<String>,
    /// Show the plan and do nothing
    #[arg(long)]
    plan: bool,
}

impl ResumeArgs {
    fn overrides(&self) -> Overrides {
        Overrides {
            lanes: self.overrides.parallel.map(usize::from),
            max_wait: self.overrides.max_wait,
            row_attempts: self.overrides.row_attempts,
            max_failures: self.overrides.max_failures,
            reserve: self.overrides.reserve,
            secrets: secrets(),
            rows: if self.settle { RowsRead::Any } else { RowsRead::Rest },
        }
    }
}

pub(super) fn run(args: ResumeArgs, context: &Context) -> Result<Exit, CliError> {
    let runs_dir = &context.global.runs_dir;
    let found = match &args.run {
        Some(name) => pipeline::resolve(runs_dir, Some(name)),
        None => match pipeline::newest_unfinished(runs_dir) {
            // Asked once too often; the newest run will say so.
            Err(RunNameError::NothingUnfinished { .. }) => pipeline::resolve(runs_dir, None),
            found => found,
        },
    };
    let folder = found.map_err(|error| run_name::refusal(&error))?;
    if export::is_export(&folder) {
        return export::resume(&folder, args.overrides.parallel, args.overrides.max_wait, context);
    }
    let open = OpenRun::open(&folder).map_err(|error| refusal(&error, &folder))?;
    let disputed = open.disputed().map_err(|error| refusal(&error, &folder))?;
    match open.check_unfinished() {
        // Only its disputed rows are looked at again.
        Err(ResumeError::Complete { .. } | ResumeError::Aborted { .. })
            if args.settle && disputed > 0 => {}
        // A scheduler may ask once too often: nothing is wrong with that.
        Err(ResumeError::Complete { id, exit_code }) => {
            context.say(&format!("Run {id} is complete; there is nothing to go on with."));
            drop(open);
            super::report::again(&folder, context)?;
            return Ok(Exit::from_code(exit_code));
        }
        checked => checked.map_err(|error| refusal(&error, &folder))?,
    }
    let context = &as_the_run_began(context, &open);
    let runtime = context.runtime()?;
    runtime.block_on(async {
        let progress = progress::start(context);
        let options = ConnectOptions {
            lanes: args.overrides.parallel.map_or(open.request().lanes, usize::from),
            events: progress.sink(),
            compressed_replies: open.request().compress_upload.then_some(true),
            ..ConnectOptions::default()
        };
        let connected = org::connect(context, options).await?;
        let ended = Box::pin(go(&args, open, context, &connected.org, &progress)).await;
        connected.close().await;
        ended?.map_or(Ok(Exit::Success), |ended| ended.close(progress, context))
    })
}

/// The org and the API version of the run, where no flag says otherwise.
pub(super) fn as_the_run_began(context: &Context, open: &OpenRun) -> Context {
    let kept = |name: &str| open.command().get(name).and_then(|value| value.as_str());
    let mut global = context.global.clone();
    if global.org.is_none() {
        global.org = kept("org").map(str::to_owned);
        if let Some(dir) = kept("local_org_dir") {
            global.local_org_dir = PathBuf::from(dir);
        }
    }
    // A run keeps its own.
    global.api_version = Some(open.stored().run.api_version.clone());
    context.with(global)
}

/// Looks, shows, goes on. `None`: only the plan was wanted.
async fn go(
    args: &ResumeArgs,
    open: OpenRun,
    context: &Context,
    org: &Org,
    progress: &Progress,
) -> Result<Option<summary::Ended>, CliError> {
    let folder = open.folder().path().to_owned();
    let prepared = open.prepare(org.clone(), args.overrides()).await;
    let resumable = prepared.map_err(|error| refusal(&error, &folder))?;
    progress.clear();
    let banner = banner(&resumable);
    context.say(&banner);
    if context.progress_view() == ProgressView::Json {
        progress.sink().announce(Event::Note { text: banner.clone() });
    }
    if args.plan {
        if context.global.json {
            let lines: Vec<&str> = banner.lines().collect();
            context.print_json(&serde_json::json!({ "plan": lines }))?;
        }
        return Ok(None);
    }
    let stop = Stop::default();
    signals::watch(&stop);
    let facts = summary::Facts::taken_up(&resumable);
    let end = if args.settle {
        let keys = resumable.key_columns(&args.key).map_err(|name| {
            CliError::refused("usage", format!("--key: no column `{name}` was sent"))
                .hint("Name columns of the source that the run sent, as they stand in its header.")
        })?;
        pipeline::resume_and_settle(resumable, keys, progress.sink(), stop).await
    } else {
        pipeline::resume(resumable, progress.sink(), stop).await
    };
    let end = end.map_err(|error| match &error {
        LoadError::Settle(error) => cannot_settle(error),
        _ => broke_off(&error, &facts.folder),
    })?;
    Ok(Some(summary::build(&facts, end, org)))
}

/// Why disputed rows can't be settled; the run is as it was.
fn cannot_settle(error: &SettleError) -> CliError {
    match error {
        SettleError::Call(error) => org::call_error(error, org::Phase::Preflight),
        SettleError::Allowance { .. } => CliError::refused("allowance", error_chain(error)).hint(
            "Nothing was asked for. Wait until the 24 hours have moved on, or leave less to others \
             with --reserve; `bulkhaul limits` shows what is left.",
        ),
        _ => CliError::repair("run", "the disputed rows can't be settled")
            .caused_by(error)
            .hint(super::error::MEND_AND_RESUME),
    }
}

/// What will be done, a line for each thing.
fn banner(resumable: &Resumable) -> String {
    let run = &resumable.stored().run;
    let tally = resumable.account().tally;
    let mut lines = vec![
        format!(
            "resume {}: {} in {} ({}) as {}",
            run.id,
            run.what(),
            run.org.name,
            run.org.id,
            run.org.username
        ),
        format!(
            "  {} read so far, {} settled, {} not yet",
            count(tally.read, "row"),
            tally.settled(),
            tally.pending()
        ),
    ];
    if tally.disputed > 0 {
        lines.push(format!("  {} disputed", count(tally.disputed, "row")));
    }
    lines.extend(steps(&resumable.recovery).into_iter().map(|step| format!("  {step}")));
    for job in &resumable.maybe_ours {
        lines.push(format!(
            "  note: job {} (Open, without data, created {}) may be one whose creation was never \
             answered; it is left alone, because another tool of yours may be using it",
            job.job, job.created
        ));
    }
    lines.join("\n")
}

fn steps(plan: &RecoveryPlan) -> Vec<String> {
    let mut steps = Vec::new();
    let jobs = |jobs: &[String]| match jobs {
        [one] => format!("job {one}"),
        [one, other] => format!("jobs {one} and {other}"),
        [first, .., last] => format!("{} jobs ({first} to {last})", jobs.len()),
        [] => String::new(),
    };
    if plan.done.0 > 0 {
        steps.push(format!("{} done, {}", count(plan.done.0, "chunk"), count(plan.done.1, "row")));
    }
    if !plan.fetch.0.is_empty() {
        let rows = count(plan.fetch.1, "row");
        steps.push(format!("fetch the results of {}, {rows}", jobs(&plan.fetch.0)));
    }
    if !plan.watch.0.is_empty() {
        let rows = count(plan.watch.1, "row");
        steps.push(format!("watch {} to the end, {rows}", jobs(&plan.watch.0)));
    }
    if !plan.close.is_empty() {
        steps.push(format!("close {}, which may be closed already", jobs(&plan.close)));
    }
    if plan.judge > 0 {
        let chunks = count(plan.judge, "chunk");
        steps.push(format!("see which rows of {chunks} are due again"));
    }
    if !plan.give_up.is_empty() {
        steps.push(format!("abort {}, never closed, and begin anew", jobs(&plan.give_up)));
    }
    if plan.lost > 0 {
        steps.push(format!(
            "begin anew where {} of a job was never answered",
            count(plan.lost, "creation")
        ));
    }
    if plan.begin.0 > 0 {
        let rows = count(plan.begin.1, "row");
        steps.push(format!("send {} that were never sent, {rows}", count(plan.begin.0, "chunk")));
    }
    if !plan.gone.0.is_empty() {
        steps.push(format!(
            "{} no longer known to the org: once it has said so again, {} will be disputed",
            jobs(&plan.gone.0),
            count(plan.gone.1, "row")
        ));
    }
    match plan.read_on_from {
        Some(row) => steps.push(format!("read on from row {row}")),
        None if steps.is_empty() => steps.push("write the result files".to_owned()),
        None => {}
    }
    steps
}

/// Why a run can't be taken up, as a person reads it. Nothing was changed.
pub(super) fn refusal(error: &ResumeError, folder: &Path) -> CliError {
    let refused = |code| CliError::refused(code, error_chain(error));
    match error {
        ResumeError::Call(error) => org::call_error(error, org::Phase::Preflight),
        ResumeError::Ledger(error) => run_name::ledger_error(error, folder),
        ResumeError::Folder { .. } => refused("run-folder")
            .hint("A run folder must be writable for whoever goes on with the run."),
        ResumeError::Complete { .. } => refused("complete"),
        ResumeError::Aborted { .. } => refused("aborted")
            .hint("`bulkhaul retry` makes a new run of the rows that did not succeed."),
        ResumeError::NothingBegun { .. } => {
            refused("nothing-begun").hint("Delete its folder and load again.")
        }
        ResumeError::Mapping(error) => mapping_refusal::of(error).hint(
            "A run goes on with the value maps, lookup files and the secret it began with. Put back \
             what is named; if that is not possible, `bulkhaul abort` closes the run with what was \
             done.",
        ),
        ResumeError::Settings { .. } => refused("ledger").hint(
            "Another release of bulkhaul wrote it; go on with that one.",
        ),
        ResumeError::Source(_) => refused("source")
            .hint("Put the file back where it was; the ledger knows it by its path."),
        ResumeError::Derived(_) => refused("source").hint(
            "The files of the run's folder and the original source are needed to go on; put back \
             what is named.",
        ),
        ResumeError::SourceChanged { .. } => refused("source-changed").hint(
            "Put the file back as it was (with its time of change). If that is not possible: what \
             was sent stands in the result files and the outcome files; `bulkhaul abort` closes the \
             run with what was done, and the other rows can be loaded from a file of their own.",
        ),
        ResumeError::WrongOrg { .. } => refused("wrong-org")
            .hint("Log in to the org the run began with; a refreshed sandbox is a new org."),
        ResumeError::Account(_) => refused("outcomes").hint(
            "An outcome file is damaged or missing. Put it back from a backup; the jobs' results \
             stay in the org for seven days.",
        ),
        ResumeError::Interrupted => refused("run"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_told_line_by_line() {
        let jobs = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
        let plan = RecoveryPlan {
            done: (12, 1_200_000),
            begin: (2, 20_000),
            give_up: jobs(&["750A"]),
            lost: 1,
            close: jobs(&["750B"]),
            watch: (jobs(&["750C", "750D"]), 40_000),
            fetch: (jobs(&["750E", "750F", "750G"]), 30_000),
            gone: (jobs(&["750H"]), 10_000),
            judge: 1,
            read_on_from: Some(1_300_001),
        };
        insta::assert_snapshot!(steps(&plan).join("\n"), @r"
        12 chunks done, 1,200,000 rows
        fetch the results of 3 jobs (750E to 750G), 30,000 rows
        watch jobs 750C and 750D to the end, 40,000 rows
        close job 750B, which may be closed already
        see which rows of 1 chunk are due again
        abort job 750A, never closed, and begin anew
        begin anew where 1 creation of a job was never answered
        send 2 chunks that were never sent, 20,000 rows
        job 750H no longer known to the org: once it has said so again, 10,000 rows will be disputed
        read on from row 1300001
        ");
        let finished = RecoveryPlan { done: (1, 5), ..RecoveryPlan::default() };
        assert_eq!(steps(&finished), ["1 chunk done, 5 rows"]);
    }
}
