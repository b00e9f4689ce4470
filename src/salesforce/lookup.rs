//! Records found by their keys, many at a time: how the fate of disputed rows
//! is asked for.
//!
//! A call is a query with as many keys as its URL holds ("API request limits":
//! 16,384 bytes of URI and headers), which keeps it far below what SOQL itself
//! allows (100,000 characters, "SOQL and SOSL limits"). A key is written as the
//! kind of its field wants it: text in quotes, all else bare.
//!
//! Keys that no record can have are left out: empty ones, and those that don't
//! read as their kind, whose row the org has refused.

use std::collections::HashSet;

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

use super::encode;
use super::error::{CallError, Happened, Kind};
use super::org::Org;
use super::query::QueryScope;
use super::record::{FieldValue, Record};
use crate::domain::{RecordId, ValueKind};

/// Bytes of a path with its query. What is left of the 16,384 is for the
/// headers, among them a token that can be as long as 2,000 bytes and more.
const MAX_PATH: usize = 12_000;

/// Room for what stands before the query in a path.
const PATH_HEAD: usize = "/services/data/v100.0/queryAll/?q=".len();

/// Characters a text in a WHERE clause may have ("SOQL and SOSL limits"). The
/// fields that can be filtered by hold fewer, so no record has such a key.
const MAX_TEXT: usize = 4_000;

/// The largest whole number that SOQL reads without a decimal point.
const MAX_WHOLE: f64 = i32::MAX as f64;

/// What is asked of the records.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a> {
    /// API name of the object.
    pub object: &'a str,
    /// The fields that are wanted, `Account.Legacy_Id__c` among them. With
    /// hundreds of fields there is room for few keys in a call.
    pub fields: &'a [&'a str],
    /// The field (or a parent's) by which records are found.
    pub key_field: &'a str,
    /// How its values are compared.
    pub kind: ValueKind,
    /// Whether deleted records count.
    pub scope: QueryScope,
}

/// A record that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecord {
    /// Its id.
    pub id: RecordId,
    /// Its value of the key field, as the text of a cell.
    pub key: String,
    /// Its values of the wanted fields, in their order, as the text of a cell:
    /// empty for null, datetimes in the form of the REST API.
    pub cells: Vec<String>,
}

impl Org {
    /// Finds the records that have one of these keys, in no certain order. A
    /// multi-select picklist finds those that hold all words of a key, and
    /// others besides; texts are found whatever their letter case, unless the
    /// field tells case apart. So compare the keys of what comes back.
    ///
    /// All that is found is kept in memory: give some thousand keys at a time.
    ///
    /// # Errors
    /// Any [`CallError`]; `INVALID_FIELD` when the key field can't be filtered
    /// by. Of a part of the keys nothing is known then.
    pub async fn find_records(
        &self,
        lookup: &Lookup<'_>,
        keys: &[impl AsRef<str>],
    ) -> Result<Vec<FoundRecord>, CallError> {
        let mut found = Vec::new();
        for statement in statements(lookup, keys) {
            let mut pages = self.query(&statement, lookup.scope);
            while let Some(page) = pages.next_page().await? {
                for record in page.records {
                    let id = record.cell("Id")?.parse().map_err(|_| lacks_a_field())?;
                    let key = record.cell(lookup.key_field)?;
                    let cells = lookup.fields.iter().map(|field| record.cell(field));
                    found.push(FoundRecord { id, key, cells: cells.collect::<Result<_, _>>()? });
                }
            }
        }
        Ok(found)
    }
}

impl Record {
    /// The value at a dotted path, as the text of a cell.
    ///
    /// # Errors
    /// [`CallError`] for one that is not there: a value that is missing is not
    /// one that is empty.
    pub fn cell(&self, path: &str) -> Result<String, CallError> {
        self.at(path).map(FieldValue::cell).ok_or_else(lacks_a_field)
    }
}

fn lacks_a_field() -> CallError {
    CallError::new("look up records", Kind::Reply, Happened::Maybe)
        .message("a record lacks a field that was asked for")
}

/// How many calls [`Org::find_records`] takes, for the allowance (I9); one more
/// for every 2,000 records that share a call's keys.
pub fn lookup_calls(lookup: &Lookup<'_>, keys: &[impl AsRef<str>]) -> u64 {
    statements(lookup, keys).count() as u64
}

/// The statements that ask for all keys, each made when it is wanted.
fn statements<'a>(
    lookup: &'a Lookup<'a>,
    keys: &'a [impl AsRef<str>],
) -> impl Iterator<Item = String> + 'a {
    let head = head(lookup);
    let room = MAX_PATH.saturating_sub(PATH_HEAD + encode(&head).len() + encode(")").len());
    let mut seen = HashSet::new();
    let mut literals = keys
        .iter()
        .filter_map(|key| literal(lookup.kind, key.as_ref()))
        .filter(move |literal| seen.insert(literal.clone()))
        .peekable();
    let comma = encode(",").len();
    std::iter::from_fn(move || {
        let mut statement = format!("{head}{}", literals.next()?);
        let mut length = encode(&statement[head.len()..]).len();
        while let Some(literal) = literals.next_if(|next| {
            let longer = length + comma + encode(next).len();
            let fits = longer <= room;
            if fits {
                length = longer;
            }
            fits
        }) {
            statement.push(',');
            statement.push_str(&literal);
        }
        statement.push(')');
        Some(statement)
    })
}

/// The statement up to its first key.
fn head(lookup: &Lookup<'_>) -> String {
    // A field named twice is refused.
    let mut fields = vec!["Id"];
    for field in lookup.fields.iter().chain([&lookup.key_field]) {
        if !fields.iter().any(|known| known.eq_ignore_ascii_case(field)) {
            fields.push(field);
        }
    }
    let operator = match lookup.kind {
        ValueKind::MultiPicklist => "INCLUDES",
        _ => "IN",
    };
    format!(
        "SELECT {} FROM {} WHERE {} {operator} (",
        fields.join(","),
        lookup.object,
        lookup.key_field
    )
}

/// A key as SOQL writes it; `None` if no record can have it.
fn literal(kind: ValueKind, key: &str) -> Option<String> {
    let key = key.trim();
    if key.is_empty() || key == "#N/A" {
        return None;
    }
    match kind {
        ValueKind::Text { .. } | ValueKind::MultiPicklist => text(key),
        ValueKind::Id => RecordId::parse(key.as_bytes()).ok().map(|id| format!("'{id}'")),
        ValueKind::Number => number(key),
        ValueKind::Boolean => match key {
            "1" => Some("true".to_owned()),
            "0" => Some("false".to_owned()),
            _ => {
                let word = key.to_ascii_lowercase();
                matches!(word.as_str(), "true" | "false").then_some(word)
            }
        },
        ValueKind::Date => {
            let day: civil::Date = extended_day(key)?.parse().ok()?;
            Some(day.to_string())
        }
        ValueKind::DateTime => {
            let moment = moment(key)?;
            Some(moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        }
        ValueKind::Time => {
            let time: civil::Time = key.trim_end_matches(['Z', 'z']).parse().ok()?;
            let (hour, minute, second) = (time.hour(), time.minute(), time.second());
            Some(format!("{hour:02}:{minute:02}:{second:02}.{:03}Z", time.millisecond()))
        }
    }
}

/// A text in quotes ("Quoted string escape sequences", SOQL reference). `%` and
/// `_` mean something to LIKE alone.
fn text(key: &str) -> Option<String> {
    use std::fmt::Write as _;
    if key.chars().count() > MAX_TEXT {
        return None;
    }
    let mut out = String::with_capacity(key.len() + 2);
    out.push('\'');
    for letter in key.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            letter if u32::from(letter) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('\'');
    Some(out)
}

/// A number without an exponent. SOQL takes a whole number for one of 32 bits,
/// and reads larger ones only with a decimal point.
fn number(key: &str) -> Option<String> {
    if !key.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')) {
        return None;
    }
    let value: f64 = key.parse().ok()?;
    if !value.is_finite() {
        return None;
    }
    // Adding zero makes -0 into 0.
    let value = value + 0.0;
    let point = if value.fract() == 0.0 && value.abs() > MAX_WHOLE { ".0" } else { "" };
    Some(format!("{value}{point}"))
}

/// The `yyyy-MM-dd` that a date begins with; what is behind it doesn't count.
fn extended_day(key: &str) -> Option<&str> {
    let day = key.get(..10)?;
    let is_extended = day.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    is_extended.then_some(day)
}

/// An instant; one without an offset is in UTC, as the service reads it.
fn moment(key: &str) -> Option<Timestamp> {
    extended_day(key)?;
    if let Ok(moment) = key.parse() {
        return Some(moment);
    }
    let local: civil::DateTime = key.parse().ok()?;
    TimeZone::UTC.to_timestamp(local).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scripted::{ORG_ID, ScriptedOrg, json};
    use super::*;
    use crate::domain::NoEvents;

    const TEXT: ValueKind = ValueKind::Text { case_sensitive: false };

    const BY_TEXT: Lookup<'_> = Lookup {
        object: "Account",
        fields: &["Name", "Parent.Legacy_Id__c"],
        key_field: "Legacy_Id__c",
        kind: TEXT,
        scope: QueryScope::Live,
    };

    #[test]
    fn keys_are_written_as_their_kind_wants_it() {
        let table = [
            (TEXT, "A-1", "'A-1'"),
            (TEXT, " A-1 ", "'A-1'"),
            (TEXT, r"O'Neil \ 100% a_b", r"'O\'Neil \\ 100% a_b'"),
            (TEXT, "a\r\n\tb\u{1}ü😀", r"'a\r\n\tb\u0001ü😀'"),
            (ValueKind::Id, "0017q00000abcdeqaf", "'0017Q00000AbCdeQAF'"),
            (ValueKind::Id, "0017Q00000AbCde", "'0017Q00000AbCdeQAF'"),
            (ValueKind::Number, "1.0E7", "10000000"),
            (ValueKind::Number, "4.58E10", "45800000000.0"),
            (ValueKind::Number, "-2147483648", "-2147483648.0"),
            (ValueKind::Number, "2147483647", "2147483647"),
            (ValueKind::Number, "+0012.50", "12.5"),
            (ValueKind::Number, "-0", "0"),
            (ValueKind::Boolean, "TRUE", "true"),
            (ValueKind::Boolean, "0", "false"),
            (ValueKind::Date, "1940-06-07Z", "1940-06-07"),
            (ValueKind::Date, "2026-04-16", "2026-04-16"),
            (ValueKind::DateTime, "2026-04-16T19:00:00.250+01:00", "2026-04-16T18:00:00Z"),
            (ValueKind::DateTime, "2026-04-16T19:00:00.000+0000", "2026-04-16T19:00:00Z"),
            (ValueKind::DateTime, "2026-04-16 19:00:00", "2026-04-16T19:00:00Z"),
            (ValueKind::DateTime, "2026-04-16", "2026-04-16T00:00:00Z"),
            (ValueKind::Time, "13:30:00Z", "13:30:00.000Z"),
            (ValueKind::Time, "13:30:00.25", "13:30:00.250Z"),
            (ValueKind::MultiPicklist, "a;b's", r"'a;b\'s'"),
        ];
        for (kind, key, expected) in table {
            assert_eq!(literal(kind, key).as_deref(), Some(expected), "{kind:?} {key}");
        }
    }

    #[test]
    fn a_key_that_no_record_can_have_is_left_out() {
        let long = "x".repeat(MAX_TEXT + 1);
        for (kind, key) in [
            (TEXT, ""),
            (TEXT, "  "),
            (TEXT, "#N/A"),
            (TEXT, long.as_str()),
            (ValueKind::Id, "0017Q"),
            (ValueKind::Id, "0017Q00000AbCd'"),
            (ValueKind::Number, "inf"),
            (ValueKind::Number, "1,000"),
            (ValueKind::Number, "1e999"),
            (ValueKind::Boolean, "yes"),
            (ValueKind::Date, "16.04.2026"),
            (ValueKind::Date, "2026-02-30"),
            (ValueKind::Date, "20260416"),
            (ValueKind::DateTime, "soon"),
            (ValueKind::Time, "noon"),
        ] {
            assert_eq!(literal(kind, key), None, "{kind:?} {key}");
        }
    }

    #[test]
    fn fields_are_named_once() {
        let lookup = Lookup {
            fields: &["id", "Name", "LEGACY_ID__C"],
            kind: ValueKind::MultiPicklist,
            ..BY_TEXT
        };
        assert_eq!(
            statements(&lookup, &["a;b", "c", "c"]).collect::<Vec<_>>(),
            ["SELECT Id,Name,LEGACY_ID__C FROM Account WHERE Legacy_Id__c INCLUDES ('a;b','c')"]
        );
        assert_eq!(lookup_calls(&lookup, &["", "#N/A"]), 0);
    }

    proptest! {
        #[test]
        fn every_key_is_asked_for_once_in_urls_that_fit(
            keys in prop::collection::vec("[a-z0-9 '\\\\%ü😀]{0,60}", 0..600),
        ) {
            let mut wanted: Vec<String> = keys.iter().filter_map(|key| literal(TEXT, key)).collect();
            wanted.sort();
            wanted.dedup();
            let mut asked = Vec::new();
            for statement in statements(&BY_TEXT, &keys) {
                prop_assert!(PATH_HEAD + encode(&statement).len() <= MAX_PATH);
                let list = statement.split_once("IN (").unwrap().1.strip_suffix(')').unwrap();
                // No key of these holds a comma.
                asked.extend(list.split(',').map(str::to_owned));
            }
            asked.sort();
            prop_assert_eq!(asked, wanted);
        }
    }

    #[tokio::test]
    async fn pages_are_followed_and_nulls_are_empty() {
        let id = "0017Q00000AbCdeQAF";
        let scripted = ScriptedOrg::start(move |request| match request.path.as_str() {
            path if path.contains("/queryAll/?q=") => Some(json(
                200,
                &format!(
                    r#"{{"totalSize":2,"done":false,"records":[{{"Id":"{id}","Name":"Zoë",
                    "Parent":{{"Legacy_Id__c":"P"}},"Legacy_Id__c":"A"}}],
                    "nextRecordsUrl":"/services/data/v66.0/query/01g-1"}}"#
                ),
            )),
            "/services/data/v66.0/query/01g-1" => Some(json(
                200,
                &format!(
                    r#"{{"totalSize":2,"done":true,"records":[{{"Id":"{id}","Name":null,
                    "Parent":null,"Legacy_Id__c":"B"}}]}}"#
                ),
            )),
            _ => None,
        })
        .await;
        let org = scripted.connect(std::sync::Arc::new(NoEvents)).await;
        let lookup = Lookup { scope: QueryScope::All, ..BY_TEXT };
        let found = org.find_records(&lookup, &["A", "B"]).await.unwrap();
        let id: RecordId = id.parse().unwrap();
        let record = |key: &str, cells: [&str; 2]| FoundRecord {
            id,
            key: key.to_owned(),
            cells: cells.map(str::to_owned).to_vec(),
        };
        assert_eq!(found, [record("A", ["Zoë", "P"]), record("B", ["", ""])]);
        assert_eq!(scripted.count("query"), 3, "one of them is for the org's identity");
    }

    #[tokio::test]
    async fn a_field_that_is_missing_is_no_empty_field() {
        let scripted = ScriptedOrg::start(|request| {
            let record = format!(r#"{{"Id":"{ORG_ID}","Name":"Acme","Legacy_Id__c":"A"}}"#);
            let reply = format!(r#"{{"totalSize":1,"done":true,"records":[{record}]}}"#);
            request.path.contains("FROM%20Account").then(|| json(200, &reply))
        })
        .await;
        let org = scripted.connect(std::sync::Arc::new(NoEvents)).await;
        let refused = org.find_records(&BY_TEXT, &["A"]).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Reply);
    }
}
