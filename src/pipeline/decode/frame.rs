//! What stands around the JSON of a row: a schema registry's bytes, or Kafka Connect's schema beside its payload.
//!
//! Invariant: a frame is taken off by its bytes alone, the same way ahead of the decoder and within it.

use std::{borrow::Cow, ops::Range};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Unit,
    bare::Quoted,
    cast::{Cast, Named},
};

/// Bytes of a schema registry's frame: 0 and the schema's number.
const REGISTRY_BYTES: usize = 5;
/// Most bytes of a Connect schema that is remembered.
const MAX_SCHEMA_BYTES: usize = 1 << 20;
/// Most fields of a Connect schema whose types are looked at, and deepest nesting.
const MAX_TYPED_FIELDS: usize = 10_000;
const MAX_DEPTH: usize = 32;

/// Returns what stands behind a schema registry's bytes, where there are any before an object in JSON. Apicurio's numbers have eight.
#[inline]
pub(super) fn behind_registry(value: &[u8]) -> &[u8] {
    match value {
        [0, _, _, _, _, rest @ ..] if rest.trim_ascii_start().first() == Some(&b'{') => rest,
        [0, 0, 0, 0, 0, _, _, _, _, rest @ ..] if rest.trim_ascii_start().first() == Some(&b'{') => rest,
        _ => value,
    }
}

/// Returns the number of the schema that a registry's bytes name, where a record begins with them.
pub(super) fn registry_id(value: &[u8]) -> Option<u32> {
    let id = value.get(1..REGISTRY_BYTES)?.try_into().ok()?;
    (value[0] == 0).then(|| u32::from_be_bytes(id))
}

/// A record of Kafka Connect's JsonConverter, taken apart.
#[derive(Debug, Default)]
pub(super) struct ConnectFrame {
    /// All that stood before the last payload; empty where it came first.
    before: Vec<u8>,
    schema: Vec<u8>,
}

#[derive(Deserialize)]
struct Parts<'v> {
    #[serde(borrow)]
    schema: &'v RawValue,
    #[serde(borrow)]
    payload: &'v RawValue,
}

/// Returns the places of schema and payload.
fn parts(json: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    let parts: Parts<'_> = serde_json::from_slice(json).ok()?;
    let place = |part: &RawValue| {
        let start = (part.get().as_ptr() as usize).wrapping_sub(json.as_ptr() as usize);
        start..start + part.get().len()
    };
    Some((place(parts.schema), place(parts.payload)))
}

impl ConnectFrame {
    /// Returns the payload; `None` where the record is not an object of a schema and a payload. Of records whose schema
    /// is that of the one before, nothing but the payload is looked at.
    #[inline]
    pub(super) fn open<'v>(&mut self, value: &'v [u8]) -> Option<&'v [u8]> {
        if let Some(rest) = value.strip_prefix(&self.before[..])
            && !self.before.is_empty()
            && let Some(payload) = rest.trim_ascii_end().strip_suffix(b"}")
        {
            return Some(payload);
        }
        self.open_other(value)
    }

    /// Returns what [`open`](Self::open) returns, whatever came before.
    #[cold]
    pub(super) fn open_other<'v>(&mut self, value: &'v [u8]) -> Option<&'v [u8]> {
        let (schema, payload) = parts(value).or_else(|| {
            let mut quoted = Quoted::default();
            let is_other = quoted.read(value);
            let (schema, payload) = is_other.then(|| parts(quoted.bytes())).flatten()?;
            let place = |part: Range<usize>| quoted.original(part.start)..quoted.original(part.end);
            Some((place(schema), place(payload)))
        })?;
        self.before.clear();
        self.schema.clear();
        // A schema that comes after its payload is part of no prefix.
        if schema.end <= payload.start && payload.start <= MAX_SCHEMA_BYTES {
            self.before.extend_from_slice(value.get(..payload.start)?);
        }
        if schema.len() <= MAX_SCHEMA_BYTES {
            self.schema.extend_from_slice(value.get(schema)?);
        }
        value.get(payload)
    }

    /// Returns the bytes of the schema that was taken off last.
    pub(super) fn schema(&self) -> &[u8] {
        &self.schema
    }
}

/// A type in a Connect schema.
#[derive(Deserialize)]
struct Type<'v> {
    #[serde(borrow, default)]
    name: Option<Cow<'v, str>>,
    #[serde(borrow, default)]
    field: Option<Cow<'v, str>>,
    #[serde(borrow, default)]
    fields: Option<Vec<&'v RawValue>>,
    #[serde(borrow, default)]
    parameters: Option<Parameters<'v>>,
}

#[derive(Deserialize)]
struct Parameters<'v> {
    #[serde(borrow, default)]
    scale: Option<Cow<'v, str>>,
}

/// Returns the fields of a Connect schema whose type says more than their JSON does, by their paths in the payload.
pub(super) fn types(schema: &[u8]) -> Vec<Named> {
    let mut found = Vec::new();
    if let Ok(schema) = serde_json::from_slice(schema) {
        collect(schema, &mut String::new(), &mut found, &mut 0, MAX_DEPTH);
    }
    found
}

fn collect(schema: &RawValue, path: &mut String, found: &mut Vec<Named>, seen: &mut usize, depth: usize) {
    let Ok(of) = serde_json::from_str::<Type<'_>>(schema.get()) else { return };
    if let Some(cast) = of.name.and_then(|name| cast(&name, of.parameters.as_ref())) {
        found.push(Named { field: path.clone(), cast });
    }
    let Some(depth) = depth.checked_sub(1) else { return };
    for field in of.fields.unwrap_or_default() {
        *seen += 1;
        let Ok(Type { field: Some(name), .. }) = serde_json::from_str(field.get()) else { continue };
        if *seen > MAX_TYPED_FIELDS {
            return;
        }
        let outer = path.len();
        if outer > 0 {
            path.push('.');
        }
        path.push_str(&name);
        collect(field, path, found, seen, depth);
        path.truncate(outer);
    }
}

/// Returns the meaning of a logical type.
fn cast(name: &str, parameters: Option<&Parameters<'_>>) -> Option<Cast> {
    match name {
        "org.apache.kafka.connect.data.Decimal" => {
            let scale = parameters.and_then(|of| of.scale.as_ref()).and_then(|scale| scale.parse().ok());
            scale.map(Cast::Decimal)
        }
        "org.apache.kafka.connect.data.Date" | "io.debezium.time.Date" => Some(Cast::In(Unit::D)),
        "org.apache.kafka.connect.data.Timestamp" | "io.debezium.time.Timestamp" => Some(Cast::In(Unit::Ms)),
        "io.debezium.time.MicroTimestamp" => Some(Cast::In(Unit::Us)),
        "io.debezium.time.NanoTimestamp" => Some(Cast::In(Unit::Ns)),
        _ => None,
    }
}

/// Returns the kind of a record that is no JSON, by its first bytes, as the end of a message.
pub(super) fn other_format(value: &[u8]) -> Option<String> {
    let known = match value {
        [0, ..] if registry_id(value).is_some() => {
            let id = registry_id(value).unwrap_or_default();
            return Some(format!(
                "it begins with a schema registry's five bytes (schema {id}), and no JSON follows them: set schema.format to \
                 the schema's kind, and schema.registry"
            ));
        }
        [0xc3, 0x01, ..] => "one object in Avro's single-object encoding",
        [b'O', b'b', b'j', 1, ..] => "a container file of Avro",
        [0x1f, 0x8b, ..] => {
            "compressed with gzip by its writer: let the producer's compression.type do it, which readers undo"
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            "compressed with zstd by its writer: let the producer's compression.type do it, which readers undo"
        }
        [b'P', b'A', b'R', b'1', ..] => "a Parquet file",
        [0xac, 0xed, 0x00, 0x05, ..] => "an object of Java's own serialisation",
        [0xd9, 0xd9, 0xf7, ..] => "CBOR",
        [0x80..=0x8f | 0xde | 0xdf, ..] => "MessagePack, or the like",
        [b'<', ..] => "XML, or the like",
        [0xef, 0xbb, 0xbf, ..] => "text with a byte order mark in front of it, which JSON has none of",
        _ => return None,
    };
    Some(format!("it looks like {known}"))
}
