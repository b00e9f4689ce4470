//! What tells rows apart: the key of the operation, the keys the user names,
//! text columns for want of either.

use super::Compiler;
use crate::domain::{Field, FieldType, Operation, ValueKind};
use crate::domain::{nearest, nearest_field};
use crate::transformer::relationship::{self, list};
use crate::transformer::{PlannedColumn, Problem};

/// Text columns watched for being unique, at most: each costs eight bytes and
/// a hash per row.
const TEXT_CANDIDATES: usize = 4;

impl<'a> Compiler<'a> {
    /// The external id field, if the operation has one.
    pub(super) fn check_external_id(&mut self) -> Option<&'a Field> {
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

    /// The place of the key column, which must be there.
    pub(super) fn find_key(&mut self, external_id: Option<&Field>) -> Option<usize> {
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
                ("Id", Some(name), _) if self.spec.mapping.is_none() => format!(
                    "`{name}` of a result file holds the ids of its records: --map '{name}=Id'"
                ),
                _ if self.spec.mapping.is_some() => self.add_hint(wanted, near.unwrap_or("Column")),
                (_, _, Some(name)) => format!("did you mean --map '{name}={wanted}'?"),
                _ => format!("say which column holds it: --map 'Column={wanted}'"),
            };
            self.problem(problem.hint(hint));
        }
        found
    }

    pub(super) fn find_user_keys(&mut self) -> Vec<usize> {
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

    /// The text columns of an insert whose field the org keeps unique: what
    /// protects a row against being saved twice (I2).
    pub(super) fn protecting_columns(&self) -> Vec<usize> {
        if self.spec.operation != Operation::Insert {
            return Vec::new();
        }
        let protects = |column: &PlannedColumn| {
            // A relationship column sets a lookup, whatever its parent's field.
            column.header == column.field
                && matches!(column.kind, ValueKind::Text { .. })
                && self.spec.object.field(&column.field).is_some_and(|field| field.unique)
        };
        let columns = self.columns.iter().enumerate();
        columns.filter(|(_, column)| protects(column)).map(|(at, _)| at).collect()
    }

    /// The text columns most likely to be unique: first those that protect an
    /// insert, which are watched in any case; the others for want of a key.
    pub(super) fn text_candidates(
        &self,
        key: Option<usize>,
        user_keys: &[usize],
        protecting: &[usize],
    ) -> Vec<usize> {
        let has_key = key.is_some() || !user_keys.is_empty();
        let mut candidates: Vec<(u8, usize)> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.header == column.field)
            .filter_map(|(at, column)| {
                let field = self.spec.object.field(&column.field)?;
                let rank = match field.field_type {
                    _ if protecting.contains(&at) => 0,
                    _ if has_key || !matches!(column.kind, ValueKind::Text { .. }) => return None,
                    _ if field.unique || field.external_id => 1,
                    _ if field.id_lookup => 2,
                    FieldType::String if field.name_field => 3,
                    FieldType::Email => 4,
                    FieldType::String | FieldType::Phone | FieldType::Url => 5,
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
}
