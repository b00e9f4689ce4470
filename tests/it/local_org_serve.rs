//! `bulkhaul local-org serve` as a person or a script runs it.

use std::path::Path;
use std::process::Output;

use crate::support::{Server, serve};

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
