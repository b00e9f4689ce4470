//! Query jobs over HTTP: the calls as clients send them, and what befalls them
//! on purpose.

use std::time::Duration;

use serde_json::json;

use super::wire::Reply;
use super::*;

const JSON: (&str, &str) = ("content-type", "application/json");
const GZIP: (&str, &str) = ("accept-encoding", "gzip");
const BASE: &str = "/services/data/v66.0/jobs/query";

impl Rig {
    async fn bulk(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.client.send(method, &format!("{BASE}{path}"), headers, body).await
    }

    fn accounts(&self, count: usize) {
        for n in 0..count {
            let notes = "some, \"text\"\nof two lines";
            self.put("Account", &[("Name", &format!("n{n}")), ("Notes__c", notes)]);
        }
    }

    /// A query job that has ended.
    async fn queried(&self, soql: &str) -> String {
        let body = json!({"operation": "query", "query": soql}).to_string();
        let reply = self.bulk("POST", "", &[JSON], &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let id = reply.json()["id"].as_str().unwrap().to_owned();
        self.query_ended(&id).await;
        id
    }

    async fn query_ended(&self, id: &str) {
        let (bulk, id) = (self.org.state().bulk_query.clone(), id.to_owned());
        let wait = move || bulk.wait(&id, Duration::from_mins(1)).unwrap();
        assert!(tokio::task::spawn_blocking(wait).await.unwrap());
    }
}

/// The rows of a page, cells joined by blanks.
fn names(page: &str) -> Vec<String> {
    let mut reader = ::csv::Reader::from_reader(page.as_bytes());
    reader.records().map(|record| record.unwrap()[0].to_owned()).collect()
}

#[tokio::test]
async fn a_job_runs_through_all_its_calls() {
    let rig = Rig::with(Settings { query_page_rows: 100, ..Settings::default() }).await;
    rig.accounts(250);
    let id = rig.queried("SELECT Name, Notes__c FROM Account").await;
    let info = rig.bulk("GET", &format!("/{id}/"), &[], "").await.json();
    assert_eq!(
        (info["state"].as_str(), info["numberRecordsProcessed"].as_u64()),
        (Some("JobComplete"), Some(250))
    );
    let mut found = Vec::new();
    let mut locator = String::new();
    loop {
        let query = if locator.is_empty() { String::new() } else { format!("?locator={locator}") };
        let reply = rig.bulk("GET", &format!("/{id}/Results{query}"), &[], "").await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/csv")));
        let rows = names(&reply.text());
        assert_eq!(reply.header("sforce-numberofrecords"), Some(rows.len().to_string().as_str()));
        found.extend(rows);
        match reply.header("sforce-locator").unwrap() {
            "null" => break,
            next => next.clone_into(&mut locator),
        }
    }
    assert_eq!(found, (0..250).map(|n| format!("n{n}")).collect::<Vec<_>>());
    let reply = rig.bulk("GET", &format!("/{id}/results?maxRecords=250"), &[GZIP], "").await;
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    assert_eq!(names(&reply.text()), found);
    for word in ["resultPages", "resultpages"] {
        let links = rig.bulk("GET", &format!("/{id}/{word}"), &[], "").await.json();
        assert_eq!(
            (&links["done"], links["resultPages"].as_array().unwrap().len()),
            (&json!(true), 3)
        );
        let url = links["resultPages"][2]["resultUrl"].as_str().unwrap();
        assert_eq!(names(&rig.client.get(url).await.text()), found[200..]);
    }
    let list = rig.bulk("GET", "?jobType=V2Query", &[], "").await.json();
    assert_eq!(list["records"][0]["id"], json!(id));
    let limits = rig.client.get("/services/data/v66.0/limits").await.json();
    assert_eq!(limits["DailyBulkV2QueryJobs"], json!({"Max": 10_000, "Remaining": 9_999}));
    assert_eq!(limits["DailyBulkV2QueryFileStorageMB"]["Remaining"], 976_561);
    assert_eq!(rig.bulk("DELETE", &format!("/{id}"), &[], "").await.status, 204);
    let gone = rig.bulk("GET", &format!("/{id}/results"), &[], "").await;
    assert_eq!(gone.refusal(), (404, "NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn refusals_have_their_status_and_code() {
    let settings = Settings { query_start_delay_ms: 3_600_000, ..Settings::default() };
    let rig = Rig::with(settings).await;
    let body = json!({"operation": "query", "query": "SELECT Id FROM Account"}).to_string();
    let reply = rig.bulk("POST", "/", &[JSON], &body).await;
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    let (path, results) = (format!("/{id}"), format!("/{id}/results"));
    for (method, path, headers, body, status, code) in [
        ("POST", "", &[][..], body.as_str(), 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", "", &[JSON], "{", 400, "JSON_PARSER_ERROR"),
        ("POST", "", &[JSON], r#"{"operation":"query","query":7}"#, 400, "API_ERROR"),
        ("GET", &results, &[], "", 400, "INVALIDJOBSTATE"),
        ("DELETE", &path, &[], "", 400, "API_ERROR"),
        ("PATCH", &path, &[JSON], r#"{"state":"UploadComplete"}"#, 400, "INVALIDJOBSTATE"),
        ("PATCH", &path, &[JSON], "{}", 400, "INVALIDJOB"),
        ("GET", "/750Lo0100000099AAA", &[], "", 404, "NOT_FOUND"),
        ("GET", &format!("/{id}/nonsense"), &[], "", 404, "NOT_FOUND"),
        ("PUT", &path, &[JSON], "", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "?jobType=V9", &[], "", 400, "INVALID_QUERY_FILTER"),
    ] {
        let refusal = rig.bulk(method, path, headers, body).await.refusal();
        assert_eq!(refusal, (status, code.to_owned()), "{method} {path} {body}");
    }
    let reply = rig.bulk("PATCH", &path, &[JSON], r#"{"state":"Aborted"}"#).await;
    assert_eq!((reply.status, &reply.json()["state"]), (200, &json!("Aborted")));
}

#[tokio::test]
async fn results_belong_to_the_api_version_of_their_job() {
    let rig = Rig::new().await;
    rig.accounts(1);
    let id = rig.queried("SELECT Name FROM Account").await;
    let older =
        |version: &str, word: &str| format!("/services/data/v{version}/jobs/query/{id}/{word}");
    let conflict = (409, "API_VERSION_MISMATCH".to_owned());
    assert_eq!(rig.client.get(&older("60.0", "results")).await.refusal(), conflict);
    assert_eq!(rig.client.get(&older("60.0", "resultPages")).await.refusal(), conflict);
    let missing = (404, "NOT_FOUND".to_owned());
    assert_eq!(rig.client.get(&older("57.0", "resultPages")).await.refusal(), missing);
    assert_eq!(rig.client.get(&older("46.0", "results")).await.refusal(), missing);
}

#[tokio::test]
async fn pages_without_rows_come_as_the_switch_says() {
    use crate::local_org::settings::EmptyResults;
    for (switch, status, body) in [
        (EmptyResults::HeaderOnly, 200, "\"Name\"\n"),
        (EmptyResults::EmptyBody, 200, ""),
        (EmptyResults::NoContent, 204, ""),
    ] {
        let rig = Rig::with(Settings { empty_query_results: switch, ..Settings::default() }).await;
        let id = rig.queried("SELECT Name FROM Account").await;
        let reply = rig.bulk("GET", &format!("/{id}/results"), &[GZIP], "").await;
        assert_eq!((reply.status, reply.text().as_str()), (status, body));
        assert_eq!(reply.header("sforce-numberofrecords"), Some("0"));
        assert_eq!(reply.header("sforce-locator"), Some("null"));
    }
}

#[tokio::test]
async fn large_pages_arrive_whole_paced_compressed_and_plain() {
    for (compressed, speed) in [(true, None), (false, Some(40_000_000))] {
        let rig = Rig::with(Settings {
            compressed_query_results: compressed,
            download_bytes_per_second: speed,
            ..Settings::default()
        })
        .await;
        rig.accounts(30_000);
        let id = rig.queried("SELECT Name, Notes__c, Id, CreatedDate FROM Account").await;
        let path = format!("/{id}/results");
        let plain = rig.bulk("GET", &path, &[], "").await;
        assert_eq!(names(&plain.text()).len(), 30_000);
        let other = rig.bulk("GET", &path, &[GZIP], "").await;
        assert_eq!(other.header("content-encoding").is_some(), compressed);
        assert_eq!(other.body, plain.body);
    }
}

#[tokio::test]
async fn faults_strike_query_calls() {
    let spec = "query-create:done-503=#1,query-results:cut=#1,query-results:hangup-in-reply=#2,\
                query-results:409=#3,query-results:429:2s=#4,query-pages:500=#1,\
                query-info:503-html=#1,query-list:busy=#1,query-abort:done-502=#1,\
                query-delete:504=#1";
    let settings = Settings { faults: spec.parse().unwrap(), ..Settings::default() };
    let rig = Rig::with(settings).await;
    rig.accounts(100);
    let body = json!({"operation": "query", "query": "SELECT Name FROM Account"}).to_string();
    assert_eq!(rig.bulk("POST", "", &[JSON], &body).await.status, 503);
    assert_eq!(rig.bulk("GET", "", &[], "").await.status, 403);
    let list = rig.bulk("GET", "?jobType=V2Query", &[], "").await.json();
    // Done, though it was not told.
    let id = list["records"][0]["id"].as_str().unwrap().to_owned();
    rig.query_ended(&id).await;
    let (path, results) = (format!("/{id}"), format!("/{id}/results"));
    let cut = rig.bulk("GET", &results, &[], "").await;
    assert_eq!(cut.header("sforce-numberofrecords"), Some("100"));
    assert!(names(&cut.text()).len() < 100);
    // Ends within the chunked body, which is not told to be over.
    let mut broken = None;
    for attempt in 0..2 {
        let reply = tokio::spawn({
            let address = rig.client.address.clone();
            let (token, results) = (rig.client.token.clone().unwrap(), results.clone());
            async move { raw(&address, &token, &format!("{BASE}{results}")).await }
        });
        let bytes = reply.await.unwrap();
        if attempt == 0 {
            assert!(bytes.starts_with(b"HTTP/1.1 200") && !bytes.ends_with(b"0\r\n\r\n"));
        } else {
            broken = Some(String::from_utf8(bytes).unwrap());
        }
    }
    assert!(broken.unwrap().starts_with("HTTP/1.1 409"));
    let busy = rig.bulk("GET", &results, &[], "").await;
    assert_eq!((busy.status, busy.header("retry-after")), (429, Some("2")));
    assert_eq!(names(&rig.bulk("GET", &results, &[], "").await.text()).len(), 100);
    assert_eq!(rig.bulk("GET", &format!("/{id}/resultPages"), &[], "").await.status, 500);
    let page = rig.bulk("GET", &path, &[], "").await;
    assert_eq!((page.status, page.header("content-type")), (503, Some("text/html; charset=UTF-8")));
    assert_eq!(rig.bulk("PATCH", &path, &[JSON], r#"{"state":"Aborted"}"#).await.status, 502);
    assert_eq!(rig.bulk("DELETE", &path, &[], "").await.status, 504);
    assert_eq!(rig.bulk("DELETE", &path, &[], "").await.status, 204);
    assert_eq!(rig.org.faults_injected().len(), 10);
}

/// All that comes on a connection until it ends.
async fn raw(address: &str, token: &str, path: &str) -> Vec<u8> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

#[tokio::test]
async fn archived_activities_are_left_out_of_rest_queries_too() {
    let rig = Rig::new().await;
    rig.put("Task", &[("Subject", "old"), ("ActivityDate", "2001-01-01")]);
    rig.put("Task", &[("Subject", "new"), ("ActivityDate", "2999-01-01")]);
    assert_eq!(rig.column("SELECT Subject FROM Task", "Subject").await, ["new"]);
    let count = |reply: serde_json::Value| reply["totalSize"].as_u64();
    assert_eq!(count(rig.query("SELECT COUNT() FROM Task").await), Some(1));
    let all = super::query_path("queryAll", "SELECT Subject, IsArchived FROM Task ORDER BY Id");
    let all = rig.client.get(&all).await.json();
    assert_eq!(
        all["records"].as_array().unwrap().iter().map(|r| &r["IsArchived"]).collect::<Vec<_>>(),
        [&json!(true), &json!(false)]
    );
}
