//! Renewals: JWT logins, refresh tokens that rotate, and orgs that move.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::ExposeSecret as _;

use super::*;

fn form(request: &Seen, name: &str) -> Option<String> {
    let body = String::from_utf8(request.body.clone()).unwrap();
    let value = body.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    value.map(str::to_owned)
}

fn token_requests(scripted: &ScriptedOrg) -> Vec<Seen> {
    let all = scripted.seen();
    all.into_iter().filter(|request| request.path == "/services/oauth2/token").collect()
}

/// Takes no call of `limits` from the first so many sessions, and gives refresh
/// tokens `next-1`, `next-2` ... that are each good once.
fn rotating(ended: usize) -> impl Fn(&Seen) -> Option<Act> + Send + Sync + 'static {
    let given = AtomicUsize::new(0);
    move |request| {
        let n = given.load(SeqCst);
        if request.path == "/services/oauth2/token" {
            let sent = form(request, "refresh_token").unwrap_or_default();
            let good = sent == if n == 0 { "first".to_owned() } else { format!("next-{n}") };
            let n = n + 1;
            if !good {
                let text = r#"{"error":"invalid_grant",
                    "error_description":"expired access/refresh token"}"#;
                return Some(json(400, text));
            }
            given.store(n, SeqCst);
            let host = request.header("host").unwrap();
            return Some(json(
                200,
                &format!(
                    r#"{{"access_token":"{}!{n}","instance_url":"http://{host}",
                    "refresh_token":"next-{n}"}}"#,
                    &ORG_ID[..15]
                ),
            ));
        }
        let session: usize = request.token()?.split('!').nth(1)?.parse().ok()?;
        let limits = request.path.ends_with("/limits");
        limits.then(|| {
            if session > ended {
                json(200, "{}")
            } else {
                json(401, r#"[{"errorCode":"INVALID_SESSION_ID"}]"#)
            }
        })
    }
}

/// A keeper in memory: what is kept, and how often a turn was taken.
#[derive(Default)]
struct Kept {
    token: Mutex<String>,
    history: Mutex<Vec<String>>,
    /// Fails this many times before it keeps anything.
    failures: AtomicUsize,
}

struct KeptTurn(Arc<Kept>);

impl TokenKeeper for Arc<Kept> {
    fn turn(&self) -> Result<Box<dyn RenewalTurn>, KeeperError> {
        Ok(Box::new(KeptTurn(Arc::clone(self))))
    }
}

impl RenewalTurn for KeptTurn {
    fn current(&self) -> SecretString {
        SecretString::from(self.0.token.lock().unwrap().clone())
    }

    fn keep(&mut self, fresh: &SecretString) -> Result<(), KeeperError> {
        let fails = |left: usize| left.checked_sub(1);
        if self.0.failures.fetch_update(SeqCst, SeqCst, fails).is_ok() {
            return Err("no space left".into());
        }
        fresh.expose_secret().clone_into(&mut self.0.token.lock().unwrap());
        self.0.history.lock().unwrap().push(fresh.expose_secret().to_owned());
        Ok(())
    }
}

fn kept(token: &str, failures: usize) -> Arc<Kept> {
    Arc::new(Kept {
        token: Mutex::new(token.to_owned()),
        failures: AtomicUsize::new(failures),
        ..Kept::default()
    })
}

fn stored_login(scripted: &ScriptedOrg, keeper: &Arc<Kept>) -> Login {
    Login::Refresh {
        login_url: scripted.url.clone(),
        id: "app".into(),
        secret: None,
        refresh_token: SecretString::from("what it was when the process began"),
        keeper: Some(Arc::new(Arc::clone(keeper))),
    }
}

#[tokio::test]
async fn each_session_of_a_jwt_login_begins_with_a_fresh_assertion() {
    let ended = AtomicUsize::new(0);
    let scripted = ScriptedOrg::start(move |request: &Seen| {
        let limits = request.path.ends_with("/limits");
        limits.then(|| match ended.fetch_add(1, SeqCst) {
            0 => json(401, r#"[{"errorCode":"INVALID_SESSION_ID"}]"#),
            _ => json(200, "{}"),
        })
    })
    .await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/logins/rsa-pkcs1.pem");
    let login = Login::Jwt {
        login_url: scripted.url.clone(),
        id: "app".into(),
        username: "user@acme.example".into(),
        key: JwtKey::read(&file, None).unwrap(),
        audience: None,
    };
    assert_eq!(format!("{login:?}"), "Login(JWT)");
    let before = jiff::Timestamp::now().as_second();
    let org = Org::connect(login, options(&Arc::default())).await.unwrap();
    org.limits().await.unwrap();
    let requests = token_requests(&scripted);
    assert_eq!(requests.len(), 2);
    for request in requests {
        let grant = form(&request, "grant_type").unwrap();
        assert_eq!(grant, "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
        let assertion = form(&request, "assertion").unwrap();
        let parts: Vec<&str> = assertion.split('.').collect();
        let read = |part: &str| -> serde_json::Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        assert_eq!(read(parts[0]), serde_json::json!({"alg": "RS256"}));
        let claims = read(parts[1]);
        assert_eq!((&claims["iss"], &claims["sub"]), (&"app".into(), &"user@acme.example".into()));
        assert_eq!(claims["aud"], scripted.url);
        let good_for = claims["exp"].as_i64().unwrap() - before;
        assert!((60..=180).contains(&good_for), "{good_for}");
        assert_eq!(URL_SAFE_NO_PAD.decode(parts[2]).unwrap().len(), 256);
    }
}

#[tokio::test]
async fn a_rotated_token_is_kept_before_its_session_is_used() {
    let keeper = kept("first", 0);
    let rotate = rotating(1);
    let watched = Arc::clone(&keeper);
    let scripted = ScriptedOrg::start(move |request: &Seen| {
        // The n-th session is used only once the n-th token is kept.
        if let Some(n) = request.token().and_then(|token| token.split('!').nth(1)) {
            assert!(watched.history.lock().unwrap().contains(&format!("next-{n}")));
        }
        rotate(request)
    })
    .await;
    let org = Org::connect(stored_login(&scripted, &keeper), options(&Arc::default()));
    let org = org.await.unwrap();
    org.limits().await.unwrap();
    assert_eq!(*keeper.history.lock().unwrap(), ["next-1", "next-2"]);
    assert!(org.refresh_token_rotated());
}

#[tokio::test]
async fn a_token_that_another_process_renewed_is_taken_from_where_it_is_kept() {
    let keeper = kept("first", 0);
    let scripted = ScriptedOrg::start(rotating(2)).await;
    let one = Org::connect(stored_login(&scripted, &keeper), options(&Arc::default()));
    let one = one.await.unwrap();
    let other = Org::connect(stored_login(&scripted, &keeper), options(&Arc::default()));
    let other = other.await.unwrap();
    // Each renews in turn with the token that the other one got.
    one.limits().await.unwrap();
    other.limits().await.unwrap();
    assert_eq!(*keeper.token.lock().unwrap(), "next-4");
}

#[tokio::test]
async fn a_token_that_can_not_be_kept_is_told_used_on_and_kept_later() {
    let keeper = kept("first", 1);
    let scripted = ScriptedOrg::start(rotating(1)).await;
    let heard = Arc::new(Heard::default());
    let org = Org::connect(stored_login(&scripted, &keeper), options(&heard)).await.unwrap();
    let notes = |heard: &Heard| {
        let events = heard.0.lock().unwrap();
        let note = |event: &Event| match event {
            Event::Note { text } => Some(text.clone()),
            _ => None,
        };
        events.iter().filter_map(note).collect::<Vec<_>>()
    };
    let told = notes(&heard);
    assert!(told[0].contains("no space left") && told[0].contains("log in anew"), "{told:?}");
    assert!(!told[0].contains("next-1"));
    assert_eq!(*keeper.token.lock().unwrap(), "first");
    // The renewal goes on from the token in memory.
    org.limits().await.unwrap();
    assert_eq!(*keeper.token.lock().unwrap(), "next-2");
}

#[tokio::test]
async fn a_renewal_is_carried_through_when_the_lane_that_asked_is_dropped() {
    let keeper = kept("first", 0);
    let scripted = ScriptedOrg::start(rotating(1)).await;
    let org = Org::connect(stored_login(&scripted, &keeper), options(&Arc::default()));
    let org = org.await.unwrap();
    let lane = tokio::spawn({
        let org = org.clone();
        async move { org.limits().await }
    });
    // Dropped as soon as the renewal's request has arrived.
    while token_requests(&scripted).len() < 2 {
        tokio::task::yield_now().await;
    }
    lane.abort();
    org.settle_login().await;
    assert_eq!(*keeper.token.lock().unwrap(), "next-2");
    org.limits().await.unwrap();
}

#[tokio::test]
async fn after_a_renewal_calls_go_where_the_org_says_it_is_now() {
    let moved = ScriptedOrg::start(|request: &Seen| {
        request.path.ends_with("/limits").then(|| json(200, "{}"))
    })
    .await;
    let there = moved.url.clone();
    let logins = AtomicUsize::new(0);
    let scripted = ScriptedOrg::start(move |request: &Seen| match request.path.as_str() {
        "/services/oauth2/token" => {
            let n = logins.fetch_add(1, SeqCst);
            let host = request.header("host").unwrap();
            let url = if n == 0 { format!("http://{host}") } else { there.clone() };
            let org = &ORG_ID[..15];
            let reply = format!(r#"{{"access_token":"{org}!{n}","instance_url":"{url}"}}"#);
            Some(json(200, &reply))
        }
        path if path.ends_with("/limits") => Some(json(401, "[]")),
        _ => None,
    })
    .await;
    let org = Org::connect(client_login(&scripted), options(&Arc::default())).await.unwrap();
    org.limits().await.unwrap();
    let seen = moved.seen();
    assert_eq!(seen.len(), 1, "the call went to the new address");
    assert_eq!(seen[0].token(), Some(format!("{}!1", &ORG_ID[..15]).as_str()));
    // The login itself stays where it was.
    assert_eq!(moved.count("oauth2/token"), 0);
}
