//! What a checker has to know: the columns that are sent, held against the
//! object's description.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::domain::{Field, ObjectDescription, Operation, ValueKind};
use crate::rows::Dialect;

/// A column that is sent.
#[derive(Debug, Clone)]
pub struct CheckedColumn {
    /// How reasons call it: `` `Firma`, column 2, for Name ``.
    pub label: String,
    /// Its header as sent.
    pub header: String,
    /// Its place in the source, where its value is that of a cell.
    pub source: Option<usize>,
    /// The field it sets.
    pub field: Field,
    /// The parent's field whose value it holds, of a relationship column.
    pub parent_key: Option<Field>,
}

/// What the org is asked about the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Whether it has the parents.
    Parent,
    /// Whether it has the records that are to be changed or removed.
    Record,
    /// Whether the owners are active.
    Owner,
    /// Whether it has records with these values already, which must be unique.
    Unique,
    /// Whether rows that lack something a new record needs make new records.
    New,
}

/// Values that the org is to be asked about.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The column, by its place among those that are sent.
    pub column: usize,
    /// What is asked.
    pub purpose: Purpose,
    /// How the values are compared.
    pub kind: ValueKind,
    /// Whether a value that the org doesn't have may be the key of another row
    /// of this source.
    pub may_be_in_source: bool,
}

/// The values that record types have of restricted picklists.
#[derive(Debug, Clone, Default)]
pub struct RecordTypePicklists {
    /// By the 15 first characters of the record type's id and the field's name.
    pub values: HashMap<[u8; 15], HashMap<String, HashSet<Vec<u8>>>>,
    /// The record type of new rows that name none.
    pub default: Option<[u8; 15]>,
    /// Record types by their API names.
    pub by_name: HashMap<String, [u8; 15]>,
}

/// Everything a checker goes by.
#[derive(Debug, Clone)]
pub struct CheckSpec {
    /// What the jobs would do.
    pub operation: Operation,
    /// The object as this user sees it.
    pub object: ObjectDescription,
    /// The columns, in the order in which they are sent.
    pub columns: Vec<CheckedColumn>,
    /// The place among them of the key: `Id`, or the external id.
    pub key: Option<usize>,
    /// How the source is written.
    pub source: Dialect,
    /// The delimiter of rows that are written anew.
    pub delimiter: u8,
    /// The first three characters of ids, by object, as far as known.
    pub prefixes: BTreeMap<String, String>,
    /// Picklists by record type, as far as the org tells.
    pub picklists: RecordTypePicklists,
    /// What the org is to be asked.
    pub asked: Vec<Asked>,
    /// Whether rows that repeat a key are told; not where `--duplicates` settles
    /// them.
    pub tells_duplicate_keys: bool,
}
