//! The columns of contacts.

use super::account;
use super::column::Column;
use super::draw::{Oddity, Row, put, put_date, put_number};
use super::words;

/// Draws that the parts of a person's name share with the mail address.
const PERSON: u64 = 0xC2;

/// Contacts for each account: row `n` belongs to one of the first
/// `n / 4 + 1` accounts.
const PER_ACCOUNT: u64 = 4;

/// What a contact has at least.
pub(super) const DEFAULT: &[&str] = &[
    "Legacy_Id__c",
    "FirstName",
    "LastName",
    "Email",
    "Phone",
    "Title",
    "Department",
    "Birthdate",
    "MailingCity",
    "DoNotCall",
    "Account.Legacy_Id__c",
];

/// All columns.
pub(super) const COLUMNS: &[Column] = &[
    Column::new("Legacy_Id__c", |row, _, out| {
        put(out, "CON-");
        put_number(out, row.number, 8);
    }),
    Column::new("FirstName", |row, _, out| put(out, person(row).0)),
    Column::new("LastName", |row, mut draw, out| match row.oddity() {
        Some(Oddity::Umlaut) => put(out, draw.pick(&words::GERMAN)),
        Some(Oddity::Japanese) => put(out, "山田"),
        Some(Oddity::Comma) => {
            put(out, person(row).1);
            put(out, ", PhD");
        }
        Some(Oddity::Quotes) => {
            put(out, "\"");
            put(out, person(row).0);
            put(out, "\" ");
            put(out, person(row).1);
        }
        _ => put(out, person(row).1),
    }),
    Column::new("Email", |row, _, out| {
        let (given, family) = person(row);
        out.extend(given.bytes().map(|byte| byte.to_ascii_lowercase()));
        out.push(b'.');
        out.extend(family.bytes().map(|byte| byte.to_ascii_lowercase()));
        put_number(out, row.number, 1);
        put(out, "@example.com");
    }),
    Column::new("Phone", |_, mut draw, out| {
        put(out, "+1 312 555 ");
        put_number(out, draw.below(10_000), 4);
    }),
    Column::new("Title", |_, mut draw, out| put(out, draw.pick(&words::TITLE))),
    Column::new("Department", |_, mut draw, out| put(out, draw.pick(&words::DEPARTMENT))),
    Column::new("Birthdate", |_, mut draw, out| put_date(out, draw.below(35 * 365))),
    Column::new("MailingCity", |row, _, out| account::city(row, out)),
    Column::new("DoNotCall", |_, mut draw, out| {
        put(out, if draw.one_in(4) { "true" } else { "false" });
    }),
    Column::new("Account.Legacy_Id__c", |row, mut draw, out| {
        account::legacy_id(1 + draw.below(row.number / PER_ACCOUNT + 1), out);
    }),
];

fn person(row: Row) -> (&'static str, &'static str) {
    let mut draw = row.draw(PERSON);
    (draw.pick(&words::GIVEN), draw.pick(&words::FAMILY))
}
