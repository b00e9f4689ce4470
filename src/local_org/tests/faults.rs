//! Faults on purpose as they are on the wire: a bare socket sees what came and
//! how it ended, the org's own state says what was done.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read as _};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::wire::{Reply, parse};
use super::*;

/// What came back, and how the connection ended.
#[derive(Debug)]
struct Sent {
    bytes: Vec<u8>,
    /// None: it was closed in order.
    broken: Option<ErrorKind>,
}

impl Sent {
    /// The reply, when it is complete.
    fn told(&self) -> Option<Reply> {
        (self.broken.is_none() && !self.bytes.is_empty()).then(|| parse(&self.bytes))
    }

    fn was_reset(&self) -> bool {
        self.broken == Some(ErrorKind::ConnectionReset)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The chunked body came to its end.
    fn ended(&self) -> bool {
        self.bytes.ends_with(b"0\r\n\r\n")
    }
}

const JSON: &str = "content-type: application/json\r\n";
const CSV: &str = "content-type: text/csv\r\n";
const GZIP: &str = "accept-encoding: gzip\r\n";
const JOBS: &str = "/services/data/v66.0/jobs/ingest";

impl Rig {
    async fn faulty(spec: &str) -> Rig {
        Rig::with(Settings { faults: spec.parse().unwrap(), ..Settings::default() }).await
    }

    async fn raw(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Sent {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\
             authorization: Bearer {}\r\n{headers}\r\n",
            body.len(),
            self.client.token.as_deref().unwrap(),
        );
        let mut stream = TcpStream::connect(&self.client.address).await.unwrap();
        // A connection that is reset meanwhile takes no more; reading tells.
        if stream.write_all(head.as_bytes()).await.is_ok() {
            let _ = stream.write_all(body).await;
        }
        let mut bytes = Vec::new();
        let broken = stream.read_to_end(&mut bytes).await.err().map(|error| error.kind());
        Sent { bytes, broken }
    }

    async fn new_job(&self) -> String {
        let body = json!({"object": "Account", "operation": "insert"}).to_string();
        let sent = self.raw("POST", JOBS, JSON, body.as_bytes()).await;
        sent.told().unwrap().json()["id"].as_str().unwrap().to_owned()
    }

    /// `None`: there is no such job.
    fn state_of(&self, id: &str) -> Option<String> {
        let admin = RecordKey::new("005", 1).to_string();
        let job = self.org.state().ingest.job(id, &admin).ok()?;
        Some(job.state().word().to_owned())
    }

    /// A job of so many rows that has ended.
    async fn ended_job(&self, rows: usize) -> String {
        let id = self.new_job().await;
        let mut csv = String::from("Name,Description\n");
        for row in 0..rows {
            let _ = writeln!(csv, "n{row},\"some, text\"");
        }
        self.raw("PUT", &format!("{JOBS}/{id}/batches"), CSV, csv.as_bytes()).await;
        self.raw("PATCH", &format!("{JOBS}/{id}"), JSON, CLOSE).await;
        let (ingest, job) = (self.org.state().ingest.clone(), id.clone());
        let wait = move || ingest.wait(&job, Duration::from_mins(1)).unwrap();
        assert!(tokio::task::spawn_blocking(wait).await.unwrap());
        id
    }

    fn injected(&self) -> Vec<(String, u64)> {
        self.org.faults_injected().into_iter().collect()
    }
}

const CLOSE: &[u8] = br#"{"state":"UploadComplete"}"#;
const ABORT: &[u8] = br#"{"state":"Aborted"}"#;

/// Makes one call, on a job that is ready for it, and tells whether it was
/// carried out.
async fn called(rig: &Rig, call: &str) -> (Sent, bool) {
    if call == "create" {
        let body = br#"{"object":"Account","operation":"insert"}"#;
        let sent = rig.raw("POST", JOBS, JSON, body).await;
        let list = rig.client.get(JOBS).await.json();
        return (sent, !list["records"].as_array().unwrap().is_empty());
    }
    let id = rig.new_job().await;
    let (path, batches) = (format!("{JOBS}/{id}"), format!("{JOBS}/{id}/batches"));
    if matches!(call, "close" | "delete") {
        assert_eq!(rig.raw("PUT", &batches, CSV, b"Name\nx\n").await.told().unwrap().status, 201);
    }
    let is = |state: &str| rig.state_of(&id).is_some_and(|found| found == state);
    match call {
        "upload" => {
            let sent = rig.raw("PUT", &batches, CSV, b"Name\nx\n").await;
            let close = rig.raw("PATCH", &path, JSON, CLOSE).await.told().unwrap();
            (sent, close.status == 200)
        }
        "close" => (rig.raw("PATCH", &path, JSON, CLOSE).await, !is("Open")),
        "abort" => (rig.raw("PATCH", &path, JSON, ABORT).await, is("Aborted")),
        "delete" => {
            assert_eq!(rig.raw("PATCH", &path, JSON, ABORT).await.told().unwrap().status, 200);
            let sent = rig.raw("DELETE", &path, "", b"").await;
            (sent, rig.state_of(&id).is_none())
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_change_is_done_or_not_and_told_or_not() {
    for call in ["create", "upload", "close", "abort", "delete"] {
        let success = if call == "upload" { 201 } else { 200 };
        let success = if call == "delete" { 204 } else { success };
        // The fault, whether the call was carried out, and what was told.
        for (fault, done, told) in [
            ("503", false, Some(503)),
            ("500-html", false, Some(500)),
            ("done-502", true, Some(502)),
            ("done-504-html", true, Some(504)),
            ("busy", false, Some(403)),
            ("reset", false, None),
            ("reset-after-request", false, None),
            ("stall-reset:5ms", false, None),
            ("hangup", false, None),
            ("done-reset", true, None),
            ("done-stall-reset:5ms", true, None),
            ("done-hangup", true, None),
            ("stall:5ms", true, Some(success)),
            ("stall-in-request:5ms", true, Some(success)),
            ("done-stall:5ms", true, Some(success)),
        ] {
            if call == "delete" && fault.contains("request") {
                continue;
            }
            let rig = Rig::faulty(&format!("{call}:{fault}=#1")).await;
            let (sent, was_done) = called(&rig, call).await;
            let case = format!("{call}:{fault}: {} {:?}", sent.text(), sent.broken);
            assert_eq!(was_done, done, "{case}");
            assert_eq!(sent.told().map(|reply| reply.status), told, "{case}");
            if told.is_none() {
                assert!(sent.bytes.is_empty(), "{case}");
                assert_eq!(sent.was_reset(), !fault.contains("hangup"), "{case}");
            }
            let name = fault.split(":5ms").next().unwrap();
            assert_eq!(rig.injected(), [(format!("{call}:{name}"), 1)]);
        }
    }
}

#[tokio::test]
async fn servers_in_between_answer_in_json_or_with_a_page() {
    let rig = Rig::faulty(
        "limits:500=#1,limits:502=#2,limits:503=#3,limits:504=#4,limits:500-html=#5,\
         limits:502-html=#6,limits:503-html=#7,limits:504-html=#8,limits:503:90s=#9,limits:429=#10,\
         limits:429:1500ms=#11",
    )
    .await;
    let path = "/services/data/v66.0/limits";
    for (status, code) in [
        (500, "UNKNOWN_EXCEPTION"),
        (502, "SERVER_UNAVAILABLE"),
        (503, "SERVER_UNAVAILABLE"),
        (504, "SERVER_UNAVAILABLE"),
    ] {
        assert_eq!(rig.client.get(path).await.refusal(), (status, code.to_owned()));
    }
    for status in [500, 502, 503, 504] {
        let reply = rig.client.get(path).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.header("content-type"), Some("text/html; charset=UTF-8"));
        assert!(reply.text().starts_with("<html>") && reply.header("retry-after").is_none());
    }
    for (status, after) in [(503, "90"), (429, "1"), (429, "2")] {
        let reply = rig.client.get(path).await;
        assert_eq!((reply.status, reply.header("retry-after")), (status, Some(after)));
    }
    assert_eq!(rig.client.get(path).await.status, 200);
}

#[tokio::test]
async fn an_upload_breaks_off_in_the_middle_and_leaves_the_job_as_it_was() {
    let rig = Rig::faulty("upload:reset-in-request=#1,upload:hangup-in-request=#2").await;
    let id = rig.new_job().await;
    let batches = format!("{JOBS}/{id}/batches");
    let mut csv = String::from("Name\n");
    csv += &"a name that is rather long for a name\n".repeat(100_000);
    for _ in 0..2 {
        let sent = rig.raw("PUT", &batches, CSV, csv.as_bytes()).await;
        assert!(sent.bytes.is_empty(), "{}", sent.text());
    }
    assert_eq!(rig.state_of(&id).as_deref(), Some("Open"));
    assert_eq!(rig.raw("PUT", &batches, CSV, b"Name\nx\n").await.told().unwrap().status, 201);
}

#[tokio::test]
async fn downloads_break_stall_or_end_early() {
    let rig = Rig::faulty(
        "successful:reset-in-reply=#2,successful:hangup-in-reply=#3,\
         successful:stall-in-reply:5ms=#4,successful:stall-reset-in-reply:5ms=#5,\
         successful:cut=#6,successful:cut-record=#7,successful:cut-wire=#8,failed:cut=100%",
    )
    .await;
    let id = rig.ended_job(9_000).await;
    let path = format!("{JOBS}/{id}/successfulResults");
    let whole = rig.raw("GET", &path, "", b"").await.told().unwrap().text();
    assert_eq!(whole.lines().count(), 9_001);
    for (fault, reset) in [("reset-in-reply", true), ("hangup-in-reply", false)] {
        let sent = rig.raw("GET", &path, "", b"").await;
        assert!(sent.text().starts_with("HTTP/1.1 200 OK"), "{fault}: {}", sent.text());
        assert_eq!((sent.was_reset(), sent.ended()), (reset, false), "{fault}");
        assert!(sent.bytes.len() < whole.len(), "{fault}");
    }
    let stalled = rig.raw("GET", &path, "", b"").await.told().unwrap();
    assert_eq!(stalled.text(), whole);
    let sent = rig.raw("GET", &path, "", b"").await;
    assert!(sent.was_reset() && sent.bytes.len() < whole.len());
    let cut = rig.raw("GET", &path, "", b"").await.told().unwrap().text();
    assert!(whole.starts_with(&cut) && cut.ends_with("\"\n") && cut.len() < whole.len());
    let cut = rig.raw("GET", &path, "", b"").await.told().unwrap().text();
    assert!(whole.starts_with(&cut) && !cut.ends_with('\n'));
    let sent = rig.raw("GET", &path, "", b"").await;
    assert!(sent.ended(), "ended in order");
    let cut = sent.told().unwrap().text();
    assert!(whole.starts_with(&cut) && cut.len() < whole.len());
    // A set without rows has nothing to lose, and isn't counted.
    let failed = format!("{JOBS}/{id}/failedResults");
    assert_eq!(rig.raw("GET", &failed, "", b"").await.told().unwrap().status, 200);
    assert!(!rig.org.faults_injected().contains_key("failed:cut"));
}

#[tokio::test]
async fn compressed_downloads_end_early_as_well() {
    let rig = Rig::faulty(
        "successful:cut=#1,successful:cut-record=#2,successful:cut-wire=#3,\
         successful:reset-in-reply=#4",
    )
    .await;
    let id = rig.ended_job(9_000).await;
    let path = format!("{JOBS}/{id}/successfulResults");
    let cut = rig.raw("GET", &path, GZIP, b"").await.told().unwrap();
    assert_eq!(cut.header("content-encoding"), Some("gzip"));
    assert!(cut.text().ends_with("\"\n") && cut.text().lines().count() < 9_001);
    let cut = rig.raw("GET", &path, GZIP, b"").await.told().unwrap().text();
    assert!(!cut.ends_with('\n'));
    let sent = rig.raw("GET", &path, GZIP, b"").await;
    assert!(sent.ended() && sent.broken.is_none());
    let head = sent.bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let mut plain = Vec::new();
    let chunk = sent.bytes[head..].split(|byte| *byte == b'\n').nth(1).unwrap_or_default();
    assert!(flate2::read::GzDecoder::new(chunk).read_to_end(&mut plain).is_err());
    let sent = rig.raw("GET", &path, GZIP, b"").await;
    assert!(sent.was_reset() && sent.text().starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn small_replies_break_too() {
    let rig =
        Rig::faulty("info:reset-in-reply=#1,info:hangup-after-reply=#2,info:reset-after-reply=#3")
            .await;
    let id = rig.new_job().await;
    let path = format!("{JOBS}/{id}");
    let sent = rig.raw("GET", &path, "", b"").await;
    assert!(sent.was_reset() && sent.text().contains("200 OK"), "{}", sent.text());
    assert!(sent.text().contains("\"apiVersion\":66.0"), "{}", sent.text());
    let sent = rig.raw("GET", &path, "", b"").await;
    assert!(sent.broken.is_none() && !sent.ended() && sent.text().contains("}\r\n"));
    let sent = rig.raw("GET", &path, "", b"").await;
    assert!(sent.was_reset() && !sent.ended() && sent.text().contains("}\r\n"));
    assert_eq!(rig.client.get(&path).await.json()["state"], "Open");
}

#[tokio::test]
async fn sessions_end_and_logins_are_refused() {
    let mut rig = Rig::faulty("session-calls=2,limits:expired=#3,token:refused=#1").await;
    let path = "/services/data/v66.0/limits";
    for status in [200, 200, 401, 401] {
        assert_eq!(rig.client.get(path).await.status, status);
    }
    let (id, secret) = (rig.org.client_id(), rig.org.client_secret());
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", id.as_str()),
        ("client_secret", secret.as_str()),
    ];
    let reply = rig.client.form("/services/oauth2/token", &form).await;
    assert_eq!((reply.status, reply.json()["error"].as_str()), (400, Some("invalid_grant")));
    let reply = rig.client.form("/services/oauth2/token", &form).await;
    assert_eq!(reply.status, 200);
    rig.client.token = Some(reply.json()["access_token"].as_str().unwrap().to_owned());
    for _ in 0..2 {
        let expired = rig.client.get(path).await.refusal();
        assert_eq!(expired, (401, "INVALID_SESSION_ID".to_owned()));
    }
    assert_eq!(
        rig.injected(),
        [("limits:expired", 1), ("session-calls", 1), ("token:refused", 1)]
            .map(|(name, count)| (name.to_owned(), count))
    );
}

#[tokio::test]
async fn the_clock_jumps_at_a_call() {
    let mut rig = Rig::faulty("clock:+25h=#2,clock:-2d=#3").await;
    let id = rig.new_job().await;
    let before = rig.org.clock().now_ms();
    let path = format!("{JOBS}/{id}");
    assert_eq!(rig.client.get(&path).await.json()["state"], "Aborted", "open for over a day");
    assert!(rig.org.clock().now_ms() - before >= 25 * 3_600_000);
    rig.client.token = Some(rig.org.access_token().unwrap());
    assert_eq!(rig.client.get(&path).await.status, 200);
    assert!(rig.org.clock().now_ms() < before, "and back beyond the start");
}

#[tokio::test]
async fn a_limit_ends_the_faults() {
    let rig = Rig::faulty("limit=2,*:503=100%").await;
    let path = "/services/data/v66.0/limits";
    for status in [503, 503, 200, 200] {
        assert_eq!(rig.client.get(path).await.status, status);
    }
    assert_eq!(rig.injected(), [("limits:503".to_owned(), 2)]);
}
