//! Rows that must not get through, one fault each.

/// Who refuses a row, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The org, with this code in `sf__Error`, as long as the record is new: an
    /// update takes an empty name for one that stays.
    Org(&'static str),
    /// bulkhaul itself, before sending.
    BeforeSending,
    /// bulkhaul before sending, or the org with this code when told to send
    /// all (`--duplicates keep`). The row before is concerned as well.
    Duplicate(&'static str),
}

/// What is done to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrapKind {
    /// The cell of a column holds this text.
    Text(&'static str),
    /// The cell of a column holds so many letters.
    Letters(usize),
    /// The cell of a column holds what the row before has there.
    SameAsBefore,
    /// The last cell is missing.
    CellMissing,
    /// There is a cell too many.
    CellTooMany,
    /// The cell of a column holds a byte that is no UTF-8.
    BrokenUtf8,
    /// The cell of a column has text behind its closing quote.
    AfterQuote,
}

/// A fault put into a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Trap {
    /// A short name.
    pub name: &'static str,
    /// The column it sits in; empty if it concerns the whole row.
    pub column: &'static str,
    /// What is done to the row.
    pub kind: TrapKind,
    /// Who refuses it.
    pub refusal: Refusal,
}

const fn text(
    name: &'static str,
    column: &'static str,
    text: &'static str,
    code: &'static str,
) -> Trap {
    Trap { name, column, kind: TrapKind::Text(text), refusal: Refusal::Org(code) }
}

const fn ours(name: &'static str, column: &'static str, kind: TrapKind) -> Trap {
    Trap { name, column, kind, refusal: Refusal::BeforeSending }
}

/// All traps for accounts. The codes are those of the platform ("Core data
/// types: `StatusCode`", SOAP API guide).
pub(super) const ACCOUNT: &[Trap] = &[
    text("missing name", "Name", "", "REQUIRED_FIELD_MISSING"),
    Trap {
        name: "name too long",
        column: "Name",
        kind: TrapKind::Letters(256),
        refusal: Refusal::Org("STRING_TOO_LONG"),
    },
    Trap {
        name: "account number too long",
        column: "AccountNumber",
        kind: TrapKind::Letters(41),
        refusal: Refusal::Org("STRING_TOO_LONG"),
    },
    text("no mail address", "Email__c", "not an address", "INVALID_EMAIL_ADDRESS"),
    text("date in German", "Contract_Start__c", "31.12.2025", "INVALID_TYPE_ON_FIELD_IN_RECORD"),
    text("no such day", "Contract_Start__c", "2025-02-30", "INVALID_TYPE_ON_FIELD_IN_RECORD"),
    text("no datetime", "Last_Audit__c", "yesterday", "INVALID_TYPE_ON_FIELD_IN_RECORD"),
    text("number in words", "AnnualRevenue", "ten million", "INVALID_TYPE_ON_FIELD_IN_RECORD"),
    text("grouped digits", "AnnualRevenue", "1,250,000", "INVALID_TYPE_ON_FIELD_IN_RECORD"),
    text(
        "number out of range",
        "AnnualRevenue",
        "1234567890123456789012",
        "NUMBER_OUTSIDE_VALID_RANGE",
    ),
    text("too many digits", "NumberOfEmployees", "123456789", "NUMBER_OUTSIDE_VALID_RANGE"),
    text(
        "value not on the restricted list",
        "Tier__c",
        "Diamond",
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
    ),
    text("unknown parent", "Parent.Legacy_Id__c", "NO-SUCH-ACCOUNT", "INVALID_FIELD"),
    text("malformed id", "OwnerId", "005-not-an-id", "MALFORMED_ID"),
    Trap {
        name: "same external id twice",
        column: "Legacy_Id__c",
        kind: TrapKind::SameAsBefore,
        refusal: Refusal::Duplicate("DUPLICATE_VALUE"),
    },
    ours("no boolean word", "Active__c", TrapKind::Text("maybe")),
    ours("a cell missing", "", TrapKind::CellMissing),
    ours("a cell too many", "", TrapKind::CellTooMany),
    ours("not UTF-8", "Name", TrapKind::BrokenUtf8),
    ours("text behind a closing quote", "Name", TrapKind::AfterQuote),
];

/// The columns of the file of traps.
pub(super) const COLUMNS: &[&str] = &[
    "Legacy_Id__c",
    "Name",
    "AccountNumber",
    "AnnualRevenue",
    "NumberOfEmployees",
    "Active__c",
    "Last_Audit__c",
    "Contract_Start__c",
    "Tier__c",
    "Email__c",
    "Parent.Legacy_Id__c",
    "OwnerId",
];
