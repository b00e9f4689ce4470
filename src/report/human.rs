//! The summary as a person reads it: within 80 columns, the same text for the
//! same run, colours only where they are asked for.

use std::fmt::Write as _;

use super::format::{self, bytes, duration, percent, printable, thousands, width, wrap};
use super::summary::{OriginSummary, RowCounts, SUMMARY_FILE, Summary};
use crate::domain::{FailureGroup, LEFT_OUT, Operation, Status};

/// Columns that every line but a path fits in.
pub const WIDTH: usize = 80;

/// Groups of failures shown; the rest is in summary.json.
const GROUPS_SHOWN: usize = 12;

/// Jobs that failed as a whole and are shown.
const JOBS_SHOWN: usize = 5;

/// What of a run is told, where it is not the usual.
#[derive(Debug, Clone, Default)]
pub struct Telling {
    /// The sentence below the headline, in the place of the one that the
    /// status gives: for a run that has not ended.
    pub sentence: Option<String>,
    /// Every group of failures, not just the largest.
    pub all_failures: bool,
    /// The figures came from the ledger, which knows nothing of calls, bytes
    /// fetched and memory, and there is no summary.json.
    pub from_ledger: bool,
}

/// The final text of a run, with a line end. `colour` adds the usual escape
/// sequences; the text without them is the same.
pub fn render(summary: &Summary, colour: bool) -> String {
    render_as(summary, &Telling::default(), colour)
}

/// As [`render`], told in another way.
pub fn render_as(summary: &Summary, telling: &Telling, colour: bool) -> String {
    let paint = Paint { on: colour };
    let mut out = String::new();
    headline(&mut out, summary, telling.sentence.as_deref(), paint);
    outcome_table(&mut out, summary, paint);
    failed_jobs(&mut out, summary, paint);
    failures(
        &mut out,
        summary,
        if telling.all_failures { usize::MAX } else { GROUPS_SHOWN },
        paint,
    );
    files(&mut out, summary, telling.from_ledger, paint);
    figures(&mut out, summary, telling.from_ledger);
    for note in &summary.notes {
        hanging(&mut out, "note: ", &printable(note));
    }
    out
}

/// Writes escape sequences, or doesn't.
#[derive(Clone, Copy)]
struct Paint {
    on: bool,
}

impl Paint {
    fn wrapped(self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.wrapped("1", text)
    }

    fn green(self, text: &str) -> String {
        self.wrapped("32", text)
    }

    fn yellow(self, text: &str) -> String {
        self.wrapped("33", text)
    }

    fn red(self, text: &str) -> String {
        self.wrapped("31", text)
    }

    fn dim(self, text: &str) -> String {
        self.wrapped("2", text)
    }
}

/// A text behind a lead, its further lines set in below it.
fn hanging(out: &mut String, lead: &str, text: &str) {
    let indent = " ".repeat(width(lead));
    for (index, line) in wrap(text, WIDTH - width(lead)).iter().enumerate() {
        let _ = writeln!(out, "{}{line}", if index == 0 { lead } else { &indent });
    }
}

fn headline(out: &mut String, summary: &Summary, sentence: Option<&str>, paint: Paint) {
    let verb = match summary.operation {
        Operation::Insert => "Insert of",
        Operation::Update => "Update of",
        Operation::Upsert => "Upsert of",
        Operation::Delete => "Delete of",
        Operation::HardDelete => "Hard delete of",
    };
    let by = summary.external_id.as_ref().map_or_else(String::new, |field| format!(" by {field}"));
    let kind = if summary.org.production { ", production" } else { "" };
    let what =
        format!("{verb} {}{by} in {} ({}{kind})", summary.object, summary.org.name, summary.org.id);
    for line in wrap(&printable(&what), WIDTH) {
        let _ = writeln!(out, "{}", paint.bold(&line));
    }
    let rows = &summary.rows;
    let (succeeded, read) = (thousands(rows.succeeded), format::count(rows.read, "row"));
    let pending = format::count(rows.pending, "row");
    let usual = match (summary.status, summary.exit_code) {
        (Status::Completed, 0) if rows.read == 0 => "Completed: no rows to load.".to_owned(),
        (Status::Completed, 0) if rows.rejected > 0 => {
            format!("Completed: {succeeded} of {read} succeeded, the others were left out.")
        }
        (Status::Completed, 0) => format!("Completed: {read}, every one succeeded."),
        (Status::Completed, _) => format!("Completed: {succeeded} of {read} succeeded."),
        (Status::Interrupted, _) => format!("Interrupted: {pending} pending."),
        (Status::Stopped, _) => format!("Stopped at a limit you set: {pending} pending."),
        (Status::Failed, _) => format!("Could not go on: {pending} pending."),
    };
    let sentence = sentence.map_or(usual, |other| printable(other).into_owned());
    let painted = match summary.status {
        Status::Completed if summary.exit_code == 0 => paint.green(&sentence),
        Status::Failed => paint.red(&sentence),
        _ => paint.yellow(&sentence),
    };
    let _ = writeln!(out, "{painted}");
    if let Some(origin) = &summary.origin {
        let told = with_origin(origin);
        let is_clean = origin.rows.succeeded == origin.rows.read;
        for line in wrap(&told, WIDTH) {
            let line = printable(&line);
            let _ = writeln!(out, "{}", if is_clean { paint.green(&line) } else { line.into() });
        }
    }
    if let Some(error) = &summary.error {
        hanging(out, "error: ", &printable(&error.message));
        if let Some(hint) = &error.hint {
            hanging(out, "hint: ", &printable(hint));
        }
    }
}

/// What the load that a retry belongs to comes to with it.
fn with_origin(origin: &OriginSummary) -> String {
    let rows = &origin.rows;
    let read = format::count(rows.read, "row");
    if rows.succeeded == rows.read {
        return format!("With run {}: {read}, every one succeeded.", origin.run_id);
    }
    let left: Vec<String> = [
        ("failed", rows.failed),
        ("unprocessed", rows.unprocessed),
        ("rejected", rows.rejected),
        ("disputed", rows.disputed),
        ("pending", rows.pending),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .map(|(name, count)| format!("{} {name}", thousands(count)))
    .collect();
    format!(
        "With run {}: {} of {read} succeeded, {}.",
        origin.run_id,
        thousands(rows.succeeded),
        left.join(", ")
    )
}

/// The outcomes worth a line: those that this operation can have when all goes
/// well and `failed`, always; the others when they have rows.
fn outcomes(
    operation: Operation,
    rows: &RowCounts,
    left_out: u64,
) -> impl Iterator<Item = (&'static str, u64, &'static str)> {
    let creates = operation.creates();
    let updates = matches!(operation, Operation::Update | Operation::Upsert);
    let rejected = match rows.rejected.saturating_sub(left_out) {
        0 => "not sent: left out by the mapping's filter",
        _ if left_out > 0 => "not sent: faulty, or left out by the mapping's filter",
        _ => "not sent: faulty in the source",
    };
    [
        ("created", rows.created, creates, ""),
        ("updated", rows.updated, updates, ""),
        ("deleted", rows.deleted, operation.deletes(), ""),
        ("failed", rows.failed, true, "refused by the org"),
        ("unprocessed", rows.unprocessed, false, "sent, but never reached by the org"),
        ("rejected", rows.rejected, false, rejected),
        ("disputed", rows.disputed, false, "sent, but their fate is not proven"),
        ("pending", rows.pending, false, "not sent, or their fate is not known yet"),
    ]
    .into_iter()
    .filter(|&(_, count, always, _)| always || count > 0)
    .map(|(name, count, _, meaning)| (name, count, if count > 0 { meaning } else { "" }))
}

fn outcome_table(out: &mut String, summary: &Summary, paint: Paint) {
    let rows = &summary.rows;
    out.push('\n');
    let left_out = summary.failures_by_code.get(LEFT_OUT).copied().unwrap_or_default();
    for (name, count, meaning) in outcomes(summary.operation, rows, left_out) {
        let line = format!("  {name:<12}{:>15}{:>10}", thousands(count), percent(count, rows.read));
        let painted = match name {
            "created" | "updated" | "deleted" if count > 0 => paint.green(&line),
            "pending" if count > 0 => paint.yellow(&line),
            _ if count > 0 => paint.red(&line),
            _ => paint.dim(&line),
        };
        let meaning =
            if meaning.is_empty() { String::new() } else { paint.dim(&format!("  {meaning}")) };
        let _ = writeln!(out, "{painted}{meaning}");
    }
    let _ = writeln!(out, "  {}", "─".repeat(35));
    let check = if rows.adds_up() {
        paint.dim("  = the sum: each row has one fate")
    } else {
        paint.red(&format!("  but the sum is {}", thousands(rows.sum())))
    };
    let _ = writeln!(out, "  {:<12}{:>15}{:>10}{check}", "rows read", thousands(rows.read), "");
}

fn failed_jobs(out: &mut String, summary: &Summary, paint: Paint) {
    let failed: Vec<_> = summary.jobs.iter().filter(|job| job.error.is_some()).collect();
    if failed.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", paint.bold("Jobs that failed as a whole"));
    for job in failed.iter().take(JOBS_SHOWN) {
        let lead = format!("  {}  ", job.id);
        let text = format!(
            "{} from row {}: {}",
            format::count(job.rows, "row"),
            job.first_row,
            printable(job.error.as_deref().unwrap_or_default())
        );
        hanging(out, &lead, &text);
    }
    if failed.len() > JOBS_SHOWN {
        let _ = writeln!(out, "  … and {} more in {SUMMARY_FILE}", failed.len() - JOBS_SHOWN);
    }
}

/// Groups under their codes, the code with the most rows first.
fn failures(out: &mut String, summary: &Summary, most: usize, paint: Paint) {
    let shown: &[FailureGroup] = &summary.failure_groups;
    let shown = &shown[..shown.len().min(most)];
    if shown.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", paint.bold("Failures, values masked (… stands for one)"));
    let mut codes: Vec<(&str, u64)> = Vec::new();
    for group in shown {
        if !codes.iter().any(|(code, _)| *code == group.code) {
            let of_code = summary.failure_groups.iter().filter(|other| other.code == group.code);
            let told = summary.failures_by_code.get(&group.code).copied();
            let rows = told.unwrap_or_else(|| of_code.map(|group| group.count).sum());
            codes.push((&group.code, rows));
        }
    }
    codes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let counts = shown.iter().map(|group| thousands(group.count).len()).max().unwrap_or(0);
    let example = |group: &FailureGroup| match &group.example_source {
        Some(source) => format!("{} of {}", group.example_row, printable(source)),
        None => group.example_row.to_string(),
    };
    let examples = shown.iter().map(|group| width(&example(group))).max().unwrap_or(0);
    for (code, rows) in codes {
        let head = format!("  {}, {}", printable(code), format::count(rows, "row"));
        let _ = writeln!(out, "{}", paint.red(&head));
        for group in shown.iter().filter(|group| group.code == code) {
            let lead = format!(
                "    {:>counts$} ×  row {:<examples$}  ",
                thousands(group.count),
                example(group)
            );
            hanging(out, &lead, &printable(&group.message));
        }
    }
    let hidden = summary.failure_groups.len() - shown.len();
    if hidden > 0 {
        let _ = writeln!(out, "  … and {hidden} more kinds in {SUMMARY_FILE}");
    }
}

fn files(out: &mut String, summary: &Summary, from_ledger: bool, paint: Paint) {
    let folder = summary.folder.to_string_lossy();
    let _ = writeln!(out, "\n{} {}", paint.bold("Files in"), printable(&folder));
    let names = summary.result_files.iter().map(|file| width(&file.name)).max().unwrap_or(0);
    for file in &summary.result_files {
        let _ = writeln!(
            out,
            "  {:<names$}  {:>15} {}",
            file.name,
            thousands(file.rows),
            if file.rows == 1 { "row" } else { "rows" }
        );
    }
    let _ = writeln!(out, "  {}", if from_ledger { "ledger.sqlite" } else { SUMMARY_FILE });
}

fn figures(out: &mut String, summary: &Summary, from_ledger: bool) {
    let rate = thousands(summary.rows_per_second.round() as u64);
    let _ = writeln!(out, "\n{}, {rate} rows/s", duration(summary.seconds));
    let mut parts = vec![format::count(summary.jobs.len() as u64, "job")];
    if from_ledger {
        parts.push(format!("{} sent", bytes(summary.bytes_uploaded)));
    } else {
        parts.push(format::count(summary.api_calls, "API call"));
        parts.push(format!("{} sent", bytes(summary.bytes_uploaded)));
        parts.push(format!("{} fetched", bytes(summary.bytes_downloaded)));
    }
    if let Some(peak) = summary.peak_memory_bytes {
        parts.push(format!("{} of memory", bytes(peak)));
    }
    hanging(out, "", &parts.join(", "));
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::example;
    use super::super::{ErrorSummary, ResultFile, RowCounts};
    use super::*;
    use crate::domain::Tally;

    #[test]
    fn a_finished_upsert_with_failures() {
        insta::assert_snapshot!(render(&example(), false), @r"
        Upsert of Account by Legacy_Id__c in Local Org (00D000000000001EAA)
        Completed: 19,608 of 20,000 rows succeeded.

          created              12,000    60.0 %
          updated               7,608    38.0 %
          failed                  392     2.0 %  refused by the org
          ───────────────────────────────────
          rows read            20,000            = the sum: each row has one fate

        Failures, values masked (… stands for one)
          REQUIRED_FIELD_MISSING, 312 rows
            300 ×  row 17     Required fields are missing: […]
             12 ×  row 19998  Required field is missing: …
          DUPLICATE_VALUE, 80 rows
             80 ×  row 4711   duplicate value found: … duplicates value on record with
                              id: …

        Files in bulkhaul-runs/20260301-101500-account
          success.csv           19,608 rows
          failed.csv               392 rows
          summary.json

        12.3 s, 1,626 rows/s
        2 jobs, 37 API calls, 2.4 MB sent, 3.1 MB fetched, 84 MB of memory
        ");
    }

    #[test]
    fn a_retry_tells_what_the_load_comes_to_with_it() {
        let mut summary = example();
        let whole = Tally { read: 20_000, created: 20_000, ..Tally::default() };
        let rows = RowCounts::new(&whole, 20_000);
        summary.origin = Some(OriginSummary { run_id: "20260301-101500-3f2a".to_owned(), rows });
        let line = "With run 20260301-101500-3f2a: 20,000 rows, every one succeeded.";
        assert_eq!(render(&summary, false).lines().nth(2), Some(line));
        let left = Tally { created: 19_997, failed: 2, rejected: 1, ..whole };
        let rows = RowCounts::new(&left, 20_000);
        summary.origin = Some(OriginSummary { run_id: "r".to_owned(), rows });
        let line = "With run r: 19,997 of 20,000 rows succeeded, 2 failed, 1 rejected.";
        assert_eq!(render(&summary, false).lines().nth(2), Some(line));
    }

    #[test]
    fn a_clean_insert_is_short() {
        let mut summary = example();
        summary.operation = Operation::Insert;
        summary.external_id = None;
        summary.exit_code = 0;
        let tally = Tally { read: 20_000, created: 20_000, ..Tally::default() };
        summary.rows = RowCounts::new(&tally, 20_000);
        summary.failures_by_code.clear();
        summary.failure_groups.clear();
        summary.result_files.truncate(1);
        summary.peak_memory_bytes = None;
        insta::assert_snapshot!(render(&summary, false), @r"
        Insert of Account in Local Org (00D000000000001EAA)
        Completed: 20,000 rows, every one succeeded.

          created              20,000   100.0 %
          failed                    0     0.0 %
          ───────────────────────────────────
          rows read            20,000            = the sum: each row has one fate

        Files in bulkhaul-runs/20260301-101500-account
          success.csv           19,608 rows
          summary.json

        12.3 s, 1,626 rows/s
        2 jobs, 37 API calls, 2.4 MB sent, 3.1 MB fetched
        ");
    }

    #[test]
    fn a_run_that_broke_says_what_is_pending_and_why() {
        let mut summary = example();
        summary.status = Status::Failed;
        summary.exit_code = 1;
        let tally = Tally {
            read: 20_000,
            created: 9_000,
            failed: 392,
            unprocessed: 500,
            rejected: 7,
            disputed: 1,
            ..Tally::default()
        };
        summary.rows = RowCounts::new(&tally, 9_893);
        summary.jobs[1].state = "Failed".to_owned();
        summary.jobs[1].error = Some(
            "InvalidBatch : Field name not found : Legacy_Id__c. The column stands in the \
             header but the object has no such field"
                .to_owned(),
        );
        summary.failure_groups.truncate(1);
        summary.result_files.push(ResultFile { name: "unprocessed.csv".to_owned(), rows: 500 });
        summary.error = Some(ErrorSummary {
            code: "storage_full".to_owned(),
            message: "the org's data storage is full: STORAGE_LIMIT_EXCEEDED".to_owned(),
            hint: Some("Free some storage in the org.".to_owned()),
            resumable: false,
            problems: Vec::new(),
        });
        summary.notes.push(
            "3 values had line ends other than the file's; they were sent with the file's own"
                .to_owned(),
        );
        insta::assert_snapshot!(render(&summary, false), @r"
        Upsert of Account by Legacy_Id__c in Local Org (00D000000000001EAA)
        Could not go on: 10,100 rows pending.
        error: the org's data storage is full: STORAGE_LIMIT_EXCEEDED
        hint: Free some storage in the org.

          created               9,000    45.0 %
          updated                   0     0.0 %
          failed                  392     2.0 %  refused by the org
          unprocessed             500     2.5 %  sent, but never reached by the org
          rejected                  7    <0.1 %  not sent: faulty in the source
          disputed                  1    <0.1 %  sent, but their fate is not proven
          pending              10,100    50.5 %  not sent, or their fate is not known yet
          ───────────────────────────────────
          rows read            20,000            = the sum: each row has one fate

        Jobs that failed as a whole
          750000000000002AAA  10,000 rows from row 10001: InvalidBatch : Field name not
                              found : Legacy_Id__c. The column stands in the header but
                              the object has no such field

        Failures, values masked (… stands for one)
          REQUIRED_FIELD_MISSING, 312 rows
            300 ×  row 17  Required fields are missing: […]

        Files in bulkhaul-runs/20260301-101500-account
          success.csv               19,608 rows
          failed.csv                   392 rows
          unprocessed.csv              500 rows
          summary.json

        12.3 s, 1,626 rows/s
        2 jobs, 37 API calls, 2.4 MB sent, 3.1 MB fetched, 84 MB of memory
        note: 3 values had line ends other than the file's; they were sent with the
              file's own
        ");
    }

    #[test]
    fn every_line_fits_whatever_the_messages_are() {
        let mut summary = example();
        summary.failure_groups = (0..40u64)
            .map(|index| FailureGroup {
                code: format!("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY_{index}"),
                message: format!("漢字 {} \u{1b}[2J {}", "x".repeat(150), "many words ".repeat(30)),
                count: 1_234_567 - index,
                example_row: 123_456_789,
                example_source: None,
            })
            .collect();
        summary.org.name = "An org with a name that goes on ".repeat(5);
        summary.notes = vec!["word ".repeat(60)];
        let text = render(&summary, false);
        for line in text.lines() {
            assert!(width(line) <= WIDTH, "{line}");
        }
        assert!(!text.contains('\u{1b}'), "an escape sequence of a message got through");
        assert!(text.contains("… and 28 more kinds in summary.json"));
    }

    #[test]
    fn colours_change_nothing_but_the_colour() {
        let summary = example();
        let coloured = render(&summary, true);
        assert!(coloured.contains("\u{1b}[31m"));
        let mut bare = String::new();
        let mut escape = false;
        for char in coloured.chars() {
            match char {
                '\u{1b}' => escape = true,
                'm' if escape => escape = false,
                _ if escape => {}
                char => bare.push(char),
            }
        }
        assert_eq!(bare, render(&summary, false));
    }

    #[test]
    fn counts_that_do_not_add_up_are_shown_as_such() {
        let mut summary = example();
        summary.rows.failed -= 1;
        let text = render(&summary, false);
        assert!(text.contains("but the sum is 19,999"), "{text}");
    }
}
