//! What a column can go to: a field of the object, or a lookup by a key of its
//! parent (`Account.Legacy_Id__c`).

use super::matching::{self, bare};
use super::{DraftSpec, GUESS, LIKELY, SampledColumn, may_be_set};
use crate::domain::{Field, FieldType, ObjectDescription, RecordId};

/// Objects that a lookup may point at, to be asked for the keys of; with more,
/// a name of the parent says nothing.
const MOST_PARENTS: usize = 4;

/// What a column can go to.
pub(super) struct Target<'a> {
    /// The object's field that is set, by its place among those that may be.
    pub(super) place: usize,
    pub(super) field: &'a Field,
    /// Whose values these are: the field's own, or the parent's key's.
    pub(super) values: &'a Field,
    /// As a mapping file names it.
    pub(super) name: String,
}

impl Target<'_> {
    fn is_key(&self) -> bool {
        !std::ptr::eq(self.field, self.values)
    }

    /// How well a column fits, up to 100, and why.
    pub(super) fn score(
        &self,
        column: &SampledColumn,
        object: &ObjectDescription,
    ) -> Option<(u32, String)> {
        let name = &column.name;
        if !self.is_key() {
            return matching::score(name, self.field, object);
        }
        if name.trim().eq_ignore_ascii_case(&self.name) {
            return Some((100, "by name".to_owned()));
        }
        let parent = relationship(self.field);
        if bare(name) == bare(&parent) + &bare(&self.values.name) {
            return Some((92, "by the names of the parent and its key".to_owned()));
        }
        // Which key it is nobody says: never more than a guess.
        let (score, _) = matching::score(name, self.field, object)?;
        let why = "the column is called as the parent, and its values are no ids".to_owned();
        (score >= GUESS && !are_ids(column)).then(|| (score.min(LIKELY - 1), why))
    }
}

/// The relationship of a lookup without the suffix of custom ones.
fn relationship(field: &Field) -> String {
    let name = field.relationship_name.as_deref().unwrap_or_default();
    name.strip_suffix("__r").unwrap_or(name).to_owned()
}

fn are_ids(column: &SampledColumn) -> bool {
    column.values.iter().all(|value| RecordId::parse(value.trim().as_bytes()).is_ok())
}

/// All that columns can go to, the object's own fields first.
pub(super) fn targets<'a>(spec: &DraftSpec<'a>, fields: &[&'a Field]) -> Vec<Target<'a>> {
    let own = (0..).zip(fields).map(|(place, &field)| Target {
        place,
        field,
        values: field,
        name: field.name.clone(),
    });
    let mut targets: Vec<Target<'a>> = own.collect();
    for (place, &field) in fields.iter().enumerate() {
        let Some(relationship) = &field.relationship_name else { continue };
        for parent in spec.parents.iter().filter(|one| field.reference_to.contains(&one.name)) {
            let keys = parent.fields.iter().filter(|key| {
                key.is_key()
                    && key.field_type != FieldType::Id
                    && key.field_type != FieldType::Reference
            });
            targets.extend(keys.map(|key| Target {
                place,
                field,
                values: key,
                name: match field.reference_to.as_slice() {
                    [_] => format!("{relationship}.{}", key.name),
                    _ => format!("{}:{relationship}.{}", parent.name, key.name),
                },
            }));
        }
    }
    targets
}

/// Objects whose describes a draft can use, because a column may hold keys of
/// theirs: those of lookups that are called alike, where the values are no ids.
pub fn wanted_parents(spec: &DraftSpec<'_>, columns: &[SampledColumn]) -> Vec<String> {
    let mut wanted: Vec<String> = Vec::new();
    let lookups = spec.object.fields.iter().filter(|field| {
        field.field_type == FieldType::Reference
            && field.relationship_name.is_some()
            && field.reference_to.len() <= MOST_PARENTS
            && may_be_set(spec, field)
    });
    for field in lookups {
        let parent = bare(&relationship(field));
        let is_named = |column: &SampledColumn| {
            let begins = bare(&column.name).starts_with(&parent);
            let alike = matching::score(&column.name, field, spec.object);
            !are_ids(column) && (begins || alike.is_some_and(|(score, _)| score >= GUESS))
        };
        if columns.iter().any(is_named) {
            for object in &field.reference_to {
                if !wanted.contains(object) {
                    wanted.push(object.clone());
                }
            }
        }
    }
    wanted
}
