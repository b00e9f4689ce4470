//! Why a row was refused, in the grammar of `sf__Error`
//! (`STATUSCODE:message:fieldlist --`, protocol notes, section 3).

use std::fmt;

use crate::local_org::catalogue::FieldDef;

/// One error of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowError {
    /// Status code (section 7.3).
    pub code: &'static str,
    /// Text for people; may hold values of the row.
    pub message: String,
    /// API names of the fields it is about.
    pub fields: Vec<String>,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.code, self.message)?;
        if self.fields.is_empty() {
            f.write_str("--")
        } else {
            write!(f, "{} --", self.fields.join(","))
        }
    }
}

impl std::error::Error for RowError {}

impl RowError {
    /// An error of the row as a whole.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> RowError {
        RowError { code, message: message.into(), fields: Vec::new() }
    }

    /// The same, about a field.
    pub(crate) fn on(mut self, field: &FieldDef) -> RowError {
        self.fields.push(field.name.clone());
        self
    }

    pub(crate) fn wrong_type(field: &FieldDef, cell: &str) -> RowError {
        let message = format!("{}: value not of required type: {cell}", field.label);
        RowError::new("INVALID_TYPE_ON_FIELD_IN_RECORD", message).on(field)
    }

    pub(crate) fn out_of_range(field: &FieldDef, cell: &str) -> RowError {
        let message =
            format!("{}: value outside of valid range on numeric field: {cell}", field.label);
        RowError::new("NUMBER_OUTSIDE_VALID_RANGE", message).on(field)
    }

    pub(crate) fn too_long(field: &FieldDef, cell: &str) -> RowError {
        let message =
            format!("{}: data value too large: {cell} (max length={})", field.label, field.length);
        RowError::new("STRING_TOO_LONG", message).on(field)
    }

    pub(crate) fn bad_picklist(field: &FieldDef, cell: &str) -> RowError {
        let message = format!("{}: bad value for restricted picklist field: {cell}", field.label);
        RowError::new("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message).on(field)
    }

    pub(crate) fn bad_email(field: &FieldDef, cell: &str) -> RowError {
        let message = format!("{}: invalid email address: {cell}", field.label);
        RowError::new("INVALID_EMAIL_ADDRESS", message).on(field)
    }

    pub(crate) fn bad_id(field: &FieldDef, cell: &str) -> RowError {
        let message = format!("{}: bad id {cell}", field.label);
        RowError::new("MALFORMED_ID", message).on(field)
    }

    pub(crate) fn wrong_prefix(field: &FieldDef, cell: &str) -> RowError {
        let message = format!("{}: id value of incorrect type: {cell}", field.label);
        RowError::new("MALFORMED_ID", message).on(field)
    }

    pub(crate) fn not_writable(fields: Vec<String>) -> RowError {
        let message = format!(
            "Unable to create/update fields: {}. Please check the security settings of this field \
             and verify that it is read/write for your profile or permission set.",
            fields.join(", ")
        );
        RowError { code: "INVALID_FIELD_FOR_INSERT_UPDATE", message, fields }
    }

    pub(crate) fn required(fields: Vec<String>) -> RowError {
        let message = format!("Required fields are missing: [{}]", fields.join(", "));
        RowError { code: "REQUIRED_FIELD_MISSING", message, fields }
    }

    pub(crate) fn invalid_reference() -> RowError {
        RowError::new("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
    }

    pub(crate) fn deleted() -> RowError {
        RowError::new("ENTITY_IS_DELETED", "entity is deleted")
    }
}
