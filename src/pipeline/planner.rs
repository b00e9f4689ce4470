//! The planner: reads the source, encodes its rows, cuts chunks and records
//! each in the ledger before any lane gets it (I3).
//!
//! Plain blocking code on a thread of its own. It runs ahead of the lanes only
//! as far as the channel of planned chunks allows.

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::StopReason;
use super::duplicates::{self, Encoder};
use super::original::Names;
use super::recovery::Next;
use super::results::Settled;
use super::resume::Backlog;
use super::run::{Run, SOURCE};
use super::window::Window;
use super::work::Work;
use crate::chunker::{
    Body as ChunkBody, ChunkError, ChunkSink, ChunkSizing, Chunker, ChunkerOptions, Duplicates,
    PlannedChunk,
};
use crate::domain::{
    Event, FailureGroups, LEFT_OUT, REJECTED, RowNumber, RowOutcome, Tally, error_chain,
};
use crate::ledger::{Body, BodyKind, ChunkRecord, ChunkState};
use crate::reconciler::OutcomeWriter;
use crate::rows::{self, GroupIndex, RowStream as _, SourceRows as _, Stretch};
use crate::transformer::Plan;

/// What the planner came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PlanTotals {
    /// Rows read.
    pub(super) read: u64,
    /// Whether the source was read to its end.
    pub(super) exhausted: bool,
}

/// What the chunker has to know of a plan.
pub(super) fn chunker_options(
    plan: &Plan,
    sizing: ChunkSizing,
    duplicates: Duplicates,
    first_number: u64,
    first_rows: Option<u64>,
) -> ChunkerOptions {
    ChunkerOptions {
        header_line: plan.header_line(),
        line_ending: plan.line_ending,
        sizing,
        duplicates,
        key_column: plan.key_place(),
        text_columns: plan.text_candidates.clone(),
        columns: plan.column_names(),
        first_number,
        first_rows,
    }
}

/// A chunker that heeds groups and tells rows of the original, where there are
/// such.
pub(super) fn in_order(mut chunker: Chunker, groups: Option<GroupIndex>, names: &Names) -> Chunker {
    if let Some(groups) = groups {
        chunker = chunker.in_groups(groups);
    }
    match names.shared() {
        Some(names) => chunker.told_by(names),
        None => chunker,
    }
}

/// Hands out what an earlier process left to do, then reads the source to its
/// end or to the word to stop.
pub(super) fn plan_chunks(
    run: &Arc<Run>,
    backlog: Backlog,
    planned: mpsc::Sender<Work>,
    settled: mpsc::Sender<Settled>,
) -> PlanTotals {
    let totals = PlanTotals { read: backlog.read, exhausted: false };
    let mut sink = Planner { run, planned, settled, rejected: None, totals };
    let result = take_up(run, &backlog, &mut sink).and_then(|()| match backlog.exhausted {
        exhausted if exhausted || run.setup.closing => {
            sink.totals.exhausted = exhausted;
            Ok(())
        }
        _ => read_all(run, &backlog, &mut sink),
    });
    let totals = sink.totals;
    match result {
        Ok(()) => {}
        // The taker of chunks is gone: the run winds down already.
        Err(ChunkError::Sink(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        // What was cut before stays right and is carried to its end.
        Err(error) => {
            let text = error_chain(&error);
            run.note(text.clone());
            run.stop.ask(StopReason::repair(text));
        }
    }
    totals
}

/// Hands out the chunks that an earlier process cut: those that are done to
/// the result files, the others to the lanes.
fn take_up(run: &Arc<Run>, backlog: &Backlog, sink: &mut Planner<'_>) -> Result<(), ChunkError> {
    let broken = |error| ChunkError::Sink(io::Error::other(error));
    for (number, next) in &backlog.chunks {
        if run.stop.is_asked() {
            return Ok(());
        }
        let ledger = run.ledger.blocking();
        let stored = ledger.chunk(*number).map_err(broken)?;
        let chunk = PlannedChunk::from_record(&stored.chunk);
        let taken = if *next == Next::Done {
            if stored.state == ChunkState::Recorded {
                let tally =
                    Tally { read: chunk.read_rows, rejected: chunk.rejected, ..Tally::default() };
                ledger.chunk_reconciled(*number, &tally).map_err(broken)?;
            }
            let attempts = ledger.attempts_of(*number).map_err(broken)?;
            let accounted = attempts
                .iter()
                .filter(|attempt| attempt.outcomes.is_some())
                .map(|attempt| attempt.number);
            run.remove_spools(&chunk, &attempts);
            let done = run.settled(&chunk, accounted, stored.settled_file.as_deref());
            sink.settled.blocking_send(done).is_ok()
        } else {
            sink.planned.blocking_send(Work { chunk, next: next.clone() }).is_ok()
        };
        if !taken {
            return Err(ChunkError::Sink(io::ErrorKind::BrokenPipe.into()));
        }
    }
    Ok(())
}

fn read_all(run: &Arc<Run>, backlog: &Backlog, sink: &mut Planner<'_>) -> Result<(), ChunkError> {
    let setup = &run.setup;
    let request = &setup.request;
    let source = setup.source.clone();
    let mut counted = Counted { run, files: 0 };
    counted.record()?;
    let mut from = backlog.from;
    let mut read = backlog.read;
    let mut first_number = backlog.chunks.last().map_or(1, |(number, _)| number + 1);
    for chunk in &backlog.ready {
        if run.stop.is_asked() {
            return Ok(());
        }
        let Stretch { end, .. } = chunk.stretch;
        let first_row = chunk.last_row.plus(1);
        from = Some(Stretch { start: end, end: source.end(), first_row });
        read += chunk.read_rows;
        first_number = chunk.number + 1;
        sink.planned(chunk.clone()).map_err(ChunkError::Sink)?;
        run.events.announce(Event::ReadProgress { bytes: source.bytes_before(end), rows: read });
    }
    // Rows of the window that chunks were cut from already are not read again.
    // A derived source holds the rows of the window alone.
    let is_derived = setup.derived.is_some();
    let skip = if from.is_some() || is_derived { 0 } else { request.skip };
    let limit = request.limit.filter(|_| !is_derived);
    let limit = limit.map(|limit| limit.saturating_sub(read));
    let mut rows = Window::new(source.rows(from)?, skip, limit);
    let policy = request.duplicates.unwrap_or_default();
    let first_rows = request.canary_rows().filter(|_| first_number == 1);
    let options = chunker_options(&setup.plan, setup.sizing, policy, first_number, first_rows);
    let chunker = Chunker::new(options, Arc::new(source), run.folder.spool_dir());
    let mut chunker = in_order(chunker, setup.groups.clone(), &setup.names);
    let doubles = if request.doubles_found {
        let first_row = from.map_or(RowNumber(0), |from| from.first_row);
        Some(duplicates::open(run.folder.path(), first_row)?)
    } else {
        None
    };
    let mut encoder = Encoder::new(Arc::clone(&setup.plan), doubles);
    while let Some(batch) = rows.next_batch()? {
        if run.stop.is_asked() {
            return Ok(());
        }
        counted.record()?;
        chunker.push(&batch, &encoder.apply(&batch)?, sink)?;
        read += batch.records.len() as u64;
        let bytes = batch.read_bytes;
        run.events.announce(Event::ReadProgress { bytes, rows: read });
    }
    counted.record()?;
    chunker.finish(sink)?;
    sink.totals.read = read;
    sink.totals.exhausted = true;
    setup.source.check_unchanged()?;
    run.ledger
        .blocking()
        .source_exhausted(SOURCE, read)
        .map_err(|error| ChunkError::Sink(io::Error::other(error)))?;
    let (to_send, chunks) = run.with_books(|books| (books.to_send, books.chunks));
    run.events.announce(Event::SourceExhausted { rows: read, to_send, chunks });
    Ok(())
}

/// Tells the ledger how many rows files have, before chunks are recorded that
/// hold rows behind them: a later process names rows by that.
struct Counted<'a> {
    run: &'a Run,
    /// Files it knows of.
    files: usize,
}

impl Counted<'_> {
    fn record(&mut self) -> Result<(), ChunkError> {
        // The files of a derived source are not those of the user.
        if self.run.setup.derived.is_some() {
            return Ok(());
        }
        let source = &self.run.setup.source;
        if source.counted_files() == self.files {
            return Ok(());
        }
        let ledger = self.run.ledger.blocking();
        for (number, file) in source.files().iter().enumerate().skip(self.files) {
            let Some(rows) = file.rows else { break };
            ledger
                .file_counted(SOURCE, number, rows)
                .map_err(|error| ChunkError::Sink(io::Error::other(error)))?;
            self.files = number + 1;
        }
        Ok(())
    }
}

/// Takes what the chunker gives: outcomes of rejected rows to their file,
/// chunks to the ledger and then to the lanes.
struct Planner<'a> {
    run: &'a Arc<Run>,
    planned: mpsc::Sender<Work>,
    settled: mpsc::Sender<Settled>,
    rejected: Option<(OutcomeWriter, FailureGroups)>,
    totals: PlanTotals,
}

impl ChunkSink for Planner<'_> {
    fn rejected(&mut self, chunk: u64, outcome: RowOutcome) -> io::Result<()> {
        let (writer, reasons) = match &mut self.rejected {
            Some(open) => open,
            None => {
                let path = self.run.folder.rejected(chunk);
                let writer = OutcomeWriter::create(&path, chunk).map_err(io::Error::other)?;
                self.rejected.insert((writer, FailureGroups::default()))
            }
        };
        let reason = outcome.error.as_deref().unwrap_or_default();
        reasons.count(code_of(reason), &kind_of(reason), self.run.row_of(outcome.row));
        writer.push(&outcome).map_err(io::Error::other)
    }

    fn planned(&mut self, chunk: PlannedChunk) -> io::Result<()> {
        let run = self.run;
        let mut reasons = FailureGroups::default();
        if let Some((writer, found)) = self.rejected.take() {
            writer.finish().map_err(io::Error::other)?;
            reasons = found;
        }
        let record = record(run, &chunk);
        let ledger = run.ledger.blocking();
        ledger.record_chunk(&record).map_err(io::Error::other)?;
        run.chunk_planned(&chunk, reasons);
        self.totals.read += chunk.read_rows;
        run.events.announce(Event::ChunkPlanned {
            chunk: chunk.number,
            first_row: run.row_of(chunk.stretch.first_row).0,
            rows: chunk.rows.len(),
            rejected: chunk.rejected,
            bytes: chunk.bytes,
        });
        let sent = if chunk.rows.is_empty() {
            let tally =
                Tally { read: chunk.read_rows, rejected: chunk.rejected, ..Tally::default() };
            ledger.chunk_reconciled(chunk.number, &tally).map_err(io::Error::other)?;
            self.settled.blocking_send(run.settled(&chunk, [], None)).is_ok()
        } else {
            self.planned.blocking_send(Work { chunk, next: Next::Begin }).is_ok()
        };
        if sent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }
}

/// The code under which a reason is counted.
pub(super) fn code_of(reason: &str) -> &'static str {
    if reason == rows::LEFT_OUT { LEFT_OUT } else { REJECTED }
}

/// A reason without what differs from row to row: its numbers, and where the
/// row begins. There is no row value in it (I8).
pub(super) fn kind_of(reason: &str) -> String {
    let reason = reason.split_once(" (the row begins").map_or(reason, |(reason, _)| reason);
    let mut kind = String::with_capacity(reason.len());
    for (at, part) in reason.split('`').enumerate() {
        let quoted = at % 2 == 1;
        if quoted {
            kind.push('`');
            kind.push_str(part);
            kind.push('`');
            continue;
        }
        let mut before_digit = false;
        for letter in part.chars() {
            let is_digit = letter.is_ascii_digit();
            if !is_digit {
                kind.push(letter);
            } else if !before_digit {
                kind.push('…');
            }
            before_digit = is_digit;
        }
    }
    kind
}

fn record(run: &Run, chunk: &PlannedChunk) -> ChunkRecord {
    ChunkRecord {
        number: chunk.number,
        source: SOURCE,
        start: chunk.stretch.start,
        end: chunk.stretch.end,
        first_row: chunk.stretch.first_row,
        last_row: chunk.last_row,
        read: chunk.read_rows,
        rows: chunk.rows.clone(),
        rejected: chunk.rejected,
        rejected_file: (chunk.rejected > 0).then(|| run.folder.rejected_name(chunk.number)),
        body: Body {
            kind: match &chunk.body {
                ChunkBody::None => BodyKind::None,
                ChunkBody::Span { .. } => BodyKind::Span,
                ChunkBody::Spool { file } => BodyKind::Spool { file: file.clone() },
            },
            bytes: chunk.bytes,
            digest: chunk.digest.clone(),
            delimiter: run.setup.plan.delimiter.byte(),
            line_ending: run.setup.plan.line_ending,
            needs_final_newline: chunk.add_line_end.is_some(),
        },
        unique_text: chunk.unique_text.and_then(|column| u32::try_from(column).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::kind_of;

    #[test]
    fn reasons_of_one_kind_are_one() {
        assert_eq!(
            kind_of("11 cells where the header has 12 (the row begins at byte 5028)"),
            "… cells where the header has …"
        );
        assert_eq!(
            kind_of("`Field_1__c`, column 14: row 7 has the same key"),
            "`Field_1__c`, column …: row … has the same key"
        );
    }
}
