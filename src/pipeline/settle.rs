//! `resume --settle`: disputed rows settled by asking the org for the records.
//!
//! A row is disputed when its results are lost. What the org holds may tell all
//! the same: the rows are read again as they were sent, their records are asked
//! for by key, some thousand at a time, and [`Settling`] says what these prove.
//! What it proves goes to an outcome file of the chunk that comes behind those
//! of its attempts. Nothing is sent.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

use super::estimate::reserved;
use super::resume::{CLOCKS_APART, instant};
use super::run::Run;
use super::twins::Twins;
use crate::domain::{Event, Fate, MatchTier, Operation, RowNumber, RowOutcome, Tally, ValueKind};
use crate::ledger::{ChunkState, LedgerError, StoredAttempt, StoredChunk};
use crate::reconciler::{
    FoundRecords, MergedOutcomes, OutcomeError, OutcomeWriter, Settled, Settling, lookup_hash,
};
use crate::rows::{Cells, EncodedRow, SourceError, SourceRows as _, Stretch};
use crate::salesforce::{CallError, FoundRecord, Lookup, QueryScope, lookup_calls};

/// Rows asked for at a time, and the bytes of their cells (I6).
const BATCH_ROWS: usize = 2_000;
const BATCH_BYTES: usize = 16 << 20;

/// Jobs that are asked when the run began by the clock of the org.
const JOBS_ASKED: usize = 3;

/// Why nothing can be settled, or not on.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// It takes more calls than the org grants.
    #[error(
        "settling {rows} rows takes about {calls} API calls, the org grants {remaining} more in \
         these 24 hours"
    )]
    Allowance {
        /// Disputed rows.
        rows: u64,
        /// Calls, about.
        calls: u64,
        /// What is left, less what `--reserve` leaves to others.
        remaining: u64,
    },
    /// The object can't be described, or the limits can't be read.
    #[error("the org can't be asked")]
    Call(#[from] CallError),
    /// The ledger can't be read or written.
    #[error("the ledger can't be used")]
    Ledger(#[from] LedgerError),
    /// An outcome file can't be read or written.
    #[error("the outcomes can't be kept")]
    Outcomes(#[from] OutcomeError),
    /// The source can't be read.
    #[error("the source can't be read")]
    Source(#[from] SourceError),
    /// A thread broke off.
    #[error("settling broke off")]
    Interrupted,
}

/// What asking came to.
#[derive(Debug, Default)]
pub(super) struct Settlement {
    /// Rows that were disputed.
    disputed: u64,
    /// Fates that were proven.
    proven: Tally,
    /// Why some were not asked for.
    problem: Option<String>,
}

impl Settlement {
    /// One that could not be.
    pub(super) fn prevented(run: &Run, why: &str) -> Self {
        let disputed = run.with_books(|books| books.tally.disputed);
        Settlement { disputed, problem: Some(why.to_owned()), ..Settlement::default() }
    }

    /// What a person is told, a sentence each.
    pub(super) fn notes(&self, run: &Run) -> Vec<String> {
        let proven = &self.proven;
        let settled = proven.settled();
        let mut told = format!("{settled} of {} disputed rows are settled", self.disputed);
        let parts: Vec<String> = [
            ("created", proven.created),
            ("updated", proven.updated),
            ("deleted", proven.deleted),
            ("not applied, so unprocessed", proven.unprocessed),
        ]
        .into_iter()
        .filter(|(_, rows)| *rows > 0)
        .map(|(what, rows)| format!("{rows} {what}"))
        .collect();
        if !parts.is_empty() {
            told = format!("{told}: {}", parts.join(", "));
        }
        let mut notes = vec![told];
        let left = self.disputed - settled;
        if let Some(problem) = &self.problem {
            notes.push(format!("{left} rows are still disputed: {problem}"));
        } else if left > 0 {
            let operation = run.setup.plan.operation;
            notes.push(format!("the records prove nothing of {left} rows of the {operation}"));
        }
        notes
    }
}

/// Asks for the records of all disputed rows of a run and keeps what they
/// prove. `keys` are the sent columns by which rows of an insert are found.
///
/// # Errors
/// [`SettleError`]. Chunks that were done stay settled.
pub(super) async fn settle_disputed(
    run: &Arc<Run>,
    keys: Vec<usize>,
) -> Result<Settlement, SettleError> {
    let org = run.setup.org.clone();
    let (chunks, attempts, stored) =
        run.ledger.run(|ledger| Ok((ledger.chunks()?, ledger.attempts()?, ledger.run()?))).await?;
    let disputed = chunks.iter().map(|chunk| chunk.tally.disputed).sum();
    let mut settlement = Settlement { disputed, ..Settlement::default() };
    if disputed == 0 {
        return Ok(settlement);
    }
    let object = org.describe(&run.setup.object).await?;
    let (since, unsure_until) = begun(run, &attempts, stored.run.started_at).await?;
    let mut rule = run.match_rule(None);
    if !keys.is_empty() {
        rule.user_keys = keys;
    }
    let user = stored.run.org.user.parse().ok();
    let settling =
        Settling::new(&run.sent_columns(), &rule, &object, since, user).unsure_until(unsure_until);
    if settling.lookup().is_none() {
        settlement.problem = Some(
            "an insert has no key by which its records are found; name the columns that tell them \
             apart with `resume --settle --key COLUMN,...`"
                .to_owned(),
        );
        return Ok(settlement);
    }
    let runtime = tokio::runtime::Handle::current();
    let work = Settler {
        run: Arc::clone(run),
        runtime,
        settling,
        chunks,
        attempts,
        twins: Twins::new(0),
        budget: u64::MAX,
        settlement,
    };
    tokio::task::spawn_blocking(move || work.work()).await.map_err(|_| SettleError::Interrupted)?
}

/// Since when records may be of this run by the clock of the org, and from
/// when on they are for certain.
async fn begun(
    run: &Run,
    attempts: &[StoredAttempt],
    started: Timestamp,
) -> Result<(Timestamp, Timestamp), SettleError> {
    let with_job = || attempts.iter().filter(|attempt| attempt.job_id.is_some());
    let Some(first) = with_job().min_by_key(|attempt| attempt.times.creating) else {
        return Ok((started, started));
    };
    let own = first.times.creating;
    let others = with_job().rev().filter(|attempt| attempt.job_id != first.job_id);
    for attempt in std::iter::once(first).chain(others).take(JOBS_ASKED) {
        let job = attempt.job_id.as_deref().unwrap_or_default();
        let created = match run.setup.org.job(job).await {
            Ok(info) => info.created.as_deref().and_then(instant),
            Err(error) if error.says_no_such_job() => None,
            Err(error) => return Err(error.into()),
        };
        let Some(created) = created else { continue };
        if attempt.job_id == first.job_id {
            return Ok((created, created));
        }
        // How far the clocks are apart, give or take what a call takes.
        let apart = created.duration_since(attempt.times.creating);
        let begun = own.saturating_add(apart).unwrap_or(own);
        let slack = Duration::from_mins(1);
        return Ok((begun.saturating_sub(slack).unwrap_or(begun), begun));
    }
    Ok((own.saturating_sub(CLOCKS_APART).unwrap_or(own), own))
}

/// One settling: plain blocking code on a thread of its own.
struct Settler {
    run: Arc<Run>,
    runtime: tokio::runtime::Handle,
    settling: Settling,
    chunks: Vec<StoredChunk>,
    attempts: Vec<StoredAttempt>,
    twins: Twins,
    /// Calls that may still be made.
    budget: u64,
    settlement: Settlement,
}

/// A row of a chunk whose outcome goes to the settled file.
struct Entry {
    outcome: RowOutcome,
    /// What was sent of a row that is to be asked for; nothing of one that was
    /// settled before.
    cells: Vec<Vec<u8>>,
}

impl Settler {
    fn work(mut self) -> Result<Settlement, SettleError> {
        let chunks = std::mem::take(&mut self.chunks);
        self.find_twins(&chunks)?;
        let calls = self.calls(&chunks)?;
        self.grant(calls)?;
        self.run.events.announce(Event::Note {
            text: format!(
                "settling {} disputed rows by their records, about {calls} API calls",
                self.settlement.disputed
            ),
        });
        // From here on the files are not what the run ended with.
        self.run.ledger.blocking().reopen_run()?;
        for chunk in chunks.iter().filter(|chunk| chunk.tally.disputed > 0) {
            if self.settlement.problem.is_some() {
                break;
            }
            self.settle_chunk(chunk)?;
        }
        Ok(self.settlement)
    }

    /// Whether it matters for this operation that rows share a key.
    fn twins_matter(&self) -> bool {
        !self.run.setup.plan.operation.deletes()
    }

    fn find_twins(&mut self, chunks: &[StoredChunk]) -> Result<(), SettleError> {
        if !self.twins_matter() {
            return Ok(());
        }
        let run = Arc::clone(&self.run);
        let settling = self.settling.clone();
        let mut twins = Twins::new(chunks.iter().map(|chunk| chunk.chunk.rows.len()).sum());
        for round in 0..2 {
            for chunk in chunks.iter().filter(|chunk| chunk.state == ChunkState::Reconciled) {
                // Of a chunk with results it is known, row by row; that most of
                // its rows made a record is near enough to tell created from
                // updated.
                let claims = chunk.tally.disputed == 0 && chunk.tally.created > 0;
                read_sent(&run, chunk, &mut |_, cells| {
                    if let Some(key) = key_of(&settling, cells) {
                        match round {
                            0 => twins.mark(key),
                            _ => twins.compare(key, content_of(cells), claims),
                        }
                    }
                    Ok(())
                })?;
            }
        }
        self.twins = twins;
        Ok(())
    }

    /// The calls that it takes.
    fn calls(&self, chunks: &[StoredChunk]) -> Result<u64, SettleError> {
        let mut calls = 0;
        for chunk in chunks.iter().filter(|chunk| chunk.tally.disputed > 0) {
            let mut keys = Vec::new();
            self.entries(chunk, &mut |entries| {
                keys.clear();
                keys.extend(self.keys(entries));
                calls += lookup_calls(&self.lookup(&self.settling.fields()), &keys);
                Ok(())
            })?;
        }
        Ok(calls)
    }

    /// Refuses what the org doesn't grant (I9).
    fn grant(&mut self, calls: u64) -> Result<(), SettleError> {
        let org = &self.run.setup.org;
        let reserve = self.run.setup.request.reserve;
        let left = |remaining: u64, max: u64| remaining.saturating_sub(reserved(max, reserve));
        let told = match self.runtime.block_on(org.limits()) {
            Ok(limits) => limits.daily_api_requests().map(|limit| left(limit.remaining, limit.max)),
            Err(error) if error.status == Some(403) && !error.is_allowance() => None,
            Err(error) => return Err(error.into()),
        };
        let told = told.or_else(|| {
            let (used, max) = org.usage().daily_calls?;
            Some(left(max.saturating_sub(used), max))
        });
        if let Some(remaining) = told {
            if remaining < calls {
                let rows = self.settlement.disputed;
                return Err(SettleError::Allowance { rows, calls, remaining });
            }
            self.budget = remaining;
        }
        Ok(())
    }

    fn lookup<'a>(&'a self, fields: &'a [&'a str]) -> Lookup<'a> {
        // There is one, or nothing is asked for at all.
        let (key_field, kind) = self.settling.lookup().unwrap_or(("Id", ValueKind::Id));
        Lookup { object: &self.run.setup.object, fields, key_field, kind, scope: QueryScope::All }
    }

    /// The keys of the rows to ask for.
    fn keys<'a>(&'a self, entries: &'a [Entry]) -> impl Iterator<Item = String> + 'a {
        let at = self.settling.lookup_column().unwrap_or(usize::MAX);
        entries
            .iter()
            .filter_map(move |entry| entry.cells.get(at))
            .map(|key| String::from_utf8_lossy(key).into_owned())
    }

    /// Hands out the rows of a chunk that are disputed or were settled before,
    /// in order, some thousand at a time.
    fn entries(
        &self,
        chunk: &StoredChunk,
        take: &mut dyn FnMut(&[Entry]) -> Result<(), SettleError>,
    ) -> Result<(), SettleError> {
        let mut files = self.attempt_files(chunk.chunk.number);
        let settled_before = files.len();
        files.extend(self.settled_before(chunk));
        let mut outcomes = MergedOutcomes::open(&files)?;
        let mut next = outcomes.next().transpose()?;
        let mut entries: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        read_sent(&self.run, chunk, &mut |row, cells| {
            while let Some(outcome) = next.take_if(|outcome| outcome.row <= row) {
                let was_settled = outcomes.last_file() == settled_before;
                next = outcomes.next().transpose()?;
                if outcome.row < row || !(was_settled || outcome.fate == Fate::Disputed) {
                    continue;
                }
                let cells: Vec<Vec<u8>> = if outcome.fate == Fate::Disputed {
                    cells.iter().map(|cell| cell.to_vec()).collect()
                } else {
                    Vec::new()
                };
                bytes += cells.iter().map(Vec::len).sum::<usize>();
                entries.push(Entry { outcome, cells });
                if entries.len() >= BATCH_ROWS || bytes >= BATCH_BYTES {
                    take(&entries)?;
                    entries.clear();
                    bytes = 0;
                }
            }
            Ok(())
        })?;
        if entries.is_empty() { Ok(()) } else { take(&entries) }
    }

    /// Outcome files of a chunk's attempts, oldest first.
    fn attempt_files(&self, chunk: u64) -> Vec<PathBuf> {
        self.attempts
            .iter()
            .filter(|attempt| attempt.chunk == chunk && attempt.outcomes.is_some())
            .map(|attempt| self.run.folder.outcomes(chunk, attempt.number))
            .collect()
    }

    fn settled_before(&self, chunk: &StoredChunk) -> Option<PathBuf> {
        let name = chunk.settled_file.as_ref()?;
        Some(self.run.folder.outcome_dir().join(name))
    }

    fn settle_chunk(&mut self, chunk: &StoredChunk) -> Result<(), SettleError> {
        let number = chunk.chunk.number;
        let folder = self.run.folder.clone();
        let name = next_name(&folder, number, chunk.settled_file.as_deref());
        let path = folder.outcome_dir().join(&name);
        let mut writer = OutcomeWriter::create(&path, number)?;
        let mut proven = Tally::default();
        // Taken out for the time in which rows are read by it.
        let mut twins = std::mem::replace(&mut self.twins, Twins::new(0));
        let mut asked = Asked { budget: self.budget, problem: None };
        let this = &*self;
        this.entries(chunk, &mut |entries| {
            let found = this.ask(entries, &mut asked);
            for entry in entries {
                let outcome = match &found {
                    Some(found) if !entry.cells.is_empty() => this.judge(entry, found, &mut twins),
                    _ => None,
                };
                if let Some(outcome) = outcome {
                    proven.count(outcome.fate);
                    writer.push(&outcome)?;
                } else if entry.cells.is_empty() {
                    writer.push(&entry.outcome)?;
                }
            }
            Ok(())
        })?;
        self.twins = twins;
        self.budget = asked.budget;
        self.settlement.problem = asked.problem;
        if proven.settled() == 0 {
            return Ok(());
        }
        writer.finish()?;
        let mut tally = chunk.tally;
        tally.disputed -= proven.settled();
        tally.add(&proven);
        self.run.ledger.blocking().chunk_settled(number, &name, &tally)?;
        self.settlement.proven.add(&proven);
        if let Some(before) = self.settled_before(chunk) {
            // The ledger names the new one; this costs disk only.
            let _ = std::fs::remove_file(before);
        }
        self.run.events.announce(Event::ChunkReconciled { chunk: number, tally: proven });
        Ok(())
    }

    /// Asks for the records of some rows; `None` when nothing is known of them
    /// and no more is asked for.
    fn ask(&self, entries: &[Entry], asked: &mut Asked) -> Option<FoundRecords> {
        if asked.problem.is_some() {
            return None;
        }
        let (_, kind) = self.settling.lookup()?;
        let fields = self.settling.fields();
        let lookup = self.lookup(&fields);
        let keys: Vec<String> = self.keys(entries).collect();
        let calls = lookup_calls(&lookup, &keys);
        if self.run.stop.is_asked() {
            asked.problem = Some("it was asked to stop".to_owned());
        } else if calls > asked.budget {
            asked.problem = Some("the org grants no more API calls for now".to_owned());
        }
        if asked.problem.is_some() {
            return None;
        }
        asked.budget -= calls;
        match self.runtime.block_on(self.run.setup.org.find_records(&lookup, &keys)) {
            Ok(records) => Some(FoundRecords::new(kind, records)),
            Err(error) => {
                asked.problem =
                    Some(format!("their records can't be asked for ({})", error.brief()));
                None
            }
        }
    }

    /// What the records prove of a row, if anything.
    fn judge(&self, entry: &Entry, found: &FoundRecords, twins: &mut Twins) -> Option<RowOutcome> {
        let cells: Vec<&[u8]> = entry.cells.iter().map(Vec::as_slice).collect();
        let lookup = self.settling.lookup_column()?;
        let records: Vec<&FoundRecord> = found.of(cells.get(lookup)?);
        let key = key_of(&self.settling, &cells);
        let (has_twin, has_rival) = match key.filter(|_| self.twins_matter()) {
            Some(key) => (twins.has_twin(key), twins.has_rival(key)),
            None => (false, false),
        };
        let is_insert = self.run.setup.plan.operation == Operation::Insert;
        let (fate, id) = match self.settling.judge(&cells, &records, has_twin) {
            Settled::Disputed => return None,
            // The record shows what the other row said; whether this one came
            // before it or not at all, nobody knows.
            Settled::Unprocessed if has_rival => return None,
            Settled::Unprocessed => (Fate::Unprocessed, None),
            // One record is made once, by whichever of equal rows.
            Settled::Saved { fate: Fate::Created, id }
                if !is_insert && !key.is_none_or(|key| twins.claim(key)) =>
            {
                (Fate::Updated, id)
            }
            Settled::Saved { fate, id } => (fate, id),
        };
        let tier = if is_insert { MatchTier::UserKey } else { MatchTier::Key };
        Some(RowOutcome {
            fate,
            tier: fate.succeeded().then_some(tier),
            id,
            error: None,
            ..entry.outcome.clone()
        })
    }
}

/// How asking goes.
struct Asked {
    budget: u64,
    problem: Option<String>,
}

/// A name that the ledger doesn't know yet.
fn next_name(folder: &super::RunFolder, chunk: u64, known: Option<&str>) -> String {
    let mut settling = 1;
    loop {
        let name = folder.settled_name(chunk, settling);
        if known != Some(name.as_str()) {
            return name;
        }
        settling += 1;
    }
}

/// The key of a row, equal for rows that the org takes for the same; `None`
/// without one.
fn key_of(settling: &Settling, cells: &[&[u8]]) -> Option<u64> {
    let mut keys = Vec::new();
    for (at, kind) in settling.key_columns() {
        keys.extend(lookup_hash(kind, cells.get(at)?).to_le_bytes());
    }
    let lookup = settling.lookup_column()?;
    let is_empty = cells.get(lookup)?.trim_ascii().is_empty();
    (!is_empty).then(|| xxh3_64(&keys))
}

/// Equal for rows that say the same.
fn content_of(cells: &[&[u8]]) -> u64 {
    let mut text = Vec::new();
    for cell in cells {
        text.extend_from_slice(&(cell.len() as u64).to_le_bytes());
        text.extend_from_slice(cell);
    }
    xxh3_64(&text)
}

/// Takes a row as its cells were sent.
type TakeRow<'a> = dyn FnMut(RowNumber, &[&[u8]]) -> Result<(), SettleError> + 'a;

/// Reads the rows of a chunk that were sent, in order, each as its cells were
/// sent. They are encoded once more, for a spool is gone by now.
fn read_sent(run: &Run, chunk: &StoredChunk, take: &mut TakeRow<'_>) -> Result<(), SettleError> {
    let chunk = &chunk.chunk;
    let plan = &run.setup.plan;
    let stretch = Stretch { start: chunk.start, end: chunk.end, first_row: chunk.first_row };
    let mut rows = run.setup.source.rows(Some(stretch))?;
    let mut sent = chunk.rows.iter().peekable();
    while let Some(batch) = rows.next_batch()? {
        let encoded = plan.apply(&batch);
        for (index, (record, row)) in batch.records.iter().zip(&encoded.rows).enumerate() {
            let number = batch.first_row.plus(index as u64);
            if sent.next_if_eq(&number).is_none() {
                continue;
            }
            let text = match *row {
                EncodedRow::Same => batch.record(record),
                EncodedRow::Rewritten { start, end } => {
                    encoded.side.get(start as usize..end as usize).unwrap_or_default()
                }
                EncodedRow::Rejected(_) => continue,
            };
            let text = text.strip_suffix(b"\n").unwrap_or(text);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            let cells: Vec<_> =
                Cells::new(text, plan.delimiter.byte(), b'"').map(|cell| cell.value()).collect();
            let cells: Vec<&[u8]> = cells.iter().map(AsRef::as_ref).collect();
            take(number, &cells)?;
        }
    }
    Ok(())
}
