//! Numbers as text: strict reading, and the rendering of Java's
//! `Double.toString`, which is what result files show (protocol notes, section 5.4).

use std::io::Write as _;

/// Reads plain or scientific notation with a decimal point and no grouping
/// (section 4.1). `None`: anything else, `NaN` and `Infinity` among it.
pub(crate) fn parse_double(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
        return None;
    }
    if let Some(exponent) = exponent {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if exponent.is_empty() || !digits(exponent) {
            return None;
        }
    }
    text.parse().ok()
}

/// Appends a double as Java prints it: plain from 10^-3 up to 10^7, scientific
/// beyond, always with a digit on both sides of the point.
pub(crate) fn write_double(out: &mut Vec<u8>, number: f64) {
    let size = number.abs();
    // Writing to a Vec can't fail.
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        let _ = write!(out, "{number:?}");
        return;
    }
    let start = out.len();
    let _ = write!(out, "{number:E}");
    let exponent = out.iter().skip(start).position(|byte| *byte == b'E').map(|at| start + at);
    if let Some(exponent) = exponent
        && !out[start..exponent].contains(&b'.')
    {
        out.splice(exponent..exponent, *b".0");
    }
}

/// Appends a whole number.
pub(crate) fn write_int(out: &mut Vec<u8>, number: i64) {
    let _ = write!(out, "{number}");
}
