//! A hermetic place to run the binary in: a temporary folder, a cleared
//! environment, and an embedded org of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A temporary folder with everything a run needs.
pub struct Place {
    dir: tempfile::TempDir,
}

/// What the binary said.
#[must_use]
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new() -> Self {
        Place { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file and gives its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The binary with a cleared environment, in this place, on its own org.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhaul"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .env("BULKHAUL_ORG", "local")
            .env("TZ", "UTC")
            .stdin(std::process::Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub fn run(&self, args: &[&str]) -> Said {
        Said::from(self.command(args).output().unwrap())
    }

    /// Sets switches of the embedded org (docs/local-org.md) before its start.
    pub fn org_settings(&self, settings: &serde_json::Value) {
        let dir = self.dir.path().join(".bulkhaul/local-org");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("settings.json"), settings.to_string()).unwrap();
    }

    /// The folder of the only run, or of the newest.
    pub fn run_folder(&self) -> PathBuf {
        let mut folders: Vec<PathBuf> = std::fs::read_dir(self.dir.path().join("bulkhaul-runs"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        folders.sort_by_key(|folder| std::fs::metadata(folder).unwrap().modified().unwrap());
        folders.pop().unwrap()
    }

    /// `summary.json` of the newest run.
    pub fn summary(&self) -> serde_json::Value {
        let text = std::fs::read(self.run_folder().join("summary.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Rows of a result file of the newest run, each by column name; none when
    /// there is no such file.
    pub fn result(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let path = self.run_folder().join(name);
        if !path.exists() {
            return Vec::new();
        }
        read_csv(&path)
    }

    /// Records the org holds, by a query.
    pub fn query(&self, soql: &str) -> Vec<serde_json::Value> {
        let said = self.run(&["query", soql, "--format", "jsonl"]);
        assert_eq!(said.code, 0, "{said:?}");
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Said {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A file of this repository's fixtures.
pub fn fixture(name: &str) -> String {
    format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// All rows of a CSV file, each by column name.
pub fn read_csv(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    reader
        .records()
        .map(|record| {
            let record = record.unwrap();
            header.iter().map(str::to_owned).zip(record.iter().map(str::to_owned)).collect()
        })
        .collect()
}

/// The set of row numbers in result rows, asserting that none occurs twice.
pub fn row_numbers(rows: &[BTreeMap<String, String>]) -> std::collections::BTreeSet<u64> {
    let set: std::collections::BTreeSet<u64> =
        rows.iter().map(|row| row["bulkhaul__Row"].parse().unwrap()).collect();
    assert_eq!(set.len(), rows.len(), "a row number occurs twice");
    set
}
