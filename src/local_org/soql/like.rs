//! The LIKE operator: `%` is any run of characters, `_` one character, a
//! backslash takes their meaning away; letter case does not count ("Comparison
//! Operators", SOQL and SOSL reference).

/// A pattern, ready to be matched many times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// This character, folded.
    One(char),
    /// Any one character.
    Any,
    /// Any run of characters.
    Run,
}

impl Pattern {
    /// Reads a pattern.
    pub(crate) fn new(text: &str) -> Pattern {
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' if parts.last() != Some(&Part::Run) => parts.push(Part::Run),
                '%' => {}
                '_' => parts.push(Part::Any),
                '\\' => parts
                    .extend(chars.next().into_iter().flat_map(char::to_lowercase).map(Part::One)),
                other => parts.extend(other.to_lowercase().map(Part::One)),
            }
        }
        Pattern { parts }
    }

    /// Whether a text matches; linear in its length for one run, and never
    /// worse than length times length of the pattern.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
        let (mut at, mut part) = (0, 0);
        // Where the last run stood and how much it has swallowed.
        let mut back: Option<(usize, usize)> = None;
        while let Some(&c) = text.get(at) {
            match self.parts.get(part) {
                Some(Part::Any) => (at, part) = (at + 1, part + 1),
                Some(Part::One(wanted)) if *wanted == c => (at, part) = (at + 1, part + 1),
                Some(Part::Run) => {
                    back = Some((part, at));
                    part += 1;
                }
                _ => match back {
                    Some((run, swallowed)) => {
                        back = Some((run, swallowed + 1));
                        (at, part) = (swallowed + 1, run + 1);
                    }
                    None => return false,
                },
            }
        }
        self.parts.get(part..).unwrap_or_default().iter().all(|part| *part == Part::Run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The obvious slow way, as the judge.
    fn slow(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((&'%', rest)) => (0..=text.len()).any(|n| slow(rest, &text[n..])),
            Some((&'_', rest)) => !text.is_empty() && slow(rest, &text[1..]),
            Some((c, rest)) => text.first() == Some(c) && slow(rest, &text[1..]),
        }
    }

    #[test]
    fn case_does_not_count_and_escapes_do() {
        assert!(Pattern::new("ac%").matches("ACME"));
        assert!(Pattern::new("ÄRGER").matches("ärger"));
        assert!(Pattern::new(r"10\%").matches("10%") && !Pattern::new(r"10\%").matches("100"));
        assert!(Pattern::new(r"a\_b").matches("a_b") && !Pattern::new(r"a\_b").matches("axb"));
        assert!(Pattern::new("%").matches("") && !Pattern::new("_").matches(""));
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_the_obvious_way(pattern in "[ab%_]{0,8}", text in "[ab]{0,10}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            proptest::prop_assert_eq!(Pattern::new(&pattern).matches(&text), slow(&p, &t));
        }
    }
}
