//! The command line: the only place with a terminal, the environment or exit
//! codes. One file a command.

mod abort;
mod check;
mod compact;
mod context;
mod describe;
mod error;
mod export;
mod generate;
mod head;
mod limits;
mod load;
#[cfg(feature = "local-org")]
mod local_org;
mod login;
mod logins;
mod logout;
mod map;
mod org;
mod orgs;
mod override_args;
mod panic;
mod progress;
mod query;
mod report;
mod resume;
mod retry;
mod run_name;
mod runs;
mod source_args;
mod source_files;
mod table;
mod verify;

use clap::{Parser, Subcommand};

pub use context::{ColorChoice, Context, GlobalArgs, ProgressStyle};
pub use error::{CliError, Exit};

/// Moves bulk data into and out of Salesforce and accounts for every row.
#[derive(Debug, Parser)]
#[command(
    name = "bulkhaul",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "\
Example, on the embedded org:
  bulkhaul generate --object Account --rows 1000 --out accounts.csv
  bulkhaul load accounts.csv --object Account --operation upsert \\
      --external-id Legacy_Id__c --org local
  bulkhaul query 'SELECT COUNT() FROM Account' --org local"
)]
pub struct Cli {
    /// Flags every command takes.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load a file into an org and account for every row
    Load(Box<load::LoadArgs>),
    /// Check every row against what the org takes; nothing is sent
    Check(Box<check::CheckArgs>),
    /// Write a first mapping file for a source, or make one of a Data Loader map
    Map(Box<map::MapArgs>),
    /// Show what a source is taken for, before anyone loads it
    Head(head::HeadArgs),
    /// Export whole objects to typed Parquet, CSV or JSON Lines
    Export(Box<export::ExportArgs>),
    /// Check the files of an archive against its manifest
    Verify(verify::VerifyArgs),
    /// Fold the increments of an archive into one snapshot
    Compact(compact::CompactArgs),
    /// Go on with a run that was interrupted, killed or detached
    Resume(resume::ResumeArgs),
    /// Make a new run of the rows of a run that did not succeed
    Retry(retry::RetryArgs),
    /// Abort the jobs of a run and close it with what was done
    Abort(abort::AbortArgs),
    /// List the runs of the runs folder; prune old ones
    Runs(runs::RunsArgs),
    /// Show the summary of a run, also of one that did not end
    Report(report::ReportArgs),
    /// Run a SOQL query and show the records
    Query(query::QueryArgs),
    /// Show the fields of an object
    Describe(describe::DescribeArgs),
    /// Show what the org still grants in its rolling 24 hours
    Limits(limits::LimitsArgs),
    /// Store a login under a name for `--org`
    Login(login::LoginArgs),
    /// Forget a stored login
    Logout(logout::LogoutArgs),
    /// List the stored logins, and whether they work
    Orgs(orgs::OrgsArgs),
    /// Write deterministic sample data
    Generate(generate::GenerateArgs),
    /// The embedded org: run it as a server of its own
    #[cfg(feature = "local-org")]
    LocalOrg(local_org::LocalOrgArgs),
}

/// The final object of `--json` for arguments that clap refused: there are no
/// parsed flags to ask then.
#[expect(clippy::print_stdout, reason = "the cli is where things are printed")]
fn usage_as_json(error: &clap::Error) -> std::process::ExitCode {
    let text = error.to_string();
    let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let refused = CliError::refused("usage", message)
        .hint("`--help` of the command shows its flags and an example.");
    println!("{}", refused.json());
    refused.exit.into()
}

/// Runs the program on the process's arguments.
pub fn main() -> std::process::ExitCode {
    panic::set_hook();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap prints help to stdout with 0 and errors to stderr with 2.
            let _ = error.print();
            if error.exit_code() != 0 && std::env::args_os().any(|word| word == "--json") {
                return usage_as_json(&error);
            }
            return std::process::ExitCode::from(error.exit_code() as u8);
        }
    };
    let context = match Context::new(cli.global) {
        Ok(context) => context,
        Err(error) => return error.report_plainly(),
    };
    let result = match cli.command {
        Command::Load(args) => load::run(*args, &context),
        Command::Check(args) => check::run(&args, &context),
        Command::Map(args) => map::run(&args, &context),
        Command::Head(args) => head::run(&args, &context),
        Command::Export(args) => export::run(*args, &context),
        Command::Verify(args) => verify::run(&args, &context),
        Command::Compact(args) => compact::run(&args, &context),
        Command::Resume(args) => resume::run(args, &context),
        Command::Retry(args) => retry::run(&args, &context),
        Command::Abort(args) => abort::run(args, &context),
        Command::Runs(args) => runs::run(args, &context),
        Command::Report(args) => report::run(args, &context),
        Command::Query(args) => query::run(args, &context),
        Command::Describe(args) => describe::run(args, &context),
        Command::Limits(args) => limits::run(args, &context),
        Command::Login(args) => login::run(&args, &context),
        Command::Logout(args) => logout::run(&args, &context),
        Command::Orgs(args) => orgs::run(&args, &context),
        Command::Generate(args) => generate::run(args, &context),
        #[cfg(feature = "local-org")]
        Command::LocalOrg(args) => local_org::run(args, &context),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => context.report(&error),
    }
}
