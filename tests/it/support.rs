//! A hermetic place to run the binary in: a temporary folder, a cleared
//! environment, and an embedded org of its own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

/// A temporary folder with everything a run needs.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

/// What the binary said.
#[must_use]
#[derive(Debug)]
pub(crate) struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Place { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The binary with a cleared environment, in this place, on its own org.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
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

    /// The binary, on a served org instead of the embedded one.
    pub(crate) fn command_on(&self, server: &Server, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command
            .env("BULKHAUL_ORG", "env")
            .env("BULKHAUL_LOGIN_URL", server.text("url"))
            .env("BULKHAUL_CLIENT_ID", server.text("client_id"))
            .env("BULKHAUL_CLIENT_SECRET", server.secret());
        command
    }

    /// Runs the binary on a served org to its end.
    pub(crate) fn run_on(&self, server: &Server, args: &[&str]) -> Said {
        Said::from(self.command_on(server, args).output().unwrap())
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        Said::from(self.command(args).output().unwrap())
    }

    /// Sets switches of the embedded org (docs/local-org.md) before its start.
    pub(crate) fn org_settings(&self, settings: &serde_json::Value) {
        let dir = self.dir.path().join(".bulkhaul/local-org");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("settings.json"), settings.to_string()).unwrap();
    }

    /// The folder of the only run, or of the newest.
    pub(crate) fn run_folder(&self) -> PathBuf {
        let mut folders: Vec<PathBuf> = std::fs::read_dir(self.dir.path().join("bulkhaul-runs"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        folders.sort_by_key(|folder| std::fs::metadata(folder).unwrap().modified().unwrap());
        folders.pop().unwrap()
    }

    /// `summary.json` of the newest run.
    pub(crate) fn summary(&self) -> serde_json::Value {
        let text = std::fs::read(self.run_folder().join("summary.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Rows of a result file of the newest run, each by column name; none when
    /// there is no such file.
    pub(crate) fn result(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let path = self.run_folder().join(name);
        if !path.exists() {
            return Vec::new();
        }
        read_csv(&path)
    }

    /// Records the org holds, by a query.
    pub(crate) fn query(&self, soql: &str) -> Vec<serde_json::Value> {
        let said = self.run(&["query", soql, "--format", "jsonl"]);
        assert_eq!(said.code, 0, "{said:?}");
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// What the binary printed with `--json`.
pub(crate) fn json(said: &Said) -> serde_json::Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
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

/// `bulkhaul local-org serve`, not started yet.
pub(crate) fn serve(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhaul"));
    command.args(["local-org", "serve"]).args(arguments);
    command.env_remove("BULKHAUL_ORG").env_remove("BULKHAUL_LOCAL_ORG_DIR");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A served org that is stopped when the test ends.
pub(crate) struct Server {
    child: Child,
    /// What it said when it came up.
    pub announcement: serde_json::Value,
    /// Of an org on disk, which says only in which file it is.
    secret: Option<String>,
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Server {
        Server::try_start(arguments).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`Server::start`]; what it said when it didn't come up.
    pub(crate) fn try_start(arguments: &[&str]) -> Result<Server, String> {
        let mut child = serve(arguments).arg("--json").spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let Ok(announcement) = serde_json::from_str::<serde_json::Value>(&line) else {
            let output = child.wait_with_output().unwrap();
            return Err(String::from_utf8(output.stderr).unwrap());
        };
        let secret = announcement["credentials_file"].as_str().map(|file| {
            let credentials: serde_json::Value =
                serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
            credentials["client_secret"].as_str().unwrap().to_owned()
        });
        Ok(Server { child, announcement, secret })
    }

    /// Kills it on the spot (SIGKILL).
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it in order; the faults it made, by name.
    pub(crate) fn stop(mut self) -> BTreeMap<String, u64> {
        send_signal(&self.child, "TERM");
        let mut rest = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
        self.child.wait().unwrap();
        let Some(line) = rest.lines().next_back() else { return BTreeMap::new() };
        let told: serde_json::Value = serde_json::from_str(line).unwrap();
        serde_json::from_value(told["faults"].clone()).unwrap()
    }

    /// An org in memory on a free port.
    pub(crate) fn in_memory(more: &[&str]) -> Server {
        Server::start(&[&["--memory", "--port", "0"], more].concat())
    }

    /// The secret of its client.
    pub(crate) fn secret(&self) -> String {
        self.secret.clone().unwrap_or_else(|| self.text("client_secret"))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.announcement[name].as_str().unwrap().to_owned()
    }

    /// Status line and body of a GET without a token.
    pub(crate) fn get(&self, path: &str) -> (String, String) {
        self.ask(&format!("GET {path} HTTP/1.1\r\n"), "")
    }

    /// Head and body of the reply to a GET without a token.
    pub(crate) fn get_head(&self, path: &str) -> String {
        let address = self.text("url").replace("http://", "");
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    }

    fn ask(&self, head: &str, body: &str) -> (String, String) {
        let address = self.text("url").replace("http://", "");
        let mut stream = TcpStream::connect(&address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{head}host: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    /// The reply to a GET with a token of its own, asked for without the
    /// product's client.
    pub(crate) fn see(&self, path: &str) -> serde_json::Value {
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            self.text("client_id"),
            self.secret()
        );
        let head = "POST /services/oauth2/token HTTP/1.1\r\n\
                    content-type: application/x-www-form-urlencoded\r\n";
        let (status, body) = self.ask(head, &form);
        assert!(status.contains("200"), "{status} {body}");
        let login: serde_json::Value = serde_json::from_str(&body).unwrap();
        let token = login["access_token"].as_str().unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nauthorization: Bearer {token}\r\n");
        let (status, body) = self.ask(&head, "");
        assert!(status.contains("200"), "{status} {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The states of all jobs that the org knows, by their ids.
    pub(crate) fn jobs(&self) -> BTreeMap<String, String> {
        let list = self.see("/services/data/v66.0/jobs/ingest");
        assert_eq!(list["done"], true, "one page holds them all");
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let records = list["records"].as_array().unwrap();
        records.iter().map(|job| (text(&job["id"]), text(&job["state"]))).collect()
    }

    /// Every job as the org tells of it by itself, in the order of creation.
    pub(crate) fn job_infos(&self) -> Vec<serde_json::Value> {
        let all = self.jobs();
        let one = |id: &String| self.see(&format!("/services/data/v66.0/jobs/ingest/{id}"));
        all.keys().map(one).collect()
    }

    /// Records of an object, by `COUNT()`.
    pub(crate) fn count(&self, object: &str) -> u64 {
        let path = format!("/services/data/v66.0/query?q=SELECT+COUNT()+FROM+{object}");
        self.see(&path)["totalSize"].as_u64().unwrap()
    }

    pub(crate) fn signal(&mut self, name: &str) -> Option<i32> {
        send_signal(&self.child, name);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a child by its process id.
fn send_signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
}

/// The binary at work, watched by its JSON lines (`--progress json`).
pub(crate) struct Watched {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStderr>>,
    seen: String,
}

impl Watched {
    pub(crate) fn start(mut command: Command) -> Watched {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Watched { child, lines, seen: String::new() }
    }

    /// Reads up to the next event of this name and gives it.
    pub(crate) fn wait_for(&mut self, name: &str) -> serde_json::Value {
        match self.wait_or_end(name) {
            Some(event) => event,
            None => panic!("it ended without `{name}`:\n{}", self.seen),
        }
    }

    /// As [`Watched::wait_for`]; `None` when it ended without such an event.
    pub(crate) fn wait_or_end(&mut self, name: &str) -> Option<serde_json::Value> {
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            self.seen += &line;
            self.seen.push('\n');
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            if event["event"] == name {
                return Some(event);
            }
        }
        None
    }

    /// Reads on by so many lines; whether it still goes on.
    pub(crate) fn pass_lines(&mut self, lines: usize) -> bool {
        for _ in 0..lines {
            let Some(line) = self.lines.next() else { return false };
            self.seen += &line.unwrap();
            self.seen.push('\n');
        }
        true
    }

    /// What it told so far.
    pub(crate) fn seen(&self) -> &str {
        &self.seen
    }

    pub(crate) fn signal(&self, name: &str) {
        send_signal(&self.child, name);
    }

    /// Kills it on the spot (SIGKILL).
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Said {
        let mut stderr = std::mem::take(&mut self.seen);
        for line in self.lines.by_ref() {
            stderr += &line.unwrap();
            stderr.push('\n');
        }
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        Said { code, stdout, stderr }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of this repository's fixtures.
pub(crate) fn fixture(name: &str) -> String {
    format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// All rows of a CSV file, each by column name.
pub(crate) fn read_csv(path: &Path) -> Vec<BTreeMap<String, String>> {
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
pub(crate) fn row_numbers(rows: &[BTreeMap<String, String>]) -> std::collections::BTreeSet<u64> {
    let set: std::collections::BTreeSet<u64> =
        rows.iter().map(|row| row["bulkhaul__Row"].parse().unwrap()).collect();
    assert_eq!(set.len(), rows.len(), "a row number occurs twice");
    set
}
