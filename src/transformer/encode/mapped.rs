//! Rows of a plan that makes values: every row is written anew, column by
//! column in the order in which they are sent.
//!
//! Cells are found once, up to the last that something needs, and unescaped
//! only where they are used. All room is used again, so that no value costs an
//! allocation. A row batch is worked on all threads, a stretch of records on
//! each.

use rayon::prelude::*;

use super::memo::{Flags, Memo, Recalled, Unknown};
use super::{
    Boolean, DOUBLE_DIGITS, Encoder, boolean, digits, has_foreign_line_end, with_line_ends,
};
use crate::domain::{MAX_FIELD_CHARS, MAX_RECORD_CHARS, ValueKind};
use crate::mapping::{self, Machine, Made, Room};
use crate::rows::{
    CLEAR, Cell, Cells, Changes, EMPTY_HASH, EncodedBatch, EncodedRow, KeyExactness, RawBatch,
    RawRecord, RecordChanges, Refusal, Rejection, RowFault, Rule, canonical_hash, key_hash,
    needs_quotes, plain_cells, write_cell,
};
use crate::transformer::{EmptyMeans, Plan, Treatment};

/// Records that are worth a thread of their own.
const LEAST_RECORDS: usize = 256;

/// What is done for one column that is sent.
struct Sent {
    /// The cell that goes as it stands; `None` for a value that is made.
    cell: Option<usize>,
    /// Where reasons find its name.
    place: u32,
    treatment: Treatment,
    kind: ValueKind,
    is_key: bool,
    text_slot: Option<usize>,
    /// Whether the field can be cleared.
    may_clear: bool,
    /// Whether an empty value clears it, where the mapping doesn't say.
    clears: bool,
    /// The cell whose values are remembered.
    memo_of: Option<usize>,
}

/// The plan as tables by sent column.
pub(super) struct MappedEncoder<'p> {
    base: Encoder,
    machine: &'p Machine,
    columns: Vec<Sent>,
    /// Cells of a row that are looked at.
    cells: usize,
}

/// Room that is used for every row.
#[derive(Default)]
struct Rooms {
    room: Room,
    scratch: Vec<u8>,
    /// By column.
    memos: Vec<Memo>,
}

impl<'p> MappedEncoder<'p> {
    pub(super) fn new(plan: &'p Plan, machine: &'p Machine) -> Self {
        let columns: Vec<Sent> = plan
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                let is_key = plan.key == Some(at);
                let may_clear =
                    !is_key && column.field != "Id" && column.treatment != Treatment::Boolean;
                let text_slot = plan.text_candidates.iter().position(|&watched| watched == at);
                Sent {
                    cell: column.source.filter(|_| column.recipe.is_none()),
                    place: plan.place_of(at) as u32,
                    treatment: column.treatment,
                    kind: column.kind,
                    is_key,
                    text_slot,
                    may_clear,
                    clears: may_clear && plan.empty == EmptyMeans::Clear,
                    // Keys hardly repeat, and their hash is wanted, too.
                    memo_of: machine
                        .worth_remembering(at)
                        .filter(|_| !is_key && text_slot.is_none()),
                }
            })
            .collect();
        let last = columns.iter().filter_map(|column| column.cell).max();
        let cells = machine.columns().max(last.map_or(0, |last| last + 1));
        MappedEncoder { base: Encoder::new(plan), machine, columns, cells }
    }

    pub(super) fn run(&self, batch: &RawBatch) -> EncodedBatch {
        let count = batch.records.len();
        let each = count.div_ceil(rayon::current_num_threads().max(1)).max(LEAST_RECORDS);
        if count <= each {
            return self.stretch(batch, &batch.records);
        }
        let parts: Vec<EncodedBatch> =
            batch.records.par_chunks(each).map(|records| self.stretch(batch, records)).collect();
        joined(parts, count)
    }

    /// Encodes some records of a batch; places are counted from the first.
    fn stretch(&self, batch: &RawBatch, records: &[RawRecord]) -> EncodedBatch {
        let count = records.len();
        let mut encoded = EncodedBatch {
            rows: Vec::with_capacity(count),
            keys: vec![EMPTY_HASH; if self.base.has_key { count } else { 0 }],
            texts: vec![EMPTY_HASH; self.base.text_columns * count],
            text_columns: self.base.text_columns,
            ..EncodedBatch::default()
        };
        let mut rooms = Rooms::default();
        rooms.memos.resize_with(self.columns.len(), Memo::default);
        let mut cells: Vec<Cell<'_>> = Vec::with_capacity(self.cells);
        let checked = text_of(batch, records);
        for (index, record) in records.iter().enumerate() {
            let begin = encoded.side.len();
            let mut changes = Changes::default();
            let written = match record.fault {
                Some(fault) => Err(Rejection::Fault(fault)),
                None => {
                    let text = batch.record(record);
                    cells.clear();
                    let (delimiter, quote) = (self.base.delimiter, self.base.quote);
                    if record.has_quotes {
                        cells.extend(Cells::new(text, delimiter, quote).take(self.cells));
                    } else {
                        plain_cells(text, delimiter, quote, self.cells, &mut cells);
                    }
                    let of_row = mapping::Cells::new(&cells, checked);
                    self.write_row(&cells, of_row, index, &mut encoded, &mut changes, &mut rooms)
                }
            };
            match written {
                Ok(()) => {
                    let (start, end) = (begin as u32, encoded.side.len() as u32);
                    encoded.rows.push(EncodedRow::Rewritten { start, end });
                    if !changes.is_empty() {
                        encoded.changes.push(RecordChanges { record: index as u32, changes });
                    }
                }
                Err(rejection) => {
                    encoded.side.truncate(begin);
                    encoded.rows.push(EncodedRow::Rejected(encoded.rejections.len() as u32));
                    encoded.rejections.push(rejection);
                }
            }
        }
        encoded
    }

    fn write_row(
        &self,
        cells: &[Cell<'_>],
        of_row: mapping::Cells<'_, '_>,
        index: usize,
        encoded: &mut EncodedBatch,
        changes: &mut Changes,
        rooms: &mut Rooms,
    ) -> Result<(), Rejection> {
        if !self.machine.lets_pass(of_row, &mut rooms.room) {
            return Err(Rejection::LeftOut);
        }
        let begin = encoded.side.len();
        for (at, column) in self.columns.iter().enumerate() {
            if at > 0 {
                encoded.side.push(self.base.out_delimiter);
            }
            let from = encoded.side.len();
            match column.cell {
                Some(cell) => {
                    let Some(cell) = cells.get(cell) else { continue };
                    self.pass(column, cell, index, encoded, changes, rooms)?;
                }
                None => {
                    let mut unknown = None;
                    if let Some(cell) = column.memo_of.and_then(|cell| cells.get(cell))
                        && let Some(memo) = rooms.memos.get_mut(at)
                    {
                        match memo.recall(cell) {
                            Recalled::Known(text, flags) => {
                                encoded.side.extend_from_slice(text);
                                changes.truncated += u64::from(flags.truncated);
                                changes.booleans += u64::from(flags.boolean);
                                continue;
                            }
                            Recalled::Unknown(cell) => unknown = Some(cell),
                            Recalled::Useless => {}
                        }
                    }
                    self.make(at, column, of_row, unknown, index, encoded, changes, rooms)?;
                }
            }
            // What is shorter in bytes needs no counting.
            if encoded.side.len() - from > MAX_FIELD_CHARS {
                self.check_cell(column, &encoded.side[from..])?;
            }
        }
        if encoded.side.len() == begin {
            // A lone empty cell; its line must not be blank.
            encoded.side.extend_from_slice(b"\"\"");
        }
        let written = &encoded.side[begin..];
        if written.len() > MAX_RECORD_CHARS {
            let chars = characters(written);
            if chars > MAX_RECORD_CHARS {
                return Err(Rejection::Fault(RowFault::RecordTooLong { chars: chars as u64 }));
            }
        }
        encoded.side.extend_from_slice(self.base.line_ending.bytes());
        Ok(())
    }

    /// A cell that goes as it stands.
    fn pass(
        &self,
        column: &Sent,
        cell: &Cell<'_>,
        index: usize,
        encoded: &mut EncodedBatch,
        changes: &mut Changes,
        rooms: &mut Rooms,
    ) -> Result<(), Rejection> {
        let is_clear = cell.raw == CLEAR;
        changes.na_cells += u64::from(is_clear);
        let word = treated(column, cell.raw, is_clear)?;
        self.hash(column, cell.value_in(&mut rooms.scratch), index, encoded);
        let out = &mut encoded.side;
        match word {
            Some(word) => {
                changes.booleans += 1;
                out.extend_from_slice(word);
            }
            None if column.clears && cell.raw.is_empty() => {
                changes.cleared += 1;
                out.extend_from_slice(CLEAR);
            }
            None => self.base.write(cell, out, changes, &mut rooms.scratch),
        }
        Ok(())
    }

    /// A value that is made.
    #[expect(clippy::too_many_arguments, reason = "the row's state, column by column")]
    fn make(
        &self,
        at: usize,
        column: &Sent,
        cells: mapping::Cells<'_, '_>,
        unknown: Option<Unknown<'_>>,
        index: usize,
        encoded: &mut EncodedBatch,
        changes: &mut Changes,
        rooms: &mut Rooms,
    ) -> Result<(), Rejection> {
        let refused = |refusal| Rejection::Refused { column: column.place, refusal };
        let made = self.machine.make(at, cells, &mut rooms.room).map_err(refused)?;
        let clears = match made {
            Made::Value { text, truncated } => {
                changes.truncated += u64::from(truncated);
                let value = text.as_bytes();
                let word = treated(column, value, value == CLEAR)?;
                self.hash(column, value, index, encoded);
                let out = &mut encoded.side;
                let begin = out.len();
                match word {
                    Some(word) => {
                        changes.booleans += 1;
                        out.extend_from_slice(word);
                    }
                    None if !needs_quotes(value, self.base.out_delimiter) => {
                        out.extend_from_slice(value);
                    }
                    None if has_foreign_line_end(value, self.base.line_ending) => {
                        changes.line_ends += 1;
                        let value = with_line_ends(value, self.base.line_ending);
                        write_cell(out, &value, self.base.out_delimiter);
                        // It counts as changed each time.
                        return Ok(());
                    }
                    None => write_cell(out, value, self.base.out_delimiter),
                }
                if let Some(cell) = unknown
                    && let Some(memo) = rooms.memos.get_mut(at)
                    && out.len() - begin <= MAX_FIELD_CHARS
                {
                    let flags = Flags { truncated, boolean: word.is_some() };
                    memo.note(cell, out.get(begin..).unwrap_or_default(), flags);
                }
                return Ok(());
            }
            Made::CellClears => {
                changes.na_cells += 1;
                treated(column, CLEAR, true)?;
                encoded.side.extend_from_slice(CLEAR);
                return Ok(());
            }
            Made::Nothing => column.clears,
            Made::Skip => false,
            Made::Clear => column.may_clear,
        };
        if clears {
            changes.cleared += 1;
            encoded.side.extend_from_slice(CLEAR);
        }
        Ok(())
    }

    fn hash(&self, column: &Sent, value: &[u8], index: usize, encoded: &mut EncodedBatch) {
        if column.is_key
            && let Some(key) = encoded.keys.get_mut(index)
        {
            *key = key_hash(column.kind, KeyExactness::Folded, value);
        }
        if let Some(slot) = column.text_slot
            && let Some(hash) = encoded.texts.get_mut(index * self.base.text_columns + slot)
        {
            *hash = canonical_hash(column.kind, value);
        }
    }

    /// The service's limit, on a cell that is long.
    fn check_cell(&self, column: &Sent, cell: &[u8]) -> Result<(), Rejection> {
        let Some(cell) = Cells::new(cell, self.base.out_delimiter, b'"').next() else {
            return Ok(());
        };
        let value = cell.value();
        let chars = characters(&value);
        if chars <= MAX_FIELD_CHARS {
            return Ok(());
        }
        Err(if column.cell.is_some() {
            let chars = chars as u64;
            Rejection::Fault(RowFault::FieldTooLong { column: column.place + 1, chars })
        } else {
            let value = std::str::from_utf8(&value).unwrap_or_default();
            let refusal = Refusal::new(Rule::TooLong, value);
            Rejection::Refused { column: column.place, refusal }
        })
    }
}

/// The text of some records, if all of it is UTF-8: checked at once, not cell by
/// cell. Where a row is none, its neighbours' cells are checked one by one.
fn text_of<'b>(batch: &'b RawBatch, records: &[RawRecord]) -> &'b str {
    let (Some(first), Some(last)) = (records.first(), records.last()) else { return "" };
    let bytes = batch.bytes.get(first.start as usize..last.end as usize);
    str::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
}

fn characters(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte & 0xC0 != 0x80).count()
}

/// What the treatment of a column makes of a value: the word that is sent in
/// its place, if another one is.
fn treated(
    column: &Sent,
    value: &[u8],
    is_clear: bool,
) -> Result<Option<&'static [u8]>, Rejection> {
    let place = column.place;
    match column.treatment {
        Treatment::Pass => Ok(None),
        Treatment::Boolean if is_clear => Err(Rejection::BooleanCleared { column: place }),
        Treatment::Boolean => match boolean(value) {
            Boolean::AsItStands => Ok(None),
            Boolean::Means(true) => Ok(Some(b"true")),
            Boolean::Means(false) => Ok(Some(b"false")),
            Boolean::Nothing => Err(Rejection::BooleanWord { column: place }),
        },
        Treatment::NumericKey => match digits(value) {
            digits if digits > DOUBLE_DIGITS => Err(Rejection::KeyDigits { column: place, digits }),
            _ => Ok(None),
        },
    }
}

/// Puts stretches of a batch together again.
fn joined(parts: Vec<EncodedBatch>, count: usize) -> EncodedBatch {
    let mut whole = EncodedBatch {
        rows: Vec::with_capacity(count),
        side: Vec::with_capacity(parts.iter().map(|part| part.side.len()).sum()),
        ..EncodedBatch::default()
    };
    for part in parts {
        let (first, side) = (whole.rows.len() as u32, whole.side.len() as u32);
        let rejections = whole.rejections.len() as u32;
        whole.rows.extend(part.rows.iter().map(|row| match *row {
            EncodedRow::Same => EncodedRow::Same,
            EncodedRow::Rewritten { start, end } => {
                EncodedRow::Rewritten { start: start + side, end: end + side }
            }
            EncodedRow::Rejected(at) => EncodedRow::Rejected(at + rejections),
        }));
        whole.side.extend_from_slice(&part.side);
        whole.rejections.extend(part.rejections);
        let changes = part.changes.into_iter();
        whole.changes.extend(changes.map(|changed| RecordChanges {
            record: changed.record + first,
            changes: changed.changes,
        }));
        whole.keys.extend(part.keys);
        whole.texts.extend(part.texts);
        whole.text_columns = part.text_columns;
    }
    whole
}
