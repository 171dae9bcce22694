//! The part of decoding that can be done ahead, on another core: names and values of plain records, without their
//! meaning.
//!
//! Invariant: a row gives the sample that the bytes of its record give. The decoder gives the fields
//! their meaning, so the distance by which this is ahead changes nothing.

use std::{fmt, ops::Range, sync::Arc};

use super::{
    CloudEvent, Envelope, Explode, Schema,
    cell::Cell,
    envelope::{self, Form},
    frame::{self, ConnectFrame},
    scanner::{NeedsFullDecode, Read, Scanner, Syntax, Visit},
    schema_id::SchemaHeader,
    writers::{Learned, Writers},
};
use thalweg_topic::record::Record;

/// Minimum number of records between two new layouts: where each record has other fields, nothing is gained.
const LAYOUT_CHANGE_INTERVAL: u32 = 16;
/// Layouts that are known at a time, here and by the decoder.
pub(super) const MAX_LAYOUTS: usize = 8;
/// Most bytes of a layout: a thousand values with usual names.
const MAX_LAYOUT_BYTES: usize = 64 << 10;

/// Marks a record without a layout.
const NONE: u32 = u32::MAX;

/// What the records of a stream have in common: their names, and all that stands between the values.
#[derive(Debug, Default)]
pub struct Layout {
    slots: Vec<Slot>,
    /// Bytes between the values: those before the first, and so on.
    /// A format with a schema has none.
    between: Vec<u8>,
    /// Texts of cells that are in no record.
    symbols: String,
    /// Set where fields had other names before.
    renames: Option<Arc<dyn Renames>>,
}

/// Tells a layout with the names by which a stream knows its fields.
pub(super) trait Renames: fmt::Debug + Send + Sync {
    /// Returns it; `knows` says which names are known.
    fn renamed(&self, knows: &mut dyn FnMut(&str) -> bool) -> Option<Layout>;
}

/// A value's place in a layout of a format with a schema.
#[derive(Debug)]
pub(super) struct LayoutSlot {
    pub(super) name: Box<str>,
    /// Lengths of the names of the records that it is nested in, from the outside.
    pub(super) ancestors: Box<[usize]>,
    /// True where its numbers are milliseconds since 1970.
    pub(super) is_time: bool,
}

/// Place of a value in a layout.
#[derive(Debug)]
struct Slot {
    /// End of the bytes before it.
    end: usize,
    /// Flattened name.
    name: Box<str>,
    /// Objects and arrays that it is nested in, from the outside.
    ancestors: Box<[Ancestor]>,
    /// True where its numbers are milliseconds since 1970.
    is_time: bool,
}

/// Object or array around a value.
#[derive(Clone, Copy, Debug)]
struct Ancestor {
    /// Length of its name, with which the value's begins.
    end: usize,
    is_array: bool,
}

impl Layout {
    /// Makes the layout of a format with a schema.
    pub(super) fn of_slots(slots: Vec<LayoutSlot>, symbols: String, renames: Option<Arc<dyn Renames>>) -> Self {
        let slot = |LayoutSlot { name, ancestors, is_time }| {
            let ancestors = ancestors.iter().map(|end| Ancestor { end: *end, is_array: false }).collect();
            Slot { end: 0, name, ancestors, is_time }
        };
        Self { slots: slots.into_iter().map(slot).collect(), between: Vec::new(), symbols, renames }
    }

    /// Returns the layout with the names by which a stream knows its fields, where that may be another one.
    pub(super) fn renamed(&self, knows: &mut dyn FnMut(&str) -> bool) -> Option<Self> {
        self.renames.as_ref()?.renamed(knows)
    }

    /// Returns the layout of what holds such a record as `outer`. Nothing is read by it.
    pub(super) fn within(&self, outer: &str) -> Self {
        let inner = |slot: &Slot| {
            let nested = slot.ancestors.iter().map(|it| Ancestor { end: it.end + outer.len() + 1, ..*it });
            let ancestors = [Ancestor { end: outer.len(), is_array: false }].into_iter().chain(nested).collect();
            Slot { end: 0, name: format!("{outer}.{}", slot.name).into(), ancestors, is_time: slot.is_time }
        };
        let slots = self.slots.iter().map(inner).collect();
        Self { slots, between: Vec::new(), symbols: self.symbols.clone(), renames: None }
    }

    /// Returns true where a slot's numbers are milliseconds since 1970.
    pub(super) fn is_time(&self, slot: usize) -> bool {
        self.slots.get(slot).is_some_and(|slot| slot.is_time)
    }

    /// Returns the texts of cells that are in no record.
    #[inline]
    pub(super) fn symbols(&self) -> &str {
        &self.symbols
    }

    /// Returns its approximate size in bytes.
    pub(super) fn size(&self) -> usize {
        self.slots.iter().map(|slot| slot.name.len() + 16 * slot.ancestors.len() + size_of::<Slot>()).sum()
    }

    /// Returns each value's name, and the names of what it is nested in, from the outside, with `true` for an array.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = (&str, bool)>)> {
        self.slots.iter().map(|slot| {
            let around = slot.ancestors.iter().map(|it| (&slot.name[..it.end], it.is_array));
            (&*slot.name, around)
        })
    }

    #[inline]
    pub(super) fn name(&self, slot: usize) -> &str {
        &self.slots[slot].name
    }

    /// Reads the values of a record that has this layout. Such a record is UTF-8, since the names are.
    fn read(&self, mut scanner: Scanner<'_>, out: &mut Vec<Cell>) -> Read<()> {
        let mut start = 0;
        for slot in &self.slots {
            scanner.between(&self.between[start..slot.end])?;
            out.push(scanner.cell()?);
            start = slot.end;
        }
        scanner.between(&self.between[start..])?;
        scanner.end()
    }

    /// Reads the layout of a record, and its values.
    fn of(value: &[u8], scanner: Scanner<'_>, out: &mut Vec<Cell>) -> Read<Self> {
        let mut reader = LayoutReader { value, layout: Self::default(), ancestors: Vec::new(), done: 0, bytes: 0, out };
        let end = scanner.walk(&mut String::new(), &mut reader, 0)?;
        let LayoutReader { mut layout, done, .. } = reader;
        layout.between.extend_from_slice(&value[done..end]);
        Ok(layout)
    }
}

/// Makes a layout of a record.
struct LayoutReader<'r> {
    value: &'r [u8],
    layout: Layout,
    /// What is open, and what has been closed at deeper levels.
    ancestors: Vec<Ancestor>,
    /// End of the last value.
    done: usize,
    /// Bytes of the layout.
    bytes: usize,
    out: &'r mut Vec<Cell>,
}

impl Visit for LayoutReader<'_> {
    /// Number of ancestors.
    type Level = usize;

    fn enter(&mut self, path: &str, is_array: bool, outer: usize) -> Read<usize> {
        self.ancestors.truncate(outer);
        self.ancestors.push(Ancestor { end: path.len(), is_array });
        Ok(outer + 1)
    }

    fn leaf(&mut self, path: &str, level: usize, cell: Cell, place: Range<usize>) -> Read<()> {
        self.bytes += path.len() + place.start - self.done + size_of::<Slot>();
        if self.bytes > MAX_LAYOUT_BYTES {
            return Err(NeedsFullDecode);
        }
        self.layout.between.extend_from_slice(&self.value[self.done..place.start]);
        let (end, ancestors) = (self.layout.between.len(), self.ancestors[..level].into());
        self.layout.slots.push(Slot { end, name: path.into(), ancestors, is_time: false });
        self.out.push(cell);
        self.done = place.end;
        Ok(())
    }

    fn member(&mut self, name: &[u8], level: usize, cell: Cell, place: Range<usize>) -> Read<()> {
        let name = std::str::from_utf8(name).map_err(|_| NeedsFullDecode)?;
        self.leaf(name, level, cell, place)
    }
}

/// A plain record: a value for each place of its layout.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub(super) reading: Reading,
    pub(super) layout: &'a Arc<Layout>,
    pub(super) cells: &'a [Cell],
}

/// Way in which the bytes of records are read; a row read in another way says something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// True where what is read is the payload beside Connect's schema.
    pub(super) is_framed: bool,
    pub(super) syntax: Syntax,
}

impl Reading {
    pub(super) fn of(form: &Form, schema: &Schema) -> Self {
        let syntax = Syntax { bare_nan: schema.takes_bare_nan(), wrappers: form.wrappers() };
        Self { is_framed: form.is_framed, syntax }
    }
}

/// Result of reading a run of records ahead.
#[derive(Debug, Default)]
pub struct Rows {
    reading: Reading,
    cells: Vec<Cell>,
    layouts: Vec<Arc<Layout>>,
    /// Per record, the place of its layout and of its first value.
    rows: Vec<(u32, u32)>,
}

impl Rows {
    /// Returns record `i` of the run; `None` where it is not plain.
    pub fn get(&self, i: usize) -> Option<Row<'_>> {
        let (layout, first) = *self.rows.get(i)?;
        let layout = self.layouts.get(layout as usize)?;
        let cells = self.cells.get(first as usize..first as usize + layout.slots.len())?;
        Some(Row { reading: self.reading, layout, cells })
    }

    /// Returns the place of a layout, which one of the latest records mostly had, too.
    fn place(&mut self, layout: &Arc<Layout>) -> usize {
        let latest = self.layouts.iter().enumerate().rev().take(MAX_LAYOUTS);
        match latest.into_iter().find(|(_, known)| Arc::ptr_eq(known, layout)) {
            Some((place, _)) => place,
            None => {
                self.layouts.push(Arc::clone(layout));
                self.layouts.len() - 1
            }
        }
    }
}

/// A layout that a record had.
#[derive(Debug)]
struct SeenLayout {
    layout: Arc<Layout>,
    /// True once another record had it, too.
    is_common: bool,
}

/// Reads names and values of records ahead of the decoder.
#[derive(Debug)]
pub struct ReadAhead {
    schema: Schema,
    /// Way in which records are read, once their form is known.
    reading: Option<Reading>,
    connect: ConnectFrame,
    /// Layouts of the latest records, the last one first.
    layouts: Vec<SeenLayout>,
    /// Number of records since a layout was last made.
    since: u32,
    writers: Writers,
    explode: Explode,
}

impl ReadAhead {
    /// Creates a reader; it skips records over `schema.max_record_bytes`.
    pub fn new(schema: &Schema) -> Self {
        let reading = Form::set(schema).map(|form| Reading::of(&form, schema));
        let (writers, connect) = (Writers::new(schema), ConnectFrame::default());
        let explode = Explode::new(schema);
        let (schema, since) = (schema.clone(), LAYOUT_CHANGE_INTERVAL);
        Self { schema, reading, connect, layouts: Vec::new(), since, writers, explode }
    }

    /// Replaces each record that holds an array of rows by a record for each of them, and learns what their schemas are.
    pub fn split(&mut self, records: Vec<Record>, learned: &[Learned]) -> Vec<Record> {
        self.explode.split(records, learned)
    }

    /// Reads a run of records, and learns what their schemas are.
    pub fn read_records(&mut self, records: &[Record], learned: &[Learned]) -> Rows {
        if !self.writers.are_needed() {
            let is_event = |record: &Record| CloudEvent::of(&record.headers).is_some();
            if self.reading.is_none() && self.schema.envelope == Envelope::Auto && records.first().is_some_and(is_event)
            {
                self.reading = Some(Reading::of(&Form::plain(), &self.schema));
            }
            return self.read(records.iter().map(|record| record.value.as_deref()));
        }
        let mut rows = Rows { rows: Vec::with_capacity(records.len()), ..Rows::default() };
        let mut learned = learned.iter().peekable();
        for record in records {
            while let Some(learned) = learned.next_if(|learned| learned.offset <= record.offset) {
                self.writers.learn(learned);
            }
            let header = SchemaHeader::of(&record.headers);
            self.typed(record.value.as_deref(), header, &mut rows);
        }
        rows
    }

    /// Adds the row of a record that was written by a schema.
    fn typed(&self, value: Option<&[u8]>, header: Option<SchemaHeader<'_>>, rows: &mut Rows) {
        let (bare_nan, most) = (self.schema.takes_bare_nan(), self.schema.max_record_bytes);
        let first = rows.cells.len();
        // A row stands in the place of an array, which only the full decoder knows.
        let value = value.filter(|value| !value.is_empty() && value.len() <= most && !self.explode.is_needed());
        let layout = value.and_then(|value| self.writers.read_ahead(value, header, bare_nan, &mut rows.cells).ok());
        let row = match layout.zip(u32::try_from(first).ok()) {
            Some((layout, first)) => (rows.place(layout) as u32, first),
            None => {
                rows.cells.truncate(first);
                (NONE, 0)
            }
        };
        rows.rows.push(row);
    }

    /// Reads a run of values.
    pub fn read<'r>(&mut self, values: impl Iterator<Item = Option<&'r [u8]>>) -> Rows {
        let count = values.size_hint().0;
        if self.writers.are_needed() {
            let mut rows = Rows::default();
            values.for_each(|value| self.typed(value, None, &mut rows));
            return rows;
        }
        let mut rows = Rows { rows: Vec::with_capacity(count), ..Rows::default() };
        // Growing by doubling would leave memory of every size behind.
        rows.cells.reserve(self.layouts.first().map_or(0, |known| count * known.layout.slots.len()));
        for value in values {
            let first = rows.cells.len();
            let is_plain = value.is_some_and(|value| self.record(value, &mut rows.cells).is_ok());
            let place = u32::try_from(first).ok().filter(|_| is_plain);
            let row = match (place, self.layouts.first()) {
                // There are no more layouts than records.
                (Some(place), Some(known)) => (rows.place(&known.layout) as u32, place),
                _ => {
                    rows.cells.truncate(first);
                    (NONE, 0)
                }
            };
            rows.rows.push(row);
        }
        rows.reading = self.reading.unwrap_or_default();
        rows
    }

    /// Returns the way in which records are read. The decoder may have begun with another record, and know another one.
    fn reading(&mut self, json: &[u8]) -> Read<Reading> {
        if let Some(reading) = self.reading {
            return Ok(reading);
        }
        let form = envelope::find(json, &self.schema).ok().flatten().ok_or(NeedsFullDecode)?;
        Ok(*self.reading.insert(Reading::of(&form, &self.schema)))
    }

    /// Adds a record's values; its layout is the first one then.
    fn record(&mut self, value: &[u8], out: &mut Vec<Cell>) -> Read<()> {
        if value.len() > self.schema.max_record_bytes {
            return Err(NeedsFullDecode);
        }
        let json = frame::behind_registry(value);
        let reading = self.reading(json)?;
        let value = if reading.is_framed { self.connect.open(json).ok_or(NeedsFullDecode)? } else { json };
        let scanner = Scanner::new(value, reading.syntax);
        self.since = self.since.saturating_add(1);
        let first = out.len();
        for i in 0..self.layouts.len() {
            if self.layouts[i].layout.read(scanner, out).is_ok() {
                self.layouts[..=i].rotate_right(1);
                self.layouts[0].is_common = true;
                return Ok(());
            }
            out.truncate(first);
        }
        if self.since < LAYOUT_CHANGE_INTERVAL {
            return Err(NeedsFullDecode);
        }
        let layout = Layout::of(value, scanner, out)?;
        // Where each record has another one, none is worth a look.
        self.layouts.retain(|known| known.is_common);
        self.layouts.truncate(MAX_LAYOUTS - 1);
        self.layouts.insert(0, SeenLayout { layout: Arc::new(layout), is_common: false });
        self.since = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::cell::Value;

    fn ahead(max_record_bytes: usize) -> ReadAhead {
        ReadAhead::new(&Schema { max_record_bytes, ..Schema::default() })
    }

    /// Names and values of each record, texts as they are written.
    fn read(ahead: &mut ReadAhead, values: &[&str]) -> Vec<Option<Vec<String>>> {
        let rows = ahead.read(values.iter().map(|value| Some(value.as_bytes())));
        let one = |(row, value): (Row<'_>, &str)| {
            let spelled = |cell: &Cell| match cell.value() {
                Value::Text(place) => format!("{:?}", &value[place]),
                Value::Number(number) => number.to_string(),
                other => format!("{other:?}"),
            };
            let pairs = row.layout.names().zip(row.cells);
            pairs.map(|((name, _), cell)| format!("{name}={}", spelled(cell))).collect()
        };
        values.iter().enumerate().map(|(i, value)| rows.get(i).map(|row| one((row, value)))).collect()
    }

    #[test]
    fn records_of_one_layout_are_read_however_they_are_spaced() {
        let mut ahead = ahead(100);
        let values = ["{\"x\":1,\"y\":-0.5}", "{ \"x\" : 2e1 , \"y\" : 3 } \n", "{\"x\":4,\"y\":5}"];
        let found: Vec<Vec<String>> = read(&mut ahead, &values).into_iter().map(|row| row.expect("plain")).collect();
        assert_eq!(found, [["x=1", "y=-0.5"], ["x=20", "y=3"], ["x=4", "y=5"]]);
        assert_eq!(ahead.layouts.len(), 1);
    }

    #[test]
    fn what_is_nested_or_no_number_is_read_and_its_place_known() {
        let values = [
            r#"{"a":{"b":{"c":"é"},"d":[1,[true,null]]},"e":"","f":{},"g":[ ]}"#,
            r#"{"a":{"b":{"c":-0},"d":["x y",[false,2]]},"e":[],"f":null,"g":3}"#,
        ];
        let mut ahead = ahead(100);
        let found = read(&mut ahead, &values);
        let first = ["a.b.c=\"é\"", "a.d.0=1", "a.d.1.0=Truth(true)", "a.d.1.1=Null", "e=\"\"", "f=Empty", "g=Empty"];
        let second = ["a.b.c=-0", "a.d.0=\"x y\"", "a.d.1.0=Truth(false)", "a.d.1.1=2", "e=Empty", "f=Null", "g=3"];
        assert_eq!(found, [first, second].map(|row| Some(row.map(str::to_owned).to_vec())));
        assert_eq!(ahead.layouts.len(), 1);
        let ancestors: Vec<Vec<&str>> =
            ahead.layouts[0].layout.names().map(|(_, names)| names.map(|(name, _)| name).collect()).collect();
        let (b, d, none) = (vec!["a", "a.b"], vec!["a", "a.d"], vec![]);
        let e = vec!["a", "a.d", "a.d.1"];
        assert_eq!(ancestors, [&b, &d, &e, &e, &none, &none, &none].map(Clone::clone));
    }

    #[test]
    fn texts_with_escapes_are_read_whoever_wants_them() {
        let values =
            [r#"{"s":"[\"1\",\"2\"]","x":1}"#, r#"{"s":"caf\u00e9 \ud83d\ude00","x":2}"#, r#"{"s":"c","x":3}"#];
        let mut ahead = ahead(100);
        let found = read(&mut ahead, &values);
        let expected = [["s=Escaped(6..19)", "x=1"], ["s=Escaped(6..28)", "x=2"], ["s=\"c\"", "x=3"]];
        assert_eq!(found, expected.map(|row| Some(row.map(str::to_owned).to_vec())));
    }

    #[test]
    fn what_is_not_plain_is_left_to_others() {
        let mut reader = ahead(60);
        let good = r#"{"x":1,"y":2}"#;
        let long = format!("{{\"x\":1,\"y\":2{}}}", " ".repeat(60));
        let deep = format!("{{\"x\":1,\"y\":{}{}}}", "[".repeat(33), "]".repeat(33));
        let others = [
            "",
            "{}",
            r#"{"x":1,"y":"\"}"#,
            r#"{"x":1,"y":"\x"}"#,
            r#"{"x":1,"y":"\ud83d\u0041"}"#,
            r#"{"x":1,"y":"2}"#,
            r#"{"x":1,"y":[2}"#,
            r#"{"x":1,"y":[2,]}"#,
            r#"{"x":1,"y":{"z"}}"#,
            r#"{"x":1,"y":truth}"#,
            r#"{"x":1,"y":1e400}"#,
            r#"{"x":01,"y":2}"#,
            r#"{"x":1,"y":2}}"#,
            r#"{"x":1,"y":2"#,
            r#"{"x":1,"y":-}"#,
            r#"{"x\u0031":1,"y":2}"#,
            "{\"x\":1,\"y\":\"\u{1}\"}",
            &long,
            &deep,
        ];
        for other in others {
            let found = read(&mut reader, &[good, other, good]);
            assert!(found[0].is_some() && found[1].is_none() && found[2].is_some(), "{other:?}");
            let first = read(&mut ahead(60), &[other]);
            assert!(first[0].is_none(), "{other:?}");
        }
        for other in [&b"{\"x\xff\":1,\"y\":2}"[..], b"{\"x\":1,\"y\":\"\xff\"}"] {
            assert!(reader.read([Some(other)].into_iter()).get(0).is_none(), "{other:?}");
        }
    }

    #[test]
    fn several_layouts_are_known_at_a_time() {
        let mut ahead = ahead(100);
        let kinds: Vec<String> = (0..MAX_LAYOUTS).map(|i| format!(r#"{{"kind":"k{i}","n{i}":1}}"#)).collect();
        let values: Vec<&str> = kinds.iter().map(String::as_str).cycle().take(400).collect();
        read(&mut ahead, &values);
        let found = read(&mut ahead, &values);
        assert!(found.iter().all(Option::is_some));
    }

    #[test]
    fn other_fields_are_read_only_where_they_stay_for_a_while() {
        let mut ahead = ahead(100);
        let (one, two) = (r#"{"x":1}"#, r#"{"x":1,"z":null}"#);
        let found = read(&mut ahead, &[[one, two].repeat(8), [two].repeat(20).to_vec()].concat());
        assert!(found.iter().step_by(2).take(8).all(Option::is_some) && found[1].is_none());
        assert_eq!(found.last().cloned().flatten().expect("plain"), ["x=1", "z=Null"]);
        // Where each record has a layout of its own, there is one to try at most.
        let others: Vec<String> = (0..100).map(|i| format!(r#"{{"x{i}":1}}"#)).collect();
        read(&mut ahead, &others.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(ahead.layouts.iter().filter(|known| !known.is_common).count(), 1);
    }
}
