//! Dates, instants and times of day as text (protocol notes, sections 4.1, 5.4).
//!
//! Days are counted in the proleptic Gregorian calendar. Years 1700 to 4000
//! are the platform's range.

const DAY_MS: i64 = 86_400_000;

/// Days since 1970-01-01 of a valid day between the years 1700 and 4000.
pub(crate) fn days_of(year: i64, month: i64, day: i64) -> Option<i32> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1700..=4000).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    // Years begin in March, so that the leap day is a year's last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    i32::try_from(days - 719_468).ok()
}

/// Year, month and day of a count of days since 1970-01-01.
pub(crate) fn civil_of(days: i32) -> (i64, i64, i64) {
    let days = i64::from(days) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Reads exactly `count` digits.
fn digits(text: &[u8], from: usize, count: usize) -> Option<i64> {
    let part = text.get(from..from + count)?;
    part.iter()
        .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// `yyyy-MM-dd` at the start of a text.
fn date_at_start(text: &[u8]) -> Option<i32> {
    if text.get(4) != Some(&b'-') || text.get(7) != Some(&b'-') {
        return None;
    }
    days_of(digits(text, 0, 4)?, digits(text, 5, 2)?, digits(text, 8, 2)?)
}

/// `HH:mm:ss[.SSS]` at the start of a text, and what follows.
fn time_at_start(text: &[u8]) -> Option<(i64, &[u8])> {
    if text.get(2) != Some(&b':') || text.get(5) != Some(&b':') {
        return None;
    }
    let (hour, minute, second) = (digits(text, 0, 2)?, digits(text, 3, 2)?, digits(text, 6, 2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let ms = (hour * 60 + minute) * 60_000 + second * 1000;
    match text.get(8) {
        Some(b'.') => Some((ms + digits(text, 9, 3)?, text.get(12..)?)),
        _ => Some((ms, text.get(8..)?)),
    }
}

/// Offset from UTC in milliseconds: `Z` or `+HH:mm`.
fn offset(text: &[u8]) -> Option<i64> {
    let sign = match text {
        b"Z" => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    if text.len() != 6 || text.get(3) != Some(&b':') {
        return None;
    }
    let (hours, minutes) = (digits(text, 1, 2)?, digits(text, 4, 2)?);
    (hours <= 14 && minutes <= 59).then_some(sign * (hours * 60 + minutes) * 60_000)
}

/// Reads `yyyy-MM-dd`; with `offsets` a `Z` or `+HH:mm` behind it is read over.
pub(crate) fn parse_date(text: &str, offsets: bool) -> Option<i32> {
    let text = text.as_bytes();
    let days = date_at_start(text)?;
    match text.get(10..)? {
        b"" => Some(days),
        rest if offsets => offset(rest).map(|_| days),
        _ => None,
    }
}

/// Reads `yyyy-MM-ddTHH:mm:ss[.SSS]` with `Z` or `+HH:mm`, which must be there.
pub(crate) fn parse_datetime(text: &str) -> Option<i64> {
    let text = text.as_bytes();
    let days = date_at_start(text)?;
    if text.get(10) != Some(&b'T') {
        return None;
    }
    let (ms, rest) = time_at_start(text.get(11..)?)?;
    Some(i64::from(days) * DAY_MS + ms - offset(rest)?)
}

/// Reads `HH:mm:ss[.SSS]`, with or without `Z`.
pub(crate) fn parse_time(text: &str) -> Option<i32> {
    let (ms, rest) = time_at_start(text.as_bytes())?;
    if rest.is_empty() || rest == b"Z" { i32::try_from(ms).ok() } else { None }
}

/// Appends `number` with at least `width` digits.
fn padded(out: &mut Vec<u8>, number: i64, width: usize) {
    let mut digits = [b'0'; 8];
    let mut rest = number.unsigned_abs();
    for to in digits.iter_mut().rev() {
        *to = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits[8 - width.min(8)..]);
}

/// Appends `yyyy-MM-dd`.
pub(crate) fn write_date(out: &mut Vec<u8>, days: i32) {
    let (year, month, day) = civil_of(days);
    padded(out, year, 4);
    out.push(b'-');
    padded(out, month, 2);
    out.push(b'-');
    padded(out, day, 2);
}

fn write_clock(out: &mut Vec<u8>, ms: i64) {
    padded(out, ms / 3_600_000, 2);
    out.push(b':');
    padded(out, ms / 60_000 % 60, 2);
    out.push(b':');
    padded(out, ms / 1000 % 60, 2);
    out.push(b'.');
    padded(out, ms % 1000, 3);
}

/// Appends `yyyy-MM-ddTHH:mm:ss.SSS` and `zone`, which says UTC (`Z` in Bulk
/// CSV, `+0000` in JSON).
pub(crate) fn write_datetime(out: &mut Vec<u8>, ms: i64, zone: &[u8]) {
    write_date(out, i32::try_from(ms.div_euclid(DAY_MS)).unwrap_or(i32::MAX));
    out.push(b'T');
    write_clock(out, ms.rem_euclid(DAY_MS));
    out.extend_from_slice(zone);
}

/// Appends `HH:mm:ss.SSSZ`.
pub(crate) fn write_time(out: &mut Vec<u8>, ms: i32) {
    write_clock(out, i64::from(ms));
    out.push(b'Z');
}

/// `yyyy-MM-ddTHH:mm:ss.SSS+0000`, the form of JSON bodies.
pub(crate) fn json_instant(ms: i64) -> String {
    let mut out = Vec::with_capacity(28);
    write_datetime(&mut out, ms, b"+0000");
    String::from_utf8(out).unwrap_or_default()
}
