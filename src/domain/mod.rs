//! The words of the field, pure: no runtime, clock, file, socket or SQL.
//!
//! Everything else in the crate speaks in these types. They carry the
//! documented limits of the service and the state charts of a run.

mod attempt;
mod chain;
mod event;
mod failure;
mod failure_class;
mod failure_limit;
mod id;
mod job;
mod limits;
mod nearest;
mod object;
mod operation;
mod outcome;
mod row;
mod verdict;

pub use attempt::{AttemptEvent, AttemptState, InvalidStep, step};
pub use chain::error_chain;
pub use event::{Event, EventSink, NoEvents, SharedSink};
pub use failure::{FailureGroup, FailureGroups, LEFT_OUT, REJECTED};
pub use failure_class::{Again, FailureClass, JobFailureClass, may_send_again};
pub use failure_limit::{FailureLimit, InvalidFailureLimit, PERCENTAGE_FROM};
pub use id::{RecordId, RecordIdError};
pub use job::{ColumnDelimiter, JobInfo, JobState, LineEnding, NewJob, ResultSet};
pub use limits::*;
pub use nearest::{nearest, nearest_field};
pub use object::{Field, FieldType, ObjectDescription, PicklistValue, RecordTypeInfo, ValueKind};
pub use operation::{Operation, UnknownOperation};
pub use outcome::{Fate, MatchTier, RowOutcome, Tally};
pub use row::{RowNumber, RowPlace, RowRanges};
pub use verdict::{Reason, Status, Verdict, verdict};
