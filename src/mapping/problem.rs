//! What is wrong with a mapping file.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong, in words for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingProblem {
    /// The line of the file; `None` where it is not about the file's text.
    pub line: Option<usize>,
    /// What it is about, such as `fields.Name`; may be empty.
    pub about: String,
    /// What is wrong and what is allowed, a sentence without a full stop.
    pub message: String,
    /// What may be done about it.
    pub hint: Option<String>,
}

impl MappingProblem {
    /// A problem that shows when a run goes on.
    pub(super) fn of_run(about: &str, message: String) -> Self {
        MappingProblem { line: None, about: about.to_owned(), message, hint: None }
    }

    /// The problem with its place in a file of this name.
    pub fn told(&self, file: &str) -> String {
        let line = self.line.map_or(String::new(), |line| format!(":{line}"));
        let about = if self.about.is_empty() { "" } else { ": " };
        format!("{file}{line}{about}{}: {}", self.about, self.message)
    }
}

/// A mapping file that can't be used.
#[derive(Debug)]
pub struct MappingError {
    /// The file.
    pub path: PathBuf,
    /// All that is wrong.
    pub problems: Vec<MappingProblem>,
}

impl MappingError {
    pub(super) fn new(path: &Path, problems: Vec<MappingProblem>) -> Self {
        MappingError { path: path.to_owned(), problems }
    }

    /// The name of the file alone.
    pub fn file_name(&self) -> String {
        file_name(&self.path)
    }
}

/// The name of a file alone.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the mapping {} can't be used", self.path.display())
    }
}

impl std::error::Error for MappingError {}
