//! Rows in an array: a record that holds many samples becomes a record for each.
//!
//! Invariant: a row is the record with that row in the place of the array, or alone in it where a schema says that one is there, so that
//! whoever sends a dead letter back knows nothing of arrays. All rows of a record have its offset, and no outbox or savepoint ends amid them.

use std::ops::Range;

use bytes::Bytes;

use super::{
    CloudEvent, Envelope, Learned, Rejection, Schema, SchemaHeader,
    cloud_event::DATA,
    frame,
    writers::{Elements, Writers},
};
use thalweg_topic::record::{Headers, Record};

/// Path that means the record itself.
const RECORD: &str = "$";

/// Most bytes that the rows of a record take, each with what stands around the array, in records of the largest size.
const MAX_GROWTH: usize = 4;

/// Splits the records of a stream by its settings.
#[derive(Debug)]
pub struct Explode {
    /// Path of the array; empty where it is the record, `None` where records are rows.
    path: Option<Vec<String>>,
    /// The same within the data of an event whose attributes are headers, where that is the value.
    in_data: Option<Vec<String>>,
    max_rows: usize,
    max_bytes: usize,
    writers: Writers,
}

/// What a record's headers say of where its rows are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headed<'h> {
    /// True where the value is an event's data.
    is_event: bool,
    schema: Option<SchemaHeader<'h>>,
}

impl<'h> Headed<'h> {
    pub(super) fn of_schema(schema: Option<SchemaHeader<'h>>) -> Self {
        Self { is_event: false, schema }
    }

    pub(super) fn of_event(schema: Option<SchemaHeader<'h>>) -> Self {
        Self { is_event: true, schema }
    }
}

impl<'h> From<&'h Headers> for Headed<'h> {
    #[inline]
    fn from(headers: &'h Headers) -> Self {
        Self { is_event: CloudEvent::of(headers).is_some(), schema: SchemaHeader::of(headers) }
    }
}

/// A record that holds an array.
enum Found<'r> {
    Json { json: &'r [u8], array: Range<usize>, rows: Vec<Range<usize>> },
    Typed(Elements<'r>),
}

impl Explode {
    /// Creates what splits records by `schema.explode`.
    pub fn new(schema: &Schema) -> Self {
        let path = path_of(schema).map(|path| match path {
            RECORD => Vec::new(),
            path => path.split('.').map(str::to_owned).collect(),
        });
        let in_event =
            |path: &Vec<String>| path.split_first().filter(|(first, _)| *first == DATA).map(|(_, rest)| rest.to_vec());
        let in_data = path.as_ref().filter(|_| schema.envelope == Envelope::CloudEvents).and_then(in_event);
        let max_bytes = schema.max_record_bytes.saturating_mul(MAX_GROWTH);
        Self { path, in_data, max_rows: schema.max_rows, max_bytes, writers: Writers::new(schema) }
    }

    /// Returns `true` where records may hold rows.
    pub fn is_needed(&self) -> bool {
        self.path.is_some()
    }

    /// Returns the path of the object that holds a row's features, where the settings say it by that of the array.
    pub(super) fn root(schema: &Schema) -> Option<&str> {
        path_of(schema).filter(|path| *path != RECORD)
    }

    /// Returns true where what is taken apart was written by a schema.
    pub(super) fn is_typed(&self) -> bool {
        self.is_needed() && self.writers.are_needed()
    }

    /// Returns the path of the array.
    pub(super) fn array(&self) -> Option<Box<str>> {
        self.path.as_ref().map(|path| path.join(".").into())
    }

    /// Learns what a schema's id means.
    pub fn learn(&mut self, learned: &Learned) {
        if self.is_typed() {
            self.writers.learn(learned);
        }
    }

    /// Replaces each record that holds an array by a record for each of its rows, in their order, and learns what their schemas are. One that holds none, and
    /// one whose rows are not to be taken, is left to the decoder, which says why.
    pub fn split(&mut self, records: Vec<Record>, learned: &[Learned]) -> Vec<Record> {
        if !self.is_needed() {
            return records;
        }
        let mut learned = learned.iter().peekable();
        let mut out = Vec::with_capacity(records.len());
        for record in records {
            while let Some(learned) = learned.next_if(|learned| learned.offset <= record.offset) {
                self.learn(learned);
            }
            match record.value.as_ref().and_then(|value| self.rows(value, (&record.headers).into())) {
                Some(rows) => out.extend((0..).zip(rows).map(|(row, value)| Record {
                    value: Some(value),
                    row: Some(row),
                    key: record.key.clone(),
                    headers: record.headers.clone(),
                    ..record
                })),
                None => out.push(record),
            }
        }
        out
    }

    /// Returns the value of each row of a record; `None` where there is no array, no row in it, or more than may be.
    pub fn rows(&self, value: &Bytes, headed: Headed<'_>) -> Option<Vec<Bytes>> {
        let found = self.find(value, headed)?;
        (found.count() > 0 && self.refusal_of(&found).is_none()).then(|| found.rows(value))
    }

    /// Returns the reason why the rows of a record are not taken, where that is their number or size, or that there is none.
    pub(super) fn refusal(&self, value: &[u8], headed: Headed<'_>) -> Option<Rejection> {
        let found = self.find(value, headed)?;
        if found.count() == 0 { Some(Rejection::NoRows) } else { self.refusal_of(&found) }
    }

    /// Returns the reason why a record that was written by a schema is no row.
    pub(super) fn refusal_of_row(&self, value: &[u8], headed: Headed<'_>) -> Option<Rejection> {
        let rows = self.find(value, headed).map_or(1, |found| found.count());
        let several = (rows > 1).then_some(Rejection::SeveralRows { rows });
        self.refusal(value, headed).or(several)
    }

    fn refusal_of(&self, found: &Found<'_>) -> Option<Rejection> {
        let (rows, limit) = (found.count(), self.max_rows);
        if rows > limit {
            return Some(Rejection::TooManyRows { rows, limit });
        }
        let (size, limit) = (found.size(), self.max_bytes);
        (size > limit).then_some(Rejection::RowsTooLarge { rows, size, limit })
    }

    fn find<'r>(&self, value: &'r [u8], headed: Headed<'r>) -> Option<Found<'r>> {
        let path = self.in_data.as_ref().filter(|_| headed.is_event).or(self.path.as_ref())?;
        if self.writers.are_needed() {
            return self.writers.elements(value, headed.schema, path).map(Found::Typed);
        }
        let json = frame::behind_registry(value);
        let mut cursor = Cursor { json, at: 0 };
        for name in path {
            cursor.member(name)?;
        }
        cursor.space();
        let start = cursor.at;
        let rows = cursor.elements()?;
        Some(Found::Json { json, array: start..cursor.at, rows })
    }
}

/// Returns the path of the array.
fn path_of(schema: &Schema) -> Option<&str> {
    let of_envelope = (schema.envelope == Envelope::Canal).then_some("data");
    schema.explode.as_deref().or(of_envelope)
}

/// Returns the text of a member of a record, where it has no escapes.
pub(super) fn text_of<'j>(json: &'j [u8], name: &str) -> Option<&'j str> {
    let mut cursor = Cursor { json, at: 0 };
    cursor.member(name)?;
    let value = cursor.value()?;
    std::str::from_utf8(json[value].strip_prefix(b"\"")?.strip_suffix(b"\"")?).ok()
}

impl Found<'_> {
    fn count(&self) -> usize {
        match self {
            Self::Json { rows, .. } => rows.len(),
            Self::Typed(elements) => elements.len(),
        }
    }

    /// Returns the bytes of all rows, each with what stands around the array.
    fn size(&self) -> usize {
        match self {
            Self::Json { json, array, rows } => {
                let around = json.len() - array.len();
                rows.iter().map(|row| row.len() + around).sum()
            }
            Self::Typed(elements) => elements.size(),
        }
    }

    /// Returns the value of each row; where nothing stands around the array, it is a part of the record's own buffer.
    fn rows(&self, value: &Bytes) -> Vec<Bytes> {
        let (json, array, rows) = match self {
            Self::Json { json, array, rows } => (json, array, rows),
            Self::Typed(elements) => return elements.rows().into_iter().map(Bytes::from).collect(),
        };
        let (before, behind) = (&json[..array.start], &json[array.end..]);
        let row = |row: &Range<usize>| match before.is_empty() && behind.is_empty() {
            true => value.slice_ref(&json[row.clone()]),
            false => [before, &json[row.clone()], behind].concat().into(),
        };
        rows.iter().map(row).collect()
    }
}

/// A place in JSON, of which only brackets, commas and quotes count: the decoder judges the rest, row by row.
struct Cursor<'j> {
    json: &'j [u8],
    at: usize,
}

impl Cursor<'_> {
    fn space(&mut self) {
        while self.json.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    /// Returns the next byte that is not space, and moves behind it.
    fn next(&mut self) -> Option<u8> {
        self.space();
        self.at += 1;
        self.json.get(self.at - 1).copied()
    }

    /// Moves behind a text, with its quotes.
    fn text(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.json.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(start..self.at)
    }

    /// Moves behind a value.
    fn value(&mut self) -> Option<Range<usize>> {
        self.space();
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.json.get(self.at) {
                Some(b'"') => {
                    self.text()?;
                }
                Some(b'[' | b'{') => {
                    (self.at, depth) = (self.at + 1, depth + 1);
                    continue;
                }
                Some(b']' | b'}') if depth > 0 => (self.at, depth) = (self.at + 1, depth - 1),
                Some(b',' | b']' | b'}') | None if depth == 0 => break,
                Some(byte) if depth == 0 && byte.is_ascii_whitespace() => break,
                Some(_) => {
                    self.at += 1;
                    continue;
                }
                None => return None,
            }
            if depth == 0 {
                break;
            }
        }
        (self.at > start).then_some(start..self.at)
    }

    /// Enters an object, and moves to the value of the member with this name.
    fn member(&mut self, name: &str) -> Option<()> {
        if self.next()? != b'{' {
            return None;
        }
        loop {
            self.space();
            if self.json.get(self.at) != Some(&b'"') {
                return None;
            }
            let quoted = self.text()?;
            if self.next()? != b':' {
                return None;
            }
            if is_name(&self.json[quoted], name) {
                return Some(());
            }
            self.value()?;
            if self.next()? != b',' {
                return None;
            }
        }
    }

    /// Returns the places of an array's elements, and moves behind it.
    fn elements(&mut self) -> Option<Vec<Range<usize>>> {
        if self.next()? != b'[' {
            return None;
        }
        let mut places = Vec::new();
        self.space();
        if self.json.get(self.at) == Some(&b']') {
            self.at += 1;
            return Some(places);
        }
        loop {
            places.push(self.value()?);
            match self.next()? {
                b',' => {}
                b']' => return Some(places),
                _ => return None,
            }
        }
    }
}

/// Returns true where a text in quotes is `name`.
fn is_name(quoted: &[u8], name: &str) -> bool {
    if quoted.contains(&b'\\') {
        return serde_json::from_slice::<String>(quoted).is_ok_and(|text| text == name);
    }
    quoted.get(1..quoted.len() - 1) == Some(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explode(path: &str, max_rows: usize, max_record_bytes: usize) -> Explode {
        Explode::new(&Schema { explode: Some(path.into()), max_rows, max_record_bytes, ..Schema::default() })
    }

    fn rows(path: &str, json: &str) -> Option<Vec<String>> {
        let rows = explode(path, 3, 1000).rows(&Bytes::copy_from_slice(json.as_bytes()), Headed::default())?;
        Some(rows.iter().map(|row| String::from_utf8(row.to_vec()).expect("UTF-8")).collect())
    }

    #[test]
    fn each_row_stands_in_the_place_of_the_array() {
        let around = r#"{"device":"]\"[","rows":[{"x":[1,{"z":"]"}]}, 7 ,{"x":"a,b"}],"n":[1]}"#;
        let expected = [r#"{"x":[1,{"z":"]"}]}"#, "7", r#"{"x":"a,b"}"#]
            .map(|row| format!(r#"{{"device":"]\"[","rows":{row},"n":[1]}}"#));
        assert_eq!(rows("rows", around), Some(expected.to_vec()));
        assert_eq!(rows("$", "[1,\"two\"]"), Some(vec!["1".into(), "\"two\"".into()]));
        assert_eq!(
            rows("a.b", r#" {"b":[],"a" : {"c":{"b":[9]},"b": [NaN ] } }"#).expect("a row")[0].matches("NaN").count(),
            1
        );
        assert_eq!(rows("a", r#"{"\u0061":[1]}"#), Some(vec![r#"{"\u0061":1}"#.into()]));
    }

    #[test]
    fn what_is_no_array_or_breaks_off_is_left_to_the_decoder() {
        let whole = [
            r#"{"rows":{"x":1}}"#,
            r#"{"other":[1]}"#,
            r#"{"rows":[]}"#,
            r#"{"rows":[1,2,3,4]}"#,
            r#"{"rows":[1,"#,
            r#"{"rows":[1,,2]}"#,
            r#"{"rows":[1 2]}"#,
            r#"{"rows":["a]}"#,
            r#"["rows",[1]]"#,
            "",
            "rows",
        ];
        for json in whole {
            assert_eq!(rows("rows", json), None, "{json}");
        }
    }

    #[test]
    fn too_many_rows_and_too_much_around_them_is_refused() {
        let refusal =
            |max_rows, most, json: &str| explode("r", max_rows, most).refusal(json.as_bytes(), Headed::default());
        assert_eq!(refusal(2, 1000, r#"{"r":[1,2,3]}"#), Some(Rejection::TooManyRows { rows: 3, limit: 2 }));
        assert_eq!(refusal(3, 1000, r#"{"r":[1,2,3]}"#), None);
        assert_eq!(refusal(3, 1000, r#"{"r":[ ]}"#), Some(Rejection::NoRows));
        let around = format!(r#"{{"r":[1,2,3],"a":"{}"}}"#, "b".repeat(100));
        let refused = refusal(3, 50, &around);
        assert!(matches!(refused, Some(Rejection::RowsTooLarge { rows: 3, limit: 200, .. })), "{refused:?}");
    }

    #[test]
    fn rows_of_a_bare_array_share_its_buffer() {
        let value = Bytes::from_static(b"[{\"x\":1},{\"x\":2}]");
        let rows = explode("$", 10, 1000).rows(&value, Headed::default()).expect("rows");
        assert!(rows.iter().all(|row| value.as_ptr_range().contains(&row.as_ptr())));
    }
}
