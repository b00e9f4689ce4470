//! Days, instants and date literals ("Date Formats and Date Literals", SOQL
//! and SOSL reference). All literals are reckoned in UTC: the users of this
//! org live there. Weeks begin on Sunday, the fiscal year is the calendar year.

use jiff::civil::{Date, Time, Weekday};
use jiff::{Span, Timestamp, ToSpan as _};

/// Milliseconds of a day.
pub(crate) const DAY: i64 = 86_400_000;

/// Days since 1970-01-01 of `yyyy-MM-dd`.
pub(crate) fn parse_date(word: &str) -> Option<i32> {
    let bytes = word.as_bytes();
    let shaped = bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, b)| match at {
            4 | 7 => *b == b'-',
            _ => b.is_ascii_digit(),
        });
    if !shaped {
        return None;
    }
    word.parse().ok().map(days_of)
}

/// Milliseconds since 1970-01-01T00:00Z of `yyyy-MM-ddTHH:mm:ss[.SSS]` with
/// `Z` or an offset.
pub(crate) fn parse_datetime(word: &str) -> Option<i64> {
    if word.len() < 20 || word.as_bytes().get(10).is_none_or(|b| !b.eq_ignore_ascii_case(&b'T')) {
        return None;
    }
    word.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// Milliseconds since midnight of `HH:mm:ss[.SSS][Z]`.
pub(crate) fn parse_time(word: &str) -> Option<i32> {
    if word.as_bytes().get(2) != Some(&b':') {
        return None;
    }
    let time: Time = word.strip_suffix(['Z', 'z']).unwrap_or(word).parse().ok()?;
    let seconds =
        (i32::from(time.hour()) * 60 + i32::from(time.minute())) * 60 + i32::from(time.second());
    Some(seconds * 1000 + i32::from(time.millisecond()))
}

fn days_of(date: Date) -> i32 {
    let epoch = Date::constant(1970, 1, 1);
    (date - epoch).get_days()
}

fn date_of(days: i32) -> Option<Date> {
    Date::constant(1970, 1, 1).checked_add(i64::from(days).days()).ok()
}

/// A date literal; its meaning depends on the day it is asked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DateLiteral {
    unit: Unit,
    /// First unit counted from the current one (which is 0).
    from: i32,
    /// How many units.
    count: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl DateLiteral {
    /// Reads a date literal in whatever letter case.
    pub(crate) fn parse(word: &str) -> Option<DateLiteral> {
        let upper = word.to_ascii_uppercase();
        let fixed = |unit, from, count| Some(DateLiteral { unit, from, count });
        match upper.as_str() {
            "TODAY" => return fixed(Unit::Day, 0, 1),
            "YESTERDAY" => return fixed(Unit::Day, -1, 1),
            "TOMORROW" => return fixed(Unit::Day, 1, 1),
            // The day before today and the 90 days that end with it.
            "LAST_90_DAYS" => return fixed(Unit::Day, -90, 91),
            "NEXT_90_DAYS" => return fixed(Unit::Day, 1, 90),
            _ => {}
        }
        let (name, number) = match upper.split_once(':') {
            Some((name, number)) => (name.to_owned(), Some(number.parse::<i32>().ok()?)),
            None => (upper, None),
        };
        if number.is_some_and(|n| !(0..=100_000).contains(&n)) {
            return None;
        }
        // FISCAL_ is the same here.
        let name = name.replace("FISCAL_", "");
        if let Some(n) = number {
            let unit = |prefix: &str| {
                name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('S')).and_then(Unit::of)
            };
            if let Some(unit) = unit("LAST_N_") {
                // LAST_N_DAYS goes on until now; the larger units end before the current one.
                return fixed(unit, -n, if unit == Unit::Day { n + 1 } else { n });
            }
            if let Some(unit) = unit("NEXT_N_") {
                return fixed(unit, 1, n);
            }
            let ago = name.strip_prefix("N_").and_then(|rest| rest.strip_suffix("S_AGO"));
            return fixed(Unit::of(ago?)?, -n, 1);
        }
        let unit = |prefix: &str| name.strip_prefix(prefix).and_then(Unit::of);
        if let Some(unit) = unit("THIS_") {
            return fixed(unit, 0, 1);
        }
        if let Some(unit) = unit("LAST_") {
            return fixed(unit, -1, 1);
        }
        unit("NEXT_").and_then(|unit| fixed(unit, 1, 1))
    }

    /// First day and the day after the last, as days since 1970-01-01, when
    /// today is `today`. None beyond the calendar.
    pub(crate) fn days(self, today: i32) -> Option<(i32, i32)> {
        let start = self.unit.start(date_of(today)?)?;
        let shift = |units: i32| start.checked_add(self.unit.span(units)).ok().map(days_of);
        Some((shift(self.from)?, shift(self.from + self.count)?))
    }
}

impl Unit {
    fn of(word: &str) -> Option<Unit> {
        Some(match word {
            "DAY" => Unit::Day,
            "WEEK" => Unit::Week,
            "MONTH" => Unit::Month,
            "QUARTER" => Unit::Quarter,
            "YEAR" => Unit::Year,
            _ => return None,
        })
    }

    fn start(self, date: Date) -> Option<Date> {
        match self {
            Unit::Day => Some(date),
            Unit::Week => {
                let back = i64::from(date.weekday().since(Weekday::Sunday));
                date.checked_sub(back.days()).ok()
            }
            Unit::Month => Some(date.first_of_month()),
            Unit::Quarter => Date::new(date.year(), (date.month() - 1) / 3 * 3 + 1, 1).ok(),
            Unit::Year => Some(date.first_of_year()),
        }
    }

    fn span(self, units: i32) -> Span {
        let units = i64::from(units);
        match self {
            Unit::Day => units.days(),
            Unit::Week => units.weeks(),
            Unit::Month => units.months(),
            Unit::Quarter => (units * 3).months(),
            Unit::Year => units.years(),
        }
    }
}

/// The day of an instant.
pub(crate) fn day_of(millis: i64) -> i32 {
    millis.div_euclid(DAY) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(text: &str) -> i32 {
        parse_date(text).unwrap()
    }

    /// 2026-05-13 is a Wednesday.
    fn range(literal: &str) -> (i32, i32) {
        DateLiteral::parse(literal).unwrap().days(days("2026-05-13")).unwrap()
    }

    #[test]
    fn literals_mean_what_the_reference_says() {
        for (literal, from, until) in [
            ("TODAY", "2026-05-13", "2026-05-14"),
            ("yesterday", "2026-05-12", "2026-05-13"),
            ("THIS_WEEK", "2026-05-10", "2026-05-17"),
            ("LAST_WEEK", "2026-05-03", "2026-05-10"),
            ("THIS_MONTH", "2026-05-01", "2026-06-01"),
            ("LAST_MONTH", "2026-04-01", "2026-05-01"),
            ("NEXT_QUARTER", "2026-07-01", "2026-10-01"),
            ("THIS_FISCAL_QUARTER", "2026-04-01", "2026-07-01"),
            ("LAST_YEAR", "2025-01-01", "2026-01-01"),
            ("LAST_N_DAYS:7", "2026-05-06", "2026-05-14"),
            ("NEXT_N_DAYS:3", "2026-05-14", "2026-05-17"),
            ("LAST_N_MONTHS:2", "2026-03-01", "2026-05-01"),
            ("N_DAYS_AGO:1", "2026-05-12", "2026-05-13"),
            ("N_YEARS_AGO:2", "2024-01-01", "2025-01-01"),
        ] {
            assert_eq!(range(literal), (days(from), days(until)), "{literal}");
        }
        for word in ["LAST_N_DAYS", "LAST_DAYS:3", "SOMEDAY", "N_DAYS_AGO", "THIS_WEEK:2"] {
            assert_eq!(DateLiteral::parse(word), None, "{word}");
        }
    }

    #[test]
    fn days_and_instants_are_read_strictly() {
        assert_eq!(parse_datetime("2026-01-01T01:00:00.123+01:00"), Some(1_767_225_600_123));
        assert_eq!(parse_datetime("2026-01-01T00:00:00"), None);
        assert_eq!(parse_date("2026-02-30"), None);
        assert_eq!(parse_time("01:02:03.500Z"), Some(3_723_500));
        assert_eq!(day_of(-1), -1);
    }
}
