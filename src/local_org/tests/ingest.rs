//! Ingest over HTTP: the calls as clients send them.

use std::io::Write as _;
use std::time::Duration;

use serde_json::json;

use super::wire::Reply;
use super::*;

const JSON: (&str, &str) = ("content-type", "application/json");
const CSV: (&str, &str) = ("content-type", "text/csv");

impl Rig {
    async fn ingest(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let path = format!("/services/data/v66.0/jobs/ingest{path}");
        self.client.send(method, &path, headers, body).await
    }

    async fn job(&self, object: &str, operation: &str) -> String {
        let body = json!({"object": object, "operation": operation}).to_string();
        let reply = self.ingest("POST", "", &[JSON], &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    async fn close(&self, id: &str) -> Reply {
        self.ingest("PATCH", &format!("/{id}"), &[JSON], r#"{"state":"UploadComplete"}"#).await
    }

    async fn ended(&self, id: &str) -> serde_json::Value {
        let (ingest, job) = (self.org.state().ingest.clone(), id.to_owned());
        let wait = move || ingest.wait(&job, Duration::from_secs(60)).unwrap();
        assert!(tokio::task::spawn_blocking(wait).await.unwrap());
        self.ingest("GET", &format!("/{id}"), &[], "").await.json()
    }
}

#[tokio::test]
async fn a_job_runs_through_all_its_calls() {
    let rig = Rig::new().await;
    let id = rig.job("Account", "insert").await;
    let reply = rig
        .ingest(
            "PUT",
            &format!("/{id}/batches/"),
            &[CSV],
            "Name,AnnualRevenue\nAcme,45800000\n,1\n",
        )
        .await;
    assert_eq!((reply.status, reply.body.len()), (201, 0));
    let reply = rig.close(&id).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["state"], "UploadComplete");
    let info = rig.ended(&id).await;
    assert_eq!(
        (info["state"].as_str(), info["numberRecordsProcessed"].as_u64()),
        (Some("JobComplete"), Some(2))
    );
    for (set, part) in [
        ("successfulResults", "\"true\",\"Acme\",\"4.58E7\"\n"),
        (
            "FAILEDRESULTS/",
            "\"\",\"REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --\",\"\",\"1.0\"\n",
        ),
        ("unprocessedRecords", "Name,AnnualRevenue\n"),
    ] {
        let reply = rig.ingest("GET", &format!("/{id}/{set}"), &[], "").await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some("text/csv"));
        assert!(reply.text().ends_with(part), "{set}: {}", reply.text());
    }
    let other = format!("/services/data/v60.0/jobs/ingest/{id}/successfulResults");
    assert_eq!(rig.client.get(&other).await.status, 409);
    assert_eq!(rig.ingest("GET", &format!("/{id}/nonsense"), &[], "").await.status, 404);
    let limits = rig.client.get("/services/data/v66.0/limits").await.json();
    assert_eq!(limits["DailyBulkApiBatches"], json!({"Max": 15_000, "Remaining": 14_999}));
    assert_eq!(rig.column("SELECT Name FROM Account", "Name").await, ["Acme"]);
    let list = rig.ingest("GET", "?jobType=V2Ingest", &[], "").await.json();
    assert_eq!(
        (list["done"].as_bool(), list["records"][0]["id"].as_str()),
        (Some(true), Some(id.as_str()))
    );
    let reply = rig.ingest("DELETE", &format!("/{id}"), &[], "").await;
    assert_eq!((reply.status, reply.body.len()), (204, 0));
    assert_eq!(
        rig.ingest("GET", &format!("/{id}"), &[], "").await.refusal(),
        (404, "NOT_FOUND".to_owned())
    );
}

#[tokio::test]
async fn refusals_have_their_status_and_code() {
    let rig = Rig::new().await;
    let id = rig.job("Account", "insert").await;
    let path = format!("/{id}");
    let batches = format!("/{id}/batches");
    for (method, path, headers, body, status, code) in [
        ("POST", "", &[][..], "{}", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", "", &[JSON], "{", 400, "JSON_PARSER_ERROR"),
        ("POST", "", &[JSON], "[]", 400, "JSON_PARSER_ERROR"),
        ("PUT", &batches, &[JSON], "Name\n", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (
            "PUT",
            &batches,
            &[CSV, ("content-encoding", "br")],
            "Name\n",
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        ("PUT", &batches, &[CSV, ("content-encoding", "gzip")], "Name\n", 400, "CLIENTINPUTERROR"),
        ("PUT", "/750Lo0000000099/batches", &[CSV], "Name\n", 404, "NOT_FOUND"),
        ("PATCH", &path, &[JSON], r#"{"state":"Open"}"#, 400, "INVALIDJOBSTATE"),
        ("PATCH", &path, &[JSON], "{}", 400, "INVALIDJOB"),
        ("PATCH", &path, &[JSON], r#"{"state":"UploadComplete"}"#, 400, "CLIENTINPUTERROR"),
        ("GET", "?queryLocator=x", &[], "", 400, "INVALID_QUERY_FILTER"),
    ] {
        let refusal = rig.ingest(method, path, headers, body).await.refusal();
        assert_eq!(refusal, (status, code.to_owned()), "{method} {path} {body}");
    }
    assert_eq!(rig.ingest("PUT", &batches, &[CSV], "Name\n").await.status, 201, "still open");
}

#[tokio::test]
async fn compressed_and_chunked_uploads_are_understood() {
    let rig = Rig::new().await;
    let id = rig.job("Account", "insert").await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"Name\nzipped\n").unwrap();
    let zipped = encoder.finish().unwrap();
    let headers = [CSV, ("content-encoding", "gzip")];
    let path = format!("/services/data/v66.0/jobs/ingest/{id}/batches");
    assert_eq!(rig.client.send_bytes("PUT", &path, &headers, &zipped).await.status, 201);
    rig.close(&id).await;
    assert_eq!(rig.ended(&id).await["numberRecordsProcessed"], 1);
    assert_eq!(rig.column("SELECT Name FROM Account", "Name").await, ["zipped"]);
}

#[tokio::test]
async fn multipart_creates_come_with_their_data_up_to_a_limit() {
    let rig = Rig::new().await;
    let body = |rows: usize| {
        format!(
            "--B\r\nContent-Type: application/json\r\nContent-Disposition: form-data; name=\"job\"\r\n\r\n\
             {{\"object\":\"Account\",\"operation\":\"insert\"}}\r\n--B\r\nContent-Type: text/csv\r\n\
             Content-Disposition: form-data; name=\"content\"; filename=\"content\"\r\n\r\n\
             Name\n{}\r\n--B--\r\n",
            "0123456789\n".repeat(rows)
        )
    };
    let headers = [("content-type", "multipart/form-data; boundary=B")];
    let reply = rig.ingest("POST", "", &headers, &body(3)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["contentUrl"], serde_json::Value::Null);
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(rig.ended(&id).await["numberRecordsProcessed"], 3);
    let reply = rig.ingest("POST", "", &headers, &body(10_000)).await;
    assert_eq!(reply.refusal(), (400, "CLIENTINPUTERROR".to_owned()));
}

#[tokio::test]
async fn large_results_are_streamed_whole() {
    let rig = Rig::new().await;
    let id = rig.job("Account", "insert").await;
    let mut csv = String::from("Name,Description\n");
    for row in 0..20_000 {
        csv += &format!("n{row},{}\n", "text ".repeat(20));
    }
    assert_eq!(rig.ingest("PUT", &format!("/{id}/batches"), &[CSV], &csv).await.status, 201);
    rig.close(&id).await;
    rig.ended(&id).await;
    let reply = rig.ingest("GET", &format!("/{id}/successfulResults"), &[], "").await;
    assert_eq!(reply.text().lines().count(), 20_001);
}
