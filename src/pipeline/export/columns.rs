//! What a part is written with: columns that the first page tells.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::account::About;
use super::run::{Work, blocking};
use super::write::{PartPlan, PartWriter};
use super::{ExportRunError, soql};
use crate::domain::ObjectDescription;
use crate::exporter::column::Column;
use crate::exporter::page::Page;
use crate::exporter::parse::Parser;
use crate::ledger::{ExportObject, ExportPart, Ledger};

impl Work {
    /// What writes a part, with columns that the first page tells.
    pub(super) async fn writer(
        &self,
        object: &ExportObject,
        about: &About,
        part: &ExportPart,
        first_page: &Path,
        (files, rows, reached): (u32, u64, (u32, u64)),
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
        let partition = self.request.partition.clone();
        let parser = Parser::new(columns, said, self.request.output.format, partition)?;
        Ok(PartWriter::new(PartPlan {
            object: part.object,
            part: part.part,
            ledger: self.ledger.clone(),
            events: self.events.clone(),
            archive: &self.request.out,
            folder: &object.folder,
            stem: self.stem(object, part),
            parser,
            options: self.request.output,
            files,
            rows,
            reached,
            unfit_folder: self.folder.path().to_owned(),
        }))
    }

    /// What the names of a part's files begin with: that of the run where other
    /// files are in the archive already.
    pub(super) fn stem(&self, object: &ExportObject, part: &ExportPart) -> String {
        let stem = if self.request.append { self.run.id.as_str() } else { "part" };
        // A part of several is told by its number.
        if part.soql == object.soql { stem.to_owned() } else { format!("{stem}-{:02}", part.part) }
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
