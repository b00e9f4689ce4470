//! Columns of any type with values made up, and how each is to be written: the
//! slow and obvious way.

#![expect(
    clippy::unnecessary_wraps,
    reason = "judges of columns that may be faulty, and of those that can't"
)]

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, StringDictionaryBuilder};
use arrow_array::types::{
    ArrowPrimitiveType, Decimal256Type, Float16Type, Int32Type as ArrowInt32,
};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Date64Array, Decimal32Array, Decimal64Array,
    Decimal128Array, Decimal256Array, FixedSizeBinaryArray, Float16Array, Float32Array,
    Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, LargeStringArray, NullArray,
    StringArray, StringViewArray, Time32MillisecondArray, Time32SecondArray,
    Time64MicrosecondArray, Time64NanosecondArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt8Array,
    UInt16Array, UInt32Array, UInt64Array,
};
use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::*;

/// Where local timestamps are local.
pub(super) const ZONE: &str = "Europe/Berlin";

/// A cell as it is to be: its text, or what is wrong with it.
pub(super) type Expected = Result<String, NoForm>;

/// Numbers that look drawn.
pub(super) struct Draw(pub(super) u64);

impl Draw {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    /// A number of any size: as many small ones as large ones.
    fn any(&mut self) -> u64 {
        let bits = self.below(64);
        self.next() >> bits
    }

    fn between(&mut self, from: i64, to: i64) -> i64 {
        from + (self.next() % (to.abs_diff(from) + 1)) as i64
    }

    fn text(&mut self) -> String {
        let parts = [
            "a",
            "Z",
            "9",
            " ",
            ",",
            "\"",
            "\n",
            "\r\n",
            "ü",
            "日本",
            "😀",
            ";",
            "#N/A",
            "long text ",
        ];
        (0..self.below(8)).map(|_| *self.one(&parts)).collect()
    }
}

/// Makes columns with nulls here and there.
struct Maker<'a> {
    draw: &'a mut Draw,
    rows: usize,
}

impl Maker<'_> {
    fn values<T>(&mut self, mut make: impl FnMut(&mut Draw) -> T) -> Vec<Option<T>> {
        let nulls = self.draw.below(3) > 0;
        (0..self.rows)
            .map(|_| (!nulls || self.draw.below(4) > 0).then(|| make(self.draw)))
            .collect()
    }

    fn column<T: Clone, A: arrow_array::Array + From<Vec<Option<T>>> + 'static>(
        &mut self,
        make: impl FnMut(&mut Draw) -> T,
        expected: impl Fn(T) -> Expected,
    ) -> (ArrayRef, Vec<Option<Expected>>) {
        let values = self.values(make);
        let expected = values.iter().cloned().map(|value| value.map(&expected)).collect();
        (Arc::new(A::from(values)), expected)
    }
}

fn plain(text: impl ToString) -> Expected {
    Ok(text.to_string())
}

/// Digits and a point, by moving it in the text.
fn pointed(amount: &str, scale: usize) -> String {
    let (sign, digits) = match amount.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", amount),
    };
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

fn float(number: f64, shown: String, scientific: String) -> Expected {
    if !number.is_finite() {
        Err(NoForm::NotFinite)
    } else if number == 0.0 {
        plain(0)
    } else if (1e-6..1e21).contains(&number.abs()) {
        Ok(shown)
    } else {
        Ok(scientific)
    }
}

fn double(draw: &mut Draw) -> f64 {
    match draw.below(6) {
        0 => f64::from_bits(draw.next()),
        1 => draw.any() as f64,
        2 => draw.between(-1_000_000_000, 1_000_000_000) as f64 / 100.0,
        3 => draw.between(-1_000_000, 1_000_000) as f64 / 1e9,
        4 => *draw.one(&[0.0, -0.0, f64::NAN, f64::INFINITY, 1e-6, 1e21, 1e15, 0.1 + 0.2, 5e-324]),
        _ => draw.any() as f64 * 1.5,
    }
}

/// A time on a clock, cut to milliseconds, with a Z behind it.
fn shown(at: DateTime) -> String {
    format!("{}.{:03}Z", at.strftime("%Y-%m-%dT%H:%M:%S"), at.millisecond())
}

fn since_1970(nanos: i128) -> DateTime {
    let seconds = nanos.div_euclid(1_000_000_000) as i64;
    let rest = nanos.rem_euclid(1_000_000_000) as i32;
    DateTime::constant(1970, 1, 1, 0, 0, 0, 0)
        .checked_add(SignedDuration::new(seconds, rest))
        .unwrap()
}

fn utc(nanos: i128) -> Expected {
    Ok(shown(since_1970(nanos)))
}

fn local(nanos: i128) -> Expected {
    let zone = TimeZone::get(ZONE).unwrap();
    let wall = since_1970(nanos.div_euclid(1_000_000) * 1_000_000);
    Ok(shown(wall.to_zoned_datetime(zone).unwrap().with_time_zone(TimeZone::UTC).datetime()))
}

/// Seconds of the years 1 to 9999, some near changes of the clocks; a day is
/// left at either end for the zones.
fn second(draw: &mut Draw) -> i64 {
    match draw.below(4) {
        0 => draw.between(-62_135_510_400, 253_402_214_400),
        1 => 1_774_746_000 + draw.between(-10_000, 10_000),
        2 => 1_792_890_000 + draw.between(-10_000, 10_000),
        _ => draw.between(-3, 3),
    }
}

fn clock(nanos: i128) -> Expected {
    Ok(shown(since_1970(nanos))[11..].to_owned())
}

const DAY_NANOS: i64 = 86_400_000_000_000;

/// How many kinds of column there are.
pub(super) const KINDS: u64 = 41;

/// A column of one kind and what its cells are to be.
pub(super) fn column(kind: u64, draw: &mut Draw, rows: usize) -> (ArrayRef, Vec<Option<Expected>>) {
    let rest = draw.next();
    let mut make = Maker { draw, rows };
    match kind {
        0 => make.column::<_, BooleanArray>(|draw| draw.below(2) == 0, plain),
        1 => make.column::<_, Int8Array>(|draw| draw.next() as i8, plain),
        2 => make.column::<_, Int16Array>(|draw| draw.next() as i16, plain),
        3 => make.column::<_, Int32Array>(|draw| draw.any() as i32, plain),
        4 => make.column::<_, Int64Array>(|draw| draw.any() as i64, plain),
        5 => make.column::<_, UInt8Array>(|draw| draw.next() as u8, plain),
        6 => make.column::<_, UInt16Array>(|draw| draw.next() as u16, plain),
        7 => make.column::<_, UInt32Array>(|draw| draw.any() as u32, plain),
        8 => make.column::<_, UInt64Array>(Draw::any, plain),
        9 => make.column::<_, Float64Array>(double, |number| {
            float(number, format!("{number}"), format!("{number:E}"))
        }),
        10 => make.column::<_, Float32Array>(
            |draw| {
                if draw.below(2) == 0 {
                    f32::from_bits(draw.next() as u32)
                } else {
                    double(draw) as f32
                }
            },
            |number| float(f64::from(number), format!("{number}"), format!("{number:E}")),
        ),
        11 => {
            type Half = <Float16Type as ArrowPrimitiveType>::Native;
            make.column::<_, Float16Array>(
                |draw| Half::from_bits(draw.next() as u16),
                |number| half(number.to_bits()),
            )
        }
        12 => {
            let scale = (rest % 10) as i8;
            let values = make.values(|draw| draw.between(-999_999_999, 999_999_999) as i32);
            let expected = expected(&values, |value| pointed(&value.to_string(), scale as usize));
            (
                decimal_array(Decimal32Array::from(values).with_precision_and_scale(9, scale)),
                expected,
            )
        }
        13 => {
            let scale = (rest % 19) as i8;
            let most = 999_999_999_999_999_999;
            let values = make.values(|draw| draw.any() as i64 % most);
            let expected = expected(&values, |value| pointed(&value.to_string(), scale as usize));
            (
                decimal_array(Decimal64Array::from(values).with_precision_and_scale(18, scale)),
                expected,
            )
        }
        14 | 15 => {
            let precision = if kind == 14 { 1 + rest % 38 } else { 38 } as u32;
            let scale = (rest / 64 % (u64::from(precision) + 1)) as i8;
            let most = 10i128.pow(precision);
            let values = make.values(|draw| {
                ((i128::from(draw.next()) << 64 | i128::from(draw.next())) >> draw.below(127))
                    % most
            });
            let expected = expected(&values, |value| pointed(&value.to_string(), scale as usize));
            let array = Decimal128Array::from(values);
            (decimal_array(array.with_precision_and_scale(precision as u8, scale)), expected)
        }
        16 => {
            type Wide = <Decimal256Type as ArrowPrimitiveType>::Native;
            let scale = (rest % 77) as i8;
            let texts = make.values(|draw| {
                let digits = 1 + draw.below(76);
                let digits: String =
                    (0..digits).map(|_| char::from(b'0' + draw.below(10) as u8)).collect();
                let digits = digits.trim_start_matches('0');
                match digits {
                    "" => "0".to_owned(),
                    digits if draw.below(2) == 0 => format!("-{digits}"),
                    digits => digits.to_owned(),
                }
            });
            let values: Vec<Option<Wide>> = texts
                .iter()
                .map(|text| text.as_ref().map(|text| Wide::from_string(text).unwrap()))
                .collect();
            let expected = expected(&texts, |text| pointed(text, scale as usize));
            (
                decimal_array(Decimal256Array::from(values).with_precision_and_scale(76, scale)),
                expected,
            )
        }
        17 => make.column::<_, Date32Array>(
            |draw| draw.between(-719_162, 2_932_896) as i32,
            |days| Ok(since_1970(i128::from(days) * i128::from(DAY_NANOS)).date().to_string()),
        ),
        18 => make.column::<_, Date64Array>(
            |draw| draw.between(-719_162, 2_932_896) * 86_400_000,
            |millis| Ok(since_1970(i128::from(millis) * 1_000_000).date().to_string()),
        ),
        19 => make.column::<_, Time32SecondArray>(
            |draw| draw.below(86_400) as i32,
            |at| clock(i128::from(at) * 1_000_000_000),
        ),
        20 => make.column::<_, Time32MillisecondArray>(
            |draw| draw.below(86_400_000) as i32,
            |at| clock(i128::from(at) * 1_000_000),
        ),
        21 => make.column::<_, Time64MicrosecondArray>(
            |draw| draw.below(86_400_000_000) as i64,
            |at| clock(i128::from(at) * 1_000),
        ),
        22 => make.column::<_, Time64NanosecondArray>(
            |draw| draw.below(DAY_NANOS as u64) as i64,
            |at| clock(i128::from(at)),
        ),
        23..=30 => moments(kind - 23, &mut make),
        31 => make.column::<_, StringArray>(Draw::text, Ok),
        32 => make.column::<_, LargeStringArray>(Draw::text, Ok),
        33 => {
            let values = make.values(Draw::text);
            (Arc::new(StringViewArray::from_iter(&values)), expected(&values, Clone::clone))
        }
        34 => {
            let values = make.values(|draw| draw.one(&["red", "green, too", ""]).to_string());
            let mut builder = StringDictionaryBuilder::<ArrowInt32>::new();
            builder.extend(values.iter().map(Option::as_deref));
            (Arc::new(builder.finish()), expected(&values, Clone::clone))
        }
        35 => {
            let values =
                make.values(|draw| (0..draw.below(9)).map(|_| draw.next() as u8).collect());
            let array: BinaryArray =
                values.iter().map(|value: &Option<Vec<u8>>| value.as_deref()).collect();
            (Arc::new(array), expected(&values, |value| base64(value)))
        }
        36 => {
            let size = 1 + rest % 20;
            let values =
                make.values(|draw| (0..size).map(|_| draw.next() as u8).collect::<Vec<u8>>());
            let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
                values.iter().map(Option::as_deref),
                size as i32,
            );
            (Arc::new(array.unwrap()), expected(&values, |value| base64(value)))
        }
        37 => (Arc::new(NullArray::new(rows)), vec![None; rows]),
        38 => {
            let values = make.values(|draw| {
                (0..draw.below(4))
                    .map(|_| (draw.below(9) > 0).then(|| draw.text()))
                    .collect::<Vec<_>>()
            });
            let mut builder = ListBuilder::new(StringBuilder::new());
            for value in &values {
                match value {
                    Some(list) => builder.append_value(list.iter().map(Option::as_deref)),
                    None => builder.append_null(),
                }
            }
            let expected =
                values.iter().map(|value| value.as_ref().map(|list| joined(list))).collect();
            (Arc::new(builder.finish()), expected)
        }
        39 => make.column::<_, Float64Array>(
            |draw| draw.between(-1 << 53, 1 << 53) as f64 / 10f64.powi(draw.below(12) as i32),
            |number| float(number, format!("{number}"), format!("{number:E}")),
        ),
        _ => make.column::<_, StringArray>(|draw| "word, ".repeat(draw.below(400) as usize), Ok),
    }
}

/// Timestamps of all units, in UTC and local.
fn moments(which: u64, make: &mut Maker<'_>) -> (ArrayRef, Vec<Option<Expected>>) {
    let judge = if which.is_multiple_of(2) { utc } else { local };
    let zone = which.is_multiple_of(2).then_some("+00:00");
    macro_rules! of {
        ($array:ty, $per_second:expr, $draw:expr) => {{
            let values: Vec<Option<i64>> = make.values($draw);
            let expected = values
                .iter()
                .map(|value| value.map(|at| judge(i128::from(at) * (1_000_000_000 / $per_second))))
                .collect();
            (Arc::new(<$array>::from(values).with_timezone_opt(zone)) as ArrayRef, expected)
        }};
    }
    let fine = |per: i64| move |draw: &mut Draw| second(draw) * per + draw.between(0, per - 1);
    match which / 2 {
        0 => of!(TimestampSecondArray, 1, second),
        1 => of!(TimestampMillisecondArray, 1_000, fine(1_000)),
        2 => of!(TimestampMicrosecondArray, 1_000_000, fine(1_000_000)),
        _ => of!(TimestampNanosecondArray, 1_000_000_000, |draw| draw.next() as i64),
    }
}

fn expected<T>(values: &[Option<T>], text: impl Fn(&T) -> String) -> Vec<Option<Expected>> {
    values.iter().map(|value| value.as_ref().map(|value| Ok(text(value)))).collect()
}

fn decimal_array<A: arrow_array::Array + 'static, E: std::fmt::Debug>(
    array: Result<A, E>,
) -> ArrayRef {
    Arc::new(array.unwrap())
}

fn joined(list: &[Option<String>]) -> Expected {
    for element in list {
        match element {
            None => return Err(NoForm::NullInList),
            Some(text) if text.contains(';') => return Err(NoForm::SemicolonInList),
            Some(_) => {}
        }
    }
    Ok(list.iter().flatten().cloned().collect::<Vec<_>>().join(";"))
}

/// The shortest decimal that is nearer to this half than to any other, by
/// trying them all. Distances are taken between doubles, where they are exact:
/// `Half::from_f64` may round twice, by way of a float of 32 bits.
fn half(bits: u16) -> Expected {
    type Half = <Float16Type as ArrowPrimitiveType>::Native;
    let number = Half::from_bits(bits);
    let value = number.to_f64();
    if !value.is_finite() {
        return Err(NoForm::NotFinite);
    }
    if value == 0.0 {
        return plain(0);
    }
    for places in 0..12 {
        let text = format!("{value:.places$e}");
        let read: f64 = text.parse().unwrap();
        let distance = |bits: u16| (Half::from_bits(bits).to_f64() - read).abs();
        let beside = |bits: u16| {
            if Half::from_bits(bits).to_f64().is_finite() {
                distance(bits)
            } else {
                (65_536.0 - read.abs()).abs()
            }
        };
        let others = [beside(bits.wrapping_sub(1)), beside(bits + 1)];
        let is_nearest = others.iter().all(|other| match distance(bits).total_cmp(other) {
            Ordering::Less => true,
            Ordering::Equal => bits & 1 == 0,
            Ordering::Greater => false,
        });
        if is_nearest {
            return float(read, format!("{read}"), format!("{read:E}"));
        }
    }
    panic!("{value} has no short form")
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<String> = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let bits = bits.concat();
    let mut text = String::new();
    for at in (0..bits.len()).step_by(6) {
        let six = format!("{:0<6}", &bits[at..bits.len().min(at + 6)]);
        text.push(char::from(LETTERS[usize::from_str_radix(&six, 2).unwrap()]));
    }
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}
