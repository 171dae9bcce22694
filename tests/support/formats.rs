//! Records as real serializers wrote them (`tests/formats/`), each beside the same in JSON. Each test crate uses its own part of it.
#![allow(dead_code)]

use std::{fs, path::Path, sync::Arc};

use serde_json::Value;
use thalweg_pipeline::decode::{Definition, Format, Learned, Meaning, Origin, Reference, Schema, SchemaId, Writer};
use thalweg_topic::record::{Headers, Record};

/// Rows of one serializer.
pub struct Written {
    /// Who wrote them, in which form.
    pub name: String,
    /// Shape of the rows.
    pub shape: String,
    /// Format, with the schema where it is in a file.
    pub format: Format,
    /// What the registry says.
    pub learned: Vec<Learned>,
    /// Definition of the schema.
    pub definition: Definition,
    /// Records, and the same in JSON.
    pub rows: Vec<(Record, String)>,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("text, not {value}"))
}

fn bytes(digits: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("digits");
    (0..digits.len()).step_by(2).map(digit).collect()
}

/// Adds what an answer refers to, each behind what that refers to itself.
fn references(answer: &Value, subjects: &Value, all: &mut Vec<Reference>) {
    for reference in answer["references"].as_array().into_iter().flatten() {
        let place = format!("{}/{}", text(&reference["subject"]), reference["version"]);
        references(&subjects[&place], subjects, all);
        all.push(Reference { name: text(&reference["name"]).into(), body: text(&subjects[&place]["schema"]).into() });
    }
}

/// The number or the GUID of a text.
pub fn id(text: &str) -> SchemaId {
    match text.parse() {
        Ok(number) => SchemaId::Number(number),
        Err(_) => SchemaId::Guid(u128::from_str_radix(&text.replace('-', ""), 16).expect("a GUID")),
    }
}

/// Reads all that was written.
pub fn all() -> Vec<Written> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|it| it.join("tests/formats")).find(|it| it.is_dir());
    let mut all = Vec::new();
    for entry in fs::read_dir(folder.expect("tests/formats")).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|it| it != "jsonl") {
            continue;
        }
        let lines = fs::read_to_string(&path).expect("read");
        all.extend(lines.lines().map(|line| written(&serde_json::from_str(line).expect("JSON"))));
    }
    all.sort_by(|one: &Written, other| one.name.cmp(&other.name));
    assert!(all.len() >= 20, "only {} files", all.len());
    all
}

fn written(line: &Value) -> Written {
    let make = |origin| match text(&line["format"]) {
        "avro" => Format::Avro(origin),
        _ => Format::Protobuf(origin),
    };
    let message = line["message"].as_str().map(str::to_owned);
    let (mut learned, mut format, mut definition) = (Vec::new(), make(Origin::Registry), Definition::default());
    if let Some(schemas) = line["schemas"].as_object() {
        for (key, answer) in schemas {
            let mut others = Vec::new();
            references(answer, &line["subjects"], &mut others);
            definition = Definition { body: text(&answer["schema"]).into(), references: others, message: None };
            let writer =
                Writer::new(&format, &definition).unwrap_or_else(|problem| panic!("{}: {problem}", line["by"]));
            learned.push(Learned { offset: 0, id: id(key), meaning: Meaning::Known(Arc::new(writer)) });
        }
    } else {
        let (body, others) = match (&line["schema"], &line["descriptors"], &line["sources"]) {
            (Value::String(schema), ..) => (schema.clone().into_bytes(), vec![]),
            (_, Value::String(digits), _) => (bytes(digits), vec![]),
            (.., sources) => {
                let body = |name: &str| text(&sources[name]).as_bytes().to_vec();
                (body("rows.proto"), vec![Reference { name: "place.proto".into(), body: body("place.proto") }])
            }
        };
        definition = Definition { body, references: others, message };
        format = make(Origin::File(definition.clone()));
    }
    let row = |(offset, row): (i64, &Value)| {
        let mut headers = Headers::new();
        if let Some(digits) = row["header"].as_str() {
            headers.push("__value_schema_id".into(), Some(bytes(digits).into()));
        }
        let record = Record { offset, value: Some(bytes(text(&row["value"])).into()), headers, ..Record::default() };
        (record, row["json"].to_string())
    };
    let name = format!("{} {} {} {}", line["by"], line["format"], line["frame"], line["shape"]).replace('"', "");
    let rows = (0..).zip(line["rows"].as_array().expect("rows")).map(row).collect();
    Written { name, shape: text(&line["shape"]).to_owned(), format, learned, definition, rows }
}

/// Schemas by which all of them are read.
pub fn schemas() -> Vec<Schema> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let base = Schema { nominal: names(&["c", "s", "id", "two"]), timestamp: Some("at".into()), ..Schema::default() };
    vec![
        Schema::default(),
        base.clone(),
        Schema { absent: thalweg_pipeline::decode::Absent::Zero, timestamp_is_feature: true, ..base.clone() },
        Schema { key: Some("l".into()), key_is_feature: true, ignore: names(&["place", "m"]), ..base.clone() },
        Schema {
            features: Some(names(&["x", "place.lat", "xs.0", "m.k1", "maybe.p"])),
            nominal: Vec::new(),
            key: Some("s".into()),
            ..base.clone()
        },
        Schema { target: "place".into(), ..base.clone() },
        Schema { target: "x".into(), timestamp: Some("place".into()), ..base.clone() },
        Schema { target: "maybe".into(), timestamp: Some("y".into()), ..base.clone() },
        Schema { timestamp: Some("b".into()), key: Some("d".into()), ..base },
    ]
}

/// Damages a record as a network, a disk or another schema would; `random` gives numbers below what it is given.
pub fn damaged(value: &[u8], random: &mut dyn FnMut(usize) -> usize) -> Vec<u8> {
    let mut value = value.to_vec();
    for _ in 0..=random(4) {
        let at = random(value.len().max(1));
        let at = at.min(value.len());
        match random(8) {
            0 if !value.is_empty() => value[at] ^= 1 << random(8),
            1 if !value.is_empty() => value[at] = [0, 1, 2, 0x7f, 0x80, 0xff][random(6)],
            2 => value.truncate(at),
            3 => value.insert(at, random(256) as u8),
            4 if !value.is_empty() => drop(value.remove(at)),
            // Numbers that are too large, in ten bytes.
            5 => drop(value.splice(at..at, [0xff; 9].into_iter().chain([1]))),
            6 => {
                let part = value[at..(at + random(16)).min(value.len())].to_vec();
                drop(value.splice(at..at, part));
            }
            _ => value.extend((0..random(20)).map(|i| (i * 37) as u8)),
        }
    }
    value
}
