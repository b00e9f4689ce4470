//! The plan of a load: the mapping file is read, parents of relationship
//! columns are described, and all is compiled.

use super::LoadRequest;
use super::preflight::{PreflightError, blocking};
use crate::domain::ObjectDescription;
use crate::mapping::Mapping;
use crate::reader::Source;
use crate::rows::SourceRows as _;
use crate::salesforce::Org;
use crate::transformer::{LoadSpec, Plan, compile, needed_parents};

/// Compiles what the user asked for, with the mapping file if there is one.
///
/// # Errors
/// [`PreflightError`] with all that is wrong.
pub(super) async fn compile_plan(
    request: &LoadRequest,
    org: &Org,
    source: &Source,
    object: &ObjectDescription,
) -> Result<Plan, PreflightError> {
    let mapping = match request.mapping.clone() {
        Some(path) => {
            let secrets = request.secrets.clone();
            Some(blocking(move || Mapping::read(&path, &secrets)).await??)
        }
        None => None,
    };
    let spec = LoadSpec {
        mapping: mapping.as_ref(),
        operation: request.operation,
        object,
        external_id: request.external_id.as_deref(),
        user_keys: &request.keys,
        renames: &request.renames,
        empty: request.empty,
    };
    let mut parents = Vec::new();
    for name in needed_parents(&spec, source.header()) {
        // One that can't be described is reported by the check of its column.
        match org.describe(&name).await {
            Ok(parent) => parents.push(parent),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut find =
        |name: &str| parents.iter().find(|parent| parent.name.eq_ignore_ascii_case(name)).cloned();
    compile(&spec, source.header(), source.dialect(), &mut find).map_err(|problems| {
        let (source_name, mapped) = (request.source_name(), request.mapping.is_some());
        PreflightError::Problems { source_name, problems, mapped }
    })
}
