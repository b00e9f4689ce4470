//! The create request (protocol notes, section 2.2): which bodies make a job and
//! what the others are told.

use serde_json::{Map, Value as Json};

use super::job::{JobSpec, Operation};
use crate::local_org::catalogue::{Catalogue, FieldKind, ObjectDef};
use crate::local_org::errors::ApiError;
use crate::local_org::ids::RecordKey;
use crate::local_org::jobs::request::{Creator, dialect, invalid_job, object_of, text, word};
use crate::local_org::settings::Settings;

/// Reads the body of a create request.
///
/// # Errors
/// 400 with the code that fits: `JSON_PARSER_ERROR`, `INVALIDJOB`,
/// `INVALIDENTITY`, `FEATURENOTENABLED`.
pub(crate) fn read(
    body: &[u8],
    creator: Creator,
    catalogue: &Catalogue,
    settings: &Settings,
) -> Result<JobSpec, ApiError> {
    const KNOWN: [&str; 7] = [
        "object",
        "operation",
        "externalIdFieldName",
        "contentType",
        "columnDelimiter",
        "lineEnding",
        "assignmentRuleId",
    ];
    let body = object_of(body, &KNOWN)?;
    let (delimiter, line_ending) = dialect(&body)?;
    let operation: Operation =
        word(&body, "operation")?.ok_or_else(|| invalid_job("No operation specified"))?;
    if operation == Operation::HardDelete && !settings.hard_delete_permission {
        return Err(ApiError::bad_request(
            "FEATURENOTENABLED",
            "hardDelete operation requires special user profile permission, \
             please contact your system administrator",
        ));
    }
    let name = text(&body, "object")?.ok_or_else(|| invalid_job("No object specified"))?;
    let object = catalogue.object(name).ok_or_else(|| {
        ApiError::bad_request(
            "INVALIDENTITY",
            format!("Entity '{name}' is not supported by the Bulk API."),
        )
    })?;
    let external_id = external_id(&body, operation, object)?;
    let assignment_rule_id = match text(&body, "assignmentRuleId")? {
        Some(rule) if RecordKey::parse(rule).is_none() => {
            return Err(invalid_job(format!("Invalid assignment rule id: {rule}")));
        }
        Some(_) if !["Case", "Lead"].contains(&object.name.as_str()) => {
            return Err(invalid_job("Assignment rules are for Case and Lead"));
        }
        rule => rule.map(str::to_owned),
    };
    Ok(JobSpec {
        object: object.name.clone(),
        operation,
        external_id,
        assignment_rule_id,
        delimiter,
        line_ending,
        created_by: creator.user,
        created_ms: creator.now_ms,
        version: creator.version,
        multipart: false,
    })
}

/// The key of an upsert: an external id, an idLookup field, or `Id`.
fn external_id(
    body: &Map<String, Json>,
    operation: Operation,
    object: &ObjectDef,
) -> Result<Option<String>, ApiError> {
    if operation != Operation::Upsert {
        return Ok(None);
    }
    let Some(name) = text(body, "externalIdFieldName")? else {
        return Err(invalid_job(format!(
            "External ID was blank for {}. An External ID must be specified for upsert.",
            object.name
        )));
    };
    match object.field(name) {
        Some((_, field)) if field.kind == FieldKind::Id || field.external_id || field.id_lookup => {
            Ok(Some(field.name.clone()))
        }
        _ => Err(invalid_job(format!(
            "Field name provided, {name} does not match an External ID, Salesforce Id, \
             or indexed field for {}",
            object.name
        ))),
    }
}
