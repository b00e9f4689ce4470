//! The least and the greatest id and time of change in a file.

use serde::{Deserialize, Serialize};

use super::column::Column;
use crate::rows::Cell;

/// What range the records of a file lie in, by the bytes of the texts as the
/// org sent them: ids of one object, and instants in one form, are in order
/// then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// Least and greatest `Id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<(String, String)>,
    /// Least and greatest `SystemModstamp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<(String, String)>,
}

/// Where the marked columns stand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marked {
    id: Option<usize>,
    changed: Option<usize>,
}

impl Marked {
    pub(super) fn of(columns: &[Column]) -> Self {
        let at =
            |name: &str| columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
        Marked { id: at("Id"), changed: at("SystemModstamp") }
    }
}

impl Marks {
    /// Looks at a cell, if it is of a marked column.
    #[inline]
    pub(super) fn see(&mut self, marked: Marked, column: usize, cell: &Cell<'_>) {
        if marked.id == Some(column) {
            widen(&mut self.ids, cell.raw);
        } else if marked.changed == Some(column) {
            widen(&mut self.changed, cell.raw);
        }
    }

    /// Takes in the range of other records.
    pub(super) fn join(&mut self, other: &Marks) {
        for (range, more) in [(&mut self.ids, &other.ids), (&mut self.changed, &other.changed)] {
            if let Some((least, greatest)) = more {
                widen(range, least.as_bytes());
                widen(range, greatest.as_bytes());
            }
        }
    }
}

#[inline]
fn widen(range: &mut Option<(String, String)>, text: &[u8]) {
    if text.is_empty() {
        return;
    }
    let owned = || String::from_utf8_lossy(text).into_owned();
    match range {
        Some((least, greatest)) => {
            if text < least.as_bytes() {
                *least = owned();
            } else if text > greatest.as_bytes() {
                *greatest = owned();
            }
        }
        None => *range = Some((owned(), owned())),
    }
}
