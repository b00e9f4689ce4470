//! Ingest jobs: what is repeated, what is not, and that nothing cut passes
//! for whole.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::domain::{JobState, ResultSet};

fn target(path: &std::path::Path) -> OpenTarget {
    let path = PathBuf::from(path);
    Arc::new(move || Ok(Box::new(std::fs::File::create(&path)?) as Box<dyn Write + Send>))
}

#[tokio::test]
async fn a_create_without_an_answer_is_not_repeated() {
    for act in [Act::HangUp, json(503, ""), json(200, "{\"id\""), Act::Cut(200, vec![b'{'], 9)] {
        let scripted = ScriptedOrg::start(nth("jobs/ingest", move |_, _| act.clone())).await;
        let (org, heard) = connect(&scripted).await;
        let error = org.create_job(&new_job()).await.unwrap_err();
        assert_eq!(error.happened, Happened::Maybe, "{error}");
        assert_eq!(scripted.count("jobs/ingest"), 1, "{error}");
        assert_eq!(heard.retries(), 0);
    }
}

#[tokio::test]
async fn a_create_that_was_turned_away_is_repeated() {
    let scripted = ScriptedOrg::start(nth("jobs/ingest", |n, _| match n {
        0 => json(429, ""),
        _ => json(200, r#"{"id":"7507Q00000AbCdeQAF","state":"Open","apiVersion":66.0}"#),
    }))
    .await;
    let (org, _) = connect(&scripted).await;
    let job = org.create_job(&new_job()).await.unwrap();
    assert_eq!((job.id.as_str(), job.state), ("7507Q00000AbCdeQAF", JobState::Open));
    let sent: serde_json::Value =
        serde_json::from_slice(&scripted.seen().last().unwrap().body).unwrap();
    assert_eq!(
        sent,
        serde_json::json!({"object": "Account", "operation": "upsert", "contentType": "CSV",
            "externalIdFieldName": "Legacy_Id__c", "columnDelimiter": "SEMICOLON",
            "lineEnding": "CRLF"})
    );
}

#[tokio::test]
async fn a_create_that_never_reached_the_org_is_known_not_to_have_happened() {
    let scripted = ScriptedOrg::start(nth("jobs/ingest", |_, _| {
        json(400, r#"[{"errorCode":"INVALIDENTITY","message":"not supported"}]"#)
    }))
    .await;
    let (org, _) = connect(&scripted).await;
    let refused = org.create_job(&new_job()).await.unwrap_err();
    assert_eq!((refused.happened, refused.attempts), (Happened::Refused, 1));

    // A port that was free a moment ago: nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let login = Login::Token { instance_url: nowhere.clone(), token: SecretString::from(TOKEN) };
    let error = Org::connect(login, options(&Arc::default())).await.unwrap_err();
    assert_eq!((error.kind, error.happened), (Kind::Connect, Happened::No));
    assert!(error.attempts > 1 && error.is_unreachable());
    assert!(error.to_string().contains(&nowhere), "{error}");
}

#[tokio::test]
async fn bodies_arrive_whole_streamed_or_not_and_bytes_are_counted() {
    let scripted =
        ScriptedOrg::start(nth("/batches", |_, _| Act::Answer(201, vec![], vec![]))).await;
    let (org, _) = connect(&scripted).await;
    let text: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
    let small = text[..1_000].to_vec();
    let all = [(Some(text.len() as u64), &text), (None, &text), (Some(1_000), &small)];
    for (len, text) in all {
        let sent = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&sent);
        let progress: BytesSent = Arc::new(move |bytes| {
            told.fetch_add(bytes, SeqCst);
        });
        org.upload("750", &body(len, text.clone()), &progress).await.unwrap();
        let seen = scripted.seen().pop().unwrap();
        assert_eq!(&seen.body, text);
        assert_eq!(seen.header("content-type"), Some("text/csv; charset=UTF-8"));
        assert_eq!(seen.header("content-length").is_some(), len.is_some());
        assert_eq!(sent.load(SeqCst), text.len() as u64);
    }
    assert_eq!(org.usage().bytes_up, 2 * text.len() as u64 + 1_000);
}

#[tokio::test]
async fn a_body_of_another_length_than_promised_never_looks_whole() {
    let scripted =
        ScriptedOrg::start(nth("/batches", |_, _| Act::Answer(201, vec![], vec![]))).await;
    let (org, _) = connect(&scripted).await;
    let text = vec![b'x'; 2 << 20];
    for len in [text.len() as u64 + 1, text.len() as u64 - 1, 1_000] {
        let error = org.upload("750", &body(Some(len), text.clone()), &unheard()).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind, Kind::Local, "{len}: {error}");
        assert!(!error.is_transient());
    }
    assert_eq!(scripted.count("/batches"), 0, "no whole request arrived");
}

#[tokio::test]
async fn a_source_that_breaks_off_never_looks_like_its_end() {
    struct Broken(usize);
    impl Read for Broken {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("bad sector"));
            }
            let count = self.0.min(into.len());
            self.0 -= count;
            Ok(count)
        }
    }
    let scripted =
        ScriptedOrg::start(nth("/batches", |_, _| Act::Answer(201, vec![], vec![]))).await;
    let (org, _) = connect(&scripted).await;
    let open: OpenBody = Arc::new(|| Ok(Box::new(Broken(2 << 20)) as Box<dyn Read + Send>));
    let body = UploadBody { len: None, gzip: false, open };
    // In a task of its own, as lanes call it: the futures can move threads.
    let sending = tokio::spawn({
        let org = org.clone();
        async move { org.upload("750", &body, &unheard()).await }
    });
    let error = sending.await.unwrap().unwrap_err();
    assert_eq!((error.kind, error.happened), (Kind::Local, Happened::Maybe));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("bad sector"));
    assert_eq!(scripted.count("/batches"), 0);
}

#[tokio::test]
async fn an_upload_that_broke_off_is_not_repeated() {
    let scripted = ScriptedOrg::start(nth("/batches", |_, _| Act::HangUp)).await;
    let (org, _) = connect(&scripted).await;
    let error = org.upload("750", &body(None, vec![b'x'; 100]), &unheard()).await.unwrap_err();
    assert_eq!(error.happened, Happened::Maybe);
    assert_eq!(scripted.count("/batches"), 1);
}

/// A gzip of one stored block (RFC 1952, RFC 1951 3.2.4).
fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    let len = text.len() as u16;
    out.extend(len.to_le_bytes());
    out.extend((!len).to_le_bytes());
    out.extend(text);
    let crc = text.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    });
    out.extend((!crc).to_le_bytes());
    out.extend((text.len() as u32).to_le_bytes());
    out
}

#[tokio::test]
async fn a_cut_result_set_is_fetched_anew_from_its_start() {
    let text = b"\"sf__Id\",\"sf__Created\",Name\n\"001\",\"true\",\"Acme\"\n".to_vec();
    let expected = text.clone();
    let half_gzip = gzip(&text)[..30].to_vec();
    let whole_gzip = gzip(&text);
    let scripted = ScriptedOrg::start(nth("successfulResults", move |n, request| {
        assert_eq!(request.header("accept"), Some("text/csv"));
        let zipped = || vec![("Content-Encoding", "gzip".to_owned())];
        match n {
            0 => Act::Cut(200, text.clone(), 10),
            1 => Act::CutChunked(200, text.clone()),
            // The announced length is right, yet the zipped text is not whole.
            2 => Act::Answer(200, zipped(), half_gzip.clone()),
            3 => Act::Answer(200, zipped(), whole_gzip.clone()),
            _ => Act::Chunked(200, text.chunks(7).map(<[u8]>::to_vec).collect()),
        }
    }))
    .await;
    let (org, heard) = connect(&scripted).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.csv");
    for retries in [3, 3] {
        let done = org.results("750", ResultSet::Successful, &target(&path)).await.unwrap();
        assert_eq!(done.bytes, expected.len() as u64);
        assert_eq!(std::fs::read(&path).unwrap(), expected);
        assert_eq!(heard.retries(), retries);
    }
    assert!(scripted.seen().last().unwrap().header("accept-encoding").unwrap().contains("gzip"));
}

#[tokio::test]
async fn empty_result_sets_come_in_every_shape() {
    let scripted = ScriptedOrg::start(nth("unprocessedrecords", |n, _| match n {
        0 => Act::Answer(204, vec![], vec![]),
        _ => Act::Answer(200, vec![], vec![]),
    }))
    .await;
    let (org, _) = connect(&scripted).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.csv");
    for _ in 0..2 {
        let done = org.results("750", ResultSet::Unprocessed, &target(&path)).await.unwrap();
        assert_eq!(done.bytes, 0);
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }
}

#[tokio::test]
async fn a_full_disk_is_said_so_and_not_retried() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let scripted = ScriptedOrg::start(nth("failedResults", |_, _| json(200, "a\nb\n"))).await;
    let (org, _) = connect(&scripted).await;
    let open: OpenTarget = Arc::new(|| Ok(Box::new(Full) as Box<dyn Write + Send>));
    let error = org.results("750", ResultSet::Failed, &open).await.unwrap_err();
    assert_eq!((error.kind, error.attempts), (Kind::Local, 1));
}

#[tokio::test]
async fn an_abort_or_delete_whose_answer_was_lost_is_settled_by_asking() {
    let scripted = ScriptedOrg::start(|request: &Seen| {
        static ABORTS: AtomicUsize = AtomicUsize::new(0);
        static DELETES: AtomicUsize = AtomicUsize::new(0);
        if !request.path.contains("jobs/ingest") {
            return None;
        }
        let state = r#"[{"errorCode":"INVALIDJOBSTATE","message":"already"}]"#;
        Some(match (request.method.as_str(), ()) {
            ("PATCH", ()) if ABORTS.fetch_add(1, SeqCst) == 0 => Act::HangUp,
            ("PATCH", ()) => json(400, state),
            ("DELETE", ()) if DELETES.fetch_add(1, SeqCst) == 0 => Act::HangUp,
            ("DELETE", ()) => json(404, r#"[{"errorCode":"NOT_FOUND","message":"gone"}]"#),
            _ => json(200, r#"{"id":"750","state":"Aborted"}"#),
        })
    })
    .await;
    let (org, _) = connect(&scripted).await;
    assert_eq!(org.abort("750").await.unwrap().state, JobState::Aborted);
    org.delete_job("750").await.unwrap();
    // A first try that is told "already" is told so.
    let told = org.abort("750").await.unwrap_err();
    assert_eq!(told.code.as_deref(), Some("INVALIDJOBSTATE"));
    assert!(org.delete_job("750").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn jobs_are_listed_page_by_page() {
    let scripted = ScriptedOrg::start(nth("jobs/ingest", |n, _| match n {
        0 => json(
            200,
            r#"{"done":false,"nextRecordsUrl":"/services/data/v66.0/jobs/query?queryLocator=a%2Fb",
            "records":[{"id":"1","state":"Open","jobType":"V2Ingest"},
                       {"id":"2","state":"Closed","jobType":"Classic"}]}"#,
        ),
        _ => json(200, r#"{"done":true,"records":[{"id":"3","state":"Failed"}]}"#),
    }))
    .await;
    let (org, _) = connect(&scripted).await;
    let first = org.list_jobs(None).await.unwrap();
    assert_eq!(first.jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["1"]);
    let second = org.list_jobs(first.next.as_deref()).await.unwrap();
    assert_eq!((second.jobs.len(), second.next), (1, None));
    let last = scripted.seen().pop().unwrap().path;
    assert_eq!(last, "/services/data/v66.0/jobs/ingest?jobType=V2Ingest&queryLocator=a%2Fb");
}
