//! Rows of a file whose text is made while it is read: one after another, from
//! its first row on.

use bytes::Bytes;

use crate::rows::{RawRecord, SourceError};

/// Some records and their text.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// Whole records with their line ends.
    pub(super) bytes: Bytes,
    /// The records, in order.
    pub(super) records: Vec<RawRecord>,
}

/// Yields the rows of a file in order.
pub(super) trait Blocks: Send {
    /// The next records, at least one; `None` at the end.
    fn next_block(&mut self) -> Result<Option<Block>, SourceError>;

    /// Bytes of the file that were read so far.
    fn read_bytes(&self) -> u64;
}

/// A place in such a file.
pub(super) struct Cursor {
    blocks: Box<dyn Blocks>,
    /// Records that were read and not handed out.
    pending: Option<Block>,
    /// Rows handed out before, from the begin of the file.
    at: u64,
}

impl Cursor {
    /// At row `at` (from 0), which the blocks begin with.
    pub(super) fn new(blocks: Box<dyn Blocks>, at: u64) -> Self {
        Cursor { blocks, pending: None, at }
    }

    /// Rows of the file before this place.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// Bytes of the file that were read so far.
    pub(super) fn read_bytes(&self) -> u64 {
        self.blocks.read_bytes()
    }

    /// The next records, `most` (at least 1) at the most.
    pub(super) fn take(&mut self, most: u64) -> Result<Option<Block>, SourceError> {
        let block = match self.pending.take() {
            Some(block) => block,
            None => match self.blocks.next_block()? {
                Some(block) => block,
                None => return Ok(None),
            },
        };
        let mut block = block;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if block.records.len() > most {
            let rest = block.records.split_off(most);
            self.pending = Some(Block { bytes: block.bytes.clone(), records: rest });
        }
        self.at += block.records.len() as u64;
        Ok(Some(block))
    }

    /// Goes on to a row; false when the file has no so many.
    pub(super) fn go_to(&mut self, row: u64) -> Result<bool, SourceError> {
        while self.at < row {
            if self.take(row - self.at)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
