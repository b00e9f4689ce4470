//! Earlier runs of the same load, so that nobody loads a file twice by
//! accident.

use std::path::{Path, PathBuf};

use super::{FILE_NAME, Ledger, LedgerError, SourceRecord, StoredRun};
use crate::domain::{Operation, Tally};

/// By what a source file is recognised, wherever it lies and whatever it is
/// called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceIdentity {
    /// Size in bytes.
    pub bytes: u64,
    /// Digest of its first and last megabyte, in hex.
    pub edge_digest: String,
}

/// A run that loaded (or began to load) one of the sources.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlierRun {
    /// Its folder.
    pub folder: PathBuf,
    /// The run and its end.
    pub run: StoredRun,
    /// What it had done.
    pub tally: Tally,
}

impl EarlierRun {
    /// Whether there is anything left for `resume` to do: it did not end, or
    /// not as `completed`.
    pub fn is_unfinished(&self) -> bool {
        self.run.end.is_none_or(|end| end.status != super::RunStatus::Completed)
    }

    /// Whether a new load of the same source must be refused unless the user
    /// asks for it: an unfinished run, or for an insert a finished one.
    pub fn forbids_another(&self) -> bool {
        self.is_unfinished() || self.run.run.operation == Some(Operation::Insert)
    }
}

/// What a runs folder told.
#[derive(Debug, Default)]
pub struct Earlier {
    /// Matching runs, newest first.
    pub runs: Vec<EarlierRun>,
    /// Ledgers that could not be read, so that nothing is known of them.
    pub unreadable: Vec<(PathBuf, LedgerError)>,
}

/// Looks through a runs folder for runs of any of these sources into the same
/// org and object by the same operation. Reads only; runs that another process
/// works on are found too. A folder that isn't there holds no runs.
///
/// # Errors
/// [`LedgerError::Io`] when the folder can't be listed.
pub fn find_earlier(
    runs_dir: &Path,
    sources: &[SourceIdentity],
    org_id: &str,
    object: &str,
    operation: Operation,
) -> Result<Earlier, LedgerError> {
    let io = |source| LedgerError::Io { path: runs_dir.to_owned(), source };
    let entries = match std::fs::read_dir(runs_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Earlier::default()),
        Err(error) => return Err(io(error)),
    };
    let mut earlier = Earlier::default();
    for entry in entries {
        let folder = entry.map_err(io)?.path();
        let path = folder.join(FILE_NAME);
        if !path.is_file() {
            continue;
        }
        match look(&path) {
            Ok((run, known, tally)) => {
                let same_org = same_id(&run.run.org.id, org_id);
                let same_source = known
                    .iter()
                    .flat_map(|source| std::iter::once(original(source)).chain(files_of(source)))
                    .any(|known| sources.contains(&known));
                let same_target = run.run.object.eq_ignore_ascii_case(object)
                    && run.run.operation == Some(operation);
                if same_org && same_source && same_target {
                    earlier.runs.push(EarlierRun { folder, run, tally });
                }
            }
            Err(error) => earlier.unreadable.push((folder, error)),
        }
    }
    earlier.runs.sort_by_key(|earlier| std::cmp::Reverse(earlier.run.run.started_at));
    Ok(earlier)
}

/// What the user's own file is known by: that of a source that was made from
/// it stands in the derivation.
fn original(source: &SourceRecord) -> SourceIdentity {
    let of_original =
        |name: &str| source.derivation.as_ref()?.pointer(&format!("/original/identity/{name}"));
    match (of_original("bytes").and_then(serde_json::Value::as_u64), of_original("digest")) {
        (Some(bytes), Some(digest)) => {
            SourceIdentity { bytes, edge_digest: digest.as_str().unwrap_or_default().to_owned() }
        }
        _ => SourceIdentity { bytes: source.bytes, edge_digest: source.edge_digest.clone() },
    }
}

/// The files behind a source, each by itself.
fn files_of(source: &SourceRecord) -> impl Iterator<Item = SourceIdentity> + '_ {
    source
        .files
        .iter()
        .map(|file| SourceIdentity { bytes: file.bytes, edge_digest: file.edge_digest.clone() })
}

fn look(path: &Path) -> Result<(StoredRun, Vec<SourceRecord>, Tally), LedgerError> {
    let ledger = Ledger::open_read_only(path)?;
    Ok((ledger.run()?, ledger.sources()?, ledger.tally()?))
}

/// An org id is told with 15 or with 18 characters.
fn same_id(one: &str, other: &str) -> bool {
    one == other
        || (one.len() >= 15 && other.len() >= 15 && one.as_bytes()[..15] == other.as_bytes()[..15])
}
