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
use super::run::Run;
use crate::domain::{Event, error_chain};
use crate::reconciler::{MergedOutcomes, ResultFiles, WrittenFile};
use crate::rows::{SourceRows as _, Stretch};

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
    let source = &*run.setup.source;
    let name = source.path().file_name().unwrap_or(source.path().as_os_str());
    let name = name.to_string_lossy().into_owned();
    let derived = run.setup.derived.as_ref();
    let name = derived.map_or(name, |derived| derived.name().to_owned());
    let mut files = ResultFiles::create(run.folder.path(), source.header(), &|name| {
        let columns = &run.setup.plan.columns;
        columns.iter().find(|column| column.name == name).map(|column| column.header.clone())
    })?;
    if let Some(derived) = derived {
        files = files.told_by(Arc::clone(&derived.map));
    }
    // Chunks that wait for one before them; some 200 bytes each, of which a
    // source of a billion rows makes a few thousand.
    let mut waiting = BTreeMap::new();
    let (mut next, mut rows) = (1, 0);
    while let Some(chunk) = settled.blocking_recv() {
        waiting.insert(chunk.number, chunk);
        while let Some(ready) = waiting.remove(&next) {
            let mut outcomes = MergedOutcomes::open(&ready.outcomes)?;
            let appended = files.append(&name, source, ready.stretch, &mut outcomes)?;
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
