//! Field values: read from the cells of an upload by the rules of the field's
//! type, shown the way the service shows them (protocol notes, sections 3, 4.1, 5.4).
//!
//! Nothing is trimmed: blanks are data. What a cell *means* (empty, `#N/A`)
//! is the caller's affair; these rules see a text that is a value.

pub(crate) mod number;
mod row_error;
pub(crate) mod temporal;

use std::borrow::Cow;

use super::catalogue::{FieldDef, FieldKind};
use super::ids::RecordKey;
pub(crate) use row_error::RowError;

/// A value of a field. `S` is the text's owner: `String` in records, borrowed
/// on the way through the worker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<S = String> {
    /// No value.
    Null,
    /// Any kind of text, never empty.
    Text(S),
    /// Doubles, currencies, percentages.
    Number(f64),
    /// Whole numbers.
    Int(i64),
    /// Booleans.
    Bool(bool),
    /// Days since 1970-01-01.
    Date(i32),
    /// Milliseconds since 1970 in UTC.
    DateTime(i64),
    /// Milliseconds since midnight.
    Time(i32),
    /// A record's own id or a lookup.
    Id(RecordKey),
}

/// What the protocol leaves open about reading a cell; see `Settings` of the
/// same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParseRules {
    /// `1940-06-07Z` is a date.
    pub dates_with_offset: bool,
    /// `1` and `0` are booleans.
    pub digit_booleans: bool,
    /// Words that are no boolean are false, not an error.
    pub other_words_are_false: bool,
    /// Instants are kept to the second.
    pub whole_seconds: bool,
}

impl Default for ParseRules {
    fn default() -> ParseRules {
        ParseRules {
            dates_with_offset: true,
            digit_booleans: true,
            other_words_are_false: true,
            whole_seconds: true,
        }
    }
}

impl Value {
    /// Reads a cell that holds a value, by the usual rules.
    ///
    /// # Errors
    /// When the text doesn't fit the field, as the row's `sf__Error` tells it.
    pub(crate) fn parse(field: &FieldDef, cell: &str) -> Result<Value, RowError> {
        parse(field, cell, ParseRules::default()).map(Value::into_owned)
    }
}

impl<'a> Value<&'a str> {
    /// The same value, its text made another.
    fn map<T>(self, text_of: impl FnOnce(&'a str) -> T) -> Value<T> {
        match self {
            Value::Text(text) => Value::Text(text_of(text)),
            Value::Null => Value::Null,
            Value::Number(number) => Value::Number(number),
            Value::Int(number) => Value::Int(number),
            Value::Bool(truth) => Value::Bool(truth),
            Value::Date(days) => Value::Date(days),
            Value::DateTime(ms) => Value::DateTime(ms),
            Value::Time(ms) => Value::Time(ms),
            Value::Id(key) => Value::Id(key),
        }
    }
}

impl<S: AsRef<str>> Value<S> {
    /// The same value, its text borrowed.
    pub(crate) fn view(&self) -> Value<&str> {
        match self {
            Value::Null => Value::Null,
            Value::Text(text) => Value::Text(text.as_ref()),
            Value::Number(number) => Value::Number(*number),
            Value::Int(number) => Value::Int(*number),
            Value::Bool(truth) => Value::Bool(*truth),
            Value::Date(days) => Value::Date(*days),
            Value::DateTime(ms) => Value::DateTime(*ms),
            Value::Time(ms) => Value::Time(*ms),
            Value::Id(key) => Value::Id(*key),
        }
    }

    /// The same value, its text borrowed where that is possible.
    pub(crate) fn borrowed(&self) -> Value<Cow<'_, str>> {
        self.view().map(Cow::Borrowed)
    }

    /// The same value, owning its text.
    pub(crate) fn into_owned(self) -> Value {
        self.view().map(str::to_owned)
    }

    /// No value.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Appends it as Bulk CSV shows it, without quotes: doubles the way Java
    /// prints them, instants as `2026-04-16T19:00:00.000Z`.
    pub(crate) fn write_bulk(&self, out: &mut Vec<u8>) {
        match self {
            Value::Null => {}
            Value::Text(text) => out.extend_from_slice(text.as_ref().as_bytes()),
            Value::Number(number) => number::write_double(out, *number),
            Value::Int(number) => number::write_int(out, *number),
            Value::Bool(true) => out.extend_from_slice(b"true"),
            Value::Bool(false) => out.extend_from_slice(b"false"),
            Value::Date(days) => temporal::write_date(out, *days),
            Value::DateTime(ms) => temporal::write_datetime(out, *ms, b"Z"),
            Value::Time(ms) => temporal::write_time(out, *ms),
            Value::Id(key) => out.extend_from_slice(&key.to_18()),
        }
    }

    /// As Bulk CSV shows it, without quotes.
    pub(crate) fn bulk_text(&self) -> Cow<'_, str> {
        if let Value::Text(text) = self {
            return Cow::Borrowed(text.as_ref());
        }
        let mut out = Vec::new();
        self.write_bulk(&mut out);
        Cow::Owned(String::from_utf8(out).unwrap_or_default())
    }

    /// As REST shows it: numbers as numbers, instants with `+0000`, booleans
    /// never null.
    pub(crate) fn json(&self, field: &FieldDef) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Value::Null if field.kind == FieldKind::Boolean => Json::Bool(false),
            Value::Null => Json::Null,
            Value::Text(text) => Json::from(text.as_ref()),
            // 2^53: beyond it a double has no whole-number form of its own, nor
            // has the negative zero.
            Value::Number(n)
                if n.fract() == 0.0
                    && n.abs() < 9_007_199_254_740_992.0
                    && n.to_bits() != (-0.0_f64).to_bits() =>
            {
                Json::from(*n as i64)
            }
            Value::Number(number) => Json::from(*number),
            Value::Int(number) => Json::from(*number),
            Value::Bool(truth) => Json::from(*truth),
            Value::DateTime(ms) => {
                let mut out = Vec::new();
                temporal::write_datetime(&mut out, *ms, b"+0000");
                Json::from(String::from_utf8(out).unwrap_or_default())
            }
            Value::Date(_) | Value::Time(_) | Value::Id(_) => Json::from(self.bulk_text()),
        }
    }
}

/// Reads a cell that holds a value.
///
/// # Errors
/// When the text doesn't fit the field: its type's format, length, range or
/// restricted picklist.
pub(crate) fn parse<'a>(
    field: &FieldDef,
    cell: &'a str,
    rules: ParseRules,
) -> Result<Value<Cow<'a, str>>, RowError> {
    match field.kind {
        FieldKind::Boolean => parse_boolean(field, cell, rules),
        FieldKind::Int | FieldKind::Long => parse_int(field, cell),
        FieldKind::Double | FieldKind::Currency | FieldKind::Percent => parse_number(field, cell),
        FieldKind::Date => temporal::parse_date(cell, rules.dates_with_offset)
            .map(Value::Date)
            .ok_or_else(|| RowError::wrong_type(field, cell)),
        FieldKind::DateTime => temporal::parse_datetime(cell)
            .map(|ms| if rules.whole_seconds { ms - ms.rem_euclid(1000) } else { ms })
            .map(Value::DateTime)
            .ok_or_else(|| RowError::wrong_type(field, cell)),
        FieldKind::Time => temporal::parse_time(cell)
            .map(Value::Time)
            .ok_or_else(|| RowError::wrong_type(field, cell)),
        FieldKind::Id | FieldKind::Reference => {
            RecordKey::parse(cell).map(Value::Id).ok_or_else(|| RowError::bad_id(field, cell))
        }
        FieldKind::Picklist => {
            fits(field, cell)?;
            if field.restricted_picklist && !offers(field, cell) {
                return Err(RowError::bad_picklist(field, cell));
            }
            Ok(Value::Text(Cow::Borrowed(cell)))
        }
        FieldKind::MultiPicklist => parse_multi(field, cell),
        FieldKind::Email => {
            fits(field, cell)?;
            if is_email(cell) {
                Ok(Value::Text(Cow::Borrowed(cell)))
            } else {
                Err(RowError::bad_email(field, cell))
            }
        }
        FieldKind::Base64 | FieldKind::Address | FieldKind::Location | FieldKind::AnyType => {
            Err(RowError::wrong_type(field, cell))
        }
        FieldKind::String
        | FieldKind::TextArea
        | FieldKind::Phone
        | FieldKind::Url
        | FieldKind::EncryptedString
        | FieldKind::ComboBox => {
            fits(field, cell)?;
            Ok(Value::Text(Cow::Borrowed(cell)))
        }
    }
}

/// The field's length, in characters; 0 is none.
fn fits(field: &FieldDef, cell: &str) -> Result<(), RowError> {
    let limit = field.length as usize;
    // Bytes are never fewer than characters, and quick to count.
    if limit == 0 || cell.len() <= limit || cell.chars().count() <= limit {
        Ok(())
    } else {
        Err(RowError::too_long(field, cell))
    }
}

fn offers(field: &FieldDef, value: &str) -> bool {
    field.picklist_values.iter().any(|offered| offered.active && offered.value == value)
}

fn parse_boolean<'a>(
    field: &FieldDef,
    cell: &str,
    rules: ParseRules,
) -> Result<Value<Cow<'a, str>>, RowError> {
    if cell.eq_ignore_ascii_case("true") || (rules.digit_booleans && cell == "1") {
        Ok(Value::Bool(true))
    } else if cell.eq_ignore_ascii_case("false")
        || (rules.digit_booleans && cell == "0")
        || rules.other_words_are_false
    {
        Ok(Value::Bool(false))
    } else {
        Err(RowError::wrong_type(field, cell))
    }
}

fn parse_int<'a>(field: &FieldDef, cell: &str) -> Result<Value<Cow<'a, str>>, RowError> {
    let digits = cell.strip_prefix(['-', '+']).unwrap_or(cell);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(RowError::wrong_type(field, cell));
    }
    let out_of_range = || RowError::out_of_range(field, cell);
    let number: i64 = cell.parse().map_err(|_| out_of_range())?;
    let fits_type = field.kind == FieldKind::Long || i32::try_from(number).is_ok();
    let fits_digits =
        field.digits == 0 || number.unsigned_abs().checked_ilog10().unwrap_or(0) < field.digits;
    if fits_type && fits_digits { Ok(Value::Int(number)) } else { Err(out_of_range()) }
}

fn parse_number<'a>(field: &FieldDef, cell: &str) -> Result<Value<Cow<'a, str>>, RowError> {
    let number = number::parse_double(cell).ok_or_else(|| RowError::wrong_type(field, cell))?;
    let whole_digits = field.precision.saturating_sub(field.scale);
    let limit = 10_f64.powi(i32::try_from(whole_digits).unwrap_or(i32::MAX));
    if !number.is_finite() || (field.precision > 0 && number.abs() >= limit) {
        return Err(RowError::out_of_range(field, cell));
    }
    Ok(Value::Number(number))
}

/// Several values joined by `;`, kept in the picklist's own order and each
/// once: what is read back is a set, not the text that was sent.
fn parse_multi<'a>(field: &FieldDef, cell: &'a str) -> Result<Value<Cow<'a, str>>, RowError> {
    fits(field, cell)?;
    if !cell.contains(';') {
        if field.restricted_picklist && !offers(field, cell) {
            return Err(RowError::bad_picklist(field, cell));
        }
        return Ok(Value::Text(Cow::Borrowed(cell)));
    }
    let rank = |value: &str| {
        field
            .picklist_values
            .iter()
            .position(|offered| offered.active && offered.value == value)
            .unwrap_or(usize::MAX)
    };
    let mut values: Vec<(usize, &str)> = cell
        .split(';')
        .map(str::trim)
        .filter(|value| !value.is_empty())
        .map(|value| (rank(value), value))
        .collect();
    if field.restricted_picklist
        && let Some((_, unknown)) = values.iter().find(|(rank, _)| *rank == usize::MAX)
    {
        return Err(RowError::bad_picklist(field, unknown));
    }
    values.sort_by_key(|(rank, _)| *rank);
    let mut joined: Vec<&str> = Vec::with_capacity(values.len());
    for (_, value) in values {
        if !joined.contains(&value) {
            joined.push(value);
        }
    }
    if joined.is_empty() {
        return Ok(Value::Null);
    }
    Ok(Value::Text(Cow::Owned(joined.join(";"))))
}

/// One `@`, a local part, a domain with a dot, no blanks: looser than RFC 5322
/// and as tight as what the platform is seen to refuse.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>(),;:\"[]\\@".contains(c);
    !local.is_empty()
        && local.chars().all(plain)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && domain.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '.')
        && domain.split('.').count() > 1
        && domain
            .split('.')
            .all(|part| !part.is_empty() && !part.starts_with('-') && !part.ends_with('-'))
}

#[cfg(test)]
mod tests;
