//! Where the values come from: a hash of seed, row and column, stretched into
//! as many draws as a value needs.

/// What makes a row odd to a CSV reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Oddity {
    /// A comma in the name and the street.
    Comma,
    /// Quotes in the name.
    Quotes,
    /// A line feed in the street and the description.
    LineBreak,
    /// German letters in the name and the city.
    Umlaut,
    /// Japanese in the name and the city.
    Japanese,
    /// An emoji in the name.
    Emoji,
}

const ODDITIES: [Oddity; 6] = [
    Oddity::Comma,
    Oddity::Quotes,
    Oddity::LineBreak,
    Oddity::Umlaut,
    Oddity::Japanese,
    Oddity::Emoji,
];

/// One row in this many is odd.
const ODD_EVERY: u64 = 50;

/// What is odd about a row, if anything.
pub fn oddity(seed: u64, row: u64) -> Option<Oddity> {
    let mut draw = Row { seed, number: row }.draw(0x0DD);
    (draw.below(ODD_EVERY) == 0).then(|| draw.pick(&ODDITIES))
}

/// A row of a seed's data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) seed: u64,
    pub(super) number: u64,
}

impl Row {
    /// The draws of a purpose within this row; a column's is its tag, and
    /// columns that must agree (name and website) share one.
    pub(super) fn draw(self, purpose: u64) -> Draw {
        let mixed = mix(self.seed ^ mix(self.number ^ mix(purpose)));
        Draw(mixed)
    }

    pub(super) fn oddity(self) -> Option<Oddity> {
        oddity(self.seed, self.number)
    }
}

/// A stream of draws (`SplitMix64`, Steele, Lea and Flood, 2014).
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number from 0 to `bound - 1`; the bias of such small bounds does not
    /// matter here.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// One of a list, which is not empty.
    pub(super) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// Whether the one in `every` comes.
    pub(super) fn one_in(&mut self, every: u64) -> bool {
        self.below(every) == 0
    }
}

const fn mix(mut value: u64) -> u64 {
    value ^= value >> 30;
    value = value.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value ^= value >> 27;
    value = value.wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Appends text.
pub(super) fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Appends a number, with zeros in front up to `width` digits.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while number > 0 {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    let from = at.min(digits.len() - width.clamp(1, digits.len()));
    out.extend_from_slice(&digits[from..]);
}

/// Appends the date that lies `days` (up to about 80 years) behind 1970-01-01.
pub(super) fn put_date(out: &mut Vec<u8>, days: u64) {
    const MONTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut year = 1970;
    let mut left = days;
    loop {
        // No century year that is not a leap year lies in reach but 2100.
        let length = if year % 4 == 0 { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let mut month = 1;
    for (index, length) in MONTHS.into_iter().enumerate() {
        let length = if index == 1 && year % 4 == 0 { 29 } else { length };
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    put_number(out, year, 4);
    out.push(b'-');
    put_number(out, month, 2);
    out.push(b'-');
    put_number(out, left + 1, 2);
}

/// Appends a time of day in whole seconds: `HH:mm:ss`.
pub(super) fn put_clock(out: &mut Vec<u8>, second: u64) {
    put_number(out, second / 3600 % 24, 2);
    out.push(b':');
    put_number(out, second / 60 % 60, 2);
    out.push(b':');
    put_number(out, second % 60, 2);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_dates_and_clocks_are_written_right() {
        assert_eq!(text(|out| put_number(out, 0, 1)), "0");
        assert_eq!(text(|out| put_number(out, 42, 5)), "00042");
        assert_eq!(text(|out| put_number(out, u64::MAX, 3)), u64::MAX.to_string());
        assert_eq!(text(|out| put_clock(out, 86_399)), "23:59:59");
        for days in 0..29_000i32 {
            let expected = jiff::civil::date(1970, 1, 1)
                .checked_add(jiff::Span::new().days(days))
                .unwrap()
                .to_string();
            assert_eq!(text(|out| put_date(out, days as u64)), expected);
        }
    }

    #[test]
    fn about_two_in_a_hundred_rows_are_odd_each_way() {
        let odd: Vec<Oddity> = (1..=20_000).filter_map(|row| oddity(42, row)).collect();
        assert!((300..=500).contains(&odd.len()), "{}", odd.len());
        for each in ODDITIES {
            assert!(odd.iter().filter(|&&oddity| oddity == each).count() > 30, "{each:?}");
        }
    }
}
