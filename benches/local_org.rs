//! How fast the local org works jobs: rows a second from close to the end of
//! the job, one worker, fresh data, on disk and in memory; then a query job
//! over all of them, and its result pages fetched in four lanes.
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
        let (pages, seconds) = client.query(rows);
        println!("{place:9} {:17} {:>8.0} rows/s", "query job", rows as f64 / seconds);
        let started = Instant::now();
        let bytes = client.fetch(&pages);
        let speed = bytes as f64 / 1e6 / started.elapsed().as_secs_f64();
        println!(
            "{place:9} {:17} {speed:>8.0} MB/s  ({} MB in {} pages)",
            "query results",
            bytes / 1_000_000,
            pages.len()
        );
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

    /// Runs a query over all records; gives the links to its pages and the
    /// seconds from create to the end.
    fn query(&self, rows: usize) -> (Vec<String>, f64) {
        let soql = "SELECT Id, Legacy_Id__c, Name, Industry, AnnualRevenue, NumberOfEmployees, \
                    Phone, Website, BillingStreet, BillingCity, CreatedDate, Description FROM Account";
        let body = format!(r#"{{"operation":"query","query":"{soql}"}}"#);
        let base = "/services/data/v66.0/jobs/query";
        let started = Instant::now();
        let id = text_of(&self.ask("POST", base, "application/json", &body), "id");
        let seconds = loop {
            let info = self.ask("GET", &format!("{base}/{id}"), "application/json", "");
            if text_of(&info, "state") == "JobComplete" {
                assert!(info.contains(&format!("\"numberRecordsProcessed\":{rows}")), "{info}");
                break started.elapsed().as_secs_f64();
            }
            assert!(!info.contains("\"Failed\""), "{info}");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut pages = Vec::new();
        let mut next = format!("{base}/{id}/resultPages");
        loop {
            let links = self.ask("GET", &next, "application/json", "");
            pages.extend(
                links
                    .split("\"resultUrl\":\"")
                    .skip(1)
                    .map(|rest| rest.split('"').next().unwrap().to_owned()),
            );
            if links.contains("\"done\":true") {
                return (pages, seconds);
            }
            next = text_of(&links, "nextRecordsUrl");
        }
    }

    /// Fetches pages in four lanes; gives the bytes that came.
    fn fetch(&self, pages: &[String]) -> usize {
        std::thread::scope(|scope| {
            let lanes: Vec<_> = (0..4)
                .map(|lane| {
                    scope.spawn(move || {
                        let mut buffer = vec![0; 1 << 20];
                        let mut bytes = 0;
                        for page in pages.iter().skip(lane).step_by(4) {
                            let mut stream = self.send("GET", page, "text/csv", "");
                            loop {
                                match stream.read(&mut buffer).unwrap() {
                                    0 => break,
                                    more => bytes += more,
                                }
                            }
                        }
                        bytes
                    })
                })
                .collect();
            lanes.into_iter().map(|lane| lane.join().unwrap()).sum()
        })
    }

    fn call(&self, method: &str, path: &str, kind: &str, body: &str) -> String {
        self.ask(method, &format!("/services/data/v66.0/jobs/ingest{path}"), kind, body)
    }

    fn send(&self, method: &str, path: &str, kind: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n\
             connection: close\r\nauthorization: Bearer {}\r\ncontent-type: {kind}\r\n\
             content-length: {}\r\n\r\n",
            self.address,
            self.token,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        stream
    }

    fn ask(&self, method: &str, path: &str, kind: &str, body: &str) -> String {
        let mut stream = self.send(method, path, kind, body);
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
