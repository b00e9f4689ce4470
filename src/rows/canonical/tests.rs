//! What counts as equal, and what must not.

use proptest::prelude::*;

use super::*;

const TEXT: ValueKind = ValueKind::Text { case_sensitive: false };
const CASED: ValueKind = ValueKind::Text { case_sensitive: true };

const KINDS: [ValueKind; 9] = [
    TEXT,
    CASED,
    ValueKind::Id,
    ValueKind::Number,
    ValueKind::Boolean,
    ValueKind::Date,
    ValueKind::DateTime,
    ValueKind::Time,
    ValueKind::MultiPicklist,
];

fn canonical(kind: ValueKind, cell: &str) -> Vec<u8> {
    canonical_form(kind, cell.as_bytes(), &mut Vec::new()).to_vec()
}

fn key(kind: ValueKind, exactness: KeyExactness, cell: &str) -> Vec<u8> {
    key_form(kind, exactness, cell.as_bytes(), &mut Vec::new()).to_vec()
}

#[track_caller]
fn all_equal(kind: ValueKind, cells: &[&str]) {
    for cell in cells {
        assert_eq!(canonical(kind, cell), canonical(kind, cells[0]), "{cell:?} and {:?}", cells[0]);
    }
}

#[track_caller]
fn all_differ(kind: ValueKind, cells: &[&str]) {
    for (at, one) in cells.iter().enumerate() {
        for other in &cells[at + 1..] {
            assert_ne!(canonical(kind, one), canonical(kind, other), "{one:?} and {other:?}");
        }
    }
}

#[test]
fn numbers_are_compared_by_value() {
    all_equal(ValueKind::Number, &["10000000", "1.0E7", "1e7", "10000000.0", "+1e+7", " 1.0E7 "]);
    all_equal(ValueKind::Number, &["0", "-0", "0.0", "-0.0", "0E5"]);
    all_equal(ValueKind::Number, &["-12.5", "-1.25E1", "-0012.50"]);
    all_equal(ValueKind::Number, &["123456789012345678", "1.23456789012345677E17"]);
    all_differ(
        ValueKind::Number,
        &["1", "10", "-1", "0.1", "1,000", "1000", "inf", "nan", "1e999"],
    );
}

#[test]
fn booleans_are_compared_by_meaning() {
    all_equal(ValueKind::Boolean, &["true", "TRUE", "True", "1", " true"]);
    all_equal(ValueKind::Boolean, &["false", "0", "FALSE"]);
    all_differ(ValueKind::Boolean, &["true", "false", "yes", "no", ""]);
}

#[test]
fn datetimes_are_compared_to_the_second_in_utc() {
    all_equal(
        ValueKind::DateTime,
        &[
            "2026-04-16T19:00:00.000Z",
            "2026-04-16T19:00:00Z",
            "2026-04-16T19:00:00.999Z",
            "2026-04-16T19:00:00.000+0000",
            "2026-04-16T20:00:00+01:00",
            "2026-04-17T00:30:00+0530",
            "2026-04-16T09:00:00-10",
            "2026-04-16T19:00:00",
        ],
    );
    all_equal(
        ValueKind::DateTime,
        &["2026-01-01", "2026-01-01T00:00:00Z", "2025-12-31T23:00:00-01:00"],
    );
    all_differ(
        ValueKind::DateTime,
        &["2026-04-16T19:00:00Z", "2026-04-16T19:00:01Z", "2026-04-16T19:00:00+01:00"],
    );
    assert_eq!(moment::second(b"1970-01-02T00:00:01Z"), Some(86_401));
    assert_eq!(moment::second(b"2000-03-01T00:00:00Z"), Some(951_868_800));
    assert_eq!(moment::second(b"1969-12-31T23:59:59Z"), Some(-1));
    assert_eq!(moment::second(b"1700-01-01T00:00:00Z"), Some(-8_520_336_000));
}

#[test]
fn dates_that_do_not_exist_are_text() {
    for wrong in
        ["2026-02-29", "2026-13-01", "2026-00-10", "2026-04-31", "26-04-01", "2026/04/01", "x"]
    {
        assert_eq!(canonical(ValueKind::Date, wrong), wrong.as_bytes());
        assert_eq!(canonical(ValueKind::DateTime, wrong), wrong.as_bytes());
    }
    for wrong in [
        "2026-04-01T24:00:00Z",
        "2026-04-01T10:60:00Z",
        "2026-04-01T10:00:00X",
        "2026-04-01T10:00:00.Z",
        "2026-04-01T1:00",
        "2026-04-01T10:00:00+1",
    ] {
        assert_eq!(canonical(ValueKind::DateTime, wrong), wrong.as_bytes());
    }
    assert!(moment::date(b"2024-02-29").is_some());
    assert!(moment::date(b"2000-02-29").is_some());
    assert!(moment::date(b"1900-02-29").is_none());
}

#[test]
fn dates_ignore_their_zone_and_times_of_day_keep_milliseconds() {
    all_equal(
        ValueKind::Date,
        &["1940-06-07", "1940-06-07Z", "1940-06-07+01:00", "1940-06-07T00:00:00.000Z"],
    );
    all_differ(ValueKind::Date, &["1940-06-07", "1940-06-08", "07.06.1940"]);
    all_equal(
        ValueKind::Time,
        &["13:30:00.000Z", "13:30:00Z", "13:30:00", "13:30", "13:30:00.000"],
    );
    all_differ(ValueKind::Time, &["13:30:00.000Z", "13:30:00.001Z", "13:30:01Z", "1:30 pm"]);
}

#[test]
fn multi_select_picklists_are_sets() {
    all_equal(ValueKind::MultiPicklist, &["A;B;C", "C;B;A", "A; B ;C", "A;A;C;B", ";A;B;;C;"]);
    all_equal(ValueKind::MultiPicklist, &["", "#N/A", ";", " ; "]);
    all_differ(ValueKind::MultiPicklist, &["A;B", "A", "AB", "a;B", "A;B;C"]);
    let many: Vec<String> = (0..300).map(|n| format!("w{n:03}")).collect();
    let reversed: Vec<String> = many.iter().rev().cloned().collect();
    all_equal(ValueKind::MultiPicklist, &[&many.join(";"), &reversed.join(";")]);
}

#[test]
fn ids_are_compared_by_fifteen_characters_with_case_restored() {
    all_equal(
        ValueKind::Id,
        &["0017Q00000AbCde", "0017Q00000AbCdeQAF", "0017q00000abcdeqaf", "0017Q00000ABCDEQAF"],
    );
    all_differ(ValueKind::Id, &["0017Q00000AbCde", "0017Q00000AbCdE", "0017Q00000AbCdf", "x"]);
}

#[test]
fn text_is_compared_without_outer_blanks_and_with_one_kind_of_line_end() {
    all_equal(TEXT, &["a\nb", "a\r\nb", "a\rb", " a\nb\t", "a\r\nb\r\n"]);
    all_equal(TEXT, &["", "#N/A", "  "]);
    all_differ(TEXT, &["a\nb", "a\n\nb", "A\nb", "ab", "a b", "#n/a"]);
    assert_eq!(canonical(TEXT, "a\r\r\nb\r"), b"a\n\nb");
}

#[test]
fn a_value_never_equals_a_text_that_does_not_read_as_its_kind() {
    // The form of the number 1 as a text would have to hold a byte no UTF-8 holds.
    assert_eq!(canonical(ValueKind::Number, "1")[0], 0xFF);
    assert_ne!(canonical(ValueKind::Boolean, "1"), canonical(ValueKind::Number, "1"));
    assert_eq!(canonical(ValueKind::Number, "n/a"), b"n/a");
}

#[test]
fn keys_are_exact_first_and_folded_second() {
    use KeyExactness::{Exact, Folded};
    assert_eq!(key(TEXT, Exact, " Ab "), b" Ab ");
    assert_eq!(key(TEXT, Folded, " Ab "), b"ab");
    assert_eq!(key(CASED, Folded, " Ab "), b" Ab ");
    assert_eq!(key(TEXT, Folded, "STRAßE-ÄÖ"), "straße-äö".as_bytes());
    assert_eq!(key(TEXT, Folded, "ΣΑΣ"), key(TEXT, Folded, "σασ"));
    for exactness in [Exact, Folded] {
        assert_eq!(key(TEXT, exactness, "#N/A"), b"");
        assert_eq!(key(TEXT, exactness, ""), b"");
        assert_eq!(
            key(ValueKind::Number, exactness, "10000000"),
            key(ValueKind::Number, exactness, "1.0E7")
        );
    }
}

/// A number as Java writes a double: the rendering the org is known for.
fn java(value: f64) -> String {
    let text = format!("{value:E}");
    let (mantissa, exponent) = text.split_once('E').unwrap();
    let mantissa =
        if mantissa.contains('.') { mantissa.to_owned() } else { format!("{mantissa}.0") };
    let exponent: i32 = exponent.parse().unwrap();
    if (-3..7).contains(&exponent) {
        let plain = format!("{value}");
        if plain.contains('.') { plain } else { format!("{plain}.0") }
    } else {
        format!("{mantissa}E{exponent}")
    }
}

#[test]
fn the_java_rendering_is_right() {
    assert_eq!(java(45_800_000.0), "4.58E7");
    assert_eq!(java(10_000_000.0), "1.0E7");
    assert_eq!(java(9_999_999.0), "9999999.0");
    assert_eq!(java(0.00025), "2.5E-4");
    assert_eq!(java(0.025), "0.025");
}

proptest! {
    #[test]
    fn the_hash_is_that_of_the_form(
        cell in "[ -~\r\n;äé#]{0,24}",
        at in 0..KINDS.len(),
    ) {
        let kind = KINDS[at];
        prop_assert_eq!(canonical_hash(kind, cell.as_bytes()), xxh3_64(&canonical(kind, &cell)));
        for exactness in [KeyExactness::Exact, KeyExactness::Folded] {
            prop_assert_eq!(
                key_hash(kind, exactness, cell.as_bytes()),
                xxh3_64(&key(kind, exactness, &cell))
            );
        }
    }

    #[test]
    fn a_number_survives_being_rendered_by_java(whole in any::<i64>(), scale in 0usize..6) {
        let digits = format!("{:0>7}", whole.unsigned_abs());
        let (left, right) = digits.split_at(digits.len() - scale);
        let sign = if whole < 0 { "-" } else { "" };
        let sent = format!("{sign}{left}.{right}0");
        let returned = java(sent.parse().unwrap());
        prop_assert_eq!(canonical(ValueKind::Number, &sent), canonical(ValueKind::Number, &returned));
    }

    #[test]
    fn different_doubles_differ(one in any::<f64>(), other in any::<f64>()) {
        prop_assume!(one.is_finite() && other.is_finite());
        prop_assert_eq!(
            (one - other) == 0.0,
            canonical(ValueKind::Number, &java(one)) == canonical(ValueKind::Number, &java(other))
        );
    }

    #[test]
    fn a_datetime_is_the_same_in_every_zone(
        at in -4_000_000_000i64..4_000_000_000,
        minutes in -14 * 60i64..=14 * 60,
        millis in 0u32..1000,
    ) {
        let utc = jiff::Timestamp::from_second(at).unwrap();
        let offset = jiff::tz::Offset::from_seconds(i32::try_from(minutes * 60).unwrap()).unwrap();
        let local = offset.to_datetime(utc);
        let sign = if minutes < 0 { '-' } else { '+' };
        let away = minutes.abs();
        let text = format!(
            "{}.{millis:03}{sign}{:02}:{:02}",
            local.strftime("%Y-%m-%dT%H:%M:%S"), away / 60, away % 60
        );
        prop_assert_eq!(moment::second(text.as_bytes()), Some(at));
    }

    #[test]
    fn multi_select_order_does_not_matter(
        mut words in prop::collection::vec("[A-C]{1,2}", 1..8),
        by in 0usize..8,
    ) {
        let sent = words.join(";");
        let by = by % words.len();
        words.rotate_left(by);
        let kind = ValueKind::MultiPicklist;
        prop_assert_eq!(canonical(kind, &sent), canonical(kind, &words.join("; ")));
    }

    #[test]
    fn no_cell_breaks_it(cell in prop::collection::vec(any::<u8>(), 0..40), at in 0..KINDS.len()) {
        let kind = KINDS[at];
        let once = canonical_form(kind, &cell, &mut Vec::new()).to_vec();
        let folded = key_form(kind, KeyExactness::Folded, &cell, &mut Vec::new()).to_vec();
        prop_assert!(once.len() <= cell.len().max(15) + 10);
        prop_assert!(folded.len() <= cell.len() * 3 + 10);
    }
}
