//! What a record type has of the picklists of an object ("Get Values for All
//! Picklist Fields of a Record Type", User Interface API guide). Describe tells
//! the values of the field alone.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use super::connection::Call;
use super::encode;
use super::error::CallError;
use super::org::Org;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    #[serde(default)]
    picklist_field_values: HashMap<String, FieldValues>,
}

#[derive(Deserialize)]
struct FieldValues {
    #[serde(default)]
    values: Vec<OfferedValue>,
}

#[derive(Deserialize)]
struct OfferedValue {
    value: String,
}

impl Org {
    /// The values that a record type has of each picklist, by field. Nothing
    /// where the org doesn't tell: the UI API knows not every object.
    ///
    /// # Errors
    /// Any [`CallError`] but refusals.
    pub async fn picklists_of_record_type(
        &self,
        object: &str,
        record_type: &str,
    ) -> Result<Option<HashMap<String, HashSet<String>>>, CallError> {
        let path = self.path(&format!(
            "ui-api/object-info/{}/picklist-values/{}",
            encode(object),
            encode(record_type)
        ));
        let call = Call::get("read the picklists of a record type", path);
        let reply: Reply = match self.connection().fetch(&call).await {
            Ok(reply) => reply,
            Err(error) if error.is_untold() => return Ok(None),
            Err(error) => return Err(error),
        };
        let of_field = |(field, values): (String, FieldValues)| {
            (field, values.values.into_iter().map(|value| value.value).collect())
        };
        Ok(Some(reply.picklist_field_values.into_iter().map(of_field).collect()))
    }
}
