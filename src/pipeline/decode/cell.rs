//! A value of a record in eight bytes: a number as it is, anything else as a NaN that says what.
//!
//! Invariant: a number is never NaN, since JSON has none, so that one comparison tells numbers, which are most of a
//! stream, from all else.

use std::ops::Range;

/// A quiet NaN with its sign set, which no reader of numbers gives.
const MARK: u64 = 0xfff8_0000_0000_0000;
const PLACE_BITS: u32 = 24;
const PLACE_MASK: u64 = (1 << PLACE_BITS) - 1;
const KIND_SHIFT: u32 = 2 * PLACE_BITS;

const TEXT: u64 = 1;
const TRUE: u64 = 2;
const FALSE: u64 = 3;
const EMPTY: u64 = 4;
const ABSENT: u64 = 5;
const SYMBOL: u64 = 6;
const ESCAPED: u64 = 7;

/// A number, or the kind of something else and its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell(pub(super) f64);

/// What a cell holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Number(f64),
    Null,
    Truth(bool),
    /// A text without escapes, by its place in the record.
    Text(Range<usize>),
    /// A text with escapes, by its place in the record.
    Escaped(Range<usize>),
    /// A text by its place among those of the layout.
    Symbol(Range<usize>),
    /// An object or an array without members.
    Empty,
    /// Nothing: the record does not have this field.
    Absent,
}

impl Cell {
    pub(super) const NULL: Self = Self(f64::NAN);
    pub(super) const EMPTY: Self = Self(f64::from_bits(MARK | EMPTY << KIND_SHIFT));

    pub(super) const ABSENT: Self = Self(f64::from_bits(MARK | ABSENT << KIND_SHIFT));

    pub(super) fn truth(truth: bool) -> Self {
        let kind = if truth { TRUE } else { FALSE };
        Self(f64::from_bits(MARK | kind << KIND_SHIFT))
    }

    /// Returns a cell with a text's place; `None` beyond 16 MiB.
    #[inline]
    pub(super) fn text(place: &Range<usize>) -> Option<Self> {
        Self::at(place, TEXT)
    }

    /// Returns a cell with the place of a text that has escapes; `None` beyond 16 MiB.
    pub(super) fn escaped(place: &Range<usize>) -> Option<Self> {
        Self::at(place, ESCAPED)
    }

    /// Returns a cell with a text's place among those of the layout; `None` beyond 16 MiB.
    pub(super) fn symbol(place: &Range<usize>) -> Option<Self> {
        Self::at(place, SYMBOL)
    }

    pub(super) fn is_escaped(self) -> bool {
        matches!(self.value(), Value::Escaped(_))
    }

    #[inline]
    fn at(place: &Range<usize>, kind: u64) -> Option<Self> {
        let [start, length] = [place.start, place.len()].map(|number| number as u64);
        let fits = start <= PLACE_MASK && length <= PLACE_MASK;
        fits.then(|| Self(f64::from_bits(MARK | kind << KIND_SHIFT | start << PLACE_BITS | length)))
    }

    #[inline]
    pub(super) fn value(self) -> Value {
        let bits = self.0.to_bits();
        if !self.0.is_nan() {
            return Value::Number(self.0);
        }
        match (bits ^ MARK) >> KIND_SHIFT {
            kind @ (TEXT | SYMBOL | ESCAPED) => {
                let start = (bits >> PLACE_BITS & PLACE_MASK) as usize;
                let place = start..start + (bits & PLACE_MASK) as usize;
                match kind {
                    TEXT => Value::Text(place),
                    SYMBOL => Value::Symbol(place),
                    _ => Value::Escaped(place),
                }
            }
            TRUE => Value::Truth(true),
            FALSE => Value::Truth(false),
            EMPTY => Value::Empty,
            ABSENT => Value::Absent,
            _ => Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_as_it_was() {
        let most = PLACE_MASK as usize;
        for place in [0..0, 7..19, most..most, 0..most, most..2 * most] {
            assert_eq!(Cell::text(&place).map(Cell::value), Some(Value::Text(place.clone())));
            assert_eq!(Cell::escaped(&place).map(Cell::value), Some(Value::Escaped(place.clone())));
            assert_eq!(Cell::symbol(&place).map(Cell::value), Some(Value::Symbol(place)));
        }
        assert!(Cell::text(&(most + 1..most + 1)).is_none() && Cell::text(&(0..most + 1)).is_none());
        for number in [0.0, -0.0, f64::MIN_POSITIVE, -1e308, f64::INFINITY] {
            assert_eq!(Cell(number).value(), Value::Number(number));
        }
        let others = [Cell::NULL, Cell::EMPTY, Cell::ABSENT, Cell::truth(true), Cell::truth(false)].map(Cell::value);
        assert_eq!(others, [Value::Null, Value::Empty, Value::Absent, Value::Truth(true), Value::Truth(false)]);
    }
}
