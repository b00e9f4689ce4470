//! What a check found, for people and for machines.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::Exit;
use super::super::context::peak_memory_bytes;
use crate::checker::Severity;
use crate::pipeline::{CheckEnd, FoundRow, Prepared, RuleCount};
use crate::report::format::{bytes, count, thousands};

/// Chunks that people are shown.
const SHOWN_CHUNKS: usize = 20;

/// Names of automation that people are shown of each kind.
const SHOWN_NAMES: usize = 10;

/// The report for people.
pub(super) fn text(prepared: &Prepared, end: &CheckEnd, chunks: bool) -> String {
    let mut text = String::new();
    let clean = end.read - end.left_out - end.wrong - end.doubtful;
    let _ = write!(
        text,
        "checked {}: {} clean, {} would fail, {} {} damaged",
        count(end.read, "row"),
        thousands(clean),
        thousands(end.wrong),
        thousands(end.doubtful),
        if end.doubtful == 1 { "looks" } else { "look" },
    );
    if end.left_out > 0 {
        let _ = write!(text, ", {} left out by the mapping's filter", thousands(end.left_out));
    }
    text.push('\n');
    rules(&mut text, end, Severity::Error, "would fail");
    rules(&mut text, end, Severity::Warning, "look damaged, or may not be what was meant");
    let estimate = &prepared.estimate;
    let sent = prepared.survey.as_ref().map_or(0, |survey| survey.bytes);
    let _ = writeln!(
        text,
        "\na load sends {} in {}: {}, {} of the daily batches, about {} API calls",
        count(estimate.rows, "row"),
        count(estimate.jobs, "job"),
        bytes(sent),
        thousands(estimate.batches),
        thousands(estimate.api_calls),
    );
    if let Some(need) = end.storage {
        let fits = if need.fits() { "" } else { ", which is not enough" };
        let _ = writeln!(
            text,
            "new records take up to {} of the {} of data storage that are left{fits}",
            bytes(need.bytes),
            bytes(need.remaining)
        );
    }
    if chunks {
        outline(&mut text, prepared);
    }
    automation(&mut text, prepared, end);
    for short in &end.short {
        let _ = writeln!(text, "not enough: {short}");
    }
    for note in &end.notes {
        let _ = writeln!(text, "note: {note}");
    }
    if end.wrong + end.doubtful > 0 {
        let _ = writeln!(text, "the rows and their reasons: {}", end.rows_file.display());
    }
    text.push_str("nothing was sent\n");
    text
}

fn rules(text: &mut String, end: &CheckEnd, severity: Severity, head: &str) {
    let mut is_first = true;
    for told in end.counts_of(severity) {
        if std::mem::take(&mut is_first) {
            let _ = writeln!(text, "\nrows that {head}");
        }
        let _ = writeln!(text, "  {:>9}  {}", thousands(told.rows), what(told));
        let _ = writeln!(text, "             {}: {}", first_rows(told), told.rule.advice());
    }
}

/// What is wrong, in words without the row.
fn what(told: &RuleCount) -> String {
    let takes = told.takes.as_ref().map_or_else(String::new, |takes| format!(" ({takes})"));
    match &told.column {
        Some(column) => format!("{column}: {}{takes}", told.rule.title()),
        None if told.rule == crate::checker::CheckRule::Unsendable => {
            format!("{}: {}", told.rule.title(), told.example)
        }
        None => format!("{}{takes}", told.rule.title()),
    }
}

fn first_rows(told: &RuleCount) -> String {
    let one_file = told.first_rows.windows(2).all(|two| two[0].source == two[1].source);
    let names: Vec<String> = told.first_rows.iter().map(|row| row.row.to_string()).collect();
    let more = told.rows.saturating_sub(names.len() as u64);
    let mut text = if one_file && !names.is_empty() {
        let word = if names.len() == 1 { "row" } else { "rows" };
        format!("{word} {}", names.join(", "))
    } else {
        let name = |row: &FoundRow| format!("row {} of {}", row.row, row.source);
        told.first_rows.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    if more > 0 {
        let _ = write!(text, " and {} more", thousands(more));
    }
    text
}

fn outline(text: &mut String, prepared: &Prepared) {
    let Some(survey) = &prepared.survey else { return };
    let _ = writeln!(text, "\nchunks");
    for (at, chunk) in survey.outlines.iter().take(SHOWN_CHUNKS).enumerate() {
        let _ = writeln!(
            text,
            "  {:>4}  {} from row {} on, {}",
            at + 1,
            count(chunk.rows, "row"),
            chunk.first_row,
            bytes(chunk.bytes)
        );
    }
    let more = survey.jobs.saturating_sub(SHOWN_CHUNKS as u64);
    if more > 0 {
        let _ = writeln!(text, "  and {} more", thousands(more));
    }
}

fn automation(text: &mut String, prepared: &Prepared, end: &CheckEnd) {
    if !end.automation.active.is_empty() {
        let _ = writeln!(text, "\nruns in the org for {} records", prepared.object.name);
    }
    for (kind, names) in &end.automation.active {
        let (one, many) = kind.words();
        let word = if names.len() == 1 { one } else { many };
        let shown = names.iter().take(SHOWN_NAMES).map(String::as_str).collect::<Vec<_>>();
        let more = names.len().saturating_sub(SHOWN_NAMES);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let _ = writeln!(text, "  {} {word}: {}{more}", names.len(), shown.join(", "));
    }
    if !end.automation.untold.is_empty() {
        let kinds: Vec<&str> =
            end.automation.untold.iter().map(|untold| untold.kind.words().1).collect();
        let _ = writeln!(
            text,
            "note: the org doesn't tell this user about {}; what they do to rows is not known",
            kinds.join(", ")
        );
    }
}

/// The rules by which rows would fail, for an error.
pub(super) fn problems(end: &CheckEnd) -> Vec<String> {
    end.counts_of(Severity::Error)
        .map(|told| format!("{}: {} ({})", count(told.rows, "row"), what(told), first_rows(told)))
        .collect()
}

/// The report for machines.
pub(super) fn json(
    command: &str,
    prepared: &Prepared,
    end: &CheckEnd,
    exit: Exit,
    chunks: bool,
    seconds: f64,
) -> Value {
    let identity = prepared.org.identity();
    let estimate = &prepared.estimate;
    let findings: Vec<Value> = end
        .counts
        .iter()
        .map(|told| {
            let rows: Vec<Value> = told
                .first_rows
                .iter()
                .map(|row| json!({ "source": row.source, "row": row.row }))
                .collect();
            json!({
                "rule": told.rule,
                "severity": told.rule.severity(),
                "org_code": told.rule.org_code(),
                "column": told.column,
                "field": told.field,
                "takes": told.takes,
                "what": told.rule.title(),
                "advice": told.rule.advice(),
                "example": told.example,
                "rows": told.rows,
                "first_rows": rows,
            })
        })
        .collect();
    let mut automation = serde_json::Map::new();
    for (kind, names) in &end.automation.active {
        automation.insert(kind.name().to_owned(), json!(names));
    }
    let untold: Vec<Value> = end
        .automation
        .untold
        .iter()
        .map(|untold| json!({ "kind": untold.kind.name(), "code": untold.code }))
        .collect();
    automation.insert("untold".to_owned(), json!(untold));
    let mut told = json!({
        "command": command,
        "exit_code": exit as u8,
        "org": {
            "id": identity.org_id,
            "name": identity.name,
            "url": identity.url,
            "user": identity.username,
            "production": identity.production,
        },
        "object": prepared.object.name,
        "operation": prepared.request.operation,
        "external_id": prepared.plan.external_id,
        "source": prepared.request.source_name(),
        "rows": {
            "read": end.read,
            "clean": end.read - end.left_out - end.wrong - end.doubtful,
            "would_fail": end.wrong,
            "doubtful": end.doubtful,
            "left_out": end.left_out,
        },
        "findings": findings,
        "rows_file": end.rows_file,
        "estimate": {
            "rows": estimate.rows,
            "jobs": estimate.jobs,
            "batches": estimate.batches,
            "api_calls": estimate.api_calls,
            "seconds": estimate.seconds,
            "bytes": prepared.survey.as_ref().map(|survey| survey.bytes),
        },
        "storage": end.storage.map(|need| json!({
            "bytes": need.bytes,
            "remaining": need.remaining,
            "fits": need.fits(),
        })),
        "short": end.short,
        "automation": automation,
        "notes": end.notes.iter().chain(&prepared.notes).collect::<Vec<_>>(),
        "api_calls": prepared.org.usage().calls,
        "peak_memory_bytes": peak_memory_bytes(),
        "seconds": seconds,
    });
    if chunks && let Some(survey) = &prepared.survey {
        let outlines: Vec<Value> = survey
            .outlines
            .iter()
            .map(|chunk| {
                json!({
                    "first_row": chunk.first_row.0,
                    "last_row": chunk.last_row.0,
                    "rows": chunk.rows,
                    "bytes": chunk.bytes,
                })
            })
            .collect();
        told["chunks"] = json!(outlines);
    }
    told
}
