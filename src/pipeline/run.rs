//! What every stage of one run shares.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::books::Books;
use super::derived::Derived;
use super::original::Names;
use super::pacing::{LaneGate, LaneStart, PaceChange, PushBack};
use super::results::Settled;
use super::{LoadError, LoadRequest, RunFolder, Stop, StopReason};
use crate::chunker::{Body, ChunkSizing, PlannedChunk};
use crate::domain::{
    Event, EventSink, FailureGroups, FailureLimit, JobInfo, RowNumber, SharedSink, Tally,
    error_chain,
};
use crate::ledger::{NoteRecord, SharedLedger, StoredAttempt};
use crate::poller::Poller;
use crate::reader::Source;
use crate::reconciler::{MatchRule, SentColumn, SentColumns};
use crate::rows::GroupIndex;
use crate::salesforce::Org;
use crate::transformer::Plan;
use crate::uploader::{AttemptStep, Uploader};

/// Chunks reconciled at the same time. Each holds the keys and outcomes of its
/// rows in memory; two keep both cores of a small machine busy.
pub(super) const RECONCILING: usize = 2;

/// Ordinal of the one source of a load.
pub(super) const SOURCE: u32 = 1;

/// Notes a summary keeps.
const MOST_NOTES: usize = 200;

/// What a run works with, whether it begins or is taken up again.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) request: LoadRequest,
    pub(super) org: Org,
    /// The object's API name, in exact case.
    pub(super) object: String,
    pub(super) source: Source,
    /// How people know its rows.
    pub(super) names: Names,
    pub(super) plan: Arc<Plan>,
    pub(super) sizing: ChunkSizing,
    /// Where the source was made from another file: what leads back.
    pub(super) derived: Option<Derived>,
    /// Where groups lie, if rows of one parent stay together.
    pub(super) groups: Option<GroupIndex>,
    /// Rows of the source, where they were counted before the start.
    pub(super) counted: Option<u64>,
    /// Whether bodies were recorded by an earlier process, so that they are
    /// checked against their digests before they are sent.
    pub(super) taken_up: bool,
    /// Whether the user closes the run: jobs at work are aborted, nothing is
    /// sent any more, and what is known is final.
    pub(super) closing: bool,
}

/// A run at work.
pub(super) struct Run {
    pub(super) setup: Setup,
    pub(super) folder: RunFolder,
    pub(super) ledger: SharedLedger,
    pub(super) events: SharedSink,
    pub(super) stop: Stop,
    pub(super) uploader: Uploader,
    pub(super) poller: Poller,
    pub(super) reconciling: Semaphore,
    /// Jobs that may be at work at a time.
    pub(super) lanes: Arc<LaneGate>,
    books: Arc<Mutex<Books>>,
}

/// A panic elsewhere leaves counts, not broken structures, behind.
fn locked(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run {
    pub(super) fn new(
        setup: Setup,
        folder: RunFolder,
        ledger: SharedLedger,
        events: SharedSink,
        stop: Stop,
        books: Books,
    ) -> Arc<Self> {
        let books = Arc::new(Mutex::new(books));
        let observer = {
            let books = Arc::clone(&books);
            Arc::new(move |step: &AttemptStep| locked(&books).step(step))
        };
        let watched: SharedSink = Arc::new(Watched {
            events: Arc::clone(&events),
            books: Arc::clone(&books),
            limit: setup.request.max_failures.filter(|_| !setup.closing),
            stop: stop.clone(),
        });
        Arc::new(Run {
            uploader: Uploader::new(setup.org.clone(), ledger.clone(), Arc::clone(&events))
                .observed_by(observer),
            poller: Poller::start(setup.org.clone(), watched),
            reconciling: Semaphore::new(RECONCILING),
            lanes: LaneGate::new(setup.request.lanes),
            books,
            setup,
            folder,
            ledger,
            events,
            stop,
        })
    }

    pub(super) fn with_books<T>(&self, change: impl FnOnce(&mut Books) -> T) -> T {
        change(&mut locked(&self.books))
    }

    /// The row that people know a row by: its number in the user's own file.
    pub(super) fn row_of(&self, row: RowNumber) -> RowNumber {
        self.setup.derived.as_ref().map_or(row, |derived| derived.row_of(row))
    }

    /// The columns as they are sent, for the matcher.
    pub(super) fn sent_columns(&self) -> SentColumns {
        let plan = &self.setup.plan;
        SentColumns {
            columns: plan
                .columns
                .iter()
                .map(|column| SentColumn { header: column.header.clone(), kind: column.kind })
                .collect(),
            delimiter: plan.delimiter.byte(),
        }
    }

    /// How the results of a chunk find their rows.
    pub(super) fn match_rule(&self, unique_text: Option<usize>) -> MatchRule {
        let plan = &self.setup.plan;
        MatchRule {
            key: plan.key,
            user_keys: plan.user_keys.clone(),
            unique_text,
            operation: plan.operation,
        }
    }

    /// Counts the rows of a chunk as read, and those that were rejected.
    pub(super) fn chunk_planned(&self, chunk: &PlannedChunk, reasons: FailureGroups) {
        self.with_books(|books| books.chunk_planned(chunk, reasons));
        self.watch_failures();
    }

    /// Stops the run when more rows went wrong than the user allows.
    pub(super) fn watch_failures(&self) {
        let limit = self.setup.request.max_failures.filter(|_| !self.setup.closing);
        self.with_books(|books| watch_failures(books, limit, &self.stop));
    }

    /// Hears how a lane ended, and what the org's replies said of the pace.
    pub(super) fn keep_pace(&self, start: Option<LaneStart>, push_back: Option<PushBack>) {
        let ended = start.and_then(|start| self.lanes.lane_ended(start, push_back));
        let heard = self.lanes.heed(self.setup.org.usage().push_backs);
        let told = |change: PaceChange| {
            self.events.announce(Event::Note { text: format!("pace: {change}") });
        };
        ended.into_iter().chain(heard).for_each(told);
    }

    /// Notes how a job ended.
    pub(super) fn job_ended(&self, chunk: u64, attempt: u32, info: &JobInfo) {
        self.with_books(|books| books.job_ended(chunk, attempt, info));
    }

    /// Counts the final outcomes of a chunk; `tally` has those that were sent.
    pub(super) fn reconciled(&self, chunk: u64, tally: &Tally, failures: FailureGroups) {
        self.with_books(|books| books.reconciled(chunk, tally, failures));
        self.watch_failures();
        self.events.announce(Event::ChunkReconciled { chunk, tally: *tally });
    }

    /// A chunk whose outcomes are on disk, in the files of these attempts.
    pub(super) fn settled(
        &self,
        chunk: &PlannedChunk,
        attempts: impl IntoIterator<Item = u32>,
        settled_file: Option<&str>,
    ) -> Settled {
        let number = chunk.number;
        let mut outcomes: Vec<PathBuf> = Vec::new();
        outcomes.extend((chunk.rejected > 0).then(|| self.folder.rejected(number)));
        outcomes.extend(attempts.into_iter().map(|attempt| self.folder.outcomes(number, attempt)));
        outcomes.extend(settled_file.map(|file| self.folder.outcome_dir().join(file)));
        Settled { number, stretch: chunk.stretch, outcomes }
    }

    /// Removes the spools of a chunk that is done: its own, those of attempts
    /// that carried a part of it, and one that was written for an attempt that
    /// never began. A crash may have left any of them behind.
    pub(super) fn remove_spools(&self, chunk: &PlannedChunk, attempts: &[StoredAttempt]) {
        let own = match &chunk.body {
            Body::Spool { file } => Some(file.clone()),
            _ => None,
        };
        let parts = attempts.iter().filter_map(|attempt| attempt.attempt.body_file.clone());
        let next = attempts.last().map(|last| self.folder.part_name(chunk.number, last.number + 1));
        for file in own.into_iter().chain(parts).chain(next) {
            // One that stays costs disk only; it is private.
            let _ = std::fs::remove_file(self.folder.spool_dir().join(file));
        }
    }

    /// Something of ours broke; the run winds down.
    pub(super) fn broke(&self, error: &LoadError) {
        let text = error_chain(error);
        self.note(text.clone());
        self.stop.ask(StopReason::repair(text));
    }

    /// Tells a person something, now and in the summary.
    pub(super) fn note(&self, text: String) {
        self.events.announce(Event::Note { text: text.clone() });
        let is_kept = self.with_books(|books| {
            // A summary is for reading; the events have them all (I6).
            let is_kept = books.notes.len() < MOST_NOTES;
            if is_kept {
                books.notes.push(text.clone());
            }
            is_kept
        });
        if is_kept && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // So that a report of a run that died has it. Nothing depends on it.
            let ledger = self.ledger.clone();
            let note = NoteRecord { at: Timestamp::now(), chunk: None, attempt: None, text };
            runtime.spawn_blocking(move || {
                if let Err(error) = ledger.blocking().note(&note) {
                    tracing::debug!(cause = %error, "a note is not kept");
                }
            });
        }
    }
}

/// Passes events on, and counts the failures of jobs at work on the way.
struct Watched {
    events: SharedSink,
    books: Arc<Mutex<Books>>,
    limit: Option<FailureLimit>,
    stop: Stop,
}

impl EventSink for Watched {
    fn announce(&self, event: Event) {
        if let Event::JobProgress { chunk, processed, failed, .. } = &event {
            let mut books = locked(&self.books);
            books.at_work(*chunk, *processed, *failed);
            watch_failures(&mut books, self.limit, &self.stop);
        }
        self.events.announce(event);
    }
}

fn watch_failures(books: &mut Books, limit: Option<FailureLimit>, stop: &Stop) {
    let Some(limit) = limit else { return };
    let (known, failures) = books.known();
    if !stop.is_asked() && limit.is_exceeded(known, failures) {
        stop.ask(StopReason::UserLimit(format!(
            "{failures} of {known} rows went wrong, more than --max-failures {limit} allows"
        )));
    }
}
