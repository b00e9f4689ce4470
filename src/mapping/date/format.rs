//! Formats of dates, written with letters: `dd.MM.yyyy HH:mm`.

use jiff::civil::{Date, DateTime, Time};

/// A format taken apart.
#[derive(Debug)]
pub(in crate::mapping) struct Format {
    items: Vec<Item>,
    /// The first of the hundred years that two digits stand for.
    pivot: i16,
    /// Where everything stands, if that is the same in every value.
    fixed: Option<Fixed>,
}

/// A format of ASCII whose every part has one width.
#[derive(Debug, Default)]
struct Fixed {
    length: usize,
    literals: Vec<(usize, u8)>,
    /// Where year, month, day, hour, minute and second begin.
    parts: [Option<usize>; 6],
}

impl Fixed {
    fn of(items: &[Item]) -> Option<Self> {
        let mut fixed = Fixed::default();
        for item in items {
            let (part, width) = match item {
                Item::Literal(text) if text.is_ascii() => {
                    let from = fixed.length;
                    fixed.literals.extend((from..).zip(text.bytes()));
                    fixed.length += text.len();
                    continue;
                }
                Item::Year4 => (0, 4),
                Item::Number(Part::Month, 2, 2) => (1, 2),
                Item::Number(Part::Day, 2, 2) => (2, 2),
                Item::Number(Part::Hour, 2, 2) => (3, 2),
                Item::Number(Part::Minute, 2, 2) => (4, 2),
                Item::Number(Part::Second, 2, 2) => (5, 2),
                _ => return None,
            };
            *fixed.parts.get_mut(part)? = Some(fixed.length);
            fixed.length += width;
        }
        Some(fixed)
    }

    /// As [`Format::read`].
    fn read(&self, value: &[u8]) -> Option<Result<Read, ()>> {
        if value.len() != self.length
            || !self.literals.iter().all(|&(at, byte)| value.get(at) == Some(&byte))
        {
            return None;
        }
        let number = |part: Option<usize>, width: usize| {
            let Some(at) = part else { return Some(0) };
            value.get(at..at + width)?.iter().try_fold(0_i16, |number, byte| {
                byte.is_ascii_digit().then(|| number * 10 + i16::from(byte - b'0'))
            })
        };
        let [year, month, day, hour, minute, second] = self.parts;
        let year = number(year, 4)?;
        let two = |part| number(part, 2).map(|number| number as i8);
        let (month, day) = (two(month)?, two(day)?);
        let (hour, minute, second) = (two(hour)?, two(minute)?, two(second)?);
        Some(match (Date::new(year, month, day), Time::new(hour, minute, second, 0)) {
            (Ok(day), Ok(time)) => Ok(Read { at: DateTime::from_parts(day, time), offset: None }),
            _ => Err(()),
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Item {
    Literal(String),
    Year4,
    Year2,
    /// A number of so many digits at least and at most.
    Number(Part, u8, u8),
    MonthName {
        whole: bool,
    },
    AmPm,
    Fraction(u8),
    Offset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Month,
    Day,
    Hour,
    Hour12,
    Minute,
    Second,
}

/// What a value says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mapping) struct Read {
    /// The day and time that are written.
    pub(in crate::mapping) at: DateTime,
    /// The offset that is written, in seconds.
    pub(in crate::mapping) offset: Option<i32>,
}

/// Why a text is no format.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::mapping) enum FormatError {
    #[error(
        "`{0}` stands for nothing; allowed are yyyy, yy, M, MM, MMM, MMMM, d, dd, H, HH, h, hh, a, \
         m, mm, s, ss, S, X, and other text in 'single quotes'"
    )]
    Letters(String),
    #[error("a single quote is not closed")]
    Quote,
    #[error("day, month and year must all be in it")]
    NoDay,
    #[error("`{0}` is in it twice")]
    Twice(&'static str),
    #[error("h and a (AM or PM) go together")]
    Half,
    #[error(
        "`yy` needs `two_digit_years_from`, the first of the hundred years that two digits stand for"
    )]
    Pivot,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl Format {
    /// Takes a format apart.
    pub(in crate::mapping) fn parse(text: &str, pivot: Option<i16>) -> Result<Self, FormatError> {
        let mut items: Vec<Item> = Vec::new();
        let literal = |items: &mut Vec<Item>, text: &str| match items.last_mut() {
            Some(Item::Literal(before)) => before.push_str(text),
            _ => items.push(Item::Literal(text.to_owned())),
        };
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            if letter == '\'' {
                let end = rest[1..].find('\'').ok_or(FormatError::Quote)?;
                literal(&mut items, if end == 0 { "'" } else { &rest[1..=end] });
                rest = &rest[end + 2..];
                continue;
            }
            if !letter.is_ascii_alphabetic() {
                literal(&mut items, &rest[..letter.len_utf8()]);
                rest = &rest[letter.len_utf8()..];
                continue;
            }
            let run = rest.find(|other| other != letter).unwrap_or(rest.len());
            let (letters, behind) = rest.split_at(run);
            rest = behind;
            items.push(match letters {
                "yyyy" => Item::Year4,
                "yy" => Item::Year2,
                "M" => Item::Number(Part::Month, 1, 2),
                "MM" => Item::Number(Part::Month, 2, 2),
                "MMM" => Item::MonthName { whole: false },
                "MMMM" => Item::MonthName { whole: true },
                "d" => Item::Number(Part::Day, 1, 2),
                "dd" => Item::Number(Part::Day, 2, 2),
                "H" => Item::Number(Part::Hour, 1, 2),
                "HH" => Item::Number(Part::Hour, 2, 2),
                "h" => Item::Number(Part::Hour12, 1, 2),
                "hh" => Item::Number(Part::Hour12, 2, 2),
                "m" => Item::Number(Part::Minute, 1, 2),
                "mm" => Item::Number(Part::Minute, 2, 2),
                "s" => Item::Number(Part::Second, 1, 2),
                "ss" => Item::Number(Part::Second, 2, 2),
                "a" => Item::AmPm,
                "X" => Item::Offset,
                _ if letter == 'S' && run <= 9 => Item::Fraction(run as u8),
                _ => return Err(FormatError::Letters(letters.to_owned())),
            });
        }
        let fixed = Fixed::of(&items);
        let format = Format { items, pivot: pivot.unwrap_or(0), fixed };
        format.check(pivot)?;
        Ok(format)
    }

    fn check(&self, pivot: Option<i16>) -> Result<(), FormatError> {
        let count = |is: fn(&Item) -> bool| self.items.iter().filter(|item| is(item)).count();
        let years = count(|item| matches!(item, Item::Year4 | Item::Year2));
        let months =
            count(|item| matches!(item, Item::Number(Part::Month, ..) | Item::MonthName { .. }));
        let days = count(|item| matches!(item, Item::Number(Part::Day, ..)));
        let halves = count(|item| matches!(item, Item::Number(Part::Hour12, ..)));
        let hours = halves + count(|item| matches!(item, Item::Number(Part::Hour, ..)));
        let once = [
            ("the year", years),
            ("the month", months),
            ("the day", days),
            ("the hour", hours),
            ("the minute", count(|item| matches!(item, Item::Number(Part::Minute, ..)))),
            ("the second", count(|item| matches!(item, Item::Number(Part::Second, ..)))),
            ("the fraction", count(|item| matches!(item, Item::Fraction(_)))),
            ("AM or PM", count(|item| *item == Item::AmPm)),
            ("the zone", count(|item| *item == Item::Offset)),
        ];
        if let Some((name, _)) = once.iter().find(|(_, count)| *count > 1) {
            return Err(FormatError::Twice(name));
        }
        if years * months * days == 0 {
            return Err(FormatError::NoDay);
        }
        if halves != count(|item| *item == Item::AmPm) {
            return Err(FormatError::Half);
        }
        if pivot.is_none() && count(|item| *item == Item::Year2) > 0 {
            return Err(FormatError::Pivot);
        }
        Ok(())
    }

    /// Whether values say their zone.
    pub(in crate::mapping) fn has_offset(&self) -> bool {
        self.items.contains(&Item::Offset)
    }

    /// Reads a value: `None` when it has another form, an error when it has
    /// this form and the calendar has no such day or time.
    pub(in crate::mapping) fn read(&self, value: &str) -> Option<Result<Read, ()>> {
        match &self.fixed {
            Some(fixed) => fixed.read(value.as_bytes()),
            None => self.read_parts(value),
        }
    }

    /// Reads one part after the other.
    fn read_parts(&self, value: &str) -> Option<Result<Read, ()>> {
        let mut rest = value;
        let (mut year, mut month, mut day) = (0_i16, 0_i8, 0_i8);
        let (mut hour, mut minute, mut second, mut nanos) = (0_i8, 0_i8, 0_i8, 0_i32);
        let mut afternoon = None;
        let mut offset = None;
        for item in &self.items {
            match item {
                Item::Literal(text) => rest = rest.strip_prefix(text.as_str())?,
                Item::Year4 => year = digits(&mut rest, 4, 4)?.0 as i16,
                Item::Year2 => {
                    let two = digits(&mut rest, 2, 2)?.0 as i16;
                    year = self.pivot - self.pivot.rem_euclid(100) + two;
                    if year < self.pivot {
                        year += 100;
                    }
                }
                Item::Number(part, least, most) => {
                    let number = digits(&mut rest, *least, *most)?.0 as i8;
                    *match part {
                        Part::Month => &mut month,
                        Part::Day => &mut day,
                        Part::Hour | Part::Hour12 => &mut hour,
                        Part::Minute => &mut minute,
                        Part::Second => &mut second,
                    } = number;
                }
                Item::MonthName { whole } => month = month_name(&mut rest, *whole)?,
                Item::AmPm => {
                    let word = rest.get(..2)?;
                    afternoon = Some(match word {
                        _ if word.eq_ignore_ascii_case("am") => false,
                        _ if word.eq_ignore_ascii_case("pm") => true,
                        _ => return None,
                    });
                    rest = &rest[2..];
                }
                Item::Fraction(most) => {
                    let (number, read) = digits(&mut rest, 1, *most)?;
                    nanos = (number * 10_u32.pow(u32::from(9 - read))) as i32;
                }
                Item::Offset => offset = Some(zone(&mut rest)?),
            }
        }
        if !rest.is_empty() {
            return None;
        }
        if let Some(afternoon) = afternoon {
            if !(1..=12).contains(&hour) {
                return Some(Err(()));
            }
            hour = hour % 12 + if afternoon { 12 } else { 0 };
        }
        let day = Date::new(year, month, day);
        let time = Time::new(hour, minute, second, nanos);
        Some(match (day, time) {
            (Ok(day), Ok(time)) => Ok(Read { at: DateTime::from_parts(day, time), offset }),
            _ => Err(()),
        })
    }
}

/// A number of `least` to `most` digits, and how many it has.
fn digits(rest: &mut &str, least: u8, most: u8) -> Option<(u32, u8)> {
    let bytes = rest.as_bytes();
    let mut number = 0_u32;
    let mut read = 0_u8;
    while read < most
        && let Some(digit) = bytes.get(usize::from(read)).filter(|byte| byte.is_ascii_digit())
    {
        number = number * 10 + u32::from(digit - b'0');
        read += 1;
    }
    if read < least {
        return None;
    }
    *rest = &rest[usize::from(read)..];
    Some((number, read))
}

fn month_name(rest: &mut &str, whole: bool) -> Option<i8> {
    for (number, name) in (1_i8..).zip(MONTHS) {
        let name = if whole { name } else { &name[..3] };
        if rest.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name)) {
            *rest = &rest[name.len()..];
            return Some(number);
        }
    }
    None
}

/// `Z`, `+01`, `+0100` or `+01:00`, in seconds.
fn zone(rest: &mut &str) -> Option<i32> {
    if let Some(behind) = rest.strip_prefix(['Z', 'z']) {
        *rest = behind;
        return Some(0);
    }
    let sign = match rest.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    *rest = &rest[1..];
    let (hours, _) = digits(rest, 2, 2)?;
    let has_colon = rest.starts_with(':');
    if has_colon {
        *rest = &rest[1..];
    }
    let minutes = match digits(rest, 2, 2) {
        Some((minutes, _)) if minutes < 60 => minutes,
        None if !has_colon => 0,
        _ => return None,
    };
    Some(sign * (hours * 3_600 + minutes * 60) as i32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_format_is_told() {
        let wrong = |text: &str| Format::parse(text, None).unwrap_err().to_string();
        assert!(wrong("DD.MM.yyyy").starts_with("`DD` stands for nothing; allowed are yyyy, yy"));
        assert_eq!(wrong("dd.MM"), "day, month and year must all be in it");
        assert_eq!(wrong("dd.MM.yyyy d"), "`the day` is in it twice");
        assert_eq!(wrong("dd.MM.yyyy hh:mm"), "h and a (AM or PM) go together");
        assert!(wrong("dd.MM.yy").starts_with("`yy` needs `two_digit_years_from`"));
        assert_eq!(wrong("yyyy'T"), "a single quote is not closed");
    }

    proptest! {
        #[test]
        fn a_format_of_one_width_is_read_as_part_by_part(
            value in "[0-3][0-9][.x][01][0-9][.é](19|20)[0-9]{2}( [0-2][0-9]:[0-6][0-9])?|[0-9.: ]{0,17}",
        ) {
            for format in ["dd.MM.yyyy", "dd.MM.yyyy HH:mm", "yyyyMMddHHmmss", "'um' HH MM dd yyyy"] {
                let format = Format::parse(format, None).unwrap();
                prop_assert!(format.fixed.is_some());
                prop_assert_eq!(format.read(&value), format.read_parts(&value));
            }
        }
    }

    #[test]
    fn text_between_quotes_stands_for_itself() {
        let format = Format::parse("'am' d. MMMM yyyy ''H:m 'Uhr'", None).unwrap();
        let read = format.read("am 3. March 2026 '7:05 Uhr").unwrap().unwrap();
        assert_eq!(read.at.to_string(), "2026-03-03T07:05:00");
        assert_eq!(format.read("am 3. Mar 2026 '7:05 Uhr"), None);
    }
}
