//! Columns of an export in the form of the snapshot: those it hasn't are null,
//! and where a field's type has changed, a type that holds both.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    TimestampMillisecondType,
};
use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, PrimitiveArray, RecordBatch, StringArray,
    new_null_array,
};
use arrow_schema::SchemaRef;
use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp};

use crate::exporter::ExportError;
use crate::exporter::column::{Column, ColumnKind};
use crate::exporter::text_file::plain_decimal;

/// The kind that holds the values of both.
pub(super) fn both(a: ColumnKind, b: ColumnKind) -> ColumnKind {
    use ColumnKind::{Double, Int, Long};
    match (a, b) {
        _ if a == b => a,
        (Int, Long) | (Long, Int) => Long,
        // A double holds every whole number of 32 bits, not every one of 64.
        (Int, Double) | (Double, Int) => Double,
        _ => ColumnKind::Text,
    }
}

/// A batch with the columns of the snapshot.
pub(super) fn unified(
    batch: &RecordBatch,
    columns: &[Column],
    schema: &SchemaRef,
) -> Result<RecordBatch, ExportError> {
    let arrays = columns.iter().zip(schema.fields()).map(|(column, field)| {
        match batch.column_by_name(&column.name) {
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            Some(array) if array.data_type() == field.data_type() => Ok(Arc::clone(array)),
            Some(array) => converted(array, column.kind).ok_or_else(|| {
                ExportError::Schema(format!(
                    "{}: a column of {} can't become {}",
                    column.name,
                    array.data_type(),
                    column.kind.as_str()
                ))
            }),
        }
    });
    let arrays = arrays.collect::<Result<Vec<ArrayRef>, ExportError>>()?;
    RecordBatch::try_new(Arc::clone(schema), arrays)
        .map_err(|error| ExportError::Schema(error.to_string()))
}

/// Values in the form of another kind, if it holds them.
fn converted(array: &ArrayRef, kind: ColumnKind) -> Option<ArrayRef> {
    match kind {
        ColumnKind::Long => {
            let values: Int64Array = array.as_primitive_opt::<Int32Type>()?.unary(i64::from);
            Some(Arc::new(values))
        }
        ColumnKind::Double => {
            let values: Float64Array = array.as_primitive_opt::<Int32Type>()?.unary(f64::from);
            Some(Arc::new(values))
        }
        ColumnKind::Text => texts(array).map(|texts| Arc::new(texts) as ArrayRef),
        _ => None,
    }
}

/// Values as the texts that the org would send.
fn texts(array: &ArrayRef) -> Option<StringArray> {
    fn of<T: arrow_array::ArrowPrimitiveType>(
        values: &PrimitiveArray<T>,
        text: impl Fn(T::Native) -> Option<String>,
    ) -> StringArray {
        values.iter().map(|value| value.and_then(&text)).collect()
    }
    let array: &dyn Array = array;
    if let Some(values) = array.as_boolean_opt() {
        return Some(values.iter().map(|value| value.map(|value| value.to_string())).collect());
    }
    if let Some(values) = array.as_primitive_opt::<Int32Type>() {
        return Some(of(values, |value| Some(value.to_string())));
    }
    if let Some(values) = array.as_primitive_opt::<Int64Type>() {
        return Some(of(values, |value| Some(value.to_string())));
    }
    if let Some(values) = array.as_primitive_opt::<Float64Type>() {
        return Some(of(values, |value| Some(value.to_string())));
    }
    if let Some(values) = array.as_primitive_opt::<Decimal128Type>() {
        let scale = usize::from(values.scale().unsigned_abs());
        return Some(of(values, |value| Some(plain_decimal(value, scale))));
    }
    if let Some(values) = array.as_primitive_opt::<Date32Type>() {
        return Some(of(values, |days| {
            let day = SignedDuration::from_hours(24 * i64::from(days));
            Date::constant(1970, 1, 1).checked_add(day).ok().map(|day| day.to_string())
        }));
    }
    if let Some(values) = array.as_primitive_opt::<TimestampMillisecondType>() {
        return Some(of(values, instant));
    }
    if let Some(values) = array.as_primitive_opt::<Time32MillisecondType>() {
        return Some(of(values, |milliseconds| {
            let time = SignedDuration::from_millis(i64::from(milliseconds));
            let time = Time::midnight().checked_add(time).ok()?;
            Some(format!("{time:.3}Z"))
        }));
    }
    let lists = array.as_list_opt::<i32>()?;
    let joined = lists.iter().map(|list| {
        let list = list?;
        let parts = list.as_string_opt::<i32>()?;
        Some(parts.iter().flatten().collect::<Vec<_>>().join(";"))
    });
    Some(joined.collect())
}

/// An instant as the org sends it.
pub(super) fn instant(milliseconds: i64) -> Option<String> {
    Timestamp::from_millisecond(milliseconds).ok().map(|at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use arrow_array::{BooleanArray, Date32Array, Int32Array, Time32MillisecondArray};

    use super::*;

    #[test]
    fn a_type_that_holds_both_is_found() {
        use ColumnKind::{Boolean, Date, Double, Int, Long, Text};
        for (a, b, expected) in [
            (Int, Int, Int),
            (Int, Long, Long),
            (Double, Int, Double),
            (Long, Double, Text),
            (Date, Boolean, Text),
        ] {
            assert_eq!(both(a, b), expected);
            assert_eq!(both(b, a), expected);
        }
    }

    #[test]
    fn texts_are_those_the_org_sends() {
        let of = |array: ArrayRef| -> Vec<Option<String>> {
            texts(&array).unwrap().iter().map(|text| text.map(str::to_owned)).collect()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of(Arc::new(BooleanArray::from(vec![Some(true), None]))), [some("true"), None]);
        assert_eq!(of(Arc::new(Int32Array::from(vec![-7]))), [some("-7")]);
        assert_eq!(of(Arc::new(Float64Array::from(vec![1.5, 2.0]))), [some("1.5"), some("2")]);
        assert_eq!(
            of(Arc::new(Date32Array::from(vec![-25_568, 19_782]))),
            [some("1899-12-31"), some("2024-02-29")]
        );
        assert_eq!(
            of(Arc::new(Time32MillisecondArray::from(vec![34_200_000]))),
            [some("09:30:00.000Z")]
        );
        assert_eq!(instant(-1).as_deref(), Some("1969-12-31T23:59:59.999Z"));
    }
}
