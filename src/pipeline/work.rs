//! Gives each chunk a lane until there are no more, then goes over the rows
//! that failed for a lock, one small job at a time.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::StopReason;
use super::lane::{Done, Lane, Pass};
use super::recovery::Next;
use super::results::Settled;
use super::run::Run;
use crate::chunker::PlannedChunk;

/// A chunk for a lane, and what is to be done with it.
pub(super) struct Work {
    pub(super) chunk: PlannedChunk,
    pub(super) next: Next,
}

/// Gives each chunk a lane until there are no more, and carries those that had
/// to wait for the lock pass through it.
pub(super) async fn work_off(
    run: &Arc<Run>,
    chunks: mpsc::Receiver<Work>,
    settled: &mpsc::Sender<Settled>,
) {
    let deferred = main_pass(run, chunks, settled).await;
    for number in deferred {
        if run.stop.is_asked() {
            return;
        }
        lock_pass(run, number, settled).await;
    }
}

/// Works chunks side by side; gives those whose rows wait for the lock pass,
/// by their numbers.
async fn main_pass(
    run: &Arc<Run>,
    mut chunks: mpsc::Receiver<Work>,
    settled: &mpsc::Sender<Settled>,
) -> Vec<u64> {
    let mut busy: JoinSet<Option<u64>> = JoinSet::new();
    // Eight bytes a chunk.
    let mut deferred = Vec::new();
    while let Some(work) = chunks.recv().await {
        let Ok(permit) = Arc::clone(&run.lanes).acquire_owned().await else { break };
        watch_allowance(run);
        // Chunks planned before the word came stay in the ledger, unsent.
        if run.stop.is_asked() {
            break;
        }
        let (run, settled) = (Arc::clone(run), settled.clone());
        busy.spawn(async move {
            let number = work.chunk.number;
            let done = Lane::new(&run, Pass::Main).work(work, Some(permit)).await;
            take(&run, number, done, &settled).await
        });
        while let Some(ended) = busy.try_join_next() {
            deferred.extend(ended.ok().flatten());
        }
    }
    // The planner must not wait for a place that never gets free.
    chunks.close();
    while chunks.recv().await.is_some() {}
    while let Some(lane) = busy.join_next().await {
        match lane {
            Ok(waits) => deferred.extend(waits),
            Err(error) => run.stop.ask(StopReason::repair(format!("a lane broke off: {error}"))),
        }
    }
    deferred.sort_unstable();
    deferred
}

async fn lock_pass(run: &Arc<Run>, number: u64, settled: &mpsc::Sender<Settled>) {
    let chunk = match run.ledger.run(move |ledger| ledger.chunk(number)).await {
        Ok(stored) => PlannedChunk::from_record(&stored.chunk),
        Err(error) => return run.broke(&error.into()),
    };
    let work = Work { chunk, next: Next::Judge };
    let done = Lane::new(run, Pass::Locks).work(work, None).await;
    take(run, number, done, settled).await;
}

/// Takes what a lane came to; gives the chunk's number when it waits for the
/// lock pass.
async fn take(
    run: &Arc<Run>,
    number: u64,
    done: Result<Done, super::lane::LaneError>,
    settled: &mpsc::Sender<Settled>,
) -> Option<u64> {
    match done {
        Ok(Done::Settled(done)) => {
            // Closed only after the results thread failed, which stops the run.
            let _ = settled.send(done).await;
            None
        }
        Ok(Done::Deferred) => Some(number),
        Ok(Done::Left) => None,
        Err(error) => {
            let (reason, text) = error.into_stop(number);
            run.note(text);
            run.stop.ask(reason);
            None
        }
    }
}

/// Stops making jobs while there are still calls to end those at work (I9).
fn watch_allowance(run: &Run) {
    // What a lane's job may take until its results are in.
    const CALLS_OF_A_JOB: u64 = 16;
    if let Some((used, granted)) = run.setup.org.usage().daily_calls {
        let lanes = run.setup.request.lanes as u64;
        if used.saturating_add(CALLS_OF_A_JOB * (lanes + 1)) > granted {
            run.stop.ask(StopReason::Allowance(format!("{used} of {granted} daily API calls")));
        }
    }
}
