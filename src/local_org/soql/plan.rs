//! Names to fields: a query as written becomes one that can run, checked
//! against the catalogue.

use std::sync::Arc;

use super::SoqlError;
use super::ast::{OrderBy, Path, Query, Select, SelectItem};
use super::filter::Filter;
use super::group::Grouping;
use crate::local_org::catalogue::{Catalogue, FieldDef, FieldKind, ObjectDef};

/// Hops to a parent a path may have ("Understanding Relationship Query
/// Limitations": five levels).
const MAX_HOPS: usize = 5;

/// Records OFFSET may leave out ("OFFSET", SOQL and SOSL reference).
const MAX_OFFSET: u64 = 2000;

/// Where a value of a record comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Its value at this place.
    Stored(usize),
    /// First and last name with a blank between.
    PersonName {
        /// Place of the first name.
        first: Option<usize>,
        /// Place of the last name.
        last: Option<usize>,
    },
    /// An address or location: its parts by their names in JSON.
    Compound(Vec<(String, usize)>),
    /// The name of the record's object (`Owner.Type`).
    ObjectName,
}

/// A path bound to fields.
#[derive(Debug, Clone)]
pub(crate) enum Bound {
    /// A field of the record itself.
    Field {
        /// The object it belongs to.
        object: Arc<ObjectDef>,
        /// Its place among the fields; for [`Source::ObjectName`] that of the id.
        field: usize,
        /// Where its value comes from.
        source: Source,
    },
    /// A field of a parent; a polymorphic lookup has several kinds of parents.
    Parent {
        /// Place of the lookup field.
        lookup: usize,
        /// What each kind of parent has to say.
        targets: Vec<(Arc<ObjectDef>, Bound)>,
    },
}

impl Bound {
    /// The field at the end of the path; of a polymorphic path that of the
    /// first kind of parent.
    pub(crate) fn leaf(&self) -> Option<&FieldDef> {
        match self {
            Bound::Field { object, field, .. } => object.fields.get(*field),
            Bound::Parent { targets, .. } => targets.first().and_then(|(_, bound)| bound.leaf()),
        }
    }

    /// The kind its values are compared as.
    pub(crate) fn kind(&self) -> FieldKind {
        match self {
            Bound::Field { source: Source::ObjectName, .. } => FieldKind::String,
            Bound::Field { .. } => self.leaf().map_or(FieldKind::AnyType, |field| field.kind),
            Bound::Parent { targets, .. } => {
                targets.first().map_or(FieldKind::AnyType, |(_, bound)| bound.kind())
            }
        }
    }

    /// The place of a stored field of the record itself.
    pub(crate) fn own_field(&self) -> Option<usize> {
        match self {
            Bound::Field { field, .. } => Some(*field),
            Bound::Parent { .. } => None,
        }
    }
}

/// One column of the result, nested as the JSON is.
#[derive(Debug, Clone)]
pub(crate) enum Column {
    /// A field.
    Field {
        /// API name.
        name: String,
        /// Place.
        field: usize,
        /// Where its value comes from.
        source: Source,
    },
    /// A parent record.
    Parent {
        /// Relationship name.
        name: String,
        /// Place of the lookup field.
        lookup: usize,
        /// The columns for each kind of parent.
        targets: Vec<(Arc<ObjectDef>, Vec<Column>)>,
    },
}

/// A key of ORDER BY.
#[derive(Debug, Clone)]
pub(crate) struct SortBy {
    /// The field.
    pub bound: Bound,
    /// Largest first.
    pub descending: bool,
    /// Nulls at the end.
    pub nulls_last: bool,
}

/// What a query gives back.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// The number of records.
    Count,
    /// Records with these columns.
    Records(Vec<Column>),
    /// Groups of records.
    Groups(Grouping),
}

/// A query that can run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Of which object.
    pub object: Arc<ObjectDef>,
    /// What comes back.
    pub shape: Shape,
    /// The columns one by one, as they were named; none of groups.
    pub selected: Vec<(String, Bound)>,
    /// What records must fulfil.
    pub filter: Option<Filter>,
    /// In which order; none is by id.
    pub sort: Vec<SortBy>,
    /// How many at most.
    pub limit: Option<u64>,
    /// How many are left out first.
    pub offset: u64,
    /// Deleted records too.
    pub all_rows: bool,
}

/// Binds a query. `text` is what it was parsed from, for the places in errors;
/// `today` is the day date literals are reckoned from, in days since 1970.
///
/// # Errors
/// `INVALID_TYPE`, `INVALID_FIELD` and what else is wrong with the names and
/// values.
pub(crate) fn bind(
    query: &Query,
    text: &str,
    catalogue: &Catalogue,
    today: i32,
) -> Result<Plan, SoqlError> {
    let binder = Binder { text, catalogue, today };
    let object = catalogue.object(&query.object).filter(|object| object.queryable);
    let object = object.ok_or_else(|| {
        let what = format!(
            "sObject type '{}' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names.",
            query.object
        );
        SoqlError::at("INVALID_TYPE", text, query.object_at, &what)
    })?;
    if query.offset > MAX_OFFSET {
        return Err(SoqlError::plain(
            "NUMBER_OUTSIDE_VALID_RANGE",
            "Maximum SOQL offset allowed is 2000",
        ));
    }
    let filter = match &query.condition {
        Some(condition) => Some(Filter::bind(condition, object, &binder)?),
        None => None,
    };
    let grouped = !query.group_by.is_empty()
        || matches!(&query.select, Select::Items(items)
            if items.iter().any(|item| matches!(item, SelectItem::Aggregate { .. })));
    let mut selected = Vec::new();
    let (shape, sort) = match &query.select {
        Select::Count if grouped => {
            return Err(SoqlError::plain(
                "MALFORMED_QUERY",
                "COUNT() cannot be used with GROUP BY; name a field: COUNT(Id)",
            ));
        }
        Select::Count => (Shape::Count, Vec::new()),
        Select::Items(items) if grouped => {
            (Shape::Groups(Grouping::bind(items, query, object, &binder)?), Vec::new())
        }
        Select::Items(items) => (
            Shape::Records(binder.columns(items, object, &mut selected)?),
            query
                .order_by
                .iter()
                .map(|order| binder.sort_by(order, object))
                .collect::<Result<_, _>>()?,
        ),
    };
    Ok(Plan {
        object: Arc::clone(object),
        shape,
        selected,
        filter,
        sort,
        limit: query.limit,
        offset: query.offset,
        all_rows: query.all_rows,
    })
}

/// What binding needs to know.
pub(super) struct Binder<'a> {
    pub(super) text: &'a str,
    pub(super) catalogue: &'a Catalogue,
    pub(super) today: i32,
}

impl Binder<'_> {
    /// An error about a path.
    pub(super) fn refuse(&self, path: &Path, what: &str) -> SoqlError {
        SoqlError::at("INVALID_FIELD", self.text, path.at, what)
    }

    /// Binds a path to fields of `object` and its parents.
    pub(super) fn path(&self, path: &Path, object: &Arc<ObjectDef>) -> Result<Bound, SoqlError> {
        if path.names.len() > MAX_HOPS + 1 {
            return Err(
                self.refuse(path, "SOQL statements can only go up 5 levels of relationships")
            );
        }
        let mut names: &[String] = &path.names;
        // `SELECT Account.Name FROM Account` names the object itself first.
        if let [first, rest @ ..] = names
            && !rest.is_empty()
            && first.eq_ignore_ascii_case(&object.name)
            && object.relationship(first).is_none()
        {
            names = rest;
        }
        self.names(names, object, path)
    }

    fn names(
        &self,
        names: &[String],
        object: &Arc<ObjectDef>,
        path: &Path,
    ) -> Result<Bound, SoqlError> {
        let (name, rest) = names.split_first().ok_or_else(|| self.refuse(path, "empty path"))?;
        if rest.is_empty() {
            let (field, def) =
                object.field(name).ok_or_else(|| self.no_column(name, object, path))?;
            let source = source_of(object, field, def);
            return Ok(Bound::Field { object: Arc::clone(object), field, source });
        }
        let (lookup, def) = object.relationship(name).ok_or_else(|| {
            self.refuse(
                path,
                &format!("Didn't understand relationship '{name}' in field path. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names."),
            )
        })?;
        let mut targets = Vec::new();
        let mut refusal = None;
        for target in def.reference_to.iter().filter_map(|name| self.catalogue.object(name)) {
            // `Owner.Type` of a polymorphic lookup tells the parent's object.
            let object_name =
                def.polymorphic() && rest.len() == 1 && rest[0].eq_ignore_ascii_case("Type");
            if object_name {
                let source = Source::ObjectName;
                targets.push((
                    Arc::clone(target),
                    Bound::Field { object: Arc::clone(target), field: 0, source },
                ));
                continue;
            }
            match self.names(rest, target, path) {
                Ok(bound) => targets.push((Arc::clone(target), bound)),
                Err(error) => refusal = Some(error),
            }
        }
        match (targets.is_empty(), refusal) {
            (true, Some(error)) => Err(error),
            (true, None) => Err(self.no_column(name, object, path)),
            (false, _) => Ok(Bound::Parent { lookup, targets }),
        }
    }

    fn no_column(&self, name: &str, object: &ObjectDef, path: &Path) -> SoqlError {
        self.refuse(
            path,
            &format!(
                "No such column '{name}' on entity '{}'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.",
                object.name
            ),
        )
    }

    fn columns(
        &self,
        items: &[SelectItem],
        object: &Arc<ObjectDef>,
        selected: &mut Vec<(String, Bound)>,
    ) -> Result<Vec<Column>, SoqlError> {
        let mut columns = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        for item in items {
            let SelectItem::Field { path, alias } = item else { continue };
            if let Some(alias) = alias {
                return Err(self.refuse(
                    path,
                    &format!("only aggregate expressions use field aliasing: '{alias}'"),
                ));
            }
            let text = path.text().to_ascii_lowercase();
            if seen.contains(&text) {
                return Err(
                    self.refuse(path, &format!("duplicate field selected: {}", path.text()))
                );
            }
            seen.push(text);
            let bound = self.path(path, object)?;
            add_column(&mut columns, &bound, object);
            selected.push((path.text(), bound));
        }
        Ok(columns)
    }

    /// A path that records may be ordered by.
    pub(super) fn sortable(
        &self,
        path: &Path,
        object: &Arc<ObjectDef>,
    ) -> Result<Bound, SoqlError> {
        let bound = self.path(path, object)?;
        let sortable = bound.leaf().is_some_and(FieldDef::filterable)
            && bound.kind() != FieldKind::MultiPicklist;
        if sortable {
            return Ok(bound);
        }
        Err(self
            .refuse(path, &format!("field '{}' can not be sorted in a query call", path.text())))
    }

    fn sort_by(&self, order: &OrderBy, object: &Arc<ObjectDef>) -> Result<SortBy, SoqlError> {
        let SelectItem::Field { path, .. } = &order.key else {
            return Err(SoqlError::plain(
                "MALFORMED_QUERY",
                "aggregates in ORDER BY need a GROUP BY",
            ));
        };
        let bound = self.sortable(path, object)?;
        Ok(SortBy { bound, descending: order.descending, nulls_last: order.nulls_last })
    }
}

fn source_of(object: &ObjectDef, field: usize, def: &FieldDef) -> Source {
    if object.is_person_name(def) {
        let part = |name: &str| object.field(name).map(|(at, _)| at);
        return Source::PersonName { first: part("FirstName"), last: part("LastName") };
    }
    if def.kind.is_compound() {
        let prefix = def.name.strip_suffix("Address").unwrap_or_default();
        return Source::Compound(
            object
                .parts_of(&def.name)
                .map(|(at, part)| {
                    let name = part.name.strip_prefix(prefix).unwrap_or(&part.name);
                    let mut letters = name.chars();
                    let first = letters.next().map(|c| c.to_ascii_lowercase());
                    (first.into_iter().chain(letters).collect(), at)
                })
                .collect(),
        );
    }
    Source::Stored(field)
}

/// Puts a bound path where it belongs in the tree of columns.
fn add_column(columns: &mut Vec<Column>, bound: &Bound, object: &ObjectDef) {
    match bound {
        Bound::Field { field, source, .. } => {
            let name = match source {
                Source::ObjectName => "Type".to_owned(),
                _ => object.fields.get(*field).map(|f| f.name.clone()).unwrap_or_default(),
            };
            columns.push(Column::Field { name, field: *field, source: source.clone() });
        }
        Bound::Parent { lookup: at, targets: bounds } => {
            let known = columns
                .iter()
                .position(|column| matches!(column, Column::Parent { lookup, .. } if lookup == at));
            let place = known.unwrap_or_else(|| {
                let name = object
                    .fields
                    .get(*at)
                    .and_then(|field| field.relationship_name.clone())
                    .unwrap_or_default();
                columns.push(Column::Parent { name, lookup: *at, targets: Vec::new() });
                columns.len() - 1
            });
            let Some(Column::Parent { targets, .. }) = columns.get_mut(place) else { return };
            for (target, bound) in bounds {
                let known = targets.iter().position(|(object, _)| object.name == target.name);
                let slot = known.unwrap_or_else(|| {
                    targets.push((Arc::clone(target), Vec::new()));
                    targets.len() - 1
                });
                if let Some((_, inner)) = targets.get_mut(slot) {
                    add_column(inner, bound, target);
                }
            }
        }
    }
}
