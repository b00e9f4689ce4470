//! The pages of a complete job to files: fetched several at a time, written in
//! order, both at once.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};

use super::account::{About, facts_of, rows_of};
use super::pages::{self, Pages, Place};
use super::run::{Work, blocking};
use super::write::PartWriter;
use super::{ExportRunError, write::unfit_name};
use crate::ledger::{ExportFile, ExportObject, ExportPart, Ledger};
use crate::salesforce::ResultPage;

/// Pages that lie fetched before the writer, beside the ones it was given and
/// works on: it takes them faster than a line brings them, or it is what takes
/// longest, and then more of them would only take up the disk.
const WAITING: usize = 1;

/// A page in a file of its own, whole.
#[derive(Debug)]
pub(super) struct Fetched {
    /// Its number among the pages of the part, from 0.
    pub(super) number: u32,
    pub(super) path: PathBuf,
    /// Its first records that are in whole files already.
    pub(super) skip: u64,
    pub(super) bytes: u64,
}

/// The writer at work, and what it is handed pages by.
struct AtWork {
    pages: mpsc::Sender<Fetched>,
    writer: JoinHandle<Result<PartWriter, ExportRunError>>,
}

impl AtWork {
    /// The writer when it has written all it was given, or why it can't.
    async fn end(self) -> Result<PartWriter, ExportRunError> {
        drop(self.pages);
        match self.writer.await {
            Ok(ended) => ended,
            Err(stopped) => Err(ExportRunError::Stage(stopped.to_string())),
        }
    }
}

impl Work {
    /// Fetches the pages of a complete job and writes them.
    pub(super) async fn write(
        &self,
        object: &ExportObject,
        about: &About,
        part: &ExportPart,
    ) -> Result<(), ExportRunError> {
        let key = (part.object, part.part);
        let job = part.job_id.clone().unwrap_or_default();
        let files = self.ledger.run(Ledger::export_files).await?;
        let mine: Vec<ExportFile> =
            files.into_iter().filter(|file| (file.object, file.part) == key).collect();
        self.remove_strays(object, part, &mine).await?;
        let reached = mine.last().map_or((0, 0), |last| (last.page, last.record));
        let rows: u64 = mine.iter().map(rows_of).sum();
        let mut places = Pages::find(self, &job, key, reached.0).await?;

        // Of the pages that were begun, no more than twice the lanes wait for
        // those before them.
        let lanes = Arc::new(Semaphore::new(self.request.lanes));
        let mut fetching: JoinSet<Result<(Place, PathBuf, ResultPage), ExportRunError>> =
            JoinSet::new();
        let mut ready: BTreeMap<u32, Fetched> = BTreeMap::new();
        let mut next = reached.0;
        let mut at_work: Option<AtWork> = None;
        let ended = 'pages: loop {
            while fetching.len() + ready.len() < self.request.lanes * 2 {
                match places.next().await {
                    Ok(Some(place)) => drop(fetching.spawn(self.fetch(&job, place, &lanes))),
                    Ok(None) => break,
                    // Not out of here: the writer must have ended before
                    // anybody touches what it writes.
                    Err(error) => break 'pages Err(error),
                }
            }
            if let Some(fetched) = ready.remove(&next) {
                next += 1;
                let to = match at_work.take() {
                    Some(at_work) => at_work,
                    None => {
                        let first = (mine.len() as u32, rows, reached);
                        let writer = self.writer(object, about, part, &fetched.path, first).await?;
                        let (pages, given) = mpsc::channel(WAITING);
                        let writer = tokio::task::spawn_blocking(move || writer.pages(given));
                        AtWork { pages, writer }
                    }
                };
                let sent = to.pages.send(fetched).await;
                at_work = Some(to);
                if sent.is_err() {
                    // The writer ended, and says why.
                    break Ok(());
                }
                continue;
            }
            let joined = tokio::select! {
                joined = fetching.join_next() => joined,
                () = self.stop.asked() => break Err(ExportRunError::Stopped),
            };
            match joined {
                None => break Ok(()),
                Some(Ok(Ok((place, path, page)))) => {
                    if let Err(error) = places.hear(place.number, &page).await {
                        break Err(error);
                    }
                    let skip = if place.number == reached.0 { reached.1 } else { 0 };
                    let (number, bytes) = (place.number, page.bytes);
                    ready.insert(number, Fetched { number, path, skip, bytes });
                }
                Some(Ok(Err(error))) => break Err(error),
                Some(Err(stopped)) => break Err(ExportRunError::Stage(stopped.to_string())),
            }
        };
        // Pages that are under way can be fetched again.
        fetching.abort_all();
        let mut found = rows;
        if let Some(at_work) = at_work {
            let mut writer = at_work.end().await?;
            let complete = ended.is_ok();
            // What was written before an error or a signal is kept.
            let writer = blocking(move || {
                writer.finish(complete)?;
                Ok(writer)
            })
            .await?;
            found = writer.rows();
        }
        ended?;
        match part.records {
            Some(told) if told != found => {
                Err(ExportRunError::Count { job, object: object.object.clone(), told, found })
            }
            _ => Ok(()),
        }
    }

    /// Fetches one page into a file of its own.
    fn fetch(
        &self,
        job: &str,
        place: Place,
        lanes: &Arc<Semaphore>,
    ) -> impl Future<Output = Result<(Place, PathBuf, ResultPage), ExportRunError>> + Send + use<>
    {
        let path = self.page_folder().join(format!("{job}-{:06}.csv", place.number));
        let (org, events, lanes) = (self.org.clone(), self.events.clone(), Arc::clone(lanes));
        let (job, most) = (job.to_owned(), self.request.page_records);
        async move {
            // Closed by nobody.
            let _lane = lanes.acquire_owned().await;
            let page = pages::fetch(&org, &job, &place, most, &path, &events).await?;
            Ok((place, path, page))
        }
    }

    /// Removes files of a part of which the ledger knows nothing: a process
    /// died while it ended them. What they hold is fetched again.
    async fn remove_strays(
        &self,
        object: &ExportObject,
        part: &ExportPart,
        known: &[ExportFile],
    ) -> Result<(), ExportRunError> {
        let known: Vec<String> = known
            .iter()
            .map(|file| Ok(facts_of(file)?.path))
            .collect::<Result<_, ExportRunError>>()?;
        let (archive, folder) = (self.request.out.clone(), object.folder.clone());
        let stem = format!("{}-", self.stem(object, part));
        let number = (part.object, part.part);
        let run = self.folder.path().to_owned();
        blocking(move || {
            remove_files_but(&archive, &folder, &stem, &known)
                .map_err(|(path, source)| ExportRunError::Io { path, source })?;
            // A list that nobody will write to its end.
            let _ = std::fs::remove_file(run.join(unfit_name(
                number.0,
                number.1,
                known.len() as u32 + 1,
            )));
            Ok(())
        })
        .await
    }
}

/// Removes the files in a folder of the archive and those below it whose names
/// begin so, but not these.
pub(super) fn remove_files_but(
    archive: &Path,
    folder: &str,
    stem: &str,
    known: &[String],
) -> Result<(), (PathBuf, io::Error)> {
    let path = archive.join(folder);
    let failed = |source| (path.clone(), source);
    let entries = match std::fs::read_dir(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let below = format!("{folder}/{name}");
        if entry.file_type().map_err(failed)?.is_dir() {
            remove_files_but(archive, &below, stem, known)?;
        } else if name.starts_with(stem) && !known.contains(&below) {
            std::fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}
