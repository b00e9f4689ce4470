//! Checks a header against describe and makes the plan.
//!
//! Every problem is found in one go: a person who repairs a file wants the
//! whole list, not one thing after the other.

mod asked;
mod currency;
mod fields;
mod keys;
mod mapped;
mod notes;

use std::collections::HashMap;

use self::asked::{Asked, leave_out};
use self::mapped::Mapped;
use super::plan::{DropReason, DroppedColumn, Plan, PlannedColumn, Ready, Treatment};
use super::relationship::{self, Parents, list};
use super::{LoadSpec, Problem};
use crate::domain::nearest;
use crate::domain::{ColumnDelimiter, Field, ObjectDescription, Operation};
use crate::mapping::{Loaded, Supplies};
use crate::rows::Dialect;

/// Checks what the user asked for against the header and describe.
///
/// `parents` gives the description of an object by API name, `None` when this
/// user can't see it; it is asked for the names in [`needed_parents`].
///
/// A plan whose mapping has questions to the org is not ready before
/// [`Plan::make_answered`].
///
/// # Errors
/// Every [`Problem`] there is, in the order of the columns.
pub fn compile(
    spec: &LoadSpec<'_>,
    header: &[String],
    dialect: Dialect,
    parents: &mut dyn FnMut(&str) -> Option<ObjectDescription>,
) -> Result<Plan, Vec<Problem>> {
    let mut compiler = Compiler {
        spec,
        header,
        problems: Vec::new(),
        notes: Vec::new(),
        corrected: Vec::new(),
        columns: Vec::new(),
        dropped: Vec::new(),
    };
    compiler.check_object();
    compiler.check_names();
    let external_id = compiler.check_external_id();
    let mut parents = Parents::new(parents);
    let mut mapped: Option<Mapped<'_>> = None;
    match spec.mapping {
        Some(mapping) => {
            mapped = Some(compiler.resolve_mapping(mapping, external_id, &mut parents));
        }
        None => compiler.resolve_columns(external_id, &mut parents),
    }
    compiler.set_currency();
    let key = compiler.find_key(external_id);
    compiler.check_required();
    let user_keys = compiler.find_user_keys();
    let protecting = compiler.protecting_columns();
    let text_candidates = compiler.text_candidates(key, &user_keys, &protecting);
    let protecting_keys =
        protecting.into_iter().filter(|at| text_candidates.contains(at)).collect();
    compiler.note_what_happens(key, &user_keys, dialect);
    let Compiler { problems, notes, columns, dropped, .. } = compiler;
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut plan = Plan {
        mapping: match &mapped {
            Some(mapped) => mapped.supplies(&columns),
            None => columns.iter().any(|it| it.recipe.is_some()).then(Supplies::none),
        },
        machine: Ready::default(),
        object: spec.object.name.clone(),
        operation: spec.operation,
        external_id: external_id.map(|field| field.name.clone()),
        columns,
        key,
        user_keys,
        text_candidates,
        protecting_keys,
        dropped,
        header: header.to_vec(),
        source: dialect,
        delimiter: ColumnDelimiter::from_byte(dialect.delimiter).unwrap_or(ColumnDelimiter::Comma),
        line_ending: dialect.line_ending,
        empty: spec.empty,
        notes,
    };
    if spec.mapping.is_none_or(|mapping| mapping.questions().is_empty()) {
        let loaded = spec.mapping.map_or_else(Loaded::default, |mapping| mapping.loaded.clone());
        plan.make_machine(&loaded).map_err(|error| {
            let file = error.file_name();
            error
                .problems
                .iter()
                .map(|problem| Problem::new(problem.told(&file)))
                .collect::<Vec<_>>()
        })?;
    }
    Ok(plan)
}

/// The names of the source's columns.
type Header<'a> = &'a [String];

/// The objects whose description [`compile`] will ask for: the parents named
/// by relationship columns, each once.
pub fn needed_parents(spec: &LoadSpec<'_>, header: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in asked_names(spec, header) {
        if spec.operation.deletes() || !relationship::is_reference(name) {
            continue;
        }
        if let Ok(reference) = relationship::parse(spec.object, "", name)
            && !names.iter().any(|known| known == reference.parent)
        {
            names.push(reference.parent.to_owned());
        }
    }
    names
}

/// The names of all fields that are asked for.
fn asked_names<'a>(spec: &LoadSpec<'a>, header: Header<'a>) -> Vec<&'a str> {
    if let Some(mapping) = spec.mapping {
        return mapped::asked_names(mapping, header).collect();
    }
    let names = (0..header.len()).filter_map(|at| match target(spec, header, at) {
        Target::Name { name, .. } => Some(name),
        Target::Dropped(_) => None,
    });
    names.collect()
}

/// Whether a column is one that result files add.
fn is_result_column(name: &str) -> bool {
    let name = name.trim();
    ["sf__", "bulkhaul__"].into_iter().any(|prefix| {
        name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    })
}

/// Where a column of the source goes, before describe was looked at.
enum Target<'a> {
    Dropped(DropReason),
    Name { name: &'a str, mapped: bool },
}

fn target<'a>(spec: &LoadSpec<'a>, header: &'a [String], at: usize) -> Target<'a> {
    let renamed = spec.renames.iter().find(|(column, _)| find_column(header, column) == Some(at));
    if let Some((_, field)) = renamed {
        let name = field.trim();
        return if name.is_empty() {
            Target::Dropped(DropReason::Asked)
        } else {
            Target::Name { name, mapped: true }
        };
    }
    let name = header.get(at).map(|name| name.trim()).unwrap_or_default();
    if is_result_column(name) {
        Target::Dropped(DropReason::ResultColumn)
    } else {
        Target::Name { name, mapped: false }
    }
}

/// The column a user names: as it stands, else whatever its letter case and
/// outer blanks, if that is only one.
fn find_column(header: &[String], name: &str) -> Option<usize> {
    if let Some(at) = header.iter().position(|column| column == name) {
        return Some(at);
    }
    let mut alike = header
        .iter()
        .enumerate()
        .filter(|(_, column)| column.trim().eq_ignore_ascii_case(name.trim()))
        .map(|(at, _)| at);
    alike.next().filter(|_| alike.next().is_none())
}

struct Compiler<'a> {
    spec: &'a LoadSpec<'a>,
    header: &'a [String],
    problems: Vec<Problem>,
    notes: Vec<String>,
    /// `(column, header as sent)` where letter case was put right.
    corrected: Vec<(&'a str, String)>,
    columns: Vec<PlannedColumn>,
    dropped: Vec<DroppedColumn>,
}

impl<'a> Compiler<'a> {
    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Whether the user may do this with the object at all.
    fn check_object(&mut self) {
        let (object, operation) = (self.spec.object, self.spec.operation);
        let wants = [
            (operation.creates(), object.createable, "create"),
            (
                matches!(operation, Operation::Update | Operation::Upsert),
                object.updateable,
                "change",
            ),
            (operation.deletes(), object.deletable, "delete"),
        ];
        for (wanted, may, verb) in wants {
            if wanted && !may {
                self.problem(
                    Problem::new(format!("this user may not {verb} {} records", object.name))
                        .hint("the user's profile or permission sets must grant it"),
                );
            }
        }
    }

    /// Finds the field of each column.
    /// Columns without a name, or with that of one before them.
    fn check_names(&mut self) {
        for at in 0..self.header.len() {
            let name = self.header[at].as_str();
            if name.trim().is_empty() {
                self.problems.push(
                    Problem::new(format!("column {} of the header has no name", at + 1))
                        .hint("name it, or remove the column from the file"),
                );
            } else if let Some(before) = self.named_before(at) {
                self.problems.push(
                    Problem::new(format!(
                        "columns {} and {} of the header are both named `{name}`",
                        before + 1,
                        at + 1
                    ))
                    .hint("rename one of them, or remove it from the file"),
                );
            }
        }
    }

    fn named_before(&self, at: usize) -> Option<usize> {
        let name = self.header.get(at)?;
        self.header.iter().take(at).position(|before| before == name)
    }

    /// Whether a column can't be told by its name; that is a problem already.
    fn is_unnamed(&self, at: usize) -> bool {
        self.header.get(at).is_none_or(|name| name.trim().is_empty())
            || self.named_before(at).is_some()
    }

    fn resolve_columns(&mut self, external_id: Option<&'a Field>, parents: &mut Parents<'_>) {
        self.check_renames();
        let mut extra = Vec::new();
        for at in 0..self.header.len() {
            let column = self.header[at].as_str();
            if self.is_unnamed(at) {
                continue;
            }
            let (name, mapped) = match target(self.spec, self.header, at) {
                Target::Dropped(reason) => {
                    self.dropped.push(DroppedColumn {
                        source: at,
                        name: column.to_owned(),
                        reason,
                    });
                    continue;
                }
                Target::Name { name, mapped } => (name, mapped),
            };
            if self.spec.operation.deletes() && !name.eq_ignore_ascii_case("Id") {
                extra.push(column);
                continue;
            }
            let asked = Asked::column(at, column, mapped);
            let Some(planned) = self.resolve(&asked, name, external_id, parents) else { continue };
            // A mapping may be written in any case; what was a header is told.
            if planned.header != name && !mapped {
                self.corrected.push((column, planned.header.clone()));
            }
            if self.is_taken(&planned) {
                continue;
            }
            self.columns.push(planned);
        }
        if !extra.is_empty() {
            let hint = extra.iter().map(|column| leave_out(column)).collect::<Vec<_>>().join(" ");
            let columns = extra.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>();
            self.problem(
                Problem::new(format!(
                    "a {} takes the column Id alone; this source also has {}",
                    self.spec.operation,
                    list(columns.iter().map(String::as_str))
                ))
                .hint(format!("leave them out with {hint}")),
            );
        }
    }

    /// Whether the mappings name columns that are there, each once.
    fn check_renames(&mut self) {
        let mut seen: HashMap<usize, &str> = HashMap::new();
        for (column, _) in self.spec.renames {
            let Some(at) = find_column(self.header, column) else {
                let problem = Problem::new(format!("--map: the source has no column `{column}`"));
                let near = nearest(column, self.header.iter().map(String::as_str));
                self.problem(match near {
                    Some(name) => problem.hint(format!("did you mean `{name}`?")),
                    None => problem.hint(format!(
                        "its columns are {}",
                        list(self.header.iter().map(String::as_str))
                    )),
                });
                continue;
            };
            if seen.insert(at, column).is_some() {
                self.problem(Problem::new(format!("--map: column `{column}` is mapped twice")));
            }
        }
    }

    fn resolve_relationship(
        &mut self,
        asked: &Asked<'_>,
        name: &str,
        parents: &mut Parents<'_>,
    ) -> Option<PlannedColumn> {
        let place = asked.place.as_str();
        let resolved = relationship::parse(self.spec.object, place, name).and_then(|reference| {
            let resolved = relationship::resolve(&reference, place, parents)?;
            Ok((reference.lookup.name.clone(), resolved))
        });
        match resolved {
            Ok((field, resolved)) => {
                let lookup = self.spec.object.field(&field)?;
                self.check_writable(asked, lookup, false).then(|| PlannedColumn {
                    source: asked.at,
                    name: asked.column.to_owned(),
                    header: resolved.header,
                    field,
                    kind: resolved.kind,
                    treatment: Treatment::Pass,
                    recipe: None,
                })
            }
            Err(problem) => {
                self.problem(problem);
                None
            }
        }
    }

    /// Whether a column for this field is there but was refused for a reason
    /// of its own, so that calling it missing would mislead.
    fn spoiled(&self, field: &str) -> bool {
        asked_names(self.spec, self.header).into_iter().any(|name| {
            if relationship::is_reference(name) {
                relationship::parse(self.spec.object, "", name)
                    .is_ok_and(|reference| reference.lookup.name == field)
            } else {
                name.eq_ignore_ascii_case(field)
            }
        })
    }
}

#[cfg(test)]
mod tests;
