//! Gives each chunk a lane until there are no more, then goes over the rows
//! that failed for a lock, one small job at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::StopReason;
use super::estimate::reserved;
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
    // Eight bytes a chunk.
    let mut deferred = VecDeque::from(main_pass(run, chunks, settled).await);
    // In turns, so that a chunk's pause before its rows go again is no pause of
    // the run.
    while let Some(number) = deferred.pop_front() {
        if run.stop.is_asked() {
            return;
        }
        deferred.extend(lock_pass(run, number, settled).await);
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
    let mut watch = AllowanceWatch::default();
    while let Some(work) = chunks.recv().await {
        let permit = run.lanes.acquire().await;
        watch_allowance(run, &mut watch).await;
        // Chunks planned before the word came stay in the ledger, unsent.
        if run.stop.is_asked() {
            break;
        }
        let ahead = work.chunk.number == 1 && work.next == Next::Begin;
        let canary = run.setup.request.canary_rows().filter(|_| ahead);
        let canary = canary.map(|_| work.chunk.rows.len());
        let (of_lane, settled) = (Arc::clone(run), settled.clone());
        busy.spawn(async move {
            let number = work.chunk.number;
            let done = Lane::new(&of_lane, Pass::Main).work(work, Some(permit)).await;
            take(&of_lane, number, done, &settled).await
        });
        if let Some(rows) = canary {
            // Nothing else goes before these rows have passed.
            while let Some(ended) = busy.join_next().await {
                deferred.extend(ended.ok().flatten());
            }
            judge_canary(run, rows);
        }
        while let Some(ended) = busy.try_join_next() {
            deferred.extend(ended.ok().flatten());
        }
        run.keep_pace(None, None);
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

/// Sends one job of a chunk's rows; gives its number when there may be more.
async fn lock_pass(run: &Arc<Run>, number: u64, settled: &mpsc::Sender<Settled>) -> Option<u64> {
    let chunk = match run.ledger.run(move |ledger| ledger.chunk(number)).await {
        Ok(stored) => PlannedChunk::from_record(&stored.chunk),
        Err(error) => {
            run.broke(&error.into());
            return None;
        }
    };
    let work = Work { chunk, next: Next::Judge };
    let done = Lane::new(run, Pass::Locks).work(work, None).await;
    take(run, number, done, settled).await
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

/// Stops the run when more than half of the rows sent ahead failed.
fn judge_canary(run: &Run, rows: u64) {
    let failed = run.with_books(|books| books.first_failed).unwrap_or(0);
    if failed * 2 > rows {
        run.stop.ask(StopReason::UserLimit(format!(
            "{failed} of the {rows} rows that were sent ahead (--canary) failed"
        )));
    }
}

/// Jobs between two questions after what is left of the daily batches.
const JOBS_BETWEEN: u32 = 20;

/// When the org's allowance was last asked after.
#[derive(Default)]
struct AllowanceWatch {
    jobs: u32,
}

/// Stops making jobs while there are still calls to end those at work, and
/// while others still have what `--reserve` leaves to them (I9).
async fn watch_allowance(run: &Run, watch: &mut AllowanceWatch) {
    // What a lane's job may take until its results are in.
    const CALLS_OF_A_JOB: u64 = 16;
    let request = &run.setup.request;
    if let Some((used, granted)) = run.setup.org.usage().daily_calls {
        let lanes = request.lanes as u64;
        let left_to_others = reserved(granted, request.reserve);
        if used.saturating_add(CALLS_OF_A_JOB * (lanes + 1) + left_to_others) > granted {
            let others = match request.reserve {
                0 => String::new(),
                percent => format!(", {percent} % left to others by --reserve"),
            };
            let text = format!("{used} of {granted} daily API calls{others}");
            run.stop.ask(StopReason::Allowance(text));
            return;
        }
    }
    watch.jobs += 1;
    if request.reserve == 0 || !watch.jobs.is_multiple_of(JOBS_BETWEEN) {
        return;
    }
    // Without the right to read them there is nothing to watch; the banner said so.
    let Ok(limits) = run.setup.org.limits().await else { return };
    let Some(batches) = limits.daily_bulk_batches() else { return };
    if batches.remaining <= reserved(batches.max, request.reserve) {
        run.stop.ask(StopReason::Allowance(format!(
            "{} of {} daily batches are left, {} % are for others by --reserve",
            batches.remaining, batches.max, request.reserve
        )));
    }
}
