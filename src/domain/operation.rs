//! The operations of an ingest job.

use serde::{Deserialize, Serialize};

/// What an ingest job does with its rows ("Create a Job", Bulk API 2.0 guide).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// Creates records; never matches existing ones.
    Insert,
    /// Changes records named by `Id`.
    Update,
    /// Creates or changes records, matched by an external id field.
    Upsert,
    /// Moves records named by `Id` to the recycle bin.
    Delete,
    /// Removes records named by `Id` for good; needs a permission of its own.
    HardDelete,
}

impl Operation {
    /// Every operation, in the order the help lists them.
    pub const ALL: [Operation; 5] = [
        Operation::Insert,
        Operation::Update,
        Operation::Upsert,
        Operation::Delete,
        Operation::HardDelete,
    ];

    /// The name the service and the command line use, in exact case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Operation::Insert => "insert",
            Operation::Update => "update",
            Operation::Upsert => "upsert",
            Operation::Delete => "delete",
            Operation::HardDelete => "hardDelete",
        }
    }

    /// Whether rows name existing records by their `Id` column.
    pub const fn needs_id(self) -> bool {
        matches!(self, Operation::Update | Operation::Delete | Operation::HardDelete)
    }

    /// Whether records are removed.
    pub const fn deletes(self) -> bool {
        matches!(self, Operation::Delete | Operation::HardDelete)
    }

    /// Whether rows may create records.
    pub const fn creates(self) -> bool {
        matches!(self, Operation::Insert | Operation::Upsert)
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no operation; it is one of insert, update, upsert, delete, hardDelete")]
pub struct UnknownOperation(pub String);

impl std::str::FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Operation::ALL
            .into_iter()
            .find(|operation| operation.as_str().eq_ignore_ascii_case(word))
            .ok_or_else(|| UnknownOperation(word.to_owned()))
    }
}
