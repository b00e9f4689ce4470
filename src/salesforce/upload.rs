//! The body of an upload: opened when it is needed, again when it must be
//! repeated, and streamed in bounded pieces.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

use super::transport::Body;

/// Bytes read and handed to the transport at a time.
const PIECE: usize = 128 << 10;
/// Pieces read ahead of the network: enough to keep a socket busy while the
/// disk answers, half a MiB a lane.
const READ_AHEAD: usize = 4;
/// Bodies below this are held whole: no thread, and a length in the header.
const SMALL: u64 = 1 << 20;
const CONTENT_TYPE: &str = "text/csv; charset=UTF-8";

/// Opens a body from its beginning; called once for each time it is sent.
pub type OpenBody = Arc<dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// Told how many more body bytes left for the org. A body that is sent again
/// counts again. Must return at once.
pub type BytesSent = Arc<dyn Fn(u64) + Send + Sync>;

/// A body that can be opened again.
#[derive(Clone)]
pub struct UploadBody {
    /// Its bytes, where known; they are checked. Without it the body travels
    /// in chunks, which the service takes as well.
    pub len: Option<u64>,
    /// Opens it from the beginning. Called and read on a blocking thread.
    pub open: OpenBody,
}

impl std::fmt::Debug for UploadBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UploadBody").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Why a body could not be read, kept beside the stream: the transport would
/// only say that the stream broke.
#[derive(Debug, Clone, Default)]
pub(super) struct LocalTrouble(Arc<Mutex<Option<io::Error>>>);

impl LocalTrouble {
    pub(super) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, error: io::Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// Opens a body for one request.
///
/// # Errors
/// When a small body can't be opened or read whole; larger ones report that
/// through [`LocalTrouble`] while they are sent.
pub(super) async fn open(body: &UploadBody, sent: &BytesSent) -> io::Result<(Body, LocalTrouble)> {
    let trouble = LocalTrouble::default();
    let open = Arc::clone(&body.open);
    if let Some(len) = body.len.filter(|len| *len < SMALL) {
        let bytes = tokio::task::spawn_blocking(move || read_whole(&open, len))
            .await
            .map_err(io::Error::other)??;
        sent(len);
        return Ok((Body::Whole { content_type: CONTENT_TYPE, bytes }, trouble));
    }
    let (to_network, from_disk) = mpsc::channel(READ_AHEAD);
    let (len, told) = (body.len, trouble.clone());
    tokio::task::spawn_blocking(move || {
        if let Err(error) = read_pieces(&open, len, &to_network) {
            // The stream must break, not end: an end would look like a whole
            // body to the org.
            let broken = io::Error::new(error.kind(), "the body could not be read");
            told.put(error);
            let _ = to_network.blocking_send(Err(broken));
        }
    });
    let pieces = stream::unfold((from_disk, Arc::clone(sent)), async |(mut pieces, sent)| {
        let piece: io::Result<Bytes> = pieces.recv().await?;
        if let Ok(bytes) = &piece {
            sent(bytes.len() as u64);
        }
        Some((piece, (pieces, sent)))
    });
    let body = Body::Streamed { content_type: CONTENT_TYPE, len, pieces: Box::pin(pieces) };
    Ok((body, trouble))
}

fn read_whole(open: &OpenBody, len: u64) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(len as usize);
    open()?.take(len + 1).read_to_end(&mut bytes)?;
    check(len, bytes.len() as u64)?;
    Ok(Bytes::from(bytes))
}

fn read_pieces(
    open: &OpenBody,
    len: Option<u64>,
    to_network: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    let mut source = open()?;
    let mut total = 0;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        source.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            return len.map_or(Ok(()), |len| check(len, total));
        }
        total += piece.len() as u64;
        if let Some(len) = len.filter(|len| total > *len) {
            // Beyond its announced length the transport would drop bytes in
            // silence.
            return check(len, total);
        }
        if to_network.blocking_send(Ok(Bytes::from(piece))).is_err() {
            // The request is over; nobody wants the rest.
            return Ok(());
        }
    }
}

fn check(len: u64, read: u64) -> io::Result<()> {
    if len == read {
        return Ok(());
    }
    let (kind, how) = if read < len {
        (io::ErrorKind::UnexpectedEof, "fewer")
    } else {
        (io::ErrorKind::InvalidData, "more")
    };
    Err(io::Error::new(kind, format!("the body holds {how} bytes than the {len} it had")))
}
