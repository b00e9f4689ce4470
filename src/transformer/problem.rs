//! What is wrong with a load before it starts.

/// One reason why a load can't work as asked, in words for a person.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error, serde::Serialize)]
#[error("{message}")]
pub struct Problem {
    /// What is wrong and where, a sentence without a full stop.
    pub message: String,
    /// What may be done about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem that explains itself.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Problem { message: message.into(), hint: None }
    }

    /// Adds what may be done about it.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
