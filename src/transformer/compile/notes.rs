//! What new records lack, and what will happen though nobody asked for it.

use super::Compiler;
use crate::domain::{ColumnDelimiter, Operation};
use crate::rows::Dialect;
use crate::transformer::Problem;
use crate::transformer::relationship::list;

impl Compiler<'_> {
    /// Whether new records get all the values they need.
    pub(super) fn check_required(&mut self) {
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
                .hint(match self.spec.mapping {
                    Some(_) => self.add_hint(missing[0], "Column"),
                    None => format!("say which column holds it: --map 'Column={}'", missing[0]),
                }),
            );
        } else {
            self.notes.push(format!(
                "new {} records need {names}, which no column sets: rows that match no record will \
                 fail",
                object.name
            ));
        }
    }

    /// What a person should know before the start.
    pub(super) fn note_what_happens(
        &mut self,
        key: Option<usize>,
        user_keys: &[usize],
        dialect: Dialect,
    ) {
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
