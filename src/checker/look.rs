//! The checker at work: batch by batch, records side by side.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::cell::CellCheck;
use super::gather::Stretch;
use super::rule::CheckRule;
use super::spec::{CheckSpec, Purpose};
use super::spreadsheet::{Widths, damage};
use crate::domain::{FieldType, Operation, RecordId, RowNumber, ValueKind};
use crate::rows::{
    CLEAR, Cell, Cells, ColumnNames, EncodedBatch, EncodedRow, KeyExactness, RawBatch, RawRecord,
    Rejection, canonical_hash, key_hash,
};

/// Records that are worth a thread of their own.
const LEAST_RECORDS: usize = 512;

/// A rule that a row breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// The row, as the source counts it.
    pub row: RowNumber,
    /// The rule.
    pub rule: CheckRule,
    /// The column, by its place among those that are sent; `None` where the row
    /// as a whole is meant, or the detail has it.
    pub column: Option<u32>,
    /// What else is known.
    pub detail: Detail,
}

/// What else is known of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    None,
    /// Why the row can't be sent.
    Rejection(Rejection),
    /// The row that has the same.
    Twin(RowNumber),
}

/// The rule that a value breaks, by its place among what was asked and the hash
/// of its key ([`super::AskedKey`]).
pub type Answers = HashMap<(usize, u64), CheckRule>;

/// A place where rows may be the same.
#[derive(Debug, Clone, Copy)]
pub(super) enum SameSlot {
    /// A column whose values are to occur once.
    Value { column: usize, rule: CheckRule, kind: ValueKind },
    /// The whole row.
    Row,
}

/// What a look at a batch came to.
#[derive(Debug, Default)]
pub struct Looked {
    /// Findings in row order.
    pub findings: Vec<Finding>,
    /// Rows that were looked at.
    pub rows: u64,
    /// Rows that the mapping's filter leaves out.
    pub left_out: u64,
    pub(super) stretches: Vec<Stretch>,
}

/// Rows against an object, ready to look.
#[derive(Debug)]
pub struct Checker {
    pub(super) spec: CheckSpec,
    cells: Vec<CellCheck>,
    pub(super) same: Vec<SameSlot>,
    /// Columns in which ids may differ in letter case alone.
    pub(super) ids: Vec<usize>,
    /// Where the row's record type stands, and whether by name.
    record_type: Option<(usize, bool)>,
    /// Cells of the source that are looked at for damage.
    source_cells: usize,
    answers: Answers,
    widths: Vec<Option<usize>>,
}

impl Checker {
    /// Makes a checker.
    pub fn new(spec: CheckSpec) -> Self {
        let cells = spec.columns.iter().map(|column| CellCheck::new(column, &spec)).collect();
        let mut same = Vec::new();
        for (at, column) in spec.columns.iter().enumerate() {
            let kind = column.field.value_kind();
            let is_key = spec.key == Some(at);
            if is_key {
                same.push(SameSlot::Value { column: at, rule: CheckRule::DuplicateKey, kind });
            } else if !is_key
                && column.parent_key.is_none()
                && column.field.unique
                && column.field.field_type != FieldType::Id
            {
                let rule = CheckRule::DuplicateUnique;
                same.push(SameSlot::Value { column: at, rule, kind });
            }
        }
        if spec.operation == Operation::Insert && same.is_empty() {
            same.push(SameSlot::Row);
        }
        let ids = spec
            .columns
            .iter()
            .enumerate()
            .filter(|(at, column)| {
                let is_id =
                    column.parent_key.is_none() && column.field.value_kind() == ValueKind::Id;
                is_id || (spec.key == Some(*at) && keeps_ids_apart(column.field.value_kind()))
            })
            .map(|(at, _)| at)
            .collect();
        let record_type =
            spec.columns.iter().position(|column| column.field.name == "RecordTypeId");
        let record_type = record_type.map(|at| (at, spec.columns[at].parent_key.is_some()));
        let last = spec.columns.iter().filter_map(|column| column.source).max();
        Checker {
            cells,
            same,
            ids,
            record_type,
            source_cells: last.map_or(0, |last| last + 1),
            answers: HashMap::new(),
            widths: vec![None; spec.columns.len()],
            spec,
        }
    }

    /// What it goes by.
    pub const fn spec(&self) -> &CheckSpec {
        &self.spec
    }

    /// Takes what the org answered.
    pub fn answered(&mut self, answers: Answers) {
        self.answers = answers;
    }

    pub(super) fn expect_widths(&mut self, widths: &[Widths]) {
        for ((expected, widths), column) in
            self.widths.iter_mut().zip(widths).zip(&self.spec.columns)
        {
            *expected = widths.expected(column.field.unique || column.field.is_key());
        }
    }

    /// Whether a column holds numbers that seem to have lost their zeros.
    pub(super) fn expects_widths(&self) -> bool {
        self.widths.iter().any(Option::is_some)
    }

    /// Looks at the rows of a batch. `gather` is whether keys are wanted for a
    /// [`super::Gatherer`].
    pub fn look(&self, batch: &RawBatch, encoded: &EncodedBatch, gather: bool) -> Looked {
        let count = batch.records.len();
        let each = count.div_ceil(rayon::current_num_threads().max(1)).max(LEAST_RECORDS);
        let parts: Vec<(Vec<Finding>, u64, Stretch)> = batch
            .records
            .par_chunks(each)
            .enumerate()
            .map(|(at, records)| {
                let mut sight = Sight {
                    checker: self,
                    findings: Vec::new(),
                    left_out: 0,
                    stretch: gather.then(|| Stretch::new(self)),
                    hashes: Vec::new(),
                };
                sight.look(batch, encoded, at * each, records);
                (sight.findings, sight.left_out, sight.stretch.unwrap_or_default())
            })
            .collect();
        let mut looked = Looked { rows: count as u64, ..Looked::default() };
        for (findings, left_out, stretch) in parts {
            looked.findings.extend(findings);
            looked.left_out += left_out;
            if gather {
                looked.stretches.push(stretch);
            }
        }
        looked
    }

    /// A finding in words: where, what, and what the field takes. `names` are
    /// those of the plan, `name_of` tells how people call a row.
    pub fn reason(
        &self,
        finding: &Finding,
        names: &ColumnNames,
        name_of: &dyn Fn(RowNumber) -> String,
    ) -> String {
        let words = match (finding.detail, finding.rule) {
            (Detail::Rejection(rejection), _) => return rejection.reason(names, None),
            (Detail::Twin(twin), CheckRule::DuplicateKey) => {
                format!("{} has the same key", name_of(twin))
            }
            (Detail::Twin(twin), CheckRule::IdenticalRow) => {
                format!("{} is the same in every field", name_of(twin))
            }
            (Detail::Twin(twin), CheckRule::CaseTwins) => {
                format!("{} has the same id but for letter case", name_of(twin))
            }
            (Detail::Twin(twin), _) => format!("{} has the same value", name_of(twin)),
            (Detail::None, rule) => rule.title().to_owned(),
        };
        let Some(column) = finding.column.map(|at| at as usize) else { return words };
        let label = self.spec.columns.get(column).map_or("", |column| column.label.as_str());
        let takes = self.cells.get(column).and_then(|cell| cell.takes(finding.rule));
        match takes {
            Some(takes) => format!("{label}: {words} ({takes})"),
            None => format!("{label}: {words}"),
        }
    }

    /// What the field of a column takes, where that helps with a rule.
    pub fn takes(&self, column: u32, rule: CheckRule) -> Option<String> {
        self.cells.get(column as usize)?.takes(rule)
    }
}

/// Whether a text field takes ids that differ in case for the same key.
const fn keeps_ids_apart(kind: ValueKind) -> bool {
    matches!(kind, ValueKind::Text { case_sensitive: true })
}

/// The part of an id that is compared.
pub(crate) fn short(id: &RecordId) -> [u8; 15] {
    let mut short = [0; 15];
    short.copy_from_slice(&id.as_bytes()[..15]);
    short
}

/// The work on some records.
struct Sight<'c> {
    checker: &'c Checker,
    findings: Vec<Finding>,
    left_out: u64,
    stretch: Option<Stretch>,
    hashes: Vec<u64>,
}

/// A cell's value, or a shared scratch that holds it.
fn value<'v>(cell: &Cell<'v>, scratch: &'v mut Vec<u8>) -> &'v [u8] {
    cell.value_in(scratch)
}

impl<'c> Sight<'c> {
    fn look(
        &mut self,
        batch: &RawBatch,
        encoded: &EncodedBatch,
        first: usize,
        records: &[RawRecord],
    ) {
        let checker = self.checker;
        let spec = &checker.spec;
        let mut sent: Vec<Cell<'_>> = Vec::with_capacity(spec.columns.len());
        let mut stood: Vec<Cell<'_>> = Vec::with_capacity(checker.source_cells);
        for (at, record) in records.iter().enumerate() {
            let index = first + at;
            let row = batch.first_row.plus(index as u64);
            let Some(fate) = encoded.rows.get(index) else { continue };
            let text = batch.record(record);
            sent.clear();
            stood.clear();
            match *fate {
                EncodedRow::Rejected(at) => {
                    self.rejected(row, encoded.rejections.get(at as usize));
                }
                EncodedRow::Same => {
                    sent.extend(Cells::new(text, spec.source.delimiter, spec.source.quote));
                    self.cells(row, &sent);
                    self.damage(row, |column| sent.get(column), true);
                }
                EncodedRow::Rewritten { start, end } => {
                    let written = encoded.side.get(start as usize..end as usize);
                    let written = written.unwrap_or_default();
                    let written = written.strip_suffix(b"\n").unwrap_or(written);
                    let written = written.strip_suffix(b"\r").unwrap_or(written);
                    sent.extend(Cells::new(written, spec.delimiter, b'"'));
                    self.cells(row, &sent);
                    let cells = Cells::new(text, spec.source.delimiter, spec.source.quote);
                    stood.extend(cells.take(checker.source_cells));
                    self.damage(row, |column| stood.get(column), false);
                }
            }
        }
    }

    fn rejected(&mut self, row: RowNumber, rejection: Option<&Rejection>) {
        match rejection {
            Some(Rejection::LeftOut) => self.left_out += 1,
            Some(rejection) => self.findings.push(Finding {
                row,
                rule: CheckRule::Unsendable,
                column: None,
                detail: Detail::Rejection(*rejection),
            }),
            None => {}
        }
    }

    /// The values that are sent.
    fn cells(&mut self, row: RowNumber, cells: &[Cell<'_>]) {
        let checker = self.checker;
        let spec = &checker.spec;
        let mut scratch = Vec::new();
        let record_type = self.record_type(cells);
        self.hashes.clear();
        for (at, (cell, check)) in cells.iter().zip(&checker.cells).enumerate() {
            let Some(column) = spec.columns.get(at) else { break };
            let value = value(cell, &mut scratch);
            let findings = &mut self.findings;
            let mut found = |rule| {
                let column = Some(at as u32);
                findings.push(Finding { row, rule, column, detail: Detail::None });
            };
            let is_key = spec.key == Some(at);
            let is_clear = value == CLEAR;
            if value.is_empty() || is_clear {
                let by_id = column.field.name == "Id" && spec.operation == Operation::Upsert;
                if is_key {
                    if !by_id {
                        found(CheckRule::MissingKey);
                    }
                } else if is_clear {
                    if !check.nillable {
                        found(CheckRule::Required);
                    }
                } else if column.field.is_required_on_create() {
                    match spec.operation {
                        Operation::Insert => found(CheckRule::Required),
                        Operation::Upsert => found(CheckRule::RequiredIfNew),
                        _ => {}
                    }
                }
                continue;
            }
            check.check(value, &mut found);
            if let Some(of_type) = record_type
                && let Some(offered) = of_type.get(&column.field.name)
                && column.field.restricted_picklist
            {
                let mut words = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
                let is_known = |word: &[u8]| {
                    column.field.picklist_values.iter().any(|value| value.value.as_bytes() == word)
                };
                if words.any(|word| is_known(word) && !offered.contains(word)) {
                    found(CheckRule::PicklistOfRecordType);
                }
            }
        }
        self.answers(row, cells);
        self.gather(row, cells);
    }

    /// The picklists of the row's record type, if they are known.
    fn record_type(&self, cells: &[Cell<'_>]) -> Option<&'c HashMap<String, HashSet<Vec<u8>>>> {
        let picklists = &self.checker.spec.picklists;
        if picklists.values.is_empty() {
            return None;
        }
        let mut scratch = Vec::new();
        let named = self.checker.record_type.and_then(|(at, by_name)| {
            let value = value(cells.get(at)?, &mut scratch);
            if value.is_empty() || value == CLEAR {
                return None;
            }
            Some(if by_name {
                let name = String::from_utf8_lossy(value).to_lowercase();
                picklists.by_name.get(&name).copied()
            } else {
                RecordId::parse(value).ok().map(|id| short(&id))
            })
        });
        // A record that is there has a record type that is not known here.
        let is_new = self.checker.spec.operation == Operation::Insert;
        let of = named.unwrap_or_else(|| picklists.default.filter(|_| is_new))?;
        picklists.values.get(&of)
    }

    /// What the org answered about the row's values.
    fn answers(&mut self, row: RowNumber, cells: &[Cell<'_>]) {
        if self.checker.answers.is_empty() {
            return;
        }
        let mut scratch = Vec::new();
        for (slot, asked) in self.checker.spec.asked.iter().enumerate() {
            let Some(cell) = cells.get(asked.column) else { continue };
            let value = value(cell, &mut scratch);
            if value.is_empty() || value == CLEAR {
                continue;
            }
            let hash = key_hash(asked.kind, KeyExactness::Folded, value);
            if let Some(&rule) = self.checker.answers.get(&(slot, hash)) {
                if asked.purpose == Purpose::New {
                    // What may be missing is, for there is no such record.
                    let own = self.findings.iter_mut().rev().take_while(|told| told.row == row);
                    for told in own.filter(|told| told.rule == CheckRule::RequiredIfNew) {
                        told.rule = rule;
                    }
                    continue;
                }
                let column = Some(asked.column as u32);
                // The form of the value has been told already.
                let is_told = self
                    .findings
                    .iter()
                    .rev()
                    .take_while(|told| told.row == row)
                    .any(|told| told.column == column && told.rule == rule);
                if !is_told {
                    self.findings.push(Finding { row, rule, column, detail: Detail::None });
                }
            }
        }
    }

    /// Keys for what takes more than one row.
    fn gather(&mut self, row: RowNumber, cells: &[Cell<'_>]) {
        let Some(stretch) = &mut self.stretch else { return };
        let mut scratch = Vec::new();
        for (slot, same) in self.checker.same.iter().enumerate() {
            let hash = match *same {
                SameSlot::Value { column, kind, .. } => {
                    let Some(cell) = cells.get(column) else { continue };
                    let value = value(cell, &mut scratch);
                    if value.is_empty() || value == CLEAR {
                        continue;
                    }
                    key_hash(kind, KeyExactness::Folded, value)
                }
                SameSlot::Row => {
                    self.hashes.clear();
                    for (cell, column) in cells.iter().zip(&self.checker.spec.columns) {
                        let kind = column.parent_key.as_ref().unwrap_or(&column.field).value_kind();
                        let value = value(cell, &mut scratch);
                        self.hashes.push(canonical_hash(kind, value));
                    }
                    let bytes: Vec<u8> =
                        self.hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
                    xxh3_64(&bytes)
                }
            };
            stretch.same(slot, hash, row);
        }
        for (slot, &column) in self.checker.ids.iter().enumerate() {
            let Some(cell) = cells.get(column) else { continue };
            let value = value(cell, &mut scratch);
            // One of 18 characters tells its case itself.
            if value.len() == 15 && RecordId::parse(value).is_ok() {
                let folded = value.to_ascii_lowercase();
                stretch.value(self.checker.spec.asked.len() + slot, xxh3_64(&folded), row, value);
            }
        }
        for (slot, asked) in self.checker.spec.asked.iter().enumerate() {
            let Some(cell) = cells.get(asked.column) else { continue };
            let value = value(cell, &mut scratch);
            if value.is_empty() || value == CLEAR {
                continue;
            }
            // What is no id has been told. Groups and queues own as well; they
            // can't be inactive.
            if asked.kind == ValueKind::Id
                && (RecordId::parse(value).is_err()
                    || (asked.purpose == Purpose::Owner && !value.starts_with(b"005")))
            {
                continue;
            }
            if asked.purpose == Purpose::New {
                let mut own = self.findings.iter().rev().take_while(|told| told.row == row);
                if !own.any(|told| told.rule == CheckRule::RequiredIfNew) {
                    continue;
                }
            }
            let hash = key_hash(asked.kind, KeyExactness::Folded, value);
            stretch.value(slot, hash, row, value);
        }
    }

    /// What spreadsheets did to the cells of the source.
    fn damage<'a, 'b: 'a>(
        &mut self,
        row: RowNumber,
        cell_at: impl Fn(usize) -> Option<&'a Cell<'b>>,
        is_same: bool,
    ) {
        let checker = self.checker;
        let mut scratch = Vec::new();
        for (at, (column, check)) in checker.spec.columns.iter().zip(&checker.cells).enumerate() {
            let Some(source) = column.source else { continue };
            let Some(cell) = cell_at(if is_same { at } else { source }) else { continue };
            let value = value(cell, &mut scratch);
            let column = Some(at as u32);
            if let Some(rule) = damage(value, check.is_text) {
                self.findings.push(Finding { row, rule, column, detail: Detail::None });
            }
            if !check.is_text {
                continue;
            }
            if let Some(stretch) = &mut self.stretch {
                stretch.width(at, value);
            }
            if let Some(expected) = checker.widths[at]
                && Widths::is_short(value, expected)
            {
                let rule = CheckRule::LostZeros;
                self.findings.push(Finding { row, rule, column, detail: Detail::None });
            }
        }
    }
}
