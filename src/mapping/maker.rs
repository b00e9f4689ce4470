//! Recipes at work: the values of a row, one after the other, in room that is
//! used again.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::asked::AskedTable;
use super::cells::Cells;
use super::date::Dates;
use super::filter::{Filter, Sieve};
use super::mask::{Mask, MaskKey, SecretName, Secrets};
use super::number::NumberFormat;
use super::problem::{MappingError, MappingProblem};
use super::recipe::{Case, Origin, Otherwise, Piece, Recipe, Step, WhenEmpty};
use super::replace::Replacer;
use super::table::{Entries, Found, Table, TableFiles, TableSource};
use super::text::{self, Text, trimmed_text};
use crate::domain::RecordId;
use crate::rows::{Refusal, Rule, private_file};

/// What recipes need besides themselves, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supplies {
    /// The mapping file.
    pub path: PathBuf,
    /// Value maps and lookups.
    pub tables: Vec<TableSource>,
    /// The secret, where values are masked.
    pub secret: Option<SecretName>,
    /// Which rows are sent.
    pub filter: Option<Filter>,
}

/// Supplies in memory.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    pub(super) tables: Vec<Arc<Table>>,
    pub(super) key: Option<MaskKey>,
}

impl Supplies {
    /// What constants need: nothing.
    pub fn none() -> Self {
        Supplies { path: PathBuf::new(), tables: Vec::new(), secret: None, filter: None }
    }

    /// Brings what a run began with into memory again; `folder` is that of the
    /// run, which keeps what the org answered.
    ///
    /// # Errors
    /// [`MappingError`] when a file is missing or was changed, or the secret is
    /// missing or another one.
    pub fn load(
        &self,
        secrets: &Secrets,
        folder: &Path,
        files: &dyn TableFiles,
    ) -> Result<Loaded, MappingError> {
        let mut problems = Vec::new();
        let mut loaded = Loaded::default();
        for source in &self.tables {
            match Table::load(&mut source.clone(), Some(folder), files) {
                Ok(table) => loaded.tables.push(Arc::new(table)),
                Err(what) => problems.push(MappingProblem::of_run(&source.name, what)),
            }
        }
        if let Some(secret) = &self.secret {
            match MaskKey::of(&secret.variable, secrets) {
                Ok(key) if key.check() == secret.check => loaded.key = Some(key),
                Ok(_) => problems.push(MappingProblem::of_run(
                    "secret_env",
                    format!(
                        "the environment variable `{}` holds another secret than when the run began",
                        secret.variable
                    ),
                )),
                Err(what) => problems.push(MappingProblem::of_run("secret_env", what)),
            }
        }
        if problems.is_empty() { Ok(loaded) } else { Err(MappingError::new(&self.path, problems)) }
    }
}

/// The recipes of a plan, ready to work.
#[derive(Debug)]
pub struct Machine {
    makers: Vec<Option<Maker>>,
    sieve: Option<Sieve>,
    /// Columns of the source that are read, counted from the left.
    columns: usize,
    /// What the org answered.
    answers: Vec<(AskedTable, Arc<Table>)>,
}

/// What a recipe came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made<'v> {
    /// A value.
    Value {
        /// Its text; it is never empty.
        text: &'v str,
        /// Whether it was cut to a length.
        truncated: bool,
    },
    /// Nothing, and the mapping doesn't say what that means.
    Nothing,
    /// Nothing: the field is left as it is.
    Skip,
    /// The field is cleared, as the mapping says.
    Clear,
    /// The field is cleared, as the cell says.
    CellClears,
}

/// Room for values in the making.
#[derive(Debug, Default)]
pub struct Room {
    text: (String, String),
    key: String,
    cell: Vec<u8>,
}

impl Machine {
    /// Makes recipes ready; one entry for each column that is sent.
    ///
    /// # Errors
    /// [`MappingError`] when a recipe can't work; one that was checked can.
    pub fn new<'r>(
        supplies: &Supplies,
        recipes: impl IntoIterator<Item = (&'r str, Option<&'r Recipe>)>,
        loaded: &Loaded,
    ) -> Result<Self, MappingError> {
        let mut makers = Vec::new();
        let mut problems = Vec::new();
        let mut columns = 0;
        let mut reads = |column: usize| columns = columns.max(column + 1);
        for (name, recipe) in recipes {
            let Some(recipe) = recipe else {
                makers.push(None);
                continue;
            };
            recipe.origin.columns().into_iter().for_each(|column| reads(*column));
            match Maker::new(recipe, loaded) {
                Ok(maker) => makers.push(Some(maker)),
                Err(what) => problems.push(MappingProblem::of_run(&format!("fields.{name}"), what)),
            }
        }
        let sieve = supplies.filter.as_ref().map(Sieve::new).transpose();
        let sieve = sieve.unwrap_or_else(|what| {
            problems.push(MappingProblem::of_run("filter", what));
            None
        });
        if let Some(filter) = &supplies.filter {
            filter.columns().for_each(|column| reads(*column));
        }
        if !problems.is_empty() {
            return Err(MappingError::new(&supplies.path, problems));
        }
        let tables = supplies.tables.iter().zip(&loaded.tables);
        let answers = tables.filter_map(|(source, table)| match &source.entries {
            Entries::Asked(asked) if !asked.sha256.is_empty() => {
                Some((asked.clone(), Arc::clone(table)))
            }
            _ => None,
        });
        Ok(Machine { makers, sieve, columns, answers: answers.collect() })
    }

    /// Writes what the org answered into a run's folder, a private file for each
    /// lookup, synced.
    ///
    /// # Errors
    /// The file that can't be written, and what the system said.
    pub fn keep_answers(&self, folder: &Path) -> Result<(), (PathBuf, io::Error)> {
        for (asked, table) in &self.answers {
            let path = folder.join(&asked.file);
            let write = || {
                let mut file = private_file(&path)?;
                file.write_all(&table.kept(asked))?;
                file.sync_all()
            };
            write().map_err(|error| (path.clone(), error))?;
        }
        Ok(())
    }

    /// How many columns from the left it reads.
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Whether a row is sent.
    pub fn lets_pass(&self, cells: Cells<'_, '_>, room: &mut Room) -> bool {
        self.sieve.as_ref().is_none_or(|sieve| sieve.lets_pass(&cells, &mut room.cell))
    }

    /// Makes the value of the column at this place among those that are sent.
    ///
    /// # Errors
    /// The [`Refusal`] of a value that can't be expressed.
    pub fn make<'v>(
        &'v self,
        column: usize,
        cells: Cells<'_, 'v>,
        room: &'v mut Room,
    ) -> Result<Made<'v>, Refusal> {
        match self.makers.get(column) {
            Some(Some(maker)) => maker.make(cells, room),
            _ => Ok(Made::Nothing),
        }
    }

    /// The cell that alone decides the value of the column at this place, where
    /// making it takes longer than remembering it.
    pub fn worth_remembering(&self, column: usize) -> Option<usize> {
        let maker = self.makers.get(column)?.as_ref()?;
        let takes_long = maker.ops.iter().any(|op| !matches!(op, Op::Trim | Op::Truncate(_)));
        match maker.origin {
            Origin::Column(cell) if takes_long => Some(cell),
            _ => None,
        }
    }
}

/// A recipe, ready to work.
struct Maker {
    origin: Origin,
    ops: Vec<Op>,
    /// The table of a composite key.
    empty: WhenEmpty,
}

impl fmt::Debug for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Maker({:?}, {} steps)", self.origin, self.ops.len())
    }
}

enum Op {
    StripHtml,
    StripControl,
    Trim,
    Collapse,
    EmptyWords(Vec<String>),
    Replace(Replacer),
    Substring(i32, Option<u32>),
    Piece(String, i32),
    Pieces { split: String, join: String, map: Option<(Arc<Table>, Otherwise)> },
    Map(Arc<Table>, Otherwise),
    Lookup { table: Arc<Table>, missing: Otherwise, ambiguous: Otherwise, is_key: bool },
    Case(Case),
    Number(NumberFormat),
    Date(Dates),
    DateTime(Dates),
    Boolean(Vec<String>, Vec<String>),
    LongId,
    Mask(Mask, MaskKey),
    Truncate(u32),
}

impl Maker {
    fn new(recipe: &Recipe, loaded: &Loaded) -> Result<Self, String> {
        let is_key = matches!(recipe.origin, Origin::Key(_));
        let table = |at: usize| {
            loaded.tables.get(at).cloned().ok_or_else(|| "its table is not there".to_owned())
        };
        let op = |step: &Step| {
            Ok(match step {
                Step::StripHtml => Op::StripHtml,
                Step::StripControl => Op::StripControl,
                Step::Trim => Op::Trim,
                Step::Collapse => Op::Collapse,
                Step::EmptyWords(words) => Op::EmptyWords(words.clone()),
                Step::Replace(replace) => Op::Replace(Replacer::new(replace)?),
                Step::Substring { start, length } => Op::Substring(*start, *length),
                Step::Piece { split, piece } => Op::Piece(split.clone(), *piece),
                Step::Pieces { split, join, map } => Op::Pieces {
                    split: split.clone(),
                    join: join.clone(),
                    map: match map {
                        Some((at, otherwise)) => Some((table(*at)?, otherwise.clone())),
                        None => None,
                    },
                },
                Step::Map { table: at, otherwise } => Op::Map(table(*at)?, otherwise.clone()),
                Step::Lookup { table: at, missing, ambiguous } => Op::Lookup {
                    table: table(*at)?,
                    missing: missing.clone(),
                    ambiguous: ambiguous.clone(),
                    is_key,
                },
                Step::Case(case) => Op::Case(*case),
                Step::Number(format) => Op::Number(format.clone()),
                Step::Date(formats) => Op::Date(Dates::new(formats, false)?),
                Step::DateTime(formats) => Op::DateTime(Dates::new(formats, true)?),
                Step::Boolean { yes, no } => Op::Boolean(yes.clone(), no.clone()),
                Step::LongId => Op::LongId,
                Step::Mask(mask) => {
                    let key = loaded.key.clone();
                    Op::Mask(*mask, key.ok_or_else(|| "its secret is not there".to_owned())?)
                }
                Step::Truncate(chars) => Op::Truncate(*chars),
            })
        };
        let ops = recipe.steps.iter().map(op).collect::<Result<Vec<_>, String>>()?;
        Ok(Maker { origin: recipe.origin.clone(), ops, empty: recipe.empty.clone() })
    }

    fn make<'v>(&'v self, cells: Cells<'_, 'v>, room: &'v mut Room) -> Result<Made<'v>, Refusal> {
        let Room { text: rooms, key, cell } = room;
        let mut text = Text::within(std::mem::take(rooms));
        match &self.origin {
            Origin::Column(column) => {
                if cells.is_clear(*column) {
                    *rooms = text.leave().1;
                    return Ok(Made::CellClears);
                }
                text.lend(cells.text(*column, cell));
            }
            Origin::Constant(value) => text.lend(value),
            _ => self.gather(cells, cell, text.fresh()),
        }
        let truncated = self.run(&mut text, key);
        let truncated = truncated.map_err(|rule| Refusal::new(rule, text.as_str()));
        let (value, left) = text.leave();
        *rooms = left;
        let truncated = truncated?;
        let text = value.unwrap_or_else(|from| rooms.0.get(from..).unwrap_or_default());
        if !text.is_empty() {
            return Ok(Made::Value { text, truncated });
        }
        Ok(match &self.empty {
            WhenEmpty::AsAsked => Made::Nothing,
            WhenEmpty::Skip => Made::Skip,
            WhenEmpty::Clear => Made::Clear,
            WhenEmpty::Default(value) => Made::Value { text: value, truncated: false },
            WhenEmpty::Reject => return Err(Refusal::new(Rule::Empty, "")),
        })
    }

    /// Does all steps, as long as there is a value; whether it was cut.
    fn run<'v>(&'v self, text: &mut Text<'v>, key: &mut String) -> Result<bool, Rule> {
        let mut truncated = false;
        for op in &self.ops {
            if text.is_empty() {
                break;
            }
            truncated |= op.apply(text, key)?;
        }
        Ok(truncated)
    }

    /// Puts together what comes from several columns.
    fn gather(&self, cells: Cells<'_, '_>, cell: &mut Vec<u8>, out: &mut String) {
        match &self.origin {
            Origin::Template(pieces) => {
                let mut has_value = false;
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => out.push_str(text),
                        Piece::Column(column) => has_value |= cells.append(*column, cell, out),
                    }
                }
                if !has_value {
                    out.clear();
                }
            }
            Origin::Joined { columns, by } => {
                for column in columns {
                    let value = cells.text(*column, cell);
                    if value.trim().is_empty() {
                        continue;
                    }
                    if !out.is_empty() {
                        out.push_str(by);
                    }
                    out.push_str(value);
                }
            }
            Origin::Key(columns) => {
                let table = self.ops.iter().find_map(|op| match op {
                    Op::Lookup { table, .. } => Some(table),
                    _ => None,
                });
                for (at, column) in columns.iter().enumerate() {
                    let part = cells.text(*column, cell);
                    if part.trim().is_empty() {
                        out.clear();
                        break;
                    }
                    if at > 0 {
                        Table::next_part(out);
                    }
                    match table {
                        Some(table) => table.write_part(at, part, out),
                        None => out.push_str(part),
                    }
                }
            }
            Origin::Column(_) | Origin::Constant(_) => {}
        }
    }
}

/// Puts in place what stands for a value that a table doesn't have.
fn otherwise<'v>(otherwise: &'v Otherwise, text: &mut Text<'v>, rule: Rule) -> Result<(), Rule> {
    match otherwise {
        Otherwise::Reject => return Err(rule),
        Otherwise::Keep => {}
        Otherwise::Null => text.clear(),
        Otherwise::Value(value) => text.lend(value),
    }
    Ok(())
}

impl Op {
    /// Does it; whether the value was cut.
    fn apply<'v>(&'v self, text: &mut Text<'v>, key: &mut String) -> Result<bool, Rule> {
        match self {
            Op::StripHtml => text::strip_html(text),
            Op::StripControl => text::strip_control(text),
            Op::Trim => text::trim(text),
            Op::Collapse => text::collapse(text),
            Op::EmptyWords(words) => {
                if text::is_word(text.as_str(), words) {
                    text.clear();
                }
            }
            Op::Replace(replacer) => replacer.apply(text),
            Op::Substring(start, length) => text::substring(text, *start, *length),
            Op::Piece(split, piece) => text::piece(text, split, *piece),
            Op::Pieces { split, join, map } => text.write(|now, next| {
                for piece in text::pieces(now, split) {
                    let piece = match map {
                        None => piece,
                        Some((table, otherwise)) => match table.find(piece, key) {
                            Found::Value(value) => value,
                            Found::InRoom => key.as_str(),
                            Found::Unreadable => return Err(Rule::TableUnreadable),
                            Found::Nothing | Found::Several => match otherwise {
                                Otherwise::Reject => return Err(Rule::NotInMap),
                                Otherwise::Keep => piece,
                                Otherwise::Null => "",
                                Otherwise::Value(value) => value.as_str(),
                            },
                        },
                    };
                    if !piece.is_empty() {
                        if !next.is_empty() {
                            next.push_str(join);
                        }
                        next.push_str(piece);
                    }
                }
                Ok(())
            })?,
            Op::Map(table, without) => match table.find(text.as_str(), key) {
                Found::Value(value) => text.lend(value),
                Found::InRoom => text.set(key),
                Found::Unreadable => return Err(Rule::TableUnreadable),
                Found::Nothing | Found::Several if trimmed_text(text.as_str()).is_empty() => {
                    text.clear();
                }
                Found::Nothing | Found::Several => otherwise(without, text, Rule::NotInMap)?,
            },
            Op::Lookup { table, missing, ambiguous, is_key } => {
                let found = if *is_key {
                    table.find_key(text.as_str(), key)
                } else if trimmed_text(text.as_str()).is_empty() {
                    text.clear();
                    return Ok(false);
                } else {
                    table.find(text.as_str(), key)
                };
                match found {
                    Found::Value(value) => text.lend(value),
                    Found::InRoom => text.set(key),
                    Found::Unreadable => return Err(Rule::TableUnreadable),
                    Found::Nothing => otherwise(missing, text, Rule::NotInLookup)?,
                    Found::Several => otherwise(ambiguous, text, Rule::Ambiguous)?,
                }
            }
            Op::Case(case) => text::change_case(text, *case),
            Op::Number(_) | Op::Date(_) | Op::DateTime(_) | Op::Boolean(..) | Op::LongId
                if trimmed_text(text.as_str()).is_empty() =>
            {
                text.clear();
            }
            Op::Number(format) => format.apply(text)?,
            Op::Date(dates) => dates.to_date(text)?,
            Op::DateTime(dates) => dates.to_datetime(text)?,
            Op::Boolean(yes, no) => {
                let word = if text::is_word(text.as_str(), yes) {
                    "true"
                } else if text::is_word(text.as_str(), no) {
                    "false"
                } else {
                    return Err(Rule::Boolean);
                };
                text.lend(word);
            }
            Op::LongId => {
                let id = RecordId::parse(trimmed_text(text.as_str()).as_bytes());
                let id = id.map_err(|_| Rule::RecordId)?;
                text.set(id.as_str());
            }
            Op::Mask(mask, key) => key.apply(*mask, text),
            Op::Truncate(chars) => return Ok(text::truncate(text, *chars)),
        }
        Ok(false)
    }
}
