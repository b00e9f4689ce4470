//! From the reasons why a run ended and its tally to status and exit code.

use serde::{Deserialize, Serialize};

use super::Tally;

/// How a run ended, the word in summary.json.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Every row has its final fate.
    Completed,
    /// Rows are pending and nothing has to be repaired.
    Interrupted,
    /// Something has to be repaired before the run can go on.
    Failed,
    /// A limit the user set was reached.
    Stopped,
}

impl Status {
    /// The word itself.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Completed => "completed",
            Status::Interrupted => "interrupted",
            Status::Failed => "failed",
            Status::Stopped => "stopped",
        }
    }
}

/// Why a run ended. A run may have several reasons; the greatest decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Nothing was left to do.
    Finished,
    /// A signal, `--max-wait`, the allowance used up, an org out of reach.
    Interrupted,
    /// A limit the user set (`--max-failures`, `--limit` is none of these: it
    /// shortens the source).
    UserLimit,
    /// The disk, the login, the org's storage, a source that breaks off.
    Broken,
}

/// Status and exit code of a run that sent something, or had nothing to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The word for summary.json.
    pub status: Status,
    /// 0, 1, 3, 4 or 5 (docs/cli.md); 2 never comes with a run.
    pub exit_code: u8,
}

/// Decides how a run ended: of the codes 1, 5, 4, 3, 0 the first that applies.
///
/// A run that says it finished is not believed when its tally shows rows
/// pending (interrupted, 4), or more fates than rows (broken, 1): I1. Of the
/// rejected rows, `left_out` are those that the user's own filter left out; they
/// are no reason for 3.
pub fn verdict(reasons: impl IntoIterator<Item = Reason>, tally: &Tally, left_out: u64) -> Verdict {
    let mut reason = reasons.into_iter().max().unwrap_or(Reason::Finished);
    if tally.settled() > tally.read {
        reason = Reason::Broken;
    } else if tally.pending() > 0 {
        reason = reason.max(Reason::Interrupted);
    }
    let (status, exit_code) = match reason {
        Reason::Broken => (Status::Failed, 1),
        Reason::UserLimit => (Status::Stopped, 5),
        Reason::Interrupted => (Status::Interrupted, 4),
        Reason::Finished if tally.is_clean_but_for(left_out) => (Status::Completed, 0),
        Reason::Finished => (Status::Completed, 3),
    };
    Verdict { status, exit_code }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(reasons: &[Reason], tally: Tally) -> (Status, u8) {
        let Verdict { status, exit_code } = verdict(reasons.iter().copied(), &tally, 0);
        (status, exit_code)
    }

    fn clean() -> Tally {
        Tally { read: 10, created: 6, updated: 4, ..Tally::default() }
    }

    #[test]
    fn all_rows_saved_is_0() {
        assert_eq!(decided(&[Reason::Finished], clean()), (Status::Completed, 0));
        assert_eq!(decided(&[], Tally::default()), (Status::Completed, 0));
    }

    #[test]
    fn any_row_not_saved_is_3() {
        for tally in [
            Tally { read: 11, failed: 1, ..clean() },
            Tally { read: 11, rejected: 1, ..clean() },
            Tally { read: 11, unprocessed: 1, ..clean() },
            Tally { read: 11, disputed: 1, ..clean() },
        ] {
            assert_eq!(decided(&[Reason::Finished], tally), (Status::Completed, 3));
        }
    }

    #[test]
    fn rows_that_a_filter_left_out_are_no_fault() {
        let tally = Tally { read: 13, rejected: 3, ..clean() };
        let code = |left_out| verdict([Reason::Finished], &tally, left_out).exit_code;
        assert_eq!([code(0), code(2), code(3)], [3, 3, 0]);
        let tally = Tally { read: 14, failed: 1, ..tally };
        assert_eq!(verdict([Reason::Finished], &tally, 3).exit_code, 3);
    }

    #[test]
    fn the_gravest_reason_decides() {
        use Reason::{Broken, Finished, Interrupted, UserLimit};
        let tally = Tally { read: 20, failed: 2, ..clean() };
        for (reasons, expected) in [
            (&[Interrupted][..], (Status::Interrupted, 4)),
            (&[Interrupted, UserLimit], (Status::Stopped, 5)),
            (&[Broken, UserLimit, Interrupted], (Status::Failed, 1)),
            (&[Finished, Broken], (Status::Failed, 1)),
        ] {
            assert_eq!(decided(reasons, tally), expected);
        }
    }

    #[test]
    fn a_finished_run_with_pending_rows_did_not_complete() {
        let tally = Tally { read: 11, ..clean() };
        assert_eq!(decided(&[Reason::Finished], tally), (Status::Interrupted, 4));
        assert_eq!(decided(&[Reason::UserLimit], tally), (Status::Stopped, 5));
    }

    #[test]
    fn more_fates_than_rows_is_a_fault_of_ours() {
        let tally = Tally { read: 9, ..clean() };
        assert_eq!(decided(&[Reason::Finished], tally), (Status::Failed, 1));
    }
}
