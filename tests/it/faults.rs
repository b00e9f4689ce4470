//! Faults on purpose as a person or a script asks for them, the journal that
//! judges what came of them, and an org that is killed in the middle of a job.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bulkhaul::local_org::FaultSpec;
use serde_json::{Value, json};

use crate::support::{Place, serve};

#[test]
fn every_word_of_the_language_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/local-org.md");
    let document = std::fs::read_to_string(path).unwrap();
    let words = FaultSpec::words();
    assert!(words.len() > 60, "{words:?}");
    let missing: Vec<&String> =
        words.iter().filter(|word| !document.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "docs/local-org.md doesn't name {missing:?}");
}

#[test]
fn the_specs_of_the_documents_are_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/local-org.md");
    let document = std::fs::read_to_string(path).unwrap();
    let flags = document.split("--faults '").skip(1).map(|rest| rest.split('\'').next().unwrap());
    let keys = document.split("\"faults\": \"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let specs: Vec<&str> = flags.chain(keys).collect();
    assert!(specs.len() > 5, "{specs:?}");
    for spec in specs {
        assert!(!spec.parse::<FaultSpec>().unwrap_or_else(|error| panic!("{error}")).is_empty());
    }
}

/// A served org that is asked over bare sockets, one connection a call.
struct Org {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    said: Value,
    token: String,
}

impl Org {
    fn start(arguments: &[&str]) -> Org {
        let mut child = serve(arguments).args(["--port", "0", "--json"]).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let mut org = Org { child, out, said, token: String::new() };
        let secret = match org.said["credentials_file"].as_str() {
            Some(file) => {
                let credentials: Value =
                    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
                credentials["client_secret"].as_str().unwrap().to_owned()
            }
            None => org.said["client_secret"].as_str().unwrap().to_owned(),
        };
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={secret}",
            org.said["client_id"].as_str().unwrap()
        );
        let kind = "application/x-www-form-urlencoded";
        let (_, body) = org.call("POST", "/services/oauth2/token", kind, &form).unwrap();
        let login: Value = serde_json::from_str(&body).unwrap();
        login["access_token"].as_str().unwrap().clone_into(&mut org.token);
        org
    }

    /// Status and body, or `None` when the connection broke.
    fn call(&self, method: &str, path: &str, kind: &str, body: &str) -> Option<(u16, String)> {
        let address = self.said["url"].as_str().unwrap().replace("http://", "");
        let mut stream = TcpStream::connect(&address).unwrap();
        let length = body.len();
        let token = &self.token;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nhost: {address}\r\ncontent-type: {kind}\r\n\
             authorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).ok()?;
        let (head, body) = reply.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    fn job(&self, method: &str, path: &str, kind: &str, body: &str) -> Option<(u16, String)> {
        self.call(method, &format!("/services/data/v66.0/jobs/ingest{path}"), kind, body)
    }

    /// Creates, fills and closes a job that inserts so many accounts.
    fn insert(&self, rows: usize) -> String {
        let body = json!({"object": "Account", "operation": "insert"}).to_string();
        let (_, reply) = self.job("POST", "", "application/json", &body).unwrap();
        let job: Value = serde_json::from_str(&reply).unwrap();
        let id = job["id"].as_str().unwrap().to_owned();
        let names: Vec<String> = (0..rows).map(|row| format!("n{row}\n")).collect();
        let csv = format!("Name\n{}", names.concat());
        let (status, _) = self.job("PUT", &format!("/{id}/batches"), "text/csv", &csv).unwrap();
        assert_eq!(status, 201);
        let close = r#"{"state":"UploadComplete"}"#;
        let (status, _) = self.job("PATCH", &format!("/{id}"), "application/json", close).unwrap();
        assert_eq!(status, 200);
        id
    }

    /// Asks for a job until it is as wished; every answer is stalled by the
    /// org itself (`info:stall`), so that this doesn't spin.
    fn wait_for(&self, id: &str, wished: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..5_000 {
            let (_, body) = self.job("GET", &format!("/{id}"), "", "").unwrap();
            let job: Value = serde_json::from_str(&body).unwrap();
            if wished(&job) {
                return job;
            }
        }
        panic!("the job didn't get there");
    }

    fn signal(&mut self, name: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }

    /// What it prints at its end.
    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Org {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn journal(dir: &Path, object: &str, more: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhaul"));
    command.args(["local-org", "journal", "--object", object, "--dir"]).arg(dir).args(more);
    command.stdin(Stdio::null()).output().unwrap()
}

/// The rows of the journal, after its header.
fn entries(dir: &Path) -> Vec<Vec<String>> {
    let output = journal(dir, "Account", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("job,row,record,change"));
    lines.map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[test]
fn a_spec_that_cannot_be_read_is_refused_by_flag_and_by_file() {
    let output =
        serve(&["--memory", "--port", "0", "--faults", "uplaod:reset=5%"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("there is no call `uplaod`; known are create, upload"), "{error}");
    let place = Place::new();
    place.org_settings(&json!({"faults": "row-lock=often"}));
    let said = place.run(&["query", "SELECT Id FROM Account"]);
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("`often` is no share"), "{}", said.stderr);
}

#[test]
fn the_embedded_org_makes_the_faults_of_its_settings() {
    let place = Place::new();
    place.org_settings(&json!({"faults": "seed=7, row-refused=100%"}));
    let source = place.file("accounts.csv", "Name\na\nb\n");
    let source = source.to_str().unwrap();
    let said = place.run(&["load", source, "--object", "Account", "--operation", "insert"]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    let failed = place.result("failed.csv");
    assert_eq!(failed.len(), 2);
    assert!(failed[0]["sf__Error"].starts_with("FIELD_CUSTOM_VALIDATION_EXCEPTION:"));
}

#[test]
fn a_served_org_tells_at_its_end_what_faults_it_made() {
    let spec = "limits:reset=#1,limits:503-html=#2,row-lock=100%";
    let mut org = Org::start(&["--memory", "--faults", spec]);
    let limits = "/services/data/v66.0/limits";
    assert_eq!(org.call("GET", limits, "", ""), None);
    let (status, page) = org.call("GET", limits, "", "").unwrap();
    assert!(status == 503 && page.starts_with("<html>"), "{page}");
    let id = org.insert(3);
    let job = org.wait_for(&id, |job| job["state"] == "JobComplete");
    assert_eq!(job["numberRecordsFailed"], 3);
    assert_eq!(org.signal("TERM"), Some(0));
    let told: Value = serde_json::from_str(org.rest().trim()).unwrap();
    assert_eq!(
        told,
        json!({"faults": {"limits:503-html": 1, "limits:reset": 1, "row-lock": 3}, "faults_total": 5})
    );
}

#[test]
fn the_journal_is_read_from_a_folder_that_nobody_uses() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let refused = journal(dir, "Account", &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("there is no local org in"));
    let mut org = Org::start(&["--dir", dir.to_str().unwrap()]);
    let id = org.insert(2);
    org.wait_for(&id, |job| job["state"] == "JobComplete");
    let refused = journal(dir, "Account", &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("in use by another process"));
    assert_eq!(org.signal("TERM"), Some(0));
    assert_eq!(org.rest(), "", "no faults were asked for");
    let mut found = entries(dir);
    found.sort();
    let shown: Vec<(&str, &str, &str)> =
        found.iter().map(|entry| (&*entry[0], &*entry[1], &*entry[3])).collect();
    assert_eq!(shown, [(&*id, "0", "created"), (&*id, "1", "created")]);
    let lines = String::from_utf8(journal(dir, "account", &["--json"]).stdout).unwrap();
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["job"], *id);
    assert!(first["row"].is_u64() && first["record"].as_str().unwrap().starts_with("001"));
    assert_eq!(journal(dir, "Contact", &[]).stdout, b"job,row,record,change\n");
    let refused = journal(dir, "Nothing__c", &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("no object Nothing__c"));
}

/// Killed at several moments of a job, it goes on where it was: each row takes
/// effect exactly once, and the result set tells the same records.
#[test]
fn a_killed_org_does_each_row_exactly_once() {
    const ROWS: usize = 12_000;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("org");
    let faults = "info:stall:5ms=100%,rows-per-second=8000";
    let arguments = ["--dir", dir.to_str().unwrap(), "--faults", faults];
    let mut org = Org::start(&arguments);
    let id = org.insert(ROWS);
    // At once, in the middle twice, and when the last rows are due.
    for processed in [0, 2_000, 6_000, 10_000] {
        org.wait_for(&id, |job| {
            job["numberRecordsProcessed"].as_u64().is_some_and(|rows| rows >= processed)
        });
        assert_eq!(org.signal("KILL"), None, "it did not end by itself");
        org = Org::start(&arguments);
    }
    let job = org.wait_for(&id, |job| job["state"] == "JobComplete");
    assert_eq!(
        (&job["numberRecordsProcessed"], &job["numberRecordsFailed"]),
        (&json!(ROWS), &json!(0))
    );
    let (_, results) = org.job("GET", &format!("/{id}/successfulResults"), "", "").unwrap();
    let told: BTreeSet<String> =
        results.lines().skip(1).map(|line| line[1..19].to_owned()).collect();
    // Once more when all is done: nothing starts over.
    assert_eq!(org.signal("KILL"), None);
    let journal = entries(&dir);
    assert_eq!(journal.len(), ROWS);
    assert!(journal.iter().all(|entry| entry[0] == id && entry[3] == "created"));
    let rows: BTreeSet<usize> = journal.iter().map(|entry| entry[1].parse().unwrap()).collect();
    assert!(rows.into_iter().eq(0..ROWS), "each row once");
    let records: BTreeSet<String> = journal.into_iter().map(|entry| entry[2].clone()).collect();
    assert_eq!(records, told);
}
