//! Everything about a job that is the same for all its rows, worked out once
//! its header is known.

use std::sync::Arc;

use super::header::{Column, Header, Target};
use super::job::{JobSpec, Operation};
use crate::local_org::catalogue::{FieldDef, FieldKind, ObjectDef};
use crate::local_org::ids::RecordKey;
use crate::local_org::jobs::LineEnding;
use crate::local_org::settings::{OtherBooleanWords, Settings};
use crate::local_org::store::{Store, Table, blob};
use crate::local_org::value::{ParseRules, RowError, Value};

/// What a column's field asks of its cells.
#[derive(Debug)]
pub(crate) struct ColumnPlan {
    /// Slot of the field that is set.
    pub slot: u16,
    /// May be set on insert.
    pub createable: bool,
    /// May be set on update.
    pub updateable: bool,
    /// Must be set on insert.
    pub required: bool,
    /// May be cleared.
    pub nillable: bool,
    /// What a row gets whose cell is empty: an encoded entry.
    pub default: Option<Vec<u8>>,
    /// Place among a row's keys.
    pub key: Option<usize>,
    /// Objects a lookup may point at.
    pub targets: Vec<Arc<Table>>,
}

/// Fields that make up a person's name.
#[derive(Debug)]
pub(crate) struct PersonName {
    /// Slot of the name.
    pub slot: u16,
    /// Slots of its parts, in their order.
    pub parts: Vec<u16>,
    /// The upload sets one of them.
    pub in_upload: bool,
}

/// How rows of a job are read, checked, written and told.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Counter of the job's id.
    pub job: u64,
    /// What to do.
    pub operation: Operation,
    /// Where the records are.
    pub table: Arc<Table>,
    /// Columns of the upload.
    pub header: Header,
    /// Beside each column.
    pub columns: Vec<ColumnPlan>,
    /// Places in the table's key columns of a row's keys.
    pub keys: Vec<usize>,
    /// The upsert's key: place among a row's keys.
    pub upsert_key: Option<usize>,
    /// Defaults of fields that have no column: encoded entries.
    pub insert_defaults: Vec<u8>,
    /// Required fields that have no column.
    pub missing_required: Vec<String>,
    /// Slots of fields that the org numbers.
    pub auto_numbers: Vec<u16>,
    /// Keys of new records must be read from the record, not only the row.
    pub keys_from_record: bool,
    /// The person's name, where the object has one.
    pub person_name: Option<PersonName>,
    /// Inserts are refused.
    pub no_insert: Option<RowError>,
    /// Updates are refused.
    pub no_update: Option<RowError>,
    /// Deletes are refused.
    pub no_delete: Option<RowError>,
    /// Highest counter of the object when the work began.
    pub newest_before: u64,
    /// Between the cells of the upload.
    pub delimiter: u8,
    /// Between the cells of results.
    pub result_delimiter: u8,
    /// Behind the rows of results.
    pub result_line_end: &'static [u8],
    /// How cells are read.
    pub rules: ParseRules,
    /// The org's switches.
    pub settings: Settings,
    /// Restricted picklists of which a record type has some values only.
    pub narrowed: Vec<Narrowed>,
    /// Slot of the record type, where one narrows a picklist.
    pub record_type: Option<u16>,
    /// Who may own records: the slot of `OwnerId`, the users, the slot of their
    /// `IsActive`.
    pub owner: Option<(u16, Arc<Table>, u16)>,
    user: Value,
}

/// A restricted picklist of which a record type has some values only.
#[derive(Debug)]
pub(crate) struct Narrowed {
    /// The record type.
    pub record_type: RecordKey,
    /// Slot of the picklist.
    pub slot: u16,
    /// The picklist.
    pub field: FieldDef,
    /// What the record type has of it.
    pub values: Vec<String>,
}

impl Plan {
    /// Works a job out.
    pub(crate) fn new(
        job: u64,
        spec: &JobSpec,
        header: Header,
        table: &Arc<Table>,
        newest_before: u64,
        store: &Store,
        settings: &Settings,
    ) -> Plan {
        let object = &table.object;
        let user = RecordKey::parse(&spec.created_by).map_or(Value::Null, Value::Id);
        let mut keys = Vec::new();
        let columns: Vec<ColumnPlan> = header
            .columns
            .iter()
            .map(|column| column_plan(column, table, store, &mut keys, &user))
            .collect();
        let set: Vec<usize> = header
            .columns
            .iter()
            .filter_map(|column| match column.target {
                Target::Field(field) | Target::Parent { field, .. } => Some(field),
                Target::RecordId | Target::StrayId => None,
            })
            .collect();
        let mut insert_defaults = Vec::new();
        let mut missing_required = Vec::new();
        let mut keys_from_record = false;
        let unset = object.fields.iter().enumerate().filter(|(place, _)| !set.contains(place));
        for (place, field) in unset {
            if let Some(value) = default_of(object, place, field, &user) {
                blob::put(&mut insert_defaults, table.slot(place), value.view());
                keys_from_record |= table.key_column(place).is_some();
            } else if field.required_on_create() {
                missing_required.push(field.name.clone());
            }
        }
        let auto_numbers: Vec<usize> = (0..object.fields.len())
            .filter(|place| object.fields.get(*place).is_some_and(|field| field.auto_number))
            .collect();
        let person_name = person_name(table, &set);
        keys_from_record |= auto_numbers.iter().any(|place| table.key_column(*place).is_some())
            || person_name.is_some()
                && object.system.name.is_some_and(|name| table.key_column(name).is_some());
        let upsert_key = header
            .key
            .and_then(|column| columns.get(column))
            .filter(|_| spec.operation == Operation::Upsert)
            .and_then(|column| column.key);
        let refusal = |allowed: bool, what: &str| {
            (!allowed).then(|| {
                let message = format!("entity type cannot be {what}: {}", object.label);
                RowError::new("INVALID_TYPE_FOR_OPERATION", message)
            })
        };
        let narrowed = narrowed(table);
        let in_dialect = settings.results_in_job_dialect;
        Plan {
            job,
            operation: spec.operation,
            table: Arc::clone(table),
            columns,
            keys,
            upsert_key,
            insert_defaults,
            missing_required,
            auto_numbers: auto_numbers.into_iter().map(|place| table.slot(place)).collect(),
            keys_from_record,
            person_name,
            no_insert: refusal(object.createable, "inserted"),
            no_update: refusal(object.updateable, "updated"),
            no_delete: refusal(object.deletable, "deleted"),
            newest_before,
            delimiter: spec.delimiter.byte(),
            result_delimiter: if in_dialect { spec.delimiter.byte() } else { b',' },
            result_line_end: if in_dialect { spec.line_ending } else { LineEnding::Lf }.bytes(),
            rules: ParseRules {
                dates_with_offset: settings.dates_with_offset,
                digit_booleans: settings.digit_booleans,
                other_words_are_false: settings.other_boolean_words == OtherBooleanWords::AreFalse,
                whole_seconds: settings.whole_seconds,
            },
            settings: settings.clone(),
            header,
            record_type: object
                .system
                .record_type_id
                .filter(|_| !narrowed.is_empty())
                .map(|place| table.slot(place)),
            narrowed,
            owner: owner(table, store),
            user,
        }
    }

    /// Result columns behind the `sf__` ones, as they were uploaded.
    pub(crate) fn result_header(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (at, column) in self.header.result_order.iter().enumerate() {
            if at > 0 {
                out.push(self.result_delimiter);
            }
            if let Some(column) = self.header.columns.get(*column) {
                out.extend_from_slice(&column.raw);
            }
        }
        out
    }

    /// Id of the user who works.
    pub(crate) fn user_id(&self) -> String {
        self.user.bulk_text().into_owned()
    }

    /// The entries that say when and by whom a record was made.
    pub(crate) fn insert_stamp(&self, now_ms: i64) -> Vec<u8> {
        let system = &self.table.object.system;
        let mut out = self.update_stamp(now_ms);
        let made = self.instant(now_ms);
        blob::put(&mut out, self.table.slot(system.created_date), made);
        blob::put(&mut out, self.table.slot(system.created_by_id), self.user.view());
        out
    }

    /// The entries that say when and by whom a record was changed.
    pub(crate) fn update_stamp(&self, now_ms: i64) -> Vec<u8> {
        let system = &self.table.object.system;
        let changed = self.instant(now_ms);
        let mut out = Vec::new();
        blob::put(&mut out, self.table.slot(system.last_modified_date), changed);
        blob::put(&mut out, self.table.slot(system.last_modified_by_id), self.user.view());
        blob::put(&mut out, self.table.slot(system.system_modstamp), changed);
        out
    }

    fn instant(&self, now_ms: i64) -> Value<&'static str> {
        let part = if self.settings.whole_seconds { now_ms.rem_euclid(1000) } else { 0 };
        Value::DateTime(now_ms - part)
    }
}

fn column_plan(
    column: &Column,
    table: &Arc<Table>,
    store: &Store,
    keys: &mut Vec<usize>,
    user: &Value,
) -> ColumnPlan {
    let object = &table.object;
    let (place, by_parent) = match &column.target {
        Target::Field(field) => (*field, false),
        Target::Parent { field, .. } => (*field, true),
        Target::RecordId | Target::StrayId => (object.system.id, true),
    };
    let key = if by_parent { None } else { table.key_column(place) }.map(|(key, _)| {
        keys.push(key);
        keys.len() - 1
    });
    let default =
        object.fields.get(place).and_then(|field| default_of(object, place, field, user)).map(
            |value| {
                let mut entry = Vec::new();
                blob::put(&mut entry, table.slot(place), value.view());
                entry
            },
        );
    let field = object.fields.get(place);
    ColumnPlan {
        slot: table.slot(place),
        createable: field.is_some_and(|field| field.createable),
        updateable: field.is_some_and(|field| field.updateable),
        required: field.is_some_and(FieldDef::required_on_create),
        nillable: field.is_none_or(|field| field.nillable || field.kind == FieldKind::Boolean),
        default,
        key,
        targets: field.map_or(Vec::new(), |field| {
            field.reference_to.iter().filter_map(|name| store.table_named(name)).cloned().collect()
        }),
    }
}

fn narrowed(table: &Table) -> Vec<Narrowed> {
    let object = &table.object;
    let mut narrowed = Vec::new();
    for kind in &object.record_types {
        let Some(record_type) = RecordKey::parse(&kind.id).filter(|_| !kind.master) else {
            continue;
        };
        for (place, values) in &kind.picklists {
            let Some(field) = object.fields.get(*place).filter(|f| f.restricted_picklist) else {
                continue;
            };
            narrowed.push(Narrowed {
                record_type,
                slot: table.slot(*place),
                field: field.clone(),
                values: values.clone(),
            });
        }
    }
    narrowed
}

/// Where a row says who owns its record, and where a user says whether he is
/// active.
fn owner(table: &Table, store: &Store) -> Option<(u16, Arc<Table>, u16)> {
    let users = store.table_named("User")?;
    let active = users.object.fields.iter().position(|field| field.name == "IsActive")?;
    Some((table.slot(table.object.system.owner_id?), Arc::clone(users), users.slot(active)))
}

/// What a new record gets in a field that nobody sets.
fn default_of(object: &ObjectDef, place: usize, field: &FieldDef, user: &Value) -> Option<Value> {
    let system = &object.system;
    if Some(place) == system.owner_id {
        return Some(user.clone());
    }
    if Some(place) == system.record_type_id {
        let record_type = object.record_types.iter().find(|kind| kind.default && !kind.master)?;
        return RecordKey::parse(&record_type.id).map(Value::Id);
    }
    if place == system.is_deleted || field.auto_number || field.calculated {
        return None;
    }
    let named = match &field.default_value {
        Some(serde_json::Value::String(text)) => Value::parse(field, text).ok(),
        Some(serde_json::Value::Null) | None => None,
        Some(other) => Value::parse(field, &other.to_string()).ok(),
    };
    let offered = || {
        let value = field.picklist_values.iter().find(|value| value.default_value)?;
        Some(Value::Text(value.value.clone()))
    };
    match named.or_else(offered) {
        // A boolean is never null.
        None if field.kind == FieldKind::Boolean => Some(Value::Bool(false)),
        found => found,
    }
}

fn person_name(table: &Table, set: &[usize]) -> Option<PersonName> {
    let object = &table.object;
    let place = object.system.name?;
    let name = object.fields.get(place)?;
    if !object.is_person_name(name) {
        return None;
    }
    let parts: Vec<usize> = ["FirstName", "MiddleName", "LastName", "Suffix"]
        .iter()
        .filter_map(|part| object.field(part))
        .filter(|(_, part)| part.part_of(&name.name))
        .map(|(place, _)| place)
        .collect();
    Some(PersonName {
        slot: table.slot(place),
        in_upload: parts.iter().any(|part| set.contains(part)),
        parts: parts.into_iter().map(|part| table.slot(part)).collect(),
    })
}
