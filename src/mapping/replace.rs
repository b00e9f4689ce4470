//! Regular expressions that are replaced.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{NoExpand, Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::text::Text;

/// Bytes a compiled expression may take, far more than a sensible one needs.
const MOST_BYTES: usize = 4 << 20;

/// An expression and what takes the place of what it matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replace {
    /// The expression.
    pub pattern: String,
    /// The text; `$1` and `${name}` stand for groups.
    pub with: String,
}

/// Compiles an expression.
///
/// # Errors
/// What is wrong with it, in one line.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(MOST_BYTES).build().map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        last.trim_start_matches("error: ").to_owned()
    })
}

/// A compiled one.
#[derive(Debug)]
pub(super) struct Replacer {
    regex: Regex,
    with: String,
    expands: bool,
}

impl Replacer {
    pub(super) fn new(replace: &Replace) -> Result<Self, String> {
        let expands = replace.with.contains('$');
        Ok(Replacer { regex: compile(&replace.pattern)?, with: replace.with.clone(), expands })
    }

    /// Replaces wherever it matches.
    pub(super) fn apply(&self, text: &mut Text) {
        let now = text.as_str();
        let made = if self.expands {
            self.regex.replace_all(now, self.with.as_str())
        } else {
            self.regex.replace_all(now, NoExpand(&self.with))
        };
        // Most values have nothing to replace.
        if let Cow::Owned(made) = made {
            text.set(&made);
        }
    }
}

/// The names of groups that a text refers to.
pub(super) fn groups(with: &str) -> Vec<String> {
    static GROUP: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\$(?:\$|\{([^}]*)\}|(\w+))").ok());
    let Some(group) = &*GROUP else { return Vec::new() };
    group
        .captures_iter(with)
        .filter_map(|found| found.get(1).or_else(|| found.get(2)))
        .map(|name| name.as_str().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_put_in_and_text_is_taken_as_it_is() {
        let replaced = |value: &str, pattern: &str, with: &str| {
            let replace = Replace { pattern: pattern.to_owned(), with: with.to_owned() };
            let mut text = Text::default();
            text.set(value);
            Replacer::new(&replace).unwrap().apply(&mut text);
            text.as_str().to_owned()
        };
        assert_eq!(replaced("Müller GmbH", r"\s*GmbH$", ""), "Müller");
        assert_eq!(replaced("0049-30", r"^00(\d\d)-", "+$1 "), "+49 30");
        assert_eq!(replaced("a.b.c", r"\.", "$$"), "a$b$c");
        assert_eq!(groups("$$ ${name} $1x"), ["name", "1x"]);
    }

    #[test]
    fn what_is_wrong_with_an_expression_is_one_line() {
        assert_eq!(compile("(a").unwrap_err(), "unclosed group");
    }
}
