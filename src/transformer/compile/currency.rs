//! `--currency`: the same currency for every row.

use super::Compiler;
use crate::mapping::{Origin, Recipe, WhenEmpty};
use crate::transformer::Problem;
use crate::transformer::plan::{PlannedColumn, Treatment};
use crate::transformer::relationship::list;

/// The field that orgs with several currencies have.
const FIELD: &str = "CurrencyIsoCode";

impl Compiler<'_> {
    /// Adds the column that says it.
    pub(super) fn set_currency(&mut self) {
        let Some(currency) = self.spec.currency else { return };
        match self.currency(currency) {
            Ok(column) => self.columns.push(column),
            Err(problem) => self.problem(problem),
        }
    }

    fn currency(&self, currency: &str) -> Result<PlannedColumn, Problem> {
        let (object, operation) = (self.spec.object, self.spec.operation);
        if operation.deletes() {
            return Err(Problem::new(format!("--currency does not go with {operation}")));
        }
        let Some(field) = object.field(FIELD) else {
            return Err(Problem::new(format!(
                "--currency: {} has no field {FIELD} that this user may see",
                object.name
            ))
            .hint("an org with one currency has no such field; leave the flag out"));
        };
        if !self.is_writable(field) {
            return Err(Problem::new(format!(
                "--currency: this user may not set {}.{FIELD}",
                object.name
            )));
        }
        if let Some(column) = self.columns.iter().find(|column| column.field == FIELD) {
            return Err(Problem::new(format!(
                "--currency: `{}` sets {}.{FIELD} already",
                column.name, object.name
            ))
            .hint("leave the flag out, or the column"));
        }
        let active: Vec<&str> = field
            .picklist_values
            .iter()
            .filter(|value| value.active)
            .map(|value| value.value.as_str())
            .collect();
        let known = active.iter().find(|code| code.eq_ignore_ascii_case(currency));
        let code = match known {
            Some(code) => (*code).to_owned(),
            None if active.is_empty() => currency.to_owned(),
            None => {
                return Err(Problem::new(format!(
                    "--currency: the org has no active currency `{currency}`"
                ))
                .hint(format!("it has {}", list(active.into_iter()))));
            }
        };
        Ok(PlannedColumn {
            source: None,
            name: FIELD.to_owned(),
            header: FIELD.to_owned(),
            field: FIELD.to_owned(),
            kind: field.value_kind(),
            treatment: Treatment::Pass,
            recipe: Some(Recipe {
                origin: Origin::Constant(code),
                steps: Vec::new(),
                empty: WhenEmpty::AsAsked,
            }),
        })
    }
}
