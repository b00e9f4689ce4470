//! The result sets of a job: fetched, matched to the rows it carried, and
//! their outcomes on disk.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::carried::Carried;
use super::folder::private_target;
use super::lane::{Lane, LaneError};
use super::run::Run;
use crate::chunker::PlannedChunk;
use crate::domain::{
    FailureClass, FailureGroups, Fate, JobInfo, JobState, RecordId, ResultSet, RowNumber,
    RowOutcome,
};
use crate::reconciler::{
    ChunkProof, MergedOutcomes, OutcomeError, OutcomeSummary, OutcomeWriter, Problem, ResultSets,
    RowError, SentRows, dispute, duplicate_of, reconcile,
};
use crate::salesforce::OpenTarget;

/// Pauses between readings of the result sets of a complete job that don't add
/// up: the service may show results a moment late, and a download may end early
/// without an error. Rows are disputed only when two readings in a row agree on
/// what is missing, and not before [`LATE_AT_LEAST`] of them.
const LATE_RESULTS: [Duration; 9] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(30),
    Duration::from_mins(1),
];

/// So many readings are made before rows of a complete job are disputed.
const LATE_AT_LEAST: usize = 4;

/// Pauses between readings of the sets of a job that failed or was aborted
/// after it had begun: batches that run may still finish, so two readings in a
/// row have to agree.
const RUNNING_OUT: [Duration; 6] = [
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(30),
    Duration::from_mins(1),
    Duration::from_mins(2),
];

/// The pause for one that had not worked a row by its own counters.
const NOTHING_BEGUN: [Duration; 7] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(30),
    Duration::from_mins(1),
    Duration::from_mins(2),
];

/// What a reading of the result sets came to.
pub(super) struct Reading {
    pub(super) proof: ChunkProof,
    pub(super) outcomes: OutcomeSummary,
    pub(super) failures: FailureGroups,
    /// Rows that failed for a lock.
    pub(super) locked: u64,
    /// The code by which the org says that it has no room left, if it does.
    pub(super) no_room: Option<String>,
    /// Rows that were sent before and now fail as duplicates of a record that
    /// the org names: it may be theirs.
    pub(super) doubles: Vec<(RowNumber, RecordId)>,
}

/// Rows whose saved record was found by asking.
pub(super) type Found = HashMap<RowNumber, (Fate, RecordId)>;

impl Lane<'_> {
    /// Fetches and matches until the sets add up, or two readings agree that
    /// they don't. Those of a job that was aborted or failed may still grow, so
    /// of them two readings have to agree in any case (I1).
    pub(super) async fn read_results(
        &self,
        chunk: &PlannedChunk,
        carried: &Arc<Carried>,
        job: &str,
        attempt: u32,
        info: &JobInfo,
    ) -> Result<Reading, LaneError> {
        let may_grow = info.state != JobState::JobComplete;
        let pauses: &[Duration] = match (may_grow, info.records_processed) {
            (false, _) => &LATE_RESULTS,
            (true, Some(0)) => &NOTHING_BEGUN,
            (true, _) => &RUNNING_OUT,
        };
        let files =
            Arc::new(FetchedSets::new(&self.run().folder.result_dir(), chunk.number, attempt));
        // What an earlier process has fetched is not fetched again. If it was
        // cut short, that shows.
        let mut have = !may_grow && self.run().setup.taken_up && files.are_there();
        let mut before: Option<String> = None;
        for (reading, pause) in pauses.iter().copied().map(Some).chain([None]).enumerate() {
            let fetched = std::mem::take(&mut have);
            let read = self.read_once(carried, job, attempt, &files, fetched).await;
            match (read, pause) {
                (Ok(found), _) => {
                    let digest = &found.outcomes.digest;
                    let agree = before.as_ref() == Some(digest);
                    let settled = if may_grow {
                        agree
                    } else {
                        found.proof.shortfall == 0 || (agree && reading + 1 >= LATE_AT_LEAST)
                    };
                    if settled {
                        self.check_counters(chunk, job, info, &found.proof);
                        let found =
                            self.settle_doubles(carried, job, attempt, &files, found).await?;
                        files.remove();
                        return Ok(found);
                    }
                    before = Some(digest.clone());
                    if fetched {
                        continue;
                    }
                }
                // A set that breaks off is fetched again; it is never final.
                (Err(LaneError::Reconcile { .. }), Some(_)) => {
                    if fetched {
                        continue;
                    }
                }
                (Err(error), _) => return Err(error),
            }
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
        Err(LaneError::StillChanging { job: job.to_owned() })
    }

    async fn read_once(
        &self,
        carried: &Arc<Carried>,
        job: &str,
        attempt: u32,
        files: &Arc<FetchedSets>,
        fetched: bool,
    ) -> Result<Reading, LaneError> {
        if !fetched {
            let fetches = ResultSet::ALL.map(|set| {
                let (path, part) = (files.path(set), files.part(set));
                let target = part.clone();
                let open: OpenTarget = Arc::new(move || {
                    Ok(Box::new(private_target(&target)?) as Box<dyn Write + Send>)
                });
                async move {
                    self.run().setup.org.results(job, set, &open).await?;
                    Ok((part, path))
                }
            });
            for fetched in futures_util::future::join_all(fetches).await {
                let (part, path) =
                    fetched.map_err(|source| LaneError::Fetch { job: job.to_owned(), source })?;
                // Under its own name it is whole, as far as the transfer goes.
                std::fs::rename(&part, &path).map_err(|source| OutcomeError::Io {
                    path,
                    action: "put in its place",
                    source,
                })?;
            }
        }
        self.match_fetched(carried, job, attempt, files, Found::default()).await
    }

    /// Matches what was fetched; rows in `found` have that fate whatever the
    /// sets say.
    pub(super) async fn match_fetched(
        &self,
        carried: &Arc<Carried>,
        job: &str,
        attempt: u32,
        files: &Arc<FetchedSets>,
        found: Found,
    ) -> Result<Reading, LaneError> {
        let run = Arc::clone(self.run());
        let (carried, job, files) = (Arc::clone(carried), job.to_owned(), Arc::clone(files));
        on_cpu(move || match_results(&run, &carried, &job, attempt, &files, &found)).await
    }

    pub(super) async fn dispute_all(
        &self,
        chunk: &PlannedChunk,
        carried: &Arc<Carried>,
        job: &str,
        attempt: u32,
    ) -> Result<Reading, LaneError> {
        let reason = format!("the org no longer knows job {job}, its results are lost");
        self.run().note(format!(
            "chunk {}: {reason}; its rows are disputed. Look in the org for what became of them: \
             `bulkhaul resume --settle` does that for update, delete and upsert, and for an insert \
             by --key",
            chunk.number
        ));
        let (run, carried, job) = (Arc::clone(self.run()), Arc::clone(carried), job.to_owned());
        on_cpu(move || {
            let path = run.folder.outcomes(carried.chunk.number, attempt);
            let mut writer = OutcomeWriter::create(&path, carried.chunk.number)?;
            let mut earlier = Earlier::open(&carried.earlier)?;
            let proof = dispute(&carried.rows, 1, &reason, &mut |mut outcome| {
                outcome.attempts = earlier.attempts(outcome.row)?.saturating_add(1);
                writer.push(&outcome).map_err(io::Error::other)
            })
            .map_err(|source| LaneError::Reconcile { job, source })?;
            Ok(Reading {
                proof,
                outcomes: writer.finish()?,
                failures: FailureGroups::default(),
                locked: 0,
                no_room: None,
                doubles: Vec::new(),
            })
        })
        .await
    }

    /// The counters are a cross-check only; what differs is told.
    fn check_counters(&self, chunk: &PlannedChunk, job: &str, info: &JobInfo, proof: &ChunkProof) {
        let number = chunk.number;
        for problem in &proof.problems {
            let problem = match *problem {
                Problem::SeveralResults { rows, example } => {
                    &Problem::SeveralResults { rows, example: self.run().row_of(example) }
                }
                _ => problem,
            };
            self.run().note(format!("chunk {number}, job {job}: {problem}"));
        }
        if info.state != JobState::JobComplete {
            return;
        }
        let counted = proof.tally.succeeded() + proof.tally.failed;
        if let Some(processed) = info.records_processed.filter(|&processed| processed != counted) {
            self.run().note(format!(
                "chunk {number}, job {job}: the job's counter says {processed} rows, its result \
                 sets say {counted}; the sets are taken"
            ));
        }
    }
}

/// How often rows were carried before, read along in their order.
struct Earlier {
    outcomes: Option<MergedOutcomes>,
    next: Option<RowOutcome>,
}

impl Earlier {
    fn open(files: &[PathBuf]) -> Result<Self, OutcomeError> {
        let outcomes = if files.is_empty() { None } else { Some(MergedOutcomes::open(files)?) };
        Ok(Earlier { outcomes, next: None })
    }

    /// Attempts that carried a row before; rows are asked for in order.
    fn attempts(&mut self, row: RowNumber) -> io::Result<u8> {
        let Some(outcomes) = &mut self.outcomes else { return Ok(0) };
        while self.next.as_ref().is_none_or(|next| next.row < row) {
            match outcomes.next() {
                Some(next) => self.next = Some(next.map_err(io::Error::other)?),
                None => return Ok(0),
            }
        }
        Ok(self.next.as_ref().filter(|next| next.row == row).map_or(0, |next| next.attempts))
    }
}

/// Result sets in files. They stay until the outcomes are on disk, so that a
/// resume need not fetch them again.
pub(super) struct FetchedSets {
    paths: [PathBuf; 3],
}

impl FetchedSets {
    fn new(dir: &Path, chunk: u64, attempt: u32) -> Self {
        let paths = ResultSet::ALL
            .map(|set| dir.join(format!("chunk-{chunk:06}-{attempt}.{}.csv", set.path())));
        FetchedSets { paths }
    }

    fn path(&self, set: ResultSet) -> PathBuf {
        let [successful, failed, unprocessed] = &self.paths;
        match set {
            ResultSet::Successful => successful,
            ResultSet::Failed => failed,
            ResultSet::Unprocessed => unprocessed,
        }
        .clone()
    }

    /// Where a set lies while it is fetched.
    fn part(&self, set: ResultSet) -> PathBuf {
        self.path(set).with_extension("csv.part")
    }

    fn are_there(&self) -> bool {
        self.paths.iter().all(|path| path.is_file())
    }

    fn remove(&self) {
        for set in ResultSet::ALL {
            // A file that stays is private and costs disk only.
            let _ = std::fs::remove_file(self.path(set));
            let _ = std::fs::remove_file(self.part(set));
        }
    }
}

impl ResultSets for FetchedSets {
    fn open(&self, set: ResultSet) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(self.path(set))?))
    }
}

/// Runs CPU work on rayon's pool and waits for it without blocking tokio.
pub(super) async fn on_cpu<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LaneError> + Send + 'static,
) -> Result<T, LaneError> {
    let (done, wait) = tokio::sync::oneshot::channel();
    rayon::spawn(move || {
        // Nobody waits any more when the run was dropped.
        if done.is_closed() {
            return;
        }
        // A panic on rayon's pool would end the process and with it the
        // account of every other chunk; here it ends this lane.
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
            Ok(result) => drop(done.send(result)),
            Err(_) => tracing::error!("reconciling a chunk panicked"),
        }
    });
    wait.await.unwrap_or(Err(LaneError::Interrupted))
}

fn match_results(
    run: &Run,
    carried: &Carried,
    job: &str,
    attempt: u32,
    files: &FetchedSets,
    found: &Found,
) -> Result<Reading, LaneError> {
    let chunk = &carried.chunk;
    let path = run.folder.outcomes(chunk.number, attempt);
    let mut writer = OutcomeWriter::create(&path, chunk.number)?;
    let mut failures = FailureGroups::default();
    let mut doubles = Vec::new();
    let (mut locked, mut no_room) = (0, None);
    let mut earlier = Earlier::open(&carried.earlier)?;
    // What was found by asking moves from one fate to another.
    let mut moved = Vec::new();
    let open = || carried.open_rows(run);
    let rows = SentRows { rows: &carried.rows, open: &open };
    let rule = run.match_rule(chunk.unique_text);
    let mut proof = reconcile(&run.sent_columns(), &rule, rows, files, 1, &mut |mut outcome| {
        let before = earlier.attempts(outcome.row)?;
        outcome.attempts = before.saturating_add(1);
        if let Some((fate, id)) = found.get(&outcome.row) {
            moved.push((outcome.fate, *fate));
            outcome.fate = *fate;
            outcome.id = Some(*id);
            outcome.error = None;
        }
        if outcome.fate == Fate::Failed {
            let text = outcome.error.as_deref().unwrap_or_default();
            let error = RowError::parse(text);
            match FailureClass::of(text) {
                FailureClass::Lock => locked += 1,
                FailureClass::Capacity => no_room = Some(error.code.to_owned()),
                _ => {}
            }
            failures.count(error.code, &error.masked_message(), run.row_of(outcome.row));
            if before > 0 {
                doubles.extend(duplicate_of(text).map(|record| (outcome.row, record)));
            }
        }
        writer.push(&outcome).map_err(io::Error::other)
    })
    .map_err(|source| LaneError::Reconcile { job: job.to_owned(), source })?;
    for (from, to) in moved {
        proof.tally.uncount(from);
        proof.tally.count(to);
    }
    Ok(Reading { proof, outcomes: writer.finish()?, failures, locked, no_room, doubles })
}
