//! The source as the checker reads it: rows and what would be sent of them.

use std::path::Path;
use std::sync::{Arc, mpsc};

use super::CheckError;
use crate::checker::{Checker, Gathered, Gatherer};
use crate::domain::{Event, SharedSink};
use crate::pipeline::Prepared;
use crate::pipeline::original::Names;
use crate::pipeline::preflight::PreflightError;
use crate::pipeline::window::Window;
use crate::reader::Source;
use crate::rows::{
    EncodedBatch, RawBatch, RowStream as _, SourceError, SourceRows as _, TemporaryFolder,
};
use crate::transformer::Plan;

/// Row batches that wait to be looked at, about a megabyte each.
const AHEAD: usize = 2;

/// What is read, and how.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) source: Source,
    pub(super) plan: Arc<Plan>,
    pub(super) names: Names,
    skip: u64,
    limit: Option<u64>,
    events: SharedSink,
}

impl Reading {
    pub(super) fn of(prepared: &Prepared, events: SharedSink) -> Self {
        Reading {
            source: prepared.source.clone(),
            plan: Arc::clone(&prepared.plan),
            names: Names::of(&prepared.source, None),
            skip: prepared.request.skip,
            limit: prepared.request.limit,
            events,
        }
    }

    /// Reads all rows; they are read and encoded on one thread, worked on
    /// another.
    pub(super) fn each(
        &self,
        work: &mut dyn FnMut(&RawBatch, &EncodedBatch) -> Result<(), CheckError>,
    ) -> Result<(), CheckError> {
        let source = |error: SourceError| CheckError::Preflight(PreflightError::Source(error));
        let rows = self.source.rows(None).map_err(source)?;
        let mut rows = Window::new(rows, self.skip, self.limit);
        let total = self.source.identity().bytes;
        let (encoded, batches) = mpsc::sync_channel(AHEAD);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                loop {
                    let next = rows.next_batch().transpose();
                    let next =
                        next.map(|batch| batch.map(|batch| (self.plan.apply(&batch), batch)));
                    let goes_on = matches!(next, Some(Ok(_)));
                    // Who takes them is gone when it failed.
                    let taken = next.is_none_or(|next| encoded.send(next).is_ok());
                    if !(goes_on && taken) {
                        return;
                    }
                }
            });
            for next in batches {
                let (encoded, batch) = next.map_err(source)?;
                work(&batch, &encoded)?;
                let bytes = batch.read_bytes;
                self.events.announce(Event::ScanProgress { bytes, total });
            }
            Ok(())
        })
    }
}

/// The first reading.
pub(super) fn gather(
    reading: &Reading,
    checker: &mut Checker,
    runs_dir: &Path,
) -> Result<Gathered, CheckError> {
    let io = |error: std::io::Error| CheckError::Temporary(error.into());
    let folder = TemporaryFolder::of_process(runs_dir, "check").map_err(io)?;
    let mut gatherer = Gatherer::new(checker, folder)?;
    let looking = &*checker;
    reading.each(&mut |batch, encoded| {
        gatherer.take(looking.look(batch, encoded, true))?;
        Ok(())
    })?;
    Ok(gatherer.finish(checker)?)
}
