//! Values of a record by their flattened names, for those who look at data before there is a schema for it.
//!
//! Invariant: names are flattened as the [`Decoder`](super::Decoder) does it, nested objects with dots, arrays with
//! indices, and bare words such as NaN are read where it reads them. What this does not do: decide what a field means.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt::{self, Write},
};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thalweg_topic::record::Headers;

use super::{
    Cast, CloudEvent, Envelope, Explode, Learned, Named, OnDelete, Rejection, Schema, SchemaHeader,
    bare::Quoted,
    cast,
    cloud_event::DATA,
    datum::{Sink, TypedRow},
    envelope::{self, Form, Wrappers},
    frame::{self, ConnectFrame},
    json::not_json,
    naming::{Naming, OUTSIDE},
    numeric_text, time,
    writers::Writers,
};

/// A value that is neither an object nor an array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Leaf<'v> {
    /// `null`.
    Null,
    /// A truth value.
    Truth(bool),
    /// A number.
    Number(f64),
    /// A moment in milliseconds since 1970, which only formats with a schema tell from a number.
    Time(f64),
    /// A text, or a word without quotes that is none of JSON's.
    Text(&'v str),
}

/// Reads the rows of one stream's records; the first one shows the envelope around them.
#[derive(Debug)]
pub struct Leaves {
    schema: Schema,
    form: Option<(Form, Naming)>,
    connect: ConnectFrame,
    /// Connect's schema, and the decimals that it tells of, by the paths of the payload.
    typed_by: Vec<u8>,
    decimals: HashMap<String, u8>,
    writers: Writers,
    explode: Explode,
}

impl Leaves {
    /// Makes a reader; `schema` says what is known of the envelope.
    pub fn new(schema: &Schema) -> Self {
        let form = Form::set(schema).map(|form| Self::named(form, schema));
        Self {
            schema: schema.clone(),
            form,
            connect: ConnectFrame::default(),
            typed_by: Vec::new(),
            decimals: HashMap::new(),
            writers: Writers::new(schema),
            explode: Explode::new(schema),
        }
    }

    /// Learns what a schema's id means.
    pub fn learn(&mut self, learned: &Learned) {
        self.writers.learn(learned);
        self.explode.learn(learned);
    }

    /// Returns the envelope around the rows, once it is known; `None` where there is none.
    pub fn envelope(&self) -> Option<Envelope> {
        self.form.as_ref().map(|(form, _)| form).filter(|form| !form.is_whole()).map(|form| form.envelope)
    }

    fn named(form: Form, schema: &Schema) -> (Form, Naming) {
        let naming = Naming::new(&form.root, &schema.rename);
        (form, naming)
    }

    /// Passes each value of a record to `see`, with its name as the settings have it: those around the row begin with
    /// [`OUTSIDE`].
    ///
    /// # Errors
    /// When it is no JSON object, or has no row. `see` may have been called before.
    pub fn read(&mut self, bytes: &[u8], see: impl FnMut(&str, Leaf<'_>)) -> Result<(), Rejection> {
        self.read_with(bytes, &Headers::new(), see)
    }

    /// Passes the values of a record to `see`, as [`Leaves::read`] does; its headers may be an event's attributes.
    ///
    /// # Errors
    /// As [`Leaves::read`].
    pub fn read_with(
        &mut self,
        bytes: &[u8],
        headers: &Headers,
        mut see: impl FnMut(&str, Leaf<'_>),
    ) -> Result<(), Rejection> {
        if self.writers.are_needed() {
            return self.read_written(bytes, headers, &mut see);
        }
        let mut json = frame::behind_registry(bytes);
        let event = CloudEvent::of(headers);
        if let Some(event) = event.filter(|_| self.form.is_none()) {
            self.form = envelope::find_event(event, json, &self.schema).map(|form| Self::named(form, &self.schema));
        }
        if self.form.is_none() {
            self.form = envelope::find(json, &self.schema)?.map(|form| Self::named(form, &self.schema));
        }
        let Some((form, naming)) = &self.form else { return leaves(json, Wrappers::None, see) };
        let no_row = || {
            let record = envelope::parsed(json);
            form.without_row(record.as_ref(), self.schema.on_delete)
        };
        if form.is_marked(json) {
            return Err(Rejection::Deleted { is_skipped: self.schema.on_delete == OnDelete::Skip });
        }
        if form.is_framed {
            json = self.connect.open(json).ok_or_else(no_row)?;
            if self.connect.schema() != self.typed_by {
                self.typed_by = self.connect.schema().to_vec();
                let decimal =
                    |Named { field, cast }| if let Cast::Decimal(digits) = cast { Some((field, digits)) } else { None };
                self.decimals = frame::types(&self.typed_by).into_iter().filter_map(decimal).collect();
            }
        }
        let mut has_row = form.root.is_empty();
        let is_event = self.schema.envelope == Envelope::CloudEvents || form.envelope == Envelope::CloudEvents;
        let event = event.filter(|_| is_event);
        if let Some(event) = event {
            event.look(&mut |path, leaf| see(&naming.name(path), leaf))?;
        }
        let mut within = event.map(|_| DATA.to_owned());
        leaves(json, form.wrappers(), |path, leaf| {
            let path = match &mut within {
                None => path,
                Some(within) => {
                    within.truncate(DATA.len());
                    within.push('.');
                    within.push_str(path);
                    within
                }
            };
            let name = naming.name(path);
            has_row |= !name.starts_with(OUTSIDE);
            let number = match leaf {
                Leaf::Text(text) => self.decimals.get(path).and_then(|digits| cast::decimal(text, *digits)),
                _ => None,
            };
            see(&name, number.map_or(leaf, Leaf::Number));
        })?;
        if has_row { Ok(()) } else { Err(no_row()) }
    }

    /// Reads a record that was written by a schema.
    fn read_written(
        &mut self,
        bytes: &[u8],
        headers: &Headers,
        see: &mut dyn FnMut(&str, Leaf<'_>),
    ) -> Result<(), Rejection> {
        let Self { schema, form, writers, explode, .. } = self;
        if explode.is_typed()
            && let Some(refusal) = explode.refusal_of_row(bytes, headers.into())
        {
            return Err(refusal);
        }
        let (form, naming) = form.get_or_insert_with(|| Self::named(Form::of_typed(schema), schema));
        let mut has_row = form.root.is_empty();
        let mut named = |path: &str, leaf: Leaf<'_>| {
            let name = naming.name(path);
            has_row |= !name.starts_with(OUTSIDE);
            see(&name, leaf);
        };
        let mut sink = Sink::seen_by(&mut named);
        if let Some(event) = CloudEvent::of(headers).filter(|_| schema.envelope == Envelope::CloudEvents) {
            let level = event.begin(&mut sink)?;
            sink.begin_at(level);
        }
        sink.take_apart(explode.array());
        writers.read(bytes, SchemaHeader::of(headers), &mut sink)?;
        if has_row { Ok(()) } else { Err(form.without_row(None, schema.on_delete)) }
    }

    /// Passes each value of a record with types to `see`, as [`Leaves::read`] does.
    ///
    /// # Errors
    /// When it is damaged, or has no row.
    pub fn read_typed(&mut self, row: &dyn TypedRow, mut see: impl FnMut(&str, Leaf<'_>)) -> Result<(), Rejection> {
        let Self { schema, form, .. } = self;
        let (form, naming) = form.get_or_insert_with(|| Self::named(Form::of_typed(schema), schema));
        let mut has_row = form.root.is_empty();
        row.read(&mut Sink::seen_by(&mut |path, leaf| {
            let name = naming.name(path);
            has_row |= !name.starts_with(OUTSIDE);
            see(&name, leaf);
        }))?;
        if has_row { Ok(()) } else { Err(form.without_row(None, schema.on_delete)) }
    }
}

/// Passes each value of a JSON object to `see`, with its name.
fn leaves(bytes: &[u8], wrappers: Wrappers, mut see: impl FnMut(&str, Leaf<'_>)) -> Result<(), Rejection> {
    let mut quoted = Quoted::default();
    let has_bare_words = quoted.read(bytes);
    let json = if has_bare_words { quoted.bytes() } else { bytes };
    if !json.trim_ascii_start().starts_with(b"{") {
        // The decoder's own words for an array, a number, a text.
        let schema = Schema::default();
        let mut decoder = super::Decoder::new(&schema, super::Index::new(&schema));
        return Err(decoder.decode_full(bytes).err().unwrap_or(Rejection::NoFeatures));
    }
    let mut parser = serde_json::Deserializer::from_slice(json);
    let mut path = String::new();
    let walked = Walk { path: &mut path, see: &mut see, wrappers, is_record: true }
        .deserialize(&mut parser)
        .and_then(|()| parser.end());
    walked.map_err(|error| not_json(&error, has_bare_words.then_some(&quoted)))
}

/// Returns the number that a text stands for, as `schema.numeric_text` has it; NaN and infinities are none.
pub fn number_in_text(text: &str) -> Option<f64> {
    numeric_text::read(text).filter(|number| number.is_finite())
}

/// Returns the milliseconds since 1970 of a time in text; in UTC where it names no zone.
pub fn time_in_text(text: &str) -> Option<i64> {
    time::Clock::default().text(text).map(|(moment, _)| moment.milliseconds())
}

/// Returns the reason why a text that is nearly a time is not read as one, and what to write instead.
pub fn doubtful_time(text: &str) -> Option<super::Doubt> {
    time::doubt(text)
}

struct Walk<'w, F> {
    path: &'w mut String,
    see: &'w mut F,
    /// Objects that stand for a value.
    wrappers: Wrappers,
    is_record: bool,
}

impl<F: FnMut(&str, Leaf<'_>)> Walk<'_, F> {
    fn see<E>(self, leaf: Leaf<'_>) -> Result<(), E> {
        (self.see)(self.path, leaf);
        Ok(())
    }
}

impl<'de, F: FnMut(&str, Leaf<'_>)> DeserializeSeed<'de> for Walk<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&str, Leaf<'_>)> Visitor<'de> for Walk<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.see(Leaf::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<(), E> {
        self.see(Leaf::Truth(truth))
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.see(Leaf::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.see(Leaf::Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.see(Leaf::Number(number as f64))
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.see(Leaf::Text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { path, see, wrappers, is_record } = self;
        let prefix = path.len();
        if wrappers == Wrappers::Scaled && !is_record {
            return Walk { path, see, wrappers, is_record }.scaled(members);
        }
        while let Some(name) = members.next_key::<String>()? {
            if !is_record && wrappers.hold(name.as_bytes()) {
                members.next_value_seed(Walk { path, see, wrappers, is_record: false })?;
                continue;
            }
            if prefix > 0 {
                path.push('.');
            }
            path.push_str(&name);
            members.next_value_seed(Walk { path, see, wrappers, is_record: false })?;
            path.truncate(prefix);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { path, see, wrappers, .. } = self;
        let prefix = path.len();
        for i in 0_u64.. {
            // Writing to a String does not fail.
            let _ = write!(path, ".{i}");
            let element = elements.next_element_seed(Walk { path, see, wrappers, is_record: false })?;
            path.truncate(prefix);
            if element.is_none() {
                break;
            }
        }
        Ok(())
    }
}

impl<F: FnMut(&str, Leaf<'_>)> Walk<'_, F> {
    /// Takes an object that may stand for a number.
    fn scaled<'de, A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { path, see, wrappers, .. } = self;
        let mut both: Vec<(String, &RawValue)> = Vec::new();
        while let Some(member) = members.next_entry()? {
            both.push(member);
        }
        if let [(scale, digits), (value, text)] = &both[..]
            && (&**scale, &**value) == ("scale", "value")
            && let (Ok(digits), Ok(text)) =
                (serde_json::from_str(digits.get()), serde_json::from_str::<Cow<'_, str>>(text.get()))
            && let Some(number) = cast::scaled(digits, &text)
        {
            see(path, Leaf::Number(number));
            return Ok(());
        }
        let prefix = path.len();
        for (name, value) in both {
            path.push('.');
            path.push_str(&name);
            let mut json = serde_json::Deserializer::from_str(value.get());
            Walk { path, see, wrappers, is_record: false }.deserialize(&mut json).map_err(serde::de::Error::custom)?;
            path.truncate(prefix);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_flattened_and_bare_words_read() {
        let mut seen = Vec::new();
        let json = br#"{"a":1,"b":{"c":[true,"x"],"d":null},"e":NaN,"f":-2.5}"#;
        let mut reader = Leaves::new(&Schema::default());
        reader.read(json, |name, leaf| seen.push(format!("{name} {leaf:?}"))).expect("JSON");
        let expected = [
            "a Number(1.0)",
            "b.c.0 Truth(true)",
            "b.c.1 Text(\"x\")",
            "b.d Null",
            "e Text(\"NaN\")",
            "f Number(-2.5)",
        ];
        assert_eq!(seen, expected);
        for (wrong, reason) in
            [(&b"[1]"[..], "not_an_object"), (b"7", "not_an_object"), (b"{\"a\":", "not_json"), (b"x", "not_json")]
        {
            let refused = Leaves::new(&Schema::default()).read(wrong, |_, _| ()).expect_err("no object");
            assert_eq!(refused.reason(), reason, "{}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn a_row_is_taken_out_of_its_envelope() {
        let cases = [
            (r#"{"schema":null,"payload":{"a":1}}"#, "a Number(1.0)"),
            (r#"{"after":{"a":1},"before":{"b":2},"op":"c","source":{"c":3}}"#, "a Number(1.0)"),
            (r#"{"a":{"$numberLong":"1"}}"#, "a Text(\"1\")"),
            (r#"{"a":{"double":1}}"#, "a Number(1.0)"),
            (r#"{"after":{"a":{"scale":3,"value":"MDQ="}},"op":"r","source":{}}"#, "a Number(12.34)"),
            (
                r#"{"schema":{"type":"struct","fields":[{"field":"a","type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"1"}}]},"payload":{"a":"MDQ="}}"#,
                "a Number(1234.0)",
            ),
        ];
        for (json, expected) in cases {
            let (mut reader, mut seen) = (Leaves::new(&Schema::default()), Vec::new());
            let row = |name: &str, leaf: Leaf<'_>| {
                if !name.starts_with(OUTSIDE) {
                    seen.push(format!("{name} {leaf:?}"));
                }
            };
            reader.read(json.as_bytes(), row).expect(json);
            assert_eq!(seen, [expected], "{json}");
        }
        let mut reader = Leaves::new(&Schema { root: Some("row".into()), ..Schema::default() });
        assert_eq!(reader.read(br#"{"a":1}"#, |_, _| ()).expect_err("no row").reason(), "no_root");
    }
}
