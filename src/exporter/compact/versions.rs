//! Which records of an archive are superseded by later versions of themselves.
//!
//! Rows are numbered through all files in their order. Of records with one
//! version only nothing is kept: a bitmap tells which ids later exports may
//! have, and the others are passed by.

use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, StringArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use xxhash_rust::xxh3::xxh3_64;

use super::fold::Input;
use crate::exporter::ExportError;
use crate::rows::sorter::{SortLimits, Sorted, Sorter};
use crate::rows::spill::Spills;

/// Bits of the map of ids, as a power of two: 16 MiB, in which 10 million ids
/// of increments have 8 of 100 other ids sorted for nothing.
const MAP_BITS: u32 = 27;

/// Characters of an id that tell records apart.
const ID: usize = 15;

/// Memory of each of the two sorts.
const LIMITS: SortLimits = SortLimits { run_bytes: 64 << 20, read_bytes: 256 << 10, fan_in: 64 };

/// The rows that are superseded, in order.
pub(super) struct Superseded {
    rows: Sorted,
    next: Option<u64>,
    // Removed when the last of them was read.
    _spills: Spills,
}

impl Superseded {
    /// Finds them. `first_full` of the inputs are of the export that all others
    /// add to.
    pub(super) fn find(
        inputs: &[Input],
        first_full: usize,
        scratch: &Path,
    ) -> Result<Self, ExportError> {
        let failed =
            |source| ExportError::Io { path: scratch.to_owned(), action: "written", source };
        let ids = scratch.join("ids");
        let mut spills = Spills::create(&ids).map_err(failed)?;
        let mut sorter = Sorter::new(LIMITS);
        let mut map = vec![0_u64; 1 << (MAP_BITS - 6)];
        let place = |key: u64| {
            let bit = key >> (64 - MAP_BITS);
            ((bit / 64) as usize, 1_u64 << (bit % 64))
        };
        let starts = starts(inputs);
        // Increments first, to know which records have versions.
        let order = (first_full..inputs.len()).chain(0..first_full);
        for at in order {
            let mut row = starts[at];
            ids_of(&inputs[at], |ids| {
                // Of the others not even the texts are kept (I6).
                let (mut texts, mut picked) = (Vec::new(), Vec::new());
                for id in 0..ids.len() {
                    let id = ids.value(id).as_bytes();
                    let id = id.get(..ID).unwrap_or(id);
                    let key = xxh3_64(id);
                    let (word, bit) = place(key);
                    if at >= first_full {
                        map[word] |= bit;
                    }
                    if map[word] & bit != 0 {
                        let start = texts.len() as u32;
                        texts.extend_from_slice(id);
                        picked.push((key, row, start, texts.len() as u32));
                    }
                    row += 1;
                }
                sorter.text(texts.into());
                for (key, row, start, end) in picked {
                    sorter.push(key, row, start, end);
                }
                sorter.settle(&mut spills).map_err(failed)
            })?;
        }
        let mut sorted = sorter.finish(&mut spills).map_err(failed)?;
        let rows = scratch.join("rows");
        let mut spills = Spills::create(&rows).map_err(failed)?;
        let mut losers = Sorter::new(LIMITS);
        // Ids whose hashes are the same, with the last row of each.
        let mut alike: Vec<(Vec<u8>, u64)> = Vec::new();
        let mut key = None;
        while let Some(record) = sorted.next().map_err(failed)? {
            if key != Some(record.key) {
                key = Some(record.key);
                alike.clear();
            }
            match alike.iter_mut().find(|(known, _)| known == record.bytes) {
                Some((_, last)) => {
                    losers.push(*last, 0, 0, 0);
                    losers.settle(&mut spills).map_err(failed)?;
                    *last = record.row;
                }
                None => alike.push((record.bytes.to_vec(), record.row)),
            }
        }
        let mut rows = losers.finish(&mut spills).map_err(failed)?;
        let next = next(&mut rows).map_err(failed)?;
        Ok(Superseded { rows, next, _spills: spills })
    }

    /// Whether a row is superseded; rows must be asked for in order.
    pub(super) fn has(&mut self, row: u64) -> std::io::Result<bool> {
        while self.next.is_some_and(|next| next < row) {
            self.next = next(&mut self.rows)?;
        }
        Ok(self.next == Some(row))
    }
}

fn next(rows: &mut Sorted) -> std::io::Result<Option<u64>> {
    Ok(rows.next()?.map(|record| record.key))
}

/// The number of the first row of each input.
fn starts(inputs: &[Input]) -> Vec<u64> {
    let mut starts = Vec::with_capacity(inputs.len());
    let mut row = 0;
    for input in inputs {
        starts.push(row);
        row += input.rows;
    }
    starts
}

/// Reads the ids of a file, some at a time.
fn ids_of(
    input: &Input,
    mut see: impl FnMut(&StringArray) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let path = &input.path;
    let failed = |source| ExportError::Parquet { path: path.clone(), action: "read", source };
    let file = File::open(path).map_err(ExportError::io(path, "read"))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), ["Id"]);
    let reader = builder.with_projection(mask).with_batch_size(16_384).build().map_err(failed)?;
    for batch in reader {
        let batch = batch.map_err(|error| failed(error.into()))?;
        let Some(ids) = batch.columns().first().and_then(|ids| ids.as_string_opt::<i32>()) else {
            return Err(ExportError::Damaged {
                path: path.clone(),
                what: "it has no column Id of texts".to_owned(),
            });
        };
        see(ids)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, RecordBatch};
    use parquet::arrow::ArrowWriter;
    use proptest::prelude::*;

    use super::*;

    /// A file of ids, each of which only its number tells apart.
    fn input(folder: &Path, number: usize, ids: &[u8]) -> Input {
        let path = folder.join(format!("{number}.parquet"));
        let texts: StringArray = ids.iter().map(|id| Some(format!("001{id:012}AAA"))).collect();
        let batch = RecordBatch::try_from_iter([("Id", Arc::new(texts) as ArrayRef)]).unwrap();
        let file = File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        Input { path, folder: String::new(), rows: ids.len() as u64 }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// A row is superseded if its id comes again behind it.
        #[test]
        fn rows_with_a_later_version_are_superseded(
            full in prop::collection::hash_set(0_u8..60, 0..40),
            more in prop::collection::vec(prop::collection::hash_set(0_u8..60, 0..20), 0..4),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let files: Vec<Vec<u8>> =
                std::iter::once(full).chain(more).map(|ids| ids.into_iter().collect()).collect();
            let inputs: Vec<Input> = files
                .iter()
                .enumerate()
                .map(|(number, ids)| input(folder.path(), number, ids))
                .collect();
            let scratch = folder.path().join("scratch");
            std::fs::create_dir(&scratch).unwrap();
            let mut superseded = Superseded::find(&inputs, 1, &scratch).unwrap();
            let rows = files.concat();
            for (row, id) in rows.iter().enumerate() {
                let expected = rows[row + 1..].contains(id);
                prop_assert_eq!(superseded.has(row as u64).unwrap(), expected, "row {}", row);
            }
        }
    }
}
