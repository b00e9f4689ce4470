//! Columns to CSV text, row by row.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Float32Type, Float64Type, Int32Type, Int64Type, TimestampMillisecondType,
};
use arrow_array::{
    Array, ArrayRef, BinaryViewArray, BooleanArray, FixedSizeBinaryArray, Float32Array,
    Float64Array, ListArray,
};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::form::{Form, Unit};
use super::{Nulls, Place, text};
use crate::domain::MAX_FIELD_CHARS;
use crate::rows::{
    CLEAR, MAX_RECORD_BYTES, NoForm, RawRecord, RowFault, length_fault, write_cell, write_quoted,
};

/// Rows as CSV text: comma, `"`, LF, every record with its line end.
#[derive(Debug, Clone)]
pub struct RenderedBlock {
    /// The text.
    pub bytes: Vec<u8>,
    /// Where the records lie in it, as the record splitter would tell.
    pub records: Vec<RawRecord>,
}

/// Some rows as they are stored: one array for each column that is wanted.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) columns: Vec<ArrayRef>,
}

/// What a cell is written from.
#[derive(Debug)]
pub(super) enum Cell {
    /// The array at this place of the batch, in this form.
    Column(usize, Form),
    /// The same text in every row.
    Constant(Vec<u8>),
}

/// Writes rows in one layout.
#[derive(Debug)]
pub(super) struct Renderer {
    cells: Vec<Cell>,
    null: &'static [u8],
    zone: Option<TimeZone>,
    bytes_as_text: bool,
}

impl Renderer {
    /// For a layout; `wanted` are the columns of a batch, `form` tells the
    /// form of a column of the file.
    pub(super) fn new(
        layout: &[Place],
        wanted: &[usize],
        form: impl Fn(usize) -> Form,
        nulls: Nulls,
        zone: Option<TimeZone>,
        bytes_as_text: bool,
    ) -> Self {
        let null: &'static [u8] = match nulls {
            Nulls::Empty => b"",
            Nulls::Clear => CLEAR,
        };
        let cells = layout
            .iter()
            .map(|place| match place {
                Place::Column(column) => {
                    let slot = wanted.iter().position(|one| one == column).unwrap_or_default();
                    Cell::Column(slot, form(*column))
                }
                Place::Constant(None) => Cell::Constant(null.to_vec()),
                Place::Constant(Some(value)) => {
                    let mut text = Vec::new();
                    write_cell(&mut text, value.as_bytes(), b',');
                    Cell::Constant(text)
                }
            })
            .collect();
        Renderer { cells, null, zone, bytes_as_text }
    }

    /// Writes the rows `from..to` of a batch until there are `limit` bytes,
    /// but one row at least; also tells the row at which it stopped. `None`
    /// when an array is not what its column holds, which is for the caller to
    /// call damage.
    pub(super) fn render(
        &self,
        batch: &Batch,
        from: usize,
        to: usize,
        limit: usize,
    ) -> Option<(RenderedBlock, usize)> {
        let sources =
            self.cells.iter().map(|cell| self.source(cell, batch)).collect::<Option<Vec<_>>>()?;
        let mut line = Line {
            out: Vec::with_capacity(limit + limit / 16),
            start: 0,
            seen: 0,
            fault: None,
            not_utf8: None,
            lost: 0,
        };
        let mut records = Vec::with_capacity(to.saturating_sub(from));
        let mut row = from;
        while row < to && (row == from || line.out.len() < limit) {
            line.begin();
            for (at, source) in sources.iter().enumerate() {
                if at > 0 {
                    line.out.push(b',');
                }
                self.write(source, row, at as u32 + 1, &mut line);
            }
            records.push(line.end());
            row += 1;
        }
        Some((RenderedBlock { bytes: line.out, records }, row))
    }

    fn source<'a>(&'a self, cell: &'a Cell, batch: &'a Batch) -> Option<Source<'a>> {
        let (slot, form) = match cell {
            Cell::Constant(text) => return Some(Source::plain(Values::Constant(text))),
            Cell::Column(slot, form) => (*slot, *form),
        };
        let array = batch.columns.get(slot)?.as_ref();
        let values = match form {
            Form::Null => Values::Constant(self.null),
            Form::Boolean => Values::Boolean(array.as_boolean_opt()?),
            Form::Signed => Values::Signed(Numbers::of(array)?),
            Form::Unsigned => Values::Unsigned(Numbers::of(array)?),
            Form::Half => Values::Half(array.as_fixed_size_binary_opt()?),
            Form::Float => match array.as_primitive_opt::<Float64Type>() {
                Some(doubles) => Values::Double(doubles),
                None => Values::Float(array.as_primitive_opt::<Float32Type>()?),
            },
            Form::Decimal { scale } => match Numbers::of(array) {
                Some(numbers) => Values::Decimal(numbers, scale),
                None => Values::DecimalBytes(Bytes::of(array)?, scale),
            },
            Form::Date => Values::Date(Numbers::of(array)?),
            Form::DateMillis => Values::DateMillis(Numbers::of(array)?),
            Form::Moment { unit, local } => {
                let zone = if local { self.zone.as_ref() } else { None };
                Values::Moment(Numbers::of(array)?, unit, zone)
            }
            Form::Time { unit } => Values::Time(Numbers::of(array)?, unit),
            Form::Uuid => Values::Uuid(Bytes::of(array)?),
            Form::Text => Values::Text(Bytes::of(array)?),
            Form::Bytes if self.bytes_as_text => Values::Text(Bytes::of(array)?),
            Form::Bytes => Values::Base64(Bytes::of(array)?),
            Form::TextList => {
                let lists = array.as_list_opt::<i32>()?;
                Values::List(lists, lists.values().as_binary_view_opt()?)
            }
        };
        Some(Source { nulls: (array.null_count() > 0).then_some(array), values })
    }

    fn write(&self, source: &Source<'_>, row: usize, column: u32, line: &mut Line) {
        if source.nulls.is_some_and(|array| array.is_null(row)) {
            line.out.extend_from_slice(self.null);
            return;
        }
        let out = &mut line.out;
        let wrong = match &source.values {
            Values::Constant(text) => {
                line.constant(text);
                return;
            }
            Values::Text(bytes) => return line.text(bytes.get(row), column),
            Values::List(lists, texts) => return line.list(lists, texts, row, column),
            Values::Base64(bytes) => return line.base64(bytes.get(row), column),
            Values::Boolean(booleans) => {
                let text: &[u8] = if booleans.value(row) { b"true" } else { b"false" };
                out.extend_from_slice(text);
                return;
            }
            Values::Signed(numbers) => {
                text::signed(out, numbers.get(row));
                return;
            }
            Values::Unsigned(numbers) => {
                text::unsigned(out, numbers.unsigned(row));
                return;
            }
            Values::Decimal(numbers, scale) => {
                text::decimal(out, numbers.get(row), *scale);
                return;
            }
            Values::Uuid(bytes) => {
                text::uuid(out, bytes.get(row));
                return;
            }
            Values::Half(bytes) => {
                let two = bytes.value(row).try_into().unwrap_or_default();
                (!text::half(out, two)).then_some(NoForm::NotFinite)
            }
            Values::Float(floats) => {
                (!text::float(out, floats.value(row))).then_some(NoForm::NotFinite)
            }
            Values::Double(doubles) => {
                (!text::double(out, doubles.value(row))).then_some(NoForm::NotFinite)
            }
            Values::DecimalBytes(bytes, scale) => {
                (!text::decimal_bytes(out, bytes.get(row), *scale)).then_some(NoForm::Decimal)
            }
            Values::Date(days) => (!text::date(out, days.get(row))).then_some(NoForm::Date),
            Values::DateMillis(millis) => {
                let days = millis.get(row).div_euclid(text::DAY_MILLIS);
                (!text::date(out, days)).then_some(NoForm::Date)
            }
            Values::Moment(numbers, unit, zone) => {
                let millis = millis(numbers.get(row), *unit);
                let point = millis.and_then(|millis| match zone {
                    None => Some(millis),
                    Some(zone) => in_utc(millis, zone),
                });
                match (point, millis) {
                    (Some(millis), _) => (!text::moment(out, millis)).then_some(NoForm::Date),
                    (None, Some(wall)) => {
                        text::moment(out, wall);
                        Some(NoForm::Date)
                    }
                    (None, None) => {
                        text::signed(out, numbers.get(row));
                        Some(NoForm::Date)
                    }
                }
            }
            Values::Time(numbers, unit) => {
                let fits = millis(numbers.get(row), *unit).is_some_and(|at| text::time(out, at));
                (!fits).then_some(NoForm::Time)
            }
        };
        if let Some(what) = wrong {
            line.note(column, what);
        }
    }
}

/// A count of time in whole milliseconds, those before it began rounded down.
fn millis(number: i64, unit: Unit) -> Option<i64> {
    match unit {
        Unit::Seconds => number.checked_mul(1_000),
        Unit::Millis => Some(number),
        Unit::Micros => Some(number.div_euclid(1_000)),
        Unit::Nanos => Some(number.div_euclid(1_000_000)),
    }
}

/// The point in time at which clocks of a zone show this time. A time that a
/// clock skips is told by the offset before the gap, one it shows twice is the
/// first (what `java.time` and `Temporal` do, too).
fn in_utc(wall: i64, zone: &TimeZone) -> Option<i64> {
    let wall = Offset::UTC.to_datetime(Timestamp::from_millisecond(wall).ok()?);
    zone.to_timestamp(wall).ok().map(Timestamp::as_millisecond)
}

/// A cell's values, and where to ask whether they are null.
struct Source<'a> {
    nulls: Option<&'a dyn Array>,
    values: Values<'a>,
}

impl<'a> Source<'a> {
    fn plain(values: Values<'a>) -> Self {
        Source { nulls: None, values }
    }
}

enum Values<'a> {
    Constant(&'a [u8]),
    Boolean(&'a BooleanArray),
    Signed(Numbers<'a>),
    Unsigned(Numbers<'a>),
    Half(&'a FixedSizeBinaryArray),
    Float(&'a Float32Array),
    Double(&'a Float64Array),
    Decimal(Numbers<'a>, i32),
    DecimalBytes(Bytes<'a>, i32),
    Date(Numbers<'a>),
    DateMillis(Numbers<'a>),
    Moment(Numbers<'a>, Unit, Option<&'a TimeZone>),
    Time(Numbers<'a>, Unit),
    Uuid(Bytes<'a>),
    Text(Bytes<'a>),
    Base64(Bytes<'a>),
    List(&'a ListArray, &'a BinaryViewArray),
}

/// Whole numbers of 32 or 64 bits.
enum Numbers<'a> {
    Narrow(&'a [i32]),
    Wide(&'a [i64]),
}

impl<'a> Numbers<'a> {
    fn of(array: &'a dyn Array) -> Option<Self> {
        if let Some(narrow) = array.as_primitive_opt::<Int32Type>() {
            return Some(Numbers::Narrow(narrow.values()));
        }
        if let Some(wide) = array.as_primitive_opt::<Int64Type>() {
            return Some(Numbers::Wide(wide.values()));
        }
        let millis = array.as_primitive_opt::<TimestampMillisecondType>()?;
        Some(Numbers::Wide(millis.values()))
    }

    fn get(&self, row: usize) -> i64 {
        match self {
            Numbers::Narrow(numbers) => i64::from(numbers[row]),
            Numbers::Wide(numbers) => numbers[row],
        }
    }

    fn unsigned(&self, row: usize) -> u64 {
        match self {
            Numbers::Narrow(numbers) => u64::from(numbers[row].cast_unsigned()),
            Numbers::Wide(numbers) => numbers[row].cast_unsigned(),
        }
    }
}

/// Bytes of any or of one length.
enum Bytes<'a> {
    View(&'a BinaryViewArray),
    Fixed(&'a FixedSizeBinaryArray),
}

impl<'a> Bytes<'a> {
    fn of(array: &'a dyn Array) -> Option<Self> {
        match array.as_binary_view_opt() {
            Some(view) => Some(Bytes::View(view)),
            None => array.as_fixed_size_binary_opt().map(Bytes::Fixed),
        }
    }

    fn get(&self, row: usize) -> &'a [u8] {
        match self {
            Bytes::View(view) => view.value(row),
            Bytes::Fixed(fixed) => fixed.value(row),
        }
    }
}

/// What kinds of byte a text holds.
const COMMA: u8 = 1;
const QUOTE: u8 = 2;
const BREAK: u8 = 4;
const NUL: u8 = 8;
const HIGH: u8 = 16;

const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    kinds[b',' as usize] = COMMA;
    kinds[b'"' as usize] = QUOTE;
    kinds[b'\n' as usize] = BREAK;
    kinds[b'\r' as usize] = BREAK;
    kinds[0] = NUL;
    let mut high = 128;
    while high < 256 {
        kinds[high] = HIGH;
        high += 1;
    }
    kinds
};

fn kinds(text: &[u8]) -> u8 {
    text.iter().fold(0, |seen, &byte| seen | KINDS[usize::from(byte)])
}

/// The record that is being written, and what was seen of it.
struct Line {
    out: Vec<u8>,
    /// Where it begins.
    start: usize,
    /// Kinds of byte in its texts.
    seen: u8,
    fault: Option<RowFault>,
    /// The first column that is not UTF-8.
    not_utf8: Option<u32>,
    /// Characters that are not written, because no record is so long.
    lost: u64,
}

impl Line {
    fn begin(&mut self) {
        self.start = self.out.len();
        self.seen = 0;
        self.fault = None;
        self.not_utf8 = None;
        self.lost = 0;
    }

    /// The first fault counts.
    fn note(&mut self, column: u32, what: NoForm) {
        self.fault.get_or_insert(RowFault::NoForm { column, what });
    }

    fn constant(&mut self, text: &[u8]) {
        if text.first() == Some(&b'"') {
            self.seen |= kinds(text);
        }
        self.out.extend_from_slice(text);
    }

    fn text(&mut self, value: &[u8], column: u32) {
        let seen = kinds(value);
        if seen == 0 && value.len() <= MAX_FIELD_CHARS {
            self.out.extend_from_slice(value);
            return;
        }
        if seen & NUL != 0 {
            // A file with a NUL byte is no text, not even for the rejected.
            self.note(column, NoForm::NulByte);
            let shown: Vec<u8> =
                value.iter().map(|&byte| if byte == 0 { b'?' } else { byte }).collect();
            return self.any_text(&shown, seen, column);
        }
        self.any_text(value, seen, column);
    }

    fn any_text(&mut self, value: &[u8], seen: u8, column: u32) {
        if seen & HIGH != 0
            && self.not_utf8.is_none()
            && self.fault.is_none()
            && std::str::from_utf8(value).is_err()
        {
            self.not_utf8 = Some(column);
            // Its place is known when the record is there.
            self.fault = Some(RowFault::Utf8 { column, at: 0 });
        }
        let value = self.cut(value, column);
        self.seen |= seen;
        if seen & (COMMA | QUOTE | BREAK) == 0 {
            self.out.extend_from_slice(value);
            return;
        }
        // What makes quotes necessary may have been cut off.
        self.seen |= QUOTE;
        write_quoted(&mut self.out, value);
    }

    /// As much of a text as the longest record has room for. What is longer is
    /// refused by the service anyway, and must not take all the memory.
    fn cut<'v>(&mut self, value: &'v [u8], column: u32) -> &'v [u8] {
        let room = MAX_RECORD_BYTES.saturating_sub(self.out.len() - self.start);
        if value.len() <= room {
            return value;
        }
        let all = characters(value);
        let mut kept = room;
        while kept > 0 && value[kept] & 0xC0 == 0x80 {
            kept -= 1;
        }
        let value = &value[..kept];
        self.lost += all - characters(value);
        if all > MAX_FIELD_CHARS as u64 {
            self.fault.get_or_insert(RowFault::FieldTooLong { column, chars: all });
        }
        value
    }

    fn base64(&mut self, value: &[u8], column: u32) {
        let room = MAX_RECORD_BYTES.saturating_sub(self.out.len() - self.start) / 4 * 3;
        let chars = value.len() as u64;
        let chars = chars.div_ceil(3) * 4;
        if value.len() > room {
            self.lost += chars - (room / 3 * 4) as u64;
            if chars > MAX_FIELD_CHARS as u64 {
                self.fault.get_or_insert(RowFault::FieldTooLong { column, chars });
            }
        }
        text::base64(&mut self.out, &value[..value.len().min(room)]);
    }

    fn list(&mut self, lists: &ListArray, texts: &BinaryViewArray, row: usize, column: u32) {
        let offsets = lists.value_offsets();
        let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
        if to - from == 1
            && texts.is_valid(from)
            && memchr::memchr(b';', texts.value(from)).is_none()
        {
            return self.text(texts.value(from), column);
        }
        let mut joined = Vec::new();
        for at in from..to {
            if at > from {
                joined.push(b';');
            }
            if texts.is_null(at) {
                self.note(column, NoForm::NullInList);
                continue;
            }
            let text = texts.value(at);
            if memchr::memchr(b';', text).is_some() {
                self.note(column, NoForm::SemicolonInList);
            }
            joined.extend_from_slice(text);
        }
        self.text(&joined, column);
    }

    fn end(&mut self) -> RawRecord {
        if self.out.len() == self.start {
            // A blank line would be no row.
            self.out.extend_from_slice(b"\"\"");
            self.seen |= QUOTE;
        }
        let end = self.out.len();
        let record = &self.out[self.start..end];
        if let Some(column) = self.not_utf8
            && let Err(error) = std::str::from_utf8(record)
        {
            self.fault = Some(RowFault::Utf8 { column, at: error.valid_up_to() as u32 });
        }
        if self.fault.is_none() {
            self.fault = if self.lost > 0 {
                Some(RowFault::RecordTooLong { chars: characters(record) + self.lost })
            } else {
                length_fault(record, b',', b'"')
            };
        }
        self.out.push(b'\n');
        RawRecord {
            start: self.start as u32,
            end: end as u32,
            next: end as u32 + 1,
            has_quotes: self.seen & QUOTE != 0,
            has_line_break: self.seen & BREAK != 0,
            has_stray_quote: false,
            fault: self.fault,
        }
    }
}

/// Characters of UTF-8 text: bytes that do not continue one.
fn characters(text: &[u8]) -> u64 {
    text.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() as u64
}
