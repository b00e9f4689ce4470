//! The columns of accounts.

use super::column::Column;
use super::draw::{Draw, Oddity, Row, put, put_clock, put_date, put_number};
use super::words;

/// Draws that name, website and email share.
const COMPANY: u64 = 0xC0;
/// Draws that city, state, country, postal code and telephone share.
const PLACE: u64 = 0xC1;

/// 2010-01-01 in days since 1970, and the days of fifteen years.
const FIRST_DAY: u64 = 14_610;
const DAYS: u64 = 15 * 365;

/// About 200 bytes a row.
pub(super) const DEFAULT: &[&str] = &[
    "Legacy_Id__c",
    "Name",
    "Industry",
    "AnnualRevenue",
    "NumberOfEmployees",
    "Phone",
    "Website",
    "BillingStreet",
    "Active__c",
    "Last_Audit__c",
    "Segments__c",
    "Email__c",
];

/// Text, number, currency, whole number, boolean, date, datetime, picklist,
/// multi-select picklist, phone, address, mail and web address.
pub(super) const COMMON: &[&str] = &[
    "Legacy_Id__c",
    "Name",
    "Type",
    "Industry",
    "AnnualRevenue",
    "NumberOfEmployees",
    "Phone",
    "Website",
    "BillingStreet",
    "BillingCity",
    "Active__c",
    "Last_Audit__c",
    "Contract_Start__c",
    "Score__c",
    "Segments__c",
    "Email__c",
];

/// Columns that are empty but where a trap fills them.
pub(super) const TRAPS_ONLY: &[&str] = &["Parent.Legacy_Id__c", "OwnerId"];

/// All columns.
pub(super) const COLUMNS: &[Column] = &[
    Column::new("Legacy_Id__c", |row, _, out| legacy_id(row.number, out)),
    Column::new("Name", |row, _, out| name(row, out)),
    Column::new("AccountNumber", |_, mut draw, out| {
        put(out, "CD");
        put_number(out, draw.below(1_000_000), 6);
    }),
    Column::new("Type", |_, mut draw, out| put(out, draw.pick(&words::TYPE))),
    Column::new("Industry", |_, mut draw, out| put(out, draw.pick(&words::INDUSTRY))),
    Column::new("Rating", |_, mut draw, out| put(out, draw.pick(&words::RATING))),
    Column::new("Ownership", |_, mut draw, out| put(out, draw.pick(&words::OWNERSHIP))),
    Column::new("AnnualRevenue", |_, draw, out| revenue(draw, out)),
    Column::new("NumberOfEmployees", |_, mut draw, out| {
        let most = 10u64.pow(1 + draw.below(5) as u32);
        put_number(out, 1 + draw.below(most), 1);
    }),
    Column::new("Phone", |row, mut draw, out| {
        put(out, place(row).4);
        put_number(out, draw.below(10_000), 4);
    }),
    Column::new("Website", |row, _, out| {
        put(out, "https://www.");
        slug(row, out);
        put(out, ".example.com");
    }),
    Column::new("Description", description),
    Column::new("BillingStreet", street),
    Column::new("BillingCity", |row, _, out| city(row, out)),
    Column::new("BillingState", |row, _, out| put(out, place(row).1)),
    Column::new("BillingPostalCode", |row, mut draw, out| {
        let digits = place(row).3;
        put_number(out, draw.below(10u64.pow(digits as u32)), digits as usize);
    }),
    Column::new("BillingCountry", |row, _, out| put(out, place(row).2)),
    Column::new("Active__c", |_, mut draw, out| {
        put(out, if draw.one_in(5) { "false" } else { "true" });
    }),
    Column::new("Last_Audit__c", |_, mut draw, out| {
        put_date(out, FIRST_DAY + draw.below(DAYS));
        out.push(b'T');
        put_clock(out, draw.below(86_400));
        put(out, ".000Z");
    }),
    Column::new("Contract_Start__c", |_, mut draw, out| {
        put_date(out, FIRST_DAY + draw.below(DAYS));
    }),
    Column::new("Score__c", |_, draw, out| score(draw, out)),
    Column::new("Segments__c", |_, draw, out| segments(draw, out)),
    Column::new("Tier__c", |_, mut draw, out| put(out, draw.pick(&words::TIER))),
    Column::new("Email__c", |row, mut draw, out| {
        put(out, draw.pick(&["info@", "office@", "sales@", "contact@"]));
        slug(row, out);
        put(out, ".example.com");
    }),
    Column::new("External_No__c", |row, _, out| {
        // Rendered as 1.0000007E7 by the org.
        put_number(out, 10_000_000 + row.number, 1);
    }),
    Column::new("Case_Key__c", |row, _, out| case_key(row.number, out)),
    Column::new("Opening_Time__c", |_, mut draw, out| {
        put_clock(out, 6 * 3600 + draw.below(12) * 1800);
        put(out, ".000Z");
    }),
    Column::new(TRAPS_ONLY[0], |_, _, _| {}),
    Column::new(TRAPS_ONLY[1], |_, _, _| {}),
];

/// A name that is all digits, for data in which every column is numeric.
pub(super) const NUMERIC_NAME: Column = Column::new("Name", |_, mut draw, out| {
    put_number(out, 10_000_000 + draw.below(900_000_000), 1);
});

/// Names a row whatever the seed, so that the data of another seed updates the
/// same records.
pub(super) fn legacy_id(row: u64, out: &mut Vec<u8>) {
    put(out, "ACC-");
    put_number(out, row, 8);
}

/// Two rows each have a key that differs in nothing but letter case.
fn case_key(row: u64, out: &mut Vec<u8>) {
    let begin = out.len();
    put(out, "key-");
    let mut number = row / 2;
    for _ in 0..6 {
        out.push(b'a' + (number % 26) as u8);
        number /= 26;
    }
    put_number(out, number, 1);
    if row % 2 == 1 {
        out[begin..].make_ascii_uppercase();
    }
}

fn company(row: Row) -> (&'static str, &'static str, &'static str, u64) {
    let mut draw = row.draw(COMPANY);
    (draw.pick(&words::FIRST), draw.pick(&words::SECOND), draw.pick(&words::SUFFIX), draw.next())
}

fn name(row: Row, out: &mut Vec<u8>) {
    let (first, second, suffix, other) = company(row);
    let one_of = |list: &[&'static str]| list[(other % list.len() as u64) as usize];
    match row.oddity() {
        Some(Oddity::Comma) => put_all(out, &[first, " ", second, ", ", suffix]),
        Some(Oddity::Quotes) => {
            put_all(out, &[first, " \"", one_of(&words::FIRST), "\" ", second]);
        }
        Some(Oddity::Umlaut) => put_all(out, &[one_of(&words::GERMAN), " & Söhne ", second]),
        Some(Oddity::Japanese) => put_all(out, &[one_of(&words::JAPANESE), " ", first]),
        Some(Oddity::Emoji) => put_all(out, &[first, " ", second, " ", one_of(&words::EMOJI)]),
        Some(Oddity::LineBreak) | None => put_all(out, &[first, " ", second, " ", suffix]),
    }
}

fn put_all(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        put(out, part);
    }
}

/// The company's name as it stands in an address of the net.
fn slug(row: Row, out: &mut Vec<u8>) {
    let (first, second, ..) = company(row);
    for byte in first.bytes() {
        out.push(if byte == b' ' { b'-' } else { byte.to_ascii_lowercase() });
    }
    out.push(b'-');
    out.extend(second.bytes().map(|byte| byte.to_ascii_lowercase()));
}

fn place(row: Row) -> words::Place {
    row.draw(PLACE).pick(&words::PLACES)
}

pub(super) fn city(row: Row, out: &mut Vec<u8>) {
    let mut draw = row.draw(PLACE);
    match row.oddity() {
        Some(Oddity::Umlaut) => put(out, draw.pick(&words::GERMAN_CITY)),
        Some(Oddity::Japanese) => put(out, draw.pick(&words::JAPANESE_CITY)),
        _ => put(out, draw.pick(&words::PLACES).0),
    }
}

fn street(row: Row, mut draw: Draw, out: &mut Vec<u8>) {
    if row.oddity() == Some(Oddity::LineBreak) {
        put(out, "Building ");
        put_number(out, 1 + draw.below(9), 1);
        out.push(b'\n');
    }
    put_number(out, 1 + draw.below(999), 1);
    out.push(b' ');
    put(out, draw.pick(&words::STREET));
    if row.oddity() == Some(Oddity::Comma) {
        put(out, ", Suite ");
        put_number(out, 100 + draw.below(900), 1);
    }
}

fn description(row: Row, mut draw: Draw, out: &mut Vec<u8>) {
    let oddity = row.oddity();
    for sentence in 0..=draw.below(4) {
        if sentence > 0 {
            out.push(if oddity == Some(Oddity::LineBreak) { b'\n' } else { b' ' });
        }
        put(out, draw.pick(&words::SENTENCE));
    }
}

/// From 10,000 up to a trillion, one in four with cents. No more than 15
/// digits, so that a double tells all of them apart.
fn revenue(mut draw: Draw, out: &mut Vec<u8>) {
    let least = 10u64.pow(4 + draw.below(8) as u32);
    put_number(out, least + draw.below(9 * least), 1);
    if draw.one_in(4) {
        out.push(b'.');
        put_number(out, draw.below(100), 2);
    }
}

/// From -100 to 1000 with up to four decimals, without zeros at the end.
fn score(mut draw: Draw, out: &mut Vec<u8>) {
    if draw.one_in(10) {
        out.push(b'-');
        put_number(out, 1 + draw.below(100), 1);
        return;
    }
    put_number(out, draw.below(1000), 1);
    let decimals = draw.below(5) as u32;
    if decimals > 0 {
        out.push(b'.');
        // The last digit is no zero.
        put_number(out, draw.below(10u64.pow(decimals - 1)), decimals as usize - 1);
        if decimals == 1 {
            out.pop();
        }
        put_number(out, 1 + draw.below(9), 1);
    }
}

/// One or more words; one in five rows has them in another order than the
/// org keeps them.
fn segments(mut draw: Draw, out: &mut Vec<u8>) {
    let chosen = 1 + draw.below(7);
    let backwards = draw.one_in(5);
    let mut any = false;
    for at in 0..words::SEGMENT.len() {
        let at = if backwards { words::SEGMENT.len() - 1 - at } else { at };
        if chosen >> at & 1 == 1 {
            if any {
                out.push(b';');
            }
            put(out, words::SEGMENT[at]);
            any = true;
        }
    }
}
