//! Damage that spreadsheets and wrong encodings do to text: what was meant is
//! gone, but what is left gives it away.

use memchr::memchr;

use super::rule::CheckRule;
use crate::rows::CLEAR;

/// Longest number whose width is counted.
const WIDEST: usize = 18;

/// Numbers of a column that are needed before their widths say something.
const LEAST_NUMBERS: u64 = 50;

/// What a cell of the source gives away. `is_text` is whether its field keeps
/// text, so that a number in it is a name for something.
pub(super) fn damage(cell: &[u8], is_text: bool) -> Option<CheckRule> {
    match *cell.first()? {
        b'#' => formula_error(cell),
        b'0'..=b'9' | b'-' if is_text && (has_exponent(cell) || is_month(cell)) => {
            Some(if has_exponent(cell) { CheckRule::Exponent } else { CheckRule::SpreadsheetDate })
        }
        b'A'..=b'Z' if is_text && is_month(cell) => Some(CheckRule::SpreadsheetDate),
        _ if is_text && is_garbled(cell) => Some(CheckRule::Garbled),
        _ => None,
    }
}

fn formula_error(cell: &[u8]) -> Option<CheckRule> {
    if cell == CLEAR {
        return Some(CheckRule::NotAvailable);
    }
    let is_error = matches!(
        cell,
        b"#REF!" | b"#VALUE!" | b"#DIV/0!" | b"#NAME?" | b"#NULL!" | b"#NUM!" | b"#SPILL!"
    ) || (cell.len() >= 3 && cell.iter().all(|byte| *byte == b'#'));
    is_error.then_some(CheckRule::SpreadsheetError)
}

/// `1.23457E+11`, with a point or a comma: as spreadsheets show numbers of 12
/// digits and more.
fn has_exponent(cell: &[u8]) -> bool {
    let cell = cell.strip_prefix(b"-").unwrap_or(cell);
    let Some((mantissa, exponent)) =
        cell.iter().position(|byte| *byte == b'E').map(|at| cell.split_at(at))
    else {
        return false;
    };
    let [b'E', b'+', digits @ ..] = exponent else { return false };
    let [first, rest @ ..] = mantissa else { return false };
    let fraction = match rest {
        [] => &[][..],
        [b'.' | b',', fraction @ ..] if !fraction.is_empty() => fraction,
        _ => return false,
    };
    first.is_ascii_digit()
        && fraction.iter().all(u8::is_ascii_digit)
        && digits.len() == 2
        && digits.iter().all(u8::is_ascii_digit)
}

/// `3-Jan` or `Jan-03`: what became of `3-1`, `1/3` or a name such as `MARCH3`.
fn is_month(cell: &[u8]) -> bool {
    const MONTHS: [&[u8]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    if !(5..=6).contains(&cell.len()) {
        return false;
    }
    let Some(at) = memchr(b'-', cell) else { return false };
    let (left, right) = (&cell[..at], &cell[at + 1..]);
    let is_number =
        |text: &[u8]| (1..=2).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    (MONTHS.contains(&left) && is_number(right)) || (is_number(left) && MONTHS.contains(&right))
}

/// UTF-8 that was read as Windows-1252 and written as UTF-8 again (`MÃ¼ller`),
/// or the sign for a byte that could not be read.
fn is_garbled(cell: &[u8]) -> bool {
    if cell.is_ascii() {
        return false;
    }
    cell.windows(3).any(|three| {
        match three {
            // U+FFFD.
            [0xEF, 0xBF, 0xBD] => true,
            // Ã and Â before another sign that is not ASCII; the latter before
            // signs of the first half only, for French and Portuguese have it.
            [0xC3, 0x83, next] => *next >= 0xC2,
            [0xC3, 0x82, 0xC2] => true,
            _ => false,
        }
    }) || cell.windows(5).any(|five| five == "â€".as_bytes())
}

/// How wide the numbers of a column are.
#[derive(Debug, Clone, Default)]
pub(super) struct Widths {
    /// Cells that hold digits alone, by their number.
    by_width: [u64; WIDEST + 1],
    /// Of these, those that begin with a zero and have others behind it.
    with_zero: u64,
    /// Cells that hold anything else.
    others: u64,
}

impl Widths {
    pub(super) fn take(&mut self, cell: &[u8]) {
        if cell.is_empty() {
            return;
        }
        if cell.len() > WIDEST || !cell.iter().all(u8::is_ascii_digit) {
            self.others += 1;
            return;
        }
        if let Some(count) = self.by_width.get_mut(cell.len()) {
            *count += 1;
        }
        self.with_zero += u64::from(cell.len() > 1 && cell[0] == b'0');
    }

    pub(super) fn add(&mut self, other: &Widths) {
        for (count, more) in self.by_width.iter_mut().zip(&other.by_width) {
            *count += more;
        }
        self.with_zero += other.with_zero;
        self.others += other.others;
    }

    /// The width the numbers of the column should have, if some seem to have
    /// lost zeros at their start: nearly all have the same, none begins with a
    /// zero, though of so many some should. `is_unique` is whether each stands
    /// for another thing; then numbers that were given one after the other are
    /// of different width by nature.
    pub(super) fn expected(&self, is_unique: bool) -> Option<usize> {
        let numbers: u64 = self.by_width.iter().sum();
        let (width, most) = self.by_width.iter().enumerate().max_by_key(|(_, count)| **count)?;
        let shorter: u64 = self.by_width.iter().take(width).sum();
        let wider: u64 = self.by_width.iter().skip(width + 1).sum();
        let room = 10u64.saturating_pow(u32::try_from(width).unwrap_or(u32::MAX));
        let is_sequence = is_unique && numbers > room / 4;
        let fits = numbers >= LEAST_NUMBERS
            && self.others * 20 <= numbers
            && self.with_zero == 0
            && width >= 4
            && shorter > 0
            && wider == 0
            && shorter * 4 <= *most
            && !is_sequence;
        fits.then_some(width)
    }

    /// Whether a cell is a number shorter than `expected`.
    pub(super) fn is_short(cell: &[u8], expected: usize) -> bool {
        !cell.is_empty() && cell.len() < expected && cell.iter().all(u8::is_ascii_digit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_spreadsheets_do_is_seen_in_text() {
        let of = |cell: &str| damage(cell.as_bytes(), true);
        for cell in ["1.23457E+11", "1,23457E+11", "5E+15"] {
            assert_eq!(of(cell), Some(CheckRule::Exponent), "{cell}");
            assert_eq!(damage(cell.as_bytes(), false), None);
        }
        for cell in ["3-Jan", "Mar-05", "12-Dec"] {
            assert_eq!(of(cell), Some(CheckRule::SpreadsheetDate), "{cell}");
        }
        for cell in ["#REF!", "#VALUE!", "#####"] {
            assert_eq!(of(cell), Some(CheckRule::SpreadsheetError), "{cell}");
        }
        assert_eq!(damage(b"#N/A", false), Some(CheckRule::NotAvailable));
        for cell in ["MÃ¼ller", "CafÃ©", "donâ€™t", "Stra\u{FFFD}e", "Â§ 5", "GrÃ¶ÃŸe"]
        {
            assert_eq!(of(cell), Some(CheckRule::Garbled), "{cell}");
        }
        for cell in
            ["Müller", "SÃO PAULO", "Ângela", "E+12", "12E+1", "1E+100", "Jan", "#1", "Mai-5", ""]
        {
            assert_eq!(of(cell), None, "{cell}");
        }
    }

    fn widths(numbers: impl IntoIterator<Item = u64>) -> Widths {
        let mut widths = Widths::default();
        numbers.into_iter().for_each(|number| widths.take(number.to_string().as_bytes()));
        widths
    }

    #[test]
    fn lost_zeros_are_told_from_numbers_given_one_after_the_other() {
        let codes = || (0..1_000u64).map(|at| at * 7_919 % 99_000 + 1_000);
        assert_eq!(widths(codes()).expected(false), Some(5));
        assert_eq!(widths(codes()).expected(true), Some(5));
        assert_eq!(widths(1..=20_000).expected(true), None, "a sequence");
        assert_eq!(widths(1..=99_999).expected(true), None, "a sequence");
        assert_eq!(widths(10_000..11_000).expected(false), None, "none is short");
        assert_eq!(widths((0..40).map(|at| at * 2_500)).expected(false), None, "too few");
        let mut kept = widths(codes());
        kept.take(b"01067");
        assert_eq!(kept.expected(false), None, "zeros are there");
        assert!(Widths::is_short(b"1067", 5));
        assert!(!Widths::is_short(b"A067", 5) && !Widths::is_short(b"", 5));
    }
}
