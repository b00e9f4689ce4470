//! What takes more than one row: keys of all rows, sorted in bounded memory.
//!
//! Two values are taken for one when their 64-bit hashes agree: of ten million
//! rows that is wrong once in 370,000 checks.

use std::io;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::look::{Answers, Checker, Detail, Finding, Looked, SameSlot};
use super::rule::CheckRule;
use super::spreadsheet::Widths;
use crate::domain::RowNumber;
use crate::rows::TemporaryFolder;
use crate::rows::sorter::{SortLimits, Sorted, Sorter};
use crate::rows::spill::Spills;

/// Bytes that all sorts may take together before they go to disk.
const SORT_BYTES: usize = 128 << 20;

/// What a sort gets at least.
const LEAST_SORT_BYTES: usize = 4 << 20;

/// Findings are handed to their sort in portions of so many bytes.
const PORTION: usize = 1 << 20;

/// Values of a slot that were met of late; most repeats are seen by it.
const RECENT: usize = 1 << 10;

/// Why keys can't be gathered.
#[derive(Debug, thiserror::Error)]
#[error("the temporary files of the check can't be used")]
pub struct CheckIoError(#[from] io::Error);

/// A value and where it stood.
#[derive(Debug, Clone, Copy)]
struct Stood {
    hash: u64,
    row: u64,
    start: u32,
    end: u32,
}

/// What one thread gathers of a batch.
#[derive(Debug, Default)]
pub(super) struct Stretch {
    same: Vec<Vec<(u64, u64)>>,
    values: Vec<Vec<Stood>>,
    recent: Vec<Vec<u64>>,
    text: Vec<u8>,
    widths: Vec<Widths>,
}

impl Stretch {
    pub(super) fn new(checker: &Checker) -> Self {
        let slots = checker.spec.asked.len() + checker.ids.len();
        Stretch {
            same: vec![Vec::new(); checker.same.len()],
            values: vec![Vec::new(); slots],
            recent: vec![vec![0; RECENT]; slots],
            text: Vec::new(),
            widths: vec![Widths::default(); checker.spec.columns.len()],
        }
    }

    pub(super) fn same(&mut self, slot: usize, hash: u64, row: RowNumber) {
        if let Some(rows) = self.same.get_mut(slot) {
            rows.push((hash, row.0));
        }
    }

    pub(super) fn value(&mut self, slot: usize, hash: u64, row: RowNumber, value: &[u8]) {
        let exact = xxh3_64(value);
        if let Some(recent) =
            self.recent.get_mut(slot).and_then(|recent| recent.get_mut(exact as usize % RECENT))
        {
            if *recent == exact {
                return;
            }
            *recent = exact;
        }
        let start = self.text.len() as u32;
        self.text.extend_from_slice(value);
        if let Some(values) = self.values.get_mut(slot) {
            values.push(Stood { hash, row: row.0, start, end: self.text.len() as u32 });
        }
    }

    pub(super) fn width(&mut self, column: usize, value: &[u8]) {
        if let Some(widths) = self.widths.get_mut(column) {
            widths.take(value);
        }
    }
}

/// Gathers the keys of all rows.
pub struct Gatherer {
    same: Vec<Sorter>,
    values: Vec<Sorter>,
    widths: Vec<Widths>,
    spills: Spills,
    has_findings: bool,
    rows: u64,
    left_out: u64,
}

impl Gatherer {
    /// Begins; what doesn't fit into memory goes to this folder.
    ///
    /// # Errors
    /// [`CheckIoError`].
    pub fn new(checker: &Checker, folder: TemporaryFolder) -> Result<Self, CheckIoError> {
        let slots = checker.spec.asked.len() + checker.ids.len();
        let sorts = (slots + checker.same.len()).max(1);
        let limits = limits(sorts);
        Ok(Gatherer {
            same: checker.same.iter().map(|_| Sorter::new(limits)).collect(),
            values: (0..slots).map(|_| Sorter::new(limits)).collect(),
            widths: vec![Widths::default(); checker.spec.columns.len()],
            spills: Spills::within(folder),
            has_findings: false,
            rows: 0,
            left_out: 0,
        })
    }

    /// Takes what a look at a batch came to; batches come in order.
    ///
    /// # Errors
    /// [`CheckIoError`].
    pub fn take(&mut self, looked: Looked) -> Result<(), CheckIoError> {
        self.has_findings |= !looked.findings.is_empty();
        self.rows += looked.rows;
        self.left_out += looked.left_out;
        for stretch in looked.stretches {
            let text = Bytes::from(stretch.text);
            for (sorter, rows) in self.same.iter_mut().zip(stretch.same) {
                sorter.text(Bytes::new());
                for (hash, row) in rows {
                    sorter.push(hash, row, 0, 0);
                }
                sorter.settle(&mut self.spills)?;
            }
            for (sorter, values) in self.values.iter_mut().zip(stretch.values) {
                if values.is_empty() {
                    continue;
                }
                sorter.text(text.clone());
                for Stood { hash, row, start, end } in values {
                    sorter.push(hash, row, start, end);
                }
                sorter.settle(&mut self.spills)?;
            }
            for (widths, more) in self.widths.iter_mut().zip(&stretch.widths) {
                widths.add(more);
            }
        }
        Ok(())
    }

    /// Ends the first reading. The checker knows then how wide numbers should
    /// be.
    ///
    /// # Errors
    /// [`CheckIoError`].
    pub fn finish(self, checker: &mut Checker) -> Result<Gathered, CheckIoError> {
        let Gatherer { same, values, widths, mut spills, has_findings, rows, left_out } = self;
        checker.expect_widths(&widths);
        let mut end = |sorters: Vec<Sorter>| -> io::Result<Vec<Option<Sorted>>> {
            sorters.into_iter().map(|sorter| sorter.finish(&mut spills).map(Some)).collect()
        };
        let (same, values) = (end(same)?, end(values)?);
        let has_findings = has_findings || checker.expects_widths();
        Ok(Gathered { same, values, spills, has_findings, rows, left_out })
    }
}

fn limits(sorts: usize) -> SortLimits {
    SortLimits {
        run_bytes: (SORT_BYTES / sorts).max(LEAST_SORT_BYTES),
        read_bytes: 64 << 10,
        fan_in: 64,
    }
}

/// The keys of all rows, in order.
pub struct Gathered {
    same: Vec<Option<Sorted>>,
    values: Vec<Option<Sorted>>,
    spills: Spills,
    /// Whether the rows have to be read again to tell what is wrong with them,
    /// whatever else is found.
    pub has_findings: bool,
    /// Rows that were looked at.
    pub rows: u64,
    /// Of these, those that the mapping's filter leaves out.
    pub left_out: u64,
}

/// A value that the org is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedKey {
    /// The hash of its folded form.
    pub hash: u64,
    /// The value as it would be sent, first of those that are the same.
    pub value: String,
}

/// Different values of a column, each once.
pub struct AskedKeys {
    sorted: Option<Sorted>,
    last: Option<u64>,
}

impl AskedKeys {
    /// The next ones, at most so many; none in the end.
    ///
    /// # Errors
    /// [`CheckIoError`].
    pub fn next(&mut self, most: usize) -> Result<Vec<AskedKey>, CheckIoError> {
        let mut keys = Vec::new();
        let Some(sorted) = &mut self.sorted else { return Ok(keys) };
        while keys.len() < most
            && let Some(record) = sorted.next()?
        {
            if self.last == Some(record.key) {
                continue;
            }
            self.last = Some(record.key);
            let value = String::from_utf8_lossy(record.bytes).into_owned();
            keys.push(AskedKey { hash: record.key, value });
        }
        Ok(keys)
    }
}

impl Gathered {
    /// The values that the org is to be asked about, by their place among what
    /// is asked. They can be taken once.
    pub fn take_asked(&mut self, slot: usize) -> AskedKeys {
        let sorted = self.values.get_mut(slot).and_then(Option::take);
        AskedKeys { sorted, last: None }
    }

    /// Finds rows that are the same in something, and parents that the org
    /// doesn't have because they stand in the source.
    ///
    /// # Errors
    /// [`CheckIoError`].
    pub fn compare(
        mut self,
        checker: &Checker,
        answers: &mut Answers,
    ) -> Result<CrossFindings, CheckIoError> {
        let mut found = Found {
            sorter: Sorter::new(limits(2)),
            pending: Vec::new(),
            places: Vec::new(),
            sequence: 0,
            any: false,
        };
        for (slot, sorted) in checker.same.iter().zip(&mut self.same) {
            let Some(sorted) = sorted else { continue };
            let (rule, column) = match *slot {
                SameSlot::Value { column, rule, .. } => (rule, Some(column as u32)),
                SameSlot::Row => (CheckRule::IdenticalRow, None),
            };
            let is_key = rule == CheckRule::DuplicateKey;
            let tells = !is_key || checker.spec.tells_duplicate_keys;
            let mut first: Option<(u64, RowNumber, bool)> = None;
            while let Some(record) = sorted.next()? {
                let row = RowNumber(record.row);
                match &mut first {
                    Some((key, twin, is_told)) if *key == record.key => {
                        if tells {
                            let mut tell = |row, twin| {
                                let detail = Detail::Twin(twin);
                                found.push(&mut self.spills, Finding { row, rule, column, detail })
                            };
                            // Of rows with one key the org takes none, if they
                            // meet in one transaction.
                            if is_key && !std::mem::replace(is_told, true) {
                                tell(*twin, row)?;
                            }
                            tell(row, *twin)?;
                        }
                    }
                    _ => {
                        first = Some((record.key, row, false));
                        if is_key {
                            is_in_source(checker, answers, record.key);
                        }
                    }
                }
            }
        }
        for (at, &column) in checker.ids.iter().enumerate() {
            let slot = checker.spec.asked.len() + at;
            let Some(sorted) = self.values.get_mut(slot).and_then(Option::as_mut) else { continue };
            let mut first: Option<(u64, RowNumber, [u8; 15])> = None;
            while let Some(record) = sorted.next()? {
                let row = RowNumber(record.row);
                let Ok(id) = <[u8; 15]>::try_from(record.bytes) else { continue };
                match first {
                    Some((key, twin, other)) if key == record.key => {
                        // Of two hashes that agree by chance nothing is told.
                        if id != other && id.eq_ignore_ascii_case(&other) {
                            let (rule, detail) = (CheckRule::CaseTwins, Detail::Twin(twin));
                            let column = Some(column as u32);
                            found.push(&mut self.spills, Finding { row, rule, column, detail })?;
                        }
                    }
                    _ => first = Some((record.key, row, id)),
                }
            }
        }
        found.finish(self.spills)
    }
}

/// A parent that the org doesn't have, but a row of the source is.
fn is_in_source(checker: &Checker, answers: &mut Answers, key: u64) {
    for (slot, asked) in checker.spec.asked.iter().enumerate() {
        if asked.may_be_in_source
            && let Some(rule) = answers.get_mut(&(slot, key))
            && *rule == CheckRule::MissingParent
        {
            *rule = CheckRule::ParentInSource;
        }
    }
}

/// Findings on their way into the order of rows.
struct Found {
    sorter: Sorter,
    pending: Vec<u8>,
    places: Vec<(u64, u32, u32)>,
    sequence: u64,
    any: bool,
}

/// The column of a finding that has none.
const NO_COLUMN: u32 = u32::MAX;

/// Bytes of a finding: rule, column, the other row.
const FINDING_BYTES: usize = 13;

impl Found {
    fn push(&mut self, spills: &mut Spills, finding: Finding) -> io::Result<()> {
        let twin = match finding.detail {
            Detail::Twin(twin) => twin.0,
            Detail::None | Detail::Rejection(_) => 0,
        };
        let start = self.pending.len() as u32;
        self.pending.push(finding.rule.number());
        self.pending.extend_from_slice(&finding.column.unwrap_or(NO_COLUMN).to_le_bytes());
        self.pending.extend_from_slice(&twin.to_le_bytes());
        self.places.push((finding.row.0, start, self.pending.len() as u32));
        self.any = true;
        if self.pending.len() >= PORTION { self.hand_on(spills) } else { Ok(()) }
    }

    fn hand_on(&mut self, spills: &mut Spills) -> io::Result<()> {
        self.sorter.text(Bytes::from(std::mem::take(&mut self.pending)));
        for (row, start, end) in self.places.drain(..) {
            self.sequence += 1;
            self.sorter.push(row, self.sequence, start, end);
        }
        self.sorter.settle(spills)
    }

    fn finish(mut self, mut spills: Spills) -> Result<CrossFindings, CheckIoError> {
        self.hand_on(&mut spills)?;
        let any = self.any;
        let sorted = self.sorter.finish(&mut spills)?;
        let mut findings = CrossFindings { sorted, head: None, any, _spills: spills };
        findings.advance()?;
        Ok(findings)
    }
}

/// Findings that take more than one row, in row order.
pub struct CrossFindings {
    sorted: Sorted,
    head: Option<Finding>,
    /// Whether there are any.
    pub any: bool,
    _spills: Spills,
}

impl CrossFindings {
    fn advance(&mut self) -> io::Result<()> {
        self.head = self.sorted.next()?.and_then(|record| {
            let bytes: [u8; FINDING_BYTES] = record.bytes.try_into().ok()?;
            let [rule, c0, c1, c2, c3, twin @ ..] = bytes;
            let column = u32::from_le_bytes([c0, c1, c2, c3]);
            Some(Finding {
                row: RowNumber(record.key),
                rule: CheckRule::of_number(rule)?,
                column: Some(column).filter(|column| *column != NO_COLUMN),
                detail: Detail::Twin(RowNumber(u64::from_le_bytes(twin))),
            })
        });
        Ok(())
    }

    /// Appends those of the rows up to this one.
    ///
    /// # Errors
    /// [`CheckIoError`].
    pub fn up_to(&mut self, row: RowNumber, into: &mut Vec<Finding>) -> Result<(), CheckIoError> {
        while let Some(head) = self.head
            && head.row <= row
        {
            into.push(head);
            self.advance()?;
        }
        Ok(())
    }
}
