//! An error and its causes as one text.

/// An error and its causes on one line, each separated by `: `. Errors here
/// say their own part only, so this is how they are told whole.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
