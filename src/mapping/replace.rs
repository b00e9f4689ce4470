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
    letters: Option<Letters>,
}

/// An expression that stands for single characters, such as `[^0-9]+`: what it
/// says of each ASCII one. It was asked, so the two can't differ.
#[derive(Debug)]
struct Letters {
    matches: [bool; 128],
    /// Whether a run of them is one match.
    runs: bool,
}

impl Letters {
    fn of(pattern: &str, regex: &Regex) -> Option<Self> {
        let (class, runs) = match pattern.strip_suffix('+') {
            Some(class) => (class, true),
            None => (pattern, false),
        };
        let is_class = match class.strip_prefix('[') {
            // A bracket or a backslash inside may mean more than itself.
            Some(inner) => inner
                .strip_suffix(']')
                .is_some_and(|inner| !inner.is_empty() && !inner.contains(['[', ']', '\\'])),
            None => matches!(class, r"\d" | r"\D" | r"\s" | r"\S" | r"\w" | r"\W"),
        };
        if !is_class {
            return None;
        }
        let mut matches = [false; 128];
        for (letter, matched) in (0_u8..).zip(&mut matches) {
            *matched = regex.is_match(char::from(letter).encode_utf8(&mut [0; 4]));
        }
        Some(Letters { matches, runs })
    }

    fn has(&self, byte: u8) -> bool {
        self.matches.get(usize::from(byte)).copied().unwrap_or_default()
    }

    /// Replaces in a text that is ASCII.
    fn apply(&self, text: &mut Text<'_>, with: &str) {
        if !text.as_str().bytes().any(|byte| self.has(byte)) {
            return;
        }
        text.rewrite(|now, next| {
            let mut in_run = false;
            for byte in now.bytes() {
                let matched = self.has(byte);
                if !matched {
                    next.push(char::from(byte));
                } else if !(in_run && self.runs) {
                    next.push_str(with);
                }
                in_run = matched;
            }
        });
    }
}

impl Replacer {
    pub(super) fn new(replace: &Replace) -> Result<Self, String> {
        let expands = replace.with.contains('$');
        let regex = compile(&replace.pattern)?;
        let letters = Letters::of(&replace.pattern, &regex).filter(|_| !expands);
        Ok(Replacer { regex, with: replace.with.clone(), expands, letters })
    }

    /// Replaces wherever it matches.
    pub(super) fn apply(&self, text: &mut Text<'_>) {
        let now = text.as_str();
        if let Some(letters) = &self.letters
            && now.is_ascii()
        {
            return letters.apply(text, &self.with);
        }
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
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn a_class_of_characters_is_replaced_as_the_expression_does(
            class in prop::sample::select(vec![
                "[^+0-9]", "[a-c ]", "[.]", "[^^a-]", "[a&&b]", "[--/]", r"\D", r"\w", r"\s", "[:alpha:]",
            ]),
            runs in any::<bool>(),
            with in prop::sample::select(vec!["", "-", "ab"]),
            value in "[ -~\t\n]{0,12}|[a-d+0-9 é.:]{0,8}",
        ) {
            let pattern = format!("{class}{}", if runs { "+" } else { "" });
            if let Ok(regex) = compile(&pattern) {
                let expected = regex.replace_all(&value, NoExpand(with)).into_owned();
                let replace = Replace { pattern, with: with.to_owned() };
                let mut text = Text::default();
                text.set(&value);
                Replacer::new(&replace).unwrap().apply(&mut text);
                prop_assert_eq!(text.as_str(), expected);
            }
        }
    }

    #[test]
    fn what_is_wrong_with_an_expression_is_one_line() {
        assert_eq!(compile("(a").unwrap_err(), "unclosed group");
    }
}
