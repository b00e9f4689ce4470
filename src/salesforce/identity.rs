//! Which org this is, and which user (I11).
//!
//! The user comes from `userinfo`, the org's name and kind from its
//! Organization record. A user who may read neither still has an org id in
//! the token; only without any org id there is no connecting, since a run is
//! bound to it.

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::auth::Session;
use super::connection::{Call, Connection};
use super::encode;
use super::error::{CallError, Happened, Kind};
use super::org::resource;
use super::version::ApiVersion;
use crate::domain::RecordId;

/// Which org and which user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrgIdentity {
    /// 18-character id of the org; what a run is bound to.
    pub org_id: String,
    /// Name of the org; empty where the user may not read it.
    pub name: String,
    /// Instance URL at the time of connecting; not an identity.
    pub url: String,
    /// 18-character id of the user; empty where the org does not tell.
    pub user_id: String,
    /// Login name of the user; empty where the org does not tell.
    pub username: String,
    /// Whether it is to be treated as production. Where the org does not
    /// tell, its address decides, and in doubt it is production.
    pub production: bool,
    /// `Developer Edition`, `Enterprise Edition` and the like, where known.
    pub edition: Option<String>,
}

#[derive(Deserialize)]
struct UserInfo {
    user_id: Option<String>,
    organization_id: Option<String>,
    preferred_username: Option<String>,
}

#[derive(Deserialize)]
struct OrganizationReply {
    records: Vec<Organization>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Organization {
    id: Option<String>,
    name: Option<String>,
    is_sandbox: Option<bool>,
    #[serde(rename = "OrganizationType")]
    edition: Option<String>,
}

const SOQL: &str = "SELECT Id, Name, IsSandbox, OrganizationType FROM Organization";

pub(super) async fn read(
    connection: &Connection,
    version: ApiVersion,
) -> Result<OrgIdentity, CallError> {
    let path = resource(version, &format!("query?q={}", encode(SOQL)));
    let query = Call::get("ask which org this is", path);
    let reply: Option<OrganizationReply> = tolerate(connection.fetch(&query).await)?;
    let organization = reply.and_then(|reply| reply.records.into_iter().next());
    let info = Call::get("ask who the user is", "/services/oauth2/userinfo");
    let info: Option<UserInfo> = match tolerate(connection.fetch(&info).await) {
        // The query has shown that the session is good: this resource wants a
        // scope that the app doesn't have.
        Err(error) if error.is_login() => None,
        answer => answer?,
    };

    let session = connection.credentials.session();
    let (_, url_user) = ids_in(session.identity_url.as_deref().unwrap_or_default());
    let info_org = info.as_ref().and_then(|info| id(info.organization_id.as_deref()?));
    let record_org = organization.as_ref().and_then(|org| id(org.id.as_deref()?));
    let Some(org_id) = record_org.or(info_org).or_else(|| org_named_by(&session)) else {
        return Err(CallError::new("learn which org this is", Kind::Identity, Happened::Refused));
    };
    let user_id = info.as_ref().and_then(|info| id(info.user_id.as_deref()?)).or(url_user);
    let url = session.base.as_str().to_owned();
    let sandbox = organization
        .as_ref()
        .and_then(|org| org.is_sandbox)
        .unwrap_or_else(|| looks_like_sandbox(&url));
    let (name, edition) = organization.map_or((None, None), |org| (org.name, org.edition));
    Ok(OrgIdentity {
        org_id,
        name: name.unwrap_or_default(),
        url,
        user_id: user_id.unwrap_or_default(),
        username: info.and_then(|info| info.preferred_username).unwrap_or_default(),
        production: !sandbox,
        edition,
    })
}

/// A refusal for want of permission is no failure here; a refused login and a
/// lost connection are.
fn tolerate<T>(answer: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_login() || error.is_allowance() => Err(error),
        Err(error) if matches!(error.kind, Kind::Refused | Kind::Reply) => {
            tracing::debug!(error = %error, "not told");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The 18-character id of the org that a session itself names: in the token
/// before its `!`, or in the identity URL that came with it.
pub(super) fn org_named_by(session: &Session) -> Option<String> {
    let token = session.token.expose_secret();
    let named = token.split_once('!').and_then(|(org, _)| org_id(org));
    named.or_else(|| ids_in(session.identity_url.as_deref().unwrap_or_default()).0)
}

/// An id as the key prefix of orgs has it (`00D`), with 18 characters.
pub(super) fn org_id(text: &str) -> Option<String> {
    id(text).filter(|id| id.starts_with("00D"))
}

fn id(text: &str) -> Option<String> {
    RecordId::parse(text.as_bytes()).ok().map(|id| id.to_string())
}

/// Org and user of an identity URL, `…/id/<org id>/<user id>`.
fn ids_in(url: &str) -> (Option<String>, Option<String>) {
    let mut parts = url.trim_end_matches('/').rsplit('/');
    let user = parts.next().and_then(id);
    (parts.next().and_then(org_id), user)
}

/// My Domain addresses that production orgs never have ("My Domain URL
/// Formats", Salesforce Help).
fn looks_like_sandbox(url: &str) -> bool {
    [".sandbox.", ".scratch.", ".develop.", "://test.salesforce.com"]
        .iter()
        .any(|mark| url.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_url_names_org_and_user() {
        let (org, user) =
            ids_in("https://login.salesforce.com/id/00D7Q000001AbCdUAK/0057Q000002xYzQQAU");
        assert!(org.unwrap().starts_with("00D7Q000001AbCd"));
        assert!(user.unwrap().starts_with("0057Q000002xYzQ"));
        assert_eq!(ids_in(""), (None, None));
    }

    #[test]
    fn in_doubt_it_is_production() {
        assert!(looks_like_sandbox("https://acme--uat.sandbox.my.salesforce.com"));
        assert!(!looks_like_sandbox("https://acme.my.salesforce.com"));
        assert!(!looks_like_sandbox("https://sandbox-makers.my.salesforce.com"));
    }
}
