//! The end of a complete export: the manifest, and the values that had no
//! place.

use std::io;

use jiff::Timestamp;

use super::account::{About, AtEnd, facts_of};
use super::run::{Work, blocking};
use super::write::unfit_name;
use super::{ExportRunError, UNFIT_FILE};
use crate::exporter::ExportError;
use crate::exporter::column::Column;
use crate::exporter::manifest::{
    self, LeftOut, Manifest, ManifestObject, ManifestOrg, ManifestRun,
};
use crate::exporter::output::FileFacts;
use crate::ledger::{ExportFile, ExportPart, Ledger};
use crate::rows::private_file;

impl Work {
    pub(super) async fn write_manifest(&self) -> Result<(), ExportRunError> {
        let objects = self.ledger.run(Ledger::export_objects).await?;
        let parts = self.ledger.run(Ledger::export_parts).await?;
        let files = self.ledger.run(Ledger::export_files).await?;
        self.gather_unfit(&files)?;
        let mut told = Vec::new();
        for object in objects {
            let settings = |what| move |source| ExportRunError::Settings { what, source };
            let about: About = serde_json::from_value(object.about).map_err(settings("object"))?;
            let end: AtEnd =
                serde_json::from_value(object.end.unwrap_or_default()).map_err(settings("end"))?;
            let columns: Vec<Column> = match object.columns {
                Some(columns) => serde_json::from_value(columns).map_err(settings("columns"))?,
                None => Vec::new(),
            };
            let mine: Vec<&ExportFile> =
                files.iter().filter(|file| file.object == object.number).collect();
            let facts: Vec<FileFacts> =
                mine.iter().map(|file| facts_of(file)).collect::<Result<_, _>>()?;
            let own = |part: &&ExportPart| part.object == object.number;
            // The org's clock when the first job of it began; of what no job
            // exported, ours.
            let watermark = parts.iter().filter(own).filter_map(|part| part.created.clone()).min();
            told.push(ManifestObject {
                jobs: parts.iter().filter(own).filter_map(|part| part.job_id.clone()).collect(),
                by_rest: parts.iter().filter(own).any(|part| part.job_id.is_none()),
                rows_by_jobs: parts.iter().filter(own).filter_map(|part| part.records).sum(),
                watermark: watermark.or_else(|| Some(format!("{:.3}", self.run.started_at))),
                run_id: Some(self.run.id.clone()),
                whole: about.whole,
                filter: about.filter,
                since: about.since,
                evolved: end.evolved,
                hidden_fields: end.hidden_fields,
                compacted: Vec::new(),
                columns: columns.iter().map(Into::into).collect(),
                left_out: about.left_out,
                rows: facts.iter().map(|file| file.rows).sum(),
                counted: end.counted,
                unfit_values: mine.iter().map(|file| file.unfit).sum(),
                files: facts,
                description: Some(self.description_path(&object.folder)),
                deleted: object.all_records,
                object: object.object,
                folder: object.folder,
                soql: object.soql,
            });
        }
        let org = &self.run.org;
        let kept = |name: &str| self.run.settings.get(name).cloned().unwrap_or_default();
        let not_exported: Vec<LeftOut> =
            serde_json::from_value(kept("not_exported")).unwrap_or_default();
        let run = ManifestRun {
            run_id: self.run.id.clone(),
            written_by: concat!("bulkhaul ", env!("CARGO_PKG_VERSION")).to_owned(),
            api_version: self.run.api_version.clone(),
            username: org.username.clone(),
            user_sees: serde_json::from_value(kept("user_sees")).unwrap_or_default(),
            started_at: format!("{:.3}", self.run.started_at),
            finished_at: format!("{:.3}", Timestamp::now()),
        };
        let earlier = match Manifest::read(&self.request.out) {
            Ok(earlier) if self.request.append => Some(earlier),
            Err(error) if self.request.append && !is_missing(&error) => return Err(error.into()),
            _ => None,
        };
        let (mut runs, mut objects, leftovers) = match earlier {
            Some(earlier) => (earlier.runs, earlier.objects, earlier.leftovers),
            None => Default::default(),
        };
        runs.push(run.clone());
        objects.extend(told);
        let manifest = Manifest {
            manifest_version: manifest::VERSION,
            written_by: run.written_by,
            run_id: run.run_id,
            org: ManifestOrg {
                id: org.id.clone(),
                name: org.name.clone(),
                url: org.url.clone(),
                username: org.username.clone(),
                production: org.production,
            },
            api_version: run.api_version,
            started_at: run.started_at,
            finished_at: run.finished_at,
            runs,
            format: self.request.output.format,
            options: self.request.output,
            partition_by: self.request.partition.clone(),
            objects,
            not_exported,
            leftovers,
        };
        let archive = self.request.out.clone();
        blocking(move || Ok(manifest.write(&archive)?)).await?;
        for part in parts {
            // The org deletes it by itself within 7 days.
            if let Some(job) = part.job_id {
                let _ = self.org.delete_query_job(&job).await;
            }
        }
        let _ = std::fs::remove_dir_all(self.page_folder());
        Ok(())
    }

    /// The lists of values that had no place, as one file.
    fn gather_unfit(&self, files: &[ExportFile]) -> Result<(), ExportRunError> {
        if files.iter().all(|file| file.unfit == 0) {
            return Ok(());
        }
        let path = self.folder.path().join(UNFIT_FILE);
        let failed = |source| ExportRunError::Io { path: path.clone(), source };
        let mut all = private_file(&path).map_err(failed)?;
        io::Write::write_all(&mut all, b"Id,Field,Reason,Value\n").map_err(failed)?;
        let lists = || {
            files.iter().filter(|file| file.unfit > 0).map(|file| {
                self.folder.path().join(unfit_name(file.object, file.part, file.number))
            })
        };
        for list in lists() {
            let mut list = std::fs::File::open(&list)
                .map_err(|source| ExportRunError::Io { path: list.clone(), source })?;
            io::copy(&mut list, &mut all).map_err(failed)?;
        }
        all.sync_all().map_err(failed)?;
        for list in lists() {
            let _ = std::fs::remove_file(list);
        }
        Ok(())
    }
}

fn is_missing(error: &ExportError) -> bool {
    matches!(error, ExportError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}
