//! Rows of one key that are adjacent in the source.

use super::keys::RowKey;
use crate::domain::RowNumber;
use crate::rows::{GroupRun, RawBatch};

/// Adjacent rows of one key, or one row without a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) key: Option<u64>,
    pub(super) first_row: RowNumber,
    pub(super) group: GroupRun,
}

/// Finds runs. A rejected row belongs to the run it stands in or behind,
/// whatever its key: it is not sent.
#[derive(Debug, Default)]
pub(super) struct Runs {
    open: Option<Run>,
}

impl Runs {
    /// Takes the rows of a batch and hands on the runs that end in it.
    pub(super) fn push<E>(
        &mut self,
        batch: &RawBatch,
        keys: &[RowKey],
        take: &mut dyn FnMut(Run) -> Result<(), E>,
    ) -> Result<(), E> {
        for (at, record) in batch.records.iter().enumerate() {
            let RowKey { key, rejected } = keys.get(at).copied().unwrap_or_default();
            if rejected {
                if let Some(open) = &mut self.open {
                    open.group.rows += 1;
                    continue;
                }
            } else if let Some(open) = &mut self.open {
                if open.key == key {
                    open.group.rows += 1;
                    open.group.sent += 1;
                    open.group.bytes += u64::from(record.next - record.start);
                    continue;
                }
                take(*open)?;
                self.open = None;
            }
            let key = key.filter(|_| !rejected);
            let sent = u64::from(!rejected);
            let bytes = u64::from(record.next - record.start) * sent;
            let group = GroupRun { rows: 1, sent, bytes, loose: key.is_none() };
            let run = Run { key, first_row: batch.first_row.plus(at as u64), group };
            if key.is_some() {
                self.open = Some(run);
            } else {
                take(run)?;
            }
        }
        Ok(())
    }

    /// The last run.
    pub(super) fn finish(self) -> Option<Run> {
        self.open
    }
}
