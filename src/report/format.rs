//! Counts, bytes, durations and foreign text, ready to print.

use std::borrow::Cow;

/// A count with commas between the thousands: `1,234,567`.
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun, in the plural where it is due: `1 row`, `20 rows`.
pub fn count(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(count), if count == 1 { "" } else { "s" })
}

/// Bytes in decimal units with three figures at most: `512 B`, `2.4 MB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        // 999.5 would be written as 1000.
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if value < 9.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// A duration as people say it: `0.4 s`, `12.3 s`, `4 min 05 s`, `1 h 02 min`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    if whole < 3600 {
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else {
        format!("{} h {:02} min", whole / 3600, whole % 3600 / 60)
    }
}

/// A duration as a clock shows it: `0:12`, `4:05`, `1:02:00`.
pub fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole % 3600 / 60, whole % 60);
    if hours == 0 {
        format!("{minutes}:{seconds:02}")
    } else {
        format!("{hours}:{minutes:02}:{seconds:02}")
    }
}

/// A share in per cent with one decimal. `100.0 %` means all and `0.0 %` none;
/// what is closer to either than can be written is `>99.9 %` or `<0.1 %`.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return String::new();
    }
    let exact = part as f64 * 100.0 / whole as f64;
    if part > 0 && exact < 0.1 {
        "<0.1 %".to_owned()
    } else if part < whole && exact > 99.9 {
        ">99.9 %".to_owned()
    } else {
        format!("{exact:.1} %")
    }
}

/// Text from a file or an org, made safe for a terminal: control characters
/// (an escape sequence in a column name, say) are written as `\u{1b}`, line
/// ends become blanks.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match char {
            '\n' | '\r' | '\t' => safe.push(' '),
            char if is_unprintable(char) => safe.extend(char.escape_unicode()),
            char => safe.push(char),
        }
    }
    Cow::Owned(safe)
}

/// Control characters, and those that turn the direction of writing.
fn is_unprintable(char: char) -> bool {
    char.is_control() || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// How many columns a text takes on a terminal: East Asian wide characters and
/// emoji two, combining marks none. An estimate by blocks, good enough to keep
/// lines from overflowing.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

fn char_width(char: char) -> usize {
    match char {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// Breaks a text into lines of at most `columns` columns, at blanks where it
/// can and inside a word that is longer than a line.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let needed = width(word);
        if used > 0 && used + 1 + needed > columns {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        for char in word.chars() {
            if used + char_width(char) > columns {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(char);
            used += char_width(char);
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_are_grouped() {
        for (count, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (20_000, "20,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(thousands(count), text);
        }
        assert_eq!(count(1, "row"), "1 row");
        assert_eq!(count(2000, "row"), "2,000 rows");
    }

    #[test]
    fn bytes_keep_three_figures() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (2_449_000, "2.4 MB"),
            (12_600_000, "13 MB"),
            (999_700, "1.0 MB"),
            (100_000_000, "100 MB"),
            (u64::MAX, "18447 PB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn durations_grow_units() {
        for (seconds, text) in [
            (0.04, "0.0 s"),
            (12.34, "12.3 s"),
            (59.96, "1 min 00 s"),
            (245.0, "4 min 05 s"),
            (3720.0, "1 h 02 min"),
            (-1.0, "0.0 s"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!(clock(12.4), "0:12");
        assert_eq!(clock(3725.0), "1:02:05");
    }

    #[test]
    fn a_share_is_all_or_none_only_when_it_is() {
        assert_eq!(percent(20_000, 20_000), "100.0 %");
        assert_eq!(percent(19_999, 20_000), ">99.9 %");
        assert_eq!(percent(1, 20_000), "<0.1 %");
        assert_eq!(percent(0, 20_000), "0.0 %");
        assert_eq!(percent(0, 0), "");
    }

    #[test]
    fn escape_sequences_never_reach_the_terminal() {
        assert_eq!(printable("Name"), "Name");
        assert_eq!(printable("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb c");
        assert_eq!(printable("x\u{202e}y"), "x\\u{202e}y");
    }

    proptest! {
        #[test]
        fn wrapped_lines_fit_and_keep_every_word(text in "[a-zé漢 ]{0,80}", columns in 2usize..30) {
            let lines = wrap(&text, columns);
            for line in &lines {
                prop_assert!(width(line) <= columns, "{line:?}");
            }
            let kept: String = lines.concat().chars().filter(|char| *char != ' ').collect();
            let given: String = text.chars().filter(|char| *char != ' ').collect();
            prop_assert_eq!(kept, given);
        }
    }
}
