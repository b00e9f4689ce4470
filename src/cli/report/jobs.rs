//! The jobs of a run as tables.

use std::fmt::Write as _;

use comfy_table::CellAlignment;

use crate::cli::table;
use crate::report::JobSummary;
use crate::report::format::{bytes, count, thousands};

/// Jobs shown unasked.
const SHOWN: usize = 10;

/// Every job.
pub(super) fn all(jobs: &[JobSummary], fitted: bool) -> String {
    if jobs.is_empty() {
        return "\nno jobs\n".to_owned();
    }
    let all: Vec<&JobSummary> = jobs.iter().collect();
    format!("\n{}", listed(&all, fitted))
}

/// The jobs whose end was not seen, in the state they were seen in last.
pub(super) fn open(jobs: &[JobSummary], fitted: bool) -> String {
    let ended = ["JobComplete", "Failed", "Aborted"];
    let open: Vec<&JobSummary> =
        jobs.iter().filter(|job| !ended.contains(&job.state.as_str())).collect();
    if open.is_empty() {
        return String::new();
    }
    let total = open.len();
    let shown = &open[..total.min(SHOWN)];
    let mut text = format!(
        "\n{} not seen to its end, in the state seen last\n{}",
        count(total as u64, "job"),
        listed(shown, fitted)
    );
    if total > shown.len() {
        let _ = writeln!(text, "… and {} more; --jobs shows all", total - shown.len());
    }
    text
}

fn listed(jobs: &[&JobSummary], fitted: bool) -> String {
    let header =
        ["Job", "Chunk", "Attempt", "State", "From row", "Rows", "Bytes", "Processed", "Failed"];
    let mut table = table::new(&header, fitted);
    for job in jobs {
        table.add_row([
            table::harmless(&job.id),
            thousands(job.chunk),
            job.attempt.to_string(),
            table::harmless(&job.state),
            thousands(job.first_row),
            thousands(job.rows),
            bytes(job.bytes),
            thousands(job.processed),
            thousands(job.failed),
        ]);
    }
    for column in [1, 2, 4, 5, 6, 7, 8] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}\n", table.trim_fmt())
}
