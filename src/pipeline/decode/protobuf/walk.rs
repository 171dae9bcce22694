//! Reads any message by its descriptor.
//!
//! Invariant: what is repeated on the wire counts as the format has it: values of one field are one list, messages are merged, the
//! last of others counts.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value};

use super::super::{
    Found, Rejection,
    datum::{Datum, Level, MAX_DEPTH, Sink, spelled},
};

/// A message of the library that comes with the format, which stands for something else than its fields.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Known {
    /// A moment.
    Time,
    /// Time between two.
    Span,
    /// A value that may be unknown.
    Wrapper,
    /// An object of JSON.
    Struct,
    /// A value of JSON.
    Value,
    /// An array of JSON.
    List,
}

/// Returns what a message stands for.
pub(super) fn known(message: &MessageDescriptor) -> Option<Known> {
    let name = message.full_name().strip_prefix("google.protobuf.")?;
    Some(match name {
        "Timestamp" => Known::Time,
        "Duration" => Known::Span,
        "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value" | "BoolValue"
        | "StringValue" | "BytesValue" => Known::Wrapper,
        "Struct" => Known::Struct,
        "Value" => Known::Value,
        "ListValue" => Known::List,
        _ => return None,
    })
}

/// Returns a moment, or a time between two, in milliseconds.
pub(super) fn milliseconds(seconds: i64, nanos: i32) -> f64 {
    seconds as f64 * 1e3 + f64::from(nanos) / 1e6
}

/// Reads a message into a sink.
///
/// # Errors
/// [`Rejection::DoesNotFit`], or what the values are refused for.
pub(in crate::decode) fn read(message: &MessageDescriptor, bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), Rejection> {
    let message = DynamicMessage::decode(message.clone(), bytes)
        .map_err(|error| Rejection::DoesNotFit { schema: String::new(), problem: error.to_string() })?;
    let level = sink.level();
    fields(&message, sink, level, 0)
}

fn fields(message: &DynamicMessage, sink: &mut Sink<'_>, level: Level, depth: usize) -> Result<(), Rejection> {
    for field in message.descriptor().fields() {
        let end = sink.push(field.name());
        if field.supports_presence() && !message.has_field(&field) {
            sink.leaf(level, Datum::Null)?;
        } else {
            value(&field, &message.get_field(&field), sink, level, depth)?;
        }
        sink.path.truncate(end);
    }
    Ok(())
}

fn value(
    field: &FieldDescriptor,
    value: &Value,
    sink: &mut Sink<'_>,
    level: Level,
    depth: usize,
) -> Result<(), Rejection> {
    match value {
        // An empty list is not on the wire.
        Value::List(elements) if elements.is_empty() => Ok(()),
        Value::Map(entries) if entries.is_empty() => Ok(()),
        // A row is read as if it stood in the place of the list.
        Value::List(elements) if sink.is_rows() => {
            elements.iter().try_for_each(|element| one(&field.kind(), element, sink, level, depth))
        }
        Value::List(elements) => {
            let within = sink.enter(level, || Found::Array)?;
            for (i, element) in (0..).zip(elements) {
                let end = sink.push_place(i);
                one(&field.kind(), element, sink, within, depth)?;
                sink.path.truncate(end);
            }
            Ok(())
        }
        Value::Map(entries) => {
            let within = sink.enter(level, || Found::Object(None))?;
            let Kind::Message(entry) = field.kind() else { return Ok(()) };
            let kind = entry.map_entry_value_field().kind();
            // A map has no order of its own.
            let mut sorted: Vec<(String, &Value)> = entries.iter().map(|(key, value)| (key_text(key), value)).collect();
            sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
            for (key, entry) in sorted {
                let end = sink.push(&key);
                one(&kind, entry, sink, within, depth)?;
                sink.path.truncate(end);
            }
            Ok(())
        }
        single => one(&field.kind(), single, sink, level, depth),
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

/// Takes one value.
fn one(kind: &Kind, value: &Value, sink: &mut Sink<'_>, level: Level, depth: usize) -> Result<(), Rejection> {
    let datum = match value {
        Value::Bool(truth) => Datum::Truth(*truth),
        Value::I32(number) => Datum::Integer((*number).into()),
        Value::I64(number) => Datum::Integer(*number),
        Value::U32(number) => Datum::Integer((*number).into()),
        Value::U64(number) => Datum::Unsigned(*number),
        Value::F32(number) => Datum::Number((*number).into()),
        Value::F64(number) => Datum::Number(*number),
        Value::String(text) => Datum::Text(text),
        Value::Bytes(bytes) if bytes.is_empty() => Datum::Null,
        Value::Bytes(bytes) => return sink.leaf(level, Datum::Text(&spelled(bytes))),
        Value::EnumNumber(number) => {
            let Kind::Enum(of) = kind else { return Ok(()) };
            return match of.get_value(*number) {
                Some(value) => sink.leaf(level, Datum::Text(value.name())),
                None => sink.leaf(level, Datum::Integer((*number).into())),
            };
        }
        Value::Message(inner) => return message(inner, sink, level, depth + 1),
        // A list holds no list.
        Value::List(_) | Value::Map(_) => return Ok(()),
    };
    sink.leaf(level, datum)
}

fn message(inner: &DynamicMessage, sink: &mut Sink<'_>, level: Level, depth: usize) -> Result<(), Rejection> {
    if depth > MAX_DEPTH {
        let problem = format!("its messages are nested deeper than {MAX_DEPTH}");
        return Err(Rejection::DoesNotFit { schema: String::new(), problem });
    }
    let descriptor = inner.descriptor();
    let number = |number| inner.get_field_by_number(number);
    match known(&descriptor) {
        Some(Known::Time | Known::Span) => {
            let seconds = number(1).and_then(|value| value.as_i64()).unwrap_or(0);
            let nanos = number(2).and_then(|value| value.as_i32()).unwrap_or(0);
            let milliseconds = milliseconds(seconds, nanos);
            let is_time = known(&descriptor) == Some(Known::Time);
            sink.leaf(level, if is_time { Datum::Time(milliseconds) } else { Datum::Number(milliseconds) })
        }
        Some(Known::Wrapper) => match (descriptor.get_field(1), number(1)) {
            (Some(field), Some(value)) => one(&field.kind(), &value, sink, level, depth),
            _ => Ok(()),
        },
        Some(Known::Value) => match descriptor.fields().find(|field| inner.has_field(field)) {
            Some(field) if field.name() == "null_value" => sink.leaf(level, Datum::Null),
            Some(field) => one(&field.kind(), &inner.get_field(&field), sink, level, depth),
            None => sink.leaf(level, Datum::Null),
        },
        Some(Known::Struct | Known::List) => match (descriptor.get_field(1), number(1)) {
            (Some(field), Some(members)) => value(&field, &members, sink, level, depth),
            _ => Ok(()),
        },
        None => {
            let first = descriptor.fields().next().map(|field| field.name().chars().take(60).collect());
            let within = sink.enter(level, || Found::Object(first))?;
            fields(inner, sink, within, depth)
        }
    }
}
