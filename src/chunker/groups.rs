//! Where a chunk may end when rows of one parent are to stay together.
//!
//! The group index says where groups and parcels begin; here it is followed
//! row by row. The rules:
//!
//! - A chunk ends before a parcel when the parcel doesn't fit into it, or when
//!   its rows so far are no whole number of batches: the parcel would begin in
//!   the middle of a batch of the org, and a group of it lie on both sides of
//!   a border.
//! - It ends before a group that doesn't fit, which happens only when encoding
//!   made the rows longer than they were.
//! - Only a group that is larger than a chunk is cut.

use super::sizing::ChunkSizing;
use crate::domain::RowNumber;
use crate::rows::{GroupIndex, GroupRun, Parcel, Parcels, SourceError};

/// What is to be sent of a group or a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    rows: u64,
    bytes: u64,
}

/// What begins with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begins {
    /// The parcel, if one begins there.
    parcel: Option<Load>,
    /// The group; `None` for rows that may be parted.
    group: Option<Load>,
}

/// The chunk in the making, as far as fitting goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filled {
    /// Rows that are sent.
    pub(super) rows: u64,
    /// Bytes of them and of the header line.
    pub(super) bytes: u64,
}

/// Follows a group index along the rows.
pub(super) struct Groups {
    index: GroupIndex,
    parcels: Option<Parcels>,
    parcel: Parcel,
    /// The next group of the parcel.
    at: usize,
    /// The row with which the next group begins.
    next: u64,
    /// Bytes of rows that were sent, as they stand and as they were encoded.
    raw: u64,
    encoded: u64,
}

impl Groups {
    pub(super) fn new(index: GroupIndex) -> Self {
        let next = index.first_row().0;
        Groups { index, parcels: None, parcel: Parcel::default(), at: 0, next, raw: 0, encoded: 0 }
    }

    /// What begins with a row; rows come in ascending order. A row in the
    /// middle of a group begins one when rows before it were passed over: a
    /// resumed run goes on there.
    pub(super) fn meet(&mut self, row: RowNumber) -> Result<Option<Begins>, SourceError> {
        if row.0 < self.next { Ok(None) } else { self.go_to(row.0) }
    }

    /// The next parcel; it can't be read only where the disk fails, for the
    /// index was found whole when it was opened.
    fn next_parcel(&mut self) -> Result<Option<Parcel>, SourceError> {
        let failed = |source| SourceError::Io { path: self.index.path().to_owned(), source };
        let parcels = match &mut self.parcels {
            Some(parcels) => parcels,
            none => none.insert(self.index.parcels().map_err(failed)?),
        };
        parcels.next().transpose().map_err(failed)
    }

    fn go_to(&mut self, row: u64) -> Result<Option<Begins>, SourceError> {
        let is_next = row == self.next;
        let mut new_parcel = !is_next;
        loop {
            let Some(group) = self.parcel.groups.get(self.at).copied() else {
                let Some(parcel) = self.next_parcel()? else {
                    // Rows the index doesn't know stand behind all others.
                    self.next = u64::MAX;
                    return Ok(None);
                };
                self.parcel = parcel;
                self.at = 0;
                new_parcel = true;
                continue;
            };
            let begin = self.next;
            self.next = begin.saturating_add(group.rows);
            self.at += 1;
            if row >= self.next {
                continue;
            }
            let group = rest_of(group, row - begin);
            let mut whole = Load { rows: group.sent, bytes: group.bytes };
            for later in self.parcel.groups.get(self.at..).unwrap_or_default() {
                if !new_parcel {
                    break;
                }
                whole.rows += later.sent;
                whole.bytes += later.bytes;
            }
            return Ok(Some(Begins {
                parcel: new_parcel.then_some(whole),
                group: (!group.loose).then_some(Load { rows: group.sent, bytes: group.bytes }),
            }));
        }
    }

    /// Whether the chunk must end before what begins.
    pub(super) fn part(&self, begins: Begins, filled: Filled, sizing: ChunkSizing) -> bool {
        if filled.rows == 0 {
            return false;
        }
        let fits = |load: Load| {
            filled.rows + load.rows <= sizing.rows
                && filled.bytes + self.expected(load.bytes) <= sizing.max_bytes
        };
        let before_parcel = begins.parcel.is_some_and(|parcel| {
            // Rows that are all rejected are no part of what is sent.
            parcel.rows == 0
                || !filled.rows.is_multiple_of(self.index.batch_rows())
                || !fits(parcel)
        });
        before_parcel || begins.group.is_some_and(|group| !fits(group))
    }

    /// Notes what a row came to.
    pub(super) fn sent(&mut self, raw: usize, encoded: usize) {
        self.raw += raw as u64;
        self.encoded += encoded as u64;
    }

    /// Bytes that rows will have when they are encoded: by the rows so far.
    fn expected(&self, bytes: u64) -> u64 {
        if self.raw == self.encoded || self.raw == 0 {
            return bytes;
        }
        let expected = u128::from(bytes) * u128::from(self.encoded) / u128::from(self.raw) + 1;
        u64::try_from(expected).unwrap_or(u64::MAX)
    }
}

/// A group without its first rows; how many of these are sent is not known, so
/// the rest is taken for as large as it can be.
fn rest_of(group: GroupRun, passed: u64) -> GroupRun {
    if passed == 0 {
        return group;
    }
    let rows = group.rows - passed;
    let share = u128::from(group.bytes) * u128::from(rows) / u128::from(group.rows.max(1)) + 1;
    GroupRun {
        rows,
        sent: group.sent.min(rows),
        bytes: u64::try_from(share).unwrap_or(u64::MAX),
        loose: group.loose,
    }
}
