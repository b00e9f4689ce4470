//! The word to wind down, given once and heard by every stage.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::Reason;

/// Why a run winds down before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// The user or the system asked (Ctrl-C, SIGTERM).
    Signal,
    /// `--max-wait` is over.
    MaxWait,
    /// The org can't be reached, or does not answer.
    Unreachable(String),
    /// The org grants no more for now.
    Allowance(String),
    /// Something has to be repaired before anybody can go on.
    Repair(String),
}

impl StopReason {
    /// What it means for the end of the run.
    pub fn reason(&self) -> Reason {
        match self {
            StopReason::Repair(_) => Reason::Broken,
            _ => Reason::Interrupted,
        }
    }

    /// One clause for people.
    pub fn describe(&self) -> String {
        match self {
            StopReason::Signal => "asked to stop".to_owned(),
            StopReason::MaxWait => "the time of --max-wait is over".to_owned(),
            StopReason::Unreachable(why) => format!("the org can't be reached ({why})"),
            StopReason::Allowance(why) => format!("the org's allowance is used up ({why})"),
            StopReason::Repair(why) => why.clone(),
        }
    }
}

/// A switch from running to winding down. The first reason stands, except that
/// one that needs a repair replaces one that does not.
#[derive(Debug, Clone)]
pub struct Stop {
    word: Arc<watch::Sender<Option<StopReason>>>,
}

impl Default for Stop {
    fn default() -> Self {
        Stop { word: Arc::new(watch::Sender::new(None)) }
    }
}

impl Stop {
    /// Asks every stage to wind down.
    pub fn ask(&self, reason: StopReason) {
        self.word.send_if_modified(|word| match (&word, &reason) {
            (None, _) => {
                *word = Some(reason);
                true
            }
            (Some(StopReason::Repair(_)), _) => false,
            (Some(_), StopReason::Repair(_)) => {
                *word = Some(reason);
                true
            }
            _ => false,
        });
    }

    /// The reason, once there is one.
    pub fn reason(&self) -> Option<StopReason> {
        self.word.borrow().clone()
    }

    /// Whether the run winds down.
    pub fn is_asked(&self) -> bool {
        self.word.borrow().is_some()
    }

    /// Waits until the run winds down.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn asked(&self) {
        let mut word = self.word.subscribe();
        // The sender lives in `self`, so this ends by the word alone.
        let _ = word.wait_for(Option::is_some).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stands_unless_a_repair_is_needed() {
        let stop = Stop::default();
        assert!(!stop.is_asked());
        stop.ask(StopReason::Signal);
        stop.ask(StopReason::MaxWait);
        assert_eq!(stop.reason(), Some(StopReason::Signal));
        stop.ask(StopReason::Repair("disk full".to_owned()));
        stop.ask(StopReason::Repair("another".to_owned()));
        assert_eq!(stop.reason(), Some(StopReason::Repair("disk full".to_owned())));
    }
}
