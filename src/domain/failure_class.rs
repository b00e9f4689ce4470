//! What a failure means for a row or a job: whether sending it again can help,
//! and whether it may be sent again (I2).
//!
//! The classes are those of the protocol notes ("Row-level status codes", "Bulk
//! error codes"). New codes come with every release of the service; one that is
//! not known here is permanent: the row is told as failed, which a person can
//! repair, and is not sent over and over.

use super::Fate;

/// What the failure of a row means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureClass {
    /// Another transaction held a record: it passes, best one job at a time.
    Lock,
    /// It passes by itself.
    Transient,
    /// The org has no room or licence left. Every further row would fail, so
    /// the run stops.
    Capacity,
    /// A record with this key is there already; of a row that was sent before,
    /// it may be our own.
    Duplicate,
    /// Sending the row again as it is can't help.
    Permanent,
}

/// What the failure of a whole job means, by its `errorMessage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobFailureClass {
    /// The same rows would fail the same way: a wrong header, broken CSV, a
    /// missing permission, or a reason nobody knows.
    Permanent,
    /// Too many locks; smaller jobs, one at a time, help.
    Lock,
    /// Trouble of the platform, which passes.
    Transient,
    /// The allowance of the last 24 hours is used up (I9).
    Quota,
}

/// The answer to "may this row be sent again?".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Again {
    /// No; its outcome is final.
    No,
    /// Yes, in any fresh job.
    Now,
    /// Yes, but last, in jobs that run one at a time.
    LockPass,
}

/// The one code after which an unprotected insert may be sent again.
const ROW_LOCK: &str = "UNABLE_TO_LOCK_ROW";

/// Texts by which a trigger, flow or limit shows that what it ran into passes.
const PASSING: [&str; 5] =
    ["apex cpu time limit", "timeout", "time-out", "timed out", "query_timeout"];

/// Texts of a record that a person locked: an approval process under way. "The
/// entity is locked for editing" is what that lock is called in the API.
const APPROVAL: [&str; 2] = ["approval", "locked for editing"];

impl FailureClass {
    /// Classifies an `sf__Error` text (`CODE:message:fields --`).
    pub fn of(error: &str) -> FailureClass {
        let code = code_of(error);
        match code {
            ROW_LOCK => FailureClass::Lock,
            "ENTITY_IS_LOCKED" => {
                if has_any(error, &APPROVAL) {
                    FailureClass::Permanent
                } else {
                    FailureClass::Lock
                }
            }
            "UNKNOWN_EXCEPTION"
            | "INTERNAL_ERROR"
            | "QUERY_TIMEOUT"
            | "REQUEST_RUNNING_TOO_LONG"
            | "SERVICE_UNAVAILABLE"
            | "SERVER_UNAVAILABLE"
            | "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE"
            | "TERRITORY_REALIGN_IN_PROGRESS"
            | "COLLISION_DETECTED"
            | "TOO_MANY_APEX_REQUESTS" => FailureClass::Transient,
            // An org's own code failed: what counts is what it ran into.
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
            | "CANNOT_EXECUTE_FLOW_TRIGGER"
            | "APEX_FAILED"
            | "LIMIT_EXCEEDED" => {
                if error.contains(ROW_LOCK) {
                    FailureClass::Lock
                } else if has_any(error, &PASSING) {
                    FailureClass::Transient
                } else {
                    FailureClass::Permanent
                }
            }
            "DUPLICATE_VALUE"
            | "DUPLICATE_EXTERNAL_ID"
            | "DUPLICATES_DETECTED"
            | "DUPLICATE_USERNAME" => FailureClass::Duplicate,
            "STORAGE_LIMIT_EXCEEDED"
            | "LICENSE_LIMIT_EXCEEDED"
            | "MAXIMUM_SIZE_OF_ATTACHMENT"
            | "FILE_SIZE_LIMIT_EXCEEDED" => FailureClass::Capacity,
            // Among them ALL_OR_NONE_OPERATION_ROLLED_BACK, which only
            // collections return.
            _ => FailureClass::Permanent,
        }
    }

    /// Whether the row may be saved when it is sent again unchanged.
    pub const fn passes(self) -> bool {
        matches!(self, FailureClass::Lock | FailureClass::Transient)
    }
}

impl JobFailureClass {
    /// Classifies a job's `errorMessage` (`Code : text`). What is unknown is
    /// permanent: such a job may have failed for what its rows hold, and the
    /// org's daily batches would go into it.
    pub fn of(message: &str) -> JobFailureClass {
        let code = message.split(':').next().unwrap_or_default();
        // The same names come in both spellings: `ExceededQuota` in a job,
        // `EXCEEDEDQUOTA` (or with underscores) in a reply.
        let code: String = code
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|letter| letter.to_ascii_lowercase())
            .collect();
        match code.as_str() {
            "toomanylockfailure" => JobFailureClass::Lock,
            "internalservererror" | "timeout" => JobFailureClass::Transient,
            "exceededquota" | "limitexceeded" | "requestlimitexceeded" => JobFailureClass::Quota,
            _ => JobFailureClass::Permanent,
        }
    }
}

/// Whether bulkhaul may by itself send a row again (I2).
///
/// - `fate` and `error`: what became of it, and its `sf__Error` if it failed.
/// - `attempts`: how many closed jobs carried it; `limit`: how many may
///   (`--row-attempts`).
/// - `protected`: whether a second save of the row can't make a second record:
///   no insert, or an insert by a key that the org keeps unique.
/// - `whole`: whether the three result sets of its job add up. Without that, a
///   row shown as unprocessed may have been saved.
///
/// Of an unprotected row, nothing but `UNABLE_TO_LOCK_ROW` and being
/// unprocessed leads to a second attempt: any other failure may hide a record
/// that was made all the same.
pub fn may_send_again(
    fate: Fate,
    error: Option<&str>,
    attempts: u8,
    limit: u8,
    protected: bool,
    whole: bool,
) -> Again {
    if attempts >= limit {
        return Again::No;
    }
    match fate {
        Fate::Unprocessed if whole => Again::Now,
        Fate::Failed => {
            let error = error.unwrap_or_default();
            match FailureClass::of(error) {
                FailureClass::Lock if protected || code_of(error) == ROW_LOCK => Again::LockPass,
                FailureClass::Transient if protected => Again::Now,
                _ => Again::No,
            }
        }
        _ => Again::No,
    }
}

/// The code before the first colon; empty when there is none.
fn code_of(error: &str) -> &str {
    error.split_once(':').map_or("", |(code, _)| code.trim())
}

/// Whether a text holds one of these, whatever the letter case.
fn has_any(text: &str, wanted: &[&str]) -> bool {
    let text = text.to_ascii_lowercase();
    wanted.iter().any(|wanted| text.contains(wanted))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every code of the protocol notes, with a text as the service writes it.
    const CODES: &[(FailureClass, &[&str])] = &[
        (
            FailureClass::Lock,
            &[
                "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record or 200 \
                 records: 0017Q00000AbCde:--",
                "ENTITY_IS_LOCKED:the record is being changed by another process:--",
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:Trigger: execution of AfterInsert caused \
                 by: System.DmlException: first error: UNABLE_TO_LOCK_ROW, unable to obtain \
                 exclusive access: []:--",
                "CANNOT_EXECUTE_FLOW_TRIGGER:This error occurred: UNABLE_TO_LOCK_ROW: x:--",
                "APEX_FAILED:UNABLE_TO_LOCK_ROW:--",
            ],
        ),
        (
            FailureClass::Transient,
            &[
                "UNKNOWN_EXCEPTION:An unexpected error occurred. ErrorId: 1-2 (3):--",
                "INTERNAL_ERROR:x:--",
                "QUERY_TIMEOUT:Your query request was running for too long.:--",
                "REQUEST_RUNNING_TOO_LONG:x:--",
                "SERVICE_UNAVAILABLE:x:--",
                "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE:x:--",
                "TERRITORY_REALIGN_IN_PROGRESS:x:--",
                "COLLISION_DETECTED:x:--",
                "TOO_MANY_APEX_REQUESTS:x:--",
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:T: System.LimitException: Apex CPU time \
                 limit exceeded:--",
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:T: System.CalloutException: Read timed \
                 out:--",
                "CANNOT_EXECUTE_FLOW_TRIGGER:Apex CPU time limit exceeded:--",
                "APEX_FAILED:a timeout:--",
                "LIMIT_EXCEEDED:Apex CPU time limit exceeded:--",
            ],
        ),
        (
            FailureClass::Duplicate,
            &[
                "DUPLICATE_VALUE:duplicate value found: Ext__c duplicates value on record with \
                 id: 0017Q00000AbCde:--",
                "DUPLICATE_VALUE:Duplicate external id specified: A-1:Ext__c --",
                "DUPLICATE_EXTERNAL_ID:Ext__c: more than one record found:--",
                "DUPLICATES_DETECTED:Use one of these records?:--",
                "DUPLICATE_USERNAME:x:--",
            ],
        ),
        (
            FailureClass::Capacity,
            &[
                "STORAGE_LIMIT_EXCEEDED:storage limit exceeded:--",
                "LICENSE_LIMIT_EXCEEDED:x:--",
                "MAXIMUM_SIZE_OF_ATTACHMENT:x:--",
                "FILE_SIZE_LIMIT_EXCEEDED:x:--",
            ],
        ),
        (
            FailureClass::Permanent,
            &[
                "ENTITY_IS_LOCKED:the entity is locked for editing:--",
                "ENTITY_IS_LOCKED:entity is locked for approval:--",
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:T: System.NullPointerException:--",
                "CANNOT_EXECUTE_FLOW_TRIGGER:a required field is missing:--",
                "APEX_FAILED:x:--",
                "LIMIT_EXCEEDED:x:--",
                "ALL_OR_NONE_OPERATION_ROLLED_BACK:x:--",
                "INVALID_FIELD:Foreign key external ID: 123 not found for field Legacy_Id__c in \
                 entity Account:--",
                "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--",
                "ENTITY_IS_DELETED:entity is deleted:--",
                "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --",
                "STRING_TOO_LONG:data value too large: a timeout (max length=80):Name --",
                "FIELD_CUSTOM_VALIDATION_EXCEPTION:x:--",
                "FIELD_FILTER_VALIDATION_EXCEPTION:x:--",
                "FIELD_INTEGRITY_EXCEPTION:x:--",
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:x:--",
                "INVALID_TYPE_ON_FIELD_IN_RECORD:x:--",
                "INVALID_EMAIL_ADDRESS:x:--",
                "MALFORMED_ID:bad id 123:--",
                "NUMBER_OUTSIDE_VALID_RANGE:x:--",
                "TEXT_DATA_OUTSIDE_SUPPORTED_CHARSET:x:--",
                "INVALID_CURRENCY_ISO:x:--",
                "CIRCULAR_DEPENDENCY:x:--",
                "INVALID_ID_FIELD:x:--",
                "MISSING_ARGUMENT:Id not specified in an update call:--",
                "INVALID_FIELD_FOR_INSERT_UPDATE:Unable to create/update fields: CreatedDate.:--",
                "FIELD_NOT_UPDATABLE:x:--",
                "INSUFFICIENT_ACCESS_OR_READONLY:x:--",
                "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY:x:--",
                "INVALID_CROSS_REFERENCE_TYPE_FOR_FIELD:x:--",
                "OP_WITH_INVALID_USER_TYPE_EXCEPTION:x:--",
                "INACTIVE_OWNER_OR_USER:x:--",
                "TRANSFER_REQUIRES_READ:x:--",
                "MIXED_DML_OPERATION:x:--",
                "DELETE_FAILED:x:--",
                "CANNOT_REPARENT_RECORD:x:--",
                "CANNOT_UPDATE_CONVERTED_LEAD:x:--",
                "A_CODE_OF_NEXT_YEAR:UNABLE_TO_LOCK_ROW:--",
                "no code at all",
                "",
            ],
        ),
    ];

    fn every_code() -> impl Iterator<Item = (FailureClass, &'static str)> {
        CODES.iter().flat_map(|(class, texts)| texts.iter().map(|text| (*class, *text)))
    }

    #[test]
    fn every_known_code_has_its_class() {
        for (class, text) in every_code() {
            assert_eq!(FailureClass::of(text), class, "{text}");
        }
    }

    #[test]
    fn a_failed_job_is_sent_again_only_for_a_reason_known_to_pass() {
        use JobFailureClass::{Lock, Permanent, Quota, Transient};
        let table = [
            ("InvalidBatch : Field name not found : Foo__c", Permanent),
            ("InvalidBatch : Failed to parse CSV. Found unescaped quote", Permanent),
            ("ClientInputError : LineEnding is invalid on user data.", Permanent),
            ("InvalidEntity : x", Permanent),
            ("InvalidUser : x", Permanent),
            ("FeatureNotEnabled : x", Permanent),
            ("TransactionSecurityBlock : x", Permanent),
            ("TransactionSecurityInternalError : x", Permanent),
            ("Unknown : x", Permanent),
            ("SomethingNew : Timeout", Permanent),
            ("", Permanent),
            ("TooManyLockFailure : Too many lock failure 200 Trying again later.", Lock),
            ("TOO_MANY_LOCK_FAILURE : x", Lock),
            ("InternalServerError : x", Transient),
            ("InternalServerError", Transient),
            ("Timeout : x", Transient),
            ("ExceededQuota : ApiBatchItems Limit exceeded", Quota),
            ("EXCEEDEDQUOTA: x", Quota),
        ];
        for (message, class) in table {
            assert_eq!(JobFailureClass::of(message), class, "{message}");
        }
    }

    #[test]
    fn protected_rows_are_sent_again_for_what_passes() {
        for (class, text) in every_code() {
            let again = may_send_again(Fate::Failed, Some(text), 1, 3, true, true);
            let expected = match class {
                FailureClass::Lock => Again::LockPass,
                FailureClass::Transient => Again::Now,
                _ => Again::No,
            };
            assert_eq!(again, expected, "{text}");
            assert_eq!(class.passes(), again != Again::No);
        }
    }

    #[test]
    fn the_limit_ends_it() {
        let lock = Some("UNABLE_TO_LOCK_ROW:x:--");
        for (attempts, expected) in [(1, Again::LockPass), (2, Again::LockPass), (3, Again::No)] {
            assert_eq!(may_send_again(Fate::Failed, lock, attempts, 3, true, true), expected);
        }
        assert_eq!(may_send_again(Fate::Failed, lock, 1, 1, true, true), Again::No);
        assert_eq!(may_send_again(Fate::Unprocessed, None, 3, 3, true, true), Again::No);
        assert_eq!(
            may_send_again(Fate::Unprocessed, None, u8::MAX, u8::MAX, true, true),
            Again::No
        );
    }

    #[test]
    fn unprocessed_rows_are_sent_again_only_when_the_sets_add_up() {
        for protected in [true, false] {
            assert_eq!(may_send_again(Fate::Unprocessed, None, 1, 3, protected, true), Again::Now);
            assert_eq!(may_send_again(Fate::Unprocessed, None, 1, 3, protected, false), Again::No);
        }
    }

    proptest! {
        #[test]
        fn an_unprotected_row_is_never_sent_again_but_after_a_row_lock(
            known in prop::sample::select(every_code().map(|(_, text)| text).collect::<Vec<_>>()),
            tail in "[ -~]{0,30}",
            made_up in prop::option::of("[A-Z_]{1,20}:[ -~]{0,40}(UNABLE_TO_LOCK_ROW)?:--"),
            attempts in 0u8..10,
            limit in 0u8..10,
            whole: bool,
        ) {
            let text = made_up.unwrap_or_else(|| format!("{known}{tail}"));
            let again = may_send_again(Fate::Failed, Some(&text), attempts, limit, false, whole);
            if again != Again::No {
                prop_assert!(text.starts_with("UNABLE_TO_LOCK_ROW:"), "{}", text);
                prop_assert!(attempts < limit);
            }
        }

        #[test]
        fn a_row_that_was_saved_or_is_disputed_is_never_sent_again(
            fate in prop::sample::select(vec![
                Fate::Created, Fate::Updated, Fate::Deleted, Fate::Disputed, Fate::Rejected,
            ]),
            text in prop::option::of(prop::sample::select(
                every_code().map(|(_, text)| text).collect::<Vec<_>>(),
            )),
            protected: bool,
            whole: bool,
        ) {
            prop_assert_eq!(may_send_again(fate, text, 0, u8::MAX, protected, whole), Again::No);
        }
    }
}
