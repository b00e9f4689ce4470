//! Which rows are sent.

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::cells::Cells;
use super::text::is_word;

/// The conditions of a mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter<C = usize> {
    /// All of these must hold.
    pub all: Vec<Condition<C>>,
    /// One of these must hold, if there are any.
    pub any: Vec<Condition<C>>,
}

/// A condition on a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition<C = usize> {
    /// The column.
    pub column: C,
    /// What is asked of it.
    pub test: Test,
    /// Whether letter case doesn't count.
    pub ignore_case: bool,
}

/// What a condition asks of a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// It is one of these.
    Is(Vec<String>),
    /// It is none of these.
    IsNot(Vec<String>),
    /// A regular expression matches in it.
    Matches(String),
    /// None does.
    MatchesNot(String),
    /// It is empty, or isn't.
    Empty(bool),
}

impl<C> Filter<C> {
    /// The same with columns found; `None` when one isn't.
    pub fn find<D>(&self, mut find: impl FnMut(&C) -> Option<D>) -> Option<Filter<D>> {
        let mut found = |conditions: &[Condition<C>]| {
            let each = conditions.iter().map(|condition| {
                Some(Condition {
                    column: find(&condition.column)?,
                    test: condition.test.clone(),
                    ignore_case: condition.ignore_case,
                })
            });
            each.collect::<Option<Vec<_>>>()
        };
        Some(Filter { all: found(&self.all)?, any: found(&self.any)? })
    }

    /// The columns it looks at.
    pub fn columns(&self) -> impl Iterator<Item = &C> {
        self.all.iter().chain(&self.any).map(|condition| &condition.column)
    }
}

/// A filter, ready to be used.
#[derive(Debug)]
pub(super) struct Sieve {
    all: Vec<Asked>,
    any: Vec<Asked>,
}

#[derive(Debug)]
struct Asked {
    column: usize,
    question: Question,
    /// What the answer must be.
    answer: bool,
}

#[derive(Debug)]
enum Question {
    OneOf(Vec<String>),
    /// In lower case.
    OneOfFolded(Vec<String>),
    Matches(Regex),
    Empty,
}

impl Sieve {
    /// # Errors
    /// What is wrong with an expression.
    pub(super) fn new(filter: &Filter) -> Result<Self, String> {
        let each = |conditions: &[Condition]| conditions.iter().map(Asked::new).collect();
        Ok(Sieve {
            all: each(&filter.all)?,
            any: {
                let any: Result<Vec<Asked>, String> = each(&filter.any);
                any?
            },
        })
    }

    /// Whether a row is sent.
    pub(super) fn lets_pass(&self, cells: &Cells<'_, '_>, room: &mut Vec<u8>) -> bool {
        let mut holds = |asked: &Asked| asked.holds(cells.text(asked.column, room));
        self.all.iter().all(&mut holds) && (self.any.is_empty() || self.any.iter().any(holds))
    }
}

impl Asked {
    fn new(condition: &Condition) -> Result<Self, String> {
        let words = |words: &[String]| {
            if condition.ignore_case {
                Question::OneOfFolded(words.iter().map(|word| word.to_lowercase()).collect())
            } else {
                Question::OneOf(words.to_vec())
            }
        };
        let regex = |pattern: &str| {
            super::replace::compile(pattern)?;
            let built = RegexBuilder::new(pattern).case_insensitive(condition.ignore_case).build();
            built.map(Question::Matches).map_err(|error| error.to_string())
        };
        let (question, answer) = match &condition.test {
            Test::Is(list) => (words(list), true),
            Test::IsNot(list) => (words(list), false),
            Test::Matches(pattern) => (regex(pattern)?, true),
            Test::MatchesNot(pattern) => (regex(pattern)?, false),
            Test::Empty(answer) => (Question::Empty, *answer),
        };
        Ok(Asked { column: condition.column, question, answer })
    }

    fn holds(&self, value: &str) -> bool {
        let value = value.trim();
        let answer = match &self.question {
            Question::OneOf(words) => words.iter().any(|word| word == value),
            Question::OneOfFolded(words) => is_word(value, words),
            Question::Matches(regex) => regex.is_match(value),
            Question::Empty => value.is_empty(),
        };
        answer == self.answer
    }
}
