//! Rows that were sent before and now fail as duplicates: the record in the
//! way may be the one that their first attempt made, though it was told as
//! failed. So the org is asked for that record before such a row is called
//! failed (I4).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::carried::Carried;
use super::lane::{Lane, LaneError};
use super::reading::{FetchedSets, Found, Reading, on_cpu};
use super::run::Run;
use crate::domain::{Fate, Operation, RecordId, RowNumber};
use crate::reconciler::{OutcomeError, OutcomeReader};
use crate::salesforce::FieldValue;

/// Ids asked for in one query: well below the length a URL may have.
const IDS_A_QUERY: usize = 200;

impl Lane<'_> {
    /// Asks for the records that are in the way of rows sent again, and gives
    /// the reading with those rows saved whose record is their own.
    pub(super) async fn settle_doubles(
        &self,
        carried: &Arc<Carried>,
        job: &str,
        attempt: u32,
        files: &Arc<FetchedSets>,
        reading: Reading,
    ) -> Result<Reading, LaneError> {
        let makes_records =
            matches!(self.run().setup.plan.operation, Operation::Insert | Operation::Upsert);
        let suspects: HashMap<RecordId, RowNumber> =
            reading.doubles.iter().map(|&(row, id)| (id, row)).collect();
        if suspects.is_empty() || !makes_records {
            return Ok(reading);
        }
        let ours = self.made_by_this_chunk(carried, job, suspects.keys().copied()).await?;
        let run = Arc::clone(self.run());
        let own = run.folder.outcomes(carried.chunk.number, attempt);
        // A record that another row made in its own right is that row's.
        let ours = on_cpu(move || Ok(without_claimed(&run, &own, ours)?)).await?;
        let found: Found = ours
            .into_iter()
            .filter_map(|id| Some((*suspects.get(&id)?, (Fate::Created, id))))
            .collect();
        if found.is_empty() {
            return Ok(reading);
        }
        self.run().note(format!(
            "chunk {}: {} rows that failed as duplicates were found saved by their earlier attempt",
            carried.chunk.number,
            found.len()
        ));
        self.match_fetched(carried, job, attempt, files, found).await
    }

    /// Which of these records this user made since the chunk's first job was
    /// created, by the org's own clock.
    async fn made_by_this_chunk(
        &self,
        carried: &Carried,
        job: &str,
        ids: impl Iterator<Item = RecordId>,
    ) -> Result<HashSet<RecordId>, LaneError> {
        let org = &self.run().setup.org;
        let failed = |source| LaneError::Fetch { job: job.to_owned(), source };
        let number = carried.chunk.number;
        let attempts = self.run().ledger.run(move |ledger| ledger.attempts_of(number)).await?;
        let mut first = attempts.into_iter().filter(|attempt| attempt.outcomes.is_some());
        let mut since = None;
        if let Some(first) = first.find_map(|attempt| attempt.job_id) {
            since = org.job(&first).await.map_err(failed)?.created;
        }
        // Without it nothing is known, and a failure stays one.
        let Some(since) = since.as_deref().and_then(to_the_second) else {
            return Ok(HashSet::new());
        };
        let ids: Vec<RecordId> = ids.collect();
        let mut ours = HashSet::new();
        for some in ids.chunks(IDS_A_QUERY) {
            let list: Vec<String> = some.iter().map(|id| format!("'{}'", id.as_str())).collect();
            let soql = format!(
                "SELECT Id, CreatedById, CreatedDate FROM {} WHERE Id IN ({})",
                self.run().setup.object,
                list.join(",")
            );
            for record in org.query_all_rows(&soql, IDS_A_QUERY).await.map_err(failed)? {
                let text = |name: &str| record.at(name).map(FieldValue::cell);
                let by_us = text("CreatedById").is_some_and(|by| by == org.identity().user_id);
                let created = text("CreatedDate").unwrap_or_default();
                let in_time = to_the_second(&created).is_some_and(|created| created >= since);
                let id = text("Id").and_then(|id| RecordId::parse(id.as_bytes()).ok());
                ours.extend(id.filter(|_| by_us && in_time));
            }
        }
        Ok(ours)
    }
}

/// The part of a time of the org that sorts as text; all its times are UTC.
fn to_the_second(time: &str) -> Option<&str> {
    time.get(.."2026-01-15T08:30:12".len())
}

/// Leaves out the records that an outcome of this run names already.
fn without_claimed(
    run: &Run,
    own: &std::path::Path,
    mut ids: HashSet<RecordId>,
) -> Result<HashSet<RecordId>, OutcomeError> {
    let dir = run.folder.outcome_dir();
    let io = |source| OutcomeError::Io { path: dir.clone(), action: "listed", source };
    for entry in std::fs::read_dir(&dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if ids.is_empty() {
            break;
        }
        if path == own || path.extension().is_none_or(|ending| ending != "outcomes") {
            continue;
        }
        for outcome in OutcomeReader::open(&path)? {
            if let Some(id) = outcome?.id {
                ids.remove(&id);
            }
        }
    }
    Ok(ids)
}
