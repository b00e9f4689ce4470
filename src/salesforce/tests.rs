//! The client against a scripted org on a real socket: what a user would
//! notice when one of these went wrong.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;

use super::scripted::{Act, ORG_ID, ScriptedOrg, Seen, json};
use super::*;
use crate::domain::{
    ColumnDelimiter, Event, EventSink, JobState, LineEnding, NewJob, Operation, ResultSet,
};

const TOKEN: &str = "00Dx!tok-hunter2";

#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl EventSink for Heard {
    fn announce(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Heard {
    fn retries(&self) -> usize {
        let events = self.0.lock().unwrap();
        events.iter().filter(|event| matches!(event, Event::Retrying { .. })).count()
    }
}

/// As patient as ever, but in no need of real time.
fn options(events: &Arc<Heard>) -> ConnectOptions {
    let retry = RetryPolicy {
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(5),
        ..RetryPolicy::default()
    };
    ConnectOptions { retry, events: events.clone(), ..ConnectOptions::default() }
}

fn token_login(org: &ScriptedOrg) -> Login {
    Login::Token { instance_url: org.url.clone(), token: SecretString::from(TOKEN) }
}

fn client_login(org: &ScriptedOrg) -> Login {
    Login::ClientCredentials {
        login_url: org.url.clone(),
        id: "app".into(),
        secret: SecretString::from("s&cret=hunter2"),
    }
}

async fn connect(org: &ScriptedOrg) -> (Org, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    let connected = Org::connect(token_login(org), options(&heard)).await.unwrap();
    (connected, heard)
}

fn new_job() -> NewJob {
    NewJob {
        object: "Account".into(),
        operation: Operation::Upsert,
        external_id: Some("Legacy_Id__c".into()),
        delimiter: ColumnDelimiter::Semicolon,
        line_ending: LineEnding::Crlf,
        assignment_rule: None,
    }
}

fn body(len: Option<u64>, text: Vec<u8>) -> UploadBody {
    let text = Arc::new(text);
    UploadBody {
        len,
        open: Arc::new(move || {
            Ok(Box::new(io::Cursor::new(text.as_ref().clone())) as Box<dyn Read + Send>)
        }),
    }
}

fn unheard() -> BytesSent {
    Arc::new(|_| {})
}

fn target(path: &std::path::Path) -> OpenTarget {
    let path = PathBuf::from(path);
    Arc::new(move || Ok(Box::new(std::fs::File::create(&path)?) as Box<dyn Write + Send>))
}

/// Answers what a closure wants at its n-th call whose path holds a part.
fn nth(
    part: &'static str,
    act: impl Fn(usize, &Seen) -> Act + Send + Sync + 'static,
) -> impl Fn(&Seen) -> Option<Act> + Send + Sync + 'static {
    let calls = AtomicUsize::new(0);
    move |request| request.path.contains(part).then(|| act(calls.fetch_add(1, SeqCst), request))
}

#[tokio::test]
async fn connecting_tells_org_user_kind_and_version() {
    let scripted = ScriptedOrg::start(|_| None).await;
    let (org, _) = connect(&scripted).await;
    let identity = org.identity();
    assert_eq!(identity.org_id, ORG_ID);
    assert_eq!(identity.name, "Acme");
    assert_eq!(identity.username, "admin@acme.example");
    assert!(identity.user_id.starts_with("0057Q000002xYzQ") && identity.user_id.len() == 18);
    assert!(!identity.production);
    assert_eq!(org.api_version().to_string(), "66.0");
    // The list of versions is asked for without the token and does not count.
    assert_eq!(org.usage().calls, 2);
    let seen = scripted.seen();
    assert_eq!(seen[0].path, "/services/data/");
    assert_eq!(seen[0].token(), None);
    assert!(seen[1..].iter().all(|request| request.token() == Some(TOKEN)));
}

#[tokio::test]
async fn a_user_without_permissions_still_gets_in() {
    let forbid = |request: &Seen| {
        let asks = request.path.contains("userinfo") || request.path.contains("Organization");
        asks.then(|| json(403, r#"[{"errorCode":"INSUFFICIENT_ACCESS","message":"no"}]"#))
    };
    let scripted = ScriptedOrg::start(forbid).await;
    let heard = Arc::new(Heard::default());
    let login = Login::Token {
        instance_url: scripted.url.clone(),
        token: SecretString::from("00D7Q000001AbCd!x"),
    };
    let org = Org::connect(login, options(&heard)).await.unwrap();
    assert_eq!(org.identity().org_id, ORG_ID);
    assert!(org.identity().production, "in doubt it is production");

    let nameless = Org::connect(token_login(&scripted), options(&heard)).await.unwrap_err();
    assert_eq!(nameless.kind, Kind::Identity);
}

#[tokio::test]
async fn a_renewal_that_fails_in_passing_does_not_put_a_create_in_doubt() {
    let given = Arc::new(AtomicUsize::new(0));
    let refuse = strict_tokens(Arc::clone(&given));
    let logins = AtomicUsize::new(0);
    let scripted = ScriptedOrg::start(move |request: &Seen| {
        let login = request.path == "/services/oauth2/token";
        // The second login, a renewal, breaks off.
        if login && logins.fetch_add(1, SeqCst) == 1 {
            return Some(Act::HangUp);
        }
        refuse(request).or_else(|| {
            let create = request.path.ends_with("jobs/ingest");
            create.then(|| json(200, r#"{"id":"750","state":"Open"}"#))
        })
    })
    .await;
    let org = Org::connect(client_login(&scripted), options(&Arc::default())).await.unwrap();
    given.store(70, SeqCst);
    assert_eq!(org.create_job(&new_job()).await.unwrap().id, "750");
}

#[tokio::test]
async fn passing_trouble_is_waited_out_and_announced() {
    let scripted = ScriptedOrg::start(nth("/limits", |n, _| match n {
        0 => Act::Answer(503, vec![], b"<html><title>Maintenance</title>".to_vec()),
        1 => Act::HangUp,
        2 => Act::Answer(429, vec![("Retry-After", "0".into())], Vec::new()),
        3 => Act::Cut(200, b"{\"DailyApi".to_vec(), 40),
        _ => Act::Answer(
            200,
            vec![("Sforce-Limit-Info", "api-usage=18/5000".into())],
            br#"{"DailyApiRequests":{"Max":5000,"Remaining":4982}}"#.to_vec(),
        ),
    }))
    .await;
    let (org, heard) = connect(&scripted).await;
    let limits = org.limits().await.unwrap();
    assert_eq!(limits.daily_api_requests().unwrap().used(), 18);
    assert_eq!(heard.retries(), 4);
    assert_eq!(org.usage().daily_calls, Some((18, 5000)));
    assert_eq!(org.usage().calls, 2 + 5);
}

#[tokio::test]
async fn an_error_names_the_page_in_the_way_but_never_dumps_it() {
    let page = format!("<html><title>Sorry!</title><body>{}</body>", "secret ".repeat(1_000));
    let scripted = ScriptedOrg::start(nth("/limits", move |_, _| {
        Act::Answer(403, vec![], page.clone().into())
    }))
    .await;
    let (org, _) = connect(&scripted).await;
    let error = org.limits().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "could not read the limits: the org answered 403, a web page titled `Sorry!` \
         (GET /services/data/v66.0/limits)"
    );
    let good_status = nth("/limits", |_, _| json(200, "<html><title>Log in</title>secret"));
    let scripted = ScriptedOrg::start(good_status).await;
    let (org, _) = connect(&scripted).await;
    let error = org.limits().await.unwrap_err();
    assert_eq!(error.kind, Kind::Reply);
    assert!(error.to_string().contains("titled `Log in`"), "{error}");
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

/// An org that takes only the newest token it gave out.
fn strict_tokens(given: Arc<AtomicUsize>) -> impl Fn(&Seen) -> Option<Act> + Send + Sync + 'static {
    move |request| {
        if request.path == "/services/oauth2/token" {
            let n = given.fetch_add(1, SeqCst) + 1;
            let host = request.header("host").unwrap();
            return Some(json(
                200,
                &format!(
                    r#"{{"access_token":"00Dx!{n}","instance_url":"http://{host}",
                    "refresh_token":"rotated-{n}"}}"#
                ),
            ));
        }
        let current = format!("00Dx!{}", given.load(SeqCst));
        (request.path != "/services/data/" && request.token() != Some(&current)).then(|| {
            json(
                401,
                r#"[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]"#,
            )
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_lanes_share_one_renewal() {
    let given = Arc::new(AtomicUsize::new(0));
    let refuse = strict_tokens(Arc::clone(&given));
    let scripted = ScriptedOrg::start(move |request| {
        refuse(request).or_else(|| request.path.ends_with("/limits").then(|| json(200, "{}")))
    })
    .await;
    let heard = Arc::new(Heard::default());
    let org = Org::connect(client_login(&scripted), options(&heard)).await.unwrap();
    assert_eq!(scripted.count("oauth2/token"), 1);
    let form = String::from_utf8(scripted.seen()[0].body.clone()).unwrap();
    assert_eq!(
        form,
        "grant_type=client_credentials&client_id=app&client_secret=s%26cret%3Dhunter2"
    );
    // The session ends behind our back.
    given.store(100, SeqCst);
    let lanes: Vec<_> = (0..12)
        .map(|_| {
            let org = org.clone();
            tokio::spawn(async move { org.limits().await })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap().unwrap();
    }
    assert_eq!(scripted.count("oauth2/token"), 2, "one renewal for twelve lanes");
    let notes = heard.0.lock().unwrap();
    assert_eq!(notes.iter().filter(|event| matches!(event, Event::Note { .. })).count(), 1);
}

#[tokio::test]
async fn a_refresh_token_that_rotates_is_kept_up_with() {
    let given = Arc::new(AtomicUsize::new(0));
    let refuse = strict_tokens(Arc::clone(&given));
    let scripted = ScriptedOrg::start(move |request| {
        refuse(request).or_else(|| request.path.ends_with("/limits").then(|| json(200, "{}")))
    })
    .await;
    let login = Login::Refresh {
        login_url: scripted.url.clone(),
        id: "app".into(),
        secret: None,
        refresh_token: SecretString::from("first"),
    };
    let org = Org::connect(login, options(&Arc::default())).await.unwrap();
    given.fetch_add(1, SeqCst);
    org.limits().await.unwrap();
    let sent: Vec<String> = scripted
        .seen()
        .into_iter()
        .filter(|request| request.path.contains("token"))
        .map(|request| String::from_utf8(request.body).unwrap())
        .collect();
    assert_eq!(
        sent,
        [
            "grant_type=refresh_token&refresh_token=first&client_id=app",
            "grant_type=refresh_token&refresh_token=rotated-1&client_id=app"
        ]
    );
}

#[tokio::test]
async fn a_body_is_sent_again_after_a_renewal() {
    let given = Arc::new(AtomicUsize::new(0));
    let refuse = strict_tokens(Arc::clone(&given));
    let scripted = ScriptedOrg::start(move |request| {
        refuse(request)
            .or_else(|| request.path.contains("/batches").then(|| Act::Answer(201, vec![], vec![])))
    })
    .await;
    let org = Org::connect(client_login(&scripted), options(&Arc::default())).await.unwrap();
    given.store(50, SeqCst);
    // Large enough to be streamed.
    let text = vec![b'x'; 3 << 20];
    org.upload("750", &body(None, text.clone()), &unheard()).await.unwrap();
    let puts: Vec<Seen> =
        scripted.seen().into_iter().filter(|request| request.method == "PUT").collect();
    assert_eq!(puts.len(), 2);
    assert_eq!(puts[1].body, text);
}

#[tokio::test]
async fn a_session_that_no_renewal_helps_is_not_renewed() {
    for text in [
        "This session is not valid for use with the REST API",
        "Connected app is not attached to Agent",
    ] {
        let answer = format!(r#"[{{"message":"{text}","errorCode":"INVALID_SESSION_ID"}}]"#);
        let scripted = ScriptedOrg::start(nth("/limits", move |_, _| json(401, &answer))).await;
        let org = Org::connect(client_login(&scripted), options(&Arc::default())).await.unwrap();
        let error = org.limits().await.unwrap_err();
        assert!(error.is_login() && !error.is_transient());
        assert_eq!(scripted.count("oauth2/token"), 1);
        assert_eq!(scripted.count("/limits"), 1);
    }
}

#[tokio::test]
async fn the_bulk_apis_own_word_for_an_ended_session_renews_too() {
    let scripted = ScriptedOrg::start(nth("/limits", |n, _| match n {
        0 => json(400, r#"{"exceptionCode":"InvalidSessionId","exceptionMessage":"Invalid"}"#),
        _ => json(200, "{}"),
    }))
    .await;
    let org = Org::connect(client_login(&scripted), options(&Arc::default())).await.unwrap();
    org.limits().await.unwrap();
    assert_eq!(scripted.count("oauth2/token"), 2);
}

#[tokio::test]
async fn a_refused_renewal_is_told_to_every_lane_and_asked_once() {
    let dead = Arc::new(AtomicUsize::new(0));
    let switch = Arc::clone(&dead);
    let scripted = ScriptedOrg::start(move |request| {
        let is_dead = switch.load(SeqCst) == 1;
        match request.path.as_str() {
            "/services/oauth2/token" if is_dead => Some(json(
                400,
                r#"{"error":"invalid_grant","error_description":"expired access/refresh token"}"#,
            )),
            path if path.ends_with("/limits") => {
                Some(json(401, r#"[{"message":"x","errorCode":"INVALID_SESSION_ID"}]"#))
            }
            _ => None,
        }
    })
    .await;
    let org = Org::connect(client_login(&scripted), options(&Arc::default())).await.unwrap();
    dead.store(1, SeqCst);
    for _ in 0..3 {
        let error = org.limits().await.unwrap_err();
        assert!(error.is_login());
        assert_eq!(error.code.as_deref(), Some("invalid_grant"));
        assert!(error.hint().unwrap().contains("revoked"));
    }
    assert_eq!(scripted.count("oauth2/token"), 2);
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
    let body = UploadBody { len: None, open };
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

#[tokio::test]
async fn a_query_is_read_to_its_last_page() {
    let scripted = ScriptedOrg::start(nth("/query/", |n, request| match n {
        0 => {
            assert_eq!(request.path, "/services/data/v66.0/query/?q=SELECT%20Id%20FROM%20Account");
            json(
                200,
                r#"{"totalSize":3,"done":false,"nextRecordsUrl":"/services/data/v66.0/query/01g-2",
                "records":[{"Id":"1"},{"Id":"2"}]}"#,
            )
        }
        _ => json(200, r#"{"totalSize":3,"done":true,"records":[{"Id":"3"}]}"#),
    }))
    .await;
    let (org, _) = connect(&scripted).await;
    let records = org.query_all_rows("SELECT Id FROM Account", 100).await.unwrap();
    let ids: Vec<String> = records.iter().map(|record| record.get("id").unwrap().cell()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
    assert_eq!(scripted.seen().pop().unwrap().path, "/services/data/v66.0/query/01g-2");
}

#[tokio::test]
async fn a_redirect_never_takes_the_token_along() {
    let other = ScriptedOrg::start(|_| None).await;
    let there = other.url.clone();
    let scripted = ScriptedOrg::start(nth("/limits", move |_, _| {
        Act::Answer(302, vec![("Location", format!("{there}/limits"))], vec![])
    }))
    .await;
    let (org, _) = connect(&scripted).await;
    let error = org.limits().await.unwrap_err();
    assert_eq!(error.status, Some(302));
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn nothing_printable_ever_holds_a_secret() {
    let login = |secret: &str| Login::Refresh {
        login_url: "https://login.salesforce.com".into(),
        id: "app".into(),
        secret: Some(SecretString::from(secret)),
        refresh_token: SecretString::from(secret),
    };
    let scripted = ScriptedOrg::start(|request: &Seen| {
        request.path.ends_with("/limits").then(|| json(401, "nope"))
    })
    .await;
    let (org, heard) = connect(&scripted).await;
    let error = org.limits().await.unwrap_err();
    let odd = Login::Token {
        instance_url: scripted.url.clone(),
        token: SecretString::from("hunter2\nX-Injected: 1"),
    };
    let odd = Org::connect(odd, options(&heard)).await.unwrap_err();
    assert!(odd.is_login());
    let bad_url = Login::Token {
        instance_url: "https://me:hunter2@acme.my.salesforce.com".into(),
        token: SecretString::from("hunter2"),
    };
    let bad_url = Org::connect(bad_url, options(&heard)).await.unwrap_err();
    let events = format!("{:?}", heard.0.lock().unwrap());
    let printed = [
        format!("{:?} {:?}", login("hunter2"), token_login(&scripted)),
        format!("{org:?} {:?}", options(&heard)),
        format!("{error:?} {error} {odd:?} {odd} {bad_url:?} {bad_url}"),
        events,
    ];
    for text in printed {
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!text.contains(TOKEN), "{text}");
    }
}
