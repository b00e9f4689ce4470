//! Why a mapping can't make a value of what stands in a row: the rule, and
//! what kind of value it was, never the value itself (I8).

use std::fmt;

/// A value that a rule of the mapping refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
    /// What was refused.
    pub class: ValueClass,
}

impl Refusal {
    /// A rule that refuses this value.
    pub fn new(rule: Rule, value: &str) -> Self {
        Refusal { rule, class: ValueClass::of(value) }
    }
}

/// A rule that a value can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// `empty = "reject"`.
    Empty,
    /// The value map has no entry, and `else` rejects.
    NotInMap,
    /// The lookup file has no such key, and `missing` rejects.
    NotInLookup,
    /// The lookup file has several values, and `ambiguous` rejects.
    Ambiguous,
    /// The table lies on disk and can't be read any longer.
    TableUnreadable,
    /// No number in the form the mapping says.
    Number,
    /// More digits behind the decimal sign than the rounding allows.
    Rounding,
    /// No date in any of the formats.
    Date,
    /// No datetime in any of the formats.
    DateTime,
    /// A day or time that no calendar has.
    Calendar,
    /// A time that the zone skips.
    SkippedTime,
    /// A time that the zone has twice.
    RepeatedTime,
    /// None of the boolean words.
    Boolean,
    /// No record id.
    RecordId,
    /// More characters than the service takes in a cell.
    TooLong,
}

impl Rule {
    /// What is wrong, behind "a value of ...".
    const fn words(self) -> &'static str {
        match self {
            Rule::Empty => "the mapping wants one",
            Rule::NotInMap => "is not in the value map",
            Rule::NotInLookup => "is not in the lookup file",
            Rule::Ambiguous => "stands in the lookup file with different values",
            Rule::TableUnreadable => {
                "can't be looked up: the lookup's temporary file can't be read any longer"
            }
            Rule::Number => "is no number in the form that the mapping says",
            Rule::Rounding => "has more digits behind the decimal sign than the mapping lets pass",
            Rule::Date | Rule::DateTime => "fits none of the formats",
            Rule::Calendar => "is a day or time that the calendar doesn't have",
            Rule::SkippedTime => "is a time that the zone skips when clocks go forward",
            Rule::RepeatedTime => "is a time that the zone has twice when clocks go back",
            Rule::Boolean => "is none of the words for true and false",
            Rule::RecordId => "is no record id of 15 or 18 characters",
            Rule::TooLong => {
                "is longer than the 131,072 characters that the service takes in a cell"
            }
        }
    }

    /// Whether what the mapping allows helps to see what is wrong.
    const fn tells_allowed(self) -> bool {
        matches!(self, Rule::Number | Rule::Date | Rule::DateTime | Rule::Boolean | Rule::Rounding)
    }
}

/// What kind of text a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ValueClass {
    /// What it is made of.
    pub kind: TextKind,
    /// Its characters.
    pub chars: u32,
}

/// What a text is made of, outer blanks aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextKind {
    /// Nothing but blanks.
    Empty,
    /// Letters alone.
    Letters,
    /// Digits alone.
    Digits,
    /// Digits and signs, no letter.
    DigitsAndSigns,
    /// Letters and digits.
    LettersAndDigits,
    /// Anything else.
    Mixed,
}

impl ValueClass {
    /// Looks at a value.
    pub fn of(value: &str) -> Self {
        let (mut letters, mut digits, mut others) = (false, false, false);
        for letter in value.trim().chars() {
            match letter {
                _ if letter.is_alphabetic() => letters = true,
                _ if letter.is_numeric() => digits = true,
                _ => others = true,
            }
        }
        let kind = match (letters, digits, others) {
            (false, false, false) => TextKind::Empty,
            (true, false, false) => TextKind::Letters,
            (false, true, false) => TextKind::Digits,
            (false, true, true) => TextKind::DigitsAndSigns,
            (true, true, false) => TextKind::LettersAndDigits,
            _ => TextKind::Mixed,
        };
        ValueClass { kind, chars: u32::try_from(value.chars().count()).unwrap_or(u32::MAX) }
    }
}

impl fmt::Display for ValueClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.kind {
            TextKind::Empty => return f.write_str("no value"),
            TextKind::Letters => "letters",
            TextKind::Digits => "digits",
            TextKind::DigitsAndSigns => "digits and signs",
            TextKind::LettersAndDigits => "letters and digits",
            TextKind::Mixed => "letters, signs and the like",
        };
        let plural = if self.chars == 1 { "" } else { "s" };
        write!(f, "a value of {} character{plural} ({of})", self.chars)
    }
}

impl Refusal {
    /// The reason behind the name of the column. `allowed` is what the mapping
    /// takes there, where it says so.
    pub fn reason(self, allowed: &str) -> String {
        let joint = if self.class.kind == TextKind::Empty { ", " } else { " " };
        let joint = if self.rule == Rule::Empty { joint } else { " " };
        let words = format!("{}{joint}{}", self.class, self.rule.words());
        if allowed.is_empty() || !self.rule.tells_allowed() {
            words
        } else {
            format!("{words} ({allowed})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_the_kind_of_value_and_the_rule_and_never_the_value() {
        let reason = |rule, value: &str| Refusal::new(rule, value).reason("dd.MM.yyyy");
        assert_eq!(
            reason(Rule::Date, "2024-02-30"),
            "a value of 10 characters (digits and signs) fits none of the formats (dd.MM.yyyy)"
        );
        assert_eq!(
            reason(Rule::NotInMap, "Bäume"),
            "a value of 5 characters (letters) is not in the value map"
        );
        assert_eq!(reason(Rule::Empty, " "), "no value, the mapping wants one");
        assert_eq!(
            reason(Rule::RecordId, "4"),
            "a value of 1 character (digits) is no record id of 15 or 18 characters"
        );
    }
}
