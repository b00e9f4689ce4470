//! Records of a part, page by page, into files. Runs on a blocking thread.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::ExportRunError;
use crate::exporter::ExportError;
use crate::exporter::column::Column;
use crate::exporter::output::{Output, OutputOptions, Unfit};
use crate::exporter::page::Page;
use crate::ledger::{ExportFile, Ledger};
use crate::rows::{RawBatch, private_file, write_record};

/// Where the files of a part go, and what has been written.
pub(super) struct PartWriter {
    object: u32,
    part: u32,
    output: Output,
    /// Number of the file that is open.
    number: u32,
    /// Folder of the lists of values that had no place, one a file.
    unfit_folder: PathBuf,
    unfit: Option<BufWriter<File>>,
    unfit_count: u64,
}

/// What a part is written with.
pub(super) struct PartPlan<'a> {
    pub(super) object: u32,
    pub(super) part: u32,
    pub(super) archive: &'a Path,
    pub(super) folder: &'a str,
    pub(super) stem: String,
    pub(super) columns: Vec<Column>,
    pub(super) about: HashMap<String, String>,
    pub(super) options: OutputOptions,
    /// Files that are whole already.
    pub(super) files: u32,
    pub(super) unfit_folder: PathBuf,
}

impl PartWriter {
    pub(super) fn new(plan: PartPlan<'_>) -> Self {
        let next = plan.files + 1;
        PartWriter {
            object: plan.object,
            part: plan.part,
            output: Output::new(
                plan.archive,
                plan.folder,
                &plan.stem,
                plan.columns,
                plan.about,
                plan.options,
                next,
            ),
            number: next,
            unfit_folder: plan.unfit_folder,
            unfit: None,
            unfit_count: 0,
        }
    }

    /// Writes a page behind its first `skip` records. Of each file that gets
    /// whole the ledger is told.
    pub(super) fn page(
        &mut self,
        ledger: &Ledger,
        number: u32,
        path: &Path,
        skip: u64,
    ) -> Result<u64, ExportRunError> {
        let mut page = Page::open(path)?;
        let expected = self.output.columns().len();
        let found = page.header().len();
        if found != expected && found > 0 {
            let path = path.to_owned();
            return Err(ExportError::Columns { path, expected, found }.into());
        }
        let at_once = rayon::current_num_threads().max(1);
        let (mut record, mut written) = (0, 0);
        let mut ended = false;
        while !ended {
            let mut blocks: Vec<RawBatch> = Vec::with_capacity(at_once);
            while blocks.len() < at_once {
                let Some(mut block) = page.next_block()? else {
                    ended = true;
                    break;
                };
                let count = block.records.len() as u64;
                let left_out = skip.saturating_sub(record).min(count);
                record += count;
                block.skip(left_out as usize);
                if !block.records.is_empty() {
                    written += block.records.len() as u64;
                    blocks.push(block);
                }
            }
            if blocks.is_empty() {
                continue;
            }
            let unfit = self.output.write(&blocks)?;
            self.keep_unfit(&unfit)?;
            if self.output.is_full() {
                self.end_file(ledger, number, record)?;
            }
        }
        Ok(written)
    }

    /// Ends the file that is open. With it, `record` records of page `page`
    /// and all before it are in files.
    pub(super) fn end_file(
        &mut self,
        ledger: &Ledger,
        page: u32,
        record: u64,
    ) -> Result<(), ExportRunError> {
        if let Some(mut unfit) = self.unfit.take() {
            let path = self.unfit_path();
            unfit
                .flush()
                .and_then(|()| unfit.get_ref().sync_all())
                .map_err(|source| ExportError::Io { path, action: "written", source })?;
        }
        let Some(facts) = self.output.finish_file()? else { return Ok(()) };
        ledger.export_file(&ExportFile {
            object: self.object,
            part: self.part,
            number: self.number,
            facts: serde_json::to_value(&facts).unwrap_or_default(),
            page,
            record,
            unfit: std::mem::take(&mut self.unfit_count),
        })?;
        self.number += 1;
        Ok(())
    }

    /// Opens a file though there are no records for it.
    pub(super) fn begin(&mut self) -> Result<(), ExportRunError> {
        Ok(self.output.begin()?)
    }

    /// Files that are whole.
    pub(super) const fn files(&self) -> u32 {
        self.number - 1
    }

    fn unfit_path(&self) -> PathBuf {
        self.unfit_folder.join(unfit_name(self.object, self.part, self.number))
    }

    fn keep_unfit(&mut self, unfit: &[Unfit]) -> Result<(), ExportRunError> {
        if unfit.is_empty() {
            return Ok(());
        }
        self.unfit_count += unfit.len() as u64;
        let path = self.unfit_path();
        let failed = |source| ExportError::Io { path: path.clone(), action: "written", source };
        let file = match &mut self.unfit {
            Some(file) => file,
            None => {
                // What a process that died left of this file begins anew.
                let made = private_file(&path).map_err(failed)?;
                self.unfit.insert(BufWriter::new(made))
            }
        };
        let mut line = Vec::new();
        for value in unfit {
            line.clear();
            let why = value.fault.wrong.to_string();
            let cells = [&value.id, &value.column, &why, &value.fault.text];
            write_record(&mut line, cells.map(String::as_bytes), b',');
            line.push(b'\n');
            file.write_all(&line).map_err(failed)?;
        }
        Ok(())
    }
}

/// Name of the list of values of one file that had no place.
pub(super) fn unfit_name(object: u32, part: u32, file: u32) -> String {
    format!("unfit-{object:04}-{part:04}-{file:05}.csv")
}
