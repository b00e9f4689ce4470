//! The authorization endpoint of the web-server flow, and its codes
//! ("OAuth 2.0 Web Server Flow", Salesforce Help; RFC 7636).
//!
//! There is no page: whoever opens the URL is taken for the administrator, who
//! is logged in and allows what is asked. PKCE is required.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};

use super::{Auth, AuthError, OauthError, base64, locked, secret};
use crate::local_org::errors::ApiError;
use crate::local_org::form::Form;
use crate::local_org::seed;
use crate::local_org::state::OrgState;

/// Milliseconds a code is good for ("15 minutes").
const LIFETIME: i64 = 15 * 60 * 1000;

/// Codes that were given and not used.
pub(super) type Codes = HashMap<String, Code>;

/// What a code stands for.
#[derive(Debug)]
pub(super) struct Code {
    username: String,
    redirect: String,
    challenge: String,
    expires_at: i64,
}

impl Auth {
    /// A code for a user who allowed the app.
    fn give_code(
        &self,
        username: &str,
        redirect: &str,
        challenge: &str,
        now: i64,
    ) -> Result<String, AuthError> {
        let code = format!("aPrx{}==", secret(&self.random, 36)?);
        let mut codes = locked(&self.codes);
        codes.retain(|_, code| code.expires_at > now);
        let known = Code {
            username: username.to_owned(),
            redirect: redirect.to_owned(),
            challenge: challenge.to_owned(),
            expires_at: now + LIFETIME,
        };
        codes.insert(code.clone(), known);
        Ok(code)
    }

    /// Whom a code is for. It is good once, whatever comes of it.
    pub(super) fn redeem(
        &self,
        code: &str,
        redirect: &str,
        verifier: Option<&str>,
        now: i64,
    ) -> Result<String, OauthError> {
        let refused = |why| OauthError::new("invalid_grant", why);
        let known = locked(&self.codes).remove(code);
        let known = known.filter(|known| known.expires_at > now);
        let known = known.ok_or_else(|| refused("expired authorization code"))?;
        if known.redirect != redirect {
            return Err(OauthError::new("redirect_uri_mismatch", "redirect_uri must match"));
        }
        let digest = verifier.map(|verifier| {
            let digest = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
            base64::encode_url(digest.as_ref())
        });
        if digest.as_deref() != Some(known.challenge.trim_end_matches('=')) {
            return Err(refused("invalid code verifier"));
        }
        Ok(known.username)
    }
}

/// `GET /services/oauth2/authorize`: leads the browser back with a code, or
/// with what is wrong. While it isn't known that the way back is the app's
/// own, it leads nowhere.
pub(crate) async fn authorize(
    State(state): State<Arc<OrgState>>,
    RawQuery(query): RawQuery,
) -> Response {
    let form = Form::parse(query.unwrap_or_default().as_bytes());
    let page = |text: &str| {
        let body = format!("<html><title>Error</title><body>{text}</body></html>");
        (StatusCode::BAD_REQUEST, Html(body)).into_response()
    };
    let client = form.get("client_id").unwrap_or_default();
    if state.auth.check_client(client, None).is_err() {
        return page("error=invalid_client_id&amp;error_description=client%20identifier%20invalid");
    }
    let redirect = form.get("redirect_uri").unwrap_or_default();
    if !state.settings.callback_urls.iter().any(|known| known == redirect) {
        return page(
            "error=redirect_uri_mismatch&amp;error_description=redirect_uri%20must%20match%20configuration",
        );
    }
    let answer = match (form.get("response_type"), form.get("code_challenge")) {
        (Some("code"), Some(challenge)) if !challenge.is_empty() => {
            match state.auth.give_code(seed::ADMIN, redirect, challenge, state.now()) {
                Ok(code) => format!("code={}", escaped(&code)),
                Err(error) => return ApiError::internal(&error).into_response(),
            }
        }
        (Some("code"), _) => "error=invalid_request&error_description=missing+required+code+\
                              challenge"
            .to_owned(),
        _ => "error=unsupported_response_type&error_description=response+type+not+supported"
            .to_owned(),
    };
    let state_back = form.get("state").map(|text| format!("&state={}", escaped(text)));
    let location = format!("{redirect}?{answer}{}", state_back.unwrap_or_default());
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACK: &str = "http://localhost:1717/OauthRedirect";
    // RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn a_code_is_good_once_in_time_for_its_verifier_and_way_back() {
        let auth = Auth::open(None, "00DLo0000000001MAA", "a@b").unwrap();
        let redeemed = |redirect: &str, verifier, after| {
            let code = auth.give_code("a@b", BACK, CHALLENGE, 0).unwrap();
            let first = auth.redeem(&code, redirect, verifier, after);
            assert!(auth.redeem(&code, BACK, Some(VERIFIER), after).is_err(), "good twice");
            first.map_err(|error| error.error)
        };
        assert_eq!(redeemed(BACK, Some(VERIFIER), 1).unwrap(), "a@b");
        assert_eq!(redeemed(BACK, Some("other"), 1), Err("invalid_grant"));
        assert_eq!(redeemed(BACK, None, 1), Err("invalid_grant"));
        assert_eq!(redeemed(BACK, Some(VERIFIER), LIFETIME), Err("invalid_grant"));
        assert_eq!(redeemed("http://evil", Some(VERIFIER), 1), Err("redirect_uri_mismatch"));
    }
}
