//! Reads one JSON object into a draft, flattening as it goes: nested objects with dots, arrays with indices.
//!
//! It never builds a tree, and a field whose meaning is known costs no allocation.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    Draft, Rejection, bad_timestamp,
    index::Index,
    role::{Field, Part},
};

/// Reads `bytes`, which must hold one object and nothing else.
pub(super) fn read_object(bytes: &[u8], index: &mut Index, draft: &mut Draft) -> Result<(), Rejection> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut path = std::mem::take(&mut draft.path);
    path.clear();
    let read = json.deserialize_any(Root(Reader { index, draft, path: &mut path, cursor: &mut 0, ignoring: false }));
    let read = read.and_then(|()| json.end());
    draft.path = path;
    read.map_err(|error| draft.rejection.take().unwrap_or_else(|| explain(bytes, &error)))
}

/// What all levels of a record share.
struct Reader<'d> {
    index: &'d mut Index,
    draft: &'d mut Draft,
    /// The flattened name of where the parser is.
    path: &'d mut String,
    cursor: &'d mut usize,
    /// Within something ignored, of which only what has a name of its own counts.
    ignoring: bool,
}

impl Reader<'_> {
    fn reborrow(&mut self) -> Reader<'_> {
        let Self { ignoring, .. } = *self;
        Reader { index: self.index, draft: self.draft, path: self.path, cursor: self.cursor, ignoring }
    }

    /// What the path names.
    fn field(&mut self) -> Field {
        let field = self.index.field(self.path, self.cursor);
        if self.ignoring && field == Field::NEW { Field { part: Part::Ignored, ..field } } else { field }
    }

    /// serde carries only texts out of a visitor, so the reason waits in the draft.
    fn refuse<E: serde::de::Error>(&mut self, rejection: Rejection) -> E {
        self.draft.rejection = Some(rejection);
        E::custom("refused")
    }

    fn members<'de, A: MapAccess<'de>>(&mut self, mut map: A) -> Result<(), A::Error> {
        let prefix = self.path.len();
        while let Some(field) = map.next_key_seed(Name(self.reborrow()))? {
            map.next_value_seed(Value { reader: self.reborrow(), field })?;
            self.path.truncate(prefix);
        }
        Ok(())
    }
}

/// The whole record.
struct Root<'d>(Reader<'d>);

macro_rules! not_an_object {
    ($($visit:ident: $type:ty => $found:literal),* $(,)?) => {
        $(fn $visit<E: serde::de::Error>(mut self, _: $type) -> Result<(), E> {
            Err(self.0.refuse(Rejection::NotAnObject { found: $found }))
        })*
    };
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        self.0.members(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, _: A) -> Result<(), A::Error> {
        Err(self.0.refuse(Rejection::NotAnObject { found: "an array" }))
    }

    fn visit_unit<E: serde::de::Error>(mut self) -> Result<(), E> {
        Err(self.0.refuse(Rejection::NotAnObject { found: "null" }))
    }

    not_an_object!(visit_bool: bool => "a boolean", visit_i64: i64 => "a number", visit_u64: u64 => "a number",
                   visit_f64: f64 => "a number", visit_str: &str => "text");
}

/// A member's name: appended to the path and looked up.
struct Name<'d>(Reader<'d>);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'_> {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(mut self, name: &str) -> Result<Field, E> {
        let path = &mut *self.0.path;
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        Ok(self.0.field())
    }
}

/// A member's value, or an element of an array.
struct Value<'d> {
    reader: Reader<'d>,
    field: Field,
}

impl Value<'_> {
    #[inline]
    fn number<E: serde::de::Error>(self, number: f64, text: impl FnOnce() -> String) -> Result<(), E> {
        let Self { mut reader, field } = self;
        let taken = reader.draft.number(reader.index, field, reader.path, number, text);
        taken.map_err(|rejection| reader.refuse(rejection))
    }

    /// Looks at what holds others: a target or a time must not turn into features by being flattened.
    fn open<E: serde::de::Error>(&mut self, found: &'static str) -> Result<(), E> {
        self.reader.ignoring |= self.field.part == Part::Ignored;
        if self.field.part == Part::Target {
            let field = self.reader.path.clone();
            return Err(self.reader.refuse(Rejection::NotANumber { field, found }));
        }
        self.refuse_time(found)
    }

    fn refuse_time<E: serde::de::Error>(&mut self, found: &str) -> Result<(), E> {
        if self.field.timestamp {
            let rejection = bad_timestamp(self.reader.path, found);
            return Err(self.reader.refuse(rejection));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // What is ignored by name is ignored with all that it holds, but for what is named itself.
        if self.field.part == Part::Ignored && self.field.is_plain() && !self.field.inner {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    #[inline]
    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        self.number(number, || number.to_string())
    }

    #[inline]
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        self.number(number as f64, || number.to_string())
    }

    #[inline]
    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        self.number(number as f64, || number.to_string())
    }

    fn visit_bool<E: serde::de::Error>(mut self, value: bool) -> Result<(), E> {
        self.refuse_time(if value { "true" } else { "false" })?;
        self.number(f64::from(u8::from(value)), || value.to_string())
    }

    /// Null: unknown.
    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.reader.draft.null(self.reader.index, self.field);
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let Self { mut reader, field } = self;
        let taken = reader.draft.text(reader.index, field, reader.path, text);
        taken.map_err(|rejection| reader.refuse(rejection))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        self.open("an object")?;
        self.reader.members(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        self.open("an array")?;
        let prefix = self.reader.path.len();
        for i in 0_u64.. {
            self.reader.path.push('.');
            self.reader.path.push_str(itoa::Buffer::new().format(i));
            let field = self.reader.field();
            let element = elements.next_element_seed(Value { reader: self.reader.reborrow(), field })?;
            self.reader.path.truncate(prefix);
            if element.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// Tells a number that JSON cannot hold from a text that is no JSON at all.
fn explain(bytes: &[u8], error: &serde_json::Error) -> Rejection {
    let problem = error.to_string();
    if problem.starts_with("number out of range") || holds_non_finite(bytes, error) {
        return Rejection::NotFinite { field: None };
    }
    Rejection::NotJson { problem }
}

/// Whether the parser stopped in a word like NaN or -Infinity, which many writers of JSON emit.
fn holds_non_finite(bytes: &[u8], error: &serde_json::Error) -> bool {
    let line_start: usize =
        bytes.split_inclusive(|&byte| byte == b'\n').take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let stop = (line_start + error.column()).min(bytes.len());
    let start = bytes[..stop].iter().rposition(|byte| matches!(byte, b':' | b',' | b'[')).map_or(0, |at| at + 1);
    let word = bytes[start..].trim_ascii_start();
    let word = word.strip_prefix(b"-").or_else(|| word.strip_prefix(b"+")).unwrap_or(word);
    let starts = |name: &[u8]| word.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
    starts(b"nan") || starts(b"inf")
}
