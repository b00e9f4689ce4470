//! A Rust source as the rules see it: the paths it names, and the modules it
//! declares. Not a parser: comments and literals are left out, `use` trees are
//! spelled out, and that is enough to see who knows whom.

/// A path as it stands in a source, `use` trees spelled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedPath {
    /// Its segments; `super` and `self` as they stand.
    pub(super) segments: Vec<String>,
    /// Whether a `!` follows: a macro.
    pub(super) is_macro: bool,
    /// Line, from 1.
    pub(super) line: usize,
    /// How many inline modules (`mod tests { … }`) it stands in.
    pub(super) depth: usize,
}

/// What was found in a source.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) paths: Vec<NamedPath>,
    /// Names of `mod x;`.
    pub(super) declared: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Colons,
    Sign(char),
}

/// Reads a source.
pub(super) fn read(text: &str) -> Findings {
    let tokens = tokens(text);
    let mut findings = Findings::default();
    let mut at = 0;
    // Brace depths at which inline modules were opened.
    let mut modules: Vec<usize> = Vec::new();
    let mut braces = 0usize;
    while let Some((token, line)) = tokens.get(at) {
        let next = tokens.get(at + 1).map(|(token, _)| token);
        let after = tokens.get(at + 2).map(|(token, _)| token);
        match token {
            Token::Sign('{') => braces += 1,
            Token::Sign('}') => {
                braces = braces.saturating_sub(1);
                if modules.last() == Some(&braces) {
                    modules.pop();
                }
            }
            Token::Word(word) if word == "mod" => {
                if let (Some(Token::Word(name)), Some(Token::Sign(sign))) = (next, after) {
                    match sign {
                        ';' => findings.declared.push(name.clone()),
                        '{' => {
                            modules.push(braces);
                            braces += 1;
                        }
                        _ => {}
                    }
                    at += 3;
                    continue;
                }
            }
            Token::Word(_) if follows_path(&tokens, at) => {}
            Token::Word(_) => {
                let first = findings.paths.len();
                at = path(&tokens, at, &mut Vec::new(), *line, &mut findings.paths);
                for path in findings.paths.iter_mut().skip(first) {
                    path.depth = modules.len();
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    findings
}

/// Whether the word continues something (`x.word`), so that no path begins.
fn follows_path(tokens: &[(Token, usize)], at: usize) -> bool {
    at > 0 && matches!(tokens.get(at - 1), Some((Token::Sign('.'), _)))
}

/// Reads the path or `use` tree that begins at `at`; gives the place behind it.
fn path(
    tokens: &[(Token, usize)],
    mut at: usize,
    segments: &mut Vec<String>,
    line: usize,
    found: &mut Vec<NamedPath>,
) -> usize {
    let before = segments.len();
    let token = |at: usize| tokens.get(at).map(|(token, _)| token);
    let mut line = line;
    while let Some((Token::Word(word), here)) = tokens.get(at) {
        segments.push(word.clone());
        line = *here;
        at += 1;
        if token(at) != Some(&Token::Colons) {
            break;
        }
        match token(at + 1) {
            Some(Token::Word(_)) => at += 1,
            Some(Token::Sign('{')) => {
                at += 2;
                loop {
                    match token(at) {
                        None => break,
                        Some(Token::Sign('}')) => {
                            at += 1;
                            break;
                        }
                        Some(Token::Word(_)) => at = path(tokens, at, segments, line, found),
                        Some(_) => at += 1,
                    }
                }
                segments.truncate(before);
                return at;
            }
            // `x::*` and `x::<T>`.
            _ => {
                at += 1;
                break;
            }
        }
    }
    let is_macro = token(at) == Some(&Token::Sign('!')) && token(at + 1) != Some(&Token::Sign('='));
    found.push(NamedPath { segments: segments.clone(), is_macro, line, depth: 0 });
    segments.truncate(before);
    at
}

/// Splits a text into words and signs; comments, strings and characters are
/// passed over.
fn tokens(text: &str) -> Vec<(Token, usize)> {
    let chars: Vec<char> = text.chars().collect();
    let char = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while at < chars.len() {
        let here = char(at);
        let start = at;
        match here {
            '/' if char(at + 1) == '/' => {
                while at < chars.len() && char(at) != '\n' {
                    at += 1;
                }
            }
            '/' if char(at + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (char(at), char(at + 1)) {
                        ('/', '*') => (depth, at) = (depth + 1, at + 2),
                        ('*', '/') => (depth, at) = (depth - 1, at + 2),
                        _ => at += 1,
                    }
                    if depth == 0 || at >= chars.len() {
                        break;
                    }
                }
            }
            '"' => at = behind_string(&chars, at),
            '\'' => at = behind_quote(&chars, at),
            _ if here.is_alphanumeric() || here == '_' => {
                while char(at).is_alphanumeric() || char(at) == '_' {
                    at += 1;
                }
                let word: String = chars[start..at].iter().collect();
                let prefix = matches!(word.as_str(), "r" | "b" | "br" | "c" | "cr");
                if prefix && char(at) == '"' && !word.contains('r') {
                    at = behind_string(&chars, at);
                } else if prefix && (char(at) == '"' || is_raw_string(&chars, at)) {
                    at = behind_raw_string(&chars, at);
                } else if word == "b" && char(at) == '\'' {
                    at = behind_quote(&chars, at);
                } else if word == "r" && char(at) == '#' {
                    // A raw identifier: the name follows.
                    at += 1;
                } else {
                    tokens.push((Token::Word(word), line));
                }
            }
            ':' if char(at + 1) == ':' => {
                tokens.push((Token::Colons, line));
                at += 2;
            }
            _ => {
                if !here.is_whitespace() {
                    tokens.push((Token::Sign(here), line));
                }
                at += 1;
            }
        }
        line += chars[start..at.min(chars.len())].iter().filter(|char| **char == '\n').count();
    }
    tokens
}

fn behind_string(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// Whether `#…#"` follows, not the `#` of a raw identifier.
fn is_raw_string(chars: &[char], mut at: usize) -> bool {
    let start = at;
    while chars.get(at) == Some(&'#') {
        at += 1;
    }
    at > start && chars.get(at) == Some(&'"')
}

fn behind_raw_string(chars: &[char], start: usize) -> usize {
    let hashes = chars[start..].iter().take_while(|char| **char == '#').count();
    let mut at = start + hashes + 1;
    while at < chars.len() {
        let closed = chars[at] == '"'
            && chars[at + 1..].iter().take(hashes).filter(|char| **char == '#').count() == hashes;
        if closed {
            return at + 1 + hashes;
        }
        at += 1;
    }
    chars.len()
}

/// Behind a character literal, or behind the tick of a lifetime.
fn behind_quote(chars: &[char], start: usize) -> usize {
    match chars.get(start + 1) {
        Some('\\') => {
            let mut at = start + 3;
            while at < chars.len() && chars[at] != '\'' {
                at += 1;
            }
            at + 1
        }
        Some(_) if chars.get(start + 2) == Some(&'\'') => start + 3,
        _ => start + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        read(text).paths.iter().map(|path| path.segments.join("::")).collect()
    }

    fn has(text: &str, path: &str) -> bool {
        paths(text).iter().any(|found| found == path)
    }

    #[test]
    fn use_trees_are_spelled_out() {
        let text = "use std::{fs, io::{self, Read}, time::Instant};\nuse crate::rows::*;";
        for path in ["std::fs", "std::io::self", "std::io::Read", "std::time::Instant"] {
            assert!(has(text, path), "{path} in {:?}", paths(text));
        }
        assert!(has(text, "crate::rows"));
    }

    #[test]
    fn paths_in_code_and_types_are_seen() {
        let text = "fn f(x: Vec<crate::reader::Source>) { a.b(reqwest::Client::new()); }";
        assert!(has(text, "crate::reader::Source"));
        assert!(has(text, "reqwest::Client::new"));
    }

    #[test]
    fn what_is_only_written_about_is_not_seen() {
        let text = r###"
            // use crate::reader;
            /* crate::reader /* nested */ crate::reader */
            //! [`crate::reader`]
            const A: &str = "crate::reader \" crate::reader";
            const B: &str = r##"crate::reader "# crate::reader"##;
            const C: &[u8] = b"crate::reader";
            const D: char = '"'; const E: char = '\''; const F: u8 = b'"';
            fn f<'a>(x: &'a str) { crate::chunker::cut(x) }
        "###;
        let found = paths(text);
        assert!(!found.iter().any(|path| path.starts_with("crate::reader")), "{found:?}");
        assert!(has(text, "crate::chunker::cut"));
    }

    #[test]
    fn macros_lines_and_inline_modules_are_told() {
        let found =
            read("fn f() {\n  println!(\"x\");\n}\nmod tests {\n  use super::g;\n}\nuse a;");
        let print = found.paths.iter().find(|path| path.is_macro).unwrap();
        assert_eq!((print.segments[0].as_str(), print.line, print.depth), ("println", 2, 0));
        let path = found.paths.iter().find(|path| path.segments[0] == "super").unwrap();
        assert_eq!((path.line, path.depth), (5, 1));
        let last = found.paths.iter().find(|path| path.segments[0] == "a").unwrap();
        assert_eq!(last.depth, 0);
    }

    #[test]
    fn declared_modules_are_told() {
        let found = read("mod a;\npub(crate) mod b;\nmod c { fn f() {} }\n// mod d;");
        assert_eq!(found.declared, ["a", "b"]);
    }

    #[test]
    fn an_inequality_is_no_macro() {
        assert!(read("if a != b {}").paths.iter().all(|path| !path.is_macro));
    }
}
