//! Every switch of the local org.
//!
//! The defaults are strict: where sources disagree or say nothing
//! (protocol notes, section 12), the org takes the side that is harder on a
//! client. docs/local-org.md lists each rule with its source and its switch.

use serde::{Deserialize, Serialize};

use super::automation::Automation;
use super::faults::FaultSpec;

/// What the second upload to one job meets (section 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecondUpload {
    /// 400 `INVALIDJOB` at once (reported 2026).
    #[default]
    RefuseUpload,
    /// Taken, and the close fails with the same error (reported 2018).
    RefuseClose,
}

/// What an upload to a job that isn't open any more meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UploadAfterClose {
    /// 400 `INVALIDJOBSTATE`.
    #[default]
    Refuse,
    /// 201, and the data is dropped.
    Ignore,
}

/// What result sets show before the job has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EarlyResults {
    /// 400 `INVALIDJOBSTATE`.
    #[default]
    Refuse,
    /// What there is so far.
    Partial,
}

/// How an empty result set is told (section 3, rule 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyResults {
    /// The header line alone.
    #[default]
    HeaderOnly,
    /// 200 without a body.
    EmptyBody,
    /// 204.
    NoContent,
}

/// How many errors of a row `sf__Error` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowErrors {
    /// The first.
    #[default]
    First,
    /// All that were found, joined by `;`.
    All,
}

/// What an empty cell in quotes (`""`) means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuotedEmpty {
    /// The same as an empty cell: nothing is set.
    #[default]
    LeavesField,
    /// The field is cleared, as by `#N/A`.
    ClearsField,
}

/// Words in boolean cells other than true, false, 1, 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OtherBooleanWords {
    /// Read as false.
    #[default]
    AreFalse,
    /// The row fails.
    FailRow,
}

/// How a cell that cleared a field is shown in result sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClearedCells {
    /// Empty: results are rendered from values.
    #[default]
    Empty,
    /// `#N/A`, as uploaded.
    AsUploaded,
}

/// Rows of an upsert whose external id is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyKey {
    /// They fail with `MISSING_ARGUMENT`.
    #[default]
    FailRow,
    /// They are inserted.
    Insert,
}

/// An update without an `Id` column, an upsert without its external id's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingKeyColumn {
    /// Every row fails with `MISSING_ARGUMENT`.
    #[default]
    FailRows,
    /// The job fails with `InvalidBatch`.
    FailJob,
}

/// Where columns with relationship headers stand in result sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelationshipColumns {
    /// Where they stood in the upload.
    #[default]
    InPlace,
    /// Behind all others.
    Last,
}

/// What happens when the rolling 24 hours have no batch left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchesUsedUp {
    /// The job fails at the batch that is one too many.
    #[default]
    FailJob,
    /// That, and creating a job is refused beforehand.
    RefuseCreate,
}

/// Where rows beyond the daily batches are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowsBeyondAllowance {
    /// In `unprocessedrecords` (section 2.6).
    #[default]
    Unprocessed,
    /// In no result set (section 3, rule 9).
    Nowhere,
}

/// What becomes of a job that stayed open too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpenJobExpiry {
    /// It is aborted.
    #[default]
    Aborted,
    /// It is gone: 404.
    Removed,
}

/// What a user meets who asks for another user's job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OthersJobs {
    /// 404.
    #[default]
    NotFound,
    /// 400 `INVALIDUSER`.
    InvalidUser,
    /// The job, as if it were theirs.
    Visible,
}

/// In which order result rows come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResultOrder {
    /// Batches, chunks and rows in an order that depends on job and seed.
    #[default]
    Shuffled,
    /// As uploaded.
    Uploaded,
}

/// How the key of `resultPages` that leads on is spelled (section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResultPagesKey {
    /// `nextRecordsUrl`, as in the documentation's example.
    #[default]
    NextRecordsUrl,
    /// `nextRecordUrl`, as in its table.
    NextRecordUrl,
}

/// How the path of further `resultPages` is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResultPagesPath {
    /// `resultpages`, as in the documentation's example.
    #[default]
    LowerCase,
    /// `resultPages`, as in its headline.
    CamelCase,
}

/// Where the rest of a list of query jobs is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueryListPath {
    /// Under `jobs/ingest`, as in the documentation's example.
    #[default]
    Ingest,
    /// Under `jobs/query`.
    Query,
}

/// All switches; unknown ones are refused when read from a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Faults to make, in the language of `--faults`. Its knobs go before the
    /// switches of the same name.
    pub faults: FaultSpec,
    /// Turns the order of batches, chunks and result rows.
    pub seed: u64,
    /// Lifetime of an access token in seconds.
    pub token_lifetime_seconds: u64,
    /// A refresh gives a new refresh token and ends the old one.
    pub refresh_token_rotation: bool,
    /// Seconds an assertion may be good for at most; none: as long as it
    /// says, as the service takes it.
    pub assertion_seconds: Option<u64>,
    /// Login names approved for JWT logins; none: every active user.
    pub approved_users: Option<Vec<String>>,
    /// Callback URLs of the app.
    pub callback_urls: Vec<String>,
    /// What the org calls itself, where something that speaks TLS stands
    /// before it; none: its own address.
    pub public_url: Option<String>,
    /// API requests per rolling 24 hours.
    pub daily_api_requests: u64,

    /// Threads that work jobs, 1 to 64.
    pub workers: usize,
    /// Most rows a second that all workers process together; none: as fast as
    /// they can.
    pub rows_per_second: Option<u64>,
    /// Milliseconds a closed job waits in the queue at least.
    pub start_delay_ms: u64,

    /// Batches of 10,000 rows per rolling 24 hours (section 6).
    pub daily_batches: u64,
    /// What happens beyond them.
    pub batches_used_up: BatchesUsedUp,
    /// Where the rows beyond them are told.
    pub rows_beyond_allowance: RowsBeyondAllowance,
    /// Most jobs not yet ended at a time; no cap is documented.
    pub concurrent_jobs: Option<u64>,
    /// Jobs that fail as a whole before any row, by their number: 1 is the
    /// first this org ever made. For rehearsing such a failure.
    pub fail_jobs: Vec<u64>,
    /// The user has "Bulk API Hard Delete" (section 2.2).
    pub hard_delete_permission: bool,
    /// What other users' jobs look like.
    pub others_jobs: OthersJobs,

    /// Bytes an upload may have once turned to base64 (section 2.5); raw
    /// bytes are three quarters of it.
    pub upload_base64_bytes: u64,
    /// Characters of the CSV in a multipart create (section 2.3).
    pub multipart_chars: usize,
    /// `Content-Encoding: gzip` or `deflate` on uploads is understood.
    pub compressed_uploads: bool,
    /// The second upload to a job.
    pub second_upload: SecondUpload,
    /// An upload to a job that isn't open.
    pub upload_after_close: UploadAfterClose,
    /// Closing a job without an upload is allowed; it then completes with 0 rows.
    pub close_without_upload: bool,
    /// DELETE of an open job is allowed.
    pub delete_open_jobs: bool,
    /// Hours a job may stay open.
    pub open_job_hours: u32,
    /// What becomes of it then.
    pub open_job_expiry: OpenJobExpiry,
    /// Days a job is kept after its end.
    pub job_days: u32,
    /// Jobs on a page of the list.
    pub list_page: usize,

    /// Characters of the header line (section 4.1).
    pub header_chars: usize,
    /// Characters of a field.
    pub field_chars: usize,
    /// Characters of a record.
    pub record_chars: usize,
    /// Fields of a record.
    pub record_fields: usize,
    /// Line ends inside quotes must be the job's, too (section 4.3).
    pub line_ends_in_quotes: bool,
    /// What `""` means.
    pub quoted_empty: QuotedEmpty,
    /// `1940-06-07Z` is a date.
    pub dates_with_offset: bool,
    /// `1` and `0` are booleans.
    pub digit_booleans: bool,
    /// Other words in boolean cells.
    pub other_boolean_words: OtherBooleanWords,
    /// Instants are kept to the second.
    pub whole_seconds: bool,
    /// Upsert rows without a key.
    pub empty_key: EmptyKey,
    /// Files without the key's column.
    pub missing_key_column: MissingKeyColumn,
    /// References to records made by the same job are resolved (section 4.2 says no).
    pub same_file_references: bool,

    /// Errors told per row.
    pub row_errors: RowErrors,
    /// `failedResults` names the record of a failed update (section 3, rule 5).
    pub failed_ids: bool,
    /// `failedResults` shows nothing in columns whose header had the wrong
    /// letter case (section 3, rule 4).
    pub miscased_columns_blank: bool,
    /// How cleared cells are shown.
    pub cleared_cells: ClearedCells,
    /// Order of result rows.
    pub result_order: ResultOrder,
    /// Place of relationship columns.
    pub relationship_columns: RelationshipColumns,
    /// Results have the job's delimiter and line end; else comma and LF.
    pub results_in_job_dialect: bool,
    /// Results before the end.
    pub early_results: EarlyResults,
    /// Results without rows.
    pub empty_results: EmptyResults,
    /// Results must be asked for under the API version of the job, else 409.
    pub same_version_for_results: bool,

    /// Query jobs per rolling 24 hours (section 6).
    pub daily_query_jobs: u64,
    /// Megabytes of query results per rolling 24 hours.
    pub daily_query_megabytes: u64,
    /// Most records a second that all query jobs read together; none: as fast
    /// as they can.
    pub query_records_per_second: Option<u64>,
    /// Milliseconds a query job waits in the queue at least.
    pub query_start_delay_ms: u64,
    /// Query jobs that fail with a part of their records read, by their number:
    /// 1 is the first query job this org ever had.
    pub fail_query_jobs: Vec<u64>,
    /// The same of those that somebody else aborts.
    pub abort_query_jobs: Vec<u64>,
    /// A failed query job says why; jsforce has it that none does.
    pub query_error_message: bool,
    /// Query jobs take names put together from first and last name: the
    /// documentation excludes compound fields, and these come nevertheless.
    pub query_person_names: bool,
    /// Rows of a result page that is asked for without `maxRecords`.
    pub query_page_rows: u64,
    /// Bytes of rows on a result page at most, unless one row has more.
    pub query_page_bytes: u64,
    /// Most bytes of query results a second over all connections, reckoned
    /// before they are compressed; none: as fast as they go.
    pub download_bytes_per_second: Option<u64>,
    /// Query results come compressed when the client asks for it.
    pub compressed_query_results: bool,
    /// The page of a query without records.
    pub empty_query_results: EmptyResults,
    /// Links of `resultPages` a call.
    pub result_pages_links: usize,
    /// The key that leads on there.
    pub result_pages_key: ResultPagesKey,
    /// The path that leads on there.
    pub result_pages_path: ResultPagesPath,
    /// The path of the rest of a list of query jobs.
    pub query_list_path: QueryListPath,
    /// Activities are archived after so many days, on the org's clock; none:
    /// never.
    pub archive_after_days: Option<u32>,

    /// The user may ask the Tooling API.
    pub tooling_api: bool,
    /// Triggers, flows and rules that the org tells of and doesn't run.
    pub automation: Automation,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            faults: FaultSpec::default(),
            seed: 0,
            token_lifetime_seconds: 7_200,
            refresh_token_rotation: false,
            assertion_seconds: None,
            approved_users: None,
            callback_urls: vec!["http://localhost:1717/OauthRedirect".to_owned()],
            public_url: None,
            daily_api_requests: 100_000,
            workers: 2,
            rows_per_second: None,
            start_delay_ms: 0,
            daily_batches: 15_000,
            batches_used_up: BatchesUsedUp::default(),
            rows_beyond_allowance: RowsBeyondAllowance::default(),
            concurrent_jobs: None,
            fail_jobs: Vec::new(),
            hard_delete_permission: false,
            others_jobs: OthersJobs::default(),
            upload_base64_bytes: 150_000_000,
            multipart_chars: 100_000,
            compressed_uploads: true,
            second_upload: SecondUpload::default(),
            upload_after_close: UploadAfterClose::default(),
            close_without_upload: false,
            delete_open_jobs: false,
            open_job_hours: 24,
            open_job_expiry: OpenJobExpiry::default(),
            job_days: 7,
            list_page: 1_000,
            header_chars: 32_000,
            field_chars: 131_072,
            record_chars: 400_000,
            record_fields: 5_000,
            line_ends_in_quotes: true,
            quoted_empty: QuotedEmpty::default(),
            dates_with_offset: true,
            digit_booleans: true,
            other_boolean_words: OtherBooleanWords::default(),
            whole_seconds: true,
            empty_key: EmptyKey::default(),
            missing_key_column: MissingKeyColumn::default(),
            same_file_references: false,
            row_errors: RowErrors::default(),
            failed_ids: true,
            miscased_columns_blank: true,
            cleared_cells: ClearedCells::default(),
            result_order: ResultOrder::default(),
            relationship_columns: RelationshipColumns::default(),
            results_in_job_dialect: true,
            early_results: EarlyResults::default(),
            empty_results: EmptyResults::default(),
            same_version_for_results: true,
            daily_query_jobs: 10_000,
            // A terabyte, as `limits` shows it.
            daily_query_megabytes: 976_562,
            query_records_per_second: None,
            query_start_delay_ms: 0,
            fail_query_jobs: Vec::new(),
            abort_query_jobs: Vec::new(),
            query_error_message: false,
            query_person_names: true,
            query_page_rows: 100_000,
            query_page_bytes: 50_000_000,
            download_bytes_per_second: None,
            compressed_query_results: true,
            empty_query_results: EmptyResults::default(),
            result_pages_links: 5,
            result_pages_key: ResultPagesKey::default(),
            result_pages_path: ResultPagesPath::default(),
            query_list_path: QueryListPath::default(),
            archive_after_days: Some(365),
            tooling_api: true,
            automation: Automation::default(),
        }
    }
}

impl Settings {
    /// The switches with those knobs of the faults that are switches, too.
    pub(crate) fn with_knobs(mut self) -> Settings {
        let faults = &self.faults;
        self.daily_batches = faults.daily_batches.unwrap_or(self.daily_batches);
        self.daily_api_requests = faults.daily_requests.unwrap_or(self.daily_api_requests);
        self.rows_per_second = faults.rows_per_second.or(self.rows_per_second);
        self.start_delay_ms = faults.start_delay.unwrap_or(self.start_delay_ms);
        self.query_start_delay_ms = faults.start_delay.unwrap_or(self.query_start_delay_ms);
        self.query_records_per_second =
            faults.query_records_per_second.or(self.query_records_per_second);
        self.download_bytes_per_second =
            faults.download_bytes_per_second.or(self.download_bytes_per_second);
        self.daily_query_jobs = faults.daily_query_jobs.unwrap_or(self.daily_query_jobs);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_only_what_differs_and_typos_are_refused() {
        let read: Settings =
            serde_json::from_str(r#"{"second-upload":"refuse-close","workers":1}"#).unwrap();
        assert_eq!(
            read,
            Settings {
                second_upload: SecondUpload::RefuseClose,
                workers: 1,
                ..Settings::default()
            }
        );
        assert!(serde_json::from_str::<Settings>(r#"{"worker":1}"#).is_err());
        let read: Settings =
            serde_json::from_str(r#"{"faults":"seed=7, daily-batches=2, row-lock=1%"}"#).unwrap();
        assert_eq!(read.faults, "seed=7,daily-batches=2,row-lock=0.01".parse().unwrap());
        assert_eq!(read.with_knobs().daily_batches, 2);
        let wrong = serde_json::from_str::<Settings>(r#"{"faults":"row-luck=1%"}"#).unwrap_err();
        assert!(wrong.to_string().contains("there is no `row-luck`"), "{wrong}");
    }
}
