//! What runs in an org when records of an object are saved: triggers, flows,
//! rules, as far as this user may know (`ApexTrigger`, `ValidationRule`,
//! `WorkflowRule`, Tooling API guide; `FlowDefinitionView`, `DuplicateRule`,
//! Object Reference).

use crate::domain::Operation;
use crate::pipeline::Prepared;
use crate::salesforce::{CallError, FieldValue, Org, Record};

/// Names of each kind that are kept.
const MOST: usize = 200;

/// A kind of automation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutomationKind {
    /// Apex triggers.
    Trigger,
    /// Flows that a record starts.
    Flow,
    /// Validation rules.
    ValidationRule,
    /// Workflow rules; the org doesn't tell which of them are active.
    WorkflowRule,
    /// Duplicate rules.
    DuplicateRule,
}

impl AutomationKind {
    const ALL: [AutomationKind; 5] = [
        AutomationKind::Trigger,
        AutomationKind::Flow,
        AutomationKind::ValidationRule,
        AutomationKind::WorkflowRule,
        AutomationKind::DuplicateRule,
    ];

    /// What it is called: one of it, and several.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            AutomationKind::Trigger => ("trigger", "triggers"),
            AutomationKind::Flow => ("flow", "flows"),
            AutomationKind::ValidationRule => ("validation rule", "validation rules"),
            AutomationKind::WorkflowRule => ("workflow rule", "workflow rules"),
            AutomationKind::DuplicateRule => ("duplicate rule", "duplicate rules"),
        }
    }

    /// Its name for machines.
    pub const fn name(self) -> &'static str {
        match self {
            AutomationKind::Trigger => "triggers",
            AutomationKind::Flow => "flows",
            AutomationKind::ValidationRule => "validation_rules",
            AutomationKind::WorkflowRule => "workflow_rules",
            AutomationKind::DuplicateRule => "duplicate_rules",
        }
    }

    /// The query, and whether it goes to the Tooling API.
    /// `entity` is what stands for the object where its name doesn't: a custom
    /// object goes by its id there.
    fn query(self, object: &str, entity: &str) -> (String, bool) {
        match self {
            AutomationKind::Trigger => (
                format!(
                    "SELECT Name, UsageBeforeInsert, UsageAfterInsert, UsageBeforeUpdate, \
                     UsageAfterUpdate, UsageBeforeDelete, UsageAfterDelete FROM ApexTrigger \
                     WHERE EntityDefinition.QualifiedApiName = '{object}' AND Status = 'Active'"
                ),
                true,
            ),
            AutomationKind::Flow => (
                format!(
                    "SELECT ApiName, RecordTriggerType FROM FlowDefinitionView WHERE \
                     TriggerObjectOrEvent.QualifiedApiName = '{object}' AND IsActive = true"
                ),
                false,
            ),
            AutomationKind::ValidationRule => (
                format!(
                    "SELECT ValidationName FROM ValidationRule WHERE \
                     EntityDefinition.QualifiedApiName = '{object}' AND Active = true"
                ),
                true,
            ),
            AutomationKind::WorkflowRule => {
                let rules =
                    format!("SELECT Name FROM WorkflowRule WHERE TableEnumOrId = '{entity}'");
                (rules, true)
            }
            AutomationKind::DuplicateRule => (
                format!(
                    "SELECT DeveloperName FROM DuplicateRule WHERE SobjectType = '{object}' AND \
                     IsActive = true"
                ),
                false,
            ),
        }
    }

    const fn name_field(self) -> &'static str {
        match self {
            AutomationKind::Trigger | AutomationKind::WorkflowRule => "Name",
            AutomationKind::Flow => "ApiName",
            AutomationKind::ValidationRule => "ValidationName",
            AutomationKind::DuplicateRule => "DeveloperName",
        }
    }

    /// Whether it acts on what the load does; what isn't told, does.
    fn acts_on(self, record: &Record, operation: Operation) -> bool {
        let (inserts, updates) =
            (operation.creates(), matches!(operation, Operation::Update | Operation::Upsert));
        let deletes = operation.deletes();
        match self {
            AutomationKind::Trigger => {
                let on = |event: &str| {
                    ["Before", "After"].iter().any(|when| {
                        record
                            .at(&format!("Usage{when}{event}"))
                            .is_none_or(|value| value.cell() == "true")
                    })
                };
                (inserts && on("Insert")) || (updates && on("Update")) || (deletes && on("Delete"))
            }
            AutomationKind::Flow => {
                match record.at("RecordTriggerType").map(FieldValue::cell).as_deref() {
                    Some("Create") => inserts,
                    Some("Update") => updates,
                    Some("CreateAndUpdate") => inserts || updates,
                    Some("Delete") => deletes,
                    _ => true,
                }
            }
            // Rules are for records that are saved.
            AutomationKind::ValidationRule
            | AutomationKind::WorkflowRule
            | AutomationKind::DuplicateRule => !deletes,
        }
    }
}

/// A kind that the org doesn't tell of.
#[derive(Debug, Clone)]
pub struct Untold {
    /// Which.
    pub kind: AutomationKind,
    /// The org's code for it.
    pub code: String,
}

/// What runs when records are saved.
#[derive(Debug, Clone, Default)]
pub struct Automation {
    /// By kind, the names of what acts on this load; kinds that have none are
    /// missing.
    pub active: Vec<(AutomationKind, Vec<String>)>,
    /// What the org doesn't tell.
    pub untold: Vec<Untold>,
}

pub(super) async fn of(prepared: &Prepared) -> Result<Automation, CallError> {
    let mut automation = Automation::default();
    for kind in AutomationKind::ALL {
        match names(&prepared.org, kind, &prepared.object.name, prepared.request.operation).await {
            Ok(names) if names.is_empty() => {}
            Ok(names) => automation.active.push((kind, names)),
            Err(error) if error.is_untold() => automation
                .untold
                .push(Untold { kind, code: error.code.clone().unwrap_or_default() }),
            Err(error) => return Err(error),
        }
    }
    Ok(automation)
}

async fn names(
    org: &Org,
    kind: AutomationKind,
    object: &str,
    operation: Operation,
) -> Result<Vec<String>, CallError> {
    let entity = match kind {
        AutomationKind::WorkflowRule if object.ends_with("__c") => {
            match entity(org, object).await? {
                Some(id) => id,
                None => return Ok(Vec::new()),
            }
        }
        _ => object.to_owned(),
    };
    let (query, tooling) = kind.query(object, &entity);
    let records = if tooling {
        org.tooling_rows(&query, MOST).await?
    } else {
        org.query_all_rows(&query, MOST).await?
    };
    let names = records
        .iter()
        .filter(|record| kind.acts_on(record, operation))
        .filter_map(|record| record.at(kind.name_field()).map(FieldValue::cell));
    Ok(names.collect())
}

/// The id by which the Tooling API knows a custom object ("`EntityDefinition`").
async fn entity(org: &Org, object: &str) -> Result<Option<String>, CallError> {
    let query =
        format!("SELECT DurableId FROM EntityDefinition WHERE QualifiedApiName = '{object}'");
    let found = org.tooling_rows(&query, 1).await?;
    Ok(found.first().and_then(|record| record.at("DurableId")).map(FieldValue::cell))
}
