//! SOQL text to words ("SOQL Reserved Characters" and "Quoted String Escape
//! Sequences", SOQL and SOSL reference).

use super::SoqlError;

/// What a word is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// A name, keyword, number, date or date literal: everything unquoted
    /// that isn't a sign. `LAST_N_DAYS:7` is one word.
    Word(String),
    /// Text in single quotes, escapes resolved.
    Text(String),
    /// A sign: `( ) , . = != <> < <= > >=`
    Sign(&'static str),
    /// The end of the text.
    End,
}

impl Token {
    /// As an error shows it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Token::Word(word) => word.clone(),
            Token::Text(text) => text.clone(),
            Token::Sign(sign) => (*sign).to_owned(),
            Token::End => "<EOF>".to_owned(),
        }
    }

    /// Is this keyword, in whatever letter case.
    pub(crate) fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
}

/// A word and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spot {
    /// The word.
    pub token: Token,
    /// Byte offset.
    pub at: usize,
}

const SIGNS: [&str; 11] = ["!=", "<>", "<=", ">=", "(", ")", ",", ".", "=", "<", ">"];

/// Cuts a query into words; the last is always [`Token::End`].
///
/// # Errors
/// A quote that isn't closed, an unknown escape, a character that has no
/// place in SOQL.
pub(crate) fn words(text: &str) -> Result<Vec<Spot>, SoqlError> {
    let mut spots = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let Some(first) = rest.chars().next() else { break };
        if first.is_whitespace() {
            at += first.len_utf8();
        } else if first == '\'' {
            let (value, length) = quoted(text, at)?;
            spots.push(Spot { token: Token::Text(value), at });
            at += length;
        } else if let Some(length) = word_length(rest) {
            let word = rest.get(..length).unwrap_or_default().to_owned();
            spots.push(Spot { token: Token::Word(word), at });
            at += length;
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            spots.push(Spot { token: Token::Sign(sign), at });
            at += sign.len();
        } else {
            return Err(SoqlError::unexpected(text, at, &first.to_string()));
        }
    }
    spots.push(Spot { token: Token::End, at: text.len() });
    Ok(spots)
}

/// The length of the name or bare value at the start, if there is one.
fn word_length(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let first = *bytes.first()?;
    let signed =
        matches!(first, b'+' | b'-' | b'.') && bytes.get(1).is_some_and(u8::is_ascii_digit);
    if first.is_ascii_digit() || signed {
        // A number (1.5E-7), day or instant (2026-01-31T10:00:00.000+01:00).
        let length = bytes
            .iter()
            .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'+' | b'-')))
            .unwrap_or(bytes.len());
        return Some(length);
    }
    if !(first.is_ascii_alphabetic() || first == b'_') {
        return None;
    }
    let name = bytes
        .iter()
        .position(|b| !(b.is_ascii_alphanumeric() || *b == b'_'))
        .unwrap_or(bytes.len());
    // LAST_N_DAYS:7
    let number = bytes
        .get(name + 1..)
        .map_or(0, |after| after.iter().position(|b| !b.is_ascii_digit()).unwrap_or(after.len()));
    Some(if bytes.get(name) == Some(&b':') && number > 0 { name + 1 + number } else { name })
}

/// The quoted text at `at` with its escapes resolved, and its length in the
/// query.
fn quoted(text: &str, at: usize) -> Result<(String, usize), SoqlError> {
    let rest = text.get(at + 1..).unwrap_or_default();
    let mut value = String::new();
    let mut chars = rest.char_indices();
    while let Some((offset, c)) = chars.next() {
        match c {
            '\'' => return Ok((value, offset + 2)),
            '\\' => {
                let Some((_, escape)) = chars.next() else { break };
                match escape {
                    'n' | 'N' => value.push('\n'),
                    'r' | 'R' => value.push('\r'),
                    't' | 'T' => value.push('\t'),
                    'b' | 'B' => value.push('\u{8}'),
                    'f' | 'F' => value.push('\u{c}'),
                    '"' | '\'' | '\\' => value.push(escape),
                    // Kept for LIKE, which tells `\_` from `_`.
                    '_' | '%' => {
                        value.push('\\');
                        value.push(escape);
                    }
                    'u' => {
                        let digits = rest.get(offset + 2..offset + 6).unwrap_or_default();
                        let Some(c) = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)
                        else {
                            return Err(SoqlError::malformed(
                                text,
                                at + 1 + offset,
                                "Illegal unicode escape",
                            ));
                        };
                        value.push(c);
                        for _ in 0..4 {
                            chars.next();
                        }
                    }
                    other => {
                        return Err(SoqlError::malformed(
                            text,
                            at + 1 + offset,
                            &format!(
                                "Invalid string literal '\\{other}'. Illegal character sequence '\\{other}' in string literal"
                            ),
                        ));
                    }
                }
            }
            other => value.push(other),
        }
    }
    Err(SoqlError::malformed(text, at, "line 1:0 mismatched character '<EOF>' expecting '''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        words(text).unwrap().into_iter().map(|spot| spot.token).collect()
    }

    #[test]
    fn names_dots_signs_and_values_are_told_apart() {
        let word = |text: &str| Token::Word(text.to_owned());
        assert_eq!(
            tokens("a.b__c>=-1.5E7 AND x<>LAST_N_DAYS:7"),
            [
                word("a"),
                Token::Sign("."),
                word("b__c"),
                Token::Sign(">="),
                word("-1.5E7"),
                word("AND"),
                word("x"),
                Token::Sign("<>"),
                word("LAST_N_DAYS:7"),
                Token::End
            ]
        );
        assert_eq!(tokens("2026-01-31T10:00:00+01:00)")[1], Token::Sign(")"));
    }

    #[test]
    fn escapes_are_resolved_and_an_open_quote_is_refused() {
        assert_eq!(
            tokens(r"'O\'Neil \n \\ \u00e9 ü'")[0],
            Token::Text("O'Neil \n \\ é ü".to_owned())
        );
        assert!(words("Name = 'abc").is_err());
        assert!(words(r"'\q'").is_err());
        assert!(words(r"'\u12'").is_err());
        assert!(words("a ; b").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_survives_quoting(value in "\\PC{0,40}") {
            let quoted = format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
            proptest::prop_assert_eq!(&tokens(&quoted)[0], &Token::Text(value));
        }

        #[test]
        fn no_text_breaks_the_lexer(text in "\\PC{0,60}") {
            let _ = words(&text);
        }
    }
}
