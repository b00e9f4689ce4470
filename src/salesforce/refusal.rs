//! What an error body says, whatever its shape.
//!
//! Three shapes are documented: REST's array of objects, one such object, and
//! OAuth's object with `error`. Gateways add HTML pages and empty bodies. Of a
//! page only its title is taken; nothing is ever dumped.

use serde_json::Value;

/// What could be read out of an error body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// `errorCode`, `error` or `exceptionCode`.
    pub code: Option<String>,
    /// The text, on one line and bounded.
    pub message: Option<String>,
}

/// Characters of an org's message that are kept; the longest documented ones
/// (lists of field names) stay below.
const LONGEST_MESSAGE: usize = 600;
/// Characters of a page's title, or of a plain text, that are kept.
const LONGEST_TITLE: usize = 120;
/// Characters of a code that are kept.
const LONGEST_CODE: usize = 80;

/// Reads an error body.
pub(super) fn read(body: &[u8]) -> Refusal {
    if let Ok(json) = serde_json::from_slice::<Value>(body) {
        return from_json(&json).unwrap_or_default();
    }
    let text = String::from_utf8_lossy(body);
    let message = if looks_like_html(&text) {
        page(body)
    } else {
        text.lines().find(|line| !line.trim().is_empty()).map(|line| one_line(line, LONGEST_TITLE))
    };
    Refusal { code: None, message: message.filter(|text| !text.is_empty()) }
}

/// What a web page is called that stands where JSON should; none when it is no
/// page.
pub(super) fn page(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    looks_like_html(&text).then(|| title(&text).unwrap_or_else(|| "a web page".to_owned()))
}

fn from_json(json: &Value) -> Option<Refusal> {
    let object = match json {
        Value::Array(errors) => errors.first()?,
        other => other,
    };
    let text = |names: &[&str], longest| {
        names
            .iter()
            .find_map(|name| object.get(name)?.as_str())
            .map(|text| one_line(text, longest))
            .filter(|text| !text.is_empty())
    };
    Some(Refusal {
        code: text(&["errorCode", "error", "exceptionCode"], LONGEST_CODE),
        message: text(&["message", "error_description", "exceptionMessage"], LONGEST_MESSAGE),
    })
}

fn looks_like_html(text: &str) -> bool {
    text.trim_start().starts_with('<')
}

fn title(html: &str) -> Option<String> {
    let lower = html.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let open = start + lower.get(start..)?.find('>')? + 1;
    let end = open + lower.get(open..)?.find('<')?;
    let text = html.get(open..end)?;
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    Some(format!("a web page titled `{}`", one_line(line, LONGEST_TITLE)))
}

/// A text on one line without control characters (they could steer a
/// terminal), cut to a number of characters.
pub(super) fn one_line(text: &str, longest: usize) -> String {
    let mut out = String::new();
    for (count, character) in text.trim().chars().enumerate() {
        if count == longest {
            out.push('…');
            break;
        }
        out.push(if character.is_control() { ' ' } else { character });
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(body: &str) -> (Option<String>, Option<String>) {
        let refusal = read(body.as_bytes());
        (refusal.code, refusal.message)
    }

    #[test]
    fn every_shape_is_read() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            said(r#"[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]"#),
            (some("INVALID_SESSION_ID"), some("Session expired or invalid"))
        );
        assert_eq!(
            said(r#"{"error":"invalid_grant","error_description":"authentication failure"}"#),
            (some("invalid_grant"), some("authentication failure"))
        );
        assert_eq!(
            said(r#"{"exceptionCode":"InvalidSessionId","exceptionMessage":"gone"}"#),
            (some("InvalidSessionId"), some("gone"))
        );
        assert_eq!(said(""), (None, None));
        assert_eq!(said("[]"), (None, None));
        assert_eq!(
            said("<html><head><TITLE>\n Down for\u{7} maintenance\n</TITLE><body>secret stuff"),
            (None, some("a web page titled `Down for  maintenance`"))
        );
        assert_eq!(said("<html><body>no title here"), (None, some("a web page")));
        assert_eq!(said("upstream gone\nsecond line"), (None, some("upstream gone")));
    }

    proptest! {
        #[test]
        fn nothing_long_or_steering_ever_comes_out(body in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let refusal = read(&body);
            for text in [refusal.code, refusal.message].into_iter().flatten() {
                prop_assert!(text.chars().count() <= LONGEST_MESSAGE + 30);
                prop_assert!(!text.chars().any(char::is_control));
            }
        }

        #[test]
        fn any_title_is_read_without_trouble(title in "\\PC{0,200}", tail in "\\PC{0,50}") {
            let page = format!("<html><title>{title}</title>{tail}");
            let _ = read(page.as_bytes());
        }
    }
}
