//! One value against the field it is to set.

use std::collections::HashSet;

use super::form;
use super::rule::CheckRule;
use super::spec::{CheckSpec, CheckedColumn};
use crate::domain::{FieldType, ObjectDescription, RecordId};

/// Picklist values that are told in a reason, at most.
const TOLD_VALUES: usize = 8;

/// What the values of a field must be.
#[derive(Debug)]
enum Form {
    /// Anything.
    Any,
    /// So many characters at most.
    Text,
    /// A mail address.
    Email,
    /// One of these values, if it is restricted.
    Picklist { offered: HashSet<Vec<u8>>, restricted: bool },
    /// Several of these values.
    MultiPicklist { offered: HashSet<Vec<u8>>, restricted: bool },
    /// A whole number.
    Whole { digits: u32, is_long: bool },
    /// A number.
    Number { whole_digits: Option<u32>, scale: u32 },
    /// A day.
    Date,
    /// An instant.
    DateTime,
    /// A time of day.
    Time,
    /// A record id of one of these objects; none is any.
    Id { prefixes: Vec<String> },
    /// The id of a record type.
    RecordTypeId { usable: HashSet<RecordId> },
    /// The API name of a record type.
    RecordTypeName { usable: HashSet<Vec<u8>> },
    /// The value of the parent's field, of this type.
    ParentKey(FieldType),
}

/// A column, ready to be held against values.
#[derive(Debug)]
pub(super) struct CellCheck {
    form: Form,
    /// Characters at most; 0 is no limit.
    length: usize,
    /// Whether its cells keep text, where spreadsheets do damage.
    pub(super) is_text: bool,
    /// A short clause for reasons: what the field takes.
    takes: String,
    /// Whether the field can be cleared.
    pub(super) nillable: bool,
}

impl CellCheck {
    pub(super) fn new(column: &CheckedColumn, spec: &CheckSpec) -> Self {
        let field = &column.field;
        let form = match &column.parent_key {
            Some(key) if field.name == "RecordTypeId" && key.name == "DeveloperName" => {
                // Master stands for none; no record has its name.
                let names = usable_types(&spec.object)
                    .filter(|info| !info.master)
                    .filter_map(|info| info.developer_name.as_ref())
                    .map(|name| name.to_lowercase().into_bytes());
                Form::RecordTypeName { usable: names.collect() }
            }
            Some(key) => Form::ParentKey(key.field_type),
            None => form_of(column, spec),
        };
        let takes = takes(&form, column);
        let is_text = match &column.parent_key {
            Some(key) => keeps_text(key.field_type),
            None => keeps_text(field.field_type),
        };
        let length = match form {
            Form::Text | Form::Email | Form::Picklist { .. } | Form::MultiPicklist { .. } => {
                field.length as usize
            }
            _ => 0,
        };
        // Booleans are never null; the transformer refuses to clear one.
        let nillable = field.nillable || field.field_type == FieldType::Boolean;
        CellCheck { form, length, is_text, takes, nillable }
    }

    /// What the field takes, in words; may be empty.
    pub(super) fn takes(&self, rule: CheckRule) -> Option<String> {
        match rule {
            CheckRule::TooLong => Some(format!("{} characters at most", self.length)),
            CheckRule::WrongType
            | CheckRule::OutOfRange
            | CheckRule::PicklistValue
            | CheckRule::NewPicklistValue
            | CheckRule::WrongObject
            | CheckRule::ExtraDigits
            | CheckRule::RecordType => Some(self.takes.clone()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// Holds a value, neither empty nor `#N/A`, against the field.
    pub(super) fn check(&self, value: &[u8], found: &mut impl FnMut(CheckRule)) {
        if self.length > 0 && value.len() > self.length {
            let chars = value.iter().filter(|&&byte| byte & 0xC0 != 0x80).count();
            if chars > self.length {
                found(CheckRule::TooLong);
            }
        }
        match &self.form {
            Form::Any | Form::Text => {}
            Form::Email => {
                if !std::str::from_utf8(value).is_ok_and(form::is_email) {
                    found(CheckRule::Email);
                }
            }
            Form::Picklist { offered, restricted } => {
                if !offered.contains(value) {
                    found(not_offered(*restricted));
                }
            }
            Form::MultiPicklist { offered, restricted } => {
                let mut words = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
                if words.any(|word| !word.is_empty() && !offered.contains(word)) {
                    found(not_offered(*restricted));
                }
            }
            Form::Whole { digits, is_long } => match form::whole(value) {
                None => found(CheckRule::WrongType),
                Some(number) => {
                    let fits_type = *is_long || i32::try_from(number).is_ok();
                    let length = number.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
                    let fits = i64::try_from(number).is_ok() && (*digits == 0 || length <= *digits);
                    if !(fits_type && fits) {
                        found(CheckRule::OutOfRange);
                    }
                }
            },
            Form::Number { whole_digits, scale } => match form::number(value) {
                None => found(CheckRule::WrongType),
                Some(number) => {
                    let most = whole_digits
                        .map_or(f64::INFINITY, |digits| 10f64.powi(digits.cast_signed()));
                    if !number.value.is_finite() || number.value.abs() >= most {
                        found(CheckRule::OutOfRange);
                    } else if number.decimals > i64::from(*scale) && whole_digits.is_some() {
                        found(CheckRule::ExtraDigits);
                    }
                }
            },
            Form::Date => wrong_unless(form::is_date(value), found),
            Form::DateTime => wrong_unless(form::is_datetime(value), found),
            Form::Time => wrong_unless(form::is_time(value), found),
            Form::Id { prefixes } => match RecordId::parse(value) {
                Err(_) => found(CheckRule::BadId),
                Ok(id) => {
                    if !prefixes.is_empty()
                        && !prefixes.iter().any(|prefix| prefix == id.key_prefix())
                    {
                        found(CheckRule::WrongObject);
                    }
                }
            },
            Form::RecordTypeId { usable } => match RecordId::parse(value) {
                Err(_) => found(CheckRule::BadId),
                Ok(id) => {
                    if !usable.contains(&id) {
                        found(CheckRule::RecordType);
                    }
                }
            },
            Form::RecordTypeName { usable } => {
                let name = String::from_utf8_lossy(value).to_lowercase();
                if !usable.contains(name.as_bytes()) {
                    found(CheckRule::MissingParent);
                }
            }
            Form::ParentKey(key) => {
                let reads = match key {
                    FieldType::Id | FieldType::Reference => RecordId::parse(value).is_ok(),
                    FieldType::Int | FieldType::Long => form::whole(value).is_some(),
                    FieldType::Double | FieldType::Currency | FieldType::Percent => {
                        form::number(value).is_some()
                    }
                    FieldType::Email => std::str::from_utf8(value).is_ok_and(form::is_email),
                    _ => true,
                };
                if !reads {
                    found(CheckRule::MissingParent);
                }
            }
        }
    }
}

fn wrong_unless(fits: bool, found: &mut impl FnMut(CheckRule)) {
    if !fits {
        found(CheckRule::WrongType);
    }
}

const fn not_offered(restricted: bool) -> CheckRule {
    if restricted { CheckRule::PicklistValue } else { CheckRule::NewPicklistValue }
}

const fn keeps_text(field_type: FieldType) -> bool {
    matches!(
        field_type,
        FieldType::String
            | FieldType::TextArea
            | FieldType::Phone
            | FieldType::Url
            | FieldType::Email
            | FieldType::EncryptedString
            | FieldType::ComboBox
            | FieldType::Picklist
            | FieldType::MultiPicklist
    )
}

fn usable_types(
    object: &ObjectDescription,
) -> impl Iterator<Item = &crate::domain::RecordTypeInfo> {
    object.record_type_infos.iter().filter(|info| info.available || info.master)
}

fn form_of(column: &CheckedColumn, spec: &CheckSpec) -> Form {
    let field = &column.field;
    let offered = || {
        let active = field.picklist_values.iter().filter(|value| value.active);
        active.map(|value| value.value.clone().into_bytes()).collect()
    };
    match field.field_type {
        FieldType::Id => Form::Id { prefixes: spec.object.key_prefix.iter().cloned().collect() },
        FieldType::Reference if field.name == "RecordTypeId" => {
            let ids = usable_types(&spec.object)
                .filter_map(|info| RecordId::parse(info.record_type_id.as_bytes()).ok());
            let usable: HashSet<RecordId> = ids.collect();
            // An object without record types tells none.
            if usable.is_empty() {
                Form::Id { prefixes: Vec::new() }
            } else {
                Form::RecordTypeId { usable }
            }
        }
        FieldType::Reference => {
            let prefixes: Option<Vec<String>> = field
                .reference_to
                .iter()
                .map(|object| spec.prefixes.get(object).cloned())
                .collect();
            // One that is not known could be the one that is meant.
            Form::Id { prefixes: prefixes.unwrap_or_default() }
        }
        FieldType::Picklist => {
            Form::Picklist { offered: offered(), restricted: field.restricted_picklist }
        }
        FieldType::MultiPicklist => {
            Form::MultiPicklist { offered: offered(), restricted: field.restricted_picklist }
        }
        FieldType::Email => Form::Email,
        FieldType::Int => Form::Whole { digits: field.digits, is_long: false },
        FieldType::Long => Form::Whole { digits: field.digits, is_long: true },
        FieldType::Double | FieldType::Currency | FieldType::Percent => Form::Number {
            whole_digits: (field.precision > 0)
                .then(|| field.precision.saturating_sub(field.scale)),
            scale: field.scale,
        },
        FieldType::Date => Form::Date,
        FieldType::DateTime => Form::DateTime,
        FieldType::Time => Form::Time,
        FieldType::String
        | FieldType::TextArea
        | FieldType::Phone
        | FieldType::Url
        | FieldType::EncryptedString
        | FieldType::ComboBox => Form::Text,
        FieldType::Boolean
        | FieldType::Base64
        | FieldType::Address
        | FieldType::Location
        | FieldType::Other => Form::Any,
    }
}

/// What a field takes, where that helps to mend a value.
fn takes(form: &Form, column: &CheckedColumn) -> String {
    match form {
        Form::Date => "yyyy-MM-dd".to_owned(),
        Form::DateTime => "yyyy-MM-ddTHH:mm:ssZ".to_owned(),
        Form::Time => "HH:mm:ss.SSSZ".to_owned(),
        Form::Whole { digits: 0, .. } => "a whole number".to_owned(),
        Form::Whole { digits, .. } => format!("a whole number of {digits} digits at most"),
        Form::Number { whole_digits: None, .. } => "a number with a decimal point".to_owned(),
        Form::Number { whole_digits: Some(whole), scale } => {
            format!("a number of {whole} digits before and {scale} behind the point")
        }
        Form::Picklist { .. } | Form::MultiPicklist { .. } => {
            let values: Vec<&str> = column
                .field
                .picklist_values
                .iter()
                .filter(|value| value.active)
                .map(|value| value.value.as_str())
                .collect();
            match values.len().checked_sub(TOLD_VALUES) {
                Some(more) if more > 0 => {
                    format!("{} and {more} more", values[..TOLD_VALUES].join(", "))
                }
                _ => values.join(", "),
            }
        }
        Form::Id { .. } => column.field.reference_to.join(", "),
        Form::Any
        | Form::Text
        | Form::Email
        | Form::RecordTypeId { .. }
        | Form::RecordTypeName { .. }
        | Form::ParentKey(_) => String::new(),
    }
}
