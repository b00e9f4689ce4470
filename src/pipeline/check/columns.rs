//! The checker's view of a plan: columns held against describe, and what the
//! org is to be asked about their values.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{CheckError, CheckOptions};
use crate::checker::{Asked, CheckSpec, CheckedColumn, Purpose, RecordTypePicklists, short};
use crate::chunker::Duplicates;
use crate::domain::{Field, FieldType, ObjectDescription, Operation, RecordId, ValueKind};
use crate::pipeline::{PreflightError, Prepared};
use crate::salesforce::Org;

/// Record types whose picklists are asked for; each is a call.
const MOST_RECORD_TYPES: usize = 50;

/// Where the answer about a value lies.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// In an object, by a field.
    Object { object: String, key: String },
    /// In the object that the id is of, by its first three characters.
    ByPrefix(BTreeMap<String, String>),
}

/// What the org is asked about a column.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) label: String,
    pub(super) purpose: Purpose,
    pub(super) kind: ValueKind,
    pub(super) target: Target,
}

/// A relationship header in its parts: the parent's type where it is named, the
/// relationship, the parent's field.
fn parts(header: &str) -> Option<(Option<&str>, &str, &str)> {
    let (parent, path) = match header.split_once(':') {
        Some((parent, path)) => (Some(parent), path),
        None => (None, header),
    };
    let (relationship, key) = path.split_once('.')?;
    Some((parent, relationship, key))
}

pub(super) async fn spec(
    prepared: &Prepared,
    options: &CheckOptions,
    notes: &mut Vec<String>,
) -> Result<(CheckSpec, Vec<Question>), CheckError> {
    let (plan, object, org) = (&prepared.plan, &prepared.object, &prepared.org);
    let names = plan.column_names();
    let mut parents = Parents { org, known: HashMap::new() };
    let mut columns = Vec::new();
    for (at, column) in plan.columns.iter().enumerate() {
        let mut label = names.of(plan.place_of(at) as u32);
        if column.recipe.is_none() && column.name != column.header {
            label = format!("{label}, for {}", column.header);
        }
        let (field, parent_key) = match parts(&column.header) {
            Some((parent, relationship, key)) => {
                let field = object.relationship(relationship);
                let parent = parent
                    .map(str::to_owned)
                    .or_else(|| field.and_then(|field| field.reference_to.first().cloned()));
                let key = match parent {
                    Some(parent) => parents.field(&parent, key).await?,
                    None => None,
                };
                (field, key)
            }
            None => (object.field_ignoring_case(&column.field), None),
        };
        let Some(field) = field.cloned() else {
            // The plan was compiled from this very description.
            return Err(PreflightError::Interrupted.into());
        };
        columns.push(CheckedColumn {
            label,
            header: column.header.clone(),
            source: column.source,
            field,
            parent_key,
        });
    }
    let has_ids = columns.iter().any(|column| {
        column.parent_key.is_none() && column.field.field_type == FieldType::Reference
    });
    let prefixes: BTreeMap<String, String> = if has_ids {
        let objects = org.objects().await?.into_iter();
        objects.filter_map(|object| Some((object.name, object.key_prefix?))).collect()
    } else {
        BTreeMap::new()
    };
    let picklists = picklists(org, object, prepared.request.operation, &columns, notes).await?;
    let (asked, questions) = questions(prepared, options, &columns, &prefixes);
    let spec = CheckSpec {
        operation: prepared.request.operation,
        object: object.clone(),
        columns,
        key: plan.key,
        source: plan.source,
        delimiter: plan.delimiter.byte(),
        prefixes,
        picklists,
        asked,
        tells_duplicate_keys: options.duplicates != Some(Duplicates::Keep),
    };
    Ok((spec, questions))
}

/// Described parents, each asked for once.
struct Parents<'o> {
    org: &'o Org,
    known: HashMap<String, Option<ObjectDescription>>,
}

impl Parents<'_> {
    async fn field(&mut self, parent: &str, key: &str) -> Result<Option<Field>, CheckError> {
        if !self.known.contains_key(parent) {
            let described = match self.org.describe(parent).await {
                Ok(described) => Some(described),
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error.into()),
            };
            self.known.insert(parent.to_owned(), described);
        }
        let described = self.known.get(parent).and_then(Option::as_ref);
        Ok(described.and_then(|parent| parent.field_ignoring_case(key)).cloned())
    }
}

/// What record types have of the restricted picklists among the columns.
async fn picklists(
    org: &Org,
    object: &ObjectDescription,
    operation: Operation,
    columns: &[CheckedColumn],
    notes: &mut Vec<String>,
) -> Result<RecordTypePicklists, CheckError> {
    let mut picklists = RecordTypePicklists::default();
    let wanted: HashSet<&str> = columns
        .iter()
        .filter(|column| column.field.restricted_picklist)
        .map(|column| column.field.name.as_str())
        .collect();
    let types: Vec<_> = object.record_type_infos.iter().filter(|info| info.available).collect();
    // Without a record type of its own, the field's list is all there is.
    if wanted.is_empty() || types.len() < 2 || operation.deletes() {
        return Ok(picklists);
    }
    if types.len() > MOST_RECORD_TYPES {
        notes.push(format!(
            "picklists were checked for {MOST_RECORD_TYPES} of {} record types",
            types.len()
        ));
    }
    for info in types.into_iter().take(MOST_RECORD_TYPES) {
        let Ok(id) = RecordId::parse(info.record_type_id.as_bytes()) else { continue };
        let id = short(&id);
        if info.default_record_type_mapping {
            picklists.default = Some(id);
        }
        if let Some(name) = &info.developer_name {
            picklists.by_name.insert(name.to_lowercase(), id);
        }
        let Some(told) = org.picklists_of_record_type(&object.name, &info.record_type_id).await?
        else {
            notes.push(
                "the org doesn't tell which record type has which picklist values; a value that \
                 is on the list may still be refused for the record type"
                    .to_owned(),
            );
            return Ok(RecordTypePicklists::default());
        };
        let of_fields = told
            .into_iter()
            .filter(|(field, _)| wanted.contains(field.as_str()))
            .map(|(field, values)| (field, values.into_iter().map(String::into_bytes).collect()))
            .collect();
        picklists.values.insert(id, of_fields);
    }
    Ok(picklists)
}

/// What the org is to be asked, as the checker and as the asker see it.
fn questions(
    prepared: &Prepared,
    options: &CheckOptions,
    columns: &[CheckedColumn],
    prefixes: &BTreeMap<String, String>,
) -> (Vec<Asked>, Vec<Question>) {
    let (plan, object) = (&prepared.plan, &prepared.object);
    let operation = prepared.request.operation;
    let mut asked = Vec::new();
    let mut questions = Vec::new();
    let mut ask = |column: usize, purpose, kind, target, may_be_in_source| {
        let label = columns.get(column).map_or_else(String::new, |column| column.label.clone());
        asked.push(Asked { column, purpose, kind, may_be_in_source });
        questions.push(Question { label, purpose, kind, target });
    };
    let id = ValueKind::Id;
    for (at, column) in columns.iter().enumerate() {
        let is_owner = column.field.name == "OwnerId";
        let purpose = if is_owner { Purpose::Owner } else { Purpose::Parent };
        if !is_owner && !options.check_parents {
            continue;
        }
        if let Some(key) = &column.parent_key {
            let Some((parent, ..)) = parts(&column.header) else { continue };
            let parent = parent.or(column.field.reference_to.first().map(String::as_str));
            let Some(parent) = parent.filter(|_| column.field.name != "RecordTypeId") else {
                continue;
            };
            if is_owner && parent != "User" && !options.check_parents {
                continue;
            }
            let purpose = if parent == "User" { purpose } else { Purpose::Parent };
            let own_key = plan.key.and_then(|key| columns.get(key));
            let in_source =
                parent == object.name && own_key.is_some_and(|own| own.field.name == key.name);
            let target = Target::Object { object: parent.to_owned(), key: key.name.clone() };
            ask(at, purpose, key.value_kind(), target, in_source);
        } else if column.field.field_type == FieldType::Reference
            && column.field.name != "RecordTypeId"
        {
            let objects: BTreeMap<String, String> = column
                .field
                .reference_to
                .iter()
                .filter_map(|object| Some((prefixes.get(object)?.clone(), object.clone())))
                .collect();
            ask(at, purpose, id, Target::ByPrefix(objects), false);
        }
    }
    if options.check_parents {
        let name = object.name.clone();
        if let Some(key) = plan.key
            && let Some(column) = columns.get(key)
        {
            if column.field.name != "Id" {
                let target =
                    Target::Object { object: name.clone(), key: column.field.name.clone() };
                ask(key, Purpose::New, column.field.value_kind(), target, false);
            } else if let Some(prefix) = object.key_prefix.clone() {
                let objects = BTreeMap::from([(prefix, name.clone())]);
                ask(key, Purpose::Record, id, Target::ByPrefix(objects), false);
            }
        }
        if operation == Operation::Insert {
            for (at, column) in columns.iter().enumerate() {
                if column.parent_key.is_none() && column.field.unique {
                    let key = column.field.name.clone();
                    let target = Target::Object { object: name.clone(), key };
                    ask(at, Purpose::Unique, column.field.value_kind(), target, false);
                }
            }
        }
    }
    (asked, questions)
}
