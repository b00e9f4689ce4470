//! A source put in groups: the files that drive the stages behind.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::counts::GroupSize;
use super::keys::RowKey;
use super::output::{GROUPED_CSV, GROUPED_GROUPS, GROUPED_ROWS, Output};
use super::packer::{Packed, Packer};
use super::parcels::{InOrder, JobCount, JobCounter, Room};
use super::runs::Runs;
use super::{GroupError, GroupOptions, GroupStep};
use crate::domain::{LineEnding, RowNumber};
use crate::rows::sorter::{SortLimits, Sorter};
use crate::rows::spill::{Record, SetAside, Spills};
use crate::rows::{GroupIndex, GroupIndexWriter, Parcel, RawBatch, RawRecord, RowMap, RowStream};

/// Rows written between two words to `progress`.
const STEP_ROWS: u64 = 10_000;

/// Rows of a source, in source order, and how their keys are found.
pub struct Keyed<'a> {
    /// The rows.
    pub rows: &'a mut dyn RowStream,
    /// Tells the keys of a batch, one for each of its records; a record it
    /// tells nothing of has no parent.
    pub keys: &'a mut dyn FnMut(&RawBatch) -> Vec<RowKey>,
}

/// A derived source with its rows in groups.
#[derive(Debug)]
pub struct Derived {
    /// Its text, to be opened like any CSV file.
    pub path: PathBuf,
    /// Bytes of it.
    pub bytes: u64,
    /// xxh3-128 of it, 32 hex digits.
    pub digest: String,
    /// Which row is which.
    pub map: RowMap,
    /// Where groups lie, for the chunker.
    pub index: GroupIndex,
    /// Jobs a load makes of it, unless encoding changes how long rows are.
    pub jobs: JobCount,
    /// How many parents there are, exactly.
    pub distinct: u64,
    /// How many of them have more rows than a batch.
    pub oversized: u64,
    /// The parents with the most rows, the largest first.
    pub largest: Vec<GroupSize>,
}

/// A source that is in order already, with the index of its groups.
#[derive(Debug)]
pub struct Indexed {
    /// Where groups lie, for the chunker.
    pub index: GroupIndex,
    /// Jobs a load makes of it, unless encoding changes how long rows are.
    pub jobs: JobCount,
}

/// Tells the chunker where groups lie in a source whose rows of one parent are
/// adjacent ([`super::GroupSurvey::suits_in_place`]): writes
/// [`GROUPED_GROUPS`] into a folder.
///
/// # Errors
/// [`GroupError`].
pub fn index_in_place(
    from: Keyed<'_>,
    options: &GroupOptions,
    folder: &Path,
    progress: &mut dyn FnMut(GroupStep) -> ControlFlow<()>,
) -> Result<Indexed, GroupError> {
    let failed = GroupError::io(folder);
    let room = Room::new(options);
    let path = folder.join(GROUPED_GROUPS);
    let mut writer = None;
    let (mut runs, mut parcels) = (Runs::default(), InOrder::new(room));
    let mut jobs = JobCounter::new(room);
    let mut rows = 0;
    while let Some(batch) = from.rows.next_batch()? {
        let writer = match &mut writer {
            Some(writer) => writer,
            none => none.insert(
                GroupIndexWriter::create(&path, batch.first_row, options.batch_rows)
                    .map_err(&failed)?,
            ),
        };
        let keys = (from.keys)(&batch);
        runs.push(&batch, &keys, &mut |run| {
            parcels.push(run.group, &mut |parcel: Parcel| {
                jobs.push(&parcel);
                writer.push(&parcel)
            })
        })
        .map_err(&failed)?;
        rows += batch.records.len() as u64;
        read(&batch, rows, progress)?;
    }
    let mut writer = match writer {
        Some(writer) => writer,
        None => {
            GroupIndexWriter::create(&path, RowNumber(1), options.batch_rows).map_err(&failed)?
        }
    };
    if let Some(run) = runs.finish() {
        parcels
            .push(run.group, &mut |parcel: Parcel| {
                jobs.push(&parcel);
                writer.push(&parcel)
            })
            .map_err(&failed)?;
    }
    let last = parcels.finish();
    jobs.push(&last);
    writer.push(&last).map_err(&failed)?;
    writer.finish().map_err(&failed)?;
    Ok(Indexed { index: GroupIndex::open(&path).map_err(&failed)?, jobs: jobs.finish() })
}

/// Writes a derived source with its rows in groups: [`GROUPED_CSV`],
/// [`GROUPED_ROWS`] and [`GROUPED_GROUPS`] in a folder, in the place of any
/// that are there. `header` is the text of the source up to its first row;
/// `line_ending` that of the source, for a record without one.
///
/// # Errors
/// [`GroupError`]; no file of these is left then.
pub fn regroup(
    header: &[u8],
    line_ending: LineEnding,
    from: Keyed<'_>,
    options: &GroupOptions,
    folder: &Path,
    progress: &mut dyn FnMut(GroupStep) -> ControlFlow<()>,
) -> Result<Derived, GroupError> {
    let failed = GroupError::io(folder);
    let room = Room::new(options);
    let mut head = header.to_vec();
    if !head.ends_with(b"\n") {
        head.extend_from_slice(line_ending.bytes());
    }
    // Begun first: a disk that refuses is found out before all is read.
    let output = Output::create(folder, &head, room).map_err(&failed)?;
    let mut spills = Spills::create(&folder.join("grouping")).map_err(&failed)?;

    let mut sorter = Sorter::new(SortLimits {
        run_bytes: options.run_bytes(),
        read_bytes: options.read_bytes(),
        fan_in: options.fan_in,
    });
    let (mut loose, mut rejected) = (SetAside::new(), SetAside::new());
    let mut rows = 0;
    while let Some(batch) = from.rows.next_batch()? {
        let keys = (from.keys)(&batch);
        let mut has_text = false;
        for (at, record) in batch.records.iter().enumerate() {
            let key = keys.get(at).copied().unwrap_or_default();
            let row = batch.first_row.plus(at as u64).0;
            let ended = ended(&batch, record, line_ending);
            if let RowKey { key: Some(key), rejected: false } = key {
                if let Some(ended) = ended {
                    let end = ended.len() as u32;
                    sorter.text(ended);
                    sorter.push(key, row, 0, end);
                    has_text = false;
                    continue;
                }
                if !has_text {
                    sorter.text(batch.bytes.clone());
                    has_text = true;
                }
                sorter.push(key, row, record.start, record.next);
                continue;
            }
            let as_it_stands = batch.bytes.get(record.start as usize..record.next as usize);
            let bytes = ended.as_deref().or(as_it_stands).unwrap_or_default();
            let aside = if key.rejected { &mut rejected } else { &mut loose };
            aside.push(&mut spills, Record { key: 0, row, bytes }).map_err(&failed)?;
        }
        sorter.settle(&mut spills).map_err(&failed)?;
        rows += batch.records.len() as u64;
        read(&batch, rows, progress)?;
    }

    let buffer = options.read_bytes();
    let loose = loose.read(buffer).map_err(&failed)?;
    let rejected = rejected.read(buffer).map_err(&failed)?;
    let mut sorted = sorter.finish(&mut spills).map_err(&failed)?;
    let mut packer = Packer::new(room, options.held_bytes(), output, loose);
    let mut last_key = None;
    let mut told = 0;
    while let Some(record) = sorted.next().map_err(&failed)? {
        if last_key.replace(record.key) != Some(record.key) {
            packer.end_group().map_err(&failed)?;
            let written = packer.written();
            if written >= told + STEP_ROWS {
                told = written;
                if progress(GroupStep::Written { rows: written }).is_break() {
                    return Err(GroupError::Stopped);
                }
            }
        }
        packer.push(record).map_err(&failed)?;
    }
    drop(sorted);
    let Packed { written, groups, oversized, largest } =
        packer.finish(rejected).map_err(&failed)?;
    Ok(Derived {
        path: folder.join(GROUPED_CSV),
        bytes: written.bytes,
        digest: written.digest,
        map: RowMap::open(&folder.join(GROUPED_ROWS)).map_err(&failed)?,
        index: GroupIndex::open(&folder.join(GROUPED_GROUPS)).map_err(&failed)?,
        jobs: written.jobs,
        distinct: groups,
        oversized,
        largest,
    })
}

/// Tells how far reading has come.
fn read(
    batch: &RawBatch,
    rows: u64,
    progress: &mut dyn FnMut(GroupStep) -> ControlFlow<()>,
) -> Result<(), GroupError> {
    let bytes = batch.read_bytes;
    match progress(GroupStep::Read { rows, bytes }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(GroupError::Stopped),
    }
}

/// A record with a line end, if it has none: the last one of a source.
fn ended(batch: &RawBatch, record: &RawRecord, line_ending: LineEnding) -> Option<Bytes> {
    if record.next > record.end {
        return None;
    }
    let mut text = batch.record(record).to_vec();
    // A carriage return at its end would be taken for half of the line end.
    let line_end = if text.ends_with(b"\r") { LineEnding::Crlf } else { line_ending };
    text.extend_from_slice(line_end.bytes());
    Some(Bytes::from(text))
}
