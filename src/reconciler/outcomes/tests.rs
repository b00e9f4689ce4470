//! What is written is read; damage is noticed.

use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::domain::RowOutcome;

fn outcome(row: u64, fate: Fate) -> RowOutcome {
    RowOutcome {
        row: RowNumber(row),
        fate,
        tier: Some(MatchTier::Key),
        attempts: 1,
        id: Some("0017Q00000AbCdeQAF".parse().unwrap()),
        error: None,
    }
}

fn write(path: &Path, outcomes: &[RowOutcome]) -> OutcomeSummary {
    let mut writer = OutcomeWriter::create(path, 7).unwrap();
    for outcome in outcomes {
        writer.push(outcome).unwrap();
    }
    writer.finish().unwrap()
}

fn read(path: &Path) -> Result<Vec<RowOutcome>, OutcomeError> {
    OutcomeReader::open(path)?.collect()
}

#[test]
fn a_row_takes_eighteen_bytes_and_a_repeated_error_two_more() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("1.outcomes");
    let many: Vec<_> = (1..=1000).map(|row| outcome(row, Fate::Created)).collect();
    let summary = write(&path, &many);
    assert_eq!(summary.bytes, 16 + 17 + 18 * 1000);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), summary.bytes);
    assert_eq!((summary.rows, summary.tally.created), (1000, 1000));
    let failed: Vec<_> = (1..=1000)
        .map(|row| RowOutcome {
            id: None,
            error: Some(
                "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --".into(),
            ),
            ..outcome(row, Fate::Failed)
        })
        .collect();
    assert!(write(&path, &failed).bytes < 5 * 1000);
    assert_eq!(read(&path).unwrap(), failed);
}

#[test]
fn rows_out_of_order_are_refused_and_leave_no_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("1.outcomes");
    let mut writer = OutcomeWriter::create(&path, 1).unwrap();
    assert!(writer.push(&outcome(0, Fate::Failed)).is_err(), "rows count from 1");
    writer.push(&outcome(5, Fate::Created)).unwrap();
    assert!(matches!(
        writer.push(&outcome(5, Fate::Created)),
        Err(OutcomeError::OutOfOrder { .. })
    ));
    drop(writer);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("1.outcomes");
    write(&path, &[outcome(1, Fate::Created)]);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

fn any_outcome() -> impl Strategy<Value = RowOutcome> {
    (
        1u64..5000,
        prop::sample::select(FATES.to_vec()),
        prop::option::of(prop::sample::select(TIERS.to_vec())),
        0u8..5,
        prop::option::of("[0-9A-Za-z]{15}"),
        prop::option::of("[a-zä:]{0,3}|x{4090,4100}"),
    )
        .prop_map(|(row, fate, tier, attempts, id, error)| RowOutcome {
            row: RowNumber(row),
            fate,
            tier,
            attempts,
            id: id.map(|id| id.parse().unwrap()),
            error,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_written_is_read_and_damage_is_noticed(
        mut outcomes in prop::collection::vec(any_outcome(), 0..40),
        at in any::<prop::sample::Index>(),
        flip in 1u8..=255,
    ) {
        let mut row = 0;
        for outcome in &mut outcomes {
            row += outcome.row.0;
            outcome.row = RowNumber(row);
        }
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("1.outcomes");
        let summary = write(&path, &outcomes);
        prop_assert_eq!(read(&path).unwrap(), outcomes);
        let reader = OutcomeReader::open(&path).unwrap();
        prop_assert_eq!((reader.chunk(), reader.digest()), (7, summary.digest));

        let whole = std::fs::read(&path).unwrap();
        let at = at.index(whole.len());
        std::fs::write(&path, &whole[..at]).unwrap();
        prop_assert!(read(&path).is_err(), "cut at {}", at);
        let mut changed = whole.clone();
        changed[at] ^= flip;
        std::fs::write(&path, &changed).unwrap();
        prop_assert!(read(&path).is_err(), "changed at {}", at);
        let mut longer = whole;
        longer.push(flip);
        std::fs::write(&path, &longer).unwrap();
        prop_assert!(read(&path).is_err(), "one byte more");
    }
}
