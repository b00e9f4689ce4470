//! A part of an object: from its query to its files.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;

use super::account::{About, facts_of, rows_of};
use super::pages::{self, Pages, Place};
use super::run::{Work, blocking};
use super::write::{PartPlan, PartWriter};
use super::{ExportRunError, soql};
use crate::domain::{Event, JobState, ObjectDescription};
use crate::exporter::column::Column;
use crate::exporter::page::Page;
use crate::ledger::{ExportFile, ExportObject, ExportPart, Ledger, PartState};
use crate::salesforce::{CallError, QueryJob, QueryScope, ResultPage, jitter};

/// First pause between two questions about a job.
const SHORTEST: Duration = Duration::from_millis(150);
/// Longest pause between two questions about a job.
const LONGEST: Duration = Duration::from_secs(20);
/// Query jobs of a part that are created before somebody has to look.
const MOST_JOBS: u32 = 5;

impl Work {
    /// Takes a part to its end: its job, its pages, its files.
    pub(super) async fn part(
        &self,
        object: &ExportObject,
        about: &About,
        mut part: ExportPart,
    ) -> Result<(), ExportRunError> {
        let mut jobs = 0;
        loop {
            match part.state {
                PartState::Written => return Ok(()),
                PartState::Planned | PartState::Creating => {
                    jobs += 1;
                    match self.create(&mut part).await {
                        Err(ExportRunError::Call(error)) if refused_by_bulk(&error) => {
                            return self.by_rest(object, about, &mut part).await;
                        }
                        created => created?,
                    }
                }
                PartState::Created => match self.wait(object, &part).await {
                    Ok(job) => {
                        part.records = job.records;
                        part.state = PartState::Complete;
                        self.step(&part).await?;
                    }
                    Err(ExportRunError::Call(error)) if error.says_no_such_job() => {
                        self.anew(&mut part, &error, jobs).await?;
                    }
                    Err(error) => return Err(error),
                },
                PartState::Complete => match self.write(object, about, &part).await {
                    Ok(()) => {
                        part.state = PartState::Written;
                        self.step(&part).await?;
                    }
                    Err(ExportRunError::Call(error)) if error.says_no_such_job() => {
                        self.anew(&mut part, &error, jobs).await?;
                    }
                    Err(error) => return Err(error),
                },
            }
        }
    }

    pub(super) async fn step(&self, part: &ExportPart) -> Result<(), ExportRunError> {
        let part = part.clone();
        Ok(self.ledger.run(move |ledger| ledger.export_step(&part)).await?)
    }

    /// Begins a part anew whose job is gone: after 7 days, or because somebody
    /// deleted it. Its files go, since the new job sees other records.
    async fn anew(
        &self,
        part: &mut ExportPart,
        error: &CallError,
        jobs: u32,
    ) -> Result<(), ExportRunError> {
        if jobs >= MOST_JOBS {
            return Err(ExportRunError::Call(error.clone()));
        }
        let job = part.job_id.take().unwrap_or_default();
        self.events.announce(Event::Note {
            text: format!("query job {job} is gone; its records are queried again from the start"),
        });
        self.remove_files(part).await?;
        part.state = PartState::Creating;
        part.records = None;
        self.step(part).await
    }

    /// Removes the files of a part that begins anew.
    pub(super) async fn remove_files(&self, part: &ExportPart) -> Result<(), ExportRunError> {
        for file in self.ledger.run(Ledger::export_files).await? {
            if (file.object, file.part) == (part.object, part.part) {
                let name = facts_of(&file)?.path;
                let path = self.request.out.join(name);
                match std::fs::remove_file(&path) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        return Err(ExportRunError::Io { path, source });
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Creates the query job of a part. A creation without an answer is tried
    /// again: the job that it may have made changes nothing in the org.
    pub(super) async fn create(&self, part: &mut ExportPart) -> Result<(), ExportRunError> {
        let objects = self.ledger.run(Ledger::export_objects).await?;
        let all = objects
            .iter()
            .find(|object| object.number == part.object)
            .is_some_and(|object| object.all_records);
        let scope = if all { QueryScope::All } else { QueryScope::Live };
        let mut pause = Duration::from_millis(500);
        for left in (0..MOST_JOBS).rev() {
            part.state = PartState::Creating;
            self.step(part).await?;
            let error = match self.org.create_query_job(&part.soql, scope).await {
                Ok(job) => {
                    self.events.announce(Event::JobCreated {
                        chunk: u64::from(part.object),
                        attempt: part.part,
                        job: job.id.clone(),
                    });
                    part.job_id = Some(job.id);
                    part.state = PartState::Created;
                    return self.step(part).await;
                }
                Err(error) => error,
            };
            if error.certainly_did_not_happen() || left == 0 {
                return Err(ExportRunError::Call(error));
            }
            let text = "the org did not answer the creation of a query job; if it made one, \
                        nobody reads it, and it is deleted within 7 days";
            self.events.announce(Event::Note { text: text.to_owned() });
            tokio::select! {
                () = tokio::time::sleep(jitter(pause)) => {}
                () = self.stop.asked() => return Err(ExportRunError::Stopped),
            }
            pause = (pause * 2).min(Duration::from_secs(30));
        }
        Err(ExportRunError::Stage("no job was created".to_owned()))
    }

    /// Waits until a job is complete.
    async fn wait(
        &self,
        object: &ExportObject,
        part: &ExportPart,
    ) -> Result<QueryJob, ExportRunError> {
        let id = part.job_id.clone().unwrap_or_default();
        let mut pause = SHORTEST;
        loop {
            let job = self.org.query_job(&id).await?;
            self.events.announce(Event::JobProgress {
                chunk: u64::from(part.object),
                job: id.clone(),
                state: job.state,
                processed: job.records.unwrap_or(0),
                failed: 0,
            });
            match job.state {
                JobState::JobComplete => return Ok(job),
                JobState::Failed | JobState::Aborted => {
                    return Err(ExportRunError::JobEnded {
                        job: id,
                        object: object.object.clone(),
                        state: job.state.as_str().to_owned(),
                        message: job.error_message,
                    });
                }
                _ => {}
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.asked() => return Err(ExportRunError::Stopped),
            }
            pause = (pause + pause / 2).min(LONGEST);
        }
    }

    /// Fetches the pages of a complete job, several at a time, and writes them
    /// in order.
    async fn write(
        &self,
        object: &ExportObject,
        about: &About,
        part: &ExportPart,
    ) -> Result<(), ExportRunError> {
        let key = (part.object, part.part);
        let job = part.job_id.clone().unwrap_or_default();
        let files = self.ledger.run(Ledger::export_files).await?;
        let mine: Vec<&ExportFile> =
            files.iter().filter(|file| (file.object, file.part) == key).collect();
        let (from, skip) = mine.last().map_or((0, 0), |last| (last.page, last.record));
        let mut found: u64 = mine.iter().map(|file| rows_of(file)).sum();
        let mut done_bytes = 0;

        let mut places = Pages::find(self, &job, key, from).await?;
        // A page at a time for each lane: fetched, or waiting to be written.
        let mut under_way = FuturesOrdered::new();
        let mut writer: Option<PartWriter> = None;
        let mut last = (from, skip);
        let mut stopped = false;
        let mut trouble = None;
        loop {
            while !stopped && under_way.len() < self.request.lanes {
                let Some(place) = places.next().await? else { break };
                under_way.push_back(self.fetch(&job, place));
            }
            let fetched = tokio::select! {
                fetched = under_way.next() => fetched,
                () = self.stop.asked(), if !stopped => {
                    // Pages that are under way are written, no new ones begun.
                    stopped = true;
                    continue;
                }
            };
            let Some(fetched) = fetched else { break };
            let (place, path, page, records) = match fetched {
                Ok(fetched) => fetched,
                Err(error) => {
                    trouble = Some(error);
                    break;
                }
            };
            places.hear(place.number, &page).await?;
            let mut at_work = match writer.take() {
                Some(writer) => writer,
                None => self.writer(object, about, part, &path, mine.len() as u32).await?,
            };
            let skip = if place.number == from { skip } else { 0 };
            let ledger = self.ledger.clone();
            let (at_work, written) = blocking(move || {
                let written = at_work.page(ledger.blocking(), place.number, &path, skip)?;
                // Nothing depends on it any more.
                let _ = std::fs::remove_file(&path);
                Ok((at_work, written))
            })
            .await?;
            writer = Some(at_work);
            found += written;
            done_bytes += page.bytes;
            last = (place.number, records);
            self.events.announce(Event::ReadProgress { bytes: done_bytes, rows: found });
        }
        if let Some(mut at_work) = writer {
            let ledger = self.ledger.clone();
            let empty = found == 0 && at_work.files() == 0 && !stopped && trouble.is_none();
            blocking(move || {
                if empty {
                    at_work.begin()?;
                }
                at_work.end_file(ledger.blocking(), last.0, last.1)
            })
            .await?;
        }
        if let Some(error) = trouble {
            // What was written before it is kept.
            return Err(error);
        }
        if stopped {
            return Err(ExportRunError::Stopped);
        }
        drop(under_way);
        match part.records {
            Some(told) if told != found => {
                Err(ExportRunError::Count { job, object: object.object.clone(), told, found })
            }
            _ => Ok(()),
        }
    }

    /// Fetches one page into a file of its own.
    async fn fetch(
        &self,
        job: &str,
        place: Place,
    ) -> Result<(Place, PathBuf, ResultPage, u64), ExportRunError> {
        let path = self.page_folder().join(format!("{job}-{:06}.csv", place.number));
        let most = self.request.page_records;
        let (page, records) =
            pages::fetch(&self.org, job, &place, most, &path, &self.events).await?;
        Ok((place, path, page, records))
    }

    /// What writes a part, with columns that the first page tells.
    pub(super) async fn writer(
        &self,
        object: &ExportObject,
        about: &About,
        part: &ExportPart,
        first_page: &Path,
        files: u32,
    ) -> Result<PartWriter, ExportRunError> {
        let number = part.object;
        let objects = self.ledger.run(Ledger::export_objects).await?;
        let known = objects.into_iter().find(|known| known.number == number);
        let columns: Vec<Column> = match known.and_then(|known| known.columns) {
            Some(columns) => serde_json::from_value(columns)
                .map_err(|source| ExportRunError::Settings { what: "columns", source })?,
            None => {
                let path = first_page.to_owned();
                let mut header = blocking(move || Ok(Page::open(&path)?.header().to_vec())).await?;
                if header.is_empty() {
                    header = soql::selected(&object.soql);
                }
                let columns = self.columns(&header, &about.description).await?;
                let kept = serde_json::to_value(&columns).unwrap_or_default();
                self.ledger.run(move |ledger| ledger.export_columns(number, &kept)).await?;
                columns
            }
        };
        let said = HashMap::from([
            ("bulkhaul.object".to_owned(), object.object.clone()),
            ("bulkhaul.soql".to_owned(), object.soql.clone()),
            ("bulkhaul.org".to_owned(), self.run.org.id.clone()),
            ("bulkhaul.api_version".to_owned(), self.run.api_version.clone()),
            ("bulkhaul.run".to_owned(), self.run.id.clone()),
        ]);
        Ok(PartWriter::new(PartPlan {
            object: part.object,
            part: part.part,
            archive: &self.request.out,
            folder: &object.folder,
            stem: "part".to_owned(),
            columns,
            about: said,
            options: self.request.output,
            files,
            unfit_folder: self.folder.path().to_owned(),
        }))
    }

    /// The columns of a result by its header; those behind a lookup are
    /// described by the object it points at.
    async fn columns(
        &self,
        header: &[String],
        description: &ObjectDescription,
    ) -> Result<Vec<Column>, ExportRunError> {
        let mut parents: HashMap<String, Arc<ObjectDescription>> = HashMap::new();
        let mut columns = Vec::with_capacity(header.len());
        for name in header {
            let mut path: Vec<&str> = name.split('.').collect();
            let last = path.pop().unwrap_or_default();
            let mut at = Some(Arc::new(description.clone()));
            for step in path {
                let parent = at.as_deref().and_then(|object| {
                    let field = object.relationship(step)?;
                    // Of several objects nobody knows which it is.
                    match field.reference_to.as_slice() {
                        [one] => Some(one.clone()),
                        _ => None,
                    }
                });
                at = match parent {
                    Some(parent) => match parents.get(&parent) {
                        Some(known) => Some(Arc::clone(known)),
                        None => {
                            let described = Arc::new(self.org.describe(&parent).await?);
                            parents.insert(parent, Arc::clone(&described));
                            Some(described)
                        }
                    },
                    None => None,
                };
            }
            let field = at.as_deref().and_then(|object| object.field_ignoring_case(last)).cloned();
            columns.push(Column::new(name.clone(), field, self.request.types));
        }
        Ok(columns)
    }
}

/// Whether it is the object that query jobs refuse, not the query ("Query Jobs
/// and Unsupported Objects", by the code that clients report).
pub(super) fn refused_by_bulk(error: &CallError) -> bool {
    error.code.as_deref().is_some_and(|code| code.eq_ignore_ascii_case("INVALIDENTITY"))
        && error.message.as_deref().is_some_and(|text| text.contains("Bulk API"))
}
