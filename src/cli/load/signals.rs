//! Ctrl-C and SIGTERM: once to wind down, twice to leave at once.

use crate::pipeline::{Stop, StopReason};

use super::super::Exit;

/// Watches for signals until the process ends.
pub(in crate::cli) fn watch(stop: &Stop) {
    let stop = stop.clone();
    // Armed before the first row goes out, not when the task gets its turn.
    let Some(mut signals) = Signals::arm() else { return };
    tokio::spawn(async move {
        signals.next().await;
        stop.ask(StopReason::Signal);
        signals.next().await;
        leave();
    });
}

/// Leaves at once, with a word. The ledger is synced at every step, so nothing known is
/// lost; the jobs in the org go on.
#[expect(clippy::exit, clippy::print_stderr, reason = "the second signal means now")]
fn leave() {
    eprintln!(
        "left at once: the ledger in the run folder knows what was sent, and jobs that were \
         closed go on in the org"
    );
    std::process::exit(Exit::Interrupted as i32);
}

/// The signals that mean stop. `None` where the system gives none: then they
/// end the process as always.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn arm() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Some(Signals {
            interrupt: signal(SignalKind::interrupt()).ok()?,
            terminate: signal(SignalKind::terminate()).ok()?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "other systems can fail")]
    fn arm() -> Option<Self> {
        Some(Signals)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
