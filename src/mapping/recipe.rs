//! How a value is made: the checked form of a field's entry, which the ledger
//! keeps. Columns are names as the file has them, or places in the source once
//! it was held against a header.

use serde::{Deserialize, Serialize};

use super::date::DateFormats;
use super::mask::Mask;
use super::number::NumberFormat;
use super::replace::Replace;

/// How the values of one field are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe<C = usize> {
    /// What it begins with.
    pub origin: Origin<C>,
    /// What is done with it, in this order.
    pub steps: Vec<Step>,
    /// What an empty value means.
    pub empty: WhenEmpty,
}

/// What a value begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin<C = usize> {
    /// The value of a column.
    Column(C),
    /// The same for every row.
    Constant(String),
    /// Columns and the text between them.
    Template(Vec<Piece<C>>),
    /// Columns that are not empty, joined.
    Joined {
        /// The columns.
        columns: Vec<C>,
        /// What stands between them.
        by: String,
    },
    /// The parts of a composite key.
    Key(Vec<C>),
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece<C = usize> {
    /// Text that stands in it.
    Text(String),
    /// The value of a column.
    Column(C),
}

impl<C> Origin<C> {
    /// The columns, in the order they are named; one may occur twice.
    pub fn columns(&self) -> Vec<&C> {
        match self {
            Origin::Column(column) => vec![column],
            Origin::Constant(_) => Vec::new(),
            Origin::Template(pieces) => pieces
                .iter()
                .filter_map(|piece| match piece {
                    Piece::Column(column) => Some(column),
                    Piece::Text(_) => None,
                })
                .collect(),
            Origin::Joined { columns, .. } | Origin::Key(columns) => columns.iter().collect(),
        }
    }

    /// The same with columns found; `None` when one isn't.
    pub fn find<D>(&self, mut find: impl FnMut(&C) -> Option<D>) -> Option<Origin<D>> {
        Some(match self {
            Origin::Column(column) => Origin::Column(find(column)?),
            Origin::Constant(text) => Origin::Constant(text.clone()),
            Origin::Template(pieces) => {
                let found = pieces.iter().map(|piece| {
                    Some(match piece {
                        Piece::Text(text) => Piece::Text(text.clone()),
                        Piece::Column(column) => Piece::Column(find(column)?),
                    })
                });
                Origin::Template(found.collect::<Option<_>>()?)
            }
            Origin::Joined { columns, by } => Origin::Joined {
                columns: columns.iter().map(find).collect::<Option<_>>()?,
                by: by.clone(),
            },
            Origin::Key(columns) => Origin::Key(columns.iter().map(find).collect::<Option<_>>()?),
        })
    }
}

/// What is done with a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// HTML becomes plain text.
    StripHtml,
    /// Control characters are removed.
    StripControl,
    /// Blanks at both ends are removed.
    Trim,
    /// Runs of blanks become one, those at the ends none.
    Collapse,
    /// A value that is one of these (in lower case) is empty.
    EmptyWords(Vec<String>),
    /// A regular expression is replaced.
    Replace(Replace),
    /// A part of it, in characters.
    Substring {
        /// From this one on, 1 the first, -1 the last.
        start: i32,
        /// So many, or all.
        length: Option<u32>,
    },
    /// One of the pieces between separators.
    Piece {
        /// The separator.
        split: String,
        /// Which, 1 the first, -1 the last.
        piece: i32,
    },
    /// All the pieces, each through the value map if there is one.
    Pieces {
        /// The separator.
        split: String,
        /// What joins them again.
        join: String,
        /// The value map, by its place among the tables, and what happens
        /// without an entry.
        map: Option<(usize, Otherwise)>,
    },
    /// A value map.
    Map {
        /// Its place among the tables.
        table: usize,
        /// What happens without an entry.
        otherwise: Otherwise,
    },
    /// A lookup in a file or the org.
    Lookup {
        /// Its place among the tables.
        table: usize,
        /// What happens when it doesn't have the key.
        missing: Otherwise,
        /// What happens when it has several values.
        ambiguous: Otherwise,
    },
    /// Letter case.
    Case(Case),
    /// A number in the form the org takes.
    Number(NumberFormat),
    /// A day.
    Date(DateFormats),
    /// An instant.
    DateTime(DateFormats),
    /// Words for true and false, in lower case.
    Boolean {
        /// Those for true.
        yes: Vec<String>,
        /// Those for false.
        no: Vec<String>,
    },
    /// A record id in 18 characters.
    LongId,
    /// Something that can't be led back to it.
    Mask(Mask),
    /// Cut to so many characters.
    Truncate(u32),
}

/// Letter case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// Capitals.
    Upper,
    /// Small letters.
    Lower,
    /// A capital at the begin of each word.
    Title,
}

/// What happens with a value that a table doesn't have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// The row is rejected.
    Reject,
    /// The value stays.
    Keep,
    /// The value is empty.
    Null,
    /// This is sent.
    Value(String),
}

/// What an empty value means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenEmpty {
    /// What `--empty` says.
    AsAsked,
    /// The field is left as it is.
    Skip,
    /// The field is cleared.
    Clear,
    /// This is sent.
    Default(String),
    /// The row is rejected.
    Reject,
}

impl Step {
    /// The table it needs, by its place among all.
    pub(super) fn table(&self) -> Option<usize> {
        match self {
            Step::Map { table, .. }
            | Step::Lookup { table, .. }
            | Step::Pieces { map: Some((table, _)), .. } => Some(*table),
            _ => None,
        }
    }
}

impl<C> Recipe<C> {
    /// Whether it sends a column as it stands.
    pub fn is_plain(&self) -> bool {
        matches!(self.origin, Origin::Column(_))
            && self.steps.is_empty()
            && self.empty == WhenEmpty::AsAsked
    }

    /// What its conversion takes, in words for the reason of a rejection.
    pub fn allowed(&self) -> String {
        let words = self.steps.iter().find_map(|step| match step {
            Step::Number(format) => Some(format.words()),
            Step::Date(formats) | Step::DateTime(formats) => Some(formats.words()),
            Step::Boolean { yes, no } => {
                Some(yes.iter().chain(no).map(String::as_str).collect::<Vec<_>>().join(", "))
            }
            _ => None,
        });
        words.unwrap_or_default()
    }
}
