//! Reading a text of faults.
//!
//! ```text
//! SPEC  = ITEM { ("," | blank) ITEM }
//! ITEM  = knob "=" NUMBER | "start-delay=" SPAN
//!       | row-fault "=" SHARE | "parent-locks=" SHARE
//!       | job-fault "=" WHEN | "clock:" ("+" | "-") SPAN "=" WHEN
//!       | CALLS ":" call-fault [":" SPAN] "=" WHEN
//! CALLS = call { "+" call }
//! WHEN  = SHARE | "#" RANGE { "+" RANGE }
//! RANGE = NUMBER [ ".." [ NUMBER ] ]
//! SHARE = 5% or 0.05
//! SPAN  = 800ms, 2s, 5m, 25h, 3d
//! ```

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::draw::{Share, WHOLE};
use super::names::{CALLS, CLOCK, GROUPS, JOBS, KNOBS, PARENT_LOCKS, ROWS, START_DELAY, UNITS};
use super::spec::{Call, CallFault, CallRule, FaultSpec, Target, When};

/// Why a text of faults can't be read: the part, and what is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// A part is no `name=value`.
    #[error("`{0}` has no value; write NAME=VALUE, such as `seed=7` or `upload:reset=5%`")]
    NoValue(String),
    /// A part begins with no known name.
    #[error("`{item}`: there is no `{name}`; known are {}, and CALL:FAULT=WHEN", names())]
    UnknownName {
        /// The part.
        item: String,
        /// What stands there for a name.
        name: String,
    },
    /// A rule names no known call.
    #[error("`{item}`: there is no call `{call}`; known are {}", calls())]
    UnknownCall {
        /// The part.
        item: String,
        /// What stands there for a call.
        call: String,
    },
    /// A rule names no known fault.
    #[error("`{item}`: there is no fault `{fault}`; known are {}", faults())]
    UnknownFault {
        /// The part.
        item: String,
        /// What stands there for a fault.
        fault: String,
    },
    /// The fault can't strike any of the calls.
    #[error("`{item}`: `{fault}` can strike {able} only")]
    Never {
        /// The part.
        item: String,
        /// The fault.
        fault: String,
        /// The calls it can strike.
        able: String,
    },
    /// The fault has no duration.
    #[error("`{item}`: `{fault}` takes no duration; stalls and statuses do")]
    NoArgument {
        /// The part.
        item: String,
        /// The fault.
        fault: String,
    },
    /// A value isn't what it must be.
    #[error("`{item}`: `{value}` is no {wanted}")]
    Value {
        /// The part.
        item: String,
        /// Its value.
        value: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// A knob is there twice.
    #[error("`{item}`: `{name}` is there already")]
    Twice {
        /// The second part.
        item: String,
        /// The knob.
        name: String,
    },
}

const NUMBER: &str = "whole number";
const SHARE: &str = "share; write a percentage such as `5%` or a fraction such as `0.05`";
const WHEN: &str = "share such as `5%` and no call numbers such as `#3`, `#2+5`, `#4..9` or `#7..`";
const SPAN: &str = "duration; write a number and ms, s, m, h or d, such as `800ms`";

fn names() -> String {
    let mut names: Vec<&str> = KNOBS.to_vec();
    names.extend([START_DELAY, PARENT_LOCKS]);
    names.extend(ROWS.iter().map(|(word, _)| *word));
    names.extend(JOBS.iter().map(|(word, _)| *word));
    names.join(", ")
}

fn calls() -> String {
    let words: Vec<&str> = CALLS.iter().map(|(word, _)| *word).collect();
    let groups: Vec<&str> = GROUPS.iter().map(|(word, _)| *word).collect();
    format!("{}, {}", words.join(", "), groups.join(", "))
}

fn faults() -> String {
    let names: Vec<String> = CallFault::all().into_iter().map(CallFault::name).collect();
    names.join(", ")
}

impl FromStr for FaultSpec {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<FaultSpec, FaultError> {
        let mut spec = FaultSpec::default();
        let items = text.split(|c: char| c == ',' || c.is_whitespace());
        for item in items.filter(|item| !item.is_empty()) {
            let (name, value) =
                item.split_once('=').ok_or_else(|| FaultError::NoValue(item.to_owned()))?;
            Item { text: item, name, value }.add_to(&mut spec)?;
        }
        Ok(spec)
    }
}

/// A part of a text.
struct Item<'a> {
    text: &'a str,
    name: &'a str,
    value: &'a str,
}

impl Item<'_> {
    fn add_to(&self, spec: &mut FaultSpec) -> Result<(), FaultError> {
        if let Some((subject, fault)) = self.name.split_once(':') {
            return if subject == CLOCK { self.clock(fault, spec) } else { self.rule(spec) };
        }
        if let Some(known) = spec.knob(self.name) {
            let number = whole(self.value).ok_or_else(|| self.wrong(self.value, NUMBER))?;
            return self.set(known, number);
        }
        if self.name == START_DELAY {
            let span = span(self.value).ok_or_else(|| self.wrong(self.value, SPAN))?;
            return self.set(&mut spec.start_delay, span);
        }
        if self.name == PARENT_LOCKS {
            let share = self.share()?;
            return self.set(&mut spec.parent_locks, share);
        }
        if let Some((_, fault)) = ROWS.iter().find(|(word, _)| *word == self.name) {
            spec.rows.push((*fault, self.share()?));
            return Ok(());
        }
        if let Some((_, fault)) = JOBS.iter().find(|(word, _)| *word == self.name) {
            spec.jobs.push((*fault, self.when()?));
            return Ok(());
        }
        Err(FaultError::UnknownName { item: self.text.to_owned(), name: self.name.to_owned() })
    }

    fn set<T>(&self, known: &mut Option<T>, value: T) -> Result<(), FaultError> {
        if known.is_some() {
            return Err(FaultError::Twice {
                item: self.text.to_owned(),
                name: self.name.to_owned(),
            });
        }
        *known = Some(value);
        Ok(())
    }

    fn wrong(&self, value: &str, wanted: &'static str) -> FaultError {
        FaultError::Value { item: self.text.to_owned(), value: value.to_owned(), wanted }
    }

    fn share(&self) -> Result<Share, FaultError> {
        share(self.value).ok_or_else(|| self.wrong(self.value, SHARE))
    }

    fn when(&self) -> Result<When, FaultError> {
        let when = match self.value.strip_prefix('#') {
            Some(ranges) => ranges.split('+').map(range).collect::<Option<_>>().map(When::Numbers),
            None => share(self.value).map(When::Share),
        };
        when.ok_or_else(|| self.wrong(self.value, WHEN))
    }

    /// `clock:+25h=#40`
    fn clock(&self, by: &str, spec: &mut FaultSpec) -> Result<(), FaultError> {
        let wrong = || self.wrong(by, "jump of the clock; write `+25h` or `-2h`");
        let ms = by
            .strip_prefix(['+', '-'])
            .and_then(span)
            .and_then(|ms| i64::try_from(ms).ok())
            .ok_or_else(wrong)?;
        spec.clock.push((if by.starts_with('-') { -ms } else { ms }, self.when()?));
        Ok(())
    }

    /// `create+upload:stall:2s=5%`
    fn rule(&self, spec: &mut FaultSpec) -> Result<(), FaultError> {
        let item = || self.text.to_owned();
        let mut parts = self.name.splitn(3, ':');
        let (calls, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let targets = calls
            .split('+')
            .map(|call| {
                target(call)
                    .ok_or_else(|| FaultError::UnknownCall { item: item(), call: call.to_owned() })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut fault = CallFault::all()
            .into_iter()
            .find(|fault| fault.name() == name)
            .ok_or_else(|| FaultError::UnknownFault { item: item(), fault: name.to_owned() })?;
        if let Some(argument) = parts.next() {
            let ms = span(argument).ok_or_else(|| self.wrong(argument, SPAN))?;
            fault = fault
                .with_argument(ms)
                .ok_or_else(|| FaultError::NoArgument { item: item(), fault: name.to_owned() })?;
        }
        let rule = CallRule { targets, fault, when: self.when()? };
        let known = || CALLS.iter().map(|(_, call)| *call);
        if !known().any(|call| rule.covers(call)) {
            let able: Vec<&str> =
                known().filter(|call| fault.can_strike(*call)).map(Call::word).collect();
            let (fault, able) = (name.to_owned(), able.join(", "));
            return Err(FaultError::Never { item: item(), fault, able });
        }
        spec.calls.push(rule);
        Ok(())
    }
}

fn target(word: &str) -> Option<Target> {
    let call = CALLS.iter().find(|(known, _)| *known == word).map(|(_, call)| Target::One(*call));
    call.or_else(|| GROUPS.iter().find(|(known, _)| *known == word).map(|(_, group)| *group))
}

/// Digits and nothing else.
fn whole(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn range(text: &str) -> Option<(u64, u64)> {
    let (first, last) = match text.split_once("..") {
        None => (whole(text)?, whole(text)?),
        Some((first, "")) => (whole(first)?, u64::MAX),
        Some((first, last)) => (whole(first)?, whole(last)?),
    };
    (first >= 1 && first <= last).then_some((first, last))
}

/// `5%`, `0.25%`, `0.05`, `1`: in millionths, more digits are refused.
fn share(text: &str) -> Option<Share> {
    let (digits, places) = match text.strip_suffix('%') {
        Some(percent) => (percent, 4),
        None => (text, 6),
    };
    let (before, behind) = digits.split_once('.').unwrap_or((digits, ""));
    if digits.ends_with('.') || behind.len() > places {
        return None;
    }
    let millionths = whole(before)?
        .checked_mul(10_u64.pow(places as u32))?
        .checked_add(whole(&format!("{behind:0<places$}"))?)?;
    u32::try_from(millionths).ok().filter(|share| *share <= WHOLE).map(Share)
}

/// `800ms`, `2s`, `5m`, `25h`, `3d`: in milliseconds, more than none.
fn span(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    let (_, ms) = UNITS.iter().find(|(known, _)| *known == unit)?;
    whole(number)?.checked_mul(*ms).filter(|ms| *ms > 0)
}

impl Serialize for FaultSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FaultSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FaultSpec, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
