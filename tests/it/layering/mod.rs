//! The arrows of the house, held by a test: reads the sources and fails when a
//! module uses what it must not know, a file lacks its module doc or is too
//! long, or a file is declared nowhere.
//!
//! The rules are in `rules`, the reading of sources in `source`; both have
//! tests on made-up sources, which prove that each rule can fail.

mod rules;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use rules::{Complaint, check_file, undeclared};

/// Every Rust file below a folder, by its path within the package.
fn files_below(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // What cargo built for the fuzz targets.
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

fn fail_on(complaints: &[Complaint]) {
    let text: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), text.join("\n"));
}

#[test]
fn every_arrow_runs_the_right_way() {
    let mut files = files_below("src");
    assert!(files.len() > 20, "the sources were not found");
    files.extend(files_below("tests"));
    if Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").is_dir() {
        files.extend(files_below("benches"));
    }
    let complaints: Vec<Complaint> =
        files.iter().flat_map(|(path, text)| check_file(path, text)).collect();
    fail_on(&complaints);
}

/// Files of tests that cargo compiles by themselves.
const TEST_ROOTS: [&str; 4] = [
    "tests/it/main.rs",
    "tests/fuzz/fuzz_targets/csv_reader.rs",
    "tests/fuzz/fuzz_targets/mapping_file.rs",
    "tests/fuzz/fuzz_targets/result_matcher.rs",
];

#[test]
fn no_file_is_forgotten() {
    let mut complaints = undeclared(&files_below("src"), &["src/lib.rs", "src/main.rs"]);
    complaints.extend(undeclared(&files_below("tests"), &TEST_ROOTS));
    fail_on(&complaints);
}
