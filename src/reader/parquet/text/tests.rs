//! Numbers and dates against the formatter of the standard library and jiff.

use proptest::prelude::*;

use super::*;

fn written(write: impl FnOnce(&mut Vec<u8>) -> bool) -> (String, bool) {
    let mut out = Vec::new();
    let fits = write(&mut out);
    (String::from_utf8(out).unwrap(), fits)
}

fn double_text(number: f64) -> String {
    written(|out| double(out, number)).0
}

#[test]
fn floats_are_short_and_read_as_the_same() {
    for (number, text) in [
        (0.0, "0"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (-2.5, "-2.5"),
        (1e20, "100000000000000000000"),
        (1e21, "1E21"),
        (0.000_001, "0.000001"),
        (0.000_000_9, "9E-7"),
        (0.1 + 0.2, "0.30000000000000004"),
        (f64::MAX, "1.7976931348623157E308"),
        (5e-324, "5E-324"),
        (123_456_789_012_345_680.0, "123456789012345680"),
    ] {
        assert_eq!(double_text(number), text);
    }
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(!written(|out| double(out, number)).1);
        assert!(!written(|out| float(out, number as f32)).1);
    }
    assert_eq!(written(|out| float(out, 0.1)).0, "0.1");
    assert_eq!(written(|out| float(out, 16_777_216.0)).0, "16777216");
    assert_eq!(written(|out| float(out, -0.0)).0, "0");
}

#[test]
fn decimals_have_their_point_where_it_belongs() {
    for (number, scale, text) in [
        (0, 0, "0"),
        (0, 2, "0.00"),
        (5, 2, "0.05"),
        (-1_250, 2, "-12.50"),
        (i64::MIN, 18, "-9.223372036854775808"),
        (12, -3, "12000"),
        (0, -3, "0"),
        (-7, -1, "-70"),
    ] {
        let mut out = Vec::new();
        decimal(&mut out, number, scale);
        assert_eq!(String::from_utf8(out).unwrap(), text);
        let (found, fits) = written(|out| decimal_bytes(out, &number.to_be_bytes(), scale));
        assert_eq!((found.as_str(), fits), (text, true));
    }
    assert!(!written(|out| decimal_bytes(out, &[1; 33], 0)).1);
}

#[test]
fn dates_outside_four_digits_have_no_form() {
    assert_eq!(written(|out| date(out, -719_162)), ("0001-01-01".to_owned(), true));
    assert_eq!(written(|out| date(out, 2_932_896)), ("9999-12-31".to_owned(), true));
    assert!(!written(|out| date(out, -719_163)).1);
    assert!(!written(|out| date(out, 2_932_897)).1);
    for extreme in [i64::MIN, i64::MAX] {
        assert!(!written(|out| moment(out, extreme)).1);
        assert!(!written(|out| time(out, extreme)).1);
    }
    assert!(!written(|out| time(out, DAY_MILLIS)).1);
    assert_eq!(written(|out| moment(out, -1)), ("1969-12-31T23:59:59.999Z".to_owned(), true));
}

/// Every day of the years 1 to 9999.
#[test]
fn every_day_is_that_of_the_calendar() {
    let mut day = jiff::civil::date(1, 1, 1);
    for days in -719_162..=2_932_896i64 {
        let found = civil(days);
        assert_eq!(found, (i64::from(day.year()), day.month() as u8, day.day() as u8), "{days}");
        day = day.tomorrow().unwrap_or(day);
    }
}

proptest! {
    #[test]
    fn any_double_is_written_as_the_formatter_does(bits: u64, cents: i32, places in 0i32..8) {
        for number in [f64::from_bits(bits), f64::from(cents) / 10f64.powi(places)] {
            if number.is_finite() {
                let text = double_text(number);
                prop_assert!((text.parse::<f64>().unwrap() - number).abs() == 0.0);
                if number != 0.0 && (1e-6..1e21).contains(&number.abs()) {
                    prop_assert_eq!(text, number.to_string());
                }
            }
        }
    }

    #[test]
    fn any_decimal_of_128_bits_is_exact(number: i128, places in 0u32..3) {
        let number = number >> (places * 40);
        let (text, fits) = written(|out| decimal_bytes(out, &number.to_be_bytes(), 0));
        prop_assert!(fits);
        prop_assert_eq!(text, number.to_string());
    }
}
