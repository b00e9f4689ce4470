//! The matcher against a model of the org: whatever the rows, every outcome
//! it claims is true for the row, or for one that is equal in every column.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::tests::run;
use super::*;
use crate::rows::{canonical_form, write_record};

const KINDS: [ValueKind; 6] = [
    ValueKind::Text { case_sensitive: false },
    ValueKind::Text { case_sensitive: true },
    ValueKind::Number,
    ValueKind::Boolean,
    ValueKind::DateTime,
    ValueKind::MultiPicklist,
];

/// A value as a source may have it, from few so that rows often share it.
fn value(kind: ValueKind, pick: u8) -> String {
    let of = |values: &[&str]| values[usize::from(pick) % values.len()].to_owned();
    match kind {
        ValueKind::Text { .. } => {
            of(&["a", "A", "b, \"x\"", " b", "line\nend", "", "#N/A", "ü", "Ü", "a-1"])
        }
        ValueKind::Number => {
            of(&["10000000", "1", "1.0", "45800000", "", "0.25", "-3", "10000001"])
        }
        ValueKind::Boolean => of(&["true", "FALSE", "1", ""]),
        ValueKind::DateTime => {
            of(&["2026-01-02T03:04:05Z", "2026-01-02T04:04:05+01:00", "2026-01-02T03:04:06Z", ""])
        }
        _ => of(&["x;y", "y;x", "x", ""]),
    }
}

/// The value as the org renders it.
fn rendered(kind: ValueKind, value: &str) -> String {
    let text = value.trim();
    match kind {
        ValueKind::Number if !text.is_empty() => {
            let number: f64 = text.parse().unwrap();
            if number.abs() >= 1e7 {
                let text = format!("{number:E}");
                if text.contains('.') { text } else { text.replace('E', ".0E") }
            } else {
                format!("{number:?}")
            }
        }
        ValueKind::Boolean if !text.is_empty() => {
            (text == "1" || text.eq_ignore_ascii_case("true")).to_string()
        }
        ValueKind::DateTime if !text.is_empty() => {
            let at: jiff::Timestamp = text.parse().unwrap();
            at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
        }
        ValueKind::MultiPicklist => {
            let mut words: Vec<_> = text.split(';').collect();
            words.sort_unstable();
            words.join(";")
        }
        _ => text.to_owned(),
    }
}

#[derive(Debug, Clone)]
struct Case {
    kinds: Vec<ValueKind>,
    rows: Vec<Vec<String>>,
    /// 0 created, 1 updated, 2 failed, 3 unprocessed.
    fates: Vec<u8>,
    order: Vec<u32>,
    keyed: bool,
    user_key: bool,
    offer_unique: bool,
    /// Column that failedResults shows no value of.
    blanked: Option<usize>,
    /// Column that a set lacks.
    lacking: Option<(usize, usize)>,
    crlf: bool,
    lost: Option<usize>,
    doubled: Option<usize>,
}

fn case() -> impl Strategy<Value = Case> {
    prop::collection::vec(0..KINDS.len(), 1..5).prop_flat_map(|kinds| {
        let kinds: Vec<ValueKind> = kinds.into_iter().map(|kind| KINDS[kind]).collect();
        let width = kinds.len();
        let row = (prop::collection::vec(any::<u8>(), width), 0u8..4, any::<u32>());
        (
            prop::collection::vec(row, 1..24),
            (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
            prop::option::weighted(0.3, 0..width),
            prop::option::weighted(0.2, (0usize..3, 0..width)),
            prop::option::weighted(0.3, any::<prop::sample::Index>()),
            prop::option::weighted(0.15, any::<prop::sample::Index>()),
        )
            .prop_map(move |(rows, flags, blanked, lacking, lost, doubled)| {
                let (keyed, user_key, offer_unique, crlf) = flags;
                let count = rows.len();
                // A lost and a doubled result together add up again, which no
                // counting can notice; the service is not known to do that.
                let doubled = if lost.is_some() { None } else { doubled };
                Case {
                    rows: rows
                        .iter()
                        .map(|(picks, _, _)| {
                            picks
                                .iter()
                                .zip(&kinds)
                                .map(|(&pick, &kind)| value(kind, pick))
                                .collect()
                        })
                        .collect(),
                    fates: rows.iter().map(|row| row.1).collect(),
                    order: rows.iter().map(|row| row.2).collect(),
                    kinds: kinds.clone(),
                    keyed,
                    user_key,
                    offer_unique,
                    blanked,
                    lacking,
                    crlf,
                    lost: lost.map(|at| at.index(count)),
                    doubled: doubled.map(|at| at.index(count)),
                }
            })
    })
}

fn id(row: usize) -> RecordId {
    format!("001{row:012}").parse().unwrap()
}

fn error(row: usize) -> String {
    format!("CODE_{}:row {row}:--", row % 3)
}

/// What became of a row in truth.
fn truth(case: &Case, row: usize) -> (Fate, Option<RecordId>, Option<String>) {
    match case.fates[row] {
        0 => (Fate::Created, Some(id(row)), None),
        1 => (Fate::Updated, Some(id(row)), None),
        2 => (Fate::Failed, None, Some(error(row))),
        _ => (Fate::Unprocessed, None, None),
    }
}

/// The result sets as an org would tell them.
fn sets(case: &Case) -> [String; 3] {
    let mut order: Vec<usize> =
        (0..case.rows.len()).filter(|&row| Some(row) != case.lost).collect();
    order.extend(case.doubled);
    order.sort_by_key(|&row| case.order[row].rotate_left(row as u32));
    [0usize, 1, 2].map(|set| {
        let shown = |column: usize| case.lacking != Some((set, column));
        let own: &[&str] = match set {
            0 => &["sf__Id", "sf__Created"],
            1 => &["sf__Id", "sf__Error"],
            _ => &[],
        };
        let mut text = Vec::new();
        let end: &[u8] = if case.crlf { b"\r\n" } else { b"\n" };
        let mut header: Vec<String> = own.iter().map(|&name| name.to_owned()).collect();
        header.extend((0..case.kinds.len()).filter(|&c| shown(c)).map(|c| format!("C{c}")));
        // A column the org added, so that the header is never empty.
        header.push("Added".to_owned());
        write_record(&mut text, header.iter().map(String::as_bytes), b',');
        text.extend_from_slice(end);
        for &row in &order {
            let (fate, id, error) = truth(case, row);
            let mut cells = match (set, fate) {
                (0, Fate::Created) => vec![id.unwrap().to_string(), "true".to_owned()],
                (0, Fate::Updated) => vec![id.unwrap().to_string(), "false".to_owned()],
                (1, Fate::Failed) => vec![String::new(), error.unwrap()],
                (2, Fate::Unprocessed) => Vec::new(),
                _ => continue,
            };
            for (column, value) in case.rows[row].iter().enumerate().filter(|(c, _)| shown(*c)) {
                let blank = set == 1 && case.blanked == Some(column);
                let value = match (blank, set) {
                    (true, _) => String::new(),
                    (_, 2) => value.clone(),
                    _ => rendered(case.kinds[column], value),
                };
                cells.push(if case.crlf { value.replace('\n', "\r\n") } else { value });
            }
            cells.push("x".to_owned());
            write_record(&mut text, cells.iter().map(String::as_bytes), b',');
            text.extend_from_slice(end);
        }
        String::from_utf8(text).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn no_row_ever_gets_the_outcome_of_another(case in case()) {
        let sent = SentColumns {
            columns: case.kinds.iter().enumerate()
                .map(|(at, &kind)| SentColumn { header: format!("C{at}"), kind })
                .collect(),
            delimiter: b',',
        };
        let unique = (0..case.kinds.len()).find(|&column| {
            let mut seen = HashSet::new();
            matches!(case.kinds[column], ValueKind::Text { .. })
                && case.rows.iter().all(|row| seen.insert(&row[column]))
        });
        let rule = MatchRule {
            key: case.keyed.then_some(0),
            user_keys: if case.user_key { vec![case.kinds.len() - 1] } else { Vec::new() },
            unique_text: unique.filter(|_| case.offer_unique),
            operation: Operation::Upsert,
        };
        let mut body = Vec::new();
        for row in &case.rows {
            write_record(&mut body, row.iter().map(String::as_bytes), b',');
            body.push(b'\n');
        }
        let body = String::from_utf8(body).unwrap();
        let sets = sets(&case);
        let (outcomes, proof) =
            run(&sent, &rule, &body, [&sets[0], &sets[1], &sets[2]]).unwrap();

        // Rows equal in every column are one class; what its rows got must be
        // among what became of them.
        let mut classes: BTreeMap<Vec<Vec<u8>>, Vec<usize>> = BTreeMap::new();
        for (at, row) in case.rows.iter().enumerate() {
            let class = row.iter().zip(&case.kinds)
                .map(|(cell, &kind)| canonical_form(kind, cell.as_bytes(), &mut Vec::new()).to_vec())
                .collect();
            classes.entry(class).or_default().push(at);
        }
        for rows in classes.values() {
            let mut truths: Vec<_> = rows.iter().map(|&row| truth(&case, row)).collect();
            let by_elimination =
                |row: &usize| outcomes[*row].tier == Some(MatchTier::Elimination);
            for row in rows.iter().filter(|row| !by_elimination(row)) {
                let outcome = &outcomes[*row];
                if outcome.tier.is_none() {
                    prop_assert_eq!(outcome.fate, Fate::Disputed);
                    continue;
                }
                let claim = (outcome.fate, outcome.id, outcome.error.clone());
                let found = truths.iter().position(|truth| *truth == claim);
                prop_assert!(found.is_some(), "row {} got {:?} by {:?}", row, claim, outcome.tier);
                truths.remove(found.unwrap());
            }
            for row in rows.iter().filter(|row| by_elimination(row)) {
                let outcome = &outcomes[*row];
                prop_assert_eq!(outcome.id, None);
                let found = truths.iter().position(|truth| truth.0 == outcome.fate);
                prop_assert!(found.is_some(), "row {} is said to be {:?}", row, outcome.fate);
                truths.remove(found.unwrap());
            }
        }
        let disputed = proof.tally.disputed;
        if case.lost.is_none() && case.doubled.is_none() {
            prop_assert!(proof.shortfall == 0 && proof.extra_results == disputed);
            // Nothing hides any value: then nothing is left in doubt.
            if case.blanked.is_none() && case.lacking.is_none() {
                prop_assert_eq!(disputed, 0, "{:?}", outcomes);
            }
        } else if case.lost.is_some() {
            prop_assert!(proof.shortfall == 1 && disputed >= 1);
        } else {
            prop_assert!(proof.extra_results >= 1 && !proof.problems.is_empty());
        }
    }
}
