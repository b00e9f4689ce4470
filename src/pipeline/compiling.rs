//! The plan of a load: the mapping file is read, parents of relationship
//! columns are described, all is compiled, and what the mapping looks up in the
//! org is asked.

use super::LoadRequest;
use super::answering::{self, Asked};
use super::preflight::{PreflightError, blocking};
use super::table_reader::TableReader;
use crate::domain::ObjectDescription;
use crate::mapping::Mapping;
use crate::reader::Source;
use crate::rows::SourceRows as _;
use crate::salesforce::{CallError, Org};
use crate::transformer::{LoadSpec, Plan, Problem, compile, needed_parents};

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
    let mut mapping = match request.mapping.clone() {
        Some(path) => {
            let secrets = request.secrets.clone();
            let files = TableReader::new(&request.runs_dir);
            Some(blocking(move || Mapping::read(&path, &secrets, &files)).await??)
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
        currency: request.currency.as_deref(),
    };
    let mut described = Described { org, objects: vec![object.clone()] };
    for name in needed_parents(&spec, source.header()) {
        // One that can't be described is reported by the check of its column.
        described.find(&name).await?;
    }
    let mut find = |name: &str| described.known(name).cloned();
    let compiled = compile(&spec, source.header(), source.dialect(), &mut find);
    let refused = |problems: Vec<Problem>| {
        let (source_name, mapped) = (request.source_name(), request.mapping.is_some());
        PreflightError::Problems { source_name, problems, mapped }
    };
    let mut questions = Vec::new();
    let mut problems = Vec::new();
    for question in mapping.as_ref().map(Mapping::questions).unwrap_or_default() {
        match answering::check(question, &object.name, &mut described).await? {
            Ok(asked) => questions.push(asked),
            Err(wrong) => problems.extend(wrong),
        }
    }
    let mut plan = match compiled {
        Ok(plan) if problems.is_empty() => plan,
        Ok(_) => return Err(refused(problems)),
        Err(mut all) => {
            all.extend(problems);
            return Err(refused(all));
        }
    };
    let Some(mapping) = mapping.as_mut().filter(|_| !questions.is_empty()) else {
        return Ok(plan);
    };
    let mut problems = Vec::new();
    for question in questions {
        match answering::ask(question, org, request.reserve).await? {
            Ok(Asked { answer, note }) => {
                mapping.answer(answer);
                plan.notes.push(note);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(refused(problems));
    }
    plan.make_answered(mapping)?;
    Ok(plan)
}

/// Objects as this user sees them, each asked for once.
pub(super) struct Described<'a> {
    org: &'a Org,
    objects: Vec<ObjectDescription>,
}

impl Described<'_> {
    fn known(&self, name: &str) -> Option<&ObjectDescription> {
        self.objects.iter().find(|object| object.name.eq_ignore_ascii_case(name))
    }

    /// An object by its API name; `None` for one that isn't there.
    pub(super) async fn find(
        &mut self,
        name: &str,
    ) -> Result<Option<&ObjectDescription>, CallError> {
        if self.known(name).is_none() {
            match self.org.describe(name).await {
                Ok(object) => self.objects.push(object),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.known(name))
    }

    /// The object whose name is nearest to this one.
    pub(super) async fn nearest(&self, name: &str) -> Result<Option<String>, CallError> {
        let objects = self.org.objects().await?;
        let names = objects.iter().map(|object| object.name.as_str());
        Ok(crate::domain::nearest(name, names).map(str::to_owned))
    }
}
