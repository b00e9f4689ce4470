//! What a mapping looks up in the org: checked against describe, and asked.
//!
//! A query runs once, before the start. Its pages are taken one by one into the
//! table, so that no more than the table is held.

use super::compiling::Described;
use super::estimate::{Allowance, reserved};
use super::preflight::PreflightError;
use crate::domain::{ValueKind, error_chain, nearest_field};
use crate::mapping::{Answer, AskedTable, MOST_ASKED_RECORDS, Question};
use crate::report::format::count;
use crate::salesforce::{Org, QueryScope};
use crate::transformer::Problem;

/// Records of a page ("Query", REST API guide).
const RECORDS_PER_CALL: u64 = 2_000;

/// A question that the org can answer.
pub(super) struct Checked {
    question: Question,
    /// In the org's spelling.
    asked: AskedTable,
    ignore_case: bool,
    soql: String,
}

/// What came back.
pub(super) struct Asked {
    pub(super) answer: Answer,
    /// What a person is told of it.
    pub(super) note: String,
}

fn problem(question: &Question, message: &str) -> Problem {
    Problem { message: format!("{}: {message}", question.place), hint: None }
}

/// Holds a question against describe; `loaded` is the object that is loaded.
pub(super) async fn check(
    question: Question,
    loaded: &str,
    described: &mut Described<'_>,
) -> Result<Result<Checked, Vec<Problem>>, PreflightError> {
    let mut asked = question.asked.clone();
    let Some(object) = described.find(&asked.object).await?.cloned() else {
        let message = format!("the org has no object `{}` that this user may see", asked.object);
        let near = described.nearest(&asked.object).await?;
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        return Ok(Err(vec![Problem { hint, ..problem(&question, &message) }]));
    };
    asked.object.clone_from(&object.name);
    let mut problems = Vec::new();
    let mut tells_case = false;
    let mut ids = Vec::new();
    let keys = asked.keys.iter_mut().map(|key| (key, true));
    for (at, (name, is_key)) in keys.chain([(&mut asked.value, false)]).enumerate() {
        // Of a parent's field the org itself says what is wrong.
        if name.contains('.') {
            continue;
        }
        let Some(field) = object.field_ignoring_case(name) else {
            let message = format!("{} has no field `{name}` that this user may see", object.name);
            let near = nearest_field(&object, name, |_| true);
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            problems.push(Problem { hint, ..problem(&question, &message) });
            continue;
        };
        name.clone_from(&field.name);
        if !is_key {
            continue;
        }
        match field.value_kind() {
            ValueKind::Text { case_sensitive } => tells_case |= case_sensitive,
            ValueKind::Id => {
                tells_case = true;
                ids.push(at);
            }
            ValueKind::Boolean | ValueKind::Date => {}
            ValueKind::Number
            | ValueKind::DateTime
            | ValueKind::Time
            | ValueKind::MultiPicklist => {
                let message = format!(
                    "records can't be found by {}.{}: its values are written in several ways",
                    object.name, field.name
                );
                let hint = "look up by a text, an id or a day".to_owned();
                problems.push(Problem { hint: Some(hint), ..problem(&question, &message) });
            }
        }
    }
    if !problems.is_empty() {
        return Ok(Err(problems));
    }
    asked.id_keys = ids;
    let ignore_case = asked.ignore_case.unwrap_or(!tells_case);
    let soql = asked.soql(loaded);
    Ok(Ok(Checked { question, asked, ignore_case, soql }))
}

/// Asks the org; what the user can mend is a [`Problem`].
pub(super) async fn ask(
    checked: Checked,
    org: &Org,
    reserve: u8,
) -> Result<Result<Asked, Problem>, PreflightError> {
    let Checked { question, asked, ignore_case, soql } = checked;
    let too_many = |what: String| Problem {
        hint: Some(
            "narrow it with `where`, or send the key itself under the name of the parent's \
             external id"
                .to_owned(),
        ),
        ..problem(&question, &what)
    };
    let mut answer = Answer::new(&question, asked.clone(), ignore_case);
    let mut pages = org.query(&soql, QueryScope::Live);
    let (mut calls, mut records) = (0_u64, 0_u64);
    loop {
        let page = match pages.next_page().await {
            Ok(Some(page)) => page,
            Ok(None) => break,
            // What is wrong with the query only the org can tell.
            Err(error) if calls == 0 && error.status == Some(400) => {
                let message = format!("the org refuses `{soql}`: {}", error_chain(&error));
                return Ok(Err(problem(&question, &message)));
            }
            Err(error) => return Err(error.into()),
        };
        calls += 1;
        if calls == 1 {
            if page.total > MOST_ASKED_RECORDS {
                let most = MOST_ASKED_RECORDS;
                let what = format!("`{soql}` finds {} records, more than {most}", page.total);
                return Ok(Err(too_many(what)));
            }
            refuse_beyond_allowance(org, page.total, reserve)?;
        }
        for record in &page.records {
            records += 1;
            let keys: Vec<String> =
                asked.keys.iter().map(|key| record.cell(key)).collect::<Result<_, _>>()?;
            if let Err(error) = answer.add(&keys, &record.cell(&asked.value)?) {
                return Ok(Err(too_many(format!("`{soql}`: {error}"))));
            }
        }
    }
    let note = format!(
        "{}: {} from {} of {}, looked up in the org once ({})",
        question.place,
        count(answer.keys(), "key"),
        count(records, "record"),
        asked.object,
        count(calls, "API call"),
    );
    Ok(Ok(Asked { answer, note }))
}

/// Refuses a lookup whose pages would take more calls than the org grants (I9).
fn refuse_beyond_allowance(org: &Org, total: u64, reserve: u8) -> Result<(), PreflightError> {
    let needed = total.div_ceil(RECORDS_PER_CALL).saturating_sub(1);
    let Some((used, max)) = org.usage().daily_calls else { return Ok(()) };
    let remaining = max.saturating_sub(used).saturating_sub(reserved(max, reserve));
    if needed > remaining {
        let allowance = Allowance { of: "API calls", needed, remaining };
        return Err(PreflightError::Allowance { allowance });
    }
    Ok(())
}
