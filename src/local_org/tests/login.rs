//! Logging in, and what tokens are good for.

use std::time::Duration;

use serde_json::json;

use super::super::auth::jwt_tests::sign;
use super::super::org::{LocalOrg, LocalOrgError, LocalOrgOptions};
use super::super::settings::Settings;
use super::Rig;
use super::wire::{Client, Reply};

const TOKEN: &str = "/services/oauth2/token";
const LIMITS: &str = "/services/data/v66.0/limits";
const JWT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

async fn client_credentials(rig: &Rig) -> Reply {
    let (id, secret) = (rig.org.client_id(), rig.org.client_secret());
    let form =
        [("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", &secret)];
    Client::new(rig.org.url()).form(TOKEN, &form).await
}

fn oauth_error(reply: &Reply) -> (String, String) {
    assert_eq!(reply.status, 400);
    let body = reply.json();
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    (text("error"), text("error_description"))
}

#[tokio::test]
async fn client_credentials_give_a_token_that_works() {
    let mut rig = Rig::new().await;
    let reply = client_credentials(&rig).await;
    assert_eq!(reply.status, 200);
    let body = reply.json();
    assert_eq!(body["instance_url"], rig.org.url());
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["issued_at"].as_str().unwrap().len(), 13);
    assert!(body.get("expires_in").is_none() && body.get("refresh_token").is_none());
    rig.client.token = Some(body["access_token"].as_str().unwrap().to_owned());
    assert_eq!(rig.client.get(LIMITS).await.status, 200);
    let id = body["id"].as_str().unwrap().strip_prefix(rig.org.url()).unwrap().to_owned();
    let identity = rig.client.get(&id).await.json();
    assert_eq!(identity["username"], "admin@local.org");
    assert_eq!(identity["organization_id"], rig.org.org_id());
    let info = rig.client.get("/services/oauth2/userinfo").await.json();
    assert_eq!(info["preferred_username"], "admin@local.org");
    assert_eq!(info["user_id"], "005Lo0000000001IAA");
    assert_eq!(info["name"], "System Administrator");
}

#[tokio::test]
async fn credentials_may_come_as_basic_authorization() {
    let rig = Rig::new().await;
    let basic = super::super::auth::base64_of(&format!(
        "{}:{}",
        rig.org.client_id(),
        rig.org.client_secret()
    ));
    let reply = Client::new(rig.org.url())
        .send(
            "POST",
            TOKEN,
            &[
                ("authorization", &format!("Basic {basic}")),
                ("content-type", "application/x-www-form-urlencoded"),
            ],
            "grant_type=client_credentials",
        )
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn wrong_logins_say_what_is_wrong() {
    let rig = Rig::new().await;
    let (id, secret) = (rig.org.client_id(), rig.org.client_secret());
    let ask = async |fields: &[(&str, &str)]| {
        oauth_error(&Client::new(rig.org.url()).form(TOKEN, fields).await).0
    };
    let grant = ("grant_type", "client_credentials");
    assert_eq!(ask(&[grant, ("client_id", &id), ("client_secret", "x")]).await, "invalid_client");
    assert_eq!(
        ask(&[grant, ("client_id", "x"), ("client_secret", &secret)]).await,
        "invalid_client_id"
    );
    assert_eq!(ask(&[grant, ("client_id", &id)]).await, "invalid_request");
    assert_eq!(ask(&[("grant_type", "password")]).await, "unsupported_grant_type");
    assert_eq!(ask(&[]).await, "invalid_request");
    let refresh = ("grant_type", "refresh_token");
    assert_eq!(ask(&[refresh, ("client_id", &id), ("refresh_token", "x")]).await, "invalid_grant");
}

#[tokio::test]
async fn a_jwt_of_a_registered_key_logs_in_as_its_user() {
    let rig = Rig::new().await;
    let id = rig.org.client_id();
    let now = rig.org.clock().now_ms() / 1000;
    let login = async |claims: serde_json::Value| {
        let assertion = sign(&json!({"alg": "RS256"}), &claims);
        let form = [("grant_type", JWT), ("assertion", assertion.as_str())];
        Client::new(rig.org.url()).form(TOKEN, &form).await
    };
    let aud = "https://login.salesforce.com";
    let good = json!({"iss": id, "sub": "admin@local.org", "aud": aud, "exp": now + 300});
    assert_eq!(oauth_error(&login(good.clone()).await).1, "invalid assertion");
    rig.org
        .register_jwt_key(include_bytes!("../../../fixtures/local-org/jwt.crt"), "jwt.crt")
        .unwrap();
    let reply = login(good).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.json().get("refresh_token").is_none());
    let stranger = json!({"iss": id, "sub": "who@else", "aud": aud, "exp": now + 300});
    assert_eq!(oauth_error(&login(stranger).await).1, "user hasn't approved this consumer");
    let late = json!({"iss": id, "sub": "admin@local.org", "aud": aud, "exp": now - 1});
    assert_eq!(oauth_error(&login(late).await).0, "invalid_grant");
    let app = json!({"iss": "other", "sub": "admin@local.org", "aud": aud, "exp": now + 300});
    assert_eq!(oauth_error(&login(app).await).0, "invalid_client_id");
    // Milliseconds where seconds are meant, as the official CLI sends.
    let far = json!({"iss": id, "sub": "admin@local.org", "aud": rig.org.url(), "exp": now * 1000});
    assert_eq!(login(far).await.status, 200);
}

#[tokio::test]
async fn refresh_tokens_rotate_when_told_to() {
    for rotation in [false, true] {
        let settings = Settings { refresh_token_rotation: rotation, ..Settings::default() };
        let rig = Rig::with(settings).await;
        let (id, old) = (rig.org.client_id(), rig.org.refresh_token().unwrap());
        let refresh = async |token: &str| {
            let form =
                [("grant_type", "refresh_token"), ("client_id", &id), ("refresh_token", token)];
            Client::new(rig.org.url()).form(TOKEN, &form).await
        };
        let reply = refresh(&old).await;
        assert_eq!(reply.status, 200);
        let body = reply.json();
        assert_eq!(body.get("refresh_token").is_some(), rotation);
        if let Some(new) = body.get("refresh_token").and_then(|token| token.as_str()) {
            assert_eq!(oauth_error(&refresh(&old).await).1, "expired access/refresh token");
            assert_eq!(refresh(new).await.status, 200);
        } else {
            assert_eq!(refresh(&old).await.status, 200);
        }
    }
}

#[tokio::test]
async fn tokens_end_by_the_orgs_clock_by_revocation_and_by_hand() {
    let settings = Settings { token_lifetime_seconds: 600, ..Settings::default() };
    let mut rig = Rig::with(settings).await;
    assert_eq!(rig.client.get(LIMITS).await.status, 200);
    rig.org.clock().advance(Duration::from_secs(601));
    assert_eq!(rig.client.get(LIMITS).await.refusal(), (401, "INVALID_SESSION_ID".to_owned()));
    let token = rig.org.access_token().unwrap();
    rig.client.token = Some(token.clone());
    assert_eq!(rig.client.get(LIMITS).await.status, 200);
    let revoked = rig.client.form("/services/oauth2/revoke", &[("token", &token)]).await;
    assert_eq!(revoked.status, 200);
    assert_eq!(rig.client.get(LIMITS).await.status, 401);
    rig.client.token = Some(rig.org.access_token().unwrap());
    rig.org.end_sessions();
    assert_eq!(rig.client.get(LIMITS).await.status, 401);
}

#[tokio::test]
async fn without_a_good_token_there_is_nothing_to_see() {
    let mut rig = Rig::new().await;
    for (token, code) in [
        (None, "INVALID_SESSION_ID"),
        (Some("00Dx!stale"), "INVALID_SESSION_ID"),
        (Some("[REDACTED]"), "INVALID_AUTH_HEADER"),
    ] {
        rig.client.token = token.map(str::to_owned);
        let reply = rig.client.get(LIMITS).await;
        assert_eq!(reply.refusal(), (401, code.to_owned()));
        assert!(reply.header("sforce-limit-info").is_some());
    }
}

#[tokio::test]
async fn a_folder_keeps_its_org_and_is_locked_while_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        LocalOrgOptions { dir: Some(folder.path().join("org")), ..LocalOrgOptions::default() };
    let first = LocalOrg::start(options.clone()).await.unwrap();
    let (org, client, token) =
        (first.org_id().to_owned(), first.client_id(), first.access_token().unwrap());
    let second = LocalOrg::start(options.clone()).await.unwrap_err();
    assert!(matches!(second, LocalOrgError::InUse { .. }), "{second}");
    first.stop().await;
    let again = LocalOrg::start(options).await.unwrap();
    assert_eq!((again.org_id(), again.client_id()), (org.as_str(), client));
    // Access tokens live in memory: a restart ends them.
    let mut old = Client::new(again.url());
    old.token = Some(token);
    assert_eq!(old.get(LIMITS).await.status, 401);
    let other = Rig::new().await;
    assert_ne!(other.org.org_id(), again.org_id());
}
