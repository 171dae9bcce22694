//! Figures of consecutive slots, and their form as bytes.
//!
//! Invariant: a slot that was filled in two parts, as before and after a restart, holds what it would in one: the mean over the
//! seconds that it knows, and of a lag the longest.

use std::collections::BTreeMap;

/// Names of the columns that hold the greatest value of a slot; all others hold the mean.
const GREATEST: [&str; 2] = ["lag_records", "lag_seconds"];

/// Figures of one moment, by the names of their columns; `NaN` is unknown.
pub(super) type Columns = [String];

/// Figures by slot.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Block {
    columns: Vec<String>,
    slots: BTreeMap<i64, Slot>,
}

#[derive(Clone, Debug, PartialEq)]
struct Slot {
    /// Seconds that it was looked.
    looks: f32,
    /// One for each column.
    values: Vec<f32>,
}

impl Block {
    /// Returns the names of its columns.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns its first slot.
    pub(super) fn first(&self) -> Option<i64> {
        self.slots.first_key_value().map(|(slot, _)| *slot)
    }

    /// Iterates over the slots and their values, one for each column.
    pub(super) fn slots(&self) -> impl Iterator<Item = (i64, &[f32])> {
        self.slots.iter().map(|(at, slot)| (*at, &slot.values[..]))
    }

    /// Adds the figures of one look to a slot.
    pub(super) fn note(&mut self, slot: i64, columns: &Columns, values: &[f32]) {
        self.fold(slot, columns, values, 1.0);
    }

    /// Adds all slots of another block.
    pub(super) fn merge(&mut self, other: &Self) {
        for (at, Slot { looks, values }) in &other.slots {
            self.fold(*at, &other.columns, values, *looks);
        }
    }

    /// Takes out the slots of a range, as a block of their own.
    pub(super) fn split(&mut self, slots: std::ops::Range<i64>) -> Self {
        let mut taken = self.slots.split_off(&slots.start);
        self.slots.append(&mut taken.split_off(&slots.end));
        Self { columns: self.columns.clone(), slots: taken }
    }

    fn fold(&mut self, at: i64, columns: &Columns, values: &[f32], looks: f32) {
        if self.columns != columns {
            self.widen(columns);
        }
        let (width, same) = (self.columns.len(), self.columns == columns);
        let slot = self.slots.entry(at).or_insert_with(|| Slot { looks: 0.0, values: vec![f32::NAN; width] });
        let all = slot.looks + looks;
        for (i, (name, value)) in columns.iter().zip(values).enumerate().filter(|(_, (_, value))| value.is_finite()) {
            // Columns come in the same order but after a change of the models.
            let place = if same { Some(i) } else { self.columns.iter().position(|column| column == name) };
            let Some(i) = place else { continue };
            let old = slot.values[i];
            slot.values[i] = if old.is_nan() {
                *value
            } else if GREATEST.contains(&name.as_str()) {
                old.max(*value)
            } else {
                old + (value - old) * (looks / all)
            };
        }
        slot.looks = all;
    }

    /// Adds the columns that are missing.
    fn widen(&mut self, columns: &Columns) {
        for name in columns {
            if !self.columns.contains(name) {
                self.columns.push(name.clone());
                self.slots.values_mut().for_each(|slot| slot.values.push(f32::NAN));
            }
        }
    }

    /// Encodes it: the columns' names, and the slots, each with its place after `first`.
    pub(super) fn to_bytes(&self, first: i64) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&(self.columns.len() as u32).to_le_bytes());
        for name in &self.columns {
            out.extend_from_slice(&(name.len() as u32).to_le_bytes());
            out.extend_from_slice(name.as_bytes());
        }
        for (at, Slot { looks, values }) in &self.slots {
            out.extend_from_slice(&((at - first) as f32).to_le_bytes());
            for value in [looks].into_iter().chain(values) {
                out.extend_from_slice(&value.to_le_bytes());
            }
        }
        out
    }

    /// Decodes it; `None` where the bytes are of something else.
    pub(super) fn from_bytes(first: i64, mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let columns = (0..length(bytes)?).map(|_| {
            let length = length(bytes)?;
            let (name, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            String::from_utf8(name.to_vec()).ok()
        });
        let columns = columns.collect::<Option<Vec<_>>>()?;
        let (rows, rest) = bytes.as_chunks::<4>();
        let numbers: Vec<f32> = rows.iter().map(|number| f32::from_le_bytes(*number)).collect();
        let rows = numbers.chunks_exact(2 + columns.len());
        if !rest.is_empty() || !rows.remainder().is_empty() {
            return None;
        }
        let slot = |row: &[f32]| (first + row[0] as i64, Slot { looks: row[1], values: row[2..].to_vec() });
        Some(Self { slots: rows.map(slot).collect(), columns })
    }
}

/// Reads a length, which is no more than there are bytes.
fn length(bytes: &mut &[u8]) -> Option<usize> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= rest.len())
}

/// Returns the bytes of a slot with these columns.
pub(super) fn slot_bytes(columns: usize) -> usize {
    4 * (2 + columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_slot_in_two_parts_is_that_of_one() {
        let columns = named(&["rate", "lag_records"]);
        let looks = [[1.0, 5.0], [2.0, 9.0], [f32::NAN, 7.0], [6.0, 1.0]];
        let mut whole = Block::default();
        looks.iter().for_each(|look| whole.note(7, &columns, look));
        let (mut first, mut second) = (Block::default(), Block::default());
        looks[..3].iter().for_each(|look| first.note(7, &columns, look));
        looks[3..].iter().for_each(|look| second.note(7, &columns, look));
        first.merge(&second);
        let values = |block: &Block| block.slots().map(|(at, values)| (at, values.to_vec())).collect::<Vec<_>>();
        assert_eq!(values(&first), values(&whole));
        assert_eq!(values(&whole)[0].1[1], 9.0);
    }

    #[test]
    fn what_is_written_is_read_and_what_is_cut_is_not() {
        let mut block = Block::default();
        block.note(61, &named(&["rate", "models.tree.rmse"]), &[1.5, f32::NAN]);
        block.note(62, &named(&["rate", "models.tree.rmse"]), &[2.5, 0.25]);
        let bytes = block.to_bytes(60);
        let read = Block::from_bytes(60, &bytes).expect("a block");
        assert_eq!((read.to_bytes(60), read.columns()), (bytes.clone(), block.columns()));
        for cut in [1, 3, 5, bytes.len() - 1] {
            assert_eq!(Block::from_bytes(60, &bytes[..cut]), None, "{cut} bytes");
        }
    }

    #[test]
    fn models_that_come_later_have_columns_of_their_own() {
        let mut block = Block::default();
        block.note(0, &named(&["rate", "a"]), &[1.0, 2.0]);
        block.note(1, &named(&["b", "rate"]), &[3.0, 4.0]);
        assert_eq!(block.columns(), named(&["rate", "a", "b"]));
        let [(_, first), (_, second)] = block.slots().collect::<Vec<_>>()[..] else { panic!("two slots") };
        assert!(first[2].is_nan() && second[1].is_nan());
        assert_eq!((first[1], second[0], second[2]), (2.0, 4.0, 3.0));
        let taken = block.split(1..60);
        assert_eq!((block.slots().count(), taken.slots().count()), (1, 1));
    }
}
