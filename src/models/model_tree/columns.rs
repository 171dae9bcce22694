//! Which inputs the trees work on: all of them where there are few, else those that have most to do with the target.
//!
//! The cost of a tree grows with the square of the inputs it works on, so there are [`MOST_COLUMNS`] of them at most.
//!
//! Invariant: the inputs in use are distinct, and each keeps its position in a row until it is exchanged. What this does
//! not do: see an input that matters only together with another.

use serde::{Deserialize, Serialize};

use super::{WIDEST, plane::Row};
use crate::least_squares::Screening;
use thalweg_metrics::checked;

/// The most inputs that trees work on.
pub(super) const MOST_COLUMNS: usize = WIDEST - 1;

/// The inputs in use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Columns {
    /// Inputs there are.
    known: usize,
    /// By position in a row, the leading 1 aside.
    chosen: Vec<usize>,
    /// Only where there are more inputs than positions.
    screening: Option<Screening>,
}

checked!(Columns { known, chosen, screening } then fits);

impl Columns {
    fn fits(&self) -> Result<(), &'static str> {
        let Self { known, chosen, screening } = self;
        let distinct = chosen.iter().enumerate().all(|(i, input)| input < known && !chosen[..i].contains(input));
        if chosen.len() != (*known).min(MOST_COLUMNS) || !distinct || screening.is_some() != (*known > MOST_COLUMNS) {
            return Err("model trees work on other inputs than they can");
        }
        Ok(())
    }
}

impl Columns {
    /// Inputs in use.
    pub(super) fn len(&self) -> usize {
        self.chosen.len()
    }

    /// The input at each position.
    pub(super) fn chosen(&self) -> &[usize] {
        &self.chosen
    }

    /// Takes note of `n` inputs, and uses new ones as far as there is room; whether it does.
    pub(super) fn follow(&mut self, n: usize) -> bool {
        if n <= self.known {
            return false;
        }
        self.known = n;
        let before = self.chosen.len();
        self.chosen.reserve_exact(n.min(MOST_COLUMNS) - before);
        self.chosen.extend(before..n.min(MOST_COLUMNS));
        if n > MOST_COLUMNS {
            self.screening.get_or_insert_default();
        }
        self.chosen.len() > before
    }

    /// The row of standardised inputs, with its leading 1.
    #[inline]
    pub(super) fn fill<'a>(&self, z: &[f64], row: &'a mut Row) -> &'a [f64] {
        row[0] = 1.0;
        for (x, input) in row[1..].iter_mut().zip(&self.chosen) {
            *x = z.get(*input).copied().unwrap_or_default();
        }
        &row[..=self.chosen.len()]
    }

    /// Learns which inputs deserve a position; the position that has another one from now on, if one does.
    pub(super) fn choose(&mut self, z: &[f64], y: f64) -> Option<usize> {
        let screening = self.screening.as_mut()?;
        screening.learn(z.iter().copied(), y);
        let (position, input) = screening.exchange(&self.chosen)?;
        self.chosen[position] = input;
        Some(position)
    }

    /// Input `i` is another feature from now on; its position, where it has one.
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
