//! `--duplicates` over the whole source: which rows are not sent because another
//! row has their key, wherever it stands.
//!
//! The keys of all rows are sorted in bounded memory before the start (I6). What
//! is found lies in the run's folder as a file, so that a resume leaves out the
//! very same rows. Two keys are taken for one when their 64-bit hashes agree, as
//! in the chunker: of ten million rows that is wrong once in 370,000 loads.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::LoadRequest;
use super::RunFolder;
use super::original::Names;
use crate::chunker::Duplicates;
use crate::domain::{Event, RowNumber, SharedSink};
use crate::rows::sorter::{SortLimits, Sorter};
use crate::rows::spill::Spills;
use crate::rows::{
    Doubles, DoublesWriter, EMPTY_HASH, EncodedBatch, EncodedRow, RawBatch, Rejection,
    RowNames as _, RowStream, SourceError, TemporaryFolder,
};
use crate::transformer::Plan;

/// The file in a run's folder.
const FILE: &str = "duplicates.map";

/// Keys and what is found of them are each sorted in so many bytes of memory:
/// two million rows; more go to disk.
const LIMITS: SortLimits = SortLimits { run_bytes: 64 << 20, read_bytes: 256 << 10, fan_in: 64 };

/// Rows found are handed to their sort in portions of so many bytes.
const PORTION: usize = 1 << 20;

/// Why they can't be found.
#[derive(Debug, thiserror::Error)]
pub enum DuplicatesError {
    /// The source can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Keys can't be sorted on disk.
    #[error("keys can't be sorted in {}", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The rows that are not sent, before the run has a folder.
pub(super) struct DuplicateRows {
    folder: TemporaryFolder,
    /// How many they are.
    pub(super) rows: u64,
}

/// What is to be done with rows of one key, if anything.
pub(super) fn policy(request: &LoadRequest, plan: &Plan) -> Option<Duplicates> {
    request.duplicates.filter(|policy| *policy != Duplicates::Keep && plan.key.is_some())
}

/// Finds them. `names` leads from rows as they are counted to those of the
/// original, in whose order one is the first.
pub(super) fn find(
    policy: Duplicates,
    plan: &Plan,
    rows: &mut dyn RowStream,
    names: Option<&Names>,
    runs_dir: &Path,
    events: &SharedSink,
    total: u64,
) -> Result<DuplicateRows, DuplicatesError> {
    let failed = |source| DuplicatesError::Io { folder: runs_dir.to_owned(), source };
    let folder = TemporaryFolder::of_process(runs_dir, "duplicates").map_err(failed)?;
    let mut spills = Spills::create(&folder.path().join("sort")).map_err(failed)?;
    let mut keys = Sorter::new(LIMITS);
    while let Some(batch) = rows.next_batch()? {
        take(&mut keys, &batch, &plan.apply(&batch), names).map_err(failed)?;
        keys.settle(&mut spills).map_err(failed)?;
        events.announce(Event::ScanProgress { bytes: batch.read_bytes, total });
    }
    let found = write(policy, keys, &mut spills, &folder.path().join(FILE)).map_err(failed)?;
    Ok(DuplicateRows { folder, rows: found })
}

/// Takes the keys of a batch: by their hash and the row of the original; with
/// them goes the row as it is counted.
fn take(
    keys: &mut Sorter,
    batch: &RawBatch,
    encoded: &EncodedBatch,
    names: Option<&Names>,
) -> io::Result<()> {
    let mut text = Vec::with_capacity(encoded.keys.len() * 8);
    let mut taken = Vec::with_capacity(encoded.keys.len());
    for (index, (key, fate)) in encoded.keys.iter().zip(&encoded.rows).enumerate() {
        // What is not sent anyway is nobody's double.
        if *key == EMPTY_HASH || matches!(fate, EncodedRow::Rejected(_)) {
            continue;
        }
        let row = batch.first_row.plus(index as u64);
        let original = match names {
            Some(names) => names.number_of(row)?,
            None => row,
        };
        let start = text.len() as u32;
        text.extend_from_slice(&row.0.to_le_bytes());
        taken.push((*key, original.0, start));
    }
    keys.text(Bytes::from(text));
    for (key, original, start) in taken {
        keys.push(key, original, start, start + 8);
    }
    Ok(())
}

/// Writes the rows that are not sent, in the order in which they are counted.
fn write(policy: Duplicates, keys: Sorter, spills: &mut Spills, path: &Path) -> io::Result<u64> {
    let mut sorted = keys.finish(spills)?;
    let mut found = Found { sorter: Sorter::new(LIMITS), text: Vec::new(), rows: Vec::new() };
    let mut first: Option<(u64, u64)> = None;
    let mut last = 0;
    let mut count = 0u64;
    while let Some(record) = sorted.next()? {
        let row = record.bytes.try_into().map_or(record.row, u64::from_le_bytes);
        match first {
            Some((key, twin)) if key == record.key => {
                count += 1;
                match policy {
                    Duplicates::First | Duplicates::Keep => found.push(row, twin, spills)?,
                    Duplicates::Last => found.push(last, row, spills)?,
                    Duplicates::Reject => {
                        if count == 1 {
                            found.push(twin, row, spills)?;
                        }
                        found.push(row, twin, spills)?;
                    }
                }
            }
            _ => {
                first = Some((record.key, row));
                count = 0;
            }
        }
        last = row;
    }
    found.hand_on(spills)?;
    let mut sorted = found.sorter.finish(spills)?;
    let mut writer = DoublesWriter::create(path)?;
    while let Some(record) = sorted.next()? {
        let twin = record.bytes.try_into().map_or(0, u64::from_le_bytes);
        writer.push(RowNumber(record.key), RowNumber(twin))?;
    }
    writer.finish()
}

/// Rows on their way into the order in which they are counted.
struct Found {
    sorter: Sorter,
    text: Vec<u8>,
    rows: Vec<(u64, u32)>,
}

impl Found {
    fn push(&mut self, row: u64, twin: u64, spills: &mut Spills) -> io::Result<()> {
        self.rows.push((row, self.text.len() as u32));
        self.text.extend_from_slice(&twin.to_le_bytes());
        if self.text.len() < PORTION { Ok(()) } else { self.hand_on(spills) }
    }

    fn hand_on(&mut self, spills: &mut Spills) -> io::Result<()> {
        self.sorter.text(Bytes::from(std::mem::take(&mut self.text)));
        for (row, start) in self.rows.drain(..) {
            self.sorter.push(row, 0, start, start + 8);
        }
        self.sorter.settle(spills)
    }
}

impl DuplicateRows {
    /// Opens the rows from the first one on.
    pub(super) fn open(&self) -> Result<Doubles, SourceError> {
        open(self.folder.path(), RowNumber(0))
    }

    /// Moves the file into the run's folder.
    pub(super) fn move_into(self, folder: &RunFolder) -> Result<(), (PathBuf, io::Error)> {
        let path = folder.path().join(FILE);
        std::fs::rename(self.folder.path().join(FILE), &path).map_err(|error| (path, error))
    }
}

/// Opens the rows that lie in a folder, from one of them on.
pub(super) fn open(folder: &Path, from: RowNumber) -> Result<Doubles, SourceError> {
    let path = folder.join(FILE);
    Doubles::open(&path, from).map_err(|source| SourceError::Io { path, source })
}

/// A plan that leaves out rows whose key another row has.
pub(super) struct Encoder {
    plan: Arc<Plan>,
    doubles: Option<Doubles>,
}

impl Encoder {
    /// A plan, and the rows it leaves out, from the first that is encoded on.
    pub(super) fn new(plan: Arc<Plan>, doubles: Option<Doubles>) -> Self {
        Encoder { plan, doubles }
    }

    /// Encodes a batch; batches come in order.
    ///
    /// # Errors
    /// [`SourceError`] when the file of doubles can't be read.
    pub(super) fn apply(&mut self, batch: &RawBatch) -> Result<EncodedBatch, SourceError> {
        let mut encoded = self.plan.apply(batch);
        let (Some(doubles), Some(last)) = (&mut self.doubles, batch.records.len().checked_sub(1))
        else {
            return Ok(encoded);
        };
        let column = self.plan.key_place().unwrap_or_default() as u32;
        let last = batch.first_row.plus(last as u64);
        let failed = |source| SourceError::Io { path: PathBuf::from(FILE), source };
        let mut left_out = Vec::new();
        while let Some((row, twin)) = doubles.next_up_to(last).map_err(failed)? {
            let Some(index) = row.0.checked_sub(batch.first_row.0) else { continue };
            let Some(fate) = encoded.rows.get_mut(index as usize) else { continue };
            if !matches!(fate, EncodedRow::Rejected(_)) {
                *fate = EncodedRow::Rejected(encoded.rejections.len() as u32);
                encoded.rejections.push(Rejection::DuplicateKey { column, row: twin.0 });
                left_out.push(index as u32);
            }
        }
        if !left_out.is_empty() {
            // What was changed in them is sent nowhere.
            encoded.changes.retain(|changed| left_out.binary_search(&changed.record).is_err());
        }
        Ok(encoded)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Keys, and the order in which their rows are counted.
    fn rows() -> impl Strategy<Value = (Vec<u64>, Vec<u64>)> {
        prop::collection::vec(0u64..12, 0..80).prop_flat_map(|keys| {
            let order: Vec<u64> = (1..=keys.len() as u64).collect();
            (Just(keys), Just(order).prop_shuffle())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever the order in which rows are counted, that of the original
        /// says which is the first.
        #[test]
        fn one_row_of_a_key_is_left(
            (keys, positions) in rows(),
            policy in prop::sample::select(vec![
                Duplicates::First, Duplicates::Last, Duplicates::Reject,
            ]),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut spills = Spills::create(&folder.path().join("sort")).unwrap();
            let mut sorter = Sorter::new(SortLimits { run_bytes: 200, read_bytes: 64, fan_in: 3 });
            let mut of_key: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
            for (at, (key, position)) in keys.iter().zip(&positions).enumerate() {
                sorter.text(Bytes::from(position.to_le_bytes().to_vec()));
                sorter.push(*key, at as u64 + 1, 0, 8);
                sorter.settle(&mut spills).unwrap();
                of_key.entry(*key).or_default().push(*position);
            }
            let path = folder.path().join(FILE);
            let count = write(policy, sorter, &mut spills, &path).unwrap();
            let mut doubles = Doubles::open(&path, RowNumber(0)).unwrap();
            let mut found = BTreeMap::new();
            while let Some((row, twin)) = doubles.next_up_to(RowNumber(u64::MAX)).unwrap() {
                prop_assert!(found.insert(row.0, twin.0).is_none(), "each row once");
            }
            prop_assert_eq!(count, found.len() as u64);
            let mut expected = 0;
            for rows in of_key.values().filter(|rows| rows.len() > 1) {
                let kept = match policy {
                    Duplicates::First => rows.first(),
                    Duplicates::Last => rows.last(),
                    _ => None,
                };
                for row in rows {
                    if Some(row) == kept {
                        prop_assert!(!found.contains_key(row));
                        continue;
                    }
                    expected += 1;
                    let twin = found.get(row);
                    prop_assert!(twin.is_some_and(|twin| twin != row && rows.contains(twin)));
                    if policy == Duplicates::First {
                        prop_assert_eq!(twin, kept);
                    }
                }
            }
            prop_assert_eq!(found.len(), expected);
        }
    }
}
