//! How the files of a source are to be read, as far as the user said.

use serde::{Deserialize, Serialize};

/// How the files of a source are to be read. What is not given is found out
/// from each file; a run keeps what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceOptions {
    /// The byte between two cells of a CSV file.
    pub delimiter: Option<u8>,
    /// The byte around a quoted cell of a CSV file; 0 for none.
    pub quote: Option<u8>,
    /// The encoding of CSV text, by a label of the WHATWG Encoding Standard
    /// (`windows-1252`, `shift_jis`).
    pub encoding: Option<String>,
    /// What Parquet has in a different form than a record.
    pub parquet: super::ParquetOptions,
}
