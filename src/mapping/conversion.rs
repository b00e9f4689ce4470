//! The conversions of a field's entry: number, date, datetime, boolean words
//! and ids.

use toml::de::DeValue;

use super::date::{DateFormats, Dates, Fold};
use super::file::{Defaults, lower_words, pivot, sign};
use super::keys;
use super::number::{NumberFormat, Rounding};
use super::recipe::Step;
use super::section::{Section, listed};

/// A conversion that was read.
pub(super) struct Conversion {
    pub(super) step: Step,
    /// Whether its scale is that of the field.
    pub(super) scale_of_field: bool,
}

const CONVERSIONS: [&str; 5] = ["number", "date", "datetime", "boolean", "long_id"];

/// Reads the conversion of a field, if it has one.
pub(super) fn read(section: &Section<'_, '_>, defaults: &Defaults) -> Option<Conversion> {
    let named: Vec<&str> = CONVERSIONS.into_iter().filter(|key| section.has(key)).collect();
    if let [one, other, ..] = named.as_slice() {
        section.wrong(other, format!("does not go with `{one}`: a field has one conversion"));
        return None;
    }
    let mut scale_of_field = false;
    let step = match *named.first()? {
        "number" => Step::Number(number(section, defaults, &mut scale_of_field)?),
        "date" => Step::Date(dates(section, "date", keys::DATE, defaults)?),
        "datetime" => Step::DateTime(dates(section, "datetime", keys::DATETIME, defaults)?),
        "boolean" => boolean(section)?,
        _ => {
            if section.flag("long_id")? {
                Step::LongId
            } else {
                return None;
            }
        }
    };
    Some(Conversion { step, scale_of_field })
}

fn number(
    section: &Section<'_, '_>,
    defaults: &Defaults,
    scale_of_field: &mut bool,
) -> Option<NumberFormat> {
    let mut format = NumberFormat {
        decimal: defaults.decimal,
        grouping: defaults.grouping,
        ..NumberFormat::default()
    };
    let value = section.get("number")?;
    let table = match value.get_ref() {
        DeValue::Boolean(true) => return Some(format),
        DeValue::Table(table) => table,
        _ => {
            let keys = listed(keys::NUMBER);
            section.wrong("number", format!("must be `true` or a table with {keys}"));
            return None;
        }
    };
    let about = format!("{}.number", section.about);
    let inner = Section::new(section.report, table, &about, value.span().start, keys::NUMBER);
    if let Some(decimal) = sign(&inner, "decimal", keys::DECIMAL) {
        format.decimal = decimal;
        // That of the defaults belongs to their decimal sign.
        if format.grouping == Some(decimal) {
            format.grouping = None;
        }
    }
    if let Some(grouping) = sign(&inner, "grouping", keys::GROUPING) {
        format.grouping = Some(grouping);
    }
    if format.grouping == Some(format.decimal) {
        inner.wrong("grouping", "is the decimal sign, too; they must differ");
    }
    if inner.has("currency") {
        let signs = inner.texts("currency")?;
        if signs.iter().any(|sign| {
            sign.trim().is_empty() || sign.contains(|letter: char| letter.is_ascii_digit())
        }) {
            inner.wrong("currency", "must be signs such as `€` or `EUR`, without digits");
        }
        format.currency = signs.iter().map(|sign| sign.trim().to_owned()).collect();
        // The longer first, so that `US$` is not read as `$`.
        format.currency.sort_by_key(|sign| std::cmp::Reverse(sign.len()));
    }
    format.parentheses = inner.flag("parentheses").unwrap_or_default();
    if let Some(scale) = inner.get("scale") {
        match scale.get_ref() {
            DeValue::String(word) if word == "field" => *scale_of_field = true,
            DeValue::Integer(_) => {
                let scale = inner.number("scale", &(0..19));
                format.scale = scale.and_then(|scale| u32::try_from(scale).ok());
            }
            _ => inner.wrong("scale", "must be a number from 0 to 18, or `field`"),
        }
    }
    if let Some(word) = inner.word("rounding", keys::ROUNDING) {
        format.rounding = match word {
            "half-even" => Rounding::HalfEven,
            "down" => Rounding::Down,
            "reject" => Rounding::Reject,
            _ => Rounding::HalfUp,
        };
        if !inner.has("scale") {
            inner.wrong("rounding", "goes with `scale`, which says how many digits stay");
        }
    }
    Some(format)
}

fn dates(
    section: &Section<'_, '_>,
    key: &str,
    keys: &[&str],
    defaults: &Defaults,
) -> Option<DateFormats> {
    let is_datetime = key == "datetime";
    let mut dates = DateFormats {
        formats: Vec::new(),
        two_digit_years_from: defaults.pivot,
        timezone: defaults.timezone.clone().filter(|_| is_datetime),
        gap: Fold::Reject,
        overlap: Fold::Reject,
    };
    let value = section.get(key)?;
    let about = format!("{}.{key}", section.about);
    if let DeValue::Table(table) = value.get_ref() {
        let inner = Section::new(section.report, table, &about, value.span().start, keys);
        if !inner.has("formats") {
            inner.report.add(inner.at, &about, "needs `formats`, such as `dd.MM.yyyy`");
            return None;
        }
        dates.two_digit_years_from = pivot(&inner).or(dates.two_digit_years_from);
        if is_datetime {
            dates.timezone = inner.text("timezone").map(str::to_owned).or(dates.timezone);
            let fold = |key: &str| match inner.word(key, keys::FOLD) {
                Some("earlier") => Fold::Earlier,
                Some("later") => Fold::Later,
                _ => Fold::Reject,
            };
            (dates.gap, dates.overlap) = (fold("gap"), fold("overlap"));
        }
        dates.formats = inner.texts("formats")?.into_iter().map(str::to_owned).collect();
        if let Err(what) = Dates::new(&dates, is_datetime) {
            inner.report.add(inner.place("formats"), &about, what);
        }
        return Some(dates);
    }
    dates.formats = section.texts(key)?.into_iter().map(str::to_owned).collect();
    if let Err(what) = Dates::new(&dates, is_datetime) {
        section.report.add(section.place(key), &about, what);
    }
    Some(dates)
}

fn boolean(section: &Section<'_, '_>) -> Option<Step> {
    let (table, at) = section.table("boolean")?;
    let about = format!("{}.boolean", section.about);
    let inner = Section::new(section.report, table, &about, at, keys::BOOLEAN);
    if !(inner.has("true") && inner.has("false")) {
        let message =
            "needs the words for `true` and for `false`: { true = [\"ja\"], false = [\"nein\"] }";
        inner.report.add(at, &about, message);
        return None;
    }
    let (yes, no) = (lower_words(&inner, "true")?, lower_words(&inner, "false")?);
    if let Some(word) = yes.iter().find(|word| no.contains(word)) {
        inner.wrong("false", format!("has `{word}`, which stands for true already"));
    }
    if yes.iter().chain(&no).any(String::is_empty) {
        inner.report.add(
            at,
            &about,
            "an empty word does nothing: what an empty cell means is said by `default`",
        );
    }
    Some(Step::Boolean { yes, no })
}
