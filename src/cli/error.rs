//! The one error a person sees: what happened, why, and what to do next.
//!
//! Rules for writing one: the message says what happened and where, in lower
//! case and without a full stop (causes chain behind it with `: `); the hint
//! is a full sentence that says what to do. `Display` of an error never
//! repeats its source; the printer walks the chain.

use std::process::ExitCode;

use crate::domain::error_chain;
use crate::report::ErrorSummary;
use crate::report::format::printable;

/// What to do when a file is in the way of a run: a full disk mostly.
pub(super) const MEND_AND_RESUME: &str = "Mend what is named: free space where a disk is full, give \
     back the right to write. Then `bulkhaul resume` goes on; what was sent is in the run folder's \
     ledger.";

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

impl Exit {
    /// The exit that has this code; what is no code of ours is a fault to
    /// repair.
    pub const fn from_code(code: u8) -> Exit {
        match code {
            0 => Exit::Success,
            2 => Exit::Refused,
            3 => Exit::RowsLeft,
            4 => Exit::Interrupted,
            5 => Exit::Stopped,
            _ => Exit::Repair,
        }
    }
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

    /// Interrupted or detached, with nothing to repair (exit 4).
    pub fn interrupted(code: &'static str, message: impl Into<String>) -> Self {
        CliError { exit: Exit::Interrupted, resumable: true, ..CliError::refused(code, message) }
    }

    /// Adds an error and its causes behind the message.
    #[must_use]
    pub fn caused_by(mut self, error: &dyn std::error::Error) -> Self {
        self.message.push_str(": ");
        self.message.push_str(&error_chain(error));
        self
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
        self.render_in(false)
    }

    /// The text for a terminal, with colours or without. Text that came from a
    /// file or an org can't steer the terminal.
    pub fn render_in(&self, colour: bool) -> String {
        use std::fmt::Write as _;
        let (red, cyan, bold, plain) = if colour {
            ("\u{1b}[1;31m", "\u{1b}[1;36m", "\u{1b}[1m", "\u{1b}[0m")
        } else {
            ("", "", "", "")
        };
        let mut text =
            format!("{red}error{plain}{bold}: {}{plain}\n", lines_below(&self.message, "  "));
        for problem in &self.problems {
            let _ = writeln!(text, "  - {}", lines_below(problem, "    "));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "{cyan}hint{plain}: {}", lines_below(hint, "  "));
        }
        text
    }

    /// What `--json` and summary.json hold of the error.
    pub fn summary(&self) -> ErrorSummary {
        ErrorSummary {
            code: self.code.to_owned(),
            message: self.message.clone(),
            hint: self.hint.clone(),
            resumable: self.resumable,
            problems: self.problems.clone(),
        }
    }

    /// The final JSON object of a command that has no summary of its own.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({ "exit_code": self.exit as u8, "error": self.summary() })
    }

    /// Prints the error before there is a context to print with.
    #[expect(clippy::print_stderr, reason = "the cli is where things are printed")]
    pub fn report_plainly(&self) -> ExitCode {
        eprint!("{}", self.render());
        self.exit.into()
    }
}

/// A text of several lines, made safe, its further lines set in.
fn lines_below(text: &str, indent: &str) -> String {
    let lines: Vec<_> = text.trim_end().lines().map(printable).collect();
    lines.join(&format!("\n{indent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> CliError {
        CliError::refused("preflight", "accounts.csv can't go into Account")
            .problems(vec![
                "column `Nmae`: Account has no such field; nearest is `Name`".to_owned(),
                "column `\u{1b}[2JX`: Account has no such field".to_owned(),
            ])
            .hint("Rename the columns with --map 'Column=Field'.")
    }

    #[test]
    fn a_person_reads_what_happened_each_problem_and_what_to_do() {
        insta::assert_snapshot!(example().render(), @r"
        error: accounts.csv can't go into Account
          - column `Nmae`: Account has no such field; nearest is `Name`
          - column `\u{1b}[2JX`: Account has no such field
        hint: Rename the columns with --map 'Column=Field'.
        ");
        assert!(example().render_in(true).starts_with("\u{1b}[1;31merror\u{1b}[0m"));
    }

    #[test]
    fn a_machine_reads_the_same() {
        let json = example().json();
        assert_eq!(json["exit_code"], 2);
        assert_eq!(json["error"]["code"], "preflight");
        assert_eq!(json["error"]["resumable"], false);
        assert_eq!(json["error"]["problems"].as_array().unwrap().len(), 2);
        assert_eq!(json["error"]["hint"], "Rename the columns with --map 'Column=Field'.");
    }

    #[test]
    fn causes_follow_the_message() {
        let io = std::io::Error::other("no space left on device");
        let cause = crate::report::SummaryError { path: "runs/1/summary.json".into(), source: io };
        let error = CliError::repair("disk", "the run can't be recorded").caused_by(&cause);
        assert_eq!(
            error.message,
            "the run can't be recorded: runs/1/summary.json can't be written: \
             no space left on device"
        );
        assert_eq!(error.exit, Exit::Repair);
    }

    #[test]
    fn codes_and_exits_agree() {
        for code in 0..=5 {
            assert_eq!(Exit::from_code(code) as u8, code);
        }
        assert_eq!(Exit::from_code(77), Exit::Repair);
    }
}
