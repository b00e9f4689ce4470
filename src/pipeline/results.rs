//! Writes the merged result files, in source order, up to the lowest chunk
//! that isn't final.
//!
//! Plain blocking code on a thread of its own. The files are derived: the
//! source and the outcome files make them again at any time.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::LoadError;
use super::StopReason;
use super::derived::Derived;
use super::run::Run;
use crate::domain::{Event, RowNumber, error_chain};
use crate::reader::Source;
use crate::reconciler::{MergedOutcomes, ResultFiles, SourceOrder, WrittenFile};
use crate::rows::{SourceRows as _, Stretch};
use crate::transformer::PlannedColumn;

/// A chunk all of whose rows have their outcome on disk.
pub(super) struct Settled {
    /// Chunk number.
    pub(super) number: u64,
    /// Where its rows lie in the source.
    pub(super) stretch: Stretch,
    /// Files that hold its outcomes, the oldest attempt first.
    pub(super) outcomes: Vec<std::path::PathBuf>,
}

/// Writes until every chunk was handed over, or no more will be.
pub(super) fn write_results(
    run: &Arc<Run>,
    settled: mpsc::Receiver<Settled>,
) -> Result<Vec<WrittenFile>, LoadError> {
    let written = write_in_order(run, settled);
    if let Err(error) = &written {
        run.stop.ask(StopReason::repair(error_chain(error)));
    }
    written
}

fn write_in_order(
    run: &Arc<Run>,
    mut settled: mpsc::Receiver<Settled>,
) -> Result<Vec<WrittenFile>, LoadError> {
    let setup = &run.setup;
    let source = &setup.source;
    let original = setup.derived.as_ref().and_then(|derived| derived.original.as_ref());
    let names = setup.names.files();
    let mut files = ResultFiles::create(run.folder.path(), source.header(), &|name| {
        let columns = &setup.plan.columns;
        let plain = |column: &&PlannedColumn| column.name == name && column.recipe.is_none();
        columns.iter().find(plain).map(|column| column.header.clone())
    })?;
    if let (Some(derived), Some(original)) = (&setup.derived, original) {
        write_sorted(run, &mut files, derived, original, settled)?;
        return Ok(files.finish()?);
    }
    // Chunks that wait for one before them; some 200 bytes each, of which a
    // source of a billion rows makes a few thousand.
    let mut waiting = BTreeMap::new();
    let (mut next, mut rows) = (1, 0);
    while let Some(chunk) = settled.blocking_recv() {
        waiting.insert(chunk.number, chunk);
        while let Some(ready) = waiting.remove(&next) {
            let mut outcomes = MergedOutcomes::open(&ready.outcomes)?;
            let place_of = |row| setup.names.place_of(row);
            let appended = files.append(&names, source, ready.stretch, &mut outcomes, &place_of)?;
            if appended.missing > 0 {
                return Err(LoadError::Stage(format!(
                    "{} rows of chunk {next} have no outcome",
                    appended.missing
                )));
            }
            rows += appended.tally.read;
            next += 1;
            run.events.announce(Event::ResultsWritten { rows });
        }
    }
    Ok(files.finish()?)
}

/// Rows in another order than that of the original: their outcomes are sorted
/// while chunks come in, and written when no more will come.
fn write_sorted(
    run: &Arc<Run>,
    files: &mut ResultFiles,
    derived: &Derived,
    original: &Source,
    mut settled: mpsc::Receiver<Settled>,
) -> Result<(), LoadError> {
    let mut order =
        SourceOrder::create(Arc::clone(&derived.map), &run.folder.path().join("sorting"))?;
    while let Some(chunk) = settled.blocking_recv() {
        order.push(&mut MergedOutcomes::open(&chunk.outcomes)?)?;
    }
    let mut outcomes = order.finish()?;
    let whole = Stretch { start: 0, end: original.end(), first_row: RowNumber(1) };
    // Rows without an outcome are pending, or outside --skip and --limit.
    let names = &run.setup.names;
    let place_of = |row| names.place_in_original(row);
    let appended = files.append(&names.files(), original, whole, &mut outcomes, &place_of)?;
    let rows = appended.tally.settled();
    run.events.announce(Event::ResultsWritten { rows });
    Ok(())
}
