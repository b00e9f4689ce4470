//! `application/x-www-form-urlencoded` text: bodies of token requests and
//! query strings.

/// Names and values; every one may be missing.
#[derive(Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads the text; what isn't escaped properly is taken as it stands.
    pub(crate) fn parse(bytes: &[u8]) -> Form {
        let pairs = bytes.split(|b| *b == b'&').filter(|pair| !pair.is_empty());
        Form(
            pairs
                .map(|pair| {
                    let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
                    let (name, value) = pair.split_at(at);
                    (unescaped(name), unescaped(value.get(1..).unwrap_or_default()))
                })
                .collect(),
        )
    }

    /// The first value of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// `+` is a blank, `%41` is `A`.
pub(crate) fn unescaped(bytes: &[u8]) -> String {
    let mut text = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = (byte == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, hex) {
            (_, Some(escaped)) => {
                text.push(escaped);
                at += 2;
            }
            (b'+', None) => text.push(b' '),
            (other, None) => text.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_browsers_write_them() {
        let form = Form::parse(b"a=1%2B2+3&b=%C3%A9&c&d=%zz");
        assert_eq!(form.get("a"), Some("1+2 3"));
        assert_eq!(form.get("b"), Some("é"));
        assert_eq!(form.get("c"), Some(""));
        assert_eq!(form.get("d"), Some("%zz"));
        assert_eq!(form.get("e"), None);
    }
}
