//! Logins: each kind carries a whole load through renewals, and what a person
//! reads when one does not work.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::support::{Place, Said, Server, fixture, row_numbers};

/// An org that all logins lead to: strict about assertions, rotating refresh
/// tokens, its sessions good for some calls only.
pub(crate) struct Rig {
    pub place: Place,
    pub server: Server,
    _org: tempfile::TempDir,
    credentials: PathBuf,
}

/// The kinds of login of the environment that can be renewed.
pub(crate) const KINDS: [&str; 4] = ["client", "refresh", "jwt", "jwt-with-password"];

pub(crate) const KEY_PASSWORD: &str = "open sesame";

impl Rig {
    pub(crate) fn new(more: &[&str]) -> Rig {
        let place = Place::new();
        let org = tempfile::tempdir().unwrap();
        let settings = json!({
            "refresh-token-rotation": true,
            "assertion-seconds": 180,
            "approved-users": ["admin@local.org"],
        });
        std::fs::create_dir_all(org.path().join("data")).unwrap();
        std::fs::write(org.path().join("settings.json"), settings.to_string()).unwrap();
        let (dir, file) = (org.path().join("data"), org.path().join("settings.json"));
        let key = fixture("local-org/jwt.crt");
        let mut args = vec!["--dir", dir.to_str().unwrap(), "--port", "0"];
        args.extend(["--settings", file.to_str().unwrap(), "--jwt-key", &key]);
        args.extend(more);
        let server = Server::start(&args);
        let credentials = server.text("credentials_file").into();
        Rig { place, server, _org: org, credentials }
    }

    /// A refresh token that is good now.
    pub(crate) fn refresh_token(&self) -> String {
        let text = std::fs::read(&self.credentials).unwrap();
        let credentials: serde_json::Value = serde_json::from_slice(&text).unwrap();
        credentials["refresh_tokens"].as_object().unwrap().keys().next().unwrap().clone()
    }

    /// The binary with a login of the environment.
    pub(crate) fn command(&self, kind: &str, args: &[&str]) -> Command {
        let mut command = self.place.command_on(&self.server, args);
        command.env("BULKHAUL_LOGIN_STORE", "file");
        match kind {
            "client" => {}
            "refresh" => {
                command
                    .env("BULKHAUL_REFRESH_TOKEN", self.refresh_token())
                    .env_remove("BULKHAUL_CLIENT_SECRET");
            }
            "jwt" | "jwt-with-password" => {
                let file = if kind == "jwt" { "rsa-pkcs1.pem" } else { "rsa-pkcs8-encrypted.pem" };
                command
                    .env("BULKHAUL_JWT_KEY_FILE", fixture(&format!("logins/{file}")))
                    .env("BULKHAUL_JWT_KEY_PASSWORD", KEY_PASSWORD)
                    .env("BULKHAUL_USERNAME", "admin@local.org")
                    .env_remove("BULKHAUL_CLIENT_SECRET");
            }
            other => panic!("{other}"),
        }
        command
    }
}

pub(crate) fn run(command: &mut Command) -> Said {
    Said::from(command.output().unwrap())
}

#[test]
fn every_login_carries_an_insert_through_renewals_with_each_row_once() {
    const ROWS: usize = 2_000;
    for kind in KINDS {
        // Every seventh call of a session finds it ended.
        let rig = Rig::new(&["--faults", "session-calls=7"]);
        let rows: String = (0..ROWS).map(|n| format!("K{n},Account {n}\n")).collect();
        let source = rig.place.file("accounts.csv", format!("Legacy_Id__c,Name\n{rows}"));
        let mut args = vec!["load", source.to_str().unwrap(), "--object", "Account"];
        args.extend(["--operation", "insert", "--chunk-rows", "100", "--parallel", "4"]);
        args.extend(["--progress", "plain"]);
        let said = run(&mut rig.command(kind, &args));
        assert_eq!(said.code, 0, "{kind}: {}", said.stderr);
        let renewals = said.stderr.matches("logged in again").count();
        assert!(renewals > 5, "{kind}: {renewals} renewals\n{}", said.stderr);
        assert_eq!(rig.server.count("Account"), ROWS as u64, "{kind}");
        let succeeded = rig.place.result("success.csv");
        assert_eq!(row_numbers(&succeeded).len(), ROWS, "{kind}");
        let ids: std::collections::BTreeSet<&String> =
            succeeded.iter().map(|row| &row["sf__Id"]).collect();
        assert_eq!(ids.len(), ROWS, "{kind}: a record stands for two rows");
        // Of the token in the environment, where it was replaced.
        assert_eq!(said.stderr.contains("is spent"), kind == "refresh", "{}", said.stderr);
    }
}

/// Whether a request has come with all of its announced body.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.trim().parse().unwrap())
}

/// Answers every connection with the same bytes.
fn answering(reply: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(mut socket) = socket else { return };
            // The whole form is taken in: a form left lying would reset the
            // connection.
            let (mut request, mut piece) = (Vec::new(), [0; 4096]);
            while !is_whole(&request) {
                match socket.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => request.extend_from_slice(&piece[..count]),
                }
            }
            let _ = socket.write_all(reply.as_bytes());
        }
    });
    address
}

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 64\r\n\
    Connection: close\r\n\r\n\
    <html><head><title>Sign on to Acme</title></head><body>secret ..";
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// What a person reads of `limits`, ports left out.
fn read_by_a_person(said: &Said) -> String {
    assert_eq!(said.stdout, "");
    let mut text = String::new();
    for line in said.stderr.lines() {
        // The tries and their time differ from run to run.
        let line = line.split(", 4 tries in").next().unwrap();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("127.0.0.1:") {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let _ = write!(text, "{before}127.0.0.1:PORT");
            rest = &after[digits..];
        }
        let _ = writeln!(text, "{rest}");
    }
    let _ = writeln!(text, "exit {}", said.code);
    text
}

#[test]
fn a_login_that_does_not_work_says_why_and_what_to_do() {
    let rig = Rig::new(&[]);
    let limits = ["limits", "-q"];
    let mut told = String::new();
    let mut tell = |what: &str, command: &mut Command| {
        let said = run(command);
        assert_eq!(said.code, 2, "{what}: {said:?}");
        let _ = write!(told, "# {what}\n{}\n", read_by_a_person(&said));
    };
    let client = || rig.command("client", &limits);
    let jwt = || rig.command("jwt", &limits);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = |address: SocketAddr| format!("http://{address}");
    let login_url = "BULKHAUL_LOGIN_URL";

    tell("unreachable host", client().env(login_url, url(nobody)));
    tell("a web page instead of JSON", client().env(login_url, url(answering(PAGE))));
    tell("another host", client().env(login_url, url(answering(NOT_FOUND))));
    tell("an address for browsers", client().env(login_url, "https://acme.lightning.force.com"));
    tell("plain http to another machine", client().env(login_url, "http://192.0.2.1"));
    tell("wrong client secret", client().env("BULKHAUL_CLIENT_SECRET", "wrong"));
    tell("wrong client id", client().env("BULKHAUL_CLIENT_ID", "wrong"));
    tell(
        "spent refresh token",
        rig.command("refresh", &limits).env("BULKHAUL_REFRESH_TOKEN", "5Aep861spent"),
    );
    tell(
        "wrong or expired access token",
        client()
            .env("BULKHAUL_INSTANCE_URL", rig.server.text("url"))
            .env("BULKHAUL_ACCESS_TOKEN", "00DLo0000000001!expired"),
    );
    tell("unknown user in the JWT", jwt().env("BULKHAUL_USERNAME", "nobody@acme.example"));
    tell(
        "audience of another kind of org",
        jwt().env("BULKHAUL_JWT_AUDIENCE", "https://elsewhere.example"),
    );
    let key = |name: &str| fixture(&format!("logins/{name}"));
    let key_file = "BULKHAUL_JWT_KEY_FILE";
    let password = "BULKHAUL_JWT_KEY_PASSWORD";
    let wrong_password = |command: &mut Command| {
        run(command.env(password, "wrong")).stderr.contains("does not open")
    };
    assert!(wrong_password(&mut rig.command("jwt-with-password", &limits)));
    let shown = |said: Said| said.stderr.replace(&fixture(""), "");
    let certificate = run(jwt().env(key_file, key("certificate.pem")));
    assert_eq!(certificate.code, 2);
    let _ = write!(told, "# a certificate instead of the key\n{}\n", shown(certificate));
    let missing = run(rig.command("jwt-with-password", &limits).env_remove(password));
    let _ = write!(told, "# a key under a password\n{}\n", shown(missing));
    insta::assert_snapshot!("logins_that_do_not_work", told);
}

#[test]
fn a_key_that_is_not_the_apps_is_told_apart_from_an_unknown_user() {
    // An org that knows no key.
    let server = Server::in_memory(&[]);
    let place = Place::new();
    let mut command = place.command_on(&server, &["limits", "--json", "-q"]);
    command
        .env("BULKHAUL_JWT_KEY_FILE", fixture("logins/rsa-pkcs8.pem"))
        .env("BULKHAUL_USERNAME", "admin@local.org");
    let said = run(&mut command);
    let object: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((said.code, object["error"]["code"].as_str()), (2, Some("login")), "{said:?}");
    assert!(object["error"]["hint"].as_str().unwrap().contains("certificate"), "{said:?}");
}

#[test]
fn a_host_that_nobody_knows_is_told_as_such() {
    let place = Place::new();
    let mut command = place.command(&["limits", "--json", "-q"]);
    // Such names never lead anywhere (RFC 6761).
    command
        .env("BULKHAUL_ORG", "env")
        .env("BULKHAUL_LOGIN_URL", "https://acme.my.salesforce.invalid")
        .env("BULKHAUL_CLIENT_ID", "id")
        .env("BULKHAUL_CLIENT_SECRET", "s");
    let said = run(&mut command);
    assert_eq!(said.code, 2, "{said:?}");
    let object: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(object["error"]["code"], "unreachable", "{said:?}");
    assert!(object["error"]["hint"].as_str().unwrap().contains("spelled"), "{said:?}");
}

/// A folder with an `sf` that is this script.
#[cfg(unix)]
fn salesforce_cli(place: &Place, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = place.path().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("sf");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[cfg(unix)]
#[test]
fn the_salesforce_cli_is_told_from_its_absence_an_unknown_alias_and_a_hidden_token() {
    let place = Place::new();
    let empty = place.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let unknown = r#"echo '{"status":1,"name":"NamedOrgNotFoundError",
        "message":"No authorization information found for prod."}'; exit 1"#;
    let hidden = r#"case "$2" in
        display) echo '{"status":0,"result":{"instanceUrl":"https://acme.my.salesforce.com",
            "accessToken":"[REDACTED] Use sf org auth show-access-token to view"}}';;
        *) echo '{"status":127,"message":"not a command"}'; exit 127;; esac"#;
    let limits = ["limits", "--org", "sf:prod", "-q"];
    let mut seen = Vec::new();
    for script in [None, Some(unknown), Some(hidden)] {
        let folder = script.map_or(empty.clone(), |script| salesforce_cli(&place, script));
        let said = run(place.command(&limits).env("PATH", folder));
        assert_eq!(said.code, 2, "{said:?}");
        seen.push(said.stderr);
    }
    assert!(seen[0].contains("no `sf`"), "{}", seen[0]);
    assert!(seen[1].contains("No authorization information found for prod."), "{}", seen[1]);
    assert!(seen[2].contains("hides the token") && seen[2].contains("sf update"), "{}", seen[2]);
}
