//! What the values of a column look like, and what they need to become what a
//! field takes.

use std::collections::BTreeSet;

use super::super::date::Dates;
use super::super::{DateFormats, Fold, NumberFormat, Rounding};
use super::render::toml_text;
use crate::domain::{Field, FieldType, RecordId};
use crate::mapping::text::Text;

/// Date formats that are tried, those of the org first.
const DATES: [&str; 15] = [
    "yyyy-MM-dd",
    "dd.MM.yyyy",
    "d.M.yyyy",
    "MM/dd/yyyy",
    "dd/MM/yyyy",
    "M/d/yyyy",
    "d/M/yyyy",
    "yyyy/MM/dd",
    "yyyy/M/d",
    "yyyyMMdd",
    "dd-MM-yyyy",
    "MM-dd-yyyy",
    "d MMM yyyy",
    "dd-MMM-yyyy",
    "MMM d, yyyy",
];

/// Times that may follow a date.
const TIMES: [&str; 5] = ["", " HH:mm", " HH:mm:ss", "'T'HH:mm:ss", " HH:mm:ss.SSS"];

/// Pairs of words for true and false, and whether they go without being said.
const BOOLEANS: [(&str, &str); 14] = [
    ("ja", "nein"),
    ("j", "n"),
    ("wahr", "falsch"),
    ("oui", "non"),
    ("vrai", "faux"),
    ("si", "no"),
    ("sí", "no"),
    ("sim", "não"),
    ("t", "f"),
    ("active", "inactive"),
    ("aktiv", "inaktiv"),
    ("enabled", "disabled"),
    ("はい", "いいえ"),
    ("是", "否"),
];

/// Words that a boolean field takes by itself.
const KNOWN_BOOLEANS: [&str; 10] = ["true", "false", "yes", "no", "y", "n", "on", "off", "1", "0"];

/// Values of a map that are written.
const MOST_MAPPED: usize = 50;

/// What a column needs besides its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) settings: Vec<String>,
    pub(super) notes: Vec<String>,
    pub(super) map: Vec<(String, Option<String>)>,
}

/// Whether values fit a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fit {
    /// With these settings.
    As(Form),
    /// With these, if a person says so, because of this.
    Perhaps(Form, String),
    /// Not, because of this.
    Not(String),
}

/// Different values of a column, without outer blanks.
pub(super) struct Values<'a> {
    different: Vec<&'a str>,
    /// Whether they have outer blanks in the source.
    has_blanks: bool,
}

impl<'a> Values<'a> {
    pub(super) fn of(values: &'a [String]) -> Values<'a> {
        let set: BTreeSet<&str> = values
            .iter()
            .map(|value| value.trim())
            .filter(|value| !value.is_empty() && *value != "#N/A")
            .collect();
        let has_blanks = values.iter().any(|value| value.trim() != value);
        Values { different: set.into_iter().collect(), has_blanks }
    }

    fn all(&self, is: impl Fn(&str) -> bool) -> bool {
        self.different.iter().all(|value| is(value))
    }

    /// Whether they fit a field. They were looked at without outer blanks, so
    /// the mapping takes those away where there are such.
    pub(super) fn fit(&self, field: &Field) -> Fit {
        let mut fit = self.fit_trimmed(field);
        if self.has_blanks
            && let Fit::As(form) | Fit::Perhaps(form, _) = &mut fit
        {
            form.settings.insert(0, "trim = true".to_owned());
        }
        fit
    }

    fn fit_trimmed(&self, field: &Field) -> Fit {
        if self.different.is_empty() {
            return Fit::As(Form::default());
        }
        match field.field_type {
            FieldType::Date => self.date(false),
            FieldType::DateTime => self.date(true),
            FieldType::Int
            | FieldType::Long
            | FieldType::Double
            | FieldType::Currency
            | FieldType::Percent => self.number(),
            FieldType::Boolean => self.boolean(),
            FieldType::Id | FieldType::Reference => self.ids(field),
            FieldType::Picklist | FieldType::MultiPicklist => self.picklist(field),
            FieldType::Email if !self.all(|value| value.contains('@')) => {
                Fit::Not("not all values are mail addresses".to_owned())
            }
            _ => self.text(field),
        }
    }

    fn text(&self, field: &Field) -> Fit {
        let mut form = Form::default();
        let longest = self.different.iter().map(|value| value.chars().count()).max().unwrap_or(0);
        if field.length > 0 && longest > field.length as usize {
            form.notes.push(format!(
                "the longest value has {longest} characters; `truncate = true` cuts at {}",
                field.length
            ));
        }
        Fit::As(form)
    }

    fn ids(&self, field: &Field) -> Fit {
        if self.all(|value| RecordId::parse(value.as_bytes()).is_ok()) {
            return Fit::As(Form::default());
        }
        let hint = field.relationship_name.as_deref().map_or_else(String::new, |name| {
            format!("; name the parent by a key of its own: \"{name}.Key__c\" = ...")
        });
        Fit::Not(format!("the values are no record ids{hint}"))
    }

    fn date(&self, is_datetime: bool) -> Fit {
        let plain = |value: &str| {
            if is_datetime {
                reads("yyyy-MM-dd'T'HH:mm:ssX", value, true)
                    || reads("yyyy-MM-dd'T'HH:mm:ss.SSSX", value, true)
            } else {
                reads("yyyy-MM-dd", value, false)
            }
        };
        if self.all(plain) {
            return Fit::As(Form::default());
        }
        let mut found: Vec<String> = Vec::new();
        let times = if is_datetime { &TIMES[..] } else { &TIMES[..1] };
        for time in times {
            for date in DATES {
                let format = format!("{date}{time}");
                if self.all(|value| reads(&format, value, is_datetime)) {
                    found.push(format);
                }
            }
        }
        // A format with a day in two digits and the same in one are one.
        let day_first = |format: &String| format.starts_with('d');
        let Some(format) = found.first().cloned() else {
            return Fit::Not("the values are no dates of one form".to_owned());
        };
        let key = if is_datetime { "datetime" } else { "date" };
        let mut form = Form::default();
        if is_datetime {
            let setting = format!("{{ formats = [{}], timezone = \"UTC\" }}", toml_text(&format));
            form.settings.push(format!("{key} = {setting}"));
        } else {
            form.settings.push(format!("{key} = {}", toml_text(&format)));
        }
        let both = found.iter().any(day_first) && found.iter().any(|one| one.starts_with('M'));
        if both {
            return Fit::Perhaps(
                form,
                "day and month can't be told apart in the values; say which comes first".to_owned(),
            );
        }
        if is_datetime {
            let note = "the values name no zone; say in which one these times are";
            return Fit::Perhaps(form, note.to_owned());
        }
        Fit::As(form)
    }

    fn number(&self) -> Fit {
        let plain = NumberShape { decimal: '.', grouping: None };
        if self.all(|value| value.parse::<f64>().is_ok_and(f64::is_finite) && !value.contains('_'))
        {
            if self.points_may_group() {
                let note = "the points may part thousands; where they do, `number = { decimal = \",\", \
                            grouping = \".\" }` says so";
                return Fit::Perhaps(Form::default(), note.to_owned());
            }
            return Fit::As(Form::default());
        }
        let signs = self.signs();
        let shapes = [
            plain,
            NumberShape { decimal: ',', grouping: None },
            NumberShape { decimal: ',', grouping: Some('.') },
            NumberShape { decimal: '.', grouping: Some(',') },
            NumberShape { decimal: ',', grouping: Some(' ') },
            NumberShape { decimal: '.', grouping: Some(' ') },
            NumberShape { decimal: '.', grouping: Some('\'') },
        ];
        let fitting: Vec<NumberShape> = shapes
            .into_iter()
            .filter(|shape| self.all(|value| shape.reads(value, &signs)))
            .collect();
        let Some(shape) = fitting.first().copied() else {
            return Fit::Not("not all values are numbers".to_owned());
        };
        let form =
            Form { settings: vec![format!("number = {}", shape.toml(&signs))], ..Form::default() };
        // `1,234` can be a thousand or one and a bit.
        if fitting.iter().any(|other| other.decimal != shape.decimal)
            && !self.all(|value| !value.contains(['.', ',']))
        {
            return Fit::Perhaps(
                form,
                "the decimal sign can't be told from the values; say which it is".to_owned(),
            );
        }
        Fit::As(form)
    }

    /// Whether plain numbers can as well be whole ones with points between
    /// their thousands: `1.234`, and nothing that speaks against it, such as
    /// `1.5`, `0.125` or `1234`.
    fn points_may_group(&self) -> bool {
        let may_group = |value: &str| {
            let mut groups = value.trim_start_matches(['+', '-']).split('.');
            let first = groups.next().unwrap_or_default();
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            (1..=3).contains(&first.len())
                && digits(first)
                && (first == value || !first.starts_with('0'))
                && groups.all(|group| group.len() == 3 && digits(group))
        };
        self.different.iter().any(|value| value.contains('.')) && self.all(may_group)
    }

    /// Currency signs before or behind the numbers.
    fn signs(&self) -> Vec<String> {
        let part = |c: char| c.is_ascii_digit() || ".,'-+() \u{a0}\u{202f}".contains(c);
        let mut signs = BTreeSet::new();
        for value in &self.different {
            let before: String = value.chars().take_while(|c| !part(*c)).collect();
            let behind: Vec<char> = value.chars().rev().take_while(|c| !part(*c)).collect();
            let behind: String = behind.into_iter().rev().collect();
            for sign in [before, behind] {
                if !sign.is_empty() && sign.chars().count() <= 3 {
                    signs.insert(sign);
                }
            }
        }
        signs.into_iter().collect()
    }

    fn boolean(&self) -> Fit {
        let lower: BTreeSet<String> =
            self.different.iter().map(|value| value.to_lowercase()).collect();
        if lower.iter().all(|word| KNOWN_BOOLEANS.contains(&word.as_str())) {
            return Fit::As(Form::default());
        }
        let words = |yes: &str, no: &str| Form {
            settings: vec![format!(
                "boolean = {{ true = [{}], false = [{}] }}",
                toml_text(yes),
                toml_text(no)
            )],
            ..Form::default()
        };
        let pair =
            BOOLEANS.iter().find(|(yes, no)| lower.iter().all(|word| word == yes || word == no));
        if let Some((yes, no)) = pair {
            return Fit::As(words(yes, no));
        }
        let mut several = lower.iter();
        if let (Some(one), Some(other), None) = (several.next(), several.next(), several.next()) {
            return Fit::Perhaps(
                words(one, other),
                "which of both words means true is a guess".to_owned(),
            );
        }
        Fit::Not("the values are no words for true and false that are known".to_owned())
    }

    fn picklist(&self, field: &Field) -> Fit {
        let active = || field.picklist_values.iter().filter(|value| value.active);
        let multi = field.field_type == FieldType::MultiPicklist;
        let pieces: BTreeSet<&str> = if multi {
            self.different.iter().flat_map(|value| value.split(';')).map(str::trim).collect()
        } else {
            self.different.iter().copied().collect()
        };
        let mut form = Form::default();
        if !field.restricted_picklist || active().next().is_none() {
            return self.text(field);
        }
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            if active().any(|value| value.value == piece) {
                continue;
            }
            let same = active().find(|value| {
                let is = |text: &str| text.trim().eq_ignore_ascii_case(piece);
                is(&value.value) || value.label.as_deref().is_some_and(is)
            });
            form.map.push((piece.to_owned(), same.map(|value| value.value.clone())));
        }
        if form.map.len() > MOST_MAPPED {
            let more = form.map.len() - MOST_MAPPED;
            form.map.truncate(MOST_MAPPED);
            form.notes.push(format!("{more} more values are not of the picklist"));
        }
        if !form.map.is_empty() {
            let allowed: Vec<&str> = active().map(|value| value.value.as_str()).take(100).collect();
            form.notes.push(format!("the picklist has: {}", allowed.join(", ")));
            if multi {
                form.settings.push("split = \";\"".to_owned());
            }
        }
        Fit::As(form)
    }
}

/// Whether a format reads a value.
fn reads(format: &str, value: &str, is_datetime: bool) -> bool {
    let formats = DateFormats {
        formats: vec![format.to_owned()],
        two_digit_years_from: None,
        timezone: is_datetime.then(|| "UTC".to_owned()),
        gap: Fold::Later,
        overlap: Fold::Earlier,
    };
    let Ok(dates) = Dates::new(&formats, is_datetime) else { return false };
    let mut text = Text::default();
    text.set(value);
    if is_datetime {
        dates.to_datetime(&mut text).is_ok()
    } else {
        dates.to_date(&mut text).is_ok()
    }
}

#[derive(Clone, Copy)]
struct NumberShape {
    decimal: char,
    grouping: Option<char>,
}

impl NumberShape {
    fn format(self, signs: &[String]) -> NumberFormat {
        NumberFormat {
            decimal: self.decimal,
            grouping: self.grouping,
            currency: signs.to_vec(),
            parentheses: false,
            scale: None,
            rounding: Rounding::HalfUp,
        }
    }

    fn reads(self, value: &str, signs: &[String]) -> bool {
        let mut text = Text::default();
        text.set(value);
        self.format(signs).apply(&mut text).is_ok()
    }

    fn toml(self, signs: &[String]) -> String {
        let mut parts = Vec::new();
        if self.decimal != '.' {
            parts.push(format!("decimal = \"{}\"", self.decimal));
        }
        if let Some(grouping) = self.grouping {
            parts.push(format!("grouping = \"{grouping}\""));
        }
        if !signs.is_empty() {
            let signs: Vec<String> = signs.iter().map(|sign| toml_text(sign)).collect();
            parts.push(format!("currency = [{}]", signs.join(", ")));
        }
        if parts.is_empty() { "true".to_owned() } else { format!("{{ {} }}", parts.join(", ")) }
    }
}
