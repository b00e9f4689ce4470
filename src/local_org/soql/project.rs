//! A record to its JSON: `attributes` first, then the fields in the order
//! they were asked for ("Query", REST API guide).

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::plan::{Column, Source};
use super::read::{ReadError, Reader, own_value};
use crate::local_org::catalogue::ObjectDef;
use crate::local_org::store::Record;

/// Writes a record. `version` is that of the request (`66.0`).
pub(crate) fn write_record(
    out: &mut String,
    object: &ObjectDef,
    columns: &[Column],
    record: &Record,
    version: &str,
    reader: &Reader<'_>,
) -> Result<(), ReadError> {
    // Writing to a String can't fail.
    let _ = write!(
        out,
        r#"{{"attributes":{{"type":"{0}","url":"/services/data/v{version}/sobjects/{0}/{1}"}}"#,
        object.name, record.id
    );
    for column in columns {
        match column {
            Column::Field { name, field, source } => {
                let _ = write!(out, r#","{name}":{}"#, json(object, *field, source, record));
            }
            Column::Parent { name, lookup, targets } => {
                let _ = write!(out, r#","{name}":"#);
                match reader.parent(*lookup, targets, &record.values)? {
                    Some((parent, columns)) => {
                        let kind = targets
                            .iter()
                            .find(|(kind, _)| parent.id.starts_with(kind.key_prefix.as_str()));
                        match kind {
                            Some((kind, _)) => {
                                write_record(out, kind, columns, &parent, version, reader)?;
                            }
                            None => out.push_str("null"),
                        }
                    }
                    None => out.push_str("null"),
                }
            }
        }
    }
    out.push('}');
    Ok(())
}

/// One value as JSON.
pub(crate) fn json(object: &ObjectDef, field: usize, source: &Source, record: &Record) -> Json {
    if let Source::Compound(parts) = source {
        let parts: serde_json::Map<String, Json> = parts
            .iter()
            .filter_map(|(name, at)| {
                let value = record.values.get(*at)?;
                Some((name.clone(), value.json(object.fields.get(*at)?)))
            })
            .collect();
        // An address without any part is null.
        return if parts.values().all(Json::is_null) { Json::Null } else { Json::Object(parts) };
    }
    let value = own_value(source, &record.values, object);
    object.fields.get(field).map_or(Json::Null, |def| value.json(def))
}
