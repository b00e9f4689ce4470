//! The text of a cell to its value.

use proptest::prelude::*;

use crate::exporter::Wrong;
use crate::exporter::text_file::plain_decimal;
use crate::exporter::value::{boolean, date, date_time, decimal, double, time, whole};

#[test]
fn numbers_come_as_the_text_of_a_double() {
    assert_eq!(double(b"23.0"), Ok(23.0));
    assert_eq!(double(b"4.2E13"), Ok(4.2e13));
    assert_eq!(double(b"1.0E-4"), Ok(0.0001));
    assert_eq!(double(b"-0.0").map(f64::to_bits), Ok((-0.0_f64).to_bits()));
    assert_eq!(double(b"9.99999999999999E14"), Ok(999_999_999_999_999.0));
    for wrong in ["", "inf", "NaN", "infinity", "1,5", "0x10", " 1", "1e", "--1"] {
        assert_eq!(double(wrong.as_bytes()), Err(Wrong::Number), "{wrong}");
    }
}

#[test]
fn decimals_are_exact_or_told() {
    assert_eq!(decimal(b"12.50", 2), Ok(1_250));
    assert_eq!(decimal(b"12.5", 4), Ok(125_000));
    assert_eq!(decimal(b"-1.2345E3", 1), Ok(-12_345));
    assert_eq!(decimal(b"1.0E7", 0), Ok(10_000_000));
    assert_eq!(decimal(b"1.0E-3", 3), Ok(1));
    assert_eq!(decimal(b"0.0E99", 2), Ok(0));
    assert_eq!(decimal(b"-0.0", 2), Ok(0));
    assert_eq!(decimal(b"100000000000000000000000000000000000.00", 0), Ok(10_i128.pow(35)));
    assert_eq!(decimal(b"12.345", 2), Err(Wrong::Fit), "never rounded");
    assert_eq!(decimal(b"1.0E-3", 2), Err(Wrong::Fit));
    assert_eq!(decimal(b"1.0E39", 0), Err(Wrong::Fit));
    assert_eq!(decimal(b"1E2147483647", 0), Err(Wrong::Fit));
    for wrong in ["", ".", "-", "1.2.3", "1E", "E5", "1e5x", "twelve", "1E99999999999"] {
        assert_eq!(decimal(wrong.as_bytes(), 2), Err(Wrong::Number), "{wrong}");
    }
}

#[test]
fn whole_numbers_may_come_as_doubles() {
    assert_eq!(whole(b"42"), Ok(42));
    assert_eq!(whole(b"42.0"), Ok(42));
    assert_eq!(whole(b"1.0E7"), Ok(10_000_000));
    assert_eq!(whole(b"9223372036854775807"), Ok(i64::MAX));
    assert_eq!(whole(b"-9223372036854775808"), Ok(i64::MIN));
    assert_eq!(whole(b"42.5"), Err(Wrong::Whole));
    assert_eq!(whole(b"9223372036854775808"), Err(Wrong::Whole));
}

#[test]
fn days_and_instants_far_away_are_read() {
    assert_eq!(date(b"1970-01-01"), Ok(0));
    assert_eq!(date(b"1969-12-31"), Ok(-1));
    assert_eq!(date(b"2024-02-29"), Ok(19_782));
    assert_eq!(date_time(b"1899-12-31T23:59:59.999Z"), Ok(-2_208_988_800_001));
    assert_eq!(date_time(b"2262-04-12T00:00:00.000Z"), Ok(9_223_372_800_000));
    assert_eq!(date_time(b"2026-04-16T19:00:00.000+0000"), Ok(1_776_366_000_000));
    assert_eq!(date_time(b"2026-04-16T21:00:00+02:00"), Ok(1_776_366_000_000));
    assert_eq!(time(b"23:59:59.5Z"), Ok(86_399_500));
    for wrong in
        ["2023-02-29", "2024-13-01", "2024-00-10", "2024-1-1", "0000-00-00", "20240101", ""]
    {
        assert_eq!(date(wrong.as_bytes()), Err(Wrong::Date), "{wrong}");
    }
    for wrong in
        ["2026-04-16", "2026-04-16T25:00:00Z", "2026-04-16T19:00:00.Z", "2026-04-16T19:00Z"]
    {
        assert_eq!(date_time(wrong.as_bytes()), Err(Wrong::DateTime), "{wrong}");
    }
    assert_eq!(time(b"24:00:00Z"), Err(Wrong::Time));
    assert_eq!((boolean(b"true"), boolean(b"FALSE")), (Ok(true), Ok(false)));
    assert_eq!(boolean(b"yes"), Err(Wrong::Boolean));
}

proptest! {
    #[test]
    fn any_decimal_comes_back(units in -10_i128.pow(18)..10_i128.pow(18), scale in 0_u32..18) {
        let text = plain_decimal(units, scale as usize);
        prop_assert_eq!(decimal(text.as_bytes(), scale), Ok(units));
    }

    #[test]
    fn a_decimal_with_an_exponent_is_the_same_number(
        digits in 1_i128..10_i128.pow(15), exponent in -10_i32..10, scale in 0_u32..12,
    ) {
        let text = format!("{digits}E{exponent}");
        let power = exponent + scale as i32;
        let expected = if power >= 0 {
            Ok(digits * 10_i128.pow(power as u32))
        } else {
            let unit = 10_i128.pow((-power) as u32);
            if digits % unit == 0 { Ok(digits / unit) } else { Err(Wrong::Fit) }
        };
        prop_assert_eq!(decimal(text.as_bytes(), scale), expected);
    }

    #[test]
    fn any_double_comes_back(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        prop_assert_eq!(double(format!("{value:E}").as_bytes()).map(f64::to_bits), Ok(bits));
    }

    #[test]
    fn days_are_those_of_the_calendar(days in -719_162_i32..2_932_896) {
        let day = jiff::civil::date(1970, 1, 1)
            .checked_add(jiff::Span::new().days(days))
            .unwrap();
        prop_assert_eq!(date(day.to_string().as_bytes()), Ok(days));
    }

    #[test]
    fn instants_are_those_of_the_clock(ms in -62_135_596_800_000_i64..253_402_214_400_000) {
        let instant = jiff::Timestamp::from_millisecond(ms).unwrap();
        let text = format!("{instant:.3}");
        prop_assert_eq!(date_time(text.as_bytes()), Ok(ms));
    }

    #[test]
    fn no_text_is_too_much(text in "[-+0-9.eETZ: x]{0,24}") {
        let bytes = text.as_bytes();
        let _ = (double(bytes), whole(bytes), decimal(bytes, 3));
        let _ = (date(bytes), date_time(bytes), time(bytes), boolean(bytes));
    }
}
