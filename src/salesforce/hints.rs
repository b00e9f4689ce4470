//! What a person can do about a failed call.
//!
//! The words of the OAuth endpoints ("OAuth 2.0 Errors" and the troubleshooting
//! pages of each flow, Salesforce Help) mean different things by flow, so a
//! login is looked at by the flow that failed.

use super::error::{CallError, Kind, RENEW};

impl CallError {
    /// What a person can do about it, as a full sentence.
    pub fn hint(&self) -> Option<String> {
        if let Some(advice) = self.advice.or_else(|| login_hint(self)) {
            return Some(advice.to_owned());
        }
        let code = self.code.as_deref().unwrap_or_default();
        let text = match (self.kind, code) {
            (_, "INVALID_SESSION_ID" | "INVALID_AUTH_HEADER" | "InvalidSessionId") => {
                "The access token is not valid (any more). Get a new one, or use a login that \
                 bulkhaul can renew by itself: client credentials, a refresh token, a JWT key \
                 or sf:ALIAS."
            }
            (_, "API_DISABLED_FOR_ORG") => "This org or this user's profile has no API access.",
            (_, "FEATURENOTENABLED") => {
                "The user lacks a permission; hardDelete needs `Bulk API Hard Delete`, which is \
                 off by default."
            }
            (_, "INVALIDENTITY") => "This object can't be loaded with Bulk API 2.0.",
            (_, "MALFORMED_QUERY" | "INVALID_FIELD" | "INVALID_TYPE") => {
                "`bulkhaul describe OBJECT` lists the fields this user may see, in exact spelling."
            }
            _ if self.is_too_many_at_once() => {
                "Too many long-running calls at once; use fewer lanes (--parallel)."
            }
            _ if self.is_allowance() => {
                "The org's allowance for the last 24 hours is used up. `bulkhaul limits` shows \
                 what is left; it comes back as the window moves on."
            }
            (Kind::Address, _) => {
                "Use the https address of the org (its My Domain); plain http is for a local org \
                 on this machine alone."
            }
            (Kind::Connect, _) => {
                "Check the address and the network (a proxy goes into HTTPS_PROXY)."
            }
            (Kind::HostName, _) => {
                "Check how the address is spelled and the network; behind a proxy name it in \
                 HTTPS_PROXY. Sandboxes are at NAME--SANDBOX.sandbox.my.salesforce.com."
            }
            (Kind::Proxy, _) => "Check the proxy that HTTPS_PROXY names.",
            (Kind::Tls, _) => {
                "Check the address, this machine's clock and its CA certificates; behind a \
                 firewall that breaks up connections, name its CA certificate in BULKHAUL_CA_FILE."
            }
            (Kind::Stalled | Kind::Broken, _) => "Check the network; the org may be busy.",
            (Kind::Version, _) => "Leave out --api-version, or name one that both sides know.",
            (Kind::Login, _) => "Check the login; docs/logins.md says what each kind needs.",
            (Kind::Identity, _) if self.call == RENEW => {
                "A run belongs to one org, and nothing is sent to another. Let the login lead to \
                 the org it began with again, then `bulkhaul resume`. A sandbox that was \
                 refreshed is a new org."
            }
            (Kind::Identity, _) => {
                "Let the user read the Organization object, or let the app have the `id` scope."
            }
            (Kind::Refused, _) => match self.status {
                Some(401) => "The login was refused. Log in again.",
                Some(403) => "The user lacks a permission for this.",
                Some(404) => "Check the name; things the user may not see look absent.",
                Some(410) => "The API version is retired. Use a newer one.",
                Some(414 | 431) => "The query is too long for a URL.",
                Some(300..=399) => {
                    "The org has another address now. Use its My Domain as it is today."
                }
                Some(420) => "The org seems to be expired, locked or deleted.",
                Some(500..=599) => {
                    "Salesforce has trouble; status.salesforce.com tells more. Try again later."
                }
                _ => return None,
            },
            (Kind::Reply, _) if self.call.starts_with("log in") => {
                "No Salesforce org answers at this login URL. It is https://login.salesforce.com, \
                 https://test.salesforce.com or the org's My Domain; a proxy or a sign-on page \
                 may stand between."
            }
            (Kind::Reply, _) => {
                "Something between here and the org answers in its place: a proxy, a login page, \
                 a wrong address?"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// The words of a refused login, in small letters.
struct Said<'a> {
    code: &'a str,
    text: String,
}

impl Said<'_> {
    fn says(&self, part: &str) -> bool {
        self.text.contains(part)
    }
}

/// What to do about a login that the org declined, by its flow.
fn login_hint(error: &CallError) -> Option<&'static str> {
    if error.kind != Kind::Login {
        return None;
    }
    let said = Said {
        code: error.code.as_deref()?,
        text: error.message.as_deref().unwrap_or_default().to_ascii_lowercase(),
    };
    let of_flow = match error.call {
        "log in with the JWT" => jwt(&said),
        "log in with the refresh token" => refresh(&said),
        "log in with the client secret" => client_credentials(&said),
        _ => None,
    };
    of_flow.or_else(|| any_flow(&said))
}

fn jwt(said: &Said<'_>) -> Option<&'static str> {
    Some(match said.code {
        "invalid_app_access" => NOT_APPROVED,
        "invalid_grant" if said.says("approved") => NOT_APPROVED,
        "invalid_grant" if said.says("audience") => {
            "A sandbox wants the audience https://test.salesforce.com, production \
             https://login.salesforce.com. Check BULKHAUL_LOGIN_URL, or set BULKHAUL_JWT_AUDIENCE."
        }
        "invalid_grant" if said.says("expired") => {
            "An assertion is good for some minutes only: set this machine's clock."
        }
        "invalid_grant" if said.says("assertion") || said.says("authentication failure") => {
            "The org can't check the signature, or has no such user: upload the certificate that \
             belongs to BULKHAUL_JWT_KEY_FILE to the app (Use digital signatures), and check \
             BULKHAUL_USERNAME and that BULKHAUL_LOGIN_URL leads to the org of both."
        }
        "invalid_request" if said.says("scope") => {
            "The app needs the scopes `api` and `refresh_token, offline_access` for this flow."
        }
        _ => return None,
    })
}

const NOT_APPROVED: &str = "The user is not approved for the app, or there is no such user: check \
    BULKHAUL_USERNAME; in the app's policies choose \"Admin approved users are pre-authorized\" \
    and give the app to the user's profile or permission set.";

fn refresh(said: &Said<'_>) -> Option<&'static str> {
    Some(match said.code {
        "invalid_grant" => {
            "The refresh token is not good any more: it was revoked, it ran out by the app's \
             policy, or a later one took its place (rotation). Log in anew and use the new one."
        }
        "unsupported_grant_type" => {
            "Allow the refresh token flow in the app, or use another login."
        }
        _ => return None,
    })
}

fn client_credentials(said: &Said<'_>) -> Option<&'static str> {
    Some(match said.code {
        "invalid_grant" if said.says("client credentials user") => {
            "Enable the client credentials flow in the app's policies and choose a Run As user."
        }
        "invalid_grant" | "unsupported_grant_type" | "invalid_request" => {
            "This flow wants the org's My Domain as the login URL \
             (https://NAME.my.salesforce.com), the client credentials flow enabled in the app, \
             and an active Run As user."
        }
        _ => return None,
    })
}

fn any_flow(said: &Said<'_>) -> Option<&'static str> {
    Some(match said.code {
        "invalid_client" | "invalid_client_credentials" => {
            "The client secret is not that of this app: check BULKHAUL_CLIENT_SECRET, and that it \
             was not changed in the app."
        }
        "invalid_client_id" => {
            "The org knows no such app: check BULKHAUL_CLIENT_ID (the consumer key) and that \
             BULKHAUL_LOGIN_URL leads to the org that has it. A new app is known everywhere after \
             ten minutes."
        }
        "inactive_user" => "The user is inactive or locked in this org.",
        "inactive_org" => "The org is closed, locked or being moved.",
        "invalid_grant" if said.says("ip restricted") || said.says("login hours") => {
            "The app or the user's profile allows logins from certain addresses or at certain \
             hours only."
        }
        "invalid_grant" => {
            "The org knows the app but not this grant: check user, app and login URL; the login \
             history in Setup says why."
        }
        "unsupported_grant_type" | "invalid_request" => {
            "Use the org's My Domain as the login URL (https://NAME.my.salesforce.com) and check \
             which flows the app allows."
        }
        "rate_limit_exceeded" => {
            "Too many logins in a short time. Wait, and let fewer processes log in."
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::error::Happened;
    use super::*;

    fn hint(call: &'static str, code: &str, text: &str) -> String {
        let error = CallError::new(call, Kind::Login, Happened::Refused).code(code).message(text);
        error.hint().unwrap()
    }

    #[test]
    fn the_same_word_means_another_thing_by_flow() {
        let jwt = "log in with the JWT";
        let grant = "invalid_grant";
        for (call, code, text, part) in [
            (jwt, grant, "user hasn't approved this consumer", "pre-authorized"),
            (jwt, "invalid_app_access", "user is not admin approved", "pre-authorized"),
            (jwt, grant, "audience is invalid", "BULKHAUL_JWT_AUDIENCE"),
            (jwt, grant, "assertion has expired", "clock"),
            (jwt, grant, "invalid assertion", "certificate"),
            (jwt, "invalid_request", "refresh_token scope is required", "offline_access"),
            (jwt, "invalid_client_id", "client identifier invalid", "ten minutes"),
            (jwt, "inactive_user", "user is inactive", "inactive"),
            ("log in with the refresh token", grant, "expired access/refresh token", "revoked"),
            (
                "log in with the client secret",
                grant,
                "no client credentials user enabled",
                "Run As",
            ),
            ("log in with the client secret", grant, "not supported on this domain", "My Domain"),
            ("log in with the client secret", "invalid_client", "", "BULKHAUL_CLIENT_SECRET"),
            ("log in with the browser", grant, "ip restricted", "addresses"),
        ] {
            let hint = hint(call, code, text);
            assert!(hint.contains(part), "{call} {code} {text}: {hint}");
        }
        assert!(hint(jwt, "something_new", "").contains("docs/logins.md"));
    }
}
