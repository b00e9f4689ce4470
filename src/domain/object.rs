//! Objects and fields, as describe tells them.

use serde::{Deserialize, Serialize};

/// The type of a field, by describe's `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// The record's own id.
    Id,
    /// A lookup to another record.
    Reference,
    /// Plain text.
    String,
    /// Long text.
    TextArea,
    /// A phone number.
    Phone,
    /// A web address.
    Url,
    /// A mail address.
    Email,
    /// Text encrypted at rest.
    EncryptedString,
    /// Text with suggestions.
    ComboBox,
    /// One of a list.
    Picklist,
    /// Several of a list, joined by `;`.
    MultiPicklist,
    /// True or false, never null.
    Boolean,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// A number; the service keeps a double.
    Double,
    /// Money; the service keeps a double.
    Currency,
    /// A percentage; the service keeps a double.
    Percent,
    /// A day.
    Date,
    /// An instant.
    DateTime,
    /// A time of day.
    Time,
    /// Binary content, which Bulk API 2.0 does not carry.
    Base64,
    /// Compound address; made of other fields, never written.
    Address,
    /// Compound geolocation; made of other fields, never written.
    Location,
    /// Anything this release does not know.
    #[serde(other)]
    Other,
}

/// How two texts of one field are compared: what the org may change when it
/// renders a value again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueKind {
    /// Text, exactly first, then without regard to case and outer blanks
    /// unless the field tells case apart.
    Text {
        /// Whether the field tells letter case apart.
        case_sensitive: bool,
    },
    /// A record id of 15 or 18 characters.
    Id,
    /// A number, by its nearest double.
    Number,
    /// True or false, in any of the words the service reads.
    Boolean,
    /// A day.
    Date,
    /// An instant, to the whole second.
    DateTime,
    /// A time of day.
    Time,
    /// A set of words joined by `;`.
    MultiPicklist,
}

/// A value a picklist offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PicklistValue {
    /// The API value.
    pub value: String,
    /// The label people see.
    #[serde(default)]
    pub label: Option<String>,
    /// Whether new records may have it.
    #[serde(default)]
    pub active: bool,
}

/// A field of an object ("sObject Describe", REST API guide).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// API name.
    pub name: String,
    /// Label people see.
    #[serde(default)]
    pub label: String,
    /// Type.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// Characters a text may hold; 0 where it does not apply.
    #[serde(default)]
    pub length: u32,
    /// Digits of a number, all told.
    #[serde(default)]
    pub precision: u32,
    /// Digits behind the decimal point.
    #[serde(default)]
    pub scale: u32,
    /// Digits of a whole number.
    #[serde(default)]
    pub digits: u32,
    /// May be empty.
    #[serde(default)]
    pub nillable: bool,
    /// May be set on create.
    #[serde(default)]
    pub createable: bool,
    /// May be changed.
    #[serde(default)]
    pub updateable: bool,
    /// Gets a value by itself on create.
    #[serde(default)]
    pub defaulted_on_create: bool,
    /// Marked as external id.
    #[serde(default)]
    pub external_id: bool,
    /// Usable as a key of an upsert or lookup without being an external id.
    #[serde(default)]
    pub id_lookup: bool,
    /// No two records share a value.
    #[serde(default)]
    pub unique: bool,
    /// Tells letter case apart.
    #[serde(default)]
    pub case_sensitive: bool,
    /// The object's name field.
    #[serde(default)]
    pub name_field: bool,
    /// Defined by the org, not by the platform.
    #[serde(default)]
    pub custom: bool,
    /// Computed by a formula.
    #[serde(default)]
    pub calculated: bool,
    /// Numbered by the org.
    #[serde(default)]
    pub auto_number: bool,
    /// Objects a lookup may point at.
    #[serde(default)]
    pub reference_to: Vec<String>,
    /// Name of the lookup's relationship.
    #[serde(default)]
    pub relationship_name: Option<String>,
    /// Order among master-detail relationships; set on those only.
    #[serde(default)]
    pub relationship_order: Option<u32>,
    /// Deleting the parent deletes this record.
    #[serde(default)]
    pub cascade_delete: bool,
    /// Values on offer.
    #[serde(default)]
    pub picklist_values: Vec<PicklistValue>,
    /// Other values than those on offer are refused.
    #[serde(default)]
    pub restricted_picklist: bool,
    /// The compound field this is a part of.
    #[serde(default)]
    pub compound_field_name: Option<String>,
}

impl Field {
    /// Whether a new record needs a value for it from us.
    pub fn is_required_on_create(&self) -> bool {
        !self.nillable
            && !self.defaulted_on_create
            && self.createable
            && self.field_type != FieldType::Boolean
    }

    /// Whether a lookup or an upsert may find a record by it.
    pub const fn is_key(&self) -> bool {
        self.external_id || self.id_lookup
    }

    /// How values of the field are compared.
    pub const fn value_kind(&self) -> ValueKind {
        match self.field_type {
            FieldType::Id | FieldType::Reference => ValueKind::Id,
            FieldType::Boolean => ValueKind::Boolean,
            FieldType::Int
            | FieldType::Long
            | FieldType::Double
            | FieldType::Currency
            | FieldType::Percent => ValueKind::Number,
            FieldType::Date => ValueKind::Date,
            FieldType::DateTime => ValueKind::DateTime,
            FieldType::Time => ValueKind::Time,
            FieldType::MultiPicklist => ValueKind::MultiPicklist,
            _ => ValueKind::Text { case_sensitive: self.case_sensitive },
        }
    }
}

/// A record type of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordTypeInfo {
    /// Its record id.
    pub record_type_id: String,
    /// Its label.
    #[serde(default)]
    pub name: String,
    /// Its API name; older replies leave it out.
    #[serde(default)]
    pub developer_name: Option<String>,
    /// Whether it is the one given by default.
    #[serde(default)]
    pub default_record_type_mapping: bool,
    /// Whether it is the master record type, which stands for "none".
    #[serde(default)]
    pub master: bool,
    /// Whether this user may use it.
    #[serde(default)]
    pub available: bool,
}

/// What describe tells of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectDescription {
    /// API name in exact case.
    pub name: String,
    /// Label people see.
    #[serde(default)]
    pub label: String,
    /// First three characters of its ids.
    #[serde(default)]
    pub key_prefix: Option<String>,
    /// Defined by the org.
    #[serde(default)]
    pub custom: bool,
    /// This user may create records.
    #[serde(default)]
    pub createable: bool,
    /// This user may change records.
    #[serde(default)]
    pub updateable: bool,
    /// This user may delete records.
    #[serde(default)]
    pub deletable: bool,
    /// This user may query records.
    #[serde(default)]
    pub queryable: bool,
    /// Fields this user may see; the others are simply absent.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// Record types.
    #[serde(default)]
    pub record_type_infos: Vec<RecordTypeInfo>,
}

impl ObjectDescription {
    /// The field of this name, in exact letter case.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The field of this name, whatever its letter case.
    pub fn field_ignoring_case(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// The lookup field whose relationship has this name, whatever its case.
    pub fn relationship(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| {
            field.relationship_name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
        })
    }
}
