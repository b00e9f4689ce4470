//! `bulkhaul local-org serve` as a person or a script runs it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn serve(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhaul"));
    command.args(["local-org", "serve"]).args(arguments);
    command.env_remove("BULKHAUL_ORG").env_remove("BULKHAUL_LOCAL_ORG_DIR");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server that is stopped when the test ends.
struct Server {
    child: Child,
    announcement: serde_json::Value,
}

impl Server {
    fn start(arguments: &[&str]) -> Server {
        let mut child = serve(arguments).arg("--json").spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let announcement = serde_json::from_str(&line).unwrap();
        Server { child, announcement }
    }

    fn text(&self, name: &str) -> String {
        self.announcement[name].as_str().unwrap().to_owned()
    }

    /// Status line and body of a GET.
    fn get(&self, path: &str) -> (String, String) {
        let address = self.text("url").replace("http://", "");
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    fn signal(&mut self, name: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn it_announces_itself_serves_and_ends_with_0_when_told_to() {
    for signal in ["INT", "TERM"] {
        let mut server = Server::start(&["--memory", "--port", "0"]);
        assert!(server.text("url").starts_with("http://127.0.0.1:"));
        assert!(server.text("org_id").starts_with("00D"));
        assert!(server.announcement["credentials_file"].is_null());
        assert!(!server.text("client_secret").is_empty());
        let (status, body) = server.get("/services/data/");
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert!(body.contains("\"version\":\"66.0\""));
        assert!(server.get("/services/data/v66.0/limits").0.contains("401"));
        assert_eq!(server.signal(signal), Some(0));
    }
}

#[test]
fn a_folder_is_one_org_with_its_secret_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("org");
    let arguments = ["--port", "0", "--dir", dir.to_str().unwrap()];
    let mut first = Server::start(&arguments);
    let org = first.text("org_id");
    assert!(first.announcement.get("client_secret").is_none());
    let file = std::fs::read(first.text("credentials_file")).unwrap();
    let credentials: serde_json::Value = serde_json::from_slice(&file).unwrap();
    assert_eq!(credentials["client_id"], first.announcement["client_id"]);
    let error = refused(&serve(&arguments).output().unwrap());
    assert!(error.contains("is in use by another process"), "{error}");
    assert!(error.contains("hint: "), "{error}");
    assert_eq!(first.signal("TERM"), Some(0));
    assert_eq!(Server::start(&arguments).text("org_id"), org);
}

#[test]
fn what_cannot_be_is_refused_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let run = |dir: &Path, more: &[&str]| {
        let dir = dir.to_str().unwrap();
        serve(&[&["--port", "0", "--dir", dir], more].concat()).output().unwrap()
    };
    std::fs::create_dir(dir.join("objects")).unwrap();
    std::fs::write(dir.join("objects/Bad__c.json"), "{").unwrap();
    let error = refused(&run(dir, &[]));
    assert!(error.contains("Bad__c.json is not the JSON of an object's describe"), "{error}");
    std::fs::remove_file(dir.join("objects/Bad__c.json")).unwrap();
    std::fs::write(dir.join("settings.json"), r#"{"wrokers": 1}"#).unwrap();
    let error = refused(&run(dir, &[]));
    assert!(error.contains("settings.json") && error.contains("wrokers"), "{error}");
    std::fs::remove_file(dir.join("settings.json")).unwrap();
    std::fs::write(dir.join("key.pem"), "no key").unwrap();
    let key = dir.join("key.pem");
    let error = refused(&run(dir, &["--jwt-key", key.to_str().unwrap()]));
    assert!(error.contains("holds no RSA public key"), "{error}");
}
