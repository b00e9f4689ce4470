//! What the user asked `load` for. The ledger keeps it, so that a resume goes
//! on by the same settings.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::chunker::Duplicates;
use crate::domain::{FailureLimit, Operation};
use crate::mapping::Secrets;
use crate::reader::SourceOptions;
use crate::transformer::EmptyMeans;

/// What the user asked `load` for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoadRequest {
    /// Files, folders and patterns that are the source; `-` alone is the
    /// standard input.
    pub sources: Vec<PathBuf>,
    /// How they are to be read.
    pub options: SourceOptions,
    /// Object by API name, in any letter case.
    pub object: String,
    /// What happens with the rows.
    pub operation: Operation,
    /// External id field of an upsert.
    pub external_id: Option<String>,
    /// Columns that tell rows apart, for matching results (`--key`).
    pub keys: Vec<String>,
    /// `--map 'Column=Field'`; an empty field drops the column.
    pub renames: Vec<(String, String)>,
    /// The mapping file, by a path that holds from any folder. The ledger of an
    /// older release has none.
    #[serde(default)]
    pub mapping: Option<PathBuf>,
    /// The currency of every row. The ledger of an older release has none.
    #[serde(default)]
    pub currency: Option<String>,
    /// Where the mapping finds its secret; never kept.
    #[serde(skip)]
    pub secrets: Secrets,
    /// What an empty cell means.
    pub empty: EmptyMeans,
    /// Jobs at the same time.
    pub lanes: usize,
    /// Bytes of a chunk at most, header line included.
    pub chunk_bytes: u64,
    /// Rows of a chunk at most.
    pub chunk_rows: u64,
    /// Rows to leave out at the start.
    pub skip: u64,
    /// Rows to load at most.
    pub limit: Option<u64>,
    /// Assignment rule for Case and Lead.
    pub assignment_rule: Option<String>,
    /// What happens with rows that share a key; `None` refuses them.
    pub duplicates: Option<Duplicates>,
    /// Whether rows of one key were found over the whole source before the
    /// start, which [`super::prepare`] decides. The ledger of an older release
    /// has none: then chunk by chunk.
    #[serde(default)]
    pub doubles_found: bool,
    /// Split the source through first even when it is large.
    pub scan: bool,
    /// Load again what was loaded before.
    pub again: bool,
    /// Where earlier runs lie.
    pub runs_dir: PathBuf,
    /// Detach after this long.
    pub max_wait: Option<Duration>,
    /// Jobs that carry a row at most, while it fails for passing reasons.
    pub row_attempts: u8,
    /// How many rows may go wrong before the run stops.
    pub max_failures: Option<FailureLimit>,
    /// Rows sent first, as one job, to see whether they pass; 0 for none, `None`
    /// for what suits the org and the source, which [`super::prepare`] decides.
    pub canary: Option<u64>,
    /// The column whose equal values go together (`none` for no column); `None`
    /// for one whose lookup locks its parent, if there is one.
    pub group_by: Option<String>,
    /// Percent of the org's allowances that are left to others.
    pub reserve: u8,
    /// One job of at most 10,000 rows at a time.
    pub serial: bool,
    /// Nothing is to be sent: earlier runs, doubled keys and allowances are told
    /// and refuse nothing.
    #[serde(skip)]
    pub checks_only: bool,
    /// Bodies travel in gzip. The ledger of an older release doesn't say.
    #[serde(default)]
    pub compress_upload: bool,
}

impl LoadRequest {
    /// What the source is called where it is told.
    pub fn source_name(&self) -> String {
        match self.sources.as_slice() {
            [one] if one.as_os_str() == "-" => "standard input".to_owned(),
            [one] => one.display().to_string(),
            [first, rest @ ..] => format!("{} and {} more", first.display(), rest.len()),
            [] => "nothing".to_owned(),
        }
    }

    /// Rows of the first chunk, if it is sent ahead.
    pub(super) fn canary_rows(&self) -> Option<u64> {
        self.canary.filter(|&rows| rows > 0)
    }
}
