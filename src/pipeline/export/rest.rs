//! Objects that query jobs refuse, by REST queries: the same pages, made here
//! from the records.

use super::account::About;
use super::run::{Work, blocking};
use super::{ExportRunError, soql};
use crate::domain::Event;
use crate::exporter::ExportError;
use crate::ledger::{ExportObject, ExportPart, PartState};
use crate::rows::{private_file, write_quoted};
use crate::salesforce::{FieldValue, QueryScope, Record};

impl Work {
    /// Exports a part by REST from its first record on: there is nothing by
    /// which a cursor of an earlier process could be gone on with for sure.
    pub(super) async fn by_rest(
        &self,
        object: &ExportObject,
        about: &About,
        part: &mut ExportPart,
    ) -> Result<(), ExportRunError> {
        self.events.announce(Event::Note {
            text: format!("query jobs refuse {}: it is exported by REST", object.object),
        });
        self.remove_files(part).await?;
        let scope = if object.all_records { QueryScope::All } else { QueryScope::Live };
        let names = soql::selected(&object.soql);
        let mut pages = self.org.query(&part.soql, scope);
        let path = self.page_folder().join(format!("rest-{}-{}.csv", part.object, part.part));
        let (mut writer, mut number, mut found) = (None, 0, 0);
        while let Some(page) = pages.next_page().await? {
            if self.stop.is_asked() {
                return Err(ExportRunError::Stopped);
            }
            let text = text(&names, &page.records);
            let target = path.clone();
            blocking(move || {
                let failed =
                    |source| ExportError::Io { path: target.clone(), action: "written", source };
                let mut file = private_file(&target).map_err(failed)?;
                Ok(std::io::Write::write_all(&mut file, &text).map_err(failed)?)
            })
            .await?;
            let mut at_work = match writer.take() {
                Some(writer) => writer,
                None => self.writer(object, about, part, &path, (0, 0, (0, 0))).await?,
            };
            let source = path.clone();
            writer = Some(
                blocking(move || {
                    at_work.page(number, &source, 0)?;
                    Ok(at_work)
                })
                .await?,
            );
            found += page.records.len() as u64;
            number += 1;
            self.events.announce(Event::ReadProgress { bytes: 0, rows: found });
        }
        if let Some(mut at_work) = writer {
            blocking(move || at_work.finish(true)).await?;
        }
        let _ = std::fs::remove_file(&path);
        part.records = Some(found);
        part.state = PartState::Written;
        self.step(part).await
    }
}

/// Records as a page of a query job would hold them.
fn text(names: &[String], records: &[Record]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut line = |cells: &mut dyn Iterator<Item = String>| {
        for (index, cell) in cells.enumerate() {
            if index > 0 {
                text.push(b',');
            }
            write_quoted(&mut text, cell.as_bytes());
        }
        text.push(b'\n');
    };
    line(&mut names.iter().cloned());
    for record in records {
        let cell = |name: &String| record.at(name).map(FieldValue::cell).unwrap_or_default();
        line(&mut names.iter().map(cell));
    }
    text
}
