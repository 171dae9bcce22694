//! Values of a row: what a type of Arrow stands for.
//!
//! Invariant: a value is what it is in the other formats; times are moments, and wall clocks without a zone are UTC's, as in Avro.

use std::fmt::Display;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, FixedSizeBinaryArray, FixedSizeListArray,
    GenericListArray, GenericListViewArray, LargeBinaryArray, LargeStringArray, MapArray, OffsetSizeTrait,
    PrimitiveArray, RunArray, StringArray, StringViewArray, StructArray, UnionArray,
    cast::AsArray,
    types::{
        ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
        DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float16Type,
        Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, IntervalDayTimeType,
        IntervalMonthDayNanoType, IntervalYearMonthType, RunEndIndexType, Time32MillisecondType, Time32SecondType,
        Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
        TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};
use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};
use thalweg_pipeline::decode::{Datum, Found, Level, MAX_DEPTH, Rejection, Sink, milliseconds, spelled, uuid};

const DAY: f64 = 86_400_000.0;

/// Passes the value of a column in a row to a sink.
pub(super) fn read(
    field: &Field,
    column: &ArrayRef,
    row: usize,
    sink: &mut Sink<'_>,
    level: Level,
    depth: usize,
) -> Result<(), Rejection> {
    if depth > MAX_DEPTH {
        return Err(misfit(format!("its values are nested deeper than {MAX_DEPTH}")));
    }
    if column.is_null(row) {
        return sink.leaf(level, Datum::Null);
    }
    let kind = column.data_type();
    match kind {
        DataType::Struct(_) => structure(cast(column)?, row, sink, level, depth),
        DataType::List(item) => {
            let list: &GenericListArray<i32> = cast(column)?;
            elements(item, &list.value(row), sink, level, depth)
        }
        DataType::LargeList(item) => {
            let list: &GenericListArray<i64> = cast(column)?;
            elements(item, &list.value(row), sink, level, depth)
        }
        DataType::ListView(item) => viewed::<i32>(item, column, row, sink, level, depth),
        DataType::LargeListView(item) => viewed::<i64>(item, column, row, sink, level, depth),
        DataType::FixedSizeList(item, _) => {
            let list: &FixedSizeListArray = cast(column)?;
            elements(item, &list.value(row), sink, level, depth)
        }
        DataType::Map(..) => entries(cast(column)?, row, sink, level, depth),
        DataType::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            let key = key(dictionary.keys(), row);
            let key = key.filter(|key| *key < dictionary.values().len());
            let key = key.ok_or_else(|| misfit("a value is none of its dictionary".to_owned()))?;
            read(field, dictionary.values(), key, sink, level, depth + 1)
        }
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => run::<Int16Type>(field, column, row, sink, level, depth),
            DataType::Int32 => run::<Int32Type>(field, column, row, sink, level, depth),
            _ => run::<Int64Type>(field, column, row, sink, level, depth),
        },
        DataType::Union(..) => {
            let union: &UnionArray = cast(column)?;
            let child = union.child(union.type_id(row));
            read(field, child, union.value_offset(row), sink, level, depth + 1)
        }
        DataType::Interval(unit) => interval(*unit, column, row, sink, level),
        DataType::Binary => bytes(field, cast::<BinaryArray>(column)?.value(row), sink, level),
        DataType::LargeBinary => bytes(field, cast::<LargeBinaryArray>(column)?.value(row), sink, level),
        DataType::BinaryView => bytes(field, cast::<BinaryViewArray>(column)?.value(row), sink, level),
        DataType::FixedSizeBinary(_) => bytes(field, cast::<FixedSizeBinaryArray>(column)?.value(row), sink, level),
        _ => {
            let datum = leaf(kind, column, row)?;
            sink.leaf(level, datum)
        }
    }
}

fn misfit(problem: String) -> Rejection {
    Rejection::DoesNotFit { schema: "in the file".to_owned(), problem }
}

/// Returns an array as what its type says that it is.
fn cast<T: 'static>(column: &ArrayRef) -> Result<&T, Rejection> {
    column.as_any().downcast_ref().ok_or_else(|| misfit("a column is not of its type".to_owned()))
}

/// Returns a row's value of a type of numbers.
fn number<T: ArrowPrimitiveType>(column: &ArrayRef, row: usize) -> Result<T::Native, Rejection> {
    Ok(cast::<PrimitiveArray<T>>(column)?.value(row))
}

fn structure(
    column: &StructArray,
    row: usize,
    sink: &mut Sink<'_>,
    level: Level,
    depth: usize,
) -> Result<(), Rejection> {
    let first = || column.fields().first().map(|field| field.name().chars().take(60).collect());
    let within = sink.enter(level, || Found::Object(first()))?;
    for (field, child) in column.fields().iter().zip(column.columns()) {
        let end = sink.push(field.name());
        read(field, child, row, sink, within, depth + 1)?;
        sink.pop(end);
    }
    Ok(())
}

fn elements(item: &Field, values: &ArrayRef, sink: &mut Sink<'_>, level: Level, depth: usize) -> Result<(), Rejection> {
    let within = sink.enter(level, || Found::Array)?;
    for i in 0..values.len() {
        let end = sink.push_place(i as u64);
        read(item, values, i, sink, within, depth + 1)?;
        sink.pop(end);
    }
    Ok(())
}

fn viewed<O: OffsetSizeTrait>(
    item: &Field,
    column: &ArrayRef,
    row: usize,
    sink: &mut Sink<'_>,
    level: Level,
    depth: usize,
) -> Result<(), Rejection> {
    let list: &GenericListViewArray<O> = cast(column)?;
    elements(item, &list.value(row), sink, level, depth)
}

fn entries(column: &MapArray, row: usize, sink: &mut Sink<'_>, level: Level, depth: usize) -> Result<(), Rejection> {
    let within = sink.enter(level, || Found::Object(None))?;
    let entries = column.value(row);
    let [keys, values] = entries.columns() else {
        return Err(misfit("a map is not of keys and values".to_owned()));
    };
    let (_, item) = column.entries_fields();
    for i in 0..entries.len() {
        let end = match leaf(keys.data_type(), keys, i)? {
            Datum::Text(key) => sink.push(key),
            Datum::Integer(key) => sink.push(&key.to_string()),
            Datum::Unsigned(key) => sink.push(&key.to_string()),
            _ => return Err(misfit(format!("the keys of a map are {} and no names", keys.data_type()))),
        };
        read(item, values, i, sink, within, depth + 1)?;
        sink.pop(end);
    }
    Ok(())
}

fn run<T: RunEndIndexType>(
    field: &Field,
    column: &ArrayRef,
    row: usize,
    sink: &mut Sink<'_>,
    level: Level,
    depth: usize,
) -> Result<(), Rejection> {
    let runs: &RunArray<T> = cast(column)?;
    read(field, runs.values(), runs.get_physical_index(row), sink, level, depth + 1)
}

/// Returns a key of a dictionary.
fn key(keys: &dyn Array, row: usize) -> Option<usize> {
    fn of<T: ArrowPrimitiveType<Native: TryInto<usize>>>(keys: &dyn Array, row: usize) -> Option<usize> {
        keys.as_primitive_opt::<T>()?.value(row).try_into().ok()
    }
    match keys.data_type() {
        DataType::Int8 => of::<Int8Type>(keys, row),
        DataType::Int16 => of::<Int16Type>(keys, row),
        DataType::Int32 => of::<Int32Type>(keys, row),
        DataType::Int64 => of::<Int64Type>(keys, row),
        DataType::UInt8 => of::<UInt8Type>(keys, row),
        DataType::UInt16 => of::<UInt16Type>(keys, row),
        DataType::UInt32 => of::<UInt32Type>(keys, row),
        _ => of::<UInt64Type>(keys, row),
    }
}

/// Passes on bytes: a UUID, or text of their digits.
fn bytes(field: &Field, bytes: &[u8], sink: &mut Sink<'_>, level: Level) -> Result<(), Rejection> {
    match <&[u8; 16]>::try_from(bytes) {
        Ok(bytes) if field.extension_type_name() == Some("arrow.uuid") => sink.leaf(level, Datum::Text(&uuid(bytes))),
        _ if bytes.is_empty() => sink.leaf(level, Datum::Null),
        _ => sink.leaf(level, Datum::Text(&spelled(bytes))),
    }
}

/// Passes on a span of the calendar, as Avro's duration.
fn interval(
    unit: IntervalUnit,
    column: &ArrayRef,
    row: usize,
    sink: &mut Sink<'_>,
    level: Level,
) -> Result<(), Rejection> {
    let (months, days, milliseconds) = match unit {
        IntervalUnit::YearMonth => (number::<IntervalYearMonthType>(column, row)?, 0, 0.0),
        IntervalUnit::DayTime => {
            let span = number::<IntervalDayTimeType>(column, row)?;
            (0, span.days, f64::from(span.milliseconds))
        }
        IntervalUnit::MonthDayNano => {
            let span = number::<IntervalMonthDayNanoType>(column, row)?;
            (span.months, span.days, milliseconds(span.nanoseconds, 1e-6))
        }
    };
    let within = sink.enter(level, || Found::Object(Some("months".to_owned())))?;
    let parts = [("months", f64::from(months)), ("days", f64::from(days)), ("milliseconds", milliseconds)];
    for (name, part) in parts {
        let end = sink.push(name);
        sink.leaf(within, Datum::Number(part))?;
        sink.pop(end);
    }
    Ok(())
}

/// Returns the double next to a decimal.
fn decimal(digits: impl Display, scale: i8) -> Datum<'static> {
    // More digits than a double has room for are as bad as an infinity.
    Datum::Number(format!("{digits}e{}", -i32::from(scale)).parse().unwrap_or(f64::INFINITY))
}

/// Returns a value without parts.
fn leaf<'c>(kind: &DataType, column: &'c ArrayRef, row: usize) -> Result<Datum<'c>, Rejection> {
    let integer = |number: i64| Ok(Datum::Integer(number));
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 1e3,
        TimeUnit::Millisecond => 1.0,
        TimeUnit::Microsecond => 1e-3,
        TimeUnit::Nanosecond => 1e-6,
    };
    Ok(match kind {
        DataType::Null => Datum::Null,
        DataType::Boolean => Datum::Truth(cast::<BooleanArray>(column)?.value(row)),
        DataType::Int8 => return integer(number::<Int8Type>(column, row)?.into()),
        DataType::Int16 => return integer(number::<Int16Type>(column, row)?.into()),
        DataType::Int32 => return integer(number::<Int32Type>(column, row)?.into()),
        DataType::Int64 => return integer(number::<Int64Type>(column, row)?),
        DataType::UInt8 => return integer(number::<UInt8Type>(column, row)?.into()),
        DataType::UInt16 => return integer(number::<UInt16Type>(column, row)?.into()),
        DataType::UInt32 => return integer(number::<UInt32Type>(column, row)?.into()),
        DataType::UInt64 => Datum::Unsigned(number::<UInt64Type>(column, row)?),
        DataType::Float16 => Datum::Number(number::<Float16Type>(column, row)?.to_f64()),
        DataType::Float32 => Datum::Number(number::<Float32Type>(column, row)?.into()),
        DataType::Float64 => Datum::Number(number::<Float64Type>(column, row)?),
        DataType::Utf8 => Datum::Text(cast::<StringArray>(column)?.value(row)),
        DataType::LargeUtf8 => Datum::Text(cast::<LargeStringArray>(column)?.value(row)),
        DataType::Utf8View => Datum::Text(cast::<StringViewArray>(column)?.value(row)),
        DataType::Decimal32(_, scale) => decimal(number::<Decimal32Type>(column, row)?, *scale),
        DataType::Decimal64(_, scale) => decimal(number::<Decimal64Type>(column, row)?, *scale),
        DataType::Decimal128(_, scale) => decimal(number::<Decimal128Type>(column, row)?, *scale),
        DataType::Decimal256(_, scale) => decimal(number::<Decimal256Type>(column, row)?, *scale),
        DataType::Date32 => Datum::Time(milliseconds(number::<Date32Type>(column, row)?.into(), DAY)),
        DataType::Date64 => Datum::Time(milliseconds(number::<Date64Type>(column, row)?, 1.0)),
        DataType::Timestamp(of, _) => {
            let number = match of {
                TimeUnit::Second => number::<TimestampSecondType>(column, row)?,
                TimeUnit::Millisecond => number::<TimestampMillisecondType>(column, row)?,
                TimeUnit::Microsecond => number::<TimestampMicrosecondType>(column, row)?,
                TimeUnit::Nanosecond => number::<TimestampNanosecondType>(column, row)?,
            };
            Datum::Time(milliseconds(number, unit(of)))
        }
        DataType::Time32(of) => {
            let number = match of {
                TimeUnit::Second => number::<Time32SecondType>(column, row)?,
                _ => number::<Time32MillisecondType>(column, row)?,
            };
            Datum::Number(milliseconds(number.into(), unit(of)))
        }
        DataType::Time64(of) => {
            let number = match of {
                TimeUnit::Nanosecond => number::<Time64NanosecondType>(column, row)?,
                _ => number::<Time64MicrosecondType>(column, row)?,
            };
            Datum::Number(milliseconds(number, unit(of)))
        }
        DataType::Duration(of) => {
            let number = match of {
                TimeUnit::Second => number::<DurationSecondType>(column, row)?,
                TimeUnit::Millisecond => number::<DurationMillisecondType>(column, row)?,
                TimeUnit::Microsecond => number::<DurationMicrosecondType>(column, row)?,
                TimeUnit::Nanosecond => number::<DurationNanosecondType>(column, row)?,
            };
            Datum::Number(milliseconds(number, unit(of)))
        }
        other => return Err(misfit(format!("a column is of the type {other}, which is not read"))),
    })
}
