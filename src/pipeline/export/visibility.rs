//! What the user who exports can't see, as far as the org tells.

use crate::domain::ObjectDescription;
use crate::exporter::manifest::UserSees;
use crate::salesforce::{FieldValue, Org, QueryScope};

/// Objects of which a user sees only files of its own and those shared with it,
/// View All Data or not ("Query All Files", Salesforce help).
const FILES: [&str; 3] = ["ContentDocument", "ContentDocumentLink", "ContentVersion"];

/// What the user may see, by the permission sets it has; a profile is one, too
/// (`PermissionSetAssignment`, Object Reference).
pub(super) async fn user_sees(org: &Org) -> UserSees {
    UserSees {
        view_all_data: holds(org, "PermissionsViewAllData").await,
        query_all_files: holds(org, "PermissionsQueryAllFiles").await,
    }
}

/// Whether the user holds a permission; `None` where the org doesn't tell.
async fn holds(org: &Org, permission: &str) -> Option<bool> {
    let user = &org.identity().user_id;
    let query = format!(
        "SELECT COUNT() FROM PermissionSetAssignment WHERE AssigneeId = '{user}' AND \
         PermissionSet.{permission} = true"
    );
    match org.query(&query, QueryScope::Live).next_page().await {
        Ok(page) => Some(page.is_some_and(|page| page.total > 0)),
        Err(error) => {
            tracing::debug!(permission, error = %error.brief(), "not told");
            None
        }
    }
}

/// What a person should know of it before exporting these objects.
pub(super) fn notes<'a>(sees: UserSees, mut objects: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut notes = Vec::new();
    if sees.view_all_data == Some(false) {
        notes.push(
            "this user lacks View All Data: records that are not shared with it are left out"
                .to_owned(),
        );
    }
    let files = objects.any(|object| FILES.contains(&object));
    if files && sees.query_all_files == Some(false) {
        notes.push(
            "this user lacks Query All Files: files that are not its own, nor shared with it, are \
             left out"
                .to_owned(),
        );
    }
    notes
}

/// Fields that the object has and describe doesn't show this user; `None` where
/// the org doesn't tell (`FieldDefinition`, Tooling API guide).
pub(super) async fn hidden_fields(
    org: &Org,
    description: &ObjectDescription,
) -> Option<Vec<String>> {
    let query = format!(
        "SELECT QualifiedApiName FROM FieldDefinition WHERE \
         EntityDefinition.QualifiedApiName = '{}'",
        description.name
    );
    let mut pages = org.query(&query, QueryScope::Live);
    let mut hidden = Vec::new();
    loop {
        match pages.next_page().await {
            Ok(None) => return Some(hidden),
            Ok(Some(page)) => hidden.extend(
                page.records
                    .iter()
                    .filter_map(|record| record.at("QualifiedApiName").map(FieldValue::cell))
                    .filter(|name| description.field_ignoring_case(name).is_none()),
            ),
            Err(error) => {
                tracing::debug!(object = description.name, error = %error.brief(), "not told");
                return None;
            }
        }
    }
}
