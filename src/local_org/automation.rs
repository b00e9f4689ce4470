//! What would run when records are saved, as the org tells it: triggers,
//! flows, rules. They are those of the switch `automation`, and they are told,
//! not executed.
//!
//! `tooling/query` tells `ApexTrigger`, `ValidationRule`, `WorkflowRule`, and of
//! `EntityDefinition` the ids by which these name custom objects (Tooling API
//! guide); plain `query` tells `DuplicateRule`,
//! `FlowDefinitionView` and `ApexTrigger` (Object Reference). There are few of
//! them, so a query looks at each.

mod table;

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::catalogue::Catalogue;
use super::errors::{ApiError, json_reply};
use super::ids::RecordKey;
use super::server::ApiVersion;
use super::soql::SoqlError;
use super::soql::ast::Query;
use super::state::OrgState;
use table::{Column, Table};

/// What a trigger runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TriggerEvent {
    /// Before records are inserted.
    #[serde(rename = "before insert")]
    BeforeInsert,
    /// After it.
    #[serde(rename = "after insert")]
    AfterInsert,
    /// Before records are updated.
    #[serde(rename = "before update")]
    BeforeUpdate,
    /// After it.
    #[serde(rename = "after update")]
    AfterUpdate,
    /// Before records are deleted.
    #[serde(rename = "before delete")]
    BeforeDelete,
    /// After it.
    #[serde(rename = "after delete")]
    AfterDelete,
    /// After records came back from the recycle bin.
    #[serde(rename = "after undelete")]
    AfterUndelete,
}

/// An Apex trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// API name of its object.
    pub object: String,
    /// It runs.
    #[serde(default = "yes")]
    pub active: bool,
    /// On what it runs.
    pub events: Vec<TriggerEvent>,
}

/// A flow that a record starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Flow {
    /// Its API name.
    pub name: String,
    /// API name of its object.
    pub object: String,
    /// It runs.
    #[serde(default = "yes")]
    pub active: bool,
    /// When: `Create`, `Update`, `CreateAndUpdate`, `Delete`.
    #[serde(default = "create_and_update")]
    pub on: String,
    /// `RecordAfterSave`, `RecordBeforeSave`, `RecordBeforeDelete`.
    #[serde(default = "after_save")]
    pub trigger_type: String,
}

/// A validation rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ValidationRule {
    /// Its name.
    pub name: String,
    /// API name of its object.
    pub object: String,
    /// It is checked.
    #[serde(default = "yes")]
    pub active: bool,
    /// What people read whose record it refuses.
    #[serde(default)]
    pub message: String,
}

/// A duplicate rule or a workflow rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// API name of its object.
    pub object: String,
    /// It runs. The org doesn't tell it of workflow rules.
    #[serde(default = "yes")]
    pub active: bool,
}

/// The switch `automation`: what the org tells of, and doesn't run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Automation {
    /// Apex triggers.
    pub triggers: Vec<Trigger>,
    /// Flows that a record starts.
    pub flows: Vec<Flow>,
    /// Validation rules.
    #[serde(alias = "validation_rules")]
    pub validation_rules: Vec<ValidationRule>,
    /// Duplicate rules.
    #[serde(alias = "duplicate_rules")]
    pub duplicate_rules: Vec<Rule>,
    /// Workflow rules.
    #[serde(alias = "workflow_rules")]
    pub workflow_rules: Vec<Rule>,
}

const fn yes() -> bool {
    true
}

fn create_and_update() -> String {
    "CreateAndUpdate".to_owned()
}

fn after_save() -> String {
    "RecordAfterSave".to_owned()
}

/// `GET /tooling/query?q=...`.
pub(crate) async fn tooling_query(
    State(state): State<Arc<OrgState>>,
    Extension(version): Extension<ApiVersion>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    if !state.settings.tooling_api {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "INSUFFICIENT_ACCESS",
            "You do not have the level of access necessary to perform the operation you requested.",
        ));
    }
    let form = super::form::Form::parse(raw.unwrap_or_default().as_bytes());
    let text = form.get("q").ok_or_else(|| {
        ApiError::bad_request("MALFORMED_QUERY", "A query string has to be specified")
    })?;
    let refused = |error: SoqlError| ApiError::bad_request(error.code, error.message);
    let query = super::soql::parse(text).map_err(refused)?;
    let tables = [TRIGGER, VALIDATION_RULE, WORKFLOW_RULE, ENTITY];
    let Some(table) = tables.iter().find(|table| table.is_of(&query)) else {
        return Err(refused(table::unknown(&query, text)));
    };
    let rows = rows(table, &state.settings.automation, &state.catalogue);
    let body = table.answer(&query, text, &rows, &version.0, true).map_err(refused)?;
    Ok(json_reply(StatusCode::OK, &body).into_response())
}

/// The reply to a plain query of these objects; nothing when it is of another.
///
/// # Errors
/// When it asks for what there isn't.
pub(super) fn answer(
    query: &Query,
    text: &str,
    state: &OrgState,
    version: &str,
) -> Option<Result<String, SoqlError>> {
    let tables = [TRIGGER, DUPLICATE_RULE, FLOW];
    let table = tables.iter().find(|table| table.is_of(query))?;
    let rows = rows(table, &state.settings.automation, &state.catalogue);
    Some(table.answer(query, text, &rows, version, false).map(|body| body.to_string()))
}

const TRIGGER: Table = Table {
    name: "ApexTrigger",
    columns: &[
        Column::both("Id"),
        Column::both("Name"),
        Column::both("NamespacePrefix"),
        Column::both("TableEnumOrId"),
        Column::both("Status"),
        Column::both("UsageBeforeInsert"),
        Column::both("UsageAfterInsert"),
        Column::both("UsageBeforeUpdate"),
        Column::both("UsageAfterUpdate"),
        Column::both("UsageBeforeDelete"),
        Column::both("UsageAfterDelete"),
        Column::both("UsageAfterUndelete"),
        Column::both("UsageIsBulk"),
        Column::tooling("EntityDefinitionId"),
        Column::tooling("EntityDefinition.QualifiedApiName"),
    ],
};

const VALIDATION_RULE: Table = Table {
    name: "ValidationRule",
    columns: &[
        Column::tooling("Id"),
        Column::tooling("ValidationName"),
        Column::tooling("NamespacePrefix"),
        Column::tooling("Active"),
        Column::tooling("Description"),
        Column::tooling("ErrorMessage"),
        Column::tooling("ErrorDisplayField"),
        Column::tooling("EntityDefinitionId"),
        Column::tooling("EntityDefinition.QualifiedApiName"),
    ],
};

const WORKFLOW_RULE: Table = Table {
    name: "WorkflowRule",
    columns: &[
        Column::tooling("Id"),
        Column::tooling("Name"),
        Column::tooling("NamespacePrefix"),
        Column::tooling("TableEnumOrId"),
    ],
};

const DUPLICATE_RULE: Table = Table {
    name: "DuplicateRule",
    columns: &[
        Column::both("Id"),
        Column::both("DeveloperName"),
        Column::both("MasterLabel"),
        Column::both("NamespacePrefix"),
        Column::both("SobjectType"),
        Column::both("SobjectSubtype"),
        Column::both("IsActive"),
    ],
};

const FLOW: Table = Table {
    name: "FlowDefinitionView",
    columns: &[
        Column::both("DurableId"),
        Column::both("ApiName"),
        Column::both("Label"),
        Column::both("NamespacePrefix"),
        Column::both("ProcessType"),
        Column::both("TriggerType"),
        Column::both("RecordTriggerType"),
        Column::both("TriggerObjectOrEventId"),
        Column::both("TriggerObjectOrEventLabel"),
        Column::both("TriggerObjectOrEvent.QualifiedApiName"),
        Column::both("IsActive"),
    ],
};

const ENTITY: Table = Table {
    name: "EntityDefinition",
    columns: &[Column::tooling("DurableId"), Column::tooling("QualifiedApiName")],
};

/// The values of each row, in the order of the table's columns.
fn rows(table: &Table, told: &Automation, catalogue: &Catalogue) -> Vec<Vec<Json>> {
    let id = |prefix: &str, at: usize| RecordKey::new(prefix, at as u64 + 1).to_string();
    match table.name {
        "ApexTrigger" => (told.triggers.iter().enumerate())
            .map(|(at, trigger)| {
                let on = |event| json!(trigger.events.contains(&event));
                let object = api_name(catalogue, &trigger.object);
                vec![
                    json!(id("01q", at)),
                    json!(trigger.name),
                    Json::Null,
                    json!(object),
                    json!(if trigger.active { "Active" } else { "Inactive" }),
                    on(TriggerEvent::BeforeInsert),
                    on(TriggerEvent::AfterInsert),
                    on(TriggerEvent::BeforeUpdate),
                    on(TriggerEvent::AfterUpdate),
                    on(TriggerEvent::BeforeDelete),
                    on(TriggerEvent::AfterDelete),
                    on(TriggerEvent::AfterUndelete),
                    json!(true),
                    json!(durable_id(catalogue, &object)),
                    json!(object),
                ]
            })
            .collect(),
        "ValidationRule" => (told.validation_rules.iter().enumerate())
            .map(|(at, rule)| {
                let object = api_name(catalogue, &rule.object);
                vec![
                    json!(id("03d", at)),
                    json!(rule.name),
                    Json::Null,
                    json!(rule.active),
                    Json::Null,
                    json!(rule.message),
                    Json::Null,
                    json!(durable_id(catalogue, &object)),
                    json!(object),
                ]
            })
            .collect(),
        "WorkflowRule" => (told.workflow_rules.iter().enumerate())
            .map(|(at, rule)| {
                let object = durable_id(catalogue, &api_name(catalogue, &rule.object));
                vec![json!(id("01Q", at)), json!(rule.name), Json::Null, json!(object)]
            })
            .collect(),
        "EntityDefinition" => catalogue
            .objects()
            .map(|object| vec![json!(durable_id(catalogue, &object.name)), json!(object.name)])
            .collect(),
        "DuplicateRule" => (told.duplicate_rules.iter().enumerate())
            .map(|(at, rule)| {
                vec![
                    json!(id("0Bm", at)),
                    json!(rule.name),
                    json!(rule.name.replace('_', " ")),
                    Json::Null,
                    json!(api_name(catalogue, &rule.object)),
                    json!("None"),
                    json!(rule.active),
                ]
            })
            .collect(),
        _ => (told.flows.iter().enumerate())
            .map(|(at, flow)| {
                let object = api_name(catalogue, &flow.object);
                let label = catalogue.object(&object).map(|object| object.label.clone());
                vec![
                    json!(id("300", at)),
                    json!(flow.name),
                    json!(flow.name.replace('_', " ")),
                    Json::Null,
                    json!("AutoLaunchedFlow"),
                    json!(flow.trigger_type),
                    json!(flow.on),
                    json!(durable_id(catalogue, &object)),
                    json!(label),
                    json!(object),
                    json!(flow.active),
                ]
            })
            .collect(),
    }
}

/// The object's name as it is spelled.
fn api_name(catalogue: &Catalogue, name: &str) -> String {
    catalogue.object(name).map_or_else(|| name.to_owned(), |object| object.name.clone())
}

/// What stands for an object where the org names it by an id: a standard
/// object's own name, a custom one's id.
fn durable_id(catalogue: &Catalogue, name: &str) -> String {
    let place = catalogue.objects().position(|object| object.name == name);
    match place {
        Some(place) if name.ends_with("__c") => {
            let id = RecordKey::new("01I", place as u64 + 1).to_string();
            id.get(..15).unwrap_or(&id).to_owned()
        }
        _ => name.to_owned(),
    }
}
