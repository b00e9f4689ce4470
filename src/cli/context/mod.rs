//! What every command shares: the common flags, the environment, and where
//! output goes.

mod logging;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;

use self::logging::{LOG_VARIABLE, LogSettings};
use super::error::CliError;
use super::progress::above_bars;
use crate::report::{Summary, render};

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
    /// Which org: `local`, `env`, `sf:ALIAS` (a login of the Salesforce CLI), or
    /// the name of a stored login
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

/// What the process was started in. Read once; everything else is decided
/// from it and the flags.
#[derive(Debug, Clone, Default)]
struct Surroundings {
    stdin_terminal: bool,
    stdout_terminal: bool,
    stderr_terminal: bool,
    /// `NO_COLOR` is set to something (<https://no-color.org>).
    no_color: bool,
    /// `TERM` is `dumb`: no colours, no moving of the cursor.
    dumb: bool,
    /// `BULKHAUL_LOG`.
    log: Option<String>,
}

impl Surroundings {
    fn detect() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Surroundings {
            stdin_terminal: io::stdin().is_terminal(),
            stdout_terminal: io::stdout().is_terminal(),
            stderr_terminal: io::stderr().is_terminal(),
            no_color: set("NO_COLOR").is_some(),
            dumb: set("TERM").is_some_and(|term| term == "dumb"),
            log: set(LOG_VARIABLE),
        }
    }
}

/// How progress will really be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProgressView {
    /// Bars, redrawn in place.
    Bars,
    /// A line now and then.
    Plain,
    /// JSON lines.
    Json,
    /// Nothing.
    None,
}

/// The resolved surroundings of a command.
#[derive(Debug)]
pub struct Context {
    /// The common flags.
    pub global: GlobalArgs,
    around: Surroundings,
}

impl Context {
    /// Resolves the surroundings and sets up logging.
    pub(super) fn new(global: GlobalArgs) -> Result<Self, CliError> {
        let context = Context { global, around: Surroundings::detect() };
        logging::start(&LogSettings {
            quiet: context.global.quiet,
            verbose: context.global.verbose,
            filter: context.around.log.as_deref(),
            file: context.global.log_file.as_deref(),
            colour: context.colour_on_stderr(),
            json: context.progress_view() == ProgressView::Json,
        })?;
        Ok(context)
    }

    /// The same surroundings with other common flags.
    pub(super) fn with(&self, global: GlobalArgs) -> Context {
        Context { global, around: self.around.clone() }
    }

    /// Whether text on stdout is coloured.
    pub(super) fn colour_on_stdout(&self) -> bool {
        self.colour(self.around.stdout_terminal)
    }

    /// Whether text on stderr is coloured.
    pub(super) fn colour_on_stderr(&self) -> bool {
        self.colour(self.around.stderr_terminal)
    }

    fn colour(&self, terminal: bool) -> bool {
        match self.global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && !self.around.no_color && !self.around.dumb,
        }
    }

    /// Whether somebody looks at stdout.
    pub(super) fn stdout_is_terminal(&self) -> bool {
        self.around.stdout_terminal
    }

    /// Whether somebody sits at a terminal who can be asked.
    pub(super) fn has_terminal(&self) -> bool {
        self.around.stdin_terminal && self.around.stderr_terminal
    }

    /// How progress is shown: what `--progress` says; `auto` means bars on a
    /// terminal, lines elsewhere and nothing with `--quiet`.
    pub(super) fn progress_view(&self) -> ProgressView {
        match self.global.progress {
            ProgressStyle::Plain => ProgressView::Plain,
            ProgressStyle::Json => ProgressView::Json,
            ProgressStyle::None => ProgressView::None,
            ProgressStyle::Auto if self.global.quiet => ProgressView::None,
            ProgressStyle::Auto if self.around.stderr_terminal && !self.around.dumb => {
                ProgressView::Bars
            }
            ProgressStyle::Auto => ProgressView::Plain,
        }
    }

    /// The runtime of a command: asynchronous work on a few threads, CPU work
    /// on rayon's; together as many as there are cores.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(super) fn runtime(&self) -> Result<tokio::runtime::Runtime, CliError> {
        let (asynchronous, cpu) = pools(cores());
        start(asynchronous, cpu)
    }

    /// The runtime of a command whose work is nearly all on rayon's threads:
    /// they are as many as there are cores.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(super) fn cpu_runtime(&self) -> Result<tokio::runtime::Runtime, CliError> {
        let (asynchronous, _) = pools(cores());
        start(asynchronous, cores())
    }

    /// Asks a question that is answered with yes or no, and says which;
    /// `--yes` answers it unasked.
    ///
    /// # Errors
    /// Refuses (exit 2) when nobody can answer because there is no terminal.
    pub(super) fn confirm(&self, question: &str) -> Result<bool, CliError> {
        if self.global.yes {
            return Ok(true);
        }
        if !self.has_terminal() {
            return Err(CliError::refused(
                "confirmation",
                format!("nobody can be asked without a terminal: {question}"),
            )
            .hint("Say yes beforehand with --yes."));
        }
        above_bars(|| ask(question, &mut io::stdin().lock(), &mut io::stderr().lock())).map_err(
            |error| CliError::refused("confirmation", "no answer could be read").caused_by(&error),
        )
    }

    /// Prints to stdout. A reader who has seen enough (`| head`) is no error.
    ///
    /// # Errors
    /// When stdout can't be written, because the disk behind it is full, say.
    pub(super) fn print(&self, text: &str) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CliError::repair("stdout", "stdout can't be written").caused_by(&error))
            }
            _ => Ok(()),
        }
    }

    /// Prints the one JSON object of `--json` to stdout.
    ///
    /// # Errors
    /// As [`Context::print`].
    pub(super) fn print_json(&self, value: &impl Serialize) -> Result<(), CliError> {
        let mut text = serde_json::to_string_pretty(value).map_err(|error| {
            CliError::repair("stdout", "the result can't be written as JSON").caused_by(&error)
        })?;
        text.push('\n');
        self.print(&text)
    }

    /// Shows the summary of a run on stdout: with `--json` as JSON, else as a
    /// table; with `--quiet` the table only when not every row succeeded.
    ///
    /// # Errors
    /// As [`Context::print`].
    pub(super) fn show_summary(&self, summary: &Summary) -> Result<(), CliError> {
        if self.global.json {
            self.print_json(summary)
        } else if self.global.quiet && summary.exit_code == 0 {
            Ok(())
        } else {
            self.print(&render(summary, self.colour_on_stdout()))
        }
    }

    /// Tells a person something on stderr, above any bars, where words are
    /// wanted.
    pub(super) fn say(&self, text: &str) {
        if !self.global.quiet && self.progress_view() != ProgressView::Json {
            let _ = above_bars(|| writeln!(io::stderr(), "{}", text.trim_end()));
        }
    }

    /// Prints an error where the flags want it and gives its exit code: for
    /// people on stderr, as a JSON line where stderr carries those, and with
    /// `--json` as the final object on stdout.
    pub(super) fn report(&self, error: &CliError) -> ExitCode {
        if self.global.json {
            // Nothing is left to tell it with when stdout is gone too.
            let _ = self.print_json(&error.json());
        }
        self.report_on_stderr(error);
        error.exit.into()
    }

    /// The part of [`Context::report`] on stderr, for a command that printed
    /// its own final object.
    pub(super) fn report_on_stderr(&self, error: &CliError) {
        let text = if self.progress_view() == ProgressView::Json {
            super::progress::error_line(error)
        } else {
            error.render_in(self.colour_on_stderr())
        };
        let _ = above_bars(|| io::stderr().write_all(text.as_bytes()));
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn start(asynchronous: usize, cpu: usize) -> Result<tokio::runtime::Runtime, CliError> {
    // Fails only when the pool is there already, which is as good.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(cpu)
        .thread_name(|index| format!("cpu-{index}"))
        .build_global();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(asynchronous)
        .thread_name("async")
        .enable_all()
        .build()
        .map_err(|error| {
            CliError::repair("threads", "the system gives no threads").caused_by(&error)
        })
}

/// Threads for asynchronous work and for CPU work: sockets and timers need
/// little, cutting and matching rows need the rest.
fn pools(cores: usize) -> (usize, usize) {
    let asynchronous = (cores / 4).clamp(1, 4);
    (asynchronous, cores.saturating_sub(asynchronous).max(1))
}

/// Puts the question until the answer is one. No answer (end of file) is no.
fn ask(question: &str, input: &mut impl BufRead, output: &mut impl Write) -> io::Result<bool> {
    loop {
        write!(output, "{question} [y/N] ")?;
        output.flush()?;
        let mut answer = String::new();
        if input.read_line(&mut answer)? == 0 {
            writeln!(output)?;
            return Ok(false);
        }
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "" | "n" | "no" => return Ok(false),
            _ => writeln!(output, "Please answer y or n.")?,
        }
    }
}

/// The most memory the process held so far, in bytes; `None` where the system
/// doesn't tell.
pub(super) fn peak_memory_bytes() -> Option<u64> {
    // getrusage(2) counts what whoever started us held before its exec, such as
    // `cargo run`; the status file begins anew there.
    #[cfg(target_os = "linux")]
    if let Ok(status) = std::fs::read_to_string("/proc/self/status")
        && let Some(peak) = high_water_mark(&status)
    {
        return Some(peak);
    }
    #[cfg(unix)]
    {
        use nix::sys::resource::{UsageWho, getrusage};
        let peak = u64::try_from(getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss()).ok()?;
        // getrusage(2): kilobytes, but bytes on macOS.
        Some(if cfg!(target_os = "macos") { peak } else { peak * 1024 })
    }
    #[cfg(not(unix))]
    None
}

/// `VmHWM` of proc(5), in bytes.
#[cfg(target_os = "linux")]
fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        global: GlobalArgs,
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_is_that_of_this_program_alone() {
        let status = "Name:\tbulkhaul\nVmPeak:\t  900000 kB\nVmHWM:\t   61832 kB\nVmRSS:\t 5 kB\n";
        assert_eq!(high_water_mark(status), Some(61_832 * 1024));
        assert_eq!(high_water_mark("Name:\tbulkhaul\n"), None);
        assert!(peak_memory_bytes().is_some_and(|peak| peak > 1 << 20));
    }

    fn context(flags: &[&str], around: Surroundings) -> Context {
        let flags = Flags::try_parse_from([&["bulkhaul"], flags].concat()).unwrap();
        Context { global: flags.global, around }
    }

    fn terminal() -> Surroundings {
        Surroundings {
            stdin_terminal: true,
            stdout_terminal: true,
            stderr_terminal: true,
            ..Surroundings::default()
        }
    }

    #[test]
    fn colours_follow_flag_then_environment_then_terminal() {
        let plain = Surroundings { no_color: true, ..terminal() };
        let dumb = Surroundings { dumb: true, ..terminal() };
        for (flags, around, expected) in [
            (&[][..], terminal(), true),
            (&[], Surroundings::default(), false),
            (&[], plain.clone(), false),
            (&[], dumb, false),
            (&["--color", "always"], plain, true),
            (&["--color", "never"], terminal(), false),
        ] {
            assert_eq!(context(flags, around).colour_on_stdout(), expected, "{flags:?}");
        }
    }

    #[test]
    fn auto_progress_suits_what_stderr_is() {
        let dumb = Surroundings { dumb: true, ..terminal() };
        for (flags, around, expected) in [
            (&[][..], terminal(), ProgressView::Bars),
            (&[], dumb, ProgressView::Plain),
            (&[], Surroundings::default(), ProgressView::Plain),
            (&["-q"], terminal(), ProgressView::None),
            (&["-q", "--progress", "json"], terminal(), ProgressView::Json),
            (&["--progress", "plain"], terminal(), ProgressView::Plain),
        ] {
            assert_eq!(context(flags, around).progress_view(), expected, "{flags:?}");
        }
    }

    #[test]
    fn without_a_terminal_only_yes_says_yes() {
        let error = context(&[], Surroundings::default()).confirm("Delete 5 rows?").unwrap_err();
        assert_eq!(error.exit as u8, 2);
        assert!(error.message.contains("Delete 5 rows?"));
        // Answers piped in are nobody's answers.
        let piped = Surroundings { stdin_terminal: false, ..terminal() };
        assert!(context(&[], piped).confirm("Delete?").is_err());
        assert!(context(&["--yes"], Surroundings::default()).confirm("Delete?").unwrap());
    }

    #[test]
    fn a_question_is_put_until_it_is_answered() {
        for (answers, expected, times) in [
            ("y\n", true, 1),
            ("YES\n", true, 1),
            ("\n", false, 1),
            ("n\n", false, 1),
            ("", false, 1),
            ("hm\ny\n", true, 2),
        ] {
            let mut output = Vec::new();
            assert_eq!(ask("Go on?", &mut answers.as_bytes(), &mut output).unwrap(), expected);
            let output = String::from_utf8(output).unwrap();
            assert_eq!(output.matches("Go on? [y/N]").count(), times);
        }
    }

    #[test]
    fn both_pools_together_match_the_cores() {
        assert_eq!(pools(1), (1, 1));
        for cores in 2..100 {
            let (asynchronous, cpu) = pools(cores);
            assert_eq!(asynchronous + cpu, cores);
        }
    }

    #[test]
    fn the_runtime_runs() {
        let runtime = context(&[], terminal()).runtime().unwrap();
        assert_eq!(runtime.block_on(async { tokio::spawn(async { 7 }).await.unwrap() }), 7);
    }

    #[cfg(unix)]
    #[test]
    fn memory_is_measured() {
        assert!(peak_memory_bytes().unwrap() > 1_000_000);
    }
}
