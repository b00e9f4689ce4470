//! `resume --settle`: a run is brought to its end, its disputed rows are settled
//! by their records, and its account is made anew.

use std::sync::Arc;

use super::account::{Account, AccountError};
use super::load::drive;
use super::recovery::Next;
use super::resume::{Backlog, books, take_up};
use super::run::Run;
use super::settle::{Settlement, settle_disputed};
use super::{LoadEnd, LoadError, Resumable, Stop};
use crate::domain::{SharedSink, error_chain};
use crate::ledger::Ledger;

/// As [`super::resume()`], and then asks the org for the records of disputed rows. A
/// run whose rows all have their outcome is only settled. `keys` are the sent
/// columns that find the records of an insert ([`super::Resumable::key_columns`]).
///
/// # Errors
/// [`LoadError::Settle`] when nothing can be settled; others
/// as [`super::load()`].
pub async fn resume_and_settle(
    resumable: Resumable,
    keys: Vec<usize>,
    events: SharedSink,
    stop: Stop,
) -> Result<LoadEnd, LoadError> {
    let is_complete = resumable.is_complete();
    // What was closed by the user stays so.
    let closing = resumable.stored().aborted_at.is_some();
    let (run, mut backlog, started) = take_up(resumable, Arc::clone(&events), stop, closing);
    if !is_complete && !closing {
        run.ledger.run(Ledger::reopen_run).await?;
        let end = drive(&run, backlog.clone(), started).await?;
        if end.stopped.is_some() || end.tally.disputed == 0 {
            return Ok(end);
        }
        let chunks = run.ledger.run(Ledger::chunks).await?;
        backlog = Backlog {
            chunks: chunks.iter().map(|chunk| (chunk.chunk.number, Next::Done)).collect(),
            read: chunks.iter().map(|chunk| chunk.chunk.read).sum(),
            from: None,
            exhausted: true,
            ready: Vec::new(),
        };
    }
    let settlement = match settle_disputed(&run, keys).await {
        Ok(settlement) => settlement,
        // A run that was just brought to its end is told of all the same.
        Err(error) if !is_complete && !closing => Settlement::prevented(&run, &error_chain(&error)),
        Err(error) => return Err(LoadError::Settle(error)),
    };
    // The books as the ledger has them now, and the result files anew.
    let (ledger, folder) = (run.ledger.clone(), run.folder.clone());
    let found = tokio::task::spawn_blocking(move || {
        let ledger = ledger.blocking();
        Ok((Account::read(ledger, &folder)?, ledger.chunks()?, ledger.attempts()?))
    });
    let found: Result<_, AccountError> =
        found.await.map_err(|error| LoadError::Stage(format!("account: {error}")))?;
    let (account, chunks, attempts) =
        found.map_err(|error| LoadError::Stage(error_chain(&error)))?;
    let books = books(account, &chunks, &attempts);
    let (setup, folder, ledger) = (run.setup.clone(), run.folder.clone(), run.ledger.clone());
    let again = Run::new(setup, folder, ledger, events, Stop::default(), books);
    for note in settlement.notes(&run) {
        again.note(note);
    }
    drive(&again, backlog, started).await
}
