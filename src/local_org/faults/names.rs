//! The words of the language, and how a spec is written in it.

use std::fmt;

use super::draw::{Share, WHOLE};
use super::spec::{
    Act, Call, CallFault, CallRule, Cut, FaultSpec, JobFault, Point, RowFault, Target, When,
};

/// Kinds of calls, in the order of [`Call`].
pub(super) const CALLS: [(&str, Call); Call::COUNT] = [
    ("create", Call::Create),
    ("upload", Call::Upload),
    ("close", Call::Close),
    ("abort", Call::Abort),
    ("delete", Call::Delete),
    ("info", Call::Info),
    ("list", Call::List),
    ("successful", Call::Successful),
    ("failed", Call::Failed),
    ("unprocessed", Call::Unprocessed),
    ("query-create", Call::QueryCreate),
    ("query-abort", Call::QueryAbort),
    ("query-delete", Call::QueryDelete),
    ("query-info", Call::QueryInfo),
    ("query-list", Call::QueryList),
    ("query-results", Call::QueryResults),
    ("query-pages", Call::QueryPages),
    ("query", Call::Query),
    ("describe", Call::Describe),
    ("limits", Call::Limits),
    ("token", Call::Token),
    ("other", Call::Other),
];

/// Words for several kinds.
pub(super) const GROUPS: [(&str, Target); 4] = [
    ("results", Target::Results),
    ("writes", Target::Writes),
    ("reads", Target::Reads),
    ("*", Target::All),
];

/// Faults of rows.
pub(super) const ROWS: [(&str, RowFault); 4] = [
    ("row-lock", RowFault::Lock),
    ("row-error", RowFault::Error),
    ("row-error-saved", RowFault::ErrorSaved),
    ("row-refused", RowFault::Refused),
];

/// Faults of jobs.
pub(super) const JOBS: [(&str, JobFault); 9] = [
    ("job-invalid", JobFault::Invalid),
    ("job-fails", JobFault::Fails),
    ("job-times-out", JobFault::TimesOut),
    ("job-locks", JobFault::Locks),
    ("job-aborted", JobFault::Aborted),
    ("job-aborted-open", JobFault::AbortedOpen),
    ("query-job-fails", JobFault::QueryFails),
    ("query-job-times-out", JobFault::QueryTimesOut),
    ("query-job-aborted", JobFault::QueryAborted),
];

/// The share of rows that lose a parent to another batch.
pub(super) const PARENT_LOCKS: &str = "parent-locks";

/// Knobs that take a number.
pub(super) const KNOBS: [&str; 11] = [
    "seed",
    "limit",
    "calm-after",
    "session-calls",
    "storage",
    "daily-batches",
    "daily-requests",
    "rows-per-second",
    "daily-query-jobs",
    "query-records-per-second",
    "download-bytes-per-second",
];

/// The knob that takes a duration.
pub(super) const START_DELAY: &str = "start-delay";

/// What stands before the jumps of the clock.
pub(super) const CLOCK: &str = "clock";

/// Codes of [`CallFault::Status`] that can come as a page, or done.
const SERVER_ERRORS: [u16; 4] = [500, 502, 503, 504];

/// Milliseconds of units of time, the longest first.
pub(super) const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl FaultSpec {
    /// The field of a knob that takes a number.
    pub(super) fn knob(&mut self, name: &str) -> Option<&mut Option<u64>> {
        Some(match name {
            "seed" => &mut self.seed,
            "limit" => &mut self.limit,
            "calm-after" => &mut self.calm_after,
            "session-calls" => &mut self.session_calls,
            "storage" => &mut self.storage,
            "daily-batches" => &mut self.daily_batches,
            "daily-requests" => &mut self.daily_requests,
            "rows-per-second" => &mut self.rows_per_second,
            "daily-query-jobs" => &mut self.daily_query_jobs,
            "query-records-per-second" => &mut self.query_records_per_second,
            "download-bytes-per-second" => &mut self.download_bytes_per_second,
            _ => return None,
        })
    }

    /// Every word that may stand in a text of faults: calls and groups of
    /// them, faults, knobs. A document that names them all is complete.
    pub fn words() -> Vec<String> {
        let mut words: Vec<String> = CALLS.iter().map(|(word, _)| (*word).to_owned()).collect();
        words.extend(GROUPS.iter().map(|(word, _)| (*word).to_owned()));
        words.extend(CallFault::all().into_iter().map(CallFault::name));
        words.extend(ROWS.iter().map(|(word, _)| (*word).to_owned()));
        words.extend(JOBS.iter().map(|(word, _)| (*word).to_owned()));
        words.extend(KNOBS.iter().map(|word| (*word).to_owned()));
        words.extend([PARENT_LOCKS, START_DELAY, CLOCK].map(str::to_owned));
        words
    }
}

impl Call {
    /// How many kinds there are.
    pub(super) const COUNT: usize = 22;

    /// Its name.
    pub(super) fn word(self) -> &'static str {
        CALLS.iter().find(|(_, call)| *call == self).map_or("other", |(word, _)| word)
    }
}

impl RowFault {
    /// Its name.
    pub(crate) fn word(self) -> &'static str {
        ROWS.iter().find(|(_, fault)| *fault == self).map_or("row-error", |(word, _)| word)
    }
}

impl JobFault {
    /// Its name.
    pub(crate) fn word(self) -> &'static str {
        JOBS.iter().find(|(_, fault)| *fault == self).map_or("job-fails", |(word, _)| word)
    }
}

impl Act {
    fn word(self) -> &'static str {
        match self {
            Act::Reset => "reset",
            Act::Hangup => "hangup",
            Act::Stall(_) => "stall",
            Act::StallReset(_) => "stall-reset",
        }
    }
}

impl Point {
    fn around(self) -> (&'static str, &'static str) {
        match self {
            Point::Before => ("", ""),
            Point::InRequest => ("", "-in-request"),
            Point::AfterRequest => ("", "-after-request"),
            Point::Done => ("done-", ""),
            Point::InReply => ("", "-in-reply"),
            Point::AfterReply => ("", "-after-reply"),
        }
    }
}

/// Milliseconds where none were named.
const DEFAULT_DELAY: u64 = 1_000;

impl CallFault {
    /// All there are, those with an argument at its default.
    pub(super) fn all() -> Vec<CallFault> {
        let status = |code, html, done| CallFault::Status { code, html, done, retry_after: None };
        let mut all = Vec::new();
        for code in SERVER_ERRORS {
            for (html, done) in [(false, false), (true, false), (false, true), (true, true)] {
                all.push(status(code, html, done));
            }
        }
        all.push(CallFault::Status {
            code: 429,
            html: false,
            done: false,
            retry_after: Some(DEFAULT_DELAY),
        });
        all.push(status(409, false, false));
        all.extend([CallFault::Busy, CallFault::Expired, CallFault::Refused]);
        let points = [
            Point::Before,
            Point::InRequest,
            Point::AfterRequest,
            Point::Done,
            Point::InReply,
            Point::AfterReply,
        ];
        let acts =
            [Act::Reset, Act::Hangup, Act::Stall(DEFAULT_DELAY), Act::StallReset(DEFAULT_DELAY)];
        for act in acts {
            all.extend(points.map(|point| CallFault::Connection(act, point)));
        }
        all.extend([Cut::AtRecord, Cut::InRecord, Cut::OnWire].map(CallFault::Cut));
        all
    }

    /// Its name, without its argument.
    pub(super) fn name(self) -> String {
        match self {
            CallFault::Status { code, html, done, .. } => {
                let done = if done { "done-" } else { "" };
                let html = if html { "-html" } else { "" };
                format!("{done}{code}{html}")
            }
            CallFault::Busy => "busy".to_owned(),
            CallFault::Expired => "expired".to_owned(),
            CallFault::Refused => "refused".to_owned(),
            CallFault::Connection(act, point) => {
                let (before, behind) = point.around();
                format!("{before}{}{behind}", act.word())
            }
            CallFault::Cut(Cut::AtRecord) => "cut".to_owned(),
            CallFault::Cut(Cut::InRecord) => "cut-record".to_owned(),
            CallFault::Cut(Cut::OnWire) => "cut-wire".to_owned(),
        }
    }

    /// The duration it was given.
    fn argument(self) -> Option<u64> {
        match self {
            CallFault::Status { retry_after, .. } => retry_after,
            CallFault::Connection(Act::Stall(ms) | Act::StallReset(ms), _) => Some(ms),
            _ => None,
        }
    }

    /// The same with another duration; `None` when it takes none.
    pub(super) fn with_argument(self, ms: u64) -> Option<CallFault> {
        match self {
            CallFault::Status { code, html, done, .. } => {
                Some(CallFault::Status { code, html, done, retry_after: Some(ms) })
            }
            CallFault::Connection(Act::Stall(_), point) => {
                Some(CallFault::Connection(Act::Stall(ms), point))
            }
            CallFault::Connection(Act::StallReset(_), point) => {
                Some(CallFault::Connection(Act::StallReset(ms), point))
            }
            _ => None,
        }
    }
}

/// Milliseconds in the longest unit that holds them.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = UNITS.iter().find(|(_, ms)| self.0 > 0 && self.0.is_multiple_of(*ms));
        let (unit, ms) = fits.unwrap_or(&("ms", 1));
        write!(f, "{}{unit}", self.0 / ms)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / (WHOLE / 100), self.0 % (WHOLE / 100));
        let digits = format!("{rest:04}");
        let digits = digits.trim_end_matches('0');
        let point = if digits.is_empty() { "" } else { "." };
        write!(f, "{whole}{point}{digits}%")
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = match self {
            When::Share(share) => return share.fmt(f),
            When::Numbers(ranges) => ranges,
        };
        f.write_str("#")?;
        for (at, (first, last)) in ranges.iter().enumerate() {
            if at > 0 {
                f.write_str("+")?;
            }
            match *last {
                last if last == *first => write!(f, "{first}")?,
                u64::MAX => write!(f, "{first}..")?,
                last => write!(f, "{first}..{last}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for CallRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, target) in self.targets.iter().enumerate() {
            if at > 0 {
                f.write_str("+")?;
            }
            f.write_str(match target {
                Target::One(call) => call.word(),
                group => GROUPS.iter().find(|(_, known)| known == group).map_or("*", |(w, _)| w),
            })?;
        }
        write!(f, ":{}", self.fault.name())?;
        if let Some(ms) = self.fault.argument() {
            write!(f, ":{}", Span(ms))?;
        }
        write!(f, "={}", self.when)
    }
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut items: Vec<String> = Vec::new();
        let mut knobs = self.clone();
        for name in KNOBS {
            if let Some(Some(value)) = knobs.knob(name) {
                items.push(format!("{name}={value}"));
            }
        }
        if let Some(ms) = self.start_delay {
            items.push(format!("{START_DELAY}={}", Span(ms)));
        }
        if let Some(share) = self.parent_locks {
            items.push(format!("{PARENT_LOCKS}={share}"));
        }
        items.extend(self.rows.iter().map(|(fault, share)| format!("{}={share}", fault.word())));
        items.extend(self.jobs.iter().map(|(fault, when)| format!("{}={when}", fault.word())));
        for (by, when) in &self.clock {
            let sign = if *by < 0 { '-' } else { '+' };
            items.push(format!("{CLOCK}:{sign}{}={when}", Span(by.unsigned_abs())));
        }
        items.extend(self.calls.iter().map(ToString::to_string));
        f.write_str(&items.join(","))
    }
}
