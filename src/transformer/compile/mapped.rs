//! The fields of a mapping file against header and describe.

use std::collections::BTreeSet;

use super::asked::Asked;
use super::{Compiler, Header, find_column};
use crate::domain::{Field, FieldType, ValueKind, nearest};
use crate::mapping::{FieldEntry, Filter, Mapping, Recipe, Step, Supplies, Unmapped};
use crate::transformer::Problem;
use crate::transformer::plan::{DropReason, DroppedColumn, PlannedColumn};
use crate::transformer::relationship::{self, Parents, list};

/// What a mapping adds to a plan.
pub(super) struct Mapped<'a> {
    mapping: &'a Mapping,
    filter: Option<Filter>,
}

impl Mapped<'_> {
    /// What the plan needs of the mapping; nothing where no value has to be
    /// made, no row is left out and every column is sent once at most, in the
    /// order of the source.
    pub(super) fn supplies(&self, columns: &[PlannedColumn]) -> Option<Supplies> {
        let plain = columns.iter().all(|column| column.recipe.is_none());
        let ordered = columns.windows(2).all(|pair| pair[0].source < pair[1].source);
        if plain && ordered && self.filter.is_none() {
            return None;
        }
        Some(Supplies {
            path: self.mapping.path.clone(),
            tables: self.mapping.tables.clone(),
            secret: self.mapping.secret.clone(),
            filter: self.filter.clone(),
        })
    }
}

impl<'a> Compiler<'a> {
    /// Finds columns and fields of a mapping.
    pub(super) fn resolve_mapping(
        &mut self,
        mapping: &'a Mapping,
        external_id: Option<&'a Field>,
        parents: &mut Parents<'_>,
    ) -> Mapped<'a> {
        let mut used = BTreeSet::new();
        for entry in &mapping.fields {
            let place = format!("{}:{}: fields.{}", mapping.file_name(), entry.line, entry.name);
            if let Some(planned) =
                self.resolve_entry(entry, &place, external_id, parents, &mut used)
                && !self.is_taken_by(&planned, &place)
            {
                self.columns.push(planned);
            }
        }
        let filter = mapping.filter.as_ref().and_then(|(filter, line)| {
            let place = format!("{}:{line}: filter", mapping.file_name());
            filter.find(|name| self.find_mapped(name, &place, &mut used))
        });
        self.resolve_unmapped(mapping, &used, external_id, parents);
        self.columns.sort_by_key(|column| {
            let made = column.recipe.as_ref();
            let first = made.and_then(|recipe| recipe.origin.columns().into_iter().min().copied());
            column.source.or(first).unwrap_or(usize::MAX)
        });
        self.note_made(mapping);
        self.note_unused(mapping);
        self.note_large(mapping);
        Mapped { mapping, filter }
    }

    /// A person sees which values are not those of the source (I11).
    fn note_made(&mut self, mapping: &Mapping) {
        let is_made = |column: &&PlannedColumn| column.recipe.is_some();
        let made = self.columns.iter().filter(is_made).map(|column| column.header.as_str());
        let made: Vec<&str> = made.collect();
        if !made.is_empty() {
            let file = mapping.file_name();
            self.notes.push(format!("values made by {file}: {}", list(made.into_iter())));
        }
    }

    /// A table that nobody uses may be one that was meant to be.
    fn note_unused(&mut self, mapping: &Mapping) {
        let unused = mapping.unused_tables();
        if !unused.is_empty() {
            let file = mapping.file_name();
            self.notes.push(format!("no field of {file} uses {}", list(unused.into_iter())));
        }
    }

    /// Tables that are too large for memory make a load slower.
    fn note_large(&mut self, mapping: &Mapping) {
        for (name, keys) in mapping.tables_on_disk() {
            self.notes.push(format!(
                "{name} of {} has {keys} keys, too many for memory: it lies on disk until the end",
                mapping.file_name()
            ));
        }
    }

    /// The place of a column that a mapping names; says when it isn't there.
    fn find_mapped(
        &mut self,
        name: &str,
        place: &str,
        used: &mut BTreeSet<usize>,
    ) -> Option<usize> {
        let Some(at) = find_column(self.header, name) else {
            let problem = Problem::new(format!("{place}: the source has no column `{name}`"));
            let near = nearest(name, self.header.iter().map(String::as_str));
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    format!("its columns are {}", list(self.header.iter().map(String::as_str)))
                }
            };
            self.problem(problem.hint(hint));
            return None;
        };
        used.insert(at);
        Some(at)
    }

    fn resolve_entry(
        &mut self,
        entry: &'a FieldEntry,
        place: &str,
        external_id: Option<&'a Field>,
        parents: &mut Parents<'_>,
        used: &mut BTreeSet<usize>,
    ) -> Option<PlannedColumn> {
        let mut is_whole = true;
        let origin = entry.recipe.origin.find(|name| {
            let found = self.find_mapped(name, place, used);
            is_whole &= found.is_some();
            // Every name that is not there is told, not the first alone.
            Some(found.unwrap_or_default())
        })?;
        if self.spec.operation.deletes() && !entry.name.eq_ignore_ascii_case("Id") {
            self.problem(
                Problem::new(format!(
                    "{place}: a {} takes the field Id alone",
                    self.spec.operation
                ))
                .hint("take the entry out of the mapping"),
            );
            return None;
        }
        let source = match &origin {
            crate::mapping::Origin::Column(at) => Some(*at),
            _ => None,
        };
        let column = source.map_or(entry.name.as_str(), |at| self.header[at].as_str());
        let asked = Asked::entry(source, column, place.to_owned());
        let mut planned = self.resolve(&asked, &entry.name, external_id, parents)?;
        if source.is_none() {
            planned.name.clone_from(&planned.header);
        }
        let mut recipe =
            Recipe { origin, steps: entry.recipe.steps.clone(), empty: entry.recipe.empty.clone() };
        self.fit(entry, &planned, &mut recipe, place);
        planned.recipe = (!recipe.is_plain()).then_some(recipe);
        is_whole.then_some(planned)
    }

    /// Whether a conversion makes what the field holds; puts in what the field
    /// decides.
    fn fit(
        &mut self,
        entry: &FieldEntry,
        planned: &PlannedColumn,
        recipe: &mut Recipe,
        place: &str,
    ) {
        // Of a parent's field only the kind is known.
        let own = (planned.header == planned.field)
            .then(|| self.spec.object.field(&planned.field))
            .flatten();
        let mut wrong = None;
        for step in &mut recipe.steps {
            let (key, fits) = match step {
                Step::Number(format) => {
                    if entry.scale_of_field
                        && let Some(field) = own.filter(|_| planned.kind == ValueKind::Number)
                    {
                        let is_whole = matches!(field.field_type, FieldType::Int | FieldType::Long);
                        format.scale = Some(if is_whole { 0 } else { field.scale });
                    }
                    ("number", planned.kind == ValueKind::Number)
                }
                Step::Date(_) => ("date", planned.kind == ValueKind::Date),
                Step::DateTime(_) => ("datetime", planned.kind == ValueKind::DateTime),
                Step::Boolean { .. } => ("boolean", planned.kind == ValueKind::Boolean),
                Step::LongId => ("long_id", planned.kind == ValueKind::Id),
                _ => continue,
            };
            if !fits && !matches!(planned.kind, ValueKind::Text { .. }) {
                wrong = Some(key);
            }
        }
        if let Some(key) = wrong {
            let (holds, instead) = match planned.kind {
                ValueKind::Number => ("numbers", "number"),
                ValueKind::Boolean => ("true or false", "boolean"),
                ValueKind::Date => ("days without a time", "date"),
                ValueKind::DateTime => ("instants", "datetime"),
                ValueKind::Id => ("ids", "long_id"),
                ValueKind::Time => ("times of day", ""),
                ValueKind::MultiPicklist | ValueKind::Text { .. } => ("words", "split"),
            };
            let problem = Problem::new(format!(
                "{place}: `{key}` does not fit {}.{}, which holds {holds}",
                self.spec.object.name, planned.field
            ));
            self.problem(if instead.is_empty() {
                problem
            } else {
                problem.hint(format!("allowed there is `{instead}`"))
            });
        }
        if entry.truncates_to_field
            && let Some(field) = own
            && matches!(planned.kind, ValueKind::Text { .. })
            && field.length > 0
        {
            recipe.steps.push(Step::Truncate(field.length));
        }
    }

    /// A field, or one of a parent.
    pub(super) fn resolve(
        &mut self,
        asked: &Asked<'_>,
        name: &str,
        external_id: Option<&Field>,
        parents: &mut Parents<'_>,
    ) -> Option<PlannedColumn> {
        if relationship::is_reference(name) {
            self.resolve_relationship(asked, name, parents)
        } else {
            self.resolve_field(asked, name, external_id)
        }
    }

    /// The columns that no field takes.
    fn resolve_unmapped(
        &mut self,
        mapping: &Mapping,
        used: &BTreeSet<usize>,
        external_id: Option<&'a Field>,
        parents: &mut Parents<'_>,
    ) {
        let mut unnamed = Vec::new();
        for at in (0..self.header.len()).filter(|at| !used.contains(at)) {
            let name = self.header[at].as_str();
            let dropped = |reason| DroppedColumn { source: at, name: name.to_owned(), reason };
            if super::is_result_column(name) {
                self.dropped.push(dropped(DropReason::ResultColumn));
                continue;
            }
            match mapping.unmapped {
                Unmapped::LeaveOut => self.dropped.push(dropped(DropReason::NotMapped)),
                Unmapped::Refuse => unnamed.push(name),
                Unmapped::Send if self.is_unnamed(at) => {}
                Unmapped::Send => {
                    let asked = Asked::column(at, name, false);
                    let planned = self.resolve(&asked, name.trim(), external_id, parents);
                    let Some(planned) = planned else { continue };
                    if planned.header != name.trim() {
                        self.corrected.push((name, planned.header.clone()));
                    }
                    if !self.is_taken(&planned) {
                        self.columns.push(planned);
                    }
                }
            }
        }
        if !unnamed.is_empty() {
            self.problem(
                Problem::new(format!(
                    "{}: no field takes the columns {}",
                    mapping.file_name(),
                    list(unnamed.into_iter())
                ))
                .hint("name them in the mapping, or say `unmapped = \"leave-out\"`"),
            );
        }
    }

    /// Whether an earlier entry sets the same field; says so.
    fn is_taken_by(&mut self, planned: &PlannedColumn, place: &str) -> bool {
        let is_taken = self.columns.iter().any(|other| other.field == planned.field);
        if is_taken {
            let object = &self.spec.object.name;
            let problem = Problem::new(format!(
                "{place}: an entry before it sets {object}.{}, too",
                planned.field
            ));
            self.problem(problem.hint("take one of them out of the mapping"));
        }
        is_taken
    }

    /// What a person adds so that a field is set.
    pub(super) fn add_hint(&self, field: &str, column: &str) -> String {
        match self.spec.mapping {
            Some(_) => format!("add it to [fields] of the mapping: {field} = \"{column}\""),
            None => format!("--map '{column}={field}'"),
        }
    }
}

/// The names of fields that a load asks for, and where.
pub(super) fn asked_names<'a>(
    mapping: &'a Mapping,
    header: Header<'a>,
) -> impl Iterator<Item = &'a str> {
    // A column that an entry takes doesn't go by its own name besides.
    let taken = |at: usize| {
        let names = mapping.fields.iter().flat_map(|entry| entry.recipe.origin.columns());
        names
            .chain(mapping.filter.iter().flat_map(|(filter, _)| filter.columns()))
            .any(|name| find_column(header, name) == Some(at))
    };
    let sent = header.iter().enumerate().filter(move |(at, name)| {
        mapping.unmapped == Unmapped::Send && !super::is_result_column(name) && !taken(*at)
    });
    let sent = sent.map(|(_, name)| name.trim());
    mapping.fields.iter().map(|entry| entry.name.as_str()).chain(sent)
}
