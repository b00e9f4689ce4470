//! SOQL, as far as this org speaks it: one object and its parents.
//!
//! | part | what it does |
//! |---|---|
//! | [`lexer`] | text to words |
//! | [`parser`] | words to a query as written ([`ast`]) |
//! | [`dates`] | dates, instants and date literals |
//! | [`plan`] | names to fields, checked against the catalogue |
//! | [`filter`] | whether a record fulfils the condition |
//! | [`read`] | values of a record and of its parents |
//! | [`project`] | a record to its JSON |
//! | [`run`] | the records of a query, in order |
//! | [`group`] | aggregates |
//!
//! Not spoken: subqueries, `TYPEOF`, `HAVING`, functions other than the
//! aggregates, `FIELDS()`, currency literals, aliases of objects.

pub(crate) mod ast;
pub(crate) mod dates;
mod filter;
mod group;
pub(crate) mod lexer;
mod like;
mod parser;
pub(crate) mod plan;
pub(crate) mod project;
pub(crate) mod read;
pub(crate) mod run;

pub(crate) use parser::parse;

/// A refused query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SoqlError {
    /// `MALFORMED_QUERY`, `INVALID_FIELD`, `INVALID_TYPE` ...
    pub code: &'static str,
    /// As the service words it, with the place in the text.
    pub message: String,
}

impl SoqlError {
    /// An error without a place.
    pub(crate) fn plain(code: &'static str, message: impl Into<String>) -> SoqlError {
        SoqlError { code, message: message.into() }
    }

    /// An error at an offset of the text, in the service's own form: the
    /// text around, a caret, row and column, what is wrong.
    pub(crate) fn at(code: &'static str, text: &str, at: usize, what: &str) -> SoqlError {
        let before = text.get(..at).unwrap_or(text);
        let row = before.matches('\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        // Some forty characters of the line, as the service shows them.
        let line = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
        let skipped = column.saturating_sub(30);
        let shown: String = line.chars().skip(skipped).take(60).collect();
        let caret = " ".repeat(column - 1 - skipped.min(column - 1));
        SoqlError {
            code,
            message: format!("\n{shown}\n{caret}^\nERROR at Row:{row}:Column:{column}\n{what}"),
        }
    }

    fn malformed(text: &str, at: usize, what: &str) -> SoqlError {
        SoqlError::at("MALFORMED_QUERY", text, at, what)
    }

    fn unexpected(text: &str, at: usize, token: &str) -> SoqlError {
        SoqlError::malformed(text, at, &format!("unexpected token: '{token}'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place() {
        let error = SoqlError::malformed("SELECT Foo FROM Bar", 7, "no");
        assert_eq!(error.message, "\nSELECT Foo FROM Bar\n       ^\nERROR at Row:1:Column:8\nno");
        let second = SoqlError::malformed("SELECT Id\nFROM Bar", 15, "no");
        assert!(second.message.starts_with("\nFROM Bar\n     ^\nERROR at Row:2:Column:6"));
        let long = SoqlError::malformed(&"é".repeat(500), 600, "no");
        assert!(long.message.contains("Column:301"));
    }
}
