//! The org asked about values, many at a time and within the allowance.

use std::collections::{BTreeMap, HashMap};

use super::CheckError;
use super::columns::{Question, Target};
use crate::checker::{Answers, AskedKey, CheckRule, Gathered, Purpose};
use crate::domain::ValueKind;
use crate::pipeline::Prepared;
use crate::pipeline::estimate::reserved;
use crate::pipeline::preflight::blocking;
use crate::rows::{KeyExactness, key_hash};
use crate::salesforce::{CallError, Limits, Lookup, Org, QueryScope, lookup_calls};

/// Values asked for at a time; some calls' worth.
const AT_A_TIME: usize = 5_000;

/// Values that break a rule which are kept, about 32 bytes each (I6).
const MOST_ANSWERS: usize = 1 << 20;

/// Asks all questions.
pub(super) async fn all(
    prepared: &Prepared,
    questions: &[Question],
    gathered: &mut Gathered,
    answers: &mut Answers,
    notes: &mut Vec<String>,
) -> Result<(), CheckError> {
    let mut budget = budget(prepared);
    for (slot, question) in questions.iter().enumerate() {
        let mut keys = gathered.take_asked(slot);
        let mut seen = 0u64;
        loop {
            let (next, back) = blocking(move || (keys.next(AT_A_TIME), keys)).await?;
            keys = back;
            let next = next?;
            if next.is_empty() {
                break;
            }
            if answers.len() >= MOST_ANSWERS {
                notes.push(format!(
                    "{}: so many values are not in the org that no more were asked for",
                    question.label
                ));
                break;
            }
            match ask(&prepared.org, question, &next, &mut budget).await {
                Ok(Some(found)) => {
                    answers.extend(found.into_iter().map(|(hash, rule)| ((slot, hash), rule)));
                    seen += next.len() as u64;
                }
                Ok(None) => {
                    notes.push(format!(
                        "{}: only the first {seen} values were asked for; more calls would go over \
                         what the org grants",
                        question.label
                    ));
                    break;
                }
                Err(error) if error.is_untold() => {
                    let code = error.code.clone().unwrap_or_default();
                    notes.push(format!(
                        "{}: the org could not be asked whether they exist ({code})",
                        question.label
                    ));
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Calls that may be spent on questions, where that is known: what the org
/// still grants less what the load itself takes and what is left to others.
fn budget(prepared: &Prepared) -> Option<u64> {
    let calls = prepared.limits.as_ref().and_then(Limits::daily_api_requests);
    let (remaining, max) = match calls {
        Some(limit) => (limit.remaining, limit.max),
        None => {
            let (used, max) = prepared.org.usage().daily_calls?;
            (max.saturating_sub(used), max)
        }
    };
    let kept = reserved(max, prepared.request.reserve) + prepared.estimate.api_calls;
    Some(remaining.saturating_sub(kept))
}

/// The rule that each value breaks, where it breaks one; `None` where the calls
/// would be too many.
async fn ask(
    org: &Org,
    question: &Question,
    keys: &[AskedKey],
    budget: &mut Option<u64>,
) -> Result<Option<Vec<(u64, CheckRule)>>, CallError> {
    let mut broken = Vec::new();
    match &question.target {
        Target::Object { object, key } => {
            let keys: Vec<&AskedKey> = keys.iter().collect();
            let Some(found) = find(org, question, object, key, &keys, budget).await? else {
                return Ok(None);
            };
            broken.extend(judge(question, &keys, &found));
        }
        Target::ByPrefix(objects) => {
            let mut by_object: BTreeMap<&str, Vec<&AskedKey>> = BTreeMap::new();
            for key in keys {
                // Ids of other objects have been told by their form.
                if let Some(object) = key.value.get(..3).and_then(|prefix| objects.get(prefix)) {
                    by_object.entry(object).or_default().push(key);
                }
            }
            for (object, keys) in by_object {
                let Some(found) = find(org, question, object, "Id", &keys, budget).await? else {
                    return Ok(None);
                };
                broken.extend(judge(question, &keys, &found));
            }
        }
    }
    Ok(Some(broken))
}

/// What the org has of a value.
#[derive(Debug, Clone, Copy, Default)]
struct Has {
    records: u32,
    inactive: bool,
}

async fn find(
    org: &Org,
    question: &Question,
    object: &str,
    key: &str,
    keys: &[&AskedKey],
    budget: &mut Option<u64>,
) -> Result<Option<HashMap<u64, Has>>, CallError> {
    let asks_active = question.purpose == Purpose::Owner && object == "User";
    let fields: &[&str] = if asks_active { &["IsActive"] } else { &[] };
    let lookup =
        Lookup { object, fields, key_field: key, kind: question.kind, scope: QueryScope::Live };
    let values: Vec<&str> = keys.iter().map(|key| key.value.as_str()).collect();
    if let Some(left) = budget {
        let calls = lookup_calls(&lookup, &values);
        if calls > *left {
            return Ok(None);
        }
        *left -= calls;
    }
    let mut found: HashMap<u64, Has> = HashMap::new();
    for record in org.find_records(&lookup, &values).await? {
        let hash = key_hash(question.kind, KeyExactness::Folded, record.key.as_bytes());
        let has = found.entry(hash).or_default();
        has.records += 1;
        has.inactive |= asks_active && record.cells.first().is_some_and(|cell| cell == "false");
    }
    Ok(Some(found))
}

fn judge<'k>(
    question: &'k Question,
    keys: &'k [&'k AskedKey],
    found: &'k HashMap<u64, Has>,
) -> impl Iterator<Item = (u64, CheckRule)> + 'k {
    let is_id = question.kind == ValueKind::Id;
    keys.iter().filter_map(move |key| {
        let has = found.get(&key.hash).copied().unwrap_or_default();
        let rule = match (question.purpose, has.records) {
            (Purpose::Unique, 0) => return None,
            (Purpose::Unique, _) => CheckRule::ExistsAlready,
            (Purpose::New, 0) => CheckRule::Required,
            (Purpose::New, _) => return None,
            (Purpose::Record, 0) => CheckRule::MissingRecord,
            (Purpose::Record, _) => return None,
            (Purpose::Parent | Purpose::Owner, 0) if is_id => CheckRule::MissingParentId,
            (Purpose::Parent | Purpose::Owner, 0) => CheckRule::MissingParent,
            (Purpose::Parent | Purpose::Owner, 1) if has.inactive => CheckRule::InactiveOwner,
            (Purpose::Parent | Purpose::Owner, 1) => return None,
            (Purpose::Parent | Purpose::Owner, _) => CheckRule::AmbiguousParent,
        };
        Some((key.hash, rule))
    })
}
