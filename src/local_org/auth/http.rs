//! The endpoints under `/services/oauth2` and the identity URL
//! (protocol notes, sections 1.1 and 1.2).

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::{Value as Json, json};

use super::{AuthError, OauthError, base64};
use crate::local_org::errors::{ApiError, json_reply};
use crate::local_org::form::{Form, unescaped};
use crate::local_org::server::CurrentUser;
use crate::local_org::state::{OrgState, UserRow};

/// The scope every token gets.
const SCOPE: &str = "api refresh_token";

/// A field a token request can't be without.
fn needed<'a>(form: &'a Form, name: &str) -> Result<&'a str, OauthError> {
    form.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
        OauthError::new("invalid_request", format!("missing required parameter: {name}"))
    })
}

enum Refused {
    Oauth(OauthError),
    Broken(ApiError),
}

impl From<OauthError> for Refused {
    fn from(error: OauthError) -> Refused {
        Refused::Oauth(error)
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Refused {
        Refused::Broken(error)
    }
}

impl From<AuthError> for Refused {
    fn from(error: AuthError) -> Refused {
        Refused::Broken(ApiError::internal(&error))
    }
}

/// `POST /services/oauth2/token`.
pub(crate) async fn token(
    State(state): State<Arc<OrgState>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match grant(&state, &headers, &Form::parse(&body)) {
        Ok(reply) => json_reply(StatusCode::OK, &reply),
        Err(Refused::Oauth(error)) => json_reply(
            StatusCode::BAD_REQUEST,
            &json!({"error": error.error, "error_description": error.description}),
        ),
        Err(Refused::Broken(error)) => axum::response::IntoResponse::into_response(error),
    }
}

fn grant(state: &OrgState, headers: &HeaderMap, form: &Form) -> Result<Json, Refused> {
    let basic = basic_credentials(headers);
    let client_id = |form: &Form| match &basic {
        Some((id, _)) => Ok(id.clone()),
        None => needed(form, "client_id").map(str::to_owned),
    };
    let secret = match &basic {
        Some((_, secret)) => Some(secret.as_str()),
        None => form.get("client_secret"),
    };
    match needed(form, "grant_type")? {
        "client_credentials" => {
            let id = client_id(form)?;
            let secret = secret.ok_or_else(|| {
                OauthError::new("invalid_request", "missing required parameter: client_secret")
            })?;
            state.auth.check_client(&id, Some(secret))?;
            let user = state.run_as_user()?.ok_or_else(|| {
                OauthError::new("invalid_grant", "no client credentials user enabled")
            })?;
            logged_in(state, &user, None)
        }
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
            let assertion = state.auth.check_assertion(
                needed(form, "assertion")?,
                &state.url,
                state.now(),
                state.settings.assertion_seconds,
            )?;
            state.auth.check_client(&assertion.consumer, None)?;
            let unapproved =
                || OauthError::new("invalid_grant", "user hasn't approved this consumer");
            let user = active(state.user_by_name(&assertion.username)?)?.ok_or_else(unapproved)?;
            let approved = &state.settings.approved_users;
            if approved.as_ref().is_some_and(|users| !users.contains(&user.username)) {
                return Err(unapproved().into());
            }
            logged_in(state, &user, None)
        }
        "authorization_code" => {
            state.auth.check_client(&client_id(form)?, secret)?;
            let username = state.auth.redeem(
                needed(form, "code")?,
                needed(form, "redirect_uri")?,
                form.get("code_verifier"),
                state.now(),
            )?;
            let user = active(state.user_by_name(&username)?)?
                .ok_or_else(|| OauthError::new("invalid_grant", "expired authorization code"))?;
            let token = state.auth.new_refresh_token(&username, None)?;
            logged_in(state, &user, Some(token))
        }
        "refresh_token" => {
            state.auth.check_client(&client_id(form)?, secret)?;
            let token = needed(form, "refresh_token")?;
            let expired = || OauthError::new("invalid_grant", "expired access/refresh token");
            let username = state.auth.username_of_refresh_token(token).ok_or_else(expired)?;
            let user = active(state.user_by_name(&username)?)?.ok_or_else(expired)?;
            let rotated = if state.settings.refresh_token_rotation {
                Some(state.auth.new_refresh_token(&username, Some(token))?)
            } else {
                None
            };
            logged_in(state, &user, rotated)
        }
        _ => Err(OauthError::new("unsupported_grant_type", "grant type not supported").into()),
    }
}

fn active(user: Option<UserRow>) -> Result<Option<UserRow>, OauthError> {
    match user {
        Some(user) if !user.active => Err(OauthError::new("inactive_user", "user is inactive")),
        other => Ok(other),
    }
}

fn logged_in(
    state: &OrgState,
    user: &UserRow,
    refresh_token: Option<String>,
) -> Result<Json, Refused> {
    let now = state.now();
    let expires_at = Some(now.saturating_add(state.token_lifetime()));
    let id = identity_url(state, &user.id);
    let issued_at = now.to_string();
    let mut reply = json!({
        "access_token": state.auth.issue(&user.id, expires_at, now)?,
        "signature": state.auth.sign(&id, &issued_at),
        "scope": SCOPE,
        "instance_url": state.url,
        "id": id,
        "token_type": "Bearer",
        "issued_at": issued_at,
    });
    if let (Some(token), Some(object)) = (refresh_token, reply.as_object_mut()) {
        object.insert("refresh_token".to_owned(), json!(token));
    }
    Ok(reply)
}

fn identity_url(state: &OrgState, user_id: &str) -> String {
    format!("{}/id/{}/{user_id}", state.url, state.org_id)
}

/// Client id and secret out of an `Authorization: Basic` header.
fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(base64::decode(encoded.trim().as_bytes())?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((unescaped(id.as_bytes()), unescaped(secret.as_bytes())))
}

/// `POST /services/oauth2/revoke`, and `GET` with `?token=`. Answers 200 for
/// a token that was good and 400 for any other, as the service does.
pub(crate) async fn revoke(
    State(state): State<Arc<OrgState>>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let form = Form::parse(&body);
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let token = form.get("token").or(query.get("token")).unwrap_or_default();
    match state.auth.end(token) {
        Ok(true) => json_reply(StatusCode::OK, &json!({})),
        Ok(false) => json_reply(
            StatusCode::BAD_REQUEST,
            &json!({"error": "invalid_token", "error_description": "invalid token"}),
        ),
        Err(error) => axum::response::IntoResponse::into_response(ApiError::internal(&error)),
    }
}

/// `GET /services/oauth2/userinfo`: who the token belongs to, in the form of
/// an `OpenID` Connect reply.
pub(crate) async fn userinfo(
    State(state): State<Arc<OrgState>>,
    Extension(user): Extension<CurrentUser>,
) -> Result<Response, ApiError> {
    let row = state.user_by_id(&user.id)?.ok_or_else(ApiError::invalid_session)?;
    let versioned = |resource: &str| format!("{}/services/data/v{{version}}/{resource}", state.url);
    let body = json!({
        "sub": identity_url(&state, &row.id),
        "user_id": row.id,
        "organization_id": state.org_id,
        "preferred_username": row.username,
        "nickname": row.alias,
        "name": row.name,
        "email": row.email,
        "email_verified": true,
        "given_name": row.first_name,
        "family_name": row.last_name,
        "zoneinfo": row.time_zone,
        "locale": row.locale,
        "language": row.language,
        "active": row.active,
        "user_type": "STANDARD",
        "utcOffset": 0,
        "is_app_installed": true,
        "urls": {
            "rest": versioned(""),
            "sobjects": versioned("sobjects/"),
            "query": versioned("query/"),
        },
    });
    Ok(json_reply(StatusCode::OK, &body))
}

/// `GET /id/{org}/{user}`: the identity URL of a token response.
pub(crate) async fn identity(
    State(state): State<Arc<OrgState>>,
    Extension(user): Extension<CurrentUser>,
    Path((org, asked)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let same =
        |left: &str, right: &str| left.get(..15).is_some() && left.get(..15) == right.get(..15);
    if !same(&org, &state.org_id) || !same(&asked, &user.id) {
        return Err(ApiError::not_found());
    }
    let row = state.user_by_id(&user.id)?.ok_or_else(ApiError::invalid_session)?;
    let body = json!({
        "id": identity_url(&state, &row.id),
        "asserted_user": true,
        "user_id": row.id,
        "organization_id": state.org_id,
        "username": row.username,
        "nick_name": row.alias,
        "display_name": row.name,
        "email": row.email,
        "first_name": row.first_name,
        "last_name": row.last_name,
        "timezone": row.time_zone,
        "active": row.active,
        "user_type": "STANDARD",
        "language": row.language,
        "locale": row.locale,
        "utcOffset": 0,
    });
    Ok(json_reply(StatusCode::OK, &body))
}
