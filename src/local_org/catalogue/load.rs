//! Describe JSON to definitions: what a definition leaves out is filled in by
//! the rules that hold for its type.
//!
//! - Texts: length 255, 80 for mail addresses, 40 for phones, 18 for ids.
//! - Every field is nillable, createable and updateable unless it says
//!   otherwise; booleans are never nillable; ids, compounds, formulas and
//!   auto-numbers are read-only.
//! - System fields that are missing are added; `OwnerId` is added to a custom
//!   object that has no master.
//! - Picklist values may be plain texts.
//! - A key prefix left out is derived from the object's name.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::field::{FieldDef, FieldKind, PicklistDef};
use super::object::{ChildRelationDef, ObjectDef, RecordTypeDef, SystemFields};
use super::{CatalogueError, MASTER_RECORD_TYPE};
use crate::local_org::ids::RecordKey;

/// A describe result as far as this org reads it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectDocument {
    name: String,
    label: Option<String>,
    label_plural: Option<String>,
    key_prefix: Option<String>,
    custom: Option<bool>,
    custom_setting: Option<bool>,
    createable: Option<bool>,
    updateable: Option<bool>,
    deletable: Option<bool>,
    undeletable: Option<bool>,
    queryable: Option<bool>,
    /// Not of describe: query jobs may read it.
    bulk_queryable: Option<bool>,
    #[serde(default)]
    fields: Vec<FieldDocument>,
    #[serde(default)]
    record_type_infos: Vec<RecordTypeDocument>,
    #[serde(default)]
    child_relationships: Vec<ChildDocument>,
    /// Not of describe: system fields the real object lacks.
    #[serde(default)]
    hidden: Vec<String>,
    /// Not of describe: fields that the user may not see.
    #[serde(default)]
    no_access: Vec<String>,
    #[serde(skip)]
    origin: String,
}

impl ObjectDocument {
    /// Both describe the object of the same name.
    pub(super) fn is_named(&self, other: &ObjectDocument) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
    }

    fn invalid(&self, problem: impl Into<String>) -> CatalogueError {
        CatalogueError::Invalid { origin: self.origin.clone(), problem: problem.into() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FieldDocument {
    name: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    label: Option<String>,
    length: Option<u32>,
    precision: Option<u32>,
    scale: Option<u32>,
    digits: Option<u32>,
    nillable: Option<bool>,
    createable: Option<bool>,
    updateable: Option<bool>,
    defaulted_on_create: Option<bool>,
    external_id: Option<bool>,
    id_lookup: Option<bool>,
    unique: Option<bool>,
    case_sensitive: Option<bool>,
    name_field: Option<bool>,
    custom: Option<bool>,
    calculated: Option<bool>,
    calculated_formula: Option<String>,
    auto_number: Option<bool>,
    reference_to: Option<Vec<String>>,
    relationship_name: Option<String>,
    relationship_order: Option<u32>,
    cascade_delete: Option<bool>,
    restricted_delete: Option<bool>,
    write_requires_master_read: Option<bool>,
    picklist_values: Option<Vec<PicklistDocument>>,
    restricted_picklist: Option<bool>,
    dependent_picklist: Option<bool>,
    controller_name: Option<String>,
    default_value: Option<Json>,
    compound_field_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum PicklistDocument {
    Plain(String),
    #[serde(rename_all = "camelCase")]
    Full {
        value: String,
        label: Option<String>,
        active: Option<bool>,
        default_value: Option<bool>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordTypeDocument {
    record_type_id: String,
    name: String,
    developer_name: Option<String>,
    active: Option<bool>,
    available: Option<bool>,
    master: Option<bool>,
    default_record_type_mapping: Option<bool>,
    /// Not of describe: the values it has of a picklist, by field.
    #[serde(default)]
    picklists: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChildDocument {
    #[serde(rename = "childSObject")]
    child: String,
    field: String,
    relationship_name: Option<String>,
    cascade_delete: Option<bool>,
    restricted_delete: Option<bool>,
}

/// Reads one describe text. `origin` says where it comes from in errors.
pub(super) fn parse(origin: &str, text: &str) -> Result<ObjectDocument, CatalogueError> {
    // An editor on Windows may have left a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut document: ObjectDocument = serde_json::from_str(text)
        .map_err(|source| CatalogueError::Parse { origin: origin.to_owned(), source })?;
    origin.clone_into(&mut document.origin);
    if document.name.is_empty() || !document.name.bytes().all(is_name_byte) {
        return Err(document.invalid(format!("`{}` is not an object's API name", document.name)));
    }
    Ok(document)
}

/// Makes definitions of the documents, ordered by name, and ties them
/// together: child relationships, key prefixes.
pub(super) fn resolve(
    mut documents: Vec<ObjectDocument>,
) -> Result<Vec<Arc<ObjectDef>>, CatalogueError> {
    documents.sort_by_key(|document| document.name.to_ascii_lowercase());
    let prefixes = assign_prefixes(&documents)?;
    let mut objects = Vec::with_capacity(documents.len());
    for (document, prefix) in documents.iter().zip(prefixes) {
        objects.push(object(document, prefix)?);
    }
    let children: Vec<Vec<ChildRelationDef>> = documents
        .iter()
        .zip(&objects)
        .map(|(document, parent)| children_of(document, parent, &objects))
        .collect();
    for (object, children) in objects.iter_mut().zip(children) {
        object.children = children;
    }
    Ok(objects.into_iter().map(Arc::new).collect())
}

fn object(document: &ObjectDocument, key_prefix: String) -> Result<ObjectDef, CatalogueError> {
    let custom = document.custom.unwrap_or_else(|| is_custom(&document.name));
    let has_master =
        document.fields.iter().any(|field| field.relationship_order.is_some() || is_detail(field));
    let mut fields: Vec<FieldDef> = system_fields(custom && !has_master);
    for (at, source) in document.fields.iter().enumerate() {
        let earlier = document.fields.get(..at).unwrap_or_default();
        if earlier.iter().any(|field| field.name.eq_ignore_ascii_case(&source.name)) {
            return Err(document.invalid(format!("field {} is there twice", source.name)));
        }
        if source.name.is_empty() || !source.name.bytes().all(is_name_byte) {
            return Err(document.invalid(format!("`{}` is not a field's API name", source.name)));
        }
        let known = fields.iter().position(|field| field.name.eq_ignore_ascii_case(&source.name));
        let resolved = field(source, known.and_then(|at| fields.get(at)));
        match known.and_then(|at| fields.get_mut(at)) {
            // The rules of system fields stand, whatever a definition says.
            Some(system) if system.name != "OwnerId" => system.label = resolved.label,
            Some(owner) => *owner = resolved,
            None => fields.push(resolved),
        }
    }
    for field in &mut fields {
        let names = |list: &[String]| list.iter().any(|n| n.eq_ignore_ascii_case(&field.name));
        field.no_access = names(&document.no_access);
        field.hidden = field.no_access || names(&document.hidden);
    }
    fields.sort_by_key(rank);
    if fields.iter().filter(|field| field.name_field).count() > 1 {
        return Err(document.invalid("more than one field is marked nameField"));
    }
    let mut by_name = HashMap::new();
    let mut by_relationship = HashMap::new();
    for (at, field) in fields.iter().enumerate() {
        by_name.insert(field.name.to_ascii_lowercase(), at);
        if let Some(name) = &field.relationship_name {
            by_relationship.insert(name.to_ascii_lowercase(), at);
        }
    }
    let at = |name: &str| by_name.get(&name.to_ascii_lowercase()).copied();
    let system = SystemFields {
        id: 0,
        is_deleted: 1,
        name: fields.iter().position(|field| field.name_field),
        owner_id: at("OwnerId"),
        created_date: at("CreatedDate").unwrap_or_default(),
        created_by_id: at("CreatedById").unwrap_or_default(),
        last_modified_date: at("LastModifiedDate").unwrap_or_default(),
        last_modified_by_id: at("LastModifiedById").unwrap_or_default(),
        system_modstamp: at("SystemModstamp").unwrap_or_default(),
        record_type_id: at("RecordTypeId"),
        is_archived: at("IsArchived"),
        activity_date: at("ActivityDate"),
    };
    let label = document.label.clone().unwrap_or_else(|| spaced(&document.name));
    Ok(ObjectDef {
        name: document.name.clone(),
        label_plural: document.label_plural.clone().unwrap_or_else(|| format!("{label}s")),
        label,
        key_prefix,
        custom,
        custom_setting: document.custom_setting.unwrap_or(false),
        createable: document.createable.unwrap_or(true),
        updateable: document.updateable.unwrap_or(true),
        deletable: document.deletable.unwrap_or(true),
        undeletable: document.undeletable.unwrap_or(true),
        queryable: document.queryable.unwrap_or(true),
        bulk_queryable: document.bulk_queryable.unwrap_or(true),
        system,
        record_types: record_types(document, &fields)?,
        fields,
        children: Vec::new(),
        by_name,
        by_relationship,
    })
}

/// The order of fields: system fields first, the rest as they came (the sort
/// is stable).
fn rank(field: &FieldDef) -> u8 {
    match field.name.as_str() {
        "Id" => 0,
        "IsDeleted" => 1,
        _ if field.name_field => 2,
        "OwnerId" => 3,
        "CreatedDate" => 4,
        "CreatedById" => 5,
        "LastModifiedDate" => 6,
        "LastModifiedById" => 7,
        "SystemModstamp" => 8,
        _ => 9,
    }
}

fn system_fields(owned: bool) -> Vec<FieldDef> {
    let base = |name: &str, kind: &str| FieldDocument {
        name: name.to_owned(),
        kind: Some(kind.to_owned()),
        nillable: Some(false),
        createable: Some(false),
        updateable: Some(false),
        defaulted_on_create: Some(true),
        ..FieldDocument::default()
    };
    let user = |name: &str, relationship: &str| FieldDocument {
        reference_to: Some(vec!["User".to_owned()]),
        relationship_name: Some(relationship.to_owned()),
        ..base(name, "reference")
    };
    let mut documents = vec![
        FieldDocument { id_lookup: Some(true), ..base("Id", "id") },
        FieldDocument { label: Some("Deleted".to_owned()), ..base("IsDeleted", "boolean") },
        base("CreatedDate", "datetime"),
        user("CreatedById", "CreatedBy"),
        base("LastModifiedDate", "datetime"),
        user("LastModifiedById", "LastModifiedBy"),
        base("SystemModstamp", "datetime"),
    ];
    if owned {
        documents.push(FieldDocument {
            createable: Some(true),
            updateable: Some(true),
            reference_to: Some(vec!["Group".to_owned(), "User".to_owned()]),
            ..user("OwnerId", "Owner")
        });
    }
    documents.iter().map(|document| field(document, None)).collect()
}

fn field(source: &FieldDocument, system: Option<&FieldDef>) -> FieldDef {
    let kind = match (&source.kind, system) {
        (Some(word), _) => FieldKind::from_word(word),
        (None, Some(system)) => system.kind,
        (None, None) => FieldKind::String,
    };
    let calculated = source.calculated.unwrap_or(false);
    let auto_number = source.auto_number.unwrap_or(false);
    let writable = !(calculated
        || auto_number
        || kind.is_compound()
        || matches!(kind, FieldKind::Id | FieldKind::AnyType | FieldKind::Base64));
    let custom = source.custom.unwrap_or_else(|| is_custom(&source.name));
    let picklist_values: Vec<PicklistDef> =
        source.picklist_values.iter().flatten().map(picklist_value).collect();
    let default_value =
        source.default_value.clone().filter(|value| !value.is_null()).or_else(|| {
            match picklist_values.iter().find(|value| value.default_value) {
                Some(value) => Some(json!(value.value)),
                None => (kind == FieldKind::Boolean).then_some(Json::Bool(false)),
            }
        });
    FieldDef {
        label: source.label.clone().unwrap_or_else(|| spaced(&source.name)),
        name: source.name.clone(),
        length: source.length.unwrap_or_else(|| default_length(kind)),
        precision: source.precision.unwrap_or_else(|| default_precision(kind)),
        scale: source.scale.unwrap_or(match kind {
            FieldKind::Currency | FieldKind::Percent => 2,
            _ => 0,
        }),
        digits: source.digits.unwrap_or(match kind {
            FieldKind::Int => 9,
            FieldKind::Long => 18,
            _ => 0,
        }),
        nillable: source.nillable.unwrap_or(true) && kind != FieldKind::Boolean,
        createable: source.createable.unwrap_or(true) && writable,
        updateable: source.updateable.unwrap_or(true) && writable,
        defaulted_on_create: source
            .defaulted_on_create
            .unwrap_or_else(|| default_value.is_some() || auto_number),
        external_id: source.external_id.unwrap_or(false),
        id_lookup: source.id_lookup.unwrap_or_else(|| source.external_id.unwrap_or(false)),
        unique: source.unique.unwrap_or(false),
        case_sensitive: source.case_sensitive.unwrap_or(false),
        name_field: source.name_field.unwrap_or(custom_name(source)),
        custom,
        calculated,
        calculated_formula: source.calculated_formula.clone(),
        auto_number,
        relationship_name: source
            .relationship_name
            .clone()
            .or_else(|| (kind == FieldKind::Reference).then(|| relationship_of(source))?),
        reference_to: source.reference_to.clone().unwrap_or_default(),
        relationship_order: source.relationship_order,
        cascade_delete: source.cascade_delete.unwrap_or(source.relationship_order.is_some()),
        restricted_delete: source.restricted_delete.unwrap_or(false),
        write_requires_master_read: source.write_requires_master_read.unwrap_or(false),
        picklist_values,
        restricted_picklist: source.restricted_picklist.unwrap_or(false),
        dependent_picklist: source.dependent_picklist.unwrap_or(false),
        controller_name: source.controller_name.clone(),
        default_value,
        compound_field_name: source.compound_field_name.clone(),
        hidden: false,
        no_access: false,
        kind,
    }
}

/// A custom lookup whose records die with their parent is a master-detail.
fn is_detail(field: &FieldDocument) -> bool {
    is_custom(&field.name)
        && field.cascade_delete == Some(true)
        && field.nillable == Some(false)
        && field.kind.as_deref() == Some("reference")
}

/// A field `Name` is the name field unless its definition says otherwise.
fn custom_name(source: &FieldDocument) -> bool {
    source.name.eq_ignore_ascii_case("Name")
}

/// `Account__c` is called `Account__r`, `ParentId` is called `Parent`.
fn relationship_of(source: &FieldDocument) -> Option<String> {
    if let Some(stem) = source.name.strip_suffix("__c") {
        return Some(format!("{stem}__r"));
    }
    source.name.strip_suffix("Id").filter(|stem| !stem.is_empty()).map(str::to_owned)
}

fn default_length(kind: FieldKind) -> u32 {
    match kind {
        FieldKind::Id | FieldKind::Reference => 18,
        FieldKind::Phone => 40,
        FieldKind::Email => 80,
        // As describe tells it for all multi-select picklists.
        FieldKind::MultiPicklist => 4099,
        FieldKind::EncryptedString => 175,
        kind if kind.is_text() => 255,
        _ => 0,
    }
}

fn default_precision(kind: FieldKind) -> u32 {
    match kind {
        FieldKind::Double | FieldKind::Currency | FieldKind::Percent => 18,
        _ => 0,
    }
}

fn picklist_value(source: &PicklistDocument) -> PicklistDef {
    match source {
        PicklistDocument::Plain(value) => PicklistDef {
            value: value.clone(),
            label: value.clone(),
            active: true,
            default_value: false,
        },
        PicklistDocument::Full { value, label, active, default_value } => PicklistDef {
            value: value.clone(),
            label: label.clone().unwrap_or_else(|| value.clone()),
            active: active.unwrap_or(true),
            default_value: default_value.unwrap_or(false),
        },
    }
}

fn record_types(
    document: &ObjectDocument,
    fields: &[FieldDef],
) -> Result<Vec<RecordTypeDef>, CatalogueError> {
    let mut types = document
        .record_type_infos
        .iter()
        .map(|info| {
            Ok(RecordTypeDef {
                id: record_type_id(document, info),
                name: info.name.clone(),
                developer_name: info
                    .developer_name
                    .clone()
                    .unwrap_or_else(|| info.name.replace(' ', "_")),
                active: info.active.unwrap_or(true),
                available: info.available.unwrap_or(true),
                master: info
                    .master
                    .unwrap_or_else(|| info.record_type_id.starts_with("012000000000000")),
                default: info.default_record_type_mapping.unwrap_or(false),
                picklists: narrowed(document, info, fields)?,
            })
        })
        .collect::<Result<Vec<RecordTypeDef>, CatalogueError>>()?;
    if !types.iter().any(|kind| kind.master) {
        types.push(RecordTypeDef {
            id: MASTER_RECORD_TYPE.to_owned(),
            name: "Master".to_owned(),
            developer_name: "Master".to_owned(),
            active: true,
            available: true,
            master: true,
            default: types.is_empty(),
            picklists: Vec::new(),
        });
    }
    Ok(types)
}

/// The picklists of which a record type has some values only.
fn narrowed(
    document: &ObjectDocument,
    info: &RecordTypeDocument,
    fields: &[FieldDef],
) -> Result<Vec<(usize, Vec<String>)>, CatalogueError> {
    let mut found = Vec::new();
    for (name, values) in &info.picklists {
        let place = fields.iter().position(|field| field.name.eq_ignore_ascii_case(name));
        let Some((place, field)) = place.and_then(|place| Some((place, fields.get(place)?))) else {
            return Err(document.invalid(format!(
                "record type {} has values of the picklist {name}, and there is no such field",
                info.name
            )));
        };
        let offers = |value: &String| field.picklist_values.iter().any(|v| v.value == *value);
        if let Some(value) = values.iter().find(|value| !offers(value)) {
            return Err(document.invalid(format!(
                "record type {} has the value `{value}`, which the picklist {name} hasn't",
                info.name
            )));
        }
        found.push((place, values.clone()));
    }
    Ok(found)
}

/// The id given, unless another org made it: then one of this org's, the same
/// at every start.
fn record_type_id(document: &ObjectDocument, info: &RecordTypeDocument) -> String {
    let given = &info.record_type_id;
    if given.starts_with("012000000000000") {
        return MASTER_RECORD_TYPE.to_owned();
    }
    let own = RecordKey::parse(given).filter(|key| key.counter().is_some_and(|n| n > 0));
    let key = own.unwrap_or_else(|| {
        let name = info.developer_name.as_ref().unwrap_or(&info.name);
        let hash = document
            .name
            .bytes()
            .chain([0])
            .chain(name.bytes())
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        // Beyond the ids that definitions here use, within five digits.
        RecordKey::new("012", 62_u64.pow(4) + hash % 62_u64.pow(5))
    });
    key.to_string()
}

/// Lookups of all objects at `parent`, with the names its definition gives them.
fn children_of(
    document: &ObjectDocument,
    parent: &ObjectDef,
    objects: &[ObjectDef],
) -> Vec<ChildRelationDef> {
    let mut children = Vec::new();
    for child in objects {
        for (_, field) in child.visible_fields() {
            if !field.reference_to.iter().any(|name| name.eq_ignore_ascii_case(&parent.name)) {
                continue;
            }
            let told = document.child_relationships.iter().find(|told| {
                told.child.eq_ignore_ascii_case(&child.name)
                    && told.field.eq_ignore_ascii_case(&field.name)
            });
            let derived =
                || field.custom.then(|| format!("{}__r", child.label_plural.replace(' ', "_")));
            children.push(ChildRelationDef {
                child: child.name.clone(),
                field: field.name.clone(),
                relationship_name: told
                    .and_then(|told| told.relationship_name.clone())
                    .or_else(derived),
                cascade_delete: told
                    .and_then(|told| told.cascade_delete)
                    .unwrap_or(field.cascade_delete),
                restricted_delete: told
                    .and_then(|told| told.restricted_delete)
                    .unwrap_or(field.restricted_delete),
            });
        }
    }
    children
}

/// The prefixes given, and for objects without one a prefix from `a02` to
/// `zzz` by the object's name, so that it stays the same when other objects
/// come.
fn assign_prefixes(documents: &[ObjectDocument]) -> Result<Vec<String>, CatalogueError> {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut taken: HashMap<String, &str> = HashMap::new();
    for document in documents {
        let Some(prefix) = &document.key_prefix else { continue };
        if prefix.len() != 3 || !prefix.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(document.invalid(format!("`{prefix}` is not a key prefix")));
        }
        if let Some(other) = taken.insert(prefix.clone(), &document.name) {
            return Err(
                document.invalid(format!("its key prefix {prefix} is that of {other} already"))
            );
        }
    }
    let mut prefixes = Vec::with_capacity(documents.len());
    for document in documents {
        if let Some(prefix) = &document.key_prefix {
            prefixes.push(prefix.clone());
            continue;
        }
        let mut hash = document.name.bytes().fold(0xcbf2_9ce4_u32, |hash, byte| {
            (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
        });
        let prefix = loop {
            let at = |n: u32| char::from(DIGITS.get((n % 62) as usize).copied().unwrap_or(b'0'));
            let prefix = format!("a{}{}", at(hash), at(hash / 62));
            if !taken.contains_key(&prefix) {
                break prefix;
            }
            if taken.len() > 3000 {
                return Err(document.invalid("no key prefix is left"));
            }
            hash = hash.wrapping_add(1);
        };
        taken.insert(prefix.clone(), &document.name);
        prefixes.push(prefix);
    }
    Ok(prefixes)
}

fn is_custom(name: &str) -> bool {
    name.ends_with("__c") || name.ends_with("__pc")
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A label out of an API name: `AnnualRevenue` is `Annual Revenue`.
fn spaced(name: &str) -> String {
    let stem = name.strip_suffix("__c").unwrap_or(name).replace('_', " ");
    let mut label = String::with_capacity(stem.len() + 4);
    let mut previous = ' ';
    for c in stem.chars() {
        if c.is_ascii_uppercase() && previous.is_ascii_lowercase() {
            label.push(' ');
        }
        label.push(c);
        previous = c;
    }
    if label.ends_with(" Id") {
        label.truncate(label.len() - 2);
        label.push_str("ID");
    }
    label
}
