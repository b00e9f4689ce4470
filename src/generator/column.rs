//! The columns that sample data can have.

use super::draw::{Draw, Row};
use super::{account, contact};

/// An object that sample data is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SampleObject {
    /// Companies.
    Account,
    /// People, each at one of the accounts of the same seed.
    Contact,
}

impl SampleObject {
    /// All of them.
    pub const ALL: [SampleObject; 2] = [SampleObject::Account, SampleObject::Contact];

    /// Its API name.
    pub const fn name(self) -> &'static str {
        match self {
            SampleObject::Account => "Account",
            SampleObject::Contact => "Contact",
        }
    }
}

/// A column of sample data.
pub struct Column {
    /// The field's API name, or a relationship header.
    pub name: &'static str,
    /// Makes its draws its own.
    tag: u64,
    write: Write,
}

/// Appends the value of a row.
pub(super) type Write = fn(Row, Draw, &mut Vec<u8>);

impl std::fmt::Debug for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Column").field(&self.name).finish()
    }
}

impl Column {
    pub(super) const fn new(name: &'static str, write: Write) -> Self {
        // FNV-1a, for it can be computed when compiling.
        let mut tag = 0xCBF2_9CE4_8422_2325_u64;
        let bytes = name.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            tag = (tag ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01B3);
            at += 1;
        }
        Column { name, tag, write }
    }

    /// Appends the value that stands in this column of a row.
    pub fn write(&self, seed: u64, row: u64, out: &mut Vec<u8>) {
        let row = Row { seed, number: row };
        (self.write)(row, row.draw(self.tag), out);
    }
}

/// A choice of columns that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnSet {
    /// About 200 bytes a row; 12 columns for accounts.
    Default,
    /// One column at least of every common type.
    Common,
    /// All there are, but those that only a trap fills.
    All,
}

impl ColumnSet {
    /// The names of its columns, in order.
    pub fn names(self, object: SampleObject) -> Vec<&'static str> {
        match (self, object) {
            (ColumnSet::Default, SampleObject::Account) => account::DEFAULT.to_vec(),
            (ColumnSet::Common, SampleObject::Account) => account::COMMON.to_vec(),
            (ColumnSet::All, _) => columns(object)
                .iter()
                .map(|column| column.name)
                .filter(|name| !account::TRAPS_ONLY.contains(name))
                .collect(),
            (_, SampleObject::Contact) => contact::DEFAULT.to_vec(),
        }
    }
}

/// All columns of an object.
pub const fn columns(object: SampleObject) -> &'static [Column] {
    match object {
        SampleObject::Account => account::COLUMNS,
        SampleObject::Contact => contact::COLUMNS,
    }
}

/// The column of this name, whatever its letter case.
pub fn column(object: SampleObject, name: &str) -> Option<&'static Column> {
    columns(object).iter().find(|column| column.name.eq_ignore_ascii_case(name))
}

/// What stands in a cell. Rows are numbered from 1.
pub fn cell(seed: u64, row: u64, column: &Column) -> String {
    let mut out = Vec::new();
    column.write(seed, row, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}
