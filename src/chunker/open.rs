//! The chunk in the making, and its body on the way to the disk.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3Default;

use super::body::{Body, open_rows};
use super::cutter::ChunkError;
use super::keys::{Keys, Leaver, UniqueTexts};
use super::spool::{self, Spool};
use crate::domain::{LineEnding, RowNumber, RowRanges};
use crate::rows::{Changes, Rejection, SourceRows, Stretch};

/// Bytes copied at a time from a span into a spool.
const COPY_BYTES: usize = 256 << 10;

/// Where bodies go.
pub(super) struct Output {
    pub(super) source: Arc<dyn SourceRows>,
    pub(super) spool_dir: PathBuf,
}

/// The text of the chunk in the making.
pub(super) enum OpenBody {
    /// No row yet.
    Empty,
    /// So far the bytes of the source as they stand.
    Span {
        start: u64,
        end: u64,
    },
    Spool(Spool),
    /// A dry run of what would be a spool.
    Dry,
}

/// A row that is not sent.
pub(super) struct Rejected {
    pub(super) row: RowNumber,
    /// Where it begins in its file, where there is such a place.
    pub(super) offset: Option<u64>,
    pub(super) rejection: Rejection,
}

/// The chunk in the making.
pub(super) struct OpenChunk {
    pub(super) number: u64,
    pub(super) stretch: Stretch,
    pub(super) last_row: RowNumber,
    pub(super) read_rows: u64,
    pub(super) rows: RowRanges,
    pub(super) rejected: Vec<Rejected>,
    pub(super) body: OpenBody,
    /// Without an added line end.
    pub(super) bytes: u64,
    pub(super) digest: Xxh3Default,
    pub(super) add_line_end: Option<LineEnding>,
    pub(super) keys: Option<Keys>,
    pub(super) texts: UniqueTexts,
    pub(super) changes: Changes,
}

impl OpenChunk {
    /// A chunk that begins at a row, without that row.
    pub(super) fn new(
        number: u64,
        place: Stretch,
        keys: Option<Keys>,
        text_columns: usize,
    ) -> Self {
        OpenChunk {
            number,
            stretch: place,
            last_row: place.first_row,
            read_rows: 0,
            rows: RowRanges::new(),
            rejected: Vec::new(),
            body: OpenBody::Empty,
            bytes: 0,
            digest: Xxh3Default::new(),
            add_line_end: None,
            keys,
            texts: UniqueTexts::new(text_columns),
            changes: Changes::default(),
        }
    }

    /// Counts a row as read.
    pub(super) fn take(&mut self, place: Stretch) {
        self.stretch.end = place.end;
        self.last_row = place.first_row;
        self.read_rows += 1;
    }

    /// Whether a row that goes as it stands leaves the body a span of the
    /// source, which it then is. Only a text that lies on disk as it is sent is
    /// `spannable`.
    pub(super) fn continues_span(&mut self, place: Stretch, spannable: bool, is_dry: bool) -> bool {
        match &mut self.body {
            _ if !spannable && !is_dry => false,
            _ if !spannable => {
                self.body = OpenBody::Dry;
                true
            }
            OpenBody::Empty if place.start == self.stretch.start => {
                self.body = OpenBody::Span { start: place.start, end: place.end };
                true
            }
            OpenBody::Span { end, .. } if *end == place.start => {
                *end = place.end;
                true
            }
            _ if is_dry => {
                self.body = OpenBody::Dry;
                true
            }
            _ => false,
        }
    }

    /// Takes rows out of the count; the body is the caller's.
    pub(super) fn leave(&mut self, leavers: &[Leaver]) {
        if leavers.is_empty() {
            return;
        }
        let mut next = leavers.iter().peekable();
        self.rows = self
            .rows
            .iter()
            .enumerate()
            .filter(|&(position, _)| {
                next.next_if(|leaver| leaver.position as usize == position).is_none()
            })
            .map(|(_, row)| row)
            .collect();
        let gone: u64 = self.lengths_of(leavers).sum();
        // Lengths count the line end that a span still lacks.
        let added = self.add_line_end.take().map_or(0, |line_end| line_end.bytes().len() as u64);
        self.bytes = (self.bytes + added).saturating_sub(gone);
    }

    fn lengths_of<'a>(&'a self, leavers: &'a [Leaver]) -> impl Iterator<Item = u64> + 'a {
        let lengths = self.keys.as_ref().map(Keys::lengths).unwrap_or_default();
        leavers.iter().filter_map(|leaver| lengths.get(leaver.position as usize)).map(|&l| l.into())
    }
}

impl Output {
    pub(super) fn spool_error(&self, chunk: u64, source: io::Error) -> ChunkError {
        ChunkError::Spool { path: self.spool_dir.join(spool::name(chunk)), source }
    }

    /// Makes a body a spool, if it isn't one, with the text so far in it.
    pub(super) fn make_spool(&self, open: &mut OpenChunk) -> Result<(), ChunkError> {
        let (start, end) = match open.body {
            OpenBody::Spool(_) | OpenBody::Dry => return Ok(()),
            OpenBody::Empty => (0, 0),
            OpenBody::Span { start, end } => (start, end),
        };
        let number = open.number;
        let failed = |source| self.spool_error(number, source);
        let mut spool = Spool::create(&self.spool_dir, spool::name(number)).map_err(failed)?;
        if end > start {
            let mut text = self.source.bytes(start, end)?;
            copy(&mut *text, &mut |part| spool.write(part)).map_err(failed)?;
        }
        if let Some(line_end) = open.add_line_end.take() {
            spool.write(line_end.bytes()).map_err(failed)?;
            open.digest.update(line_end.bytes());
            open.bytes += line_end.bytes().len() as u64;
        }
        open.body = OpenBody::Spool(spool);
        Ok(())
    }

    /// Ends a body: takes out the rows that have to leave, has it on disk, and
    /// gives its digest.
    pub(super) fn close(
        &self,
        open: &mut OpenChunk,
        leavers: &[Leaver],
    ) -> Result<(Body, String), ChunkError> {
        let number = open.number;
        let failed = |source| self.spool_error(number, source);
        let mut body = match std::mem::replace(&mut open.body, OpenBody::Empty) {
            OpenBody::Empty | OpenBody::Dry => Body::None,
            OpenBody::Span { start, end } => Body::Span { start, end },
            OpenBody::Spool(spool) if leavers.len() as u64 == open.rows.len() => {
                spool.discard().map_err(failed)?;
                Body::None
            }
            OpenBody::Spool(spool) => Body::Spool { file: spool.finish().map_err(failed)? },
        };
        if leavers.len() as u64 == open.rows.len() {
            body = Body::None;
        }
        if !leavers.is_empty() {
            open.digest = Xxh3Default::new();
            if body != Body::None {
                body = self.without(open, &body, leavers)?;
            }
            open.leave(leavers);
        }
        let digest = match body {
            Body::None => Xxh3Default::new().digest128(),
            _ => open.digest.digest128(),
        };
        Ok((body, format!("{digest:032x}")))
    }

    /// Writes a body anew without the rows that leave.
    fn without(
        &self,
        open: &mut OpenChunk,
        body: &Body,
        leavers: &[Leaver],
    ) -> Result<Body, ChunkError> {
        let number = open.number;
        let failed = |source| self.spool_error(number, source);
        let name = spool::name(number);

        let mut spool = Spool::create(&self.spool_dir, format!("{name}.part")).map_err(failed)?;
        let mut text =
            open_rows(body, open.add_line_end, &*self.source, &self.spool_dir).map_err(failed)?;
        let OpenChunk { keys, digest, .. } = open;
        let lengths = keys.as_ref().map(Keys::lengths).unwrap_or_default();
        let mut next = leavers.iter().peekable();
        let mut position = 0;
        while position < lengths.len() {
            // Rows up to the next one that leaves are copied together.
            let leaver = next.next();
            let stop = leaver.map_or(lengths.len(), |leaver| leaver.position as usize);
            let stays: u64 =
                lengths.get(position..stop).unwrap_or_default().iter().map(|&l| u64::from(l)).sum();
            copy(&mut (&mut *text).take(stays), &mut |bytes| {
                digest.update(bytes);
                spool.write(bytes)
            })
            .map_err(failed)?;
            let goes = lengths.get(stop).copied().unwrap_or_default();
            copy(&mut (&mut *text).take(u64::from(goes)), &mut |_| Ok(())).map_err(failed)?;
            position = stop + 1;
        }
        drop(text);
        // Takes the place of the one with all rows, if there was one.
        let file = spool.finish_as(name).map_err(failed)?;
        Ok(Body::Spool { file })
    }
}

/// Hands on all that can be read, part by part.
pub(super) fn copy(
    read: &mut dyn Read,
    write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match read.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(got) => write(buffer.get(..got).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
