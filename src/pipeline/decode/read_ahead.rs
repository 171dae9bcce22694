//! The part of decoding that can be done ahead, on another core: names and numbers of flat records, without their
//! meaning.
//!
//! Invariant: a row gives the sample that the bytes of its record give. The decoder gives the fields
//! their meaning, so the distance by which this is ahead changes nothing.

use std::sync::Arc;

use super::{
    Schema,
    fast_path::{NeedsFullDecode, Scanner},
};

/// Minimum number of records between two layouts: where each record has other fields, nothing is gained.
const LAYOUT_CHANGE_INTERVAL: u32 = 16;

/// Marks a record without a layout.
const NONE: u32 = u32::MAX;

/// Names of a record's fields in their order, shared by many records of a stream.
#[derive(Debug)]
pub struct Layout {
    names: Vec<Box<str>>,
}

impl Layout {
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    #[inline]
    pub(super) fn name(&self, field: usize) -> &str {
        &self.names[field]
    }
}

/// A flat record: a number for each field of its layout, NaN for `null`.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub(super) layout: &'a Arc<Layout>,
    pub(super) numbers: &'a [f64],
}

/// Result of reading a run of records ahead.
#[derive(Debug, Default)]
pub struct Rows {
    numbers: Vec<f64>,
    layouts: Vec<Arc<Layout>>,
    /// Per record, the place of its layout and of its first number.
    rows: Vec<(u32, u32)>,
}

impl Rows {
    /// Returns record `i` of the run; `None` where it is not flat.
    pub fn get(&self, i: usize) -> Option<Row<'_>> {
        let (layout, first) = *self.rows.get(i)?;
        let layout = self.layouts.get(layout as usize)?;
        let numbers = self.numbers.get(first as usize..first as usize + layout.names.len())?;
        Some(Row { layout, numbers })
    }
}

/// Reads names and numbers of records ahead of the decoder.
#[derive(Debug)]
pub struct ReadAhead {
    max_record_bytes: usize,
    /// True where a bare `NaN` stands for `null`.
    bare_nan: bool,
    layout: Option<Arc<Layout>>,
    /// Number of records since the layout last changed.
    since: u32,
}

impl ReadAhead {
    /// Creates a reader; it skips records over `schema.max_record_bytes`.
    pub fn new(schema: &Schema) -> Self {
        let bare_nan = schema.takes_bare_nan();
        Self { max_record_bytes: schema.max_record_bytes, bare_nan, layout: None, since: LAYOUT_CHANGE_INTERVAL }
    }

    /// Reads a run of values.
    pub fn read<'r>(&mut self, values: impl Iterator<Item = Option<&'r [u8]>>) -> Rows {
        let count = values.size_hint().0;
        let mut rows = Rows { rows: Vec::with_capacity(count), ..Rows::default() };
        // Growing by doubling would leave memory of every size behind.
        rows.numbers.reserve(self.layout.as_ref().map_or(0, |layout| count * layout.names.len()));
        for value in values {
            let first = rows.numbers.len();
            let layout = value.and_then(|value| self.record(value, &mut rows));
            if layout.is_none() {
                rows.numbers.truncate(first);
            }
            let place = layout.zip(u32::try_from(first).ok());
            rows.rows.push(place.unwrap_or((NONE, 0)));
        }
        rows
    }

    /// Adds a record's numbers and returns the place of its layout; `None` where the record is not flat.
    fn record(&mut self, value: &[u8], rows: &mut Rows) -> Option<u32> {
        if value.len() > self.max_record_bytes {
            return None;
        }
        self.since = self.since.saturating_add(1);
        let first = rows.numbers.len();
        let known =
            self.layout.as_ref().is_some_and(|layout| numbers(self.scanner(value), layout, &mut rows.numbers).is_ok());
        if !known {
            rows.numbers.truncate(first);
            if self.since < LAYOUT_CHANGE_INTERVAL {
                return None;
            }
            let layout = layout_of(self.scanner(value), &mut rows.numbers).ok()?;
            (self.layout, self.since) = (Some(Arc::new(layout)), 0);
        }
        let layout = self.layout.as_ref()?;
        if !rows.layouts.last().is_some_and(|last| Arc::ptr_eq(last, layout)) {
            rows.layouts.push(Arc::clone(layout));
        }
        u32::try_from(rows.layouts.len() - 1).ok()
    }

    fn scanner<'v>(&self, value: &'v [u8]) -> Scanner<'v> {
        Scanner::new(value, self.bare_nan)
    }
}

/// Reads the numbers of a record with the fields of `layout`. Such a record is UTF-8, since the names are.
fn numbers(mut scanner: Scanner<'_>, layout: &Layout, out: &mut Vec<f64>) -> Result<(), NeedsFullDecode> {
    scanner.expect(b'{')?;
    let last = layout.names.len() - 1;
    for (i, name) in layout.names.iter().enumerate() {
        scanner.expect(b'"')?;
        scanner.literal(name.as_bytes())?;
        scanner.literal(b"\"")?;
        scanner.expect(b':')?;
        out.push(scanner.number_or_null()?);
        scanner.expect(if i < last { b',' } else { b'}' })?;
    }
    scanner.end()
}

/// Reads the names of a flat record's fields, and its numbers.
fn layout_of(mut scanner: Scanner<'_>, out: &mut Vec<f64>) -> Result<Layout, NeedsFullDecode> {
    let mut names = Vec::new();
    scanner.expect(b'{')?;
    loop {
        let name = std::str::from_utf8(scanner.name()?).map_err(|_| NeedsFullDecode)?;
        names.push(name.into());
        scanner.expect(b':')?;
        out.push(scanner.number_or_null()?);
        match scanner.next()? {
            b',' => {}
            b'}' => break,
            _ => return Err(NeedsFullDecode),
        }
    }
    scanner.end()?;
    Ok(Layout { names })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead(max_record_bytes: usize) -> ReadAhead {
        ReadAhead::new(&Schema { max_record_bytes, ..Schema::default() })
    }

    fn read(ahead: &mut ReadAhead, values: &[&[u8]]) -> Vec<Option<(Vec<String>, Vec<f64>)>> {
        let rows = ahead.read(values.iter().map(|value| Some(*value)));
        let one = |row: Row<'_>| (row.layout.names().map(str::to_owned).collect(), row.numbers.to_vec());
        (0..values.len()).map(|i| rows.get(i).map(one)).collect()
    }

    #[test]
    fn records_of_one_layout_are_read_however_they_are_spaced() {
        let mut ahead = ahead(100);
        let values: [&[u8]; 3] = [br#"{"x":1,"y":-0.5}"#, b"{ \"x\" : 2e1 , \"y\" : 3 } \n", br#"{"x":4,"y":5}"#];
        let found: Vec<Vec<f64>> = read(&mut ahead, &values).into_iter().map(|row| row.expect("plain").1).collect();
        assert_eq!(found, [[1.0, -0.5], [20.0, 3.0], [4.0, 5.0]]);
    }

    #[test]
    fn what_is_not_plain_is_left_to_others() {
        let mut reader = ahead(60);
        let good: &[u8] = br#"{"x":1,"y":2}"#;
        let long = [b"{\"x\":1,\"y\":2".to_vec(), vec![b' '; 60], b"}".to_vec()].concat();
        let others: [&[u8]; 13] = [
            b"",
            b"{}",
            br#"{"x":1,"y":"2"}"#,
            br#"{"x":1,"y":[2]}"#,
            br#"{"x":1,"y":true}"#,
            br#"{"x":1,"y":1e400}"#,
            br#"{"x":01,"y":2}"#,
            br#"{"x":1,"y":2}}"#,
            br#"{"x":1,"y":2"#,
            br#"{"x":1,"y":-}"#,
            br#"{"x\u0031":1,"y":2}"#,
            b"{\"x\xff\":1,\"y\":2}",
            &long,
        ];
        for other in others {
            let found = read(&mut reader, &[good, other, good]);
            assert!(found[0].is_some() && found[1].is_none() && found[2].is_some(), "{other:?}");
            let first = read(&mut ahead(60), &[other]);
            assert!(first[0].is_none(), "{other:?}");
        }
    }

    #[test]
    fn other_fields_are_read_only_where_they_stay_for_a_while() {
        let mut ahead = ahead(100);
        let (one, two): (&[u8], &[u8]) = (br#"{"x":1}"#, br#"{"x":1,"z":null}"#);
        let found = read(&mut ahead, &[[one, two].repeat(8), [two].repeat(20).to_vec()].concat());
        assert!(found.iter().step_by(2).take(8).all(Option::is_some) && found[1].is_none());
        let (names, numbers) = found.last().cloned().flatten().expect("plain");
        assert_eq!((names, numbers[0], numbers[1].is_nan()), (vec!["x".to_owned(), "z".to_owned()], 1.0, true));
    }
}
