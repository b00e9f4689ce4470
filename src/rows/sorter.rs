//! The external sort: records in any order in, by key and row out.
//!
//! What is sorted in memory is 32 bytes a record, beside the row batches as
//! they were read. When these take too much, they are written as a sorted run;
//! in the end all runs are merged, some of them beforehand where there are
//! more than may be open.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io;

use bytes::Bytes;
use rayon::slice::ParallelSliceMut as _;

use super::spill::{Record, Spill, SpillReader, Spills};

/// Where a record lies in the row batches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    key: u64,
    row: u64,
    batch: u32,
    start: u32,
    end: u32,
}

impl Place {
    fn record(self, batches: &[Bytes]) -> Record<'_> {
        let text = batches.get(self.batch as usize);
        let bytes = text.and_then(|text| text.get(self.start as usize..self.end as usize));
        Record { key: self.key, row: self.row, bytes: bytes.unwrap_or_default() }
    }
}

/// How much a sort may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SortLimits {
    /// Bytes of records and their places in memory.
    pub(crate) run_bytes: usize,
    /// Bytes read at a time of a run.
    pub(crate) read_bytes: usize,
    /// Runs merged at a time.
    pub(crate) fan_in: usize,
}

/// Takes records.
pub(crate) struct Sorter {
    limits: SortLimits,
    batches: Vec<Bytes>,
    places: Vec<Place>,
    held: usize,
    runs: Vec<Spill>,
}

impl Sorter {
    pub(crate) fn new(limits: SortLimits) -> Self {
        Sorter { limits, batches: Vec::new(), places: Vec::new(), held: 0, runs: Vec::new() }
    }

    /// Has the records that come next lie in this text.
    pub(crate) fn text(&mut self, text: Bytes) {
        self.held += text.len();
        self.batches.push(text);
    }

    /// Takes a record that lies in the last text given.
    pub(crate) fn push(&mut self, key: u64, row: u64, start: u32, end: u32) {
        let batch = self.batches.len().saturating_sub(1) as u32;
        self.held += size_of::<Place>();
        self.places.push(Place { key, row, batch, start, end });
    }

    /// Writes a sorted run if memory is full; between texts only.
    pub(crate) fn settle(&mut self, spills: &mut Spills) -> io::Result<()> {
        if self.held < self.limits.run_bytes || self.places.is_empty() {
            return Ok(());
        }
        self.spill(spills)
    }

    fn sort(&mut self) {
        self.places.par_sort_unstable_by_key(|place| (place.key, place.row));
    }

    fn spill(&mut self, spills: &mut Spills) -> io::Result<()> {
        self.sort();
        let mut run = spills.begin()?;
        for place in &self.places {
            run.push(place.record(&self.batches))?;
        }
        self.runs.push(run.finish()?);
        self.places.clear();
        self.batches.clear();
        self.held = 0;
        Ok(())
    }

    /// All records in order.
    pub(crate) fn finish(mut self, spills: &mut Spills) -> io::Result<Sorted> {
        if self.runs.is_empty() {
            self.sort();
            return Ok(Sorted::Memory { batches: self.batches, places: self.places, next: 0 });
        }
        if !self.places.is_empty() {
            self.spill(spills)?;
        }
        let Sorter { limits, mut runs, places, batches, .. } = self;
        drop((places, batches));
        let fan_in = limits.fan_in.max(2);
        while runs.len() > fan_in {
            // Only as many as bring their number to what the last merge takes,
            // so that few records are moved once more.
            let some = fan_in.min(runs.len() - fan_in + 1);
            let rest = runs.split_off(some);
            let mut merge = Merge::begin(runs, limits.read_bytes)?;
            let mut run = spills.begin()?;
            while let Some(record) = merge.next()? {
                run.push(record)?;
            }
            runs = rest;
            runs.push(run.finish()?);
        }
        Ok(Sorted::Merge(Merge::begin(runs, limits.read_bytes)?))
    }
}

/// Records by key and row.
pub(crate) enum Sorted {
    /// They all fitted into memory.
    Memory { batches: Vec<Bytes>, places: Vec<Place>, next: usize },
    /// They come from runs on disk.
    Merge(Merge),
}

impl Sorted {
    /// The next record, or `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Record<'_>>> {
        match self {
            Sorted::Memory { batches, places, next } => {
                let place = places.get(*next);
                *next += 1;
                Ok(place.map(|place| place.record(batches)))
            }
            Sorted::Merge(merge) => merge.next(),
        }
    }
}

/// Sorted runs as one.
pub(crate) struct Merge {
    runs: Vec<SpillReader>,
    /// The record at hand of each run, least first.
    heads: BinaryHeap<Reverse<(u64, u64, usize)>>,
    /// Whether the least one was handed out already.
    is_out: bool,
}

impl Merge {
    fn begin(spills: Vec<Spill>, buffer: usize) -> io::Result<Self> {
        let mut runs = Vec::with_capacity(spills.len());
        let mut heads = BinaryHeap::with_capacity(spills.len());
        for (at, spill) in spills.into_iter().enumerate() {
            let run = spill.read(buffer)?;
            heads.extend(run.record().map(|record| Reverse((record.key, record.row, at))));
            runs.push(run);
        }
        Ok(Merge { runs, heads, is_out: false })
    }

    fn next(&mut self) -> io::Result<Option<Record<'_>>> {
        if self.is_out
            && let Some(mut head) = self.heads.peek_mut()
        {
            let Reverse((_, _, at)) = *head;
            let run = self.runs.get_mut(at);
            let more = run.map_or(Ok(false), SpillReader::advance)?;
            match self.runs.get(at).and_then(SpillReader::record).filter(|_| more) {
                Some(record) => *head = Reverse((record.key, record.row, at)),
                None => {
                    PeekMut::pop(head);
                }
            }
        }
        let Some(&Reverse((_, _, at))) = self.heads.peek() else {
            self.is_out = false;
            return Ok(None);
        };
        self.is_out = true;
        Ok(self.runs.get(at).and_then(SpillReader::record))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// Whatever the memory and the fan-in: as a sort in memory, and the
        /// folder is gone in the end.
        #[test]
        fn records_come_out_in_order_each_once(
            texts in prop::collection::vec(
                prop::collection::vec((0u64..6, "[a-z]{0,9}"), 0..20),
                0..20,
            ),
            run_bytes in 1usize..2000,
            fan_in in 1usize..6,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("sort");
            let mut temporary = Spills::create(&path).unwrap();
            let mut sorter = Sorter::new(SortLimits { run_bytes, read_bytes: 16, fan_in });
            let mut expected = Vec::new();
            for text in &texts {
                let whole: String = text.iter().map(|(_, cell)| cell.as_str()).collect();
                sorter.text(Bytes::from(whole));
                let mut start = 0;
                for (key, cell) in text {
                    let row = expected.len() as u64 + 1;
                    let end = start + cell.len() as u32;
                    sorter.push(*key, row, start, end);
                    expected.push((*key, row, cell.clone().into_bytes()));
                    start = end;
                }
                sorter.settle(&mut temporary).unwrap();
            }
            expected.sort();
            let mut sorted = sorter.finish(&mut temporary).unwrap();
            let mut found = Vec::new();
            while let Some(record) = sorted.next().unwrap() {
                found.push((record.key, record.row, record.bytes.to_vec()));
            }
            prop_assert_eq!(found, expected);
            drop(sorted);
            drop(temporary);
            prop_assert!(!path.exists());
        }
    }
}
