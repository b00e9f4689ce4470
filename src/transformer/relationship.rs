//! Columns that name a parent by one of its own fields: `Account.Legacy_Id__c`,
//! `User:Owner.Username` ("Relationship Fields in a Header Row", Bulk API 2.0
//! guide).
//!
//! Whether the type must stand before the colon depends on how many objects
//! the lookup can point at *in this org* (`referenceTo`), on nothing else.

use std::collections::HashMap;

use super::problem::Problem;
use crate::domain::{Field, ObjectDescription, ValueKind};
use crate::domain::{nearest, nearest_field};

/// Parents by API name, asked for once each.
pub(super) struct Parents<'p> {
    ask: &'p mut dyn FnMut(&str) -> Option<ObjectDescription>,
    known: HashMap<String, Option<ObjectDescription>>,
}

impl<'p> Parents<'p> {
    pub(super) fn new(ask: &'p mut dyn FnMut(&str) -> Option<ObjectDescription>) -> Self {
        Parents { ask, known: HashMap::new() }
    }

    fn get(&mut self, name: &str) -> Option<&ObjectDescription> {
        if !self.known.contains_key(name) {
            let description = (self.ask)(name);
            self.known.insert(name.to_owned(), description);
        }
        self.known.get(name).and_then(Option::as_ref)
    }
}

/// A header taken apart and found in describe, before the parent was asked.
pub(super) struct Reference<'a> {
    /// The lookup field.
    pub(super) lookup: &'a Field,
    /// API name of the parent object.
    pub(super) parent: &'a str,
    /// Whether the parent's name must be sent.
    pub(super) prefixed: bool,
    /// The parent's field as written.
    target: &'a str,
}

/// A relationship column that works.
pub(super) struct Resolved {
    /// Header in exact case.
    pub(super) header: String,
    /// How values are compared: as those of the parent's field.
    pub(super) kind: ValueKind,
}

/// Whether a name is to be read as a relationship column.
pub(super) fn is_reference(name: &str) -> bool {
    name.contains(['.', ':'])
}

/// Takes a header apart. `place` says where it is named.
pub(super) fn parse<'a>(
    object: &'a ObjectDescription,
    place: &str,
    name: &'a str,
) -> Result<Reference<'a>, Problem> {
    let (prefix, path) = match name.split_once(':') {
        Some((prefix, path)) => (Some(prefix.trim()), path),
        None => (None, name),
    };
    let Some((relationship, target)) = path.split_once('.') else {
        return Err(Problem::new(format!("{place}: `{name}` names no field of the parent"))
            .hint("write Relationship.Field, or Type:Relationship.Field"));
    };
    let (relationship, target) = (relationship.trim(), target.trim());
    if target.contains('.') {
        return Err(Problem::new(format!(
            "{place}: `{name}` goes over more than one parent; only the record's own \
             parent can be named"
        )));
    }
    let Some(lookup) = object.relationship(relationship) else {
        return Err(unknown(object, place, prefix, relationship, target));
    };
    let own_name = lookup.relationship_name.as_deref().unwrap_or(relationship);
    let offered = lookup.reference_to.as_slice();
    let (parent, prefixed) = match (prefix, offered) {
        (_, []) => {
            return Err(Problem::new(format!(
                "{place}: {own_name} points at no object this user may see"
            )));
        }
        (None, [only]) => (only, false),
        (None, [first, ..]) => {
            // Of users and groups, people mean users.
            let example = offered.iter().find(|name| *name == "User").unwrap_or(first);
            return Err(Problem::new(format!(
                "{place}: {own_name} can point at {}; the type must be named",
                list(offered.iter().map(String::as_str))
            ))
            .hint(format!("write for example {example}:{own_name}.{target}")));
        }
        (Some(prefix), [only]) if prefix.eq_ignore_ascii_case(only) => (only, false),
        (Some(prefix), _) => match offered.iter().find(|name| name.eq_ignore_ascii_case(prefix)) {
            Some(parent) => (parent, true),
            None => {
                return Err(Problem::new(format!(
                    "{place}: {own_name} can't point at `{prefix}`, only at {}",
                    list(offered.iter().map(String::as_str))
                )));
            }
        },
    };
    Ok(Reference { lookup, parent, prefixed, target })
}

/// What is wrong with a relationship that the object doesn't have.
fn unknown(
    object: &ObjectDescription,
    place: &str,
    prefix: Option<&str>,
    relationship: &str,
    target: &str,
) -> Problem {
    let problem =
        Problem::new(format!("{place}: {} has no relationship `{relationship}`", object.name));
    if let Some(own) = prefix
        .and_then(|prefix| object.relationship(prefix))
        .and_then(|lookup| lookup.relationship_name.as_deref())
    {
        return problem
            .hint(format!("the type stands before the colon: {relationship}:{own}.{target}"));
    }
    let prefix = prefix.map(|prefix| format!("{prefix}:")).unwrap_or_default();
    if let Some(own) = object
        .field_ignoring_case(relationship)
        .and_then(|lookup| lookup.relationship_name.as_deref())
    {
        return problem.hint(format!(
            "{relationship} is the field, {own} the relationship: {prefix}{own}.{target}"
        ));
    }
    let names = object.fields.iter().filter_map(|field| field.relationship_name.as_deref());
    match nearest(relationship, names) {
        Some(name) => problem.hint(format!("did you mean {prefix}{name}.{target}?")),
        None => problem,
    }
}

/// Finds the parent's field.
pub(super) fn resolve(
    reference: &Reference<'_>,
    place: &str,
    parents: &mut Parents<'_>,
) -> Result<Resolved, Problem> {
    let Reference { lookup, parent: parent_name, prefixed, target } = *reference;
    let Some(parent) = parents.get(parent_name) else {
        return Err(Problem::new(format!(
            "{place}: {parent_name} is not visible to this user, so its field \
             `{target}` can't be checked"
        )));
    };
    let Some(field) = parent.field_ignoring_case(target) else {
        let problem = Problem::new(format!(
            "{place}: {parent_name} has no field `{target}` that this user may see"
        ));
        return Err(match nearest_field(parent, target, usable) {
            Some(name) => problem.hint(format!("did you mean `{name}`?")),
            None => problem.hint(keys_of(parent)),
        });
    };
    if !usable(field) {
        return Err(Problem::new(format!(
            "{place}: {parent_name}.{} is neither an external id nor a lookup key",
            field.name
        ))
        .hint(keys_of(parent)));
    }
    let relationship = lookup.relationship_name.as_deref().unwrap_or_default();
    let header = if prefixed {
        format!("{parent_name}:{relationship}.{}", field.name)
    } else {
        format!("{relationship}.{}", field.name)
    };
    Ok(Resolved { header, kind: field.value_kind() })
}

fn usable(field: &Field) -> bool {
    field.is_key() || field.name == "Id"
}

/// The fields by which a record of an object is found, in a sentence.
pub(super) fn keys_of(object: &ObjectDescription) -> String {
    let keys: Vec<&str> =
        object.fields.iter().filter(|field| usable(field)).map(|f| f.name.as_str()).collect();
    if keys.is_empty() {
        format!("{} has no such field that this user may see", object.name)
    } else {
        format!("{} records are found by {}", object.name, list(keys.into_iter()))
    }
}

/// Names in a row, the tail of a long list only counted.
pub(super) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 12;
    let names: Vec<&str> = names.collect();
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 1 => format!("{} and {more} more", names[..SHOWN].join(", ")),
        _ => names.join(", "),
    }
}
