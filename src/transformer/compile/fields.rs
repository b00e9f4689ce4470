//! One column against the field it is to set.

use super::Compiler;
use super::asked::{Asked, leave_out};
use crate::domain::nearest_field;
use crate::domain::{Field, FieldType, Operation, ValueKind};
use crate::transformer::Problem;
use crate::transformer::plan::{PlannedColumn, Treatment};
use crate::transformer::relationship::list;

impl Compiler<'_> {
    pub(super) fn resolve_field(
        &mut self,
        asked: &Asked<'_>,
        name: &str,
        external_id: Option<&Field>,
    ) -> Option<PlannedColumn> {
        let (object, operation) = (self.spec.object, self.spec.operation);
        let place = asked.place.as_str();
        let planned = |header: &str, kind, treatment| PlannedColumn {
            source: asked.at,
            name: asked.column.to_owned(),
            header: header.to_owned(),
            field: header.to_owned(),
            kind,
            treatment,
            recipe: None,
        };
        if name.eq_ignore_ascii_case("Id") {
            let by_id = external_id.is_some_and(|field| field.name == "Id");
            let problem = match operation {
                Operation::Insert => {
                    Problem::new(format!("{place}: an insert can't have an Id, the org gives it"))
                }
                Operation::Upsert if !by_id && self.spec.external_id.is_some() => Problem::new(
                    format!("{place}: an upsert by another field can't have an Id as well"),
                ),
                _ => return Some(planned("Id", ValueKind::Id, Treatment::Pass)),
            };
            self.problem(problem.hint(asked.leave_out()));
            return None;
        }
        let Some(field) = object.field_ignoring_case(name) else {
            self.problem(self.unknown_field(asked, name));
            return None;
        };
        let is_key = external_id.is_some_and(|key| key.name == field.name);
        let kind = field.value_kind();
        let treatment = match kind {
            ValueKind::Boolean => Treatment::Boolean,
            ValueKind::Number if is_key => Treatment::NumericKey,
            _ => Treatment::Pass,
        };
        self.check_writable(asked, field, is_key).then(|| planned(&field.name, kind, treatment))
    }

    pub(super) fn unknown_field(&self, asked: &Asked<'_>, name: &str) -> Problem {
        let object = self.spec.object;
        let place = asked.unknown_place(name);
        let problem = Problem::new(format!(
            "{place}: {} has no field `{name}` that this user may see",
            object.name
        ));
        let near = nearest_field(object, name, |field| self.is_writable(field));
        problem.hint(asked.unknown_hint(near))
    }

    pub(super) fn is_writable(&self, field: &Field) -> bool {
        match self.spec.operation {
            Operation::Insert | Operation::Upsert => field.createable,
            Operation::Update => field.updateable,
            Operation::Delete | Operation::HardDelete => false,
        }
    }

    /// Whether values may be sent to a field; says why not.
    pub(super) fn check_writable(
        &mut self,
        asked: &Asked<'_>,
        field: &Field,
        is_key: bool,
    ) -> bool {
        let object = self.spec.object;
        let name = format!("{}.{}", object.name, field.name);
        let (place, out) = (asked.place.as_str(), asked.leave_out());
        if field.field_type == FieldType::Base64 {
            self.problem(
                Problem::new(format!(
                    "{place}: {name} holds binary content, which Bulk API 2.0 does not \
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
                    "{place}: {name} is made of other fields and can't be written itself"
                ))
                .hint(hint),
            );
            return false;
        }
        if !writable && !is_key {
            self.problem(self.not_writable(asked, field).hint(out));
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

    pub(super) fn not_writable(&self, asked: &Asked<'_>, field: &Field) -> Problem {
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
        Problem::new(format!("{}: {name} {why}", asked.place))
    }

    /// Whether an earlier column sets the same field; says so.
    pub(super) fn is_taken(&mut self, planned: &PlannedColumn) -> bool {
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
}
