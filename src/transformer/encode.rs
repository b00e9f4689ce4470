//! The plan applied to a row batch.
//!
//! Three costs, each paid only by the rows that need it: nothing but flags is
//! looked at in a plain row of a plain plan; cells are walked up to the last
//! column that something depends on (a boolean, a key, a text column that may
//! be unique); a row is written anew only when a byte of it changes.

mod mapped;
mod memo;

use memchr::{memchr, memchr2, memmem};

use super::{EmptyMeans, Plan, Treatment};
use crate::domain::{LineEnding, MAX_FIELD_CHARS, MAX_RECORD_CHARS, ValueKind};
use crate::rows::{
    CLEAR, Cell, Cells, Changes, EMPTY_HASH, EncodedBatch, EncodedRow, KeyExactness, RawBatch,
    RawRecord, RecordChanges, Rejection, RowFault, canonical_hash, key_hash, write_cell,
    write_quoted,
};

/// Digits of a number that survive in a double, whatever the number.
const DOUBLE_DIGITS: u32 = 15;

impl Plan {
    /// Encodes a row batch. Batches don't depend on each other, so they may be
    /// worked in parallel.
    ///
    /// Every row is rejected by a plan that is not ready ([`Plan::is_ready`]).
    pub fn apply(&self, batch: &RawBatch) -> EncodedBatch {
        match (&self.mapping, &self.machine.0) {
            (None, _) => Encoder::new(self).run(batch),
            (Some(_), Some(machine)) => mapped::MappedEncoder::new(self, machine).run(batch),
            (Some(_), None) => reject_all(batch),
        }
    }
}

/// Nothing is sent by recipes that can't work.
fn reject_all(batch: &RawBatch) -> EncodedBatch {
    let rows = (0..batch.records.len() as u32).map(EncodedRow::Rejected).collect();
    let rejections = vec![Rejection::NotReady; batch.records.len()];
    EncodedBatch { rows, rejections, ..EncodedBatch::default() }
}

/// What is to be done with the cells of one source column.
#[derive(Debug, Clone, Copy)]
struct Action {
    sent: bool,
    treatment: Treatment,
    kind: ValueKind,
    is_key: bool,
    /// Its place among the text columns watched for being unique.
    text_slot: Option<usize>,
    /// Whether an empty cell is sent as `#N/A`.
    clears: bool,
}

impl Action {
    const DROP: Action = Action {
        sent: false,
        treatment: Treatment::Pass,
        kind: ValueKind::Text { case_sensitive: false },
        is_key: false,
        text_slot: None,
        clears: false,
    };

    const fn needs_look(&self) -> bool {
        self.is_key
            || self.text_slot.is_some()
            || self.clears
            || !matches!(self.treatment, Treatment::Pass)
    }
}

/// The plan as tables by source column.
struct Encoder {
    actions: Vec<Action>,
    /// How many columns from the left must be looked at in every row.
    watched: usize,
    rewrites_all: bool,
    keeps_dialect: bool,
    delimiter: u8,
    quote: u8,
    out_delimiter: u8,
    line_ending: LineEnding,
    has_key: bool,
    text_columns: usize,
}

/// What the look at a row found.
#[derive(Default)]
struct Seen {
    changes: Changes,
    rejection: Option<Rejection>,
}

impl Encoder {
    fn new(plan: &Plan) -> Self {
        let mut actions = vec![Action::DROP; plan.header.len()];
        for (at, column) in plan.columns.iter().enumerate() {
            let is_key = plan.key == Some(at);
            let Some(action) = column.source.and_then(|at| actions.get_mut(at)) else { continue };
            *action = Action {
                sent: true,
                treatment: column.treatment,
                kind: column.kind,
                is_key,
                text_slot: plan.text_candidates.iter().position(|&candidate| candidate == at),
                clears: plan.empty == EmptyMeans::Clear
                    && !is_key
                    && column.field != "Id"
                    && column.treatment != Treatment::Boolean,
            };
        }
        let watched =
            actions.iter().rposition(Action::needs_look).map_or(0, |last_watched| last_watched + 1);
        Encoder {
            watched,
            actions,
            rewrites_all: !plan.is_identity(),
            keeps_dialect: plan.keeps_dialect(),
            delimiter: plan.source.delimiter,
            quote: plan.source.quote,
            out_delimiter: plan.delimiter.byte(),
            line_ending: plan.line_ending,
            has_key: plan.key.is_some(),
            text_columns: plan.text_candidates.len(),
        }
    }

    fn run(&self, batch: &RawBatch) -> EncodedBatch {
        let count = batch.records.len();
        let mut encoded = EncodedBatch {
            rows: Vec::with_capacity(count),
            keys: vec![EMPTY_HASH; if self.has_key { count } else { 0 }],
            texts: vec![EMPTY_HASH; self.text_columns * count],
            text_columns: self.text_columns,
            ..EncodedBatch::default()
        };
        let clear = memmem::Finder::new(CLEAR);
        let batch_clears = clear.find(&batch.bytes).is_some();
        let mut scratch = Vec::new();
        for (index, record) in batch.records.iter().enumerate() {
            let reject = |encoded: &mut EncodedBatch, rejection| {
                encoded.rows.push(EncodedRow::Rejected(encoded.rejections.len() as u32));
                encoded.rejections.push(rejection);
            };
            if let Some(fault) = record.fault {
                reject(&mut encoded, Rejection::Fault(fault));
                continue;
            }
            let text = batch.record(record);
            let looks_for_clear = batch_clears && clear.find(text).is_some();
            let mut seen = Seen::default();
            let columns = if looks_for_clear { self.actions.len() } else { self.watched };
            if columns > 0 {
                self.look(text, columns, index, &mut encoded, &mut seen, &mut scratch);
                if let Some(rejection) = seen.rejection {
                    reject(&mut encoded, rejection);
                    continue;
                }
            }
            let begin = encoded.side.len();
            let mut changes = seen.changes;
            if self.rewrites_all
                || changes.booleans + changes.cleared > 0
                || record.has_stray_quote
                || (record.has_line_break && has_foreign_line_end(text, self.line_ending))
            {
                if let Err(rejection) =
                    self.rewrite(text, &mut encoded.side, &mut changes, &mut scratch)
                {
                    encoded.side.truncate(begin);
                    reject(&mut encoded, rejection);
                    continue;
                }
            } else if !self.ends_right(batch, record) {
                encoded.side.extend_from_slice(text);
                encoded.side.extend_from_slice(self.line_ending.bytes());
            }
            let row = if encoded.side.len() == begin {
                EncodedRow::Same
            } else {
                EncodedRow::Rewritten { start: begin as u32, end: encoded.side.len() as u32 }
            };
            encoded.rows.push(row);
            if !changes.is_empty() {
                encoded.changes.push(RecordChanges { record: index as u32, changes });
            }
        }
        encoded
    }

    /// Whether a record ends as the job's lines do. The last one of a source
    /// may lack its line end; the chunker sees to that.
    fn ends_right(&self, batch: &RawBatch, record: &RawRecord) -> bool {
        let line_end =
            batch.bytes.get(record.end as usize..record.next as usize).unwrap_or_default();
        line_end.is_empty() || line_end == self.line_ending.bytes()
    }

    /// Looks at the first `columns` cells of a record.
    fn look(
        &self,
        text: &[u8],
        columns: usize,
        index: usize,
        encoded: &mut EncodedBatch,
        seen: &mut Seen,
        scratch: &mut Vec<u8>,
    ) {
        let cells = Cells::new(text, self.delimiter, self.quote);
        for (column, (cell, action)) in cells.zip(&self.actions).take(columns).enumerate() {
            if !action.sent {
                continue;
            }
            let column = column as u32;
            let is_clear = cell.raw == CLEAR;
            if is_clear {
                seen.changes.na_cells += 1;
            }
            match action.treatment {
                Treatment::Pass => {}
                Treatment::Boolean if is_clear => {
                    seen.rejection = Some(Rejection::BooleanCleared { column });
                    return;
                }
                Treatment::Boolean => match boolean(cell.raw) {
                    Boolean::AsItStands => {}
                    Boolean::Means(_) => seen.changes.booleans += 1,
                    Boolean::Nothing => {
                        seen.rejection = Some(Rejection::BooleanWord { column });
                        return;
                    }
                },
                Treatment::NumericKey => {
                    let digits = digits(cell.raw);
                    if digits > DOUBLE_DIGITS {
                        seen.rejection = Some(Rejection::KeyDigits { column, digits });
                        return;
                    }
                }
            }
            if action.clears && cell.raw.is_empty() {
                seen.changes.cleared += 1;
            }
            if action.is_key
                && let Some(key) = encoded.keys.get_mut(index)
            {
                *key = key_hash(action.kind, KeyExactness::Folded, cell.value_in(scratch));
            }
            if let Some(slot) = action.text_slot
                && let Some(hash) = encoded.texts.get_mut(index * self.text_columns + slot)
            {
                *hash = canonical_hash(action.kind, cell.value_in(scratch));
            }
        }
    }

    /// Writes a record anew, with the job's line end.
    fn rewrite(
        &self,
        text: &[u8],
        out: &mut Vec<u8>,
        changes: &mut Changes,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Rejection> {
        let begin = out.len();
        let mut is_first = true;
        for (cell, action) in Cells::new(text, self.delimiter, self.quote).zip(&self.actions) {
            if !action.sent {
                continue;
            }
            if !is_first {
                out.push(self.out_delimiter);
            }
            is_first = false;
            match action.treatment {
                Treatment::Boolean => match boolean(cell.raw) {
                    Boolean::Means(true) => out.extend_from_slice(b"true"),
                    Boolean::Means(false) => out.extend_from_slice(b"false"),
                    Boolean::AsItStands | Boolean::Nothing => {
                        self.write(&cell, out, changes, scratch);
                    }
                },
                _ if action.clears && cell.raw.is_empty() => out.extend_from_slice(CLEAR),
                _ => self.write(&cell, out, changes, scratch),
            }
        }
        if out.len() == begin {
            // A lone empty cell; its line must not be blank.
            out.extend_from_slice(b"\"\"");
        }
        // What is shorter in bytes than a cell may be in characters needs no
        // counting; only line ends and `#N/A` make a row longer.
        let written = out.len() - begin;
        let has_grown = changes.line_ends + changes.cleared > 0;
        if (written > MAX_FIELD_CHARS && has_grown) || written > MAX_RECORD_CHARS {
            self.check_length(&out[begin..])?;
        }
        out.extend_from_slice(self.line_ending.bytes());
        Ok(())
    }

    /// Writes a cell whose value stays what it is, line ends apart.
    fn write(
        &self,
        cell: &Cell<'_>,
        out: &mut Vec<u8>,
        changes: &mut Changes,
        scratch: &mut Vec<u8>,
    ) {
        let has_foreign = has_foreign_line_end(cell.raw, self.line_ending);
        let is_stray = !cell.quoted && memchr(self.quote, cell.raw).is_some();
        changes.requoted += u64::from(is_stray);
        changes.line_ends += u64::from(has_foreign);
        if self.keeps_dialect && !has_foreign && !is_stray {
            if cell.quoted {
                out.push(b'"');
                out.extend_from_slice(cell.raw);
                out.push(b'"');
            } else {
                out.extend_from_slice(cell.raw);
            }
            return;
        }
        let value = cell.value_in(scratch);
        let converted;
        let value = if has_foreign {
            converted = with_line_ends(value, self.line_ending);
            converted.as_slice()
        } else {
            value
        };
        if cell.quoted {
            write_quoted(out, value);
        } else {
            write_cell(out, value, self.out_delimiter);
        }
    }

    /// The service's limits, on a record that became longer.
    fn check_length(&self, record: &[u8]) -> Result<(), Rejection> {
        let characters = |text: &[u8]| text.iter().filter(|&&byte| byte & 0xC0 != 0x80).count();
        let sent = self.actions.iter().enumerate().filter(|(_, action)| action.sent);
        for ((column, _), cell) in sent.zip(Cells::new(record, self.out_delimiter, b'"')) {
            let chars = characters(&cell.value());
            if chars > MAX_FIELD_CHARS {
                let fault =
                    RowFault::FieldTooLong { column: column as u32 + 1, chars: chars as u64 };
                return Err(Rejection::Fault(fault));
            }
        }
        let whole = characters(record);
        if whole > MAX_RECORD_CHARS {
            return Err(Rejection::Fault(RowFault::RecordTooLong { chars: whole as u64 }));
        }
        Ok(())
    }
}

/// What the cell of a boolean field says.
enum Boolean {
    /// What the service reads, or nothing at all.
    AsItStands,
    /// A word that we know and it doesn't, or not for sure.
    Means(bool),
    /// Anything else; the service would read it as false.
    Nothing,
}

fn boolean(cell: &[u8]) -> Boolean {
    let is = |word: &[u8], one: &str| word.eq_ignore_ascii_case(one.as_bytes());
    if cell.is_empty() || is(cell, "true") || is(cell, "false") {
        return Boolean::AsItStands;
    }
    let word = cell.trim_ascii();
    if ["true", "yes", "y", "on", "1"].into_iter().any(|known| is(word, known)) {
        Boolean::Means(true)
    } else if ["false", "no", "n", "off", "0"].into_iter().any(|known| is(word, known)) {
        Boolean::Means(false)
    } else {
        Boolean::Nothing
    }
}

/// Digits of a decimal number, leading zeros and trailing ones of the fraction
/// left aside; 0 for what is no number (the org will say so).
fn digits(cell: &[u8]) -> u32 {
    let cell = cell.trim_ascii();
    let number = cell.strip_prefix(b"-").or_else(|| cell.strip_prefix(b"+")).unwrap_or(cell);
    let mantissa = memchr2(b'e', b'E', number).map_or(number, |at| &number[..at]);
    let (whole, fraction) = match memchr(b'.', mantissa) {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, b"".as_slice()),
    };
    if !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return 0;
    }
    let trailing = fraction.iter().rev().take_while(|&&digit| digit == b'0').count();
    let significant = whole.iter().chain(&fraction[..fraction.len() - trailing]);
    significant.skip_while(|&&digit| digit == b'0').count() as u32
}

/// Whether a line end in a text differs from those of the job.
fn has_foreign_line_end(text: &[u8], job: LineEnding) -> bool {
    match job {
        LineEnding::Lf => memchr(b'\r', text).is_some(),
        LineEnding::Crlf => {
            let mut at = 0;
            while let Some(found) = memchr2(b'\r', b'\n', &text[at..]) {
                if !text[at + found..].starts_with(b"\r\n") {
                    return true;
                }
                at += found + 2;
            }
            false
        }
    }
}

/// A text with every line end (CRLF, lone CR, lone LF) as that of the job.
fn with_line_ends(text: &[u8], job: LineEnding) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = memchr2(b'\r', b'\n', rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(job.bytes());
        let len = if rest[at..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[at + len..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests;
