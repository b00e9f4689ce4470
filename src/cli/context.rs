//! What every command shares: the common flags, the environment, and where
//! output goes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::error::CliError;

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal that has them, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How progress is shown on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressStyle {
    /// Bars on a terminal, else plain lines
    Auto,
    /// One line now and then
    Plain,
    /// One JSON object a line (docs/events.md)
    Json,
    /// Nothing
    None,
}

/// Flags every command takes.
#[derive(Debug, Clone, Args)]
pub struct GlobalArgs {
    /// Which org: `local`, `env`, or `sf:ALIAS` (a login of the Salesforce CLI)
    #[arg(long, global = true, env = "BULKHAUL_ORG", value_name = "NAME")]
    pub org: Option<String>,
    /// Where the embedded org of `--org local` keeps its data
    #[arg(
        long,
        global = true,
        env = "BULKHAUL_LOCAL_ORG_DIR",
        value_name = "DIR",
        default_value = ".bulkhaul/local-org"
    )]
    pub local_org_dir: PathBuf,
    /// API version, such as 66.0; default: the newest that both sides know
    #[arg(long, global = true, value_name = "VERSION")]
    pub api_version: Option<String>,
    /// Where run folders are made
    #[arg(
        long,
        global = true,
        env = "BULKHAUL_RUNS_DIR",
        value_name = "DIR",
        default_value = "bulkhaul-runs"
    )]
    pub runs_dir: PathBuf,
    /// How progress is shown on stderr
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "STYLE")]
    pub progress: ProgressStyle,
    /// Print one JSON object on stdout at the end, also on failure
    #[arg(long, global = true)]
    pub json: bool,
    /// Write the log to this file instead of stderr
    #[arg(long, global = true, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// Show less
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Show more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: ColorChoice,
    /// Answer yes to every question
    #[arg(short, long, global = true)]
    pub yes: bool,
}

/// The resolved surroundings of a command.
#[derive(Debug)]
pub struct Context {
    /// The common flags.
    pub global: GlobalArgs,
}

impl Context {
    /// Resolves the surroundings and sets up logging.
    pub(super) fn new(global: GlobalArgs) -> Result<Self, CliError> {
        Ok(Context { global })
    }

    /// Prints an error where the flags want it and gives its exit code.
    pub(super) fn report(&self, error: &CliError) -> ExitCode {
        error.report_plainly()
    }
}
