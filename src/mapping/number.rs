//! Numbers as people write them, in the form the org takes: exact, on the
//! decimal digits, no double in between.

use serde::{Deserialize, Serialize};

use super::text::{Text, trimmed_text};
use crate::rows::Rule;

/// How a number is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberFormat {
    /// The decimal sign.
    pub decimal: char,
    /// The sign between groups of three digits; a blank stands for any.
    pub grouping: Option<char>,
    /// What may stand before or behind it.
    pub currency: Vec<String>,
    /// Whether `(12)` is -12.
    pub parentheses: bool,
    /// Digits behind the decimal sign at most.
    pub scale: Option<u32>,
    /// What becomes of more.
    pub rounding: Rounding,
}

/// How digits behind the last one that stays are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// To the nearest, a half away from zero.
    HalfUp,
    /// To the nearest, a half to the even digit.
    HalfEven,
    /// Towards zero.
    Down,
    /// Not at all.
    Reject,
}

impl Default for NumberFormat {
    fn default() -> Self {
        NumberFormat {
            decimal: '.',
            grouping: None,
            currency: Vec::new(),
            parentheses: false,
            scale: None,
            rounding: Rounding::HalfUp,
        }
    }
}

/// Whether a character is a blank that may stand between groups of digits.
fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\u{A0}' | '\u{202F}' | '\u{2009}')
}

impl NumberFormat {
    /// The format in words.
    pub(super) fn words(&self) -> String {
        match self.grouping {
            Some(sign) => {
                format!("decimal sign `{}`, groups of three digits with `{sign}`", self.decimal)
            }
            None => format!("decimal sign `{}`, no grouping", self.decimal),
        }
    }

    /// Makes it what the org takes.
    pub(super) fn apply(&self, text: &mut Text<'_>) -> Result<(), Rule> {
        text.write(|now, next| self.convert(now, next))
    }

    fn convert(&self, value: &str, out: &mut String) -> Result<(), Rule> {
        let value = trimmed_text(value);
        // With digits at both ends there is neither sign nor currency.
        let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
        let (negative, number) =
            if is_digit(value.as_bytes().first()) && is_digit(value.as_bytes().last()) {
                (false, value)
            } else {
                self.unsigned(value)?
            };
        let bytes = number.as_bytes();
        // The most common by far: digits and at most one decimal sign.
        let begin = out.len();
        if negative {
            out.push('-');
        }
        let digits_from = out.len();
        // The decimal sign is one of ASCII.
        let decimal = bytes.iter().position(|&byte| char::from(byte) == self.decimal);
        let (whole, fraction) = match decimal {
            Some(at) => (&number[..at], Some(&number[at + 1..])),
            None => (number, None),
        };
        if bytes.is_empty() || (whole.is_empty() && fraction.is_none_or(str::is_empty)) {
            return Err(Rule::Number);
        }
        self.whole(whole, out)?;
        let zeros =
            out.as_bytes()[digits_from..].iter().take_while(|&&digit| digit == b'0').count();
        if zeros > 0 {
            out.drain(digits_from..digits_from + zeros);
        }
        if out.len() == digits_from {
            out.push('0');
        }
        if let Some(fraction) = fraction {
            if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Rule::Number);
            }
            let kept =
                self.scale.map_or(fraction.len(), |scale| fraction.len().min(scale as usize));
            let (kept, cut) = fraction.split_at(kept);
            if !kept.is_empty() {
                out.push('.');
                out.push_str(kept);
            }
            if self.rounds_up(cut, out.as_bytes().last().copied().unwrap_or(b'0'))? {
                add_one(out, digits_from);
            }
        }
        if negative && out.as_bytes()[digits_from..].iter().all(|&byte| matches!(byte, b'0' | b'.'))
        {
            out.remove(begin);
        }
        Ok(())
    }

    /// Takes signs and currency away.
    fn unsigned<'v>(&self, value: &'v str) -> Result<(bool, &'v str), Rule> {
        let mut rest = value.trim();
        let mut negative = false;
        let mut signed = false;
        let mut has_currency = false;
        if self.parentheses
            && let Some(inner) = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'))
        {
            (negative, signed, rest) = (true, true, inner.trim());
        }
        loop {
            let before = rest.len();
            if !signed {
                // U+2212 is the minus of typesetters.
                if let Some(behind) = rest.strip_prefix(['-', '\u{2212}']) {
                    (negative, signed, rest) = (true, true, behind.trim_start());
                } else if let Some(behind) = rest.strip_prefix('+') {
                    (signed, rest) = (true, behind.trim_start());
                } else if let Some(head) = rest.strip_suffix(['-', '\u{2212}']) {
                    (negative, signed, rest) = (true, true, head.trim_end());
                }
            }
            if !has_currency {
                for sign in &self.currency {
                    if let Some(behind) = rest.strip_prefix(sign.as_str()) {
                        (has_currency, rest) = (true, behind.trim_start());
                        break;
                    }
                    if let Some(head) = rest.strip_suffix(sign.as_str()) {
                        (has_currency, rest) = (true, head.trim_end());
                        break;
                    }
                }
            }
            if rest.len() == before {
                break;
            }
        }
        if rest.is_empty() { Err(Rule::Number) } else { Ok((negative, rest)) }
    }

    /// Writes the digits before the decimal sign, groups checked.
    fn whole(&self, whole: &str, out: &mut String) -> Result<(), Rule> {
        if whole.bytes().all(|byte| byte.is_ascii_digit()) {
            out.push_str(whole);
            return Ok(());
        }
        let Some(grouping) = self.grouping else { return Err(Rule::Number) };
        if matches!(grouping, '.' | ',') {
            return groups(whole, grouping, out);
        }
        let is_sign = |letter: char| {
            letter == grouping
                || (is_blank(grouping) && is_blank(letter))
                || (grouping == '\'' && letter == '’')
        };
        for (at, group) in whole.split(is_sign).enumerate() {
            let fits = if at == 0 { (1..=3).contains(&group.len()) } else { group.len() == 3 };
            if !fits || !group.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Rule::Number);
            }
            out.push_str(group);
        }
        Ok(())
    }

    /// Whether the digits cut off make the last one kept one more.
    fn rounds_up(&self, cut: &str, last: u8) -> Result<bool, Rule> {
        let Some(&first) = cut.as_bytes().first() else { return Ok(false) };
        let is_zero = cut.bytes().all(|digit| digit == b'0');
        let is_half = first == b'5' && cut.bytes().skip(1).all(|digit| digit == b'0');
        Ok(match self.rounding {
            Rounding::HalfUp => first >= b'5',
            Rounding::HalfEven if is_half => (last - b'0') % 2 == 1,
            Rounding::HalfEven => first >= b'5',
            Rounding::Down => false,
            Rounding::Reject if is_zero => false,
            Rounding::Reject => return Err(Rule::Rounding),
        })
    }
}

/// Writes groups of three digits, with a sign of ASCII between them.
fn groups(whole: &str, sign: char, out: &mut String) -> Result<(), Rule> {
    let mut rest = whole;
    let mut is_first = true;
    loop {
        let end = rest.bytes().position(|byte| char::from(byte) == sign);
        let group = end.map_or(rest, |end| &rest[..end]);
        let fits = if is_first { (1..=3).contains(&group.len()) } else { group.len() == 3 };
        if !fits || !group.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Rule::Number);
        }
        out.push_str(group);
        is_first = false;
        match end {
            Some(end) => rest = &rest[end + 1..],
            None => return Ok(()),
        }
    }
}

/// Adds one to the last digit of the number that begins there.
fn add_one(out: &mut String, from: usize) {
    let digits = out.split_off(from);
    let mut bytes = digits.into_bytes();
    let mut carries = true;
    for byte in bytes.iter_mut().rev() {
        match *byte {
            b'.' => {}
            b'9' => *byte = b'0',
            _ => {
                *byte += 1;
                carries = false;
                break;
            }
        }
    }
    if carries {
        out.push('1');
    }
    out.extend(bytes.into_iter().map(char::from));
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn german() -> NumberFormat {
        NumberFormat {
            decimal: ',',
            grouping: Some('.'),
            currency: vec!["€".to_owned(), "EUR".to_owned()],
            ..NumberFormat::default()
        }
    }

    fn made(format: &NumberFormat, value: &str) -> Option<String> {
        let mut text = Text::default();
        text.set(value);
        format.apply(&mut text).ok().map(|()| text.as_str().to_owned())
    }

    #[test]
    fn german_numbers_are_read() {
        for (value, expected) in [
            ("1.234,50 €", "1234.50"),
            ("€ -1.234.567,8", "-1234567.8"),
            ("12,00-", "-12.00"),
            ("EUR 0007", "7"),
            (",5", "0.5"),
            ("5,", "5"),
            ("+3", "3"),
            ("-0,00", "0.00"),
            ("−4", "-4"),
            (
                "123456789012345678901234567890,123456789",
                "123456789012345678901234567890.123456789",
            ),
        ] {
            assert_eq!(made(&german(), value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_may_be_another_number_is_refused() {
        for value in [
            "1.50",
            "1.2345",
            "12.34.567",
            "1,234.50",
            "1.234,5,6",
            "1,23E+11",
            "",
            "€",
            "-",
            "--1",
            "1 234",
            "(12)",
            "1.234.",
            ".",
            "€ 5 €",
            "١٢",
        ] {
            assert_eq!(made(&german(), value), None, "{value}");
        }
        let books =
            NumberFormat { parentheses: true, grouping: Some(' '), ..NumberFormat::default() };
        assert_eq!(made(&books, "(1\u{A0}234.5)").as_deref(), Some("-1234.5"));
        assert_eq!(made(&books, "(-1)"), None);
        let swiss = NumberFormat { grouping: Some('\''), ..NumberFormat::default() };
        assert_eq!(made(&swiss, "1'234’567.05").as_deref(), Some("1234567.05"));
    }

    #[test]
    fn digits_beyond_the_scale_are_rounded_as_told() {
        for (rounding, expected) in [
            (Rounding::HalfUp, ["0.13", "-0.13", "10.00", "0.12", "100"]),
            (Rounding::HalfEven, ["0.12", "-0.12", "10.00", "0.12", "100"]),
            (Rounding::Down, ["0.12", "-0.12", "9.99", "0.12", "99"]),
        ] {
            let to =
                |scale| NumberFormat { scale: Some(scale), rounding, ..NumberFormat::default() };
            for (value, expected) in ["0.125", "-0.125", "9.999", "0.1200"].iter().zip(expected) {
                assert_eq!(made(&to(2), value).as_deref(), Some(expected), "{rounding:?} {value}");
            }
            assert_eq!(made(&to(0), "99.7").as_deref(), Some(expected[4]));
        }
        let strict =
            NumberFormat { scale: Some(1), rounding: Rounding::Reject, ..NumberFormat::default() };
        assert_eq!(made(&strict, "1.50").as_deref(), Some("1.5"));
        assert_eq!(made(&strict, "1.51"), None);
    }

    /// The slow, obvious way: whole numbers of the smallest part.
    fn slowly(units: i128, digits: u32, scale: u32, rounding: Rounding) -> i128 {
        if digits <= scale {
            return units * 10_i128.pow(scale - digits);
        }
        let part = 10_i128.pow(digits - scale);
        let (quotient, rest) = (units.abs() / part, units.abs() % part);
        let up = match rounding {
            Rounding::HalfUp => rest * 2 >= part,
            Rounding::HalfEven => rest * 2 > part || (rest * 2 == part && quotient % 2 == 1),
            _ => false,
        };
        (quotient + i128::from(up)) * units.signum()
    }

    fn units_of(number: &str, scale: u32) -> i128 {
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let padded = format!("{whole}{fraction:0<width$}", width = scale as usize);
        padded.parse().unwrap()
    }

    proptest! {
        #[test]
        fn a_number_written_in_german_reads_back_and_rounds_as_by_hand(
            units in -999_999_999_999_i128..999_999_999_999,
            digits in 0_u32..6,
            scale in 0_u32..6,
            rounding in prop::sample::select(vec![Rounding::HalfUp, Rounding::HalfEven, Rounding::Down]),
            grouped in any::<bool>(),
        ) {
            let part = 10_i128.pow(digits);
            let whole = (units.abs() / part).to_string();
            let mut text = String::new();
            for (at, digit) in whole.chars().enumerate() {
                if grouped && at > 0 && (whole.len() - at) % 3 == 0 {
                    text.push('.');
                }
                text.push(digit);
            }
            if digits > 0 {
                let _ = write!(text, ",{:0width$}", units.abs() % part, width = digits as usize);
            }
            if units < 0 {
                text.insert(0, '-');
            }
            let format = NumberFormat { scale: Some(scale), rounding, ..german() };
            let made = made(&format, &text).unwrap();
            prop_assert_eq!(units_of(&made, scale), slowly(units, digits, scale, rounding), "{} {}", text, made);
            let is_zero = made.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
            prop_assert!(!(is_zero && made.starts_with('-')), "{}", made);
        }

        #[test]
        fn anything_else_is_refused_or_a_number(value in "[-+(0-9.,' €E)]{0,12}") {
            if let Some(made) = made(&german(), &value) {
                prop_assert!(made.parse::<f64>().is_ok(), "{} {}", value, made);
            }
        }
    }
}
