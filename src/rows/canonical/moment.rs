//! Dates, datetimes and times of day as the service reads and writes them
//! ("Valid date format in records", Bulk API 2.0 guide).
//!
//! Read by hand from bytes, for it is done per cell; all functions give `None`
//! for what is no such value.

/// Days since 1970-01-01 of `2026-04-16`, with a zone suffix or a time of day
/// behind it ignored (one sample of the guide has `1940-06-07Z`).
pub(super) fn date(text: &[u8]) -> Option<i64> {
    let (days, rest) = day(text)?;
    match rest.first() {
        None => Some(days),
        Some(b'T' | b't' | b' ') => {
            let (_, rest) = clock(&rest[1..])?;
            offset(rest).map(|_| days)
        }
        Some(_) => offset(rest).map(|_| days),
    }
}

/// Seconds since 1970-01-01T00:00:00Z, fractions cut off. A missing offset is
/// taken for UTC, a missing time of day for midnight.
pub(super) fn second(text: &[u8]) -> Option<i64> {
    let (days, rest) = day(text)?;
    let (milliseconds, rest) = match rest.split_first() {
        None => (0, rest),
        Some((b'T' | b't' | b' ', rest)) => clock(rest)?,
        Some(_) => return None,
    };
    Some(days * 86_400 + i64::from(milliseconds / 1000) - offset(rest)?)
}

/// Milliseconds since midnight of `13:30:00.000Z`; the field knows no zone.
pub(super) fn time_of_day(text: &[u8]) -> Option<u32> {
    let (milliseconds, rest) = clock(text)?;
    offset(rest).map(|_| milliseconds)
}

/// `yyyy-MM-dd`, and what is behind it.
fn day(text: &[u8]) -> Option<(i64, &[u8])> {
    let (head, rest) = text.split_at_checked(10)?;
    if head[4] != b'-' || head[7] != b'-' {
        return None;
    }
    let year = i64::from(digits(&head[..4])?);
    let month = digits(&head[5..7])?;
    let day = digits(&head[8..10])?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    // Days from the civil date, counted in eras of 400 years that begin in March.
    let (year, month) =
        if month > 2 { (year, i64::from(month) - 3) } else { (year - 1, i64::from(month) + 9) };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some((era * 146_097 + day_of_era - 719_468, rest))
}

fn days_in(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// `HH:mm[:ss[.fraction]]` in milliseconds, and what is behind it.
fn clock(text: &[u8]) -> Option<(u32, &[u8])> {
    let (head, mut rest) = text.split_at_checked(5)?;
    if head[2] != b':' {
        return None;
    }
    let (hour, minute) = (digits(&head[..2])?, digits(&head[3..5])?);
    let mut second = 0;
    let mut milliseconds = 0;
    if rest.first() == Some(&b':') {
        second = digits(rest.get(1..3)?)?;
        rest = &rest[3..];
        if let Some((b'.' | b',', fraction)) = rest.split_first() {
            let len = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if len == 0 {
                return None;
            }
            let mut place = 100;
            for digit in fraction[..len].iter().take(3) {
                milliseconds += place * u32::from(digit - b'0');
                place /= 10;
            }
            rest = &fraction[len..];
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some((((hour * 60 + minute) * 60 + second) * 1000 + milliseconds, rest))
}

/// Seconds east of UTC of a whole suffix: nothing, `Z`, `+01`, `+0100`, `+01:00`.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text.split_first() {
        None | Some((b'Z' | b'z', [])) => return Some(0),
        Some((b'+', rest)) => (1, rest),
        Some((b'-', rest)) => (-1, rest),
        Some(_) => return None,
    };
    let (hours, minutes) = match rest.len() {
        2 => (digits(rest)?, 0),
        4 => (digits(&rest[..2])?, digits(&rest[2..])?),
        5 if rest[2] == b':' => (digits(&rest[..2])?, digits(&rest[3..])?),
        _ => return None,
    };
    if hours > 23 || minutes > 59 {
        return None;
    }
    Some(sign * i64::from(hours * 3600 + minutes * 60))
}

/// The number that a few digits, and only digits, make.
fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0u32, |sum, byte| {
        byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0'))
    })
}
