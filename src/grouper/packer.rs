//! Groups to parcels: the order in which a derived source has its rows.
//!
//! ```text
//! records by key ─► group ─┬─ fits ──────────► parcel ─► files
//!                          ├─ doesn't fit ──► put off ──►┘ when a parcel begins
//!                          └─ larger than a batch ──► passed through, as the
//! rows without a parent ─► what a parcel has left       first of a parcel
//! ```

use std::collections::VecDeque;
use std::io;

use super::counts::{GroupSize, Largest};
use super::output::{Output, Written};
use super::parcels::{OpenParcel, Room};
use crate::domain::RowNumber;
use crate::rows::GroupRun;
use crate::rows::spill::{Record, SpillReader};

/// Groups put off at most: each is looked at when a parcel begins, and some
/// hundred are enough to find one that fits.
const MAX_PUT_OFF: usize = 1000;

/// A group in memory.
#[derive(Debug, Default)]
struct Group {
    rows: Vec<u64>,
    records: Vec<u8>,
}

impl Group {
    fn bytes(&self) -> usize {
        self.records.len() + self.rows.len() * size_of::<u64>()
    }

    fn run(&self, loose: bool) -> GroupRun {
        let rows = self.rows.len() as u64;
        GroupRun { rows, sent: rows, bytes: self.records.len() as u64, loose }
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.records.clear();
    }
}

/// What was packed.
pub(super) struct Packed {
    pub(super) written: Written,
    /// Groups there were.
    pub(super) groups: u64,
    /// Those larger than a batch.
    pub(super) oversized: u64,
    /// The largest, the largest first.
    pub(super) largest: Vec<GroupSize>,
}

/// Packs groups into parcels and writes them.
pub(super) struct Packer {
    room: Room,
    /// Bytes of a group held until its size is known, and of all put off.
    held_bytes: usize,
    output: Output,
    open: OpenParcel,
    /// The group whose records are coming.
    group: Group,
    /// What of it was passed through, if it is too large to be held.
    passed: Option<GroupRun>,
    first_row: u64,
    put_off: VecDeque<Group>,
    put_off_bytes: usize,
    /// Rows without a parent.
    loose: Option<SpillReader>,
    groups: u64,
    oversized: u64,
    largest: Largest,
}

impl Packer {
    pub(super) fn new(
        room: Room,
        held_bytes: usize,
        output: Output,
        loose: Option<SpillReader>,
    ) -> Self {
        Packer {
            room,
            held_bytes,
            output,
            open: OpenParcel::new(room),
            group: Group::default(),
            passed: None,
            first_row: 0,
            put_off: VecDeque::new(),
            put_off_bytes: 0,
            loose,
            groups: 0,
            oversized: 0,
            largest: Largest::default(),
        }
    }

    /// How many rows were written.
    pub(super) fn written(&self) -> u64 {
        self.output.rows()
    }

    /// Takes the next record of the group.
    pub(super) fn push(&mut self, record: Record<'_>) -> io::Result<()> {
        if let Some(passed) = &mut self.passed {
            passed.rows += 1;
            passed.sent += 1;
            passed.bytes += record.bytes.len() as u64;
            return self.output.put(&[record.row], record.bytes);
        }
        if self.group.rows.is_empty() {
            self.first_row = record.row;
        }
        self.group.rows.push(record.row);
        self.group.records.extend_from_slice(record.bytes);
        let GroupRun { rows, bytes, .. } = self.group.run(false);
        if !self.room.is_small(rows, bytes) || self.group.bytes() > self.held_bytes {
            // It must be the first of a parcel, whatever its size turns out.
            self.close()?;
            let run = self.group.run(false);
            self.output.put(&self.group.rows, &self.group.records)?;
            self.group.clear();
            self.passed = Some(run);
        }
        Ok(())
    }

    /// Ends the group, if one was begun.
    pub(super) fn end_group(&mut self) -> io::Result<()> {
        let rows = self.passed.map_or(self.group.rows.len() as u64, |passed| passed.rows);
        if rows == 0 {
            return Ok(());
        }
        self.groups += 1;
        self.oversized += u64::from(rows > self.room.batch_rows());
        self.largest.push(GroupSize { rows, first_row: RowNumber(self.first_row) });
        if let Some(run) = self.passed.take() {
            self.open.push_large(run);
            return self.place_put_off();
        }
        let group = std::mem::take(&mut self.group);
        while !self.fits(&group) {
            let can_wait = self.put_off.is_empty()
                || (self.put_off.len() < MAX_PUT_OFF
                    && self.put_off_bytes + group.bytes() <= self.held_bytes);
            if can_wait {
                self.put_off_bytes += group.bytes();
                self.put_off.push_back(group);
                return Ok(());
            }
            // Nothing waiting fits either. The first of them does in the next
            // parcel, so this comes to an end.
            self.close()?;
            self.place_put_off()?;
        }
        self.write(&group)?;
        // Its memory serves the next one.
        self.group = group;
        self.group.clear();
        self.place_put_off_if_full()
    }

    fn fits(&self, group: &Group) -> bool {
        self.open.fits(group.rows.len() as u64, group.records.len() as u64)
    }

    fn write(&mut self, group: &Group) -> io::Result<()> {
        self.open.push(group.run(false));
        self.output.put(&group.rows, &group.records)
    }

    /// What waits doesn't fit into what the parcel has left, unless it is a
    /// new one.
    fn place_put_off_if_full(&mut self) -> io::Result<()> {
        if self.open.is_full() { self.place_put_off() } else { Ok(()) }
    }

    /// Places all groups put off that fit.
    fn place_put_off(&mut self) -> io::Result<()> {
        loop {
            if self.open.is_full() {
                self.end_parcel()?;
            }
            let at = self.put_off.iter().position(|group| self.fits(group));
            let Some(group) = at.and_then(|at| self.put_off.remove(at)) else { return Ok(()) };
            self.put_off_bytes -= group.bytes();
            self.write(&group)?;
        }
    }

    /// Ends the parcel in the making, filled up with rows without a parent.
    fn close(&mut self) -> io::Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        while !self.open.is_full() && self.next_loose_fits() {
            self.write_loose()?;
        }
        self.end_parcel()
    }

    fn next_loose_fits(&self) -> bool {
        let record = self.loose.as_ref().and_then(SpillReader::record);
        record.is_some_and(|record| self.open.fits(1, record.bytes.len() as u64))
    }

    /// Writes the next row without a parent. Whether there was one.
    fn write_loose(&mut self) -> io::Result<bool> {
        let Some(loose) = &mut self.loose else { return Ok(false) };
        let Some(record) = loose.record() else { return Ok(false) };
        let bytes = record.bytes.len() as u64;
        self.output.put(&[record.row], record.bytes)?;
        self.open.push(GroupRun { rows: 1, sent: 1, bytes, loose: true });
        loose.advance()?;
        Ok(true)
    }

    fn end_parcel(&mut self) -> io::Result<()> {
        let parcel = self.open.take();
        self.output.parcel(&parcel)
    }

    /// Writes what waits, then the rest of the rows without a parent, then
    /// those that are not going to be sent, and ends the files.
    pub(super) fn finish(mut self, rejected: Option<SpillReader>) -> io::Result<Packed> {
        self.end_group()?;
        self.place_put_off()?;
        while !self.put_off.is_empty() {
            self.close()?;
            self.place_put_off()?;
        }
        loop {
            if self.open.is_full() || (!self.open.is_empty() && !self.next_loose_fits()) {
                self.end_parcel()?;
            }
            if !self.write_loose()? {
                break;
            }
        }
        self.end_parcel()?;
        if let Some(mut rejected) = rejected {
            while let Some(record) = rejected.record() {
                self.output.put(&[record.row], record.bytes)?;
                self.open.push(GroupRun { rows: 1, sent: 0, bytes: 0, loose: true });
                rejected.advance()?;
            }
        }
        self.end_parcel()?;
        Ok(Packed {
            written: self.output.finish()?,
            groups: self.groups,
            oversized: self.oversized,
            largest: self.largest.finish(),
        })
    }
}
