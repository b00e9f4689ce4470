//! The header line (protocol notes, sections 4.1 and 4.2): which field each
//! column is, found out by the worker, long after the upload was answered 201.

use std::sync::Arc;

use super::csv::{Cells, content};
use super::job::{JobSpec, Operation};
use crate::local_org::catalogue::{FieldDef, FieldKind, ObjectDef};
use crate::local_org::settings::{MissingKeyColumn, RelationshipColumns, Settings};
use crate::local_org::store::{Store, Table};

/// What a column's cells do.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// They name the record (update, delete, upsert by `Id`).
    RecordId,
    /// `Id` where rows may not have one.
    StrayId,
    /// They are values of a field.
    Field(usize),
    /// They name the parent that a lookup field will point at.
    Parent {
        /// The lookup field.
        field: usize,
        /// Where parents are.
        table: Arc<Table>,
        /// The parent's field that the cells are values of.
        parent_field: usize,
    },
}

/// A column of the upload.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// The header's bytes as uploaded, quotes and all.
    pub raw: Vec<u8>,
    /// What its cells do.
    pub target: Target,
    /// Its name's letter case isn't the field's.
    pub miscased: bool,
}

/// A header that was understood.
#[derive(Debug)]
pub(crate) struct Header {
    /// Columns as uploaded.
    pub columns: Vec<Column>,
    /// Column that names the record, or holds the external id of an upsert.
    pub key: Option<usize>,
    /// The order of columns in result sets.
    pub result_order: Vec<usize>,
}

/// A job that fails as a whole: its `errorMessage`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobError(pub String);

impl JobError {
    /// `InvalidBatch : ...`
    pub(crate) fn invalid_batch(message: impl std::fmt::Display) -> JobError {
        JobError(format!("InvalidBatch : {message}"))
    }

    fn not_found(name: &str) -> JobError {
        JobError::invalid_batch(format_args!("Field name not found : {name}"))
    }
}

/// Reads the header line.
///
/// # Errors
/// The first thing that is wrong with it; only the first bad column is named.
pub(crate) fn read(
    line: &[u8],
    spec: &JobSpec,
    object: &ObjectDef,
    store: &Store,
    settings: &Settings,
) -> Result<Header, JobError> {
    let line = content(line);
    if line.len() > settings.header_chars
        && String::from_utf8_lossy(line).chars().count() > settings.header_chars
    {
        return Err(JobError::invalid_batch(format_args!(
            "The header row has more than {} characters",
            settings.header_chars
        )));
    }
    let delimiter = spec.delimiter.byte();
    let raw_cells = raw_cells(line, delimiter);
    let names: Vec<String> =
        Cells::new(line, delimiter).map(|cell| cell.text().into_owned()).collect();
    if names.len() > settings.record_fields {
        return Err(JobError::invalid_batch(format_args!(
            "Records have more than {} fields",
            settings.record_fields
        )));
    }
    if spec.operation.deletes()
        && !matches!(names.as_slice(), [only] if only.eq_ignore_ascii_case("Id"))
    {
        return Err(JobError::invalid_batch(format_args!(
            "The '{}' batch must contain only ids",
            spec.operation.word()
        )));
    }
    let mut columns: Vec<Column> = Vec::with_capacity(names.len());
    let mut taken: Vec<usize> = Vec::new();
    for (name, raw) in names.iter().zip(raw_cells) {
        let (target, miscased) = target(name, spec, object, store)?;
        let field = match &target {
            Target::RecordId | Target::StrayId => object.system.id,
            Target::Field(field) | Target::Parent { field, .. } => *field,
        };
        if taken.contains(&field) {
            return Err(JobError::invalid_batch(format_args!("Duplicate field name : {name}")));
        }
        taken.push(field);
        columns.push(Column { raw: raw.to_vec(), target, miscased });
    }
    let key = key_column(&columns, spec, object);
    if key.is_none()
        && spec.operation != Operation::Insert
        && settings.missing_key_column == MissingKeyColumn::FailJob
    {
        return Err(JobError::not_found(spec.external_id.as_deref().unwrap_or("Id")));
    }
    let mut result_order: Vec<usize> = (0..columns.len()).collect();
    if settings.relationship_columns == RelationshipColumns::Last {
        result_order.sort_by_key(|at| {
            matches!(columns.get(*at), Some(Column { target: Target::Parent { .. }, .. }))
        });
    }
    Ok(Header { columns, key, result_order })
}

/// The cells of a line with their quotes.
fn raw_cells(line: &[u8], delimiter: u8) -> Vec<&[u8]> {
    let mut cells = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (at, byte) in line.iter().enumerate() {
        if *byte == b'"' {
            quoted = !quoted;
        } else if *byte == delimiter && !quoted {
            cells.push(&line[start..at]);
            start = at + 1;
        }
    }
    cells.push(&line[start..]);
    cells
}

fn key_column(columns: &[Column], spec: &JobSpec, object: &ObjectDef) -> Option<usize> {
    let external = spec.external_id.as_deref().and_then(|name| object.field(name));
    columns.iter().position(|column| match (&column.target, external) {
        (Target::RecordId, _) => true,
        (Target::Field(field), Some((key, _))) => *field == key,
        _ => false,
    })
}

/// What a column is, and whether its letter case is off.
fn target(
    name: &str,
    spec: &JobSpec,
    object: &ObjectDef,
    store: &Store,
) -> Result<(Target, bool), JobError> {
    if let Some((relationship, field)) = name.split_once('.') {
        return parent(name, relationship, field, object, store);
    }
    let (place, field) = object.field(name).ok_or_else(|| JobError::not_found(name))?;
    let miscased = field.name != name;
    if field.kind != FieldKind::Id {
        return Ok((Target::Field(place), miscased));
    }
    let by_id = match spec.operation {
        Operation::Insert => false,
        Operation::Upsert => spec.external_id.as_deref() == Some(field.name.as_str()),
        Operation::Update | Operation::Delete | Operation::HardDelete => true,
    };
    Ok((if by_id { Target::RecordId } else { Target::StrayId }, miscased))
}

/// `Relationship.Field` or `Object:Relationship.Field`.
fn parent(
    name: &str,
    relationship: &str,
    parent_name: &str,
    object: &ObjectDef,
    store: &Store,
) -> Result<(Target, bool), JobError> {
    let (prefix, relationship) = match relationship.split_once(':') {
        Some((prefix, relationship)) => (Some(prefix), relationship),
        None => (None, relationship),
    };
    let Some((place, field)) = object.relationship(relationship) else {
        return Err(JobError::invalid_batch(format_args!(
            "Unable to find relationship: {relationship}"
        )));
    };
    // Needed exactly when there are several targets in this org (section 4.2).
    let parent_object = match (prefix, field.polymorphic()) {
        (None, false) => field.reference_to.first().map(String::as_str),
        (Some(prefix), true) => field
            .reference_to
            .iter()
            .map(String::as_str)
            .find(|target| target.eq_ignore_ascii_case(prefix)),
        (Some(_), false) => {
            return Err(JobError::invalid_batch(format_args!(
                "type is not needed for non polymorphic foreign key references: {relationship}"
            )));
        }
        (None, true) => {
            return Err(JobError::invalid_batch(format_args!(
                "type is needed for polymorphic foreign key references: {relationship}"
            )));
        }
    };
    let table = parent_object
        .and_then(|parent| store.table_named(parent))
        .ok_or_else(|| JobError::not_found(name))?;
    let (parent_field, definition) =
        table.object.field(parent_name).ok_or_else(|| JobError::not_found(name))?;
    if !names_parents(&table.object, definition) {
        return Err(JobError::invalid_batch(format_args!(
            "Field {} of {} is neither an external ID nor an indexed field",
            definition.name, table.object.name
        )));
    }
    let exact_case = field.relationship_name.as_deref() == Some(relationship)
        && definition.name == parent_name
        && prefix.is_none_or(|prefix| prefix == table.object.name);
    let target = Target::Parent { field: place, table: Arc::clone(table), parent_field };
    Ok((target, !exact_case))
}

/// A parent's field may stand behind the dot. Record types go by their
/// developer name, which is no external id.
fn names_parents(parent: &ObjectDef, field: &FieldDef) -> bool {
    field.kind == FieldKind::Id
        || field.external_id
        || field.id_lookup
        || (parent.name == "RecordType" && field.name == "DeveloperName")
}
