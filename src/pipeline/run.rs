//! What every stage of one run shares.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::books::Books;
use super::results::Settled;
use super::{LoadError, LoadRequest, Prepared, RunFolder, Stop, StopReason};
use crate::chunker::{ChunkSizing, PlannedChunk};
use crate::domain::{Event, FailureGroups, JobInfo, SharedSink, Tally, error_chain};
use crate::ledger::SharedLedger;
use crate::poller::Poller;
use crate::reader::CsvSource;
use crate::reconciler::{MatchRule, SentColumn, SentColumns};
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
pub(super) struct Setup {
    pub(super) request: LoadRequest,
    pub(super) org: Org,
    /// The object's API name, in exact case.
    pub(super) object: String,
    pub(super) source: Arc<CsvSource>,
    pub(super) plan: Arc<Plan>,
    pub(super) sizing: ChunkSizing,
    /// Rows of the source, where they were counted before the start.
    pub(super) counted: Option<u64>,
    /// Whether bodies were recorded by an earlier process, so that they are
    /// checked against their digests before they are sent.
    pub(super) taken_up: bool,
}

impl From<Prepared> for Setup {
    fn from(prepared: Prepared) -> Self {
        Setup {
            request: prepared.request,
            org: prepared.org,
            object: prepared.object.name,
            source: prepared.source,
            plan: prepared.plan,
            sizing: prepared.sizing,
            counted: prepared.survey.as_ref().map(|survey| survey.read),
            taken_up: false,
        }
    }
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
    pub(super) lanes: Arc<Semaphore>,
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
        Arc::new(Run {
            uploader: Uploader::new(setup.org.clone(), ledger.clone(), Arc::clone(&events))
                .observed_by(observer),
            poller: Poller::start(setup.org.clone(), Arc::clone(&events)),
            reconciling: Semaphore::new(RECONCILING),
            lanes: Arc::new(Semaphore::new(setup.request.lanes.max(1))),
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
    }

    /// Notes how a job ended.
    pub(super) fn job_ended(&self, chunk: u64, attempt: u32, info: &JobInfo) {
        self.with_books(|books| books.job_ended(chunk, attempt, info));
    }

    /// Counts the final outcomes of a chunk; `tally` has those that were sent.
    pub(super) fn reconciled(&self, chunk: u64, tally: &Tally, failures: FailureGroups) {
        self.with_books(|books| books.reconciled(chunk, tally, failures));
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

    /// Something of ours broke; the run winds down.
    pub(super) fn broke(&self, error: &LoadError) {
        let text = error_chain(error);
        self.note(text.clone());
        self.stop.ask(StopReason::repair(text));
    }

    /// Tells a person something, now and in the summary.
    pub(super) fn note(&self, text: String) {
        self.events.announce(Event::Note { text: text.clone() });
        self.with_books(|books| {
            // A summary is for reading; the events have them all (I6).
            if books.notes.len() < MOST_NOTES {
                books.notes.push(text);
            }
        });
    }
}
