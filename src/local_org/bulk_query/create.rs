//! The create request (protocol notes, sections 5.1 and 5.3): which bodies make
//! a job, which queries Bulk refuses, and what it says then.

use std::collections::BTreeMap;

use super::job::{JobSpec, Operation};
use crate::local_org::catalogue::{Catalogue, FieldKind, ObjectDef};
use crate::local_org::errors::ApiError;
use crate::local_org::jobs::request::{Creator, dialect, invalid_job, object_of, text, word};
use crate::local_org::settings::Settings;
use crate::local_org::soql::ast::{Query, Select, SelectItem};
use crate::local_org::soql::lexer::{Spot, Token, words};
use crate::local_org::soql::plan::{self, Bound, Plan, Source};
use crate::local_org::soql::{self, SoqlError, run};

/// The first version whose columns come in the order of the SELECT.
const ORDERED_SINCE: u32 = 50;

/// Standard objects whose records the service reads in parallel parts.
const PK_CHUNKED: [&str; 9] = [
    "Account",
    "Campaign",
    "CampaignMember",
    "Case",
    "Contact",
    "Lead",
    "Opportunity",
    "Task",
    "User",
];

/// Reads the body of a create request.
///
/// # Errors
/// 400 with the code that fits: `JSON_PARSER_ERROR`, `API_ERROR`,
/// `INVALIDJOB`, `INVALIDENTITY`, or that of the SOQL error.
pub(crate) fn read(
    body: &[u8],
    creator: Creator,
    catalogue: &Catalogue,
    settings: &Settings,
) -> Result<JobSpec, ApiError> {
    const KNOWN: [&str; 5] = ["operation", "query", "contentType", "columnDelimiter", "lineEnding"];
    let fields = object_of(body, &KNOWN)?;
    if let Err(error) = serde_json::from_slice::<BTreeMap<String, Option<String>>>(body) {
        return Err(api_error(format!(
            "Value does not match expected type at [line:{}, column:{}]",
            error.line(),
            error.column()
        )));
    }
    let (delimiter, line_ending) = dialect(&fields)?;
    let operation: Operation =
        word(&fields, "operation")?.ok_or_else(|| invalid_job("No operation specified"))?;
    let query = text(&fields, "query")?.ok_or_else(|| invalid_job("No query specified"))?;
    let plan = plan_of(query, creator.now_ms, catalogue)?;
    refuse_columns(&plan, settings)?;
    Ok(JobSpec {
        query: query.to_owned(),
        operation,
        object: plan.object.name.clone(),
        columns: columns(&plan, &creator.version).iter().map(|(name, _)| name.clone()).collect(),
        delimiter,
        line_ending,
        pk_chunking: plan.object.custom || PK_CHUNKED.contains(&plan.object.name.as_str()),
        created_by: creator.user,
        created_ms: creator.now_ms,
        version: creator.version,
    })
}

/// The plan of a query that Bulk runs; dates are reckoned from the day of
/// `created_ms`.
///
/// # Errors
/// 400 when the query is wrong or Bulk refuses it.
pub(crate) fn plan_of(
    text: &str,
    created_ms: i64,
    catalogue: &Catalogue,
) -> Result<Plan, ApiError> {
    let refused = |error: SoqlError| ApiError::bad_request(error.code, error.message);
    refuse_words(&words(text).map_err(refused)?)?;
    let query = soql::parse(text).map_err(refused)?;
    refuse_clauses(&query)?;
    if let Some(object) = catalogue.object(&query.object) {
        refuse_object(object)?;
    }
    plan::bind(&query, text, catalogue, run::today(created_ms)).map_err(refused)
}

/// The columns of results in their order, with the names they have there.
pub(crate) fn columns<'p>(plan: &'p Plan, version: &str) -> Vec<&'p (String, Bound)> {
    let mut columns: Vec<_> = plan.selected.iter().collect();
    let number = version.split('.').next().and_then(|digits| digits.parse().ok());
    if number.is_some_and(|number: u32| number < ORDERED_SINCE) {
        columns.sort_by_key(|(name, _)| name.to_ascii_lowercase());
    }
    columns
}

fn api_error(message: impl Into<String>) -> ApiError {
    ApiError::bad_request("API_ERROR", message)
}

fn not_in_bulk(what: &str) -> ApiError {
    api_error(format!("Implementation restriction: {what} is not supported in Bulk Query"))
}

/// Refuses what the parser of this org doesn't speak but SOQL does.
fn refuse_words(spots: &[Spot]) -> Result<(), ApiError> {
    let sign = |at: usize, sign: &str| matches!(spots.get(at), Some(Spot { token: Token::Sign(found), .. }) if *found == sign);
    let is = |at: usize, word: &str| spots.get(at).is_some_and(|spot| spot.token.is(word));
    let mut depth = 0_usize;
    let mut selecting = true;
    for at in 0..spots.len() {
        if sign(at, "(") {
            depth += 1;
            if selecting && is(at + 1, "SELECT") {
                return Err(api_error("Aggregate Relationships not supported in Bulk Query"));
            }
        } else if sign(at, ")") {
            depth = depth.saturating_sub(1);
        }
        selecting &= !(depth == 0 && is(at, "FROM"));
        if selecting && is(at, "TYPEOF") && !sign(at + 1, ",") && !is(at + 1, "FROM") {
            return Err(not_in_bulk("TYPEOF"));
        }
        if selecting && is(at, "FIELDS") && sign(at + 1, "(") {
            return Err(not_in_bulk("FIELDS()"));
        }
        if !selecting && is(at, "GROUP") && is(at + 1, "BY") {
            return Err(not_in_bulk("GROUP BY"));
        }
    }
    Ok(())
}

fn refuse_clauses(query: &Query) -> Result<(), ApiError> {
    let aggregates = match &query.select {
        Select::Count => true,
        Select::Items(items) => {
            items.iter().any(|item| matches!(item, SelectItem::Aggregate { .. }))
        }
    };
    if aggregates {
        return Err(not_in_bulk("an aggregate function"));
    }
    if query.offset > 0 {
        return Err(not_in_bulk("OFFSET"));
    }
    if query.all_rows {
        let message = "ALL ROWS not allowed in this context";
        return Err(ApiError::bad_request("MALFORMED_QUERY", message));
    }
    Ok(())
}

fn refuse_object(object: &ObjectDef) -> Result<(), ApiError> {
    if !object.queryable {
        return Err(api_error(format!("entity type {} does not support query", object.name)));
    }
    if !object.bulk_queryable {
        return Err(ApiError::bad_request(
            "INVALIDENTITY",
            format!("Entity '{}' is not supported by the Bulk API.", object.name),
        ));
    }
    Ok(())
}

fn refuse_columns(plan: &Plan, settings: &Settings) -> Result<(), ApiError> {
    for (name, bound) in &plan.selected {
        let kind = bound.kind();
        let person = !settings.query_person_names && is_person_name(bound);
        if kind.is_compound() || person {
            return Err(api_error(format!(
                "Selecting compound data not supported in Bulk Query: {name}"
            )));
        }
        if kind == FieldKind::Base64 {
            return Err(api_error(format!("Binary field not supported: {name}")));
        }
    }
    Ok(())
}

fn is_person_name(bound: &Bound) -> bool {
    match bound {
        Bound::Field { source, .. } => matches!(source, Source::PersonName { .. }),
        Bound::Parent { targets, .. } => targets.iter().any(|(_, bound)| is_person_name(bound)),
    }
}
