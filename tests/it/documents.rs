//! Documents that must not fall behind the code: docs/cli.md names every
//! command, flag and variable, docs/errors.md every code of an error, every
//! page that is linked to exists, no place-holder is left, and the recipes call
//! scripts that are there.

use std::fs;
use std::path::{Path, PathBuf};

use bulkhaul::cli::Cli;
use clap::{Command, CommandFactory};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// What docs/cli.md fails to name of a command and those below it.
fn unnamed(command: &Command, path: &str, document: &str) -> Vec<String> {
    let mut missing = Vec::new();
    for argument in command.get_arguments() {
        let flag = argument.get_long().map(|long| format!("--{long}"));
        // Clap's own.
        if matches!(flag.as_deref(), Some("--help" | "--version")) {
            continue;
        }
        let variable = argument.get_env().and_then(|name| name.to_str()).map(str::to_owned);
        for name in flag.into_iter().chain(variable) {
            let named = document.match_indices(&name).any(|(at, _)| {
                let behind = document[at + name.len()..].chars().next();
                !behind.is_some_and(|char| char.is_alphanumeric() || char == '-' || char == '_')
            });
            if !named {
                missing.push(format!("{path}: {name}"));
            }
        }
    }
    for below in command.get_subcommands().filter(|command| command.get_name() != "help") {
        let path = format!("{path} {}", below.get_name());
        let path = path.trim_start();
        if below.get_subcommands().next().is_none() && !document.contains(&format!("`{path}")) {
            missing.push(path.to_owned());
        }
        missing.extend(unnamed(below, path, document));
    }
    missing
}

#[test]
fn the_command_line_is_documented() {
    let mut command = Cli::command();
    command.build();
    assert_eq!(unnamed(&command, "", &text("docs/cli.md")), Vec::<String>::new());
}

#[test]
fn what_is_not_documented_is_told() {
    use clap::Arg;
    let command = Command::new("x")
        .arg(Arg::new("a").long("chunk").env("X_CHUNK"))
        .subcommand(Command::new("go").arg(Arg::new("b").long("fast")));
    let found = unnamed(&command, "", "`--chunk-rows`, `X_CHUNK` and `--fast`");
    assert_eq!(found, [": --chunk", "go"]);
}

/// The codes that a source of the cli makes errors with.
fn codes(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for maker in ["refused(", "repair(", "interrupted("] {
        for rest in source.split(maker).skip(1) {
            let Some(literal) = rest.trim_start().strip_prefix('"') else { continue };
            found.extend(literal.split('"').next().map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_error_code_is_documented() {
    let document = text("docs/errors.md");
    let mut folders = vec![root().join("src/cli")];
    let mut missing = Vec::new();
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            // Tests may make errors of their own.
            let source = source.split("#[cfg(test)]").next().unwrap_or_default();
            for code in codes(source) {
                seen += 1;
                if !document.contains(&format!("`{code}`")) {
                    missing.push(format!("{}: {code}", path.display()));
                }
            }
        }
    }
    assert!(seen > 3, "no codes were found: is this test still looking in the right place?");
    assert_eq!(missing, Vec::<String>::new());
}

/// The targets of a document's links to files.
fn links(document: &str) -> Vec<&str> {
    document
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(|target| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .collect()
}

/// Every page of the repository.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let (path, name) = (entry.path(), entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                // What is built, and what belongs to tools.
                if name != "target" && !name.to_string_lossy().starts_with('.') {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    for needed in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/cli.md"] {
        assert!(found.contains(&root().join(needed)), "{needed} was not found");
    }
    found
}

#[test]
fn links_lead_to_files() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for document in documents() {
        let content = fs::read_to_string(&document).unwrap();
        for link in links(&content) {
            seen += 1;
            if !document.parent().unwrap().join(link).exists() {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(seen >= 20, "{seen} links: is this test still looking in the right places?");
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn links_are_found_and_told_from_addresses() {
    let text = "[a](x/y.md#part) and [b](https://example.com), [c](#here) [d](../z.md)";
    assert_eq!(links(text), ["x/y.md", "../z.md"]);
}

/// What an author puts where something is still to be filled in.
const PLACE_HOLDER: &str = "@@";

#[test]
fn nothing_is_left_to_fill_in() {
    let left: Vec<String> = documents()
        .iter()
        .flat_map(|document| {
            let content = fs::read_to_string(document).unwrap();
            let lines = content.lines().zip(1..).filter(|(line, _)| line.contains(PLACE_HOLDER));
            lines
                .map(|(line, number)| format!("{}:{number}: {line}", document.display()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

/// The scripts that a caller names.
fn scripts(content: &str) -> Vec<&str> {
    content
        .split_whitespace()
        .map(|word| word.trim_matches(['"', '\'', '`', '(', ')', ';', ',', '.']))
        .filter(|word| word.starts_with("scripts/") || word.starts_with("conformance/"))
        .collect()
}

#[test]
fn recipes_and_ci_call_scripts_that_exist() {
    // Each with the fewest calls it can do with: CI installs and checks, a
    // recipe stands for every step of the check.
    for (caller, fewest) in [("justfile", 5), (".ci/run", 2), ("scripts/check.sh", 1)] {
        let content = text(caller);
        let called = scripts(&content);
        assert!(called.len() >= fewest, "{caller} calls {called:?} only");
        for script in called {
            assert!(root().join(script).is_file(), "{caller} calls {script}");
        }
    }
}
