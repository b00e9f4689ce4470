//! How fast the local org works jobs: rows a second from close to the end of
//! the job, one worker, fresh data, on disk and in memory.
//!
//! `cargo bench --bench local_org [-- ROWS]`. Twelve columns of the usual
//! types, a quarter of the texts quoted, each row with its external id. The
//! upload is not timed; checks, records, results and the journal are.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench is a program for people")]

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bulkhaul::local_org::{LocalOrg, LocalOrgOptions, Settings};

const ROWS: usize = 400_000;

fn main() {
    // `cargo bench` adds a flag of its own.
    let rows = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(ROWS);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let csv = accounts(rows);
    println!("{rows} rows, {} MB", csv.len() / 1_000_000);
    for on_disk in [true, false] {
        let dir = on_disk.then(|| tempfile::tempdir().unwrap());
        let settings = Settings { workers: 1, ..Settings::default() };
        let options = LocalOrgOptions {
            dir: dir.as_ref().map(|dir| dir.path().to_owned()),
            port: 0,
            settings,
        };
        let org = runtime.block_on(LocalOrg::start(options)).unwrap();
        let client = Client {
            address: org.url().trim_start_matches("http://").to_owned(),
            token: org.access_token().unwrap(),
        };
        let place = if on_disk { "on disk" } else { "in memory" };
        for (what, operation) in [
            ("insert", r#""operation":"insert""#),
            ("upsert, all there", r#""operation":"upsert","externalIdFieldName":"Legacy_Id__c""#),
        ] {
            let seconds = client.load(operation, &csv, rows);
            println!("{place:9} {what:17} {:>8.0} rows/s", rows as f64 / seconds);
        }
        runtime.block_on(org.stop());
    }
}

/// A CSV of accounts, every value a function of its row.
fn accounts(rows: usize) -> String {
    let mut csv = String::from(
        "Legacy_Id__c,Name,Industry,AnnualRevenue,NumberOfEmployees,Phone,Website,BillingStreet,\
         BillingCity,BillingPostalCode,BillingCountry,Description\n",
    );
    for row in 0..rows {
        // Scattered keys, as in real files.
        let key = (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        writeln!(
            csv,
            "A-{key:016x},\"Acme, {row}\",Energy,{}.5,{},+49 30 {row:07},https://example.com/{row},\
             \"{} Long Street\",Berlin,{:05},Germany,\"An \"\"account\"\" of note\"",
            row * 37,
            row % 5_000,
            row % 300,
            row % 100_000,
        )
        .unwrap();
    }
    csv
}

struct Client {
    address: String,
    token: String,
}

impl Client {
    /// Loads a file and gives the seconds from close to the end.
    fn load(&self, operation: &str, csv: &str, rows: usize) -> f64 {
        let body = format!(r#"{{"object":"Account",{operation}}}"#);
        let created = self.call("POST", "", "application/json", &body);
        let id = text_of(&created, "id");
        self.call("PUT", &format!("/{id}/batches"), "text/csv", csv);
        let started = Instant::now();
        self.call("PATCH", &format!("/{id}"), "application/json", r#"{"state":"UploadComplete"}"#);
        loop {
            let info = self.call("GET", &format!("/{id}"), "application/json", "");
            if text_of(&info, "state") == "JobComplete" {
                assert!(info.contains(&format!("\"numberRecordsProcessed\":{rows}")), "{info}");
                assert!(info.contains("\"numberRecordsFailed\":0"), "{info}");
                return started.elapsed().as_secs_f64();
            }
            assert!(!info.contains("\"Failed\""), "{info}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn call(&self, method: &str, path: &str, kind: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} /services/data/v66.0/jobs/ingest{path} HTTP/1.1\r\nhost: {}\r\n\
             connection: close\r\nauthorization: Bearer {}\r\ncontent-type: {kind}\r\n\
             content-length: {}\r\n\r\n",
            self.address,
            self.token,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 20"), "{reply}");
        reply
    }
}

/// A text of a JSON body, without a parser.
fn text_of(body: &str, name: &str) -> String {
    let start = body.find(&format!("\"{name}\":\"")).unwrap() + name.len() + 4;
    body[start..].split('"').next().unwrap().to_owned()
}
