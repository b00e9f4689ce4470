//! How rows are called where people see them.

use std::io;

use super::RowMap;
use crate::domain::RowNumber;

/// Leads from the rows that the stages count to those that a person can look
/// up: rows of the original where a source was derived, and rows of one file
/// where a source has several.
pub trait RowNames: Send + Sync {
    /// The number in the original source.
    ///
    /// # Errors
    /// What the system says when a file has to be read for it.
    fn number_of(&self, row: RowNumber) -> io::Result<RowNumber>;

    /// The words for it, such as `row 17`, or `row 17 of june.csv`.
    ///
    /// # Errors
    /// As [`RowNames::number_of`].
    fn name_of(&self, row: RowNumber) -> io::Result<String>;
}

impl RowNames for RowMap {
    fn number_of(&self, row: RowNumber) -> io::Result<RowNumber> {
        self.row_of(row)
    }

    fn name_of(&self, row: RowNumber) -> io::Result<String> {
        Ok(format!("row {}", self.row_of(row)?))
    }
}
