//! The rules a row can break, and what each means for it.

use serde::Serialize;

/// How bad it is to break a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The org would refuse the row, or it could not be sent.
    Error,
    /// The org would take the row, but hardly with what was meant.
    Warning,
}

/// A rule that a row can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum CheckRule {
    /// The row can't be brought into a form that can be sent.
    Unsendable,
    /// A field that needs a value has none.
    Required,
    /// No value in the form that the type of the field takes.
    WrongType,
    /// A number that the field has no room for.
    OutOfRange,
    /// More characters than the field holds.
    TooLong,
    /// No value of a restricted picklist.
    PicklistValue,
    /// A value of the picklist that the row's record type doesn't have.
    PicklistOfRecordType,
    /// No mail address.
    Email,
    /// No record id.
    BadId,
    /// The id of a record of another object.
    WrongObject,
    /// A record type that new records of the object can't have.
    RecordType,
    /// The row doesn't say which record it is about.
    MissingKey,
    /// Another row is about the same record.
    DuplicateKey,
    /// Another row has the same value in a field that takes each once.
    DuplicateUnique,
    /// The org has a record with this value already.
    ExistsAlready,
    /// The org doesn't have the record that the row is about.
    MissingRecord,
    /// The org doesn't have the parent.
    MissingParent,
    /// The org doesn't have a parent of this id.
    MissingParentId,
    /// The org has several parents of this key.
    AmbiguousParent,
    /// The parent is a row of this source, not yet a record.
    ParentInSource,
    /// The owner can't own records any more.
    InactiveOwner,
    /// A field that new records need has no value; it may be there already.
    RequiredIfNew,
    /// A value that the picklist doesn't offer, but takes.
    NewPicklistValue,
    /// More digits behind the decimal point than the field keeps.
    ExtraDigits,
    /// Another row is the same in every field that is sent.
    IdenticalRow,
    /// A long number that a spreadsheet wrote with an exponent.
    Exponent,
    /// A number that is shorter than the others of its column.
    LostZeros,
    /// Something that a spreadsheet took for a date.
    SpreadsheetDate,
    /// The error of a formula.
    SpreadsheetError,
    /// `#N/A`, which clears the field.
    NotAvailable,
    /// Two ids that differ in letter case alone.
    CaseTwins,
    /// Text that was read in the wrong encoding once.
    Garbled,
}

impl CheckRule {
    /// All of them, errors first.
    pub const ALL: [CheckRule; 32] = [
        CheckRule::Unsendable,
        CheckRule::Required,
        CheckRule::WrongType,
        CheckRule::OutOfRange,
        CheckRule::TooLong,
        CheckRule::PicklistValue,
        CheckRule::PicklistOfRecordType,
        CheckRule::Email,
        CheckRule::BadId,
        CheckRule::WrongObject,
        CheckRule::RecordType,
        CheckRule::MissingKey,
        CheckRule::DuplicateKey,
        CheckRule::DuplicateUnique,
        CheckRule::ExistsAlready,
        CheckRule::MissingRecord,
        CheckRule::MissingParent,
        CheckRule::MissingParentId,
        CheckRule::AmbiguousParent,
        CheckRule::ParentInSource,
        CheckRule::InactiveOwner,
        CheckRule::RequiredIfNew,
        CheckRule::NewPicklistValue,
        CheckRule::ExtraDigits,
        CheckRule::IdenticalRow,
        CheckRule::Exponent,
        CheckRule::LostZeros,
        CheckRule::SpreadsheetDate,
        CheckRule::SpreadsheetError,
        CheckRule::NotAvailable,
        CheckRule::CaseTwins,
        CheckRule::Garbled,
    ];

    /// The rule of this number ([`CheckRule::number`]).
    pub(crate) fn of_number(number: u8) -> Option<CheckRule> {
        CheckRule::ALL.get(usize::from(number)).copied()
    }

    /// Its place among [`CheckRule::ALL`].
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    /// Its name for machines.
    pub const fn name(self) -> &'static str {
        match self {
            CheckRule::Unsendable => "unsendable",
            CheckRule::Required => "required",
            CheckRule::WrongType => "wrong-type",
            CheckRule::OutOfRange => "out-of-range",
            CheckRule::TooLong => "too-long",
            CheckRule::PicklistValue => "picklist-value",
            CheckRule::PicklistOfRecordType => "picklist-of-record-type",
            CheckRule::Email => "email",
            CheckRule::BadId => "bad-id",
            CheckRule::WrongObject => "wrong-object",
            CheckRule::RecordType => "record-type",
            CheckRule::MissingKey => "missing-key",
            CheckRule::DuplicateKey => "duplicate-key",
            CheckRule::DuplicateUnique => "duplicate-unique",
            CheckRule::ExistsAlready => "exists-already",
            CheckRule::MissingRecord => "missing-record",
            CheckRule::MissingParent => "missing-parent",
            CheckRule::MissingParentId => "missing-parent-id",
            CheckRule::AmbiguousParent => "ambiguous-parent",
            CheckRule::ParentInSource => "parent-in-source",
            CheckRule::InactiveOwner => "inactive-owner",
            CheckRule::RequiredIfNew => "required-if-new",
            CheckRule::NewPicklistValue => "new-picklist-value",
            CheckRule::ExtraDigits => "extra-digits",
            CheckRule::IdenticalRow => "identical-row",
            CheckRule::Exponent => "exponent",
            CheckRule::LostZeros => "lost-zeros",
            CheckRule::SpreadsheetDate => "spreadsheet-date",
            CheckRule::SpreadsheetError => "spreadsheet-error",
            CheckRule::NotAvailable => "not-available",
            CheckRule::CaseTwins => "case-twins",
            CheckRule::Garbled => "garbled",
        }
    }

    /// Whether the row would fail.
    pub const fn severity(self) -> Severity {
        if (self as u8) < CheckRule::RequiredIfNew as u8 {
            Severity::Error
        } else {
            Severity::Warning
        }
    }

    /// The status code with which the org refuses such a row ("Core Data Types
    /// Used in API Calls", `StatusCode`, SOAP API guide); `None` where it takes
    /// it, or never sees it.
    pub const fn org_code(self) -> Option<&'static str> {
        Some(match self {
            CheckRule::Required => "REQUIRED_FIELD_MISSING",
            CheckRule::WrongType => "INVALID_TYPE_ON_FIELD_IN_RECORD",
            CheckRule::OutOfRange => "NUMBER_OUTSIDE_VALID_RANGE",
            CheckRule::TooLong => "STRING_TOO_LONG",
            CheckRule::PicklistValue | CheckRule::PicklistOfRecordType => {
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
            }
            CheckRule::Email => "INVALID_EMAIL_ADDRESS",
            CheckRule::BadId | CheckRule::WrongObject => "MALFORMED_ID",
            CheckRule::MissingKey => "MISSING_ARGUMENT",
            CheckRule::DuplicateKey | CheckRule::DuplicateUnique | CheckRule::ExistsAlready => {
                "DUPLICATE_VALUE"
            }
            CheckRule::RecordType | CheckRule::MissingRecord | CheckRule::MissingParentId => {
                "INVALID_CROSS_REFERENCE_KEY"
            }
            CheckRule::MissingParent | CheckRule::ParentInSource => "INVALID_FIELD",
            CheckRule::AmbiguousParent => "DUPLICATE_EXTERNAL_ID",
            CheckRule::InactiveOwner => "INACTIVE_OWNER_OR_USER",
            _ => return None,
        })
    }

    /// What is wrong with the rows, in a clause that fits behind their number.
    pub const fn title(self) -> &'static str {
        match self {
            CheckRule::Unsendable => "can't be sent",
            CheckRule::Required => "a required field has no value",
            CheckRule::WrongType => "the value is not of the field's type",
            CheckRule::OutOfRange => "the number is larger than the field takes",
            CheckRule::TooLong => "the text is longer than the field",
            CheckRule::PicklistValue => "the value is not on the restricted picklist",
            CheckRule::PicklistOfRecordType => "the record type doesn't have the picklist value",
            CheckRule::Email => "the value is no mail address",
            CheckRule::BadId => "the value is no record id",
            CheckRule::WrongObject => "the id is of another object",
            CheckRule::RecordType => "the record type can't be given",
            CheckRule::MissingKey => "the key is empty",
            CheckRule::DuplicateKey => "another row has the same key",
            CheckRule::DuplicateUnique => "another row has the same value in a unique field",
            CheckRule::ExistsAlready => "the org has a record with this unique value",
            CheckRule::MissingRecord => "the org doesn't have the record",
            CheckRule::MissingParent => "the org doesn't have the parent",
            CheckRule::MissingParentId => "the org doesn't have a record of this id",
            CheckRule::AmbiguousParent => "the org has several parents of this key",
            CheckRule::ParentInSource => "the parent is a row of this source, not yet in the org",
            CheckRule::InactiveOwner => "the owner is not active",
            CheckRule::RequiredIfNew => {
                "a required field has no value; fails where the record is new"
            }
            CheckRule::NewPicklistValue => "the picklist doesn't offer the value, but takes it",
            CheckRule::ExtraDigits => "more digits behind the point than the field keeps",
            CheckRule::IdenticalRow => "another row is the same in every field",
            CheckRule::Exponent => "a spreadsheet wrote a long number with an exponent",
            CheckRule::LostZeros => {
                "shorter than the other numbers of its column: lost zeros at the start?"
            }
            CheckRule::SpreadsheetDate => "looks as if a spreadsheet took it for a date",
            CheckRule::SpreadsheetError => "the error of a spreadsheet's formula",
            CheckRule::NotAvailable => "#N/A, which clears the field",
            CheckRule::CaseTwins => "another row has the same 15-character id but for letter case",
            CheckRule::Garbled => "looks like text that was read in the wrong encoding",
        }
    }

    /// What to do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            CheckRule::Unsendable => "mend the rows; the file of offending rows says what is wrong",
            CheckRule::Required | CheckRule::RequiredIfNew => {
                "fill the column, or give a default in a mapping file"
            }
            CheckRule::WrongType => {
                "say in a mapping file how dates, numbers and booleans are written"
            }
            CheckRule::OutOfRange => "mend the values, or make the field larger",
            CheckRule::TooLong => "shorten them, with `truncate` in a mapping file for example",
            CheckRule::PicklistValue
            | CheckRule::PicklistOfRecordType
            | CheckRule::NewPicklistValue => {
                "translate the values with a value map, or add them to the picklist"
            }
            CheckRule::Email => "mend the addresses, or leave them empty",
            CheckRule::BadId | CheckRule::WrongObject => {
                "look up ids anew, or name parents by an external id"
            }
            CheckRule::RecordType => "name a record type that this user may give",
            CheckRule::MissingKey => "fill the key; rows without one can't be matched",
            CheckRule::DuplicateKey => "say which row counts with --duplicates",
            CheckRule::DuplicateUnique => "mend the values; the org keeps them unique",
            CheckRule::ExistsAlready => "upsert by this field instead, or leave the rows out",
            CheckRule::MissingRecord => "the record was deleted, or the id is of another org",
            CheckRule::MissingParent | CheckRule::MissingParentId => "load the parents first",
            CheckRule::AmbiguousParent => "name parents by a field that is unique",
            CheckRule::ParentInSource => {
                "load the rows without their parents first, then set the lookup in a second load"
            }
            CheckRule::InactiveOwner => "give the rows to an active user",
            CheckRule::ExtraDigits => "round them in a mapping file, so that you choose how",
            CheckRule::IdenticalRow => "leave one of them out if they are the same thing",
            CheckRule::Exponent | CheckRule::LostZeros | CheckRule::SpreadsheetDate => {
                "export the column again as text; what the spreadsheet changed can't be restored"
            }
            CheckRule::SpreadsheetError => "mend the formula and export again",
            CheckRule::NotAvailable => "empty the cells if the fields are not to be cleared",
            CheckRule::CaseTwins => {
                "they are two records; a spreadsheet takes them for one, so use 18 characters"
            }
            CheckRule::Garbled => "export again, or say how the file is written with --encoding",
        }
    }
}

impl Serialize for CheckRule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_stands_at_its_number_and_errors_come_first() {
        for (at, rule) in CheckRule::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(rule.number()), at);
            assert_eq!(CheckRule::of_number(at as u8), Some(rule));
        }
        assert!(CheckRule::ALL.is_sorted_by_key(|rule| rule.severity()));
        assert_eq!(CheckRule::of_number(32), None);
        // What the org refuses is an error.
        for rule in CheckRule::ALL {
            assert!(rule.org_code().is_none() || rule.severity() == Severity::Error);
        }
    }
}
