//! How large chunks are to be.

use crate::domain::{MAX_JOB_BYTES, ROWS_PER_BATCH};

/// Bytes a row is taken to have while nobody has counted the rows: on the
/// small side of what people load, so that lanes get enough chunks.
const GUESSED_ROW_BYTES: u64 = 160;

/// Where a chunk ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSizing {
    /// Rows a chunk sends at most.
    pub rows: u64,
    /// Bytes its body has at most, header line and last line end included.
    pub max_bytes: u64,
}

impl ChunkSizing {
    /// Sizes for a source: about (rows / (2 x lanes)) rounded up to 10,000,
    /// because each started 10,000 rows of a job costs one of the org's daily
    /// batches (I9), and at most `max_rows`.
    ///
    /// `rows` is the number of rows where it is known; else it is guessed from
    /// the `bytes` of the source. `max_bytes` is held to what a job may have.
    pub fn for_source(
        rows: Option<u64>,
        bytes: u64,
        lanes: usize,
        max_rows: u64,
        max_bytes: u64,
    ) -> Self {
        let rows = rows.unwrap_or(bytes.div_ceil(GUESSED_ROW_BYTES));
        let share = rows.div_ceil((lanes as u64).max(1).saturating_mul(2)).max(1);
        let whole_batches = share.div_ceil(ROWS_PER_BATCH).saturating_mul(ROWS_PER_BATCH);
        ChunkSizing {
            rows: whole_batches.min(max_rows).max(1),
            max_bytes: max_bytes.min(MAX_JOB_BYTES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: u64, lanes: usize, max_rows: u64) -> u64 {
        ChunkSizing::for_source(Some(count), 0, lanes, max_rows, MAX_JOB_BYTES).rows
    }

    #[test]
    fn chunks_are_whole_batches_and_small_sources_make_few_jobs() {
        assert_eq!(rows(0, 4, 250_000), 10_000);
        assert_eq!(rows(20_000, 4, 250_000), 10_000);
        assert_eq!(rows(200_000, 4, 250_000), 30_000);
        assert_eq!(rows(10_000_000, 4, 250_000), 250_000);
        assert_eq!(rows(1_000_000, 1, 2_500), 2_500);
        assert_eq!(rows(5, 0, 0), 1);
    }

    #[test]
    fn an_uncounted_source_is_guessed_by_its_bytes() {
        let sizing = ChunkSizing::for_source(None, 16_000_000, 2, 250_000, u64::MAX);
        assert_eq!(sizing, ChunkSizing { rows: 30_000, max_bytes: MAX_JOB_BYTES });
    }
}
