//! Pages to files and back.

mod files;
mod values;

use crate::domain::{Field, FieldType};

/// A field of a type, with digits where it is a number.
fn field(name: &str, field_type: FieldType, precision: u32, scale: u32) -> Field {
    let described = serde_json::json!({
        "name": name, "label": format!("{name} label"), "type": super::column::type_word(field_type),
        "precision": precision, "scale": scale,
    });
    serde_json::from_value(described).unwrap()
}
