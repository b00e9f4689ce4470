//! What new records take of the org's data storage.

use crate::domain::Operation;
use crate::pipeline::Prepared;

/// Storage that a load takes, about, and what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageNeed {
    /// Bytes that the new records take; of an upsert, if all were new.
    pub bytes: u64,
    /// Bytes that are left.
    pub remaining: u64,
}

impl StorageNeed {
    /// Whether there is room.
    pub const fn fits(self) -> bool {
        self.bytes <= self.remaining
    }
}

/// Bytes the org reckons for a record, whatever is in it ("Salesforce Record
/// Size Overview", Help): 2 KB for most objects.
fn record_bytes(object: &str) -> u64 {
    match object {
        "CampaignMember" => 1_024,
        "Campaign" => 8_192,
        _ if object.ends_with("__kav") => 4_096,
        _ => 2_048,
    }
}

/// `None` where nothing is made, or the org doesn't tell.
pub(super) fn need(prepared: &Prepared) -> Option<StorageNeed> {
    let creates = matches!(prepared.request.operation, Operation::Insert | Operation::Upsert);
    let storage = prepared.limits.as_ref()?.data_storage_mb().filter(|_| creates)?;
    Some(StorageNeed {
        bytes: prepared.estimate.rows.saturating_mul(record_bytes(&prepared.object.name)),
        remaining: storage.remaining.saturating_mul(1 << 20),
    })
}
