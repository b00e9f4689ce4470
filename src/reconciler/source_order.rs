//! Outcomes of a derived source in the order of the original.
//!
//! The chunks of a derived source hold rows from anywhere in the original, so
//! the result files can't grow chunk by chunk. Here outcomes go by the row map
//! from positions to rows and are sorted: in memory as far as that goes, then
//! as sorted outcome files that are merged in the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::{RowNumber, RowOutcome};
use crate::rows::{RowMap, TemporaryFolder};

use super::outcomes::{OutcomeError, OutcomeReader, OutcomeWriter};

/// Bytes of outcomes sorted in memory: about 700,000 rows.
const MEMORY: usize = 64 << 20;

/// Sorted files merged at a time. Each holds up to 4 MiB of error texts.
const FAN_IN: usize = 16;

/// Outcomes with the numbers of the rows that stand at their positions. Enough
/// by itself where the map ascends ([`RowMap::is_ascending`]): nothing has to
/// be sorted then.
pub fn renumbered<'a>(
    outcomes: impl Iterator<Item = Result<RowOutcome, OutcomeError>> + 'a,
    map: &'a RowMap,
) -> impl Iterator<Item = Result<RowOutcome, OutcomeError>> + 'a {
    outcomes.map(|outcome| {
        let outcome = outcome?;
        Ok(RowOutcome { row: row_of(map, outcome.row)?, ..outcome })
    })
}

fn row_of(map: &RowMap, position: RowNumber) -> Result<RowNumber, OutcomeError> {
    map.row_of(position).map_err(|source| OutcomeError::Io {
        path: map.path().to_owned(),
        action: "followed by its row map",
        source,
    })
}

/// Brings outcomes into the order of the original source.
#[derive(Debug)]
pub struct SourceOrder {
    map: Arc<RowMap>,
    memory: usize,
    fan_in: usize,
    held: Vec<RowOutcome>,
    held_bytes: usize,
    files: Files,
}

/// The sorted files.
#[derive(Debug)]
struct Files {
    folder: TemporaryFolder,
    next: u64,
    paths: Vec<PathBuf>,
}

impl Files {
    fn begin(&mut self) -> Result<(PathBuf, OutcomeWriter), OutcomeError> {
        self.next += 1;
        let path = self.folder.path().join(format!("{:06}.outcomes", self.next));
        let writer = OutcomeWriter::create(&path, 0)?;
        Ok((path, writer))
    }
}

impl SourceOrder {
    /// Begins, with temporary files in a folder of their own that is made anew
    /// and removed in the end.
    ///
    /// # Errors
    /// [`OutcomeError::Io`].
    pub fn create(map: Arc<RowMap>, folder: &Path) -> Result<Self, OutcomeError> {
        let temporary = TemporaryFolder::create(folder).map_err(|source| OutcomeError::Io {
            path: folder.to_owned(),
            action: "put in order",
            source,
        })?;
        Ok(SourceOrder {
            map,
            memory: MEMORY,
            fan_in: FAN_IN,
            held: Vec::new(),
            held_bytes: 0,
            files: Files { folder: temporary, next: 0, paths: Vec::new() },
        })
    }

    /// Sets how many bytes of outcomes are sorted in memory, and how many
    /// files are merged at a time (2 at least).
    #[must_use]
    pub fn within(mut self, memory: usize, fan_in: usize) -> Self {
        self.memory = memory;
        self.fan_in = fan_in.max(2);
        self
    }

    /// Takes the outcomes of a chunk, by their positions; chunks may come in
    /// any order.
    ///
    /// # Errors
    /// [`OutcomeError`].
    pub fn push(
        &mut self,
        outcomes: &mut dyn Iterator<Item = Result<RowOutcome, OutcomeError>>,
    ) -> Result<(), OutcomeError> {
        for outcome in outcomes {
            let mut outcome = outcome?;
            outcome.row = row_of(&self.map, outcome.row)?;
            let text = outcome.error.as_ref().map_or(0, String::len);
            self.held_bytes += size_of::<RowOutcome>() + text;
            self.held.push(outcome);
            if self.held_bytes >= self.memory {
                self.spill()?;
            }
        }
        Ok(())
    }

    /// Ends, and hands out all outcomes by row.
    ///
    /// # Errors
    /// [`OutcomeError`].
    pub fn finish(mut self) -> Result<OrderedOutcomes, OutcomeError> {
        if self.files.paths.is_empty() {
            self.held.sort_unstable_by_key(|outcome| outcome.row);
            return Ok(OrderedOutcomes {
                from: Outcomes::Memory(std::mem::take(&mut self.held).into_iter()),
                last: None,
                _files: self.files,
            });
        }
        self.spill()?;
        let SourceOrder { mut files, fan_in, .. } = self;
        while files.paths.len() > fan_in {
            // Only as many as bring their number to what the last merge takes.
            let some = fan_in.min(files.paths.len() - fan_in + 1);
            let rest = files.paths.split_off(some);
            let merged = std::mem::replace(&mut files.paths, rest);
            let (path, mut writer) = files.begin()?;
            for outcome in Merge::open(&merged)? {
                writer.push(&outcome?)?;
            }
            writer.finish_temporary()?;
            files.paths.push(path);
            for path in merged {
                // The folder goes in the end anyway; this frees the room now.
                let _ = std::fs::remove_file(path);
            }
        }
        let merge = Merge::open(&files.paths)?;
        Ok(OrderedOutcomes { from: Outcomes::Files(merge), last: None, _files: files })
    }

    fn spill(&mut self) -> Result<(), OutcomeError> {
        if self.held.is_empty() {
            return Ok(());
        }
        self.held.sort_unstable_by_key(|outcome| outcome.row);
        let (path, mut writer) = self.files.begin()?;
        for outcome in self.held.drain(..) {
            writer.push(&outcome)?;
        }
        writer.finish_temporary()?;
        self.files.paths.push(path);
        self.held_bytes = 0;
        Ok(())
    }
}

/// Outcomes of a whole run by the rows of the original source, as
/// [`super::ResultFiles::append`] takes them. A row that has two is an error.
#[derive(Debug)]
pub struct OrderedOutcomes {
    from: Outcomes,
    last: Option<RowNumber>,
    _files: Files,
}

#[derive(Debug)]
enum Outcomes {
    Memory(std::vec::IntoIter<RowOutcome>),
    Files(Merge),
}

impl Iterator for OrderedOutcomes {
    type Item = Result<RowOutcome, OutcomeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = match &mut self.from {
            Outcomes::Memory(outcomes) => outcomes.next().map(Ok),
            Outcomes::Files(merge) => merge.next(),
        };
        if let Some(Ok(RowOutcome { row, .. })) = next {
            let before = self.last.replace(row);
            if let Some(before) = before.filter(|before| *before >= row) {
                self.from = Outcomes::Memory(Vec::new().into_iter());
                return Some(Err(OutcomeError::OutOfOrder { row, before }));
            }
        }
        next
    }
}

/// Sorted files as one.
#[derive(Debug)]
struct Merge {
    files: Vec<(OutcomeReader, Option<RowOutcome>)>,
    /// The row at hand of each file, least first.
    heads: BinaryHeap<Reverse<(RowNumber, usize)>>,
}

impl Merge {
    fn open(paths: &[PathBuf]) -> Result<Self, OutcomeError> {
        let mut merge = Merge { files: Vec::new(), heads: BinaryHeap::new() };
        for (at, path) in paths.iter().enumerate() {
            let mut reader = OutcomeReader::open(path)?;
            let first = reader.next().transpose()?;
            merge.heads.extend(first.as_ref().map(|first| Reverse((first.row, at))));
            merge.files.push((reader, first));
        }
        Ok(merge)
    }

    fn take_next(&mut self) -> Result<Option<RowOutcome>, OutcomeError> {
        let Some(Reverse((_, at))) = self.heads.pop() else { return Ok(None) };
        let Some((reader, at_hand)) = self.files.get_mut(at) else { return Ok(None) };
        let following = reader.next().transpose()?;
        self.heads.extend(following.as_ref().map(|next| Reverse((next.row, at))));
        Ok(std::mem::replace(at_hand, following))
    }
}

impl Iterator for Merge {
    type Item = Result<RowOutcome, OutcomeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.take_next();
        if next.is_err() {
            self.heads.clear();
        }
        next.transpose()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Fate;
    use crate::rows::RowMapWriter;

    fn outcome(row: u64, fate: Fate, error: Option<String>) -> RowOutcome {
        RowOutcome { row: RowNumber(row), fate, tier: None, attempts: 1, id: None, error }
    }

    fn map(folder: &Path, rows: &[u64]) -> Arc<RowMap> {
        let path = folder.join("grouped.rows");
        let mut writer = RowMapWriter::create(&path).unwrap();
        for &row in rows {
            writer.push(RowNumber(row)).unwrap();
        }
        writer.finish().unwrap();
        Arc::new(RowMap::open(&path).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// Whatever the memory and the fan-in, and in whatever order chunks
        /// are settled: every outcome once, by row.
        #[test]
        fn outcomes_come_out_by_row(
            rows in Just((1u64..=120).collect::<Vec<_>>()).prop_shuffle(),
            chunks in prop::collection::vec(1usize..30, 1..8),
            late in any::<bool>(),
            memory in 1usize..4000,
            fan_in in 0usize..5,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let temporary = folder.path().join("order");
            let map = map(folder.path(), &rows);
            let mut order =
                SourceOrder::create(map, &temporary).unwrap().within(memory, fan_in);
            let mut position = 0u64;
            let mut all = Vec::new();
            for length in chunks {
                let chunk: Vec<RowOutcome> = (0..length)
                    .map_while(|_| {
                        position += 1;
                        let fate = if position.is_multiple_of(3) { Fate::Failed } else { Fate::Created };
                        let error = (fate == Fate::Failed).then(|| "E".repeat(position as usize));
                        (position <= 120).then(|| outcome(position, fate, error))
                    })
                    .collect();
                all.push(chunk);
            }
            let mut expected: Vec<RowOutcome> = all
                .iter()
                .flatten()
                .map(|at| RowOutcome {
                    row: RowNumber(rows[at.row.0 as usize - 1]),
                    ..at.clone()
                })
                .collect();
            expected.sort_by_key(|outcome| outcome.row);
            if late {
                all.reverse();
            }
            for chunk in all {
                order.push(&mut chunk.into_iter().map(Ok)).unwrap();
            }
            let found: Vec<RowOutcome> = order.finish().unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(found, expected);
            prop_assert!(!temporary.exists());
        }
    }

    #[test]
    fn a_row_with_two_outcomes_is_noticed_in_memory_and_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let map = map(folder.path(), &[5, 9, 5]);
        for memory in [1, 1 << 20] {
            let mut order = SourceOrder::create(Arc::clone(&map), &folder.path().join("order"))
                .unwrap()
                .within(memory, 2);
            let outcomes = (1..=3).map(|row| Ok(outcome(row, Fate::Created, None)));
            order.push(&mut { outcomes }).unwrap();
            let found: Result<Vec<_>, _> = order.finish().and_then(std::iter::Iterator::collect);
            assert_eq!(found.unwrap_err().to_string(), "row 5 came behind row 5");
        }
    }

    #[test]
    fn where_rows_ascend_they_only_get_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let map = map(folder.path(), &[3, 8, 9]);
        assert!(map.is_ascending());
        let outcomes = [1, 3].map(|row| Ok(outcome(row, Fate::Failed, None)));
        let rows: Vec<u64> =
            renumbered(outcomes.into_iter(), &map).map(|next| next.unwrap().row.0).collect();
        assert_eq!(rows, [3, 9]);
        let beyond = [Ok(outcome(4, Fate::Failed, None))];
        assert!(renumbered(beyond.into_iter(), &map).next().unwrap().is_err());
    }
}
