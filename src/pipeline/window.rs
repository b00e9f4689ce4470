//! `--skip` and `--limit`: a window over the rows of a source.

use crate::rows::{RawBatch, RowStream, SourceError};

/// Passes on the rows of a window; rows outside it are not read in the sense
/// of the tally.
pub(super) struct Window {
    rows: Box<dyn RowStream>,
    skip: u64,
    left: Option<u64>,
}

impl Window {
    /// Leaves out the first `skip` rows and ends after `limit` more.
    pub(super) fn new(rows: Box<dyn RowStream>, skip: u64, limit: Option<u64>) -> Self {
        Window { rows, skip, left: limit }
    }
}

impl RowStream for Window {
    fn next_batch(&mut self) -> Result<Option<RawBatch>, SourceError> {
        if self.left == Some(0) {
            return Ok(None);
        }
        while let Some(mut batch) = self.rows.next_batch()? {
            let skipped = self.skip.min(batch.records.len() as u64);
            if skipped > 0 {
                self.skip -= skipped;
                batch.skip(skipped as usize);
                if batch.records.is_empty() {
                    continue;
                }
            }
            if let Some(left) = &mut self.left {
                batch.records.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= batch.records.len() as u64;
            }
            return Ok(Some(batch));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::domain::RowNumber;
    use crate::rows::{PositionUnit, RawRecord};

    struct Two(u64);

    impl RowStream for Two {
        fn next_batch(&mut self) -> Result<Option<RawBatch>, SourceError> {
            let first = self.0;
            self.0 += 2;
            let record = |start| RawRecord {
                start,
                end: start + 1,
                next: start + 2,
                has_quotes: false,
                has_line_break: false,
                has_stray_quote: false,
                fault: None,
            };
            Ok((first < 10).then(|| RawBatch {
                bytes: Bytes::from_static(b"a\nb\n"),
                offset: first * 4,
                unit: PositionUnit::Bytes,
                read_bytes: first * 4 + 4,
                first_row: RowNumber(first),
                records: vec![record(0), record(2)],
            }))
        }
    }

    fn rows(skip: u64, limit: Option<u64>) -> Vec<u64> {
        let mut window = Window::new(Box::new(Two(1)), skip, limit);
        let mut rows = Vec::new();
        while let Some(batch) = window.next_batch().unwrap() {
            rows.extend((0..batch.records.len() as u64).map(|at| batch.first_row.0 + at));
        }
        rows
    }

    #[test]
    fn rows_keep_their_numbers() {
        assert_eq!(rows(0, None), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(rows(3, Some(4)), [4, 5, 6, 7]);
        assert_eq!(rows(0, Some(0)), [0u64; 0]);
        assert_eq!(rows(50, Some(4)), [0u64; 0]);
    }
}
