//! Reads one JSON object into a draft, flattening as it goes: nested objects with dots, arrays with indices.
//!
//! It never builds a tree, and a field whose meaning is known costs no allocation.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    CloudEvent, Level, Rejection,
    bare::Quoted,
    cast,
    cloud_event::DATA,
    datum::Sink,
    draft::Draft,
    envelope::Wrappers,
    fast_path::is_key_as_written,
    index::Index,
    rejection::Found,
    role::{Field, Part},
};

/// Kind of value, for messages.
const AN_OBJECT: &str = "an object";

/// Reads `bytes`, which must hold one object and nothing else.
pub(super) fn read_object(bytes: &[u8], index: &mut Index, draft: &mut Draft) -> Result<(), Rejection> {
    read_any(bytes, None, index, draft)
}

/// Reads the attributes of an event, and `bytes` as its data.
pub(super) fn read_event(
    bytes: &[u8],
    event: CloudEvent<'_>,
    index: &mut Index,
    draft: &mut Draft,
) -> Result<(), Rejection> {
    read_any(bytes, Some(event), index, draft)
}

fn read_any(
    bytes: &[u8],
    event: Option<CloudEvent<'_>>,
    index: &mut Index,
    draft: &mut Draft,
) -> Result<(), Rejection> {
    let Err(error) = read(bytes, event, None, index, draft) else { return Ok(()) };
    if let Some(rejection) = draft.rejection.take() {
        return Err(rejection);
    }
    let mut quoted = std::mem::take(&mut draft.quoted);
    let result = if quoted.read(bytes) {
        draft.start(index);
        read(quoted.bytes(), event, Some(&quoted), index, draft)
            .map_err(|error| draft.rejection.take().unwrap_or_else(|| not_json(&error, Some(&quoted))))
    } else {
        Err(not_json(&error, None))
    };
    draft.quoted = quoted;
    result
}

fn read(
    bytes: &[u8],
    event: Option<CloudEvent<'_>>,
    quoted: Option<&Quoted>,
    index: &mut Index,
    draft: &mut Draft,
) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut ignoring = !index.is_root();
    if let Some(event) = event {
        let mut sink = Sink::new(index, draft);
        let begun = event.begin(&mut sink);
        sink.end();
        match begun {
            Ok(level) => ignoring = level != Level::Used,
            Err(rejection) => {
                draft.rejection = Some(rejection);
                return Err(Error::custom("refused"));
            }
        }
    }
    let mut path = std::mem::take(&mut draft.path);
    path.clear();
    path.push_str(event.map_or("", |_| DATA));
    let root = Root(Reader { index, draft, path: &mut path, cursor: &mut 0, ignoring, quoted });
    let read = json.deserialize_any(root);
    draft.path = path;
    read.and_then(|()| json.end())
}

/// State that all levels of a record share.
struct Reader<'d> {
    index: &'d mut Index,
    draft: &'d mut Draft,
    /// Flattened name of the parser's position.
    path: &'d mut String,
    cursor: &'d mut usize,
    /// True inside an ignored field, where only fields that the schema names count.
    ignoring: bool,
    /// The record with its bare words in quotes; `None` where it has none.
    quoted: Option<&'d Quoted>,
}

impl Reader<'_> {
    fn reborrow(&mut self) -> Reader<'_> {
        let Self { ignoring, quoted, .. } = *self;
        Reader { index: self.index, draft: self.draft, path: self.path, cursor: self.cursor, ignoring, quoted }
    }

    /// Returns `true` where a text had no quotes in the original record.
    fn is_bare(&self, text: &str) -> bool {
        self.quoted.is_some_and(|quoted| {
            let place = (text.as_ptr() as usize).wrapping_sub(quoted.bytes().as_ptr() as usize);
            quoted.starts().binary_search(&place).is_ok()
        })
    }

    /// Looks up the field at the current path.
    fn field(&mut self) -> Field {
        let field = self.index.field(self.path, self.cursor);
        if self.ignoring { field.within_ignored() } else { field }
    }

    /// Stores the reason in the draft: serde carries only texts out of a visitor.
    fn refuse<E: serde::de::Error>(&mut self, rejection: Rejection) -> E {
        self.draft.rejection = Some(rejection);
        E::custom("refused")
    }

    fn members<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        let prefix = self.path.len();
        while let Some(field) = map.next_key_seed(Name(self.reborrow()))? {
            map.next_value_seed(Value { reader: self.reborrow(), field })?;
            self.path.truncate(prefix);
        }
        Ok(())
    }

    /// Appends a member's name to the path and looks it up.
    fn enter(&mut self, name: &str) -> Field {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
        self.field()
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

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.0.members(&mut map)
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
        Ok(self.0.enter(name))
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

    /// Enters an object or an array: a time must not turn into features by being flattened.
    fn open<E: serde::de::Error>(&mut self, found: &'static str) -> Result<(), E> {
        self.reader.ignoring |= self.field.is_ignored_within() || self.field.timestamp;
        if self.field.is_root() {
            self.reader.ignoring = false;
            self.reader.draft.has_root |= found == AN_OBJECT;
        }
        self.bad_time(found)
    }

    fn bad_time<E: serde::de::Error>(&mut self, found: &str) -> Result<(), E> {
        if !self.field.timestamp {
            return Ok(());
        }
        let Self { reader, field } = self;
        reader.draft.null(reader.index, *field);
        let taken = reader.draft.bad_time(reader.index, reader.path, found);
        taken.map_err(|rejection| reader.refuse(rejection))
    }

    /// Takes the key, of which the digits count where it is a number.
    fn key<'de, D: Deserializer<'de>>(mut self, deserializer: D) -> Result<(), D::Error> {
        let written = <&RawValue>::deserialize(deserializer)?.get();
        let mut json = serde_json::Deserializer::from_str(written);
        let value = Value { reader: self.reader.reborrow(), field: self.field };
        json.deserialize_any(value).map_err(D::Error::custom)?;
        let is_number = written.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        if is_number && written.parse().is_ok_and(is_key_as_written) {
            let taken = self.reader.draft.take_key(written);
            return taken.map_err(|rejection| self.reader.refuse(rejection));
        }
        Ok(())
    }

    fn bad<E: serde::de::Error>(self, found: Found) -> Result<(), E> {
        let Self { mut reader, field } = self;
        let taken = reader.draft.no_number(reader.index, field.part, reader.path, || found);
        taken.map_err(|rejection| reader.refuse(rejection))
    }
}

impl Value<'_> {
    /// Takes an object that may stand for a value.
    fn unwrapped<'de, A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let wrappers = self.reader.index.syntax().wrappers;
        let Some(first) = map.next_key::<Cow<'de, str>>()? else { return self.object(&[], map) };
        if wrappers.hold(first.as_bytes()) {
            map.next_value_seed(Value { reader: self.reader.reborrow(), field: self.field })?;
            // What stands beside it is no part of the value.
            return self.reader.members(&mut map);
        }
        if wrappers != Wrappers::Scaled || first != "scale" {
            return self.object_from(first, &[], map);
        }
        let scale: &RawValue = map.next_value()?;
        let Some(second) = map.next_key::<Cow<'de, str>>()? else { return self.object(&[(first, scale)], map) };
        if second != "value" {
            return self.object_from(second, &[(first, scale)], map);
        }
        let value: &RawValue = map.next_value()?;
        let number = serde_json::from_str(scale.get()).ok().zip(serde_json::from_str::<Cow<'_, str>>(value.get()).ok());
        let number = number.and_then(|(scale, value)| cast::scaled(scale, &value));
        match (map.next_key::<Cow<'de, str>>()?, number) {
            (None, Some(number)) => self.number(number, || number.to_string()),
            (None, None) => self.object(&[(first, scale), (second, value)], map),
            (Some(third), _) => self.object_from(third, &[(first, scale), (second, value)], map),
        }
    }

    /// Takes an object whose first members have been read.
    fn object<'de, A: MapAccess<'de>>(
        mut self,
        read: &[(Cow<'_, str>, &RawValue)],
        mut map: A,
    ) -> Result<(), A::Error> {
        self.open(AN_OBJECT)?;
        if self.field.must_be_number() {
            let first = read.first().map(|(name, _)| name.chars().take(60).collect());
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return self.bad(Found::Object(first));
        }
        self.take_read(read)?;
        self.reader.members(&mut map)
    }

    /// Takes an object of which some members and the name of the next one have been read.
    fn object_from<'de, A: MapAccess<'de>>(
        mut self,
        name: Cow<'_, str>,
        read: &[(Cow<'_, str>, &RawValue)],
        mut map: A,
    ) -> Result<(), A::Error> {
        self.open(AN_OBJECT)?;
        if self.field.must_be_number() {
            let first = read.first().map_or(&name, |(name, _)| name).chars().take(60).collect();
            map.next_value::<IgnoredAny>()?;
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return self.bad(Found::Object(Some(first)));
        }
        self.take_read(read)?;
        let prefix = self.reader.path.len();
        let field = self.reader.enter(&name);
        map.next_value_seed(Value { reader: self.reader.reborrow(), field })?;
        self.reader.path.truncate(prefix);
        self.reader.members(&mut map)
    }

    fn take_read<E: serde::de::Error>(&mut self, read: &[(Cow<'_, str>, &RawValue)]) -> Result<(), E> {
        let prefix = self.reader.path.len();
        for (name, value) in read {
            let field = self.reader.enter(name);
            let mut json = serde_json::Deserializer::from_str(value.get());
            Value { reader: self.reader.reborrow(), field }.deserialize(&mut json).map_err(E::custom)?;
            self.reader.path.truncate(prefix);
        }
        Ok(())
    }
}

/// An element of an array, whose name is looked up when there is one.
struct Element<'d>(Reader<'d>);

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<(), D::Error> {
        let field = self.0.field();
        Value { reader: self.0, field }.deserialize(deserializer)
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // An ignored field is skipped with all that is nested in it, unless something in it is named in the schema.
        if self.field.is_skipped() {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ());
        }
        if self.field.wants_digits() { self.key(deserializer) } else { deserializer.deserialize_any(self) }
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
        self.bad_time(if value { "true" } else { "false" })?;
        if self.field.timestamp {
            self.field.timestamp = false;
            if !matches!(self.field.part, Part::Nominal(_) | Part::NewNominal) {
                self.field.part = Part::Ignored;
            }
        }
        self.number(f64::from(u8::from(value)), || value.to_string())
    }

    /// Takes `null` as unknown.
    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.reader.draft.null(self.reader.index, self.field);
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let Self { mut reader, field } = self;
        let taken = reader.draft.text(reader.index, field, reader.path, text);
        taken.map_err(|rejection| reader.refuse(rejection))
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<(), E> {
        if !self.reader.is_bare(text) {
            return self.visit_str(text);
        }
        let Self { mut reader, field } = self;
        let taken = reader.draft.bare(reader.index, field, reader.path, text);
        taken.map_err(|rejection| reader.refuse(rejection))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        if self.reader.index.syntax().wrappers != Wrappers::None && !self.field.is_root() {
            return self.unwrapped(map);
        }
        self.open(AN_OBJECT)?;
        if !self.field.must_be_number() {
            return self.reader.members(&mut map);
        }
        let first: Option<Cow<'de, str>> = map.next_key()?;
        if first.is_some() {
            map.next_value::<IgnoredAny>()?;
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.bad(Found::Object(first.map(|name| name.chars().take(60).collect())))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        self.open("an array")?;
        if self.field.must_be_number() {
            while elements.next_element::<IgnoredAny>()?.is_some() {}
            return self.bad(Found::Array);
        }
        let prefix = self.reader.path.len();
        for i in 0_u64.. {
            self.reader.path.push('.');
            self.reader.path.push_str(itoa::Buffer::new().format(i));
            let element = elements.next_element_seed(Element(self.reader.reborrow()))?;
            self.reader.path.truncate(prefix);
            if element.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// Returns the parser's message, with the place in the record as it was sent.
pub(super) fn not_json(error: &serde_json::Error, quoted: Option<&Quoted>) -> Rejection {
    let problem = error.to_string();
    let (Some(quoted), Some((what, _))) = (quoted, problem.rsplit_once(" at line ")) else {
        return Rejection::NotJson { problem };
    };
    let lines = quoted.bytes().split_inclusive(|&byte| byte == b'\n');
    let line_start: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let column = quoted.original(line_start + error.column()) - quoted.original(line_start);
    Rejection::NotJson { problem: format!("{what} at line {} column {column}", error.line()) }
}
