//! A whole file of sample data: which rows, which columns, in which shape.

use std::io::{self, Write};

use rayon::prelude::*;

use crate::domain::LineEnding;
use crate::rows::{needs_quotes, write_quoted, write_record};

use super::column::{Column, ColumnSet, SampleObject, column};
use super::trap::{self, Refusal, Trap, TrapKind};
use super::{DEFAULT_SEED, account};

/// What a set of rows is like as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Every row its own.
    Plain,
    /// A third of the rows equal an earlier one, in every column.
    Duplicates,
    /// Every column holds numbers, the name too.
    Numeric,
    /// The key is a number of eight digits or more.
    NumericKey,
    /// Two keys each differ in nothing but letter case.
    CaseKeys,
}

impl Shape {
    /// Its columns for accounts, if none are named.
    fn columns(self, set: ColumnSet, object: SampleObject) -> Vec<&'static str> {
        const KEY: &str = "Legacy_Id__c";
        let mut names = set.names(object);
        match self {
            Shape::Plain => {}
            // A unique key would make every row its own.
            Shape::Duplicates => names.retain(|&name| name != KEY),
            Shape::Numeric => {
                names = vec!["Name", "AnnualRevenue", "NumberOfEmployees", "Score__c"];
            }
            Shape::NumericKey | Shape::CaseKeys => {
                let key = if self == Shape::NumericKey { "External_No__c" } else { "Case_Key__c" };
                names.retain(|&name| name != KEY && name != key);
                names.insert(0, key);
            }
        }
        names
    }

    /// The row whose values a row has.
    fn origin(self, seed: u64, row: u64) -> u64 {
        if self != Shape::Duplicates || row < 3 {
            return row;
        }
        let mut draw = super::draw::Row { seed, number: row }.draw(0xD0);
        if draw.one_in(3) { 1 + draw.below(row - 1) } else { row }
    }
}

/// How the text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// The byte between two cells.
    pub delimiter: u8,
    /// The end of each record. Line breaks inside cells are LF whatever it is,
    /// as a spreadsheet writes them.
    pub line_ending: LineEnding,
    /// Whether a byte order mark comes first.
    pub bom: bool,
}

impl Default for Format {
    fn default() -> Self {
        Format { delimiter: b',', line_ending: LineEnding::Lf, bom: false }
    }
}

/// Why a recipe can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// There is no such column.
    #[error("{object} has no sample column `{name}`")]
    UnknownColumn {
        /// The object.
        object: &'static str,
        /// The name asked for.
        name: String,
    },
    /// No columns at all.
    #[error("no column is named")]
    NoColumns,
    /// The same column twice.
    #[error("column `{0}` is named twice")]
    RepeatedColumn(&'static str),
    /// Only accounts have shapes and traps.
    #[error("{0} is made for Account only")]
    AccountOnly(&'static str),
    /// Not one trap fits the columns.
    #[error("none of the columns can hold a value that an org refuses")]
    NoTrapFits,
}

/// A file of sample data.
#[derive(Debug, Clone)]
pub struct Recipe {
    object: SampleObject,
    seed: u64,
    rows: u64,
    /// Added to a row's number before its values are drawn.
    ahead: u64,
    shape: Shape,
    columns: Vec<&'static Column>,
    traps: Traps,
    /// How the text is written.
    pub format: Format,
}

/// Where the traps are.
#[derive(Debug, Clone)]
enum Traps {
    None,
    /// In each such row, in turn.
    Every(u64, Vec<&'static Trap>),
    /// In every second row, each once.
    Each,
}

static NUMERIC_NAME: Column = account::NUMERIC_NAME;

/// The row of the seed's data behind which the rows with traps lie.
const TRAPS_AHEAD: u64 = 90_000_000;

/// Rows that are made at once on one core: some 800 KB of text.
const BLOCK_ROWS: u64 = 4096;

impl Recipe {
    /// Rows with the default columns and the default seed.
    pub fn new(object: SampleObject, rows: u64) -> Self {
        let names = ColumnSet::Default.names(object);
        Recipe {
            object,
            seed: DEFAULT_SEED,
            rows,
            ahead: 0,
            shape: Shape::Plain,
            columns: names.into_iter().filter_map(|name| column(object, name)).collect(),
            traps: Traps::None,
            format: Format::default(),
        }
    }

    /// Accounts of which every second one holds a trap, each trap once. They
    /// are none of those that other recipes make: an account that exists may
    /// be updated with an empty name, which leaves its name alone.
    pub fn of_traps() -> Self {
        let object = SampleObject::Account;
        let rows = 2 * trap::ACCOUNT.len() as u64;
        let columns = trap::COLUMNS.iter().filter_map(|name| column(object, name)).collect();
        Recipe { columns, ahead: TRAPS_AHEAD, traps: Traps::Each, ..Recipe::new(object, rows) }
    }

    /// Takes another seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Takes another shape, with the columns that go with it from a set.
    ///
    /// # Errors
    /// [`RecipeError::AccountOnly`] for another object.
    pub fn shape(mut self, shape: Shape, set: ColumnSet) -> Result<Self, RecipeError> {
        if shape != Shape::Plain && self.object != SampleObject::Account {
            return Err(RecipeError::AccountOnly("a shape"));
        }
        self.shape = shape;
        let names = shape.columns(set, self.object);
        self.columns(&names)
    }

    /// Takes these columns, in this order.
    ///
    /// # Errors
    /// [`RecipeError`] when one does not exist or is named twice, or there are
    /// none.
    pub fn columns<S: AsRef<str>>(mut self, names: &[S]) -> Result<Self, RecipeError> {
        let mut columns: Vec<&'static Column> = Vec::with_capacity(names.len());
        for name in names.iter().map(AsRef::as_ref) {
            let found = column(self.object, name).ok_or_else(|| RecipeError::UnknownColumn {
                object: self.object.name(),
                name: name.to_owned(),
            })?;
            if columns.iter().any(|column| column.name == found.name) {
                return Err(RecipeError::RepeatedColumn(found.name));
            }
            let numeric = self.shape == Shape::Numeric && found.name == NUMERIC_NAME.name;
            columns.push(if numeric { &NUMERIC_NAME } else { found });
        }
        if columns.is_empty() {
            return Err(RecipeError::NoColumns);
        }
        self.columns = columns;
        Ok(self)
    }

    /// Puts a trap that the org must find into every `every`th row, one kind
    /// after the other as the columns allow. To be called after the columns
    /// are chosen.
    ///
    /// # Errors
    /// [`RecipeError`] for other objects than accounts, and when no trap fits.
    pub fn bad_every(mut self, every: u64) -> Result<Self, RecipeError> {
        if self.object != SampleObject::Account {
            return Err(RecipeError::AccountOnly("a row that an org refuses"));
        }
        let fitting: Vec<&'static Trap> = trap::ACCOUNT
            .iter()
            .filter(|trap| matches!(trap.refusal, Refusal::Org(_)))
            .filter(|trap| self.columns.iter().any(|column| column.name == trap.column))
            .collect();
        if fitting.is_empty() {
            return Err(RecipeError::NoTrapFits);
        }
        self.traps = Traps::Every(every.max(1), fitting);
        Ok(self)
    }

    /// How many rows there are.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// The names of the columns, in order.
    pub fn header(&self) -> Vec<&'static str> {
        self.columns.iter().map(|column| column.name).collect()
    }

    /// The trap in a row (from 1), if there is one.
    pub fn trap(&self, row: u64) -> Option<&'static Trap> {
        match &self.traps {
            Traps::Every(every, traps) if row.is_multiple_of(*every) => {
                let turn = (row / every).checked_sub(1)? % traps.len() as u64;
                traps.get(turn as usize).copied()
            }
            Traps::Each if row.is_multiple_of(2) => {
                trap::ACCOUNT.get((row as usize / 2).checked_sub(1)?)
            }
            Traps::None | Traps::Every(..) | Traps::Each => None,
        }
    }

    /// Which earlier row a row equals in every column, in data with duplicates;
    /// else the row itself.
    pub fn origin(&self, row: u64) -> u64 {
        self.shape.origin(self.seed, row)
    }

    /// What stands in a cell: row from 1, column from 0. A row that is not
    /// well-formed is given as if it were.
    pub fn value(&self, row: u64, column: usize) -> Option<String> {
        let column = self.columns.get(column)?;
        let mut out = Vec::new();
        self.write_value(row, column, self.trap(row), &mut out);
        Some(String::from_utf8_lossy(&out).into_owned())
    }

    fn write_value(&self, row: u64, column: &Column, trap: Option<&Trap>, out: &mut Vec<u8>) {
        match trap.filter(|trap| trap.column == column.name).map(|trap| trap.kind) {
            Some(TrapKind::Text(text)) => out.extend_from_slice(text.as_bytes()),
            Some(TrapKind::Letters(count)) => out.resize(out.len() + count, b'x'),
            Some(TrapKind::SameAsBefore) => column.write(self.seed, self.ahead + row - 1, out),
            _ => column.write(self.seed, self.ahead + self.origin(row), out),
        }
    }

    /// Appends the header line with its line end, behind the byte order mark if
    /// there is to be one.
    pub fn write_header(&self, out: &mut Vec<u8>) {
        if self.format.bom {
            out.extend_from_slice("\u{feff}".as_bytes());
        }
        let names = self.columns.iter().map(|column| column.name.as_bytes());
        write_record(out, names, self.format.delimiter);
        out.extend_from_slice(self.format.line_ending.bytes());
    }

    /// Appends the record of a row with its line end. `scratch` is space for
    /// the cells that need quotes.
    pub fn write_row(&self, row: u64, out: &mut Vec<u8>, scratch: &mut Vec<u8>) {
        let delimiter = self.format.delimiter;
        let trap = self.trap(row);
        let line_start = out.len();
        let mut last_start = line_start;
        for (index, column) in self.columns.iter().enumerate() {
            last_start = out.len();
            if index > 0 {
                out.push(delimiter);
            }
            let start = out.len();
            self.write_value(row, column, trap, out);
            let trapped = trap.filter(|trap| trap.column == column.name).map(|trap| trap.kind);
            if trapped == Some(TrapKind::AfterQuote) {
                scratch.clear();
                scratch.extend(out.drain(start..));
                write_quoted(out, scratch);
                out.push(b'x');
            } else if needs_quotes(&out[start..], delimiter) {
                scratch.clear();
                scratch.extend(out.drain(start..));
                write_quoted(out, scratch);
            }
            if trapped == Some(TrapKind::BrokenUtf8) {
                // `ü` as Latin-1 has it.
                out.push(0xFC);
            }
        }
        match trap.map(|trap| trap.kind) {
            Some(TrapKind::CellMissing) => out.truncate(last_start),
            Some(TrapKind::CellTooMany) => out.push(delimiter),
            _ if out.len() == line_start => out.extend_from_slice(b"\"\""),
            _ => {}
        }
        out.extend_from_slice(self.format.line_ending.bytes());
    }

    /// Writes it all, on all cores, telling `progress` how many rows are
    /// written. Returns the bytes written.
    ///
    /// # Errors
    /// What `to` says.
    pub fn write(&self, to: &mut dyn Write, progress: &mut dyn FnMut(u64)) -> io::Result<u64> {
        let mut header = Vec::new();
        self.write_header(&mut header);
        to.write_all(&header)?;
        let mut bytes = header.len() as u64;
        // Two blocks a core even out that some are slower.
        let mut blocks: Vec<Vec<u8>> = vec![Vec::new(); 2 * rayon::current_num_threads().max(1)];
        let mut done = 0;
        while done < self.rows {
            blocks.par_iter_mut().enumerate().for_each(|(index, block)| {
                let first = done + index as u64 * BLOCK_ROWS;
                let last = (first + BLOCK_ROWS).min(self.rows);
                let mut scratch = Vec::new();
                block.clear();
                for row in first..last {
                    self.write_row(row + 1, block, &mut scratch);
                }
            });
            for block in &blocks {
                to.write_all(block)?;
                bytes += block.len() as u64;
            }
            done = (done + blocks.len() as u64 * BLOCK_ROWS).min(self.rows);
            progress(done);
        }
        to.flush()?;
        Ok(bytes)
    }
}
