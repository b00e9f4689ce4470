//! A block of records to Arrow columns.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int32Builder, Int64Builder,
    ListBuilder, StringBuilder, Time32MillisecondBuilder, TimestampMillisecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_buffer::{Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, SchemaRef};

use super::column::{Column, ColumnKind, list_item};
use super::marks::{Marked, Marks};
use super::page::DIALECT;
use super::{ExportError, ValueFault, Wrong, value};
use crate::rows::{Cells, RawBatch};

/// The columns of a block, and what had no place in them.
#[derive(Debug)]
pub struct Columns {
    /// The records, typed.
    pub batch: RecordBatch,
    /// Values that had no place; null in `batch`.
    pub faults: Vec<ValueFault>,
    /// The range they lie in.
    pub marks: Marks,
}

/// Texts one behind the other. Whether they are UTF-8 is looked at once for
/// all of them, not for each.
struct Texts {
    values: Vec<u8>,
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Texts {
    fn new(records: usize, bytes: usize) -> Self {
        let mut ends = Vec::with_capacity(records + 1);
        ends.push(0);
        Texts { values: Vec::with_capacity(bytes), ends, nulls: NullBufferBuilder::new(records) }
    }

    #[inline]
    fn take(&mut self, cell: &[u8]) {
        self.values.extend_from_slice(cell);
        // A block is of a few MiB; see `Page`.
        self.ends.push(self.values.len() as i32);
        self.nulls.append(!cell.is_empty());
    }

    fn finish(mut self) -> Result<StringArray, ArrowError> {
        let ends = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        StringArray::try_new(ends, Buffer::from_vec(self.values), self.nulls.finish())
    }
}

/// Takes the values of one column.
enum Builder {
    Text(Texts),
    Boolean(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder, u8, u8),
    Date(Date32Builder),
    DateTime(TimestampMillisecondBuilder),
    Time(Time32MillisecondBuilder),
    List(ListBuilder<StringBuilder>),
}

impl Builder {
    fn new(kind: ColumnKind, records: usize, bytes: usize) -> Self {
        match kind {
            ColumnKind::Text => Builder::Text(Texts::new(records, bytes)),
            ColumnKind::Boolean => Builder::Boolean(BooleanBuilder::with_capacity(records)),
            ColumnKind::Int => Builder::Int(Int32Builder::with_capacity(records)),
            ColumnKind::Long => Builder::Long(Int64Builder::with_capacity(records)),
            ColumnKind::Double => Builder::Double(Float64Builder::with_capacity(records)),
            ColumnKind::Decimal { precision, scale } => {
                Builder::Decimal(Decimal128Builder::with_capacity(records), precision, scale)
            }
            ColumnKind::Date => Builder::Date(Date32Builder::with_capacity(records)),
            ColumnKind::DateTime => {
                Builder::DateTime(TimestampMillisecondBuilder::with_capacity(records))
            }
            ColumnKind::Time => Builder::Time(Time32MillisecondBuilder::with_capacity(records)),
            ColumnKind::List => {
                Builder::List(ListBuilder::new(StringBuilder::new()).with_field(list_item()))
            }
        }
    }

    /// Takes a cell; an empty one is null. The text must be UTF-8.
    #[inline]
    fn take(&mut self, cell: &[u8]) -> Result<(), Wrong> {
        let text = Some(cell).filter(|cell| !cell.is_empty());
        macro_rules! typed {
            ($builder:expr, $read:expr) => {
                match text.map($read) {
                    Some(Ok(value)) => $builder.append_value(value),
                    None => $builder.append_null(),
                    Some(Err(wrong)) => {
                        $builder.append_null();
                        return Err(wrong);
                    }
                }
            };
        }
        match self {
            Builder::Text(builder) => builder.take(cell),
            Builder::Boolean(builder) => typed!(builder, value::boolean),
            Builder::Int(builder) => typed!(builder, |text| {
                value::whole(text).and_then(|value| i32::try_from(value).map_err(|_| Wrong::Whole))
            }),
            Builder::Long(builder) => typed!(builder, value::whole),
            Builder::Double(builder) => typed!(builder, value::double),
            Builder::Decimal(builder, precision, scale) => typed!(builder, |text| {
                let number = value::decimal(text, u32::from(*scale))?;
                let fits = number.unsigned_abs() < 10_u128.pow(u32::from(*precision));
                fits.then_some(number).ok_or(Wrong::Fit)
            }),
            Builder::Date(builder) => typed!(builder, value::date),
            Builder::DateTime(builder) => typed!(builder, value::date_time),
            Builder::Time(builder) => typed!(builder, value::time),
            Builder::List(builder) => {
                if let Some(text) = text {
                    for part in text.split(|&byte| byte == b';') {
                        builder
                            .values()
                            .append_value(std::str::from_utf8(part).unwrap_or_default());
                    }
                }
                builder.append(text.is_some());
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Builder::Text(builder) => Arc::new(builder.finish()?),
            Builder::Boolean(mut builder) => Arc::new(builder.finish()),
            Builder::Int(mut builder) => Arc::new(builder.finish()),
            Builder::Long(mut builder) => Arc::new(builder.finish()),
            Builder::Double(mut builder) => Arc::new(builder.finish()),
            Builder::Decimal(mut builder, precision, scale) => {
                // Values were checked against it one by one.
                let array = builder.finish();
                match array.clone().with_precision_and_scale(precision, scale.cast_signed()) {
                    Ok(typed) => Arc::new(typed),
                    Err(_) => Arc::new(array),
                }
            }
            Builder::Date(mut builder) => Arc::new(builder.finish()),
            Builder::DateTime(mut builder) => Arc::new(builder.finish().with_timezone("UTC")),
            Builder::Time(mut builder) => Arc::new(builder.finish()),
            Builder::List(mut builder) => Arc::new(builder.finish()),
        })
    }
}

/// Reads a block whose records were checked for their number of cells and
/// their encoding.
///
/// # Errors
/// [`ExportError::Schema`] when schema and columns don't agree.
pub fn columns(
    block: &RawBatch,
    columns: &[Column],
    schema: &SchemaRef,
) -> Result<Columns, ExportError> {
    let records = block.records.len();
    let bytes: u64 = block.records.iter().map(|record| u64::from(record.end - record.start)).sum();
    let share = bytes as usize / columns.len().max(1);
    let mut builders: Vec<Builder> =
        columns.iter().map(|column| Builder::new(column.kind, records, share)).collect();
    let mut faults = Vec::new();
    let (marked, mut marks) = (Marked::of(columns), Marks::default());
    let mut scratch = Vec::new();
    for (index, record) in block.records.iter().enumerate() {
        let cells = Cells::new(block.record(record), DIALECT.delimiter, DIALECT.quote);
        for (column, (builder, cell)) in builders.iter_mut().zip(cells).enumerate() {
            marks.see(marked, column, &cell);
            let text = cell.value_in(&mut scratch);
            if let Err(wrong) = builder.take(text) {
                let text = String::from_utf8_lossy(text).into_owned();
                faults.push(ValueFault { record: index, column, wrong, text });
            }
        }
    }
    let batch = builders
        .into_iter()
        .map(Builder::finish)
        .collect::<Result<Vec<ArrayRef>, ArrowError>>()
        .and_then(|arrays| RecordBatch::try_new(Arc::clone(schema), arrays))
        .map_err(|error| ExportError::Schema(error.to_string()))?;
    Ok(Columns { batch, faults, marks })
}
