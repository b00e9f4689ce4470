//! Sessions: who logs in, how often, and what nobody gets to see.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;

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
        keeper: None,
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
        assert!(error.hint().unwrap().contains("Run As user"));
    }
    assert_eq!(scripted.count("oauth2/token"), 2);
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
        keeper: None,
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

const OTHER_ORG: &str = "00D5g000004XyZw";

/// How an org tells who it is after a renewal.
#[derive(Clone, Copy)]
enum Told {
    Token,
    IdentityUrl,
    UserInfo,
    Record,
    Nowhere,
}

/// Renews the session of a run and reads the limits, when the login leads to
/// `renewed_org` then.
async fn renew_into(renewed_org: &'static str, told: Told) -> (Result<Limits, CallError>, usize) {
    let logins = AtomicUsize::new(0);
    let scripted = ScriptedOrg::start(move |request: &Seen| {
        if request.path == "/services/oauth2/token" {
            let host = request.header("host").unwrap();
            let (token, id) = match (logins.fetch_add(1, SeqCst), told) {
                (0, _) => (format!("{ORG_ID}!first"), String::new()),
                (_, Told::Token) => (format!("{renewed_org}!next"), String::new()),
                (_, Told::IdentityUrl) => (
                    "next".to_owned(),
                    format!(
                        r#","id":"https://login.salesforce.com/id/{renewed_org}/0057Q000002xYzQ""#
                    ),
                ),
                (_, Told::UserInfo | Told::Record | Told::Nowhere) => {
                    ("next".to_owned(), String::new())
                }
            };
            let reply =
                format!(r#"{{"access_token":"{token}","instance_url":"http://{host}"{id}}}"#);
            return Some(json(200, &reply));
        }
        let renewed = request.token() == Some("next");
        if request.path.ends_with("/limits") {
            let first = request.token().is_some_and(|token| token.ends_with("!first"));
            return Some(if first { json(401, "[]") } else { json(200, "{}") });
        }
        if renewed && request.path.ends_with("/userinfo") {
            return Some(match told {
                Told::UserInfo => json(200, &format!(r#"{{"organization_id":"{renewed_org}"}}"#)),
                _ => json(403, r#"{"error":"insufficient_scope"}"#),
            });
        }
        if renewed && request.path.contains("Organization") {
            return Some(match told {
                Told::Record => json(200, &format!(r#"{{"records":[{{"Id":"{renewed_org}"}}]}}"#)),
                _ => json(400, r#"[{"errorCode":"INVALID_TYPE","message":"not supported"}]"#),
            });
        }
        None
    })
    .await;
    let org = Org::connect(client_login(&scripted), options(&Arc::default())).await.unwrap();
    let answer = org.limits().await;
    if answer.is_err() {
        // The verdict stands; the login isn't tried over and over.
        let again = org.limits().await.unwrap_err();
        assert_eq!(again.kind, Kind::Identity);
        assert_eq!(scripted.count("oauth2/token"), 2);
    }
    let reached = scripted.seen().into_iter().filter(|request| {
        let first = request.token().is_some_and(|token| token.ends_with("!first"));
        request.path.ends_with("/limits") && !first
    });
    (answer, reached.count())
}

#[tokio::test]
async fn a_renewal_that_leads_to_another_org_is_refused_before_anything_is_sent_there() {
    for told in [Told::Token, Told::IdentityUrl, Told::UserInfo, Told::Record] {
        let (answer, reached) = renew_into(OTHER_ORG, told).await;
        let error = answer.unwrap_err();
        assert_eq!((error.kind, error.is_transient()), (Kind::Identity, false));
        assert!(error.to_string().contains(OTHER_ORG), "{error}");
        assert!(error.to_string().contains(ORG_ID), "{error}");
        assert!(error.hint().unwrap().contains("resume"));
        assert_eq!(reached, 0);
        let (answer, reached) = renew_into(&ORG_ID[..15], told).await;
        assert!(answer.is_ok());
        assert_eq!(reached, 1);
    }
    let (answer, reached) = renew_into(ORG_ID, Told::Nowhere).await;
    assert_eq!(answer.unwrap_err().kind, Kind::Identity);
    assert_eq!(reached, 0);
}
