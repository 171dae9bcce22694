//! What a sample of the data holds, field by field.
//!
//! Invariant: it is bounded, in records, in values and in the bytes of texts; nothing is decided before the last record
//! is in.

use std::collections::{BTreeMap, HashMap};

use crate::{
    cli::samples::{Samples, Unusable, Value},
    pipeline::decode::{Envelope, Leaf, Schema, naming::OUTSIDE, number_in_text},
};

/// Most values that are kept; a wide table is looked at in fewer records.
const MAX_VALUES: usize = 4_000_000;
/// Characters of a text that are kept.
const MAX_TEXT_CHARS: usize = 160;
/// Problems with records that are kept.
const MAX_PROBLEMS: usize = 3;

/// A value as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell {
    Unknown,
    Number(f64),
    /// Number of the text among the column's texts.
    Text(u32),
}

/// A field, with a cell per record.
#[derive(Debug, Default)]
pub(super) struct Column {
    pub(super) name: String,
    cells: Vec<Cell>,
    /// Its different texts, in the order in which they came.
    pub(super) texts: Vec<String>,
    codes: HashMap<String, u32>,
    /// Values that are true or false.
    pub(super) truths: usize,
    /// Numbers that are text in JSON.
    pub(super) spelled: usize,
    /// Values that are times by their type.
    pub(super) times: usize,
    /// True where its values are cells of a CSV, which has no types.
    pub(super) is_cell: bool,
    /// Digits behind a leading zero, as codes have it.
    pub(super) leading_zeros: usize,
}

/// The sample.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Records that could be read.
    pub(super) records: usize,
    /// True where there were more.
    pub(super) more: bool,
    pub(super) columns: Vec<Column>,
    /// Envelope around the rows, which is taken off.
    pub(super) envelope: Option<Envelope>,
    lookup: HashMap<String, usize>,
    /// Fields beyond `schema.max_features`, which are not looked at.
    pub(super) left_out: usize,
    /// Words that stand for an unknown value, and how often they were there.
    pub(super) missing: BTreeMap<String, usize>,
    /// Records that could not be read, and the first problems.
    pub(super) unusable: usize,
    pub(super) problems: Vec<String>,
}

impl Survey {
    /// Looks at `limit` records at most.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn look(&mut self, samples: &mut Samples, limit: usize, schema: &Schema) -> anyhow::Result<()> {
        let mut leaves = samples.leaves(schema);
        loop {
            let is_full =
                self.records + self.unusable >= limit || self.records * self.columns.len().max(1) >= MAX_VALUES;
            let Some(raw) = samples.next_raw()? else { break };
            if is_full {
                self.more = true;
                break;
            }
            let mut beyond = 0;
            let read = raw.values(&mut leaves, |name, value| {
                // What is around the row is no feature.
                if !name.starts_with(OUTSIDE) {
                    beyond += usize::from(!self.take(name, &value, schema));
                }
            });
            self.left_out = self.left_out.max(beyond);
            match read {
                Ok(()) => self.records += 1,
                Err(problem) => self.refuse(&problem),
            }
        }
        self.envelope = leaves.envelope();
        let records = self.records;
        self.columns.iter_mut().for_each(|column| column.cells.resize(records, Cell::Unknown));
        Ok(())
    }

    fn refuse(&mut self, problem: &Unusable) {
        let records = self.records;
        self.columns.iter_mut().for_each(|column| column.cells.truncate(records));
        self.unusable += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem.to_string());
        }
    }

    /// Returns `false` where there is no room for another field.
    fn take(&mut self, name: &str, value: &Value<'_>, schema: &Schema) -> bool {
        let i = match self.lookup.get(name) {
            Some(i) => *i,
            None if self.columns.len() >= schema.max_features => return false,
            None => {
                self.lookup.insert(name.to_owned(), self.columns.len());
                self.columns.push(Column { name: name.to_owned(), ..Column::default() });
                self.columns.len() - 1
            }
        };
        let column = &mut self.columns[i];
        let is_missing = |text: &str| schema.missing.iter().any(|word| word == text.trim_ascii());
        let cell = match value {
            Value::Leaf(Leaf::Null) => Cell::Unknown,
            Value::Leaf(Leaf::Truth(truth)) => {
                column.truths += 1;
                Cell::Number(f64::from(u8::from(*truth)))
            }
            Value::Leaf(Leaf::Number(number)) => Cell::Number(*number),
            Value::Leaf(Leaf::Time(milliseconds)) => {
                column.times += 1;
                Cell::Number(*milliseconds)
            }
            Value::Cell(text) if text.trim().is_empty() => Cell::Unknown,
            Value::Leaf(Leaf::Text(text)) | Value::Cell(text) if is_missing(text) => {
                *self.missing.entry(text.trim_ascii().to_owned()).or_default() += 1;
                Cell::Unknown
            }
            Value::Leaf(Leaf::Text(text)) => {
                column.leading_zeros += usize::from(has_leading_zeros(text));
                match number_in_text(text) {
                    Some(number) => {
                        column.spelled += 1;
                        Cell::Number(number)
                    }
                    None => column.text(text),
                }
            }
            Value::Cell(text) => {
                let text = text.trim();
                column.is_cell = true;
                let is_code = has_leading_zeros(text);
                column.leading_zeros += usize::from(is_code);
                match text.parse::<f64>() {
                    Ok(number) if number.is_finite() && !is_code => Cell::Number(number),
                    _ => column.text(text),
                }
            }
        };
        column.cells.resize(self.records, Cell::Unknown);
        column.cells.push(cell);
        true
    }
}

/// Returns `true` for digits behind a zero.
fn has_leading_zeros(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Column {
    fn text(&mut self, text: &str) -> Cell {
        let end = text.char_indices().nth(MAX_TEXT_CHARS).map_or(text.len(), |(end, _)| end);
        let kept = &text[..end];
        if let Some(code) = self.codes.get(kept) {
            return Cell::Text(*code);
        }
        let code = self.texts.len() as u32;
        self.texts.push(kept.to_owned());
        self.codes.insert(kept.to_owned(), code);
        Cell::Text(code)
    }

    /// Returns the cells, one per record.
    pub(super) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Returns the numbers, in order.
    pub(super) fn numbers(&self) -> impl Iterator<Item = f64> {
        self.cells.iter().filter_map(|cell| match cell {
            Cell::Number(number) => Some(*number),
            _ => None,
        })
    }

    /// Returns how many cells hold each text.
    pub(super) fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.texts.len()];
        for cell in &self.cells {
            if let Cell::Text(code) = cell {
                counts[*code as usize] += 1;
            }
        }
        counts
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A column of numbers.
    pub(in super::super) fn column(name: &str, numbers: &[f64]) -> Column {
        Column {
            name: name.to_owned(),
            cells: numbers.iter().map(|number| Cell::Number(*number)).collect(),
            ..Column::default()
        }
    }

    /// A column of a CSV.
    pub(in super::super) fn cells(name: &str, cells: impl IntoIterator<Item = String>) -> Column {
        let (mut survey, schema) = (Survey::default(), Schema::default());
        for cell in cells {
            survey.take(name, &Value::Cell(&cell), &schema);
            survey.records += 1;
        }
        survey.columns.remove(0)
    }

    #[test]
    fn cells_of_one_record_are_one_value_each_whatever_comes_when() {
        let schema = Schema::default();
        let mut survey = Survey::default();
        for (name, cell) in [("a", "1"), ("a", "2"), ("b", "x")] {
            survey.take(name, &Value::Cell(cell), &schema);
        }
        survey.records = 1;
        survey.take("a", &Value::Cell("NA"), &schema);
        survey.records = 2;
        survey.take("c", &Value::Cell("3"), &schema);
        assert_eq!(survey.columns[0].cells(), [Cell::Number(2.0), Cell::Unknown], "the last one of a name counts");
        assert_eq!(survey.columns[2].cells(), [Cell::Unknown, Cell::Unknown, Cell::Number(3.0)]);
        assert_eq!(survey.missing, BTreeMap::from([("NA".to_owned(), 1)]));
    }
}
