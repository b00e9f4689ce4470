//! Ctrl-C and SIGTERM: once to wind down, twice to leave at once.

use crate::pipeline::{Stop, StopReason};

use super::super::Exit;

/// Watches for signals until the process ends.
pub(super) fn watch(stop: &Stop) {
    let stop = stop.clone();
    tokio::spawn(async move {
        signal().await;
        stop.ask(StopReason::Signal);
        signal().await;
        leave();
    });
}

/// Leaves at once. The ledger is synced at every step, so nothing known is
/// lost; the jobs in the org go on.
#[expect(clippy::exit, reason = "the second signal means now")]
fn leave() {
    std::process::exit(Exit::Interrupted as i32);
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

#[cfg(not(unix))]
async fn signal() {
    let _ = tokio::signal::ctrl_c().await;
}
