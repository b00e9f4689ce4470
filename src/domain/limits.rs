//! Documented limits of Bulk API 2.0, each with the page it comes from.
//!
//! Source of all figures unless noted: "Limits Quick Reference: Bulk API and
//! Bulk API 2.0 Limits and Allocations", Salesforce Developer Limits and
//! Allocations, 2026.

/// Rows the service puts into one internal batch. Each batch a job starts
/// counts once against the daily allowance.
pub const ROWS_PER_BATCH: u64 = 10_000;

/// Rows the service saves in one transaction; also the size of a trigger's
/// batch. Rows sharing an upsert key inside one of these fail together.
pub const ROWS_PER_SAVE: u64 = 200;

/// Bytes of CSV one job may hold. The service's limit is 150 MB after base64,
/// for which its guide advises 100 MB of CSV.
pub const MAX_JOB_BYTES: u64 = 100_000_000;

/// Characters one cell may hold.
pub const MAX_FIELD_CHARS: usize = 131_072;

/// Characters one record may hold.
pub const MAX_RECORD_CHARS: usize = 400_000;

/// Fields one record may hold.
pub const MAX_RECORD_FIELDS: usize = 5_000;

/// Characters the header row may hold ("CSV header", Bulk API 2.0 guide).
pub const MAX_HEADER_CHARS: usize = 32_000;

/// Batches an org may start per rolling 24 hours, shared with Bulk API 1.0.
pub const BATCHES_PER_DAY: u64 = 15_000;

/// Rows a job's default chunk holds at most (`--chunk-rows`).
pub const DEFAULT_CHUNK_ROWS: u64 = 250_000;
