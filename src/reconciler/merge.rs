//! Several outcome files of a chunk as one: the rejected rows and one file an
//! attempt, in row order. A row that was sent again has the outcome of its
//! last attempt.

use std::path::Path;

use crate::domain::RowOutcome;

use super::outcomes::{OutcomeError, OutcomeReader};

/// Outcomes of a chunk in row order, each row once.
#[derive(Debug)]
pub struct MergedOutcomes {
    /// Oldest first, each with its next outcome.
    files: Vec<(OutcomeReader, Option<RowOutcome>)>,
    /// Which of them the last outcome came from.
    last: usize,
}

impl MergedOutcomes {
    /// Opens the files of a chunk, the oldest attempt first; the rejected rows
    /// may stand anywhere, for no attempt carries them.
    ///
    /// # Errors
    /// [`OutcomeError`] when a file is missing or damaged.
    pub fn open<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, OutcomeError> {
        let readers = paths
            .into_iter()
            .map(|path| OutcomeReader::open(path.as_ref()))
            .collect::<Result<_, _>>()?;
        Self::over(readers)
    }

    /// As [`MergedOutcomes::open`], over files that are open already.
    ///
    /// # Errors
    /// [`OutcomeError`] when the first record of a file can't be read.
    pub fn over(readers: Vec<OutcomeReader>) -> Result<Self, OutcomeError> {
        let mut files = Vec::with_capacity(readers.len());
        for mut reader in readers {
            let first = reader.next().transpose()?;
            files.push((reader, first));
        }
        Ok(MergedOutcomes { files, last: 0 })
    }

    /// Which of the files, by its place in the list they were opened from, the
    /// outcome that came last stands in.
    pub fn last_file(&self) -> usize {
        self.last
    }

    fn take_next(&mut self) -> Result<Option<RowOutcome>, OutcomeError> {
        if let [(reader, next)] = self.files.as_mut_slice() {
            // Most chunks have one file.
            let following = reader.next().transpose()?;
            return Ok(std::mem::replace(next, following));
        }
        let Some(row) =
            self.files.iter().filter_map(|(_, next)| next.as_ref().map(|next| next.row)).min()
        else {
            return Ok(None);
        };
        let mut latest = None;
        for (at, (reader, next)) in self.files.iter_mut().enumerate() {
            if next.as_ref().is_some_and(|next| next.row == row) {
                latest = next.take();
                self.last = at;
                *next = reader.next().transpose()?;
            }
        }
        Ok(latest)
    }
}

impl Iterator for MergedOutcomes {
    type Item = Result<RowOutcome, OutcomeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.take_next();
        if next.is_err() {
            self.files.clear();
        }
        next.transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;
    use crate::domain::{Fate, RowNumber};
    use crate::reconciler::OutcomeWriter;

    fn file(folder: &TempDir, name: &str, rows: &[(u64, Fate, u8)]) -> PathBuf {
        let path = folder.path().join(name);
        let mut writer = OutcomeWriter::create(&path, 1).unwrap();
        for &(row, fate, attempts) in rows {
            let row = RowNumber(row);
            let outcome = RowOutcome { row, fate, tier: None, attempts, id: None, error: None };
            writer.push(&outcome).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    #[test]
    fn the_last_attempt_of_a_row_counts() {
        let folder = TempDir::new().unwrap();
        let rejected = file(&folder, "rejected", &[(2, Fate::Rejected, 0)]);
        let first = file(
            &folder,
            "first",
            &[(1, Fate::Created, 1), (3, Fate::Failed, 1), (4, Fate::Unprocessed, 1)],
        );
        let second = file(&folder, "second", &[(3, Fate::Created, 2), (4, Fate::Failed, 2)]);
        let third = file(&folder, "third", &[(4, Fate::Updated, 3)]);
        let merged: Vec<_> = MergedOutcomes::open([&rejected, &first, &second, &third])
            .unwrap()
            .map(|outcome| outcome.map(|outcome| (outcome.row.0, outcome.fate, outcome.attempts)))
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(
            merged,
            [
                (1, Fate::Created, 1),
                (2, Fate::Rejected, 0),
                (3, Fate::Created, 2),
                (4, Fate::Updated, 3)
            ]
        );
        assert!(MergedOutcomes::open([folder.path().join("none")]).is_err());
    }
}
