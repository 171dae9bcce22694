//! Envelopes: what producers wrap around the values of a sample, recognised by the shape of the first record.
//!
//! Invariant: a stream's form is decided once, by its first object, and never changes while the state lives. A record that
//! has another one is refused.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thalweg_metrics::checked;

use super::{CloudEvent, Explode, Rejection, Schema, bare::Quoted, explode};

/// Form in which a producer wraps its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Envelope {
    /// Found by the shape of the first record.
    Auto,
    /// None: a record is a row.
    #[default]
    None,
    /// Kafka Connect's JsonConverter with its schemas: `schema` and `payload`.
    Connect,
    /// Debezium's change events: `before`, `after`, `source`, `op`, with or without Connect's schemas around them.
    Debezium,
    /// CloudEvents 1.0, structured or with their attributes in headers: the row is `data`.
    CloudEvents,
    /// Telegraf's JSON: `fields`, `name`, `tags`, `timestamp`.
    Telegraf,
    /// Avro's own JSON encoding: a value of a union is `{"double":1.5}`.
    AvroJson,
    /// MongoDB's Extended JSON: `{"$numberLong":"7"}`.
    MongoDb,
    /// Maxwell's change events: `database`, `table`, `type`, `data`.
    Maxwell,
    /// Canal's flat messages: the same with rows in `data`.
    Canal,
    /// Oracle GoldenGate's change events: `table`, `op_type`, `before`, `after`.
    Ogg,
}

checked!(enum Envelope = Auto | None | Connect | Debezium | CloudEvents | Telegraf | AvroJson | MongoDb | Maxwell | Canal | Ogg);

impl Envelope {
    /// Returns its name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Envelope::Auto => "auto",
            Envelope::None => "none",
            Envelope::Connect => "connect",
            Envelope::Debezium => "debezium",
            Envelope::CloudEvents => "cloudevents",
            Envelope::Telegraf => "telegraf",
            Envelope::AvroJson => "avro_json",
            Envelope::MongoDb => "mongodb",
            Envelope::Maxwell => "maxwell",
            Envelope::Canal => "canal",
            Envelope::Ogg => "ogg",
        }
    }

    /// Returns what such records are, for a message.
    pub fn records(self) -> &'static str {
        match self {
            Envelope::Auto | Envelope::None => "rows",
            Envelope::Connect => "rows with the schema of Kafka Connect's JsonConverter",
            Envelope::Debezium => "change events of Debezium",
            Envelope::CloudEvents => "CloudEvents",
            Envelope::Telegraf => "metrics of Telegraf",
            Envelope::AvroJson => "rows in Avro's JSON encoding",
            Envelope::MongoDb => "documents in MongoDB's Extended JSON",
            Envelope::Maxwell => "change events of Maxwell",
            Envelope::Canal => "change events of Canal",
            Envelope::Ogg => "change events of Oracle GoldenGate",
        }
    }
}

/// Consequence of a record that only says that a row was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    /// It is skipped and counted.
    #[default]
    Skip,
    /// It becomes a dead letter.
    DeadLetter,
}

checked!(enum OnDelete = Skip | DeadLetter);

/// Form of a stream's records, once it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Form {
    pub(super) envelope: Envelope,
    /// True where Connect's schema stands beside the payload, which is all that other paths know of.
    pub(super) is_framed: bool,
    /// Path of the object that holds the features; empty where it is the record, or the payload.
    pub(super) root: String,
}

checked!(Form { envelope, is_framed, root });

/// Objects that stand for a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Wrappers {
    /// None do.
    #[default]
    None,
    /// `{"double":1.5}`, and a named type's name.
    Union,
    /// `{"$numberLong":"7"}`
    Dollar,
    /// `{"scale":2,"value":"BNI="}`
    Scaled,
}

impl Wrappers {
    /// Returns true where `{"name":value}` stands for the value.
    #[inline]
    pub(super) fn hold(self, name: &[u8]) -> bool {
        match self {
            Wrappers::Union => is_branch(name),
            Wrappers::Dollar => name.starts_with(b"$"),
            Wrappers::None | Wrappers::Scaled => false,
        }
    }
}

/// Returns the form of a stream whose first record is `json`; `None` where that is no object, which the decoder refuses.
///
/// # Errors
/// [`Rejection::OtherForm`] where it cannot be read, or is not what the settings say.
pub(super) fn find(json: &[u8], schema: &Schema) -> Result<Option<Form>, Rejection> {
    let Some(Value::Object(record)) = parsed(json) else { return Ok(None) };
    if schema.envelope != Envelope::Auto {
        return match Form::of(&record) {
            Ok(form) if form.envelope == schema.envelope => Ok(Some(form)),
            _ => Err(Rejection::OtherForm {
                form: format!("none of the {} that schema.envelope promises", schema.envelope.records()),
                advice: "\"auto\" finds out what records are, \"none\" reads them as they are",
            }),
        };
    }
    by_shape(&record, schema).map(Some)
}

/// Returns the form of a stream whose first record is an event with its attributes in headers; `None` where that is to be found by
/// its value alone.
pub(super) fn find_event(event: CloudEvent<'_>, json: &[u8], schema: &Schema) -> Option<Form> {
    if schema.envelope != Envelope::Auto {
        return None;
    }
    let form = by_shape(&event.structured(parsed(json)?), schema).ok();
    form.filter(|form| form.envelope == Envelope::CloudEvents)
}

/// Returns the form that records have by the shape of the first one, and by what the settings name.
fn by_shape(record: &Map<String, Value>, schema: &Schema) -> Result<Form, Rejection> {
    let form = Form::of(record);
    // Whoever names fields by their whole paths wants the records as they are.
    let mut named = schema.named();
    let is_reached = match &form {
        Ok(form) => named.any(|name| form.is_within(name)),
        Err(_) => named.any(|name| ["resource", "data."].iter().any(|outer| name.starts_with(outer))),
    };
    let takes_off = form.as_ref().is_ok_and(|form| form.is_framed || !form.root.is_empty());
    // A record that has the target itself is the row.
    let is_row = || at(record, &schema.target).is_some_and(|value| !value.is_object());
    if is_reached || (takes_off && is_row()) {
        let is_event = form.is_ok_and(|form| form.envelope == Envelope::CloudEvents);
        return Ok(if is_event { Form::whole_events() } else { Form::plain() });
    }
    form
}

/// Returns the value at a path in a record.
fn at<'v>(record: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    let mut names = path.split('.');
    let first = record.get(names.next()?)?;
    names.try_fold(first, |value, name| value.get(name))
}

/// Returns `true` where a record has an object at a path.
pub(super) fn has_path(json: &[u8], path: &str) -> bool {
    let record = parsed(json);
    record.as_ref().and_then(Value::as_object).and_then(|record| at(record, path)).is_some_and(Value::is_object)
}

/// Reads a record for a second look at it.
pub(super) fn parsed(json: &[u8]) -> Option<Value> {
    serde_json::from_slice(json).ok().or_else(|| {
        let mut quoted = Quoted::default();
        if quoted.read(json) { serde_json::from_slice(quoted.bytes()).ok() } else { None }
    })
}

impl Form {
    /// A row as it is.
    pub(super) fn plain() -> Self {
        Self::default()
    }

    /// Events as they are, of which some may have their attributes in headers.
    fn whole_events() -> Self {
        Self { envelope: Envelope::CloudEvents, ..Self::default() }
    }

    /// Returns true where nothing is taken off the records.
    pub(super) fn is_whole(&self) -> bool {
        self.envelope == Envelope::None || *self == Self::whole_events()
    }

    /// Returns the form that the settings say; `None` where it is to be found.
    pub(super) fn set(schema: &Schema) -> Option<Self> {
        let is = |envelope, root: &str| Some(Self { envelope, is_framed: false, root: root.to_owned() });
        match (schema.root.as_deref().or_else(|| Explode::root(schema)), schema.envelope) {
            (Some(root), envelope @ Envelope::Canal) => is(envelope, root),
            (Some(root), _) => is(Envelope::None, root),
            (None, Envelope::Auto | Envelope::Debezium) => None,
            (None, Envelope::Connect) => {
                Some(Self { is_framed: true, envelope: Envelope::Connect, root: String::new() })
            }
            (None, Envelope::CloudEvents) => is(Envelope::CloudEvents, "data"),
            (None, Envelope::Telegraf) => is(Envelope::Telegraf, "fields"),
            (None, envelope @ Envelope::Maxwell) => is(envelope, "data"),
            (None, envelope @ Envelope::Ogg) => is(envelope, "after"),
            (None, envelope @ (Envelope::None | Envelope::AvroJson | Envelope::MongoDb | Envelope::Canal)) => {
                is(envelope, "")
            }
        }
    }

    /// Returns the form of records of a format with a schema, in which no envelope is looked for: the settings say it.
    pub(super) fn of_typed(schema: &Schema) -> Self {
        match schema.envelope {
            Envelope::Debezium => Self { envelope: Envelope::Debezium, is_framed: false, root: "after".to_owned() },
            _ => Self::set(schema).unwrap_or_else(Self::plain),
        }
    }

    /// Returns true where a name of the settings is a path from outside what is taken off.
    fn is_within(&self, name: &str) -> bool {
        let first = name.split('.').next();
        let last = name.rsplit('.').next().unwrap_or_default();
        let outer = if self.is_framed { "payload" } else { &self.root };
        first.filter(|_| name.contains('.')).is_some_and(|first| !outer.is_empty() && first == outer)
            || (name.contains('.') && self.wrappers().hold(last.as_bytes()))
    }

    /// Returns the form of a record, by its shape.
    ///
    /// # Errors
    /// [`Rejection::OtherForm`] where it is one that cannot be read.
    pub(super) fn of(record: &Map<String, Value>) -> Result<Self, Rejection> {
        let is = |envelope, root: &str| Ok(Self { envelope, is_framed: false, root: root.to_owned() });
        if let Some(payload) = connect_payload(record) {
            return match payload.as_object().is_some_and(is_change) {
                true => Ok(Self { envelope: Envelope::Debezium, is_framed: true, root: "after".into() }),
                false => Ok(Self { envelope: Envelope::Connect, is_framed: true, root: String::new() }),
            };
        }
        if is_change(record) {
            return is(Envelope::Debezium, "after");
        }
        if is_cloud_event(record) {
            return is(Envelope::CloudEvents, "data");
        }
        if is_telegraf(record) {
            return is(Envelope::Telegraf, "fields");
        }
        if is_ogg(record) {
            return is(Envelope::Ogg, "after");
        }
        if is_maxwell(record) {
            return is(Envelope::Maxwell, "data");
        }
        if is_canal(record) {
            return Err(Rejection::OtherForm { form: "a change event of Canal".into(), advice: CANAL_ADVICE });
        }
        if let Some(signal) =
            ["resourceMetrics", "resourceLogs", "resourceSpans"].into_iter().find(|it| record.contains_key(*it))
        {
            return Err(Rejection::OtherForm { form: format!("an OTLP export (`{signal}`)"), advice: OTLP_ADVICE });
        }
        if record.values().any(is_extended) {
            return is(Envelope::MongoDb, "");
        }
        if record.values().any(is_union) {
            return is(Envelope::AvroJson, "");
        }
        Ok(Self::plain())
    }

    /// Returns the reason why a record, or a payload, has no row; `None` is one of a format in which nothing else is read.
    pub(super) fn without_row(&self, record: Option<&Value>, on_delete: OnDelete) -> Rejection {
        let row = record.and_then(Value::as_object).and_then(|record| at(record, &self.root));
        let member = |name: &str| record.map(|record| record.get(name).and_then(Value::as_str));
        let is_delete = match self.envelope {
            Envelope::Debezium => matches!(member("op"), None | Some(Some("d" | "t"))),
            Envelope::Ogg => matches!(member("op_type"), Some(Some("D" | "T"))),
            _ => false,
        };
        if is_delete {
            return Rejection::Deleted { is_skipped: on_delete == OnDelete::Skip };
        }
        Rejection::NoRoot { root: self.root.clone(), found: row.map(kind) }
    }

    /// Returns true where a record without a value says that a row was deleted.
    pub(super) fn has_deletes(&self) -> bool {
        matches!(self.envelope, Envelope::Connect | Envelope::Debezium | Envelope::Maxwell | Envelope::Ogg)
    }

    /// Returns true where only a word beside the row says that it was deleted.
    pub(super) fn marks_deletes(&self) -> bool {
        matches!(self.envelope, Envelope::Maxwell | Envelope::Canal)
    }

    /// Returns true where that word stands beside the row.
    pub(super) fn is_marked(&self, json: &[u8]) -> bool {
        self.marks_deletes() && explode::text_of(json, "type").is_some_and(|word| word.eq_ignore_ascii_case("delete"))
    }

    #[inline]
    pub(super) fn wrappers(&self) -> Wrappers {
        match self.envelope {
            Envelope::AvroJson => Wrappers::Union,
            Envelope::MongoDb => Wrappers::Dollar,
            Envelope::Debezium | Envelope::Connect => Wrappers::Scaled,
            _ => Wrappers::None,
        }
    }
}

const OTLP_ADVICE: &str = "it holds many samples in nested lists: have the collector write one JSON object per data point, or list \
                           the fields by their paths in schema.features";

const CANAL_ADVICE: &str =
    "set schema.envelope = \"canal\", which takes its rows apart and leaves out those that were deleted";

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Returns the payload of what Kafka Connect's JsonConverter writes with its schemas.
fn connect_payload(record: &Map<String, Value>) -> Option<&Value> {
    let schema = record.get("schema")?;
    let is_schema = schema.is_null() || schema.get("type").is_some_and(Value::is_string);
    let payload = record.get("payload").filter(|payload| payload.is_object() || payload.is_null())?;
    (record.len() == 2 && is_schema).then_some(payload)
}

fn is_change(record: &Map<String, Value>) -> bool {
    let row = |name| record.get(name).is_none_or(|row: &Value| row.is_object() || row.is_null());
    let is_one = record.contains_key("after") || record.contains_key("before");
    let is_op = has_text(record, "op", &["c", "u", "d", "r", "t", "m"]);
    // Flink's debezium-json tells of no source.
    let is_whole = record.get("source").is_some_and(Value::is_object) || has_only(record, &["before", "after", "op"]);
    is_one && row("before") && row("after") && is_op && is_whole
}

fn is_cloud_event(record: &Map<String, Value>) -> bool {
    let text = |name| record.get(name).is_some_and(Value::is_string);
    ["specversion", "id", "source", "type"].into_iter().all(text) && record.get("data").is_some_and(Value::is_object)
}

fn is_telegraf(record: &Map<String, Value>) -> bool {
    let object = |name| record.get(name).is_some_and(Value::is_object);
    object("fields")
        && object("tags")
        && record.get("name").is_some_and(Value::is_string)
        && record.get("timestamp").is_some_and(|time| time.is_number() || time.is_string())
}

/// Returns true where a member is one of these texts.
fn has_text(record: &Map<String, Value>, name: &str, texts: &[&str]) -> bool {
    record.get(name).and_then(Value::as_str).is_some_and(|text| texts.contains(&text))
}

/// Returns true where a record has these members and no others.
fn has_only(record: &Map<String, Value>, names: &[&str]) -> bool {
    record.len() == names.len() && names.iter().all(|name| record.contains_key(*name))
}

/// Returns true for what comes of a table, by the names that Maxwell and Canal give it.
fn is_of_table(record: &Map<String, Value>) -> bool {
    ["database", "table", "type"].into_iter().all(|name| record.get(name).is_some_and(Value::is_string))
}

fn is_maxwell(record: &Map<String, Value>) -> bool {
    let types = ["insert", "update", "delete", "bootstrap-start", "bootstrap-insert", "bootstrap-complete"];
    let is_whole = is_of_table(record) && record.get("ts").is_some_and(Value::is_number);
    // Flink's maxwell-json tells of no table.
    (is_whole || has_only(record, &["data", "type"]))
        && has_text(record, "type", &types)
        && record.get("data").is_some_and(Value::is_object)
}

fn is_canal(record: &Map<String, Value>) -> bool {
    let is_whole = is_of_table(record) && record.get("isDdl").is_some_and(Value::is_boolean);
    let has_rows = |data: &Value| data.as_array().is_some_and(|rows| rows.iter().all(Value::is_object));
    // Flink's canal-json tells of no table.
    let is_bare = has_only(record, &["data", "type"]) && has_text(record, "type", &["INSERT", "UPDATE", "DELETE"]);
    record.get("data").is_some_and(|data| (is_whole && data.is_null()) || ((is_whole || is_bare) && has_rows(data)))
}

fn is_ogg(record: &Map<String, Value>) -> bool {
    let row = |name| record.get(name).is_some_and(Value::is_object);
    has_text(record, "op_type", &["I", "U", "D", "T"])
        && (record.get("table").is_some_and(Value::is_string) || has_only(record, &["before", "after", "op_type"]))
        && (row("before") || row("after") || has_text(record, "op_type", &["T"]))
}

fn only_member(value: &Value) -> Option<(&str, &Value)> {
    let members = value.as_object().filter(|members| members.len() == 1)?;
    members.iter().next().map(|(name, value)| (name.as_str(), value))
}

fn is_extended(value: &Value) -> bool {
    let known =
        |name| matches!(name, "$oid" | "$numberDouble" | "$numberInt" | "$numberLong" | "$numberDecimal" | "$date");
    only_member(value).is_some_and(|(name, _)| known(name))
}

fn is_union(value: &Value) -> bool {
    only_member(value).is_some_and(|(name, value)| match name {
        "int" | "long" => value.is_i64(),
        "float" | "double" => value.is_number() || matches!(value.as_str(), Some("NaN" | "Infinity" | "-Infinity")),
        "boolean" => value.is_boolean(),
        "string" | "bytes" => value.is_string(),
        _ => false,
    })
}

/// Returns true for the name of a union's branch: of a primitive type, or of one with a namespace.
fn is_branch(name: &[u8]) -> bool {
    const PRIMITIVES: [&[u8]; 9] =
        [b"int", b"long", b"float", b"double", b"boolean", b"string", b"bytes", b"array", b"map"];
    PRIMITIVES.contains(&name) || name.contains(&b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(json: &str) -> Result<Form, Rejection> {
        let value: Value = serde_json::from_str(json).expect("JSON");
        Form::of(value.as_object().expect("an object"))
    }

    #[test]
    fn each_form_is_known_by_its_shape() {
        let known = [
            (r#"{"schema":{"type":"struct"},"payload":{"x":1}}"#, Envelope::Connect, ""),
            (r#"{"schema":null,"payload":{"x":1}}"#, Envelope::Connect, ""),
            (r#"{"before":null,"after":{"x":1},"source":{},"op":"c","ts_ms":1}"#, Envelope::Debezium, "after"),
            (
                r#"{"schema":{"type":"struct"},"payload":{"before":{"x":1},"after":null,"source":{},"op":"d"}}"#,
                Envelope::Debezium,
                "after",
            ),
            (
                r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"x":1}}"#,
                Envelope::CloudEvents,
                "data",
            ),
            (r#"{"fields":{"x":1},"name":"cpu","tags":{},"timestamp":1}"#, Envelope::Telegraf, "fields"),
            (r#"{"y":{"double":1.5},"z":2}"#, Envelope::AvroJson, ""),
            (r#"{"_id":{"$oid":"65a"},"y":1}"#, Envelope::MongoDb, ""),
            (r#"{"database":"d","table":"t","type":"insert","ts":1,"data":{"x":1}}"#, Envelope::Maxwell, "data"),
            (r#"{"table":"D.T","op_type":"D","op_ts":"2026","before":{"x":1}}"#, Envelope::Ogg, "after"),
            (r#"{"before":null,"after":{"x":1},"op":"c"}"#, Envelope::Debezium, "after"),
            (r#"{"data":{"x":1},"type":"insert"}"#, Envelope::Maxwell, "data"),
            (r#"{"before":null,"after":{"x":1},"op_type":"I"}"#, Envelope::Ogg, "after"),
        ];
        for (json, envelope, root) in known {
            let is_framed = json.starts_with(r#"{"schema""#);
            assert_eq!(form(json), Ok(Form { envelope, is_framed, root: root.to_owned() }), "{json}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_a_row() {
        let rows = [
            r#"{"x":1,"y":2}"#,
            r#"{"schema":"v1","payload":{"x":1}}"#,
            r#"{"schema":{"type":"struct"},"payload":{"x":1},"topic":"t"}"#,
            r#"{"before":1,"after":2,"op":"c","source":{}}"#,
            r#"{"before":{"x":1},"after":{"x":2}}"#,
            r#"{"before":{"x":1},"after":{"x":2},"op":"c","y":1}"#,
            r#"{"before":{"x":1},"after":{"x":2},"op_type":"I","y":1}"#,
            r#"{"data":{"x":1},"type":"insert","y":1}"#,
            r#"{"data":[{"x":1}],"type":"INSERT","y":1}"#,
            r#"{"data":[1,2],"type":"INSERT"}"#,
            r#"{"specversion":"1.0","data":{"x":1}}"#,
            r#"{"fields":{"x":1},"timestamp":1}"#,
            r#"{"y":{"double":"two"},"z":{"double":1,"single":2}}"#,
            r#"{"y":{"$ref":"a"}}"#,
            r#"{"database":"d","table":"t","type":"hot","ts":1,"data":{"x":1}}"#,
            r#"{"table":"t","op_type":"I","x":1}"#,
        ];
        for json in rows {
            assert_eq!(form(json), Ok(Form::plain()), "{json}");
        }
        for refused in [r#"{"resourceMetrics":[]}"#, r#"{"data":[{"x":1}],"type":"INSERT"}"#] {
            assert_eq!(form(refused).expect_err("cannot be read").reason(), "other_form", "{refused}");
        }
    }
}
