//! Events of CloudEvents in binary mode: their attributes are a record's headers, and its value is their data.
//!
//! Invariant: such a record is read as the same event in structured mode, with its attributes first and its value at `data`.

use serde_json::{Map, Value};
use thalweg_topic::record::Headers;

use super::{
    Datum, Decoder, Envelope, Headed, Leaf, Level, Rejection, Row, Sample,
    datum::Sink,
    envelope::{self, Form},
    fast_path, frame, json,
    rejection::Found,
    schema_id::SchemaHeader,
};

/// Place of the data among the attributes.
pub(super) const DATA: &str = "data";
/// Prefix of the headers that are attributes.
const PREFIX: &str = "ce_";
/// Header that every event has.
const VERSION: &str = "ce_specversion";
/// Header with the type of the data, or of the event where that is the value.
const CONTENT_TYPE: &str = "content-type";
const EVENT_TYPE: &[u8] = b"application/cloudevents";

/// The headers of an event in binary mode.
#[derive(Clone, Copy, Debug)]
pub struct CloudEvent<'h>(&'h Headers);

impl<'h> CloudEvent<'h> {
    /// Looks whether a record's headers are those of an event whose data is the value.
    #[inline]
    pub fn of(headers: &'h Headers) -> Option<Self> {
        if headers.is_empty() { None } else { Self::among(headers) }
    }

    fn among(headers: &'h Headers) -> Option<Self> {
        let is_event = |kind: &[u8]| kind.get(..EVENT_TYPE.len()).is_some_and(|it| it.eq_ignore_ascii_case(EVENT_TYPE));
        let is_structured = || headers.get(CONTENT_TYPE).is_some_and(is_event);
        (headers.get(VERSION).is_some() && !is_structured()).then_some(Self(headers))
    }

    /// Returns the headers that are the event's.
    pub fn headers(self) -> impl Iterator<Item = (&'h str, &'h [u8])> {
        let own = |name: &[u8]| CONTENT_TYPE.as_bytes() == name || attribute(name).is_some();
        let named = self.0.iter().filter(move |(name, _)| own(name));
        named.filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value?)))
    }

    /// Returns the attributes' headers, names and values.
    fn attributes(self) -> impl Iterator<Item = (&'h str, &'h str, &'h [u8])> {
        self.headers().map(|(header, value)| (header, attribute(header.as_bytes()).unwrap_or("datacontenttype"), value))
    }

    /// Passes the attributes to `see`.
    ///
    /// # Errors
    /// [`Rejection::BadHeader`].
    pub(super) fn look(self, see: &mut dyn FnMut(&str, Leaf<'_>)) -> Result<(), Rejection> {
        self.begin(&mut Sink::seen_by(see)).map(drop)
    }

    /// Passes the attributes to `sink`, and enters the data.
    ///
    /// # Errors
    /// The reason why the event is refused.
    pub(super) fn begin(self, sink: &mut Sink<'_>) -> Result<Level, Rejection> {
        let outside = sink.level();
        for (header, name, value) in self.attributes() {
            let Ok(text) = std::str::from_utf8(value) else {
                return Err(Rejection::BadHeader { header: header.to_owned() });
            };
            let end = sink.push(name);
            sink.leaf(outside, Datum::Untyped(text))?;
            sink.pop(end);
        }
        sink.push(DATA);
        sink.enter(outside, || Found::Object(None))
    }

    /// Returns the event as it is in structured mode.
    pub(super) fn structured(self, data: Value) -> Map<String, Value> {
        let text = |value| String::from_utf8_lossy(value).into_owned().into();
        let attributes = self.attributes().map(|(_, name, value)| (name.to_owned(), text(value)));
        attributes.chain([(DATA.to_owned(), data)]).collect()
    }
}

/// Returns the attribute that a header is; its name is letters and digits.
fn attribute(header: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(header).ok()?.strip_prefix(PREFIX)?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_name && name != DATA).then_some(name)
}

impl Decoder {
    /// Returns true where an event is read as one; otherwise its value is all that there is.
    #[cold]
    pub(super) fn takes(&mut self, event: CloudEvent<'_>, value: Option<&[u8]>) -> bool {
        let schema = self.index.schema();
        if self.index.form().is_none()
            && let Some(bytes) = self.usable(value)
            && let Some(form) = envelope::find_event(event, frame::behind_registry(bytes), schema)
        {
            self.index.set_form(form);
        }
        let is_found = |form: &Form| form.envelope == Envelope::CloudEvents;
        self.index.schema().envelope == Envelope::CloudEvents || self.index.form().is_some_and(is_found)
    }

    /// Decodes an event, which may have been read ahead.
    #[inline(never)]
    pub(super) fn decode_event(
        &mut self,
        event: CloudEvent<'_>,
        value: Option<&[u8]>,
        header: Option<SchemaHeader<'_>>,
        row: Option<Row<'_>>,
    ) -> Result<Sample<'_>, Rejection> {
        let Some(bytes) = self.usable(value) else { return Err(self.unusable(value)) };
        let is_typed = self.writers.are_needed();
        let data = if is_typed { bytes } else { frame::behind_registry(bytes) };
        match row.filter(|row| is_typed || self.reading() == row.reading) {
            Some(row) if self.take_event_row(event, row, data) => return self.finish(),
            None if !is_typed => {
                self.start(true);
                if fast_path::read_event(data, event, &mut self.index, &mut self.draft).is_ok() && self.draft.has_root {
                    return self.finish();
                }
            }
            _ => {}
        }
        self.start(false);
        if !is_typed {
            return self.decode_event_full(event, bytes, data);
        }
        self.refuse_rows(bytes, Headed::of_event(header))?;
        let mut sink = Sink::new(&mut self.index, &mut self.draft);
        let read = event.begin(&mut sink).and_then(|level| {
            sink.take_apart(self.explode.array());
            sink.begin_at(level);
            self.writers.read(bytes, header, &mut sink)
        });
        sink.end();
        read?;
        self.finish_typed()
    }

    /// Takes attributes and a row that was read ahead; false where only the full decoder can read them.
    fn take_event_row(&mut self, event: CloudEvent<'_>, row: Row<'_>, data: &[u8]) -> bool {
        self.start(true);
        let mut sink = Sink::new(&mut self.index, &mut self.draft);
        let begun = event.begin(&mut sink);
        sink.end();
        begun.is_ok() && self.fill(row, data, Some(DATA))
    }

    fn decode_event_full(&mut self, event: CloudEvent<'_>, bytes: &[u8], data: &[u8]) -> Result<Sample<'_>, Rejection> {
        match json::read_event(data, event, &mut self.index, &mut self.draft) {
            Ok(()) if self.draft.has_root => self.finish(),
            Ok(()) | Err(Rejection::NotAnObject { .. }) => {
                let record = envelope::parsed(data).map(|data| Value::Object(event.structured(data)));
                let on_delete = self.index.schema().on_delete;
                let without = |form: &Form| form.without_row(record.as_ref(), on_delete);
                let refusal = self.explode.refusal(bytes, Headed::of_event(None));
                Err(refusal.or(self.index.form().map(without)).unwrap_or(Rejection::NoFeatures))
            }
            Err(Rejection::NotJson { problem }) => {
                Err(Rejection::NotJson { problem: frame::other_format(bytes).unwrap_or(problem) })
            }
            Err(rejection) => Err(rejection),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_in_structured_mode_is_its_value() {
        let version = ("ce_specversion", "1.0");
        let of = |headers: Headers| CloudEvent::of(&headers).is_some();
        assert!(of([version].into()) && of([version, ("content-type", "application/json")].into()));
        assert!(!of([("ce_id", "1")].into()) && !of(Headers::new()));
        for kind in ["application/cloudevents+json; charset=UTF-8", "Application/CloudEvents"] {
            assert!(!of([version, ("content-type", kind)].into()), "{kind}");
        }
    }

    #[test]
    fn only_what_can_be_an_attribute_is_one() {
        let names = ["ce_id", "ce_data", "ce_data.x", "ce_", "id", "CE_ID", "ce_a-b", "ce_traceparent", "content-type"];
        let headers: Headers = names.iter().map(|name| ((*name).into(), Some("1".into()))).collect();
        let found: Vec<&str> = CloudEvent(&headers).attributes().map(|(_, name, _)| name).collect();
        assert_eq!(found, ["id", "traceparent", "datacontenttype"]);
    }
}
