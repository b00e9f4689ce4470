//! The cells of one row, as recipes and filters read them.

use std::borrow::Cow;

use crate::rows::{CLEAR, Cell};

/// The cells of one row, by their place in the source.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'c, 't>(pub &'c [Cell<'t>]);

impl<'t> Cells<'_, 't> {
    /// Whether a cell asks to clear its field.
    pub(super) fn is_clear(&self, column: usize) -> bool {
        self.0.get(column).is_some_and(|cell| cell.raw == CLEAR)
    }

    /// The text of a cell, empty for one that clears its field. `room` holds it
    /// where quotes have to be undoubled.
    pub(super) fn text<'r>(&self, column: usize, room: &'r mut Vec<u8>) -> &'r str
    where
        't: 'r,
    {
        let Some(cell) = self.0.get(column) else { return "" };
        let value = cell.value_in(room);
        if value == CLEAR {
            return "";
        }
        // Rows that are no UTF-8 never come here.
        std::str::from_utf8(value).unwrap_or_default()
    }

    /// The same as it is appended to something.
    pub(super) fn append(&self, column: usize, room: &mut Vec<u8>, out: &mut String) -> bool {
        let text = self.text(column, room);
        out.push_str(text);
        !text.is_empty()
    }

    /// The value of a cell as it stands.
    pub fn value(&self, column: usize) -> Cow<'t, [u8]> {
        self.0.get(column).map_or(Cow::Borrowed(b"".as_slice()), Cell::value)
    }
}
