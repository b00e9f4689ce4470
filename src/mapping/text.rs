//! Text functions. They work on a [`Text`], whose room is used again for every
//! value, so that no value costs an allocation and few a copy.

use memchr::{memchr, memchr2};

use super::recipe::Case;

/// A value in the making. It stays where it lies, in the row, a table or the
/// recipe, until a step changes it; then it is written into room of its own.
#[derive(Debug, Default)]
pub(super) struct Text<'v> {
    /// The value, as long as it lies elsewhere.
    lent: Option<&'v str>,
    /// Else it is here, from this place on.
    now: String,
    from: usize,
    next: String,
}

impl<'v> Text<'v> {
    /// Takes room that is given back by [`Text::leave`].
    pub(super) fn within((now, next): (String, String)) -> Self {
        Text { lent: Some(""), now, from: 0, next }
    }

    /// The value if it lies elsewhere, else where it begins in the first room;
    /// and the rooms.
    pub(super) fn leave(self) -> (Result<&'v str, usize>, (String, String)) {
        (self.lent.ok_or(self.from), (self.now, self.next))
    }

    pub(super) fn as_str(&self) -> &str {
        self.lent.unwrap_or_else(|| self.now.get(self.from..).unwrap_or_default())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lent.map_or(self.now.len() == self.from, str::is_empty)
    }

    pub(super) fn clear(&mut self) {
        self.lent = Some("");
    }

    /// Has the value be one that lies elsewhere.
    pub(super) fn lend(&mut self, text: &'v str) {
        self.lent = Some(text);
    }

    /// Empty room to write the value into.
    pub(super) fn fresh(&mut self) -> &mut String {
        self.lent = None;
        self.from = 0;
        self.now.clear();
        &mut self.now
    }

    pub(super) fn set(&mut self, text: &str) {
        self.fresh().push_str(text);
    }

    /// The value in room of its own, where its bytes may be changed.
    fn own(&mut self) -> &mut str {
        if let Some(text) = self.lent {
            self.set(text);
        }
        self.now.get_mut(self.from..).unwrap_or_default()
    }

    /// Cuts it down to a part of itself.
    pub(super) fn keep(&mut self, part: std::ops::Range<usize>) {
        match &mut self.lent {
            Some(text) => *text = text.get(part).unwrap_or_default(),
            None => {
                self.now.truncate(self.from + part.end);
                self.from += part.start.min(part.end);
            }
        }
    }

    /// Makes the next form of the value by writing it.
    pub(super) fn write<E>(
        &mut self,
        write: impl FnOnce(&str, &mut String) -> Result<(), E>,
    ) -> Result<(), E> {
        self.next.clear();
        let now = self.lent.unwrap_or_else(|| self.now.get(self.from..).unwrap_or_default());
        write(now, &mut self.next)?;
        std::mem::swap(&mut self.now, &mut self.next);
        self.lent = None;
        self.from = 0;
        Ok(())
    }

    /// The same, where nothing can go wrong.
    pub(super) fn rewrite(&mut self, write: impl FnOnce(&str, &mut String)) {
        let written: Result<(), std::convert::Infallible> = self.write(|now, next| {
            write(now, next);
            Ok(())
        });
        let Ok(()) = written;
    }
}

/// Whether a text may have blanks at its ends; most values have none.
fn may_have_outer_blanks(text: &str) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(|&byte| byte <= b' ' || byte >= 0x80);
    is_edge(text.as_bytes().first()) || is_edge(text.as_bytes().last())
}

/// A text without blanks at its ends.
pub(super) fn trimmed_text(text: &str) -> &str {
    if may_have_outer_blanks(text) { text.trim() } else { text }
}

/// The part of a text that is left without blanks at its ends.
fn trimmed(text: &str) -> std::ops::Range<usize> {
    let start = text.len() - text.trim_start().len();
    start..start + text.trim().len()
}

/// Removes blanks at both ends.
pub(super) fn trim(text: &mut Text<'_>) {
    if may_have_outer_blanks(text.as_str()) {
        let part = trimmed(text.as_str());
        text.keep(part);
    }
}

/// Makes every run of blanks one, those at the ends none.
pub(super) fn collapse(text: &mut Text<'_>) {
    let is_fine = {
        let bytes = text.as_str().as_bytes();
        bytes.is_ascii()
            && !bytes.starts_with(b" ")
            && !bytes.ends_with(b" ")
            && !bytes.windows(2).any(|pair| pair == b"  ")
            && !bytes.iter().any(|&byte| byte < b' ')
    };
    if is_fine {
        return;
    }
    text.rewrite(|now, next| {
        for (at, word) in now.split_whitespace().enumerate() {
            if at > 0 {
                next.push(' ');
            }
            next.push_str(word);
        }
    });
}

/// Whether a character is one that no text wants: control characters but tab
/// and line ends, those of no width, the byte order mark.
fn is_unwanted(letter: char) -> bool {
    (letter.is_control() && !matches!(letter, '\t' | '\n' | '\r'))
        || matches!(letter, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}')
}

/// Removes control characters.
pub(super) fn strip_control(text: &mut Text<'_>) {
    // Plain text is known without looking at its characters.
    let is_plain =
        |part: &[u8]| part.iter().fold(true, |plain, byte| plain & (b' '..0x7F).contains(byte));
    if text.as_str().as_bytes().chunks(32).all(is_plain) {
        return;
    }
    if text.as_str().contains(is_unwanted) {
        text.rewrite(|now, next| next.extend(now.chars().filter(|letter| !is_unwanted(*letter))));
    }
}

/// Makes HTML plain text: tags go, line-breaking ones leave a line end, and
/// entities become their characters. What only looks like a tag stays: `a < b`.
pub(super) fn strip_html(text: &mut Text<'_>) {
    if memchr2(b'<', b'&', text.as_str().as_bytes()).is_none() {
        return;
    }
    text.rewrite(|now, next| {
        let mut rest = now;
        while let Some(at) = memchr2(b'<', b'&', rest.as_bytes()) {
            next.push_str(&rest[..at]);
            rest = &rest[at..];
            let taken = if rest.starts_with('<') { tag(rest, next) } else { entity(rest, next) };
            if taken == 0 {
                next.push_str(&rest[..1]);
                rest = &rest[1..];
            } else {
                rest = &rest[taken..];
            }
        }
        next.push_str(rest);
    });
}

/// Bytes of the tag a text begins with; 0 if it is none.
fn tag(text: &str, out: &mut String) -> usize {
    if let Some(rest) = text.strip_prefix("<!--") {
        return rest.find("-->").map_or(0, |end| end + 7);
    }
    let body = text[1..].strip_prefix('/').unwrap_or(&text[1..]);
    if !body.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        return 0;
    }
    let name_end = body.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(body.len());
    let name = &body[..name_end];
    // A quoted attribute may hold `>`.
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match (quote, byte) {
            (None, b'>') => {
                let is = |names: &[&str]| names.iter().any(|tag| name.eq_ignore_ascii_case(tag));
                let is_end = text.starts_with("</");
                let breaks = is(&["br"])
                    || (is_end
                        && is(&["p", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6"]));
                if breaks {
                    out.push('\n');
                }
                if !is_end && is(&["script", "style"]) {
                    let close = format!("</{}", name.to_ascii_lowercase());
                    let rest = text[at + 1..].to_ascii_lowercase();
                    return rest.find(&close).map_or(text.len(), |end| at + 1 + end);
                }
                return at + 1;
            }
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    0
}

/// Bytes of the entity a text begins with; 0 if it is none.
fn entity(text: &str, out: &mut String) -> usize {
    let Some(end) = text.bytes().take(12).position(|byte| byte == b';') else { return 0 };
    let name = &text[1..end];
    let letter = if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        code.ok().and_then(char::from_u32)
    } else {
        NAMED.iter().find(|(known, _)| *known == name).map(|(_, letter)| *letter)
    };
    match letter {
        Some(letter) => {
            out.push(letter);
            end + 1
        }
        None => 0,
    }
}

/// Named entities that exports of texts in western languages have.
const NAMED: &[(&str, char)] = &[
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{A0}'),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("euro", '€'),
    ("pound", '£'),
    ("yen", '¥'),
    ("cent", '¢'),
    ("sect", '§'),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("deg", '°'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("hellip", '…'),
    ("bull", '•'),
    ("middot", '·'),
    ("laquo", '«'),
    ("raquo", '»'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("bdquo", '„'),
    ("eacute", 'é'),
    ("egrave", 'è'),
    ("ecirc", 'ê'),
    ("agrave", 'à'),
    ("acirc", 'â'),
    ("ccedil", 'ç'),
    ("ocirc", 'ô'),
    ("icirc", 'î'),
    ("ugrave", 'ù'),
    ("ucirc", 'û'),
    ("ntilde", 'ñ'),
    ("aring", 'å'),
    ("Aring", 'Å'),
    ("aelig", 'æ'),
    ("oslash", 'ø'),
];

/// Takes `length` characters from the `start`th on.
pub(super) fn substring(text: &mut Text<'_>, start: i32, length: Option<u32>) {
    let now = text.as_str();
    let skipped = match usize::try_from(start) {
        Ok(start) => start.saturating_sub(1),
        Err(_) => now.chars().count().saturating_sub(start.unsigned_abs() as usize),
    };
    let from = nth(now, skipped);
    let to = length.map_or(now.len(), |length| from + nth(&now[from..], length as usize));
    text.keep(from..to);
}

/// Where the character of this place (from 0) begins, or the end.
fn nth(text: &str, place: usize) -> usize {
    if text.is_ascii() {
        return place.min(text.len());
    }
    text.char_indices().nth(place).map_or(text.len(), |(at, _)| at)
}

/// Cuts to so many characters; whether anything was cut.
pub(super) fn truncate(text: &mut Text<'_>, chars: u32) -> bool {
    let now = text.as_str();
    if now.len() <= chars as usize {
        return false;
    }
    let end = nth(now, chars as usize);
    let cuts = end < now.len();
    if cuts {
        text.keep(0..end);
    }
    cuts
}

/// Takes one of the pieces between separators, trimmed; empty ones don't count.
pub(super) fn piece(text: &mut Text<'_>, split: &str, piece: i32) {
    let back = (piece.unsigned_abs() as usize).saturating_sub(1);
    text.rewrite(|now, next| {
        let mut found = pieces(now, split);
        let found = if piece < 0 {
            found.collect::<Vec<_>>().into_iter().rev().nth(back)
        } else {
            found.nth(back)
        };
        next.push_str(found.unwrap_or_default());
    });
}

/// The pieces between separators, trimmed, empty ones left out.
pub(super) fn pieces<'a>(text: &'a str, split: &'a str) -> impl Iterator<Item = &'a str> {
    // Looking for a text takes a preparation that few cells are worth.
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let now = rest?;
        let found = match split.as_bytes() {
            [byte] => memchr(*byte, now.as_bytes()),
            _ => now.find(split),
        };
        let (piece, behind) = match found {
            Some(at) => (now.get(..at)?, now.get(at + split.len()..)),
            None => (now, None),
        };
        rest = behind;
        Some(trimmed_text(piece))
    })
    .filter(|piece| !piece.is_empty())
}

/// Appends a text in another letter case, ASCII without asking Unicode.
fn cased<L: Iterator<Item = char>>(
    text: &str,
    out: &mut String,
    ascii: fn(&u8) -> u8,
    other: fn(char) -> L,
) {
    for letter in text.chars() {
        match u8::try_from(letter) {
            Ok(byte) if byte.is_ascii() => out.push(char::from(ascii(&byte))),
            _ => out.extend(other(letter)),
        }
    }
}

/// Changes letter case.
pub(super) fn change_case(text: &mut Text<'_>, case: Case) {
    if text.as_str().is_ascii() && case != Case::Title {
        match case {
            Case::Upper => text.own().make_ascii_uppercase(),
            _ => text.own().make_ascii_lowercase(),
        }
        return;
    }
    text.rewrite(|now, next| match case {
        Case::Upper => cased(now, next, u8::to_ascii_uppercase, char::to_uppercase),
        Case::Lower => cased(now, next, u8::to_ascii_lowercase, char::to_lowercase),
        Case::Title => {
            let mut in_word = false;
            for letter in now.chars() {
                if in_word {
                    next.extend(letter.to_lowercase());
                } else {
                    next.extend(letter.to_uppercase());
                }
                // An apostrophe is part of its word.
                in_word = letter.is_alphanumeric() || (in_word && matches!(letter, '\'' | '’'));
            }
        }
    });
}

/// Whether a value is one of these words, which are in lower case; letter case
/// and outer blanks don't count.
pub(super) fn is_word(value: &str, words: &[String]) -> bool {
    let value = value.trim();
    words.iter().any(|word| {
        if value.is_ascii() {
            value.eq_ignore_ascii_case(word)
        } else {
            value.chars().flat_map(char::to_lowercase).eq(word.chars())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(value: &str, change: impl FnOnce(&mut Text<'_>)) -> String {
        let mut text = Text::default();
        text.set(value);
        change(&mut text);
        text.as_str().to_owned()
    }

    #[test]
    fn blanks_are_trimmed_and_collapsed() {
        assert_eq!(made(" a b\u{A0}", trim), "a b");
        assert_eq!(made("\u{3000}東京 ", trim), "東京");
        assert_eq!(made("   ", trim), "");
        assert_eq!(made("é", trim), "é");
        assert_eq!(made(" a \t\n b  c ", collapse), "a b c");
        assert_eq!(made("a b", collapse), "a b");
        assert_eq!(made("Ä  B", collapse), "Ä B");
    }

    #[test]
    fn html_becomes_text_and_what_only_looks_like_it_stays() {
        let strip = |value: &str| made(value, strip_html);
        assert_eq!(strip("<p>a &amp; b</p><br/>c"), "a & b\n\nc");
        assert_eq!(strip("<a href=\"x>y\">go</a>"), "go");
        assert_eq!(strip("a < b && c > d &unknown; 5 &"), "a < b && c > d &unknown; 5 &");
        assert_eq!(strip("&#65;&#x42;&auml;&nbsp;"), "ABä\u{A0}");
        assert_eq!(strip("x<!-- <b> -->y<script>if (a<b) {}</script>z"), "xyz");
        assert_eq!(strip("3 <4 <"), "3 <4 <");
        assert_eq!(strip("<b"), "<b");
    }

    #[test]
    fn control_characters_are_removed() {
        assert_eq!(made("a\u{0}b\u{200B}\u{FEFF}\tc\n\u{85}", strip_control), "ab\tc\n");
    }

    #[test]
    fn parts_are_counted_in_characters() {
        let part = |start, length| made("Größe", |text| substring(text, start, length));
        assert_eq!(part(1, Some(3)), "Grö");
        assert_eq!(part(4, None), "ße");
        assert_eq!(part(-2, None), "ße");
        assert_eq!(part(-9, Some(2)), "Gr");
        assert_eq!(part(9, None), "");
        assert_eq!(made("Größe", |text| assert!(truncate(text, 3))), "Grö");
        assert_eq!(made("Größe", |text| assert!(!truncate(text, 5))), "Größe");
    }

    #[test]
    fn pieces_are_trimmed_and_empty_ones_dont_count() {
        let nth = |at| made(" a ;; b;c", |text| piece(text, ";", at));
        assert_eq!([nth(1), nth(2), nth(-1), nth(4)], ["a", "b", "c", ""]);
    }

    #[test]
    fn letter_case_follows_unicode() {
        let cased = |value: &str, case| made(value, |text| change_case(text, case));
        assert_eq!(cased("straße", Case::Upper), "STRASSE");
        assert_eq!(cased("ÄRGER", Case::Lower), "ärger");
        assert_eq!(cased("o'NEIL van-der é", Case::Title), "O'neil Van-Der É");
        assert_eq!(cased("abc", Case::Upper), "ABC");
    }

    #[test]
    fn words_are_known_in_any_case() {
        let words = ["k.a.".to_owned(), "ä".to_owned()];
        assert!(is_word(" K.A. ", &words) && is_word("Ä", &words) && !is_word("b", &words));
    }
}
