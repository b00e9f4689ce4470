//! Numbers, dates and bytes in the form Salesforce takes ("CSV files", Bulk
//! API 2.0 guide: dot decimal without grouping or scientific, `yyyy-MM-dd`,
//! `yyyy-MM-ddTHH:mm:ss.SSSZ`).
//!
//! Functions that give a `bool` say whether the value has such a form; what
//! they write if not is for people to read.

use std::io::Write as _;

/// Milliseconds of a day.
pub(super) const DAY_MILLIS: i64 = 86_400_000;

const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// The digits of a number, right-aligned, and where they begin.
fn digits(mut number: u64) -> ([u8; 20], usize) {
    let mut buffer = [b'0'; 20];
    let mut at = 20;
    while number >= 100 {
        let pair = (number % 100) as usize * 2;
        number /= 100;
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if number >= 10 {
        let pair = number as usize * 2;
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        at -= 1;
        buffer[at] = b'0' + number as u8;
    }
    (buffer, at)
}

pub(super) fn unsigned(out: &mut Vec<u8>, number: u64) {
    let (buffer, at) = digits(number);
    out.extend_from_slice(&buffer[at..]);
}

pub(super) fn signed(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    unsigned(out, number.unsigned_abs());
}

/// A decimal of 64 bits.
pub(super) fn decimal(out: &mut Vec<u8>, number: i64, scale: i32) {
    let (buffer, at) = digits(number.unsigned_abs());
    point(out, number < 0, &buffer[at..], scale);
}

/// A decimal in two's complement, highest byte first, as long as it likes;
/// not if it takes more than 256 bits.
pub(super) fn decimal_bytes(out: &mut Vec<u8>, bytes: &[u8], scale: i32) -> bool {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let sign = if negative { 0xFF } else { 0 };
    let mut bytes = bytes;
    while let [first, rest @ ..] = bytes
        && *first == sign
        && rest.first().is_some_and(|next| next & 0x80 == sign & 0x80)
    {
        bytes = rest;
    }
    if bytes.len() <= 8 {
        let mut wide = [sign; 8];
        wide[8 - bytes.len()..].copy_from_slice(bytes);
        decimal(out, i64::from_be_bytes(wide), scale);
        return true;
    }
    if bytes.len() > 32 {
        out.extend_from_slice(b"(too large)");
        return false;
    }
    let mut wide = [sign; 32];
    wide[32 - bytes.len()..].copy_from_slice(bytes);
    // The amount in four limbs, highest first.
    let mut limbs = [0u64; 4];
    for (limb, part) in limbs.iter_mut().zip(wide.chunks_exact(8)) {
        *limb = part.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    }
    if negative {
        let mut carry = true;
        for limb in limbs.iter_mut().rev() {
            let (sum, over) = (!*limb).overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, over);
        }
    }
    // 19 digits at a time, lowest first.
    const PART: u128 = 10_000_000_000_000_000_000;
    let mut text = [b'0'; 95];
    let mut end = text.len();
    let mut begin = end;
    while limbs != [0; 4] {
        let mut rest = 0u128;
        for limb in &mut limbs {
            let whole = rest << 64 | u128::from(*limb);
            *limb = (whole / PART) as u64;
            rest = whole % PART;
        }
        let (buffer, at) = digits(rest as u64);
        let part = &buffer[at..];
        text[end - part.len()..end].copy_from_slice(part);
        begin = end - part.len();
        end -= 19;
    }
    point(out, negative, &text[begin..], scale);
    true
}

/// Digits with the point where it belongs, all places kept.
fn point(out: &mut Vec<u8>, negative: bool, digits: &[u8], scale: i32) {
    let is_zero = digits == b"0";
    if negative {
        out.push(b'-');
    }
    let places = scale.unsigned_abs() as usize;
    if scale <= 0 {
        out.extend_from_slice(digits);
        if !is_zero {
            out.resize(out.len() + places, b'0');
        }
    } else if digits.len() > places {
        let (whole, part) = digits.split_at(digits.len() - places);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(part);
    } else {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + places - digits.len(), b'0');
        out.extend_from_slice(digits);
    }
}

/// The shortest decimal that is read as the same double; in E-notation below
/// a millionth and from 10^21 on.
pub(super) fn double(out: &mut Vec<u8>, number: f64) -> bool {
    // With 15 digits or fewer no other decimal is the same double, so the
    // first that fits is the shortest.
    const EXACT: f64 = 1e15;
    let mut power = 1.0;
    for places in 0..5 {
        let shifted = number * power;
        if shifted.abs() >= EXACT || !shifted.is_finite() {
            break;
        }
        let whole = shifted.round();
        #[expect(clippy::float_cmp, reason = "the very same double is asked for")]
        if whole / power == number {
            if number < 0.0 {
                out.push(b'-');
            }
            let (buffer, at) = digits(whole.abs() as u64);
            point(out, false, &buffer[at..], places);
            return true;
        }
        power *= 10.0;
    }
    by_formatter(out, number.abs(), &number, &number)
}

/// The same of a float of 32 bits.
pub(super) fn float(out: &mut Vec<u8>, number: f32) -> bool {
    if number.abs() < 1e7 && number.trunc().to_bits() == number.to_bits() {
        signed(out, number as i64);
        return true;
    }
    by_formatter(out, f64::from(number.abs()), &number, &number)
}

fn by_formatter(
    out: &mut Vec<u8>,
    size: f64,
    plain: &dyn std::fmt::Display,
    scientific: &dyn std::fmt::UpperExp,
) -> bool {
    // Writing into memory does not fail.
    let _ = if size == 0.0 {
        out.push(b'0');
        Ok(())
    } else if !size.is_finite() || (1e-6..1e21).contains(&size) {
        write!(out, "{plain}")
    } else {
        write!(out, "{scientific:E}")
    };
    size.is_finite()
}

/// The same of a float of 16 bits, lowest byte first.
pub(super) fn half(out: &mut Vec<u8>, bytes: [u8; 2]) -> bool {
    let bits = u16::from_le_bytes(bytes);
    let number = half_value(bits & 0x7FFF);
    if bits & 0x8000 != 0 && number != 0.0 && !number.is_nan() {
        out.push(b'-');
    }
    if !number.is_finite() || number == 0.0 {
        return by_formatter(out, number, &number, &number);
    }
    // Half the way to the neighbours; the neighbour above the largest is what
    // it would be.
    let magnitude = bits & 0x7FFF;
    let above = if magnitude == 0x7BFF { 65_536.0 } else { half_value(magnitude + 1) };
    let low = f64::midpoint(number, half_value(magnitude - 1));
    let high = f64::midpoint(number, above);
    let even = magnitude & 1 == 0;
    for places in 0..12 {
        let text = format!("{number:.places$e}");
        let read: f64 = text.parse().unwrap_or(number);
        if (read > low && read < high) || (even && (read - low) * (read - high) == 0.0) {
            return by_formatter(out, read, &read, &read);
        }
    }
    by_formatter(out, number, &number, &number)
}

/// What a half without its sign stands for.
fn half_value(bits: u16) -> f64 {
    let exponent = i32::from(bits >> 10);
    let fraction = f64::from(bits & 0x3FF);
    match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    }
}

/// Year, month and day of a day since 1970 (the calendar we have, before 1582
/// too).
pub(super) fn civil(days: i64) -> (i64, u8, u8) {
    // Years begin in March, so that the leap day is the last; eras are 400 of
    // them. Any day of 64 bits divided by what a day has fits.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month + 2) / 5 + 1) as u8;
    let month = if month < 10 { month + 3 } else { month - 9 } as u8;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A day since 1970; not outside the years 1 to 9999.
pub(super) fn date(out: &mut Vec<u8>, days: i64) -> bool {
    let (year, month, day) = civil(days);
    if !(1..=9_999).contains(&year) {
        let _ = write!(out, "{year}-{month:02}-{day:02}");
        return false;
    }
    let mut text = *b"0000-00-00";
    two(&mut text, 0, (year / 100) as usize);
    two(&mut text, 2, (year % 100) as usize);
    two(&mut text, 5, usize::from(month));
    two(&mut text, 8, usize::from(day));
    out.extend_from_slice(&text);
    true
}

/// A point in time in milliseconds since 1970; not outside the years 1 to
/// 9999.
pub(super) fn moment(out: &mut Vec<u8>, millis: i64) -> bool {
    let fits = date(out, millis.div_euclid(DAY_MILLIS));
    out.push(b'T');
    time(out, millis.rem_euclid(DAY_MILLIS)) && fits
}

/// A time of day in milliseconds; not outside a day.
pub(super) fn time(out: &mut Vec<u8>, millis: i64) -> bool {
    if !(0..DAY_MILLIS).contains(&millis) {
        let _ = write!(out, "{millis} ms");
        return false;
    }
    let millis = millis as usize;
    let mut text = *b"00:00:00.000Z";
    two(&mut text, 0, millis / 3_600_000);
    two(&mut text, 3, millis / 60_000 % 60);
    two(&mut text, 6, millis / 1_000 % 60);
    text[9] = b'0' + (millis / 100 % 10) as u8;
    two(&mut text, 10, millis % 100);
    out.extend_from_slice(&text);
    true
}

fn two(text: &mut [u8], at: usize, number: usize) {
    text[at..at + 2].copy_from_slice(&PAIRS[number * 2..number * 2 + 2]);
}

/// 16 bytes as a UUID.
pub(super) fn uuid(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

/// Bytes in base64 with padding.
pub(super) fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.reserve(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..part.len()].copy_from_slice(part);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        let letter = |shift: u32| LETTERS[(bits >> shift & 63) as usize];
        let four = [
            letter(18),
            letter(12),
            if part.len() > 1 { letter(6) } else { b'=' },
            if part.len() > 2 { letter(0) } else { b'=' },
        ];
        out.extend_from_slice(&four);
    }
}

#[cfg(test)]
mod tests;
