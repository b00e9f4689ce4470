//! How the rows of a unit are told: result rows, and the journal.

use super::apply::Apply;
use super::csv;
use super::prepare::{Row, write_cells};
use crate::local_org::ids::RecordKey;
use crate::local_org::store::{Change, journal};
use crate::local_org::value::RowError;

/// What a unit's rows came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Rows of `successfulResults`.
    pub successes: Vec<u8>,
    /// Rows of `failedResults`.
    pub failures: Vec<u8>,
    /// The journal's blob.
    pub effects: Vec<u8>,
    /// Rows failed.
    pub failed: u64,
}

/// What one row came to.
pub(super) enum Fate {
    /// Saved.
    Saved { record: u64, change: Change },
    /// Refused.
    Failed { record: Option<u64>, error: String },
    /// Saved, and told as failed.
    Hidden { record: u64, change: Change, error: String },
}

impl Fate {
    pub(super) fn failed(record: Option<u64>, error: RowError) -> Fate {
        Fate::Failed { record, error: error.to_string() }
    }
}

impl Apply<'_, '_> {
    /// Appends a row's result and its effect.
    pub(super) fn tell(&self, at: usize, fate: &Fate, outcome: &mut Outcome) {
        let Some(row) = self.prepared.rows.get(at) else { return };
        let plan = self.plan;
        let prefix = &plan.table.object.key_prefix;
        match fate {
            Fate::Saved { record, change } => {
                let out = &mut outcome.successes;
                out.push(b'"');
                out.extend_from_slice(&RecordKey::new(prefix, *record).to_18());
                out.push(b'"');
                out.push(plan.result_delimiter);
                out.extend_from_slice(if *change == Change::Created {
                    b"\"true\""
                } else {
                    b"\"false\""
                });
                out.push(plan.result_delimiter);
                out.extend_from_slice(
                    self.prepared.cells.get(row.cells.clone()).unwrap_or_default(),
                );
                out.extend_from_slice(plan.result_line_end);
                journal::put(&mut outcome.effects, self.number(at), *change, *record);
            }
            Fate::Failed { record, error } => self.tell_failure(row, *record, error, outcome),
            Fate::Hidden { record, change, error } => {
                journal::put(&mut outcome.effects, self.number(at), *change, *record);
                let known = (*change != Change::Created).then_some(*record);
                self.tell_failure(row, known, error, outcome);
            }
        }
    }

    fn tell_failure(&self, row: &Row, record: Option<u64>, error: &str, outcome: &mut Outcome) {
        let plan = self.plan;
        outcome.failed += 1;
        let out = &mut outcome.failures;
        let id = record
            .filter(|_| plan.settings.failed_ids)
            .map(|counter| RecordKey::new(&plan.table.object.key_prefix, counter).to_18());
        csv::write_quoted(out, id.as_ref().map_or(&[][..], |id| &id[..]));
        out.push(plan.result_delimiter);
        csv::write_quoted(out, error.as_bytes());
        out.push(plan.result_delimiter);
        write_cells(plan, self.raw(row), true, out);
        out.extend_from_slice(plan.result_line_end);
    }
}
