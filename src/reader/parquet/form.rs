//! What a column of a Parquet file holds, and in which form Salesforce gets
//! it.

use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::{
    ConvertedType, LogicalType, Repetition, TimeUnit as ParquetUnit, Type as Physical,
};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

/// Digits a decimal may have: what 256 bits hold.
const MAX_PRECISION: i32 = 76;

/// How the values of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing but nulls.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Signed,
    /// A whole number that is never negative.
    Unsigned,
    /// A float of 16 bits in two bytes.
    Half,
    /// A float of 32 or 64 bits.
    Float,
    /// A decimal with so many places.
    Decimal {
        /// Digits behind the point; negative for zeros before it.
        scale: i32,
    },
    /// Days since 1970.
    Date,
    /// Milliseconds since 1970, of which the day counts.
    DateMillis,
    /// A point in time, or the time on a clock on the wall.
    Moment {
        /// What one is.
        unit: Unit,
        /// Whether it is told in the time of some place.
        local: bool,
    },
    /// A time of day.
    Time {
        /// What one is.
        unit: Unit,
    },
    /// 16 bytes with hyphens.
    Uuid,
    /// Text in UTF-8.
    Text,
    /// Bytes that are no text.
    Bytes,
    /// Texts, joined with `;`.
    TextList,
}

/// What a number that counts time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds.
    Seconds,
    /// Thousandths of a second.
    Millis,
    /// Millionths.
    Micros,
    /// Billionths.
    Nanos,
}

impl Unit {
    const fn word(self) -> &'static str {
        match self {
            Unit::Seconds => "seconds",
            Unit::Millis => "milliseconds",
            Unit::Micros => "microseconds",
            Unit::Nanos => "nanoseconds",
        }
    }
}

impl From<ParquetUnit> for Unit {
    fn from(unit: ParquetUnit) -> Self {
        match unit {
            ParquetUnit::MILLIS => Unit::Millis,
            ParquetUnit::MICROS => Unit::Micros,
            ParquetUnit::NANOS => Unit::Nanos,
        }
    }
}

impl From<TimeUnit> for Unit {
    fn from(unit: TimeUnit) -> Self {
        match unit {
            TimeUnit::Second => Unit::Seconds,
            TimeUnit::Millisecond => Unit::Millis,
            TimeUnit::Microsecond => Unit::Micros,
            TimeUnit::Nanosecond => Unit::Nanos,
        }
    }
}

/// A column that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// How its values are written.
    pub(super) form: Form,
    /// Its type in words for people.
    pub(super) words: String,
}

/// What a column is, or in words what it is if its values have no form.
///
/// `hint` is the type that the writer noted in a schema of its own (Arrow);
/// it counts where Parquet has no word for a type, and the column would pass
/// for a plain number.
pub(super) fn column(field: &TypePtr, hint: Option<&DataType>) -> Result<Column, String> {
    let repeated = field.get_basic_info().has_repetition()
        && field.get_basic_info().repetition() == Repetition::REPEATED;
    let (dictionary, hint) = match hint {
        Some(DataType::Dictionary(_, values)) => (true, Some(values.as_ref())),
        other => (false, other),
    };
    let mut column =
        if field.is_group() || repeated { list_of_text(field)? } else { primitive(field, hint)? };
    if dictionary {
        column.words = format!("dictionary of {}", column.words);
    }
    Ok(column)
}

fn primitive(field: &Type, hint: Option<&DataType>) -> Result<Column, String> {
    let Type::PrimitiveType { basic_info, physical_type, type_length, scale, precision } = field
    else {
        return Err("a group".to_owned());
    };
    let physical = *physical_type;
    let found = |form: Form, words: &str| Ok(Column { form, words: words.to_owned() });
    if let Some(logical) = basic_info.logical_type_ref() {
        return match logical {
            LogicalType::Unknown => found(Form::Null, "nothing but nulls"),
            LogicalType::String => found(Form::Text, "text"),
            LogicalType::Enum => found(Form::Text, "text (enum)"),
            LogicalType::Json => found(Form::Text, "text (JSON)"),
            LogicalType::Uuid if *type_length == 16 => found(Form::Uuid, "UUID"),
            LogicalType::Float16 if *type_length == 2 => found(Form::Half, "float of 16 bits"),
            LogicalType::Date => found(Form::Date, "date"),
            LogicalType::Integer(int) => Ok(integer(i32::from(int.bit_width), int.is_signed)),
            LogicalType::Decimal(decimal) => self::decimal(decimal.precision, decimal.scale),
            LogicalType::Time(time) => Ok(self::time(time.unit.into())),
            LogicalType::Timestamp(stamp) => {
                let zoned = matches!(hint, Some(DataType::Timestamp(_, Some(_))));
                Ok(moment(stamp.unit.into(), !stamp.is_adjusted_to_u_t_c && !zoned))
            }
            LogicalType::Bson => Err("BSON".to_owned()),
            LogicalType::Geometry(_) => Err("a geometry".to_owned()),
            LogicalType::Geography(_) => Err("a geography".to_owned()),
            _ => Err("of a type that is not known here".to_owned()),
        };
    }
    match basic_info.converted_type() {
        ConvertedType::UTF8 => found(Form::Text, "text"),
        ConvertedType::ENUM => found(Form::Text, "text (enum)"),
        ConvertedType::JSON => found(Form::Text, "text (JSON)"),
        ConvertedType::DATE => found(Form::Date, "date"),
        ConvertedType::INT_8 => Ok(integer(8, true)),
        ConvertedType::INT_16 => Ok(integer(16, true)),
        ConvertedType::INT_32 => Ok(integer(32, true)),
        ConvertedType::INT_64 => Ok(integer(64, true)),
        ConvertedType::UINT_8 => Ok(integer(8, false)),
        ConvertedType::UINT_16 => Ok(integer(16, false)),
        ConvertedType::UINT_32 => Ok(integer(32, false)),
        ConvertedType::UINT_64 => Ok(integer(64, false)),
        ConvertedType::DECIMAL => decimal(*precision, *scale),
        ConvertedType::TIME_MILLIS => Ok(time(Unit::Millis)),
        ConvertedType::TIME_MICROS => Ok(time(Unit::Micros)),
        ConvertedType::TIMESTAMP_MILLIS => Ok(moment(Unit::Millis, false)),
        ConvertedType::TIMESTAMP_MICROS => Ok(moment(Unit::Micros, false)),
        ConvertedType::INTERVAL => Err("an interval".to_owned()),
        ConvertedType::BSON => Err("BSON".to_owned()),
        _ => plain(physical, *type_length, hint),
    }
}

/// A column without annotation.
fn plain(physical: Physical, length: i32, hint: Option<&DataType>) -> Result<Column, String> {
    let found = |form: Form, words: &str| Ok(Column { form, words: words.to_owned() });
    match (physical, hint) {
        (Physical::INT64, Some(DataType::Timestamp(unit, zone))) => {
            Ok(moment((*unit).into(), zone.is_none()))
        }
        (Physical::INT64, Some(DataType::Date64)) => found(Form::DateMillis, "date"),
        (Physical::INT64, Some(DataType::Duration(_))) => Err("a duration".to_owned()),
        (Physical::INT32, Some(DataType::Time32(unit))) => Ok(time((*unit).into())),
        (_, Some(DataType::Interval(_))) => Err("an interval".to_owned()),
        (Physical::BOOLEAN, _) => found(Form::Boolean, "boolean"),
        (Physical::INT32, _) => Ok(integer(32, true)),
        (Physical::INT64, _) => Ok(integer(64, true)),
        (Physical::INT96, _) => Ok(Column {
            form: Form::Moment { unit: Unit::Millis, local: false },
            words: "timestamp (INT96, UTC)".to_owned(),
        }),
        (Physical::FLOAT, _) => found(Form::Float, "float of 32 bits"),
        (Physical::DOUBLE, _) => found(Form::Float, "float of 64 bits"),
        (Physical::BYTE_ARRAY, _) => found(Form::Bytes, "bytes"),
        (Physical::FIXED_LEN_BYTE_ARRAY, _) if length > 0 => {
            Ok(Column { form: Form::Bytes, words: format!("bytes ({length} each)") })
        }
        (Physical::FIXED_LEN_BYTE_ARRAY, _) => Err("bytes of no length".to_owned()),
    }
}

fn integer(bits: i32, signed: bool) -> Column {
    if signed {
        Column { form: Form::Signed, words: format!("integer of {bits} bits") }
    } else {
        Column { form: Form::Unsigned, words: format!("unsigned integer of {bits} bits") }
    }
}

fn decimal(precision: i32, scale: i32) -> Result<Column, String> {
    let words = format!("decimal({precision}, {scale})");
    if precision > MAX_PRECISION || scale.abs() > MAX_PRECISION {
        return Err(format!("a {words}, of which {MAX_PRECISION} digits are read at most"));
    }
    Ok(Column { form: Form::Decimal { scale }, words })
}

fn time(unit: Unit) -> Column {
    Column { form: Form::Time { unit }, words: format!("time of day ({})", unit.word()) }
}

fn moment(unit: Unit, local: bool) -> Column {
    let words = if local {
        format!("local timestamp ({})", unit.word())
    } else {
        format!("timestamp ({}, UTC)", unit.word())
    };
    Column { form: Form::Moment { unit, local }, words }
}

/// A list of text in any of the ways lists are written; Arrow's reader knows
/// the rules for the old ones, so it is asked.
fn list_of_text(field: &TypePtr) -> Result<Column, String> {
    let inferred = Type::group_type_builder("schema")
        .with_fields(vec![Arc::clone(field)])
        .build()
        .and_then(|root| parquet_to_arrow_schema(&SchemaDescriptor::new(Arc::new(root)), None));
    let Ok(schema) = inferred else {
        return Err("nested in a way that can't be read".to_owned());
    };
    match schema.fields().first().map(|field| field.data_type()) {
        Some(DataType::List(element)) => match element.data_type() {
            DataType::Utf8 | DataType::Binary => {
                let mut leaf: &Type = field;
                while let Some(child) = leaf.is_group().then(|| leaf.get_fields().first()).flatten()
                {
                    leaf = child;
                }
                match primitive(leaf, None)?.form {
                    Form::Text => {
                        Ok(Column { form: Form::TextList, words: "list of text".to_owned() })
                    }
                    _ => Err("a list of bytes".to_owned()),
                }
            }
            nested if nested.is_nested() => Err("a list of nested values".to_owned()),
            _ => Err("a list of values that are not text".to_owned()),
        },
        Some(DataType::Map(..)) => Err("a map".to_owned()),
        _ => Err("a struct".to_owned()),
    }
}
