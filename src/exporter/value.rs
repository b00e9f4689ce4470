//! The text of a cell to its value, exactly ("Valid Date Format in Records" and
//! "Bulk API 2.0 Query Results", Bulk API guide; numbers come as the text of
//! a Java double).

use super::Wrong;

/// A number as its nearest double.
///
/// # Errors
/// [`Wrong::Number`].
pub fn double(text: &[u8]) -> Result<f64, Wrong> {
    // The library also reads "inf" and "nan", which no org sends for a number.
    if !text.last().is_some_and(|&byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(Wrong::Number);
    }
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Wrong::Number)
}

/// A whole number; also `12.0` and `1.2E7`, as a double would be written.
///
/// # Errors
/// [`Wrong::Whole`], also for one with a fraction or too large for 64 bits.
pub fn whole(text: &[u8]) -> Result<i64, Wrong> {
    let plain = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    match plain {
        Some(value) => Ok(value),
        None => {
            decimal(text, 0).ok().and_then(|value| i64::try_from(value).ok()).ok_or(Wrong::Whole)
        }
    }
}

/// A number times ten to the power of `scale`, exactly.
///
/// # Errors
/// [`Wrong::Number`]; [`Wrong::Fit`] when digits would be lost, or when it
/// takes more than 38 of them.
pub fn decimal(text: &[u8], scale: u32) -> Result<i128, Wrong> {
    let (negative, unsigned) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => {
            let exponent = std::str::from_utf8(&unsigned[at + 1..]).map_err(|_| Wrong::Number)?;
            (&unsigned[..at], exponent.parse::<i32>().map_err(|_| Wrong::Number)?)
        }
        None => (unsigned, 0),
    };
    let mut digits: i128 = 0;
    // Places behind the point, zeros at the end not counted.
    let (mut places, mut zeros, mut behind, mut any) = (0_i64, 0_i64, false, false);
    for &byte in mantissa {
        match byte {
            b'.' if !behind => behind = true,
            b'0'..=b'9' => {
                any = true;
                if behind {
                    places += 1;
                }
                // Zeros are put off until a digit follows, so that any number
                // of them at the end costs no room.
                if byte == b'0' {
                    zeros += i64::from(digits != 0);
                    continue;
                }
                for _ in 0..=zeros {
                    digits = digits.checked_mul(10).ok_or(Wrong::Fit)?;
                }
                zeros = 0;
                digits = digits.checked_add(i128::from(byte - b'0')).ok_or(Wrong::Fit)?;
            }
            _ => return Err(Wrong::Number),
        }
    }
    if !any {
        return Err(Wrong::Number);
    }
    if digits == 0 {
        return Ok(0);
    }
    let shift = i64::from(exponent) + i64::from(scale) - places + zeros;
    if shift > 38 {
        return Err(Wrong::Fit);
    }
    for _ in 0..shift.max(0) {
        digits = digits.checked_mul(10).ok_or(Wrong::Fit)?;
    }
    for _ in 0..(-shift).clamp(0, 64) {
        if digits % 10 != 0 {
            return Err(Wrong::Fit);
        }
        digits /= 10;
    }
    if digits >= 10_i128.pow(38) {
        return Err(Wrong::Fit);
    }
    Ok(if negative { -digits } else { digits })
}

/// True or false.
///
/// # Errors
/// [`Wrong::Boolean`].
pub fn boolean(text: &[u8]) -> Result<bool, Wrong> {
    match text {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ if text.eq_ignore_ascii_case(b"true") || text == b"1" => Ok(true),
        _ if text.eq_ignore_ascii_case(b"false") || text == b"0" => Ok(false),
        _ => Err(Wrong::Boolean),
    }
}

/// Days since 1970-01-01 of a date, in the proleptic Gregorian calendar, as
/// the service counts.
///
/// # Errors
/// [`Wrong::Date`].
pub fn date(text: &[u8]) -> Result<i32, Wrong> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return Err(Wrong::Date) };
    let (year, month, day) = (number(&[y1, y2, y3, y4]), number(&[m1, m2]), number(&[d1, d2]));
    let (Some(year), Some(month), Some(day)) = (year, month, day) else {
        return Err(Wrong::Date);
    };
    days(year, month, day).ok_or(Wrong::Date)
}

/// Milliseconds since 1970-01-01 UTC of an instant:
/// `2026-04-16T19:00:00.000Z`, or with an offset.
///
/// # Errors
/// [`Wrong::DateTime`].
pub fn date_time(text: &[u8]) -> Result<i64, Wrong> {
    let wrong = Wrong::DateTime;
    let (day, rest) = text.split_at_checked(10).ok_or(wrong)?;
    let days = date(day).map_err(|_| wrong)?;
    let Some((b'T' | b' ', rest)) = rest.split_first() else { return Err(wrong) };
    let (ms, zone) = clock(rest).ok_or(wrong)?;
    let minutes = match *zone {
        [] | [b'Z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] | [sign @ (b'+' | b'-'), h1, h2, m1, m2] => {
            let (hours, minutes) =
                (number(&[h1, h2]).ok_or(wrong)?, number(&[m1, m2]).ok_or(wrong)?);
            let minutes = i64::from(hours * 60 + minutes);
            if sign == b'-' { -minutes } else { minutes }
        }
        _ => return Err(wrong),
    };
    Ok(i64::from(days) * 86_400_000 + i64::from(ms) - minutes * 60_000)
}

/// Milliseconds since midnight of a time of day: `19:00:00.000Z`.
///
/// # Errors
/// [`Wrong::Time`].
pub fn time(text: &[u8]) -> Result<i32, Wrong> {
    match clock(text) {
        Some((ms, [] | [b'Z'])) => Ok(ms),
        _ => Err(Wrong::Time),
    }
}

/// Milliseconds of `HH:MM:SS` with any fraction, and what stands behind it.
fn clock(text: &[u8]) -> Option<(i32, &[u8])> {
    let (&[h1, h2, b':', m1, m2, b':', s1, s2], mut rest) = text.split_first_chunk::<8>()? else {
        return None;
    };
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[m1, m2])?, number(&[s1, s2])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut ms = 0;
    if let Some((b'.', fraction)) = rest.split_first() {
        let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if length == 0 {
            return None;
        }
        for place in 0..3 {
            ms = ms * 10 + fraction[..length].get(place).map_or(0, |&byte| i32::from(byte - b'0'));
        }
        rest = &fraction[length..];
    }
    Some((((hour * 60 + minute) * 60 + second) * 1000 + ms, rest))
}

/// The number of some digits.
fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0, |number, &byte| {
        byte.is_ascii_digit().then(|| number * 10 + i32::from(byte - b'0'))
    })
}

/// Days since 1970-01-01, by counting years from March on, so that the leap
/// day is a year's last.
fn days(year: i32, month: i32, day: i32) -> Option<i32> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468)
}
