//! The cells of one row, as recipes and filters read them.

use std::borrow::Cow;

use crate::rows::{CLEAR, Cell};

/// The cells of one row, by their place in the source.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'c, 't> {
    cells: &'c [Cell<'t>],
    text: &'t str,
}

impl<'c, 't> Cells<'c, 't> {
    /// Cells that lie in `text`, which was checked to be UTF-8 as a whole; those
    /// that lie elsewhere are checked one by one.
    pub const fn new(cells: &'c [Cell<'t>], text: &'t str) -> Self {
        Cells { cells, text }
    }

    /// What a cell's bytes are in the text that was checked.
    fn in_text(&self, raw: &[u8]) -> Option<&'t str> {
        let at = raw.as_ptr().addr().checked_sub(self.text.as_ptr().addr())?;
        self.text.get(at..at.checked_add(raw.len())?)
    }

    /// Whether a cell asks to clear its field.
    pub(super) fn is_clear(&self, column: usize) -> bool {
        self.cells.get(column).is_some_and(|cell| cell.raw == CLEAR)
    }

    /// The text of a cell, empty for one that clears its field. `room` holds it
    /// where quotes have to be undoubled.
    pub(super) fn text<'r>(&self, column: usize, room: &'r mut Vec<u8>) -> &'r str
    where
        't: 'r,
    {
        let Some(cell) = self.cells.get(column) else { return "" };
        if !cell.has_doubled {
            if cell.raw == CLEAR {
                return "";
            }
            if let Some(text) = self.in_text(cell.raw) {
                return text;
            }
        }
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
        self.cells.get(column).map_or(Cow::Borrowed(b"".as_slice()), Cell::value)
    }
}
