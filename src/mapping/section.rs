//! A table of a mapping file as it is read: every value with its place, every
//! mistake noted with line and what is allowed, and reading goes on.

use std::cell::RefCell;
use std::ops::Range;

use memchr::memchr_iter;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::MappingProblem;
use crate::domain::nearest;

/// The text of a mapping file and what was found wrong with it.
pub(super) struct Report<'f> {
    text: &'f str,
    problems: RefCell<Vec<MappingProblem>>,
}

impl<'f> Report<'f> {
    pub(super) fn new(text: &'f str) -> Self {
        Report { text, problems: RefCell::default() }
    }

    /// The line of a place in the text.
    pub(super) fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or(self.text.as_bytes());
        memchr_iter(b'\n', before).count() + 1
    }

    pub(super) fn add(&self, at: usize, about: &str, message: impl Into<String>) {
        self.hinted(at, about, message, None);
    }

    pub(super) fn hinted(
        &self,
        at: usize,
        about: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.problems.borrow_mut().push(MappingProblem {
            line: Some(self.line(at)),
            about: about.to_owned(),
            message: message.into(),
            hint,
        });
    }

    /// All that was found, in the order of the file.
    pub(super) fn into_problems(self) -> Vec<MappingProblem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.line);
        problems
    }
}

/// A value and where it stands.
pub(super) type Value<'f> = Spanned<DeValue<'f>>;

/// A table and its place.
#[derive(Clone, Copy)]
pub(super) struct Section<'f, 'r> {
    pub(super) report: &'r Report<'f>,
    table: &'r DeTable<'f>,
    /// What it is called, such as `fields.Name`.
    pub(super) about: &'r str,
    /// Where it begins.
    pub(super) at: usize,
}

/// Words in backticks, in a row.
pub(super) fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

impl<'f, 'r> Section<'f, 'r> {
    /// A table in which only these keys may stand.
    pub(super) fn new(
        report: &'r Report<'f>,
        table: &'r DeTable<'f>,
        about: &'r str,
        at: usize,
        keys: &[&str],
    ) -> Self {
        let section = Section { report, table, about, at };
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if !keys.contains(&name) {
                let near = nearest(name, keys.iter().copied());
                let mean = near.map(|near| format!("did you mean `{near}`?"));
                let message = format!("`{name}` is no key here; allowed are {}", listed(keys));
                report.hinted(key.span().start, about, message, mean);
            }
        }
        section
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&'r Value<'f>> {
        self.table.get(key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Where a key's value stands; where the table does, if it isn't there.
    pub(super) fn place(&self, key: &str) -> usize {
        self.get(key).map_or(self.at, |value| value.span().start)
    }

    /// Notes what is wrong with a key.
    pub(super) fn wrong(&self, key: &str, message: impl AsRef<str>) {
        self.report.add(self.place(key), self.about, format!("`{key}` {}", message.as_ref()));
    }

    fn kind(&self, key: &str, value: &Value<'_>, wanted: &str) {
        self.wrong(key, format!("must be {wanted}, it is {}", kind_of(value.get_ref())));
    }

    pub(super) fn text(&self, key: &str) -> Option<&'r str> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(text.as_ref()),
            _ => {
                self.kind(key, value, "text in quotes");
                None
            }
        }
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => {
                self.kind(key, value, "`true` or `false`");
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(&self, key: &str, within: &Range<i64>) -> Option<i64> {
        let value = self.get(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let number = number.filter(|number| within.contains(number));
        if number.is_none() {
            self.wrong(
                key,
                format!("must be a whole number from {} to {}", within.start, within.end - 1),
            );
        }
        number
    }

    /// A text or a list of them; not empty.
    pub(super) fn texts(&self, key: &str) -> Option<Vec<&'r str>> {
        let value = self.get(key)?;
        let found = match value.get_ref() {
            DeValue::String(text) => Some(vec![text.as_ref()]),
            DeValue::Array(list) => list
                .iter()
                .map(|value| match value.get_ref() {
                    DeValue::String(text) => Some(text.as_ref()),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        match found {
            Some(texts) if !texts.is_empty() => Some(texts),
            Some(_) => {
                self.wrong(key, "must not be empty");
                None
            }
            None => {
                self.wrong(key, "must be text in quotes, or a list of such");
                None
            }
        }
    }

    /// One of several words.
    pub(super) fn word(&self, key: &str, words: &[&str]) -> Option<&'r str> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::String(text) if words.contains(&text.as_ref()) => Some(text.as_ref()),
            DeValue::String(text) => {
                let mean = nearest(text, words.iter().copied());
                let mean = mean.map(|near| format!("did you mean `{near}`?"));
                let message = format!("`{key}` can't be `{text}`; allowed are {}", listed(words));
                self.report.hinted(value.span().start, self.about, message, mean);
                None
            }
            _ => {
                self.kind(key, value, &format!("one of {}", listed(words)));
                None
            }
        }
    }

    /// A table below this one.
    pub(super) fn table(&self, key: &str) -> Option<(&'r DeTable<'f>, usize)> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some((table, value.span().start)),
            _ => {
                self.kind(key, value, "a table");
                None
            }
        }
    }

    /// The entries of this table, in the order of the file.
    pub(super) fn entries(&self) -> Vec<(&'r str, usize, &'r Value<'f>)> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| (key.get_ref().as_ref(), key.span().start, value))
            .collect();
        entries.sort_by_key(|(_, at, _)| *at);
        entries
    }
}

/// What kind of value something is, for people.
pub(super) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
