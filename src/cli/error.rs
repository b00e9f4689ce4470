//! The one error a person sees: what happened, why, and what to do next.
//!
//! Rules for writing one: the message says what happened and where, in lower
//! case and without a full stop (causes chain behind it with `: `); the hint
//! is a full sentence that says what to do. `Display` of an error never
//! repeats its source; the printer walks the chain.

use std::process::ExitCode;

/// The exit codes of the command-line contract (docs/cli.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Every row succeeded.
    Success = 0,
    /// The run can't go on until something is repaired.
    Repair = 1,
    /// Usage, configuration or preflight refusal; nothing was sent.
    Refused = 2,
    /// Finished, but some rows were rejected, failed, unprocessed or disputed.
    RowsLeft = 3,
    /// Interrupted or detached; `resume` goes on.
    Interrupted = 4,
    /// Stopped at a limit the user set.
    Stopped = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error as a person sees it.
#[derive(Debug)]
pub struct CliError {
    /// What kind it is; decides the exit code.
    pub exit: Exit,
    /// A stable word for machines, as in docs/errors.md (`preflight`, `login`).
    pub code: &'static str,
    /// What happened and where.
    pub message: String,
    /// Several problems found at once, one line each.
    pub problems: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
    /// Whether `resume` can go on.
    pub resumable: bool,
}

impl CliError {
    /// A refusal before anything was sent (exit 2).
    pub fn refused(code: &'static str, message: impl Into<String>) -> Self {
        CliError {
            exit: Exit::Refused,
            code,
            message: message.into(),
            problems: Vec::new(),
            hint: None,
            resumable: false,
        }
    }

    /// Something has to be repaired first (exit 1).
    pub fn repair(code: &'static str, message: impl Into<String>) -> Self {
        CliError { exit: Exit::Repair, ..CliError::refused(code, message) }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the problems found.
    #[must_use]
    pub fn problems(mut self, problems: Vec<String>) -> Self {
        self.problems = problems;
        self
    }

    /// The text for a terminal, without colours.
    pub fn render(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!("error: {}\n", self.message);
        for problem in &self.problems {
            let _ = writeln!(text, "  - {problem}");
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "hint: {hint}");
        }
        text
    }

    /// Prints the error before there is a context to print with.
    #[expect(clippy::print_stderr, reason = "the cli is where things are printed")]
    pub fn report_plainly(&self) -> ExitCode {
        eprint!("{}", self.render());
        self.exit.into()
    }
}

/// An error and its causes on one line, each separated by `: `.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
