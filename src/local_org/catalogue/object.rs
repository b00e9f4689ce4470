//! An object as describe tells it.

use std::collections::HashMap;

use super::field::FieldDef;

/// Where an object's system fields stand among its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SystemFields {
    /// `Id`; always 0.
    pub id: usize,
    /// `IsDeleted`; always 1 (hidden where the real object has none).
    pub is_deleted: usize,
    /// The name field, when it has one; then always 2.
    pub name: Option<usize>,
    /// `OwnerId`, unless a master owns the record.
    pub owner_id: Option<usize>,
    /// `CreatedDate`.
    pub created_date: usize,
    /// `CreatedById`.
    pub created_by_id: usize,
    /// `LastModifiedDate`.
    pub last_modified_date: usize,
    /// `LastModifiedById`.
    pub last_modified_by_id: usize,
    /// `SystemModstamp`.
    pub system_modstamp: usize,
    /// `RecordTypeId`, where the object has record types.
    pub record_type_id: Option<usize>,
    /// `IsArchived`, of activities.
    pub is_archived: Option<usize>,
    /// `ActivityDate`, of activities.
    pub activity_date: Option<usize>,
}

/// A record type of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordTypeDef {
    /// 18-character id.
    pub id: String,
    /// Label.
    pub name: String,
    /// API name.
    pub developer_name: String,
    /// May be used for new records.
    pub active: bool,
    /// The current user may use it.
    pub available: bool,
    /// The master record type, which no record points at.
    pub master: bool,
    /// What records get that name none.
    pub default: bool,
    /// Picklists of which it has some values only: places of the fields, with
    /// these values.
    pub picklists: Vec<(usize, Vec<String>)>,
}

impl RecordTypeDef {
    /// Whether it has a value of the picklist at this place.
    pub(crate) fn offers(&self, field: usize, value: &str) -> bool {
        self.picklists
            .iter()
            .filter(|(place, _)| *place == field)
            .all(|(_, values)| values.iter().any(|known| known == value))
    }
}

/// A lookup of another object at this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChildRelationDef {
    /// The object that holds the lookup.
    pub child: String,
    /// Its field.
    pub field: String,
    /// What the children are called in a subquery.
    pub relationship_name: Option<String>,
    /// Deleting the parent deletes them.
    pub cascade_delete: bool,
    /// The parent can't be deleted while they are there.
    pub restricted_delete: bool,
}

/// An object ("sObject Describe", REST API guide).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ObjectDef {
    /// API name.
    pub name: String,
    /// Label.
    pub label: String,
    /// Label of several.
    pub label_plural: String,
    /// First three characters of its ids.
    pub key_prefix: String,
    /// Made by the org's owner (`__c`).
    pub custom: bool,
    /// A custom setting.
    pub custom_setting: bool,
    /// Records may be created.
    pub createable: bool,
    /// Records may be changed.
    pub updateable: bool,
    /// Records may be deleted.
    pub deletable: bool,
    /// Deleted records may be brought back.
    pub undeletable: bool,
    /// SOQL may read it.
    pub queryable: bool,
    /// Bulk query jobs may read it. Not of describe: there is no telling
    /// before one tries.
    pub bulk_queryable: bool,
    /// Fields: `Id`, `IsDeleted`, the name field, the owner, the dates and
    /// users of creation and last change, then the rest as in the definition.
    pub fields: Vec<FieldDef>,
    /// Where the system fields stand.
    pub system: SystemFields,
    /// Record types, the master among them.
    pub record_types: Vec<RecordTypeDef>,
    /// Lookups of other objects at this one.
    pub children: Vec<ChildRelationDef>,
    pub(super) by_name: HashMap<String, usize>,
    pub(super) by_relationship: HashMap<String, usize>,
}

impl ObjectDef {
    /// The field of this API name in whatever letter case, with its place;
    /// hidden ones are not found.
    pub(crate) fn field(&self, name: &str) -> Option<(usize, &FieldDef)> {
        let at = *self.by_name.get(&name.to_ascii_lowercase())?;
        self.fields.get(at).filter(|field| !field.hidden).map(|field| (at, field))
    }

    /// The lookup field of this relationship name in whatever letter case.
    pub(crate) fn relationship(&self, name: &str) -> Option<(usize, &FieldDef)> {
        let at = *self.by_relationship.get(&name.to_ascii_lowercase())?;
        self.fields.get(at).filter(|field| !field.hidden).map(|field| (at, field))
    }

    /// Fields people see, with their places.
    pub(crate) fn visible_fields(&self) -> impl Iterator<Item = (usize, &FieldDef)> {
        self.fields.iter().enumerate().filter(|(_, field)| !field.hidden)
    }

    /// The parts of a compound field (an address, a person's name).
    pub(crate) fn parts_of<'a>(
        &'a self,
        compound: &'a str,
    ) -> impl Iterator<Item = (usize, &'a FieldDef)> {
        self.fields.iter().enumerate().filter(move |(_, field)| field.part_of(compound))
    }

    /// A name put together from `FirstName` and `LastName`.
    pub(crate) fn is_person_name(&self, field: &FieldDef) -> bool {
        field.name_field && self.fields.iter().any(|part| part.part_of(&field.name))
    }
}
