//! The body of an upload: opened when it is needed, again when it must be
//! repeated, and streamed in bounded pieces.

use std::io::{self, Read, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use tokio::sync::mpsc;

use super::transport::Body;

/// Bytes read and handed to the transport at a time.
const PIECE: usize = 256 << 10;
/// Pieces read ahead of the network: enough to keep a socket busy while the
/// disk answers, a MiB a lane.
const READ_AHEAD: usize = 4;
/// Bodies below this are held whole: no thread, and a length in the header.
const SMALL: u64 = 1 << 20;
const CONTENT_TYPE: &str = "text/csv; charset=UTF-8";

/// Opens a body from its beginning; called once for each time it is sent.
pub type OpenBody = Arc<dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// Told how many more body bytes left for the org, before they were packed. A
/// body that is sent again counts again. Must return at once.
pub type BytesSent = Arc<dyn Fn(u64) + Send + Sync>;

/// A body that can be opened again.
#[derive(Clone)]
pub struct UploadBody {
    /// Its bytes, where known; they are checked. Without it the body travels
    /// in chunks, which the service takes as well.
    pub len: Option<u64>,
    /// Whether it travels in gzip. Then its length on the way is not known
    /// beforehand, and the checksum of gzip guards what arrives.
    pub gzip: bool,
    /// Opens it from the beginning. Called and read on a blocking thread.
    pub open: OpenBody,
}

impl std::fmt::Debug for UploadBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UploadBody")
            .field("len", &self.len)
            .field("gzip", &self.gzip)
            .finish_non_exhaustive()
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
    let gzip = body.gzip;
    if let Some(len) = body.len.filter(|len| *len < SMALL) {
        let bytes = tokio::task::spawn_blocking(move || read_whole(&open, len, gzip))
            .await
            .map_err(io::Error::other)??;
        sent(len);
        return Ok((Body::Whole { content_type: CONTENT_TYPE, bytes }, trouble));
    }
    let (to_network, from_disk) = mpsc::channel(READ_AHEAD);
    let (len, told) = (body.len, trouble.clone());
    tokio::task::spawn_blocking(move || {
        if let Err(error) = read_pieces(&open, len, gzip, &to_network) {
            // The stream must break, not end: an end would look like a whole
            // body to the org.
            let broken = io::Error::new(error.kind(), "the body could not be read");
            told.put(error);
            let _ = to_network.blocking_send(Err(broken));
        }
    });
    let pieces = stream::unfold((from_disk, Arc::clone(sent)), async |(mut pieces, sent)| {
        let piece: io::Result<Piece> = pieces.recv().await?;
        let bytes = piece.map(|piece| {
            sent(piece.stands_for);
            piece.bytes
        });
        Some((bytes, (pieces, sent)))
    });
    let len = len.filter(|_| !gzip);
    let body = Body::Streamed { content_type: CONTENT_TYPE, len, pieces: Box::pin(pieces) };
    Ok((body, trouble))
}

/// A piece on its way to the network.
struct Piece {
    bytes: Bytes,
    /// Bytes of the body it stands for: more than it has when it is packed.
    stands_for: u64,
}

fn read_whole(open: &OpenBody, len: u64, gzip: bool) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(len as usize);
    open()?.take(len + 1).read_to_end(&mut bytes)?;
    check(len, bytes.len() as u64)?;
    if gzip {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&bytes)?;
        bytes = encoder.finish()?;
    }
    Ok(Bytes::from(bytes))
}

fn read_pieces(
    open: &OpenBody,
    len: Option<u64>,
    gzip: bool,
    to_network: &mpsc::Sender<io::Result<Piece>>,
) -> io::Result<()> {
    let mut source = open()?;
    let mut packer = gzip.then(|| GzEncoder::new(Vec::with_capacity(PIECE), Compression::fast()));
    let (mut total, mut packed) = (0, 0);
    loop {
        let mut piece = vec![0; PIECE];
        let read = fill(&mut *source, &mut piece)?;
        piece.truncate(read);
        let read = read as u64;
        total += read;
        if let Some(len) = len.filter(|len| if read == 0 { total != *len } else { total > *len }) {
            // Beyond its announced length the transport would drop bytes in
            // silence.
            return check(len, total);
        }
        let mut stands_for = read;
        if let Some(encoder) = &mut packer {
            // Until there is a piece of some size, or the end.
            encoder.write_all(&piece)?;
            packed += read;
            if read == 0 {
                encoder.try_finish()?;
            } else if encoder.get_ref().len() < PIECE / 2 {
                continue;
            }
            piece = std::mem::replace(encoder.get_mut(), Vec::with_capacity(PIECE));
            stands_for = std::mem::take(&mut packed);
        }
        let piece = Piece { bytes: Bytes::from(piece), stands_for };
        // Where it fails the request is over; nobody wants the rest.
        if !piece.bytes.is_empty() && to_network.blocking_send(Ok(piece)).is_err() || read == 0 {
            return Ok(());
        }
    }
}

/// Reads until a buffer is full or nothing more comes. (`read_to_end` begins
/// with small reads and doubles them, for each piece anew.)
fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
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
