//! What the service reads as a value of a type ("Valid Date Format in Records",
//! "Prepare CSV Files", Bulk API 2.0 guide), and whether a text is one.

use jiff::civil;

/// The years the service has dates in.
const YEARS: std::ops::RangeInclusive<i16> = 1700..=4000;

fn two_digits(text: &[u8], at: usize) -> Option<u8> {
    match text.get(at..at + 2)? {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some((tens - b'0') * 10 + (ones - b'0')),
        _ => None,
    }
}

/// What follows a day written `yyyy-MM-dd` that the calendar has.
fn behind_day(text: &[u8]) -> Option<&[u8]> {
    if text.get(4) != Some(&b'-') || text.get(7) != Some(&b'-') {
        return None;
    }
    let year = i16::from(two_digits(text, 0)?) * 100 + i16::from(two_digits(text, 2)?);
    let (month, day) = (two_digits(text, 5)?.cast_signed(), two_digits(text, 8)?.cast_signed());
    civil::Date::new(year, month, day).ok()?;
    if YEARS.contains(&year) { text.get(10..) } else { None }
}

/// What follows a time written `HH:mm:ss` or `HH:mm:ss.SSS`.
fn behind_time(text: &[u8]) -> Option<&[u8]> {
    if text.get(2) != Some(&b':') || text.get(5) != Some(&b':') {
        return None;
    }
    let (hour, minute, second) = (two_digits(text, 0)?, two_digits(text, 3)?, two_digits(text, 6)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    match text.get(8) {
        Some(b'.') => {
            let digits = text.get(9..12)?;
            if digits.iter().all(u8::is_ascii_digit) { text.get(12..) } else { None }
        }
        _ => text.get(8..),
    }
}

/// Whether a text is `Z` or `+HH:mm`.
fn is_offset(text: &[u8]) -> bool {
    match text {
        b"Z" => true,
        [b'+' | b'-', rest @ ..] => {
            rest.len() == 5
                && rest[2] == b':'
                && two_digits(rest, 0).is_some_and(|hours| hours <= 14)
                && two_digits(rest, 3).is_some_and(|minutes| minutes <= 59)
        }
        _ => false,
    }
}

/// `yyyy-MM-dd`; an offset behind it is read over by the service.
pub(super) fn is_date(text: &[u8]) -> bool {
    behind_day(text).is_some_and(|rest| rest.is_empty() || is_offset(rest))
}

/// `yyyy-MM-ddTHH:mm:ss`, with or without milliseconds, with `Z` or `+HH:mm`.
pub(super) fn is_datetime(text: &[u8]) -> bool {
    behind_day(text)
        .and_then(|rest| rest.strip_prefix(b"T"))
        .and_then(behind_time)
        .is_some_and(is_offset)
}

/// `HH:mm:ss.SSSZ`; milliseconds and `Z` may be missing.
pub(super) fn is_time(text: &[u8]) -> bool {
    behind_time(text).is_some_and(|rest| rest.is_empty() || rest == b"Z")
}

/// A number as the service reads it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number {
    /// Its value.
    pub(super) value: f64,
    /// Digits behind the point once the exponent is applied, zeros at the end
    /// not counted.
    pub(super) decimals: i64,
}

/// Plain or with an exponent, a decimal point, nothing between thousands.
pub(super) fn number(text: &[u8]) -> Option<Number> {
    let unsigned = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let at = unsigned.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (mantissa, exponent) = match at {
        Some(at) => (&unsigned[..at], unsigned.get(at + 1..)),
        None => (unsigned, None),
    };
    let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
    let (whole, fraction) = (&mantissa[..point], mantissa.get(point + 1..).unwrap_or_default());
    let are_digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    if whole.is_empty() && fraction.is_empty() || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let exponent: i64 = match exponent {
        None => 0,
        Some(digits) => {
            let bare = digits.strip_prefix(b"-").or_else(|| digits.strip_prefix(b"+"));
            let bare = bare.unwrap_or(digits);
            if bare.is_empty() || !are_digits(bare) {
                return None;
            }
            // Beyond this the number is zero or infinite anyway.
            std::str::from_utf8(digits).ok()?.parse().unwrap_or(100_000)
        }
    };
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let zeros = fraction.iter().rev().take_while(|&&digit| digit == b'0').count();
    let decimals = (fraction.len() - zeros) as i64 - exponent;
    Some(Number { value, decimals })
}

/// A whole number without a point.
pub(super) fn whole(text: &[u8]) -> Option<i128> {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // So long a number fits no field.
    Some(std::str::from_utf8(text).ok()?.parse().unwrap_or(i128::MAX))
}

/// One `@`, something before it, a domain with a dot behind it, none of the
/// signs that the service refuses ("Email field", "Field Types", Object
/// Reference).
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_odd = |letter: char| {
        letter.is_whitespace() || letter.is_control() || "<>(),;:\"[]\\@".contains(letter)
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|letter| letter.is_alphanumeric() || letter == '-')
    };
    let mut labels = domain.split('.');
    !local.is_empty()
        && !local.contains(is_odd)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && labels.clone().count() > 1
        && labels.all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_read_as_the_service_does() {
        for date in ["2024-02-29", "1940-06-07Z", "1700-01-01", "2026-03-01+02:00"] {
            assert!(is_date(date.as_bytes()), "{date}");
        }
        for date in
            ["2023-02-29", "24.12.2025", "2025-1-1", "2025-01-01T00:00:00Z", "4001-01-01", ""]
        {
            assert!(!is_date(date.as_bytes()), "{date}");
        }
        for moment in
            ["2026-03-01T08:30:00Z", "2026-03-01T08:30:00.123Z", "2026-03-01T08:30:00+01:00"]
        {
            assert!(is_datetime(moment.as_bytes()), "{moment}");
        }
        for moment in [
            "2026-03-01 08:30:00",
            "2026-03-01T08:30:00",
            "2026-03-01T24:30:00Z",
            "2026-03-01T08:30Z",
            "2026-03-01T08:30:00.1Z",
            "2026-03-01",
        ] {
            assert!(!is_datetime(moment.as_bytes()), "{moment}");
        }
        assert!(is_time(b"08:30:00.000Z") && is_time(b"08:30:00"));
        assert!(!is_time(b"8:30") && !is_time(b"08:30:00+01:00"));
    }

    #[test]
    fn digits_behind_the_point_are_counted_by_value() {
        let decimals = |text: &str| number(text.as_bytes()).map(|number| number.decimals);
        assert_eq!(decimals("12.50"), Some(1));
        assert_eq!(decimals("1.234E2"), Some(1));
        assert_eq!(decimals("1.5E-3"), Some(4));
        assert_eq!(decimals("-7"), Some(0));
        assert_eq!(decimals("1,5"), None);
        assert_eq!(decimals("1e"), None);
        assert_eq!(decimals("."), None);
        assert_eq!(decimals("NaN"), None);
        assert!(number(b"1E99999999999").unwrap().value.is_infinite());
        assert_eq!(whole(b"+12"), Some(12));
        assert_eq!(whole(b"1.0"), None);
        assert_eq!(whole(&[b'9'; 60]), Some(i128::MAX));
    }

    #[test]
    fn mail_addresses_need_a_name_and_a_domain() {
        for good in ["a@b.co", "jürgen.müller@firma.de", "x+y_z@mail.example.com"] {
            assert!(is_email(good), "{good}");
        }
        for bad in ["a@b", "@b.co", "a b@c.de", "a@b..co", "a@-b.co", "a@b@c.de", ".a@b.co", ""] {
            assert!(!is_email(bad), "{bad}");
        }
    }
}
