//! The client against a scripted org on a real socket: what a user would
//! notice when one of these went wrong.

mod ingest;
mod login;
mod renewal;

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;

use super::scripted::{Act, ORG_ID, ScriptedOrg, Seen, json};
use super::*;
use crate::domain::{ColumnDelimiter, Event, EventSink, LineEnding, NewJob, Operation};

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
        tries: 8,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(5),
        ..RetryPolicy::default()
    };
    let compressed_replies = Some(true);
    ConnectOptions {
        retry,
        events: events.clone(),
        compressed_replies,
        ..ConnectOptions::default()
    }
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
        gzip: false,
        open: Arc::new(move || {
            Ok(Box::new(io::Cursor::new(text.as_ref().clone())) as Box<dyn Read + Send>)
        }),
    }
}

fn unheard() -> BytesSent {
    Arc::new(|_| {})
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
async fn the_daily_calls_left_follow_every_reply_good_or_bad() {
    let used = |n| vec![("Sforce-Limit-Info", format!("api-usage={n}/1000"))];
    let scripted = ScriptedOrg::start(move |request: &Seen| match request.method.as_str() {
        "PUT" => Some(Act::Answer(201, used(400), vec![])),
        "PATCH" => Some(Act::Answer(400, used(401), b"[{\"errorCode\":\"INVALIDJOB\"}]".to_vec())),
        "DELETE" => Some(Act::Answer(204, used(402), vec![])),
        _ => None,
    })
    .await;
    let (org, _) = connect(&scripted).await;
    assert_eq!(org.daily_calls_left(), None);
    org.upload("750", &body(Some(3), b"a\n1".to_vec()), &unheard()).await.unwrap();
    assert_eq!(org.daily_calls_left(), Some(600));
    org.close("750").await.unwrap_err();
    assert_eq!(org.daily_calls_left(), Some(599));
    org.delete_job("750").await.unwrap();
    assert_eq!(org.usage().daily_calls, Some((402, 1_000)));
}

#[tokio::test]
async fn replies_that_ask_for_a_slower_pace_are_counted() {
    let soon = || vec![("Retry-After", "0".to_owned())];
    let crowd = r#"[{"errorCode":"REQUEST_LIMIT_EXCEEDED",
        "message":"ConcurrentPerOrgLongTxn Limit exceeded"}]"#;
    let scripted = ScriptedOrg::start(nth("/limits", move |n, _| match n {
        0 => Act::Answer(429, soon(), Vec::new()),
        1 => Act::Answer(503, soon(), Vec::new()),
        2 => json(403, crowd),
        // Trouble without a word on the pace.
        3 => json(503, ""),
        4 => Act::Answer(500, soon(), Vec::new()),
        5 => Act::HangUp,
        _ => json(200, "{}"),
    }))
    .await;
    let (org, _) = connect(&scripted).await;
    assert_eq!(org.usage().push_backs, 0);
    org.limits().await.unwrap();
    assert_eq!(org.usage().push_backs, 3);
    // A used-up allowance asks for patience, not for fewer lanes.
    let daily = r#"[{"errorCode":"REQUEST_LIMIT_EXCEEDED",
        "message":"TotalRequests Limit exceeded."}]"#;
    let scripted = ScriptedOrg::start(nth("/limits", move |_, _| json(403, daily))).await;
    let (org, _) = connect(&scripted).await;
    org.limits().await.unwrap_err();
    assert_eq!(org.usage().push_backs, 0);
}
