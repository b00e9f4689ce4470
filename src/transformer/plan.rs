//! What a load's columns come to: checked once, applied to every row.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::EmptyMeans;
use crate::domain::{ColumnDelimiter, LineEnding, Operation, ValueKind};
use crate::mapping::{
    Loaded, Machine, Mapping, MappingError, Recipe, Secrets, Supplies, TableFiles,
};
use crate::rows::{ColumnNames, Dialect, MadeColumn, write_record};

/// A checked plan: which column goes into which field, and how.
///
/// It is complete by itself and can be stored: a resume encodes by the plan
/// the run began with, even when describe says something else by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// API name of the object, in exact case.
    pub object: String,
    /// What the jobs do.
    pub operation: Operation,
    /// The field an upsert matches by, in exact case.
    pub external_id: Option<String>,
    /// The columns that are sent, in the order of the source as far as they
    /// have a place there.
    pub columns: Vec<PlannedColumn>,
    /// Tier 1: which of `columns` holds the `Id` (update, delete) or the
    /// external id (upsert).
    pub key: Option<usize>,
    /// Tier 2: the ones among `columns` that the user named with `--key`.
    pub user_keys: Vec<usize>,
    /// Tier 3: text columns among `columns` that may turn out to be unique;
    /// watched for want of keys, or because they protect an insert, which then
    /// come first. Four at most.
    pub text_candidates: Vec<usize>,
    /// Of an insert, the ones among `text_candidates` whose field the org keeps
    /// unique: a row with a value there can't be saved twice. The ledger of an
    /// older release has none.
    #[serde(default)]
    pub protecting_keys: Vec<usize>,
    /// The columns that are not sent.
    pub dropped: Vec<DroppedColumn>,
    /// Column names of the source.
    pub header: Vec<String>,
    /// How the source is written.
    pub source: Dialect,
    /// Delimiter of the jobs' data.
    pub delimiter: ColumnDelimiter,
    /// Line end of the jobs' data: that of the source's header line.
    pub line_ending: LineEnding,
    /// What empty cells say.
    pub empty: EmptyMeans,
    /// What a person should know before the start: corrections that were
    /// made, and what will happen though nobody asked for it (I11).
    pub notes: Vec<String>,
    /// What a mapping needs besides the recipes of its columns; `None` where
    /// nothing has to be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Supplies>,
    /// The recipes at work, in this process.
    #[serde(skip)]
    pub(super) machine: Ready,
}

/// Recipes made ready. It is no part of what a plan says.
#[derive(Debug, Clone, Default)]
pub(super) struct Ready(pub(super) Option<Arc<Machine>>);

impl PartialEq for Ready {
    fn eq(&self, _: &Ready) -> bool {
        true
    }
}

impl Eq for Ready {}

/// A column that is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedColumn {
    /// Its place in the source, from 0; `None` for values that are made of
    /// several columns or of none.
    pub source: Option<usize>,
    /// Its name in the source; that of the field where it has no place there.
    pub name: String,
    /// Its header as sent: `Name`, `Account.Legacy_Id__c`, `User:Owner.Email`.
    pub header: String,
    /// The field of the object that it sets.
    pub field: String,
    /// How its values are compared; for a relationship column by the field of
    /// the parent.
    pub kind: ValueKind,
    /// What is done with its cells.
    pub treatment: Treatment,
    /// How its values are made, where they are not the cells as they stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Recipe>,
}

/// What is done with the cells of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// They go as they stand.
    Pass,
    /// Words for true and false become those; others reject their row.
    Boolean,
    /// They go as they stand, but more than 15 digits reject their row.
    NumericKey,
}

/// A column that is not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedColumn {
    /// Its place in the source, from 0.
    pub source: usize,
    /// Its name in the source.
    pub name: String,
    /// Why.
    pub reason: DropReason,
}

/// Why a column is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// `--map 'Column='`.
    Asked,
    /// `sf__…` or `bulkhaul__…`: it is from a result file.
    ResultColumn,
    /// The mapping doesn't name it.
    NotMapped,
}

impl Plan {
    /// Whether the bytes of the source may go as they are, as far as columns
    /// and dialect are concerned. Single rows may still be rewritten.
    pub fn is_identity(&self) -> bool {
        self.dropped.is_empty() && self.mapping.is_none() && self.keeps_dialect()
    }

    /// Whether cells may be copied with the quotes they have.
    pub(super) fn keeps_dialect(&self) -> bool {
        self.source.quote == b'"' && self.source.delimiter == self.delimiter.byte()
    }

    /// The header line of every job, with its line end.
    pub fn header_line(&self) -> Vec<u8> {
        let mut line = Vec::new();
        let names = self.columns.iter().map(|column| column.header.as_bytes());
        write_record(&mut line, names, self.delimiter.byte());
        line.extend_from_slice(self.line_ending.bytes());
        line
    }

    /// Where reasons find the name of the key column.
    pub fn key_place(&self) -> Option<usize> {
        self.key.map(|key| self.place_of(key))
    }

    /// Where reasons find the name of a column that is sent (an index into
    /// `columns`): its place in the source, or one behind that.
    pub fn place_of(&self, column: usize) -> usize {
        self.columns
            .get(column)
            .filter(|column| column.recipe.is_none())
            .and_then(|column| column.source)
            .unwrap_or(self.header.len() + column)
    }

    /// How reasons call the columns.
    pub fn column_names(&self) -> ColumnNames {
        let quoted = |at: usize| format!("`{}`", self.header.get(at).map_or("", String::as_str));
        let made = self.columns.iter().map(|column| {
            let header = &column.header;
            let name = match (column.source, &column.recipe) {
                (Some(at), _) => format!("{}, column {}, for {header}", quoted(at), at + 1),
                (None, Some(recipe)) => {
                    let mut from = recipe.origin.columns();
                    from.dedup();
                    let from: Vec<_> = from.into_iter().map(|at| quoted(*at)).collect();
                    if from.is_empty() {
                        header.clone()
                    } else {
                        format!("{}, for {header}", from.join(", "))
                    }
                }
                (None, None) => header.clone(),
            };
            MadeColumn {
                name,
                allowed: column.recipe.as_ref().map_or_else(String::new, Recipe::allowed),
            }
        });
        ColumnNames { source: self.header.clone(), made: made.collect() }
    }

    /// Makes a plan that was stored ready to encode: value maps and lookups come
    /// into memory, what the org answered from the run's `folder`, the secret
    /// from where `secrets` finds it; `files` opens those of value maps and lookups.
    /// A plan without a mapping is ready as it is.
    ///
    /// # Errors
    /// [`MappingError`] when a file or the secret is missing or was changed.
    pub fn make_ready(
        &mut self,
        secrets: &Secrets,
        folder: &Path,
        files: &dyn TableFiles,
    ) -> Result<(), MappingError> {
        match &self.mapping {
            None => Ok(()),
            Some(supplies) => {
                let loaded = supplies.load(secrets, folder, files)?;
                self.make_machine(&loaded)
            }
        }
    }

    /// Makes a plan ready whose mapping had questions to the org, now that they
    /// are answered.
    ///
    /// # Errors
    /// [`MappingError`] when a recipe can't work; one that was checked can.
    pub fn make_answered(&mut self, mapping: &Mapping) -> Result<(), MappingError> {
        if let Some(supplies) = &mut self.mapping {
            supplies.tables.clone_from(&mapping.tables);
        }
        self.make_machine(&mapping.loaded)
    }

    /// Writes what the org answered to the mapping's lookups into the run's
    /// folder, from where [`Plan::make_ready`] takes it.
    ///
    /// # Errors
    /// The file that can't be written, and what the system said.
    pub fn keep_answers(&self, folder: &Path) -> Result<(), (PathBuf, io::Error)> {
        self.machine.0.as_ref().map_or(Ok(()), |machine| machine.keep_answers(folder))
    }

    pub(super) fn make_machine(&mut self, loaded: &Loaded) -> Result<(), MappingError> {
        let Some(supplies) = &self.mapping else { return Ok(()) };
        let recipes =
            self.columns.iter().map(|column| (column.header.as_str(), column.recipe.as_ref()));
        self.machine = Ready(Some(Arc::new(Machine::new(supplies, recipes, loaded)?)));
        Ok(())
    }

    /// Whether rows can be encoded. A plan of a mapping that was stored can't
    /// before [`Plan::make_ready`]: each row would be rejected.
    pub fn is_ready(&self) -> bool {
        self.mapping.is_none() || self.machine.0.is_some()
    }

    /// Whether no row of a chunk can make a second record when it is sent again
    /// (I2), given the column of the chunk in which no value is empty or occurs
    /// twice (an index into `columns`). An insert needs such a column whose
    /// field the org keeps unique. An upsert finds its record again, except one
    /// by `Id`, which creates a record for every empty cell.
    pub fn protects(&self, unique_text: Option<usize>) -> bool {
        match self.operation {
            Operation::Insert => {
                unique_text.is_some_and(|column| self.protecting_keys.contains(&column))
            }
            Operation::Upsert => self.external_id.as_deref() != Some("Id"),
            Operation::Update | Operation::Delete | Operation::HardDelete => true,
        }
    }

    /// The boolean columns among `columns`.
    pub fn boolean_columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.treatment == Treatment::Boolean)
            .map(|(at, _)| at)
    }
}
