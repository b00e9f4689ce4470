//! The signed assertion of a JWT login.
//!
//! Source: "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration",
//! Salesforce Help: RS256; `iss` the consumer key, `sub` the login name, `aud`
//! the login host of the org's kind, `exp` within three minutes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde_json::json;

use super::private_key::JwtKey;
use super::transport::BaseUrl;

/// How long an assertion is good. The help says three minutes at most; less,
/// so that a clock that is fast by some seconds does no harm.
const SECONDS: i64 = 150;

/// The `grant_type` of the flow (RFC 7523).
pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Whom an assertion is for, by the login URL: production and sandboxes have
/// one login host each, also where the request goes to a My Domain. Any other
/// host (an Experience Cloud site, a local org) answers for itself.
pub(super) fn audience(login: &BaseUrl) -> String {
    let origin = login.as_str();
    let host = origin.trim_start_matches("https://");
    let sandbox = host == "test.salesforce.com"
        || [".sandbox.my.salesforce.com", ".scratch.my.salesforce.com"]
            .iter()
            .any(|end| host.ends_with(end))
        // Before enhanced domains: acme--uat.my.salesforce.com.
        || (host.ends_with(".my.salesforce.com") && host.contains("--"))
        || (host.starts_with("cs") && host.ends_with(".salesforce.com") && is_instance(host));
    if sandbox {
        "https://test.salesforce.com".to_owned()
    } else if host.ends_with(".salesforce.com") {
        "https://login.salesforce.com".to_owned()
    } else {
        origin.to_owned()
    }
}

/// Whether a host is named for a sandbox instance: `cs42`.
fn is_instance(host: &str) -> bool {
    let digits = host.trim_start_matches("cs").split('.').next().unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Signs an assertion at a time, given in seconds since 1970. None only when
/// the system has no random numbers.
pub(super) fn sign(
    key: &JwtKey,
    consumer: &str,
    username: &str,
    audience: &str,
    now: i64,
) -> Option<SecretString> {
    let claims = json!({"iss": consumer, "sub": username, "aud": audience, "exp": now + SECONDS});
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", part(r#"{"alg":"RS256"}"#), part(&claims.to_string()));
    let signature = key.sign(signed.as_bytes())?;
    Some(SecretString::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audience_is_the_login_host_of_the_orgs_kind() {
        let production = "https://login.salesforce.com";
        let sandbox = "https://test.salesforce.com";
        for (url, expected) in [
            ("https://login.salesforce.com", production),
            ("https://acme.my.salesforce.com", production),
            ("https://acme-dev-ed.develop.my.salesforce.com", production),
            ("https://csharp.my.salesforce.com", production),
            ("https://test.salesforce.com", sandbox),
            ("https://acme--uat.sandbox.my.salesforce.com", sandbox),
            ("https://acme--uat.my.salesforce.com", sandbox),
            ("https://fun-fox-1234-dev-ed.scratch.my.salesforce.com", sandbox),
            ("https://cs42.salesforce.com", sandbox),
            ("https://customers.acme.example", "https://customers.acme.example"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(audience(&BaseUrl::parse(url).unwrap()), expected, "{url}");
        }
    }
}
