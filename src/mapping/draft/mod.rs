//! A first mapping, made of the columns of a source and what describe tells
//! of an object: which column goes where, how sure that is, and what its
//! values need to become what the org takes.
//!
//! ```text
//! columns + describe ──► matching (names) ──► values (what they look like)
//!                    ──► one column for a field ──► render (a mapping file)
//! ```
//!
//! Everything is proposed to a person: what is no more than a guess is written
//! commented out.

mod matching;
mod parents;
mod render;
mod values;

use std::collections::BTreeSet;

use crate::domain::{Field, FieldType, ObjectDescription, Operation};
use parents::Target;
pub use parents::wanted_parents;
use values::{Fit, Values};

pub(in crate::mapping) use render::toml_text;

/// A column with values of its first rows.
#[derive(Debug, Clone, Default)]
pub struct SampledColumn {
    /// Its name.
    pub name: String,
    /// Values that are not empty, in the order of their rows.
    pub values: Vec<String>,
}

/// What a draft is made for.
#[derive(Debug, Clone, Copy)]
pub struct DraftSpec<'a> {
    /// The object, as describe tells it.
    pub object: &'a ObjectDescription,
    /// Objects that its lookups point at ([`wanted_parents`]), for their keys.
    pub parents: &'a [ObjectDescription],
    /// What the load will do.
    pub operation: Operation,
    /// The key of an upsert.
    pub external_id: Option<&'a str>,
    /// What the source is called in comments.
    pub source: &'a str,
    /// Sample values stand in comments.
    pub samples: bool,
}

/// How sure it is that a column belongs to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Something speaks for it; written commented out.
    Guess,
    /// The names say so in other words.
    Likely,
    /// The names are the same, and the values fit.
    Sure,
}

impl Confidence {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Confidence::Guess => "guess",
            Confidence::Likely => "likely",
            Confidence::Sure => "sure",
        }
    }
}

/// A column with the field it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Place of the column.
    pub column: usize,
    /// API name of the field, or of the parent's key (`Account.Legacy_Id__c`).
    pub field: String,
    /// The object's field that is set.
    sets: String,
    /// The type of the values, in a word.
    form: String,
    /// How sure it is.
    pub confidence: Confidence,
    /// Why, in words.
    pub why: String,
    /// Settings beside the column, as the file has them (`date = "..."`).
    settings: Vec<String>,
    /// Remarks for the person.
    notes: Vec<String>,
    /// Entries of a value map: old, new (none: to be filled in).
    map: Vec<(String, Option<String>)>,
}

/// A first mapping.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What goes where, in the order of the columns.
    pub proposals: Vec<Proposal>,
    /// Columns without a field, with the fields that would come near.
    pub unmatched: Vec<(usize, Vec<String>)>,
    /// Fields that a new record needs and that no column goes to for sure.
    pub missing: Vec<String>,
    /// The mapping file.
    pub text: String,
}

/// Scores from which on a match is worth the word.
const SURE: u32 = 90;
const LIKELY: u32 = 70;
const GUESS: u32 = 40;

/// Makes a first mapping.
pub fn draft(spec: &DraftSpec<'_>, columns: &[SampledColumn]) -> Draft {
    let fields: Vec<&Field> =
        spec.object.fields.iter().filter(|field| may_be_set(spec, field)).collect();
    let targets = parents::targets(spec, &fields);
    let taken_out = |name: &str| name.starts_with("sf__") || name.starts_with("bulkhaul__");
    let mut candidates = Vec::new();
    for (column, sampled) in columns.iter().enumerate() {
        if taken_out(&sampled.name) {
            continue;
        }
        let values = Values::of(&sampled.values);
        for target in &targets {
            let Some((score, why)) = target.score(sampled, spec.object) else { continue };
            let fit = values.fit(target.values);
            let score = match &fit {
                Fit::As(_) => score,
                Fit::Perhaps(..) => score.min(LIKELY - 1),
                Fit::Not(_) if score >= SURE => LIKELY - 1,
                Fit::Not(_) => score / 2,
            };
            if score >= GUESS {
                candidates.push(Candidate { column, target, score, why, fit });
            }
        }
    }
    let (chosen, unmatched) = assign(candidates, columns.len(), fields.len());
    let mut proposals: Vec<Proposal> = chosen.into_iter().map(Candidate::proposal).collect();
    proposals.sort_by_key(|proposal| proposal.column);
    let unmatched: Vec<(usize, Vec<String>)> = unmatched
        .into_iter()
        .filter(|(column, _)| columns.get(*column).is_some_and(|one| !taken_out(&one.name)))
        .collect();
    let sure: BTreeSet<&str> = proposals
        .iter()
        .filter(|proposal| proposal.confidence > Confidence::Guess)
        .map(|proposal| proposal.sets.as_str())
        .collect();
    let missing: Vec<String> = spec
        .object
        .fields
        .iter()
        .filter(|field| is_needed(spec, field) && !sure.contains(field.name.as_str()))
        .map(|field| field.name.clone())
        .collect();
    let mut draft = Draft { proposals, unmatched, missing, text: String::new() };
    draft.text = render::file(spec, columns, &draft);
    draft
}

/// Whether a load of this kind may set a field.
fn may_be_set(spec: &DraftSpec<'_>, field: &Field) -> bool {
    let is_id = field.field_type == FieldType::Id;
    let is_key = spec.external_id.is_some_and(|key| key.eq_ignore_ascii_case(&field.name));
    let compound =
        matches!(field.field_type, FieldType::Address | FieldType::Location | FieldType::Base64);
    match spec.operation {
        _ if compound => false,
        Operation::Insert => field.createable,
        Operation::Update => is_id || field.updateable,
        Operation::Upsert => is_key || field.createable || field.updateable,
        Operation::Delete | Operation::HardDelete => is_id,
    }
}

/// Whether a load of this kind needs a field.
fn is_needed(spec: &DraftSpec<'_>, field: &Field) -> bool {
    let is_key = spec.external_id.is_some_and(|key| key.eq_ignore_ascii_case(&field.name));
    match spec.operation {
        Operation::Insert => field.is_required_on_create(),
        Operation::Upsert => is_key || field.is_required_on_create(),
        _ => field.field_type == FieldType::Id,
    }
}

struct Candidate<'a> {
    column: usize,
    target: &'a Target<'a>,
    score: u32,
    why: String,
    fit: Fit,
}

impl Candidate<'_> {
    fn proposal(self) -> Proposal {
        let target = self.target;
        let confidence = match self.score {
            SURE.. => Confidence::Sure,
            LIKELY.. => Confidence::Likely,
            _ => Confidence::Guess,
        };
        let (form, notes) = match self.fit {
            Fit::As(form) => (form, Vec::new()),
            Fit::Perhaps(form, note) => (form, vec![note]),
            Fit::Not(note) => (values::Form::default(), vec![note]),
        };
        Proposal {
            column: self.column,
            field: target.name.clone(),
            sets: target.field.name.clone(),
            form: render::described(target.values),
            confidence,
            why: self.why,
            settings: form.settings,
            notes: form.notes.into_iter().chain(notes).collect(),
            map: form.map,
        }
    }
}

/// Gives each field one column at most, the best first. Where two are equally
/// good, neither is taken.
fn assign(
    mut candidates: Vec<Candidate<'_>>,
    columns: usize,
    fields: usize,
) -> (Vec<Candidate<'_>>, Vec<(usize, Vec<String>)>) {
    candidates.sort_by_key(|one| std::cmp::Reverse(one.score));
    let mut near: Vec<Vec<String>> = vec![Vec::new(); columns];
    for one in &candidates {
        if let Some(list) = near.get_mut(one.column)
            && list.len() < 3
        {
            list.push(one.target.name.clone());
        }
    }
    let mut chosen: Vec<Candidate<'_>> = Vec::new();
    let mut done = vec![false; columns];
    let mut taken = vec![false; fields];
    while !candidates.is_empty() {
        candidates.retain(|one| !done[one.column] && !taken[one.target.place]);
        let Some(best) = candidates.first().map(|one| one.score) else { break };
        let equal: Vec<(usize, usize)> = candidates
            .iter()
            .take_while(|one| one.score == best)
            .map(|one| (one.column, one.target.place))
            .collect();
        let alone = equal.iter().position(|(column, field)| {
            equal.iter().filter(|(c, f)| c == column || f == field).count() == 1
        });
        if let Some(place) = alone {
            let one = candidates.remove(place);
            done[one.column] = true;
            taken[one.target.place] = true;
            chosen.push(one);
        } else {
            // All of them are in each other's way.
            for (column, field) in equal {
                done[column] = true;
                taken[field] = true;
            }
        }
    }
    let given: BTreeSet<usize> = chosen.iter().map(|one| one.column).collect();
    let unmatched =
        near.into_iter().enumerate().filter(|(column, _)| !given.contains(column)).collect();
    (chosen, unmatched)
}

#[cfg(test)]
mod tests;
