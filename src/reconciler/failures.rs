//! `sf__Error` taken apart, and its message with the values masked, so that
//! failures can be counted by kind outside the result files (I8).
//!
//! The grammar is `STATUSCODE:message:fields --`, with `:--` for no fields;
//! the message may hold colons, commas and line breaks ("Get Job Failed Record
//! Results", Bulk API 2.0 guide, and what the service returns).

use crate::domain::RecordId;

/// The parts of an `sf__Error` text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError<'a> {
    /// The status code; [`RowError::UNKNOWN`] if the text has none.
    pub code: &'a str,
    /// The message. May hold row values.
    pub message: &'a str,
    /// API names of the fields concerned.
    pub fields: Vec<&'a str>,
}

impl<'a> RowError<'a> {
    /// Stands in for the code of a text that doesn't begin with one.
    pub const UNKNOWN: &'static str = "UNKNOWN";

    /// Takes a text apart. Never fails: what doesn't fit is message.
    pub fn parse(text: &'a str) -> Self {
        let coded = text.split_once(':').map(|(code, rest)| (code.trim_end(), rest));
        let coded = coded.filter(|(code, _)| !code.is_empty() && code.bytes().all(in_name));
        let (code, rest) = coded.unwrap_or((Self::UNKNOWN, text));
        let rest = rest.trim();
        let Some(body) = rest.strip_suffix("--").map(str::trim_end) else {
            return RowError { code, message: rest, fields: Vec::new() };
        };
        let (message, fields) = match body.rsplit_once(':') {
            Some((message, fields)) if fields.split(',').all(|name| is_name(name.trim())) => {
                (message, fields.split(',').map(str::trim).collect())
            }
            Some((message, "")) => (message, Vec::new()),
            _ => (body, Vec::new()),
        };
        RowError { code, message: message.trim(), fields }
    }

    /// The message with its values masked; see [`masked`].
    pub fn masked_message(&self) -> String {
        masked(self.message)
    }
}

/// The record that a `DUPLICATE_VALUE` error names as the one that has the
/// value already (`... duplicates value on record with id: 001...`). Of a row
/// that was sent before it may be the row's own record: ask for it before
/// calling the row failed.
///
/// `None` for any other error, and where the org names no record (it may not be
/// visible to this user, or both rows were of one save).
pub fn duplicate_of(text: &str) -> Option<RecordId> {
    let error = RowError::parse(text);
    if error.code != "DUPLICATE_VALUE" {
        return None;
    }
    let (_, behind) = error.message.rsplit_once("duplicates value on record with id:")?;
    let behind = behind.trim_start();
    let end = behind.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(behind.len());
    RecordId::parse(behind.get(..end)?.as_bytes()).ok()
}

fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether a text is an API name, or one of a related object's field.
fn is_name(text: &str) -> bool {
    text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && text.bytes().all(|byte| in_name(byte) || byte == b'.')
}

/// What stands where a value stood.
const MASK: &str = "…";

/// Messages of which is known where the values are. `{n}` are API names, `{l}`
/// is a field's label, `{#}` a limit; these stay. `{*}` is masked.
const SHAPES: &[&str] = &[
    "Required fields are missing: [{n}]",
    "Unable to create/update fields: {n}. Please check the security settings of this field and \
     verify that it is read/write for your profile or permission set.",
    "duplicate value found: {n} duplicates value on record with id: {*}",
    "Foreign key external ID: {*} not found for field {n} in entity {n}",
    "data value too large: {*} (max length={#})",
    "{l}: data value too large: {*} (max length={#})",
    "{l}: value not of required type: {*}",
    "{l}: bad value for restricted picklist field: {*}",
    "{l}: invalid email address: {*}",
    "{l}: more than one record found for external id field: {*}",
    "{l}: value outside of valid range on numeric field: {*}",
    "{l}: id value of incorrect type: {*}",
    "{l}: bad id {*}",
    "Duplicate external id specified: {*}",
    "bad id {*}",
];

/// A message with its values masked, for counting messages of one kind.
///
/// What stands behind a colon, in quotes or brackets, and every word with a
/// digit, `@` or another sign that prose doesn't have is taken for a value. A
/// message that an org's own code builds from a plain word without any of
/// these can't be told from prose and stays.
pub fn masked(message: &str) -> String {
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    SHAPES.iter().find_map(|shape| in_shape(shape, &message)).unwrap_or_else(|| in_prose(&message))
}

/// The message by a known shape, if it has it.
fn in_shape(shape: &str, message: &str) -> Option<String> {
    let Some((literal, rest)) = shape.split_once('{') else {
        return (shape == message).then(|| message.to_owned());
    };
    let message = message.strip_prefix(literal)?;
    let (place, rest) = rest.split_once('}')?;
    let next = rest.split('{').next().unwrap_or(rest);
    // A value may hold the words behind it, a name never does.
    let end = match (next.is_empty(), place) {
        (true, _) => message.len(),
        (false, "*") => message.rfind(next)?,
        (false, _) => message.find(next)?,
    };
    let (filling, behind) = message.split_at_checked(end)?;
    let shown = match place {
        "n" if filling.split(',').all(|name| is_name(name.trim())) => filling,
        "l" if is_label(filling) => filling,
        "#" if !filling.is_empty() && filling.bytes().all(|byte| byte.is_ascii_digit()) => filling,
        "*" => MASK,
        _ => return None,
    };
    Some(format!("{literal}{shown}{}", in_shape(rest, behind)?))
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 40
        && text.bytes().all(|byte| in_name(byte) || matches!(byte, b' ' | b'-' | b'(' | b')'))
}

fn in_prose(message: &str) -> String {
    let (head, rest) = message.split_once(':').unwrap_or((message, ""));
    let behind = if rest.trim().is_empty() { "" } else { ": …" };
    let mut head = head.to_owned();
    for (open, close) in
        [('"', '"'), ('“', '”'), ('‘', '’'), ('\'', '\''), ('[', ']'), ('<', '>'), ('(', ')')]
    {
        // The colon may be a part of the value that began before it.
        mask_between(&mut head, open, close, rest.contains(close));
    }
    let mut words: Vec<&str> = Vec::new();
    for word in head.split(' ') {
        let word = if is_prose(word) { word } else { MASK };
        if word != MASK || words.last() != Some(&MASK) {
            words.push(word);
        }
    }
    format!("{}{behind}", words.join(" "))
}

/// Masks from the first opening sign to the last closing one, since a value
/// may hold such signs itself; to the end if it is closed later or never.
fn mask_between(text: &mut String, open: char, close: char, is_closed_later: bool) {
    let opens = |at: usize| {
        // An apostrophe inside a word opens nothing.
        open != '\'' || at == 0 || text.get(..at).is_some_and(|before| before.ends_with([' ', '(']))
    };
    let Some(start) = text.match_indices(open).map(|(at, _)| at).find(|at| opens(*at)) else {
        return;
    };
    let inside = start + open.len_utf8();
    let end = text
        .rfind(close)
        .filter(|end| *end >= inside && !is_closed_later)
        .map_or(text.len(), |end| end + close.len_utf8());
    text.replace_range(start..end, MASK);
}

/// Whether a word is one of prose: letters, and what stands between and
/// behind words.
fn is_prose(word: &str) -> bool {
    let inner = word.trim_end_matches(['.', ',', ';', '!', '?']);
    word == MASK
        || (inner.len() <= 24
            && inner.chars().all(|letter| {
                letter.is_ascii_alphabetic() || matches!(letter, '\'' | '-' | '/' | '_')
            }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_error_is_taken_apart() {
        let error =
            RowError::parse("REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --");
        assert_eq!(error.code, "REQUIRED_FIELD_MISSING");
        assert_eq!(error.message, "Required fields are missing: [Name]");
        assert_eq!(error.fields, ["Name"]);
        let error = RowError::parse("FIELD_INTEGRITY_EXCEPTION:a, b: c:Product__c,Broker__c --");
        assert_eq!((error.message, error.fields.len()), ("a, b: c", 2));
        let error = RowError::parse("UNABLE_TO_LOCK_ROW:unable to lock: 0017Q00000AbCde:--");
        assert_eq!(error.message, "unable to lock: 0017Q00000AbCde");
        assert!(error.fields.is_empty());
        let error = RowError::parse("InvalidBatch : Field name not found : Foo__c");
        assert_eq!(error.code, "InvalidBatch");
        assert_eq!(RowError::parse("something odd").code, RowError::UNKNOWN);
        assert_eq!(RowError::parse("").message, "");
    }

    #[test]
    fn a_duplicate_names_the_record_that_was_first() {
        let found = |text: &str| duplicate_of(text).map(|id| id.to_string());
        let own = Some("0017Q00000AbCdeQAF".to_owned());
        for text in [
            "DUPLICATE_VALUE:duplicate value found: Ext__c duplicates value on record with id: \
             0017Q00000AbCde:--",
            "DUPLICATE_VALUE:duplicate value found: Ext__c duplicates value on record with id: \
             0017Q00000AbCdeQAF:Ext__c --",
            "DUPLICATE_VALUE:duplicate value found: Ext__c duplicates value on record with id: \
             0017q00000abcdeqaf.:--",
            "DUPLICATE_VALUE:duplicate value found: Ext__c duplicates value on record with \
             id:0017Q00000AbCde",
        ] {
            assert_eq!(found(text), own, "{text}");
        }
        for text in [
            "DUPLICATE_VALUE:duplicate value found: <unknown> duplicates value on record with id: \
             <unknown>:--",
            "DUPLICATE_VALUE:Duplicate external id specified: 0017Q00000AbCde:Ext__c --",
            "DUPLICATE_EXTERNAL_ID:Ext__c: duplicates value on record with id: 0017Q00000AbCde:--",
            "DUPLICATE_VALUE:duplicates value on record with id: 0017Q00000AbCde5AF:--",
            "",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn messages_of_one_kind_become_equal_and_stay_readable() {
        for (message, shown) in [
            (
                "Required fields are missing: [Name, Phone]",
                "Required fields are missing: [Name, Phone]",
            ),
            (
                "Foreign key external ID: 123 not found for field Legacy_Id__c in entity Account",
                "Foreign key external ID: … not found for field Legacy_Id__c in entity Account",
            ),
            (
                "Account Name: data value too large: Zzz (max length=80)",
                "Account Name: data value too large: … (max length=80)",
            ),
            ("invalid email address: nobody", "invalid email address: …"),
            ("bad id Meier", "bad id …"),
            ("No such column 'Meier's' on entity 'X'", "No such column …"),
            ("You can't do this before 2026-01-01, sorry.", "You can't do this before … sorry."),
            ("invalid cross reference id", "invalid cross reference id"),
            (
                "duplicate value found: Ext__c duplicates value on record with id: 001",
                "duplicate value found: Ext__c duplicates value on record with id: …",
            ),
        ] {
            assert_eq!(masked(message), shown);
        }
    }

    proptest! {
        /// Where the service puts values, none comes through. Each value holds
        /// `Zqx`, which no message has by itself.
        #[test]
        fn a_value_never_comes_through(
            before in "[ -~ä€“”\n]{0,12}",
            after in "[ -~ä€“”\n]{0,12}",
            shape in prop::sample::select(vec![
                "STRING_TOO_LONG:Account Name: data value too large: {} (max length=80):Name --",
                "STRING_TOO_LONG:data value too large: {} (max length=80):Name --",
                "INVALID_FIELD:Foreign key external ID: {} not found for field Ext__c in entity A:--",
                "DUPLICATE_VALUE:Duplicate external id specified: {}:Ext__c --",
                "DUPLICATE_VALUE:duplicate value found: Ext__c duplicates value on record with id: {}:--",
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:bad value for restricted picklist field: {}:Type --",
                "INVALID_EMAIL_ADDRESS:Email: invalid email address: {}:Email --",
                "MALFORMED_ID:bad id {}:--",
                "INVALID_TYPE_ON_FIELD_IN_RECORD:Amount: value not of required type: {}:Amount --",
                "FIELD_CUSTOM_VALIDATION_EXCEPTION:no customer \"{}\" in this region:--",
                "FIELD_CUSTOM_VALIDATION_EXCEPTION:no customer '{}' in this region:--",
                "DUPLICATE_EXTERNAL_ID:Ext__c: more than one record found for external id field: [{}]:--",
            ]),
        ) {
            let value = format!("{before}Zqx{after}");
            let text = shape.replace("{}", &value);
            let error = RowError::parse(&text);
            let masked = error.masked_message();
            prop_assert!(!masked.contains("Zqx"), "{} from {}", masked, text);
            prop_assert!(!error.code.contains("Zqx"));
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC{0,60}") {
            let error = RowError::parse(&text);
            let _ = error.masked_message();
            let _ = duplicate_of(&format!("DUPLICATE_VALUE:duplicates value on record with id:{text}"));
        }
    }
}
