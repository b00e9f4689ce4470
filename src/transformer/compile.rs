//! Checks a header against describe and makes the plan.
//!
//! Every problem is found in one go: a person who repairs a file wants the
//! whole list, not one thing after the other.

use std::collections::HashMap;

use super::nearest::{nearest, nearest_field};
use super::plan::{DropReason, DroppedColumn, Plan, PlannedColumn, Treatment};
use super::relationship::{self, Parents, list};
use super::{LoadSpec, Problem};
use crate::domain::{ColumnDelimiter, Field, FieldType, ObjectDescription, Operation, ValueKind};
use crate::rows::Dialect;

/// Text columns watched for being unique, at most: each costs eight bytes and
/// a hash per row.
const TEXT_CANDIDATES: usize = 4;

/// Checks what the user asked for against the header and describe.
///
/// `parents` gives the description of an object by API name, `None` when this
/// user can't see it; it is asked for the names in [`needed_parents`].
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
    let external_id = compiler.check_external_id();
    compiler.resolve_columns(external_id, Parents::new(parents));
    let key = compiler.find_key(external_id);
    compiler.check_required();
    let user_keys = compiler.find_user_keys();
    let text_candidates = compiler.text_candidates(key, &user_keys);
    compiler.note_what_happens(key, &user_keys, dialect);
    let Compiler { problems, notes, columns, dropped, .. } = compiler;
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Plan {
        object: spec.object.name.clone(),
        operation: spec.operation,
        external_id: external_id.map(|field| field.name.clone()),
        columns,
        key,
        user_keys,
        text_candidates,
        dropped,
        header: header.to_vec(),
        source: dialect,
        delimiter: ColumnDelimiter::from_byte(dialect.delimiter).unwrap_or(ColumnDelimiter::Comma),
        line_ending: dialect.line_ending,
        empty: spec.empty,
        notes,
    })
}

/// The objects whose description [`compile`] will ask for: the parents named
/// by relationship columns, each once.
pub fn needed_parents(spec: &LoadSpec<'_>, header: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (at, column) in header.iter().enumerate() {
        let Target::Name { name, .. } = target(spec, header, at) else { continue };
        if spec.operation.deletes() || !relationship::is_reference(name) {
            continue;
        }
        if let Ok(reference) = relationship::parse(spec.object, column, name)
            && !names.iter().any(|known| known == reference.parent)
        {
            names.push(reference.parent.to_owned());
        }
    }
    names
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
    let is_result = ["sf__", "bulkhaul__"].into_iter().any(|prefix| {
        name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    });
    if is_result {
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

/// How a person leaves a column out.
fn leave_out(column: &str) -> String {
    format!("--map '{column}='")
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

    /// The external id field, if the operation has one.
    fn check_external_id(&mut self) -> Option<&'a Field> {
        let object = self.spec.object;
        let named = match (self.spec.operation, self.spec.external_id) {
            (Operation::Upsert, Some(name)) => name.trim(),
            (Operation::Upsert, None) => {
                self.problem(
                    Problem::new("an upsert needs the field by which records are matched")
                        .hint(format!("--external-id FIELD; {}", relationship::keys_of(object))),
                );
                return None;
            }
            (operation, Some(_)) => {
                self.problem(Problem::new(format!(
                    "--external-id goes with upsert, this is {operation}"
                )));
                return None;
            }
            (_, None) => return None,
        };
        let Some(field) = object.field_ignoring_case(named) else {
            let problem =
                Problem::new(format!("--external-id: {} has no field `{named}`", object.name));
            let near = nearest_field(object, named, Field::is_key);
            self.problem(match near {
                Some(name) => problem.hint(format!("did you mean `{name}`?")),
                None => problem.hint(relationship::keys_of(object)),
            });
            return None;
        };
        if field.name == "Id" {
            return Some(field);
        }
        if !field.is_key() {
            self.problem(
                Problem::new(format!(
                    "--external-id: {}.{} is not marked as external id",
                    object.name, field.name
                ))
                .hint(relationship::keys_of(object)),
            );
            return None;
        }
        if !field.unique && !field.id_lookup {
            self.notes.push(format!(
                "{} is not unique: a row that matches several records fails",
                field.name
            ));
        }
        Some(field)
    }

    /// Finds the field of each column.
    fn resolve_columns(&mut self, external_id: Option<&'a Field>, mut parents: Parents<'_>) {
        self.check_renames();
        let mut extra = Vec::new();
        for at in 0..self.header.len() {
            let column = self.header[at].as_str();
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
            let planned = if relationship::is_reference(name) {
                self.resolve_relationship(at, name, &mut parents)
            } else {
                self.resolve_field(at, name, mapped, external_id)
            };
            let Some(planned) = planned else { continue };
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
        at: usize,
        name: &str,
        parents: &mut Parents<'_>,
    ) -> Option<PlannedColumn> {
        let column = self.header[at].as_str();
        let resolved = relationship::parse(self.spec.object, column, name).and_then(|reference| {
            let resolved = relationship::resolve(&reference, column, parents)?;
            Ok((reference.lookup.name.clone(), resolved))
        });
        match resolved {
            Ok((field, resolved)) => {
                let lookup = self.spec.object.field(&field)?;
                self.check_writable(column, lookup, false).then(|| PlannedColumn {
                    source: at,
                    name: column.to_owned(),
                    header: resolved.header,
                    field,
                    kind: resolved.kind,
                    treatment: Treatment::Pass,
                })
            }
            Err(problem) => {
                self.problem(problem);
                None
            }
        }
    }

    fn resolve_field(
        &mut self,
        at: usize,
        name: &str,
        mapped: bool,
        external_id: Option<&Field>,
    ) -> Option<PlannedColumn> {
        let (object, operation) = (self.spec.object, self.spec.operation);
        let column = self.header[at].as_str();
        let planned = |header: &str, kind, treatment| PlannedColumn {
            source: at,
            name: column.to_owned(),
            header: header.to_owned(),
            field: header.to_owned(),
            kind,
            treatment,
        };
        if name.eq_ignore_ascii_case("Id") {
            let by_id = external_id.is_some_and(|field| field.name == "Id");
            let problem = match operation {
                Operation::Insert => Problem::new(format!(
                    "column `{column}`: an insert can't have an Id, the org gives it"
                )),
                Operation::Upsert if !by_id && self.spec.external_id.is_some() => {
                    Problem::new(format!(
                        "column `{column}`: an upsert by another field can't have an Id as well"
                    ))
                }
                _ => return Some(planned("Id", ValueKind::Id, Treatment::Pass)),
            };
            self.problem(problem.hint(format!("leave it out with {}", leave_out(column))));
            return None;
        }
        let Some(field) = object.field_ignoring_case(name) else {
            self.problem(self.unknown_field(column, name, mapped));
            return None;
        };
        let is_key = external_id.is_some_and(|key| key.name == field.name);
        let kind = field.value_kind();
        let treatment = match kind {
            ValueKind::Boolean => Treatment::Boolean,
            ValueKind::Number if is_key => Treatment::NumericKey,
            _ => Treatment::Pass,
        };
        self.check_writable(column, field, is_key).then(|| planned(&field.name, kind, treatment))
    }

    fn unknown_field(&self, column: &str, name: &str, mapped: bool) -> Problem {
        let object = self.spec.object;
        let place =
            if mapped { format!("--map '{column}={name}'") } else { format!("column `{column}`") };
        let problem = Problem::new(format!(
            "{place}: {} has no field `{name}` that this user may see",
            object.name
        ));
        let out = leave_out(column);
        match nearest_field(object, name, |field| self.is_writable(field)) {
            Some(near) => {
                problem.hint(format!("did you mean `{near}`? --map '{column}={near}', or {out}"))
            }
            None => problem.hint(format!("name its field with --map '{column}=FIELD', or {out}")),
        }
    }

    fn is_writable(&self, field: &Field) -> bool {
        match self.spec.operation {
            Operation::Insert | Operation::Upsert => field.createable,
            Operation::Update => field.updateable,
            Operation::Delete | Operation::HardDelete => false,
        }
    }

    /// Whether values may be sent to a field; says why not.
    fn check_writable(&mut self, column: &str, field: &Field, is_key: bool) -> bool {
        let object = self.spec.object;
        let name = format!("{}.{}", object.name, field.name);
        let out = format!("leave it out with {}", leave_out(column));
        if field.field_type == FieldType::Base64 {
            self.problem(
                Problem::new(format!(
                    "column `{column}`: {name} holds binary content, which Bulk API 2.0 does not \
                     carry"
                ))
                .hint(out),
            );
            return false;
        }
        let parts: Vec<&str> = object
            .fields
            .iter()
            .filter(|part| part.compound_field_name.as_deref() == Some(&field.name))
            .filter(|part| part.name != field.name && self.is_writable(part))
            .map(|part| part.name.as_str())
            .collect();
        let writable = self.is_writable(field);
        let is_compound = matches!(field.field_type, FieldType::Address | FieldType::Location);
        if is_compound || (!writable && !parts.is_empty()) {
            let hint = if parts.is_empty() {
                out
            } else {
                format!("its parts are {}; or {out}", list(parts.into_iter()))
            };
            self.problem(
                Problem::new(format!(
                    "column `{column}`: {name} is made of other fields and can't be written itself"
                ))
                .hint(hint),
            );
            return false;
        }
        if !writable && !is_key {
            self.problem(self.not_writable(column, field).hint(out));
            return false;
        }
        if !writable {
            self.notes.push(format!(
                "{name} can't be set by this user: rows that match no record will fail"
            ));
        } else if self.spec.operation == Operation::Upsert && !field.updateable && !is_key {
            self.notes.push(format!(
                "{name} can be set on new records only: rows that match a record will fail"
            ));
        }
        true
    }

    fn not_writable(&self, column: &str, field: &Field) -> Problem {
        const AUDIT: [&str; 4] =
            ["CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById"];
        let name = format!("{}.{}", self.spec.object.name, field.name);
        let why = if field.calculated {
            "is computed by a formula".to_owned()
        } else if field.auto_number {
            "is numbered by the org".to_owned()
        } else if AUDIT.contains(&field.name.as_str()) {
            "is set by the org unless this user may set audit fields".to_owned()
        } else if self.spec.operation == Operation::Update {
            "can't be changed by this user".to_owned()
        } else {
            "can't be set by this user".to_owned()
        };
        Problem::new(format!("column `{column}`: {name} {why}"))
    }

    /// Whether an earlier column sets the same field; says so.
    fn is_taken(&mut self, planned: &PlannedColumn) -> bool {
        let Some(other) = self.columns.iter().find(|other| other.field == planned.field) else {
            return false;
        };
        let (one, two) = (&other.name, &planned.name);
        let problem = Problem::new(format!(
            "columns `{one}` and `{two}` both set {}.{}",
            self.spec.object.name, planned.field
        ))
        .hint(format!("leave one out: {} or {}", leave_out(one), leave_out(two)));
        self.problem(problem);
        true
    }

    /// The place of the key column, which must be there.
    fn find_key(&mut self, external_id: Option<&Field>) -> Option<usize> {
        let operation = self.spec.operation;
        let wanted = match operation {
            Operation::Insert => return None,
            Operation::Upsert => external_id?.name.as_str(),
            Operation::Update | Operation::Delete | Operation::HardDelete => "Id",
        };
        let found = self.columns.iter().position(|column| column.header == wanted);
        if found.is_none() && !self.spoiled(wanted) {
            let problem = Problem::new(format!("an {operation} needs the column {wanted}"));
            let problem = match operation {
                Operation::Delete | Operation::HardDelete => {
                    Problem::new(format!("a {operation} needs the column Id"))
                }
                _ => problem,
            };
            let result_id = self.header.iter().find(|name| name.eq_ignore_ascii_case("sf__Id"));
            let near = nearest(wanted, self.header.iter().map(String::as_str));
            let hint = match (wanted, result_id, near) {
                ("Id", Some(name), _) => format!(
                    "`{name}` of a result file holds the ids of its records: --map '{name}=Id'"
                ),
                (_, _, Some(name)) => format!("did you mean --map '{name}={wanted}'?"),
                _ => format!("say which column holds it: --map 'Column={wanted}'"),
            };
            self.problem(problem.hint(hint));
        }
        found
    }

    /// Whether a column for this field is there but was refused for a reason
    /// of its own, so that calling it missing would mislead.
    fn spoiled(&self, field: &str) -> bool {
        (0..self.header.len()).any(|at| match target(self.spec, self.header, at) {
            Target::Name { name, .. } if relationship::is_reference(name) => {
                relationship::parse(self.spec.object, "", name)
                    .is_ok_and(|reference| reference.lookup.name == field)
            }
            Target::Name { name, .. } => name.eq_ignore_ascii_case(field),
            Target::Dropped(_) => false,
        })
    }

    /// Whether new records get all the values they need.
    fn check_required(&mut self) {
        let (object, operation) = (self.spec.object, self.spec.operation);
        if !operation.creates() {
            return;
        }
        let missing: Vec<&str> = object
            .fields
            .iter()
            .filter(|field| field.is_required_on_create())
            .filter(|field| !self.columns.iter().any(|column| column.field == field.name))
            .map(|field| field.name.as_str())
            .filter(|name| !self.spoiled(name))
            .collect();
        if missing.is_empty() {
            return;
        }
        let names = list(missing.iter().copied());
        if operation == Operation::Insert {
            self.problem(
                Problem::new(format!(
                    "new {} records need {names}, which no column sets",
                    object.name
                ))
                .hint(format!("say which column holds it: --map 'Column={}'", missing[0])),
            );
        } else {
            self.notes.push(format!(
                "new {} records need {names}, which no column sets: rows that match no record will \
                 fail",
                object.name
            ));
        }
    }

    fn find_user_keys(&mut self) -> Vec<usize> {
        let mut keys = Vec::new();
        for key in self.spec.user_keys {
            let wanted = key.trim();
            let found = self
                .columns
                .iter()
                .position(|column| column.header == wanted || column.name == wanted)
                .or_else(|| {
                    self.columns.iter().position(|column| {
                        column.header.eq_ignore_ascii_case(wanted)
                            || column.name.eq_ignore_ascii_case(wanted)
                    })
                });
            match found {
                Some(at) if keys.contains(&at) => {}
                Some(at) => keys.push(at),
                None if self.spoiled(wanted) => {}
                None => {
                    let near =
                        nearest(wanted, self.columns.iter().map(|column| column.header.as_str()))
                            .map(|name| format!("did you mean `{name}`?"));
                    let problem = Problem::new(format!(
                        "--key: no column `{wanted}` is sent, so results can't be matched by it"
                    ));
                    self.problem(match near {
                        Some(hint) => problem.hint(hint),
                        None => problem.hint(format!(
                            "these are sent: {}",
                            list(self.columns.iter().map(|column| column.header.as_str()))
                        )),
                    });
                }
            }
        }
        keys
    }

    /// The text columns most likely to be unique, for want of a key.
    fn text_candidates(&self, key: Option<usize>, user_keys: &[usize]) -> Vec<usize> {
        if key.is_some() || !user_keys.is_empty() {
            return Vec::new();
        }
        let mut candidates: Vec<(u8, usize)> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.header == column.field)
            .filter_map(|(at, column)| {
                let field = self.spec.object.field(&column.field)?;
                let rank = match field.field_type {
                    _ if !matches!(column.kind, ValueKind::Text { .. }) => return None,
                    _ if field.unique || field.external_id => 0,
                    _ if field.id_lookup => 1,
                    FieldType::String if field.name_field => 2,
                    FieldType::Email => 3,
                    FieldType::String | FieldType::Phone | FieldType::Url => 4,
                    // Long texts cost more to compare than they tell; a
                    // picklist is never unique.
                    _ => return None,
                };
                Some((rank, at))
            })
            .collect();
        candidates.sort_unstable();
        candidates.truncate(TEXT_CANDIDATES);
        candidates.into_iter().map(|(_, at)| at).collect()
    }

    /// What a person should know before the start.
    fn note_what_happens(&mut self, key: Option<usize>, user_keys: &[usize], dialect: Dialect) {
        let (object, operation) = (self.spec.object, self.spec.operation);
        if self.columns.is_empty() && self.problems.is_empty() {
            self.problem(Problem::new("no column of the source would be sent"));
            return;
        }
        if !self.corrected.is_empty() {
            let pairs: Vec<String> =
                self.corrected.iter().map(|(from, to)| format!("`{from}` as {to}")).collect();
            self.notes.push(format!(
                "columns sent in the org's spelling: {}",
                list(pairs.iter().map(String::as_str))
            ));
        }
        if !self.dropped.is_empty() {
            let names: Vec<&str> = self.dropped.iter().map(|column| column.name.as_str()).collect();
            self.notes.push(format!("columns not sent: {}", list(names.into_iter())));
        }
        if ColumnDelimiter::from_byte(dialect.delimiter).is_none() {
            self.notes
                .push("no job takes the delimiter of this source: commas are sent".to_owned());
        }
        let is_set = |name: &str| self.columns.iter().any(|column| column.field == name);
        let is_open = |name: &str| {
            operation.creates() && !is_set(name) && object.field(name).is_some_and(|f| f.createable)
        };
        let mut notes = Vec::new();
        if is_open("OwnerId") {
            notes.push("no OwnerId: this user will own all new records".to_owned());
        }
        let record_types =
            object.record_type_infos.iter().filter(|info| info.available && !info.master);
        if is_open("RecordTypeId") && record_types.clone().count() > 0 {
            let default = object
                .record_type_infos
                .iter()
                .find(|info| info.default_record_type_mapping && !info.master)
                .map(|info| format!(", {}", info.name))
                .unwrap_or_default();
            notes.push(format!(
                "no RecordTypeId: new records get the default record type of this user{default}"
            ));
        }
        if is_open("CurrencyIsoCode") {
            notes.push("no CurrencyIsoCode: new records get the currency of this user".to_owned());
        }
        let keyless = operation == Operation::Insert && key.is_none() && user_keys.is_empty();
        let surely_unique = self.columns.iter().any(|column| {
            column.header == column.field
                && object.field(&column.field).is_some_and(|field| field.unique)
        });
        if keyless && !surely_unique {
            notes.push(
                "nothing sent is known to tell rows apart, so results are matched by all columns \
                 together; a text field filled from run and row number and named with --key makes \
                 that certain"
                    .to_owned(),
            );
        }
        self.notes.append(&mut notes);
    }
}

#[cfg(test)]
mod tests;
