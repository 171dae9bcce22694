//! The inputs that the trees work on: all of them if there are few, else those most related to the target.
//!
//! The cost of a tree grows with the square of its inputs, so it has [`MAX_COLUMNS`] of them at most.
//!
//! Invariant: the inputs in use are distinct, and each keeps its position in a row until it is exchanged. What this
//! does not do: find an input that matters only together with another.

use serde::{Deserialize, Serialize};

use super::{MAX_ROW_WIDTH, plane::Row};
use crate::least_squares::Screening;
use thalweg_metrics::checked;

/// Largest number of inputs that trees work on.
pub(super) const MAX_COLUMNS: usize = MAX_ROW_WIDTH - 1;

/// The inputs in use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Columns {
    /// Number of inputs there are.
    known: usize,
    /// Input at each position in a row, not counting the leading 1.
    chosen: Vec<usize>,
    /// Screening of inputs, present if there are more inputs than positions.
    screening: Option<Screening>,
}

checked!(Columns { known, chosen, screening } then fits);

impl Columns {
    fn fits(&self) -> Result<(), &'static str> {
        let Self { known, chosen, screening } = self;
        let distinct = chosen.iter().enumerate().all(|(i, input)| input < known && !chosen[..i].contains(input));
        if chosen.len() != (*known).min(MAX_COLUMNS) || !distinct || screening.is_some() != (*known > MAX_COLUMNS) {
            return Err("model trees work on other inputs than they can");
        }
        Ok(())
    }
}

impl Columns {
    /// Returns the number of inputs in use.
    pub(super) fn len(&self) -> usize {
        self.chosen.len()
    }

    /// Returns the input at each position.
    pub(super) fn chosen(&self) -> &[usize] {
        &self.chosen
    }

    /// Extends to `n` inputs, and uses new ones while positions are free. Returns whether it uses any.
    pub(super) fn extend_to(&mut self, n: usize) -> bool {
        if n <= self.known {
            return false;
        }
        self.known = n;
        let before = self.chosen.len();
        self.chosen.reserve_exact(n.min(MAX_COLUMNS) - before);
        self.chosen.extend(before..n.min(MAX_COLUMNS));
        if n > MAX_COLUMNS {
            self.screening.get_or_insert_default();
        }
        self.chosen.len() > before
    }

    /// Returns the row of standardised inputs, with its leading 1.
    #[inline]
    pub(super) fn fill<'a>(&self, z: &[f64], row: &'a mut Row) -> &'a [f64] {
        row[0] = 1.0;
        for (x, input) in row[1..].iter_mut().zip(&self.chosen) {
            *x = z.get(*input).copied().unwrap_or_default();
        }
        &row[..=self.chosen.len()]
    }

    /// Learns which inputs deserve a position. Returns the position whose input was exchanged, if any.
    pub(super) fn choose(&mut self, z: &[f64], y: f64) -> Option<usize> {
        let screening = self.screening.as_mut()?;
        screening.learn(z.iter().copied(), y);
        let (position, input) = screening.exchange(&self.chosen)?;
        self.chosen[position] = input;
        Some(position)
    }

    /// Forgets input `i`, which is another feature from now on. Returns its position, if it has one.
    pub(super) fn renew(&mut self, i: usize) -> Option<usize> {
        if let Some(screening) = &mut self.screening {
            screening.renew(i);
        }
        self.chosen.iter().position(|input| *input == i)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(self.chosen.as_slice()) + self.screening.as_ref().map_or(0, Screening::heap_bytes)
    }
}
