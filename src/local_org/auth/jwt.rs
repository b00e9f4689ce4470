//! The assertion of the JWT bearer flow (protocol notes, section 1.1; "OAuth
//! 2.0 JWT Bearer Flow for Server-to-Server Integration", Salesforce Help).

use serde::Deserialize;

use super::OauthError;
use super::base64;
use super::keys::KeyRing;

/// Audiences of the real service; an org takes its own URL too.
const AUDIENCES: [&str; 2] = ["https://login.salesforce.com", "https://test.salesforce.com"];

/// What a checked assertion says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assertion {
    /// Consumer key of the app.
    pub consumer: String,
    /// Username.
    pub username: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    /// The old name of `sub`; wins when both are there.
    prn: Option<String>,
    aud: Option<Audience>,
    exp: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Checks signature, audience and expiry. `own_url` is this org's address,
/// `now` milliseconds since 1970, `most` the seconds it may be good for.
///
/// A huge `exp` passes: the official CLI sends milliseconds where seconds are
/// meant, and the service takes it.
pub(super) fn check(
    assertion: &str,
    keys: &KeyRing,
    own_url: &str,
    now: i64,
    most: Option<u64>,
) -> Result<Assertion, OauthError> {
    let invalid = || OauthError::new("invalid_grant", "invalid assertion");
    let (signed, signature) = assertion.rsplit_once('.').ok_or_else(invalid)?;
    let (header, claims) = signed.split_once('.').ok_or_else(invalid)?;
    let part = |text: &str| base64::decode(text.as_bytes()).ok_or_else(invalid);
    let header: Header = serde_json::from_slice(&part(header)?).map_err(|_| invalid())?;
    if header.alg != "RS256" {
        return Err(OauthError::new("invalid_grant", "unsupported algorithm in assertion"));
    }
    if !keys.verifies(signed.as_bytes(), &part(signature)?) {
        return Err(invalid());
    }
    let claims: Claims = serde_json::from_slice(&part(claims)?).map_err(|_| invalid())?;
    let audiences = match claims.aud {
        Some(Audience::One(one)) => vec![one],
        Some(Audience::Several(several)) => several,
        None => Vec::new(),
    };
    if !audiences.iter().any(|audience| known_audience(audience, own_url)) {
        return Err(OauthError::new("invalid_grant", "audience is invalid"));
    }
    match claims.exp {
        Some(expiry) if expiry * 1000.0 > now as f64 => {
            // A second for the rounding of the client's clock.
            let left = expiry - now as f64 / 1000.0;
            if most.is_some_and(|most| left > most as f64 + 1.0) {
                return Err(OauthError::new("invalid_grant", "assertion is good for too long"));
            }
        }
        Some(_) => return Err(OauthError::new("invalid_grant", "assertion has expired")),
        None => return Err(invalid()),
    }
    Ok(Assertion {
        consumer: claims.iss.ok_or_else(invalid)?,
        username: claims.prn.or(claims.sub).ok_or_else(invalid)?,
    })
}

fn known_audience(audience: &str, own_url: &str) -> bool {
    let bare = audience.trim_end_matches('/');
    let bare = bare.strip_suffix("/services/oauth2/token").unwrap_or(bare);
    AUDIENCES.iter().copied().chain([own_url]).any(|known| bare.eq_ignore_ascii_case(known))
}

#[cfg(test)]
pub(crate) mod tests {
    use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
    use serde_json::{Value as Json, json};

    use super::*;

    const OWN: &str = "http://127.0.0.1:1234";
    const NOW: i64 = 1_767_225_600_000;

    /// Signs claims with the fixture's private key.
    pub(crate) fn sign(header: &Json, claims: &Json) -> String {
        let pem = include_str!("../../../fixtures/local-org/jwt-private.pem");
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let pair = RsaKeyPair::from_pkcs8(&base64::decode(body.as_bytes()).unwrap()).unwrap();
        let part = |json: &Json| base64::encode_url(json.to_string().as_bytes());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(
            &RSA_PKCS1_SHA256,
            &ring::rand::SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )
        .unwrap();
        format!("{signed}.{}", base64::encode_url(&signature))
    }

    fn keys() -> KeyRing {
        let mut keys = KeyRing::default();
        keys.add(include_bytes!("../../../fixtures/local-org/jwt.crt"), "jwt.crt").unwrap();
        keys
    }

    fn checked(claims: &Json) -> Result<Assertion, OauthError> {
        check(&sign(&json!({"alg":"RS256"}), claims), &keys(), OWN, NOW, None)
    }

    #[test]
    fn a_signed_assertion_names_app_and_user() {
        let claims = json!({"iss":"key","sub":"a@b","aud":"https://login.salesforce.com","exp":NOW/1000+300});
        let expected = Assertion { consumer: "key".to_owned(), username: "a@b".to_owned() };
        assert_eq!(checked(&claims).unwrap(), expected);
        let old = json!({"iss":"key","sub":"x@y","prn":"a@b","aud":[OWN],"exp":NOW+300_000});
        assert_eq!(checked(&old).unwrap(), expected);
        let token_url = format!("{OWN}/services/oauth2/token");
        assert!(checked(&json!({"iss":"k","sub":"a","aud":token_url,"exp":NOW})).is_ok());
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let says = |claims: Json| checked(&claims).unwrap_err().description;
        let aud = "https://test.salesforce.com/";
        assert_eq!(
            says(json!({"iss":"k","sub":"a","aud":aud,"exp":NOW/1000-1})),
            "assertion has expired"
        );
        assert_eq!(
            says(json!({"iss":"k","sub":"a","aud":"https://evil.test","exp":NOW})),
            "audience is invalid"
        );
        assert_eq!(says(json!({"iss":"k","aud":aud,"exp":NOW})), "invalid assertion");
        assert_eq!(says(json!({"iss":"k","sub":"a","aud":aud})), "invalid assertion");
    }

    #[test]
    fn an_assertion_may_be_good_for_so_long_only_where_that_is_set() {
        let good_for = |seconds: i64, most| {
            let exp = NOW / 1000 + seconds;
            let claims = json!({"iss":"k","sub":"a","aud":OWN,"exp":exp});
            check(&sign(&json!({"alg":"RS256"}), &claims), &keys(), OWN, NOW, most).is_ok()
        };
        assert!(good_for(180, Some(180)) && good_for(1_000_000, None));
        assert!(!good_for(190, Some(180)));
    }

    #[test]
    fn a_changed_or_foreign_assertion_is_refused() {
        let claims = json!({"iss":"k","sub":"a","aud":OWN,"exp":NOW});
        let good = sign(&json!({"alg":"RS256"}), &claims);
        assert!(check(&good, &KeyRing::default(), OWN, NOW, None).is_err());
        let other = base64::encode_url(
            json!({"iss":"k","sub":"root","aud":OWN,"exp":NOW}).to_string().as_bytes(),
        );
        let parts: Vec<&str> = good.split('.').collect();
        let forged = format!("{}.{other}.{}", parts[0], parts[2]);
        assert!(check(&forged, &keys(), OWN, NOW, None).is_err());
        let none = sign(&json!({"alg":"none"}), &claims);
        assert!(check(&none, &keys(), OWN, NOW, None).is_err());
        assert!(check("a.b", &keys(), OWN, NOW, None).is_err());
    }
}
