//! The pages of a part: where they are, and each fetched whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ExportRunError;
use super::run::Work;
use crate::domain::{Event, SharedSink};
use crate::exporter::page::{Page, count_lines};
use crate::ledger::SharedLedger;
use crate::pipeline::folder::private_target;
use crate::salesforce::{CallError, Org, ResultPage};

/// Times a page is fetched that isn't what the org says it is.
const TIMES: u32 = 4;

/// Where the pages of a job are found, from one on.
pub(super) struct Pages {
    org: Org,
    job: String,
    ledger: SharedLedger,
    object: u32,
    part: u32,
    /// Locators known and not handed out yet.
    known: std::collections::VecDeque<Option<String>>,
    /// Number of the next page to hand out.
    next: u32,
    /// How further ones are learned of.
    further: Further,
    /// Pages of which the ledger knows.
    recorded: u32,
}

enum Further {
    /// By links, five at a time; the continuation, if it isn't the first.
    Links(Option<String>),
    /// By the header of the last page.
    Headers,
    /// There are none.
    None,
}

/// A page to be fetched.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) number: u32,
    pub(super) locator: Option<String>,
}

impl Pages {
    /// Finds the pages of a complete job, those before `from` left out.
    ///
    /// Links are taken only as long as they are those the ledger knows.
    /// Where the user says how large pages are, each is told by the one before:
    /// links are to pages of the org's own size.
    pub(super) async fn find(
        work: &Work,
        job: &str,
        (object, part): (u32, u32),
        from: u32,
    ) -> Result<Self, ExportRunError> {
        let (org, ledger) = (work.org.clone(), work.ledger.clone());
        let recorded: Vec<Option<String>> =
            ledger.run(move |ledger| ledger.export_pages(object, part)).await?;
        let mut pages = Pages {
            org,
            job: job.to_owned(),
            ledger,
            object,
            part,
            known: recorded.iter().skip(from as usize).cloned().collect(),
            next: from,
            further: Further::Headers,
            recorded: recorded.len() as u32,
        };
        if recorded.is_empty() {
            if work.request.page_records.is_some() {
                pages.learn(vec![None]).await?;
            } else {
                pages.first_links().await?;
            }
        }
        Ok(pages)
    }

    async fn first_links(&mut self) -> Result<(), ExportRunError> {
        match self.org.result_links(&self.job, None).await {
            Ok(links) if !links.locators.is_empty() => {
                self.learn(links.locators).await?;
                self.further = links.next.map_or(Further::None, |next| Further::Links(Some(next)));
            }
            // An org of before API 58.0, or one with nothing to link to.
            Ok(_) => self.learn(vec![None]).await?,
            Err(error) if error.is_not_found() && !error.says_no_such_job() => {
                self.learn(vec![None]).await?;
            }
            Err(error) => {
                // NOT_FOUND is said of a missing resource as of a missing job.
                if error.is_not_found() && self.org.query_job(&self.job).await.is_ok() {
                    self.learn(vec![None]).await?;
                } else {
                    return Err(ExportRunError::Call(error));
                }
            }
        }
        Ok(())
    }

    /// Takes up further locators; the ledger first.
    async fn learn(&mut self, locators: Vec<Option<String>>) -> Result<(), ExportRunError> {
        for locator in locators {
            let (object, part, page) = (self.object, self.part, self.recorded);
            let kept = locator.clone();
            self.ledger
                .run(move |ledger| ledger.export_page(object, part, page, kept.as_deref()))
                .await?;
            self.recorded += 1;
            self.known.push_back(locator);
        }
        Ok(())
    }

    /// The next page that can be fetched now. `None`: there is none, or only
    /// the page that is under way will tell.
    pub(super) async fn next(&mut self) -> Result<Option<Place>, ExportRunError> {
        if self.known.is_empty()
            && let Further::Links(continuation) = &self.further
        {
            let links = self.org.result_links(&self.job, continuation.as_deref()).await?;
            self.further = links.next.map_or(Further::None, |next| Further::Links(Some(next)));
            self.learn(links.locators).await?;
        }
        let Some(locator) = self.known.pop_front() else { return Ok(None) };
        let number = self.next;
        self.next += 1;
        Ok(Some(Place { number, locator }))
    }

    /// Hears of the page behind one that was fetched.
    pub(super) async fn hear(
        &mut self,
        number: u32,
        page: &ResultPage,
    ) -> Result<(), ExportRunError> {
        if !matches!(self.further, Further::Headers) || number + 1 != self.recorded {
            return Ok(());
        }
        match &page.next {
            Some(next) => self.learn(vec![Some(next.clone())]).await?,
            None => self.further = Further::None,
        }
        Ok(())
    }
}

/// Fetches a page into a file, until it is whole by the org's own count.
pub(super) async fn fetch(
    org: &Org,
    job: &str,
    place: &Place,
    most: Option<u64>,
    path: &Path,
    events: &SharedSink,
) -> Result<ResultPage, ExportRunError> {
    let mut times = 0;
    loop {
        times += 1;
        let target = path.to_owned();
        let open: crate::salesforce::OpenTarget = Arc::new(move || {
            private_target(&target).map(|file| Box::new(file) as Box<dyn std::io::Write + Send>)
        });
        let page = org.result_page(job, place.locator.as_deref(), most, &open).await?;
        let wrong = match (counted(path).await, page.records) {
            (Ok(found), Some(told)) if found != told => {
                format!("it has {found} records where the org says {told}")
            }
            (Ok(_), _) => return Ok(page),
            (Err(ExportRunError::Export(error)), _) if !is_local(&error) => {
                crate::domain::error_chain(&error)
            }
            (Err(error), _) => return Err(error),
        };
        if times == TIMES {
            return Err(ExportRunError::Page {
                job: job.to_owned(),
                page: place.number + 1,
                wrong,
            });
        }
        events.announce(Event::Note {
            text: format!("page {} of job {job} is fetched again: {wrong}", place.number + 1),
        });
    }
}

fn is_local(error: &crate::exporter::ExportError) -> bool {
    matches!(error, crate::exporter::ExportError::Io { .. })
}

/// Counts the records of a page off the async threads.
async fn counted(path: &Path) -> Result<u64, ExportRunError> {
    let path: PathBuf = path.to_owned();
    let count = move || {
        let failed = |source| crate::exporter::ExportError::Io {
            path: path.clone(),
            action: "read",
            source,
        };
        let open = || std::fs::File::open(&path).map_err(failed);
        match count_lines(open()?).map_err(failed)? {
            Some(records) => Ok(records),
            None => Page::count_in(open()?, &path),
        }
    };
    match tokio::task::spawn_blocking(count).await {
        Ok(counted) => Ok(counted?),
        Err(stopped) => Err(ExportRunError::Stage(stopped.to_string())),
    }
}

impl From<CallError> for ExportRunError {
    fn from(error: CallError) -> Self {
        ExportRunError::Call(error)
    }
}
