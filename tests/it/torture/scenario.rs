//! What a seed stands for: a load, the faults of the org, and how often the
//! processes are killed.

use std::fmt::Write as _;

/// Numbers that depend on the seed alone (splitmix64).
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Draw {
        Draw(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both of them possible.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub(crate) fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[usize::try_from(self.next()).unwrap() % all.len()]
    }
}

/// What is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing keeps a row from being saved twice but bulkhaul's own care.
    Insert,
    /// A field that the org keeps unique is sent.
    ProtectedInsert,
    Upsert,
    Update,
    Delete,
}

const KINDS: [Kind; 5] =
    [Kind::Insert, Kind::Upsert, Kind::ProtectedInsert, Kind::Update, Kind::Delete];

/// Faults of calls; each gets a share.
const CALLS: [&str; 46] = [
    "create:done-reset",
    "create:reset-after-request",
    "create:503-html",
    "create:done-500",
    "create:hangup",
    "create:429",
    "create:reset-in-reply",
    "create:busy",
    "upload:reset-in-request",
    "upload:done-reset",
    "upload:hangup-in-request",
    "upload:502-html",
    "upload:done-503",
    "upload:stall-reset-in-request:40ms",
    "upload:done-hangup",
    "upload:expired",
    "upload:500",
    "close:done-reset",
    "close:reset",
    "close:503",
    "close:done-504-html",
    "close:done-stall:80ms",
    "close:reset-in-reply",
    "close:expired",
    "abort:done-reset",
    "abort:500",
    "abort:reset",
    "info:503-html",
    "info:reset-in-reply",
    "info:expired",
    "info:stall:40ms",
    "list:503",
    "list:reset-in-reply",
    "results:cut",
    "results:cut-record",
    "results:cut-wire",
    "results:reset-in-reply",
    "results:503-html",
    "results:hangup-in-reply",
    "results:reset-after-reply",
    "results:expired",
    "token:503",
    "token:reset",
    "query:reset-in-reply",
    "*:reset",
    "writes:done-reset",
];

/// Faults of jobs as a whole; each strikes one job.
const JOBS: [&str; 6] =
    ["job-fails", "job-times-out", "job-locks", "job-aborted", "job-aborted-open", "job-invalid"];

const NAME: &str = "Name = { column = \"Firma\", lookup = \"names\" }\n";
const SITE: &str = "Site = \"Ort\"\n";
const NUMBER: &str = "AccountNumber = { template = \"R-{Nr}\" }\n";
const KEY: &str = "Legacy_Id__c = { column = \"Alte Nr\", trim = true }\n";
const ID: &str = "Id = \"Kennung\"\n";
const NAMES: &str = "[lookups.names]\nfile = \"names.csv\"\nkey = \"old\"\nvalue = \"new\"\n";
const FILTER: &str = "[filter]\nall = [ { column = \"Status\", is_not = \"x\" } ]\n";

/// All that a seed decides.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) seed: u64,
    pub(super) kind: Kind,
    pub(super) rows: u64,
    /// Rows from which on each seventh has a cell too many.
    pub(super) ragged_from: Option<u64>,
    pub(super) chunk_rows: u64,
    pub(super) lanes: u64,
    pub(super) serial: bool,
    pub(super) row_attempts: u64,
    /// The text for `--faults`.
    pub(super) faults: String,
    /// Kills of the load and its resumes, and of the org.
    pub(super) kills: u64,
    pub(super) org_kills: u64,
    /// The org forgets its jobs in mid-run: rows may end disputed.
    pub(super) purge: bool,
    /// The source has other columns and values, which a mapping makes right.
    pub(super) mapped: bool,
}

impl Scenario {
    /// What the seed stands for, and the draws that are left for the kills.
    pub(super) fn of(seed: u64) -> (Scenario, Draw) {
        let mut draw = Draw::new(seed);
        let kind = KINDS[usize::try_from(seed % 5).unwrap()];
        let rows = draw.between(200, 900);
        let purge = seed % 23 == 20;
        let mut faults = format!(
            "seed={seed},rows-per-second={},calm-after={}",
            draw.between(600, 6_000),
            draw.between(150, 500)
        );
        for _ in 0..draw.between(3, 9) {
            let (call, share) = (draw.of(&CALLS), draw.between(2, 12));
            write!(faults, ",{call}={share}%").unwrap();
        }
        if draw.percent(30) {
            write!(faults, ",session-calls={}", draw.between(15, 60)).unwrap();
        }
        if draw.percent(60) {
            for word in ["row-lock", "row-error", "row-refused", "row-error-saved"] {
                if draw.percent(45) {
                    write!(faults, ",{word}={}%", draw.between(1, 5)).unwrap();
                }
            }
        }
        if draw.percent(40) {
            let (word, job) = (draw.of(&JOBS), draw.between(1, 6));
            write!(faults, ",{word}=#{job}").unwrap();
        }
        if purge {
            write!(faults, ",clock:+8d=#{}", draw.between(40, 120)).unwrap();
        } else if draw.percent(25) {
            let (by, call) = (draw.of(&["+3h", "-2h", "+10m", "+25h"]), draw.between(20, 200));
            write!(faults, ",clock:{by}=#{call}").unwrap();
        }
        let serial = draw.percent(15);
        let scenario = Scenario {
            seed,
            kind,
            rows,
            ragged_from: draw.percent(40).then(|| draw.between(1, rows)),
            chunk_rows: draw.between(15, 120),
            lanes: draw.between(1, 5),
            serial,
            row_attempts: draw.between(1, 4),
            faults,
            kills: draw.between(2, 9),
            org_kills: if draw.percent(50) { draw.between(1, 2) } else { 0 },
            purge,
            mapped: draw.percent(40),
        };
        (scenario, draw)
    }

    /// Whether the org makes faults of this name.
    pub(super) fn has(&self, word: &str) -> bool {
        self.faults.contains(&format!(",{word}="))
    }

    pub(super) fn is_ragged(&self, row: u64) -> bool {
        self.ragged_from.is_some_and(|from| row >= from && row.is_multiple_of(7))
    }

    /// Rows whose name the mapping's lookup doesn't have.
    pub(super) fn is_unknown(&self, row: u64) -> bool {
        let unknown = match self.kind {
            // Names repeat there.
            Kind::Insert | Kind::ProtectedInsert => row % 50 == 3,
            Kind::Upsert | Kind::Update => row % 11 == 3,
            Kind::Delete => false,
        };
        self.mapped && unknown
    }

    /// Rows that the mapping's filter leaves out.
    pub(super) const fn is_left_out(&self, row: u64) -> bool {
        self.mapped && row % 13 == 5
    }

    /// What a column is called in the source.
    pub(super) fn source_column<'a>(&self, field: &'a str) -> &'a str {
        match field {
            _ if !self.mapped => field,
            "Name" => "Firma",
            "AccountNumber" => "Nr",
            "Site" => "Ort",
            "Legacy_Id__c" => "Alte Nr",
            "Id" => "Kennung",
            other => other,
        }
    }

    /// How a value stands in the source.
    pub(super) fn source_value(&self, field: &str, value: &str) -> String {
        match field {
            "Name" if self.mapped => format!("{} ", value.to_lowercase()),
            "AccountNumber" if self.mapped => value.trim_start_matches("R-").to_owned(),
            _ => value.to_owned(),
        }
    }

    /// The mapping that makes these right.
    pub(super) fn mapping(&self) -> String {
        let entries = match self.kind {
            Kind::Insert => [NAME, SITE, NUMBER].concat(),
            Kind::ProtectedInsert => [NAME, SITE, NUMBER, KEY].concat(),
            Kind::Upsert => [NAME, SITE, KEY].concat(),
            Kind::Update => [NAME, SITE, ID].concat(),
            Kind::Delete => ID.to_owned(),
        };
        let lookup = if self.kind == Kind::Delete { "" } else { NAMES };
        format!("[fields]\n{entries}{lookup}{FILTER}")
    }

    /// Columns that tell a row apart, as they are sent.
    pub(super) const fn tag_column(&self) -> &'static str {
        match self.kind {
            Kind::Insert | Kind::ProtectedInsert => "AccountNumber",
            Kind::Upsert => "Legacy_Id__c",
            Kind::Update | Kind::Delete => "Id",
        }
    }

    pub(super) const fn operation(&self) -> &'static str {
        match self.kind {
            Kind::Insert | Kind::ProtectedInsert => "insert",
            Kind::Upsert => "upsert",
            Kind::Update => "update",
            Kind::Delete => "delete",
        }
    }
}
