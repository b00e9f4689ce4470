//! One pass over a source that writes nothing: rows per parent, and whether
//! they are together already.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use super::counts::{Counts, GroupSize};
use super::parcels::{InOrder, JobCount, JobCounter, Room, least_jobs};
use super::runs::{Run, Runs};
use super::{GroupError, GroupOptions, GroupStep, Keyed};
use crate::rows::Parcel;

/// What is known of the groups of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSurvey {
    /// Rows read.
    pub rows: u64,
    /// Rows that have a parent and are sent.
    pub grouped: u64,
    /// Rows without a parent that are sent.
    pub loose: u64,
    /// Rows that are not sent.
    pub rejected: u64,
    /// How many parents there are; see `is_exact`.
    pub distinct: u64,
    /// Whether each parent was counted. If not, `distinct` is estimated, off
    /// by 0.8 % most of the time, and counts may be too small.
    pub is_exact: bool,
    /// By how much the counts of `largest` may be too small at most.
    pub undercount: u64,
    /// The parents with the most rows, the largest first.
    pub largest: Vec<GroupSize>,
    /// How many parents have more rows than a batch, as far as is known.
    pub oversized: u64,
    /// Rows of a batch of the org.
    pub batch_rows: u64,
    /// Whether the rows of each parent are adjacent. `false` too when there
    /// are too many parents to tell.
    pub ordered: bool,
    /// Jobs that a load makes with the rows as they stand, each cut where the
    /// next group would lie in two batches; known of an ordered source only.
    pub in_place: Option<JobCount>,
    /// Jobs a load would make that heeds no groups.
    pub least_jobs: u64,
}

impl GroupSurvey {
    /// Rows of a parent on average; 0 without parents.
    pub fn mean(&self) -> f64 {
        if self.distinct == 0 { 0.0 } else { self.grouped as f64 / self.distinct as f64 }
    }

    /// Whether the source can go as it stands: it is ordered, and cutting jobs
    /// where groups end makes at most twice as many. Then
    /// [`super::index_in_place`] does, else it takes [`super::regroup`].
    pub fn suits_in_place(&self) -> bool {
        self.ordered
            && self.in_place.is_some_and(|count| count.jobs <= self.least_jobs.saturating_mul(2))
    }

    /// The forecast as people read it, before anything is sent: rows per
    /// parent, and where locks are to be expected. `column` is the column's
    /// name; no value is told (I8).
    pub fn sentence(&self, column: &str) -> String {
        let Some(largest) = self.largest.first() else {
            return format!("groups by {column}: no row has a parent there, so none locks one");
        };
        let about = if self.is_exact { "" } else { "about " };
        let parents = if self.distinct == 1 { "parent" } else { "parents" };
        let mean = self.mean();
        let mean = if mean < 100.0 { format!("{mean:.1}") } else { thousands(mean.round() as u64) };
        let mut text = format!(
            "groups by {column}: {about}{} {parents}, {mean} rows each on average",
            thousands(self.distinct)
        );
        if self.loose > 0 {
            let rows = if self.loose == 1 { "row" } else { "rows" };
            let _ = write!(text, ", {} {rows} without a parent", thousands(self.loose));
        }
        let count = if self.is_exact {
            thousands(largest.rows)
        } else {
            format!("{} to {}", thousands(largest.rows), thousands(largest.rows + self.undercount))
        };
        let batch = thousands(self.batch_rows);
        let rows = if largest.rows == 1 && self.is_exact { "row" } else { "rows" };
        let first = thousands(largest.first_row.0);
        let _ = write!(text, "; the largest has {count} {rows} (first at row {first})");
        let expect = match self.oversized {
            0 => format!(". Each fits into one batch of {batch}, so no two batches share a parent"),
            1 => format!(" and will not fit into one batch of {batch}; expect locks there"),
            many => format!(
                ". {} parents will not fit into one batch of {batch}; expect locks there",
                thousands(many)
            ),
        };
        text.push_str(&expect);
        text
    }
}

/// A count with commas between thousands.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Surveys all rows of a source.
///
/// # Errors
/// [`GroupError::Source`] when the rows can't be read, [`GroupError::Stopped`]
/// when `progress` says so.
pub fn survey(
    from: Keyed<'_>,
    options: &GroupOptions,
    progress: &mut dyn FnMut(GroupStep) -> ControlFlow<()>,
) -> Result<GroupSurvey, GroupError> {
    let mut surveyor = Surveyor::new(options);
    let mut runs = Runs::default();
    let mut rows = 0;
    while let Some(batch) = from.rows.next_batch()? {
        let keys = (from.keys)(&batch);
        surveyor.rejected += keys.iter().filter(|key| key.rejected).count() as u64;
        runs.push(&batch, &keys, &mut |run| -> Result<(), GroupError> {
            surveyor.take(&run);
            Ok(())
        })?;
        rows += batch.records.len() as u64;
        let bytes = batch.read_bytes;
        if progress(GroupStep::Read { rows, bytes }).is_break() {
            return Err(GroupError::Stopped);
        }
    }
    if let Some(run) = runs.finish() {
        surveyor.take(&run);
    }
    Ok(surveyor.finish(rows))
}

struct Surveyor {
    room: Room,
    counts: Counts,
    parcels: InOrder,
    jobs: JobCounter,
    ordered: bool,
    grouped: u64,
    loose: u64,
    rejected: u64,
    bytes: u64,
}

impl Surveyor {
    fn new(options: &GroupOptions) -> Self {
        let room = Room::new(options);
        Surveyor {
            room,
            counts: Counts::new(options.max_keys()),
            parcels: InOrder::new(room),
            jobs: JobCounter::new(room),
            ordered: true,
            grouped: 0,
            loose: 0,
            rejected: 0,
            bytes: 0,
        }
    }

    fn take(&mut self, run: &Run) {
        self.bytes += run.group.bytes;
        if let Some(key) = run.key {
            self.grouped += run.group.sent;
            let seen = self.counts.add(key, run.group.sent, run.first_row);
            self.ordered &= !seen && self.counts.is_exact();
        } else {
            self.loose += run.group.sent;
        }
        if self.ordered {
            let jobs = &mut self.jobs;
            let pushed = self.parcels.push(run.group, &mut |parcel: Parcel| {
                jobs.push(&parcel);
                Ok::<(), std::convert::Infallible>(())
            });
            match pushed {
                Ok(()) => {}
            }
        }
    }

    fn finish(mut self, rows: u64) -> GroupSurvey {
        self.jobs.push(&self.parcels.finish());
        GroupSurvey {
            rows,
            grouped: self.grouped,
            loose: self.loose,
            rejected: self.rejected,
            distinct: self.counts.distinct(),
            is_exact: self.counts.is_exact(),
            undercount: self.counts.undercount(),
            largest: self.counts.largest(),
            oversized: self.counts.above(self.room.batch_rows()),
            batch_rows: self.room.batch_rows(),
            ordered: self.ordered,
            in_place: self.ordered.then(|| self.jobs.finish()),
            least_jobs: least_jobs(self.room, self.grouped + self.loose, self.bytes),
        }
    }
}
