//! A result set, streamed into a file; begun anew when it was cut short.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::connection::{Call, Connection};
use super::error::{CallError, Happened, Kind};
use super::retry::Retry;
use super::transport::Fault;

/// Opens an empty place for a result set; called once for each try, so it
/// must begin from nothing (truncate). Called on a blocking thread.
pub type OpenTarget = Arc<dyn Fn() -> io::Result<Box<dyn Write + Send>> + Send + Sync>;

/// A result set that arrived whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Downloaded {
    /// Its bytes, decompressed. 0 when the org has nothing to tell: an empty
    /// set may come as a header line, an empty text or 204.
    pub bytes: u64,
}

/// A body that arrived whole, and some headers that came with it.
pub(super) struct Streamed<const N: usize> {
    pub(super) downloaded: Downloaded,
    pub(super) headers: [Option<String>; N],
}

/// Pieces received ahead of the disk. The transport's pieces are at most some
/// hundred KiB, so this stays within a few MiB a lane.
const AHEAD: usize = 8;

/// Why a body is not in its file.
enum Trouble {
    Disk(io::Error),
    /// It is not what was sent.
    Body(Fault),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Disk(error)
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Trouble::Body(fault)
    }
}

impl Connection {
    /// Streams the answer of a repeatable call into a file. What arrived of a
    /// broken try is thrown away by opening the file anew.
    pub(super) async fn download(
        &self,
        call: &Call<'_>,
        open: &OpenTarget,
    ) -> Result<Downloaded, CallError> {
        Ok(self.download_with(call, open, []).await?.downloaded)
    }

    /// As [`Self::download`], with headers of the reply, by their names in
    /// small letters.
    pub(super) async fn download_with<const N: usize>(
        &self,
        call: &Call<'_>,
        open: &OpenTarget,
        headers: [&str; N],
    ) -> Result<Streamed<N>, CallError> {
        let mut retry = Retry::start_long(&self.policy, &self.events);
        loop {
            match self.download_once(call, open, headers).await {
                Ok(done) => return Ok(done),
                Err(error) => retry.again(error, call.repeatable).await?,
            }
        }
    }

    async fn download_once<const N: usize>(
        &self,
        call: &Call<'_>,
        open: &OpenTarget,
        headers: [&str; N],
    ) -> Result<Streamed<N>, CallError> {
        let mut incoming = self.attempt(call).await?;
        let headers = headers.map(|name| incoming.header(name).map(str::to_owned));
        let (to_disk, mut pieces) = mpsc::channel::<Bytes>(AHEAD);
        let open = Arc::clone(open);
        let mut unpacker = incoming.unpacker();
        let writer = tokio::task::spawn_blocking(move || -> Result<u64, Trouble> {
            let mut file = open()?;
            let mut written = 0;
            let mut write = |text: &[u8]| {
                written += text.len() as u64;
                file.write_all(text)
            };
            while let Some(piece) = pieces.blocking_recv() {
                for part in unpacker.parts(&piece) {
                    write(unpacker.unpack(part)?)?;
                }
            }
            write(unpacker.finish()?)?;
            file.flush()?;
            Ok(written)
        });
        let local = |error: io::Error| call.error(Kind::Local, Happened::Refused).because(error);
        loop {
            match incoming.piece().await {
                Ok(Some(piece)) => {
                    if to_disk.send(piece).await.is_err() {
                        // The writer has given up and says why below.
                        break;
                    }
                }
                Ok(None) => break,
                Err(fault) => {
                    drop(to_disk);
                    // The file must be closed before it is opened anew.
                    let _ = writer.await;
                    return Err(call.fault(fault));
                }
            }
        }
        drop(to_disk);
        match writer.await {
            Ok(Ok(bytes)) => Ok(Streamed { downloaded: Downloaded { bytes }, headers }),
            Ok(Err(Trouble::Disk(error))) => Err(local(error)),
            Ok(Err(Trouble::Body(fault))) => Err(call.fault(fault)),
            Err(stopped) => Err(local(io::Error::other(stopped))),
        }
    }
}
