//! `FieldDefinition`: all fields that an object has, those too that describe
//! doesn't show this user (Tooling API guide, `FieldDefinition`; also answered
//! by `query`).
//!
//! As there, not every SOQL is taken: what is answered is the names of the
//! fields of one object.

use serde_json::{Value as Json, json};

use super::catalogue::Catalogue;
use super::soql::SoqlError;
use super::soql::ast::{Condition, Literal, Operator, Query, Select, SelectItem};

const OBJECT: &str = "FieldDefinition";
const NAME: &str = "QualifiedApiName";

/// Whether a query is of field definitions.
pub(super) fn are_asked_for(query: &Query) -> bool {
    query.object.eq_ignore_ascii_case(OBJECT)
}

/// The reply to such a query.
///
/// # Errors
/// When it asks for anything else than the names of the fields of one object.
pub(super) fn answer(
    query: &Query,
    catalogue: &Catalogue,
    version: &str,
) -> Result<String, SoqlError> {
    let unsupported = |what: &str| SoqlError::plain("MALFORMED_QUERY", what);
    let only_names = matches!(&query.select, Select::Items(items)
        if matches!(items.as_slice(), [SelectItem::Field { path, .. }]
            if path.text().eq_ignore_ascii_case(NAME)));
    if !only_names {
        return Err(unsupported("the local org tells QualifiedApiName of a FieldDefinition only"));
    }
    let object = match &query.condition {
        Some(Condition::Compare {
            path,
            operator: Operator::Equal,
            literal: Literal::Text(name),
        }) if path.text().eq_ignore_ascii_case("EntityDefinition.QualifiedApiName") => name,
        _ => {
            return Err(unsupported(
                "Only equals comparisons permitted: EntityDefinition.QualifiedApiName = '...'",
            ));
        }
    };
    let records: Vec<Json> = catalogue
        .object(object)
        .into_iter()
        .flat_map(|object| object.fields.iter().map(move |field| (object, field)))
        .filter(|(_, field)| field.no_access || !field.hidden)
        .map(|(object, field)| {
            let url = format!(
                "/services/data/v{version}/sobjects/{OBJECT}/{}.{}",
                object.name, field.name
            );
            json!({"attributes": {"type": OBJECT, "url": url}, NAME: field.name})
        })
        .collect();
    Ok(json!({"size": records.len(), "totalSize": records.len(), "done": true,
        "queryLocator": null, "entityTypeName": OBJECT, "records": records})
    .to_string())
}
