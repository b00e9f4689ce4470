//! A part of an object: from its query to its files.

use std::io;
use std::time::Duration;

use super::ExportRunError;
use super::account::{About, facts_of};
use super::run::Work;
use crate::domain::{Event, JobState};
use crate::ledger::{ExportObject, ExportPart, Ledger, PartState};
use crate::salesforce::{CallError, QueryJob, QueryScope, jitter};

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
                    part.created = job.created.map(|at| format!("{at:.3}"));
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
}

/// Whether it is the object that query jobs refuse, not the query ("Query Jobs
/// and Unsupported Objects", by the code that clients report).
pub(super) fn refused_by_bulk(error: &CallError) -> bool {
    error.code.as_deref().is_some_and(|code| code.eq_ignore_ascii_case("INVALIDENTITY"))
        && error.message.as_deref().is_some_and(|text| text.contains("Bulk API"))
}
