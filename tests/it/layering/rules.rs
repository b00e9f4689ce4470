//! The rules: who may know whom, and what only one place may name.

use std::fmt;

use super::source::{self, NamedPath};

/// Lines a file has at most; longer ones are split by meaning.
const MAX_LINES: usize = 700;

/// A rule that is broken somewhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) what: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// What the stages may use: all that lies below them, nothing beside them.
const BELOW_STAGES: &[&str] = &["domain", "ledger", "rows", "salesforce"];

/// What the transformer may use: mapping files are its own affair.
const BELOW_TRANSFORMER: &[&str] = &["domain", "ledger", "mapping", "rows", "salesforce"];

/// What a top-level module may use of the crate besides itself, as
/// docs/architecture.md draws it; `None` for a module that is not in the
/// picture.
fn may_use(module: &str) -> Option<&'static [&'static str]> {
    Some(match module {
        "domain" | "local_org" => &[],
        "ledger" | "report" | "rows" | "salesforce" => &["domain"],
        "generator" | "mapping" => &["domain", "rows"],
        "transformer" => BELOW_TRANSFORMER,
        "reader" | "grouper" | "checker" | "chunker" | "uploader" | "poller" | "reconciler"
        | "exporter" => BELOW_STAGES,
        "pipeline" => &[
            "checker",
            "chunker",
            "domain",
            "exporter",
            "grouper",
            "ledger",
            "mapping",
            "poller",
            "reader",
            "reconciler",
            "report",
            "rows",
            "salesforce",
            "transformer",
            "uploader",
        ],
        "cli" => &[
            "checker",
            "chunker",
            "domain",
            "exporter",
            "generator",
            "grouper",
            "ledger",
            "local_org",
            "mapping",
            "pipeline",
            "poller",
            "reader",
            "reconciler",
            "report",
            "rows",
            "salesforce",
            "transformer",
            "uploader",
        ],
        "main" => &["cli"],
        _ => return None,
    })
}

/// A name that only some files may name.
struct Confined {
    /// The path begins with these segments (a macro: is just this).
    path: &'static [&'static str],
    /// Where it may stand: the beginnings of file paths.
    only_in: &'static [&'static str],
    why: &'static str,
}

const CONFINED: &[Confined] = &[
    Confined {
        path: &["reqwest"],
        only_in: &["src/salesforce/transport.rs"],
        why: "the transport is the only place that speaks HTTP",
    },
    Confined {
        path: &["rusqlite"],
        only_in: &["src/ledger/", "src/local_org/", "src/mapping/table/disk.rs"],
        why: "SQL belongs to the ledger, the local org and lookups on disk",
    },
    Confined { path: &["axum"], only_in: &["src/local_org/"], why: "only the local org serves" },
    Confined { path: &["indicatif"], only_in: &["src/cli/"], why: "only the cli draws" },
    Confined { path: &["clap"], only_in: &["src/cli/"], why: "only the cli takes arguments" },
    Confined {
        path: &["std", "env"],
        only_in: &["src/cli/"],
        why: "only the cli reads the environment",
    },
];

/// Macros and calls that only the cli (and tests) may use.
const CLI_MACROS: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];

/// What the domain must not know: paths beginning so.
const NOT_IN_DOMAIN: &[&[&str]] = &[
    &["tokio"],
    &["rayon"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
    &["jiff", "Timestamp", "now"],
    &["jiff", "Zoned", "now"],
    &["Timestamp", "now"],
    &["Zoned", "now"],
];

/// Checks one file of the package.
pub(super) fn check_file(file: &str, text: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut complain = |line: usize, what: String| {
        complaints.push(Complaint { file: file.to_owned(), line, what });
    };
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let words = first.trim_start_matches("//!").trim();
    if !first.starts_with("//!") || words.is_empty() {
        complain(1, "begins without a `//!` module doc".to_owned());
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        complain(lines, format!("{lines} lines; split it by meaning ({MAX_LINES} at most)"));
    }
    if file.starts_with("src/") {
        let location = Location::of(file);
        for path in source::read(text).paths {
            if let Some(what) = check_path(file, &location, &path) {
                complain(path.line, what);
            }
        }
    }
    complaints
}

/// Where a file stands in the tree of modules.
struct Location {
    /// Top-level module; `main` and `lib` for the roots.
    top: String,
    /// Modules above its items: 1 for `src/rows/mod.rs`, 2 for
    /// `src/rows/batch.rs`.
    depth: usize,
}

impl Location {
    fn of(file: &str) -> Location {
        let inner = file.trim_start_matches("src/").trim_end_matches(".rs");
        let mut parts: Vec<&str> = inner.split('/').collect();
        if parts.last() == Some(&"mod") {
            parts.pop();
        }
        let top = parts.first().copied().unwrap_or_default().to_owned();
        let depth = if top == "main" || top == "lib" { 0 } else { parts.len() };
        Location { top, depth }
    }
}

/// What is wrong with a path that a file names, if anything.
fn check_path(file: &str, location: &Location, path: &NamedPath) -> Option<String> {
    let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
    let shown = segments.join("::");
    if let Some(target) = target(location, path.depth, &segments)
        && let Some(what) = check_arrow(&location.top, target)
    {
        return Some(format!("`{shown}`: {what}"));
    }
    for confined in CONFINED {
        let here = confined.only_in.iter().any(|place| file.starts_with(place));
        if !here && segments.starts_with(confined.path) {
            return Some(format!("`{shown}`: {}", confined.why));
        }
    }
    let in_cli = location.top == "cli";
    if path.is_macro && !in_cli && segments.len() == 1 && CLI_MACROS.contains(&segments[0]) {
        return Some(format!("`{shown}!`: only the cli prints"));
    }
    if !in_cli && segments.windows(2).any(|pair| pair == ["process", "exit"]) {
        return Some(format!("`{shown}`: only the cli ends the process"));
    }
    let forbidden = |start: &&&[&str]| segments.starts_with(start);
    if location.top == "domain" && NOT_IN_DOMAIN.iter().any(|start| forbidden(&start)) {
        return Some(format!("`{shown}`: the domain knows no runtime, clock, file or socket"));
    }
    None
}

/// The top-level module a path leads to, if it leads out of its own.
fn target<'a>(location: &Location, inline: usize, segments: &[&'a str]) -> Option<&'a str> {
    match segments {
        ["crate" | "bulkhaul", rest @ ..] => rest.first().copied(),
        ["super", ..] => {
            let ups = segments.iter().take_while(|segment| **segment == "super").count();
            (ups == location.depth + inline).then(|| segments.get(ups).copied()).flatten()
        }
        _ => None,
    }
}

/// What is wrong with an arrow from one top-level module to another.
fn check_arrow(from: &str, to: &str) -> Option<String> {
    // The map of the crate declares its modules; it uses none.
    if from == "lib" || from == to {
        return None;
    }
    let Some(allowed) = may_use(from) else {
        return Some(format!(
            "the module `{from}` has no place in the picture of docs/architecture.md; \
             give it one, and its arrows here"
        ));
    };
    if allowed.contains(&to) {
        return None;
    }
    Some(if from == "local_org" {
        "the local org uses nothing of ours (I10)".to_owned()
    } else {
        format!("`{from}` must not know `{to}`")
    })
}

/// Files that no module declares: the compiler never sees them. `roots` are
/// the files that need no declaration.
pub(super) fn undeclared(files: &[(String, String)], roots: &[&str]) -> Vec<Complaint> {
    let mut known: Vec<String> = roots.iter().map(|root| (*root).to_owned()).collect();
    for (path, text) in files {
        // Where the modules declared in this file lie.
        let folder = match path.rsplit_once('/') {
            Some((folder, name)) if name == "mod.rs" || roots.contains(&path.as_str()) => {
                folder.to_owned()
            }
            _ => path.trim_end_matches(".rs").to_owned(),
        };
        for name in source::read(text).declared {
            known.push(format!("{folder}/{name}.rs"));
            known.push(format!("{folder}/{name}/mod.rs"));
        }
    }
    files
        .iter()
        .filter(|(path, _)| !known.contains(path))
        .map(|(path, _)| Complaint {
            file: path.clone(),
            line: 1,
            what: "is declared by no `mod`, so it is never compiled".to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is complained about in a file with these lines below its doc.
    fn complaints(file: &str, body: &str) -> Vec<String> {
        check_file(file, &format!("//! What it is.\n{body}\n"))
            .into_iter()
            .map(|complaint| complaint.what)
            .collect()
    }

    fn is_fine(file: &str, body: &str) {
        let found = complaints(file, body);
        assert!(found.is_empty(), "{file}: {body}: {found:?}");
    }

    fn is_wrong(file: &str, body: &str) {
        assert_eq!(complaints(file, body).len(), 1, "{file}: {body}");
    }

    #[test]
    fn arrows_run_down() {
        is_fine("src/reconciler/matching.rs", "use crate::rows::Cell;");
        is_fine("src/reconciler/matching.rs", "use crate::domain::Fate;");
        is_fine("src/reconciler/matching.rs", "use crate::reconciler::proof;");
        is_fine("src/pipeline/load.rs", "use crate::reader::open_csv;");
        is_fine("src/cli/load.rs", "use crate::pipeline::run;");
        is_fine("src/cli/local_org.rs", "use crate::local_org::LocalOrg;");
        is_fine("src/main.rs", "fn main() { bulkhaul::cli::main() }");
        is_fine("src/lib.rs", "pub mod reader;");
    }

    #[test]
    fn arrows_never_run_sideways_or_up() {
        is_wrong("src/reconciler/matching.rs", "use crate::reader::open_csv;");
        is_wrong("src/reconciler/mod.rs", "fn f() { crate::reader::open_csv(); }");
        is_wrong("src/uploader/mod.rs", "use crate::{domain::Fate, reader::CsvSource};");
        is_wrong("src/rows/batch.rs", "use crate::salesforce::Org;");
        is_fine("src/transformer/plan.rs", "use crate::mapping::Recipe;");
        is_wrong("src/reader/csv.rs", "use crate::mapping::Recipe;");
        is_wrong("src/mapping/mod.rs", "use crate::transformer::Plan;");
        is_wrong("src/ledger/mod.rs", "use crate::rows::Dialect;");
        is_wrong("src/domain/row.rs", "use crate::rows::Dialect;");
        is_wrong("src/salesforce/jobs.rs", "use crate::pipeline::Load;");
        is_wrong("src/chunker/mod.rs", "use crate::cli::Context;");
        is_wrong("src/chunker/groups.rs", "use crate::grouper::GroupSurvey;");
        is_wrong("src/report/human.rs", "use crate::reconciler::mask;");
        is_wrong("src/main.rs", "fn main() { bulkhaul::pipeline::run() }");
    }

    #[test]
    fn arrows_are_seen_through_super() {
        is_wrong("src/reconciler/mod.rs", "use super::reader::open_csv;");
        is_wrong("src/reconciler/matching.rs", "use super::super::reader::open_csv;");
        is_fine("src/reconciler/matching.rs", "use super::reader::Lines;");
        is_wrong("src/rows/batch.rs", "mod tests { use super::super::super::salesforce::Org; }");
        is_fine("src/rows/batch.rs", "mod tests { use super::super::salesforce::Org; }");
    }

    #[test]
    fn the_local_org_uses_nothing_of_ours() {
        is_fine("src/local_org/server.rs", "use crate::local_org::store::Store; use axum::Router;");
        is_wrong("src/local_org/server.rs", "use crate::domain::JobState;");
        is_wrong("src/cli/org.rs", "use axum::Router;");
    }

    #[test]
    fn a_module_without_a_place_is_asked_for_one() {
        is_wrong("src/helpers/mod.rs", "use crate::domain::Fate;");
    }

    #[test]
    fn confined_crates_stay_where_they_belong() {
        is_fine("src/salesforce/transport.rs", "use reqwest::Client;");
        is_wrong("src/salesforce/jobs.rs", "fn f(client: &reqwest::Client) {}");
        is_wrong("src/uploader/mod.rs", "use reqwest::Body;");
        is_fine("src/ledger/schema.rs", "use rusqlite::Connection;");
        is_fine("src/local_org/store/mod.rs", "use rusqlite::Connection;");
        is_wrong("src/pipeline/mod.rs", "use rusqlite::Connection;");
        is_fine("src/cli/progress/bars.rs", "use indicatif::ProgressBar;");
        is_wrong("src/pipeline/load.rs", "use indicatif::ProgressBar;");
        is_wrong("src/domain/operation.rs", "#[derive(clap::ValueEnum)] enum A {}");
    }

    #[test]
    fn only_the_cli_prints_exits_and_reads_the_environment() {
        for body in [
            "fn f() { println!(\"x\"); }",
            "fn f() { eprintln!(\"x\"); }",
            "fn f() { dbg!(1); }",
            "fn f() { std::process::exit(1); }",
            "use std::process; fn f() { process::exit(1); }",
            "fn f() { std::env::var(\"HOME\"); }",
            "use std::{env, io};",
        ] {
            is_wrong("src/pipeline/load.rs", body);
            is_fine("src/cli/load.rs", body);
        }
        is_fine("src/pipeline/load.rs", "const V: &str = env!(\"CARGO_PKG_VERSION\");");
    }

    #[test]
    fn the_domain_is_pure() {
        for body in [
            "use tokio::sync::mpsc;",
            "use std::fs::File;",
            "use std::net::TcpStream;",
            "use std::time::Instant;",
            "use std::{time::SystemTime};",
            "fn f() { jiff::Timestamp::now(); }",
        ] {
            is_wrong("src/domain/event.rs", body);
            is_fine("src/poller/mod.rs", body);
        }
        is_fine("src/domain/event.rs", "use std::time::Duration; use std::sync::Arc;");
    }

    #[test]
    fn every_file_says_what_it_is() {
        assert_eq!(check_file("src/rows/batch.rs", "use std::io;\n").len(), 1);
        assert_eq!(check_file("src/rows/batch.rs", "//!\nuse std::io;\n").len(), 1);
        assert_eq!(check_file("tests/it/load.rs", "// Not a doc.\n").len(), 1);
        assert_eq!(check_file("src/rows/batch.rs", "").len(), 1);
        assert!(check_file("src/rows/batch.rs", "\n//! Row batches.\n").is_empty());
    }

    #[test]
    fn long_files_are_seen() {
        let body = "//! Long.\n".to_owned() + &"fn f() {}\n".repeat(MAX_LINES);
        assert_eq!(check_file("src/rows/batch.rs", &body).len(), 1);
        let body = "//! Long.\n".to_owned() + &"fn f() {}\n".repeat(MAX_LINES - 1);
        assert!(check_file("src/rows/batch.rs", &body).is_empty());
    }

    #[test]
    fn forgotten_files_are_seen() {
        let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let mut files = vec![
            file("tests/it/main.rs", "mod load;\nmod layering;"),
            file("tests/it/load.rs", ""),
            file("tests/it/layering.rs", "mod rules;"),
            file("tests/it/layering/rules.rs", ""),
        ];
        assert_eq!(undeclared(&files, &["tests/it/main.rs"]), []);
        files.push(file("tests/it/conservation.rs", ""));
        files.push(file("tests/load.rs", ""));
        let found = undeclared(&files, &["tests/it/main.rs"]);
        let found: Vec<_> = found.iter().map(|complaint| complaint.file.as_str()).collect();
        assert_eq!(found, ["tests/it/conservation.rs", "tests/load.rs"]);
    }
}
