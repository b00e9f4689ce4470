//! The final fate of a row, and the tally that proves none is missing.

use serde::{Deserialize, Serialize};

use super::{RecordId, RowNumber};

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// Saved as a new record.
    Created,
    /// Saved over an existing record.
    Updated,
    /// The record was deleted.
    Deleted,
    /// Refused by the org.
    Failed,
    /// Sent, but never reached by the org.
    Unprocessed,
    /// Sent, and its fate can't be proven.
    Disputed,
    /// Never sent by us.
    Rejected,
}

impl Fate {
    /// Whether the org saved the row.
    pub const fn succeeded(self) -> bool {
        matches!(self, Fate::Created | Fate::Updated | Fate::Deleted)
    }
}

/// How a row's result was found: the tiers of docs/architecture.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchTier {
    /// By the id or external id that was sent.
    Key,
    /// By the columns the user named with `--key`.
    UserKey,
    /// By a text column found to be unique in the chunk.
    UniqueColumn,
    /// By the digest of all sent columns.
    Digest,
    /// By the digest, among rows equal in every sent column; which of them got
    /// which record is interchangeable.
    Interchangeable,
    /// By elimination: all that was left had one and the same outcome.
    Elimination,
}

impl MatchTier {
    /// The word in the `bulkhaul__Match` column.
    pub const fn as_str(self) -> &'static str {
        match self {
            MatchTier::Key => "key",
            MatchTier::UserKey => "user-key",
            MatchTier::UniqueColumn => "unique-column",
            MatchTier::Digest => "digest",
            MatchTier::Interchangeable => "interchangeable",
            MatchTier::Elimination => "elimination",
        }
    }
}

/// The outcome of one source row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowOutcome {
    /// Its number in the source file.
    pub row: RowNumber,
    /// What became of it.
    pub fate: Fate,
    /// How that was found out; `None` for rows that were never sent or are
    /// disputed.
    pub tier: Option<MatchTier>,
    /// How many attempts carried the row; 0 when it was never sent.
    pub attempts: u8,
    /// The record's id where the org told one.
    pub id: Option<RecordId>,
    /// The org's error text (`sf__Error`) of a failed row, or our own reason
    /// for a rejected or disputed one.
    pub error: Option<String>,
}

/// Rows by fate. The sum of the parts is the whole (I1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Rows read from the source.
    pub read: u64,
    /// Rows never sent by us.
    pub rejected: u64,
    /// Rows saved as new records.
    pub created: u64,
    /// Rows saved over existing records.
    pub updated: u64,
    /// Records deleted.
    pub deleted: u64,
    /// Rows refused by the org.
    pub failed: u64,
    /// Rows sent but not reached.
    pub unprocessed: u64,
    /// Rows whose fate is not proven.
    pub disputed: u64,
}

impl Tally {
    /// Counts one outcome (not the reading of its row).
    pub fn count(&mut self, fate: Fate) {
        *match fate {
            Fate::Created => &mut self.created,
            Fate::Updated => &mut self.updated,
            Fate::Deleted => &mut self.deleted,
            Fate::Failed => &mut self.failed,
            Fate::Unprocessed => &mut self.unprocessed,
            Fate::Disputed => &mut self.disputed,
            Fate::Rejected => &mut self.rejected,
        } += 1;
    }

    /// Takes one outcome back, whose fate turned out to be another one.
    pub fn uncount(&mut self, fate: Fate) {
        let place = match fate {
            Fate::Created => &mut self.created,
            Fate::Updated => &mut self.updated,
            Fate::Deleted => &mut self.deleted,
            Fate::Failed => &mut self.failed,
            Fate::Unprocessed => &mut self.unprocessed,
            Fate::Disputed => &mut self.disputed,
            Fate::Rejected => &mut self.rejected,
        };
        *place = place.saturating_sub(1);
    }

    /// Adds another tally, part by part.
    pub fn add(&mut self, other: &Tally) {
        self.read += other.read;
        self.rejected += other.rejected;
        self.created += other.created;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.failed += other.failed;
        self.unprocessed += other.unprocessed;
        self.disputed += other.disputed;
    }

    /// Rows the org saved.
    pub const fn succeeded(&self) -> u64 {
        self.created + self.updated + self.deleted
    }

    /// Rows whose fate is final.
    pub const fn settled(&self) -> u64 {
        self.rejected + self.succeeded() + self.failed + self.unprocessed + self.disputed
    }

    /// Rows read whose fate is not known yet; 0 in a completed run.
    pub const fn pending(&self) -> u64 {
        self.read.saturating_sub(self.settled())
    }

    /// Rows that were sent and are final, or were never sent.
    pub const fn is_clean(&self) -> bool {
        self.is_clean_but_for(0)
    }

    /// The same where so many of the rejected rows were not meant to be sent.
    pub const fn is_clean_but_for(&self, left_out: u64) -> bool {
        let rejected = self.rejected.saturating_sub(left_out);
        rejected + self.failed + self.unprocessed + self.disputed + self.pending() == 0
    }
}
