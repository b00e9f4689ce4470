//! Dates and datetimes in formats that the mapping lists, in the form the org
//! takes. A date is never shifted; an instant is sent in UTC.

mod format;

use jiff::civil;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use serde::{Deserialize, Serialize};

use format::{Format, Read};

use super::text::{Text, trimmed_text};
use crate::rows::Rule;

/// How dates or datetimes of a field are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DateFormats {
    /// The formats, in the order they are tried.
    pub formats: Vec<String>,
    /// The first of the hundred years that two digits stand for.
    pub two_digit_years_from: Option<i16>,
    /// The zone of times that say none.
    pub timezone: Option<String>,
    /// What becomes of a time that the zone skips.
    pub gap: Fold,
    /// What becomes of a time that the zone has twice.
    pub overlap: Fold,
}

/// What becomes of a time that a zone has twice, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    /// Its row is rejected.
    Reject,
    /// It is the earlier of two instants.
    Earlier,
    /// It is the later of two instants.
    Later,
}

impl DateFormats {
    /// The formats in words.
    pub(super) fn words(&self) -> String {
        self.formats.join(", ")
    }
}

/// The formats, ready to be used.
#[derive(Debug)]
pub(super) struct Dates {
    formats: Vec<Format>,
    zone: Option<TimeZone>,
    gap: Fold,
    overlap: Fold,
}

impl Dates {
    /// Compiles formats and finds the zone.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub(super) fn new(formats: &DateFormats, is_datetime: bool) -> Result<Self, String> {
        let zone = match &formats.timezone {
            Some(name) => Some(TimeZone::get(name).map_err(|_| {
                format!("`{name}` is no time zone; IANA names are allowed, such as Europe/Berlin")
            })?),
            None => None,
        };
        let mut compiled = Vec::with_capacity(formats.formats.len());
        for text in &formats.formats {
            let format = Format::parse(text, formats.two_digit_years_from)
                .map_err(|error| format!("format `{text}`: {error}"))?;
            if is_datetime && zone.is_none() && !format.has_offset() {
                return Err(format!(
                    "format `{text}` has no zone (X), so `timezone` must say which one is meant"
                ));
            }
            compiled.push(format);
        }
        Ok(Dates { formats: compiled, zone, gap: formats.gap, overlap: formats.overlap })
    }

    fn read(&self, value: &str, rule: Rule) -> Result<Read, Rule> {
        let value = trimmed_text(value);
        let mut fits = false;
        for format in &self.formats {
            match format.read(value) {
                Some(Ok(read)) => return Ok(read),
                Some(Err(())) => fits = true,
                None => {}
            }
        }
        Err(if fits { Rule::Calendar } else { rule })
    }

    /// Makes a value the day that is written in it.
    pub(super) fn to_date(&self, text: &mut Text<'_>) -> Result<(), Rule> {
        let read = self.read(text.as_str(), Rule::Date)?;
        let mut day = *b"0000-00-00";
        write_day(read.at.date(), &mut day);
        text.set(str::from_utf8(&day).unwrap_or_default());
        Ok(())
    }

    /// Makes a value the instant that it means.
    pub(super) fn to_datetime(&self, text: &mut Text<'_>) -> Result<(), Rule> {
        let read = self.read(text.as_str(), Rule::DateTime)?;
        let offset = match (read.offset, &self.zone) {
            (Some(seconds), _) => Offset::from_seconds(seconds).map_err(|_| Rule::Calendar)?,
            (None, Some(zone)) => self.offset(zone, read.at)?,
            (None, None) => return Err(Rule::DateTime),
        };
        let instant = offset.to_timestamp(read.at).map_err(|_| Rule::Calendar)?;
        let utc = Offset::UTC.to_datetime(instant);
        let mut made = *b"0000-00-00T00:00:00.000Z";
        write_day(utc.date(), &mut made);
        digits(utc.hour().unsigned_abs().into(), made.get_mut(11..13));
        digits(utc.minute().unsigned_abs().into(), made.get_mut(14..16));
        digits(utc.second().unsigned_abs().into(), made.get_mut(17..19));
        let millis = utc.subsec_nanosecond() / 1_000_000;
        let (to_second, fraction) = made.split_at_mut(19);
        digits(millis.unsigned_abs(), fraction.get_mut(1..4));
        let out = text.fresh();
        out.push_str(str::from_utf8(to_second).unwrap_or_default());
        let fraction = if millis > 0 { &fraction[..] } else { b"Z" };
        out.push_str(str::from_utf8(fraction).unwrap_or_default());
        Ok(())
    }

    /// The offset of a zone at a local time. Where clocks go forward, the
    /// offset before reads 02:30 as 03:30, the one behind as 01:30.
    fn offset(&self, zone: &TimeZone, at: civil::DateTime) -> Result<Offset, Rule> {
        match zone.to_ambiguous_timestamp(at).offset() {
            AmbiguousOffset::Unambiguous { offset } => Ok(offset),
            AmbiguousOffset::Gap { before, after } => match self.gap {
                Fold::Reject => Err(Rule::SkippedTime),
                Fold::Later => Ok(before),
                Fold::Earlier => Ok(after),
            },
            AmbiguousOffset::Fold { before, after } => match self.overlap {
                Fold::Reject => Err(Rule::RepeatedTime),
                Fold::Earlier => Ok(before),
                Fold::Later => Ok(after),
            },
        }
    }
}

/// Writes a day over `0000-00-00`.
fn write_day(day: civil::Date, out: &mut [u8]) {
    digits(day.year().unsigned_abs().into(), out.get_mut(..4));
    digits(day.month().unsigned_abs().into(), out.get_mut(5..7));
    digits(day.day().unsigned_abs().into(), out.get_mut(8..10));
}

/// Writes the last digits of a number; formatting takes ten times as long.
fn digits(number: u32, out: Option<&mut [u8]>) {
    let mut rest = number;
    for place in out.into_iter().flatten().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn formats(formats: &[&str]) -> DateFormats {
        DateFormats {
            formats: formats.iter().map(|&format| format.to_owned()).collect(),
            two_digit_years_from: None,
            timezone: None,
            gap: Fold::Reject,
            overlap: Fold::Reject,
        }
    }

    fn berlin(list: &[&str]) -> DateFormats {
        DateFormats { timezone: Some("Europe/Berlin".to_owned()), ..formats(list) }
    }

    fn date(formats: &DateFormats, value: &str) -> Result<String, Rule> {
        let mut text = Text::default();
        text.set(value);
        Dates::new(formats, false).unwrap().to_date(&mut text)?;
        Ok(text.as_str().to_owned())
    }

    fn instant(formats: &DateFormats, value: &str) -> Result<String, Rule> {
        let mut text = Text::default();
        text.set(value);
        Dates::new(formats, true).unwrap().to_datetime(&mut text)?;
        Ok(text.as_str().to_owned())
    }

    #[test]
    fn the_first_format_that_fits_is_taken_and_a_date_never_shifts() {
        let german = formats(&["dd.MM.yyyy", "d.M.yyyy", "yyyy-MM-dd HH:mmX", "d MMM yyyy"]);
        for (value, expected) in [
            ("31.12.2025", "2025-12-31"),
            (" 1.2.2026 ", "2026-02-01"),
            ("2026-01-01 00:30+14:00", "2026-01-01"),
            ("7 sep 1999", "1999-09-07"),
        ] {
            assert_eq!(date(&german, value).as_deref(), Ok(expected), "{value}");
        }
        for (value, rule) in [
            ("30.02.2026", Rule::Calendar),
            ("12/31/2025", Rule::Date),
            ("31.12.25", Rule::Date),
            ("", Rule::Date),
            ("1.2.20266", Rule::Date),
        ] {
            assert_eq!(date(&german, value), Err(rule), "{value}");
        }
    }

    #[test]
    fn two_digits_are_a_year_of_the_hundred_that_was_named() {
        let short = DateFormats { two_digit_years_from: Some(1950), ..formats(&["dd.MM.yy"]) };
        for (value, expected) in
            [("01.01.49", "2049-01-01"), ("01.01.50", "1950-01-01"), ("29.02.00", "2000-02-29")]
        {
            assert_eq!(date(&short, value).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn an_instant_is_sent_in_utc() {
        let list = berlin(&["dd.MM.yyyy HH:mm", "dd.MM.yyyy", "yyyy-MM-dd'T'HH:mm:ss.SSSX"]);
        for (value, expected) in [
            ("01.03.2026 09:30", "2026-03-01T08:30:00Z"),
            ("01.07.2026 09:30", "2026-07-01T07:30:00Z"),
            ("01.01.2026", "2025-12-31T23:00:00Z"),
            ("2026-01-01T00:00:00.120-0530", "2026-01-01T05:30:00.120Z"),
            ("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.500Z"),
        ] {
            assert_eq!(instant(&list, value).as_deref(), Ok(expected), "{value}");
        }
        let us = DateFormats {
            timezone: Some("America/New_York".to_owned()),
            ..formats(&["M/d/yyyy h:mm a"])
        };
        assert_eq!(instant(&us, "1/2/2026 12:05 am").as_deref(), Ok("2026-01-02T05:05:00Z"));
        assert_eq!(instant(&us, "1/2/2026 12:05 PM").as_deref(), Ok("2026-01-02T17:05:00Z"));
        assert_eq!(instant(&us, "1/2/2026 13:05 PM"), Err(Rule::Calendar));
    }

    #[test]
    fn hours_that_a_zone_skips_or_has_twice_are_never_guessed() {
        let list = berlin(&["yyyy-MM-dd HH:mm"]);
        let (skipped, repeated) = ("2026-03-29 02:30", "2026-10-25 02:30");
        assert_eq!(instant(&list, skipped), Err(Rule::SkippedTime));
        assert_eq!(instant(&list, repeated), Err(Rule::RepeatedTime));
        let later = DateFormats { gap: Fold::Later, overlap: Fold::Later, ..list.clone() };
        assert_eq!(instant(&later, skipped).as_deref(), Ok("2026-03-29T01:30:00Z"));
        assert_eq!(instant(&later, repeated).as_deref(), Ok("2026-10-25T01:30:00Z"));
        let earlier = DateFormats { gap: Fold::Earlier, overlap: Fold::Earlier, ..list };
        assert_eq!(instant(&earlier, skipped).as_deref(), Ok("2026-03-29T00:30:00Z"));
        assert_eq!(instant(&earlier, repeated).as_deref(), Ok("2026-10-25T00:30:00Z"));
    }

    #[test]
    fn what_is_wrong_with_formats_is_told() {
        let wrong = |formats: &DateFormats| Dates::new(formats, true).unwrap_err();
        assert_eq!(
            wrong(&formats(&["dd.MM.yyyy"])),
            "format `dd.MM.yyyy` has no zone (X), so `timezone` must say which one is meant"
        );
        let nowhere = DateFormats { timezone: Some("Berlin".to_owned()), ..formats(&[]) };
        assert_eq!(
            wrong(&nowhere),
            "`Berlin` is no time zone; IANA names are allowed, such as Europe/Berlin"
        );
    }

    proptest! {
        #[test]
        fn a_date_reads_back(day in 1_u32..=28, month in 1_u32..=12, year in 1_i32..=9999) {
            let list = formats(&["yyyy/MM/dd", "dd.MM.yyyy"]);
            let expected = format!("{year:04}-{month:02}-{day:02}");
            prop_assert_eq!(date(&list, &format!("{day:02}.{month:02}.{year:04}")), Ok(expected.clone()));
            prop_assert_eq!(date(&list, &format!("{year:04}/{month:02}/{day:02}")), Ok(expected));
        }

        #[test]
        fn an_instant_reads_back(second in 0_i64..4_102_444_800) {
            let at = Timestamp::from_second(second).unwrap();
            let zoned = at.to_zoned_datetime(TimeZone::get("Europe/Berlin").unwrap());
            let list = berlin(&["yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd HH:mm:ssX"]);
            let exact = zoned.strftime("%Y-%m-%d %H:%M:%S%:z").to_string();
            prop_assert_eq!(instant(&list, &exact), Ok(at.to_string()));
            let local = zoned.strftime("%Y-%m-%d %H:%M:%S").to_string();
            match instant(&list, &local) {
                Ok(made) => prop_assert_eq!(made, at.to_string()),
                Err(rule) => prop_assert_eq!(rule, Rule::RepeatedTime),
            }
        }
    }
}
