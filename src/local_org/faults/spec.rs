//! What a text of faults says, once it is read.

use super::draw::{self, Share};

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// `POST jobs/ingest`
    Create,
    /// `PUT .../batches`
    Upload,
    /// `PATCH` to `UploadComplete`
    Close,
    /// `PATCH` to `Aborted`
    Abort,
    /// `DELETE jobs/ingest/{id}`
    Delete,
    /// `GET jobs/ingest/{id}`
    Info,
    /// `GET jobs/ingest`
    List,
    /// `successfulResults`
    Successful,
    /// `failedResults`
    Failed,
    /// `unprocessedrecords`
    Unprocessed,
    /// `POST jobs/query`
    QueryCreate,
    /// `PATCH` of a query job to `Aborted`
    QueryAbort,
    /// `DELETE jobs/query/{id}`
    QueryDelete,
    /// `GET jobs/query/{id}`
    QueryInfo,
    /// `GET jobs/query`
    QueryList,
    /// `GET jobs/query/{id}/results`
    QueryResults,
    /// `GET jobs/query/{id}/resultPages`
    QueryPages,
    /// `query`, `queryAll` and their next pages
    Query,
    /// `sobjects` and below, records aside
    Describe,
    /// `limits` and below
    Limits,
    /// The token endpoint
    Token,
    /// Everything else
    Other,
}

/// Which calls a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// One kind.
    One(Call),
    /// The three result sets and the results of queries.
    Results,
    /// Calls that change something.
    Writes,
    /// Calls that change nothing.
    Reads,
    /// All.
    All,
}

/// Where in a call something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// Before the request's body is read; nothing is done.
    Before,
    /// With a part of the request's body read; nothing is done.
    InRequest,
    /// With all of the request's body read; nothing is done.
    AfterRequest,
    /// After it was done, before a word of the reply.
    Done,
    /// After the reply's head and a part of its body.
    InReply,
    /// After the reply's body, before the mark that it ends.
    AfterReply,
}

/// What happens to the connection there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// TCP reset.
    Reset,
    /// TCP close.
    Hangup,
    /// Nothing moves for so many milliseconds.
    Stall(u64),
    /// The same, and then a reset.
    StallReset(u64),
}

/// How a result set is cut short though the reply ends cleanly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Between two records.
    AtRecord,
    /// Within a record.
    InRecord,
    /// Anywhere in what goes over the wire, within the gzip stream if it is one.
    OnWire,
}

/// A fault of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallFault {
    /// An answer of the servers in between.
    Status {
        /// 409, 429, 500, 502, 503 or 504.
        code: u16,
        /// A page instead of JSON.
        html: bool,
        /// The call was carried out nevertheless.
        done: bool,
        /// `Retry-After`, in milliseconds; told in whole seconds.
        retry_after: Option<u64>,
    },
    /// 403 `REQUEST_LIMIT_EXCEEDED`: too many requests at a time.
    Busy,
    /// The session ends with this call.
    Expired,
    /// The login is refused.
    Refused,
    /// Something happens to the connection.
    Connection(Act, Point),
    /// A result set is cut short.
    Cut(Cut),
}

/// A fault of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowFault {
    /// `UNABLE_TO_LOCK_ROW`, not saved.
    Lock,
    /// `UNKNOWN_EXCEPTION`, not saved.
    Error,
    /// `UNKNOWN_EXCEPTION`, saved all the same.
    ErrorSaved,
    /// `FIELD_CUSTOM_VALIDATION_EXCEPTION`, not saved.
    Refused,
}

/// A fault of a job as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobFault {
    /// `InvalidBatch` before any row.
    Invalid,
    /// `InternalServerError` with some of the rows worked.
    Fails,
    /// `Timeout` with some of the rows worked.
    TimesOut,
    /// `TooManyLockFailure` with some of the rows worked.
    Locks,
    /// Aborted by somebody else with some of the rows worked.
    Aborted,
    /// Aborted by somebody else while it is open.
    AbortedOpen,
    /// A query job: `InternalServerError` with some of the records read.
    QueryFails,
    /// A query job: `Timeout` with some of the records read.
    QueryTimesOut,
    /// A query job: aborted by somebody else with some of the records read.
    QueryAborted,
}

/// When a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum When {
    /// By chance.
    Share(Share),
    /// At these running numbers, from 1; both ends belong.
    Numbers(Vec<(u64, u64)>),
}

impl When {
    fn hits(&self, seed: u64, label: &str, number: u64) -> bool {
        match self {
            When::Share(share) => share.hits(seed, label, [number, 0]),
            When::Numbers(ranges) => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&number))
            }
        }
    }
}

/// Calls, what befalls them, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallRule {
    pub targets: Vec<Target>,
    pub fault: CallFault,
    pub when: When,
}

/// Which faults an org makes: the language of `--faults`, read with
/// [`str::parse`] and written with [`ToString`]. The default makes none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultSpec {
    pub(crate) seed: Option<u64>,
    pub(crate) limit: Option<u64>,
    pub(crate) calm_after: Option<u64>,
    pub(crate) session_calls: Option<u64>,
    pub(crate) storage: Option<u64>,
    pub(crate) daily_batches: Option<u64>,
    pub(crate) daily_requests: Option<u64>,
    pub(crate) rows_per_second: Option<u64>,
    pub(crate) query_records_per_second: Option<u64>,
    pub(crate) download_bytes_per_second: Option<u64>,
    pub(crate) daily_query_jobs: Option<u64>,
    /// Milliseconds.
    pub(crate) start_delay: Option<u64>,
    pub(crate) parent_locks: Option<Share>,
    pub(crate) rows: Vec<(RowFault, Share)>,
    pub(crate) jobs: Vec<(JobFault, When)>,
    /// Milliseconds by which the clock jumps, at a call of any kind.
    pub(crate) clock: Vec<(i64, When)>,
    pub(crate) calls: Vec<CallRule>,
}

impl FaultSpec {
    /// No fault will ever be made.
    pub fn is_empty(&self) -> bool {
        *self == FaultSpec { seed: self.seed, ..FaultSpec::default() }
    }

    /// The seed that all decisions draw on.
    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }

    /// The fault of the call of this number within its kind: the first rule
    /// that hits.
    pub(super) fn strikes(&self, call: Call, number: u64) -> Option<super::Struck> {
        let rule = self.calls.iter().find(|rule| {
            rule.covers(call) && {
                let label = format!("{}:{}", call.word(), rule.fault.name());
                rule.when.hits(self.seed(), &label, number)
            }
        })?;
        let place = draw::number(self.seed(), call.word(), [number, 1]);
        Some(super::Struck { call, fault: rule.fault, place })
    }

    /// By how much the clock jumps at the call of this number.
    pub(super) fn jump(&self, all: u64) -> i64 {
        let due = self
            .clock
            .iter()
            .filter(|(by, when)| when.hits(self.seed(), &format!("clock:{by}"), all));
        due.fold(0, |sum, (by, _)| sum.saturating_add(*by))
    }

    /// The fault of a row: the first that hits.
    pub(crate) fn row(&self, job: u64, row: u32) -> Option<RowFault> {
        let hit = |(fault, share): &&(RowFault, Share)| {
            share.hits(self.seed(), fault.word(), [job, u64::from(row)])
        };
        self.rows.iter().find(hit).map(|(fault, _)| *fault)
    }

    /// The fault of the job of this number, among those wanted.
    pub(super) fn job(&self, job: u64, wanted: impl Fn(JobFault) -> bool) -> Option<JobFault> {
        let hit = |(fault, when): &&(JobFault, When)| {
            wanted(*fault) && when.hits(self.seed(), fault.word(), job)
        };
        self.jobs.iter().find(hit).map(|(fault, _)| *fault)
    }
}

impl CallRule {
    /// It is about this call, and its fault can strike it.
    pub(super) fn covers(&self, call: Call) -> bool {
        self.targets.iter().any(|target| target.covers(call)) && self.fault.can_strike(call)
    }
}

impl Target {
    /// The kind is among them.
    pub(super) fn covers(self, call: Call) -> bool {
        match self {
            Target::One(one) => one == call,
            Target::Results => call.is_result(),
            Target::Writes => call.writes(),
            Target::Reads => !call.writes() && call != Call::Token,
            Target::All => true,
        }
    }
}

impl Call {
    fn is_result(self) -> bool {
        matches!(self, Call::Successful | Call::Failed | Call::Unprocessed | Call::QueryResults)
    }

    fn writes(self) -> bool {
        matches!(
            self,
            Call::Create
                | Call::Upload
                | Call::Close
                | Call::Abort
                | Call::Delete
                | Call::QueryCreate
                | Call::QueryAbort
                | Call::QueryDelete
        )
    }

    /// Its requests have a body.
    fn has_body(self) -> bool {
        let bodiless = matches!(self, Call::Delete | Call::QueryDelete);
        (self.writes() && !bodiless) || self == Call::Token
    }
}

impl CallFault {
    /// It makes sense for calls of this kind.
    pub(super) fn can_strike(self, call: Call) -> bool {
        match self {
            CallFault::Status { .. } => true,
            CallFault::Busy | CallFault::Expired => call != Call::Token,
            CallFault::Refused => call == Call::Token,
            CallFault::Connection(_, Point::InRequest | Point::AfterRequest) => call.has_body(),
            CallFault::Connection(..) => true,
            CallFault::Cut(_) => call.is_result(),
        }
    }
}

impl JobFault {
    /// It strikes a closed ingest job.
    pub(super) fn at_work(self) -> bool {
        self != JobFault::AbortedOpen && !self.at_query()
    }

    /// It strikes a query job.
    pub(super) fn at_query(self) -> bool {
        matches!(self, JobFault::QueryFails | JobFault::QueryTimesOut | JobFault::QueryAborted)
    }
}
