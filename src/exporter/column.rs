//! What each column of a result is, and its type in the file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, Fields, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

use crate::domain::{Field, FieldType};

/// How numbers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Numbers {
    /// As 64-bit floats: the service's own values are doubles and may carry
    /// more decimals than the field defines.
    #[default]
    Double,
    /// As decimals of the field's precision and scale, exactly; what doesn't
    /// fit is told, never rounded.
    Decimal,
}

/// How the values of a column are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ColumnKind {
    /// Text as it stands.
    Text,
    /// True or false.
    Boolean,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// A number, as the nearest double.
    Double,
    /// A number, exactly.
    Decimal {
        /// Digits all told, 38 at most.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
    },
    /// A day.
    Date,
    /// An instant, in milliseconds of UTC.
    DateTime,
    /// A time of day, in milliseconds.
    Time,
    /// A list of texts, joined by `;` in the result.
    List,
}

impl ColumnKind {
    /// What people call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            ColumnKind::Text => "text",
            ColumnKind::Boolean => "true or false",
            ColumnKind::Int => "a whole number",
            ColumnKind::Long => "a long whole number",
            ColumnKind::Double => "a number",
            ColumnKind::Decimal { .. } => "a decimal",
            ColumnKind::Date => "a date",
            ColumnKind::DateTime => "a date and time",
            ColumnKind::Time => "a time",
            ColumnKind::List => "a list",
        }
    }
}

/// What the user wants of the types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TypeOptions {
    /// How numbers are kept.
    pub numbers: Numbers,
    /// Everything stays text.
    pub as_text: bool,
    /// Multi-select picklists become lists.
    pub lists: bool,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name in the result: the path as it was queried.
    pub name: String,
    /// The field it shows, as described; `None` where that is not known, so
    /// that its values are kept as text.
    pub field: Option<Field>,
    /// How its values are kept.
    pub kind: ColumnKind,
}

impl Column {
    /// A column that shows this field.
    pub fn new(name: impl Into<String>, field: Option<Field>, options: TypeOptions) -> Self {
        let kind = field.as_ref().map_or(ColumnKind::Text, |field| kind_of(field, options));
        Column { name: name.into(), field, kind }
    }

    /// Whether its values repeat by what they are: a dictionary serves them
    /// well.
    pub fn repeats(&self) -> bool {
        self.field.as_ref().is_some_and(|field| {
            matches!(
                field.field_type,
                FieldType::Picklist
                    | FieldType::MultiPicklist
                    | FieldType::ComboBox
                    | FieldType::Reference
            )
        })
    }

    /// Whether it is the record's own id.
    pub fn is_id(&self) -> bool {
        self.name.eq_ignore_ascii_case("Id")
    }

    /// The column in Arrow's words, with what describe says of it.
    fn arrow(&self) -> ArrowField {
        let mut about = HashMap::new();
        if let Some(field) = &self.field {
            let mut say = |key: &str, value: String| {
                if !value.is_empty() {
                    about.insert(format!("salesforce.{key}"), value);
                }
            };
            say("label", field.label.clone());
            say("type", type_word(field.field_type));
            say("referenceTo", field.reference_to.join(","));
            say("relationshipName", field.relationship_name.clone().unwrap_or_default());
            for (key, value) in
                [("length", field.length), ("precision", field.precision), ("scale", field.scale)]
            {
                if value > 0 {
                    say(key, value.to_string());
                }
            }
        }
        ArrowField::new(&self.name, self.data_type(), true).with_metadata(about)
    }

    /// The type in Arrow's words.
    pub fn data_type(&self) -> DataType {
        match self.kind {
            ColumnKind::Text => DataType::Utf8,
            ColumnKind::Boolean => DataType::Boolean,
            ColumnKind::Int => DataType::Int32,
            ColumnKind::Long => DataType::Int64,
            ColumnKind::Double => DataType::Float64,
            ColumnKind::Decimal { precision, scale } => {
                DataType::Decimal128(precision, scale.cast_signed())
            }
            ColumnKind::Date => DataType::Date32,
            ColumnKind::DateTime => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            ColumnKind::Time => DataType::Time32(TimeUnit::Millisecond),
            ColumnKind::List => DataType::List(list_item()),
        }
    }
}

/// The values of a list.
pub(super) fn list_item() -> Arc<ArrowField> {
    Arc::new(ArrowField::new("element", DataType::Utf8, true))
}

/// The schema of a file with these columns.
pub(super) fn schema(columns: &[Column], about: HashMap<String, String>) -> SchemaRef {
    let fields: Fields = columns.iter().map(Column::arrow).collect();
    Arc::new(Schema::new(fields).with_metadata(about))
}

/// Whether a field can be a column of a bulk query: compound fields are made of
/// others, and binary content is not carried ("Considerations for Bulk API 2.0
/// Query", Bulk API guide).
pub fn is_exportable(field: &Field) -> bool {
    !matches!(field.field_type, FieldType::Address | FieldType::Location | FieldType::Base64)
}

fn kind_of(field: &Field, options: TypeOptions) -> ColumnKind {
    if options.as_text {
        return ColumnKind::Text;
    }
    match field.field_type {
        FieldType::Boolean => ColumnKind::Boolean,
        FieldType::Int => ColumnKind::Int,
        FieldType::Long => ColumnKind::Long,
        FieldType::Double | FieldType::Currency | FieldType::Percent => match options.numbers {
            Numbers::Double => ColumnKind::Double,
            Numbers::Decimal => {
                let scale = u8::try_from(field.scale).unwrap_or(u8::MAX).min(38);
                // 0 where describe doesn't say.
                let precision = match u8::try_from(field.precision).unwrap_or(38) {
                    0 => 38,
                    precision => precision.max(scale).min(38),
                };
                ColumnKind::Decimal { precision, scale }
            }
        },
        FieldType::Date => ColumnKind::Date,
        FieldType::DateTime => ColumnKind::DateTime,
        FieldType::Time => ColumnKind::Time,
        FieldType::MultiPicklist if options.lists => ColumnKind::List,
        _ => ColumnKind::Text,
    }
}

/// A type by describe's word.
pub fn type_word(field_type: FieldType) -> String {
    match serde_json::to_value(field_type) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
