//! The first half of a unit of work: cells to values, with every check that
//! doesn't need another record. It holds no lock, so workers do it side by side.
//!
//! A row's values go straight into the blob its record will be, its result
//! cells into the text they will be told in; nothing is allocated per row.

use std::ops::Range;

use super::csv::{self, Cell, Cells, write_quoted};
use super::header::{JobError, Target};
use super::job::Operation;
use super::plan::{ColumnPlan, Plan};
use crate::local_org::catalogue::{FieldDef, FieldKind};
use crate::local_org::ids::RecordKey;
use crate::local_org::settings::{ClearedCells, QuotedEmpty, RowErrors};
use crate::local_org::store::{Key, blob};
use crate::local_org::value::{self, RowError, Value};

/// A key of a row, its text in [`Prepared::texts`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum KeyCell {
    /// The row says nothing about it.
    Absent,
    /// The row clears it.
    Cleared,
    /// A number.
    Number(f64),
    /// A text, folded already.
    Text(u32, u32),
}

/// A lookup that has to be found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reference {
    /// The column it stands in.
    pub column: u32,
    /// What it says.
    pub to: ReferenceTo,
}

/// What a lookup says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ReferenceTo {
    /// An id, in the row's values already.
    Id(RecordKey),
    /// A key of the parent.
    Key(KeyCell),
}

/// A row that was read.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// Its bytes in the unit's data.
    pub raw: Range<usize>,
    /// `sf__Error`, when it failed already.
    pub error: Option<String>,
    /// Its `Id` cell.
    pub id: Option<RecordKey>,
    /// Its entries in [`Prepared::blobs`].
    pub values: Range<usize>,
    /// Its cells in [`Prepared::cells`].
    pub cells: Range<usize>,
    /// Its lookups in [`Prepared::references`].
    pub references: Range<usize>,
    /// Columns in [`Prepared::absent`] whose cells are empty and matter.
    pub absent: Range<usize>,
    /// It sets a field that can't be set on insert.
    pub not_createable: bool,
    /// It sets a field that can't be set on update.
    pub not_updateable: bool,
}

/// A unit's rows, read and checked.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// In upload order.
    pub rows: Vec<Row>,
    /// Encoded entries of all rows.
    pub blobs: Vec<u8>,
    /// Result cells of all rows.
    pub cells: Vec<u8>,
    /// Texts of keys.
    texts: String,
    /// Keys of all rows, as many to a row as the plan has.
    keys: Vec<KeyCell>,
    /// Lookups of all rows.
    pub references: Vec<Reference>,
    /// Empty cells that matter, of all rows.
    pub absent: Vec<u32>,
}

impl Prepared {
    /// A key as the store takes it.
    pub(crate) fn key(&self, cell: KeyCell) -> Option<Key<'_>> {
        match cell {
            KeyCell::Absent | KeyCell::Cleared => None,
            KeyCell::Number(number) => Some(Key::Number(number)),
            KeyCell::Text(start, end) => self.text(start, end).map(|text| Key::Text(text.into())),
        }
    }

    /// The text of a key.
    pub(crate) fn text(&self, start: u32, end: u32) -> Option<&str> {
        self.texts.get(start as usize..end as usize)
    }

    /// The keys of a row.
    pub(crate) fn keys(&self, plan: &Plan, row: usize) -> &[KeyCell] {
        let width = plan.keys.len();
        self.keys.get(row * width..(row + 1) * width).unwrap_or_default()
    }

    fn key_cell(&mut self, key: Option<Key<'_>>) -> KeyCell {
        match key {
            None => KeyCell::Cleared,
            Some(Key::Number(number)) => KeyCell::Number(number),
            Some(Key::Text(text)) => {
                let start = self.texts.len() as u32;
                self.texts.push_str(&text);
                KeyCell::Text(start, self.texts.len() as u32)
            }
        }
    }
}

/// What a cell says.
enum Said<'a> {
    /// Nothing.
    Nothing,
    /// The field is cleared.
    Clear,
    /// A value.
    Text(&'a str),
}

fn said<'a>(cell: Cell<'_>, text: &'a str, plan: &Plan) -> Said<'a> {
    if cell.is_empty() {
        let clears = cell.quoted && plan.settings.quoted_empty == QuotedEmpty::ClearsField;
        return if clears { Said::Clear } else { Said::Nothing };
    }
    if text == "#N/A" { Said::Clear } else { Said::Text(text) }
}

/// Reads and checks the rows of a unit. `data` begins and ends at record
/// borders; `first_row` is the data row it begins with, for messages.
///
/// # Errors
/// When a record isn't CSV or hasn't as many cells as the header: that fails
/// the job.
pub(crate) fn prepare(plan: &Plan, data: &[u8], first_row: u32) -> Result<Prepared, JobError> {
    let mut prepared = Prepared::default();
    prepared.blobs.reserve(data.len() + data.len() / 4);
    prepared.cells.reserve(data.len() + data.len() / 2);
    let in_place = plan.header.result_order.iter().enumerate().all(|(at, column)| at == *column);
    let mut errors: Vec<RowError> = Vec::new();
    let mut at = 0;
    while let Some(rest) = data.get(at..).filter(|rest| !rest.is_empty()) {
        let end = csv::record_end(rest, plan.delimiter, true)
            .map_err(JobError::invalid_batch)?
            .unwrap_or(rest.len());
        let raw = at..at + end;
        at += end;
        let record = csv::content(data.get(raw.clone()).unwrap_or_default());
        if record.is_empty() {
            continue;
        }
        let number = prepared.rows.len() as u64 + u64::from(first_row) + 1;
        let mut row = prepare_row(plan, record, &mut prepared, &mut errors, number)?;
        row.raw = raw;
        if !in_place && errors.is_empty() {
            prepared.cells.truncate(row.cells.start);
            write_cells(plan, record, false, &mut prepared.cells);
            row.cells.end = prepared.cells.len();
        }
        if !errors.is_empty() {
            row.error = Some(told(&errors));
            errors.clear();
            // What a failed row left in the arenas is of no use.
            prepared.cells.truncate(row.cells.start);
            prepared.blobs.truncate(row.values.start);
            prepared.references.truncate(row.references.start);
            prepared.absent.truncate(row.absent.start);
            row.cells.end = row.cells.start;
            row.values.end = row.values.start;
            row.references.end = row.references.start;
            row.absent.end = row.absent.start;
        }
        prepared.rows.push(row);
    }
    Ok(prepared)
}

/// `sf__Error` of a row.
pub(crate) fn told(errors: &[RowError]) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.join(";")
}

fn prepare_row(
    plan: &Plan,
    record: &[u8],
    prepared: &mut Prepared,
    errors: &mut Vec<RowError>,
    number: u64,
) -> Result<Row, JobError> {
    let mut row = Row {
        values: prepared.blobs.len()..0,
        cells: prepared.cells.len()..0,
        references: prepared.references.len()..0,
        absent: prepared.absent.len()..0,
        ..Row::default()
    };
    let keys_start = prepared.keys.len();
    prepared.keys.resize(keys_start + plan.keys.len(), KeyCell::Absent);
    let mut count = 0;
    for cell in Cells::new(record, plan.delimiter) {
        let Some(column) = plan.columns.get(count) else { return Err(ragged(number)) };
        // Later cells of a failed row are only counted.
        if errors.is_empty() || plan.settings.row_errors == RowErrors::All {
            if count > 0 {
                prepared.cells.push(plan.result_delimiter);
            }
            let key = column.key.map(|key| keys_start + key);
            if let Err(error) = prepare_cell(plan, count, cell, prepared, &mut row, key) {
                errors.push(error);
            }
        }
        count += 1;
    }
    if count != plan.columns.len() {
        return Err(ragged(number));
    }
    row.values.end = prepared.blobs.len();
    row.cells.end = prepared.cells.len();
    row.references.end = prepared.references.len();
    row.absent.end = prepared.absent.len();
    let only_inserts = plan.operation == Operation::Insert;
    if (row.not_createable && (only_inserts || row.not_updateable))
        || (row.not_updateable && plan.operation == Operation::Update)
    {
        errors.push(RowError::not_writable(not_writable(plan, record, only_inserts)));
        if plan.settings.row_errors == RowErrors::First {
            errors.truncate(1);
        }
    }
    Ok(row)
}

fn ragged(number: u64) -> JobError {
    JobError::invalid_batch(format_args!(
        "Failed to parse CSV. The number of columns in row {number} does not match the header"
    ))
}

/// Reads one cell: its value into the row's blob, its text into the results.
fn prepare_cell(
    plan: &Plan,
    at: usize,
    cell: Cell<'_>,
    prepared: &mut Prepared,
    row: &mut Row,
    key: Option<usize>,
) -> Result<(), RowError> {
    let (Some(header), Some(column)) = (plan.header.columns.get(at), plan.columns.get(at)) else {
        return Ok(());
    };
    let text = cell.text();
    let said = said(cell, &text, plan);
    match (&header.target, said) {
        (Target::RecordId | Target::StrayId, Said::Nothing | Said::Clear) => {
            prepared.cells.extend_from_slice(b"\"\"");
            Ok(())
        }
        (_, Said::Nothing) => {
            prepared.cells.extend_from_slice(b"\"\"");
            if column.required || column.default.is_some() {
                prepared.absent.push(at as u32);
            }
            Ok(())
        }
        (Target::Field(field) | Target::Parent { field, .. }, Said::Clear) => {
            let cleared = match plan.settings.cleared_cells {
                ClearedCells::Empty => "",
                ClearedCells::AsUploaded => &text,
            };
            write_quoted(&mut prepared.cells, cleared.as_bytes());
            clear(plan, column, *field, prepared, row, key)
        }
        (Target::StrayId, Said::Text(_)) => {
            let field = plan.table.object.fields.get(plan.table.object.system.id);
            let error = RowError::new(
                "INVALID_FIELD_FOR_INSERT_UPDATE",
                "cannot specify Id in an insert call",
            );
            Err(match field {
                Some(field) => error.on(field),
                None => error,
            })
        }
        (Target::RecordId, Said::Text(text)) => record_id(plan, text, prepared, row),
        (Target::Field(field), Said::Text(text)) => {
            let Some(definition) = plan.table.object.fields.get(*field) else { return Ok(()) };
            row.not_createable |= !column.createable;
            row.not_updateable |= !column.updateable;
            if !column.createable && !column.updateable {
                write_quoted(&mut prepared.cells, text.as_bytes());
                return Ok(());
            }
            within_limit(plan, definition, text)?;
            let value = value::parse(definition, text, plan.rules)?;
            prepared.cells.push(b'"');
            match value.view() {
                Value::Text(text) => {
                    prepared.cells.pop();
                    write_quoted(&mut prepared.cells, text.as_bytes());
                }
                other => {
                    other.write_bulk(&mut prepared.cells);
                    prepared.cells.push(b'"');
                }
            }
            blob::put(&mut prepared.blobs, column.slot, value.view());
            if let (Value::Id(id), FieldKind::Reference) = (&value, definition.kind) {
                reference(plan, at, column, definition, *id, text, prepared)?;
            }
            if let Some(place) = key {
                let table_key = column.key.and_then(|key| plan.keys.get(key));
                let key_column = table_key.and_then(|key| plan.table.keys.get(*key));
                let cell = prepared.key_cell(key_column.and_then(|key| key.key(value.view())));
                if let Some(to) = prepared.keys.get_mut(place) {
                    *to = cell;
                }
            }
            Ok(())
        }
        (Target::Parent { field, table, parent_field }, Said::Text(text)) => {
            let (Some(lookup), Some(definition)) =
                (plan.table.object.fields.get(*field), table.object.fields.get(*parent_field))
            else {
                return Ok(());
            };
            row.not_createable |= !column.createable;
            row.not_updateable |= !column.updateable;
            within_limit(plan, definition, text)?;
            if table.object.name == "RecordType" && definition.name == "DeveloperName" {
                write_quoted(&mut prepared.cells, text.as_bytes());
                return record_type(plan, column, text, prepared);
            }
            let value = value::parse(definition, text, plan.rules)
                .map_err(|_| parent_not_found(definition, &table.object.name, text))?;
            let mut shown = Vec::new();
            value.write_bulk(&mut shown);
            write_quoted(&mut prepared.cells, &shown);
            let to = match value.view() {
                Value::Id(id) => {
                    if id.prefix() != table.object.key_prefix {
                        return Err(RowError::wrong_prefix(lookup, text));
                    }
                    blob::put(&mut prepared.blobs, column.slot, Value::Id(id));
                    ReferenceTo::Id(id)
                }
                other => {
                    let key = table.key_column(*parent_field).and_then(|(_, key)| key.key(other));
                    ReferenceTo::Key(prepared.key_cell(key))
                }
            };
            prepared.references.push(Reference { column: at as u32, to });
            Ok(())
        }
    }
}

/// The text of a parent that isn't there (section 4.2).
pub(crate) fn parent_not_found(field: &FieldDef, parent: &str, text: &str) -> RowError {
    let message = format!(
        "Foreign key external ID: {text} not found for field {} in entity {parent}",
        field.name
    );
    RowError::new("INVALID_FIELD", message)
}

fn within_limit(plan: &Plan, field: &FieldDef, text: &str) -> Result<(), RowError> {
    let limit = plan.settings.field_chars;
    if text.len() > limit && text.chars().count() > limit {
        let message = format!("{}: data value too large (max length={limit})", field.label);
        return Err(RowError::new("STRING_TOO_LONG", message).on(field));
    }
    Ok(())
}

fn clear(
    plan: &Plan,
    column: &ColumnPlan,
    field: usize,
    prepared: &mut Prepared,
    row: &mut Row,
    key: Option<usize>,
) -> Result<(), RowError> {
    row.not_createable |= !column.createable;
    row.not_updateable |= !column.updateable;
    let definition = plan.table.object.fields.get(field);
    if !column.nillable && (column.createable || column.updateable) {
        return Err(RowError::required(
            definition.map(|field| field.name.clone()).into_iter().collect(),
        ));
    }
    let boolean = definition.is_some_and(|field| field.kind == FieldKind::Boolean);
    let value = if boolean { Value::Bool(false) } else { Value::Null };
    blob::put(&mut prepared.blobs, column.slot, value);
    if let Some(to) = key.and_then(|place| prepared.keys.get_mut(place)) {
        *to = KeyCell::Cleared;
    }
    Ok(())
}

fn record_id(
    plan: &Plan,
    text: &str,
    prepared: &mut Prepared,
    row: &mut Row,
) -> Result<(), RowError> {
    let object = &plan.table.object;
    let Some(field) = object.fields.get(object.system.id) else { return Ok(()) };
    let id = RecordKey::parse(text)
        .ok_or_else(|| RowError::new("MALFORMED_ID", format!("bad id {text}")).on(field))?;
    if id.prefix() != object.key_prefix {
        return Err(RowError::wrong_prefix(field, text));
    }
    write_quoted(&mut prepared.cells, &id.to_18());
    row.id = Some(id);
    Ok(())
}

/// A lookup given by id: the object must be one it may point at; whether the
/// record is there is seen later.
fn reference(
    plan: &Plan,
    at: usize,
    column: &ColumnPlan,
    field: &FieldDef,
    id: RecordKey,
    text: &str,
    prepared: &mut Prepared,
) -> Result<(), RowError> {
    let object = &plan.table.object;
    if object.system.record_type_id.is_some_and(|place| plan.table.slot(place) == column.slot) {
        let known = object
            .record_types
            .iter()
            .any(|kind| kind.active && RecordKey::parse(&kind.id) == Some(id));
        if known {
            return Ok(());
        }
        let message = format!("{}: this ID value isn't valid for the user: {text}", field.label);
        return Err(RowError::new("INVALID_CROSS_REFERENCE_KEY", message).on(field));
    }
    if !column.targets.iter().any(|target| target.object.key_prefix == id.prefix()) {
        return Err(RowError::wrong_prefix(field, text));
    }
    prepared.references.push(Reference { column: at as u32, to: ReferenceTo::Id(id) });
    Ok(())
}

/// `RecordType.DeveloperName`: among the object's own record types.
fn record_type(
    plan: &Plan,
    column: &ColumnPlan,
    text: &str,
    prepared: &mut Prepared,
) -> Result<(), RowError> {
    let found = plan
        .table
        .object
        .record_types
        .iter()
        .find(|kind| kind.active && !kind.master && kind.developer_name.eq_ignore_ascii_case(text))
        .and_then(|kind| RecordKey::parse(&kind.id));
    match found {
        Some(id) => {
            blob::put(&mut prepared.blobs, column.slot, Value::Id(id));
            Ok(())
        }
        None => {
            let message = format!(
                "Foreign key external ID: {text} not found for field DeveloperName in entity \
                 RecordType"
            );
            Err(RowError::new("INVALID_FIELD", message))
        }
    }
}

/// The fields a row sets and mustn't, by name.
pub(crate) fn not_writable(plan: &Plan, record: &[u8], on_insert: bool) -> Vec<String> {
    let mut names = Vec::new();
    for (at, cell) in Cells::new(record, plan.delimiter).enumerate() {
        let (Some(header), Some(column)) = (plan.header.columns.get(at), plan.columns.get(at))
        else {
            continue;
        };
        let writable = if on_insert { column.createable } else { column.updateable };
        if let (Target::Field(field) | Target::Parent { field, .. }, false, false) =
            (&header.target, writable, cell.is_empty())
            && let Some(field) = plan.table.object.fields.get(*field)
        {
            names.push(field.name.clone());
        }
    }
    names
}

/// Renders a row's cells for a result set: values as the service shows them,
/// what is no value as it came. `failed` blanks columns whose header had the
/// wrong letter case, where that is switched on.
pub(crate) fn write_cells(plan: &Plan, record: &[u8], failed: bool, out: &mut Vec<u8>) {
    let cells: Vec<Cell<'_>> = Cells::new(record, plan.delimiter).collect();
    let blanks = failed && plan.settings.miscased_columns_blank;
    for (place, at) in plan.header.result_order.iter().enumerate() {
        if place > 0 {
            out.push(plan.result_delimiter);
        }
        let (Some(cell), Some(column)) = (cells.get(*at), plan.header.columns.get(*at)) else {
            continue;
        };
        if blanks && column.miscased {
            out.extend_from_slice(b"\"\"");
            continue;
        }
        let text = cell.text();
        let shown = match said(*cell, &text, plan) {
            Said::Nothing => String::new(),
            Said::Clear if plan.settings.cleared_cells == ClearedCells::Empty => String::new(),
            Said::Clear => text.into_owned(),
            Said::Text(text) => rendered(plan, &column.target, text),
        };
        write_quoted(out, shown.as_bytes());
    }
}

fn rendered(plan: &Plan, target: &Target, text: &str) -> String {
    let object = &plan.table.object;
    let field = match target {
        Target::RecordId | Target::StrayId => object.fields.get(object.system.id),
        Target::Field(field) => object.fields.get(*field),
        Target::Parent { table, parent_field, .. } => table.object.fields.get(*parent_field),
    };
    field
        .and_then(|field| value::parse(field, text, plan.rules).ok())
        .map_or_else(|| text.to_owned(), |value| value.bulk_text().into_owned())
}
