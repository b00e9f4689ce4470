//! The `local-org` command: the embedded org as a server of its own.

mod clone;
mod cloned;

use std::collections::BTreeMap;
use std::io::{BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{CliError, Context, Exit};
use crate::domain::error_chain;
use crate::local_org::{
    FaultSpec, JournalEntry, LocalOrg, LocalOrgError, LocalOrgOptions, read_journal, read_settings,
};

const EXAMPLES: &str = "Examples:
  bulkhaul local-org serve --port 8080
  bulkhaul local-org serve --memory --port 0 --json
  bulkhaul local-org serve --dir rehearsal --speed 2000 --jwt-key server.crt
  bulkhaul local-org serve --memory --faults 'seed=7,upload:done-reset=5%,row-lock=1%'";

const JOURNAL_EXAMPLES: &str = "Examples:
  bulkhaul local-org journal --object Account
  bulkhaul local-org journal --dir rehearsal --object Contact --json";

/// The `local-org` command.
#[derive(Debug, Args)]
pub struct LocalOrgArgs {
    #[command(subcommand)]
    command: LocalOrgCommand,
}

#[derive(Debug, Subcommand)]
enum LocalOrgCommand {
    /// Serve the org on 127.0.0.1 until Ctrl-C
    #[command(after_help = EXAMPLES)]
    Serve(Box<ServeArgs>),
    /// Copy the schema of objects of another org, to rehearse a load against it
    #[command(after_help = clone::EXAMPLES)]
    Clone(clone::CloneArgs),
    /// Print what every row of every job did to the records of an object
    #[command(after_help = JOURNAL_EXAMPLES)]
    Journal(JournalArgs),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    port: u16,
    /// Folder of the org's data; default: that of --local-org-dir
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    dir: Option<PathBuf>,
    /// Keep everything in memory and forget it at the end
    #[arg(long)]
    memory: bool,
    /// JSON file of switches (docs/local-org.md); default: DIR/settings.json if it is there
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Most rows a second all workers process together; default: as fast as they can
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    speed: Option<u64>,
    /// Seconds an access token lives
    #[arg(long, value_name = "SECONDS")]
    token_lifetime: Option<u64>,
    /// Public key or certificate that may log in by JWT, beside those in DIR/jwt-keys
    #[arg(long, value_name = "FILE")]
    jwt_key: Vec<PathBuf>,
    /// Faults to make (docs/local-org.md), instead of those in the switches
    #[arg(long, value_name = "SPEC")]
    faults: Option<FaultSpec>,
}

#[derive(Debug, Args)]
struct JournalArgs {
    /// Folder of an org that isn't running; default: that of --local-org-dir
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// API name of the object
    #[arg(long, value_name = "OBJECT")]
    object: String,
}

pub(super) fn run(args: LocalOrgArgs, context: &Context) -> Result<Exit, CliError> {
    match args.command {
        LocalOrgCommand::Serve(args) => context.runtime()?.block_on(serve(*args, context)),
        LocalOrgCommand::Clone(args) => clone::run(&args, context),
        LocalOrgCommand::Journal(args) => journal(&args, context),
    }
}

/// Prints the journal: CSV, or a JSON object a line.
fn journal(args: &JournalArgs, context: &Context) -> Result<Exit, CliError> {
    let dir = args.dir.as_ref().unwrap_or(&context.global.local_org_dir);
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut write = |entry: Option<JournalEntry>| match entry {
        None if context.global.json => Ok(()),
        None => writeln!(out, "job,row,record,change"),
        Some(JournalEntry { job, row, record, change }) if context.global.json => {
            let change = change.word();
            let line = json!({"job": job, "row": row, "record": record, "change": change});
            writeln!(out, "{line}")
        }
        Some(JournalEntry { job, row, record, change }) => {
            writeln!(out, "{job},{row},{record},{}", change.word())
        }
    };
    let mut written = Ok(());
    let mut begun = false;
    read_journal(dir, &args.object, &mut |entry| {
        let header = if begun { Ok(()) } else { write(None) };
        begun = true;
        written = header.and_then(|()| write(Some(entry)));
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .map_err(|error| refusal(&error))?;
    if !begun {
        written = write(None);
    }
    match written.and_then(|()| out.flush()) {
        // Whoever reads it has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Success),
        Err(error) => Err(CliError::repair("output", format!("cannot print: {error}"))),
        Ok(()) => Ok(Exit::Success),
    }
}

async fn serve(args: ServeArgs, context: &Context) -> Result<Exit, CliError> {
    let mut options = if args.memory {
        LocalOrgOptions::default()
    } else {
        let dir = args.dir.as_ref().unwrap_or(&context.global.local_org_dir);
        LocalOrgOptions::for_folder(dir).map_err(|error| refusal(&error))?
    };
    options.port = args.port;
    if let Some(path) = &args.settings {
        options.settings = read_settings(path).map_err(|error| refusal(&error))?;
    }
    if args.speed.is_some() {
        options.settings.rows_per_second = args.speed;
    }
    if let Some(seconds) = args.token_lifetime {
        options.settings.token_lifetime_seconds = seconds;
    }
    if let Some(faults) = args.faults {
        options.settings.faults = faults;
    }
    let faulty = !options.settings.faults.is_empty();
    let org = LocalOrg::start(options).await.map_err(|error| refusal(&error))?;
    for path in &args.jwt_key {
        register(&org, path)?;
    }
    // Before anything is printed: whoever reads it may stop us at once.
    let stopped = stop_signal()?;
    announce(&org, context.global.json)
        .map_err(|error| CliError::repair("output", format!("cannot print: {error}")))?;
    stopped.await;
    let counts = faulty.then(|| org.faults_injected());
    org.stop().await;
    match counts.map_or(Ok(()), |counts| tell_faults(&counts, context.global.json)) {
        Ok(()) => Ok(Exit::Success),
        Err(error) => Err(CliError::repair("output", format!("cannot print: {error}"))),
    }
}

fn register(org: &LocalOrg, path: &std::path::Path) -> Result<(), CliError> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|error| CliError::refused("local-org", format!("cannot read {shown}: {error}")))?;
    org.register_jwt_key(&bytes, &shown)
        .map_err(|error| CliError::refused("local-org", error_chain(&error)))
}

/// The org's own words, with what to do about it.
pub(super) fn refusal(error: &LocalOrgError) -> CliError {
    let refused = CliError::refused("local-org", error_chain(error));
    match error {
        LocalOrgError::InUse { .. } => refused
            .hint("Stop the other process, or name another folder with --local-org-dir or --dir."),
        LocalOrgError::Taken { .. } => refused.hint(
            "Name another folder with --dir, or say --replace: definitions are written anew, \
             records stay.",
        ),
        LocalOrgError::NoOrg { .. } => {
            refused.hint("Name the folder of an org with --dir or --local-org-dir.")
        }
        LocalOrgError::Listen { .. } => {
            refused.hint("Name another port with --port; 0 takes a free one.")
        }
        LocalOrgError::Catalogue(_) => {
            refused.hint("Correct or remove the file in the folder's objects/.")
        }
        _ => refused,
    }
}

/// Says where the org is and how to log in. A script reads one JSON line; its
/// secret is in the credentials file, or in the line itself when the org and
/// its secret live in memory alone.
fn announce(org: &LocalOrg, as_json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if as_json {
        let mut line = json!({
            "url": org.url(),
            "org_id": org.org_id(),
            "username": org.username(),
            "client_id": org.client_id(),
            "credentials_file": org.credentials_file(),
        });
        if let (None, Some(object)) = (org.credentials_file(), line.as_object_mut()) {
            object.insert("client_secret".to_owned(), json!(org.client_secret()));
        }
        writeln!(out, "{line}")?;
    } else {
        writeln!(out, "The local org {} is at {}", org.org_id(), org.url())?;
        writeln!(out, "Log in from another terminal with --org env and:")?;
        writeln!(out)?;
        writeln!(out, "  export BULKHAUL_LOGIN_URL={}", org.url())?;
        writeln!(out, "  export BULKHAUL_CLIENT_ID={}", org.client_id())?;
        writeln!(out, "  export BULKHAUL_CLIENT_SECRET={}", org.client_secret())?;
        writeln!(out)?;
        match org.credentials_file() {
            Some(file) => writeln!(out, "(kept in {})", file.display())?,
            None => writeln!(out, "(all of it is in memory and ends with this process)")?,
        }
        writeln!(out, "Ctrl-C stops it.")?;
    }
    out.flush()
}

/// Says how many faults were made.
fn tell_faults(counts: &BTreeMap<String, u64>, as_json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let total: u64 = counts.values().sum();
    if as_json {
        writeln!(out, "{}", json!({"faults": counts, "faults_total": total}))?;
    } else {
        writeln!(out, "Faults made: {total}")?;
        for (fault, count) in counts {
            writeln!(out, "  {count:>8}  {fault}")?;
        }
    }
    out.flush()
}

/// Resolves at Ctrl-C or SIGTERM; listens from now on.
#[cfg(unix)]
fn stop_signal() -> Result<impl Future<Output = ()>, CliError> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error| CliError::repair("signals", format!("cannot listen to signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Resolves at Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> Result<impl Future<Output = ()>, CliError> {
    Ok(async {
        // Without the signal there is nothing to wait for but the end.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
