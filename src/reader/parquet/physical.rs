//! The values of a file as they are stored, whatever they stand for.
//!
//! Arrow's reader gives typed arrays: it checks UTF-8 a page at a time and
//! fails for all of its rows, narrows decimals, and knows years only as far as
//! nanoseconds in 64 bits reach. So it is given the file's schema without the
//! annotations and hands out plain numbers and bytes; what they mean is told
//! by [`super::form`], row by row.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::errors::Result;
use parquet::file::metadata::ParquetStatisticsPolicy;
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

/// How to read a file of this schema as plain numbers and bytes.
pub(super) fn options(schema: &Type) -> Result<ArrowReaderOptions> {
    let fields = schema.get_fields().iter().map(|field| stripped(field)).collect::<Result<_>>()?;
    let root = Type::group_type_builder(schema.name()).with_fields(fields).build()?;
    let stripped = Arc::new(SchemaDescriptor::new(Arc::new(root)));
    let inferred = parquet_to_arrow_schema(&stripped, None)?;
    let fields: Vec<Field> = inferred
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_data_type(wanted(field.data_type())))
        .collect();
    Ok(ArrowReaderOptions::new()
        .with_parquet_schema(stripped)
        .with_schema(Arc::new(Schema::new(fields)))
        .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll))
}

/// A part of a schema with nothing but names, storage types and lists.
fn stripped(part: &Type) -> Result<TypePtr> {
    let info = part.get_basic_info();
    let built = match part {
        Type::PrimitiveType { physical_type, type_length, .. } => {
            Type::primitive_type_builder(part.name(), *physical_type)
                .with_repetition(info.repetition())
                .with_length(*type_length)
                .build()?
        }
        Type::GroupType { fields, .. } => Type::group_type_builder(part.name())
            .with_repetition(info.repetition())
            .with_converted_type(info.converted_type())
            .with_logical_type(info.logical_type_ref().cloned())
            .with_fields(fields.iter().map(|field| stripped(field)).collect::<Result<_>>()?)
            .build()?,
    };
    Ok(Arc::new(built))
}

/// Views for bytes, which point into the pages instead of copying them, and
/// milliseconds for INT96, which hold any year.
fn wanted(inferred: &DataType) -> DataType {
    match inferred {
        DataType::Binary => DataType::BinaryView,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
        DataType::List(element) => DataType::List(Arc::new(
            element.as_ref().clone().with_data_type(wanted(element.data_type())),
        )),
        other => other.clone(),
    }
}
