//! Reading and showing values.

use proptest::prelude::*;

use super::number::{parse_double, write_double};
use super::*;
use crate::local_org::catalogue::Catalogue;

/// A field of an object made for these tests.
fn field(definition: &str) -> FieldDef {
    let text = format!(
        r#"{{"name":"Thing__c","label":"Thing","keyPrefix":"a99","fields":[{{"name":"Name","type":"string","nameField":true}},{definition}]}}"#
    );
    let catalogue = Catalogue::from_texts(&[("test".to_owned(), text)]).unwrap();
    catalogue.object("Thing__c").unwrap().fields.last().unwrap().clone()
}

fn error_of(field: &FieldDef, cell: &str) -> String {
    Value::parse(field, cell).unwrap_err().to_string()
}

fn java(number: f64) -> String {
    let mut out = Vec::new();
    write_double(&mut out, number);
    String::from_utf8(out).unwrap()
}

#[test]
fn doubles_look_like_java() {
    for (number, text) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (23.0, "23.0"),
        (100.0, "100.0"),
        (45_800_000.0, "4.58E7"),
        (10_000_000.0, "1.0E7"),
        (9_999_999.0, "9999999.0"),
        (9_999_999.99, "9999999.99"),
        (0.001, "0.001"),
        (0.000_999, "9.99E-4"),
        (-12_345_678.9, "-1.23456789E7"),
        (4.2e13, "4.2E13"),
        (1e100, "1.0E100"),
    ] {
        assert_eq!(java(number), text);
    }
}

#[test]
fn numbers_are_read_strictly() {
    let number = field(r#"{"name":"N__c","type":"double","precision":6,"scale":2}"#);
    for (text, value) in
        [("1.5E3", 1500.0), ("-12.25", -12.25), (".5", 0.5), ("5.", 5.0), ("+7", 7.0)]
    {
        assert_eq!(Value::parse(&number, text).unwrap(), Value::Number(value), "{text}");
    }
    for text in ["1,000", "1 000", "abc", "", "-", ".", "1e", "NaN", "inf", "0x10", " 1", "1.2.3"] {
        assert!(error_of(&number, text).starts_with("INVALID_TYPE_ON_FIELD_IN_RECORD:"), "{text}");
    }
    assert_eq!(
        error_of(&number, "10000"),
        "NUMBER_OUTSIDE_VALID_RANGE:N: value outside of valid range on numeric field: 10000:N__c --"
    );
    assert!(Value::parse(&number, "9999.99").is_ok());
    assert!(error_of(&number, "1e400").starts_with("NUMBER_OUTSIDE_VALID_RANGE"));

    let int = field(r#"{"name":"I__c","type":"int","digits":8}"#);
    assert_eq!(Value::parse(&int, "10000000").unwrap().bulk_text(), "10000000");
    assert!(error_of(&int, "12.0").starts_with("INVALID_TYPE_ON_FIELD_IN_RECORD:"));
    assert!(error_of(&int, "123456789").starts_with("NUMBER_OUTSIDE_VALID_RANGE:"));
    assert!(error_of(&int, "99999999999999999999").starts_with("NUMBER_OUTSIDE_VALID_RANGE:"));
}

#[test]
fn texts_have_a_length_in_characters() {
    let text = field(r#"{"name":"T__c","type":"string","length":5}"#);
    assert_eq!(Value::parse(&text, "äöüßé").unwrap(), Value::Text("äöüßé".to_owned()));
    assert_eq!(
        error_of(&text, "abcdef"),
        "STRING_TOO_LONG:T: data value too large: abcdef (max length=5):T__c --"
    );
    assert_eq!(Value::parse(&text, "  x ").unwrap(), Value::Text("  x ".to_owned()), "not trimmed");
}

#[test]
fn picklists_and_mail_addresses() {
    let one = field(
        r#"{"name":"P__c","type":"picklist","restrictedPicklist":true,"picklistValues":["Hot","Cold"]}"#,
    );
    assert!(Value::parse(&one, "Hot").is_ok());
    assert_eq!(
        error_of(&one, "Warm"),
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:P: bad value for restricted picklist field: Warm:P__c --"
    );
    let many = field(
        r#"{"name":"M__c","type":"multipicklist","length":400,"restrictedPicklist":true,"picklistValues":["A","B","C"]}"#,
    );
    assert_eq!(Value::parse(&many, "C; A;C").unwrap().bulk_text(), "A;C");
    assert!(error_of(&many, "A;X").contains("picklist field: X"));
    let mail = field(r#"{"name":"E__c","type":"email"}"#);
    for good in ["a@b.co", "first.last+tag@example.com"] {
        assert!(Value::parse(&mail, good).is_ok(), "{good}");
    }
    for bad in ["a@b", "a.b.co", "a@@b.co", "a b@c.de", "@b.co", "a@.co", "a@b.", "a,b@c.de"] {
        assert!(error_of(&mail, bad).starts_with("INVALID_EMAIL_ADDRESS:"), "{bad}");
    }
}

#[test]
fn booleans() {
    let boolean = field(r#"{"name":"B__c","type":"boolean"}"#);
    for (text, truth) in [
        ("true", true),
        ("TRUE", true),
        ("1", true),
        ("false", false),
        ("0", false),
        ("yes", false),
    ] {
        assert_eq!(Value::parse(&boolean, text).unwrap(), Value::Bool(truth), "{text}");
    }
    let strict = ParseRules { other_words_are_false: false, ..ParseRules::default() };
    assert!(parse(&boolean, "yes", strict).is_err());
    assert_eq!(Value::<String>::Null.json(&boolean), serde_json::json!(false));
}

#[test]
fn dates_instants_and_times() {
    let date = field(r#"{"name":"D__c","type":"date"}"#);
    assert_eq!(Value::parse(&date, "1970-01-01").unwrap(), Value::Date(0));
    assert_eq!(Value::parse(&date, "1940-06-07Z").unwrap().bulk_text(), "1940-06-07");
    for bad in [
        "2021-02-29",
        "2020-13-01",
        "20200101",
        "01/02/2020",
        "2020-1-1",
        "1699-12-31",
        "2020-01-01T00:00:00Z",
    ] {
        assert!(Value::parse(&date, bad).is_err(), "{bad}");
    }
    let strict = ParseRules { dates_with_offset: false, ..ParseRules::default() };
    assert!(parse(&date, "1940-06-07Z", strict).is_err());

    let instant = field(r#"{"name":"I__c","type":"datetime"}"#);
    for (text, shown) in [
        ("2026-04-16T19:00:00Z", "2026-04-16T19:00:00.000Z"),
        ("2026-04-16T19:00:00.789Z", "2026-04-16T19:00:00.000Z"),
        ("2026-04-16T00:30:00+02:00", "2026-04-15T22:30:00.000Z"),
        ("1969-12-31T23:59:59.500Z", "1969-12-31T23:59:59.000Z"),
    ] {
        assert_eq!(Value::parse(&instant, text).unwrap().bulk_text(), shown);
    }
    for bad in [
        "2026-04-16T19:00:00",
        "2026-04-16 19:00:00Z",
        "2026-04-16",
        "2026-04-16T24:00:00Z",
        "2026-04-16T19:00:00+0000",
    ] {
        assert!(Value::parse(&instant, bad).is_err(), "{bad}");
    }
    let value = Value::parse(&instant, "2026-04-16T19:00:00Z").unwrap();
    assert_eq!(value.json(&instant), serde_json::json!("2026-04-16T19:00:00.000+0000"));

    let time = field(r#"{"name":"T__c","type":"time"}"#);
    assert_eq!(Value::parse(&time, "08:15:30.250Z").unwrap().bulk_text(), "08:15:30.250Z");
    assert!(Value::parse(&time, "8:15").is_err());
}

#[test]
fn ids() {
    let lookup = field(r#"{"name":"L__c","type":"reference","referenceTo":["Account"]}"#);
    assert_eq!(error_of(&lookup, "123"), "MALFORMED_ID:L: bad id 123:L__c --");
    assert_eq!(Value::parse(&lookup, "0017Q00000AbCde").unwrap().bulk_text(), "0017Q00000AbCdeQAF");
}

#[test]
fn whole_doubles_are_whole_in_json() {
    let number = field(r#"{"name":"N__c","type":"double"}"#);
    assert_eq!(Value::<String>::Number(23.0).json(&number), serde_json::json!(23));
    assert_eq!(Value::<String>::Number(0.5).json(&number), serde_json::json!(0.5));
}

#[test]
fn errors_without_fields_end_in_dashes() {
    assert_eq!(
        RowError::invalid_reference().to_string(),
        "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"
    );
}

proptest! {
    #[test]
    fn rendered_doubles_read_back(number in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
        let text = java(number);
        prop_assert_eq!(parse_double(&text).map(f64::to_bits), Some(number.to_bits()));
        let size = number.abs();
        prop_assert_eq!(text.contains('E'), size != 0.0 && !(1e-3..1e7).contains(&size));
        prop_assert!(text.split('E').next().unwrap().contains('.'));
    }

    #[test]
    fn every_day_reads_back(days in -98_000_i32..741_000) {
        let mut out = Vec::new();
        temporal::write_date(&mut out, days);
        let text = String::from_utf8(out).unwrap();
        prop_assert_eq!(temporal::parse_date(&text, false), Some(days), "{}", text);
    }

    #[test]
    fn reading_never_panics(cell in "\\PC{0,40}") {
        for definition in [
            r#"{"name":"D__c","type":"date"}"#,
            r#"{"name":"D__c","type":"datetime"}"#,
            r#"{"name":"D__c","type":"time"}"#,
            r#"{"name":"D__c","type":"int"}"#,
            r#"{"name":"D__c","type":"email"}"#,
        ] {
            let _ = Value::parse(&field(definition), &cell);
        }
    }
}
