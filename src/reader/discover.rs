//! Which files a source is: those named, those that a pattern means, those in
//! a folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::parquet::partitions_of;
use crate::rows::SourceError;

/// Files of one source at most: their number is a part of every position.
pub(super) const MOST_FILES: usize = 32_767;

/// Ends of names that say what a file in a folder is.
const CSV_ENDS: [&str; 3] = ["csv", "tsv", "txt"];
const PARQUET_ENDS: [&str; 3] = ["parquet", "pq", "parq"];

/// A file of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it is called in `bulkhaul__Source`: its name, or where several
    /// files have the same, its path from the folder they share.
    pub shown: String,
    /// Columns that its path has instead of its rows (`year=2024/`), in the
    /// way of Hive; `None` for no value.
    pub partitions: Vec<(String, Option<String>)>,
}

/// Finds the files of a source, in the order they are to be read: as they were
/// named; by their paths where a pattern or a folder names them.
///
/// # Errors
/// [`SourceError::NoSource`] when there is no such file, or one is named
/// twice; `Io` when a folder can't be read.
pub(super) fn find(arguments: &[PathBuf]) -> Result<Vec<NamedFile>, SourceError> {
    let mut files: Vec<NamedFile> = Vec::new();
    for argument in arguments {
        if argument.is_dir() {
            files.extend(in_folder(argument)?);
        } else if argument.exists() || !is_pattern(argument) {
            files.push(NamedFile {
                path: argument.clone(),
                shown: String::new(),
                partitions: Vec::new(),
            });
        } else {
            files.extend(by_pattern(argument)?);
        }
    }
    if files.len() > MOST_FILES {
        return Err(none(
            format!("the source has {} files, and {MOST_FILES} are the most", files.len()),
            Some("Load them in parts."),
        ));
    }
    let mut known = std::collections::HashSet::new();
    for file in &files {
        let real = file.path.canonicalize().unwrap_or_else(|_| file.path.clone());
        if !known.insert(real) {
            return Err(none(
                format!("{} is named twice", file.path.display()),
                Some("Its rows would be loaded twice; name it once."),
            ));
        }
    }
    show(&mut files);
    Ok(files)
}

fn none(reason: String, hint: Option<&str>) -> SourceError {
    SourceError::NoSource { reason, hint: hint.map(str::to_owned) }
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

fn by_pattern(pattern: &Path) -> Result<Vec<NamedFile>, SourceError> {
    let text = pattern.to_string_lossy();
    let options = glob::MatchOptions {
        require_literal_separator: true,
        require_literal_leading_dot: true,
        ..glob::MatchOptions::default()
    };
    let paths = glob::glob_with(&text, options)
        .map_err(|error| none(format!("{text} is no pattern of files: {}", error.msg), None))?;
    let mut found = Vec::new();
    for path in paths {
        let path = path.map_err(|error| SourceError::Io {
            path: error.path().to_owned(),
            source: error.into(),
        })?;
        if path.is_dir() {
            found.extend(in_folder(&path)?);
        } else {
            found.push(NamedFile { path, shown: String::new(), partitions: Vec::new() });
        }
    }
    if found.is_empty() {
        return Err(none(
            format!("no file is meant by {text}"),
            Some("Check the pattern; it is relative to the folder the command is started in."),
        ));
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// The CSV or Parquet files in a folder and the folders in it. Names that
/// begin with a dot or an underscore are those of other tools' own files.
fn in_folder(root: &Path) -> Result<Vec<NamedFile>, SourceError> {
    let mut folders = vec![root.to_owned()];
    let (mut csv, mut parquet) = (Vec::new(), Vec::new());
    let mut others = 0;
    while let Some(folder) = folders.pop() {
        let failed = |source| SourceError::Io { path: folder.clone(), source };
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(['.', '_']) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let unpacked = name
                .strip_suffix(".gz")
                .or_else(|| name.strip_suffix(".zst"))
                .unwrap_or(&name)
                .to_ascii_lowercase();
            let end = unpacked.rsplit_once('.').map_or("", |(_, end)| end);
            if CSV_ENDS.contains(&end) {
                csv.push(path);
            } else if PARQUET_ENDS.contains(&end) {
                parquet.push(path);
            } else {
                others += 1;
            }
        }
    }
    let shown = root.display();
    let mut paths = match (csv.is_empty(), parquet.is_empty()) {
        (false, false) => {
            return Err(none(
                format!("the folder {shown} holds CSV and Parquet files"),
                Some("Name those to load, such as FOLDER/*.csv."),
            ));
        }
        (true, true) => {
            let seen = match others {
                0 => "holds no file".to_owned(),
                _ => format!("holds no CSV or Parquet file, by the names of the {others} in it"),
            };
            return Err(none(
                format!("the folder {shown} {seen}"),
                Some("Names end in .csv, .tsv, .txt (also .gz and .zst) or .parquet."),
            ));
        }
        (false, true) => csv,
        (true, false) => parquet,
    };
    paths.sort();
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let partitions = partitions_of(root, &path)
            .map_err(|why| none(format!("{}: {why}", path.display()), None))?;
        files.push(NamedFile { path, shown: String::new(), partitions });
    }
    Ok(files)
}

/// Gives every file a name that no other has.
fn show(files: &mut [NamedFile]) {
    let name =
        |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let mut known = std::collections::HashSet::new();
    let differ = files.iter().all(|file| known.insert(name(&file.path)));
    if differ {
        for file in files {
            file.shown = name(&file.path);
        }
        return;
    }
    let mut shared: Option<PathBuf> = None;
    for file in files.iter() {
        let parent = file.path.parent().unwrap_or(Path::new(""));
        shared = Some(match shared {
            None => parent.to_owned(),
            Some(before) => before
                .components()
                .zip(parent.components())
                .take_while(|(one, other)| one == other)
                .map(|(one, _)| one)
                .collect(),
        });
    }
    let shared = shared.unwrap_or_default();
    for file in files {
        let path = file.path.strip_prefix(&shared).unwrap_or(&file.path);
        file.shown = path.to_string_lossy().into_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(files: &[NamedFile]) -> Vec<&str> {
        files.iter().map(|file| file.shown.as_str()).collect()
    }

    fn tree(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "Name\nA\n").unwrap();
        }
        folder
    }

    fn refusal(arguments: &[PathBuf]) -> String {
        find(arguments).unwrap_err().to_string()
    }

    #[test]
    fn files_are_named_shown_and_in_order() {
        let folder = tree(&["b.csv", "a.csv", "c.txt", "notes.md", "_SUCCESS", ".hidden.csv"]);
        let at = |name: &str| folder.path().join(name);
        assert_eq!(shown(&find(&[at("b.csv"), at("a.csv")]).unwrap()), ["b.csv", "a.csv"]);
        assert_eq!(shown(&find(&[at("*.csv")]).unwrap()), ["a.csv", "b.csv"]);
        assert_eq!(shown(&find(&[folder.path().to_owned()]).unwrap()), ["a.csv", "b.csv", "c.txt"]);
        assert!(refusal(&[at("a.csv"), at("*.csv")]).contains("named twice"));
        assert!(refusal(&[at("*.parquet")]).contains("no file is meant"));
        // What is not there is told by who opens it.
        assert_eq!(shown(&find(&[at("none.csv")]).unwrap()), ["none.csv"]);
    }

    #[test]
    fn files_of_one_name_are_shown_with_what_tells_them_apart() {
        let folder =
            tree(&["t/year=2023/part-0.parquet", "t/year=2024/part-0.parquet", "t/_metadata"]);
        let files = find(&[folder.path().join("t")]).unwrap();
        assert_eq!(shown(&files), ["year=2023/part-0.parquet", "year=2024/part-0.parquet"]);
        assert_eq!(files[1].partitions, [("year".to_owned(), Some("2024".to_owned()))]);
    }

    #[test]
    fn folders_without_a_clear_kind_are_refused() {
        let folder = tree(&["x/a.csv", "x/b.parquet", "y/readme.md"]);
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("z")).unwrap();
        assert!(refusal(&[at("x")]).contains("CSV and Parquet"));
        assert!(refusal(&[at("y")]).contains("of the 1 in it"));
        assert!(refusal(&[at("z")]).contains("holds no file"));
    }
}
