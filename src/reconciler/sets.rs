//! A result set's header read, and the cells of a record picked.
//!
//! Columns are found by name, whatever their order, letter case or quotes;
//! columns that are missing or were added do no harm. Of a record only the
//! cells up to the last one wanted are looked at.

use crate::domain::{Operation, ResultSet, ValueKind};
use crate::rows::{Cell, Cells, KeyExactness, canonical_hash, key_hash};

use super::matcher::SentColumns;

const QUOTE: u8 = b'"';

/// Hash of an empty form: what an empty cell and `#N/A` come to.
const EMPTY: u64 = xxhash_rust::const_xxh3::xxh3_64(b"");

/// How the values of a column are compared in a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As a key, without regard to case and outer blanks.
    Folded,
    /// As a key, text as it stands.
    Exact,
    /// In canonical form.
    Canonical,
}

/// By what rows and results are brought together in a tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spec {
    /// Sent columns (by index) and how each is compared.
    pub(super) columns: Vec<(usize, Form)>,
    /// Whether a row without a value in any of these is left to later tiers.
    pub(super) needs_values: bool,
}

impl Spec {
    pub(super) fn new(columns: impl IntoIterator<Item = usize>, form: Form) -> Self {
        Spec {
            columns: columns.into_iter().map(|column| (column, form)).collect(),
            needs_values: form != Form::Canonical,
        }
    }

    pub(super) const fn needing_values(mut self) -> Self {
        self.needs_values = true;
        self
    }
}

/// What a cell is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    /// `sf__Id`
    Id,
    /// `sf__Created` or `sf__Error`
    Told,
    /// A part of the hash: sent column, its kind, how to compare.
    Part(usize, ValueKind, Form),
}

/// What was picked from a record.
#[derive(Debug, Default)]
pub(super) struct Picked<'a> {
    pub(super) id: Option<Cell<'a>>,
    pub(super) told: Option<Cell<'a>>,
    /// The hash by the spec; `None` when a needed value is empty.
    pub(super) hash: Option<u64>,
}

/// Picks the wanted cells of a record.
#[derive(Debug)]
pub(super) struct Picker {
    /// By position in the record, ascending.
    wanted: Vec<(usize, Want)>,
    delimiter: u8,
    needs_values: bool,
    hashes: bool,
    scratch: Vec<u8>,
}

impl Picker {
    /// For the body: columns stand as they were sent.
    pub(super) fn for_body(sent: &SentColumns, spec: &Spec) -> Self {
        let wanted = spec
            .columns
            .iter()
            .filter_map(|&(column, form)| {
                let kind = sent.columns.get(column)?.kind;
                Some((column, Want::Part(column, kind, form)))
            })
            .collect();
        Picker::new(wanted, sent.delimiter, Some(spec))
    }

    fn new(mut wanted: Vec<(usize, Want)>, delimiter: u8, spec: Option<&Spec>) -> Self {
        wanted.sort_by_key(|&(position, _)| position);
        Picker {
            wanted,
            delimiter,
            needs_values: spec.is_some_and(|spec| spec.needs_values),
            hashes: spec.is_some(),
            scratch: Vec::new(),
        }
    }

    /// Picks from a record; `None` when it has too few cells.
    #[inline]
    pub(super) fn pick<'a>(&mut self, record: &'a [u8]) -> Option<Picked<'a>> {
        let mut picked = Picked::default();
        let mut hash = 0u64;
        let mut empty = false;
        let mut cells = Cells::new(record, self.delimiter, QUOTE);
        let mut at = 0;
        let mut current = None;
        for &(position, want) in &self.wanted {
            // Two wants may be for one position.
            if at <= position {
                current = cells.nth(position - at);
                at = position + 1;
            }
            let cell = current?;
            match want {
                Want::Id => picked.id = Some(cell),
                Want::Told => picked.told = Some(cell),
                Want::Part(column, kind, form) => {
                    let value = cell.value_in(&mut self.scratch);
                    let part = hash_of(kind, form, value);
                    empty |= part == EMPTY;
                    // A sum, for the columns of a result may stand in another
                    // order than those sent.
                    hash = hash.wrapping_add(mixed(part, column as u64 + 1));
                }
            }
        }
        picked.hash = (self.hashes && !(self.needs_values && empty)).then_some(hash);
        Some(picked)
    }
}

/// The hash of one value; [`EMPTY`] when it says nothing.
fn hash_of(kind: ValueKind, form: Form, value: &[u8]) -> u64 {
    match (form, kind) {
        (Form::Canonical, _)
        // The org trims text, whether the field tells case apart or not.
        | (Form::Folded, ValueKind::Text { case_sensitive: true }) => canonical_hash(kind, value),
        (Form::Folded, _) => key_hash(kind, KeyExactness::Folded, value),
        (Form::Exact, _) => key_hash(kind, KeyExactness::Exact, value),
    }
}

/// Stirs a number into a hash (the finaliser of `MurmurHash3`).
pub(super) const fn mixed(hash: u64, with: u64) -> u64 {
    let mut mixed = hash ^ with.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^= mixed >> 33;
    mixed = mixed.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    mixed ^= mixed >> 33;
    mixed = mixed.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    mixed ^ (mixed >> 33)
}

/// Where a result set has its columns.
#[derive(Debug, Clone, Default)]
pub(super) struct SetColumns {
    /// Its delimiter.
    delimiter: u8,
    /// How many columns it has.
    pub(super) width: usize,
    /// Position of each sent column.
    pub(super) sent: Vec<Option<usize>>,
    /// Position of `sf__Id`.
    pub(super) id: Option<usize>,
    /// Position of `sf__Created` or `sf__Error`.
    pub(super) told: Option<usize>,
}

impl SetColumns {
    /// Reads the header. Its delimiter is the job's or the comma, whichever
    /// finds more of the names.
    pub(super) fn read(set: ResultSet, header: &[u8], sent: &SentColumns) -> Self {
        let header = header.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(header);
        let by_job = SetColumns::split(set, header, sent, sent.delimiter);
        let by_comma = SetColumns::split(set, header, sent, b',');
        if by_comma.found() > by_job.found() { by_comma } else { by_job }
    }

    fn split(set: ResultSet, header: &[u8], sent: &SentColumns, delimiter: u8) -> Self {
        let names: Vec<Vec<u8>> =
            Cells::new(header, delimiter, QUOTE).map(|cell| cell.value().into_owned()).collect();
        let find = |name: &str| {
            names.iter().position(|found| found == name.as_bytes()).or_else(|| {
                names.iter().position(|found| found.eq_ignore_ascii_case(name.as_bytes()))
            })
        };
        let told = match set {
            ResultSet::Successful => find(CREATED),
            ResultSet::Failed => find(ERROR),
            ResultSet::Unprocessed => None,
        };
        SetColumns {
            delimiter,
            width: names.len(),
            sent: sent.columns.iter().map(|column| find(&column.header)).collect(),
            id: if set == ResultSet::Unprocessed { None } else { find(ID) },
            told,
        }
    }

    fn found(&self) -> usize {
        self.sent.iter().flatten().count()
            + usize::from(self.id.is_some())
            + usize::from(self.told.is_some())
    }

    /// The documented columns that are not there.
    pub(super) fn missing(
        &self,
        set: ResultSet,
        operation: Operation,
    ) -> impl Iterator<Item = &'static str> {
        let told = match set {
            // Only an upsert leaves it open what became of the record.
            ResultSet::Successful if operation == Operation::Upsert => Some(CREATED),
            ResultSet::Failed => Some(ERROR),
            _ => None,
        };
        let id = (set == ResultSet::Successful && self.id.is_none()).then_some(ID);
        id.into_iter().chain(told.filter(|_| self.told.is_none()))
    }

    /// A picker of the outcome and of the hash by a spec; without the hash
    /// when the set lacks one of its columns.
    pub(super) fn outcome_picker(&self, sent: &SentColumns, spec: &Spec) -> Picker {
        let (mut wanted, spec) = match self.parts(sent, spec) {
            Some(parts) => (parts, Some(spec)),
            None => (Vec::new(), None),
        };
        wanted.extend(self.id.map(|position| (position, Want::Id)));
        wanted.extend(self.told.map(|position| (position, Want::Told)));
        Picker::new(wanted, self.delimiter, spec)
    }

    /// A picker of the hash by a spec, if the set has all its columns.
    pub(super) fn picker(&self, sent: &SentColumns, spec: &Spec) -> Option<Picker> {
        Some(Picker::new(self.parts(sent, spec)?, self.delimiter, Some(spec)))
    }

    fn parts(&self, sent: &SentColumns, spec: &Spec) -> Option<Vec<(usize, Want)>> {
        spec.columns
            .iter()
            .map(|&(column, form)| {
                let position = self.sent.get(column).copied().flatten()?;
                let kind = sent.columns.get(column)?.kind;
                Some((position, Want::Part(column, kind, form)))
            })
            .collect()
    }

    /// Whether a record has as many cells as the header.
    pub(super) fn is_full(&self, record: &[u8]) -> bool {
        Cells::new(record, self.delimiter, QUOTE).count() >= self.width
    }

    /// Notes which sent columns have a value in a record.
    pub(super) fn note_values(&self, record: &[u8], seen: &mut [bool]) {
        let filled: Vec<bool> =
            Cells::new(record, self.delimiter, QUOTE).map(|cell| !cell.raw.is_empty()).collect();
        for (seen, position) in seen.iter_mut().zip(&self.sent) {
            *seen |= position.and_then(|at| filled.get(at).copied()).unwrap_or(false);
        }
    }
}

/// Columns that results have beside those sent ("Get Job Successful Record
/// Results" and "... Failed ...", Bulk API 2.0 guide).
const ID: &str = "sf__Id";
const CREATED: &str = "sf__Created";
const ERROR: &str = "sf__Error";
