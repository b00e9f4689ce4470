//! A field as describe tells it.

/// The `type` of a field in a describe result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FieldKind {
    /// The record's own id.
    Id,
    /// A lookup, by id.
    Reference,
    /// Text of one line.
    String,
    /// Text of several lines.
    TextArea,
    /// A phone number; text without a format.
    Phone,
    /// A web address; text without a format.
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
    /// A number, kept as a double.
    Double,
    /// Money, kept as a double.
    Currency,
    /// A percentage, kept as a double.
    Percent,
    /// A day.
    Date,
    /// An instant.
    DateTime,
    /// A time of day.
    Time,
    /// Binary content; not loadable through Bulk API 2.0.
    Base64,
    /// Compound address, put together from other fields.
    Address,
    /// Compound geolocation, put together from other fields.
    Location,
    /// A type this org has no rules for; read-only.
    AnyType,
}

impl FieldKind {
    /// Every kind and its word in describe.
    const WORDS: [(FieldKind, &'static str); 24] = [
        (FieldKind::Id, "id"),
        (FieldKind::Reference, "reference"),
        (FieldKind::String, "string"),
        (FieldKind::TextArea, "textarea"),
        (FieldKind::Phone, "phone"),
        (FieldKind::Url, "url"),
        (FieldKind::Email, "email"),
        (FieldKind::EncryptedString, "encryptedstring"),
        (FieldKind::ComboBox, "combobox"),
        (FieldKind::Picklist, "picklist"),
        (FieldKind::MultiPicklist, "multipicklist"),
        (FieldKind::Boolean, "boolean"),
        (FieldKind::Int, "int"),
        (FieldKind::Long, "long"),
        (FieldKind::Double, "double"),
        (FieldKind::Currency, "currency"),
        (FieldKind::Percent, "percent"),
        (FieldKind::Date, "date"),
        (FieldKind::DateTime, "datetime"),
        (FieldKind::Time, "time"),
        (FieldKind::Base64, "base64"),
        (FieldKind::Address, "address"),
        (FieldKind::Location, "location"),
        (FieldKind::AnyType, "anyType"),
    ];

    /// The kind of a describe's `type`; unknown words are [`FieldKind::AnyType`].
    pub(crate) fn from_word(word: &str) -> FieldKind {
        FieldKind::WORDS
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(word))
            .map_or(FieldKind::AnyType, |(kind, _)| *kind)
    }

    /// Its word in describe.
    pub(crate) fn word(self) -> &'static str {
        FieldKind::WORDS.iter().find(|(kind, _)| *kind == self).map_or("anyType", |(_, word)| *word)
    }

    /// The `soapType` that goes with it (protocol notes, section 8.3).
    pub(crate) fn soap_type(self) -> &'static str {
        match self {
            FieldKind::Id | FieldKind::Reference => "tns:ID",
            FieldKind::Boolean => "xsd:boolean",
            FieldKind::Int => "xsd:int",
            FieldKind::Long => "xsd:long",
            FieldKind::Double | FieldKind::Currency | FieldKind::Percent => "xsd:double",
            FieldKind::Date => "xsd:date",
            FieldKind::DateTime => "xsd:dateTime",
            FieldKind::Time => "xsd:time",
            FieldKind::Base64 => "xsd:base64Binary",
            FieldKind::Address => "urn:address",
            FieldKind::Location => "urn:location",
            FieldKind::AnyType => "xsd:anyType",
            _ => "xsd:string",
        }
    }

    /// Kept and compared as text.
    pub(crate) fn is_text(self) -> bool {
        matches!(
            self,
            FieldKind::String
                | FieldKind::TextArea
                | FieldKind::Phone
                | FieldKind::Url
                | FieldKind::Email
                | FieldKind::EncryptedString
                | FieldKind::ComboBox
                | FieldKind::Picklist
                | FieldKind::MultiPicklist
        )
    }

    /// Kept and compared as a number.
    pub(crate) fn is_number(self) -> bool {
        matches!(
            self,
            FieldKind::Int
                | FieldKind::Long
                | FieldKind::Double
                | FieldKind::Currency
                | FieldKind::Percent
        )
    }

    /// Put together from other fields; never stored by itself.
    pub(crate) fn is_compound(self) -> bool {
        matches!(self, FieldKind::Address | FieldKind::Location)
    }
}

/// A value a picklist offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PicklistDef {
    /// The API value.
    pub value: String,
    /// The label people see.
    pub label: String,
    /// Whether new records may have it.
    pub active: bool,
    /// Whether records get it when they name none.
    pub default_value: bool,
}

/// A field ("sObject Describe" and `DescribeSObjectResult`, SOAP API guide).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldDef {
    /// API name.
    pub name: String,
    /// Label people see.
    pub label: String,
    /// Type.
    pub kind: FieldKind,
    /// Characters a text may hold; 0 where it does not apply.
    pub length: u32,
    /// Digits of a number, all told; for a multi-select picklist the lines shown.
    pub precision: u32,
    /// Digits behind the decimal point.
    pub scale: u32,
    /// Digits of a whole number.
    pub digits: u32,
    /// May be empty.
    pub nillable: bool,
    /// May be set on create.
    pub createable: bool,
    /// May be changed.
    pub updateable: bool,
    /// Gets a value by itself on create.
    pub defaulted_on_create: bool,
    /// Marked as external id: key of an upsert and of relationship headers; indexed.
    pub external_id: bool,
    /// Key of an upsert and of relationship headers without being an external id; indexed.
    pub id_lookup: bool,
    /// No two records may share a value; indexed.
    pub unique: bool,
    /// Tells letter case apart (of a unique external id).
    pub case_sensitive: bool,
    /// The object's name field.
    pub name_field: bool,
    /// Made by the org's owner (`__c`).
    pub custom: bool,
    /// A formula or roll-up. Formulas are not computed here: always null.
    pub calculated: bool,
    /// The formula's text.
    pub calculated_formula: Option<String>,
    /// Numbered by the org.
    pub auto_number: bool,
    /// Objects a lookup may point at; several make it polymorphic.
    pub reference_to: Vec<String>,
    /// What the lookup is called in SOQL and relationship headers.
    pub relationship_name: Option<String>,
    /// Which of an object's masters this is (0 or 1); only on master-detail.
    pub relationship_order: Option<u32>,
    /// Deleting the parent deletes this record.
    pub cascade_delete: bool,
    /// The parent can't be deleted while this record is there.
    pub restricted_delete: bool,
    /// Reading the master suffices to write the detail.
    pub write_requires_master_read: bool,
    /// Values a picklist offers.
    pub picklist_values: Vec<PicklistDef>,
    /// Values outside the picklist are refused.
    pub restricted_picklist: bool,
    /// Its values depend on another field (shown, not enforced).
    pub dependent_picklist: bool,
    /// The field they depend on.
    pub controller_name: Option<String>,
    /// What a record gets that names no value.
    pub default_value: Option<serde_json::Value>,
    /// The compound field this one is part of (`BillingAddress`, `Name`).
    pub compound_field_name: Option<String>,
    /// Kept by the store and seen by nobody (`IsDeleted` of User).
    pub hidden: bool,
    /// It is there, but the user may not see it.
    pub no_access: bool,
}

impl FieldDef {
    /// A record can't be created without it: `!nillable &&
    /// !defaultedOnCreate && createable`, and never a boolean.
    pub(crate) fn required_on_create(&self) -> bool {
        !self.nillable
            && !self.defaulted_on_create
            && self.createable
            && self.kind != FieldKind::Boolean
    }

    /// Records can be found by it without reading all of them.
    pub(crate) fn indexed(&self) -> bool {
        self.external_id || self.id_lookup || self.unique
    }

    /// Points at more than one object, so that relationship headers need a
    /// prefix ("Relationship Fields in a Header Row", Bulk API 2.0 guide).
    pub(crate) fn polymorphic(&self) -> bool {
        self.reference_to.len() > 1
    }

    /// Part of the compound field of this name.
    pub(crate) fn part_of(&self, compound: &str) -> bool {
        self.compound_field_name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(compound))
            && !self.name.eq_ignore_ascii_case(compound)
    }

    /// May stand in a WHERE or ORDER BY: long text and compounds may not.
    pub(crate) fn filterable(&self) -> bool {
        !(self.kind.is_compound()
            || self.kind == FieldKind::Base64
            || self.kind == FieldKind::EncryptedString
            || (self.kind == FieldKind::TextArea && self.length > 255))
    }
}
