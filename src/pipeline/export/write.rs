//! Records of a part, page by page, into files. Runs on a blocking thread.
//!
//! While the records of some blocks are encoded, the next blocks are read, on
//! rayon's threads both.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc::Receiver;

use super::ExportRunError;
use super::transfer::Fetched;
use crate::domain::{Event, SharedSink};
use crate::exporter::ExportError;
use crate::exporter::output::{Output, OutputOptions, Unfit};
use crate::exporter::page::Page;
use crate::exporter::parse::{Parsed, Parser};
use crate::ledger::{ExportFile, SharedLedger};
use crate::rows::{private_file, write_record};

/// Where the files of a part go, and what has been written.
pub(super) struct PartWriter {
    object: u32,
    part: u32,
    ledger: SharedLedger,
    events: SharedSink,
    output: Output,
    parser: Parser,
    /// Number of the first file that is open.
    number: u32,
    /// Folder of the lists of values that had no place, one for files that end
    /// together.
    unfit_folder: PathBuf,
    unfit: Option<BufWriter<File>>,
    unfit_count: u64,
    /// What is read and not written yet.
    ahead: Option<Ahead>,
    /// The page up to which all is written, and the record in it.
    reached: (u32, u64),
    /// Records written, those of earlier processes too.
    rows: u64,
    /// Bytes of the pages that are written.
    bytes: u64,
}

/// Records that are read, and the place they reach to.
struct Ahead {
    parsed: Parsed,
    page: u32,
    record: u64,
}

/// What a part is written with.
pub(super) struct PartPlan<'a> {
    pub(super) object: u32,
    pub(super) part: u32,
    pub(super) ledger: SharedLedger,
    pub(super) events: SharedSink,
    pub(super) archive: &'a Path,
    pub(super) folder: &'a str,
    pub(super) stem: String,
    pub(super) parser: Parser,
    pub(super) options: OutputOptions,
    /// Files that are whole already.
    pub(super) files: u32,
    /// Records in them.
    pub(super) rows: u64,
    /// The page they reach to, and the record in it.
    pub(super) reached: (u32, u64),
    pub(super) unfit_folder: PathBuf,
}

impl PartWriter {
    pub(super) fn new(plan: PartPlan<'_>) -> Self {
        let next = plan.files + 1;
        PartWriter {
            object: plan.object,
            part: plan.part,
            ledger: plan.ledger,
            events: plan.events,
            parser: plan.parser.clone(),
            output: Output::new(
                plan.archive,
                plan.folder,
                &plan.stem,
                plan.parser,
                plan.options,
                next,
            ),
            number: next,
            unfit_folder: plan.unfit_folder,
            unfit: None,
            unfit_count: 0,
            ahead: None,
            reached: plan.reached,
            rows: plan.rows,
            bytes: 0,
        }
    }

    /// Writes pages as they come, and removes each.
    pub(super) fn pages(mut self, mut pages: Receiver<Fetched>) -> Result<Self, ExportRunError> {
        while let Some(fetched) = pages.blocking_recv() {
            self.page(fetched.number, &fetched.path, fetched.skip)?;
            // Nothing depends on it any more.
            let _ = std::fs::remove_file(&fetched.path);
            self.bytes += fetched.bytes;
            let (bytes, rows) = (self.bytes, self.rows);
            self.events.announce(Event::ReadProgress { bytes, rows });
        }
        Ok(self)
    }

    /// Reads a page behind its first `skip` records, and writes all but what
    /// was read last.
    pub(super) fn page(
        &mut self,
        number: u32,
        path: &Path,
        skip: u64,
    ) -> Result<(), ExportRunError> {
        let mut page = Page::open(path)?;
        let expected = self.parser.columns().len();
        let found = page.header().len();
        if found != expected && found > 0 {
            let path = path.to_owned();
            return Err(ExportError::Columns { path, expected, found }.into());
        }
        let parser = self.parser.clone();
        let (mut record, mut ended) = (0, false);
        while !ended {
            let (written, parsed) = rayon::join(
                || self.write_ahead(),
                || read(&parser, &mut page, skip, &mut record, &mut ended),
            );
            written?;
            let parsed = parsed?;
            if parsed.rows > 0 {
                self.ahead = Some(Ahead { parsed, page: number, record });
            }
        }
        Ok(())
    }

    fn write_ahead(&mut self) -> Result<(), ExportRunError> {
        let Some(Ahead { parsed, page, record }) = self.ahead.take() else { return Ok(()) };
        self.rows += parsed.rows;
        self.keep_unfit(&parsed.unfit)?;
        self.output.write(parsed)?;
        self.reached = (page, record);
        if self.output.is_full() { self.end_files() } else { Ok(()) }
    }

    /// Writes what is left and ends the files that are open; makes one for no
    /// records if `any` and there is none.
    pub(super) fn finish(&mut self, any: bool) -> Result<(), ExportRunError> {
        self.write_ahead()?;
        if any && self.number == 1 {
            self.output.begin()?;
        }
        self.end_files()
    }

    /// Records written, by earlier processes too.
    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the files that are open. With them, all records up to where it
    /// reached are in files.
    fn end_files(&mut self) -> Result<(), ExportRunError> {
        if let Some(mut unfit) = self.unfit.take() {
            let path = self.unfit_path();
            unfit
                .flush()
                .and_then(|()| unfit.get_ref().sync_all())
                .map_err(|source| ExportError::Io { path, action: "written", source })?;
        }
        let mut files = Vec::new();
        for facts in self.output.finish_files()? {
            files.push(ExportFile {
                object: self.object,
                part: self.part,
                number: self.number,
                facts: serde_json::to_value(&facts).unwrap_or_default(),
                page: self.reached.0,
                record: self.reached.1,
                // Of all that ended together, told with the first.
                unfit: std::mem::take(&mut self.unfit_count),
            });
            self.number += 1;
        }
        Ok(self.ledger.blocking().record_export_files(&files)?)
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

/// Reads as many blocks of a page as are worked at a time, those behind `skip`.
/// `record` counts the records met, `ended` tells that there are no more.
fn read(
    parser: &Parser,
    page: &mut Page,
    skip: u64,
    record: &mut u64,
    ended: &mut bool,
) -> Result<Parsed, ExportError> {
    let at_once = rayon::current_num_threads().max(1);
    let mut blocks = Vec::with_capacity(at_once);
    while blocks.len() < at_once {
        let Some(mut block) = page.next_block()? else {
            *ended = true;
            break;
        };
        let count = block.records.len() as u64;
        let left_out = skip.saturating_sub(*record).min(count);
        *record += count;
        block.skip(left_out as usize);
        if !block.records.is_empty() {
            blocks.push(block);
        }
    }
    parser.parse(&blocks)
}

/// Name of the list of values that had no place, of files that ended together.
pub(super) fn unfit_name(object: u32, part: u32, file: u32) -> String {
    format!("unfit-{object:04}-{part:04}-{file:05}.csv")
}
