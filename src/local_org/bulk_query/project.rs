//! Records to the rows of results: cells in quotes, in the order of the
//! SELECT, values as Bulk CSV shows them (protocol notes, section 5.4).

use super::create::columns;
use super::job::JobSpec;
use crate::local_org::catalogue::FieldKind;
use crate::local_org::ingest::csv::write_quoted;
use crate::local_org::soql::plan::{Bound, Plan, Source};
use crate::local_org::soql::read::{ReadError, Reader};
use crate::local_org::value::Value;

/// A column.
struct Column<'p> {
    from: From<'p>,
    /// A record that has none shows false, as booleans are never null.
    boolean: bool,
}

enum From<'p> {
    /// The record's own value at this place.
    Own(usize),
    /// What has to be looked for.
    Path(&'p Bound),
}

/// Writes the rows of one job.
pub(crate) struct Projection<'p> {
    columns: Vec<Column<'p>>,
    delimiter: u8,
    line_end: &'static [u8],
}

impl<'p> Projection<'p> {
    /// For a job and its plan.
    pub(crate) fn new(plan: &'p Plan, spec: &JobSpec) -> Projection<'p> {
        let columns = columns(plan, &spec.version)
            .into_iter()
            .map(|(_, bound)| Column {
                from: match bound {
                    Bound::Field { source: Source::Stored(at), .. } => From::Own(*at),
                    other => From::Path(other),
                },
                boolean: bound.kind() == FieldKind::Boolean,
            })
            .collect();
        Projection { columns, delimiter: spec.delimiter.byte(), line_end: spec.line_ending.bytes() }
    }

    /// Appends the row of a record.
    pub(crate) fn write<S: AsRef<str>>(
        &self,
        out: &mut Vec<u8>,
        values: &[Value<S>],
        reader: &Reader<'_>,
    ) -> Result<(), ReadError> {
        for (at, column) in self.columns.iter().enumerate() {
            if at > 0 {
                out.push(self.delimiter);
            }
            match column.from {
                From::Own(place) => {
                    let value = values.get(place).map_or(Value::Null, Value::view);
                    write_cell(out, value, column.boolean);
                }
                From::Path(bound) => reader.with_value(bound, values, |value, there| {
                    write_cell(out, value, column.boolean && there);
                })?,
            }
        }
        out.extend_from_slice(self.line_end);
        Ok(())
    }
}

fn write_cell(out: &mut Vec<u8>, value: Value<&str>, boolean: bool) {
    match value {
        Value::Text(text) => write_quoted(out, text.as_bytes()),
        Value::Null if boolean => out.extend_from_slice(b"\"false\""),
        other => {
            out.push(b'"');
            other.write_bulk(out);
            out.push(b'"');
        }
    }
}

/// The header of every page: the columns as they were named in the query.
pub(crate) fn header(spec: &JobSpec) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, name) in spec.columns.iter().enumerate() {
        if at > 0 {
            out.push(spec.delimiter.byte());
        }
        write_quoted(&mut out, name.as_bytes());
    }
    out.extend_from_slice(spec.line_ending.bytes());
    out
}
