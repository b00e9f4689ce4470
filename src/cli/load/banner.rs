//! What a person sees before anything is written (I11).

use std::fmt::Write as _;

use crate::domain::Operation;
use crate::pipeline::Prepared;
use crate::report::format::count;

/// The banner, of a few lines.
pub(in crate::cli) fn text(prepared: &Prepared) -> String {
    let identity = prepared.org.identity();
    let estimate = &prepared.estimate;
    let mut text = String::new();
    let kind = if identity.production { "PRODUCTION" } else { "sandbox" };
    let _ = writeln!(
        text,
        "{} {} {} ({kind}, {}) as {}",
        what(prepared),
        if prepared.request.operation.deletes() { "from" } else { "into" },
        identity.name,
        identity.org_id,
        identity.username
    );
    let about = if estimate.counted { "" } else { "about " };
    let _ = writeln!(
        text,
        "  {about}{} from {} in {} {}, {} of the daily batches, {}",
        count(estimate.rows, "row"),
        prepared.request.source_name(),
        estimate.jobs,
        if estimate.jobs == 1 { "job" } else { "jobs" },
        estimate.batches,
        duration(estimate.seconds),
    );
    for note in &prepared.notes {
        let _ = writeln!(text, "  note: {note}");
    }
    text
}

fn what(prepared: &Prepared) -> String {
    let object = &prepared.object.name;
    match (prepared.request.operation, &prepared.plan.external_id) {
        (Operation::Upsert, Some(field)) => format!("upsert {object} by {field}"),
        (operation, _) => format!("{operation} {object}"),
    }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..=90 => format!("about {} s", seconds.max(1)),
        91..=5_400 => format!("about {} min", seconds.div_ceil(60)),
        _ => format!("about {:.1} h", seconds as f64 / 3_600.0),
    }
}
