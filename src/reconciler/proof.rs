//! What was proven of an attempt's rows, what was odd, and why a reconciling
//! broke off.

use std::io;

use crate::domain::{Fate, MatchTier, ResultSet, RowNumber, Tally};

/// How many rows found their result by which tier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TierCounts {
    /// By the id or external id sent.
    pub key: u64,
    /// By the columns the user named.
    pub user_key: u64,
    /// By a unique text column.
    pub unique_column: u64,
    /// By the digest of all columns.
    pub digest: u64,
    /// By the digest, among equal rows.
    pub interchangeable: u64,
    /// By elimination.
    pub elimination: u64,
}

impl TierCounts {
    pub(super) fn count(&mut self, tier: MatchTier) {
        *match tier {
            MatchTier::Key => &mut self.key,
            MatchTier::UserKey => &mut self.user_key,
            MatchTier::UniqueColumn => &mut self.unique_column,
            MatchTier::Digest => &mut self.digest,
            MatchTier::Interchangeable => &mut self.interchangeable,
            MatchTier::Elimination => &mut self.elimination,
        } += 1;
    }

    /// Adds another count, tier by tier.
    pub fn add(&mut self, other: &TierCounts) {
        self.key += other.key;
        self.user_key += other.user_key;
        self.unique_column += other.unique_column;
        self.digest += other.digest;
        self.interchangeable += other.interchangeable;
        self.elimination += other.elimination;
    }

    /// Rows that found their result.
    pub const fn total(&self) -> u64 {
        self.key
            + self.user_key
            + self.unique_column
            + self.digest
            + self.interchangeable
            + self.elimination
    }
}

/// Something odd about the result sets. Rows it concerns are disputed; none
/// of the texts holds a row value (I8).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Fewer results than rows: fetch again, the org may not have told all.
    #[error("{missing} of {sent} rows are in no result set")]
    Shortfall {
        /// Rows without a result.
        missing: u64,
        /// Rows sent.
        sent: u64,
    },
    /// More results than rows fit one row, or a set of equal ones.
    #[error("{rows} rows are in more than one result, the first of them is row {example}")]
    SeveralResults {
        /// Rows concerned.
        rows: u64,
        /// One of them.
        example: RowNumber,
    },
    /// Results that belong to no row sent.
    #[error("{count} results belong to no row that was sent")]
    Extra {
        /// How many.
        count: u64,
    },
    /// A column that the documentation promises is not there.
    #[error("{} has no column {column}", set.path())]
    MissingColumn {
        /// The result set.
        set: ResultSet,
        /// The column.
        column: &'static str,
    },
    /// Ids that are none.
    #[error("{} has {count} ids that are not record ids", set.path())]
    BadIds {
        /// The result set.
        set: ResultSet,
        /// How many.
        count: u64,
    },
}

/// The proof for one attempt (I1): every row sent has one outcome, and the
/// counts say how it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChunkProof {
    /// Rows sent.
    pub sent: u64,
    /// Results read from each set, in the order of [`ResultSet::ALL`].
    pub results: [u64; 3],
    /// Rows by the tier that found their result.
    pub matched: TierCounts,
    /// Rows by fate; `read` is the rows sent.
    pub tally: Tally,
    /// Results that no row was given.
    pub extra_results: u64,
    /// Rows that are in no result set, going by the numbers. While it is not
    /// zero, fetching the sets again may help.
    pub shortfall: u64,
    /// Rows that got a result of an equal row for certain, which of them is
    /// all the same.
    pub interchangeable: u64,
    /// Bytes of the result sets, as unpacked.
    pub result_bytes: u64,
    /// What was odd.
    pub problems: Vec<Problem>,
}

impl ChunkProof {
    pub(super) fn count(&mut self, fate: Fate, tier: Option<MatchTier>) {
        self.tally.read += 1;
        self.tally.count(fate);
        if let Some(tier) = tier {
            self.matched.count(tier);
        }
    }

    /// Whether every row sent was found once and no result is left over.
    pub const fn is_whole(&self) -> bool {
        self.tally.disputed == 0 && self.extra_results == 0 && self.tally.settled() == self.sent
    }
}

/// Why no outcome could be told. Nothing is final then; the sets can be
/// fetched and reconciled again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// A result set can't be read.
    #[error("{} can't be read", set.path())]
    Results {
        /// The set.
        set: ResultSet,
        /// What the system said.
        source: io::Error,
    },
    /// A result set breaks off inside a record, or a record lacks cells.
    #[error("{} breaks off behind record {records}", set.path())]
    CutShort {
        /// The set.
        set: ResultSet,
        /// Whole records before that.
        records: u64,
    },
    /// A result set was read twice and was not the same.
    #[error("{} was not the same when it was read again", set.path())]
    Changed {
        /// The set.
        set: ResultSet,
    },
    /// Far more results than rows; these are not the results of this body.
    #[error("more than {limit} results for {sent} rows")]
    TooManyResults {
        /// Rows sent.
        sent: u64,
        /// Results that were taken.
        limit: u64,
    },
    /// The body can't be read.
    #[error("the rows that were sent can't be read again")]
    Body {
        /// What the system said.
        source: io::Error,
    },
    /// The body is not what was sent.
    #[error("the body has {found} rows, {expected} were sent")]
    BodyRows {
        /// Rows sent.
        expected: u64,
        /// Rows found.
        found: u64,
    },
    /// An outcome could not be handed on.
    #[error("an outcome can't be written")]
    Emit {
        /// What the taker said.
        source: io::Error,
    },
}
